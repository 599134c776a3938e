//! What the kernel says of one name: kind, size, times, identity.
//!
//! Two equal sets of facts mean that the file was not touched in between, as far as the kernel tells: any change of
//! bytes or metadata moves the change time, which nobody can set.
//! Deliberately absent: owner and access time, which are no part of a snapshot.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, StatxFlags, statx};
use rustix::io::Errno;

use super::error::LeftOutReason;
use crate::store::Mark;
use crate::tree::{Mode, Mtime};

/// Nanoseconds of a second.
const NANOS: i64 = 1_000_000_000;

/// What kind of thing has a name.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Sort {
    Directory,
    File,
    Symlink,
    Special(LeftOutReason),
}

/// What the kernel says of it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    pub(super) sort: Sort,
    pub(super) mode: Mode,
    pub(super) mtime: Mtime,
    pub(super) size: u64,
    pub(super) links: u32,
    /// Inode, change time and device.
    pub(super) mark: Mark,
}

impl Facts {
    /// Of `name` in `directory`; a symlink is looked at, not followed.
    pub(super) fn of_name(directory: impl AsFd, name: &[u8]) -> Result<Self, Errno> {
        Self::ask(directory, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Of something that is open.
    pub(super) fn of_open(file: impl AsFd) -> Result<Self, Errno> {
        Self::ask(file, b"", AtFlags::EMPTY_PATH)
    }

    fn ask(at: impl AsFd, name: &[u8], flags: AtFlags) -> Result<Self, Errno> {
        let said = statx(at, name, flags, StatxFlags::BASIC_STATS)?;
        let sort = match FileType::from_raw_mode(u32::from(said.stx_mode)) {
            FileType::Directory => Sort::Directory,
            FileType::RegularFile => Sort::File,
            FileType::Symlink => Sort::Symlink,
            FileType::Fifo => Sort::Special(LeftOutReason::Fifo),
            FileType::Socket => Sort::Special(LeftOutReason::Socket),
            _ => Sort::Special(LeftOutReason::Device),
        };
        let ctime = said.stx_ctime.tv_sec.saturating_mul(NANOS).saturating_add(i64::from(said.stx_ctime.tv_nsec));
        let device = (u64::from(said.stx_dev_major) << 32) | u64::from(said.stx_dev_minor);
        Ok(Self {
            sort,
            // Both are in range by what they are masked with and what the kernel promises.
            mode: Mode::new(u32::from(said.stx_mode) & 0o7777).ok_or(Errno::OVERFLOW)?,
            mtime: Mtime::new(said.stx_mtime.tv_sec, said.stx_mtime.tv_nsec).ok_or(Errno::OVERFLOW)?,
            size: said.stx_size,
            links: said.stx_nlink,
            mark: Mark { inode: said.stx_ino, ctime, device },
        })
    }
}
