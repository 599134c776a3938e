//! Host names of `hosts_allow` and `hosts_deny`, resolved to addresses and remembered for a while.
//!
//! One task owns what is known. A name that many clients wait for is asked for once; an answer, also "no such host",
//! holds for a minute; a name server that says nothing within the deadline is an answer too, so that a dead one
//! costs a client seconds, however many names there are, and the node a thread for each. Deliberately absent: names of clients. Nobody is asked who an
//! address is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout};

/// How long a name server has.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long an answer is believed.
const HOLDS: Duration = Duration::from_secs(60);

/// Names that are remembered; configurations name a few.
const MOST_NAMES: usize = 1024;

/// Questions that wait for the owner; more wait in their connections.
const QUEUE: usize = 64;

/// The addresses of a name; `None`: it has none, or nobody could say.
type Found = Option<Arc<[IpAddr]>>;

/// Turns a name into its addresses.
type Resolve = dyn Fn(String) -> BoxFuture<'static, Option<Vec<IpAddr>>> + Send + Sync;

struct Ask {
    name: String,
    reply: oneshot::Sender<Found>,
}

/// The connections' end.
#[derive(Clone, Debug)]
pub(crate) struct Names(mpsc::Sender<Ask>);

impl Names {
    /// The names that the system knows, and the task that owns what was found; it ends when all handles are gone.
    pub(crate) fn of_system() -> (Names, impl Future<Output = ()> + Send) {
        Names::new(Box::new(|name| Box::pin(system(name))))
    }

    fn new(resolve: Box<Resolve>) -> (Names, impl Future<Output = ()> + Send) {
        let (sender, asks) = mpsc::channel(QUEUE);
        let owner = Owner { resolve, known: HashMap::new(), asking: JoinSet::new(), names: HashMap::new() };
        (Names(sender), owner.work(asks))
    }

    /// The addresses that `name` has; `None` where nobody could say.
    pub(crate) async fn addresses(&self, name: &str) -> Found {
        let (reply, answer) = oneshot::channel();
        self.0.send(Ask { name: name.to_owned(), reply }).await.ok()?;
        answer.await.ok()?
    }

    /// A name server with a fixed table, for tests.
    #[cfg(test)]
    pub(crate) fn fixed(table: std::collections::BTreeMap<String, Vec<IpAddr>>) -> Names {
        let (names, work) = Names::new(Box::new(move |name| {
            let found = table.get(&name).cloned();
            Box::pin(async move { found })
        }));
        #[expect(clippy::disallowed_methods, reason = "a test's own task, which ends with its runtime")]
        tokio::spawn(work);
        names
    }
}

/// Asks the system, which asks its files and name servers.
async fn system(name: String) -> Option<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((name.as_str(), 0)).await;
    match found {
        Ok(addresses) => Some(addresses.map(|address| address.ip().to_canonical()).collect()),
        Err(error) => {
            tracing::warn!(name, %error, "a name of hosts_allow or hosts_deny cannot be resolved: it allows nobody and denies everybody");
            None
        }
    }
}

enum Known {
    Answer { found: Found, until: Instant },
    Asked(Vec<oneshot::Sender<Found>>),
}

struct Owner {
    resolve: Box<Resolve>,
    known: HashMap<String, Known>,
    asking: JoinSet<Found>,
    names: HashMap<Id, String>,
}

impl Owner {
    async fn work(mut self, mut asks: mpsc::Receiver<Ask>) {
        loop {
            tokio::select! {
                ask = asks.recv() => match ask {
                    Some(ask) => self.ask(ask),
                    None => return,
                },
                Some(ended) = self.asking.join_next_with_id() => match ended {
                    Ok((id, found)) => self.answer(id, found),
                    Err(error) => self.answer(error.id(), None),
                },
            }
        }
    }

    fn ask(&mut self, Ask { name, reply }: Ask) {
        match self.known.get_mut(&name) {
            // Who asked may be gone.
            Some(Known::Answer { found, until }) if *until > Instant::now() => drop(reply.send(found.clone())),
            Some(Known::Asked(waiting)) => waiting.push(reply),
            Some(Known::Answer { .. }) | None => {
                if self.known.len() >= MOST_NAMES {
                    self.known.retain(|_, known| matches!(known, Known::Asked(_)));
                }
                let question = (self.resolve)(name.clone());
                let shown = name.clone();
                let task = self.asking.spawn(async move {
                    let found = timeout(DEADLINE, question).await.unwrap_or_else(|_| {
                        tracing::warn!(
                            name = shown,
                            "no name server answered: the name allows nobody and denies everybody"
                        );
                        None
                    });
                    found.map(Arc::from)
                });
                self.names.insert(task.id(), name.clone());
                self.known.insert(name, Known::Asked(vec![reply]));
            }
        }
    }

    fn answer(&mut self, id: Id, found: Found) {
        let Some(name) = self.names.remove(&id) else { return };
        let answer = Known::Answer { found: found.clone(), until: Instant::now() + HOLDS };
        if let Some(Known::Asked(waiting)) = self.known.insert(name, answer) {
            for reply in waiting {
                let _ = reply.send(found.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::hosts::{HostPattern, HostRules};
    use super::*;

    /// Names whose server counts its questions and answers only for `quick`.
    fn counted() -> (Names, Arc<AtomicUsize>, JoinSet<()>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let (names, work) = Names::new(Box::new(move |name| {
            count.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                match name.as_str() {
                    "quick" => Some(vec![IpAddr::from([10, 0, 0, 1])]),
                    _ => std::future::pending().await,
                }
            })
        }));
        let mut owner = JoinSet::new();
        owner.spawn(work);
        (names, asked, owner)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_holds_for_a_minute() {
        let (names, asked, _owner) = counted();
        for _ in 0..3 {
            assert_eq!(names.addresses("quick").await.as_deref(), Some([IpAddr::from([10, 0, 0, 1])].as_slice()));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(HOLDS).await;
        names.addresses("quick").await;
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_name_server_costs_its_deadline_once() {
        let (names, asked, _owner) = counted();
        let start = Instant::now();
        let (first, second) = tokio::join!(names.addresses("dead"), names.addresses("dead"));
        assert_eq!((first, second, start.elapsed()), (None, None, DEADLINE));
        assert_eq!(names.addresses("dead").await, None);
        assert_eq!((asked.load(Ordering::Relaxed), start.elapsed()), (1, DEADLINE));
    }

    #[tokio::test(start_paused = true)]
    async fn names_of_a_silent_server_cost_its_deadline_however_many_there_are() {
        let (names, asked, _owner) = counted();
        let dead = || (0..64).map(|number| HostPattern::Name(format!("dead{number}")));
        let quick = || HostPattern::Name("quick".to_owned());
        let rules = HostRules { allow: dead().chain([quick()]).collect(), deny: Vec::new() };
        let start = Instant::now();
        assert!(rules.admit([10, 0, 0, 1].into(), &names).await);
        assert_eq!(start.elapsed(), Duration::ZERO, "one answer was enough");
        assert!(!rules.admit([10, 0, 0, 2].into(), &names).await);
        assert_eq!((asked.load(Ordering::Relaxed), start.elapsed()), (65, DEADLINE));
        let rules = HostRules { allow: Vec::new(), deny: vec![quick(), HostPattern::Name("dead".to_owned())] };
        assert!(!rules.admit([10, 0, 0, 2].into(), &names).await);
        assert_eq!(start.elapsed(), 2 * DEADLINE);
    }
}
