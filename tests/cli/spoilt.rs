//! Generations whose lists of files are damaged: what is said of them, and who may give them up.

use super::rig::{Node, Place};

const IMPORT: &str = "import tree -r gentoo --dir node";

#[test]
fn a_damaged_list_is_named_until_it_is_given_up_and_costs_nothing_that_is_kept_by_hand() {
    for with_node in [false, true] {
        let place = Place::with_node();
        for number in 1..=3 {
            place.write("tree/file", "x".repeat(number));
            place.ok(IMPORT);
        }
        place.ok("channel keep gentoo@1 --as precious --dir node");
        let database = rusqlite::Connection::open(place.at("node/headwater.db")).unwrap();
        let spoil = "UPDATE snapshots SET text = zeroblob(length(text)) WHERE n < 3";
        assert_eq!(database.execute(spoil, []).unwrap(), 2);
        drop(database);
        let node: Option<Node> = with_node.then(|| place.run());

        let said = place.says("sweep --dry-run --dir node").expect(3);
        said.has(&["damaged is what gentoo/full@2, gentoo/full@1 listed", "restore a backup"]);
        let said = place.says("sweep --dir node").expect(3);
        said.has(&["Nothing was freed", "damaged is what gentoo/full@2, gentoo/full@1 listed"]);
        let status = place.ok("status --dir node");
        for told in
            ["gentoo/full@1 is damaged", "channel release gentoo/full@1", "gentoo/full@2 is damaged", "drops it"]
        {
            assert!(status.contains(told), "{told}:\n{status}");
        }
        let said = place.says("sweep --dir node").expect(3);
        said.has(&["Freed gentoo/full@2: 0 contents", "damaged is what gentoo/full@1 listed"]);
        place.says("sweep --dir node").expect(3).has(&["Nothing was freed"]);
        let log = place.ok("channel log --dir node");
        assert!(log.contains("gentoo/full@1 ") && log.contains("kept as precious"), "{log}");

        place.ok("channel release gentoo@1 --dir node");
        place.says("sweep --dir node").expect(0).has(&["Freed gentoo/full@1: "]);
        assert!(!place.ok("status --dir node").contains("damaged"));
        drop(node);
    }
}
