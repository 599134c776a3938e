//! The one writer: store, keys and topology together, and what each channel shows now.
//!
//! It lives with the desk of a running node, or in the one command that runs where no node does; the store's lock makes
//! sure that it is one of them. All its methods block. What others may see of it is the [`Board`], a value that is made
//! anew after each change. A generation whose text is damaged costs its channel, and only until the next import: it is
//! named, and everything else is served.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::clock;
use super::config::Config;
use super::config_text::TOPOLOGY_FILE;
use super::error::{NodeError, file};
use super::intake::{Previous, stamp_of};
use super::modules;
use super::restore;
use super::scrubbing;
use super::words::WORDS;
use crate::cascade::{Repository, Role, Topology};
use crate::control::LastScrub;
use crate::identity::Identity;
use crate::names::{ChannelName, NodeName, RepositoryName};
use crate::serve::{BadContent, Current};
use crate::store::{Access, Bad, Keep, Kept, Located, Publication, Store, StoreError, Verdict};
use crate::tree::{MAX_TOPOLOGY_BYTES, Snapshot, SnapshotId};

/// A channel, and what it shows.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) channel: ChannelName,
    /// What its head says; `None` until the first publication.
    pub(super) head: Option<Publication>,
    /// The head's generation, ready to be served; `None` also where it is damaged.
    pub(super) newest: Option<(Publication, Arc<Current>)>,
}

/// What can be known of a node without its writer.
#[derive(Clone, Debug)]
pub(super) struct Board {
    pub(super) node: NodeName,
    pub(super) topology: Arc<Topology>,
    pub(super) channels: Vec<Shown>,
    pub(super) bad: Vec<Bad>,
    /// Generations that are kept by hand.
    pub(super) kept: Vec<Publication>,
    pub(super) scrub: Option<LastScrub>,
    /// Generations whose lists of files are damaged.
    pub(super) damaged: Vec<Publication>,
    /// What channels keep that the topology does not have: the newest of each.
    pub(super) strays: Vec<Publication>,
}

pub(super) struct Publisher {
    pub(super) store: Store,
    pub(super) identity: Identity,
    pub(super) topology: Arc<Topology>,
    node: NodeName,
    dir: PathBuf,
    channels: Vec<Shown>,
}

/// Said of a node that a topology knows as something else.
pub(super) const NOT_GATEWAY: &str = "is not the gateway";

/// Reads and checks a topology.
pub(super) fn read_topology(path: &Path) -> Result<Topology, NodeError> {
    use std::io::Read;
    let mut text = String::new();
    let open = std::fs::File::open(path).map_err(file("read", path))?;
    // One byte more than is allowed is refused as such.
    let most = u64::try_from(MAX_TOPOLOGY_BYTES).unwrap_or(u64::MAX);
    open.take(most.saturating_add(1)).read_to_string(&mut text).map_err(file("read", path))?;
    Topology::parse_with(&text, WORDS).map_err(|mistakes| NodeError::Topology { file: path.to_owned(), mistakes })
}

/// Reads and checks the topology beside the configuration.
pub(super) fn load_topology(dir: &Path, node: &NodeName) -> Result<Topology, NodeError> {
    let topology = read_topology(&dir.join(TOPOLOGY_FILE))?;
    match topology.node(node).map(|found| found.role) {
        None => Err(NodeError::NotInTopology { node: node.to_string(), why: "is not a [[node]]" }),
        Some(Role::Gateway) => Ok(topology),
        Some(_) => Err(NodeError::NotInTopology { node: node.to_string(), why: NOT_GATEWAY }),
    }
}

impl Publisher {
    /// Opens everything, alone.
    pub(super) fn open(dir: &Path, node: &NodeName) -> Result<Publisher, NodeError> {
        let topology = Arc::new(load_topology(dir, node)?);
        let store = Store::open(dir, Access::Existing)?;
        restore::forget_mark(dir);
        let identity = Identity::open(dir)?;
        let mut publisher =
            Publisher { store, identity, topology, node: node.clone(), dir: dir.to_owned(), channels: Vec::new() };
        publisher.refresh()?;
        Ok(publisher)
    }

    /// Reads the topology again. Nothing changes if it is wrong, if `config` lacks what it needs, or if what it names
    /// cannot be loaded.
    pub(super) fn reload(&mut self, config: &Config) -> Result<(), NodeError> {
        let newer = Arc::new(load_topology(&self.dir, &self.node)?);
        modules::check_logins(&newer, &self.node, config)?;
        let before = std::mem::replace(&mut self.topology, newer);
        self.refresh().inspect_err(|_| self.topology = before)
    }

    /// Loads what each channel's head shows; what is loaded already is kept. Nothing changes if that fails.
    pub(super) fn refresh(&mut self) -> Result<(), NodeError> {
        self.refresh_with(&[])
    }

    /// The same, with what was just published and need not be read back.
    pub(super) fn refresh_with(&mut self, fresh: &[Located]) -> Result<(), NodeError> {
        let mut heads = self.store.heads()?;
        // One that comes back is counted on.
        heads.extend(self.store.forgotten()?);
        let names: Vec<ChannelName> = self.topology.channels.iter().map(|channel| channel.name.clone()).collect();
        let mut shown = Vec::with_capacity(names.len());
        for channel in names {
            let head = heads.iter().find(|head| head.channel == channel).cloned();
            let newest = match &head {
                Some(head) if head.kept == Kept::Yes => {
                    self.load(head, &shown, fresh).map(|current| Some((head.clone(), current)))
                }
                _ => Ok(None),
            };
            let newest = newest.or_else(|error| match error {
                NodeError::Store(error) if error.is_damage() => {
                    tracing::error!(%channel, %error, "not served until the tree is imported again");
                    Ok(None)
                }
                error => Err(error),
            })?;
            shown.push(Shown { channel, head, newest });
        }
        self.channels = shown;
        Ok(())
    }

    /// A generation, ready to be served: as it is loaded, or located beside what is loaded.
    fn load(&self, head: &Publication, beside: &[Shown], fresh: &[Located]) -> Result<Arc<Current>, NodeError> {
        let loaded = || beside.iter().chain(&self.channels).filter_map(|shown| shown.newest.as_ref());
        if let Some((_, current)) =
            self.channels.iter().filter_map(|shown| shown.newest.as_ref()).find(|(publication, _)| {
                publication.channel == head.channel && publication.generation == head.generation
            })
        {
            return Ok(current.clone());
        }
        let same = loaded().find(|(publication, _)| publication.snapshot == head.snapshot);
        let near = loaded().find(|(publication, _)| publication.channel.repository() == head.channel.repository());
        let published = fresh.iter().find(|located| located.snapshot().id() == head.snapshot);
        let located = match (same, published) {
            (Some((_, current)), _) => current.located.clone(),
            (None, Some(located)) => located.clone(),
            (None, None) => self.locate(head, near.map(|(_, current)| &current.located))?,
        };
        let missing = located.missing().count();
        if missing > 0 {
            let error = NodeError::Incomplete { channel: head.channel.clone(), missing };
            tracing::error!(%error, "these files are answered with an error, all others are served");
        }
        let pin = self.store.pins().pin(head.snapshot).ok_or(NodeError::Stopping)?;
        Ok(Arc::new(Current { channel: head.channel.clone(), generation: head.generation, located, pin }))
    }

    fn locate(&self, head: &Publication, near: Option<&Located>) -> Result<Located, NodeError> {
        let snapshot = self.store.snapshot(&head.snapshot)?;
        Ok(self.store.locate(&snapshot, near)?)
    }

    /// A repository that can be imported, and its channels.
    pub(super) fn importable(&self, name: &RepositoryName) -> Result<(Repository, Vec<ChannelName>), NodeError> {
        let Some(repository) = self.topology.repository(name) else {
            let known: Vec<&str> = self.topology.repositories.iter().map(|r| r.name.as_str()).collect();
            return Err(NodeError::NoRepository { name: name.clone(), known: known.join(", ") });
        };
        let channels: Vec<ChannelName> = self.topology.channels_of(name).map(|channel| channel.name.clone()).collect();
        match channels.is_empty() {
            true => Err(NodeError::NoChannelOf { name: name.clone() }),
            false => Ok((repository.clone(), channels)),
        }
    }

    /// What is published on these channels.
    pub(super) fn previous(&self, channels: &[ChannelName]) -> Previous {
        let shown: Vec<_> = self.channels.iter().filter(|shown| channels.contains(&shown.channel)).collect();
        let heads: Vec<_> = shown.iter().filter_map(|shown| shown.head.as_ref()).collect();
        let newest: Vec<_> = shown.iter().filter_map(|shown| shown.newest.as_ref()).collect();
        let first = newest.first();
        // Clients may have seen later stamps than those of the backup, but none that is later than its restore.
        let restored = heads.iter().filter_map(|head| self.store.restored_at(head).unwrap_or(Some(i64::MIN))).max();
        Previous {
            current: first.map(|(_, current)| current.located.clone()),
            generations: heads.iter().map(|head| (head.channel.clone(), head.generation)).collect(),
            // Where a stamp is not known, the next one begins anew, as in a new term.
            term: heads
                .iter()
                .map(|head| head.term)
                .max()
                .filter(|_| heads.len() == newest.len() && restored.is_none()),
            stamp: newest.iter().filter_map(|(_, current)| stamp_of(current.located.snapshot())).max().max(restored),
            even: restored.is_none()
                && newest.len() == channels.len()
                && newest.iter().all(|(p, _)| Some(p.snapshot) == first.map(|f| f.0.snapshot)),
        }
    }

    /// Looks at contents that clients found bad, and sets aside what is.
    pub(super) fn doubt(&mut self, news: &[BadContent]) -> Result<(), NodeError> {
        let mut set_aside = false;
        for bad in news {
            let reason = format!("{} ({})", bad.reason, bad.shown_path());
            match self.store.quarantine(&bad.content, &reason) {
                Ok(verdict) => set_aside |= verdict == Verdict::SetAside,
                Err(error) => tracing::error!(content = %bad.content.short(), %error, "set a bad content aside"),
            }
        }
        if !set_aside {
            return Ok(());
        }
        // What is loaded still points at the bytes that were set aside: load it again, or else keep it, since it can
        // be served but for those.
        let before = std::mem::take(&mut self.channels);
        self.refresh().inspect_err(|_| self.channels = before)
    }

    /// Writes the texts of snapshots anew that are served and were found damaged in the store.
    pub(super) fn mend(&mut self, damaged: &[SnapshotId]) {
        if !damaged.is_empty() {
            let snapshots: Vec<_> = damaged.iter().map(SnapshotId::short).collect();
            tracing::error!(
                ?snapshots,
                "the texts of kept snapshots are damaged; nothing is freed until they are gone"
            );
        }
        let served = self.channels.iter().filter_map(|shown| shown.newest.as_ref());
        let served: Vec<Snapshot> = served.map(|(_, current)| current.located.snapshot().clone()).collect();
        for snapshot in served.iter().filter(|snapshot| damaged.contains(&snapshot.id())) {
            match self.store.rewrite(snapshot) {
                Ok(()) => tracing::warn!(snapshot = %snapshot.id().short(), "a damaged text was written anew"),
                Err(error) => tracing::error!(%error, "write a damaged text anew; it is still served"),
            }
        }
    }

    pub(super) fn board(&self) -> Result<Board, NodeError> {
        Ok(Board {
            node: self.node.clone(),
            topology: self.topology.clone(),
            channels: self.channels.clone(),
            bad: self.store.bad().or_else(StoreError::or_nothing)?,
            kept: self.store.by_hand().or_else(StoreError::or_nothing)?,
            scrub: scrubbing::last(&self.store)?,
            damaged: self.store.damaged().or_else(StoreError::or_nothing)?,
            strays: self.strays()?,
        })
    }

    /// The newest generation of each channel that keeps some and is not in the topology.
    pub(super) fn strays(&self) -> Result<Vec<Publication>, NodeError> {
        let mut heads = self.store.heads().or_else(StoreError::or_nothing)?;
        heads.retain(|head| self.topology.channels.iter().all(|channel| channel.name != head.channel));
        Ok(heads)
    }
}

/// Frees what no kept generation needs. That it failed is no reason to take the publication before it for failed.
pub(super) fn sweep(publisher: &mut Publisher, keep: Keep) {
    match publisher.store.sweep(keep, clock::now()) {
        Ok(swept) => {
            if !swept.dropped.is_empty() {
                let generations = swept.dropped.len();
                tracing::info!(generations, contents = swept.contents, bytes = swept.bytes, "swept");
            }
            publisher.mend(&swept.damaged);
        }
        Err(StoreError::SweepHeld) => {
            tracing::info!("not swept: every generation is held; it is tried again after that");
        }
        Err(error) => tracing::error!(%error, "sweep old generations; it is tried again after the next publication"),
    }
}
