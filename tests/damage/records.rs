//! Damage to what is no content: the text of a snapshot, and what the last import saw.
//!
//! Nothing of it may keep a node from starting or an import from mending it, and each is named until it is mended.

use super::edition::{self, Size, same};
use super::node::Node;
use super::place::{Place, Start};
use super::{client, wait};

/// Flips a bit in the middle of the newest value of a column.
fn flip(place: &Place, table: &str, column: &str) {
    let database = place.database();
    let find = format!("SELECT rowid, {column} FROM {table} ORDER BY rowid DESC LIMIT 1");
    let (row, mut bytes): (i64, Vec<u8>) = database.query_row(&find, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    let write = format!("UPDATE {table} SET {column} = ?2 WHERE rowid = ?1");
    assert_eq!(database.execute(&write, rusqlite::params![row, bytes]).unwrap(), 1);
}

#[test]
fn a_damaged_snapshot_costs_its_channel_until_the_next_import() {
    let place = Place::new(Start::Published);
    let (source, whole) = place.source(Size::Small, 1);
    flip(&place, "snapshots", "text");
    let node = Node::start(&place);
    assert!(node.alarms().iter().any(|alarm| alarm.contains("damaged")), "{:?}", node.alarms());
    let refused = wait::output(client::begin(node.port, &place.fresh()), "rsync");
    assert_eq!(refused.status.code(), Some(5), "{}", client::text(&refused));
    assert_eq!(place.import(&source), Some(2), "the generations are counted on");
    same(&client::pull(&node), &whole, "after the import");
    assert!(node.alarms().is_empty(), "{:?}", node.alarms());
}

#[test]
fn a_snapshot_that_is_damaged_while_it_is_served_is_written_anew() {
    let place = Place::new(Start::Published);
    let (source, _) = place.source(Size::Small, 1);
    // So many that a change of one is worth a delta.
    std::fs::create_dir(source.join("many")).unwrap();
    (0..200).for_each(|number| std::fs::write(source.join(format!("many/{number}")), "").unwrap());
    let node = Node::start(&place);
    assert_eq!(place.import(&source), Some(2));
    flip(&place, "snapshots", "text");
    std::fs::write(source.join("many/1"), "changed").unwrap();
    let whole = edition::lines(&source);
    // Its text is a delta against the damaged one, until the sweep that follows.
    assert_eq!(place.import(&source), Some(3));
    wait::until("the text is written anew", || node.said("was written anew"));
    drop(node);
    let node = Node::start(&place);
    assert!(node.alarms().is_empty(), "{:?}", node.alarms());
    same(&client::pull(&node), &whole, "after another start");
}

#[test]
fn a_damaged_witness_costs_no_more_than_reading() {
    let place = Place::new(Start::Published);
    let (source, _) = place.source(Size::Small, 1);
    assert_eq!(place.import(&source), None);
    flip(&place, "witness", "marks");
    assert_eq!(place.import(&source), None);
    place.database().execute("UPDATE witness SET snapshot = x'00'", []).unwrap();
    assert_eq!(place.import(&source), None);
}
