//! From `main` to a command and back to an exit code.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use super::args::{Arguments, Command, ConfigCommand, DEFAULT_DIR};
use super::args_channel::ChannelCommand;
use super::{
    backup, channel, completions, config, demo, diff, exit, export, from_rsyncd, import, init, keep, logging, man,
    reload, restore, rollback, run, sample, scrub, status, sweep,
};
use crate::node::config::Environment;
use crate::store::failpoint;

/// What every command is told.
pub(super) struct Place {
    /// The data directory.
    pub(super) dir: PathBuf,
    /// What `--dir` said, if it was given.
    pub(super) flag: Option<PathBuf>,
    /// `HEADWATER_*`.
    pub(super) environment: Environment,
    /// How often `-v` was given.
    pub(super) verbose: u8,
}

/// Reads the command line, does what it says, prints what went wrong, and gives the exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit::usage(&error),
    };
    let environment = Environment::of_process();
    let named = arguments.dir.clone().or_else(|| environment.dir().map(PathBuf::from));
    let place = Place {
        dir: named.unwrap_or_else(|| PathBuf::from(DEFAULT_DIR)),
        flag: arguments.dir,
        environment,
        verbose: arguments.verbose,
    };
    match arm(&place.environment).and_then(|()| obey(&place, &arguments.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::failed(&error),
    }
}

/// Arms the failpoint that a test names in the environment.
fn arm(environment: &Environment) -> anyhow::Result<()> {
    let Some(name) = environment.failpoint() else { return Ok(()) };
    failpoint::arm(name).with_context(|| format!("arm the failpoint {name:?}"))
}

fn obey(place: &Place, command: &Command) -> anyhow::Result<()> {
    if let Command::Run(args) = command {
        return run::run(place, args);
    }
    logging::start_quiet(place.verbose, std::io::stderr().is_terminal());
    match command {
        Command::Demo(args) => demo::demo(place, args),
        Command::Init(args) => init::init(place, args),
        Command::Run(args) => run::run(place, args),
        Command::Import(args) => import::import(place, args),
        Command::Channel(ChannelCommand::List(args)) => channel::list(place, args),
        Command::Channel(ChannelCommand::Log(args)) => channel::log(place, args),
        Command::Channel(ChannelCommand::Diff(args)) => diff::diff(place, args),
        Command::Channel(ChannelCommand::Rollback(args)) => rollback::rollback(place, args),
        Command::Channel(ChannelCommand::Keep(args)) => keep::keep(place, args),
        Command::Channel(ChannelCommand::Release(args)) => keep::release(place, args),
        Command::Channel(ChannelCommand::Forget(args)) => sweep::forget(place, args),
        Command::Sweep(args) => sweep::sweep(place, args),
        Command::Export(args) => export::export(place, args),
        Command::Scrub(args) => scrub::scrub(place, args),
        Command::Backup(args) => backup::backup(place, args),
        Command::Restore(args) => restore::restore(place, args),
        Command::Status(args) => status::status(place, args),
        Command::Reload(args) => reload::reload(place, args),
        Command::Config(ConfigCommand::Check(args)) => config::check(place, args),
        Command::Config(ConfigCommand::FromRsyncd(args)) => from_rsyncd::from_rsyncd(args),
        Command::Completions(args) => completions::completions(args),
        Command::Man(args) => man::man(args),
        Command::Sample(args) => sample::sample(args),
    }
}
