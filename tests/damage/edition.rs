//! Trees by number: edition 2 is what edition 1 became. And what a tree looks like, to be compared file by file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use headwater::tree::ContentId;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

/// The publisher's own file.
pub(crate) const STAMP: &str = "metadata/timestamp.chk";

/// How much there is of a tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Size {
    /// Some thirty files, two of them too large for a row.
    Small,
    /// More than all buffers between a node and its client hold.
    Heavy,
}

/// A file that every edition has with other bytes, small enough for a row.
pub(crate) const ROW: &str = "hello.txt";

/// One that is too large for a row, and is the same in all editions.
pub(crate) const LARGE: &str = "large-same.bin";

/// What a path is, as far as clients are told: mode, time and bytes of a file, target of a symlink, mode of a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Line {
    Directory { mode: u32 },
    File { mode: u32, time: SystemTime, size: u64, content: ContentId },
    Link { target: String },
}

/// A tree by path.
pub(crate) type Lines = BTreeMap<String, Line>;

/// Bytes that no compressor makes smaller, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut dice = Dice(seed);
    let words = std::iter::repeat_with(|| dice.next().to_le_bytes());
    words.take(length.div_ceil(8)).flatten().take(length).collect()
}

/// A sequence of numbers that follows from its seed (splitmix64).
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }
}

/// Makes `root` edition `number`. What was the same in the edition before is not touched.
pub(crate) fn plant(root: &Path, size: Size, number: u64) {
    for directory in ["metadata", "category/package"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    let put = |path: &str, age: u64, bytes: &dyn Fn() -> Vec<u8>| put(&root.join(path), age, bytes);
    put(ROW, number, &|| format!("This is edition {number}.\n").into_bytes());
    put("empty", 0, &Vec::new);
    put("run.sh", 0, &|| b"#!/bin/sh\n".to_vec());
    fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    put("metadata/layout.conf", 0, &|| b"masters =\n".to_vec());
    put(LARGE, 0, &|| noise(1000, 1_300_000));
    put("large.bin", number, &|| noise(2000 + number, 1_500_000));
    for at in 0..20 {
        // Every third one changes.
        let age = if at % 3 == 0 { number } else { 0 };
        put(&format!("category/package/package-{at}.ebuild"), age, &|| noise(at * 64 + age, 300 + 500 * usize_of(at)));
    }
    if size == Size::Heavy {
        for at in 0..8 {
            put(&format!("bulk-{at}.bin"), number, &|| noise(3000 + 10 * at + number, 2_000_000));
        }
    }
    put(&format!("only-in-{number}.txt"), number, &|| b"here today\n".to_vec());
    let _ = fs::remove_file(root.join(format!("only-in-{}.txt", number - 1)));
    let _ = symlink(ROW, root.join("link"));
    // What just came and went has moved these; an edition is the same wherever and whenever it is planted.
    for path in ["link", "metadata", "category/package", "category", ""] {
        let time = Timespec { tv_sec: 1_600_000_000 + i64::try_from(number).unwrap(), tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, root.join(path), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// Writes a file unless it is there already; the same file of another age has another time.
fn put(path: &Path, age: u64, bytes: &dyn Fn() -> Vec<u8>) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000 + 100 * age);
    let as_before = fs::metadata(path).is_ok_and(|now| now.modified().unwrap() == time);
    if !as_before {
        fs::write(path, bytes()).unwrap();
        File::open(path).unwrap().set_modified(time).unwrap();
    }
}

/// What `root` holds, but for the publisher's own file.
pub(crate) fn lines(root: &Path) -> Lines {
    let mut lines = everything(root);
    lines.remove(STAMP);
    lines
}

/// What `root` holds.
pub(crate) fn everything(root: &Path) -> Lines {
    let mut lines = Lines::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && !path.is_symlink() {
                open.push(path.clone());
            }
            lines.insert(name, line(&path));
        }
    }
    lines
}

fn line(path: &Path) -> Line {
    let metadata = fs::symlink_metadata(path).unwrap();
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.is_symlink() {
        Line::Link { target: fs::read_link(path).unwrap().to_str().unwrap().to_owned() }
    } else if metadata.is_dir() {
        Line::Directory { mode }
    } else {
        let bytes = fs::read(path).unwrap();
        Line::File { mode, time: metadata.modified().unwrap(), size: metadata.len(), content: ContentId::of(&bytes) }
    }
}

/// Fails with the paths that differ.
#[track_caller]
pub(crate) fn same(found: &Lines, expected: &Lines, what: &str) {
    let paths = found.keys().chain(expected.keys());
    let mut differing: Vec<&str> =
        paths.filter(|path| found.get(*path) != expected.get(*path)).map(String::as_str).collect();
    differing.sort_unstable();
    differing.dedup();
    assert!(differing.is_empty(), "{what}: other than expected: {differing:?}");
    assert!(!found.is_empty(), "{what}: nothing at all");
}
