//! Settings of a module and a node, each seen from a client: what is let in, what is told, what is logged.
//!
//! At a real socket, with the raw client of `tests`. What a single file decides by itself is tested there; here is what
//! comes together in a connection. Deliberately absent: whole sessions of stock clients, which the compliance table has.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use md5::{Digest, Md5};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::tests::{Client, Daemon, LIMITS, Shop};
use super::*;
use crate::names::Generation;
use crate::store::{Ingest, Keep, NewContent, NewHead, Store};
use crate::tree::{ContentId, FederationId, Head, Signature, Snapshot, Word};

fn guarded(rules: &[(&str, Grant)], weakest: PasswordDigest) -> Auth {
    let users = rules.iter().map(|(pattern, grant)| AuthUser { pattern: (*pattern).to_owned(), grant: *grant });
    let secrets = Secrets::parse(b"alice:s3cret\nmallory:known").expect("secrets");
    Auth { users: users.collect(), secrets: secrets.into(), weakest }
}

impl Client {
    /// Answers a challenge with md5, which a client of this age has.
    async fn log_in(&mut self, user: &str, password: &str) {
        let line = self.line().await;
        let challenge = line.strip_prefix("@RSYNCD: AUTHREQD ").unwrap_or_else(|| panic!("a challenge, not {line:?}"));
        assert!(challenge.len() >= 22, "128 bits at least: {challenge}");
        let answer = Md5::new_with_prefix(password).chain_update(challenge).finalize();
        self.say(format!("{user} {}\n", STANDARD_NO_PAD.encode(answer)).as_bytes()).await;
    }
}

#[tokio::test]
async fn a_password_lets_in_and_every_other_answer_reads_the_same() {
    let auth = guarded(&[("mallory", Grant::Deny), ("[a-m]*", Grant::Read)], PasswordDigest::Md5);
    let mut daemon = Daemon::of(Shop::open(), LIMITS, |module| {
        module.auth = Some(auth);
        module.motd = b"hello".to_vec();
        module.transfer_log = true;
    });
    for (user, password) in [("alice", "wrong"), ("bob", "s3cret"), ("mallory", "known"), ("zoe", "s3cret"), ("", "")] {
        let mut client = daemon.connect().await;
        client.name("mod").await;
        assert_eq!(client.line().await, "hello", "the module's message comes before the challenge");
        client.log_in(user, password).await;
        assert_eq!(client.line().await, "@ERROR: auth failed on module mod", "{user}");
    }
    let mut client = daemon.connect().await;
    client.name("mod").await;
    client.line().await;
    client.log_in("alice", "s3cret").await;
    assert_eq!(client.line().await, "@RSYNCD: OK");
    client.list("mod").await;
    client.ask(&[2]).await;
    let line = daemon.lines.recv().await.expect("a line");
    assert_eq!((line.user.as_slice(), line.path.as_slice(), line.size), (b"alice".as_slice(), b"a".as_slice(), 5));
    assert!(line.wire_bytes >= 5, "{line:?}");
    drop(client);
    daemon.end().await;
}

#[tokio::test]
async fn a_digest_that_is_too_weak_is_told_before_anything_is_proven() {
    let auth = guarded(&[("*", Grant::Read)], PasswordDigest::Sha256);
    let daemon = Daemon::of(Shop::open(), LIMITS, |module| module.auth = Some(auth));
    let mut client = daemon.connect().await;
    client.name("mod").await;
    let told = client.line().await;
    assert!(
        told.starts_with("@ERROR: your client does not support one of our daemon-auth checksums: sha512 sha256"),
        "{told}"
    );
    drop(client);
    daemon.end().await;
}

#[tokio::test]
async fn the_checks_at_a_modules_name_come_in_the_order_of_rsyncd() {
    // A denied host is told so, whatever else; a place is taken before the password, and given back with the connection.
    let daemon = Daemon::of(Shop::open(), LIMITS, |module| {
        module.auth = Some(guarded(&[("*", Grant::Read)], PasswordDigest::Md5));
        module.max_connections = Some(1);
    });
    let mut first = daemon.connect().await;
    first.name("mod").await;
    assert!(first.line().await.starts_with("@RSYNCD: AUTHREQD "));
    let mut second = daemon.connect().await;
    second.name("mod").await;
    assert_eq!(second.line().await, "@ERROR: max connections (1) reached -- try again later");
    let mut denied = daemon.shop.module();
    denied.hosts.deny = vec![HostPattern::Network("127.0.0.0/8".parse().expect("a network"))];
    denied.max_connections = Some(0);
    daemon.serve_module(denied);
    let mut third = daemon.connect().await;
    third.name("mod").await;
    assert_eq!(third.line().await, "@ERROR: access denied to mod from 127.0.0.1 (127.0.0.1)");
    first.log_in_late().await;
    drop((first, second, third));
    daemon.end().await;
}

impl Client {
    /// Answers a challenge that was read already, wrongly.
    async fn log_in_late(&mut self) {
        self.say(b"alice nonsense\n").await;
        assert_eq!(self.line().await, "@ERROR: auth failed on module mod");
    }
}

impl Daemon {
    /// Serves another module from now on.
    fn serve_module(&self, module: Module) {
        let limits = self.published.borrow().limits;
        let modules = vec![std::sync::Arc::new(module)];
        self.published.send_replace(Published { modules, limits, ..Published::default() }.into());
    }

    /// A client at an address of its own.
    async fn connect_from(&self, address: &str) -> Client {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(format!("{address}:0").parse().expect("an address")).expect("a local address");
        Client(socket.connect(self.address).await.expect("the door is open"))
    }

    /// Trusts what a proxy at 127.0.0.1 says.
    fn trust_proxy(&self) {
        let now = self.published.borrow().clone();
        let proxies = vec!["127.0.0.1/32".parse().expect("a network")];
        self.published.send_replace(
            Published { modules: now.modules.clone(), limits: now.limits, proxies, ..Published::default() }.into(),
        );
    }
}

#[tokio::test]
async fn clients_of_one_network_share_its_places() {
    let daemon = Daemon::start(ServeLimits { per_network: 2, ..LIMITS });
    let mut first = daemon.connect_from("127.0.0.1").await;
    let mut second = daemon.connect_from("127.0.0.2").await;
    let mut third = daemon.connect_from("127.0.0.3").await;
    let mut other = daemon.connect_from("127.0.1.1").await;
    for client in [&mut first, &mut second, &mut third, &mut other] {
        assert!(client.line().await.starts_with("@RSYNCD: 3"));
    }
    assert_eq!(third.line().await, "@ERROR: max connections (2) reached -- try again later");
    other.say(b"@RSYNCD: 31.0\n#list\n").await;
    assert!(other.line().await.starts_with("mod "));
    drop((first, second, third, other));
    daemon.end().await;
}

#[tokio::test]
async fn a_trusted_proxy_says_whose_connection_it_is() {
    let mut daemon = Daemon::of(Shop::open(), ServeLimits { per_client: 1, ..LIMITS }, |module| {
        module.hosts.deny = vec![HostPattern::Network("192.0.2.0/24".parse().expect("a network"))];
        module.transfer_log = true;
    });
    daemon.trust_proxy();
    let mut denied = daemon.connect().await;
    denied.say(b"PROXY TCP4 192.0.2.7 198.51.100.1 4000 873\r\n").await;
    denied.name("mod").await;
    assert_eq!(denied.line().await, "@ERROR: access denied to mod from 192.0.2.7 (192.0.2.7)");
    // Limits are those of the client; each of these has one place.
    let mut clients = Vec::new();
    for number in 1..=3 {
        let mut client = daemon.connect().await;
        client.say(format!("PROXY TCP4 203.0.113.{number} 198.51.100.1 4000 873\r\n").as_bytes()).await;
        client.open().await;
        clients.push(client);
    }
    clients[1].ask(&[2]).await;
    let line = daemon.lines.recv().await.expect("a line");
    assert_eq!(line.client.to_string(), "203.0.113.2:4000");
    let mut again = daemon.connect().await;
    again.say(b"PROXY TCP4 203.0.113.1 198.51.100.1 4001 873\r\n").await;
    assert!(again.line().await.starts_with("@RSYNCD: 3"));
    assert_eq!(again.line().await, "@ERROR: max connections (1) reached -- try again later");
    // Who says nothing of the kind is closed without a word.
    let mut bare = daemon.connect().await;
    bare.say(b"@RSYNCD: 31.0\nmod\n").await;
    assert_eq!(bare.line().await, "");
    drop((denied, clients, again, bare));
    daemon.end().await;
}

#[tokio::test]
async fn from_anybody_else_a_proxy_header_is_a_bad_greeting() {
    let daemon = Daemon::start(LIMITS);
    daemon.trust_proxy();
    let mut client = daemon.connect_from("127.0.0.2").await;
    assert!(client.line().await.starts_with("@RSYNCD: 3"));
    client.say(b"PROXY TCP4 192.0.2.7 198.51.100.1 4000 873\r\nmod\n").await;
    assert_eq!(client.line().await, "@ERROR: protocol startup error");
    drop(client);
    daemon.end().await;
}

#[tokio::test]
async fn a_reload_leaves_running_transfers_what_they_began_with() {
    let daemon = Daemon::start(LIMITS);
    let mut client = daemon.connect().await;
    client.open().await;
    client.message(0).await;
    let mut denied = daemon.shop.module();
    denied.hosts.deny = vec![HostPattern::Network("127.0.0.0/8".parse().expect("a network"))];
    denied.current = None;
    daemon.serve_module(denied);
    client.ask(&[2]).await;
    let sent = client.message(0).await;
    assert!(sent.windows(5).any(|bytes| bytes == b"alpha"), "{sent:?}");
    let mut next = daemon.connect().await;
    next.name("mod").await;
    assert!(next.line().await.starts_with("@ERROR: access denied"));
    drop((client, next));
    daemon.end().await;
}

/// Publishes a tree of one file beside what the shop has, and serves it.
pub(super) fn publish(shop: &mut Shop, generation: u64, text: &str) {
    let id = ContentId::of(text.as_bytes());
    let xxh128 = xxhash_rust::xxh3::xxh3_128(text.as_bytes()).to_le_bytes();
    publish_file(shop, generation, &format!("{} {id} file", text.len()), |ingest| {
        ingest.put(&[NewContent { id, xxh128, bytes: text.as_bytes() }]).expect("room");
    });
}

/// The same with a large file of this name, as it stands in a snapshot. Where its bytes are.
pub(super) fn publish_large(shop: &mut Shop, name: &str, bytes: &[u8]) -> PathBuf {
    let (id, xxh128) = (ContentId::of(bytes), xxhash_rust::xxh3::xxh3_128(bytes).to_le_bytes());
    let size = u64::try_from(bytes.len()).expect("small");
    publish_file(shop, 1, &format!("{size} {id} {name}"), |ingest| {
        let mut incoming = ingest.landing().create().expect("a file");
        incoming.write(bytes).expect("room");
        ingest.put_large(&id, &xxh128, size, incoming).expect("room");
    });
    let digits = id.to_string();
    shop.dir().join("large").join(&digits[..2]).join(digits)
}

fn publish_file(shop: &mut Shop, generation: u64, file: &str, put: impl FnOnce(&mut Ingest<'_>)) {
    let tree = format!("headwater snapshot 1\nrepository gentoo\nd 755 1 .\nf 644 1 {file}\n");
    let snapshot = Snapshot::parse(tree.as_bytes()).expect("a snapshot");
    let mut ingest = shop.store.begin(&"gentoo".parse().expect("a name")).expect("an ingest");
    put(&mut ingest);
    let staged = ingest.stage(&snapshot, None).expect("whole");
    let located = staged.located().next().expect("one").clone();
    let head = Head {
        federation: FederationId::from_bytes([7; 64]),
        channel: Word::new("gentoo/full").expect("a name"),
        generation,
        snapshot: snapshot.id(),
        term: 1,
        time: i64::try_from(generation).expect("small"),
    };
    let head = NewHead { text: head.signed(Signature::from_bytes([9; 64])), source: None };
    staged.publish(vec![head], None).expect("published");
    let pin = shop.store.pins().pin(snapshot.id()).expect("nobody sweeps");
    let channel = "gentoo/full".parse().expect("a name");
    let generation = Generation::new(generation).expect("a generation");
    shop.current = Current { channel, generation, located, pin }.into();
}

async fn sweep(store: &mut Store) -> usize {
    store.sweep(Keep { generations: 1, hours: 0, most: 1 }, 1_000_000).expect("a sweep").dropped.len()
}

#[tokio::test]
async fn an_older_generation_is_served_by_its_number_as_long_as_it_is_kept() {
    let mut shop = Shop::open();
    for (generation, text) in [(1, "first"), (2, "second"), (3, "third")] {
        publish(&mut shop, generation, text);
    }
    let mut daemon = Daemon::of(shop, LIMITS, |_| ());
    let mut clients = Vec::new();
    for (name, expected) in [("mod", "third"), ("mod@3", "third"), ("mod@1", "first")] {
        let mut client = daemon.connect().await;
        client.name(name).await;
        assert_eq!(client.line().await, "@RSYNCD: OK", "{name}");
        client.list(name).await;
        client.message(0).await;
        client.ask(&[2]).await;
        let sent = client.message(0).await;
        assert!(sent.windows(expected.len()).any(|bytes| bytes == expected.as_bytes()), "{name}: {sent:?}");
        clients.push(client);
    }
    for name in ["mod@9", "mod@0", "mod@", "mod@x", "mod@1@1", "none@1"] {
        let mut client = daemon.connect().await;
        client.name(name).await;
        assert_eq!(client.line().await, format!("@ERROR: Unknown module '{name}'"));
    }
    // Who reads the first generation has it pinned; the second one goes.
    assert_eq!(sweep(&mut daemon.shop.store).await, 1);
    let mut client = daemon.connect().await;
    client.name("mod@2").await;
    assert_eq!(client.line().await, "@ERROR: Unknown module 'mod@2'");
    let mut client = daemon.connect().await;
    client.name("mod@1").await;
    assert_eq!(client.line().await, "@RSYNCD: OK");
    drop((client, clients));
    // It stays for some seconds, but no longer than the daemon.
    let mut shop = daemon.end().await;
    assert_eq!(sweep(&mut shop.store).await, 1);
}

#[tokio::test]
async fn with_no_room_left_each_connection_still_gets_its_small_answers() {
    let daemon = Daemon::start(ServeLimits { buffer: 1, buffers: 0, ..LIMITS });
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = daemon.connect().await;
        client.open().await;
        client.ask(&[2, 1, 2]).await;
        client.data(&[0]).await;
        clients.push(client);
    }
    for client in &mut clients {
        client.message(0).await;
        let sent = client.message(0).await;
        assert!(!sent.is_empty());
    }
    drop(clients);
    daemon.end().await;
}

#[tokio::test]
async fn one_door_may_have_several_addresses_of_both_families() {
    if std::net::TcpListener::bind("[::]:0").is_err() {
        // A machine without IPv6.
        return;
    }
    for four in ["0.0.0.0", "127.0.0.1"] {
        let probe = std::net::TcpListener::bind((four, 0)).expect("a port");
        let port = probe.local_addr().expect("an address").port();
        drop(probe);
        let mut both = [format!("[::]:{port}"), format!("{four}:{port}")].map(|text| text.parse().expect("an address"));
        for _ in 0..2 {
            let doors = Doors::open(&both).expect("both are free");
            assert_eq!(doors.addresses(), both);
            both.reverse();
        }
    }
}

#[tokio::test]
async fn a_door_that_was_handed_over_is_one_like_any_other() {
    let handed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = handed.local_addr().expect("an address");
    let taken = Doors::take(vec![handed]).expect("a socket");
    assert_eq!(taken.addresses(), [address]);
    let mut client = TcpStream::connect(address).await.expect("it listens");
    client.write_all(b"x").await.expect("it is open");
    drop(taken);
    assert!(!matches!(client.read(&mut [0]).await, Ok(1..)));
}

/// What stock rsync says to a pull of `path` from the daemon, and how long it takes; the pulled file.
struct Pulled {
    code: Option<i32>,
    text: String,
    file: Option<String>,
    seconds: f64,
}

async fn pull(daemon: &Daemon, path: &str, user: &str, password: &str) -> Pulled {
    let at = if user.is_empty() { String::new() } else { format!("{user}@") };
    let url = format!("rsync://{at}{}/{path}", daemon.address);
    let password = password.to_owned();
    let pulled = tokio::task::spawn_blocking(move || {
        let target = tempfile::tempdir().expect("a directory");
        let start = std::time::Instant::now();
        let mut command = std::process::Command::new("rsync");
        command.env("RSYNC_PASSWORD", password).args(["-rt", "--timeout=60", &url]).arg(target.path().join("to"));
        let output = command.output().expect("stock rsync");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let file = std::fs::read_to_string(target.path().join("to"))
            .or_else(|_| std::fs::read_to_string(target.path().join("to/file")));
        Pulled { code: output.status.code(), text, file: file.ok(), seconds: start.elapsed().as_secs_f64() }
    });
    pulled.await.expect("it ran")
}

#[tokio::test]
async fn a_stock_client_logs_in_and_reads_what_it_may() {
    let auth = guarded(&[("alice", Grant::Read)], PasswordDigest::Sha512);
    let mut shop = Shop::open();
    publish(&mut shop, 1, "first");
    publish(&mut shop, 2, "second");
    let daemon = Daemon::of(shop, LIMITS, |module| module.auth = Some(auth));
    let right = pull(&daemon, "mod/file", "alice", "s3cret").await;
    assert_eq!((right.code, right.file.as_deref()), (Some(0), Some("second")), "{}", right.text);
    for (user, password) in [("alice", "wrong"), ("bob", "s3cret"), ("", "s3cret")] {
        let wrong = pull(&daemon, "mod/file", user, password).await;
        assert_eq!((wrong.code, wrong.file), (Some(5), None), "{}", wrong.text);
        assert!(wrong.text.contains("@ERROR: auth failed on module mod\n"), "{}", wrong.text);
    }
    // A kept generation, by a path in it and as a whole, under the same rules.
    for path in ["mod@1/file", "mod@1/", "mod@1"] {
        let older = pull(&daemon, path, "alice", "s3cret").await;
        assert_eq!((older.code, older.file.as_deref()), (Some(0), Some("first")), "{path}: {}", older.text);
    }
    let none = pull(&daemon, "mod@7/", "alice", "s3cret").await;
    assert!(none.code == Some(5) && none.text.contains("@ERROR: Unknown module 'mod@7'\n"), "{}", none.text);
    daemon.end().await;
}

#[tokio::test]
async fn stock_clients_get_no_more_than_the_rate_of_their_module_in_equal_shares() {
    let mut shop = Shop::open();
    publish(&mut shop, 1, &"x".repeat(60_000));
    let daemon = Daemon::of(shop, LIMITS, |module| {
        module.bwlimit = Some(400_000);
        module.bucket = Bucket::default().at(Some(200_000));
    });
    let (one, two) = tokio::join!(pull(&daemon, "mod/file", "", ""), pull(&daemon, "mod/file", "", ""));
    for pulled in [&one, &two] {
        assert_eq!((pulled.code, pulled.file.as_ref().map(String::len)), (Some(0), Some(60_000)), "{}", pulled.text);
        // Alone it would have 0.3 s, without a limit next to none.
        assert!(pulled.seconds > 0.4, "{}", pulled.seconds);
    }
    daemon.end().await;
}

#[tokio::test]
async fn a_file_for_which_there_is_no_room_goes_out_in_parts() {
    let mut shop = Shop::open();
    let text: String = (0..60_000).map(|number| format!("{number:06}")).collect();
    publish(&mut shop, 1, &text);
    let daemon = Daemon::of(shop, ServeLimits { buffers: 0, ..LIMITS }, |module| module.transfer_log = true);
    let pulled = pull(&daemon, "mod/file", "", "").await;
    assert_eq!((pulled.code, pulled.file == Some(text)), (Some(0), true), "{}", pulled.text);
    assert_eq!(daemon.tally.read().files, 1);
    daemon.end().await;
}
