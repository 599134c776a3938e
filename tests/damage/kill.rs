//! kill -9 at each named point of a publication, of its sweep, of setting a bad content aside and of bringing an old store
//! up to date.
//!
//! A scenario is what the program does when it dies; the table says which scenarios reach which point, and which head is
//! published afterwards. All of them end the same way: what the head says is served whole, the next import succeeds and is
//! served whole, and nothing is left over in the store. A point that no scenario reaches fails the test.

use std::collections::HashSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use headwater::store::failpoint;
use headwater::tree::ContentId;

use super::edition::{self, LARGE, Line, Lines, ROW, Size, same};
use super::node::Node;
use super::place::{Place, Start};
use super::{bad, client, wait};

/// Who publishes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    /// The command that opens the store itself.
    Command,
    /// A running node.
    Node,
}

/// What is going on when the program dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scenario {
    /// The first publication of a channel.
    First,
    /// The second one.
    Second,
    /// A bad content in a row is set aside.
    BadRow,
    /// A bad content in a file is set aside.
    BadFile,
    /// The content of the first generation is published again after a second one.
    Rollback,
    /// The store of an older release is opened.
    Upgrade,
}

/// Which head is published when the program has died.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Head {
    Old,
    New,
}

use Head::{New, Old};
use Scenario::{BadFile, BadRow, First, Rollback, Second, Upgrade};
use Who::{Command, Node as Running};

/// The scenarios that reach a point.
type Reached = &'static [(Who, Scenario)];

/// Every point: the head afterwards, and the scenarios that reach it.
const TABLE: &[(&str, Head, Reached)] = &[
    ("before-large-rename", Old, PUBLICATION),
    ("after-large-rename", Old, PUBLICATION),
    ("before-batch-commit", Old, COMMITS),
    ("after-batch-commit", Old, COMMITS),
    ("before-snapshot-commit", Old, COMMITS),
    ("after-snapshot-commit", Old, COMMITS),
    ("before-witness", Old, COMMITS),
    ("before-head-commit", Old, COMMITS),
    ("after-head-commit", New, COMMITS),
    ("before-sweep-commit", New, COMMITS),
    ("after-sweep-commit", New, COMMITS),
    ("before-sweep-batch", New, FREEING),
    ("before-large-unlink", New, FREEING),
    ("before-vacuum", New, COMMITS),
    ("before-checkpoint", New, COMMITS),
    ("after-checkpoint", New, COMMITS),
    ("before-quarantine-commit", Old, &[(Running, BadRow), (Running, BadFile)]),
    ("after-quarantine-commit", Old, &[(Running, BadRow), (Running, BadFile)]),
    ("before-upgrade-commit", Old, &[(Command, Upgrade)]),
    ("after-upgrade-commit", Old, &[(Command, Upgrade)]),
];

const PUBLICATION: Reached = &[(Command, First), (Running, First), (Command, Second), (Running, Second)];

/// What a rollback does, too; its contents are here already.
const COMMITS: Reached = &[
    (Command, First),
    (Running, First),
    (Command, Second),
    (Running, Second),
    (Command, Rollback),
    (Running, Rollback),
];

/// Where something goes.
const FREEING: Reached = &[(Command, Second), (Running, Second), (Command, Rollback), (Running, Rollback)];

#[test]
fn every_point_of_the_program_is_reached_by_a_scenario() {
    let known: HashSet<&str> = failpoint::ALL.iter().map(|(_, name)| *name).collect();
    let reached: HashSet<&str> = TABLE.iter().map(|(name, ..)| *name).collect();
    assert_eq!(known, reached);
    assert!(TABLE.iter().all(|(_, _, scenarios)| !scenarios.is_empty()));
}

#[test]
fn a_command_that_is_killed_in_a_first_publication_leaves_nothing_published_or_all() {
    run_all(Command, First);
}

#[test]
fn a_node_that_is_killed_in_a_first_publication_leaves_nothing_published_or_all() {
    run_all(Running, First);
}

#[test]
fn a_command_that_is_killed_in_a_later_publication_leaves_the_old_generation_or_the_new_one() {
    run_all(Command, Second);
}

#[test]
fn a_node_that_is_killed_in_a_later_publication_leaves_the_old_generation_or_the_new_one() {
    run_all(Running, Second);
}

#[test]
fn a_node_that_is_killed_while_it_sets_a_content_aside_serves_all_others() {
    let bad = |scenario: &Scenario| match scenario {
        BadRow => Some(ROW),
        BadFile => Some(LARGE),
        First | Second | Rollback | Upgrade => None,
    };
    let cases = TABLE.iter().flat_map(|(point, _, reached)| reached.iter().map(move |(_, scenario)| (point, scenario)));
    let cases: Vec<_> = cases.filter_map(|(point, scenario)| Some((point, bad(scenario)?))).collect();
    assert!(cases.len() > 3, "only {} points", cases.len());
    wait::at_once(&cases, |(point, path)| die_at_quarantine(point, path));
}

#[test]
fn a_command_that_is_killed_in_a_rollback_leaves_the_generation_before_it_or_the_new_one() {
    roll_all_back(Command);
}

#[test]
fn a_node_that_is_killed_in_a_rollback_leaves_the_generation_before_it_or_the_new_one() {
    roll_all_back(Running);
}

#[test]
fn a_command_that_is_killed_while_it_brings_an_old_store_up_to_date_leaves_it_old_or_new() {
    let cases: Vec<_> = TABLE.iter().filter(|(_, _, reached)| reached.contains(&(Command, Upgrade))).collect();
    assert_eq!(cases.len(), 2);
    wait::at_once(&cases, |(point, ..)| {
        let place = Place::new(Start::Published);
        let (_, lines) = place.source(Size::Small, 1);
        let old = "DROP TABLE keeps; ALTER TABLE publications DROP COLUMN rollback_of; PRAGMA user_version = 1;";
        place.database().execute_batch(old).unwrap();
        let output = place.run(&["status"], &[("HEADWATER_FAILPOINT", point)]);
        assert_eq!(output.status.signal(), Some(9), "{point}: {output:?}");
        let version: u32 = place.database().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(version, if *point == "before-upgrade-commit" { 1 } else { 2 }, "{point}");
        let node = Node::start(&place);
        same(&client::pull(&node), &lines, point);
        place.must(&["channel", "keep", "tree@1"]);
        node.is_unharmed();
    });
}

#[test]
fn a_failpoint_that_is_not_known_is_refused() {
    let place = Place::new(Start::Empty);
    let output = place.run(&["status"], &[("HEADWATER_FAILPOINT", "before-lunch")]);
    assert!(!output.status.success() && client::text(&output).contains("before-lunch"), "{output:?}");
}

fn run_all(who: Who, scenario: Scenario) {
    let cases: Vec<_> = TABLE.iter().filter(|(_, _, reached)| reached.contains(&(who, scenario))).collect();
    assert!(cases.len() > 13, "only {} points", cases.len());
    wait::at_once(&cases, |(point, head, _)| die_and_go_on(point, *head, who, scenario));
}

fn roll_all_back(who: Who) {
    let cases: Vec<_> = TABLE.iter().filter(|(_, _, reached)| reached.contains(&(who, Rollback))).collect();
    assert!(cases.len() > 12, "only {} points", cases.len());
    wait::at_once(&cases, |(point, head, _)| die_in_rollback(point, *head, who));
}

/// Dies at `point` of a rollback to generation 1, and is looked at afterwards.
fn die_in_rollback(point: &str, head: Head, who: Who) {
    let what = format!("{who:?}, rollback, {point}");
    let place = Place::new(Start::Published);
    let (_, first) = place.source(Size::Small, 1);
    place.must(&["channel", "keep", "tree@1"]);
    let (source, second) = place.source(Size::Small, 2);
    assert_eq!(place.import(&source), Some(2), "{what}");
    let (order, environment) = (["channel", "rollback", "tree@1"], [("HEADWATER_FAILPOINT", point)]);
    match who {
        Command => assert_eq!(place.run(&order, &environment).status.signal(), Some(9), "{what}"),
        Running => {
            let mut node = Node::start_with(&place, &environment);
            let code = place.run(&order, &[]).status.code();
            // Once the head has moved, the answer may be on its way: a node sweeps after it.
            assert!(code == Some(4) || (head == New && code == Some(0)), "{what}: {code:?}");
            assert_eq!(node.ends().signal(), Some(9), "{what}");
        }
    }
    let node = Node::start(&place);
    assert_eq!(node.generation(), Some(if head == New { 3 } else { 2 }), "{what}");
    same(&client::pull(&node), if head == New { &first } else { &second }, &what);
    assert!(node.alarms().is_empty(), "{what}: {:?}", node.alarms());
    place.must(&order);
    assert_eq!(node.generation(), Some(3), "{what}: once more");
    same(&client::pull(&node), &first, &format!("{what}: once more"));
    place.must(&["channel", "release", "tree@1"]);
    node.is_unharmed();
    drop(node);
    nothing_is_left_over(&place, &what);
}

/// Dies at `point`, and is looked at afterwards.
fn die_and_go_on(point: &str, head: Head, who: Who, scenario: Scenario) {
    let what = format!("{who:?}, {scenario:?} publication, {point}");
    let start = if scenario == First { Start::Empty } else { Start::Published };
    let place = Place::new(start);
    let (_, published) = place.source(Size::Small, 1);
    let old = (scenario != First).then_some(published);
    let mut number = if scenario == First { 0 } else { 1 };
    let environment = [("HEADWATER_FAILPOINT", point)];
    let new = match who {
        Command => {
            let (source, new) = place.source(Size::Small, 2);
            let order = ["import", "--repository", "tree", source.to_str().unwrap()];
            let output = place.run(&order, &environment);
            assert_eq!(output.status.signal(), Some(9), "{what}: {output:?}");
            new
        }
        Running => {
            let mut node = Node::start_with(&place, &environment);
            let (source, new) = place.source(Size::Small, 2);
            let output = place.run(&["import", "--repository", "tree", source.to_str().unwrap()], &[]);
            // Once the head has moved, the answer may be on its way: a node sweeps after it.
            let codes: &[i32] = if head == Old { &[4] } else { &[0, 4] };
            let code = output.status.code().unwrap();
            assert!(codes.contains(&code), "{what}: the operator hears that the node is gone: {output:?}");
            assert_eq!(node.ends().signal(), Some(9), "{what}");
            new
        }
    };
    let node = Node::start(&place);
    if head == New {
        number += 1;
    }
    match if head == New { Some(&new) } else { old.as_ref() } {
        Some(expected) => {
            assert_eq!(node.generation(), Some(number), "{what}");
            same(&client::pull(&node), expected, &what);
            assert!(node.alarms().is_empty(), "{what}: {:?}", node.alarms());
        }
        None => {
            assert_eq!(node.generation(), None, "{what}");
            let output = wait::output(client::begin(node.port, &place.fresh()), "rsync");
            assert!(client::text(&output).contains("nothing is published in module vec yet"), "{what}: {output:?}");
        }
    }
    the_next_import_succeeds(&node, head, &new, number, &what);
    drop(node);
    nothing_is_left_over(&place, &what);
}

/// The same directory again, and then what it becomes.
fn the_next_import_succeeds(node: &Node<'_>, head: Head, new: &Lines, number: u64, what: &str) {
    let place = node.place;
    let (source, _) = place.source(Size::Small, 2);
    let expected = if head == Old { Some(number + 1) } else { None };
    assert_eq!(place.import(&source), expected, "{what}: the same import once more");
    same(&client::pull(node), new, &format!("{what}: after the same import once more"));
    let number = expected.unwrap_or(number);
    let (source, lines) = place.source(Size::Small, 3);
    assert_eq!(place.import(&source), Some(number + 1), "{what}: the next import");
    same(&client::pull(node), &lines, &format!("{what}: after the next import"));
    node.is_unharmed();
}

/// The database is whole, and once only one generation is kept, the store has its contents and no others.
fn nothing_is_left_over(place: &Place, what: &str) {
    let (source, lines) = place.source(Size::Small, 4);
    assert!(place.import(&source).is_some());
    let database = place.database();
    let sound: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok", "{what}");
    let files = lines.values().filter_map(|line| match line {
        Line::File { content, size, .. } => Some((*content, *size)),
        _ => None,
    });
    let distinct: HashSet<(ContentId, u64)> = files.collect();
    let kept: u32 = database.query_row("SELECT count(*) FROM contents", [], |row| row.get(0)).unwrap();
    assert_eq!(
        usize::try_from(kept).unwrap(),
        distinct.len() + 1,
        "{what}: the contents of one generation, with its timestamp"
    );
    let large: HashSet<String> =
        distinct.iter().filter(|(_, size)| *size > 1 << 20).map(|(content, _)| content.to_string()).collect();
    assert_eq!(large_files(&place.data.join("large")), large, "{what}");
}

/// The names of all files below `large/`, finished or not.
fn large_files(large: &Path) -> HashSet<String> {
    let mut names = HashSet::new();
    for entry in fs::read_dir(large).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(large_files(&path));
        } else {
            names.insert(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    names
}

/// A client meets a bad content, and the node dies while it sets it aside.
fn die_at_quarantine(point: &str, path: &str) {
    let what = format!("{point}, {path}");
    let place = Place::new(Start::Published);
    let (source, mut lines) = place.source(Size::Small, 1);
    bad::damage(&place, path, &lines, bad::Damage::Flipped);
    let mut node = Node::start_with(&place, &[("HEADWATER_FAILPOINT", point)]);
    // What this client hears depends on how fast the node dies.
    let _ = wait::output(client::begin(node.port, &place.fresh()), "rsync");
    assert_eq!(node.ends().signal(), Some(9), "{what}");

    let node = Node::start(&place);
    let target = place.fresh();
    let output = wait::output(client::begin(node.port, &target), "rsync");
    assert_eq!(output.status.code(), Some(23), "{what}: {output:?}");
    let whole = lines.clone();
    assert!(lines.remove(path).is_some());
    same(&edition::lines(&target), &lines, &what);
    wait::until("the node names what is bad", || (!node.alarms().is_empty()).then_some(()));
    assert_eq!(place.import(&source), Some(2), "{what}: the import that mends");
    assert!(node.alarms().is_empty(), "{what}: {:?}", node.alarms());
    same(&client::pull(&node), &whole, &what);
    drop(node);
    nothing_is_left_over(&place, &what);
}
