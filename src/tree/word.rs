//! A word in a signed text: the name of a repository, a channel, a node or a file.
//!
//! It has no blank, no line feed and no byte that needs an escape, so it stands in a line as it is. The rule is wider
//! than each of the names' own (those live above): whoever takes a word out of a text asks it to be such a name.
//! Deliberately absent: what the word names.

use std::fmt;
use std::str::FromStr;

use super::error::WordError;

/// Longest word, in bytes.
pub const MAX_WORD_BYTES: usize = 255;

/// Letters, digits, `.`, `_`, `/` and `-`, starting with a letter, a digit or `_`; one to 255 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(Box<str>);

impl Word {
    /// Checks the rule.
    pub fn new(text: &str) -> Result<Self, WordError> {
        let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let goes_on_well =
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-'));
        if starts_well && goes_on_well && text.len() <= MAX_WORD_BYTES {
            Ok(Self(text.into()))
        } else {
            Err(WordError::word(text.as_bytes()))
        }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, WordError> {
        std::str::from_utf8(bytes).map_err(|_| WordError::word(bytes)).and_then(Self::new)
    }

    /// The word as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Word {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        Self::new(text)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_needs_no_escape() {
        for good in ["gentoo", "gentoo/full", "_x", "gw.example-1", "0", &"x".repeat(255)] {
            assert_eq!(Word::new(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "-x", "/x", "a b", "a\n", "a\\", "é", "a@1", &"x".repeat(256)] {
            assert!(Word::new(bad).is_err(), "{bad:?}");
        }
    }
}
