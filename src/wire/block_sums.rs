//! What a client says of its old file: the header and the sums of its blocks (protocol 9.2).
//!
//! Sums are compared at one length only, fixed in [`SumSet::begin`] by what is on the wire and what the digest has.
//! Invariants: a [`SumHead`] exists only within the bounds of protocol 9.2; a [`SumSet`] grows as bytes arrive, never
//! by an announced count, and keeps at most [`MAX_BLOCKS`] blocks: further ones are read and never match, which is
//! always correct.
//! Absent on purpose: the choice of block sizes, which is the receiver's (protocol 9.3).

use thiserror::Error;

use super::sums::SumKind;

/// Largest block in bytes (protocol 9.2).
pub const BLOCK_MAX: u32 = 131_072;
/// Most bytes of a strong sum in a header (protocol 9.2).
pub const STRONG_MAX: u32 = 16;
/// Most blocks that a header may announce: twice what stock clients produce for 1 TiB (protocol 9.2).
pub const COUNT_MAX: u32 = 1 << 24;
/// Most blocks that are kept for matching: stock clients make so many for a file of 16 GiB. They take 2.5 MiB, which each
/// client can make this side hold.
pub const MAX_BLOCKS: u32 = 1 << 17;

/// Why a block header cannot be right (protocol 9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SumError {
    /// Negative, or more than [`COUNT_MAX`].
    #[error("invalid number of block sums: {0}")]
    Count(i32),
    /// Negative, more than [`BLOCK_MAX`], or zero although there are blocks.
    #[error("invalid block length: {0}")]
    Block(i32),
    /// Negative, or more than [`STRONG_MAX`].
    #[error("invalid length of strong sums: {0}")]
    Strong(i32),
    /// Negative, or longer than a block.
    #[error("invalid length of the last block: {0}")]
    Remainder(i32),
}

/// The four numbers before block sums, within their bounds (protocol 9.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SumHead {
    count: u32,
    block: u32,
    strong: u32,
    remainder: u32,
}

impl SumHead {
    /// Length on the wire in bytes.
    pub const LENGTH: usize = 16;

    /// No basis: the whole file is wanted.
    pub const WHOLE: Self = Self { count: 0, block: 0, strong: 0, remainder: 0 };

    /// Reads a header as it stands on the wire.
    ///
    /// # Errors
    /// The first number that is out of its bounds.
    pub fn parse(bytes: &[u8; Self::LENGTH]) -> Result<Self, SumError> {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
        Self::new(
            i32::from_le_bytes([a, b, c, d]),
            i32::from_le_bytes([e, f, g, h]),
            i32::from_le_bytes([i, j, k, l]),
            i32::from_le_bytes([m, n, o, p]),
        )
    }

    /// Checks the four numbers: count of blocks, their length in bytes, length of a strong sum, length of the last block
    /// (0: a full one).
    ///
    /// # Errors
    /// The first number that is out of its bounds.
    pub fn new(count: i32, block: i32, strong: i32, remainder: i32) -> Result<Self, SumError> {
        let within = |value: i32, most: u32| u32::try_from(value).ok().filter(|value| *value <= most);
        let head = Self {
            count: within(count, COUNT_MAX).ok_or(SumError::Count(count))?,
            block: within(block, BLOCK_MAX).filter(|b| *b > 0 || count == 0).ok_or(SumError::Block(block))?,
            strong: within(strong, STRONG_MAX).ok_or(SumError::Strong(strong))?,
            remainder: 0,
        };
        let remainder = within(remainder, head.block).ok_or(SumError::Remainder(remainder))?;
        Ok(Self { remainder, ..head })
    }

    /// Appends the header. A sender that answers puts [`SumHead::echoed`] here.
    pub fn put(&self, out: &mut Vec<u8>) {
        for number in [self.count, self.block, self.strong, self.remainder] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// The header for the reply: the strong length never above the digest's, since some clients ask for more than
    /// there is and others refuse to read it back (protocol 9.5.4).
    #[must_use]
    pub fn echoed(&self, kind: SumKind) -> Self {
        Self { strong: self.strong.min(digest_length(kind)), ..*self }
    }

    /// How many blocks the basis has.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of the header and of all block sums behind it: a weak one of four and a strong one for each block.
    #[must_use]
    pub fn whole_length(&self) -> u64 {
        16 + u64::from(self.count) * (4 + u64::from(self.strong))
    }

    /// Length of a full block in bytes.
    #[must_use]
    pub fn block(&self) -> u32 {
        self.block
    }

    /// Bytes of each strong sum on the wire.
    #[must_use]
    pub fn strong(&self) -> u32 {
        self.strong
    }

    /// Length of the last block in bytes, 0 for a full one.
    #[must_use]
    pub fn remainder(&self) -> u32 {
        self.remainder
    }

    /// Length in bytes of one block of the basis, 0 beyond the last one.
    #[must_use]
    pub fn length_of(&self, block: u32) -> u32 {
        match self.count.checked_sub(block) {
            None | Some(0) => 0,
            Some(1) if self.remainder > 0 => self.remainder,
            Some(_) => self.block,
        }
    }

    /// Length of the basis in bytes; in append mode, of the prefix that the client has (protocol 9.9).
    #[must_use]
    pub fn basis_length(&self) -> u64 {
        let missing = if self.remainder > 0 { self.block - self.remainder } else { 0 };
        (u64::from(self.count) * u64::from(self.block)).saturating_sub(u64::from(missing))
    }
}

fn digest_length(kind: SumKind) -> u32 {
    u32::try_from(kind.length()).unwrap_or(STRONG_MAX)
}

/// The block sums of a basis, filled as they arrive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SumSet {
    head: SumHead,
    compared: usize,
    arrived: u32,
    weak: Vec<u32>,
    strong: Vec<u8>,
}

impl SumSet {
    /// Starts with the header; `kind` is the agreed block sum. With a header of no blocks the set is complete at once.
    #[must_use]
    pub fn begin(head: SumHead, kind: SumKind) -> Self {
        let compared = usize::try_from(head.echoed(kind).strong).unwrap_or_default();
        Self { head, compared, ..Self::default() }
    }

    /// Takes whole records (weak sum, strong sum) from the front of `input` and leaves the rest there. Returns whether
    /// the set is complete; until then, call again with what was left and what has arrived since.
    pub fn fill(&mut self, input: &mut &[u8]) -> bool {
        let strong = usize::try_from(self.head.strong).unwrap_or_default();
        while self.arrived < self.head.count
            && let Some((weak, rest)) = input.split_first_chunk::<4>()
            && let Some((sum, rest)) = rest.split_at_checked(strong)
        {
            if self.arrived < MAX_BLOCKS {
                self.weak.push(u32::from_le_bytes(*weak));
                self.strong.extend_from_slice(sum.get(..self.compared).unwrap_or_default());
            }
            self.arrived += 1;
            *input = rest;
        }
        self.is_complete()
    }

    /// Whether all announced blocks have arrived.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.arrived == self.head.count
    }

    /// The header as it was received.
    #[must_use]
    pub fn head(&self) -> &SumHead {
        &self.head
    }

    /// The weak sum of a block, if the block is kept.
    #[must_use]
    pub fn weak_of(&self, block: u32) -> Option<u32> {
        self.weak.get(usize::try_from(block).ok()?).copied()
    }

    /// The weak sums that are kept, by block number.
    #[must_use]
    pub fn weak(&self) -> &[u32] {
        &self.weak
    }

    /// What is compared of the strong sum of a block: empty for a block that is not kept.
    #[must_use]
    pub fn strong_of(&self, block: u32) -> &[u8] {
        usize::try_from(block)
            .ok()
            .and_then(|block| block.checked_mul(self.compared))
            .and_then(|at| self.strong.get(at..at + self.compared))
            .unwrap_or_default()
    }

    /// Bytes of memory that the sums take now.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.weak.capacity() * size_of::<u32>() + self.strong.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_out_of_their_bounds_are_refused() {
        let rows = [
            ((0, 0, 0, 0), None),
            ((9, 700, 2, 521), None),
            ((1, 131_072, 16, 131_072), None),
            ((0, 700, 2, 0), None),
            ((16_777_216, 1, 16, 0), None),
            ((-1, 700, 2, 0), Some(SumError::Count(-1))),
            ((16_777_217, 700, 2, 0), Some(SumError::Count(16_777_217))),
            ((1, 0, 2, 0), Some(SumError::Block(0))),
            ((0, -1, 2, 0), Some(SumError::Block(-1))),
            ((1, 131_073, 2, 0), Some(SumError::Block(131_073))),
            ((1, 700, -1, 0), Some(SumError::Strong(-1))),
            ((1, 700, 17, 0), Some(SumError::Strong(17))),
            ((1, 700, 2, -1), Some(SumError::Remainder(-1))),
            ((1, 700, 2, 701), Some(SumError::Remainder(701))),
            ((0, 0, 2, i32::MIN), Some(SumError::Remainder(i32::MIN))),
        ];
        for ((count, block, strong, remainder), expected) in rows {
            let mut bytes = Vec::new();
            for number in [count, block, strong, remainder] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            let parsed = SumHead::parse(bytes.first_chunk().expect("16 bytes"));
            assert_eq!(parsed.err(), expected, "{count} {block} {strong} {remainder}");
            if let Ok(head) = parsed {
                let mut again = Vec::new();
                head.put(&mut again);
                assert_eq!(again, bytes);
            }
        }
    }

    #[test]
    fn a_header_knows_the_length_of_its_basis() {
        let rows = [
            (0_u64, 0, 0, 0),
            (1, 1, 700, 1),
            (700, 1, 700, 0),
            (1_000, 2, 700, 300),
            (2_000_000, 1_421, 1_408, 640),
            (1_000_000_000, 31_630, 31_616, 17_536),
            (100_000_000_000, 762_940, 131_072, 59_392),
            (1 << 40, 8_388_608, 131_072, 0),
        ];
        for (length, count, block, remainder) in rows {
            let head = SumHead::new(count, block, 2, remainder).expect("legal");
            assert_eq!(head.basis_length(), length);
            if length < 10_000_000 {
                let sum: u64 = (0..=head.count()).map(|block| u64::from(head.length_of(block))).sum();
                assert_eq!(sum, length);
            }
        }
    }

    /// The request of protocol 9.1: header and the first two blocks of nine.
    const RECORDED: &[u8] =
        b"\x09\0\0\0\xbc\x02\0\0\x02\0\0\0\x09\x02\0\0\x93\xe0\xce\xc1\x27\x53\x27\xe2\x96\xc2\x92\x0f";

    #[test]
    fn sums_arrive_in_any_pieces() {
        let (head, blocks) = RECORDED.split_first_chunk().expect("a header");
        let head = SumHead::parse(head).expect("legal");
        let nine = blocks.repeat(5);
        let mut stream = nine[..9 * 6].to_vec();
        stream.extend_from_slice(b"next");
        for step in 1..20 {
            let mut set = SumSet::begin(head, SumKind::Xxh128);
            let (mut kept, mut complete) = (Vec::new(), false);
            for piece in stream.chunks(step) {
                kept.extend_from_slice(piece);
                let mut input = kept.as_slice();
                complete = set.fill(&mut input);
                kept = input.to_vec();
            }
            assert!(complete);
            assert_eq!(kept, b"next");
            assert_eq!(set.weak().len(), 9);
            assert_eq!((set.weak_of(0), set.weak_of(1)), (Some(0xc1ce_e093), Some(0xc296_e227)));
            assert_eq!(
                (set.strong_of(0), set.strong_of(1), set.strong_of(9)),
                (&b"\x27\x53"[..], &b"\x92\x0f"[..], &[][..])
            );
        }
    }

    #[test]
    fn strong_sums_longer_than_the_digest_are_read_and_cut() {
        let head = SumHead::new(1, 700, 16, 5).expect("legal");
        let mut set = SumSet::begin(head, SumKind::Xxh64);
        let stream: Vec<u8> = (0..21).collect();
        let mut input = stream.as_slice();
        assert!(set.fill(&mut input));
        assert_eq!(input, [20]);
        assert_eq!(set.strong_of(0), [4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(head.echoed(SumKind::Xxh64).strong(), 8);
        assert_eq!(head.echoed(SumKind::Sha1).strong(), 16);
    }

    #[test]
    fn blocks_beyond_the_limit_are_read_but_not_kept() {
        let head = SumHead::new(1_200_000, 1, 0, 0).expect("legal");
        let mut set = SumSet::begin(head, SumKind::Md5);
        let stream = vec![0; 4 * 1_200_000];
        let mut input = stream.as_slice();
        assert!(set.fill(&mut input));
        assert!(input.is_empty());
        assert_eq!(set.weak().len(), 1 << 17);
        assert!(set.memory() <= 8 << 20);
        assert_eq!(set.weak_of(MAX_BLOCKS), None);
    }

    #[test]
    fn an_announced_count_takes_no_memory() {
        let head = SumHead::new(16_777_216, 131_072, 16, 0).expect("legal");
        let set = SumSet::begin(head, SumKind::Md5);
        assert_eq!(set.memory(), 0);
        assert!(!set.is_complete());
        assert!(SumSet::begin(SumHead::WHOLE, SumKind::Md5).is_complete());
    }
}
