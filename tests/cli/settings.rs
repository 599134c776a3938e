//! What is written in the two files, seen by a stock client: each setting from its text to its effect.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::rig::{Node, Place};

/// A node that serves a small tree in the module `gentoo-portage`, with these keys in its module and before all others in
/// `headwater.toml`.
fn served(module: &str, node: &str) -> (Place, Node) {
    let place = Place::with_node();
    for path in ["a/file", "a/x.part", "a/keep.part", "private/key", "b/c/deep"] {
        place.write(format!("tree/{path}"), format!("{path}\n"));
    }
    place.ok("import tree -r gentoo --dir node");
    place.edit("node/topology.toml", "comment =", &format!("{module}\ncomment ="));
    place.write("node/headwater.toml", format!("name = \"gw\"\n{node}\n"));
    let node = place.run();
    (place, node)
}

/// The names of the files that a client with these options gets to see.
fn seen(place: &Place, node: &Node, options: &str) -> Vec<String> {
    let line = format!("-rn --out-format=%n {options} {} nowhere", node.url("gentoo-portage/"));
    let out = place.rsync(&line).expect(0).out;
    let mut names: Vec<String> = out.lines().filter(|name| !name.ends_with('/')).map(str::to_owned).collect();
    names.retain(|name| name != "metadata/timestamp.chk");
    names.sort();
    names
}

#[test]
fn a_module_hides_what_its_filters_say_whatever_the_client_says() {
    let filters = "exclude = [\"*.part\", \"/private/***\"]\ninclude = [\"keep.part\"]\nfilter = [\"- /b/c/\"]";
    let (place, node) = served(filters, "");
    for options in ["", "--include=*", "--filter=+_x.part"] {
        assert_eq!(seen(&place, &node, options), ["a/file", "a/keep.part"], "{options}");
    }
    assert_eq!(seen(&place, &node, "--exclude=file"), ["a/keep.part"]);
    let hidden = place.rsync(&format!("{} copy/", node.url("gentoo-portage/private/key"))).expect(23);
    hidden.has(&["No such file or directory"]);
}

#[test]
fn entries_are_said_to_be_whose_the_module_says() {
    let (place, node) = served("owner = \"portage\"\nowner_id = 250\ngroup = \"mirror\"\ngroup_id = 4321", "");
    let line = format!("-a -n --numeric-ids --out-format=%U:%G:%n {} nowhere", node.url("gentoo-portage/a/file"));
    assert_eq!(place.rsync(&line).expect(0).out, "250:4321:file\n");
}

#[test]
fn who_may_come_is_told_by_address_or_name() {
    let (place, node) = served("hosts_allow = [\"localhost\"]\nhosts_deny = [\"*\"]\nlookup = true", "");
    place.rsync(&node.url("gentoo-portage/a/")).expect(0);
    let (place, node) = served("hosts_deny = [\"127.0.0.0/8\"]", "");
    place.rsync(&node.url("gentoo-portage/a/")).expect(5).has(&["@ERROR: access denied to gentoo-portage"]);
}

#[test]
fn the_log_has_the_form_of_the_module_or_of_the_node() {
    for (module, format) in [("log_format = \"%o|%m|%f|%l\"", "json"), ("", "%o|%m|%f|%l")] {
        let (place, node) = served(module, &format!("transfer_log = \"log\"\ntransfer_format = \"{format}\""));
        place.rsync(&format!("{} copy/", node.url("gentoo-portage/a/file"))).expect(0);
        assert_eq!(node.stop(), Some(0));
        let log = place.read("node/log");
        assert!(log.trim_end().ends_with("send|gentoo-portage|a/file|7"), "{log}");
    }
    let (place, node) = served("", "transfer_log = \"log\"\ntransfer_format = \"json\"");
    place.rsync(&format!("{} copy/", node.url("gentoo-portage/a/file"))).expect(0);
    assert_eq!(node.stop(), Some(0));
    let line: Value = serde_json::from_str(&place.read("node/log")).unwrap();
    assert_eq!((&line["module"], &line["path"]), (&Value::from("gentoo-portage"), &Value::from("a/file")));
}

#[test]
fn who_must_log_in_gets_in_with_the_password_only() {
    let place = Place::with_node();
    place.write("tree/file", "x\n");
    place.ok("import tree -r gentoo --dir node");
    let users = "auth_users = [\"mirror-2:deny\", \"mirror-*\"]\nauth_digest = \"sha256\"\ncomment =";
    place.edit("node/topology.toml", "comment =", users);
    place.write("node/headwater.toml", "name = \"gw\"\nsecrets = \"passwords\"\n");
    place.write("node/passwords", "# partners\nmirror-1:one:and more\nmirror-2:two\nother:three\n");
    place.write("password", "one:and more\n");
    for file in ["node/passwords", "password"] {
        set_permissions(place.at(file), Permissions::from_mode(0o600)).unwrap();
    }
    let node = place.run();
    let pull = |user: &str| {
        place.rsync(&format!("--password-file=password rsync://{user}@127.0.0.1:{}/gentoo-portage/", node.port))
    };
    pull("mirror-1").expect(0).has(&["file"]);
    for user in ["mirror-2", "mirror-3", "other"] {
        pull(user).expect(5).has(&["@ERROR: auth failed on module gentoo-portage"]);
    }
    place.rsync(&node.url("")).expect(0).has(&["gentoo-portage"]);
}

#[test]
fn what_one_client_may_ask_for_has_the_bounds_that_are_set() {
    let (place, node) = served("", "[limits]\narguments = 64\nrules = 64\nnames = 64");
    let many = |one: &str, times: usize| vec![one; times].join(" ");
    let names = |count: usize| {
        place.write("names", "a/file\n".repeat(count));
        place.rsync(&format!("-n --files-from=names {} nowhere", node.url("gentoo-portage/")))
    };
    let with = |options: &str| place.rsync(&format!("-rn {options} {} nowhere", node.url("gentoo-portage/")));
    with(&many("--exclude=x", 64)).expect(0);
    with(&many("--exclude=x", 65)).expect(1).has(&["rule"]);
    names(64).expect(0);
    names(65).expect(1).has(&["too many names"]);
    let paths = |count: usize| {
        let more = many("::gentoo-portage/a/file", count);
        place.rsync(&format!("-n --port={} 127.0.0.1::gentoo-portage/a/file {more} nowhere", node.port))
    };
    paths(30).expect(0);
    paths(70).expect(1).has(&["too many arguments"]);
    seen(&place, &node, "");
    let (place, node) = served("", "[limits]\nmatches = 4");
    let wild = |pattern: &str| place.rsync(&format!("-n {} nowhere", node.url(&format!("gentoo-portage/{pattern}"))));
    wild("a/*").expect(0);
    wild("*/*").expect(3).has(&["wildcards match"]);
}

#[test]
fn the_example_of_a_mirror_serves_trees_and_files_side_by_side() {
    let place = Place::with_node();
    let example = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/topology/mirror.toml")).unwrap();
    place.write("node/topology.toml", example);
    place.edit("node/headwater.toml", "# secrets = \"\"", "secrets = \"passwords\"");
    place.write("node/passwords", "builder:secret\n");
    set_permissions(place.at("node/passwords"), Permissions::from_mode(0o600)).unwrap();
    assert!(place.ok("config check --dir node").starts_with("Everything is in order: "));
    for path in ["tree/profiles/repo_name", "releases/amd64/install.iso", "releases/amd64/x.part", "releases/arm/y"] {
        place.write(path, format!("{path}\n"));
    }
    place.ok("import tree -r gentoo --dir node");
    place.ok("import releases -r releases --dir node");
    let node = place.run();
    let listed = place.rsync(&node.url("")).expect(0);
    assert!(!listed.out.contains("staging"), "{}", listed.out);
    listed.has(&["gentoo-portage ", "gentoo-releases"]);
    place.rsync(&format!("-r {} copy", node.url("gentoo-portage/"))).expect(0).has(&["once a day"]);
    place.rsync(&format!("-r {} iso", node.url("gentoo-releases/"))).expect(0);
    assert_eq!(place.read("iso/install.iso"), "releases/amd64/install.iso\n");
    assert!(!place.at("iso/x.part").exists() && !place.at("iso/y").exists());
}
