//! Matcher, token writer and token reader against each other, and against recorded sessions of stock rsync.

use proptest::prelude::*;

use super::delta::{Matcher, Placement, Token};
use super::greeting::Protocol;
use super::sums::{SeedOrder, SumHead, SumKind, SumSet, weak};
use super::token_read::{Event, TokenReader};
use super::tokens::{Codec, TokenWriter};

/// Cuts a basis into blocks and sums it as a client does.
fn sums_of(basis: &[u8], block: usize, strong: usize, kind: SumKind, seed: i32) -> SumSet {
    let number = |n: usize| i32::try_from(n).expect("small");
    let (count, remainder) = (basis.len().div_ceil(block), basis.len() % block);
    let head = SumHead::new(number(count), number(block), number(strong), number(remainder)).expect("legal");
    let mut stream = Vec::new();
    for block in basis.chunks(block) {
        stream.extend_from_slice(&weak(block).to_le_bytes());
        stream.extend_from_slice(&kind.block(seed, SeedOrder::Before, block).as_bytes()[..strong]);
    }
    let mut set = SumSet::begin(head, kind);
    assert!(set.fill(&mut stream.as_slice()));
    set
}

/// Reads one token stream in pieces of `step` bytes and puts the content together.
fn rebuilt(reader: &mut TokenReader, basis: &[u8], block: usize, stream: &mut &[u8], step: usize) -> (Vec<u8>, String) {
    reader.start_file(u32::try_from(basis.len().div_ceil(block)).expect("small"));
    let (mut content, mut story, mut literal) = (Vec::new(), Vec::new(), 0);
    let mut kept = 0;
    loop {
        let mut input = &stream[..(kept + step).min(stream.len())];
        let before = input.len();
        let event = reader.next(&mut input).expect("a good stream");
        let taken = before - input.len();
        match event {
            Some(Event::Literal(data)) => {
                literal += data.len();
                content.extend_from_slice(data);
            }
            Some(other) => {
                if literal > 0 {
                    story.push(format!("lit({literal})"));
                    literal = 0;
                }
                if let Event::Copy(number) = other {
                    story.push(format!("blk({number})"));
                    let block = basis.chunks(block).nth(usize::try_from(number).expect("small")).expect("it exists");
                    content.extend_from_slice(block);
                    reader.matched(block).expect("a good stream");
                } else {
                    *stream = &stream[taken..];
                    return (content, story.join(" "));
                }
            }
            None if taken == 0 => {
                assert!(before < stream.len(), "the stream ends too early");
                kept = before;
                continue;
            }
            None => {}
        }
        *stream = &stream[taken..];
        kept = 0;
    }
}

/// The regular files of a tar archive of this project.
fn unpacked(tar: &[u8], path: &str) -> Vec<u8> {
    let mut rest = tar;
    while let Some((header, after)) = rest.split_at_checked(512) {
        let text = |range: std::ops::Range<usize>| {
            String::from_utf8_lossy(&header[range]).trim_end_matches(['\0', ' ']).to_owned()
        };
        let size = usize::from_str_radix(&text(124..136), 8).unwrap_or(0);
        if text(0..100).trim_start_matches("./") == path {
            return after[..size].to_vec();
        }
        rest = &after[size.div_ceil(512) * 512..];
    }
    panic!("{path} is not in the archive");
}

const TREE: &[u8] = include_bytes!("../../tests/vectors/tree.tar");
const BASIS: &[u8] = include_bytes!("../../tests/vectors/basis.tar");

/// The bytes in the DATA frames that start at this offset.
fn data_of(session: &[u8], start: usize) -> Vec<u8> {
    let (mut rest, mut data) = (&session[start..], Vec::new());
    while let Some(([a, b, c, tag], after)) = rest.split_first_chunk() {
        let length = usize::try_from(u32::from_le_bytes([*a, *b, *c, 0])).expect("24 bits");
        if *tag == 7 {
            data.extend_from_slice(&after[..length]);
        }
        rest = &after[length..];
    }
    data
}

struct Recorded {
    name: &'static str,
    server: &'static [u8],
    /// Where the frames start.
    start: usize,
    codec: Codec,
    kind: SumKind,
    protocol: Protocol,
    seed: i32,
}

macro_rules! recorded {
    ($name:literal, $start:literal, $codec:ident, $kind:ident, $protocol:ident, $seed:literal) => {
        Recorded {
            name: $name,
            server: include_bytes!(concat!("../../tests/vectors/", $name, ".server.bin")),
            start: $start,
            codec: Codec::$codec,
            kind: SumKind::$kind,
            protocol: Protocol::$protocol,
            seed: $seed,
        }
    };
}

const SESSIONS: [Recorded; 9] = [
    recorded!("delta-xxh128-p32", 95, None, Xxh128, V32, 1),
    recorded!("delta-md5-p31", 59, None, Md5, V31, 1),
    recorded!("delta-sha1-p32", 59, None, Sha1, V32, 1),
    recorded!("delta-xxh64-p32", 59, None, Xxh64, V32, 1),
    recorded!("delta-xxh3-negseed-p32", 59, None, Xxh3, V32, -5),
    recorded!("delta-zstd-p32", 120, Zstd, Xxh128, V32, 1),
    recorded!("delta-zlibx-p32", 95, Zlibx, Xxh128, V32, 1),
    recorded!("delta-zlibx-inc-p30", 95, Zlibx, Xxh128, V30, 1),
    recorded!("delta-zlib-p31", 95, Zlib, Xxh128, V31, 1),
];

/// The transferred files in the order of every recorded reply, with what the recorder saw in their token streams.
const FILES: [(&str, &str); 8] = [
    ("hello.txt", "lit(13)"),
    ("run.sh", "lit(18)"),
    ("zero", ""),
    ("hello.txt", "lit(13)"),
    ("sub/numbers", "blk(0) blk(1) lit(679) blk(3) blk(4) lit(800) blk(6) blk(7) blk(8)"),
    ("sub/random.bin", "blk(0) blk(1) lit(1600)"),
    ("sub/x.o", "lit(7)"),
    ("sub/deep/leaf", "lit(5)"),
];

fn basis_of(path: &str) -> Vec<u8> {
    if path.starts_with("sub/n") || path.starts_with("sub/r") { unpacked(BASIS, path) } else { Vec::new() }
}

/// Walks over the replies: records without content are one index byte and two of flags.
fn check_session(session: &Recorded) {
    let data = data_of(session.server, session.start);
    let at = data.windows(6).position(|bytes| matches!(bytes, [1, 8, 0, _, 2, 0x60])).expect("the first replies");
    let mut stream = &data[at..];
    let mut reader = TokenReader::new(session.codec, session.protocol);
    let mut writer = TokenWriter::new(session.codec, None, session.protocol);
    for (path, story) in FILES {
        while stream[2] & 0x80 == 0 {
            stream = &stream[3..];
        }
        let (content, basis) = (unpacked(TREE, path), basis_of(path));
        let sums = if basis.is_empty() {
            SumSet::begin(SumHead::WHOLE, session.kind)
        } else {
            sums_of(&basis, 700, 2, session.kind, session.seed)
        };
        let mut head = Vec::new();
        sums.head().put(&mut head);
        assert_eq!(stream[3..19], head, "{} {path}", session.name);
        stream = &stream[19..];
        let before = stream;
        let read = rebuilt(&mut reader, &basis, 700, &mut stream, 3);
        assert_eq!(read, (content.clone(), story.to_owned()), "{} {path}", session.name);
        let recorded = &before[..before.len() - stream.len()];
        let (sum, rest) = stream.split_at(session.kind.length());
        assert_eq!(sum, session.kind.whole(&content).as_bytes(), "{} {path}", session.name);
        stream = rest;

        let mut ours = Vec::new();
        writer.start_file();
        let mut matcher = Matcher::new(sums, session.kind, session.seed, SeedOrder::Before, Placement::Free);
        matcher.feed(&content, &mut |token| writer.token(token, &mut ours));
        matcher.finish(&mut |token| writer.token(token, &mut ours));
        writer.end_file(&mut ours).expect("memory suffices");
        // Deflate and zstd leave choices; plain tokens and small contents do not.
        if session.codec == Codec::None || content.len() < 20 {
            assert_eq!(ours, recorded, "{} {path}", session.name);
        }
    }
}

#[test]
fn recorded_sessions_read_as_the_recorder_saw_them_and_are_written_alike() {
    SESSIONS.iter().for_each(check_session);
}

/// Half noise, half repetition, so that compressors and matchers have something to do.
fn content(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let noise = next();
        let run = usize::try_from(next() % 300).expect("small");
        if noise % 3 == 0 {
            bytes.extend(std::iter::repeat_n(noise.to_le_bytes()[1], run));
        } else {
            bytes.extend(std::iter::repeat_with(|| next().to_le_bytes()[1]).take(run));
        }
    }
    bytes.truncate(length);
    bytes
}

/// One edit of a content: cut, insert, or move.
#[derive(Clone, Debug)]
struct Edit {
    at: usize,
    drop: usize,
    insert: usize,
    from: usize,
    take: usize,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = (0..40_000_usize, 0..3_000_usize, 0..400_usize, 0..40_000_usize, 0..5_000_usize)
        .prop_map(|(at, drop, insert, from, take)| Edit { at, drop, insert, from, take });
    prop::collection::vec(edit, 0..6)
}

fn edited(basis: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut result = basis.to_vec();
    for (edit, seed) in edits.iter().zip(1..) {
        let at = edit.at % (result.len() + 1);
        let end = (at + edit.drop).min(result.len());
        let from = edit.from % (basis.len() + 1);
        let moved = &basis[from..(from + edit.take).min(basis.len())];
        result.splice(at..end, [&content(edit.insert, seed), moved].concat());
    }
    result
}

/// What a receiver that overwrites its basis gets.
fn applied_in_place(basis: &[u8], block: usize, tokens: &[Result<u32, Vec<u8>>], length: usize) -> Vec<u8> {
    let mut file = basis.to_vec();
    let mut at = 0;
    for token in tokens {
        let data = match token {
            Err(data) => data.clone(),
            Ok(number) => {
                let start = usize::try_from(*number).expect("small") * block;
                file[start..(start + block).min(basis.len())].to_vec()
            }
        };
        file.resize(file.len().max(at + data.len()), 0);
        file[at..at + data.len()].copy_from_slice(&data);
        at += data.len();
    }
    assert_eq!(at, length);
    file.truncate(at);
    file
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_whatever_the_codec(
        length in 0..60_000_usize, seed: u32, edits in edits(), block in 1..3_000_usize, step in 1..5_000_usize,
        level in prop::option::of(-3..25_i32), feed in 1..70_000_usize,
    ) {
        let basis = content(length, seed);
        let files = [edited(&basis, &edits), content(90_000, seed ^ 1), Vec::new(), basis.clone(), edited(&basis, &edits)];
        for (codec, protocol) in [(Codec::None, Protocol::V32), (Codec::Zlibx, Protocol::V30), (Codec::Zlib, Protocol::V30),
            (Codec::Zlib, Protocol::V31), (Codec::Zstd, Protocol::V32)] {
            let level = level.filter(|level| codec != Codec::Zstd || *level < 8);
            let (mut writer, mut stream) = (TokenWriter::new(codec, level, protocol), Vec::new());
            for file in &files {
                let sums = sums_of(&basis, block, 8, SumKind::Xxh3, -7);
                let mut matcher = Matcher::new(sums, SumKind::Xxh3, -7, SeedOrder::Before, Placement::Free);
                writer.start_file();
                for piece in file.chunks(feed) {
                    matcher.feed(piece, &mut |token| writer.token(token, &mut stream));
                }
                matcher.finish(&mut |token| writer.token(token, &mut stream));
                writer.end_file(&mut stream).expect("memory suffices");
            }
            let (mut reader, mut input) = (TokenReader::new(codec, protocol), stream.as_slice());
            for file in &files {
                prop_assert_eq!(&rebuilt(&mut reader, &basis, block, &mut input, step).0, file);
            }
            prop_assert!(input.is_empty());
        }
    }

    #[test]
    fn an_old_file_can_be_overwritten_while_it_is_read(
        length in 0..40_000_usize, seed: u32, edits in edits(), block in 1..3_000_usize, feed in 1..70_000_usize,
    ) {
        let basis = content(length, seed);
        let file = edited(&basis, &edits);
        let sums = sums_of(&basis, block, 16, SumKind::Xxh128, 3);
        let mut matcher = Matcher::new(sums, SumKind::Xxh128, 3, SeedOrder::Before, Placement::InPlace);
        let mut tokens = Vec::new();
        let mut emit = |token: Token<'_>| tokens.push(match token {
            Token::Literal(data) => Err(data.to_vec()),
            Token::Copy { block, .. } => Ok(block),
        });
        file.chunks(feed).for_each(|piece| matcher.feed(piece, &mut emit));
        matcher.finish(&mut emit);
        prop_assert_eq!(applied_in_place(&basis, block, &tokens, file.len()), file);
    }
}

/// The history quirk of protocol 30 needs blocks above 65,535 bytes and literals that refer back to them.
#[test]
fn long_blocks_enter_the_history_of_zlib_alike_on_both_sides() {
    let basis = content(400_000, 5);
    for protocol in [Protocol::V30, Protocol::V31] {
        for block in [65_535, 65_536, 100_000, 131_071, 131_072] {
            let (mut writer, mut stream) = (TokenWriter::new(Codec::Zlib, None, protocol), Vec::new());
            let mut expected = Vec::new();
            writer.start_file();
            for (number, content) in (0..).zip(basis.chunks(block)) {
                writer.copy(number, content, &mut stream);
                // Both parts are within 32 KiB of where they stood, if the history is what the protocol says.
                let length = content.len();
                let again = [&content[length / 20..length / 5], &content[length - length / 10..]].concat();
                writer.literal(&again, &mut stream);
                expected.extend_from_slice(&[content, &again].concat());
            }
            writer.end_file(&mut stream).expect("memory suffices");
            let mut reader = TokenReader::new(Codec::Zlib, protocol);
            let (read, _) = rebuilt(&mut reader, &basis, block, &mut stream.as_slice(), 4_096);
            assert!(read == expected, "{protocol:?} {block}");
        }
    }
}
