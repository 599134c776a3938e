//! Clients that send much and never come to its end: what is kept of all of them is bounded, and they hear that it is.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::scope;

use super::edition::{Size, same};
use super::node::Node;
use super::place::{MODULE, Place, Start};
use super::{client, wait};

/// What all connections together may hold, in MiB.
const BUFFERS: usize = 8;

/// Clients at once, and what each of them sends, in MiB: six times of what is kept.
const CROWD: usize = 24;
const SENT: usize = 2;

/// What a node may grow by: what it keeps, again what an allocator takes for that, and what pulls take.
const GROWTH: u64 = 24;

/// What a client hears.
const NO_ROOM: &str = "the server keeps as much of what clients send as it may -- try again later";

/// A frame of the data stream (protocol 5.1).
fn frame(data: &[u8]) -> Vec<u8> {
    let [a, b, c, 0] = u32::try_from(data.len()).unwrap().to_le_bytes() else { panic!("too long for a frame") };
    [&[a, b, c, 7], data].concat()
}

/// A client's part up to the end of its filter rules, protocol 31.
fn opening(options: &str) -> Vec<u8> {
    let text = format!("@RSYNCD: 31.0 md5\n{MODULE}\n--server\0--sender\0-re.LsfxC\0{options}.\0{MODULE}/\0\0");
    [text.as_bytes(), &frame(&[0; 4])].concat()
}

/// Hears all that the node says; whether it said that there is no room, which is counted at once.
fn listen(mut stream: &TcpStream, told: &AtomicUsize) {
    let (mut heard, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        heard.extend_from_slice(&piece[..length]);
    }
    if String::from_utf8_lossy(&heard).contains(NO_ROOM) {
        told.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn clients_that_send_more_than_is_kept_are_told_so_and_others_are_served() {
    // The second entry of the list, wanted; and so many blocks of 128 KiB, each with a strong sum of 16 bytes.
    let head = [&[2, 0, 0x80][..], &[0, 0, 2, 0], &[0, 0, 2, 0], &[16, 0, 0, 0], &[0; 4]].concat();
    let hoards = [
        ("names of files", opening("--files-from=-\0--from0\0"), [&[b'x'; 999][..], b"\0"].concat()),
        ("block sums", [opening(""), frame(&head)].concat(), vec![7; 1_000]),
    ];
    let place = Place::new(Start::Published);
    place.limit(&format!("buffers = \"{BUFFERS}MiB\"\nconnections = 60\nper_client = 60"));
    let (_, tree) = place.source(Size::Small, 1);
    let node = Node::start(&place);
    same(&client::pull(&node), &tree, "before");
    for (what, beginning, more) in hoards {
        let (before, told) = (node.memory(), AtomicUsize::new(0));
        let piece = frame(&more.repeat(32));
        let crowd: Vec<TcpStream> = (0..CROWD).map(|_| node.connect()).collect();
        scope(|scope| {
            for mut stream in &crowd {
                let (told, beginning, piece) = (&told, &beginning, &piece);
                scope.spawn(move || {
                    // Whoever is told may be cut in the middle.
                    let _ = stream.write_all(beginning);
                    let _ = stream.write_all(&piece.repeat((SENT << 20) / piece.len()));
                    listen(stream, told);
                });
            }
            let least = CROWD - BUFFERS / SENT - 1;
            wait::until(&format!("{what}: they are told"), || (told.load(Ordering::Relaxed) >= least).then_some(()));
            let grown = node.memory().saturating_sub(before);
            // The others still hold what they have sent.
            same(&client::pull(&node), &tree, what);
            assert!(grown <= GROWTH, "{what}: grown by {grown} MiB");
            // Those that are left would listen for as long as the node does.
            crowd.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        });
        assert!(told.load(Ordering::Relaxed) < CROWD, "{what}: somebody was kept");
        node.rests();
        same(&client::pull(&node), &tree, "afterwards");
    }
    node.is_unharmed();
}
