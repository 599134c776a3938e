//! A long work of the node as an operator sees it: some progress, then the report, as a stream of events.
//!
//! Progress goes out at a pace of its own, whatever the node tells; the report ends the stream. A stop of the node ends it
//! too, with an error that says so.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::model::{Progress, Refusal};
use super::server::{refused, stopping};
use crate::fault::Fault;

/// Progress is sent this often at most. Many small unread messages would end an HTTP/2 connection, and no eye needs more.
const PROGRESS: Duration = Duration::from_millis(100);

/// Progress reports that wait for the next sending; the node drops what does not fit.
pub(super) const PROGRESS_QUEUE: usize = 64;

/// The answer of a streaming call.
pub(super) type Events<E> = Pin<Box<dyn Stream<Item = Result<E, Status>> + Send>>;

/// News of a work.
pub(super) enum News<R> {
    /// How far it is.
    Progress(Progress),
    /// It is done.
    Report(R),
}

/// One work under way, seen from the operator.
pub(super) struct Watch<R> {
    steps: mpsc::Receiver<Progress>,
    report: oneshot::Receiver<Result<R, Refusal>>,
    pace: Interval,
    stop: CancellationToken,
}

impl<R: Send + 'static> Watch<R> {
    /// Watches what the node tells and answers.
    pub(super) fn new(
        steps: mpsc::Receiver<Progress>,
        report: oneshot::Receiver<Result<R, Refusal>>,
        stop: CancellationToken,
    ) -> Watch<R> {
        let mut pace = interval(PROGRESS);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Watch { steps, report, pace, stop }
    }

    /// The news as events; `told` makes one or more of each.
    pub(super) fn events<E: Send + 'static>(self, told: impl Fn(News<R>) -> Vec<E> + Send + 'static) -> Events<E> {
        let news = stream::unfold(Some(self), |watch| async {
            let mut watch = watch?;
            match watch.next().await {
                Ok(news @ News::Progress(_)) => Some((Ok(news), Some(watch))),
                last => Some((last, None)),
            }
        });
        let events = news.flat_map(move |news| {
            let events = match news {
                Ok(news) => told(news).into_iter().map(Ok).collect(),
                Err(status) => vec![Err(status)],
            };
            stream::iter(events)
        });
        Box::pin(events)
    }

    /// The newest progress, at the pace of [`PROGRESS`], or the end.
    async fn next(&mut self) -> Result<News<R>, Status> {
        let step = async {
            self.pace.tick().await;
            let Some(mut newest) = self.steps.recv().await else {
                // The node tells no more; only the report is left to come.
                return std::future::pending().await;
            };
            while let Ok(newer) = self.steps.try_recv() {
                newest = newer;
            }
            newest
        };
        tokio::select! {
            biased;
            report = &mut self.report => {
                let report = report.map_err(|_| stopping())?;
                Ok(News::Report(report.map_err(|refusal| refused(&refusal))?))
            }
            () = self.stop.cancelled() => Err(refused(&Refusal {
                fault: Fault::Peer,
                what: "follow the order to its end".to_owned(),
                why: "the node is stopping".to_owned(),
                todo: "what has begun to publish is finished first: look at `headwater channel log`, then try again"
                    .to_owned(),
            })),
            step = step => Ok(News::Progress(step)),
        }
    }
}
