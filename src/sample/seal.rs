//! Manifests over directories: the lines, the compressed file, and the times.
//!
//! A sub-Manifest covers every file below its directory except those that a deeper one covers and
//! those that are ignored. A directory is as new as the newest thing in it, and so is its
//! Manifest. Compression is cheap and deterministic (no name, no time in the gzip header).

use std::collections::BTreeMap;

use flate2::Compression;

use crate::portage::manifest_write::{Digests, Tag, entry_line, ignore_line, timestamp_line};

use super::distfile::gzip;
use super::recipe::{Content, Place, SampleFile};

/// A Manifest that exists, as the one above it needs to know it.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    /// Its path in the tree.
    pub(super) path: String,
    pub(super) digests: Digests,
    pub(super) mtime: i64,
}

/// How the Manifest of a directory lies on disk.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// One `Manifest.gz`.
    Packed,
    /// A `Manifest` that could be signed alone and names a `Manifest.files.gz`.
    Pair,
}

/// Adds the Manifest of the directory `dir` (`""`: the tree) to its `files`.
///
/// `below` are the Manifests of subdirectories. At the top the time is given, elsewhere it is that
/// of the newest file.
pub(super) fn seal(
    dir: &str,
    files: &mut Vec<SampleFile>,
    below: &[Sealed],
    ignored: &[&str],
    shape: Shape,
    at_least: i64,
) -> Sealed {
    let path = |name: &str| if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
    let inside = |full: &str| full.get(path("").len()..).unwrap_or_default().to_owned();
    let own: Vec<&SampleFile> = files.iter().filter(|file| !ignored.contains(&inside(&file.path).as_str())).collect();
    let times = own.iter().map(|file| file.mtime).chain(below.iter().map(|sealed| sealed.mtime));
    let mtime = times.fold(at_least, i64::max);
    let bytes: Vec<&[u8]> = own.iter().map(|file| file.bytes()).collect();
    let digests = Digests::of_many(&bytes);
    let mut lines: Vec<String> = Vec::with_capacity(own.len() + below.len() + ignored.len());
    lines.extend(own.iter().zip(&digests).map(|(file, digests)| entry_line(Tag::Data, &inside(&file.path), digests)));
    lines.extend(below.iter().map(|sealed| entry_line(Tag::Manifest, &inside(&sealed.path), &sealed.digests)));
    lines.extend(ignored.iter().map(|name| ignore_line(name)));
    let packed = pack(lines);
    let packed_digests = Digests::of(&packed);
    match shape {
        Shape::Packed => {
            let path = path("Manifest.gz");
            files.push(SampleFile::tree(path.clone(), packed, mtime));
            Sealed { path, digests: packed_digests, mtime }
        }
        Shape::Pair => {
            files.push(SampleFile::tree(path("Manifest.files.gz"), packed, mtime));
            let mut text = entry_line(Tag::Manifest, "Manifest.files.gz", &packed_digests);
            text.push_str(&timestamp_line(mtime));
            let digests = Digests::of(text.as_bytes());
            let path = path("Manifest");
            files.push(SampleFile::tree(path.clone(), text, mtime));
            Sealed { path, digests, mtime }
        }
    }
}

/// The lines of a Manifest, sorted and compressed.
pub(super) fn pack(mut lines: Vec<String>) -> Vec<u8> {
    lines.sort_unstable();
    gzip(lines.concat().as_bytes(), Compression::new(2))
}

/// The directories that these files of the tree lie in, up to and including those in `tops`.
pub(super) fn directories(files: &[SampleFile], tops: &[&str]) -> Vec<SampleFile> {
    let mut newest: BTreeMap<&str, i64> = BTreeMap::new();
    for file in files.iter().filter(|file| file.place == Place::Tree) {
        let mut path = file.path.as_str();
        while let Some((parent, _)) = path.rsplit_once('/') {
            let time = newest.entry(parent).or_insert(file.mtime);
            *time = file.mtime.max(*time);
            if tops.contains(&parent) {
                break;
            }
            path = parent;
        }
    }
    newest.into_iter().map(|(path, mtime)| directory(Place::Tree, path, mtime)).collect()
}

/// A directory.
pub(super) fn directory(place: Place, path: &str, mtime: i64) -> SampleFile {
    SampleFile { place, path: path.to_owned(), content: Content::Directory, mode: 0o755, mtime }
}
