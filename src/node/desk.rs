//! Where orders arrive: operators' calls, signals, news of bad contents. Answers what it can see, and hands what
//! changes something to the publisher, one thing at a time.
//!
//! The publisher works on a blocking thread and comes back when it is done; meanwhile questions are answered
//! from the board, so `status` never waits for an import. After each change the board and what is served are
//! made anew and handed over, before anybody hears of it and before anything is swept; connections that run
//! keep what they have. Scrubs and holds go on beside all that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::config::{Config, Sources};
use super::descriptors;
use super::error::NodeError;
use super::jobs::{Bench, DoneJob, Job, Swept, Waiting};
use super::publisher::{Board, Publisher};
use super::report::{self, Running};
use super::run::Relog;
use super::scrubbing::Scrubs;
use super::{clock, diff, holds};
use crate::control::{HeldGeneration, HoldOrder, Refusal, Reply, Request};
use crate::serve::{BadContent, Published, Readers, Tally};
use crate::store::{Pins, Publication, Reader};

/// Between two tries to hold everything while a sweep is under way; it takes some seconds.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);

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
    let (at_start, pins) = (config.borrow().clone(), publisher.store.pins());
    let mut scrubs = Scrubs::new(sources.dir.clone());
    let mut front =
        Front { board, published, config, at_start, sources, relog, readers, pins, tally, listeners, started, stop };
    let mut idle = Some(publisher);
    let mut waiting = Waiting::default();
    let mut working: JoinSet<DoneJob> = JoinSet::new();
    let mut answering: JoinSet<Swept> = JoinSet::new();
    loop {
        if let Some(publisher) = idle.take() {
            match waiting.next() {
                Some(job) => front.start(&mut working, publisher, job),
                None => idle = Some(publisher),
            }
        }
        tokio::select! {
            request = requests.recv() => match request {
                Some(request) => front.take(request, &mut waiting, &mut answering, &mut scrubs),
                None => break,
            },
            Some(news) = bad.recv(), if waiting.has_room_for_doubts() => waiting.doubt(news),
            Some(done) = working.join_next() => match done {
                Ok(done) => idle = Some(front.finish(done, &mut waiting)),
                Err(error) => return Err(NodeError::Loop { name: "the publisher", why: error.to_string() }),
            },
            Some(answered) = answering.join_next() => waiting.tidy(answered.unwrap_or(Swept::No)),
            ended = scrubs.news() => match ended {
                Some(ended) => waiting.scrubbed(ended),
                None => scrubs.attend(front.config.borrow().scrub_rate, front.board.scrub, clock::now()),
            },
            () = front.stop.cancelled() => break,
        }
    }
    // A publication that runs is finished: it is a matter of seconds. An import that has not come so far ends.
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
    pins: Pins,
    tally: Tally,
    listeners: Vec<SocketAddr>,
    started: i64,
    stop: CancellationToken,
}

impl Front {
    fn take(&self, request: Request, waiting: &mut Waiting, answering: &mut JoinSet<Swept>, scrubs: &mut Scrubs) {
        match request {
            Request::Import { order, progress, reply } => waiting.order(Job::Import { order, progress, reply }),
            Request::Rollback { order, progress, reply } => waiting.order(Job::Rollback { order, progress, reply }),
            Request::Keep { order, reply } => waiting.order(Job::Keep { order, reply }),
            Request::Sweep { order, progress, reply } => waiting.order(Job::Sweep { order, progress, reply }),
            Request::Reload { reply } => waiting.order(Job::Reload { reply }),
            Request::Scrub { order, progress, reply } => scrubs.order(order, progress, reply),
            Request::Hold { order, reply, gone } => {
                answering.spawn(hold(self.readers.clone(), self.board.clone(), self.pins.clone(), order, reply, gone));
            }
            Request::Status { reply } => {
                let running = Running {
                    started: Some(self.started),
                    listeners: self.listeners.clone(),
                    traffic: self.tally.read(),
                };
                self.ask(answering, reply, move |board, reader| {
                    Ok(report::status(board, &running, reader.space()?, clock::now()))
                });
            }
            Request::Channels { reply } => self.ask(answering, reply, |board, reader| {
                report::channels(board, &mut |channel| history(reader, channel))
            }),
            Request::Log { order, reply } => self.ask(answering, reply, move |board, reader| {
                report::log(board, &order, &mut |channel| history(reader, channel))
            }),
            Request::Diff { order, reply } => self.ask(answering, reply, move |board, reader| {
                let load = &mut |id: &_| Ok(reader.snapshot(id)?);
                diff::compare(board, &order, &mut |channel| history(reader, channel), load)
            }),
        }
    }

    /// Answers a question on a blocking thread, from the board and the store.
    fn ask<T: Send + 'static>(
        &self,
        answering: &mut JoinSet<Swept>,
        reply: Reply<T>,
        question: impl FnOnce(&Board, &Reader) -> Result<T, NodeError> + Send + 'static,
    ) {
        let (board, readers) = (self.board.clone(), self.readers.clone());
        answering.spawn(async move {
            let answer = readers.ask(move |reader| question(&board, reader)).await;
            let answer = answer.map_err(NodeError::from).and_then(|answer| answer);
            // The operator may be gone.
            let _ = reply.send(answer.map_err(|error| error.refusal()));
            Swept::No
        });
    }

    fn start(&self, working: &mut JoinSet<DoneJob>, publisher: Publisher, job: Job) {
        let bench = Bench {
            publisher,
            config: self.config.borrow().clone(),
            at_start: self.at_start.clone(),
            sources: self.sources.clone(),
            before: self.published.borrow().clone(),
            stop: self.stop.clone(),
        };
        working.spawn_blocking(move || bench.work(job));
    }

    /// Puts up what a job has changed, then lets it answer: who hears "published" is served the new generation.
    fn finish(&mut self, done: DoneJob, waiting: &mut Waiting) -> Publisher {
        let DoneJob { publisher, look, config, swept, answer } = done;
        if let Some(config) = config {
            (self.relog)(&config.log);
            descriptors::warn_if_few(config.limits.connections);
            self.config.send_replace(Arc::new(config));
        }
        match look {
            Ok((board, published)) => {
                self.board = Arc::new(board);
                self.published.send_replace(Arc::new(published));
            }
            Err(error) => tracing::error!(%error, "look at what is published; the last view stays"),
        }
        waiting.tidy(swept);
        answer();
        publisher
    }
}

/// Holds what an operator names until the operator lets go. What was kept only for that is swept then.
async fn hold(
    readers: Readers,
    board: Arc<Board>,
    pins: Pins,
    order: HoldOrder,
    reply: Reply<Vec<HeldGeneration>>,
    gone: oneshot::Receiver<()>,
) -> Swept {
    // While a sweep is under way nothing but it can be waited for.
    let everything = loop {
        match order.address {
            None if reply.is_closed() => return Swept::No,
            None => match pins.hold_sweep() {
                Some(hold) => break Some(hold),
                None => sleep(SWEEP_PAUSE).await,
            },
            Some(_) => break None,
        }
    };
    let held = readers.ask(move |reader| holds::held(&board, &order, &pins, &mut |channel| history(reader, channel)));
    match held.await.map_err(NodeError::from).and_then(|held| held) {
        Ok((held, pinned)) => {
            if reply.send(Ok(held)).is_ok() {
                // It ends with an error, since nobody ever says anything there.
                let _ = gone.await;
            }
            drop((everything, pinned));
            Swept::Due
        }
        Err(error) => {
            let refusal: Refusal = error.refusal();
            let _ = reply.send(Err(refusal));
            Swept::No
        }
    }
}

fn history(reader: &Reader, channel: &crate::names::ChannelName) -> Result<Vec<Publication>, NodeError> {
    Ok(reader.history(channel)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use tempfile::TempDir;

    use super::super::config::Environment;
    use super::super::init::{InitOrder, init};
    use super::super::jobs::look;
    use super::*;
    use crate::control::{
        Compare, ImportOrder, ImportOutcome, ImportReport, LogOrder, ScrubOrder, StatusReport, SweepMode, SweepOrder,
    };
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
    async fn an_import_that_has_not_begun_to_publish_ends_at_the_stop_and_the_lock_outlives_the_desk() {
        let mut office = Office::open();
        let held = office.hold();
        let answer = office.import(&office.tree("first")).await;
        office.status().await;
        office.stop.cancel();
        drop(held);
        let refusal = answer.await.expect("an answer").expect_err("nothing was published");
        assert!(refusal.what.contains("was ended before anything was published"), "{refusal:?}");
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
    async fn a_module_that_goes_and_comes_back_knows_who_is_inside() {
        let office = Office::open();
        let file = office.data.join("topology.toml");
        let with = fs::read_to_string(&file).expect("a topology");
        let without = with.replace("\"gentoo-portage\"", "\"another\"");
        assert_ne!(with, without);
        let there_and_back = async || {
            for text in [&without, &without, &with] {
                fs::write(&file, text).expect("it is ours");
                office.ask(|reply| Request::Reload { reply }).await;
            }
        };
        let inside = || {
            let published = office.published.borrow().clone();
            let taken = published.module(b"gentoo-portage").map(|module| module.slots.taken());
            (taken, published.left.keys().cloned().collect::<Vec<_>>())
        };
        let slot = office.published.borrow().modules[0].slots.take(Some(1)).expect("it is free");
        there_and_back().await;
        assert_eq!(inside(), (Some(1), vec!["another".to_owned()]));
        drop(slot);
        there_and_back().await;
        assert_eq!(inside(), (Some(0), vec!["another".to_owned()]));
        office.ask(|reply| Request::Reload { reply }).await;
        assert_eq!(inside(), (Some(0), Vec::new()), "nobody is inside, so there is nothing to know");
    }

    /// An office that keeps the newest generation only, with one published.
    async fn forgetful() -> Office {
        let office = Office::open();
        let file = office.data.join("headwater.toml");
        let text = fs::read_to_string(&file).expect("a configuration");
        let text = text.replace("# generations = 8", "generations = 1").replace("# most = 64", "most = 1");
        fs::write(&file, text).expect("it is ours");
        office.ask(|reply| Request::Reload { reply }).await;
        outcome(office.import(&office.tree("first")).await.await);
        office
    }

    /// The generations that are kept. A sweep that is due comes before the one that this orders.
    async fn kept(office: &Office) -> Vec<u64> {
        let order = SweepOrder { mode: SweepMode::DryRun, forget: None };
        let order = |reply| Request::Sweep { order, progress: mpsc::channel(1).0, reply };
        office.ask(order).await;
        let log = office.ask(|reply| Request::Log { order: LogOrder { address: None, most: None }, reply }).await;
        log.generations.iter().map(|line| line.generation.get()).collect()
    }

    #[tokio::test]
    async fn what_is_held_stays_until_the_operator_lets_go() {
        for address in [None, Some("gentoo@1".parse().expect("an address"))] {
            let office = forgetful().await;
            let (until, gone) = oneshot::channel();
            let order = HoldOrder { address };
            let held = office.ask(|reply| Request::Hold { order: order.clone(), reply, gone }).await;
            assert_eq!(held.iter().map(|held| held.generation.get()).collect::<Vec<_>>(), [1]);
            outcome(office.import(&office.tree("second")).await.await);
            assert_eq!(kept(&office).await, [2, 1], "{order:?}");
            drop(until);
            // The desk hears of it when it comes round.
            while kept(&office).await != [2] {}
            let (reply, answer) = oneshot::channel();
            let gone = oneshot::channel().1;
            let order = HoldOrder { address: Some("gentoo@1".parse().expect("an address")) };
            office.requests.send(Request::Hold { order, reply, gone }).await.expect("the desk works");
            let refusal = answer.await.expect("an answer").expect_err("it is gone");
            assert_eq!(refusal.what, "gentoo/full keeps no generation 1; there is 2");
        }
    }

    #[tokio::test]
    async fn a_scrub_is_noted_before_it_is_told() {
        let office = forgetful().await;
        assert_eq!(office.status().await.scrub, None);
        let scrub = |reply| Request::Scrub { order: ScrubOrder { rate: None }, progress: mpsc::channel(1).0, reply };
        let report = office.ask(scrub).await;
        let noted = office.status().await.scrub.expect("it is noted before it is told");
        assert_eq!((noted.contents, noted.bad), (report.contents, 0));
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
