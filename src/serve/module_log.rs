//! The transfer log: one line a file that was sent, in stock rsyncd's default format.
//!
//! Lines go through a bounded channel to one writer, so that a slow disk never holds up a connection;
//! lines that do not fit are counted and named in one line later. The text is made here, the time is
//! put in front by the writer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::view::shown;

/// One sent file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferLine {
    /// Number of the connection, where rsyncd has its process id.
    pub connection: u64,
    /// Who got it.
    pub client: SocketAddr,
    /// Through which module.
    pub module: String,
    /// Its path in the transfer.
    pub path: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
}

impl TransferLine {
    /// The line after date and time: `[pid] send host [address] module (user) path size`.
    ///
    /// Names are not looked up, so the host is the address again; nobody logs in yet, so the user is empty.
    pub fn text(&self) -> String {
        let address = self.client.ip().to_canonical();
        let TransferLine { connection, module, path, size, .. } = self;
        format!("[{connection}] send {address} [{address}] {module} () {} {size}", shown(path))
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
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_as_rsyncd_writes_it_and_hides_control_characters() {
        let line = TransferLine {
            connection: 7,
            client: "[::ffff:192.0.2.1]:4000".parse().expect("an address"),
            module: "gentoo-portage".to_owned(),
            path: b"a\nb/c".to_vec(),
            size: 12,
        };
        assert_eq!(line.text(), "[7] send 192.0.2.1 [192.0.2.1] gentoo-portage () a\\nb/c 12");
    }

    #[test]
    fn lines_that_do_not_fit_are_counted() {
        let (log, _keep) = TransferLog::new(1);
        let line = TransferLine {
            connection: 1,
            client: "127.0.0.1:1".parse().expect("an address"),
            module: "m".to_owned(),
            path: b"p".to_vec(),
            size: 0,
        };
        log.write(line.clone());
        log.write(line);
        assert_eq!((log.take_lost(), log.take_lost()), (1, 0));
    }
}
