//! Two processes on one directory, a node that was killed, and a node that is told to stop.

use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::edition::{Lines, Size, same};
use super::node::Node;
use super::place::{Place, Start};
use super::rig::relay::Relay;
use super::{client, wait};

#[test]
fn a_second_process_on_the_same_directory_is_refused_and_told_who_has_it() {
    let place = Place::new(Start::Published);
    let (_, tree) = place.source(Size::Small, 1);
    let node = Node::start(&place);
    let output = place.run(&["run"], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = client::text(&output);
    let expected = format!("the data directory {} is in use by process {}", place.data.display(), node.id());
    assert!(said.contains(&expected), "{said}");
    same(&client::pull(&node), &tree, "the first process goes on");
    node.status();
    node.is_unharmed();
}

#[test]
fn what_a_killed_node_leaves_behind_hinders_nobody() {
    let place = Place::new(Start::Published);
    let (source, tree) = place.source(Size::Small, 1);
    let mut node = Node::start(&place);
    node.signal(Signal::KILL);
    assert_eq!(node.ends().signal(), Some(9));
    assert!(place.data.join("control.sock").exists() && place.data.join("lock").exists());
    // A command finds that nobody answers, and opens the store itself.
    let status: serde_json::Value = serde_json::from_str(&place.must(&["status", "--json"])).unwrap();
    assert_eq!((&status["running"], &status["channels"][0]["generation"]), (&false.into(), &1.into()));
    assert_eq!(place.import(&source), None);
    let node = Node::start(&place);
    same(&client::pull(&node), &tree, "the next node serves");
}

/// A node, and a client in the middle of a large transfer.
struct Transfer<'p> {
    node: Node<'p>,
    relay: Relay,
    client: std::process::Child,
    target: std::path::PathBuf,
    tree: Lines,
}

impl<'p> Transfer<'p> {
    fn begin(place: &'p Place) -> Self {
        let node = Node::start(place);
        let (source, tree) = place.source(Size::Heavy, 2);
        assert!(place.import(&source).is_some());
        let relay = Relay::new(node.port, 1 << 20);
        let target = place.fresh();
        let client = client::begin(relay.port, &target);
        relay.is_paused();
        Self { node, relay, client, target, tree }
    }

    fn is_stopping(&self) {
        self.node.signal(Signal::TERM);
        wait::until("the node says that it stops", || self.node.said("stopping:"));
        wait::until("nobody new is let in", || TcpStream::connect((Ipv4Addr::LOCALHOST, self.node.port)).err());
    }
}

#[test]
fn a_node_that_is_told_to_stop_lets_transfers_finish() {
    let place = Place::new(Start::Published);
    let mut transfer = Transfer::begin(&place);
    transfer.is_stopping();
    transfer.relay.open();
    same(&client::whole(transfer.client, &transfer.target), &transfer.tree, "the client that was there");
    assert_eq!(transfer.node.ends().code(), Some(0), "{:?}", transfer.node.log());
    assert!(!place.data.join("control.sock").exists());
}

#[test]
fn a_node_that_is_told_twice_cuts_transfers() {
    let place = Place::new(Start::Published);
    let mut transfer = Transfer::begin(&place);
    transfer.is_stopping();
    let start = Instant::now();
    transfer.node.signal(Signal::TERM);
    assert_eq!(transfer.node.ends().code(), Some(0), "{:?}", transfer.node.log());
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
    transfer.relay.open();
    let output = wait::output(transfer.client, "rsync");
    assert!(
        matches!(output.status.code(), Some(12 | 30 | 35 | 10 | 23)),
        "the client knows that it was cut: {output:?}"
    );
}

#[test]
fn transfers_that_outlast_the_drain_time_are_cut() {
    let place = Place::new(Start::Published);
    let config = place.data.join("headwater.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("drain = \"30s\"", "drain = \"1s\"")).unwrap();
    let mut transfer = Transfer::begin(&place);
    transfer.is_stopping();
    assert_eq!(transfer.node.ends().code(), Some(0), "{:?}", transfer.node.log());
    transfer.node.said("the drain time is over: cutting what still runs").unwrap();
    transfer.relay.open();
    let output = wait::output(transfer.client, "rsync");
    assert!(!output.status.success(), "{output:?}");
}
