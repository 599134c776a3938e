//! Reaching a directory below a root by descriptors only.
//!
//! Each component is opened in the one above it and never as a symlink, so whatever happens to the tree meanwhile, the
//! way stays below the root. The descriptors along the last path stay open: neighbours in tree order cost one `openat`.
//! Deliberately absent: absolute paths.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use crate::tree::TreePath;

/// Where one thread stands in the tree.
#[derive(Debug)]
pub(super) struct Descent<'r> {
    root: BorrowedFd<'r>,
    open: Vec<(Box<[u8]>, OwnedFd)>,
}

impl<'r> Descent<'r> {
    pub(super) fn from(root: BorrowedFd<'r>) -> Self {
        Self { root, open: Vec::new() }
    }

    /// Goes to the directory `path`. The descriptor is good until the next call.
    pub(super) fn to(&mut self, path: TreePath<'_>) -> Result<BorrowedFd<'_>, Errno> {
        let mut components = path.components().peekable();
        let mut shared = 0;
        while let (Some((name, _)), Some(component)) = (self.open.get(shared), components.peek())
            && name.as_ref() == *component
        {
            components.next();
            shared += 1;
        }
        self.open.truncate(shared);
        for component in components {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let next = openat(self.here(), component, flags, Mode::empty())?;
            self.open.push((component.into(), next));
        }
        Ok(self.here())
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.open.last().map_or(self.root, |(_, directory)| directory.as_fd())
    }
}
