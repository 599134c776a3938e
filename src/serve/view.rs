//! Which entries of a snapshot a client is shown: path arguments and filter rules in, a selection out.
//!
//! Pure over a snapshot in memory. A selection is already in the order of rsync's file list (protocol 8.6), which
//! `descent` keeps within one argument; here the arguments are taken one by one, and what is missing is told.
//! Per-directory merge files are read through the caller, so this file opens nothing. Symlinks in the directories of
//! an argument are followed inside the module; what leaves it does not exist, nor does what the module's rules hide.

use std::collections::HashSet;

use super::arguments::{Argument, Naming};
use super::distfiles::ModuleKind;
use super::effort::Effort;
use super::follow::Follow;
use super::listing::NoList;
use super::resolve::{Absent, Last, Matches, Resolver};
use super::selection::{Names, Selection, path_of};
use crate::tree::{Kind, Snapshot};
use crate::wire::filter::{Filters, Is, Scope};
use crate::wire::flist::DirRole;
use crate::wire::mux::Tag;
use crate::wire::options::{Flag, ListOptions, PathForm, split_old_args};

/// io_error bit 1: something was wrong, so the client must not delete (protocol 5.2).
pub(crate) const IO_ERROR_GENERAL: u32 = 1;

/// io_error bit 2: something was there a moment ago (protocol 5.2).
const IO_ERROR_VANISHED: u32 = 2;

/// What the client asked for.
pub(crate) struct ViewOrder<'a> {
    /// As the client named it: path arguments begin with it, and messages name it.
    pub(crate) module: &'a str,
    pub(crate) kind: ModuleKind,
    /// The module's root inside the snapshot.
    pub(crate) root: usize,
    pub(crate) options: ListOptions,
    pub(crate) filters: &'a Filters,
    /// What the module hides from everybody. Per-directory files take no part in it.
    pub(crate) module_filters: &'a Filters,
    pub(crate) paths: &'a [Vec<u8>],
    pub(crate) path_form: PathForm,
    /// Names below the first path, of `--files-from`.
    pub(crate) names: Option<&'a [Vec<u8>]>,
    /// What wildcards may match.
    pub(crate) matches: usize,
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
    let mut view = View {
        snapshot,
        at: Resolver::new(snapshot, order.root, order.module_filters, order.matches)?,
        order,
        follow: Follow::of(order.options),
        naming: if order.options.has(Flag::Relative) { Naming::Relative } else { Naming::Last },
        base: Vec::new(),
        scope: order.filters.root_scope(b"")?,
        read,
        found: Selection::new(snapshot.len()),
        implied: HashSet::new(),
        vanished: HashSet::new(),
        walked: HashSet::new(),
    };
    match order.names {
        Some(names) => view.names_below(names)?,
        None => view.paths()?,
    }
    Ok(view.found.finish())
}

pub(super) struct View<'a, 'r> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) at: Resolver<'a>,
    pub(super) order: &'a ViewOrder<'a>,
    pub(super) follow: Follow,
    naming: Naming,
    /// The directory above all names of the present argument, from the module's root.
    base: Vec<u8>,
    /// The client's rules there.
    scope: Scope,
    read: &'a mut ReadEntry<'r>,
    pub(super) found: Selection,
    /// Directories that were listed because `-R` implies them, by entry and name.
    implied: HashSet<(usize, Vec<u8>)>,
    /// Directories that would be implied and are missing.
    vanished: HashSet<String>,
    /// Directories that were listed with all they hold, by entry and name.
    pub(super) walked: HashSet<(usize, Vec<u8>)>,
}

impl View<'_, '_> {
    fn paths(&mut self) -> Result<(), NoList> {
        let ViewOrder { paths, path_form, module, .. } = self.order;
        for path in *paths {
            let pieces = match path_form {
                PathForm::Old => split_old_args(module.as_bytes(), path),
                PathForm::Secluded => vec![path.as_slice()],
            };
            for raw in pieces {
                let mut matches = Matches::of(Argument::parse(raw, module, self.naming));
                while let Some(argument) = matches.next(&mut self.at, self.order.effort)? {
                    self.argument(&argument)?;
                }
            }
        }
        Ok(())
    }

    /// The names that the client sent, below the directory that its path argument means (protocol 7).
    fn names_below(&mut self, names: &[Vec<u8>]) -> Result<(), NoList> {
        let ViewOrder { paths, module, effort, .. } = self.order;
        let path = paths.first().map_or(b"".as_slice(), Vec::as_slice);
        let top = Matches::of(Argument::parse(path, module, Naming::Last)).next(&mut self.at, effort)?;
        let top = top.map_or_else(Vec::new, |top| top.components);
        match self.at.resolve(&top, Last::Follow) {
            Ok(at) if self.at.is_directory(at) => {}
            other => {
                let (why, top) = (other.err().unwrap_or(Absent::NotADirectory).text(), text(&top));
                return Err(NoList::selection(format!("[sender] change_dir \"{top}\" (in {module}) failed: {why}")));
            }
        }
        for name in names {
            let argument = Argument::below(&top, name, self.naming);
            self.argument(&argument)?;
        }
        Ok(())
    }

    fn argument(&mut self, argument: &Argument) -> Result<(), NoList> {
        self.order.effort.look()?;
        self.found.bounded()?;
        let name = argument.name().join(&b'/');
        let base = argument.components.get(..argument.base).unwrap_or_default().join(&b'/');
        if base != self.base {
            self.scope = self.order.filters.root_scope(&base)?;
            self.base = base;
        }
        let target = match self.target(argument) {
            Ok(target) => target,
            Err(why) => return self.missing(argument, &name, why),
        };
        let target = match self.seen(target, &name) {
            Ok(target) => target,
            Err(why) => {
                self.no_referent(&name, why);
                return Ok(());
            }
        };
        if self.is_hidden_by_name(&name, target) {
            return self.missing(argument, &name, Absent::Missing);
        }
        let scope = self.scope.clone();
        if !name.is_empty() && self.is_excluded(&scope, &name, target) {
            return Ok(());
        }
        if self.at.is_directory(target) && !self.lists_directories() {
            let text = if name.is_empty() { ".".to_owned() } else { shown(&name) };
            self.found.say(Tag::Info, format!("skipping directory {text}\n"));
            return Ok(());
        }
        if self.naming == Naming::Relative {
            self.imply_parents(argument)?;
        }
        let names = self.names(target, &name)?;
        self.list(target, names, &name, argument.content, &scope)
    }

    /// What an argument names. A symlink at its end stays one, unless what is behind it is meant.
    fn target(&self, argument: &Argument) -> Result<usize, Absent> {
        let follows = argument.content || self.order.options.has(Flag::CopyLinks);
        let last = if follows { Last::Follow } else { Last::Keep };
        let components = &argument.components;
        let found = match (self.at.resolve(components, last), components.split_last()) {
            (Err(Absent::Missing), Some((name, above))) => match self.order.kind.meant(name) {
                Some(meant) => self.at.resolve(&[above, &[meant.to_vec()]].concat(), last)?,
                None => return Err(Absent::Missing),
            },
            (found, _) => found?,
        };
        if argument.content && !self.at.is_directory(found) {
            return Err(Absent::NotADirectory);
        }
        let is =
            |depth| if depth < components.len() || self.at.is_directory(found) { Is::Directory } else { Is::Other };
        let is_hidden = |depth| components.get(..depth).is_some_and(|path| self.at.hides(&path.join(&b'/'), is(depth)));
        if self.at.has_rules() && (1..=components.len()).any(is_hidden) {
            return Err(Absent::Missing);
        }
        Ok(found)
    }

    fn missing(&mut self, argument: &Argument, name: &[u8], why: Absent) -> Result<(), NoList> {
        let (base, all) = (argument.components.get(..argument.base).unwrap_or_default(), &argument.components);
        let (module, options) = (self.order.module, self.order.options);
        let base_is_there = self.at.resolve(base, Last::Follow).is_ok_and(|at| self.at.is_directory(at));
        if (self.naming == Naming::Last || argument.base > 0) && !base_is_there {
            self.found.io_error |= IO_ERROR_GENERAL;
            let (base, why) = (text(base), why.text());
            let line = format!("rsync: [sender] change_dir \"{base}\" (in {module}) failed: {why}\n");
            self.found.say(Tag::ErrorXfer, line);
            return Ok(());
        }
        match why {
            Absent::Missing if options.has(Flag::DeleteMissingArgs) => return self.list_missing(argument, name),
            Absent::Missing if options.has(Flag::IgnoreMissingArgs) => return Ok(()),
            Absent::Missing => {}
            Absent::NotADirectory | Absent::Circle => self.found.io_error |= IO_ERROR_GENERAL,
        }
        let slash = if self.naming == Naming::Last && !base.is_empty() { "/" } else { "" };
        let (all, why) = (text(all), why.text());
        let line = format!("rsync: [sender] link_stat \"{slash}{all}\" (in {module}) failed: {why}\n");
        self.found.say(Tag::ErrorXfer, line);
        Ok(())
    }

    /// Lists what is missing, so that the client deletes it. Of a path argument whose directory is missing too stock
    /// lists nothing, of a name from the client it does.
    fn list_missing(&mut self, argument: &Argument, name: &[u8]) -> Result<(), NoList> {
        if self.naming == Naming::Relative {
            for depth in argument.base + 1..argument.components.len() {
                let above = argument.components.get(..depth).unwrap_or_default();
                if self.at.resolve(above, Last::Follow).is_ok() {
                    continue;
                }
                let (above, module) = (text(above), self.order.module);
                if self.vanished.insert(above.clone()) {
                    self.found.io_error |= IO_ERROR_VANISHED;
                    // As stock says it: from the module's root on, with a slash only where the names begin further down.
                    let slash = if argument.base == 0 { "" } else { "/" };
                    self.found.say(Tag::Warning, format!("file has vanished: \"{slash}{above}\" (in {module})\n"));
                }
                if self.order.names.is_none() {
                    return Ok(());
                }
            }
            self.imply_parents(argument)?;
        }
        self.found.push_missing(name)
    }

    /// Says of a symlink that is to be followed that nothing is behind it.
    pub(super) fn no_referent(&mut self, name: &[u8], why: Absent) {
        self.found.io_error |= IO_ERROR_GENERAL;
        let (path, module) = (shown(&self.path_of_name(name)), self.order.module);
        let line = match why {
            Absent::Missing => format!("symlink has no referent: \"/{path}\" (in {module})\n"),
            other => format!("rsync: [sender] readlink_stat(\"/{path}\" (in {module})) failed: {}\n", other.text()),
        };
        self.found.say(Tag::ErrorXfer, line);
    }

    /// Says that a name cannot be listed because of its length.
    pub(super) fn too_long(&mut self, name: &[u8]) {
        self.found.io_error |= IO_ERROR_GENERAL;
        let (path, module) = (shown(&self.path_of_name(name)), self.order.module);
        let line =
            format!("rsync: [sender] readlink_stat(\"/{path}\" (in {module})) failed: File name too long (36)\n");
        self.found.say(Tag::ErrorXfer, line);
    }

    /// Names below `target` when a symlink that is called `name` leads there.
    pub(super) fn names_behind(&mut self, target: usize, name: &[u8]) -> Result<Names, NoList> {
        let path = self.at.entry(target).map_or(0, |entry| path_of(&entry).len());
        self.found.instead(name, path)
    }

    /// Where something of this name is, from the module's root, as the client would put it.
    pub(super) fn path_of_name(&self, name: &[u8]) -> Vec<u8> {
        match (self.base.as_slice(), name) {
            (base, []) => base.to_vec(),
            ([], name) => name.to_vec(),
            (base, name) => [base, b"/", name].concat(),
        }
    }

    /// Whether directories are listed at all. With names from the client they are (protocol 7).
    fn lists_directories(&self) -> bool {
        let options = self.order.options;
        options.has(Flag::Recursive) || options.has(Flag::Dirs) || self.order.names.is_some()
    }

    pub(super) fn is_excluded(&self, scope: &Scope, name: &[u8], index: usize) -> bool {
        if self.order.filters.is_empty() {
            return false;
        }
        let is = if self.at.is_directory(index) { Is::Directory } else { Is::Other };
        self.order.filters.excludes(scope, name, is)
    }

    pub(super) fn name_of(&self, index: usize, names: Names) -> Vec<u8> {
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
        if argument.implied_root && self.lists_directories() {
            depths.insert(0, argument.base);
        } else if argument.implied_root {
            self.found.say(Tag::Info, "skipping directory .\n".to_owned());
        }
        for depth in depths {
            let components = argument.components.get(..depth).unwrap_or_default();
            let name = components.get(argument.base..).unwrap_or_default().join(&b'/');
            self.order.effort.step()?;
            let Ok(index) = self.at.resolve(components, Last::Follow) else { continue };
            if self.implied.insert((index, name.clone())) {
                let names = self.names(index, &name)?;
                self.found.push(index, names, DirRole::Implied);
            }
        }
        Ok(())
    }

    pub(super) fn enter(&mut self, scope: &Scope, directory: &[u8]) -> Result<Scope, NoList> {
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

/// Components as a path in a message.
fn text(components: &[Vec<u8>]) -> String {
    shown(&components.join(&b'/'))
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
#[path = "view_tests.rs"]
mod tests;
