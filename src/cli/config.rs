//! `headwater config check`: everything that a start would read, read without starting.
//!
//! Mistakes are refused like those of any other command, so a script that deploys a configuration stops at the exit code; the
//! JSON of `--json` comes on standard output in either case.

use super::args::ConfigCheckArgs;
use super::json;
use super::output::{Lines, print, print_json};
use super::start::Place;
use crate::control::Refusal;
use crate::fault::Fault;
use crate::node::config::Sources;
use crate::node::inspect::{Finding, InspectOrder, Inspection, inspect};

/// Checks, and says what is wrong.
pub(super) fn check(place: &Place, args: &ConfigCheckArgs) -> anyhow::Result<()> {
    let sources = Sources { dir: place.dir.clone(), environment: place.environment.clone(), flags: Vec::new() };
    let found = inspect(&InspectOrder { sources, topology: args.topology.clone() })?;
    if args.json {
        print_json(&json::inspection(&found), Lines::Many)?;
    }
    match (found.mistakes.as_slice(), args.json) {
        ([], true) => Ok(()),
        ([], false) => print(&told(&found)),
        (mistakes, _) => Err(refused(mistakes, &found.warnings).into()),
    }
}

fn told(found: &Inspection) -> String {
    let files: Vec<String> = found.read.iter().map(|path| path.display().to_string()).collect();
    let mut text = format!("Everything is in order: {}.\n", files.join(", "));
    for warning in &found.warnings {
        text.push_str(&format!("WARNING  {warning}\n"));
    }
    text
}

fn refused(mistakes: &[Finding], warnings: &[Finding]) -> Refusal {
    let what = match mistakes.len() {
        1 => "there is a mistake:".to_owned(),
        many => format!("there are {many} mistakes:"),
    };
    let lines = mistakes.iter().map(|mistake| format!("\n  {mistake}"));
    let warnings = warnings.iter().map(|warning| format!("\n  (warning) {warning}"));
    Refusal {
        fault: Fault::Operator,
        what: lines.chain(warnings).fold(what, |text, line| text + &line),
        why: String::new(),
        todo: "correct what is named, then check again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(key: &str, text: &str) -> Finding {
        Finding { place: "d/topology.toml".into(), at: Some((3, 1)), key: key.into(), text: text.into(), hint: None }
    }

    #[test]
    fn what_is_in_order_is_named_and_warnings_follow() {
        let found = Inspection {
            read: vec!["d/headwater.toml".into(), "d/topology.toml".into()],
            mistakes: Vec::new(),
            warnings: vec![finding("node", "odd")],
        };
        assert_eq!(
            told(&found),
            "Everything is in order: d/headwater.toml, d/topology.toml.\nWARNING  d/topology.toml:3:1, node: odd\n"
        );
    }

    #[test]
    fn all_mistakes_are_lines_of_one_refusal() {
        let hinted = Finding { hint: Some("name".into()), ..finding("nam", "no such key") };
        let refusal = refused(&[hinted, finding("", "no")], &[finding("node", "odd")]);
        assert_eq!(
            refusal.what,
            "there are 2 mistakes:\n  d/topology.toml:3:1, nam: no such key; did you mean `name`?\n  \
             d/topology.toml:3:1: no\n  (warning) d/topology.toml:3:1, node: odd"
        );
    }
}
