//! `headwater export`: a generation as plain files.

use anyhow::Context;
use serde_json::json;

use super::args_stored::ExportArgs;
use super::door::Door;
use super::output::{Lines, count, print, print_json, size, warn};
use super::progress::ImportLine;
use super::start::Place;
use crate::control::{HoldOrder, Phase};
use crate::node::export::{ExportOrder, ExportReport, Holes, Trust, export as write};
use crate::node::watch::Watch;
use crate::store::Reader;

/// Writes it, and says how much of it was new.
pub(super) fn export(place: &Place, args: &ExportArgs) -> anyhow::Result<()> {
    let mut door = Door::open(&place.dir)?;
    let held = door.hold(&HoldOrder { address: Some(args.channel.clone()) })?;
    let generation = held.generations.first().context("the generation is not held")?;
    let order = ExportOrder {
        channel: generation.channel.clone(),
        generation: generation.generation,
        data: place.dir.clone(),
        directory: args.directory.clone(),
        reuse: args.link_dest.clone(),
        trust: if args.checksum { Trust::Contents } else { Trust::SizeAndTime },
        holes: if args.allow_missing { Holes::LeaveOut } else { Holes::Refuse },
    };
    let mut reader = Reader::open(&place.dir).map_err(crate::node::error::NodeError::from)?;
    let located = reader
        .snapshot(&generation.snapshot)
        .and_then(|snapshot| reader.locate(&snapshot, None))
        .map_err(crate::node::error::NodeError::from)?;
    let mut line = ImportLine::new();
    let mut tell = |progress| line.show(progress);
    let wanted = || !held.is_lost();
    let report = write(&mut reader, &located, &order, &mut Watch::new(Phase::Copy, &mut tell, &wanted));
    drop(line);
    drop(door);
    let report = report?;
    for file in &report.left_out {
        warn(&format!("left out: {file}\n"));
    }
    match args.json {
        true => print_json(&value(&order, &report), Lines::Many),
        false => print(&told(&order, &report)),
    }
}

fn told(order: &ExportOrder, report: &ExportReport) -> String {
    let mut text = format!(
        "{} is {}@{}: {} files, {} of them linked; {} written in {:.1} s.\n",
        report.directory.display(),
        order.channel,
        order.generation,
        count(report.files),
        count(report.reused),
        size(report.bytes),
        report.elapsed.as_secs_f64(),
    );
    if report.left_out_count > 0 {
        text.push_str(&format!("Left out: {} files that cannot be had.\n", count(report.left_out_count)));
    }
    text
}

fn value(order: &ExportOrder, report: &ExportReport) -> serde_json::Value {
    json!({
        "directory": report.directory.to_string_lossy(),
        "channel": order.channel.to_string(),
        "generation": order.generation.get(),
        "files": report.files,
        "directories": report.directories,
        "symlinks": report.symlinks,
        "reused": report.reused,
        "bytes_written": report.bytes,
        "left_out": report.left_out,
        "left_out_count": report.left_out_count,
        "seconds": report.elapsed.as_secs_f64(),
    })
}
