//! A disk without room: what does not fit is refused with numbers, what was published is served on.
//!
//! What is written before the disk is full stays as it is, and what was refused fits once there is room again.

use std::fs;

use rustix::process::Signal;

use super::client;
use super::disk::{Disk, place_on};
use super::edition::{self, LARGE, Size, noise, same};
use super::node::Node;
use super::{bad, wait};

#[test]
fn an_import_that_does_not_fit_is_refused_with_numbers_before_it_begins() {
    let Some(disk) = Disk::new(144) else { return };
    let (place, tree) = place_on(&disk);
    let node = Node::start(&place);
    let (source, _) = place.source(Size::Heavy, 2);
    let output = place.run(&["import", "--repository", "tree", source.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = client::text(&output);
    assert!(said.contains(" bytes free, but ") && said.contains(" are missing"), "{said}");
    assert_eq!(node.generation(), Some(1));
    same(&client::pull(&node), &tree, "what was published");
    for at in 0..8 {
        fs::remove_file(source.join(format!("bulk-{at}.bin"))).unwrap();
    }
    let (source, smaller) = place.source(Size::Small, 2);
    assert_eq!(place.import(&source), Some(2), "a smaller one fits");
    same(&client::pull(&node), &smaller, "the smaller one");
}

#[test]
fn a_disk_that_fills_up_during_an_import_ends_it_and_nothing_else() {
    let Some(disk) = Disk::new(240) else { return };
    let (place, tree) = place_on(&disk);
    let (source, _) = place.source(Size::Small, 2);
    fs::write(source.join("a-great-one.bin"), noise(9, 72 << 20)).unwrap();
    let order = ["import", "--repository", "tree", source.to_str().unwrap()];
    let import = place.start(&order, &[]);
    let large = place.data.join("large");
    let half = || {
        let names = fs::read_dir(&large).unwrap().map(|entry| entry.unwrap());
        let mut open = names.filter(|entry| entry.file_name().to_str().unwrap().starts_with("incoming-"));
        open.any(|entry| entry.metadata().is_ok_and(|now| now.len() > 4 << 20)).then_some(())
    };
    wait::until("the import writes the great one", half);
    wait::signal(import.id(), Signal::STOP);
    disk.fill();
    wait::signal(import.id(), Signal::CONT);
    let output = wait::output(import, "the import");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = client::text(&output);
    assert!(said.contains("o space left on device") || said.contains("disk is full"), "{said}");

    // The disk is still full, and what is there is served.
    let node = Node::start(&place);
    same(&client::pull(&node), &tree, "what was published, from a full disk");
    let output = place.run(&order, &[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(node.generation(), Some(1));

    disk.empty();
    let whole = edition::lines(&source);
    assert_eq!(place.import(&source), Some(2), "there is room again");
    same(&client::pull(&node), &whole, "the great one");
}

#[test]
fn a_bad_content_on_a_full_disk_is_refused_and_mended_when_there_is_room() {
    let Some(disk) = Disk::new(160) else { return };
    let (place, tree) = place_on(&disk);
    let (source, _) = place.source(Size::Small, 1);
    bad::damage(&place, LARGE, &tree, bad::Damage::Flipped);
    let node = Node::start(&place);
    disk.fill();
    let target = place.fresh();
    let output = wait::output(client::begin(node.port, &target), "rsync");
    assert_eq!(output.status.code(), Some(23), "{output:?}");
    let mut others = tree.clone();
    others.remove(LARGE);
    same(&edition::lines(&target), &others, "from a full disk");
    disk.empty();
    // It may not have been set aside while there was no room; the next client brings it up again.
    wait::until("status names the content", || {
        let output = wait::output(client::begin(node.port, &place.fresh()), "rsync");
        assert_eq!(output.status.code(), Some(23), "{output:?}");
        node.alarms().iter().any(|alarm| alarm.contains(LARGE)).then_some(())
    });
    assert_eq!(place.import(&source), Some(2));
    same(&client::pull(&node), &tree, "mended");
}
