//! A directory as it was read: everything that a snapshot of it needs.
//!
//! The snapshot is made in a step of its own, since the one file that the publisher writes itself (a repository's
//! timestamp) can only be decided once it is known whether anything else is new.
//! Deliberately absent: the bytes, which are in the store.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::num::NonZeroU32;

use xxhash_rust::xxh3::xxh3_128;

use super::error::{ImportError, LeftOut};
use super::facts::{Facts, Sort};
use super::progress::Progress;
use super::walk::Walked;
use crate::store::{Ingest, Mark, NewContent, Witness};
use crate::tree::{ContentId, Entry, Kind, Mode, Mtime, Snapshot, SnapshotBuilder, TreePath, Word};

/// Permissions of a file that is added.
const FILE_MODE: u32 = 0o644;

/// Permissions of a directory that is added.
const DIRECTORY_MODE: u32 = 0o755;

/// A file that changed less than this many nanoseconds before the import began could change again without moving its
/// change time: clocks of file systems tick coarsely.
const TOO_RECENT: i64 = 2_000_000_000;

/// What an import found. Its contents are in the store, not yet staged.
#[derive(Debug)]
pub struct Imported {
    pub(super) repository: Word,
    pub(super) source: Vec<u8>,
    pub(super) walked: Walked,
    pub(super) contents: Vec<Option<ContentId>>,
    pub(super) leaders: HashMap<usize, usize>,
    /// When the import began, in seconds since 1970.
    pub(super) began: i64,
    pub(super) progress: Progress,
    pub(super) unchanged: u64,
}

/// A file that is put in the place of whatever the directory has there.
#[derive(Copy, Clone, Debug)]
struct Added<'a> {
    path: TreePath<'a>,
    content: ContentId,
    size: u64,
    mtime: Mtime,
}

impl Imported {
    /// What was left out on purpose, in tree order; at most a thousand.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.walked.left_out
    }

    /// How much was seen and read.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Files that were known without being read; further names of a file count too.
    pub fn unchanged(&self) -> u64 {
        self.unchanged
    }

    /// The content of the file at `path`.
    pub fn content(&self, path: TreePath<'_>) -> Option<ContentId> {
        let entries = &self.walked.entries;
        let at = entries.binary_search_by(|entry| self.walked.path(entry).cmp(&path)).ok()?;
        let at = self.leaders.get(&at).copied().unwrap_or(at);
        self.contents.get(at).copied().flatten()
    }

    /// The snapshot of exactly what was found.
    pub fn snapshot(&self) -> Result<Snapshot, ImportError> {
        self.build(None)
    }

    /// The snapshot with one file more, or with another one in its place: mode 644, these bytes, this mtime. Directories
    /// on the way that are not there are added.
    pub fn with_file(
        &self,
        ingest: &mut Ingest<'_>,
        path: TreePath<'_>,
        bytes: &[u8],
        mtime: Mtime,
    ) -> Result<Snapshot, ImportError> {
        let content = ContentId::of(bytes);
        ingest.put(&[NewContent { id: content, xxh128: xxh3_128(bytes).to_le_bytes(), bytes }])?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.build(Some(Added { path, content, size, mtime }))
    }

    fn build(&self, added: Option<Added<'_>>) -> Result<Snapshot, ImportError> {
        let mut builder = SnapshotBuilder::new(self.repository.clone());
        let mut groups = Groups::of(self, added.map(|added| added.path));
        let mut waiting = added;
        for (index, entry) in self.walked.entries.iter().enumerate() {
            let path = self.walked.path(entry);
            if let Some(added) = waiting
                && path >= added.path
            {
                push_added(
                    &mut builder,
                    &added,
                    index.checked_sub(1).map_or(TreePath::ROOT, |before| self.path(before)),
                )?;
                waiting = None;
                if path == added.path {
                    continue;
                }
            }
            if let Some(entry) = self.entry(index, &mut groups) {
                builder.push(entry)?;
            }
        }
        if let Some(added) = waiting {
            push_added(&mut builder, &added, self.path(self.walked.entries.len() - 1))?;
        }
        Ok(builder.finish()?)
    }

    fn path(&self, index: usize) -> TreePath<'_> {
        self.walked.entries.get(index).map_or(TreePath::ROOT, |entry| self.walked.path(entry))
    }

    /// What the kernel said of an entry; names of one file share what was found when it was read.
    fn facts(&self, index: usize) -> Option<&Facts> {
        let leader = self.leaders.get(&index).copied().unwrap_or(index);
        self.walked.entries.get(leader).map(|entry| &entry.facts)
    }

    /// An entry as a snapshot has it.
    fn entry(&self, index: usize, groups: &mut Groups) -> Option<Entry<'_>> {
        let entry = self.walked.entries.get(index)?;
        let facts = self.facts(index)?;
        let leader = self.leaders.get(&index).copied().unwrap_or(index);
        let kind = match facts.sort {
            Sort::Directory => Kind::Directory { mode: facts.mode },
            Sort::Symlink => Kind::Symlink { target: self.walked.target(entry) },
            Sort::File => Kind::File {
                mode: facts.mode,
                size: facts.size,
                content: self.contents.get(leader)?.as_ref()?,
                group: groups.number(leader),
            },
            Sort::Special(_) => return None,
        };
        Some(Entry { path: self.walked.path(entry), mtime: facts.mtime, kind })
    }

    /// True if a snapshot of this would differ from `snapshot` in anything but the files at the paths in `ignoring`
    /// (and the mtimes of the directories that hold them, which a new version of such a file moves).
    pub fn differs_from(&self, snapshot: &Snapshot, ignoring: &[TreePath<'_>]) -> bool {
        let holds_ignored = |path: TreePath<'_>| ignoring.iter().any(|ignored| ignored.parent() == Some(path));
        let above_ignored = |path: TreePath<'_>| ignoring.iter().any(|ignored| ignored.starts_with(path));
        // As in `build`: a name that is ignored belongs to no group of hard links.
        let mut groups = Groups::of(self, ignoring.first().copied());
        let mine = (0..self.walked.entries.len()).filter(|index| !ignoring.contains(&self.path(*index)));
        let mut mine = mine.filter_map(|index| self.entry(index, &mut groups));
        let theirs = snapshot.iter().filter(|entry| !ignoring.contains(&entry.path));
        let mut own = mine.next();
        for their in theirs {
            match own {
                Some(entry) if entry.path == their.path => {
                    let same_time = entry.mtime == their.mtime || holds_ignored(their.path);
                    if !same_time || entry.kind != their.kind {
                        return true;
                    }
                    own = mine.next();
                }
                // A directory that was added to hold an added file.
                _ if their.is_directory() && above_ignored(their.path) => {}
                _ => return true,
            }
        }
        own.is_some()
    }

    /// What the next import needs in order to recognise the files of `snapshot` in this directory: a mark for each of its
    /// entries that is what was found here, and was at rest.
    pub fn witness(&self, snapshot: &Snapshot) -> Witness {
        let newest = self.began.saturating_mul(1_000_000_000).saturating_sub(TOO_RECENT);
        let mut marks = vec![Mark::default(); snapshot.len()];
        let mut groups = Groups::default();
        let mut index = 0;
        for (mark, entry) in marks.iter_mut().zip(snapshot.iter()) {
            while index < self.walked.entries.len() && self.path(index).cmp(&entry.path) == Ordering::Less {
                index += 1;
            }
            let (Some(found), Some(facts)) = (self.entry(index, &mut groups), self.facts(index)) else { continue };
            if facts.mark.ctime < newest && same_file(&found, &entry) {
                *mark = facts.mark;
            }
        }
        Witness { source: self.source.clone(), snapshot: snapshot.id(), marks }
    }
}

/// True if both are files of the same path, time, size and content.
fn same_file(a: &Entry<'_>, b: &Entry<'_>) -> bool {
    let file = |entry: &Entry<'_>| match entry.kind {
        Kind::File { size, content, .. } => Some((size, *content)),
        _ => None,
    };
    a.path == b.path && a.mtime == b.mtime && file(a).is_some() && file(a) == file(b)
}

/// Pushes the directories between `before` and the added file that are not there, and the file.
fn push_added(builder: &mut SnapshotBuilder, added: &Added<'_>, before: TreePath<'_>) -> Result<(), ImportError> {
    let mut missing = Vec::new();
    let mut above = added.path.parent();
    while let Some(path) = above.filter(|path| !before.starts_with(*path)) {
        missing.push(path);
        above = path.parent();
    }
    for path in missing.into_iter().rev() {
        builder.push(Entry {
            path,
            mtime: added.mtime,
            kind: Kind::Directory { mode: permissions(DIRECTORY_MODE) },
        })?;
    }
    let content = &added.content;
    let kind = Kind::File { mode: permissions(FILE_MODE), size: added.size, content, group: None };
    builder.push(Entry { path: added.path, mtime: added.mtime, kind })?;
    Ok(())
}

fn permissions(bits: u32) -> Mode {
    #[expect(clippy::expect_used, reason = "only called with the constants above, which are permission bits")]
    Mode::new(bits).expect("permission bits")
}

/// Numbers hard-link groups by first appearance; a file with one name left is in none.
#[derive(Default)]
struct Groups {
    names: HashMap<usize, u32>,
    numbers: HashMap<usize, NonZeroU32>,
}

impl Groups {
    fn of(imported: &Imported, without: Option<TreePath<'_>>) -> Self {
        let mut names = HashMap::new();
        for (&index, &leader) in &imported.leaders {
            // The leader counts with its first follower.
            let count = names.entry(leader).or_insert_with(|| u32::from(Some(imported.path(leader)) != without));
            *count += u32::from(Some(imported.path(index)) != without);
        }
        names.retain(|_, count| *count > 1);
        Self { names, numbers: HashMap::new() }
    }

    fn number(&mut self, leader: usize) -> Option<NonZeroU32> {
        self.names.get(&leader)?;
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX).saturating_add(1);
        Some(*self.numbers.entry(leader).or_insert(NonZeroU32::new(next)?))
    }
}
