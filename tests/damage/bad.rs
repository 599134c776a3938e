//! Stored bytes that are no longer what was imported: the client refuses that file, gets all others, and the next import mends it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, symlink};
use std::path::PathBuf;

use headwater::tree::ContentId;
use rusqlite::params;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::edition::{self, LARGE, Line, Lines, ROW, Size, same};
use super::node::Node;
use super::place::{Place, Start};
use super::{client, wait};

/// What is done to the bytes of a content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Damage {
    /// One bit in the middle is another one.
    Flipped,
    /// The second half is gone.
    Truncated,
    /// Bytes follow that were not there.
    Longer,
    /// All of it is gone.
    Missing,
}

use Damage::{Flipped, Longer, Missing, Truncated};

/// Whether the node runs while it happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum When {
    Stopped,
    Running,
}

/// Every damage, with the node stopped and running.
const EVERY: [(Damage, When); 8] = [
    (Flipped, When::Stopped),
    (Flipped, When::Running),
    (Truncated, When::Stopped),
    (Truncated, When::Running),
    (Longer, When::Stopped),
    (Longer, When::Running),
    (Missing, When::Stopped),
    (Missing, When::Running),
];

#[test]
fn a_bad_content_in_the_database_costs_that_file_only_and_the_next_import_mends_it() {
    wait::at_once(&EVERY, |(damage, when)| suffer(ROW, *damage, *when));
}

#[test]
fn a_bad_large_content_costs_that_file_only_and_the_next_import_mends_it() {
    wait::at_once(&EVERY, |(damage, when)| suffer(LARGE, *damage, *when));
}

fn suffer(path: &str, damage: Damage, when: When) {
    let what = format!("{path}, {damage:?}, {when:?}");
    let place = Place::new(Start::Published);
    let (source, whole) = place.source(Size::Small, 1);
    assert_eq!(place.import(&source), None, "{what}: nothing but the damage is a reason to publish");
    if when == When::Stopped {
        self::damage(&place, path, &whole, damage);
    }
    let node = Node::start(&place);
    if when == When::Running {
        same(&client::pull(&node), &whole, &format!("{what}: before"));
        self::damage(&place, path, &whole, damage);
    }
    let mut others = whole.clone();
    assert!(others.remove(path).is_some());
    // The first client finds it out, the second one comes after it was set aside.
    for round in 1..=2 {
        let target = place.fresh();
        let output = wait::output(client::begin(node.port, &target), "rsync");
        let said = client::text(&output);
        assert_eq!(output.status.code(), Some(23), "{what}, client {round}: {said}");
        let refused = format!("\"/{path}\" (in vec): Input/output error (5)");
        assert!(said.contains(&refused), "{what}, client {round}: {said}");
        same(&edition::lines(&target), &others, &format!("{what}, client {round}"));
        let named = || node.alarms().iter().any(|alarm| alarm.contains(path)).then_some(());
        wait::until("status names the content", named);
    }
    a_client_that_has_the_file_keeps_it(&node, path, &whole, &what);
    assert_eq!(place.import(&source), Some(2), "{what}: the import that mends");
    assert!(node.alarms().is_empty(), "{what}: {:?}", node.alarms());
    same(&client::pull(&node), &whole, &format!("{what}: mended"));
    assert_eq!(place.import(&source), None, "{what}: all is in order, so there is nothing to publish");
    node.rests();
}

#[test]
fn a_bad_timestamp_is_mended_by_the_next_import_with_a_later_one() {
    wait::at_once(&[Flipped, Missing], |damage| {
        let place = Place::new(Start::Published);
        let (source, whole) = place.source(Size::Small, 1);
        let node = Node::start(&place);
        let stamp = || {
            let target = place.fresh();
            same(&client::whole(client::begin(node.port, &target), &target), &whole, &format!("{damage:?}"));
            fs::read(target.join("metadata/timestamp.chk")).unwrap()
        };
        let first = stamp();
        damage_row(&place, &ContentId::of(&first), *damage);
        let output = wait::output(client::begin(node.port, &place.fresh()), "rsync");
        assert_eq!(output.status.code(), Some(23), "{damage:?}: {}", client::text(&output));
        wait::until("the node has set it aside", || (!node.alarms().is_empty()).then_some(()));
        // Nothing else differs, and nothing that the source has can mend it: it was made by the node.
        assert_eq!(place.import(&source), Some(2), "{damage:?}");
        wait::until("the alarm is over", || node.alarms().is_empty().then_some(()));
        let seconds = |text: &[u8]| headwater::portage::stamp::parse_chk(text).unwrap();
        assert!(seconds(&stamp()) > seconds(&first), "{damage:?}: a client must not be told that it has it already");
        assert_eq!(place.import(&source), None, "{damage:?}");
    });
}

#[test]
fn a_file_that_is_out_of_reach_for_a_while_is_not_taken_for_bad() {
    let place = Place::new(Start::Published);
    let (_, whole) = place.source(Size::Small, 1);
    let Line::File { content, .. } = &whole[LARGE] else { panic!("{LARGE} is no file") };
    let (path, away) = (large_file(&place, content), place.data.join("away"));
    let node = Node::start(&place);
    fs::rename(&path, &away).unwrap();
    // A name that leads nowhere: the same as permissions that were taken away, and works for the super-user too.
    symlink(&path, &path).unwrap();
    let mut others = whole.clone();
    others.remove(LARGE);
    for round in 1..=2 {
        let target = place.fresh();
        let output = wait::output(client::begin(node.port, &target), "rsync");
        let said = client::text(&output);
        assert_eq!(output.status.code(), Some(23), "client {round}: {said}");
        same(&edition::lines(&target), &others, &format!("client {round}"));
    }
    wait::until("the node says why", || node.said("not sent"));
    fs::remove_file(&path).unwrap();
    fs::rename(&away, &path).unwrap();
    same(&client::pull(&node), &whole, "within reach again");
    assert!(node.alarms().is_empty(), "{:?}", node.alarms());
}

#[test]
fn a_client_waits_for_a_large_file_while_there_is_no_descriptor_for_it() {
    let place = Place::new(Start::Published);
    let (_, whole) = place.source(Size::Small, 1);
    let node = Node::start(&place);
    let process = Pid::from_raw(node.id().cast_signed());
    let open = || -> Vec<u64> {
        let names = fs::read_dir(format!("/proc/{}/fd", node.id())).unwrap();
        names.map(|name| name.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
    };
    same(&client::pull(&node), &whole, "before");
    node.rests();
    let open = open();
    // There is one for the client's socket and no other.
    let one_more = (0..).find(|descriptor| !open.contains(descriptor)).map(|free| free + 1);
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let before = prlimit(process, Resource::Nofile, Rlimit { current: one_more, maximum }).unwrap();
    assert_eq!(before.current, maximum, "it has raised its limit");
    let target = place.fresh();
    let client = client::begin(node.port, &target);
    wait::until("a large file waits", || node.said("no file descriptor is left for a large file"));
    prlimit(process, Resource::Nofile, before).unwrap();
    same(&client::whole(client, &target), &whole, "when there are some again");
}

/// A file that cannot be had is not deleted at a client.
#[track_caller]
fn a_client_that_has_the_file_keeps_it(node: &Node<'_>, path: &str, whole: &Lines, what: &str) {
    let target = node.place.fresh();
    edition::plant(&target, Size::Small, 1);
    // Other bytes of another time, so that the client wants it.
    fs::write(target.join(path), "an older one").unwrap();
    let output = wait::output(client::begin(node.port, &target), "rsync");
    assert_eq!(output.status.code(), Some(23), "{what}: {output:?}");
    assert_eq!(fs::read(target.join(path)).unwrap(), b"an older one", "{what}");
    let mut found = edition::lines(&target);
    found.insert(path.to_owned(), whole[path].clone());
    same(&found, whole, what);
}

/// Damages the content of the file at `path` of a tree that is published.
pub(crate) fn damage(place: &Place, path: &str, lines: &Lines, damage: Damage) {
    let Line::File { content, size, .. } = &lines[path] else { panic!("{path} is no file") };
    let file = large_file(place, content);
    match file.exists() {
        true => damage_file(&file, *size, damage),
        false => damage_row(place, content, damage),
    }
}

fn large_file(place: &Place, content: &ContentId) -> PathBuf {
    let name = content.to_string();
    place.data.join("large").join(&name[..2]).join(&name)
}

fn damage_file(path: &PathBuf, size: u64, damage: Damage) {
    let open = || OpenOptions::new().read(true).write(true).open(path).unwrap();
    match damage {
        Flipped => {
            let mut byte = [0];
            open().read_exact_at(&mut byte, size / 2).unwrap();
            open().write_all_at(&[byte[0] ^ 4], size / 2).unwrap();
        }
        Truncated => open().set_len(size / 2).unwrap(),
        Longer => open().write_all_at(b"and more", size).unwrap(),
        Missing => fs::remove_file(path).unwrap(),
    }
}

fn damage_row(place: &Place, content: &ContentId, damage: Damage) {
    let database = place.database();
    let find = "SELECT n, bytes FROM bytes JOIN contents USING (n) WHERE id = ?1";
    let found = database.query_row(find, [content.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)));
    let (n, mut bytes): (i64, Vec<u8>) = found.unwrap();
    let middle = bytes.len() / 2;
    match damage {
        Flipped => bytes[middle] ^= 4,
        Truncated => bytes.truncate(middle),
        Longer => bytes.extend(b"and more"),
        Missing => {
            assert_eq!(database.execute("DELETE FROM bytes WHERE n = ?1", [n]).unwrap(), 1);
            return;
        }
    }
    assert_eq!(database.execute("UPDATE bytes SET bytes = ?2 WHERE n = ?1", params![n, bytes]).unwrap(), 1);
}
