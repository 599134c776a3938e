//! What a client says after the setup: the data stream with what is still unread of it, and the filter list.
//!
//! Bytes are kept only while an item is incomplete; whatever was understood is dropped. Invariant: a parser either
//! takes a whole item or nothing, so the stream may be cut anywhere.
//! Absent on purpose: the messages' meaning, which the sender itself decides.

use super::error::WireError;
use super::filter::{MAX_LIST_BYTES, MAX_RULES};
use super::mux::{Demux, Piece, Tag};
use super::numbers::{Cursor, Short};

/// When so many understood bytes stand in front of the unread ones, the rest is moved down.
const SLACK: usize = 64 << 10;

/// The unread part of the data stream behind a demultiplexer.
#[derive(Debug, Default)]
pub(super) struct DataStream {
    demux: Demux,
    bytes: Vec<u8>,
    at: usize,
}

impl DataStream {
    /// Adds bytes as they came from the connection.
    pub(super) fn input(&mut self, bytes: &[u8]) {
        self.demux.input(bytes);
    }

    /// Moves what has arrived into the stream, up to and including the next message, which is given.
    pub(super) fn pump(&mut self) -> Result<Option<(Tag, Vec<u8>)>, WireError> {
        while let Some(piece) = self.demux.next()? {
            match piece {
                Piece::Data(data) => {
                    if self.at == self.bytes.len() || self.at > SLACK {
                        self.bytes.drain(..self.at);
                        self.at = 0;
                    }
                    self.bytes.extend_from_slice(&data);
                }
                Piece::Message(tag, payload) => return Ok(Some((tag, payload))),
            }
        }
        Ok(None)
    }

    /// What is unread.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Drops what a parser has taken off the front of [`DataStream::rest`].
    pub(super) fn advance(&mut self, count: usize) {
        self.at = self.bytes.len().min(self.at.saturating_add(count));
    }

    /// Reads one item: taken whole, or not at all where bytes are still missing.
    pub(super) fn item<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&mut Cursor<'_>) -> Result<T, Short>,
    ) -> Result<Option<T>, WireError> {
        let mut cursor = Cursor::new(self.rest());
        match read(&mut cursor) {
            Ok(item) => {
                let consumed = cursor.consumed();
                self.advance(consumed);
                Ok(Some(item))
            }
            Err(Short::More) => Ok(None),
            Err(Short::Bad(source)) => Err(WireError::Number { what, source }),
        }
    }
}

/// Longest filter rule in bytes: the limit of stock (protocol 6.1).
const RULE_MAX: usize = 5_119;

/// The filter list while it arrives (protocol 6.1).
#[derive(Debug, Default)]
pub(super) struct RuleList {
    rules: Vec<Vec<u8>>,
    bytes: usize,
}

impl RuleList {
    /// Takes rules off the stream; gives them all once the end of the list has come.
    pub(super) fn read(&mut self, stream: &mut DataStream) -> Result<Option<Vec<Vec<u8>>>, WireError> {
        while let Some(rule) = stream.item("filter list", rule)? {
            let rule = rule?;
            if rule.is_empty() {
                return Ok(Some(std::mem::take(&mut self.rules)));
            }
            self.bytes += rule.len();
            if self.rules.len() >= MAX_RULES || self.bytes > MAX_LIST_BYTES {
                return Err(WireError::RuleList("more or longer rules than are accepted"));
            }
            self.rules.push(rule);
        }
        Ok(None)
    }
}

/// One rule; the end of the list is an empty one.
fn rule(from: &mut Cursor<'_>) -> Result<Result<Vec<u8>, WireError>, Short> {
    let length = usize::try_from(from.i32()?).ok().filter(|length| *length <= RULE_MAX);
    match length {
        Some(length) => Ok(Ok(from.take(length)?.to_vec())),
        None => Ok(Err(WireError::RuleList("a rule of more than 5,119 bytes"))),
    }
}
