//! `module@GENERATION`: generations that are kept, but are not the newest, loaded while somebody reads them.
//!
//! One task owns what is loaded. It holds no generation itself: the last connection that reads one lets it go, and
//! its pin with it. A generation is pinned first and looked for again then, so that a sweep either leaves it whole or
//! it is not there. How many may be loaded at once is bounded, since each takes the memory of its snapshot.
//! Deliberately absent: generations that were swept, and any other channel than the module's own.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinSet};

use super::contents::Readers;
use super::published::Current;
use crate::names::{ChannelName, Generation};
use crate::store::{Kept, Pins, Publication, Reader, StoreError};

/// Older generations in memory at once: a snapshot of 150,000 entries takes some 40 MB.
const MOST_LOADED: usize = 8;

/// Questions that wait for the owner; more wait in their connections.
const QUEUE: usize = 64;

/// Why a generation is not served.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum NoOlder {
    /// There is none of that number, or it was swept.
    #[error("generation {0} of {1} is not kept")]
    NotKept(Generation, ChannelName),
    /// Others are being read.
    #[error("{most} older generations are being read already", most = MOST_LOADED)]
    TooMany,
    /// The store failed.
    #[error("an older generation cannot be read")]
    Store(String),
}

/// What a generation is loaded beside.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The channel's newest generation: most contents lie where it has them.
    pub(crate) newest: Arc<Current>,
    pub(crate) generation: Generation,
}

impl NoOlder {
    /// Whether it may be there later.
    pub(crate) fn is_for_now(&self) -> bool {
        !matches!(self, NoOlder::NotKept(..))
    }
}

type Loaded = Result<Arc<Current>, NoOlder>;

struct Ask {
    wanted: Wanted,
    reply: oneshot::Sender<Loaded>,
}

/// The connections' end.
#[derive(Clone, Debug)]
pub(crate) struct OlderGenerations(mpsc::Sender<Ask>);

impl OlderGenerations {
    /// The generations of the store behind `readers`, and the task that owns what is loaded; it ends when all handles are gone.
    pub(crate) fn new(readers: Readers, pins: Pins) -> (OlderGenerations, impl Future<Output = ()> + Send) {
        let (sender, asks) = mpsc::channel(QUEUE);
        let (slots, loading) = (HashMap::new(), HashMap::new());
        let owner = Owner { readers, pins, slots, loads: JoinSet::new(), loading };
        (OlderGenerations(sender), owner.work(asks))
    }

    /// A generation of the channel of `wanted.newest`, pinned as long as it is held.
    pub(crate) async fn get(&self, wanted: Wanted) -> Loaded {
        if wanted.generation > wanted.newest.generation {
            return Err(NoOlder::NotKept(wanted.generation, wanted.newest.channel.clone()));
        }
        let (reply, answer) = oneshot::channel();
        let stopped = || NoOlder::Store("the node is stopping".to_owned());
        self.0.send(Ask { wanted, reply }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

type Key = (ChannelName, Generation);

enum Slot {
    Loaded(Weak<Current>),
    Wanted(Vec<oneshot::Sender<Loaded>>),
}

struct Owner {
    readers: Readers,
    pins: Pins,
    slots: HashMap<Key, Slot>,
    loads: JoinSet<Loaded>,
    loading: HashMap<Id, Key>,
}

impl Owner {
    async fn work(mut self, mut asks: mpsc::Receiver<Ask>) {
        loop {
            tokio::select! {
                ask = asks.recv() => match ask {
                    Some(ask) => self.ask(ask),
                    None => return,
                },
                Some(ended) = self.loads.join_next_with_id() => match ended {
                    Ok((id, loaded)) => self.loaded(id, loaded),
                    Err(error) => self.loaded(error.id(), Err(NoOlder::Store(error.to_string()))),
                },
            }
        }
    }

    fn ask(&mut self, Ask { wanted, reply }: Ask) {
        self.slots.retain(|_, slot| !matches!(slot, Slot::Loaded(current) if current.strong_count() == 0));
        let key = (wanted.newest.channel.clone(), wanted.generation);
        let is_full = self.slots.len() >= MOST_LOADED;
        match self.slots.get_mut(&key) {
            Some(Slot::Wanted(waiting)) => return waiting.push(reply),
            Some(Slot::Loaded(current)) => {
                if let Some(current) = current.upgrade() {
                    // The client may be gone.
                    return drop(reply.send(Ok(current)));
                }
            }
            None if is_full => return drop(reply.send(Err(NoOlder::TooMany))),
            None => {}
        }
        let (readers, pins) = (self.readers.clone(), self.pins.clone());
        let task = self.loads.spawn(async move {
            match readers.ask(move |reader| load(reader, &pins, &wanted)).await {
                Ok(loaded) => loaded,
                Err(error) => Err(NoOlder::Store(error.to_string())),
            }
        });
        self.loading.insert(task.id(), key.clone());
        self.slots.insert(key, Slot::Wanted(vec![reply]));
    }

    fn loaded(&mut self, id: Id, loaded: Loaded) {
        let Some(key) = self.loading.remove(&id) else { return };
        let Some(Slot::Wanted(waiting)) = self.slots.remove(&key) else { return };
        if let Ok(current) = &loaded {
            self.slots.insert(key, Slot::Loaded(Arc::downgrade(current)));
        }
        for reply in waiting {
            let _ = reply.send(loaded.clone());
        }
    }
}

fn load(reader: &Reader, pins: &Pins, wanted: &Wanted) -> Loaded {
    let Wanted { newest, generation } = wanted;
    let channel = &newest.channel;
    let not_kept = || NoOlder::NotKept(*generation, channel.clone());
    let ours = |error: StoreError| NoOlder::Store(error.to_string());
    let found = kept(reader, channel, *generation).map_err(ours)?.ok_or_else(not_kept)?;
    let pin = pins.pin(found.snapshot).ok_or_else(not_kept)?;
    // Until now a sweep might have taken it; from now on none can.
    kept(reader, channel, *generation).map_err(ours)?.ok_or_else(not_kept)?;
    let snapshot = reader.snapshot(&found.snapshot).map_err(ours)?;
    let located = reader.locate(&snapshot, Some(&newest.located)).map_err(ours)?;
    Ok(Arc::new(Current { channel: channel.clone(), generation: *generation, located, pin }))
}

/// The publication of that number, if it is still kept; of several terms the newest one that is.
fn kept(reader: &Reader, channel: &ChannelName, generation: Generation) -> Result<Option<Publication>, StoreError> {
    let of_number = |publication: &Publication| publication.generation == generation && publication.kept == Kept::Yes;
    Ok(reader.history(channel)?.into_iter().find(of_number))
}
