//! Which entries of a snapshot a client is shown: path arguments and filter rules in, a selection out.
//!
//! Pure over a snapshot in memory. A selection is already in the order of rsync's file list
//! (protocol 8.6): within a directory first what is no directory, then each directory with its
//! content. Names are never copied: a name is the entry's path without its first bytes.
//! Per-directory merge files are read through the caller, so this file opens nothing. Symlinks in
//! the directories of an argument are followed inside the module; what leaves it does not exist.

use std::cmp::Ordering;

use super::arguments::{Argument, Naming};
use super::resolve::{Absent, Last, Resolver};
use crate::tree::{Entry, Kind, Snapshot};
use crate::wire::filter::{Filters, Is, Scope};
use crate::wire::flist::DirRole;
use crate::wire::mux::Tag;
use crate::wire::options::{Flag, ListOptions};

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
}

/// One line of the file list to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Selected {
    /// Index in the snapshot.
    pub(crate) entry: u32,
    /// How many bytes of its path are not part of its name.
    cut: u16,
    /// What stands before the rest of the path: an index into the selection's prefixes.
    prefix: u16,
    pub(crate) role: DirRole,
}

/// A selection and what the client is told about it.
#[derive(Default)]
pub(crate) struct Selection {
    pub(crate) selected: Vec<Selected>,
    prefixes: Vec<Vec<u8>>,
    pub(crate) messages: Vec<(Tag, Vec<u8>)>,
    pub(crate) io_error: u32,
}

impl Selection {
    /// The listed name; `buffer` is used where prefix and path must be put together.
    pub(crate) fn name<'a>(&'a self, one: &Selected, entry: &Entry<'a>, buffer: &'a mut Vec<u8>) -> &'a [u8] {
        let path = if entry.path.is_root() { b"".as_slice() } else { entry.path.as_bytes() };
        let rest = path.get(usize::from(one.cut)..).unwrap_or_default();
        let prefix = self.prefixes.get(usize::from(one.prefix)).map_or(b"".as_slice(), Vec::as_slice);
        match (prefix.is_empty(), rest.is_empty()) {
            (true, true) => b".",
            (true, false) => rest,
            (false, _) => {
                buffer.clear();
                buffer.extend_from_slice(prefix);
                buffer.extend_from_slice(rest);
                buffer
            }
        }
    }
}

/// Where names of entries below one argument come from.
#[derive(Clone, Copy)]
struct Names {
    cut: u16,
    prefix: u16,
}

/// Reads a small file by its entry index; `None` if it cannot be read.
pub(crate) type ReadEntry<'a> = dyn FnMut(usize) -> Option<Vec<u8>> + 'a;

/// Selects what `order` asks for. An error is the text of a rule or bound that the client broke.
pub(crate) fn select(
    snapshot: &Snapshot,
    order: &ViewOrder<'_>,
    read: &mut ReadEntry<'_>,
) -> Result<Selection, String> {
    let at = Resolver::new(snapshot, order.root);
    let mut view = View { snapshot, at, order, read, found: Selection::default(), implied: Vec::new() };
    view.found.prefixes.push(Vec::new());
    let naming = if order.options.has(Flag::Relative) { Naming::Relative } else { Naming::Last };
    for raw in order.paths {
        for argument in view.at.expand(Argument::parse(raw, order.module, naming))? {
            view.argument(&argument, naming)?;
        }
    }
    Ok(view.found)
}

struct View<'a, 'r> {
    snapshot: &'a Snapshot,
    at: Resolver<'a>,
    order: &'a ViewOrder<'a>,
    read: &'a mut ReadEntry<'r>,
    found: Selection,
    /// Directories that were listed because `-R` implies them, by entry and name.
    implied: Vec<(usize, Vec<u8>)>,
}

impl View<'_, '_> {
    fn say(&mut self, tag: Tag, text: String) {
        self.found.messages.push((tag, text.into_bytes()));
    }

    fn missing(&mut self, argument: &Argument, naming: Naming, why: Absent) {
        if self.order.options.has(Flag::IgnoreMissingArgs) && why == Absent::Missing {
            return;
        }
        let text = |parts: &[Vec<u8>]| parts.iter().map(|p| shown(p)).collect::<Vec<_>>().join("/");
        let (base, all) = (argument.components.get(..argument.base).unwrap_or_default(), &argument.components);
        let module = self.order.module;
        let base_is_there = self.at.resolve(base, Last::Follow).is_ok_and(|at| self.at.is_directory(at));
        if naming == Naming::Last && !base_is_there {
            self.found.io_error |= IO_ERROR_GENERAL;
            let why = why.text();
            return self.say(
                Tag::ErrorXfer,
                format!("rsync: [sender] change_dir \"{}\" (in {module}) failed: {why}\n", text(base)),
            );
        }
        if why != Absent::Missing {
            self.found.io_error |= IO_ERROR_GENERAL;
        }
        let slash = if naming == Naming::Last && !base.is_empty() { "/" } else { "" };
        let why = why.text();
        self.say(
            Tag::ErrorXfer,
            format!("rsync: [sender] link_stat \"{slash}{}\" (in {module}) failed: {why}\n", text(all)),
        );
    }

    fn argument(&mut self, argument: &Argument, naming: Naming) -> Result<(), String> {
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
        let scope = self.order.filters.root_scope(&base_text).map_err(|error| error.to_string())?;
        if naming == Naming::Relative {
            self.imply_parents(argument)?;
        }
        let name = argument.name().join(&b'/');
        let names = self.names(target, &name)?;
        if !name.is_empty() && self.excluded(&scope, &name, target) {
            return Ok(());
        }
        self.list(target, names, &name, argument.content, &scope)
    }

    /// Lists the argument itself and, where the options say so, what it holds (protocol 8.10.1).
    fn list(&mut self, target: usize, names: Names, name: &[u8], content: bool, scope: &Scope) -> Result<(), String> {
        if !self.at.is_directory(target) {
            self.push(target, names, DirRole::NotADirectory);
            return Ok(());
        }
        let options = self.order.options;
        if options.has(Flag::Recursive) {
            self.push(target, names, DirRole::Argument);
            let scope = self.enter(scope, name)?;
            return self.walk(target, names, scope);
        }
        if !options.has(Flag::Dirs) {
            let text = if name.is_empty() { ".".to_owned() } else { shown(name) };
            self.say(Tag::Info, format!("skipping directory {text}\n"));
            return Ok(());
        }
        if !content {
            self.push(target, names, DirRole::NoContent);
            return Ok(());
        }
        self.push(target, names, DirRole::Argument);
        let scope = self.enter(scope, name)?;
        for directory in self.files_then_directories(target, names, &scope) {
            self.push(directory, names, DirRole::NoContent);
        }
        Ok(())
    }

    /// Everything below `top`, depth first, in list order. An explicit stack: depth comes from the tree.
    fn walk(&mut self, top: usize, names: Names, scope: Scope) -> Result<(), String> {
        let merges = self.order.filters.has_merges();
        let mut stack = vec![(top, scope)];
        while let Some((directory, scope)) = stack.pop() {
            let scope = if directory == top {
                scope
            } else {
                self.push(directory, names, DirRole::Found);
                if merges { self.enter(&scope, &self.name_of(directory, names))? } else { scope }
            };
            for inner in self.files_then_directories(directory, names, &scope).into_iter().rev() {
                stack.push((inner, scope.clone()));
            }
        }
        Ok(())
    }

    /// Lists the children of `directory` that are no directories; gives back its directories in list order.
    fn files_then_directories(&mut self, directory: usize, names: Names, scope: &Scope) -> Vec<usize> {
        let snapshot = self.snapshot;
        let mut directories = Vec::new();
        for child in snapshot.children(directory) {
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
        directories
    }

    fn excluded_entry(&self, scope: &Scope, entry: &Entry<'_>, names: Names) -> bool {
        if self.order.filters.is_empty() {
            return false;
        }
        let is = if entry.is_directory() { Is::Directory } else { Is::Other };
        match entry.path.as_bytes().get(usize::from(names.cut)..) {
            Some(rest) if names.prefix == 0 => self.order.filters.excludes(scope, rest, is),
            rest => {
                let prefix = self.found.prefixes.get(usize::from(names.prefix)).map_or(b"".as_slice(), Vec::as_slice);
                let name = [prefix, rest.unwrap_or_default()].concat();
                self.order.filters.excludes(scope, &name, is)
            }
        }
    }

    fn excluded(&self, scope: &Scope, name: &[u8], index: usize) -> bool {
        let is = if self.at.is_directory(index) { Is::Directory } else { Is::Other };
        self.order.filters.excludes(scope, name, is)
    }

    fn push(&mut self, entry: usize, names: Names, role: DirRole) {
        // A snapshot holds at most 8,000,000 entries.
        let entry = u32::try_from(entry).unwrap_or(u32::MAX);
        self.found.selected.push(Selected { entry, cut: names.cut, prefix: names.prefix, role });
    }

    fn name_of(&self, index: usize, names: Names) -> Vec<u8> {
        let one = Selected { entry: 0, cut: names.cut, prefix: names.prefix, role: DirRole::Found };
        let mut buffer = Vec::new();
        self.at.entry(index).map_or_else(Vec::new, |entry| self.found.name(&one, &entry, &mut buffer).to_vec())
    }

    /// How names below `target` follow from paths, when `target` itself is called `name` ("" for the dot entry).
    fn names(&mut self, target: usize, name: &[u8]) -> Result<Names, String> {
        let path =
            self.at.entry(target).map_or(b"".as_slice(), |e| if e.path.is_root() { b"" } else { e.path.as_bytes() });
        if name.is_empty() {
            // The dot entry: its children's names start behind its own path and a slash.
            let cut = if path.is_empty() { 0 } else { path.len() + 1 };
            return Ok(Names { cut: u16::try_from(cut).unwrap_or(u16::MAX), prefix: 0 });
        }
        if let Some(before) = path.strip_suffix(name) {
            return Ok(Names { cut: u16::try_from(before.len()).unwrap_or(u16::MAX), prefix: 0 });
        }
        let cut = u16::try_from(path.len()).unwrap_or(u16::MAX);
        let prefix = u16::try_from(self.found.prefixes.len()).map_err(|_| "too many path arguments".to_owned())?;
        self.found.prefixes.push(name.to_vec());
        Ok(Names { cut, prefix })
    }

    /// Lists the directories that `-R` implies, once a session (protocol 8.10.2).
    fn imply_parents(&mut self, argument: &Argument) -> Result<(), String> {
        let mut depths: Vec<usize> = (argument.base + 1..argument.components.len()).collect();
        if argument.implied_root {
            depths.insert(0, argument.base);
        }
        for depth in depths {
            let components = argument.components.get(..depth).unwrap_or_default();
            let name = components.get(argument.base..).unwrap_or_default().join(&b'/');
            let Ok(index) = self.at.resolve(components, Last::Follow) else { continue };
            if self.implied.contains(&(index, name.clone())) {
                continue;
            }
            let names = self.names(index, &name)?;
            self.implied.push((index, name));
            self.push(index, names, DirRole::Implied);
        }
        Ok(())
    }

    fn enter(&mut self, scope: &Scope, directory: &[u8]) -> Result<Scope, String> {
        let filters = self.order.filters;
        if !filters.has_merges() {
            return Ok(scope.clone());
        }
        let mut read = |path: &[u8]| self.read_path(path);
        filters.enter(scope, directory, &mut read).map_err(|error| error.to_string())
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
