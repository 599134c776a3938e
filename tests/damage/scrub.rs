//! Many damaged contents at once: a scrub names each of them and nothing else, and all others are served.

use std::collections::BTreeSet;

use super::bad::{self, Damage};
use super::edition::{self, LARGE, ROW, Size, same};
use super::node::Node;
use super::place::{Place, Start};
use super::{client, wait};

/// Each kind of damage in the database and in a file.
const DAMAGED: [(&str, Damage); 8] = [
    (ROW, Damage::Flipped),
    ("category/package/package-1.ebuild", Damage::Truncated),
    ("category/package/package-2.ebuild", Damage::Longer),
    ("category/package/package-3.ebuild", Damage::Missing),
    (LARGE, Damage::Flipped),
    ("bulk-1.bin", Damage::Truncated),
    ("bulk-2.bin", Damage::Longer),
    ("bulk-3.bin", Damage::Missing),
];

/// What a scrub names, by path.
#[track_caller]
fn named(place: &Place, what: &str) -> BTreeSet<String> {
    let output = place.run(&["scrub", "--json"], &[]);
    let said = client::text(&output);
    assert_eq!(output.status.code(), Some(3), "{what}: {said}");
    assert!(said.contains("do:  import the tree again, which mends contents"), "{what}: {said}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let bad = report["bad"].as_array().unwrap().iter();
    let paths: Vec<String> = bad.map(|bad| bad["path"].as_str().unwrap().to_owned()).collect();
    let distinct: BTreeSet<String> = paths.iter().cloned().collect();
    assert_eq!(distinct.len(), paths.len(), "{what}: {paths:?}");
    distinct
}

#[test]
fn a_scrub_names_every_one_of_many_damaged_contents_and_an_import_mends_all() {
    wait::at_once(&[true, false], |running| {
        let what = if *running { "by a node" } else { "by the command" };
        let place = Place::new(Start::Empty);
        let (source, tree) = place.source(Size::Heavy, 1);
        assert_eq!(place.import(&source), Some(1));
        let mut node = running.then(|| Node::start(&place));
        let mut others = tree.clone();
        for (path, damage) in DAMAGED {
            bad::damage(&place, path, &tree, damage);
            others.remove(path);
        }
        let expected: BTreeSet<String> = DAMAGED.iter().map(|(path, _)| format!("tree/full@1: {path}")).collect();
        assert_eq!(named(&place, what), expected, "{what}");
        // They are set aside now, and named all the same.
        assert_eq!(named(&place, what), expected, "{what}, once more");
        let node = node.take().unwrap_or_else(|| Node::start(&place));
        let target = place.fresh();
        let output = wait::output(client::begin(node.port, &target), "rsync");
        assert_eq!(output.status.code(), Some(23), "{what}: {output:?}");
        same(&edition::lines(&target), &others, what);
        assert!(node.alarms().iter().any(|alarm| alarm.contains("lacks 8 contents")), "{what}: {:?}", node.alarms());
        assert_eq!(place.import(&source), Some(2), "{what}");
        same(&client::pull(&node), &tree, what);
        place.must(&["scrub"]);
        assert!(node.alarms().is_empty(), "{what}: {:?}", node.alarms());
    });
}
