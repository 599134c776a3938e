//! The demo: a sample upstream, a node that publishes and serves it, and, if wanted, stock clients that check it.
//!
//! Everything goes the way that an operator would go: `init`, a running node, `import` over its socket. Its
//! directory lies in the system's place for temporary files and goes away with it, unless one is named.

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::clock;
use super::config::{Environment, LogConfig, Sources};
use super::demo_check;
use super::error::{NodeError, file};
use super::init::{InitOrder, init};
use super::run::{Node, RunOrder, Signals};
use super::sample_out::{Recipe, Size, write_sample};
use super::supervisor::Supervisor;
use crate::control::{Client, Compare, ImportOrder, ImportOutcome, ImportReport};
use crate::names::ModuleName;

/// The sample's seed: the same tree on every machine.
const SEED: u64 = 2003;

/// The module that `init` makes.
const MODULE: &str = "gentoo-portage";

/// What to show.
#[derive(Clone, Debug)]
pub struct DemoOrder {
    /// Where; `None`: a temporary directory.
    pub dir: Option<PathBuf>,
    /// Packages in the sample.
    pub packages: u32,
    /// Stay up, or check and end.
    pub purpose: DemoPurpose,
}

/// What a demo is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DemoPurpose {
    /// Stays up until it is interrupted.
    Serve,
    /// Runs stock clients and ends.
    Check,
}

/// Something that happened in a demo.
#[derive(Clone, Debug)]
pub enum DemoEvent {
    /// A step was done.
    Step(String),
    /// A check was made; what was found, or why it failed.
    Checked {
        /// What was checked.
        what: String,
        /// What came of it.
        outcome: Result<String, String>,
    },
    /// It serves.
    Ready(DemoReady),
}

/// What a user needs in order to try it.
#[derive(Clone, Debug)]
pub struct DemoReady {
    /// Where rsync clients are served.
    pub address: SocketAddr,
    /// The module.
    pub module: ModuleName,
    /// The data directory.
    pub dir: PathBuf,
}

/// Where things of one demo lie.
pub(super) struct Stage {
    pub(super) root: PathBuf,
    pub(super) data: PathBuf,
    pub(super) packages: u32,
    temporary: bool,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed is the system's to clear away: it is in its temporary directory.
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

impl Stage {
    fn set(order: &DemoOrder) -> Result<Stage, NodeError> {
        let (root, temporary) = match &order.dir {
            Some(dir) => (dir.clone(), false),
            None => (std::env::temp_dir().join(format!("headwater-demo-{}", std::process::id())), true),
        };
        // In a directory for everybody the place must be new and ours alone: keys will lie in it.
        let mut maker = fs::DirBuilder::new();
        maker.recursive(!temporary).mode(if temporary { 0o700 } else { 0o755 });
        maker.create(&root).map_err(file("make", &root))?;
        let root = fs::canonicalize(&root).map_err(file("open", &root))?;
        if root.join(super::config::FILE).exists() {
            let text = "a node lives there; the demo needs a directory of its own";
            let source = std::io::Error::new(std::io::ErrorKind::AlreadyExists, text);
            return Err(NodeError::File { attempt: "make a demo in", path: root, source });
        }
        let data = root.join("data");
        Ok(Stage { root, data, packages: order.packages, temporary })
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.root.join("upstream").join("gentoo")
    }

    /// Writes the sample as it is after so many days.
    pub(super) fn write_sample(&self, revision: u32) -> Result<String, NodeError> {
        let recipe = Recipe { seed: SEED, size: Size::Packages(self.packages), revision };
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let written = write_sample(&recipe, &self.root.join("upstream"), threads)?;
        Ok(format!("{} files, {} KiB", written.files, written.bytes >> 10))
    }
}

/// Runs the demo; `show` hears what happens.
pub async fn demo(order: DemoOrder, show: &mut (dyn FnMut(DemoEvent) + Send)) -> Result<(), NodeError> {
    // From here on a signal ends the demo in order, and what it has made goes with it.
    let signals = Signals::new()?;
    let stage = Stage::set(&order)?;
    let sample = stage.write_sample(0)?;
    show(DemoEvent::Step(format!("made a sample upstream: {sample}")));
    if !stage.data.join(super::config::FILE).exists() {
        make_node(&stage)?;
        show(DemoEvent::Step("made a federation of one node".to_owned()));
    }
    let sources = Sources {
        dir: stage.data.clone(),
        environment: Environment::default(),
        flags: vec![("listen.rsync", "127.0.0.1:0".to_owned())],
    };
    let config = sources.load()?;
    let stop = CancellationToken::new();
    // Nobody waits for news of a demo, whoever started it.
    let (relog, supervisor) = (Box::new(|_: &LogConfig| ()), Supervisor::default());
    let node = Node::open(RunOrder { sources, config, relog, supervisor }, stop.clone()).await?;
    let address = node.addresses().first().copied().ok_or(NodeError::Stopping)?;
    let mut running = JoinSet::new();
    running.spawn(node.work(Some(signals), Duration::from_secs(1)));
    let shown = act(&order, &stage, address, show, &mut running).await;
    stop.cancel();
    while let Some(ended) = running.join_next().await {
        ended.map_err(|error| NodeError::Loop { name: "the node", why: error.to_string() })??;
    }
    shown
}

fn make_node(stage: &Stage) -> Result<(), NodeError> {
    let word = |text: &str| NodeError::Check(format!("the demo's own name {text} is no name"));
    init(&InitOrder {
        dir: stage.data.clone(),
        node: "gw".parse().map_err(|_| word("gw"))?,
        federation: "demo".parse().map_err(|_| word("demo"))?,
        admin_key: stage.root.join("headwater-admin.key"),
        listen_rsync: None,
        now: clock::now(),
    })?;
    Ok(())
}

async fn act(
    order: &DemoOrder,
    stage: &Stage,
    address: SocketAddr,
    show: &mut (dyn FnMut(DemoEvent) + Send),
    running: &mut JoinSet<Result<(), NodeError>>,
) -> Result<(), NodeError> {
    let report = publish(&stage.data, &stage.tree()).await?;
    show(DemoEvent::Step(format!("published it: {}", told(&report))));
    match order.purpose {
        DemoPurpose::Check => demo_check::check(stage, address, MODULE, show).await,
        DemoPurpose::Serve => {
            let module = MODULE.parse().map_err(|_| NodeError::Check("the module has no name".to_owned()))?;
            show(DemoEvent::Ready(DemoReady { address, module, dir: stage.data.clone() }));
            match running.join_next().await {
                Some(Ok(result)) => result,
                Some(Err(error)) => Err(NodeError::Loop { name: "the node", why: error.to_string() }),
                None => Ok(()),
            }
        }
    }
}

/// Imports over the node's socket, as `headwater import` does.
pub(super) async fn publish(data: &Path, tree: &Path) -> Result<ImportReport, NodeError> {
    let mut client = Client::connect(&data.join("control.sock")).await?;
    let repository = "gentoo".parse().map_err(|_| NodeError::Check("the repository has no name".to_owned()))?;
    let order = ImportOrder { source: tree.to_owned(), repository, compare: Compare::SizeAndTime };
    Ok(client.import(&order, &mut |_| ()).await?)
}

/// What an import did, in a line.
pub(super) fn told(report: &ImportReport) -> String {
    let changes = report.changes;
    match &report.outcome {
        ImportOutcome::NothingNew => "nothing new".to_owned(),
        ImportOutcome::Published(heads) => {
            let names: Vec<String> =
                heads.iter().map(|(channel, generation)| format!("{channel}@{}", generation.get())).collect();
            format!(
                "{}, {} added, {} changed, {} removed, in {:.2} s",
                names.join(", "),
                changes.added,
                changes.changed,
                changes.removed,
                report.elapsed.as_secs_f64()
            )
        }
    }
}
