//! A directory of ours that is replaced as a whole: the next edition is built beside it and takes its place in one rename.
//!
//! `DIR` is what others see; `.DIR.headwater` beside it holds the edition that is being built, and a small text that says
//! which directory is ours and what it holds. A directory that this text does not name by its inode is somebody else's
//! and is never touched. Whatever a run that was cut leaves behind is there for the next one, and `DIR` is at every
//! moment the old edition or the new one.
//! Deliberately absent: what an edition holds.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with, syncfs};
use rustix::io::Errno;

use super::copy_error::CopyError;
use super::error::{NodeError, file};
use super::plain::remove_tree;

/// Longest text of this kind that is read.
const MAX_STATE_BYTES: u64 = 4096;

/// The place beside a directory. While it is held nobody else builds there.
#[derive(Debug)]
pub(super) struct Beside {
    kind: &'static str,
    target: PathBuf,
    side: PathBuf,
    former: Option<String>,
    _lock: File,
}

/// Directories of ours, as the text names them.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct State {
    /// What others see, and what was about to be shown when the text was written.
    known: Vec<Known>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Known {
    inode: u64,
    label: String,
}

/// An edition of ours that can be read: where it is and what it was called when it was shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Edition {
    pub(super) path: PathBuf,
    pub(super) label: String,
    /// Where small files about it lie.
    pub(super) side: PathBuf,
}

/// Looks for an edition of ours at `path`, for reading.
pub(super) fn edition(kind: &'static str, path: &Path) -> Result<Edition, NodeError> {
    let path = resolved(path)?;
    let side = side_of(&path)?;
    match (inode(&path)?, State::read(kind, &side)?) {
        (Some(inode), state) => match state.label(inode) {
            Some(label) => Ok(Edition { label, path, side }),
            None => Err(CopyError::NotOurs { path, kind }.into()),
        },
        (None, _) => Err(CopyError::NotOurs { path, kind }.into()),
    }
}

impl Beside {
    /// Takes the place beside `target`, which is not there yet, or empty, or an edition of ours of the same `kind`.
    pub(super) fn take(kind: &'static str, target: &Path) -> Result<Self, NodeError> {
        let target = resolved(target)?;
        let side = side_of(&target)?;
        let former = Self::former_at(kind, &target, &side)?;
        match DirBuilder::new().mode(0o700).create(&side) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made.map_err(file("make", &side))?,
        }
        let path = side.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(file("open", &path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(CopyError::Busy { path: target, kind }.into()),
            Err(error) => return Err(file("lock", &path)(error.into())),
        }
        // It may have been replaced while nobody had the lock.
        let former = Self::former_at(kind, &target, &side).map(|now| now.or(former))?;
        let beside = Self { kind, target, side, former, _lock: lock };
        remove_tree(&beside.old())?;
        Ok(beside)
    }

    /// What the directory is called if it is ours; fails if it is somebody else's.
    fn former_at(kind: &'static str, target: &Path, side: &Path) -> Result<Option<String>, NodeError> {
        let Some(inode) = inode(target)? else { return Ok(None) };
        let label = State::read(kind, side)?.label(inode);
        let is_empty = || fs::read_dir(target).map(|mut names| names.next().is_none());
        if label.is_none() && !is_empty().map_err(file("list", target))? {
            return Err(CopyError::NotOurs { path: target.to_owned(), kind }.into());
        }
        Ok(label)
    }

    /// The directory that others see.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Where the next edition is built. What is there is of a run that was cut.
    pub(super) fn building(&self) -> PathBuf {
        self.side.join("new")
    }

    fn old(&self) -> PathBuf {
        self.side.join("old")
    }

    /// Where small files about editions lie.
    pub(super) fn side(&self) -> &Path {
        &self.side
    }

    /// The edition that is shown now, if there is one.
    pub(super) fn former(&self) -> Option<Edition> {
        let label = self.former.clone()?;
        Some(Edition { path: self.target.clone(), label, side: self.side.clone() })
    }

    /// Makes what was built durable, shows it under the name of the old edition, and removes that one.
    pub(super) fn show(self, label: &str) -> Result<PathBuf, NodeError> {
        let building = self.building();
        let open = File::open(&building).map_err(file("open", &building))?;
        syncfs(&open).map_err(|error| file("sync", &building)(error.into()))?;
        let next = Known { inode: open.metadata().map_err(file("look at", &building))?.ino(), label: label.to_owned() };
        let now = inode(&self.target)?;
        let shown = self.former.clone().zip(now).map(|(label, inode)| Known { inode, label });
        State { known: shown.into_iter().chain([next.clone()]).collect() }.write(self.kind, &self.side)?;
        match now {
            None => fs::rename(&building, &self.target).map_err(file("rename to", &self.target))?,
            Some(_) => self.exchange(&building)?,
        }
        let parent = self.target.parent().unwrap_or(Path::new("/"));
        sync(parent)?;
        State { known: vec![next] }.write(self.kind, &self.side)?;
        for old in [self.building(), self.old()] {
            if let Err(error) = remove_tree(&old) {
                tracing::warn!(%error, "the edition before is not removed; the next run does it");
            }
        }
        Ok(self.target)
    }

    /// In one step, or where the file system cannot, in two with nothing to see between them.
    fn exchange(&self, building: &Path) -> Result<(), NodeError> {
        match renameat_with(CWD, building, CWD, &self.target, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(()),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                fs::rename(&self.target, self.old()).map_err(file("rename", &self.target))?;
                fs::rename(building, &self.target).map_err(file("rename to", &self.target))
            }
            Err(error) => Err(file("rename to", &self.target)(error.into())),
        }
    }
}

impl State {
    fn label(&self, inode: u64) -> Option<String> {
        self.known.iter().find(|known| known.inode == inode).map(|known| known.label.clone())
    }

    fn path(side: &Path) -> PathBuf {
        side.join("state")
    }

    /// The text, or nothing known where there is none.
    fn read(kind: &'static str, side: &Path) -> Result<Self, NodeError> {
        let path = Self::path(side);
        let mut text = String::new();
        match File::open(&path).and_then(|open| open.take(MAX_STATE_BYTES).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(file("read", &path)(error)),
        }
        let mut lines = text.lines();
        let is_ours = lines.next() == Some(&*first_line(kind));
        let known = lines.map_while(|line| {
            let (inode, label) = line.strip_prefix("directory ")?.split_once(' ')?;
            Some(Known { inode: inode.parse().ok()?, label: label.to_owned() })
        });
        // Of another kind, or damaged: then nothing here is known to be ours.
        Ok(if is_ours { Self { known: known.collect() } } else { Self::default() })
    }

    fn write(&self, kind: &'static str, side: &Path) -> Result<(), NodeError> {
        let mut text = first_line(kind) + "\n";
        for known in &self.known {
            text.push_str(&format!("directory {} {}\n", known.inode, known.label));
        }
        write_durably(&Self::path(side), text.as_bytes())
    }
}

fn first_line(kind: &str) -> String {
    format!("headwater {kind} 1")
}

/// Writes a file beside and renames it, so that it is whole or not there.
pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), NodeError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let write = |mut open: File| open.write_all(bytes).and_then(|()| open.sync_all());
    File::create(&beside).and_then(write).map_err(file("write", &beside))?;
    fs::rename(&beside, path).map_err(file("rename to", path))?;
    sync(path.parent().unwrap_or(Path::new("/")))
}

/// Makes the names in a directory durable.
pub(super) fn sync(directory: &Path) -> Result<(), NodeError> {
    File::open(directory).and_then(|open| open.sync_all()).map_err(file("sync", directory))
}

/// The path without symlinks; the last component need not be there yet.
fn resolved(path: &Path) -> Result<PathBuf, NodeError> {
    match path.canonicalize() {
        Ok(resolved) => return Ok(resolved),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(file("look at", path)(error)),
    }
    let whole = std::path::absolute(path).map_err(file("look at", path))?;
    let (Some(parent), Some(name)) = (whole.parent(), whole.file_name()) else {
        return Err(file("replace", path)(ErrorKind::InvalidInput.into()));
    };
    Ok(parent.canonicalize().map_err(file("look at", parent))?.join(name))
}

fn side_of(target: &Path) -> Result<PathBuf, NodeError> {
    let Some(name) = target.file_name() else { return Err(file("replace", target)(ErrorKind::InvalidInput.into())) };
    let mut side = OsString::from(".");
    side.push(name);
    side.push(".headwater");
    Ok(target.with_file_name(side))
}

/// The inode of a directory; `None` if there is nothing. Anything else in its place is in the way.
fn inode(path: &Path) -> Result<Option<u64>, NodeError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(Some(found.ino())),
        Ok(_) => Err(file("replace", path)(io::Error::from(ErrorKind::NotADirectory))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file("look at", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "export";

    fn build(target: &Path, name: &str) -> PathBuf {
        let beside = Beside::take(KIND, target).expect("it is ours or free");
        fs::create_dir(beside.building()).expect("it is new");
        fs::write(beside.building().join(name), name).expect("a file");
        beside.show(name).expect("it can be shown")
    }

    fn names(path: &Path) -> Vec<OsString> {
        let mut names: Vec<_> =
            fs::read_dir(path).expect("a directory").map(|e| e.expect("a name").file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_edition_takes_the_place_of_the_one_before() {
        let place = tempfile::tempdir().expect("a directory");
        let target = place.path().join("tree");
        for name in ["one", "two", "three"] {
            let shown = build(&target, name);
            assert_eq!(names(&shown), [name]);
            assert_eq!(edition(KIND, &target).expect("ours").label, name);
            assert_eq!(names(&place.path().join(".tree.headwater")), ["lock", "state"], "the old one is gone");
        }
        assert!(edition("backup", &target).is_err(), "of another kind");
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&target, &link).expect("a link");
        build(&link, "four");
        assert_eq!(names(&target), ["four"], "through a symlink");
    }

    #[test]
    fn what_is_not_ours_is_not_touched() {
        let place = tempfile::tempdir().expect("a directory");
        let target = place.path().join("tree");
        fs::create_dir(&target).expect("a directory");
        build(&target, "an empty one may be taken");
        fs::remove_dir_all(&target).expect("it is ours");
        build(&target, "so may one that has gone");
        // One with the same name, made by somebody else while ours still had its inode.
        fs::rename(&target, place.path().join("away")).expect("a new name");
        fs::create_dir(&target).expect("a directory");
        fs::write(target.join("precious"), "").expect("a file");
        for kind in [KIND, "backup"] {
            let refused = Beside::take(kind, &target).expect_err("it is theirs");
            assert!(refused.to_string().contains("tree"), "{refused}");
        }
        assert_eq!(names(&target), ["precious"]);
        let stray = place.path().join("stray");
        fs::write(&stray, "").expect("a file");
        assert!(Beside::take(KIND, &stray).is_err() && stray.is_file());
    }

    #[test]
    fn one_builds_at_a_time_and_what_was_cut_is_found_again() {
        let place = tempfile::tempdir().expect("a directory");
        let target = place.path().join("tree");
        build(&target, "one");
        let first = Beside::take(KIND, &target).expect("ours");
        fs::create_dir_all(first.building().join("half")).expect("a directory");
        let refused = Beside::take(KIND, &target).expect_err("it is taken");
        assert!(matches!(refused, NodeError::Copy(CopyError::Busy { .. })), "{refused}");
        drop(first);
        let again = Beside::take(KIND, &target).expect("it is free");
        assert_eq!(names(&again.building()), ["half"]);
        assert_eq!(again.former().expect("the first").label, "one");
    }

    #[test]
    fn a_run_that_was_cut_around_the_rename_is_understood() {
        let place = tempfile::tempdir().expect("a directory");
        let target = place.path().join("tree");
        build(&target, "one");
        let side = place.path().join(".tree.headwater");
        let before = inode(&target).expect("a directory").expect("it is there");
        fs::create_dir(side.join("new")).expect("a directory");
        let after = inode(&side.join("new")).expect("a directory").expect("it is there");
        let known = [(before, "one"), (after, "two")].map(|(inode, label)| Known { inode, label: label.to_owned() });
        State { known: known.into() }.write(KIND, &side).expect("a text");
        assert_eq!(Beside::take(KIND, &target).expect("ours").former().expect("the old one").label, "one");
        renameat_with(CWD, side.join("new"), CWD, &target, RenameFlags::EXCHANGE).expect("they are there");
        assert_eq!(Beside::take(KIND, &target).expect("ours").former().expect("the new one").label, "two");
    }
}
