//! `headwater import`: a directory becomes the next generation.

use super::args::ImportArgs;
use super::door::Door;
use super::json;
use super::output::{Lines, count, print, print_json, warn};
use super::progress::ImportLine;
use super::start::Place;
use crate::control::{Compare, ImportOrder, ImportOutcome, ImportReport};

/// Publishes it, and says what changed.
pub(super) fn import(place: &Place, args: &ImportArgs) -> anyhow::Result<()> {
    // The node has another working directory than this command.
    let order = ImportOrder {
        source: std::path::absolute(&args.source)?,
        repository: args.repository.clone(),
        compare: if args.checksum { Compare::Contents } else { Compare::SizeAndTime },
    };
    let mut door = Door::open(&place.dir)?;
    let mut line = ImportLine::new();
    let report = door.import(&order, &mut |progress| line.show(progress));
    drop(line);
    let report = report?;
    if args.json {
        return print_json(&json::import(&report), Lines::Many);
    }
    for warning in &report.warnings {
        warn(&format!("warning: {warning}\n"));
    }
    print(&told(&report))
}

fn told(report: &ImportReport) -> String {
    let seconds = report.elapsed.as_secs_f64();
    let read = format!("{} files read in {seconds:.1} s", count(report.files_read));
    let mut text = match &report.outcome {
        ImportOutcome::NothingNew => format!("Nothing new: this is what is served already ({read}).\n"),
        ImportOutcome::Published(heads) => {
            let heads: Vec<String> =
                heads.iter().map(|(channel, generation)| format!("{channel}@{generation}")).collect();
            let changes = report.changes;
            format!(
                "Published {}: {} added, {} removed, {} changed ({read}).\n",
                heads.join(", "),
                count(changes.added),
                count(changes.removed),
                count(changes.changed),
            )
        }
    };
    if report.left_out > 0 {
        text.push_str(&format!(
            "Left out: {} devices, sockets or FIFOs, which are never served.\n",
            count(report.left_out)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::Changes;
    use crate::names::Generation;

    #[test]
    fn the_report_says_what_was_published_or_that_nothing_was() {
        let mut report = ImportReport {
            outcome: ImportOutcome::Published(vec![("gentoo/full".parse().unwrap(), Generation::FIRST.next())]),
            changes: Changes { added: 1_500, removed: 2, changed: 0 },
            left_out: 1,
            files_read: 1_500,
            elapsed: Duration::from_millis(1_540),
            warnings: Vec::new(),
        };
        assert_eq!(
            told(&report),
            "Published gentoo/full@2: 1,500 added, 2 removed, 0 changed (1,500 files read in 1.5 s).\n\
             Left out: 1 devices, sockets or FIFOs, which are never served.\n"
        );
        report.outcome = ImportOutcome::NothingNew;
        report.left_out = 0;
        assert_eq!(told(&report), "Nothing new: this is what is served already (1,500 files read in 1.5 s).\n");
    }
}
