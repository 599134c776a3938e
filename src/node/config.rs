//! A node's configuration, resolved: what `headwater.toml`, the environment and the command line mean together.
//!
//! The values here are whole and within their bounds; `config_sources` says where they come from, `config_check` and
//! `config_meaning` find every mistake at once.
//!
//! Deliberately absent: what is served to whom. That is the topology's business; this file says only where and how much.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub use super::config_check::{Mistake, Place};
pub use super::config_raw::LogFormat;
pub use super::config_sources::{ConfigError, DIR_VARIABLE, Environment, FAILPOINT_VARIABLE, PREFIX, Sources};
pub use super::config_values::{Addresses, ByteSize, Networks, Rate, Span};

use crate::names::NodeName;

/// The file's name in the data directory.
pub const FILE: &str = "headwater.toml";
/// The port of rsync daemons.
pub const RSYNC_PORT: u16 = 873;
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
    /// The passwords of those who log in.
    pub secrets: Option<PathBuf>,
    /// The log of transfers.
    pub transfer_log: Option<PathBuf>,
    /// The form of its lines, for modules that have none of their own.
    pub transfer_format: String,
    /// Who speaks the PROXY protocol, and says so in the name of others.
    pub proxy: Vec<IpNet>,
    /// How fast stored contents are read again in the background, in bytes a second; `None`: not at all.
    pub scrub_rate: Option<u64>,
    /// How long open connections may go on after the node was told to stop.
    pub drain: Duration,
    /// Which generations are kept.
    pub keep: Keep,
    /// Every key with its value as it would be written; for [`Config::differences`].
    pub(super) written: BTreeMap<String, String>,
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
    /// Connections at a time from one network (/24, /64 with IPv6); `None`: as many as there are.
    pub per_network: Option<u32>,
    /// Bytes for file lists that are kept for the next client.
    pub memory: u64,
    /// Bytes that wait for the network on one connection.
    pub buffer: u64,
    /// Bytes that wait for the network on all of them, and of what clients have sent and is not done.
    pub buffers: u64,
    /// A connection on which nothing moves for so long is closed.
    pub idle: Duration,
    /// A client that has not asked for anything after so long is sent away.
    pub handshake: Duration,
    /// Arguments of one client.
    pub arguments: u32,
    /// Filter rules of one client.
    pub rules: u32,
    /// Names of one client (`--files-from`).
    pub names: u32,
    /// Names that the wildcards of one client may match.
    pub matches: u32,
    /// Lines of the node's log a second because of one client.
    pub log_lines: u32,
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
