//! What the tests of this folder share: a store with a small tree in it, and a client that speaks raw bytes.
//!
//! And the tests of the daemon as a whole, at a real socket. The client knows just enough of the protocol to get
//! where a stock client would never go. Deliberately absent: whole sessions, which stock rsync itself judges.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_128;

use super::*;
use crate::names::Generation;
use crate::store::{Access, NewContent, Store};
use crate::tree::{ContentId, Snapshot};

/// What the tree holds; the bytes of `bad` are not what its id says.
const FILES: [(&str, &str); 4] = [("a", "alpha"), ("b", "beta"), ("bad", "rotten"), ("c", "gamma")];

/// The id that `bad` has.
pub(super) fn sound() -> ContentId {
    ContentId::of(b"robust")
}

/// A store with one generation, ready to be served.
pub(super) struct Shop {
    pub(super) readers: Readers,
    pub(super) current: Arc<Current>,
    pub(super) store: Store,
    _dir: TempDir,
}

impl Shop {
    pub(super) fn open() -> Shop {
        let dir = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(dir.path(), Access::Create).expect("a store");
        let mut text = "headwater snapshot 1\nrepository gentoo\nd 755 1 .\n".to_owned();
        let mut ingest = store.begin(&"gentoo".parse().expect("a name")).expect("an ingest");
        for (path, bytes) in FILES.map(|(path, text)| (path, text.as_bytes())) {
            let id = if path == "bad" { sound() } else { ContentId::of(bytes) };
            let xxh128 = xxh3_128(bytes).to_le_bytes();
            ingest.put(&[NewContent { id, xxh128, bytes }]).expect("room");
            text += &format!("f 644 1 {} {id} {path}\n", bytes.len());
        }
        let snapshot = Snapshot::parse(text.as_bytes()).expect("a snapshot");
        let staged = ingest.stage(&snapshot, None).expect("whole");
        let located = staged.located().next().expect("one").clone();
        staged.discard().expect("a store");
        let pin = store.pins().pin(snapshot.id()).expect("nobody sweeps");
        let channel = "gentoo/full".parse().expect("a name");
        let current = Arc::new(Current { channel, generation: Generation::FIRST, located, pin });
        let readers = Readers::open(dir.path(), 4).expect("a store");
        Shop { readers, current, store, _dir: dir }
    }

    /// Where the store is.
    pub(super) fn dir(&self) -> &Path {
        self._dir.path()
    }

    /// A module of the whole tree, without a setting.
    pub(super) fn module(&self) -> Module {
        Module {
            name: "mod".parse().expect("a name"),
            comment: String::new(),
            visibility: ListingVisibility::Listed,
            hosts: HostRules::default(),
            max_connections: None,
            timeout: None,
            motd: Vec::new(),
            transfer_log: false,
            log_format: Arc::default(),
            auth: None,
            bwlimit: None,
            bucket: Bucket::default(),
            filters: Arc::default(),
            ownership: Ownership::default(),
            path: Vec::new(),
            current: Some(self.current.clone()),
            slots: Slots::default(),
        }
    }

    fn published(&self, limits: ServeLimits) -> Arc<Published> {
        Arc::new(Published { modules: vec![Arc::new(self.module())], limits, ..Published::default() })
    }

    fn serving(&self, published: watch::Receiver<Arc<Published>>, tally: Tally, bad: BadContents) -> Serving {
        let (readers, pins) = (self.readers.clone(), self.store.pins());
        Serving { published, readers, pins, tally, log: None, bad }
    }
}

pub(super) const LIMITS: ServeLimits = ServeLimits {
    connections: 10,
    per_client: 10,
    per_network: 0,
    handshake: Duration::from_secs(60),
    idle: Duration::from_secs(60),
    list_cache: 1 << 20,
    batch: 16,
    buffer: 1 << 20,
    buffers: 64 << 20,
    arguments: 1000,
    rules: 1000,
    names: 1000,
    matches: 1000,
    log_lines: 10,
};

/// A daemon with one module, `mod`.
pub(super) struct Daemon {
    pub(super) address: SocketAddr,
    pub(super) tally: Tally,
    bad: mpsc::Receiver<BadContent>,
    pub(super) lines: mpsc::Receiver<TransferLine>,
    stop: CancellationToken,
    running: JoinSet<Result<(), ServeError>>,
    pub(super) published: watch::Sender<Arc<Published>>,
    pub(super) shop: Shop,
}

impl Daemon {
    pub(super) fn start(limits: ServeLimits) -> Daemon {
        Daemon::of(Shop::open(), limits, |_| ())
    }

    /// One whose module is another one than [`Shop::module`].
    pub(super) fn of(shop: Shop, limits: ServeLimits, set: impl FnOnce(&mut Module)) -> Daemon {
        let doors = Doors::open(&["127.0.0.1:0".parse().expect("an address")]).expect("a port");
        let address = doors.addresses()[0];
        let mut module = shop.module();
        set(&mut module);
        let first = Published { modules: vec![Arc::new(module)], limits, ..Published::default() };
        let (published_to, published) = watch::channel(Arc::new(first));
        let (bad_to, bad) = BadContents::new(8);
        let (log, lines) = TransferLog::new(8);
        let tally = Tally::default();
        let serving = Serving { log: Some(log), ..shop.serving(published, tally.clone(), bad_to) };
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(serve(doors, serving, stop.clone(), Duration::from_secs(5)));
        Daemon { address, tally, bad, lines, stop, running, published: published_to, shop }
    }

    pub(super) async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.expect("the door is open"))
    }

    /// Stops it; what it had is as it left it.
    pub(super) async fn end(mut self) -> Shop {
        self.stop.cancel();
        self.running.join_next().await.expect("it ran").expect("no panic").expect("an orderly end");
        self.shop
    }
}

pub(super) struct Client(pub(super) TcpStream);

impl Client {
    pub(super) async fn line(&mut self) -> String {
        let mut line = String::new();
        loop {
            match self.0.read_u8().await {
                Ok(b'\n') | Err(_) => return line,
                Ok(byte) => line.push(char::from(byte)),
            }
        }
    }

    pub(super) async fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("the daemon listens");
    }

    /// Goes as far as the file list of the whole module: protocol 31, md5, no compression, no rules.
    pub(super) async fn open(&mut self) {
        self.name("mod").await;
        assert_eq!(self.line().await, "@RSYNCD: OK");
        self.list("mod").await;
    }

    /// Greets and names a module.
    pub(super) async fn name(&mut self, module: &str) {
        assert!(self.line().await.starts_with("@RSYNCD: 3"));
        self.say(format!("@RSYNCD: 31.0\n{module}\n").as_bytes()).await;
    }

    /// Goes from the module's OK to its file list.
    pub(super) async fn list(&mut self, module: &str) {
        self.say(format!("--server\0--sender\0-re.LsfxC\0.\0{module}/\0\0").as_bytes()).await;
        // The compat flags fit one byte; the seed has four.
        self.0.read_exact(&mut [0; 5]).await.expect("the setup");
        self.data(&[0; 4]).await;
    }

    pub(super) async fn data(&mut self, bytes: &[u8]) {
        let length = u8::try_from(bytes.len()).expect("short");
        self.say(&[&[length, 0, 0, 7], bytes].concat()).await;
    }

    /// Asks for the whole of files by their distance from the one before.
    pub(super) async fn ask(&mut self, steps: &[u8]) {
        for step in steps {
            // The same index again is written as a step of zero in the long form.
            let index: &[u8] = if *step == 0 { &[0xfe, 0, 0] } else { std::slice::from_ref(step) };
            self.data(&[index, &[0x00, 0xa0], &[0; 16]].concat()).await;
        }
    }

    /// Reads frames until one with this tag comes; its payload.
    pub(super) async fn message(&mut self, tag: u8) -> Vec<u8> {
        loop {
            let header = self.0.read_u32_le().await.expect("a frame");
            let mut payload = vec![0; (header & 0x00ff_ffff) as usize];
            self.0.read_exact(&mut payload).await.expect("its payload");
            if header >> 24 == u32::from(tag) + 7 {
                return payload;
            }
        }
    }
}

const ERROR_XFER: u8 = 1;
const ERROR: u8 = 3;
const IO_TIMEOUT: u8 = 33;
const ERROR_EXIT: u8 = 86;
pub(super) const NO_SEND: u8 = 102;

#[tokio::test]
async fn one_address_gets_so_many_connections_and_a_place_is_free_again_after() {
    let daemon = Daemon::start(ServeLimits { per_client: 2, ..LIMITS });
    let (mut first, mut second) = (daemon.connect().await, daemon.connect().await);
    assert!(first.line().await.starts_with("@RSYNCD: 3"));
    assert!(second.line().await.starts_with("@RSYNCD: 3"));
    let mut third = daemon.connect().await;
    assert!(third.line().await.starts_with("@RSYNCD: 3"));
    assert_eq!(third.line().await, "@ERROR: max connections (2) reached -- try again later");
    assert_eq!(daemon.tally.read().refused, 1);
    drop(first);
    // How soon the daemon notices is its own affair, but it does.
    loop {
        let mut next = daemon.connect().await;
        next.line().await;
        next.say(b"@RSYNCD: 31.0\n#list\n").await;
        match next.line().await.as_str() {
            "@ERROR: max connections (2) reached -- try again later" => {}
            line => break assert!(line.starts_with("mod "), "{line}"),
        }
    }
    drop((second, third));
    daemon.end().await;
}

#[tokio::test]
async fn what_is_no_file_cannot_be_asked_for_and_the_client_is_told_so() {
    // The dot entry has index 0; there is no index 200.
    for (step, told) in [(1, "rsync: index 0 is no regular file"), (200, "rsync: request for file index 199")] {
        let daemon = Daemon::start(LIMITS);
        let mut client = daemon.connect().await;
        client.open().await;
        client.ask(&[step]).await;
        // What is said later is not read: closing at once would lose the answer.
        client.data(&[0; 200]).await;
        let text = String::from_utf8(client.message(ERROR).await).expect("text");
        assert!(text.starts_with(told), "{text}");
        assert_eq!(client.message(ERROR_EXIT).await, [2, 0, 0, 0]);
        drop(client);
        daemon.end().await;
    }
}

#[tokio::test]
async fn a_content_that_is_asked_for_twice_is_doubted_and_what_is_bad_is_refused_and_reported() {
    let mut daemon = Daemon::start(LIMITS);
    let mut client = daemon.connect().await;
    client.open().await;
    // `.`, `a`, `b`, `bad`, `c`: twice the third file, between two good ones.
    client.ask(&[2, 2, 0, 1]).await;
    let text = String::from_utf8(client.message(ERROR_XFER).await).expect("text");
    assert_eq!(text, "rsync: [sender] send_files failed to open \"/bad\" (in mod): Input/output error (5)\n");
    assert_eq!(client.message(NO_SEND).await, [3, 0, 0, 0]);
    let bad = daemon.bad.recv().await.expect("news");
    assert_eq!((bad.content, bad.path.as_slice()), (sound(), b"bad".as_slice()));
    // All are answered: those that are good, and the bad one before it was doubted.
    client.data(&[0]).await;
    client.message(0).await;
    assert_eq!(daemon.tally.read().files, 3);
    drop(client);
    daemon.end().await;
}

#[tokio::test(start_paused = true)]
async fn names_of_files_may_come_long_after_the_rules_have_and_rules_may_not() {
    const HANDSHAKE: Duration = Duration::from_secs(5);
    let daemon = Daemon::of(Shop::open(), ServeLimits { handshake: HANDSHAKE, ..LIMITS }, |module| {
        module.timeout = Some(Duration::from_secs(30));
    });
    for rules in [true, false] {
        let mut client = daemon.connect().await;
        client.name("mod").await;
        assert_eq!(client.line().await, "@RSYNCD: OK");
        client.say(b"--server\0--sender\0-re.LsfxC\0--files-from=-\0--from0\0.\0mod/\0\0").await;
        client.0.read_exact(&mut [0; 5]).await.expect("the setup");
        assert_eq!(client.message(IO_TIMEOUT).await, [30, 0, 0, 0]);
        let begun = Instant::now();
        if !rules {
            assert_eq!(client.0.read_u8().await.expect_err("an end").kind(), std::io::ErrorKind::UnexpectedEof);
            assert_eq!(begun.elapsed().as_secs(), HANDSHAKE.as_secs());
            continue;
        }
        client.data(&[0; 4]).await;
        assert!(client.message(0).await.is_empty(), "it is kept alive");
        assert_eq!(begun.elapsed().as_secs(), 15);
        client.data(b"a\0b\0\0").await;
        let list = client.message(0).await;
        assert!(!list.is_empty(), "the list of what was named");
    }
    daemon.end().await;
}

#[tokio::test]
async fn a_database_that_cannot_be_read_is_told_once_and_not_for_each_file() {
    let mut daemon = Daemon::start(LIMITS);
    let mut client = daemon.connect().await;
    client.open().await;
    let database = rusqlite::Connection::open(daemon.shop._dir.path().join("headwater.db")).expect("a database");
    database.execute_batch("ALTER TABLE bytes RENAME TO elsewhere").expect("a table");
    // All four files at once, so that they are read at once.
    let asked = [2, 1, 1, 1].map(|step| [[step, 0x00, 0xa0].as_slice(), &[0; 16]].concat());
    client.data(&asked.concat()).await;
    for index in 1..=4 {
        assert_eq!(client.message(NO_SEND).await, [index, 0, 0, 0]);
    }
    let bad = daemon.bad.recv().await.expect("news");
    assert!(bad.reason.starts_with("cannot read contents: no such table"), "{}", bad.reason);
    assert!(daemon.bad.try_recv().is_err(), "nothing is known of the others");
    drop(client);
    daemon.end().await;
}

#[tokio::test]
async fn a_connection_keeps_no_more_than_its_own_generation() {
    let daemon = Daemon::start(LIMITS);
    let mut early = daemon.connect().await;
    early.line().await;
    // It has not named its module yet: what is published now is what it gets.
    let before = Arc::downgrade(&*daemon.published.borrow());
    let empty = Published { limits: LIMITS, ..Published::default() };
    daemon.published.send_replace(Arc::new(empty));
    assert!(before.upgrade().is_none(), "a client that has asked for nothing holds nothing");
    early.say(b"@RSYNCD: 31.0\nmod\n").await;
    assert_eq!(early.line().await, "@ERROR: Unknown module 'mod'");
    drop(early);
    daemon.end().await;
}

#[tokio::test]
async fn without_a_door_it_serves_nobody_until_it_is_stopped() {
    let shop = Shop::open();
    let (_keep, published) = watch::channel(shop.published(LIMITS));
    let (bad, _news) = BadContents::new(1);
    let serving = shop.serving(published, Tally::default(), bad);
    let doors = Doors::open(&[]).expect("nothing to open");
    let stop = CancellationToken::new();
    let mut serving = Box::pin(serve(doors, serving, stop.clone(), Duration::ZERO));
    assert!(futures_util::poll!(&mut serving).is_pending());
    stop.cancel();
    serving.await.expect("an orderly end");
}
