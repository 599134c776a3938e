//! That a store was restored from a backup: which generations were newest then.
//!
//! Clients may have seen later ones, which the backup does not have. As long as a channel shows what it showed at the
//! restore, whoever publishes next must not count on the timestamp that it shows.
//! Deliberately absent: what follows from it, which is the publisher's.

use super::error::StoreError;
use super::open::Store;
use super::publications::Publication;

/// The key in the node's state.
const KEY: &str = "restored";

/// How its value begins.
const TITLE: &str = "headwater restored 1";

/// Timestamps run ahead of the clock by a second for each publication more than one a second, so a client may have seen
/// one that is later than the restore. A minute is more than any gateway was ahead, and no client minds it.
const AHEAD: i64 = 60;

impl Store {
    /// Remembers, durably, that the store was restored at the time `now` (seconds since 1970) and what it shows.
    pub fn note_restore(&mut self, now: i64) -> Result<(), StoreError> {
        let mut text = format!("{TITLE}\ntime {now}\n");
        for head in self.heads()? {
            text.push_str(&line(&head));
        }
        self.set_state(KEY, text.as_bytes())
    }

    /// The latest timestamp that a client may have seen before the store was restored, if a channel shows `head` since
    /// then: nothing was published after it.
    pub fn restored_at(&self, head: &Publication) -> Result<Option<i64>, StoreError> {
        let Some(text) = self.state(KEY)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.split_inclusive('\n');
        let (title, time) = (lines.next(), lines.next());
        let time = time.and_then(|line| line.strip_prefix("time ")?.trim_end().parse::<i64>().ok());
        let is_known = title.is_some_and(|line| line.trim_end() == TITLE) && lines.any(|known| known == line(head));
        Ok(time.filter(|_| is_known).map(|time| time.saturating_add(AHEAD)))
    }
}

fn line(head: &Publication) -> String {
    format!("{} {} {}\n", head.channel, head.term, head.generation)
}
