//! The border between protobuf and our own values: what is stored is swept, held and read again.
//!
//! Outward is [`From`] and never fails; inward is [`TryFrom`], checks every bound and names the field that is wrong. What a
//! scrub found bad travels one by one, before its report.

use std::time::Duration;

use super::bounds::{
    MOST_BAD, MOST_GENERATIONS, MOST_LINES, ValueError, cut, list, number, outside, send, snapshot, text, time, word,
};
use super::convert_kept::{head, published};
use super::model_work::{
    HeldGeneration, HoldOrder, ScrubOrder, ScrubReport, ScrubbedBad, SweepMode, SweepOrder, SweepReport,
};
use super::proto as wire;
use super::proto::scrub_event::Event;
use crate::tree::ContentId;

/// Generations in one report: all that a node can drop at once.
const MOST_DROPPED: usize = MOST_GENERATIONS;

/// Generations that are named in one hold. More than are named can be held.
const MOST_HELD: usize = 8 * MOST_LINES;

impl From<&SweepOrder> for wire::SweepRequest {
    fn from(order: &SweepOrder) -> Self {
        let forget = order.forget.as_ref().map(ToString::to_string).unwrap_or_default();
        wire::SweepRequest { dry_run: order.mode == SweepMode::DryRun, forget }
    }
}

fn mode(dry_run: bool) -> SweepMode {
    match dry_run {
        true => SweepMode::DryRun,
        false => SweepMode::Free,
    }
}

impl TryFrom<wire::SweepRequest> for SweepOrder {
    type Error = ValueError;

    fn try_from(request: wire::SweepRequest) -> Result<Self, ValueError> {
        let forget = match request.forget.as_str() {
            "" => None,
            name => Some(word("channel", name)?),
        };
        Ok(SweepOrder { mode: mode(request.dry_run), forget })
    }
}

impl From<&SweepReport> for wire::SweepReport {
    fn from(report: &SweepReport) -> Self {
        wire::SweepReport {
            dry_run: report.mode == SweepMode::DryRun,
            generations: send(&report.generations, MOST_DROPPED, published),
            contents: report.contents,
            bytes: report.bytes,
            damaged: send(&report.damaged, MOST_DROPPED, published),
        }
    }
}

impl TryFrom<wire::SweepReport> for SweepReport {
    type Error = ValueError;

    fn try_from(report: wire::SweepReport) -> Result<Self, ValueError> {
        Ok(SweepReport {
            mode: mode(report.dry_run),
            generations: list("generations", report.generations, MOST_DROPPED, |dropped| head("generation", dropped))?,
            contents: report.contents,
            bytes: report.bytes,
            damaged: list("damaged generations", report.damaged, MOST_DROPPED, |damaged| {
                head("damaged generation", damaged)
            })?,
        })
    }
}

impl From<&HoldOrder> for wire::HoldRequest {
    fn from(order: &HoldOrder) -> Self {
        wire::HoldRequest { channel: order.address.as_ref().map(ToString::to_string).unwrap_or_default() }
    }
}

impl TryFrom<wire::HoldRequest> for HoldOrder {
    type Error = ValueError;

    fn try_from(request: wire::HoldRequest) -> Result<Self, ValueError> {
        let address = match request.channel.as_str() {
            "" => None,
            name => Some(word("channel", name)?),
        };
        Ok(HoldOrder { address })
    }
}

/// The one event of a hold.
pub(super) fn held_event(held: &[HeldGeneration]) -> wire::HoldEvent {
    wire::HoldEvent {
        held: send(held, MOST_HELD, |held| wire::HeldGeneration {
            channel: held.channel.to_string(),
            generation: held.generation.get(),
            snapshot: held.snapshot.as_bytes().to_vec().into(),
            published: held.published,
        }),
    }
}

/// The way back.
pub(super) fn held(event: wire::HoldEvent) -> Result<Vec<HeldGeneration>, ValueError> {
    list("held generations", event.held, MOST_HELD, |held| {
        Ok(HeldGeneration {
            channel: word("held channel", &held.channel)?,
            generation: number("held generation", held.generation)?,
            snapshot: snapshot("held snapshot", &held.snapshot)?,
            published: time("published", held.published)?,
        })
    })
}

impl From<ScrubOrder> for wire::ScrubRequest {
    fn from(order: ScrubOrder) -> Self {
        wire::ScrubRequest { rate: order.rate.unwrap_or(0) }
    }
}

impl From<wire::ScrubRequest> for ScrubOrder {
    fn from(request: wire::ScrubRequest) -> Self {
        ScrubOrder { rate: Some(request.rate).filter(|rate| *rate > 0) }
    }
}

/// What a scrub found, in pieces: the report last.
pub(super) fn scrub_events(report: &ScrubReport) -> Vec<wire::ScrubEvent> {
    let bad = report.bad.iter().take(MOST_BAD).map(|bad| {
        Event::Bad(wire::BadContent {
            content: bad.content.as_bytes().to_vec().into(),
            size: bad.size,
            path: cut(&bad.path),
            reason: cut(&bad.reason),
        })
    });
    let end = Event::Report(wire::ScrubReport {
        contents: report.contents,
        bytes: report.bytes,
        milliseconds: u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX),
    });
    bad.chain(std::iter::once(end)).map(|event| wire::ScrubEvent { event: Some(event) }).collect()
}

/// Adds a bad content to what is known.
pub(super) fn bad(known: &mut Vec<ScrubbedBad>, found: wire::BadContent) -> Result<(), ValueError> {
    if known.len() >= MOST_BAD {
        return Err(ValueError::TooMany { field: "bad contents", count: known.len() + 1, most: MOST_BAD });
    }
    let length = found.content.len();
    let content = <[u8; 64]>::try_from(&*found.content)
        .map_err(|_| outside("id of a bad content", format_args!("{length} bytes long")))?;
    known.push(ScrubbedBad {
        content: ContentId::from_bytes(content),
        size: found.size,
        path: text("path of a bad content", found.path)?,
        reason: text("reason", found.reason)?,
    });
    Ok(())
}

/// The report with what was found bad before it.
pub(super) fn scrubbed(bad: Vec<ScrubbedBad>, report: &wire::ScrubReport) -> ScrubReport {
    let elapsed = Duration::from_millis(report.milliseconds);
    ScrubReport { contents: report.contents, bytes: report.bytes, bad, elapsed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Generation;
    use crate::tree::SnapshotId;

    #[test]
    fn a_sweep_survives_the_way_there_and_back() {
        for mode in [SweepMode::DryRun, SweepMode::Free] {
            for forget in [None, Some("gentoo/full".parse().unwrap())] {
                let order = SweepOrder { mode, forget };
                assert_eq!(SweepOrder::try_from(wire::SweepRequest::from(&order)).unwrap(), order);
            }
            let generations = vec![("gentoo/full".parse().unwrap(), Generation::FIRST)];
            let damaged = vec![("gentoo/full".parse().unwrap(), Generation::new(2).unwrap())];
            let report = SweepReport { mode, generations, contents: 2, bytes: 3, damaged };
            assert_eq!(SweepReport::try_from(wire::SweepReport::from(&report)).unwrap(), report);
        }
    }

    #[test]
    fn a_hold_survives_the_way_there_and_back() {
        for address in [None, Some("gentoo@3".parse().unwrap())] {
            let order = HoldOrder { address };
            assert_eq!(HoldOrder::try_from(wire::HoldRequest::from(&order)).unwrap(), order);
        }
        let sent = [HeldGeneration {
            channel: "gentoo/full".parse().unwrap(),
            generation: Generation::FIRST,
            snapshot: SnapshotId::from_bytes([3; 64]),
            published: 4,
        }];
        assert_eq!(held(held_event(&sent)).unwrap(), sent);
        let mut short = held_event(&sent);
        short.held[0].snapshot.truncate(63);
        assert!(held(short).is_err());
    }

    #[test]
    fn a_scrub_survives_the_way_there_and_back_in_pieces() {
        for rate in [None, Some(1)] {
            assert_eq!(ScrubOrder::from(wire::ScrubRequest::from(ScrubOrder { rate })), ScrubOrder { rate });
        }
        let found = |byte: u8| ScrubbedBad {
            content: ContentId::from_bytes([byte; 64]),
            size: 3,
            path: "gentoo/full: a/b".into(),
            reason: "flipped".into(),
        };
        let sent =
            ScrubReport { contents: 1, bytes: 2, bad: vec![found(1), found(2)], elapsed: Duration::from_millis(3) };
        let mut known = Vec::new();
        for event in scrub_events(&sent) {
            match event.event.unwrap() {
                Event::Bad(one) => bad(&mut known, one).unwrap(),
                Event::Report(report) => assert_eq!(scrubbed(known.split_off(0), &report), sent),
                Event::Progress(_) => panic!("no progress was told"),
            }
        }
        assert!(bad(&mut known, wire::BadContent::default()).is_err(), "an id has 64 bytes");
    }
}
