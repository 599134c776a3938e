//! What a command does where no node runs: it opens the store itself, under the lock that keeps nodes out.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::clock;
use super::config::{Config, Environment, Sources};
use super::error::NodeError;
use super::modules;
use super::publisher::Publisher;
use super::report::{self, Running};
use super::{diff, holds, intake, keeps, publisher, rollback, scrubbing};
use crate::control::{
    ChannelDiff, ChannelLog, DiffOrder, HeldGeneration, HoldOrder, ImportOrder, ImportOutcome, ImportReport, KeepOrder,
    KeepReport, ListedChannel, LogOrder, Phase, Progress, RollbackOrder, RollbackReport, ScrubOrder, ScrubReport,
    StatusReport, SweepOrder, SweepReport,
};
use crate::names::ChannelName;
use crate::store::Publication;

/// A store that this command has to itself.
pub struct Local {
    publisher: Publisher,
    config: Config,
    dir: PathBuf,
}

/// How far a work is, as a command wants to hear it.
type Tell<'a> = dyn FnMut(Progress) + Send + 'a;

impl Local {
    /// Opens the data directory.
    pub fn open(dir: &Path) -> Result<Local, NodeError> {
        let sources = Sources { dir: dir.to_owned(), environment: Environment::of_process(), flags: Vec::new() };
        let config = sources.load()?;
        let publisher = Publisher::open(dir, &config.name)?;
        Ok(Local { publisher, config, dir: dir.to_owned() })
    }

    fn history(&self, channel: &ChannelName) -> Result<Vec<Publication>, NodeError> {
        Ok(self.publisher.store.history(channel)?)
    }

    /// How the node would be.
    pub fn status(&self) -> Result<StatusReport, NodeError> {
        let board = self.publisher.board()?;
        Ok(report::status(&board, &Running::default(), self.publisher.store.space()?, clock::now()))
    }

    /// Every channel.
    pub fn channels(&self) -> Result<Vec<ListedChannel>, NodeError> {
        report::channels(&self.publisher.board()?, &mut |channel| self.history(channel))
    }

    /// The history of a channel.
    pub fn log(&self, order: &LogOrder) -> Result<ChannelLog, NodeError> {
        report::log(&self.publisher.board()?, order, &mut |channel| self.history(channel))
    }

    /// How two generations differ.
    pub fn diff(&self, order: &DiffOrder) -> Result<ChannelDiff, NodeError> {
        let load = &mut |id: &_| Ok(self.publisher.store.snapshot(id)?);
        diff::compare(&self.publisher.board()?, order, &mut |channel| self.history(channel), load)
    }

    /// Publishes a directory, then frees what no kept generation needs.
    pub fn import(&mut self, order: &ImportOrder, progress: &mut Tell<'_>) -> Result<ImportReport, NodeError> {
        let done = intake::import(&mut self.publisher, order, &shared(&Mutex::new(progress)), &|| true, clock::now());
        let sweep = match &done {
            Ok(report) => report.outcome != ImportOutcome::NothingNew,
            // What is kept may have become less since the last sweep, and room is what is missing.
            Err(error) => error.is_full(),
        };
        if sweep {
            self.tidy();
        }
        done
    }

    /// Publishes the content of an older generation again, then frees what no kept generation needs.
    pub fn rollback(&mut self, order: &RollbackOrder, progress: &mut Tell<'_>) -> Result<RollbackReport, NodeError> {
        let done = rollback::rollback(&mut self.publisher, order, &shared(&Mutex::new(progress)), clock::now())?;
        if done.published.is_some() {
            self.tidy();
        }
        Ok(done)
    }

    /// Keeps a generation, or releases it.
    pub fn keep(&mut self, order: &KeepOrder) -> Result<KeepReport, NodeError> {
        keeps::keep(&mut self.publisher, order, clock::now())
    }

    /// Frees what no kept generation needs, or says what that would be.
    pub fn sweep(&mut self, order: &SweepOrder, progress: &mut Tell<'_>) -> Result<SweepReport, NodeError> {
        progress(Progress { phase: Phase::Sweep, done: 0, total: None, bytes: 0 });
        keeps::sweep(&mut self.publisher, modules::keep(&self.config), order, clock::now())
    }

    /// What is held: nothing can be swept while this command has the store.
    pub fn hold(&self, order: &HoldOrder) -> Result<Vec<HeldGeneration>, NodeError> {
        let pins = self.publisher.store.pins();
        let board = self.publisher.board()?;
        Ok(holds::held(&board, order, &pins, &mut |channel| self.history(channel))?.0)
    }

    /// Reads everything that is stored again, and sets aside what is bad.
    pub fn scrub(&mut self, order: &ScrubOrder, progress: &mut Tell<'_>) -> Result<ScrubReport, NodeError> {
        scrubbing::whole(&mut self.publisher, &self.dir, order, &mut |seen| progress(seen), clock::now)
    }

    fn tidy(&mut self) {
        publisher::sweep(&mut self.publisher, modules::keep(&self.config));
    }
}

/// Progress from several threads to one command.
fn shared<'a>(progress: &'a Mutex<&'a mut Tell<'_>>) -> impl Fn(Progress) + Sync + 'a {
    |seen| {
        // A progress report that meets another one on its way is not missed.
        if let Ok(mut progress) = progress.try_lock() {
            progress(seen);
        }
    }
}
