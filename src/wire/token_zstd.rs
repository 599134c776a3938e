//! zstd as rsync uses it: one stream for the whole session, flushed and never ended (protocol 9.7.4).
//!
//! Sessions that send nothing are the most frequent ones, so both contexts are made at the first byte.
//! Invariants: no window above 8 MiB is accepted, and no context is made that takes more than 6 MiB, whatever level a
//! client asks for: a server has many clients, and a level costs them nothing.
//! Absent on purpose: the history of matched blocks, which zstd does not have here.

use zstd::stream::raw::{Decoder, Encoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::{CParameter, DParameter};

use super::tokens::TokenError;

/// Level without a wish, as stock has it.
const DEFAULT_LEVEL: i32 = 3;

/// The levels that are made: above 12 a byte costs many times as much work as at 3, for some percent less data.
const LEVELS: (i32, i32) = (-50, 12);

/// The first level whose tables would be larger than [`TABLES`] says.
const LARGE_TABLES: i32 = 5;

/// Window, hash and chain tables of the levels from [`LARGE_TABLES`] on, as powers of two: at level 12 zstd itself
/// would take 53 MiB.
const TABLES: [CParameter; 3] = [CParameter::WindowLog(21), CParameter::HashLog(18), CParameter::ChainLog(18)];

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
    /// Levels out of range are clamped, to 12 at most; 0 and none mean 3.
    pub(super) fn new(level: Option<i32>) -> Self {
        let level = level.filter(|level| *level != 0).unwrap_or(DEFAULT_LEVEL).clamp(LEVELS.0, LEVELS.1);
        Self { state: None, level }
    }

    /// Compresses literal data to the end of `packed`; some of it may stay inside until the next [`Self::flush`].
    pub(super) fn pack(&mut self, data: &[u8], packed: &mut Vec<u8>) -> Result<(), TokenError> {
        let state = match &mut self.state {
            Some(state) => state,
            none => none.insert(encoder(self.level).map_err(|_| TokenError::Compress)?),
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

fn encoder(level: i32) -> std::io::Result<Encoder<'static>> {
    let mut encoder = Encoder::new(level)?;
    tables(level).iter().try_for_each(|table| encoder.set_parameter(*table))?;
    Ok(encoder)
}

/// What is set beside the level.
fn tables(level: i32) -> &'static [CParameter] {
    if level < LARGE_TABLES { &[] } else { &TABLES }
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

#[cfg(test)]
mod tests {
    use zstd::zstd_safe::CCtx;

    use super::*;

    #[test]
    fn no_level_takes_more_than_a_few_mib_for_a_connection() {
        let noise: Vec<u8> = (0..1_000_000_u32).flat_map(|n| n.wrapping_mul(0x9e37_79b1).to_be_bytes()).collect();
        for level in LEVELS.0..=LEVELS.1 {
            let mut state = CCtx::create();
            state.set_parameter(CParameter::CompressionLevel(level)).expect("a level");
            for table in tables(level) {
                state.set_parameter(*table).expect("a size");
            }
            let mut room = vec![0; 1 << 20];
            let mut input = InBuffer::around(&noise);
            while input.pos() < noise.len() {
                state.compress_stream(&mut OutBuffer::around(&mut room[..]), &mut input).expect("memory suffices");
            }
            assert!(state.sizeof() <= 6 << 20, "level {level} takes {} bytes", state.sizeof());
        }
    }

    #[test]
    fn levels_beyond_the_last_one_are_the_last_one() {
        let rows = [(None, 3), (Some(0), 3), (Some(12), 12), (Some(22), 12), (Some(-131_072), -50)];
        for (wish, level) in rows {
            assert_eq!(ZstdPacker::new(wish).level, level);
        }
    }
}
