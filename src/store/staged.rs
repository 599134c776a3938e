//! What is durable and not yet public: it ends as published, discarded or rejected.
//!
//! Publishing moves the heads of all channels, and the import's witness, in one commit that is synced; a crash before it
//! leaves all the old heads, a crash after it all the new ones. Dropped without a decision (a panic, an early return) it
//! is as good as discarded: the next sweep frees it.
//! Deliberately absent: verifying and deriving. They happen between staging and publishing, elsewhere.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::error::{StoreError, sql};
use super::failpoint::{Point, reach};
use super::ingest::{Ingest, Stored};
use super::located::Located;
use super::publications::{self, Changes, NewHead, Publication};
use super::schema::{Promise, promise};
use super::snapshots;
use super::witness::{self, Witness};
use crate::names::Generation;
use crate::tree::{SnapshotId, diff};

#[derive(Debug)]
pub(super) struct StagedSnapshot {
    located: Located,
    changes: Changes,
}

/// One or more staged snapshots, and what may be done with them.
#[must_use = "what is staged ends as published, discarded or rejected"]
#[derive(Debug)]
pub struct Staged<'s> {
    ingest: Ingest<'s>,
}

impl<'s> Staged<'s> {
    pub(super) fn add(mut ingest: Ingest<'s>, located: Located, previous: Option<&Located>) -> Self {
        let added =
            || Changes { added: u64::try_from(located.snapshot().len()).unwrap_or(u64::MAX), ..Changes::default() };
        let changes =
            previous.map_or_else(added, |previous| Changes::of(&diff(previous.snapshot(), located.snapshot())));
        ingest.staged.push(StagedSnapshot { located, changes });
        Self { ingest }
    }

    /// Goes on taking contents in, for another snapshot that is published in the same moment: a derived channel.
    pub fn more(self) -> Ingest<'s> {
        self.ingest
    }

    /// What is staged, ready to be served, in the order of staging.
    pub fn located(&self) -> impl Iterator<Item = &Located> {
        self.ingest.staged.iter().map(|staged| &staged.located)
    }

    /// How a staged snapshot differs from the generation that it was staged after.
    pub fn changes(&self, snapshot: &SnapshotId) -> Option<Changes> {
        self.find(snapshot).map(|staged| staged.changes)
    }

    /// What was added to the store on the way.
    pub fn stored(&self) -> Stored {
        self.ingest.stored()
    }

    fn find(&self, snapshot: &SnapshotId) -> Option<&StagedSnapshot> {
        self.ingest.staged.iter().find(|staged| staged.located.snapshot().id() == *snapshot)
    }

    /// Moves the heads of all these channels, and replaces the witness of the import, at once. Fails if a head is not
    /// later than the one that is published, or names a snapshot that is not staged; then none has moved.
    pub fn publish(self, heads: Vec<NewHead>, witness: Option<&Witness>) -> Result<Vec<Publication>, StoreError> {
        self.move_heads(heads, witness, None)
    }

    /// The same for what has the content of generation `of` again; its record says so. The witness stays: it is of a
    /// snapshot that is not the newest any more, and of use as long as that one is kept.
    pub fn publish_rollback(self, heads: Vec<NewHead>, of: Generation) -> Result<Vec<Publication>, StoreError> {
        self.move_heads(heads, None, Some(of))
    }

    fn move_heads(
        self,
        heads: Vec<NewHead>,
        witness: Option<&Witness>,
        rollback_of: Option<Generation>,
    ) -> Result<Vec<Publication>, StoreError> {
        let mut planned = Vec::with_capacity(heads.len());
        for new in heads {
            let (head, _) = publications::parse(&new.text)?;
            let staged = self
                .find(&head.snapshot)
                .ok_or_else(|| StoreError::NotStaged { channel: head.channel.to_string(), snapshot: head.snapshot })?;
            planned.push((new, staged.changes));
        }
        let repository = self.ingest.repository.clone();
        let transaction = begin(&mut self.ingest.store.db)?;
        let mut published = Vec::with_capacity(planned.len());
        for (new, changes) in planned {
            let publication = publications::prepare(&transaction, new, changes, rollback_of)?;
            publications::insert(&transaction, &publication)?;
            published.push(publication);
        }
        reach(Point::BeforeWitness);
        if let Some(witness) = witness {
            witness::replace(&transaction, &repository, witness)?;
        }
        reach(Point::BeforeHeadCommit);
        transaction.commit().map_err(sql("move the heads"))?;
        reach(Point::AfterHeadCommit);
        Ok(published)
    }

    /// Forgets what is staged. Its contents stay until the next sweep, for the next try.
    pub fn discard(self) -> Result<(), StoreError> {
        let transaction = begin(&mut self.ingest.store.db)?;
        for staged in &self.ingest.staged {
            forget(&transaction, &staged.located.snapshot().id())?;
        }
        transaction.commit().map_err(sql("discard what is staged"))
    }

    /// Keeps the first staged snapshot with its contents for inspection, beside `report`, until the next one of this
    /// repository is staged; forgets the others.
    pub fn reject(self, report: &str) -> Result<(), StoreError> {
        let repository = self.ingest.repository.clone();
        let transaction = begin(&mut self.ingest.store.db)?;
        for (at, staged) in self.ingest.staged.iter().enumerate() {
            let id = staged.located.snapshot().id();
            if at > 0 {
                forget(&transaction, &id)?;
                continue;
            }
            transaction
                .execute(
                    "INSERT OR REPLACE INTO rejected (repository, snapshot, report) VALUES (?1, ?2, ?3)",
                    params![repository.as_str(), id.as_bytes(), report],
                )
                .map_err(sql("reject a snapshot"))?;
        }
        transaction.commit().map_err(sql("reject a snapshot"))
    }
}

fn begin(db: &mut Connection) -> Result<Transaction<'_>, StoreError> {
    promise(db, Promise::Durable)?;
    db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql("begin a commit"))
}

/// Deletes a staged snapshot, unless a generation that is kept has the same one, or another one stands on it.
fn forget(db: &Connection, id: &SnapshotId) -> Result<(), StoreError> {
    let is_base = snapshots::all(db)?.iter().any(|(_, base)| base.as_ref() == Some(id));
    if is_base || publications::keeps(db, id)? { Ok(()) } else { snapshots::delete(db, id) }
}
