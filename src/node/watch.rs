//! Who waits for long work: told how far it is, asked whether anybody still wants it. And the pace that work keeps.
//!
//! Work on bytes runs on a blocking thread for minutes; between two pieces it calls here. Deliberately absent: threads.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use super::copy_error::CopyError;
use super::error::NodeError;
use crate::control::{Phase, Progress};

/// Longest pause between two looks at whether anybody still waits.
const PAUSE: Duration = Duration::from_millis(200);

/// One who waits.
pub struct Watch<'w> {
    progress: &'w mut dyn FnMut(Progress),
    wanted: &'w dyn Fn() -> bool,
    seen: Progress,
}

impl<'w> Watch<'w> {
    /// `progress` is told how far the work in `phase` is; once `wanted` says no, the work ends with an error.
    pub fn new(phase: Phase, progress: &'w mut dyn FnMut(Progress), wanted: &'w dyn Fn() -> bool) -> Self {
        Self { progress, wanted, seen: Progress { phase, done: 0, total: None, bytes: 0 } }
    }

    /// So many things are to be done.
    pub(super) fn expect(&mut self, total: u64) {
        self.seen.total = Some(total);
    }

    /// So many more are done, with so many bytes.
    pub(super) fn add(&mut self, done: u64, bytes: u64) {
        self.seen.done += done;
        self.seen.bytes += bytes;
    }

    /// Hands on how far a work within this one is.
    pub(super) fn pass(&mut self, seen: Progress) {
        (self.progress)(seen);
    }

    /// Tells how far it is; fails if nobody waits any more.
    pub(super) fn breathe(&mut self) -> Result<(), NodeError> {
        (self.progress)(self.seen);
        if (self.wanted)() { Ok(()) } else { Err(CopyError::Ended.into()) }
    }

    /// Waits until `until`, as long as somebody wants the work.
    fn rest(&mut self, until: Instant) -> Result<(), NodeError> {
        let (lock, never) = (Mutex::new(()), Condvar::new());
        loop {
            self.breathe()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            // A lock of our own that nobody else can poison, and a call that nobody makes: a pause.
            if let Ok(guard) = lock.lock() {
                drop(never.wait_timeout(guard, left.min(PAUSE)));
            }
        }
    }
}

/// So many bytes a second, over all that was done so far.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Option<u64>,
    start: Instant,
    bytes: u64,
}

impl Pace {
    /// `None`: as fast as it goes.
    pub(super) fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.filter(|rate| *rate > 0), start: Instant::now(), bytes: 0 }
    }

    /// Counts `bytes`, and waits until they were due.
    pub(super) fn keep(&mut self, bytes: u64, watch: &mut Watch<'_>) -> Result<(), NodeError> {
        self.bytes = self.bytes.saturating_add(bytes);
        match self.rate {
            Some(rate) => watch.rest(self.start + due(self.bytes, rate)),
            None => watch.breathe(),
        }
    }
}

/// When so many bytes are due, counted from the start.
fn due(bytes: u64, rate: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_due_by_their_rate() {
        assert_eq!(due(0, 1), Duration::ZERO);
        assert_eq!(due(1 << 20, 1 << 20), Duration::from_secs(1));
        assert_eq!(due(3, 2), Duration::from_millis(1500));
        assert_eq!(due(u64::MAX, 1), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn a_pace_is_kept_and_ends_when_nobody_waits() {
        let mut told = 0;
        let left = std::cell::Cell::new(u32::MAX);
        let wanted = || left.replace(left.get() - 1) > 1;
        let mut progress = |_| told += 1;
        let mut watch = Watch::new(Phase::Read, &mut progress, &wanted);
        let start = Instant::now();
        let mut pace = Pace::new(Some(1000));
        pace.keep(20, &mut watch).expect("it is wanted");
        pace.keep(20, &mut watch).expect("it is wanted");
        assert!(start.elapsed() >= Duration::from_millis(40));
        left.set(2);
        let refused = pace.keep(1_000_000, &mut watch).expect_err("a quarter of an hour is too long");
        assert!(matches!(refused, NodeError::Copy(CopyError::Ended)), "{refused}");
        assert!(start.elapsed() < Duration::from_secs(10) && told > 2);
    }
}
