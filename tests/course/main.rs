//! The whole course with real clients: a directory is imported, a node serves it, and stock Portage, gemato and rsync take
//! it, again and again as it changes.
//!
//! `emerge` holds what a Gentoo machine does, `import` what becomes of a tree, `files` of any other directory. Portage and
//! gemato come from a virtual environment that `tests/run` makes; `HEADWATER_TEST_VENV` names another one.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says where it failed, and that is enough")]

mod emerge;
mod files;
mod import;
mod portage;
#[path = "../rig/mod.rs"]
mod rig;
