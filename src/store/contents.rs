//! Contents as rows: found by id, inserted, mended, deleted.
//!
//! A content has one row in `contents` and its bytes either in `bytes` under the same number or in a file under
//! `large/`. Bad bytes in a row are left where they are, and the content gets another number when it is mended: what they
//! are a chain of pages of is not known any more, and to free it could free pages of others.
//! Deliberately absent: transactions; whoever calls decides what belongs together.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::{StoreError, count, fixed, signed, sql};
use crate::tree::{ContentId, MAX_FILE_BYTES};

/// Contents above this size are files under `large/`: SQLite is the faster home only for small ones, and a file can be
/// sent by the kernel.
pub const LARGE: u64 = 1 << 20;

/// The unseeded xxh128 of a content, in rsync's wire form: low 64 bits, then high 64 bits, little-endian (protocol
/// 9.5.2).
pub type Xxh128 = [u8; 16];

/// The number of a content that has its bytes in a row.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Row(pub(super) i64);

/// Where the bytes of a content are.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Home {
    /// In the database; small, and cheap beside its neighbours.
    Row(Row),
    /// In a file of its own, named by content id.
    Large,
}

/// Whether the bytes of a content are what its id says.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum State {
    Sound,
    Bad,
}

/// What the store knows of a content.
#[derive(Copy, Clone, Debug)]
pub(super) struct Known {
    pub(super) n: i64,
    pub(super) size: u64,
    pub(super) home: Home,
    pub(super) state: State,
    pub(super) xxh128: Xxh128,
}

/// The row of `id`, if there is one.
pub(super) fn find(db: &Connection, id: &ContentId) -> Result<Option<Known>, StoreError> {
    let attempt = "look for a content";
    let mut statement = db
        .prepare_cached("SELECT n, size, home, state, xxh128 FROM contents WHERE substr(id, 1, 16) = ?1 AND id = ?2")
        .map_err(sql(attempt))?;
    let (prefix, _) = id.as_bytes().split_at(16);
    let found = statement
        .query_row(params![prefix, id.as_bytes()], |row| {
            let xxh128 = row.get_ref(4)?.as_blob().map(<[u8]>::to_vec)?;
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, xxh128))
        })
        .optional()
        .map_err(sql(attempt))?;
    found.map(|(n, size, home, state, xxh128)| known(n, size, home, state, &xxh128)).transpose()
}

/// Checks what a row says.
pub(super) fn known(n: i64, size: i64, home: i64, state: i64, xxh128: &[u8]) -> Result<Known, StoreError> {
    let size = count("the size of a content", size)?;
    if n < 1 || size > MAX_FILE_BYTES {
        return Err(StoreError::Damaged(format!("content {n} has {size} bytes")));
    }
    let home = match home {
        0 => Home::Row(Row(n)),
        1 => Home::Large,
        other => return Err(StoreError::Damaged(format!("content {n} has home {other}"))),
    };
    let state = match state {
        0 => State::Sound,
        1 => State::Bad,
        other => return Err(StoreError::Damaged(format!("content {n} has state {other}"))),
    };
    Ok(Known { n, size, home, state, xxh128: fixed("an xxh128", xxh128)? })
}

/// Makes a row for `id`, or makes its bad row sound again. Returns its number, which is another one where bad bytes are
/// left under the old one.
pub(super) fn record(
    db: &Connection,
    id: &ContentId,
    size: u64,
    xxh128: &Xxh128,
    home: HomeKind,
    before: Option<Known>,
) -> Result<i64, StoreError> {
    let attempt = "record a content";
    match before {
        // What lies under its number is not even looked at: where the page is damaged, SQLite would fail all that follows
        // in this transaction.
        Some(Known { n, home: Home::Row(_), .. }) => {
            forget(db, n)?;
            record(db, id, size, xxh128, home, None)
        }
        Some(bad) => {
            db.prepare_cached("UPDATE contents SET size = ?2, xxh128 = ?3, home = ?4, state = 0 WHERE n = ?1")
                .and_then(|mut statement| statement.execute(params![bad.n, signed(size), xxh128, home.number()]))
                .map_err(sql(attempt))?;
            db.prepare_cached("DELETE FROM bad WHERE n = ?1")
                .and_then(|mut statement| statement.execute([bad.n]))
                .map_err(sql(attempt))?;
            Ok(bad.n)
        }
        None => db
            .prepare_cached("INSERT INTO contents (id, size, xxh128, home, state) VALUES (?1, ?2, ?3, ?4, 0)")
            .and_then(|mut statement| statement.insert(params![id.as_bytes(), signed(size), xxh128, home.number()]))
            .map_err(sql(attempt)),
    }
}

/// Which of the two homes a new content gets.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum HomeKind {
    Row,
    Large,
}

impl HomeKind {
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Row => 0,
            Self::Large => 1,
        }
    }
}

/// Writes the bytes of content `n`.
pub(super) fn put_bytes(db: &Connection, n: i64, bytes: &[u8]) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR REPLACE INTO bytes (n, bytes) VALUES (?1, ?2)")
        .and_then(|mut statement| statement.execute(params![n, bytes]))
        .map(drop)
        .map_err(sql("write a content"))
}

/// The bytes of content `n`, if its row has them.
pub(super) fn get_bytes(db: &Connection, n: i64) -> Result<Option<Vec<u8>>, StoreError> {
    let attempt = "read a content";
    let mut statement = db.prepare_cached("SELECT bytes FROM bytes WHERE n = ?1").map_err(sql(attempt))?;
    statement
        .query_row([n], |row| row.get_ref(0)?.as_blob().map(<[u8]>::to_vec).map_err(Into::into))
        .optional()
        .map_err(sql(attempt))
}

/// Deletes content `n` with its bytes, unless they are bad. Pages that cannot be read cannot be freed: after an error the
/// transaction must be rolled back, since it may have freed some of them.
pub(super) fn delete(db: &Connection, n: i64) -> Result<(), StoreError> {
    run(db, "DELETE FROM bytes WHERE n = ?1 AND NOT EXISTS (SELECT 1 FROM bad WHERE n = ?1)", n)?;
    forget(db, n)
}

/// Deletes what is known of content `n`, but for its bytes.
fn forget(db: &Connection, n: i64) -> Result<(), StoreError> {
    run(db, "DELETE FROM bad WHERE n = ?1", n)?;
    run(db, "DELETE FROM contents WHERE n = ?1", n)
}

fn run(db: &Connection, text: &str, n: i64) -> Result<(), StoreError> {
    db.prepare_cached(text).and_then(|mut statement| statement.execute([n])).map(drop).map_err(sql("delete a content"))
}

/// What a scan tells of each content: the bytes of its id, and the rest.
pub(super) type Each<'e> = &'e mut dyn FnMut(&[u8], Known) -> Result<(), StoreError>;

/// Every content, in order of its number.
pub(super) fn scan(db: &Connection, each: Each<'_>) -> Result<(), StoreError> {
    let attempt = "read the list of contents";
    let mut statement =
        db.prepare_cached("SELECT n, size, home, state, xxh128, id FROM contents ORDER BY n").map_err(sql(attempt))?;
    let mut rows = statement.query([]).map_err(sql(attempt))?;
    while let Some(row) = rows.next().map_err(sql(attempt))? {
        let number = |at| row.get::<_, i64>(at).map_err(sql(attempt));
        let (ValueRef::Blob(xxh128), ValueRef::Blob(id)) =
            (row.get_ref(4).map_err(sql(attempt))?, row.get_ref(5).map_err(sql(attempt))?)
        else {
            return Err(StoreError::Damaged("a content has no id".into()));
        };
        each(id, known(number(0)?, number(1)?, number(2)?, number(3)?, xxh128)?)?;
    }
    Ok(())
}
