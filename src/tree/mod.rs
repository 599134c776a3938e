//! The nouns: a snapshot of a tree, what it consists of, and the texts that are signed.
//!
//! Everything here is a value: made by a checking constructor, never changed, equal when its text is equal. Exactly
//! one text means one value, so a text that parses and hashes to the right id is verified.
//! Deliberately absent: disks, clocks, keys and cryptography beyond the digest; signatures are carried, not checked.

mod builder;
mod delta;
mod diff;
mod digest;
mod document;
mod entry;
mod error;
mod escape;
#[cfg(test)]
mod laws;
mod lines;
mod path;
mod signed;
mod snapshot;
mod text;
mod word;

pub use builder::SnapshotBuilder;
pub use delta::{apply_delta, delta_text};
pub use diff::{Diff, diff};
pub use digest::{CaId, ContentHasher, ContentId, FederationId, PublicKey, Signature, SnapshotId};
pub use document::{
    Document, MAX_DOCUMENT_BYTES, MAX_DOCUMENT_FILE_BYTES, MAX_DOCUMENT_FILES, MAX_MEMBERS, MAX_TOPOLOGY_BYTES, Member,
};
pub use entry::{Entry, Kind, MAX_FILE_BYTES, Mode, Mtime};
pub use error::{HexError, PathError, SnapshotError, TextError, WordError, Wrong};
pub use path::{MAX_COMPONENT_BYTES, MAX_PATH_BYTES, TreePath, TreePathBuf};
pub use signed::{Head, MAX_SIGNED_BYTES, Reason, Term};
pub use snapshot::{MAX_ENTRIES, MAX_TEXT_BYTES, Snapshot};
pub use word::{MAX_WORD_BYTES, Word};
