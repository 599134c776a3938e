//! What a hostile client says and how it listens: the opening of a session, requests, and the node's answer.
//!
//! It speaks protocol 31 without negotiated strings, so nothing that it says depends on what the node answers, and all of
//! it can be said at once. What it hears is counted, not understood, but for messages.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use headwater::wire::mux::{Tag, put_frame};
use headwater::wire::numbers::{NDX_DONE, NdxWriter};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::measure::server::MODULE;

/// What a client says before anything else.
pub(crate) const GREETING: &[u8] = b"@RSYNCD: 31.0 md5\n";

/// A directory of the sample without directories in it: its files have the indices from 1 on.
pub(crate) const FLAT: &str = "licenses";

/// The tag of data in the head of a frame (protocol 5.2); all others are messages.
const DATA: u8 = 7;

/// Messages as long as this are a number or nothing (protocol 5.2), and no text.
const NUMBER: usize = 4;

/// Compat flags (one byte, since the last two bits are not set) and the seed.
const SETUP: usize = 5;

/// After so long without a word a client looks whether it may go on waiting.
const LOOK: Duration = Duration::from_millis(200);

/// A node that reads nothing for so long is not talked to any more.
const SENT: Duration = Duration::from_secs(60);

/// Bytes that a narrow client's kernel takes in for it, about.
const NARROW: usize = 4 << 10;

/// Clients at each address: what a node lets in, by default.
const PER_ADDRESS: usize = 100;

/// Addresses that are used; more clients than these hold come from the first ones again.
const ADDRESSES: usize = 20_000;

/// Connects as client `number`.
pub(crate) fn connect_as(number: usize, address: SocketAddr) -> io::Result<TcpStream> {
    connect_from(number / PER_ADDRESS, address)
}

/// Connects from the address of this number.
pub(crate) fn connect_from(host: usize, address: SocketAddr) -> io::Result<TcpStream> {
    joined(bound(host)?, address)
}

/// Connects with room for next to nothing on this side, so that what is not read waits on the node's.
pub(crate) fn connect_narrow(number: usize, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = bound(number / PER_ADDRESS)?;
    set_socket_recv_buffer_size(&socket, NARROW)?;
    joined(socket, address)
}

fn bound(host: usize) -> io::Result<OwnedFd> {
    // 127.0.0.x is for those who mean well.
    let place = u32::try_from(host % ADDRESSES + 256).unwrap_or(256);
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::from_bits(Ipv4Addr::new(127, 0, 0, 0).to_bits() | place), 0))?;
    Ok(socket)
}

fn joined(socket: OwnedFd, address: SocketAddr) -> io::Result<TcpStream> {
    connect(&socket, &address)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LOOK))?;
    stream.set_write_timeout(Some(SENT))?;
    Ok(stream)
}

/// Greeting, module and arguments (protocol 2.7) for these paths below the module.
pub(crate) fn opening(letters: &str, paths: &[String]) -> Vec<u8> {
    let mut said = [GREETING, MODULE.as_bytes(), b"\n--server\0--sender\0"].concat();
    said.extend_from_slice(format!("-{letters}e.LsfxC\0.\0").as_bytes());
    for path in paths {
        said.extend_from_slice(format!("{MODULE}/{path}\0").as_bytes());
    }
    said.push(0);
    said
}

/// A list of filter rules (protocol 6.1), in frames.
pub(crate) fn rules(rules: &[String]) -> Vec<u8> {
    let mut data = Vec::new();
    for rule in rules {
        data.extend_from_slice(&u32::try_from(rule.len()).unwrap_or_default().to_le_bytes());
        data.extend_from_slice(rule.as_bytes());
    }
    data.extend_from_slice(&[0; 4]);
    framed(&data)
}

/// An opening for the flat directory, with no rules.
pub(crate) fn modest() -> Vec<u8> {
    [opening("logDtpr", &[format!("{FLAT}/")]), rules(&[])].concat()
}

/// Wants each of the files once, and then again and again, until `redos` were wanted (protocol 9.10), and says goodbye.
pub(crate) fn redos(files: usize, redos: usize) -> Vec<u8> {
    let (mut data, mut writer) = (Vec::new(), NdxWriter::default());
    let want = |data: &mut Vec<u8>, writer: &mut NdxWriter, number: usize| {
        writer.write(data, i32::try_from(number % files + 1).unwrap_or(1));
        // IS_NEW and TRANSFER, and no blocks to begin with (protocol 9.1).
        data.extend_from_slice(&[0x00, 0xa0]);
        data.extend_from_slice(&[0; 16]);
    };
    (0..files).for_each(|number| want(&mut data, &mut writer, number));
    writer.write(&mut data, NDX_DONE);
    (0..redos).for_each(|number| want(&mut data, &mut writer, number));
    data.extend_from_slice(GOODBYE);
    framed(&data)
}

/// All that is left to say after the first DONE (protocol 10.1).
const GOODBYE: &[u8] = &[0; 4];

/// A client that wants none of the files.
pub(crate) fn wants_nothing() -> Vec<u8> {
    framed(&[&[0], GOODBYE].concat())
}

fn framed(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    data.chunks(8 << 10).for_each(|piece| put_frame(&mut out, Tag::Data, piece));
    out
}

/// A stream that is read until somebody says stop.
pub(crate) struct Patient<'a> {
    pub(crate) stream: &'a TcpStream,
    pub(crate) stop: &'a AtomicBool,
}

/// The words of an end that was no end of the node's.
pub(crate) const STOPPED: &str = "still waiting at the end";

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match (&mut &*self.stream).read(buffer) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.stop.load(Ordering::Relaxed) {
                        return Err(io::Error::other(STOPPED));
                    }
                }
                read => return read,
            }
        }
    }
}

/// What the node said from the greeting to its end.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Bytes of data: list, contents, statistics.
    pub(crate) data: u64,
    /// Messages, or what else ended it.
    pub(crate) words: String,
}

/// Listens to the end.
pub(crate) fn hear(stream: &TcpStream, stop: &AtomicBool) -> Heard {
    let mut heard = Heard::default();
    if let Err(error) = listen(&mut BufReader::with_capacity(64 << 10, Patient { stream, stop }), &mut heard) {
        let why = match error.kind() {
            ErrorKind::UnexpectedEof => "the node hung up in the middle".to_owned(),
            ErrorKind::ConnectionReset => "the connection was reset".to_owned(),
            _ => error.to_string(),
        };
        // What the node gave as a reason says more.
        if heard.words.is_empty() {
            heard.words = why;
        }
    }
    heard
}

fn listen(reader: &mut BufReader<Patient<'_>>, heard: &mut Heard) -> io::Result<()> {
    let mut line = String::new();
    while line != "@RSYNCD: OK\n" {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if line.starts_with("@ERROR") {
            heard.words = line.trim_end().to_owned();
            return Ok(());
        }
    }
    reader.read_exact(&mut [0; SETUP])?;
    while !reader.fill_buf()?.is_empty() {
        let mut head = [0; 4];
        reader.read_exact(&mut head)?;
        let [low, middle, high, tag] = head;
        let length = u64::from(u32::from_le_bytes([low, middle, high, 0]));
        let mut payload = reader.take(length);
        if tag == DATA {
            heard.data += io::copy(&mut payload, &mut io::sink())?;
        } else {
            let mut message = Vec::new();
            payload.read_to_end(&mut message)?;
            if heard.words.is_empty() && message.len() > NUMBER {
                heard.words = String::from_utf8_lossy(&message).trim().to_owned();
            }
        }
    }
    Ok(())
}
