//! How an operator's command and a running node talk: gRPC over the Unix socket `control.sock` in the data directory.
//!
//! Protobuf types end in the `convert_` files: on both sides everything that arrives is turned into the domain values of `model`
//! and `model_work`, with every count and length bounded, before anybody looks at it. The commands print the same values where no node runs and the store
//! answers by itself, so there is one way of printing.
//!
//! Deliberately absent: what a call does. The server hands each one over as a [`Request`] and waits for the reply; the node decides.

mod bounds;
mod client;
mod convert_kept;
mod convert_state;
mod convert_stored;
mod convert_work;
mod error;
mod model;
mod model_work;
mod proto;
mod request;
mod server;
mod watch;

pub use bounds::ValueError;
pub use client::{Client, Hold};
pub use error::ControlError;
pub use model::{
    Changes, ChannelLog, ChannelStatus, Compare, Disk, Door, ImportOrder, ImportOutcome, ImportReport, ListedChannel,
    Listener, LogOrder, LoggedGeneration, ModuleLine, Newest, Phase, Progress, Refusal, ReloadReport, Role,
    StatusReport, Traffic,
};
pub use model_work::{
    ChannelDiff, DiffOrder, DirectoryDiff, HeldGeneration, HoldOrder, KeepOrder, KeepReport, KeepWish, KeptByHand,
    KeptGeneration, LastScrub, PackageDiff, RollbackOrder, RollbackReport, ScrubOrder, ScrubReport, ScrubbedBad,
    SweepMode, SweepOrder, SweepReport, Unnamed,
};
pub use request::{Reply, Request};
pub use server::{bind, serve};
