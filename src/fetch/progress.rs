//! How far an import is, for whoever watches.
//!
//! Counted by all threads at once and told from whichever got further; the numbers only grow.
//! Deliberately absent: rates and remaining time, which need a clock.

use std::sync::atomic::{AtomicU64, Ordering};

/// How far an import is.
#[derive(Copy, Clone, PartialEq, Eq, Default, Debug)]
pub struct Progress {
    /// Files, directories and symlinks that were found.
    pub seen: u64,
    /// Files that are to be read, once that is known.
    pub to_read: u64,
    /// Files that were read.
    pub files_read: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
}

/// What an import calls with its progress, from several threads.
pub type Watcher<'w> = &'w (dyn Fn(Progress) + Sync);

/// Counts, and tells.
pub(super) struct Counter<'w> {
    watcher: Watcher<'w>,
    seen: AtomicU64,
    to_read: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl<'w> Counter<'w> {
    pub(super) fn for_watcher(watcher: Watcher<'w>) -> Self {
        let zero = || AtomicU64::new(0);
        Self { watcher, seen: zero(), to_read: zero(), files: zero(), bytes: zero() }
    }

    pub(super) fn seen(&self, entries: usize) {
        self.seen.fetch_add(u64::try_from(entries).unwrap_or(0), Ordering::Relaxed);
        self.tell();
    }

    pub(super) fn to_read(&self, files: usize) {
        self.to_read.store(u64::try_from(files).unwrap_or(0), Ordering::Relaxed);
        self.tell();
    }

    pub(super) fn read(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.tell();
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            seen: self.seen.load(Ordering::Relaxed),
            to_read: self.to_read.load(Ordering::Relaxed),
            files_read: self.files.load(Ordering::Relaxed),
            bytes_read: self.bytes.load(Ordering::Relaxed),
        }
    }

    fn tell(&self) {
        (self.watcher)(self.progress());
    }
}
