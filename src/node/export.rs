//! A generation as plain files: the way out to a stock rsyncd, or to anything else that reads a directory.
//!
//! The tree is built beside the directory and takes its place in one step (`beside`), so whoever serves the directory
//! shows a whole generation at every moment. Every byte is checked against its content id on its way out. A file that is
//! the same in the export before is linked from there; what a run that was cut has built is checked and used.
//! Deliberately absent: owners and groups, which a snapshot does not have: files belong to whoever runs the export.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::beside::{self, Beside, Edition, Sort, write_durably};
use super::copied::{require_room, room_of};
use super::copy_error::CopyError;
use super::error::{NodeError, file};
use super::export_tree::{self, Before, From, Source, is_same_file, size_of};
use super::plain::Plain;
use super::watch::Watch;
use crate::names::{ChannelName, Generation};
use crate::store::{Home, Located, Reader};
use crate::tree::{Entry, Kind, MAX_TEXT_BYTES, Snapshot, TreePath};

/// What the place beside an export says that it is for. The time of its top directory is set last.
const EXPORT: &Sort = &Sort { name: "export", proves };

fn proves(edition: &Edition) -> bool {
    let Some(Source { tree, snapshot, .. }) = source(edition.clone()) else { return false };
    let top = snapshot.find(TreePath::ROOT).and_then(|at| snapshot.entry(at));
    top.is_some_and(|top| tree.find(top.path).is_ok_and(|found| found.is_some_and(|found| found.is_timed_like(&top))))
}

/// The end of the names of snapshots' texts beside an export.
const TEXT: &str = ".snapshot";

/// What is to be exported, and where to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportOrder {
    /// The channel.
    pub channel: ChannelName,
    /// The generation of it.
    pub generation: Generation,
    /// The data directory, where it must not be.
    pub data: PathBuf,
    /// The directory that is to hold it: new, empty, or an earlier export.
    pub directory: PathBuf,
    /// Another export, whose files are linked where they are the same.
    pub reuse: Option<PathBuf>,
    /// How a file of an earlier export is recognised as unchanged.
    pub trust: Trust,
    /// What to do where files cannot be had.
    pub holes: Holes,
}

/// How a file of an earlier export is known to have the bytes that were written there.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Trust {
    /// It has still the size, the time and the mode that it was given.
    SizeAndTime,
    /// It is read.
    Contents,
}

/// What an export does where the store has no sound bytes of a file.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Holes {
    /// It shows nothing new, and says what is missing.
    Refuse,
    /// It leaves them out.
    LeaveOut,
}

/// What an export did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ExportReport {
    /// The directory, without symlinks.
    pub directory: PathBuf,
    /// Files, each name counted.
    pub files: u64,
    /// Directories, the top one included.
    pub directories: u64,
    /// Symlinks.
    pub symlinks: u64,
    /// Files that were linked from an earlier export, or left by a run that was cut.
    pub reused: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// Files that are not in it, each with the reason; the first thousand.
    pub left_out: Vec<String>,
    /// How many.
    pub left_out_count: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// Exports a generation, found as `located`. The caller keeps it from being swept.
pub fn export(
    reader: &mut Reader,
    located: &Located,
    order: &ExportOrder,
    watch: &mut Watch<'_>,
) -> Result<ExportReport, NodeError> {
    let start = Instant::now();
    let snapshot = located.snapshot();
    beside::apart(&order.data, &order.directory)?;
    // Before anything is made: there may be no such export.
    let other = order.reuse.as_ref().map(|other| beside::edition(EXPORT, other)).transpose()?;
    let beside = Beside::take(EXPORT, &order.directory)?;
    let sources: Vec<Source> = [beside.former(), other].into_iter().flatten().filter_map(source).collect();
    let building = beside.building();
    let before = make(&building)?;
    let tree = Plain::open(&building)?;
    match before {
        Before::Nothing => has_room(&building, located, reader, &sources)?,
        Before::Leftovers => tree.prune(snapshot)?,
    }
    let done = export_tree::write(&tree, before, From { reader, located, sources, trust: order.trust }, watch)?;
    if done.left_out_count > 0 && order.holes == Holes::Refuse {
        let what = format!("{}@{}", order.channel, order.generation);
        return Err(CopyError::Bad { what, count: done.left_out_count, files: done.left_out }.into());
    }
    let (label, side) = (snapshot.id().to_string(), beside.side().to_owned());
    // The next export has to know what this one holds, also when the store has dropped the generation.
    write_durably(&side.join(format!("{label}{TEXT}")), &snapshot.to_text())?;
    watch.breathe()?;
    let directory = beside.show(&label)?;
    forget_texts_but(&side, &label);
    Ok(ExportReport {
        directory,
        files: done.files - done.left_out_count,
        directories: done.directories,
        symlinks: done.symlinks,
        reused: done.reused,
        bytes: done.bytes,
        left_out: done.left_out,
        left_out_count: done.left_out_count,
        elapsed: start.elapsed(),
    })
}

/// Makes the directory that the tree is built in, if it is not there.
fn make(building: &Path) -> Result<Before, NodeError> {
    match DirBuilder::new().mode(0o700).create(building) {
        Ok(()) => Ok(Before::Nothing),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(Before::Leftovers),
        Err(error) => Err(file("make", building)(error)),
    }
}

/// An earlier export as a source of files. One that cannot be understood is none: everything is written then.
fn source(edition: Edition) -> Option<Source> {
    let path = edition.side.join(format!("{}{TEXT}", edition.label));
    let most = u64::try_from(MAX_TEXT_BYTES).unwrap_or(u64::MAX);
    let mut text = Vec::new();
    let read = File::open(&path).and_then(|open| open.take(most).read_to_end(&mut text));
    let parsed = read.map_err(|error| error.to_string());
    let parsed = parsed.and_then(|_| Snapshot::parse(&text).map_err(|error| error.to_string()));
    match (parsed, Plain::open(&edition.path)) {
        (Ok(snapshot), Ok(tree)) if snapshot.id().to_string() == edition.label => {
            Some(Source { tree, snapshot, taken: HashSet::new() })
        }
        (parsed, _) => {
            let why = parsed.err().unwrap_or_else(|| "it is the text of another one".to_owned());
            tracing::warn!(path = %path.display(), why, "an earlier export cannot be used; its files are written again");
            None
        }
    }
}

/// Fails with numbers if what has to be written does not fit.
fn has_room(building: &Path, located: &Located, reader: &Reader, sources: &[Source]) -> Result<(), NodeError> {
    let snapshot = located.snapshot();
    let is_here = |source: &Source, entry: &Entry<'_>| {
        let found = source.snapshot.find(entry.path).and_then(|at| source.snapshot.entry(at));
        found.is_some_and(|found| is_same_file(&found, entry))
    };
    let new = snapshot.iter().enumerate().filter(|(_, entry)| !sources.iter().any(|source| is_here(source, entry)));
    // One with holes takes the room that it takes in the store.
    let room_of = |(index, entry): (usize, Entry<'_>)| match (located.place(index).map(|place| place.home), entry.kind)
    {
        (Some(Home::Large), Kind::File { content, size, .. }) => {
            let stored = reader.read_large(content).ok().flatten().and_then(|open| open.metadata().ok());
            stored.map_or(size, |stored| size.min(room_of(&stored)))
        }
        _ => size_of(&entry),
    };
    let needed = new.map(room_of).fold(0, u64::saturating_add);
    require_room(building, needed).inspect_err(|_| {
        // What was made is empty, and would only be in the way.
        let _ = fs::remove_dir(building);
    })
}

/// Removes the texts of exports that are shown no more. What stays costs a little room.
fn forget_texts_but(side: &Path, label: &str) {
    for item in fs::read_dir(side).into_iter().flatten().flatten() {
        let name = item.file_name();
        if name.to_str().and_then(|name| name.strip_suffix(TEXT)).is_some_and(|other| other != label) {
            let _ = fs::remove_file(item.path());
        }
    }
}
