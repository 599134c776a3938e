//! Large files that cannot be had, each seen from a client and in the log.
//!
//! At a real socket, with the raw client of `tests`. Deliberately absent: what becomes of files that can be had, which
//! stock clients judge.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::settings_tests::publish_large;
use super::tests::{Daemon, LIMITS, NO_SEND, Shop};
use super::*;

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_told_in_so_many_lines_whatever_its_name_is() {
    const LINES: u32 = 3;
    const REQUESTS: usize = 100;
    let log = Log::default();
    let to = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || to.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let begun = Instant::now();
    let mut shop = Shop::open();
    let path = publish_large(&mut shop, r"evil\x0aFORGED", &vec![1; 3 << 20]);
    // A link to itself: out of reach now, and not bad.
    std::fs::remove_file(&path).expect("a file");
    std::os::unix::fs::symlink(&path, &path).expect("a link");
    let daemon = Daemon::of(shop, ServeLimits { log_lines: LINES, ..LIMITS }, |_| ());
    for _ in 0..2 {
        let mut client = daemon.connect().await;
        client.open().await;
        client.ask(&[2]).await;
        client.ask(&[0; REQUESTS - 1]).await;
        for _ in 0..REQUESTS {
            assert_eq!(client.message(NO_SEND).await, [1, 0, 0, 0]);
        }
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).expect("few");
    let text = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("text");
    let lines = text.lines().filter(|line| line.contains("not sent") && line.contains(r"path=evil\nFORGED")).count();
    assert!((1..=(seconds + 1) * LINES as usize).contains(&lines), "{lines} in {seconds} s: {text}");
    assert!(!text.lines().any(|line| line.starts_with("FORGED")), "{text}");
    daemon.end().await;
}
