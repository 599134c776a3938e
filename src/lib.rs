//! headwater: a tiered mirror cascade for Gentoo fleets, and for other trees that travel by rsync.
//!
//! # Code map
//!
//! The house has floors. A folder imports only from lower floors: not sideways, not up.
//! Floors 0 to 2 are *dry*: no async, sockets, files, clock, environment, randomness or serde;
//! they can be tested with text and fuzzed as they are. Above the waterline code reads and
//! writes, and decides as little as possible. `tests/tidy.rs` holds these walls.
//!
//! ```text
//! floor 6   cli                        commands, exit codes
//! floor 5   node                       the only place that knows all neighbours
//! floor 4   fetch    serve    control  the three mouths: in, out, talk
//! floor 3   store    identity          disk; keys
//! ~~~~~~~~~~~~~~~~~~~~~~~~~ waterline ~~~~~~~~~~~~~~~~~~~~~~~~~
//! floor 2   cascade  sample            decisions; and a tree to try it all on
//! floor 1   portage  wire              formats: the tree's own files, the rsync protocol
//! floor 0   tree     names  fault      nouns
//! ```
//!
//! Where to start reading:
//!
//! - [`tree`]: [`tree::Snapshot`], the value in the middle: an immutable, sorted list of entries,
//!   whose id is the digest of its canonical text.
//! - [`wire`]: the rsync protocol without I/O. [`wire::sender::Sender`] is the daemon's side of one
//!   connection as a state machine: bytes in, steps out.
//! - [`store`]: one SQLite database and some large files; ingest → staged → published.
//! - [`serve`]: drives a `Sender` over a socket and answers its steps from a snapshot in memory.
//! - [`node::intake`]: the whole course of one snapshot, from a directory to the clients, in one file.
//!
//! Invariants that hold everywhere: a snapshot never changes; a head is moved only when all that it
//! names is durable; a connection serves exactly one snapshot from its request line to goodbye;
//! nothing from a peer is used before its bound was checked.

pub mod cascade;
pub mod cli;
pub mod control;
pub mod fault;
pub mod fetch;
pub mod identity;
pub mod names;
pub mod node;
pub mod portage;
pub mod sample;
pub mod serve;
pub mod store;
pub mod tree;
pub mod wire;
