//! What a file list depends on, as a value; the digest by which the cache knows it; and what its making keeps busy.
//!
//! Two connections whose orders are equal get the same bytes; so whatever changes a list stands here. The digest is
//! taken from everything, so no field can be forgotten.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::distfiles::ModuleKind;
use super::listing::reads_contents;
use super::published::{Current, Ownership};
use crate::tree::{ContentHasher, ContentId};
use crate::wire::filter::Filters;
use crate::wire::flist::ListFormat;
use crate::wire::options::{ListOptions, PathForm};

/// How many lists are built at the same time: each takes a core for some tenths of a second.
const BUILDERS: usize = 2;

/// And how many of those that read contents, which takes a disk for as long as it takes.
const SUMMERS: usize = 1;

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

/// What a build keeps busy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A core.
    Choosing,
    /// A disk.
    Summing,
}

impl Kind {
    pub(crate) fn of(order: &ListOrder) -> Kind {
        if reads_contents(order.format) { Kind::Summing } else { Kind::Choosing }
    }

    /// How many of the kind are built at the same time.
    pub(crate) fn builders(self) -> usize {
        match self {
            Kind::Choosing => BUILDERS,
            Kind::Summing => SUMMERS,
        }
    }
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
