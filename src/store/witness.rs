//! What a source directory looked like when a snapshot was taken from it: inode, change time and device of each file.
//!
//! With it, the next import tells by one stat that a file is the same, without reading it. The marks are aligned with
//! the entries of a published snapshot, which has path, size, mtime and content. A mark of zeros vouches for nothing.
//! Deliberately absent: deciding what is the same; that is the import's plan.

use rusqlite::{Connection, params};

use super::error::{StoreError, count, fixed, sql};
use super::snapshots::{pack, unpack};
use crate::names::RepositoryName;
use crate::tree::{MAX_ENTRIES, SnapshotId};

/// Bytes of a mark when stored: inode, change time, device.
const MARK: usize = 24;

/// What stat said of one file.
#[derive(Copy, Clone, PartialEq, Eq, Default, Debug)]
pub struct Mark {
    /// The inode; 0 vouches for nothing.
    pub inode: u64,
    /// The change time in nanoseconds since 1970.
    pub ctime: i64,
    /// The device.
    pub device: u64,
}

/// The marks of one source of a repository.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Witness {
    /// The path of the source directory, as bytes.
    pub source: Vec<u8>,
    /// The snapshot that the marks are aligned with.
    pub snapshot: SnapshotId,
    /// A mark an entry of that snapshot.
    pub marks: Vec<Mark>,
}

/// The witness of a repository, if its last import left one.
pub(super) fn load(db: &Connection, repository: &RepositoryName) -> Result<Option<Witness>, StoreError> {
    let attempt = "read the witness of an import";
    let mut statement = db
        .prepare_cached("SELECT source, snapshot, length, marks FROM witness WHERE repository = ?1")
        .map_err(sql(attempt))?;
    let mut rows = statement.query([repository.as_str()]).map_err(sql(attempt))?;
    let Some(row) = rows.next().map_err(sql(attempt))? else { return Ok(None) };
    let length = count("the length of a witness", row.get(2).map_err(sql(attempt))?)?;
    let entries = usize::try_from(length).ok().filter(|&entries| entries <= MAX_ENTRIES);
    let entries = entries.ok_or_else(|| StoreError::Damaged(format!("a witness has {length} marks")))?;
    let blob = |at| row.get_ref(at).and_then(|value| Ok(value.as_blob()?)).map_err(sql(attempt));
    let columns = unpack(blob(3)?, entries * MARK, "a witness")?;
    let (inodes, rest) = columns.split_at(entries * 8);
    let (ctimes, devices) = rest.split_at(entries * 8);
    let marks = inodes.as_chunks().0.iter().zip(ctimes.as_chunks().0).zip(devices.as_chunks().0);
    let marks = marks.map(|((inode, ctime), device)| Mark {
        inode: u64::from_le_bytes(*inode),
        ctime: i64::from_le_bytes(*ctime),
        device: u64::from_le_bytes(*device),
    });
    Ok(Some(Witness {
        source: blob(0)?.to_vec(),
        snapshot: SnapshotId::from_bytes(fixed("a snapshot id", blob(1)?)?),
        marks: marks.collect(),
    }))
}

/// Replaces the witness of a repository. Columns apart compress to a fraction.
pub(super) fn replace(db: &Connection, repository: &RepositoryName, witness: &Witness) -> Result<(), StoreError> {
    let marks = &witness.marks;
    let mut columns = Vec::with_capacity(marks.len() * MARK);
    columns.extend(marks.iter().flat_map(|mark| mark.inode.to_le_bytes()));
    columns.extend(marks.iter().flat_map(|mark| mark.ctime.to_le_bytes()));
    columns.extend(marks.iter().flat_map(|mark| mark.device.to_le_bytes()));
    let length = i64::try_from(marks.len()).unwrap_or(i64::MAX);
    db.prepare_cached(
        "INSERT OR REPLACE INTO witness (repository, source, snapshot, length, marks) VALUES (?1, ?2, ?3, ?4, ?5)",
    )
    .and_then(|mut statement| {
        let marks = pack(&columns).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        statement.execute(params![repository.as_str(), witness.source, witness.snapshot.as_bytes(), length, marks])
    })
    .map(drop)
    .map_err(sql("write the witness of an import"))
}
