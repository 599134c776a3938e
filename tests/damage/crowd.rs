//! More clients at once than are let in: they hear it in rsyncd's words, and the others go on.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use super::edition::{Size, same};
use super::node::Node;
use super::place::{Place, Start};
use super::{client, wait};

/// The line of a client that finds no room.
fn full(limit: u32) -> String {
    format!("@ERROR: max connections ({limit}) reached -- try again later")
}

/// Connects from 127.0.0.`host`.
fn connect_from(host: u8, node: &Node<'_>) -> TcpStream {
    let stream = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&stream, &SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, host), 0)).unwrap();
    connect(&stream, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, node.port)).unwrap();
    let stream = TcpStream::from(stream);
    stream.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    stream
}

/// A connection that was let in.
fn guest(host: u8, node: &Node<'_>) -> TcpStream {
    let stream = connect_from(host, node);
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("@RSYNCD: 32"), "{line}");
    stream
}

/// What a client without room hears.
fn turned_away(host: u8, node: &Node<'_>) -> String {
    let mut heard = String::new();
    connect_from(host, node).read_to_string(&mut heard).unwrap();
    heard
}

#[test]
fn clients_beyond_the_limits_hear_that_there_is_no_room_until_there_is() {
    let place = Place::new(Start::Published);
    place.limit("connections = 6\nper_client = 4");
    let (_, tree) = place.source(Size::Small, 1);
    let node = Node::start(&place);
    let mut inside: Vec<TcpStream> = (0..4).map(|_| guest(1, &node)).collect();
    assert!(turned_away(1, &node).contains(&full(4)), "a fifth one from the same address");
    let output = wait::output(client::begin(node.port, &place.fresh()), "rsync");
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(client::text(&output).contains(&full(4)), "{output:?}");
    inside.extend((0..2).map(|_| guest(2, &node)));
    assert!(turned_away(3, &node).contains(&full(6)), "a seventh one from anywhere");
    assert_eq!(node.status()["connections"], 6);
    assert_eq!(node.status()["clients_refused"], 3);
    drop(inside);
    node.rests();
    same(&client::pull(&node), &tree, "there is room again");
    node.is_unharmed();
}

#[test]
fn a_crowd_at_once_is_let_in_up_to_the_limit_and_all_others_are_told_or_closed() {
    const CROWD: usize = 400;
    let place = Place::new(Start::Published);
    place.limit("connections = 50\nper_client = 50");
    let (_, tree) = place.source(Size::Small, 1);
    let node = Node::start(&place);
    let before = node.memory();
    let crowd: Vec<TcpStream> = (0..CROWD).map(|_| connect_from(1, &node)).collect();
    wait::until("all of them were seen", || {
        let status = node.status();
        let seen = status["connections"].as_u64().unwrap() + status["clients_refused"].as_u64().unwrap();
        (seen == u64::try_from(CROWD).unwrap()).then_some(())
    });
    assert_eq!(node.status()["connections"], 50);
    drop(crowd);
    node.rests();
    assert!(node.memory() < before + 40, "from {before} MiB to {} MiB", node.memory());
    wait::until("nobody is being turned away any more", || {
        let target = place.fresh();
        let output = wait::output(client::begin(node.port, &target), "rsync");
        output.status.success().then(|| same(&super::edition::lines(&target), &tree, "after the crowd"))
    });
    node.is_unharmed();
}
