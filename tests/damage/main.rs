//! What is done to a node here: killed at every step, fed rubbish, robbed of its disk, told to stop. With the real program and
//! stock rsync.
//!
//! Each module is one kind of damage; `place`, `node`, `edition`, `client` and the relay of `rig` are what they are done with. Servers
//! listen on free ports of 127.0.0.1, everything lives in temporary directories, every process ends with the value that holds
//! it, and every wait is for a condition and bounded (`wait`). Deliberately absent: power cuts of a real disk (what was
//! written and not synced stays written when a process is killed).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says where it failed, and that is enough"
)]

mod bad;
mod change;
mod client;
mod clock;
mod config;
mod crowd;
mod database;
mod disk;
mod edition;
mod full;
mod hoard;
mod kill;
mod node;
mod place;
mod read_only;
mod records;
#[path = "../rig/mod.rs"]
mod rig;
mod rude;
mod scrub;
mod session;
mod source;
mod stop;
mod tight;
mod wait;
mod waiting;
