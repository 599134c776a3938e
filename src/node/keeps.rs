//! `channel keep` and `channel release`: what an operator wants to stay, and `sweep`, which frees what nobody does.

use super::error::NodeError;
use super::publisher::Publisher;
use super::report;
use crate::control::{KeepOrder, KeepReport, KeepWish, SweepMode, SweepOrder, SweepReport};
use crate::names::ChannelName;
use crate::store::{Keep, Swept};

/// Keeps a generation, or releases it.
pub(super) fn keep(publisher: &mut Publisher, order: &KeepOrder, now: i64) -> Result<KeepReport, NodeError> {
    let board = publisher.board()?;
    let find = |publisher: &Publisher| {
        report::kept(&board, &order.address, &mut |channel| Ok(publisher.store.history(channel)?))
    };
    let generation = find(publisher)?;
    match &order.wish {
        KeepWish::Keep(name) => publisher.store.keep(&generation, name.as_ref(), now)?,
        KeepWish::Release => publisher.store.release(&generation)?,
    }
    let after = find(publisher)?;
    Ok(KeepReport {
        channel: generation.channel,
        generation: generation.generation,
        by_hand: after.by_hand.map(report::by_hand),
        before: generation.by_hand.map(report::by_hand),
    })
}

/// Frees what no kept generation needs, or says what that would be; also what a channel keeps that the topology does not have
/// any more, if it is named: never by itself, since a slip in the topology must cost nothing.
pub(super) fn sweep(
    publisher: &mut Publisher,
    keep: Keep,
    order: &SweepOrder,
    now: i64,
) -> Result<SweepReport, NodeError> {
    let (mode, forget) = (order.mode, order.forget.as_ref());
    if let Some(channel) = forget {
        may_forget(publisher, channel)?;
    }
    let Swept { dropped, contents, bytes, damaged } = match mode {
        SweepMode::DryRun => publisher.store.plan_to_forget(keep, forget, now)?,
        SweepMode::Free => publisher.store.sweep_and_forget(keep, forget, now)?,
    };
    let damaged = match mode {
        SweepMode::DryRun => publisher.store.kept_of(&damaged.into_iter().collect())?,
        SweepMode::Free => {
            publisher.mend(&damaged);
            // What is served was written anew, and is sound again.
            publisher.store.damaged()?
        }
    };
    let damaged = damaged.into_iter().map(|one| (one.channel, one.generation)).collect();
    Ok(SweepReport { mode, generations: dropped, contents, bytes, damaged })
}

/// Only what the topology does not have, and the store has.
fn may_forget(publisher: &Publisher, channel: &ChannelName) -> Result<(), NodeError> {
    if publisher.topology.channels.iter().any(|known| known.name == *channel) {
        return Err(NodeError::InTopology { channel: channel.clone() });
    }
    let strays = publisher.strays()?;
    match strays.iter().any(|stray| stray.channel == *channel) {
        true => Ok(()),
        false => {
            let names: Vec<String> = strays.iter().map(|stray| stray.channel.to_string()).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let what = format!("topology.toml has left no channel {channel} out that keeps anything");
            Err(NodeError::NoChannel { what, known })
        }
    }
}
