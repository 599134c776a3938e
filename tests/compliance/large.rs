//! A file larger than anything that is counted in 32 bits, with holes.
//!
//! What is asked of stock rsync elsewhere would take minutes here, so this is only checked against the file itself: it arrives
//! whole, with its holes, and a copy of its first 4 GiB gets the rest.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::rig::Place;

/// 5 GiB.
const SIZE: u64 = 5 << 30;

/// Where there is something: at both ends, and over the borders of 31 and 32 bits.
const MARKS: [u64; 4] = [0, (1 << 31) - 3, (1 << 32) - 3, SIZE - 6];

const MARK: &[u8] = b"a mark";

/// What the marks may take up on a disk; all else must be holes.
const MOST_BLOCKS: u64 = (16 << 20) / 512;

#[test]
fn a_file_of_five_gib_arrives_whole_with_its_holes() {
    let place = Place::with_node();
    place.edit("node/topology.toml", "name = \"gentoo-portage\"", "name = \"large\"");
    plant(&place.at("source/large"));
    place.ok("import source --repository gentoo --dir node");
    let node = place.run();
    let url = node.url("large/large");
    place.rsync(&format!("-a --sparse --no-motd {url} copy")).expect(0);
    check(&place.at("copy"));
    let copy = OpenOptions::new().write(true).open(place.at("copy")).unwrap();
    copy.set_len((1 << 32) + 1).unwrap();
    place.rsync(&format!("-a --append --sparse --no-motd {url} copy")).expect(0);
    check(&place.at("copy"));
}

fn plant(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    file.set_len(SIZE).unwrap();
    MARKS.iter().for_each(|&mark| file.write_all_at(MARK, mark).unwrap());
}

fn check(path: &Path) {
    let file = File::open(path).unwrap();
    let seen = file.metadata().unwrap();
    assert_eq!(seen.len(), SIZE);
    assert!(seen.blocks() < MOST_BLOCKS, "{} blocks", seen.blocks());
    for mark in MARKS {
        let mut found = [0; MARK.len()];
        file.read_exact_at(&mut found, mark).unwrap();
        assert_eq!(found, MARK, "at {mark}");
    }
}
