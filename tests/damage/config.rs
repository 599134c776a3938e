//! Changed configuration with mistakes, while a client is in the middle of a transfer.

use std::fs;

use rustix::process::Signal;

use super::edition::{Size, same};
use super::node::Node;
use super::place::{Place, Start};
use super::rig::relay::Relay;
use super::{client, wait};

#[test]
fn mistakes_in_a_changed_configuration_are_told_and_cost_no_transfer() {
    // The file, what is wrong in it, and what is told.
    let cases = [
        ("topology.toml", "kind = \"tree\"", "kind = \"three\"", "repository[1].kind: \"three\" is none of"),
        ("topology.toml", "[[module]]", "[[modul]]", "did you mean"),
        ("topology.toml", "[[node]]", "[[node", "topology.toml"),
        ("headwater.toml", "[limits]", "[limits]\nconnections = 0", "limits.connections: 0 is out of bounds"),
        ("headwater.toml", "[limits]", "[limitz]", "limitz: no such key"),
    ];
    let place = Place::new(Start::Empty);
    let mut node = Node::start(&place);
    let (source, tree) = place.source(Size::Heavy, 1);
    assert_eq!(place.import(&source), Some(1));
    for (number, (file, old, new, told)) in cases.into_iter().enumerate() {
        let relay = Relay::new(node.port, 1 << 20);
        let target = place.fresh();
        let slow = client::begin(relay.port, &target);
        relay.is_paused();
        let path = place.data.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(old).count(), 1, "{old}");
        fs::write(&path, text.replace(old, new)).unwrap();
        let output = place.run(&["reload"], &[]);
        let said = client::text(&output);
        assert_eq!(output.status.code(), Some(1), "{new}: {said}");
        assert!(said.contains(told) && said.contains("do:  correct what is named"), "{new}: {said}");
        let failures = |node: &Node<'_>| node.log().iter().filter(|line| line.contains("stays as it was")).count();
        node.signal(Signal::HUP);
        wait::until("the log says so, too", || (failures(&node) == number + 1).then_some(()));
        same(&client::pull(&node), &tree, &format!("{new}: a client that came after it"));
        relay.open();
        same(&client::whole(slow, &target), &tree, &format!("{new}: the client that was there"));
        fs::write(&path, text).unwrap();
        place.must(&["reload"]);
    }
    // A start is told the same, and the node that runs on is not touched by it.
    let path = place.data.join("topology.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("kind = \"tree\"", "kind = \"three\"")).unwrap();
    node.signal(Signal::TERM);
    assert_eq!(node.ends().code(), Some(0));
    let output = place.run(&["run"], &[]);
    let said = client::text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("topology.toml") && said.contains("do:  correct what is named"), "{said}");
    fs::write(&path, text).unwrap();
    let node = Node::start(&place);
    same(&client::pull(&node), &tree, "mended");
}
