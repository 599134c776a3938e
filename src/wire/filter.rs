//! The filter list of one client, and what it hides (protocol chapter 6).
//!
//! [`Filters`] is the list as sent: equal lists are equal values, so it can be part of a cache key. A [`Scope`] is the
//! list as it stands inside one directory: compiled for one transfer root, with the per-directory files read so far put
//! in where their `:` rules stand. Scopes are made from their parent's, in any order, which is what incremental
//! recursion needs; where no file is found, a directory shares all of its parent's rules.
//! The files are read through a callback that the caller confines to the module. What they say never shows up in an
//! error. Every amount a client or a file can set is bounded by a constant below.
//! Deliberately absent: `.` rules within files, and the module's own rules (a list of its own, protocol 6.5).

use super::pattern::{Pattern, below};
use super::rules::{CVS_RULES, Flaw, Inheritance, Item, Merge, Origin, Rule, Verdict, parse};
use std::sync::Arc;

pub use super::pattern::Is;

/// Rules of a list, and rules in force in one directory. The built-in list of `-C` counts as 36.
pub const MAX_RULES: usize = 8_192;
/// Bytes of all rules of a list together: room for any list a person keeps, and no burden to hold for each client.
pub const MAX_LIST_BYTES: usize = 1 << 20;
/// Stars in the rules in force in one directory: they are what makes a rule cost more than its length.
pub const MAX_STARS: usize = 8_192;
/// Per-directory rules in force. It bounds what is looked up in each directory, and how deep files that name further
/// files can go (protocol 14.1), since each name counts once.
pub const MAX_MERGES: usize = 32;
/// Bytes of one per-directory file.
pub const MAX_MERGE_FILE: usize = 1 << 20;
/// How much of a refused rule is repeated to the client that sent it, in bytes.
const SHOWN_BYTES: usize = 80;

/// Whether the client sent the letter `C`: the rules of `-C` follow the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CvsExclude {
    /// No such letter.
    No,
    /// Add `:C .cvsignore` and `-C` at the end.
    Yes,
}

/// Why a filter list is refused. No text of a file is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A rule that the client sent.
    #[error("Unknown filter rule: `{rule}' ({flaw})")]
    Rule {
        /// The rule, escaped and shortened.
        rule: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// A line of a per-directory file.
    #[error(
        "invalid rule in the filter file {path}, line {line} ({flaw}); correct the file, or do not name it in a rule"
    )]
    File {
        /// The file's path from the module root, escaped and shortened.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// Too much of something.
    #[error("the filter rules have more than {limit} {what}; send fewer")]
    Bound {
        /// What there is too much of.
        what: &'static str,
        /// How much is taken.
        limit: usize,
    },
}

impl FilterError {
    /// The exit code that a stock client ends with: 11 for a rule that names a file to read, else 1 (protocol 6.1).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Rule { flaw: Flaw::Merge, .. } => 11,
            Self::Rule { .. } | Self::File { .. } | Self::Bound { .. } => 1,
        }
    }
}

/// Reads a per-directory file: its path from the module root to its content, `None` if there is no such regular file
/// inside of the module. More than [`MAX_MERGE_FILE`] bytes need not be read, but one byte more has to be shown.
pub type Read<'a> = dyn FnMut(&[u8]) -> Option<Vec<u8>> + 'a;

/// A client's filter list. Two are equal if they mean the same rules in the same order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filters(Arc<[Item]>);

/// The rules in force inside one directory. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Scope {
    stage: Stage,
    root: Arc<[u8]>,
    list: List,
    /// The names of all per-directory files that were named on the way here, those included whose rules were dropped
    /// again: a name counts once on a path.
    names: Arc<[Vec<u8>]>,
}

/// Whether a directory has been entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Above,
    Inside,
}

type List = Arc<[Node]>;

#[derive(Debug, Clone)]
enum Node {
    Test(Arc<Test>),
    /// A per-directory rule, and what its files have said so far.
    Merge(Arc<Merge>, List),
}

/// A compiled rule.
#[derive(Debug)]
struct Test {
    verdict: Verdict,
    directories_only: bool,
    negated: bool,
    stars: usize,
    pattern: Pattern,
}

/// What counts against the bounds.
#[derive(Default)]
struct Load {
    rules: usize,
    stars: usize,
    names: Vec<Vec<u8>>,
}

impl Filters {
    /// Reads the rules in the order in which they came (protocol 6.1). Rules that do not act on a sender are left out.
    pub fn parse(rules: &[Vec<u8>], cvs: CvsExclude) -> Result<Self, FilterError> {
        if rules.iter().map(Vec::len).sum::<usize>() > MAX_LIST_BYTES {
            return Err(FilterError::Bound { what: "bytes", limit: MAX_LIST_BYTES });
        }
        let added: &[&[u8]] = match cvs {
            CvsExclude::No => &[],
            CvsExclude::Yes => &CVS_RULES,
        };
        let (mut list, mut found, mut load) = (Vec::new(), Vec::new(), Load::default());
        for rule in rules.iter().map(Vec::as_slice).chain(added.iter().copied()) {
            parse(rule, Origin::Client, &mut found).map_err(|flaw| FilterError::Rule { rule: shown(rule), flaw })?;
            for item in found.drain(..) {
                match &item {
                    Item::Clear => {
                        (list, load) = (Vec::new(), Load::default());
                        continue;
                    }
                    Item::Rule(rule) => load.rule(rule)?,
                    Item::Merge(merge) if !load.merge(merge)? => continue,
                    Item::Merge(_) => {}
                }
                list.push(item);
            }
        }
        Ok(Self(list.into()))
    }

    /// No rule at all: nothing is ever excluded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether files in the directories take part, so that [`Filters::enter`] is needed.
    #[must_use]
    pub fn has_merges(&self) -> bool {
        self.0.iter().any(|item| matches!(item, Item::Merge(_)))
    }

    /// The names of the files that are looked for in every directory.
    #[must_use]
    pub fn merge_names(&self) -> Vec<&[u8]> {
        let merges = self.0.iter().filter_map(|item| match item {
            Item::Merge(merge) => Some(merge.name.as_slice()),
            Item::Clear | Item::Rule(_) => None,
        });
        merges.collect()
    }

    /// The rules as they stand before any directory is entered, for a transfer from `root`, a path from the module root
    /// (empty: the module root itself). An argument's own entry is judged by them: no file has been read yet.
    ///
    /// # Errors
    /// A bound is passed.
    pub fn root_scope(&self, root: &[u8]) -> Result<Scope, FilterError> {
        let compile = |item: &Item| match item {
            Item::Clear => None,
            Item::Rule(rule) => Some(Node::Test(Test::compile(rule, root, None))),
            Item::Merge(merge) => Some(Node::Merge(Arc::new(merge.clone()), List::from([]))),
        };
        let list = self.0.iter().filter_map(compile).collect();
        let names = self.merge_names().into_iter().map(<[u8]>::to_vec).collect();
        Scope::new(Stage::Above, root.into(), list, names)
    }

    /// The rules inside `directory`, a name relative to the transfer root (empty or `.`: the root), given those
    /// inside its parent. The first directory entered also reads the files of the directories above it, as far up as
    /// rules such as `: /.rsync-filter` say (protocol 6.4).
    ///
    /// # Errors
    /// A line of a per-directory file is no rule, or a bound is passed.
    pub fn enter(&self, scope: &Scope, directory: &[u8], read: &mut Read<'_>) -> Result<Scope, FilterError> {
        if !self.has_merges() {
            return Ok(scope.clone());
        }
        let directory = join(&scope.root, directory);
        let mut visit = Visit { root: &scope.root, directory: Vec::new(), load: Load::named(&scope.names), read };
        let before = match scope.stage {
            Stage::Above => visit.above(&scope.list, &directory)?,
            Stage::Inside => Arc::clone(&scope.list),
        };
        visit.directory = directory;
        let list = visit.list(&before)?;
        if scope.stage == Stage::Inside && Arc::ptr_eq(&list, &scope.list) {
            return Ok(scope.clone());
        }
        Scope::new(Stage::Inside, Arc::clone(&scope.root), list, visit.load.names)
    }

    /// Whether the entry `name` (relative to the transfer root) of the directory that `scope` belongs to is hidden. The
    /// root's own entry, `.`, never is. An excluded directory is not to be entered.
    #[must_use]
    pub fn excludes(&self, scope: &Scope, name: &[u8], is: Is) -> bool {
        name != b"." && decide(&scope.list, name, is) == Some(Verdict::Exclude)
    }
}

impl Scope {
    fn new(stage: Stage, root: Arc<[u8]>, list: List, names: Vec<Vec<u8>>) -> Result<Self, FilterError> {
        Load::default().list(&list)?;
        Ok(Self { stage, root, list, names: names.into() })
    }
}

fn decide(list: &[Node], name: &[u8], is: Is) -> Option<Verdict> {
    list.iter().find_map(|node| match node {
        Node::Test(test) => test.decide(name, is),
        Node::Merge(_, list) => decide(list, name, is),
    })
}

impl Test {
    fn compile(rule: &Rule, root: &[u8], anchor: Option<&[u8]>) -> Arc<Self> {
        let pattern = Pattern::compile(rule, root, anchor);
        let (verdict, directories_only, negated) = (rule.verdict, rule.directories_only, rule.negated);
        Arc::new(Self { verdict, directories_only, negated, stars: stars(rule), pattern })
    }

    fn decide(&self, name: &[u8], is: Is) -> Option<Verdict> {
        let applies = !self.directories_only || is == Is::Directory;
        let matches = applies && self.pattern.matches(name, is);
        (matches != self.negated).then_some(self.verdict)
    }
}

/// One directory being entered.
struct Visit<'a, 'r> {
    root: &'a [u8],
    /// From the module root.
    directory: Vec<u8>,
    load: Load,
    read: &'a mut Read<'r>,
}

impl Visit<'_, '_> {
    /// `list`, in which no file has been read, with those of the directories above `first`.
    fn above(&mut self, list: &List, first: &[u8]) -> Result<List, FilterError> {
        let mut nodes = list.to_vec();
        for node in &mut nodes {
            let Node::Merge(merge, inner) = node else { continue };
            for directory in directories_above(merge.start.as_deref(), self.root, first) {
                self.directory = directory;
                *inner = self.merge(merge, inner)?;
            }
        }
        Ok(nodes.into())
    }

    /// `list` with the files of this directory read: itself, if they change nothing.
    fn list(&mut self, list: &List) -> Result<List, FilterError> {
        let mut changed: Option<Vec<Node>> = None;
        for (at, node) in list.iter().enumerate() {
            let Node::Merge(merge, inner) = node else { continue };
            let now = self.merge(merge, inner)?;
            if !Arc::ptr_eq(&now, inner)
                && let Some(place) = changed.get_or_insert_with(|| list.to_vec()).get_mut(at)
            {
                *place = Node::Merge(Arc::clone(merge), now);
            }
        }
        Ok(changed.map_or_else(|| Arc::clone(list), Arc::from))
    }

    /// What `merge` says here, if it has said `inherited` in the parent.
    fn merge(&mut self, merge: &Merge, inherited: &List) -> Result<List, FilterError> {
        let path = join(&self.directory, &merge.name);
        let mut inherits = merge.inheritance == Inheritance::Inherited;
        let Some(content) = (self.read)(&path) else {
            return if inherits || inherited.is_empty() { self.list(inherited) } else { Ok(List::from([])) };
        };
        if content.len() > MAX_MERGE_FILE {
            return Err(FilterError::Bound { what: "bytes in one per-directory file", limit: MAX_MERGE_FILE });
        }
        let (mut nodes, mut found) = (Vec::new(), Vec::new());
        for (line, text) in merge.split(&content) {
            parse(text, Origin::File(merge), &mut found).map_err(|flaw| FilterError::File {
                path: shown(&path),
                line,
                flaw,
            })?;
            for item in found.drain(..) {
                match item {
                    // As stock: what this file has named can be named again, what was named above cannot.
                    Item::Clear => {
                        self.load.forget(&nodes);
                        nodes.clear();
                        inherits = false;
                    }
                    Item::Rule(rule) => {
                        self.load.rule(&rule)?;
                        nodes.push(Node::Test(Test::compile(&rule, self.root, Some(&self.directory))));
                    }
                    Item::Merge(further) => {
                        if self.load.merge(&further)? {
                            let list = self.merge(&further, &List::from([]))?;
                            nodes.push(Node::Merge(Arc::new(further), list));
                        }
                    }
                }
            }
        }
        if inherits {
            nodes.extend(self.list(inherited)?.iter().cloned());
        }
        Ok(nodes.into())
    }
}

impl Load {
    fn named(names: &[Vec<u8>]) -> Self {
        Self { names: names.to_vec(), ..Self::default() }
    }

    fn rule(&mut self, rule: &Rule) -> Result<(), FilterError> {
        self.add(1, stars(rule))
    }

    fn add(&mut self, rules: usize, stars: usize) -> Result<(), FilterError> {
        (self.rules, self.stars) = (self.rules + rules, self.stars + stars);
        if self.rules > MAX_RULES {
            return Err(FilterError::Bound { what: "rules", limit: MAX_RULES });
        }
        if self.stars > MAX_STARS {
            return Err(FilterError::Bound { what: "stars", limit: MAX_STARS });
        }
        Ok(())
    }

    /// Counts a per-directory rule. `false`: its file is taken into account already, this rule adds nothing.
    fn merge(&mut self, merge: &Merge) -> Result<bool, FilterError> {
        if self.names.contains(&merge.name) {
            return Ok(false);
        }
        if self.names.len() >= MAX_MERGES {
            return Err(FilterError::Bound { what: "per-directory files", limit: MAX_MERGES });
        }
        self.names.push(merge.name.clone());
        Ok(true)
    }

    /// Lets the per-directory files of `list` be named again.
    fn forget(&mut self, list: &[Node]) {
        for node in list {
            if let Node::Merge(merge, list) = node {
                self.names.retain(|name| *name != merge.name);
                self.forget(list);
            }
        }
    }

    fn list(&mut self, list: &[Node]) -> Result<(), FilterError> {
        for node in list {
            match node {
                Node::Test(test) => self.add(1, test.stars)?,
                Node::Merge(merge, list) => {
                    self.merge(merge)?;
                    self.list(list)?;
                }
            }
        }
        Ok(())
    }
}

fn stars(rule: &Rule) -> usize {
    rule.pattern.iter().filter(|byte| **byte == b'*').count()
}

/// The directories above `first`, from `start` (what stands before the file name in a `:` rule; relative to `root` if
/// it has no slash in front) down to the parent of `first`: none if `start` is not above it. All from the module root.
fn directories_above(start: Option<&[u8]>, root: &[u8], first: &[u8]) -> Vec<Vec<u8>> {
    let Some(start) = start else { return Vec::new() };
    let from: &[u8] = if matches!(start, [] | [b'/', ..]) { b"" } else { root };
    let mut resolved: Vec<&[u8]> = Vec::new();
    for component in from.split(is_slash).chain(start.split(is_slash)) {
        match component {
            b"" | b"." => {}
            b".." => drop(resolved.pop()),
            name => resolved.push(name),
        }
    }
    let top = resolved.join(&b'/');
    let Some(rest) = below(first, &top) else { return Vec::new() };
    let passed = first.len() - rest.len();
    let slashes = rest.iter().enumerate().filter(|(_, byte)| is_slash(byte));
    let between: Vec<&[u8]> = slashes.filter_map(|(at, _)| first.get(..passed + at)).collect();
    std::iter::once(top.as_slice()).chain(between).map(<[u8]>::to_vec).collect()
}

fn is_slash(byte: &u8) -> bool {
    *byte == b'/'
}

/// `name` inside of `directory`; either may be the empty path, and `name` may be `.`.
fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match (directory, name) {
        (_, b"" | b".") => directory.to_vec(),
        (b"", _) => name.to_vec(),
        _ => [directory, b"/", name].concat(),
    }
}

/// Bytes of a peer for a message: escaped, and not too many.
fn shown(text: &[u8]) -> String {
    let (head, dots) = text.split_at_checked(SHOWN_BYTES).map_or((text, ""), |(head, _)| (head, "..."));
    format!("{}{dots}", head.escape_ascii())
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
