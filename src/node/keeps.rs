//! `channel keep` and `channel release`: what an operator wants to stay, and `sweep`, which frees what nobody does.

use super::error::NodeError;
use super::publisher::Publisher;
use super::report;
use crate::control::{KeepOrder, KeepReport, KeepWish, SweepMode, SweepReport};
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

/// Frees what no kept generation needs, or says what that would be.
pub(super) fn sweep(
    publisher: &mut Publisher,
    keep: Keep,
    mode: SweepMode,
    now: i64,
) -> Result<SweepReport, NodeError> {
    let Swept { dropped, contents, bytes, damaged } = match mode {
        SweepMode::DryRun => publisher.store.plan_sweep(keep, now)?,
        SweepMode::Free => publisher.store.sweep(keep, now)?,
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
