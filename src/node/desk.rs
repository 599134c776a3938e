//! Where orders arrive: operators' calls, signals, news of bad contents. Answers what it can see, and hands what
//! changes something to the publisher, one thing at a time.
//!
//! The publisher works on a blocking thread and comes back when it is done; meanwhile questions are answered
//! from the board, so `status` never waits for an import. After each change the board and what is served are
//! made anew and handed over, before anybody hears of it and before anything is swept; connections that run
//! keep what they have.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::clock;
use super::config::{Config, Sources};
use super::error::NodeError;
use super::give_back::give_back;
use super::intake;
use super::modules;
use super::publisher::{self, Board, Publisher};
use super::report::{self, Running};
use super::run::Relog;
use crate::control::{ImportOrder, ImportOutcome, ImportReport, Progress, Refusal, ReloadReport, Reply, Request};
use crate::fault::Fault;
use crate::serve::{BadContent, Published, Readers, Tally};
use crate::store::{Publication, Reader};

/// Orders that wait for the one that runs.
const WAITING: usize = 8;

/// Bad contents that wait to be looked at. Others are reported again by the next client that asks for them.
const DOUBTS: usize = 64;

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
    Import { order: ImportOrder, progress: mpsc::Sender<Progress>, reply: Reply<ImportReport> },
    Doubt(Vec<BadContent>),
    Reload { reply: Reply<ReloadReport> },
    Sweep,
}

/// What waits for the publisher.
#[derive(Default)]
struct Waiting {
    orders: VecDeque<Job>,
    doubts: Vec<BadContent>,
    sweep: bool,
}

impl Waiting {
    fn next(&mut self) -> Option<Job> {
        if std::mem::take(&mut self.sweep) {
            return Some(Job::Sweep);
        }
        while let Some(job) = self.orders.pop_front() {
            match &job {
                Job::Import { order, reply, .. } if reply.is_closed() => {
                    tracing::info!(repository = %order.repository, "not imported: who asked for it has gone");
                }
                Job::Reload { reply } if reply.is_closed() => {
                    tracing::info!("not reloaded: who asked for it has gone");
                }
                _ => return Some(job),
            }
        }
        let doubts = std::mem::take(&mut self.doubts);
        (!doubts.is_empty()).then_some(Job::Doubt(doubts))
    }
}

/// What a job leaves behind: the publisher, a fresh look at it, and an answer that is sent once that is up.
struct DoneJob {
    publisher: Publisher,
    look: Result<(Board, Published), NodeError>,
    config: Option<Config>,
    swept: Swept,
    answer: Box<dyn FnOnce() + Send>,
}

/// Whether a job leaves something to sweep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Swept {
    Due,
    No,
}

/// What is to be seen of a publisher, and what is served from then on. Reads the disk.
pub(super) fn look(
    publisher: &Publisher,
    config: &Config,
    before: &Published,
) -> Result<(Board, Published), NodeError> {
    let board = publisher.board()?;
    let published = modules::published(&board, config, before);
    Ok((board, published))
}

/// Works until `stop`. Then the publisher goes to `keep`: with it goes the lock of the data directory, which must
/// outlive whoever still reads there.
pub(super) async fn work(
    desk: Desk,
    mut requests: mpsc::Receiver<Request>,
    mut bad: mpsc::Receiver<BadContent>,
    stop: CancellationToken,
    keep: oneshot::Sender<Publisher>,
) -> Result<(), NodeError> {
    let Desk { publisher, board, published, config, sources, relog, readers, tally, listeners, started } = desk;
    let at_start = config.borrow().clone();
    let mut front = Front { board, published, config, at_start, sources, relog, readers, tally, listeners, started };
    let mut idle = Some(publisher);
    let mut waiting = Waiting::default();
    let mut working: JoinSet<DoneJob> = JoinSet::new();
    let mut answering: JoinSet<()> = JoinSet::new();
    loop {
        if let Some(publisher) = idle.take() {
            match waiting.next() {
                Some(job) => front.start(&mut working, publisher, job),
                None => idle = Some(publisher),
            }
        }
        tokio::select! {
            request = requests.recv() => match request {
                Some(request) => front.take(request, &mut waiting, &mut answering),
                None => break,
            },
            Some(news) = bad.recv(), if waiting.doubts.len() < DOUBTS => waiting.doubts.push(news),
            Some(done) = working.join_next() => match done {
                Ok(done) => idle = Some(front.finish(done, &mut waiting)),
                Err(error) => return Err(NodeError::Loop { name: "the publisher", why: error.to_string() }),
            },
            Some(_) = answering.join_next() => {}
            () = stop.cancelled() => break,
        }
    }
    // A publication that runs is finished: it is a matter of seconds, and its operator waits for the answer.
    if let Some(Ok(done)) = working.join_next().await {
        idle = Some(front.finish(done, &mut waiting));
    }
    if let Some(publisher) = idle {
        // Nobody keeps it where the node has been cut.
        let _ = keep.send(publisher);
    }
    Ok(())
}

/// What questions are answered from.
struct Front {
    board: Arc<Board>,
    published: watch::Sender<Arc<Published>>,
    config: watch::Sender<Arc<Config>>,
    /// What holds until a restart for the keys that wait for one.
    at_start: Arc<Config>,
    sources: Sources,
    relog: Relog,
    readers: Readers,
    tally: Tally,
    listeners: Vec<SocketAddr>,
    started: i64,
}

impl Front {
    fn take(&self, request: Request, waiting: &mut Waiting, answering: &mut JoinSet<()>) {
        // Who gets no answer may be gone.
        let job = match request {
            Request::Import { reply, .. } if waiting.orders.len() >= WAITING => {
                return drop(reply.send(Err(too_busy("the import was not begun"))));
            }
            Request::Reload { reply } if waiting.orders.len() >= WAITING => {
                return drop(reply.send(Err(too_busy("nothing was reloaded"))));
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
        waiting.orders.push_back(job);
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

    fn start(&self, working: &mut JoinSet<DoneJob>, mut publisher: Publisher, job: Job) {
        let (config, before) = (self.config.borrow().clone(), self.published.borrow().clone());
        match job {
            Job::Import { order, progress, reply } => {
                working.spawn_blocking(move || import(publisher, &order, &progress, reply, &config, &before));
            }
            Job::Doubt(news) => {
                working.spawn_blocking(move || {
                    if let Err(error) = publisher.doubt(&news) {
                        tracing::error!(%error, "look anew at what is published; the last view stays");
                    }
                    silent(publisher, &config, &before)
                });
            }
            Job::Sweep => {
                working.spawn_blocking(move || {
                    publisher::sweep(&mut publisher, modules::keep(&config));
                    give_back();
                    silent(publisher, &config, &before)
                });
            }
            Job::Reload { reply } => {
                let (sources, at_start) = (self.sources.clone(), self.at_start.clone());
                working.spawn_blocking(move || reload(publisher, &sources, (&at_start, &config), &before, reply));
            }
        };
    }

    /// Puts up what a job has changed, then lets it answer: who hears "published" is served the new generation.
    fn finish(&mut self, done: DoneJob, waiting: &mut Waiting) -> Publisher {
        let DoneJob { publisher, look, config, swept, answer } = done;
        if let Some(config) = config {
            (self.relog)(&config.log);
            self.config.send_replace(Arc::new(config));
        }
        match look {
            Ok((board, published)) => {
                self.board = Arc::new(board);
                self.published.send_replace(Arc::new(published));
            }
            Err(error) => tracing::error!(%error, "look at what is published; the last view stays"),
        }
        waiting.sweep |= swept == Swept::Due;
        answer();
        publisher
    }
}

fn history(reader: &Reader, channel: &crate::names::ChannelName) -> Result<Vec<Publication>, NodeError> {
    Ok(reader.history(channel)?)
}

fn too_busy(what: &str) -> Refusal {
    Refusal {
        fault: Fault::Operator,
        what: what.to_owned(),
        why: format!("{WAITING} other orders are waiting already"),
        todo: "wait for them, then try again".to_owned(),
    }
}

/// A job that nobody waits for is done.
fn silent(publisher: Publisher, config: &Config, before: &Published) -> DoneJob {
    let look = look(&publisher, config, before);
    DoneJob { publisher, look, config: None, swept: Swept::No, answer: Box::new(|| ()) }
}

fn import(
    mut publisher: Publisher,
    order: &ImportOrder,
    progress: &mpsc::Sender<Progress>,
    reply: Reply<ImportReport>,
    config: &Config,
    before: &Published,
) -> DoneJob {
    // A full queue means that enough has been told.
    let tell = |seen| {
        let _ = progress.try_send(seen);
    };
    let result = intake::import(&mut publisher, order, &tell, clock::now());
    let swept = match &result {
        Ok(report) => {
            tracing::info!(
                repository = %order.repository, outcome = ?report.outcome, added = report.changes.added,
                removed = report.changes.removed, changed = report.changes.changed,
                seconds = report.elapsed.as_secs_f64(), "imported"
            );
            if report.outcome == ImportOutcome::NothingNew { Swept::No } else { Swept::Due }
        }
        Err(error) => {
            tracing::error!(repository = %order.repository, %error, "import failed; what was served before is served on");
            // What is kept may have become less since the last sweep, and room is what is missing.
            if error.is_full() { Swept::Due } else { Swept::No }
        }
    };
    let look = look(&publisher, config, before);
    if swept == Swept::No {
        give_back();
    }
    let answer = Box::new(move || drop(reply.send(result.map_err(|error| error.refusal()))));
    DoneJob { publisher, look, config: None, swept, answer }
}

/// Takes configuration and topology in, both or none. `at_start` and `now`: the configuration with which the node
/// began, and the one in force.
fn reload(
    mut publisher: Publisher,
    sources: &Sources,
    (at_start, now): (&Config, &Config),
    before: &Published,
    reply: Reply<ReloadReport>,
) -> DoneJob {
    let topology = publisher.topology.clone();
    let loaded = sources.load().map_err(NodeError::from).and_then(|config| publisher.reload().map(|()| config));
    let (config, report) = match loaded {
        Ok(config) => {
            let mut changed = now.differences(&config).at_once;
            if topology != publisher.topology {
                changed.push("topology".to_owned());
            }
            let at_restart = at_start.differences(&config).at_restart;
            (Some(config), Ok(ReloadReport { changed, at_restart }))
        }
        Err(error) => (None, Err(error.refusal())),
    };
    let look = look(&publisher, config.as_ref().unwrap_or(now), before);
    let answer = Box::new(move || drop(reply.send(report)));
    // Fewer generations may be kept from now on.
    let swept = if config.as_ref().is_some_and(|config| config.keep != now.keep) { Swept::Due } else { Swept::No };
    DoneJob { publisher, look, config, swept, answer }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use tempfile::TempDir;

    use super::super::config::Environment;
    use super::super::init::{InitOrder, init};
    use super::*;
    use crate::control::{Compare, LogOrder, StatusReport};
    use crate::store::{Access, Store, StoreError};

    /// A desk at work, in a new data directory.
    struct Office {
        requests: mpsc::Sender<Request>,
        published: watch::Receiver<Arc<Published>>,
        stop: CancellationToken,
        kept: oneshot::Receiver<Publisher>,
        working: JoinSet<Result<(), NodeError>>,
        _bad: mpsc::Sender<BadContent>,
        data: PathBuf,
        place: TempDir,
    }

    impl Office {
        fn open() -> Office {
            let place = tempfile::tempdir().expect("a directory");
            let data = place.path().join("data");
            init(&InitOrder {
                dir: data.clone(),
                node: "gw".parse().expect("a name"),
                federation: "home".parse().expect("a name"),
                admin_key: place.path().join("admin.key"),
                listen_rsync: None,
                now: clock::now(),
            })
            .expect("a node");
            let sources = Sources { dir: data.clone(), environment: Environment::default(), flags: Vec::new() };
            let config = sources.load().expect("a configuration");
            let publisher = Publisher::open(&data, &config.name).expect("a store");
            let (board, published) = look(&publisher, &config, &Published::default()).expect("a board");
            let (published_to, published) = watch::channel(Arc::new(published));
            let desk = Desk {
                publisher,
                board: Arc::new(board),
                published: published_to,
                config: watch::Sender::new(Arc::new(config)),
                sources,
                relog: Box::new(|_| ()),
                readers: Readers::open(&data, 2).expect("a store"),
                tally: Tally::default(),
                listeners: Vec::new(),
                started: clock::now(),
            };
            let ((requests, orders), (bad, news)) = (mpsc::channel(8), mpsc::channel(8));
            let (stop, (keep, kept)) = (CancellationToken::new(), oneshot::channel());
            let mut working = JoinSet::new();
            working.spawn(work(desk, orders, news, stop.clone(), keep));
            Office { requests, published, stop, kept, working, _bad: bad, data, place }
        }

        /// A directory with one file.
        fn tree(&self, name: &str) -> PathBuf {
            let tree = self.place.path().join(name);
            fs::create_dir_all(&tree).expect("a directory");
            fs::write(tree.join("file"), name).expect("a file");
            tree
        }

        async fn import(&self, source: &Path) -> oneshot::Receiver<Result<ImportReport, Refusal>> {
            let (reply, answer) = oneshot::channel();
            let repository = "gentoo".parse().expect("a name");
            let order = ImportOrder { source: source.to_owned(), repository, compare: Compare::SizeAndTime };
            let request = Request::Import { order, progress: mpsc::channel(1).0, reply };
            self.requests.send(request).await.expect("the desk works");
            answer
        }

        async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> T {
            let (reply, answer) = oneshot::channel();
            self.requests.send(request(reply)).await.expect("the desk works");
            answer.await.expect("an answer").expect("no refusal")
        }

        async fn status(&self) -> StatusReport {
            self.ask(|reply| Request::Status { reply }).await
        }

        /// Keeps the publisher from writing until it is dropped.
        fn hold(&self) -> rusqlite::Connection {
            let other = rusqlite::Connection::open(self.data.join("headwater.db")).expect("the database");
            other.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");
            other
        }

        fn served(&self) -> Option<u64> {
            self.published.borrow().modules.first()?.current.as_ref().map(|current| current.generation.get())
        }
    }

    fn outcome(answer: Result<Result<ImportReport, Refusal>, oneshot::error::RecvError>) -> ImportOutcome {
        answer.expect("an answer").expect("no refusal").outcome
    }

    #[tokio::test]
    async fn questions_are_answered_while_an_import_runs() {
        let office = Office::open();
        let held = office.hold();
        let mut answer = office.import(&office.tree("first")).await;
        assert!(office.status().await.channels[0].newest.is_none());
        let log = office.ask(|reply| Request::Log { order: LogOrder { address: None, most: None }, reply }).await;
        assert!(log.generations.is_empty());
        assert!(answer.try_recv().is_err(), "the import cannot be done");
        drop(held);
        assert!(matches!(outcome(answer.await), ImportOutcome::Published(_)));
        assert_eq!(office.served(), Some(1), "who hears it is served it");
        assert!(office.status().await.channels[0].newest.is_some());
    }

    #[tokio::test]
    async fn an_import_that_nobody_waits_for_any_more_is_not_begun() {
        let office = Office::open();
        let (first, second) = (office.tree("first"), office.tree("second"));
        let held = office.hold();
        let running = office.import(&first).await;
        drop(office.import(&second).await);
        drop(held);
        assert!(matches!(outcome(running.await), ImportOutcome::Published(_)));
        // Had the second one been taken in, the first one would differ from it.
        assert_eq!(outcome(office.import(&first).await.await), ImportOutcome::NothingNew);
        assert_eq!(office.served(), Some(1));
    }

    #[tokio::test]
    async fn an_import_that_runs_at_the_stop_is_finished_and_the_lock_outlives_the_desk() {
        let mut office = Office::open();
        let held = office.hold();
        let answer = office.import(&office.tree("first")).await;
        office.status().await;
        office.stop.cancel();
        drop(held);
        assert!(matches!(outcome(answer.await), ImportOutcome::Published(_)));
        office.working.join_next().await.expect("it worked").expect("no panic").expect("an orderly end");
        let open = || Store::open(&office.data, Access::Existing);
        assert!(matches!(open(), Err(StoreError::Locked { .. })));
        drop(office.kept);
        assert!(open().is_ok());
    }

    #[tokio::test]
    async fn what_waits_for_a_restart_is_said_again_at_every_reload() {
        let office = Office::open();
        let file = office.data.join("headwater.toml");
        let text = fs::read_to_string(&file).expect("a configuration");
        let text = text.replace("\n[listen]\n", "\n[listen]\nrsync = \"127.0.0.1:9\"");
        let text = text.replace("# connections = 500", "connections = 300");
        fs::write(&file, text).expect("it is ours");
        let reload = || office.ask(|reply| Request::Reload { reply });
        let (first, second) = (reload().await, reload().await);
        assert_eq!(
            (first.changed, first.at_restart),
            (vec!["limits.connections".to_owned()], vec!["listen.rsync".to_owned()])
        );
        assert_eq!((second.changed, second.at_restart), (Vec::new(), vec!["listen.rsync".to_owned()]));
        assert_eq!(office.published.borrow().limits.connections, 300);
    }

    #[tokio::test]
    async fn a_reload_that_is_wrong_changes_nothing() {
        let office = Office::open();
        let tree = office.tree("first");
        outcome(office.import(&tree).await.await);
        fs::write(office.data.join("topology.toml"), "nonsense = 1\n").expect("it is ours");
        let (reply, answer) = oneshot::channel();
        office.requests.send(Request::Reload { reply }).await.expect("the desk works");
        assert!(answer.await.expect("an answer").is_err());
        assert_eq!(office.served(), Some(1));
        assert_eq!(outcome(office.import(&tree).await.await), ImportOutcome::NothingNew);
    }
}
