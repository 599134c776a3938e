//! What is asked for and what comes out: [`Recipe`] in, [`SampleFile`]s out.
//!
//! All times hang on one fixed day, [`BASE`]: revision R is what was published R days after it.
//! A file's time tells when it last changed: spread over years before [`BASE`] for what has been
//! there all along, within the day of its revision for what changed since. So what differs in bytes
//! between two revisions is always newer in the later one, and rsync misses no change.

use super::dice::Dice;

/// 2026-01-01T00:00:00Z, when revision 0 was published.
pub(super) const BASE: i64 = 1_767_225_600;
pub(super) const DAY: i64 = 86_400;

/// Fewer packages than this cannot hold the named ones.
pub(super) const FEWEST_PACKAGES: u32 = 12;
/// Names and time run out somewhere; ten times the real tree is enough.
pub(super) const MOST_PACKAGES: u32 = 200_000;
/// Ten years. Each package rolls its dice once a day.
pub(super) const MOST_REVISIONS: u32 = 3_650;

/// Which sample is wanted.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Recipe {
    /// Samples of different seeds have nothing in common but their shape.
    pub seed: u64,
    /// How large it is at revision 0.
    pub size: Size,
    /// How many days after revision 0; about 1 % of the files change each day.
    pub revision: u32,
}

/// How large a sample is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Size {
    /// So many packages.
    Packages(u32),
    /// So many files in the tree, distfiles not counted.
    Files(u32),
}

/// Why there is no such sample.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecipeError {
    /// The number of packages is out of bounds.
    #[error("cannot make a sample of {asked} packages: ask for {FEWEST_PACKAGES} to {MOST_PACKAGES}")]
    Packages {
        /// What was asked for.
        asked: u32,
    },
    /// The number of files is out of bounds.
    #[error("cannot make a sample of {asked} files: ask for {fewest} to {most}")]
    Files {
        /// What was asked for.
        asked: u32,
        /// The smallest sample.
        fewest: u32,
        /// The largest sample.
        most: u32,
    },
    /// The revision is too far away.
    #[error("cannot make revision {asked}: the last one is {MOST_REVISIONS}")]
    Revision {
        /// What was asked for.
        asked: u32,
    },
}

/// One file or directory of the sample.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SampleFile {
    /// Which of the two trees it belongs to.
    pub place: Place,
    /// Its path there, `/` between components; `.` is the top directory itself.
    pub path: String,
    /// What it is.
    pub content: Content,
    /// Permission bits: 0644, or 0755 for directories and scripts.
    pub mode: u32,
    /// When it last changed, in seconds since 1970.
    pub mtime: i64,
}

/// The two trees of a sample.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// The ebuild repository.
    Tree,
    /// The source files that its Manifests list, flat.
    Distfiles,
}

/// What a path of the sample holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// A directory.
    Directory,
    /// A file with these bytes.
    File(Vec<u8>),
}

impl SampleFile {
    /// A plain file of the tree.
    pub(super) fn tree(path: String, bytes: impl Into<Vec<u8>>, mtime: i64) -> Self {
        let content = Content::File(bytes.into());
        Self { place: Place::Tree, path, content, mode: 0o644, mtime }
    }

    /// The bytes of a file; none for a directory.
    pub fn bytes(&self) -> &[u8] {
        match &self.content {
            Content::Directory => &[],
            Content::File(bytes) => bytes,
        }
    }
}

/// When a revision is published.
pub(super) fn published(revision: u32) -> i64 {
    BASE + i64::from(revision) * DAY
}

/// When the thing called `name` changed on some day; day 0 is any time in the years before.
pub(super) fn changed(seed: u64, name: &str, day: u32) -> i64 {
    let mut dice = Dice::new(seed, name, u64::from(day));
    let before = match day {
        0 => dice.between(3_600, 3 * 365 * 86_400),
        _ => dice.between(3_600, 80_000),
    };
    published(day) - i64::from(before)
}
