//! Laws of a whole sample: it repeats itself, and every digest in it is right.
//!
//! The Manifests are read here with a few lines of the test's own, not with the code that wrote them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use ring::digest::{SHA512, digest};

use super::eclass::md5_hex;
use super::recipe::published;
use super::*;
use crate::tree::ContentId;

type Sample = BTreeMap<(Place, String), SampleFile>;

fn made(size: Size, revision: u32) -> Sample {
    let plan = Plan::new(&Recipe { seed: 11, size, revision }).unwrap();
    let mut all = Sample::new();
    let made = plan.make(&mut |file| {
        let key = (file.place, file.path.clone());
        assert!(all.insert(key, file).is_none(), "a path comes twice");
        Ok::<(), std::convert::Infallible>(())
    });
    made.unwrap();
    all
}

fn tree_files(sample: &Sample) -> impl Iterator<Item = (&str, &SampleFile)> {
    let files = sample.values().filter(|file| file.place == Place::Tree && file.content != Content::Directory);
    files.map(|file| (file.path.as_str(), file))
}

fn text_of<'a>(sample: &'a Sample, path: &str) -> &'a str {
    let file = sample.get(&(Place::Tree, path.to_owned())).unwrap_or_else(|| panic!("no {path}"));
    std::str::from_utf8(file.bytes()).unwrap()
}

/// The lines of a Manifest, unpacked and split into words.
fn lines(file: &SampleFile) -> Vec<Vec<String>> {
    let mut text = String::new();
    if file.path.ends_with(".gz") {
        flate2::read::GzDecoder::new(file.bytes()).read_to_string(&mut text).unwrap();
    } else {
        text.push_str(std::str::from_utf8(file.bytes()).unwrap());
    }
    text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

fn assert_entry(line: &[String], bytes: &[u8]) {
    let hex: String = digest(&SHA512, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [bytes.len().to_string(), "BLAKE2B".into(), ContentId::of(bytes).to_string(), "SHA512".into(), hex];
    assert_eq!(line[2..], expected, "{}", line[1]);
}

/// Follows the Manifests from `path` down; returns what they cover and what they ignore.
fn follow(sample: &Sample, path: &str, covered: &mut BTreeSet<String>, ignored: &mut BTreeSet<String>) {
    let file = &sample[&(Place::Tree, path.to_owned())];
    let dir = path.rsplit_once('/').map_or(String::new(), |(dir, _)| format!("{dir}/"));
    for line in lines(file) {
        let full = match line[0].as_str() {
            "AUX" => format!("{dir}files/{}", line[1]),
            _ => format!("{dir}{}", line[1]),
        };
        match line[0].as_str() {
            "TIMESTAMP" => assert_eq!(line.len(), 2),
            "DIST" => assert_entry(&line, sample[&(Place::Distfiles, line[1].clone())].bytes()),
            "IGNORE" => assert!(ignored.insert(full)),
            tag => {
                assert_entry(&line, sample[&(Place::Tree, full.clone())].bytes());
                assert!(covered.insert(full.clone()), "{full} is listed twice");
                if tag == "MANIFEST" {
                    follow(sample, &full, covered, ignored);
                }
            }
        }
    }
}

#[test]
fn manifests_cover_every_file_once_with_the_right_digests() {
    for revision in [0, 40] {
        let sample = made(Size::Packages(150), revision);
        let (mut covered, mut ignored) = (BTreeSet::new(), BTreeSet::new());
        follow(&sample, "Manifest", &mut covered, &mut ignored);
        for (path, _) in tree_files(&sample) {
            let expected = path != "Manifest" && !ignored.contains(path);
            assert_eq!(covered.contains(path), expected, "{path}");
        }
        assert!(ignored.contains("metadata/timestamp.chk") && ignored.contains("distfiles"));
    }
}

#[test]
fn every_distfile_is_listed_and_nothing_else_is() {
    let sample = made(Size::Packages(200), 30);
    let there = sample.keys().filter(|key| key.0 == Place::Distfiles && key.1 != ".").map(|key| key.1.clone());
    let manifests = tree_files(&sample).filter(|(path, _)| path.ends_with("/Manifest"));
    let listed = manifests.flat_map(|(_, file)| lines(file)).filter(|line| line[0] == "DIST");
    let listed: Vec<String> = listed.map(|line| line[1].clone()).collect();
    let distinct: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(distinct.len(), listed.len());
    assert_eq!(distinct, there.collect());
    let shared = sample.keys().filter(|key| key.1.contains("-patchset-")).count();
    assert!(shared > 0);
}

#[test]
fn cache_entries_name_the_digests_of_ebuild_and_eclasses() {
    let sample = made(Size::Packages(200), 90);
    let mut entries = 0;
    for (path, file) in tree_files(&sample) {
        let Some(rest) = path.strip_prefix("metadata/md5-cache/").filter(|rest| !rest.ends_with(".gz")) else {
            continue;
        };
        entries += 1;
        let (category, pf) = rest.split_once('/').unwrap();
        let text = std::str::from_utf8(file.bytes()).unwrap();
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        let ends = format!("/{pf}.ebuild");
        let below = tree_files(&sample).filter(|(path, _)| path.starts_with(category) && path.ends_with(&ends));
        let [(ebuild, bytes)] = below.collect::<Vec<_>>()[..] else { panic!("{path} has not one ebuild") };
        assert_eq!(value("_md5_="), Some(md5_hex(bytes.bytes()).as_str()), "{ebuild}");
        let sums: Vec<&str> = value("_eclasses_=").map(|sums| sums.split('\t').collect()).unwrap_or_default();
        assert_eq!(sums.len() % 2, 0);
        for pair in sums.chunks(2) {
            let eclass = text_of(&sample, &format!("eclass/{}.eclass", pair[0]));
            assert_eq!(md5_hex(eclass.as_bytes()), pair[1]);
        }
        assert_eq!(value("EAPI="), Some("8"));
        assert!(text.lines().all(|line| line.split_once('=').is_some_and(|(_, value)| !value.is_empty())), "{text}");
        assert!(!text.contains("${"), "{text}");
    }
    let ebuilds = tree_files(&sample).filter(|(path, _)| path.contains('/') && path.ends_with(".ebuild"));
    assert_eq!(entries, ebuilds.count());
}

#[test]
fn the_same_recipe_gives_the_same_sample_in_any_order() {
    let whole = made(Size::Packages(60), 3);
    assert!(whole == made(Size::Packages(60), 3));
    let plan = Plan::new(&Recipe { seed: 11, size: Size::Packages(60), revision: 3 }).unwrap();
    let (mut files, mut digests) = (Vec::new(), Vec::new());
    for number in (0..plan.categories()).rev() {
        let made = plan.category(number);
        files.extend(made.files);
        digests.push(made.digest);
    }
    files.extend(plan.rest(&digests));
    assert_eq!(files.len(), whole.len());
    assert!(files.into_iter().all(|file| whole[&(file.place, file.path.clone())] == file));
    let other = Plan::new(&Recipe { seed: 12, size: Size::Packages(60), revision: 3 }).unwrap();
    assert!(other.category(0).files != plan.category(0).files);
}

#[test]
fn a_day_changes_about_one_percent_and_makes_it_newer() {
    let size = Size::Packages(1_000);
    let mut changes = 0;
    for day in 0..3 {
        let (old, new) = (made(size, day), made(size, day + 1));
        for (path, file) in tree_files(&new) {
            match old.get(&(Place::Tree, path.to_owned())) {
                None => changes += 1,
                Some(before) if before.bytes() != file.bytes() => {
                    changes += 1;
                    assert!(file.mtime > before.mtime, "{path} changed but is not newer");
                }
                Some(before) if before.mtime == file.mtime => {}
                // These are as new as what they speak of.
                Some(_) => assert!(path.ends_with("Manifest.gz") || path.starts_with("profiles/"), "{path}"),
            }
        }
        changes += tree_files(&old).filter(|(path, _)| !new.contains_key(&(Place::Tree, (*path).to_owned()))).count();
    }
    let files = tree_files(&made(size, 0)).count();
    let per_mille = changes * 1000 / (3 * files);
    // A small tree has more Manifests and stamps for each package than a large one.
    assert!((7..=40).contains(&per_mille), "{per_mille} of 1000 files a day");
}

#[test]
fn some_files_come_and_some_go() {
    let size = Size::Packages(300);
    let (old, month, year) = (made(size, 0), made(size, 30), made(size, 300));
    let missing = |from: &Sample, other: &Sample, end: &str| {
        from.keys().filter(|key| key.1.ends_with(end) && !other.contains_key(key)).count()
    };
    assert!(missing(&old, &month, ".ebuild") > 10);
    assert!(missing(&month, &old, ".ebuild") > 10);
    assert!(missing(&old, &year, "/Manifest") > 0, "no package was removed");
    assert!(missing(&year, &old, "/Manifest") > 0, "no package was added");
    assert!(missing(&old, &year, ".patch") > 0);
    assert!(missing(&year, &old, ".patch") > 0);
}

#[test]
fn kinds_and_sizes_are_those_of_the_real_tree() {
    let sample = made(Size::Packages(1_889), 0);
    // A tenth of the tree of 2020-07-01: how many files, how large on average. The other kinds, 2 % of
    // the files, do not shrink as fast as the packages.
    let kinds: [(&str, usize, usize); 6] = [
        ("md5-cache", 3_281, 1_950),
        ("ebuild", 3_265, 1_470),
        ("Manifest", 1_907, 2_412),
        ("files", 1_720, 1_569),
        ("metadata.xml", 1_906, 600),
        ("glsa", 295, 2_610),
    ];
    let mut found: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (path, file) in tree_files(&sample) {
        let kind = match path {
            _ if path.starts_with("metadata/md5-cache/") => "md5-cache",
            _ if path.ends_with(".ebuild") => "ebuild",
            _ if path.contains("/files/") => "files",
            _ if path.contains("Manifest") => "Manifest",
            _ if path.ends_with("/metadata.xml") => "metadata.xml",
            _ if path.contains("/glsa-") => "glsa",
            _ => "other",
        };
        let (count, bytes) = found.entry(kind).or_default();
        *count += 1;
        *bytes += file.bytes().len();
    }
    for (kind, count, mean) in kinds {
        let (n, bytes) = found[kind];
        let near = |what: usize, real: usize| what * 100 >= real * 80 && what * 100 <= real * 120;
        assert!(near(n, count), "{n} of {kind}, not {count}");
        assert!(near(bytes / n, mean), "{kind} has {} bytes on average, not {mean}", bytes / n);
    }
    let directories = sample.values().filter(|file| file.content == Content::Directory).count();
    assert!((2_400..3_300).contains(&directories), "{directories}");
}

#[test]
fn a_sample_of_n_files_has_n_files() {
    for n in [300, 1_000, 2_500] {
        let sample = made(Size::Files(n), 0);
        assert_eq!(tree_files(&sample).count(), n as usize);
    }
}

#[test]
fn recipes_out_of_bounds_are_refused_with_the_bounds() {
    let refused = |size, revision| Plan::new(&Recipe { seed: 1, size, revision }).err().map(|error| error.to_string());
    for (size, revision, text) in [
        (Size::Packages(3), 0, "cannot make a sample of 3 packages: ask for 12 to 200000"),
        (Size::Packages(u32::MAX), 0, "cannot make a sample of 4294967295 packages: ask for 12 to 200000"),
        (Size::Packages(20), 3_651, "cannot make revision 3651: the last one is 3650"),
    ] {
        assert_eq!(refused(size, revision).as_deref(), Some(text));
    }
    assert!(refused(Size::Files(10), 0).unwrap().starts_with("cannot make a sample of 10 files: ask for "));
    assert_eq!(refused(Size::Packages(12), 3_650), None);
}

#[test]
fn every_path_has_its_directories_and_its_time() {
    let sample = made(Size::Packages(100), 10);
    let mut links = 0;
    for ((place, path), file) in &sample {
        let mode = if file.content == Content::Directory || path.ends_with(".sh") { 0o755 } else { 0o644 };
        assert_eq!(file.mode, mode, "{path}");
        assert!(file.mtime <= published(10) && file.mtime > 1_000_000_000, "{path}");
        let parent = path.rsplit_once('/').map_or(".", |(parent, _)| parent);
        let above = &sample[&(*place, parent.to_owned())];
        assert_eq!(above.content, Content::Directory);
        assert!(above.mtime >= file.mtime || *place == Place::Distfiles, "{path}");
        links += usize::from(!path.is_ascii());
    }
    assert_eq!(links, 0);
    let used: BTreeSet<&str> =
        sample.keys().filter_map(|key| key.1.rsplit_once('/')).map(|(parent, _)| parent).collect();
    for file in sample.values().filter(|file| file.content == Content::Directory && file.path != ".") {
        assert!(used.contains(file.path.as_str()), "{} is empty", file.path);
    }
}

#[test]
fn the_named_packages_are_what_their_names_say() {
    let sample = made(Size::Packages(40), 200);
    let caches = |name: &str| -> Vec<String> {
        let prefix = format!("metadata/md5-cache/app-misc/{name}-");
        let found = tree_files(&sample).filter(|(path, _)| path.starts_with(&prefix));
        found.map(|(path, _)| text_of(&sample, path).to_owned()).collect()
    };
    let hello = caches("hello-headwater");
    assert!(hello.iter().all(|entry| !entry.contains("DEPEND=")));
    assert!(hello.iter().any(|entry| entry.contains("KEYWORDS=amd64")));
    assert!(caches("headwater-testing").iter().all(|entry| !entry.contains("KEYWORDS=amd64")));
    assert!(caches("headwater-licensed").iter().any(|entry| entry.contains("RESTRICT=fetch")));
    assert!(caches("headwater-chain").iter().any(|entry| entry.contains("\nRDEPEND=")));
    assert!(text_of(&sample, "profiles/package.mask").contains("\napp-misc/headwater-masked\n"));
    assert!(text_of(&sample, "metadata/layout.conf").starts_with(MARK));
    assert_eq!(text_of(&sample, "profiles/repo_name"), "gentoo\n");
    assert_eq!(text_of(&sample, "metadata/timestamp.chk"), "Mon, 20 Jul 2026 00:00:00 +0000\n");
}
