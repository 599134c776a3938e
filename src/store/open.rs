//! The store of one data directory, as its one writer has it.
//!
//! A `Store` holds the lock and the only connection that writes. It is owned by one thread; everything that reads while
//! it works has a [`Reader`]. What changes the published state goes through [`Ingest`](super::Ingest) and
//! [`Staged`](super::Staged). On a read-only file system it can be read, and whatever would change it fails.
//! Deliberately absent: threads and waiting. Every call does its work and returns.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::error::{StoreError, sql};
use super::failpoint::{Point, reach};
use super::large::LargeFiles;
use super::layout::{Layout, Lock, Mount};
use super::located::{Located, locate};
use super::owner::{Owner, name_closed};
use super::pins::Pins;
use super::publications::{self, Kept, Publication};
use super::reader::{self, Reader};
use super::schema::{self, Promise};
use super::snapshots;
use super::space::{self, Need, Space};
use super::witness::{self, Witness};
use crate::names::{ChannelName, RepositoryName};
use crate::tree::{ContentId, Snapshot, SnapshotId};

/// What to do if there is no data directory.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Access {
    /// Make it.
    Create,
    /// Refuse with [`StoreError::NoStore`].
    Existing,
}

/// A snapshot that was refused, kept for inspection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    /// Its repository.
    pub repository: RepositoryName,
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Why it was refused.
    pub report: String,
}

/// The one writer of a data directory.
#[derive(Debug)]
pub struct Store {
    pub(super) db: Connection,
    pub(super) layout: Layout,
    pub(super) large: LargeFiles,
    pub(super) pins: Pins,
    _lock: Lock,
}

impl Store {
    /// Opens the data directory `dir`, alone. What a process that died left unfinished is cleared away. On a read-only
    /// file system it is opened all the same, to be read.
    pub fn open(dir: &Path, access: Access) -> Result<Self, StoreError> {
        let layout = Layout::of(dir);
        if access == Access::Existing && !layout.database().exists() {
            return Err(StoreError::NoStore { path: dir.to_owned() });
        }
        let owner = Owner::of(layout.root());
        let mount = layout.mount();
        if mount == Mount::ReadOnly {
            let (lock, db) = (layout.lock(mount, owner)?, schema::open_reader(&layout)?);
            let large = LargeFiles::at(layout.large(), owner);
            return Ok(Self { db, layout, large, pins: Pins::default(), _lock: lock });
        }
        layout.make(owner)?;
        let lock = layout.lock(mount, owner)?;
        Self::open_in(layout, lock, owner)
    }

    /// Takes the lock of a directory that is to become a data directory, so that nobody else opens a store there.
    pub fn lock(dir: &Path) -> Result<Lock, StoreError> {
        Layout::of(dir).lock(Mount::Writable, Owner::of(dir))
    }

    /// Opens the store in a directory whose lock is held already.
    pub fn open_locked(dir: &Path, lock: Lock) -> Result<Self, StoreError> {
        let (layout, owner) = (Layout::of(dir), Owner::of(dir));
        layout.make(owner)?;
        Self::open_in(layout, lock, owner)
    }

    fn open_in(layout: Layout, lock: Lock, owner: Owner) -> Result<Self, StoreError> {
        layout.close(owner)?;
        let db = schema::open_writer(&layout.database())?;
        let large = LargeFiles::at(layout.large(), owner);
        large.remove_unfinished()?;
        let fans = large.fans()?;
        fans.iter().try_for_each(|fan| owner.take_all(fan))?;
        name_closed(&fans);
        let store = Self { db, layout, large, pins: Pins::default(), _lock: lock };
        for bad in store.bad().or_else(StoreError::or_nothing)? {
            store.remove_bad_file(&bad.id);
        }
        Ok(store)
    }

    /// How the data directory is mounted at this moment.
    pub fn mount(&self) -> Mount {
        self.layout.mount()
    }

    /// Fails if nothing can be written at this moment, so that no work is begun in vain.
    pub(super) fn writable(&self) -> Result<(), StoreError> {
        match self.layout.mount() {
            Mount::Writable => Ok(()),
            Mount::ReadOnly => Err(StoreError::ReadOnly { path: self.layout.root().to_owned() }),
        }
    }

    /// A reader of this store, for another thread.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::open(self.layout.root())
    }

    /// The pins that a sweep respects; clones share them.
    pub fn pins(&self) -> Pins {
        self.pins.clone()
    }

    /// The head of each channel, by name.
    pub fn heads(&self) -> Result<Vec<Publication>, StoreError> {
        publications::heads(&self.db, Kept::Yes)
    }

    /// The last head of each channel that was given up: only its number is left.
    pub fn forgotten(&self) -> Result<Vec<Publication>, StoreError> {
        publications::heads(&self.db, Kept::Swept)
    }

    /// The generations of a channel, newest first, also those that were swept.
    pub fn history(&self, channel: &ChannelName) -> Result<Vec<Publication>, StoreError> {
        publications::history(&self.db, channel)
    }

    /// A snapshot that is kept.
    pub fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot, StoreError> {
        snapshots::load(&self.db, id)
    }

    /// Finds the contents of a snapshot; quicker with `near`, one of the same channel that is located already.
    pub fn locate(&self, snapshot: &Snapshot, near: Option<&Located>) -> Result<Located, StoreError> {
        locate(&self.db, snapshot, near)
    }

    /// The bytes of any content that is not longer than `limit`; `None` if it is, or if the store has no sound bytes.
    pub fn content(&self, id: &ContentId, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        reader::content(&self.db, &self.large, id, limit)
    }

    /// What the last import of a repository saw of its source.
    pub fn witness(&self, repository: &RepositoryName) -> Result<Option<Witness>, StoreError> {
        witness::load(&self.db, repository)
    }

    /// Replaces it, when an import found nothing to publish.
    pub fn set_witness(&mut self, repository: &RepositoryName, witness: &Witness) -> Result<(), StoreError> {
        schema::promise(&self.db, Promise::Ordered)?;
        witness::replace(&self.db, repository, witness)
    }

    /// A value that the node keeps here under `key`.
    pub fn state(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.db
            .prepare_cached("SELECT value FROM node_state WHERE key = ?1")
            .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional())
            .map_err(sql("read the node's state"))
    }

    /// Keeps a value, durably.
    pub fn set_state(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        schema::promise(&self.db, Promise::Durable)?;
        self.db
            .prepare_cached("INSERT OR REPLACE INTO node_state (key, value) VALUES (?1, ?2)")
            .and_then(|mut statement| statement.execute(params![key, value]))
            .map(drop)
            .map_err(sql("write the node's state"))
    }

    /// The snapshots that were refused, one a repository at most.
    pub fn rejected(&self) -> Result<Vec<Rejected>, StoreError> {
        let attempt = "read what was rejected";
        let mut statement = self
            .db
            .prepare_cached("SELECT repository, snapshot, report FROM rejected ORDER BY repository")
            .map_err(sql(attempt))?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?)))
            .map_err(sql(attempt))?;
        rows.map(|row| {
            let (repository, snapshot, report) = row.map_err(sql(attempt))?;
            let repository =
                repository.parse().map_err(|error| StoreError::Damaged(format!("a rejected snapshot: {error}")))?;
            let snapshot = SnapshotId::from_bytes(super::error::fixed("a snapshot id", &snapshot)?);
            Ok(Rejected { repository, snapshot, report })
        })
        .collect()
    }

    /// How much room there is, and how much is taken.
    pub fn space(&self) -> Result<Space, StoreError> {
        space::of(&self.db, &self.layout)
    }

    /// Fails with numbers if what is to come does not fit beside the reserve.
    pub fn require(&self, need: Need) -> Result<(), StoreError> {
        space::require(&self.db, self.layout.root(), need)
    }

    /// Moves the log into the database and empties it, as far as no reader is in the middle of a statement.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        reach(Point::BeforeCheckpoint);
        let attempt = "write the log back into the database";
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(sql(attempt))?;
        self.db.execute_batch("PRAGMA shrink_memory").map_err(sql(attempt))?;
        reach(Point::AfterCheckpoint);
        Ok(())
    }
}
