//! News of contents that are not what their id says: from connections to the node, which sets them aside.
//!
//! A client that asks for a file a second time, or whose own sum disagrees, makes the node look; what is
//! bad is reported once a sighting and answered with an error for that file only. Nothing is repaired here.

use std::net::SocketAddr;

use tokio::sync::mpsc;

use super::view::shown;
use crate::tree::ContentId;

/// A content that could not be read, or that is not what its id says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadContent {
    /// Its id.
    pub content: ContentId,
    /// A path at which a client asked for it.
    pub path: Vec<u8>,
    /// What was found.
    pub reason: String,
}

/// The connections' end of the news.
#[derive(Clone, Debug)]
pub struct BadContents(mpsc::Sender<BadContent>);

impl BadContents {
    /// A way for news, and the end at which the node listens. News that do not fit come again with the next client.
    pub fn new(capacity: usize) -> (BadContents, mpsc::Receiver<BadContent>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (BadContents(sender), receiver)
    }

    pub(crate) fn report(&self, bad: BadContent) {
        // A full channel is no loss: the content stays bad, and the next request reports it again.
        let _ = self.0.try_send(bad);
    }
}

impl BadContent {
    /// The path as messages show it: nothing in it can break a line.
    pub fn shown_path(&self) -> String {
        shown(&self.path)
    }

    /// Says it in the log, with how many of the client's finds were not said before.
    pub(crate) fn tell(&self, client: SocketAddr, suppressed: u64) {
        tracing::error!(
            content = %self.content.short(), path = %self.shown_path(), reason = self.reason, %client, suppressed,
            "a stored content is bad: it is not served; import the tree again to mend it"
        );
    }
}
