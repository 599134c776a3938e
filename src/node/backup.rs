//! The whole data directory as it is at one moment, copied while the node goes on.
//!
//! A backup is laid out as a data directory. The database is copied as one commit; large contents are linked, or copied
//! where that cannot be, from the backup before or from the data directory; all other files are copied and their digests
//! noted. It is built beside and takes its place in one step, as an export is. The gateway's key is in it: who has
//! the backup can publish in the gateway's name.
//! Deliberately absent: what was set aside as bad, what another process has open, and files outside of the directory.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::beside::{Beside, Edition, Sort};
use super::copied::{copy, digest};
use super::copy_error::CopyError;
use super::error::{NodeError, file};
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
    /// How long it took.
    pub elapsed: Duration,
}

/// Makes a backup of the data directory `data` at `target`. The caller holds the sweep.
pub fn backup(data: &Path, target: &Path, now: i64, watch: &mut Watch<'_>) -> Result<BackupReport, NodeError> {
    let start = Instant::now();
    let data = data.canonicalize().map_err(file("look at", data))?;
    let beside = Beside::take(BACKUP, target)?;
    if beside.target().starts_with(&data) {
        return Err(CopyError::Inside { path: beside.target().to_owned() }.into());
    }
    let building = beside.building();
    // Of a run that was cut. What takes long, large contents, is linked again in no time, or is in the backup before.
    remove_tree(&building)?;
    make(&building, 0o700)?;
    let mut work = Work {
        data,
        building,
        manifest: Manifest { time: now, ..Manifest::default() },
        report: BackupReport::default(),
    };
    work.database(watch)?;
    work.large(beside.former().map(|former| former.path.join(LARGE)).as_deref(), watch)?;
    work.others(Path::new(""), 0, watch)?;
    work.manifest.write(&work.building)?;
    watch.breathe()?;
    let mut report = work.report;
    report.directory = beside.show(&now.to_string())?;
    report.elapsed = start.elapsed();
    Ok(report)
}

struct Work {
    data: PathBuf,
    building: PathBuf,
    manifest: Manifest,
    report: BackupReport,
}

impl Work {
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
    fn large(&mut self, former: Option<&Path>, watch: &mut Watch<'_>) -> Result<(), NodeError> {
        let copy = Reader::open(&self.building)?;
        self.report.heads = copy.heads()?.into_iter().map(|head| (head.channel, head.generation)).collect();
        let contents = copy.large_contents()?;
        drop(copy);
        make(&self.building.join(LARGE), 0o750)?;
        for (id, size) in contents {
            let name = large_name(&id);
            let to = self.building.join(LARGE).join(&name);
            if let Some(fan) = to.parent() {
                make(fan, 0o750)?;
            }
            let sources = [former.map(|former| former.join(&name)), Some(self.data.join(LARGE).join(&name))];
            let sources: Vec<PathBuf> = sources.into_iter().flatten().filter(|path| has_size(path, size)).collect();
            watch.breathe()?;
            match one_large(&id, &sources, &to, watch)? {
                Large::Linked => self.report.linked += 1,
                Large::Copied => self.report.bytes += size,
                Large::Missing(why) => {
                    self.report.left_out.push(format!("{LARGE}/{}: {why}", name.display()));
                    continue;
                }
            }
            self.report.large += 1;
            self.report.files += 1;
            watch.add(1, 0);
        }
        Ok(())
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

/// What became of a large content.
enum Large {
    Linked,
    Copied,
    Missing(String),
}

/// Links it, or copies it where that cannot be.
fn one_large(id: &ContentId, sources: &[PathBuf], to: &Path, watch: &mut Watch<'_>) -> Result<Large, NodeError> {
    if sources.iter().any(|from| fs::hard_link(from, to).is_ok()) {
        return Ok(Large::Linked);
    }
    let mut why = "it is not there, or has another size".to_owned();
    for from in sources {
        match copy(from, to, 0o640, watch)? {
            Ok(copied) if copied.id == *id => return Ok(Large::Copied),
            Ok(_) => why = "its bytes are other ones than its id says".to_owned(),
            Err(error) => why = format!("it cannot be read: {error}"),
        }
        match fs::remove_file(to) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(file("remove", to)(error)),
            _ => {}
        }
    }
    Ok(Large::Missing(why))
}

/// Where a large content is below `large/`.
pub(super) fn large_name(id: &ContentId) -> PathBuf {
    let name = id.to_string();
    Path::new(name.get(..2).unwrap_or_default()).join(&name)
}

fn has_size(path: &Path, size: u64) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == size)
}

/// Makes a directory that may be there already.
pub(super) fn make(path: &Path, mode: u32) -> Result<(), NodeError> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.map_err(|error: io::Error| file("make", path)(error)),
    }
}
