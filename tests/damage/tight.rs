//! A disk on which hardly anything is left: a sweep makes room, and takes no file of a content that stays known.

use std::fs;
use std::path::Path;

use super::client;
use super::disk::{Disk, place_on};
use super::edition::{Size, lines, noise, same};
use super::node::Node;

/// What is left of the disk, in KiB: less than the log of a sweep that frees everything at once, and hardly any at all.
const LEFT: [u64; 2] = [600, 160];

/// What goes and comes again.
const MOVED: &str = "moved";

/// Many small files and some large ones.
fn plant(root: &Path) {
    for at in 0..2000 {
        let directory = root.join(format!("many-{}", at / 200));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("file-{at}")), noise(10_000 + at, 700)).unwrap();
    }
    for at in 0..12 {
        fs::write(root.join(format!("great-{at}.bin")), noise(20_000 + at, 1_200_000)).unwrap();
    }
}

#[test]
fn a_sweep_on_a_disk_that_is_nearly_full_frees_it_and_leaves_nothing_half_there() {
    for left in LEFT {
        let Some(disk) = Disk::new(224) else { return };
        let (place, _) = place_on(&disk);
        let (source, small) = place.source(Size::Small, 2);
        plant(&source.join(MOVED));
        let whole = lines(&source);
        assert_eq!(place.import(&source), Some(2));
        // It is left to the sweep that this is about.
        let config = place.data.join("headwater.toml");
        let strict = fs::read_to_string(&config).unwrap();
        fs::write(&config, strict.replace("= 1", "= 4")).unwrap();
        let away = place.fresh();
        fs::rename(source.join(MOVED), &away).unwrap();
        assert_eq!(place.import(&source), Some(3));
        fs::write(&config, strict).unwrap();
        disk.fill_but(left << 10);

        let output = place.run(&["sweep"], &[]);
        let said = client::text(&output);
        assert_eq!(output.status.code(), Some(0), "{left} KiB: {said}");
        assert!(said.contains("tree/full@2: 2,01"), "{left} KiB: {said}");
        let node = Node::start(&place);
        same(&client::pull(&node), &small, "what was published");
        disk.empty();
        fs::rename(&away, source.join(MOVED)).unwrap();
        assert_eq!(place.import(&source), Some(4), "{left} KiB");
        same(&client::pull(&node), &whole, "what was freed, and is there again");
        assert!(node.alarms().is_empty(), "{left} KiB: {:?}", node.alarms());
    }
}
