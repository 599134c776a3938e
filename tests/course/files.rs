//! Repositories of any directory beside a tree: taken as they are, with whatever names and sizes there are in them.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};

use super::rig::{Node, Place, STAMP, facts, same};

/// A tree and two other directories, on one node.
const TOPOLOGY: &str = r#"
federation = "example"
[[repository]]
name = "gentoo"
kind = "tree"
[[repository]]
name = "mirror"
kind = "files"
[[repository]]
name = "docs"
kind = "files"
leave_out = ["drafts"]
[[channel]]
name = "gentoo/full"
[[channel]]
name = "mirror/full"
[[channel]]
name = "docs/full"
[[module]]
name = "gentoo-portage"
channel = "gentoo/full"
[[module]]
name = "mirror"
channel = "mirror/full"
[[module]]
name = "pictures"
channel = "mirror/full"
path = "pictures"
[[module]]
name = "docs"
channel = "docs/full"
[[node]]
name = "gw"
site = "here"
role = "gateway"
"#;

fn ready() -> (Place, Node) {
    let place = Place::with_node();
    let config = place.read("node/headwater.toml");
    assert!(config.contains("gw"), "the node's name is that of the topology: {config}");
    place.write("node/topology.toml", TOPOLOGY);
    let node = place.run();
    (place, node)
}

fn import(place: &Place, directory: &str, repository: &str) -> String {
    place.ok(&format!("import {directory} --repository {repository} --dir node"))
}

/// What a stock client gets of a module must be what the directory holds.
#[track_caller]
fn serves(place: &Place, node: &Node, module: &str, directory: &str) {
    place.rsync(&format!("-aH --delete {} copy-{module}", node.url(&format!("{module}/")))).expect(0);
    same(&facts(&place.at(directory)), &facts(&place.at(format!("copy-{module}"))));
}

#[test]
fn a_directory_is_served_as_it_is_whatever_it_holds() {
    let (place, node) = ready();
    place.write(OsStr::from_bytes(b"mirror/a/latin-\xe9\xff.txt"), "bytes are names\n");
    place.write(OsStr::from_bytes(b"mirror/\xfe\\#/ \n\t\x7f"), "and so are these\n");
    place.write(format!("mirror/{}/{}", "d".repeat(255), "f".repeat(255)), "long\n");
    for path in
        [".git/config", "CVS/Root", "distfiles/x.tar.gz", "local/x", "packages/x", "a/.svn/entries", "-dash", "~"]
    {
        place.write(format!("mirror/{path}"), "taken, for this is no ebuild repository\n");
    }
    // Nobody's system administration.
    place.write("mirror/lost+found/#12", "not taken\n");
    place.write("mirror/empty", "");
    place.write("mirror/at-the-limit", vec![b'x'; 1 << 20]);
    place.write("mirror/above-the-limit", vec![b'y'; (1 << 20) + 1]);
    place.write("mirror/pictures/large", (0..5_000_000_u32).flat_map(|at| at.to_le_bytes()).collect::<Vec<u8>>());
    fs::hard_link(place.at("mirror/pictures/large"), place.at("mirror/pictures/twin")).unwrap();
    fs::hard_link(place.at("mirror/empty"), place.at("mirror/also-empty")).unwrap();
    fs::set_permissions(place.at("mirror/pictures/large"), Permissions::from_mode(0o4751)).unwrap();
    for (name, target) in [("to-file", "pictures/large"), ("to-nothing", "no/such"), ("out", "/etc/passwd")] {
        symlink(target, place.at("mirror").join(name)).unwrap();
        let touched = place.command("touch").args(["-hd", "@1700000000"]).arg(format!("mirror/{name}")).status();
        assert!(touched.unwrap().success());
    }
    assert!(import(&place, "mirror", "mirror").starts_with("Published mirror/full@1: "));
    assert!(import(&place, "mirror", "mirror").starts_with("Nothing new"));
    fs::remove_dir_all(place.at("mirror/lost+found")).unwrap();
    serves(&place, &node, "mirror", "mirror");
    serves(&place, &node, "pictures", "mirror/pictures");
    assert!(!place.at(format!("copy-mirror/{STAMP}")).exists(), "nothing is added");
}

#[test]
fn a_timestamp_of_a_directory_is_a_file_as_any_other() {
    let (place, node) = ready();
    place.write(format!("mirror/{STAMP}"), "Mon, 01 Jan 2001 00:00:00 +0000\n");
    import(&place, "mirror", "mirror");
    let served = |text: &str| {
        place.rsync(&format!("-I {} stamp", node.url(&format!("mirror/{STAMP}")))).expect(0);
        assert_eq!(place.read("stamp"), text);
    };
    served("Mon, 01 Jan 2001 00:00:00 +0000\n");
    // Older, in the far future, no time at all: it is the directory's own business.
    for text in ["Sun, 31 Dec 2000 00:00:00 +0000\n", "Sun, 01 Jan 2090 00:00:00 +0000\n", "tomorrow\n"] {
        place.write(format!("mirror/{STAMP}"), text);
        assert!(import(&place, "mirror", "mirror").starts_with("Published"), "{text}");
        served(text);
    }
    fs::remove_file(place.at(format!("mirror/{STAMP}"))).unwrap();
    assert!(import(&place, "mirror", "mirror").starts_with("Published"), "it is gone");
    place.rsync(&format!("-I {} stamp", node.url(&format!("mirror/{STAMP}")))).expect(23);
}

#[test]
fn several_repositories_live_on_one_node_each_with_its_own_generations() {
    let (place, mut node) = ready();
    place.write("tree/metadata/layout.conf", "masters =\n");
    place.write("mirror/same", "the same bytes in all of them\n");
    place.write("docs/same", "the same bytes in all of them\n");
    place.write("docs/drafts/secret", "named by the topology\n");
    place.write("docs/lost+found/x", "taken, since the topology names something else\n");
    place.write("tree/same", "the same bytes in all of them\n");
    for (directory, repository) in [("tree", "gentoo"), ("mirror", "mirror"), ("docs", "docs")] {
        assert!(import(&place, directory, repository).starts_with(&format!("Published {repository}/full@1: ")));
    }
    fs::remove_dir_all(place.at("docs/drafts")).unwrap();
    for round in 2..=3 {
        place.write("mirror/new", format!("round {round}\n"));
        assert!(import(&place, "mirror", "mirror").starts_with(&format!("Published mirror/full@{round}: ")));
    }
    assert!(import(&place, "tree", "gentoo").starts_with("Nothing new"));
    for _ in 0..2 {
        serves(&place, &node, "gentoo-portage", "tree");
        serves(&place, &node, "mirror", "mirror");
        serves(&place, &node, "docs", "docs");
        let channels = place.json("channel list --dir node");
        let found: Vec<_> = channels.as_array().unwrap().iter().map(|c| (&c["channel"], &c["generation"])).collect();
        assert_eq!(found.len(), 3, "{channels}");
        // Once more, by a node that was started anew.
        node.stop();
        node = place.run();
    }
}

#[test]
fn images_of_many_gigabytes_take_no_more_room_than_they_have_bytes() {
    const SIZE: u64 = 5 << 30;
    let (place, node) = ready();
    place.write("mirror/small", "");
    let image = File::create(place.at("mirror/image")).unwrap();
    // Holes, with something at the start, across a limit of 32 bits, and at the very end of all but the last byte.
    for (at, bytes) in [(0, b"start".as_slice()), ((4 << 30) - 3, b"across"), (SIZE - 4_000_000, b"near the end")] {
        image.write_all_at(bytes, at).unwrap();
    }
    image.set_len(SIZE).unwrap();
    import(&place, "mirror", "mirror");
    let stored = |directory: &str| {
        let output = place.command("du").args(["-sk", directory]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_ascii_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    assert!(stored("node/large") < 50_000, "{} KiB", stored("node/large"));
    place.rsync(&format!("-aS {} copy", node.url("mirror/"))).expect(0);
    assert_eq!(fs::metadata(place.at("copy/image")).unwrap().size(), SIZE);
    let same = place.command("cmp").args(["mirror/image", "copy/image"]).output().unwrap();
    assert!(same.status.success(), "{same:?}");
}
