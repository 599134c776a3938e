//! A copy of the database as it is at one moment, while others go on reading and writing.
//!
//! Pages are copied as they are, under one read transaction, so the copy is one commit and nothing but that; what is
//! damaged is copied as it is. The copy is a file of its own without a log beside it.
//! Deliberately absent: large contents, which are files; the caller keeps them from being swept.

use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::error::{StoreError, sql};
use super::reader::Reader;
use crate::tree::ContentId;

/// Pages that are copied between two looks at whether anybody still waits: 16 MiB.
const STEP: i32 = 1024;

/// Whether a copy was finished.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Copying {
    /// It is whole.
    Done,
    /// Nobody waited any more; what is there is of no use.
    Ended,
}

impl Reader {
    /// Copies the database to `to`, where no file is. `each` is told how many pages of how many are done.
    pub fn copy_database(
        &mut self,
        to: &Path,
        each: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Copying, StoreError> {
        let attempt = "copy the database";
        let mut copy = Connection::open(to).map_err(sql(attempt))?;
        // Whoever asked makes it durable, with all else.
        copy.execute_batch("PRAGMA synchronous = OFF").map_err(sql(attempt))?;
        // One moment: without it, a commit of somebody else would have the copy begin anew.
        self.db.execute_batch("BEGIN; SELECT count(*) FROM heads;").map_err(sql(attempt))?;
        let copied = copy_pages(&self.db, &mut copy, each);
        self.db.execute_batch("COMMIT").map_err(sql(attempt))?;
        if copied.map_err(sql(attempt))? == Copying::Ended {
            return Ok(Copying::Ended);
        }
        copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).map_err(sql(attempt))?;
        copy.close().map_err(|(_, error)| error).map_err(sql(attempt))?;
        Ok(Copying::Done)
    }

    /// The large contents that should be sound, with their sizes.
    pub fn large_contents(&self) -> Result<Vec<(ContentId, u64)>, StoreError> {
        let mut found = Vec::new();
        super::contents::scan(&self.db, &mut |id, known| {
            use super::contents::{Home, State};
            if (known.home, known.state) == (Home::Large, State::Sound) {
                found.push((ContentId::from_bytes(super::error::fixed("a content id", id)?), known.size));
            }
            Ok(())
        })?;
        Ok(found)
    }
}

fn copy_pages(
    from: &Connection,
    to: &mut Connection,
    each: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> rusqlite::Result<Copying> {
    let backup = Backup::new(from, to)?;
    loop {
        let step = backup.step(STEP)?;
        let progress = backup.progress();
        let number = |pages: i32| u64::try_from(pages).unwrap_or(0);
        let all = number(progress.pagecount);
        let flow = each(all.saturating_sub(number(progress.remaining)), all);
        match step {
            StepResult::Done => return Ok(Copying::Done),
            _ if flow.is_break() => return Ok(Copying::Ended),
            _ => {}
        }
    }
}
