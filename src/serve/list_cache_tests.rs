//! Tests of the cache of file lists: what is shared, what is kept, who is served, and what it may take.

use std::net::Ipv4Addr;

use super::super::distfiles::ModuleKind;
use super::super::listing::PLACE_BYTES;
use super::super::published::Ownership;
use super::super::settings_tests::publish;
use super::super::tests::Shop;
use super::*;
use crate::wire::filter::{CvsExclude, Filters};
use crate::wire::flist::ListFormat;
use crate::wire::greeting::Protocol;
use crate::wire::options::{Flag, Options, PathForm};
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
        kind: ModuleKind::Plain,
        module_filters: Arc::new(Filters::parse(&[], CvsExclude::No).expect("no rules")),
        path_form: PathForm::Old,
        files: None,
        owner: Ownership::default(),
        matches: 1_000,
    }
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

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
        self.lists.ask(HERE, &self.shop.current, order, limit).await.expect("the owner lives")
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
    let key = |order: &ListOrder| Key::of(order, &cache.shop.current).0;
    let same = |other: ListOrder| key(&other) == key(&base);
    assert!(same(base.clone()));
    assert!(!same(ListOrder { module: "other".to_owned(), ..base.clone() }));
    assert!(!same(ListOrder { root: b"a".to_vec(), ..base.clone() }));
    assert!(!same(ListOrder { options: Options::default().list_options(), ..base.clone() }));
    assert!(!same(ListOrder { format: ListFormat { links: true, ..base.format }, ..base.clone() }));
    assert!(!same(order("mod/", "- a")));
    assert!(!same(ListOrder { paths: vec![b"mod".to_vec(), b"/".to_vec()], ..base.clone() }));
    assert!(!same(ListOrder { paths: Vec::new(), ..base.clone() }));
    assert!(!same(ListOrder { path_form: PathForm::Secluded, ..base.clone() }));
    assert!(!same(ListOrder { files: Some([b"a".to_vec()].into()), ..base.clone() }));
    assert!(!same(ListOrder { kind: ModuleKind::Distfiles, ..base.clone() }));
    assert!(!same(ListOrder { owner: Ownership { uid: 250, ..Ownership::default() }, ..base.clone() }));
    assert!(!same(ListOrder { module_filters: Arc::new(order("", "- a").filters), ..base.clone() }));
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

/// An owner without a task, driven by hand.
struct Desk {
    shop: Shop,
    owner: Owner,
}

impl Desk {
    fn open() -> Desk {
        let shop = Shop::open();
        let owner = Owner::new(shop.readers.clone());
        Desk { shop, owner }
    }

    fn ask(&mut self, origin: IpAddr, order: ListOrder) -> oneshot::Receiver<Listed> {
        let (reply, answer) = oneshot::channel();
        let current = self.shop.current.clone();
        let (key, size) = Key::of(&order, &current);
        self.owner.ask(Ask { key, origin, order, size, current, limit: LEAST, reply });
        self.owner.start();
        answer
    }

    /// Waits for a build to end, as the task does.
    async fn turn(&mut self) {
        let ended = self.owner.builds.join_next_with_id().await.expect("something is being built");
        self.owner.built(ended);
        self.owner.start();
    }

    fn is_building(&self, origin: IpAddr) -> usize {
        self.owner.building.values().filter(|build| build.origin == origin).count()
    }
}

fn md5(path: &str) -> ListOrder {
    let order = order(path, "");
    ListOrder { format: ListFormat { checksum: Some(SumKind::Md5), ..order.format }, ..order }
}

#[tokio::test]
async fn no_address_holds_up_the_lists_of_another() {
    let mut desk = Desk::open();
    let mut answers: Vec<_> = ["mod/a", "mod/b", "mod/c"].map(|path| desk.ask(HERE, order(path, ""))).into();
    assert_eq!((desk.is_building(HERE), desk.is_building(THERE)), (1, 0), "one at a time");
    answers.push(desk.ask(THERE, order("mod/", "")));
    assert_eq!((desk.is_building(HERE), desk.is_building(THERE)), (1, 1), "the other one does not wait");
    answers.push(desk.ask(THERE, md5("mod/")));
    assert_eq!((desk.is_building(HERE), desk.is_building(THERE)), (1, 2), "nor for a core while a disk is busy");
    while !desk.owner.building.is_empty() {
        desk.turn().await;
    }
    for answer in answers {
        assert!(answer.await.expect("an answer").is_ok());
    }
    assert!(desk.owner.queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whose_lists_take_long_leave_a_builder_to_others_and_come_after_them() {
    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3));
    let mut desk = Desk::open();
    let mut answers = Vec::new();
    for path in ["mod/a", "mod/b"] {
        answers.push(desk.ask(HERE, order(path, "- here")));
        answers.push(desk.ask(THERE, order(path, "- there")));
    }
    assert_eq!((desk.is_building(HERE), desk.is_building(THERE)), (1, 1), "nobody knows yet how long it takes");
    tokio::time::advance(DEAR).await;
    desk.turn().await;
    desk.turn().await;
    assert_eq!(desk.is_building(HERE) + desk.is_building(THERE), 1, "one builder is left to others");
    answers.push(desk.ask(ELSEWHERE, order("mod/", "")));
    assert_eq!(desk.is_building(ELSEWHERE), 1, "who has cost nothing need not wait");
    while !desk.owner.building.is_empty() {
        desk.turn().await;
    }
    for answer in answers {
        assert!(answer.await.expect("an answer").is_ok());
    }
    tokio::time::advance(REMEMBERED + Duration::from_millis(1)).await;
    let _answers = ["mod/a", "mod/b"].map(|path| desk.ask(HERE, order(path, "- again")));
    desk.turn().await;
    let _other = desk.ask(THERE, order("mod/", "- again"));
    assert_eq!((desk.is_building(HERE), desk.is_building(THERE)), (1, 1), "nothing is held against anybody for ever");
}

#[tokio::test]
async fn a_list_that_nobody_waits_for_is_given_up_and_made_again_for_who_comes_then() {
    let mut desk = Desk::open();
    let unwanted = |desk: &Desk| desk.owner.building.values().any(|build| build.unwanted.load(Ordering::Relaxed));
    let gone = desk.ask(HERE, order("mod/", ""));
    desk.owner.look();
    assert!(!unwanted(&desk));
    drop(gone);
    desk.owner.look();
    assert!(unwanted(&desk));
    let answer = desk.ask(HERE, order("mod/", ""));
    assert_eq!(desk.owner.building.len(), 1);
    // It ends as a build does that is given up.
    let id = *desk.owner.building.keys().next().expect("one");
    desk.owner.built(Ok((id, Err(NoList::selection("not wanted")))));
    desk.owner.start();
    while !desk.owner.building.is_empty() {
        desk.turn().await;
    }
    assert!(answer.await.expect("an answer").is_ok());
}

#[tokio::test]
async fn lists_that_live_on_in_connections_leave_no_room_until_they_are_gone() {
    let mut desk = Desk::open();
    let refused = |answer: Listed| answer.is_err_and(|error| error == no_room());
    let ready = desk.ask(HERE, order("mod/a", ""));
    desk.turn().await;
    let ready = ready.await.expect("an answer").expect("a list");
    let held = desk.owner.accounts.get(&HERE).expect("it has one").charge(LEAST / 2);
    let answer = desk.ask(HERE, order("mod/b", ""));
    assert!(refused(answer.await.expect("an answer")), "half of it all is for the others");
    let answer = desk.ask(THERE, order("mod/b", ""));
    desk.turn().await;
    drop(answer.await.expect("an answer").expect("a list"));
    let more = desk.owner.account.charge(LEAST);
    assert!(refused(desk.ask(THERE, order("mod/c", "")).await.expect("an answer")));
    // Who asks for what is there, gets it.
    let again = desk.ask(THERE, order("mod/a", "")).await.expect("an answer").expect("a list");
    assert!(Arc::ptr_eq(&ready, &again));
    drop((held, more, ready, again));
    let answer = desk.ask(HERE, order("mod/c", ""));
    desk.turn().await;
    assert!(answer.await.expect("an answer").is_ok());
}

#[tokio::test]
async fn what_lies_idle_in_the_cache_makes_room() {
    let mut desk = Desk::open();
    for path in ["mod/a", "mod/b"] {
        let answer = desk.ask(HERE, order(path, ""));
        desk.turn().await;
        drop(answer.await.expect("an answer").expect("a list"));
    }
    let idle = desk.owner.account.all();
    assert!(idle > 0 && desk.owner.bytes > 0);
    let _held = desk.owner.account.charge(LEAST - idle);
    let answer = desk.ask(THERE, order("mod/c", ""));
    desk.turn().await;
    assert!(answer.await.expect("an answer").is_ok());
    let is_kept = |path| desk.owner.slots.contains_key(&Key::of(&order(path, ""), &desk.shop.current).0);
    assert_eq!(["mod/a", "mod/b"].map(is_kept), [false, true], "the older one had to go, and that was enough");
}

#[tokio::test]
async fn a_further_list_costs_nothing_for_those_in_the_cache_and_these_are_bounded_in_number() {
    const FEW: usize = 20;
    let mut desk = Desk::open();
    for number in 0..FEW {
        let answer = desk.ask(HERE, order("mod/a", &format!("- other{number}")));
        assert_eq!(desk.owner.make_room(HERE), 0, "there is room");
        desk.turn().await;
        assert_eq!(desk.owner.forget_dead(), 0, "no generation has gone");
        drop(answer.await.expect("an answer").expect("a list"));
    }
    assert_eq!(desk.owner.by_use.len(), FEW);
    let full = desk.owner.account.charge(LEAST - desk.owner.account.all() + 1);
    assert_eq!((desk.owner.make_room(THERE), desk.owner.by_use.len()), (1, FEW - 1), "one was enough");
    drop(full);
    for number in 0..LEAST / PLACE_BYTES {
        let answer = desk.ask(HERE, order("mod/a", &format!("- another{number}")));
        desk.turn().await;
        drop(answer.await.expect("an answer").expect("a list"));
        assert!(desk.owner.by_use.len() <= LEAST / PLACE_BYTES / 2 + 1, "half of it all is for the others");
    }
}

#[tokio::test]
async fn lists_of_a_generation_that_is_served_no_more_go_with_the_next_one_that_is_made() {
    let mut desk = Desk::open();
    for path in ["mod/a", "mod/b"] {
        let answer = desk.ask(HERE, order(path, ""));
        desk.turn().await;
        drop(answer.await.expect("an answer").expect("a list"));
    }
    publish(&mut desk.shop, 2, "second");
    let answer = desk.ask(HERE, order("mod/file", ""));
    desk.turn().await;
    let listing = answer.await.expect("an answer").expect("a list");
    let Owner { slots, by_use, bytes, generations, .. } = &desk.owner;
    assert_eq!((slots.len(), by_use.len(), *bytes, generations.len()), (1, 1, listing.weight(), 1));
}

#[test]
fn neighbours_in_a_network_of_one_client_are_one() {
    let origin = |text: &str| origin(text.parse().expect("an address"));
    assert_eq!(origin("2001:db8:1:2:3::4"), origin("2001:db8:1:2::9"));
    assert_ne!(origin("2001:db8:1:2:3::4"), origin("2001:db8:1:3:3::4"));
    assert_eq!(origin("::ffff:192.0.2.1"), HERE);
    assert_ne!(HERE, THERE);
}

#[tokio::test]
async fn a_build_that_breaks_down_leaves_nobody_waiting_and_harms_no_other() {
    let mut desk = Desk::open();
    let (first, second) = (desk.ask(HERE, order("mod/a", "")), desk.ask(THERE, order("mod/b", "")));
    let gone = desk.ask(HERE, order("mod/c", ""));
    assert_eq!(desk.owner.builds.len(), Kind::Choosing.builders());
    // They are ended as a panic would end them; who waits for the third has gone meanwhile.
    drop(gone);
    desk.owner.builds.abort_all();
    while let Some(ended) = desk.owner.builds.join_next_with_id().await {
        desk.owner.built(ended);
    }
    for answer in [first, second] {
        assert_eq!(answer.await.expect("an answer").expect_err("it broke down"), NoList::ours());
    }
    desk.owner.start();
    let Owner { builds, slots, queue, .. } = &desk.owner;
    assert!(builds.is_empty() && slots.is_empty() && queue.is_empty(), "nobody waits for it");
}
