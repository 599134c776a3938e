//! Setting contents aside whose bytes are not what their id says.
//!
//! A content is read again first: a reader's broken memory condemns nothing, nor does a disk or a file that cannot be
//! read at this moment. If it is bad its bytes are copied beside the reason, its row says so, and from then on it is
//! missing for every reader, which is an error for that file and for nothing else. Only then is its file removed; bytes in
//! a row stay, since a damaged database is written to as little as can be. An ingest of the same content mends it.
//! Deliberately absent: fetching it again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::{TransactionBehavior, params};
use xxhash_rust::xxh3::Xxh3;

use super::contents::{self, Home, Known, State};
use super::error::{StoreError, count, file, fixed, sql};
use super::failpoint::{Point, reach};
use super::large::PIECE;
use super::layout::{remove_if_there, sync_directory};
use super::open::Store;
use super::schema::{Promise, promise};
use crate::tree::{ContentHasher, ContentId};

/// What is left out of a copy where a disk cannot read: at least the length of its sectors.
const UNREADABLE: u64 = 4096;

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
        if self.is_sound(id, &known)? {
            return Ok(Verdict::Sound);
        }
        self.keep_for_inspection(id, &known, reason)?;
        promise(&self.db, Promise::Durable)?;
        let attempt = "set a content aside";
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql(attempt))?;
        transaction.execute("UPDATE contents SET state = 1 WHERE n = ?1", [known.n]).map_err(sql(attempt))?;
        transaction
            .execute("INSERT OR REPLACE INTO bad (n, reason) VALUES (?1, ?2)", params![known.n, reason])
            .map_err(sql(attempt))?;
        reach(Point::BeforeQuarantineCommit);
        transaction.commit().map_err(sql(attempt))?;
        reach(Point::AfterQuarantineCommit);
        if known.home == Home::Large {
            self.remove_bad_file(id);
        }
        Ok(Verdict::SetAside)
    }

    /// Removes the file of a content that is set aside. Where that fails it is in nobody's way, and it is tried again when
    /// the store is opened next.
    pub(super) fn remove_bad_file(&self, id: &ContentId) {
        if let Err(error) = self.large.remove(id) {
            tracing::warn!(content = %id.short(), %error, "the file of a content that is set aside cannot be removed");
        }
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

    /// False if the bytes are other ones, are gone, or lie where the disk is damaged. That they cannot be read for
    /// another reason says nothing about them.
    fn is_sound(&self, id: &ContentId, known: &Known) -> Result<bool, StoreError> {
        let read = match known.home {
            Home::Row(row) => contents::get_bytes(&self.db, row.0)
                .map(|bytes| bytes.is_some_and(|bytes| ContentId::of(&bytes) == *id && sum(&bytes) == known.xxh128)),
            Home::Large => {
                let (mut hasher, mut xxh) = (ContentHasher::new(), Xxh3::new());
                let read = self.large.read(id, &mut |piece| {
                    hasher.update(piece);
                    xxh.update(piece);
                    ControlFlow::Continue(())
                });
                read.map(|there| {
                    there.is_some() && hasher.finish() == *id && xxh.digest128().to_le_bytes() == known.xxh128
                })
            }
        };
        match read {
            Err(error) if error.is_damage() => Ok(false),
            other => other,
        }
    }

    /// Copies what can be read, durably, and writes the reason beside it. A second time replaces the first.
    fn keep_for_inspection(&self, id: &ContentId, known: &Known, reason: &str) -> Result<(), StoreError> {
        let directory = self.layout.quarantine();
        let copy = directory.join(id.to_string());
        remove_if_there(&copy)?;
        match known.home {
            Home::Row(row) => match contents::get_bytes(&self.db, row.0) {
                Ok(Some(bytes)) => {
                    let mut out = File::create(&copy).map_err(file("make", &copy))?;
                    out.write_all(&bytes).and_then(|()| out.sync_all()).map_err(file("write", &copy))?;
                }
                Ok(None) => {}
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error),
            },
            // A link costs nothing on a full disk; the name under `large/` goes after the commit.
            Home::Large => match fs::hard_link(self.large.path(id), &copy) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => salvage(&self.large.path(id), &copy)?,
            },
        }
        let beside = directory.join(format!("{id}.reason"));
        let mut text = File::create(&beside).map_err(file("make", &beside))?;
        writeln!(text, "{reason}").and_then(|()| text.sync_all()).map_err(file("write", &beside))?;
        [&copy, &beside].into_iter().try_for_each(|path| self.large.owner().take_all(path))?;
        sync_directory(&directory)
    }
}

/// Copies what can be read of a file, durably; what the disk cannot read is a hole in the copy.
fn salvage(from: &Path, to: &Path) -> Result<(), StoreError> {
    let source = File::open(from).map_err(file("open", from))?;
    let length = source.metadata().map_err(file("look at", from))?.len();
    let out = File::create(to).map_err(file("make", to))?;
    out.set_len(length).map_err(file("write", to))?;
    let (mut piece, mut at) = (vec![0; PIECE], 0);
    while at < length {
        match source.read_at(&mut piece, at) {
            Ok(0) => break,
            Ok(read) => {
                out.write_all_at(piece.get(..read).unwrap_or_default(), at).map_err(file("write", to))?;
                at += u64::try_from(read).unwrap_or(UNREADABLE);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => at += UNREADABLE,
            Err(error) => return Err(file("read", from)(error)),
        }
    }
    out.sync_all().map_err(file("write", to))
}

/// rsync's form of the 128-bit sum: low half first, little-endian (protocol 9.5.2).
fn sum(bytes: &[u8]) -> [u8; 16] {
    xxhash_rust::xxh3::xxh3_128(bytes).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salvaged_copy_is_what_could_be_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        for length in [0, 1, PIECE - 1, PIECE, 2 * PIECE + 5] {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            fs::write(&from, &bytes).expect("a file");
            salvage(&from, &to).expect("it can be read");
            assert!(fs::read(&to).expect("a copy") == bytes, "{length}");
        }
        assert!(salvage(dir.path(), &to).is_err(), "a directory has no bytes, and the disk is not to blame");
    }
}
