//! A new node: its files and who may read them, its keys and what they sign, and the demo.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use headwater::identity::{AdminKey, verify_head, verify_term};
use headwater::tree::{Head, Term};
use rusqlite::{Connection, OpenFlags};

use super::rig::Place;

#[test]
fn a_node_is_made_once_and_nothing_is_overwritten() {
    let place = Place::new();
    let said = place.says("init --dir node --node peak --federation alps --admin-key admin.key").expect(0);
    said.has(&["peak, the gateway", "alps, id ", "admin.key", "headwater run --dir node"]);
    let before = (place.read("node/topology.toml"), place.read("admin.key"), place.read("node/identity/gateway.key"));
    let refused = [
        ("init --dir node --admin-key other.key", "node/headwater.toml"),
        ("init --dir node", "node/headwater.toml"),
        ("init --dir other --admin-key admin.key", "admin.key"),
    ];
    for (line, named) in refused {
        place.says(line).expect(1).has(&[named, "is not overwritten", "do:  name another place"]);
    }
    assert!(!place.at("other").exists() && !place.at("other.key").exists());
    let after = (place.read("node/topology.toml"), place.read("admin.key"), place.read("node/identity/gateway.key"));
    assert_eq!(before, after);
}

#[test]
fn what_an_init_could_not_finish_is_done_by_the_next() {
    let place = Place::new();
    place.says("init --dir node --admin-key nosuch/admin.key").expect(3).has(&["nosuch/"]);
    place.says("status --dir node").expect(1).has(&["there is no node in this directory"]);
    place.ok("init --dir node --admin-key admin.key");
    place.ok("status --dir node");
}

#[test]
fn a_new_node_is_told_to_scripts_too() {
    let place = Place::new();
    let made = place.json("init --dir node --listen-rsync 127.0.0.1:0");
    assert_eq!((&made["node"], &made["federation"]), (&"gw".into(), &"home".into()));
    assert_eq!(made["federation_id"].as_str().map(str::len), Some(128), "{made}");
    assert_eq!((&made["admin_key"], &made["warnings"]), (&"headwater-admin.key".into(), &serde_json::json!([])));
    assert!(place.at("headwater-admin.key").is_file());
    // The address is in the file, so a node needs no flag.
    let node = place.run_with("run --dir node", &[]);
    assert_ne!(node.port, 0);

    let inside = place.json("init --dir careless --admin-key careless/admin.key");
    assert!(inside["warnings"][0].as_str().unwrap_or_default().contains("Move it away"), "{inside}");
}

#[test]
fn nobody_else_can_read_what_is_secret() {
    let place = Place::with_node();
    let node = place.run();
    let mode = |path: &str| fs::symlink_metadata(place.at(path)).unwrap().mode() & 0o7777;
    let secret = [
        "admin.key",
        "node/identity/gateway.key",
        "node/identity/admin.pub",
        "node/identity/term",
        "node/control.sock",
    ];
    for path in secret {
        assert_eq!(mode(path), 0o600, "{path}");
    }
    assert_eq!((mode("node/identity"), mode("node")), (0o700, 0o750));
    assert!(fs::symlink_metadata(place.at("node/control.sock")).unwrap().file_type().is_socket());
    // What the store writes is no secret, but it is nobody else's to change.
    for entry in fs::read_dir(place.at("node")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o022, 0, "{:?}", entry.path());
    }
    assert_eq!(node.stop(), Some(0));
    assert!(!place.at("node/control.sock").exists(), "a command sees at once that no node runs");
}

#[test]
fn every_head_is_signed_and_leads_back_to_the_admin() {
    let place = Place::with_node();
    for text in ["one\n", "two or three\n"] {
        place.write("tree/file", text);
        place.ok("import tree -r gentoo --dir node");
    }
    let admin = AdminKey::load(&place.at("admin.key")).unwrap();
    let term = verify_term(place.read("node/identity/term").as_bytes(), &admin.public()).unwrap();
    let db = Connection::open_with_flags(place.at("node/headwater.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut texts = db.prepare("SELECT head FROM publications ORDER BY generation DESC").unwrap();
    let texts: Vec<Vec<u8>> = texts.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();

    let log = place.json("channel log --dir node");
    let told = log["generations"].as_array().unwrap();
    assert_eq!((texts.len(), told.len()), (2, 2));
    for (text, told) in texts.iter().zip(told) {
        let head = verify_head(text, &term).unwrap();
        assert_eq!(told["snapshot"].as_str(), Some(head.snapshot.to_string().as_str()));
        assert_eq!((told["generation"].as_u64(), told["term"].as_u64()), (Some(head.generation), Some(head.term)));
        assert_eq!(head.channel.to_string(), "gentoo/full");
        forged(text, &term, &head);
    }
    let federation = place.json("status --dir node")["federation"].clone();
    assert_eq!((federation, term.node.to_string().as_str()), ("home".into(), "gw"));
}

/// No byte of a head can be another one.
fn forged(text: &[u8], term: &Term, head: &Head) {
    for at in 0..text.len() {
        let mut other = text.to_vec();
        other[at] ^= 1;
        assert!(verify_head(&other, term).is_err(), "byte {at} of generation {}", head.generation);
    }
}

#[test]
fn the_demo_checks_itself_with_stock_clients_and_leaves_nothing_behind() {
    let place = Place::new();
    let said = place.says("demo --check --packages 12").expect(0);
    said.has(&["made a sample upstream", "published it: gentoo/full@1", "rsync with Portage's options follows it"]);
    let left: Vec<_> = fs::read_dir(place.at(".")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_sample_is_the_same_bytes_each_time() {
    let place = Place::new();
    for (name, more) in [("a", ""), ("b", ""), ("c", " --seed 2"), ("d", " --revision 1")] {
        place.ok(&format!("sample {name} --packages 12{more}")).contains("Wrote").then_some(()).unwrap();
    }
    let same =
        |other: &str| super::rig::facts(&place.at("a/gentoo")) == super::rig::facts(&place.at(other).join("gentoo"));
    assert_eq!(["b", "c", "d"].map(same), [true, false, false]);
}
