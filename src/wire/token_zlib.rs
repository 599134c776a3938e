//! Raw deflate as zlib and zlibx use it: a new stream for each file, cut at block tokens (protocol 9.7.1 to 9.7.3).
//!
//! With zlib, matched blocks enter the history of both sides. Only the last 32 KiB of a history can be referred to, so
//! the writing side keeps what was matched since the last literal, at most that much is worth keeping, and compresses
//! it into the void when the next literal comes: a file that ends in matches costs nothing.
//! Invariant: what [`Deflater::flush`] leaves never ends in the sync marker, since the receiver supplies it.
//! Absent on purpose: zlib headers, checksums and final blocks, which the protocol does not have.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::greeting::Protocol;
use super::tokens::TokenError;

/// What a sync flush ends in; cut by the sender, supplied by the receiver (protocol 9.7.1).
pub(super) const SYNC_MARKER: [u8; 4] = [0, 0, 0xff, 0xff];

/// Farthest that deflate can refer back, in bytes.
const WINDOW: usize = 1 << 15;

/// Longest piece of a matched block that enters the history at once: the longest stored block (protocol 9.7.3).
const HISTORY_PIECE: usize = 0xffff;

/// Room for output that is made before each call of the compressor, in bytes.
const ROOM: usize = 1 << 14;

/// What becomes of matched blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum History {
    /// zlibx: they leave no trace.
    LiteralsOnly,
    /// zlib from protocol 31 on: their content enters.
    Blocks,
    /// zlib at protocol 30: of a long block, every piece is taken from its start.
    BlockStarts,
}

impl History {
    /// What zlib does at this protocol (protocol 9.7.3).
    pub(super) fn of_zlib(protocol: Protocol) -> Self {
        if protocol == Protocol::V30 { Self::BlockStarts } else { Self::Blocks }
    }

    /// The pieces of a matched block in the order in which they enter the history.
    fn pieces(self, content: &[u8]) -> impl Iterator<Item = &[u8]> {
        let content = if self == Self::LiteralsOnly { &[] } else { content };
        content.chunks(HISTORY_PIECE).map(move |piece| match self {
            Self::BlockStarts => content.get(..piece.len()).unwrap_or(piece),
            Self::Blocks | Self::LiteralsOnly => piece,
        })
    }
}

/// The compressing side.
#[derive(Debug)]
pub(super) struct Deflater {
    state: Option<Compress>,
    level: Compression,
    history: History,
    matched: Vec<u8>,
    used: bool,
}

impl Deflater {
    /// Level 1 to 9, others are clamped; 6 without one. Memory is taken at the first literal.
    pub(super) fn new(level: Option<i32>, history: History) -> Self {
        let level = level.filter(|level| *level >= 0).map_or(6, |level| level.clamp(1, 9));
        let level = Compression::new(u32::try_from(level).unwrap_or(6));
        Self { state: None, level, history, matched: Vec::new(), used: false }
    }

    /// Forgets everything: the next file starts.
    pub(super) fn start_file(&mut self) {
        self.matched.clear();
        if let Some(state) = self.state.as_mut().filter(|_| self.used) {
            state.reset();
        }
        self.used = false;
    }

    /// Takes note of a matched block.
    pub(super) fn matched(&mut self, content: &[u8]) {
        for piece in self.history.pieces(content) {
            self.matched.extend_from_slice(piece);
            if let Some(excess) = self.matched.len().checked_sub(2 * WINDOW) {
                self.matched.drain(..WINDOW + excess);
            }
        }
    }

    /// Compresses literal data to the end of `packed`; some of it may stay inside until the next [`Self::flush`].
    pub(super) fn pack(&mut self, data: &[u8], packed: &mut Vec<u8>) -> Result<(), TokenError> {
        let state = self.state.get_or_insert_with(|| Compress::new(self.level, false));
        self.used = true;
        if !self.matched.is_empty() {
            let before = packed.len();
            let tail = self.matched.len().saturating_sub(WINDOW);
            drive(state, self.matched.get(tail..).unwrap_or_default(), FlushCompress::Sync, packed)?;
            packed.truncate(before);
            self.matched.clear();
        }
        drive(state, data, FlushCompress::None, packed)
    }

    /// Brings out all that was packed, without the sync marker at the end.
    pub(super) fn flush(&mut self, packed: &mut Vec<u8>) -> Result<(), TokenError> {
        let Some(state) = self.state.as_mut() else { return Ok(()) };
        drive(state, &[], FlushCompress::Sync, packed)?;
        let length = packed.strip_suffix(&SYNC_MARKER).ok_or(TokenError::Compress)?.len();
        packed.truncate(length);
        Ok(())
    }
}

/// Runs the compressor until all input is taken and, for a flush, all output is out: that is when it leaves room.
fn drive(state: &mut Compress, mut data: &[u8], flush: FlushCompress, packed: &mut Vec<u8>) -> Result<(), TokenError> {
    loop {
        packed.reserve(ROOM);
        let (taken, length) = (state.total_in(), packed.len());
        let status = state.compress_vec(data, packed, flush).map_err(|_| TokenError::Compress)?;
        let taken = usize::try_from(state.total_in() - taken).unwrap_or(usize::MAX);
        data = data.get(taken..).ok_or(TokenError::Compress)?;
        if data.is_empty() && packed.len() < packed.capacity() {
            return Ok(());
        }
        if status == Status::StreamEnd || (taken == 0 && packed.len() == length) {
            return Err(TokenError::Compress);
        }
    }
}

/// The decompressing side.
#[derive(Debug)]
pub(super) struct Inflater {
    state: Decompress,
    history: History,
}

impl Inflater {
    pub(super) fn new(history: History) -> Self {
        Self { state: Decompress::new(false), history }
    }

    /// Forgets everything: the next file starts.
    pub(super) fn start_file(&mut self) {
        self.state.reset(false);
    }

    /// Decompresses from `data` into `room`: bytes taken, bytes made.
    pub(super) fn unpack(&mut self, data: &[u8], room: &mut [u8]) -> Result<(usize, usize), TokenError> {
        let (taken, made) = (self.state.total_in(), self.state.total_out());
        match self.state.decompress(data, room, FlushDecompress::None) {
            Ok(Status::Ok | Status::BufError) => {}
            Ok(Status::StreamEnd) | Err(_) => return Err(TokenError::Unpack),
        }
        let taken = usize::try_from(self.state.total_in() - taken).map_err(|_| TokenError::Unpack)?;
        let made = usize::try_from(self.state.total_out() - made).map_err(|_| TokenError::Unpack)?;
        Ok((taken, made))
    }

    /// Takes a matched block into the history, as stored blocks whose output goes nowhere but through `room`.
    pub(super) fn matched(&mut self, content: &[u8], room: &mut [u8]) -> Result<(), TokenError> {
        for piece in self.history.pieces(content) {
            let length = u16::try_from(piece.len()).map_err(|_| TokenError::Unpack)?;
            let ([a, b], [c, d]) = (length.to_le_bytes(), (!length).to_le_bytes());
            self.discard(&[0, a, b, c, d], room)?;
            self.discard(piece, room)?;
        }
        Ok(())
    }

    fn discard(&mut self, mut data: &[u8], room: &mut [u8]) -> Result<(), TokenError> {
        loop {
            let (taken, made) = self.unpack(data, room)?;
            data = data.get(taken..).unwrap_or_default();
            if data.is_empty() && made < room.len() {
                return Ok(());
            }
            if taken == 0 && made == 0 {
                return Err(TokenError::Unpack);
            }
        }
    }
}
