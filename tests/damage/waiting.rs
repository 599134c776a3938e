//! An import that lasts: what comes after it says that it waits, and it ends once nobody wants it any more.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::Child;

use rustix::process::Signal;

use super::client;
use super::edition::Size;
use super::node::Node;
use super::place::{Place, Start};
use super::wait;

/// A hole that takes many seconds to read, and no room.
const LONG: u64 = 8 << 30;

/// Has the node import something that takes long, and comes back when it reads.
fn import(place: &Place) -> (PathBuf, Child) {
    let (source, _) = place.source(Size::Small, 2);
    let image = source.join("image");
    File::create(&image).unwrap().set_len(LONG).unwrap();
    let import = place.start(&["import", "--repository", "tree", source.to_str().unwrap()], &[]);
    let large = place.data.join("large");
    wait::until("the import reads the image", || {
        let mut names = fs::read_dir(&large).unwrap().map(|entry| entry.unwrap().file_name());
        names.any(|name| name.to_str().unwrap().starts_with("incoming-")).then_some(())
    });
    (image, import)
}

#[test]
fn a_reload_behind_an_import_says_that_it_waits_until_the_import_ends_with_its_operator() {
    let place = Place::new(Start::Published);
    let node = Node::start(&place);
    let (image, mut importing) = import(&place);
    let mut reload = place.start(&["reload"], &[]);
    let mut said = BufReader::new(reload.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("waiting: the node works on another order, such as an import"), "{line}");
    assert!(reload.try_wait().unwrap().is_none(), "it waits");
    importing.kill().unwrap();
    importing.wait().unwrap();
    wait::until("the import ends", || node.said("was ended before anything was published"));
    let output = wait::output(reload, "the reload");
    said.read_to_string(&mut line).unwrap();
    assert!(output.status.success(), "{line}{output:?}");
    assert_eq!(node.generation(), Some(1), "nothing was published");
    fs::remove_file(image).unwrap();
    let (source, _) = place.source(Size::Small, 2);
    assert_eq!(place.import(&source), Some(2));
}

#[test]
fn a_node_that_is_told_to_stop_ends_an_import_that_has_not_begun_to_publish() {
    let place = Place::new(Start::Published);
    let mut node = Node::start(&place);
    let (image, importing) = import(&place);
    node.signal(Signal::TERM);
    let output = wait::output(importing, "the import");
    assert!(!output.status.success() && client::text(&output).contains("stopping"), "{output:?}");
    assert_eq!(node.ends().code(), Some(0), "{:?}", node.log());
    assert!(node.said("did not stop in time").is_none(), "{:?}", node.log());
    assert!(node.said("was ended before anything was published").is_some(), "{:?}", node.log());
    fs::remove_file(image).unwrap();
    let node = Node::start(&place);
    assert_eq!(node.generation(), Some(1));
}
