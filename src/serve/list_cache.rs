//! File lists that are ready to send, shared by all who ask for the same one.
//!
//! One task owns the map. A list is built once, however many clients ask at the same moment; a bounded
//! number is built at a time, on blocking threads, and none for clients that have gone. What was not used
//! for longest goes first when the cache exceeds its bytes; a list that is larger than the whole cache is
//! handed out and not kept. What a client writes into its rules and paths is known here by a digest, so
//! it takes no room.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};

use super::contents::Readers;
use super::error::ServeError;
use super::listing::{Listing, NoList, build};
use super::published::Current;
use super::view::ViewOrder;
use crate::store::Reader;
use crate::tree::{ContentHasher, ContentId, TreePath};
use crate::wire::filter::Filters;
use crate::wire::flist::ListFormat;
use crate::wire::options::ListOptions;

/// How many lists are built at the same time: each takes a core for some tenths of a second.
const BUILDERS: usize = 2;

/// Lists that wait to be built; each holds a client's rules and paths.
const MOST_QUEUED: usize = 1024;

/// Requests that wait for the owner; more wait in their connections.
const QUEUE: usize = 64;

/// All that a list of one snapshot depends on.
#[derive(Clone, Hash, Debug)]
pub(crate) struct ListOrder {
    /// Messages name the module.
    pub(crate) module: String,
    /// The module's root inside the snapshot; empty: the whole.
    pub(crate) root: Vec<u8>,
    pub(crate) options: ListOptions,
    pub(crate) format: ListFormat,
    pub(crate) filters: Filters,
    pub(crate) paths: Vec<Vec<u8>>,
}

/// A list, or why there is none.
pub(crate) type Listed = Result<Arc<Listing>, NoList>;

/// A digest of an order and its snapshot. Cryptographic, so that no client can write rules that get it another one's list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key(ContentId);

/// Takes in what is hashed; the 64 bits that a `Hasher` gives are not used.
struct Digesting(ContentHasher);

impl Hasher for Digesting {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

impl Key {
    fn of(order: &ListOrder, current: &Current) -> Key {
        let mut digesting = Digesting(ContentHasher::new());
        current.located.snapshot().id().hash(&mut digesting);
        order.hash(&mut digesting);
        Key(digesting.0.finish())
    }
}

/// What a build needs.
#[derive(Debug)]
struct Work {
    order: ListOrder,
    current: Arc<Current>,
}

#[derive(Debug)]
struct Ask {
    key: Key,
    work: Box<Work>,
    /// Bytes that the cache may take, as configured at this moment.
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

    /// Asks for a list; the answer comes through the channel.
    pub(crate) async fn ask(
        &self,
        current: &Arc<Current>,
        order: ListOrder,
        limit: usize,
    ) -> Result<oneshot::Receiver<Listed>, ServeError> {
        let (reply, answer) = oneshot::channel();
        let key = Key::of(&order, current);
        let ask = Ask { key, work: Box::new(Work { order, current: current.clone() }), limit, reply };
        self.0.send(ask).await.map_err(|_| ServeError::Ending("the file list cache has stopped"))?;
        Ok(answer)
    }
}

async fn own(mut asks: mpsc::Receiver<Ask>, mut owner: Owner) {
    loop {
        tokio::select! {
            ask = asks.recv() => match ask {
                Some(ask) => owner.ask(ask),
                None => return,
            },
            Some(ended) = owner.builds.join_next_with_id() => owner.built(ended),
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
    },
    /// Somebody waits for it; `work` is there until its build begins.
    Wanted { waiting: Vec<oneshot::Sender<Listed>>, work: Option<Box<Work>> },
}

struct Owner {
    readers: Readers,
    slots: HashMap<Key, Slot>,
    /// What is ready, by its last use.
    by_use: BTreeMap<u64, Key>,
    /// What is to be built, in the order in which it was asked for.
    queue: VecDeque<Key>,
    builds: JoinSet<Listed>,
    building: HashMap<Id, (Key, Weak<Current>)>,
    bytes: usize,
    limit: usize,
    clock: u64,
}

impl Owner {
    fn new(readers: Readers) -> Owner {
        Owner {
            readers,
            slots: HashMap::new(),
            by_use: BTreeMap::new(),
            queue: VecDeque::new(),
            builds: JoinSet::new(),
            building: HashMap::new(),
            bytes: 0,
            limit: 0,
            clock: 0,
        }
    }

    /// Answers from the cache, or lets the client wait for a build.
    fn ask(&mut self, ask: Ask) {
        let Ask { key, work, limit, reply } = ask;
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
            Some(Slot::Wanted { waiting, .. }) => waiting.push(reply),
            None if self.queue.len() >= MOST_QUEUED => {
                let _ = reply.send(Err(NoList::selection("too many file lists are being made -- try again later")));
            }
            None => {
                self.slots.insert(key, Slot::Wanted { waiting: vec![reply], work: Some(work) });
                self.queue.push_back(key);
            }
        }
    }

    /// Begins as many builds as may run; those that nobody waits for any more are forgotten.
    fn start(&mut self) {
        while self.builds.len() < BUILDERS {
            let Some(key) = self.queue.pop_front() else { return };
            let Some(Slot::Wanted { waiting, work }) = self.slots.get_mut(&key) else { continue };
            waiting.retain(|reply| !reply.is_closed());
            match work.take() {
                Some(work) if !waiting.is_empty() => {
                    let of = Arc::downgrade(&work.current);
                    let task = self.builds.spawn(build_one(*work, self.readers.clone()));
                    self.building.insert(task.id(), (key, of));
                }
                _ => {
                    self.slots.remove(&key);
                }
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
        let Some((key, of)) = self.building.remove(&id) else { return };
        if let Some(Slot::Wanted { waiting, .. }) = self.slots.remove(&key) {
            for reply in waiting {
                let _ = reply.send(listed.clone());
            }
        }
        if let Ok(listing) = listed
            && listing.weight() <= self.limit
        {
            self.clock += 1;
            self.bytes += listing.weight();
            self.by_use.insert(self.clock, key);
            self.slots.insert(key, Slot::Ready { listing, used: self.clock, of });
            self.shrink();
        }
    }

    /// Forgets lists of generations that are served no more, then what was not used for longest.
    fn shrink(&mut self) {
        let (by_use, bytes) = (&mut self.by_use, &mut self.bytes);
        self.slots.retain(|_, slot| match slot {
            Slot::Ready { listing, used, of } if of.strong_count() == 0 => {
                by_use.remove(used);
                *bytes -= listing.weight();
                false
            }
            _ => true,
        });
        while self.bytes > self.limit {
            let Some((_, key)) = self.by_use.pop_first() else { return };
            if let Some(Slot::Ready { listing, .. }) = self.slots.remove(&key) {
                self.bytes -= listing.weight();
            }
        }
    }
}

async fn build_one(work: Work, readers: Readers) -> Listed {
    match readers.with(move |kit| make(&work, &mut kit.reader)).await {
        Ok(listed) => listed.map(Arc::new),
        Err(error) => {
            tracing::error!(%error, "read the store for a file list");
            Err(NoList::ours())
        }
    }
}

fn make(work: &Work, reader: &mut Reader) -> Result<Listing, NoList> {
    let Work { order, current } = work;
    let snapshot = current.located.snapshot();
    let root = match order.root.as_slice() {
        b"" => Some(0),
        path => TreePath::new(path).ok().and_then(|path| snapshot.find(path)),
    };
    let root = root.ok_or_else(|| NoList::selection("the module's directory is not in this generation"))?;
    let ListOrder { module, options, filters, paths, .. } = order;
    let view = ViewOrder { module, root, options: *options, filters, paths };
    build(&current.located, &view, order.format, reader)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Shop;
    use super::*;
    use crate::wire::filter::CvsExclude;
    use crate::wire::greeting::Protocol;
    use crate::wire::options::{Flag, Options};
    use crate::wire::setup::{Agreed, CompatFlags};
    use crate::wire::sums::SumKind;
    use crate::wire::tokens::Codec;

    fn agreed() -> Agreed {
        let (sum, compat) = (SumKind::Md5, CompatFlags::default());
        Agreed { compat, block_sum: sum, whole_sum: sum, list_sum: sum, codec: Codec::None, seed: 1 }
    }

    /// The list of one path, or of what a rule leaves of it.
    fn order(path: &str, rule: &str) -> ListOrder {
        let options = Options::default().with(Flag::Recursive);
        let rules: Vec<Vec<u8>> =
            [rule].iter().filter(|rule| !rule.is_empty()).map(|rule| rule.as_bytes().to_vec()).collect();
        ListOrder {
            module: "mod".to_owned(),
            root: Vec::new(),
            options: options.list_options(),
            format: ListFormat::new(&options, &agreed(), Protocol::V31),
            filters: Filters::parse(&rules, CvsExclude::No).expect("rules"),
            paths: vec![path.as_bytes().to_vec()],
        }
    }

    struct Cache {
        shop: Shop,
        lists: ListCache,
        _owner: JoinSet<()>,
    }

    impl Cache {
        fn open() -> Cache {
            let shop = Shop::open();
            let (lists, work) = ListCache::new(shop.readers.clone());
            let mut owner = JoinSet::new();
            owner.spawn(work);
            Cache { shop, lists, _owner: owner }
        }

        async fn ask(&self, order: ListOrder, limit: usize) -> oneshot::Receiver<Listed> {
            self.lists.ask(&self.shop.current, order, limit).await.expect("the owner lives")
        }

        async fn get(&self, path: &str, limit: usize) -> Arc<Listing> {
            self.ask(order(path, ""), limit).await.await.expect("an answer").expect("a list")
        }
    }

    #[tokio::test]
    async fn all_who_ask_get_the_same_list_built_once() {
        let cache = Cache::open();
        let mut answers = Vec::new();
        for _ in 0..20 {
            answers.push(cache.ask(order("mod/", ""), 1 << 20).await);
        }
        let first = cache.get("mod/", 1 << 20).await;
        assert_eq!(first.index.len(), 5);
        for answer in answers {
            assert!(Arc::ptr_eq(&answer.await.expect("an answer").expect("a list"), &first));
        }
    }

    #[tokio::test]
    async fn whatever_changes_a_list_is_part_of_its_key() {
        let cache = Cache::open();
        let whole = cache.get("mod/", 1 << 20).await;
        let ruled = cache.ask(order("mod/", "- a"), 1 << 20).await.await.expect("an answer").expect("a list");
        assert_eq!((whole.index.len(), ruled.index.len()), (5, 4));
        let base = order("mod/", "");
        let same = |other: ListOrder| Key::of(&other, &cache.shop.current) == Key::of(&base, &cache.shop.current);
        assert!(same(base.clone()));
        assert!(!same(ListOrder { module: "other".to_owned(), ..base.clone() }));
        assert!(!same(ListOrder { root: b"a".to_vec(), ..base.clone() }));
        assert!(!same(ListOrder { options: Options::default().list_options(), ..base.clone() }));
        assert!(!same(ListOrder { format: ListFormat { links: true, ..base.format }, ..base.clone() }));
        assert!(!same(order("mod/", "- a")));
        assert!(!same(ListOrder { paths: vec![b"mod".to_vec(), b"/".to_vec()], ..base.clone() }));
        assert!(!same(ListOrder { paths: Vec::new(), ..base.clone() }));
    }

    #[tokio::test]
    async fn the_list_that_was_not_used_for_longest_goes_first() {
        let cache = Cache::open();
        let limit = cache.get("mod/a", 0).await.weight() * 2 + PLACE_MARGIN;
        let [a, b] = [cache.get("mod/a", limit).await, cache.get("mod/b", limit).await];
        assert!(Arc::ptr_eq(&a, &cache.get("mod/a", limit).await), "it is kept");
        let c = cache.get("mod/c", limit).await;
        assert!(Arc::ptr_eq(&a, &cache.get("mod/a", limit).await), "it was used after b");
        assert!(Arc::ptr_eq(&c, &cache.get("mod/c", limit).await));
        assert!(!Arc::ptr_eq(&b, &cache.get("mod/b", limit).await), "it made room");
    }

    /// Lists of one file differ by the length of a name.
    const PLACE_MARGIN: usize = 64;

    #[tokio::test]
    async fn a_list_larger_than_the_cache_is_handed_out_and_drives_nothing_out() {
        let cache = Cache::open();
        let limit = cache.get("mod/a", 0).await.weight();
        let small = cache.get("mod/a", limit).await;
        let large = cache.get("mod/", limit).await;
        assert!(large.weight() > limit);
        assert!(!Arc::ptr_eq(&large, &cache.get("mod/", limit).await));
        assert!(Arc::ptr_eq(&small, &cache.get("mod/a", limit).await));
    }

    #[tokio::test]
    async fn a_build_that_fails_is_told_to_all_who_wait_and_tried_again_for_the_next() {
        let cache = Cache::open();
        let nowhere = ListOrder { root: b"nowhere".to_vec(), ..order("mod/", "") };
        let mut answers = Vec::new();
        for _ in 0..5 {
            answers.push(cache.ask(nowhere.clone(), 1 << 20).await);
        }
        for answer in answers {
            let refused = answer.await.expect("an answer").expect_err("no such directory");
            assert_eq!(refused, NoList::selection("the module's directory is not in this generation"));
        }
        assert!(cache.ask(nowhere, 1 << 20).await.await.expect("an answer").is_err());
    }

    #[tokio::test]
    async fn a_build_that_breaks_down_leaves_nobody_waiting_and_harms_no_other() {
        let shop = Shop::open();
        let mut owner = Owner::new(shop.readers.clone());
        let ask = |owner: &mut Owner, path| {
            let (reply, answer) = oneshot::channel();
            let order = order(path, "");
            let key = Key::of(&order, &shop.current);
            let work = Box::new(Work { order, current: shop.current.clone() });
            owner.ask(Ask { key, work, limit: 1 << 20, reply });
            answer
        };
        let (first, second) = (ask(&mut owner, "mod/a"), ask(&mut owner, "mod/b"));
        let gone = ask(&mut owner, "mod/c");
        owner.start();
        assert_eq!(owner.builds.len(), BUILDERS);
        // One is ended as a panic would end it; who waits for the third has gone meanwhile.
        let broken =
            owner.slots.keys().find(|key| owner.building.values().next().map(|(key, _)| key) == Some(key)).copied();
        drop(gone);
        owner.builds.abort_all();
        while let Some(ended) = owner.builds.join_next_with_id().await {
            owner.built(ended);
        }
        assert!(broken.is_some_and(|key| !owner.slots.contains_key(&key)));
        for answer in [first, second] {
            assert_eq!(answer.await.expect("an answer").expect_err("it broke down"), NoList::ours());
        }
        owner.start();
        assert!(owner.builds.is_empty() && owner.slots.is_empty() && owner.queue.is_empty(), "nobody waits for it");
    }
}
