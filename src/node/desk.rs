//! Where orders arrive: operators' calls, signals, news of bad contents. Answers what it can see, and hands what
//! changes something to the publisher, one thing at a time.
//!
//! The publisher works on a blocking thread and comes back when it is done; meanwhile questions are answered
//! from the board, so `status` never waits for an import. After each change the board and what is served are
//! made anew and handed over; connections that run keep what they have.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::clock;
use super::config::{Config, Sources};
use super::error::NodeError;
use super::intake;
use super::modules;
use super::publisher::{self, Board, Publisher};
use super::report::{self, Running};
use super::run::Relog;
use crate::control::{ImportOrder, Progress, Refusal, ReloadReport, Reply, Request};
use crate::fault::Fault;
use crate::serve::{BadContent, Published, Readers, Tally};
use crate::store::{Keep, Publication, Reader};

/// Imports that wait for the one that runs.
const WAITING: usize = 8;

/// Everything that the desk keeps.
pub(super) struct Desk {
    pub(super) publisher: Publisher,
    pub(super) board: Arc<Board>,
    pub(super) published: watch::Sender<Arc<Published>>,
    pub(super) config: watch::Sender<Arc<Config>>,
    pub(super) sources: Sources,
    pub(super) relog: Relog,
    pub(super) readers: Readers,
    pub(super) tally: Tally,
    pub(super) listeners: Vec<SocketAddr>,
    pub(super) started: i64,
}

/// Something that changes what is published.
enum Job {
    Import { order: ImportOrder, progress: mpsc::Sender<Progress>, reply: Reply<crate::control::ImportReport> },
    Doubt(BadContent),
    Reload { reply: Reply<ReloadReport> },
}

/// What a job leaves behind: the publisher, a fresh board, and an answer that is sent once the board is up.
struct DoneJob {
    publisher: Publisher,
    board: Result<Board, NodeError>,
    config: Option<Config>,
    answer: Box<dyn FnOnce() + Send>,
}

/// Works until `stop`.
pub(super) async fn work(
    desk: Desk,
    mut requests: mpsc::Receiver<Request>,
    mut bad: mpsc::Receiver<BadContent>,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    let Desk { publisher, board, published, config, sources, relog, readers, tally, listeners, started } = desk;
    let mut front = Front { board, published, config, sources, relog, readers, tally, listeners, started };
    let mut idle = Some(publisher);
    let mut waiting: VecDeque<Job> = VecDeque::new();
    let mut working: JoinSet<DoneJob> = JoinSet::new();
    let mut answering: JoinSet<()> = JoinSet::new();
    loop {
        if let Some(publisher) = idle.take() {
            match waiting.pop_front() {
                Some(job) => front.start(&mut working, publisher, job),
                None => idle = Some(publisher),
            }
        }
        tokio::select! {
            request = requests.recv() => match request {
                Some(request) => front.take(request, &mut waiting, &mut answering),
                None => return Ok(()),
            },
            Some(news) = bad.recv() => if waiting.len() < WAITING { waiting.push_back(Job::Doubt(news)) },
            Some(done) = working.join_next() => match done {
                Ok(done) => idle = Some(front.finish(done)),
                Err(error) => return Err(NodeError::Loop { name: "the publisher", why: error.to_string() }),
            },
            Some(_) = answering.join_next() => {}
            () = stop.cancelled() => break,
        }
    }
    // A publication that runs is finished: it is a matter of seconds, and its operator waits for the answer.
    if let Some(Ok(done)) = working.join_next().await {
        front.finish(done);
    }
    Ok(())
}

/// What questions are answered from.
struct Front {
    board: Arc<Board>,
    published: watch::Sender<Arc<Published>>,
    config: watch::Sender<Arc<Config>>,
    sources: Sources,
    relog: Relog,
    readers: Readers,
    tally: Tally,
    listeners: Vec<SocketAddr>,
    started: i64,
}

impl Front {
    fn take(&self, request: Request, waiting: &mut VecDeque<Job>, answering: &mut JoinSet<()>) {
        let job = match request {
            Request::Import { reply, .. } if waiting.len() >= WAITING => {
                // The operator may be gone.
                let _ = reply.send(Err(too_busy()));
                return;
            }
            Request::Import { order, progress, reply } => Job::Import { order, progress, reply },
            Request::Reload { reply } => Job::Reload { reply },
            Request::Status { reply } => {
                let running = Running {
                    started: Some(self.started),
                    listeners: self.listeners.clone(),
                    traffic: self.tally.read(),
                };
                return self.ask(answering, reply, move |board, reader| {
                    Ok(report::status(board, &running, reader.space()?, clock::now()))
                });
            }
            Request::Channels { reply } => {
                return self.ask(answering, reply, |board, reader| {
                    report::channels(board, &mut |channel| history(reader, channel))
                });
            }
            Request::Log { order, reply } => {
                return self.ask(answering, reply, move |board, reader| {
                    report::log(board, &order, &mut |channel| history(reader, channel))
                });
            }
        };
        waiting.push_back(job);
    }

    /// Answers a question on a blocking thread, from the board and the store.
    fn ask<T: Send + 'static>(
        &self,
        answering: &mut JoinSet<()>,
        reply: Reply<T>,
        question: impl FnOnce(&Board, &Reader) -> Result<T, NodeError> + Send + 'static,
    ) {
        let (board, readers) = (self.board.clone(), self.readers.clone());
        answering.spawn(async move {
            let answer = readers.ask(move |reader| question(&board, reader)).await;
            let answer = answer.map_err(NodeError::from).and_then(|answer| answer);
            // The operator may be gone.
            let _ = reply.send(answer.map_err(|error| error.refusal()));
        });
    }

    fn start(&self, working: &mut JoinSet<DoneJob>, publisher: Publisher, job: Job) {
        let keep = modules::keep(&self.config.borrow());
        match job {
            Job::Import { order, progress, reply } => {
                working.spawn_blocking(move || import(publisher, &order, &progress, reply, keep));
            }
            Job::Doubt(bad) => {
                working.spawn_blocking(move || doubt(publisher, &bad));
            }
            Job::Reload { reply } => {
                let (sources, now) = (self.sources.clone(), self.config.borrow().clone());
                working.spawn_blocking(move || reload(publisher, &sources, &now, reply));
            }
        };
    }

    /// Puts up what a job has changed, then lets it answer: who hears "published" is served the new generation.
    fn finish(&mut self, done: DoneJob) -> Publisher {
        let DoneJob { publisher, board, config, answer } = done;
        if let Some(config) = config {
            (self.relog)(&config.log);
            self.config.send_replace(Arc::new(config));
        }
        match board {
            Ok(board) => self.board = Arc::new(board),
            Err(error) => tracing::error!(%error, "look at what is published; the last view stays"),
        }
        let published = modules::published(&self.board, &self.config.borrow(), &self.published.borrow());
        self.published.send_replace(Arc::new(published));
        answer();
        publisher
    }
}

fn history(reader: &Reader, channel: &crate::names::ChannelName) -> Result<Vec<Publication>, NodeError> {
    Ok(reader.history(channel)?)
}

fn too_busy() -> Refusal {
    Refusal {
        fault: Fault::Operator,
        what: "the import was not begun".to_owned(),
        why: format!("{WAITING} other orders are waiting already"),
        todo: "wait for them, then try again".to_owned(),
    }
}

fn import(
    mut publisher: Publisher,
    order: &ImportOrder,
    progress: &mpsc::Sender<Progress>,
    reply: Reply<crate::control::ImportReport>,
    keep: Keep,
) -> DoneJob {
    // A full queue means that enough has been told.
    let tell = |seen| {
        let _ = progress.try_send(seen);
    };
    let result = intake::import(&mut publisher, order, &tell, clock::now());
    match &result {
        Ok(report) => tracing::info!(
            repository = %order.repository, outcome = ?report.outcome, added = report.changes.added,
            removed = report.changes.removed, changed = report.changes.changed, seconds = report.elapsed.as_secs_f64(),
            "imported"
        ),
        Err(error) => tracing::error!(repository = %order.repository, %error, "import; nothing was published"),
    }
    let board = publisher.board();
    if let Ok(report) = &result {
        publisher::sweep_after(&mut publisher, keep, report);
    }
    let answer = Box::new(move || drop(reply.send(result.map_err(|error| error.refusal()))));
    DoneJob { publisher, board, config: None, answer }
}

fn doubt(mut publisher: Publisher, bad: &BadContent) -> DoneJob {
    if let Err(error) = publisher.doubt(bad) {
        tracing::error!(content = %bad.content.short(), %error, "set a bad content aside");
    }
    let board = publisher.board();
    DoneJob { publisher, board, config: None, answer: Box::new(|| ()) }
}

/// Takes configuration and topology in, both or none.
fn reload(mut publisher: Publisher, sources: &Sources, now: &Config, reply: Reply<ReloadReport>) -> DoneJob {
    let before = publisher.topology.clone();
    let loaded = sources.load().map_err(NodeError::from).and_then(|config| publisher.reload().map(|()| config));
    let (config, report) = match loaded {
        Ok(config) => {
            let differences = now.differences(&config);
            let mut changed = differences.at_once;
            if before != publisher.topology {
                changed.push("topology".to_owned());
            }
            (Some(config), Ok(ReloadReport { changed, at_restart: differences.at_restart }))
        }
        Err(error) => (None, Err(error.refusal())),
    };
    let board = publisher.board();
    DoneJob { publisher, board, config, answer: Box::new(move || drop(reply.send(report))) }
}
