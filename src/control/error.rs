//! What can go wrong on the way between a command and a node.
//!
//! [`ControlError::NoNode`] stands apart from all others, since it is no failure for most commands: they open the store themselves.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::bounds::ValueError;
use super::model::Refusal;
use crate::fault::Fault;

/// An error of the control channel.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The socket is missing, or nobody listens on it.
    #[error("no node runs here: nobody answers on {}", socket.display())]
    NoNode {
        /// Where a node would listen.
        socket: PathBuf,
    },
    /// The path does not fit into a socket address.
    #[error("path of the control socket is too long: {} has {length} bytes, the system takes {most}", socket.display())]
    PathTooLong {
        /// The path.
        socket: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// The longest that works.
        most: usize,
    },
    /// The socket is there, but this user may not use it.
    #[error("connect to the node on {}: it belongs to another user", socket.display())]
    Denied {
        /// The socket.
        socket: PathBuf,
    },
    /// The socket could not be made or reached.
    #[error("{attempt} {}", socket.display())]
    Socket {
        /// What was tried: a verb.
        attempt: &'static str,
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The transport failed: the node went away, or did not answer in time.
    #[error("{call} on the running node: {reason}")]
    Lost {
        /// The call that was under way.
        call: &'static str,
        /// What the transport said.
        reason: String,
    },
    /// The node answered something that this program does not take.
    #[error("answer of the running node to {call}: it does not make sense; do node and command have the same version?")]
    Answer {
        /// The call that was under way.
        call: &'static str,
        /// Which value.
        source: ValueError,
    },
    /// The node said no, and why.
    #[error(transparent)]
    Refused(Refusal),
    /// The server could not go on.
    #[error("serve the control socket")]
    Serve {
        /// What the server said.
        source: tonic::transport::Error,
    },
}

impl ControlError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            ControlError::NoNode { .. } | ControlError::PathTooLong { .. } | ControlError::Denied { .. } => {
                Fault::Operator
            }
            ControlError::Socket { .. } | ControlError::Serve { .. } => Fault::Local,
            ControlError::Lost { .. } | ControlError::Answer { .. } => Fault::Peer,
            ControlError::Refused(refusal) => refusal.fault,
        }
    }

    /// What the operator can do about it; empty where nothing is known.
    pub fn todo(&self) -> &str {
        match self {
            ControlError::NoNode { .. } => "start one with `headwater run`, or name its data directory with --dir",
            ControlError::PathTooLong { .. } => "choose a data directory with a shorter path",
            ControlError::Denied { .. } => "run the command as the user of the node, or as root",
            ControlError::Lost { .. } => "see the node's log, then try again",
            ControlError::Refused(refusal) => &refusal.todo,
            ControlError::Socket { .. } | ControlError::Serve { .. } | ControlError::Answer { .. } => "",
        }
    }
}
