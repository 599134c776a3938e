//! Every command as a user types it: what it prints, for people and for scripts, what it refuses, and its exit code.
//!
//! `making` is about new nodes, `mistakes` about what cannot be obeyed, `checking` about configurations that are looked at
//! without a start, `telling` about questions, `changing` about a node that runs and is told something new, `keeping` about
//! generations, `started` about a node that something else starts, as systemd does, `settings` about what stock clients see of
//! the two files, `stored` about bytes, `owned` about whose they are, `copies` about what exports, backups and restores
//! leave alone, `spoilt` about lists of files that are damaged.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says where it failed, and that is enough")]

mod changing;
mod checking;
mod copies;
mod forgetting;
mod keeping;
mod making;
mod mistakes;
mod owned;
#[path = "../rig/mod.rs"]
mod rig;
mod settings;
mod spoilt;
mod started;
mod stored;
mod telling;
