//! `headwater sweep`: what no kept generation needs goes, or is told.

use super::args_channel::SweepArgs;
use super::door::Door;
use super::json_stored;
use super::output::{Lines, count, print, print_json, size};
use super::progress::ImportLine;
use super::start::Place;
use crate::control::{SweepMode, SweepReport};

/// Generations that are named one by one.
const NAMED: usize = 20;

/// Sweeps, and says what went.
pub(super) fn sweep(place: &Place, args: &SweepArgs) -> anyhow::Result<()> {
    let mode = if args.dry_run { SweepMode::DryRun } else { SweepMode::Free };
    let mut door = Door::open(&place.dir)?;
    let mut line = ImportLine::new();
    let report = door.sweep(mode, &mut |progress| line.show(progress));
    drop(line);
    let report = report?;
    match args.json {
        true => print_json(&json_stored::sweep(&report), Lines::Many),
        false => print(&told(&report)),
    }
}

fn told(report: &SweepReport) -> String {
    let SweepReport { generations, contents, bytes, .. } = report;
    if generations.is_empty() && *contents == 0 {
        return "Nothing to free.\n".to_owned();
    }
    let names: Vec<String> =
        generations.iter().take(NAMED).map(|(channel, generation)| format!("{channel}@{generation}")).collect();
    let rest = match generations.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = match report.mode {
        SweepMode::DryRun => "Would free",
        SweepMode::Free => "Freed",
    };
    let dropped = match names.is_empty() {
        true => "no generation".to_owned(),
        false => format!("{}{rest}", names.join(", ")),
    };
    format!("{what} {dropped}: {} contents, {}.\n", count(*contents), size(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Generation;

    #[test]
    fn the_report_names_generations_and_counts_bytes() {
        let check = |mode: SweepMode, generations: u64, contents: u64, expected: &str| {
            let channel = || "gentoo/full".parse().unwrap();
            let generations = (1..=generations).map(|number| (channel(), Generation::new(number).unwrap())).collect();
            assert_eq!(told(&SweepReport { mode, generations, contents, bytes: 2_048 }), expected);
        };
        check(SweepMode::Free, 2, 1_200, "Freed gentoo/full@1, gentoo/full@2: 1,200 contents, 2.0 KiB.\n");
        check(SweepMode::DryRun, 1, 0, "Would free gentoo/full@1: 0 contents, 2.0 KiB.\n");
        check(SweepMode::DryRun, 0, 1, "Would free no generation: 1 contents, 2.0 KiB.\n");
        check(SweepMode::Free, 0, 0, "Nothing to free.\n");
    }

    #[test]
    fn many_generations_are_counted_after_the_first_ones() {
        let generations =
            (1..=25).map(|number| ("g/f".parse().unwrap(), Generation::new(number).unwrap())).collect::<Vec<_>>();
        let text = told(&SweepReport { mode: SweepMode::Free, generations, contents: 1, bytes: 1 });
        assert!(text.contains("g/f@20 and 5 more: 1 contents"), "{text}");
    }
}
