//! What the bench programs share: a stage on the disk, the two servers, clients, readings of /proc, and the table.
//!
//! Both servers see the same tree on the same disk with a warm page cache, and take turns in going first. A warm-up round
//! is run and not counted; what is told is the median of the others. Every wait has an end, and every process that is
//! started ends with the program.

pub(crate) mod clients;
pub(crate) mod copies;
pub(crate) mod health;
pub(crate) mod ledger;
pub(crate) mod machine;
pub(crate) mod options;
pub(crate) mod proc;
pub(crate) mod server;
pub(crate) mod source;
pub(crate) mod stage;
pub(crate) mod table;
pub(crate) mod tally;
pub(crate) mod visit;
