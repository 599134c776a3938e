//! The form of a line in the transfer log: rsyncd's `log format` with its escapes, or JSON.
//!
//! A format is read once and checked then; what no sender can say is a mistake and not a blank. Rendering is pure: the
//! time comes from whoever writes the log. Names are shown with control characters escaped, so a file's name never ends a
//! line. Deliberately absent: names of hosts, since no client is looked up, so `%h` is the address, as `%a` is.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::module_log::TransferLine;
use super::view::shown;

/// rsyncd's own format, without the time and process id that it puts in front of every line of a log file.
pub const DEFAULT_FORMAT: &str = "%o %h [%a] %m (%u) %f %l";

/// The word that asks for one JSON object a line.
const JSON: &str = "json";

/// Widest field; rsyncd's users line up columns, and nobody has wider ones.
const MAX_WIDTH: usize = 255;

/// Longest format in bytes.
const MAX_FORMAT: usize = 4_096;

/// A time as rsyncd writes it.
const FRONT: &str = "%Y/%m/%d %H:%M:%S";

/// A time as machines read it.
const ISO: &str = "%Y-%m-%dT%H:%M:%SZ";

/// Every escape that a sender can fill in.
const ESCAPES: &str = "abBcCfGhilLmMnopPtuU";

/// How a line looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text with escapes filled in; date, time and connection in front, as in rsyncd's log file.
    Text(TextFormat),
    /// One JSON object a line.
    Json,
}

/// A text with places for values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFormat(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Field(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    escape: char,
    width: usize,
    align: Align,
    digits: Digits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Right,
    Left,
}

/// How numbers are written: one more apostrophe, one more step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digits {
    Plain,
    Grouped,
    Units(u64),
}

/// Why a text is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogFormatError {
    /// A percent sign with something after it that is no escape.
    #[error(
        "{0:?} is no escape of a transfer log: there are %a %b %B %c %C %f %G %h %i %l %L %m %M %n %o %p %P %t %u %U and %%"
    )]
    Unknown(String),
    /// A percent sign at the end.
    #[error("the format ends in the middle of {0:?}; a percent sign itself is written %%")]
    CutOff(String),
    /// A field wider than 255 characters.
    #[error("{0:?} is wider than {most}", most = MAX_WIDTH)]
    TooWide(String),
    /// A text longer than 4,096 bytes.
    #[error("the format is longer than {most} bytes", most = MAX_FORMAT)]
    TooLong,
    /// A line end or another control character.
    #[error("the format holds a control character: a line of the log is one line")]
    Control,
}

impl Default for LogFormat {
    fn default() -> LogFormat {
        LogFormat::parse(DEFAULT_FORMAT).unwrap_or(LogFormat::Json)
    }
}

impl LogFormat {
    /// Reads a format: escapes with an optional width (`%-50n %8l %07p`) and apostrophes for readable numbers (`%'l`), or
    /// the word `json`.
    ///
    /// # Errors
    /// The first thing that cannot be meant.
    pub fn parse(text: &str) -> Result<LogFormat, LogFormatError> {
        if text == JSON {
            return Ok(LogFormat::Json);
        }
        if text.len() > MAX_FORMAT {
            return Err(LogFormatError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(LogFormatError::Control);
        }
        let (mut pieces, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let start = rest.find('%').unwrap_or(rest.len());
            let (literal, field) = rest.split_at(start);
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            rest = field;
            if !field.is_empty() {
                let (piece, after) = escape(field)?;
                pieces.push(piece);
                rest = after;
            }
        }
        Ok(LogFormat::Text(TextFormat(pieces)))
    }

    /// The line for one file that was sent at `time`, in seconds since 1970, without its end.
    pub fn render(&self, line: &TransferLine, time: i64) -> String {
        match self {
            LogFormat::Json => json(line, time),
            LogFormat::Text(TextFormat(pieces)) => {
                let mut text = format!("{} [{}] ", stamp(time, FRONT), line.connection);
                for piece in pieces {
                    match piece {
                        Piece::Literal(literal) => text.push_str(literal),
                        Piece::Field(field) => field.put(line, time, &mut text),
                    }
                }
                text
            }
        }
    }
}

/// The line that says how many others are missing, in the form of those around it.
pub fn lost_line(form: &LogFormat, lost: u64, time: i64) -> String {
    let why = "the disk was too slow for them";
    match form {
        LogFormat::Json => {
            serde_json::json!({ "time": stamp(time, ISO), "operation": "lost", "lines": lost, "why": why }).to_string()
        }
        LogFormat::Text(_) => format!("{} [0] {lost} lines of this log were lost: {why}", stamp(time, FRONT)),
    }
}

/// Takes one escape off the front of `text`, which starts with its percent sign.
fn escape(text: &str) -> Result<(Piece, &str), LogFormatError> {
    let inner = text.get(1..).unwrap_or_default();
    if let Some(rest) = inner.strip_prefix('%') {
        return Ok((Piece::Literal("%".to_owned()), rest));
    }
    let after_quotes = inner.trim_start_matches('\'');
    let quotes = inner.len() - after_quotes.len();
    let after_minus = after_quotes.strip_prefix('-');
    let number = after_minus.unwrap_or(after_quotes);
    let rest = number.trim_start_matches(|c: char| c.is_ascii_digit());
    let width = number.get(..number.len() - rest.len()).unwrap_or_default();
    let mut letters = rest.chars();
    let letter = letters.next();
    let whole = || {
        let end = text.len() - letters.as_str().len();
        text.get(..end).unwrap_or(text).to_owned()
    };
    let Some(escape) = letter else { return Err(LogFormatError::CutOff(whole())) };
    if !ESCAPES.contains(escape) {
        return Err(LogFormatError::Unknown(whole()));
    }
    // A width that starts with a zero fills with blanks all the same, as rsyncd does.
    let align = if after_minus.is_some() { Align::Left } else { Align::Right };
    let columns = if width.is_empty() { Ok(0) } else { width.parse::<usize>() };
    let columns = columns.ok().filter(|width| *width <= MAX_WIDTH).ok_or_else(|| LogFormatError::TooWide(whole()))?;
    let digits = match quotes {
        0 => Digits::Plain,
        1 => Digits::Grouped,
        2 => Digits::Units(1000),
        _ => Digits::Units(1024),
    };
    let rest = letters.as_str();
    Ok((Piece::Field(Field { escape, width: columns, align, digits }), rest))
}

impl Field {
    fn put(self, line: &TransferLine, time: i64, text: &mut String) {
        let value = self.value(line, time);
        let missing = self.width.saturating_sub(value.chars().count());
        let blanks = " ".repeat(missing);
        match self.align {
            Align::Right => text.extend([blanks, value]),
            Align::Left => text.extend([value, blanks]),
        }
    }

    fn value(self, line: &TransferLine, time: i64) -> String {
        match self.escape {
            'a' | 'h' => line.client.ip().to_canonical().to_string(),
            'b' => self.number(line.wire_bytes),
            'B' => permissions(line.mode),
            'c' => self.number(line.sum_bytes),
            'C' => line.checksum.map_or_else(String::new, hex),
            'f' | 'n' => shown(&line.path),
            'G' => self.number(u64::from(line.gid)),
            'i' => itemized(line),
            'l' => self.number(line.size),
            // Only regular files are sent, and links are made by the client.
            'L' => String::new(),
            'm' => line.module.clone(),
            'M' => stamp(line.mtime, "%Y/%m/%d-%H:%M:%S"),
            'o' => "send".to_owned(),
            'p' => self.number(line.connection),
            'P' => format!("/{}", shown(&line.root)),
            't' => stamp(time, FRONT),
            'u' => shown(&line.user),
            'U' => self.number(u64::from(line.uid)),
            _ => String::new(),
        }
    }

    fn number(self, number: u64) -> String {
        match self.digits {
            Digits::Plain => number.to_string(),
            Digits::Grouped => grouped(number),
            Digits::Units(unit) => in_units(number, unit),
        }
    }
}

/// `1,234,567`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.23M`: two decimals, as rsync writes them.
fn in_units(number: u64, unit: u64) -> String {
    let (mut scale, mut letter) = (1_u128, None);
    for next in ['K', 'M', 'G', 'T', 'P'] {
        if u128::from(number) < scale * u128::from(unit) {
            break;
        }
        scale *= u128::from(unit);
        letter = Some(next);
    }
    let Some(letter) = letter else { return number.to_string() };
    let hundredths = (u128::from(number) * 100 + scale / 2) / scale;
    format!("{}.{:02}{letter}", hundredths / 100, hundredths % 100)
}

/// `rw-r--r--`, with the letters of set-id and sticky bits.
fn permissions(mode: u32) -> String {
    let special = [(0o4000, 's'), (0o2000, 's'), (0o1000, 't')];
    let mut text = String::with_capacity(9);
    for (triple, (bit, letter)) in [6, 3, 0].into_iter().zip(special) {
        let bits = mode >> triple;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & bit != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
        });
    }
    text
}

/// What the client says of its copy, as `--itemize-changes` writes it: `<f.st......`.
fn itemized(line: &TransferLine) -> String {
    const NEW: u16 = 0x2000;
    let flags = line.item_flags;
    if flags & NEW != 0 {
        return "<f+++++++++".to_owned();
    }
    let letters = [
        (0x02, 'c'),
        (0x04, 's'),
        // A client that keeps no times gets the time of the transfer.
        (0x08, if line.keeps_times { 't' } else { 'T' }),
        (0x10, 'p'),
        (0x20, 'o'),
        (0x40, 'g'),
        (0x01, 'u'),
        (0x80, 'a'),
        (0x100, 'x'),
    ];
    let mut text = "<f".to_owned();
    text.extend(letters.map(|(bit, letter)| if flags & bit != 0 { letter } else { '.' }));
    text
}

/// A sum as people write it, which is the other way round than on the wire.
fn hex(bytes: [u8; 16]) -> String {
    bytes.iter().rev().fold(String::new(), |mut text, byte| {
        // A string takes whatever is written.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn stamp(time: i64, form: &str) -> String {
    Timestamp::from_second(time).unwrap_or_default().to_zoned(TimeZone::UTC).strftime(form).to_string()
}

fn json(line: &TransferLine, time: i64) -> String {
    serde_json::json!({
        "time": stamp(time, ISO),
        "connection": line.connection,
        "operation": "send",
        "address": line.client.ip().to_canonical().to_string(),
        "module": line.module,
        "user": shown(&line.user),
        "path": shown(&line.path),
        "size": line.size,
        "bytes": line.wire_bytes,
        "mtime": line.mtime,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> TransferLine {
        TransferLine {
            connection: 7,
            client: "[::ffff:192.0.2.1]:4000".parse().expect("an address"),
            module: "gentoo-portage".to_owned(),
            root: b"profiles".to_vec(),
            user: b"alice".to_vec(),
            path: b"a\nb/c".to_vec(),
            size: 1_234_567,
            wire_bytes: 999,
            mode: 0o4644,
            mtime: 1_700_000_000,
            uid: 250,
            checksum: Some(*b"0123456789abcdef"),
            item_flags: 0x800c,
            keeps_times: true,
            ..TransferLine::example()
        }
    }

    fn check(format: &str, expected: &str) {
        let text = LogFormat::parse(format).expect("a format").render(&line(), 1_767_225_600);
        assert_eq!(text.strip_prefix("2026/01/01 00:00:00 [7] "), Some(expected), "{format}");
    }

    #[test]
    fn the_default_is_that_of_rsyncd() {
        let text = LogFormat::default().render(&line(), 1_767_225_600);
        assert_eq!(text, "2026/01/01 00:00:00 [7] send 192.0.2.1 [192.0.2.1] gentoo-portage (alice) a\\nb/c 1234567");
    }

    #[test]
    fn every_escape_has_its_value() {
        check("%t %a %m %f %b", "2026/01/01 00:00:00 192.0.2.1 gentoo-portage a\\nb/c 999");
        check("%h %u %o %p %P %l %n", "192.0.2.1 alice send 7 /profiles 1234567 a\\nb/c");
        check("%U %G %M %B [%L] %c", "250 0 2023/11/14-22:13:20 rwSr--r-- [] 0");
        check("%i %C", "<f.st...... 66656463626139383736353433323130");
        check("100%% %%m", "100% %m");
    }

    #[test]
    fn a_client_that_keeps_no_times_is_itemized_so() {
        let line = TransferLine { keeps_times: false, ..line() };
        let text = LogFormat::parse("%i").expect("a format").render(&line, 0);
        assert!(text.ends_with(" <f.sT......"), "{text}");
    }

    #[test]
    fn fields_have_widths_and_numbers_can_be_made_readable() {
        check("[%5u] [%-7u] [%3u]", "[alice] [alice  ] [alice]");
        check("[%10l] [%-10l] [%010l]", "[   1234567] [1234567   ] [   1234567]");
        check("%'l %''l %'''l %''b", "1,234,567 1.23M 1.18M 999");
        check("[%''-8l] [%''10l]", "[1.23M   ] [     1.23M]");
    }

    #[test]
    fn what_no_sender_can_say_is_a_mistake_with_a_name() {
        let mistake = |text: &str| LogFormat::parse(text).expect_err("a mistake").to_string();
        assert!(mistake("%o %z").starts_with("\"%z\" is no escape"), "{}", mistake("%o %z"));
        assert!(mistake("%-5!").starts_with("\"%-5!\" is no escape"));
        assert!(mistake("%o %").starts_with("the format ends in the middle of \"%\""));
        assert!(mistake("%-'8l").starts_with("\"%-'\" is no escape"), "apostrophes come first");
        assert!(mistake("%12").starts_with("the format ends in the middle of \"%12\""));
        assert!(mistake("%999999l").starts_with("\"%999999l\" is wider"));
        assert!(mistake("a\nb").contains("control character"));
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = LogFormat::parse("json").expect("a format").render(&line(), 1_767_225_600);
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["time"], "2026-01-01T00:00:00Z");
        assert_eq!(
            (&value["path"], &value["size"], &value["bytes"]),
            (&"a\\nb/c".into(), &1_234_567.into(), &999.into())
        );
        assert_eq!(
            (&value["user"], &value["address"], &value["connection"]),
            (&"alice".into(), &"192.0.2.1".into(), &7.into())
        );
        assert!(!text.contains('\n'));
    }
}
