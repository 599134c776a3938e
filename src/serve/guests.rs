//! The open connections: whose they are, how many each may have, and what the log says of them.
//!
//! All counts are here, in one task, so they need no lock: connections in all, of an address, of a network. Over a limit a
//! client gets the greeting and the line that rsyncd would send. A connection of a proxy first says whose it is;
//! until then it counts as the proxy's. What clients make us say in the log is limited here too.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::TcpStream;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::{Visit, talk};
use super::error::ServeError;
use super::hosts::network_of;
use super::listener::Shared;
use super::log_limit::LogLimit;
use super::pipe::{Patience, Pipe};
use super::proxy::{ProxyError, read_header};
use super::room::Bounds;
use crate::fault::Fault;
use crate::wire::sender::{Sender, SenderConfig};

/// Clients that are being told that there is no room; more are closed without a word.
const TURNED_AWAY: usize = 128;

/// How a connection's task ended.
type Ended = Result<(Id, Result<Visit, ServeError>), JoinError>;

/// A proxy's connection: its socket, and whose it is; or which proxy did not say it, and why. Then it is closed.
type Announced = Result<(TcpStream, SocketAddr), (SocketAddr, ProxyError)>;

/// Who a task belongs to.
struct Guest {
    client: SocketAddr,
    /// Whether it has a place, or is only told that there is none.
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Taken,
    TurnedAway,
}

/// The open connections.
pub(crate) struct Guests {
    shared: Arc<Shared>,
    tasks: JoinSet<Result<Visit, ServeError>>,
    announcing: JoinSet<Announced>,
    guests: HashMap<Id, Guest>,
    addresses: HashMap<IpAddr, usize>,
    networks: HashMap<IpNet, usize>,
    placed: usize,
    number: u64,
    random: SystemRandom,
    log: LogLimit,
}

/// What happened to the guests.
pub(crate) enum Event {
    Left(Ended),
    Announced(Announced),
    /// A task that waited for a header has failed; its connection is closed.
    Lost,
    /// A second of the log is over.
    Log,
}

impl Guests {
    pub(crate) fn new(shared: Arc<Shared>) -> Guests {
        Guests {
            shared,
            tasks: JoinSet::new(),
            announcing: JoinSet::new(),
            guests: HashMap::new(),
            addresses: HashMap::new(),
            networks: HashMap::new(),
            placed: 0,
            number: 0,
            random: SystemRandom::new(),
            log: LogLimit::default(),
        }
    }

    /// Waits until something happens to the guests; for ever, if there are none.
    pub(crate) async fn event(&mut self) -> Event {
        let due = self.log.due();
        tokio::select! {
            Some(ended) = self.tasks.join_next_with_id() => Event::Left(ended),
            Some(announced) = self.announcing.join_next() => announced.map_or(Event::Lost, Event::Announced),
            () = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            } => Event::Log,
        }
    }

    /// Does what follows from it.
    pub(crate) fn take(&mut self, event: Event) {
        match event {
            Event::Left(ended) => self.left(ended),
            Event::Announced(Ok((stream, client))) => self.welcome(stream, client),
            // A load balancer that only looks whether somebody listens is no news.
            Event::Announced(Err((_, ProxyError::Nothing))) => {}
            Event::Announced(Err((proxy, error))) => {
                self.shared.tally.refuse();
                if self.may_log(proxy) {
                    tracing::warn!(%proxy, %error, "a proxy's connection was closed: it has no PROXY header that can be read");
                }
            }
            Event::Lost => self.shared.tally.refuse(),
            Event::Log => self.flush(),
        }
    }

    /// Takes a new connection in: a proxy's says first whose it is.
    pub(crate) fn arrive(&mut self, stream: TcpStream, peer: SocketAddr) {
        let (limits, is_proxy) = {
            let published = self.shared.published.borrow();
            (published.limits, published.is_proxy(peer.ip()))
        };
        if !is_proxy {
            return self.welcome(stream, peer);
        }
        if self.placed + self.announcing.len() >= limits.connections {
            return self.turn_away(stream, peer, limits.connections);
        }
        self.announcing.spawn(announced(stream, peer, limits.handshake));
    }

    fn welcome(&mut self, stream: TcpStream, client: SocketAddr) {
        let limits = self.shared.published.borrow().limits;
        let address = client.ip().to_canonical();
        let network = network_of(address);
        let of_address = self.addresses.get(&address).copied().unwrap_or_default();
        let of_network = self.networks.get(&network).copied().unwrap_or_default();
        if self.placed >= limits.connections {
            return self.turn_away(stream, client, limits.connections);
        }
        if of_address >= limits.per_client {
            return self.turn_away(stream, client, limits.per_client);
        }
        if limits.per_network > 0 && of_network >= limits.per_network {
            return self.turn_away(stream, client, limits.per_network);
        }
        self.number += 1;
        let (shared, number, seed, log) = (self.shared.clone(), self.number, self.seed(), self.log.clone());
        let task = self.tasks.spawn(async move {
            let _open = shared.tally.accept();
            // The state machine of a connection is large; one allocation keeps the task small.
            Box::pin(talk(shared.clone(), stream, client, number, seed, log)).await
        });
        self.guests.insert(task.id(), Guest { client, place: Place::Taken });
        self.placed += 1;
        *self.addresses.entry(address).or_default() += 1;
        *self.networks.entry(network).or_default() += 1;
    }

    /// A checksum seed that no client can guess: 31 random bits, of which zero would mean none.
    fn seed(&self) -> i32 {
        let mut bytes = [0; 4];
        match self.random.fill(&mut bytes) {
            Ok(()) => (i32::from_le_bytes(bytes) & i32::MAX).max(1),
            Err(_) => 1,
        }
    }

    fn turn_away(&mut self, stream: TcpStream, client: SocketAddr, limit: usize) {
        self.shared.tally.refuse();
        if self.may_log(client) {
            tracing::info!(%client, limit, "refused: too many connections");
        }
        if self.guests.len() - self.placed >= TURNED_AWAY {
            return;
        }
        let shared = self.shared.clone();
        let task = self.tasks.spawn(async move {
            let mut sender = Sender::new(SenderConfig::default());
            sender.refuse(format!("@ERROR: max connections ({limit}) reached -- try again later").as_bytes());
            let patience = Patience { opening: None, idle: Duration::from_secs(2), keepalive: None };
            let bounds = Bounds { own: usize::MAX, all: usize::MAX, room: shared.room.clone() };
            let mut pipe = Pipe::new(stream, client, shared.tally.clone(), patience, bounds);
            pipe.push(&mut sender)?;
            pipe.drain().await;
            Ok(Visit::Served)
        });
        self.guests.insert(task.id(), Guest { client, place: Place::TurnedAway });
    }

    fn left(&mut self, ended: Ended) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(Guest { client, place }) = self.guests.remove(&id) else { return };
        if place == Place::Taken {
            self.placed -= 1;
            let address = client.ip().to_canonical();
            count_down(&mut self.addresses, address);
            count_down(&mut self.networks, network_of(address));
        }
        match ended {
            Ok((_, Ok(Visit::Served))) => {}
            Ok((_, Ok(Visit::Refused(refused)))) => {
                if self.may_log(client) {
                    tracing::info!(%client, module = refused.module, line = refused.line, cause = refused.cause, "refused");
                }
            }
            Ok((_, Err(error))) if error.fault() == Fault::Client => {
                if tracing::enabled!(tracing::Level::DEBUG) && self.may_log(client) {
                    tracing::debug!(%error, "connection ended");
                }
            }
            Ok((_, Err(error))) => tracing::error!(%error, "connection failed"),
            Err(error) if error.is_panic() => tracing::error!(%error, "a connection's task failed; the others go on"),
            Err(_) => {}
        }
    }

    /// Whether a line about this client may be written now.
    fn may_log(&mut self, client: SocketAddr) -> bool {
        let (most, address) = (self.shared.published.borrow().limits.log_lines, client.ip().to_canonical());
        let Some(suppressed) = self.log.admit(address, Instant::now(), most) else { return false };
        if suppressed > 0 {
            tell_suppressed(Some(address), suppressed);
        }
        true
    }

    fn flush(&mut self) {
        self.log.flush(Instant::now(), &mut tell_suppressed);
    }

    /// Waits for all, at most so long; who is left then is cut.
    pub(crate) async fn drain(mut self, limit: Duration) {
        self.announcing.shutdown().await;
        let deadline = Instant::now() + limit;
        while !self.tasks.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            match timeout(left, self.tasks.join_next_with_id()).await {
                Ok(Some(ended)) => self.left(ended),
                Ok(None) => break,
                Err(_) => {
                    tracing::warn!(connections = self.tasks.len(), "the drain time is over: cutting what still runs");
                    self.tasks.shutdown().await;
                    break;
                }
            }
        }
        self.flush();
    }
}

fn tell_suppressed(client: Option<IpAddr>, lines: u64) {
    let client = client.map_or_else(|| "many".to_owned(), |client| client.to_string());
    tracing::info!(client, lines, "lines about this client were suppressed: there were too many in a second");
}

fn count_down<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

/// Waits until a proxy has said whose connection this is.
async fn announced(mut stream: TcpStream, proxy: SocketAddr, limit: Duration) -> Announced {
    match timeout(limit, read_header(&mut stream)).await {
        Ok(Ok(client)) => Ok((stream, client.unwrap_or(proxy))),
        Ok(Err(error)) => Err((proxy, error)),
        Err(_) => Err((proxy, ProxyError::Late)),
    }
}
