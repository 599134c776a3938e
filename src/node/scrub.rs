//! Reading everything that is stored again: contents, the lists of files of kept generations, and the database around them.
//!
//! Whatever is damaged is named by a path that shows it, of the newest generation that has it. A generation whose own list
//! is damaged is named, too, under its snapshot's id, which is the digest of that list as a content's id is that of its
//! bytes. Nothing is changed here: what was found goes to the publisher as any doubt does.
//! Deliberately absent: where the last scrub stopped. One that is cut begins anew.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::time::Instant;

use super::error::NodeError;
use super::watch::{Pace, Watch};
use crate::control::{Phase, Progress, ScrubOrder, ScrubReport, ScrubbedBad};
use crate::store::{Bad, Kept, Publication, Reader, Scrubbed};
use crate::tree::{ContentId, Kind, Snapshot};

/// Bad contents that are named. Beyond them a disk is not to be mended file by file.
const MOST_BAD: usize = 10_000;

/// Reads everything. What a sweep frees meanwhile is not missed.
pub fn scrub(
    reader: &mut Reader,
    order: &ScrubOrder,
    progress: &mut dyn FnMut(Progress),
    wanted: &dyn Fn() -> bool,
) -> Result<ScrubReport, NodeError> {
    let start = Instant::now();
    let mut watch = Watch::new(Phase::Scrub, progress, wanted);
    let mut report = ScrubReport::default();
    // One statement over all pages keeps no pace, so only who is in a hurry gets it.
    if order.rate.is_none() {
        watch.breathe().map_err(ended)?;
        report.bad.extend(structure(reader)?);
    }
    let bad = contents(reader, order, &mut watch, &mut report)?;
    let (paths, damaged) = lists(reader, &bad, &mut watch)?;
    report.bad.extend(bad.into_iter().map(|bad| ScrubbedBad {
        path: paths.get(&bad.id).cloned().unwrap_or_default(),
        content: bad.id,
        size: bad.size,
        reason: bad.reason,
    }));
    report.bad.extend(damaged);
    report.elapsed = start.elapsed();
    Ok(report)
}

/// Whoever ends a scrub is told so in its own words.
fn ended(error: NodeError) -> NodeError {
    match error {
        NodeError::Copy(_) => NodeError::ScrubEnded,
        other => other,
    }
}

/// Damage that belongs to no content.
fn around(what: &str, reason: String) -> ScrubbedBad {
    ScrubbedBad { content: ContentId::from_bytes([0; 64]), size: 0, path: what.to_owned(), reason }
}

fn structure(reader: &Reader) -> Result<Vec<ScrubbedBad>, NodeError> {
    match reader.check_structure() {
        Ok(found) => Ok(found.into_iter().map(|line| around("headwater.db", line)).collect()),
        Err(error) if error.is_damage() => Ok(vec![around("headwater.db", error.to_string())]),
        Err(error) => Err(error.into()),
    }
}

/// Reads all contents, at the pace that is ordered.
fn contents(
    reader: &mut Reader,
    order: &ScrubOrder,
    watch: &mut Watch<'_>,
    report: &mut ScrubReport,
) -> Result<Vec<Bad>, NodeError> {
    let mut pace = Pace::new(order.rate);
    if let Ok(count) = reader.count() {
        watch.expect(count);
    }
    let (mut bad, mut failed) = (Vec::new(), Ok(()));
    let read = reader.scrub(&mut |told| {
        match told {
            Scrubbed::Bad(found) if bad.len() < MOST_BAD => bad.push(found),
            Scrubbed::Bad(_) => {}
            Scrubbed::Read { contents, bytes } => {
                report.contents += contents;
                report.bytes += bytes;
                watch.add(contents, bytes);
                failed = pace.keep(bytes, watch);
            }
        }
        if failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    failed.map_err(ended)?;
    match read {
        Ok(()) => {}
        Err(error) if error.is_damage() => report.bad.push(around("headwater.db", error.to_string())),
        Err(error) => return Err(error.into()),
    }
    Ok(bad)
}

/// The paths of contents, and what is damaged of lists.
type Lists = (HashMap<ContentId, String>, Vec<ScrubbedBad>);

/// Reads the list of files of every kept generation, newest first, and finds paths for what is bad.
fn lists(reader: &Reader, bad: &[Bad], watch: &mut Watch<'_>) -> Result<Lists, NodeError> {
    let wanted: HashSet<ContentId> = bad.iter().map(|bad| bad.id).collect();
    let (mut paths, mut damaged, mut seen) = (HashMap::new(), Vec::new(), HashSet::new());
    for head in reader.heads()? {
        for publication in kept(reader, &head)? {
            watch.breathe().map_err(ended)?;
            if !seen.insert(publication.snapshot) {
                continue;
            }
            match reader.snapshot(&publication.snapshot) {
                Ok(snapshot) => find(&publication, &snapshot, &wanted, &mut paths),
                Err(error) if error.is_damage() => {
                    // It may have been swept since it was listed.
                    let is_there = kept(reader, &head)?.iter().any(|now| now.snapshot == publication.snapshot);
                    let id = ContentId::from_bytes(*publication.snapshot.as_bytes());
                    let path = format!("{}@{}: its list of files", publication.channel, publication.generation);
                    damaged.extend(is_there.then(|| ScrubbedBad {
                        content: id,
                        size: 0,
                        path,
                        reason: error.to_string(),
                    }));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok((paths, damaged))
}

fn kept(reader: &Reader, head: &Publication) -> Result<Vec<Publication>, NodeError> {
    let mut history = reader.history(&head.channel)?;
    history.retain(|publication| publication.kept == Kept::Yes);
    Ok(history)
}

fn find(
    publication: &Publication,
    snapshot: &Snapshot,
    wanted: &HashSet<ContentId>,
    paths: &mut HashMap<ContentId, String>,
) {
    if wanted.is_empty() {
        return;
    }
    for entry in snapshot.iter() {
        if let Kind::File { content, .. } = entry.kind
            && wanted.contains(content)
            && !paths.contains_key(content)
        {
            paths.insert(*content, format!("{}@{}: {}", publication.channel, publication.generation, entry.path));
        }
    }
}
