//! The two servers: rsyncd and a node, each a process that ends when its value is dropped.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;

use super::clients::{run_one, signal};
use super::proc::{self, OpenFiles};

/// The module that both serve.
pub(crate) const MODULE: &str = "gentoo-portage";

/// Longest wait for a server to start, to end, or to be done with its clients.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks in a row, half a second apart, between which memory must stand still.
const SETTLED: u32 = 4;

/// How long a server gets to put away what the last client left, before its time is read.
const REST: Duration = Duration::from_millis(50);

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    /// From the start of the process to the first connection that was let into the module.
    pub(crate) start: Duration,
}

/// A port that is free now.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

impl Server {
    /// `rsync --daemon`, serving `tree`, with its files in `work`.
    pub(crate) fn rsyncd(work: &Path, tree: &Path) -> anyhow::Result<Server> {
        let (address, config) = (free_address()?, work.join("rsyncd.conf"));
        // As root it would become `nobody`, who may not be let into this directory.
        let user = if rustix::process::getuid().is_root() { "uid = 0\ngid = 0\n" } else { "" };
        let text = format!(
            "use chroot = no\nmax connections = 0\nreverse lookup = no\nlog file = {log}\n{user}\
             [{MODULE}]\npath = {tree}\nread only = yes\n",
            log = work.join("rsyncd.log").display(),
            tree = tree.display(),
        );
        fs::write(&config, text)?;
        let mut command = Command::new("rsync");
        command.args(["--daemon", "--no-detach", "--address=127.0.0.1"]);
        command.arg(format!("--port={}", address.port())).arg(format!("--config={}", config.display()));
        Server::start(&mut command, address, &work.join("rsyncd.err"))
    }

    /// A node, with its data in `dir`, which [`init`] made.
    pub(crate) fn headwater(dir: &Path) -> anyhow::Result<Server> {
        let address = free_address()?;
        let mut command = headwater(dir, "run");
        command.args(["--listen-rsync", &address.to_string(), "--log-filter", "warn"]);
        Server::start(&mut command, address, &dir.with_extension("err"))
    }

    fn start(command: &mut Command, address: SocketAddr, errors: &Path) -> anyhow::Result<Server> {
        let start = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(errors)?).spawn()?;
        let mut server = Server { child, address, start: Duration::ZERO };
        while greet(address).is_err() {
            if start.elapsed() > PATIENCE || server.child.try_wait()?.is_some() {
                bail!("a server did not start: {}", fs::read_to_string(errors).unwrap_or_default());
            }
            park_timeout(Duration::from_millis(1));
        }
        server.start = start.elapsed();
        Ok(server)
    }

    /// Whether it runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What clients are told.
    pub(crate) fn url(&self) -> String {
        format!("rsync://{}/{MODULE}/", self.address)
    }

    /// Processor time so far, all children counted; waits until none is left.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        park_timeout(REST);
        while !proc::children(self.child.id())?.is_empty() {
            if start.elapsed() > PATIENCE {
                bail!("a server's children do not end");
            }
            park_timeout(Duration::from_millis(5));
        }
        proc::cpu(self.child.id())
    }

    /// Memory now, in bytes, all children counted.
    pub(crate) fn pss(&self) -> anyhow::Result<u64> {
        proc::pss(self.child.id())
    }

    /// Files that it has open now; a node has no children.
    pub(crate) fn open_files(&self) -> anyhow::Result<OpenFiles> {
        proc::open_files(self.child.id())
    }

    /// Threads that it has now.
    pub(crate) fn threads(&self) -> anyhow::Result<usize> {
        proc::threads(self.child.id())
    }

    /// Memory once it stands still: after an import a node tidies up.
    pub(crate) fn settled_pss(&self) -> anyhow::Result<u64> {
        let start = Instant::now();
        let (mut last, mut still) = (self.pss()?, 0);
        while still < SETTLED && start.elapsed() < PATIENCE {
            park_timeout(Duration::from_millis(500));
            let now = self.pss()?;
            still = if now.abs_diff(last) * 50 < now { still + 1 } else { 0 };
            last = now;
        }
        Ok(last)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        signal(self.child.id(), Signal::TERM);
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if start.elapsed() > PATIENCE {
                // It was asked kindly.
                let _ = self.child.kill();
            }
            park_timeout(Duration::from_millis(5));
        }
    }
}

/// A command of the node in `dir`.
pub(crate) fn headwater(dir: &Path, command: &str) -> Command {
    let mut made = Command::new(env!("CARGO_BIN_EXE_headwater"));
    made.arg(command).arg("--dir").arg(dir).env_clear();
    made
}

/// Makes a node; gives its data directory.
pub(crate) fn init(work: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let dir = work.join(name);
    let key = work.join(format!("{name}.key"));
    if key.exists() {
        fs::remove_file(&key)?;
    }
    run_one(headwater(&dir, "init").arg("--admin-key").arg(key), PATIENCE)?;
    Ok(dir)
}

/// Makes a node whose repository is no tree but any directory; gives its data directory.
pub(crate) fn init_files(work: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let dir = init(work, name)?;
    let topology = dir.join("topology.toml");
    let text = fs::read_to_string(&topology)?;
    let files = text.replace("kind = \"tree\"", "kind = \"files\"");
    ensure!(files != text, "the topology has no tree: {text}");
    fs::write(&topology, files)?;
    Ok(dir)
}

/// Has a node keep so many generations, and none because it is young.
pub(crate) fn keep_only(dir: &Path, generations: usize) -> anyhow::Result<()> {
    let config = dir.join("headwater.toml");
    let text = fs::read_to_string(&config)?;
    let keep = format!("\n[keep]\ngenerations = {generations}\nhours = 0\n");
    let kept = text.replace("\n[keep]\n", &keep);
    ensure!(kept != text, "the configuration has no [keep]: {text}");
    fs::write(&config, kept)?;
    Ok(())
}

/// Writes lines below `[limits]` in the configuration that [`init`] made, in place of any that were written before.
pub(crate) fn limit(dir: &Path, lines: &str) -> anyhow::Result<()> {
    const MARK: &str = "\n[limits]\n";
    const END: &str = "# ^ of a bench\n";
    let config = dir.join("headwater.toml");
    let text = fs::read_to_string(&config)?;
    let (before, after) = text.split_once(MARK).context("the configuration has no limits")?;
    let after = after.split_once(END).map_or(after, |(_, after)| after);
    fs::write(&config, format!("{before}{MARK}{lines}{END}{after}"))?;
    Ok(())
}

/// What a node in `dir` has logged since its start.
pub(crate) fn log(dir: &Path) -> anyhow::Result<String> {
    let path = dir.with_extension("err");
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// Has a node publish a tree.
pub(crate) fn import(dir: &Path, tree: &Path) -> Command {
    let mut command = headwater(dir, "import");
    command.args(["--repository", "gentoo"]).arg(tree);
    command
}

/// Connects and says hello; a server that answers is there. The module may have nothing to show yet.
fn greet(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("@RSYNCD: 30.0\n{MODULE}\n").as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            bail!("the server hung up");
        }
        if line.starts_with("@RSYNCD: OK") || line.starts_with("@ERROR") {
            return Ok(());
        }
    }
}
