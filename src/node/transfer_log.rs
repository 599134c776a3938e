//! Writes the transfer log: the lines of `serve`, each in the form that its module has, with the time in UTC.
//!
//! The file is opened for appending when there is something to write and closed soon after, so that a
//! rotated file needs no signal; a file that cannot be written costs lines, which are counted and said,
//! and never a transfer.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::clock;
use super::config::Config;
use crate::serve::{TransferLine, TransferLog, lost_line};

/// Lines that may wait for the disk.
pub(super) const QUEUE: usize = 8192;

/// Lines in one write.
const BATCH: usize = 1024;

/// Takes lines until all connections are gone or `stop`; what was queued before is still written.
pub(super) async fn write(
    log: TransferLog,
    mut lines: mpsc::Receiver<TransferLine>,
    config: watch::Receiver<Arc<Config>>,
    stop: CancellationToken,
) {
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            biased;
            taken = lines.recv_many(&mut batch, BATCH) => if taken == 0 { return },
            () = stop.cancelled() => return,
        }
        let path = config.borrow().transfer_log.clone();
        let text = render(&std::mem::take(&mut batch), clock::now(), log.take_lost());
        if let Some(path) = path {
            append(path, text).await;
        }
    }
}

async fn append(path: PathBuf, text: String) {
    let shown = path.display().to_string();
    let written = tokio::task::spawn_blocking(move || append_to(&path, text.as_bytes())).await;
    match written {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(path = shown, %error, "write the transfer log; its lines are lost"),
        Err(error) => tracing::warn!(path = shown, %error, "the transfer log's writer failed"),
    }
}

fn append_to(path: &Path, text: &[u8]) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(path)?.write_all(text)
}

/// The lines as text, and how many are missing.
fn render(lines: &[TransferLine], now: i64, lost: u64) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(&line.text(now));
        text.push('\n');
    }
    if let Some(last) = lines.last().filter(|_| lost > 0) {
        text.push_str(&lost_line(&last.format, lost, now));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::LogFormat;

    #[test]
    fn lines_carry_the_time_as_rsyncd_writes_it() {
        let text = render(&[TransferLine::example()], 1_767_225_600, 2);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("2026/01/01 00:00:00 [3] send 192.0.2.9 [192.0.2.9] m () a/b 5"));
        assert!(lines.next().is_some_and(|line| line.contains("2 lines of this log were lost")));
    }

    #[test]
    fn every_line_of_a_log_for_machines_is_an_object() {
        let line = TransferLine { format: Arc::new(LogFormat::Json), ..TransferLine::example() };
        let text = render(&[line], 1_767_225_600, 2);
        let found: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!((&found[0]["path"], &found[1]["lines"]), (&"a/b".into(), &2.into()));
    }
}
