//! All of the tree but its categories, up to the Manifest at the top.
//!
//! The Manifests lie exactly as in ::gentoo: `Manifest` names `Manifest.files.gz`, which names one
//! `Manifest.gz` for each category, eclass, licenses, metadata and profiles; metadata names those of
//! dtd, glsa, md5-cache, news and xml-schema, and glsa and news have a pair of their own, which
//! could be signed alone. The time stamps are ignored in metadata's Manifest, so that they may be
//! set anew without a new signature. Unsigned; a signature only wraps the top `Manifest`.

use crate::portage::stamp::{Commit, print_chk, print_commit, print_human, print_x};
use crate::tree::ContentId;

use super::category::CategoryDigest;
use super::dice::Dice;
use super::glsa::{advisories, news};
use super::plan::Plan;
use super::profiles::profiles;
use super::recipe::{Place, SampleFile, changed, published};
use super::seal::{Sealed, Shape, directories, directory, seal};
use super::words;

/// How `metadata/layout.conf` of every sample begins: a tree without it is nobody's toy.
pub const MARK: &str = "# Made by `headwater sample`; it may be made anew at any time.\n";

/// Files of the rest, without lists, profiles, categories and what grows with them.
pub(super) const FIXED_FILES: usize = 6 + 3 + 1 + 6 + 5 + 4 + 4 + 4;

const LICENCE_MEAN: u32 = 4_000;

impl Plan {
    /// Makes what is not in a category; `categories` are the digests of all of them, in any order.
    pub fn rest(&self, categories: &[CategoryDigest]) -> Vec<SampleFile> {
        let mut ordered: Vec<&CategoryDigest> = categories.iter().collect();
        ordered.sort_by_key(|digest| digest.number);
        let mut files = Vec::new();
        let mut below: Vec<Sealed> = ordered.iter().map(|digest| digest.packages.clone()).collect();
        for (dir, mut own) in [("eclass", eclasses(self)), ("licenses", licences(self)), ("profiles", profiles(self))] {
            below.push(seal(dir, &mut own, &[], &[], Shape::Packed, i64::MIN));
            files.append(&mut own);
        }
        let caches: Vec<Sealed> = ordered.iter().map(|digest| digest.cache.clone()).collect();
        below.push(metadata(self, &caches, &mut files));
        let mut top = top_files(self);
        let ignored = ["distfiles", "local", "lost+found", "packages"];
        let now = published(self.recipe.revision);
        seal("", &mut top, &below, &ignored, Shape::Pair, now);
        files.append(&mut top);
        let mut folders = directories(&files, &[]);
        folders.push(directory(Place::Tree, ".", now));
        folders.push(directory(Place::Distfiles, ".", published(0)));
        files.append(&mut folders);
        files
    }
}

/// Adds all of `metadata/`.
fn metadata(plan: &Plan, caches: &[Sealed], files: &mut Vec<SampleFile>) -> Sealed {
    const STAMPS: [&str; 2] = ["timestamp.chk", "timestamp.commit"];
    let seed = plan.recipe.seed;
    let mut below = Vec::new();
    for (dir, mut own, shape) in [
        ("metadata/dtd", fixed(seed, &DTDS), Shape::Packed),
        ("metadata/glsa", advisories(plan), Shape::Pair),
        ("metadata/news", news(plan), Shape::Pair),
        ("metadata/xml-schema", fixed(seed, &SCHEMAS), Shape::Packed),
    ] {
        // A part is stamped when it changes, not every day.
        let newest = own.iter().map(|file| file.mtime).fold(0, i64::max);
        for name in STAMPS {
            own.push(stamp(&format!("{dir}/{name}"), newest));
        }
        below.push(seal(dir, &mut own, &[], &STAMPS, shape, i64::MIN));
        files.append(&mut own);
    }
    let mut own = Vec::new();
    below.push(seal("metadata/md5-cache", &mut own, caches, &[], Shape::Packed, i64::MIN));
    files.append(&mut own);
    let mut own = vec![SampleFile::tree(
        "metadata/layout.conf".to_owned(),
        format!("{MARK}{LAYOUT}"),
        changed(seed, "metadata/layout.conf", 0),
    )];
    let ignored = ["timestamp", "timestamp.chk", "timestamp.commit", "timestamp.x"];
    let sealed = seal("metadata", &mut own, &below, &ignored, Shape::Packed, i64::MIN);
    let now = published(plan.recipe.revision);
    own.extend(ignored.iter().map(|name| stamp(&format!("metadata/{name}"), now)));
    files.append(&mut own);
    sealed
}

/// One of the files that tell the time, by its name.
fn stamp(path: &str, epoch: i64) -> SampleFile {
    let text = match path.rsplit('/').next() {
        Some("timestamp.chk") => print_chk(epoch),
        Some("timestamp.x") => print_x(epoch),
        Some("timestamp.commit") => {
            let digest = ContentId::of(&epoch.to_be_bytes()).to_string();
            print_commit(&Commit { id: digest.chars().take(40).collect(), epoch })
        }
        _ => print_human(epoch),
    };
    SampleFile::tree(path.to_owned(), text, epoch)
}

fn eclasses(plan: &Plan) -> Vec<SampleFile> {
    let file = |name: &str, text: &str, day| {
        let path = format!("eclass/{name}.eclass");
        let mtime = changed(plan.recipe.seed, &path, day);
        SampleFile::tree(path, text, mtime)
    };
    plan.eclasses.iter().map(|eclass| file(&eclass.name, &eclass.text, eclass.day)).collect()
}

fn licences(plan: &Plan) -> Vec<SampleFile> {
    let file = |name: &String| {
        let path = format!("licenses/{name}");
        let mut dice = Dice::new(plan.recipe.seed, &path, 0);
        let mut text = format!("This stands in for the text of {name}, for tests.\n\n");
        let size = dice.size(LICENCE_MEAN);
        words::lines(&mut text, &mut dice, "", size);
        let mtime = changed(plan.recipe.seed, &path, 0);
        SampleFile::tree(path, text, mtime)
    };
    plan.licences.iter().map(file).collect()
}

fn top_files(plan: &Plan) -> Vec<SampleFile> {
    let mut files = fixed(plan.recipe.seed, &TOP);
    for file in files.iter_mut().filter(|file| file.path.ends_with(".sh")) {
        file.mode = 0o755;
    }
    files
}

fn fixed(seed: u64, texts: &[(&str, &str)]) -> Vec<SampleFile> {
    let file = |&(path, text): &(&str, &str)| SampleFile::tree(path.to_owned(), text, changed(seed, path, 0));
    texts.iter().map(file).collect()
}

const TOP: [(&str, &str); 4] = [
    (
        "header.txt",
        "# Copyright 2026 headwater sample\n# Distributed under the terms of the GNU General Public License v2\n",
    ),
    ("skel.ebuild", "# An ebuild would begin like this.\nEAPI=8\n"),
    ("skel.metadata.xml", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<pkgmetadata>\n</pkgmetadata>\n"),
    ("scripts/bootstrap.sh", "#!/bin/sh\necho \"There is nothing to bootstrap in a sample.\"\n"),
];

const DTDS: [(&str, &str); 2] = [
    ("metadata/dtd/glsa.dtd", "<!-- stands in for the real one -->\n<!ELEMENT glsa ANY>\n"),
    ("metadata/dtd/metadata.dtd", "<!-- stands in for the real one -->\n<!ELEMENT pkgmetadata ANY>\n"),
];

const SCHEMAS: [(&str, &str); 1] = [(
    "metadata/xml-schema/metadata.xsd",
    "<?xml version=\"1.0\"?>\n<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\"/>\n",
)];

const LAYOUT: &str = "\
    repo-name = gentoo\nmasters =\nmanifest-hashes = BLAKE2B SHA512\nmanifest-required-hashes = BLAKE2B\n\
    thin-manifests = false\nsign-commits = false\nsign-manifests = false\ncache-formats = md5-dict\n\
    profile-formats = portage-2\nupdate-changelog = false\neapis-banned = 0 1 2 3 4 5 6\n\
    properties-allowed = interactive live\n";
