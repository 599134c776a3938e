//! Counters of the serving side, for `status`: cheap to write from every connection, read now and then.
//!
//! Each number stands alone, so relaxed atomics are enough; nothing decides by them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What has been served since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Connections that are open now.
    pub open: u64,
    /// Connections that were accepted in all.
    pub accepted: u64,
    /// Connections that were answered with an `@ERROR` line, or closed, before a file list.
    pub refused: u64,
    /// Bytes written to clients.
    pub sent_bytes: u64,
    /// Bytes read from clients.
    pub received_bytes: u64,
    /// Files whose content was sent.
    pub files: u64,
}

#[derive(Default, Debug)]
struct Cells {
    open: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
    files: AtomicU64,
}

/// A shared set of counters; clones count together.
#[derive(Clone, Default, Debug)]
pub struct Tally(Arc<Cells>);

/// Counts one open connection for as long as it lives.
#[derive(Debug)]
pub(crate) struct OpenConnection(Tally);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tally {
    /// The numbers now.
    pub fn read(&self) -> Traffic {
        let cells = &self.0;
        let get = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Traffic {
            open: get(&cells.open),
            accepted: get(&cells.accepted),
            refused: get(&cells.refused),
            sent_bytes: get(&cells.sent_bytes),
            received_bytes: get(&cells.received_bytes),
            files: get(&cells.files),
        }
    }

    pub(crate) fn accept(&self) -> OpenConnection {
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
        self.0.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(self.clone())
    }

    pub(crate) fn refuse(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.0.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.0.received_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn files(&self, count: u64) {
        self.0.files.fetch_add(count, Ordering::Relaxed);
    }
}
