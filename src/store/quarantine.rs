//! Setting contents aside whose bytes are not what their id says.
//!
//! A content is read again first: a reader's broken memory condemns nothing. If it is bad its bytes are copied beside the
//! reason, its row says so, and from then on it is missing for every reader, which is an error for that file and for
//! nothing else. An ingest of the same content mends it, under the same row number.
//! Deliberately absent: fetching it again.

use std::fs::{self, File};
use std::io::{Read, Write};

use rusqlite::{TransactionBehavior, params};
use xxhash_rust::xxh3::Xxh3;

use super::contents::{self, Home, Known, State};
use super::error::{StoreError, count, file, fixed, sql};
use super::failpoint::{Point, reach};
use super::layout::sync_directory;
use super::open::Store;
use super::schema::{Promise, promise};
use crate::tree::{ContentHasher, ContentId};

/// How much of a large content is read at once.
const PIECE: usize = 256 << 10;

/// What became of a content that somebody complained about.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The store does not have it.
    Unknown,
    /// Its bytes are what its id and its sum say; nothing was done.
    Sound,
    /// It is bad, and was set aside now.
    SetAside,
    /// It had been set aside before.
    Already,
}

/// A content that was set aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bad {
    /// Its id.
    pub id: ContentId,
    /// The size that it should have, in bytes.
    pub size: u64,
    /// Why.
    pub reason: String,
}

impl Store {
    /// Reads a content again, and sets it aside if it is bad; `reason` says what raised the suspicion.
    pub fn quarantine(&mut self, id: &ContentId, reason: &str) -> Result<Verdict, StoreError> {
        let Some(known) = contents::find(&self.db, id)? else { return Ok(Verdict::Unknown) };
        if known.state == State::Bad {
            return Ok(Verdict::Already);
        }
        if self.is_sound(id, &known) {
            return Ok(Verdict::Sound);
        }
        self.keep_for_inspection(id, &known, reason)?;
        promise(&self.db, Promise::Durable)?;
        let attempt = "set a content aside";
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql(attempt))?;
        transaction.execute("UPDATE contents SET state = 1 WHERE n = ?1", [known.n]).map_err(sql(attempt))?;
        transaction.execute("DELETE FROM bytes WHERE n = ?1", [known.n]).map_err(sql(attempt))?;
        transaction
            .execute("INSERT OR REPLACE INTO bad (n, reason) VALUES (?1, ?2)", params![known.n, reason])
            .map_err(sql(attempt))?;
        reach(Point::BeforeQuarantineCommit);
        transaction.commit().map_err(sql(attempt))?;
        reach(Point::AfterQuarantineCommit);
        if known.home == Home::Large {
            self.large.remove(id)?;
        }
        Ok(Verdict::SetAside)
    }

    /// The contents that are set aside.
    pub fn bad(&self) -> Result<Vec<Bad>, StoreError> {
        let attempt = "list what is set aside";
        let mut statement = self
            .db
            .prepare_cached("SELECT id, size, reason FROM bad JOIN contents USING (n) ORDER BY n")
            .map_err(sql(attempt))?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get(2)?)))
            .map_err(sql(attempt))?;
        rows.map(|row| {
            let (id, size, reason) = row.map_err(sql(attempt))?;
            let id = ContentId::from_bytes(fixed("a content id", &id)?);
            Ok(Bad { id, size: count("the size of a content", size)?, reason })
        })
        .collect()
    }

    /// Bytes that cannot be read are as bad as wrong ones.
    fn is_sound(&self, id: &ContentId, known: &Known) -> bool {
        let mut bytes = match known.home {
            Home::Row(row) => match contents::get_bytes(&self.db, row.0) {
                Ok(Some(bytes)) => return ContentId::of(&bytes) == *id && sum(&bytes) == known.xxh128,
                _ => return false,
            },
            Home::Large => match self.large.open(id) {
                Ok(Some(opened)) => opened,
                _ => return false,
            },
        };
        let (mut hasher, mut xxh, mut piece) = (ContentHasher::new(), Xxh3::new(), vec![0; PIECE]);
        loop {
            match bytes.read(&mut piece).map(|length| piece.get(..length)) {
                Ok(Some(read)) if !read.is_empty() => {
                    hasher.update(read);
                    xxh.update(read);
                }
                Ok(_) => break,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        hasher.finish() == *id && xxh.digest128().to_le_bytes() == known.xxh128
    }

    /// Copies what can be read, and writes the reason beside it. A second time replaces the first.
    fn keep_for_inspection(&self, id: &ContentId, known: &Known, reason: &str) -> Result<(), StoreError> {
        let directory = self.layout.quarantine();
        let copy = directory.join(id.to_string());
        match known.home {
            Home::Row(row) => {
                if let Ok(Some(bytes)) = contents::get_bytes(&self.db, row.0) {
                    fs::write(&copy, bytes).map_err(file("write", &copy))?;
                }
            }
            Home::Large => {
                // A link costs nothing on a full disk; the name under `large/` goes after the commit.
                super::layout::remove_if_there(&copy)?;
                let _ = fs::hard_link(self.large.path(id), &copy);
            }
        }
        let beside = directory.join(format!("{id}.reason"));
        let mut text = File::create(&beside).map_err(file("make", &beside))?;
        writeln!(text, "{reason}").and_then(|()| text.sync_all()).map_err(file("write", &beside))?;
        sync_directory(&directory)
    }
}

/// rsync's form of the 128-bit sum: low half first, little-endian (protocol 9.5.2).
fn sum(bytes: &[u8]) -> [u8; 16] {
    xxhash_rust::xxh3::xxh3_128(bytes).to_le_bytes()
}
