//! A module's own filter list: the rules that an admin writes, compiled once for all clients (protocol 6.5).
//!
//! The language is that of a client's rules, but for what names a file: rules in files of the tree would let the tree decide
//! what the module hides. Messages are for the admin and may quote the rules, since they come from nobody else.
//! Deliberately absent: matching; see `wire::filter`.

use std::sync::Arc;

use crate::wire::filter::{CvsExclude, FilterError, Filters};
use crate::wire::rules::Flaw;

/// Why a module's filter list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleFiltersError {
    /// A text that is no rule.
    #[error("`{rule}` is no filter rule: {flaw}")]
    Rule {
        /// The rule, escaped and shortened.
        rule: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// A rule that names a file of rules.
    #[error("rules are written here, not in a file that a rule names")]
    File,
    /// Too much of something.
    #[error("more than {limit} {what}")]
    Bound {
        /// What there is too much of.
        what: &'static str,
        /// How much is taken.
        limit: usize,
    },
}

/// Compiles the rules, in the order in which they are asked.
///
/// # Errors
/// The first thing that cannot be meant.
pub fn module_filters(rules: &[String]) -> Result<Arc<Filters>, ModuleFiltersError> {
    let rules: Vec<Vec<u8>> = rules.iter().map(|rule| whole(rule).into_bytes()).collect();
    let filters = Filters::parse(&rules, CvsExclude::No)?;
    if filters.has_merges() {
        return Err(ModuleFiltersError::File);
    }
    Ok(Arc::new(filters))
}

/// A rule as a daemon means it: what hides a directory hides all below it, whatever an earlier rule shows of that.
fn whole(rule: &str) -> String {
    let hides = rule.starts_with('-') || rule.starts_with("exclude");
    let pattern = rule.rsplit([' ', '_']).next().unwrap_or_default();
    match hides && pattern.len() > 1 && pattern.ends_with('/') {
        true => format!("{rule}***"),
        false => rule.to_owned(),
    }
}

impl From<FilterError> for ModuleFiltersError {
    fn from(error: FilterError) -> Self {
        match error {
            FilterError::Rule { flaw: Flaw::Merge, .. } | FilterError::File { .. } => Self::File,
            FilterError::Rule { rule, flaw } => Self::Rule { rule, flaw },
            FilterError::Bound { what, limit } => Self::Bound { what, limit },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::filter::Is;

    fn compile(rules: &[&str]) -> Result<Arc<Filters>, String> {
        let rules: Vec<String> = rules.iter().map(|&rule| rule.to_owned()).collect();
        module_filters(&rules).map_err(|error| error.to_string())
    }

    #[test]
    fn the_rules_hide_what_they_say() {
        let filters = compile(&["+ /a/keep", "- *.part", "- /private/***", "-! /a/"]).unwrap();
        let scope = filters.root_scope(b"").unwrap();
        let hidden = |name: &str, is| filters.excludes(&scope, name.as_bytes(), is);
        assert!(!hidden("a/keep", Is::Other));
        assert!(hidden("a/x.part", Is::Other));
        assert!(hidden("private", Is::Directory) && hidden("private/x", Is::Other));
        assert!(hidden("b", Is::Other) && !hidden("a", Is::Directory) && !hidden("a/file", Is::Other));
        assert!(compile(&[]).unwrap().is_empty());
    }

    #[test]
    fn a_hidden_directory_hides_what_an_earlier_rule_shows_in_it() {
        let hides = |rules: &[&str], name: &str| {
            let filters = compile(rules).unwrap();
            filters.excludes(&filters.root_scope(b"").unwrap(), name.as_bytes(), Is::Other)
        };
        assert!(hides(&["+ a*", "- /b/"], "b/x") && !hides(&["+ a*", "- /b/"], "b/a"));
        assert!(hides(&["exclude /b/"], "b/x") && hides(&["-_/b/"], "b/x"));
        assert!(!hides(&["+ /b/"], "b/x") && !hides(&["- /"], "b/x"));
    }

    #[test]
    fn what_cannot_be_meant_is_told_to_the_admin() {
        let check = |rules: &[&str], expected: &str| assert_eq!(compile(rules).unwrap_err(), expected, "{rules:?}");
        check(&["- a", "nonsense"], "`nonsense` is no filter rule: no such kind of rule");
        check(&["- "], "`- ` is no filter rule: the pattern is missing");
        check(&[". /etc/passwd"], "rules are written here, not in a file that a rule names");
        check(&["merge x"], "rules are written here, not in a file that a rule names");
        check(&[": .rsync-filter"], "rules are written here, not in a file that a rule names");
        check(&["- *"; 9_000], "more than 8192 rules");
    }
}
