//! Contents over 1 MiB: plain files under `large/`, named by content id.
//!
//! A file gets its name only when its bytes are durable, and no row tells of it before its name is durable too. It is
//! never written again, so its pages can go to a socket by splice. Names are ours (hex digits), never a peer's.
//! Deliberately absent: deciding what is large, and what is no longer needed.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{StoreError, file};
use super::failpoint::{Point, reach};
use super::hollow::Hollow;
use super::layout::{remove_if_there, sync_directory};
use super::owner::Owner;
use crate::tree::ContentId;

/// What names of unfinished files start with. Not a hex digit.
const UNFINISHED: &str = "incoming-";

/// How much of a file is read at once.
pub(super) const PIECE: usize = 256 << 10;

/// The directory `large/`.
#[derive(Clone, Debug)]
pub(super) struct LargeFiles {
    root: PathBuf,
    owner: Owner,
    next: Arc<AtomicU64>,
}

impl LargeFiles {
    pub(super) fn at(root: PathBuf, owner: Owner) -> Self {
        Self { root, owner, next: Arc::default() }
    }

    /// Who gets what is made here.
    pub(super) fn owner(&self) -> Owner {
        self.owner
    }

    /// The directories that files lie in.
    pub(super) fn fans(&self) -> Result<Vec<PathBuf>, StoreError> {
        let fans = names(&self.root)?.into_iter().filter(|name| name.len() == 2);
        Ok(fans.map(|fan| self.root.join(fan)).collect())
    }

    /// The file of a content: two digits of its id, then all of them.
    pub(super) fn path(&self, id: &ContentId) -> PathBuf {
        let name = id.to_string();
        self.root.join(name.get(..2).unwrap_or_default()).join(name)
    }

    /// Removes what an earlier process left unfinished. Only while this process has the lock.
    pub(super) fn remove_unfinished(&self) -> Result<(), StoreError> {
        for name in names(&self.root)? {
            if name.starts_with(UNFINISHED) {
                remove_if_there(&self.root.join(name))?;
            }
        }
        Ok(())
    }

    /// The ids of all files that have their name.
    pub(super) fn all(&self) -> Result<Vec<ContentId>, StoreError> {
        let mut found = Vec::new();
        for fan in self.fans()? {
            let here = names(&fan)?;
            found.extend(here.iter().filter_map(|name| name.parse::<ContentId>().ok()));
        }
        Ok(found)
    }

    /// True if a content has its file, with all of its `size` bytes. Where that cannot be seen nothing is said.
    pub(super) fn has(&self, id: &ContentId, size: u64) -> Result<bool, StoreError> {
        let path = self.path(id);
        match fs::metadata(&path).map_err(file("look for", &path)) {
            Ok(found) => Ok(found.is_file() && found.len() == size),
            Err(StoreError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) if error.is_damage() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Opens the file of a content; `None` if it is not there.
    pub(super) fn open(&self, id: &ContentId) -> Result<Option<File>, StoreError> {
        let path = self.path(id);
        match File::open(&path) {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file("open", &path)(error)),
        }
    }

    /// Hands the bytes of a content to `each`, a piece at a time, until they end or `each` has enough; `None` if its file
    /// is not there.
    pub(super) fn read(
        &self,
        id: &ContentId,
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<Option<()>, StoreError> {
        let Some(mut opened) = self.open(id)? else { return Ok(None) };
        let mut piece = vec![0; PIECE];
        loop {
            match opened.read(&mut piece) {
                Ok(0) => return Ok(Some(())),
                Ok(length) => {
                    if each(piece.get(..length).unwrap_or_default()).is_break() {
                        return Ok(Some(()));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(file("read", &self.path(id))(error)),
            }
        }
    }

    /// Gives a finished file its name, durably.
    pub(super) fn adopt(&self, id: &ContentId, mut incoming: Incoming) -> Result<(), StoreError> {
        let path = self.path(id);
        let directory = path.parent().unwrap_or(&self.root);
        let whole = incoming.hollow.finish().map_err(file("write", &incoming.path))?;
        whole.sync_all().map_err(file("sync", &incoming.path))?;
        reach(Point::BeforeLargeRename);
        match DirBuilder::new().mode(0o750).create(directory) {
            Ok(()) => {
                self.owner.take_all(directory)?;
                sync_directory(&self.root)?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(file("make", directory)(error)),
        }
        fs::rename(&incoming.path, &path).map_err(file("rename to", &path))?;
        incoming.state = Named::Yes;
        sync_directory(directory)?;
        reach(Point::AfterLargeRename);
        Ok(())
    }

    pub(super) fn remove(&self, id: &ContentId) -> Result<(), StoreError> {
        remove_if_there(&self.path(id))
    }
}

/// The names in a directory that are UTF-8; others are not ours.
fn names(path: &Path) -> Result<Vec<String>, StoreError> {
    let attempt = "list";
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(file(attempt, path))? {
        names.extend(entry.map_err(file(attempt, path))?.file_name().into_string());
    }
    Ok(names)
}

/// Where large contents are written while their id is not known yet. Can be used from several threads.
#[derive(Clone, Debug)]
pub struct Landing(pub(super) LargeFiles);

impl Landing {
    /// A new, empty file.
    pub fn create(&self) -> Result<Incoming, StoreError> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let path = self.0.root.join(format!("{UNFINISHED}{number}"));
        let made = File::create_new(&path).map_err(file("make", &path))?;
        self.0.owner.take(&made, &path)?;
        Ok(Incoming { hollow: Hollow::new(made), path, state: Named::No })
    }
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Named {
    No,
    Yes,
}

/// A large content that is being written. Dropped before it was handed over, it is gone.
#[derive(Debug)]
pub struct Incoming {
    hollow: Hollow,
    path: PathBuf,
    state: Named,
}

impl Incoming {
    /// Appends `bytes`. Long runs of zeros take no room on the disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hollow.write(bytes).map_err(file("write", &self.path))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.state == Named::No {
            // What stays behind is removed when the store is opened next.
            let _ = fs::remove_file(&self.path);
        }
    }
}
