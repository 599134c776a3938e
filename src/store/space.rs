//! How much room there is, asked before something large begins.
//!
//! A full disk must stop a fetch with a number, not in the middle of a commit; serving goes on either way. The question
//! is to the file system that holds the data directory, as an unprivileged process sees it.
//! Deliberately absent: quotas of users and projects, which statvfs does not tell; they show as a failed write.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::contents::HomeKind;
use super::error::{StoreError, count, file, sql};
use super::layout::Layout;

/// What stays free after anything that the store agrees to: the database's log has to fit in any case.
pub const RESERVE: u64 = 128 << 20;

/// Room on the file system of the data directory, in bytes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Space {
    /// What may still be written.
    pub free: u64,
    /// The size of the file system.
    pub total: u64,
    /// What database, log and large contents take.
    pub used: u64,
}

/// Asks the file system.
pub(super) fn free_and_total(root: &Path) -> Result<(u64, u64), StoreError> {
    let answer = rustix::fs::statvfs(root).map_err(file("ask for the free space of", root))?;
    let bytes = |blocks: u64| blocks.saturating_mul(answer.f_frsize);
    Ok((bytes(answer.f_bavail), bytes(answer.f_blocks)))
}

/// Fails if `bytes` and the reserve do not fit.
pub(super) fn require(root: &Path, bytes: u64) -> Result<(), StoreError> {
    let (free, _) = free_and_total(root)?;
    let needed = bytes.saturating_add(RESERVE);
    match needed.checked_sub(free) {
        Some(missing) if missing > 0 => Err(StoreError::Space { path: root.to_owned(), free, needed, missing }),
        _ => Ok(()),
    }
}

/// How much room there is, and how much database, log and large contents take.
pub(super) fn of(db: &Connection, layout: &Layout) -> Result<Space, StoreError> {
    let (free, total) = free_and_total(layout.root())?;
    let large: i64 = db
        .prepare_cached("SELECT coalesce(sum(size), 0) FROM contents WHERE home = ?1")
        .and_then(|mut statement| statement.query_row([HomeKind::Large.number()], |row| row.get(0)))
        .map_err(sql("sum up the large contents"))?;
    let files = length(&layout.database()).saturating_add(length(&layout.log()));
    Ok(Space { free, total, used: files.saturating_add(count("the size of all large contents", large)?) })
}

/// The length of a file; 0 if it is not there.
fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
