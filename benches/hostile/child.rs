//! The process of the hostile clients: what it is told, and its course from the first connection to the last word.
//!
//! It says that it has begun, goes on until its standard input ends, and then says what its clients were answered, how
//! often each.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, bail};

use super::kinds::{self, Kind};

/// The hidden word.
pub(crate) const HOSTILE: &str = "--hostile";

/// What is said when all clients are there.
pub(crate) const READY: &str = "ready";

/// How often each thing happened.
pub(crate) type Tally = BTreeMap<String, u64>;

/// Some of the clients: goes on until it is told to stop.
pub(crate) type Worker = Box<dyn FnOnce(&AtomicBool) -> Tally + Send>;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    /// Clients at once.
    pub(crate) clients: usize,
    /// Files of the flat directory.
    pub(crate) files: usize,
    /// Files that a client asks for again.
    pub(crate) redos: usize,
}

impl Job {
    /// As words of a command line.
    pub(crate) fn words(&self) -> [String; 4] {
        [self.kind.word().to_owned(), self.clients.to_string(), self.files.to_string(), self.redos.to_string()]
    }

    fn read(words: &[String]) -> anyhow::Result<Job> {
        let [kind, clients, files, redos] = words else { bail!("a job has four words") };
        let kind = Kind::read(kind).with_context(|| format!("{kind:?} is nothing that hostile clients do"))?;
        Ok(Job { kind, clients: clients.parse()?, files: files.parse()?, redos: redos.parse()? })
    }
}

/// Runs with the words behind the hidden one.
pub(crate) fn run(words: &[String]) -> anyhow::Result<()> {
    let (address, job) = words.split_first().context("an address is missing")?;
    let address: SocketAddr = address.parse()?;
    let job = Job::read(job)?;
    let workers = kinds::workers(&job, address).inspect_err(|error| say(&format!("{error:#}")))?;
    let stop = AtomicBool::new(false);
    let tallies = thread::scope(|scope| {
        let threads: Vec<_> = workers.into_iter().map(|worker| scope.spawn(|| worker(&stop))).collect();
        say(READY);
        // The end of the input, however it comes about, is the end.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(thread::ScopedJoinHandle::join).collect::<Result<Vec<Tally>, _>>()
    });
    let Ok(tallies) = tallies else { bail!("a hostile client panicked") };
    let mut whole = Tally::new();
    for (what, count) in tallies.into_iter().flatten() {
        *whole.entry(what).or_default() += count;
    }
    for (what, count) in whole {
        say(&format!("{count} x {what}"));
    }
    Ok(())
}

fn say(line: &str) {
    // Who does not listen any more ends this, too.
    let _ = writeln!(std::io::stdout(), "{}", line.replace('\n', " / "));
}
