//! The node: the only place that knows all neighbours. It composes; it does not compute.
//!
//! ```text
//!  control.sock ──Request──► desk ──order──► intake loop ──► publisher (store, keys, topology)
//!                             │ status            │ published (watch)
//!                             ▼                   ▼
//!                        reader, tally        serve ◄── clients
//! ```
//!
//! Every loop has a name and an owner (`tasks`); the end of one ends the node. The publisher is the
//! one writer of the store: it lives in the intake loop of a running node, or in the one command that
//! runs where no node does. [`intake`] is the whole course of one snapshot.

pub mod backup;
mod beside;
pub mod clock;
pub mod config;
mod config_check;
mod config_meaning;
mod config_raw;
mod config_sources;
mod config_text;
mod config_values;
mod copied;
pub mod copy_error;
pub mod demo;
mod demo_check;
mod descriptors;
mod desk;
mod diff;
pub mod error;
pub mod export;
mod export_tree;
mod give_back;
mod holds;
pub mod init;
pub mod inspect;
pub mod intake;
mod jobs;
mod keeps;
pub mod local;
mod manifest;
mod modules;
mod plain;
mod publisher;
mod report;
pub mod restore;
mod rollback;
pub mod run;
pub mod sample_out;
pub mod scrub;
mod scrubbing;
mod secrets;
pub mod supervisor;
mod tasks;
mod transfer_log;
pub mod watch;
mod whose;
pub mod words;
