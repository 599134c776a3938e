//! Generations that an operator keeps, whatever their number and age.
//!
//! A generation is kept under a name or without one; a name stands for one generation of a channel. The record is beside
//! the publication and not in it: what was published does not change because somebody wants it to stay.
//! Deliberately absent: sweeping at a release; the next sweep sees what is left.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::error::{StoreError, count, signed, sql};
use super::open::Store;
use super::publications::{self, Publication};
use super::schema::{Promise, promise};
use crate::names::KeepName;

/// Generations of a channel that can be kept by hand: each is a whole tree on the disk, and a sweep reads every one.
pub const MAX_KEEPS: usize = 64;

impl Store {
    /// Keeps a generation until it is released, from `now` on (seconds since 1970). One that is kept already gets the
    /// name, or loses the one that it had, and is kept since it was. Fails if it is gone, if the name stands for another
    /// generation, or if too many are kept.
    pub fn keep(&mut self, generation: &Publication, name: Option<&KeepName>, now: i64) -> Result<(), StoreError> {
        self.writable()?;
        promise(&self.db, Promise::Durable)?;
        let attempt = "keep a generation";
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql(attempt))?;
        let Publication { channel, term, generation: number, .. } = generation;
        let (channel, own) = (channel.as_str(), (signed(*term), signed(number.get())));
        if !is_here(&transaction, generation)? {
            return Err(StoreError::NotKept { channel: channel.to_owned(), generation: number.get() });
        }
        if let Some(name) = name
            && let Some(other) = under(&transaction, channel, name)?
            && other != own
        {
            let generation = count("a generation", other.1)?;
            return Err(StoreError::NameTaken { name: name.to_string(), channel: channel.to_owned(), generation });
        }
        if others(&transaction, channel, own)? >= MAX_KEEPS {
            return Err(StoreError::TooManyKept { channel: channel.to_owned(), most: MAX_KEEPS });
        }
        transaction
            .execute(
                "INSERT INTO keeps (channel, term, generation, name, since) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (channel, term, generation) DO UPDATE SET name = excluded.name",
                params![channel, own.0, own.1, name.map(KeepName::as_str), now],
            )
            .map_err(sql(attempt))?;
        transaction.commit().map_err(sql(attempt))
    }

    /// All generations that are kept by hand, newest first in each channel.
    pub fn by_hand(&self) -> Result<Vec<Publication>, StoreError> {
        publications::by_hand(&self.db)
    }

    /// Leaves a generation to number and age again. That it was not kept by hand is as good.
    pub fn release(&mut self, generation: &Publication) -> Result<(), StoreError> {
        promise(&self.db, Promise::Durable)?;
        let Publication { channel, term, generation: number, .. } = generation;
        self.db
            .execute(
                "DELETE FROM keeps WHERE channel = ?1 AND term = ?2 AND generation = ?3",
                params![channel.as_str(), signed(*term), signed(number.get())],
            )
            .map(drop)
            .map_err(sql("release a generation"))
    }
}

fn is_here(db: &Connection, generation: &Publication) -> Result<bool, StoreError> {
    db.query_row(
        "SELECT EXISTS (SELECT 1 FROM publications WHERE channel = ?1 AND term = ?2 AND generation = ?3 AND kept = 1)",
        params![generation.channel.as_str(), signed(generation.term), signed(generation.generation.get())],
        |row| row.get(0),
    )
    .map_err(sql("look for a generation"))
}

/// Term and number of the generation that has a name.
fn under(db: &Connection, channel: &str, name: &KeepName) -> Result<Option<(i64, i64)>, StoreError> {
    db.query_row(
        "SELECT term, generation FROM keeps WHERE channel = ?1 AND name = ?2",
        params![channel, name.as_str()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
    .optional()
    .map_err(sql("look for a kept generation"))
}

/// How many generations of a channel are kept by hand, without one of them.
fn others(db: &Connection, channel: &str, own: (i64, i64)) -> Result<usize, StoreError> {
    let number: i64 = db
        .query_row(
            "SELECT count(*) FROM keeps WHERE channel = ?1 AND (term, generation) <> (?2, ?3)",
            params![channel, own.0, own.1],
            |row| row.get(0),
        )
        .map_err(sql("count the kept generations"))?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}
