//! What an argument lists: itself and what it holds, in list order, symlinks followed where the client wants it.
//!
//! Within a directory comes first what is no directory, then each directory with its content (protocol 8.6). Whatever
//! was listed with all it holds is not listed again under the same name. A followed symlink is called by its own name
//! and is what it points to in everything else; one that leads back into a directory in which the walk stands is
//! told like a symlink that leads to itself, where a file system would go round some forty times.

use std::cmp::Ordering;
use std::rc::Rc;

use super::follow::Way;
use super::listing::NoList;
use super::resolve::Absent;
use super::selection::{Names, path_of};
use super::view::View;
use crate::tree::{Kind, MAX_PATH_BYTES};
use crate::wire::filter::{Is, Scope};
use crate::wire::flist::DirRole;
use crate::wire::options::Flag;

/// A directory to be listed with what it holds.
struct Stop {
    directory: usize,
    names: Names,
    scope: Scope,
    trail: Option<Rc<Trail>>,
}

/// A symlink that was followed on the way.
struct Trail {
    /// What it leads to.
    top: usize,
    /// The directory in which it stands.
    from: usize,
    before: Option<Rc<Trail>>,
}

/// A directory inside another one.
struct Inner {
    /// The entry whose path makes its name.
    named: usize,
    /// Itself, or what the symlink `named` points to.
    target: usize,
}

impl View<'_, '_> {
    /// Lists the argument itself and, where the options say so, what it holds (protocol 8.10.1).
    pub(super) fn list(
        &mut self,
        target: usize,
        names: Names,
        name: &[u8],
        content: bool,
        scope: &Scope,
    ) -> Result<(), NoList> {
        if !self.at.is_directory(target) {
            self.found.push(target, names, DirRole::NotADirectory);
            return Ok(());
        }
        if self.order.options.has(Flag::Recursive) {
            if !self.walked.insert((target, name.to_vec())) {
                return Ok(());
            }
            self.found.push(target, names, DirRole::Argument);
            let scope = self.enter(scope, name)?;
            return self.walk(target, names, scope);
        }
        if !content {
            self.found.push(target, names, DirRole::NoContent);
            return Ok(());
        }
        self.found.push(target, names, DirRole::Argument);
        let scope = self.enter(scope, name)?;
        for Inner { named, target } in self.files_then_directories(target, names, &scope)? {
            self.found.push_as(target, named, names, DirRole::NoContent);
        }
        Ok(())
    }

    /// Everything below `top`, depth first, in list order. An explicit stack: depth comes from the tree.
    fn walk(&mut self, top: usize, names: Names, scope: Scope) -> Result<(), NoList> {
        let merges = self.order.filters.has_merges();
        let mut stack = vec![Stop { directory: top, names, scope, trail: None }];
        let mut is_top = true;
        while let Some(Stop { directory, names, scope, trail }) = stack.pop() {
            self.found.bounded()?;
            let scope = if merges && !is_top { self.enter(&scope, &self.name_of(directory, names))? } else { scope };
            if !is_top {
                self.found.push(directory, names, DirRole::Found);
            }
            is_top = false;
            let mut inside = Vec::new();
            for Inner { named, target } in self.files_then_directories(directory, names, &scope)? {
                let scope = scope.clone();
                if named == target {
                    inside.push(Stop { directory: target, names, scope, trail: trail.clone() });
                    continue;
                }
                let name = self.name_of(named, names);
                if self.is_circle(target, directory, top, trail.as_deref()) {
                    self.no_referent(&name, Absent::Circle);
                    continue;
                }
                let names = self.names_behind(target, &name)?;
                let trail = Some(Rc::new(Trail { top: target, from: directory, before: trail.clone() }));
                inside.push(Stop { directory: target, names, scope, trail });
            }
            stack.extend(inside.into_iter().rev());
        }
        Ok(())
    }

    /// Whether `target` is a directory in which the walk stands at this moment: it came from `top` along `trail`, and is
    /// in `directory` now.
    fn is_circle(&self, target: usize, directory: usize, top: usize, trail: Option<&Trail>) -> bool {
        let (mut at, mut rest) = (directory, trail);
        loop {
            let start = rest.map_or(top, |trail| trail.top);
            if self.snapshot.subtree(target).contains(&at) && self.snapshot.subtree(start).contains(&target) {
                return true;
            }
            let Some(trail) = rest else { return false };
            (at, rest) = (trail.from, trail.before.as_deref());
        }
    }

    /// Lists the children of `directory` that are no directories; gives back its directories in list order.
    fn files_then_directories(&mut self, directory: usize, names: Names, scope: &Scope) -> Result<Vec<Inner>, NoList> {
        let snapshot = self.snapshot;
        let mut directories = Vec::new();
        for child in snapshot.children(directory) {
            self.order.effort.step()?;
            if let Some(target) = self.shown_as(child, names, scope) {
                if self.at.is_directory(target) {
                    directories.push(Inner { named: child, target });
                } else {
                    self.found.push_as(target, child, names, DirRole::NotADirectory);
                }
            }
        }
        let name = |inner: &Inner| snapshot.entry(inner.named).map_or(b"".as_slice(), |entry| entry.path.name());
        directories.sort_by(|a, b| with_slash(name(a), name(b)));
        Ok(directories)
    }

    /// What a child is listed as: itself, or what it points to. `None`: it is not listed.
    fn shown_as(&mut self, child: usize, names: Names, scope: &Scope) -> Option<usize> {
        let entry = self.at.entry(child)?;
        let follows = self.follow.any() && matches!(entry.kind, Kind::Symlink { .. });
        if names.are_ends() && !follows && !self.at.has_rules() {
            let name = path_of(&entry).get(usize::from(names.cut)..).unwrap_or_default();
            return (!self.is_excluded(scope, name, child)).then_some(child);
        }
        if self.at.is_hidden(child) {
            return None;
        }
        let name = self.name_of(child, names);
        let target = match self.seen(child, &name) {
            Ok(target) => target,
            Err(why) => {
                if !self.order.filters.excludes(scope, &name, Is::Other) {
                    self.no_referent(&name, why);
                }
                return None;
            }
        };
        if self.is_excluded(scope, &name, target) || self.is_hidden_by_name(&name, target) {
            return None;
        }
        if name.len() > MAX_PATH_BYTES {
            self.too_long(&name);
            return None;
        }
        Some(target)
    }

    /// What the client sees at `index`, which it knows by `name`: what a symlink points to if that is wanted.
    pub(super) fn seen(&self, index: usize, name: &[u8]) -> Result<usize, Absent> {
        let Some(Kind::Symlink { target }) = self.at.entry(index).map(|entry| entry.kind) else { return Ok(index) };
        match self.follow.way(name, target) {
            Way::Keep => Ok(index),
            Way::Through => self.at.behind(index),
            Way::ToDirectory => match self.at.behind(index) {
                Ok(behind) if self.at.is_directory(behind) => Ok(behind),
                _ => Ok(index),
            },
        }
    }

    /// Whether the module's rules hide the name by which an entry is listed; its own path they do not.
    pub(super) fn is_hidden_by_name(&self, name: &[u8], target: usize) -> bool {
        if !self.at.has_rules() {
            return false;
        }
        let path = self.path_of_name(name);
        let is = if self.at.is_directory(target) { Is::Directory } else { Is::Other };
        path != self.at.path(target) && self.at.hides(&path, is)
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
