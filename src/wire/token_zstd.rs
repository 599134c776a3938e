//! zstd as rsync uses it: one stream for the whole session, flushed and never ended (protocol 9.7.4).
//!
//! Sessions that send nothing are the most frequent ones, so both contexts are made at the first byte.
//! Invariant: no window above 8 MiB, neither made nor accepted; and a client's wish for a high level does not cost this
//! side memory: levels stop at 6.
//! Absent on purpose: the history of matched blocks, which zstd does not have here.

use zstd::stream::raw::{Decoder, Encoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::DParameter;

use super::tokens::TokenError;

/// Level without a wish, as stock has it.
const DEFAULT_LEVEL: i32 = 3;

/// The levels that are made. The length of a session is not known, so a level takes all of its tables: 6 some 5 MiB for
/// each client, 19 about 90 (protocol 14.2). Any level is the sender's own choice.
const LEVELS: (i32, i32) = (-50, 6);

/// Largest window that a peer can demand, as a power of two: 8 MiB (protocol 9.7.4).
const WINDOW_LOG: u32 = 23;

/// Room for output that is made before each call of the compressor, in bytes.
const ROOM: usize = 1 << 14;

/// The compressing side.
pub(super) struct ZstdPacker {
    state: Option<Encoder<'static>>,
    level: i32,
}

impl ZstdPacker {
    /// Levels out of range are clamped; 0 and none mean 3.
    pub(super) fn new(level: Option<i32>) -> Self {
        let level = level.filter(|level| *level != 0).unwrap_or(DEFAULT_LEVEL).clamp(LEVELS.0, LEVELS.1);
        Self { state: None, level }
    }

    /// Compresses literal data to the end of `packed`; some of it may stay inside until the next [`Self::flush`].
    pub(super) fn pack(&mut self, data: &[u8], packed: &mut Vec<u8>) -> Result<(), TokenError> {
        let state = match &mut self.state {
            Some(state) => state,
            none => none.insert(Encoder::new(self.level).map_err(|_| TokenError::Compress)?),
        };
        let mut input = InBuffer::around(data);
        while input.pos() < data.len() {
            packed.reserve(ROOM);
            let end = packed.len();
            state.run(&mut input, &mut OutBuffer::around_pos(packed, end)).map_err(|_| TokenError::Compress)?;
        }
        Ok(())
    }

    /// Brings out all that was packed.
    pub(super) fn flush(&mut self, packed: &mut Vec<u8>) -> Result<(), TokenError> {
        let Some(state) = &mut self.state else { return Ok(()) };
        loop {
            packed.reserve(ROOM);
            let end = packed.len();
            let left = state.flush(&mut OutBuffer::around_pos(packed, end)).map_err(|_| TokenError::Compress)?;
            if left == 0 {
                return Ok(());
            }
        }
    }
}

impl std::fmt::Debug for ZstdPacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZstdPacker").field("level", &self.level).finish_non_exhaustive()
    }
}

/// The decompressing side. A frame may go on over files, and a new one may follow a frame's end.
pub(super) struct ZstdUnpacker {
    state: Option<Decoder<'static>>,
}

impl ZstdUnpacker {
    pub(super) fn new() -> Self {
        Self { state: None }
    }

    /// Decompresses from `data` into `room`: bytes taken, bytes made.
    pub(super) fn unpack(&mut self, data: &[u8], room: &mut [u8]) -> Result<(usize, usize), TokenError> {
        let state = match &mut self.state {
            Some(state) => state,
            none => none.insert(decoder()?),
        };
        let status = state.run_on_buffers(data, room).map_err(|_| TokenError::Unpack)?;
        Ok((status.bytes_read, status.bytes_written))
    }
}

fn decoder() -> Result<Decoder<'static>, TokenError> {
    let mut decoder = Decoder::new().map_err(|_| TokenError::Unpack)?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(|_| TokenError::Unpack)?;
    Ok(decoder)
}

impl std::fmt::Debug for ZstdUnpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ZstdUnpacker")
    }
}
