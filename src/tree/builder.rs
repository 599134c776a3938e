//! The one way to a snapshot: entries in tree order, each checked against all before it.
//!
//! An import, a parser and a policy all push here, so a rule is written once. A refused entry leaves the builder as
//! it was. What can only be known at the end (that a hard-link group has two members, that the text is not too long)
//! is checked by [`SnapshotBuilder::finish`], which also takes the digest.
//! Deliberately absent: sorting. Who has entries in another order sorts them by [`TreePath`].

use std::cmp::Ordering;
use std::num::NonZeroU32;

use super::digest::SnapshotId;
use super::entry::{Entry, Kind, MAX_FILE_BYTES};
use super::error::SnapshotError;
use super::escape::shown;
use super::path::{MAX_PATH_BYTES, TreePath};
use super::snapshot::{Body, MAX_ENTRIES, MAX_TEXT_BYTES, Snapshot};
use super::text;
use super::word::Word;

/// A snapshot in the making.
pub struct SnapshotBuilder {
    repository: Word,
    body: Body,
    /// The directories that may still get entries: the root, and down to the last one.
    open: Vec<u32>,
    groups: Vec<Group>,
}

/// A hard-link group so far.
struct Group {
    /// Index of its first member.
    first: u32,
    members: Members,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Members {
    One,
    More,
}

impl SnapshotBuilder {
    /// Nothing yet, of `repository`.
    pub fn new(repository: Word) -> Self {
        Self { repository, body: Body::default(), open: Vec::new(), groups: Vec::new() }
    }

    /// The same with room for `entries`, `files` of them, whose paths and targets take some `arena` bytes.
    pub(super) fn with_capacity(repository: Word, entries: usize, files: usize, arena: usize) -> Self {
        let entries = entries.min(MAX_ENTRIES);
        let body = Body::with_capacity(entries, files.min(entries), arena.min(MAX_TEXT_BYTES));
        Self { body, ..Self::new(repository) }
    }

    /// Appends the next entry in tree order.
    pub fn push(&mut self, entry: Entry<'_>) -> Result<(), SnapshotError> {
        if self.body.len() >= MAX_ENTRIES {
            return Err(SnapshotError::TooManyEntries);
        }
        let depth = self.place(&entry)?;
        let target = check_kind(&entry)?;
        if self.body.arena_bytes() + entry.path.as_bytes().len() + target > MAX_TEXT_BYTES {
            return Err(SnapshotError::TooMuchText);
        }
        if let Kind::File { group: Some(group), .. } = entry.kind {
            self.join_group(&entry, group)?;
        }
        for directory in self.open.drain(depth..).rev() {
            self.body.close(directory);
        }
        let index = u32::try_from(self.body.len()).map_err(|_| SnapshotError::TooManyEntries)?;
        self.body.append(&entry).ok_or(SnapshotError::TooMuchText)?;
        if entry.is_directory() {
            self.open.push(index);
        }
        Ok(())
    }

    /// Checks that the entry follows the last one and that its directory is open; answers how many stay open.
    fn place(&self, entry: &Entry<'_>) -> Result<usize, SnapshotError> {
        let path = entry.path;
        let Some(last) = self.body.len().checked_sub(1) else {
            return if path.is_root() && entry.is_directory() { Ok(0) } else { Err(SnapshotError::NoRoot) };
        };
        let last = self.body.path_at(last);
        match path.cmp(&last) {
            Ordering::Greater => {}
            Ordering::Equal => return Err(SnapshotError::Twice(shown(path.as_bytes()))),
            Ordering::Less => {
                let (path, after) = (shown(path.as_bytes()), shown(last.as_bytes()));
                return Err(SnapshotError::OutOfOrder { path, after });
            }
        }
        let parent = path.parent().unwrap_or(TreePath::ROOT);
        self.open
            .iter()
            .rposition(|&directory| self.body.path_at(directory as usize) == parent)
            .map(|at| at + 1)
            .ok_or_else(|| SnapshotError::NoParent(shown(path.as_bytes())))
    }

    /// Groups are numbered by first appearance, and their members are one file.
    fn join_group(&mut self, entry: &Entry<'_>, group: NonZeroU32) -> Result<(), SnapshotError> {
        let known = self.groups.len();
        let at = usize::try_from(group.get() - 1).unwrap_or(usize::MAX);
        if at > known {
            let next = u32::try_from(known + 1).unwrap_or(u32::MAX);
            let path = shown(entry.path.as_bytes());
            return Err(SnapshotError::GroupNumber { path, found: group.get(), next });
        }
        let Some(found) = self.groups.get_mut(at) else {
            let first = u32::try_from(self.body.len()).map_err(|_| SnapshotError::TooManyEntries)?;
            self.groups.push(Group { first, members: Members::One });
            return Ok(());
        };
        let first = self.body.entry(found.first as usize);
        if (first.mtime, first.kind) != (entry.mtime, entry.kind) {
            let (path, first) = (shown(entry.path.as_bytes()), shown(first.path.as_bytes()));
            return Err(SnapshotError::GroupDiffers { path, first });
        }
        found.members = Members::More;
        Ok(())
    }

    /// The snapshot of all that was pushed. Writes its text once, to hash it.
    pub fn finish(self) -> Result<Snapshot, SnapshotError> {
        let id = |repository: &Word, body: &Body| text::id_of(repository, body);
        self.finish_as(id).map_err(|(_, error)| error)
    }

    /// The same for a parser that has hashed the text itself.
    pub(super) fn finish_with(self, id: SnapshotId) -> Result<Snapshot, (usize, SnapshotError)> {
        self.finish_as(|_, _| Ok(id))
    }

    /// An error names the index of the entry that it is about.
    fn finish_as(
        mut self,
        id: impl FnOnce(&Word, &Body) -> Result<SnapshotId, SnapshotError>,
    ) -> Result<Snapshot, (usize, SnapshotError)> {
        if self.body.len() == 0 {
            return Err((0, SnapshotError::NoRoot));
        }
        if let Some(at) = self.groups.iter().position(|group| group.members == Members::One) {
            let index = self.groups[at].first as usize;
            let path = shown(self.body.path_at(index).as_bytes());
            let group = u32::try_from(at + 1).unwrap_or(u32::MAX);
            return Err((index, SnapshotError::LoneMember { path, group }));
        }
        for directory in self.open.drain(..).rev() {
            self.body.close(directory);
        }
        let id = id(&self.repository, &self.body).map_err(|error| (0, error))?;
        Ok(Snapshot::new(id, self.repository, self.body))
    }
}

/// Checks what concerns one entry alone; answers the length of a symlink's target.
fn check_kind(entry: &Entry<'_>) -> Result<usize, SnapshotError> {
    let path = || shown(entry.path.as_bytes());
    match entry.kind {
        Kind::File { size, .. } if size > MAX_FILE_BYTES => Err(SnapshotError::LargeFile(path())),
        Kind::Symlink { target: [] } => Err(SnapshotError::EmptyTarget(path())),
        Kind::Symlink { target } if target.len() > MAX_PATH_BYTES => Err(SnapshotError::LongTarget(path())),
        Kind::Symlink { target } => Ok(target.len()),
        Kind::Directory { .. } | Kind::File { .. } => Ok(0),
    }
}
