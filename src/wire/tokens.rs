//! The token stream of a file, writing side: literal data and numbers of blocks, plain or compressed (protocol 9.6, 9.7).
//!
//! One [`TokenWriter`] lives as long as a session, because zstd's stream does, and because 150,000 small files should
//! not mean 150,000 compressors. Compressed bytes gather in one buffer and leave it in pieces; the last four stay until
//! the flush, which for deflate cuts them off.
//! Invariant: a block token never overtakes literal data that stands before it: the compressor is flushed first.
//! Absent on purpose: frames, which are the business of `mux`; the file's sum, which follows the tokens.

use thiserror::Error;

use super::delta::Token;
use super::greeting::Protocol;
use super::numbers::{put_i32, put_u16};
use super::token_lz4::Lz4Packer;
use super::token_zlib::{Deflater, History, SYNC_MARKER};
use super::token_zstd::ZstdPacker;

/// Most literal bytes under one plain token (protocol 9.6): some receivers refuse more.
pub const LITERAL_MAX: usize = 32_768;

/// Most compressed bytes in one piece: its length has 14 bits (protocol 9.7).
pub const PIECE_MAX: usize = 0x3fff;

/// Most blocks in one run: the first and as many as 16 bits can count.
const RUN_MAX: u32 = 0x1_0000;

/// Literal data goes through the compressor in slices of this many bytes, so that its output stays small.
const SLICE: usize = 1 << 15;

/// How literal data is compressed (protocol 9.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
    None,
    /// One zstd stream for the whole session.
    Zstd,
    /// Every piece is an lz4 block of its own.
    Lz4,
    /// Deflate for each file, without matched blocks in its history.
    Zlibx,
    /// Deflate for each file, with matched blocks in its history.
    Zlib,
}

impl Codec {
    /// All codecs in the order of the stock table, which is the order of preference (protocol 3.2).
    pub const ALL: [Self; 5] = [Self::Zstd, Self::Lz4, Self::Zlibx, Self::Zlib, Self::None];

    /// The name in negotiation lists and options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Zlibx => "zlibx",
            Self::Zlib => "zlib",
        }
    }

    /// The codec of a name, in exactly this spelling; `None` for a name that we do not know.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name().as_bytes() == name)
    }
}

/// Why a token stream cannot be written or read. The session is over: both sides of a compressor have lost each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The compressor gave up, most likely for want of memory.
    #[error("compressing file data failed, most likely for want of memory; ask again, or without -z")]
    Compress,
    /// The compressed data is damaged, or wants a larger window than we grant.
    #[error("decompressing file data failed")]
    Unpack,
    /// A byte that starts no token (protocol 9.7).
    #[error("invalid token {0:#04x} in file data")]
    Tag(u8),
    /// A block that the basis does not have.
    #[error("file data refers to block {block} of {count}")]
    Block {
        /// The block's number, possibly the last one of a run.
        block: i64,
        /// How many blocks there are.
        count: u32,
    },
}

/// Writes the token streams of a session, one file after the other.
#[derive(Debug)]
pub struct TokenWriter {
    coding: Coding,
    failure: Option<TokenError>,
}

#[derive(Debug)]
enum Coding {
    Plain,
    Packed(Box<Packed>),
}

impl TokenWriter {
    /// `level` is the client's wish and is clamped: 1 to 9 for zlib and zlibx, up to 12 for zstd; lz4 has none. The
    /// protocol matters only for zlib's history.
    #[must_use]
    pub fn new(codec: Codec, level: Option<i32>, protocol: Protocol) -> Self {
        let packer = match codec {
            Codec::None => None,
            Codec::Zstd => Some(Packer::Zstd(ZstdPacker::new(level))),
            Codec::Lz4 => Some(Packer::Lz4(Lz4Packer::default())),
            Codec::Zlibx => Some(Packer::Deflate(Deflater::new(level, History::LiteralsOnly))),
            Codec::Zlib => Some(Packer::Deflate(Deflater::new(level, History::of_zlib(protocol)))),
        };
        Self {
            coding: packer.map_or(Coding::Plain, |packer| Coding::Packed(Box::new(Packed::new(packer)))),
            failure: None,
        }
    }

    /// Starts the token stream of a file. All functions append to `out` what belongs into the data stream, not framed.
    pub fn start_file(&mut self) {
        if let Coding::Packed(packed) = &mut self.coding {
            packed.start_file();
        }
    }

    /// Writes what a [`super::delta::Matcher`] says.
    pub fn token(&mut self, token: Token<'_>, out: &mut Vec<u8>) {
        match token {
            Token::Literal(data) => self.literal(data, out),
            Token::Copy { block, content } => self.copy(block, content, out),
        }
    }

    /// Writes literal data of any length.
    pub fn literal(&mut self, data: &[u8], out: &mut Vec<u8>) {
        match &mut self.coding {
            Coding::Plain => {
                for piece in data.chunks(LITERAL_MAX) {
                    put_i32(out, i32::try_from(piece.len()).unwrap_or(i32::MAX));
                    out.extend_from_slice(piece);
                }
            }
            Coding::Packed(packed) if self.failure.is_none() => self.failure = packed.literal(data, out).err(),
            Coding::Packed(_) => {}
        }
    }

    /// Writes that a block of the basis comes next; `content` is what it holds. Block numbers have 31 bits.
    pub fn copy(&mut self, block: u32, content: &[u8], out: &mut Vec<u8>) {
        match &mut self.coding {
            Coding::Plain => put_i32(out, !block.cast_signed()),
            Coding::Packed(packed) if self.failure.is_none() => self.failure = packed.copy(block, content, out).err(),
            Coding::Packed(_) => {}
        }
    }

    /// Ends the token stream of a file; the file's sum goes next.
    ///
    /// # Errors
    /// The compressor failed, now or at any time before: what was written is not usable.
    pub fn end_file(&mut self, out: &mut Vec<u8>) -> Result<(), TokenError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        match &mut self.coding {
            Coding::Plain => put_i32(out, 0),
            Coding::Packed(packed) => packed.end_file(out).inspect_err(|failure| self.failure = Some(*failure))?,
        }
        Ok(())
    }
}

#[derive(Debug)]
enum Packer {
    Deflate(Deflater),
    Zstd(ZstdPacker),
    Lz4(Lz4Packer),
}

/// The byte coding that all compressed streams share (protocol 9.7).
#[derive(Debug)]
struct Packed {
    packer: Packer,
    /// Compressed and not yet written.
    waiting: Vec<u8>,
    /// Whether literal data went into the packer since its last flush.
    unflushed: bool,
    /// The last block number that was written in this file.
    reference: u32,
    run: Option<Run>,
}

/// Blocks that follow each other, not yet written.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u32,
    count: u32,
}

impl Packed {
    fn new(packer: Packer) -> Self {
        Self { packer, waiting: Vec::new(), unflushed: false, reference: 0, run: None }
    }

    fn start_file(&mut self) {
        if let Packer::Deflate(deflater) = &mut self.packer {
            deflater.start_file();
        }
        self.waiting.clear();
        self.unflushed = false;
        self.reference = 0;
        self.run = None;
    }

    fn literal(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), TokenError> {
        if data.is_empty() {
            return Ok(());
        }
        self.end_run(out);
        self.unflushed = true;
        for slice in data.chunks(SLICE) {
            match &mut self.packer {
                Packer::Deflate(deflater) => deflater.pack(slice, &mut self.waiting)?,
                Packer::Zstd(zstd) => zstd.pack(slice, &mut self.waiting)?,
                Packer::Lz4(lz4) => lz4.pack(slice, &mut |piece| put_piece(piece, out))?,
            }
            self.put_pieces(PIECE_MAX + SYNC_MARKER.len(), out);
        }
        Ok(())
    }

    fn copy(&mut self, block: u32, content: &[u8], out: &mut Vec<u8>) -> Result<(), TokenError> {
        self.end_literals(out)?;
        match &mut self.run {
            Some(run) if run.count < RUN_MAX && block.checked_sub(run.first) == Some(run.count) => run.count += 1,
            _ => {
                self.end_run(out);
                self.run = Some(Run { first: block, count: 1 });
            }
        }
        if let Packer::Deflate(deflater) = &mut self.packer {
            deflater.matched(content);
        }
        Ok(())
    }

    fn end_file(&mut self, out: &mut Vec<u8>) -> Result<(), TokenError> {
        self.end_literals(out)?;
        self.end_run(out);
        out.push(0);
        Ok(())
    }

    /// Brings all literal data out, if there is some inside.
    fn end_literals(&mut self, out: &mut Vec<u8>) -> Result<(), TokenError> {
        if std::mem::take(&mut self.unflushed) {
            match &mut self.packer {
                Packer::Deflate(deflater) => deflater.flush(&mut self.waiting)?,
                Packer::Zstd(zstd) => zstd.flush(&mut self.waiting)?,
                Packer::Lz4(_) => {}
            }
            self.put_pieces(1, out);
        }
        Ok(())
    }

    /// Writes what waits, in pieces as long as they can be, as long as at least `least` bytes wait.
    fn put_pieces(&mut self, least: usize, out: &mut Vec<u8>) {
        let mut written = 0;
        while let Some(rest) = self.waiting.get(written..).filter(|rest| rest.len() >= least) {
            let piece = rest.get(..PIECE_MAX).unwrap_or(rest);
            put_piece(piece, out);
            written += piece.len();
        }
        self.waiting.drain(..written);
    }

    /// Writes the run, if there is one.
    fn end_run(&mut self, out: &mut Vec<u8>) {
        let Some(Run { first, count }) = self.run.take() else { return };
        let further = u16::try_from(count - 1).unwrap_or(u16::MAX);
        let long: u8 = if further > 0 { 1 } else { 0 };
        match first.checked_sub(self.reference).and_then(|step| u8::try_from(step).ok()).filter(|step| *step < 0x40) {
            Some(step) => out.push(0x80 | (long << 6) | step),
            None => {
                out.push(0x20 | long);
                put_i32(out, first.cast_signed());
            }
        }
        if further > 0 {
            put_u16(out, further);
        }
        self.reference = first + u32::from(further);
    }
}

/// Writes one piece of compressed data, of at most [`PIECE_MAX`] bytes.
fn put_piece(piece: &[u8], out: &mut Vec<u8>) {
    let [high, low] = u16::try_from(piece.len()).unwrap_or_default().to_be_bytes();
    out.extend_from_slice(&[0x40 | high, low]);
    out.extend_from_slice(piece);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(codec: Codec, write: impl Fn(&mut TokenWriter, &mut Vec<u8>)) -> Vec<u8> {
        let (mut writer, mut out) = (TokenWriter::new(codec, None, Protocol::V32), Vec::new());
        writer.start_file();
        write(&mut writer, &mut out);
        writer.end_file(&mut out).expect("memory suffices");
        out
    }

    #[test]
    fn plain_blocks_are_negative_numbers_and_literals_follow_their_length() {
        let out = written(Codec::None, |writer, out| {
            writer.copy(0, b"", out);
            writer.copy(1, b"", out);
            writer.literal(&[b'x'; 679], out);
        });
        assert_eq!(out[..12], [0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xa7, 0x02, 0, 0]);
        assert_eq!(out[12..], [&[b'x'; 679][..], &[0; 4]].concat());
        assert_eq!(written(Codec::None, |_, _| {}), [0; 4]);
    }

    #[test]
    fn plain_literals_stay_below_what_strict_receivers_take() {
        let out = written(Codec::None, |writer, out| writer.literal(&[7; 70_000], out));
        assert_eq!(out.len(), 70_000 + 4 * 4);
        for (at, length) in [(0, 32_768_u32), (32_772, 32_768), (65_544, 4_464)] {
            assert_eq!(out[at..at + 4], length.to_le_bytes());
        }
    }

    #[test]
    fn blocks_are_coded_as_runs_relative_to_the_last_one() {
        let rows: [(&[u32], &[u8]); 9] = [
            (&[], &[0]),
            (&[0], &[0x80, 0]),
            (&[63], &[0xbf, 0]),
            (&[64], &[0x20, 64, 0, 0, 0, 0]),
            (&[0, 1, 3, 4, 6, 7, 8], &[0xc0, 1, 0, 0xc2, 1, 0, 0xc2, 2, 0, 0]),
            (&[5, 5], &[0x85, 0x80, 0]),
            (&[5, 4], &[0x85, 0x20, 4, 0, 0, 0, 0]),
            (&[70_000, 70_001, 70_064, 70_065, 0], &[0x21, 0x70, 0x11, 1, 0, 1, 0, 0xff, 1, 0, 0x20, 0, 0, 0, 0, 0]),
            (&[0x7fff_ffff], &[0x20, 0xff, 0xff, 0xff, 0x7f, 0]),
        ];
        for codec in [Codec::Zstd, Codec::Lz4, Codec::Zlibx, Codec::Zlib] {
            for (blocks, expected) in rows {
                let out =
                    written(codec, |writer, out| blocks.iter().for_each(|block| writer.copy(*block, b"abc", out)));
                assert_eq!(out, expected, "{codec:?} {blocks:?}");
            }
        }
    }

    #[test]
    fn a_run_is_as_long_as_its_count_can_say() {
        let out = written(Codec::Zstd, |writer, out| (0..65_538).for_each(|block| writer.copy(block, b"", out)));
        assert_eq!(out, [0xc0, 0xff, 0xff, 0xc1, 1, 0, 0]);
    }

    /// The example of protocol 9.7.4.
    #[test]
    fn zstd_goes_on_from_file_to_file() {
        let (mut writer, mut out) = (TokenWriter::new(Codec::Zstd, None, Protocol::V32), Vec::new());
        writer.start_file();
        writer.literal(b"hello, world\n", &mut out);
        writer.end_file(&mut out).expect("memory suffices");
        assert_eq!(out, b"\x40\x16\x28\xb5\x2f\xfd\x00\x58\x68\x00\x00hello, world\n\x00");
        out.clear();
        writer.start_file();
        writer.literal(b"#!/bin/sh\necho run\n", &mut out);
        writer.end_file(&mut out).expect("memory suffices");
        assert_eq!(out, b"\x40\x16\x98\x00\x00#!/bin/sh\necho run\n\x00");
    }

    #[test]
    fn deflate_starts_again_for_each_file_and_ends_without_its_marker() {
        let (mut writer, mut first, mut second) =
            (TokenWriter::new(Codec::Zlibx, None, Protocol::V32), Vec::new(), Vec::new());
        for out in [&mut first, &mut second] {
            writer.start_file();
            writer.literal(b"hello, hello, hello, hello", out);
            writer.end_file(out).expect("memory suffices");
        }
        assert_eq!(first, second);
        assert_eq!(usize::from(first[1]) + 3, first.len());
        assert!(!first.windows(4).any(|four| four == SYNC_MARKER));
    }

    #[test]
    fn empty_files_and_empty_literals_cost_one_byte() {
        for codec in [Codec::Zstd, Codec::Lz4, Codec::Zlibx, Codec::Zlib] {
            assert_eq!(written(codec, |writer, out| writer.literal(b"", out)), [0]);
        }
    }

    #[test]
    fn lz4_pieces_stay_within_what_stock_senders_make() {
        let noise: Vec<u8> = (0..100_000_u32).flat_map(|n| n.wrapping_mul(0x9e37_79b1).to_be_bytes()).collect();
        for data in [&noise[..], &[7; 32_768], &noise[..16_256], &noise[..16_257], b"x"] {
            let out = written(Codec::Lz4, |writer, out| writer.literal(data, out));
            let (mut rest, mut unpacked) = (&out[..], Vec::new());
            while let [high @ 0x40..=0x7f, low, after @ ..] = rest {
                let length = usize::from(u16::from_be_bytes([high & 0x3f, *low]));
                let piece = lz4_flex::block::decompress(&after[..length], PIECE_MAX).expect("a block");
                assert!(!piece.is_empty());
                unpacked.extend(piece);
                rest = &after[length..];
            }
            assert_eq!((rest, unpacked.as_slice()), (&[0][..], data));
        }
    }

    #[test]
    fn names_lead_back_to_their_codec() {
        for codec in Codec::ALL {
            assert_eq!(Codec::from_name(codec.name().as_bytes()), Some(codec));
        }
        assert_eq!(Codec::from_name(b"lzo"), None);
    }
}
