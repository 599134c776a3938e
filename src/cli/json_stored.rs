//! What scripts read of generations and of what is stored: diff, rollback, keep, sweep, scrub. The rules are those of `json`.

use serde_json::{Value, json};

use super::output::rfc3339;
use crate::control::{
    Changes, ChannelDiff, KeepReport, KeptByHand, KeptGeneration, LastScrub, RollbackReport, SweepMode, SweepReport,
};
use crate::names::{ChannelName, Generation};

/// How many entries differ, as an object.
fn changes(changes: Changes) -> Value {
    json!({ "added": changes.added, "removed": changes.removed, "changed": changes.changed })
}

fn generation((channel, generation): &(ChannelName, Generation)) -> Value {
    json!({ "channel": channel.to_string(), "generation": generation.get() })
}

/// How a generation is kept by hand; `null`: it is not.
pub(super) fn by_hand(kept: Option<&KeptByHand>) -> Value {
    kept.map_or(
        Value::Null,
        |kept| json!({ "name": kept.name.as_ref().map(|name| name.as_str()), "since": rfc3339(kept.since) }),
    )
}

/// Generations that are kept by hand.
pub(super) fn kept(kept: &[KeptGeneration]) -> Value {
    let kept = kept.iter().map(|kept| {
        json!({
            "channel": kept.channel.to_string(),
            "generation": kept.generation.get(),
            "name": kept.by_hand.name.as_ref().map(|name| name.as_str()),
            "since": rfc3339(kept.by_hand.since),
        })
    });
    Value::Array(kept.collect())
}

/// The last scrub; `null`: there was none.
pub(super) fn last_scrub(scrub: Option<LastScrub>) -> Value {
    scrub.map_or(Value::Null, |scrub| {
        json!({
            "ended": rfc3339(scrub.ended), "contents": scrub.contents, "bytes": scrub.bytes, "bad": scrub.bad,
        })
    })
}

/// `headwater channel diff --json`.
pub(super) fn diff(diff: &ChannelDiff) -> Value {
    let packages = diff.packages.iter().map(|package| {
        json!({
            "name": package.name,
            "ebuilds": { "added": package.added, "removed": package.removed, "changed": package.changed },
            "other_files": changes(package.others),
        })
    });
    let directories = diff.directories.iter().map(|group| {
        let mut value = changes(group.changes);
        if let Some(fields) = value.as_object_mut() {
            fields.insert("name".to_owned(), json!(group.directory));
        }
        value
    });
    json!({
        "old": generation(&diff.old),
        "new": generation(&diff.new),
        "added": diff.changes.added,
        "removed": diff.changes.removed,
        "changed": diff.changes.changed,
        "packages": packages.collect::<Vec<_>>(),
        "directories": directories.collect::<Vec<_>>(),
        "directories_touched": diff.times,
        "unnamed": {
            "packages": diff.unnamed.packages,
            "directories": diff.unnamed.directories,
            "ebuilds": diff.unnamed.ebuilds,
        },
    })
}

/// `headwater channel rollback --json`.
pub(super) fn rollback(report: &RollbackReport) -> Value {
    json!({
        "channel": report.channel.to_string(),
        "rollback_of": report.of.get(),
        "published": report.published.map(Generation::get),
        "added": report.changes.added,
        "removed": report.changes.removed,
        "changed": report.changes.changed,
        "seconds": report.elapsed.as_secs_f64(),
    })
}

/// `headwater channel keep --json` and `headwater channel release --json`.
pub(super) fn keep(report: &KeepReport) -> Value {
    json!({
        "channel": report.channel.to_string(),
        "generation": report.generation.get(),
        "kept": by_hand(report.by_hand.as_ref()),
        "before": by_hand(report.before.as_ref()),
    })
}

/// `headwater sweep --json`.
pub(super) fn sweep(report: &SweepReport) -> Value {
    json!({
        "dry_run": report.mode == SweepMode::DryRun,
        "generations": report.generations.iter().map(generation).collect::<Vec<_>>(),
        "contents": report.contents,
        "bytes": report.bytes,
        "damaged": report.damaged.iter().map(generation).collect::<Vec<_>>(),
    })
}
