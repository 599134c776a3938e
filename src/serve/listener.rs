//! The daemon: opens or takes over its doors, accepts at every one, and owns all that serving needs.
//!
//! One task owns all connections, so that a stop can wait for them. On stop nothing new is accepted; what runs may
//! finish within the drain time and is cut after it. A socket that was handed over is one like those that are opened
//! here: whoever made it chose its address.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::bad_content::BadContents;
use super::contents::Readers;
use super::error::ServeError;
use super::guests::Guests;
use super::lanes::Lanes;
use super::list_cache::ListCache;
use super::lookup::Names;
use super::module_log::TransferLog;
use super::older::OlderGenerations;
use super::published::Published;
use super::room::Room;
use super::tally::Tally;
use crate::store::Pins;

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
    /// The pins of that store, for generations that are not the newest.
    pub pins: Pins,
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
    pub(crate) names: Names,
    pub(crate) older: OlderGenerations,
    pub(crate) room: Room,
}

/// Open listen sockets.
#[derive(Debug)]
pub struct Doors(Vec<TcpListener>);

impl Doors {
    /// Opens every address, or none: an address that is taken is the operator's to solve.
    pub fn open(addresses: &[SocketAddr]) -> Result<Doors, ServeError> {
        let open = |address: &SocketAddr| {
            // `::` takes IPv4 clients too, unless they have doors of their own.
            let is_beside = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port();
            let families = if addresses.iter().any(is_beside) { Families::Own } else { Families::Both };
            listen(*address, families).map_err(|source| ServeError::Listen { address: *address, source })
        };
        Ok(Doors(addresses.iter().map(open).collect::<Result<_, _>>()?))
    }

    /// Takes over sockets that listen already.
    pub fn take(listeners: Vec<std::net::TcpListener>) -> Result<Doors, ServeError> {
        let take = |listener: std::net::TcpListener| {
            let address = listener.local_addr().unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
            let taken = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
            taken.map_err(|source| ServeError::TakeOver { address, source })
        };
        Ok(Doors(listeners.into_iter().map(take).collect::<Result<_, _>>()?))
    }

    /// The addresses that are open, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }
}

/// Which clients an IPv6 socket takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Families {
    Own,
    Both,
}

/// Opens one address. `::` means every address, so it is `0.0.0.0` on a machine without IPv6.
fn listen(address: SocketAddr, families: Families) -> std::io::Result<TcpListener> {
    match listen_at(address, families) {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && lacks_family(&error) => {
            listen_at((Ipv4Addr::UNSPECIFIED, address.port()).into(), families)
        }
        opened => opened,
    }
}

fn lacks_family(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn listen_at(address: SocketAddr, families: Families) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    if address.is_ipv6() && families == Families::Own {
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop`, then lets running transfers finish for at most `drain`.
pub async fn serve(doors: Doors, serving: Serving, stop: CancellationToken, drain: Duration) -> Result<(), ServeError> {
    let Serving { published, readers, pins, tally, log, bad } = serving;
    let (lists, cache) = ListCache::new(readers.clone());
    let (names, look_up) = Names::of_system();
    let (older, load) = OlderGenerations::new(readers.clone(), pins);
    let (lanes, room) = (Lanes::default(), Room::default());
    let shared = Arc::new(Shared { published, readers, lists, lanes, tally, log, bad, names, older, room });
    let (arrivals, mut arrived) = mpsc::channel(64);
    let mut acceptors = JoinSet::new();
    for listener in doors.0 {
        acceptors.spawn(accept(listener, arrivals.clone(), stop.clone()));
    }
    let mut keeper = JoinSet::new();
    keeper.spawn(cache);
    keeper.spawn(look_up);
    keeper.spawn(load);
    let mut guests = Guests::new(shared);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            event = guests.event() => guests.take(event),
            Some(_) = keeper.join_next() => return Err(ServeError::Ending("what connections share has stopped")),
            Some(_) = acceptors.join_next() => return Err(ServeError::Ending("a listen address has failed")),
            Some((stream, peer)) = arrived.recv() => guests.arrive(stream, peer),
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
