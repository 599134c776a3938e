//! Reading while one other thread writes: an own connection that can do nothing else.
//!
//! A read is one statement, so no reader holds back the log. What a reader asks for must be kept or pinned; if it is
//! not, rows are missing and reported as such, never taken for others. Callers keep a pool; a reader is `Send`.
//! Deliberately absent: caches of bytes; the kernel has one.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::Connection;

use super::contents::{self, Home, Row, State};
use super::error::{StoreError, file, sql};
use super::large::LargeFiles;
use super::layout::Layout;
use super::located::{Located, locate};
use super::owner::Owner;
use super::publications::{self, Kept, Publication};
use super::space::{self, Space};
use super::{schema, snapshots};
use crate::names::ChannelName;
use crate::tree::{ContentId, Snapshot, SnapshotId};

/// Rows that are read and thrown away, at most, to save a new descent into the tree. A page has about nine contents.
const GAP: i64 = 8;

/// A read-only connection to the store.
#[derive(Debug)]
pub struct Reader {
    pub(super) db: Connection,
    pub(super) layout: Layout,
    pub(super) large: LargeFiles,
    order: Vec<(Row, usize)>,
}

impl Reader {
    /// Opens the store below `dir` for reading, whether or not a process has it for writing.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let layout = Layout::of(dir);
        if !layout.database().exists() {
            return Err(StoreError::NoStore { path: dir.to_owned() });
        }
        let db = schema::open_reader(&layout)?;
        let large = LargeFiles::at(layout.large(), Owner::Maker);
        Ok(Self { db, layout, large, order: Vec::new() })
    }

    /// How much room there is, and how much is taken.
    pub fn space(&self) -> Result<Space, StoreError> {
        space::of(&self.db, &self.layout)
    }

    /// Reads the contents in `rows`, in the order of their numbers: neighbours cost one descent. `found` gets the index
    /// into `rows` and the bytes, which it must copy if it wants to keep them. Returns the indexes of rows that the
    /// store does not have (swept, or set aside as bad).
    pub fn read(&mut self, rows: &[Row], found: &mut dyn FnMut(usize, &[u8])) -> Result<Vec<usize>, StoreError> {
        self.order.clear();
        self.order.extend(rows.iter().enumerate().map(|(index, &row)| (row, index)));
        self.order.sort_unstable();
        let attempt = "read contents";
        let mut statement = self
            .db
            .prepare_cached("SELECT n, bytes FROM bytes WHERE n BETWEEN ?1 AND ?2 ORDER BY n")
            .map_err(sql(attempt))?;
        let mut missing = Vec::new();
        for range in self.order.chunk_by(|(a, _), (b, _)| b.0 - a.0 <= GAP) {
            let (Some((first, _)), Some((last, _))) = (range.first(), range.last()) else { continue };
            let mut wanted = range.iter().peekable();
            let mut result = statement.query([first.0, last.0]).map_err(sql(attempt))?;
            while let Some(row) = result.next().map_err(sql(attempt))? {
                let n: i64 = row.get(0).map_err(sql(attempt))?;
                while let Some((_, index)) = wanted.next_if(|(row, _)| row.0 < n) {
                    missing.push(*index);
                }
                while let Some((_, index)) = wanted.next_if(|(row, _)| row.0 == n) {
                    let bytes = row.get_ref(1).and_then(|value| Ok(value.as_blob()?)).map_err(sql(attempt))?;
                    found(*index, bytes);
                }
            }
            missing.extend(wanted.map(|(_, index)| *index));
        }
        Ok(missing)
    }

    /// Opens a large content; `None` if the store does not have it.
    pub fn read_large(&self, id: &ContentId) -> Result<Option<File>, StoreError> {
        self.large.open(id)
    }

    /// The bytes of any content that is not longer than `limit`; `None` if it is, or if the store has no sound bytes.
    pub fn content(&self, id: &ContentId, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        content(&self.db, &self.large, id, limit)
    }

    /// A snapshot that is kept.
    pub fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot, StoreError> {
        snapshots::load(&self.db, id)
    }

    /// Finds the contents of a snapshot; quicker with `near`, one of the same channel that is located already.
    pub fn locate(&self, snapshot: &Snapshot, near: Option<&Located>) -> Result<Located, StoreError> {
        locate(&self.db, snapshot, near)
    }

    /// The head of each channel, by name.
    pub fn heads(&self) -> Result<Vec<Publication>, StoreError> {
        publications::heads(&self.db, Kept::Yes)
    }

    /// The generations of a channel, newest first.
    pub fn history(&self, channel: &ChannelName) -> Result<Vec<Publication>, StoreError> {
        publications::history(&self.db, channel)
    }
}

/// The bytes of a content, wherever they are.
pub(super) fn content(
    db: &Connection,
    large: &LargeFiles,
    id: &ContentId,
    limit: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(known) = contents::find(db, id)? else { return Ok(None) };
    if known.state == State::Bad || known.size > limit {
        return Ok(None);
    }
    match known.home {
        Home::Row(row) => contents::get_bytes(db, row.0),
        Home::Large => {
            let Some(opened) = large.open(id)? else { return Ok(None) };
            let mut bytes = Vec::new();
            opened.take(known.size).read_to_end(&mut bytes).map_err(file("read", &large.path(id)))?;
            Ok(Some(bytes))
        }
    }
}
