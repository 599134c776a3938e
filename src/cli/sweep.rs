//! `headwater sweep`: what no kept generation needs goes, or is told.

use super::args_channel::{ChannelForgetArgs, SweepArgs};
use super::door::Door;
use super::json_stored;
use super::output::{Lines, count, print, print_json, size};
use super::progress::ImportLine;
use super::start::Place;
use crate::control::{Refusal, SweepMode, SweepOrder, SweepReport};
use crate::fault::Fault;
use crate::names::{ChannelName, Generation};

/// Generations that are named one by one.
const NAMED: usize = 20;

/// Sweeps, and says what went; that nothing could go is an error.
pub(super) fn sweep(place: &Place, args: &SweepArgs) -> anyhow::Result<()> {
    obey(place, SweepOrder { mode: mode(args.dry_run), forget: None }, args.json)
}

/// Gives up a channel that the topology has left out, and says what went.
pub(super) fn forget(place: &Place, args: &ChannelForgetArgs) -> anyhow::Result<()> {
    obey(place, SweepOrder { mode: mode(args.dry_run), forget: Some(args.channel.clone()) }, args.json)
}

fn mode(dry_run: bool) -> SweepMode {
    if dry_run { SweepMode::DryRun } else { SweepMode::Free }
}

fn obey(place: &Place, order: SweepOrder, json: bool) -> anyhow::Result<()> {
    let mut door = Door::open(&place.dir)?;
    let mut line = ImportLine::new();
    let report = door.sweep(&order, &mut |progress| line.show(progress));
    drop(line);
    let report = report?;
    match json {
        true => print_json(&json_stored::sweep(&report), Lines::Many)?,
        false => print(&told(&report))?,
    }
    match report.damaged.as_slice() {
        [] => Ok(()),
        damaged => Err(stuck(damaged).into()),
    }
}

/// Why no content is freed.
fn stuck(damaged: &[(ChannelName, Generation)]) -> Refusal {
    Refusal {
        fault: Fault::Local,
        what: format!("no content can be freed: damaged is what {} listed", names(damaged)),
        why: "the database gave other bytes than were written, so nobody knows which contents these generations need"
            .to_owned(),
        todo: "restore a backup into another directory to have them back; the next sweep drops those that nobody keeps by \
               hand, and `headwater channel release` gives up the others"
            .to_owned(),
    }
}

/// Generations by name, the first ones.
fn names(generations: &[(ChannelName, Generation)]) -> String {
    let names: Vec<String> =
        generations.iter().take(NAMED).map(|(channel, generation)| format!("{channel}@{generation}")).collect();
    match generations.len().saturating_sub(NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

fn told(report: &SweepReport) -> String {
    let SweepReport { generations, contents, bytes, damaged, .. } = report;
    if generations.is_empty() && *contents == 0 {
        return if damaged.is_empty() { "Nothing to free.\n" } else { "Nothing was freed.\n" }.to_owned();
    }
    let what = match report.mode {
        SweepMode::DryRun => "Would free",
        SweepMode::Free => "Freed",
    };
    let dropped = match generations.is_empty() {
        true => "no generation".to_owned(),
        false => names(generations),
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
            let damaged = Vec::new();
            assert_eq!(told(&SweepReport { mode, generations, contents, bytes: 2_048, damaged }), expected);
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
        let text =
            told(&SweepReport { mode: SweepMode::Free, generations, contents: 1, bytes: 1, damaged: Vec::new() });
        assert!(text.contains("g/f@20 and 5 more: 1 contents"), "{text}");
    }
}
