//! File lists that are ready to send, shared by all who ask for the same one.
//!
//! One task owns the map. A list is built once, however many clients ask at the same moment; a bounded
//! number is built at a time, on blocking threads; what was not used for longest goes first when the
//! cache exceeds its bytes. A list that is larger than the whole cache is still built and handed out.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::contents::Readers;
use super::error::ServeError;
use super::listing::{Listing, build};
use super::published::{Current, Module};
use super::view::ViewOrder;
use crate::tree::{SnapshotId, TreePath};
use crate::wire::filter::Filters;
use crate::wire::flist::ListFormat;
use crate::wire::options::ListOptions;

/// How many lists are built at the same time: each takes a core for some tenths of a second.
const BUILDERS: usize = 2;

/// Requests that wait for the owner; more wait in their connections.
const QUEUE: usize = 64;

/// All that a list depends on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ListKey {
    pub(crate) snapshot: SnapshotId,
    /// Messages name the module.
    pub(crate) module: String,
    /// The module's root inside the snapshot; empty: the whole.
    pub(crate) root: Vec<u8>,
    pub(crate) options: ListOptions,
    pub(crate) format: ListFormat,
    pub(crate) filters: Filters,
    pub(crate) paths: Vec<Vec<u8>>,
}

/// A list, or a text for the client that says why there is none.
pub(crate) type Listed = Result<Arc<Listing>, String>;

struct Ask {
    key: Arc<ListKey>,
    current: Arc<Current>,
    /// Bytes that the cache may take, as configured at this moment.
    limit: usize,
    reply: oneshot::Sender<Listed>,
}

/// The connections' end of the cache.
#[derive(Clone, Debug)]
pub(crate) struct ListCache(mpsc::Sender<Ask>);

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask").field("key", &self.key).finish_non_exhaustive()
    }
}

enum Slot {
    Ready { listing: Arc<Listing>, used: u64 },
    Building(Vec<oneshot::Sender<Listed>>),
}

struct Owner {
    slots: HashMap<Arc<ListKey>, Slot>,
    bytes: usize,
    limit: usize,
    clock: u64,
}

impl ListCache {
    /// A cache, and the task that owns it; the task ends when all handles are gone.
    pub(crate) fn new(readers: Readers) -> (ListCache, impl Future<Output = ()> + Send) {
        let (sender, asks) = mpsc::channel(QUEUE);
        (ListCache(sender), own(asks, Owner { slots: HashMap::new(), bytes: 0, limit: 0, clock: 0 }, readers))
    }

    /// Asks for a list; the answer comes through the channel.
    pub(crate) async fn ask(
        &self,
        module: &Module,
        current: &Arc<Current>,
        key: ListKey,
        limit: usize,
    ) -> Result<oneshot::Receiver<Listed>, ServeError> {
        debug_assert_eq!(module.name.as_str(), key.module);
        let (reply, answer) = oneshot::channel();
        let ask = Ask { key: Arc::new(key), current: current.clone(), limit, reply };
        self.0.send(ask).await.map_err(|_| ServeError::Ending("the file list cache has stopped"))?;
        Ok(answer)
    }
}

async fn own(mut asks: mpsc::Receiver<Ask>, mut owner: Owner, readers: Readers) {
    let builders = Arc::new(Semaphore::new(BUILDERS));
    let mut builds: JoinSet<(Arc<ListKey>, Listed)> = JoinSet::new();
    loop {
        tokio::select! {
            ask = asks.recv() => match ask {
                Some(ask) => {
                    if let Some((key, current)) = owner.ask(ask) {
                        builds.spawn(build_one(key, current, readers.clone(), builders.clone()));
                    }
                }
                None => return,
            },
            Some(built) = builds.join_next() => match built {
                Ok((key, listed)) => owner.built(key, listed),
                Err(error) => {
                    // The key is lost with the task; waiting clients see their channel close.
                    tracing::error!(%error, "building a file list failed");
                    owner.slots.retain(|_, slot| matches!(slot, Slot::Ready { .. }));
                }
            },
        }
    }
}

impl Owner {
    /// Answers from the cache, queues behind a build, or says what must be built.
    fn ask(&mut self, ask: Ask) -> Option<(Arc<ListKey>, Arc<Current>)> {
        self.clock += 1;
        self.limit = ask.limit;
        match self.slots.get_mut(&ask.key) {
            Some(Slot::Ready { listing, used }) => {
                *used = self.clock;
                // The client may be gone: then nobody waits for the answer.
                let _ = ask.reply.send(Ok(listing.clone()));
                None
            }
            Some(Slot::Building(waiting)) => {
                waiting.push(ask.reply);
                None
            }
            None => {
                self.slots.insert(ask.key.clone(), Slot::Building(vec![ask.reply]));
                Some((ask.key, ask.current))
            }
        }
    }

    fn built(&mut self, key: Arc<ListKey>, listed: Listed) {
        if let Some(Slot::Building(waiting)) = self.slots.remove(&key) {
            for reply in waiting {
                let _ = reply.send(listed.clone());
            }
        }
        if let Ok(listing) = listed {
            self.bytes += listing.weight();
            self.slots.insert(key, Slot::Ready { listing, used: self.clock });
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        while self.bytes > self.limit {
            let oldest = self.slots.iter().filter_map(|(key, slot)| match slot {
                Slot::Ready { used, .. } => Some((*used, key.clone())),
                Slot::Building(_) => None,
            });
            let Some((_, key)) = oldest.min_by_key(|(used, _)| *used) else { return };
            if let Some(Slot::Ready { listing, .. }) = self.slots.remove(&key) {
                self.bytes -= listing.weight();
            }
        }
    }
}

async fn build_one(
    key: Arc<ListKey>,
    current: Arc<Current>,
    readers: Readers,
    builders: Arc<Semaphore>,
) -> (Arc<ListKey>, Listed) {
    let Ok(_permit) = builders.acquire_owned().await else {
        return (key, Err("the server is stopping".to_owned()));
    };
    let made = key.clone();
    let listed = readers.with(move |kit| make(&made, &current, &mut kit.reader)).await;
    let listed = match listed {
        Ok(listed) => listed.map(Arc::new),
        Err(error) => {
            tracing::error!(%error, "open the store for a file list");
            Err("the server cannot read its store".to_owned())
        }
    };
    (key, listed)
}

fn make(key: &ListKey, current: &Current, reader: &mut crate::store::Reader) -> Result<Listing, String> {
    let snapshot = current.located.snapshot();
    let root = match key.root.as_slice() {
        b"" => Some(0),
        path => TreePath::new(path).ok().and_then(|path| snapshot.find(path)),
    };
    let root = root.ok_or_else(|| "the module's directory is not in this generation".to_owned())?;
    let order = ViewOrder { module: &key.module, root, options: key.options, filters: &key.filters, paths: &key.paths };
    build(&current.located, &order, key.format, reader)
}
