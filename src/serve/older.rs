//! `module@GENERATION`: generations that are kept, but are not the newest, loaded while somebody reads them.
//!
//! One task owns what is loaded. One generation is loaded at a time, so that the other read connections are there for
//! contents whatever is asked for; the rest queue, and who has gone by then costs nothing. Some seconds after its load
//! nobody holds a generation but those who read it: the last one lets it go, and its pin with it. A generation is pinned
//! first and looked for again then, so that a sweep either leaves it whole or it is not there. How many may be in memory
//! is bounded, since each takes that of its snapshot. Deliberately absent: generations that were swept, and any other
//! channel than the module's own.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::contents::Readers;
use super::published::Current;
use crate::names::{ChannelName, Generation};
use crate::store::{Kept, Pins, Publication, Reader, StoreError};

/// Older generations in memory at once: a snapshot of 150,000 entries takes some 40 MB.
const MOST_LOADED: usize = 8;

/// How long one stays in memory after its load though nobody reads it: a load takes a core for some tenths of a second,
/// and one client may come again and again.
const STAYS: Duration = Duration::from_secs(10);

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
    /// Others are being loaded, and have been for too long.
    #[error("older generations are being loaded for others")]
    Busy,
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
        (OlderGenerations(sender), Owner::new(readers, pins).work(asks))
    }

    /// A generation of the channel of `wanted.newest`, pinned as long as it is held. Waits for at most `patience`.
    pub(crate) async fn get(&self, wanted: Wanted, patience: Duration) -> Loaded {
        timeout(patience, self.ask(wanted)).await.unwrap_or(Err(NoOlder::Busy))
    }

    async fn ask(&self, wanted: Wanted) -> Loaded {
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
    /// Somebody waits for it; `wanted` is there until its load begins.
    Wanted {
        waiting: Vec<oneshot::Sender<Loaded>>,
        wanted: Option<Wanted>,
    },
}

impl Slot {
    /// Whether anybody reads it, waits for it, or is going to get it.
    fn is_needed(&mut self) -> bool {
        match self {
            Slot::Loaded(current) => current.strong_count() > 0,
            Slot::Wanted { wanted: None, .. } => true,
            Slot::Wanted { waiting, .. } => {
                waiting.retain(|reply| !reply.is_closed());
                !waiting.is_empty()
            }
        }
    }
}

struct Owner {
    readers: Readers,
    pins: Pins,
    slots: HashMap<Key, Slot>,
    /// What is to be loaded, in the order in which it was asked for.
    queue: VecDeque<Key>,
    /// What is being loaded: at most one.
    loads: JoinSet<Loaded>,
    loading: Option<Key>,
    /// What stays for a while, the oldest load first.
    staying: VecDeque<(Instant, Arc<Current>)>,
}

impl Owner {
    fn new(readers: Readers, pins: Pins) -> Owner {
        let (slots, loads) = (HashMap::new(), JoinSet::new());
        Owner { readers, pins, slots, queue: VecDeque::new(), loads, loading: None, staying: VecDeque::new() }
    }

    async fn work(mut self, mut asks: mpsc::Receiver<Ask>) {
        loop {
            let due = self.staying.front().map(|(until, _)| *until);
            tokio::select! {
                ask = asks.recv() => match ask {
                    Some(ask) => self.ask(ask),
                    None => return,
                },
                Some(ended) = self.loads.join_next() => self.loaded(ended),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.let_go(),
            }
            self.start();
        }
    }

    fn ask(&mut self, Ask { wanted, reply }: Ask) {
        let key = (wanted.newest.channel.clone(), wanted.generation);
        match self.slots.get_mut(&key) {
            Some(Slot::Wanted { waiting, .. }) => return waiting.push(reply),
            Some(Slot::Loaded(current)) => {
                if let Some(current) = current.upgrade() {
                    // The client may be gone.
                    return drop(reply.send(Ok(current)));
                }
            }
            None => {}
        }
        if !self.has_room() {
            return drop(reply.send(Err(NoOlder::TooMany)));
        }
        self.queue.push_back(key.clone());
        self.slots.insert(key, Slot::Wanted { waiting: vec![reply], wanted: Some(wanted) });
    }

    /// Whether one more may be loaded. What only stays makes room for it.
    fn has_room(&mut self) -> bool {
        loop {
            self.slots.retain(|_, slot| slot.is_needed());
            self.queue.retain(|key| self.slots.contains_key(key));
            if self.slots.len() < MOST_LOADED {
                return true;
            }
            if self.staying.pop_front().is_none() {
                return false;
            }
        }
    }

    /// Begins the next load that somebody waits for, unless one is under way.
    fn start(&mut self) {
        while self.loading.is_none()
            && let Some(key) = self.queue.pop_front()
        {
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            if !slot.is_needed() {
                self.slots.remove(&key);
                continue;
            }
            let Slot::Wanted { wanted, .. } = slot else { continue };
            let Some(wanted) = wanted.take() else { continue };
            let (readers, pins) = (self.readers.clone(), self.pins.clone());
            self.loads.spawn(async move {
                match readers.ask(move |reader| load(reader, &pins, &wanted)).await {
                    Ok(loaded) => loaded,
                    Err(error) => Err(NoOlder::Store(error.to_string())),
                }
            });
            self.loading = Some(key);
        }
    }

    fn loaded(&mut self, ended: Result<Loaded, JoinError>) {
        let loaded = ended.unwrap_or_else(|error| Err(NoOlder::Store(error.to_string())));
        let Some(key) = self.loading.take() else { return };
        let Some(Slot::Wanted { waiting, .. }) = self.slots.remove(&key) else { return };
        if let Ok(current) = &loaded {
            self.slots.insert(key, Slot::Loaded(Arc::downgrade(current)));
            self.staying.push_back((Instant::now() + STAYS, current.clone()));
        }
        for reply in waiting {
            let _ = reply.send(loaded.clone());
        }
    }

    /// Lets go of what has stayed long enough.
    fn let_go(&mut self) {
        let now = Instant::now();
        while self.staying.front().is_some_and(|(until, _)| *until <= now) {
            self.staying.pop_front();
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

#[cfg(test)]
mod tests {
    use super::super::settings_tests::publish;
    use super::super::tests::Shop;
    use super::*;

    /// An owner without a task, driven by hand, in a shop that keeps so many generations and serves the last one.
    struct Desk {
        shop: Shop,
        owner: Owner,
    }

    impl Desk {
        fn open(generations: u64) -> Desk {
            let mut shop = Shop::open();
            for generation in 1..=generations {
                publish(&mut shop, generation, &format!("text {generation}"));
            }
            let owner = Owner::new(shop.readers.clone(), shop.store.pins());
            Desk { shop, owner }
        }

        fn ask(&mut self, generation: u64) -> oneshot::Receiver<Loaded> {
            let (reply, answer) = oneshot::channel();
            let generation = Generation::new(generation).expect("a generation");
            self.owner.ask(Ask { wanted: Wanted { newest: self.shop.current.clone(), generation }, reply });
            self.owner.start();
            answer
        }

        /// Waits until all that is wanted is loaded, and says how many loads that took.
        async fn work(&mut self) -> usize {
            let mut loads = 0;
            while let Some(ended) = self.owner.loads.join_next().await {
                self.owner.loaded(ended);
                self.owner.start();
                assert!(self.owner.loads.len() <= 1, "they take all readers");
                loads += 1;
            }
            loads
        }
    }

    fn generation(answer: Result<Loaded, oneshot::error::RecvError>) -> u64 {
        answer.expect("an answer").expect("a generation").generation.get()
    }

    #[tokio::test(start_paused = true)]
    async fn generations_are_loaded_one_after_the_other_and_only_for_those_who_wait() {
        let mut desk = Desk::open(12);
        let mut answers: Vec<_> = (1..=8).map(|number| desk.ask(number)).collect();
        assert_eq!(desk.owner.loads.len(), 1);
        let refused = desk.ask(9).await.expect("an answer");
        assert_eq!(refused.map(drop), Err(NoOlder::TooMany));
        // The first one is being loaded already; three of the others are not wanted any more.
        answers.drain(..4);
        let more = [desk.ask(9), desk.ask(9), desk.ask(5)];
        assert_eq!(desk.work().await, 6);
        for (answer, number) in answers.into_iter().chain(more).zip([5, 6, 7, 8, 9, 9, 5]) {
            assert_eq!(generation(answer.await), number);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_generation_stays_for_some_seconds_and_makes_room_for_others_before() {
        let mut desk = Desk::open(12);
        let others = desk.shop.store.pins().count();
        let pinned = |desk: &Desk| desk.shop.store.pins().count() - others;
        for _ in 0..3 {
            let answer = desk.ask(1);
            desk.work().await;
            assert_eq!((generation(answer.await), pinned(&desk)), (1, 1));
        }
        let again = desk.ask(1);
        assert_eq!(desk.work().await, 0, "it was loaded once");
        drop(again);
        tokio::time::advance(STAYS - Duration::from_millis(1)).await;
        desk.owner.let_go();
        assert_eq!(pinned(&desk), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        desk.owner.let_go();
        assert_eq!(pinned(&desk), 0);
        let read = desk.ask(2);
        desk.work().await;
        let read = read.await.expect("an answer").expect("a generation");
        for number in 3..=11 {
            let answer = desk.ask(number);
            desk.work().await;
            assert_eq!(generation(answer.await), number);
            assert!(pinned(&desk) <= MOST_LOADED);
        }
        let again = desk.ask(2).await.expect("an answer").expect("a generation");
        assert!(Arc::ptr_eq(&read, &again), "who reads one keeps it");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_too_long_is_told_so() {
        let shop = Shop::open();
        let (older, _never_works) = OlderGenerations::new(shop.readers.clone(), shop.store.pins());
        let wanted = Wanted { newest: shop.current.clone(), generation: Generation::FIRST };
        assert_eq!(older.get(wanted, Duration::from_secs(60)).await.map(drop), Err(NoOlder::Busy));
    }
}
