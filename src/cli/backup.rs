//! `headwater backup`: the whole data directory as it is now.

use serde_json::json;

use super::args_stored::BackupArgs;
use super::door::Door;
use super::output::{Lines, count, print, print_json, size, warn};
use super::progress::ImportLine;
use super::start::Place;
use crate::control::{HoldOrder, Phase};
use crate::node::backup::{BackupOrder, BackupReport, backup as copy};
use crate::node::clock;
use crate::node::export::{Holes, Trust};
use crate::node::watch::Watch;

/// Makes it, and says what must be kept safe.
pub(super) fn backup(place: &Place, args: &BackupArgs) -> anyhow::Result<()> {
    let mut door = Door::open(&place.dir)?;
    let held = door.hold(&HoldOrder { address: None })?;
    let mut line = ImportLine::new();
    let mut tell = |progress| line.show(progress);
    let wanted = || !held.is_lost();
    let mut watch = Watch::new(Phase::Copy, &mut tell, &wanted);
    let order = BackupOrder {
        directory: args.directory.clone(),
        trust: if args.checksum { Trust::Contents } else { Trust::SizeAndTime },
        holes: if args.allow_missing { Holes::LeaveOut } else { Holes::Refuse },
    };
    let report = copy(&place.dir, &order, clock::now(), &mut watch);
    drop(line);
    drop(door);
    let report = report?;
    for what in &report.left_out {
        warn(&format!("not in the backup: {what}\n"));
    }
    match args.json {
        true => print_json(&value(&report), Lines::Many),
        false => print(&told(&report)),
    }
}

fn told(report: &BackupReport) -> String {
    let heads: Vec<String> =
        report.heads.iter().map(|(channel, generation)| format!("{channel}@{generation}")).collect();
    let heads = if heads.is_empty() { "nothing is published yet".to_owned() } else { heads.join(", ") };
    let whole = match (report.missing, report.left_out.len()) {
        (0, 0) => "is a backup of everything".to_owned(),
        (0, others) => format!("is a backup of everything but {others} files that are named above"),
        (missing, _) => format!("is a backup that lacks {} large contents", count(missing)),
    };
    let mut text = format!(
        "{} {whole}: {heads}; {} files, {} written, {} large ones linked, in {:.1} s.\n",
        report.directory.display(),
        count(report.files),
        size(report.bytes),
        count(report.linked),
        report.elapsed.as_secs_f64(),
    );
    if !report.secrets.is_empty() {
        text.push_str(&format!(
            "\nWARNING  It has the gateway's identity in it, and other secrets of the node: {}.\n         \
             Who can read these can publish in the gateway's name. Keep the backup where nobody else gets to it.\n",
            report.secrets.join(", ")
        ));
    }
    text
}

fn value(report: &BackupReport) -> serde_json::Value {
    let heads = report
        .heads
        .iter()
        .map(|(channel, generation)| json!({ "channel": channel.to_string(), "generation": generation.get() }));
    json!({
        "directory": report.directory.to_string_lossy(),
        "heads": heads.collect::<Vec<_>>(),
        "files": report.files,
        "bytes_written": report.bytes,
        "large": report.large,
        "linked": report.linked,
        "secrets": report.secrets,
        "left_out": report.left_out,
        "missing": report.missing,
        "seconds": report.elapsed.as_secs_f64(),
    })
}
