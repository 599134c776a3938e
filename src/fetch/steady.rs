//! A second look at the directories of a source, once its files were read.
//!
//! Tools that update a tree replace files by renaming, which a look at single files cannot see: half of them may be read
//! before, half after. Every rename, creation and removal moves the change time of its directory, which nobody can set;
//! so a tree whose directories stood still from the walk to the end of the reading was read as one.
//! Deliberately absent: writes into a file that stays; the reading notices those itself.

use std::os::fd::BorrowedFd;

use super::descent::Descent;
use super::error::{Failure, MOST_FAILURES, Why};
use super::facts::{Facts, Sort};
use super::walk::Walked;

/// The directories that changed since the walk, no more than [`MOST_FAILURES`].
pub(super) fn moved(root: BorrowedFd<'_>, walked: &Walked) -> Vec<Failure> {
    let mut descent = Descent::from(root);
    let directories = walked.entries.iter().filter(|entry| entry.facts.sort == Sort::Directory);
    let changed = directories.filter_map(|entry| {
        let path = walked.path(entry);
        let now = match path.parent() {
            None => Facts::of_open(root),
            Some(above) => descent.to(above).and_then(|above| Facts::of_name(above, path.name())),
        };
        let why = match now {
            Ok(facts) if facts == entry.facts => return None,
            Ok(_) => Why::Changed,
            Err(error) => Why::of_listed(error),
        };
        Some(Failure { path: path.to_string(), why })
    });
    changed.take(MOST_FAILURES).collect()
}
