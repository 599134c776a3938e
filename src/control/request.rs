//! What the server hands to the node: a call of an operator, checked, with the way back for its answer.
//!
//! A reply that is dropped unanswered means that the node is going down; a reply that is *closed* means that nobody waits any more.
//! Deliberately absent: an order among calls. The node decides what waits for what.

use tokio::sync::{mpsc, oneshot};

use super::model::{
    ChannelLog, ImportOrder, ImportReport, ListedChannel, LogOrder, Progress, Refusal, ReloadReport, StatusReport,
};
use super::model_work::{
    ChannelDiff, DiffOrder, HeldGeneration, HoldOrder, KeepOrder, KeepReport, RollbackOrder, RollbackReport,
    ScrubOrder, ScrubReport, SweepOrder, SweepReport,
};

/// Where the node puts its answer to one call.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// A call of an operator, checked and ready to be done.
#[derive(Debug)]
pub enum Request {
    /// How the node is.
    Status {
        /// Where the report goes.
        reply: Reply<StatusReport>,
    },
    /// Every channel.
    Channels {
        /// Where the list goes.
        reply: Reply<Vec<ListedChannel>>,
    },
    /// The history of a channel.
    Log {
        /// Which part of which history.
        order: LogOrder,
        /// Where it goes.
        reply: Reply<ChannelLog>,
    },
    /// How two generations differ.
    Diff {
        /// Which two.
        order: DiffOrder,
        /// Where it goes.
        reply: Reply<ChannelDiff>,
    },
    /// Publish a directory.
    Import {
        /// What, and how.
        order: ImportOrder,
        /// How far it is. Use `try_send`: a full queue means that enough has been told.
        progress: mpsc::Sender<Progress>,
        /// Where the report goes. Closed: the operator has gone away.
        reply: Reply<ImportReport>,
    },
    /// Publish the content of an older generation again.
    Rollback {
        /// Which one.
        order: RollbackOrder,
        /// How far it is, as in an import.
        progress: mpsc::Sender<Progress>,
        /// Where the report goes.
        reply: Reply<RollbackReport>,
    },
    /// Keep a generation, or release it.
    Keep {
        /// Which one, and what is wanted.
        order: KeepOrder,
        /// Where the report goes.
        reply: Reply<KeepReport>,
    },
    /// Free what no kept generation needs.
    Sweep {
        /// Whether it is done or only foretold, and what goes beside that.
        order: SweepOrder,
        /// How far it is, as in an import.
        progress: mpsc::Sender<Progress>,
        /// Where the report goes.
        reply: Reply<SweepReport>,
    },
    /// Keep generations from being swept.
    Hold {
        /// Which ones.
        order: HoldOrder,
        /// Where it goes what is held.
        reply: Reply<Vec<HeldGeneration>>,
        /// Ends, one way or the other, when the operator lets go.
        gone: oneshot::Receiver<()>,
    },
    /// Read everything that is stored again.
    Scrub {
        /// How.
        order: ScrubOrder,
        /// How far it is, as in an import.
        progress: mpsc::Sender<Progress>,
        /// Where the report goes.
        reply: Reply<ScrubReport>,
    },
    /// Take in a changed configuration.
    Reload {
        /// Where it goes what changed.
        reply: Reply<ReloadReport>,
    },
}
