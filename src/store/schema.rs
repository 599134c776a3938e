//! The tables of `headwater.db`, and how it is opened for writing and for reading.
//!
//! WAL: readers never wait for the writer. A commit at `synchronous=NORMAL` is not synced, but it lies in the log before
//! every later commit, and a checkpoint syncs the log before it moves pages; so a commit at FULL makes all earlier ones
//! durable too. That is why contents are staged at NORMAL, and whatever names them is committed at FULL.
//! No mmap: a failing disk would end the process by SIGBUS instead of an error.
//! Each version adds to the one before it. The writer brings an older file up to date in one transaction; a file of a
//! later release is refused, and a reader refuses an older one, since it cannot write. On a read-only file system SQLite is
//! told so (`immutable=1`), since readers would write there, too.
//! Deliberately absent: a way back to an older version.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::{StoreError, sql};
use super::failpoint::{Point, reach};
use super::layout::{Layout, Mount};

/// The version that this release writes: one a step.
const VERSION: i64 = 2;

/// What makes each version from the one before it. A new file takes them all, so there is one way to every table.
const STEPS: [&str; 2] = [TABLES, KEEPS];

/// Marks the file as ours: "hwtr".
const APPLICATION: i64 = 0x6877_7472;

/// The database never grows beyond so many pages, a TiB. A damaged page may lead anywhere, and what follows it would make
/// the file as long as that.
const MOST_PAGES: u32 = 1 << 26;

/// How long a connection waits for a lock. Only recovery after a crash takes one that readers meet.
const PATIENCE: Duration = Duration::from_secs(10);

/// `contents` is small, so that one scan finds the rows of a whole snapshot; `bytes` has the same `n` and is read by
/// range. `n` is never used again, so that a stale row number finds nothing rather than another file. The index has
/// the first 16 bytes of an id: no two contents share them by chance, and it is a quarter of the size.
const TABLES: &str = "
    CREATE TABLE contents (
        n      INTEGER PRIMARY KEY AUTOINCREMENT,
        id     BLOB NOT NULL,
        size   INTEGER NOT NULL,
        xxh128 BLOB NOT NULL,
        home   INTEGER NOT NULL,
        state  INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX contents_by_id ON contents (substr(id, 1, 16));
    CREATE TABLE bytes (n INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
    CREATE TABLE bad (n INTEGER PRIMARY KEY, reason TEXT NOT NULL);
    CREATE VIEW look AS
        SELECT n, lower(hex(id)) AS id, size, iif(home, 'large', 'row') AS home,
               iif(state, 'bad', 'sound') AS state, lower(hex(xxh128)) AS xxh128, bytes
        FROM contents LEFT JOIN bytes USING (n);

    CREATE TABLE snapshots (
        n          INTEGER PRIMARY KEY,
        id         BLOB NOT NULL UNIQUE,
        repository TEXT NOT NULL,
        base       BLOB,
        depth      INTEGER NOT NULL,
        length     INTEGER NOT NULL,
        text       BLOB NOT NULL,
        entries    INTEGER NOT NULL,
        size       INTEGER NOT NULL
    );
    CREATE TABLE publications (
        channel    TEXT NOT NULL,
        term       INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        snapshot   BLOB NOT NULL,
        time       INTEGER NOT NULL,
        head       BLOB NOT NULL,
        source     TEXT,
        entries    INTEGER NOT NULL,
        size       INTEGER NOT NULL,
        added      INTEGER NOT NULL,
        removed    INTEGER NOT NULL,
        changed    INTEGER NOT NULL,
        kept       INTEGER NOT NULL,
        PRIMARY KEY (channel, term, generation)
    ) WITHOUT ROWID;
    CREATE TABLE heads (
        channel    TEXT PRIMARY KEY,
        term       INTEGER NOT NULL,
        generation INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE rejected (repository TEXT PRIMARY KEY, snapshot BLOB NOT NULL, report TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE witness (
        repository TEXT PRIMARY KEY,
        source     BLOB NOT NULL,
        snapshot   BLOB NOT NULL,
        length     INTEGER NOT NULL,
        marks      BLOB NOT NULL
    );
    CREATE TABLE node_state (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
";

/// Version 2: generations that an operator keeps, whatever the numbers say, and what a generation rolled back to.
const KEEPS: &str = "
    CREATE TABLE keeps (
        channel    TEXT NOT NULL,
        term       INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        name       TEXT,
        since      INTEGER NOT NULL,
        PRIMARY KEY (channel, term, generation)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX keeps_by_name ON keeps (channel, name);
    ALTER TABLE publications ADD COLUMN rollback_of INTEGER;
";

/// How much a commit promises.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Promise {
    /// Atomic and in order, but a power cut may take it back.
    Ordered,
    /// Durable when it returns, with all that was committed before.
    Durable,
}

/// Opens the database for the one writer; makes its tables if the file is new, and brings an older one up to date.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(sql("open the database"))?;
    db.busy_timeout(PATIENCE).map_err(sql("open the database"))?;
    // Page size and vacuum are fixed by the first write, so they come before WAL and the tables.
    db.execute_batch(
        "PRAGMA page_size = 16384; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4096; PRAGMA journal_size_limit = 67108864;",
    )
    .map_err(sql("open the database"))?;
    db.pragma_update_and_check(None, "max_page_count", MOST_PAGES, |_| Ok(())).map_err(sql("open the database"))?;
    db.set_prepared_statement_cache_capacity(32);
    let found = version(&db, path)?;
    if found < VERSION {
        bring_up(&db, found)?;
    }
    Ok(db)
}

/// Takes the steps that a file of version `found` lacks, all or none.
fn bring_up(db: &Connection, found: i64) -> Result<(), StoreError> {
    let attempt = if found == 0 { "make the tables" } else { "bring the database up to date" };
    let steps: String = STEPS.iter().skip(usize::try_from(found).unwrap_or(0)).copied().collect();
    let text =
        format!("BEGIN IMMEDIATE; {steps} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};");
    let taken = db.execute_batch(&text).and_then(|()| {
        reach(Point::BeforeUpgradeCommit);
        db.execute_batch("COMMIT")
    });
    if taken.is_err() && !db.is_autocommit() {
        // The connection goes away with the error; the file is as it was.
        let _ = db.execute_batch("ROLLBACK");
    }
    reach(Point::AfterUpgradeCommit);
    taken.map_err(sql(attempt))
}

/// Opens the database for reading only. One connection a thread.
pub(super) fn open_reader(layout: &Layout) -> Result<Connection, StoreError> {
    let attempt = "open the database for reading";
    let path = &layout.database();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = match access(layout)? {
        Reading::Beside => Connection::open_with_flags(path, flags),
        Reading::Alone => Connection::open_with_flags(immutable(path), flags | OpenFlags::SQLITE_OPEN_URI),
    };
    let db = db.map_err(sql(attempt))?;
    db.busy_timeout(PATIENCE).map_err(sql(attempt))?;
    db.execute_batch("PRAGMA query_only = ON; PRAGMA mmap_size = 0; PRAGMA cache_size = -2048;")
        .map_err(sql(attempt))?;
    db.set_prepared_statement_cache_capacity(16);
    match version(&db, path)? {
        // Nothing is in a file that was never written, and nothing is found there.
        0 | VERSION => Ok(db),
        found => Err(StoreError::Older { path: path.to_owned(), found, known: VERSION }),
    }
}

/// How a database is read.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Reading {
    /// As what somebody else may write, or has written and not yet moved from the log.
    Beside,
    /// As what nobody changes, and as all that there is.
    Alone,
}

/// Where nothing can be written, a log that a process left behind is read by what it shared with others; without that it
/// cannot be, and without the log the database may be torn.
fn access(layout: &Layout) -> Result<Reading, StoreError> {
    let shared = layout.shared().exists();
    if layout.mount() == Mount::Writable || shared {
        return Ok(Reading::Beside);
    }
    match fs::metadata(layout.log()).map_or(0, |log| log.len()) {
        0 => Ok(Reading::Alone),
        _ => Err(StoreError::Unfinished { path: layout.log() }),
    }
}

/// The name by which SQLite takes a file for one that nobody changes.
fn immutable(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut name = "file://".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name + "?immutable=1"
}

/// Sets what the next commits promise. Not inside of a transaction.
pub(super) fn promise(db: &Connection, promise: Promise) -> Result<(), StoreError> {
    let level = match promise {
        Promise::Ordered => "NORMAL",
        Promise::Durable => "FULL",
    };
    db.pragma_update(None, "synchronous", level).map_err(sql("set what a commit promises"))
}

/// The schema version, 0 for a new file. Refuses what is not ours, or newer than we are.
fn version(db: &Connection, path: &Path) -> Result<i64, StoreError> {
    let number =
        |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(sql("read the schema version"));
    let (application, found) = (number("application_id")?, number("user_version")?);
    let tables: i64 =
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sql("read the schema"))?;
    if tables == 0 {
        return Ok(0);
    }
    if application != APPLICATION || found < 1 {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    if found > VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: VERSION });
    }
    Ok(found)
}
