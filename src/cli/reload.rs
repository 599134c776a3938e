//! `headwater reload`: the running node takes its changed configuration in.

use super::args::ReloadArgs;
use super::door::NodeDoor;
use super::json;
use super::output::{Lines, print, print_json};
use super::start::Place;
use crate::control::ReloadReport;

/// Has it reload, and says what changed.
pub(super) fn reload(place: &Place, args: &ReloadArgs) -> anyhow::Result<()> {
    let report = NodeDoor::open(&place.dir)?.reload()?;
    match args.json {
        true => print_json(&json::reload(&report), Lines::Many),
        false => print(&told(&report)),
    }
}

fn told(report: &ReloadReport) -> String {
    let mut text = match report.changed.is_empty() {
        true => "Nothing changed.\n".to_owned(),
        false => format!("In force now: {}.\n", report.changed.join(", ")),
    };
    if !report.at_restart.is_empty() {
        text.push_str(&format!("Waits for a restart: {}.\n", report.at_restart.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_and_what_waits_are_told_apart() {
        let report =
            ReloadReport { changed: vec!["limits.idle".into(), "topology".into()], at_restart: vec!["drain".into()] };
        assert_eq!(told(&report), "In force now: limits.idle, topology.\nWaits for a restart: drain.\n");
        assert_eq!(told(&ReloadReport::default()), "Nothing changed.\n");
    }
}
