//! What an operator's command works with for a while: generations that stay until it is done.
//!
//! A generation is pinned first and looked up again then: what was swept in between is refused, never half held.
//! Deliberately absent: how long. Whoever has the pins decides; a node drops them with the operator's connection.

use super::error::NodeError;
use super::publisher::Board;
use super::report::{self, History};
use crate::control::{HeldGeneration, HoldOrder};
use crate::names::{Address, ChannelName};
use crate::store::{Kept, Pin, Pins, Publication, StoreError};

/// What is held, and what holds it.
pub(super) type Held = (Vec<HeldGeneration>, Vec<Pin>);

/// Holds what an order names. For everything the caller must hold the sweep itself; the pins say what that is.
pub(super) fn held(
    board: &Board,
    order: &HoldOrder,
    pins: &Pins,
    history: &mut History<'_>,
) -> Result<Held, NodeError> {
    match &order.address {
        Some(address) => one(board, address, pins, history),
        None => {
            let mut held: Held = Default::default();
            for shown in &board.channels {
                for generation in history(&shown.channel)?.iter().filter(|found| found.kept == Kept::Yes) {
                    held.0.push(told(generation));
                    held.1.extend(pins.pin(generation.snapshot));
                }
            }
            Ok(held)
        }
    }
}

fn one(board: &Board, address: &Address, pins: &Pins, history: &mut History<'_>) -> Result<Held, NodeError> {
    let found = report::kept(board, address, history)?;
    let gone = || StoreError::NotKept { channel: found.channel.to_string(), generation: found.generation.get() };
    let pin = pins.pin(found.snapshot).ok_or_else(gone)?;
    let exact = Address {
        repository: found.channel.repository().clone(),
        channel: Some(word(&found.channel)),
        generation: Some(found.generation),
    };
    report::kept(board, &exact, history)?;
    Ok((vec![told(&found)], vec![pin]))
}

fn word(channel: &ChannelName) -> String {
    channel.channel().to_owned()
}

fn told(publication: &Publication) -> HeldGeneration {
    HeldGeneration {
        channel: publication.channel.clone(),
        generation: publication.generation,
        snapshot: publication.snapshot,
        published: publication.time,
    }
}
