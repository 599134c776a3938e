//! What looping clients do, and what came of it.

use std::collections::BTreeMap;

use super::ledger::Whole;
use super::stage::say;

/// What a client does in a round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Habit {
    Update,
    Fresh,
    Packed,
    Cut,
    Limited,
    HeldUp,
}

/// All habits, what they are called, and how often they come, of all that are here together.
pub(crate) const HABITS: [(Habit, &str, u64); 6] = [
    (Habit::Update, "updates with Portage's options", 8),
    (Habit::Fresh, "pulls from nothing", 3),
    (Habit::Packed, "with another compression", 3),
    (Habit::Cut, "cut, and gone on with", 3),
    (Habit::Limited, "with --bwlimit", 1),
    (Habit::HeldUp, "held up", 1),
];

/// What a round came to.
pub(crate) enum Outcome {
    /// A whole copy, and how many publications began while the client was on its way.
    Whole(Whole, u64),
    Torn(String),
    Failed(String),
}

pub(crate) struct Report {
    pub(crate) habit: Habit,
    pub(crate) outcome: Outcome,
    pub(crate) cuts: usize,
}

/// What clients have reported.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) rounds: BTreeMap<Habit, usize>,
    pub(crate) cuts: usize,
    pub(crate) most_passed: u64,
    stamps: BTreeMap<u64, i64>,
    pub(crate) torn: Vec<String>,
    pub(crate) failed: Vec<String>,
}

impl Tally {
    /// One more.
    pub(crate) fn take(&mut self, report: Report) {
        *self.rounds.entry(report.habit).or_default() += 1;
        self.cuts += report.cuts;
        match report.outcome {
            Outcome::Whole(whole, passed) => {
                self.most_passed = self.most_passed.max(passed);
                self.stamp(whole);
            }
            Outcome::Torn(what) => tell(&mut self.torn, "TORN", what),
            Outcome::Failed(what) => tell(&mut self.failed, "FAILED", what),
        }
    }

    /// A publication has one timestamp, and a later one than those before it.
    fn stamp(&mut self, whole: Whole) {
        let Whole { publication, stamp } = whole;
        let known = *self.stamps.entry(publication).or_insert(stamp);
        let before = self.stamps.range(..publication).next_back().is_none_or(|(_, before)| *before < stamp);
        let after = self.stamps.range(publication + 1..).next().is_none_or(|(_, after)| stamp < *after);
        if known != stamp || !before || !after {
            tell(&mut self.torn, "TORN", format!("{publication} has the timestamp {stamp}, and {known} before"));
        }
    }

    /// All rounds.
    pub(crate) fn all(&self) -> usize {
        self.rounds.values().sum()
    }
}

fn tell(list: &mut Vec<String>, what: &str, text: String) {
    say(&format!("{what}: {text}"));
    list.push(text);
}
