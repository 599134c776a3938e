//! The whole course of one snapshot: taken in, stamped, staged, signed, published. Read it from top to bottom.
//!
//! A tree's clients stop at once when `metadata/timestamp.chk` has not moved, whatever else differs, and
//! refuse to go back; so every generation carries a strictly newer one, made here, whatever the source has
//! in that place (DESIGN 8). A source that differs in nothing else publishes nothing.
//! Deliberately absent: verifying and deriving channels, which stand between taking in and staging.

use std::time::{Duration, Instant};

use super::error::NodeError;
use super::publisher::Publisher;
use crate::cascade::{Repository, RepositoryKind};
use crate::control::{Changes, Compare, ImportOrder, ImportOutcome, ImportReport, Phase, Progress};
use crate::fetch::{self, Imported, LeaveOut, LeftOut, LeftOutReason, Trust};
use crate::identity::Identity;
use crate::names::{ChannelName, Generation, RepositoryName};
use crate::portage::stamp;
use crate::store::{Ingest, Located, NewHead, Witness};
use crate::tree::{Head, Kind, Mtime, Snapshot, TreePath, Word};

/// The file that decides what a client does.
const STAMP: &[u8] = b"metadata/timestamp.chk";

/// A source may be this far ahead of our clock; beyond it one of the two is wrong.
const MAX_AHEAD: i64 = 24 * 3600;

/// A stamp is 32 bytes; what is longer is none.
const MAX_STAMP_BYTES: u64 = 4096;

/// Things left out that a report names one by one.
const NAMED: usize = 5;

/// Why a source cannot be given a timestamp.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StampError {
    /// The source is ahead of our clock.
    #[error(
        "metadata/timestamp.chk of the source is {hours} h ahead of this machine's clock; clients would refuse every later \
         tree until then. Set the clock right, or mend the source"
    )]
    Ahead {
        /// By how much.
        hours: i64,
    },
}

/// Whether a publication is the first of its gateway's term.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beginning {
    /// It is: clients may have seen a later stamp from the gateway before.
    OfTerm,
    /// It is not.
    No,
}

/// The stamp of the next generation, in seconds since 1970: the source's, but later than the last one, and at
/// least now at the beginning of a term.
pub fn next_stamp(source: Option<i64>, last: Option<i64>, now: i64, beginning: Beginning) -> Result<i64, StampError> {
    if let Some(source) = source.filter(|source| *source > now.saturating_add(MAX_AHEAD)) {
        return Err(StampError::Ahead { hours: (source - now) / 3600 });
    }
    let after_last = last.map_or(i64::MIN, |last| last.saturating_add(1));
    let floor = match beginning {
        Beginning::OfTerm => now,
        Beginning::No => i64::MIN,
    };
    Ok(source.unwrap_or(now).max(after_last).max(floor))
}

/// Takes a directory in and publishes it on every channel of its repository. Once nobody wants it any more it ends, unless
/// it has begun to publish.
pub(super) fn import(
    publisher: &mut Publisher,
    order: &ImportOrder,
    progress: &(dyn Fn(Progress) + Sync),
    wanted: &(dyn Fn() -> bool + Sync),
    now: i64,
) -> Result<ImportReport, NodeError> {
    let start = Instant::now();
    // What is loaded is kept; it is behind only if the look after the last publication failed.
    publisher.refresh()?;
    let (repository, channels) = publisher.importable(&order.repository)?;
    let previous = publisher.previous(&channels);
    let witness = witness(publisher, &order.repository);
    let witnessed = witnessed(publisher, witness.as_ref(), previous.snapshot());
    let mut ingest = publisher.store.begin(&order.repository)?;

    let imported = fetch::import(
        &fetch::ImportOrder {
            source: &order.source,
            leave_out: &leave_out(&repository),
            trust: trust(order.compare),
            previous: witnessed.as_ref().or(previous.snapshot()),
            witness: witness.as_ref(),
            threads: None,
            progress: &|seen| progress(told(seen)),
            wanted,
            now,
        },
        &mut ingest,
    )?;
    let mut report = report(&imported);
    let own = own_files(repository.kind);
    if previous.is_published_unchanged(&imported, &own) && !previous.is_mended(&ingest, &own)? {
        drop(ingest);
        if let Some(snapshot) = previous.snapshot().filter(|_| report.files_read > 0 || witnessed.is_some()) {
            // The same bytes in other files, as after a copy: the next import need not read them again. Nor need it where
            // what was seen is of a generation that a sweep will take.
            publisher.store.set_witness(&order.repository, &imported.witness(snapshot))?;
        }
        report.elapsed = start.elapsed();
        return Ok(report);
    }

    progress(Progress { phase: Phase::Publish, done: 0, total: None, bytes: 0 });
    let (snapshot, source) = match repository.kind {
        RepositoryKind::Files => (imported.snapshot()?, None),
        RepositoryKind::Tree => {
            let term = publisher.identity.term().number;
            let beginning = if previous.term == Some(term) { Beginning::No } else { Beginning::OfTerm };
            stamped(&imported, &mut ingest, previous.stamp, now, beginning)?
        }
    };
    let witness = imported.witness(&snapshot);

    let staged = ingest.stage(&snapshot, previous.located())?;
    if let Some(changes) = staged.changes(&snapshot.id()) {
        report.changes = Changes { added: changes.added, removed: changes.removed, changed: changes.changed };
    }
    let head = |channel: &ChannelName| {
        let head = next_head(&publisher.identity, channel, previous.generation(channel), &snapshot, now)?;
        Ok(NewHead { text: publisher.identity.sign_head(head), source: source.clone() })
    };
    let heads = channels.iter().map(head).collect::<Result<Vec<_>, NodeError>>()?;
    let located: Vec<Located> = staged.located().cloned().collect();
    let published = staged.publish(heads, Some(&witness))?;
    report.outcome = ImportOutcome::Published(published.iter().map(|p| (p.channel.clone(), p.generation)).collect());
    publisher.refresh_with(&located)?;
    report.elapsed = start.elapsed();
    Ok(report)
}

/// The snapshot of a tree, with a timestamp of ours in its place; and what the source had there.
fn stamped(
    imported: &Imported,
    ingest: &mut Ingest<'_>,
    last: Option<i64>,
    now: i64,
    beginning: Beginning,
) -> Result<(Snapshot, Option<String>), NodeError> {
    let source = match imported.content(stamp_path()) {
        Some(id) => ingest.content(&id, MAX_STAMP_BYTES)?,
        None => None,
    };
    let stamp = next_stamp(source.as_deref().and_then(stamp::parse_chk), last, now, beginning)?;
    let mtime = Mtime::new(stamp, 0).unwrap_or_default();
    let snapshot = imported.with_file(ingest, stamp_path(), stamp::print_chk(stamp).as_bytes(), mtime)?;
    Ok((snapshot, source.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned())))
}

/// The files of a repository that are made here, whatever its source has.
fn own_files(kind: RepositoryKind) -> Vec<TreePath<'static>> {
    match kind {
        RepositoryKind::Tree => vec![stamp_path()],
        RepositoryKind::Files => Vec::new(),
    }
}

/// What the last import saw. It only saves reading; without it every file is read.
fn witness(publisher: &Publisher, repository: &RepositoryName) -> Option<Witness> {
    publisher.store.witness(repository).unwrap_or_else(|error| {
        tracing::warn!(%repository, %error, "what the last import saw is lost; every file is read");
        None
    })
}

/// The snapshot that a witness is of, where it is another one than what is published, as after a rollback. As long as it is
/// kept, what the witness says of its files is as good.
fn witnessed(publisher: &Publisher, witness: Option<&Witness>, published: Option<&Snapshot>) -> Option<Snapshot> {
    let wanted = witness?.snapshot;
    if published.is_some_and(|published| published.id() == wanted) {
        return None;
    }
    let loaded = publisher.store.snapshot(&wanted);
    loaded.inspect_err(|error| tracing::debug!(%error, "what the last import saw is of no use")).ok()
}

fn trust(compare: Compare) -> Trust {
    match compare {
        Compare::SizeAndTime => Trust::Witness,
        Compare::Contents => Trust::ReadAll,
    }
}

/// Where a tree has its timestamp.
pub(super) fn stamp_path() -> TreePath<'static> {
    TreePath::new(STAMP).unwrap_or(TreePath::ROOT)
}

/// What is not taken of a repository.
fn leave_out(repository: &Repository) -> LeaveOut {
    let bytes = |names: &[String]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
    LeaveOut { at_root: bytes(&repository.leave_out), directories: bytes(&repository.leave_out_anywhere) }
}

/// The head of the next generation of a channel, not yet signed.
pub(super) fn next_head(
    identity: &Identity,
    channel: &ChannelName,
    last: Option<Generation>,
    snapshot: &Snapshot,
    now: i64,
) -> Result<Head, NodeError> {
    let generation = last.map_or(Generation::FIRST, Generation::next);
    let word =
        Word::new(&channel.to_string()).map_err(|error| NodeError::Loop { name: "intake", why: error.to_string() })?;
    Ok(Head {
        federation: identity.federation(),
        channel: word,
        generation: generation.get(),
        snapshot: snapshot.id(),
        term: identity.term().number,
        time: now,
    })
}

/// What is published of a repository before this import.
pub(super) struct Previous {
    /// The newest generation of each of its channels; they show the same snapshot in this version.
    pub(super) current: Option<Located>,
    /// By channel.
    pub(super) generations: Vec<(ChannelName, Generation)>,
    /// The term of the newest one.
    pub(super) term: Option<u64>,
    /// Its timestamp.
    pub(super) stamp: Option<i64>,
    /// Every channel shows the same snapshot.
    pub(super) even: bool,
}

impl Previous {
    fn snapshot(&self) -> Option<&Snapshot> {
        self.current.as_ref().map(Located::snapshot)
    }

    fn located(&self) -> Option<&Located> {
        self.current.as_ref()
    }

    fn generation(&self, channel: &ChannelName) -> Option<Generation> {
        self.generations.iter().find(|(name, _)| name == channel).map(|(_, generation)| *generation)
    }

    /// Whether every channel already shows what was found, but for the files that are made here.
    fn is_published_unchanged(&self, imported: &Imported, own: &[TreePath<'_>]) -> bool {
        let Some(snapshot) = self.snapshot() else { return false };
        self.even && !imported.differs_from(snapshot, own)
    }

    /// Whether a content that clients are refused was taken in again, or is one that is made here. It takes a new
    /// generation to reach them: those that were refused it have the timestamp of this one already.
    fn is_mended(&self, ingest: &Ingest<'_>, own: &[TreePath<'_>]) -> Result<bool, NodeError> {
        let Some(located) = self.located() else { return Ok(false) };
        for entry in located.missing().filter_map(|index| located.snapshot().entry(index)) {
            if let Kind::File { content, .. } = entry.kind
                && (own.contains(&entry.path) || ingest.has(content)?)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The timestamp in a snapshot, in seconds since 1970. It is the file's modification time, too, which the snapshot's id
/// covers; so it is known also where the file's bytes are lost.
pub(super) fn stamp_of(snapshot: &Snapshot) -> Option<i64> {
    let entry = snapshot.entry(snapshot.find(stamp_path())?)?;
    matches!(entry.kind, Kind::File { .. }).then(|| entry.mtime.seconds())
}

fn told(seen: fetch::Progress) -> Progress {
    match seen.to_read {
        0 => Progress { phase: Phase::List, done: seen.seen, total: None, bytes: seen.bytes_read },
        all => Progress { phase: Phase::Read, done: seen.files_read, total: Some(all), bytes: seen.bytes_read },
    }
}

/// What an import found, before it is known whether anything is published.
fn report(imported: &Imported) -> ImportReport {
    let special = |left: &&LeftOut| left.reason != LeftOutReason::Rule;
    let specials = imported.left_out().iter().filter(special);
    let count = specials.clone().count();
    let mut warnings: Vec<String> = specials
        .take(NAMED)
        .map(|left| format!("left out {}: it is {}", left.path.as_path(), kind_of(left.reason)))
        .collect();
    if count > NAMED {
        warnings.push(format!("and {} more FIFOs, sockets and devices were left out", count - NAMED));
    }
    ImportReport {
        outcome: ImportOutcome::NothingNew,
        changes: Changes::default(),
        left_out: u64::try_from(count).unwrap_or(u64::MAX),
        files_read: imported.progress().files_read,
        elapsed: Duration::ZERO,
        warnings,
    }
}

fn kind_of(reason: LeftOutReason) -> &'static str {
    match reason {
        LeftOutReason::Rule => "named by a rule",
        LeftOutReason::Fifo => "a FIFO",
        LeftOutReason::Socket => "a socket",
        LeftOutReason::Device => "a device",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_always_rises_and_follows_the_source_where_it_can() {
        let (now, day) = (1_000_000, 24 * 3600);
        let check = |source, last, beginning, expected| {
            assert_eq!(next_stamp(source, last, now, beginning), expected, "{source:?} {last:?} {beginning:?}");
        };
        check(Some(900), Some(800), Beginning::No, Ok(900));
        check(Some(900), Some(900), Beginning::No, Ok(901));
        check(Some(800), Some(900), Beginning::No, Ok(901));
        check(None, Some(900), Beginning::No, Ok(now));
        check(None, Some(now + 5), Beginning::No, Ok(now + 6));
        check(Some(900), None, Beginning::OfTerm, Ok(now));
        check(Some(900), Some(now + 9), Beginning::OfTerm, Ok(now + 10));
        check(Some(now + day), None, Beginning::OfTerm, Ok(now + day));
        check(Some(now + day + 3600), None, Beginning::OfTerm, Err(StampError::Ahead { hours: 25 }));
        check(None, None, Beginning::OfTerm, Ok(now));
    }
}
