//! From sound values to what they mean together: bounds, rules between keys, paths.
//!
//! Every bound of `headwater.toml` stands here. What breaks one is a mistake at the place that gave the value, and joins those
//! that `config_check` has found already, so an admin reads all of them at once.
//!
//! Deliberately absent: files. Whether a path leads to something is asked when it is used, and by `headwater config check`.

use std::path::{Path, PathBuf};

use super::config::{Config, Keep, Limits, Listen, LogConfig, RSYNC_PORT};
use super::config_check::{self, Settled};
use super::config_raw::{Raw, RawKeep, RawLimits};
use super::config_values::{Addresses, ByteSize, Rate, Span};
use super::words;
use crate::names::NodeName;

/// Connections are files of the process, and the system counts those.
const CONNECTIONS: (u32, u32) = (1, 100_000);
/// File lists of one tree take some MiB; more than this is a slip of the unit.
const MEMORY: (ByteSize, ByteSize) = (ByteSize::new(16 << 20), ByteSize::new(1 << 40));
/// Less than the first costs a system call for every few packets; more than the second is a slip of the unit.
const BUFFER: (ByteSize, ByteSize) = (ByteSize::new(64 << 10), ByteSize::new(1 << 30));
/// As [`MEMORY`], for all connections together.
const BUFFERS: (ByteSize, ByteSize) = (ByteSize::new(1 << 20), ByteSize::new(1 << 40));
/// An honest client sends some 30 arguments and a rule for each directory that it leaves out.
const ARGUMENTS: (u32, u32) = (64, 100_000);
/// The upper one is what a filter list takes at all.
const RULES: (u32, u32) = (64, 8_192);
/// As many as a snapshot has entries.
const NAMES: (u32, u32) = (1, 8_000_000);
/// As [`NAMES`].
const MATCHES: (u32, u32) = (1, 8_000_000);
/// At least one, or nobody would know what a node refuses.
const LOG_LINES: (u32, u32) = (1, 10_000);
/// Less than the first never ends; more than the second is a slip of the unit.
const SCRUB_RATE: (Rate, Rate) = (Rate(Some(ByteSize::new(64 << 10))), Rate(Some(ByteSize::new(1 << 40))));
const HOUR: Span = Span::seconds(3_600);
const DAY: Span = Span::seconds(86_400);

/// Gives the values their meaning. What is wrong between keys or out of bounds joins the mistakes; `None` only with a mistake.
pub(super) fn meaning(dir: &Path, settled: &mut Settled) -> Option<Config> {
    let raw = settled.raw.clone();
    let mut judge = Judge { settled };
    let name = judge.name(&raw.name);
    let Raw { limits, keep, log, .. } = &raw;
    judge.limits(limits);
    judge.keep(keep);
    judge.within("drain", raw.drain, Span::seconds(0), HOUR);
    if raw.scrub.rate != Rate(None) {
        judge.within("scrub.rate", raw.scrub.rate, SCRUB_RATE.0, SCRUB_RATE.1);
    }
    let filter = tracing_subscriber::EnvFilter::try_new(&log.filter);
    judge.holds(
        "log.filter",
        filter.is_ok(),
        "that is no filter: write such as \"info\" or \"info,headwater::serve=debug\"",
    );
    if let Err(why) = words::log_format(&raw.transfer_format) {
        judge.holds("transfer_format", false, &why);
    }
    let all = raw.proxy.nets().iter().any(|net| net.prefix_len() == 0);
    judge.holds("proxy", !all, "who speaks this protocol may claim any address: name the proxies, not everybody");
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
        limits: bounds(limits),
        log: LogConfig { format: log.format, filter: log.filter.clone() },
        motd: path(dir, &raw.motd),
        secrets: path(dir, &raw.secrets),
        transfer_log: path(dir, &raw.transfer_log),
        transfer_format: raw.transfer_format.clone(),
        proxy: raw.proxy.nets().to_vec(),
        scrub_rate: raw.scrub.rate.0.map(ByteSize::bytes),
        drain: raw.drain.duration(),
        keep: Keep { generations: keep.generations, hours: keep.hours, most: keep.most },
        written: config_check::written(&raw),
    })
}

fn bounds(raw: &RawLimits) -> Limits {
    Limits {
        connections: raw.connections,
        per_client: raw.per_client,
        per_network: Some(raw.per_network).filter(|most| *most > 0),
        memory: raw.memory.bytes(),
        buffer: raw.buffer.bytes(),
        buffers: raw.buffers.bytes(),
        idle: raw.idle.duration(),
        handshake: raw.handshake.duration(),
        arguments: raw.arguments,
        rules: raw.rules,
        names: raw.names,
        matches: raw.matches,
        log_lines: raw.log_lines,
    }
}

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

    fn limits(&mut self, limits: &RawLimits) {
        self.within("limits.connections", limits.connections, CONNECTIONS.0, CONNECTIONS.1);
        self.within("limits.per_client", limits.per_client, CONNECTIONS.0, CONNECTIONS.1);
        let fewer = limits.per_client <= limits.connections;
        self.holds("limits.per_client", fewer, "one client cannot have more than limits.connections");
        self.within("limits.per_network", limits.per_network, 0, CONNECTIONS.1);
        self.within("limits.memory", limits.memory, MEMORY.0, MEMORY.1);
        self.within("limits.buffer", limits.buffer, BUFFER.0, BUFFER.1);
        self.within("limits.buffers", limits.buffers, BUFFERS.0, BUFFERS.1);
        let room = limits.buffers >= limits.buffer;
        self.holds("limits.buffers", room, "all connections cannot have less than limits.buffer, which is for one");
        self.within("limits.idle", limits.idle, Span::seconds(10), DAY);
        self.within("limits.handshake", limits.handshake, Span::seconds(1), HOUR);
        self.within("limits.arguments", limits.arguments, ARGUMENTS.0, ARGUMENTS.1);
        self.within("limits.rules", limits.rules, RULES.0, RULES.1);
        self.within("limits.names", limits.names, NAMES.0, NAMES.1);
        self.within("limits.matches", limits.matches, MATCHES.0, MATCHES.1);
        self.within("limits.log_lines", limits.log_lines, LOG_LINES.0, LOG_LINES.1);
    }

    fn keep(&mut self, keep: &RawKeep) {
        self.within("keep.generations", keep.generations, 1, 4_096);
        self.within("keep.hours", keep.hours, 0, 87_600);
        self.within("keep.most", keep.most, 1, 4_096);
        self.holds("keep.most", keep.most >= keep.generations, "it cannot be less than keep.generations");
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

#[cfg(test)]
mod tests {
    use super::super::config::{ConfigError, Environment, Sources};
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let sources = Sources { dir: "/d".into(), environment: Environment::default(), flags: Vec::new() };
        sources.resolve(&format!("name = \"gw\"\n{text}\n")).map_err(|error| match error {
            ConfigError::Wrong { mistakes } => mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            other => panic!("{other}"),
        })
    }

    #[test]
    fn every_key_has_its_meaning() {
        let config = read(
            "secrets = \"private/secrets\"\ntransfer_format = \"json\"\nproxy = [\"10.1.2.3/8\", \"::1\"]\n\
             [limits]\nper_network = 300\nbuffer = \"128KiB\"\nbuffers = \"64MiB\"\narguments = 100\nrules = 200\n\
             names = 300\nmatches = 400\nlog_lines = 5\n[scrub]\nrate = \"10MiB\"",
        )
        .unwrap();
        assert_eq!(config.secrets.as_deref(), Some(Path::new("/d/private/secrets")));
        assert_eq!((config.transfer_format.as_str(), config.scrub_rate), ("json", Some(10 << 20)));
        let proxies: Vec<String> = config.proxy.iter().map(ToString::to_string).collect();
        assert_eq!(proxies, ["10.0.0.0/8", "::1/128"]);
        let limits = config.limits;
        assert_eq!((limits.per_network, limits.buffer, limits.buffers), (Some(300), 128 << 10, 64 << 20));
        assert_eq!((limits.arguments, limits.rules, limits.names, limits.matches), (100, 200, 300, 400));
        assert_eq!(limits.log_lines, 5);
    }

    #[test]
    fn what_is_not_written_has_its_default() {
        let config = read("").unwrap();
        assert_eq!((config.secrets, config.scrub_rate, config.limits.per_network), (None, None, None));
        assert_eq!(config.transfer_format, crate::serve::DEFAULT_FORMAT);
        assert!(config.proxy.is_empty());
    }

    #[test]
    fn every_value_has_its_bounds() {
        for (text, expected) in [
            ("proxy = \"*\"", "headwater.toml:2:1, proxy: who speaks this protocol may claim any address"),
            ("proxy = [\"10.0.0.1\", \"::/0\"]", "headwater.toml:2:1, proxy: who speaks this protocol"),
            ("transfer_format = \"%\"", "headwater.toml:2:1, transfer_format: "),
            ("[limits]\nper_network = 100001", "headwater.toml:3:1, limits.per_network: 100001 is out of bounds"),
            ("[limits]\nbuffer = \"1KiB\"", "limits.buffer: 1KiB is out of bounds: it can be 64KiB to 1GiB"),
            ("[limits]\nbuffers = \"2TiB\"", "limits.buffers: 2TiB is out of bounds: it can be 1MiB to 1TiB"),
            ("[limits]\nbuffer = \"512MiB\"", "headwater.toml, limits.buffers: all connections cannot have less"),
            ("[limits]\narguments = 3", "limits.arguments: 3 is out of bounds: it can be 64 to 100000"),
            ("[limits]\nrules = 10000", "limits.rules: 10000 is out of bounds: it can be 64 to 8192"),
            ("[limits]\nnames = 0", "limits.names: 0 is out of bounds"),
            ("[limits]\nmatches = 0", "limits.matches: 0 is out of bounds"),
            ("[limits]\nlog_lines = 0", "limits.log_lines: 0 is out of bounds: it can be 1 to 10000"),
            ("[scrub]\nrate = \"1KiB\"", "scrub.rate: 1KiB is out of bounds: it can be 64KiB to 1TiB"),
            ("[scrub]\nrate = 5", "scrub.rate: 5 stands where a size in quotes, such as \"64MiB\", or \"off\" belongs"),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(expected) && !why.contains('\n'), "{text}: {why}");
        }
    }
}
