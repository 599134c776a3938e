//! Taking contents in: the way to a staged snapshot.
//!
//! An `Ingest` borrows the store for as long as it lasts, so no sweep can take away what it has been told is here.
//! Contents are committed in batches in the order in which they come, which should be that of the paths. Dropped, it
//! leaves contents that no snapshot names: the next try finds them here, or a sweep frees them.
//! Deliberately absent: hashing. Ids and sums come from whoever had the bytes in hand.

use rusqlite::{TransactionBehavior, params};

use super::contents::{self, Home, HomeKind, Known, LARGE, State, Xxh128};
use super::error::{StoreError, sql};
use super::failpoint::{Point, reach};
use super::large::{Incoming, Landing};
use super::located::Located;
use super::open::Store;
use super::publications;
use super::schema::{Promise, promise};
use super::space::Need;
use super::staged::{Staged, StagedSnapshot};
use super::{reader, snapshots};
use crate::names::RepositoryName;
use crate::tree::{ContentId, Kind, Snapshot, Word};

/// Bytes of contents a commit: large enough for the disk, small enough for the log.
const BATCH: u64 = 32 << 20;

/// A small content with its digests.
#[derive(Copy, Clone, Debug)]
pub struct NewContent<'a> {
    /// The id of the bytes.
    pub id: ContentId,
    /// The other sum of the bytes.
    pub xxh128: Xxh128,
    /// At most [`LARGE`] bytes.
    pub bytes: &'a [u8],
}

/// What an ingest has added to the store.
#[derive(Copy, Clone, PartialEq, Eq, Default, Debug)]
pub struct Stored {
    /// Contents that the store did not have.
    pub contents: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The store while contents are taken in.
#[must_use = "contents that no snapshot names will be swept"]
#[derive(Debug)]
pub struct Ingest<'s> {
    pub(super) store: &'s mut Store,
    pub(super) repository: RepositoryName,
    pub(super) staged: Vec<StagedSnapshot>,
    stored: Stored,
    pending: u64,
}

impl Store {
    /// Begins to take contents of `repository` in. Fails where nothing can be written.
    pub fn begin(&mut self, repository: &RepositoryName) -> Result<Ingest<'_>, StoreError> {
        self.writable()?;
        let (stored, staged) = (Stored::default(), Vec::new());
        Ok(Ingest { store: self, repository: repository.clone(), staged, stored, pending: 0 })
    }
}

impl<'s> Ingest<'s> {
    /// The repository that is taken in.
    pub fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// The same as the word that its snapshots carry.
    pub fn word(&self) -> Result<Word, StoreError> {
        Word::new(self.repository.as_str()).map_err(|error| StoreError::Damaged(error.to_string()))
    }

    /// True if the store has sound bytes of `id`.
    pub fn has(&self, id: &ContentId) -> Result<bool, StoreError> {
        Ok(self.find(id)?.is_some_and(|known| known.state == State::Sound))
    }

    /// What the store knows of `id`. A large content whose file is gone is as bad as one whose bytes are.
    fn find(&self, id: &ContentId) -> Result<Option<Known>, StoreError> {
        let Some(mut known) = contents::find(&self.store.db, id)? else { return Ok(None) };
        if known.home == Home::Large && known.state == State::Sound && !self.store.large.has(id, known.size)? {
            known.state = State::Bad;
        }
        Ok(Some(known))
    }

    /// Contents that went bad: they should be read again wherever a sound copy may be.
    pub fn bad(&self) -> Result<Vec<ContentId>, StoreError> {
        Ok(self.store.bad()?.into_iter().map(|bad| bad.id).collect())
    }

    /// Fails with numbers if what is to come does not fit.
    pub fn require(&self, need: Need) -> Result<(), StoreError> {
        self.store.require(need)
    }

    /// The bytes of a content, also one that was just put; see [`Store::content`].
    pub fn content(&self, id: &ContentId, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        reader::content(&self.store.db, &self.store.large, id, limit)
    }

    /// What was added so far.
    pub fn stored(&self) -> Stored {
        self.stored
    }

    /// Takes small contents; those that are here already cost a look.
    pub fn put(&mut self, batch: &[NewContent<'_>]) -> Result<(), StoreError> {
        for new in batch {
            let size = u64::try_from(new.bytes.len()).unwrap_or(u64::MAX);
            if size > LARGE {
                return Err(StoreError::TooLarge(new.bytes.len()));
            }
            let before = self.find(&new.id)?;
            if before.is_some_and(|known| known.state == State::Sound) {
                continue;
            }
            self.begin_batch()?;
            let db = &self.store.db;
            let put = contents::record(db, &new.id, size, &new.xxh128, HomeKind::Row, before)
                .and_then(|n| contents::put_bytes(db, n, new.bytes));
            if put.is_err() {
                // A row without its bytes must not be committed by whoever ends this.
                let _ = db.execute_batch("ROLLBACK");
            }
            put?;
            self.count(size);
            if self.pending >= BATCH {
                self.commit()?;
            }
        }
        Ok(())
    }

    /// Where large contents are written before they are put.
    pub fn landing(&self) -> Landing {
        Landing(self.store.large.clone())
    }

    /// Takes a large content that was written to `incoming`; if it is here already, `incoming` is removed.
    pub fn put_large(
        &mut self,
        id: &ContentId,
        xxh128: &Xxh128,
        size: u64,
        incoming: Incoming,
    ) -> Result<(), StoreError> {
        let before = self.find(id)?;
        if before.is_some_and(|known| known.state == State::Sound) {
            return Ok(());
        }
        self.store.large.adopt(id, incoming)?;
        self.begin_batch()?;
        contents::record(&self.store.db, id, size, xxh128, HomeKind::Large, before)?;
        self.count(size);
        Ok(())
    }

    fn count(&mut self, size: u64) {
        self.stored.contents += 1;
        self.stored.bytes += size;
        self.pending += size;
    }

    fn begin_batch(&mut self) -> Result<(), StoreError> {
        if self.store.db.is_autocommit() {
            promise(&self.store.db, Promise::Ordered)?;
            self.store.db.execute_batch("BEGIN IMMEDIATE").map_err(sql("begin a batch of contents"))?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        if !self.store.db.is_autocommit() {
            reach(Point::BeforeBatchCommit);
            self.store.db.execute_batch("COMMIT").map_err(sql("commit a batch of contents"))?;
            reach(Point::AfterBatchCommit);
        }
        self.pending = 0;
        Ok(())
    }

    /// Stages `snapshot`: afterwards it is durable with all its contents, and no head names it. `previous` is the
    /// channel's published generation, if it has one: then only what differs is looked at. Fails if a content is
    /// missing.
    pub fn stage(mut self, snapshot: &Snapshot, previous: Option<&Located>) -> Result<Staged<'s>, StoreError> {
        self.commit()?;
        let previous = match previous {
            Some(near) if publications::keeps(&self.store.db, &near.snapshot().id())? => Some(near),
            _ => None,
        };
        let located = self.store.locate(snapshot, previous)?;
        self.check_complete(&located, previous)?;
        promise(&self.store.db, Promise::Durable)?;
        let attempt = "stage a snapshot";
        let transaction =
            self.store.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql(attempt))?;
        transaction
            .execute("DELETE FROM rejected WHERE repository = ?1", params![self.repository.as_str()])
            .map_err(sql(attempt))?;
        snapshots::insert(&transaction, snapshot, previous.map(Located::snapshot))?;
        reach(Point::BeforeSnapshotCommit);
        transaction.commit().map_err(sql(attempt))?;
        reach(Point::AfterSnapshotCommit);
        Ok(Staged::add(self, located, previous))
    }

    /// A published head must be servable: every file has its content. What the published generation lacks already,
    /// because it went bad, does not hold up the next one.
    fn check_complete(&self, located: &Located, previous: Option<&Located>) -> Result<(), StoreError> {
        let snapshot = located.snapshot();
        let published = |index: usize| {
            let (entry, previous) = (snapshot.entry(index)?, previous?);
            let before = previous.snapshot().find(entry.path)?;
            (previous.snapshot().entry(before)?.kind == entry.kind).then(|| previous.place(before))
        };
        let mut missing = Vec::new();
        for (index, entry) in snapshot.iter().enumerate() {
            let Kind::File { content, size, .. } = entry.kind else { continue };
            let is_here = match located.place(index).map(|place| place.home) {
                // What is published is the business of scrubs.
                Some(Home::Large) => published(index).is_some() || self.store.large.has(content, size)?,
                Some(Home::Row(_)) => true,
                None => published(index) == Some(None),
            };
            if !is_here {
                missing.push(entry.path);
            }
        }
        match missing.first() {
            None => Ok(()),
            Some(example) => {
                Err(StoreError::Missing { snapshot: snapshot.id(), count: missing.len(), example: example.to_string() })
            }
        }
    }
}

impl Drop for Ingest<'_> {
    fn drop(&mut self) {
        // What was put is worth keeping for the next try; if that fails, the batch is gone and nothing else.
        if self.commit().is_err() {
            let _ = self.store.db.execute_batch("ROLLBACK");
        }
    }
}
