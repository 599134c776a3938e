//! Who a package is: name, category, kind, and from when to when it exists.
//!
//! All of it follows from the seed and the package's index; nothing here changes with the revision.
//! Dependencies always point to a lower index, so they cannot form a circle, and only to a *kept*
//! package (every third): one that never goes, is never masked and always has a stable version.
//! So every package that is visible can be installed, at every revision.

use super::dice::Dice;
use super::words;

/// How a package gets its sources, which decides how SRC_URI looks.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// One file from its own site.
    Plain,
    /// One file through `mirror://`.
    Mirror,
    /// One file under another name, with `->`.
    Renamed,
    /// A file for each version and one that all versions share.
    Patchset,
    /// A second file for a USE flag.
    Optional,
    /// Many files that all versions share.
    Vendored,
    /// `RESTRICT=mirror`.
    NoMirror,
    /// `RESTRICT=fetch`: no place to get it from.
    Fetch,
    /// No files at all.
    Meta,
}

/// One package of the sample, alive or gone.
#[derive(Clone, Debug)]
pub(super) struct Package {
    pub(super) index: u32,
    /// Number of its category.
    pub(super) category: usize,
    pub(super) name: String,
    pub(super) role: Role,
    /// Has USE flags of the language eclass and depends on others that do.
    pub(super) language: bool,
    /// Others may depend on it.
    pub(super) kept: bool,
    /// Never becomes stable.
    pub(super) testing: bool,
    /// Listed in `profiles/package.mask`.
    pub(super) masked: bool,
    /// The day of the first revision that has it.
    pub(super) born: u32,
    /// The day of the first revision that no longer has it.
    pub(super) gone: Option<u32>,
}

/// Packages that every sample has, by index, for tests and demonstrations to name.
const NAMED: [(u32, &str, Role); 5] = [
    (HELLO, "hello-headwater", Role::Plain),
    (1, "headwater-masked", Role::Plain),
    (2, "headwater-testing", Role::Plain),
    (4, "headwater-licensed", Role::Fetch),
    (CHAIN, "headwater-chain", Role::Plain),
];
/// Depends on nothing, and changes every day.
pub(super) const HELLO: u32 = 0;
/// Depends on several others.
pub(super) const CHAIN: u32 = 5;
/// From here on each category gets one package in turn, so that none is ever empty.
const ANCHORS: u32 = 6;
/// The category of the named packages.
pub(super) const APP_MISC: usize = 2;

const ROLES: [(Role, u32); 9] = [
    (Role::Plain, 380),
    (Role::Mirror, 130),
    (Role::Renamed, 120),
    (Role::Patchset, 90),
    (Role::Optional, 80),
    (Role::Vendored, 80),
    (Role::NoMirror, 30),
    (Role::Fetch, 20),
    (Role::Meta, 70),
];

/// A package that may go does so within this many days.
const LIFETIME: u32 = 8_000;

impl Package {
    /// The package with this index in a sample with so many categories.
    pub(super) fn new(seed: u64, index: u32, categories: usize, born: u32) -> Self {
        let mut dice = Dice::new(seed, "package", u64::from(index));
        let named = NAMED.iter().find(|named| named.0 == index);
        let role = named.map_or_else(|| role(&mut dice), |named| named.2);
        let name = match named {
            Some(named) => named.1.to_owned(),
            None => decorated(&mut dice, &words::name(seed, index)),
        };
        let anchor = index.checked_sub(ANCHORS).map_or(usize::MAX, |n| n as usize);
        // Drawn for all, so that nothing that follows depends on the number of categories.
        let drawn = skewed(&mut dice, categories);
        let category = match anchor {
            _ if named.is_some() => APP_MISC,
            anchor if anchor < categories => anchor,
            _ => drawn,
        };
        let kept = index.is_multiple_of(3);
        let testing = !kept && dice.chance(250) && named.is_none() || index == 2;
        let masked = !kept && dice.chance(20) && named.is_none() || index == 1;
        let gone = born + 1 + dice.below(LIFETIME);
        let stays = kept || named.is_some() || anchor < categories;
        Self {
            index,
            category,
            name,
            role,
            language: index % 4 == 3 && named.is_none(),
            kept,
            testing,
            masked,
            born,
            gone: (!stays).then_some(gone),
        }
    }

    /// Whether revision `today` has it.
    pub(super) fn is_alive(&self, today: u32) -> bool {
        self.born <= today && self.gone.is_none_or(|gone| gone > today)
    }
}

/// The index of a kept package below `index`, if there is one.
pub(super) fn dependency(dice: &mut Dice, index: u32) -> Option<u32> {
    (index > 0).then(|| dice.below(index) / 3 * 3)
}

/// The index of a kept package of the language below `index`, if there is one.
pub(super) fn language_dependency(dice: &mut Dice, index: u32) -> Option<u32> {
    (index > 3).then(|| 3 + dice.below((index - 4) / 12 + 1) * 12)
}

fn role(dice: &mut Dice) -> Role {
    let mut left = dice.below(1000);
    for (role, share) in ROLES {
        if left < share {
            return role;
        }
        left -= share;
    }
    Role::Plain
}

/// The first categories get most of the packages, as in the real tree.
fn skewed(dice: &mut Dice, categories: usize) -> usize {
    let roll = u64::from(dice.below(1 << 16));
    let share = (roll * roll) >> 16;
    usize::try_from((share * categories as u64) >> 16).unwrap_or(0)
}

fn decorated(dice: &mut Dice, core: &str) -> String {
    match dice.below(12) {
        0 => format!("lib{core}"),
        1 => format!("{core}-utils"),
        2 => format!("{core}-tools"),
        3 => format!("{core}-bin"),
        4 => format!("py-{core}"),
        5 => format!("{core}-{}", words::word(dice)),
        6 => format!("{core}++"),
        _ => core.to_owned(),
    }
}
