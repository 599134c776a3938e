//! One client, from accept to goodbye: asks the protocol machine for its next step and answers it.
//!
//! Opening: greeting, module list, access, arguments, rules; it has one deadline. Then the file list,
//! and after it requests until the client has all it wants. The snapshot is pinned at the module's
//! name and served to the end, whatever is published meanwhile. Deliberately absent: decisions about
//! bytes (those are `wire`'s) and about entries (those are `view`'s).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::admission::{self, Entry, Refused};
use super::contents::Kit;
use super::distfiles::ModuleKind;
use super::error::ServeError;
use super::lanes::Asked;
use super::large::{Bursts, STARVED_PAUSE};
use super::list_cache::Listed;
use super::list_order::ListOrder;
use super::listener::Shared;
use super::listing::{Listing, NoList};
use super::log_limit::LogLimit;
use super::pace::Bucket;
use super::pipe::{Event, Patience, Pipe};
use super::published::{Current, ListingVisibility, Published, ServeLimits};
use super::room::Bounds;
use super::sending::{Done, Job};
use super::sent::{Served, transfer_lines};
use super::telling::Telling;
use crate::wire::error::WireError;
use crate::wire::options::Flag;
use crate::wire::sender::{FileList, ListRequest, ModuleTerms, Sender, SenderConfig, Step};
use crate::wire::sums::SumKind;

/// A client that has closed its side has gone, once it has waited so long for its list. Whoever says all at once and
/// then only listens gets one that is ready.
const CLOSING_COUNTS: Duration = Duration::from_secs(1);

/// Exit code for a broken protocol (12.1).
const CODE_PROTOCOL: i32 = 2;
/// Exit code for trouble with files, here with ours (12.1).
const CODE_FILES: i32 = 11;

/// Random bytes of a challenge: twice what protocol 2.5 asks for.
const CHALLENGE_BYTES: usize = 32;

/// What a client was given at its module's name.
struct Granted {
    entry: Entry,
    current: Arc<Current>,
}

/// How a connection's opening ended.
enum Opening {
    /// It gets a file list.
    Granted(Granted, Box<ListRequest>),
    /// It got all it asked for, or was refused.
    Over,
}

/// What came of a visit, for the log.
pub(crate) enum Visit {
    /// The client got what it asked for, as far as it wanted it.
    Served,
    /// It was turned away at its module's name.
    Refused(Refused),
}

/// How a conversation ended, so that it can be closed as the client expects.
enum Parting {
    /// Both sides said goodbye.
    Goodbye,
    /// The last word is ours, and the client may still be talking.
    LastWord,
}

pub(crate) struct Connection {
    shared: Arc<Shared>,
    /// As they were when the client came.
    limits: ServeLimits,
    client: SocketAddr,
    number: u64,
    pipe: Pipe,
    /// The module that it asked for.
    asked: String,
    refused: Option<Refused>,
    telling: Telling,
}

/// Serves one client. `client` is whose connection it is, which behind a proxy is not the socket's other end.
pub(crate) async fn talk(
    shared: Arc<Shared>,
    stream: TcpStream,
    client: SocketAddr,
    number: u64,
    seed: i32,
    lines: LogLimit,
) -> Result<Visit, ServeError> {
    // Small answers must not wait for the peer's acknowledgement.
    let _ = stream.set_nodelay(true);
    let (limits, motd) = {
        let published = shared.published.borrow();
        (published.limits, published.motd.clone())
    };
    let patience = Patience { opening: Some(limits.handshake), idle: limits.idle, keepalive: None };
    let bounds = Bounds { own: limits.buffer, all: limits.buffers, room: shared.room.clone() };
    let pipe = Pipe::new(stream, client, shared.tally.clone(), patience, bounds);
    let sender = Sender::new(SenderConfig { motd, seed, limits: limits.of_sender(), silence: Some(limits.silence()) });
    let telling = Telling { client, lines, most: limits.log_lines };
    let mut connection =
        Connection { shared, limits, client, number, pipe, asked: String::new(), refused: None, telling };
    let ended = connection.converse(Box::new(sender)).await;
    let visit = connection.refused.take().map_or(Visit::Served, Visit::Refused);
    match ended {
        Ok(Parting::Goodbye) => connection.pipe.close().await.map(|()| visit),
        Ok(Parting::LastWord) => {
            connection.pipe.drain().await;
            Ok(visit)
        }
        // Who has gone is told nothing, and waits for no turn of its own.
        Err(error @ ServeError::Protocol { source: WireError::Ended { .. }, .. }) => Err(error),
        // What the client is to be told about it is queued.
        Err(error) => {
            connection.pipe.drain().await;
            Err(error)
        }
    }
}

impl Connection {
    async fn converse(&mut self, mut sender: Box<Sender>) -> Result<Parting, ServeError> {
        match self.open(&mut sender).await {
            Ok(Opening::Granted(granted, request)) => self.serve(sender, granted, *request).await,
            Ok(Opening::Over) => Ok(Parting::LastWord),
            Err(ServeError::Protocol { source: WireError::NoDigest, .. }) => {
                let (module, line) = (std::mem::take(&mut self.asked), "no password digest in common".to_owned());
                self.shared.tally.refuse();
                self.refused = Some(Refused { module, line, cause: "auth_digest of the module".to_owned() });
                Ok(Parting::LastWord)
            }
            Err(error) => {
                self.shared.tally.refuse();
                Err(error)
            }
        }
    }

    /// The next step that needs an answer; reads and writes until there is one.
    async fn step(&mut self, sender: &mut Sender) -> Result<Step, ServeError> {
        loop {
            let polled = sender.poll();
            self.pipe.push(sender)?;
            self.settle_patience(sender);
            match polled.map_err(|source| ServeError::Protocol { client: self.client, source })? {
                Step::Wait => self.turn(sender).await?,
                step => return Ok(step),
            }
        }
    }

    /// Waits for the socket once.
    async fn turn(&mut self, sender: &mut Sender) -> Result<(), ServeError> {
        let input = if sender.wants_input() { Some(&mut *sender) } else { None };
        match self.pipe.wait(input).await? {
            Event::Ended => sender.end_of_input(),
            Event::Quiet => self.pipe.keep_alive(sender)?,
            Event::Received | Event::Wrote => {}
        }
        Ok(())
    }

    async fn open(&mut self, sender: &mut Sender) -> Result<Opening, ServeError> {
        let (mut knocking, mut granted) = (None, None);
        loop {
            match self.step(sender).await? {
                Step::ListModules => sender.modules(&listed_modules(&self.published())),
                Step::Module(name) => match self.knock(sender, &name).await {
                    Ok(entry) if entry.auth().is_some() => knocking = Some(entry),
                    Ok(entry) => granted = self.grant(sender, entry).await,
                    Err(refused) => self.refuse(sender, refused),
                },
                Step::Login(login) => {
                    let Some(mut entry) = knocking.take() else {
                        return Err(ServeError::Ending("a login without a challenge"));
                    };
                    match admission::login(&mut entry, &login) {
                        Ok(()) => granted = self.grant(sender, entry).await,
                        Err(refused) => self.refuse(sender, refused),
                    }
                }
                Step::List(request) => {
                    let Some(granted) = granted else { return Err(ServeError::Ending("a list without a module")) };
                    return Ok(Opening::Granted(granted, request));
                }
                Step::Drain { .. } | Step::Finished(_) => return Ok(Opening::Over),
                Step::Send(_) | Step::Wait => return Err(ServeError::Ending("a request without a list")),
            }
        }
    }

    /// What is served at this moment.
    fn published(&self) -> Arc<Published> {
        self.shared.published.borrow().clone()
    }

    /// The checks up to the password; the module's message of the day; and the challenge, where there is a password.
    async fn knock(&mut self, sender: &mut Sender, name: &[u8]) -> Result<Entry, Refused> {
        let entry = admission::knock(&self.shared, self.client.ip().to_canonical(), name).await?;
        self.asked.clone_from(&entry.name);
        if !entry.module.motd.is_empty() {
            sender.greet(&entry.module.motd);
            sender.greet(b"\n");
        }
        if let Some(auth) = entry.auth() {
            let mut random = [0; CHALLENGE_BYTES];
            if SystemRandom::new().fill(&mut random).is_err() {
                let line = "@ERROR: the server cannot make a challenge -- try again later".to_owned();
                let cause = "the system has no random bytes".to_owned();
                return Err(Refused { module: entry.name, line, cause });
            }
            sender.challenge(&STANDARD_NO_PAD.encode(random), auth.weakest);
        }
        Ok(entry)
    }

    /// Lets the client in, unless there is nothing to serve.
    async fn grant(&mut self, sender: &mut Sender, entry: Entry) -> Option<Granted> {
        match admission::current(&self.shared, &entry).await {
            Ok(current) => {
                sender.accept(ModuleTerms { timeout: entry.timeout() });
                Some(Granted { entry, current })
            }
            Err(refused) => {
                self.refuse(sender, refused);
                None
            }
        }
    }

    fn refuse(&mut self, sender: &mut Sender, refused: Refused) {
        self.shared.tally.refuse();
        sender.refuse(refused.line.as_bytes());
        self.refused = Some(refused);
    }

    async fn serve(
        &mut self,
        mut sender: Box<Sender>,
        granted: Granted,
        request: ListRequest,
    ) -> Result<Parting, ServeError> {
        self.settle_pace(&request, &granted.entry);
        let stored_sums = request.agreed.whole_sum == SumKind::Xxh128;
        let keeps_times = request.options.has(Flag::Times);
        let listing = match self.list(&mut sender, &granted, request).await? {
            Ok(listing) => listing,
            Err(NoList { code, text }) => {
                sender.fatal(code, &text);
                self.pipe.push(&mut sender)?;
                return Ok(Parting::LastWord);
            }
        };
        self.pipe.lend(listing.messages.len() + listing.frames.len());
        sender.list(FileList {
            frames: vec![listing.messages.clone(), listing.frames.clone()],
            messages: Vec::new(),
            io_error: listing.io_error,
            entries: u32::try_from(listing.index.len()).unwrap_or(u32::MAX),
            total_size: listing.total_size,
            build: listing.build,
        });
        let Granted { entry, current } = granted;
        let log = entry.module.transfer_log && self.shared.log.is_some();
        // The bytes of the list live on in the queue until they are written, and no longer.
        let index = listing.index.clone();
        drop(listing);
        let bursts = if self.pipe.is_paced() { Bursts::Never } else { Bursts::Allowed };
        let job = Job::new(sender, current, index, entry.module.path.clone(), log, bursts);
        self.transfer(job, &Served { entry, stored_sums, keeps_times }).await
    }

    /// Ends the deadline of the opening when it is over; from then on the timeout in effect counts.
    fn settle_patience(&mut self, sender: &Sender) {
        let patience = &mut self.pipe.patience;
        if patience.opening.is_none() || !sender.is_opened() {
            return;
        }
        patience.opening = None;
        sender.timeout().into_iter().for_each(|seconds| patience.keep(seconds));
    }

    /// How fast its bytes may leave. Of two rates the smaller one holds.
    fn settle_pace(&mut self, request: &ListRequest, entry: &Entry) {
        let wished = request.options.bwlimit.filter(|kib| *kib > 0).map(|kib| u64::from(kib) << 10);
        if let Some(rate) = wished.into_iter().chain(entry.module.bwlimit).min() {
            self.pipe.keep_pace(Bucket::default().at(Some(rate)));
        }
        self.pipe.keep_pace(entry.module.bucket.clone());
    }

    /// Gets the file list, keeping the client alive meanwhile.
    async fn list(
        &mut self,
        sender: &mut Sender,
        granted: &Granted,
        request: ListRequest,
    ) -> Result<Listed, ServeError> {
        let order = ListOrder {
            module: granted.entry.name.clone(),
            kind: ModuleKind::Plain,
            root: granted.entry.module.path.clone(),
            options: request.options.list_options(),
            format: request.format,
            filters: request.filters,
            module_filters: granted.entry.module.filters.clone(),
            paths: request.paths,
            path_form: request.path_form,
            files: request.files.map(Arc::from),
            owner: granted.entry.module.ownership.clone(),
            matches: self.limits.matches,
        };
        let client = self.client.ip();
        let mut answer = self.shared.lists.ask(client, &granted.current, order, self.limits.list_cache).await?;
        let closing_counts = Instant::now() + CLOSING_COUNTS;
        loop {
            tokio::select! {
                biased;
                listed = &mut answer => return Ok(listed.unwrap_or_else(|_| Err(NoList::ours()))),
                event = self.pipe.attend(closing_counts) => {
                    if event? == Event::Quiet {
                        self.pipe.keep_alive(sender)?;
                    }
                }
            }
        }
    }

    /// Requests and replies, to the end of the session.
    async fn transfer(&mut self, mut job: Job, served: &Served) -> Result<Parting, ServeError> {
        loop {
            if self.pipe.is_full() {
                self.turn(&mut job.sender).await?;
                continue;
            }
            let polled = job.sender.poll();
            self.pipe.push(&mut job.sender)?;
            match polled.map_err(|source| ServeError::Protocol { client: self.client, source })? {
                Step::Send(request) => {
                    job.requests.push_back(request);
                    if job.requests.len() < self.limits.batch {
                        continue;
                    }
                }
                // A burst goes straight to the socket, so what was said before must be there.
                Step::Wait if job.is_idle() || (job.bursts() && !self.pipe.is_flushed()) => {
                    self.turn(&mut job.sender).await?;
                    continue;
                }
                Step::Wait => {}
                Step::Finished(finish) if finish.clean => return Ok(Parting::Goodbye),
                Step::Finished(_) | Step::Drain { .. } => return Ok(Parting::LastWord),
                Step::ListModules | Step::Module(_) | Step::Login(_) | Step::List(_) => {
                    return Err(ServeError::Ending("a second request line"));
                }
            }
            job = self.answer(job, served).await?;
        }
    }

    /// Answers until the client is to read, on blocking threads; the client is kept alive meanwhile.
    async fn answer(&mut self, mut job: Job, served: &Served) -> Result<Job, ServeError> {
        while !job.is_idle() && !self.pipe.is_full() {
            // A rate that was set meanwhile holds for this one too.
            if job.bursts() && !self.pipe.is_paced() {
                if !self.pipe.is_flushed() {
                    break;
                }
                if let Asked::Made(done) = self.shared.lanes.burst(&mut self.pipe, &mut job).await? {
                    self.account(&mut job, done, served);
                    self.pipe.push(&mut job.sender)?;
                    continue;
                }
            }
            let lease = match self.pipe.meanwhile(&mut job.sender, self.shared.readers.lease()).await? {
                Ok(lease) => lease,
                Err(error) => {
                    job.sender.fatal(CODE_FILES, "the server cannot read its store");
                    self.pipe.push(&mut job.sender)?;
                    return Err(error.for_client(self.client));
                }
            };
            job.budget = self.pipe.budget();
            let work = move |kit: &mut Kit| {
                let done = job.run(kit);
                (job, done)
            };
            let (back, done) = lease.run(work).await.map_err(|error| error.for_client(self.client))?;
            job = back;
            let starved = done.starved;
            self.account(&mut job, done, served);
            self.pipe.push(&mut job.sender)?;
            if let Some(tries) = starved {
                self.telling.starved(tries);
                self.pipe.meanwhile(&mut job.sender, sleep(STARVED_PAUSE)).await?;
            }
            self.pipe.keep_alive_if_due(&mut job.sender)?;
        }
        Ok(job)
    }

    fn account(&mut self, job: &mut Job, done: Done, served: &Served) {
        self.shared.tally.files(done.files);
        for bad in done.bad {
            self.telling.bad(&bad);
            self.shared.bad.report(bad);
        }
        done.troubles.into_iter().for_each(|trouble| self.telling.trouble(trouble));
        if let Some(log) = &self.shared.log {
            transfer_lines(self.number, self.client, job, served, done.sent).for_each(|line| log.write(line));
        }
        if let Some(ndx) = done.illegal {
            job.requests.clear();
            job.sender.fatal(CODE_PROTOCOL, &format!("index {ndx} is no regular file"));
        }
    }
}

/// What the module list shows.
fn listed_modules(published: &Published) -> Vec<(&[u8], &[u8])> {
    let listed = published.modules.iter().filter(|m| m.visibility == ListingVisibility::Listed);
    listed.map(|m| (m.name.as_str().as_bytes(), m.comment.as_bytes())).collect()
}

/// A listing can be shared between connections.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Listing>();
};
