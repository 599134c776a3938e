//! A relay between a client and a node: lets so many bytes through to the client and then waits, and keeps what the client says.
//! So a test has a transfer in the middle for as long as it likes. Dropping it lets everything through.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::spawn;

use super::PATIENCE;

/// One read of the relay; also its receive buffer, so that the node feels early that nobody reads.
const PIECE: usize = 16 << 10;

/// How much may pass to the client, and how much has passed.
#[derive(Default)]
struct Gate {
    allowed: usize,
    passed: usize,
}

#[derive(Default)]
struct Shared {
    gate: Mutex<Gate>,
    opened: Condvar,
    passed: Condvar,
    said: Mutex<Vec<u8>>,
}

/// For one client. Dropping it opens it.
pub(crate) struct Relay {
    /// Where the client is to go, on 127.0.0.1.
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

impl Relay {
    /// A relay for one client of the node on `port`, which gets `allowed` bytes at first.
    pub(crate) fn new(port: u16, allowed: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let own = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { gate: Mutex::new(Gate { allowed, passed: 0 }), ..Shared::default() });
        let for_threads = shared.clone();
        // Both directions end with their sockets.
        spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let node = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            rustix::net::sockopt::set_socket_recv_buffer_size(&node, PIECE).unwrap();
            let (to_node, from_client) = (node.try_clone().unwrap(), client.try_clone().unwrap());
            let shared = for_threads.clone();
            spawn(move || copy(from_client, to_node, |bytes| shared.said.lock().unwrap().extend_from_slice(bytes)));
            copy(node, client, |bytes| for_threads.pass(bytes.len()));
        });
        Self { port: own, shared }
    }

    /// Waits until the client has got all that it is allowed.
    pub(crate) fn is_paused(&self) {
        let gate = self.shared.gate.lock().unwrap();
        let waited = self.shared.passed.wait_timeout_while(gate, PATIENCE, |gate| gate.passed < gate.allowed).unwrap();
        assert!(!waited.1.timed_out(), "the relay has not passed on what it may");
    }

    /// Lets everything through from now on.
    pub(crate) fn open(&self) {
        self.shared.gate.lock().unwrap().allowed = usize::MAX;
        self.shared.opened.notify_all();
    }

    /// What the client has said.
    pub(crate) fn said(&self) -> Vec<u8> {
        self.shared.said.lock().unwrap().clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.open();
    }
}

impl Shared {
    /// Waits until bytes may pass. A piece that has begun to pass passes whole.
    fn pass(&self, bytes: usize) {
        let mut gate = self.gate.lock().unwrap();
        gate.passed += bytes;
        self.passed.notify_all();
        let waited = self.opened.wait_timeout_while(gate, PATIENCE, |gate| gate.passed > gate.allowed);
        drop(waited);
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&[u8])) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        look(&piece[..length]);
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    // A side that is gone is what we want.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
