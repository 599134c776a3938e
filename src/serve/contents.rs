//! A pool of read connections to the store, used on blocking threads and given back.
//!
//! A read takes microseconds, so a few connections serve thousands of clients; who finds none waits.
//! No connection holds a transaction between two jobs: a slow client never holds back the store's
//! clean-up, because what it needs is kept by its pin.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::error::ServeError;
use crate::store::{Reader, StoreError};

/// A read connection and the buffer that its reads go through.
#[derive(Debug)]
pub(crate) struct Kit {
    pub(crate) reader: Reader,
    pub(crate) arena: Vec<u8>,
}

/// The pool; clones share it.
#[derive(Clone, Debug)]
pub struct Readers {
    data: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Kit>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// A pool of at most `count` connections to the store in `data`. One is opened now, so that a store that
    /// cannot be read is noticed at the start.
    pub fn open(data: &Path, count: usize) -> Result<Readers, StoreError> {
        let first = Kit { reader: Reader::open(data)?, arena: Vec::new() };
        Ok(Readers {
            data: Arc::new(data.to_owned()),
            idle: Arc::new(Mutex::new(vec![first])),
            permits: Arc::new(Semaphore::new(count.max(1))),
        })
    }

    /// Closes the connections that nobody uses, but one: each has a cache and a buffer of some MB, and is opened again
    /// within milliseconds. It waits for the disk.
    pub fn close_idle(&self) {
        let closed = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(kit) = idle.first_mut() {
                kit.arena = Vec::new();
            }
            let kept = idle.len().min(1);
            idle.split_off(kept)
        };
        drop(closed);
    }

    /// Waits for a connection that is free, and opens it if it is new.
    pub(crate) async fn lease(&self) -> Result<Lease, ReadersError> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| ReadersError::Ending)?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let kit = match idle {
            Some(kit) => kit,
            None => {
                let data = self.data.clone();
                let opened = spawn_blocking(move || Reader::open(&data)).await.map_err(|_| ReadersError::Ending)?;
                Kit { reader: opened.map_err(ReadersError::Store)?, arena: Vec::new() }
            }
        };
        Ok(Lease { kit, pool: self.clone(), permit })
    }

    /// Runs `job` with a connection on a blocking thread.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Kit) -> T + Send + 'static,
    ) -> Result<T, ReadersError> {
        self.lease().await?.run(job).await
    }

    /// Asks the store something that is no content, on a blocking thread.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> T + Send + 'static,
    ) -> Result<T, ServeError> {
        let answer = self.with(move |kit| question(&kit.reader)).await;
        answer.map_err(|error| match error {
            ReadersError::Store(source) => ServeError::Question(source),
            ReadersError::Ending => ServeError::Ending("a question to the store was not answered"),
        })
    }
}

/// A connection that nobody else uses. Dropped unused, it is closed.
pub(crate) struct Lease {
    kit: Kit,
    pool: Readers,
    permit: OwnedSemaphorePermit,
}

impl Lease {
    /// Runs `job` on a blocking thread and gives the connection back, unless the job panics: then it is closed.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        job: impl FnOnce(&mut Kit) -> T + Send + 'static,
    ) -> Result<T, ReadersError> {
        let Lease { mut kit, pool, permit } = self;
        let done = spawn_blocking(move || {
            let result = job(&mut kit);
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(kit);
            drop(permit);
            result
        });
        done.await.map_err(|_| ReadersError::Ending)
    }
}

/// Why a job could not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadersError {
    #[error(transparent)]
    Store(StoreError),
    #[error("the server is stopping, or a read failed badly")]
    Ending,
}

impl ReadersError {
    pub(crate) fn for_client(self, client: std::net::SocketAddr) -> ServeError {
        match self {
            ReadersError::Store(source) => ServeError::Store { client, source },
            ReadersError::Ending => ServeError::Ending("a read did not finish"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Shop;
    use super::*;

    #[tokio::test]
    async fn connections_that_nobody_uses_are_closed_but_one() {
        let shop = Shop::open();
        let idle = || {
            let kits = shop.readers.idle.lock().unwrap_or_else(PoisonError::into_inner);
            kits.iter().map(|kit| kit.arena.capacity()).collect::<Vec<_>>()
        };
        let work = async |lease: Lease| lease.run(|kit| kit.arena.reserve_exact(1 << 20)).await.expect("it works");
        let mut leases = Vec::new();
        for _ in 0..3 {
            leases.push(shop.readers.lease().await.expect("a connection"));
        }
        work(leases.remove(0)).await;
        work(leases.remove(0)).await;
        assert_eq!(idle(), [1 << 20; 2]);
        shop.readers.close_idle();
        assert_eq!(idle(), [0]);
        work(leases.remove(0)).await;
        assert_eq!(idle(), [0, 1 << 20], "who was in use is as it was");
    }
}
