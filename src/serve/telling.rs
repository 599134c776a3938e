//! What the log says of a client beyond how its visit ended: contents that are bad, files that could not be read, waiting.
//!
//! All of it counts with the client's other lines, whichever of its connections it comes from, and every path is escaped,
//! so nobody fills the log and no name forges a line of it. Deliberately absent: transfers, which have a log of their own.

use std::net::SocketAddr;

use tokio::time::Instant;

use super::bad_content::BadContent;
use super::log_limit::LogLimit;

/// What could not be read now, though nobody is to take it for bad.
pub(crate) struct Trouble {
    /// Its path as messages show it, or what it was.
    pub(crate) what: String,
    pub(crate) reason: String,
}

/// What one connection tells.
pub(crate) struct Telling {
    pub(crate) client: SocketAddr,
    pub(crate) lines: LogLimit,
    /// Lines a second about one client; 0: no limit.
    pub(crate) most: u32,
}

impl Telling {
    /// Whether a line may be written, and how many were not before.
    fn admit(&self) -> Option<u64> {
        self.lines.admit(self.client.ip().to_canonical(), Instant::now(), self.most)
    }

    /// A content is not what its id says.
    pub(crate) fn bad(&self, bad: &BadContent) {
        if let Some(suppressed) = self.admit() {
            bad.tell(self.client, suppressed);
        }
    }

    /// Something could not be read.
    pub(crate) fn trouble(&self, trouble: Trouble) {
        let Trouble { what, reason } = trouble;
        if let Some(suppressed) = self.admit() {
            tracing::error!(path = %what, reason, client = %self.client, suppressed, "not sent");
        }
    }

    /// There was no file descriptor for the client's file, so many times; said once.
    pub(crate) fn starved(&self, tries: u32) {
        if tries == 1
            && let Some(suppressed) = self.admit()
        {
            tracing::warn!(
                client = %self.client, suppressed,
                "a client waits: no file descriptor is left for a large file; raise the limit of open files if this repeats"
            );
        }
    }
}
