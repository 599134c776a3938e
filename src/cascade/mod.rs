//! The federation on paper: the topology that an admin writes, read and checked.
//!
//! Pure functions from text to values: [`Topology::parse`] finds every mistake at once and says where each one is, so an
//! admin mends a file in one go. Whoever gets a [`Topology`] asks nothing again: its names are known, its references lead
//! somewhere, one node is the gateway.
//! Deliberately absent: files, sockets and time, and the types of the TOML parser beyond this folder.

mod byte_size;
mod mistake;
mod module_read;
mod module_values;
mod rsyncd_conf;
mod rsyncd_conf_directive;
mod rsyncd_conf_keys;
mod rsyncd_conf_module;
mod rsyncd_conf_node;
mod rsyncd_conf_report;
#[cfg(test)]
mod rsyncd_conf_tests;
mod rsyncd_conf_users;
mod rsyncd_conf_words;
mod rsyncd_conf_write;
mod toml_read;
mod topology;
mod topology_check;
mod topology_read;
mod values;

pub use byte_size::ByteSize;
pub use mistake::{MAX_MISTAKES, Mistake};
pub use module_values::{AuthUser, FilterKind, FilterRule, Grant, HostPattern, LoginDigest, Ownership};
pub use rsyncd_conf::RsyncdConfError;
pub use rsyncd_conf_report::{Finding, Source, Surroundings, Translation, Verdict};
pub use toml_read::Words;
pub use topology::{Channel, Module, Node, Nodes, Repository, RepositoryKind, Role, Topology, Verify};
pub use values::{Endpoint, Upstream, networks};
