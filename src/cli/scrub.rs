//! `headwater scrub`: everything that is stored is read again.

use serde_json::json;

use super::args_stored::ScrubArgs;
use super::door::Door;
use super::output::{Lines, count, print, print_json, size};
use super::progress::ImportLine;
use super::start::Place;
use crate::control::{Refusal, ScrubOrder, ScrubReport, ScrubbedBad};
use crate::fault::Fault;
use crate::node::config::ByteSize;

/// Scrubs, and names what is damaged; that there was any is an error.
pub(super) fn scrub(place: &Place, args: &ScrubArgs) -> anyhow::Result<()> {
    let mut door = Door::open(&place.dir)?;
    let mut line = ImportLine::new();
    let report = door.scrub(&ScrubOrder { rate: args.rate.map(ByteSize::bytes) }, &mut |progress| line.show(progress));
    drop(line);
    let report = report?;
    match args.json {
        true => print_json(&value(&report), Lines::Many)?,
        false => print(&told(&report))?,
    }
    match report.bad.len() {
        0 => Ok(()),
        bad => Err(Refusal {
            fault: Fault::Local,
            what: format!("{} of what is stored is damaged", if bad == 1 { "one part".into() } else { format!("{bad} parts") }),
            why: "the disk gave other bytes than were written, or none".to_owned(),
            todo: "import the tree again, which mends contents; look after the disk; if it is the database itself, restore \
                   a backup"
                .to_owned(),
        }
        .into()),
    }
}

fn told(report: &ScrubReport) -> String {
    let mut text = String::new();
    for bad in &report.bad {
        text.push_str(&format!("damaged: {}: {}\n", name(bad), bad.reason));
    }
    text.push_str(&format!(
        "Read {} contents, {}, in {:.1} s: {}.\n",
        count(report.contents),
        size(report.bytes),
        report.elapsed.as_secs_f64(),
        match report.bad.len() {
            0 => "everything is sound".to_owned(),
            bad => format!("{bad} damaged"),
        }
    ));
    text
}

/// The path that shows it; else what can be said of it.
fn name(bad: &ScrubbedBad) -> String {
    match bad.path.is_empty() {
        true => format!("content {} of {}, which no kept generation shows", bad.content.short(), size(bad.size)),
        false => bad.path.clone(),
    }
}

fn value(report: &ScrubReport) -> serde_json::Value {
    let bad = report.bad.iter().map(|bad| {
        json!({
            "content": bad.content.to_string(), "size": bad.size, "path": bad.path, "reason": bad.reason,
        })
    });
    json!({
        "contents": report.contents,
        "bytes": report.bytes,
        "bad": bad.collect::<Vec<_>>(),
        "seconds": report.elapsed.as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tree::ContentId;

    #[test]
    fn what_is_damaged_is_named_by_a_path_or_by_its_id() {
        let found = |path: &str| ScrubbedBad {
            content: ContentId::from_bytes([0xab; 64]),
            size: 2048,
            path: path.into(),
            reason: "flipped".into(),
        };
        let mut report =
            ScrubReport { contents: 1_200, bytes: 1 << 20, bad: Vec::new(), elapsed: Duration::from_millis(1_500) };
        assert_eq!(told(&report), "Read 1,200 contents, 1.0 MiB, in 1.5 s: everything is sound.\n");
        report.bad = vec![found("gentoo/full@3: a/b"), found("")];
        let text = told(&report);
        assert!(text.starts_with("damaged: gentoo/full@3: a/b: flipped\ndamaged: content abab"), "{text}");
        assert!(text.ends_with("in 1.5 s: 2 damaged.\n"), "{text}");
    }
}
