//! What operators are told of a node: status, channels, history. Values in, values out.
//!
//! The same for a running node and for a command that opens the store itself.

use std::net::SocketAddr;
use std::time::Duration;

use super::error::NodeError;
use super::publisher::{Board, Shown};
use crate::control::{
    Changes, ChannelLog, ChannelStatus, Disk, Door, KeptByHand, KeptGeneration, ListedChannel, Listener, LogOrder,
    LoggedGeneration, ModuleLine, Newest, Role, StatusReport, Traffic,
};
use crate::names::{Address, ChannelName, Generation};
use crate::serve;
use crate::store::{self, Kept, Mount, Publication, Space};

/// A tree that is older than this is worth a word: clients warn their users after three days.
const OLD: Duration = Duration::from_secs(3 * 24 * 3600);

/// Clocks are set by so many seconds now and then, and nobody needs to know.
const CLOCK_SLACK: i64 = 5 * 60;

/// Less free space than this is worth a word.
const LOW_DISK: u64 = 1 << 30;

/// Said of a data directory that cannot be written.
pub(super) const READ_ONLY: &str = "the data directory is on a read-only file system: what is published is served, nothing \
                                    can be changed; mount it writable, then start the node again";

/// Contents set aside that a report names one by one.
const NAMED: usize = 5;

/// What a running node adds to its report.
#[derive(Clone, Debug, Default)]
pub(super) struct Running {
    pub(super) started: Option<i64>,
    pub(super) listeners: Vec<SocketAddr>,
    pub(super) traffic: serve::Traffic,
}

pub(super) fn status(board: &Board, running: &Running, space: Space, now: i64) -> StatusReport {
    let node = board.topology.node(&board.node);
    let modules = node.into_iter().flat_map(|node| board.topology.modules_on(node));
    StatusReport {
        node: board.node.clone(),
        federation: board.topology.federation.clone(),
        role: node.map_or(Role::Gateway, |node| node.role),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: running.started,
        now,
        channels: board.channels.iter().map(channel).collect(),
        modules: modules
            .map(|module| ModuleLine {
                name: module.name.clone(),
                channel: module.channel.clone(),
                comment: module.comment.clone(),
            })
            .collect(),
        listeners: running.listeners.iter().map(|address| Listener { door: Door::Rsync, address: *address }).collect(),
        traffic: Traffic {
            connections_now: running.traffic.open,
            connections_total: running.traffic.accepted,
            bytes_served: running.traffic.sent_bytes,
            clients_refused: running.traffic.refused,
        },
        disk: Disk { free: space.free, total: space.total, data: space.used },
        kept: board.kept.iter().filter_map(kept_generation).collect(),
        scrub: board.scrub,
        warnings: warnings(board, space, now),
    }
}

fn channel(shown: &Shown) -> ChannelStatus {
    let newest = shown.newest.as_ref().map(|(publication, _)| Newest {
        generation: publication.generation,
        snapshot: publication.snapshot,
        entries: publication.entries,
        bytes: publication.bytes,
        published: publication.time,
    });
    ChannelStatus { name: shown.channel.clone(), newest }
}

/// What is wrong, a sentence each.
fn warnings(board: &Board, space: Space, now: i64) -> Vec<String> {
    let mut found = Vec::new();
    for shown in &board.channels {
        match &shown.newest {
            None => {
                let repository = shown.channel.repository();
                let why = match &shown.head {
                    None => "has no generation yet".to_owned(),
                    Some(head) if head.kept == Kept::Swept => "has no generation any more".to_owned(),
                    Some(head) => format!("cannot be served, its generation {} is damaged", head.generation.get()),
                };
                found.push(format!("{} {why}: headwater import DIR --repository {repository}", shown.channel));
            }
            Some((publication, current)) => {
                let age = Duration::from_secs(u64::try_from(now.saturating_sub(publication.time)).unwrap_or(0));
                if age > OLD {
                    let days = age.as_secs() / 86_400;
                    found.push(format!("{} was last published {days} days ago", shown.channel));
                }
                let ahead = publication.time.saturating_sub(now);
                if ahead > CLOCK_SLACK {
                    let minutes = ahead / 60;
                    found.push(format!(
                        "{} was published {minutes} min after what this machine's clock says: set the clock right",
                        shown.channel
                    ));
                }
                let missing = current.located.missing().count();
                if missing > 0 {
                    found.push(format!(
                        "{} lacks {missing} contents, which are answered with an error: import the tree again to mend them",
                        shown.channel
                    ));
                }
            }
        }
    }
    found.extend(board.strays.iter().take(NAMED).map(stray));
    if board.strays.len() > NAMED {
        found.push(format!("and {} more channels are not in topology.toml", board.strays.len() - NAMED));
    }
    found.extend(board.damaged.iter().take(NAMED).map(damaged));
    if board.damaged.len() > NAMED {
        found.push(format!("and {} more generations are damaged", board.damaged.len() - NAMED));
    }
    for bad in board.bad.iter().take(NAMED) {
        found.push(format!("content {} is bad and was set aside: {}", bad.id.short(), bad.reason));
    }
    if board.bad.len() > NAMED {
        found.push(format!("and {} more contents are bad", board.bad.len() - NAMED));
    }
    if space.mount == Mount::ReadOnly {
        found.push(READ_ONLY.to_owned());
    } else if space.free < LOW_DISK {
        found.push(format!("only {} MiB are free for the data directory", space.free >> 20));
    }
    found
}

/// What is said of a channel that the topology has left out.
fn stray(newest: &Publication) -> String {
    let Publication { channel, bytes, .. } = newest;
    let mebibytes = bytes.div_ceil(1 << 20);
    format!(
        "{channel} is not in topology.toml, and keeps what it had (its newest generation has {mebibytes} MiB): put it back, or \
         give it up with `headwater channel forget {channel}`"
    )
}

/// What is said of a generation whose list of files is damaged.
fn damaged(one: &Publication) -> String {
    let name = format!("{}@{}", one.channel, one.generation);
    let until = match one.by_hand {
        Some(_) => format!("`headwater channel release {name}` gives it up"),
        None => "the next sweep drops it".to_owned(),
    };
    format!(
        "the list of files of {name} is damaged, and no content is freed until it is gone: a backup may have it; {until}"
    )
}

/// Reads the history of a channel, newest generation first or last.
pub(super) type History<'a> = dyn FnMut(&ChannelName) -> Result<Vec<Publication>, NodeError> + 'a;

pub(super) fn channels(board: &Board, history: &mut History<'_>) -> Result<Vec<ListedChannel>, NodeError> {
    let mut listed = Vec::with_capacity(board.channels.len());
    for shown in &board.channels {
        let kept = generations(&shown.channel, history)?;
        let modules = board.topology.modules.iter().filter(|module| module.channel == shown.channel);
        listed.push(ListedChannel {
            status: channel(shown),
            generations_kept: u64::try_from(kept.len()).unwrap_or(u64::MAX),
            by_hand: kept.iter().filter_map(kept_generation).collect(),
            modules: modules.map(|module| module.name.clone()).collect(),
        });
    }
    Ok(listed)
}

pub(super) fn log(board: &Board, order: &LogOrder, history: &mut History<'_>) -> Result<ChannelLog, NodeError> {
    let (channel, only) = chosen(board, order.address.as_ref())?;
    let mut generations = generations(&channel, history)?;
    if let Some(only) = only {
        generations = vec![numbered(&channel, only, generations)?];
    }
    if let Some(most) = order.most {
        generations.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    }
    Ok(ChannelLog { channel, generations: generations.into_iter().map(logged).collect() })
}

/// The generation that an address names, or the newest one of its channel, which must be kept.
pub(super) fn kept(board: &Board, address: &Address, history: &mut History<'_>) -> Result<Publication, NodeError> {
    let (channel, only) = chosen(board, Some(address))?;
    let generations = generations(&channel, history)?;
    match only {
        Some(only) => numbered(&channel, only, generations),
        None => generations
            .into_iter()
            .next()
            .ok_or_else(|| NodeError::NoChannel { what: format!("{channel} has no generation"), known: none_yet() }),
    }
}

/// The kept generations of a channel, newest first.
fn generations(channel: &ChannelName, history: &mut History<'_>) -> Result<Vec<Publication>, NodeError> {
    let mut generations = history(channel)?;
    generations.retain(|publication| publication.kept == Kept::Yes);
    generations.sort_by_key(|publication| std::cmp::Reverse((publication.term, publication.generation)));
    Ok(generations)
}

/// The one with this number; of the newest term, should several have it.
fn numbered(channel: &ChannelName, only: Generation, generations: Vec<Publication>) -> Result<Publication, NodeError> {
    let numbers: Vec<String> = generations.iter().map(|kept| kept.generation.to_string()).collect();
    generations.into_iter().find(|publication| publication.generation == only).ok_or_else(|| {
        let known = if numbers.is_empty() { none_yet() } else { numbers.join(", ") };
        NodeError::NoChannel { what: format!("{channel} keeps no generation {}", only.get()), known }
    })
}

fn none_yet() -> String {
    "none yet".to_owned()
}

/// How a generation is kept by hand, as an operator is told.
pub(super) fn by_hand(kept: store::KeptByHand) -> KeptByHand {
    KeptByHand { name: kept.name, since: kept.since }
}

fn kept_generation(publication: &Publication) -> Option<KeptGeneration> {
    let kept = publication.by_hand.clone()?;
    let Publication { channel, generation, .. } = publication;
    Some(KeptGeneration { channel: channel.clone(), generation: *generation, by_hand: by_hand(kept) })
}

fn logged(publication: Publication) -> LoggedGeneration {
    let changes = publication.changes;
    LoggedGeneration {
        generation: publication.generation,
        snapshot: publication.snapshot,
        published: publication.time,
        term: publication.term,
        entries: publication.entries,
        bytes: publication.bytes,
        changes: Changes { added: changes.added, removed: changes.removed, changed: changes.changed },
        source: publication.source.unwrap_or_default(),
        rollback_of: publication.rollback_of,
        by_hand: publication.by_hand.map(by_hand),
    }
}

fn known(board: &Board) -> String {
    let names: Vec<String> = board.channels.iter().map(|shown| shown.channel.to_string()).collect();
    names.join(", ")
}

/// The channel that an order means: the one it names, or the only one there is.
fn chosen(board: &Board, address: Option<&Address>) -> Result<(ChannelName, Option<Generation>), NodeError> {
    let fits = |shown: &&Shown| match address {
        None => true,
        Some(address) => {
            shown.channel.repository() == &address.repository
                && address.channel.as_deref().is_none_or(|name| name == shown.channel.channel())
        }
    };
    let mut fitting = board.channels.iter().filter(fits);
    let asked = address.map_or_else(|| "a channel must be named".to_owned(), |address| format!("no channel {address}"));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok((one.channel.clone(), address.and_then(|address| address.generation))),
        (None, _) => Err(NodeError::NoChannel { what: asked, known: known(board) }),
        (Some(_), Some(_)) => {
            Err(NodeError::NoChannel { what: "several channels fit: name one of them".to_owned(), known: known(board) })
        }
    }
}
