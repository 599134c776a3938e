//! What can go wrong in a node, each with whose fault it is and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::cascade::Mistake as TopologyMistake;
use crate::control::{ControlError, Refusal};
use crate::fault::Fault;
use crate::fetch::ImportError;
use crate::identity::IdentityError;
use crate::names::{ChannelName, Generation, RepositoryName};
use crate::serve::ServeError;
use crate::store::StoreError;

use super::config::ConfigError;
use super::copy_error::CopyError;
use super::intake::StampError;
use super::sample_out::SampleError;
pub use super::secrets::SecretsFlaw;

/// Why a node, or a command that works without one, could not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The topology is wrong.
    #[error("{} is not a topology:\n{}", file.display(), lines(mistakes))]
    Topology {
        /// The file.
        file: PathBuf,
        /// Everything that is wrong with it.
        mistakes: Vec<TopologyMistake>,
    },
    /// A file or directory of the node's own failed.
    #[error("{attempt} {}: {source}", path.display())]
    File {
        /// What was tried.
        attempt: &'static str,
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Keys failed.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A directory could not be taken in.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The source's timestamp forbids a publication.
    #[error(transparent)]
    Stamp(#[from] StampError),
    /// Serving failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The operators' door failed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The topology has no such repository.
    #[error("no repository {name} in the topology; there is {known}")]
    NoRepository {
        /// What was asked for.
        name: RepositoryName,
        /// What there is.
        known: String,
    },
    /// The topology has no such channel, or the question fits several.
    #[error("{what}; there is {known}")]
    NoChannel {
        /// What was asked for.
        what: String,
        /// What there is.
        known: String,
    },
    /// A channel that is not given up.
    #[error("{channel} cannot be forgotten: topology.toml has it")]
    InTopology {
        /// The channel.
        channel: ChannelName,
    },
    /// A repository that no channel shows.
    #[error("repository {name} has no channel in the topology, so there is nothing to publish it to")]
    NoChannelOf {
        /// The repository.
        name: RepositoryName,
    },
    /// Two generations of different repositories cannot be compared.
    #[error("{old} and {new} are channels of different repositories")]
    NotOneRepository {
        /// One.
        old: ChannelName,
        /// The other.
        new: ChannelName,
    },
    /// A generation that clients would not follow to.
    #[error("{channel}@{generation} has no metadata/timestamp.chk, so clients would not follow a rollback to it")]
    NoStamp {
        /// The channel.
        channel: ChannelName,
        /// The generation.
        generation: Generation,
    },
    /// Everything is being read again already.
    #[error("a scrub runs already")]
    Scrubbing,
    /// A scrub ended before it had read everything.
    #[error("the scrub was ended before it had read everything")]
    ScrubEnded,
    /// This node is not in the topology, or not as what it must be.
    #[error("node {node} of headwater.toml {why} in topology.toml")]
    NotInTopology {
        /// Its name.
        node: String,
        /// What is missing.
        why: &'static str,
    },
    /// Modules ask for logins that nobody could make.
    #[error("{} cannot be used as the file of passwords:\n{}", file.display(), lines(flaws))]
    Secrets {
        /// The file.
        file: PathBuf,
        /// Everything that is wrong with it.
        flaws: Vec<SecretsFlaw>,
    },
    /// Modules ask for logins, and there are no passwords.
    #[error("module {module} of topology.toml has auth_users, but headwater.toml names no file of passwords")]
    NoSecrets {
        /// One of them.
        module: String,
    },
    /// A published generation cannot be served.
    #[error("channel {channel}: {missing} contents of its newest generation are missing or bad")]
    Incomplete {
        /// The channel.
        channel: ChannelName,
        /// How many.
        missing: usize,
    },
    /// A socket that was handed over is none that can be served on.
    #[error("socket {at} that was handed over (LISTEN_FDS) cannot be used: {why}")]
    Socket {
        /// Which one, counted from 0.
        at: usize,
        /// What is wrong.
        why: String,
    },
    /// A loop of the node ended.
    #[error("{name} failed: {why}")]
    Loop {
        /// Which one.
        name: &'static str,
        /// Why.
        why: String,
    },
    /// The node is stopping and takes no more orders.
    #[error("the node is stopping")]
    Stopping,
    /// Plain files could not be written out or taken back.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A sample could not be written.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// A check of the demo failed.
    #[error("{0}")]
    Check(String),
}

fn lines<T: std::fmt::Display>(mistakes: &[T]) -> String {
    mistakes.iter().map(|mistake| format!("  {mistake}")).collect::<Vec<_>>().join("\n")
}

impl NodeError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            NodeError::Config(error) => error.fault(),
            NodeError::Store(error) => error.fault(),
            NodeError::Identity(error) => error.fault(),
            NodeError::Import(error) => error.fault(),
            NodeError::Serve(error) => error.fault(),
            NodeError::Control(error) => error.fault(),
            NodeError::Sample(error) => error.fault(),
            NodeError::Copy(error) => error.fault(),
            NodeError::File { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => Fault::Operator,
            NodeError::File { .. } | NodeError::Incomplete { .. } | NodeError::Loop { .. } => Fault::Local,
            NodeError::Check(_) => Fault::Client,
            NodeError::Topology { .. }
            | NodeError::Stamp(_)
            | NodeError::NoRepository { .. }
            | NodeError::NoChannel { .. }
            | NodeError::NoChannelOf { .. }
            | NodeError::InTopology { .. }
            | NodeError::NotInTopology { .. }
            | NodeError::NotOneRepository { .. }
            | NodeError::NoStamp { .. }
            | NodeError::Scrubbing
            | NodeError::ScrubEnded
            | NodeError::Socket { .. }
            | NodeError::Secrets { .. }
            | NodeError::NoSecrets { .. }
            | NodeError::Stopping => Fault::Operator,
        }
    }

    /// Whether another process has the data directory at this moment.
    pub fn is_locked(&self) -> bool {
        matches!(self, NodeError::Store(StoreError::Locked { .. }))
    }

    /// Whether it failed for want of room on the disk.
    pub fn is_full(&self) -> bool {
        match self {
            NodeError::Store(error) | NodeError::Import(ImportError::Store(error)) => error.is_full(),
            _ => false,
        }
    }

    /// Whether it failed because the data directory cannot be written.
    pub fn is_read_only(&self) -> bool {
        match self {
            NodeError::Store(error) | NodeError::Import(ImportError::Store(error)) => error.is_read_only(),
            _ => false,
        }
    }

    fn todo(&self) -> String {
        match self {
            NodeError::Config(error) => error.todo().to_owned(),
            NodeError::Copy(error) => error.todo().to_owned(),
            NodeError::Topology { .. } => "correct what is named, then try again".to_owned(),
            NodeError::InTopology { .. } => {
                "take it out of topology.toml first, with its modules, and run `headwater reload`".to_owned()
            }
            NodeError::NoRepository { .. } => {
                "choose one with --repository, or add a [[repository]] to topology.toml and run `headwater reload`"
                    .to_owned()
            }
            NodeError::NoChannelOf { name } => {
                format!("add a [[channel]] with name = \"{name}/full\" to topology.toml and run `headwater reload`")
            }
            NodeError::Secrets { .. } => "correct what is named, then try again".to_owned(),
            NodeError::NoSecrets { .. } => {
                "write secrets = \"FILE\" into headwater.toml, and user:password lines into that file (chmod 600)"
                    .to_owned()
            }
            NodeError::NotInTopology { .. } => "make the name in headwater.toml one of the [[node]] tables".to_owned(),
            NodeError::Incomplete { .. } => "import the tree again: missing contents are taken in once more".to_owned(),
            NodeError::Socket { .. } => "hand over listening TCP sockets only, or none".to_owned(),
            NodeError::Stopping => "try again when it runs".to_owned(),
            NodeError::NoStamp { .. } => "choose a later generation, or import the tree that is wanted".to_owned(),
            NodeError::Scrubbing => "wait for it; `headwater status` shows what it found".to_owned(),
            NodeError::ScrubEnded => "begin it again".to_owned(),
            NodeError::Store(StoreError::Missing { .. }) => {
                "choose another generation, or import the tree again: missing contents are taken in once more"
                    .to_owned()
            }
            NodeError::File { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                "name another place, or move it away if nobody needs it".to_owned()
            }
            NodeError::Import(ImportError::Source { .. } | ImportError::Failed { .. }) => {
                "mend what is named, which the user of the node must be able to read, then import again; what is published \
                 stays"
                    .to_owned()
            }
            NodeError::Store(error) | NodeError::Import(ImportError::Store(error)) if error.is_broken_database() => {
                "restore a backup into an empty directory with `headwater restore`; without one, make a new node there and \
                 import again; and look after the disk"
                    .to_owned()
            }
            error if error.is_read_only() => {
                "mount it writable, then start the node again; the system's log may say why it is not".to_owned()
            }
            _ => String::new(),
        }
    }

    /// The error in the form in which an operator is told.
    pub fn refusal(&self) -> Refusal {
        let mut why = Vec::new();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            why.push(error.to_string());
            cause = error.source();
        }
        Refusal { fault: self.fault(), what: self.to_string(), why: why.join(": "), todo: self.todo() }
    }
}

/// Adds what was tried, and on which path, to an error of the system.
pub(super) fn file(attempt: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> NodeError {
    let path = path.to_owned();
    move |source| NodeError::File { attempt, path, source }
}
