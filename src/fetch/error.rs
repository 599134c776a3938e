//! Why a directory could not be imported, file by file.
//!
//! An import names every file that stood in its way (up to a bound), so that one run shows all that is to be mended.
//! Nothing is published when anything failed.
//! Deliberately absent: warnings. What is left out on purpose is in the report of an import that succeeded.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::fault::Fault;
use crate::store::StoreError;
use crate::tree::{PathError, SnapshotError, TreePathBuf};

/// Failures that are named; an unreadable tree would fill the memory.
pub(super) const MOST_FAILURES: usize = 100;

/// Failures that a message shows.
const SHOWN: usize = 5;

/// Why an import ended without a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The directory itself.
    #[error("cannot read the directory {path}: {source}")]
    Source {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Some of what it holds.
    #[error("cannot import {}: {}", .path.display(), Shown(.failures))]
    Failed {
        /// The directory.
        path: PathBuf,
        /// What failed; at least one, and no more than a hundred.
        failures: Vec<Failure>,
    },
    /// Nobody wants it any more.
    #[error(
        "the import of {path} was ended before anything was published: who gave the order has gone, or the node stops"
    )]
    Ended {
        /// The directory.
        path: PathBuf,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The entries do not make a snapshot.
    #[error("the directory does not make a snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
}

impl ImportError {
    /// Who has to act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Store(error) => error.fault(),
            _ => Fault::Operator,
        }
    }
}

/// One thing that could not be imported.
#[derive(Debug)]
pub struct Failure {
    /// Where it is below the source, escaped.
    pub path: String,
    /// What happened.
    pub why: Why,
}

/// What happened to it.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// It was listed and is gone.
    #[error("it vanished while it was imported; import again when the directory is at rest")]
    Vanished,
    /// It changed each time it was read.
    #[error("it changed while it was read; import again when the directory is at rest")]
    Changed,
    /// Nobody wanted it any more.
    #[error("the import was ended while it was read")]
    Ended,
    /// Its path cannot be in a snapshot.
    #[error("{0}")]
    Path(#[from] PathError),
    /// There are more entries than a snapshot may have.
    #[error("the directory has more entries than a snapshot may have")]
    TooMany,
}

impl Why {
    /// Something that was listed a moment ago.
    pub(super) fn of_listed(error: rustix::io::Errno) -> Self {
        match error {
            rustix::io::Errno::NOENT => Self::Vanished,
            // It became a symlink, or no directory.
            rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => Self::Changed,
            other => Self::Unreadable(other.into()),
        }
    }
}

struct Shown<'a>(&'a [Failure]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, failure) in self.0.iter().take(SHOWN).enumerate() {
            let join = if at == 0 { "" } else { "; " };
            write!(f, "{join}{}: {}", failure.path, failure.why)?;
        }
        match self.0.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => write!(f, "; and {more} more"),
            _ => Ok(()),
        }
    }
}

/// What an import did not take, on purpose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// Where it is below the source.
    pub path: TreePathBuf,
    /// Why it was left out.
    pub reason: LeftOutReason,
}

/// Why something is not part of a snapshot.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum LeftOutReason {
    /// A rule names it.
    Rule,
    /// It is a FIFO.
    Fifo,
    /// It is a socket.
    Socket,
    /// It is a device.
    Device,
}
