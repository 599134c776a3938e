//! The one writer: store, keys and topology together, and what each channel shows now.
//!
//! It lives in the intake loop of a running node, or in the one command that runs where no node does; the
//! store's lock makes sure that it is one of them. All its methods block. What others may see of it is the
//! [`Board`], a value that is made anew after each change.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::clock;
use super::config_text::TOPOLOGY_FILE;
use super::error::{NodeError, file};
use super::intake::{Previous, stamp_limit, stamp_of};
use crate::cascade::{RepositoryKind, Role, Topology};
use crate::identity::Identity;
use crate::names::{ChannelName, NodeName, RepositoryName};
use crate::serve::{BadContent, Current};
use crate::store::{Access, Bad, Keep, Located, Publication, Store, Verdict};

/// A topology is some KiB; a file beyond this is something else.
const MAX_TOPOLOGY_BYTES: u64 = 4 << 20;

/// A channel, and what it shows.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) channel: ChannelName,
    /// The newest generation, ready to be served; `None` until the first publication.
    pub(super) newest: Option<(Publication, Arc<Current>)>,
}

/// What can be known of a node without its writer.
#[derive(Clone, Debug)]
pub(super) struct Board {
    pub(super) node: NodeName,
    pub(super) topology: Arc<Topology>,
    pub(super) channels: Vec<Shown>,
    pub(super) bad: Vec<Bad>,
}

pub(super) struct Publisher {
    pub(super) store: Store,
    pub(super) identity: Identity,
    pub(super) topology: Arc<Topology>,
    node: NodeName,
    dir: PathBuf,
    channels: Vec<Shown>,
}

/// Reads and checks the topology beside the configuration.
pub(super) fn load_topology(dir: &Path, node: &NodeName) -> Result<Topology, NodeError> {
    use std::io::Read;
    let path = dir.join(TOPOLOGY_FILE);
    let mut text = String::new();
    let open = std::fs::File::open(&path).map_err(file("read", &path))?;
    open.take(MAX_TOPOLOGY_BYTES).read_to_string(&mut text).map_err(file("read", &path))?;
    let topology = Topology::parse(&text).map_err(|mistakes| NodeError::Topology { file: path, mistakes })?;
    match topology.node(node).map(|found| found.role) {
        None => Err(NodeError::NotInTopology { node: node.to_string(), why: "is not a [[node]]" }),
        Some(Role::Gateway) => Ok(topology),
        Some(_) => Err(NodeError::NotInTopology { node: node.to_string(), why: "is not the gateway" }),
    }
}

impl Publisher {
    /// Opens everything, alone.
    pub(super) fn open(dir: &Path, node: &NodeName) -> Result<Publisher, NodeError> {
        let topology = Arc::new(load_topology(dir, node)?);
        let store = Store::open(dir, Access::Existing)?;
        let identity = Identity::open(dir)?;
        let mut publisher =
            Publisher { store, identity, topology, node: node.clone(), dir: dir.to_owned(), channels: Vec::new() };
        publisher.refresh()?;
        Ok(publisher)
    }

    /// Reads the topology again. Nothing changes if it is wrong, or if what it names cannot be loaded.
    pub(super) fn reload(&mut self) -> Result<(), NodeError> {
        let newer = Arc::new(load_topology(&self.dir, &self.node)?);
        let before = std::mem::replace(&mut self.topology, newer);
        self.refresh().inspect_err(|_| self.topology = before)
    }

    /// Loads what each channel's head shows; what is loaded already is kept. Nothing changes if that fails.
    pub(super) fn refresh(&mut self) -> Result<(), NodeError> {
        self.refresh_with(&[])
    }

    /// The same, with what was just published and need not be read back.
    pub(super) fn refresh_with(&mut self, fresh: &[Located]) -> Result<(), NodeError> {
        let heads = self.store.heads()?;
        let names: Vec<ChannelName> = self.topology.channels.iter().map(|channel| channel.name.clone()).collect();
        let mut shown = Vec::with_capacity(names.len());
        for channel in names {
            let head = heads.iter().find(|head| head.channel == channel).cloned();
            let newest = match head {
                Some(head) => Some((head.clone(), self.load(&head, &shown, fresh)?)),
                None => None,
            };
            shown.push(Shown { channel, newest });
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

    /// The channels of a repository that can be imported.
    pub(super) fn channels_of(&self, name: &RepositoryName) -> Result<Vec<ChannelName>, NodeError> {
        let Some(repository) = self.topology.repository(name) else {
            let known: Vec<&str> = self.topology.repositories.iter().map(|r| r.name.as_str()).collect();
            return Err(NodeError::NoRepository { name: name.clone(), known: known.join(", ") });
        };
        if repository.kind != RepositoryKind::Tree {
            return Err(NodeError::Kind { name: name.clone(), kind: "files" });
        }
        let channels: Vec<ChannelName> = self.topology.channels_of(name).map(|channel| channel.name.clone()).collect();
        if channels.is_empty() { Err(NodeError::NoChannelOf { name: name.clone() }) } else { Ok(channels) }
    }

    /// What is published on these channels.
    pub(super) fn previous(&self, channels: &[ChannelName]) -> Result<Previous, NodeError> {
        let shown = self.channels.iter().filter(|shown| channels.contains(&shown.channel));
        let newest: Vec<_> = shown.filter_map(|shown| shown.newest.as_ref()).collect();
        let first = newest.first();
        let mut stamp = None;
        for (_, current) in &newest {
            let mut failed = None;
            let found = stamp_of(current.located.snapshot(), |id| {
                self.store.content(id, stamp_limit()).unwrap_or_else(|error| {
                    failed = Some(error);
                    None
                })
            });
            if let Some(error) = failed {
                return Err(error.into());
            }
            stamp = stamp.max(found);
        }
        Ok(Previous {
            current: first.map(|(_, current)| current.located.clone()),
            generations: newest.iter().map(|(p, _)| (p.channel.clone(), p.generation)).collect(),
            term: newest.iter().map(|(p, _)| p.term).max(),
            stamp,
            even: newest.len() == channels.len()
                && newest.iter().all(|(p, _)| Some(p.snapshot) == first.map(|f| f.0.snapshot)),
        })
    }

    /// Looks at contents that clients found bad, and sets aside what is.
    pub(super) fn doubt(&mut self, news: &[BadContent]) -> Result<(), NodeError> {
        let mut set_aside = false;
        for bad in news {
            let reason = format!("{} ({})", bad.reason, String::from_utf8_lossy(&bad.path));
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

    pub(super) fn board(&self) -> Result<Board, NodeError> {
        Ok(Board {
            node: self.node.clone(),
            topology: self.topology.clone(),
            channels: self.channels.clone(),
            bad: self.store.bad()?,
        })
    }
}

/// Frees what no kept generation needs. That it failed is no reason to take the publication before it for failed.
pub(super) fn sweep(publisher: &mut Publisher, keep: Keep) {
    match publisher.store.sweep(keep, clock::now()) {
        Ok(swept) if swept.generations > 0 => {
            tracing::info!(generations = swept.generations, contents = swept.contents, bytes = swept.bytes, "swept");
        }
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "sweep old generations; it is tried again after the next publication"),
    }
}
