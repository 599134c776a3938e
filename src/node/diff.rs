//! `channel diff`: how two kept generations differ, as an operator is told.
//!
//! Reads the two snapshots and brings their difference together; the counting itself is `portage::changes`, without a disk.

use super::error::NodeError;
use super::publisher::Board;
use super::report::{self, History};
use crate::cascade::RepositoryKind;
use crate::control::{Changes, ChannelDiff, DiffOrder, DirectoryDiff, PackageDiff, Unnamed};
use crate::portage::changes::{Counts, Grouping, TreeChanges, group};
use crate::tree::{Snapshot, SnapshotId, TreePathBuf, diff};

/// Loads a snapshot.
pub(super) type Load<'a> = dyn FnMut(&SnapshotId) -> Result<Snapshot, NodeError> + 'a;

/// Compares.
pub(super) fn compare(
    board: &Board,
    order: &DiffOrder,
    history: &mut History<'_>,
    load: &mut Load<'_>,
) -> Result<ChannelDiff, NodeError> {
    let old = report::kept(board, &order.old, history)?;
    let new = report::kept(board, &order.new, history)?;
    if old.channel.repository() != new.channel.repository() {
        return Err(NodeError::NotOneRepository { old: old.channel, new: new.channel });
    }
    let repository = board.topology.repository(new.channel.repository());
    let grouping = match repository.map(|repository| repository.kind) {
        Some(RepositoryKind::Tree) => Grouping::Packages,
        _ => Grouping::Directories,
    };
    let (before, after) = (load(&old.snapshot)?, load(&new.snapshot)?);
    let difference = diff(&before, &after);
    let number = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    let changes = Changes {
        added: number(difference.added.len()),
        removed: number(difference.removed.len()),
        changed: number(difference.changed.len()),
    };
    let TreeChanges { packages, directories, times } = group(&before, &after, &difference, grouping);
    Ok(ChannelDiff {
        old: (old.channel, old.generation),
        new: (new.channel, new.generation),
        changes,
        packages: packages.into_iter().map(package).collect(),
        directories: directories.into_iter().map(directory).collect(),
        times,
        unnamed: Unnamed::default(),
    })
}

fn package((name, changes): (TreePathBuf, crate::portage::changes::PackageChanges)) -> PackageDiff {
    PackageDiff {
        name: name.to_string(),
        added: changes.added,
        removed: changes.removed,
        changed: changes.changed,
        others: counted(changes.others),
    }
}

fn directory((path, counts): (TreePathBuf, Counts)) -> DirectoryDiff {
    DirectoryDiff { directory: path.to_string(), changes: counted(counts) }
}

fn counted(counts: Counts) -> Changes {
    Changes { added: counts.added, removed: counts.removed, changed: counts.changed }
}
