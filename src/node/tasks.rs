//! The named loops of a node: started, watched and stopped in one place.
//!
//! A loop that ends while the node runs ends the node, whatever the reason: half a node would serve on
//! without anybody noticing. On stop each loop gets its token cancelled and is waited for.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::error::NodeError;

/// How a loop's task came to its end.
type Ended = Result<(Id, Result<(), NodeError>), tokio::task::JoinError>;

/// The loops of one node.
pub(super) struct Tasks {
    running: JoinSet<Result<(), NodeError>>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
}

impl Tasks {
    pub(super) fn new(stop: CancellationToken) -> Tasks {
        Tasks { running: JoinSet::new(), names: HashMap::new(), stop }
    }

    /// Starts a loop. It should watch the node's stop token.
    pub(super) fn start(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<(), NodeError>> + Send + 'static,
    ) {
        let task = self.running.spawn(work);
        self.names.insert(task.id(), name);
    }

    /// Waits until a stop is asked for or a loop ends; then stops all and waits for them, at most `grace`.
    /// The first failure is the result.
    pub(super) async fn finish(mut self, grace: Duration) -> Result<(), NodeError> {
        let mut result = Ok(());
        tokio::select! {
            () = self.stop.cancelled() => {}
            ended = self.running.join_next_with_id() => result = self.ended(ended),
        }
        self.stop.cancel();
        let rest = async {
            while !self.running.is_empty() {
                let ended = self.running.join_next_with_id().await;
                let ended = self.ended(ended);
                if result.is_ok() {
                    result = ended;
                }
            }
        };
        if timeout(grace, rest).await.is_err() {
            let names: Vec<&str> = self.names.values().copied().collect();
            tracing::warn!(?names, "these did not stop in time and are cut");
            self.running.shutdown().await;
        }
        result
    }

    fn ended(&mut self, ended: Option<Ended>) -> Result<(), NodeError> {
        let (id, result) = match ended {
            None => return Ok(()),
            Some(Ok((id, result))) => (id, result),
            Some(Err(error)) => {
                let name = self.names.get(&error.id()).copied().unwrap_or("a loop");
                (error.id(), Err(NodeError::Loop { name, why: error.to_string() }))
            }
        };
        let name = self.names.remove(&id).unwrap_or("a loop");
        match result {
            Ok(()) if self.stop.is_cancelled() => Ok(()),
            Ok(()) => Err(NodeError::Loop { name, why: "it ended by itself".to_owned() }),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_ends_by_itself_ends_the_node_with_its_name() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        let watch = stop.clone();
        tasks.start("patient", async move {
            watch.cancelled().await;
            Ok(())
        });
        tasks.start("hasty", async { Ok(()) });
        let error = tasks.finish(Duration::from_secs(1)).await.expect_err("the node ends");
        assert!(error.to_string().contains("hasty"), "{error}");
        assert!(stop.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_does_not_stop_is_cut_after_the_grace() {
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new(stop.clone());
        tasks.start("deaf", std::future::pending());
        stop.cancel();
        tasks.finish(Duration::from_secs(5)).await.expect("a stop is no failure");
    }
}
