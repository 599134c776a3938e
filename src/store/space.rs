//! How much room there is, asked before something large begins.
//!
//! A full disk must stop a fetch with a number, not in the middle of a commit; serving goes on either way. The question
//! is to the file system that holds the data directory, as an unprivileged process sees it.
//! Deliberately absent: quotas of users and projects, which statvfs does not tell; they show as a failed write.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::contents::{HomeKind, LARGE};
use super::error::{StoreError, count, file, sql};
use super::layout::{Layout, Mount};

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
    /// How it is mounted.
    pub mount: Mount,
}

/// What is about to be written, in bytes. Rows can go to pages that are free inside of the database; files cannot.
#[derive(Copy, Clone, PartialEq, Eq, Default, Debug)]
pub struct Need {
    /// As rows.
    pub rows: u64,
    /// As files.
    pub large: u64,
}

impl Need {
    /// With one more content of `size` bytes.
    #[must_use]
    pub fn and(self, size: u64) -> Self {
        match size > LARGE {
            true => Self { large: self.large.saturating_add(size), ..self },
            false => Self { rows: self.rows.saturating_add(size), ..self },
        }
    }

    /// What the file system has to give, with the reserve, where the database has `within` bytes to give.
    fn outside(self, within: u64) -> u64 {
        self.rows.saturating_sub(within).saturating_add(self.large).saturating_add(RESERVE)
    }
}

/// Asks the file system.
pub(super) fn free_and_total(root: &Path) -> Result<(u64, u64), StoreError> {
    let answer = rustix::fs::statvfs(root).map_err(file("ask for the free space of", root))?;
    let bytes = |blocks: u64| blocks.saturating_mul(answer.f_frsize);
    Ok((bytes(answer.f_bavail), bytes(answer.f_blocks)))
}

/// Fails if `need` and the reserve do not fit.
pub(super) fn require(db: &Connection, root: &Path, need: Need) -> Result<(), StoreError> {
    let (free, _) = free_and_total(root)?;
    let needed = need.outside(free_pages(db)?.saturating_mul(page_size(db)?));
    match needed.checked_sub(free) {
        Some(missing) if missing > 0 => Err(StoreError::Space { path: root.to_owned(), free, needed, missing }),
        _ => Ok(()),
    }
}

/// Pages of the database that hold nothing.
pub(super) fn free_pages(db: &Connection) -> Result<u64, StoreError> {
    number(db, "freelist_count")
}

/// All pages of the database.
pub(super) fn pages(db: &Connection) -> Result<u64, StoreError> {
    number(db, "page_count")
}

/// The bytes of a page.
fn page_size(db: &Connection) -> Result<u64, StoreError> {
    number(db, "page_size")
}

fn number(db: &Connection, name: &'static str) -> Result<u64, StoreError> {
    let found = db.pragma_query_value(None, name, |row| row.get(0)).map_err(sql("ask the database for its size"))?;
    count(name, found)
}

/// How much room there is, and how much database, log and large contents take.
pub(super) fn of(db: &Connection, layout: &Layout) -> Result<Space, StoreError> {
    let (free, total) = free_and_total(layout.root())?;
    let large: i64 = db
        .prepare_cached("SELECT coalesce(sum(size), 0) FROM contents WHERE home = ?1")
        .and_then(|mut statement| statement.query_row([HomeKind::Large.number()], |row| row.get(0)))
        .map_err(sql("sum up the large contents"))
        .or_else(StoreError::or_nothing)?;
    let files = length(&layout.database()).saturating_add(length(&layout.log()));
    let used = files.saturating_add(count("the size of all large contents", large)?);
    Ok(Space { free, total, used, mount: layout.mount() })
}

/// The length of a file; 0 if it is not there.
fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fit_into_free_pages_and_files_do_not() {
        let check = |sizes: &[u64], within, expected| {
            let need = sizes.iter().fold(Need::default(), |need, size| need.and(*size));
            assert_eq!(need.outside(within), expected + RESERVE, "{sizes:?} with {within} bytes in free pages");
        };
        check(&[], 0, 0);
        check(&[1, LARGE, 2], 0, LARGE + 3);
        check(&[1, LARGE, 2], LARGE, 3);
        check(&[1, LARGE, 2], 1 << 40, 0);
        check(&[LARGE + 1, 5], 1 << 40, LARGE + 1);
        check(&[LARGE + 1, 5], 3, LARGE + 3);
    }
}
