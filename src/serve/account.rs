//! What file lists take while they live, in all and for each address that they were made for.
//!
//! A list that the cache has forgotten lives on in the connections that send it, so the cache's own sum says
//! nothing about memory. Whatever is counted here carries a [`Charge`], and gives it back when the last one who
//! has it lets go. Deliberately absent: what happens when it is too much; that is for who makes lists.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// Where the memory of one address's lists is counted. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    all: Arc<AtomicUsize>,
    own: Arc<AtomicUsize>,
}

impl Account {
    /// The account of a further address beside this one.
    pub(crate) fn neighbour(&self) -> Account {
        Account { all: self.all.clone(), own: Arc::default() }
    }

    /// Bytes that live, for all addresses.
    pub(crate) fn all(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    /// Bytes that live, for this address.
    pub(crate) fn own(&self) -> usize {
        self.own.load(Ordering::Relaxed)
    }

    /// Counts `bytes` until the charge is dropped.
    pub(crate) fn charge(&self, bytes: usize) -> Charge {
        self.all.fetch_add(bytes, Ordering::Relaxed);
        self.own.fetch_add(bytes, Ordering::Relaxed);
        Charge { account: self.clone(), bytes }
    }

    /// The bytes as a chunk that is counted until its last clone is gone.
    pub(crate) fn chunk(&self, bytes: Vec<u8>) -> Bytes {
        let _charge = self.charge(bytes.capacity());
        Bytes::from_owner(Counted { bytes, _charge })
    }
}

/// Memory that is counted while this lives.
#[derive(Debug)]
pub(crate) struct Charge {
    account: Account,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.all.fetch_sub(self.bytes, Ordering::Relaxed);
        self.account.own.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Counted {
    bytes: Vec<u8>,
    _charge: Charge,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lives_counts_for_its_address_and_for_all_until_the_last_clone_is_gone() {
        let one = Account::default();
        let other = one.neighbour();
        let charge = one.charge(10);
        let chunk = other.chunk(vec![7; 100]);
        let tail = chunk.slice(90..);
        drop(chunk);
        assert_eq!((one.own(), other.own(), one.all(), other.all()), (10, 100, 110, 110));
        drop(charge);
        assert_eq!((one.own(), one.all(), tail.len()), (0, 100, 10));
        drop(tail);
        assert_eq!((other.own(), other.all()), (0, 0));
    }
}
