//! What becomes of a directory: what is taken, what is left out, what is refused, and which stamp a generation carries.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use super::emerge::{set_time, stamp};
use super::rig::{Node, Place, STAMP, facts, same};

const IMPORT: &str = "import tree --repository gentoo --dir node";

/// A small tree, not imported yet, and a node that runs.
fn ready() -> (Place, Node) {
    let place = Place::with_node();
    place.write("tree/a/one.ebuild", "one\n");
    place.write("tree/metadata/layout.conf", "masters =\n");
    let node = place.run();
    (place, node)
}

/// What a stock client gets.
fn pulled(place: &Place, node: &Node) -> BTreeMap<OsString, String> {
    place.rsync(&format!("-aH --delete {} copy", node.url("gentoo-portage/"))).expect(0);
    facts(&place.at("copy"))
}

/// The stamp that a stock client gets, in seconds since 1970.
fn stamp_served(place: &Place, node: &Node) -> i64 {
    place.rsync(&format!("-I {} stamp", node.url(&format!("gentoo-portage/{STAMP}")))).expect(0);
    stamp(&place.read("stamp"))
}

fn generations(place: &Place) -> u64 {
    place.json("channel list --dir node")[0]["generation"].as_u64().unwrap_or(0)
}

#[test]
fn everything_that_a_tree_is_made_of_arrives_as_it_was() {
    let (place, node) = ready();
    place.write(OsStr::from_bytes(b"tree/a/latin-\xe9\xff.txt"), "bytes are names\n");
    place.write(OsStr::from_bytes(b"tree/\xfe\\#/ \n\t\x7f"), "and so are these\n");
    place.write("tree/a/distfiles/only-at-the-root", "");
    place.write("tree/a/.git", "gitdir: elsewhere\n");
    place.write("tree/a/tool", "#!/bin/sh\n");
    fs::set_permissions(place.at("tree/a/tool"), Permissions::from_mode(0o4751)).unwrap();
    fs::create_dir_all(place.at("tree/empty")).unwrap();
    fs::set_permissions(place.at("tree/empty"), Permissions::from_mode(0o1777)).unwrap();
    fs::hard_link(place.at("tree/a/tool"), place.at("tree/twin")).unwrap();
    let targets: [(&str, &[u8]); 4] =
        [("to-file", b"a/tool"), ("to-nothing", b"no/such \xff"), ("out", b"/etc/passwd"), ("up", b"../../x")];
    for (name, target) in targets {
        symlink(OsStr::from_bytes(target), place.at("tree").join(name)).unwrap();
        // A stock client does not set the time of a symlink that it has made in the same second.
        let touched =
            place.command("touch").args(["-hd", "@1700000000.123456789"]).arg(format!("tree/{name}")).status();
        assert!(touched.unwrap().success());
    }
    // Larger than what lies in the database.
    place.write("tree/large", vec![b'x'; 3 << 20]);
    place.ok(IMPORT);
    same(&facts(&place.at("tree")), &pulled(&place, &node));
}

#[test]
fn what_is_no_part_of_a_tree_is_left_out() {
    let (place, node) = ready();
    let expected = facts(&place.at("tree"));
    let left_out = [
        "distfiles/x.tar.gz",
        "packages/x.gpkg.tar",
        "local/x",
        "lost+found/x",
        ".tmp-unverified-download-quarantine/a/one.ebuild",
        ".git/config",
        "a/.git/config",
        "a/.svn/entries",
        "a/CVS/Root",
        ".hg/store",
    ];
    for path in left_out {
        place.write(format!("tree/{path}"), "not this\n");
    }
    let _socket = UnixListener::bind(place.at("tree/a/socket")).unwrap();
    for fifo in ["tree/pipe", "tree/a/pipe"] {
        assert!(place.command("mkfifo").arg(fifo).status().unwrap().success());
    }
    let said = place.says(IMPORT).expect(0);
    let named = ["left out a/pipe: it is a FIFO", "left out pipe: it is a FIFO", "left out a/socket: it is a socket"];
    said.has(&named).has(&["Left out: 3 devices, sockets or FIFOs"]);
    same(&expected, &pulled(&place, &node));
    let report = place.json(IMPORT);
    assert_eq!(report["left_out"], 3, "{report}");
    assert_eq!(report["warnings"].as_array().map(Vec::len), Some(3), "{report}");
}

#[test]
fn a_tree_without_a_stamp_gets_one() {
    let (place, node) = ready();
    fs::remove_dir_all(place.at("tree/metadata")).unwrap();
    place.ok(IMPORT);
    let copy = pulled(&place, &node);
    assert_eq!(copy.get(OsStr::new("metadata")).map(String::as_str), Some("directory 755"));
    let text = place.read(&format!("copy/{STAMP}"));
    assert_eq!(text, printed(&place, stamp(&text)), "in the form that Portage reads");
}

#[test]
fn a_tree_that_did_not_change_publishes_nothing() {
    let (place, node) = ready();
    assert!(place.ok(IMPORT).starts_with("Published gentoo/full@1: "));
    let first = stamp_served(&place, &node);
    let cases = [
        ("the same again", ""),
        ("the same again, read", " --checksum"),
        ("only another stamp", ""),
        ("without a stamp", ""),
    ];
    for (case, option) in cases {
        match case {
            "only another stamp" => place.write(format!("tree/{STAMP}"), "Thu, 01 Jan 2026 00:00:00 +0000\n"),
            "without a stamp" => fs::remove_file(place.at("tree").join(STAMP)).unwrap(),
            _ => {}
        }
        let said = place.says(&format!("{IMPORT}{option}")).expect(0);
        assert!(said.out.starts_with("Nothing new"), "{case}: {}", said.all());
        assert_eq!(place.json(IMPORT)["published"], serde_json::json!([]), "{case}");
    }
    assert_eq!((generations(&place), stamp_served(&place, &node)), (1, first));
}

/// What a source says of its own age, and what is published for it.
enum Stamped {
    /// It has no stamp, or none that can be read: the generation gets one just after the last.
    Follows(Option<&'static str>),
    /// It has its own, so many seconds from now, which is later than the last: the generation carries it.
    Kept(i64),
    /// It has its own, so many seconds from now, which is not: the generation gets one just after the last.
    Raised(i64),
    /// Its own is too far ahead, so many hours from now: nothing is published.
    Refused(i64),
}

#[test]
fn stamps_rise_whatever_the_source_says() {
    use Stamped::{Follows, Kept, Raised, Refused};
    let (place, node) = ready();
    let now = stamp("now");
    place.ok(IMPORT);
    let mut last = stamp_served(&place, &node);
    assert!((now..now + 120).contains(&last), "the first one says when it was published: {last}, {now}");

    let hour = 3600;
    let steps = [
        Raised(-1_000_000),
        Kept(2 * hour),
        Raised(2 * hour),
        Raised(hour),
        Follows(None),
        Follows(Some("yesterday, or so\n")),
        Refused(25),
        Kept(23 * hour),
        Refused(24 * 400),
        Raised(-hour),
        Raised(23 * hour),
    ];
    for (step, stamped) in steps.iter().enumerate() {
        place.write("tree/a/one.ebuild", format!("step {step}\n"));
        let write = |from_now: i64| place.write(format!("tree/{STAMP}"), printed(&place, now + from_now));
        let expected = match stamped {
            Follows(None) => {
                fs::remove_file(place.at("tree").join(STAMP)).unwrap();
                Some(last + 1)
            }
            Follows(Some(text)) => {
                place.write(format!("tree/{STAMP}"), text);
                Some(last + 1)
            }
            Raised(from_now) => {
                write(*from_now);
                Some(last + 1)
            }
            Kept(from_now) => {
                write(*from_now);
                Some(now + from_now)
            }
            Refused(hours) => {
                // Half an hour more, so that the time that this test takes does not matter.
                write(hours * hour + hour / 2);
                let before = generations(&place);
                let said = place.says(IMPORT).expect(1);
                said.has(&["metadata/timestamp.chk of the source is", &format!("{hours} h ahead")]);
                assert_eq!(generations(&place), before, "step {step}");
                None
            }
        };
        if expected.is_some() {
            place.ok(IMPORT);
        }
        last = expected.unwrap_or(last);
        assert_eq!(stamp_served(&place, &node), last, "step {step}");
    }
}

/// Seconds since 1970 as a stamp.
fn printed(place: &Place, seconds: i64) -> String {
    let mut date = place.command("date");
    let output = date.args(["-u", "-d", &format!("@{seconds}"), "+%a, %d %b %Y %H:%M:%S +0000"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_change_that_moves_neither_size_nor_time_is_noticed() {
    let (place, node) = ready();
    let file = place.at("tree/a/one.ebuild");
    set_time(&file, 1_700_000_000);
    place.ok(IMPORT);
    for (number, option, text) in [(2, " --checksum", "two\n"), (3, "", "six\n")] {
        place.write("tree/a/one.ebuild", text);
        set_time(&file, 1_700_000_000);
        let said = place.says(&format!("{IMPORT}{option}")).expect(0);
        let expected = format!("Published gentoo/full@{number}: 0 added, 0 removed, ");
        assert!(said.out.starts_with(&expected), "{}", said.all());
        let copy = place.rsync(&format!("-I {} one", node.url("gentoo-portage/a/one.ebuild"))).expect(0);
        assert_eq!(place.read("one"), text, "{}", copy.all());
    }
}

#[test]
fn what_is_at_rest_is_read_once_unless_all_is_to_be_read() {
    let place = Place::with_node();
    // Of this program's own sources nothing has changed in the last seconds.
    let import = format!("import {}/proto --repository gentoo --dir node", env!("CARGO_MANIFEST_DIR"));
    let read = |option: &str| place.json(&format!("{import}{option}"))["files_read"].as_u64().unwrap();
    let all = read("");
    assert!(all > 0);
    assert_eq!([read(""), read(" --checksum"), read("")], [0, all, 0]);
}

#[test]
fn what_is_at_rest_is_not_read_after_a_rollback_either() {
    let place = Place::with_node();
    let proto = format!("import {}/proto --repository gentoo --dir node", env!("CARGO_MANIFEST_DIR"));
    place.write("tree/a", "a");
    place.ok(IMPORT);
    place.ok(&proto);
    place.ok("channel rollback gentoo@1 --dir node");
    let again = place.json(&proto);
    assert_eq!((&again["files_read"], &again["published"][0]["generation"]), (&0.into(), &4.into()), "{again}");
    let diff = place.ok("channel diff gentoo@2 gentoo@4 --dir node");
    assert!(diff.contains("0 added, 0 removed, ") && !diff.contains("headwater"), "only the stamp: {diff}");
    place.ok("scrub --dir node");
}

#[test]
fn what_cannot_be_read_is_named_and_nothing_is_published() {
    let place = Place::with_node();
    for name in ["open", "shut", "closed/inside"] {
        place.write(format!("tree/a/{name}"), name);
    }
    let cases: [(&str, u32, u32); 2] = [("tree/a/shut", 0o000, 0o644), ("tree/a/closed", 0o000, 0o755)];
    for (path, shut, open) in cases {
        fs::set_permissions(place.at(path), Permissions::from_mode(shut)).unwrap();
        let said = place.says_without_power(IMPORT);
        fs::set_permissions(place.at(path), Permissions::from_mode(open)).unwrap();
        let name = path.trim_start_matches("tree/");
        let said = said.expect(1).has(&["cannot import ", name, "ermission denied"]);
        assert!(!said.all().contains("open"), "{}", said.all());
        assert_eq!(generations(&place), 0);
    }
    place.says_without_power(IMPORT).expect(0).has(&["Published gentoo/full@1"]);
}
