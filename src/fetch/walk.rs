//! Walking a directory with several threads, into one list in tree order.
//!
//! Directories that are found go on a stack that all threads share; the last one found is the next one read, so a thread
//! stays where it is. Each directory becomes a sorted listing; put together from the root, the listings are the tree
//! order. Memory is bounded by the number of entries that a snapshot may have.
//! Deliberately absent: following symlinks, and opening files.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{RawDir, readlinkat};

use super::descent::Descent;
use super::error::{Failure, LeftOut, LeftOutReason, MOST_FAILURES, Why};
use super::facts::{Facts, Sort};
use super::leave_out::{Is, LeaveOut};
use super::progress::Counter;
use crate::tree::{MAX_ENTRIES, PathError, TreePath, TreePathBuf};

/// Things left out that are listed; more than that nobody reads.
const MOST_LEFT_OUT: usize = 1000;

/// Bytes of a directory that are asked for at once: some hundred names.
const DIRECTORY_BUFFER: usize = 32 << 10;

/// Everything that a directory holds, in tree order.
#[derive(Debug)]
pub(super) struct Walked {
    arena: Vec<u8>,
    pub(super) entries: Vec<WalkedEntry>,
    pub(super) left_out: Vec<LeftOut>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct WalkedEntry {
    path: Range<usize>,
    target: Range<usize>,
    pub(super) facts: Facts,
}

impl Walked {
    /// The path of an entry. All were checked when they were found.
    pub(super) fn path(&self, entry: &WalkedEntry) -> TreePath<'_> {
        self.arena.get(entry.path.clone()).and_then(|bytes| TreePath::new(bytes).ok()).unwrap_or(TreePath::ROOT)
    }

    /// What a symlink points to.
    pub(super) fn target(&self, entry: &WalkedEntry) -> &[u8] {
        self.arena.get(entry.target.clone()).unwrap_or_default()
    }
}

/// A directory that is to be read.
struct Task {
    listing: usize,
    path: TreePathBuf,
}

/// What a directory holds, by name.
struct Listing {
    items: Vec<Item>,
}

struct Item {
    name: Box<[u8]>,
    target: Box<[u8]>,
    facts: Facts,
    /// The listing of a directory.
    child: usize,
}

#[derive(Default)]
struct Shared {
    tasks: Vec<Task>,
    /// Threads that may still find more.
    busy: usize,
    listings: usize,
    entries: usize,
    failures: Vec<Failure>,
}

struct Crew<'w> {
    shared: Mutex<Shared>,
    found: Condvar,
    root: BorrowedFd<'w>,
    leave_out: &'w LeaveOut,
    counter: &'w Counter<'w>,
}

/// Walks everything below `root`.
pub(super) fn walk(
    root: BorrowedFd<'_>,
    leave_out: &LeaveOut,
    threads: usize,
    counter: &Counter<'_>,
) -> Result<Walked, Vec<Failure>> {
    let top = Facts::of_open(root).map_err(|error| vec![failure(TreePath::ROOT, Why::of_listed(error))])?;
    let first = Task { listing: 0, path: TreePath::ROOT.into() };
    let shared = Shared { tasks: vec![first], listings: 1, entries: 1, ..Shared::default() };
    let crew = Crew { shared: Mutex::new(shared), found: Condvar::new(), root, leave_out, counter };
    let mut listings = HashMap::new();
    let mut left_out = Vec::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| crew.work())).collect();
        for worker in workers {
            let (some, out) = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            listings.extend(some);
            left_out.extend(out);
        }
    });
    let failures = std::mem::take(&mut crew.shared().failures);
    if !failures.is_empty() {
        return Err(failures);
    }
    left_out.sort_by(|a: &LeftOut, b| a.path.cmp(&b.path));
    left_out.truncate(MOST_LEFT_OUT);
    Ok(flatten(top, listings, left_out))
}

impl Crew<'_> {
    /// The map is whole whenever the lock is free, also if a thread panicked.
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads directories until there are none.
    fn work(&self) -> (Vec<(usize, Listing)>, Vec<LeftOut>) {
        let mut descent = Descent::from(self.root);
        let mut buffer = vec![MaybeUninit::uninit(); DIRECTORY_BUFFER];
        let (mut done, mut left_out) = (Vec::new(), Vec::new());
        while let Some(task) = self.next() {
            let directory = task.path.as_path();
            let read = descent
                .to(directory)
                .map_err(|error| failure(directory, Why::of_listed(error)))
                .and_then(|at| self.read(at, directory, &mut buffer, &mut left_out));
            match read {
                Ok(listing) => done.push((task.listing, self.hand_in(&task, listing))),
                Err(failed) => self.fail(failed),
            }
        }
        (done, left_out)
    }

    /// The next directory; waits while another thread may find one.
    fn next(&self) -> Option<Task> {
        let mut shared = self.shared();
        loop {
            if shared.failures.len() >= MOST_FAILURES {
                shared.tasks.clear();
            }
            if let Some(task) = shared.tasks.pop() {
                shared.busy += 1;
                return Some(task);
            }
            if shared.busy == 0 {
                return None;
            }
            shared = self.found.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Puts the directories of a listing on the stack and numbers them.
    fn hand_in(&self, task: &Task, mut listing: Listing) -> Listing {
        let mut shared = self.shared();
        shared.entries += listing.items.len();
        if shared.entries > MAX_ENTRIES {
            shared.tasks.clear();
            shared.failures.push(failure(task.path.as_path(), Why::TooMany));
        } else {
            for item in listing.items.iter_mut().rev().filter(|item| item.facts.sort == Sort::Directory) {
                if let Ok(path) = TreePathBuf::join(&task.path.as_path(), &item.name) {
                    item.child = shared.listings;
                    shared.listings += 1;
                    let listing = item.child;
                    shared.tasks.push(Task { listing, path });
                }
            }
        }
        shared.busy -= 1;
        drop(shared);
        self.found.notify_all();
        self.counter.seen(listing.items.len());
        listing
    }

    fn fail(&self, failed: Failure) {
        let mut shared = self.shared();
        shared.failures.push(failed);
        shared.busy -= 1;
        drop(shared);
        self.found.notify_all();
    }

    fn read(
        &self,
        at: BorrowedFd<'_>,
        directory: TreePath<'_>,
        buffer: &mut [MaybeUninit<u8>],
        left_out: &mut Vec<LeftOut>,
    ) -> Result<Listing, Failure> {
        let mut items = Vec::new();
        let mut names = RawDir::new(at, buffer);
        while let Some(entry) = names.next() {
            let entry = entry.map_err(|error| failure(directory, Why::of_listed(error)))?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let path = TreePathBuf::join(&directory, name).map_err(|error| long(directory, error))?;
            let failed = |error| failure(path.as_path(), Why::of_listed(error));
            let facts = Facts::of_name(at, name).map_err(failed)?;
            if let Some(reason) = self.reason_to_leave_out(directory, name, facts.sort) {
                if left_out.len() < MOST_LEFT_OUT {
                    left_out.push(LeftOut { path, reason });
                }
                continue;
            }
            let target = match facts.sort {
                Sort::Symlink => readlinkat(at, name, Vec::new()).map_err(failed)?.into_bytes(),
                _ => Vec::new(),
            };
            if items.len() >= MAX_ENTRIES {
                return Err(failure(directory, Why::TooMany));
            }
            items.push(Item { name: name.into(), target: target.into(), facts, child: 0 });
        }
        items.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(Listing { items })
    }

    fn reason_to_leave_out(&self, directory: TreePath<'_>, name: &[u8], sort: Sort) -> Option<LeftOutReason> {
        let is = if sort == Sort::Directory { Is::Directory } else { Is::Other };
        match sort {
            _ if self.leave_out.covers(directory, name, is) => Some(LeftOutReason::Rule),
            Sort::Special(reason) => Some(reason),
            _ => None,
        }
    }
}

fn failure(path: TreePath<'_>, why: Why) -> Failure {
    Failure { path: path.to_string(), why }
}

/// The error has the path.
fn long(directory: TreePath<'_>, error: PathError) -> Failure {
    failure(directory, error.into())
}

/// Puts the listings together: a directory, then what it holds, by name. That is the tree order, since `/` comes before
/// every other byte.
fn flatten(top: Facts, mut listings: HashMap<usize, Listing>, left_out: Vec<LeftOut>) -> Walked {
    let mut walked = Walked { arena: b".".to_vec(), entries: Vec::new(), left_out };
    walked.entries.push(WalkedEntry { path: 0..1, target: 0..0, facts: top });
    let mut prefix: Vec<u8> = Vec::new();
    let mut open = vec![(0, listings.remove(&0).map(|listing| listing.items.into_iter()))];
    while let Some((length, items)) = open.last_mut() {
        let Some(item) = items.as_mut().and_then(Iterator::next) else {
            open.pop();
            continue;
        };
        prefix.truncate(*length);
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        prefix.extend_from_slice(&item.name);
        let start = walked.arena.len();
        walked.arena.extend_from_slice(&prefix);
        let path = start..walked.arena.len();
        walked.arena.extend_from_slice(&item.target);
        let target = path.end..walked.arena.len();
        walked.entries.push(WalkedEntry { path, target, facts: item.facts });
        if item.facts.sort == Sort::Directory {
            open.push((prefix.len(), listings.remove(&item.child).map(|listing| listing.items.into_iter())));
        }
    }
    walked
}
