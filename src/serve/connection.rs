//! One client, from accept to goodbye: asks the protocol machine for its next step and answers it.
//!
//! Opening: greeting, module list, access, arguments, rules; it has one deadline. Then the file list,
//! and after it requests until the client has all it wants. The snapshot is pinned at the module's
//! name and served to the end, whatever is published meanwhile. Deliberately absent: decisions about
//! bytes (those are `wire`'s) and about entries (those are `view`'s).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::contents::Kit;
use super::error::ServeError;
use super::lanes::Asked;
use super::large::Bursts;
use super::list_cache::Listed;
use super::list_order::ListOrder;
use super::listener::Shared;
use super::listing::{Listing, NoList};
use super::module_log::TransferLine;
use super::pipe::{Event, Patience, Pipe};
use super::published::{Current, ListingVisibility, Module, Published, ServeLimits, Slot};
use super::sending::{Done, Job};
use crate::wire::sender::{FileList, ListRequest, ModuleTerms, Sender, SenderConfig, Step};

/// A client that may be silent for N seconds is given up after so many times N without progress.
const PATIENCE_FACTOR: u32 = 3;

/// A client that has closed its side has gone, once it has waited so long for its list. Whoever says all at once and
/// then only listens gets one that is ready.
const CLOSING_COUNTS: Duration = Duration::from_secs(1);

/// Exit code for a broken protocol (12.1).
const CODE_PROTOCOL: i32 = 2;
/// Exit code for trouble with files, here with ours (12.1).
const CODE_FILES: i32 = 11;

/// What a client was given at its module's name.
struct Granted {
    module: Arc<Module>,
    current: Arc<Current>,
    /// Held until the connection ends.
    _slot: Slot,
}

/// How a connection's opening ended.
enum Opening {
    /// It gets a file list.
    Granted(Granted, ListRequest),
    /// It got all it asked for, or was refused.
    Over,
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
}

/// Serves one client.
pub(crate) async fn talk(
    shared: Arc<Shared>,
    stream: TcpStream,
    client: SocketAddr,
    number: u64,
    seed: i32,
) -> Result<(), ServeError> {
    // Small answers must not wait for the peer's acknowledgement.
    let _ = stream.set_nodelay(true);
    let (limits, motd) = {
        let published = shared.published.borrow();
        (published.limits, published.motd.clone())
    };
    let patience = Patience { opening: Some(limits.handshake), idle: limits.idle, keepalive: None };
    let pipe = Pipe::new(stream, client, shared.tally.clone(), patience);
    let sender = Sender::new(SenderConfig { motd, seed, ..SenderConfig::default() });
    let mut connection = Connection { shared, limits, client, number, pipe };
    let ended = connection.converse(Box::new(sender)).await;
    match ended {
        Ok(Parting::Goodbye) => connection.pipe.close().await,
        Ok(Parting::LastWord) => {
            connection.pipe.drain().await;
            Ok(())
        }
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
            Ok(Opening::Granted(granted, request)) => self.serve(sender, granted, request).await,
            Ok(Opening::Over) => Ok(Parting::LastWord),
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
        let mut granted = None;
        loop {
            match self.step(sender).await? {
                Step::ListModules => sender.modules(&listed_modules(&self.published())),
                Step::Module(name) => match self.admit(&name) {
                    Ok(found) => {
                        let module = &found.module;
                        let timeout = module.timeout.and_then(|t| u32::try_from(t.as_secs()).ok());
                        if !module.motd.is_empty() {
                            sender.greet(&module.motd);
                            sender.greet(b"\n");
                        }
                        sender.accept(ModuleTerms { timeout });
                        granted = Some(found);
                    }
                    Err(line) => {
                        self.shared.tally.refuse();
                        tracing::info!(client = %self.client, module = %String::from_utf8_lossy(&name), line, "refused");
                        sender.refuse(line.as_bytes());
                    }
                },
                Step::List(request) => {
                    let Some(granted) = granted else { return Err(ServeError::Ending("a list without a module")) };
                    return Ok(Opening::Granted(granted, *request));
                }
                Step::Drain { .. } | Step::Finished(_) => return Ok(Opening::Over),
                Step::Login(_) => return Err(ServeError::Ending("a login that nobody asked for")),
                Step::Send(_) | Step::Wait => return Err(ServeError::Ending("a request without a list")),
            }
        }
    }

    /// What is served at this moment.
    fn published(&self) -> Arc<Published> {
        self.shared.published.borrow().clone()
    }

    /// The checks at a module's name, in the order of protocol 2.6; an error is the whole answer line.
    fn admit(&self, name: &[u8]) -> Result<Granted, String> {
        let published = self.published();
        let shown = super::view::shown(name);
        let unknown = || format!("@ERROR: Unknown module '{shown}'");
        let module = published.module(name).ok_or_else(unknown)?;
        let address = self.client.ip().to_canonical();
        if !module.hosts.admit(address) {
            return Err(match module.visibility {
                ListingVisibility::Listed => format!("@ERROR: access denied to {shown} from {address} ({address})"),
                ListingVisibility::Hidden => unknown(),
            });
        }
        let limit = module.max_connections;
        let slot = module.slots.take(limit).ok_or_else(|| {
            format!("@ERROR: max connections ({}) reached -- try again later", limit.unwrap_or_default())
        })?;
        let current = module
            .current
            .clone()
            .ok_or_else(|| format!("@ERROR: nothing is published in module {shown} yet -- try again later"))?;
        Ok(Granted { module: module.clone(), current, _slot: slot })
    }

    async fn serve(
        &mut self,
        mut sender: Box<Sender>,
        granted: Granted,
        request: ListRequest,
    ) -> Result<Parting, ServeError> {
        self.settle(&sender, &request);
        let listing = match self.list(&mut sender, &granted, request).await? {
            Ok(listing) => listing,
            Err(NoList { code, text }) => {
                sender.fatal(code, &text);
                self.pipe.push(&mut sender)?;
                return Ok(Parting::LastWord);
            }
        };
        sender.list(FileList {
            frames: vec![listing.messages.clone(), listing.frames.clone()],
            messages: Vec::new(),
            io_error: listing.io_error,
            entries: u32::try_from(listing.index.len()).unwrap_or(u32::MAX),
            total_size: listing.total_size,
            build: listing.build,
        });
        let Granted { module, current, _slot } = granted;
        let log = module.transfer_log && self.shared.log.is_some();
        // The bytes of the list live on in the queue until they are written, and no longer.
        let index = listing.index.clone();
        drop(listing);
        let bursts = if self.pipe.is_paced() { Bursts::Never } else { Bursts::Allowed };
        let job = Job::new(sender, current, index, module.path.clone(), log, bursts);
        self.transfer(job, &module).await
    }

    /// From here on the client's own wishes count: timeout and bandwidth.
    fn settle(&mut self, sender: &Sender, request: &ListRequest) {
        let patience = &mut self.pipe.patience;
        patience.opening = None;
        if let Some(seconds) = sender.timeout().map(u64::from) {
            patience.keepalive = Some(Duration::from_secs(seconds.div_ceil(2)));
            patience.idle = patience.idle.min(Duration::from_secs(seconds) * PATIENCE_FACTOR);
        }
        if let Some(kib) = request.options.bwlimit.filter(|kib| *kib > 0) {
            self.pipe.set_pace(u64::from(kib) << 10);
        }
    }

    /// Gets the file list, keeping the client alive meanwhile.
    async fn list(
        &mut self,
        sender: &mut Sender,
        granted: &Granted,
        request: ListRequest,
    ) -> Result<Listed, ServeError> {
        let order = ListOrder {
            module: granted.module.name.as_str().to_owned(),
            root: granted.module.path.clone(),
            options: request.options.list_options(),
            format: request.format,
            filters: request.filters,
            paths: request.paths,
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
    async fn transfer(&mut self, mut job: Job, module: &Module) -> Result<Parting, ServeError> {
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
            job = self.answer(job, module).await?;
        }
    }

    /// Answers until the client is to read, on blocking threads; the client is kept alive meanwhile.
    async fn answer(&mut self, mut job: Job, module: &Module) -> Result<Job, ServeError> {
        while !job.is_idle() && !self.pipe.is_full() {
            if job.bursts() {
                if !self.pipe.is_flushed() {
                    break;
                }
                if let Asked::Made(done) = self.shared.lanes.burst(&mut self.pipe, &mut job).await? {
                    self.account(&mut job, done, module);
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
            let work = move |kit: &mut Kit| {
                let done = job.run(kit);
                (job, done)
            };
            let (back, done) = lease.run(work).await.map_err(|error| error.for_client(self.client))?;
            job = back;
            self.account(&mut job, done, module);
            self.pipe.push(&mut job.sender)?;
            self.pipe.keep_alive_if_due(&mut job.sender)?;
        }
        Ok(job)
    }

    fn account(&self, job: &mut Job, done: Done, module: &Module) {
        self.shared.tally.files(done.files);
        for bad in done.bad {
            self.shared.bad.report(bad);
        }
        if let Some(log) = &self.shared.log {
            for sent in done.sent {
                log.write(TransferLine {
                    connection: self.number,
                    client: self.client,
                    module: module.name.as_str().to_owned(),
                    path: sent.path,
                    size: sent.size,
                });
            }
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
