//! A backup becomes a node's data directory again, and everything in it is checked on the way.
//!
//! Every file is compared with the digest that the backup noted, every large content with its id; then the store is
//! opened, heads are checked against the gateway's key, and all contents and lists are read. `headwater.toml` comes last,
//! so a directory without it is no node, and a restore that was cut is gone on with, also with another backup. The store
//! remembers which generations were newest at the restore: clients may have seen later ones, so the next publication has
//! a timestamp of at least now, and the next import publishes also where nothing changed (DESIGN 8).
//! Deliberately absent: a new term, which needs the admin key, and files outside of the data directory.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock, syncfs};
use rustix::io::Errno;

use super::backup::{BACKUP, DATABASE, large_name, make, remove_if_there};
use super::beside::{apart, existing, sync};
use super::config::FILE;
use super::copied::{copy, digest, require_room, room_of};
use super::copy_error::CopyError;
use super::error::{NodeError, file};
use super::manifest::{Listed, MARK, Manifest};
use super::plain::remove_tree;
use super::scrub::scrub;
use super::watch::Watch;
use super::whose::give_away_all;
use crate::control::{Progress, ScrubOrder};
use crate::identity::{Identity, verify_head};
use crate::names::{ChannelName, Generation};
use crate::store::{Lock, Reader, Store};
use crate::tree::ContentId;

/// `headwater.toml` until it is whole.
const UNNAMED: &str = "headwater.toml.new";

/// What a restore that was cut may have left beside the files of a backup.
const OF_A_STORE: [&str; 8] =
    [MARK, DATABASE, "headwater.db-wal", "headwater.db-shm", "large", "quarantine", "lock", UNNAMED];

/// What a restore found and did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RestoreReport {
    /// When the backup was made, in seconds since 1970.
    pub made: i64,
    /// Files that were copied and compared, large contents included.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Heads whose signatures hold: the newest generation of each channel.
    pub heads: Vec<(ChannelName, Generation)>,
    /// Contents that were read once more.
    pub contents: u64,
    /// What is damaged, each with a path and the reason; it is set aside, and an import mends it.
    pub damaged: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Restores the backup at `from` into the directory `into`, which is not there or empty, at the time `now`.
pub fn restore(from: &Path, into: &Path, now: i64, watch: &mut Watch<'_>) -> Result<RestoreReport, NodeError> {
    let start = Instant::now();
    let from = existing(BACKUP, from)?;
    apart(into, &from)?;
    let manifest = Manifest::read(&from)?;
    let (mark, lock) = begin(into)?;
    clear(into, &manifest)?;
    let mut work =
        Work { from, into: into.to_owned(), report: RestoreReport { made: manifest.time, ..RestoreReport::default() } };
    work.files(&manifest, watch)?;
    work.large(watch)?;
    // What runs as the super-user writes files that the node may not read; the directory says whom they are for.
    give_away_all(into)?;
    let open = File::open(into).map_err(file("open", into))?;
    syncfs(&open).map_err(|error| file("sync", into)(error.into()))?;
    let store = work.check(lock, now, watch)?;
    work.finish(&manifest, watch)?;
    drop(store);
    forget_mark(into);
    sync(into)?;
    drop(mark);
    let mut report = work.report;
    report.elapsed = start.elapsed();
    Ok(report)
}

/// Makes sure that nothing is overwritten, a whole node least of all, and keeps others out.
fn begin(into: &Path) -> Result<(File, Lock), NodeError> {
    make(into, 0o750)?;
    let path = into.join(MARK);
    let is_empty = fs::read_dir(into).map_err(file("list", into))?.next().is_none();
    if !is_empty && (!path.exists() || into.join(FILE).exists()) {
        return Err(CopyError::NotEmpty { path: into.to_owned() }.into());
    }
    let mut options = OpenOptions::new();
    let mark = options.write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(file("make", &path))?;
    match flock(&mark, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => sync(into)?,
        Err(Errno::WOULDBLOCK) => return Err(CopyError::Busy { path: into.to_owned(), kind: "restore" }.into()),
        Err(error) => return Err(file("lock", &path)(error.into())),
    }
    Ok((mark, Store::lock(into)?))
}

/// Says that a restore is finished. It is, once there is a configuration, even if a power cut left the mark behind.
pub(super) fn forget_mark(dir: &Path) {
    if let Err(error) = remove_if_there(&dir.join(MARK)) {
        tracing::warn!(%error, "a restore is finished, and its mark stays");
    }
}

/// Removes the database of a restore that was cut, above all its log, which would be played back into the next one.
/// What this restore writes anew may stay; anything else is somebody's, and in the way.
fn clear(into: &Path, manifest: &Manifest) -> Result<(), NodeError> {
    let directories: HashSet<&Path> = manifest.directories.iter().map(|(_, path)| Path::new(path)).collect();
    let files: HashSet<&Path> = manifest.files.iter().map(|listed| Path::new(&listed.path)).collect();
    let mut open = vec![PathBuf::new()];
    while let Some(inside) = open.pop() {
        let directory = into.join(&inside);
        for item in fs::read_dir(&directory).map_err(file("list", &directory))? {
            let item = item.map_err(file("list", &directory))?;
            let path = inside.join(item.file_name());
            let is_link = item.file_type().map_err(file("look at", &item.path()))?.is_symlink();
            if !is_link && path.to_str().is_some_and(|name| OF_A_STORE.contains(&name)) {
                continue;
            }
            if !is_link && directories.contains(&*path) {
                open.push(path);
            } else if is_link || !files.contains(&*path) {
                return Err(CopyError::Stray { path: into.to_owned(), file: path }.into());
            }
        }
    }
    for name in ["headwater.db-wal", "headwater.db-shm", DATABASE] {
        remove_if_there(&into.join(name))?;
    }
    remove_tree(&into.join("quarantine"))
}

struct Work {
    from: PathBuf,
    into: PathBuf,
    report: RestoreReport,
}

impl Work {
    /// Everything but large contents, and but for the file that makes it a node.
    fn files(&mut self, manifest: &Manifest, watch: &mut Watch<'_>) -> Result<(), NodeError> {
        if !manifest.files.iter().any(|listed| listed.path == DATABASE) {
            let why = format!("it has no {DATABASE}");
            return Err(CopyError::NotABackup { path: self.from.clone(), why }.into());
        }
        require_room(&self.into, manifest.files.iter().fold(0, |sum, listed| listed.copied.size.saturating_add(sum)))?;
        for (mode, path) in &manifest.directories {
            let path = self.into.join(path);
            make(&path, *mode)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).map_err(file("set the mode of", &path))?;
        }
        for listed in manifest.files.iter().filter(|listed| listed.path != FILE) {
            self.one(listed, &self.into.join(&listed.path), watch)?;
        }
        Ok(())
    }

    fn one(&mut self, listed: &Listed, to: &Path, watch: &mut Watch<'_>) -> Result<(), NodeError> {
        let from = self.from.join(&listed.path);
        remove_if_there(to)?;
        let bad = |why: String| NodeError::from(CopyError::BadBackup { path: from.clone(), why });
        match copy(&from, to, listed.mode, watch)? {
            Ok(copied) if copied == listed.copied => {}
            Ok(copied) if copied.size != listed.copied.size => {
                return Err(bad(format!("has {} bytes, not {}", copied.size, listed.copied.size)));
            }
            Ok(_) => return Err(bad("has other bytes than were written there".to_owned())),
            Err(error) => return Err(bad(format!("cannot be read: {error}"))),
        }
        self.report.files += 1;
        self.report.bytes += listed.copied.size;
        watch.add(1, 0);
        Ok(())
    }

    /// All large contents that the database tells of. One that is damaged is named, and costs no other file.
    fn large(&mut self, watch: &mut Watch<'_>) -> Result<(), NodeError> {
        make(&self.into.join("large"), 0o750)?;
        let contents = Reader::open(&self.into)?.large_contents()?;
        let room = |(id, size): &(ContentId, u64)| {
            let name = Path::new("large").join(large_name(id));
            let is_there = fs::metadata(self.into.join(&name)).is_ok_and(|found| found.len() == *size);
            if is_there { 0 } else { fs::metadata(self.from.join(&name)).map_or(0, |found| room_of(&found)) }
        };
        require_room(&self.into, contents.iter().map(room).fold(0, u64::saturating_add))?;
        for (id, size) in contents {
            let name = Path::new("large").join(large_name(&id));
            let (from, to) = (self.from.join(&name), self.into.join(&name));
            if let Some(fan) = to.parent() {
                make(fan, 0o750)?;
            }
            // Of a restore that was cut.
            if digest(&to, watch)?.is_ok_and(|found| found.id == id) {
                self.report.files += 1;
                continue;
            }
            remove_if_there(&to)?;
            match copy(&from, &to, 0o640, watch)? {
                Ok(copied) if copied.id == id => {
                    self.report.files += 1;
                    self.report.bytes += size;
                    watch.add(1, 0);
                }
                // What it is of is said when all contents are read.
                Ok(_) => remove_if_there(&to)?,
                Err(error) => tracing::warn!(path = %from.display(), %error, "not in the backup"),
            }
        }
        Ok(())
    }

    /// Opens what was copied as a node does, and reads all of it.
    fn check(&mut self, lock: Lock, now: i64, watch: &mut Watch<'_>) -> Result<Store, NodeError> {
        let mut store = Store::open_locked(&self.into, lock)?;
        let identity = Identity::open(&self.into)?;
        for head in store.heads()? {
            if head.term == identity.term().number {
                verify_head(&head.head, identity.term()).map_err(|error| CopyError::BadBackup {
                    path: self.from.join(DATABASE),
                    why: format!("has a head of {} that the gateway did not sign: {error}", head.channel),
                })?;
            }
            self.report.heads.push((head.channel, head.generation));
        }
        let mut failed = Ok(());
        let watch = std::cell::RefCell::new(watch);
        let mut tell = |seen: Progress| watch.borrow_mut().pass(seen);
        let found = scrub(&mut Reader::open(&self.into)?, &ScrubOrder { rate: None }, &mut tell, &|| true)?;
        for bad in &found.bad {
            let name = if bad.path.is_empty() { bad.content.short() } else { bad.path.clone() };
            self.report.damaged.push(format!("{name}: {}", bad.reason));
            if failed.is_ok() {
                failed = store.quarantine(&bad.content, &format!("found by a restore: {}", bad.reason)).map(drop);
            }
        }
        failed?;
        self.report.contents = found.contents;
        store.note_restore(now)?;
        store.checkpoint()?;
        Ok(store)
    }

    /// The file that makes it a node. It gets its name last, when it is whole and its owner's.
    fn finish(&mut self, manifest: &Manifest, watch: &mut Watch<'_>) -> Result<(), NodeError> {
        for listed in manifest.files.iter().filter(|listed| listed.path == FILE) {
            let (path, named) = (self.into.join(UNNAMED), self.into.join(FILE));
            self.one(listed, &path, watch)?;
            give_away_all(&self.into)?;
            File::open(&path).and_then(|open| open.sync_all()).map_err(file("sync", &path))?;
            fs::rename(&path, &named).map_err(file("rename to", &named))?;
            sync(&self.into)?;
        }
        Ok(())
    }
}
