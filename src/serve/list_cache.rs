//! File lists that are ready to send, shared by all who ask for the same one.
//!
//! One task owns the map. A list is built once, however many clients ask at the same moment, on a blocking thread;
//! for one address one at a time, and next for whoever has cost least, so that nobody's lists hold up everybody else's.
//! A build ends when it takes too long, and when all who waited for it have gone. What was not used for longest goes
//! first when the cache exceeds its bytes; a list that is larger than the whole cache is handed out and not kept. No
//! build begins while the lists that live, in the cache or in connections, take more than the same bytes. What a client
//! writes into its rules and paths is known here by a digest, so it takes no room.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::account::{Account, Charge};
use super::contents::Readers;
use super::effort::Effort;
use super::error::ServeError;
use super::list_order::{Key, Kind, ListOrder};
use super::listing::{Form, Listing, NoList, build};
use super::published::Current;
use super::view::ViewOrder;
use crate::store::Reader;
use crate::tree::TreePath;

/// Lists that wait to be built; each holds a client's rules and paths.
const MOST_QUEUED: usize = 1024;

/// Whose lists took longer than this, leaves a builder to others. Honest lists take a second, and are shared.
const DEAR: Duration = Duration::from_secs(5);

/// How long it is known what whose lists took.
const REMEMBERED: Duration = Duration::from_secs(300);

/// Requests that wait for the owner; more wait in their connections.
const QUEUE: usize = 64;

/// What lists may take whatever the limit, so that there is always one to be had.
const LEAST: usize = 1 << 20;

/// How often it is looked whether anybody still waits for what is being built.
const LOOK: Duration = Duration::from_millis(250);

/// A list, or why there is none.
pub(crate) type Listed = Result<Arc<Listing>, NoList>;

/// What a build needs.
#[derive(Debug)]
struct Work {
    order: ListOrder,
    current: Arc<Current>,
    account: Account,
    /// For the order itself.
    _charge: Charge,
}

#[derive(Debug)]
struct Ask {
    key: Key,
    /// Who asks: an IPv4 address, or a network of an IPv6 address.
    origin: IpAddr,
    order: ListOrder,
    /// What the order takes, in bytes.
    size: usize,
    current: Arc<Current>,
    /// Bytes that lists may take, as configured at this moment.
    limit: usize,
    reply: oneshot::Sender<Listed>,
}

/// The connections' end of the cache.
#[derive(Clone, Debug)]
pub(crate) struct ListCache(mpsc::Sender<Ask>);

impl ListCache {
    /// A cache, and the task that owns it; the task ends when all handles are gone.
    pub(crate) fn new(readers: Readers) -> (ListCache, impl Future<Output = ()> + Send) {
        let (sender, asks) = mpsc::channel(QUEUE);
        (ListCache(sender), own(asks, Owner::new(readers)))
    }

    /// Asks for a list; the answer comes through the channel. Dropping that says that nobody waits any more.
    pub(crate) async fn ask(
        &self,
        client: IpAddr,
        current: &Arc<Current>,
        order: ListOrder,
        limit: usize,
    ) -> Result<oneshot::Receiver<Listed>, ServeError> {
        let (reply, answer) = oneshot::channel();
        let (key, size) = Key::of(&order, current);
        let ask = Ask { key, origin: origin(client), order, size, current: current.clone(), limit, reply };
        self.0.send(ask).await.map_err(|_| ServeError::Ending("the file list cache has stopped"))?;
        Ok(answer)
    }
}

/// What counts as one client: an IPv4 address, or the /64 that an IPv6 client has to itself.
fn origin(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

async fn own(mut asks: mpsc::Receiver<Ask>, mut owner: Owner) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ask = asks.recv() => match ask {
                Some(ask) => owner.ask(ask),
                None => return,
            },
            Some(ended) = owner.builds.join_next_with_id() => owner.built(ended),
            _ = look.tick(), if !owner.building.is_empty() => owner.look(),
        }
        owner.start();
    }
}

enum Slot {
    Ready {
        listing: Arc<Listing>,
        used: u64,
        /// The generation that it lists: once nobody is served that, nobody asks for the list either.
        of: Weak<Current>,
        /// Whom it was made for.
        origin: IpAddr,
    },
    /// Somebody waits for it; `work` is there until its build begins, and again if that is given up too early.
    Wanted { waiting: Vec<oneshot::Sender<Listed>>, work: Option<Box<Work>>, origin: IpAddr },
}

/// A list that is being built.
struct Build {
    key: Key,
    of: Weak<Current>,
    origin: IpAddr,
    kind: Kind,
    began: Instant,
    /// Tells the build that nobody waits.
    unwanted: Arc<AtomicBool>,
}

struct Owner {
    readers: Readers,
    slots: HashMap<Key, Slot>,
    /// What is ready, by its last use.
    by_use: BTreeMap<u64, Key>,
    /// The generations of what is ready.
    generations: Vec<Weak<Current>>,
    /// What is to be built, in the order in which it was asked for.
    queue: VecDeque<Key>,
    builds: JoinSet<Listed>,
    building: HashMap<Id, Build>,
    /// How long builds took for whom, and since when that is known.
    spent: HashMap<IpAddr, Duration>,
    since: Instant,
    /// What lives of all that was made here, for whom; and the neighbour of all of them.
    accounts: HashMap<IpAddr, Account>,
    account: Account,
    /// Bytes in the cache.
    bytes: usize,
    limit: usize,
    clock: u64,
}

/// What a client is told whose list finds no room.
fn no_room() -> NoList {
    NoList::selection("too many file lists are being made or sent -- try again later")
}

impl Owner {
    fn new(readers: Readers) -> Owner {
        Owner {
            readers,
            slots: HashMap::new(),
            by_use: BTreeMap::new(),
            generations: Vec::new(),
            queue: VecDeque::new(),
            builds: JoinSet::new(),
            building: HashMap::new(),
            spent: HashMap::new(),
            since: Instant::now(),
            accounts: HashMap::new(),
            account: Account::default(),
            bytes: 0,
            limit: 0,
            clock: 0,
        }
    }

    /// Answers from the cache, or lets the client wait for a build.
    fn ask(&mut self, ask: Ask) {
        let Ask { key, origin, order, size, current, limit, reply } = ask;
        self.clock += 1;
        self.limit = limit;
        match self.slots.get_mut(&key) {
            Some(Slot::Ready { listing, used, .. }) => {
                self.by_use.remove(used);
                *used = self.clock;
                self.by_use.insert(self.clock, key);
                // The client may be gone: then nobody waits for the answer.
                let _ = reply.send(Ok(listing.clone()));
            }
            Some(Slot::Wanted { waiting, .. }) => {
                waiting.push(reply);
                let is_given_up = |build: &Build| build.key == key && build.unwanted.load(Ordering::Relaxed);
                if self.building.values().any(is_given_up) {
                    let again = self.work(origin, order, current, size);
                    if let Some(Slot::Wanted { work, .. }) = self.slots.get_mut(&key) {
                        *work = Some(again);
                    }
                }
            }
            None => {
                if self.queue.len() >= MOST_QUEUED || !self.has_room(origin) {
                    let _ = reply.send(Err(no_room()));
                    return;
                }
                let work = Some(self.work(origin, order, current, size));
                self.slots.insert(key, Slot::Wanted { waiting: vec![reply], work, origin });
                self.queue.push_back(key);
            }
        }
    }

    fn work(&mut self, origin: IpAddr, order: ListOrder, current: Arc<Current>, size: usize) -> Box<Work> {
        // An account that nothing is charged to is known here only.
        self.accounts.retain(|_, account| account.own() > 0);
        let account = self.accounts.entry(origin).or_insert_with(|| self.account.neighbour()).clone();
        let _charge = account.charge(size);
        Box::new(Work { order, current, account, _charge })
    }

    /// Begins as many builds as may run; those that nobody waits for any more are forgotten.
    fn start(&mut self) {
        while let Some(key) = self.next() {
            let Some(Slot::Wanted { work, origin, .. }) = self.slots.get_mut(&key) else { continue };
            let (origin, Some(work)) = (*origin, work.take()) else { continue };
            if !self.has_room(origin) {
                self.answer(&key, &Err(no_room()));
                continue;
            }
            let unwanted = Arc::new(AtomicBool::new(false));
            let (of, kind) = (Arc::downgrade(&work.current), Kind::of(&work.order));
            let task = self.builds.spawn(build_one(*work, self.readers.clone(), unwanted.clone()));
            self.building.insert(task.id(), Build { key, of, origin, kind, began: Instant::now(), unwanted });
        }
    }

    /// Takes the next list off the queue that may be built: not of an address for which one of its kind is being built,
    /// and of those that of the one that has cost least. Dear ones leave a builder to the others.
    fn next(&mut self) -> Option<Key> {
        let slots = &mut self.slots;
        self.queue.retain(|key| match slots.get_mut(key) {
            Some(Slot::Wanted { waiting, work: Some(_), .. }) => {
                waiting.retain(|reply| !reply.is_closed());
                let is_wanted = !waiting.is_empty();
                if !is_wanted {
                    slots.remove(key);
                }
                is_wanted
            }
            _ => false,
        });
        let may_start = |key: &Key| match self.slots.get(key) {
            Some(Slot::Wanted { work: Some(work), origin, .. }) => {
                let (kind, spent) = (Kind::of(&work.order), self.spent.get(origin).copied().unwrap_or_default());
                let alike = || self.building.values().filter(|build| build.kind == kind);
                let builders = if spent < DEAR { kind.builders() } else { (kind.builders() - 1).max(1) };
                (alike().count() < builders && alike().all(|build| build.origin != *origin)).then_some(spent)
            }
            _ => None,
        };
        let startable = self.queue.iter().enumerate().filter_map(|(at, key)| Some((may_start(key)?, at)));
        let (_, at) = startable.min()?;
        self.queue.remove(at)
    }

    /// Tells builds that nobody waits for.
    fn look(&mut self) {
        for build in self.building.values() {
            if let Some(Slot::Wanted { waiting, .. }) = self.slots.get_mut(&build.key) {
                waiting.retain(|reply| !reply.is_closed());
                if waiting.is_empty() {
                    build.unwanted.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    fn answer(&mut self, key: &Key, listed: &Listed) {
        if let Some(Slot::Wanted { waiting, .. }) = self.slots.remove(key) {
            for reply in waiting {
                let _ = reply.send(listed.clone());
            }
        }
    }

    fn built(&mut self, ended: Result<(Id, Listed), JoinError>) {
        let (id, listed) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "building a file list failed");
                (error.id(), Err(NoList::ours()))
            }
        };
        let Some(Build { key, of, origin, began, .. }) = self.building.remove(&id) else { return };
        if self.since.elapsed() > REMEMBERED || self.spent.len() >= MOST_QUEUED {
            (self.spent, self.since) = (HashMap::new(), Instant::now());
        }
        *self.spent.entry(origin).or_default() += began.elapsed();
        if listed.is_err() && matches!(self.slots.get(&key), Some(Slot::Wanted { work: Some(_), .. })) {
            // It was given up, and then somebody came who wants it.
            self.queue.push_front(key);
            return;
        }
        self.answer(&key, &listed);
        if let Ok(listing) = listed
            && listing.weight() <= self.limit
        {
            self.clock += 1;
            self.bytes += listing.weight();
            self.by_use.insert(self.clock, key);
            if !self.generations.iter().any(|known| known.ptr_eq(&of)) {
                self.generations.push(of.clone());
            }
            self.slots.insert(key, Slot::Ready { listing, used: self.clock, of, origin });
            self.forget_dead();
            self.shrink();
        }
    }

    /// Forgets lists of generations that are served no more. Says how many lists it looked at: none, unless a
    /// generation has gone.
    fn forget_dead(&mut self) -> usize {
        let lives = |generation: &Weak<Current>| generation.strong_count() > 0;
        if self.generations.iter().all(lives) {
            return 0;
        }
        self.generations.retain(lives);
        let (by_use, bytes, looked) = (&mut self.by_use, &mut self.bytes, self.slots.len());
        self.slots.retain(|_, slot| match slot {
            Slot::Ready { listing, used, of, .. } if !lives(of) => {
                by_use.remove(used);
                *bytes -= listing.weight();
                false
            }
            _ => true,
        });
        looked
    }

    /// Forgets what was not used for longest.
    fn shrink(&mut self) {
        while self.bytes > self.limit {
            let Some(key) = self.by_use.values().next().copied() else { return };
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(Slot::Ready { listing, used, .. }) = self.slots.remove(key) {
            self.by_use.remove(&used);
            self.bytes -= listing.weight();
        }
    }

    /// What may live while a further list is made, in bytes.
    fn most(&self) -> usize {
        self.limit.max(LEAST)
    }

    /// Whether lists that live leave room for one more: half of it all for one address. Lists that lie in the cache
    /// and are not in use make room first.
    fn has_room(&mut self, origin: IpAddr) -> bool {
        self.make_room(origin);
        !self.is_full() && !self.is_greedy(origin)
    }

    fn is_full(&self) -> bool {
        self.account.all() > self.most()
    }

    fn is_greedy(&self, origin: IpAddr) -> bool {
        self.accounts.get(&origin).is_some_and(|account| account.own() > self.most() / 2)
    }

    /// Forgets idle lists, the oldest first, until there is room. Says how many lists it looked at: none, if there is.
    fn make_room(&mut self, origin: IpAddr) -> usize {
        let (mut looked, mut after) = (0, 0);
        while self.is_full() || self.is_greedy(origin) {
            let Some((&used, &key)) = self.by_use.range(after..).next() else { break };
            (looked, after) = (looked + 1, used + 1);
            let Some(Slot::Ready { listing, origin: of, .. }) = self.slots.get(&key) else { continue };
            if listing.is_idle() && (*of == origin || self.is_full()) {
                self.forget(&key);
            }
        }
        looked
    }
}

async fn build_one(work: Work, readers: Readers, unwanted: Arc<AtomicBool>) -> Listed {
    match readers.with(move |kit| make(&work, &mut kit.reader, unwanted)).await {
        Ok(listed) => listed.map(Arc::new),
        Err(error) => {
            tracing::error!(%error, "read the store for a file list");
            Err(NoList::ours())
        }
    }
}

fn make(work: &Work, reader: &mut Reader, unwanted: Arc<AtomicBool>) -> Result<Listing, NoList> {
    let Work { order, current, account, .. } = work;
    let snapshot = current.located.snapshot();
    let root = match order.root.as_slice() {
        b"" => Some(0),
        path => TreePath::new(path).ok().and_then(|path| snapshot.find(path)),
    };
    let root = root.ok_or_else(|| NoList::selection("the module's directory is not in this generation"))?;
    let ListOrder { module, kind, options, filters, module_filters, paths, path_form, files, matches, .. } = order;
    let view = ViewOrder {
        module,
        kind: *kind,
        root,
        options: *options,
        filters,
        module_filters,
        paths,
        path_form: *path_form,
        names: files.as_deref(),
        matches: *matches,
        effort: &Effort::new(unwanted),
    };
    build(&current.located, &view, &Form { format: order.format, owner: &order.owner }, reader, account)
}

#[cfg(test)]
#[path = "list_cache_tests.rs"]
mod tests;
