//! Finding the blocks of the receiver's old file in the new one while it flows by (protocol 9.8).
//!
//! A window of one block moves over the content, its weak sum rolls along, and a bitmap says for nearly every position
//! that no block has that sum. Only where one has it, a strong sum is made and the blocks with that weak sum are looked
//! at, the one after the previous match first, since runs code shorter.
//! Invariants: tokens put together are the content, whatever the sums say; a block is named only when its weak and
//! strong sum agree and the window is exactly as long; memory stays below two blocks, 160 KiB and 16 bytes for each
//! block that is kept, and work below a fixed amount for each byte: a list made to cost more is not searched any
//! further, and literals are always correct.
//! Absent on purpose: the content's sum, and any knowledge of how tokens look on the wire.

use super::sums::{Rolling, SeedOrder, SumHead, SumKind, SumSet};

/// What the receiver has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// Append these bytes.
    Literal(&'a [u8]),
    /// Append this block of the old file.
    Copy {
        /// Its number.
        block: u32,
        /// What it holds, if the sums do not lie.
        content: &'a [u8],
    },
}

/// Where the receiver puts the new content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Beside the old file: every block stays usable.
    Free,
    /// Over the old file: a block is usable until it is overwritten (protocol 9.8, "in place").
    InPlace,
}

/// Most blocks that are looked at for one position (protocol 9.8 and 14.2).
const CANDIDATES_MAX: usize = 1_000;

/// The content is taken in steps of this many bytes.
const STEP: usize = 1 << 16;

/// Literal data is let go in multiples of this many bytes, which is what fits under one plain token.
const LITERAL_STEP: usize = super::tokens::LITERAL_MAX;

/// Bytes that may be hashed in vain for each byte of content. Honest lists stay below 32 (2^20 blocks of 128 KiB whose
/// weak sums meet by chance).
const WORK_PER_BYTE: u64 = 64;

/// Bytes that may be hashed in vain before the content has earned any: 16 MiB.
const WORK_AT_START: u64 = 1 << 24;

/// What looking at one block costs, in bytes hashed.
const WORK_PER_CANDIDATE: u64 = 8;

/// Finds matches in one content.
#[derive(Debug)]
pub struct Matcher {
    search: Option<Search>,
}

impl Matcher {
    /// For a content whose receiver sent these sums, made of this kind and seed. Without blocks, or without strong sums
    /// to compare, all of the content becomes literals, without a copy.
    #[must_use]
    pub fn new(sums: SumSet, kind: SumKind, seed: i32, order: SeedOrder, placement: Placement) -> Self {
        let comparable = kind != SumKind::None && !sums.strong_of(0).is_empty();
        Self { search: comparable.then(|| Search::new(sums, Strong { kind, seed, order }, placement)) }
    }

    /// Takes the next bytes of the content and tells what has become certain.
    pub fn feed(&mut self, data: &[u8], emit: &mut dyn FnMut(Token<'_>)) {
        for piece in data.chunks(STEP) {
            match &mut self.search {
                Some(search) => {
                    search.feed(piece, emit);
                    if search.work == 0 {
                        search.give_up(emit);
                        self.search = None;
                    }
                }
                None => emit(Token::Literal(piece)),
            }
        }
    }

    /// Ends the content and tells the rest.
    pub fn finish(&mut self, emit: &mut dyn FnMut(Token<'_>)) {
        if let Some(mut search) = self.search.take() {
            search.finish(emit);
        }
    }
}

/// How strong sums are made.
#[derive(Clone, Copy, Debug)]
struct Strong {
    kind: SumKind,
    seed: i32,
    order: SeedOrder,
}

#[derive(Debug)]
struct Search {
    sums: SumSet,
    strong: Strong,
    placement: Placement,
    index: Index,
    /// Length of the window: a full block.
    block: usize,
    /// Bytes of the content that are not yet told, and the window in them.
    buffer: Vec<u8>,
    /// Offset of the buffer in the content.
    offset: u64,
    /// Up to here in the buffer all is told.
    told: usize,
    /// Where the window starts in the buffer.
    at: usize,
    /// The window's sum once it is known that no block matches there.
    rolling: Option<Rolling>,
    /// The block after the previous match.
    wanted: u32,
    /// Bytes that may still be hashed in vain.
    work: u64,
}

impl Search {
    fn new(sums: SumSet, strong: Strong, placement: Placement) -> Self {
        let full = full_blocks(&sums);
        let index = Index::new(sums.weak().get(..full).unwrap_or_default());
        let block = usize::try_from(sums.head().block()).unwrap_or_default();
        Self {
            sums,
            strong,
            placement,
            index,
            block,
            buffer: Vec::new(),
            offset: 0,
            told: 0,
            at: 0,
            rolling: None,
            wanted: 0,
            work: WORK_AT_START,
        }
    }

    fn feed(&mut self, piece: &[u8], emit: &mut dyn FnMut(Token<'_>)) {
        if self.told >= STEP {
            self.buffer.drain(..self.told);
            self.offset += wide(self.told);
            self.at -= self.told;
            self.told = 0;
        }
        self.buffer.extend_from_slice(piece);
        self.work = self.work.saturating_add(wide(piece.len()) * WORK_PER_BYTE);
        self.scan(emit);
        let certain = self.at - self.told;
        self.tell_until(self.told + (certain - certain % LITERAL_STEP), emit);
    }

    /// Moves the window as far as it goes, over all matches.
    fn scan(&mut self, emit: &mut dyn FnMut(Token<'_>)) {
        while let Some(rest) = self.buffer.get(self.at..)
            && let Some((window, entering)) = rest.split_at_checked(self.block)
        {
            let rolling = match self.rolling {
                None => Rolling::of(window),
                Some(rolling) => {
                    let skipped = self.index.skip(rolling, rest, entering);
                    self.at += skipped.steps;
                    self.rolling = Some(skipped.rolling);
                    if !skipped.held {
                        return;
                    }
                    skipped.rolling
                }
            };
            match self.look_up(rolling.value()) {
                Some(block) => {
                    self.tell_until(self.at, emit);
                    self.tell_match(block, self.block, emit);
                    if self.work == 0 {
                        return;
                    }
                }
                None if self.work == 0 => return,
                None => self.rolling = Some(rolling),
            }
        }
    }

    /// The block that is the window, if there is one.
    fn look_up(&mut self, weak: u32) -> Option<u32> {
        let window = self.buffer.get(self.at..self.at + self.block)?;
        let floor = u32::try_from(self.lowest_usable(self.at)).ok()?;
        let wanted = Some(self.wanted)
            .filter(|block| (floor..self.index.blocks).contains(block) && self.sums.weak_of(*block) == Some(weak));
        let mut digest = None;
        let mut seen = 0;
        let found = wanted.into_iter().chain(self.index.blocks_of(weak, floor)).take(CANDIDATES_MAX).find(|block| {
            seen += 1;
            let Strong { kind, seed, order } = self.strong;
            let digest = digest.get_or_insert_with(|| kind.block(seed, order, window));
            digest.as_bytes().starts_with(self.sums.strong_of(*block))
        });
        // A block that is found has paid for the bytes that were hashed, but not for the candidates before it.
        let hashed = if found.is_none() && digest.is_some() { wide(self.block) } else { 0 };
        self.work = self.work.saturating_sub(hashed + seen * WORK_PER_CANDIDATE);
        found
    }

    /// The lowest block number that is not yet overwritten when output has come to this place in the buffer.
    fn lowest_usable(&self, at: usize) -> u64 {
        match self.placement {
            Placement::Free => 0,
            Placement::InPlace => (self.offset + wide(at)).div_ceil(wide(self.block).max(1)),
        }
    }

    /// Tells the literal data before this place in the buffer.
    fn tell_until(&mut self, end: usize, emit: &mut dyn FnMut(Token<'_>)) {
        if let Some(data) = self.buffer.get(self.told..end).filter(|data| !data.is_empty()) {
            emit(Token::Literal(data));
            self.told = end;
        }
    }

    /// Tells that the next bytes are this block. All before must be told.
    fn tell_match(&mut self, block: u32, length: usize, emit: &mut dyn FnMut(Token<'_>)) {
        if let Some(content) = self.buffer.get(self.told..self.told + length) {
            emit(Token::Copy { block, content });
        }
        self.told += length;
        self.at = self.told;
        self.rolling = None;
        self.wanted = block + 1;
    }

    /// Tells everything as literal data: the search has cost too much.
    fn give_up(&mut self, emit: &mut dyn FnMut(Token<'_>)) {
        self.tell_until(self.buffer.len(), emit);
    }

    /// The last block, if it is a short one, can only be the very end of the content.
    fn finish(&mut self, emit: &mut dyn FnMut(Token<'_>)) {
        if let Some((block, length)) = short_block(&self.sums)
            && let Some(start) = self.buffer.len().checked_sub(length).filter(|start| *start >= self.at)
            && let Some(tail) = self.buffer.get(start..)
            && self.lowest_usable(start) <= u64::from(block)
            && self.sums.weak_of(block) == Some(Rolling::of(tail).value())
        {
            let Strong { kind, seed, order } = self.strong;
            if kind.block(seed, order, tail).as_bytes().starts_with(self.sums.strong_of(block)) {
                self.tell_until(start, emit);
                self.tell_match(block, length, emit);
            }
        }
        self.tell_until(self.buffer.len(), emit);
    }
}

/// How many of the kept blocks are full ones: all but a short last one.
fn full_blocks(sums: &SumSet) -> usize {
    sums.weak().len() - usize::from(short_block(sums).is_some())
}

/// Number and length of the last block, if it is shorter than the others and its sums are kept.
fn short_block(sums: &SumSet) -> Option<(u32, usize)> {
    let head: &SumHead = sums.head();
    let last = head.count().checked_sub(1)?;
    let length = head.length_of(last);
    sums.weak_of(last).filter(|_| length < head.block())?;
    Some((last, usize::try_from(length).ok()?))
}

/// Lengths of memory fit 64 bits.
fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Blocks by weak sum: a bitmap that nearly always says no, then block numbers sorted by spread sum, with a table of
/// where each of its leading bits starts. Equal sums stand side by side, so no list can make a look-up long.
#[derive(Debug)]
struct Index {
    blocks: u32,
    bits: Vec<u64>,
    bits_shift: u32,
    /// Spread sum and block number of every block, ascending.
    keys: Vec<u64>,
    starts: Vec<u32>,
    starts_shift: u32,
}

/// How far the window could move.
struct Skipped {
    steps: usize,
    rolling: Rolling,
    /// Whether the last position has the sum of a block; if not, the bytes have come to an end.
    held: bool,
}

impl Index {
    fn new(weak: &[u32]) -> Self {
        let blocks = u32::try_from(weak.len()).unwrap_or_default();
        let magnitude = blocks.next_power_of_two().ilog2();
        let (bits_log, starts_log) = ((magnitude + 6).clamp(12, 24), magnitude.clamp(1, 24));
        let mut keys: Vec<u64> = (0..blocks).zip(weak).map(|(block, sum)| key(mixed(*sum), block)).collect();
        keys.sort_unstable();
        let mut bits = vec![0_u64; 1 << (bits_log - 6)];
        let bits_shift = 32 - bits_log;
        for sum in weak {
            let bit = mixed(*sum) >> bits_shift;
            if let Some(word) = bits.get_mut(index(bit >> 6)) {
                *word |= 1 << (bit & 63);
            }
        }
        let starts_shift = 32 - starts_log;
        let mut starts = Vec::with_capacity((1 << starts_log) + 1);
        for (number, key) in (0..blocks).zip(&keys) {
            while starts.len() <= index(spread(*key) >> starts_shift) {
                starts.push(number);
            }
        }
        starts.resize((1 << starts_log) + 1, blocks);
        Self { blocks, bits, bits_shift, keys, starts, starts_shift }
    }

    /// The blocks from `floor` on that have this weak sum, ascending.
    fn blocks_of(&self, weak: u32, floor: u32) -> impl Iterator<Item = u32> {
        let wanted = mixed(weak);
        let slot = index(wanted >> self.starts_shift);
        let keys = match (self.starts.get(slot), self.starts.get(slot + 1)) {
            (Some(start), Some(end)) => self.keys.get(index(*start)..index(*end)).unwrap_or_default(),
            _ => &[],
        };
        let first = keys.partition_point(|at| *at < key(wanted, floor));
        let equal = keys.get(first..).unwrap_or_default().iter().take_while(move |at| spread(**at) == wanted);
        equal.map(|at| block_of(*at))
    }

    /// Whether some block has this weak sum.
    #[inline]
    fn holds(&self, weak: u32) -> bool {
        let bit = mixed(weak) >> self.bits_shift;
        self.bits.get(index(bit >> 6)).is_some_and(|word| (word >> (bit & 63)) & 1 != 0) && self.really_holds(weak)
    }

    #[cold]
    #[inline(never)]
    fn really_holds(&self, weak: u32) -> bool {
        self.blocks_of(weak, 0).next().is_some()
    }

    /// Moves a window on that does not match, until it has the sum of a block or `entering` has no more bytes.
    /// `leaving` starts at the window.
    fn skip(&self, mut rolling: Rolling, leaving: &[u8], entering: &[u8]) -> Skipped {
        for (step, (out, into)) in leaving.iter().zip(entering).enumerate() {
            rolling.roll(*out, *into);
            if self.holds(rolling.value()) {
                return Skipped { steps: step + 1, rolling, held: true };
            }
        }
        Skipped { steps: entering.len(), rolling, held: false }
    }
}

/// Spreads a weak sum over the high bits, since its halves are poor in small blocks. Different sums stay different.
#[inline]
fn mixed(weak: u32) -> u32 {
    weak.wrapping_mul(0x9e37_79b1)
}

/// A spread sum and a block number as one number that sorts by both.
fn key(spread: u32, block: u32) -> u64 {
    (u64::from(spread) << 32) | u64::from(block)
}

fn spread(key: u64) -> u32 {
    (key >> 32) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half of a key is meant")]
fn block_of(key: u64) -> u32 {
    key as u32
}

/// An index of at most 32 bits, which every machine that we run on can address.
#[inline]
fn index(value: u32) -> usize {
    value as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums_of(basis: &[u8], block: usize, strong: usize) -> SumSet {
        let number = |n: usize| i32::try_from(n).expect("small");
        let head = SumHead::new(
            number(basis.len().div_ceil(block)),
            number(block),
            number(strong),
            number(basis.len() % block),
        );
        let mut set = SumSet::begin(head.expect("legal"), SumKind::Md5);
        let mut stream = Vec::new();
        for block in basis.chunks(block) {
            stream.extend_from_slice(&Rolling::of(block).value().to_le_bytes());
            stream.extend_from_slice(&SumKind::Md5.block(1, SeedOrder::Before, block).as_bytes()[..strong]);
        }
        assert!(set.fill(&mut stream.as_slice()));
        set
    }

    fn matcher(sums: SumSet, placement: Placement) -> Matcher {
        Matcher::new(sums, SumKind::Md5, 1, SeedOrder::Before, placement)
    }

    /// A token in short: a block by number, literals by their bytes.
    type Told = Result<u32, Vec<u8>>;

    fn tokens(mut matcher: Matcher, content: &[u8], step: usize) -> Vec<Told> {
        let mut seen: Vec<Told> = Vec::new();
        let mut emit = |token: Token<'_>| match (token, seen.last_mut()) {
            (Token::Copy { block, .. }, _) => seen.push(Ok(block)),
            (Token::Literal(data), Some(Err(last))) => last.extend_from_slice(data),
            (Token::Literal(data), _) => seen.push(Err(data.to_vec())),
        };
        content.chunks(step).for_each(|piece| matcher.feed(piece, &mut emit));
        matcher.finish(&mut emit);
        seen
    }

    fn literal(text: &str) -> Told {
        Err(text.as_bytes().to_vec())
    }

    #[test]
    fn matches_are_found_wherever_they_moved() {
        let rows: [(&str, &str, Vec<Told>); 12] = [
            ("abcdefgh", "abcdefgh", vec![Ok(0), Ok(1)]),
            ("abcdefghij", "abcdefghij", vec![Ok(0), Ok(1), Ok(2)]),
            ("abcdefghij", "ijabcdefgh", vec![literal("ij"), Ok(0), Ok(1)]),
            ("abcdefghij", "xefghij", vec![literal("x"), Ok(1), Ok(2)]),
            ("abcdefghij", "abcdxij", vec![Ok(0), literal("x"), Ok(2)]),
            ("abcdefghij", "ij", vec![Ok(2)]),
            ("abcdefghij", "abcdi", vec![Ok(0), literal("i")]),
            ("ab", "ab", vec![Ok(0)]),
            ("ab", "xyzab", vec![literal("xyz"), Ok(0)]),
            ("abcdefgh", "", vec![]),
            ("abcdabcdefgh", "abcdefgh", vec![Ok(0), Ok(2)]),
            ("", "abcd", vec![literal("abcd")]),
        ];
        for (basis, content, expected) in rows {
            for step in 1..=content.len().max(1) {
                let found =
                    tokens(matcher(sums_of(basis.as_bytes(), 4, 16), Placement::Free), content.as_bytes(), step);
                assert_eq!(found, expected, "{basis} → {content} by {step}");
            }
        }
    }

    #[test]
    fn among_equal_blocks_the_one_after_the_last_match_is_taken() {
        let basis = b"same-1--same-2--same-3--same";
        let found = tokens(matcher(sums_of(basis, 4, 16), Placement::Free), b"same-2--same-3--same", 64);
        assert_eq!(found, [Ok(0), Ok(3), Ok(4), Ok(5), Ok(6)]);
    }

    #[test]
    fn in_place_no_block_is_named_that_is_overwritten() {
        let sums = || sums_of(b"aaaabbbbccccdd", 4, 16);
        let found = tokens(matcher(sums(), Placement::InPlace), b"bbbbaaaaccccdd", 64);
        assert_eq!(found, [Ok(1), literal("aaaa"), Ok(2), Ok(3)]);
        let found = tokens(matcher(sums(), Placement::InPlace), b"xaaaabbbbccccdd", 64);
        assert_eq!(found, [literal("xaaaabbbbccccdd")]);
        let found = tokens(matcher(sums_of(&[0; 64], 4, 16), Placement::InPlace), &[0; 64], 64);
        assert_eq!(found, (0..16).map(Ok).collect::<Vec<_>>());
    }

    #[test]
    fn without_strong_sums_nothing_matches() {
        let found = tokens(matcher(sums_of(b"abcdefgh", 4, 0), Placement::Free), b"abcdefgh", 64);
        assert_eq!(found, [literal("abcdefgh")]);
        let none = Matcher::new(sums_of(b"abcd", 4, 1), SumKind::None, 0, SeedOrder::Before, Placement::Free);
        assert_eq!(tokens(none, b"abcd", 64), [literal("abcd")]);
    }

    #[test]
    fn of_many_equal_weak_sums_only_the_first_thousand_are_looked_at() {
        for (honest, expected) in [(900, Ok(900)), (1_500, literal("abcd"))] {
            let mut stream = Vec::new();
            for block in 0..2_000 {
                stream.extend_from_slice(&Rolling::of(b"abcd").value().to_le_bytes());
                let sum = SumKind::Md5.block(1, SeedOrder::Before, if block == honest { b"abcd" } else { b"lies" });
                stream.extend_from_slice(sum.as_bytes());
            }
            let mut set = SumSet::begin(SumHead::new(2_000, 4, 16, 0).expect("legal"), SumKind::Md5);
            assert!(set.fill(&mut stream.as_slice()));
            assert_eq!(tokens(matcher(set, Placement::Free), b"abcd", 64), [expected]);
        }
    }

    /// Lies: the right weak sum of every window, and strong sums that are never right.
    #[test]
    fn a_list_made_to_cost_work_is_given_up() {
        let head = SumHead::new(200_000, 131_072, 16, 0).expect("legal");
        let mut set = SumSet::begin(head, SumKind::Md5);
        let stream = [0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9].repeat(200_000);
        assert!(set.fill(&mut stream.as_slice()));
        let mut matcher = matcher(set, Placement::Free);
        let mut length = 0;
        let mut emit = |token: Token<'_>| match token {
            Token::Literal(data) => length += data.len(),
            Token::Copy { block, .. } => panic!("block {block} does not match"),
        };
        matcher.feed(&[0; 1 << 20], &mut emit);
        assert!(matcher.search.is_none());
        matcher.finish(&mut emit);
        assert_eq!(length, 1 << 20);
    }

    /// Every window matches, but only as the last of a thousand candidates.
    #[test]
    fn a_list_whose_matches_cost_work_is_given_up() {
        let mut stream = Vec::new();
        for block in 0..1_000 {
            stream.extend_from_slice(&Rolling::of(b"a").value().to_le_bytes());
            let sum = SumKind::Md5.block(1, SeedOrder::Before, if block == 999 { b"a" } else { b"b" });
            stream.extend_from_slice(sum.as_bytes());
        }
        let mut set = SumSet::begin(SumHead::new(1_000, 1, 16, 0).expect("legal"), SumKind::Md5);
        assert!(set.fill(&mut stream.as_slice()));
        let mut matcher = matcher(set, Placement::Free);
        let (mut matched, mut length) = (0_usize, 0);
        let mut emit = |token: Token<'_>| match token {
            Token::Literal(data) => length += data.len(),
            Token::Copy { content, .. } => {
                matched += 1;
                length += content.len();
            }
        };
        matcher.feed(&[b'a'; 1 << 16], &mut emit);
        assert!(matcher.search.is_none());
        matcher.finish(&mut emit);
        assert_eq!(length, 1 << 16);
        assert!(matched < 1 << 13, "{matched}");
    }

    #[test]
    fn memory_stays_bounded_and_literals_come_in_whole_steps() {
        let mut state = 1_u32;
        let content: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .take(3 << 20)
        .collect();
        let mut matcher = matcher(sums_of(&[7; 300_000], 131_072, 2), Placement::Free);
        let mut lengths = Vec::new();
        let mut emit = |token: Token<'_>| match token {
            Token::Literal(data) => lengths.push(data.len()),
            Token::Copy { block, .. } => panic!("block {block} does not match"),
        };
        for piece in content.chunks(10_000) {
            matcher.feed(piece, &mut emit);
            let search = matcher.search.as_ref().expect("not given up");
            assert!(search.buffer.len() <= 131_072 + 3 * STEP, "{}", search.buffer.len());
        }
        matcher.finish(&mut emit);
        assert_eq!(lengths.iter().sum::<usize>(), content.len());
        let (_, before) = lengths.split_last().expect("some");
        assert!(before.iter().all(|length| length % LITERAL_STEP == 0));
    }
}
