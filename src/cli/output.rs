//! What people read: tables, sizes, ages and times, and the two streams that they go to.
//!
//! Standard output is written here, so that a reader who went away (`| head`) ends a command quietly instead of with a panic.

use std::fmt;
use std::io::{self, Write};

use jiff::Timestamp;

use crate::control::KeptByHand;

/// Nobody reads standard output any more.
#[derive(Debug)]
pub(super) struct OutputGone;

impl fmt::Display for OutputGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write to standard output: nobody reads it")
    }
}

impl std::error::Error for OutputGone {}

/// Writes a result to standard output, whole.
///
/// # Errors
/// [`OutputGone`] if the reader went away; else what the system says.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(OutputGone.into()),
        other => Ok(other?),
    }
}

/// Writes a JSON value on a line of its own, or over several lines for a person.
///
/// # Errors
/// As [`print`].
pub(super) fn print_json(value: &serde_json::Value, lines: Lines) -> anyhow::Result<()> {
    match lines {
        Lines::One => print(&format!("{value}\n")),
        Lines::Many => print(&format!("{value:#}\n")),
    }
}

/// How a JSON value is laid out.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Lines {
    /// For a stream of values.
    One,
    /// For a single one.
    Many,
}

/// Writes what is no result to standard error. Where that fails, nobody can be told.
pub(super) fn warn(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// A size in bytes with a binary unit and one digit after the point.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // In tenths of a unit, so that no floating point is needed; 1,023.95 and more is 1.0 of the next unit.
    let mut shift = 10;
    for unit in UNITS {
        let tenths = (u128::from(bytes) * 10 + (1 << (shift - 1))) >> shift;
        if tenths < 10_240 {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        shift += 10;
    }
    format!("{bytes} B")
}

/// A number with commas.
pub(super) fn count(number: u64) -> String {
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

/// A length of time in its two largest units.
pub(super) fn age(seconds: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    if seconds < 0 {
        return "in the future".to_owned();
    }
    let mut parts = Vec::new();
    let mut rest = seconds;
    for (length, name) in UNITS {
        if rest >= length && parts.len() < 2 {
            parts.push(format!("{} {name}", rest / length));
            rest %= length;
        } else if !parts.is_empty() {
            break;
        }
    }
    match parts.is_empty() {
        true => "0 s".to_owned(),
        false => parts.join(" "),
    }
}

/// A time as people write it, in UTC.
pub(super) fn time(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => format!("{seconds} s since 1970"),
    }
}

/// A time as programs read it: RFC 3339, in UTC.
pub(super) fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// ` as NAME` of a generation that is kept by hand under a name.
pub(super) fn kept_as(kept: &KeptByHand) -> String {
    kept.name.as_ref().map(|name| format!(" as {name}")).unwrap_or_default()
}

/// Which way a column leans.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Lean {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows below a head line, each column as wide as its widest cell, two blanks between. No row: the empty text.
pub(super) fn table<const N: usize>(head: [(&str, Lean); N], rows: &[[String; N]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let titles = head.map(|(title, _)| title.to_owned());
    let lines = || std::iter::once(&titles).chain(rows);
    let wide = |column: usize| lines().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let mut text = String::new();
    for line in lines() {
        let mut shown = String::new();
        for (column, (cell, (_, lean))) in line.iter().zip(&head).enumerate() {
            let width = wide(column).unwrap_or(0);
            match lean {
                Lean::Left => shown.push_str(&format!("{cell:<width$}  ")),
                Lean::Right => shown.push_str(&format!("{cell:>width$}  ")),
            }
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_digit_after_the_point() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (1_073_741_824, "1.0 GiB"),
            (263_504_896, "251.3 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn counts_have_commas() {
        for (number, expected) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (152_331, "152,331"), (1_000_000, "1,000,000")]
        {
            assert_eq!(count(number), expected);
        }
    }

    #[test]
    fn ages_have_two_units_at_most() {
        for (seconds, expected) in [
            (-1, "in the future"),
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_599, "59 min 59 s"),
            (3_605, "1 h"),
            (90_061, "1 d 1 h"),
        ] {
            assert_eq!(age(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time(1_783_123_201), "2026-07-04 00:00:01 UTC");
        assert_eq!(rfc3339(1_783_123_201), "2026-07-04T00:00:01Z");
    }

    #[test]
    fn a_table_is_as_wide_as_its_cells_and_has_no_blanks_at_line_ends() {
        let rows = [["gentoo/full".to_owned(), "42".to_owned()], ["x/y".to_owned(), "1,000".to_owned()]];
        let text = table([("CHANNEL", Lean::Left), ("GENERATION", Lean::Right)], &rows);
        assert_eq!(text, "CHANNEL      GENERATION\ngentoo/full          42\nx/y               1,000\n");
        assert_eq!(table([("CHANNEL", Lean::Left)], &[]), "");
        let last_left = table([("A", Lean::Left)], &[["1".to_owned()], ["333".to_owned()]]);
        assert_eq!(last_left, "A\n1\n333\n");
    }
}
