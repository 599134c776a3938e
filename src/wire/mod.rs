//! The rsync daemon protocol, versions 30 to 32, for pulls: formats and conversation, without any I/O.
//!
//! ```text
//!  client                                    daemon
//!    |  <- greeting, message of the day        |
//!    |  greeting, module name ->               |  greeting
//!    |  <- challenge; user and answer ->        |  login, where a module wants it
//!    |  <- OK                                  |
//!    |  arguments ->                           |  args, options
//!    |  <- compat flags, name lists, seed      |
//!    |  name lists ->                          |  setup
//!    |===== frames from here on, both ways ====|  mux
//!    |  filter rules ->                        |  rules, wild, filter
//!    |  names of files ->                      |  args, with --files-from
//!    |  <- file list, names of ids             |  flist, flist_write, flist_read, order
//!    |  requests, block sums ->                |  sums
//!    |  <- replies: tokens, whole-file sums    |  delta, tokens
//!    |  DONE markers <->                       |
//!    |  <- statistics; goodbye <->             |
//! ```
//!
//! [`sender`] is the daemon's half of this picture as one state machine: bytes in, steps out. Everything it is made
//! of can be used alone. The chapters of the protocol's description are named where a rule comes from it.
//! Nothing here reads a clock, a file or a socket, and no peer can make any of it panic or grow without bound.

pub mod args;
pub mod block_sums;
pub mod delta;
pub mod error;
pub mod filter;
pub mod flist;
pub mod flist_read;
pub mod flist_write;
pub mod greeting;
pub mod login;
pub mod mux;
pub mod numbers;
pub mod options;
pub mod order;
pub mod pattern;
pub mod rules;
pub mod sender;
pub mod setup;
pub mod sums;
pub mod token_read;
pub mod tokens;
pub mod wild;

mod option_parser;
mod option_table;
mod quote;
mod sender_answers;
mod sender_asking;
mod sender_bulk;
mod sender_input;
mod sender_output;
mod sender_phase;
mod sender_reply;
mod sender_request;
mod sender_start;
mod sender_step;
mod sender_transfer;
mod token_lz4;
mod token_zlib;
mod token_zstd;

#[cfg(test)]
mod token_tests;

#[cfg(test)]
mod flist_tests;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod sender_asking_tests;
#[cfg(test)]
mod sender_tests;
