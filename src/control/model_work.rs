//! Orders about generations and what is stored, and their reports: diff, rollback, keep, sweep, hold, scrub.
//!
//! As in `model`, times are seconds since 1970 in UTC and sizes are bytes, and what came over the socket is within its bounds.
//! Deliberately absent: what an order does. The node decides.

use std::time::Duration;

use super::model::Changes;
use crate::names::{Address, ChannelName, Generation, KeepName};
use crate::tree::{ContentId, SnapshotId};

/// Which two generations are compared. An address without a generation means the newest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiffOrder {
    /// The one to start from.
    pub old: Address,
    /// The one to come to.
    pub new: Address,
}

/// How two generations differ.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelDiff {
    /// The one to start from.
    pub old: (ChannelName, Generation),
    /// The one to come to.
    pub new: (ChannelName, Generation),
    /// All entries that differ, directories included.
    pub changes: Changes,
    /// Of a tree: what happened to its packages, in the order of their names.
    pub packages: Vec<PackageDiff>,
    /// What lies elsewhere, by directory.
    pub directories: Vec<DirectoryDiff>,
    /// Directories of which only the time differs.
    pub times: u64,
    /// What differs and is not named above, since there is too much of it.
    pub unnamed: Unnamed,
}

/// How much of a diff is counted, but not named.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Unnamed {
    /// Packages.
    pub packages: u64,
    /// Directories.
    pub directories: u64,
    /// Ebuilds of packages that are named.
    pub ebuilds: u64,
}

/// What happened to one package.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PackageDiff {
    /// `category/package`.
    pub name: String,
    /// Ebuilds that came, without their ending.
    pub added: Vec<String>,
    /// Ebuilds that went.
    pub removed: Vec<String>,
    /// Ebuilds that are different.
    pub changed: Vec<String>,
    /// Its other files.
    pub others: Changes,
}

/// What happened to what a directory holds itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DirectoryDiff {
    /// The directory; `.` is the root.
    pub directory: String,
    /// Its entries that differ.
    pub changes: Changes,
}

/// Which generation's content is to be published again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RollbackOrder {
    /// Channel and generation.
    pub address: Address,
}

/// What a rollback did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RollbackReport {
    /// The channel.
    pub channel: ChannelName,
    /// The generation that it has the content of.
    pub of: Generation,
    /// The generation that was published; `None`: that content is served already.
    pub published: Option<Generation>,
    /// What differs from the generation before.
    pub changes: Changes,
    /// How long it took.
    pub elapsed: Duration,
}

/// Whether a generation is to stay whatever its number and age.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeepOrder {
    /// Channel and generation.
    pub address: Address,
    /// What is wanted.
    pub wish: KeepWish,
}

/// What is wanted of a generation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeepWish {
    /// It stays, under this name if there is one.
    Keep(Option<KeepName>),
    /// It is left to number and age again.
    Release,
}

/// What became of a generation that was to be kept or released.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeepReport {
    /// The channel.
    pub channel: ChannelName,
    /// The generation.
    pub generation: Generation,
    /// How it is kept by hand now; `None`: it is not.
    pub by_hand: Option<KeptByHand>,
    /// How it was kept before.
    pub before: Option<KeptByHand>,
}

/// That an operator keeps a generation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptByHand {
    /// The name that it is kept under, where it has one.
    pub name: Option<KeepName>,
    /// Since when.
    pub since: i64,
}

/// A generation that is kept by hand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptGeneration {
    /// Its channel.
    pub channel: ChannelName,
    /// Its number.
    pub generation: Generation,
    /// How.
    pub by_hand: KeptByHand,
}

/// Whether a sweep is done or only foretold.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum SweepMode {
    /// Nothing is changed.
    DryRun,
    /// It is done.
    Free,
}

/// What is to be freed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SweepOrder {
    /// Whether it is done.
    pub mode: SweepMode,
    /// A channel that the topology does not have any more: it goes with all its generations.
    pub forget: Option<ChannelName>,
}

/// What a sweep freed, or would free.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SweepReport {
    /// Which of both.
    pub mode: SweepMode,
    /// The generations that go.
    pub generations: Vec<(ChannelName, Generation)>,
    /// Contents that only they had, and those that nobody had.
    pub contents: u64,
    /// The bytes of these.
    pub bytes: u64,
    /// Generations whose lists of files are damaged. While there are any, no content is freed, since nobody knows what
    /// they need.
    pub damaged: Vec<(ChannelName, Generation)>,
}

/// What is to stay for as long as somebody works with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldOrder {
    /// One generation, the newest if the address names none; `None`: everything, so that nothing at all is swept.
    pub address: Option<Address>,
}

/// A generation that is held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldGeneration {
    /// Its channel.
    pub channel: ChannelName,
    /// Its number.
    pub generation: Generation,
    /// Its snapshot.
    pub snapshot: SnapshotId,
    /// When it was published.
    pub published: i64,
}

/// How everything that is stored is read again.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct ScrubOrder {
    /// At most so many bytes a second; `None`: as fast as it goes.
    pub rate: Option<u64>,
}

/// What a scrub found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScrubReport {
    /// Contents that were read.
    pub contents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that are not what their ids say.
    pub bad: Vec<ScrubbedBad>,
    /// How long it took.
    pub elapsed: Duration,
}

/// A content that a scrub found bad.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScrubbedBad {
    /// Its id.
    pub content: ContentId,
    /// The size that it should have.
    pub size: u64,
    /// A path at which a kept generation has it, as `CHANNEL: PATH`; empty: none does.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The last scrub that came to its end.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct LastScrub {
    /// When it ended.
    pub ended: i64,
    /// Contents that were read.
    pub contents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them were bad.
    pub bad: u64,
}
