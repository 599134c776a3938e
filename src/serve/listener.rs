//! The daemon: accepts on every listen address, keeps the limits, owns every connection.
//!
//! One task owns all connections, so that a stop can wait for them and the counts need no lock. Over a
//! limit a client gets the greeting and the line that rsyncd would send, and the others go on. On stop
//! nothing new is accepted; what runs may finish within the drain time and is cut after it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::bad_content::BadContents;
use super::connection::talk;
use super::contents::Readers;
use super::error::ServeError;
use super::lanes::Lanes;
use super::list_cache::ListCache;
use super::module_log::TransferLog;
use super::pipe::{Patience, Pipe};
use super::published::Published;
use super::tally::Tally;
use crate::fault::Fault;
use crate::wire::sender::{Sender, SenderConfig};

/// Clients that are being told that there is no room; more are closed without a word.
const TURNED_AWAY: usize = 128;

/// A pause after an accept that failed, as when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that wait in the kernel for each listen address.
const BACKLOG: u32 = 1024;

/// Everything the serving side needs.
#[derive(Clone, Debug)]
pub struct Serving {
    /// What is served; a change takes effect for the next connection.
    pub published: watch::Receiver<Arc<Published>>,
    /// Read connections to the store.
    pub readers: Readers,
    /// Counters for `status`.
    pub tally: Tally,
    /// Where transfers are logged, if anywhere.
    pub log: Option<TransferLog>,
    /// Where news of bad contents go.
    pub bad: BadContents,
}

/// What connections share.
pub(crate) struct Shared {
    pub(crate) published: watch::Receiver<Arc<Published>>,
    pub(crate) readers: Readers,
    pub(crate) lists: ListCache,
    pub(crate) lanes: Lanes,
    pub(crate) tally: Tally,
    pub(crate) log: Option<TransferLog>,
    pub(crate) bad: BadContents,
}

/// Open listen sockets.
#[derive(Debug)]
pub struct Doors(Vec<TcpListener>);

impl Doors {
    /// Opens every address, or none: an address that is taken is the operator's to solve.
    pub fn open(addresses: &[SocketAddr]) -> Result<Doors, ServeError> {
        let open =
            |address: &SocketAddr| listen(*address).map_err(|source| ServeError::Listen { address: *address, source });
        Ok(Doors(addresses.iter().map(open).collect::<Result<_, _>>()?))
    }

    /// The addresses that are open, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }
}

/// Opens one address. `::` means every address, so it is `0.0.0.0` on a machine without IPv6.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    match listen_at(address) {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && lacks_family(&error) => {
            listen_at((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        opened => opened,
    }
}

fn lacks_family(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn listen_at(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop`, then lets running transfers finish for at most `drain`.
pub async fn serve(doors: Doors, serving: Serving, stop: CancellationToken, drain: Duration) -> Result<(), ServeError> {
    let Serving { published, readers, tally, log, bad } = serving;
    let (lists, cache) = ListCache::new(readers.clone());
    let shared = Arc::new(Shared { published, readers, lists, lanes: Lanes::default(), tally, log, bad });
    let (arrivals, mut arrived) = mpsc::channel(64);
    let mut acceptors = JoinSet::new();
    for listener in doors.0 {
        acceptors.spawn(accept(listener, arrivals.clone(), stop.clone()));
    }
    let mut keeper = JoinSet::new();
    keeper.spawn(cache);
    let mut guests = Guests::new(shared);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = guests.tasks.join_next_with_id() => guests.left(ended),
            Some(_) = keeper.join_next() => return Err(ServeError::Ending("the file list cache has stopped")),
            Some(_) = acceptors.join_next() => return Err(ServeError::Ending("a listen address has failed")),
            Some((stream, client)) = arrived.recv() => guests.welcome(stream, client),
        }
    }
    // Who was accepted and not yet welcomed is closed now, not after the others.
    drop(arrived);
    guests.drain(drain).await;
    Ok(())
}

async fn accept(listener: TcpListener, arrivals: mpsc::Sender<(TcpStream, SocketAddr)>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok(arrival) => {
                if arrivals.send(arrival).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "accept a connection; raise the limit of open files if this repeats");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The open connections, by address.
struct Guests {
    shared: Arc<Shared>,
    tasks: JoinSet<Result<(), ServeError>>,
    addresses: HashMap<Id, IpAddr>,
    counts: HashMap<IpAddr, usize>,
    turned_away: usize,
    number: u64,
    random: SystemRandom,
}

impl Guests {
    fn new(shared: Arc<Shared>) -> Guests {
        let (addresses, counts) = (HashMap::new(), HashMap::new());
        Guests {
            shared,
            tasks: JoinSet::new(),
            addresses,
            counts,
            turned_away: 0,
            number: 0,
            random: SystemRandom::new(),
        }
    }

    fn welcome(&mut self, stream: TcpStream, client: SocketAddr) {
        let limits = self.shared.published.borrow().limits;
        let address = client.ip().to_canonical();
        let from_there = self.counts.get(&address).copied().unwrap_or_default();
        if self.addresses.len() >= limits.connections {
            return self.turn_away(stream, client, limits.connections);
        }
        if from_there >= limits.per_client {
            return self.turn_away(stream, client, limits.per_client);
        }
        self.number += 1;
        let (shared, number, seed) = (self.shared.clone(), self.number, self.seed());
        let task = self.tasks.spawn(async move {
            let _open = shared.tally.accept();
            // The state machine of a connection is large; one allocation keeps the task small.
            Box::pin(talk(shared.clone(), stream, client, number, seed)).await
        });
        self.addresses.insert(task.id(), address);
        *self.counts.entry(address).or_default() += 1;
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
        if self.turned_away >= TURNED_AWAY {
            return;
        }
        self.turned_away += 1;
        tracing::info!(%client, limit, "refused: too many connections");
        let tally = self.shared.tally.clone();
        self.tasks.spawn(async move {
            let mut sender = Sender::new(SenderConfig::default());
            sender.refuse(format!("@ERROR: max connections ({limit}) reached -- try again later").as_bytes());
            let patience = Patience { opening: None, idle: Duration::from_secs(2), keepalive: None };
            let mut pipe = Pipe::new(stream, client, tally, patience);
            pipe.push(&mut sender)?;
            pipe.drain().await;
            Ok(())
        });
    }

    fn left(&mut self, ended: Result<(Id, Result<(), ServeError>), tokio::task::JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        match self.addresses.remove(&id) {
            None => self.turned_away = self.turned_away.saturating_sub(1),
            Some(address) => {
                if let Some(count) = self.counts.get_mut(&address) {
                    *count -= 1;
                    if *count == 0 {
                        self.counts.remove(&address);
                    }
                }
            }
        }
        match ended {
            Ok((_, Err(error))) if error.fault() == Fault::Client => tracing::debug!(%error, "connection ended"),
            Ok((_, Err(error))) => tracing::error!(%error, "connection failed"),
            Err(error) if error.is_panic() => tracing::error!(%error, "a connection's task failed; the others go on"),
            Ok((_, Ok(()))) | Err(_) => {}
        }
    }

    async fn drain(mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while !self.tasks.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            match timeout(left, self.tasks.join_next_with_id()).await {
                Ok(Some(ended)) => self.left(ended),
                Ok(None) => return,
                Err(_) => {
                    tracing::warn!(connections = self.tasks.len(), "the drain time is over: cutting what still runs");
                    self.tasks.shutdown().await;
                    return;
                }
            }
        }
    }
}
