//! From a path argument to entries of a snapshot: components are looked up, symlinks followed, wildcards matched.
//!
//! Pure over a snapshot in memory. Whatever a client writes, and whatever a symlink says, the walk starts at the
//! module's root and never leaves it: what lies outside does not exist (protocol 14.3).

use std::collections::VecDeque;

use super::arguments::Argument;
use super::effort::Effort;
use super::listing::NoList;
use crate::tree::{Entry, Kind, Snapshot, TreePath};
use crate::wire::wild::{glob_component, has_wildcards};

/// Symlinks followed in one argument, as the usual limit of file systems.
const MAX_LINK_HOPS: usize = 40;

/// What all wildcards of one session may match, so that `*/*/*/*` cannot multiply without end.
const MAX_GLOB_MATCHES: usize = 100_000;

/// Why an argument leads nowhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    Missing,
    NotADirectory,
}

impl Absent {
    pub(super) fn text(self) -> &'static str {
        match self {
            Absent::Missing => "No such file or directory (2)",
            Absent::NotADirectory => "Not a directory (20)",
        }
    }
}

/// Whether a symlink at the end of a path is followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    Keep,
}

/// A module's root inside a snapshot, from which paths are looked up.
pub(super) struct Resolver<'a> {
    snapshot: &'a Snapshot,
    root: usize,
    /// What wildcards have matched so far in this session.
    matches: usize,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, root: usize) -> Resolver<'a> {
        Resolver { snapshot, root, matches: 0 }
    }

    pub(super) fn entry(&self, index: usize) -> Option<Entry<'a>> {
        self.snapshot.entry(index)
    }

    fn child(&self, directory: usize, name: &[u8]) -> Option<usize> {
        let path = self.entry(directory)?.path;
        let mut full = if path.is_root() { Vec::new() } else { [path.as_bytes(), b"/"].concat() };
        full.extend_from_slice(name);
        self.snapshot.find(TreePath::new(&full).ok()?)
    }

    fn parent(&self, index: usize) -> Option<usize> {
        self.snapshot.find(self.entry(index)?.path.parent()?)
    }

    /// Walks components from the module root, following symlinks that stay inside the module.
    pub(super) fn resolve(&self, components: &[Vec<u8>], last: Last) -> Result<usize, Absent> {
        let mut queue: VecDeque<Vec<u8>> = components.iter().cloned().collect();
        let (mut at, mut hops) = (self.root, 0);
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
            if !self.entry(at).is_some_and(|e| e.is_directory()) {
                return Err(Absent::NotADirectory);
            }
            let child = self.child(at, &component).ok_or(Absent::Missing)?;
            match self.entry(child).map(|e| e.kind) {
                Some(Kind::Symlink { target }) if last == Last::Follow || !queue.is_empty() => {
                    hops += 1;
                    if hops > MAX_LINK_HOPS || target.first() == Some(&b'/') {
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

    pub(super) fn is_directory(&self, index: usize) -> bool {
        self.entry(index).is_some_and(|e| e.is_directory())
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
        if !self.pattern.components.get(depth).is_some_and(|part| glob_component(part, name)) {
            return Ok(());
        }
        self.path.push(name.to_vec());
        // Only the last component may be something else than a directory.
        let is_last = self.path.len() == self.pattern.components.len() && !self.pattern.content;
        if is_last || at.resolve(&self.path, Last::Follow).is_ok_and(|target| at.is_directory(target)) {
            self.state = State::Down;
            at.matches += 1;
        }
        if at.matches > MAX_GLOB_MATCHES {
            return Err(NoList::selection(format!(
                "wildcards match more than {MAX_GLOB_MATCHES} names: name a directory instead"
            )));
        }
        Ok(())
    }
}
