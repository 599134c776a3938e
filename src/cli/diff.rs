//! `headwater channel diff`: what changed between two generations.

use super::args_channel::ChannelDiffArgs;
use super::door::Door;
use super::json_stored;
use super::output::{Lean, Lines, count, print, print_json, table};
use super::start::Place;
use crate::control::{Changes, ChannelDiff, DiffOrder, PackageDiff, Unnamed};

/// Shows it.
pub(super) fn diff(place: &Place, args: &ChannelDiffArgs) -> anyhow::Result<()> {
    let order = DiffOrder { old: args.old.clone(), new: args.new.clone() };
    let diff = Door::open(&place.dir)?.diff(&order)?;
    match args.json {
        true => print_json(&json_stored::diff(&diff), Lines::Many),
        false => print(&told(&diff)),
    }
}

fn told(diff: &ChannelDiff) -> String {
    let ((old_channel, old), (new_channel, new)) = (&diff.old, &diff.new);
    let from = format!("From {old_channel}@{old} to {new_channel}@{new}: ");
    let Changes { added, removed, changed } = diff.changes;
    if added + removed + changed == 0 {
        return format!("{from}nothing differs.\n");
    }
    let mut text = format!("{from}{} added, {} removed, {} changed.\n", count(added), count(removed), count(changed));
    let packages: Vec<[String; 3]> =
        diff.packages.iter().map(|package| [package.name.clone(), ebuilds(package), some(package.others)]).collect();
    let head = [("PACKAGE", Lean::Left), ("EBUILDS", Lean::Left), ("OTHER FILES", Lean::Left)];
    let directories: Vec<[String; 2]> =
        diff.directories.iter().map(|group| [group.directory.clone(), some(group.changes)]).collect();
    let second = [("DIRECTORY", Lean::Left), ("FILES", Lean::Left)];
    for part in [table(head, &packages), table(second, &directories)] {
        if !part.is_empty() {
            text.push_str(&format!("\n{part}"));
        }
    }
    if diff.times > 0 {
        text.push_str(&format!("\nOf {} directories only the time differs.\n", count(diff.times)));
    }
    let Unnamed { packages, directories, ebuilds } = diff.unnamed;
    let unnamed = [(packages, "packages"), (directories, "directories"), (ebuilds, "ebuilds")];
    let unnamed = unnamed.iter().filter(|(number, _)| *number > 0);
    let unnamed: Vec<String> = unnamed.map(|(number, what)| format!("{} more {what}", count(*number))).collect();
    if !unnamed.is_empty() {
        text.push_str(&format!("\nNot named, since there are too many: {}.\n", unnamed.join(", ")));
    }
    text
}

/// `+came -went ~different`.
fn ebuilds(package: &PackageDiff) -> String {
    let marked = [('+', &package.added), ('-', &package.removed), ('~', &package.changed)];
    let names = marked.iter().flat_map(|(mark, names)| names.iter().map(move |name| format!("{mark}{name}")));
    names.collect::<Vec<_>>().join(" ")
}

/// Counts that are not zero.
fn some(changes: Changes) -> String {
    let counts = [('+', changes.added), ('-', changes.removed), ('~', changes.changed)];
    let counts = counts.iter().filter(|(_, number)| *number > 0);
    counts.map(|(mark, number)| format!("{mark}{}", count(*number))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::DirectoryDiff;
    use crate::names::Generation;

    fn diff() -> ChannelDiff {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ChannelDiff {
            old: ("gentoo/full".parse().unwrap(), Generation::FIRST),
            new: ("gentoo/full".parse().unwrap(), Generation::FIRST.next()),
            changes: Changes { added: 1_501, removed: 1, changed: 4 },
            packages: vec![
                PackageDiff {
                    name: "app-misc/foo".into(),
                    added: names(&["foo-1.2"]),
                    removed: names(&["foo-1.0"]),
                    changed: names(&["foo-1.1", "foo-2"]),
                    others: Changes { added: 0, removed: 0, changed: 1 },
                },
                PackageDiff { name: "x/y".into(), added: names(&["y-1"]), ..PackageDiff::default() },
            ],
            directories: vec![DirectoryDiff {
                directory: "metadata".into(),
                changes: Changes { added: 1_500, removed: 0, changed: 1 },
            }],
            times: 3,
            unnamed: Unnamed::default(),
        }
    }

    #[test]
    fn a_diff_shows_packages_and_then_directories() {
        assert_eq!(
            told(&diff()),
            "From gentoo/full@1 to gentoo/full@2: 1,501 added, 1 removed, 4 changed.\n\n\
             PACKAGE       EBUILDS                            OTHER FILES\n\
             app-misc/foo  +foo-1.2 -foo-1.0 ~foo-1.1 ~foo-2  ~1\n\
             x/y           +y-1\n\n\
             DIRECTORY  FILES\n\
             metadata   +1,500 ~1\n\n\
             Of 3 directories only the time differs.\n"
        );
    }

    #[test]
    fn what_a_diff_does_not_name_is_said() {
        let check = |unnamed: Unnamed, expected: &str| {
            let told = told(&ChannelDiff { unnamed, ..diff() });
            assert_eq!(told.split_once("differs.\n").map(|(_, rest)| rest), Some(expected));
        };
        check(Unnamed::default(), "");
        check(
            Unnamed { packages: 1_000, directories: 2, ebuilds: 3 },
            "\nNot named, since there are too many: 1,000 more packages, 2 more directories, 3 more ebuilds.\n",
        );
        check(
            Unnamed { directories: 2, ..Unnamed::default() },
            "\nNot named, since there are too many: 2 more directories.\n",
        );
    }

    #[test]
    fn what_is_the_same_is_said_in_a_word() {
        let same = ChannelDiff {
            changes: Changes::default(),
            packages: Vec::new(),
            directories: Vec::new(),
            times: 0,
            ..diff()
        };
        assert_eq!(told(&same), "From gentoo/full@1 to gentoo/full@2: nothing differs.\n");
    }
}
