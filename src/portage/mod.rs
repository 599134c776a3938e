//! The tree's own file formats: parse and print.
//!
//! Nothing here reads a file or knows where one lies: bytes in, values out, and back. Formats are
//! those of PMS and the GLEPs, as Portage and gemato read them. Absent on purpose: judgement.
//! Whether a Manifest is *right* is decided by `verify`, not here.

pub mod changes;
pub mod manifest_write;
pub mod stamp;
