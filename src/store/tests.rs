//! The store as a whole, on a real disk: publish, reopen, sweep, quarantine, limits.

use std::collections::HashSet;
use std::path::Path;

use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_128;

use super::*;
use crate::names::{ChannelName, Generation, RepositoryName};
use crate::tree::{
    ContentId, Entry, FederationId, Head, Kind, Mode, Mtime, Signature, Snapshot, SnapshotBuilder, SnapshotId,
    TreePath, Word,
};

const ALL: Keep = Keep { generations: 64, hours: 0, most: 64 };
pub(super) const NEWEST: Keep = Keep { generations: 1, hours: 0, most: 64 };

fn repository() -> RepositoryName {
    "gentoo".parse().unwrap()
}

fn channel(name: &str) -> ChannelName {
    name.parse().unwrap()
}

pub(super) fn store(dir: &TempDir) -> Store {
    Store::open(dir.path(), Access::Create).unwrap()
}

/// Files of one directory with what they hold, in tree order.
pub(super) fn snapshot(files: &[(&str, &[u8])]) -> Snapshot {
    let mut builder = SnapshotBuilder::new(Word::new("gentoo").unwrap());
    let mtime = Mtime::new(1, 0).unwrap();
    let mode = Mode::new(0o644).unwrap();
    builder.push(Entry { path: TreePath::ROOT, mtime, kind: Kind::Directory { mode } }).unwrap();
    for (path, bytes) in files {
        let content = &ContentId::of(bytes);
        let kind = Kind::File { mode, size: bytes.len() as u64, content, group: None };
        builder.push(Entry { path: TreePath::new(path.as_bytes()).unwrap(), mtime, kind }).unwrap();
    }
    builder.finish().unwrap()
}

pub(super) fn put(ingest: &mut Ingest<'_>, bytes: &[u8]) {
    let (id, xxh128) = (ContentId::of(bytes), xxh3_128(bytes).to_le_bytes());
    if bytes.len() as u64 <= LARGE {
        ingest.put(&[NewContent { id, xxh128, bytes }]).unwrap();
    } else {
        let mut incoming = ingest.landing().create().unwrap();
        incoming.write(bytes).unwrap();
        ingest.put_large(&id, &xxh128, bytes.len() as u64, incoming).unwrap();
    }
}

fn head(name: &str, generation: u64, term: u64, snapshot: &Snapshot) -> NewHead {
    let head = Head {
        federation: FederationId::from_bytes([7; 64]),
        channel: Word::new(name).unwrap(),
        generation,
        snapshot: snapshot.id(),
        term,
        time: generation as i64,
    };
    NewHead { text: head.signed(Signature::from_bytes([9; 64])), source: Some(format!("stamp {generation}")) }
}

fn staged<'s>(store: &'s mut Store, files: &[(&str, &[u8])], previous: Option<&Located>) -> (Staged<'s>, Snapshot) {
    let mut ingest = store.begin(&repository()).unwrap();
    files.iter().for_each(|(_, bytes)| put(&mut ingest, bytes));
    let snapshot = snapshot(files);
    (ingest.stage(&snapshot, previous).unwrap(), snapshot)
}

pub(super) fn publish(
    store: &mut Store,
    generation: u64,
    files: &[(&str, &[u8])],
    previous: Option<&Located>,
) -> Located {
    let (staged, snapshot) = staged(store, files, previous);
    let located = staged.located().next().unwrap().clone();
    staged.publish(vec![head("gentoo/full", generation, 1, &snapshot)], None).unwrap();
    located
}

/// What a reader finds of each file of a snapshot, in order.
pub(super) fn served(store: &Store, id: &SnapshotId) -> Vec<(String, Option<Vec<u8>>)> {
    let mut reader = store.reader().unwrap();
    let snapshot = reader.snapshot(id).unwrap();
    let located = reader.locate(&snapshot, None).unwrap();
    let mut found = Vec::new();
    for (index, entry) in snapshot.iter().enumerate() {
        let Kind::File { content, .. } = entry.kind else { continue };
        let mut bytes = None;
        match located.place(index).map(|place| place.home) {
            Some(Home::Row(row)) => drop(reader.read(&[row], &mut |_, read| bytes = Some(read.to_vec())).unwrap()),
            _ => bytes = reader.content(content, 1 << 30).unwrap(),
        }
        found.push((entry.path.to_string(), bytes));
    }
    found
}

pub(super) fn whole(files: &[(&str, &[u8])]) -> Vec<(String, Option<Vec<u8>>)> {
    files.iter().map(|(path, bytes)| (path.to_string(), Some(bytes.to_vec()))).collect()
}

pub(super) fn large(byte: u8) -> Vec<u8> {
    vec![byte; (1 << 20) + 1]
}

fn large_files(dir: &Path) -> HashSet<String> {
    let fans = std::fs::read_dir(dir.join("large")).unwrap().map(|entry| entry.unwrap().path());
    let files = fans.filter(|path| path.is_dir()).flat_map(|fan| std::fs::read_dir(fan).unwrap());
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_is_published_is_there_after_a_new_start() {
    let dir = TempDir::new().unwrap();
    let big = large(1);
    let files: &[(&str, &[u8])] = &[("a", b"one"), ("b", b""), ("c", &big), ("d", b"one")];
    let id = publish(&mut store(&dir), 1, files, None).snapshot().id();
    let store = store(&dir);
    let heads = store.heads().unwrap();
    let [published] = heads.as_slice() else { panic!("{heads:?}") };
    assert_eq!((published.snapshot, published.generation, published.term), (id, Generation::FIRST, 1));
    assert_eq!((published.entries, published.bytes), (5, 6 + big.len() as u64));
    assert_eq!(published.changes, Changes { added: 5, removed: 0, changed: 0 });
    assert_eq!(published.source.as_deref(), Some("stamp 1"));
    assert_eq!(Head::parse(&published.head).unwrap().0.channel.as_str(), "gentoo/full");
    assert_eq!(served(&store, &id), whole(files));
    assert_eq!(large_files(dir.path()), HashSet::from([ContentId::of(&big).to_string()]));
}

#[test]
fn equal_bytes_are_stored_once() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let mut ingest = store.begin(&repository()).unwrap();
    for bytes in [b"one".as_slice(), b"one", b"two", &large(1), &large(1)] {
        put(&mut ingest, bytes);
    }
    assert_eq!(ingest.stored(), Stored { contents: 3, bytes: 7 + LARGE });
    assert!(ingest.has(&ContentId::of(b"two")).unwrap());
    assert!(!ingest.has(&ContentId::of(b"three")).unwrap());
}

#[test]
fn a_large_content_is_not_taken_as_a_row() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let bytes = large(1);
    let new = NewContent { id: ContentId::of(&bytes), xxh128: [0; 16], bytes: &bytes };
    let refused = store.begin(&repository()).unwrap().put(&[new]);
    assert!(matches!(refused, Err(StoreError::TooLarge(_))), "{refused:?}");
}

#[test]
fn a_snapshot_is_not_staged_without_its_contents() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let before = publish(&mut store, 1, &[("a", b"one")], None);
    for previous in [None, Some(&before)] {
        let mut ingest = store.begin(&repository()).unwrap();
        put(&mut ingest, b"two");
        let refused = ingest.stage(&snapshot(&[("a", b"one"), ("b", b"two"), ("c", b"three")]), previous);
        let Err(StoreError::Missing { count: 1, example, .. }) = &refused else { panic!("{refused:?}") };
        assert_eq!(example, "c");
    }
}

#[test]
fn what_is_discarded_or_forgotten_leaves_the_heads_alone() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let first = publish(&mut store, 1, &[("a", b"one")], None).snapshot().id();
    let (discarded, gone) = staged(&mut store, &[("a", b"two")], None);
    discarded.discard().unwrap();
    assert!(matches!(store.snapshot(&gone.id()), Err(StoreError::UnknownSnapshot(_))));
    drop(staged(&mut store, &[("a", b"three")], None).0.more());
    let (discarded, same) = staged(&mut store, &[("a", b"one")], None);
    discarded.discard().unwrap();
    assert_eq!(same.id(), first);
    assert_eq!(store.heads().unwrap().iter().map(|head| head.snapshot).collect::<Vec<_>>(), [first]);
    assert_eq!(served(&store, &first), whole(&[("a", b"one")]));
    let swept = store.sweep(ALL, 0).unwrap();
    assert_eq!(swept, Swept { contents: 2, bytes: 8, ..Swept::default() });
    assert_eq!(served(&store, &first), whole(&[("a", b"one")]));
}

#[test]
fn all_heads_move_or_none() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let full = snapshot(&[("a", b"one"), ("b", b"two")]);
    let masked = snapshot(&[("a", b"one")]);
    let both = |store: &mut Store, generations: [u64; 2]| {
        let mut ingest = store.begin(&repository()).unwrap();
        put(&mut ingest, b"one");
        put(&mut ingest, b"two");
        let staged = ingest.stage(&full, None).unwrap().more().stage(&masked, None).unwrap();
        let heads =
            vec![head("gentoo/full", generations[0], 1, &full), head("gentoo/production", generations[1], 1, &masked)];
        staged.publish(heads, None).map(|published| published.len())
    };
    assert_eq!(both(&mut store, [1, 5]).unwrap(), 2);
    let refused = both(&mut store, [2, 5]);
    assert!(matches!(refused, Err(StoreError::StaleHead { generation: 5, at: 5, .. })), "{refused:?}");
    let at = |store: &Store| store.heads().unwrap().iter().map(|head| head.generation.get()).collect::<Vec<_>>();
    assert_eq!(at(&store), [1, 5], "in order of the names, neither moved");
    assert_eq!(both(&mut store, [2, 6]).unwrap(), 2);
    assert_eq!(at(&store), [2, 6]);
    let numbers = store.history(&channel("gentoo/production")).unwrap();
    assert_eq!(numbers.iter().map(|publication| publication.generation.get()).collect::<Vec<_>>(), [6, 5]);
}

#[test]
fn a_later_term_may_count_lower() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let terms = [(9, 1, true), (9, 1, false), (8, 1, false), (3, 2, true), (10, 1, false), (4, 2, true)];
    for (generation, term, goes) in terms {
        let (staged, snapshot) = staged(&mut store, &[("a", b"one")], None);
        let published = staged.publish(vec![head("gentoo/full", generation, term, &snapshot)], None);
        assert_eq!(published.is_ok(), goes, "{generation} of {term}: {published:?}");
    }
}

#[test]
fn a_head_of_something_else_is_not_published() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let other = snapshot(&[("b", b"one")]);
    let (first, _) = staged(&mut store, &[("a", b"one")], None);
    let refused = first.publish(vec![head("gentoo/full", 1, 1, &other)], None);
    assert!(matches!(refused, Err(StoreError::NotStaged { .. })), "{refused:?}");
    let (second, _) = staged(&mut store, &[("a", b"one")], None);
    let refused = second.publish(vec![NewHead { text: b"headwater term 1\n".to_vec(), source: None }], None);
    assert!(matches!(refused, Err(StoreError::BadHead(_))), "{refused:?}");
    assert_eq!(store.heads().unwrap(), []);
}

#[test]
fn a_rejected_snapshot_is_kept_until_the_next_try() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let (refused, bad) = staged(&mut store, &[("a", b"torn")], None);
    refused.reject("Manifest mismatch").unwrap();
    store.sweep(NEWEST, 0).unwrap();
    let report = Rejected { repository: repository(), snapshot: bad.id(), report: "Manifest mismatch".into() };
    assert_eq!(store.rejected().unwrap(), [report]);
    assert_eq!(served(&store, &bad.id()), whole(&[("a", b"torn")]));
    assert_eq!(store.heads().unwrap(), []);
    publish(&mut store, 1, &[("a", b"sound")], None);
    assert_eq!(store.rejected().unwrap(), []);
    assert_eq!(store.sweep(NEWEST, 0).unwrap(), Swept { contents: 1, bytes: 4, ..Swept::default() });
}

#[test]
fn a_sweep_frees_what_nobody_keeps_or_pins() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let (one, two, three) = (large(1), large(2), large(3));
    let first = publish(&mut store, 1, &[("a", b"one"), ("b", &one), ("c", b"stays")], None);
    let second = publish(&mut store, 2, &[("a", b"two"), ("b", &two), ("c", b"stays")], Some(&first));
    let third = publish(&mut store, 3, &[("a", b"three"), ("b", &three), ("c", b"stays")], Some(&second));
    let pin = store.pins().pin(second.snapshot().id()).unwrap();
    assert_eq!(
        store.sweep(NEWEST, 100).unwrap(),
        Swept {
            dropped: vec![(channel("gentoo/full"), Generation::FIRST)],
            contents: 2,
            bytes: 3 + one.len() as u64,
            damaged: vec![],
        }
    );
    assert!(matches!(store.snapshot(&first.snapshot().id()), Err(StoreError::UnknownSnapshot(_))));
    assert_eq!(served(&store, &second.snapshot().id()), whole(&[("a", b"two"), ("b", &two), ("c", b"stays")]));
    let Some(Place { home: Home::Row(stale), .. }) = first.place(1) else { panic!("{:?}", first.place(1)) };
    let missing = store.reader().unwrap().read(&[stale], &mut |_, bytes| panic!("{bytes:?}")).unwrap();
    assert_eq!(missing, [0], "a stale row number finds nothing");
    drop(pin);
    assert_eq!(store.sweep(NEWEST, 100).unwrap().dropped.len(), 1);
    assert_eq!(large_files(dir.path()), HashSet::from([ContentId::of(&three).to_string()]));
    assert_eq!(served(&store, &third.snapshot().id()), whole(&[("a", b"three"), ("b", &three), ("c", b"stays")]));
    let kept: Vec<Kept> = store.history(&channel("gentoo/full")).unwrap().iter().map(|old| old.kept).collect();
    assert_eq!(kept, [Kept::Yes, Kept::Swept, Kept::Swept]);
    let again = publish(&mut store, 4, &[("a", b"one")], Some(&third));
    assert!(again.place(1).is_some_and(|place| place.home != Home::Row(stale)), "numbers are not used again");
}

#[test]
fn young_generations_outlive_their_number() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    for generation in 1..=4u8 {
        publish(&mut store, u64::from(generation), &[("a", &[generation])], None);
    }
    let keep = Keep { generations: 1, hours: 1, most: 64 };
    assert_eq!(store.sweep(keep, 3602).unwrap().dropped.len(), 1, "generation 1 was published at second 1");
}

#[test]
fn snapshots_load_through_chains_of_deltas_and_after_a_sweep() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let names: Vec<String> = (100..200).map(|number| number.to_string()).collect();
    let bytes: Vec<Vec<u8>> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    let mut files: Vec<(&str, &[u8])> = names.iter().zip(&bytes).map(|(name, bytes)| (&**name, &**bytes)).collect();
    let mut previous: Option<Located> = None;
    let mut expected = Vec::new();
    let contents: Vec<Vec<u8>> = (0..20u8).map(|byte| vec![byte]).collect();
    for (generation, bytes) in (1..).zip(&contents) {
        files[0].1 = bytes;
        let located = publish(&mut store, generation, &files, previous.as_ref());
        assert_eq!(located.missing().count(), 0);
        expected.push((located.snapshot().id(), whole(&files)));
        previous = Some(located);
    }
    let depths: Vec<i64> = expected.iter().map(|(id, _)| snapshots::depth(&store.db, id).unwrap().unwrap()).collect();
    assert_eq!(depths[..18], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0]);
    let check = |store: &Store, from: usize| {
        for (id, files) in &expected[from..] {
            assert_eq!(&served(store, id), files, "{id:?}");
        }
    };
    check(&store, 0);
    assert_eq!(store.sweep(Keep { generations: 8, hours: 0, most: 64 }, 100).unwrap().dropped.len(), 12);
    check(&store, 12);
    let head = snapshots::depth(&store.db, &expected[19].0).unwrap();
    assert!(head.is_some_and(|depth| depth <= 2), "{head:?}");
    drop(store);
    check(&super::Store::open(dir.path(), Access::Existing).unwrap(), 12);
}

#[test]
fn a_second_writer_is_refused_by_name() {
    let dir = TempDir::new().unwrap();
    let first = store(&dir);
    let refused = Store::open(dir.path(), Access::Existing);
    let Err(StoreError::Locked { pid: Some(pid), .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(pid, std::process::id());
    drop(first);
    assert!(Store::open(dir.path(), Access::Existing).is_ok());
}

#[test]
fn a_directory_without_a_store_is_not_made_one_by_mistake() {
    let dir = TempDir::new().unwrap();
    let refused = Store::open(dir.path(), Access::Existing);
    assert!(matches!(refused, Err(StoreError::NoStore { .. })), "{refused:?}");
    assert!(Reader::open(dir.path()).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn databases_of_others_and_of_later_releases_are_refused() {
    let dir = TempDir::new().unwrap();
    drop(store(&dir));
    let path = dir.path().join("headwater.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let newer = Store::open(dir.path(), Access::Existing);
    assert!(matches!(newer, Err(StoreError::Newer { found: 99, .. })), "{newer:?}");
    std::fs::remove_file(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    let foreign = Store::open(dir.path(), Access::Existing);
    assert!(matches!(foreign, Err(StoreError::Foreign { .. })), "{foreign:?}");
}

#[test]
fn missing_room_is_told_in_numbers() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir);
    let space = store.space().unwrap();
    assert!(space.free <= space.total && space.used > 0, "{space:?}");
    store.require(Need::default()).unwrap();
    let asked = 1 << 60;
    let refused = store.require(Need { rows: 0, large: asked });
    let Err(StoreError::Space { free, needed, missing, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!((needed, missing), (asked + RESERVE, asked + RESERVE - free));
}

#[test]
fn a_bad_content_is_set_aside_and_mended_in_place() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let big = large(1);
    let files: &[(&str, &[u8])] = &[("a", b"one"), ("b", &big), ("c", b"two")];
    let located = publish(&mut store, 1, files, None);
    let id = located.snapshot().id();
    let [one, two, big_id] = [ContentId::of(b"one"), ContentId::of(b"two"), ContentId::of(&big)];
    assert_eq!(store.quarantine(&one, "a client complained").unwrap(), Verdict::Sound);
    store.db.execute("UPDATE bytes SET bytes = x'00' WHERE bytes = ?1", [b"one"]).unwrap();
    std::fs::write(store.large.path(&big_id), b"short").unwrap();
    for bad in [&one, &big_id] {
        assert_eq!(store.quarantine(bad, "a client complained").unwrap(), Verdict::SetAside);
        assert_eq!(store.quarantine(bad, "again").unwrap(), Verdict::Already);
    }
    assert_eq!(store.quarantine(&ContentId::of(b"no"), "").unwrap(), Verdict::Unknown);
    let aside = dir.path().join("quarantine");
    assert_eq!(std::fs::read(aside.join(one.to_string())).unwrap(), [0]);
    assert_eq!(std::fs::read(aside.join(big_id.to_string())).unwrap(), b"short");
    assert_eq!(std::fs::read(aside.join(format!("{one}.reason"))).unwrap(), b"a client complained\n");
    let reason = || "a client complained".to_owned();
    let bad =
        [Bad { id: one, size: 3, reason: reason() }, Bad { id: big_id, size: big.len() as u64, reason: reason() }];
    assert_eq!(store.bad().unwrap(), bad);
    let served_now = served(&store, &id);
    assert_eq!(served_now, [("a".into(), None), ("b".into(), None), ("c".into(), Some(b"two".to_vec()))]);
    let (next, _) = staged(&mut store, &[("a", b"two"), ("c", b"two")], Some(&located));
    assert_eq!(next.changes(&snapshot(&[("a", b"two"), ("c", b"two")]).id()).unwrap().changed, 1);
    next.discard().unwrap();
    let mut ingest = store.begin(&repository()).unwrap();
    assert!(!ingest.has(&one).unwrap() && ingest.has(&two).unwrap());
    put(&mut ingest, b"one");
    put(&mut ingest, &big);
    drop(ingest);
    assert_eq!(store.bad().unwrap(), []);
    assert_eq!(served(&store, &id), whole(files));
    let mended = store.locate(located.snapshot(), None).unwrap();
    assert_ne!(mended.place(1), located.place(1), "the old number stands for the bad bytes");
    assert_eq!(mended.place(3), located.place(3));
}

#[test]
fn a_reader_finds_neighbours_doubles_and_gaps() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let bytes: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte; usize::from(byte) * 40]).collect();
    let names: Vec<String> = (100..356).map(|number| number.to_string()).collect();
    let files: Vec<(&str, &[u8])> = names.iter().zip(&bytes).map(|(name, bytes)| (&**name, &**bytes)).collect();
    let located = publish(&mut store, 1, &files, None);
    let row = |index: usize| match located.place(index + 1) {
        Some(Place { home: Home::Row(row), xxh128 }) => {
            assert_eq!(xxh128, xxh3_128(&bytes[index]).to_le_bytes());
            row
        }
        other => panic!("{other:?}"),
    };
    let mut reader = store.reader().unwrap();
    for wanted in [vec![], vec![7], vec![3, 2, 2, 200, 4, 2, 255, 0], (0..256).rev().collect()] {
        let rows: Vec<Row> = wanted.iter().map(|&index| row(index)).collect();
        let mut found = vec![None; wanted.len()];
        let missing = reader.read(&rows, &mut |at, read| found[at] = Some(read.to_vec())).unwrap();
        assert_eq!(missing, Vec::<usize>::new());
        let expected: Vec<_> = wanted.iter().map(|&index| Some(bytes[index].clone())).collect();
        assert_eq!(found, expected);
    }
    let rows = [Row(1 << 40), row(9), Row(1 << 39)];
    let mut found = Vec::new();
    let mut missing = reader.read(&rows, &mut |at, _| found.push(at)).unwrap();
    missing.sort_unstable();
    assert_eq!((missing, found), (vec![0, 2], vec![1]));
}

#[test]
fn the_witness_goes_with_the_publication() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let (first, snapshot) = staged(&mut store, &[("a", b"one")], None);
    let mark = Mark { inode: 7, ctime: -5, device: u64::MAX };
    let witness = Witness { source: b"/\xff".to_vec(), snapshot: snapshot.id(), marks: vec![Mark::default(), mark] };
    first.publish(vec![head("gentoo/full", 1, 1, &snapshot)], Some(&witness)).unwrap();
    assert_eq!(store.witness(&repository()).unwrap(), Some(witness));
    assert_eq!(store.witness(&"other".parse().unwrap()).unwrap(), None);
    publish(&mut store, 2, &[("a", b"two")], None);
    store.sweep(NEWEST, 100).unwrap();
    assert_eq!(store.witness(&repository()).unwrap(), None, "its snapshot is gone");
}

#[test]
fn what_a_dead_process_left_is_cleared_away() {
    let dir = TempDir::new().unwrap();
    let mut first = store(&dir);
    publish(&mut first, 1, &[("a", b"one")], None);
    drop(first);
    std::fs::write(dir.path().join("large/incoming-7"), b"half").unwrap();
    let orphan = ContentId::of(b"orphan").to_string();
    std::fs::create_dir_all(dir.path().join("large").join(&orphan[..2])).unwrap();
    std::fs::write(dir.path().join("large").join(&orphan[..2]).join(&orphan), b"orphan").unwrap();
    let mut store = store(&dir);
    assert!(!dir.path().join("large/incoming-7").exists());
    store.sweep(NEWEST, 0).unwrap();
    assert_eq!(large_files(dir.path()), HashSet::new());
}

#[test]
fn the_nodes_state_is_kept() {
    let dir = TempDir::new().unwrap();
    let mut first = store(&dir);
    assert_eq!(first.state("term").unwrap(), None);
    first.set_state("term", b"1").unwrap();
    first.set_state("term", b"2").unwrap();
    drop(first);
    assert_eq!(store(&dir).state("term").unwrap().as_deref(), Some(b"2".as_slice()));
}
