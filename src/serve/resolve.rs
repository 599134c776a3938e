//! From a path argument to entries of a snapshot: components are looked up, symlinks followed, wildcards matched.
//!
//! Pure over a snapshot in memory. Whatever a client writes, and whatever a symlink says, the walk starts at the
//! module's root and never leaves it: what lies outside does not exist (protocol 14.3).

use std::collections::VecDeque;

use super::arguments::Argument;
use super::effort::Effort;
use super::listing::NoList;
use super::selection::path_of;
use crate::tree::{Entry, Kind, Snapshot, TreePath};
use crate::wire::filter::{Filters, Is, Scope};
use crate::wire::wild::{glob_component, has_wildcards};

/// Symlinks followed in one argument, as the usual limit of file systems.
const MAX_LINK_HOPS: usize = 40;

/// Why an argument leads nowhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    Missing,
    NotADirectory,
    /// Symlinks that lead round and round.
    Circle,
}

impl Absent {
    pub(super) fn text(self) -> &'static str {
        match self {
            Absent::Missing => "No such file or directory (2)",
            Absent::NotADirectory => "Not a directory (20)",
            Absent::Circle => "Too many levels of symbolic links (40)",
        }
    }
}

/// Whether a symlink at the end of a path is followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    Keep,
}

/// A module's root inside a snapshot, from which paths are looked up, and what the module's own rules hide: whatever
/// they name does not exist, by whatever way one comes there (protocol 6.5).
pub(super) struct Resolver<'a> {
    snapshot: &'a Snapshot,
    root: usize,
    rules: &'a Filters,
    scope: Scope,
    /// What wildcards may still match, so that `*/*/*/*` cannot multiply without end.
    matches: usize,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        root: usize,
        rules: &'a Filters,
        matches: usize,
    ) -> Result<Resolver<'a>, NoList> {
        Ok(Resolver { snapshot, root, rules, scope: rules.root_scope(b"")?, matches })
    }

    pub(super) fn entry(&self, index: usize) -> Option<Entry<'a>> {
        self.snapshot.entry(index)
    }

    pub(super) fn is_directory(&self, index: usize) -> bool {
        self.entry(index).is_some_and(|e| e.is_directory())
    }

    /// Whether the module has rules of its own.
    pub(super) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Whether the module's rules hide this path below its root.
    pub(super) fn hides(&self, path: &[u8], is: Is) -> bool {
        self.has_rules() && !path.is_empty() && self.rules.excludes(&self.scope, path, is)
    }

    /// Whether the module's rules hide an entry whose directory they do not hide.
    pub(super) fn is_hidden(&self, index: usize) -> bool {
        if !self.has_rules() {
            return false;
        }
        let is = if self.is_directory(index) { Is::Directory } else { Is::Other };
        self.hides(self.path(index), is)
    }

    /// Whether the module's rules hide a symlink when it counts as the directory that it leads to.
    fn is_hidden_as_directory(&self, index: usize) -> bool {
        let is_symlink = || matches!(self.entry(index).map(|entry| entry.kind), Some(Kind::Symlink { .. }));
        let leads_to_directory = || self.behind(index).is_ok_and(|target| self.is_directory(target));
        self.has_rules() && is_symlink() && self.hides(self.path(index), Is::Directory) && leads_to_directory()
    }

    /// The path from the module's root; empty for the root itself.
    pub(super) fn path(&self, index: usize) -> &'a [u8] {
        let path = |index: usize| self.entry(index).map_or(b"".as_slice(), |entry| path_of(&entry));
        let below = path(index).strip_prefix(path(self.root)).unwrap_or_default();
        below.strip_prefix(b"/").unwrap_or(below)
    }

    fn child(&self, directory: usize, name: &[u8]) -> Option<usize> {
        let path = self.entry(directory)?.path;
        let mut full = if path.is_root() { Vec::new() } else { [path.as_bytes(), b"/"].concat() };
        full.extend_from_slice(name);
        self.snapshot.find(TreePath::new(&full).ok()?).filter(|child| !self.is_hidden(*child))
    }

    fn parent(&self, index: usize) -> Option<usize> {
        self.snapshot.find(self.entry(index)?.path.parent()?)
    }

    /// Walks components from the module root, following symlinks that stay inside the module.
    pub(super) fn resolve(&self, components: &[Vec<u8>], last: Last) -> Result<usize, Absent> {
        self.walk(self.root, components.iter().cloned().collect(), last)
    }

    /// What the symlink at `index` points to in the end, inside the module.
    pub(super) fn behind(&self, index: usize) -> Result<usize, Absent> {
        let directory = self.parent(index).ok_or(Absent::Missing)?;
        let name = self.entry(index).map_or(b"".as_slice(), |entry| entry.path.name());
        self.walk(directory, VecDeque::from([name.to_vec()]), Last::Follow)
    }

    fn walk(&self, from: usize, mut queue: VecDeque<Vec<u8>>, last: Last) -> Result<usize, Absent> {
        let (mut at, mut hops) = (from, 0);
        while let Some(component) = queue.pop_front() {
            match component.as_slice() {
                b"" | b"." => continue,
                b".." if at == self.root => return Err(Absent::Missing),
                b".." => {
                    at = self.parent(at).ok_or(Absent::Missing)?;
                    continue;
                }
                _ => {}
            }
            if !self.is_directory(at) {
                return Err(Absent::NotADirectory);
            }
            let child = self.child(at, &component).ok_or(Absent::Missing)?;
            match self.entry(child).map(|e| e.kind) {
                Some(Kind::Symlink { target }) if last == Last::Follow || !queue.is_empty() => {
                    hops += 1;
                    if hops > MAX_LINK_HOPS {
                        return Err(Absent::Circle);
                    }
                    if target.first() == Some(&b'/') {
                        return Err(Absent::Missing);
                    }
                    for part in target.split(|b| *b == b'/').rev() {
                        queue.push_front(part.to_vec());
                    }
                }
                _ => at = child,
            }
        }
        Ok(at)
    }
}

/// What an argument stands for: itself, or all that its wildcards match, one at a time (protocol 2.10 step 4).
pub(super) struct Matches<'a> {
    pattern: Argument,
    /// The components so far.
    path: Vec<Vec<u8>>,
    /// Directories whose entries are being matched, outermost first.
    open: Vec<Open<'a>>,
    state: State,
    /// Whether anything was given out.
    found: bool,
}

/// A directory whose entries are matched with one component.
struct Open<'a> {
    /// How many components lead to it.
    depth: usize,
    children: Box<dyn Iterator<Item = usize> + 'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The path is to go on with the next component.
    Down,
    /// The next entry of the innermost directory is due.
    Along,
    /// Nothing is left.
    Over,
}

impl<'a> Matches<'a> {
    pub(super) fn of(pattern: Argument) -> Matches<'a> {
        Matches { pattern, path: Vec::new(), open: Vec::new(), state: State::Down, found: false }
    }

    /// The next argument. One that matches nothing stays as it is.
    pub(super) fn next(&mut self, at: &mut Resolver<'a>, effort: &Effort) -> Result<Option<Argument>, NoList> {
        if self.pattern.is_pattern() {
            while self.state != State::Over {
                effort.step()?;
                let state = self.state;
                match state {
                    State::Down if self.down(at) => {
                        self.found = true;
                        return Ok(Some(Argument { components: self.path.clone(), ..self.pattern.clone() }));
                    }
                    State::Down => {}
                    State::Along | State::Over => self.along(at)?,
                }
            }
        }
        self.state = State::Over;
        let itself = !self.found;
        self.found = true;
        Ok(itself.then(|| self.pattern.clone()))
    }

    /// Follows components without wildcards. `true`: that was the whole path; else a directory is open.
    fn down(&mut self, at: &Resolver<'a>) -> bool {
        self.state = State::Along;
        let plain = self.pattern.components.iter().skip(self.path.len()).take_while(|part| !has_wildcards(part));
        self.path.extend(plain.cloned());
        if self.path.len() == self.pattern.components.len() {
            return true;
        }
        let snapshot = at.snapshot;
        let children: Box<dyn Iterator<Item = usize> + 'a> = match at.resolve(&self.path, Last::Follow) {
            Ok(directory) => Box::new(snapshot.children(directory)),
            Err(_) => Box::new(std::iter::empty()),
        };
        self.open.push(Open { depth: self.path.len(), children });
        false
    }

    /// Takes the next entry of the innermost directory; leaves the directory when there is none.
    fn along(&mut self, at: &mut Resolver<'a>) -> Result<(), NoList> {
        let Some(open) = self.open.last_mut() else {
            self.state = State::Over;
            return Ok(());
        };
        let depth = open.depth;
        self.path.truncate(depth);
        let Some(child) = open.children.next() else {
            self.open.pop();
            return Ok(());
        };
        let name = at.entry(child).map_or(b"".as_slice(), |entry| entry.path.name());
        let matches = self.pattern.components.get(depth).is_some_and(|part| glob_component(part, name));
        // A wildcard takes a symlink to a directory for one, whether or not the client does.
        if !matches || at.is_hidden(child) || at.is_hidden_as_directory(child) {
            return Ok(());
        }
        self.path.push(name.to_vec());
        // Only the last component may be something else than a directory.
        let is_last = self.path.len() == self.pattern.components.len() && !self.pattern.content;
        if is_last || at.resolve(&self.path, Last::Follow).is_ok_and(|target| at.is_directory(target)) {
            self.state = State::Down;
            at.matches = at.matches.checked_sub(1).ok_or_else(|| {
                NoList::selection("wildcards match more names than the server takes: name a directory instead")
            })?;
        }
        Ok(())
    }
}
