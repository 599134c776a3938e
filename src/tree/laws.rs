//! The laws that the whole folder stands on, tried on trees that a generator makes.
//!
//! A model here is a plain map from path to node; what it says about order, difference and subtrees is computed in the
//! most naive way, so that it cannot share a mistake with the code. The alphabet of the names is chosen to collide:
//! bytes around `/` in the plain order, escapes, halves of UTF-8 characters.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

type Components = Vec<Vec<u8>>;

#[derive(Clone, PartialEq, Debug)]
enum Node {
    Directory(u32, Mtime),
    File(u32, Mtime, u64, ContentId),
    /// A file whose attributes follow from the number, so that all with one number can be linked.
    Linked(u8),
    Symlink(Mtime, Vec<u8>),
}

type Model = BTreeMap<Components, Node>;

fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

fn bytes_of(components: &Components) -> Vec<u8> {
    if components.is_empty() { b".".to_vec() } else { components.join(&b'/') }
}

fn component() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(b"ab.-0 !\\\x00\x1f\x7f\xc3\xa9\xff\xe2\x82\xac".to_vec());
    prop::collection::vec(byte, 1..4).prop_filter("dots", |name| name != b"." && name != b"..")
}

fn components() -> impl Strategy<Value = Components> {
    prop::collection::vec(component(), 0..4)
}

fn mtime() -> impl Strategy<Value = Mtime> {
    let nanos = prop_oneof![Just(0), Just(1), 0..1_000_000_000u32];
    let seconds = prop_oneof![-3..3i64, Just(i64::MIN), Just(i64::MAX), 1_783_000_000..1_784_000_000i64];
    (seconds, nanos).prop_map(|(seconds, nanos)| Mtime::new(seconds, nanos).unwrap())
}

fn node() -> impl Strategy<Value = Node> {
    let content = (0..4u8).prop_map(|byte| ContentId::of(&[byte]));
    let size = prop_oneof![0..2_000u64, Just(MAX_FILE_BYTES)];
    prop_oneof![
        (0..=0o7777u32, mtime()).prop_map(|(mode, mtime)| Node::Directory(mode, mtime)),
        (0..=0o7777u32, mtime(), size, content).prop_map(|(m, t, s, c)| Node::File(m, t, s, c)),
        (0..3u8).prop_map(Node::Linked),
        (mtime(), prop::collection::vec(component(), 1..4)).prop_map(|(t, c)| Node::Symlink(t, c.join(&b'/'))),
    ]
}

/// Adds `node` and what it needs above it, unless something else than a directory is in the way.
fn insert(model: &mut Model, path: &Components, node: Node) {
    for depth in 0..path.len() {
        let parent = path[..depth].to_vec();
        let there = model.entry(parent).or_insert(Node::Directory(0o755, Mtime::default()));
        if !matches!(there, Node::Directory(..)) {
            return;
        }
    }
    let below = |other: &Components| other.len() > path.len() && other.starts_with(path);
    if !matches!(node, Node::Directory(..)) && (path.is_empty() || model.keys().any(below)) {
        return;
    }
    model.insert(path.clone(), node);
}

fn model() -> impl Strategy<Value = Model> {
    prop::collection::vec((components(), node()), 0..25).prop_map(|nodes| {
        let mut model = Model::from([(vec![], Node::Directory(0o755, Mtime::default()))]);
        nodes.into_iter().for_each(|(path, node)| insert(&mut model, &path, node));
        model
    })
}

/// Two models that have much in common.
fn two_models() -> impl Strategy<Value = (Model, Model)> {
    (model(), prop::collection::vec((components(), node()), 0..6), any::<Index>()).prop_map(|(old, changes, cut)| {
        let mut new = old.clone();
        let gone = new.keys().nth(cut.index(new.len())).cloned().filter(|path| !path.is_empty());
        new.retain(|path, _| gone.as_ref().is_none_or(|gone| !path.starts_with(gone)));
        changes.into_iter().for_each(|(path, node)| insert(&mut new, &path, node));
        (old, new)
    })
}

/// The entries in order, with groups as the format wants them. A map of components is in tree order by itself.
fn build(model: &Model) -> Snapshot {
    let links = |number: u8| model.values().filter(|node| **node == Node::Linked(number)).count();
    let mut numbers: Vec<u8> = Vec::new();
    let mut builder = SnapshotBuilder::new(word("gentoo"));
    for (path, node) in model {
        let path = bytes_of(path);
        let content;
        let (mtime, kind) = match node {
            Node::Directory(mode, mtime) => (*mtime, Kind::Directory { mode: Mode::new(*mode).unwrap() }),
            Node::File(mode, mtime, size, content) => {
                let mode = Mode::new(*mode).unwrap();
                (*mtime, Kind::File { mode, size: *size, content, group: None })
            }
            Node::Symlink(mtime, target) => (*mtime, Kind::Symlink { target }),
            Node::Linked(number) => {
                content = ContentId::of(&[*number]);
                let mut group = None;
                if links(*number) > 1 {
                    if !numbers.contains(number) {
                        numbers.push(*number);
                    }
                    let at = numbers.iter().position(|known| known == number).unwrap() + 1;
                    group = NonZeroU32::new(at.try_into().unwrap());
                }
                let mode = Mode::new(0o644).unwrap();
                (Mtime::default(), Kind::File { mode, size: 1, content: &content, group })
            }
        };
        builder.push(Entry { path: TreePath::new(&path).unwrap(), mtime, kind }).unwrap();
    }
    builder.finish().unwrap()
}

/// Some way to spoil a text.
#[derive(Clone, Debug)]
enum Damage {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    DropLine(Index),
    DoubleLine(Index),
    SwapLines(Index),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = || prop::sample::select(b"0189afdhl -+.\\x/\n\x00\xff\xc3".to_vec());
    prop_oneof![
        (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        any::<Index>().prop_map(Damage::Remove),
        any::<Index>().prop_map(Damage::DropLine),
        any::<Index>().prop_map(Damage::DoubleLine),
        any::<Index>().prop_map(Damage::SwapLines),
        any::<Index>().prop_map(Damage::Cut),
    ]
}

fn spoil(text: &[u8], damage: &Damage) -> Vec<u8> {
    let mut text = text.to_vec();
    let length = text.len();
    let mut lines: Vec<Vec<u8>> = text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let count = lines.len();
    match damage {
        Damage::Replace(at, byte) => text[at.index(length)] = *byte,
        Damage::Insert(at, byte) => text.insert(at.index(length), *byte),
        Damage::Remove(at) => drop(text.remove(at.index(length))),
        Damage::Cut(at) => text.truncate(at.index(length)),
        Damage::DropLine(at) => drop(lines.remove(at.index(count))),
        Damage::DoubleLine(at) => lines.insert(at.index(count), lines[at.index(count)].clone()),
        Damage::SwapLines(at) => lines.swap(at.index(count), (at.index(count) + 1) % count),
    }
    match damage {
        Damage::DropLine(_) | Damage::DoubleLine(_) | Damage::SwapLines(_) => lines.concat(),
        _ => text,
    }
}

fn check_diff(old: &Snapshot, new: &Snapshot, old_model: &Model, new_model: &Model) {
    let path = |snapshot: &Snapshot, index: usize| snapshot.entry(index).unwrap().path.as_bytes().to_vec();
    let found = diff(old, new);
    let only = |a: &Model, b: &Model| -> Vec<Vec<u8>> {
        a.keys().filter(|path| !b.contains_key(*path)).map(bytes_of).collect()
    };
    let added: Vec<_> = found.added.iter().map(|&index| path(new, index)).collect();
    let removed: Vec<_> = found.removed.iter().map(|&index| path(old, index)).collect();
    assert_eq!(added, only(new_model, old_model));
    assert_eq!(removed, only(old_model, new_model));
    let olds: BTreeMap<_, _> = old.iter().map(|entry| (entry.path, entry)).collect();
    let expected: Vec<_> = new
        .iter()
        .filter(|entry| olds.get(&entry.path).is_some_and(|old| old != entry))
        .map(|entry| entry.path.as_bytes().to_vec())
        .collect();
    let changed: Vec<_> = found.changed.iter().map(|&(_, index)| path(new, index)).collect();
    assert_eq!(changed, expected);
    assert!(found.changed.iter().all(|&(a, b)| path(old, a) == path(new, b)));
    assert_eq!(found.is_empty(), old == new);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_text_comes_back_as_the_snapshot_that_wrote_it(model in model()) {
        let snapshot = build(&model);
        let text = snapshot.to_text();
        let again = Snapshot::parse(&text).unwrap();
        prop_assert_eq!(again.id(), snapshot.id());
        prop_assert_eq!(again.to_text(), text.clone());
        prop_assert_eq!(SnapshotId::from_bytes(*ContentId::of(&text).as_bytes()), snapshot.id());
        prop_assert!(again.iter().eq(snapshot.iter()));
        prop_assert_eq!(snapshot.len(), model.len());
    }

    #[test]
    fn different_trees_have_different_texts((old, new) in two_models()) {
        prop_assert_eq!(build(&old).to_text() == build(&new).to_text(), build(&old).iter().eq(build(&new).iter()));
    }

    #[test]
    fn a_spoiled_text_is_refused_or_is_another_snapshot(model in model(), damages in prop::collection::vec(damage(), 1..3)) {
        let snapshot = build(&model);
        let whole = snapshot.to_text();
        let spoiled = damages.iter().fold(whole.clone(), |text, damage| if text.is_empty() { text } else { spoil(&text, damage) });
        match Snapshot::parse(&spoiled) {
            Ok(other) => {
                prop_assert_eq!(other.to_text(), spoiled.clone());
                prop_assert_eq!(other.id() == snapshot.id(), spoiled == whole);
            }
            Err(error) => prop_assert!(error.line <= spoiled.iter().filter(|&&byte| byte == b'\n').count() + 1),
        }
    }

    #[test]
    fn a_delta_makes_its_result_and_nothing_else((old, new) in two_models(), damage in damage()) {
        let (old, new) = (build(&old), build(&new));
        let delta = delta_text(&old, &new);
        let made = apply_delta(&old, &delta).unwrap();
        prop_assert_eq!(made.to_text(), new.to_text());
        let spoiled = spoil(&delta, &damage);
        prop_assert_eq!(apply_delta(&old, &spoiled).is_ok(), spoiled == delta);
        if old != new {
            prop_assert!(apply_delta(&new, &delta).is_err());
        }
    }

    #[test]
    fn a_difference_is_what_two_maps_say((old, new) in two_models()) {
        check_diff(&build(&old), &build(&new), &old, &new);
    }

    #[test]
    fn paths_are_ordered_as_their_components(a in components(), b in components()) {
        let (first, second) = (bytes_of(&a), bytes_of(&b));
        let (first, second) = (TreePath::new(&first).unwrap(), TreePath::new(&second).unwrap());
        prop_assert_eq!(first.cmp(&second), a.cmp(&b));
        prop_assert!(first.components().eq(a.iter().map(Vec::as_slice)));
        prop_assert_eq!(first.starts_with(second), a.starts_with(&b));
        prop_assert_eq!(first.parent().map(|path| path.components().count()), a.len().checked_sub(1));
    }

    #[test]
    fn a_directory_stands_directly_before_what_it_holds(model in model()) {
        let snapshot = build(&model);
        for (index, entry) in snapshot.iter().enumerate() {
            prop_assert_eq!(snapshot.find(entry.path), Some(index));
            let below: Vec<usize> =
                (0..snapshot.len()).filter(|&at| snapshot.entry(at).unwrap().path.starts_with(entry.path)).collect();
            prop_assert_eq!(snapshot.subtree(index).collect::<Vec<_>>(), below);
            let held: Vec<usize> = (0..snapshot.len())
                .filter(|&at| snapshot.entry(at).unwrap().path.parent() == Some(entry.path))
                .collect();
            prop_assert_eq!(snapshot.children(index).collect::<Vec<_>>(), held);
        }
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let snapshot = build(&Model::from([(vec![], Node::Directory(0o755, Mtime::default()))]));
    assert_eq!(snapshot.find(TreePath::new(b"a").unwrap()), None);
    assert_eq!((snapshot.subtree(7), snapshot.children(7).count(), snapshot.entry(1)), (0..0, 0, None));
    assert_eq!((snapshot.len(), snapshot.file_count(), snapshot.byte_count()), (1, 0, 0));
}

#[test]
fn a_delta_of_one_snapshot_changes_nothing() {
    let snapshot = build(&Model::from([(vec![], Node::Directory(0o755, Mtime::default()))]));
    let delta = delta_text(&snapshot, &snapshot);
    assert_eq!(delta.iter().filter(|&&byte| byte == b'\n').count(), 4);
    assert_eq!(apply_delta(&snapshot, &delta), Ok(snapshot));
}
