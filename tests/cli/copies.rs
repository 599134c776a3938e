//! What a copy must never cost: the files of others, the copy before, and a node that is whole.

use std::fs;
use std::io::{Write, stderr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::rig::{HEADWATER, Place, Said};

const IMPORT: &str = "import tree -r gentoo --dir node";

const LARGE: usize = 3 << 20;

/// A node that has published a small content and a large one.
fn published() -> Place {
    let place = Place::with_node();
    place.write("tree/metadata/layout.conf", "masters =\n");
    place.write("tree/big", noise(LARGE));
    place.ok(IMPORT);
    place
}

/// Bytes without holes and without order.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// The one large content below a data directory or a backup.
fn large(directory: &Path) -> PathBuf {
    let first = |path: &Path| fs::read_dir(path).unwrap().next().unwrap().unwrap().path();
    first(&first(&directory.join("large")))
}

/// Changes a byte of a file in its place, as a bad disk does.
fn rot(path: &Path) {
    use std::os::unix::fs::FileExt;
    fs::File::options().write(true).open(path).unwrap().write_all_at(b"rotten", 1000).unwrap();
}

#[test]
fn a_directory_that_got_the_inode_of_an_edition_is_not_taken_for_it() {
    let check = |command: &str, is_no: &str| {
        let place = published();
        let inode = || fs::metadata(place.at("out")).unwrap().ino().to_string();
        let state = || place.read(".out.headwater/state");
        // Older releases, and file systems that do not tell it: when it was made is not known.
        let forget = || {
            let lines: Vec<String> = state()
                .lines()
                .map(|line| match line.split_once('@') {
                    Some((known, rest)) => format!("{known}{}\n", &rest[rest.find(' ').unwrap()..]),
                    None => format!("{line}\n"),
                })
                .collect();
            place.write(".out.headwater/state", lines.concat());
        };
        place.ok(command);
        let before = inode();
        fs::remove_dir_all(place.at("out")).unwrap();
        place.write("out/thesis.txt", "precious");
        // Some file systems give the number again by themselves.
        place.write(".out.headwater/state", state().replace(&before, &inode()));
        place.says(command).expect(1).has(&["out", is_no, "do:  name an empty"]);
        forget();
        place.says(command).expect(1).has(&["out", is_no]);
        assert_eq!(place.read("out/thesis.txt"), "precious");
        fs::remove_dir_all(place.at("out")).unwrap();
        place.ok(command);
        forget();
        place.ok(command);
    };
    check("export out --channel gentoo --dir node", "no export");
    check("backup out --dir node", "no backup");
}

#[test]
fn a_node_that_was_copied_from_a_backup_makes_backups_that_are_restored() {
    let place = published();
    place.ok("backup saved --dir node");
    let copied = place.command("cp").args(["-a", "saved", "copied"]).output();
    Said::of("cp", copied).expect(0);
    // As a power cut leaves it behind, at the very end of a restore.
    place.write("copied/restore-is-not-finished", "");
    place.ok("backup again --dir copied");
    assert!(!place.at("again/restore-is-not-finished").exists());
    place.ok("restore again --dir back");
    assert!(!place.at("back/headwater-backup").exists());
    // Such as there are from before.
    for name in ["headwater-backup", "restore-is-not-finished"] {
        let text = place.read("again/headwater-backup");
        place.write("again/headwater-backup", format!("{text}file 600 5 {} {name}\n", "0".repeat(128)));
    }
    place.ok("restore again --dir once-more");
    assert_eq!(place.json("status --dir once-more")["channels"][0]["generation"], 1);
}

#[cfg(debug_assertions)]
#[test]
fn a_restore_that_was_killed_leaves_no_log_to_the_next_one() {
    let place = published();
    place.ok("backup first --dir node");
    for number in 0..300 {
        place.write(format!("tree/more/{number}"), format!("{number}").repeat(700));
    }
    place.ok(IMPORT);
    place.ok("backup second --dir node");
    let killed = place.says_with("restore first --dir back", &[("HEADWATER_FAILPOINT", "before-checkpoint")]);
    assert!(killed.code == 137 || killed.code == -1, "{killed:?}");
    assert!(fs::metadata(place.at("back/headwater.db-wal")).unwrap().len() > 0);
    place.ok("restore second --dir back");
    assert_eq!(place.json("status --dir back")["channels"][0]["generation"], 2);
    place.ok("scrub --dir back");

    // Whatever else lies there is somebody's.
    let killed = place.says_with("restore first --dir next", &[("HEADWATER_FAILPOINT", "before-checkpoint")]);
    assert!(killed.code == 137 || killed.code == -1, "{killed:?}");
    place.write("next/notes/precious", "mine");
    place.says("restore first --dir next").expect(1).has(&["not empty", "notes"]);
    fs::remove_dir_all(place.at("next/notes")).unwrap();
    place.ok("restore first --dir next");
}

#[test]
fn a_backup_takes_the_large_content_that_the_node_has_and_not_the_one_before() {
    let check = |place: &Place, saved: &Path| {
        let command = format!("backup {} --dir node", saved.display());
        let sound = fs::read(place.at("tree/big")).unwrap();
        place.ok(&command);
        // Where they are one file, in both; where they are two, in both as well.
        rot(&large(saved));
        if fs::read(large(&place.at("node"))).unwrap() == sound {
            rot(&large(&place.at("node")));
        }
        place.says(&format!("{command} --checksum")).expect(3).has(&["is not whole: 1 of its files"]);
        place.says("scrub --dir node").expect(3);
        place.ok(IMPORT);
        place.ok(&command);
        assert!(fs::read(large(saved)).unwrap() == sound, "{}: the rotten one", saved.display());
        // The one before is the last resort, if it is sound.
        fs::remove_file(large(&place.at("node"))).unwrap();
        place.ok(&command);
        assert!(fs::read(large(saved)).unwrap() == sound, "{}", saved.display());
        rot(&large(saved));
        place.says(&command).expect(3);
    };
    let place = published();
    check(&place, &place.at("saved"));
    // Another file system, where there is one that all can write to.
    let here = fs::metadata(place.at("tree")).unwrap().dev();
    if fs::metadata("/dev/shm").is_ok_and(|other| other.dev() != here) {
        let other = tempfile::Builder::new().prefix("headwater-test-").tempdir_in("/dev/shm").unwrap();
        check(&published(), &other.path().join("saved"));
    }
}

#[test]
fn a_restore_overwrites_no_node_whatever_lies_in_it() {
    let place = published();
    place.ok("backup saved --dir node");
    place.write("tree/more", "more");
    place.ok(IMPORT);
    let mark = "node/restore-is-not-finished";
    let check = || {
        place.write(mark, "");
        place.says("restore saved --dir node").expect(1).has(&["not empty"]);
        assert_eq!(place.json("status --dir node")["channels"][0]["generation"], 2);
    };
    check();
    let node = place.run();
    assert!(!place.at(mark).exists(), "a node that starts is whole");
    check();
    assert_eq!(node.stop(), Some(0));
    // One that is begun, and in use for something else.
    place.write("begun/restore-is-not-finished", "");
    place.write("begun/lock", "");
    let lock = fs::File::open(place.at("begun/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    place.says("restore saved --dir begun").expect(1);
    assert!(!place.at("begun/headwater.db").exists());
    drop(lock);
    place.ok("restore saved --dir begun");
    place.says("restore saved --dir saved/in").expect(1).has(&["inside"]);
}

/// What `headwater LINE` says where `small` is a disk of 2 MiB; `None` where the system permits no such thing.
fn on_a_small_disk(place: &Place, line: &str) -> Option<Said> {
    fs::create_dir_all(place.at("small")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=2m none small || exit 77; {HEADWATER} {line}; code=$?; ls -AR small; exit $code"
    );
    let mut command = place.command("unshare");
    let said = Said::of(line, command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).output());
    if said.code != 77 && !said.err.starts_with("unshare: ") {
        return Some(said);
    }
    stderr().write_all(format!("skipped: no mount namespace: {}\n", said.err).as_bytes()).unwrap();
    None
}

#[test]
fn a_mount_point_is_not_replaced_and_nothing_is_written_beside_it() {
    let place = published();
    for line in ["backup small --dir node", "export small --channel gentoo --dir node"] {
        let Some(said) = on_a_small_disk(&place, line) else { return };
        said.expect(1).has(&["small", "mount point", "do:  name a directory in it"]);
    }
    assert!(!place.at(".small.headwater").exists());
}

#[test]
fn what_does_not_fit_is_refused_with_numbers_and_leaves_the_room() {
    let place = published();
    place.ok("backup saved --dir node");
    for line in ["backup small/saved --dir node", "restore saved --dir small/back"] {
        let Some(said) = on_a_small_disk(&place, line) else { return };
        let said = said.expect(3).has(&["bytes free, but", "are needed", "make room"]);
        assert!(!said.out.contains(".saved.headwater/new:"), "{}", said.out);
    }
}

#[test]
fn a_backup_that_is_not_whole_takes_the_place_of_none_that_is() {
    let place = published();
    place.ok("backup saved --dir node");
    let whole = large(&place.at("saved"));
    fs::remove_file(large(&place.at("node"))).unwrap();
    fs::rename(&whole, place.at("away")).unwrap();
    place.write("saved/mine", "");
    let name = whole.file_name().unwrap().to_str().unwrap().to_owned();
    let said = place.says("backup saved --dir node").expect(3);
    said.has(&["is not whole: 1 of its files", &name, "--allow-missing"]);
    assert!(place.at("saved/mine").exists() && !place.at(".saved.headwater/new").exists());
    let said = place.says("backup saved --allow-missing --dir node").expect(0);
    let said = said.has(&["not in the backup: ", &name, "lacks 1 large"]);
    assert!(!said.all().contains("everything"), "{}", said.all());
    assert!(!place.at("saved/mine").exists());
    place.says("restore saved --dir back").expect(3).has(&["damaged: gentoo/full@1: big", "import the tree"]);
    place.ok("import tree -r gentoo --dir back");
    place.ok("scrub --dir back");
}

#[test]
fn what_cannot_be_done_there_is_the_operators_word_and_leaves_nothing() {
    let place = published();
    place.write("mine/precious", "mine");
    let check = |line: &str, parts: &[&str], stays_away: &str| {
        place.says(line).expect(1).has(parts).has(&["do:  "]);
        assert!(fs::symlink_metadata(place.at(stays_away)).is_err(), "{line} left {stays_away}");
    };
    check("backup node/saved --dir node", &["inside of the data directory"], "node/.saved.headwater");
    check("export node/quarantine --channel gentoo --dir node", &["inside of the data"], "node/.quarantine.headwater");
    check("restore nothing --dir back", &["nothing"], "back");
    check("export no/where/deep --channel gentoo --dir node", &["no/where"], "no");
    check("export tree/big --channel gentoo --dir node", &["tree/big"], "tree/.big.headwater");
    let words = ["mine", "no export", "--link-dest"];
    check("export new --channel gentoo --link-dest mine --dir node", &words, ".new.headwater");
    check("export new --channel gentoo --link-dest nothing --dir node", &["nothing"], ".new.headwater");
    // The place of a backup that a crash left empty.
    place.ok("backup saved --dir node");
    fs::rename(place.at("saved"), place.at(".saved.headwater/old")).unwrap();
    check(
        "restore saved --dir back",
        &["saved: a crash has left it in", "/.saved.headwater/old", "do:  name that"],
        "back",
    );
}
