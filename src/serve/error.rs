//! What can go wrong while serving one connection, or all of them.

use std::io;
use std::net::SocketAddr;

use crate::fault::Fault;
use crate::store::StoreError;
use crate::wire::error::WireError;

/// Why a connection, or the serving as a whole, ended early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A listen address could not be used.
    #[error(
        "listen on {address}: {source}; is another rsync daemon running there? Choose another address with listen.rsync"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A socket that was handed over could not be used.
    #[error("take over the socket at {address}: {source}")]
    TakeOver {
        /// Where it listens.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke.
    #[error("{attempt} {client}: {source}")]
    Socket {
        /// Who was connected.
        client: SocketAddr,
        /// What was being done.
        attempt: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The client broke the protocol.
    #[error("client {client}: {source}")]
    Protocol {
        /// Who was connected.
        client: SocketAddr,
        /// What was wrong.
        source: WireError,
    },
    /// The client was silent, or did not read, for too long.
    #[error("client {client}: {what} for {seconds} s; closed")]
    Patience {
        /// Who was connected.
        client: SocketAddr,
        /// What did not happen.
        what: &'static str,
        /// For how long.
        seconds: u64,
    },
    /// Contents could not be read.
    #[error("read contents for {client}: {source}")]
    Store {
        /// Who was connected.
        client: SocketAddr,
        /// What the store said.
        source: StoreError,
    },
    /// The store could not be asked.
    #[error(transparent)]
    Question(StoreError),
    /// A part of the serving side has ended, because the node stops or because it failed.
    #[error("serving ends: {0}")]
    Ending(&'static str),
}

impl ServeError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            ServeError::Listen { .. } | ServeError::TakeOver { .. } => Fault::Operator,
            ServeError::Socket { .. } | ServeError::Protocol { .. } | ServeError::Patience { .. } => Fault::Client,
            ServeError::Store { .. } | ServeError::Question(_) | ServeError::Ending(_) => Fault::Local,
        }
    }
}
