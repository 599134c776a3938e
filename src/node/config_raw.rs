//! The configuration as it is written: the schema of `headwater.toml`, with every default.
//!
//! Each key has a default that prints, so the defaults *are* the list of known keys. What holds between keys, and what a value means,
//! is decided in `config`, which turns a [`Raw`] into a `Config`; nothing else reads a [`Raw`].

use serde::{Deserialize, Serialize};

use super::config_values::{Addresses, ByteSize, Networks, Rate, Span};

/// All keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Raw {
    pub(super) name: String,
    pub(super) motd: String,
    pub(super) secrets: String,
    pub(super) transfer_log: String,
    pub(super) transfer_format: String,
    pub(super) proxy: Networks,
    pub(super) drain: Span,
    pub(super) listen: RawListen,
    pub(super) limits: RawLimits,
    pub(super) log: RawLog,
    pub(super) keep: RawKeep,
    pub(super) scrub: RawScrub,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RawListen {
    pub(super) rsync: Addresses,
    pub(super) control: Addresses,
    pub(super) http: Addresses,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RawLimits {
    pub(super) connections: u32,
    pub(super) per_client: u32,
    pub(super) per_network: u32,
    pub(super) memory: ByteSize,
    pub(super) buffer: ByteSize,
    pub(super) buffers: ByteSize,
    pub(super) idle: Span,
    pub(super) handshake: Span,
    pub(super) arguments: u32,
    pub(super) rules: u32,
    pub(super) names: u32,
    pub(super) matches: u32,
    pub(super) log_lines: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RawLog {
    pub(super) format: LogFormat,
    pub(super) filter: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RawKeep {
    pub(super) generations: u32,
    pub(super) hours: u32,
    pub(super) most: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RawScrub {
    pub(super) rate: Rate,
}

/// How log lines look.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For eyes.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// The form of rsyncd's own transfer log.
const TRANSFER_FORMAT: &str = "%o %h [%a] %m (%u) %f %l";

impl Raw {
    /// What holds where nothing is written.
    pub(super) fn defaults() -> Raw {
        Raw {
            name: String::new(),
            motd: String::new(),
            secrets: String::new(),
            transfer_log: String::new(),
            transfer_format: TRANSFER_FORMAT.to_owned(),
            proxy: Networks::OFF,
            drain: Span::seconds(30),
            listen: RawListen { rsync: Addresses::everywhere(), control: Addresses::OFF, http: Addresses::OFF },
            limits: RawLimits {
                connections: 500,
                per_client: 100,
                per_network: 0,
                memory: ByteSize::new(256 << 20),
                buffer: ByteSize::new(1 << 20),
                buffers: ByteSize::new(256 << 20),
                idle: Span::seconds(600),
                handshake: Span::seconds(60),
                arguments: 16_000,
                rules: 8_192,
                names: 262_144,
                matches: 100_000,
                log_lines: 10,
            },
            log: RawLog { format: LogFormat::Text, filter: "info".to_owned() },
            keep: RawKeep { generations: 8, hours: 48, most: 64 },
            scrub: RawScrub { rate: Rate(None) },
        }
    }
}
