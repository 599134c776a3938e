//! How many bytes wait to be written on all connections together.
//!
//! Each connection counts what it holds here, in one number. When that number has reached the limit, a connection
//! makes nothing more until it has written itself down to a small minimum, which every connection may always hold: so
//! whoever reads his bytes goes on, however many others do not. A file that is larger than the minimum waits in a queue
//! until there is room for it. Deliberately absent: bytes of encoded file lists, which connections share and
//! the list cache bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, Semaphore};

/// What a connection may hold however little room there is.
pub(crate) const MINIMUM: usize = 64 << 10;

#[derive(Debug)]
struct Count {
    used: AtomicUsize,
    /// Told each time when something was given back.
    freed: Notify,
    /// Whose turn it is to wait for room; fair.
    turn: Semaphore,
}

/// The room of all connections; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Count>);

impl Default for Room {
    fn default() -> Room {
        Room(Arc::new(Count { used: AtomicUsize::new(0), freed: Notify::new(), turn: Semaphore::new(1) }))
    }
}

/// What one connection holds of it; given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    room: Room,
    bytes: usize,
}

impl Room {
    /// A share that holds nothing yet.
    pub(crate) fn share(&self) -> Share {
        Share { room: self.clone(), bytes: 0 }
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Waits until `bytes` fit below `limit` and takes them. More than the limit fits when nothing else is there.
    pub(crate) async fn reserve(&self, bytes: usize, limit: usize) -> Share {
        let mut share = self.share();
        // Nobody closes it; without a turn the bytes are taken all the same.
        let _turn = self.0.turn.acquire().await;
        loop {
            let freed = self.0.freed.notified();
            let fits =
                |used: usize| (used == 0 || used.saturating_add(bytes) <= limit).then_some(used.saturating_add(bytes));
            if self.0.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_ok() {
                share.bytes = bytes;
                return share;
            }
            freed.await;
        }
    }
}

impl Share {
    /// Says how much is held from now on.
    pub(crate) fn set(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        let count = &self.room.0;
        if bytes >= before {
            count.used.fetch_add(bytes - before, Ordering::AcqRel);
        } else {
            count.used.fetch_sub(before - bytes, Ordering::AcqRel);
            count.freed.notify_one();
        }
    }

    /// Whether something more may be made: all together have room below `limit`, or this one holds next to nothing.
    pub(crate) fn has_room(&self, limit: usize) -> bool {
        self.bytes < MINIMUM || self.room.used() < limit
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn a_full_room_leaves_everybody_the_minimum() {
        let room = Room::default();
        let (mut large, mut small) = (room.share(), room.share());
        large.set(1_000_000);
        small.set(MINIMUM - 1);
        assert!(small.has_room(1_000_000) && !large.has_room(1_000_000));
        small.set(MINIMUM);
        assert!(!small.has_room(1_000_000));
        drop(large);
        assert!(small.has_room(1_000_000));
        assert_eq!(room.used(), MINIMUM);
    }

    #[tokio::test]
    async fn who_waits_for_room_gets_it_in_turn() {
        let room = Room::default();
        let mut held = room.share();
        held.set(900);
        let mut first = Box::pin(room.reserve(500, 1000));
        let mut second = Box::pin(room.reserve(50, 1000));
        assert!(poll!(&mut first).is_pending());
        assert!(poll!(&mut second).is_pending(), "it does not overtake");
        held.set(400);
        let first = first.await;
        assert_eq!(room.used(), 900);
        let second = second.await;
        drop((first, second, held));
        assert_eq!(room.used(), 0);
    }

    #[tokio::test]
    async fn what_is_larger_than_the_room_gets_it_alone() {
        let room = Room::default();
        let mut held = room.share();
        held.set(1);
        let mut large = Box::pin(room.reserve(5000, 1000));
        assert!(poll!(&mut large).is_pending());
        drop(held);
        assert_eq!(large.await.bytes, 5000);
    }
}
