//! The socket of one connection: what is to be written, how long one waits, how fast one may go.
//!
//! Output is a queue, written with vectored writes. Reading and making stop while much output is queued here, or on all
//! connections together, so what a client can make us hold is bounded from both sides; what it sends and we must keep
//! is counted here after every step of the protocol machine, which is told how much that may be. Patience is counted in
//! progress: bytes that arrive, or bytes of substance that leave; keep-alives are no progress, so a client that vanished
//! is noticed (protocol 11.1). It runs only while the client owes something: it is to send, or to read what is queued;
//! never while it waits for us.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until, timeout};

use super::error::ServeError;
use super::pace::{Allowed, Bucket, Pace};
use super::queue::{Queue, Written};
use super::room::Bounds;
use super::tally::Tally;
use crate::wire::sender::Sender;

/// One read.
const READ_BYTES: usize = 16 << 10;

/// A client that may be silent for N seconds is given up after so many times N without progress.
pub(crate) const PATIENCE_FACTOR: u32 = 3;

/// How long a client that was told the last word may go on talking (protocol 2.12).
const DRAIN: Duration = Duration::from_secs(2);

/// A client whose bytes wait for their time learns of another rate so late.
const RATE_LOOK: Duration = Duration::from_secs(1);

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

/// How long one waits for a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The whole opening must be over so long after the connection began; `None`: it is over.
    pub(crate) opening: Option<Duration>,
    /// Longest time without progress.
    pub(crate) idle: Duration,
    /// A keep-alive is due after so long without a write.
    pub(crate) keepalive: Option<Duration>,
}

impl Patience {
    /// From here on this timeout counts, too, in seconds (protocol 11.1, 11.2).
    pub(crate) fn keep(&mut self, seconds: u32) {
        self.keepalive = Some(Duration::from_secs(u64::from(seconds).div_ceil(2)));
        self.idle = self.idle.min(Duration::from_secs(u64::from(seconds)) * PATIENCE_FACTOR);
    }
}

pub(crate) struct Pipe {
    stream: TcpStream,
    client: SocketAddr,
    tally: Tally,
    output: Queue,
    buffer: Box<[u8]>,
    pub(crate) patience: Patience,
    pace: Pace,
    began: Instant,
    last_progress: Instant,
    last_write: Instant,
}

impl Pipe {
    pub(crate) fn new(stream: TcpStream, client: SocketAddr, tally: Tally, patience: Patience, bounds: Bounds) -> Pipe {
        let now = Instant::now();
        Pipe {
            stream,
            client,
            tally,
            output: Queue::new(bounds.share()),
            buffer: vec![0; READ_BYTES].into(),
            patience,
            pace: Pace::default(),
            began: now,
            last_progress: now,
            last_write: now,
        }
    }

    /// Limits the rate at which bytes leave, beside the limits that are kept already.
    pub(crate) fn keep_pace(&mut self, bucket: Bucket) {
        self.pace.keep(bucket);
    }

    /// Whether so much waits to be written that nothing more should be made.
    pub(crate) fn is_full(&self) -> bool {
        self.output.is_full()
    }

    /// Says that so many of the bytes that are pushed next are shared with other connections.
    pub(crate) fn lend(&mut self, bytes: usize) {
        self.output.lend(bytes);
    }

    /// How many bytes may be made before this connection, or all of them, hold too much.
    pub(crate) fn budget(&self) -> usize {
        self.output.budget()
    }

    /// Whether bytes are counted out to this client.
    pub(crate) fn is_paced(&self) -> bool {
        self.pace.is_limited()
    }

    /// Whether the socket has taken all that was said.
    pub(crate) fn is_flushed(&self) -> bool {
        self.output.is_empty()
    }

    /// The socket, for bytes that do not come through here: whole frames, while all else [is written](Pipe::is_flushed).
    pub(crate) fn socket(&self) -> io::Result<OwnedFd> {
        self.stream.as_fd().try_clone_to_owned()
    }

    /// Counts bytes that went to the socket by themselves.
    pub(crate) fn passed(&mut self, bytes: u64) {
        if bytes > 0 {
            (self.last_write, self.last_progress) = (Instant::now(), Instant::now());
            self.tally.sent(bytes);
        }
    }

    /// Has bytes written that follow those.
    pub(crate) fn queue(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if self.output.is_empty() {
            // From now on the client has something to read.
            self.last_progress = Instant::now();
        }
        self.output.push([bytes]);
    }

    /// Moves what the machine has made into the queue and writes what the socket takes at once. Counts what the machine
    /// keeps, too, and says to it how much that may become.
    pub(crate) fn push(&mut self, sender: &mut Sender) -> Result<(), ServeError> {
        let before = self.output.len();
        self.output.push(sender.take_output());
        sender.keep_within(self.output.keep(sender.memory()));
        if before == 0 && !self.output.is_empty() {
            // Until now the client waited for us; from now on it has something to read.
            self.last_progress = Instant::now();
        }
        let waiting = self.output.len();
        self.write_some()?;
        let written = waiting - self.output.len();
        self.output.settle(before.saturating_sub(written));
        Ok(())
    }

    pub(super) fn error(&self, attempt: &'static str, source: io::Error) -> ServeError {
        ServeError::Socket { client: self.client, attempt, source }
    }

    /// How many bytes may leave now; `None`: there are none, or it is not their time.
    fn may_write(&mut self, now: Instant) -> Option<usize> {
        if self.output.is_empty() {
            return None;
        }
        match self.pace.allows(now, self.output.bytes()) {
            Allowed::Now(bytes) => Some(bytes),
            Allowed::From(_) => None,
        }
    }

    fn write_some(&mut self) -> Result<(), ServeError> {
        while let Some(left) = self.may_write(Instant::now()) {
            match self.stream.try_write_vectored(&self.output.slices(left)) {
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
        if self.output.wrote(bytes) == Written::Substance {
            self.last_progress = now;
        }
        self.tally.sent(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.pace.spend(bytes);
    }

    /// Sends a keep-alive, which is no progress. Only while nothing else is queued: that is a sign of life itself.
    pub(crate) fn keep_alive(&mut self, sender: &mut Sender) -> Result<(), ServeError> {
        let progress = self.last_progress;
        sender.keepalive();
        if self.output.is_empty() {
            self.output.mark_hollow(sender.pending_output());
        }
        let sent = self.push(sender);
        self.last_progress = progress;
        self.last_write = Instant::now();
        sent
    }

    /// The same if it is time for it, for work that is done in pieces.
    pub(crate) fn keep_alive_if_due(&mut self, sender: &mut Sender) -> Result<(), ServeError> {
        match self.keep_alive_due() {
            Some(due) if due <= Instant::now() => self.keep_alive(sender),
            _ => Ok(()),
        }
    }

    /// Waits for something that is ours to do, and keeps the client alive meanwhile.
    pub(crate) async fn meanwhile<T>(
        &mut self,
        sender: &mut Sender,
        awaited: impl Future<Output = T>,
    ) -> Result<T, ServeError> {
        let mut awaited = std::pin::pin!(awaited);
        loop {
            tokio::select! {
                biased;
                found = &mut awaited => return Ok(found),
                event = self.wait(None) => {
                    if event? == Event::Quiet {
                        self.keep_alive(sender)?;
                    }
                }
            }
        }
    }

    /// Waits until bytes came, bytes left, or a keep-alive is due. An error when patience is over.
    ///
    /// What comes is given to `input`; without one nothing is read, because the client waits for an answer.
    pub(crate) async fn wait(&mut self, input: Option<&mut Sender>) -> Result<Event, ServeError> {
        // Readiness alone never yields: a client that always has more to say must not keep others waiting.
        consume_budget().await;
        let now = Instant::now();
        let input = input.filter(|_| !self.is_full());
        let write = self.may_write(now).is_some();
        let deadline = self.next_deadline(now, input.is_some());
        tokio::select! {
            ready = self.stream.readable(), if input.is_some() => {
                ready.map_err(|error| self.error("read from", error))?;
                self.read_some(input)
            }
            ready = self.stream.writable(), if write => {
                ready.map_err(|error| self.error("write to", error))?;
                self.write_some()?;
                Ok(Event::Wrote)
            }
            () = until(deadline) => self.deadline_came(Instant::now(), input.is_some()),
        }
    }

    /// Waits as [`Pipe::wait`] does without input, for a client that waits for us; an error once it has gone. That it
    /// has closed its side counts from `closing_counts` on.
    pub(crate) async fn attend(&mut self, closing_counts: Instant) -> Result<Event, ServeError> {
        consume_budget().await;
        let now = Instant::now();
        let (write, look) = (self.may_write(now).is_some(), closing_counts <= now);
        let look_at = Some(closing_counts).filter(|_| !look);
        let deadline = [self.next_deadline(now, false), look_at].into_iter().flatten().min();
        tokio::select! {
            // Of priority there is nothing here, so this is about the end alone.
            ready = self.stream.ready(Interest::PRIORITY | Interest::ERROR), if look => {
                ready.map_err(|error| self.error("wait for", error))?;
                Err(self.error("wait for", io::ErrorKind::ConnectionAborted.into()))
            }
            ready = self.stream.writable(), if write => {
                ready.map_err(|error| self.error("write to", error))?;
                self.write_some()?;
                Ok(Event::Wrote)
            }
            () = until(deadline) => self.deadline_came(Instant::now(), false),
        }
    }

    fn read_some(&mut self, input: Option<&mut Sender>) -> Result<Event, ServeError> {
        match self.stream.try_read(&mut self.buffer) {
            Ok(0) => Ok(Event::Ended),
            Ok(n) => {
                self.last_progress = Instant::now();
                self.tally.received(u64::try_from(n).unwrap_or(u64::MAX));
                if let Some(sender) = input {
                    sender.input(self.buffer.get(..n).unwrap_or_default());
                }
                Ok(Event::Received)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(Event::Wrote)
            }
            Err(error) => Err(self.error("read from", error)),
        }
    }

    /// When patience with the client ends, if it owes us something. While bytes wait for their time it owes nothing.
    fn patience_ends(&self, is_to_send: bool) -> Option<Instant> {
        let since = self.pace.granted_from().map_or(self.last_progress, |from| self.last_progress.max(from));
        (is_to_send || !self.output.is_empty()).then(|| since + self.patience.idle)
    }

    fn keep_alive_due(&self) -> Option<Instant> {
        self.patience.keepalive.filter(|_| self.output.is_empty()).map(|pause| self.last_write + pause)
    }

    fn next_deadline(&self, now: Instant, is_to_send: bool) -> Option<Instant> {
        let opening = self.patience.opening.map(|limit| self.began + limit);
        let pace = self.pace.granted_from().filter(|from| !self.output.is_empty() && *from > now);
        // The rate may be another one meanwhile.
        let pace = pace.map(|from| from.min(now + RATE_LOOK));
        [self.patience_ends(is_to_send), opening, self.keep_alive_due(), pace].into_iter().flatten().min()
    }

    fn deadline_came(&mut self, now: Instant, is_to_send: bool) -> Result<Event, ServeError> {
        let over =
            |what, limit: Duration| Err(ServeError::Patience { client: self.client, what, seconds: limit.as_secs() });
        if let Some(limit) = self.patience.opening.filter(|limit| self.began + *limit <= now) {
            return over("did not finish its request", limit);
        }
        if self.patience_ends(is_to_send).is_some_and(|end| end <= now) {
            let what = if self.output.is_empty() { "sent nothing" } else { "read nothing" };
            return over(what, self.patience.idle);
        }
        if self.keep_alive_due().is_some_and(|due| due <= now) {
            return Ok(Event::Quiet);
        }
        self.write_some()?;
        Ok(Event::Wrote)
    }

    /// Writes all that is queued.
    async fn flush(&mut self) -> Result<(), ServeError> {
        while !self.output.is_empty() {
            self.wait(None).await?;
        }
        Ok(())
    }

    /// Ends an orderly session: all that was pushed is written, then our side is closed.
    pub(crate) async fn close(mut self) -> Result<(), ServeError> {
        self.flush().await?;
        // The client may have closed already; there is nobody left to tell.
        let _ = self.stream.shutdown().await;
        Ok(())
    }

    /// Ends a refused session so that the client reads why: writes all that was pushed, closes our side, and drops what
    /// still comes for a short while. Closing with unread input would reset the connection and lose the text.
    pub(crate) async fn drain(mut self) {
        // Whoever does not read, or is gone, is told nothing.
        if self.flush().await.is_err() || self.stream.shutdown().await.is_err() {
            return;
        }
        let silence = async {
            while self.stream.readable().await.is_ok() {
                consume_budget().await;
                match self.stream.try_read(&mut self.buffer) {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        };
        // Whoever goes on for so long is not waited for.
        let _ = timeout(DRAIN, silence).await;
    }
}

/// Sleeps until then, or for ever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::room::Room;
    use super::*;
    use crate::wire::sender::{ModuleTerms, SenderConfig, Step};

    const IDLE: Duration = Duration::from_secs(10);
    const OWN: usize = 1 << 20;

    fn patience() -> Patience {
        Patience { opening: None, idle: IDLE, keepalive: None }
    }

    /// A pipe, and its other end, at which nothing happens unless a test does it.
    async fn pipe(patience: Patience) -> (Pipe, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (stream, from) = accepted.expect("a connection");
        let bounds = Bounds { own: OWN, all: 64 << 20, room: Room::default() };
        (Pipe::new(stream, from, Tally::default(), patience, bounds), client.expect("a connection"))
    }

    /// A sender that has come so far that keep-alives may be sent: it waits for the client's rules.
    fn sender() -> Box<Sender> {
        let mut sender = Box::new(Sender::new(SenderConfig::default()));
        sender.input(b"@RSYNCD: 32.0 md5\nmod\n");
        assert!(matches!(sender.poll(), Ok(Step::Module(_))));
        sender.accept(ModuleTerms::default());
        sender.input(b"--server\0--sender\0-re.LsfxC\0.\0mod/\0\0");
        assert!(matches!(sender.poll(), Ok(Step::Wait)));
        sender.take_output().for_each(drop);
        sender
    }

    /// A sender with so many bytes to say.
    fn full_of(bytes: usize) -> Sender {
        let mut sender = Sender::new(SenderConfig::default());
        sender.input(b"@RSYNCD: 32.0 md5\nmod\n");
        assert!(matches!(sender.poll(), Ok(Step::Module(_))));
        sender.take_output().for_each(drop);
        sender.greet(&vec![b'x'; bytes]);
        sender
    }

    /// Waits as a conversation does, until patience is over; how often a keep-alive was sent, and what was said.
    async fn until_over(pipe: &mut Pipe, sender: &mut Sender, input: Reading) -> (usize, String) {
        let mut sent = 0;
        loop {
            let wanted = if input == Reading::Wanted { Some(&mut *sender) } else { None };
            match pipe.wait(wanted).await {
                Ok(Event::Quiet) => {
                    pipe.keep_alive(sender).expect("the socket is open");
                    sent += 1;
                }
                Ok(_) => {}
                Err(ServeError::Patience { what, seconds, .. }) => return (sent, format!("{what} for {seconds}")),
                Err(error) => panic!("{error}"),
            }
            pipe.push(sender).expect("the socket is open");
        }
    }

    #[derive(PartialEq)]
    enum Reading {
        Wanted,
        Held,
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_given_up_after_its_idle_time() {
        let (mut pipe, _client) = pipe(patience()).await;
        let start = Instant::now();
        assert_eq!(until_over(&mut pipe, &mut sender(), Reading::Wanted).await, (0, "sent nothing for 10".to_owned()));
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn keep_alives_are_sent_in_silence_and_are_no_progress() {
        let (mut pipe, _client) = pipe(Patience { keepalive: Some(Duration::from_secs(4)), ..patience() }).await;
        let start = Instant::now();
        assert_eq!(until_over(&mut pipe, &mut sender(), Reading::Wanted).await, (2, "sent nothing for 10".to_owned()));
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_waits_for_us_is_kept_alive_and_never_given_up() {
        let (mut pipe, _client) = pipe(Patience { keepalive: Some(Duration::from_secs(4)), ..patience() }).await;
        let (start, mut sender) = (Instant::now(), sender());
        for _ in 0..10 {
            assert_eq!(pipe.wait(None).await.expect("no end of patience"), Event::Quiet);
            pipe.keep_alive(&mut sender).expect("the socket is open");
        }
        assert_eq!(start.elapsed().as_secs(), 40);
        pipe.push(&mut sender).expect("the socket is open");
        // Now it is the client's turn, and it has the whole time.
        let mut full = full_of(32 << 20);
        pipe.push(&mut full).expect("the socket is open");
        let start = Instant::now();
        assert_eq!(until_over(&mut pipe, &mut full, Reading::Held).await.1, "read nothing for 10");
        assert!(start.elapsed() >= IDLE, "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn a_client_that_waits_for_us_and_goes_is_noticed() {
        let (mut pipe, mut client) = pipe(patience()).await;
        client.write_all(b"more than it was asked for").await.expect("the socket is open");
        let later = Instant::now() + Duration::from_secs(3600);
        assert!(timeout(Duration::from_millis(50), pipe.attend(Instant::now())).await.is_err(), "it is there");
        client.shutdown().await.expect("the socket is open");
        assert!(timeout(Duration::from_millis(50), pipe.attend(later)).await.is_err(), "it may still listen");
        let gone = pipe.attend(Instant::now()).await.expect_err("it has closed its side");
        assert!(matches!(gone, ServeError::Socket { .. }), "{gone}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_opening_has_one_deadline_whatever_else_happens() {
        let opening = Some(Duration::from_secs(3));
        let (mut pipe, _client) = pipe(Patience { opening, ..patience() }).await;
        let start = Instant::now();
        let over = until_over(&mut pipe, &mut sender(), Reading::Wanted).await;
        assert_eq!(over.1, "did not finish its request for 3");
        assert_eq!(start.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_leave_no_faster_than_the_pace() {
        let (mut pipe, _client) = pipe(patience()).await;
        pipe.keep_pace(Bucket::default().at(Some(100_000)));
        let start = Instant::now();
        pipe.push(&mut full_of(50_000)).expect("the socket is open");
        pipe.flush().await.expect("the socket takes it");
        // The first piece leaves at once, the last one when the others are paid for.
        let spent = start.elapsed().as_millis();
        assert!((445..=470).contains(&spent), "{spent} ms");
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_of_tiny_chunks_is_full_long_before_its_bytes_are() {
        let (mut pipe, _client) = pipe(patience()).await;
        // What the socket takes is not queued.
        pipe.push(&mut full_of(32 << 20)).expect("the socket is open");
        let taken = pipe.tally.read().sent_bytes;
        assert!(pipe.is_full() && taken > 0);
        pipe.output.wrote(pipe.output.bytes());
        // The socket is full now. Each of these would be an allocation of its own.
        let mut bytes = 0;
        while !pipe.is_full() {
            pipe.push(&mut full_of(7)).expect("the socket is open");
            bytes += 7;
        }
        assert!(bytes < OWN / 10, "{bytes}");
        assert_eq!(pipe.output.bytes(), bytes);
    }

    #[tokio::test]
    async fn last_words_arrive_although_the_client_goes_on_talking() {
        use tokio::io::AsyncReadExt;
        let (mut pipe, mut client) = pipe(patience()).await;
        client.write_all(&[0; 100_000]).await.expect("the socket is open");
        pipe.push(&mut full_of(300_000)).expect("the socket is open");
        let mut heard = Vec::new();
        let (_, read) = tokio::join!(pipe.drain(), async {
            let read = client.read_to_end(&mut heard).await;
            drop(client);
            read
        });
        assert_eq!(read.expect("no reset"), 300_000);
    }
}
