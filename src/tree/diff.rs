//! What differs between two snapshots.
//!
//! Both are sorted the same way, so one walk over both finds everything. An entry is changed if anything in its line
//! differs, also if only its hard-link group has another number: the texts differ there, and a delta has to say so.
//! Deliberately absent: renames; a moved file is removed and added, its content is known by its id.

use std::cmp::Ordering;

use super::entry::Entry;
use super::snapshot::Snapshot;

/// The difference of two snapshots, as indices into them, each list in tree order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Diff {
    /// Only in the new one; indices there.
    pub added: Vec<usize>,
    /// Only in the old one; indices there.
    pub removed: Vec<usize>,
    /// The same path in both, but another entry: index in the old one, index in the new one.
    pub changed: Vec<(usize, usize)>,
}

impl Diff {
    /// True if the snapshots have the same entries.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// What it takes to come from `old` to `new`.
pub fn diff(old: &Snapshot, new: &Snapshot) -> Diff {
    let mut diff = Diff::default();
    walk(old, new, |step| match step {
        Step::Removed(index, _) => diff.removed.push(index),
        Step::Added(index, _) => diff.added.push(index),
        Step::Changed((old, _), (new, _)) => diff.changed.push((old, new)),
    });
    diff
}

/// A difference at one path.
pub(super) enum Step<'a> {
    Removed(usize, Entry<'a>),
    Added(usize, Entry<'a>),
    Changed((usize, Entry<'a>), (usize, Entry<'a>)),
}

/// Names each difference, in tree order of the paths.
pub(super) fn walk<'a>(old: &'a Snapshot, new: &'a Snapshot, mut take: impl FnMut(Step<'a>)) {
    let mut olds = old.iter().enumerate().peekable();
    let mut news = new.iter().enumerate().peekable();
    loop {
        let order = match (olds.peek(), news.peek()) {
            (Some((_, old)), Some((_, new))) => old.path.cmp(&new.path),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        let old = if order.is_le() { olds.next() } else { None };
        let new = if order.is_ge() { news.next() } else { None };
        match (old, new) {
            (Some(old), Some(new)) if old.1 != new.1 => take(Step::Changed(old, new)),
            (Some((index, entry)), None) => take(Step::Removed(index, entry)),
            (None, Some((index, entry))) => take(Step::Added(index, entry)),
            _ => {}
        }
    }
}
