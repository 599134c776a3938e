//! Who is reading which snapshot, so that a sweep leaves it alone.
//!
//! Connections pin from many threads and let go in a destructor, which cannot wait for a message; so this is the one
//! shared map of the store, held for a few instructions at a time. While a sweep is dropping a snapshot it cannot be
//! pinned any more: a reader either keeps it whole or is told that it is gone. Who needs everything as it is, as a backup
//! does, holds the sweep itself.
//! Deliberately absent: pinning by a database transaction, which would hold back the log for the length of a slow client.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::tree::SnapshotId;

#[derive(Default, Debug)]
struct State {
    pinned: HashMap<SnapshotId, usize>,
    going: HashSet<SnapshotId>,
    sweeping: bool,
    held: usize,
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

    /// Keeps every sweep from beginning until the hold is dropped; `None` while one is under way.
    pub fn hold_sweep(&self) -> Option<SweepHold> {
        let mut state = self.state();
        if state.sweeping {
            return None;
        }
        state.held += 1;
        Some(SweepHold { pins: self.clone() })
    }

    /// Begins a sweep; `None` while somebody holds it. The store's one writer sweeps, so there is one at a time.
    pub(super) fn begin_sweep(&self) -> Option<Sweeping> {
        let mut state = self.state();
        if state.held > 0 {
            return None;
        }
        state.sweeping = true;
        Some(Sweeping { pins: self.clone() })
    }

    /// Those of `candidates` that nobody has pinned.
    pub(super) fn unpinned(&self, candidates: impl Iterator<Item = SnapshotId>) -> HashSet<SnapshotId> {
        let state = self.state();
        candidates.filter(|candidate| !state.pinned.contains_key(candidate)).collect()
    }

    /// The map is whole whenever the lock is free, also if its last holder panicked.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sweep under way; dropping it is its end.
#[derive(Debug)]
pub(super) struct Sweeping {
    pins: Pins,
}

impl Sweeping {
    /// Bars those of `candidates` that nobody has pinned from being pinned, until the sweep ends. Returns them.
    pub(super) fn bar(&self, candidates: impl Iterator<Item = SnapshotId>) -> HashSet<SnapshotId> {
        let mut state = self.pins.state();
        state.going = candidates.filter(|candidate| !state.pinned.contains_key(candidate)).collect();
        state.going.clone()
    }
}

impl Drop for Sweeping {
    /// What was barred is gone, or stays after all.
    fn drop(&mut self) {
        let mut state = self.pins.state();
        state.going.clear();
        state.sweeping = false;
    }
}

/// Somebody's hold on the sweep.
#[must_use = "a hold that is dropped holds nothing"]
#[derive(Debug)]
pub struct SweepHold {
    pins: Pins,
}

impl Drop for SweepHold {
    fn drop(&mut self) {
        self.pins.state().held -= 1;
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
        let sweep = pins.begin_sweep().unwrap();
        assert_eq!(sweep.bar([a, b].into_iter()), HashSet::from([b]), "one pin of two is left");
        assert_eq!(pins.unpinned([a, b].into_iter()), HashSet::from([b]));
        assert!(pins.pin(b).is_none(), "it is going");
        drop(sweep);
        drop(second);
        assert_eq!(pins.count(), 0);
        assert_eq!(pins.begin_sweep().unwrap().bar([a].into_iter()), HashSet::from([a]));
        assert!(pins.pin(a).is_some(), "the sweep is over");
    }

    #[test]
    fn a_sweep_and_its_holds_keep_each_other_out() {
        let pins = Pins::default();
        let (first, second) = (pins.hold_sweep().unwrap(), pins.hold_sweep().unwrap());
        drop(first);
        assert!(pins.begin_sweep().is_none(), "one hold of two is left");
        drop(second);
        let sweep = pins.begin_sweep().unwrap();
        assert!(pins.hold_sweep().is_none(), "it is under way");
        drop(sweep);
        assert!(pins.hold_sweep().is_some());
    }
}
