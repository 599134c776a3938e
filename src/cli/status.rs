//! `headwater status`: how a node is, once or again and again.

use std::io::{IsTerminal, stdout};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{MissedTickBehavior, interval};

use super::args::StatusArgs;
use super::door::{Door, SOCKET};
use super::json;
use super::output::{Lean, Lines, age, count, kept_as, print, print_json, size, table};
use super::start::Place;
use crate::control::{Client, ControlError, StatusReport};

/// How often `--watch` looks.
const EVERY: Duration = Duration::from_secs(2);
/// Puts the cursor into the upper left corner and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Shows it.
pub(super) fn status(place: &Place, args: &StatusArgs) -> anyhow::Result<()> {
    if args.watch {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
        return runtime.block_on(watch(&place.dir, args));
    }
    let report = Door::open(&place.dir)?.status()?;
    match args.json {
        true => print_json(&json::status(&report), Lines::Many),
        false => print(&told(&report)),
    }
}

/// Shows it every two seconds, also while the node comes and goes. The store itself is never opened: that would keep a node from
/// starting.
async fn watch(dir: &Path, args: &StatusArgs) -> anyhow::Result<()> {
    let mut pace = interval(EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut client = None;
    loop {
        pace.tick().await;
        match look(dir, &mut client).await {
            Ok(report) if args.json => print_json(&json::status(&report), Lines::One)?,
            Ok(report) => show(&told(&report))?,
            Err(error @ ControlError::Denied { .. }) => return Err(error.into()),
            Err(error) => {
                client = None;
                match args.json {
                    true => {
                        print_json(&serde_json::json!({ "running": false, "error": error.to_string() }), Lines::One)?
                    }
                    false => show(&format!("{error}\n"))?,
                }
            }
        }
    }
}

async fn look(dir: &Path, client: &mut Option<Client>) -> Result<StatusReport, ControlError> {
    let ready = match client {
        Some(ready) => ready,
        None => client.insert(Client::connect(&dir.join(SOCKET)).await?),
    };
    ready.status().await
}

/// Over the last one on a terminal, below it elsewhere.
fn show(text: &str) -> anyhow::Result<()> {
    match stdout().is_terminal() {
        true => print(&format!("{CLEAR}{text}")),
        false => print(&format!("{text}\n")),
    }
}

fn told(report: &StatusReport) -> String {
    let life = match report.started {
        Some(started) => format!("up {}", age(report.now.saturating_sub(started))),
        None => "not running".to_owned(),
    };
    let mut text = format!(
        "{}, {} of {}: {life}, version {}\n\n",
        report.node,
        json::role(report.role),
        report.federation,
        report.version
    );
    text.push_str(&channels(report));
    text.push_str(&modules(report));
    for listener in &report.listeners {
        text.push_str(&format!("listens  {} on {}\n", json::door(listener.door), listener.address));
    }
    if report.started.is_some() {
        let traffic = report.traffic;
        text.push_str(&format!(
            "clients  {} now, {} since the start, {} refused; {} served\n",
            count(traffic.connections_now),
            count(traffic.connections_total),
            count(traffic.clients_refused),
            size(traffic.bytes_served),
        ));
    }
    let disk = report.disk;
    text.push_str(&format!(
        "disk     {} used by the data directory, {} free of {}\n",
        size(disk.data),
        size(disk.free),
        size(disk.total)
    ));
    for kept in &report.kept {
        let long = age(report.now.saturating_sub(kept.by_hand.since));
        let as_name = kept_as(&kept.by_hand);
        text.push_str(&format!("kept     {}@{}{as_name}, by hand since {long}\n", kept.channel, kept.generation));
    }
    if let Some(scrub) = report.scrub {
        let found = match scrub.bad {
            0 => "all sound".to_owned(),
            bad => format!("{} bad", count(bad)),
        };
        let ago = age(report.now.saturating_sub(scrub.ended));
        let (contents, bytes) = (count(scrub.contents), size(scrub.bytes));
        text.push_str(&format!("scrub    {ago} ago: {contents} contents, {bytes}, {found}\n"));
    }
    for warning in &report.warnings {
        text.push_str(&format!("\nWARNING  {warning}\n"));
    }
    text
}

fn channels(report: &StatusReport) -> String {
    let rows: Vec<[String; 6]> = report
        .channels
        .iter()
        .map(|channel| {
            let name = channel.name.to_string();
            match &channel.newest {
                None => [name, "-".into(), "-".into(), "nothing yet".into(), "-".into(), "-".into()],
                Some(newest) => [
                    name,
                    newest.generation.to_string(),
                    newest.snapshot.short().to_string(),
                    age(report.now.saturating_sub(newest.published)),
                    count(newest.entries),
                    size(newest.bytes),
                ],
            }
        })
        .collect();
    let head = [
        ("CHANNEL", Lean::Left),
        ("GENERATION", Lean::Right),
        ("SNAPSHOT", Lean::Left),
        ("AGE", Lean::Left),
        ("ENTRIES", Lean::Right),
        ("SIZE", Lean::Right),
    ];
    match rows.is_empty() {
        true => String::new(),
        false => format!("{}\n", table(head, &rows)),
    }
}

fn modules(report: &StatusReport) -> String {
    let rows: Vec<[String; 3]> = report
        .modules
        .iter()
        .map(|module| [module.name.to_string(), module.channel.to_string(), module.comment.clone()])
        .collect();
    let head = [("MODULE", Lean::Left), ("SHOWS", Lean::Left), ("COMMENT", Lean::Left)];
    match rows.is_empty() {
        true => String::new(),
        false => format!("{}\n", table(head, &rows)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{
        ChannelStatus, Disk, Door as Way, KeptByHand, KeptGeneration, LastScrub, Listener, ModuleLine, Newest, Role,
        Traffic,
    };
    use crate::names::Generation;
    use crate::tree::SnapshotId;

    fn report() -> StatusReport {
        StatusReport {
            node: "gw".parse().unwrap(),
            federation: "example".parse().unwrap(),
            role: Role::Gateway,
            version: "0.1.0".into(),
            started: Some(1_783_123_201),
            now: 1_783_126_861,
            channels: vec![ChannelStatus {
                name: "gentoo/full".parse().unwrap(),
                newest: Some(Newest {
                    generation: Generation::FIRST,
                    snapshot: SnapshotId::from_bytes([0xab; 64]),
                    entries: 152_331,
                    bytes: 263_504_896,
                    published: 1_783_126_801,
                }),
            }],
            modules: vec![ModuleLine {
                name: "gentoo-portage".parse().unwrap(),
                channel: "gentoo/full".parse().unwrap(),
                comment: "Gentoo ebuild repository".into(),
            }],
            listeners: vec![Listener { door: Way::Rsync, address: "[::]:873".parse().unwrap() }],
            traffic: Traffic {
                connections_now: 3,
                connections_total: 1_204,
                bytes_served: 5 << 30,
                clients_refused: 0,
            },
            disk: Disk { free: 1 << 34, total: 1 << 36, data: 500 << 20 },
            kept: vec![KeptGeneration {
                channel: "gentoo/full".parse().unwrap(),
                generation: Generation::FIRST,
                by_hand: KeptByHand { name: "before".parse().ok(), since: 1_783_126_801 },
            }],
            scrub: Some(LastScrub { ended: 1_783_123_261, contents: 1_200, bytes: 2 << 20, bad: 2 }),
            warnings: vec!["the admin key lies in the data directory: move it away".into()],
        }
    }

    #[test]
    fn a_status_is_read_at_a_glance() {
        assert_eq!(
            told(&report()),
            "gw, gateway of example: up 1 h 1 min, version 0.1.0\n\n\
             CHANNEL      GENERATION  SNAPSHOT      AGE    ENTRIES       SIZE\n\
             gentoo/full           1  abababababab  1 min  152,331  251.3 MiB\n\n\
             MODULE          SHOWS        COMMENT\n\
             gentoo-portage  gentoo/full  Gentoo ebuild repository\n\n\
             listens  rsync on [::]:873\n\
             clients  3 now, 1,204 since the start, 0 refused; 5.0 GiB served\n\
             disk     500.0 MiB used by the data directory, 16.0 GiB free of 64.0 GiB\n\
             kept     gentoo/full@1 as before, by hand since 1 min\n\
             scrub    1 h ago: 1,200 contents, 2.0 MiB, 2 bad\n\n\
             WARNING  the admin key lies in the data directory: move it away\n"
        );
    }

    #[test]
    fn where_no_node_runs_nothing_is_said_about_clients() {
        let report = StatusReport { started: None, listeners: Vec::new(), ..report() };
        let text = told(&report);
        assert!(text.starts_with("gw, gateway of example: not running, version 0.1.0\n"), "{text}");
        assert!(!text.contains("clients"), "{text}");
        let value = json::status(&report);
        assert_eq!(value["running"], false);
        assert_eq!(value["channels"][0]["age"], 60);
        assert_eq!(value["kept"][0]["name"], "before");
        assert_eq!(value["scrub"]["bad"], 2);
        assert_eq!(value["channels"][0]["published"], "2026-07-04T01:00:01Z");
    }
}
