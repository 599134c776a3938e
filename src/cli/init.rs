//! `headwater init`: a federation of one node.

use serde_json::json;

use super::args::InitArgs;
use super::output::{Lines, print, print_json};
use super::start::Place;
use crate::node::clock;
use crate::node::init::{InitOrder, InitReport, init as make};

/// Makes it, and says what comes next.
pub(super) fn init(place: &Place, args: &InitArgs) -> anyhow::Result<()> {
    let report = make(&InitOrder {
        dir: place.dir.clone(),
        node: args.node.clone(),
        federation: args.federation.clone(),
        admin_key: args.admin_key.clone(),
        listen_rsync: args.listen_rsync.clone(),
        now: clock::now(),
    })?;
    if args.json {
        let value = json!({
            "dir": place.dir.to_string_lossy(),
            "node": args.node.as_str(),
            "federation": args.federation.as_str(),
            "federation_id": report.federation.to_string(),
            "admin_key": args.admin_key.to_string_lossy(),
            "warnings": report.warnings,
        });
        return print_json(&value, Lines::Many);
    }
    print(&told(place, args, &report))
}

fn told(place: &Place, args: &InitArgs, report: &InitReport) -> String {
    let dir = place.dir.display();
    // Who did not name the directory need not name it again.
    let option = if place.flag.is_some() { format!(" --dir {dir}") } else { String::new() };
    let mut text = format!(
        "A federation of one node is ready in {dir}.\n\n\
         \x20 node        {}, the gateway\n\
         \x20 federation  {}, id {}...\n\
         \x20 admin key   {} (keep it, and keep it elsewhere: without it no other node can become the gateway)\n\
         \x20 to read     {dir}/headwater.toml: where it listens, how much it may use\n\
         \x20             {dir}/topology.toml: what is served, to whom\n\n\
         Next:\n\
         \x20 headwater run{option}\n\
         \x20 headwater import /var/db/repos/gentoo --repository gentoo{option}\n",
        args.node,
        args.federation,
        report.federation.short(),
        args.admin_key.display(),
    );
    for warning in &report.warnings {
        text.push_str(&format!("\nWARNING  {warning}\n"));
    }
    text
}
