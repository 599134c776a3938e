//! lz4 as rsync uses it: every piece is a block of its own, without frame, size or history (protocol 9.7.5).
//!
//! Literal data is cut so small that even what cannot be compressed fits into one piece, so nothing is ever tried
//! twice. Invariant: no piece is made of no data, since a receiver takes such a one for the end of the file, and no
//! piece unpacks to more than a stock sender could have put in. Absent on purpose: levels, which lz4 does not have.

use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

use super::tokens::{PIECE_MAX, TokenError};

/// Most data in one piece that is made: with lz4's worst case, one byte in 255 and 16 more, it is below
/// [`PIECE_MAX`].
const DATA_MAX: usize = 16_256;

/// Most that a piece may unpack to (protocol 9.7.5).
pub(super) const UNPACKED_MAX: usize = 32_912;

/// The compressing side.
#[derive(Debug, Default)]
pub(super) struct Lz4Packer {
    room: Vec<u8>,
}

impl Lz4Packer {
    /// Compresses literal data and hands out its pieces, which are about equally long.
    pub(super) fn pack(&mut self, data: &[u8], put: &mut dyn FnMut(&[u8])) -> Result<(), TokenError> {
        let pieces = data.len().div_ceil(DATA_MAX).max(1);
        for slice in data.chunks(data.len().div_ceil(pieces).max(1)) {
            self.room.resize(get_maximum_output_size(slice.len()), 0);
            let length = compress_into(slice, &mut self.room).map_err(|_| TokenError::Compress)?;
            let piece = self.room.get(..length).filter(|piece| piece.len() <= PIECE_MAX);
            put(piece.ok_or(TokenError::Compress)?);
        }
        Ok(())
    }
}

/// The decompressing side: collects a piece and unpacks it at once.
#[derive(Debug, Default)]
pub(super) struct Lz4Unpacker {
    piece: Vec<u8>,
}

impl Lz4Unpacker {
    /// Forgets a piece that was not complete.
    pub(super) fn start_file(&mut self) {
        self.piece.clear();
    }

    /// Takes the next bytes of a piece; `left` says how many are due, these included. Gives the number of bytes that
    /// it made in `room`, which is 0 until the piece is complete.
    pub(super) fn unpack(&mut self, data: &[u8], left: usize, room: &mut [u8]) -> Result<usize, TokenError> {
        self.piece.extend_from_slice(data);
        if data.len() < left {
            return Ok(0);
        }
        let made = decompress_into(&self.piece, room).map_err(|_| TokenError::Unpack)?;
        self.piece.clear();
        if made == 0 { Err(TokenError::Unpack) } else { Ok(made) }
    }
}
