//! Generations compared, kept, released, rolled back to and swept, each with a node and without one.

use std::fs;

use serde_json::{Value, json};

use super::rig::{Node, Place, STAMP};

const IMPORT: &str = "import tree -r gentoo --dir node";

/// Whom a command asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    Store,
    Node,
}

impl Who {
    const BOTH: [Who; 2] = [Who::Store, Who::Node];

    fn start(self, place: &Place) -> Option<Node> {
        (self == Who::Node).then(|| place.run())
    }
}

/// Generations of `tree/file`, each as long as its number says, so that a client sees the difference in the same second.
fn published(place: &Place, numbers: std::ops::RangeInclusive<usize>) {
    for number in numbers {
        place.write("tree/file", "x".repeat(number));
        place.ok(IMPORT);
    }
}

/// A node that keeps one generation, by number.
fn forgetful() -> Place {
    let place = Place::with_node();
    place.edit("node/headwater.toml", "# generations = 8\n# hours = 48\n# most = 64", "generations = 1\nmost = 1");
    place
}

/// The generations that are kept, newest first.
fn kept(place: &Place) -> Vec<u64> {
    let log = place.json("channel log --dir node");
    log["generations"].as_array().unwrap().iter().filter_map(|line| line["generation"].as_u64()).collect()
}

#[test]
fn a_diff_shows_a_tree_by_package_and_then_by_directory() {
    for who in Who::BOTH {
        let place = Place::with_node();
        place.write("tree/app-misc/foo/foo-1.0.ebuild", "a");
        place.write("tree/app-misc/foo/foo-1.1.ebuild", "a");
        place.write("tree/app-misc/foo/Manifest", "a");
        place.write("tree/profiles/repo_name", "gentoo\n");
        place.ok(IMPORT);
        fs::remove_file(place.at("tree/app-misc/foo/foo-1.0.ebuild")).unwrap();
        place.write("tree/app-misc/foo/foo-1.1.ebuild", "bb");
        place.write("tree/app-misc/foo/foo-1.2.ebuild", "a");
        place.write("tree/app-misc/foo/Manifest", "bb");
        place.write("tree/eclass/new.eclass", "a");
        place.ok(IMPORT);
        let _node = who.start(&place);
        let text = place.ok("channel diff gentoo@1 gentoo --dir node");
        assert!(text.starts_with("From gentoo/full@1 to gentoo/full@2: "), "{text}");
        let line = |start: &str| {
            let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {text}"));
            line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("app-misc/foo "), "+foo-1.2 -foo-1.0 ~foo-1.1 ~1", "{who:?}");
        assert_eq!((line("eclass "), line("metadata "), line(". ")), ("+1".into(), "~1".into(), "+1".into()), "{text}");
        let diff = place.json("channel diff gentoo@1 gentoo/full@2 --dir node");
        assert_eq!((&diff["old"]["generation"], &diff["new"]["generation"]), (&json!(1), &json!(2)));
        let ebuilds = json!({ "added": ["foo-1.2"], "removed": ["foo-1.0"], "changed": ["foo-1.1"] });
        let others = json!({ "added": 0, "removed": 0, "changed": 1 });
        let package = json!({ "name": "app-misc/foo", "ebuilds": ebuilds, "other_files": others });
        assert_eq!(diff["packages"], json!([package]), "{who:?}");
        let back = place.json("channel diff gentoo@2 gentoo@1 --dir node");
        assert_eq!((&back["added"], &back["removed"]), (&diff["removed"], &diff["added"]));
        assert!(place.ok("channel diff gentoo@2 gentoo@2 --dir node").ends_with("nothing differs.\n"));
        for (line, told) in [
            ("channel diff gentoo@7 gentoo@2", "gentoo/full keeps no generation 7; there is 2, 1"),
            ("channel diff gentoo/other gentoo", "no channel gentoo/other; there is gentoo/full"),
        ] {
            place.says(&format!("{line} --dir node")).expect(1).has(&[told]);
        }
    }
}

#[test]
fn clients_follow_a_rollback_and_hear_what_it_is() {
    for who in Who::BOTH {
        let place = Place::with_node();
        published(&place, 1..=3);
        let before = place.run();
        let pull =
            |node: &Node| drop(place.rsync(&format!("-a --delete {} copy", node.url("gentoo-portage/"))).expect(0));
        pull(&before);
        let old = place.read(&format!("copy/{STAMP}"));
        assert_eq!(place.read("copy/file"), "xxx");
        let served = match who {
            Who::Node => before,
            Who::Store => {
                assert_eq!(before.stop(), Some(0));
                place.ok("status --dir node");
                let report = place.json("channel rollback gentoo@1 --dir node");
                assert_eq!((&report["published"], &report["rollback_of"]), (&json!(4), &json!(1)), "{report}");
                place.run()
            }
        };
        if who == Who::Node {
            let text = place.ok("channel rollback gentoo/full@1 --dir node");
            assert!(
                text.starts_with("Published gentoo/full@4 with the content of gentoo/full@1: 0 added, 0 removed, ")
            );
        }
        pull(&served);
        assert_eq!(place.read("copy/file"), "x", "{who:?}");
        assert!(is_later(&place, &old), "{who:?}: a client would not follow");
        let log = place.json("channel log gentoo@4 --dir node");
        assert_eq!(log["generations"][0]["rollback_of"], 1);
        assert!(place.ok("channel log gentoo -n 1 --dir node").contains("rollback to 1"));
        assert!(place.ok("channel diff gentoo@1 gentoo@4 --dir node").contains("metadata   ~1"), "only the stamp");
        // Once more has nothing to do; forward again is as good.
        let again = place.ok("channel rollback gentoo@1 --dir node");
        assert_eq!(again, "Nothing to do: gentoo/full serves the content of gentoo/full@1 already.\n");
        place.ok("channel rollback gentoo@3 --dir node");
        pull(&served);
        assert_eq!(place.read("copy/file"), "xxx", "{who:?}");
        // The next import goes on from there.
        assert_eq!(place.json(IMPORT)["published"], json!([]));
        place.write("tree/file", "xxxx");
        assert_eq!(place.json(IMPORT)["published"][0]["generation"], 6);
        place.says("channel rollback gentoo@9 --dir node").expect(1).has(&["gentoo/full keeps no generation 9"]);
    }
}

/// Whether the copy's stamp is later than `old`.
fn is_later(place: &Place, old: &str) -> bool {
    let seconds = |text: &str| headwater::portage::stamp::parse_chk(text.as_bytes()).unwrap();
    seconds(&place.read(&format!("copy/{STAMP}"))) > seconds(old)
}

#[test]
fn what_is_kept_by_hand_stays_until_it_is_released() {
    for who in Who::BOTH {
        let place = forgetful();
        published(&place, 1..=1);
        let _node = who.start(&place);
        assert_eq!(
            place.ok("channel keep gentoo@1 --as first --dir node"),
            "Kept gentoo/full@1 as first, until it is released.\n"
        );
        published(&place, 2..=4);
        // A node sweeps after it has answered; this waits for it.
        place.ok("sweep --dir node");
        assert_eq!(kept(&place), [4, 1], "{who:?}");
        assert!(place.ok("channel log --dir node").contains("kept as first"));
        assert!(place.ok("channel list --dir node").contains("@1 as first"));
        assert!(place.ok("status --dir node").contains("kept     gentoo/full@1 as first, by hand since"));
        assert_eq!(place.json("status --dir node")["kept"][0]["name"], "first");
        assert_eq!(place.json("channel list --dir node")[0]["kept"][0]["generation"], 1);
        place.ok("channel diff gentoo@1 gentoo@4 --dir node");

        // A name stands for one generation; the same once more is no news; another name replaces it.
        let taken = place.says("channel keep gentoo@4 --as first --dir node").expect(1);
        taken.has(&["gentoo/full@1 is kept as first already; release that one, or choose another name"]);
        assert!(place.ok("channel keep gentoo@1 --as first --dir node").starts_with("Nothing to do: "));
        place.ok("channel keep gentoo@1 --as eldest --dir node");
        assert_eq!(place.json("channel keep gentoo@4 --as first --dir node")["kept"]["name"], "first");
        let gone = place.says("channel keep gentoo@2 --dir node").expect(1);
        gone.has(&["gentoo/full keeps no generation 2; there is 4, 1"]);

        let released = place.json("channel release gentoo@1 --dir node");
        assert_eq!((&released["kept"], &released["before"]["name"]), (&Value::Null, &json!("eldest")));
        assert_eq!(
            place.ok("channel release gentoo@1 --dir node"),
            "Nothing to do: gentoo/full@1 is not kept by hand.\n"
        );
        assert_eq!(kept(&place), [4, 1], "{who:?}: nothing is freed at once");
        // Its file and its stamp.
        let foretold = place.json("sweep --dry-run --dir node");
        assert_eq!(foretold["generations"], json!([{ "channel": "gentoo/full", "generation": 1 }]));
        assert_eq!(
            (&foretold["dry_run"], &foretold["contents"], &foretold["bytes"]),
            (&json!(true), &json!(2), &json!(33))
        );
        assert_eq!(kept(&place), [4, 1], "{who:?}: a dry run changes nothing");
        assert_eq!(place.ok("sweep --dir node"), "Freed gentoo/full@1: 2 contents, 33 B.\n", "{who:?}");
        assert_eq!(kept(&place), [4], "{who:?}");
        assert_eq!(place.ok("sweep --dir node"), "Nothing to free.\n");
    }
}

#[test]
fn a_node_that_is_told_a_rate_scrubs_in_the_background_and_shows_what_it_found() {
    let place = Place::with_node();
    published(&place, 1..=1);
    assert_eq!(place.json("status --dir node")["scrub"], Value::Null);
    place.edit("node/headwater.toml", "[scrub]", "[scrub]\nrate = \"1GiB\"");
    let node = place.run();
    node.hear("scrubbed");
    // It is said before it is noted where everybody sees it; an order behind it is answered after that.
    place.ok("sweep --dry-run --dir node");
    let scrub = place.json("status --dir node")["scrub"].clone();
    // The file and its stamp.
    assert_eq!((&scrub["contents"], &scrub["bytes"], &scrub["bad"]), (&json!(2), &json!(33), &json!(0)));
    assert!(place.ok("status --dir node").contains("ago: 2 contents, 33 B, all sound"));
    assert_eq!(node.stop(), Some(0));
    assert_eq!(place.json("status --dir node")["scrub"], scrub);
}

#[test]
fn a_store_of_an_older_release_is_brought_up_to_date_and_one_of_a_newer_is_refused() {
    let place = Place::with_node();
    published(&place, 1..=2);
    let database = || rusqlite::Connection::open(place.at("node/headwater.db")).unwrap();
    // What version 1 was.
    let old = "DROP TABLE keeps; ALTER TABLE publications DROP COLUMN rollback_of; PRAGMA user_version = 1;";
    database().execute_batch(old).unwrap();
    let node = place.run();
    assert_eq!(kept(&place), [2, 1]);
    place.ok("channel keep gentoo@1 --dir node");
    drop(node);
    database().execute_batch("PRAGMA user_version = 3").unwrap();
    for line in ["status", "channel list", "run --listen-rsync 127.0.0.1:0"] {
        let said = place.says(&format!("{line} --dir node")).expect(1);
        said.has(&["has schema version 3, but this release knows only 2"]);
    }
}
