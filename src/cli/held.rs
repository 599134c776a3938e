//! Generations that a command holds for as long as it works with them.
//!
//! Where a node runs, the hold is a connection of its own, looked after by a thread of its own: the command may work without
//! a pause for as long as it likes, and the node lets go when the connection ends, however it ends. Where none runs, the
//! command has the store to itself, and that holds everything.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::door::SOCKET;
use crate::control::{Client, HeldGeneration, HoldOrder};

/// What is held. Dropping it lets go.
#[must_use = "a hold that is dropped holds nothing"]
pub(super) struct Held {
    /// Which generations.
    pub(super) generations: Vec<HeldGeneration>,
    /// Where a node holds them: what drives the connection, and whether it has ended.
    node: Option<(Connection, Arc<AtomicBool>)>,
}

struct Connection {
    watching: JoinSet<()>,
    runtime: Option<Runtime>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.watching.abort_all();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Held {
    /// Held by this command, which has the store.
    pub(super) fn here(generations: Vec<HeldGeneration>) -> Held {
        Held { generations, node: None }
    }

    /// Has the node that runs on `dir` hold them.
    pub(super) fn by_node(dir: &Path, order: &HoldOrder) -> anyhow::Result<Held> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.context("start the runtime")?;
        let mut hold = runtime.block_on(async {
            let mut client = Client::connect(&dir.join(SOCKET)).await?;
            client.hold(order).await
        })?;
        let generations = std::mem::take(&mut hold.generations);
        let lost = Arc::new(AtomicBool::new(false));
        let mut watching = JoinSet::new();
        let say = lost.clone();
        watching.spawn_on(
            async move {
                hold.lost().await;
                say.store(true, Ordering::Release);
            },
            runtime.handle(),
        );
        Ok(Held { generations, node: Some((Connection { watching, runtime: Some(runtime) }, lost)) })
    }

    /// Whether the node has gone away: nothing is held any more, and a new node may sweep.
    pub(super) fn is_lost(&self) -> bool {
        self.node.as_ref().is_some_and(|(_, lost)| lost.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::sync::{mpsc, oneshot};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::control::{Request, bind, serve};
    use crate::names::Generation;
    use crate::tree::SnapshotId;

    /// Holds one generation of a node that does nothing else; gives the node's end of it, and what stops the node.
    fn held(node: &Runtime, dir: &Path) -> (Held, oneshot::Receiver<()>, CancellationToken) {
        let (requests, mut inbox) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let _inside = node.enter();
        node.spawn(serve(bind(&dir.join(SOCKET)).unwrap(), requests, stop.clone()));
        let (say, told) = oneshot::channel();
        node.spawn(async move {
            let Some(Request::Hold { reply, gone, .. }) = inbox.recv().await else { panic!() };
            let held = HeldGeneration {
                channel: "gentoo/full".parse().unwrap(),
                generation: Generation::FIRST,
                snapshot: SnapshotId::from_bytes([3; 64]),
                published: 4,
            };
            reply.send(Ok(vec![held])).unwrap();
            say.send(gone).unwrap();
            // The node goes on.
            inbox.recv().await
        });
        let held = Held::by_node(dir, &HoldOrder { address: None }).unwrap();
        (held, told.blocking_recv().unwrap(), stop)
    }

    #[test]
    fn a_hold_ends_when_it_is_dropped_and_not_before() {
        let (node, dir) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
        let (held, mut gone, _stop) = held(&node, dir.path());
        assert_eq!(held.generations.len(), 1);
        assert!(!held.is_lost());
        assert_eq!(gone.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        drop(held);
        assert!(gone.blocking_recv().is_err(), "it just ends");
    }

    #[test]
    fn a_node_that_goes_away_is_noticed() {
        let (node, dir) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
        let (held, _gone, stop) = held(&node, dir.path());
        stop.cancel();
        let until = Instant::now() + Duration::from_secs(60);
        while !held.is_lost() {
            assert!(Instant::now() < until, "it is still thought to be held");
            std::thread::yield_now();
        }
    }
}
