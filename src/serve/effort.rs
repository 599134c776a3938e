//! How long the making of a list may go on: while somebody waits for it, and while it takes no longer than an honest one.
//!
//! Rules and arguments come from strangers, and their cost is a product that no bound on one of them can hold. So
//! whoever walks asks here, every few steps, whether to go on. Deliberately absent: what is done about it; a list that
//! is given up is an error like any other.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::listing::NoList;

/// Longest time for choosing entries. A list of 600,000 entries takes a second on a slow core.
pub(crate) const MOST_CHOOSING: Duration = Duration::from_secs(20);

/// Longest time for sums that are not stored: contents are read and hashed, which is a matter of disks.
pub(crate) const MOST_SUMMING: Duration = Duration::from_secs(600);

/// Steps between two looks: a look costs as much as a few names without rules.
const STEPS: u32 = 16;

/// The effort that one list is worth.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    /// Set by whoever ordered it, when nobody waits any more.
    unwanted: Arc<AtomicBool>,
    began: Instant,
    steps: Cell<u32>,
}

impl Effort {
    /// Begins now.
    pub(crate) fn new(unwanted: Arc<AtomicBool>) -> Effort {
        Effort { unwanted, began: Instant::now(), steps: Cell::new(0) }
    }

    /// One small step of choosing: an error when it is enough.
    pub(crate) fn step(&self) -> Result<(), NoList> {
        let steps = self.steps.get().wrapping_add(1);
        self.steps.set(steps);
        if steps.is_multiple_of(STEPS) { self.look() } else { Ok(()) }
    }

    /// One large step of choosing.
    pub(crate) fn look(&self) -> Result<(), NoList> {
        self.within(MOST_CHOOSING)
    }

    /// An error when nobody waits any more, or when it has gone on for longer than `limit`.
    pub(crate) fn within(&self, limit: Duration) -> Result<(), NoList> {
        if self.unwanted.load(Ordering::Relaxed) {
            return Err(NoList::selection("the file list is not wanted any more"));
        }
        if self.began.elapsed() > limit {
            return Err(NoList::selection(format!(
                "making your file list takes longer than {} s: send fewer or simpler filter rules and arguments",
                limit.as_secs()
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_enough_when_nobody_waits_and_when_it_takes_too_long() {
        let unwanted = Arc::new(AtomicBool::new(false));
        let effort = Effort::new(unwanted.clone());
        let steps = |effort: &Effort| (0..STEPS).all(|_| effort.step().is_ok());
        assert!(steps(&effort));
        unwanted.store(true, Ordering::Relaxed);
        assert!(!steps(&effort));
        unwanted.store(false, Ordering::Relaxed);
        tokio::time::advance(MOST_CHOOSING + Duration::from_millis(1)).await;
        assert!(!steps(&effort));
        assert!(effort.within(MOST_SUMMING).is_ok());
    }
}
