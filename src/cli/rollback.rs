//! `headwater channel rollback`: the content of an older generation, published again.

use super::args_channel::ChannelRollbackArgs;
use super::door::Door;
use super::json_stored;
use super::output::{Lines, count, print, print_json};
use super::progress::ImportLine;
use super::start::Place;
use crate::control::{RollbackOrder, RollbackReport};

/// Publishes it, and says which generation it is now.
pub(super) fn rollback(place: &Place, args: &ChannelRollbackArgs) -> anyhow::Result<()> {
    let order = RollbackOrder { address: args.address.clone() };
    let mut door = Door::open(&place.dir)?;
    let mut line = ImportLine::new();
    let report = door.rollback(&order, &mut |progress| line.show(progress));
    drop(line);
    let report = report?;
    match args.json {
        true => print_json(&json_stored::rollback(&report), Lines::Many),
        false => print(&told(&report)),
    }
}

fn told(report: &RollbackReport) -> String {
    let RollbackReport { channel, of, changes, .. } = report;
    match report.published {
        None => format!("Nothing to do: {channel} serves the content of {channel}@{of} already.\n"),
        Some(published) => format!(
            "Published {channel}@{published} with the content of {channel}@{of}: {} added, {} removed, {} changed ({:.1} s).\n",
            count(changes.added),
            count(changes.removed),
            count(changes.changed),
            report.elapsed.as_secs_f64(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::Changes;
    use crate::names::Generation;

    #[test]
    fn the_report_says_what_is_served_now_and_whose_content_it_is() {
        let mut report = RollbackReport {
            channel: "gentoo/full".parse().unwrap(),
            of: Generation::FIRST,
            published: Some(Generation::FIRST.next()),
            changes: Changes { added: 1, removed: 2_000, changed: 3 },
            elapsed: Duration::from_millis(1_240),
        };
        assert_eq!(
            told(&report),
            "Published gentoo/full@2 with the content of gentoo/full@1: 1 added, 2,000 removed, 3 changed (1.2 s).\n"
        );
        report.published = None;
        assert_eq!(told(&report), "Nothing to do: gentoo/full serves the content of gentoo/full@1 already.\n");
    }
}
