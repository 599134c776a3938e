//! What the serving side reads: the modules, and for each the snapshot that is current.
//!
//! `node` makes a new `Published` for each publication and each reload and hands it over in a `watch`;
//! a connection takes one `Arc` of a module at its request line and keeps it to the end. Nothing in
//! here changes after it was made, except the count of connections in use and the module's pace, which live on from one
//! `Published` to the next.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ipnet::IpNet;

use super::hosts::HostRules;
use super::log_format::LogFormat;
use super::pace::Bucket;
use super::pipe::PATIENCE_FACTOR;
use super::secrets::Auth;
use crate::names::{ChannelName, Generation, ModuleName};
use crate::store::{Located, Pin};
use crate::wire::filter::Filters;
use crate::wire::sender::{ARGUMENTS, Bound, Limits, NAMES, RULES};

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

/// What of a module lives on from one [`Published`] to the next, so that none gives more than a limit says.
#[derive(Clone, Debug, Default)]
pub struct Lasting {
    /// Connections in use.
    pub slots: Slots,
    /// The pace of all connections together.
    pub bucket: Bucket,
}

/// Whom the entries of a module belong to, as clients are told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ownership {
    /// The owner's number.
    pub uid: u32,
    /// The owner's name.
    pub user: String,
    /// The group's number.
    pub gid: u32,
    /// The group's name.
    pub group: String,
}

impl Default for Ownership {
    /// root, as on every mirror.
    fn default() -> Ownership {
        let root = || "root".to_owned();
        Ownership { uid: 0, user: root(), gid: 0, group: root() }
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
    /// How a line of the transfer log looks.
    pub log_format: Arc<LogFormat>,
    /// Who must log in; `None`: nobody.
    pub auth: Option<Auth>,
    /// Bytes per second for each connection; `None`: no limit.
    pub bwlimit: Option<u64>,
    /// The pace of all connections together.
    pub bucket: Bucket,
    /// What clients see of the module's directory.
    pub filters: Arc<Filters>,
    /// Whom the entries belong to.
    pub ownership: Ownership,
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
    /// By name, what lasts of modules that are not served any more and are still in use: they may come back.
    pub left: BTreeMap<String, Lasting>,
    /// Text for every client, after the greeting; empty: none.
    pub motd: Vec<u8>,
    /// What connections may take.
    pub limits: ServeLimits,
    /// Proxies: connections from there begin with a PROXY header that says whose they are.
    pub proxies: Vec<IpNet>,
}

/// What one connection and all of them together may take.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address.
    pub per_client: usize,
    /// Connections at once from one network of clients, /24 or /64; 0: no limit of its own.
    pub per_network: usize,
    /// From accept to the end of the client's arguments and rules.
    pub handshake: Duration,
    /// Longest time without progress, for clients that set no timeout.
    pub idle: Duration,
    /// Bytes of encoded file lists that are kept.
    pub list_cache: usize,
    /// Requests that are gathered before they are answered.
    pub batch: usize,
    /// Bytes that wait to be written on one connection.
    pub buffer: usize,
    /// Bytes that wait to be written on all connections, the lists of the cache aside, and bytes of what clients have sent
    /// and is not done.
    pub buffers: usize,
    /// Arguments of one client.
    pub arguments: usize,
    /// Filter rules of one client.
    pub rules: usize,
    /// Names that one client lists with `--files-from`.
    pub names: usize,
    /// Entries that the wildcards of one client may match.
    pub matches: usize,
    /// Lines a second that one client may cause in the log; 0: no limit.
    pub log_lines: u32,
}

impl Default for ServeLimits {
    /// What holds where nothing is configured.
    fn default() -> ServeLimits {
        ServeLimits {
            connections: 500,
            per_client: 100,
            per_network: 0,
            handshake: Duration::from_secs(60),
            idle: Duration::from_secs(600),
            list_cache: 256 << 20,
            batch: 2048,
            buffer: 1 << 20,
            buffers: 256 << 20,
            arguments: ARGUMENTS.count,
            rules: RULES.count,
            names: NAMES.count,
            matches: 100_000,
            log_lines: 10,
        }
    }
}

/// Longest timeout that clients take from a server, in seconds (protocol 11.3).
const LONGEST_TOLD: u32 = 86_400;

impl ServeLimits {
    /// The timeout that clients are told of that have none, in seconds: several keep-alives are due in `idle`.
    pub(crate) fn silence(&self) -> u32 {
        u32::try_from(self.idle.as_secs()).unwrap_or(u32::MAX).div_ceil(PATIENCE_FACTOR).clamp(1, LONGEST_TOLD)
    }

    /// The bounds of a connection's protocol machine.
    pub(crate) fn of_sender(&self) -> Limits {
        let most = Limits::default();
        let count = |count: usize, bound: Bound| Bound { count, ..bound };
        Limits {
            // One request may pass it, however small it is; the next one then waits.
            waiting_bytes: self.buffer.min(most.waiting_bytes),
            arguments: count(self.arguments, most.arguments),
            rules: count(self.rules.min(most.rules.count), most.rules),
            names: count(self.names, most.names),
            ..most
        }
    }
}

impl Published {
    /// The module of that name.
    pub fn module(&self, name: &[u8]) -> Option<&Arc<Module>> {
        self.modules.iter().find(|module| module.name.as_str().as_bytes() == name)
    }

    /// What is to be carried into the next `Published`, by the name of the module. Modules that are not served any more
    /// last as long as somebody is inside.
    pub fn lasting(&self) -> BTreeMap<String, Lasting> {
        let left = self.left.iter().filter(|(_, lasting)| lasting.slots.taken() > 0);
        let left = left.map(|(name, lasting)| (name.clone(), lasting.clone()));
        let lasting = |m: &Module| Lasting { slots: m.slots.clone(), bucket: m.bucket.clone() };
        left.chain(self.modules.iter().map(|m| (m.name.as_str().to_owned(), lasting(m)))).collect()
    }

    /// Whether a connection from there begins with a PROXY header.
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.proxies.iter().any(|network| network.contains(&address))
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
