//! What can go wrong in a conversation, as seen from the side that found out.
//!
//! The parsers have errors of their own; [`WireError`] gathers them and adds what only the conversation as a whole can
//! see: an index that no entry has, a step out of order, an early end. Every variant is the peer's doing; a failure
//! of ours is told to the sender by its driver and never comes back as one of these.
//! Absent on purpose: texts that a client is shown in the text phase; they are `@ERROR` lines and stand where they
//! are made.

use thiserror::Error;

use super::{
    args::ArgsError, filter::FilterError, greeting::GreetingError, greeting::LineError, mux::MuxError,
    numbers::NumberError, setup::SetupError, sums::SumError, tokens::TokenError,
};

/// Why a conversation cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// A line of the text phase that is too long or holds a zero byte; nothing is answered (protocol 2).
    #[error("reading a line: {0}")]
    Line(#[from] LineError),
    /// A greeting that no session can begin with; the text is the line that the client got.
    #[error("{0}")]
    Greeting(#[from] GreetingError),
    /// A command of the text phase that nobody knows, or early input of an impossible length (protocol 2.3).
    #[error("request line that asks for nothing known: {0}")]
    Request(String),
    /// A client that shares no password digest with us, or none as strong as the module wants; it was told so
    /// (protocol 2.5).
    #[error("no password digest in common with the client that is strong enough")]
    NoDigest,
    /// An argument that is unknown or refused, or too many of them; the client was told so (protocol 2.12).
    #[error("arguments refused: {text}")]
    Refused {
        /// The exit code that the client got.
        code: i32,
        /// The text that the client got, without its line end.
        text: String,
    },
    /// The name lists of the binary setup (protocol 3).
    #[error("binary setup: {0}")]
    Setup(#[from] SetupError),
    /// Frames that break the rules of the multiplex (protocol 5).
    #[error("multiplex: {0}")]
    Mux(#[from] MuxError),
    /// A filter list that passes a bound, or holds a rule of no bytes (protocol 6.1).
    #[error("filter list: {0}")]
    RuleList(String),
    /// The names of `--files-from` passed a bound (protocol 7).
    #[error("too many names of files: {0}")]
    Names(ArgsError),
    /// What the client sends is more than may be kept of all clients' (`Sender::keep_within`).
    #[error("the server keeps as much of what clients send as it may -- try again later")]
    NoRoom,
    /// Data where a client of protocol 30 has to send file names outside the frames (protocol 7).
    #[error("data behind the filter list, where file names are due")]
    NamesInFrames,
    /// A filter rule that cannot be read (protocol 6.1).
    #[error("{0}")]
    Filter(#[from] FilterError),
    /// A number in a request that cannot be read.
    #[error("reading {what}: {source}")]
    Number {
        /// Which part of the request.
        what: &'static str,
        /// What is wrong with it.
        source: NumberError,
    },
    /// A request for an index that no entry has (protocol 9.1).
    #[error("request for file index {ndx} in a list of {entries} entries")]
    Index {
        /// The index.
        ndx: i32,
        /// How many entries the list has.
        entries: u32,
    },
    /// A request after the phases in which it is legal (protocol 10.1).
    #[error("request for file index {ndx} after the phase in which it would be legal")]
    Late {
        /// The index.
        ndx: i32,
    },
    /// A header of block sums that breaks a bound (protocol 9.2).
    #[error("block sums for file index {ndx}: {source}")]
    Sums {
        /// The index.
        ndx: i32,
        /// What is wrong with them.
        source: SumError,
    },
    /// Deletion statistics at protocol 30, or numbers in them that no deletion can have (protocol 10.4).
    #[error("deletion statistics that are out of place or out of range")]
    DeletionStatistics,
    /// The compressor gave up, for want of memory.
    #[error("{0}")]
    Tokens(#[from] TokenError),
    /// The stream ended before the goodbye (protocol 10.6).
    #[error("connection closed by the client while {during}")]
    Ended {
        /// What was going on.
        during: &'static str,
    },
}

impl WireError {
    /// The exit code that this error gives a client which is still listening (protocol 12.1).
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::Line(_) | Self::Greeting(_) | Self::Request(_) | Self::NoDigest => 5,
            Self::Refused { code, .. } => *code,
            Self::Setup(_) => 4,
            Self::Filter(error) => i32::from(error.exit_code()),
            Self::RuleList(_) | Self::Names(_) => 1,
            Self::Number { .. }
            | Self::Index { .. }
            | Self::Late { .. }
            | Self::Sums { .. }
            | Self::DeletionStatistics => 2,
            Self::Mux(_) | Self::NamesInFrames | Self::Ended { .. } => 12,
            Self::Tokens(_) | Self::NoRoom => 22,
        }
    }
}
