//! Which files have to be read: a pure function of what was found, what was published, and what was witnessed.
//!
//! A file is known without being read if its entry has the same size and mtime as in the previous snapshot, and inode,
//! change time and device are those that the witness saw: nobody can write a file and leave its change time as it was.
//! Names of one inode are read once, by the first of them.
//! Deliberately absent: files that moved. They are read; their bytes are found to be here already.

use std::collections::{HashMap, HashSet};

use super::facts::{Facts, Sort};
use super::walk::Walked;
use crate::store::{Mark, Witness};
use crate::tree::{ContentId, Entry, Kind, Snapshot};

/// What an import believes without reading.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Trust {
    /// Size, mtime, inode, change time and device, against the last import from the same directory.
    Witness,
    /// Nothing: every file is read.
    ReadAll,
}

/// What was published last, and what its import saw.
#[derive(Copy, Clone, Debug)]
pub(super) struct Previous<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) witness: Option<&'a Witness>,
}

/// A file that has to be read.
#[derive(Copy, Clone, Debug)]
pub(super) struct ToRead {
    /// Its entry.
    pub(super) index: usize,
    /// What it most likely holds: what the previous snapshot has at its path, if the store has it.
    pub(super) expected: Option<ContentId>,
    /// True if the previous snapshot has the same size and mtime at its path.
    pub(super) looks_same: bool,
}

/// What to do with each entry.
#[derive(Debug)]
pub(super) struct Plan {
    /// The content of each file that is known already, by entry.
    pub(super) contents: Vec<Option<ContentId>>,
    /// The files to read, in tree order.
    pub(super) read: Vec<ToRead>,
    /// For each name of an inode but the first: the entry of the first.
    pub(super) leaders: HashMap<usize, usize>,
}

/// Decides. Contents in `bad` are read wherever they are found, to mend them.
pub(super) fn plan(walked: &Walked, previous: Option<Previous<'_>>, trust: Trust, bad: &HashSet<ContentId>) -> Plan {
    let leaders = leaders(walked);
    let mut plan = Plan { contents: vec![None; walked.entries.len()], read: Vec::new(), leaders };
    let mut before = previous.map(|previous| Cursor { previous, next: 0 });
    for (index, entry) in walked.entries.iter().enumerate() {
        if entry.facts.sort != Sort::File || plan.leaders.contains_key(&index) {
            continue;
        }
        let old = before.as_mut().and_then(|cursor| cursor.file_at(walked.path(entry)));
        let looks_same = old.as_ref().is_some_and(|old| old.size == entry.facts.size && old.mtime == entry.facts.mtime);
        let witnessed = old.as_ref().is_some_and(|old| vouches(old.mark, &entry.facts));
        let expected = old.map(|old| old.content).filter(|content| !bad.contains(content));
        let known = expected.filter(|_| looks_same && witnessed);
        match known {
            Some(content) if trust == Trust::Witness => {
                if let Some(here) = plan.contents.get_mut(index) {
                    *here = Some(content);
                }
            }
            _ => plan.read.push(ToRead { index, expected, looks_same }),
        }
    }
    plan
}

/// A mark of zeros was left where the file had changed too recently to be trusted.
fn vouches(mark: Mark, facts: &Facts) -> bool {
    mark.inode != 0 && mark == facts.mark
}

struct Old {
    size: u64,
    mtime: crate::tree::Mtime,
    content: ContentId,
    mark: Mark,
}

/// Both lists are in tree order, so one walk over both finds every path.
struct Cursor<'a> {
    previous: Previous<'a>,
    next: usize,
}

impl Cursor<'_> {
    fn file_at(&mut self, path: crate::tree::TreePath<'_>) -> Option<Old> {
        loop {
            let entry: Entry<'_> = self.previous.snapshot.entry(self.next)?;
            match entry.path.cmp(&path) {
                std::cmp::Ordering::Less => self.next += 1,
                std::cmp::Ordering::Greater => return None,
                std::cmp::Ordering::Equal => {
                    let Kind::File { size, content, .. } = entry.kind else { return None };
                    let mark = self.previous.witness.and_then(|witness| witness.marks.get(self.next));
                    let mark = mark.copied().unwrap_or_default();
                    return Some(Old { size, mtime: entry.mtime, content: *content, mark });
                }
            }
        }
    }
}

fn leaders(walked: &Walked) -> HashMap<usize, usize> {
    let mut first = HashMap::new();
    let mut leaders = HashMap::new();
    for (index, entry) in walked.entries.iter().enumerate() {
        let facts = &entry.facts;
        if facts.sort == Sort::File && facts.links > 1 {
            let leader = *first.entry((facts.mark.device, facts.mark.inode)).or_insert(index);
            if leader != index {
                leaders.insert(index, leader);
            }
        }
    }
    leaders
}
