//! `headwater channel`: the channels, and the generations of one.

use super::args_channel::{ChannelListArgs, ChannelLogArgs};
use super::door::Door;
use super::json;
use super::output::{Lean, Lines, count, kept_as, print, print_json, size, table, time};
use super::start::Place;
use crate::control::{ChannelLog, ListedChannel, LogOrder, LoggedGeneration};

/// Lists the channels.
pub(super) fn list(place: &Place, args: &ChannelListArgs) -> anyhow::Result<()> {
    let channels = Door::open(&place.dir)?.channels()?;
    match args.json {
        true => print_json(&json::channels(&channels), Lines::Many),
        false => print(&listed(&channels)),
    }
}

/// Lists the generations of a channel.
pub(super) fn log(place: &Place, args: &ChannelLogArgs) -> anyhow::Result<()> {
    let order = LogOrder { address: args.address.clone(), most: args.most };
    let log = Door::open(&place.dir)?.log(&order)?;
    match args.json {
        true => print_json(&json::log(&log), Lines::Many),
        false => print(&logged(&log)),
    }
}

fn listed(channels: &[ListedChannel]) -> String {
    if channels.is_empty() {
        return "There is no channel; topology.toml names none.\n".to_owned();
    }
    let rows: Vec<[String; 8]> = channels
        .iter()
        .map(|channel| {
            let name = channel.status.name.to_string();
            let kept = count(channel.generations_kept);
            let modules: Vec<&str> = channel.modules.iter().map(|name| name.as_str()).collect();
            let modules = modules.join(", ");
            let by_hand = channel.by_hand.iter().map(|kept| format!("@{}{}", kept.generation, kept_as(&kept.by_hand)));
            let by_hand = by_hand.collect::<Vec<_>>().join(", ");
            match &channel.status.newest {
                None => [name, "-".into(), kept, "-".into(), "-".into(), "nothing yet".into(), modules, by_hand],
                Some(newest) => [
                    name,
                    newest.generation.to_string(),
                    kept,
                    count(newest.entries),
                    size(newest.bytes),
                    time(newest.published),
                    modules,
                    by_hand,
                ],
            }
        })
        .collect();
    let head = [
        ("CHANNEL", Lean::Left),
        ("GENERATION", Lean::Right),
        ("KEPT", Lean::Right),
        ("ENTRIES", Lean::Right),
        ("SIZE", Lean::Right),
        ("PUBLISHED", Lean::Left),
        ("MODULES", Lean::Left),
        ("KEPT BY HAND", Lean::Left),
    ];
    table(head, &rows)
}

fn logged(log: &ChannelLog) -> String {
    if log.generations.is_empty() {
        return format!("{}: nothing is published yet.\n", log.channel);
    }
    let rows: Vec<[String; 8]> = log
        .generations
        .iter()
        .map(|line| {
            let changes = line.changes;
            [
                format!("{}@{}", log.channel, line.generation),
                time(line.published),
                line.snapshot.short().to_string(),
                count(line.entries),
                size(line.bytes),
                format!("+{} -{} ~{}", count(changes.added), count(changes.removed), count(changes.changed)),
                line.source.clone(),
                note(line),
            ]
        })
        .collect();
    let head = [
        ("GENERATION", Lean::Left),
        ("PUBLISHED", Lean::Left),
        ("SNAPSHOT", Lean::Left),
        ("ENTRIES", Lean::Right),
        ("SIZE", Lean::Right),
        ("CHANGES", Lean::Left),
        ("SOURCE", Lean::Left),
        ("NOTE", Lean::Left),
    ];
    table(head, &rows)
}

/// What else there is to say of a generation.
fn note(line: &LoggedGeneration) -> String {
    let rollback = line.rollback_of.map(|of| format!("rollback to {of}"));
    let kept = line.by_hand.as_ref().map(|kept| format!("kept{}", kept_as(kept)));
    rollback.into_iter().chain(kept).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Changes, ChannelStatus, KeptByHand, KeptGeneration, Newest};
    use crate::names::Generation;
    use crate::tree::SnapshotId;

    #[test]
    fn a_channel_without_a_generation_is_listed_too() {
        let empty = ListedChannel {
            status: ChannelStatus { name: "gentoo/full".parse().unwrap(), newest: None },
            generations_kept: 0,
            modules: vec!["gentoo-portage".parse().unwrap()],
            by_hand: Vec::new(),
        };
        let mut full = empty.clone();
        full.status.newest = Some(Newest {
            generation: Generation::FIRST,
            snapshot: SnapshotId::from_bytes([0xab; 64]),
            entries: 152_331,
            bytes: 3 << 20,
            published: 1_783_123_201,
        });
        full.by_hand = [(3, "before"), (2, "")]
            .map(|(number, name)| KeptGeneration {
                channel: "gentoo/full".parse().unwrap(),
                generation: Generation::new(number).unwrap(),
                by_hand: KeptByHand { name: name.parse().ok(), since: 7 },
            })
            .to_vec();
        assert_eq!(
            listed(&[empty, full]),
            "CHANNEL      GENERATION  KEPT  ENTRIES     SIZE  PUBLISHED                MODULES         KEPT BY HAND\n\
             gentoo/full           -     0        -        -  nothing yet              gentoo-portage\n\
             gentoo/full           1     0  152,331  3.0 MiB  2026-07-04 00:00:01 UTC  gentoo-portage  @3 as before, @2\n"
        );
    }

    #[test]
    fn a_log_shows_what_each_generation_changed() {
        let log = ChannelLog {
            channel: "gentoo/full".parse().unwrap(),
            generations: vec![LoggedGeneration {
                generation: Generation::FIRST,
                snapshot: SnapshotId::from_bytes([0xab; 64]),
                published: 1_783_123_201,
                term: 1,
                entries: 10,
                bytes: 1_000,
                changes: Changes { added: 10, removed: 0, changed: 1_000 },
                source: String::new(),
                rollback_of: Generation::new(3),
                by_hand: Some(KeptByHand { name: None, since: 7 }),
            }],
        };
        assert_eq!(
            logged(&log),
            "GENERATION     PUBLISHED                SNAPSHOT      ENTRIES    SIZE  CHANGES        SOURCE  NOTE\n\
             gentoo/full@1  2026-07-04 00:00:01 UTC  abababababab       10  1000 B  +10 -0 ~1,000          rollback to 3, kept\n"
        );
    }
}
