//! A snapshot as the difference to another one: what a child gets that has the base.
//!
//! The text names base and result by id, then lists in path order what goes (`-`) and what comes (`+`); a changed entry is
//! `-` then `+`. Every line must fit the base exactly, and the result is hashed, so a delta that applies is verified.
//! Deliberately absent: chains; whoever stores deltas bounds how many it applies.

use super::builder::SnapshotBuilder;
use super::diff::{Step, walk};
use super::digest::SnapshotId;
use super::entry::Entry;
use super::error::{TextError, Wrong};
use super::escape::shown;
use super::lines::{LineReader, put_hex_line, put_line};
use super::snapshot::{MAX_TEXT_BYTES, Snapshot};
use super::text::{put_entry, read_entry};
use super::word::Word;

const TITLE: &str = "headwater delta 1";

/// The delta from `base` to `result`. Both are of one repository; between two it is written, but never applies.
pub fn delta_text(base: &Snapshot, result: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(TITLE.as_bytes());
    out.push(b'\n');
    put_line(&mut out, "repository", result.repository());
    put_hex_line(&mut out, "base", base.id().as_bytes());
    put_hex_line(&mut out, "result", result.id().as_bytes());
    walk(base, result, |step| match step {
        Step::Removed(_, old) => put_signed_entry(&mut out, b'-', &old),
        Step::Added(_, new) => put_signed_entry(&mut out, b'+', &new),
        Step::Changed((_, old), (_, new)) => {
            put_signed_entry(&mut out, b'-', &old);
            put_signed_entry(&mut out, b'+', &new);
        }
    });
    out
}

fn put_signed_entry(out: &mut Vec<u8>, sign: u8, entry: &Entry<'_>) {
    out.push(sign);
    put_entry(out, entry);
}

/// The snapshot that a delta makes from its base. Fails if the delta is for another base, does not fit it, or does not
/// make the result that it names.
pub fn apply_delta(base: &Snapshot, text: &[u8]) -> Result<Snapshot, TextError> {
    let mut lines = LineReader::new(text, MAX_TEXT_BYTES)?;
    let wanted = read_header(&mut lines, base)?;
    let repository = base.repository().clone();
    let builder = SnapshotBuilder::with_capacity(repository, base.len(), base.file_count(), base.body().arena_bytes());
    let mut merge = Merge { base, next: 0, last: None, builder };
    while let Some(line) = lines.next_line()? {
        merge.line(&lines, line)?;
    }
    let error = |wrong: Wrong| lines.error(wrong);
    merge.copy_while(|_| true).map_err(error)?;
    let result = merge.builder.finish().map_err(|wrong| error(wrong.into()))?;
    same_id("result", result.id(), wanted).map_err(error)?;
    Ok(result)
}

/// Reads the four lines before the changes and compares them with `base`; answers the id that must come out.
fn read_header(lines: &mut LineReader<'_>, base: &Snapshot) -> Result<SnapshotId, TextError> {
    lines.title(TITLE)?;
    let word = lines.field("repository")?;
    let repository = Word::from_bytes(word).map_err(|error| lines.error(error))?;
    if &repository != base.repository() {
        return Err(lines.expected("the repository of the base", word));
    }
    let field = lines.field("base")?;
    let id = SnapshotId::from_hex(field).map_err(|error| lines.error(error))?;
    same_id("base", id, base.id()).map_err(|wrong| lines.error(wrong))?;
    let field = lines.field("result")?;
    SnapshotId::from_hex(field).map_err(|error| lines.error(error))
}

fn same_id(what: &'static str, found: SnapshotId, expected: SnapshotId) -> Result<(), Wrong> {
    if found == expected {
        return Ok(());
    }
    Err(Wrong::OtherId { what, found: found.short(), expected: expected.short() })
}

/// The base and a delta, being merged.
struct Merge<'b> {
    base: &'b Snapshot,
    /// The first entry of the base that is neither copied nor removed.
    next: usize,
    /// The base's entry that the line before removed: only its own `+` may come with its path.
    last: Option<usize>,
    builder: SnapshotBuilder,
}

impl Merge<'_> {
    fn line(&mut self, lines: &LineReader<'_>, line: &[u8]) -> Result<(), TextError> {
        let mut misfit = None;
        let (sign, rest) = line.split_first().ok_or_else(|| lines.expected("- or +", line))?;
        let done = match sign {
            b'-' => read_entry(lines, rest, |entry| {
                misfit = self.remove(&entry).err();
                Ok(())
            }),
            b'+' => read_entry(lines, rest, |entry| {
                misfit = self.add(&entry).err();
                Ok(())
            }),
            _ => Err(lines.expected("- or +", line)),
        };
        done?;
        misfit.map_or(Ok(()), |wrong| Err(lines.error(wrong)))
    }

    /// Copies entries of the base as long as `take` says so.
    fn copy_while(&mut self, take: impl Fn(&Entry<'_>) -> bool) -> Result<(), Wrong> {
        while let Some(entry) = self.base.entry(self.next).filter(&take) {
            self.builder.push(entry)?;
            self.next += 1;
        }
        Ok(())
    }

    /// The base must have exactly this entry, behind all that came before.
    fn remove(&mut self, entry: &Entry<'_>) -> Result<(), Wrong> {
        self.copy_while(|base| base.path < entry.path)?;
        if self.base.entry(self.next).as_ref() != Some(entry) {
            return Err(Wrong::Misfit(shown(entry.path.as_bytes())));
        }
        self.last = Some(self.next);
        self.next += 1;
        Ok(())
    }

    /// The base must not have this path, or its entry there must just have been removed and be another one. After a
    /// removal no earlier path may come: behind an addition the builder sees to that.
    fn add(&mut self, entry: &Entry<'_>) -> Result<(), Wrong> {
        let replaced = self.last.take().and_then(|index| self.base.entry(index));
        self.copy_while(|base| base.path < entry.path)?;
        let stays = self.base.entry(self.next).is_some_and(|base| base.path == entry.path);
        let late = replaced.is_some_and(|removed| removed.path > entry.path || removed == *entry);
        if stays || late {
            return Err(Wrong::Misfit(shown(entry.path.as_bytes())));
        }
        Ok(self.builder.push(*entry)?)
    }
}
