//! Reading all contents again: what is on the disk against ids and sums.
//!
//! What the kernel has in its memory is let go of first, as far as it will, so that it is the disk that is read. Contents
//! come and go meanwhile: one whose row is gone when it is looked at again was swept, and is not bad.
//! Deliberately absent: setting anything aside, which is the writer's; and the pace.

use std::fs::File;
use std::ops::{ControlFlow, Range};

use rusqlite::params;
use rustix::fs::{Advice, fadvise};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::contents::{self, Home, Known, Row, State, Xxh128};
use super::error::{StoreError, fixed, sql};
use super::quarantine::Bad;
use super::reader::Reader;
use crate::tree::{ContentHasher, ContentId};

/// Rows that are listed at once.
const BATCH_ROWS: i64 = 512;

/// Bytes of rows that are read at once.
const BATCH_BYTES: u64 = 4 << 20;

/// Findings about the structure of the database that are told.
const MOST_FINDINGS: u32 = 20;

/// What a scrub tells while it works.
#[derive(Debug)]
pub enum Scrubbed {
    /// So many contents were done, and so many bytes read, since the last time.
    Read {
        /// Contents.
        contents: u64,
        /// Bytes.
        bytes: u64,
    },
    /// A content that is bad, also one that was set aside before.
    Bad(Bad),
}

/// Whoever is told; a break ends the scrub.
pub type Told<'t> = &'t mut dyn FnMut(Scrubbed) -> ControlFlow<()>;

/// A content as it is listed.
struct Listed {
    id: ContentId,
    known: Known,
}

/// What was read of a large content.
enum Digests {
    /// All of it.
    Of(ContentId, Xxh128),
    /// Its file is not there.
    Gone,
    /// Nobody waited any more.
    Ended,
}

impl Reader {
    /// How many contents there are.
    pub fn count(&self) -> Result<u64, StoreError> {
        let count = self.db.query_row("SELECT count(*) FROM contents", [], |row| row.get::<_, i64>(0));
        super::error::count("the number of contents", count.map_err(sql("count the contents"))?)
    }

    /// What is wrong with the structure of the database; reads all of it.
    pub fn check_structure(&self) -> Result<Vec<String>, StoreError> {
        let attempt = "check the database";
        let mut statement = self.db.prepare(&format!("PRAGMA quick_check({MOST_FINDINGS})")).map_err(sql(attempt))?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(sql(attempt))?;
        let found: Vec<String> = rows.collect::<Result<_, _>>().map_err(sql(attempt))?;
        Ok(found.into_iter().filter(|line| line != "ok").collect())
    }

    /// Reads every content. Fails where the list of contents itself cannot be read; what was found by then was told.
    pub fn scrub(&mut self, told: Told<'_>) -> Result<(), StoreError> {
        if let Ok(database) = File::open(self.layout.database()) {
            // Advice may be ignored, and often is while somebody else reads.
            let _ = fadvise(&database, 0, None, Advice::DontNeed);
        }
        let mut after = 0;
        loop {
            let listed = self.list(after)?;
            let Some(last) = listed.last() else { return Ok(()) };
            after = last.known.n;
            if self.check(&listed, told)?.is_break() {
                return Ok(());
            }
        }
    }

    fn list(&self, after: i64) -> Result<Vec<Listed>, StoreError> {
        let attempt = "read the list of contents";
        let text = "SELECT n, size, home, state, xxh128, id FROM contents WHERE n > ?1 ORDER BY n LIMIT ?2";
        let mut statement = self.db.prepare_cached(text).map_err(sql(attempt))?;
        let mut rows = statement.query(params![after, BATCH_ROWS]).map_err(sql(attempt))?;
        let mut listed = Vec::new();
        while let Some(row) = rows.next().map_err(sql(attempt))? {
            let number = |at| row.get::<_, i64>(at).map_err(sql(attempt));
            let blob = |at| row.get::<_, Vec<u8>>(at).map_err(sql(attempt));
            let known = contents::known(number(0)?, number(1)?, number(2)?, number(3)?, &blob(4)?)?;
            listed.push(Listed { id: ContentId::from_bytes(fixed("a content id", &blob(5)?)?), known });
        }
        Ok(listed)
    }

    fn check(&mut self, listed: &[Listed], told: Told<'_>) -> Result<ControlFlow<()>, StoreError> {
        let mut batch: Vec<&Listed> = Vec::new();
        let mut bytes = 0;
        for content in listed {
            let flow = match (content.known.state, content.known.home) {
                (State::Bad, _) => {
                    let reason = self.reason(content.known.n)?;
                    told(bad(content, &format!("it is set aside: {reason}")))
                }
                (State::Sound, Home::Large) => self.check_large(content, told)?,
                (State::Sound, Home::Row(_)) => {
                    batch.push(content);
                    bytes += content.known.size;
                    match bytes >= BATCH_BYTES {
                        true => {
                            bytes = 0;
                            self.check_rows(&std::mem::take(&mut batch), told)?
                        }
                        false => ControlFlow::Continue(()),
                    }
                }
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        self.check_rows(&batch, told)
    }

    fn reason(&self, n: i64) -> Result<String, StoreError> {
        let found = self.db.query_row("SELECT reason FROM bad WHERE n = ?1", [n], |row| row.get(0));
        match found {
            // Mended at this moment.
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok("it was bad".to_owned()),
            other => other.map_err(sql("read why a content is bad")),
        }
    }

    fn check_rows(&mut self, batch: &[&Listed], told: Told<'_>) -> Result<ControlFlow<()>, StoreError> {
        let rows: Vec<Row> = batch.iter().map(|content| Row(content.known.n)).collect();
        let mut arena: Vec<u8> = Vec::new();
        let mut found: Vec<(usize, Range<usize>)> = Vec::with_capacity(rows.len());
        let read = self.read(&rows, &mut |at, bytes| {
            let start = arena.len();
            arena.extend_from_slice(bytes);
            found.push((at, start..arena.len()));
        });
        let missing = match (read, batch) {
            (Ok(missing), _) => missing,
            (Err(error), _) if !error.is_damage() => return Err(error),
            (Err(error), [content]) => {
                let flow = told(bad(content, &error.to_string()));
                return Ok(if flow.is_break() { flow } else { told(Scrubbed::Read { contents: 1, bytes: 0 }) });
            }
            // One of them lies where the database is damaged: each for itself.
            (Err(_), batch) => {
                for content in batch.iter().map(std::slice::from_ref) {
                    if self.check_rows(content, told)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                return Ok(ControlFlow::Continue(()));
            }
        };
        for content in missing.into_iter().filter_map(|at| batch.get(at)) {
            if self.is_still_sound(content)? && told(bad(content, "its bytes are gone")).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let bytes: Vec<&[u8]> = found.iter().map(|(_, range)| arena.get(range.clone()).unwrap_or_default()).collect();
        for (((at, _), bytes), id) in found.iter().zip(&bytes).zip(ContentId::of_many(&bytes)) {
            let Some(content) = batch.get(*at) else { continue };
            if let Some(why) = wrong(content, &id, &xxh3_128(bytes).to_le_bytes())
                && told(bad(content, why)).is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        let size = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        Ok(told(Scrubbed::Read { contents: size(batch.len()), bytes: size(arena.len()) }))
    }

    fn check_large(&mut self, content: &Listed, told: Told<'_>) -> Result<ControlFlow<()>, StoreError> {
        let read = self.digest_large(content, told);
        let why = match read {
            Ok(Digests::Ended) => return Ok(ControlFlow::Break(())),
            Ok(Digests::Of(id, sum)) => wrong(content, &id, &sum).map(str::to_owned),
            Ok(Digests::Gone) => Some("its file is gone".to_owned()),
            Err(error) if error.is_damage() => Some(error.to_string()),
            Err(error) => return Err(error),
        };
        if let Some(why) = why
            && self.is_still_sound(content)?
            && told(bad(content, &why)).is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        Ok(told(Scrubbed::Read { contents: 1, bytes: 0 }))
    }

    fn digest_large(&self, content: &Listed, told: Told<'_>) -> Result<Digests, StoreError> {
        if let Some(open) = self.large.open(&content.id)? {
            let _ = fadvise(&open, 0, None, Advice::DontNeed);
        }
        let (mut hasher, mut sum, mut flow) = (ContentHasher::new(), Xxh3::new(), ControlFlow::Continue(()));
        let read = self.large.read(&content.id, &mut |piece| {
            hasher.update(piece);
            sum.update(piece);
            flow = told(Scrubbed::Read { contents: 0, bytes: u64::try_from(piece.len()).unwrap_or(u64::MAX) });
            flow
        })?;
        Ok(match read {
            None => Digests::Gone,
            Some(()) if flow.is_break() => Digests::Ended,
            Some(()) => Digests::Of(hasher.finish(), sum.digest128().to_le_bytes()),
        })
    }

    /// False if it was swept, set aside or mended elsewhere since it was listed.
    fn is_still_sound(&self, content: &Listed) -> Result<bool, StoreError> {
        let now = contents::find(&self.db, &content.id)?;
        Ok(now.is_some_and(|now| now.state == State::Sound && now.n == content.known.n))
    }
}

fn bad(content: &Listed, reason: &str) -> Scrubbed {
    Scrubbed::Bad(Bad { id: content.id, size: content.known.size, reason: reason.to_owned() })
}

fn wrong(content: &Listed, id: &ContentId, sum: &Xxh128) -> Option<&'static str> {
    if *id != content.id {
        Some("its bytes are other ones than its id says")
    } else if *sum != content.known.xxh128 {
        Some("its stored xxh128 is not that of its bytes")
    } else {
        None
    }
}
