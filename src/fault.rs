//! Whose fault an error is.
//!
//! Every error that reaches a person is one of five kinds, because each kind is mended by somebody else: the
//! upstream's admin, the other node's, the client's, the operator at this keyboard, or whoever looks after this
//! machine. The command line makes its exit codes from it, the daemon its log levels.
//! Deliberately absent: numbers and texts; they belong to who prints them.

/// Who has to act for an error to go away.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// A public server gave something wrong, stale or torn.
    Upstream,
    /// Another node of the federation broke an agreement.
    Peer,
    /// An rsync or HTTP client asked for something that is not served.
    Client,
    /// A command, a configuration or a topology says something that cannot be done.
    Operator,
    /// This machine: its disk, its memory, its data directory, or a defect in the program.
    Local,
}

impl Fault {
    /// The kind as one lower-case word, as logs and JSON carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Peer => "peer",
            Self::Client => "client",
            Self::Operator => "operator",
            Self::Local => "local",
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
