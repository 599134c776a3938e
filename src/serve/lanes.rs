//! A few pipes for large files, shared by all connections, and the way of a burst from a connection to one of them.
//!
//! A connection has a lane for some milliseconds at a time and then stands in line again, so twenty large files get on
//! evenly, and whoever asks for small ones has the readers for itself. Where there is no lane to be had (no pipe of that
//! size, no descriptor), files are read and fed as all others are.
//! Deliberately absent: bandwidth limits. A connection that has one does not come here.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::error::ServeError;
use super::pipe::Pipe;
use super::sending::{Done, Job};
use super::splice::{Burst, Course, Lane};

/// Lanes for each core: one may wait for the disk while the other sends.
const PER_CORE: usize = 2;

/// More than this many only get in each other's way.
const MOST: usize = 32;

/// The pool; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    idle: Arc<Mutex<Vec<Lane>>>,
    permits: Arc<Semaphore>,
}

/// What became of a burst that was asked for.
pub(crate) enum Asked {
    /// It was made, and the job knows of it.
    Made(Done),
    /// There is no lane: feed the file.
    NoLane,
}

impl Default for Lanes {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, Into::into);
        Self { idle: Arc::default(), permits: Arc::new(Semaphore::new((cores * PER_CORE).min(MOST))) }
    }
}

impl Lanes {
    /// A lane that nobody else uses, for as long as the permit lives.
    async fn lease(&self) -> Option<(Lane, OwnedSemaphorePermit)> {
        let permit = self.permits.clone().acquire_owned().await.ok()?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let lane = match idle {
            Some(lane) => lane,
            None => Lane::open().inspect_err(|error| tracing::debug!(%error, "open a pipe for a large file")).ok()?,
        };
        Some((lane, permit))
    }

    /// A lane that holds what nobody wants any more is closed.
    fn give_back(&self, lane: Lane) {
        if lane.is_empty() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(lane);
        }
    }

    /// Sends the next stretch of the large file of `job`, if it has one that can go this way. All output that was made
    /// before must have been written.
    pub(crate) async fn burst(&self, pipe: &mut Pipe, job: &mut Job) -> Result<Asked, ServeError> {
        let Some((file, at, bulk)) = job.stretch() else { return Ok(Asked::NoLane) };
        let leased = pipe.meanwhile(&mut job.sender, self.lease()).await?;
        let (Some((mut lane, permit)), Ok(socket)) = (leased, pipe.socket()) else { return Ok(Asked::NoLane) };
        if !pipe.is_flushed() {
            // A keep-alive that was said meanwhile goes first.
            self.give_back(lane);
            return Ok(Asked::Made(Done::default()));
        }
        let pool = self.clone();
        let work = move || {
            let burst = lane.burst(socket.as_fd(), Course { file: &file, at, bulk });
            pool.give_back(lane);
            drop(permit);
            burst
        };
        let burst = spawn_blocking(work).await.map_err(|_| ServeError::Ending("a large file was not sent"))?;
        let Burst { data, written, rest, left, end } = burst;
        pipe.passed(written);
        job.sender.sent_bulk(data, written.saturating_add(u64::try_from(rest.len()).unwrap_or(u64::MAX)));
        pipe.queue(rest.into());
        let done = job.went(data, left, end).map_err(|error| pipe.error("write to", error))?;
        Ok(Asked::Made(done))
    }
}
