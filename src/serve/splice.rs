//! A file's bytes from the page cache to a socket without passing through this process: one burst at a time.
//!
//! A pipe holds one frame: its headers are written into it, the file's pages are spliced between them, and all of it is
//! spliced to the socket. That costs half the processor time of reading and writing (a copy less), and needs no memory.
//! Everything here blocks, on the disk for as long as it takes and on the client for some milliseconds: what a slower
//! client has not taken then comes back as bytes, for the connection to write when it can, so that a slow client holds
//! no thread and no lane. Invariant: a burst ends at a frame's end, whatever happens; where the file's bytes cannot be
//! had any more, the rest of the frame is zeros and the caller is told.
//! Deliberately absent: `vmsplice`, which is faster by little, and unsafe.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use crate::wire::sender::{BULK_FRAME, Bulk, BulkFrame};

/// Room of a pipe: a frame takes a slot for each of its 64 pages and its 8 headers, and half a MiB has 128 slots. Also an
/// unprivileged process gets so much for some hundred pipes.
const PIPE_BYTES: usize = 2 * BULK_FRAME;

/// How long a burst waits for a client that is nearly fast enough. A client on the same machine or network takes what is
/// in its socket in about one millisecond.
const MOMENT: Duration = Duration::from_millis(5);

/// After so long others get the lane.
const TURN: Duration = Duration::from_millis(50);

/// The same, in bytes of the file.
const TURN_BYTES: u64 = 8 << 20;

/// A pipe. Empty between two bursts, or else it is not used again.
#[derive(Debug)]
pub(crate) struct Lane {
    out: OwnedFd,
    into: OwnedFd,
    loaded: usize,
}

/// A file that is on its way.
#[derive(Debug)]
pub(crate) struct Course<'a> {
    pub(crate) file: &'a File,
    /// Where in the file the next frame begins.
    pub(crate) at: u64,
    pub(crate) bulk: Bulk,
}

/// What a burst did.
#[derive(Debug)]
pub(crate) struct Burst {
    /// Bytes of the file in the frames of this burst.
    pub(crate) data: u64,
    /// Bytes of those frames that the socket took.
    pub(crate) written: u64,
    /// Bytes of those frames that it did not take: they go next.
    pub(crate) rest: Vec<u8>,
    /// What is left of the file after them.
    pub(crate) left: Bulk,
    pub(crate) end: End,
}

/// Why a burst ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The file's last frame is under way.
    Whole,
    /// It is time for others, or the client is slow.
    Turn,
    /// This file, or this socket, cannot be spliced: feed the rest.
    Unfit,
    /// The file has no more bytes to give, though it should: what went out last is wrong.
    Unreadable(io::Error),
    /// The connection broke.
    Broken(io::Error),
}

/// What became of a frame that went into the pipe.
enum Loaded {
    All,
    /// The rest of it was read into memory.
    Spilled,
    /// The rest of it could not be read, and is zeros.
    Short(io::Error),
}

impl Lane {
    /// An empty pipe that is large enough.
    pub(crate) fn open() -> io::Result<Lane> {
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        fcntl_setpipe_size(&into, PIPE_BYTES)?;
        Ok(Lane { out, into, loaded: 0 })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.loaded == 0
    }

    /// Sends frames of a file until it is whole, the client does not keep up, or it is time for others.
    pub(crate) fn burst(&mut self, socket: BorrowedFd<'_>, mut course: Course<'_>) -> Burst {
        let until = Instant::now() + TURN;
        let mut burst = Burst { data: 0, written: 0, rest: Vec::new(), left: course.bulk, end: End::Turn };
        while burst.rest.is_empty() && burst.data < TURN_BYTES && Instant::now() < until {
            let Some(frame) = course.bulk.next_frame() else { break };
            burst.left = course.bulk;
            burst.data += count(frame.data());
            let loaded = self.load(frame, &mut course, &mut burst.rest);
            let before = self.loaded;
            let drained = self.drain(socket, until);
            burst.written += count(before - self.loaded);
            if let Err(error) = drained.and_then(|()| self.unload(&mut burst.rest)) {
                burst.end = End::Broken(error);
                return burst;
            }
            match loaded {
                Loaded::All => {}
                Loaded::Spilled => burst.end = End::Unfit,
                Loaded::Short(error) => {
                    burst.end = End::Unreadable(error);
                    return burst;
                }
            }
        }
        if burst.left.left() == 0 {
            burst.end = End::Whole;
        }
        burst
    }

    /// Puts a frame into the pipe; what does not go in that way is appended to `rest`.
    fn load(&mut self, frame: BulkFrame, course: &mut Course<'_>, rest: &mut Vec<u8>) -> Loaded {
        let (mut way, mut failed) = (Way::Pipe, None);
        for stretch in frame {
            if way == Way::Pipe {
                match rustix::io::write(&self.into, stretch.header()) {
                    // So few bytes go in whole or not at all.
                    Ok(written) if written == stretch.header().len() => self.loaded += written,
                    _ => way = Way::Memory,
                }
            }
            if way == Way::Memory {
                rest.extend_from_slice(stretch.header());
            }
            let mut left = stretch.data();
            while way == Way::Pipe && left > 0 {
                match splice(course.file, Some(&mut course.at), &self.into, None, left, SpliceFlags::empty()) {
                    Ok(moved) if moved > 0 => {
                        left -= moved;
                        self.loaded += moved;
                    }
                    Err(Errno::INTR) => {}
                    // Reading tells what it is.
                    Ok(_) | Err(_) => way = Way::Memory,
                }
            }
            if left > 0 {
                let start = rest.len();
                rest.resize(start + left, 0);
                let space = rest.get_mut(start..).unwrap_or_default();
                if failed.is_none() {
                    failed = course.file.read_exact_at(space, course.at).err();
                }
                course.at += count(left);
            }
        }
        match (way, failed) {
            (_, Some(error)) => Loaded::Short(error),
            (Way::Pipe, None) => Loaded::All,
            (Way::Memory, None) => Loaded::Spilled,
        }
    }

    /// Moves what is in the pipe to the socket, as far as the client takes it.
    fn drain(&mut self, socket: BorrowedFd<'_>, until: Instant) -> io::Result<()> {
        while self.loaded > 0 {
            match splice(&self.out, None, socket, None, self.loaded, SpliceFlags::NONBLOCK) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(moved) => self.loaded -= moved.min(self.loaded),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if Instant::now() >= until || !takes_more(socket)? {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes what is left in the pipe out of it, to stand before `rest`.
    fn unload(&mut self, rest: &mut Vec<u8>) -> io::Result<()> {
        if self.loaded == 0 {
            return Ok(());
        }
        let (mut bytes, mut filled) = (vec![0; self.loaded], 0);
        while self.loaded > 0 {
            match rustix::io::read(&self.out, bytes.get_mut(filled..).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    filled += read;
                    self.loaded -= read.min(self.loaded);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.append(rest);
        *rest = bytes;
        Ok(())
    }
}

/// Which way a frame goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Pipe,
    Memory,
}

/// Waits a moment for the client to take something. A broken connection takes everything, and tells so then.
fn takes_more(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(socket, PollFlags::OUT)];
    let moment = Timespec { tv_sec: 0, tv_nsec: MOMENT.subsec_nanos().into() };
    match poll(&mut fds, Some(&moment)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::thread::{self, JoinHandle};

    use super::*;
    use crate::wire::greeting::Protocol;
    use crate::wire::mux::{Demux, Piece};
    use crate::wire::sender::{ModuleTerms, Sender, SenderConfig, Step};
    use crate::wire::tokens::{Codec, TokenWriter};

    /// A socket as a connection has it, and its other end.
    fn sockets() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        (ours, client)
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    /// Frames for so many bytes, as a sender gives them for a file that it need not see.
    fn bulk(size: u64) -> Bulk {
        let mut sender = Sender::new(SenderConfig::default());
        sender.input(b"@RSYNCD: 32.0 md5\nmod\n");
        assert!(matches!(sender.poll(), Ok(Step::Module(_))));
        sender.accept(ModuleTerms::default());
        sender.input(b"--server\0--sender\0-te.LsfxCIvu\0.\0mod/f\0\0\x06xxh128");
        // An empty list of rules.
        sender.input(&[4, 0, 0, 7, 0, 0, 0, 0]);
        assert!(matches!(sender.poll(), Ok(Step::List(_))));
        sender.list(crate::wire::sender::FileList { entries: 1, ..Default::default() });
        // The first file, wanted whole: index, flags, no sums.
        sender.input(&[[19, 0, 0, 7].as_slice(), &[1, 0x00, 0xa0], &[0; 16]].concat());
        let Ok(Step::Send(request)) = sender.poll() else { panic!("no request") };
        sender.begin(request);
        sender.bulk(size).unwrap()
    }

    /// Reads to the end of the stream.
    fn reader(mut client: TcpStream) -> JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).unwrap();
            heard
        })
    }

    /// The data stream in whole frames.
    fn unframed(wire: &[u8]) -> Vec<u8> {
        let mut demux = Demux::of_daemon();
        demux.input(wire);
        let mut found = Vec::new();
        while let Some(Piece::Data(data)) = demux.next().unwrap() {
            found.extend_from_slice(&data);
        }
        found
    }

    fn tokens(file: &[u8]) -> Vec<u8> {
        let mut expected = Vec::new();
        TokenWriter::new(Codec::None, None, Protocol::V31).literal(file, &mut expected);
        expected
    }

    /// Sends a file in bursts, as a connection does; how it ended, and how many bursts it took.
    fn send(lane: &mut Lane, socket: &mut TcpStream, file: &File, size: u64) -> (End, usize) {
        let (mut at, mut left, mut bursts) = (0, bulk(size), 0);
        loop {
            let burst = lane.burst(socket.as_fd(), Course { file, at, bulk: left });
            assert!(lane.is_empty());
            bursts += 1;
            at += burst.data;
            left = burst.left;
            assert_eq!(left.left(), size - at);
            socket.set_nonblocking(false).unwrap();
            socket.write_all(&burst.rest).unwrap();
            socket.set_nonblocking(true).unwrap();
            if !matches!(burst.end, End::Turn) {
                return (burst.end, bursts);
            }
        }
    }

    #[test]
    fn a_file_arrives_as_the_tokens_of_its_bytes() {
        for length in [1, 32_769, BULK_FRAME, 3 * BULK_FRAME + 70_001, 20 << 20] {
            let bytes = noise(length);
            let (mut socket, client) = sockets();
            let heard = reader(client);
            let (end, bursts) = send(&mut Lane::open().unwrap(), &mut socket, &file(&bytes), count(length));
            assert!(matches!(end, End::Whole), "{length}: {end:?}");
            assert!(bursts > length / (8 << 20), "{length}: {bursts}, though others wait");
            drop(socket);
            assert!(unframed(&heard.join().unwrap()) == tokens(&bytes), "{length}");
        }
    }

    #[test]
    fn a_client_that_does_not_read_gets_the_rest_of_a_frame_later() {
        let bytes = noise(30 << 20);
        let (mut socket, client) = sockets();
        let (file, mut lane, begun) = (file(&bytes), Lane::open().unwrap(), Instant::now());
        let (mut at, mut left) = (0, bulk(count(bytes.len())));
        let rest = loop {
            let burst = lane.burst(socket.as_fd(), Course { file: &file, at, bulk: left });
            assert!(matches!(burst.end, End::Turn) && burst.rest.len() <= 2 * BULK_FRAME);
            (at, left) = (at + burst.data, burst.left);
            if !burst.rest.is_empty() {
                break burst.rest;
            }
        };
        assert!(lane.is_empty() && begun.elapsed() < Duration::from_secs(10));
        let heard = reader(client);
        socket.set_nonblocking(false).unwrap();
        socket.write_all(&rest).unwrap();
        drop(socket);
        let sent = usize::try_from(at).unwrap();
        assert!(unframed(&heard.join().unwrap()) == tokens(&bytes[..sent]));
    }

    #[test]
    fn a_file_that_is_shorter_than_it_was_ends_in_zeros_and_is_told() {
        let bytes = noise(BULK_FRAME + 100_000);
        let (mut socket, client) = sockets();
        let heard = reader(client);
        let size = count(3 * BULK_FRAME);
        let (end, _) = send(&mut Lane::open().unwrap(), &mut socket, &file(&bytes), size);
        assert!(matches!(end, End::Unreadable(_)), "{end:?}");
        drop(socket);
        let mut expected = bytes;
        expected.resize(2 * BULK_FRAME, 0);
        assert!(unframed(&heard.join().unwrap()) == tokens(&expected), "whole frames, and no more than was begun");
    }

    #[test]
    fn a_pipe_that_is_too_small_costs_memory_and_nothing_else() {
        let bytes = noise(BULK_FRAME + 5);
        let (mut socket, client) = sockets();
        let heard = reader(client);
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        fcntl_setpipe_size(&into, 4096).unwrap();
        let mut lane = Lane { out, into, loaded: 0 };
        let (end, _) = send(&mut lane, &mut socket, &file(&bytes), count(bytes.len()));
        assert!(matches!(end, End::Unfit), "{end:?}");
        drop(socket);
        assert!(unframed(&heard.join().unwrap()) == tokens(&bytes[..BULK_FRAME]));
    }

    #[test]
    fn a_client_that_has_gone_ends_it_and_the_lane_is_not_used_again() {
        let bytes = noise(30 << 20);
        let (mut socket, client) = sockets();
        drop(client);
        let mut lane = Lane::open().unwrap();
        let file = file(&bytes);
        let burst = lane.burst(socket.as_fd(), Course { file: &file, at: 0, bulk: bulk(count(bytes.len())) });
        assert!(matches!(burst.end, End::Broken(_)), "{:?}", burst.end);
        assert!(!lane.is_empty());
        let _ = socket.flush();
    }
}
