//! `channel rollback`: the content of an older generation is published again, as a new generation.
//!
//! Clients never go back: a tree's `metadata/timestamp.chk` is made anew and later than the last one, as in an import, and
//! the generation counts up (DESIGN 8). So whoever synced what is taken back follows, and the record says which generation
//! it is a rollback of. The contents are here already, since the older generation is kept.
//! Deliberately absent: other channels of the repository; each is rolled back by its own order.

use std::time::Instant;

use xxhash_rust::xxh3::xxh3_128;

use super::error::NodeError;
use super::intake::{self, Beginning, Previous};
use super::publisher::Publisher;
use super::report;
use crate::cascade::RepositoryKind;
use crate::control::{Changes, Phase, Progress, RollbackOrder, RollbackReport};
use crate::names::{ChannelName, Generation};
use crate::portage::stamp;
use crate::store::{Ingest, Located, NewContent, NewHead, Publication};
use crate::tree::{ContentId, Entry, Kind, Mtime, Snapshot, SnapshotBuilder, diff};

/// Publishes it.
pub(super) fn rollback(
    publisher: &mut Publisher,
    order: &RollbackOrder,
    progress: &(dyn Fn(Progress) + Sync),
    now: i64,
) -> Result<RollbackReport, NodeError> {
    let start = Instant::now();
    // If it could not be loaded after it was published, the last generation is loaded now.
    publisher.refresh()?;
    let board = publisher.board()?;
    let of = report::kept(&board, &order.address, &mut |channel| Ok(publisher.store.history(channel)?))?;
    let previous = publisher.previous(std::slice::from_ref(&of.channel));
    let wanted = publisher.store.snapshot(&of.snapshot)?;
    let mut report = RollbackReport {
        channel: of.channel.clone(),
        of: of.generation,
        published: None,
        changes: Changes::default(),
        elapsed: start.elapsed(),
    };
    let kind = publisher.topology.repository(of.channel.repository()).map(|repository| repository.kind);
    if previous.current.as_ref().is_some_and(|current| is_same(current.snapshot(), &wanted)) {
        return Ok(report);
    }
    progress(Progress { phase: Phase::Publish, done: 0, total: None, bytes: 0 });
    let stamp = match kind {
        Some(RepositoryKind::Tree) => Some(next_stamp(publisher, &previous, now)?),
        _ => None,
    };
    let mut ingest = publisher.store.begin(of.channel.repository())?;
    let snapshot = match stamp {
        Some(stamp) => stamped(&mut ingest, &wanted, stamp, &of)?,
        None => wanted,
    };
    let staged = ingest.stage(&snapshot, previous.current.as_ref())?;
    if let Some(changes) = staged.changes(&snapshot.id()) {
        report.changes = Changes { added: changes.added, removed: changes.removed, changed: changes.changed };
    }
    let last = last_generation(&previous, &of.channel);
    let head = intake::next_head(&publisher.identity, &of.channel, last, &snapshot, now)?;
    let head = NewHead { text: publisher.identity.sign_head(head), source: of.source };
    let located: Vec<Located> = staged.located().cloned().collect();
    let published = staged.publish_rollback(vec![head], of.generation)?;
    report.published = published.first().map(|publication| publication.generation);
    publisher.refresh_with(&located)?;
    report.elapsed = start.elapsed();
    Ok(report)
}

fn last_generation(previous: &Previous, channel: &ChannelName) -> Option<Generation> {
    previous.generations.iter().find(|(name, _)| name == channel).map(|(_, generation)| *generation)
}

fn next_stamp(publisher: &Publisher, previous: &Previous, now: i64) -> Result<i64, NodeError> {
    let term = publisher.identity.term().number;
    let beginning = if previous.term == Some(term) { Beginning::No } else { Beginning::OfTerm };
    Ok(intake::next_stamp(None, previous.stamp, now, beginning)?)
}

/// Whether two snapshots differ in nothing but the stamp.
fn is_same(current: &Snapshot, wanted: &Snapshot) -> bool {
    let changes = diff(current, wanted);
    let is_stamp = |index: usize| wanted.entry(index).is_some_and(|entry| entry.path == intake::stamp_path());
    changes.added.is_empty() && changes.removed.is_empty() && changes.changed.iter().all(|(_, new)| is_stamp(*new))
}

/// The snapshot with another stamp; everything else as it was.
fn stamped(ingest: &mut Ingest<'_>, wanted: &Snapshot, seconds: i64, of: &Publication) -> Result<Snapshot, NodeError> {
    let text = stamp::print_chk(seconds);
    let (content, bytes) = (ContentId::of(text.as_bytes()), text.as_bytes());
    ingest.put(&[NewContent { id: content, xxh128: xxh3_128(bytes).to_le_bytes(), bytes }])?;
    let mut builder = SnapshotBuilder::new(wanted.repository().clone());
    let mut found = false;
    let broken = |why: String| NodeError::Loop { name: "rollback", why };
    for mut entry in wanted.iter() {
        if let (Kind::File { mode, .. }, true) = (entry.kind, entry.path == intake::stamp_path()) {
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let mtime = Mtime::new(seconds, 0).unwrap_or_default();
            entry = Entry { path: entry.path, mtime, kind: Kind::File { mode, size, content: &content, group: None } };
            found = true;
        }
        builder.push(entry).map_err(|error| broken(error.to_string()))?;
    }
    match found {
        true => builder.finish().map_err(|error| broken(error.to_string())),
        // It was published while the repository was of another kind.
        false => Err(NodeError::NoStamp { channel: of.channel.clone(), generation: of.generation }),
    }
}
