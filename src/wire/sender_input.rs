//! What a client says after the setup: the data stream, with what is still unread of it.
//!
//! Bytes are kept only while an item is incomplete; whatever was understood is dropped. Invariant: a parser either
//! takes a whole item or nothing, so the stream may be cut anywhere.
//! Absent on purpose: the messages' meaning, which the sender itself decides.

use super::args::Args;
use super::error::WireError;
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
        loop {
            match self.pump_piece()? {
                Pumped::Nothing => return Ok(None),
                Pumped::Data => {}
                Pumped::Message(tag, payload) => return Ok(Some((tag, payload))),
            }
        }
    }

    /// Moves on by one piece only, and so never beyond the end of a frame.
    pub(super) fn pump_piece(&mut self) -> Result<Pumped, WireError> {
        match self.demux.next()? {
            None => Ok(Pumped::Nothing),
            Some(Piece::Message(tag, payload)) => Ok(Pumped::Message(tag, payload)),
            Some(Piece::Data(data)) => {
                if self.at == self.bytes.len() || self.at > SLACK {
                    self.bytes.drain(..self.at);
                    self.at = 0;
                }
                self.bytes.extend_from_slice(&data);
                Ok(Pumped::Data)
            }
        }
    }

    /// Reads strings that lie in the data stream.
    pub(super) fn strings(&mut self, row: &mut Args) -> Option<Vec<Vec<u8>>> {
        let mut rest = self.rest();
        let before = rest.len();
        let found = row.read(&mut rest);
        let taken = before - rest.len();
        self.advance(taken);
        found
    }

    /// Reads strings that lie between two frames, as they do at protocol 30 (protocol 7).
    pub(super) fn unframed_strings(&mut self, row: &mut Args) -> Result<Option<Vec<Vec<u8>>>, WireError> {
        if !self.rest().is_empty() {
            return Err(WireError::NamesInFrames);
        }
        self.demux.between_frames(|input| row.read(input)).ok_or(WireError::NamesInFrames)
    }

    /// Bytes of memory that what is unread takes.
    pub(super) fn memory(&self) -> usize {
        self.rest().len() + self.demux.waiting()
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

/// What [`DataStream::pump_piece`] found.
#[derive(Debug)]
pub(super) enum Pumped {
    Nothing,
    /// There is more of the stream.
    Data,
    Message(Tag, Vec<u8>),
}
