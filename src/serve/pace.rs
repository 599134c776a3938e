//! How fast bytes may leave: for one connection, and for all connections of a module together.
//!
//! Both are reservations of time. A connection that wants to write takes a small grant of bytes and is told from when on
//! it may use it; it asks for the next one when this one is spent. The connections of a module take their grants from one
//! clock, each only one at a time, so those that have something to say get equal shares in turn, and what nobody uses
//! goes to the others. Nobody waits in a loop and no task runs: the wait is a deadline beside the connection's others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A grant is what the rate gives in this part of a second...
const GRANTS_PER_SECOND: u64 = 20;
/// ...but at least so many bytes, so that a low rate does not cost a call for each byte...
const LEAST_GRANT: u64 = 1 << 10;
/// ...and at most so many, so that turns are short where many share.
const MOST_GRANT: u64 = 64 << 10;

const NANOS: u128 = 1_000_000_000;

/// The clock of one limit, shared by the connections that it holds for; clones share it.
///
/// Its rate can be changed at any time and holds for running transfers from then on.
#[derive(Clone, Debug)]
pub struct Bucket(Arc<Clock>);

#[derive(Debug)]
struct Clock {
    /// Bytes per second; 0: no limit.
    rate: AtomicU64,
    /// Until when the granted bytes take, in nanoseconds from `base`.
    taken: AtomicU64,
    base: Instant,
}

impl Default for Bucket {
    /// Without a limit.
    fn default() -> Bucket {
        Bucket(Arc::new(Clock { rate: AtomicU64::new(0), taken: AtomicU64::new(0), base: Instant::now() }))
    }
}

impl Bucket {
    /// The same one with this rate, in bytes per second; `None` for no limit.
    #[must_use]
    pub fn at(self, rate: Option<u64>) -> Bucket {
        self.0.rate.store(rate.unwrap_or(0), Ordering::Relaxed);
        self
    }

    /// Bytes per second, if there is a limit.
    pub fn rate(&self) -> Option<u64> {
        Some(self.0.rate.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }

    /// Takes the next grant: so many bytes, from that moment on. `None`: there is no limit.
    fn take(&self, now: Instant) -> Option<(u64, Instant)> {
        let rate = self.rate()?;
        let bytes = (rate / GRANTS_PER_SECOND).clamp(LEAST_GRANT, MOST_GRANT);
        let cost = u64::try_from(u128::from(bytes) * NANOS / u128::from(rate)).unwrap_or(u64::MAX);
        let clock = &self.0;
        let now = u64::try_from(now.saturating_duration_since(clock.base).as_nanos()).unwrap_or(u64::MAX);
        let add = |taken: u64| Some(taken.max(now).saturating_add(cost));
        let before = clock.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).unwrap_or_else(|taken| taken);
        Some((bytes, clock.base + Duration::from_nanos(before.max(now))))
    }
}

/// A connection's grant from one bucket.
#[derive(Debug)]
struct Turn {
    bucket: Bucket,
    left: u64,
    from: Instant,
}

/// The limits that one connection keeps, at most two: its own, and that of its module.
#[derive(Debug, Default)]
pub(crate) struct Pace(Vec<Turn>);

/// What a pace allows at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// So many bytes at once.
    Now(usize),
    /// Nothing before this moment.
    From(Instant),
}

impl Pace {
    /// Keeps this limit as well, beginning with nothing granted.
    pub(crate) fn keep(&mut self, bucket: Bucket) {
        self.0.push(Turn { bucket, left: 0, from: Instant::now() });
    }

    /// Whether a limit holds at this moment.
    pub(crate) fn is_limited(&self) -> bool {
        self.0.iter().any(|turn| turn.bucket.rate().is_some())
    }

    /// How many bytes may leave now; takes grants where the last ones are spent.
    pub(crate) fn allows(&mut self, now: Instant) -> Allowed {
        let (mut bytes, mut wait) = (usize::MAX, None);
        for turn in &mut self.0 {
            if turn.left == 0 {
                match turn.bucket.take(now) {
                    Some((left, from)) => (turn.left, turn.from) = (left, from),
                    None => continue,
                }
            }
            if turn.from > now {
                wait = wait.max(Some(turn.from));
            }
            bytes = bytes.min(usize::try_from(turn.left).unwrap_or(usize::MAX));
        }
        wait.map_or(Allowed::Now(bytes), Allowed::From)
    }

    /// When the latest grant that is not spent begins; nothing may leave before.
    pub(crate) fn granted_from(&self) -> Option<Instant> {
        self.0.iter().filter(|turn| turn.left > 0).map(|turn| turn.from).max()
    }

    /// Counts bytes that have left.
    pub(crate) fn spend(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        for turn in &mut self.0 {
            turn.left = turn.left.saturating_sub(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a connection that always has something to say gets out in this time.
    fn run(paces: &mut [Pace], from: Instant, time: Duration) -> Vec<usize> {
        let mut sent = vec![0; paces.len()];
        let mut due: Vec<Instant> = vec![from; paces.len()];
        while let Some((at, now)) = due.iter().copied().enumerate().min_by_key(|(_, due)| *due) {
            if now >= from + time {
                break;
            }
            match paces[at].allows(now) {
                Allowed::Now(bytes) => {
                    paces[at].spend(bytes);
                    sent[at] += bytes;
                }
                Allowed::From(then) => due[at] = then,
            }
        }
        sent
    }

    fn pace(buckets: &[&Bucket]) -> Pace {
        let mut pace = Pace::default();
        buckets.iter().for_each(|bucket| pace.keep((*bucket).clone()));
        pace
    }

    #[tokio::test(start_paused = true)]
    async fn connections_of_a_module_share_its_rate_evenly_and_leave_nothing_unused() {
        let module = Bucket::default().at(Some(1_000_000));
        let start = Instant::now();
        let mut three = [pace(&[&module]), pace(&[&module]), pace(&[&module])];
        let sent = run(&mut three, start, Duration::from_secs(3));
        for bytes in &sent {
            assert!((900_000..=1_100_000).contains(bytes), "{sent:?}");
        }
        // One alone gets all of it.
        let later = start + Duration::from_secs(10);
        let sent = run(&mut three[..1], later, Duration::from_secs(1));
        assert!((950_000..=1_100_000).contains(&sent[0]), "{sent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_smaller_limit_holds_and_leaves_its_rest_to_others() {
        let (own, module) = (Bucket::default().at(Some(100_000)), Bucket::default().at(Some(1_000_000)));
        let mut two = [pace(&[&own, &module]), pace(&[&module])];
        let sent = run(&mut two, Instant::now(), Duration::from_secs(5));
        assert!((480_000..=560_000).contains(&sent[0]), "{sent:?}");
        assert!((4_300_000..=4_700_000).contains(&sent[1]), "{sent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_rate_holds_for_who_runs_already() {
        let module = Bucket::default().at(Some(1_000));
        let mut one = [pace(&[&module])];
        let start = Instant::now();
        assert!(run(&mut one, start, Duration::from_secs(4))[0] <= 6_000);
        let module = module.at(None);
        assert_eq!(module.rate(), None);
        let then = start + Duration::from_secs(8);
        // What was granted before is used up first.
        let Allowed::Now(bytes) = one[0].allows(then) else { panic!("it may go on") };
        one[0].spend(bytes);
        assert_eq!(one[0].allows(then), Allowed::Now(usize::MAX));
    }
}
