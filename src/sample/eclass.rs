//! Eclasses of the sample, and what inheriting them does to an ebuild's metadata.
//!
//! Only the language eclass adds to an ebuild's variables (USE flags, as python-r1 does); all
//! others hold functions that nothing calls. An eclass of the lower half may be inherited by
//! others and never changes; one of the upper half is only inherited by ebuilds and changes now
//! and then, and with it the md5-cache entries that name its digest.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use md5::{Digest as _, Md5};

use super::dice::Dice;
use super::words;

/// The eclass that all others may inherit.
const UTILS: usize = 0;
/// The eclass that adds USE flags.
pub(super) const LANGUAGE: usize = 1;
/// What `${ESTUARY_USEDEP}` stands for.
pub(super) const USEDEP: &str = "estuary_targets_v3_11(-)?,estuary_targets_v3_12(-)?,\
    estuary_targets_v3_13(-)?,estuary_targets_v3_14(-)?";
/// What the language eclass appends to IUSE.
pub(super) const IUSE: &str = "estuary_targets_v3_11 +estuary_targets_v3_12 \
    +estuary_targets_v3_13 estuary_targets_v3_14";
/// What the language eclass appends to REQUIRED_USE.
pub(super) const REQUIRED_USE: &str = "|| ( estuary_targets_v3_11 estuary_targets_v3_12 \
    estuary_targets_v3_13 estuary_targets_v3_14 )";

const MEAN: u32 = 7_000;
/// Each changeable eclass changes on average once in so many days, times their number.
const PAUSE: u32 = 20;

/// One eclass at one revision.
pub(super) struct Eclass {
    pub(super) name: String,
    pub(super) text: String,
    /// Lower-case hex.
    pub(super) md5: String,
    /// The day of its last change.
    pub(super) day: u32,
    /// The numbers of what it inherits itself, directly.
    inherits: Vec<usize>,
}

/// All eclasses of a sample.
pub(super) struct Eclasses {
    all: Vec<Eclass>,
}

impl Eclasses {
    /// So many eclasses, as they are on day `today`.
    pub(super) fn new(seed: u64, count: usize, today: u32) -> Self {
        let mut all: Vec<Eclass> = Vec::with_capacity(count);
        for n in 0..count {
            let mut dice = Dice::new(seed, "eclass", n as u64);
            let inherits = parents(&mut dice, n, count);
            let names: Vec<&str> = inherits.iter().map(|&n| all[n].name.as_str()).collect();
            let name = match n {
                UTILS => "headwater-utils".to_owned(),
                LANGUAGE => "estuary-r1".to_owned(),
                _ => format!("{}-r{}", words::name(seed ^ 1, u32::try_from(n).unwrap_or(0)), 1 + n % 2),
            };
            let day = last_change(seed, n, count, today);
            let text = text(&mut dice, &name, n, &names, day);
            let md5 = md5_hex(text.as_bytes());
            all.push(Eclass { name, text, md5, day, inherits });
        }
        Self { all }
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Eclass> {
        self.all.iter()
    }

    /// What an ordinary ebuild inherits: none to three of them.
    pub(super) fn choose(&self, dice: &mut Dice) -> Vec<usize> {
        let others = u32::try_from(self.all.len() - 2).unwrap_or(u32::MAX);
        let mut chosen = Vec::new();
        for _ in 0..dice.pick(&[0, 1, 1, 1, 2, 2, 2, 3]) {
            let n = 2 + dice.below(others) as usize;
            if !chosen.contains(&n) {
                chosen.push(n);
            }
        }
        chosen
    }

    /// The eclass with this number.
    pub(super) fn get(&self, n: usize) -> &Eclass {
        &self.all[n]
    }

    /// These and all that they inherit, by name, as `_eclasses_` of the md5-cache lists them.
    pub(super) fn closure(&self, direct: &[usize]) -> BTreeMap<&str, &Eclass> {
        let mut found = BTreeMap::new();
        let mut left = direct.to_vec();
        while let Some(n) = left.pop() {
            let eclass = &self.all[n];
            if found.insert(eclass.name.as_str(), eclass).is_none() {
                left.extend_from_slice(&eclass.inherits);
            }
        }
        found
    }
}

/// Lower-case hex of the MD5, as md5-cache entries have it.
pub(super) fn md5_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(32);
    for byte in Md5::digest(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn parents(dice: &mut Dice, n: usize, count: usize) -> Vec<usize> {
    match n {
        UTILS => Vec::new(),
        LANGUAGE | 2 | 3 => vec![UTILS],
        _ => {
            let lower = u32::try_from(n.min(count / 2) - 2).unwrap_or(0);
            let mut parents = vec![UTILS];
            for _ in 0..dice.below(4) {
                let parent = 2 + dice.below(lower) as usize;
                if !parents.contains(&parent) {
                    parents.push(parent);
                }
            }
            parents
        }
    }
}

fn last_change(seed: u64, n: usize, count: usize, today: u32) -> u32 {
    if n < 4.max(count / 2) {
        return 0;
    }
    let rare = PAUSE.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
    let changes = |day: &u32| {
        let number = (n as u64) << 32 | u64::from(*day);
        Dice::new(seed, "eclass day", number).below(rare) == 0
    };
    (1..=today).rev().find(changes).unwrap_or(0)
}

fn text(dice: &mut Dice, name: &str, n: usize, inherits: &[&str], day: u32) -> String {
    let mut out = format!(
        "# Copyright 2026 headwater sample\n\
         # Distributed under the terms of the GNU General Public License v2\n\n\
         # @ECLASS: {name}.eclass\n# @MAINTAINER:\n# sample@headwater.invalid\n\
         # @SUPPORTED_EAPIS: 8\n# @BLURB: {}\n# @DESCRIPTION:\n",
        words::phrase(dice, 6)
    );
    words::lines(&mut out, dice, "# ", 400);
    if day > 0 {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# Changed on day {day}.");
    }
    out.push_str("\ncase ${EAPI} in\n\t8) ;;\n\t*) die \"${ECLASS}: EAPI ${EAPI:-0} not supported\" ;;\nesac\n\n");
    if !inherits.is_empty() {
        let _ = writeln!(out, "inherit {}\n", inherits.join(" "));
    }
    if n == LANGUAGE {
        let _ = writeln!(out, "IUSE=\"{IUSE}\"\nREQUIRED_USE=\"{REQUIRED_USE}\"\nESTUARY_USEDEP=\"{USEDEP}\"\n");
    }
    let size = out.len() + dice.size(MEAN);
    let mut functions = 0;
    while out.len() < size {
        let _ = writeln!(out, "# @FUNCTION: {name}_step_{functions}\n# @DESCRIPTION:");
        words::lines(&mut out, dice, "# ", 200);
        let _ = writeln!(out, "{name}_step_{functions}() {{\n\tdebug-print-function ${{FUNCNAME}} \"${{@}}\"\n");
        words::lines(&mut out, dice, "\t# ", 300);
        let _ = writeln!(out, "\tlocal step={}\n\techo \"${{step}}\"\n}}\n", words::word(dice));
        functions += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closure_holds_what_is_inherited_through_others() {
        let eclasses = Eclasses::new(1, 40, 0);
        let all: Vec<usize> = (0..40).collect();
        assert_eq!(eclasses.closure(&all).len(), 40);
        for n in 2..40 {
            let closure = eclasses.closure(&[n]);
            assert!(closure.contains_key("headwater-utils"));
            assert!(!closure.contains_key("estuary-r1"));
        }
    }

    #[test]
    fn only_the_upper_half_changes_and_says_when() {
        let before = Eclasses::new(1, 40, 0);
        let after = Eclasses::new(1, 40, 400);
        let changed: Vec<usize> = (0..40).filter(|&n| before.get(n).md5 != after.get(n).md5).collect();
        assert!(!changed.is_empty() && changed.iter().all(|&n| n >= 20), "{changed:?}");
        for n in 0..40 {
            assert_eq!(changed.contains(&n), after.get(n).day > 0);
        }
    }
}
