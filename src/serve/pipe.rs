//! The socket of one connection: what is to be written, how long one waits, how fast one may go.
//!
//! Output is a queue of byte chunks, most of them shared with other connections, written with vectored
//! writes. Reading stops while much output is queued, so what a client can make us hold is bounded from
//! both sides. Patience is counted in progress: bytes that arrive, or bytes of substance that leave;
//! keep-alives are no progress, so a client that vanished is noticed (protocol 11.1).

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::error::ServeError;
use super::tally::Tally;
use crate::wire::sender::Sender;

/// No more is read or made while this much waits to be written.
pub(crate) const HIGH_WATER: usize = 1 << 20;

/// One read.
const READ_BYTES: usize = 16 << 10;

/// Chunks in one vectored write.
const SLICES: usize = 32;

/// How long a client that was refused may take to hear why (protocol 2.12).
const DRAIN: Duration = Duration::from_secs(2);

/// What happened while waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Bytes came and were given to the machine.
    Received,
    /// The client has closed its side.
    Ended,
    /// Some output is gone.
    Wrote,
    /// Nothing was written for a while: a keep-alive is due.
    Quiet,
}

/// Whether input is wanted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Wanted,
    Held,
}

/// How long one waits for a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The whole opening must be over by then.
    pub(crate) opening: Option<Instant>,
    /// Longest time without progress.
    pub(crate) idle: Duration,
    /// A keep-alive is due after so long without a write.
    pub(crate) keepalive: Option<Duration>,
}

/// A byte rate that is kept on average over a tenth of a second.
#[derive(Clone, Copy, Debug)]
struct Pace {
    bytes_per_second: u64,
    next: Instant,
}

pub(crate) struct Pipe {
    stream: TcpStream,
    client: SocketAddr,
    tally: Tally,
    output: VecDeque<Bytes>,
    queued: usize,
    buffer: Box<[u8]>,
    pub(crate) patience: Patience,
    pace: Option<Pace>,
    last_progress: Instant,
    last_write: Instant,
}

impl Pipe {
    pub(crate) fn new(stream: TcpStream, client: SocketAddr, tally: Tally, patience: Patience) -> Pipe {
        let now = Instant::now();
        Pipe {
            stream,
            client,
            tally,
            output: VecDeque::new(),
            queued: 0,
            buffer: vec![0; READ_BYTES].into(),
            patience,
            pace: None,
            last_progress: now,
            last_write: now,
        }
    }

    /// Limits the rate at which bytes leave.
    pub(crate) fn set_pace(&mut self, bytes_per_second: u64) {
        self.pace = Some(Pace { bytes_per_second: bytes_per_second.max(1), next: Instant::now() });
    }

    /// Whether so much waits to be written that nothing more should be made.
    pub(crate) fn is_full(&self) -> bool {
        self.queued >= HIGH_WATER
    }

    /// Moves what the machine has made into the queue and writes what the socket takes at once.
    pub(crate) fn push(&mut self, sender: &mut Sender) -> Result<(), ServeError> {
        if self.output.is_empty() {
            self.last_progress = Instant::now();
        }
        for chunk in sender.take_output() {
            self.queued += chunk.len();
            self.output.push_back(chunk);
        }
        self.write_some()
    }

    fn error(&self, attempt: &'static str, source: io::Error) -> ServeError {
        ServeError::Socket { client: self.client, attempt, source }
    }

    fn may_write(&self, now: Instant) -> bool {
        !self.output.is_empty() && self.pace.is_none_or(|pace| pace.next <= now)
    }

    fn write_some(&mut self) -> Result<(), ServeError> {
        while self.may_write(Instant::now()) {
            let limit =
                self.pace.map_or(usize::MAX, |pace| usize::try_from(pace.bytes_per_second / 10).unwrap_or(1).max(1024));
            let mut left = limit;
            let slices: Vec<IoSlice<'_>> = self
                .output
                .iter()
                .take(SLICES)
                .map_while(|chunk| {
                    let take = chunk.len().min(left);
                    left -= take;
                    (take > 0).then(|| IoSlice::new(chunk.get(..take).unwrap_or_default()))
                })
                .collect();
            match self.stream.try_write_vectored(&slices) {
                Ok(0) => return Err(self.error("write to", io::ErrorKind::WriteZero.into())),
                Ok(n) => self.wrote(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error("write to", error)),
            }
        }
        Ok(())
    }

    fn wrote(&mut self, bytes: usize) {
        let now = Instant::now();
        self.last_write = now;
        self.last_progress = now;
        self.queued -= bytes;
        let count = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.tally.sent(count);
        if let Some(pace) = &mut self.pace {
            let spent = Duration::from_nanos(count.saturating_mul(1_000_000_000) / pace.bytes_per_second);
            pace.next = pace.next.max(now) + spent;
        }
        let mut left = bytes;
        while let Some(front) = self.output.front_mut() {
            if front.len() > left {
                front.advance(left);
                return;
            }
            left -= front.len();
            self.output.pop_front();
        }
    }

    /// Queues a keep-alive. It is no progress.
    pub(crate) fn keep_alive(&mut self, sender: &mut Sender) -> Result<(), ServeError> {
        let progress = self.last_progress;
        sender.keepalive();
        self.push(sender)?;
        self.last_progress = progress;
        self.last_write = Instant::now();
        Ok(())
    }

    /// Waits until bytes came, bytes left, or a keep-alive is due. An error when patience is over.
    pub(crate) async fn wait(&mut self, sender: &mut Sender, reading: Reading) -> Result<Event, ServeError> {
        let now = Instant::now();
        let read = reading == Reading::Wanted && !self.is_full();
        let write = self.may_write(now);
        let deadline = self.next_deadline(now);
        tokio::select! {
            ready = self.stream.readable(), if read => {
                ready.map_err(|error| self.error("read from", error))?;
                self.read_some(sender)
            }
            ready = self.stream.writable(), if write => {
                ready.map_err(|error| self.error("write to", error))?;
                self.write_some()?;
                Ok(Event::Wrote)
            }
            () = sleep_until(deadline) => self.deadline_came(Instant::now()),
        }
    }

    fn read_some(&mut self, sender: &mut Sender) -> Result<Event, ServeError> {
        match self.stream.try_read(&mut self.buffer) {
            Ok(0) => Ok(Event::Ended),
            Ok(n) => {
                self.last_progress = Instant::now();
                self.tally.received(u64::try_from(n).unwrap_or(u64::MAX));
                sender.input(self.buffer.get(..n).unwrap_or_default());
                Ok(Event::Received)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Event::Wrote)
            }
            Err(error) => Err(self.error("read from", error)),
        }
    }

    fn next_deadline(&self, now: Instant) -> Instant {
        let mut next = self.last_progress + self.patience.idle;
        next = self.patience.opening.map_or(next, |opening| next.min(opening));
        if let Some(pause) = self.patience.keepalive.filter(|_| self.output.is_empty()) {
            next = next.min(self.last_write + pause);
        }
        if let Some(pace) = self.pace.filter(|_| !self.output.is_empty()) {
            next = if pace.next > now { next.min(pace.next) } else { next };
        }
        next
    }

    fn deadline_came(&mut self, now: Instant) -> Result<Event, ServeError> {
        let over =
            |what, limit: Duration| Err(ServeError::Patience { client: self.client, what, seconds: limit.as_secs() });
        if self.patience.opening.is_some_and(|opening| opening <= now) {
            return over("did not finish its request", self.patience.idle);
        }
        if self.last_progress + self.patience.idle <= now {
            let what = if self.output.is_empty() { "sent nothing" } else { "read nothing" };
            return over(what, self.patience.idle);
        }
        if self.patience.keepalive.is_some_and(|pause| self.output.is_empty() && self.last_write + pause <= now) {
            return Ok(Event::Quiet);
        }
        self.write_some()?;
        Ok(Event::Wrote)
    }

    /// Writes all that is queued.
    pub(crate) async fn flush(&mut self, sender: &mut Sender) -> Result<(), ServeError> {
        self.push(sender)?;
        while !self.output.is_empty() {
            self.wait(sender, Reading::Held).await?;
        }
        Ok(())
    }

    /// Ends an orderly session: all is written, then our side is closed.
    pub(crate) async fn close(mut self, sender: &mut Sender) -> Result<(), ServeError> {
        self.flush(sender).await?;
        // The client may have closed already; there is nobody left to tell.
        let _ = self.stream.shutdown().await;
        Ok(())
    }

    /// Ends a refused session so that the client reads why: writes all, closes our side, and drops what still
    /// comes for a short while. Closing with unread input would reset the connection and lose the text.
    pub(crate) async fn drain(mut self, sender: &mut Sender) {
        let told = async {
            self.flush(sender).await?;
            let _ = self.stream.shutdown().await;
            loop {
                if self.stream.readable().await.is_err() {
                    return Ok::<(), ServeError>(());
                }
                match self.stream.try_read(&mut self.buffer) {
                    Ok(0) => return Ok(()),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return Ok(()),
                }
            }
        };
        // Whoever does not listen for so long is not waited for.
        let _ = timeout(DRAIN, told).await;
    }
}
