//! What a file list depends on, as a value, and the digest by which the cache knows it.
//!
//! Two connections whose orders are equal get the same bytes; so whatever changes a list stands here. The digest is
//! taken from everything, so no field can be forgotten.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::distfiles::ModuleKind;
use super::published::{Current, Ownership};
use crate::tree::{ContentHasher, ContentId};
use crate::wire::filter::Filters;
use crate::wire::flist::ListFormat;
use crate::wire::options::{ListOptions, PathForm};

/// All that a list of one snapshot depends on.
#[derive(Clone, Hash, Debug)]
pub(crate) struct ListOrder {
    /// As the client named it: path arguments begin with it, and messages name it.
    pub(crate) module: String,
    pub(crate) kind: ModuleKind,
    /// The module's root inside the snapshot; empty: the whole.
    pub(crate) root: Vec<u8>,
    pub(crate) options: ListOptions,
    pub(crate) format: ListFormat,
    pub(crate) filters: Filters,
    /// What the module hides from everybody.
    pub(crate) module_filters: Arc<Filters>,
    pub(crate) paths: Vec<Vec<u8>>,
    pub(crate) path_form: PathForm,
    /// Names below the first path, of `--files-from`.
    pub(crate) files: Option<Arc<[Vec<u8>]>>,
    /// Whom the entries belong to.
    pub(crate) owner: Ownership,
    /// What wildcards may match.
    pub(crate) matches: usize,
}

/// A digest of an order and its snapshot. Cryptographic, so that no client can write rules that get it another one's list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key(ContentId);

/// Takes in what is hashed; the 64 bits that a `Hasher` gives are not used.
struct Digesting {
    hasher: ContentHasher,
    bytes: usize,
}

impl Hasher for Digesting {
    fn write(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.hasher.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

impl Key {
    /// With the bytes that were digested, which is what the order takes in memory, near enough.
    pub(crate) fn of(order: &ListOrder, current: &Current) -> (Key, usize) {
        let mut digesting = Digesting { hasher: ContentHasher::new(), bytes: 0 };
        current.located.snapshot().id().hash(&mut digesting);
        order.hash(&mut digesting);
        (Key(digesting.hasher.finish()), digesting.bytes)
    }
}
