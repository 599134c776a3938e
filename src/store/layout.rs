//! Where things lie in the data directory, and the lock that makes it one process's.
//!
//! Every path that the store opens is made here, from the data directory and names of our own, so nothing that a peer
//! sends becomes part of a path. The lock is an flock: the kernel drops it when its holder dies, however it dies. On a
//! read-only file system nobody writes, so those who read there share it.
//! Deliberately absent: keys, sockets and distfiles, which belong to others.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation, access, flock};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::error::{StoreError, file};
use super::owner::Owner;

/// Longest process number that is read back from the lock.
const MAX_PID_DIGITS: u64 = 10;

/// The rights of neither owner nor group.
const OTHERS: u32 = 0o007;

/// How the file system of a data directory is mounted.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Mount {
    /// It can be written.
    Writable,
    /// It cannot, by nobody: by intent, or since the kernel found it damaged.
    ReadOnly,
}

/// The paths below one data directory.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) fn of(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn database(&self) -> PathBuf {
        self.root.join("headwater.db")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.root.join("headwater.db-wal")
    }

    /// What readers and the writer share while the database is open.
    pub(super) fn shared(&self) -> PathBuf {
        self.root.join("headwater.db-shm")
    }

    /// How it is mounted at this moment.
    pub(super) fn mount(&self) -> Mount {
        match access(&self.root, Access::WRITE_OK) {
            Err(Errno::ROFS) => Mount::ReadOnly,
            // That this user may not write there is said by whatever tries.
            _ => Mount::Writable,
        }
    }

    pub(super) fn large(&self) -> PathBuf {
        self.root.join("large")
    }

    pub(super) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    /// Makes the directories that are not there, readable by owner and group only: masked channels are not for all.
    pub(super) fn make(&self, owner: Owner) -> Result<(), StoreError> {
        for directory in [self.root.clone(), self.large(), self.quarantine()] {
            DirBuilder::new().recursive(true).mode(0o750).create(&directory).map_err(file("make", &directory))?;
        }
        [self.large(), self.quarantine()].iter().try_for_each(|path| owner.take_all(path))?;
        sync_directory(&self.root)
    }

    /// Makes the database's file if it is not there, and keeps others than owner and group out of it: the directory may be
    /// one that everybody can enter. SQLite makes its log as the database is. Files of somebody else's are left as they are.
    pub(super) fn close(&self, owner: Owner) -> Result<(), StoreError> {
        let path = self.database();
        match OpenOptions::new().write(true).create_new(true).mode(0o640).open(&path) {
            Ok(made) => owner.take(&made, &path)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(file("make", &path)(error)),
        }
        let me = geteuid();
        for path in [path, self.log(), self.shared()] {
            let Ok(found) = fs::metadata(&path) else { continue };
            let mode = found.mode() & 0o7777;
            if mode & OTHERS != 0 && (me.is_root() || me.as_raw() == found.uid()) {
                fs::set_permissions(&path, Permissions::from_mode(mode & !OTHERS)).map_err(file("close", &path))?;
            }
        }
        Ok(())
    }

    /// Takes the lock, and writes this process's number into it where that can be done.
    pub(super) fn lock(&self, mount: Mount, owner: Owner) -> Result<Lock, StoreError> {
        let path = self.root.join("lock");
        let writes = mount == Mount::Writable;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(writes)
            .create(writes)
            .truncate(false)
            .open(&path)
            .map_err(file("open", &path))?;
        let locked = match mount {
            Mount::Writable => flock(&lock, FlockOperation::NonBlockingLockExclusive),
            Mount::ReadOnly => flock(&lock, FlockOperation::NonBlockingLockShared),
        };
        if let Err(error) = locked {
            if error != Errno::WOULDBLOCK {
                return Err(file("lock", &path)(error));
            }
            let mut text = String::new();
            let read = (&lock).take(MAX_PID_DIGITS).read_to_string(&mut text);
            let pid = read.ok().and_then(|_| text.trim().parse().ok());
            return Err(StoreError::Locked { path: self.root.clone(), pid });
        }
        if writes {
            owner.take(&lock, &path)?;
            let pid = std::process::id();
            lock.set_len(0)
                .and_then(|()| lock.rewind())
                .and_then(|()| writeln!(lock, "{pid}"))
                .map_err(file("write", &path))?;
        }
        Ok(Lock { _held: lock })
    }
}

/// The lock on a data directory; given back when it is dropped, or when the process dies.
#[derive(Debug)]
pub struct Lock {
    _held: File,
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(file("sync", path))
}

/// Removes a file; that it is not there is as good.
pub(super) fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(file("remove", path)(error)),
        _ => Ok(()),
    }
}
