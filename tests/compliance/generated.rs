//! Rules that nobody would think of: made from a fixed seed, tried on a tree of many names, and answered by stock rsync.
//!
//! Each set of rules is sent by a client, each set of another kind stands in a module of its own, and others stand in filter
//! files of the tree; what is listed must be the same from both servers. The tree is small in letters, so that most rules hit something.

use std::collections::BTreeSet;

use super::case::Feature;
use super::run::{Server, Stage};

/// Sets of rules that a client sends.
const SETS: usize = 120;

/// Modules with rules of their own.
const MODULES: usize = 40;

/// Files and directories of the tree.
const PATHS: usize = 80;

/// Steps through numbers that look like chance, the same at every run (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let sides = u64::try_from(sides).unwrap();
        usize::try_from((mixed ^ (mixed >> 31)) % sides).unwrap()
    }

    fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.roll(of.len())]
    }
}

const NAMES: &[&str] = &["a", "b", "ab", "abc", "a.c", "b.o", "core", "x-1", ".dot", "A", "a]b", "ba*r"];

/// The files of the tree; their directories are those of their paths.
pub(crate) fn files() -> Vec<String> {
    let mut dice = Dice(1);
    let (mut files, mut directories) = (BTreeSet::new(), BTreeSet::new());
    while files.len() + directories.len() < PATHS {
        let depth = 1 + dice.roll(4);
        let parts: Vec<&str> = (0..depth).map(|_| dice.pick(NAMES)).collect();
        let above: Vec<String> = (1..depth).map(|end| parts[..end].join("/")).collect();
        let path = parts.join("/");
        if !directories.contains(&path) && above.iter().all(|above| !files.contains(above)) {
            directories.extend(above);
            files.insert(path);
        }
    }
    files.into_iter().collect()
}

/// A pattern: names, wildcards and classes, with slashes here and there.
fn pattern(dice: &mut Dice) -> String {
    const PIECES: &[&str] = &[
        "*",
        "?",
        "a*",
        "*.o",
        "*b",
        "[ab]",
        "[!a]*",
        "[[:upper:]]",
        "**",
        "a**c",
        "?b*",
        ".*",
        "[]a]?b",
        "ba\\*r",
        "***",
    ];
    let mut text = if dice.roll(3) == 0 { "/".to_owned() } else { String::new() };
    let parts = 1 + dice.roll(3).min(1) + dice.roll(4) / 3;
    for part in 0..parts {
        if part > 0 {
            text.push('/');
        }
        text.push_str(if dice.roll(2) == 0 { dice.pick(NAMES) } else { dice.pick(PIECES) });
    }
    text.push_str(dice.pick(&["", "", "", "", "/", "/***", "/**", "/*"]));
    text
}

/// One to five rules; without `modifiers` only what a list of patterns can say.
fn rules(dice: &mut Dice, modifiers: &[&str]) -> Vec<String> {
    let rule = |dice: &mut Dice| match dice.roll(40) {
        0 => "!".to_owned(),
        _ => {
            let sign = if dice.roll(3) == 0 { "+" } else { "-" };
            format!("{sign}{} {}", dice.pick(modifiers), pattern(dice))
        }
    };
    (0..=dice.roll(5)).map(|_| rule(dice)).collect()
}

/// What one client sends, and how it names what it wants.
struct Order {
    rules: Vec<String>,
    options: &'static [&'static str],
    path: &'static str,
}

fn orders() -> Vec<Order> {
    let mut dice = Dice(2);
    let order = |number: usize| Order {
        rules: rules(&mut dice, &["", "", "", "", "", "!", "/", "s", "p", "/!", "r"]),
        // Anchored patterns begin at the root of what travels, and that depends on the argument.
        options: if number % 4 == 3 { &["-rR"] } else { &["-r"] },
        path: ["odd/generated/", "odd/generated", "odd/generated/a", "odd/generated/./"][number % 4],
    };
    (0..SETS).map(order).collect()
}

/// A module with rules of its own in the words of both servers.
pub(crate) struct Veiled {
    pub(crate) name: String,
    pub(crate) settings: String,
    pub(crate) keys: String,
}

pub(crate) fn modules() -> Vec<Veiled> {
    let mut dice = Dice(3);
    let quoted = |rules: &[String]| format!("{rules:?}");
    let module = |number: usize| {
        let name = format!("veil-{number}");
        let (settings, keys) = match number % 3 {
            0 => {
                let rules = rules(&mut dice, &["", "", "", "!", "/"]);
                (format!("filter = {}\n", rules.join(" ")), format!("filter = {}\n", quoted(&rules)))
            }
            1 => {
                let (include, exclude) = (vec![pattern(&mut dice)], vec![pattern(&mut dice), pattern(&mut dice)]);
                (
                    format!("exclude = {}\ninclude = {}\n", exclude.join(" "), include.join(" ")),
                    format!("exclude = {}\ninclude = {}\n", quoted(&exclude), quoted(&include)),
                )
            }
            _ => {
                let rules = rules(&mut dice, &[""]);
                (format!("exclude = {}\n", rules.join(" ")), format!("exclude = {}\n", quoted(&rules)))
            }
        };
        Veiled { name, settings: format!("list = no\n{settings}"), keys: format!("list = false\n{keys}") }
    };
    (0..MODULES).map(module).collect()
}

/// Trees of filter files.
const MERGED: usize = 48;

/// What a tree of filter files is listed with.
const MERGING: &[&[&str]] = &[&[": .r"], &[":n .r"], &[": .r", ": .t"], &[":n .r", ": .q"]];

/// Trees of a few files, with filter files that name further ones, drop what was said above, or both: paths and texts.
pub(crate) fn merge_files() -> Vec<(String, String)> {
    const LINES: &[&str] =
        &[": .q", ": .q", ":n .q", ": .t", ": .t", ":n .t", ": .r", "!", "!", "- a", "- b", "+ a", "- c", "+ b"];
    let mut dice = Dice(4);
    let mut files = Vec::new();
    for number in 0..MERGED {
        for directory in ["", "d/", "d/e/", "f/"] {
            let place = format!("{number}/{directory}");
            files.extend(["a", "b", "c"].map(|name| (format!("{place}{name}"), String::new())));
            for name in [".r", ".q", ".t"] {
                let lines: Vec<&str> = (0..dice.roll(5)).map(|_| dice.pick(LINES)).collect();
                if dice.roll(2) == 0 {
                    files.push((format!("{place}{name}"), lines.join("\n")));
                }
            }
        }
    }
    files
}

/// A thing to ask both servers, and what was compared.
pub(crate) struct Trial {
    name: String,
    options: Vec<String>,
    path: String,
}

/// All of them.
pub(crate) fn trials(has: impl Fn(Feature) -> bool) -> Vec<Trial> {
    let from_clients = orders().into_iter().map(|order| Trial {
        name: format!("{} {} {:?}", order.options.join(" "), order.path, order.rules),
        options: order
            .options
            .iter()
            .map(|&option| option.to_owned())
            .chain(order.rules.iter().map(|rule| format!("--filter={rule}")))
            .collect(),
        path: order.path.to_owned(),
    });
    let of_modules = modules().into_iter().filter(|_| has(Feature::ModuleFilters)).map(|module| Trial {
        name: format!("{} {}", module.name, module.settings.replace('\n', " ")),
        options: vec!["-r".to_owned()],
        path: format!("{}/", module.name),
    });
    let merging = |number: usize| {
        let rules = MERGING[number % MERGING.len()];
        let options = ["-r".to_owned()].into_iter().chain(rules.iter().map(|rule| format!("--filter={rule}")));
        Trial { name: format!("{rules:?} {number}"), options: options.collect(), path: format!("odd/merged/{number}/") }
    };
    from_clients.chain(of_modules).chain((0..MERGED).map(merging)).collect()
}

/// How many names both servers list; an error says where they differ.
pub(crate) fn check(stage: &Stage, trial: &Trial) -> Result<usize, String> {
    let stock = stage.listed(Server::Stock, &trial.options, &trial.path)?;
    let ours = stage.listed(Server::Headwater, &trial.options, &trial.path)?;
    match stock == ours {
        true => Ok(stock.len()),
        false => {
            let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
                one.difference(other).map(String::as_str).collect::<Vec<_>>().join("\n    ")
            };
            Err(format!(
                "── {}\n  stock alone:\n    {}\n  ours alone:\n    {}",
                trial.name,
                only(&stock, &ours),
                only(&ours, &stock)
            ))
        }
    }
}

/// How many rules × paths the trials are.
pub(crate) fn size() -> usize {
    SETS * PATHS
}
