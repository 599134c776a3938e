//! What a package has been through: its releases and its extra files on a given day.
//!
//! A package starts with what it has on day 0 (or on the day it is added) and then lives day by
//! day: new versions come, old ones go, keywords become stable, patches are added. Each day rolls
//! its own dice, so a revision can be made without its predecessors, and what has not been touched
//! keeps its day and with it its bytes and its time. Invariant: a kept package always has at
//! least one stable release.

use super::dice::Dice;
use super::package::{HELLO, Package, Role};

/// One ebuild.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Release {
    /// Counts the versions of a package.
    pub(super) ordinal: u32,
    /// As in `${PV}`.
    pub(super) version: String,
    /// As in `-rN`; 0 is not written.
    pub(super) revision: u32,
    /// Has stable keywords.
    pub(super) stable: bool,
    /// The day of its last change.
    pub(super) day: u32,
    /// How often its text was touched without a new revision.
    pub(super) edits: u32,
}

impl Release {
    /// As in `${PVR}`.
    pub(super) fn full_version(&self) -> String {
        match self.revision {
            0 => self.version.clone(),
            n => format!("{}-r{n}", self.version),
        }
    }

    /// Whether it builds from a repository and has no keywords.
    pub(super) fn is_live(&self) -> bool {
        self.ordinal == LIVE
    }
}

/// One file below `files/`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Extra {
    /// The release that a patch belongs to; other files belong to all.
    pub(super) patches: Option<u32>,
    /// Counts the extra files of a package.
    pub(super) number: u32,
    /// The day it came.
    pub(super) day: u32,
}

/// A package as it is on one day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct History {
    /// Oldest first; a live one is last.
    pub(super) releases: Vec<Release>,
    pub(super) extras: Vec<Extra>,
    /// The day metadata.xml changed last.
    pub(super) described: u32,
    /// The day anything changed last.
    pub(super) day: u32,
    usual: usize,
    next_ordinal: u32,
    next_extra: u32,
    numbering: Numbering,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Numbering {
    parts: u32,
    major: u32,
    first: u32,
}

/// The ordinal of version 9999.
const LIVE: u32 = 9_999;
/// So many of ten thousand packages change on one day. With it about 1 % of all files do.
const CHANGES: u32 = 135;

impl History {
    /// The package at the end of day `today`, which is not before it was added.
    pub(super) fn of(seed: u64, package: &Package, today: u32) -> Self {
        let mut history = Self::beginning(seed, package);
        for day in package.born + 1..=today {
            let number = u64::from(package.index) << 16 | u64::from(day);
            let mut dice = Dice::new(seed, "day", number);
            // One package changes every day, so that no two revisions of a small sample are alike.
            if package.index == HELLO || dice.below(10_000) < CHANGES {
                history.live_through(&mut dice, package, day);
            }
        }
        history
    }

    /// How many files it has in the tree, with Manifest, metadata.xml and md5-cache.
    pub(super) fn file_count(&self) -> usize {
        2 + 2 * self.releases.len() + self.extras.len()
    }

    fn beginning(seed: u64, package: &Package) -> Self {
        let mut dice = Dice::new(seed, "history", u64::from(package.index));
        let usual = dice.pick(&[1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 1, 1, 1, 2, 3, 1]);
        let numbering =
            Numbering { parts: dice.pick(&[1, 2, 2, 2, 3, 3]), major: dice.below(8), first: dice.between(1, 20) };
        let day = package.born;
        let mut history = Self {
            releases: Vec::with_capacity(usual + 1),
            extras: Vec::new(),
            described: day,
            day,
            usual,
            next_ordinal: 0,
            next_extra: 0,
            numbering,
        };
        for _ in 0..usual {
            history.release(day);
        }
        if !package.testing {
            let newest = dice.chance(400);
            for release in history.releases.iter_mut().rev().skip(usize::from(!newest && usual > 1)) {
                release.stable = true;
            }
        }
        if dice.chance(30) && !package.kept {
            let release =
                Release { ordinal: LIVE, version: LIVE.to_string(), revision: 0, stable: false, day, edits: 0 };
            history.releases.push(release);
        }
        if dice.chance(350) {
            for _ in 0..dice.pick(&[1, 1, 2, 2, 3, 3, 6]) {
                let patch = dice.chance(700).then(|| dice.below(history.next_ordinal));
                history.add_extra(package, patch, day);
            }
        }
        history
    }

    fn live_through(&mut self, dice: &mut Dice, package: &Package, day: u32) {
        self.day = day;
        match dice.below(100) {
            0..40 => {
                self.release(day);
                if self.numbered() > self.usual + 1 {
                    self.drop_oldest(package, day);
                }
            }
            40..50 if self.numbered() > 1 => self.drop_oldest(package, day),
            50..70 if !package.testing => match self.newest() {
                Some(newest) if !newest.stable => {
                    newest.stable = true;
                    newest.day = day;
                }
                _ => self.edit(day),
            },
            70..82 => {
                let release = self.newest().map(|newest| {
                    newest.revision += 1;
                    newest.day = day;
                    newest.ordinal
                });
                self.add_extra(package, release, day);
            }
            82..90 => self.described = day,
            _ => self.edit(day),
        }
    }

    /// Adds the next version, not stable yet.
    fn release(&mut self, day: u32) {
        let ordinal = self.next_ordinal;
        self.next_ordinal += 1;
        let Numbering { parts, major, first } = self.numbering;
        let version = match parts {
            1 => format!("{}", first + ordinal),
            2 => format!("{major}.{}", first + ordinal),
            _ => format!("{major}.{first}.{ordinal}"),
        };
        let release = Release { ordinal, version, revision: 0, stable: false, day, edits: 0 };
        self.releases.insert(self.numbered(), release);
    }

    /// Removes the oldest version with its patches; if no stable one is left, the next is promoted.
    fn drop_oldest(&mut self, package: &Package, day: u32) {
        let dropped = self.releases.remove(0);
        self.extras.retain(|extra| extra.patches != Some(dropped.ordinal));
        let stable = self.releases.iter().any(|release| release.stable);
        if let Some(oldest) = self.releases.first_mut()
            && !stable
            && !package.testing
            && !oldest.is_live()
        {
            oldest.stable = true;
            oldest.day = day;
        }
    }

    fn edit(&mut self, day: u32) {
        if let Some(newest) = self.newest() {
            newest.edits += 1;
            newest.day = day;
        }
    }

    fn add_extra(&mut self, package: &Package, patches: Option<u32>, day: u32) {
        // Without sources there is nothing to patch.
        let patches = patches.filter(|_| package.role != Role::Meta);
        self.extras.push(Extra { patches, number: self.next_extra, day });
        self.next_extra += 1;
    }

    fn newest(&mut self) -> Option<&mut Release> {
        self.releases.iter_mut().rfind(|release| !release.is_live())
    }

    /// How many releases have a version of their own.
    fn numbered(&self) -> usize {
        self.releases.iter().filter(|release| !release.is_live()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_package_has_a_stable_release_on_every_day() {
        for index in (0..300).step_by(3) {
            let package = Package::new(5, index, 5, 0);
            for today in (0..800).step_by(40) {
                let history = History::of(5, &package, today);
                assert!(history.releases.iter().any(|release| release.stable), "{index} on day {today}");
            }
        }
    }

    #[test]
    fn versions_go_up_and_are_never_used_twice() {
        let package = Package::new(5, 8, 5, 0);
        let mut seen = std::collections::BTreeMap::new();
        for today in 0..3000 {
            let history = History::of(5, &package, today);
            assert!(history.releases.is_sorted_by_key(|release| release.ordinal));
            for release in history.releases {
                let version = seen.entry(release.ordinal).or_insert_with(|| release.version.clone());
                assert_eq!(*version, release.version);
            }
        }
        assert!(seen.len() > 5, "{}", seen.len());
        let distinct: std::collections::BTreeSet<_> = seen.values().collect();
        assert_eq!(distinct.len(), seen.len());
    }
}
