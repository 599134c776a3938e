//! What can be wrong with a path, a word, a digest, a snapshot and a text.
//!
//! The parsers' inputs come from other nodes and from disks that may lie, so each error says which rule was broken
//! and where, in words that an admin can search the text for. What is quoted is escaped and shortened first.
//! Deliberately absent: I/O errors; nothing in this folder reads or writes.

use super::escape::shown;

/// Why bytes are no [`TreePath`](super::TreePath).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathError {
    /// No bytes at all.
    #[error("a path is empty; the root is written `.`")]
    Empty,
    /// More than [`MAX_PATH_BYTES`](super::MAX_PATH_BYTES).
    #[error("the path {0} has more than 4095 bytes")]
    TooLong(String),
    /// One name in it has more than [`MAX_COMPONENT_BYTES`](super::MAX_COMPONENT_BYTES).
    #[error("a component of the path {0} has more than 255 bytes")]
    ComponentTooLong(String),
    /// It starts or ends with `/` or has two in a row.
    #[error("the path {0} has an empty component")]
    EmptyComponent(String),
    /// It has a component `.` or `..`.
    #[error("the path {0} has a component `.` or `..`")]
    Dots(String),
}

/// Why a text is no [`Word`](super::Word) and no [`Reason`](super::Reason).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WordError {
    /// It breaks the rule for words.
    #[error(
        "{0} is no word: letters, digits, `.`, `_`, `/` and `-`, starting with a letter, digit or `_`, at most 255 bytes"
    )]
    Word(String),
    /// It breaks the rule for a line of text.
    #[error("{0} is no line of text: 1 to 255 bytes of UTF-8, no control characters, no blank at either end")]
    Line(String),
}

impl WordError {
    pub(super) fn word(text: &[u8]) -> Self {
        Self::Word(shown(text))
    }

    pub(super) fn line(text: &[u8]) -> Self {
        Self::Line(shown(text))
    }
}

/// Why a text is no digest, key or signature.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{found} is no {kind}: it takes {digits} lower-case hex digits")]
pub struct HexError {
    /// What it was to be.
    pub kind: &'static str,
    /// How many hex digits it takes.
    pub digits: usize,
    /// What was found, escaped and shortened.
    pub found: String,
}

/// Why an entry cannot join a snapshot, or a snapshot cannot be finished. Paths are escaped and shortened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The first entry is not the directory `.`, or there is none.
    #[error("a snapshot starts with its root, the directory `.`")]
    NoRoot,
    /// The same path twice.
    #[error("{0} is listed twice")]
    Twice(String),
    /// An entry that belongs before its predecessor.
    #[error("{path} stands after {after}, but belongs before it")]
    OutOfOrder {
        /// The entry.
        path: String,
        /// Its predecessor.
        after: String,
    },
    /// The directory that holds the entry is not listed as a directory.
    #[error("{0} is listed, but the directory that holds it is not")]
    NoParent(String),
    /// A symlink that points to nothing at all.
    #[error("the symlink {0} has an empty target")]
    EmptyTarget(String),
    /// A symlink's target of more than 4,095 bytes.
    #[error("the target of the symlink {0} has more than 4095 bytes")]
    LongTarget(String),
    /// A file of more than [`MAX_FILE_BYTES`](super::MAX_FILE_BYTES).
    #[error("the file {0} is larger than 2^63 - 1 bytes")]
    LargeFile(String),
    /// A hard-link group that is not numbered by first appearance.
    #[error("{path} is in hard-link group {found}, but the next new group is {next}")]
    GroupNumber {
        /// The entry.
        path: String,
        /// Its group.
        found: u32,
        /// The number that a new group would have here.
        next: u32,
    },
    /// Two names of one file that differ in mode, time, size or content.
    #[error("{path} is hard-linked with {first}, but differs in mode, time, size or content")]
    GroupDiffers {
        /// The entry.
        path: String,
        /// The first member of its group.
        first: String,
    },
    /// A hard-link group with one member.
    #[error("{path} is the only member of hard-link group {group}; a group has at least two")]
    LoneMember {
        /// The entry.
        path: String,
        /// Its group.
        group: u32,
    },
    /// More than [`MAX_ENTRIES`](super::MAX_ENTRIES).
    #[error("a snapshot has at most 8000000 entries")]
    TooManyEntries,
    /// More than [`MAX_TEXT_BYTES`](super::MAX_TEXT_BYTES).
    #[error("the text of a snapshot has at most 2 GiB")]
    TooMuchText,
}

/// What is wrong in a line of a canonical text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Wrong {
    /// The text ends where a line is due, or its last line has no line feed.
    #[error("the text ends too early")]
    Ends,
    /// There is more where the text should end.
    #[error("there is more after the end")]
    More,
    /// The text is longer than its kind may be.
    #[error("the text has more than {0} bytes")]
    TooLong(usize),
    /// Something else stands where `expected` is due.
    #[error("{expected} expected, found {found}")]
    Expected {
        /// What is due, in words.
        expected: &'static str,
        /// What stands there, escaped and shortened.
        found: String,
    },
    /// An escape that is not needed, is malformed, or a byte that should be escaped.
    #[error("{0} is not escaped as it must be")]
    Escape(String),
    /// A number out of its bounds.
    #[error("{what} is {found}, outside of {least} to {most}")]
    Bounds {
        /// What it counts.
        what: &'static str,
        /// The number.
        found: u64,
        /// The smallest that is allowed.
        least: u64,
        /// The largest that is allowed.
        most: u64,
    },
    /// A path breaks its rule.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A word breaks its rule.
    #[error(transparent)]
    Word(#[from] WordError),
    /// A digest, key or signature breaks its form.
    #[error(transparent)]
    Hex(#[from] HexError),
    /// The entries do not make a snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A delta removes, or adds, what its base does not allow.
    #[error("the delta does not fit its base at {0}")]
    Misfit(String),
    /// A delta that was made for another base, or makes another result than it names.
    #[error("the {what} is {found}, but {expected} is due")]
    OtherId {
        /// "base" or "result".
        what: &'static str,
        /// The first digits of the id that was found.
        found: String,
        /// The first digits of the id that is due.
        expected: String,
    },
    /// Names that are not in ascending order, or stand twice.
    #[error("{0} stands twice, or after a name that it belongs before")]
    NameOrder(String),
}

/// Why a text was refused: the line, counted from 1, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {wrong}")]
pub struct TextError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub wrong: Wrong,
}
