//! `headwater channel keep` and `release`: generations that stay whatever their number and age, and those that need not.

use super::args_channel::{ChannelKeepArgs, ChannelReleaseArgs};
use super::door::Door;
use super::json_stored;
use super::output::{Lines, kept_as, print, print_json};
use super::start::Place;
use crate::control::{KeepOrder, KeepReport, KeepWish};

/// Keeps it.
pub(super) fn keep(place: &Place, args: &ChannelKeepArgs) -> anyhow::Result<()> {
    let wish = KeepWish::Keep(args.name.clone());
    ask(place, &KeepOrder { address: args.address.clone(), wish }, args.json)
}

/// Leaves it to number and age.
pub(super) fn release(place: &Place, args: &ChannelReleaseArgs) -> anyhow::Result<()> {
    ask(place, &KeepOrder { address: args.address.clone(), wish: KeepWish::Release }, args.json)
}

fn ask(place: &Place, order: &KeepOrder, json: bool) -> anyhow::Result<()> {
    let report = Door::open(&place.dir)?.keep(order)?;
    match json {
        true => print_json(&json_stored::keep(&report), Lines::Many),
        false => print(&told(&report)),
    }
}

fn told(report: &KeepReport) -> String {
    let which = format!("{}@{}", report.channel, report.generation);
    match (&report.before, &report.by_hand) {
        (None, None) => format!("Nothing to do: {which} is not kept by hand.\n"),
        (Some(before), None) => {
            format!("Released {which}{}. `headwater sweep` frees it now if nothing else keeps it.\n", kept_as(before))
        }
        (Some(before), Some(now)) if before == now => {
            format!("Nothing to do: {which} is kept{} already.\n", kept_as(now))
        }
        (_, Some(now)) => format!("Kept {which}{}, until it is released.\n", kept_as(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::KeptByHand;
    use crate::names::Generation;

    #[test]
    fn the_report_says_what_has_changed() {
        let kept = |name: &str| Some(KeptByHand { name: name.parse().ok(), since: 7 });
        let check = |before: Option<KeptByHand>, by_hand: Option<KeptByHand>, expected: &str| {
            let report =
                KeepReport { channel: "gentoo/full".parse().unwrap(), generation: Generation::FIRST, by_hand, before };
            assert_eq!(told(&report), expected);
        };
        check(None, kept("a"), "Kept gentoo/full@1 as a, until it is released.\n");
        check(None, kept(""), "Kept gentoo/full@1, until it is released.\n");
        check(kept("a"), kept("b"), "Kept gentoo/full@1 as b, until it is released.\n");
        check(kept("a"), kept("a"), "Nothing to do: gentoo/full@1 is kept as a already.\n");
        check(
            kept("a"),
            None,
            "Released gentoo/full@1 as a. `headwater sweep` frees it now if nothing else keeps it.\n",
        );
        check(None, None, "Nothing to do: gentoo/full@1 is not kept by hand.\n");
    }
}
