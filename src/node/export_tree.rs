//! A snapshot becomes a tree of plain files: linked where an earlier one has the same file, written and checked elsewhere.
//!
//! Small files are read in batches, in the order in which they lie in the store. Directories get their modes and times
//! last, from the bottom up, since every name that is made in one moves its time. What the store cannot give is left
//! out and named; whether the tree is good without it is for others to say.
//! Deliberately absent: where the tree is, and when it is shown.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::ops::Range;

use super::error::NodeError;
use super::export::Trust;
use super::plain::Plain;
use super::watch::Watch;
use crate::store::{Home, Located, Reader, Row, StoreError};
use crate::tree::{ContentId, Entry, Kind, Snapshot};

/// Bytes of small files that are read in one go.
const BATCH_BYTES: u64 = 4 << 20;

/// Small files that are read in one go.
const BATCH_FILES: usize = 1024;

/// Entries between two looks at whether somebody still waits.
const BREATH: usize = 256;

/// Files left out that are remembered by name.
const NAMED: usize = 1000;

/// An earlier export that files are linked from.
pub(super) struct Source {
    pub(super) tree: Plain,
    pub(super) snapshot: Snapshot,
    /// Its hard-link groups that a file here has taken: no other one may become the same file.
    pub(super) taken: HashSet<NonZeroU32>,
}

/// What was done.
#[derive(Default)]
pub(super) struct Done {
    pub(super) files: u64,
    pub(super) directories: u64,
    pub(super) symlinks: u64,
    pub(super) reused: u64,
    pub(super) bytes: u64,
    pub(super) left_out: Vec<String>,
    pub(super) left_out_count: u64,
}

/// What the files come from.
pub(super) struct From<'f> {
    pub(super) reader: &'f mut Reader,
    pub(super) located: &'f Located,
    pub(super) sources: Vec<Source>,
    pub(super) trust: Trust,
}

/// A tree that is being written.
struct Work<'f> {
    from: From<'f>,
    snapshot: Snapshot,
    tree: &'f Plain,
    /// Inodes of files that a run that was cut has left and that are right; `None`: there was none.
    kept: Option<HashSet<u64>>,
    /// Files of the next batch.
    pending: Vec<usize>,
    pending_bytes: u64,
    arena: Vec<u8>,
    /// The first file of each hard-link group.
    leaders: HashMap<NonZeroU32, usize>,
    missing: HashSet<usize>,
    done: Done,
}

/// What was in the directory before.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Before {
    Nothing,
    /// A tree, or part of one.
    Leftovers,
}

/// Writes the tree.
pub(super) fn write(tree: &Plain, before: Before, from: From<'_>, watch: &mut Watch<'_>) -> Result<Done, NodeError> {
    let snapshot = from.located.snapshot().clone();
    let kept = (before == Before::Leftovers).then(HashSet::new);
    watch.expect(u64::try_from(snapshot.len()).unwrap_or(u64::MAX));
    let mut work = Work {
        from,
        snapshot: snapshot.clone(),
        tree,
        kept,
        pending: Vec::new(),
        pending_bytes: 0,
        arena: Vec::new(),
        leaders: HashMap::new(),
        missing: HashSet::new(),
        done: Done::default(),
    };
    for (index, entry) in snapshot.iter().enumerate() {
        if index % BREATH == 0 {
            watch.breathe()?;
        }
        match entry.kind {
            Kind::Directory { .. } => {
                tree.make_directory(entry.path)?;
                work.done.directories += 1;
            }
            Kind::Symlink { target } => work.symlink(&entry, target)?,
            Kind::File { group, .. } => work.file(index, &entry, group, watch)?,
        }
        watch.add(1, 0);
    }
    work.flush(watch)?;
    for index in (0..snapshot.len()).rev() {
        if index % BREATH == 0 {
            watch.breathe()?;
        }
        if let Some(entry) = snapshot.entry(index).filter(Entry::is_directory) {
            tree.close_directory(&entry)?;
        }
    }
    Ok(work.done)
}

impl Work<'_> {
    fn symlink(&mut self, entry: &Entry<'_>, target: &[u8]) -> Result<(), NodeError> {
        self.done.symlinks += 1;
        if self.kept.is_some()
            && let Some(found) = self.tree.find(entry.path)?
        {
            if found.is_like(entry) && self.tree.target(entry.path)? == target {
                return Ok(());
            }
            self.tree.remove(entry.path)?;
        }
        self.tree.make_symlink(entry, target)
    }

    fn file(
        &mut self,
        index: usize,
        entry: &Entry<'_>,
        group: Option<NonZeroU32>,
        watch: &mut Watch<'_>,
    ) -> Result<(), NodeError> {
        self.done.files += 1;
        if let Some(group) = group {
            if let Some(&leader) = self.leaders.get(&group) {
                return self.follow(leader, index, entry, watch);
            }
            self.leaders.insert(group, index);
        }
        if self.is_kept(entry)? || self.is_linked(entry)? {
            self.done.reused += 1;
            return Ok(());
        }
        let size = size_of(entry);
        if matches!(self.from.located.place(index).map(|place| place.home), Some(Home::Large)) {
            return self.large(index, entry, watch);
        }
        self.pending.push(index);
        self.pending_bytes = self.pending_bytes.saturating_add(size);
        if self.pending_bytes >= BATCH_BYTES || self.pending.len() >= BATCH_FILES {
            self.flush(watch)?;
        }
        Ok(())
    }

    /// Another name of a file that has one already.
    fn follow(
        &mut self,
        leader: usize,
        index: usize,
        entry: &Entry<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<(), NodeError> {
        self.flush(watch)?;
        let Some(first) = self.snapshot.entry(leader) else { return Ok(()) };
        if self.missing.contains(&leader) {
            self.leave_out(index, &format!("it is the same file as {}", first.path));
            return Ok(());
        }
        if self.kept.is_some()
            && let Some(found) = self.tree.find(entry.path)?
        {
            if self.tree.find(first.path)?.is_some_and(|first| first.inode == found.inode) {
                return Ok(());
            }
            self.tree.remove(entry.path)?;
        }
        if self.tree.link(self.tree, first.path, entry.path)? {
            return Ok(());
        }
        let error = std::io::Error::other("the file system cannot give a file two names, or no more of them");
        Err(NodeError::File { attempt: "link", path: self.tree.path_of(entry.path), source: error })
    }

    /// Whether a run that was cut has left the file as it is to be. What it left otherwise is removed.
    fn is_kept(&mut self, entry: &Entry<'_>) -> Result<bool, NodeError> {
        let (Some(kept), Kind::File { content, .. }) = (&mut self.kept, entry.kind) else { return Ok(false) };
        let Some(found) = self.tree.find(entry.path)? else { return Ok(false) };
        // It may not have reached the disk before the power went, so it is read.
        if found.is_like(entry) && self.tree.digest(entry.path)? == *content && kept.insert(found.inode) {
            return Ok(true);
        }
        self.tree.remove(entry.path)?;
        Ok(false)
    }

    /// Whether an earlier export has the file, and it could be linked from there.
    fn is_linked(&mut self, entry: &Entry<'_>) -> Result<bool, NodeError> {
        let Kind::File { content, .. } = entry.kind else { return Ok(false) };
        for source in &mut self.from.sources {
            let same = source.snapshot.find(entry.path).and_then(|at| source.snapshot.entry(at));
            let Some(same) = same.filter(|same| is_same_file(same, entry)) else { continue };
            if let Kind::File { group: Some(group), .. } = same.kind
                && !source.taken.insert(group)
            {
                continue;
            }
            if !self.tree.link(&source.tree, same.path, entry.path)? {
                continue;
            }
            let is_like = self.tree.find(entry.path)?.is_some_and(|found| found.is_like(entry));
            if is_like && (self.from.trust == Trust::SizeAndTime || self.tree.digest(entry.path)? == *content) {
                return Ok(true);
            }
            self.tree.remove(entry.path)?;
        }
        Ok(false)
    }

    fn large(&mut self, index: usize, entry: &Entry<'_>, watch: &mut Watch<'_>) -> Result<(), NodeError> {
        let Kind::File { content, size, .. } = entry.kind else { return Ok(()) };
        watch.breathe()?;
        let mut source = match self.from.reader.read_large(content) {
            Ok(Some(source)) => source,
            Ok(None) => {
                self.leave_out(index, "its file is missing in the store");
                return Ok(());
            }
            Err(error) if error.is_damage() => {
                self.leave_out(index, &error.to_string());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let why = match self.tree.copy(entry, &mut source)? {
            Ok(id) if id == *content => {
                self.done.bytes += size;
                watch.add(0, size);
                return Ok(());
            }
            Ok(_) => "its bytes in the store are other ones than its id says".to_owned(),
            Err(error) => format!("reading it failed: {error}"),
        };
        self.tree.remove(entry.path)?;
        self.leave_out(index, &why);
        Ok(())
    }

    /// Reads and writes the small files that wait.
    fn flush(&mut self, watch: &mut Watch<'_>) -> Result<(), NodeError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        watch.breathe()?;
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        let mut rows = Vec::with_capacity(pending.len());
        for &index in &pending {
            match self.from.located.place(index).map(|place| place.home) {
                Some(Home::Row(row)) => rows.push((index, row)),
                _ => self.leave_out(index, "the store has set it aside as bad, or never had it"),
            }
        }
        let found = self.read(&rows)?;
        let bytes: Vec<&[u8]> =
            found.iter().map(|(_, range)| self.arena.get(range.clone()).unwrap_or_default()).collect();
        let ids = ContentId::of_many(&bytes);
        let mut bad = Vec::new();
        for (((index, _), bytes), id) in found.iter().zip(&bytes).zip(&ids) {
            let Some(entry) = self.snapshot.entry(*index) else { continue };
            if content_of(&entry) != Some(id) {
                bad.push(*index);
                continue;
            }
            self.tree.write(&entry, bytes)?;
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.done.bytes += length;
            watch.add(0, length);
        }
        for index in bad {
            self.leave_out(index, "its bytes in the store are other ones than its id says");
        }
        Ok(())
    }

    /// Reads rows into the arena, and tells where each lies. What cannot be had is left out.
    fn read(&mut self, rows: &[(usize, Row)]) -> Result<Vec<(usize, Range<usize>)>, NodeError> {
        self.arena.clear();
        match read_rows(self.from.reader, rows, &mut self.arena) {
            Ok((found, missing)) => {
                missing.into_iter().for_each(|index| self.leave_out(index, "it is not in the store any more"));
                Ok(found)
            }
            Err(error) if !error.is_damage() => Err(error.into()),
            // One of them lies where the database is damaged: each for itself.
            Err(error) if rows.len() == 1 => {
                rows.iter().for_each(|(index, _)| self.leave_out(*index, &error.to_string()));
                Ok(Vec::new())
            }
            Err(_) => {
                let (mut all, mut arena) = (Vec::new(), Vec::new());
                for row in rows {
                    for (index, range) in self.read(std::slice::from_ref(row))? {
                        let start = arena.len();
                        arena.extend_from_slice(self.arena.get(range).unwrap_or_default());
                        all.push((index, start..arena.len()));
                    }
                }
                self.arena = arena;
                Ok(all)
            }
        }
    }

    fn leave_out(&mut self, index: usize, why: &str) {
        self.missing.insert(index);
        self.done.left_out_count += 1;
        if let Some(entry) = self.snapshot.entry(index)
            && self.done.left_out.len() < NAMED
        {
            self.done.left_out.push(format!("{}: {why}", entry.path));
        }
    }
}

/// Where each row that was found lies in the arena, and which were not found.
type Rows = (Vec<(usize, Range<usize>)>, Vec<usize>);

fn read_rows(reader: &mut Reader, rows: &[(usize, Row)], arena: &mut Vec<u8>) -> Result<Rows, StoreError> {
    let wanted: Vec<Row> = rows.iter().map(|(_, row)| *row).collect();
    let index = |at: usize| rows.get(at).map(|(index, _)| *index);
    let mut found = Vec::with_capacity(rows.len());
    let missing = reader.read(&wanted, &mut |at, bytes| {
        let start = arena.len();
        arena.extend_from_slice(bytes);
        found.extend(index(at).map(|index| (index, start..arena.len())));
    })?;
    Ok((found, missing.into_iter().filter_map(index).collect()))
}

/// Whether two entries are files with the same bytes, mode and time.
pub(super) fn is_same_file(one: &Entry<'_>, other: &Entry<'_>) -> bool {
    match (one.kind, other.kind) {
        (Kind::File { mode: a, content: b, .. }, Kind::File { mode: c, content: d, .. }) => {
            (a, b, one.mtime) == (c, d, other.mtime)
        }
        _ => false,
    }
}

fn content_of<'e>(entry: &Entry<'e>) -> Option<&'e ContentId> {
    match entry.kind {
        Kind::File { content, .. } => Some(content),
        _ => None,
    }
}

/// The size of a file; 0 for anything else.
pub(super) fn size_of(entry: &Entry<'_>) -> u64 {
    match entry.kind {
        Kind::File { size, .. } => size,
        _ => 0,
    }
}
