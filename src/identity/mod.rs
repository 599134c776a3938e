//! The keys: the admin's, which names a gateway, and the gateway's own, which signs what it publishes.
//!
//! The chain is admin key → term → head → snapshot → content. Everything that is signed is a canonical text of
//! [`crate::tree`]; here are the keys that sign it, where they lie on the disk, and the checks of the chain. Secrets never
//! leave this folder: no type shows them in `Debug`, and no function hands them out.
//! Deliberately absent: time (it is passed in), certificates, and any decision about who should be gateway.

mod chain;
mod error;
mod files;
mod gateway;
mod keys;

pub use chain::{verify_document, verify_head, verify_term};
pub use error::{ChainError, IdentityError};
pub use gateway::{DIRECTORY, Identity};
pub use keys::{AdminKey, GatewayKey};
