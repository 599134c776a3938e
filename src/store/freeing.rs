//! Deleting contents that nobody needs, and giving the room back to the file system.
//!
//! Both are done in steps that are commits of their own: the log stays short, also on the full disk that is to be relieved.
//! What lies on pages that cannot be read cannot be deleted either; it is named and stays, and all else goes.
//! Deliberately absent: choosing what goes, which is the sweep's, and large files.

use rusqlite::TransactionBehavior;

use super::contents;
use super::error::{StoreError, sql};
use super::failpoint::{Point, reach};
use super::open::Store;
use super::schema::{Promise, promise};
use super::space;

/// Contents that are deleted in one commit.
const BATCH: usize = 4096;

/// One page in this many may stay free inside of the database: the next generation will use it.
const FREE_SHARE: u64 = 10;

/// Pages that are given back in one commit: 8 MiB, since each page that has to move is written to the log.
const STEP: u64 = 512;

/// What went, and what did not.
#[derive(Default)]
struct Freed {
    contents: u64,
    bytes: u64,
    stuck: u64,
    why: Option<StoreError>,
}

impl Store {
    /// Deletes contents, each given as its number and its size. Returns how many went, and their bytes.
    pub(super) fn free(&mut self, going: &[(i64, u64)]) -> Result<(u64, u64), StoreError> {
        promise(&self.db, Promise::Durable)?;
        let mut freed = Freed::default();
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
    fn free_batch(&mut self, batch: &[(i64, u64)], freed: &mut Freed) -> Result<(), StoreError> {
        match self.delete_at_once(batch) {
            Ok(()) => {
                freed.contents += u64::try_from(batch.len()).unwrap_or(u64::MAX);
                freed.bytes += batch.iter().map(|(_, size)| size).sum::<u64>();
                Ok(())
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

    fn delete_at_once(&mut self, batch: &[(i64, u64)]) -> Result<(), StoreError> {
        let attempt = "free contents";
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql(attempt))?;
        for (n, _) in batch {
            contents::delete(&transaction, *n)?;
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
        let going: Vec<(i64, u64)> = (1..=i64::from(HALF)).map(|n| (n, 1 << 20)).collect();
        assert_eq!(store.free(&going).expect("they are there"), (32, 32 << 20));
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
