//! The token stream of a file, reading side (protocol 9.6, 9.7).
//!
//! The peer is hostile: [`TokenReader::next`] makes at most [`ROOM`] bytes at a time whatever the data would unpack to,
//! demands of windows are bounded, and block numbers are computed in 64 bits and looked up below the basis' count.
//! Plain literals are handed out as slices of the input, without a copy.
//! Invariant: the stream may stop anywhere, also inside a token, and go on with the next input.
//! Absent on purpose: the content of blocks, the file's sum and its size limit: the receiver has those.

use super::greeting::Protocol;
use super::token_lz4::{Lz4Unpacker, UNPACKED_MAX};
use super::token_zlib::{History, Inflater, SYNC_MARKER};
use super::token_zstd::ZstdUnpacker;
use super::tokens::{Codec, TokenError};

/// Most unpacked bytes in one event: an lz4 piece is unpacked as a whole.
pub const ROOM: usize = UNPACKED_MAX;

/// Longest token without its data: 21, a block number and a run.
const HEAD_MAX: usize = 7;

/// What a token stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The next bytes of the content, never none.
    Literal(&'a [u8]),
    /// This block of the basis comes next. Hand its content to [`TokenReader::matched`] before going on.
    Copy(u32),
    /// The content is complete; the file's sum is next in the input.
    End,
}

/// Reads the token streams of a session, one file after the other.
#[derive(Debug)]
pub struct TokenReader {
    unpacker: Unpacker,
    state: State,
    head: [u8; HEAD_MAX],
    have: usize,
    /// The unpacker filled all the room at its last call, so more may wait inside.
    more: bool,
    /// Deflate data came since the last sync marker.
    unsynced: bool,
    count: u32,
    reference: u32,
    room: Vec<u8>,
}

#[derive(Debug)]
enum Unpacker {
    Plain,
    Deflate(Inflater),
    Zstd(ZstdUnpacker),
    Lz4(Lz4Unpacker),
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// A token's first bytes are due.
    Token,
    /// So many plain bytes are due.
    Plain(usize),
    /// So many compressed bytes are due.
    Data(usize),
    /// So many bytes of the sync marker were not yet fed.
    Marker(usize),
    /// Blocks to hand out: the next one, and how many.
    Run(u32, u32),
}

impl TokenReader {
    /// For a session with this codec; the protocol matters only for zlib's history.
    #[must_use]
    pub fn new(codec: Codec, protocol: Protocol) -> Self {
        let unpacker = match codec {
            Codec::None => Unpacker::Plain,
            Codec::Zstd => Unpacker::Zstd(ZstdUnpacker::new()),
            Codec::Lz4 => Unpacker::Lz4(Lz4Unpacker::default()),
            Codec::Zlibx => Unpacker::Deflate(Inflater::new(History::LiteralsOnly)),
            Codec::Zlib => Unpacker::Deflate(Inflater::new(History::of_zlib(protocol))),
        };
        let room = vec![0; if codec == Codec::None { 0 } else { ROOM }];
        let (state, head) = (State::Token, [0; HEAD_MAX]);
        Self { unpacker, state, head, have: 0, more: false, unsynced: false, count: 0, reference: 0, room }
    }

    /// Starts the token stream of a file whose basis has `count` blocks.
    pub fn start_file(&mut self, count: u32) {
        match &mut self.unpacker {
            Unpacker::Deflate(inflater) => inflater.start_file(),
            Unpacker::Lz4(lz4) => lz4.start_file(),
            Unpacker::Plain | Unpacker::Zstd(_) => {}
        }
        self.state = State::Token;
        self.have = 0;
        self.more = false;
        self.unsynced = false;
        self.count = count;
        self.reference = 0;
    }

    /// The next event, with what it takes from the front of `input`; `None` when that does not suffice.
    ///
    /// # Errors
    /// The stream is damaged. The reader is of no use then.
    pub fn next<'a, 'b: 'a>(&'a mut self, input: &mut &'b [u8]) -> Result<Option<Event<'a>>, TokenError> {
        loop {
            match self.state {
                State::Token => {
                    if !self.gather(input) {
                        return Ok(None);
                    }
                    if self.unsynced && !is_data(self.head[0]) {
                        self.unsynced = false;
                        self.state = State::Marker(SYNC_MARKER.len());
                        continue;
                    }
                    if self.token()? {
                        return Ok(Some(Event::End));
                    }
                }
                State::Plain(left) => {
                    let Some((piece, rest)) = input.split_at_checked(left.min(input.len())) else { return Ok(None) };
                    if piece.is_empty() {
                        return Ok(None);
                    }
                    *input = rest;
                    let left = left - piece.len();
                    self.state = if left > 0 { State::Plain(left) } else { State::Token };
                    return Ok(Some(Event::Literal(piece)));
                }
                State::Data(left) => {
                    let data = input.get(..left).unwrap_or(input);
                    if data.is_empty() && !self.more {
                        return Ok(None);
                    }
                    let (taken, made) = self.unpack(data, left)?;
                    *input = input.get(taken..).unwrap_or_default();
                    let left = left.saturating_sub(taken);
                    self.state = if left > 0 || self.more { State::Data(left) } else { State::Token };
                    if made > 0 {
                        return Ok(self.room.get(..made).map(Event::Literal));
                    }
                }
                State::Marker(left) => {
                    let data = SYNC_MARKER.get(SYNC_MARKER.len() - left..).unwrap_or_default();
                    let (taken, made) = self.unpack(data, left)?;
                    let left = left.saturating_sub(taken);
                    self.state = if left > 0 || self.more { State::Marker(left) } else { State::Token };
                    if made > 0 {
                        return Ok(self.room.get(..made).map(Event::Literal));
                    }
                }
                State::Run(block, left) => {
                    self.state = if left > 1 { State::Run(block + 1, left - 1) } else { State::Token };
                    return Ok(Some(Event::Copy(block)));
                }
            }
        }
    }

    /// Takes the content of the block of the last [`Event::Copy`] into the history, which only zlib has.
    ///
    /// # Errors
    /// The decompressor failed.
    pub fn matched(&mut self, content: &[u8]) -> Result<(), TokenError> {
        match &mut self.unpacker {
            Unpacker::Deflate(inflater) => inflater.matched(content, &mut self.room),
            Unpacker::Plain | Unpacker::Zstd(_) | Unpacker::Lz4(_) => Ok(()),
        }
    }

    /// Collects a token's first bytes; true when they are all there.
    fn gather(&mut self, input: &mut &[u8]) -> bool {
        let plain = matches!(self.unpacker, Unpacker::Plain);
        loop {
            let due = match self.head[0] {
                _ if self.have == 0 => 1,
                _ if plain => 4,
                0x20 => 5,
                0x21 => 7,
                0x40..=0x7f => 2,
                0xc0.. => 3,
                _ => 1,
            };
            if self.have == due {
                return true;
            }
            let Some(((byte, rest), to)) = input.split_first().zip(self.head.get_mut(self.have)) else { return false };
            *to = *byte;
            self.have += 1;
            *input = rest;
        }
    }

    /// Handles a token whose first bytes are complete; true at the end of the content.
    fn token(&mut self) -> Result<bool, TokenError> {
        let [tag, a, b, c, d, e, f] = self.head;
        self.have = 0;
        if matches!(self.unpacker, Unpacker::Plain) {
            let number = i32::from_le_bytes([tag, a, b, c]);
            match usize::try_from(number) {
                Ok(0) => return Ok(true),
                Ok(length) => self.state = State::Plain(length),
                Err(_) => self.blocks(i64::from(!number), 0)?,
            }
            return Ok(false);
        }
        let absolute = i64::from(i32::from_le_bytes([a, b, c, d]));
        let relative = i64::from(self.reference) + i64::from(tag & 0x3f);
        match tag {
            0x00 => return Ok(true),
            0x20 => self.blocks(absolute, 0)?,
            0x21 => self.blocks(absolute, u16::from_le_bytes([e, f]))?,
            0x40..=0x7f => {
                let length = usize::from(u16::from_be_bytes([tag & 0x3f, a]));
                if length == 0 {
                    return Err(TokenError::Tag(tag));
                }
                self.unsynced = matches!(self.unpacker, Unpacker::Deflate(_));
                self.state = State::Data(length);
            }
            0x80..=0xbf => self.blocks(relative, 0)?,
            0xc0.. => self.blocks(relative, u16::from_le_bytes([a, b]))?,
            _ => return Err(TokenError::Tag(tag)),
        }
        Ok(false)
    }

    /// A block and so many after it: all of them must exist.
    fn blocks(&mut self, first: i64, further: u16) -> Result<(), TokenError> {
        let last = first + i64::from(further);
        let wrong = |block| TokenError::Block { block, count: self.count };
        let first = u32::try_from(first).map_err(|_| wrong(first))?;
        let last = u32::try_from(last).ok().filter(|last| *last < self.count).ok_or(wrong(last))?;
        self.reference = last;
        self.state = State::Run(first, u32::from(further) + 1);
        Ok(())
    }

    /// Unpacks into the room: bytes taken, bytes made. `left` bytes are due, `data` among them.
    fn unpack(&mut self, data: &[u8], left: usize) -> Result<(usize, usize), TokenError> {
        let (taken, made) = match &mut self.unpacker {
            Unpacker::Plain => (data.len(), 0),
            Unpacker::Deflate(inflater) => inflater.unpack(data, &mut self.room)?,
            Unpacker::Zstd(zstd) => zstd.unpack(data, &mut self.room)?,
            Unpacker::Lz4(lz4) => return lz4.unpack(data, left, &mut self.room).map(|made| (data.len(), made)),
        };
        if taken == 0 && made == 0 && !data.is_empty() {
            return Err(TokenError::Unpack);
        }
        self.more = made == self.room.len();
        Ok((taken, made))
    }
}

/// Whether a token announces compressed data.
fn is_data(tag: u8) -> bool {
    (0x40..=0x7f).contains(&tag)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads one file with a basis of nine blocks, as far as it goes; returns literal bytes, blocks and the outcome.
    fn read(codec: Codec, mut input: &[u8]) -> (usize, Vec<u32>, Result<bool, TokenError>) {
        let mut reader = TokenReader::new(codec, Protocol::V31);
        reader.start_file(9);
        let (mut literal, mut blocks) = (0, Vec::new());
        loop {
            let done = match reader.next(&mut input) {
                Ok(Some(Event::Literal(data))) => {
                    assert!(!data.is_empty() && (codec == Codec::None || data.len() <= ROOM));
                    literal += data.len();
                    continue;
                }
                Ok(Some(Event::Copy(block))) => {
                    blocks.push(block);
                    reader.matched(b"block").map(|()| None)
                }
                Ok(Some(Event::End)) => Ok(Some(true)),
                Ok(None) => Ok(Some(false)),
                Err(error) => Err(error),
            };
            match done {
                Ok(None) => {}
                Ok(Some(ended)) => return (literal, blocks, Ok(ended)),
                Err(error) => return (literal, blocks, Err(error)),
            }
        }
    }

    #[test]
    fn block_numbers_are_looked_up_before_anything_is_handed_out() {
        let wrong = |block| Err(TokenError::Block { block, count: 9 });
        let rows: [(Codec, &[u8], Result<bool, TokenError>); 14] = [
            (Codec::None, &[0xf7, 0xff, 0xff, 0xff, 0, 0, 0, 0], Ok(true)),
            (Codec::None, &[0xf6, 0xff, 0xff, 0xff], wrong(9)),
            (Codec::None, &[0, 0, 0, 0x80], wrong(0x7fff_ffff)),
            (Codec::Zstd, &[0x88, 0], Ok(true)),
            (Codec::Zstd, &[0x89, 0], wrong(9)),
            (Codec::Zstd, &[0x84, 0x84, 0], Ok(true)),
            (Codec::Zstd, &[0x84, 0x85, 0], wrong(9)),
            (Codec::Zstd, &[0xc0, 8, 0, 0], Ok(true)),
            (Codec::Zstd, &[0xc0, 9, 0, 0], wrong(9)),
            (Codec::Zlibx, &[0xc8, 0xff, 0xff, 0], wrong(65_543)),
            (Codec::Zlib, &[0x20, 0xff, 0xff, 0xff, 0xff, 0], wrong(-1)),
            (Codec::Zlib, &[0x21, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0], wrong(0x8000_fffe)),
            (Codec::Zlib, &[0x21, 0, 0, 0, 0, 8, 0, 0], Ok(true)),
            (Codec::Zlib, &[0x21, 0, 0, 0, 0, 8], Ok(false)),
        ];
        for (codec, input, expected) in rows {
            let (_, blocks, outcome) = read(codec, input);
            assert_eq!(outcome, expected, "{codec:?} {input:02x?}");
            assert!(blocks.iter().all(|block| *block < 9));
        }
    }

    #[test]
    fn bytes_that_start_no_token_are_refused() {
        for tag in (0x01..=0x1f).chain(0x22..=0x3f) {
            assert_eq!(read(Codec::Zstd, &[tag, 0, 0]).2, Err(TokenError::Tag(tag)));
        }
        assert_eq!(read(Codec::Zlibx, &[0x40, 0]).2, Err(TokenError::Tag(0x40)));
    }

    #[test]
    fn a_zstd_window_above_8_mib_is_refused() {
        // Magic number, a frame header without size, the window's exponent above 10, and a raw block of one byte.
        let frame = |exponent: u8| [0x40, 10, 0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3, 9, 0, 0, b'x', 0];
        assert_eq!(read(Codec::Zstd, &frame(13)), (1, vec![], Ok(true)));
        assert_eq!(read(Codec::Zstd, &frame(14)), (0, vec![], Err(TokenError::Unpack)));
    }

    #[test]
    fn a_zstd_frame_may_end_and_another_one_begin() {
        let frame = zstd::bulk::compress(b"hello", 3).expect("memory suffices");
        let length = u8::try_from(frame.len()).expect("short");
        let input = [&[0x40, length][..], &frame, &[0x40, length], &frame, &[0]].concat();
        assert_eq!(read(Codec::Zstd, &input), (10, vec![], Ok(true)));
    }

    #[test]
    fn lz4_pieces_are_unpacked_when_they_are_complete_and_only_up_to_a_bound() {
        let piece = |data: &[u8]| {
            let packed = lz4_flex::block::compress(data);
            let [high, low] = u16::try_from(packed.len()).expect("14 bits").to_be_bytes();
            [&[0x40 | high, low][..], &packed].concat()
        };
        let wrong = Err(TokenError::Unpack);
        assert_eq!(
            read(Codec::Lz4, &[piece(&[7; ROOM]), piece(b"ab"), vec![0x80, 0]].concat()),
            (ROOM + 2, vec![0], Ok(true))
        );
        assert_eq!(read(Codec::Lz4, &piece(&[7; ROOM + 1])), (0, vec![], wrong));
        assert_eq!(read(Codec::Lz4, &piece(b"")), (0, vec![], wrong));
        assert_eq!(read(Codec::Lz4, &piece(b"ab")[..4]), (0, vec![], Ok(false)));
    }

    #[test]
    fn deflate_that_ends_its_stream_is_refused() {
        assert_eq!(read(Codec::Zlibx, &[0x40, 2, 0x03, 0x00, 0]).2, Err(TokenError::Unpack));
    }

    #[test]
    fn little_data_that_unpacks_to_much_comes_in_small_steps() {
        let bomb = zstd::bulk::compress(&vec![0; 100 << 20], 3).expect("memory suffices");
        let mut input = Vec::new();
        for piece in bomb.chunks(0x3fff) {
            let [high, low] = u16::try_from(piece.len()).expect("14 bits").to_be_bytes();
            input.extend_from_slice(&[0x40 | high, low]);
            input.extend_from_slice(piece);
        }
        input.push(0);
        assert!(input.len() < 20_000);
        let mut reader = TokenReader::new(Codec::Zstd, Protocol::V32);
        reader.start_file(0);
        let (mut input, mut total) = (input.as_slice(), 0);
        while let Ok(Some(Event::Literal(data))) = reader.next(&mut input) {
            assert!(data.len() <= ROOM);
            total += data.len();
        }
        assert_eq!(total, 100 << 20);
        assert!(input.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_end_in_an_answer(input in prop::collection::vec(any::<u8>(), 0..600), tag in 0..=0xff_u8) {
            for codec in Codec::ALL {
                for input in [&input, &[&[0x40 | (tag & 1), tag], input.as_slice()].concat()] {
                    let (_, blocks, _) = read(codec, input);
                    prop_assert!(blocks.iter().all(|block| *block < 9));
                }
            }
        }
    }
}
