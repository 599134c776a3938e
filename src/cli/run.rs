//! `headwater run`: a node, until it is told to stop.
//!
//! The configuration is loaded here once, so that the log is there before anything else happens and mistakes are told on the
//! terminal; the node gets the sources with it and loads them again when it is told to.

use anyhow::Context;

use super::args::RunArgs;
use super::logging;
use super::start::Place;
use crate::node::config::Sources;
use crate::node::run::{RunOrder, run as serve};
use crate::node::supervisor::Supervisor;

/// Serves.
pub(super) fn run(place: &Place, args: &RunArgs) -> anyhow::Result<()> {
    let sources =
        Sources { dir: place.dir.clone(), environment: place.environment.clone(), flags: flags(args, place.verbose) };
    let config = sources.load()?;
    let relog = logging::start(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let supervisor = Supervisor::of_process();
    let served = runtime.block_on(Box::pin(serve(RunOrder { sources, config, relog, supervisor })));
    // What was cut may still hold a thread; the store survives the end of the process at any moment.
    runtime.shutdown_background();
    Ok(served?)
}

/// The keys that the command line sets. A flag that is given several times is a list.
fn flags(args: &RunArgs, verbose: u8) -> Vec<(&'static str, String)> {
    let lists = [
        ("listen.rsync", &args.listen_rsync),
        ("listen.control", &args.listen_control),
        ("listen.http", &args.listen_http),
    ];
    let mut flags: Vec<_> =
        lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(key, list)| (key, list.join(","))).collect();
    let wished = logging::wished(verbose).map(str::to_owned);
    flags.extend(args.log_format.clone().map(|format| ("log.format", format)));
    flags.extend(args.log_filter.clone().or(wished).map(|filter| ("log.filter", filter)));
    flags
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Arguments, Command};

    #[test]
    fn flags_become_keys_and_repeated_ones_a_list() {
        let line = "headwater run --listen-rsync ::1 --listen-rsync 10.0.0.1:1873 --log-format json -v";
        let arguments = Arguments::parse_from(line.split(' '));
        let Command::Run(args) = arguments.command else { panic!("{line}") };
        let expected =
            [("listen.rsync", "::1,10.0.0.1:1873"), ("log.format", "json"), ("log.filter", "debug,h2=info,hyper=info")];
        assert_eq!(flags(&args, arguments.verbose), expected.map(|(key, value)| (key, value.to_owned())));
    }
}
