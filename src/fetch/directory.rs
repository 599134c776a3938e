//! Taking a local directory in: walk, plan, read, and look whether it stood still meanwhile.
//!
//! The walk and the reading use all cores; the store is written by the caller's thread alone. What can be told by stat
//! is not read. The result is a value: whether it becomes a generation is decided elsewhere, and if anything failed
//! there is none. Deliberately absent: what the files mean; whether a tree is sound is for its Manifests to say.

use std::collections::HashSet;
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

use super::error::{Failure, ImportError};
use super::imported::Imported;
use super::leave_out::LeaveOut;
use super::plan::{Previous, Trust, plan};
use super::progress::{Counter, Watcher};
use super::read::read_all;
use super::steady::moved;
use super::walk::walk;
use crate::store::{Ingest, Need, Witness};
use crate::tree::Snapshot;

/// More threads than this only wait for the one that writes.
const MOST_THREADS: usize = 16;

/// What to import, and how.
#[derive(Copy, Clone)]
pub struct ImportOrder<'a> {
    /// The directory. It may be a symlink to one.
    pub source: &'a Path,
    /// What is not taken.
    pub leave_out: &'a LeaveOut,
    /// What is believed without reading.
    pub trust: Trust,
    /// What is published of this repository, or was when the witness was made. The store must have its contents.
    pub previous: Option<&'a Snapshot>,
    /// What its import saw, from [`Store::witness`](crate::store::Store::witness).
    pub witness: Option<&'a Witness>,
    /// Threads that read; `None` for one a core.
    pub threads: Option<NonZeroUsize>,
    /// Told how far it is, from several threads.
    pub progress: Watcher<'a>,
    /// Whether somebody still waits for it; asked again and again, from several threads. Once nobody does, it ends soon.
    pub wanted: &'a (dyn Fn() -> bool + Sync),
    /// Now, in seconds since 1970.
    pub now: i64,
}

/// Reads a directory, and puts every content of it that the store lacks.
pub fn import(order: &ImportOrder<'_>, ingest: &mut Ingest<'_>) -> Result<Imported, ImportError> {
    let cannot = |source| ImportError::Source { path: order.source.to_owned(), source };
    let ended = || ImportError::Ended { path: order.source.to_owned() };
    let failed = |failures: Vec<Failure>| ImportError::Failed { path: order.source.to_owned(), failures };
    let whole = order.source.canonicalize().map_err(cannot)?;
    let flags = i32::try_from(OFlags::DIRECTORY.bits()).unwrap_or(0);
    let root = File::options().read(true).custom_flags(flags).open(&whole).map_err(cannot)?;
    let source = whole.as_os_str().as_bytes().to_vec();
    let threads = threads(order.threads);
    let counter = Counter::for_watcher(order.progress);
    let mut walked = walk(root.as_fd(), order.leave_out, threads, &counter).map_err(failed)?;
    let previous =
        order.previous.map(|snapshot| Previous { snapshot, witness: fitting(order.witness, &source, snapshot) });
    let bad: HashSet<_> = ingest.bad()?.into_iter().collect();
    let mut plan = plan(&walked, previous, order.trust, &bad);
    let size = |index: usize| walked.entries.get(index).map_or(0, |entry| entry.facts.size);
    let new = plan.read.iter().filter(|file| !file.looks_same);
    ingest.require(new.fold(Need::default(), |need, file| need.and(size(file.index))))?;
    counter.to_read(plan.read.len());
    let mut failures = read_all(root.as_fd(), &mut walked, &mut plan, ingest, threads, (&counter, order.wanted))?;
    if !(order.wanted)() {
        return Err(ended());
    }
    if failures.is_empty() {
        failures = moved(root.as_fd(), &walked);
    }
    if !failures.is_empty() {
        failures.sort_by(|a, b| a.path.cmp(&b.path));
        return Err(failed(failures));
    }
    let known = plan.contents.iter().flatten().count() - plan.read.len() + plan.leaders.len();
    Ok(Imported {
        repository: ingest.word()?,
        source,
        walked,
        contents: plan.contents,
        leaders: plan.leaders,
        began: order.now,
        progress: counter.progress(),
        unchanged: u64::try_from(known).unwrap_or(u64::MAX),
    })
}

/// A witness is of use only for the snapshot and the directory that it is of.
fn fitting<'a>(witness: Option<&'a Witness>, source: &[u8], snapshot: &Snapshot) -> Option<&'a Witness> {
    witness.filter(|witness| {
        witness.source == source && witness.snapshot == snapshot.id() && witness.marks.len() == snapshot.len()
    })
}

fn threads(wanted: Option<NonZeroUsize>) -> usize {
    let wanted = wanted.or_else(|| std::thread::available_parallelism().ok());
    wanted.map_or(1, NonZeroUsize::get).min(MOST_THREADS)
}
