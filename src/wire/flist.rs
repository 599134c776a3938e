//! What a file list carries: one entry's fields, and the form that options and agreement give to all of them.
//!
//! [`ListFormat`] is everything that the bytes of a list depend on beside its entries: two sessions with the same
//! entries and the same format get the same bytes, so a list can be encoded once and sent to many. It is `Eq` and
//! `Hash` for that reason. The writer and the reader share this file and nothing else.
//! Absent on purpose: device numbers (no device is ever served or kept), the inline names of incremental recursion,
//! ACLs, extended attributes and creation times.

pub use super::filter::Is;
use super::{
    greeting::Protocol,
    options::{Flag, Options},
    setup::{Agreed, Compat},
    sums::SumKind,
};

/// The type bits of a mode (protocol 8.3).
pub const TYPE_MASK: u32 = 0o170_000;
/// A regular file's type bits.
pub const TYPE_FILE: u32 = 0o100_000;
/// A directory's type bits.
pub const TYPE_DIRECTORY: u32 = 0o040_000;
/// A symlink's type bits.
pub const TYPE_SYMLINK: u32 = 0o120_000;
/// A character device's type bits.
pub const TYPE_CHARACTER: u32 = 0o020_000;
/// A block device's type bits.
pub const TYPE_BLOCK: u32 = 0o060_000;
/// A FIFO's type bits.
pub const TYPE_FIFO: u32 = 0o010_000;
/// A socket's type bits.
pub const TYPE_SOCKET: u32 = 0o140_000;

/// Longest name or link target in bytes (protocol 8.3).
pub const NAME_MAX: usize = 4095;

impl Is {
    /// The kind behind a mode's type bits.
    #[must_use]
    pub fn of(mode: u32) -> Self {
        if mode & TYPE_MASK == TYPE_DIRECTORY { Self::Directory } else { Self::Other }
    }
}

/// Why a directory is in the list, which steers deletion at the receiver (protocol 8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DirRole {
    /// Named as an argument, listed with its content.
    Argument,
    /// Met while recursing.
    Found,
    /// Listed without its content.
    NoContent,
    /// A parent that `-R` implies.
    Implied,
    /// Anything that is no directory.
    NotADirectory,
}

/// An entry's part in a group of hard links; only meaningful with `-H` (protocol 8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// In no group.
    None,
    /// The first of its group in the list; the group's number is its place among the entries as written.
    First,
    /// A later one, with the number of its group.
    Member(u32),
}

/// One entry of a file list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Relative path with `/` between components, or `.` for the transfer root; at most [`NAME_MAX`] bytes.
    pub name: &'a [u8],
    /// `st_mode`: type bits and permissions.
    pub mode: u32,
    /// Bytes; for a symlink those of its target.
    pub size: u64,
    /// Modification time in whole seconds since 1970.
    pub mtime: i64,
    /// Nanoseconds of the modification time; not sent at protocol 30.
    pub nanos: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// A symlink's target, else empty.
    pub target: &'a [u8],
    /// A regular file's unseeded sum, as long as the format's; ignored without `-c`. A wrong length counts as zeros.
    pub checksum: &'a [u8],
    /// For directories, why they are listed.
    pub role: DirRole,
    /// Part in a group of hard links.
    pub link: Link,
}

/// Everything that decides about a list's bytes beside its entries (protocol 8.2 to 8.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListFormat {
    /// `-o`: owners are sent.
    pub owner: bool,
    /// `-g`: groups are sent.
    pub group: bool,
    /// `-l`: link targets are sent.
    pub links: bool,
    /// `-H`: groups of hard links are marked.
    pub hard_links: bool,
    /// Device numbers are sent.
    pub devices: bool,
    /// FIFOs and sockets count as devices at protocol 30.
    pub specials: bool,
    /// `-U`: access times are sent. There is none to send, so it is the modification time.
    pub atimes: bool,
    /// `-c`: every regular file's sum is sent.
    pub checksum: Option<SumKind>,
    /// Names of users and groups follow the entries.
    pub id_names: bool,
    /// And the names of id 0 as well (compat bit 8).
    pub id0_names: bool,
    /// `--ignore-errors`: problems while listing are not reported in the list.
    pub ignore_errors: bool,
    /// Flags are varints (compat bit 7).
    pub varint_flags: bool,
    /// The list's end may tell about errors (protocol 31, or compat bit 3).
    pub safe_end: bool,
    /// Protocol 31 and up: nanoseconds are sent, FIFOs and sockets have no device numbers.
    pub since_31: bool,
}

impl ListFormat {
    /// The form that a session's options and agreement give to its list.
    #[must_use]
    pub fn new(options: &Options, agreed: &Agreed, protocol: Protocol) -> Self {
        let compat = agreed.compat;
        Self {
            owner: options.has(Flag::Owner),
            group: options.has(Flag::Group),
            links: options.has(Flag::Links),
            hard_links: options.has(Flag::HardLinks),
            devices: options.has(Flag::Devices),
            specials: options.has(Flag::Specials),
            atimes: options.has(Flag::Atimes),
            checksum: options.has(Flag::Checksum).then_some(agreed.list_sum),
            id_names: !options.has(Flag::NumericIds),
            id0_names: compat.has(Compat::Id0Names),
            ignore_errors: options.has(Flag::IgnoreErrors),
            varint_flags: compat.has(Compat::VarintFlags),
            safe_end: protocol >= Protocol::V31 || compat.has(Compat::SafeList),
            since_31: protocol >= Protocol::V31,
        }
    }

    /// Whether an entry of this mode has the device rows of protocol 8.3.
    #[must_use]
    pub(super) fn has_device(&self, mode: u32) -> bool {
        match mode & TYPE_MASK {
            TYPE_CHARACTER | TYPE_BLOCK => self.devices,
            TYPE_FIFO | TYPE_SOCKET => self.specials && !self.since_31,
            _ => false,
        }
    }

    /// Whether the list's own end can tell about problems; else MSG_IO_ERROR follows it (protocol 8.5).
    #[must_use]
    pub fn end_carries_errors(&self) -> bool {
        self.varint_flags || self.safe_end
    }
}

/// The flag bits of an entry (protocol 8.2).
pub(super) mod flag {
    pub(in super::super) const TOP_DIR: u32 = 0x0001;
    pub(in super::super) const SAME_MODE: u32 = 0x0002;
    pub(in super::super) const EXTENDED: u32 = 0x0004;
    pub(in super::super) const SAME_UID: u32 = 0x0008;
    pub(in super::super) const SAME_GID: u32 = 0x0010;
    pub(in super::super) const SAME_NAME: u32 = 0x0020;
    pub(in super::super) const LONG_NAME: u32 = 0x0040;
    pub(in super::super) const SAME_TIME: u32 = 0x0080;
    /// Devices.
    pub(in super::super) const SAME_MAJOR: u32 = 0x0100;
    /// Directories.
    pub(in super::super) const NO_CONTENT: u32 = 0x0100;
    pub(in super::super) const HLINKED: u32 = 0x0200;
    pub(in super::super) const USER_NAME: u32 = 0x0400;
    pub(in super::super) const GROUP_NAME: u32 = 0x0800;
    pub(in super::super) const HLINK_FIRST: u32 = 0x1000;
    pub(in super::super) const MOD_NSEC: u32 = 0x2000;
    pub(in super::super) const SAME_ATIME: u32 = 0x4000;
    /// The end of a fixed-form list that carries an error word: EXTENDED and HLINK_FIRST.
    pub(in super::super) const END_WITH_ERROR: u32 = EXTENDED | HLINK_FIRST;
    /// All that an entry of the single-list form may have.
    pub(in super::super) const KNOWN: u32 = 0x73ff;
}
