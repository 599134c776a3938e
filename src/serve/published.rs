//! What the serving side reads: the modules, and for each the snapshot that is current.
//!
//! `node` makes a new `Published` for each publication and each reload and hands it over in a `watch`;
//! a connection takes one `Arc` of a module at its request line and keeps it to the end. Nothing in
//! here changes after it was made, except the count of connections in use, which lives on from one
//! `Published` to the next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::hosts::HostRules;
use crate::names::{ChannelName, Generation, ModuleName};
use crate::store::{Located, Pin};

/// A generation in service. As long as somebody holds it, the pin keeps its contents from being swept.
#[derive(Debug)]
pub struct Current {
    /// The channel it belongs to.
    pub channel: ChannelName,
    /// Its number.
    pub generation: Generation,
    /// The snapshot, and where each content lies.
    pub located: Located,
    /// Keeps its contents.
    pub pin: Pin,
}

/// Whether the module list shows a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListingVisibility {
    /// In the list.
    Listed,
    /// Served to who knows the name; a denied host is told that it does not exist.
    Hidden,
}

/// Places for connections of one module; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Slots(Arc<AtomicUsize>);

/// One taken place; given back on drop.
#[derive(Debug)]
pub(crate) struct Slot(Slots);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Slots {
    /// Takes a place, unless `limit` are taken.
    pub(crate) fn take(&self, limit: Option<usize>) -> Option<Slot> {
        let one_more = |taken: usize| limit.is_none_or(|limit| taken < limit).then_some(taken + 1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok().map(|_| Slot(self.clone()))
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// One module, as clients see it.
#[derive(Debug)]
pub struct Module {
    /// Its name in URLs.
    pub name: ModuleName,
    /// What the module list says of it.
    pub comment: String,
    /// Whether the module list shows it.
    pub visibility: ListingVisibility,
    /// Who may use it.
    pub hosts: HostRules,
    /// How many connections may use it at once; `None`: no limit of its own.
    pub max_connections: Option<usize>,
    /// Ends silent connections; `None`: the client decides.
    pub timeout: Option<Duration>,
    /// Text for clients that chose this module; empty: none.
    pub motd: Vec<u8>,
    /// Whether transfers are logged.
    pub transfer_log: bool,
    /// The directory inside the snapshot that is the module's root; empty: the whole.
    pub path: Vec<u8>,
    /// What is served; `None` until the channel's first publication.
    pub current: Option<Arc<Current>>,
    /// Connections in use.
    pub slots: Slots,
}

/// Everything that is served at one moment.
#[derive(Debug, Default)]
pub struct Published {
    /// By name, in the order of the module list.
    pub modules: Vec<Arc<Module>>,
    /// Text for every client, after the greeting; empty: none.
    pub motd: Vec<u8>,
    /// What connections may take.
    pub limits: ServeLimits,
}

/// What one connection and all of them together may take.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServeLimits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address.
    pub per_client: usize,
    /// From accept to the end of the client's arguments and rules.
    pub handshake: Duration,
    /// Longest time without progress, for clients that set no timeout.
    pub idle: Duration,
    /// Bytes of encoded file lists that are kept.
    pub list_cache: usize,
    /// Requests that are gathered before they are answered.
    pub batch: usize,
}

impl Published {
    /// The module of that name.
    pub fn module(&self, name: &[u8]) -> Option<&Arc<Module>> {
        self.modules.iter().find(|module| module.name.as_str().as_bytes() == name)
    }

    /// The counts of connections in use, to be carried into the next `Published`.
    pub fn slots(&self) -> BTreeMap<String, Slots> {
        self.modules.iter().map(|m| (m.name.as_str().to_owned(), m.slots.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let slots = Slots::default();
        let first = slots.take(Some(1));
        assert!(first.is_some());
        assert!(slots.take(Some(1)).is_none());
        assert_eq!(slots.taken(), 1, "a refused one leaves no trace");
        drop(first);
        assert!(slots.take(Some(1)).is_some());
    }
}
