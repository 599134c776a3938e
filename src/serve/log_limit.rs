//! How many lines a second one client can make us write into our log.
//!
//! Refusals and broken protocols are worth a line each, until somebody makes thousands of them. What goes beyond the
//! limit is counted and said in one line when its second is over. What is kept of a client is gone with its second, and
//! beyond some thousand clients the others share one account, so a flood from everywhere takes no memory either.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Clients with an account of their own.
const MOST_CLIENTS: usize = 4096;

/// On whom all others are counted.
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

const SECOND: Duration = Duration::from_secs(1);

/// Lines of one client within a second.
#[derive(Clone, Copy, Debug)]
struct Lines {
    since: Instant,
    written: u32,
    suppressed: u64,
}

impl Lines {
    fn new(now: Instant) -> Lines {
        Lines { since: now, written: 0, suppressed: 0 }
    }

    /// Whether a line may be written. With the first one of a new second comes how many were suppressed before.
    /// `most`: lines a second; 0 for no limit.
    fn admit(&mut self, now: Instant, most: u32) -> Option<u64> {
        let mut before = 0;
        if now >= self.since + SECOND {
            before = self.suppressed;
            *self = Lines::new(now);
        }
        if most > 0 && self.written >= most {
            self.suppressed += 1;
            return None;
        }
        self.written += 1;
        Some(before)
    }
}

/// The lines of all clients, whichever of their connections makes us write them; clones share the accounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogLimit(Arc<Mutex<HashMap<IpAddr, Lines>>>);

impl LogLimit {
    fn accounts(&self) -> MutexGuard<'_, HashMap<IpAddr, Lines>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a line about `client` may be written, and how many were suppressed before it.
    pub(crate) fn admit(&self, client: IpAddr, now: Instant, most: u32) -> Option<u64> {
        let mut accounts = self.accounts();
        let known = accounts.contains_key(&client) || accounts.len() < MOST_CLIENTS;
        let account = if known { client } else { OTHERS };
        accounts.entry(account).or_insert_with(|| Lines::new(now)).admit(now, most)
    }

    /// When the next second is over, if any runs.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.accounts().values().map(|lines| lines.since + SECOND).min()
    }

    /// Ends the seconds that are over and says of whom how many lines were suppressed.
    pub(crate) fn flush(&self, now: Instant, tell: &mut dyn FnMut(Option<IpAddr>, u64)) {
        let mut told = Vec::new();
        self.accounts().retain(|client, lines| {
            if now < lines.since + SECOND {
                return true;
            }
            if lines.suppressed > 0 {
                told.push((Some(*client).filter(|client| *client != OTHERS), lines.suppressed));
            }
            false
        });
        told.into_iter().for_each(|(client, lines)| tell(client, lines));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(0x0a00_0000 + number).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_gets_so_many_lines_a_second_and_a_count_of_the_others() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        let written = (0..25).filter(|_| limit.admit(address(1), start, 10).is_some()).count();
        assert_eq!(written, 10);
        assert_eq!(limit.clone().admit(address(1), start, 10), None, "another of its connections has no more");
        assert_eq!(limit.admit(address(2), start, 10), Some(0), "others have their own");
        assert_eq!(limit.due(), Some(start + SECOND));
        let mut told = Vec::new();
        limit.flush(start + SECOND, &mut |client, count| told.push((client, count)));
        assert_eq!(told, [(Some(address(1)), 16)]);
        assert_eq!(limit.due(), None, "nothing is kept");
        assert_eq!(limit.admit(address(1), start + SECOND, 10), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_from_everywhere_takes_no_more_than_its_accounts() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        let written = (0..100_000).filter(|number| limit.admit(address(*number), start, 10).is_some()).count();
        assert_eq!((written, limit.accounts().len()), (MOST_CLIENTS + 10, MOST_CLIENTS + 1));
        let mut told = Vec::new();
        limit.flush(start + SECOND, &mut |client, count| told.push((client, count)));
        assert_eq!(told, [(None, 100_000 - 10 - MOST_CLIENTS as u64)]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_every_line_is_written() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        assert_eq!((0..1000).filter(|_| limit.admit(address(1), start, 0).is_some()).count(), 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_line_of_a_new_second_says_what_was_suppressed() {
        let (start, mut lines) = (Instant::now(), Lines::new(Instant::now()));
        let first: Vec<_> = (0..4).map(|_| lines.admit(start, 2)).collect();
        assert_eq!(first, [Some(0), Some(0), None, None]);
        assert_eq!(lines.admit(start + SECOND, 2), Some(2));
    }
}
