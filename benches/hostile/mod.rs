//! Clients that mean no good, in a process of their own: a bench program runs itself again with a hidden word.
//!
//! So their memory, their open files and their failures are not those of whoever measures. They come from many addresses
//! of 127.0.0.0/8, since a node has limits for each. Everything that they do is the same in each run. Deliberately absent:
//! any judgement of what the node answers; that is told, and judged by whoever started them.

pub(crate) mod child;
pub(crate) mod handle;
pub(crate) mod kinds;
pub(crate) mod session;
