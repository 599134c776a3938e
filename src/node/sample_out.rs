//! Writes a sample to disk: `DIR/gentoo` and `DIR/distfiles`, from one recipe.
//!
//! A sample that is there already becomes the new one exactly: what differs is replaced, what is
//! too much is removed, what is right is not touched. Because of that a directory is only taken
//! when it is empty or bears the mark of a sample, and the mark is written before anything else.
//! Files are replaced, never written over, so hard links elsewhere keep their bytes. Deliberately
//! absent: durability. A sample that a crash spoils is made again.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use crate::fault::Fault;
use crate::sample::{CategoryDigest, Content, MARK, Place, Plan, RecipeError, SampleFile};
pub use crate::sample::{Recipe, Size};

/// What a sample consists of, and what was done to get there.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub struct Written {
    /// Files of the tree.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Directories of the tree, the top one included.
    pub directories: u64,
    /// Distfiles.
    pub distfiles: u64,
    /// How many of all these files had to be written; the others were there already.
    pub changed: u64,
    /// Files and whole directories that the sample does not have and that are gone now.
    pub removed: u64,
}

/// Why a sample could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// There is no such sample.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The directory holds something else.
    #[error("cannot write a sample to {}: it holds files that are not part of one; name an empty directory", .0.display())]
    NotASample(PathBuf),
    /// The disk refused.
    #[error("cannot {attempt} {}: {source}", path.display())]
    Disk {
        /// What was tried.
        attempt: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl SampleError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Recipe(_) | Self::NotASample(_) => Fault::Operator,
            Self::Disk { .. } => Fault::Local,
        }
    }
}

/// Writes the sample, on so many threads.
///
/// # Errors
/// When the recipe is out of bounds, the directory holds anything else, or the disk refuses. What
/// was written by then stays, and the next call goes on from it.
pub fn write_sample(recipe: &Recipe, dir: &Path, threads: NonZeroUsize) -> Result<Written, SampleError> {
    let plan = Plan::new(recipe)?;
    let target = Target { tree: dir.join("gentoo"), distfiles: dir.join("distfiles") };
    let state = target.claim()?;
    let next = AtomicUsize::new(0);
    let shares = std::thread::scope(|scope| {
        let work = || target.write_categories(&plan, state, &next);
        let workers: Vec<_> = (0..threads.get()).map(|_| scope.spawn(work)).collect();
        let joined =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect::<Result<Vec<Share>, SampleError>>()
    })?;
    let mut all = Share::default();
    for share in shares {
        all.add(share);
    }
    let rest = plan.rest(&all.digests);
    target.write(rest, state, &mut all)?;
    if state == State::Used {
        let keep: HashSet<PathBuf> =
            all.paths.drain(..).chain(all.directories.iter().map(|dir| dir.0.clone())).collect();
        all.written.removed = remove_others(&target.tree, &keep)? + remove_others(&target.distfiles, &keep)?;
    }
    // Last, since every file that is made or removed changes the time of its directory.
    for (path, mode, mtime) in &all.directories {
        set_attributes(path, *mode, *mtime)?;
    }
    Ok(all.written)
}

/// What was there before.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum State {
    Empty,
    Used,
}

struct Target {
    tree: PathBuf,
    distfiles: PathBuf,
}

/// What one thread has done.
#[derive(Default)]
struct Share {
    written: Written,
    digests: Vec<CategoryDigest>,
    /// Files, where they have to be told from leftovers.
    paths: Vec<PathBuf>,
    /// With mode and time.
    directories: Vec<(PathBuf, u32, i64)>,
}

impl Share {
    fn add(&mut self, other: Self) {
        let (sum, more) = (&mut self.written, other.written);
        sum.files += more.files;
        sum.bytes += more.bytes;
        sum.directories += more.directories;
        sum.distfiles += more.distfiles;
        sum.changed += more.changed;
        self.digests.extend(other.digests);
        self.paths.extend(other.paths);
        self.directories.extend(other.directories);
    }
}

impl Target {
    /// Makes sure that the two directories may be written to, and marks them.
    fn claim(&self) -> Result<State, SampleError> {
        for dir in [&self.tree, &self.distfiles] {
            // A symlink could lead to files of others, which would be removed as no part of the sample.
            if fs::symlink_metadata(dir).is_ok_and(|found| !found.is_dir()) {
                return Err(SampleError::NotASample(dir.clone()));
            }
        }
        let layout = self.tree.join("metadata/layout.conf");
        let marked = match fs::read(&layout) {
            Ok(text) => text.starts_with(MARK.as_bytes()),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => false,
            Err(error) => return Err(disk("read", &layout)(error)),
        };
        if marked {
            return Ok(State::Used);
        }
        for dir in [&self.tree, &self.distfiles] {
            match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
                Ok(true) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Ok(false) => return Err(SampleError::NotASample(dir.clone())),
                Err(error) => return Err(disk("read", dir)(error)),
            }
        }
        let metadata = self.tree.join("metadata");
        for dir in [&metadata, &self.distfiles] {
            fs::create_dir_all(dir).map_err(disk("create", dir))?;
        }
        fs::write(&layout, MARK).map_err(disk("write", &layout))?;
        // The mark is a leftover of the sample itself, to be replaced by the whole file.
        Ok(State::Empty)
    }

    fn path(&self, file: &SampleFile) -> PathBuf {
        let top = match file.place {
            Place::Tree => &self.tree,
            Place::Distfiles => &self.distfiles,
        };
        if file.path == "." { top.clone() } else { top.join(&file.path) }
    }

    fn write_categories(&self, plan: &Plan, state: State, next: &AtomicUsize) -> Result<Share, SampleError> {
        let mut share = Share::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= plan.categories() {
                return Ok(share);
            }
            let made = plan.category(number);
            share.digests.push(made.digest);
            self.write(made.files, state, &mut share)?;
        }
    }

    /// Writes files and makes directories; their modes and times come later.
    fn write(&self, files: Vec<SampleFile>, state: State, share: &mut Share) -> Result<(), SampleError> {
        for file in files.iter().filter(|file| file.content == Content::Directory) {
            let path = self.path(file);
            make_directory(&path)?;
            share.written.directories += u64::from(file.place == Place::Tree);
            share.directories.push((path, file.mode, file.mtime));
        }
        for file in files {
            let Content::File(bytes) = &file.content else { continue };
            let path = self.path(&file);
            match file.place {
                Place::Tree => {
                    share.written.files += 1;
                    share.written.bytes += bytes.len() as u64;
                }
                Place::Distfiles => share.written.distfiles += 1,
            }
            if state == State::Empty && !file.path.ends_with("metadata/layout.conf") || !holds(&path, bytes)? {
                create(&path, bytes, &file)?;
                share.written.changed += 1;
            } else {
                set_attributes(&path, file.mode, file.mtime)?;
            }
            if state == State::Used {
                share.paths.push(path);
            }
        }
        Ok(())
    }
}

/// Whether these very bytes are there. Whatever else has the name is removed.
fn holds(path: &Path, bytes: &[u8]) -> Result<bool, SampleError> {
    let known = match fs::symlink_metadata(path) {
        Ok(known) => known,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(disk("look at", path)(error)),
    };
    if known.is_file() && known.len() == bytes.len() as u64 && fs::read(path).map_err(disk("read", path))? == bytes {
        return Ok(true);
    }
    remove(path, known.is_dir())?;
    Ok(false)
}

fn create(path: &Path, bytes: &[u8], file: &SampleFile) -> Result<(), SampleError> {
    let options = OpenOptions::new().write(true).create_new(true).mode(file.mode).to_owned();
    let mut made: File = options.open(path).map_err(disk("create", path))?;
    made.write_all(bytes).map_err(disk("write", path))?;
    // The umask may have taken bits away.
    made.set_permissions(fs::Permissions::from_mode(file.mode)).map_err(disk("set the mode of", path))?;
    let times = timestamps(file.mtime);
    rustix::fs::futimens(&made, &times).map_err(|error| disk("set the time of", path)(error.into()))
}

fn make_directory(path: &Path) -> Result<(), SampleError> {
    match fs::symlink_metadata(path) {
        Ok(known) if known.is_dir() => return Ok(()),
        Ok(_) => remove(path, false)?,
        Err(_) => {}
    }
    fs::create_dir_all(path).map_err(disk("create", path))
}

/// Mode and time, where they differ.
fn set_attributes(path: &Path, mode: u32, mtime: i64) -> Result<(), SampleError> {
    let known = fs::symlink_metadata(path).map_err(disk("look at", path))?;
    if known.mode() & 0o7777 != mode {
        let wanted = fs::Permissions::from_mode(mode);
        fs::set_permissions(path, wanted).map_err(disk("set the mode of", path))?;
    }
    if (known.mtime(), known.mtime_nsec()) != (mtime, 0) {
        let set = rustix::fs::utimensat(CWD, path, &timestamps(mtime), AtFlags::SYMLINK_NOFOLLOW);
        set.map_err(|error| disk("set the time of", path)(error.into()))?;
    }
    Ok(())
}

fn timestamps(mtime: i64) -> Timestamps {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// Removes what is below `dir` and not to be kept; returns how many names that were.
fn remove_others(dir: &Path, keep: &HashSet<PathBuf>) -> Result<u64, SampleError> {
    let mut removed = 0;
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).map_err(disk("read", &dir))? {
            let entry = entry.map_err(disk("read", &dir))?;
            let path = entry.path();
            let is_dir = entry.file_type().map_err(disk("look at", &path))?.is_dir();
            if !keep.contains(&path) {
                remove(&path, is_dir)?;
                removed += 1;
            } else if is_dir {
                left.push(path);
            }
        }
    }
    Ok(removed)
}

fn remove(path: &Path, is_dir: bool) -> Result<(), SampleError> {
    let done = if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    done.map_err(disk("remove", path))
}

fn disk(attempt: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SampleError {
    let path = path.to_owned();
    move |source| SampleError::Disk { attempt, path, source }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

    fn recipe(revision: u32) -> Recipe {
        Recipe { seed: 4, size: Size::Packages(40), revision }
    }

    /// Mode, time, and the bytes of a file.
    type Seen = (u32, i64, i64, Option<Vec<u8>>);

    /// Every path below a directory with what a client could see of it.
    fn seen(dir: &Path) -> BTreeMap<PathBuf, Seen> {
        let mut all = BTreeMap::new();
        let mut left = vec![dir.join("gentoo"), dir.join("distfiles")];
        while let Some(path) = left.pop() {
            let known = fs::symlink_metadata(&path).unwrap();
            let bytes = known.is_file().then(|| fs::read(&path).unwrap());
            if known.is_dir() {
                left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            let name = path.strip_prefix(dir).unwrap().to_owned();
            all.insert(name, (known.mode(), known.mtime(), known.mtime_nsec(), bytes));
        }
        all
    }

    #[test]
    fn a_later_revision_over_an_earlier_one_is_exactly_the_later_one() {
        let (fresh, updated) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let direct = write_sample(&recipe(20), fresh.path(), NonZeroUsize::MIN).unwrap();
        write_sample(&recipe(0), updated.path(), TWO).unwrap();
        let same = updated.path().join("gentoo/profiles/repo_name");
        let inode = fs::metadata(&same).unwrap().ino();
        let after = write_sample(&recipe(20), updated.path(), TWO).unwrap();
        assert!(seen(fresh.path()) == seen(updated.path()));
        assert_eq!(fs::metadata(&same).unwrap().ino(), inode);
        assert_eq!(Written { changed: 0, removed: 0, ..after }, Written { changed: 0, removed: 0, ..direct });
        assert!(after.removed > 0 && after.changed > 0 && after.changed < direct.changed / 2, "{after:?}");
        let again = write_sample(&recipe(20), updated.path(), TWO).unwrap();
        assert_eq!((again.changed, again.removed), (0, 0));
    }

    #[test]
    fn whatever_is_wrong_with_a_sample_is_put_right() {
        let (fresh, spoilt) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write_sample(&recipe(1), fresh.path(), TWO).unwrap();
        write_sample(&recipe(1), spoilt.path(), TWO).unwrap();
        let tree = spoilt.path().join("gentoo");
        fs::write(tree.join("profiles/eapi"), "7\n").unwrap();
        fs::write(tree.join("stray"), "").unwrap();
        fs::create_dir_all(tree.join("sys-libs/empty")).unwrap();
        fs::remove_dir_all(tree.join("app-misc/hello-headwater")).unwrap();
        fs::remove_file(tree.join("header.txt")).unwrap();
        std::os::unix::fs::symlink("skel.ebuild", tree.join("header.txt")).unwrap();
        fs::remove_file(tree.join("skel.ebuild")).unwrap();
        fs::create_dir(tree.join("skel.ebuild")).unwrap();
        fs::remove_dir_all(tree.join("eclass")).unwrap();
        fs::write(tree.join("eclass"), "").unwrap();
        fs::set_permissions(tree.join("profiles/repo_name"), fs::Permissions::from_mode(0o600)).unwrap();
        write_sample(&recipe(1), spoilt.path(), TWO).unwrap();
        assert!(seen(fresh.path()) == seen(spoilt.path()));
    }

    #[test]
    fn a_directory_with_other_things_in_it_is_left_alone() {
        for name in ["gentoo", "distfiles"] {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join(name).join("precious")).unwrap();
            let refused = write_sample(&recipe(0), dir.path(), TWO).unwrap_err();
            assert!(matches!(&refused, SampleError::NotASample(path) if path.ends_with(name)), "{refused}");
            assert_eq!(refused.fault(), Fault::Operator);
            let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, [name]);
        }
    }

    #[test]
    fn a_file_in_the_way_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("distfiles"), "").unwrap();
        let error = write_sample(&recipe(0), dir.path(), TWO).unwrap_err();
        assert!(matches!(&error, SampleError::NotASample(path) if path.ends_with("distfiles")), "{error}");
        let (elsewhere, link) = (dir.path().join("elsewhere"), dir.path().join("distfiles"));
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("of-others"), "").unwrap();
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        assert!(write_sample(&recipe(0), dir.path(), TWO).is_err());
        assert!(elsewhere.join("of-others").exists());
    }
}
