//! A node's configuration, resolved: what `headwater.toml`, the environment and the command line mean together.
//!
//! Later layers win: defaults, file, `HEADWATER_*`, flags. [`Sources`] can be loaded again at any time, which is what a reload does;
//! a load either gives a whole [`Config`] or every mistake at once. The environment enters the program here and nowhere else, as a
//! value, so a test never touches the real one.
//!
//! Deliberately absent: what is served to whom. That is the topology's business; this file says only where and how much.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

pub use super::config_check::{Mistake, Place};
pub use super::config_raw::LogFormat;
pub use super::config_values::{Addresses, ByteSize, Span};

use super::config_check::{self, Settled};
use super::config_raw::Raw;
use crate::fault::Fault;
use crate::names::NodeName;

/// The file's name in the data directory.
pub const FILE: &str = "headwater.toml";
/// What every variable of ours starts with.
pub const PREFIX: &str = "HEADWATER_";
/// The variable that stands for `--dir`; with [`FAILPOINT_VARIABLE`] the only name with our prefix that is no key.
pub const DIR_VARIABLE: &str = "HEADWATER_DIR";
/// The variable with which a test names the place where the program is to die. A release build knows it as little as any other
/// unknown name.
pub const FAILPOINT_VARIABLE: &str = "HEADWATER_FAILPOINT";
/// The port of rsync daemons.
pub const RSYNC_PORT: u16 = 873;
/// A configuration is some KiB; a file beyond this is something else.
const MOST_FILE_BYTES: u64 = 1 << 20;
/// Keys that a running node cannot take in.
const AT_RESTART: [&str; 6] = ["name", "drain", "log.format", "listen.rsync", "listen.control", "listen.http"];

/// A node's configuration. Every value is within its bounds, every path absolute if the data directory's is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The node's name in the topology.
    pub name: NodeName,
    /// Where to listen.
    pub listen: Listen,
    /// How much at most.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: LogConfig,
    /// The text that every client is greeted with.
    pub motd: Option<PathBuf>,
    /// The log of transfers, in the form of rsyncd's.
    pub transfer_log: Option<PathBuf>,
    /// How long open connections may go on after the node was told to stop.
    pub drain: Duration,
    /// Which generations are kept.
    pub keep: Keep,
    /// Every key with its value as it would be written; for [`Config::differences`].
    written: BTreeMap<String, String>,
}

/// The addresses of a node's doors. An empty list closes a door.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listen {
    /// For rsync clients.
    pub rsync: Vec<SocketAddr>,
}

/// What clients may take from a node at most.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: u32,
    /// Connections at a time from one address.
    pub per_client: u32,
    /// Bytes for file lists that are kept for the next client.
    pub memory: u64,
    /// A connection on which nothing moves for so long is closed.
    pub idle: Duration,
    /// A client that has not asked for anything after so long is sent away.
    pub handshake: Duration,
}

/// What is logged, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// Text or JSON.
    pub format: LogFormat,
    /// What is let through, as `tracing-subscriber` reads it: `info,headwater::serve=debug`.
    pub filter: String,
}

/// Which generations of a channel are kept: the last `generations`, and all of the last `hours`, but never more than `most`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Keep {
    /// At least so many.
    pub generations: u32,
    /// And everything of so many hours.
    pub hours: u32,
    /// But at most so many.
    pub most: u32,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The data directory holds no `headwater.toml`.
    #[error("{} is missing: there is no node in this directory", file.display())]
    Missing {
        /// Where it would be.
        file: PathBuf,
    },
    /// The file cannot be read.
    #[error("read {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What is written cannot be meant. Every mistake that there is.
    #[error("the configuration has {}:\n{}", count(mistakes), lines(mistakes))]
    Wrong {
        /// In the order of the layers and lines.
        mistakes: Vec<Mistake>,
    },
}

impl ConfigError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            ConfigError::Missing { .. } | ConfigError::Wrong { .. } => Fault::Operator,
            ConfigError::Unreadable { .. } => Fault::Local,
        }
    }

    /// What to do about it.
    pub fn todo(&self) -> &'static str {
        match self {
            ConfigError::Missing { .. } => {
                "make a node with `headwater init --dir DIR`, or name another directory with --dir"
            }
            ConfigError::Unreadable { .. } => "run the command as the user who owns the file",
            ConfigError::Wrong { .. } => "correct what is named above, then try again",
        }
    }
}

fn count(mistakes: &[Mistake]) -> String {
    match mistakes.len() {
        1 => "a mistake".to_owned(),
        number => format!("{number} mistakes"),
    }
}

fn lines(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes.iter().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

/// The variables of the environment that are ours, read once when the program starts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// Reads the variables whose names start with [`PREFIX`]; bytes that are no UTF-8 become `U+FFFD` and are then refused by their key.
    pub fn of_process() -> Environment {
        Environment::of(std::env::vars_os().map(|(name, value)| {
            let value = value.to_string_lossy().into_owned();
            (name.to_string_lossy().into_owned(), value)
        }))
    }

    /// The variables among these that are ours.
    pub fn of(all: impl IntoIterator<Item = (String, String)>) -> Environment {
        let ours = all.into_iter().filter(|(name, _)| name.starts_with(PREFIX));
        let mut ours: Vec<_> = ours.collect();
        ours.sort();
        Environment(ours)
    }

    /// What stands for `--dir`, if it is set to something.
    pub fn dir(&self) -> Option<&Path> {
        let dir = self.0.iter().find(|(name, _)| name == DIR_VARIABLE);
        dir.map(|(_, value)| Path::new(value.as_str())).filter(|path| !path.as_os_str().is_empty())
    }

    /// The failpoint that is to be armed, if a test names one; never in a release build.
    pub fn failpoint(&self) -> Option<&str> {
        let named = self.0.iter().find(|(name, _)| is_failpoint(name));
        named.map(|(_, value)| value.as_str())
    }

    /// The variables that stand for keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        let keys = self.0.iter().filter(|(name, _)| name != DIR_VARIABLE && !is_failpoint(name));
        keys.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn is_failpoint(name: &str) -> bool {
    cfg!(debug_assertions) && name == FAILPOINT_VARIABLE
}

/// Where a node's configuration comes from; can be loaded as often as one likes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sources {
    /// The data directory.
    pub dir: PathBuf,
    /// `HEADWATER_*`.
    pub environment: Environment,
    /// Keys and values from the command line, as text: `("listen.rsync", "127.0.0.1:1873")`. The flag of a key is its name with
    /// `-` for `.` and `_`.
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// Reads the file and puts all layers together.
    ///
    /// # Errors
    /// If the file is missing or unreadable, or if anything in any layer is wrong: then all of it.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let file = self.dir.join(FILE);
        let text = read(&file)?;
        self.resolve(&text)
    }

    /// As [`Sources::load`], from the file's text.
    ///
    /// # Errors
    /// If anything in any layer is wrong.
    pub fn resolve(&self, text: &str) -> Result<Config, ConfigError> {
        let mut settled = config_check::settle(text, &self.environment, &self.flags);
        let config = meaning(&self.dir, &mut settled);
        match config {
            Some(config) if settled.mistakes.is_empty() => Ok(config),
            _ => {
                settled.mistakes.sort();
                let mistakes = settled.mistakes;
                Err(ConfigError::Wrong { mistakes })
            }
        }
    }
}

fn read(file: &Path) -> Result<String, ConfigError> {
    use std::io::Read;
    let unreadable = |source| ConfigError::Unreadable { file: file.to_path_buf(), source };
    let open = std::fs::File::open(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ConfigError::Missing { file: file.to_path_buf() },
        _ => unreadable(error),
    })?;
    let mut text = String::new();
    let mut bounded = open.take(MOST_FILE_BYTES);
    bounded.read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// Gives the values their meaning. What is wrong between keys or out of bounds joins the mistakes; `None` only with a mistake.
fn meaning(dir: &Path, settled: &mut Settled) -> Option<Config> {
    let raw = settled.raw.clone();
    let mut judge = Judge { settled };
    let name = judge.name(&raw.name);
    let Raw { limits, keep, log, .. } = &raw;
    judge.within("limits.connections", limits.connections, 1, 100_000);
    judge.within("limits.per_client", limits.per_client, 1, 100_000);
    judge.holds(
        "limits.per_client",
        limits.per_client <= limits.connections,
        "one client cannot have more than limits.connections",
    );
    let memory = limits.memory;
    judge.within("limits.memory", memory, MEMORY.0, MEMORY.1);
    judge.within("limits.idle", limits.idle, Span::seconds(10), DAY);
    let handshake = limits.handshake;
    judge.within("limits.handshake", handshake, Span::seconds(1), HOUR);
    judge.within("drain", raw.drain, Span::seconds(0), HOUR);
    judge.within("keep.generations", keep.generations, 1, 4_096);
    judge.within("keep.hours", keep.hours, 0, 87_600);
    judge.within("keep.most", keep.most, 1, 4_096);
    judge.holds("keep.most", keep.most >= keep.generations, "it cannot be less than keep.generations");
    let filter = tracing_subscriber::EnvFilter::try_new(&log.filter);
    judge.holds(
        "log.filter",
        filter.is_ok(),
        "that is no filter: write such as \"info\" or \"info,headwater::serve=debug\"",
    );
    for (key, addresses) in [("listen.control", &raw.listen.control), ("listen.http", &raw.listen.http)] {
        let closed = *addresses == Addresses::OFF;
        judge.holds(key, closed, "this version has no such door: leave it \"off\"");
    }
    let rsync = raw.listen.rsync.with_port(RSYNC_PORT);
    let twice = rsync.iter().enumerate().any(|(at, address)| {
        let before = rsync.iter().take(at);
        address.port() != 0 && before.into_iter().any(|other| other == address)
    });
    judge.holds("listen.rsync", !twice, "an address is there twice");
    Some(Config {
        name: name?,
        listen: Listen { rsync },
        limits: Limits {
            connections: limits.connections,
            per_client: limits.per_client,
            memory: limits.memory.bytes(),
            idle: limits.idle.duration(),
            handshake: limits.handshake.duration(),
        },
        log: LogConfig { format: log.format, filter: log.filter.clone() },
        motd: path(dir, &raw.motd),
        transfer_log: path(dir, &raw.transfer_log),
        drain: raw.drain.duration(),
        keep: Keep { generations: keep.generations, hours: keep.hours, most: keep.most },
        written: config_check::written(&raw),
    })
}

/// File lists of one tree take some MiB; more than this is a slip of the unit.
const MEMORY: (ByteSize, ByteSize) = (ByteSize::new(16 << 20), ByteSize::new(1 << 40));
const HOUR: Span = Span::seconds(3_600);
const DAY: Span = Span::seconds(86_400);

fn path(dir: &Path, text: &str) -> Option<PathBuf> {
    match text {
        "" => None,
        text => Some(dir.join(text)),
    }
}

/// Adds what it finds to the mistakes, each at the place that gave the value.
struct Judge<'a> {
    settled: &'a mut Settled,
}

impl Judge<'_> {
    fn holds(&mut self, key: &str, good: bool, why: &str) {
        if !good {
            self.settled.mistake(key, why.to_owned());
        }
    }

    fn within<T: PartialOrd + std::fmt::Display>(&mut self, key: &str, value: T, low: T, high: T) {
        if value < low || value > high {
            let why = format!("{value} is out of bounds: it can be {low} to {high}");
            self.settled.mistake(key, why);
        }
    }

    fn name(&mut self, text: &str) -> Option<NodeName> {
        if text.is_empty() {
            let why = "every node has a name: write such as name = \"gw\"";
            self.settled.mistake("name", why.to_owned());
            return None;
        }
        match text.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                self.settled.mistake("name", error.to_string());
                None
            }
        }
    }
}

/// What differs between two configurations.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Differences {
    /// Keys that a running node can take in.
    pub at_once: Vec<String>,
    /// Keys that wait for a restart.
    pub at_restart: Vec<String>,
}

impl Config {
    /// Every key there is, in alphabetical order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.written.keys().map(String::as_str)
    }

    /// The keys in which `newer` differs.
    pub fn differences(&self, newer: &Config) -> Differences {
        let mut differences = Differences::default();
        for (key, value) in &newer.written {
            if self.written.get(key) == Some(value) {
                continue;
            }
            match AT_RESTART.contains(&key.as_str()) {
                true => differences.at_restart.push(key.clone()),
                false => differences.at_once.push(key.clone()),
            }
        }
        differences
    }
}
