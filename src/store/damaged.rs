//! Snapshots whose texts are damaged, as the last sweep found them.
//!
//! They are noted in the database, so that it makes no difference which process sweeps next, and so that an operator is
//! told until it is settled: while there is one, nobody knows what it needs, and no content is freed.
//! Deliberately absent: what becomes of them, which is the sweep's.

use std::collections::HashSet;

use super::error::{StoreError, fixed};
use super::open::Store;
use super::publications::{self, Kept, Publication};
use super::schema::{Promise, promise};
use super::snapshots;
use crate::tree::{Snapshot, SnapshotId};

/// The key in the node's state; the value is one id after the other.
const KEY: &str = "damaged";

/// Bytes of an id.
const ID: usize = 64;

impl Store {
    /// Those that the last sweep found. A note that cannot be read is found anew by the next sweep.
    pub(super) fn known_damaged(&self) -> Result<HashSet<SnapshotId>, StoreError> {
        let noted = self.state(KEY).or_else(StoreError::or_nothing)?.unwrap_or_default();
        noted.chunks_exact(ID).map(|id| fixed("a snapshot id", id).map(SnapshotId::from_bytes)).collect()
    }

    /// Notes what a sweep found.
    pub(super) fn note_damaged(&mut self, found: &[SnapshotId]) -> Result<(), StoreError> {
        if self.known_damaged()? == found.iter().copied().collect() {
            return Ok(());
        }
        let text: Vec<u8> = found.iter().flat_map(|id| *id.as_bytes()).collect();
        match self.set_state(KEY, &text) {
            // The sweep has done what it could; the next one finds the same.
            Err(error) if error.is_full() || error.is_damage() => {
                tracing::warn!(%error, "note which lists of files are damaged");
                Ok(())
            }
            noted => noted,
        }
    }

    /// The generations whose lists of files the last sweep found damaged, newest first in each channel.
    pub fn damaged(&self) -> Result<Vec<Publication>, StoreError> {
        self.kept_of(&self.known_damaged()?)
    }

    /// The kept generations that have one of these snapshots.
    pub fn kept_of(&self, snapshots: &HashSet<SnapshotId>) -> Result<Vec<Publication>, StoreError> {
        let mut found = Vec::new();
        if snapshots.is_empty() {
            return Ok(found);
        }
        for channel in publications::channels(&self.db)? {
            let history = self.history(&channel)?.into_iter();
            found.extend(history.filter(|one| one.kept == Kept::Yes && snapshots.contains(&one.snapshot)));
        }
        Ok(found)
    }

    /// Writes the text of a snapshot anew, whole, in place of one that is damaged.
    pub fn rewrite(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
        promise(&self.db, Promise::Durable)?;
        snapshots::make_whole(&self.db, snapshot)?;
        let left: Vec<_> = self.known_damaged()?.into_iter().filter(|id| *id != snapshot.id()).collect();
        self.note_damaged(&left)
    }
}
