//! Whose the files of a data directory are, and who can read them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::rig::Place;

const IMPORT: &str = "import tree -r gentoo --dir node";

/// A user that the tests' machine does not have.
const USER: u32 = 12_345;

/// Everything below a directory, and itself.
fn everything(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    if root.is_dir() {
        found.extend(fs::read_dir(root).unwrap().flat_map(|inside| everything(&inside.unwrap().path())));
    }
    found
}

fn is_of_super_user(place: &Place) -> bool {
    fs::metadata(place.at(".")).unwrap().uid() == 0
}

/// Two large files, which have directories of their own in the data directory.
fn plant(place: &Place, letter: char) {
    for size in [1_100_000, 1_200_000] {
        place.write(format!("tree/{letter}{size}"), letter.to_string().repeat(size));
    }
}

#[test]
fn what_root_makes_in_the_directory_of_another_user_is_that_users() {
    let place = Place::with_node();
    if !is_of_super_user(&place) {
        return;
    }
    plant(&place, 'a');
    place.ok(IMPORT);
    for path in everything(&place.at("node")) {
        // What an earlier command left to root.
        let is_large = path.starts_with(place.at("node/large/"));
        if !is_large {
            chown(&path, Some(USER), Some(USER)).unwrap();
        }
    }
    fs::remove_file(place.at("node/lock")).unwrap();
    let check = |what: &str| {
        for path in everything(&place.at("node")) {
            let found = fs::symlink_metadata(&path).unwrap();
            assert_eq!((found.uid(), found.gid()), (USER, USER), "{what}: {}", path.display());
        }
    };
    plant(&place, 'b');
    place.ok(IMPORT);
    check("an import");
    // A file, and a content in the database.
    let large = everything(&place.at("node/large")).into_iter().find(|path| path.is_file()).unwrap();
    let mut bytes = fs::read(&large).unwrap();
    bytes[7] ^= 1;
    fs::write(&large, bytes).unwrap();
    let database = rusqlite::Connection::open(place.at("node/headwater.db")).unwrap();
    database.execute("UPDATE bytes SET bytes = x'00'", []).unwrap();
    drop(database);
    place.says("scrub --dir node").expect(3);
    assert!(everything(&place.at("node/quarantine")).len() > 4, "both, with their reasons");
    check("a scrub");
}

#[test]
fn a_node_that_root_makes_in_the_directory_of_another_user_is_that_users_but_for_the_admin_key() {
    let place = Place::new();
    if !is_of_super_user(&place) {
        return;
    }
    fs::create_dir(place.at("node")).unwrap();
    chown(place.at("node"), Some(USER), Some(USER)).unwrap();
    place.ok("init --dir node --admin-key node/admin.key");
    let mut seen = Vec::new();
    for path in everything(&place.at("node")) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let owner = if name == "admin.key" { 0 } else { USER };
        assert_eq!(fs::metadata(&path).unwrap().uid(), owner, "{name}");
        seen.push(name);
    }
    for name in ["gateway.key", "term", "topology.toml", "headwater.toml", "headwater.db", "admin.key"] {
        assert!(seen.iter().any(|seen| seen == name), "{name}");
    }
}

#[test]
fn a_directory_of_large_contents_that_cannot_be_entered_is_named_at_the_start() {
    let place = Place::with_node();
    if !is_of_super_user(&place) {
        return;
    }
    plant(&place, 'a');
    place.ok(IMPORT);
    assert!(!place.says_without_power("status --dir node").expect(0).err.contains("can be neither read"));
    let fan = everything(&place.at("node/large")).remove(1);
    chown(&fan, Some(USER), Some(USER)).unwrap();
    fs::set_permissions(&fan, fs::Permissions::from_mode(0o700)).unwrap();
    let said = place.says_without_power("status --dir node").expect(0);
    said.has(&["can be neither read nor mended", fan.file_name().unwrap().to_str().unwrap()]);
}

#[test]
fn a_data_directory_that_everybody_can_enter_shows_nobody_what_is_stored() {
    let place = Place::new();
    fs::create_dir(place.at("node")).unwrap();
    fs::set_permissions(place.at("node"), fs::Permissions::from_mode(0o755)).unwrap();
    place.ok("init --dir node --admin-key admin.key");
    place.write("tree/file", "secret");
    let check = |what: &str| {
        let mut seen = 0;
        for name in ["headwater.db", "headwater.db-wal", "headwater.db-shm", "large", "quarantine", "identity"] {
            let Ok(found) = fs::metadata(place.at(format!("node/{name}"))) else { continue };
            seen += 1;
            assert_eq!(found.mode() & 0o007, 0, "{what}: {name}");
        }
        assert!(seen > 3, "{what}");
    };
    check("init");
    let node = place.run();
    place.ok(IMPORT);
    assert!(place.at("node/headwater.db-wal").exists());
    check("a node");
    drop(node);
    // One that an earlier release made.
    fs::set_permissions(place.at("node/headwater.db"), fs::Permissions::from_mode(0o644)).unwrap();
    place.ok("status --dir node");
    check("a command");
}

#[test]
fn a_check_by_root_finds_what_the_nodes_user_would_find() {
    let place = Place::with_node();
    if !is_of_super_user(&place) {
        return;
    }
    place.write("passwords", "alice:secret\n");
    fs::set_permissions(place.at("passwords"), fs::Permissions::from_mode(0o600)).unwrap();
    let line = format!("secrets = {:?}\n", place.at("passwords"));
    let config = place.read("node/headwater.toml");
    place.write("node/headwater.toml", line + &config);
    everything(&place.at("node")).iter().for_each(|path| chown(path, Some(USER), Some(USER)).unwrap());
    place
        .says("config check --dir node")
        .expect(1)
        .has(&["user 12345, who runs the node, cannot read it", "chown 12345"]);
    chown(place.at("passwords"), Some(USER), Some(USER)).unwrap();
    place.ok("config check --dir node");
    chown(place.at("passwords"), Some(USER + 1), None).unwrap();
    place.says("config check --dir node").expect(1).has(&["it belongs to user 12346", "chown 12345"]);
}
