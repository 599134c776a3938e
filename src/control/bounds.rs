//! The bounds of what a command and a node tell each other, and the checks that hold them.
//!
//! Outward nothing fails: lists and texts are cut to the bounds, so that a node with ten thousand warnings can still report. Inward
//! everything is checked, and an error names the field. The same constants serve both directions, so what we send we also take.

use std::str::FromStr;

use thiserror::Error;

use crate::names::{Generation, NameError};
use crate::tree::SnapshotId;

/// Channels, modules and addresses of one node: more than any fleet has, and small enough to list.
pub(super) const MOST_LINES: usize = 1_024;
/// Generations in one answer: the store keeps at most some tens, whatever an operator sets.
pub(super) const MOST_GENERATIONS: usize = 4_096;
/// Packages, and directories, in one diff: many times those of any tree; some 50 MB for who collects them.
pub(super) const MOST_GROUPS: usize = 250_000;
/// Ebuilds of one package that a diff names: three lists of the longest names fit into an answer.
pub(super) const MOST_NAMES: usize = 1_024;
/// Bad contents in one report: a disk with more of them is named by its first ones.
pub(super) const MOST_BAD: usize = 100_000;
/// Warnings in one answer: nobody reads more.
pub(super) const MOST_WARNINGS: usize = 100;
/// Bytes of a sentence. A refusal's three travel base64-coded in a header of at most 16 KiB.
pub(super) const MOST_TEXT: usize = 2_000;
/// Bytes of a path: PATH_MAX without its NUL.
pub(super) const MOST_PATH: usize = 4_095;
/// The last second of the year 9999; what lies beyond is no time but damage.
const LAST_SECOND: i64 = 253_402_300_799;

/// A value that came over the socket and is not taken.
#[derive(Debug, Error)]
pub enum ValueError {
    /// A part is missing.
    #[error("{field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A name breaks its rule.
    #[error("{field}")]
    Name {
        /// The field.
        field: &'static str,
        /// The rule.
        source: NameError,
    },
    /// A list is longer than its bound.
    #[error("{field} holds {count} values, at most {most} are taken")]
    TooMany {
        /// The field.
        field: &'static str,
        /// How many there are.
        count: usize,
        /// The bound.
        most: usize,
    },
    /// A text is longer than its bound.
    #[error("{field} is {length} bytes long, at most {most} are taken")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The bound.
        most: usize,
    },
    /// A value is outside what it can mean.
    #[error("{field} is {value}, which it cannot be")]
    Outside {
        /// The field.
        field: &'static str,
        /// The value as text.
        value: String,
    },
}

/// An error about a value that means nothing.
pub(super) fn outside(field: &'static str, value: impl ToString) -> ValueError {
    let value = value.to_string();
    ValueError::Outside { field, value }
}

/// A name, checked by its own rule.
pub(super) fn word<T: FromStr<Err = NameError>>(field: &'static str, text: &str) -> Result<T, ValueError> {
    text.parse().map_err(|source| ValueError::Name { field, source })
}

/// A part that must be there.
pub(super) fn part<T>(field: &'static str, value: Option<T>) -> Result<T, ValueError> {
    value.ok_or(ValueError::Missing { field })
}

/// A text within [`MOST_TEXT`].
pub(super) fn text(field: &'static str, value: String) -> Result<String, ValueError> {
    let length = value.len();
    if length > MOST_TEXT {
        let most = MOST_TEXT;
        return Err(ValueError::TooLong { field, length, most });
    }
    Ok(value)
}

/// Seconds since 1970, within the years that a date can show.
pub(super) fn time(field: &'static str, seconds: i64) -> Result<i64, ValueError> {
    match (0..=LAST_SECOND).contains(&seconds) {
        true => Ok(seconds),
        false => Err(outside(field, seconds)),
    }
}

/// A generation, counted from 1.
pub(super) fn number(field: &'static str, value: u64) -> Result<Generation, ValueError> {
    Generation::new(value).ok_or_else(|| outside(field, value))
}

/// A snapshot id of 64 bytes.
pub(super) fn snapshot(field: &'static str, value: &[u8]) -> Result<SnapshotId, ValueError> {
    let found = value.len();
    let bytes = <[u8; 64]>::try_from(value).map_err(|_| outside(field, format_args!("{found} bytes long")))?;
    Ok(SnapshotId::from_bytes(bytes))
}

/// A list of at most `most` values, each converted.
pub(super) fn list<T, U>(
    field: &'static str,
    values: Vec<T>,
    most: usize,
    convert: impl FnMut(T) -> Result<U, ValueError>,
) -> Result<Vec<U>, ValueError> {
    let count = values.len();
    if count > most {
        return Err(ValueError::TooMany { field, count, most });
    }
    values.into_iter().map(convert).collect()
}

/// Cuts a text that we send to what the other side takes, at a character's edge.
pub(super) fn cut(value: &str) -> String {
    let mut end = value.len().min(MOST_TEXT);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    value.get(..end).unwrap_or_default().to_owned()
}

/// The first `most` values, converted: what the other side takes.
pub(super) fn send<'a, T: 'a, U>(values: &'a [T], most: usize, convert: impl FnMut(&'a T) -> U) -> Vec<U> {
    values.iter().take(most).map(convert).collect()
}

/// Sentences as they are sent.
pub(super) fn texts(values: &[String]) -> Vec<String> {
    send(values, MOST_WARNINGS, |value| cut(value))
}
