//! `headwater man`: a man page for the program and one for each command, made from the commands themselves.

use std::fs;

use anyhow::Context;
use clap::CommandFactory;

use super::args::{Arguments, ManArgs};
use super::output::print;

/// Writes them.
pub(super) fn man(args: &ManArgs) -> anyhow::Result<()> {
    let target = &args.target;
    fs::create_dir_all(target).with_context(|| format!("make the directory {}", target.display()))?;
    clap_mangen::generate_to(Arguments::command(), target)
        .with_context(|| format!("write the man pages to {}", target.display()))?;
    print(&format!("Wrote headwater.1 and a page for each command to {}.\n", target.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_is_shown_has_a_page() {
        let target = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(Arguments::command(), target.path()).unwrap();
        let read = |name: &str| fs::read_to_string(target.path().join(format!("{name}.1"))).unwrap();
        assert!(read("headwater").contains("headwater\\-import(1)"), "{}", read("headwater"));
        assert!(read("headwater-channel-log").contains("headwater channel log"), "{}", read("headwater-channel-log"));
        assert!(read("headwater-import").contains("Files whose size and time did not change"));
        assert!(!target.path().join("headwater-sample.1").exists());
    }
}
