//! Imports of real directories: what comes out, what is not read again, and what is refused.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::*;
use crate::store::{Access, LARGE, Located, NewHead, Store, Witness};
use crate::tree::{ContentId, FederationId, Head, Kind, Mtime, Signature, Snapshot, TreePath, Word};

const REPOSITORY: &str = "gentoo";

/// One byte more than a row takes.
const OVER: usize = (1 << 20) + 1;

/// Long after every file here was made, so that change times are trusted.
const LATER: i64 = 1 << 33;

struct Place {
    dir: TempDir,
    store: Store,
    generation: Cell<u64>,
}

/// What was published, and what its import saw.
struct Published {
    located: Located,
    witness: Witness,
}

impl Published {
    fn snapshot(&self) -> &Snapshot {
        self.located.snapshot()
    }
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("source")).unwrap();
        let store = Store::open(&dir.path().join("data"), Access::Create).unwrap();
        Self { dir, store, generation: Cell::new(1) }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join("source").join(below)
    }

    fn write(&self, below: &str, bytes: &[u8]) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn import(&mut self, with: With<'_>) -> Result<Imported, ImportError> {
        let source = self.path("");
        let mut ingest = self.store.begin(&REPOSITORY.parse().unwrap()).unwrap();
        let order = ImportOrder {
            source: &source,
            leave_out: &with.leave_out,
            trust: with.trust,
            previous: with.previous.map(Published::snapshot),
            witness: with.previous.map(|previous| &previous.witness),
            threads: NonZeroUsize::new(3),
            progress: with.progress,
            wanted: with.wanted,
            now: with.now,
        };
        import(&order, &mut ingest)
    }

    fn publish(&mut self, imported: &Imported) -> Published {
        let snapshot = imported.snapshot().unwrap();
        let witness = imported.witness(&snapshot);
        let staged = self.store.begin(&REPOSITORY.parse().unwrap()).unwrap().stage(&snapshot, None).unwrap();
        let located = staged.located().next().unwrap().clone();
        let generation = self.generation.replace(self.generation.get() + 1);
        let (federation, channel) = (FederationId::from_bytes([1; 64]), Word::new("gentoo/full").unwrap());
        let head = Head { federation, channel, generation, snapshot: snapshot.id(), term: 1, time: 1 };
        let text = head.signed(Signature::from_bytes([2; 64]));
        staged.publish(vec![NewHead { text, source: None }], Some(&witness)).unwrap();
        Published { located, witness: self.store.witness(&REPOSITORY.parse().unwrap()).unwrap().unwrap() }
    }
}

struct With<'a> {
    leave_out: LeaveOut,
    trust: Trust,
    previous: Option<&'a Published>,
    progress: Watcher<'a>,
    wanted: &'a (dyn Fn() -> bool + Sync),
    now: i64,
}

impl Default for With<'_> {
    fn default() -> Self {
        let (leave_out, trust) = (LeaveOut::nothing(), Trust::Witness);
        Self { leave_out, trust, previous: None, progress: &|_| {}, wanted: &|| true, now: LATER }
    }
}

fn after(previous: &Published) -> With<'_> {
    With { previous: Some(previous), ..With::default() }
}

fn path(text: &str) -> TreePath<'_> {
    TreePath::new(text.as_bytes()).unwrap()
}

/// Each entry as one word: its path, and what it is.
fn listing(snapshot: &Snapshot) -> Vec<String> {
    let entry = |entry: crate::tree::Entry<'_>| match entry.kind {
        Kind::Directory { mode } => format!("{}/ {:o}", entry.path, mode.bits()),
        Kind::File { mode, size, group: None, .. } => format!("{} {:o} {size}", entry.path, mode.bits()),
        Kind::File { group: Some(group), .. } => format!("{} group {group}", entry.path),
        Kind::Symlink { target } => format!("{} -> {}", entry.path, String::from_utf8_lossy(target)),
    };
    snapshot.iter().map(entry).collect()
}

fn set_mtime(path: &Path, seconds: u64) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    File::open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_directory_becomes_a_snapshot_in_tree_order() {
    let mut place = Place::new();
    place.write("a/x", b"in a");
    place.write("a-b", b"beside");
    place.write("a/b/c/deep", b"");
    place.write("large", &vec![5; OVER]);
    fs::set_permissions(place.path("a-b"), fs::Permissions::from_mode(0o4751)).unwrap();
    for directory in ["", "a", "a/b", "a/b/c"] {
        fs::set_permissions(place.path(directory), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for file in ["a/x", "a/b/c/deep", "large"] {
        fs::set_permissions(place.path(file), fs::Permissions::from_mode(0o644)).unwrap();
    }
    set_mtime(&place.path("a-b"), 1_783_123_201);
    symlink("../dangling target", place.path("link")).unwrap();
    symlink("a", place.path("to-directory")).unwrap();
    let imported = place.import(With::default()).unwrap();
    let snapshot = imported.snapshot().unwrap();
    assert_eq!(
        listing(&snapshot),
        [
            "./ 755",
            "a/ 755",
            "a/b/ 755",
            "a/b/c/ 755",
            "a/b/c/deep 644 0",
            "a/x 644 4",
            "a-b 4751 6",
            "large 644 1048577",
            "link -> ../dangling target",
            "to-directory -> a",
        ]
    );
    let entry = snapshot.entry(snapshot.find(path("a-b")).unwrap()).unwrap();
    assert_eq!(entry.mtime, Mtime::new(1_783_123_201, 0).unwrap());
    assert_eq!(imported.content(path("a/x")), Some(ContentId::of(b"in a")));
    assert_eq!(imported.progress(), Progress { seen: 9, to_read: 4, files_read: 4, bytes_read: 10 + LARGE + 1 });
    let published = place.publish(&imported);
    assert_eq!(published.located.missing().count(), 0);
    let read = place.store.content(&ContentId::of(&vec![5; OVER]), 1 << 30).unwrap().unwrap();
    assert_eq!(read, vec![5; OVER]);
}

#[test]
fn names_that_are_not_text_survive() {
    let mut place = Place::new();
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe \\\n\x01");
    fs::write(place.path("").join(name), b"x").unwrap();
    symlink(std::ffi::OsStr::from_bytes(b"\x80 \xc3"), place.path("link")).unwrap();
    let snapshot = place.import(With::default()).unwrap().snapshot().unwrap();
    let again = Snapshot::parse(&snapshot.to_text()).unwrap();
    assert_eq!(again.id(), snapshot.id());
    assert!(again.find(TreePath::new(name.as_bytes()).unwrap()).is_some());
    let link = again.entry(again.find(path("link")).unwrap()).unwrap();
    assert_eq!(link.kind, Kind::Symlink { target: b"\x80 \xc3" });
}

#[test]
fn what_is_no_file_is_left_out_and_listed() {
    let mut place = Place::new();
    place.write("file", b"x");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place.path("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    let _socket = UnixListener::bind(place.path("socket")).unwrap();
    let imported = place.import(With::default()).unwrap();
    let left_out: Vec<_> = imported.left_out().iter().map(|out| (out.path.to_string(), out.reason)).collect();
    assert_eq!(left_out, [("fifo".into(), LeftOutReason::Fifo), ("socket".into(), LeftOutReason::Socket)]);
    assert_eq!(imported.snapshot().unwrap().len(), 2);
}

#[test]
fn a_tree_is_taken_without_what_is_not_part_of_it() {
    let mut place = Place::new();
    for file in ["distfiles/a", "packages/b", "a/distfiles/c", "a/.git/d", ".git/e", "a/.gitignore", "profiles/f"] {
        place.write(file, file.as_bytes());
    }
    let names = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
    let leave_out = LeaveOut { at_root: names(&["distfiles", "packages"]), directories: names(&[".git"]) };
    let tree = With { leave_out, ..With::default() };
    let imported = place.import(tree).unwrap();
    let paths = |snapshot: &Snapshot| snapshot.iter().map(|entry| entry.path.to_string()).collect::<Vec<_>>();
    let kept = [".", "a", "a/.gitignore", "a/distfiles", "a/distfiles/c", "profiles", "profiles/f"];
    assert_eq!(paths(&imported.snapshot().unwrap()), kept);
    let left_out: Vec<_> = imported.left_out().iter().map(|out| out.path.to_string()).collect();
    assert_eq!(left_out, [".git", "a/.git", "distfiles", "packages"]);
    assert_eq!(place.import(With::default()).unwrap().snapshot().unwrap().len(), 15);
}

#[test]
fn names_of_one_file_are_a_group() {
    let mut place = Place::new();
    place.write("b/one", b"linked");
    place.write("a", b"alone");
    fs::hard_link(place.path("b/one"), place.path("c")).unwrap();
    fs::hard_link(place.path("b/one"), place.path("a2")).unwrap();
    place.write("outside", b"one name is elsewhere");
    fs::hard_link(place.path("outside"), place.dir.path().join("elsewhere")).unwrap();
    let imported = place.import(With::default()).unwrap();
    let names = |imported: &Imported| listing(&imported.snapshot().unwrap()).split_off(1);
    let [a, a2, _, one, c, outside] = names(&imported).try_into().unwrap();
    assert!(a.starts_with("a 6") && outside.starts_with("outside 6"), "{a} {outside}");
    assert_eq!([a2, one, c], ["a2 group 1", "b/one group 1", "c group 1"]);
    assert_eq!(imported.progress().files_read, 3, "one inode, one reading");
    let published = place.publish(&imported);
    let again = place.import(after(&published)).unwrap();
    assert_eq!((again.progress().files_read, again.unchanged()), (0, 5));
    assert!(!again.differs_from(published.snapshot(), &[]));
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let mut place = Place::new();
    for file in ["a", "b", "c", "d"] {
        place.write(file, b"same size");
    }
    let imported = place.import(With::default()).unwrap();
    let published = place.publish(&imported);
    let again = place.import(after(&published)).unwrap();
    assert_eq!((again.progress().files_read, again.unchanged()), (0, 4));
    assert!(!again.differs_from(published.snapshot(), &[]));
    // Other bytes, the same size, and the old time put back: only the change time tells.
    let old = fs::metadata(place.path("b")).unwrap().modified().unwrap();
    let mut file = File::options().write(true).open(place.path("b")).unwrap();
    file.write_all(b"size same").unwrap();
    file.set_modified(old).unwrap();
    let again = place.import(after(&published)).unwrap();
    assert_eq!((again.progress().files_read, again.unchanged()), (1, 3));
    assert!(again.differs_from(published.snapshot(), &[]));
    assert_eq!(again.content(path("b")), Some(ContentId::of(b"size same")));
    let all = place.import(With { trust: Trust::ReadAll, ..after(&published) }).unwrap();
    assert_eq!((all.progress().files_read, all.unchanged()), (4, 0));
}

#[test]
fn a_source_that_is_updated_by_renaming_meanwhile_is_refused() {
    let mut place = Place::new();
    place.write("dir/a", b"old");
    place.write("other", b"old");
    let (new, old) = (place.path("other"), place.path("dir/a"));
    let updated = |seen: Progress| {
        if seen.files_read > 0 {
            // The second time there is nothing to rename any more.
            let _ = fs::rename(&new, &old);
        }
    };
    let failed = place.import(With { progress: &updated, ..With::default() }).unwrap_err();
    let ImportError::Failed { failures, .. } = failed else { panic!("{failed}") };
    let named: Vec<&str> = failures.iter().map(|failure| failure.path.as_str()).collect();
    assert!(named.contains(&"dir") && named.contains(&"."), "{named:?}");
    assert!(failures.iter().all(|failure| matches!(failure.why, Why::Changed)));
    // At rest it is taken.
    place.import(With::default()).unwrap();
}

#[test]
fn a_stamp_that_is_a_hard_link_is_found_and_ignored() {
    let mut place = Place::new();
    place.write("metadata/stamp", b"stamp");
    fs::hard_link(place.path("metadata/stamp"), place.path("a")).unwrap();
    let imported = place.import(With::default()).unwrap();
    assert_eq!(imported.content(path("metadata/stamp")), Some(ContentId::of(b"stamp")));
    let mut ingest = place.store.begin(&REPOSITORY.parse().unwrap()).unwrap();
    let own = imported.with_file(&mut ingest, path("metadata/stamp"), b"ours", Mtime::default()).unwrap();
    drop(ingest);
    assert!(!imported.differs_from(&own, &[path("metadata/stamp")]));
}

#[test]
fn a_file_that_had_just_changed_is_read_again() {
    let mut place = Place::new();
    place.write("a", b"young");
    let changed = fs::metadata(place.path("a")).unwrap();
    let changed = std::os::unix::fs::MetadataExt::ctime(&changed);
    for (age, read) in [(0, 1), (1, 1), (3, 0)] {
        let imported = place.import(With { now: changed + age, ..With::default() }).unwrap();
        let published = place.publish(&imported);
        let again = place.import(after(&published)).unwrap();
        assert_eq!(again.progress().files_read, read, "changed {age} s before the import");
    }
}

#[test]
fn a_witness_of_another_directory_vouches_for_nothing() {
    let mut place = Place::new();
    place.write("a", b"x");
    let imported = place.import(With::default()).unwrap();
    let mut published = place.publish(&imported);
    published.witness.source = b"/elsewhere".to_vec();
    assert_eq!(place.import(after(&published)).unwrap().progress().files_read, 1);
}

#[test]
fn a_content_that_went_bad_is_read_again() {
    let mut place = Place::new();
    place.write("a", &vec![1; OVER]);
    place.write("b", b"small");
    let imported = place.import(With::default()).unwrap();
    let published = place.publish(&imported);
    let id = imported.content(path("a")).unwrap();
    let name = id.to_string();
    fs::write(place.dir.path().join("data/large").join(&name[..2]).join(&name), b"short").unwrap();
    place.store.quarantine(&id, "test").unwrap();
    let again = place.import(after(&published)).unwrap();
    assert_eq!(again.progress().files_read, 1);
    assert_eq!(place.store.bad().unwrap(), []);
    assert_eq!(place.store.content(&id, 1 << 30).unwrap().map(|bytes| bytes.len()), Some(OVER));
}

#[test]
fn a_file_that_keeps_changing_is_refused_by_name() {
    let mut place = Place::new();
    place.write("restless", &vec![1; 3 * OVER]);
    place.write("quiet", b"x");
    let file = place.path("restless");
    // Told in the middle of the file, after each piece.
    let touch = |limit: usize| {
        let (file, times) = (file.clone(), AtomicUsize::new(0));
        move |progress: Progress| {
            if progress.bytes_read >= LARGE && times.fetch_add(1, Ordering::Relaxed) < limit {
                File::options().append(true).open(&file).unwrap().write_all(b"more").unwrap();
            }
        }
    };
    let always = touch(usize::MAX);
    let refused = place.import(With { progress: &always, ..With::default() });
    let Err(ImportError::Failed { failures, .. }) = refused else { panic!("{refused:?}") };
    let [Failure { path: named, why: Why::Changed }] = failures.as_slice() else { panic!("{failures:?}") };
    assert_eq!(named, "restless");
    let once = touch(1);
    let imported = place.import(With { progress: &once, ..With::default() }).unwrap();
    let snapshot = imported.snapshot().unwrap();
    let entry = snapshot.entry(snapshot.find(path("restless")).unwrap()).unwrap();
    let bytes = fs::read(&file).unwrap();
    let Kind::File { size, content, .. } = entry.kind else { panic!("{entry:?}") };
    assert_eq!((size, *content), (bytes.len() as u64, ContentId::of(&bytes)), "read again, it is what it became");
    assert_eq!(fs::read_dir(place.dir.path().join("data/large")).unwrap().count(), 1, "no unfinished file is left");
}

#[test]
fn a_file_that_vanishes_is_refused_by_name() {
    let mut place = Place::new();
    place.write("a", b"x");
    place.write("b/c", b"y");
    let file = place.path("b/c");
    let remove = |progress: Progress| {
        if progress.seen == 3 && progress.files_read == 0 {
            let _ = fs::remove_file(&file);
        }
    };
    let refused = place.import(With { progress: &remove, ..With::default() });
    let Err(ImportError::Failed { failures, .. }) = &refused else { panic!("{refused:?}") };
    assert!(matches!(failures.as_slice(), [Failure { path, why: Why::Vanished }] if path == "b/c"), "{failures:?}");
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let mut place = Place::new();
    fs::remove_dir(place.path("")).unwrap();
    let refused = place.import(With::default());
    assert!(matches!(refused, Err(ImportError::Source { .. })), "{refused:?}");
    fs::write(place.path("").parent().unwrap().join("source"), b"a file").unwrap();
    assert!(matches!(place.import(With::default()), Err(ImportError::Source { .. })));
}

#[test]
fn the_publishers_own_file_takes_its_place() {
    let mut place = Place::new();
    place.write("a", b"x");
    place.write("z", b"x");
    fs::hard_link(place.path("z"), place.path("zz")).unwrap();
    let imported = place.import(With::default()).unwrap();
    let time = Mtime::new(77, 0).unwrap();
    let mut with = |at: &str| {
        let mut ingest = place.store.begin(&REPOSITORY.parse().unwrap()).unwrap();
        listing(&imported.with_file(&mut ingest, path(at), b"stamp\n", time).unwrap()).split_off(1)
    };
    let modes = |names: Vec<String>| names.into_iter().map(|name| name.replace(" 600 ", " 644 ")).collect::<Vec<_>>();
    assert_eq!(modes(with("m/n/chk"))[1..4], ["m/ 755", "m/n/ 755", "m/n/chk 644 6"]);
    assert_eq!(modes(with("a"))[0], "a 644 6", "in the place of what was there");
    assert_eq!(modes(with("zzz"))[3], "zzz 644 6", "behind everything");
    assert_eq!(modes(with("zz"))[1..], ["z 644 1", "zz 644 6"], "a group of one is none");
    let mut ingest = place.store.begin(&REPOSITORY.parse().unwrap()).unwrap();
    let under_a_file = imported.with_file(&mut ingest, path("a/chk"), b"", time);
    assert!(matches!(under_a_file, Err(ImportError::Snapshot(_))), "{under_a_file:?}");
}

#[test]
fn a_new_stamp_alone_is_no_difference() {
    let mut place = Place::new();
    place.write("a", b"x");
    let chk = path("metadata/chk");
    let imported = place.import(With::default()).unwrap();
    let mut ingest = place.store.begin(&REPOSITORY.parse().unwrap()).unwrap();
    let published = imported.with_file(&mut ingest, chk, b"1\n", Mtime::new(77, 0).unwrap()).unwrap();
    drop(ingest);
    let check = |place: &mut Place, differs: bool| {
        let again = place.import(With::default()).unwrap();
        assert_eq!(again.differs_from(&published, &[chk]), differs);
        assert!(again.differs_from(&published, &[]));
    };
    check(&mut place, false);
    let root_time = fs::metadata(place.path("")).unwrap().modified().unwrap();
    place.write("metadata/chk", b"2\n");
    fs::set_permissions(place.path("metadata"), fs::Permissions::from_mode(0o755)).unwrap();
    File::open(place.path("")).unwrap().set_modified(root_time).unwrap();
    check(&mut place, false);
    place.write("metadata/other", b"2\n");
    check(&mut place, true);
    fs::remove_file(place.path("metadata/other")).unwrap();
    check(&mut place, false);
    place.write("a", b"y");
    check(&mut place, true);
}

#[test]
fn an_import_that_nobody_wants_any_more_ends() {
    let mut place = Place::new();
    place.write("file", b"small");
    let asked = AtomicUsize::new(0);
    // Wanted when it begins, and not when it has read.
    let wanted = || asked.fetch_add(1, Ordering::Relaxed) < 1;
    let ended = place.import(With { wanted: &wanted, ..With::default() });
    assert!(matches!(ended, Err(ImportError::Ended { .. })), "{ended:?}");
    assert!(place.import(With::default()).is_ok());
}
