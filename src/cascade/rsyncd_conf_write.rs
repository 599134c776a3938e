//! From the modules of an `rsyncd.conf` to a topology: which directory is a repository, and which module a part of one.
//!
//! Each directory is imported once. A module below the directory of another is a part of its channel, unless it is an ebuild
//! repository of its own, or lies where a tree has nothing of its own (`distfiles`, `packages`, ...).
//! Deliberately absent: reading the directories; whether one is a tree is asked of who can look.

use std::collections::{BTreeMap, BTreeSet};

use super::rsyncd_conf::{Conf, RsyncdConfError};
use super::rsyncd_conf_module::{ModuleReading, TakenModule};
use super::rsyncd_conf_node::{NodeText, node_text};
use super::rsyncd_conf_report::{Report, Source, Surroundings};
use super::rsyncd_conf_users::readers;
use super::rsyncd_conf_words::quoted;
use super::topology_read::{LEFT_OUT_OF_FILES, LEFT_OUT_OF_TREES};
use crate::names::MAX_NAME;
use crate::tree::{MAX_TOPOLOGY_BYTES, TreePath};

/// What is written.
pub(super) struct WrittenTexts {
    pub(super) topology: String,
    pub(super) node: String,
    pub(super) sources: Vec<Source>,
    pub(super) readers: Vec<String>,
}

/// A directory that is imported.
struct Repository {
    name: String,
    is_tree: bool,
}

impl Repository {
    /// Whether what lies at `inner` below its root is part of it.
    fn holds(&self, inner: &str) -> bool {
        let first = inner.split('/').next().unwrap_or_default();
        let left_out: &[&str] = if self.is_tree { &LEFT_OUT_OF_TREES } else { &LEFT_OUT_OF_FILES };
        !left_out.contains(&first)
    }
}

/// Writes both texts.
pub(super) fn write<'c>(
    conf: &'c Conf,
    report: &mut Report<'c>,
    around: &Surroundings<'_>,
) -> Result<WrittenTexts, RsyncdConfError> {
    let mut modules = Vec::new();
    for number in 0..conf.modules.len() {
        modules.extend(ModuleReading::take(conf, number, report, around));
    }
    let repositories = repositories(&modules, around);
    let readers = readers(conf, &modules, report);
    let NodeText { text: node, transfers, format } = node_text(conf, &mut modules, report);
    let mut topology = head(&repositories, around);
    for module in &modules {
        topology.push_str(&section(module, &repositories));
        if transfers && !module.logs {
            topology.push_str("transfer_log = false\n");
        }
        match &module.log_format {
            Some((at, _)) if !module.logs => report.no_meaning(*at, "its transfers are not logged"),
            Some((at, own)) if *own != format => {
                report.taken(*at, "log_format");
                topology.push_str(&format!("log_format = {}\n", quoted(own)));
            }
            Some((at, _)) => report.taken(*at, "transfer_format, in headwater.toml"),
            None => {}
        }
        if topology.len() > MAX_TOPOLOGY_BYTES {
            return Err(RsyncdConfError::TooMuch);
        }
    }
    topology.push_str(&format!("\n[[node]]\nname = {}\nsite = \"home\"\nrole = \"gateway\"\n", quoted(around.node)));
    let source = |(directory, repository): (&String, &Repository)| Source {
        directory: directory.clone(),
        repository: repository.name.clone(),
    };
    Ok(WrittenTexts { topology, node, sources: repositories.iter().map(source).collect(), readers })
}

/// The directories to import; one above comes before those below it.
fn repositories(modules: &[TakenModule], around: &Surroundings<'_>) -> BTreeMap<String, Repository> {
    let mut directories: Vec<&TakenModule> = modules.iter().collect();
    directories.sort_by(|a, b| a.directory.cmp(&b.directory));
    let mut names = BTreeSet::new();
    let mut found: BTreeMap<String, Repository> = BTreeMap::new();
    for module in directories {
        let is_tree = (around.is_tree)(&module.directory);
        let part = !is_tree && part_of(&module.directory, &found).is_some();
        if part || found.contains_key(&module.directory) {
            continue;
        }
        let name = name_for(module.name.as_str(), &mut names);
        found.insert(module.directory.clone(), Repository { name, is_tree });
    }
    found
}

/// The repository that a directory lies in, and where.
fn part_of<'r, 'd>(
    directory: &'d str,
    repositories: &'r BTreeMap<String, Repository>,
) -> Option<(&'r Repository, &'d str)> {
    let below = |(above, repository): (&String, &'r Repository)| {
        let rest = directory.strip_prefix(above.trim_end_matches('/'))?;
        let inner = rest.strip_prefix('/').filter(|inner| !inner.is_empty())?;
        let inside = repository.holds(inner) && TreePath::new(inner.as_bytes()).is_ok();
        inside.then_some((repository, inner))
    };
    // The nearest one comes last.
    repositories.iter().rev().find_map(|(above, repository)| below((above, repository)))
}

/// A name for a repository, after a module, that no other has.
fn name_for(module: &str, names: &mut BTreeSet<String>) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    let base: String = module.chars().map(plain).take(MAX_NAME - 6).collect();
    let mut name = base.clone();
    let mut number = 2_u32;
    while !names.insert(name.clone()) {
        name = format!("{base}-{number}");
        number += 1;
    }
    name
}

fn head(repositories: &BTreeMap<String, Repository>, around: &Surroundings<'_>) -> String {
    let mut text = format!("federation = {}\n", quoted(around.federation));
    for (directory, Repository { name, is_tree }) in repositories {
        let kind = if *is_tree { "tree" } else { "files" };
        // A comment ends where the line does.
        let plain: String = directory.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        text.push_str(&format!("\n[[repository]]\nname = {}\nkind = \"{kind}\"    # {plain}\n", quoted(name)));
        text.push_str(&format!("\n[[channel]]\nname = {}\n", quoted(&format!("{name}/full"))));
    }
    text
}

fn section(module: &TakenModule, repositories: &BTreeMap<String, Repository>) -> String {
    let own = repositories.get(&module.directory).map(|repository| (repository, ""));
    let (repository, inner) = match own.or_else(|| part_of(&module.directory, repositories)) {
        Some((repository, inner)) => (repository.name.as_str(), inner),
        None => return String::new(),
    };
    let mut text = format!("\n[[module]]\nname = {}\n", quoted(module.name.as_str()));
    text.push_str(&format!("channel = {}\n", quoted(&format!("{repository}/full"))));
    if !inner.is_empty() {
        text.push_str(&format!("path = {}\n", quoted(inner)));
    }
    for key in &module.keys {
        text.push_str(key);
        text.push('\n');
    }
    text
}
