//! What differs between two states of a tree, in the words of whoever maintains one: by package, then by directory.
//!
//! A package is a directory `category/package` that holds an ebuild in one of the two states; its ebuilds are named without
//! their ending, its other files are counted. What lies elsewhere is counted by the directory that holds it. A directory
//! whose time alone changed says nothing that its files do not say, so it is only counted; one that came, went or got
//! other permissions counts in the directory that holds it.
//! Deliberately absent: what changed inside of a file, and the md5-cache's connection to its package.

use std::collections::BTreeMap;

use crate::tree::{Diff, Entry, Kind, Snapshot, TreePath, TreePathBuf};

/// The ending of an ebuild's name.
const EBUILD: &[u8] = b".ebuild";

/// How entries are brought together.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Grouping {
    /// By package where there is one; for an ebuild repository.
    Packages,
    /// By directory only; for any other.
    Directories,
}

/// How many entries differ, in which way.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Only in the new state.
    pub added: u64,
    /// Only in the old one.
    pub removed: u64,
    /// In both, and different.
    pub changed: u64,
}

/// What happened to a package.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PackageChanges {
    /// Ebuilds that came, such as `foo-1.2`, in tree order.
    pub added: Vec<String>,
    /// Ebuilds that went.
    pub removed: Vec<String>,
    /// Ebuilds that are different.
    pub changed: Vec<String>,
    /// The package's other files: its Manifest, metadata and patches.
    pub others: Counts,
}

/// What differs, brought together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TreeChanges {
    /// By `category/package`, in the order of the names.
    pub packages: BTreeMap<TreePathBuf, PackageChanges>,
    /// Everything else, by directory.
    pub directories: BTreeMap<TreePathBuf, Counts>,
    /// Directories whose time alone changed.
    pub times: u64,
}

#[derive(Copy, Clone)]
enum Way {
    Added,
    Removed,
    Changed,
}

/// Brings the difference of two snapshots together. `diff` is that of `old` and `new`.
pub fn group(old: &Snapshot, new: &Snapshot, diff: &Diff, grouping: Grouping) -> TreeChanges {
    let mut groups = Groups { old, new, grouping, known: BTreeMap::new(), changes: TreeChanges::default() };
    for entry in diff.added.iter().filter_map(|&index| new.entry(index)) {
        groups.take(&entry, Way::Added);
    }
    for entry in diff.removed.iter().filter_map(|&index| old.entry(index)) {
        groups.take(&entry, Way::Removed);
    }
    for &(before, after) in &diff.changed {
        match (old.entry(before), new.entry(after)) {
            (Some(before), Some(after)) if is_touched(&before, &after) => groups.changes.times += 1,
            (_, Some(after)) => groups.take(&after, Way::Changed),
            _ => {}
        }
    }
    groups.changes
}

/// True for a directory of which only the time changed.
fn is_touched(before: &Entry<'_>, after: &Entry<'_>) -> bool {
    after.is_directory() && before.kind == after.kind
}

struct Groups<'a> {
    old: &'a Snapshot,
    new: &'a Snapshot,
    grouping: Grouping,
    /// Whether a directory `category/package` holds an ebuild.
    known: BTreeMap<TreePathBuf, bool>,
    changes: TreeChanges,
}

impl Groups<'_> {
    fn take(&mut self, entry: &Entry<'_>, way: Way) {
        let Some(holder) = entry.path.parent() else {
            return self.changes.directories.entry(TreePath::ROOT.into()).or_default().count(way);
        };
        let Some(package) = self.package_of(entry.path) else {
            return self.changes.directories.entry(holder.into()).or_default().count(way);
        };
        let changes = self.changes.packages.entry(package.into()).or_default();
        let is_file = matches!(entry.kind, Kind::File { .. });
        match entry.path.name().strip_suffix(EBUILD).and_then(|name| TreePath::new(name).ok()) {
            Some(name) if is_file && holder == package => changes.names(way).push(name.to_string()),
            // A package that came or went is named by its ebuilds; its directory is no news beside them.
            _ if entry.path == package => {}
            _ => changes.others.count(way),
        }
    }

    /// The package that `path` is, or lies in.
    fn package_of<'p>(&mut self, path: TreePath<'p>) -> Option<TreePath<'p>> {
        if self.grouping == Grouping::Directories {
            return None;
        }
        let mut lengths = path.components().map(<[u8]>::len);
        let length = lengths.next()? + 1 + lengths.next()?;
        let package = TreePath::new(path.as_bytes().get(..length)?).ok()?;
        if let Some(known) = self.known.get(&TreePathBuf::from(package)) {
            return known.then_some(package);
        }
        let is_package = holds_ebuild(self.new, package) || holds_ebuild(self.old, package);
        self.known.insert(package.into(), is_package);
        is_package.then_some(package)
    }
}

fn holds_ebuild(snapshot: &Snapshot, directory: TreePath<'_>) -> bool {
    let Some(index) = snapshot.find(directory) else { return false };
    snapshot
        .children(index)
        .filter_map(|child| snapshot.entry(child))
        .any(|entry| matches!(entry.kind, Kind::File { .. }) && entry.path.name().ends_with(EBUILD))
}

impl Counts {
    fn count(&mut self, way: Way) {
        match way {
            Way::Added => self.added += 1,
            Way::Removed => self.removed += 1,
            Way::Changed => self.changed += 1,
        }
    }
}

impl PackageChanges {
    fn names(&mut self, way: Way) -> &mut Vec<String> {
        match way {
            Way::Added => &mut self.added,
            Way::Removed => &mut self.removed,
            Way::Changed => &mut self.changed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{ContentId, Mode, Mtime, SnapshotBuilder, Word, diff};

    /// Lines `PATH CONTENT`, or `PATH/ TIME` for a directory; the root and what holds something come by themselves.
    fn tree(lines: &[&str]) -> Snapshot {
        let mut entries: BTreeMap<TreePathBuf, (bool, String)> = BTreeMap::new();
        for line in lines {
            let (path, rest) = line.split_once(' ').unwrap();
            let bare = path.trim_end_matches('/');
            let own = TreePath::new(bare.as_bytes()).unwrap();
            let mut above = own.parent();
            while let Some(directory) = above {
                entries.entry(directory.into()).or_insert((true, "1".to_owned()));
                above = directory.parent();
            }
            entries.insert(own.into(), (path.ends_with('/'), rest.to_owned()));
        }
        let mut builder = SnapshotBuilder::new(Word::new("gentoo").unwrap());
        let mode = Mode::new(0o755).unwrap();
        for (path, (is_directory, rest)) in &entries {
            let content = ContentId::of(rest.as_bytes());
            let size = u64::try_from(rest.len()).unwrap();
            let seconds = if *is_directory { rest.parse().unwrap() } else { 1 };
            let kind = match is_directory {
                true => Kind::Directory { mode },
                false => Kind::File { mode, size, content: &content, group: None },
            };
            builder.push(Entry { path: path.as_path(), mtime: Mtime::new(seconds, 0).unwrap(), kind }).unwrap();
        }
        builder.finish().unwrap()
    }

    /// As lines: `category/package +ebuilds -ebuilds ~ebuilds (others)`, then `directory +n -n ~n`, then the times.
    fn told(old: &[&str], new: &[&str], grouping: Grouping) -> Vec<String> {
        let (old, new) = (tree(old), tree(new));
        let changes = group(&old, &new, &diff(&old, &new), grouping);
        let mut lines = Vec::new();
        for (package, found) in &changes.packages {
            let names = [("+", &found.added), ("-", &found.removed), ("~", &found.changed)];
            let names = names.iter().flat_map(|(mark, names)| names.iter().map(move |name| format!(" {mark}{name}")));
            let Counts { added, removed, changed } = found.others;
            lines.push(format!("{package}{} ({added} {removed} {changed})", names.collect::<String>()));
        }
        for (directory, Counts { added, removed, changed }) in &changes.directories {
            lines.push(format!("{directory} +{added} -{removed} ~{changed}"));
        }
        lines.push(format!("times {}", changes.times));
        lines
    }

    #[test]
    fn ebuilds_are_named_by_package_and_all_else_is_counted() {
        let old = [
            "app-misc/foo/foo-1.0.ebuild a",
            "app-misc/foo/foo-1.1.ebuild a",
            "app-misc/foo/Manifest a",
            "app-misc/foo/files/foo-fix.patch a",
            "app-misc/gone/gone-1.ebuild a",
            "app-misc/gone/Manifest a",
            "app-misc/metadata.xml a",
            "metadata/md5-cache/app-misc/foo-1.0 a",
            "metadata/timestamp.chk a",
            "profiles/ 1",
        ];
        let new = [
            "app-misc/foo/foo-1.1.ebuild b",
            "app-misc/foo/foo-1.2.ebuild a",
            "app-misc/foo/Manifest b",
            "app-misc/foo/files/foo-other.patch a",
            "app-misc/new/new-1.ebuild a",
            "app-misc/metadata.xml b",
            "metadata/md5-cache/app-misc/foo-1.2 a",
            "metadata/timestamp.chk b",
            "profiles/ 2",
        ];
        assert_eq!(
            told(&old, &new, Grouping::Packages),
            [
                "app-misc/foo +foo-1.2 -foo-1.0 ~foo-1.1 (1 1 1)",
                "app-misc/gone -gone-1 (0 1 0)",
                "app-misc/new +new-1 (0 0 0)",
                "app-misc +0 -0 ~1",
                "metadata +0 -0 ~1",
                "metadata/md5-cache/app-misc +1 -1 ~0",
                "times 1",
            ]
        );
    }

    #[test]
    fn without_packages_everything_is_counted_by_directory() {
        let old = ["a/b/c.ebuild a", "d 1"];
        let new = ["a/b/c.ebuild b", "e 1"];
        assert_eq!(told(&old, &new, Grouping::Directories), [". +1 -1 ~0", "a/b +0 -0 ~1", "times 0"]);
        assert_eq!(told(&old, &old, Grouping::Packages), ["times 0"]);
    }

    #[test]
    fn what_only_looks_like_a_package_is_none() {
        let old: [&str; 2] = ["eclass/foo.eclass a", "x 1"];
        let new = [
            // No ebuild in it, an ebuild too high, an ebuild too low, a directory of that name.
            "app-misc/empty/Manifest a",
            "app-misc/high.ebuild a",
            "app-misc/low/files/low-1.ebuild a",
            "app-misc/odd/odd-1.ebuild/ 1",
            "eclass/foo.eclass b",
            "x 1",
        ];
        assert_eq!(
            told(&old, &new, Grouping::Packages),
            [
                ". +1 -0 ~0",
                "app-misc +4 -0 ~0",
                "app-misc/empty +1 -0 ~0",
                "app-misc/low +1 -0 ~0",
                "app-misc/low/files +1 -0 ~0",
                "app-misc/odd +1 -0 ~0",
                "eclass +0 -0 ~1",
                "times 0",
            ]
        );
    }

    #[test]
    fn other_permissions_of_a_directory_are_a_change() {
        let old = tree(&["a/ 1"]);
        let mut builder = SnapshotBuilder::new(Word::new("gentoo").unwrap());
        for (path, bits) in [(".", 0o755), ("a", 0o700)] {
            let kind = Kind::Directory { mode: Mode::new(bits).unwrap() };
            let path = TreePath::new(path.as_bytes()).unwrap();
            builder.push(Entry { path, mtime: Mtime::new(1, 0).unwrap(), kind }).unwrap();
        }
        let new = builder.finish().unwrap();
        let changes = group(&old, &new, &diff(&old, &new), Grouping::Packages);
        let expected = Counts { added: 0, removed: 0, changed: 1 };
        assert_eq!(changes.directories, BTreeMap::from([(TreePath::ROOT.into(), expected)]));
    }
}
