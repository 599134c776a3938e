//! One line of a snapshot as a value: a directory, a file or a symlink, with its path and its time.
//!
//! An entry borrows from its snapshot (or from whoever is building one) and is small enough to copy. Owner and group
//! are deliberately absent: a mirror's clients set their own. So are devices, FIFOs and sockets, and modes of symlinks,
//! which no system obeys.

use std::num::NonZeroU32;

use super::digest::ContentId;
use super::path::TreePath;

/// The largest file: rsync and every file system count in signed 64 bits.
pub const MAX_FILE_BYTES: u64 = i64::MAX.unsigned_abs();

/// When an entry was last modified: seconds since 1970 and nanoseconds from there on, in UTC.
///
/// The nanoseconds always count forward, also before 1970: -1 with 500,000,000 is half a second before it.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Mtime {
    seconds: i64,
    nanos: u32,
}

impl Mtime {
    /// `None` if `nanos` is a whole second or more.
    pub const fn new(seconds: i64, nanos: u32) -> Option<Self> {
        if nanos < 1_000_000_000 { Some(Self { seconds, nanos }) } else { None }
    }

    /// Whole seconds since 1970.
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after the whole second, below 1,000,000,000.
    pub const fn nanos(self) -> u32 {
        self.nanos
    }
}

/// Permission bits, 0 to 7777 octal, with set-user-id, set-group-id and sticky.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode(u16);

impl Mode {
    /// The bits that a mode may have.
    pub(super) const BITS: u16 = 0o7777;

    /// `None` if there are other bits than permission bits, such as a file type.
    pub fn new(bits: u32) -> Option<Self> {
        u16::try_from(bits).ok().filter(|&bits| bits <= Self::BITS).map(Self)
    }

    /// The bits.
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }

    pub(super) const fn masked(bits: u16) -> Self {
        Self(bits & Self::BITS)
    }

    pub(super) const fn raw(self) -> u16 {
        self.0
    }
}

impl std::fmt::Debug for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mode({:o})", self.0)
    }
}

/// An entry of a snapshot.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// Where it is.
    pub path: TreePath<'a>,
    /// When it was last modified.
    pub mtime: Mtime,
    /// What it is.
    pub kind: Kind<'a>,
}

/// What an entry is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Kind<'a> {
    /// A directory; what it holds stands directly behind it.
    Directory {
        /// Its permissions.
        mode: Mode,
    },
    /// A file.
    File {
        /// Its permissions.
        mode: Mode,
        /// Its length in bytes, at most [`MAX_FILE_BYTES`].
        size: u64,
        /// The id of its bytes.
        content: &'a ContentId,
        /// Its hard-link group, if it has more than one name in this snapshot. Groups are numbered from 1 by
        /// first appearance; the number means nothing outside of one snapshot.
        group: Option<NonZeroU32>,
    },
    /// A symbolic link.
    Symlink {
        /// What it points to: 1 to 4,095 bytes, as they are.
        target: &'a [u8],
    },
}

impl Entry<'_> {
    /// True for a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory { .. })
    }
}
