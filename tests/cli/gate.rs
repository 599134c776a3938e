//! A gate between a client and a server: it lets the server say so much, then holds it until it is opened. So a test has a
//! transfer in the middle for as long as it likes.

use std::io::{Read, Write, copy};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::spawn;

use super::rig::PATIENCE;

/// For one connection. Dropping it opens it.
pub(crate) struct Gate {
    /// Where the client is to go, on 127.0.0.1.
    pub(crate) port: u16,
    reached: Receiver<()>,
    _open: Sender<()>,
}

impl Gate {
    /// Before the server on `port`; it holds after so many bytes of the server's.
    pub(crate) fn before(port: u16, bytes: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let own = listener.local_addr().unwrap().port();
        let (say, reached) = channel();
        let (open, opened) = channel();
        // Ends with the connection.
        spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            let (mut asks, mut hears) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            spawn(move || {
                // A side that is gone ends the other.
                let _ = copy(&mut asks, &mut hears);
                let _ = hears.shutdown(Shutdown::Write);
            });
            let _ = copy(&mut Read::by_ref(&mut server).take(bytes), &mut client);
            let _ = say.send(());
            // An error means that the gate was dropped, which is what opens it.
            let _: Result<(), _> = opened.recv();
            let _ = copy(&mut server, &mut client).and_then(|_| client.flush());
            let _ = client.shutdown(Shutdown::Write);
        });
        Self { port: own, reached, _open: open }
    }

    /// Waits until the server has said as much as it may.
    pub(crate) fn wait(&self) {
        self.reached.recv_timeout(PATIENCE).unwrap();
    }
}
