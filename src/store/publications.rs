//! What was published: a row a generation, and for each channel the one that is its head.
//!
//! A head is kept as the text that the gateway signed; channel, generation, term and snapshot are read from it, so a row
//! cannot say otherwise than its head. Order is by (term, generation). Rows of generations that were swept stay, as the
//! channel's log.
//! Deliberately absent: checking signatures, and choosing what to publish.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{StoreError, count, fixed, signed, sql};
use crate::names::{ChannelName, Generation, KeepName};
use crate::tree::{Diff, Head, MAX_SIGNED_BYTES, SnapshotId};

/// Longest log of a channel that is read: two years of a publication every half hour.
const MAX_HISTORY: i64 = 35_000;

/// A head that is to be published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewHead {
    /// The head as signed.
    pub text: Vec<u8>,
    /// What the source had as its timestamp, where it had one.
    pub source: Option<String>,
}

/// How many entries differ from the generation before.
#[derive(Copy, Clone, PartialEq, Eq, Default, Debug)]
pub struct Changes {
    /// Entries that are new.
    pub added: u64,
    /// Entries that are gone.
    pub removed: u64,
    /// Entries with the same path that differ.
    pub changed: u64,
}

impl Changes {
    pub(super) fn of(diff: &Diff) -> Self {
        let number = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        Self {
            added: number(diff.added.len()),
            removed: number(diff.removed.len()),
            changed: number(diff.changed.len()),
        }
    }
}

/// Whether the contents of a generation are still here.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Kept {
    /// It can be served.
    Yes,
    /// It was swept; only this record is left.
    Swept,
}

/// That an operator keeps a generation beyond number and age.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptByHand {
    /// The name that it is kept under, where it has one.
    pub name: Option<KeepName>,
    /// Since when, in seconds since 1970.
    pub since: i64,
}

/// One generation of a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publication {
    /// The channel.
    pub channel: ChannelName,
    /// Its generation.
    pub generation: Generation,
    /// The term of the gateway that signed it.
    pub term: u64,
    /// What was published.
    pub snapshot: SnapshotId,
    /// When, in seconds since 1970, by the gateway's clock.
    pub time: i64,
    /// The head as signed.
    pub head: Vec<u8>,
    /// What the source had as its timestamp, where it had one.
    pub source: Option<String>,
    /// How many entries the snapshot has.
    pub entries: u64,
    /// The sum of its files' sizes, in bytes.
    pub bytes: u64,
    /// What differs from the generation before.
    pub changes: Changes,
    /// Whether it is still here.
    pub kept: Kept,
    /// The generation whose content it has again, if it is a rollback.
    pub rollback_of: Option<Generation>,
    /// Set while an operator keeps it.
    pub by_hand: Option<KeptByHand>,
}

const COLUMNS: &str = "p.channel, p.generation, p.term, p.snapshot, p.time, p.head, p.source, p.entries, p.size, \
                       p.added, p.removed, p.changed, p.kept, p.rollback_of, keeps.since, keeps.name";

/// The head of each channel that keeps any generation, or of each that was given up, by name.
pub(super) fn heads(db: &Connection, kept: Kept) -> Result<Vec<Publication>, StoreError> {
    let text = format!(
        "SELECT {COLUMNS} FROM heads JOIN publications AS p USING (channel, term, generation)
         LEFT JOIN keeps USING (channel, term, generation) WHERE p.kept = ?1 ORDER BY p.channel"
    );
    select(db, &text, [i64::from(kept == Kept::Yes)])
}

/// The generations of a channel, newest first.
pub(super) fn history(db: &Connection, channel: &ChannelName) -> Result<Vec<Publication>, StoreError> {
    let text = format!(
        "SELECT {COLUMNS} FROM publications AS p LEFT JOIN keeps USING (channel, term, generation)
         WHERE p.channel = ?1 ORDER BY p.term DESC, p.generation DESC LIMIT {MAX_HISTORY}"
    );
    select(db, &text, [channel.as_str()])
}

/// The generations that are kept by hand, newest first in each channel.
pub(super) fn by_hand(db: &Connection) -> Result<Vec<Publication>, StoreError> {
    let text = format!(
        "SELECT {COLUMNS} FROM keeps JOIN publications AS p USING (channel, term, generation)
         ORDER BY p.channel, p.term DESC, p.generation DESC LIMIT {MAX_HISTORY}"
    );
    select(db, &text, [])
}

fn select<P: rusqlite::Params>(db: &Connection, text: &str, params: P) -> Result<Vec<Publication>, StoreError> {
    let attempt = "read the publications";
    let mut statement = db.prepare_cached(text).map_err(sql(attempt))?;
    let mut rows = statement.query(params).map_err(sql(attempt))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(sql(attempt))? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<Publication, StoreError> {
    let attempt = "read the publications";
    let number = |at| count("a number of a publication", row.get::<_, i64>(at).map_err(sql(attempt))?);
    let channel: String = row.get(0).map_err(sql(attempt))?;
    let damaged = |what: String| StoreError::Damaged(format!("a publication of {channel:?} has {what}"));
    let generation = Generation::new(number(1)?).ok_or_else(|| damaged("generation 0".into()))?;
    let snapshot = row.get_ref(3).and_then(|value| Ok(value.as_blob()?)).map_err(sql(attempt))?;
    let head: Vec<u8> = row.get(5).map_err(sql(attempt))?;
    if head.len() > MAX_SIGNED_BYTES {
        return Err(damaged("too long a head".into()));
    }
    let rollback_of: Option<i64> = row.get(13).map_err(sql(attempt))?;
    let since: Option<i64> = row.get(14).map_err(sql(attempt))?;
    let name: Option<String> = row.get(15).map_err(sql(attempt))?;
    let name = name.map(|name| name.parse().map_err(|error| damaged(format!("a name: {error}")))).transpose()?;
    Ok(Publication {
        channel: channel.parse().map_err(|error| damaged(format!("no name of a channel: {error}")))?,
        generation,
        term: number(2)?,
        snapshot: SnapshotId::from_bytes(fixed("a snapshot id", snapshot)?),
        time: row.get(4).map_err(sql(attempt))?,
        head,
        source: row.get(6).map_err(sql(attempt))?,
        entries: number(7)?,
        bytes: number(8)?,
        changes: Changes { added: number(9)?, removed: number(10)?, changed: number(11)? },
        kept: if number(12)? == 0 { Kept::Swept } else { Kept::Yes },
        rollback_of: rollback_of.map(|of| count("a generation", of).map(Generation::new)).transpose()?.flatten(),
        by_hand: since.map(|since| KeptByHand { name, since }),
    })
}

/// Makes a publication of a signed head, with what the store knows of its snapshot. Fails if the head does not come
/// after the one that is published.
pub(super) fn prepare(
    db: &Connection,
    new: NewHead,
    changes: Changes,
    rollback_of: Option<Generation>,
) -> Result<Publication, StoreError> {
    let (head, _) = parse(&new.text)?;
    let channel: ChannelName =
        head.channel.as_str().parse().map_err(|error| StoreError::BadHead(format!("{error}")))?;
    let generation =
        Generation::new(head.generation).ok_or_else(|| StoreError::BadHead("it has no generation".into()))?;
    let attempt = "read the heads";
    let at: Option<(i64, i64)> = db
        .prepare_cached("SELECT term, generation FROM heads WHERE channel = ?1")
        .and_then(|mut statement| {
            statement.query_row([channel.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(sql(attempt))?;
    if let Some((at_term, at)) = at
        && (signed(head.term), signed(head.generation)) <= (at_term, at)
    {
        return Err(StoreError::StaleHead {
            channel: channel.to_string(),
            generation: head.generation,
            term: head.term,
            at: count("a generation", at)?,
            at_term: count("a term", at_term)?,
        });
    }
    let (entries, bytes): (i64, i64) = db
        .prepare_cached("SELECT entries, size FROM snapshots WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([head.snapshot.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(sql("read a snapshot"))?;
    Ok(Publication {
        channel,
        generation,
        term: head.term,
        snapshot: head.snapshot,
        time: head.time,
        head: new.text,
        source: new.source,
        entries: count("the entries of a snapshot", entries)?,
        bytes: count("the size of a snapshot", bytes)?,
        changes,
        kept: Kept::Yes,
        rollback_of,
        by_hand: None,
    })
}

/// The head in a signed text.
pub(super) fn parse(text: &[u8]) -> Result<(Head, crate::tree::Signature), StoreError> {
    Head::parse(text).map_err(|error| StoreError::BadHead(error.to_string()))
}

/// Writes a publication and makes it the head of its channel.
pub(super) fn insert(db: &Connection, new: &Publication) -> Result<(), StoreError> {
    let attempt = "move a head";
    db.prepare_cached(
        "INSERT INTO publications (channel, term, generation, snapshot, time, head, source, entries, size, added,
                                   removed, changed, kept, rollback_of)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1, ?13)",
    )
    .and_then(|mut statement| {
        statement.execute(params![
            new.channel.as_str(),
            signed(new.term),
            signed(new.generation.get()),
            new.snapshot.as_bytes(),
            new.time,
            new.head,
            new.source,
            signed(new.entries),
            signed(new.bytes),
            signed(new.changes.added),
            signed(new.changes.removed),
            signed(new.changes.changed),
            new.rollback_of.map(|of| signed(of.get())),
        ])
    })
    .map_err(sql(attempt))?;
    db.prepare_cached("INSERT OR REPLACE INTO heads (channel, term, generation) VALUES (?1, ?2, ?3)")
        .and_then(|mut statement| {
            statement.execute(params![new.channel.as_str(), signed(new.term), signed(new.generation.get())])
        })
        .map(drop)
        .map_err(sql(attempt))
}

/// The names of all channels that keep any generation.
pub(super) fn channels(db: &Connection) -> Result<Vec<ChannelName>, StoreError> {
    Ok(heads(db, Kept::Yes)?.into_iter().map(|head| head.channel).collect())
}

/// True if a generation that is still kept published `snapshot`.
pub(super) fn keeps(db: &Connection, snapshot: &SnapshotId) -> Result<bool, StoreError> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM publications WHERE kept = 1 AND snapshot = ?1)")
        .and_then(|mut statement| statement.query_row([snapshot.as_bytes()], |row| row.get(0)))
        .map_err(sql("read the publications"))
}

/// Marks a generation as swept; its name, if it had one, is free.
pub(super) fn mark_swept(db: &Connection, gone: &Publication) -> Result<(), StoreError> {
    for text in [
        "UPDATE publications SET kept = 0 WHERE channel = ?1 AND term = ?2 AND generation = ?3",
        "DELETE FROM keeps WHERE channel = ?1 AND term = ?2 AND generation = ?3",
    ] {
        db.prepare_cached(text)
            .and_then(|mut statement| {
                statement.execute(params![gone.channel.as_str(), signed(gone.term), signed(gone.generation.get())])
            })
            .map_err(sql("mark a generation as swept"))?;
    }
    Ok(())
}
