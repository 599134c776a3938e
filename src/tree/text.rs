//! The canonical text of a snapshot, both ways.
//!
//! One text means one snapshot: what parses prints the same bytes again. So the digest of the text that came in is
//! the snapshot's id, and whoever has parsed a text and compared its id has verified it. A line is
//! `d MODE TIME PATH`, `f MODE TIME SIZE ID PATH`, `h MODE TIME SIZE ID GROUP PATH` or `l TIME TARGET PATH`.
//! Deliberately absent: compression, and any second version; the first line would name it.

use std::borrow::Cow;
use std::num::NonZeroU32;

use super::builder::SnapshotBuilder;
use super::digest::{ContentHasher, ContentId, SnapshotId, put_hex};
use super::entry::{Entry, Kind, Mode, Mtime};
use super::error::{SnapshotError, TextError, Wrong};
use super::escape::{Blank, put_escaped, shown, unescape};
use super::lines::{LineReader, decimal, digit, put_decimal, put_line, put_signed, signed_decimal, take_field};
use super::path::TreePath;
use super::snapshot::{Body, MAX_TEXT_BYTES, Snapshot};
use super::word::Word;

const TITLE: &str = "headwater snapshot 1";

/// Lines before the first entry.
const HEADER_LINES: usize = 2;

/// The shortest line of a file: `f 0 0 0 ID a`. Bounds what is reserved for a text before its lines are read.
const LEAST_FILE_LINE: usize = 139;

/// How much text is written before it is hashed: large enough for the hash's pace, small enough for the cache.
const BLOCK_BYTES: usize = 64 << 10;

impl Snapshot {
    /// Its canonical text; the BLAKE2b-512 of it is the id.
    pub fn to_text(&self) -> Vec<u8> {
        let ids = 2 * ContentId::of(b"").as_bytes().len();
        let guess = self.body().arena_bytes() + self.len() * 40 + self.file_count() * ids;
        let mut out = Vec::with_capacity(guess);
        put_header(&mut out, self.repository());
        for entry in self.iter() {
            put_entry(&mut out, &entry);
        }
        out
    }

    /// Reads a text, checking every rule; the result's id is the digest of `text`.
    pub fn parse(text: &[u8]) -> Result<Self, TextError> {
        let mut lines = LineReader::new(text, MAX_TEXT_BYTES)?;
        lines.title(TITLE)?;
        let word = lines.field("repository")?;
        let repository = Word::from_bytes(word).map_err(|error| lines.error(error))?;
        let count = text.iter().filter(|&&byte| byte == b'\n').count().saturating_sub(HEADER_LINES);
        let files = text.len() / LEAST_FILE_LINE;
        let mut builder = SnapshotBuilder::with_capacity(repository, count, files, text.len() / 4);
        while let Some(line) = lines.next_line()? {
            read_entry(&lines, line, |entry| builder.push(entry))?;
        }
        let mut hasher = ContentHasher::new();
        hasher.update(text);
        builder
            .finish_with(SnapshotId::from_bytes(hasher.digest()))
            .map_err(|(index, error)| TextError { line: index + HEADER_LINES + 1, wrong: error.into() })
    }
}

/// The id of a snapshot that has these entries; fails if its text would be too long.
pub(super) fn id_of(repository: &Word, body: &Body) -> Result<SnapshotId, SnapshotError> {
    let mut hasher = ContentHasher::new();
    let mut length = 0;
    let mut block = Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / 4);
    put_header(&mut block, repository);
    for entry in body.iter() {
        put_entry(&mut block, &entry);
        if block.len() >= BLOCK_BYTES {
            length += block.len();
            hasher.update(&block);
            block.clear();
        }
    }
    hasher.update(&block);
    if length + block.len() > MAX_TEXT_BYTES {
        return Err(SnapshotError::TooMuchText);
    }
    Ok(SnapshotId::from_bytes(hasher.digest()))
}

fn put_header(out: &mut Vec<u8>, repository: &Word) {
    out.extend_from_slice(TITLE.as_bytes());
    out.push(b'\n');
    put_line(out, "repository", repository);
}

/// Appends the line of one entry.
pub(super) fn put_entry(out: &mut Vec<u8>, entry: &Entry<'_>) {
    match entry.kind {
        Kind::Directory { mode } => {
            out.extend_from_slice(b"d ");
            put_mode_and_time(out, mode, entry.mtime);
        }
        Kind::File { mode, size, content, group } => {
            out.extend_from_slice(if group.is_some() { b"h " } else { b"f " });
            put_mode_and_time(out, mode, entry.mtime);
            put_decimal(out, size);
            out.push(b' ');
            put_hex(out, content.as_bytes());
            out.push(b' ');
            if let Some(group) = group {
                put_decimal(out, u64::from(group.get()));
                out.push(b' ');
            }
        }
        Kind::Symlink { target } => {
            out.extend_from_slice(b"l ");
            put_time(out, entry.mtime);
            put_escaped(out, target, Blank::Escaped);
            out.push(b' ');
        }
    }
    put_escaped(out, entry.path.as_bytes(), Blank::Plain);
    out.push(b'\n');
}

fn put_mode_and_time(out: &mut Vec<u8>, mode: Mode, mtime: Mtime) {
    let bits = u64::from(mode.bits());
    let digits = [bits >> 9, bits >> 6, bits >> 3, bits].map(|shifted| digit(shifted & 7));
    let zeros = digits.iter().take(3).take_while(|&&digit| digit == b'0').count();
    out.extend_from_slice(&digits[zeros..]);
    out.push(b' ');
    put_time(out, mtime);
}

fn put_time(out: &mut Vec<u8>, mtime: Mtime) {
    put_signed(out, mtime.seconds());
    if mtime.nanos() != 0 {
        let start = out.len();
        put_decimal(out, 1_000_000_000 + u64::from(mtime.nanos()));
        out[start] = b'.';
    }
    out.push(b' ');
}

/// Reads the line of one entry and hands it to `take`, whose refusal becomes this line's.
pub(super) fn read_entry(
    lines: &LineReader<'_>,
    line: &[u8],
    take: impl FnOnce(Entry<'_>) -> Result<(), SnapshotError>,
) -> Result<(), TextError> {
    let mut fields = Fields { lines, line, rest: line };
    match fields.next("d, f, h or l")? {
        b"d" => {
            let mode = fields.mode()?;
            let mtime = fields.mtime()?;
            fields.give(mtime, Kind::Directory { mode }, take)
        }
        b"f" => {
            let (mode, mtime, size, content) = fields.file()?;
            fields.give(mtime, Kind::File { mode, size, content: &content, group: None }, take)
        }
        b"h" => {
            let (mode, mtime, size, content) = fields.file()?;
            let group = Some(fields.group()?);
            fields.give(mtime, Kind::File { mode, size, content: &content, group }, take)
        }
        b"l" => {
            let mtime = fields.mtime()?;
            let target = fields.target()?;
            fields.give(mtime, Kind::Symlink { target: &target }, take)
        }
        other => Err(lines.expected("d, f, h or l", other)),
    }
}

/// The fields of one line, taken from the front.
struct Fields<'l, 'a> {
    lines: &'l LineReader<'a>,
    line: &'l [u8],
    rest: &'l [u8],
}

impl<'l> Fields<'l, '_> {
    fn next(&mut self, expected: &'static str) -> Result<&'l [u8], TextError> {
        take_field(&mut self.rest).ok_or_else(|| self.lines.expected(expected, self.line))
    }

    fn mode(&mut self) -> Result<Mode, TextError> {
        let field = self.next("a mode")?;
        octal(field).ok_or_else(|| self.lines.expected("a mode, 0 to 7777 octal", field))
    }

    fn mtime(&mut self) -> Result<Mtime, TextError> {
        let field = self.next("a time")?;
        time(field)
            .ok_or_else(|| self.lines.expected("a time in seconds, with nine digits of nanoseconds if not zero", field))
    }

    fn file(&mut self) -> Result<(Mode, Mtime, u64, ContentId), TextError> {
        let mode = self.mode()?;
        let mtime = self.mtime()?;
        let field = self.next("a size")?;
        let size = decimal(field).ok_or_else(|| self.lines.expected("a size", field))?;
        let content = ContentId::from_hex(self.next("a content id")?).map_err(|error| self.lines.error(error))?;
        Ok((mode, mtime, size, content))
    }

    fn group(&mut self) -> Result<NonZeroU32, TextError> {
        let field = self.next("a hard-link group")?;
        decimal(field)
            .and_then(|number| u32::try_from(number).ok())
            .and_then(NonZeroU32::new)
            .ok_or_else(|| self.lines.expected("a hard-link group, a number from 1 on", field))
    }

    fn target(&mut self) -> Result<Cow<'l, [u8]>, TextError> {
        let field = self.next("a symlink's target")?;
        unescape(field, Blank::Escaped).ok_or_else(|| self.lines.error(Wrong::Escape(shown(field))))
    }

    /// Takes the path, which is the rest of the line, and hands the entry on.
    fn give(
        self,
        mtime: Mtime,
        kind: Kind<'_>,
        take: impl FnOnce(Entry<'_>) -> Result<(), SnapshotError>,
    ) -> Result<(), TextError> {
        let bytes =
            unescape(self.rest, Blank::Plain).ok_or_else(|| self.lines.error(Wrong::Escape(shown(self.rest))))?;
        let path = TreePath::new(&bytes).map_err(|error| self.lines.error(error))?;
        take(Entry { path, mtime, kind }).map_err(|error| self.lines.error(error))
    }
}

fn octal(text: &[u8]) -> Option<Mode> {
    let leading_zero = text.len() > 1 && text.starts_with(b"0");
    if text.is_empty() || text.len() > 4 || leading_zero {
        return None;
    }
    let bits = text
        .iter()
        .try_fold(0, |bits, &byte| matches!(byte, b'0'..=b'7').then(|| (bits << 3) | u32::from(byte - b'0')))?;
    Mode::new(bits)
}

fn time(text: &[u8]) -> Option<Mtime> {
    let Some(point) = text.iter().position(|&byte| byte == b'.') else {
        return Mtime::new(signed_decimal(text)?, 0);
    };
    let (seconds, nanos) = (&text[..point], &text[point + 1..]);
    if nanos.len() != 9 || !nanos.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanos = nanos.iter().fold(0, |number, &byte| number * 10 + u32::from(byte - b'0'));
    if nanos == 0 {
        return None;
    }
    Mtime::new(signed_decimal(seconds)?, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419\
                      d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce";

    fn text(lines: &str) -> String {
        format!("{TITLE}\nrepository gentoo\n{}", lines.replace("ID", ID))
    }

    fn check(lines: &str) {
        let text = text(lines);
        match Snapshot::parse(text.as_bytes()) {
            Ok(snapshot) => assert_eq!(snapshot.to_text(), text.as_bytes()),
            Err(error) => panic!("{error} in\n{text}"),
        }
    }

    fn refuse(line: usize, lines: &str) {
        let text = text(lines);
        match Snapshot::parse(text.as_bytes()) {
            Ok(_) => panic!("accepted:\n{text}"),
            Err(error) => assert_eq!(error.line, line, "{error} in\n{text}"),
        }
    }

    #[test]
    fn every_form_of_the_format_is_read_and_written_back() {
        check("d 755 1783123201 .\n");
        check("d 0 -1.000000001 .\nd 7777 0 a\nf 4755 0.500000000 0 ID a/b\nl 5 ../o\\x20ther a b\nf 644 1 9 ID a.b\n");
        check("d 755 1 .\nh 644 1 77 ID 1 a\nh 600 1 77 ID 2 b\nh 644 1 77 ID 1 c\nh 600 1 77 ID 2 d\n");
        check("d 755 1 .\nf 644 1 9223372036854775807 ID a\nf 644 1 9223372036854775807 ID b\n");
        check("d 755 1 .\nf 644 1 1 ID  leading and trailing \n");
        check("d 755 1 .\nf 644 -9223372036854775808 1 ID \\x00\n");
    }

    #[test]
    fn a_line_that_breaks_its_form_is_refused() {
        for bad in [
            "f 0644 1 1 ID a",
            "f 8 1 1 ID a",
            "f 17777 1 1 ID a",
            "f  1 1 ID a",
            "f 100644 1 1 ID a",
            "f 644 01 1 ID a",
            "f 644 -0 1 ID a",
            "f 644 +1 1 ID a",
            "f 644 1.5 1 ID a",
            "f 644 1. 1 ID a",
            "f 644 1.000000000 1 ID a",
            "f 644 1.0000000001 1 ID a",
            "f 644 -0.000000001 1 ID a",
            "f 644 9223372036854775808 1 ID a",
            "f 644 1 01 ID a",
            "f 644 1 -1 ID a",
            "f 644 1 9223372036854775808 ID a",
            "f 644 1 99999999999999999999 ID a",
            "f 644 1 1 IDA a",
            "f 644 1 1 abc a",
            "f 644 1 1 ID ",
            "f 644 1 1 ID",
            "f 644 1 1 ID a/",
            "f 644 1 1 ID /a",
            "f 644 1 1 ID ../a",
            "f 644 1 1 ID ./a",
            "f 644 1 1 ID \\x41",
            "f 644 1 1 ID a\\",
            "f 644 1 1 ID a\x7f",
            "x 644 1 a",
            "F 644 1 1 ID a",
            " f 644 1 1 ID a",
            "",
            "d",
            "d 755",
            "d 755 1",
            "d 755 1 ",
            "l 1  a",
            "l 1 a",
            "l 1 a\\x2e b",
            "h 644 1 1 ID 0 a",
            "h 644 1 1 ID 01 a",
            "h 644 1 1 ID 4294967296 a",
            "h 644 1 1 ID 2 a",
            "h 644 1 1 ID a",
            "d 755 1 .",
            "d 755 1 a/b",
            "f 644 1 1 ID a\r/",
        ] {
            refuse(4, &format!("d 755 1 .\n{bad}\n"));
        }
        let long = "x".repeat(256);
        refuse(4, &format!("d 755 1 .\nf 644 1 1 ID {long}\n"));
        refuse(4, &format!("d 755 1 .\nl 1 {} a\n", "x".repeat(4096)));
        check(&format!("d 755 1 .\nl 1 {} {}\n", "x".repeat(4095), &long[1..]));
    }

    #[test]
    fn entries_that_do_not_fit_together_are_refused() {
        refuse(3, "");
        refuse(3, "f 644 1 1 ID a\n");
        refuse(3, "f 644 1 1 ID .\n");
        refuse(5, "d 755 1 .\nd 755 1 b\nd 755 1 a\n");
        refuse(5, "d 755 1 .\nd 755 1 b\nd 755 1 b\n");
        refuse(6, "d 755 1 .\nd 755 1 a\nd 755 1 a.b\nf 644 1 1 ID a/b\n");
        refuse(5, "d 755 1 .\nf 644 1 1 ID a\nf 644 1 1 ID a/b\n");
        refuse(5, "d 755 1 .\nd 755 1 a\nf 644 1 1 ID a/b/c\n");
        refuse(4, "d 755 1 .\nh 644 1 1 ID 1 a\n");
        refuse(5, "d 755 1 .\nh 644 1 1 ID 1 a\nh 645 1 1 ID 1 b\n");
        refuse(5, "d 755 1 .\nh 644 1 1 ID 1 a\nh 644 2 1 ID 1 b\n");
        refuse(5, "d 755 1 .\nh 644 1 1 ID 1 a\nh 644 1 2 ID 1 b\n");
        refuse(6, "d 755 1 .\nh 644 1 1 ID 1 a\nh 644 1 1 ID 1 b\nh 644 1 1 ID 2 c\n");
    }

    #[test]
    fn the_frame_of_a_text_is_exact() {
        for (line, whole) in [
            (1, ""),
            (1, "headwater snapshot 2\nrepository gentoo\nd 755 1 .\n"),
            (1, "headwater snapshot 1"),
            (2, "headwater snapshot 1\n"),
            (2, "headwater snapshot 1\nrepository \nd 755 1 .\n"),
            (2, "headwater snapshot 1\nrepository gen too\nd 755 1 .\n"),
            (2, "headwater snapshot 1\nrepo gentoo\nd 755 1 .\n"),
            (3, "headwater snapshot 1\nrepository gentoo\nd 755 1 ."),
            (3, "headwater snapshot 1\nrepository gentoo\nd 755 1 .\r\n"),
            (4, "headwater snapshot 1\nrepository gentoo\nd 755 1 .\n\n"),
        ] {
            let error = Snapshot::parse(whole.as_bytes()).expect_err(whole);
            assert_eq!(error.line, line, "{error} in {whole:?}");
        }
    }

    #[test]
    fn a_refusal_says_where_and_what() {
        let error = Snapshot::parse(text("d 755 1 .\nd 755 1 b\nd 755 1 a\n").as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "line 5: `a` stands after `b`, but belongs before it");
    }
}
