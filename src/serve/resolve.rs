//! From a path argument to entries of a snapshot: components are looked up, symlinks followed, wildcards matched.
//!
//! Pure over a snapshot in memory. Whatever a client writes, and whatever a symlink says, the walk starts at the
//! module's root and never leaves it: what lies outside does not exist (protocol 14.3).

use std::collections::VecDeque;

use super::arguments::{Argument, has_wildcard};
use super::listing::NoList;
use crate::tree::{Entry, Kind, Snapshot, TreePath};
use crate::wire::wild::glob_component;

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

    /// Replaces wildcards by what they match; an argument that matches nothing stays as it is (2.10 step 4).
    pub(super) fn expand(&mut self, argument: Argument) -> Result<Vec<Argument>, NoList> {
        if !argument.is_pattern() {
            return Ok(vec![argument]);
        }
        let mut found: Vec<Vec<Vec<u8>>> = vec![Vec::new()];
        for (position, component) in argument.components.iter().enumerate() {
            let may_be_a_file = position + 1 == argument.components.len() && !argument.content;
            let mut next = Vec::new();
            for path in found {
                if !has_wildcard(component) {
                    next.push([path, vec![component.clone()]].concat());
                    continue;
                }
                let Ok(directory) = self.resolve(&path, Last::Follow) else { continue };
                for child in self.snapshot.children(directory) {
                    let Some(name) = self.entry(child).map(|e| e.path.name().to_vec()) else { continue };
                    if !glob_component(component, &name) {
                        continue;
                    }
                    let full = [path.clone(), vec![name]].concat();
                    let goes_on =
                        may_be_a_file || self.resolve(&full, Last::Follow).is_ok_and(|at| self.is_directory(at));
                    if goes_on {
                        next.push(full);
                        self.matches += 1;
                    }
                    if self.matches > MAX_GLOB_MATCHES {
                        return Err(NoList::selection(format!(
                            "wildcards match more than {MAX_GLOB_MATCHES} names: name a directory instead"
                        )));
                    }
                }
            }
            found = next;
        }
        if found.is_empty() {
            return Ok(vec![argument]);
        }
        Ok(found.into_iter().map(|components| Argument { components, ..argument.clone() }).collect())
    }

    pub(super) fn is_directory(&self, index: usize) -> bool {
        self.entry(index).is_some_and(|e| e.is_directory())
    }
}
