//! The transfer log: what is known of a file that was sent, and the way to the one who writes it down.
//!
//! Lines go through a bounded channel to one writer, so that a slow disk never holds up a connection;
//! lines that do not fit are counted and named in one line later. How a line looks is the module's format; the
//! writer fills it in, since it knows the time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::log_format::LogFormat;

/// One sent file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferLine {
    /// Number of the connection, where rsyncd has its process id.
    pub connection: u64,
    /// Who got it; behind a proxy, whom that announced.
    pub client: SocketAddr,
    /// Who logged in; empty: nobody had to.
    pub user: Vec<u8>,
    /// Through which module, as the client named it.
    pub module: String,
    /// The module's directory inside its channel; empty: the whole.
    pub root: Vec<u8>,
    /// Its path from the module's root.
    pub path: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that went out for it, after delta and compression.
    pub wire_bytes: u64,
    /// Bytes of block sums that the client sent for it, their header included.
    pub sum_bytes: u64,
    /// Its permissions.
    pub mode: u32,
    /// When it was modified, in seconds since 1970.
    pub mtime: i64,
    /// The owner that it is listed with.
    pub uid: u32,
    /// The group that it is listed with.
    pub gid: u32,
    /// The xxh128 over the whole file in the order of the wire, where it is known without hashing.
    pub checksum: Option<[u8; 16]>,
    /// What the client said of its own copy (protocol 9.1).
    pub item_flags: u16,
    /// Whether it takes over times (`-t`).
    pub keeps_times: bool,
    /// How the line is to look.
    pub format: Arc<LogFormat>,
}

impl TransferLine {
    /// The line as it is written at `time`, in seconds since 1970, without its end.
    pub fn text(&self, time: i64) -> String {
        self.format.render(self, time)
    }
}

/// Where connections put their lines; clones write to one log.
#[derive(Clone, Debug)]
pub struct TransferLog {
    lines: mpsc::Sender<TransferLine>,
    lost: Arc<AtomicU64>,
}

impl TransferLog {
    /// A log, and the end from which a writer takes the lines.
    pub fn new(capacity: usize) -> (TransferLog, mpsc::Receiver<TransferLine>) {
        let (lines, receiver) = mpsc::channel(capacity);
        (TransferLog { lines, lost: Arc::default() }, receiver)
    }

    pub(crate) fn write(&self, line: TransferLine) {
        if self.lines.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines were lost since the last call.
    pub fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
impl TransferLine {
    /// A line of a small file, for tests.
    pub(crate) fn example() -> TransferLine {
        TransferLine {
            connection: 3,
            client: SocketAddr::from(([192, 0, 2, 9], 1)),
            user: Vec::new(),
            module: "m".to_owned(),
            root: Vec::new(),
            path: b"a/b".to_vec(),
            size: 5,
            wire_bytes: 30,
            sum_bytes: 0,
            mode: 0o644,
            mtime: 0,
            uid: 0,
            gid: 0,
            checksum: None,
            item_flags: 0x8000,
            keeps_times: true,
            format: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_do_not_fit_are_counted() {
        let (log, _keep) = TransferLog::new(1);
        log.write(TransferLine::example());
        log.write(TransferLine::example());
        assert_eq!((log.take_lost(), log.take_lost()), (1, 0));
    }
}
