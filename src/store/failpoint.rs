//! Named points at which a test may kill the process, as a power cut would.
//!
//! `kill -9` between any two steps of a publish must leave the old heads; to prove it, a test starts the program with
//! one of these names and finds it dead there. A point that is not named costs one load. In builds without debug
//! assertions `reach` is empty and nothing can be armed.
//! Deliberately absent: errors instead of death, delays, counters. A full disk is made with a small file system.

/// A place in the store's code.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Point {
    /// A large content is durable under a temporary name.
    BeforeLargeRename,
    /// A large content has its name; no row tells of it.
    AfterLargeRename,
    /// A batch of contents is inserted, not committed.
    BeforeBatchCommit,
    /// A batch of contents is committed; no snapshot names it.
    AfterBatchCommit,
    /// A snapshot is inserted, not committed.
    BeforeSnapshotCommit,
    /// A snapshot is staged: durable with all its contents, named by no head.
    AfterSnapshotCommit,
    /// The heads are moved, the witness is not written, nothing is committed.
    BeforeWitness,
    /// Heads and witness are written, not committed.
    BeforeHeadCommit,
    /// The heads have moved; nobody was told.
    AfterHeadCommit,
    /// Before the log is written back into the database.
    BeforeCheckpoint,
    /// After that.
    AfterCheckpoint,
    /// A sweep has marked what goes, not committed.
    BeforeSweepCommit,
    /// Generations are dropped; their contents are still there.
    AfterSweepCommit,
    /// Some contents are deleted, not committed.
    BeforeSweepBatch,
    /// Rows of large contents are gone, their files are not.
    BeforeLargeUnlink,
    /// All is deleted, the database has not shrunk.
    BeforeVacuum,
    /// A bad content is copied to quarantine, its row still says that it is sound.
    BeforeQuarantineCommit,
    /// The row says that it is bad; a large file still has its name.
    AfterQuarantineCommit,
    /// The tables of an older release are brought up to date, not committed.
    BeforeUpgradeCommit,
    /// They are up to date; nothing else has happened yet.
    AfterUpgradeCommit,
}

/// All points with their names.
pub const ALL: &[(Point, &str)] = &[
    (Point::BeforeLargeRename, "before-large-rename"),
    (Point::AfterLargeRename, "after-large-rename"),
    (Point::BeforeBatchCommit, "before-batch-commit"),
    (Point::AfterBatchCommit, "after-batch-commit"),
    (Point::BeforeSnapshotCommit, "before-snapshot-commit"),
    (Point::AfterSnapshotCommit, "after-snapshot-commit"),
    (Point::BeforeWitness, "before-witness"),
    (Point::BeforeHeadCommit, "before-head-commit"),
    (Point::AfterHeadCommit, "after-head-commit"),
    (Point::BeforeCheckpoint, "before-checkpoint"),
    (Point::AfterCheckpoint, "after-checkpoint"),
    (Point::BeforeSweepCommit, "before-sweep-commit"),
    (Point::AfterSweepCommit, "after-sweep-commit"),
    (Point::BeforeSweepBatch, "before-sweep-batch"),
    (Point::BeforeLargeUnlink, "before-large-unlink"),
    (Point::BeforeVacuum, "before-vacuum"),
    (Point::BeforeQuarantineCommit, "before-quarantine-commit"),
    (Point::AfterQuarantineCommit, "after-quarantine-commit"),
    (Point::BeforeUpgradeCommit, "before-upgrade-commit"),
    (Point::AfterUpgradeCommit, "after-upgrade-commit"),
];

/// Why a point could not be armed.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArmError {
    /// No point has this name.
    #[error("no failpoint has this name")]
    Unknown,
    /// One is armed already.
    #[error("a failpoint is armed already")]
    Twice,
    /// A release build has no failpoints.
    #[error("this build has no failpoints")]
    NotInThisBuild,
}

#[cfg(debug_assertions)]
static ARMED: std::sync::OnceLock<Point> = std::sync::OnceLock::new();

/// From now on this process dies when it reaches the point of this name. Only the command line calls it.
#[cfg(debug_assertions)]
pub fn arm(name: &str) -> Result<(), ArmError> {
    let (point, _) = ALL.iter().find(|(_, known)| *known == name).ok_or(ArmError::Unknown)?;
    ARMED.set(*point).map_err(|_| ArmError::Twice)
}

/// Refuses: a release build has no failpoints.
#[cfg(not(debug_assertions))]
pub fn arm(_name: &str) -> Result<(), ArmError> {
    Err(ArmError::NotInThisBuild)
}

/// Dies by SIGKILL if `point` is the armed one.
#[cfg(debug_assertions)]
pub(super) fn reach(point: Point) {
    if ARMED.get() == Some(&point) {
        // A process may always signal itself; should it fail, the test that waits for the death says so.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(super) fn reach(_point: Point) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_for_one_point() {
        for (at, (point, name)) in ALL.iter().enumerate() {
            assert!(ALL[at + 1..].iter().all(|(other, other_name)| other != point && other_name != name), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let refusal = if cfg!(debug_assertions) { ArmError::Unknown } else { ArmError::NotInThisBuild };
        assert_eq!(arm("before-lunch"), Err(refusal));
    }
}
