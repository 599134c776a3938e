//! What cannot be obeyed: command lines, configurations, topologies, names. All that is wrong is told at once, with its
//! place and what was probably meant.

use std::net::{Ipv4Addr, TcpListener};

use super::rig::Place;

/// A line, its exit code, and what the user is told.
fn check(place: &Place, line: &str, code: i32, parts: &[&str]) {
    let said = place.says(line).expect(code).has(parts);
    assert!(said.out.is_empty() || code == 0, "{line}: what is wrong goes to standard error: {}", said.out);
}

#[test]
fn a_command_line_that_cannot_be_read_ends_with_2() {
    let place = Place::new();
    let cases: [(&str, &[&str]); 12] = [
        ("", &["Usage: headwater", "init", "run", "import"]),
        ("serve", &["unrecognized subcommand 'serve'"]),
        ("stats", &["unrecognized subcommand 'stats'", "'status'"]),
        ("init --admin", &["unexpected argument '--admin'", "--admin-key"]),
        ("init --node a@b", &["no node name"]),
        ("init --listen-rsync here", &["here", "no address"]),
        ("import tree", &["--repository <NAME>"]),
        ("import -r gentoo", &["<DIR>"]),
        ("import tree -r a/b", &["no repository name"]),
        ("channel log gentoo@0", &["no generation"]),
        ("channel log -n 0", &["--most <N>", "0 is not in 1.."]),
        ("sample s --files 1 --packages 1", &["cannot be used with"]),
    ];
    for (line, parts) in cases {
        check(&place, line, 2, parts);
    }
    assert!(std::fs::read_dir(place.at(".")).unwrap().next().is_none());
}

#[test]
fn help_and_version_are_no_mistakes() {
    let place = Place::new();
    for line in ["help", "--help", "-h", "help init", "import --help", "channel log -h", "sample --help"] {
        place.says(line).expect(0).has(&["Usage: headwater"]);
    }
    assert_eq!(place.ok("--version"), format!("headwater {}\n", env!("CARGO_PKG_VERSION")));
    assert!(place.ok("--help").contains("Exit codes:"));
    assert!(!place.ok("help").contains("\n  sample "), "it is for developers");
}

#[test]
fn every_mistake_of_a_configuration_is_told_at_once() {
    let place = Place::with_node();
    place.write(
        "node/headwater.toml",
        "name = \"gw\"\nmotdd = \"x\"\n[limits]\nper_client = 0\nidle = \"soon\"\n[lissten]\nrsync = \"off\"\n[listen]\nrsync = \"nowhere\"\n",
    );
    let environment = [("HEADWATER_LIMITS_IDEL", "3s"), ("HEADWATER_DRAIN", "2 years")];
    let said = place.says_with("run --dir node --log-format yaml", &environment).expect(1);
    let said = said.has(&[
        "the configuration has 8 mistakes:\n",
        "headwater.toml:2:1, motdd: no such key; did you mean motd?",
        "headwater.toml:4:1, limits.per_client: 0 is out of bounds: it can be 1 to 100000",
        "headwater.toml:5:1, limits.idle: \"soon\" is no duration",
        "headwater.toml:7:1, lissten.rsync: no such key; did you mean listen.rsync?",
        "headwater.toml:9:1, listen.rsync: \"nowhere\" is no address",
        "environment, HEADWATER_DRAIN: ",
        "environment, HEADWATER_LIMITS_IDEL: no such variable; did you mean HEADWATER_LIMITS_IDLE?",
        "command line, --log-format: \"yaml\" is none of text, json",
        "  do:  correct what is named above",
    ]);
    assert_eq!(said.err.lines().count(), 10, "{}", said.err);
    for command in ["status", "channel list", "import . -r gentoo"] {
        check(
            &place,
            &format!("{command} --dir node"),
            1,
            &["the configuration has 5 mistakes", "headwater.toml:2:1, motdd"],
        );
    }
    place.write("node/headwater.toml", "name = \"gw\"\n[limits\n");
    check(&place, "run --dir node", 1, &["the configuration has a mistake", "headwater.toml:2:"]);
}

#[test]
fn every_mistake_of_a_topology_is_told_at_once() {
    let place = Place::with_node();
    place.write(
        "node/topology.toml",
        "federation = \"x\"\nfoo = 1\n[[repository]]\nname = \"gentoo\"\nkind = \"treee\"\n[[channel]]\nname = \"gento/full\"\n\
         [[module]]\nname = \"m\"\nchannel = \"gentoo/ful\"\ncoment = \"x\"\n[[node]]\nname = \"gw\"\nrole = \"king\"\n",
    );
    let parts = [
        "node/topology.toml is not a topology:\n",
        "  2:1, foo: no such key\n",
        "  5:8, repository[1].kind: \"treee\" is none of tree, files, distfiles; did you mean `tree`?",
        "  7:8, channel[1].name: there is no repository named gento; did you mean `gentoo`?",
        "  10:11, module[1].channel: there is no channel named gentoo/ful",
        "  11:1, module[1].coment: no such key; did you mean `comment`?",
        "  12:1, node[1].site: this key is missing",
        "  14:8, node[1].role: \"king\" is none of gateway, secondary, tertiary",
    ];
    check(&place, "run --dir node --listen-rsync 127.0.0.1:0", 1, &parts);
    check(&place, "import . -r gentoo --dir node", 1, &parts);
    place.write("node/topology.toml", "federation = [\n");
    check(&place, "status --dir node", 1, &["is not a topology:\n  2:1: this is no TOML"]);
}

#[test]
fn a_node_that_its_topology_does_not_know_is_told_so() {
    let place = Place::with_node();
    place.edit("node/headwater.toml", "name = \"gw\"", "name = \"peak\"");
    check(&place, "run --dir node", 1, &["node peak of headwater.toml is not a [[node]] in topology.toml"]);
}

#[test]
fn names_that_are_not_there_are_answered_with_those_that_are() {
    let place = Place::with_node();
    place.edit("node/topology.toml", "[[channel]]", "[[repository]]\nname = \"guru\"\nkind = \"tree\"\n\n[[channel]]");
    place.write("tree/file", "x\n");
    place.write("file", "x\n");
    let cases: [(&str, &[&str]); 7] = [
        ("import tree -r gento", &["no repository gento in the topology; there is gentoo, guru"]),
        ("import tree -r guru", &["guru has no channel", "name = \"guru/full\""]),
        ("import nosuch -r gentoo", &["cannot read the directory", "nosuch", "No such file or directory"]),
        ("import file -r gentoo", &["cannot read the directory", "file", "Not a directory"]),
        ("channel log nosuch", &["nosuch", "there is gentoo/full"]),
        ("channel log gentoo/unmasked", &["no channel gentoo/unmasked", "there is gentoo/full"]),
        ("channel log gentoo@7", &["gentoo/full keeps no generation 7; there is none yet"]),
    ];
    let check_all = || cases.iter().for_each(|(line, parts)| check(&place, &format!("{line} --dir node"), 1, parts));
    check_all();
    let _node = place.run();
    check_all();
    assert_eq!(place.json("status --dir node")["channels"][0]["generation"], serde_json::Value::Null);
}

#[test]
fn where_there_is_no_node_one_is_told_how_to_make_one() {
    let place = Place::new();
    let there = ["headwater init --dir DIR", "--dir"];
    for command in ["run", "status", "channel list", "channel log", "import . -r gentoo"] {
        let said = place.says(&format!("{command} --dir nosuch")).expect(1);
        said.has(&["nosuch/headwater.toml is missing: there is no node in this directory"]).has(&there);
        let said = place.says_with(command, &[("HEADWATER_DIR", "elsewhere")]).expect(1);
        said.has(&["elsewhere/headwater.toml is missing"]).has(&there);
    }
    assert!(!place.at("nosuch").exists() && !place.at("elsewhere").exists());
    check(&place, "reload --dir nosuch", 1, &["no node runs here", "nosuch/control.sock", "headwater run"]);
    // A machine that has a node in the usual place answers with it.
    let usual = place.says("status");
    if usual.code != 0 {
        usual.has(&["/var/lib/headwater"]);
    }
}

#[test]
fn one_process_at_a_time_works_on_a_data_directory() {
    let place = Place::with_node();
    let node = place.run();
    let said = place.says("run --dir node --listen-rsync 127.0.0.1:0").expect(1);
    said.has(&["the data directory node is in use by process"]);
    place.rsync(&node.url("")).expect(0).has(&["gentoo-portage"]);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let place = Place::with_node();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = place.says(&format!("run --dir node --listen-rsync {address}"));
    assert!([1, 3].contains(&said.code), "{}", said.all());
    said.has(&[&address, "in use"]);
}

#[test]
fn only_an_environment_that_means_something_is_taken() {
    let place = Place::with_node();
    let run = "run --dir node";
    let wrong = place.says_with(run, &[("HEADWATER_LISTEN_RSYNC", "everywhere")]).expect(1);
    wrong.has(&["environment, HEADWATER_LISTEN_RSYNC: \"everywhere\" is no address"]);
    let unknown = place.says_with("status --dir node", &[("HEADWATER_LISTEN_RSYNK", "off")]).expect(1);
    unknown.has(&["HEADWATER_LISTEN_RSYNK: no such variable; did you mean HEADWATER_LISTEN_RSYNC?"]);
}
