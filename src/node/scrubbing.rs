//! When everything that is stored is read again, and what becomes of what was found.
//!
//! The reading is `scrub`, on a thread of its own with a connection of its own: imports and clients go on. What it found bad
//! goes the way of any doubt: the publisher reads it once more and sets it aside. An operator's scrub runs at once, in place
//! of the one in the background; that one begins a day after the last scrub ended, if `scrub.rate` is set.
//! Deliberately absent: going on where an interrupted scrub was.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::error::NodeError;
use super::publisher::Publisher;
use super::scrub::scrub;
use crate::control::{LastScrub, Progress, Reply, ScrubOrder, ScrubReport};
use crate::serve::BadContent;
use crate::store::{Mount, Reader, Store, StoreError};

/// The key of the last scrub in the node's state.
const KEY: &str = "scrub";

/// How its value begins.
const FORM: &str = "headwater scrub 1";

/// How often it is looked whether one is due.
const LOOK: Duration = Duration::from_secs(60);

/// From the end of a scrub to the next one in the background, in seconds.
const EVERY: i64 = 24 * 3600;

/// The last scrub that came to its end; a record that cannot be read is as good as none.
pub(super) fn last(store: &Store) -> Result<Option<LastScrub>, NodeError> {
    Ok(store.state(KEY).or_else(StoreError::or_nothing)?.and_then(|value| parse(&String::from_utf8_lossy(&value))))
}

fn parse(text: &str) -> Option<LastScrub> {
    let mut words = text.strip_prefix(FORM)?.split_ascii_whitespace();
    let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
    let (ended, contents, bytes, bad) = (number()?, number()?, number()?, number()?);
    Some(LastScrub { ended: i64::try_from(ended).ok()?, contents, bytes, bad })
}

fn print(scrub: &LastScrub) -> String {
    format!("{FORM} {} {} {} {}", scrub.ended, scrub.contents, scrub.bytes, scrub.bad)
}

/// Reads everything, and hands on what was found.
pub(super) fn whole(
    publisher: &mut Publisher,
    dir: &Path,
    order: &ScrubOrder,
    progress: &mut dyn FnMut(Progress),
    now: fn() -> i64,
) -> Result<ScrubReport, NodeError> {
    let report = scrub(&mut Reader::open(dir)?, order, progress, &|| true)?;
    settle(publisher, &report, now())?;
    Ok(report)
}

/// Sets aside what a scrub found bad, and notes when it ended; neither where nothing can be written.
pub(super) fn settle(publisher: &mut Publisher, report: &ScrubReport, now: i64) -> Result<(), NodeError> {
    let news: Vec<BadContent> = report
        .bad
        .iter()
        .map(|bad| BadContent {
            content: bad.content,
            path: bad.path.clone().into_bytes(),
            reason: format!("found by a scrub: {}", bad.reason),
        })
        .collect();
    let bad = u64::try_from(news.len()).unwrap_or(u64::MAX);
    let ended = LastScrub { ended: now, contents: report.contents, bytes: report.bytes, bad };
    if publisher.store.mount() == Mount::ReadOnly {
        return Ok(());
    }
    if let Err(error) = publisher.store.set_state(KEY, print(&ended).as_bytes()) {
        tracing::error!(%error, "note when the scrub ended");
    }
    publisher.doubt(&news)
}

/// Who wanted a scrub.
pub(super) enum Asker {
    /// An operator, who waits for the report.
    Operator(Reply<ScrubReport>),
    /// The configuration.
    Background,
}

/// A scrub that has ended, one way or the other.
pub(super) struct Ended {
    pub(super) result: Result<ScrubReport, NodeError>,
    pub(super) asker: Asker,
    /// Whether it was ended early.
    cut: bool,
}

/// The scrubs of a running node.
pub(super) struct Scrubs {
    dir: PathBuf,
    works: JoinSet<Ended>,
    /// Ends all of them.
    stop: CancellationToken,
    operators: bool,
    background: Option<CancellationToken>,
    look: Interval,
    /// When the last one in the background began, by the node's clock.
    begun: Option<i64>,
}

impl Scrubs {
    /// None yet, of the store in `dir`.
    pub(super) fn new(dir: PathBuf) -> Scrubs {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (works, stop) = (JoinSet::new(), CancellationToken::new());
        Scrubs { dir, works, stop, operators: false, background: None, look, begun: None }
    }

    /// Begins one for an operator.
    pub(super) fn order(&mut self, order: ScrubOrder, progress: mpsc::Sender<Progress>, reply: Reply<ScrubReport>) {
        if self.operators {
            return drop(reply.send(Err(NodeError::Scrubbing.refusal())));
        }
        if let Some(background) = self.background.take() {
            background.cancel();
            self.begun = None;
        }
        self.operators = true;
        self.spawn(order, Some(progress), Asker::Operator(reply), self.stop.child_token());
    }

    /// Begins the one in the background if it is due, or ends it if it is not wanted any more.
    pub(super) fn attend(&mut self, rate: Option<u64>, last: Option<LastScrub>, now: i64) {
        if rate.is_none() {
            if let Some(background) = self.background.take() {
                background.cancel();
            }
            return;
        }
        let is_old = |time: Option<i64>| time.is_none_or(|time| now.saturating_sub(time) >= EVERY || time > now);
        let idle = !self.operators && self.background.is_none();
        if idle && is_old(last.map(|last| last.ended)) && is_old(self.begun) {
            let token = self.stop.child_token();
            self.background = Some(token.clone());
            self.begun = Some(now);
            self.spawn(ScrubOrder { rate }, None, Asker::Background, token);
        }
    }

    fn spawn(
        &mut self,
        order: ScrubOrder,
        progress: Option<mpsc::Sender<Progress>>,
        asker: Asker,
        token: CancellationToken,
    ) {
        let dir = self.dir.clone();
        self.works.spawn_blocking(move || {
            let wanted = || match &asker {
                _ if token.is_cancelled() => false,
                Asker::Operator(reply) => !reply.is_closed(),
                Asker::Background => true,
            };
            // A full queue means that enough has been told.
            let mut tell = |seen| {
                let _ = progress.as_ref().map(|progress| progress.try_send(seen));
            };
            let result = Reader::open(&dir)
                .map_err(NodeError::from)
                .and_then(|mut reader| scrub(&mut reader, &order, &mut tell, &wanted));
            let cut = token.is_cancelled();
            Ended { result, asker, cut }
        });
    }

    /// Waits for news: a scrub that ended, or `None` when it is time to [`Scrubs::attend`]. Can be dropped at any time.
    pub(super) async fn news(&mut self) -> Option<Ended> {
        loop {
            tokio::select! {
                _ = self.look.tick() => return None,
                Some(ended) = self.works.join_next() => match ended {
                    Ok(ended) => {
                        match ended.asker {
                            Asker::Operator(_) => self.operators = false,
                            // One that was ended early has given its place away already.
                            Asker::Background if ended.cut => {}
                            Asker::Background => self.background = None,
                        }
                        return Some(ended);
                    }
                    Err(error) => {
                        (self.operators, self.background) = (false, None);
                        tracing::error!(%error, "a scrub broke off");
                    }
                },
            }
        }
    }
}

impl Drop for Scrubs {
    /// The threads see it and end.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::sync::oneshot;

    use super::*;
    use crate::store::Access;

    /// A store with nothing in it, and its scrubs.
    fn scrubs() -> (TempDir, Scrubs) {
        let dir = tempfile::tempdir().expect("a directory");
        drop(Store::open(dir.path(), Access::Create).expect("a store"));
        let scrubs = Scrubs::new(dir.path().to_owned());
        (dir, scrubs)
    }

    async fn ended(scrubs: &mut Scrubs) -> Ended {
        loop {
            if let Some(ended) = scrubs.news().await {
                return ended;
            }
        }
    }

    #[tokio::test]
    async fn the_scrub_in_the_background_begins_a_day_after_the_last_one_if_it_is_wanted() {
        let (_dir, mut scrubs) = scrubs();
        let now = 1_783_123_201;
        let last = |ended| Some(LastScrub { ended, contents: 0, bytes: 0, bad: 0 });
        scrubs.attend(None, None, now);
        scrubs.attend(Some(1 << 30), last(now - EVERY + 1), now);
        assert!(scrubs.background.is_none(), "it is not wanted, and then not due");
        scrubs.attend(Some(1 << 30), last(now - EVERY), now);
        assert!(scrubs.background.is_some());
        assert!(matches!(ended(&mut scrubs).await, Ended { result: Ok(_), asker: Asker::Background, .. }));
        scrubs.attend(Some(1 << 30), None, now + 60);
        assert!(scrubs.background.is_none(), "also where nothing was noted of it");
        scrubs.attend(Some(1 << 30), None, now + EVERY);
        assert!(scrubs.background.is_some());
        scrubs.attend(None, None, now + EVERY);
        assert!(scrubs.background.is_none(), "it is not wanted any more");
    }

    #[tokio::test]
    async fn an_operators_scrub_takes_the_place_of_the_one_in_the_background_and_is_the_only_one() {
        let (_dir, mut scrubs) = scrubs();
        scrubs.attend(Some(1), None, 7);
        let (reply, answer) = oneshot::channel();
        scrubs.order(ScrubOrder::default(), mpsc::channel(1).0, reply);
        assert!(scrubs.background.is_none());
        scrubs.attend(Some(1), None, 8);
        assert!(scrubs.background.is_none(), "an operator's runs");
        let (second, refused) = oneshot::channel();
        scrubs.order(ScrubOrder::default(), mpsc::channel(1).0, second);
        let refusal = refused.await.expect("an answer").expect_err("one runs already");
        assert_eq!(refusal.what, "a scrub runs already");
        loop {
            if let Asker::Operator(_) = ended(&mut scrubs).await.asker {
                break;
            }
        }
        drop(answer);
        scrubs.attend(Some(1), None, 9);
        assert!(scrubs.background.is_some(), "the one that was ended early begins again");
    }

    #[test]
    fn the_record_of_a_scrub_survives_the_way_there_and_back() {
        let scrub = LastScrub { ended: 1_783_123_201, contents: 2, bytes: 3, bad: 4 };
        assert_eq!(parse(&print(&scrub)), Some(scrub));
        for text in ["", "headwater scrub 1", "headwater scrub 1 1 2 3", "headwater scrub 2 1 2 3 4", "1 2 3 4"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
