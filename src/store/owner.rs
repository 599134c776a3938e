//! Whose the files of a store are: those of whoever has the data directory, also where root makes them.
//!
//! A command by root beside a node of another user must leave nothing that the node cannot read. SQLite sees to its own
//! files in the same way. What an earlier command left to root is given away when the store is opened.
//! Deliberately absent: becoming that user, who may not be able to read what root imports.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, Mode, OFlags, access};
use rustix::process::geteuid;

use super::error::{StoreError, file};

/// Who gets what is made in a data directory.
#[derive(Copy, Clone, Debug)]
pub(super) enum Owner {
    /// Whoever makes it.
    Maker,
    /// This user with this group; root gives it away.
    Other(u32, u32),
}

impl Owner {
    /// The owner of what is made in `dir`.
    pub(super) fn of(dir: &Path) -> Self {
        match fs::metadata(dir) {
            Ok(found) if geteuid().is_root() && found.uid() != 0 => Self::Other(found.uid(), found.gid()),
            _ => Self::Maker,
        }
    }

    /// Gives an open file away.
    pub(super) fn take(self, open: &File, path: &Path) -> Result<(), StoreError> {
        match self {
            Self::Maker => Ok(()),
            Self::Other(user, group) => fchown(open, Some(user), Some(group)).map_err(file("give away", path)),
        }
    }

    /// Gives away what lies at `path`, and all that a directory holds, unless it is that user's already. A link, or a file
    /// with other names, may be anything: that user could have put it there.
    pub(super) fn take_all(self, path: &Path) -> Result<(), StoreError> {
        let Self::Other(user, _) = self else { return Ok(()) };
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(open) = rustix::fs::open(path, flags, Mode::empty()).map(File::from) else { return Ok(()) };
        let found = open.metadata().map_err(file("look at", path))?;
        let is_own = found.is_dir() || (found.is_file() && found.nlink() == 1);
        if found.uid() == user || !is_own {
            return Ok(());
        }
        if found.is_dir() {
            for inside in fs::read_dir(path).map_err(file("list", path))? {
                self.take_all(&inside.map_err(file("list", path))?.path())?;
            }
        }
        // The directory last: as long as it is not given away, it is looked into again.
        self.take(&open, path)
    }
}

/// Says which of these directories this process cannot use, so that it is known before clients miss what lies there.
pub(super) fn name_closed(directories: &[PathBuf]) {
    for path in directories {
        if let Err(error) = access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
            let path = path.display();
            tracing::error!(%path, %error, "what lies there can be neither read nor mended: give it to the user of the node");
        }
    }
}
