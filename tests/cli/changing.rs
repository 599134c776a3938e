//! A node that runs and is told something new: reload, SIGHUP, SIGTERM, and what the environment and flags override.

use std::fs;
use std::thread::scope;

use rustix::process::Signal;
use serde_json::json;

use super::rig::relay::Relay;
use super::rig::{Node, Place};

/// A node that serves a large file, and small ones, in the module `gentoo-portage`.
fn served() -> (Place, Node) {
    let place = Place::with_node();
    let mut state = 1_u32;
    let noise = (0..8 << 20).map(|_| {
        // Bytes that do not compress.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    place.write("tree/large", noise.collect::<Vec<u8>>());
    place.write("tree/sub/small", "small\n");
    place.ok("import tree -r gentoo --dir node");
    let node = place.run();
    (place, node)
}

/// What a client that lists the modules sees.
fn listed(place: &Place, node: &Node) -> String {
    place.rsync(&node.url("")).expect(0).out
}

const MODULE: &str = "\n[[module]]\nname = \"part\"\nchannel = \"gentoo/full\"\npath = \"sub\"\ncomment = \"A part\"\n";

/// The ways to have a node take a changed configuration in, each waiting until it has.
#[derive(Clone, Copy, Debug)]
enum Way {
    Command,
    Signal,
}

impl Way {
    fn reload(self, place: &Place, node: &Node) {
        match self {
            Way::Command => drop(place.ok("reload --dir node")),
            Way::Signal => {
                node.signal(Signal::HUP);
                node.hear("reloaded");
            }
        }
    }
}

#[test]
fn a_reload_changes_greeting_modules_and_limits_while_a_transfer_goes_on() {
    for way in [Way::Command, Way::Signal] {
        let (place, node) = served();
        let relay = Relay::new(node.port, 1 << 20);
        scope(|scope| {
            let line = format!("-a rsync://127.0.0.1:{}/gentoo-portage/ copy", relay.port);
            let place = &place;
            let pull = scope.spawn(move || place.rsync(&line));
            relay.is_paused();
            assert_eq!(place.json("status --dir node")["connections"], 1, "{way:?}");

            place.write("node/news", "Fresh water.\n");
            place.edit("node/headwater.toml", "# motd = \"\"", "motd = \"news\"");
            place.edit("node/headwater.toml", "# per_client = 100", "per_client = 1");
            // The module that the transfer runs in goes, another one comes.
            let topology = place.read("node/topology.toml");
            let (start, rest) = topology.split_once("[[module]]").unwrap();
            let (_, rest) = rest.split_once("[[node]]").unwrap();
            place.write("node/topology.toml", format!("{start}{}\n[[node]]{rest}", MODULE.trim_start()));
            way.reload(place, &node);

            // The transfer takes the one place that a client may have.
            place.rsync(&node.url("")).expect(5).has(&["@ERROR"]);
            drop(relay);
            pull.join().unwrap().expect(0);
        });
        assert!(fs::read(place.at("copy/large")).unwrap() == fs::read(place.at("tree/large")).unwrap(), "{way:?}");
        let list = free(&place, || place.rsync(&node.url("")));
        assert!(list.contains("Fresh water.") && list.contains("part"), "{way:?}: {list}");
        assert!(!list.contains("gentoo-portage"), "{way:?}: {list}");
        free(&place, || place.rsync(&format!("-a {} part", node.url("part/"))));
        assert_eq!(place.read("part/small"), "small\n");
        let gone = place.rsync(&node.url("gentoo-portage/"));
        gone.expect(5).has(&["@ERROR: Unknown module 'gentoo-portage'"]);
    }
}

/// What a client hears once the node has no other one: it may learn of its last client's end after that client's user.
fn free(place: &Place, client: impl Fn() -> super::rig::Said) -> String {
    for _ in 0..1000 {
        if place.json("status --dir node")["connections"] == 0 {
            return client().expect(0).out;
        }
    }
    panic!("a client stays: {}", place.ok("status --dir node"));
}

#[test]
fn a_reload_says_what_is_in_force_and_what_waits() {
    let place = Place::new();
    place.ok("init --dir node --admin-key admin.key --listen-rsync 127.0.0.1:0");
    let node = place.run_with("run --dir node", &[]);
    assert_eq!(place.ok("reload --dir node"), "Nothing changed.\n");
    assert_eq!(place.json("reload --dir node"), json!({ "changed": [], "at_restart": [] }));
    place.edit("node/headwater.toml", "# idle = \"10m\"", "idle = \"1m\"");
    place.edit("node/topology.toml", "comment = \"Gentoo ebuild repository\"", "comment = \"Another comment\"");
    assert_eq!(place.ok("reload --dir node"), "In force now: limits.idle, topology.\n");
    assert!(listed(&place, &node).contains("Another comment"));
    place.edit("node/headwater.toml", "# hours = 48", "hours = 24");
    place.edit("node/headwater.toml", "rsync = \"127.0.0.1:0\"", "rsync = \"off\"");
    place.edit("node/headwater.toml", "# drain = \"30s\"", "drain = \"1s\"");
    assert_eq!(place.ok("reload --dir node"), "In force now: keep.hours.\nWaits for a restart: drain, listen.rsync.\n");
    // It is told as long as it waits, and no longer.
    assert_eq!(place.json("reload --dir node"), json!({ "changed": [], "at_restart": ["drain", "listen.rsync"] }));
    place.edit("node/headwater.toml", "rsync = \"off\"", "rsync = \"127.0.0.1:0\"");
    place.edit("node/headwater.toml", "drain = \"1s\"", "drain = \"30s\"");
    assert_eq!(place.ok("reload --dir node"), "Nothing changed.\n");
    assert!(listed(&place, &node).contains("Another comment"));
}

#[test]
fn a_reload_with_a_mistake_keeps_everything_as_it_was() {
    // Which file is broken, how, and what is told. The other file has a sound change that must not come into force.
    let cases = [
        ("node/topology.toml", "kind = \"tree\"", "kind = \"three\"", "repository[1].kind: \"three\" is none of"),
        (
            "node/topology.toml",
            "channel = \"gentoo/full\"",
            "channel = \"gentoo/half\"",
            "no channel named gentoo/half",
        ),
        ("node/headwater.toml", "# per_client = 100", "per_client = 0", "limits.per_client: 0 is out of bounds"),
        (
            "node/headwater.toml",
            "# idle = \"10m\"",
            "idel = \"10m\"",
            "limits.idel: no such key; did you mean limits.idle?",
        ),
    ];
    let (place, node) = served();
    let before = (listed(&place, &node), place.read("node/headwater.toml"), place.read("node/topology.toml"));
    for (file, old, new, told) in cases {
        place.write("node/news", "Fresh water.\n");
        place.edit("node/headwater.toml", "# motd = \"\"", "motd = \"news\"");
        place.edit("node/topology.toml", "comment = \"Gentoo ebuild repository\"", "comment = \"Another comment\"");
        place.edit(file, old, new);
        let said = place.says("reload --dir node").expect(1).has(&[told]);
        assert!(said.out.is_empty(), "{}", said.out);
        assert_eq!(listed(&place, &node), before.0, "{new}");
        node.signal(Signal::HUP);
        node.hear("the configuration stays as it was");
        assert_eq!(listed(&place, &node), before.0, "{new}");
        place.write("node/headwater.toml", &before.1);
        place.write("node/topology.toml", &before.2);
    }
    assert_eq!(place.ok("reload --dir node"), "Nothing changed.\n");
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let place = Place::with_node();
    place.edit("node/headwater.toml", "# rsync = \"::\"", "rsync = \"192.0.2.1:1\"");
    place.edit("node/headwater.toml", "# motd = \"\"", "motd = \"of-the-file\"");
    place.write("node/of-the-file", "The file's.\n");
    place.write("node/of-the-environment", "The environment's.\n");
    let environment = [("HEADWATER_LISTEN_RSYNC", "127.0.0.1:0"), ("HEADWATER_MOTD", "of-the-environment")];
    let node = place.run_with("run --dir node", &environment);
    assert!(listed(&place, &node).starts_with("The environment's."));
    assert_eq!(node.stop(), Some(0));

    let environment = [("HEADWATER_LISTEN_RSYNC", "192.0.2.1:1"), ("HEADWATER_DIR", "node")];
    let node = place.run_with("run --listen-rsync 127.0.0.1:0 --listen-rsync 127.0.0.2:0", &environment);
    let listeners = place.json("status --dir node")["listeners"].clone();
    let addresses: Vec<&str> = listeners.as_array().unwrap().iter().filter_map(|l| l["address"].as_str()).collect();
    assert_eq!(addresses.len(), 2, "{listeners}");
    assert!(addresses[0].starts_with("127.0.0.1:") && addresses[1].starts_with("127.0.0.2:"), "{listeners}");
    drop(node);

    let node = place.run_with("run --dir node --listen-rsync 127.0.0.1:0 --log-format json", &[]);
    node.signal(Signal::TERM);
    let line = node.hear("stopping");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "INFO", "{line}");
}

#[test]
fn a_node_that_is_told_to_stop_finishes_what_it_does() {
    let (place, node) = served();
    let relay = Relay::new(node.port, 1 << 20);
    scope(|scope| {
        let line = format!("-a rsync://127.0.0.1:{}/gentoo-portage/ copy", relay.port);
        let place = &place;
        let pull = scope.spawn(move || place.rsync(&line));
        relay.is_paused();
        node.signal(Signal::TERM);
        node.hear("stopping: running transfers may finish");
        drop(relay);
        pull.join().unwrap().expect(0);
    });
    assert_eq!(node.stop(), Some(0));
    assert!(fs::read(place.at("copy/large")).unwrap() == fs::read(place.at("tree/large")).unwrap());
    assert_eq!(place.json("status --dir node")["running"], false);
}

#[test]
fn an_import_is_served_as_soon_as_its_command_ends() {
    let (place, node) = served();
    for number in 0..5 {
        place.write("tree/sub/small", format!("{number}\n"));
        place.ok("import tree -r gentoo --dir node");
        place.rsync(&format!("-I {} small", node.url("gentoo-portage/sub/small"))).expect(0);
        assert_eq!(place.read("small"), format!("{number}\n"));
    }
}
