//! The generation changes while a client reads: it gets the one that it began with, whole.

use super::edition::{Size, same};
use super::node::Node;
use super::place::{Place, Start};
use super::rig::relay::Relay;
use super::{client, wait};

/// Before the first file, in the middle of the large ones, and somewhere in between.
const PAUSES: [usize; 3] = [200, 40_000, 5_000_000];

#[test]
fn a_slow_client_gets_the_generation_that_it_began_with_and_a_new_one_gets_the_next() {
    let place = Place::new(Start::Empty);
    let node = Node::start(&place);
    let (source, mut before) = place.source(Size::Heavy, 1);
    assert_eq!(place.import(&source), Some(1));
    let mut number = 1;
    for pause in PAUSES {
        let relay = Relay::new(node.port, pause);
        let target = place.fresh();
        let slow = client::begin(relay.port, &target);
        relay.is_paused();
        let served = node.status()["bytes_served"].as_u64().unwrap();
        // Two publications: only one generation is kept, so without its pin the first one would be swept by the second.
        let mut newest = before.clone();
        for _ in 0..2 {
            number += 1;
            let (source, lines) = place.source(Size::Heavy, number);
            assert_eq!(place.import(&source), Some(number));
            newest = lines;
        }
        same(&client::pull(&node), &newest, "a client that came after the publications");
        let now = node.status();
        assert_eq!(now["connections"], 1, "the slow client is still there, after {served} bytes");
        relay.open();
        let got = client::whole(slow, &target);
        same(&got, &before, &format!("the client that was slow after {pause} bytes"));
        before = newest;
    }
    node.rests();
    node.is_unharmed();
}

#[test]
fn a_client_that_reads_slowly_all_the_time_gets_one_generation() {
    let place = Place::new(Start::Published);
    let node = Node::start(&place);
    let (_, before) = place.source(Size::Small, 1);
    let target = place.fresh();
    let slow = client::rsync(node.port, &["-a", "--bwlimit=1500"], Some(&target));
    wait::until("the slow client has come", || (node.status()["connections"] == 1).then_some(()));
    wait::until("it gets something", || std::fs::read_dir(&target).ok()?.next().map(drop));
    let (source, after) = place.source(Size::Small, 2);
    assert_eq!(place.import(&source), Some(2));
    assert_eq!(node.status()["connections"], 1, "the client was slower than the import");
    same(&client::whole(slow, &target), &before, "the slow client");
    same(&client::pull(&node), &after, "the next client");
    node.rests();
    node.is_unharmed();
}
