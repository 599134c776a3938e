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

impl Store {
    /// Remembers, durably, that the store was restored at the time `now` (seconds since 1970) and what it shows.
    pub fn note_restore(&mut self, now: i64) -> Result<(), StoreError> {
        let mut text = format!("{TITLE}\ntime {now}\n");
        for head in self.heads()? {
            text.push_str(&line(&head));
        }
        self.set_state(KEY, text.as_bytes())
    }

    /// Whether a channel shows `head` since the store was restored: nothing was published after it.
    pub fn is_as_restored(&self, head: &Publication) -> Result<bool, StoreError> {
        let Some(text) = self.state(KEY)? else { return Ok(false) };
        let text = String::from_utf8_lossy(&text);
        Ok(text.starts_with(TITLE) && text.split_inclusive('\n').any(|known| known == line(head)))
    }
}

fn line(head: &Publication) -> String {
    format!("{} {} {}\n", head.channel, head.term, head.generation)
}
