//! What operators and nodes tell each other, as values of ours.
//!
//! Times are seconds since 1970 in UTC, sizes are bytes, counts are of what the field names. A value that came over the socket has
//! passed `bounds` and keeps its bounds; a value that a node makes is cut to them when it is sent.
//! Deliberately absent: ages and other differences. Whoever shows a report computes them from `now`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::model_work::{KeptByHand, KeptGeneration, LastScrub};
pub use crate::cascade::Role;
use crate::fault::Fault;
use crate::names::{Address, ChannelName, FederationName, Generation, ModuleName, NodeName, RepositoryName};
use crate::tree::SnapshotId;

/// How a node is, at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatusReport {
    /// The node that reports.
    pub node: NodeName,
    /// The federation that it belongs to.
    pub federation: FederationName,
    /// What the node is in the federation.
    pub role: Role,
    /// The version of the program that answers.
    pub version: String,
    /// When the node started; `None`: no node runs, the command opened the store itself.
    pub started: Option<i64>,
    /// When this report was made, by the node's clock.
    pub now: i64,
    /// Every channel that the node carries.
    pub channels: Vec<ChannelStatus>,
    /// Every module that clients see.
    pub modules: Vec<ModuleLine>,
    /// Every address that the node listens on.
    pub listeners: Vec<Listener>,
    /// What was served since the start.
    pub traffic: Traffic,
    /// The disk below the data directory.
    pub disk: Disk,
    /// Generations that are kept by hand.
    pub kept: Vec<KeptGeneration>,
    /// The last scrub; `None`: there was none yet.
    pub scrub: Option<LastScrub>,
    /// What is wrong, a sentence each.
    pub warnings: Vec<String>,
}

/// A channel and its newest generation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelStatus {
    /// The channel.
    pub name: ChannelName,
    /// What clients get now; `None`: nothing is published yet.
    pub newest: Option<Newest>,
}

/// The generation that new connections are served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Newest {
    /// Its number.
    pub generation: Generation,
    /// Its snapshot.
    pub snapshot: SnapshotId,
    /// Files, directories and symlinks in it.
    pub entries: u64,
    /// The sum of its files' sizes.
    pub bytes: u64,
    /// When it was published.
    pub published: i64,
}

/// A module as rsync clients see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModuleLine {
    /// The name that clients ask for.
    pub name: ModuleName,
    /// The channel that it shows.
    pub channel: ChannelName,
    /// The comment in the module list.
    pub comment: String,
}

/// An address that a node listens on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Who is let in there.
    pub door: Door,
    /// Where, with the port that was really taken.
    pub address: SocketAddr,
}

/// Who an address is for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Door {
    /// rsync clients.
    Rsync,
    /// Other nodes.
    Control,
    /// HTTP clients.
    Http,
}

/// What a node served since it started.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Connections that are open.
    pub connections_now: u64,
    /// Connections that were accepted.
    pub connections_total: u64,
    /// Bytes that were written to clients.
    pub bytes_served: u64,
    /// Clients that were turned away.
    pub clients_refused: u64,
}

/// The disk below the data directory, in bytes.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Disk {
    /// What this user can still write.
    pub free: u64,
    /// The size of the file system.
    pub total: u64,
    /// What the data directory uses.
    pub data: u64,
}

/// A channel in a list of all channels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedChannel {
    /// The channel and what it serves.
    pub status: ChannelStatus,
    /// Generations that are still kept, the newest included.
    pub generations_kept: u64,
    /// Those of them that are kept by hand, newest first.
    pub by_hand: Vec<KeptGeneration>,
    /// The modules that show it.
    pub modules: Vec<ModuleName>,
}

/// Which part of which channel's history is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogOrder {
    /// The channel; `None`: the only one there is. A generation in it shows that one alone.
    pub address: Option<Address>,
    /// At most so many generations; `None`: all that are kept.
    pub most: Option<u32>,
}

/// The kept generations of a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelLog {
    /// The channel.
    pub channel: ChannelName,
    /// Newest first.
    pub generations: Vec<LoggedGeneration>,
}

/// One generation in a channel's history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoggedGeneration {
    /// Its number.
    pub generation: Generation,
    /// Its snapshot.
    pub snapshot: SnapshotId,
    /// When it was published.
    pub published: i64,
    /// The term of the gateway that published it.
    pub term: u64,
    /// Files, directories and symlinks in it.
    pub entries: u64,
    /// The sum of its files' sizes.
    pub bytes: u64,
    /// What differs from the generation before.
    pub changes: Changes,
    /// What the source's own timestamp said; empty: it had none.
    pub source: String,
    /// The generation whose content it has again, if it is a rollback.
    pub rollback_of: Option<Generation>,
    /// Set while an operator keeps it.
    pub by_hand: Option<KeptByHand>,
}

/// How one snapshot differs from another, in entries.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// Only in the new one.
    pub added: u64,
    /// Only in the old one.
    pub removed: u64,
    /// In both, and different.
    pub changed: u64,
}

/// A directory that is to be published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportOrder {
    /// Where it is on the node's machine; absolute.
    pub source: PathBuf,
    /// The repository that it is an edition of.
    pub repository: RepositoryName,
    /// How an unchanged file is recognised.
    pub compare: Compare,
}

/// How an import recognises a file that it already holds.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Compare {
    /// Size and modification time are the same as in the last import: the file is not read.
    SizeAndTime,
    /// Every file is read.
    Contents,
}

/// How far a long work is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Entries that are done in this phase.
    pub done: u64,
    /// Entries in this phase, once that is known.
    pub total: Option<u64>,
    /// Bytes that were read in this phase.
    pub bytes: u64,
}

/// The parts of long works; those of an import in order.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Names, sizes and times are collected.
    List,
    /// Contents are read, hashed and stored.
    Read,
    /// The tree is checked against its Manifests.
    Verify,
    /// The heads move.
    Publish,
    /// What no kept generation needs is freed.
    Sweep,
    /// What is stored is read again and compared with its ids.
    Scrub,
    /// Files are written to another place.
    Copy,
}

/// What an import did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportReport {
    /// Whether it published.
    pub outcome: ImportOutcome,
    /// What differs from the generation before.
    pub changes: Changes,
    /// Devices, sockets and the like, which are never entries.
    pub left_out: u64,
    /// Files whose bytes were read.
    pub files_read: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// What the operator should know, a sentence each.
    pub warnings: Vec<String>,
}

/// Whether an import published something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImportOutcome {
    /// These channels moved, together.
    Published(Vec<(ChannelName, Generation)>),
    /// The directory holds what is served already.
    NothingNew,
}

/// What a changed configuration did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReloadReport {
    /// Keys with a new value in force.
    pub changed: Vec<String>,
    /// Keys whose new value waits for a restart.
    pub at_restart: Vec<String>,
}

/// Why something was not done, in the form in which a command prints it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Whose fault it is; the exit code follows from it.
    pub fault: Fault,
    /// What failed: the attempt and its object.
    pub what: String,
    /// Why; may be empty.
    pub why: String,
    /// What to do about it; may be empty.
    pub todo: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        if !self.todo.is_empty() {
            write!(f, " ({})", self.todo)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}
