//! A data directory that cannot be written: what is published is served, nothing is lost, and whatever would change something
//! says what to do.

use std::fs;

use rustix::process::Signal;

use super::disk::{Disk, place_on};
use super::edition::{self, LARGE, Lines, ROW, Size, same};
use super::node::Node;
use super::place::{Place, Start};
use super::{bad, client, wait};

/// How the last import in the directory ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Before {
    /// As it should: everything is in the database.
    Done,
    /// Killed: what it published is in the log.
    Killed,
}

/// A command that must be refused for this reason.
#[track_caller]
fn refused(place: &Place, order: &[&str]) {
    let output = place.run(order, &[]);
    let said = client::text(&output);
    assert_eq!(output.status.code(), Some(3), "{order:?}: {said}");
    assert!(said.contains("read-only") && said.contains("mount it writable"), "{order:?}: {said}");
}

/// Publishes edition 2 by an import that ends like this, and makes the disk read-only.
fn sealed(disk: &Disk, before: Before) -> (Place, Lines) {
    let (place, _) = place_on(disk);
    let (source, tree) = place.source(Size::Small, 2);
    let order = ["import", "--repository", "tree", source.to_str().unwrap()];
    let died = [("HEADWATER_FAILPOINT", "after-head-commit")];
    let output = place.run(&order, if before == Before::Killed { &died } else { &[] });
    assert_eq!(output.status.success(), before == Before::Done, "{output:?}");
    let log = fs::metadata(place.data.join("headwater.db-wal")).map_or(0, |log| log.len());
    assert_eq!(log > 0, before == Before::Killed, "a log of {log} bytes");
    disk.root_does("mount -o remount,ro /mnt");
    (place, tree)
}

#[test]
fn a_node_on_a_read_only_disk_serves_what_is_published_and_refuses_what_would_change_it() {
    wait::at_once(&[Before::Done, Before::Killed], |before| {
        let Some(disk) = Disk::new(240) else { return };
        let (place, tree) = sealed(&disk, *before);
        let mut node = Node::start(&place);
        same(&client::pull(&node), &tree, &format!("{before:?}"));
        node.said("read-only file system: what is published is served").unwrap();
        let (source, newer) = place.source(Size::Small, 3);
        let source = source.to_str().unwrap();
        refused(&place, &["import", "--repository", "tree", source]);
        refused(&place, &["sweep"]);
        refused(&place, &["channel", "keep", "tree@2"]);
        let status: serde_json::Value = serde_json::from_str(&place.must(&["status", "--json"])).unwrap();
        assert_eq!(status["channels"][0]["generation"], 2, "{before:?}: {status}");
        assert!(status["warnings"].to_string().contains("mount it writable"), "{before:?}: {status}");
        place.must(&["scrub"]);
        place.must(&["config", "check"]);
        let copy = place.fresh();
        place.must(&["export", copy.to_str().unwrap(), "--channel", "tree"]);
        same(&edition::lines(&copy), &tree, "an export");
        same(&client::pull(&node), &tree, "after all that");
        node.signal(Signal::TERM);
        assert_eq!(node.ends().code(), Some(0), "{:?}", node.log());
        node.is_unharmed();

        disk.root_does("mount -o remount,rw /mnt");
        let node = Node::start(&place);
        same(&client::pull(&node), &tree, "writable again");
        assert_eq!(place.import(source.as_ref()), Some(3), "{before:?}");
        same(&client::pull(&node), &newer, "the next one");
        assert!(node.alarms().is_empty(), "{:?}", node.alarms());
    });
}

#[test]
fn damage_on_a_read_only_disk_costs_those_files_and_is_named_by_a_scrub() {
    let Some(disk) = Disk::new(240) else { return };
    let mut place = Place::new(Start::Published);
    let (_, tree) = place.source(Size::Small, 1);
    for path in [ROW, LARGE] {
        bad::damage(&place, path, &tree, bad::Damage::Flipped);
    }
    place.move_data(disk.id(), "/mnt/data".as_ref());
    disk.root_does("mount -o remount,ro /mnt");
    let node = Node::start(&place);
    let mut others = tree.clone();
    others.retain(|path, _| path != ROW && path != LARGE);
    for round in 1..=2 {
        let target = place.fresh();
        let output = wait::output(client::begin(node.port, &target), "rsync");
        assert_eq!(output.status.code(), Some(23), "client {round}: {output:?}");
        same(&edition::lines(&target), &others, &format!("client {round}"));
        // Nothing can be set aside, so the next scrub finds the same.
        let output = place.run(&["scrub"], &[]);
        let said = client::text(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(&format!("tree/full@1: {ROW}: ")) && said.contains(&format!(": {LARGE}: ")), "{said}");
    }
}

#[test]
fn a_log_that_cannot_be_taken_in_is_named_and_nothing_older_is_served() {
    let Some(disk) = Disk::new(240) else { return };
    let (place, tree) = sealed(&disk, Before::Killed);
    disk.root_does("mount -o remount,rw /mnt && rm /mnt/data/headwater.db-shm && mount -o remount,ro /mnt");
    for order in [&["run"], &["status"]] {
        let output = place.run(order, &[]);
        let said = client::text(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("headwater.db-wal was left behind") && said.contains("mount it writable"), "{said}");
    }
    disk.root_does("mount -o remount,rw /mnt");
    let node = Node::start(&place);
    same(&client::pull(&node), &tree, "writable again");
}

#[test]
fn a_directory_that_turns_read_only_under_a_node_is_served_on() {
    let Some(disk) = Disk::new(240) else { return };
    let (place, tree) = place_on(&disk);
    let node = Node::start(&place);
    // For whatever is opened from now on; who has a file open keeps it.
    disk.root_does("mount --bind /mnt/data /mnt/data && mount -o remount,bind,ro /mnt/data");
    same(&client::pull(&node), &tree, "read-only");
    let (source, newer) = place.source(Size::Small, 2);
    refused(&place, &["import", "--repository", "tree", source.to_str().unwrap()]);
    assert_eq!(node.generation(), Some(1));
    assert!(node.alarms().iter().any(|alarm| alarm.contains("mount it writable")), "{:?}", node.alarms());
    place.must(&["scrub"]);
    same(&client::pull(&node), &tree, "after an import in vain");
    disk.root_does("umount -l /mnt/data");
    assert_eq!(place.import(&source), Some(2));
    same(&client::pull(&node), &newer, "writable again");
    assert!(node.alarms().is_empty(), "{:?}", node.alarms());
}
