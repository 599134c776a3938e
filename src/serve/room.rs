//! How many bytes connections hold, all together: what waits to be written, and what clients have sent and is not done.
//!
//! Each connection counts what it holds here, in one number. When that has reached half of the limit, a connection
//! makes nothing more until it has written itself down to a small minimum, which every connection may always hold: so
//! whoever reads his bytes goes on, however many others do not, and nobody waits for another. The other half is for
//! what clients send, so those that do not read take no room from those that ask. At the limit a client that holds more
//! than the minimum may not send more of what is not done; the protocol machine tells it so. Deliberately absent:
//! bytes of encoded file lists and what they are made from, which the list cache bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a connection may hold to be written, and again of what its client sends, however little room there is.
pub(crate) const MINIMUM: usize = 64 << 10;

/// The room of all connections; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Room(Arc<AtomicUsize>);

/// How much may be held.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// To be written on one connection, in bytes.
    pub(crate) own: usize,
    /// On all connections, in bytes.
    pub(crate) all: usize,
    /// Where all of them count.
    pub(crate) room: Room,
}

/// What one connection holds of it; given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    bounds: Bounds,
    output: usize,
    input: usize,
}

impl Room {
    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// It stands alone and is only compared, so order does not matter.
    fn change(&self, before: usize, after: usize) {
        match after.checked_sub(before) {
            Some(0) => 0,
            Some(more) => self.0.fetch_add(more, Ordering::Relaxed),
            None => self.0.fetch_sub(before - after, Ordering::Relaxed),
        };
    }
}

impl Bounds {
    /// A share that holds nothing yet.
    pub(crate) fn share(self) -> Share {
        Share { bounds: self, output: 0, input: 0 }
    }

    /// What is left of the half for output.
    fn left_to_make(&self) -> usize {
        (self.all / 2).saturating_sub(self.room.used())
    }
}

impl Share {
    /// Says how much waits to be written from now on.
    pub(crate) fn set_output(&mut self, bytes: usize) {
        self.bounds.room.change(self.output, bytes);
        self.output = bytes;
    }

    /// Says how much is held of what the client has sent. How much that may become.
    pub(crate) fn set_input(&mut self, bytes: usize) -> usize {
        self.bounds.room.change(self.input, bytes);
        self.input = bytes;
        bytes.saturating_add(self.bounds.all.saturating_sub(self.bounds.room.used())).max(MINIMUM)
    }

    /// Whether something more may be made, where so much is queued: this one holds less than its own bound, and all
    /// together have room or this one holds next to nothing.
    pub(crate) fn has_room(&self, queued: usize) -> bool {
        queued < self.bounds.own && (self.output < MINIMUM || self.bounds.left_to_make() > 0)
    }

    /// How many bytes may be made in one go.
    pub(crate) fn budget(&self) -> usize {
        self.bounds.own.min(self.bounds.left_to_make()).max(MINIMUM)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set_output(0);
        self.set_input(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shares of a room of two million bytes.
    fn shares<const N: usize>() -> (Room, [Share; N]) {
        let room = Room::default();
        let bounds = Bounds { own: usize::MAX, all: 2_000_000, room: room.clone() };
        (room, std::array::from_fn(|_| bounds.clone().share()))
    }

    #[test]
    fn a_full_room_leaves_everybody_the_minimum() {
        let (room, [mut large, mut small]) = shares();
        large.set_output(1_000_000);
        small.set_output(MINIMUM - 1);
        assert!(small.has_room(0) && !large.has_room(0));
        assert_eq!(small.budget(), MINIMUM);
        small.set_output(MINIMUM);
        assert!(!small.has_room(0));
        drop(large);
        assert!(small.has_room(0) && !small.has_room(usize::MAX));
        assert_eq!(room.used(), MINIMUM);
    }

    #[test]
    fn what_clients_do_not_read_takes_no_room_from_what_others_send() {
        let (room, [mut deaf, mut talking, mut small]) = shares();
        deaf.set_output(1_000_000);
        assert!(!deaf.has_room(0));
        assert_eq!(talking.set_input(300_000), 1_000_000, "all of the other half");
        assert_eq!(talking.set_input(1_000_000), 1_000_000, "no more than it has");
        assert_eq!(small.set_input(1_000), MINIMUM);
        assert_eq!(small.set_input(MINIMUM + 1), MINIMUM + 1);
        assert!(small.has_room(0), "output that is not there is no matter of what was sent");
        drop(talking);
        assert!(small.set_input(MINIMUM) > 900_000);
        drop((deaf, small));
        assert_eq!(room.used(), 0);
    }
}
