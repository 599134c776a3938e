//! The border between protobuf and our own values: generations that are compared, rolled back to, kept and released.
//!
//! Outward is [`From`] and never fails; inward is [`TryFrom`], checks every bound and names the field that is wrong. A diff
//! travels in pieces, a group each, since the whole of it can be larger than a message may be.

use std::time::Duration;

use super::bounds::{MOST_GROUPS, MOST_NAMES, ValueError, cut, list, number, part, send, text, time, word};
use super::model::Changes;
use super::model_work::{
    ChannelDiff, DiffOrder, DirectoryDiff, KeepOrder, KeepReport, KeepWish, KeptByHand, KeptGeneration, LastScrub,
    PackageDiff, RollbackOrder, RollbackReport, Unnamed,
};
use super::proto as wire;
use super::proto::diff_event::Event;
use crate::names::{Address, ChannelName, Generation};

impl From<&KeptByHand> for wire::KeptByHand {
    fn from(kept: &KeptByHand) -> Self {
        let name = kept.name.as_ref().map(ToString::to_string).unwrap_or_default();
        wire::KeptByHand { name, since: kept.since }
    }
}

impl TryFrom<wire::KeptByHand> for KeptByHand {
    type Error = ValueError;

    fn try_from(kept: wire::KeptByHand) -> Result<Self, ValueError> {
        let name = match kept.name.as_str() {
            "" => None,
            name => Some(word("name of a kept generation", name)?),
        };
        Ok(KeptByHand { name, since: time("since", kept.since)? })
    }
}

impl From<&KeptGeneration> for wire::KeptGeneration {
    fn from(kept: &KeptGeneration) -> Self {
        wire::KeptGeneration {
            channel: kept.channel.to_string(),
            generation: kept.generation.get(),
            by_hand: Some((&kept.by_hand).into()),
        }
    }
}

impl TryFrom<wire::KeptGeneration> for KeptGeneration {
    type Error = ValueError;

    fn try_from(kept: wire::KeptGeneration) -> Result<Self, ValueError> {
        Ok(KeptGeneration {
            channel: word("channel of a kept generation", &kept.channel)?,
            generation: number("kept generation", kept.generation)?,
            by_hand: part("how a generation is kept", kept.by_hand)?.try_into()?,
        })
    }
}

impl From<LastScrub> for wire::LastScrub {
    fn from(scrub: LastScrub) -> Self {
        wire::LastScrub { ended: scrub.ended, contents: scrub.contents, bytes: scrub.bytes, bad: scrub.bad }
    }
}

impl TryFrom<wire::LastScrub> for LastScrub {
    type Error = ValueError;

    fn try_from(scrub: wire::LastScrub) -> Result<Self, ValueError> {
        let ended = time("end of the last scrub", scrub.ended)?;
        Ok(LastScrub { ended, contents: scrub.contents, bytes: scrub.bytes, bad: scrub.bad })
    }
}

/// A channel with its generation.
pub(super) fn published((channel, generation): &(ChannelName, Generation)) -> wire::Published {
    wire::Published { channel: channel.to_string(), generation: generation.get() }
}

/// The way back.
pub(super) fn head(field: &'static str, head: wire::Published) -> Result<(ChannelName, Generation), ValueError> {
    Ok((word(field, &head.channel)?, number(field, head.generation)?))
}

impl From<&DiffOrder> for wire::DiffRequest {
    fn from(order: &DiffOrder) -> Self {
        wire::DiffRequest { old: order.old.to_string(), new: order.new.to_string() }
    }
}

impl TryFrom<wire::DiffRequest> for DiffOrder {
    type Error = ValueError;

    fn try_from(request: wire::DiffRequest) -> Result<Self, ValueError> {
        Ok(DiffOrder { old: word("old", &request.old)?, new: word("new", &request.new)? })
    }
}

/// A diff in pieces: the summary first.
pub(super) fn diff_events(diff: &ChannelDiff) -> Vec<wire::DiffEvent> {
    let summary = Event::Summary(wire::DiffSummary {
        old: Some(published(&diff.old)),
        new: Some(published(&diff.new)),
        changes: Some(diff.changes.into()),
        times: diff.times,
        unnamed_packages: beyond(diff.packages.len(), MOST_GROUPS),
        unnamed_directories: beyond(diff.directories.len(), MOST_GROUPS),
        unnamed_ebuilds: diff.packages.iter().take(MOST_GROUPS).map(unnamed_ebuilds).sum(),
    });
    let packages = diff.packages.iter().take(MOST_GROUPS).map(|package| Event::Package(package.into()));
    let directories = diff.directories.iter().take(MOST_GROUPS).map(|directory| Event::Directory(directory.into()));
    let events = std::iter::once(summary).chain(packages).chain(directories);
    events.map(|event| wire::DiffEvent { event: Some(event) }).collect()
}

/// How many of `count` are not sent.
fn beyond(count: usize, most: usize) -> u64 {
    u64::try_from(count.saturating_sub(most)).unwrap_or(u64::MAX)
}

fn unnamed_ebuilds(package: &PackageDiff) -> u64 {
    [&package.added, &package.removed, &package.changed].map(|names| beyond(names.len(), MOST_NAMES)).iter().sum()
}

/// The summary of a diff, to which [`add`] brings the rest.
pub(super) fn diff_begun(event: wire::DiffEvent) -> Result<ChannelDiff, ValueError> {
    let Some(Event::Summary(summary)) = event.event else { return Err(ValueError::Missing { field: "summary" }) };
    Ok(ChannelDiff {
        old: head("old", part("old", summary.old)?)?,
        new: head("new", part("new", summary.new)?)?,
        changes: part("changes", summary.changes)?.into(),
        packages: Vec::new(),
        directories: Vec::new(),
        times: summary.times,
        unnamed: Unnamed {
            packages: summary.unnamed_packages,
            directories: summary.unnamed_directories,
            ebuilds: summary.unnamed_ebuilds,
        },
    })
}

/// Adds a piece.
pub(super) fn add(diff: &mut ChannelDiff, event: wire::DiffEvent) -> Result<(), ValueError> {
    match event.event {
        Some(Event::Package(package)) => push("packages", &mut diff.packages, package.try_into()?),
        Some(Event::Directory(directory)) => push("directories", &mut diff.directories, directory.try_into()?),
        Some(Event::Summary(_)) => Err(ValueError::Outside { field: "event", value: "a second summary".to_owned() }),
        None => Err(ValueError::Missing { field: "event" }),
    }
}

fn push<T>(field: &'static str, to: &mut Vec<T>, value: T) -> Result<(), ValueError> {
    if to.len() >= MOST_GROUPS {
        return Err(ValueError::TooMany { field, count: to.len() + 1, most: MOST_GROUPS });
    }
    to.push(value);
    Ok(())
}

impl From<&PackageDiff> for wire::PackageDiff {
    fn from(package: &PackageDiff) -> Self {
        let names = |names| send(names, MOST_NAMES, |name: &String| cut(name));
        wire::PackageDiff {
            name: cut(&package.name),
            added: names(&package.added),
            removed: names(&package.removed),
            changed: names(&package.changed),
            others: Some(package.others.into()),
        }
    }
}

impl TryFrom<wire::PackageDiff> for PackageDiff {
    type Error = ValueError;

    fn try_from(package: wire::PackageDiff) -> Result<Self, ValueError> {
        let names = |names| list("ebuilds", names, MOST_NAMES, |name| text("ebuild", name));
        Ok(PackageDiff {
            name: text("package", package.name)?,
            added: names(package.added)?,
            removed: names(package.removed)?,
            changed: names(package.changed)?,
            others: part("other files", package.others)?.into(),
        })
    }
}

impl From<&DirectoryDiff> for wire::DirectoryDiff {
    fn from(diff: &DirectoryDiff) -> Self {
        wire::DirectoryDiff { directory: cut(&diff.directory), changes: Some(diff.changes.into()) }
    }
}

impl TryFrom<wire::DirectoryDiff> for DirectoryDiff {
    type Error = ValueError;

    fn try_from(diff: wire::DirectoryDiff) -> Result<Self, ValueError> {
        let changes: Changes = part("changes", diff.changes)?.into();
        Ok(DirectoryDiff { directory: text("directory", diff.directory)?, changes })
    }
}

/// An address that names its generation.
fn numbered(text: &str) -> Result<Address, ValueError> {
    let address: Address = word("channel", text)?;
    match address.generation {
        Some(_) => Ok(address),
        None => Err(ValueError::Missing { field: "generation" }),
    }
}

impl From<&RollbackOrder> for wire::RollbackRequest {
    fn from(order: &RollbackOrder) -> Self {
        wire::RollbackRequest { channel: order.address.to_string() }
    }
}

impl TryFrom<wire::RollbackRequest> for RollbackOrder {
    type Error = ValueError;

    fn try_from(request: wire::RollbackRequest) -> Result<Self, ValueError> {
        Ok(RollbackOrder { address: numbered(&request.channel)? })
    }
}

impl From<&RollbackReport> for wire::RollbackReport {
    fn from(report: &RollbackReport) -> Self {
        wire::RollbackReport {
            channel: report.channel.to_string(),
            of: report.of.get(),
            published: report.published.map_or(0, Generation::get),
            changes: Some(report.changes.into()),
            milliseconds: u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl TryFrom<wire::RollbackReport> for RollbackReport {
    type Error = ValueError;

    fn try_from(report: wire::RollbackReport) -> Result<Self, ValueError> {
        Ok(RollbackReport {
            channel: word("channel", &report.channel)?,
            of: number("generation", report.of)?,
            published: Generation::new(report.published),
            changes: part("changes", report.changes)?.into(),
            elapsed: Duration::from_millis(report.milliseconds),
        })
    }
}

impl From<&KeepOrder> for wire::KeepRequest {
    fn from(order: &KeepOrder) -> Self {
        let (name, release) = match &order.wish {
            KeepWish::Keep(name) => (name.as_ref().map(ToString::to_string).unwrap_or_default(), false),
            KeepWish::Release => (String::new(), true),
        };
        wire::KeepRequest { channel: order.address.to_string(), name, release }
    }
}

impl TryFrom<wire::KeepRequest> for KeepOrder {
    type Error = ValueError;

    fn try_from(request: wire::KeepRequest) -> Result<Self, ValueError> {
        let wish = match (request.release, request.name.as_str()) {
            (true, _) => KeepWish::Release,
            (false, "") => KeepWish::Keep(None),
            (false, name) => KeepWish::Keep(Some(word("name", name)?)),
        };
        Ok(KeepOrder { address: numbered(&request.channel)?, wish })
    }
}

impl From<&KeepReport> for wire::KeepReport {
    fn from(report: &KeepReport) -> Self {
        wire::KeepReport {
            channel: report.channel.to_string(),
            generation: report.generation.get(),
            by_hand: report.by_hand.as_ref().map(Into::into),
            before: report.before.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<wire::KeepReport> for KeepReport {
    type Error = ValueError;

    fn try_from(report: wire::KeepReport) -> Result<Self, ValueError> {
        Ok(KeepReport {
            channel: word("channel", &report.channel)?,
            generation: number("generation", report.generation)?,
            by_hand: report.by_hand.map(TryInto::try_into).transpose()?,
            before: report.before.map(TryInto::try_into).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(number: u64) -> Generation {
        Generation::new(number).unwrap()
    }

    fn kept(name: Option<&str>) -> KeptByHand {
        KeptByHand { name: name.map(|name| name.parse().unwrap()), since: 7 }
    }

    #[test]
    fn orders_survive_the_way_there_and_back() {
        let address = |text: &str| text.parse::<Address>().unwrap();
        let diff = DiffOrder { old: address("gentoo"), new: address("gentoo/full@3") };
        assert_eq!(DiffOrder::try_from(wire::DiffRequest::from(&diff)).unwrap(), diff);
        let rollback = RollbackOrder { address: address("gentoo@3") };
        assert_eq!(RollbackOrder::try_from(wire::RollbackRequest::from(&rollback)).unwrap(), rollback);
        for wish in [KeepWish::Keep(None), KeepWish::Keep(kept(Some("a")).name), KeepWish::Release] {
            let keep = KeepOrder { address: address("gentoo/full@3"), wish };
            assert_eq!(KeepOrder::try_from(wire::KeepRequest::from(&keep)).unwrap(), keep);
        }
        let unnumbered = wire::RollbackRequest { channel: "gentoo/full".into() };
        assert_eq!(RollbackOrder::try_from(unnumbered).unwrap_err().to_string(), "generation is missing");
        let unnumbered = wire::KeepRequest { channel: "gentoo".into(), ..Default::default() };
        assert_eq!(KeepOrder::try_from(unnumbered).unwrap_err().to_string(), "generation is missing");
    }

    #[test]
    fn reports_survive_the_way_there_and_back() {
        for published in [None, Some(generation(9))] {
            let report = RollbackReport {
                channel: "gentoo/full".parse().unwrap(),
                of: generation(3),
                published,
                changes: Changes { added: 1, removed: 2, changed: 3 },
                elapsed: Duration::from_millis(40),
            };
            assert_eq!(RollbackReport::try_from(wire::RollbackReport::from(&report)).unwrap(), report);
        }
        for (by_hand, before) in [(None, Some(kept(Some("a")))), (Some(kept(None)), None)] {
            let report =
                KeepReport { channel: "gentoo/full".parse().unwrap(), generation: generation(3), by_hand, before };
            assert_eq!(KeepReport::try_from(wire::KeepReport::from(&report)).unwrap(), report);
        }
        let scrub = LastScrub { ended: 1, contents: 2, bytes: 3, bad: 4 };
        assert_eq!(LastScrub::try_from(wire::LastScrub::from(scrub)).unwrap(), scrub);
        assert!(KeptGeneration::try_from(wire::KeptGeneration::default()).is_err());
    }

    fn diff() -> ChannelDiff {
        ChannelDiff {
            old: ("gentoo/full".parse().unwrap(), generation(3)),
            new: ("gentoo/full".parse().unwrap(), generation(4)),
            changes: Changes { added: 1, removed: 2, changed: 3 },
            packages: vec![PackageDiff {
                name: "a/b".into(),
                added: vec!["b-1".into()],
                changed: vec!["b-2".into(), "b-3".into()],
                ..PackageDiff::default()
            }],
            directories: vec![DirectoryDiff { directory: ".".into(), ..DirectoryDiff::default() }; 2],
            times: 5,
            unnamed: Unnamed::default(),
        }
    }

    /// What comes out of these pieces.
    fn joined(events: Vec<wire::DiffEvent>) -> Result<ChannelDiff, ValueError> {
        let mut events = events.into_iter();
        let mut diff = diff_begun(events.next().unwrap())?;
        events.try_for_each(|event| add(&mut diff, event))?;
        Ok(diff)
    }

    #[test]
    fn a_diff_survives_the_way_there_and_back_in_pieces() {
        assert_eq!(joined(diff_events(&diff())).unwrap(), diff());
        let check = |damage: fn(&mut Vec<wire::DiffEvent>), expected: &str| {
            let mut events = diff_events(&diff());
            damage(&mut events);
            assert_eq!(joined(events).unwrap_err().to_string(), expected);
        };
        check(|events| drop(events.remove(0)), "summary is missing");
        check(|events| events.push(events[0].clone()), "event is a second summary, which it cannot be");
        check(|events| events[1].event = None, "event is missing");
    }

    #[test]
    fn what_a_diff_does_not_name_is_counted() {
        let long = PackageDiff { removed: vec!["b-1".into(); MOST_NAMES + 2], ..PackageDiff::default() };
        let mut large = diff();
        large.packages = vec![PackageDiff::default(); MOST_GROUPS + 3];
        large.packages[7] = long.clone();
        // What is not named at all has no names that are left out.
        large.packages[MOST_GROUPS] = long;
        large.directories = vec![DirectoryDiff::default(); MOST_GROUPS + 4];
        let told = joined(diff_events(&large)).unwrap();
        assert_eq!(told.unnamed, Unnamed { packages: 3, directories: 4, ebuilds: 2 });
        assert_eq!((told.packages.len(), told.directories.len()), (MOST_GROUPS, MOST_GROUPS));
        assert_eq!(told.packages[7].removed.len(), MOST_NAMES);
    }
}
