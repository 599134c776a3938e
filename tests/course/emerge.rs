//! What a Gentoo machine does with a node: sync, look, verify.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use super::portage::Machine;
use super::rig::{Node, Place, STAMP, facts, same};

const SAME: &str = "Timestamps on the server and in the local repository are the same";
const OLDER: &str = "SERVER OUT OF DATE";

/// A sample, published by a node that runs.
fn served() -> (Place, Node) {
    let place = Place::with_node();
    place.ok("sample upstream --packages 40");
    let node = place.run();
    place.ok("import upstream/gentoo -r gentoo --dir node").matches("gentoo/full@1").next().unwrap();
    (place, node)
}

#[test]
fn emerge_follows_a_tree_through_its_changes() {
    let (place, node) = served();
    let machine = Machine::new(&place, &node.url("gentoo-portage"));
    let upstream = place.at("upstream/gentoo");
    let syncs = |runs: usize, words: &str| {
        let (said, rsyncs) = machine.sync();
        let said = said.expect(0).has(&[words]);
        assert_eq!(rsyncs, runs, "{}", said.all());
        same(&facts(&upstream), &facts(&machine.tree()));
    };

    // The first time.
    syncs(4, "=== Sync completed for gentoo");
    let said = machine.says("emerge --pretend app-misc/hello-headwater").expect(0);
    assert!(said.out.contains("] app-misc/hello-headwater-"), "{}", said.all());
    let verify = format!("gemato verify {}", machine.tree().display());
    machine.says(&verify).expect(0);

    // Nothing new: one look at the stamp, also after an import that found nothing.
    syncs(1, SAME);
    assert!(place.ok("import upstream/gentoo -r gentoo --dir node").starts_with("Nothing new"));
    syncs(1, SAME);

    // Another day's tree.
    place.ok("sample upstream --packages 40 --revision 1");
    assert!(place.ok("import upstream/gentoo -r gentoo --dir node").starts_with("Published gentoo/full@2"));
    syncs(4, "=== Sync completed for gentoo");
    machine.says("emerge --pretend app-misc/hello-headwater").expect(0);
    machine.says(&verify).expect(0);
    syncs(1, SAME);

    // One file, which its Manifest then does not know: so the verification does look.
    place.write("upstream/gentoo/skel.ebuild", "# Copyright of nobody\n");
    let report = place.json("import upstream/gentoo -r gentoo --dir node");
    assert_eq!((&report["added"], &report["removed"]), (&0.into(), &0.into()), "{report}");
    syncs(4, "=== Sync completed for gentoo");
    machine.says(&verify).expect(1).has(&["skel.ebuild"]);

    // A machine that was synced from somewhere newer.
    let ahead = "Fri, 01 Jan 2100 00:00:00 +0000\n";
    fs::write(machine.tree().join(STAMP), ahead).unwrap();
    let (said, rsyncs) = machine.sync();
    said.expect(1).has(&[OLDER]);
    assert_eq!(rsyncs, 1);
    assert_eq!(fs::read_to_string(machine.tree().join(STAMP)).unwrap(), ahead);
}

#[test]
fn every_generation_is_in_the_history_with_what_changed() {
    let (place, node) = served();
    let upstream = place.at("upstream/gentoo");
    let mut stamps = Vec::new();
    for number in 1..=3 {
        place.rsync(&format!("-a {} copy-{number}", node.url("gentoo-portage/"))).expect(0);
        same(&facts(&upstream), &facts(&place.at(format!("copy-{number}"))));
        stamps.push(stamp(&place.read(&format!("copy-{number}/{STAMP}"))));
        place.ok(&format!("sample upstream --packages 40 --revision {number}"));
        place.ok("import upstream/gentoo -r gentoo --dir node");
    }
    assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");

    let log = place.json("channel log gentoo/full --dir node");
    let generations = log["generations"].as_array().unwrap();
    let numbers: Vec<u64> = generations.iter().filter_map(|line| line["generation"].as_u64()).collect();
    assert_eq!(numbers, [4, 3, 2, 1], "newest first");
    let snapshots: BTreeSet<&str> = generations.iter().filter_map(|line| line["snapshot"].as_str()).collect();
    assert_eq!(snapshots.len(), 4, "{log}");
    // What the source said of itself is kept here, and only here.
    let sources: Vec<i64> = generations.iter().filter_map(|line| line["source"].as_str().map(stamp)).collect();
    assert!(sources.len() == 4 && sources.is_sorted_by(|a, b| a > b), "{sources:?}");
    for (line, before) in generations.iter().zip(&generations[1..]) {
        let count = |line: &serde_json::Value, name: &str| line[name].as_u64().unwrap();
        let came = count(before, "entries") + count(line, "added") - count(line, "removed");
        assert_eq!((came, &line["term"]), (count(line, "entries"), &1.into()), "{line}");
        assert!(count(line, "changed") > 0, "{line}");
    }
    let text = place.ok("channel log --dir node -n 2");
    assert!(text.contains("gentoo/full@4 ") && text.contains("gentoo/full@3 "), "{text}");
    assert!(!text.contains("gentoo/full@2 "), "{text}");
}

/// A stamp as seconds since 1970, by the system's own calendar.
pub(crate) fn stamp(text: &str) -> i64 {
    let parsed = std::process::Command::new("date").args(["+%s", "-u", "-d", text.trim_end()]).output().unwrap();
    String::from_utf8(parsed.stdout).unwrap().trim_end().parse().unwrap_or_else(|_| panic!("{text:?} is no stamp"))
}

/// Sets a file's time back to a round second.
pub(crate) fn set_time(file: &std::path::Path, seconds: u64) {
    File::options()
        .write(true)
        .open(file)
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
        .unwrap();
}
