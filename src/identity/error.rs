//! What can go wrong with keys, and with the chain of signatures.
//!
//! Two enums, since two parties mend them: an [`IdentityError`] is about files on this machine and says what to do
//! about them, a [`ChainError`] is about a text that somebody sent.
//! Deliberately absent: anything secret in a message; a key file is named, never quoted.

use std::io;
use std::path::{Path, PathBuf};

use crate::fault::Fault;
use crate::tree::{HexError, TextError};

/// Why keys could not be made, stored, loaded or used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file system refused.
    #[error("cannot {attempt} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        attempt: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key or an identity is there already.
    #[error("{} exists already, and keys are never overwritten: name another place, or move it away if nobody needs it", .0.display())]
    Exists(PathBuf),
    /// There is no identity in the data directory.
    #[error("{} is not there, so this node has no identity: `headwater init` makes one", .0.display())]
    Missing(PathBuf),
    /// Others than the owner may read or write a secret.
    #[error("{} holds a secret, but others may use it (mode {mode:o}): run `chmod 600 {}`", path.display(), path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file that should be a key is something else.
    #[error("{} is no {kind}: {why}", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What it was to be.
        kind: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A public key file that breaks its form.
    #[error("{} is damaged: {source}", path.display())]
    Public {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: HexError,
    },
    /// The stored term does not hold.
    #[error("the term in {} does not hold: {source}", path.display())]
    Term {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ChainError,
    },
    /// The stored gateway key is not the one that the stored term names.
    #[error("{} is not the key that the term in {} names: restore both from one backup", key.display(), term.display())]
    OtherKey {
        /// The key file.
        key: PathBuf,
        /// The term file.
        term: PathBuf,
    },
    /// A text that would not be read back, so it is not signed.
    #[error("a document that breaks a rule is not signed: {0}")]
    Unsound(#[source] TextError),
    /// The system's source of random numbers failed.
    #[error("cannot make a key: the system gave no random numbers")]
    Random,
}

impl IdentityError {
    /// Who has to act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Exists(_) | Self::Missing(_) | Self::Open { .. } | Self::NotAKey { .. } | Self::Unsound(_) => {
                Fault::Operator
            }
            Self::File { .. } | Self::Public { .. } | Self::Term { .. } | Self::OtherKey { .. } | Self::Random => {
                Fault::Local
            }
        }
    }
}

/// Turns an I/O error into ours, for `map_err`.
pub(super) fn file<'a>(attempt: &'static str, path: &'a Path) -> impl Fn(io::Error) -> IdentityError + 'a {
    move |source| IdentityError::File { attempt, path: path.to_owned(), source }
}

/// Why a signed text is not believed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChainError {
    /// It breaks the form of its kind.
    #[error("the text of the {kind} is damaged: {source}")]
    Text {
        /// "term", "head" or "document".
        kind: &'static str,
        /// Where, and what is wrong.
        source: TextError,
    },
    /// It belongs to another federation.
    #[error("the {kind} is of federation {found}, not of {expected}")]
    OtherFederation {
        /// "term", "head" or "document".
        kind: &'static str,
        /// The first digits of its federation id.
        found: String,
        /// The first digits of ours.
        expected: String,
    },
    /// It was signed in another term.
    #[error("the {kind} is of term {found}, not of {expected}")]
    OtherTerm {
        /// "head" or "document".
        kind: &'static str,
        /// Its term.
        found: u64,
        /// The term that it was checked against.
        expected: u64,
    },
    /// The key that should have signed it did not.
    #[error("the signature of the {kind} is not by key {key}")]
    Signature {
        /// "term", "head" or "document".
        kind: &'static str,
        /// The first digits of the public key.
        key: String,
    },
}
