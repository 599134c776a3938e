//! What scripts read: every report as a JSON object.
//!
//! Names are those of the reports' fields; times are RFC 3339 in UTC, sizes are bytes, durations are seconds, ids are hex. A field
//! keeps its name and meaning once it is here; new ones may come.

use serde_json::{Value, json};

use super::json_stored;
use super::output::rfc3339;
use crate::control::{
    ChannelLog, ChannelStatus, Door, ImportOutcome, ImportReport, ListedChannel, ReloadReport, Role, StatusReport,
};
use crate::names::Generation;
use crate::node::inspect::{Finding, Inspection};

/// `headwater status --json`.
pub(super) fn status(report: &StatusReport) -> Value {
    let channels: Vec<Value> = report.channels.iter().map(|channel| channel_at(channel, Some(report.now))).collect();
    let modules = report.modules.iter().map(|module| {
        json!({
            "name": module.name.as_str(), "channel": module.channel.to_string(), "comment": module.comment,
        })
    });
    let listeners = report
        .listeners
        .iter()
        .map(|listener| json!({ "door": door(listener.door), "address": listener.address.to_string() }));
    json!({
        "node": report.node.as_str(),
        "federation": report.federation.as_str(),
        "role": role(report.role),
        "version": report.version,
        "running": report.started.is_some(),
        "started": report.started.map(rfc3339),
        "now": rfc3339(report.now),
        "channels": channels,
        "modules": modules.collect::<Vec<_>>(),
        "listeners": listeners.collect::<Vec<_>>(),
        "connections": report.traffic.connections_now,
        "connections_total": report.traffic.connections_total,
        "bytes_served": report.traffic.bytes_served,
        "clients_refused": report.traffic.clients_refused,
        "disk": { "free": report.disk.free, "total": report.disk.total, "data": report.disk.data },
        "kept": json_stored::kept(&report.kept),
        "scrub": json_stored::last_scrub(report.scrub),
        "warnings": report.warnings,
    })
}

/// A channel's name and newest generation; with `now` also its age.
fn channel_at(channel: &ChannelStatus, now: Option<i64>) -> Value {
    let Some(newest) = &channel.newest else {
        return json!({ "name": channel.name.to_string(), "generation": null });
    };
    let mut value = json!({
        "name": channel.name.to_string(),
        "generation": newest.generation.get(),
        "snapshot": newest.snapshot.to_string(),
        "entries": newest.entries,
        "bytes": newest.bytes,
        "published": rfc3339(newest.published),
    });
    if let (Some(now), Some(fields)) = (now, value.as_object_mut()) {
        fields.insert("age".to_owned(), json!(now.saturating_sub(newest.published)));
    }
    value
}

/// `headwater channel list --json`.
pub(super) fn channels(channels: &[ListedChannel]) -> Value {
    let listed = channels.iter().map(|channel| {
        let mut value = channel_at(&channel.status, None);
        if let Some(fields) = value.as_object_mut() {
            let modules: Vec<&str> = channel.modules.iter().map(|name| name.as_str()).collect();
            fields.insert("generations_kept".to_owned(), json!(channel.generations_kept));
            fields.insert("modules".to_owned(), json!(modules));
            fields.insert("kept".to_owned(), json_stored::kept(&channel.by_hand));
        }
        value
    });
    Value::Array(listed.collect())
}

/// `headwater channel log --json`.
pub(super) fn log(log: &ChannelLog) -> Value {
    let generations = log.generations.iter().map(|line| {
        json!({
            "generation": line.generation.get(),
            "snapshot": line.snapshot.to_string(),
            "published": rfc3339(line.published),
            "term": line.term,
            "entries": line.entries,
            "bytes": line.bytes,
            "added": line.changes.added,
            "removed": line.changes.removed,
            "changed": line.changes.changed,
            "source": line.source,
            "rollback_of": line.rollback_of.map(Generation::get),
            "kept": json_stored::by_hand(line.by_hand.as_ref()),
        })
    });
    json!({ "channel": log.channel.to_string(), "generations": generations.collect::<Vec<_>>() })
}

/// `headwater import --json`.
pub(super) fn import(report: &ImportReport) -> Value {
    let published: Vec<Value> = match &report.outcome {
        ImportOutcome::NothingNew => Vec::new(),
        ImportOutcome::Published(heads) => heads
            .iter()
            .map(|(channel, generation)| json!({ "channel": channel.to_string(), "generation": generation.get() }))
            .collect(),
    };
    json!({
        "published": published,
        "added": report.changes.added,
        "removed": report.changes.removed,
        "changed": report.changes.changed,
        "left_out": report.left_out,
        "files_read": report.files_read,
        "seconds": report.elapsed.as_secs_f64(),
        "warnings": report.warnings,
    })
}

/// `headwater reload --json`.
pub(super) fn reload(report: &ReloadReport) -> Value {
    json!({ "changed": report.changed, "at_restart": report.at_restart })
}

/// `headwater config check --json`.
pub(super) fn inspection(found: &Inspection) -> Value {
    let files: Vec<String> = found.read.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    json!({
        "in_order": found.mistakes.is_empty(),
        "files": files,
        "mistakes": found.mistakes.iter().map(finding).collect::<Vec<_>>(),
        "warnings": found.warnings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "place": finding.place,
        "line": finding.at.map(|(line, _)| line),
        "column": finding.at.map(|(_, column)| column),
        "key": finding.key,
        "text": finding.text,
        "hint": finding.hint,
    })
}

/// A role as one word.
pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::Gateway => "gateway",
        Role::Secondary => "secondary",
        Role::Tertiary => "tertiary",
    }
}

/// A door as one word.
pub(super) fn door(door: Door) -> &'static str {
    match door {
        Door::Rsync => "rsync",
        Door::Control => "control",
        Door::Http => "http",
    }
}
