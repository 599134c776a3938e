//! Snapshots as rows: each is its canonical text or a delta against another one, compressed.
//!
//! A new snapshot is a delta against the one that it follows, since that is quick to write; a sweep makes the heads
//! whole again, since that is quick to load. Whoever loads one has parsed every line and hashed the whole: a flipped
//! bit is an error, never another tree.
//! Deliberately absent: contents; a snapshot can outlive them as the base of another one.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::{StoreError, count, fixed, signed, sql};
use crate::tree::{MAX_TEXT_BYTES, Snapshot, SnapshotId, TextError, apply_delta, delta_text};

/// Longest chain of deltas; each costs a load about as much as its share of a whole text.
pub(super) const MAX_CHAIN: i64 = 16;

/// A delta that is longer than this share of the whole text is not worth its while.
const DELTA_SHARE: usize = 8;

/// Digests do not compress beyond half; more effort only costs time.
const EFFORT: i32 = 1;

struct Stored {
    base: Option<SnapshotId>,
    text: Vec<u8>,
}

/// The depth of a snapshot's chain: 0 if its text is whole. `None` if it is not here.
pub(super) fn depth(db: &Connection, id: &SnapshotId) -> Result<Option<i64>, StoreError> {
    let attempt = "look for a snapshot";
    db.prepare_cached("SELECT depth FROM snapshots WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([id.as_bytes()], |row| row.get(0)).optional())
        .map_err(sql(attempt))
}

/// Loads a snapshot by following its chain.
pub(super) fn load(db: &Connection, id: &SnapshotId) -> Result<Snapshot, StoreError> {
    let mut deltas = Vec::new();
    let mut at = *id;
    let mut snapshot = loop {
        let stored = read(db, &at)?.ok_or(StoreError::UnknownSnapshot(at))?;
        let Some(base) = stored.base else {
            break Snapshot::parse(&stored.text).map_err(bad(&at))?;
        };
        deltas.push((at, stored.text));
        if deltas.len() > usize::try_from(MAX_CHAIN).unwrap_or(0) {
            return Err(StoreError::Damaged(format!("snapshot {} has a chain of more than {MAX_CHAIN}", id.short())));
        }
        at = base;
    };
    while let Some((result, text)) = deltas.pop() {
        snapshot = apply_delta(&snapshot, &text).map_err(bad(&result))?;
    }
    if snapshot.id() != *id {
        return Err(StoreError::Damaged(format!("snapshot {} has the text of another one", id.short())));
    }
    Ok(snapshot)
}

fn bad(id: &SnapshotId) -> impl FnOnce(TextError) -> StoreError {
    let what = format!("snapshot {}", id.short());
    move |source| StoreError::BadText { what, source }
}

fn read(db: &Connection, id: &SnapshotId) -> Result<Option<Stored>, StoreError> {
    let attempt = "read a snapshot";
    let mut statement =
        db.prepare_cached("SELECT base, length, text FROM snapshots WHERE id = ?1").map_err(sql(attempt))?;
    let mut rows = statement.query([id.as_bytes()]).map_err(sql(attempt))?;
    let Some(row) = rows.next().map_err(sql(attempt))? else { return Ok(None) };
    let base: Option<Vec<u8>> = row.get(0).map_err(sql(attempt))?;
    let base = base.map(|bytes| fixed("a snapshot id", &bytes).map(SnapshotId::from_bytes)).transpose()?;
    let length = count("the length of a snapshot", row.get(1).map_err(sql(attempt))?)?;
    let length = usize::try_from(length).ok().filter(|&length| length <= MAX_TEXT_BYTES);
    let length = length.ok_or_else(|| StoreError::Damaged(format!("snapshot {} is too long", id.short())))?;
    let packed = row.get_ref(2).and_then(|value| Ok(value.as_blob()?)).map_err(sql(attempt))?;
    Ok(Some(Stored { base, text: unpack(packed, length, "a snapshot")? }))
}

/// Compresses; what comes back from [`unpack`] with the same length.
pub(super) fn pack(text: &[u8]) -> Result<Vec<u8>, StoreError> {
    zstd::bulk::compress(text, EFFORT).map_err(|error| StoreError::Damaged(format!("zstd: {error}")))
}

/// Decompresses to exactly `length` bytes.
pub(super) fn unpack(packed: &[u8], length: usize, what: &str) -> Result<Vec<u8>, StoreError> {
    let text = zstd::bulk::decompress(packed, length);
    let text = text.map_err(|error| StoreError::Damaged(format!("{what} does not decompress: {error}")))?;
    if text.len() == length { Ok(text) } else { Err(StoreError::Damaged(format!("{what} has another length"))) }
}

/// Writes `snapshot`, unless it is here and sound; as a delta against `near` if that is worth it.
pub(super) fn insert(db: &Connection, snapshot: &Snapshot, near: Option<&Snapshot>) -> Result<(), StoreError> {
    if depth(db, &snapshot.id())?.is_some() {
        return match load(db, &snapshot.id()) {
            Err(error) if error.is_damage() => make_whole(db, snapshot),
            loaded => loaded.map(drop),
        };
    }
    let mut delta = None;
    if let Some(near) = near.filter(|near| near.repository() == snapshot.repository())
        && let Some(depth) = depth(db, &near.id())?
        && depth < MAX_CHAIN
    {
        let text = delta_text(near, snapshot);
        // An entry takes some 170 bytes; a guess will do.
        if text.len() < snapshot.len().saturating_mul(170) / DELTA_SHARE {
            delta = Some((near.id(), depth + 1, text));
        }
    }
    let (base, depth, text) = match delta {
        Some((base, depth, text)) => (Some(base), depth, text),
        None => (None, 0, snapshot.to_text()),
    };
    let attempt = "write a snapshot";
    db.prepare_cached(
        "INSERT INTO snapshots (id, repository, base, depth, length, text, entries, size)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .and_then(|mut statement| {
        statement.execute(params![
            snapshot.id().as_bytes(),
            snapshot.repository().as_str(),
            base.as_ref().map(SnapshotId::as_bytes),
            depth,
            size(text.len()),
            pack(&text).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?,
            size(snapshot.len()),
            signed(snapshot.byte_count()),
        ])
    })
    .map(drop)
    .map_err(sql(attempt))
}

fn size(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Makes the text of a snapshot whole, so that it loads without a base.
pub(super) fn make_whole(db: &Connection, snapshot: &Snapshot) -> Result<(), StoreError> {
    let text = snapshot.to_text();
    let packed = pack(&text)?;
    db.execute(
        "UPDATE snapshots SET base = NULL, depth = 0, length = ?2, text = ?3 WHERE id = ?1",
        params![snapshot.id().as_bytes(), size(text.len()), packed],
    )
    .map(drop)
    .map_err(sql("write a snapshot"))
}

/// All snapshots with their bases.
pub(super) fn all(db: &Connection) -> Result<Vec<(SnapshotId, Option<SnapshotId>)>, StoreError> {
    let attempt = "list the snapshots";
    let mut statement = db.prepare_cached("SELECT id, base FROM snapshots ORDER BY n").map_err(sql(attempt))?;
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<Vec<u8>>>(1)?)))
        .map_err(sql(attempt))?;
    let id = |bytes: &[u8]| fixed("a snapshot id", bytes).map(SnapshotId::from_bytes);
    rows.map(|row| {
        let (own, base) = row.map_err(sql(attempt))?;
        Ok((id(&own)?, base.as_deref().map(id).transpose()?))
    })
    .collect()
}

/// Forgets a snapshot.
pub(super) fn delete(db: &Connection, id: &SnapshotId) -> Result<(), StoreError> {
    db.execute("DELETE FROM snapshots WHERE id = ?1", [id.as_bytes()]).map(drop).map_err(sql("delete a snapshot"))
}
