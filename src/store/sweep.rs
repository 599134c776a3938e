//! Freeing what no kept generation needs.
//!
//! Kept are the newest generations of each channel, what an operator keeps by hand, what is pinned, and what was rejected
//! last. First the generations are dropped in one commit, then contents that none of the kept snapshots name, in
//! batches: a crash in between leaves contents that nobody names, and the next sweep finds them.
//! Texts of dropped snapshots stay while kept ones are deltas against them.
//! Deliberately absent: reading the clock, and distfiles.

use std::collections::{HashMap, HashSet};

use rusqlite::TransactionBehavior;

use super::contents::{self, Home};
use super::error::{StoreError, fixed, sql};
use super::failpoint::{Point, reach};
use super::freeing::Going;
use super::open::Store;
use super::pins::Sweeping;
use super::publications::{self, Kept, Publication};
use super::schema::{Promise, promise};
use super::snapshots;
use crate::names::{ChannelName, Generation};
use crate::tree::{ContentId, Kind, Snapshot, SnapshotId};

/// A head whose text is a longer chain than this is made whole, so that a start loads it quickly.
const QUICK_CHAIN: i64 = 2;

/// Which generations are kept, a channel.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Keep {
    /// At least so many, whatever their age.
    pub generations: usize,
    /// And all that are not older than so many hours,
    pub hours: u32,
    /// but never more than so many.
    pub most: usize,
}

impl Default for Keep {
    fn default() -> Self {
        Self { generations: 8, hours: 48, most: 64 }
    }
}

impl Keep {
    /// Which of `times` (newest generation first, seconds since 1970) stay. The head always does. What is kept by hand
    /// stays beside these, so it counts with them and is never too many.
    fn keeps(&self, times: &[i64], now: i64) -> Vec<bool> {
        let since = now.saturating_sub(i64::from(self.hours) * 3600);
        let stays =
            |(at, &time): (usize, &i64)| at == 0 || (at < self.most && (at < self.generations || time >= since));
        times.iter().enumerate().map(stays).collect()
    }
}

/// What a sweep did, or would do.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Swept {
    /// Generations that were dropped.
    pub dropped: Vec<(ChannelName, Generation)>,
    /// Contents that were freed.
    pub contents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Kept snapshots whose texts are damaged. While there are any, no content is freed, since nobody knows what they
    /// need; those that no head shows and nobody keeps by hand are dropped by the next sweep.
    pub damaged: Vec<SnapshotId>,
}

/// What goes and what stays.
struct Choice {
    dropped: Vec<Publication>,
    /// Snapshots that nobody needs then.
    going: HashSet<SnapshotId>,
    /// All others.
    kept: HashSet<SnapshotId>,
    /// Those whose texts the kept ones need.
    bases: HashSet<SnapshotId>,
}

impl Store {
    /// Drops the generations that `keep` does not keep at the time `now` (seconds since 1970), and frees what only they
    /// had. Reads every kept snapshot, so it takes some seconds with many generations. Fails with
    /// [`StoreError::SweepHeld`] while somebody holds everything.
    pub fn sweep(&mut self, keep: Keep, now: i64) -> Result<Swept, StoreError> {
        self.sweep_and_forget(keep, None, now)
    }

    /// The same, and all generations of a channel go, whatever keeps them.
    pub fn sweep_and_forget(
        &mut self,
        keep: Keep,
        forget: Option<&ChannelName>,
        now: i64,
    ) -> Result<Swept, StoreError> {
        self.writable()?;
        let sweeping = self.pins.begin_sweep().ok_or(StoreError::SweepHeld)?;
        self.make_heads_whole()?;
        let choice = self.drop_generations(keep, forget, now, &sweeping)?;
        let (needed, damaged) = self.needed(&choice.kept)?;
        let (contents, bytes) = if damaged.is_empty() { self.free_contents(&needed)? } else { (0, 0) };
        self.note_damaged(&damaged)?;
        drop(sweeping);
        self.shrink()?;
        Ok(Swept { dropped: choice.names(), contents, bytes, damaged })
    }

    /// What [`Store::sweep`] would do, without doing it. Takes as long.
    pub fn plan_sweep(&self, keep: Keep, now: i64) -> Result<Swept, StoreError> {
        self.plan_to_forget(keep, None, now)
    }

    /// What [`Store::sweep_and_forget`] would do.
    pub fn plan_to_forget(&self, keep: Keep, forget: Option<&ChannelName>, now: i64) -> Result<Swept, StoreError> {
        let choice = self.choose(keep, forget, now, |unkept| self.pins.unpinned(unkept))?;
        let (needed, damaged) = self.needed(&choice.kept)?;
        let going = if damaged.is_empty() { self.unneeded(&needed)? } else { Vec::new() };
        Ok(Swept { dropped: choice.names(), contents: number(going.len()), bytes: sizes(&going), damaged })
    }

    fn make_heads_whole(&mut self) -> Result<(), StoreError> {
        promise(&self.db, Promise::Durable)?;
        for head in self.heads()? {
            if snapshots::depth(&self.db, &head.snapshot)?.is_some_and(|depth| depth > QUICK_CHAIN) {
                match snapshots::load(&self.db, &head.snapshot) {
                    Ok(snapshot) => match snapshots::make_whole(&self.db, &snapshot) {
                        // It makes a start quicker; where there is no room, room comes first.
                        Err(error) if error.is_full() => return Ok(()),
                        made => made?,
                    },
                    Err(error) if error.is_damage() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Decides; `free` says which of the snapshots that no kept generation has may go.
    fn choose(
        &self,
        keep: Keep,
        forget: Option<&ChannelName>,
        now: i64,
        free: impl FnOnce(&mut dyn Iterator<Item = SnapshotId>) -> HashSet<SnapshotId>,
    ) -> Result<Choice, StoreError> {
        let mut kept: HashSet<SnapshotId> = self.rejected()?.into_iter().map(|rejected| rejected.snapshot).collect();
        let mut dropped: Vec<Publication> = Vec::new();
        let damaged = self.known_damaged()?;
        for channel in publications::channels(&self.db)? {
            let mut generations = self.history(&channel)?;
            generations.retain(|publication| publication.kept == Kept::Yes);
            if forget == Some(&channel) {
                dropped.append(&mut generations);
            }
            let times: Vec<i64> = generations.iter().map(|publication| publication.time).collect();
            for (at, (publication, stays)) in generations.into_iter().zip(keep.keeps(&times, now)).enumerate() {
                // A damaged one cannot be served any more; the head's channel has to be mended first. What an operator
                // keeps is given up by the operator alone, who may have a backup of it.
                let stays = stays && (at == 0 || !damaged.contains(&publication.snapshot));
                if stays || publication.by_hand.is_some() {
                    kept.insert(publication.snapshot);
                } else {
                    dropped.push(publication);
                }
            }
        }
        let all = snapshots::all(&self.db)?;
        let going = free(&mut all.iter().map(|(id, _)| *id).filter(|id| !kept.contains(id)));
        kept.extend(all.iter().map(|(id, _)| *id).filter(|id| !going.contains(id)));
        // A generation whose snapshot stays for another reason (a pin, another generation) is still whole.
        // One of a channel that is forgotten is no generation any more, for as long as somebody still reads it.
        dropped.retain(|one| going.contains(&one.snapshot) || forget == Some(&one.channel));
        let bases = needed_texts(&all, &kept);
        Ok(Choice { dropped, going, kept, bases })
    }

    /// Drops generations and the snapshots that nobody needs then.
    fn drop_generations(
        &mut self,
        keep: Keep,
        forget: Option<&ChannelName>,
        now: i64,
        sweeping: &Sweeping,
    ) -> Result<Choice, StoreError> {
        let choice = self.choose(keep, forget, now, |unkept| sweeping.bar(unkept))?;
        promise(&self.db, Promise::Durable)?;
        let attempt = "drop generations";
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql(attempt))?;
        for publication in &choice.dropped {
            publications::mark_swept(&transaction, publication)?;
        }
        for id in choice.going.iter().filter(|id| !choice.bases.contains(id)) {
            snapshots::delete(&transaction, id)?;
        }
        transaction
            .execute("DELETE FROM witness WHERE snapshot NOT IN (SELECT snapshot FROM publications WHERE kept = 1)", [])
            .map_err(sql(attempt))?;
        reach(Point::BeforeSweepCommit);
        transaction.commit().map_err(sql(attempt))?;
        reach(Point::AfterSweepCommit);
        Ok(choice)
    }

    /// The keys of all contents that the kept snapshots name, and which of these are damaged. Two ids that share a key
    /// only keep one content too many.
    fn needed(&self, kept: &HashSet<SnapshotId>) -> Result<(HashSet<u64>, Vec<SnapshotId>), StoreError> {
        let (mut needed, mut damaged) = (HashSet::new(), Vec::new());
        for id in kept {
            match snapshots::load(&self.db, id) {
                Ok(snapshot) => needed.extend(contents_of(&snapshot).map(|content| key(content.as_bytes()))),
                Err(error) if error.is_damage() => damaged.push(*id),
                Err(error) => return Err(error),
            }
        }
        Ok((needed, damaged))
    }

    /// The contents that are not needed.
    fn unneeded(&self, needed: &HashSet<u64>) -> Result<Vec<Going>, StoreError> {
        let mut going = Vec::new();
        contents::scan(&self.db, &mut |id, known| {
            let id = ContentId::from_bytes(fixed("a content id", id)?);
            if !needed.contains(&key(id.as_bytes())) {
                let file = (known.home == Home::Large).then_some(id);
                going.push(Going { n: known.n, size: known.size, file });
            }
            Ok(())
        })?;
        Ok(going)
    }

    fn free_contents(&mut self, needed: &HashSet<u64>) -> Result<(u64, u64), StoreError> {
        // First what a crash left between a file's name and its row: it is in nobody's way, and makes room.
        self.remove_nameless()?;
        self.free(self.unneeded(needed)?)
    }

    /// Removes large files that no row tells of.
    fn remove_nameless(&self) -> Result<(), StoreError> {
        let files = self.large.all()?;
        if files.is_empty() {
            return Ok(());
        }
        let mut named = HashSet::new();
        contents::scan(&self.db, &mut |id, known| {
            if known.home == Home::Large {
                named.insert(ContentId::from_bytes(fixed("a content id", id)?));
            }
            Ok(())
        })?;
        files.iter().filter(|id| !named.contains(*id)).try_for_each(|id| self.large.remove(id))
    }
}

impl Choice {
    fn names(self) -> Vec<(ChannelName, Generation)> {
        self.dropped.into_iter().map(|publication| (publication.channel, publication.generation)).collect()
    }
}

fn number(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn sizes(contents: &[Going]) -> u64 {
    contents.iter().map(|content| content.size).sum()
}

fn contents_of(snapshot: &Snapshot) -> impl Iterator<Item = &ContentId> {
    snapshot.iter().filter_map(|entry| match entry.kind {
        Kind::File { content, .. } => Some(content),
        _ => None,
    })
}

fn key(id: &[u8; 64]) -> u64 {
    id.first_chunk().map_or(0, |head| u64::from_le_bytes(*head))
}

/// All snapshots whose texts the kept ones need: themselves and, along their chains, what they are deltas against.
fn needed_texts(all: &[(SnapshotId, Option<SnapshotId>)], kept: &HashSet<SnapshotId>) -> HashSet<SnapshotId> {
    let base: HashMap<SnapshotId, Option<SnapshotId>> = all.iter().copied().collect();
    let mut needed = HashSet::new();
    for id in kept {
        let mut at = Some(*id);
        while let Some(id) = at
            && needed.insert(id)
        {
            at = base.get(&id).copied().flatten();
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_and_the_young_are_kept_up_to_a_limit() {
        let keep = Keep { generations: 2, hours: 1, most: 4 };
        let now = 10_000;
        let check = |times: &[i64], expected: &[bool]| assert_eq!(keep.keeps(times, now), expected, "{times:?}");
        check(&[], &[]);
        check(&[0], &[true]);
        check(&[2, 1, 0], &[true, true, false]);
        check(&[9000, 8000, 7000, 6000], &[true, true, true, false]);
        check(&[9999, 9998, 9997, 9996, 9995], &[true, true, true, true, false]);
        assert_eq!(Keep { generations: 0, hours: 0, most: 0 }.keeps(&[5, 4], now), [true, false], "the head stays");
    }
}
