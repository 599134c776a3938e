//! A source that cannot be read: nothing is published of it, it is named with what to do, and what was published is served.
//!
//! The node runs as the super-user of a namespace of its own, who may read no file of a user that the namespace does not know;
//! so it works for tests of the super-user, too.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use super::disk::{Disk, place_on};
use super::edition::{Size, same};
use super::node::Node;
use super::{client, edition};

/// Nobody in the namespace.
const STRANGER: u32 = 54_321;

/// Takes a file or directory away from the node.
fn seal(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
    // Who may not give it away is no super-user, and needs not.
    let _ = chown(path, Some(STRANGER), Some(STRANGER));
}

/// What is done to a source.
type Harm = fn(&Path);

/// What is done, and which part of the source is named.
const TABLE: &[(&str, Harm, &str)] = &[
    ("a file may not be read", |source| seal(&source.join("large.bin")), "large.bin: Permission denied"),
    ("a small file may not be read", |source| seal(&source.join("hello.txt")), "hello.txt: Permission denied"),
    ("a directory may not be listed", |source| seal(&source.join("category")), "category: Permission denied"),
    ("the source may not be listed", |source| seal(source), "Permission denied"),
    ("it is gone", |source| fs::remove_dir_all(source).unwrap(), "No such file"),
    (
        "it is a file",
        |source| {
            fs::remove_dir_all(source).unwrap();
            fs::write(source, "no directory").unwrap();
        },
        "Not a directory",
    ),
    (
        "it leads nowhere",
        |source| {
            fs::remove_dir_all(source).unwrap();
            symlink(source, source).unwrap();
        },
        "Too many levels of symbolic links",
    ),
];

#[test]
fn a_source_that_cannot_be_read_is_named_and_publishes_nothing() {
    let Some(disk) = Disk::new(240) else { return };
    let (place, tree) = place_on(&disk);
    let node = Node::start(&place);
    let (source, _) = place.source(Size::Small, 1);
    for (what, harm, named) in TABLE {
        let (source, _) = place.source(Size::Small, 2);
        harm(&source);
        let output = place.run(&["import", "--repository", "tree", source.to_str().unwrap()], &[]);
        let said = client::text(&output);
        let refused = output.status.code() == Some(1) && said.contains("do:  mend what is named");
        assert!(refused && said.contains(source.to_str().unwrap()) && said.contains(named), "{what}: {said}");
        assert_eq!(node.generation(), Some(1), "{what}");
        same(&client::pull(&node), &tree, what);
        disk_free(&source);
    }
    let (_, newer) = place.source(Size::Small, 2);
    assert_eq!(place.import(&source), Some(2), "it can be read again");
    same(&client::pull(&node), &newer, "it can be read again");
    assert!(!edition::lines(&source).is_empty());
}

/// Removes a source, whatever it has become.
fn disk_free(source: &Path) {
    for path in [source.to_owned(), source.join("category")] {
        if path.is_dir() && !path.is_symlink() {
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
    }
    match fs::symlink_metadata(source) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(source).unwrap(),
        Ok(_) => fs::remove_file(source).unwrap(),
        Err(_) => {}
    }
}
