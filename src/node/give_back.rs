//! Gives freed memory back to the system, after heavy work and from time to time. The one file with `unsafe`.
//!
//! An import frees some hundred MB from many threads, and glibc keeps what it has freed: with a tree of 150,000 files a
//! node stood at 140 MB after an import and at 42 MB once the memory was given back. So it is with what clients leave:
//! ten thousand idle ones 150 MB, and as many dear file lists as are kept once more the same. Other allocators return it by
//! themselves or need more of it from the start, so elsewhere this does nothing.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::error::NodeError;
use crate::serve::Readers;

/// How often it is done for what clients leave: often enough that a siege does not add up, and so seldom that it costs
/// nothing.
const EVERY: Duration = Duration::from_secs(30);

/// Gives back what clients left, again and again until the stop: connections to the store that nobody uses are closed
/// but one, then what is free is returned.
pub(super) async fn give_back_often(readers: Readers, stop: CancellationToken) -> Result<(), NodeError> {
    let mut due = interval(EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(due.tick()).await.is_some() {
        let readers = readers.clone();
        let work = move || {
            readers.close_idle();
            give_back();
        };
        let done = spawn_blocking(work).await;
        done.map_err(|error| NodeError::Loop { name: "memory", why: error.to_string() })?;
    }
    Ok(())
}

/// Asks the allocator to return what is free. Takes some milliseconds; call it where nobody waits.
#[cfg(target_env = "gnu")]
#[expect(
    unsafe_code,
    reason = "the C library has no safe door for this, and the memory it frees is most of an idle node's"
)]
pub(super) fn give_back() {
    // SAFETY: malloc_trim takes no pointer, may be called from any thread at any time, and touches free memory only.
    let _released = unsafe { libc::malloc_trim(0) };
}

/// Asks the allocator to return what is free; this one does so by itself.
#[cfg(not(target_env = "gnu"))]
pub(super) fn give_back() {}
