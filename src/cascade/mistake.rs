//! A mistake in a topology: where it stands, what is wrong, and what was probably meant.
//!
//! Deliberately absent: the file's name; who read the file puts it in front.

use std::fmt;

/// Most mistakes that are collected; a file with more is no topology, and nobody reads on.
pub const MAX_MISTAKES: usize = 200;

/// Longest text that is compared with others to guess what was meant, in bytes.
const MAX_GUESS_BYTES: usize = 160;

/// Something in a topology that cannot be meant. Sorts by place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mistake {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The key with its sections, as in `module[2].channel` (sections of one name are counted from 1); empty where
    /// the text is no TOML at all.
    pub key: String,
    /// What is wrong, and what to write.
    pub text: String,
    /// The nearest text that would be right.
    pub hint: Option<String>,
}

/// `LINE:COLUMN, KEY: TEXT; did you mean HINT?`, to be put behind a file's name and a colon.
impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, ", {}", self.key)?;
        }
        write!(f, ": {}", self.text)?;
        match &self.hint {
            Some(hint) => write!(f, "; did you mean `{hint}`?"),
            None => Ok(()),
        }
    }
}

/// The candidate that `found` was probably meant to be: one that takes few changes for its length.
pub(super) fn nearest<'c>(found: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    if found.len() > MAX_GUESS_BYTES {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(found, candidate), candidate))
        .filter(|(changes, candidate)| *changes <= (found.len().max(candidate.len()) / 3).max(1))
        .min_by_key(|(changes, _)| *changes)
        .map(|(_, candidate)| candidate.to_owned())
}
