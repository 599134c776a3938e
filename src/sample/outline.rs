//! What all releases of one package have in common, drawn once: flags, licence, keywords, dependencies.
//!
//! Values are as a maintainer would write them, with the variables of an ebuild in them. Every
//! dependency is on a kept package with a lower index (see `package`), and a dependency of the
//! language only on a package of the language, so that all of them can be satisfied.

use super::dice::Dice;
use super::eclass;
use super::package::{CHAIN, HELLO, Package, Role, dependency, language_dependency};
use super::plan::Plan;
use super::words;

/// USE flags of `profiles/use.desc`.
pub(super) const FLAGS: [&str; 14] = [
    "X",
    "debug",
    "doc",
    "examples",
    "gtk",
    "ipv6",
    "jpeg",
    "nls",
    "pcre",
    "ssl",
    "static-libs",
    "systemd",
    "test",
    "threads",
];
/// Architectures of `profiles/arch.list`; the first is the one that works.
pub(super) const ARCHES: [&str; 10] =
    ["amd64", "arm", "arm64", "hppa", "loong", "mips", "ppc64", "riscv", "sparc", "x86"];

/// What all releases of a package share.
pub(super) struct Outline {
    pub(super) description: String,
    pub(super) licence: String,
    pub(super) slot: &'static str,
    pub(super) flags: Vec<String>,
    pub(super) eclasses: Vec<usize>,
    pub(super) stable: String,
    pub(super) testing: String,
    pub(super) depends: Vec<String>,
    pub(super) builds: Vec<String>,
    pub(super) later: Vec<String>,
}

/// A flag that only this package has, and what it does, as `profiles/use.local.desc` says.
pub(super) fn local_flag(seed: u64, index: u32) -> Option<(String, String)> {
    let mut dice = Dice::new(seed, "local flag", u64::from(index));
    let flag = dice.chance(120).then(|| format!("{}-{}", words::word(&mut dice), words::word(&mut dice)));
    flag.map(|flag| (flag, words::phrase(&mut dice, 7)))
}

impl Outline {
    /// Draws what all releases of `package` share.
    pub(super) fn new(plan: &Plan, package: &Package) -> Self {
        let seed = plan.recipe.seed;
        let mut dice = Dice::new(seed, "outline", u64::from(package.index));
        let mut flags: Vec<String> = Vec::new();
        for _ in 0..dice.pick(&[0, 0, 0, 1, 1, 2, 2, 3, 5]) {
            let flag = dice.pick(&FLAGS);
            if !flags.iter().any(|known| known == flag) {
                flags.push(flag.to_owned());
            }
        }
        if package.role == Role::Optional && !flags.iter().any(|flag| flag == "doc") {
            flags.push("doc".to_owned());
        }
        flags.extend(local_flag(seed, package.index).map(|local| local.0));
        let mut eclasses = plan.eclasses.choose(&mut dice);
        if package.language {
            eclasses.insert(0, eclass::LANGUAGE);
        }
        let (stable, testing) = keywords(&mut dice);
        let words = dice.between(4, 9);
        Self {
            description: words::phrase(&mut dice, words),
            licence: licence(&mut dice, plan, package),
            slot: dice.pick(&["0", "0", "0", "0", "0", "0", "0/1", "0/3.2", "2"]),
            depends: depends(&mut dice, plan, package, &flags),
            builds: builds(&mut dice, plan, package),
            later: atoms(&mut dice, plan, package, 15),
            flags,
            eclasses,
            stable,
            testing,
        }
    }
}

fn keywords(dice: &mut Dice) -> (String, String) {
    let (mut stable, mut testing) = (String::new(), String::new());
    for arch in ARCHES {
        if arch != ARCHES[0] && !dice.chance(550) {
            continue;
        }
        let tilde = if arch != ARCHES[0] && dice.chance(400) { "~" } else { "" };
        stable.extend([tilde, arch, " "]);
        testing.extend(["~", arch, " "]);
    }
    (stable.trim_end().to_owned(), testing.trim_end().to_owned())
}

fn licence(dice: &mut Dice, plan: &Plan, package: &Package) -> String {
    let of = |n: usize| plan.licences.get(n).cloned().unwrap_or_default();
    let usual = plan.licences.len().min(14);
    let mut any = || match dice.chance(850) {
        // The first is the EULA.
        true => 1 + dice.below(u32::try_from(usual - 1).unwrap_or(0)) as usize,
        false => 1 + dice.below(u32::try_from(plan.licences.len() - 1).unwrap_or(0)) as usize,
    };
    let (a, b) = (any(), any());
    match package.role {
        Role::Fetch => of(0),
        _ if a == b || package.index % 9 > 1 => of(a),
        _ if package.index.is_multiple_of(9) => format!("|| ( {} {} )", of(a), of(b)),
        _ => format!("{} {}", of(a), of(b)),
    }
}

fn depends(dice: &mut Dice, plan: &Plan, package: &Package, flags: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    let count = match package.index {
        HELLO => 0,
        CHAIN => 3,
        _ => dice.pick(&[0, 1, 2, 3, 4, 5, 6, 8, 11, 17]),
    };
    for _ in 0..count {
        let Some(index) = dependency(dice, package.index) else { continue };
        let atom = plan.atom(index);
        let kind = dice.below(10);
        let text = match (kind, flags) {
            (0..3, _) => atom,
            (3..5, _) => format!(">={atom}-0.1"),
            (5..7, _) => format!("{atom}:="),
            (7, _) => {
                let other = dependency(dice, package.index).map(|index| plan.atom(index)).unwrap_or_default();
                format!("|| ( {atom} {other} )")
            }
            (8, [.., flag]) => format!("{flag}? ( {atom} )"),
            (8, []) => atom,
            _ => format!("!<{}-0.0.1", plan.atom(package.index)),
        };
        if !all.contains(&text) {
            all.push(text);
        }
    }
    if package.language {
        for _ in 0..dice.between(1, 10) {
            let Some(index) = language_dependency(dice, package.index) else { continue };
            let text = format!("{}[${{ESTUARY_USEDEP}}]", plan.atom(index));
            if !all.contains(&text) {
                all.push(text);
            }
        }
    }
    all
}

fn builds(dice: &mut Dice, plan: &Plan, package: &Package) -> Vec<String> {
    let mut all = atoms(dice, plan, package, 400);
    let tools = if package.language { dice.between(0, 7) } else { 0 };
    for _ in 0..tools {
        let found = language_dependency(dice, package.index);
        let text = found.map(|index| format!("{}[${{ESTUARY_USEDEP}}]", plan.atom(index)));
        all.extend(text.filter(|text| !all.contains(text)));
    }
    all
}

/// One atom or none.
fn atoms(dice: &mut Dice, plan: &Plan, package: &Package, per_mille: u32) -> Vec<String> {
    let wanted = package.index > CHAIN && dice.chance(per_mille);
    let found = wanted.then(|| dependency(dice, package.index)).flatten();
    found.map(|index| plan.atom(index)).into_iter().collect()
}
