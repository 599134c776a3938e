//! From topology, configuration and what is published to what the serving side reads.
//!
//! Made anew after each publication and each reload, on a blocking thread, since it reads the message of the
//! day; counts of connections in use are carried over by module name, so a reload never lets more clients in
//! than a limit says.

use std::path::Path;
use std::sync::Arc;

use super::config::Config;
use super::publisher::Board;
use crate::cascade;
use crate::serve::{
    Bucket, HostPattern, HostRules, ListingVisibility, Module, Ownership, Published, ServeLimits, Slots,
};
use crate::store::Keep;

/// A message of the day is some lines; more is cut off.
const MAX_MOTD_BYTES: u64 = 64 << 10;

/// Requests that a connection gathers before it reads the store: many files in one range read, little memory.
const BATCH: usize = 2048;

/// What is served from now on.
pub(super) fn published(board: &Board, config: &Config, before: &Published) -> Published {
    let (slots, buckets) = (before.slots(), before.buckets());
    let node = board.topology.node(&board.node);
    let modules = node.into_iter().flat_map(|node| board.topology.modules_on(node));
    let modules = modules.map(|module| {
        let name = module.name.as_str();
        let slots = slots.get(name).cloned().unwrap_or_default();
        let bucket = buckets.get(name).cloned().unwrap_or_default();
        Arc::new(served(module, board, slots, bucket))
    });
    Published {
        modules: modules.collect(),
        motd: motd(config.motd.as_deref()),
        limits: limits(config),
        proxies: Vec::new(),
    }
}

fn served(module: &cascade::Module, board: &Board, slots: Slots, bucket: Bucket) -> Module {
    let shown = board.channels.iter().find(|shown| shown.channel == module.channel);
    let path = module.path.as_path();
    Module {
        name: module.name.clone(),
        comment: module.comment.clone(),
        visibility: if module.list { ListingVisibility::Listed } else { ListingVisibility::Hidden },
        hosts: HostRules { allow: patterns(&module.hosts_allow), deny: patterns(&module.hosts_deny) },
        max_connections: module.max_connections.and_then(|limit| usize::try_from(limit).ok()),
        timeout: module.timeout,
        motd: module.motd.clone().into_bytes(),
        transfer_log: module.transfer_log,
        log_format: Arc::default(),
        auth: None,
        bwlimit: None,
        bucket: bucket.at(None),
        filters: Arc::default(),
        ownership: Ownership::default(),
        path: if path.is_root() { Vec::new() } else { path.as_bytes().to_vec() },
        current: shown.and_then(|shown| shown.newest.as_ref()).map(|(_, current)| current.clone()),
        slots,
    }
}

fn patterns(networks: &[ipnet::IpNet]) -> Vec<HostPattern> {
    networks.iter().copied().map(HostPattern::Network).collect()
}

/// The bounds of the serving side.
pub(super) fn limits(config: &Config) -> ServeLimits {
    let limits = &config.limits;
    let whole = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    ServeLimits {
        connections: whole(limits.connections),
        per_client: whole(limits.per_client),
        handshake: limits.handshake,
        idle: limits.idle,
        list_cache: usize::try_from(limits.memory).unwrap_or(usize::MAX),
        batch: BATCH,
        ..ServeLimits::default()
    }
}

/// Which generations are kept.
pub(super) fn keep(config: &Config) -> Keep {
    let whole = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Keep { generations: whole(config.keep.generations), hours: config.keep.hours, most: whole(config.keep.most) }
}

/// The file that greets every client. It is no reason not to serve.
fn motd(path: Option<&Path>) -> Vec<u8> {
    use std::io::Read;
    let Some(path) = path else { return Vec::new() };
    let read = || {
        // Opening a FIFO would wait for its writer.
        if !std::fs::metadata(path)?.is_file() {
            return Err(std::io::Error::other("it is no regular file"));
        }
        let mut text = Vec::new();
        std::fs::File::open(path)?.take(MAX_MOTD_BYTES).read_to_end(&mut text)?;
        Ok(text)
    };
    match read() {
        Ok(text) => text,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "read the message of the day; clients get none");
            Vec::new()
        }
    }
}
