//! A snapshot: an immutable, sorted list of the entries of one repository, known by the digest of its text.
//!
//! It is cheap to clone and compares by id. All paths lie in one arena, an entry takes 32 bytes beside its path and
//! its content id, and each directory knows where its subtree ends, so a walk needs no search. A [`Snapshot`] exists
//! only if every rule of its text holds: [`SnapshotBuilder`](super::SnapshotBuilder) is the only way in.
//! Deliberately absent: any `&mut self`, and where the contents are.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use super::digest::{ContentId, SnapshotId};
use super::entry::{Entry, Kind, Mode, Mtime};
use super::path::TreePath;
use super::word::Word;

/// Most entries of a snapshot: 50 Gentoo trees; a text of it and its index fit in memory.
pub const MAX_ENTRIES: usize = 8_000_000;

/// Longest text of a snapshot or a delta in bytes: offsets into it fit 32 bits.
pub const MAX_TEXT_BYTES: usize = 2 << 30;

/// An immutable tree. See the head of this file.
#[derive(Clone)]
pub struct Snapshot(Arc<Inner>);

struct Inner {
    id: SnapshotId,
    repository: Word,
    body: Body,
}

impl Snapshot {
    pub(super) fn new(id: SnapshotId, repository: Word, mut body: Body) -> Self {
        body.shrink();
        Self(Arc::new(Inner { id, repository, body }))
    }

    /// The BLAKE2b-512 of its text.
    pub fn id(&self) -> SnapshotId {
        self.0.id
    }

    /// The repository that it is a state of.
    pub fn repository(&self) -> &Word {
        &self.0.repository
    }

    pub(super) fn body(&self) -> &Body {
        &self.0.body
    }

    /// How many entries it has, the root included: at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a snapshot always has its root")]
    pub fn len(&self) -> usize {
        self.0.body.packed.len()
    }

    /// The entry at `index`, in tree order; the root is at 0.
    pub fn entry(&self, index: usize) -> Option<Entry<'_>> {
        self.0.body.packed.get(index).map(|packed| self.0.body.unpack(index, packed))
    }

    /// All entries in tree order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.0.body.iter()
    }

    /// Where the entry with this path stands.
    pub fn find(&self, path: TreePath<'_>) -> Option<usize> {
        let body = &self.0.body;
        body.packed.binary_search_by(|packed| body.path(packed).cmp(&path)).ok()
    }

    /// The entry at `index` and everything below it: one range. Empty if there is no such entry.
    pub fn subtree(&self, index: usize) -> Range<usize> {
        match self.0.body.packed.get(index) {
            Some(packed) => index..packed.end(index),
            None => 0..0,
        }
    }

    /// What the directory at `index` holds itself, in tree order; nothing for anything else.
    pub fn children(&self, index: usize) -> impl Iterator<Item = usize> {
        let Range { start, end } = self.subtree(index);
        let mut next = start + 1;
        std::iter::from_fn(move || {
            let child = next;
            next = self.subtree(child).end;
            (child < end).then_some(child)
        })
    }

    /// How many files it has; each name of a hard-linked file counts.
    pub fn file_count(&self) -> usize {
        self.0.body.contents.len()
    }

    /// The sizes of all files together, each name counted; stays at `u64::MAX` if it is more.
    pub fn byte_count(&self) -> u64 {
        self.0.body.bytes
    }
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Snapshot {}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({} of {}, {} entries)", self.0.id.short(), self.0.repository, self.len())
    }
}

/// The entries of a snapshot, or of one that is being built.
#[derive(Default)]
pub(super) struct Body {
    /// Each entry's path, and behind a symlink's path its target.
    arena: Vec<u8>,
    packed: Vec<Packed>,
    /// Ids of files, in order of their entries.
    contents: Vec<ContentId>,
    /// Index and hard-link group of each linked file, by index. Few files are linked, so it stands apart.
    groups: Vec<(u32, NonZeroU32)>,
    bytes: u64,
}

/// What an entry needs beside its path and content id.
struct Packed {
    seconds: i64,
    /// A file's size; 0 for the others.
    size: u64,
    nanos: u32,
    /// Where the path starts in the arena.
    path: u32,
    /// A directory: the index behind its subtree. A file: the number of its content. A symlink: its target's length.
    place: u32,
    path_length: u16,
    /// The kind in the two highest bits, the mode in the twelve lowest.
    kind_and_mode: u16,
}

const DIRECTORY: u16 = 0 << 14;
const FILE: u16 = 1 << 14;
const LINKED_FILE: u16 = 2 << 14;
const SYMLINK: u16 = 3 << 14;
const KIND_BITS: u16 = 3 << 14;

impl Packed {
    fn kind(&self) -> u16 {
        self.kind_and_mode & KIND_BITS
    }

    fn end(&self, index: usize) -> usize {
        if self.kind() == DIRECTORY { self.place as usize } else { index + 1 }
    }
}

impl Body {
    /// Room for `entries`, `files` of them, whose paths and targets take `arena` bytes; the caller has bounded all three.
    pub(super) fn with_capacity(entries: usize, files: usize, arena: usize) -> Self {
        Self {
            arena: Vec::with_capacity(arena),
            packed: Vec::with_capacity(entries),
            contents: Vec::with_capacity(files),
            groups: Vec::new(),
            bytes: 0,
        }
    }

    fn shrink(&mut self) {
        self.arena.shrink_to_fit();
        self.packed.shrink_to_fit();
        self.contents.shrink_to_fit();
        self.groups.shrink_to_fit();
    }

    pub(super) fn len(&self) -> usize {
        self.packed.len()
    }

    pub(super) fn arena_bytes(&self) -> usize {
        self.arena.len()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.packed.iter().enumerate().map(|(index, packed)| self.unpack(index, packed))
    }

    pub(super) fn entry(&self, index: usize) -> Entry<'_> {
        self.unpack(index, &self.packed[index])
    }

    fn path(&self, packed: &Packed) -> TreePath<'_> {
        TreePath::trusted(&self.arena[packed.path as usize..][..usize::from(packed.path_length)])
    }

    pub(super) fn path_at(&self, index: usize) -> TreePath<'_> {
        self.path(&self.packed[index])
    }

    fn unpack(&self, index: usize, packed: &Packed) -> Entry<'_> {
        let mode = Mode::masked(packed.kind_and_mode);
        let place = packed.place as usize;
        let kind = match packed.kind() {
            DIRECTORY => Kind::Directory { mode },
            SYMLINK => {
                let start = packed.path as usize + usize::from(packed.path_length);
                Kind::Symlink { target: &self.arena[start..start + place] }
            }
            file => {
                let group = if file == LINKED_FILE { self.group(index) } else { None };
                Kind::File { mode, size: packed.size, content: &self.contents[place], group }
            }
        };
        let mtime = Mtime::new(packed.seconds, packed.nanos).unwrap_or_default();
        Entry { path: self.path(packed), mtime, kind }
    }

    fn group(&self, index: usize) -> Option<NonZeroU32> {
        let at = self.groups.binary_search_by(|&(member, _)| (member as usize).cmp(&index)).ok()?;
        Some(self.groups[at].1)
    }

    /// Appends `entry`, which obeys every rule, so each of its numbers fits (`None` would mean it does not).
    pub(super) fn append(&mut self, entry: &Entry<'_>) -> Option<()> {
        let index = u32::try_from(self.packed.len()).ok()?;
        let (kind_and_mode, size, place) = match entry.kind {
            Kind::Directory { mode } => (DIRECTORY | mode.raw(), 0, index + 1),
            Kind::File { mode, size, group, .. } => {
                let kind = if group.is_some() { LINKED_FILE } else { FILE };
                (kind | mode.raw(), size, u32::try_from(self.contents.len()).ok()?)
            }
            Kind::Symlink { target } => (SYMLINK, 0, u32::try_from(target.len()).ok()?),
        };
        let path = entry.path.as_bytes();
        self.packed.push(Packed {
            seconds: entry.mtime.seconds(),
            size,
            nanos: entry.mtime.nanos(),
            path: u32::try_from(self.arena.len()).ok()?,
            place,
            path_length: u16::try_from(path.len()).ok()?,
            kind_and_mode,
        });
        self.arena.extend_from_slice(path);
        match entry.kind {
            Kind::Directory { .. } => {}
            Kind::File { content, group, .. } => {
                self.contents.push(*content);
                self.bytes = self.bytes.saturating_add(size);
                self.groups.extend(group.map(|group| (index, group)));
            }
            Kind::Symlink { target } => self.arena.extend_from_slice(target),
        }
        Some(())
    }

    /// Says that the directory at `index` holds nothing more.
    pub(super) fn close(&mut self, index: u32) {
        let end = u32::try_from(self.packed.len()).unwrap_or(u32::MAX);
        self.packed[index as usize].place = end;
    }
}
