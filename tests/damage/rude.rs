//! Clients that cut the connection, talk rubbish, talk without end or stop reading: they harm nobody but themselves.
//!
//! Each test besieges a node of its own while well-behaved clients pull from it. Afterwards no connection is left, the node
//! has not grown beyond what its limits allow, and its log knows of no failure on its own side.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use super::edition::{Dice, Lines, Size, noise, same};
use super::node::Node;
use super::place::{MODULE, Place, Start};
use super::rig::relay::Relay;
use super::session::{Session, recorded};
use super::{client, wait};

/// A well-behaved client needs a fraction of a second when nobody disturbs it.
const NORMAL: Duration = Duration::from_secs(12);

/// What a node may grow by under many small rude clients, in MiB.
const GROWTH: u64 = 64;

/// What one connection that asked for everything and does not read may hold, in MiB: a full queue, a batch beyond it, and
/// what is being read.
const HELD: u64 = 3;

/// Attacks while clients pull, and looks at the damage.
fn besiege(node: &Node<'_>, tree: &Lines, growth: u64, attack: impl FnOnce() + Send) {
    same(&client::pull(node), tree, "before");
    let before = node.memory();
    let most = AtomicU64::new(0);
    let pull = |what: &str| {
        let start = Instant::now();
        same(&client::pull(node), tree, what);
        assert!(start.elapsed() < NORMAL, "{what}: {:?}", start.elapsed());
        most.fetch_max(node.memory(), Ordering::Relaxed);
    };
    scope(|scope| {
        let attack = scope.spawn(attack);
        pull("during the attack");
        while !attack.is_finished() {
            pull("during the attack");
        }
    });
    pull("after the attack");
    node.rests();
    let most = most.into_inner();
    assert!(most <= before + growth, "the node grew from {before} MiB to {most} MiB");
    node.is_unharmed();
}

/// A node with one small tree, whose limits suit impatient tests.
fn node(place: &Place) -> (Node<'_>, Lines) {
    place.limit("idle = \"10s\"\nhandshake = \"2s\"\nconnections = 400\nper_client = 400");
    ask_for_logins(place);
    let (_, tree) = place.source(Size::Small, 1);
    (Node::start(place), tree)
}

/// Gives the recorded logins the module that they ask for, so that they come to the question of who they are.
fn ask_for_logins(place: &Place) {
    let add = |file: &str, before: &str, after: &str| {
        let path = place.data.join(file);
        fs::write(&path, format!("{before}{}{after}", fs::read_to_string(&path).unwrap())).unwrap();
    };
    let module = "\n[[module]]\nname = \"vecauth\"\nchannel = \"tree/full\"\nauth_users = [\"joe\"]\n";
    add("topology.toml", "", module);
    add("headwater.toml", "secrets = \"users\"\n", "");
    let users = place.data.join("users");
    fs::write(&users, "joe:secret\n").unwrap();
    fs::set_permissions(&users, fs::Permissions::from_mode(0o600)).unwrap();
}

/// What a stock client says that pulls the tree of this node.
fn record(node: &Node<'_>) -> Session {
    let relay = Relay::new(node.port, usize::MAX);
    let target = node.place.fresh();
    client::whole(client::begin(relay.port, &target), &target);
    Session { name: "recorded now".to_owned(), bytes: relay.said() }
}

/// Says something. That the node hangs up in the middle is its right.
fn say(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

/// Ends our side and waits for the node to end its own.
#[track_caller]
fn hear_the_end(mut stream: TcpStream, what: &str) {
    let _ = stream.shutdown(Shutdown::Write);
    let mut heard = vec![0; 64 << 10];
    loop {
        match stream.read(&mut heard) {
            Ok(0) => return,
            Ok(_) => {}
            // Closing with our bytes unread resets the connection; that is an end too.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
            Err(error) => panic!("{what}: the node did not hang up: {error}"),
        }
    }
}

#[test]
fn clients_that_cut_the_connection_at_any_message_harm_nobody() {
    let place = Place::new(Start::Published);
    let (node, tree) = node(&place);
    let mut sessions = recorded();
    sessions.push(record(&node));
    besiege(&node, &tree, GROWTH, || {
        let mut dice = Dice(4);
        for session in &sessions {
            let inner = (0..24).map(|_| dice.below(session.bytes.len()));
            for (number, at) in session.ends().into_iter().chain(inner).enumerate() {
                let mut stream = node.connect();
                say(&mut stream, &session.bytes[..at]);
                // Half of them wait for what the node makes of it, the others are gone.
                if number % 2 == 0 {
                    hear_the_end(stream, &format!("{} cut at {at}", session.name));
                }
            }
        }
    });
    // The recorded logins did come to the question, and not to a module that is not there.
    let login = sessions.iter().find(|session| session.name.starts_with("auth-")).expect("a recorded login");
    let mut stream = node.connect();
    say(&mut stream, &login.bytes);
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.contains("@RSYNCD: AUTHREQD ") && heard.contains("auth failed"), "{heard}");
}

#[test]
fn clients_that_talk_rubbish_at_any_stage_harm_nobody() {
    let place = Place::new(Start::Published);
    let (node, tree) = node(&place);
    let mut sessions = recorded();
    sessions.push(record(&node));
    besiege(&node, &tree, GROWTH, || {
        let mut dice = Dice(7);
        for round in 0..400 {
            let session = &sessions[dice.below(sessions.len())];
            let ends = session.ends();
            let mut stream = node.connect();
            let what = format!("round {round}, {}", session.name);
            if round % 2 == 0 {
                // A good beginning, then noise.
                let at = if round % 8 == 0 { 0 } else { ends[dice.below(ends.len())] };
                let length = 1 + dice.below(3000);
                let _ = say(&mut stream, &session.bytes[..at]) && say(&mut stream, &noise(dice.next(), length));
            } else {
                // All of it, with some bytes changed.
                let mut bytes = session.bytes.clone();
                for _ in 0..=dice.below(4) {
                    let at = dice.below(bytes.len());
                    bytes[at] = dice.next().to_le_bytes()[0];
                }
                say(&mut stream, &bytes);
            }
            hear_the_end(stream, &what);
        }
    });
}

#[test]
fn clients_that_talk_without_end_harm_nobody() {
    /// The whole opening has two seconds, and whoever was refused has two more to hear why.
    const LISTENS: Duration = Duration::from_secs(10);
    let place = Place::new(Start::Published);
    let (node, tree) = node(&place);
    let session = record(&node);
    let until_arguments = format!("@RSYNCD: 31.0 md5\n{MODULE}\n").into_bytes();
    let until_rules = session.bytes[..session.start_of_frames()].to_vec();
    // A rule of twelve bytes in a frame of its own, again and again.
    let rule = [&[16, 0, 0, 7, 12, 0, 0, 0][..], b"- /distfiles"].concat();
    let floods: [(&str, Vec<u8>, Vec<u8>); 5] = [
        ("a greeting", Vec::new(), b"@RSYNCD: 31.0 md5 ".to_vec()),
        ("a module's name", b"@RSYNCD: 31.0 md5\n".to_vec(), b"a-module".to_vec()),
        ("arguments", until_arguments.clone(), b"--server\0".to_vec()),
        ("an argument", until_arguments, b"--server-".to_vec()),
        ("rules", until_rules, rule),
    ];
    besiege(&node, &tree, GROWTH, || {
        wait::at_once(&floods, |(what, beginning, more)| {
            let mut stream = node.connect();
            let piece = more.repeat((64 << 10) / more.len());
            let mut listens = say(&mut stream, beginning);
            let start = Instant::now();
            while listens && start.elapsed() < LISTENS {
                listens = say(&mut stream, &piece);
            }
            assert!(!listens, "{what} without end: the node listens to it without end");
        });
    });
}

#[test]
fn clients_that_stop_reading_or_talking_are_sent_away_and_cost_little() {
    const STALLED: usize = 24;
    let place = Place::new(Start::Empty);
    let (node, _) = node(&place);
    let (source, tree) = place.source(Size::Heavy, 1);
    assert_eq!(place.import(&source), Some(1));
    let session = record(&node);
    let ends = session.ends();
    let growth = GROWTH + HELD * u64::try_from(STALLED / 3).unwrap();
    besiege(&node, &tree, growth, || {
        let mut held = Vec::new();
        for number in 0..STALLED {
            let mut stream = node.connect();
            // Some ask for everything, some have stopped at a message before, some in the middle of one.
            let at = match number % 3 {
                0 => session.bytes.len(),
                1 => ends[number % ends.len()],
                _ => number * 7,
            };
            say(&mut stream, &session.bytes[..at]);
            held.push(stream);
        }
        // All of them keep their end open; it is the node that hangs up.
        wait::until("the stalled clients are sent away", || {
            let open = node.status()["connections"].as_u64().unwrap();
            // The well-behaved one may be there.
            (open <= 1).then_some(())
        });
        drop(held);
    });
}
