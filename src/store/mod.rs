//! The disk of a node: contents, snapshots, heads; stage and publish; sweep and quarantine.
//!
//! One SQLite database holds everything small, a directory of plain files what is over 1 MiB. The rule that all else
//! serves: a head moves only when everything that it names is durable, and all heads move in one commit.
//! One thread owns the [`Store`] and writes; any number of [`Reader`]s read beside it; [`Pins`] keep what they read.
//! Deliberately absent: async. Callers put this on blocking threads.

mod contents;
mod copying;
#[cfg(test)]
mod damage_tests;
mod damaged;
mod error;
pub mod failpoint;
mod freeing;
mod hollow;
mod ingest;
mod keeps;
#[cfg(test)]
mod keeps_tests;
mod large;
mod layout;
mod located;
mod open;
mod owner;
mod pins;
mod publications;
mod quarantine;
mod reader;
mod restored;
mod schema;
mod scrub;
mod snapshots;
mod space;
mod staged;
mod sweep;
#[cfg(test)]
mod tests;
mod witness;

pub use contents::{Home, LARGE, Row, Xxh128};
pub use copying::Copying;
pub use error::StoreError;
pub use hollow::Hollow;
pub use ingest::{Ingest, NewContent, Stored};
pub use keeps::MAX_KEEPS;
pub use large::{Incoming, Landing};
pub use layout::{Lock, Mount};
pub use located::{Located, Place};
pub use open::{Access, Rejected, Store};
pub use pins::{Pin, Pins, SweepHold};
pub use publications::{Changes, Kept, KeptByHand, NewHead, Publication};
pub use quarantine::{Bad, Verdict};
pub use reader::Reader;
pub use scrub::{Scrubbed, Told};
pub use space::{Need, RESERVE, Space};
pub use staged::Staged;
pub use sweep::{Keep, Swept};
pub use witness::{Mark, Witness};
