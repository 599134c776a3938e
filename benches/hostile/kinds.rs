//! The kinds of hostile clients: idle, slow, asking again and again, asking for what is dear, cutting and talking rubbish.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::child::{Job, Tally, Worker};
use super::session::{
    FLAT, GREETING, connect_as, connect_from, connect_narrow, hear, modest, opening, redos, rules, wants_nothing,
};

/// What hostile clients do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Connect, hear the greeting and say nothing.
    Silent,
    /// Greet, and say nothing more.
    Greeted,
    /// Take a file list, and want nothing.
    Held,
    /// One asks for files again and again.
    Redo,
    /// Read 1 KiB a second, or say a byte a second.
    Slow,
    /// Ask for lists that are dear to make.
    Bombs,
    /// Hang up anywhere, or talk rubbish.
    Cuts,
}

const WORDS: [(&str, Kind); 7] = [
    ("silent", Kind::Silent),
    ("greeted", Kind::Greeted),
    ("held", Kind::Held),
    ("redo", Kind::Redo),
    ("slow", Kind::Slow),
    ("bombs", Kind::Bombs),
    ("cuts", Kind::Cuts),
];

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        WORDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }

    pub(crate) fn read(text: &str) -> Option<Kind> {
        WORDS.iter().find(|(word, _)| *word == text).map(|(_, kind)| *kind)
    }
}

/// Silence after which a file list has come to its end.
const SILENCE: Duration = Duration::from_secs(1);

/// What a slow reader takes a second, in bytes.
const SIP: usize = 1 << 10;

/// Files that a slow reader asks for: more than fit into what a node keeps for it.
const THIRST: usize = 4_000;

/// Who finds no room, or no port, tries again after so long.
const AGAIN: Duration = Duration::from_millis(20);

/// Gets the clients of a job ready.
pub(crate) fn workers(job: &Job, address: SocketAddr) -> anyhow::Result<Vec<Worker>> {
    let Job { kind, clients, files, redos, .. } = *job;
    Ok(match kind {
        Kind::Silent | Kind::Greeted | Kind::Held => {
            let held = idle(kind, clients, address)?;
            vec![Box::new(move |stop| wait_idly(&held, stop))]
        }
        Kind::Redo => vec![Box::new(move |stop| ask_again(address, files, redos, stop))],
        Kind::Slow => {
            let readers = thirsty(clients, files, address)?;
            vec![Box::new(move |stop| sip(readers, stop)), Box::new(move |stop| stammer(clients, address, stop))]
        }
        Kind::Bombs => each(clients, move |number, stop| bomb(number, address, stop)),
        Kind::Cuts => each(clients, move |number, stop| cut(number, address, stop)),
    })
}

fn each(clients: usize, work: impl Fn(usize, &AtomicBool) -> Tally + Send + Sync + 'static) -> Vec<Worker> {
    let work = Arc::new(work);
    let worker = |number| -> Worker {
        let work = work.clone();
        Box::new(move |stop| work(number, stop))
    };
    (0..clients).map(worker).collect()
}

fn going(stop: &AtomicBool) -> bool {
    !stop.load(Ordering::Relaxed)
}

fn count(tally: &mut Tally, what: &str) {
    *tally.entry(what.to_owned()).or_default() += 1;
}

/// Opens connections, and leaves them alone.
fn idle(kind: Kind, clients: usize, address: SocketAddr) -> anyhow::Result<Vec<TcpStream>> {
    let said = match kind {
        Kind::Silent => Vec::new(),
        Kind::Greeted => GREETING.to_vec(),
        _ => modest(),
    };
    // Up to the end of the node's greeting, or of its list.
    let length = if kind == Kind::Held { length_of_list(address)? } else { greeting(address)? };
    let mut held = Vec::new();
    for number in 0..clients {
        let mut stream = connect_as(number, address).with_context(|| format!("connect client {number}"))?;
        stream.write_all(&said)?;
        let heard = take(&mut stream, length).with_context(|| format!("hear what client {number} is told"))?;
        ensure!(!heard.starts_with(b"@ERROR"), "client {number} was turned away");
        held.push(stream);
    }
    Ok(held)
}

/// Reads exactly so much; a node may need a while for it.
fn take(stream: &mut TcpStream, length: usize) -> anyhow::Result<Vec<u8>> {
    let (mut heard, mut got, start) = (vec![0; length], 0, Instant::now());
    while let Some(rest) = heard.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest) {
            Ok(0) => anyhow::bail!("the node hung up: {}", String::from_utf8_lossy(&heard)),
            Ok(bytes) => got += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock && start.elapsed() < SILENCE * 60 => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(heard)
}

/// Bytes of the node's greeting.
fn greeting(address: SocketAddr) -> anyhow::Result<usize> {
    said_by_itself(connect_as(0, address)?)
}

/// Bytes from the node's greeting to the end of the list of the flat directory.
fn length_of_list(address: SocketAddr) -> anyhow::Result<usize> {
    // Once to the end, so that the list is made.
    let mut stream = connect_as(0, address)?;
    stream.write_all(&[modest(), wants_nothing()].concat())?;
    let heard = hear(&stream, &AtomicBool::new(false));
    ensure!(heard.words.is_empty() && heard.data > 0, "there is no list of {FLAT}: {}", heard.words);
    let mut stream = connect_as(0, address)?;
    stream.write_all(&modest())?;
    said_by_itself(stream)
}

/// What is said until there is silence.
fn said_by_itself(mut stream: TcpStream) -> anyhow::Result<usize> {
    let (mut length, mut last, mut buffer) = (0, Instant::now(), vec![0; 64 << 10]);
    while length == 0 || last.elapsed() < SILENCE {
        match stream.read(&mut buffer) {
            Ok(0) => anyhow::bail!("the node hung up"),
            Ok(bytes) => (length, last) = (length + bytes, Instant::now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(length)
}

fn wait_idly(held: &[TcpStream], stop: &AtomicBool) -> Tally {
    while going(stop) {
        park_timeout(SILENCE / 10);
    }
    let mut tally = Tally::new();
    for stream in held {
        let _ = stream.set_nonblocking(true);
        let there = stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        count(&mut tally, if there { "idle to the end" } else { "idle, and sent away" });
    }
    tally
}

/// One client, and when it is done the next one.
fn ask_again(address: SocketAddr, files: usize, times: usize, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::new();
    let requests = &[modest(), redos(files, times)].concat();
    while going(stop) {
        let Ok(mut stream) = connect_from(0, address) else {
            park_timeout(AGAIN);
            continue;
        };
        let heard = std::thread::scope(|scope| {
            let Ok(reader) = stream.try_clone() else { return None };
            // The node reads no more than it can answer, so both go on at once.
            scope.spawn(move || {
                // That it hangs up in the middle is its right.
                let _ = stream.write_all(requests);
            });
            Some(hear(&reader, stop))
        });
        let Some(heard) = heard else { continue };
        let words = if heard.words.is_empty() { "to the end, no complaint" } else { &heard.words };
        count(&mut tally, &format!("answered with {} MB: {words}", heard.data / 1_000_000));
    }
    tally
}

/// Readers that have asked for much: every second one for the whole module, the others for many files.
fn thirsty(clients: usize, files: usize, address: SocketAddr) -> anyhow::Result<Vec<TcpStream>> {
    let length = length_of_list(address)?;
    let everything = [opening("logDtpr", &[String::new()]), rules(&[])].concat();
    let much = [modest(), redos(files, THIRST)].concat();
    let mut readers = Vec::new();
    for number in 0..clients {
        let mut stream = connect_narrow(number, address)?;
        if number % 2 == 0 {
            stream.write_all(&everything)?;
        } else {
            stream.write_all(&much)?;
            take(&mut stream, length)?;
        }
        stream.set_nonblocking(true)?;
        readers.push(stream);
    }
    Ok(readers)
}

fn sip(mut readers: Vec<TcpStream>, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::new();
    while going(stop) {
        readers.retain_mut(|stream| match stream.read(&mut [0; SIP]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            Ok(bytes) if bytes > 0 => true,
            _ => {
                count(&mut tally, "slow reader sent away");
                false
            }
        });
        park_timeout(SILENCE);
    }
    readers.iter().for_each(|_| count(&mut tally, "slow reader still served"));
    tally
}

/// Clients that say a byte a second.
fn stammer(clients: usize, address: SocketAddr, stop: &AtomicBool) -> Tally {
    let (said, mut tally) = (modest(), Tally::new());
    // Addresses of their own, so that the readers do not take their places.
    let meet = |number: usize| connect_as(number + 10_000, address);
    let mut writers: Vec<_> = (0..clients).map(|number| (meet(number), 0)).collect();
    while going(stop) {
        for (number, (stream, at)) in writers.iter_mut().enumerate() {
            let wrote = stream.as_mut().is_ok_and(|stream| {
                let byte = said.get(*at..=*at).unwrap_or_default();
                stream.write_all(byte).is_ok()
            });
            *at += 1;
            if !wrote {
                count(&mut tally, "slow writer sent away, and back");
                (*stream, *at) = (meet(number), 0);
            }
        }
        park_timeout(SILENCE);
    }
    tally
}

/// Asks for one dear list after the other; no two are the same.
fn bomb(number: usize, address: SocketAddr, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::new();
    let mut round = 0;
    while going(stop) {
        round += 1;
        let fresh = format!("- /never-{number}-{round}");
        let (name, said) = match number % 4 {
            0 => ("8,000 rules", [opening("logDtpr", &[String::new()]), rules(&many(&fresh))].concat()),
            1 => ("8,000 stars in 100 rules", [opening("logDtpr", &[String::new()]), rules(&starry(&fresh))].concat()),
            2 => ("10,000 wildcard arguments", [opening("logDtpr", &wild()), rules(&[fresh])].concat()),
            _ => ("the sums of all files", [opening("logDtprc", &[String::new()]), rules(&[fresh])].concat()),
        };
        let Ok(mut stream) = connect_from(number, address) else {
            park_timeout(AGAIN);
            continue;
        };
        // That it hangs up in the middle is its right.
        let _ = stream.write_all(&[said, wants_nothing()].concat());
        let heard = hear(&stream, stop);
        let words = if heard.words.is_empty() { "a list" } else { &heard.words };
        count(&mut tally, &format!("{name}: {words}"));
    }
    tally
}

fn many(fresh: &str) -> Vec<String> {
    let rule = |number| format!("- *{}{number}", "e".repeat(100));
    std::iter::once(fresh.to_owned()).chain((0..8_000).map(rule)).collect()
}

fn starry(fresh: &str) -> Vec<String> {
    let rule = |number: usize| format!("- {}{number}", "**a*e".repeat(26));
    std::iter::once(fresh.to_owned()).chain((0..100).map(rule)).collect()
}

fn wild() -> Vec<String> {
    (0..10_000).map(|number| format!("*/*/*a*e*i{number}")).collect()
}

/// One connection after the other that ends anywhere, or talks rubbish somewhere.
fn cut(number: usize, address: SocketAddr, stop: &AtomicBool) -> Tally {
    let whole = [modest(), redos(20, 20)].concat();
    let (mut tally, mut state) = (Tally::new(), u64::try_from(number).unwrap_or_default() + 1);
    let mut dice = |sides: usize| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap_or_default() % sides
    };
    while going(stop) {
        let Ok(mut stream) = connect_from(dice(10_000), address) else {
            park_timeout(AGAIN);
            count(&mut tally, "no room to connect");
            continue;
        };
        let mut said = whole.get(..=dice(whole.len())).unwrap_or_default().to_vec();
        let kind = dice(4);
        if kind > 1 {
            said.extend((0..dice(2_000)).map(|_| u8::try_from(dice(256)).unwrap_or_default()));
        }
        let _ = stream.write_all(&said);
        if kind % 2 == 0 {
            // Half of them hear what the node makes of it.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = hear(&stream, stop);
        }
        count(
            &mut tally,
            ["cut, and heard the end", "cut, and gone", "rubbish, and heard the end", "rubbish, and gone"][kind],
        );
    }
    tally
}
