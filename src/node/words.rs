//! What a configuration says in languages that only the serving side knows, and their judges: filter rules, log lines.
//!
//! A topology is read on a floor that knows no protocol, so it is handed these; a mistake in a rule is found with all others,
//! with its place, before anything is served by it.
//! Deliberately absent: the languages.

use crate::cascade::Words;
use crate::serve;

/// For [`Topology::parse_with`](crate::cascade::Topology::parse_with).
pub const WORDS: Words = Words { filters, log_format };

fn filters(rules: &[String]) -> Result<(), String> {
    serve::module_filters(rules).map(|_| ()).map_err(|error| error.to_string())
}

/// What is wrong with the form of a line of the transfer log, if anything is.
pub(super) fn log_format(format: &str) -> Result<(), String> {
    serve::LogFormat::parse(format).map(|_| ()).map_err(|error| error.to_string())
}
