//! Which entries of a snapshot a client is shown: path arguments and filter rules in, a selection out.
//!
//! Pure over a snapshot in memory. A selection is already in the order of rsync's file list
//! (protocol 8.6): within a directory first what is no directory, then each directory with its
//! content. What was listed with all it holds is not listed again under the same name.
//! Per-directory merge files are read through the caller, so this file opens nothing. Symlinks in
//! the directories of an argument are followed inside the module; what leaves it does not exist.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::arguments::{Argument, Naming};
use super::effort::Effort;
use super::listing::NoList;
use super::resolve::{Absent, Last, Matches, Resolver};
use super::selection::{Names, Selection, path_of};
use crate::tree::{Entry, Kind, Snapshot};
use crate::wire::filter::{Filters, Is, Scope};
use crate::wire::flist::DirRole;
use crate::wire::mux::Tag;
use crate::wire::options::{Flag, ListOptions, split_old_args};

/// io_error bit 1: something was wrong, so the client must not delete (protocol 5.2).
pub(crate) const IO_ERROR_GENERAL: u32 = 1;

/// What the client asked for.
pub(crate) struct ViewOrder<'a> {
    pub(crate) module: &'a str,
    /// The module's root inside the snapshot.
    pub(crate) root: usize,
    pub(crate) options: ListOptions,
    pub(crate) filters: &'a Filters,
    pub(crate) paths: &'a [Vec<u8>],
    /// Says when it is enough.
    pub(crate) effort: &'a Effort,
}

/// Reads a small file by its entry index; `None` if it cannot be read.
pub(crate) type ReadEntry<'a> = dyn FnMut(usize) -> Option<Vec<u8>> + 'a;

/// Selects what `order` asks for. An error is the text of a rule or bound that the client broke.
pub(crate) fn select(
    snapshot: &Snapshot,
    order: &ViewOrder<'_>,
    read: &mut ReadEntry<'_>,
) -> Result<Selection, NoList> {
    let at = Resolver::new(snapshot, order.root);
    let found = Selection::new(snapshot.len());
    let mut view = View { snapshot, at, order, read, found, implied: HashSet::new(), walked: HashSet::new() };
    let naming = if order.options.has(Flag::Relative) { Naming::Relative } else { Naming::Last };
    let pieces = order.paths.iter().flat_map(|path| split_old_args(order.module.as_bytes(), path));
    for raw in pieces {
        let mut matches = Matches::of(Argument::parse(raw, order.module, naming));
        while let Some(argument) = matches.next(&mut view.at, order.effort)? {
            view.argument(&argument, naming)?;
        }
    }
    Ok(view.found.finish())
}

struct View<'a, 'r> {
    snapshot: &'a Snapshot,
    at: Resolver<'a>,
    order: &'a ViewOrder<'a>,
    read: &'a mut ReadEntry<'r>,
    found: Selection,
    /// Directories that were listed because `-R` implies them, by entry and name.
    implied: HashSet<(usize, Vec<u8>)>,
    /// Directories that were listed with all they hold, by entry and name.
    walked: HashSet<(usize, Vec<u8>)>,
}

impl View<'_, '_> {
    fn missing(&mut self, argument: &Argument, naming: Naming, why: Absent) {
        let text = |parts: &[Vec<u8>]| parts.iter().map(|p| shown(p)).collect::<Vec<_>>().join("/");
        let (base, all) = (argument.components.get(..argument.base).unwrap_or_default(), &argument.components);
        let module = self.order.module;
        let base_is_there = self.at.resolve(base, Last::Follow).is_ok_and(|at| self.at.is_directory(at));
        if (naming == Naming::Last || argument.base > 0) && !base_is_there {
            self.found.io_error |= IO_ERROR_GENERAL;
            let why = why.text();
            return self.found.say(
                Tag::ErrorXfer,
                format!("rsync: [sender] change_dir \"{}\" (in {module}) failed: {why}\n", text(base)),
            );
        }
        match why {
            Absent::Missing if self.order.options.has(Flag::IgnoreMissingArgs) => return,
            Absent::Missing => {}
            Absent::NotADirectory => self.found.io_error |= IO_ERROR_GENERAL,
        }
        let slash = if naming == Naming::Last && !base.is_empty() { "/" } else { "" };
        let why = why.text();
        self.found.say(
            Tag::ErrorXfer,
            format!("rsync: [sender] link_stat \"{slash}{}\" (in {module}) failed: {why}\n", text(all)),
        );
    }

    fn argument(&mut self, argument: &Argument, naming: Naming) -> Result<(), NoList> {
        self.order.effort.look()?;
        self.found.bounded()?;
        let last = if argument.content { Last::Follow } else { Last::Keep };
        let target = match self.at.resolve(&argument.components, last) {
            Ok(target) if argument.content && !self.at.is_directory(target) => {
                self.missing(argument, naming, Absent::NotADirectory);
                return Ok(());
            }
            Ok(target) => target,
            Err(why) => {
                self.missing(argument, naming, why);
                return Ok(());
            }
        };
        let base = argument.components.get(..argument.base).unwrap_or_default();
        let base_text = base.join(&b'/');
        let scope = self.order.filters.root_scope(&base_text)?;
        let name = argument.name().join(&b'/');
        if !name.is_empty() && self.excluded(&scope, &name, target) {
            return Ok(());
        }
        let options = self.order.options;
        if self.at.is_directory(target) && !options.has(Flag::Recursive) && !options.has(Flag::Dirs) {
            let text = if name.is_empty() { ".".to_owned() } else { shown(&name) };
            self.found.say(Tag::Info, format!("skipping directory {text}\n"));
            return Ok(());
        }
        if naming == Naming::Relative {
            self.imply_parents(argument)?;
        }
        let names = self.names(target, &name)?;
        self.list(target, names, &name, argument.content, &scope)
    }

    /// Lists the argument itself and, where the options say so, what it holds (protocol 8.10.1).
    fn list(&mut self, target: usize, names: Names, name: &[u8], content: bool, scope: &Scope) -> Result<(), NoList> {
        if !self.at.is_directory(target) {
            self.push(target, names, DirRole::NotADirectory);
            return Ok(());
        }
        if self.order.options.has(Flag::Recursive) {
            if !self.walked.insert((target, name.to_vec())) {
                return Ok(());
            }
            self.push(target, names, DirRole::Argument);
            let scope = self.enter(scope, name)?;
            return self.walk(target, names, scope);
        }
        if !content {
            self.push(target, names, DirRole::NoContent);
            return Ok(());
        }
        self.push(target, names, DirRole::Argument);
        let scope = self.enter(scope, name)?;
        for directory in self.files_then_directories(target, names, &scope)? {
            self.push(directory, names, DirRole::NoContent);
        }
        Ok(())
    }

    /// Everything below `top`, depth first, in list order. An explicit stack: depth comes from the tree.
    fn walk(&mut self, top: usize, names: Names, scope: Scope) -> Result<(), NoList> {
        let merges = self.order.filters.has_merges();
        let mut stack = vec![(top, scope)];
        while let Some((directory, scope)) = stack.pop() {
            self.found.bounded()?;
            let scope = if directory == top {
                scope
            } else {
                self.push(directory, names, DirRole::Found);
                if merges { self.enter(&scope, &self.name_of(directory, names))? } else { scope }
            };
            for inner in self.files_then_directories(directory, names, &scope)?.into_iter().rev() {
                stack.push((inner, scope.clone()));
            }
        }
        Ok(())
    }

    /// Lists the children of `directory` that are no directories; gives back its directories in list order.
    fn files_then_directories(&mut self, directory: usize, names: Names, scope: &Scope) -> Result<Vec<usize>, NoList> {
        let snapshot = self.snapshot;
        let mut directories = Vec::new();
        for child in snapshot.children(directory) {
            self.order.effort.step()?;
            let Some(entry) = snapshot.entry(child) else { continue };
            if self.excluded_entry(scope, &entry, names) {
                continue;
            }
            if entry.is_directory() {
                directories.push(child);
            } else {
                self.push(child, names, DirRole::NotADirectory);
            }
        }
        directories.sort_by(|a, b| match (snapshot.entry(*a), snapshot.entry(*b)) {
            (Some(a), Some(b)) => with_slash(a.path.name(), b.path.name()),
            _ => Ordering::Equal,
        });
        Ok(directories)
    }

    fn excluded_entry(&self, scope: &Scope, entry: &Entry<'_>, names: Names) -> bool {
        if self.order.filters.is_empty() {
            return false;
        }
        let is = if entry.is_directory() { Is::Directory } else { Is::Other };
        let mut buffer = Vec::new();
        self.order.filters.excludes(scope, self.found.name_by(names, path_of(entry), &mut buffer), is)
    }

    fn excluded(&self, scope: &Scope, name: &[u8], index: usize) -> bool {
        let is = if self.at.is_directory(index) { Is::Directory } else { Is::Other };
        self.order.filters.excludes(scope, name, is)
    }

    fn push(&mut self, entry: usize, names: Names, role: DirRole) {
        self.found.push(entry, names, role);
    }

    fn name_of(&self, index: usize, names: Names) -> Vec<u8> {
        let mut buffer = Vec::new();
        self.at.entry(index).map_or_else(Vec::new, |e| self.found.name_by(names, path_of(&e), &mut buffer).to_vec())
    }

    /// How names below `target` follow from paths, when `target` itself is called `name` ("" for the dot entry).
    fn names(&mut self, target: usize, name: &[u8]) -> Result<Names, NoList> {
        let path = self.at.entry(target).map_or(b"".as_slice(), |entry| path_of(&entry));
        if name.is_empty() {
            // The dot entry: its children's names start behind its own path and a slash.
            return Ok(Selection::ends(if path.is_empty() { 0 } else { path.len() + 1 }));
        }
        match path.strip_suffix(name) {
            Some(before) => Ok(Selection::ends(before.len())),
            None => self.found.instead(name, path.len()),
        }
    }

    /// Lists the directories that `-R` implies, once a session (protocol 8.10.2).
    fn imply_parents(&mut self, argument: &Argument) -> Result<(), NoList> {
        let mut depths: Vec<usize> = (argument.base + 1..argument.components.len()).collect();
        if argument.implied_root {
            depths.insert(0, argument.base);
        }
        for depth in depths {
            let components = argument.components.get(..depth).unwrap_or_default();
            let name = components.get(argument.base..).unwrap_or_default().join(&b'/');
            self.order.effort.step()?;
            let Ok(index) = self.at.resolve(components, Last::Follow) else { continue };
            if self.implied.insert((index, name.clone())) {
                let names = self.names(index, &name)?;
                self.push(index, names, DirRole::Implied);
            }
        }
        Ok(())
    }

    fn enter(&mut self, scope: &Scope, directory: &[u8]) -> Result<Scope, NoList> {
        let filters = self.order.filters;
        if !filters.has_merges() {
            return Ok(scope.clone());
        }
        let mut read = |path: &[u8]| self.read_path(path);
        Ok(filters.enter(scope, directory, &mut read)?)
    }

    /// Reads a merge file by its path below the module root; links that leave the module are not followed.
    fn read_path(&mut self, path: &[u8]) -> Option<Vec<u8>> {
        let components: Vec<Vec<u8>> = path.split(|b| *b == b'/').map(<[u8]>::to_vec).collect();
        let index = self.at.resolve(&components, Last::Follow).ok()?;
        matches!(self.at.entry(index)?.kind, Kind::File { .. }).then(|| (self.read)(index)).flatten()
    }
}

/// Compares directory names as the list does: with a slash behind each (protocol 8.6).
fn with_slash(a: &[u8], b: &[u8]) -> Ordering {
    let shared = a.len().min(b.len());
    let (start_a, rest_a) = a.split_at(shared);
    let (start_b, rest_b) = b.split_at(shared);
    start_a
        .cmp(start_b)
        .then_with(|| rest_a.first().copied().unwrap_or(b'/').cmp(&rest_b.first().copied().unwrap_or(b'/')))
}

/// A name in a message: control characters are escaped, so that it cannot break a terminal or a log line.
pub(crate) fn shown(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for c in String::from_utf8_lossy(name).chars() {
        if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::wire::filter::CvsExclude;
    use crate::wire::options::Options;

    /// What the module holds. A slash ends a directory, an arrow points from a symlink to its target.
    const TREE: [&str; 24] = [
        "abs -> /etc",
        "cat-a/",
        "cat-a/x",
        "cat-b/",
        "cat-b/y",
        "cat.list",
        "dangling -> nowhere",
        "dir/",
        "dir/.rules",
        "dir/file",
        "dir/keep.o",
        "dir/sub/",
        "dir/sub/deep/",
        "dir/sub/deep/q",
        "dir/sub/one.o",
        "dir/sub-2/",
        "dir/zero",
        "out -> ../outside",
        "round -> round",
        "self -> .",
        "sp ace",
        "sub -> dir/sub/",
        "top",
        "up -> dir/sub/../file",
    ];

    /// What per-directory files say.
    const RULES: &str = "- *.o\n- /zero\n";

    fn snapshot(below: &str) -> Snapshot {
        let mut entries: Vec<String> = TREE.iter().map(|entry| format!("{below}{entry}")).collect();
        let parents = below.match_indices('/').map(|(at, _)| below[..=at].to_owned());
        entries.extend(parents);
        if !below.is_empty() {
            entries.push("outside".to_owned());
        }
        entries
            .sort_by_key(|entry| entry.split(" -> ").next().map(|path| path.trim_end_matches('/').replace('/', "\0")));
        let mut text = "headwater snapshot 1\nrepository gentoo\nd 755 1 .\n".to_owned();
        for entry in &entries {
            text += &match (entry.split_once(" -> "), entry.strip_suffix('/')) {
                (Some((path, target)), _) => format!("l 1 {target} {path}\n"),
                (None, Some(path)) => format!("d 755 1 {path}\n"),
                (None, None) => format!("f 644 1 0 {} {entry}\n", "0".repeat(128)),
            };
        }
        Snapshot::parse(text.as_bytes()).expect("a snapshot")
    }

    /// Names in list order; a directory ends in a slash, and then `!`: named with its content, `-`: without it,
    /// `^`: implied. Then what is said, in braces, and the error bits.
    fn listed(below: &str, options: &str, rules: &[&str], paths: &[&str]) -> String {
        let snapshot = snapshot(below);
        let flags = options.chars().map(|letter| match letter {
            'r' => Flag::Recursive,
            'd' => Flag::Dirs,
            'R' => Flag::Relative,
            'i' => Flag::IgnoreMissingArgs,
            other => panic!("{other}"),
        });
        let options = flags.fold(Options::default(), Options::with).list_options();
        let rules: Vec<Vec<u8>> = rules.iter().map(|rule| rule.as_bytes().to_vec()).collect();
        let filters = Filters::parse(&rules, CvsExclude::No).expect("rules");
        let paths: Vec<Vec<u8>> = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        let root = match below.trim_end_matches('/') {
            "" => 0,
            path => snapshot.find(crate::tree::TreePath::new(path.as_bytes()).expect("a path")).expect("a root"),
        };
        let effort = &Effort::new(Arc::default());
        let order = ViewOrder { module: "mod", root, options, filters: &filters, paths: &paths, effort };
        let mut read = |index: usize| {
            let entry = snapshot.entry(index).expect("an entry");
            (entry.path.name() == b".rules").then(|| RULES.as_bytes().to_vec())
        };
        match select(&snapshot, &order, &mut read) {
            Ok(selection) => told(&snapshot, &selection),
            Err(NoList { code, text }) => format!("code {code}: {text}"),
        }
    }

    fn told(snapshot: &Snapshot, selection: &Selection) -> String {
        let mut told: Vec<String> = Vec::new();
        for one in &selection.selected {
            let mut buffer = Vec::new();
            let name = String::from_utf8(selection.name(one, snapshot, &mut buffer).to_vec()).expect("a name");
            let role = match one.role {
                DirRole::Argument => "/!",
                DirRole::Found => "/",
                DirRole::NoContent => "/-",
                DirRole::Implied => "/^",
                DirRole::NotADirectory => "",
            };
            told.push(name + role);
        }
        for (tag, text) in &selection.messages {
            let text = String::from_utf8_lossy(text);
            let text = text.trim_end().trim_start_matches("rsync: [sender] ").replace(" (in mod) failed", "");
            told.push(format!("{{{tag:?} {text}}}"));
        }
        if selection.io_error != 0 {
            told.push(format!("io_error {}", selection.io_error));
        }
        told.join(" ")
    }

    fn check(options: &str, rules: &[&str], paths: &[&str], expected: &str) {
        // A module that is a directory of its snapshot shows the same: also what lies beside it is outside.
        for below in ["", "in/side/"] {
            assert_eq!(listed(below, options, rules, paths), expected, "-{options} {rules:?} {paths:?} in {below:?}");
        }
    }

    const DIR: &str = ".rules file keep.o zero sub-2/ sub/ sub/one.o sub/deep/ sub/deep/q";

    /// [`DIR`] with `before` in front of each name.
    fn dir(before: &str) -> String {
        DIR.split(' ').map(|name| format!("{before}{name}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn arguments_are_listed_by_their_last_component() {
        check("r", &[], &["mod/top"], "top");
        check("r", &[], &["mod/dir"], &format!("dir/! {}", dir("dir/")));
        check("r", &[], &["mod/dir/"], &format!("./! {DIR}"));
        check("r", &[], &["mod/dir/."], &format!("./! {DIR}"));
        check("r", &[], &["mod/dir/sub/deep"], "deep/! deep/q");
        check("r", &[], &["mod//dir/./sub//deep/"], "./! q");
        check("r", &[], &["mod/cat-a", "mod/top", "mod/cat-a"], "cat-a/! cat-a/x top");
        check(
            "r",
            &[],
            &["mod/dir/sub", "mod/dir/sub/deep/"],
            "sub/! sub/one.o sub/deep/! sub/deep/q ./! q".replace("sub/deep/!", "sub/deep/").as_str(),
        );
        check("r", &[], &["mod/cat-a mod/top"], "cat-a/! cat-a/x top");
        check(
            "r",
            &[],
            &["top", "module/x"],
            "top {ErrorXfer change_dir \"module\": No such file or directory (2)} io_error 1",
        );
    }

    #[test]
    fn a_place_that_is_named_again_and_again_is_listed_once() {
        let whole = listed("", "r", &[], &["mod/"]);
        assert_eq!(listed("", "r", &[], &vec!["mod/"; 16_000]), whole);
        let through_links: Vec<String> = (0..40).map(|hops| format!("mod/{}", "self/".repeat(hops))).collect();
        let through_links: Vec<&str> = through_links.iter().map(String::as_str).collect();
        assert_eq!(listed("", "r", &[], &through_links.repeat(100)), whole);
        // Under another name it is another place.
        assert_eq!(listed("", "r", &[], &["mod/cat-a", "mod/cat-a/"]), "cat-a/! cat-a/x ./! x");
        assert_eq!(listed("", "r", &[], &["mod/top"; 3]), "top top top");
        let most = "the arguments name the same files again and again: name each place once";
        assert_eq!(listed("", "r", &[], &vec!["mod/top"; 110_000]), format!("code 3: {most}"));
    }

    #[test]
    fn no_argument_leads_out_of_the_module() {
        check("r", &[], &["mod/../top"], "top");
        check("r", &[], &["mod/../../outside"], "{ErrorXfer link_stat \"outside\": No such file or directory (2)}");
        check("r", &[], &["mod/dir/../top"], "top");
        check("r", &[], &["mod/out"], "out");
        check("r", &[], &["mod/out/"], "{ErrorXfer change_dir \"out\": No such file or directory (2)} io_error 1");
        check(
            "r",
            &[],
            &["mod/abs/passwd"],
            "{ErrorXfer change_dir \"abs\": No such file or directory (2)} io_error 1",
        );
        check(
            "r",
            &[],
            &["mod/self/out/x"],
            "{ErrorXfer change_dir \"self/out\": No such file or directory (2)} io_error 1",
        );
        check("r", &[], &["mod/round/x"], "{ErrorXfer change_dir \"round\": No such file or directory (2)} io_error 1");
    }

    #[test]
    fn symlinks_are_followed_on_the_way_and_listed_at_the_end() {
        check("r", &[], &["mod/sub"], "sub");
        check("r", &[], &["mod/sub/"], "./! one.o deep/ deep/q");
        check("r", &[], &["mod/sub/deep"], "deep/! deep/q");
        check("r", &[], &["mod/self/self/sub/one.o"], "one.o");
        check("r", &[], &["mod/up"], "up");
        check("r", &[], &["mod/dangling"], "dangling");
        check("rR", &[], &["mod/sub/deep"], "sub/^ sub/deep/! sub/deep/q");
        check("rR", &[], &["mod/sub/"], "sub/! sub/one.o sub/deep/ sub/deep/q");
        check("rR", &["- one.o"], &["mod/self/sub/"], "self/^ self/sub/! self/sub/deep/ self/sub/deep/q");
    }

    #[test]
    fn relative_names_carry_their_parents_once() {
        check("rR", &[], &["mod/dir/sub/one.o"], "dir/^ dir/sub/^ dir/sub/one.o");
        check("rR", &[], &["mod/dir/file", "mod/dir/zero"], "dir/^ dir/file dir/zero");
        check("rR", &[], &["mod/dir/./sub/one.o"], "sub/^ sub/one.o");
        check("rR", &[], &["mod/./dir/file"], "./^ dir/^ dir/file");
        check("rR", &[], &["mod/dir/sub/./"], "./! one.o deep/ deep/q");
        check("rR", &[], &["mod/dir/sub/deep/"], "dir/^ dir/sub/^ dir/sub/deep/! dir/sub/deep/q");
        check("R", &[], &["mod/dir/sub"], "{Info skipping directory dir/sub}");
        check("rR", &["- sub"], &["mod/dir/sub"], "");
        check("rR", &["- dir/"], &["mod/dir/file"], "dir/^ dir/file");
        check("rR", &[], &["mod/dir/no"], "{ErrorXfer link_stat \"dir/no\": No such file or directory (2)}");
        check("rR", &[], &["mod/top/x"], "{ErrorXfer link_stat \"top/x\": Not a directory (20)} io_error 1");
    }

    #[test]
    fn wildcards_stand_for_what_is_there() {
        check("r", &[], &["mod/cat*"], "cat-a/! cat-a/x cat-b/! cat-b/y cat.list");
        check("r", &[], &["mod/cat*/"], "./! x ./! y");
        check("r", &[], &["mod/cat*/x"], "x {ErrorXfer link_stat \"/cat-b/x\": No such file or directory (2)}");
        check(
            "r",
            &[],
            &["mod/d?r/s*/deep"],
            "deep/! deep/q {ErrorXfer link_stat \"/dir/sub-2/deep\": No such file or directory (2)}",
        );
        check("r", &[], &["mod/sp[ ]ace"], "sp ace");
        check("r", &[], &["mod/su?/"], "./! one.o deep/ deep/q");
        check(
            "r",
            &[],
            &["mod/*/.rules"],
            ".rules {ErrorXfer link_stat \"/cat-a/.rules\": No such file or directory (2)} \
            {ErrorXfer link_stat \"/cat-b/.rules\": No such file or directory (2)} \
            {ErrorXfer link_stat \"/self/.rules\": No such file or directory (2)} \
            {ErrorXfer link_stat \"/sub/.rules\": No such file or directory (2)}",
        );
        check("r", &[], &["mod/no*"], "{ErrorXfer link_stat \"no*\": No such file or directory (2)}");
        check("rR", &[], &["mod/cat-[ab]/"], "cat-a/! cat-a/x cat-b/! cat-b/y");
    }

    #[test]
    fn without_recursion_directories_are_skipped_or_stand_for_themselves() {
        check("", &[], &["mod/dir"], "{Info skipping directory dir}");
        check("", &[], &["mod/"], "{Info skipping directory .}");
        check("", &[], &["mod/dir/file"], "file");
        check("d", &[], &["mod/dir"], "dir/-");
        check("d", &[], &["mod/dir/"], "./! .rules file keep.o zero sub-2/- sub/-");
        check("dR", &[], &["mod/dir/sub/"], "dir/^ dir/sub/! dir/sub/one.o dir/sub/deep/-");
    }

    #[test]
    fn what_is_missing_is_named_and_only_trouble_stops_deletion() {
        check("r", &[], &["mod/no"], "{ErrorXfer link_stat \"no\": No such file or directory (2)}");
        check(
            "r",
            &[],
            &["mod/dir/no", "mod/top"],
            "top {ErrorXfer link_stat \"/dir/no\": No such file or directory (2)}",
        );
        check("r", &[], &["mod/no/"], "{ErrorXfer change_dir \"no\": No such file or directory (2)} io_error 1");
        check("r", &[], &["mod/no/x"], "{ErrorXfer change_dir \"no\": No such file or directory (2)} io_error 1");
        check("r", &[], &["mod/top/"], "{ErrorXfer change_dir \"top\": Not a directory (20)} io_error 1");
        check("r", &[], &["mod/dir/file/x"], "{ErrorXfer change_dir \"dir/file\": Not a directory (20)} io_error 1");
        check("ri", &[], &["mod/no", "mod/dir/no"], "");
        check("ri", &[], &["mod/no/x"], "{ErrorXfer change_dir \"no\": No such file or directory (2)} io_error 1");
    }

    #[test]
    fn rules_hide_what_they_name_and_files_of_rules_what_is_below() {
        check("r", &["- *.o"], &["mod/dir/"], "./! .rules file zero sub-2/ sub/ sub/deep/ sub/deep/q");
        check("r", &["- /sub/"], &["mod/dir/"], "./! .rules file keep.o zero sub-2/");
        check("r", &["- /dir/sub/"], &["mod/dir"], "dir/! dir/.rules dir/file dir/keep.o dir/zero dir/sub-2/");
        check("r", &["+ */", "+ q", "- *"], &["mod/dir/"], "./! sub-2/ sub/ sub/deep/ sub/deep/q");
        check("r", &["- top"], &["mod/top", "mod/cat-a"], "cat-a/! cat-a/x");
        check("r", &["- dir"], &["mod/dir/"], &format!("./! {DIR}"));
        check("r", &[": .rules"], &["mod/dir/"], "./! .rules file sub-2/ sub/ sub/deep/ sub/deep/q");
        check(
            "r",
            &[": .rules"],
            &["mod/dir"],
            "dir/! dir/.rules dir/file dir/sub-2/ dir/sub/ dir/sub/deep/ dir/sub/deep/q",
        );
        check("r", &[":n .rules"], &["mod/dir/"], "./! .rules file sub-2/ sub/ sub/one.o sub/deep/ sub/deep/q");
        check("r", &[": /.rules"], &["mod/dir/sub/"], "./! deep/ deep/q");
    }
}
