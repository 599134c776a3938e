//! What a command does where no node runs: it opens the store itself, under the lock that keeps nodes out.

use std::path::Path;

use super::clock;
use super::config::{Config, Environment, Sources};
use super::error::NodeError;
use super::modules;
use super::publisher::Publisher;
use super::report::{self, Running};
use super::{intake, publisher};
use crate::control::{
    ChannelLog, ImportOrder, ImportOutcome, ImportReport, ListedChannel, LogOrder, Progress, StatusReport,
};

/// A store that this command has to itself.
pub struct Local {
    publisher: Publisher,
    config: Config,
}

impl Local {
    /// Opens the data directory.
    pub fn open(dir: &Path) -> Result<Local, NodeError> {
        let sources = Sources { dir: dir.to_owned(), environment: Environment::of_process(), flags: Vec::new() };
        let config = sources.load()?;
        let publisher = Publisher::open(dir, &config.name)?;
        Ok(Local { publisher, config })
    }

    /// How the node would be.
    pub fn status(&self) -> Result<StatusReport, NodeError> {
        let board = self.publisher.board()?;
        Ok(report::status(&board, &Running::default(), self.publisher.store.space()?, clock::now()))
    }

    /// Every channel.
    pub fn channels(&self) -> Result<Vec<ListedChannel>, NodeError> {
        let store = &self.publisher.store;
        report::channels(&self.publisher.board()?, &mut |channel| Ok(store.history(channel)?))
    }

    /// The history of a channel.
    pub fn log(&self, order: &LogOrder) -> Result<ChannelLog, NodeError> {
        let store = &self.publisher.store;
        report::log(&self.publisher.board()?, order, &mut |channel| Ok(store.history(channel)?))
    }

    /// Publishes a directory, then frees what no kept generation needs.
    pub fn import(
        &mut self,
        order: &ImportOrder,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<ImportReport, NodeError> {
        let shared = std::sync::Mutex::new(progress);
        let tell = |seen: Progress| {
            // A progress report that meets another one on its way is not missed.
            if let Ok(mut progress) = shared.try_lock() {
                progress(seen);
            }
        };
        let done = intake::import(&mut self.publisher, order, &tell, clock::now());
        let sweep = match &done {
            Ok(report) => report.outcome != ImportOutcome::NothingNew,
            // What is kept may have become less since the last sweep, and room is what is missing.
            Err(error) => error.is_full(),
        };
        if sweep {
            publisher::sweep(&mut self.publisher, modules::keep(&self.config));
        }
        done
    }
}
