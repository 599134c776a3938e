//! `headwater config check`: everything that is wrong at once, wherever it stands, without a start; and what a start and a
//! reload refuse for the same reasons.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::rig::Place;

const CHECK: &str = "config check --dir node";

/// What `config check` says is wrong, line by line, without its first words and what to do.
#[track_caller]
fn wrong(place: &Place, line: &str) -> Vec<String> {
    let said = place.says(line).expect(1);
    assert_eq!(said.out, "", "what is wrong goes to standard error");
    let lines: Vec<&str> = said.err.lines().collect();
    let (first, rest) = lines.split_first().unwrap();
    assert!(first.starts_with("headwater: there "), "{}", said.err);
    let (last, rest) = rest.split_last().unwrap();
    assert_eq!(*last, "  do:  correct what is named, then check again");
    rest.iter().map(|line| line.trim().to_owned()).collect()
}

fn secrets(place: &Place, text: &str, mode: u32) {
    place.write("node/secrets", text);
    set_permissions(place.at("node/secrets"), Permissions::from_mode(mode)).unwrap();
}

/// A node whose module asks for a login.
fn with_login(users: &str) -> Place {
    let place = Place::with_node();
    place.edit("node/topology.toml", "comment =", &format!("auth_users = {users}\ncomment ="));
    place.edit("node/headwater.toml", "# secrets = \"\"", "secrets = \"secrets\"");
    secrets(&place, "alice:wonder\n", 0o600);
    place
}

#[test]
fn a_new_node_is_in_order_also_while_it_runs() {
    let place = Place::with_node();
    let expected = "Everything is in order: node/headwater.toml, node/topology.toml.\n";
    assert_eq!(place.ok(CHECK), expected);
    assert_eq!(
        place.json(CHECK),
        json!({
            "in_order": true, "files": ["node/headwater.toml", "node/topology.toml"], "mistakes": [], "warnings": [],
        })
    );
    let _node = place.run();
    assert_eq!(place.ok(CHECK), expected);
}

#[test]
fn one_bad_file_does_not_hide_the_next() {
    let place = Place::with_node();
    place.write(
        "node/headwater.toml",
        "name = \"gw\"\nmotd = \"nosuch\"\nsecrets = \"secrets\"\ntransfer_log = \"logs/transfers\"\ntransfer_format = \"%z\"\n\
         proxy = [\"10.0.0.1\", \"everybody\"]\n[limits]\nbufer = \"1MiB\"\nnames = 0\n[scrub]\nrate = \"1B\"\n",
    );
    place.edit("node/topology.toml", "comment =", "coment =");
    secrets(&place, "alice\nbob:builder\n", 0o604);
    std::fs::remove_dir_all(place.at("node/identity")).unwrap();
    let found = wrong(&place, CHECK);
    let expected = [
        "node/headwater.toml:5:1, transfer_format: \"%z\" is no escape",
        "node/headwater.toml:6:1, proxy: \"everybody\" is no network: write such as \"10.0.0.0/8\"",
        "node/headwater.toml:8:1, limits.bufer: no such key; did you mean limits.buffer?",
        "node/headwater.toml:9:1, limits.names: 0 is out of bounds: it can be 1 to 8000000",
        "node/headwater.toml:11:1, scrub.rate: 1B is out of bounds: it can be 64KiB to 1TiB",
        "node/topology.toml:16:1, module[1].coment: no such key; did you mean `comment`?",
        "node/nosuch, motd: it cannot be read, so clients get none: No such file",
        "node/logs, transfer_log: there is no such directory",
        "node/secrets, secrets: others may use it (mode 604): run `chmod 600 node/secrets`",
        "node/identity: ",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (line, start) in found.iter().zip(expected) {
        assert!(line.starts_with(start), "{line}\n{start}");
    }
    secrets(&place, "alice\nbob:builder\n:\n", 0o600);
    let found = wrong(&place, CHECK);
    assert!(found.iter().any(|line| line.starts_with("node/secrets:1:1, secrets: no colon")), "{found:#?}");
    assert!(found.iter().any(|line| line.starts_with("node/secrets:3:1, secrets: ")), "{found:#?}");
    let said = place.says(&format!("{CHECK} --json")).expect(1);
    let report: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["in_order"], false);
    assert_eq!(report["mistakes"].as_array().unwrap().len(), found.len());
    let hinted = &report["mistakes"][5];
    assert_eq!((&hinted["line"], &hinted["column"], &hinted["hint"]), (&json!(16), &json!(1), &json!("comment")));
}

#[test]
fn the_environment_is_checked_with_the_rest() {
    let place = Place::with_node();
    let said = place.says_with(CHECK, &[("HEADWATER_LIMITS_RULES", "many"), ("HEADWATER_PROXI", "off")]).expect(1);
    said.has(&[
        "there are 2 mistakes:\n",
        "  environment, HEADWATER_LIMITS_RULES: \"many\" stands where a whole number",
        "  environment, HEADWATER_PROXI: no such variable; did you mean HEADWATER_PROXY?",
    ]);
}

#[test]
fn a_topology_is_checked_where_there_is_no_node_or_before_it_is_put_in_force() {
    let place = Place::new();
    for example in ["single", "mirror"] {
        let file = format!("{}/topology/{example}.toml", env!("CARGO_MANIFEST_DIR"));
        let said = place.says(&format!("config check --dir nosuch --topology {file}")).expect(0);
        assert_eq!(said.out, format!("Everything is in order: {file}.\n"));
    }
    place.write("new.toml", "federation = \"x\"\n");
    let line = "config check --dir nosuch --topology new.toml";
    assert_eq!(wrong(&place, line), ["new.toml:1:1, node: no node is the gateway; one must have `role = \"gateway\"`"]);
    let missing = wrong(&place, "config check --dir nosuch --topology gone.toml");
    assert!(missing[0].starts_with("gone.toml: it cannot be read: No such file"), "{missing:?}");
    place.says("config check --dir nosuch").expect(1).has(&["nosuch/headwater.toml is missing", "headwater init"]);
    assert!(!place.at("nosuch").exists());

    let place = Place::with_node();
    place.write("new.toml", place.read("node/topology.toml").replace("name = \"gw\"", "name = \"peak\""));
    let found = wrong(&place, &format!("{CHECK} --topology new.toml"));
    assert_eq!(found, ["new.toml, node: node gw of headwater.toml is not there"]);
    place.ok(CHECK);
}

#[test]
fn what_a_module_may_say_is_judged_by_who_serves_it() {
    let cases: [(&str, &str); 9] = [
        ("filter = [\"exclude\"]", "module[1].filter[1]: `exclude` is no filter rule: the pattern is missing"),
        ("filter = [\". rules\"]", "module[1].filter[1]: rules are written here, not in a file that a rule names"),
        ("exclude = [\"a\", \"\"]", "module[1].exclude[2]: an empty text is no rule"),
        ("log_format = \"%q\"", "module[1].log_format: \"%q\" is no escape"),
        ("auth_users = [\"@wheel\"]", "module[1].auth_users[1]: \"@wheel\" is a group of the system"),
        ("auth_users = [\"alice:rw\"]", "module[1].auth_users[1]: nobody can write to a module"),
        ("hosts_allow = [\"a.example\"]", "module[1].hosts_allow[1]: \"a.example\" is a host name"),
        ("bwlimit = \"10\"", "module[1].bwlimit: \"10\" has no unit"),
        ("owner = \"portage\"", "module[1].owner_id: this key is missing"),
    ];
    for (keys, expected) in cases {
        let place = Place::with_node();
        place.edit("node/topology.toml", "comment =", &format!("{keys}\ncomment ="));
        let found = wrong(&place, CHECK);
        assert!(found.len() == 1 && found[0].contains(expected), "{keys}: {found:#?}");
        place.says("run --dir node --listen-rsync 127.0.0.1:0").expect(1).has(&[expected]);
    }
}

#[test]
fn logins_need_passwords_and_users_without_one_are_warned_about() {
    let place = with_login("[\"alice\", \"bob\", \"eve:deny\", \"mirror-*\"]");
    assert_eq!(
        place.ok(CHECK),
        "Everything is in order: node/headwater.toml, node/topology.toml, node/secrets.\n\
         WARNING  node/topology.toml, module[1].auth_users: bob is not in node/secrets, so nobody can log in as that user\n"
    );
    place.edit("node/headwater.toml", "secrets = \"secrets\"", "# secrets = \"\"");
    let found = wrong(&place, CHECK);
    assert!(found[0].contains("module gentoo-portage asks for a login: name the file of passwords"), "{found:#?}");
    let run = place.says("run --dir node --listen-rsync 127.0.0.1:0").expect(1);
    run.has(&["module gentoo-portage of topology.toml has auth_users", "chmod 600"]);
}

#[test]
fn passwords_that_others_can_read_stop_a_start_and_change_nothing_in_a_reload() {
    let place = with_login("[\"alice\"]");
    secrets(&place, "alice:wonder\n", 0o644);
    let why = ["node/secrets cannot be used as the file of passwords", "mode 644", "chmod 600 node/secrets"];
    place.says("run --dir node --listen-rsync 127.0.0.1:0").expect(1).has(&why);
    secrets(&place, "alice:wonder\n", 0o640);
    place.write("tree/file", "x\n");
    place.ok("import tree -r gentoo --dir node");
    let node = place.run();
    place.write("password", "wonder\n");
    set_permissions(place.at("password"), Permissions::from_mode(0o600)).unwrap();
    let url = format!("rsync://alice@127.0.0.1:{}/gentoo-portage/", node.port);
    let pull = || place.rsync(&format!("-a --password-file=password {url} copy"));
    pull().expect(0);
    secrets(&place, "alice:wander\n", 0o644);
    place.edit("node/headwater.toml", "# idle = \"10m\"", "idle = \"5m\"");
    place.says("reload --dir node").expect(1).has(&why);
    pull().expect(0);
    secrets(&place, "alice:wander\n", 0o600);
    assert_eq!(place.ok("reload --dir node"), "In force now: limits.idle, secrets.\n");
    pull().expect(5).has(&["@ERROR: auth failed on module gentoo-portage"]);
    place.write("password", "wander\n");
    pull().expect(0);
}

#[test]
fn an_rsyncd_conf_is_taken_over_with_what_it_merges_and_includes() {
    let place = Place::with_node();
    place.write("etc/rsyncd.conf", "&merge all.inc\n&include rsyncd.d\n[z]\npath = /srv/z\n");
    place.write("etc/all.inc", "timeout = 60\n");
    place.write("etc/rsyncd.d/a.conf", "hosts deny = *\n[a]\npath = /srv/a\n");
    place.write("etc/rsyncd.d/b.conf", "[b]\npath = /srv/b\nno such = 1\n");
    place.write("etc/rsyncd.d/b.conf.old", "[old]\npath = /srv/old\n");
    let report = place.json("config from-rsyncd etc/rsyncd.conf --topology-out new.toml");
    assert_eq!(report["topology"], place.read("new.toml"));
    let named = |finding: &serde_json::Value| {
        let file = finding["file"].as_str().unwrap_or("-").to_owned();
        format!("{file}:{} {} {}", finding["line"], finding["module"].as_str().unwrap_or("-"), finding["verdict"])
    };
    let found: Vec<String> = report["findings"].as_array().unwrap().iter().map(named).collect();
    for expected in [
        "-:1 - \"refused\"",
        "-:4 z \"taken\"",
        "etc/all.inc:1 - \"taken\"",
        "etc/rsyncd.d/a.conf:1 - \"taken\"",
        "etc/rsyncd.d/b.conf:3 b \"refused\"",
    ] {
        assert!(found.iter().any(|found| found == expected), "{expected} in {found:#?}");
    }
    let topology = place.read("new.toml");
    assert_eq!(topology.matches("hosts_deny = [\"*\"]").count(), 1, "{topology}");
    assert_eq!(topology.matches("timeout = \"60s\"").count(), 3, "{topology}");
    assert!(!topology.contains("old"), "{topology}");
    place.ok("config check --dir node --topology new.toml");

    place.write("etc/rsyncd.d/c.conf", "&include /no/such\n");
    let said = place.ok("config from-rsyncd etc/rsyncd.conf");
    assert!(said.contains("#   etc/rsyncd.d/c.conf:1  &include /no/such\n"), "{said}");
    assert_eq!(said.matches("\nhosts_deny = [\"*\"]").count(), 3, "{said}");
}
