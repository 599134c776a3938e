//! Stock rsync is the oracle: one table of cases, each run by the stock client against the stock daemon and against
//! headwater, both serving the same trees. Exit code, output, messages and the resulting tree must agree.
//!
//! `case` says what a case is, the `cases` are the table, `generated` makes rules that nobody would think of, `compression` counts
//! bytes, `settings` are the modules of both servers, `tree` makes the sources and reads results, `run` starts the two servers and the clients, `judge`
//! compares. A difference is our mistake, or it stands in `QUIRKS.md` with its reason, and in the table as lines that must
//! occur. `COMPLIANCE=WORD cargo test --test compliance` runs the cases whose names contain the word, and shows what they said.
#![expect(clippy::unwrap_used, reason = "a test says where it failed, and that is enough")]
#![expect(clippy::panic, reason = "a test says where it failed, and that is enough")]
#![expect(clippy::print_stdout, reason = "a test prints for its developer")]

mod case;
mod cases;
mod cases_access;
mod cases_asking;
mod cases_links;
mod cases_sending;
mod compression;
mod generated;
mod judge;
mod large;
#[path = "../rig/mod.rs"]
mod rig;
mod run;
mod settings;
mod tree;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{available_parallelism, scope};

use case::Feature::{
    self, AccessTimes, Appending, FilesFrom, FollowedLinks, Logins, Lz4, MissingArguments, ModuleFilters, Secluded,
};
use case::{Case, Expect};
use run::{Server, Stage};

const QUIRKS: &str = include_str!("QUIRKS.md");

/// Features that the program does not have yet: their cases wait.
const NOT_YET: &[Feature] = &[];

/// All tables, and what their cases need.
const TABLES: &[(&[Feature], &[Case])] = &[
    (&[], cases::CASES),
    (&[], cases_access::PUSHES),
    (&[Logins], cases_access::LOGINS),
    (&[ModuleFilters], cases_access::VEILED),
    (&[ModuleFilters, FilesFrom], cases_access::VEILED_NAMES),
    (&[FilesFrom], cases_asking::NAMES),
    (&[Secluded], cases_asking::SECLUDED),
    (&[Secluded, FilesFrom], cases_asking::SECLUDED_NAMES),
    (&[MissingArguments], cases_asking::MISSING),
    (&[MissingArguments, FilesFrom], cases_asking::MISSING_NAMES),
    (&[FollowedLinks], cases_links::LINKS),
    (&[FollowedLinks, FilesFrom], cases_links::LINK_NAMES),
    (&[], cases_sending::LONG),
    (&[Appending], cases_sending::APPENDING),
    (&[Lz4], cases_sending::LZ4),
    (&[AccessTimes], cases_sending::ACCESSED),
];

fn has(feature: Feature) -> bool {
    !NOT_YET.contains(&feature)
}

/// Every case, also those that wait.
fn all() -> impl Iterator<Item = &'static Case> {
    TABLES.iter().flat_map(|(_, cases)| cases.iter())
}

/// The cases that can be run.
fn ready() -> impl Iterator<Item = &'static Case> {
    let tables = TABLES.iter().filter(|(needs, _)| needs.iter().all(|&feature| has(feature)));
    tables.flat_map(|(_, cases)| cases.iter())
}

#[test]
fn a_stock_client_cannot_tell_headwater_from_rsyncd() {
    let wanted = wanted();
    let cases: Vec<&Case> = ready().filter(|case| case.name.contains(wanted.as_str())).collect();
    assert!(!cases.is_empty(), "no case has {wanted:?} in its name");
    let stage = Stage::set(has);
    let mut failed: Vec<String> = at_once(&cases, |case| {
        check(&stage, case, !wanted.is_empty()).err().map(|why| format!("── {}\n{why}", case.name))
    });
    drop(stage);
    failed.sort();
    assert!(failed.is_empty(), "{} of {} cases:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

#[test]
fn a_list_of_what_not_to_compress_changes_as_little_as_with_stock() {
    let stage = Stage::set(has);
    let failed = at_once(&["zlib", "zlibx", "zstd", "lz4"], |codec| compression::check(&stage, codec).err());
    drop(stage);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn rules_that_nobody_thought_of_hide_the_same_files() {
    let stage = Stage::set(has);
    let trials = generated::trials(has);
    let compared = AtomicUsize::new(0);
    let failed: Vec<String> = at_once(&trials, |trial| match generated::check(&stage, trial) {
        Ok(names) => {
            compared.fetch_add(names, Ordering::Relaxed);
            None
        }
        Err(why) => Some(why),
    });
    drop(stage);
    assert!(failed.is_empty(), "{} of {} sets of rules:\n{}", failed.len(), trials.len(), failed.join("\n"));
    // Rules that hide everything, or nothing, would agree about little.
    let (compared, size) = (compared.into_inner(), generated::size());
    assert!(size >= 2_000 && compared > size / 10 && compared < size, "{compared} names of {size}");
}

/// Asks `check` about each, some at once, and gives what it said. Most of the time a client and its server wait for each other.
fn at_once<T: Sync>(all: &[T], check: impl Fn(&T) -> Option<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut said = Vec::new();
        while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            said.extend(check(one));
        }
        said
    };
    let threads = 2 * available_parallelism().map_or(1, NonZeroUsize::get);
    scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
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
    let mut names = BTreeSet::new();
    let twice: Vec<&str> = all().map(|case| case.name).filter(|name| !names.insert(*name)).collect();
    assert_eq!(twice, Vec::<&str>::new());
}

#[test]
fn every_difference_has_its_reason_and_every_reason_its_case() {
    let told: BTreeSet<&str> = QUIRKS.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let used: BTreeSet<&str> = all()
        .filter_map(|case| match case.expect {
            Expect::Same => None,
            Expect::Differs(quirk, _) => Some(quirk),
        })
        .collect();
    assert_eq!(told, used);
}
