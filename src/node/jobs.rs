//! What changes something, one thing at a time: the orders that wait for the publisher, and the work on each.
//!
//! A job owns the publisher while it works, on a blocking thread, and gives it back with a fresh look at what is published
//! and an answer that is sent once that look is in force. An order whose operator has gone away is not begun, and an import
//! that has not begun to publish ends.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::clock;
use super::config::{Config, Sources};
use super::error::NodeError;
use super::give_back::give_back;
use super::publisher::{self, Board, Publisher};
use super::scrubbing::{self, Asker, Ended};
use super::{intake, keeps, modules, rollback};
use crate::control::{
    ImportOrder, ImportOutcome, ImportReport, KeepOrder, KeepReport, Phase, Progress, Refusal, ReloadReport, Reply,
    RollbackOrder, RollbackReport, SweepMode, SweepOrder, SweepReport,
};
use crate::fault::Fault;
use crate::fetch::ImportError;
use crate::serve::{BadContent, Published};

/// Orders that wait for the one that runs.
const WAITING: usize = 8;

/// Bad contents that wait to be looked at. Others are reported again by the next client that asks for them.
const DOUBTS: usize = 64;

/// Something that changes what is published, or what is kept.
pub(super) enum Job {
    Import { order: ImportOrder, progress: mpsc::Sender<Progress>, reply: Reply<ImportReport> },
    Rollback { order: RollbackOrder, progress: mpsc::Sender<Progress>, reply: Reply<RollbackReport> },
    Keep { order: KeepOrder, reply: Reply<KeepReport> },
    Sweep { order: SweepOrder, progress: mpsc::Sender<Progress>, reply: Reply<SweepReport> },
    Reload { reply: Reply<ReloadReport> },
    Scrubbed(Ended),
    Doubt(Vec<BadContent>),
    Tidy,
}

impl Job {
    /// Whether nobody waits for it any more.
    fn is_forsaken(&self) -> bool {
        match self {
            Job::Import { reply, .. } => reply.is_closed(),
            Job::Rollback { reply, .. } => reply.is_closed(),
            Job::Keep { reply, .. } => reply.is_closed(),
            Job::Sweep { reply, .. } => reply.is_closed(),
            Job::Reload { reply } => reply.is_closed(),
            // What was found bad is set aside, whoever has gone.
            Job::Scrubbed(_) | Job::Doubt(_) | Job::Tidy => false,
        }
    }

    /// Says no to whoever waits.
    fn refuse(self, why: &Refusal) {
        let no = |what: &str| Refusal { what: what.to_owned(), ..why.clone() };
        // Who gets no answer may be gone.
        match self {
            Job::Import { reply, .. } => drop(reply.send(Err(no("the import was not begun")))),
            Job::Rollback { reply, .. } => drop(reply.send(Err(no("the rollback was not begun")))),
            Job::Keep { reply, .. } => drop(reply.send(Err(no("nothing was kept or released")))),
            Job::Sweep { reply, .. } => drop(reply.send(Err(no("nothing was swept")))),
            Job::Reload { reply } => drop(reply.send(Err(no("nothing was reloaded")))),
            Job::Scrubbed(_) | Job::Doubt(_) | Job::Tidy => {}
        }
    }
}

/// What waits for the publisher.
#[derive(Default)]
pub(super) struct Waiting {
    orders: VecDeque<Job>,
    scrubbed: Vec<Ended>,
    doubts: Vec<BadContent>,
    turn: Turn,
    tidy: bool,
}

/// Whose turn it is where both wait. An import that is ordered when a client has just met bad contents should find them set
/// aside, and clients that ask for many must not keep operators waiting.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Turn {
    #[default]
    Doubts,
    Orders,
}

impl Waiting {
    /// Takes an order in, or refuses it if too many wait.
    pub(super) fn order(&mut self, job: Job) {
        if self.orders.len() < WAITING {
            return self.orders.push_back(job);
        }
        job.refuse(&Refusal {
            fault: Fault::Operator,
            what: String::new(),
            why: format!("{WAITING} other orders are waiting already"),
            todo: "wait for them, then try again".to_owned(),
        });
    }

    /// Takes in what a scrub found.
    pub(super) fn scrubbed(&mut self, ended: Ended) {
        self.scrubbed.push(ended);
    }

    /// Takes a doubt in.
    pub(super) fn doubt(&mut self, news: BadContent) {
        self.doubts.push(news);
    }

    /// Whether doubts can be taken in.
    pub(super) fn has_room_for_doubts(&self) -> bool {
        self.doubts.len() < DOUBTS
    }

    /// Has what is due swept next.
    pub(super) fn tidy(&mut self, swept: Swept) {
        self.tidy |= swept == Swept::Due;
    }

    /// What comes next.
    pub(super) fn next(&mut self) -> Option<Job> {
        if std::mem::take(&mut self.tidy) {
            return Some(Job::Tidy);
        }
        if let Some(ended) = self.scrubbed.pop() {
            return Some(Job::Scrubbed(ended));
        }
        self.orders.retain(|job| {
            let is_forsaken = job.is_forsaken();
            if is_forsaken {
                tracing::info!("an order was not begun: who gave it has gone");
            }
            !is_forsaken
        });
        if self.doubts.is_empty() || (self.turn == Turn::Orders && !self.orders.is_empty()) {
            self.turn = Turn::Doubts;
            return self.orders.pop_front();
        }
        self.turn = Turn::Orders;
        Some(Job::Doubt(std::mem::take(&mut self.doubts)))
    }
}

/// Whether a job leaves something to sweep.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Swept {
    Due,
    No,
}

/// What a job leaves behind: the publisher, a fresh look at it, and an answer that is sent once that is up.
pub(super) struct DoneJob {
    pub(super) publisher: Publisher,
    pub(super) look: Result<(Board, Published), NodeError>,
    pub(super) config: Option<Config>,
    pub(super) swept: Swept,
    pub(super) answer: Box<dyn FnOnce() + Send>,
}

/// What is to be seen of a publisher, and what is served from then on. Reads the disk.
pub(super) fn look(
    publisher: &Publisher,
    config: &Config,
    before: &Published,
) -> Result<(Board, Published), NodeError> {
    let board = publisher.board()?;
    let published = modules::published(&board, config, before);
    Ok((board, published))
}

/// Whether somebody waits for a work, and the node goes on.
type Wanted<'a> = dyn Fn() -> bool + Sync + 'a;

/// What a job works with.
pub(super) struct Bench {
    pub(super) publisher: Publisher,
    pub(super) config: Arc<Config>,
    /// What holds until a restart for the keys that wait for one.
    pub(super) at_start: Arc<Config>,
    pub(super) sources: Sources,
    pub(super) before: Arc<Published>,
    /// The node is to stop.
    pub(super) stop: CancellationToken,
}

impl Bench {
    /// Does a job. Blocks.
    pub(super) fn work(self, job: Job) -> DoneJob {
        match job {
            Job::Import { order, progress, reply } => self.import(&order, &progress, reply),
            Job::Rollback { order, progress, reply } => self.rollback(&order, &progress, reply),
            Job::Keep { order, reply } => self.order(reply, |publisher, _, _| {
                let report = keeps::keep(publisher, &order, clock::now())?;
                tracing::info!(
                    channel = %report.channel, generation = report.generation.get(), kept = report.by_hand.is_some(),
                    "kept or released by hand"
                );
                Ok((report, Swept::No))
            }),
            Job::Sweep { order, progress, reply } => self.order(reply, |publisher, config, _| {
                let _ = progress.try_send(Progress { phase: Phase::Sweep, done: 0, total: None, bytes: 0 });
                let report = keeps::sweep(publisher, modules::keep(config), &order, clock::now())?;
                if order.mode == SweepMode::Free {
                    let generations = report.generations.len();
                    tracing::info!(generations, contents = report.contents, bytes = report.bytes, "swept by order");
                }
                Ok((report, Swept::No))
            }),
            Job::Reload { reply } => self.reload(reply),
            Job::Scrubbed(ended) => self.scrubbed(ended),
            Job::Doubt(news) => self.silently(|publisher, _| {
                if let Err(error) = publisher.doubt(&news) {
                    tracing::error!(%error, "look anew at what is published; the last view stays");
                }
            }),
            Job::Tidy => self.silently(|publisher, config| {
                publisher::sweep(publisher, modules::keep(config));
                give_back();
            }),
        }
    }

    /// An order, and its answer. The work can ask whether somebody still waits for it. Where room was missing it is swept: what is kept may have become less since the last time.
    fn order<T: Send + 'static>(
        mut self,
        reply: Reply<T>,
        work: impl FnOnce(&mut Publisher, &Config, &Wanted<'_>) -> Result<(T, Swept), NodeError>,
    ) -> DoneJob {
        let wanted = || !reply.is_closed() && !self.stop.is_cancelled();
        let result = work(&mut self.publisher, &self.config, &wanted);
        let swept = match &result {
            Ok((_, swept)) => *swept,
            Err(error) if error.is_full() => Swept::Due,
            Err(_) => Swept::No,
        };
        let look = look(&self.publisher, &self.config, &self.before);
        if swept == Swept::No {
            give_back();
        }
        let result = result.map(|(report, _)| report).map_err(|error| error.refusal());
        let answer = Box::new(move || drop(reply.send(result)));
        DoneJob { publisher: self.publisher, look, config: None, swept, answer }
    }

    /// A job that nobody waits for.
    fn silently(mut self, work: impl FnOnce(&mut Publisher, &Config)) -> DoneJob {
        work(&mut self.publisher, &self.config);
        let look = look(&self.publisher, &self.config, &self.before);
        DoneJob { publisher: self.publisher, look, config: None, swept: Swept::No, answer: Box::new(|| ()) }
    }

    fn import(self, order: &ImportOrder, progress: &mpsc::Sender<Progress>, reply: Reply<ImportReport>) -> DoneJob {
        self.order(reply, |publisher, _, wanted| {
            let done = intake::import(publisher, order, &teller(progress), wanted, clock::now());
            let report = done.inspect_err(|error| match error {
                NodeError::Import(ImportError::Ended { .. }) => tracing::warn!(repository = %order.repository, %error),
                _ => {
                    tracing::error!(repository = %order.repository, %error, "import failed; what was served before is served on");
                }
            })?;
            tracing::info!(
                repository = %order.repository, outcome = ?report.outcome, added = report.changes.added,
                removed = report.changes.removed, changed = report.changes.changed,
                seconds = report.elapsed.as_secs_f64(), "imported"
            );
            let swept = if report.outcome == ImportOutcome::NothingNew { Swept::No } else { Swept::Due };
            Ok((report, swept))
        })
    }

    fn rollback(
        self,
        order: &RollbackOrder,
        progress: &mpsc::Sender<Progress>,
        reply: Reply<RollbackReport>,
    ) -> DoneJob {
        self.order(reply, |publisher, _, _| {
            let report = rollback::rollback(publisher, order, &teller(progress), clock::now()).inspect_err(|error| {
                tracing::error!(to = %order.address, %error, "rollback failed; what was served before is served on");
            })?;
            tracing::info!(
                channel = %report.channel, of = report.of.get(), generation = report.published.map(|g| g.get()),
                "rolled back"
            );
            let swept = if report.published.is_some() { Swept::Due } else { Swept::No };
            Ok((report, swept))
        })
    }

    fn scrubbed(self, ended: Ended) -> DoneJob {
        let work = move |publisher: &mut Publisher| match ended.result {
            Ok(report) => {
                scrubbing::settle(publisher, &report, clock::now())?;
                let bad = report.bad.len();
                tracing::info!(contents = report.contents, bytes = report.bytes, bad, "scrubbed");
                Ok(report)
            }
            Err(error) => {
                tracing::warn!(%error, "scrub");
                Err(error)
            }
        };
        match ended.asker {
            Asker::Operator(reply) => self.order(reply, |publisher, _, _| Ok((work(publisher)?, Swept::No))),
            Asker::Background => self.silently(|publisher, _| drop(work(publisher))),
        }
    }

    /// Takes configuration and topology in, both or none.
    fn reload(mut self, reply: Reply<ReloadReport>) -> DoneJob {
        let topology = self.publisher.topology.clone();
        let loaded = self.sources.load().map_err(NodeError::from);
        let loaded = loaded.and_then(|config| self.publisher.reload(&config).map(|()| config));
        let (config, mut report) = match loaded {
            Ok(config) => {
                let mut changed = self.config.differences(&config).at_once;
                if topology != self.publisher.topology {
                    changed.push("topology".to_owned());
                }
                let at_restart = self.at_start.differences(&config).at_restart;
                (Some(config), Ok(ReloadReport { changed, at_restart }))
            }
            Err(error) => (None, Err(error.refusal())),
        };
        let look = look(&self.publisher, config.as_ref().unwrap_or(&self.config), &self.before);
        if let (Ok(report), Ok((_, published))) = (&mut report, &look) {
            let files = modules::read_anew(&self.before, published).into_iter().map(str::to_owned);
            let unnamed: Vec<String> = files.filter(|key| !report.changed.contains(key)).collect();
            report.changed.extend(unnamed);
        }
        let answer = Box::new(move || drop(reply.send(report)));
        // Fewer generations may be kept from now on.
        let fewer = config.as_ref().is_some_and(|config| config.keep != self.config.keep);
        let swept = if fewer { Swept::Due } else { Swept::No };
        DoneJob { publisher: self.publisher, look, config, swept, answer }
    }
}

/// Tells an operator how far it is. A full queue means that enough has been told.
fn teller(progress: &mpsc::Sender<Progress>) -> impl Fn(Progress) + Sync {
    |seen| {
        let _ = progress.try_send(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::ContentId;

    #[test]
    fn doubts_and_orders_take_turns_and_what_nobody_waits_for_is_not_begun() {
        let mut waiting = Waiting::default();
        let news = |path: &str| BadContent {
            content: ContentId::of(path.as_bytes()),
            path: path.as_bytes().to_vec(),
            reason: "a test".to_owned(),
        };
        let mut replies = Vec::new();
        for _ in 0..3 {
            let (reply, answer) = tokio::sync::oneshot::channel();
            waiting.order(Job::Reload { reply });
            replies.push(answer);
        }
        drop(replies.remove(1));
        let mut taken = Vec::new();
        waiting.doubt(news("a"));
        while let Some(job) = waiting.next() {
            taken.push(match job {
                Job::Doubt(news) => format!("{} doubts", news.len()),
                Job::Reload { .. } => "reload".to_owned(),
                _ => "another".to_owned(),
            });
            // A client goes on and on.
            if taken.len() < 4 {
                waiting.doubt(news("b"));
                waiting.doubt(news("c"));
            }
        }
        assert_eq!(taken, ["1 doubts", "reload", "4 doubts", "reload", "2 doubts"]);
    }
}
