//! The border between protobuf and our own values: orders, their progress and results, and refusals.
//!
//! Outward is [`From`] and never fails; inward is [`TryFrom`], checks every bound and names the field that is wrong.
//! A path travels as raw bytes, since no rule says that a file name is UTF-8.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use super::bounds::{
    MOST_GENERATIONS, MOST_LINES, MOST_PATH, MOST_WARNINGS, ValueError, cut, list, number, outside, part, send,
    snapshot, text, texts, time, word,
};
use super::model::{
    Changes, ChannelLog, Compare, ImportOrder, ImportOutcome, ImportReport, LogOrder, LoggedGeneration, Phase,
    Progress, Refusal, ReloadReport,
};
use super::proto as wire;
use crate::fault::Fault;
use crate::names::Generation;

impl From<&LogOrder> for wire::ChannelLogRequest {
    fn from(order: &LogOrder) -> Self {
        wire::ChannelLogRequest {
            channel: order.address.as_ref().map(ToString::to_string).unwrap_or_default(),
            most: order.most.unwrap_or(0),
        }
    }
}

impl TryFrom<wire::ChannelLogRequest> for LogOrder {
    type Error = ValueError;

    fn try_from(request: wire::ChannelLogRequest) -> Result<Self, ValueError> {
        let address = match request.channel.as_str() {
            "" => None,
            name => Some(word("channel", name)?),
        };
        let most = Some(request.most).filter(|most| *most > 0);
        Ok(LogOrder { address, most })
    }
}

impl From<&ChannelLog> for wire::ChannelLogReply {
    fn from(log: &ChannelLog) -> Self {
        wire::ChannelLogReply {
            channel: log.channel.to_string(),
            generations: send(&log.generations, MOST_GENERATIONS, Into::into),
        }
    }
}

impl TryFrom<wire::ChannelLogReply> for ChannelLog {
    type Error = ValueError;

    fn try_from(reply: wire::ChannelLogReply) -> Result<Self, ValueError> {
        Ok(ChannelLog {
            channel: word("channel", &reply.channel)?,
            generations: list("generations", reply.generations, MOST_GENERATIONS, TryInto::try_into)?,
        })
    }
}

impl From<&LoggedGeneration> for wire::Generation {
    fn from(line: &LoggedGeneration) -> Self {
        wire::Generation {
            generation: line.generation.get(),
            snapshot: line.snapshot.as_bytes().to_vec().into(),
            published: line.published,
            term: line.term,
            entries: line.entries,
            bytes: line.bytes,
            changes: Some(line.changes.into()),
            source: cut(&line.source),
            rollback_of: line.rollback_of.map_or(0, Generation::get),
            by_hand: line.by_hand.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<wire::Generation> for LoggedGeneration {
    type Error = ValueError;

    fn try_from(line: wire::Generation) -> Result<Self, ValueError> {
        Ok(LoggedGeneration {
            generation: number("generation", line.generation)?,
            snapshot: snapshot("snapshot", &line.snapshot)?,
            published: time("published", line.published)?,
            term: line.term,
            entries: line.entries,
            bytes: line.bytes,
            changes: part("changes", line.changes)?.into(),
            source: text("source", line.source)?,
            rollback_of: Generation::new(line.rollback_of),
            by_hand: line.by_hand.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<Changes> for wire::Changes {
    fn from(changes: Changes) -> Self {
        wire::Changes { added: changes.added, removed: changes.removed, changed: changes.changed }
    }
}

impl From<wire::Changes> for Changes {
    fn from(changes: wire::Changes) -> Self {
        Changes { added: changes.added, removed: changes.removed, changed: changes.changed }
    }
}

impl From<&ImportOrder> for wire::ImportRequest {
    fn from(order: &ImportOrder) -> Self {
        wire::ImportRequest {
            source: order.source.as_os_str().as_bytes().to_vec().into(),
            repository: order.repository.to_string(),
            checksum: order.compare == Compare::Contents,
        }
    }
}

impl TryFrom<wire::ImportRequest> for ImportOrder {
    type Error = ValueError;

    fn try_from(request: wire::ImportRequest) -> Result<Self, ValueError> {
        let length = request.source.len();
        if length > MOST_PATH {
            return Err(ValueError::TooLong { field: "source", length, most: MOST_PATH });
        }
        let source = PathBuf::from(OsString::from_vec(request.source.to_vec()));
        if !source.is_absolute() || request.source.contains(&0) {
            return Err(outside("source", source.display()));
        }
        Ok(ImportOrder {
            source,
            repository: word("repository", &request.repository)?,
            compare: match request.checksum {
                true => Compare::Contents,
                false => Compare::SizeAndTime,
            },
        })
    }
}

impl From<Progress> for wire::Progress {
    fn from(progress: Progress) -> Self {
        let phase = match progress.phase {
            Phase::List => wire::Phase::List,
            Phase::Read => wire::Phase::Read,
            Phase::Verify => wire::Phase::Verify,
            Phase::Publish => wire::Phase::Publish,
            Phase::Sweep => wire::Phase::Sweep,
            Phase::Scrub => wire::Phase::Scrub,
            Phase::Copy => wire::Phase::Copy,
        };
        wire::Progress { phase: phase.into(), done: progress.done, total: progress.total, bytes: progress.bytes }
    }
}

impl TryFrom<wire::Progress> for Progress {
    type Error = ValueError;

    fn try_from(progress: wire::Progress) -> Result<Self, ValueError> {
        let phase = match wire::Phase::try_from(progress.phase) {
            Ok(wire::Phase::List) => Phase::List,
            Ok(wire::Phase::Read) => Phase::Read,
            Ok(wire::Phase::Verify) => Phase::Verify,
            Ok(wire::Phase::Publish) => Phase::Publish,
            Ok(wire::Phase::Sweep) => Phase::Sweep,
            Ok(wire::Phase::Scrub) => Phase::Scrub,
            Ok(wire::Phase::Copy) => Phase::Copy,
            Ok(wire::Phase::Unspecified) | Err(_) => return Err(outside("phase", progress.phase)),
        };
        Ok(Progress { phase, done: progress.done, total: progress.total, bytes: progress.bytes })
    }
}

impl From<&ImportReport> for wire::ImportReport {
    fn from(report: &ImportReport) -> Self {
        let published: &[_] = match &report.outcome {
            ImportOutcome::Published(heads) => heads,
            ImportOutcome::NothingNew => &[],
        };
        wire::ImportReport {
            published: send(published, MOST_LINES, |(channel, generation)| wire::Published {
                channel: channel.to_string(),
                generation: generation.get(),
            }),
            changes: Some(report.changes.into()),
            left_out: report.left_out,
            files_read: report.files_read,
            milliseconds: u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX),
            warnings: texts(&report.warnings),
        }
    }
}

impl TryFrom<wire::ImportReport> for ImportReport {
    type Error = ValueError;

    fn try_from(report: wire::ImportReport) -> Result<Self, ValueError> {
        let published = list("published", report.published, MOST_LINES, |head| {
            let channel = word("published channel", &head.channel)?;
            Ok((channel, number("published generation", head.generation)?))
        })?;
        Ok(ImportReport {
            outcome: match published.is_empty() {
                true => ImportOutcome::NothingNew,
                false => ImportOutcome::Published(published),
            },
            changes: part("changes", report.changes)?.into(),
            left_out: report.left_out,
            files_read: report.files_read,
            elapsed: Duration::from_millis(report.milliseconds),
            warnings: list("warnings", report.warnings, MOST_WARNINGS, |value| text("warning", value))?,
        })
    }
}

impl From<&ReloadReport> for wire::ReloadReply {
    fn from(report: &ReloadReport) -> Self {
        wire::ReloadReply { changed: texts(&report.changed), at_restart: texts(&report.at_restart) }
    }
}

impl TryFrom<wire::ReloadReply> for ReloadReport {
    type Error = ValueError;

    fn try_from(reply: wire::ReloadReply) -> Result<Self, ValueError> {
        let keys = |values| list("keys", values, MOST_WARNINGS, |key| text("key", key));
        Ok(ReloadReport { changed: keys(reply.changed)?, at_restart: keys(reply.at_restart)? })
    }
}

impl From<&Refusal> for wire::Refusal {
    fn from(refusal: &Refusal) -> Self {
        let fault = match refusal.fault {
            Fault::Upstream => wire::Fault::Upstream,
            Fault::Peer => wire::Fault::Peer,
            Fault::Client => wire::Fault::Client,
            Fault::Operator => wire::Fault::Operator,
            Fault::Local => wire::Fault::Local,
        };
        wire::Refusal {
            fault: fault.into(),
            what: cut(&refusal.what),
            why: cut(&refusal.why),
            todo: cut(&refusal.todo),
        }
    }
}

impl TryFrom<wire::Refusal> for Refusal {
    type Error = ValueError;

    fn try_from(refusal: wire::Refusal) -> Result<Self, ValueError> {
        let fault = match wire::Fault::try_from(refusal.fault) {
            Ok(wire::Fault::Upstream) => Fault::Upstream,
            Ok(wire::Fault::Peer) => Fault::Peer,
            Ok(wire::Fault::Client) => Fault::Client,
            Ok(wire::Fault::Operator) => Fault::Operator,
            Ok(wire::Fault::Local) => Fault::Local,
            Ok(wire::Fault::Unspecified) | Err(_) => return Err(outside("fault", refusal.fault)),
        };
        Ok(Refusal {
            fault,
            what: text("what", refusal.what)?,
            why: text("why", refusal.why)?,
            todo: text("todo", refusal.todo)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::model_work::KeptByHand;
    use super::*;
    use crate::tree::SnapshotId;

    /// Sends a value, takes it in again, and finds it the same.
    #[track_caller]
    fn round<T, W>(sent: T)
    where
        T: TryFrom<W, Error = ValueError> + PartialEq + std::fmt::Debug,
        W: for<'a> From<&'a T>,
    {
        assert_eq!(T::try_from(W::from(&sent)).unwrap(), sent);
    }

    fn report(outcome: ImportOutcome) -> ImportReport {
        ImportReport {
            outcome,
            changes: Changes { added: 1, removed: 2, changed: 3 },
            left_out: 4,
            files_read: 5,
            elapsed: Duration::from_millis(6_789),
            warnings: vec!["w".into()],
        }
    }

    #[test]
    fn orders_and_reports_survive_the_way_there_and_back() {
        round::<_, wire::ChannelLogRequest>(LogOrder { address: None, most: None });
        round::<_, wire::ChannelLogRequest>(LogOrder {
            address: Some("gentoo/full@4".parse().unwrap()),
            most: Some(3),
        });
        round::<_, wire::ChannelLogReply>(ChannelLog {
            channel: "gentoo/full".parse().unwrap(),
            generations: vec![LoggedGeneration {
                generation: Generation::FIRST,
                snapshot: SnapshotId::from_bytes([1; 64]),
                published: 2,
                term: 3,
                entries: 4,
                bytes: 5,
                changes: Changes { added: 6, removed: 7, changed: 8 },
                source: "Wed".into(),
                rollback_of: Some(Generation::FIRST),
                by_hand: Some(KeptByHand { name: None, since: 9 }),
            }],
        });
        round::<_, wire::ImportRequest>(ImportOrder {
            source: OsString::from_vec(b"/tree/\xff\n".to_vec()).into(),
            repository: "gentoo".parse().unwrap(),
            compare: Compare::Contents,
        });
        let heads = vec![("gentoo/full".parse().unwrap(), Generation::FIRST)];
        round::<_, wire::ImportReport>(report(ImportOutcome::Published(heads)));
        round::<_, wire::ImportReport>(report(ImportOutcome::NothingNew));
        round::<_, wire::ReloadReply>(ReloadReport { changed: vec!["a".into()], at_restart: vec!["b".into()] });
        for fault in [Fault::Upstream, Fault::Peer, Fault::Client, Fault::Operator, Fault::Local] {
            round::<_, wire::Refusal>(Refusal { fault, what: "a".into(), why: "b".into(), todo: "c".into() });
        }
        let phases = [Phase::List, Phase::Read, Phase::Verify, Phase::Publish, Phase::Sweep, Phase::Scrub, Phase::Copy];
        for phase in phases {
            let sent = Progress { phase, done: 1, total: Some(2), bytes: 3 };
            assert_eq!(Progress::try_from(wire::Progress::from(sent)).unwrap(), sent);
        }
    }

    #[test]
    fn an_import_takes_an_absolute_path_of_bounded_length_only() {
        let check = |source: &[u8], repository: &str, expected: &str| {
            let request =
                wire::ImportRequest { source: source.to_vec().into(), repository: repository.into(), checksum: false };
            assert_eq!(ImportOrder::try_from(request).unwrap_err().to_string(), expected);
        };
        check(b"tree", "gentoo", "source is tree, which it cannot be");
        check(b"", "gentoo", "source is , which it cannot be");
        check(b"/a\0b", "gentoo", "source is /a\0b, which it cannot be");
        check(&[b'/'; 4_096], "gentoo", "source is 4096 bytes long, at most 4095 are taken");
        check(b"/tree", "a/b", "repository");
    }

    #[test]
    fn answers_out_of_bounds_are_refused() {
        let line = wire::Generation { generation: 0, ..Default::default() };
        let error = LoggedGeneration::try_from(line).unwrap_err();
        assert_eq!(error.to_string(), "generation is 0, which it cannot be");
        let many = vec![wire::Generation::default(); 4_097];
        let reply = wire::ChannelLogReply { channel: "gentoo/full".into(), generations: many };
        let error = ChannelLog::try_from(reply).unwrap_err();
        assert_eq!(error.to_string(), "generations holds 4097 values, at most 4096 are taken");
        let refusal = wire::Refusal { fault: 0, ..Default::default() };
        assert!(Refusal::try_from(refusal).is_err());
        let refusal = wire::Refusal { fault: 1, what: "x".repeat(2_001), ..Default::default() };
        assert!(Refusal::try_from(refusal).is_err());
        assert!(Progress::try_from(wire::Progress::default()).is_err());
        assert!(ImportReport::try_from(wire::ImportReport::default()).is_err());
    }
}
