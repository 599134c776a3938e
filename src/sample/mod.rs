//! A made-up ebuild repository, valid to the last digest, at any scale.
//!
//! A pure function: the same [`Recipe`] gives the same bytes, modes and times on every machine.
//! [`Plan::new`] decides what there is; [`Plan::category`] makes one category with its packages,
//! md5-cache and distfiles, and may be called from many threads; [`Plan::rest`] makes what needs
//! the digests of all categories. Revision R is made directly, not by R steps. Kinds and sizes
//! follow the ::gentoo tree of 2020-07-01. Absent on purpose: writing it out, signatures.

mod category;
mod contents;
mod dice;
mod distfile;
mod ebuild;
mod eclass;
mod glsa;
mod history;
mod outline;
mod package;
mod plan;
mod profiles;
mod recipe;
mod rest;
mod seal;
#[cfg(test)]
mod tests;
mod words;

pub use category::{CategoryDigest, Made};
pub use plan::Plan;
pub use recipe::{Content, Place, Recipe, RecipeError, SampleFile, Size};
pub use rest::MARK;
