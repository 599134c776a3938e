//! Plain files in a directory of ours, as the entries of a snapshot: looked at, written, linked, removed.
//!
//! Every name is given from the top of the tree, so the longest path that a snapshot can have can be said wherever the
//! tree is, and nothing is written elsewhere. A file gets its times last: one that was cut short never looks whole.
//! Deliberately absent: what goes where.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode as Permissions, OFlags, StatxFlags, Timespec, Timestamps, UTIME_OMIT, chmodat,
    fchmod, futimens, linkat, mkdirat, openat, readlinkat, statx, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::error::NodeError;
use crate::store::Hollow;
use crate::tree::{ContentHasher, ContentId, Entry, Kind, Mode, Mtime, Snapshot, TreePath};

/// How much of a file is read at once.
const PIECE: usize = 256 << 10;

/// The top of a tree of plain files.
#[derive(Debug)]
pub(super) struct Plain {
    root: OwnedFd,
    path: PathBuf,
}

/// What has a name.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Found {
    sort: FileType,
    mode: Option<Mode>,
    mtime: Option<Mtime>,
    size: u64,
    pub(super) inode: u64,
}

impl Found {
    /// Whether it looks as `entry` does, as far as can be said without reading it.
    pub(super) fn is_like(&self, entry: &Entry<'_>) -> bool {
        match entry.kind {
            Kind::Directory { .. } => self.sort == FileType::Directory,
            Kind::Symlink { .. } => self.sort == FileType::Symlink && self.mtime == Some(entry.mtime),
            Kind::File { mode, size, .. } => {
                self.sort == FileType::RegularFile
                    && (self.mode, self.mtime, self.size) == (Some(mode), Some(entry.mtime), size)
            }
        }
    }

    /// Whether it has the time that `entry` has, on file systems that keep whole seconds only, too.
    pub(super) fn is_timed_like(&self, entry: &Entry<'_>) -> bool {
        self.mtime.is_some_and(|found| {
            found == entry.mtime || (found.nanos() == 0 && found.seconds() == entry.mtime.seconds())
        })
    }
}

impl Plain {
    /// Opens the directory at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, NodeError> {
        let root = openat(CWD, path, directory(), Permissions::empty());
        let root =
            root.map_err(|error| NodeError::File { attempt: "open", path: path.to_owned(), source: error.into() })?;
        Ok(Self { root, path: path.to_owned() })
    }

    /// What has the name `path`, if anything; a symlink is looked at, not followed.
    pub(super) fn find(&self, path: TreePath<'_>) -> Result<Option<Found>, NodeError> {
        let said = match statx(&self.root, path.as_bytes(), AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS) {
            Ok(said) => said,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(self.failed("look at", path)(error)),
        };
        Ok(Some(Found {
            sort: FileType::from_raw_mode(u32::from(said.stx_mode)),
            mode: Mode::new(u32::from(said.stx_mode) & 0o7777),
            mtime: Mtime::new(said.stx_mtime.tv_sec, said.stx_mtime.tv_nsec),
            size: said.stx_size,
            inode: said.stx_ino,
        }))
    }

    /// The target of a symlink.
    pub(super) fn target(&self, path: TreePath<'_>) -> Result<Vec<u8>, NodeError> {
        let target = readlinkat(&self.root, path.as_bytes(), Vec::new()).map_err(self.failed("read", path))?;
        Ok(target.into_bytes())
    }

    /// The id of the bytes of a file.
    pub(super) fn digest(&self, path: TreePath<'_>) -> Result<ContentId, NodeError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = openat(&self.root, path.as_bytes(), flags, Permissions::empty());
        let mut open = File::from(open.map_err(self.failed("open", path))?);
        let mut hasher = ContentHasher::new();
        pieces(&mut open, &mut |piece| {
            hasher.update(piece);
            Ok(())
        })
        .map_err(self.failed_io("read", path))?;
        Ok(hasher.finish())
    }

    /// Makes a directory that only we may look into, or lets us into one that is there.
    pub(super) fn make_directory(&self, path: TreePath<'_>) -> Result<(), NodeError> {
        match mkdirat(&self.root, path.as_bytes(), Permissions::RWXU) {
            Err(Errno::EXIST) => {
                let opened = chmodat(&self.root, path.as_bytes(), Permissions::RWXU, AtFlags::empty());
                opened.map_err(self.failed("open", path))
            }
            made => made.map_err(self.failed("make", path)),
        }
    }

    /// Writes a file of these bytes, where none is.
    pub(super) fn write(&self, entry: &Entry<'_>, bytes: &[u8]) -> Result<(), NodeError> {
        let mut out = self.create(entry.path)?;
        out.write_all(bytes).map_err(self.failed_io("write", entry.path))?;
        self.finish(entry, &out)
    }

    /// Writes a file of all that can be read from `source`, without blocks for its zeros, and gives the id of that. An error
    /// of `source` itself is the inner one.
    pub(super) fn copy(&self, entry: &Entry<'_>, source: &mut File) -> Result<Result<ContentId, io::Error>, NodeError> {
        let mut out = Hollow::new(self.create(entry.path)?);
        let (mut hasher, mut failed) = (ContentHasher::new(), None);
        let read = pieces(source, &mut |piece| {
            hasher.update(piece);
            out.write(piece).inspect_err(|error| failed = Some(io::Error::from(error.kind())))
        });
        match (read, failed) {
            (Err(error), Some(_)) => Err(self.failed_io("write", entry.path)(error)),
            (Err(error), None) => Ok(Err(error)),
            (Ok(()), _) => {
                let whole = out.finish().map_err(self.failed_io("write", entry.path))?;
                self.finish(entry, whole).map(|()| Ok(hasher.finish()))
            }
        }
    }

    fn create(&self, path: TreePath<'_>) -> Result<File, NodeError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let made = openat(&self.root, path.as_bytes(), flags, Permissions::RUSR | Permissions::WUSR);
        made.map(File::from).map_err(self.failed("make", path))
    }

    fn finish(&self, entry: &Entry<'_>, out: &File) -> Result<(), NodeError> {
        if let Kind::File { mode, .. } = entry.kind {
            fchmod(out, permissions(mode)).map_err(self.failed("set the mode of", entry.path))?;
        }
        futimens(out, &times(entry.mtime)).map_err(self.failed("set the time of", entry.path))
    }

    /// Makes a symlink, where nothing is.
    pub(super) fn make_symlink(&self, entry: &Entry<'_>, target: &[u8]) -> Result<(), NodeError> {
        let path = entry.path;
        symlinkat(target, &self.root, path.as_bytes()).map_err(self.failed("make", path))?;
        utimensat(&self.root, path.as_bytes(), &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.failed("set the time of", path))
    }

    /// Gives a file of another tree, or of this one, a name here. False where the two places cannot share a file.
    pub(super) fn link(&self, from: &Plain, at: TreePath<'_>, path: TreePath<'_>) -> Result<bool, NodeError> {
        match linkat(&from.root, at.as_bytes(), &self.root, path.as_bytes(), AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::ACCESS) => Ok(false),
            Err(error) => Err(self.failed("link", path)(error)),
        }
    }

    /// Gives a directory its mode and time; nothing may be made in it afterwards.
    pub(super) fn close_directory(&self, entry: &Entry<'_>) -> Result<(), NodeError> {
        let Kind::Directory { mode } = entry.kind else { return Ok(()) };
        let path = entry.path.as_bytes();
        let timed = utimensat(&self.root, path, &times(entry.mtime), AtFlags::empty());
        timed.map_err(self.failed("set the time of", entry.path))?;
        let changed = chmodat(&self.root, path, permissions(mode), AtFlags::empty());
        changed.map_err(self.failed("set the mode of", entry.path))
    }

    /// Removes what is no directory.
    pub(super) fn remove(&self, path: TreePath<'_>) -> Result<(), NodeError> {
        unlinkat(&self.root, path.as_bytes(), AtFlags::empty()).map_err(self.failed("remove", path))
    }

    /// Removes everything that `snapshot` does not have, or has as something else, and lets us into all directories.
    pub(super) fn prune(&self, snapshot: &Snapshot) -> Result<(), NodeError> {
        let stays = |path: &[u8], sort| {
            let entry = TreePath::new(path).ok().and_then(|path| snapshot.entry(snapshot.find(path)?));
            entry.is_some_and(|entry| match entry.kind {
                Kind::Directory { .. } => sort == FileType::Directory,
                Kind::File { .. } => sort == FileType::RegularFile,
                Kind::Symlink { .. } => sort == FileType::Symlink,
            })
        };
        clear(&self.root, &stays).map_err(|error| self.failed("clear", TreePath::ROOT)(error))
    }

    /// The whole path of a name.
    pub(super) fn path_of(&self, path: TreePath<'_>) -> PathBuf {
        self.path.join(OsStr::from_bytes(path.as_bytes()))
    }

    fn failed(&self, attempt: &'static str, path: TreePath<'_>) -> impl FnOnce(Errno) -> NodeError {
        let failed = self.failed_io(attempt, path);
        move |error| failed(error.into())
    }

    fn failed_io(&self, attempt: &'static str, path: TreePath<'_>) -> impl FnOnce(io::Error) -> NodeError {
        let path = self.path_of(path);
        move |source| NodeError::File { attempt, path, source }
    }
}

/// Removes a directory with all that it holds, however deep; that it is not there is as good.
pub(super) fn remove_tree(path: &Path) -> Result<(), NodeError> {
    let failed = |error: Errno| NodeError::File { attempt: "remove", path: path.to_owned(), source: error.into() };
    let root = match openat(CWD, path, directory() | OFlags::PATH, Permissions::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened.map_err(failed)?,
    };
    clear(&root, &|_, _| false).map_err(failed)?;
    unlinkat(CWD, path, AtFlags::REMOVEDIR).map_err(failed)
}

/// Removes what lies below `root` and does not stay, however deep, and lets us into all directories.
fn clear(root: &OwnedFd, stays: &dyn Fn(&[u8], FileType) -> bool) -> Result<(), Errno> {
    let (mut open, mut going, mut at) = (vec![Vec::new()], Vec::new(), 0);
    while let Some(above) = open.get(at).cloned() {
        at += 1;
        let name = if above.is_empty() { b".".as_slice() } else { above.as_slice() };
        let said = statx(root, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MODE)?;
        // One whose mode keeps its owner out is ours all the same. A change that changes nothing is written all the same.
        if !Permissions::from_raw_mode(u32::from(said.stx_mode)).contains(Permissions::RWXU) {
            chmodat(root, name, Permissions::RWXU, AtFlags::empty())?;
        }
        for item in Dir::new(openat(root, name, directory(), Permissions::empty())?)? {
            let item = item?;
            let Some(inside) = below(&above, item.file_name().to_bytes()) else { continue };
            let sort = match item.file_type() {
                // Not every file system says so along with the name.
                FileType::Unknown => {
                    let said = statx(root, inside.as_slice(), AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE)?;
                    FileType::from_raw_mode(u32::from(said.stx_mode))
                }
                told => told,
            };
            let stays = stays(&inside, sort);
            if sort == FileType::Directory {
                if !stays {
                    going.push(inside.clone());
                }
                open.push(inside);
            } else if !stays {
                unlinkat(root, inside.as_slice(), AtFlags::empty())?;
            }
        }
    }
    // What a directory holds was found after it, so it goes before it.
    going.iter().rev().try_for_each(|path| unlinkat(root, path.as_slice(), AtFlags::REMOVEDIR))
}

/// The path of a name that was found in a directory.
fn below(above: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    match (above, name) {
        (_, b"." | b"..") => None,
        (b"", name) => Some(name.to_vec()),
        (above, name) => Some([above, b"/", name].concat()),
    }
}

fn directory() -> OFlags {
    OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn permissions(mode: Mode) -> Permissions {
    Permissions::from_raw_mode(mode.bits())
}

fn times(mtime: Mtime) -> Timestamps {
    let last_modification = Timespec { tv_sec: mtime.seconds(), tv_nsec: mtime.nanos().into() };
    Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, last_modification }
}

/// Hands all that can be read to `each`.
fn pieces(source: &mut File, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match source.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => each(piece.get(..length).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_tree_goes_whatever_its_modes_and_its_depth() {
        let place = tempfile::tempdir().expect("a directory");
        let root = place.path().join("tree");
        fs::create_dir(&root).expect("a directory");
        let plain = Plain::open(&root).expect("it is there");
        // The longest path that a snapshot can have.
        let mut path = Vec::new();
        while path.len() < 4094 {
            path.extend(if path.is_empty() { b"d".as_slice() } else { b"/d" });
            plain.make_directory(TreePath::new(&path).expect("a path")).expect("a directory");
        }
        let leaf = [&path[..4093], b"/f"].concat();
        plain.create(TreePath::new(&leaf).expect("a path")).expect("a file");
        std::os::unix::fs::symlink(place.path(), root.join("link")).expect("a link");
        chmodat(CWD, root.join("d"), Permissions::RUSR, AtFlags::empty()).expect("ours");
        remove_tree(&root).expect("all of it");
        remove_tree(&root).expect("nothing is left to do");
        assert_eq!(fs::read_dir(place.path()).expect("it stays").count(), 0);
    }
}
