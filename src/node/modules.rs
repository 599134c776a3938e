//! From topology, configuration and what is published to what the serving side reads.
//!
//! Made anew after each publication and each reload, on a blocking thread, since it reads the message of the
//! day and the passwords; counts of connections in use and paces are carried over by module name, also past a reload that
//! leaves the module out, so a reload never gives more than a limit says. What was checked when the node started or was reloaded and is bad by now changes nothing:
//! passwords stay those that were in force.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::config::Config;
use super::error::NodeError;
use super::publisher::Board;
use super::secrets;
use crate::cascade::{self, FilterRule, LoginDigest, Topology};
use crate::names::NodeName;
use crate::serve::{
    Auth, AuthUser, Filters, Grant, HostPattern, HostRules, Lasting, ListingVisibility, LogFormat, Module, Ownership,
    PasswordDigest, Published, Secrets, ServeLimits, module_filters,
};
use crate::store::Keep;

/// A message of the day is some lines; more is cut off, in bytes.
pub(super) const MAX_MOTD: usize = 64 << 10;

/// Requests that a connection gathers before it reads the store: many files in one range read, little memory.
const BATCH: usize = 2048;

/// What lives on from one [`Published`] to the next.
struct Kept {
    /// By module name.
    lasting: BTreeMap<String, Lasting>,
    secrets: Arc<Secrets>,
    log_format: Arc<LogFormat>,
}

/// What is served from now on.
pub(super) fn published(board: &Board, config: &Config, before: &Published) -> Published {
    let mut kept = Kept {
        lasting: before.lasting(),
        secrets: passwords(config, before),
        log_format: log_format(&config.transfer_format),
    };
    let node = board.topology.node(&board.node);
    let modules = node.into_iter().flat_map(|node| board.topology.modules_on(node));
    Published {
        modules: modules.map(|module| Arc::new(served(module, board, &mut kept))).collect(),
        left: kept.lasting,
        motd: motd(config.motd.as_deref()),
        limits: limits(config),
        proxies: config.proxy.clone(),
    }
}

fn served(module: &cascade::Module, board: &Board, kept: &mut Kept) -> Module {
    let lasting = kept.lasting.remove(module.name.as_str()).unwrap_or_default();
    let shown = board.channels.iter().find(|shown| shown.channel == module.channel);
    let path = module.path.as_path();
    let owner = &module.ownership;
    let rules: Vec<String> = module.filters.iter().map(FilterRule::rule).collect();
    Module {
        name: module.name.clone(),
        comment: module.comment.clone(),
        visibility: if module.list { ListingVisibility::Listed } else { ListingVisibility::Hidden },
        hosts: HostRules { allow: hosts(&module.hosts_allow), deny: hosts(&module.hosts_deny) },
        max_connections: module.max_connections.and_then(|limit| usize::try_from(limit).ok()),
        timeout: module.timeout,
        motd: module.motd.clone().into_bytes(),
        transfer_log: module.transfer_log,
        log_format: module.log_format.as_deref().map_or_else(|| kept.log_format.clone(), log_format),
        auth: auth(module, kept),
        bwlimit: module.bwlimit,
        bucket: lasting.bucket.at(module.bwlimit_total),
        filters: filters(&rules),
        ownership: Ownership { uid: owner.uid, user: owner.user.clone(), gid: owner.gid, group: owner.group.clone() },
        path: if path.is_root() { Vec::new() } else { path.as_bytes().to_vec() },
        current: shown.and_then(|shown| shown.newest.as_ref()).map(|(_, current)| current.clone()),
        slots: lasting.slots,
    }
}

fn hosts(patterns: &[cascade::HostPattern]) -> Vec<HostPattern> {
    let pattern = |pattern: &cascade::HostPattern| match pattern {
        cascade::HostPattern::Network(net) => HostPattern::Network(*net),
        cascade::HostPattern::Name(name) => HostPattern::Name(name.clone()),
    };
    patterns.iter().map(pattern).collect()
}

fn auth(module: &cascade::Module, kept: &Kept) -> Option<Auth> {
    let user = |user: &cascade::AuthUser| AuthUser {
        pattern: user.pattern.clone(),
        grant: match user.grant {
            cascade::Grant::Read => Grant::Read,
            cascade::Grant::Deny => Grant::Deny,
        },
    };
    if module.auth_users.is_empty() {
        return None;
    }
    let weakest = match module.auth_digest {
        None | Some(LoginDigest::Md5) => PasswordDigest::Md5,
        Some(LoginDigest::Sha1) => PasswordDigest::Sha1,
        Some(LoginDigest::Sha256) => PasswordDigest::Sha256,
        Some(LoginDigest::Sha512) => PasswordDigest::Sha512,
    };
    Some(Auth { users: module.auth_users.iter().map(user).collect(), secrets: kept.secrets.clone(), weakest })
}

#[expect(clippy::expect_used, reason = "no topology is read without the same judge")]
fn filters(rules: &[String]) -> Arc<Filters> {
    module_filters(rules).expect("the rules of a topology that was read are rules")
}

fn log_format(format: &str) -> Arc<LogFormat> {
    Arc::new(LogFormat::parse(format).unwrap_or_default())
}

/// The bounds of the serving side.
pub(super) fn limits(config: &Config) -> ServeLimits {
    let limits = &config.limits;
    ServeLimits {
        connections: whole(limits.connections),
        per_client: whole(limits.per_client),
        per_network: limits.per_network.map_or(0, whole),
        handshake: limits.handshake,
        idle: limits.idle,
        list_cache: room(limits.memory),
        batch: BATCH,
        buffer: room(limits.buffer),
        buffers: room(limits.buffers),
        arguments: whole(limits.arguments),
        rules: whole(limits.rules),
        names: whole(limits.names),
        matches: whole(limits.matches),
        log_lines: limits.log_lines,
    }
}

/// Which generations are kept.
pub(super) fn keep(config: &Config) -> Keep {
    Keep { generations: whole(config.keep.generations), hours: config.keep.hours, most: whole(config.keep.most) }
}

fn whole(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn room(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Whether those who must log in on this node can: a node that lets nobody in is not what was meant.
///
/// # Errors
/// A module asks for logins and there is no file of passwords, or the one that there is cannot be used.
pub(super) fn check_logins(topology: &Topology, node: &NodeName, config: &Config) -> Result<(), NodeError> {
    let served = topology.node(node).into_iter().flat_map(|node| topology.modules_on(node));
    let lets_in = |module: &&cascade::Module| module.auth_users.iter().any(|user| user.grant == cascade::Grant::Read);
    let asks = served.into_iter().find(lets_in);
    match (&config.secrets, asks) {
        (Some(file), _) => {
            secrets::read(file).map(drop).map_err(|flaws| NodeError::Secrets { file: file.clone(), flaws })
        }
        (None, Some(module)) => Err(NodeError::NoSecrets { module: module.name.to_string() }),
        (None, None) => Ok(()),
    }
}

/// The passwords as they are now; if they cannot be read any more, as they were.
fn passwords(config: &Config, before: &Published) -> Arc<Secrets> {
    let Some(file) = &config.secrets else { return Arc::default() };
    secrets::read(file).unwrap_or_else(|flaws| {
        for flaw in flaws {
            tracing::error!(file = %file.display(), %flaw, "read the file of passwords; those that were in force stay");
        }
        let auth = before.modules.iter().find_map(|module| module.auth.as_ref());
        auth.map(|auth| auth.secrets.clone()).unwrap_or_default()
    })
}

/// The keys whose files say something else than before.
pub(super) fn read_anew(before: &Published, now: &Published) -> Vec<&'static str> {
    let passwords = |published: &Published| {
        published.modules.iter().find_map(|module| module.auth.as_ref()).map(|auth| auth.secrets.clone())
    };
    let secrets = passwords(before).zip(passwords(now)).is_some_and(|(before, now)| before != now);
    let changed = [("motd", before.motd != now.motd), ("secrets", secrets)];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
}

/// The file that greets every client. It is no reason not to serve.
fn motd(path: Option<&Path>) -> Vec<u8> {
    let Some(path) = path else { return Vec::new() };
    read_motd(path).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "read the message of the day; clients get none");
        Vec::new()
    })
}

/// A message of the day, cut off at [`MAX_MOTD`].
pub(super) fn read_motd(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    // Opening a FIFO would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut text = Vec::new();
    let most = u64::try_from(MAX_MOTD).unwrap_or(u64::MAX);
    std::fs::File::open(path)?.take(most).read_to_end(&mut text)?;
    Ok(text)
}
