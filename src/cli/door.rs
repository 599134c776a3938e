//! Who answers a command: the node that runs on the data directory, or the store itself where none runs.
//!
//! Both answer with the same values, so a command does not know whom it talks to. A command that opens the store holds its lock, so a
//! node cannot start meanwhile; the other way round the node answers, and the store is left alone.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::held::Held;
use super::output::warn;
use crate::control::{
    ChannelDiff, ChannelLog, Client, ControlError, DiffOrder, HoldOrder, ImportOrder, ImportReport, KeepOrder,
    KeepReport, ListedChannel, LogOrder, Progress, ReloadReport, RollbackOrder, RollbackReport, ScrubOrder,
    ScrubReport, StatusReport, SweepOrder, SweepReport,
};
use crate::node::local::Local;

/// The socket's name in the data directory.
pub(super) const SOCKET: &str = "control.sock";

/// How long a command waits for another process that has the store.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer that takes longer than this waits for something, and people want to know for what.
const PROMPT: Duration = Duration::from_secs(1);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// The one who answers.
pub(super) enum Door {
    /// A node that runs.
    Node(Box<NodeDoor>),
    /// The store, opened by this command.
    Here(Box<Local>),
}

/// A connection to a node, for commands that wait for each answer.
pub(super) struct NodeDoor {
    client: Client,
    runtime: Runtime,
    dir: PathBuf,
}

impl NodeDoor {
    /// Connects to the node that runs on `dir`.
    ///
    /// # Errors
    /// [`ControlError::NoNode`] inside, if none runs.
    pub(super) fn open(dir: &Path) -> anyhow::Result<NodeDoor> {
        let runtime = runtime()?;
        let client = runtime.block_on(Client::connect(&dir.join(SOCKET)))?;
        Ok(NodeDoor { client, runtime, dir: dir.to_owned() })
    }

    /// How the node is.
    pub(super) fn status(&mut self) -> anyhow::Result<StatusReport> {
        Ok(self.runtime.block_on(self.client.status())?)
    }

    /// Has it take in its changed configuration.
    pub(super) fn reload(&mut self) -> anyhow::Result<ReloadReport> {
        Ok(self.runtime.block_on(patiently(self.client.reload(), &AtomicBool::new(false)))?)
    }
}

/// Tells `progress` each step, and notes that an order was `begun`.
fn noting(begun: &AtomicBool, progress: &mut (dyn FnMut(Progress) + Send)) -> impl FnMut(Progress) + Send {
    |step| {
        begun.store(true, Ordering::Relaxed);
        progress(step);
    }
}

/// Waits for an order to be obeyed, and says that it waits for its turn unless it was `begun`.
async fn patiently<T>(order: impl Future<Output = T>, begun: &AtomicBool) -> T {
    let mut order = pin!(order);
    if let Ok(done) = timeout(PROMPT, &mut order).await {
        return done;
    }
    if !begun.load(Ordering::Relaxed) {
        warn(
            "waiting: the node works on another order, such as an import; Ctrl-C gives this one up, and nothing is changed\n",
        );
    }
    order.await
}

/// A runtime for one connection.
fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")
}

impl Door {
    /// Connects to the node that runs on `dir`, or else opens the store there. While another process has the store and
    /// does not answer, it is a command that will end or a node that is about to: both are waited for a little.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Door> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match NodeDoor::open(dir) {
                Ok(node) => return Ok(Door::Node(Box::new(node))),
                Err(error) if is_no_node(&error) => {}
                Err(error) => return Err(error),
            }
            match Local::open(dir) {
                Ok(local) => return Ok(Door::Here(Box::new(local))),
                Err(error) if error.is_locked() && Instant::now() < deadline => {
                    runtime()?.block_on(tokio::time::sleep(PAUSE));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// How the node is, or would be.
    pub(super) fn status(&mut self) -> anyhow::Result<StatusReport> {
        match self {
            Door::Node(node) => node.status(),
            Door::Here(local) => Ok(local.status()?),
        }
    }

    /// Every channel.
    pub(super) fn channels(&mut self) -> anyhow::Result<Vec<ListedChannel>> {
        match self {
            Door::Node(node) => Ok(node.runtime.block_on(node.client.channels())?),
            Door::Here(local) => Ok(local.channels()?),
        }
    }

    /// The history of a channel.
    pub(super) fn log(&mut self, order: &LogOrder) -> anyhow::Result<ChannelLog> {
        match self {
            Door::Node(node) => Ok(node.runtime.block_on(node.client.log(order))?),
            Door::Here(local) => Ok(local.log(order)?),
        }
    }

    /// Publishes a directory, and tells `progress` how far it is.
    pub(super) fn import(
        &mut self,
        order: &ImportOrder,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> anyhow::Result<ImportReport> {
        match self {
            Door::Node(node) => {
                let begun = AtomicBool::new(false);
                let progress = &mut noting(&begun, progress);
                Ok(node.runtime.block_on(patiently(node.client.import(order, progress), &begun))?)
            }
            Door::Here(local) => Ok(local.import(order, progress)?),
        }
    }

    /// How two generations differ.
    pub(super) fn diff(&mut self, order: &DiffOrder) -> anyhow::Result<ChannelDiff> {
        match self {
            Door::Node(node) => Ok(node.runtime.block_on(node.client.diff(order))?),
            Door::Here(local) => Ok(local.diff(order)?),
        }
    }

    /// Publishes the content of an older generation again.
    pub(super) fn rollback(
        &mut self,
        order: &RollbackOrder,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> anyhow::Result<RollbackReport> {
        match self {
            Door::Node(node) => {
                let begun = AtomicBool::new(false);
                let progress = &mut noting(&begun, progress);
                Ok(node.runtime.block_on(patiently(node.client.rollback(order, progress), &begun))?)
            }
            Door::Here(local) => Ok(local.rollback(order, progress)?),
        }
    }

    /// Keeps a generation, or releases it.
    pub(super) fn keep(&mut self, order: &KeepOrder) -> anyhow::Result<KeepReport> {
        match self {
            Door::Node(node) => {
                Ok(node.runtime.block_on(patiently(node.client.keep(order), &AtomicBool::new(false)))?)
            }
            Door::Here(local) => Ok(local.keep(order)?),
        }
    }

    /// Frees what no kept generation needs, or says what that would be.
    pub(super) fn sweep(
        &mut self,
        order: &SweepOrder,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> anyhow::Result<SweepReport> {
        match self {
            Door::Node(node) => {
                let begun = AtomicBool::new(false);
                let progress = &mut noting(&begun, progress);
                Ok(node.runtime.block_on(patiently(node.client.sweep(order, progress), &begun))?)
            }
            Door::Here(local) => Ok(local.sweep(order, progress)?),
        }
    }

    /// Holds generations until what is returned is dropped. Without a node the open store holds them: keep the door, too.
    pub(super) fn hold(&mut self, order: &HoldOrder) -> anyhow::Result<Held> {
        match self {
            Door::Node(node) => Held::by_node(&node.dir, order),
            Door::Here(local) => Ok(Held::here(local.hold(order)?)),
        }
    }

    /// Reads everything that is stored again, and sets aside what is bad.
    pub(super) fn scrub(
        &mut self,
        order: &ScrubOrder,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> anyhow::Result<ScrubReport> {
        match self {
            Door::Node(node) => Ok(node.runtime.block_on(node.client.scrub(order, progress))?),
            Door::Here(local) => Ok(local.scrub(order, progress)?),
        }
    }
}

/// True if the only trouble is that no node runs.
pub(super) fn is_no_node(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ControlError::NoNode { .. }))
}
