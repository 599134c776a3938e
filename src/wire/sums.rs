//! Checksums: the weak sum that rolls, the strong sums of blocks with their seed, and the sum of a whole content.
//!
//! The names, lengths and byte orders are those of the wire, where the xxh family is little-endian and not in its
//! canonical printing order. Invariant: a [`Digest`] holds exactly the bytes that were computed or received, so no
//! comparison can reach beyond them.
//! Absent on purpose: md4, on whose seed stock builds disagree (protocol 3.2).

use md5::{Digest as _, Md5};
use sha1::Sha1;
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed, xxh3_128_with_seed};
use xxhash_rust::xxh64::{Xxh64, xxh64};

pub use super::block_sums::{BLOCK_MAX, COUNT_MAX, MAX_BLOCKS, STRONG_MAX, SumError, SumHead, SumSet};

/// Longest digest in bytes: sha1.
pub const DIGEST_MAX: usize = 20;

/// A strong sum by its protocol name (protocol 9.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SumKind {
    /// XXH3, 128 bits.
    Xxh128,
    /// XXH3, 64 bits.
    Xxh3,
    /// XXH64.
    Xxh64,
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// No sums: whole files only, and their sum is a single zero byte.
    None,
}

/// Where the seed of an MD5 block sum goes: compat bit 5 decides (protocol 9.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SeedOrder {
    /// Seed first, then data: compat bit 5 is set.
    Before,
    /// Data first, then seed: compat bit 5 is clear.
    After,
}

impl SumKind {
    /// All kinds in the order of the stock table, which is the order of preference (protocol 3.2).
    pub const ALL: [Self; 6] = [Self::Xxh128, Self::Xxh3, Self::Xxh64, Self::Md5, Self::Sha1, Self::None];

    /// The name in negotiation lists and options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xxh128 => "xxh128",
            Self::Xxh3 => "xxh3",
            Self::Xxh64 => "xxh64",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::None => "none",
        }
    }

    /// The kind of a name, in exactly this spelling; `None` for a name that we do not know.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().as_bytes() == name)
    }

    /// Length of the whole digest in bytes.
    #[must_use]
    pub const fn length(self) -> usize {
        match self {
            Self::Xxh128 | Self::Md5 => 16,
            Self::Xxh3 | Self::Xxh64 => 8,
            Self::Sha1 => 20,
            Self::None => 1,
        }
    }

    /// The seeded sum of one block (protocol 9.5.2). The seed is sign-extended for the xxh family; zero means none.
    /// For [`SumKind::None`], which never has block sums, a single zero byte.
    #[must_use]
    pub fn block(self, seed: i32, order: SeedOrder, data: &[u8]) -> Digest {
        let wide = i64::from(seed).cast_unsigned();
        let bytes = seed.to_le_bytes();
        let salt: &[u8] = if seed == 0 { &[] } else { &bytes };
        match (self, order) {
            (Self::Xxh128, _) => Digest::new(&xxh3_128_with_seed(data, wide).to_le_bytes()),
            (Self::Xxh3, _) => Digest::new(&xxh3_64_with_seed(data, wide).to_le_bytes()),
            (Self::Xxh64, _) => Digest::new(&xxh64(data, wide).to_le_bytes()),
            (Self::Md5, SeedOrder::Before) => Digest::new(&Md5::new_with_prefix(salt).chain_update(data).finalize()),
            (Self::Md5, SeedOrder::After) => Digest::new(&Md5::new_with_prefix(data).chain_update(salt).finalize()),
            (Self::Sha1, _) => Digest::new(&Sha1::new_with_prefix(salt).chain_update(data).finalize()),
            (Self::None, _) => Digest::new(&[0]),
        }
    }

    /// The unseeded sum of a whole content that is in memory (protocol 9.5.2).
    #[must_use]
    pub fn whole(self, data: &[u8]) -> Digest {
        self.block(0, SeedOrder::Before, data)
    }
}

/// A strong sum as it stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    bytes: [u8; DIGEST_MAX],
    length: u8,
}

impl Digest {
    /// Takes at most [`DIGEST_MAX`] bytes.
    #[must_use]
    pub fn new(from: &[u8]) -> Self {
        let mut bytes = [0; DIGEST_MAX];
        let mut length = 0;
        for (to, byte) in bytes.iter_mut().zip(from) {
            *to = *byte;
            length += 1;
        }
        Self { bytes, length }
    }

    /// The bytes, in the order of the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// A sum that is certainly not this one, for a content that could not be read to its end: all zero, or with the
    /// last byte 1 where this one is all zero (protocol 9.4).
    #[must_use]
    pub fn wrong(&self) -> Self {
        let mut wrong = Self { bytes: [0; DIGEST_MAX], length: self.length };
        if self.as_bytes().iter().all(|byte| *byte == 0)
            && let Some(last) = usize::from(self.length).checked_sub(1).and_then(|at| wrong.bytes.get_mut(at))
        {
            *last = 1;
        }
        wrong
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The unseeded sum of a content that flows by (protocol 9.5.2).
#[derive(Clone)]
pub enum WholeSum {
    /// XXH3, 128 bits.
    Xxh128(Xxh3),
    /// XXH3, 64 bits.
    Xxh3(Xxh3),
    /// XXH64.
    Xxh64(Xxh64),
    /// MD5.
    Md5(Md5),
    /// SHA-1.
    Sha1(Sha1),
    /// Nothing is summed.
    None,
}

impl WholeSum {
    /// Starts the sum of one content.
    #[must_use]
    pub fn new(kind: SumKind) -> Self {
        match kind {
            SumKind::Xxh128 => Self::Xxh128(Xxh3::new()),
            SumKind::Xxh3 => Self::Xxh3(Xxh3::new()),
            SumKind::Xxh64 => Self::Xxh64(Xxh64::new(0)),
            SumKind::Md5 => Self::Md5(Md5::new()),
            SumKind::Sha1 => Self::Sha1(Sha1::new()),
            SumKind::None => Self::None,
        }
    }

    /// Adds the next bytes of the content.
    pub fn update(&mut self, data: &[u8]) {
        match self {
            Self::Xxh128(state) | Self::Xxh3(state) => state.update(data),
            Self::Xxh64(state) => state.update(data),
            Self::Md5(state) => state.update(data),
            Self::Sha1(state) => state.update(data),
            Self::None => {}
        }
    }

    /// The sum of all that was added.
    #[must_use]
    pub fn finish(self) -> Digest {
        match self {
            Self::Xxh128(state) => Digest::new(&state.digest128().to_le_bytes()),
            Self::Xxh3(state) => Digest::new(&state.digest().to_le_bytes()),
            Self::Xxh64(state) => Digest::new(&state.digest().to_le_bytes()),
            Self::Md5(state) => Digest::new(&state.finalize()),
            Self::Sha1(state) => Digest::new(&state.finalize()),
            Self::None => Digest::new(&[0]),
        }
    }
}

impl std::fmt::Debug for WholeSum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WholeSum")
    }
}

/// The weak sum of a block (protocol 9.5.1).
#[must_use]
pub fn weak(data: &[u8]) -> u32 {
    Rolling::of(data).value()
}

/// The weak sum of a window that moves on by one byte at a time (protocol 9.5.1).
///
/// The two halves are kept in 32 bits and wrap: only their low 16 bits count, and wrapping sums keep those right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rolling {
    sum: u32,
    weighted: u32,
    length: u32,
}

/// A byte as the signed number that it stands for in weak sums, modulo 2^32.
#[inline]
fn signed(byte: u8) -> u32 {
    i32::from(byte.cast_signed()).cast_unsigned()
}

impl Rolling {
    /// The sum of a whole window; a length beyond 32 bits wraps, which is right modulo 2^32.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        const STEP: usize = 16;
        const WEIGHTS: [u32; STEP] = [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1];
        let (steps, rest) = data.as_chunks::<STEP>();
        let (mut sum, mut weighted) = (0_u32, 0_u32);
        for step in steps {
            let (mut plain, mut heavy) = (0_u32, 0_u32);
            for (byte, weight) in step.iter().zip(WEIGHTS) {
                plain = plain.wrapping_add(signed(*byte));
                heavy = heavy.wrapping_add(signed(*byte).wrapping_mul(weight));
            }
            weighted = weighted.wrapping_add(sum.wrapping_mul(WEIGHTS[0])).wrapping_add(heavy);
            sum = sum.wrapping_add(plain);
        }
        for byte in rest {
            sum = sum.wrapping_add(signed(*byte));
            weighted = weighted.wrapping_add(sum);
        }
        Self { sum, weighted, length: low_bits(data.len()) }
    }

    /// Moves the window on: `leaving` is its first byte, `entering` the one behind its last.
    #[inline]
    pub fn roll(&mut self, leaving: u8, entering: u8) {
        let leaving = signed(leaving);
        self.sum = self.sum.wrapping_add(signed(entering)).wrapping_sub(leaving);
        self.weighted = self.weighted.wrapping_add(self.sum).wrapping_sub(self.length.wrapping_mul(leaving));
    }

    /// The sum as it stands on the wire.
    #[must_use]
    #[inline]
    pub fn value(self) -> u32 {
        (self.sum & 0xffff) | (self.weighted << 16)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "weak sums are taken modulo a power of two")]
fn low_bits(length: usize) -> u32 {
    length as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &[u8] = b"hello, world\n";

    fn hex(digest: &Digest) -> String {
        format!("{digest:?}")
    }

    #[test]
    fn weak_sums_take_bytes_as_signed() {
        assert_eq!(weak(HELLO), 0x21da_0492);
        assert_eq!(weak(&[0x00, 0x7f, 0x80, 0xff, 0x01]), 0x007b_ffff);
        assert_eq!(weak(b""), 0);
    }

    #[test]
    fn a_window_that_rolled_has_the_sum_of_a_fresh_one() {
        let data: Vec<u8> = (0..70_000_u32).flat_map(|n| n.wrapping_mul(0x9e37_79b1).to_le_bytes()).collect();
        for length in [1, 7, 16, 700, 131_072] {
            let mut rolling = Rolling::of(&data[..length]);
            for at in 0..300 {
                let plain = data[at..at + length].iter().rev().zip(1_u32..).fold((0_u32, 0_u32), |(s1, s2), (b, n)| {
                    let b = i32::from(b.cast_signed()).cast_unsigned();
                    (s1.wrapping_add(b), s2.wrapping_add(b.wrapping_mul(n)))
                });
                assert_eq!(rolling.value(), (plain.0 & 0xffff) | (plain.1 << 16), "{length} at {at}");
                rolling.roll(data[at], data[at + length]);
            }
        }
    }

    #[test]
    fn strong_sums_are_those_of_the_protocol() {
        let rows = [
            (SumKind::Md5, SeedOrder::Before, 0, "22c3683b094136c3398391ae71b20f04"),
            (SumKind::Md5, SeedOrder::Before, 1, "e1b8802525c8249016f5ba220f69f3b6"),
            (SumKind::Md5, SeedOrder::Before, -5, "a8499eed72d16d73023831a1e8ddd17c"),
            (SumKind::Md5, SeedOrder::After, 0, "22c3683b094136c3398391ae71b20f04"),
            (SumKind::Md5, SeedOrder::After, 1, "25575b48f1f9d3da2e8cca34d01f07f7"),
            (SumKind::Xxh64, SeedOrder::Before, 0, "4c1ff9f1612adcab"),
            (SumKind::Xxh64, SeedOrder::After, 1, "75864a64aad44a20"),
            (SumKind::Xxh64, SeedOrder::Before, -5, "d6f2ef1cf1cef72f"),
            (SumKind::Xxh3, SeedOrder::Before, 0, "535607eced870666"),
            (SumKind::Xxh3, SeedOrder::Before, 1, "95ce0c0525c6008d"),
            (SumKind::Xxh3, SeedOrder::Before, -5, "640de294e9ed0510"),
            (SumKind::Xxh128, SeedOrder::Before, 0, "b82c42cceffac42f631aa16433d7f7ae"),
            (SumKind::Xxh128, SeedOrder::Before, 1, "5cc23136da21cbfda1112233b73a5045"),
            (SumKind::Xxh128, SeedOrder::Before, -5, "dec08be58afacf287244a7164e579bba"),
            (SumKind::Sha1, SeedOrder::Before, 0, "cd50d19784897085a8d0e3e413f8612b097c03f1"),
            (SumKind::Sha1, SeedOrder::After, 1, "ea637f3d9d007063b8fcbf4c15a39318c6d0263e"),
            (SumKind::Sha1, SeedOrder::Before, -5, "ef642dee1dab168a057e5dd136d18c333cf8f817"),
        ];
        for (kind, order, seed, expected) in rows {
            let digest = kind.block(seed, order, HELLO);
            assert_eq!(hex(&digest), expected, "{kind:?} {order:?} {seed}");
            assert_eq!(digest.as_bytes().len(), kind.length());
        }
        assert_eq!(hex(&SumKind::Md5.whole(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex(&SumKind::Xxh128.whole(b"")), "7f498d4624c30160d8984701d306aa99");
    }

    #[test]
    fn a_content_in_pieces_has_the_sum_of_the_whole() {
        let data: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        for kind in SumKind::ALL {
            let mut sum = WholeSum::new(kind);
            data.chunks(777).for_each(|piece| sum.update(piece));
            let digest = sum.finish();
            assert_eq!(digest, kind.whole(&data), "{kind:?}");
            assert_eq!(digest.as_bytes().len(), kind.length());
        }
    }

    #[test]
    fn a_wrong_sum_is_never_the_right_one() {
        for right in [SumKind::Md5.whole(HELLO), SumKind::None.whole(HELLO), Digest::new(&[0; 8])] {
            let wrong = right.wrong();
            assert_ne!(wrong, right);
            assert_eq!(wrong.as_bytes().len(), right.as_bytes().len());
        }
        assert_eq!(hex(&Digest::new(&[0; 8]).wrong()), "0000000000000001");
        assert_eq!(hex(&Digest::new(&[7; 8]).wrong()), "0000000000000000");
    }

    #[test]
    fn names_lead_back_to_their_kind() {
        for kind in SumKind::ALL {
            assert_eq!(SumKind::from_name(kind.name().as_bytes()), Some(kind));
        }
        assert_eq!(SumKind::from_name(b"md4"), None);
        assert_eq!(SumKind::from_name(b"XXH128"), None);
    }
}
