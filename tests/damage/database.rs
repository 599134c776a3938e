//! A database that is damaged anywhere: a page is zeros, the end is missing, the head is other bytes.
//!
//! SQLite's own bytes are damaged here, not what lies in them. The node serves what can be read and names the rest, or refuses to
//! start and says what to do; it never serves other bytes, and an import mends what it can.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use serde_json::Value;

use super::edition::{self, Lines, Size, same};
use super::node::Node;
use super::place::{Place, Start};
use super::{client, wait};

/// The store's page size.
const PAGE: u64 = 16 << 10;

/// What is done to the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Harm {
    /// The page of this number, from 0, is zeros.
    Zeroed(u64),
    /// The kind of the page is another one.
    Changed(u64),
    /// A bit in the middle of the page is another one.
    Flipped(u64),
    /// The file ends after so many bytes.
    Ends(u64),
    /// A byte of the head of the file is another one.
    Head(u64),
}

fn harm(place: &Place, harm: Harm) {
    let database = File::options().read(true).write(true).open(place.data.join("headwater.db")).unwrap();
    let change = |at: u64, mask: u8| {
        let mut byte = [0];
        database.read_exact_at(&mut byte, at).unwrap();
        database.write_all_at(&[byte[0] ^ mask], at).unwrap();
    };
    match harm {
        Harm::Zeroed(page) => database.write_all_at(&[0; 16 << 10], page * PAGE).unwrap(),
        Harm::Changed(page) => change(if page == 0 { 100 } else { page * PAGE }, 0x55),
        Harm::Flipped(page) => change(page * PAGE + PAGE / 2, 4),
        Harm::Ends(length) => database.set_len(length).unwrap(),
        Harm::Head(at) => change(at, 0xff),
    }
}

/// All harms to a database of so many pages.
fn all(pages: u64) -> Vec<Harm> {
    let mut all = Vec::new();
    for page in 0..pages {
        all.push(Harm::Zeroed(page));
        all.push(if page % 2 == 0 { Harm::Changed(page) } else { Harm::Flipped(page) });
    }
    all.extend([0, 1, PAGE, pages * PAGE / 2, (pages - 1) * PAGE, pages * PAGE - 1].map(Harm::Ends));
    all.extend([0, 16, 28, 59, 61, 70].map(Harm::Head));
    all
}

#[test]
fn a_database_that_is_damaged_anywhere_is_served_as_far_as_it_can_be_read_or_refused_with_what_to_do() {
    let place = Place::new(Start::Published);
    let pages = fs::metadata(place.data.join("headwater.db")).unwrap().len() / PAGE;
    assert!(pages > 20, "{pages} pages");
    wait::at_once(&all(pages), |harm| suffer(*harm));
}

fn suffer(harm: Harm) {
    let place = Place::new(Start::Published);
    let (source, tree) = place.source(Size::Small, 1);
    self::harm(&place, harm);
    let node = match Node::try_start(&place, &[]) {
        Ok(node) => node,
        Err((code, said)) => {
            assert!(matches!(code, Some(1 | 3)) && !said.contains("panicked"), "{harm:?}: {code:?}: {said}");
            return assert!(said.contains("restore a backup"), "{harm:?}: {said}");
        }
    };
    let gone = pull_what_can_be_read(&node, &tree, harm);
    // A scrub names what clients were refused, whatever else it finds.
    let output = place.run(&["scrub", "--json"], &[]);
    let said = client::text(&output);
    if let Some(gone) = gone.filter(|gone| !gone.is_empty()) {
        assert_eq!(output.status.code(), Some(3), "{harm:?}: {said}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let named: Vec<&str> =
            report["bad"].as_array().unwrap().iter().map(|bad| bad["path"].as_str().unwrap()).collect();
        for path in gone {
            assert!(named.iter().any(|name| name.ends_with(&format!(": {path}"))), "{harm:?}: {path} in {named:?}");
        }
    }
    let output = place.run(&["import", "--repository", "tree", source.to_str().unwrap()], &[]);
    let said = client::text(&output);
    match output.status.code() {
        Some(0) => same(&client::pull(&node), &tree, &format!("{harm:?}: after an import")),
        code => {
            assert!(code == Some(3) && said.contains("restore a backup"), "{harm:?}: {code:?}: {said}");
            pull_what_can_be_read(&node, &tree, harm);
        }
    }
    node.status();
    assert!(!node.log().iter().any(|line| line.contains("panicked")), "{harm:?}: {:#?}", node.log());
}

/// Pulls, and gives the files that were refused; `None` where the whole tree was.
fn pull_what_can_be_read(node: &Node<'_>, tree: &Lines, harm: Harm) -> Option<Vec<String>> {
    let target = node.place.fresh();
    let output = wait::output(client::begin(node.port, &target), "rsync");
    let said = client::text(&output);
    let code = output.status.code();
    if code == Some(5) {
        assert!(said.contains("nothing is published in module vec yet"), "{harm:?}: {said}");
        assert!(!node.alarms().is_empty(), "{harm:?}");
        return None;
    }
    let got = edition::lines(&target);
    let gone: Vec<String> = tree.keys().filter(|path| !got.contains_key(*path)).cloned().collect();
    let mut expected = tree.clone();
    expected.retain(|path, _| !gone.contains(path));
    same(&got, &expected, &format!("{harm:?}: {said}"));
    // The timestamp may be all that is missing.
    assert!(code == Some(23) || (code == Some(0) && gone.is_empty()), "{harm:?}: {code:?}: {said}");
    for path in &gone {
        assert!(said.contains(&format!("\"/{path}\" (in vec): Input/output error (5)")), "{harm:?}: {said}");
    }
    Some(gone)
}

#[test]
fn a_damaged_log_costs_the_newest_publication_at_most() {
    const PLACES: u64 = 12;
    let cases: Vec<u64> = (0..PLACES).collect();
    wait::at_once(&cases, |case| {
        let place = Place::new(Start::Published);
        let (_, first) = place.source(Size::Small, 1);
        let (source, second) = place.source(Size::Small, 2);
        let order = ["import", "--repository", "tree", source.to_str().unwrap()];
        assert!(!place.run(&order, &[("HEADWATER_FAILPOINT", "after-head-commit")]).status.success());
        let path = place.data.join("headwater.db-wal");
        let length = fs::metadata(&path).unwrap().len();
        assert!(length > 0, "its log is there");
        let log = File::options().read(true).write(true).open(&path).unwrap();
        let at = length * case / PLACES;
        match case % 2 {
            0 => log.set_len(at).unwrap(),
            _ => {
                let mut byte = [0];
                log.read_exact_at(&mut byte, at).unwrap();
                log.write_all_at(&[byte[0] ^ 4], at).unwrap();
            }
        }
        let node = Node::start(&place);
        let generation = node.generation().unwrap();
        let expected = if generation == 1 { &first } else { &second };
        same(&client::pull(&node), expected, &format!("at {at} of {length}: generation {generation}"));
        let published = place.import(&source);
        assert_eq!(published, (generation == 1).then_some(2), "at {at} of {length}");
        same(&client::pull(&node), &second, &format!("at {at} of {length}: after an import"));
        node.is_unharmed();
    });
}

#[test]
fn a_backup_brings_back_what_a_damaged_database_had() {
    let place = Place::new(Start::Published);
    let (source, tree) = place.source(Size::Small, 1);
    let backup = place.fresh();
    place.must(&["backup", backup.to_str().unwrap()]);
    harm(&place, Harm::Zeroed(0));
    let Err((code, said)) = Node::try_start(&place, &[]) else { panic!("it starts") };
    assert!(
        code == Some(3) && said.contains("do:  restore a backup") && said.contains("`headwater restore`"),
        "{said}"
    );
    fs::rename(&place.data, place.fresh()).unwrap();
    place.must(&["restore", backup.to_str().unwrap()]);
    let node = Node::start(&place);
    same(&client::pull(&node), &tree, "restored");
    place.import(&source);
    same(&client::pull(&node), &tree, "and gone on with");
}
