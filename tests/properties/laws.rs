//! What must hold of any bytes at all, for everything that reads what somebody else wrote.
//!
//! Each law takes bytes and fails by a panic. `main` tries them on damaged recordings in every run of the tests; the targets
//! in `tests/fuzz` try them on whatever a fuzzer thinks of, for as long as one likes. A law that says no more than "no panic"
//! says so; most say that a thing has one spelling, or that it does not matter how its bytes were cut.

use std::num::NonZeroU32;

use headwater::cascade::{MAX_MISTAKES, Surroundings, Topology, Translation};
use headwater::portage::stamp;
use headwater::serve::{LogFormat, Secrets, lost_line};
use headwater::tree::{
    ContentId, Document, Entry, Head, Kind, Mode, Mtime, Snapshot, SnapshotBuilder, Term, TreePath, Word, apply_delta,
    delta_text,
};
use headwater::wire::args::{Args, Bound};
use headwater::wire::block_sums::{SumHead, SumSet};
use headwater::wire::delta::{Matcher, Placement, Token};
use headwater::wire::filter::{CvsExclude, Filters};
use headwater::wire::flist::{Is, ListFormat};
use headwater::wire::flist_read::{ListItem, ListReader};
use headwater::wire::greeting::{Lines, Protocol, parse_greeting, parse_request};
use headwater::wire::mux::{Demux, Piece, Tag, frames_of, put_frame};
use headwater::wire::numbers::Cursor;
use headwater::wire::options::{is_secluded, parse_args, split_old_args};
use headwater::wire::sums::{SeedOrder, SumKind};
use headwater::wire::token_read::{Event, TokenReader};
use headwater::wire::tokens::Codec;
use headwater::wire::wild::{glob_component, has_wildcards, wild_match};

use super::session::{session_on_damaged_frames, whole_session};

/// Some law.
pub(crate) type Law = fn(&[u8]);

/// All of them, by the names of their targets.
pub(crate) const LAWS: &[(&str, Law)] = &[
    ("tree_text", tree_text),
    ("tree_delta", tree_delta),
    ("signed_texts", signed_texts),
    ("rsync_args", rsync_args),
    ("rsync_options", rsync_options),
    ("filter_rules", filter_rules),
    ("wild", wild),
    ("greeting", greeting),
    ("mux", mux),
    ("session", whole_session),
    ("session_frames", session_on_damaged_frames),
    ("file_list", file_list),
    ("block_sums", block_sums),
    ("delta_search", delta_search),
    ("tokens", tokens),
    ("stamps", stamps),
    ("topology", topology),
    ("rsyncd_conf", rsyncd_conf),
    ("secrets", secrets),
    ("log_format", log_format),
];

/// Longest input that a law looks at, where work grows with it: more teaches nothing.
const ENOUGH: usize = 1 << 14;

/// A text that is a snapshot is the text of that snapshot.
pub(crate) fn tree_text(data: &[u8]) {
    if let Ok(snapshot) = Snapshot::parse(data) {
        assert_eq!(snapshot.to_text(), data);
        for index in 0..snapshot.len() {
            let entry = snapshot.entry(index).unwrap();
            assert_eq!(snapshot.find(entry.path), Some(index));
        }
    }
}

/// A delta that applies leads to a snapshot to which there is one delta, and that leads there again.
pub(crate) fn tree_delta(data: &[u8]) {
    let base = small_tree(&[("a", 1), ("b", 2), ("sub/c", 3)]);
    if let Ok(result) = apply_delta(&base, data) {
        let again = delta_text(&base, &result);
        assert_eq!(apply_delta(&base, &again).unwrap().id(), result.id());
    }
}

/// A tree with directories for its files, each with a number for its content.
pub(crate) fn small_tree(files: &[(&str, u8)]) -> Snapshot {
    let mode = Mode::new(0o755).unwrap();
    let mtime = Mtime::new(1_700_000_000, 0).unwrap();
    let mut builder = SnapshotBuilder::new(Word::new("tree").unwrap());
    builder.push(Entry { path: TreePath::ROOT, mtime, kind: Kind::Directory { mode } }).unwrap();
    let mut open = String::new();
    for (path, number) in files {
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        if above != open {
            let path = TreePath::new(above.as_bytes()).unwrap();
            builder.push(Entry { path, mtime, kind: Kind::Directory { mode } }).unwrap();
            open = above.to_owned();
        }
        let content = ContentId::of(&[*number]);
        let group = NonZeroU32::new(0);
        let kind = Kind::File { mode, size: 1, content: &content, group };
        builder.push(Entry { path: TreePath::new(path.as_bytes()).unwrap(), mtime, kind }).unwrap();
    }
    builder.finish().unwrap()
}

/// A signed text has one spelling.
pub(crate) fn signed_texts(data: &[u8]) {
    if let Ok((head, signature)) = Head::parse(data) {
        assert_eq!(head.signed(signature), data);
    }
    if let Ok((term, signature)) = Term::parse(data) {
        assert_eq!(term.signed(signature), data);
    }
    if let Ok((document, signature)) = Document::parse(data) {
        assert_eq!(document.signed(signature), data);
    }
}

/// An argument vector is the same however it arrives, and what follows it is left alone.
pub(crate) fn rsync_args(data: &[u8]) {
    let bound = Bound { count: 50, bytes: 2_000 };
    let (mut whole, mut rest) = (Args::new(bound), data);
    let row = whole.read(&mut rest);
    let (mut pieces, mut used, mut found) = (Args::new(bound), 0, None);
    for piece in data.chunks(3) {
        let mut left = piece;
        found = pieces.read(&mut left);
        used += piece.len() - left.len();
        if found.is_some() {
            break;
        }
    }
    assert_eq!((found, used, pieces.passed()), (row.clone(), data.len() - rest.len(), whole.passed()));
    let row = row.unwrap_or_default();
    assert!(row.len() <= bound.count && row.iter().map(Vec::len).sum::<usize>() <= bound.bytes);
}

/// Arguments are granted or refused, never both, and a refusal is one line.
pub(crate) fn rsync_options(data: &[u8]) {
    let words: Vec<Vec<u8>> = data.split(|byte| *byte == 0).take(100).map(<[u8]>::to_vec).collect();
    let second = is_secluded(&words).then_some(&words[..]);
    let parsed = parse_args(&words, second);
    if let Some(refusal) = &parsed.refusal {
        assert!(refusal.code > 0 && refusal.line.trim_end_matches('\n').lines().count() <= 1, "{refusal:?}");
    }
    assert!(parsed.paths.len() <= 2 * words.len());
    for path in &parsed.paths {
        let parts = split_old_args(b"mod", path);
        assert!(parts.iter().map(|part| part.len()).sum::<usize>() <= path.len());
    }
}

/// Rules that can be read decide about any name, twice alike, and files of rules can be entered.
pub(crate) fn filter_rules(data: &[u8]) {
    let data = &data[..data.len().min(ENOUGH)];
    let (list, merged) = data.split_at(data.iter().position(|byte| *byte == 0).unwrap_or(data.len()));
    let rules: Vec<Vec<u8>> = list.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let names: [&[u8]; 6] = [b"a", b"sub/deep/er", b".rules", b"*", b"sub", &merged[..merged.len().min(64)]];
    for cvs in [CvsExclude::No, CvsExclude::Yes] {
        let Ok(filters) = Filters::parse(&rules, cvs) else { continue };
        assert_eq!(Filters::parse(&rules, cvs).as_ref(), Ok(&filters));
        let Ok(mut scope) = filters.root_scope(b"top") else { continue };
        for directory in [&b"."[..], b"sub", b"sub/deep"] {
            let Ok(inner) = filters.enter(&scope, directory, &mut |_| Some(merged.to_vec())) else { break };
            for name in names {
                let decided = filters.excludes(&inner, name, Is::Other);
                assert_eq!(filters.excludes(&inner, name, Is::Other), decided);
                let _ = filters.excludes(&inner, name, Is::Directory);
            }
            scope = inner;
        }
    }
}

/// A text without wildcards matches itself and nothing else, and an escaped text matches itself.
pub(crate) fn wild(data: &[u8]) {
    let data = &data[..data.len().min(2_000)];
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (pattern, text) = (&data[..at], data.get(at + 1..).unwrap_or_default());
    let found = wild_match(pattern, text);
    let _ = glob_component(pattern, text);
    if !has_wildcards(pattern) && !pattern.contains(&b'\\') {
        assert_eq!(found, pattern == text);
    }
    let escaped: Vec<u8> = text.iter().flat_map(|byte| [b'\\', *byte]).collect();
    assert!(wild_match(&escaped, text));
    assert!(wild_match(b"**", text));
}

/// Lines are the same however they arrive, and each is a greeting, a request, or told why not.
pub(crate) fn greeting(data: &[u8]) {
    let read = |size: usize| {
        let (mut lines, mut found) = (Lines::new(), Vec::new());
        for piece in data.chunks(size) {
            let mut rest = piece;
            while !rest.is_empty() {
                match lines.next(&mut rest, 200) {
                    Ok(Some(line)) => found.push(line),
                    Ok(None) => {}
                    // Where in a line that breaks the rules this is noticed depends on the pieces.
                    Err(_) => return (found, true),
                }
            }
        }
        (found, false)
    };
    let whole = read(data.len().max(1));
    assert_eq!(whole, read(1));
    assert_eq!(whole, read(7));
    for line in whole.0 {
        let _ = parse_greeting(&line);
        let _ = parse_request(&line);
    }
}

/// The data in frames and the messages are the same however the frames arrive.
pub(crate) fn mux(data: &[u8]) {
    let read = |size: usize| {
        let (mut demux, mut content, mut messages) = (Demux::new(), Vec::new(), Vec::new());
        for piece in data.chunks(size) {
            demux.input(piece);
            loop {
                match demux.next() {
                    Ok(Some(Piece::Data(bytes))) => content.extend_from_slice(&bytes),
                    Ok(Some(Piece::Message(tag, payload))) => messages.push((tag, payload)),
                    Ok(None) => break,
                    Err(error) => return (content, messages, Some(error)),
                }
            }
        }
        (content, messages, None)
    };
    assert_eq!(read(data.len().max(1)), read(5));
    let mut demux = Demux::of_daemon();
    let mut frames = frames_of(data);
    put_frame(&mut frames, Tag::Info, b"x");
    demux.input(&frames);
    let mut back = Vec::new();
    while let Ok(Some(Piece::Data(bytes))) = demux.next() {
        back.extend_from_slice(&bytes);
    }
    assert_eq!(back, data);
}

/// A list is read to its end or to an error, and never without getting on.
pub(crate) fn file_list(data: &[u8]) {
    let Some((form, list)) = data.split_first_chunk::<2>() else { return };
    let bits = u16::from_le_bytes(*form);
    let bit = |at: u16| bits >> at & 1 == 1;
    let format = ListFormat {
        owner: bit(0),
        group: bit(1),
        links: bit(2),
        hard_links: bit(3),
        devices: bit(4),
        specials: bit(5),
        atimes: bit(6),
        checksum: bit(7).then_some(SumKind::Xxh128),
        id_names: bit(8),
        id0_names: bit(9),
        ignore_errors: bit(10),
        varint_flags: bit(11),
        safe_end: bit(12),
        since_31: bit(13),
    };
    let (mut reader, mut cursor) = (ListReader::new(format), Cursor::new(list));
    loop {
        let before = cursor.consumed();
        match reader.next(&mut cursor) {
            Ok(Some(ListItem::End { .. })) | Ok(None) | Err(_) => break,
            Ok(Some(_)) => assert!(cursor.consumed() > before),
        }
    }
}

/// Sums are the same however they arrive, and take no more memory than they have bytes.
pub(crate) fn block_sums(data: &[u8]) {
    let Some((head, sums)) = data.split_first_chunk::<{ SumHead::LENGTH }>() else { return };
    let Ok(head) = SumHead::parse(head) else { return };
    let mut written = Vec::new();
    head.put(&mut written);
    assert_eq!(SumHead::parse(&written.try_into().unwrap()), Ok(head));
    for kind in SumKind::ALL {
        let (mut whole, mut rest) = (SumSet::begin(head, kind), sums);
        whole.fill(&mut rest);
        let (mut pieces, mut held) = (SumSet::begin(head, kind), Vec::new());
        for piece in sums.chunks(5) {
            held.extend_from_slice(piece);
            let mut left = &held[..];
            pieces.fill(&mut left);
            held = left.to_vec();
        }
        assert_eq!(pieces, whole);
        assert!(whole.memory() <= 4 * data.len() + 64);
    }
}

/// Whatever the sums of an old file say, the tokens put together are the new one.
pub(crate) fn delta_search(data: &[u8]) {
    let Some((&[block, strong, lie, cut], rest)) = data.split_first_chunk::<4>() else { return };
    let rest = &rest[..rest.len().min(ENOUGH)];
    let (old, new) = rest.split_at(rest.len() * usize::from(cut) / 256);
    let block = usize::from(block).max(1);
    let kind = SumKind::ALL[usize::from(strong) % 5];
    let length = 1 + usize::from(strong / 8) % kind.length();
    let count = old.len().div_ceil(block);
    let number = |of: usize| i32::try_from(of).unwrap();
    let Ok(head) = SumHead::new(number(count), number(block), number(length), number(old.len() % block)) else {
        return;
    };
    let mut sums = Vec::new();
    for (at, piece) in old.chunks(block).enumerate() {
        let weak = headwater::wire::sums::weak(piece);
        // Some sums lie: they name another block, or none at all.
        let strong = kind.block(7, SeedOrder::Before, if at % 256 == usize::from(lie) { new } else { piece });
        sums.extend_from_slice(&weak.to_le_bytes());
        sums.extend_from_slice(&strong.as_bytes()[..length]);
    }
    let mut set = SumSet::begin(head, kind);
    assert!(set.fill(&mut &sums[..]));
    let mut made = Vec::new();
    let mut emit = |token: Token<'_>| match token {
        Token::Literal(bytes) => made.extend_from_slice(bytes),
        Token::Copy { content, .. } => made.extend_from_slice(content),
    };
    let mut matcher = Matcher::new(set, kind, 7, SeedOrder::Before, Placement::Free);
    new.chunks(1_000).for_each(|piece| matcher.feed(piece, &mut emit));
    matcher.finish(&mut emit);
    assert_eq!(made, new);
}

/// A token stream is read to its end or to an error, and says the same however it arrives.
pub(crate) fn tokens(data: &[u8]) {
    let Some((&choice, stream)) = data.split_first() else { return };
    let stream = &stream[..stream.len().min(ENOUGH)];
    let codec = [Codec::None, Codec::Zlib, Codec::Zlibx, Codec::Zstd, Codec::Lz4][usize::from(choice) % 5];
    let protocol = if choice >= 128 { Protocol::V30 } else { Protocol::V31 };
    let (whole, end) = said_by_tokens(codec, protocol, stream, stream.len().max(1));
    let (pieces, same_end) = said_by_tokens(codec, protocol, stream, 3);
    assert_eq!(end, same_end);
    // How much of a damaged stream is still understood depends on where its damage is noticed.
    let same = whole == pieces || (end == Some(false) && (whole.starts_with(&pieces) || pieces.starts_with(&whole)));
    assert!(same, "{codec:?}: {} and {} bytes", whole.len(), pieces.len());
}

/// What a stream says, and whether it ended well; contents beyond some MiB are not looked at.
fn said_by_tokens(codec: Codec, protocol: Protocol, stream: &[u8], size: usize) -> (Vec<u8>, Option<bool>) {
    const BLOCKS: u32 = 9;
    let mut reader = TokenReader::new(codec, protocol);
    reader.start_file(BLOCKS);
    let (mut content, mut held) = (Vec::new(), Vec::new());
    for piece in stream.chunks(size) {
        held.extend_from_slice(piece);
        let mut input = &held[..];
        while content.len() < 4 << 20 {
            match reader.next(&mut input) {
                Ok(Some(Event::Literal(bytes))) => content.extend_from_slice(bytes),
                Ok(Some(Event::Copy(block))) => {
                    assert!(block < BLOCKS);
                    content.extend_from_slice(&block.to_le_bytes());
                    if reader.matched(&[7; 700]).is_err() {
                        return (content, Some(false));
                    }
                }
                Ok(Some(Event::End)) => return (content, Some(true)),
                Ok(None) => break,
                Err(_) => return (content, Some(false)),
            }
        }
        held = input.to_vec();
    }
    content.truncate(4 << 20);
    (content, None)
}

/// A stamp that is understood can be written, and is then understood to say the same.
pub(crate) fn stamps(data: &[u8]) {
    if let Some(at) = stamp::parse_chk(data) {
        assert_eq!(stamp::parse_chk(stamp::print_chk(at).as_bytes()), Some(at));
    }
    if let Some(at) = stamp::parse_x(data) {
        assert_eq!(stamp::parse_x(stamp::print_x(at).as_bytes()), Some(at));
    }
    if let Some(commit) = stamp::parse_commit(data) {
        let again = stamp::parse_commit(stamp::print_commit(&commit).as_bytes()).unwrap();
        assert_eq!((again.id, again.epoch), (commit.id, commit.epoch));
    }
    if let Some(at) = stamp::parse_iso(data) {
        assert_eq!(stamp::parse_iso(stamp::print_iso(at).as_bytes()), Some(at));
    }
}

/// A topology is read, or its mistakes are named in order, each with a place in the text.
pub(crate) fn topology(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(mistakes) = Topology::parse(text) {
        assert!(!mistakes.is_empty() && mistakes.len() <= MAX_MISTAKES && mistakes.is_sorted());
        let lines = text.matches('\n').count() + 1;
        assert!(mistakes.iter().all(|mistake| (1..=lines).contains(&mistake.line) && mistake.column > 0));
    }
}

/// An rsyncd.conf becomes a topology that can be read, and every setting is answered.
pub(crate) fn rsyncd_conf(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(&data[..data.len().min(ENOUGH)]) else { return };
    let around = Surroundings {
        federation: "home",
        node: "gw",
        is_tree: &|directory| directory.len() % 2 == 0,
        text_of: &|file| if file.ends_with('x') { Ok(file.to_owned()) } else { Err("none".to_owned()) },
        files_of: &|_, path, _| if path.ends_with('d') { Err("none".to_owned()) } else { Ok(vec![path.to_owned()]) },
    };
    let Ok(translation) = Translation::of_rsyncd_conf(text, &around) else { return };
    let mistakes = Topology::parse(&translation.topology).err();
    assert!(mistakes.is_none(), "{mistakes:?}\n{}", translation.topology);
    let (own, other): (Vec<_>, Vec<_>) = translation.findings.iter().partition(|finding| finding.file.is_none());
    assert!(own.is_sorted_by_key(|finding| finding.line));
    // A file that is merged has one line here: its name.
    assert!(other.len() <= 2 * text.matches('&').count());
    assert!(own.len() <= 2 * text.lines().count(), "{:?}", translation.findings);
}

/// A secrets file is read as it is written, or its mistakes are named without repeating it.
pub(crate) fn secrets(data: &[u8]) {
    match Secrets::parse(data) {
        Ok(secrets) => {
            let lines = data.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
            let written = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
            let mut users = 0;
            for line in written {
                let colon = line.iter().position(|byte| *byte == b':').unwrap();
                assert_eq!(secrets.password_of(&line[..colon]), Some(&line[colon + 1..]));
                users += 1;
            }
            assert_eq!(secrets.len(), users);
            assert!(!format!("{secrets:?}").contains('\n'));
        }
        Err(mistakes) => assert!(!mistakes.is_empty() && mistakes.is_sorted_by_key(|mistake| mistake.line)),
    }
}

/// A form of log lines that can be read gives lines of one line.
pub(crate) fn log_format(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(form) = LogFormat::parse(text) {
        assert_eq!(LogFormat::parse(text).as_ref(), Ok(&form));
        assert!(!lost_line(&form, 3, 1_700_000_000).contains('\n'));
    }
}
