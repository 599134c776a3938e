//! Deleting contents that nobody needs, and giving the room back to the file system.
//!
//! Both are done in steps that are commits of their own: the log stays short, also on the full disk that is to be relieved.
//! Large contents go first, and their files as soon as the rows are gone: that makes room for the rest. A file never goes
//! while its row stays, since whoever finds the row counts on the file.
//! What lies on pages that cannot be read cannot be deleted either; it is named and stays, and all else goes.
//! Deliberately absent: choosing what goes, which is the sweep's.

use rusqlite::TransactionBehavior;

use super::contents;
use super::error::{StoreError, sql};
use super::failpoint::{Point, reach};
use super::open::Store;
use super::schema::{Promise, promise};
use super::space;
use crate::tree::ContentId;

/// Contents that are deleted in one commit.
const BATCH: usize = 4096;

/// One page in this many may stay free inside of the database: the next generation will use it.
const FREE_SHARE: u64 = 10;

/// Pages that are given back in one commit: 8 MiB, since each page that has to move is written to the log.
const STEP: u64 = 512;

/// A content that is to go.
#[derive(Copy, Clone, Debug)]
pub(super) struct Going {
    pub(super) n: i64,
    pub(super) size: u64,
    /// Its id, if it has a file.
    pub(super) file: Option<ContentId>,
}

/// What went, and what did not.
#[derive(Default)]
struct Freed {
    contents: u64,
    bytes: u64,
    stuck: u64,
    why: Option<StoreError>,
}

impl Store {
    /// Deletes contents, and their files. Returns how many went, and their bytes.
    pub(super) fn free(&mut self, mut going: Vec<Going>) -> Result<(u64, u64), StoreError> {
        promise(&self.db, Promise::Durable)?;
        let mut freed = Freed::default();
        going.sort_by_key(|content| (content.file.is_none(), content.n));
        for batch in going.chunks(BATCH) {
            self.free_batch(batch, &mut freed)?;
        }
        match freed.why {
            Some(error) if freed.contents == 0 => return Err(error),
            Some(error) => {
                tracing::warn!(contents = freed.stuck, %error, "what nobody needs cannot be deleted; it stays")
            }
            None => {}
        }
        Ok((freed.contents, freed.bytes))
    }

    /// Deletes what can be deleted: where a batch fails, one half of it may not. Beside a damaged page SQLite may take a
    /// delete for one that needs more room than there is.
    fn free_batch(&mut self, batch: &[Going], freed: &mut Freed) -> Result<(), StoreError> {
        let deleted = match self.delete_at_once(batch) {
            // What fills the disk may be the log; emptied, it has room again.
            Err(error) if error.is_full() && self.checkpoint().is_ok() => self.delete_at_once(batch),
            other => other,
        };
        match deleted {
            Ok(()) => {
                freed.contents += u64::try_from(batch.len()).unwrap_or(u64::MAX);
                freed.bytes += batch.iter().map(|content| content.size).sum::<u64>();
                reach(Point::BeforeLargeUnlink);
                batch.iter().filter_map(|content| content.file).try_for_each(|id| self.large.remove(&id))
            }
            Err(error) if !error.is_damage() && !error.is_full() => Err(error),
            Err(_) if batch.len() > 1 => {
                let (front, back) = batch.split_at(batch.len() / 2);
                self.free_batch(front, freed)?;
                self.free_batch(back, freed)
            }
            Err(error) => {
                freed.stuck += 1;
                freed.why = Some(error);
                Ok(())
            }
        }
    }

    fn delete_at_once(&mut self, batch: &[Going]) -> Result<(), StoreError> {
        let attempt = "free contents";
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql(attempt))?;
        for content in batch {
            contents::delete(&transaction, content.n)?;
        }
        reach(Point::BeforeSweepBatch);
        transaction.commit().map_err(sql(attempt))
    }

    /// Gives free pages back to the file system, but for a share, and empties the log, which gives back more where the
    /// disk is full.
    pub(super) fn shrink(&mut self) -> Result<(), StoreError> {
        reach(Point::BeforeVacuum);
        if let Err(error) = self.give_back() {
            tracing::warn!(%error, "the database did not shrink as far as it could");
        }
        self.checkpoint()
    }

    fn give_back(&self) -> Result<(), StoreError> {
        let attempt = "shrink the database";
        let spare = space::pages(&self.db)? / FREE_SHARE;
        let mut surplus = space::free_pages(&self.db)?.saturating_sub(spare);
        // A step that a power cut takes back is done again by the next sweep.
        promise(&self.db, Promise::Ordered)?;
        while surplus > 0 {
            let step = surplus.min(STEP);
            // A page a row: `execute` would stop after the first one.
            let mut statement = self.db.prepare(&format!("PRAGMA incremental_vacuum({step})")).map_err(sql(attempt))?;
            let mut rows = statement.query([]).map_err(sql(attempt))?;
            while rows.next().map_err(sql(attempt))?.is_some() {}
            surplus -= step;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::super::{Access, NewContent};
    use super::*;
    use crate::tree::ContentId;

    #[test]
    fn room_is_given_back_without_as_much_room_in_the_log() {
        const HALF: u8 = 32;
        let dir = TempDir::new().expect("a directory");
        let mut store = Store::open(dir.path(), Access::Create).expect("a store");
        let mut ingest = store.begin(&"gentoo".parse().expect("a name")).expect("a store");
        for byte in 1..=2 * HALF {
            let new =
                NewContent { id: ContentId::from_bytes([byte; 64]), xxh128: [0; 16], bytes: &vec![byte; 1 << 20] };
            ingest.put(&[new]).expect("room");
        }
        drop(ingest);
        let going = (1..=i64::from(HALF)).map(|n| Going { n, size: 1 << 20, file: None }).collect();
        assert_eq!(store.free(going).expect("they are there"), (32, 32 << 20));
        store.checkpoint().expect("nobody reads");
        let before = space::pages(&store.db).expect("a number");
        // The log keeps the greatest length that it had, and is written back as often as it can be.
        store.db.execute_batch("PRAGMA journal_size_limit = -1; PRAGMA wal_autocheckpoint = 64").expect("a setting");
        store.give_back().expect("room");
        let log = fs::metadata(dir.path().join("headwater.db-wal")).expect("a log").len();
        assert!(log > 0 && log < 16 << 20, "a log of {log} bytes to give 29 MiB back");
        let after = space::pages(&store.db).expect("a number");
        assert!(after < before * 2 / 3, "{after} of {before} pages are left");
    }
}
