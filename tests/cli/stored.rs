//! What is stored as bytes: written out as plain files, read again, backed up and restored, with a node and without one.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use rusqlite::{Connection, params};

use super::rig::{Place, STAMP, facts, same};

const IMPORT: &str = "import tree -r gentoo --dir node";

/// A node with a tree that has one of everything.
fn published() -> Place {
    let place = Place::with_node();
    place.write("tree/a/file", "the first file\n");
    place.write("tree/a/run.sh", "#!/bin/sh\n");
    place.write("tree/metadata/layout.conf", "masters =\n");
    place.write("tree/a/\u{e9}\n odd", "");
    place.write("tree/big", vec![7; 1_100_000]);
    fs::set_permissions(place.at("tree/a/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::hard_link(place.at("tree/a/file"), place.at("tree/linked")).unwrap();
    fs::hard_link(place.at("tree/a/file"), place.at("tree/z")).unwrap();
    symlink("a/file", place.at("tree/symlink")).unwrap();
    // Stock clients leave the time of a link alone that was made in the same second.
    let old = rustix::fs::Timespec { tv_sec: 1_000_000_000, tv_nsec: 5 };
    let times = rustix::fs::Timestamps { last_access: old, last_modification: old };
    rustix::fs::utimensat(rustix::fs::CWD, place.at("tree/symlink"), &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
        .unwrap();
    place.write("tree/closed/file", "in a directory that nobody may write to");
    fs::set_permissions(place.at("tree/closed"), fs::Permissions::from_mode(0o555)).unwrap();
    place.ok(IMPORT);
    place
}

/// Times of directories, which `facts` leaves out.
fn time(path: &Path) -> (i64, i64) {
    let seen = fs::symlink_metadata(path).unwrap();
    (seen.mtime(), seen.mtime_nsec())
}

/// Without how many names a file has: what is built beside an export is linked from it.
fn alone(mut facts: BTreeMap<OsString, String>) -> BTreeMap<OsString, String> {
    for fact in facts.values_mut() {
        if let Some((before, after)) = fact.split_once(" names: ")
            && let Some((before, _)) = before.rsplit_once(", ")
        {
            *fact = format!("{before}: {after}");
        }
    }
    facts
}

fn database(place: &Place) -> Connection {
    let database = Connection::open(place.at("node/headwater.db")).unwrap();
    database.busy_timeout(super::rig::PATIENCE).unwrap();
    database
}

/// Flips a bit in the middle of the stored bytes of these.
fn flip(place: &Place, bytes: &[u8]) {
    let mut other = bytes.to_vec();
    other[bytes.len() / 2] ^= 4;
    let changed = "UPDATE bytes SET bytes = ?1 WHERE bytes = ?2";
    assert_eq!(database(place).execute(changed, params![other, bytes]).unwrap(), 1);
}

fn large_file(place: &Place) -> std::path::PathBuf {
    let fan = fs::read_dir(place.at("node/large")).unwrap().next().unwrap().unwrap().path();
    fs::read_dir(fan).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn an_export_is_the_tree_and_the_next_one_takes_its_place() {
    let place = published();
    let first = place.json("export out --channel gentoo/full --dir node");
    assert_eq!((&first["generation"], &first["reused"]), (&1.into(), &0.into()), "{first}");
    same(&facts(&place.at("tree")), &facts(&place.at("out")));
    for directory in ["", "a", "closed"] {
        assert_eq!(time(&place.at("out").join(directory)), time(&place.at("tree").join(directory)), "{directory}");
    }
    assert!(place.read(&format!("out/{STAMP}")).contains("20"));
    let inode = |path: &str| fs::symlink_metadata(place.at(path)).unwrap().ino();
    assert_eq!((inode("out/a/file"), inode("out/a/file")), (inode("out/linked"), inode("out/z")));

    let before = [inode("out/big"), inode("out/a/file"), inode("out/a/run.sh")];
    place.write("tree/a/run.sh", "#!/bin/bash\n");
    fs::remove_file(place.at("tree/z")).unwrap();
    place.ok(IMPORT);
    // With a node, and an export that somebody has spoilt.
    let node = place.run();
    fs::remove_file(place.at("out/symlink")).unwrap();
    place.write("out/stray", "");
    let second = place.json("export out --channel gentoo --dir node");
    assert_eq!(second["generation"], 2);
    same(&facts(&place.at("tree")), &facts(&place.at("out")));
    let after = [inode("out/big"), inode("out/a/file"), inode("out/a/run.sh")];
    assert_eq!((after[0], after[1]), (before[0], before[1]), "linked from the export before");
    assert_ne!(after[2], before[2]);

    // Files that were one and are two now, and look the same otherwise.
    let (one, two) = (place.at("tree/a/file"), place.at("tree/linked"));
    fs::remove_file(&two).unwrap();
    fs::copy(&one, &two).unwrap();
    let modified = fs::metadata(&one).unwrap().modified().unwrap();
    fs::File::open(&two).unwrap().set_modified(modified).unwrap();
    place.ok(IMPORT);
    place.ok("export out --channel gentoo --dir node");
    same(&facts(&place.at("tree")), &facts(&place.at("out")));

    // A generation that is not the newest, linked from another export.
    let old = place.json("export old --channel gentoo@1 --link-dest out --checksum --dir node");
    assert!(old["reused"].as_u64().unwrap() >= 4, "{old}");
    assert_eq!(inode("old/big"), before[0]);
    assert_eq!(place.read("old/a/run.sh"), "#!/bin/sh\n");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn an_export_touches_nothing_of_others() {
    let place = published();
    place.write("mine/precious", "mine");
    place.says("export mine --channel gentoo --dir node").expect(1).has(&["mine", "no export", "do:  name an empty"]);
    place.says("export new --channel gentoo --link-dest mine --dir node").expect(1).has(&["mine", "no export"]);
    place.says("export nosuch/new --channel gentoo --dir node").expect(1).has(&["nosuch"]);
    place.says("export new --channel gentoo@7 --dir node").expect(1);
    assert_eq!(place.read("mine/precious"), "mine");
    assert!(!place.at("new").exists() && !place.at(".mine.headwater").exists());
    fs::create_dir(place.at("empty")).unwrap();
    place.ok("export empty --channel gentoo --dir node");
    same(&facts(&place.at("tree")), &facts(&place.at("empty")));
}

#[test]
fn an_export_never_shows_what_is_damaged_and_goes_on_where_it_was() {
    let place = published();
    place.ok("export out --channel gentoo --dir node");
    let before = alone(facts(&place.at("out")));
    place.write("tree/a/new", "new bytes, which go bad");
    place.write("tree/zz", "after it");
    place.ok(IMPORT);
    flip(&place, b"new bytes, which go bad");
    let refused = place.says("export out --channel gentoo --dir node").expect(3);
    refused.has(&["gentoo/full@2 is not whole: 1 of its files", "a/new: ", "--allow-missing"]);
    same(&before, &alone(facts(&place.at("out"))));

    let said = place.says("export part --channel gentoo --allow-missing --dir node").expect(0);
    said.has(&["left out: a/new", "Left out: 1 files"]);
    let mut part = facts(&place.at("tree"));
    part.retain(|name, _| name != "a/new");
    same(&part, &facts(&place.at("part")));

    // What was built is there yet; half a file, and one that is not in the tree, are not taken for it.
    place.write(".out.headwater/new/zz", "after");
    place.write(".out.headwater/new/a/stray", "");
    place.says("scrub --dir node").expect(3);
    place.ok(IMPORT);
    let report = place.json("export out --channel gentoo --dir node");
    assert!(report["bytes_written"].as_u64().unwrap() < 1000, "{report}");
    same(&facts(&place.at("tree")), &facts(&place.at("out")));
}

#[test]
fn a_scrub_names_everything_that_is_damaged_by_its_path() {
    for running in [false, true] {
        let place = published();
        place.ok("scrub --dir node");
        flip(&place, b"the first file\n");
        let file = large_file(&place);
        let mut bytes = fs::read(&file).unwrap();
        bytes[99] ^= 1;
        fs::write(&file, bytes).unwrap();
        let node = running.then(|| place.run());
        let said = place.says("scrub --dir node").expect(3);
        said.has(&["gentoo/full@1: a/file: its bytes are other ones", "gentoo/full@1: big: ", "2 damaged", "2 parts"]);
        // They are set aside now, and named until they are mended.
        let again = place.says("scrub --dir node --rate 10MiB --json").expect(3);
        let report: serde_json::Value = serde_json::from_str(&again.out).unwrap();
        assert_eq!(report["bad"].as_array().map(Vec::len), Some(2), "{report}");
        assert!(report["bad"][0]["reason"].as_str().unwrap().starts_with("it is set aside: "), "{report}");
        place.ok(IMPORT);
        place.says("scrub --dir node").expect(0).has(&["everything is sound"]);
        drop(node);
    }
}

#[test]
fn a_scrub_names_a_generation_whose_list_is_damaged() {
    let place = published();
    place.write("tree/more", "more");
    place.ok(IMPORT);
    let spoil = "UPDATE snapshots SET text = zeroblob(length(text)) WHERE depth = 0 AND n = 1";
    assert_eq!(database(&place).execute(spoil, []).unwrap(), 1);
    place.says("scrub --dir node").expect(3).has(&["gentoo/full@1: its list of files: "]);
}

#[test]
fn a_backup_of_a_running_node_is_restored_and_serves() {
    let place = published();
    let node = place.run();
    let said = place.says("backup saved --dir node").expect(0);
    said.has(&["gentoo/full@1", "WARNING  ", "identity/gateway.key", "1 large ones linked"]);
    let mode = |path: &str| fs::metadata(place.at(path)).unwrap().mode() & 0o7777;
    assert_eq!((mode("saved"), mode("saved/identity/gateway.key")), (0o700, 0o600));
    // What comes later is not in it, and clients have seen it.
    place.write("tree/later", "later");
    place.ok(IMPORT);
    place.rsync(&format!("-aH {} client", node.url("gentoo-portage/"))).expect(0);
    assert_eq!(node.stop(), Some(0));

    let said = place.says("restore saved --dir back").expect(0);
    said.has(&["gentoo/full@1, signed by this gateway", "all of them are sound", "headwater import"]);
    assert_eq!((mode("back/identity"), mode("back/identity/gateway.key")), (0o700, 0o600));
    let node = place.run_with("run --dir back --listen-rsync 127.0.0.1:0", &[]);
    place.rsync(&format!("-aH {} first", node.url("gentoo-portage/"))).expect(0);
    assert!(!place.at("first/later").exists());
    // The tree as it was at the backup: nothing has changed, and clients that have seen more must follow all the same.
    fs::remove_file(place.at("tree/later")).unwrap();
    let stamp = |path: &str| jiff_seconds(&place.read(&format!("{path}/{STAMP}")), &place.at(path).join(STAMP));
    let published = place.json("import tree -r gentoo --dir back");
    assert_eq!(published["published"][0]["generation"], 2, "{published}");
    place.rsync(&format!("-aH {} second", node.url("gentoo-portage/"))).expect(0);
    assert!(stamp("second") > stamp("client"), "{} after {}", stamp("second"), stamp("client"));
    assert_eq!(place.json("import tree -r gentoo --dir back")["published"], serde_json::json!([]));
    same(&facts(&place.at("tree")), &facts(&place.at("second")));
    place.ok("scrub --dir back");
}

/// The time of a stamp: that of its file, which has it too.
fn jiff_seconds(text: &str, path: &Path) -> i64 {
    assert!(text.ends_with("+0000\n"), "{text}");
    time(path).0
}

#[test]
fn backups_follow_each_other_and_nothing_is_overwritten() {
    let place = published();
    place.ok("backup saved --dir node");
    place.write("tree/more", "more");
    place.ok(IMPORT);
    let second = place.json("backup saved --dir node");
    assert_eq!((&second["heads"][0]["generation"], &second["linked"]), (&2.into(), &1.into()));
    place.says("backup tree --dir node").expect(1).has(&["tree", "no backup"]);
    place.says("backup node/saved --dir node").expect(1).has(&["inside of the data directory"]);
    place.says("restore saved --dir node").expect(1).has(&["not empty", "--dir"]);
    place.says("restore tree --dir back").expect(1).has(&["no backup that can be restored", "headwater-backup"]);
    assert!(!place.at("back").exists());
    place.ok("restore saved --dir back");
    assert_eq!(place.json("status --dir back")["channels"][0]["generation"], 2);
}

#[test]
fn a_backup_that_is_damaged_is_refused_or_its_damage_named() {
    let place = published();
    place.ok("backup saved --dir node");
    let spoil = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
    };
    for name in ["headwater.db", "identity/gateway.key", "topology.toml"] {
        let path = place.at("saved").join(name);
        let sound = fs::read(&path).unwrap();
        spoil(&path);
        place.says("restore saved --dir back").expect(3).has(&["the backup is damaged: ", name, "other bytes"]);
        // It is no node, and nothing but another restore makes it one.
        place.says("status --dir back").expect(1);
        fs::write(&path, sound).unwrap();
    }
    let large = large_file(&place).strip_prefix(place.at("node")).unwrap().to_owned();
    spoil(&place.at("saved").join(large));
    // What the refused ones left behind is gone on with.
    let said = place.says("restore saved --dir back").expect(3);
    said.has(&["damaged: gentoo/full@1: big: ", "1 are damaged and set aside", "one part", "do:  import"]);
    place.ok("import tree -r gentoo --dir back");
    place.ok("scrub --dir back");
    place.ok("export out --channel gentoo --dir back");
    same(&facts(&place.at("tree")), &facts(&place.at("out")));
}

#[test]
fn an_export_that_is_killed_leaves_a_whole_tree_and_is_gone_on_with() {
    let place = published();
    place.ok("export out --channel gentoo --dir node");
    let old = alone(facts(&place.at("out")));
    place.write("tree/a/run.sh", "#!/bin/bash\n");
    place.write("tree/zz", "new");
    place.ok(IMPORT);
    let new = alone(facts(&place.at("tree")));
    for moment in ["new", "new/a", "new/big", "new/zz", "old"] {
        let mut export = Command::new(super::rig::HEADWATER);
        export.args(["export", "out", "--channel", "gentoo", "--dir", "node"]).current_dir(place.at("."));
        let mut export = export.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let path = place.at(".out.headwater").join(moment);
        while export.try_wait().unwrap().is_none() && fs::symlink_metadata(&path).is_err() {}
        // One that has ended already is as good.
        let _ = export.kill();
        let _ = export.wait().unwrap();
        let found = alone(facts(&place.at("out")));
        same(if found.contains_key("zz".as_ref() as &OsStr) { &new } else { &old }, &found);
    }
    place.ok("export out --channel gentoo --dir node");
    same(&facts(&place.at("tree")), &facts(&place.at("out")));
    let side: Vec<_> =
        fs::read_dir(place.at(".out.headwater")).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert_eq!(side.len(), 3, "the lock, the state, the list of files: {side:?}");
}

#[test]
fn holes_stay_holes_wherever_a_file_goes() {
    let place = Place::with_node();
    place.write("tree/metadata/layout.conf", "masters =\n");
    place.write("tree/image", "");
    let image = fs::File::options().write(true).open(place.at("tree/image")).unwrap();
    for at in [3 << 20, 40 << 20] {
        image.write_all_at(b"a little between many zeros", at).unwrap();
    }
    image.set_len(64 << 20).unwrap();
    place.ok(IMPORT);
    place.ok("export out --channel gentoo --dir node");
    same(&facts(&place.at("tree")), &facts(&place.at("out")));
    place.ok("backup saved --dir node");
    place.ok("restore saved --dir back");
    place.ok("scrub --dir back");
    let back = place.at("back").join(large_file(&place).strip_prefix(place.at("node")).unwrap());
    for path in [large_file(&place), place.at("out/image"), back] {
        let room = fs::metadata(&path).unwrap().blocks() * 512;
        assert!(room <= 256 << 10, "{} takes {room} bytes", path.display());
    }
}
