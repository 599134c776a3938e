//! The configuration as it is written: the schema of `headwater.toml`, with every default.
//!
//! Each key has a default that prints, so the defaults *are* the list of known keys. What holds between keys, and what a value means,
//! is decided in `config`, which turns a [`Raw`] into a `Config`; nothing else reads a [`Raw`].

use serde::{Deserialize, Serialize};

use super::config_values::{Addresses, ByteSize, Span};

/// All keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Raw {
    pub(super) name: String,
    pub(super) motd: String,
    pub(super) transfer_log: String,
    pub(super) drain: Span,
    pub(super) listen: RawListen,
    pub(super) limits: RawLimits,
    pub(super) log: RawLog,
    pub(super) keep: RawKeep,
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
    pub(super) memory: ByteSize,
    pub(super) idle: Span,
    pub(super) handshake: Span,
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

/// How log lines look.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For eyes.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

impl Raw {
    /// What holds where nothing is written.
    pub(super) fn defaults() -> Raw {
        Raw {
            name: String::new(),
            motd: String::new(),
            transfer_log: String::new(),
            drain: Span::seconds(30),
            listen: RawListen { rsync: Addresses::everywhere(), control: Addresses::OFF, http: Addresses::OFF },
            limits: RawLimits {
                connections: 500,
                per_client: 100,
                memory: ByteSize::new(256 << 20),
                idle: Span::seconds(600),
                handshake: Span::seconds(60),
            },
            log: RawLog { format: LogFormat::Text, filter: "info".to_owned() },
            keep: RawKeep { generations: 8, hours: 48, most: 64 },
        }
    }
}
