//! Gives what root made in the data directory of another user to that user.
//!
//! A node that runs as somebody else must be able to read what `init` and `restore` made for it. Whose it is to be, the
//! data directory itself says. That user may put anything there meanwhile, so no link is followed on the way.
//! Deliberately absent: what the store makes, which it gives away itself.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, openat, statat};
use rustix::io::Errno;

use super::error::{NodeError, file};

/// Gives away everything in the data directory `dir`; nothing, if it is root's or this is not root.
pub(super) fn give_away_all(dir: &Path) -> Result<(), NodeError> {
    let Some(owner) = Owner::of(dir)? else { return Ok(()) };
    let listed = open(CWD, dir.as_os_str()).and_then(|open| owner.take_inside(open.as_fd()));
    listed.map_err(|error| file("give away what is in", dir)(error.into()))
}

/// Gives away what is at `path` with everything in it, in the same way.
pub(super) fn give_away(path: &Path, dir: &Path) -> Result<(), NodeError> {
    let Some(owner) = Owner::of(dir)? else { return Ok(()) };
    owner.take(CWD, path.as_os_str()).map_err(|error| file("give away", path)(error.into()))
}

struct Owner {
    user: Uid,
    group: Gid,
}

impl Owner {
    fn of(dir: &Path) -> Result<Option<Self>, NodeError> {
        let found = fs::metadata(dir).map_err(file("look at", dir))?;
        let is_other = rustix::process::geteuid().is_root() && found.uid() != 0;
        Ok(is_other.then(|| Self { user: Uid::from_raw(found.uid()), group: Gid::from_raw(found.gid()) }))
    }

    fn take(&self, at: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
        chownat(at, name, Some(self.user), Some(self.group), AtFlags::SYMLINK_NOFOLLOW)?;
        let found = statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => self.take_inside(open(at, name)?.as_fd()),
            _ => Ok(()),
        }
    }

    fn take_inside(&self, directory: BorrowedFd<'_>) -> Result<(), Errno> {
        for item in Dir::read_from(directory)? {
            let item = item?;
            let name = item.file_name().to_bytes();
            if name != b"." && name != b".." {
                self.take(directory, OsStr::from_bytes(name))?;
            }
        }
        Ok(())
    }
}

fn open(at: BorrowedFd<'_>, name: &OsStr) -> Result<rustix::fd::OwnedFd, Errno> {
    openat(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}
