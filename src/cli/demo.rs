//! `headwater demo`: a sample tree, published and served on this machine, and what to paste to use it.

use anyhow::Context;

use super::args::DemoArgs;
use super::output::{print, warn};
use super::start::Place;
use crate::node::demo::{DemoEvent, DemoOrder, DemoPurpose, DemoReady, demo as show};

/// Runs it.
pub(super) fn demo(place: &Place, args: &DemoArgs) -> anyhow::Result<()> {
    let order = DemoOrder {
        // Without a name of its own the demo's directory comes and goes with it. HEADWATER_DIR names a real node's.
        dir: place.flag.clone(),
        packages: args.packages,
        purpose: if args.check { DemoPurpose::Check } else { DemoPurpose::Serve },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let mut gone = None;
    let shown = runtime.block_on(show(order, &mut |event| {
        if let Err(error) = say(&event) {
            gone = Some(error);
        }
    }));
    shown?;
    gone.map_or(Ok(()), Err)
}

fn say(event: &DemoEvent) -> anyhow::Result<()> {
    match event {
        DemoEvent::Step(text) => {
            warn(&format!("{text}\n"));
            Ok(())
        }
        DemoEvent::Checked { what, outcome: Ok(found) } => print(&format!("ok      {what}: {found}\n")),
        DemoEvent::Checked { what, outcome: Err(why) } => print(&format!("FAILED  {what}: {why}\n")),
        DemoEvent::Ready(ready) => print(&to_paste(ready)),
    }
}

fn to_paste(ready: &DemoReady) -> String {
    let DemoReady { address, module, dir } = ready;
    let url = format!("rsync://{address}/{module}");
    let dir = dir.display();
    format!(
        "\nThe sample tree is served. Paste into another terminal:\n\n\
         \x20 rsync rsync://{address}/                                # the modules\n\
         \x20 rsync -a --delete {url}/ /tmp/headwater-tree/\n\
         \x20 headwater status --dir {dir}\n\
         \x20 headwater channel log --dir {dir}\n\n\
         In a Gentoo container to throw away (the sample calls itself gentoo), in /etc/portage/repos.conf/gentoo.conf,\n\
         then `emerge --sync`:\n\n\
         \x20 [gentoo]\n\
         \x20 location = /var/db/repos/headwater-demo\n\
         \x20 sync-type = rsync\n\
         \x20 sync-uri = {url}\n\
         \x20 sync-rsync-verify-metamanifest = no\n\n\
         Ctrl-C ends it.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_pasted_names_the_address_the_module_and_the_directory() {
        let text = to_paste(&DemoReady {
            address: "127.0.0.1:40873".parse().unwrap(),
            module: "gentoo-portage".parse().unwrap(),
            dir: "/tmp/d".into(),
        });
        for line in [
            "rsync -a --delete rsync://127.0.0.1:40873/gentoo-portage/ /tmp/headwater-tree/",
            "sync-uri = rsync://127.0.0.1:40873/gentoo-portage",
            "headwater status --dir /tmp/d",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
