//! The whole data directory as it is at one moment, copied while the node goes on.
//!
//! A backup is laid out as a data directory. The database is copied as one commit; all other files are copied and their
//! digests noted. Large contents are linked from the data directory, where the node reads and mends them; on another
//! file system from the backup before, unless the node has taken one in anew since; and copied where neither can be. It
//! is built beside and takes its place in one step, as an export is. The gateway's key is in it: who has the backup can
//! publish in the gateway's name.
//! Deliberately absent: what was set aside as bad, what another process has open, and files outside of the directory.

use std::fs::{self, DirBuilder, Metadata};
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::beside::{Beside, Edition, Sort, apart};
use super::copied::{copy, digest, require_room, room_of};
use super::copy_error::CopyError;
use super::error::{NodeError, file};
use super::export::{Holes, Trust};
use super::manifest::{self, Listed, Manifest};
use super::plain::remove_tree;
use super::watch::Watch;
use crate::names::{ChannelName, Generation};
use crate::store::{Copying, Reader};
use crate::tree::ContentId;

/// What the place beside a backup says that it is for. A backup says itself when it was made.
pub(super) const BACKUP: &Sort = &Sort { name: "backup", proves };

fn proves(edition: &Edition) -> bool {
    Manifest::read(&edition.path).is_ok_and(|manifest| manifest.time.to_string() == edition.label)
}

/// The database in a data directory.
pub(super) const DATABASE: &str = "headwater.db";

/// Large contents in a data directory.
const LARGE: &str = "large";

/// What is not copied as a file: the database and its log, large contents, what is of this process only, what is bad.
const APART: [&str; 8] =
    [DATABASE, "headwater.db-wal", "headwater.db-shm", LARGE, "quarantine", "lock", "control.sock", ".identity.new"];

/// Directories below one another that are copied.
const MAX_DEPTH: usize = 16;

/// What is to be backed up where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupOrder {
    /// The directory that is to hold it: new, empty, or an earlier backup.
    pub directory: PathBuf,
    /// Whether large contents that are linked are read.
    pub trust: Trust,
    /// What to do where large contents cannot be had.
    pub holes: Holes,
}

/// What a backup holds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct BackupReport {
    /// Where it is, without symlinks.
    pub directory: PathBuf,
    /// The newest generation of each channel.
    pub heads: Vec<(ChannelName, Generation)>,
    /// Files, large contents included.
    pub files: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// Large contents.
    pub large: u64,
    /// Large contents that are links.
    pub linked: u64,
    /// Files that only their owner may read, keys among them, as paths inside of the backup.
    pub secrets: Vec<String>,
    /// What is not in it and should be, each with the reason.
    pub left_out: Vec<String>,
    /// How many of these are large contents.
    pub missing: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// Makes a backup of the data directory `data`. The caller holds the sweep.
pub fn backup(data: &Path, order: &BackupOrder, now: i64, watch: &mut Watch<'_>) -> Result<BackupReport, NodeError> {
    let start = Instant::now();
    let data = data.canonicalize().map_err(file("look at", data))?;
    apart(&data, &order.directory)?;
    let beside = Beside::take(BACKUP, &order.directory)?;
    let building = beside.building();
    // Of a run that was cut. What takes long, large contents, is linked again in no time, or is in the backup before.
    remove_tree(&building)?;
    make(&building, 0o700)?;
    let mut report = fill(&data, order, &beside, now, watch).inspect_err(|_| {
        // The next run begins anew, and what is there takes room until then.
        if let Err(error) = remove_tree(&building) {
            tracing::warn!(%error, "what was copied is not removed; the next run does it");
        }
    })?;
    report.directory = beside.show(&now.to_string())?;
    report.elapsed = start.elapsed();
    Ok(report)
}

/// Copies everything to where it is built.
fn fill(
    data: &Path,
    order: &BackupOrder,
    beside: &Beside,
    now: i64,
    watch: &mut Watch<'_>,
) -> Result<BackupReport, NodeError> {
    let mut work = Work {
        data: data.to_owned(),
        building: beside.building(),
        former: beside.former(),
        trust: order.trust,
        manifest: Manifest { time: now, ..Manifest::default() },
        report: BackupReport::default(),
    };
    work.has_room()?;
    work.database(watch)?;
    work.large(watch)?;
    if work.report.missing > 0 && order.holes == Holes::Refuse {
        let what = format!("the backup of {}", work.data.display());
        return Err(CopyError::Bad { what, count: work.report.missing, files: work.report.left_out }.into());
    }
    work.others(Path::new(""), 0, watch)?;
    work.manifest.write(&work.building)?;
    watch.breathe()?;
    Ok(work.report)
}

struct Work {
    data: PathBuf,
    building: PathBuf,
    former: Option<Edition>,
    trust: Trust,
    manifest: Manifest,
    report: BackupReport,
}

impl Work {
    /// Fails with numbers if what has to be copied does not fit.
    fn has_room(&self) -> Result<(), NodeError> {
        let size = |name| fs::metadata(self.data.join(name)).map_or(0, |found| found.len());
        let mut needed = size(DATABASE).saturating_add(size("headwater.db-wal"));
        let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).map_err(file("look at", path));
        if device(&self.data)? != device(&self.building)? {
            for (id, size) in Reader::open(&self.data)?.large_contents()? {
                let found = self.places(&id, size);
                if !found.is_as_before {
                    needed = needed.saturating_add(found.here.as_ref().map_or(0, room_of));
                }
            }
        }
        require_room(&self.building, needed)
    }

    fn database(&mut self, watch: &mut Watch<'_>) -> Result<(), NodeError> {
        let to = self.building.join(DATABASE);
        let mut ended = Ok(());
        let copied = Reader::open(&self.data)?.copy_database(&to, &mut |_, _| {
            ended = watch.breathe();
            if ended.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if copied == Copying::Ended {
            return ended.and(Err(CopyError::Ended.into()));
        }
        fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o640))
            .map_err(file("set the mode of", &to))?;
        let copied = digest(&to, watch)?.map_err(file("read", &to))?;
        self.manifest.files.push(Listed { mode: 0o640, copied, path: DATABASE.to_owned() });
        self.report.files += 1;
        self.report.bytes += copied.size;
        Ok(())
    }

    /// All large contents that the copy of the database tells of.
    fn large(&mut self, watch: &mut Watch<'_>) -> Result<(), NodeError> {
        let copy = Reader::open(&self.building)?;
        self.report.heads = copy.heads()?.into_iter().map(|head| (head.channel, head.generation)).collect();
        let contents = copy.large_contents()?;
        drop(copy);
        make(&self.building.join(LARGE), 0o750)?;
        for (id, size) in contents {
            let name = large_name(&id);
            if let Some(fan) = self.building.join(LARGE).join(&name).parent() {
                make(fan, 0o750)?;
            }
            watch.breathe()?;
            match self.one_large(&id, size, watch)? {
                Large::Linked => self.report.linked += 1,
                Large::Copied => self.report.bytes += size,
                Large::Missing(why) => {
                    self.report.left_out.push(format!("{LARGE}/{}: {why}", name.display()));
                    self.report.missing += 1;
                    continue;
                }
            }
            self.report.large += 1;
            self.report.files += 1;
            watch.add(1, 0);
        }
        Ok(())
    }

    /// What there is of a large content.
    fn places(&self, id: &ContentId, size: u64) -> Places {
        let name = Path::new(LARGE).join(large_name(id));
        let look = |path: &Path| fs::symlink_metadata(path).ok().filter(|found| found.is_file() && found.len() == size);
        let here = look(&self.data.join(&name));
        // One that the node has taken in since was missing or bad: what was copied before may be so, too.
        let is_as_before = self.former.as_ref().zip(here.as_ref()).is_some_and(|(former, here)| {
            former.label.parse().is_ok_and(|made| here.mtime() < made) && look(&former.path.join(&name)).is_some()
        });
        Places { here, is_as_before }
    }

    /// Links it, or copies it where that cannot be.
    fn one_large(&self, id: &ContentId, size: u64, watch: &mut Watch<'_>) -> Result<Large, NodeError> {
        let name = Path::new(LARGE).join(large_name(id));
        let (here, to) = (self.data.join(&name), self.building.join(&name));
        let former = self.former.as_ref().map(|former| former.path.join(&name));
        let found = self.places(id, size);
        if found.here.is_some() && linked(id, &here, &to, self.trust, watch)? {
            return Ok(Large::Linked);
        }
        if let (Some(former), true) = (&former, found.is_as_before)
            && linked(id, former, &to, self.trust, watch)?
        {
            return Ok(Large::Linked);
        }
        let why = match found.here.is_some() {
            true => match copy(&here, &to, 0o640, watch)? {
                Ok(copied) if copied.id == *id => return Ok(Large::Copied),
                Ok(_) => {
                    remove_if_there(&to)?;
                    "its bytes are other ones than its id says".to_owned()
                }
                Err(error) => {
                    remove_if_there(&to)?;
                    format!("it cannot be read: {error}")
                }
            },
            false => "it is not there, or has another size".to_owned(),
        };
        match former {
            Some(former) if linked(id, &former, &to, Trust::Contents, watch)? => Ok(Large::Linked),
            _ => Ok(Large::Missing(why)),
        }
    }

    /// All other files below `inside`.
    fn others(&mut self, inside: &Path, depth: usize, watch: &mut Watch<'_>) -> Result<(), NodeError> {
        let directory = self.data.join(inside);
        let mut names: Vec<PathBuf> = Vec::new();
        for item in fs::read_dir(&directory).map_err(file("list", &directory))? {
            names.push(inside.join(item.map_err(file("list", &directory))?.file_name()));
        }
        names.sort();
        for path in names {
            if path.to_str().is_some_and(|name| APART.contains(&name) || manifest::is_of_copies(name)) {
                continue;
            }
            let from = self.data.join(&path);
            let metadata = match fs::metadata(&from) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                found => found.map_err(file("look at", &from))?,
            };
            let Some(name) = manifest::name(&path) else {
                self.report.left_out.push(format!("{}: its name cannot be written down", path.display()));
                continue;
            };
            if metadata.is_dir() && depth < MAX_DEPTH {
                make(&self.building.join(&path), 0o700)?;
                self.manifest.directories.push((metadata.mode() & 0o7777, name));
                self.others(&path, depth + 1, watch)?;
            } else if metadata.is_file() {
                self.one(&from, &path, name, metadata.mode() & 0o7777, watch)?;
            } else {
                self.report.left_out.push(format!("{name}: it is neither a file nor a directory"));
            }
        }
        Ok(())
    }

    fn one(
        &mut self,
        from: &Path,
        path: &Path,
        name: String,
        mode: u32,
        watch: &mut Watch<'_>,
    ) -> Result<(), NodeError> {
        let copied = match copy(from, &self.building.join(path), mode, watch)? {
            Ok(copied) => copied,
            // It went away meanwhile, as a file that is written anew does.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(file("read", from)(error)),
        };
        if mode & 0o077 == 0 {
            self.report.secrets.push(name.clone());
        }
        self.report.files += 1;
        self.report.bytes += copied.size;
        self.manifest.files.push(Listed { mode, copied, path: name });
        watch.add(1, 0);
        watch.breathe()
    }
}

/// Where a large content can be had.
struct Places {
    /// In the data directory, with its size.
    here: Option<Metadata>,
    /// Also in the backup before, and copied there from the same file.
    is_as_before: bool,
}

/// What became of a large content.
enum Large {
    Linked,
    Copied,
    Missing(String),
}

/// Links a content, and reads it if it is not trusted. False where it cannot be linked, or has other bytes.
fn linked(id: &ContentId, from: &Path, to: &Path, trust: Trust, watch: &mut Watch<'_>) -> Result<bool, NodeError> {
    if fs::hard_link(from, to).is_err() {
        return Ok(false);
    }
    if trust == Trust::SizeAndTime || digest(to, watch)?.is_ok_and(|found| found.id == *id) {
        return Ok(true);
    }
    fs::remove_file(to).map_err(file("remove", to))?;
    Ok(false)
}

/// Where a large content is below `large/`.
pub(super) fn large_name(id: &ContentId) -> PathBuf {
    let name = id.to_string();
    Path::new(name.get(..2).unwrap_or_default()).join(&name)
}

/// Removes a file; that it is not there is as good.
pub(super) fn remove_if_there(path: &Path) -> Result<(), NodeError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Makes a directory that may be there already.
pub(super) fn make(path: &Path, mode: u32) -> Result<(), NodeError> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.map_err(|error: io::Error| file("make", path)(error)),
    }
}
