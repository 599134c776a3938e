//! A channel that the topology has left out: it is named, keeps what it had, and is given up only by name.

use std::fs;

use serde_json::json;

use super::rig::Place;

/// A second repository, with its channel.
const MORE: &str = "
[[repository]]
name = \"old\"
kind = \"files\"

[[channel]]
name = \"old/full\"
";

/// How many large contents have a file.
fn large(place: &Place) -> usize {
    let fans = fs::read_dir(place.at("node/large")).unwrap();
    fans.map(|fan| fs::read_dir(fan.unwrap().path()).unwrap().count()).sum()
}

#[test]
fn what_a_channel_that_left_the_topology_keeps_is_named_and_given_up_by_name() {
    for with_node in [false, true] {
        let place = Place::with_node();
        let without = place.read("node/topology.toml");
        place.write("node/topology.toml", format!("{without}{MORE}"));
        let node = with_node.then(|| place.run());
        let say = |text: &str| {
            place.write("node/topology.toml", text);
            if node.is_some() {
                place.ok("reload --dir node");
            }
        };
        place.write("tree/file", "x");
        place.ok("import tree -r gentoo --dir node");
        place.write("image/disk", "x".repeat(3 << 20));
        place.ok("import image -r old --dir node");
        place.ok("channel keep old@1 --dir node");
        assert_eq!(large(&place), 1);
        let refused = place.says("channel forget old/full --dir node").expect(1);
        refused.has(&["old/full cannot be forgotten: topology.toml has it", "take it out"]);

        say(&without);
        place.says("sweep --dir node").expect(0).has(&["Nothing to free"]);
        let status = place.ok("status --dir node");
        for told in ["old/full is not in topology.toml", "has 3 MiB", "`headwater channel forget old/full`"] {
            assert!(status.contains(told), "{told}:\n{status}");
        }
        place.says("channel forget old/other --dir node").expect(1).has(&["no channel old/other", "there is old/full"]);
        place
            .says("channel forget old/full -n --dir node")
            .expect(0)
            .has(&["Would free old/full@1: 1 contents, 3.0 MiB"]);
        // Put back, nothing is lost.
        say(&format!("{without}{MORE}"));
        assert_eq!(place.json("channel list --dir node")[1]["generation"], 1);
        say(&without);

        place.says("channel forget old/full --dir node").expect(0).has(&["Freed old/full@1: 1 contents, 3.0 MiB"]);
        assert_eq!(large(&place), 0);
        assert!(!place.ok("status --dir node").contains("old/full"));
        place.says("channel forget old/full --dir node").expect(1).has(&["there is none"]);
        place.says("scrub --dir node").expect(0).has(&["everything is sound"]);

        // Its numbers are not used again.
        say(&format!("{without}{MORE}"));
        assert!(place.ok("status --dir node").contains("old/full has no generation any more"));
        let report = place.json("import image -r old --dir node");
        assert_eq!(report["published"], json!([{ "channel": "old/full", "generation": 2 }]));
        assert_eq!(large(&place), 1);
    }
}
