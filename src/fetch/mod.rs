//! The mouth that takes in: a local directory becomes a snapshot, its contents go into the store.
//!
//! [`import`] reads, [`Imported`] is what it found: compare it, add the file that the publisher writes itself, make the
//! snapshot, keep the witness for the next time.
//! Deliberately absent: staging and publishing, which are the node's decision; and upstreams.

mod descent;
mod directory;
mod error;
mod facts;
mod imported;
mod leave_out;
mod plan;
mod progress;
mod read;
mod steady;
#[cfg(test)]
mod tests;
mod walk;

pub use directory::{ImportOrder, import};
pub use error::{Failure, ImportError, LeftOut, LeftOutReason, Why};
pub use imported::Imported;
pub use leave_out::LeaveOut;
pub use plan::Trust;
pub use progress::{Progress, Watcher};
