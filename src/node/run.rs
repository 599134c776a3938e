//! A running node: opens its doors, starts its loops, and ends them in order.
//!
//! Everything that can be wrong is found before anything is started: configuration, topology, keys, store,
//! addresses. On SIGTERM or Ctrl-C nothing new is accepted and running transfers get the drain time; a
//! second signal cuts them. SIGHUP takes changed configuration in, as `headwater reload` does. Whoever started the node,
//! as systemd does, may hand over the sockets and is told when it serves, reloads and stops.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::clock;
use super::config::{Config, LogConfig, Sources};
use super::descriptors;
use super::desk::{self, Desk};
use super::error::NodeError;
use super::give_back::{give_back, give_back_often};
use super::jobs;
use super::modules;
use super::publisher::{Board, Publisher};
use super::report::READ_ONLY;
use super::supervisor::{Notifier, Supervisor};
use super::tasks::Tasks;
use super::transfer_log;
use crate::control::{self, Request};
use crate::serve::{BadContents, Doors, Published, Readers, Serving, Tally, TransferLog, serve};
use crate::store::Mount;

/// The operators' door, in the data directory.
const SOCKET: &str = "control.sock";

/// Read connections to the store at once; reads take microseconds.
const READERS: usize = 8;

/// Orders that wait for the node.
const ORDERS: usize = 32;

/// How long a start waits for a command that has the data directory: an import without a node takes seconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// What the loops get beyond the drain time before they are cut.
const GRACE: Duration = Duration::from_secs(5);

/// Puts a changed log configuration in force.
pub type Relog = Box<dyn Fn(&LogConfig) + Send + Sync>;

/// What to run.
pub struct RunOrder {
    /// Where the configuration comes from, for reloads.
    pub sources: Sources,
    /// The configuration as it is now.
    pub config: Config,
    /// Changes what is logged.
    pub relog: Relog,
    /// Who started the node.
    pub supervisor: Supervisor,
}

/// Runs a node until a signal ends it.
pub async fn run(order: RunOrder) -> Result<(), NodeError> {
    let stop = CancellationToken::new();
    let node = Node::open(order, stop.clone()).await?;
    let drain = node.drain();
    let signals = Signals::new()?;
    tracing::info!(rsync = ?node.addresses(), "serving");
    node.work(Some(signals), drain).await
}

/// A node that has opened its doors and not yet started its loops.
pub(super) struct Node {
    doors: Doors,
    addresses: Vec<std::net::SocketAddr>,
    /// There is none where no socket can be made.
    operators: Option<tokio::net::UnixListener>,
    desk: Desk,
    serving: Serving,
    lines: mpsc::Receiver<crate::serve::TransferLine>,
    bad: mpsc::Receiver<crate::serve::BadContent>,
    config: watch::Receiver<Arc<Config>>,
    stop: CancellationToken,
    socket: std::path::PathBuf,
    notifier: Arc<Notifier>,
}

impl Node {
    /// Opens everything that a node needs.
    pub(super) async fn open(order: RunOrder, stop: CancellationToken) -> Result<Node, NodeError> {
        let RunOrder { sources, config, relog, supervisor } = order;
        let dir = sources.dir.clone();
        let config = Arc::new(config);
        descriptors::raise();
        descriptors::warn_if_few(config.limits.connections);
        let (publisher, (board, published), readers) = open_store(&dir, &config).await?;
        let doors = match supervisor.sockets()? {
            Some(handed_over) => Doors::take(handed_over)?,
            None => Doors::open(&config.listen.rsync)?,
        };
        let addresses = doors.addresses();
        let socket = dir.join(SOCKET);
        let operators = match publisher.store.mount() {
            Mount::Writable => Some(control::bind(&socket)?),
            Mount::ReadOnly => {
                tracing::warn!("{READ_ONLY}; until then it has no control.sock, and no command reaches it");
                None
            }
        };
        let (published_to, published) = watch::channel(Arc::new(published));
        let (config_to, config) = watch::channel(config);
        let (log, lines) = TransferLog::new(transfer_log::QUEUE);
        let (bad_to, bad) = BadContents::new(ORDERS);
        let (tally, pins) = (Tally::default(), publisher.store.pins());
        let serving =
            Serving { published, readers: readers.clone(), pins, tally: tally.clone(), log: Some(log), bad: bad_to };
        let notifier = Arc::new(supervisor.notifier());
        let desk = Desk {
            publisher,
            board: Arc::new(board),
            published: published_to,
            config: config_to,
            sources,
            relog,
            readers,
            tally,
            listeners: addresses.clone(),
            started: clock::now(),
        };
        Ok(Node { doors, addresses, operators, desk, serving, lines, bad, config, stop, socket, notifier })
    }

    /// Where rsync clients are served.
    pub(super) fn addresses(&self) -> &[std::net::SocketAddr] {
        &self.addresses
    }

    fn drain(&self) -> Duration {
        self.config.borrow().drain
    }

    /// Starts the loops and waits for their end.
    pub(super) async fn work(self, signals: Option<Signals>, drain: Duration) -> Result<(), NodeError> {
        let Node { doors, addresses, operators, desk, serving, lines, bad, config, stop, socket, notifier } = self;
        let (requests_to, requests) = mpsc::channel(ORDERS);
        let mut tasks = Tasks::new(stop.clone());
        // The log's writer ends when the last connection is gone, which is after the stop.
        let log = serving.log.clone();
        let after_drain = CancellationToken::new();
        if let Some(log) = log {
            let until = after_drain.clone();
            let (config, stop) = (config.clone(), stop.clone());
            tasks.start("transfer log", async move {
                transfer_log::write(log, lines, config, until).await;
                if stop.is_cancelled() { Ok(()) } else { Err(NodeError::Stopping) }
            });
        }
        let news = News {
            notifier: notifier.clone(),
            addresses,
            published: serving.published.clone(),
            tally: serving.tally.clone(),
        };
        tasks.start("memory", give_back_often(serving.readers.clone(), stop.clone()));
        let serve_stop = stop.clone();
        let until = after_drain.clone();
        tasks.start("rsync", async move {
            let result = serve(doors, serving, serve_stop, drain).await;
            after_drain.cancel();
            Ok(result?)
        });
        if let Some(operators) = operators {
            let (orders, stop) = (requests_to.clone(), stop.clone());
            tasks.start("control", async move { Ok(control::serve(operators, orders, stop).await?) });
        }
        let desk_stop = stop.clone();
        // The writer and its lock outlive all loops: no other node may sweep what a transfer still reads.
        let (keep, kept) = oneshot::channel();
        tasks.start("desk", desk::work(desk, requests, bad, desk_stop, keep));
        tasks.start("news", news.tell(stop.clone(), until));
        let cut = CancellationToken::new();
        let mut watching = JoinSet::new();
        if let Some(signals) = signals {
            watching.spawn(signals.watch(requests_to, notifier, stop, cut.clone()));
        }
        let result = tokio::select! {
            result = tasks.finish(drain + GRACE) => result,
            () = cut.cancelled() => {
                tracing::warn!("cut: what still ran was ended");
                Ok(())
            }
        };
        // The next start replaces it anyway; without it a command knows at once that no node runs.
        let _ = tokio::fs::remove_file(socket).await;
        drop(kept);
        result
    }
}

/// What a start reads from the data directory.
type Opened = (Publisher, (Board, Published), Readers);

/// Opens the store. A command that has it is waited for, since it will end; another node is not.
async fn open_store(dir: &Path, config: &Arc<Config>) -> Result<Opened, NodeError> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    let mut told = false;
    loop {
        let (at, with) = (dir.to_owned(), config.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let publisher = Publisher::open(&at, &with.name)?;
            modules::check_logins(&publisher.topology, &with.name, &with)?;
            let look = jobs::look(&publisher, &with, &Published::default())?;
            let readers = Readers::open(&at, READERS)?;
            give_back();
            Ok::<_, NodeError>((publisher, look, readers))
        });
        let opened = opened.await.map_err(|error| NodeError::Loop { name: "the start", why: error.to_string() })?;
        match opened {
            Err(error) if error.is_locked() && Instant::now() < deadline && !node_runs(dir).await => {
                if !told {
                    tracing::info!(%error, "waiting for the command that has the data directory");
                    told = true;
                }
                sleep(LOCK_PAUSE).await;
            }
            done => return done,
        }
    }
}

/// Whether somebody answers at the operators' door.
async fn node_runs(dir: &Path) -> bool {
    tokio::net::UnixStream::connect(dir.join(SOCKET)).await.is_ok()
}

/// The signals that a node obeys.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Signals, NodeError> {
        let watch = |kind| {
            signal(kind).map_err(|error| NodeError::Loop { name: "watching for signals", why: error.to_string() })
        };
        Ok(Signals {
            terminate: watch(SignalKind::terminate())?,
            interrupt: watch(SignalKind::interrupt())?,
            hangup: watch(SignalKind::hangup())?,
        })
    }

    /// The first SIGTERM or Ctrl-C cancels `stop`, the second one `cut`.
    async fn watch(
        mut self,
        orders: mpsc::Sender<Request>,
        notifier: Arc<Notifier>,
        stop: CancellationToken,
        cut: CancellationToken,
    ) {
        // A reload waits for the import that runs; a stop does not wait for the reload.
        let mut reloads = JoinSet::new();
        loop {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
                _ = self.hangup.recv() => {
                    reloads.spawn(reload(orders.clone(), notifier.clone()));
                    continue;
                }
                Some(_) = reloads.join_next() => continue,
            }
            if stop.is_cancelled() {
                return cut.cancel();
            }
            tracing::info!("stopping: running transfers may finish; a second signal cuts them");
            stop.cancel();
        }
    }
}

async fn reload(orders: mpsc::Sender<Request>, notifier: Arc<Notifier>) {
    let (reply, answer) = oneshot::channel();
    notifier.reloading();
    if orders.send(Request::Reload { reply }).await.is_err() {
        return;
    }
    match answer.await {
        Ok(Ok(report)) => {
            tracing::info!(changed = ?report.changed, at_restart = ?report.at_restart, "reloaded");
            notifier.ready("reloaded");
        }
        Ok(Err(refusal)) => {
            tracing::error!(%refusal, "reload; the configuration stays as it was");
            // It serves on, and nobody is to wait for it.
            notifier.ready("the last reload failed; the configuration stays as it was");
        }
        Err(_) => tracing::warn!("the node stops; nothing was reloaded"),
    }
}

/// Waits for the next life sign to be due; for ever, if nobody expects any.
async fn beat(pulse: &mut Option<tokio::time::Interval>) {
    match pulse {
        Some(pulse) => {
            pulse.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// What whoever started the node is told while it runs.
struct News {
    notifier: Arc<Notifier>,
    addresses: Vec<std::net::SocketAddr>,
    published: watch::Receiver<Arc<Published>>,
    tally: Tally,
}

impl News {
    /// Tells it until the last connection has ended.
    async fn tell(mut self, stop: CancellationToken, until: CancellationToken) -> Result<(), NodeError> {
        let status = self.status();
        self.notifier.ready(&status);
        let mut pulse = self.notifier.life_signs().map(tokio::time::interval);
        let mut stopping = false;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.notifier.stopping();
                }
                () = until.cancelled() => return Ok(()),
                Ok(()) = self.published.changed(), if !stopping => {
                    let status = self.status();
                    self.notifier.status(&status);
                }
                () = beat(&mut pulse) => {
                    let status = self.status();
                    self.notifier.alive(&status);
                }
            }
        }
    }

    fn status(&mut self) -> String {
        let modules = self.published.borrow_and_update().modules.len();
        let traffic = self.tally.read();
        let doors: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        let doors = if doors.is_empty() { "no address".to_owned() } else { doors.join(", ") };
        format!(
            "serving on {doors}; modules: {modules}; connections: {} now, {} in all",
            traffic.open, traffic.accepted
        )
    }
}
