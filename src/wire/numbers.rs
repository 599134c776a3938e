//! The integer codes of the protocol: fixed, varint, varlong, vstring, and the stateful file index.
//!
//! Writers append to a plain `Vec<u8>`; a [`Cursor`] reads from a slice and tells "not enough bytes yet" apart from
//! "can never be right", because every parser above it works on a stream that may stop anywhere.
//! Invariants: a read that fails consumes nothing of the item it was reading (a [`Cursor`] is a throw-away view, the
//! caller keeps the buffer), and [`NdxReader`] changes its state only when a whole index was read.
//! Absent on purpose: traits over integer types, and the 64-bit form of protocols below 30.

use thiserror::Error;

/// Why a number can never be read, however many bytes follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NumberError {
    /// A varint whose first byte announces more than four further bytes (protocol 4.2).
    #[error("varint starts with {0:#04x}, which announces more than four further bytes")]
    Varint(u8),
    /// A varlong that would need more than nine bytes (protocol 4.3).
    #[error("varlong starts with {0:#04x}, which announces more than nine bytes")]
    Varlong(u8),
    /// A string that is longer than its field allows.
    #[error("string of {length} bytes where at most {max} are allowed")]
    TooLong {
        /// Announced length in bytes.
        length: usize,
        /// What the field allows.
        max: usize,
    },
    /// A file index outside of 31 bits, or a negative one that names nothing (protocol 4.5).
    #[error("file index out of range")]
    Index,
}

/// Why a read gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// The bytes end inside the item: try again when more have arrived.
    More,
    /// The item is wrong: no further byte can help.
    Bad(NumberError),
}

/// The least number of bytes of a varlong, fixed for each field (protocol 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Min {
    /// Sizes and statistics.
    Three,
    /// Times.
    Four,
}

impl Min {
    const fn bytes(self) -> usize {
        match self {
            Self::Three => 3,
            Self::Four => 4,
        }
    }
}

/// Longest string that a vstring can carry (protocol 4.4).
pub const VSTRING_MAX: usize = 0x7fff;

/// Appends a 16-bit number, little-endian.
pub fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a signed 32-bit number, little-endian.
pub fn put_i32(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends an unsigned 32-bit number, little-endian.
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a varint (protocol 4.2). Negative values take five bytes.
pub fn put_varint(out: &mut Vec<u8>, value: i32) {
    let low = value.to_le_bytes();
    let significant = low.iter().rposition(|&byte| byte != 0).map_or(1, |at| at + 1);
    put_marked(out, &low[..significant], significant - 1, 8 - significant);
}

/// Appends an unsigned 32-bit number as a varint: ids and flags use the same bits as signed values (protocol 4.2).
pub fn put_varint_u32(out: &mut Vec<u8>, value: u32) {
    put_varint(out, value.cast_signed());
}

/// Appends a varlong (protocol 4.3). Negative values take nine bytes.
pub fn put_varlong(out: &mut Vec<u8>, value: i64, min: Min) {
    let low = value.to_le_bytes();
    let min = min.bytes();
    let significant = low.iter().rposition(|&byte| byte != 0).map_or(min, |at| (at + 1).max(min));
    put_marked(out, &low[..significant], significant - min, 7 - (significant - min));
}

/// Appends the low bytes with `ones` leading one bits in the first byte, when the top byte fits beside the marker in
/// `room` bits, and else with one more leading one and the top byte spelled out.
fn put_marked(out: &mut Vec<u8>, bytes: &[u8], ones: usize, room: usize) {
    let Some((&top, low)) = bytes.split_last() else { return };
    if u32::from(top) < 1 << room {
        out.push(leading_ones(ones) | top);
        out.extend_from_slice(low);
    } else {
        out.push(leading_ones(ones + 1));
        out.extend_from_slice(bytes);
    }
}

/// A byte with this many leading ones.
fn leading_ones(count: usize) -> u8 {
    [0x00, 0x80, 0xc0, 0xe0, 0xf0, 0xf8, 0xfc].get(count).copied().unwrap_or(0xfc)
}

/// Appends a length and the bytes (protocol 4.4). Bytes beyond [`VSTRING_MAX`] are cut off: every caller bounds its
/// strings far below.
pub fn put_vstring(out: &mut Vec<u8>, text: &[u8]) {
    let text = text.get(..VSTRING_MAX).unwrap_or(text);
    let [high, low] = u16::try_from(text.len()).unwrap_or(0).to_be_bytes();
    if high > 0 || low > 0x7f {
        out.push(high | 0x80);
    }
    out.push(low);
    out.extend_from_slice(text);
}

/// Reads numbers from the front of a slice.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the front of `data`.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// How many bytes were read so far.
    #[must_use]
    pub fn consumed(&self) -> usize {
        self.at
    }

    /// What is still unread.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.data.get(self.at..).unwrap_or_default()
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`Short::More`] if they are not all there.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Short> {
        let bytes = self.rest().get(..count).ok_or(Short::More)?;
        self.at += count;
        Ok(bytes)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`Short::More`] if they are not all there.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let bytes = self.rest().first_chunk::<N>().ok_or(Short::More)?;
        self.at += N;
        Ok(*bytes)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Short::More`] at the end.
    pub fn u8(&mut self) -> Result<u8, Short> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A 16-bit number, little-endian.
    ///
    /// # Errors
    /// [`Short::More`] at the end.
    pub fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_le_bytes)
    }

    /// A signed 32-bit number, little-endian.
    ///
    /// # Errors
    /// [`Short::More`] at the end.
    pub fn i32(&mut self) -> Result<i32, Short> {
        self.array().map(i32::from_le_bytes)
    }

    /// An unsigned 32-bit number, little-endian.
    ///
    /// # Errors
    /// [`Short::More`] at the end.
    pub fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_le_bytes)
    }

    /// A varint (protocol 4.2), taken modulo 2^32.
    ///
    /// # Errors
    /// [`Short::More`] at the end; [`NumberError::Varint`].
    pub fn varint(&mut self) -> Result<i32, Short> {
        let first = *self.rest().first().ok_or(Short::More)?;
        let further = marker(first);
        if further > 4 {
            return Err(Short::Bad(NumberError::Varint(first)));
        }
        let low = self.take(1 + further)?.get(1..).unwrap_or_default();
        let [a, b, c, d, ..] = assemble(first, further, low).to_le_bytes();
        Ok(i32::from_le_bytes([a, b, c, d]))
    }

    /// A varlong with its field's least length (protocol 4.3).
    ///
    /// # Errors
    /// [`Short::More`] at the end; [`NumberError::Varlong`].
    pub fn varlong(&mut self, min: Min) -> Result<i64, Short> {
        let first = *self.rest().first().ok_or(Short::More)?;
        let further = marker(first);
        if min.bytes() + further > 9 {
            return Err(Short::Bad(NumberError::Varlong(first)));
        }
        let low = self.take(min.bytes() + further)?.get(1..).unwrap_or_default();
        Ok(assemble(first, further, low).cast_signed())
    }

    /// A vstring of at most `max` bytes (protocol 4.4).
    ///
    /// # Errors
    /// [`Short::More`] at the end; [`NumberError::TooLong`].
    pub fn vstring(&mut self, max: usize) -> Result<&'a [u8], Short> {
        let mut ahead = self.clone();
        let first = usize::from(ahead.u8()?);
        let length = if first < 0x80 { first } else { ((first & 0x7f) << 8) | usize::from(ahead.u8()?) };
        if length > max {
            return Err(Short::Bad(NumberError::TooLong { length, max }));
        }
        let text = ahead.take(length)?;
        self.at = ahead.at;
        Ok(text)
    }
}

/// How many further bytes the first byte announces: its leading ones, of which six count at most.
fn marker(first: u8) -> usize {
    match first.leading_ones() {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 3,
        4 => 4,
        5 => 5,
        _ => 6,
    }
}

/// The low bytes in little-endian order with what is left of the first byte on top; what does not fit 64 bits is lost.
fn assemble(first: u8, further: usize, low: &[u8]) -> u64 {
    let kept = first & !leading_ones(further) & if further >= 6 { 3 } else { 0xff >> (further + 1) };
    low.iter().rev().fold(u64::from(kept), |value, &byte| (value << 8) | u64::from(byte))
}

/// The index that ends a phase (protocol 4.5).
pub const NDX_DONE: i32 = -1;
/// The index that says that no further sub-list comes (protocol 4.5).
pub const NDX_FLIST_EOF: i32 = -2;
/// The index that announces deletion statistics (protocol 10.4).
pub const NDX_DEL_STATS: i32 = -3;

/// What both ends of a direction remember about the last indices (protocol 4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
struct NdxState {
    positive: i64,
    negative: i64,
}

impl Default for NdxState {
    fn default() -> Self {
        Self { positive: -1, negative: 1 }
    }
}

/// Writes file indices; one for each direction of a session (protocol 4.5).
#[derive(Clone, Debug, Default)]
pub struct NdxWriter(NdxState);

impl NdxWriter {
    /// Appends one index.
    pub fn write(&mut self, out: &mut Vec<u8>, ndx: i32) {
        if ndx == NDX_DONE {
            out.push(0);
            return;
        }
        let magnitude = ndx.unsigned_abs();
        let last = if ndx >= 0 {
            &mut self.0.positive
        } else {
            out.push(0xff);
            &mut self.0.negative
        };
        let step = i64::from(magnitude) - *last;
        *last = i64::from(magnitude);
        match (u8::try_from(step), u16::try_from(step)) {
            (Ok(step @ 1..=253), _) => out.push(step),
            (_, Ok(step @ 0..=0x7fff)) => {
                out.push(0xfe);
                out.extend_from_slice(&step.to_be_bytes());
            }
            _ => {
                let [a, b, c, d] = magnitude.to_le_bytes();
                out.extend_from_slice(&[0xfe, d | 0x80, a, b, c]);
            }
        }
    }
}

/// Reads file indices; one for each direction of a session (protocol 4.5).
#[derive(Clone, Debug, Default)]
pub struct NdxReader(NdxState);

impl NdxReader {
    /// Reads one index.
    ///
    /// # Errors
    /// [`Short::More`] at the end, with the state as before; [`NumberError::Index`].
    pub fn read(&mut self, from: &mut Cursor<'_>) -> Result<i32, Short> {
        const BAD: Short = Short::Bad(NumberError::Index);
        let mut ahead = from.clone();
        let mut first = ahead.u8()?;
        if first == 0 {
            *from = ahead;
            return Ok(NDX_DONE);
        }
        let negative = first == 0xff;
        if negative {
            first = ahead.u8()?;
        }
        let last = if negative { self.0.negative } else { self.0.positive };
        let magnitude = match first {
            0xff => return Err(BAD),
            0xfe => match (ahead.u8()?, ahead.u8()?) {
                (high @ 0x80.., low) => i64::from(u32::from_le_bytes([low, ahead.u8()?, ahead.u8()?, high & 0x7f])),
                (high, low) => last + i64::from(u16::from_be_bytes([high, low])),
            },
            step => last + i64::from(step),
        };
        let ndx = i32::try_from(if negative { -magnitude } else { magnitude }).map_err(|_| BAD)?;
        // DONE has a byte of its own, so neither 0 nor 1 is the magnitude of a negative index.
        if magnitude < if negative { 2 } else { 0 } {
            return Err(BAD);
        }
        *if negative { &mut self.0.negative } else { &mut self.0.positive } = magnitude;
        *from = ahead;
        Ok(ndx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        text.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    }

    /// Encodes, decodes, and decodes every proper prefix, which must ask for more.
    fn check<T: PartialEq + std::fmt::Debug + Copy>(
        value: T,
        bytes: &str,
        put: impl Fn(&mut Vec<u8>, T),
        read: impl Fn(&mut Cursor<'_>) -> Result<T, Short>,
    ) {
        let (bytes, mut out) = (hex(bytes), Vec::new());
        put(&mut out, value);
        assert_eq!(out, bytes, "{value:?}");
        let mut cursor = Cursor::new(&bytes);
        assert_eq!((read(&mut cursor), cursor.consumed()), (Ok(value), bytes.len()), "{value:?}");
        for end in 0..bytes.len() {
            let mut cursor = Cursor::new(&bytes[..end]);
            assert_eq!((read(&mut cursor), cursor.consumed()), (Err(Short::More), 0), "{value:?} cut at {end}");
        }
    }

    #[test]
    fn varints_are_coded_as_the_protocol_shows() {
        for (value, bytes) in [
            (0, "00"),
            (127, "7f"),
            (128, "80 80"),
            (300, "81 2c"),
            (511, "81 ff"),
            (16_383, "bf ff"),
            (16_384, "c0 00 40"),
            (65_536, "c1 00 00"),
            (1_000_000, "cf 40 42"),
            (2_097_151, "df ff ff"),
            (2_097_152, "e0 00 00 20"),
            (268_435_455, "ef ff ff ff"),
            (268_435_456, "f0 00 00 00 10"),
            (-1, "f0 ff ff ff ff"),
            (i32::MAX, "f0 ff ff ff 7f"),
            (i32::MIN, "f0 00 00 00 80"),
        ] {
            check(value, bytes, put_varint, |from| from.varint());
        }
        for first in 0xf8..=0xff {
            let error = Cursor::new(&[first, 0, 0, 0, 0, 0, 0, 0]).varint();
            assert_eq!(error, Err(Short::Bad(NumberError::Varint(first))));
        }
    }

    #[test]
    fn varlongs_are_coded_as_the_protocol_shows() {
        for (value, bytes) in [
            (0, "00 00 00"),
            (1, "00 01 00"),
            (1000, "00 e8 03"),
            (65_535, "00 ff ff"),
            (65_536, "01 00 00"),
            (8_388_607, "7f ff ff"),
            (8_388_608, "80 00 00 80"),
            (16_777_216, "81 00 00 00"),
            (1 << 32, "c1 00 00 00 00"),
            (5 << 30, "c1 00 00 00 40"),
            (-1, "fc ff ff ff ff ff ff ff ff"),
        ] {
            check(value, bytes, |out, v| put_varlong(out, v, Min::Three), |from| from.varlong(Min::Three));
        }
        for (value, bytes) in [
            (0, "00 00 00 00"),
            (1_600_000_000, "5f 00 10 5e"),
            (1_700_000_000, "65 00 f1 53"),
            (1 << 31, "80 00 00 00 80"),
            (1 << 32, "81 00 00 00 00"),
            (-1, "f8 ff ff ff ff ff ff ff ff"),
            (i64::MIN, "f8 00 00 00 00 00 00 00 80"),
        ] {
            check(value, bytes, |out, v| put_varlong(out, v, Min::Four), |from| from.varlong(Min::Four));
        }
        assert_eq!(Cursor::new(&[0xfc; 16]).varlong(Min::Four), Err(Short::Bad(NumberError::Varlong(0xfc))));
    }

    #[test]
    fn every_size_of_varint_and_varlong_survives_the_trip() {
        for shift in 0..64 {
            for near in -2..=2_i64 {
                let value = (1_i64 << shift).wrapping_add(near);
                for min in [Min::Three, Min::Four] {
                    let mut out = Vec::new();
                    put_varlong(&mut out, value, min);
                    assert_eq!(Cursor::new(&out).varlong(min), Ok(value));
                }
                if let Ok(value) = i32::try_from(value) {
                    let mut out = Vec::new();
                    put_varint(&mut out, value);
                    assert_eq!(Cursor::new(&out).varint(), Ok(value));
                }
            }
        }
    }

    #[test]
    fn vstrings_have_one_or_two_bytes_of_length() {
        for (length, head) in [(0, "00"), (1, "01"), (127, "7f"), (128, "80 80"), (300, "81 2c"), (32_767, "ff ff")] {
            let (text, mut out) = (vec![b'x'; length], Vec::new());
            put_vstring(&mut out, &text);
            assert_eq!(out, [hex(head), text.clone()].concat());
            assert_eq!(Cursor::new(&out).vstring(VSTRING_MAX), Ok(&text[..]));
            assert_eq!(Cursor::new(&out[..out.len() - 1]).vstring(VSTRING_MAX), Err(Short::More));
        }
        let too_long = NumberError::TooLong { length: 6, max: 5 };
        assert_eq!(Cursor::new(b"\x06").vstring(5), Err(Short::Bad(too_long)));
    }

    #[test]
    fn indices_are_coded_as_the_worked_sequence() {
        let (mut writer, mut reader) = (NdxWriter::default(), NdxReader::default());
        for (ndx, bytes) in [
            (0, "01"),
            (1, "01"),
            (2, "01"),
            (253, "fb"),
            (254, "01"),
            (508, "fe 00 fe"),
            (600, "5c"),
            (40_000, "fe 80 40 9c 00"),
            (39_999, "fe 80 3f 9c 00"),
            (39_999, "fe 00 00"),
            (-2, "ff 01"),
            (-101, "ff 63"),
            (-102, "ff 01"),
            (-101, "ff fe 80 65 00 00"),
            (-1, "00"),
            (i32::MAX, "fe ff ff ff ff"),
        ] {
            let (bytes, mut out) = (hex(bytes), Vec::new());
            writer.write(&mut out, ndx);
            assert_eq!(out, bytes, "{ndx}");
            let before = reader.0.clone();
            for end in 0..bytes.len() {
                assert_eq!(reader.read(&mut Cursor::new(&bytes[..end])), Err(Short::More));
                assert_eq!(reader.0, before, "{ndx} cut at {end}");
            }
            assert_eq!(reader.read(&mut Cursor::new(&bytes)), Ok(ndx));
        }
        // One step beyond 2^31 - 1, an index of -1 in disguise, and markers that nobody writes.
        for bytes in ["01", "fe 7f ff", "ff ff", "ff fe 80 01 00 00"] {
            assert_eq!(reader.read(&mut Cursor::new(&hex(bytes))), Err(Short::Bad(NumberError::Index)), "{bytes}");
        }
        let fresh = NdxReader::default().read(&mut Cursor::new(&hex("fe 00 00")));
        assert_eq!(fresh, Err(Short::Bad(NumberError::Index)));
    }
}
