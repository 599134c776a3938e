//! What a sender is doing: the parts of a conversation in their order, each with the machine that runs it.
//!
//! A phase answers what can be said of it alone: whether input helps, whether the driver owes an answer, what was going
//! on when the client left. Invariant: phases only go forward. Absent on purpose: the steps from one to the next, which
//! are the sender's.

use super::sender_asking::Asking;
use super::sender_start::Start;
use super::sender_step::{Finish, Limits};
use super::sender_transfer::Transfer;

#[derive(Debug)]
pub(super) enum Phase {
    Start(Box<Start>),
    Asking(Box<Asking>),
    /// The driver makes the list.
    List,
    Transfer(Box<Transfer>),
    Drain(i32),
    Finished(Finish),
}

impl Phase {
    /// Whether reading helps.
    pub(super) fn wants_input(&self, limits: &Limits) -> bool {
        match self {
            Self::Start(start) => !start.is_asking(),
            Self::List => false,
            Self::Transfer(transfer) => !transfer.is_full(limits),
            Self::Asking(_) | Self::Drain(_) | Self::Finished(_) => true,
        }
    }

    /// Whether the driver has an answer to give.
    pub(super) fn is_owed(&self) -> bool {
        match self {
            Self::Start(start) => start.is_asking(),
            Self::List => true,
            Self::Transfer(transfer) => transfer.is_owed(),
            Self::Asking(_) | Self::Drain(_) | Self::Finished(_) => false,
        }
    }

    /// Whether the client has said all that it says without taking its time.
    pub(super) fn is_opened(&self) -> bool {
        match self {
            Self::Start(_) => false,
            Self::Asking(asking) => asking.has_rules(),
            Self::List | Self::Transfer(_) | Self::Drain(_) | Self::Finished(_) => true,
        }
    }

    /// Bytes of memory that what the client has sent takes in this phase, about.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Start(start) => start.memory(),
            Self::Asking(asking) => asking.memory(),
            Self::Transfer(transfer) => transfer.memory(),
            Self::List | Self::Drain(_) | Self::Finished(_) => 0,
        }
    }

    /// What to say was going on when the client went away.
    pub(super) fn during(&self) -> &'static str {
        match self {
            Self::Start(start) => start.during(),
            Self::Asking(asking) => asking.during(),
            Self::List => "waiting for the file list",
            Self::Transfer(transfer) => transfer.during(),
            Self::Drain(_) | Self::Finished(_) => "leaving",
        }
    }
}
