//! What each publication contains, and whether a client's copy is one of them, whole.
//!
//! A publication has a number, which lies in its tree as a file, the mark. What it contains is known from the directory
//! that was published, not from the node. A copy must be what its mark names, entry by entry: nothing missing, nothing
//! more, and of each file the mode, the time, the length and, where contents are read, their digest. Changed files get a
//! time of their own for every publication, so a copy with a file of another one does not pass for whole either way.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use headwater::portage::stamp::parse_chk;
use xxhash_rust::xxh3::xxh3_64;

/// Names the publication.
pub(crate) const MARK: &str = "metadata/publication";

/// The one file that the node writes itself.
const STAMP: &str = "metadata/timestamp.chk";

/// Permission bits.
const MODE: u32 = 0o7777;

/// What is known of an entry.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Fact {
    Directory {
        mode: u32,
    },
    Link {
        target: PathBuf,
    },
    /// Without a digest where the content was not read.
    File {
        mode: u32,
        time: i64,
        length: u64,
        digest: Option<u64>,
    },
}

/// How closely a copy is looked at.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Look {
    /// At names, sizes and times.
    Outside,
    /// At all contents, too.
    Inside,
}

/// A whole copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole {
    /// What its mark says.
    pub(crate) publication: u64,
    /// What the node wrote into it, in seconds since 1970.
    pub(crate) stamp: i64,
}

/// All publications so far.
pub(crate) struct Ledger {
    /// What an entry became, and with which publication; `None`: it went.
    facts: HashMap<PathBuf, Vec<(u64, Option<Fact>)>>,
    /// How many entries a publication has.
    entries: HashMap<u64, usize>,
}

impl Ledger {
    /// With the first publication, as it lies there.
    pub(crate) fn of(tree: &Path, first: u64) -> anyhow::Result<Ledger> {
        let mut facts = HashMap::new();
        walk(tree, Look::Inside, &mut |path, fact| {
            facts.insert(path.to_owned(), vec![(first, Some(fact))]);
            Ok(())
        })?;
        let entries = HashMap::from([(first, facts.len())]);
        Ok(Ledger { facts, entries })
    }

    /// The next publication, by what it changes.
    pub(crate) fn publish(&mut self, publication: u64, changes: Vec<(PathBuf, Option<Fact>)>) {
        for (path, fact) in changes {
            self.facts.entry(path).or_default().push((publication, fact));
        }
        let there = self.facts.values().filter(|facts| matches!(facts.last(), Some((_, Some(_))))).count();
        self.entries.insert(publication, there);
    }

    /// Whether a copy is a whole publication, and which; an error says what is wrong with it.
    pub(crate) fn check(&self, copy: &Path, look: Look) -> anyhow::Result<Whole> {
        let mark = fs::read_to_string(copy.join(MARK)).context("there is no mark")?;
        let publication: u64 = mark.trim().parse().with_context(|| format!("the mark is {mark:?}"))?;
        let expected = *self.entries.get(&publication).context("nobody has published what the mark says")?;
        let mut seen = 0;
        walk(copy, look, &mut |path, fact| {
            seen += 1;
            self.compare(publication, path, &fact)
        })?;
        if seen != expected {
            let missing = |path: &&PathBuf| {
                self.at(path, publication).is_some() && fs::symlink_metadata(copy.join(path)).is_err()
            };
            bail!("{publication} lacks {:?}: {seen} of {expected} entries", self.facts.keys().find(missing));
        }
        let stamp = copy.join(STAMP);
        let time = fs::metadata(&stamp)?.mtime();
        let stamp = parse_chk(&fs::read(&stamp)?).context("the timestamp cannot be read")?;
        ensure!(stamp == time, "the timestamp says {stamp}, and its file is of {time}");
        Ok(Whole { publication, stamp })
    }

    fn at(&self, path: &Path, publication: u64) -> Option<&Fact> {
        let facts = self.facts.get(path)?;
        facts.iter().rev().find(|(since, _)| *since <= publication).and_then(|(_, fact)| fact.as_ref())
    }

    fn compare(&self, publication: u64, path: &Path, seen: &Fact) -> anyhow::Result<()> {
        let Some(expected) = self.at(path, publication) else {
            bail!("{publication} has no {}", path.display());
        };
        if path == Path::new(STAMP) || expected.agrees(seen) {
            return Ok(());
        }
        let facts = self.facts.get(path).into_iter().flatten();
        let other = facts.filter(|(_, fact)| fact.as_ref().is_some_and(|fact| fact.agrees(seen)));
        let others: Vec<u64> = other.map(|(since, _)| *since).collect();
        bail!("{publication} has in {} {expected:?}, not {seen:?}, which is of {others:?}", path.display())
    }
}

impl Fact {
    /// What lies there; its content is read.
    pub(crate) fn of(path: &Path) -> anyhow::Result<Fact> {
        Fact::read(path, &fs::symlink_metadata(path)?, Look::Inside, &mut Vec::new())
    }

    fn read(path: &Path, found: &Metadata, look: Look, buffer: &mut Vec<u8>) -> anyhow::Result<Fact> {
        let mode = found.mode() & MODE;
        if found.is_dir() {
            return Ok(Fact::Directory { mode });
        }
        if found.is_symlink() {
            return Ok(Fact::Link { target: fs::read_link(path)? });
        }
        ensure!(found.is_file(), "{} is no file", path.display());
        let digest = match look {
            Look::Outside => None,
            Look::Inside => {
                buffer.clear();
                File::open(path)?.read_to_end(buffer)?;
                Some(xxh3_64(buffer))
            }
        };
        Ok(Fact::File { mode, time: found.mtime(), length: found.len(), digest })
    }

    /// The same, as far as both know.
    fn agrees(&self, seen: &Fact) -> bool {
        match (self, seen) {
            (Fact::File { digest, .. }, Fact::File { mode, time, length, digest: None }) => {
                *self == Fact::File { mode: *mode, time: *time, length: *length, digest: *digest }
            }
            _ => self == seen,
        }
    }
}

/// Every entry below a directory, with its path from there.
fn walk(root: &Path, look: Look, found: &mut dyn FnMut(&Path, Fact) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let (mut open, mut buffer) = (vec![root.to_owned()], Vec::new());
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let metadata = fs::symlink_metadata(&path)?;
            if metadata.is_dir() {
                open.push(path.clone());
            }
            let fact = Fact::read(&path, &metadata, look, &mut buffer)?;
            found(path.strip_prefix(root)?, fact)?;
        }
    }
    Ok(())
}
