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
    /// The names of all per-directory files in force.
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
        Scope::new(Stage::Above, root.into(), self.0.iter().filter_map(compile).collect())
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
        Scope::new(Stage::Inside, Arc::clone(&scope.root), list)
    }

    /// Whether the entry `name` (relative to the transfer root) of the directory that `scope` belongs to is hidden. The
    /// root's own entry, `.`, never is. An excluded directory is not to be entered.
    #[must_use]
    pub fn excludes(&self, scope: &Scope, name: &[u8], is: Is) -> bool {
        name != b"." && decide(&scope.list, name, is) == Some(Verdict::Exclude)
    }
}

impl Scope {
    fn new(stage: Stage, root: Arc<[u8]>, list: List) -> Result<Self, FilterError> {
        let mut load = Load::default();
        load.list(&list)?;
        Ok(Self { stage, root, list, names: load.names.into() })
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
                    Item::Clear => {
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
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// What a stock daemon lists for each of 125 rule lists, see the head of the file.
    const VECTORS: &str = include_str!("../../tests/vectors/filters.tsv");

    /// The paths of a module: directories without content, files with theirs.
    type Tree = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

    fn reader(tree: &Tree) -> impl FnMut(&[u8]) -> Option<Vec<u8>> + '_ {
        |path| tree.get(path).cloned().flatten()
    }

    /// What a recursive sender lists for one path argument.
    fn listed(tree: &Tree, argument: &str, filters: &Filters) -> Result<BTreeSet<String>, FilterError> {
        let (root, name) = argument.rsplit_once('/').unwrap_or(("", argument));
        let above = filters.root_scope(root.as_bytes())?;
        let mut out = BTreeSet::new();
        if name.is_empty() {
            let scope = filters.enter(&above, b".", &mut reader(tree))?;
            out.insert(".".to_owned());
            walk(tree, filters, &scope, b"", &mut out)?;
        } else {
            list(tree, filters, &above, name.as_bytes(), &mut out)?;
        }
        Ok(out)
    }

    fn walk(
        tree: &Tree,
        filters: &Filters,
        scope: &Scope,
        directory: &[u8],
        out: &mut BTreeSet<String>,
    ) -> Result<(), FilterError> {
        let place = join(&scope.root, directory);
        for path in tree.keys() {
            if path.iter().rposition(is_slash).map_or(&b""[..], |slash| &path[..slash]) == place {
                let name = if scope.root.is_empty() { path } else { &path[scope.root.len() + 1..] };
                list(tree, filters, scope, name, out)?;
            }
        }
        Ok(())
    }

    fn list(
        tree: &Tree,
        filters: &Filters,
        scope: &Scope,
        name: &[u8],
        out: &mut BTreeSet<String>,
    ) -> Result<(), FilterError> {
        let directory = tree[&join(&scope.root, name)].is_none();
        if filters.excludes(scope, name, if directory { Is::Directory } else { Is::Other }) {
            return Ok(());
        }
        let text = String::from_utf8(name.to_vec()).unwrap();
        if directory {
            out.insert(text + "/");
            let inner = filters.enter(scope, name, &mut reader(tree))?;
            walk(tree, filters, &inner, name, out)?;
        } else {
            out.insert(text);
        }
        Ok(())
    }

    fn rules(texts: &[&str]) -> Filters {
        let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        Filters::parse(&texts, CvsExclude::No).unwrap()
    }

    /// The strings of a JSON list of strings, or of one string.
    fn json(text: &str) -> Vec<String> {
        let (mut strings, mut current) = (Vec::new(), None::<String>);
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            match (&mut current, letter) {
                (None, '"') => current = Some(String::new()),
                (None, _) => {}
                (Some(_), '"') => strings.extend(current.take()),
                (Some(string), '\\') => string.push(match letters.next().unwrap() {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                }),
                (Some(string), _) => string.push(letter),
            }
        }
        strings
    }

    #[test]
    fn lists_what_a_stock_daemon_lists_in_every_recorded_case() {
        let (mut tree, mut cases) = (Tree::new(), 0);
        for row in VECTORS.lines().filter(|row| !row.starts_with('#')) {
            match row.split('\t').collect::<Vec<_>>()[..] {
                ["tree", name, paths] => {
                    tree.insert(name.into(), None);
                    for path in json(paths) {
                        let content = (!path.ends_with('/')).then(Vec::new);
                        tree.insert(format!("{name}/{}", path.trim_end_matches('/')).into(), content);
                    }
                }
                ["file", name, path, content] => {
                    tree.insert(format!("{name}/{path}").into(), Some(json(content).concat().into()));
                }
                ["case", _, argument, rules, _, expected, _] => {
                    cases += 1;
                    let texts: Vec<Vec<u8>> = json(rules).into_iter().map(String::into_bytes).collect();
                    let result =
                        Filters::parse(&texts, CvsExclude::No).and_then(|filters| listed(&tree, argument, &filters));
                    let got = result.unwrap_or_else(|error| [format!("ERR {}", error.exit_code())].into());
                    assert_eq!(got, json(expected).into_iter().collect(), "rules {rules}, argument {argument}");
                }
                _ => panic!("a row of an unknown kind: {row}"),
            }
        }
        assert_eq!(cases, 125);
    }

    fn tree(paths: &[(&str, &str)]) -> Tree {
        let entry = |(path, content): &(&str, &str)| match path.strip_suffix('/') {
            Some(directory) => (directory.into(), None),
            None => ((*path).into(), Some((*content).into())),
        };
        paths.iter().map(entry).collect()
    }

    #[test]
    fn files_above_the_first_directory_count_only_where_the_rule_says_so() {
        let tree = tree(&[
            (".r", "- x"),
            ("t/", ""),
            ("t/.r", "- y\n- /a/z"),
            ("t/a/", ""),
            ("t/a/x", ""),
            ("t/a/y", ""),
            ("t/a/z", ""),
        ]);
        for (rule, argument, expected) in [
            (": .r", "t/a", "a/ a/x a/y a/z"),
            (": /.r", "t/a", "a/"),
            (": /t/.r", "t/a", "a/ a/x"),
            (": ./.r", "t/a", "a/ a/x"),
            (": ../.r", "t/a", "a/"),
            (": /t/a/.r", "t/a", "a/ a/x a/y a/z"),
            (": /.r", "t/a/", "."),
            (": ./.r", "t/a/", ". x y z"),
            (": .r", "t/", ". .r a/ a/x"),
            (":n /.r", "t/a/", ". x y z"),
        ] {
            let got = listed(&tree, argument, &rules(&[rule])).unwrap();
            assert_eq!(got, expected.split(' ').map(str::to_owned).collect(), "rule {rule}, argument {argument}");
        }
    }

    #[test]
    fn a_file_may_name_a_further_one_but_none_counts_twice() {
        let tree = tree(&[
            (".r", ": .r\n: .q\n- b"),
            (".q", "- a"),
            ("a", ""),
            ("b", ""),
            ("d/", ""),
            ("d/.q", "!\n- c"),
            ("d/a", ""),
            ("d/c", ""),
        ]);
        let got = listed(&tree, "", &rules(&[": .r", ":- .r"])).unwrap();
        assert_eq!(got, [".", ".q", ".r", "d/", "d/.q", "d/a"].map(str::to_owned).into());
    }

    #[test]
    fn entering_in_any_order_gives_the_rules_of_the_ancestors() {
        let tree = tree(&[("a/", ""), ("a/.r", "- one"), ("b/", ""), ("b/.r", "- two")]);
        let filters = rules(&[": .r"]);
        let top = filters.enter(&filters.root_scope(b"").unwrap(), b"", &mut reader(&tree)).unwrap();
        let b = filters.enter(&top, b"b", &mut reader(&tree)).unwrap();
        let a = filters.enter(&top, b"a", &mut reader(&tree)).unwrap();
        assert!(filters.excludes(&a, b"a/one", Is::Other) && !filters.excludes(&a, b"a/two", Is::Other));
        assert!(filters.excludes(&b, b"b/two", Is::Other) && !filters.excludes(&b, b"b/one", Is::Other));
        let deeper = filters.enter(&a, b"a/x", &mut reader(&tree)).unwrap();
        assert!(Arc::ptr_eq(&deeper.list, &a.list), "a directory without files shares its parent's rules");
    }

    #[test]
    fn no_error_repeats_a_line_of_a_file() {
        for line in [
            "secret",
            "-s secret",
            "H secret",
            ". secret",
            "!secret",
            "-secret x",
            "-_",
            &format!("- {}", "s".repeat(5_118)),
        ] {
            let tree = tree(&[(".r", &format!("# fine\n\n{line}\n"))]);
            let error = listed(&tree, "", &rules(&[":s .r"])).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("filter file .r, line 3") && !text.contains("secret") && !text.contains("sss"),
                "{text}"
            );
            assert_eq!(error.exit_code(), 1);
        }
    }

    #[test]
    fn a_refused_rule_of_the_client_is_named_escaped_and_shortened() {
        let refused = |rule: &[u8]| Filters::parse(&[rule.to_vec()], CvsExclude::No).unwrap_err().to_string();
        assert!(refused(b"x bad\n\xff").starts_with(r"Unknown filter rule: `x bad\n\xff'"));
        assert!(refused(&[b'y'; 9_000]).len() < 200);
    }

    #[test]
    fn every_amount_has_its_bound() {
        let many = |rule: &str, count: usize| Filters::parse(&vec![rule.as_bytes().to_vec(); count], CvsExclude::No);
        assert!(many("- a", MAX_RULES).is_ok());
        assert!(many("- a", MAX_RULES + 1).is_err());
        assert!(many("- **", MAX_STARS / 2).is_ok());
        assert!(many("- **", MAX_STARS / 2 + 1).is_err());
        assert!(many(&format!("- {}", "a".repeat(5_000)), MAX_LIST_BYTES / 5_002 + 1).is_err());
        assert!(many(&format!("- {}", "a".repeat(5_118)), 1).is_err());
        let merges = |count: usize| {
            Filters::parse(&(0..count).map(|n| format!(": f{n}").into()).collect::<Vec<_>>(), CvsExclude::No)
        };
        assert!(merges(MAX_MERGES).is_ok());
        assert!(merges(MAX_MERGES + 1).is_err());

        let chain: Vec<(String, String)> =
            (0..=MAX_MERGES).map(|n| (format!("f{n}"), format!(": f{}", n + 1))).collect();
        let chain: Vec<(&str, &str)> = chain.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert!(matches!(listed(&tree(&chain), "", &rules(&[": f0"])), Err(FilterError::Bound { .. })));
        for content in ["#".repeat(MAX_MERGE_FILE + 1), "- a\n".repeat(MAX_RULES + 1)] {
            let error = listed(&tree(&[(".r", &content)]), "", &rules(&[": .r"]));
            assert!(matches!(error, Err(FilterError::Bound { .. })));
        }
        let half = "- a\n".repeat(MAX_RULES / 2 + 1);
        let deep = tree(&[(".r", &half), ("d/", ""), ("d/.r", &half)]);
        assert!(listed(&deep, "", &rules(&[": .r"])).is_err(), "what is inherited counts");
        assert!(listed(&deep, "", &rules(&[":n .r"])).is_ok(), "what is not does not");
    }

    #[test]
    fn equal_meaning_is_an_equal_key() {
        assert_eq!(rules(&["- a/", "+ b"]), rules(&["exclude_a/", "+,sr b"]));
        assert_eq!(rules(&["- x", "!", "- a", "-x y"]), rules(&["- a"]));
        assert_ne!(rules(&["- a/"]), rules(&["- a"]));
        assert_ne!(rules(&["- a", "- b"]), rules(&["- b", "- a"]));
        assert_ne!(rules(&["- a"]), rules(&["-/ a"]));
        assert!(rules(&["-x y"]).is_empty());
        assert_eq!(rules(&[": /a/.x", ":C "]).merge_names(), [&b".x"[..], b".cvsignore"]);
        let by_letter = Filters::parse(&[b"- a".to_vec()], CvsExclude::Yes).unwrap();
        assert_eq!(by_letter, rules(&["- a", ":C .cvsignore", "-C "]));
    }
}
