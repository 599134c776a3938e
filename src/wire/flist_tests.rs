//! Tests of the file list's two halves against each other, and against the lists that stock daemons sent.

use super::flist::{DirRole, Link, ListFormat, Listed, TYPE_DIRECTORY, TYPE_FIFO, TYPE_FILE, TYPE_SYMLINK, flag};
use super::flist_read::{ListError, ListItem, ListReader};
use super::flist_write::ListWriter;
use super::numbers::Cursor;
use super::recorded::{Heard, asked, contents, hear, partial_recordings, recordings, sorted};
use super::sums::SumKind;

const PLAIN: ListFormat = ListFormat {
    owner: true,
    group: true,
    links: true,
    hard_links: false,
    devices: true,
    specials: true,
    atimes: false,
    checksum: None,
    id_names: true,
    id0_names: true,
    ignore_errors: false,
    varint_flags: true,
    safe_end: true,
    since_31: true,
};

const FILE: Listed<'_> = Listed {
    name: b"a",
    mode: TYPE_FILE | 0o644,
    size: 1,
    mtime: 1_600_000_000,
    nanos: 0,
    uid: 0,
    gid: 0,
    target: b"",
    checksum: b"",
    role: DirRole::NotADirectory,
    link: Link::None,
};

const DIRECTORY: Listed<'_> =
    Listed { name: b".", mode: TYPE_DIRECTORY | 0o755, size: 4096, role: DirRole::Argument, ..FILE };

fn written(format: ListFormat, entries: &[Listed<'_>], io_error: u32) -> Vec<u8> {
    let (mut writer, mut out) = (ListWriter::new(format), Vec::new());
    entries.iter().for_each(|entry| writer.push(&mut out, entry));
    writer.finish(&mut out, io_error, &[(0, b"root"), (1, b"daemon")], &[]);
    out
}

/// Reads a list to its end and shows every item. Each byte is the last one for a while.
fn read(format: ListFormat, bytes: &[u8]) -> Result<Vec<String>, ListError> {
    let (mut reader, mut items, mut at) = (ListReader::new(format), Vec::new(), 0);
    for end in 0..=bytes.len() {
        loop {
            let mut cursor = Cursor::new(&bytes[at..end]);
            let item = reader.next(&mut cursor)?;
            items.extend(item.map(|item| format!("{item:?}")));
            at += cursor.consumed();
            match item {
                Some(ListItem::End { .. }) => return Ok(items),
                Some(_) => {}
                None => break,
            }
        }
    }
    Ok(items)
}

#[test]
fn the_lists_of_stock_daemons_are_read_and_written_again_byte_for_byte() {
    let contents = contents();
    for recording in recordings().into_iter().chain(partial_recordings()) {
        let about = asked(recording.client);
        let Heard { entries, users, groups, io_error, list, .. } = hear(recording.server, &about, &contents);
        let few = recording.name.starts_with("append") || recording.name.starts_with("files-from");
        assert_eq!(entries.len() == 14, !few, "{}", recording.name);
        let users: Vec<(u32, &[u8])> = users.iter().map(|(id, name)| (*id, &name[..])).collect();
        let groups: Vec<(u32, &[u8])> = groups.iter().map(|(id, name)| (*id, &name[..])).collect();
        let (mut writer, mut out) = (ListWriter::new(about.format), Vec::new());
        entries.iter().for_each(|entry| writer.push(&mut out, &entry.listed()));
        writer.finish(&mut out, io_error, &users, &groups);
        assert_eq!(out, list, "{}", recording.name);
    }
}

#[test]
fn the_recorded_tree_sorts_to_the_indices_that_its_requests_use() {
    let recording = super::recorded::recording!("full-noinc-p32");
    let heard = hear(recording.server, &asked(recording.client), &contents());
    let names: Vec<String> =
        sorted(&heard.entries).iter().map(|entry| String::from_utf8(entry.name.clone()).unwrap()).collect();
    let expected = ". fifo hello.txt link run.sh zero empty sub sub/hard sub/numbers sub/random.bin sub/x.o sub/deep \
                    sub/deep/leaf";
    assert_eq!(names.join(" "), expected);
}

#[test]
fn every_form_of_list_gives_back_what_was_put_in() {
    let long = [b'n'; 300];
    let entries = [
        DIRECTORY,
        Listed { name: b"dir", role: DirRole::Found, ..DIRECTORY },
        Listed { name: b"dir/fifo", mode: TYPE_FIFO | 0o600, size: 0, ..FILE },
        Listed { name: b"dir/file", mtime: -1, nanos: 999_999_999, uid: u32::MAX, gid: 70_000, ..FILE },
        Listed { name: b"dir/file2", mtime: 1 << 40, size: 1 << 40, link: Link::First, ..FILE },
        Listed { name: b"dir/file3", mtime: 1 << 40, size: 1 << 40, link: Link::Member(4), ..FILE },
        Listed { name: b"dir/link", mode: TYPE_SYMLINK | 0o777, size: 3, target: b"../", ..FILE },
        Listed { name: &long, ..FILE },
        Listed { name: b"implied", role: DirRole::Implied, ..DIRECTORY },
        Listed { name: b"mount", role: DirRole::NoContent, ..DIRECTORY },
    ];
    for bits in 0..1 << 9 {
        let on = |bit: u32| bits >> bit & 1 == 1;
        let format = ListFormat {
            owner: on(0),
            group: on(1),
            links: on(2),
            hard_links: on(3),
            atimes: on(4),
            checksum: on(5).then_some(SumKind::Sha1),
            id0_names: on(6),
            varint_flags: on(7),
            since_31: on(8),
            ..PLAIN
        };
        let sums: [[u8; 20]; 10] = std::array::from_fn(|at| [u8::try_from(at).unwrap(); 20]);
        let entries: Vec<Listed<'_>> = entries
            .iter()
            .zip(&sums)
            .map(|(entry, sum)| Listed { checksum: if entry.mode == FILE.mode { sum } else { b"" }, ..*entry })
            .collect();
        let mut entries_in_group = entries.clone();
        entries_in_group[5].checksum = entries[4].checksum;
        let bytes = written(format, &entries_in_group, 5);
        let expected: Vec<String> = entries_in_group
            .iter()
            .map(|entry| {
                let entry = Listed {
                    nanos: if format.since_31 { entry.nanos } else { 0 },
                    uid: if format.owner { entry.uid } else { 0 },
                    gid: if format.group { entry.gid } else { 0 },
                    target: if format.links { entry.target } else { b"" },
                    checksum: if format.checksum.is_some() { entry.checksum } else { b"" },
                    link: if format.hard_links { entry.link } else { Link::None },
                    ..*entry
                };
                format!("{:?}", ListItem::Entry(entry))
            })
            .collect();
        let items = read(format, &bytes).unwrap();
        assert_eq!(items[..entries.len()], expected, "{format:?}");
        assert_eq!(items.last().unwrap(), "End { io_error: 5 }", "{format:?}");
        assert_eq!(items.iter().any(|item| item.starts_with("User(0")), format.owner && format.id0_names);
    }
}

#[test]
fn the_end_of_a_list_is_coded_as_the_protocol_says() {
    let bare = ListFormat { id_names: false, ..PLAIN };
    let fixed = ListFormat { varint_flags: false, ..bare };
    let old = ListFormat { safe_end: false, since_31: false, ..fixed };
    let rows: [(ListFormat, u32, &[u8]); 8] = [
        (bare, 0, b"\0\0"),
        (bare, 3, b"\0\x03"),
        (fixed, 0, b"\0"),
        (fixed, 3, b"\x04\x10\x03"),
        (old, 3, b"\0"),
        (ListFormat { ignore_errors: true, ..bare }, 3, b"\0\0"),
        (PLAIN, 0, b"\0\0\x01\x06daemon\0\x04root\0\0"),
        (ListFormat { id0_names: false, ..PLAIN }, 0, b"\0\0\x01\x06daemon\0\0"),
    ];
    for (format, io_error, expected) in rows {
        assert_eq!(written(format, &[], io_error), expected, "{format:?}");
    }
}

/// Protocol 8.3: where it comes first, an entry of mode 0 needs no mode, which some clients would not read.
#[test]
fn a_missing_argument_is_an_entry_without_a_mode() {
    let missing = Listed { name: b"gone", mode: 0, size: 0, mtime: 0, ..FILE };
    let bare = ListFormat { id_names: false, atimes: true, checksum: Some(SumKind::Md5), ..PLAIN };
    let flags = flag::SAME_MODE | flag::SAME_TIME | flag::SAME_ATIME;
    let mut expected = Vec::new();
    super::numbers::put_varint_u32(&mut expected, flags);
    expected.extend_from_slice(b"\x04gone\0\0\0\0\0");
    assert_eq!(written(bare, &[missing], 0)[..expected.len()], expected);
    let behind = written(bare, &[FILE, missing], 0);
    assert!(behind.windows(4).any(|mode| mode == [0; 4]));
}

#[test]
fn lists_that_break_a_rule_are_refused() {
    let name = |name: &'static [u8]| written(PLAIN, &[Listed { name, ..FILE }], 0);
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("name", name(b"")),
        ("name", name(b"/a")),
        ("name", name(b"a/")),
        ("name", name(b"a//b")),
        ("name", name(b"../a")),
        ("name", name(b"a/../b")),
        ("name", name(b"./a")),
        ("name", name(b"a\0b")),
        ("name", name(b".")),
        ("name", name(b"..")),
        ("mode", written(PLAIN, &[Listed { mode: 0o644, ..FILE }], 0)),
        ("nanoseconds", written(PLAIN, &[Listed { nanos: 1_000_000_000, ..FILE }], 0)),
        ("target", written(PLAIN, &[Listed { mode: TYPE_SYMLINK, target: b"", ..FILE }], 0)),
        ("target", written(PLAIN, &[Listed { mode: TYPE_SYMLINK, target: b"a\0", ..FILE }], 0)),
        ("target", written(PLAIN, &[Listed { mode: TYPE_SYMLINK, target: &[b'x'; 4096], ..FILE }], 0)),
        ("length of the name", written(PLAIN, &[Listed { name: &[b'x'; 4096], ..FILE }], 0)),
        ("shared part", b"\x20\x05\x01a".to_vec()),
        ("flags", b"\x84\x00\x01a".to_vec()),
        ("flags", b"\xc1\x00\x00\x01a".to_vec()),
        ("varint", b"\xff".to_vec()),
    ];
    for (what, bytes) in rows {
        let error = read(PLAIN, &bytes).expect_err(what);
        assert!(error.to_string().contains(what), "{error} is not about the {what}");
    }
    let linked = ListFormat { hard_links: true, ..PLAIN };
    for group in [0, 7, u32::MAX] {
        let bytes = written(linked, &[Listed { link: Link::Member(group), ..FILE }], 0);
        assert!(read(linked, &bytes).unwrap_err().to_string().contains("hard-link group"));
    }
}

#[test]
fn damaged_lists_end_in_an_error_or_a_list_and_never_in_a_panic() {
    let bytes = written(PLAIN, &[DIRECTORY, FILE, Listed { name: b"b/c", nanos: 5, ..FILE }], 0);
    for at in 0..bytes.len() {
        for byte in 0..=u8::MAX {
            let mut damaged = bytes.clone();
            damaged[at] = byte;
            let items = read(PLAIN, &damaged);
            assert!(items.is_err() || items.is_ok_and(|items| items.len() <= 8));
        }
    }
}
