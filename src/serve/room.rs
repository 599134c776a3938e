//! How many bytes wait to be written on all connections together.
//!
//! Each connection counts what it holds here, in one number. When that number has reached the limit, a connection
//! makes nothing more until it has written itself down to a small minimum, which every connection may always hold: so
//! whoever reads his bytes goes on, however many others do not, and nobody waits for another. Deliberately absent:
//! bytes of encoded file lists, which connections share and the list cache bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a connection may hold however little room there is.
pub(crate) const MINIMUM: usize = 64 << 10;

/// The room of all connections; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room(Arc<AtomicUsize>);

/// How much may wait to be written before no more is read or made.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// On one connection, in bytes.
    pub(crate) own: usize,
    /// On all connections, in bytes.
    pub(crate) all: usize,
    /// Where all of them count.
    pub(crate) room: Room,
}

impl Bounds {
    /// How many bytes may be made in one go.
    pub(crate) fn budget(&self) -> usize {
        self.own.min(self.all.saturating_sub(self.room.used())).max(MINIMUM)
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
        self.0.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Says how much is held from now on.
    pub(crate) fn set(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        // It stands alone and is only compared, so order does not matter.
        match bytes >= before {
            true => self.room.0.fetch_add(bytes - before, Ordering::Relaxed),
            false => self.room.0.fetch_sub(before - bytes, Ordering::Relaxed),
        };
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
    use super::*;

    #[test]
    fn a_full_room_leaves_everybody_the_minimum() {
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
}
