//! The command line: one file a command, what they print, and the exit codes.
//!
//! A command reads its arguments, asks a node (or, where none runs, the store) through `door::Door`, prints and ends. Results go to
//! standard output, everything else to standard error. Printing happens in this folder and nowhere else.
//!
//! Deliberately absent: decisions. A command that had to think would belong to a lower floor.

mod args;
mod args_channel;
mod args_stored;
mod backup;
mod channel;
mod completions;
mod config;
mod demo;
mod diff;
mod door;
mod exit;
mod export;
mod from_rsyncd;
mod held;
mod import;
mod init;
mod json;
mod json_stored;
mod keep;
mod logging;
mod man;
mod output;
mod progress;
mod reload;
mod restore;
mod rollback;
mod run;
mod sample;
mod scrub;
mod start;
mod status;
mod sweep;

pub use start::main;
