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

pub mod clock;
pub mod config;
mod config_check;
mod config_raw;
mod config_text;
mod config_values;
pub mod demo;
mod demo_check;
mod desk;
mod diff;
pub mod error;
mod give_back;
mod holds;
pub mod init;
pub mod intake;
mod jobs;
mod keeps;
pub mod local;
mod modules;
mod publisher;
mod report;
mod rollback;
pub mod run;
pub mod sample_out;
pub mod scrub;
mod scrubbing;
pub mod supervisor;
mod tasks;
mod transfer_log;
