//! Generations kept by hand, foretold sweeps, rollbacks, and stores of an older release, on a real disk.

use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_128;

use super::*;
use crate::names::{ChannelName, Generation};
use crate::tree::{
    ContentId, Entry, FederationId, Head, Kind, Mode, Mtime, Signature, Snapshot, SnapshotBuilder, TreePath, Word,
};

const NEWEST: Keep = Keep { generations: 1, hours: 0, most: 1 };

fn store(dir: &TempDir) -> Store {
    Store::open(dir.path(), Access::Create).unwrap()
}

fn channel() -> ChannelName {
    "gentoo/full".parse().unwrap()
}

/// A tree with one file, which holds `bytes`; they are in the store then.
fn staged<'s>(store: &'s mut Store, bytes: &[u8]) -> (Staged<'s>, Snapshot) {
    let mut ingest = store.begin(&"gentoo".parse().unwrap()).unwrap();
    let id = ContentId::of(bytes);
    ingest.put(&[NewContent { id, xxh128: xxh3_128(bytes).to_le_bytes(), bytes }]).unwrap();
    let (mtime, mode) = (Mtime::new(1, 0).unwrap(), Mode::new(0o644).unwrap());
    let mut builder = SnapshotBuilder::new(Word::new("gentoo").unwrap());
    builder.push(Entry { path: TreePath::ROOT, mtime, kind: Kind::Directory { mode } }).unwrap();
    let kind = Kind::File { mode, size: bytes.len() as u64, content: &id, group: None };
    builder.push(Entry { path: TreePath::new(b"file").unwrap(), mtime, kind }).unwrap();
    let snapshot = builder.finish().unwrap();
    (ingest.stage(&snapshot, None).unwrap(), snapshot)
}

fn head(generation: u64, snapshot: &Snapshot) -> NewHead {
    let head = Head {
        federation: FederationId::from_bytes([7; 64]),
        channel: Word::new("gentoo/full").unwrap(),
        generation,
        snapshot: snapshot.id(),
        term: 1,
        time: generation as i64,
    };
    NewHead { text: head.signed(Signature::from_bytes([9; 64])), source: None }
}

/// Publishes these generations, each with its number as content.
fn published(store: &mut Store, generations: std::ops::RangeInclusive<u64>) {
    for generation in generations {
        let (staged, snapshot) = staged(store, generation.to_string().as_bytes());
        staged.publish(vec![head(generation, &snapshot)], None).unwrap();
    }
}

fn find(store: &Store, generation: u64) -> Publication {
    let history = store.history(&channel()).unwrap();
    history.into_iter().find(|found| found.generation.get() == generation).unwrap()
}

/// The generations that can be served, newest first.
fn kept(store: &Store) -> Vec<u64> {
    let history = store.history(&channel()).unwrap();
    let kept = history.iter().filter(|found| found.kept == Kept::Yes);
    kept.map(|found| store.snapshot(&found.snapshot).map(|_| found.generation.get()).unwrap()).collect()
}

#[test]
fn what_is_kept_by_hand_outlives_number_and_age_until_it_is_released() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    published(&mut store, 1..=4);
    let name = "before".parse().unwrap();
    store.keep(&find(&store, 2), Some(&name), 70).unwrap();
    let by_hand = Some(KeptByHand { name: Some(name), since: 70 });
    assert_eq!(find(&store, 2).by_hand, by_hand);
    store.sweep(NEWEST, 1 << 40).unwrap();
    assert_eq!(kept(&store), [4, 2]);
    drop(store);
    let mut store = Store::open(dir.path(), Access::Existing).unwrap();
    assert_eq!(store.by_hand().unwrap().iter().map(|kept| kept.by_hand.clone()).collect::<Vec<_>>(), [by_hand]);
    assert_eq!(store.reader().unwrap().history(&channel()).unwrap(), store.history(&channel()).unwrap());
    store.release(&find(&store, 2)).unwrap();
    store.release(&find(&store, 2)).unwrap();
    assert_eq!((kept(&store), store.by_hand().unwrap()), (vec![4, 2], Vec::new()), "nothing goes at once");
    store.sweep(NEWEST, 1 << 40).unwrap();
    assert_eq!(kept(&store), [4]);
}

#[test]
fn what_is_kept_by_hand_outlives_damage_to_its_list_until_it_is_released() {
    let dir = TempDir::new().unwrap();
    let mut first = store(&dir);
    published(&mut first, 1..=4);
    first.keep(&find(&first, 1), None, 70).unwrap();
    for generation in [1, 2] {
        let id = find(&first, generation).snapshot;
        let spoilt = first.db.execute("UPDATE snapshots SET text = x'00' WHERE id = ?1", [id.as_bytes()]).unwrap();
        assert_eq!(spoilt, 1);
    }
    let all = Keep { generations: 4, hours: 0, most: 4 };
    // What a sweep finds, drops and frees; and what is known of it then.
    let numbers = |damaged: Vec<Publication>| damaged.iter().map(|one| one.generation.get()).collect::<Vec<_>>();
    let check = |store: &mut Store, expected: (&[u64], u64, &[u64])| {
        let foretold = store.plan_sweep(all, 100).unwrap();
        let swept = store.sweep(all, 100).unwrap();
        assert_eq!((&foretold.dropped, foretold.contents), (&swept.dropped, swept.contents));
        let dropped: Vec<u64> = swept.dropped.iter().map(|(_, generation)| generation.get()).collect();
        assert_eq!((&*dropped, swept.contents), (expected.0, expected.1));
        assert_eq!(numbers(store.kept_of(&swept.damaged.into_iter().collect()).unwrap()), expected.2);
        assert_eq!(numbers(store.damaged().unwrap()), expected.2);
    };
    check(&mut first, (&[], 0, &[2, 1]));
    drop(first);
    // Another process knows what the last one found.
    let mut second = store(&dir);
    assert_eq!(numbers(second.damaged().unwrap()), [2, 1]);
    check(&mut second, (&[2], 0, &[1]));
    check(&mut second, (&[], 0, &[1]));
    second.release(&find(&second, 1)).unwrap();
    check(&mut second, (&[1], 2, &[]));
    assert_eq!(kept(&second), [4, 3]);
}

#[test]
fn a_name_stands_for_one_generation_and_can_be_changed() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    published(&mut store, 1..=3);
    let [a, b] = ["a", "b"].map(|name| name.parse().unwrap());
    store.keep(&find(&store, 1), Some(&a), 70).unwrap();
    let taken = store.keep(&find(&store, 2), Some(&a), 71);
    assert!(matches!(&taken, Err(StoreError::NameTaken { name, generation: 1, .. }) if name == "a"), "{taken:?}");
    store.keep(&find(&store, 1), Some(&b), 72).unwrap();
    store.keep(&find(&store, 2), Some(&a), 73).unwrap();
    // Any number of them may have none.
    store.keep(&find(&store, 3), None, 74).unwrap();
    store.keep(&find(&store, 2), None, 75).unwrap();
    let names = store.by_hand().unwrap().into_iter().map(|kept| kept.by_hand.unwrap());
    let names: Vec<_> = names.map(|kept| (kept.name, kept.since)).collect();
    assert_eq!(names, [(None, 74), (None, 73), (Some(b), 70)], "kept since they were");
}

#[test]
fn what_is_gone_cannot_be_kept_nor_can_too_much() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let many = MAX_KEEPS as u64;
    published(&mut store, 1..=many + 2);
    let gone = find(&store, 1);
    store.sweep(Keep { generations: MAX_KEEPS + 1, hours: 0, most: 4096 }, 1 << 40).unwrap();
    let refused = store.keep(&gone, None, 70);
    assert!(matches!(refused, Err(StoreError::NotKept { generation: 1, .. })), "{refused:?}");
    for generation in 2..=many + 1 {
        store.keep(&find(&store, generation), None, 70).unwrap();
    }
    let refused = store.keep(&find(&store, many + 2), None, 70);
    assert!(matches!(refused, Err(StoreError::TooManyKept { most: MAX_KEEPS, .. })), "{refused:?}");
    // One that is kept already can still get a name.
    store.keep(&find(&store, 2), Some(&"a".parse().unwrap()), 70).unwrap();
}

#[test]
fn a_sweep_that_is_foretold_is_the_sweep_that_is_done() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    published(&mut store, 1..=5);
    store.keep(&find(&store, 1), None, 70).unwrap();
    let pin = store.pins().pin(find(&store, 2).snapshot).unwrap();
    let foretold = store.plan_sweep(NEWEST, 100).unwrap();
    let numbers: Vec<u64> = foretold.dropped.iter().map(|(_, generation)| generation.get()).collect();
    assert_eq!((numbers, foretold.contents, foretold.bytes), (vec![4, 3], 2, 2));
    assert_eq!(kept(&store), [5, 4, 3, 2, 1], "nothing is changed");
    assert_eq!(store.plan_sweep(NEWEST, 100).unwrap(), foretold);
    assert_eq!(store.sweep(NEWEST, 100).unwrap(), foretold);
    assert_eq!(kept(&store), [5, 2, 1]);
    drop(pin);
    assert_eq!(store.plan_sweep(NEWEST, 100).unwrap().dropped, [(channel(), Generation::new(2).unwrap())]);
}

#[test]
fn while_everything_is_held_nothing_is_swept() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    published(&mut store, 1..=2);
    let hold = store.pins().hold_sweep().unwrap();
    assert!(matches!(store.sweep(NEWEST, 100), Err(StoreError::SweepHeld)));
    published(&mut store, 3..=3);
    assert_eq!(kept(&store), [3, 2, 1]);
    assert_eq!(store.plan_sweep(NEWEST, 100).unwrap().dropped.len(), 2, "it can still be foretold");
    drop(hold);
    assert_eq!(store.sweep(NEWEST, 100).unwrap().dropped.len(), 2);
}

#[test]
fn a_rollback_is_recorded_and_leaves_the_witness() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    published(&mut store, 1..=1);
    let (second, snapshot) = staged(&mut store, b"2");
    let witness = Witness { source: b"/tree".to_vec(), snapshot: snapshot.id(), marks: vec![Mark::default(); 2] };
    second.publish(vec![head(2, &snapshot)], Some(&witness)).unwrap();
    let (third, snapshot) = staged(&mut store, b"1");
    let published = third.publish_rollback(vec![head(3, &snapshot)], Generation::FIRST).unwrap();
    assert_eq!(published, [find(&store, 3)]);
    let of: Vec<_> = store.history(&channel()).unwrap().iter().map(|found| found.rollback_of).collect();
    assert_eq!(of, [Some(Generation::FIRST), None, None]);
    assert_eq!(find(&store, 3).snapshot, find(&store, 1).snapshot, "the same content is the same snapshot");
    assert_eq!(store.witness(&"gentoo".parse().unwrap()).unwrap(), Some(witness));
    // The head has it, so the older generation stays whole, too.
    store.sweep(NEWEST, 100).unwrap();
    assert_eq!(kept(&store), [3, 1]);
}

#[test]
fn a_store_of_version_1_is_brought_up_to_date_and_only_by_the_writer() {
    let dir = TempDir::new().unwrap();
    let mut first = store(&dir);
    published(&mut first, 1..=2);
    let before = first.history(&channel()).unwrap();
    drop(first);
    let path = dir.path().join("headwater.db");
    let database = || rusqlite::Connection::open(&path).unwrap();
    let schema = || -> Vec<String> {
        let db = database();
        let mut statement = db.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let new = schema();
    let old = "DROP TABLE keeps; ALTER TABLE publications DROP COLUMN rollback_of; PRAGMA user_version = 1;";
    database().execute_batch(old).unwrap();
    let refused = Reader::open(dir.path());
    assert!(matches!(refused, Err(StoreError::Older { found: 1, .. })), "{refused:?}");
    let mut store = Store::open(dir.path(), Access::Existing).unwrap();
    assert_eq!(store.history(&channel()).unwrap(), before);
    assert_eq!(schema(), new, "as a new one has it");
    store.keep(&find(&store, 1), None, 70).unwrap();
    drop(store);
    assert!(Reader::open(dir.path()).is_ok());
    // What cannot be taken whole is not taken at all.
    database().execute_batch("DROP TABLE keeps; PRAGMA user_version = 1").unwrap();
    assert!(Store::open(dir.path(), Access::Existing).is_err(), "the column is there already");
    let version: i64 = database().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let tables = database().query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'keeps'", [], |row| row.get(0));
    assert_eq!((version, tables), (1, Ok(0)));
}
