//! Who is reading which snapshot, so that a sweep leaves it alone.
//!
//! Connections pin from many threads and let go in a destructor, which cannot wait for a message; so this is the one
//! shared map of the store, held for a few instructions at a time. While a sweep is dropping a snapshot it cannot be
//! pinned any more: a reader either keeps it whole or is told that it is gone.
//! Deliberately absent: pinning by a database transaction, which would hold back the log for the length of a slow client.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::tree::SnapshotId;

#[derive(Default, Debug)]
struct State {
    pinned: HashMap<SnapshotId, usize>,
    going: HashSet<SnapshotId>,
}

/// The pins of one store; clones share them.
#[derive(Clone, Default, Debug)]
pub struct Pins(Arc<Mutex<State>>);

impl Pins {
    /// Keeps `snapshot` from being swept until the pin is dropped; `None` if it is being swept at this moment.
    pub fn pin(&self, snapshot: SnapshotId) -> Option<Pin> {
        let mut state = self.state();
        if state.going.contains(&snapshot) {
            return None;
        }
        *state.pinned.entry(snapshot).or_default() += 1;
        Some(Pin { pins: self.clone(), snapshot })
    }

    /// How many snapshots are pinned.
    pub fn count(&self) -> usize {
        self.state().pinned.len()
    }

    /// Bars those of `candidates` that nobody has pinned from being pinned, until [`Pins::gone`]. Returns them.
    pub(super) fn bar(&self, candidates: impl Iterator<Item = SnapshotId>) -> HashSet<SnapshotId> {
        let mut state = self.state();
        state.going = candidates.filter(|candidate| !state.pinned.contains_key(candidate)).collect();
        state.going.clone()
    }

    /// What was barred is gone, or stays after all.
    pub(super) fn gone(&self) {
        self.state().going.clear();
    }

    /// The map is whole whenever the lock is free, also if its last holder panicked.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One reader's hold on a snapshot.
#[must_use = "a pin that is dropped holds nothing"]
#[derive(Debug)]
pub struct Pin {
    pins: Pins,
    snapshot: SnapshotId,
}

impl Pin {
    /// The snapshot that is held.
    pub fn snapshot(&self) -> SnapshotId {
        self.snapshot
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.pins.state();
        if let Some(count) = state.pinned.get_mut(&self.snapshot) {
            *count -= 1;
            if *count == 0 {
                state.pinned.remove(&self.snapshot);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_either_pinned_or_going() {
        let pins = Pins::default();
        let [a, b] = [1, 2].map(|byte| SnapshotId::from_bytes([byte; 64]));
        let (first, second) = (pins.pin(a).unwrap(), pins.pin(a).unwrap());
        drop(first);
        assert_eq!(pins.bar([a, b].into_iter()), HashSet::from([b]), "one pin of two is left");
        assert!(pins.pin(b).is_none(), "it is going");
        pins.gone();
        drop(second);
        assert_eq!(pins.count(), 0);
        assert_eq!(pins.bar([a].into_iter()), HashSet::from([a]));
    }
}
