//! Stock rsync is the oracle: one table of cases, each run by the stock client against the stock daemon and against
//! headwater, both serving the same trees. Exit code, output, messages and the resulting tree must agree.
//!
//! `cases` is the table, `tree` makes the sources and reads results, `run` starts the two servers and the clients, `judge`
//! compares. A difference is our mistake, or it stands in `QUIRKS.md` with its reason, and in the table as lines that must
//! occur. `COMPLIANCE=WORD cargo test --test compliance` runs the cases whose names contain the word, and shows what they said.
#![expect(clippy::unwrap_used, reason = "a test says where it failed, and that is enough")]
#![expect(clippy::print_stdout, reason = "a test prints for its developer")]

mod cases;
mod judge;
mod run;
mod tree;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{available_parallelism, scope};

use cases::{CASES, Case, Expect};
use run::{Server, Stage};

const QUIRKS: &str = include_str!("QUIRKS.md");

#[test]
fn a_stock_client_cannot_tell_headwater_from_rsyncd() {
    let wanted = wanted();
    let cases: Vec<&Case> = CASES.iter().filter(|case| case.name.contains(wanted.as_str())).collect();
    let stage = Stage::set();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failed = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(why) = check(&stage, case, !wanted.is_empty()) {
                failed.push(format!("── {}\n{why}", case.name));
            }
        }
        failed
    };
    // Most of the time a client and its server wait for each other.
    let threads = 2 * available_parallelism().map_or(1, NonZeroUsize::get);
    let mut failed: Vec<String> = scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    drop(stage);
    failed.sort();
    assert!(failed.is_empty(), "{} of {} cases:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

/// Runs a case against both servers; an error says what differs although it should not, or the other way round.
fn check(stage: &Stage, case: &Case, show: bool) -> Result<(), String> {
    let stock = stage.outcome(Server::Stock, case)?;
    let ours = stage.outcome(Server::Headwater, case)?;
    if show {
        println!("── {}\n{}\n", case.name, stock.text());
    }
    judge::judge(case, &stock, &ours)
}

/// The developer's choice of cases.
#[expect(clippy::disallowed_methods, reason = "the name of a test is taken, so a word for its cases comes this way")]
fn wanted() -> String {
    std::env::var("COMPLIANCE").unwrap_or_default()
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let names: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), CASES.len());
}

#[test]
fn every_difference_has_its_reason_and_every_reason_its_case() {
    let told: BTreeSet<&str> = QUIRKS.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let used: BTreeSet<&str> = CASES
        .iter()
        .filter_map(|case| match case.expect {
            Expect::Same => None,
            Expect::Differs(quirk, _) => Some(quirk),
        })
        .collect();
    assert_eq!(told, used);
}
