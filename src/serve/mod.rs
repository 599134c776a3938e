//! The mouth that gives: the rsync daemon around `wire`, answered from a snapshot in memory.
//!
//! ```text
//! listener ──accept──► guests ─► connection ──bytes──► wire::sender::Sender ──steps──► connection
//!                        │ Module   admission: hosts, places, passwords, the pinned snapshot
//!                        │ List     list_cache ─► view (which entries) ─► listing (encoded once)
//!                        │ Send     sending ─► contents: neighbours in one range read
//!                        │                  └► large ─► lanes ─► splice: page cache to socket
//!                        └ bytes ─► vectored writes, paced, with keep-alives
//! ```
//!
//! Invariants: a connection serves one snapshot from its request line to goodbye; it holds a bounded
//! number of bytes whatever the client does; nothing here writes to the store or follows a path
//! outside a snapshot. Deliberately absent: uploads, and any look at the disk's directories.

mod account;
mod admission;
mod arguments;
mod bad_content;
mod connection;
mod contents;
mod descent;
mod distfiles;
mod effort;
mod error;
mod follow;
mod guests;
mod hosts;
mod lanes;
mod large;
#[cfg(test)]
mod large_tests;
mod list_cache;
mod list_order;
mod listener;
mod listing;
mod log_format;
mod log_limit;
mod lookup;
mod module_filters;
mod module_log;
mod older;
mod pace;
mod part;
mod pipe;
mod proxy;
mod published;
mod queue;
mod resolve;
mod room;
mod secrets;
mod selection;
mod sending;
mod sent;
#[cfg(test)]
mod settings_tests;
mod splice;
mod tally;
mod telling;
#[cfg(test)]
mod tests;
mod view;

pub use bad_content::{BadContent, BadContents};
pub use contents::Readers;
pub use distfiles::ModuleKind;
pub use error::ServeError;
pub use hosts::{HostPattern, HostRules};
pub use listener::{Doors, Serving, serve};
pub use log_format::{DEFAULT_FORMAT, LogFormat, LogFormatError, lost_line};
pub use module_filters::{ModuleFiltersError, module_filters};
pub use module_log::{TransferLine, TransferLog};
pub use pace::Bucket;
pub use published::{Current, Lasting, ListingVisibility, Module, Ownership, Published, ServeLimits, Slots};
pub use secrets::{Auth, AuthUser, Grant, Secrets, SecretsMistake};
pub use tally::{Tally, Traffic};

pub use crate::wire::filter::Filters;
pub use crate::wire::greeting::PasswordDigest;
