//! Abuse: what hostile clients cost a node, and what stock clients notice of it.
//!
//! The hostile clients run in a process of their own (`hostile/`), the node in another. For each kind of abuse a stock
//! client syncs with nothing to do, first alone and then while the abuse goes on; the node's memory is read before, all
//! the time, and afterwards. Then it must be alive, serve, and have logged neither a panic nor an error of its own. A
//! queue of stock clients, who mean well but come in numbers, is measured against `rsync --daemon`, too.
//!
//! How much slower others get is told and no target: two processors that are kept busy by a third party are slower. Any
//! missed target, and whatever else must not happen, makes the exit code 1.
//!
//!     cargo bench --bench abuse                    150,000 files, medians of 5 syncs: a quarter of an hour
//!     cargo bench --bench abuse -- --only queue    one part: idle, queue, redo, slow, bombs or cuts
//!     cargo bench --bench abuse -- --quick         shows that it works, in seconds

mod hostile;
#[allow(dead_code, reason = "each program uses its part")]
mod measure;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread::park_timeout;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use hostile::child::{self, HOSTILE, Job};
use hostile::handle::Hostile;
use hostile::kinds::Kind;
use hostile::session::FLAT;
use measure::clients::{PORTAGE, rsync, run_all, run_one, run_queue};
use measure::machine;
use measure::options::Options;
use measure::server::{Server, import, init, limit, log};
use measure::stage::{Stage, say};
use measure::table::{Numbers, Table, Target};

/// Longest time for one client, and for a queue of them.
const LIMIT: Duration = Duration::from_secs(1800);

/// How long the abuse goes on before a stock client comes.
const BEGUN: Duration = Duration::from_secs(3);

/// Within this time a node gives freed memory back.
const GIVEN_BACK: Duration = Duration::from_secs(35);

/// Open files that a process needs beside its connections, and more.
const SPARE: u64 = 500;

/// What an idle connection may take, in bytes.
const EACH: f64 = 32e3;

/// How often the memory is read while a queue is served.
const QUARTERS: usize = 4;

const MIB: f64 = 1_048_576.0;

/// A kind of abuse.
struct Abuse {
    part: &'static str,
    what: &'static str,
    kind: Kind,
    /// Clients at once.
    clients: usize,
    bound: Bound,
    /// Whether a stock client that wants a list which no one had before is measured, too.
    fresh: bool,
}

/// What the node's memory is held to.
#[derive(Clone, Copy)]
enum Bound {
    /// A connection.
    Each,
    /// All together, in bytes.
    Growth(f64),
}

/// What the limits of the README allow each kind of abuse, with some room for what lies between.
fn abuses(options: &Options, idle: usize) -> [Abuse; 7] {
    let abuse = |part, what, kind, clients, bound| Abuse { part, what, kind, clients, bound, fresh: false };
    let slow = u32::try_from(options.slow).map_or(f64::INFINITY, f64::from);
    [
        abuse("idle", "connections, silent from the start", Kind::Silent, idle, Bound::Each),
        abuse("idle", "connections, silent after the greeting", Kind::Greeted, idle, Bound::Each),
        abuse("idle", "connections, silent after the file list", Kind::Held, idle, Bound::Each),
        abuse("redo", "client that asks again and again", Kind::Redo, 1, Bound::Growth(64.0 * MIB)),
        // Each has 1 MiB that waits for it, a batch beyond it, and what is being read.
        abuse(
            "slow",
            "slow readers, as many slow writers",
            Kind::Slow,
            options.slow,
            Bound::Growth((3.0 * slow + 64.0) * MIB),
        ),
        Abuse {
            fresh: true,
            ..abuse(
                "bombs",
                "clients that want dear lists",
                Kind::Bombs,
                options.bombs,
                Bound::Growth((256.0 + 64.0) * MIB),
            )
        },
        abuse("cuts", "clients that cut or talk rubbish", Kind::Cuts, 4, Bound::Growth(64.0 * MIB)),
    ]
}

/// What is written below `[limits]`, and why.
fn limits(part: &str, idle: usize) -> String {
    match part {
        "idle" => format!("connections = {}\nhandshake = \"1h\"\nidle = \"2h\"\n", idle + 100),
        _ => String::new(),
    }
}

/// Everything that the parts share.
struct Siege<'a> {
    stage: &'a Stage,
    options: &'a Options,
    dir: PathBuf,
    copy: PathBuf,
    idle: usize,
    syncs: usize,
    notes: Vec<String>,
    failures: Vec<String>,
}

fn main() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = words.split_first()
        && first == HOSTILE
    {
        return child::run(rest).map(|()| ExitCode::SUCCESS);
    }
    let options = Options::read()?;
    let chosen = |word: &str| options.only.as_deref().is_none_or(|only| only == word);
    let idle = room_for(options.idle)?;
    let abuses = abuses(&options, idle);
    let known = chosen("queue") || abuses.iter().any(|abuse| chosen(abuse.part));
    ensure!(known, "--only knows idle, queue, redo, slow, bombs and cuts");
    let machine = machine::told()?;
    let stage = Stage::open("abuse", options.files)?;
    let dir = init(&stage.work, "node")?;
    let copy = stage.work.join("copy");
    let (notes, failures) = (Vec::new(), Vec::new());
    let mut siege = Siege { stage: &stage, options: &options, dir, copy, idle, syncs: 0, notes, failures };
    if idle < options.idle {
        siege.notes.push(format!("{idle} idle connections, not {}: the hard limit of open files.", options.idle));
    }
    say("starting a node, and syncing a copy");
    let node = Server::headwater(&siege.dir)?;
    run_one(&mut import(&siege.dir, &stage.tree), LIMIT)?;
    run_one(&mut siege.sync(&node, &[]), LIMIT)?;
    drop(node);
    let (mut queue, mut table) = (Table::default(), Table::of(["before", "meanwhile"]));
    if chosen("queue") {
        siege.queue(&mut queue)?;
    }
    for abuse in abuses.iter().filter(|abuse| chosen(abuse.part)) {
        siege.besiege(abuse, &mut table)?;
    }
    siege.print(queue, table, &machine)
}

/// Lets this program and all that it starts open as many files as they may; gives how many connections that allows.
fn room_for(wanted: usize) -> anyhow::Result<usize> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let room = maximum.map_or(u64::MAX, |most| most.saturating_sub(SPARE));
    Ok(wanted.min(usize::try_from(room).unwrap_or(usize::MAX)))
}

fn one(bytes: u64) -> Numbers {
    let mut numbers = Numbers::bytes();
    numbers.memory(bytes);
    numbers
}

impl Siege<'_> {
    /// A client with Portage's options and these.
    fn sync(&self, server: &Server, options: &[&str]) -> Command {
        let mut command = rsync(PORTAGE);
        command.args(options).arg(server.url()).arg(&self.copy);
        command
    }

    /// Syncs with nothing to do, one after the other; gives their wall times and the most memory that was seen.
    fn noops(&mut self, node: &Server, kind: List) -> anyhow::Result<(Numbers, u64)> {
        let (mut wall, mut most) = (Numbers::seconds(), node.pss()?);
        for _ in 0..self.options.rounds {
            self.syncs += 1;
            let fresh = format!("--exclude=/fresh-{}", self.syncs);
            let mut command = match kind {
                List::Known => self.sync(node, &[]),
                List::Fresh => self.sync(node, &[&fresh]),
            };
            let ran = run_all(std::slice::from_mut(&mut command), LIMIT, &mut || {
                most = most.max(node.pss()?);
                Ok(())
            });
            match ran {
                Ok((took, outputs)) => {
                    let told = outputs.iter().map(|output| String::from_utf8_lossy(&output.stdout)).collect::<String>();
                    ensure!(told.contains("files transferred: 0\n"), "something was transferred: {told}");
                    say(&format!("  a stock no-op: {:.3?}, node's memory {} KiB", took.wall, most >> 10));
                    wall.time(took.wall);
                }
                Err(error) => self.failures.push(format!("a stock client was not served: {error:#}")),
            }
        }
        Ok((wall, most))
    }

    fn besiege(&mut self, abuse: &Abuse, table: &mut Table) -> anyhow::Result<()> {
        say(&format!("{}: {}", abuse.part, abuse.what));
        limit(&self.dir, &limits(abuse.part, self.idle))?;
        // A node of its own: what another abuse left in the heap would hide what this one takes.
        let mut node = Server::headwater(&self.dir)?;
        run_one(&mut self.sync(&node, &[]), LIMIT)?;
        let (alone, _) = self.noops(&node, List::Known)?;
        let fresh_alone = if abuse.fresh { Some(self.noops(&node, List::Fresh)?.0) } else { None };
        let before = node.settled_pss()?;
        let job = Job { kind: abuse.kind, clients: abuse.clients, files: self.flat()?, redos: self.options.redos };
        let hostile = Hostile::start(&job, node.address())?;
        say("  under way");
        park_timeout(BEGUN);
        let held = match abuse.bound {
            Bound::Each => node.settled_pss()?,
            Bound::Growth(_) => node.pss()?,
        };
        let (meanwhile, mut most) = self.noops(&node, List::Known)?;
        let fresh = match &fresh_alone {
            Some(alone) => {
                let (fresh, peak) = self.noops(&node, List::Fresh)?;
                most = most.max(peak);
                Some((alone, fresh))
            }
            None => None,
        };
        let told = hostile.end()?;
        say("  over");
        self.noops(&node, List::Known)?;
        if self.options.warm_up > 0 {
            park_timeout(GIVEN_BACK);
        }
        let after = node.settled_pss()?;
        self.judge(abuse, &mut node, &told)?;
        let name = match abuse.kind {
            Kind::Redo => format!("{} redos", self.options.redos),
            _ => format!("{} {}", abuse.clients, abuse.what),
        };
        table.row(&format!("{name}: a stock no-op, wall"), Some(&alone), &meanwhile, Target::None);
        if let Some((alone, fresh)) = fresh {
            table.row(&format!("{name}: the same, a list of its own"), Some(alone), &fresh, Target::None);
        }
        table.row(&format!("{name}: node's memory, most"), Some(&one(before)), &one(most.max(held)), Target::None);
        match abuse.bound {
            Bound::Each => {
                let each = held.saturating_sub(before) / u64::try_from(abuse.clients)?.max(1);
                table.row(&format!("{name}: memory of each"), None, &one(each), Target::Below(EACH));
            }
            Bound::Growth(bound) => {
                let growth = one(most.max(held).saturating_sub(before));
                table.row(&format!("{name}: growth"), None, &growth, Target::Below(bound));
            }
        }
        table.row(&format!("{name}: memory afterwards"), Some(&one(before)), &one(after), Target::None);
        Ok(())
    }

    /// What must not happen, whatever clients do.
    fn judge(&mut self, abuse: &Abuse, node: &mut Server, told: &[String]) -> anyhow::Result<()> {
        if !node.is_alive() {
            self.failures.push(format!("{}: the node has ended", abuse.what));
        }
        let log = log(&self.dir)?;
        let bad = log.lines().filter(|line| line.contains("panicked") || line.contains(" ERROR headwater"));
        self.failures.extend(bad.map(|line| format!("{}: the node's log: {line}", abuse.what)));
        let sent_away = told.iter().filter(|line| line.contains("sent away") && matches!(abuse.bound, Bound::Each));
        self.failures.extend(sent_away.map(|line| format!("{}: {line}", abuse.what)));
        let lines = log.lines().count();
        self.notes.push(format!("{}: {}; {lines} lines in the node's log.", abuse.what, told.join("; ")));
        Ok(())
    }

    /// How many files the flat directory has.
    fn flat(&self) -> anyhow::Result<usize> {
        let path = self.stage.tree.join(FLAT);
        let files = fs::read_dir(&path).with_context(|| format!("read {}", path.display()))?.count();
        ensure!(files > 0, "{} has no files", path.display());
        Ok(files)
    }

    /// Stock clients in numbers, against both servers.
    fn queue(&mut self, table: &mut Table) -> anyhow::Result<()> {
        limit(&self.dir, "")?;
        let copy = self.stage.work.join("copy-rsyncd");
        let stock = Server::rsyncd(&self.stage.work, &self.stage.tree)?;
        let theirs = self.serve_queue(&stock, &copy)?;
        drop(stock);
        let node = Server::headwater(&self.dir)?;
        let ours = self.serve_queue(&node, &self.copy)?;
        let name = |what: &str| format!("{} in a queue of {}, {what}", self.options.queue, self.options.crowd);
        table.row(&name("server CPU"), Some(&theirs.cpu), &ours.cpu, Target::Times(0.05));
        table.row(&name("wall"), Some(&theirs.wall), &ours.wall, Target::None);
        table.row(&name("memory above idle"), Some(&theirs.growth), &ours.growth, Target::Below(64.0 * MIB));
        for (quarter, (stock, ours)) in (1..).zip(theirs.marks.iter().zip(&ours.marks)) {
            let done = self.options.queue * quarter / QUARTERS;
            table.row(&name(&format!("memory when {done} were done")), Some(&one(*stock)), &one(*ours), Target::None);
        }
        if let Some((first, later)) = ours.marks.split_first() {
            let most = later.iter().max().map_or(0, |most| most.saturating_sub(*first));
            table.row(&name("growth after the first mark"), None, &one(most), Target::Below(4.0 * MIB));
        }
        if log(&self.dir)?.contains("panicked") {
            self.failures.push("queue: the node's log knows of a panic".to_owned());
        }
        Ok(())
    }

    fn serve_queue(&self, server: &Server, copy: &Path) -> anyhow::Result<Queue> {
        let sync = || {
            let mut command = rsync(PORTAGE);
            command.arg(server.url()).arg(copy);
            command
        };
        // Twice: the second one shows what one client with nothing to do leaves behind.
        for _ in 0..2 {
            run_one(&mut sync(), LIMIT)?;
        }
        say(&format!("{} stock clients, {} at a time", self.options.queue, self.options.crowd));
        let (before, idle) = (server.cpu()?, server.settled_pss()?);
        let (mut most, mut marks) = (idle, Vec::new());
        let mut commands: Vec<Command> = (0..self.options.queue).map(|_| sync()).collect();
        let (took, _) = run_queue(&mut commands, self.options.crowd, LIMIT, &mut |done| {
            let now = server.pss()?;
            most = most.max(now);
            if done >= self.options.queue * (marks.len() + 1) / QUARTERS && marks.len() < QUARTERS {
                marks.push(now);
            }
            Ok(())
        })?;
        let (mut cpu, mut wall) = (Numbers::seconds(), Numbers::seconds());
        cpu.time(server.cpu()? - before);
        wall.time(took.wall);
        Ok(Queue { cpu, wall, growth: one(most - idle), marks })
    }

    fn print(self, queue: Table, table: Table, machine: &str) -> anyhow::Result<ExitCode> {
        let missed = queue.missed() + table.missed();
        let sample = format!("{} files, medians of {} syncs", self.options.files, self.options.rounds);
        if !queue.is_empty() {
            let notes = "Portage's options, nothing to transfer, once. Memory: sums of PSS, all processes counted; with the\n\
                         default limits.";
            queue.print(&sample, machine, notes)?;
        }
        if !table.is_empty() {
            let set = limits("idle", self.idle).replace('\n', "; ");
            let notes = format!(
                "Memory: PSS of the node; most: while clients were measured.\nSet below [limits] for idle connections: {set}nothing \
                 for the others.\n{}",
                self.notes.join("\n")
            );
            table.print(&sample, machine, &notes)?;
        }
        self.failures.iter().for_each(|failure| say(&format!("FAILED: {failure}")));
        let good = missed == 0 && self.failures.is_empty();
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Whether the node has the list that a client wants.
#[derive(Clone, Copy)]
enum List {
    Known,
    Fresh,
}

/// What a queue took.
struct Queue {
    cpu: Numbers,
    wall: Numbers,
    growth: Numbers,
    /// Memory after each quarter, in bytes.
    marks: Vec<u64>,
}
