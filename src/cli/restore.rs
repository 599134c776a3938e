//! `headwater restore`: a backup becomes a data directory again.

use serde_json::json;

use super::args_stored::RestoreArgs;
use super::output::{Lines, count, print, print_json, size, time, warn};
use super::progress::ImportLine;
use super::start::Place;
use crate::control::{Phase, Refusal};
use crate::fault::Fault;
use crate::node::clock;
use crate::node::restore::{RestoreReport, restore as copy};
use crate::node::watch::Watch;

/// Restores, and says what was checked and what comes next; that anything was damaged is an error, as it is of a scrub.
pub(super) fn restore(place: &Place, args: &RestoreArgs) -> anyhow::Result<()> {
    let mut line = ImportLine::new();
    let mut tell = |progress| line.show(progress);
    let mut watch = Watch::new(Phase::Copy, &mut tell, &|| true);
    let report = copy(&args.backup, &place.dir, clock::now(), &mut watch);
    drop(line);
    let report = report?;
    for what in &report.damaged {
        warn(&format!("damaged: {what}\n"));
    }
    match args.json {
        true => print_json(&value(&report), Lines::Many)?,
        false => print(&told(place, &report))?,
    }
    match report.damaged.len() {
        0 => Ok(()),
        bad => Err(Refusal {
            fault: Fault::Local,
            what: format!(
                "{} of what was restored is damaged",
                if bad == 1 { "one part".into() } else { format!("{bad} parts") }
            ),
            why: "the backup has other bytes than were written there, or none".to_owned(),
            todo: "import the tree again, which mends contents; or restore another backup elsewhere".to_owned(),
        }
        .into()),
    }
}

fn told(place: &Place, report: &RestoreReport) -> String {
    let heads: Vec<String> =
        report.heads.iter().map(|(channel, generation)| format!("{channel}@{generation}")).collect();
    let option = place.flag.as_ref().map_or_else(String::new, |dir| format!(" --dir {}", dir.display()));
    let damaged = match report.damaged.len() {
        0 => "all of them are sound".to_owned(),
        bad => format!("{bad} are damaged and set aside; an import mends them"),
    };
    format!(
        "{} is restored from the backup of {}, in {:.1} s.\n\n\
         \x20 files     {} compared with their digests, {}\n\
         \x20 heads     {}, signed by this gateway\n\
         \x20 contents  {} read once more: {damaged}\n\n\
         Clients may have seen later generations than these. The next publication has a timestamp of at least\n\
         now, so they follow it; until then they may say that the server is out of date. Next:\n\
         \x20 headwater run{option}\n\
         \x20 headwater import DIR --repository R{option}\n",
        place.dir.display(),
        time(report.made),
        report.elapsed.as_secs_f64(),
        count(report.files),
        size(report.bytes),
        if heads.is_empty() { "none: nothing was published".to_owned() } else { heads.join(", ") },
        count(report.contents),
    )
}

fn value(report: &RestoreReport) -> serde_json::Value {
    let heads = report
        .heads
        .iter()
        .map(|(channel, generation)| json!({ "channel": channel.to_string(), "generation": generation.get() }));
    json!({
        "made": super::output::rfc3339(report.made),
        "files": report.files,
        "bytes": report.bytes,
        "heads": heads.collect::<Vec<_>>(),
        "contents": report.contents,
        "damaged": report.damaged,
        "seconds": report.elapsed.as_secs_f64(),
    })
}
