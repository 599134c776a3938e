//! Questions: status, channel list and channel log, with a node and without one, for people and for scripts.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::rig::Place;

const IMPORT: &str = "import tree -r gentoo --dir node";

#[test]
fn a_status_says_how_the_node_is_with_and_without_one() {
    let place = Place::with_node();
    let before = place.json("status --dir node");
    assert_eq!(
        (&before["running"], &before["started"], &before["listeners"]),
        (&json!(false), &Value::Null, &json!([]))
    );
    assert_eq!(before["channels"], json!([{ "name": "gentoo/full", "generation": null }]));
    let text = place.ok("status --dir node");
    assert!(text.contains("not running") && text.contains("nothing yet"), "{text}");
    assert!(
        text.contains("WARNING  gentoo/full has no generation yet: headwater import DIR --repository gentoo"),
        "{text}"
    );

    place.write("tree/a", "twelve bytes");
    let report = place.json(IMPORT);
    assert_eq!(report["published"], json!([{ "channel": "gentoo/full", "generation": 1 }]));
    // The root, a, metadata and its stamp.
    let counts = ["added", "removed", "changed", "left_out", "files_read"].map(|key| report[key].as_u64());
    assert_eq!(counts, [Some(4), Some(0), Some(0), Some(0), Some(1)], "{report}");

    let node = place.run();
    let pulled = place.rsync(&format!("-a {} copy", node.url("gentoo-portage/")));
    pulled.expect(0);
    let during = place.json("status --dir node");
    assert_eq!(
        (&during["node"], &during["federation"], &during["role"]),
        (&json!("gw"), &json!("home"), &json!("gateway"))
    );
    assert_eq!(during["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(during["listeners"], json!([{ "door": "rsync", "address": format!("127.0.0.1:{}", node.port) }]));
    assert_eq!((&during["connections_total"], &during["clients_refused"]), (&json!(1), &json!(0)));
    assert_eq!((&during["running"], &during["warnings"]), (&json!(true), &json!([])));
    let channel = &during["channels"][0];
    assert_eq!(
        (&channel["generation"], &channel["entries"], &channel["bytes"]),
        (&json!(1), &json!(4), &json!(12 + 32))
    );
    assert_eq!(channel["snapshot"].as_str().map(str::len), Some(128));
    assert_eq!(during["modules"][0]["name"], "gentoo-portage");
    for key in ["free", "total", "data"] {
        assert!(during["disk"][key].as_u64() > Some(0), "{key}: {during}");
    }
    let text = place.ok("status --dir node");
    assert!(
        text.starts_with("gw, gateway of home: up ") && text.contains("clients  0 now, 1 since the start"),
        "{text}"
    );

    assert_eq!(node.stop(), Some(0));
    let after = place.json("status --dir node");
    assert_eq!((&after["running"], &after["channels"][0]["snapshot"]), (&json!(false), &channel["snapshot"]));
}

#[test]
fn channels_and_their_generations_are_listed_with_and_without_a_node() {
    let place = Place::with_node();
    assert_eq!(place.ok("channel log --dir node"), "gentoo/full: nothing is published yet.\n");
    assert_eq!(place.json("channel log --dir node"), json!({ "channel": "gentoo/full", "generations": [] }));
    for number in 1..=3 {
        place.write(format!("tree/{number}"), "x\n");
        place.ok(IMPORT);
    }
    let ask = || {
        let text = ["channel list", "channel log", "channel log gentoo/full", "channel log gentoo -n 2"]
            .map(|line| place.ok(&format!("{line} --dir node")));
        let data =
            ["channel list", "channel log", "channel log -n 1"].map(|line| place.json(&format!("{line} --dir node")));
        (text, data)
    };
    let (text, [list, log, short]) = ask();
    assert_eq!((&list[0]["generation"], &list[0]["generations_kept"]), (&json!(3), &json!(3)));
    assert_eq!(list[0]["modules"], json!(["gentoo-portage"]));
    assert_eq!(log["generations"].as_array().map(Vec::len), Some(3));
    assert_eq!(short["generations"], json!([log["generations"][0]]));
    assert_eq!(log["generations"][0]["snapshot"], list[0]["snapshot"]);
    // The file that came, and the root and the stamp that changed, and the directory that holds the stamp.
    assert_eq!((&log["generations"][0]["added"], &log["generations"][0]["removed"]), (&json!(1), &json!(0)));
    assert!(text[0].starts_with("CHANNEL") && text[0].contains("gentoo/full           3     3 "), "{}", text[0]);
    assert_eq!(text[1], text[2]);
    assert_eq!(text[3].lines().count(), 3, "{}", text[3]);

    let _node = place.run();
    assert_eq!(ask(), (text, [list, log, short]), "whoever is asked");
}

#[test]
fn only_as_many_generations_stay_as_the_configuration_says() {
    let place = Place::with_node();
    place.edit("node/headwater.toml", "# generations = 8\n# hours = 48\n# most = 64", "generations = 1\nmost = 2");
    let kept = |number: u32| {
        place.write("tree/file", format!("{number}\n"));
        place.ok(IMPORT);
        let log = place.json("channel log --dir node");
        let generations = log["generations"].as_array().unwrap();
        generations.iter().filter_map(|line| line["generation"].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!([kept(1), kept(2), kept(3), kept(4)], [vec![1], vec![2, 1], vec![3, 2], vec![4, 3]]);
    place.says("channel log gentoo@2 --dir node").expect(1).has(&["gentoo/full keeps no generation 2; there is 4, 3"]);
}

#[test]
fn a_watched_status_follows_the_node_as_it_comes() {
    let place = Place::with_node();
    let mut watch = place.command(env!("CARGO_BIN_EXE_headwater"));
    watch.args(["status", "--watch", "--json", "--dir", "node"]).stdout(Stdio::piped());
    let mut watch = watch.spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let first = next();
    assert_eq!(first["running"], false, "{first}");
    assert!(first["error"].as_str().unwrap_or_default().contains("no node runs here"), "{first}");
    let node = place.run();
    // At most one that was asked before.
    assert!((0..2).any(|_| next()["running"] == true));
    drop(node);
    assert!((0..2).any(|_| next()["running"] == false));
    // `timeout` passes a signal on.
    kill_process(Pid::from_child(&watch), Signal::TERM).unwrap();
    watch.wait().unwrap();
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let place = Place::with_node();
    let shell = format!("{} status --json --dir node | head -c 1", env!("CARGO_BIN_EXE_headwater"));
    let output = place.command("bash").args(["-o", "pipefail", "-c", &shell]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"{"[..]), "{output:?}");
}
