//! What waits to be written on one connection: chunks of bytes, most of them shared with other connections.
//!
//! All of it is counted in the connection's [`Share`], but for bytes that are lent, which somebody else counts. Invariant:
//! nothing small keeps a large allocation alive for long, as what has to wait is [copied](Queue::settle) to its own
//! size. Deliberately absent: sockets and time.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::room::Share;

/// What a chunk takes beside its bytes, so that a queue of tiny ones is bounded too.
const CHUNK_OVERHEAD: usize = 128;

/// A chunk below this that has to wait is copied to its own size: it may lie in an allocation much larger than itself.
const COPY_BELOW: usize = 64 << 10;

/// Chunks in one vectored write.
const SLICES: usize = 32;

#[derive(Debug)]
pub(crate) struct Queue {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// How many of the bytes belong to a list that connections share.
    lent: usize,
    /// How many bytes at the front are a keep-alive.
    hollow: usize,
    share: Share,
}

/// Of what the bytes were that have been written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Written {
    /// A keep-alive, or a part of one.
    Hollow,
    /// Something that the client waits for.
    Substance,
}

impl Queue {
    /// An empty queue that counts there.
    pub(crate) fn new(share: Share) -> Queue {
        Queue { chunks: VecDeque::new(), bytes: 0, lent: 0, hollow: 0, share }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// How many chunks there are.
    pub(crate) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether so much waits that nothing more should be made.
    pub(crate) fn is_full(&self) -> bool {
        !self.share.has_room(self.bytes() + self.overhead())
    }

    /// How many bytes may be made before this connection, or all of them, hold too much.
    pub(crate) fn budget(&self) -> usize {
        self.share.budget()
    }

    /// Says how much is held of what the client has sent. How much that may become.
    pub(crate) fn keep(&mut self, input: usize) -> usize {
        self.share.set_input(input)
    }

    /// Says that so many of the bytes that are pushed next are counted by somebody else.
    pub(crate) fn lend(&mut self, bytes: usize) {
        self.lent += bytes;
    }

    /// Adds bytes that follow those that are there.
    pub(crate) fn push(&mut self, bytes: impl IntoIterator<Item = Bytes>) {
        for chunk in bytes.into_iter().filter(|chunk| !chunk.is_empty()) {
            self.bytes += chunk.len();
            self.chunks.push_back(chunk);
        }
        self.count();
    }

    /// Says that all that is there is a keep-alive.
    pub(crate) fn mark_hollow(&mut self, bytes: usize) {
        self.hollow = bytes;
    }

    /// The first `most` bytes, as far as one write takes them.
    pub(crate) fn slices(&self, most: usize) -> Vec<IoSlice<'_>> {
        let mut left = most;
        let front = self.chunks.iter().take(SLICES).map_while(|chunk| {
            let take = chunk.len().min(left);
            left -= take;
            (take > 0).then(|| IoSlice::new(chunk.get(..take).unwrap_or_default()))
        });
        front.collect()
    }

    /// Takes off what was written.
    pub(crate) fn wrote(&mut self, bytes: usize) -> Written {
        let hollow = self.hollow.min(bytes);
        self.hollow -= hollow;
        self.bytes -= bytes;
        self.lent = self.lent.saturating_sub(bytes);
        let mut left = bytes;
        while let Some(front) = self.chunks.front_mut() {
            if front.len() > left {
                front.advance(left);
                break;
            }
            left -= front.len();
            self.chunks.pop_front();
        }
        self.count();
        if bytes > hollow { Written::Substance } else { Written::Hollow }
    }

    /// Makes what is still there behind the first `before` chunks ready to wait.
    pub(crate) fn settle(&mut self, before: usize) {
        for chunk in self.chunks.iter_mut().skip(before).filter(|chunk| chunk.len() < COPY_BELOW) {
            *chunk = Bytes::copy_from_slice(chunk);
        }
    }

    fn overhead(&self) -> usize {
        self.chunks.len() * CHUNK_OVERHEAD
    }

    /// Says to all what is held here now.
    fn count(&mut self) {
        let bytes = self.bytes.saturating_sub(self.lent) + self.overhead();
        self.share.set_output(bytes);
    }
}
