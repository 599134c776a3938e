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
    /// The same one with this rate, in bytes per second; `None` for no limit. What was granted at another rate and waits
    /// for its time is asked for again.
    #[must_use]
    pub fn at(self, rate: Option<u64>) -> Bucket {
        let rate = rate.unwrap_or(0);
        if self.0.rate.swap(rate, Ordering::AcqRel) != rate {
            self.0.taken.store(0, Ordering::Release);
        }
        self
    }

    /// Bytes per second, if there is a limit.
    pub fn rate(&self) -> Option<u64> {
        Some(self.0.rate.load(Ordering::Relaxed)).filter(|rate| *rate > 0)
    }

    /// Takes the next grant, of at most `wanted` bytes. `None`: there is no limit.
    fn take(&self, now: Instant, wanted: u64) -> Option<Grant> {
        let rate = self.rate()?;
        let left = (rate / GRANTS_PER_SECOND).clamp(LEAST_GRANT, MOST_GRANT).min(wanted);
        let clock = &self.0;
        let now = u64::try_from(now.saturating_duration_since(clock.base).as_nanos()).unwrap_or(u64::MAX);
        let add = |taken: u64| Some(taken.max(now).saturating_add(time(left, rate)));
        let before = clock.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).unwrap_or_else(|taken| taken);
        Some(Grant { left, rate, from: clock.base + Duration::from_nanos(before.max(now)) })
    }

    /// Takes back what was not used: whoever comes next gets its time.
    fn give_back(&self, grant: &Grant) {
        if self.rate() == Some(grant.rate) {
            let less = |taken: u64| Some(taken.saturating_sub(time(grant.left, grant.rate)));
            // It always gives a value.
            let _ = self.0.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        }
    }
}

/// How long so many bytes take at a rate, in nanoseconds.
fn time(bytes: u64, rate: u64) -> u64 {
    u64::try_from(u128::from(bytes) * NANOS / u128::from(rate.max(1))).unwrap_or(u64::MAX)
}

/// So many bytes, from a moment on.
#[derive(Clone, Copy, Debug)]
struct Grant {
    left: u64,
    /// The rate at which it was given.
    rate: u64,
    from: Instant,
}

/// A connection's grant from one bucket; dropped with the connection, it leaves its rest to others.
#[derive(Debug)]
struct Turn {
    bucket: Bucket,
    grant: Option<Grant>,
}

impl Turn {
    /// Whether the grant waits for its time and was given at a rate that holds no more.
    fn is_out_of_date(&self, now: Instant) -> bool {
        self.grant.is_some_and(|grant| grant.from > now && self.bucket.rate() != Some(grant.rate))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(grant) = &self.grant {
            self.bucket.give_back(grant);
        }
    }
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
        self.0.push(Turn { bucket, grant: None });
    }

    /// Whether a limit holds at this moment.
    pub(crate) fn is_limited(&self) -> bool {
        self.0.iter().any(|turn| turn.bucket.rate().is_some())
    }

    /// How many of the `queued` bytes may leave now; takes grants where the last ones are spent.
    pub(crate) fn allows(&mut self, now: Instant, queued: usize) -> Allowed {
        let wanted = u64::try_from(queued).unwrap_or(u64::MAX).max(1);
        let (mut bytes, mut wait) = (usize::MAX, None);
        for turn in &mut self.0 {
            if turn.grant.is_none() || turn.is_out_of_date(now) {
                turn.grant = turn.bucket.take(now, wanted);
            }
            let Some(grant) = turn.grant else { continue };
            if grant.from > now {
                wait = wait.max(Some(grant.from));
            }
            bytes = bytes.min(usize::try_from(grant.left).unwrap_or(usize::MAX));
        }
        wait.map_or(Allowed::Now(bytes), Allowed::From)
    }

    /// When the latest grant that is not spent begins; nothing may leave before.
    pub(crate) fn granted_from(&self) -> Option<Instant> {
        self.0.iter().filter_map(|turn| turn.grant).map(|grant| grant.from).max()
    }

    /// Counts bytes that have left.
    pub(crate) fn spend(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        for turn in &mut self.0 {
            let left = |grant: Grant| Grant { left: grant.left.saturating_sub(bytes), ..grant };
            turn.grant = turn.grant.map(left).filter(|grant| grant.left > 0);
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
            match paces[at].allows(now, usize::MAX) {
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
        let Allowed::Now(bytes) = one[0].allows(then, usize::MAX) else { panic!("it may go on") };
        one[0].spend(bytes);
        assert_eq!(one[0].allows(then, usize::MAX), Allowed::Now(usize::MAX));
    }

    /// When a connection that comes now may send, if it has so many bytes.
    fn next(module: &Bucket, bytes: usize, start: Instant) -> Duration {
        match pace(&[module]).allows(start, bytes) {
            Allowed::Now(_) => Duration::ZERO,
            Allowed::From(then) => then - start,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_costs_what_it_sends() {
        let (module, start) = (Bucket::default().at(Some(64 << 10)), Instant::now());
        for _ in 0..100 {
            let mut one = pace(&[&module]);
            one.allows(start, 400);
            one.spend(400);
        }
        assert_eq!(next(&module, 400, start).as_millis(), 610);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_go_leave_their_turns_to_others() {
        let (module, start) = (Bucket::default().at(Some(64 << 10)), Instant::now());
        let mut waiting: Vec<Pace> = (0..95).map(|_| pace(&[&module])).collect();
        let turns: Vec<Allowed> = waiting.iter_mut().map(|one| one.allows(start, 9_999)).collect();
        assert!(matches!(turns[0], Allowed::Now(_)) && matches!(turns[94], Allowed::From(_)));
        assert!(next(&module, 400, start) > Duration::from_secs(4));
        drop(waiting);
        assert_eq!(next(&module, 400, start), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_rate_holds_for_who_waits_already() {
        let (module, start) = (Bucket::default().at(Some(1 << 10)), Instant::now());
        let mut waiting: Vec<Pace> = (0..30).map(|_| pace(&[&module])).collect();
        let turns: Vec<Allowed> = waiting.iter_mut().map(|one| one.allows(start, 9_999)).collect();
        assert_eq!(turns[29], Allowed::From(start + Duration::from_secs(29)));
        let module = module.at(Some(1 << 10));
        assert_eq!(next(&module, 1, start).as_secs(), 30, "nothing has changed");
        assert_eq!(module.at(Some(1 << 30)).rate(), Some(1 << 30));
        assert!(matches!(waiting[29].allows(start, 9_999), Allowed::Now(_)));
    }
}
