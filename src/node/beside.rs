//! A directory of ours that is replaced as a whole: the next edition is built beside it and takes its place in one rename.
//!
//! `DIR` is what others see; `.DIR.headwater` beside it holds the edition that is being built, and a small text that says
//! which directory is ours and what it holds. A directory is ours if this text names its inode and the time at which it
//! was made: the number alone goes to the next directory that anybody makes. Any other one is somebody else's and is never
//! touched. Whatever a run that was cut leaves behind is there for the next one, and `DIR` is at every moment the old
//! edition or the new one; where a file system cannot exchange the two, a crash may leave neither, and the next run puts
//! the right one back.
//! Deliberately absent: what an edition holds.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, RenameFlags, Statx, StatxAttributes, StatxFlags, flock, renameat_with,
    statx, syncfs,
};
use rustix::io::Errno;

use super::copy_error::CopyError;
use super::error::{NodeError, file};
use super::plain::remove_tree;

/// Longest text of this kind that is read.
const MAX_STATE_BYTES: u64 = 4096;

/// What is being built in the side directory, and what was just replaced.
const NEW: &str = "new";
const OLD: &str = "old";

/// What editions are of.
#[derive(Debug)]
pub(super) struct Sort {
    /// One word for it.
    pub(super) name: &'static str,
    /// Whether a directory is the edition of this label, going by what is in it. Asked where it is not known when the
    /// directory was made; in doubt it is not.
    pub(super) proves: fn(&Edition) -> bool,
}

/// The place beside a directory. While it is held nobody else builds there.
#[derive(Debug)]
pub(super) struct Beside {
    sort: &'static Sort,
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
    directory: Directory,
    label: String,
}

/// What tells a directory from all others of its file system.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Directory {
    inode: u64,
    /// When it was made, in seconds and nanoseconds; not every file system tells it.
    made: Option<(i64, u32)>,
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
pub(super) fn edition(sort: &'static Sort, path: &Path) -> Result<Edition, NodeError> {
    let path = existing(sort, path)?;
    ours(sort, &path, &side_of(&path)?)?.ok_or_else(|| CopyError::NoEdition { path, kind: sort.name }.into())
}

/// The edition at `path`, if what is there is ours.
fn ours(sort: &Sort, path: &Path, side: &Path) -> Result<Option<Edition>, NodeError> {
    let Some(found) = directory(path)? else { return Ok(None) };
    for Known { directory: known, label } in State::read(sort, side)?.known {
        if known.inode != found.inode {
            continue;
        }
        let edition = Edition { path: path.to_owned(), label, side: side.to_owned() };
        let is_ours = match (known.made, found.made) {
            (Some(then), Some(now)) => then == now,
            _ => (sort.proves)(&edition),
        };
        if is_ours {
            return Ok(Some(edition));
        }
    }
    Ok(None)
}

/// Where the edition lies that should be at `target`, if nothing is there and a crash is why.
fn left_beside(sort: &Sort, target: &Path, side: &Path) -> Result<Option<PathBuf>, NodeError> {
    if directory(target)?.is_some() {
        return Ok(None);
    }
    for place in [NEW, OLD].map(|name| side.join(name)) {
        if ours(sort, &place, side)?.is_some() {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// The path without symlinks of what is to be read as an edition. That a crash has left it elsewhere is said.
pub(super) fn existing(sort: &Sort, path: &Path) -> Result<PathBuf, NodeError> {
    let path = resolved(path)?;
    if fs::symlink_metadata(&path).is_ok() {
        return Ok(path);
    }
    Err(match left_beside(sort, &path, &side_of(&path)?)? {
        Some(at) => CopyError::Cut { path, at, kind: sort.name },
        None => CopyError::NoDirectory { path },
    }
    .into())
}

impl Beside {
    /// Takes the place beside `target`, which is not there yet, or empty, or an edition of ours of the same sort.
    pub(super) fn take(sort: &'static Sort, target: &Path) -> Result<Self, NodeError> {
        let target = resolved(target)?;
        can_be_renamed(&target)?;
        let side = side_of(&target)?;
        Self::former_at(sort, &target, &side)?;
        match DirBuilder::new().mode(0o700).create(&side) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made.map_err(file("make", &side))?,
        }
        let path = side.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(file("open", &path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(CopyError::Busy { path: target, kind: sort.name }.into()),
            Err(error) => return Err(file("lock", &path)(error.into())),
        }
        let mut beside = Self { sort, target, side, former: None, _lock: lock };
        beside.put_back()?;
        // It may have been replaced while nobody had the lock.
        beside.former = Self::former_at(sort, &beside.target, &beside.side)?;
        if directory(&beside.target)?.is_some() {
            remove_tree(&beside.old())?;
        }
        Ok(beside)
    }

    /// Shows an edition again that a crash between two renames has left where nobody sees it: the new one, which has its
    /// name in the text only when it is whole, or else the old one.
    fn put_back(&self) -> Result<(), NodeError> {
        let Some(edition) = left_beside(self.sort, &self.target, &self.side)? else { return Ok(()) };
        fs::rename(&edition, &self.target).map_err(file("rename to", &self.target))?;
        sync(self.target.parent().unwrap_or(Path::new("/")))
    }

    /// What the directory is called if it is ours; fails if it is somebody else's.
    fn former_at(sort: &Sort, target: &Path, side: &Path) -> Result<Option<String>, NodeError> {
        if directory(target)?.is_none() {
            return Ok(None);
        }
        let label = ours(sort, target, side)?.map(|edition| edition.label);
        let is_empty = || fs::read_dir(target).map(|mut names| names.next().is_none());
        if label.is_none() && !is_empty().map_err(file("list", target))? {
            return Err(CopyError::NotOurs { path: target.to_owned(), kind: sort.name }.into());
        }
        Ok(label)
    }

    /// Where the next edition is built. What is there is of a run that was cut.
    pub(super) fn building(&self) -> PathBuf {
        self.side.join(NEW)
    }

    fn old(&self) -> PathBuf {
        self.side.join(OLD)
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
        let known = |directory, label: &str| Known { directory, label: label.to_owned() };
        let next = directory(&building)?.map(|directory| known(directory, label));
        // Somebody may have taken the place while it was built.
        let former = Self::former_at(self.sort, &self.target, &self.side)?;
        let now = directory(&self.target)?;
        let shown = former.as_deref().zip(now).map(|(label, directory)| known(directory, label));
        State { known: shown.into_iter().chain(next.clone()).collect() }.write(self.sort, &self.side)?;
        match now {
            None => fs::rename(&building, &self.target).map_err(file("rename to", &self.target))?,
            Some(_) => self.exchange(&building)?,
        }
        let parent = self.target.parent().unwrap_or(Path::new("/"));
        sync(parent)?;
        State { known: next.into_iter().collect() }.write(self.sort, &self.side)?;
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
    fn path(side: &Path) -> PathBuf {
        side.join("state")
    }

    /// The text, or nothing known where there is none.
    fn read(sort: &Sort, side: &Path) -> Result<Self, NodeError> {
        let path = Self::path(side);
        let mut text = String::new();
        match File::open(&path).and_then(|open| open.take(MAX_STATE_BYTES).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(file("read", &path)(error)),
        }
        let mut lines = text.lines();
        let is_ours = lines.next() == Some(&*first_line(sort));
        let known = lines.map_while(|line| {
            let (directory, label) = line.strip_prefix("directory ")?.split_once(' ')?;
            Some(Known { directory: Directory::parse(directory)?, label: label.to_owned() })
        });
        // Of another kind, or damaged: then nothing here is known to be ours.
        Ok(if is_ours { Self { known: known.collect() } } else { Self::default() })
    }

    fn write(&self, sort: &Sort, side: &Path) -> Result<(), NodeError> {
        let mut text = first_line(sort) + "\n";
        for known in &self.known {
            text.push_str(&format!("directory {} {}\n", known.directory, known.label));
        }
        write_durably(&Self::path(side), text.as_bytes())
    }
}

impl Directory {
    /// Reads `INODE@SECONDS.NANOSECONDS`, or `INODE`.
    fn parse(text: &str) -> Option<Self> {
        let Some((inode, made)) = text.split_once('@') else {
            return Some(Self { inode: text.parse().ok()?, made: None });
        };
        let (seconds, nanos) = made.split_once('.')?;
        Some(Self { inode: inode.parse().ok()?, made: Some((seconds.parse().ok()?, nanos.parse().ok()?)) })
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.made {
            Some((seconds, nanos)) => write!(f, "{}@{seconds}.{nanos}", self.inode),
            None => write!(f, "{}", self.inode),
        }
    }
}

fn first_line(sort: &Sort) -> String {
    format!("headwater {} 1", sort.name)
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
        Err(error) if is_nowhere(&error) => {}
        Err(error) => return Err(file("look at", path)(error)),
    }
    let whole = std::path::absolute(path).map_err(file("look at", path))?;
    let (Some(parent), Some(name)) = (whole.parent(), whole.file_name()) else {
        return Err(file("replace", path)(ErrorKind::InvalidInput.into()));
    };
    match parent.canonicalize() {
        Err(error) if is_nowhere(&error) => Err(CopyError::NoDirectory { path: parent.to_owned() }.into()),
        found => Ok(found.map_err(file("look at", parent))?.join(name)),
    }
}

/// Fails where one of the two would be inside of the other.
pub(super) fn apart(data: &Path, target: &Path) -> Result<(), NodeError> {
    let (data, target) = (resolved(data)?, resolved(target)?);
    match target.starts_with(&data) || data.starts_with(&target) {
        true => Err(CopyError::Inside { path: target }.into()),
        false => Ok(()),
    }
}

/// Fails for a mount point: it stays where it is, and what is built beside it is on the file system above.
fn can_be_renamed(target: &Path) -> Result<(), NodeError> {
    let look = |path: &Path| statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
    let found = match look(target) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        found => found.map_err(|error| file("look at", target)(error.into()))?,
    };
    let device = |found: &Statx| (found.stx_dev_major, found.stx_dev_minor);
    let is_on_the_same =
        target.parent().and_then(|parent| look(parent).ok()).map(|above| device(&above) == device(&found));
    match found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) || is_on_the_same != Some(true) {
        true => Err(CopyError::MountPoint { path: target.to_owned() }.into()),
        false => Ok(()),
    }
}

fn is_nowhere(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn side_of(target: &Path) -> Result<PathBuf, NodeError> {
    let Some(name) = target.file_name() else { return Err(file("replace", target)(ErrorKind::InvalidInput.into())) };
    let mut side = OsString::from(".");
    side.push(name);
    side.push(".headwater");
    Ok(target.with_file_name(side))
}

/// The directory at `path`; `None` if there is nothing. Anything else in its place is in the way.
fn directory(path: &Path) -> Result<Option<Directory>, NodeError> {
    let flags = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let said = match statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, flags) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        said => said.map_err(|error| file("look at", path)(error.into()))?,
    };
    if FileType::from_raw_mode(u32::from(said.stx_mode)) != FileType::Directory {
        return Err(CopyError::NoDirectory { path: path.to_owned() }.into());
    }
    let tells = StatxFlags::from_bits_retain(said.stx_mask).contains(StatxFlags::BTIME);
    let made = tells.then_some((said.stx_btime.tv_sec, said.stx_btime.tv_nsec));
    Ok(Some(Directory { inode: said.stx_ino, made }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never more than the text says.
    const EXPORT: &Sort = &Sort { name: "export", proves: |_| false };
    const BACKUP: &Sort = &Sort { name: "backup", proves: |_| false };

    fn build(target: &Path, name: &str) -> PathBuf {
        let beside = Beside::take(EXPORT, target).expect("it is ours or free");
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
            assert_eq!(edition(EXPORT, &target).expect("ours").label, name);
            assert_eq!(names(&place.path().join(".tree.headwater")), ["lock", "state"], "the old one is gone");
        }
        assert!(edition(BACKUP, &target).is_err(), "of another kind");
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
        for sort in [EXPORT, BACKUP] {
            let refused = Beside::take(sort, &target).expect_err("it is theirs");
            assert!(refused.to_string().contains("tree"), "{refused}");
        }
        assert_eq!(names(&target), ["precious"]);
        let stray = place.path().join("stray");
        fs::write(&stray, "").expect("a file");
        assert!(Beside::take(EXPORT, &stray).is_err() && stray.is_file());
    }

    #[test]
    fn what_somebody_puts_in_the_place_while_it_is_built_stays() {
        let place = tempfile::tempdir().expect("a directory");
        let target = place.path().join("tree");
        build(&target, "one");
        let beside = Beside::take(EXPORT, &target).expect("it is ours");
        fs::create_dir(beside.building()).expect("it is new");
        fs::rename(&target, place.path().join("away")).expect("a new name");
        fs::create_dir(&target).expect("a directory");
        fs::write(target.join("precious"), "").expect("a file");
        let refused = beside.show("two").expect_err("it is theirs now");
        assert!(matches!(refused, NodeError::Copy(CopyError::NotOurs { .. })), "{refused}");
        assert_eq!(names(&target), ["precious"]);
    }

    #[test]
    fn a_mount_point_is_refused_before_anything_is_made() {
        for mounted in ["/proc", "/"] {
            let refused = Beside::take(EXPORT, Path::new(mounted)).expect_err("it cannot be renamed");
            assert!(matches!(refused, NodeError::Copy(CopyError::MountPoint { .. })), "{refused}");
        }
    }

    #[test]
    fn one_builds_at_a_time_and_what_was_cut_is_found_again() {
        let place = tempfile::tempdir().expect("a directory");
        let target = place.path().join("tree");
        build(&target, "one");
        let first = Beside::take(EXPORT, &target).expect("ours");
        fs::create_dir_all(first.building().join("half")).expect("a directory");
        let refused = Beside::take(EXPORT, &target).expect_err("it is taken");
        assert!(matches!(refused, NodeError::Copy(CopyError::Busy { .. })), "{refused}");
        drop(first);
        let again = Beside::take(EXPORT, &target).expect("it is free");
        assert_eq!(names(&again.building()), ["half"]);
        assert_eq!(again.former().expect("the first").label, "one");
    }

    fn write_state(side: &Path, known: &[(&Path, &str)]) {
        let known = known.iter().map(|(path, label)| {
            let directory = directory(path).expect("a directory").expect("it is there");
            Known { directory, label: (*label).to_owned() }
        });
        State { known: known.collect() }.write(EXPORT, side).expect("a text");
    }

    #[test]
    fn a_run_that_was_cut_around_the_rename_is_understood() {
        let place = tempfile::tempdir().expect("a directory");
        let target = place.path().join("tree");
        build(&target, "one");
        let side = place.path().join(".tree.headwater");
        fs::create_dir(side.join(NEW)).expect("a directory");
        write_state(&side, &[(&target, "one"), (&side.join(NEW), "two")]);
        assert_eq!(Beside::take(EXPORT, &target).expect("ours").former().expect("the old one").label, "one");
        renameat_with(CWD, side.join("new"), CWD, &target, RenameFlags::EXCHANGE).expect("they are there");
        assert_eq!(Beside::take(EXPORT, &target).expect("ours").former().expect("the new one").label, "two");
    }

    #[test]
    fn an_edition_that_a_crash_left_beside_its_place_is_put_back() {
        // What is beside the place, what of it is known, and what is shown again; a partial one is not known.
        let check = |there: &[&str], known: &[&str], expected: Option<&str>| {
            let place = tempfile::tempdir().expect("a directory");
            let target = place.path().join("tree");
            build(&target, "first");
            let side = place.path().join(".tree.headwater");
            fs::remove_dir_all(&target).expect("it is ours");
            for name in there {
                fs::create_dir(side.join(name)).expect("a directory");
                fs::write(side.join(name).join("file"), name).expect("a file");
            }
            let paths: Vec<PathBuf> = known.iter().map(|name| side.join(name)).collect();
            write_state(&side, &paths.iter().zip(known).map(|(path, name)| (&**path, *name)).collect::<Vec<_>>());
            let said = edition(EXPORT, &target).expect_err("it is not there").to_string();
            assert_eq!(
                expected,
                [NEW, OLD].into_iter().find(|name| said.contains(&format!(".headwater/{name}"))),
                "{said}"
            );
            let beside = Beside::take(EXPORT, &target).expect("it is free");
            assert_eq!(beside.former().map(|former| former.label).as_deref(), expected);
            let shown = fs::read_to_string(target.join("file")).ok();
            assert_eq!(shown.as_deref(), expected);
            let old_is_there = there.contains(&OLD) && expected.is_none();
            assert_eq!(beside.old().exists(), old_is_there, "what may be the only one stays");
        };
        check(&[NEW, OLD], &[OLD, NEW], Some(NEW));
        check(&[NEW, OLD], &[OLD], Some(OLD));
        check(&[OLD], &[OLD], Some(OLD));
        check(&[NEW, OLD], &[], None);
        check(&[], &[], None);
    }
}
