//! A snapshot with the place of each of its contents, so that serving never looks anything up by id.
//!
//! 24 bytes an entry, indexed like the snapshot. One scan of the small table `contents` fills it; from an earlier
//! snapshot that is located already, only what changed is looked up. It stays right as long as its snapshot is kept or
//! pinned: row numbers do not change and are not used again.
//! Deliberately absent: bytes, and whether a content went bad since; reading tells.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;

use super::contents::{self, Home, Known, Row, State, Xxh128};
use super::error::StoreError;
use crate::tree::{ContentId, Kind, Snapshot, diff};

/// Above one changed entry in this many, a scan of all contents is quicker than single look-ups.
const SCAN_FROM: usize = 16;

/// No place: not a file, or a content that the store does not have.
const NOWHERE: i64 = 0;

/// In a file of its own.
const LARGE_HOME: i64 = -1;

#[derive(Copy, Clone, Debug)]
struct Slot {
    row: i64,
    xxh128: Xxh128,
}

const EMPTY: Slot = Slot { row: NOWHERE, xxh128: [0; 16] };

/// A snapshot whose contents are found. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Located {
    snapshot: Snapshot,
    slots: Arc<[Slot]>,
}

/// Where the content of a file is, and its stored sum.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Where its bytes are.
    pub home: Home,
    /// The sum over them, as rsync sends it.
    pub xxh128: Xxh128,
}

impl Located {
    /// The snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The place of the content of entry `index`; `None` if it is no file, or if the store has no sound bytes of it.
    pub fn place(&self, index: usize) -> Option<Place> {
        let slot = self.slots.get(index)?;
        let home = match slot.row {
            NOWHERE => return None,
            LARGE_HOME => Home::Large,
            row => Home::Row(Row(row)),
        };
        Some(Place { home, xxh128: slot.xxh128 })
    }

    /// The files whose content the store does not have, by index.
    pub fn missing(&self) -> impl Iterator<Item = usize> {
        let files = self.snapshot.iter().enumerate().filter(|(_, entry)| matches!(entry.kind, Kind::File { .. }));
        files.filter(|(index, _)| self.slots.get(*index).is_none_or(|slot| slot.row == NOWHERE)).map(|(index, _)| index)
    }
}

/// Finds the contents of `snapshot`; with `near`, an earlier one of the same channel, only what differs.
pub(super) fn locate(db: &Connection, snapshot: &Snapshot, near: Option<&Located>) -> Result<Located, StoreError> {
    let slots = match near {
        Some(near) => from_near(db, snapshot, near)?,
        None => by_scan(db, snapshot)?,
    };
    Ok(Located { snapshot: snapshot.clone(), slots: slots.into() })
}

fn content_of(snapshot: &Snapshot, index: usize) -> Option<&ContentId> {
    match snapshot.entry(index)?.kind {
        Kind::File { content, .. } => Some(content),
        _ => None,
    }
}

fn slot(known: &Known) -> Slot {
    let row = match (known.state, known.home) {
        (State::Bad, _) => return EMPTY,
        (State::Sound, Home::Large) => LARGE_HOME,
        (State::Sound, Home::Row(Row(row))) => row,
    };
    Slot { row, xxh128: known.xxh128 }
}

/// The first eight bytes of an id: enough to find it among millions, never enough to trust it.
fn key(id: &[u8]) -> Option<u64> {
    id.first_chunk().map(|head| u64::from_le_bytes(*head))
}

fn by_scan(db: &Connection, snapshot: &Snapshot) -> Result<Vec<Slot>, StoreError> {
    let mut slots = vec![EMPTY; snapshot.len()];
    let mut first: HashMap<u64, usize> = HashMap::with_capacity(snapshot.len());
    // Files of equal content, or of equal key, hang on one chain.
    let mut next = vec![usize::MAX; snapshot.len()];
    for (index, entry) in snapshot.iter().enumerate() {
        let Kind::File { content, .. } = entry.kind else { continue };
        let Some(key) = key(content.as_bytes()) else { continue };
        if let Some(before) = first.insert(key, index) {
            next[index] = before;
        }
    }
    contents::scan(db, &mut |id, known| {
        let mut at = key(id).and_then(|key| first.get(&key).copied()).unwrap_or(usize::MAX);
        while let Some(here) = slots.get_mut(at) {
            if content_of(snapshot, at).is_some_and(|content| content.as_bytes() == id) {
                *here = slot(&known);
            }
            at = next[at];
        }
        Ok(())
    })?;
    Ok(slots)
}

fn from_near(db: &Connection, snapshot: &Snapshot, near: &Located) -> Result<Vec<Slot>, StoreError> {
    let old = near.snapshot();
    let changes = diff(old, snapshot);
    if (changes.added.len() + changes.changed.len()) * SCAN_FROM > snapshot.len() {
        return by_scan(db, snapshot);
    }
    let mut slots = vec![EMPTY; snapshot.len()];
    let mut removed = changes.removed.iter().copied().peekable();
    let mut added = changes.added.iter().copied().peekable();
    let mut kept = (0..old.len()).filter(|index| removed.next_if_eq(index).is_none());
    for (index, here) in slots.iter_mut().enumerate() {
        let content = content_of(snapshot, index);
        if added.next_if_eq(&index).is_none() {
            let before = kept.next();
            if before.and_then(|before| content_of(old, before)) == content {
                *here = before.and_then(|before| near.slots.get(before)).copied().unwrap_or(EMPTY);
            }
        }
        if let (NOWHERE, Some(content)) = (here.row, content) {
            *here = contents::find(db, content)?.map_or(EMPTY, |known| slot(&known));
        }
    }
    Ok(slots)
}
