//! Contents that are bad, that only seem so, and that lie where the database itself is damaged.

use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::tests::{NEWEST, large, publish, put, served, store, whole};
use super::*;
use crate::tree::ContentId;

fn large_file(dir: &Path, bytes: &[u8]) -> PathBuf {
    let name = ContentId::of(bytes).to_string();
    dir.join("large").join(&name[..2]).join(name)
}

/// Bytes that lie on several pages, and that no other bytes look like.
fn long(seed: u64) -> Vec<u8> {
    (0..12_500u64).flat_map(|at| (at ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect()
}

/// Has the first page of `bytes` lead to no other page, as one flipped sector would.
fn tear(dir: &Path, bytes: &[u8]) {
    let path = dir.join("headwater.db");
    let database = fs::read(&path).unwrap();
    let open = File::options().write(true).open(&path).unwrap();
    // A page that was split has its old cells still, in what is free of it.
    for (at, _) in database.windows(64).enumerate().filter(|(_, window)| *window == &bytes[..64]) {
        let same = database[at..].iter().zip(bytes).take_while(|(a, b)| a == b).count();
        assert!((1000..16_384).contains(&same), "what is on the first page ends there: {same}");
        open.write_all_at(&[0xff; 4], u64::try_from(at + same).unwrap()).unwrap();
    }
}

#[test]
fn what_cannot_be_read_at_this_moment_is_not_bad() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let big = large(1);
    let files: &[(&str, &[u8])] = &[("a", b"one"), ("b", &big)];
    let id = publish(&mut store, 1, files, None).snapshot().id();
    let [one, big_id] = [ContentId::of(b"one"), ContentId::of(&big)];
    let (path, away) = (large_file(dir.path(), &big), dir.path().join("away"));

    fs::rename(&path, &away).unwrap();
    symlink(&path, &path).unwrap();
    assert!(store.quarantine(&big_id, "it cannot be opened").is_err());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(store.quarantine(&big_id, "it cannot be read").is_err());
    fs::remove_dir(&path).unwrap();
    fs::rename(&away, &path).unwrap();

    store.db.execute_batch("ALTER TABLE bytes RENAME TO hidden").unwrap();
    assert!(store.quarantine(&one, "it cannot be asked for").is_err());
    store.db.execute_batch("ALTER TABLE hidden RENAME TO bytes").unwrap();

    assert_eq!(store.bad().unwrap(), []);
    for content in [&one, &big_id] {
        assert_eq!(store.quarantine(content, "again").unwrap(), Verdict::Sound);
    }
    assert_eq!(served(&store, &id), whole(files));
}

#[test]
fn a_bad_file_is_copied_where_it_cannot_be_linked() {
    let Ok(elsewhere) = TempDir::new_in("/dev/shm") else { return };
    let dir = TempDir::new().unwrap();
    if fs::metadata(elsewhere.path()).unwrap().dev() == fs::metadata(dir.path()).unwrap().dev() {
        return;
    }
    let mut store = store(&dir);
    fs::remove_dir(dir.path().join("quarantine")).unwrap();
    symlink(elsewhere.path(), dir.path().join("quarantine")).unwrap();
    let mut big = large(1);
    publish(&mut store, 1, &[("a", &big)], None);
    let (id, path) = (ContentId::of(&big), large_file(dir.path(), &big));
    big[700_000] ^= 1;
    fs::write(&path, &big).unwrap();
    assert_eq!(store.quarantine(&id, "a client complained").unwrap(), Verdict::SetAside);
    assert!(!path.exists());
    assert!(fs::read(elsewhere.path().join(id.to_string())).unwrap() == big, "its only copy");
}

#[test]
fn a_bad_file_that_cannot_be_removed_keeps_nobody_out() {
    let dir = TempDir::new().unwrap();
    let mut first = store(&dir);
    let big = large(1);
    publish(&mut first, 1, &[("a", &big)], None);
    let path = large_file(dir.path(), &big);
    fs::remove_file(&path).unwrap();
    assert_eq!(first.quarantine(&ContentId::of(&big), "it is gone").unwrap(), Verdict::SetAside);
    drop(first);
    fs::create_dir(&path).unwrap();
    File::create(path.join("in the way")).unwrap().write_all(b"something").unwrap();
    assert_eq!(store(&dir).bad().unwrap().len(), 1);
    assert!(path.exists());
}

#[test]
fn a_content_on_a_damaged_page_is_set_aside_mended_and_in_nobodys_way() {
    let dir = TempDir::new().unwrap();
    let mut first = store(&dir);
    let (torn, sound) = (long(1), long(2));
    let files: &[(&str, &[u8])] = &[("a", &sound), ("b", &torn), ("c", b"small")];
    let before = publish(&mut first, 1, files, None);
    first.checkpoint().unwrap();
    drop(first);
    tear(dir.path(), &torn);

    let mut again = store(&dir);
    let bad = ContentId::of(&torn);
    let mut found = Vec::new();
    let mut told = |seen| {
        found.extend(match seen {
            Scrubbed::Bad(bad) => Some(bad.id),
            Scrubbed::Read { .. } => None,
        });
        ControlFlow::Continue(())
    };
    again.reader().unwrap().scrub(&mut told).unwrap();
    assert_eq!(found, [bad], "a scrub names it, and nothing else");
    assert_ne!(again.reader().unwrap().check_structure().unwrap(), Vec::<String>::new());
    assert_eq!(again.quarantine(&bad, "it cannot be read").unwrap(), Verdict::SetAside);
    assert_eq!(again.quarantine(&bad, "it cannot be read").unwrap(), Verdict::Already);
    assert!(dir.path().join("quarantine").join(format!("{bad}.reason")).exists());
    drop(again);
    let mut again = store(&dir);
    assert_eq!(again.bad().unwrap().iter().map(|bad| bad.id).collect::<Vec<_>>(), [bad]);
    let id = before.snapshot().id();
    let others = [("a".to_owned(), Some(sound.clone())), ("b".into(), None), ("c".into(), Some(b"small".to_vec()))];
    assert_eq!(served(&again, &id), others);

    let mut ingest = again.begin(&"gentoo".parse().unwrap()).unwrap();
    put(&mut ingest, &torn);
    drop(ingest);
    assert_eq!(again.bad().unwrap(), []);
    assert_eq!(served(&again, &id), whole(files));
    let place = |store: &Store| store.locate(before.snapshot(), None).unwrap().place(2).unwrap();
    assert_ne!(Some(place(&again)), before.place(2), "its old number stands for what cannot be read");
}

#[test]
fn a_sweep_goes_on_where_a_content_cannot_be_deleted() {
    let dir = TempDir::new().unwrap();
    let mut first = store(&dir);
    let contents: Vec<Vec<u8>> = (1..=9).map(long).collect();
    let names: Vec<String> = (1..=9).map(|number| number.to_string()).collect();
    let files: Vec<(&str, &[u8])> = names.iter().zip(&contents).map(|(name, bytes)| (&**name, &**bytes)).collect();
    publish(&mut first, 1, &files, None);
    first.checkpoint().unwrap();
    drop(first);
    tear(dir.path(), &contents[4]);

    let mut again = store(&dir);
    publish(&mut again, 2, &[("other", b"content")], None);
    let swept = again.sweep(NEWEST, 100).unwrap();
    // Neighbours on the same page as the torn one may have to stay as well.
    assert!((5..9).contains(&swept.contents), "{swept:?}");
    let pages: i64 = again.db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    assert!(pages < 100, "nothing followed the torn page beyond the end: {pages}");
    drop(again);
    let mut again = store(&dir);
    let third = publish(&mut again, 3, &files[..4], None).snapshot().id();
    assert_eq!(served(&again, &third), whole(&files[..4]));
}

#[test]
fn a_large_content_whose_file_is_gone_is_taken_in_again_and_not_published_without_it() {
    let dir = TempDir::new().unwrap();
    let mut store = store(&dir);
    let (old, lost, short) = (large(1), large(2), large(3));
    let before: &[(&str, &[u8])] = &[("a", &old), ("b", &lost), ("c", &short)];
    publish(&mut store, 1, before, None);
    publish(&mut store, 2, &[("a", &old)], None);
    fs::remove_file(large_file(dir.path(), &lost)).unwrap();
    fs::write(large_file(dir.path(), &short), b"half of it").unwrap();

    let ingest = store.begin(&"gentoo".parse().unwrap()).unwrap();
    let has = |bytes: &[u8]| ingest.has(&ContentId::of(bytes)).unwrap();
    assert_eq!([has(&old), has(&lost), has(&short)], [true, false, false]);
    let refused = ingest.stage(&super::tests::snapshot(before), None);
    assert!(matches!(&refused, Err(StoreError::Missing { count: 2, example, .. }) if example == "b"), "{refused:?}");
    drop(refused);

    let third = publish(&mut store, 3, before, None).snapshot().id();
    assert_eq!(served(&store, &third), whole(before), "it was taken in again");
    // What a published generation has lost does not hold up the next one.
    fs::remove_file(large_file(dir.path(), &lost)).unwrap();
    let ingest = store.begin(&"gentoo".parse().unwrap()).unwrap();
    let previous = ingest.store.locate(&super::tests::snapshot(before), None).unwrap();
    let next: &[(&str, &[u8])] = &[("a", &lost), ("b", &lost), ("c", &short)];
    let refused = ingest.stage(&super::tests::snapshot(next), Some(&previous));
    assert!(matches!(&refused, Err(StoreError::Missing { count: 1, example, .. }) if example == "a"), "{refused:?}");
}
