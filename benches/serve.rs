//! Serving: stock clients against `rsync --daemon` and against a node, on the same tree.
//!
//! Each server has a copy of its own to be compared with, because the node's tree has a timestamp of its own. The 50
//! clients of a crowd share it: they only read it. Measured are the clients' wall time, the server's processor time with
//! all its children, and the server's memory above what it took before they came.
//!
//! A full pull is measured onto the disk, where writing 150,000 files sets the pace, and into memory (`/dev/shm`), where
//! the transfer does.
//!
//!     cargo bench --bench serve                        150,000 files, 5 rounds: half an hour
//!     cargo bench --bench serve -- --only memory-pull  one part: noop, crowd, pull or memory-pull
//!     cargo bench --bench serve -- --quick             shows that it works, in seconds

#[allow(dead_code, reason = "each program uses its part")]
mod measure;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use tempfile::TempDir;

use measure::clients::{PORTAGE, rsync, run_all, run_one};
use measure::machine;
use measure::options::Options;
use measure::server::{Server, import, init};
use measure::stage::{Stage, remove, say, settle_disk};
use measure::table::{Numbers, Table, Target};

/// Longest time for one client, and for a crowd of them.
const LIMIT: Duration = Duration::from_secs(900);

/// Syncs that one reading of the processor time covers: its grain is 10 ms, and one sync of a node takes less.
const BATCH: u32 = 20;

/// One of the two, with what was measured.
struct Side {
    name: &'static str,
    server: Server,
    /// Where its clients keep what they synced.
    copy: PathBuf,
    /// Where a client pulls everything to: on the disk, and in memory.
    pulled: PathBuf,
    memory: TempDir,
    noop_wall: Numbers,
    noop_cpu: Numbers,
    crowd_wall: Numbers,
    crowd_cpu: Numbers,
    crowd_floor: Numbers,
    crowd_memory: Numbers,
    crowd_idle: Numbers,
    pulls: [Pull; 4],
}

struct Pull {
    wall: Numbers,
    cpu: Numbers,
}

/// What a client pulls with, and whereto.
const PULLS: [(&str, &str, Goal); 4] = [
    ("full pull", "-a", Goal::Disk),
    ("full pull -z", "-az", Goal::Disk),
    ("full pull to memory", "-a", Goal::Memory),
    ("full pull -z to memory", "-az", Goal::Memory),
];

/// Where a client writes.
#[derive(Clone, Copy, PartialEq)]
enum Goal {
    Disk,
    Memory,
}

/// Whether a round counts.
#[derive(Clone, Copy, PartialEq)]
enum Round {
    WarmUp,
    Counts,
}

impl Side {
    fn new(name: &'static str, stage: &Stage, server: Server) -> anyhow::Result<Side> {
        let copy = stage.work.join(format!("copy-{name}"));
        let side = Side {
            name,
            pulled: stage.work.join(format!("pulled-{name}")),
            noop_wall: Numbers::seconds(),
            noop_cpu: Numbers::seconds(),
            crowd_wall: Numbers::seconds(),
            crowd_cpu: Numbers::seconds(),
            crowd_floor: Numbers::seconds(),
            crowd_memory: Numbers::bytes(),
            crowd_idle: Numbers::bytes(),
            pulls: PULLS.map(|_| Pull { wall: Numbers::seconds(), cpu: Numbers::seconds() }),
            memory: tempfile::Builder::new().prefix("headwater-bench-").tempdir_in("/dev/shm")?,
            copy,
            server,
        };
        run_one(&mut side.sync(), LIMIT)?;
        Ok(side)
    }

    /// A client with Portage's options.
    fn sync(&self) -> Command {
        let mut command = rsync(PORTAGE);
        command.arg(self.server.url()).arg(&self.copy);
        command
    }

    fn noop(&mut self, round: Round) -> anyhow::Result<()> {
        let before = self.server.cpu()?;
        for _ in 0..BATCH {
            let (took, output) = run_one(&mut self.sync(), LIMIT)?;
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            ensure!(told.contains("files transferred: 0\n"), "something was transferred: {told}");
            if round == Round::Counts {
                self.noop_wall.time(took.wall);
            }
        }
        let cpu = (self.server.cpu()? - before) / BATCH;
        say(&format!("  server CPU {cpu:.3?} a sync"));
        if round == Round::Counts {
            self.noop_cpu.time(cpu);
        }
        Ok(())
    }

    fn crowd(&mut self, round: Round, clients: usize) -> anyhow::Result<()> {
        let (before, idle) = (self.server.cpu()?, self.server.pss()?);
        let mut peak = idle;
        let mut commands: Vec<Command> = (0..clients).map(|_| self.sync()).collect();
        // Reading the memory of a process takes some 0.1 ms, five times a second: not much, and not charged to the server.
        let (took, _) = run_all(&mut commands, LIMIT, &mut || {
            peak = peak.max(self.server.pss()?);
            Ok(())
        })?;
        let cpu = self.server.cpu()? - before;
        say(&format!("  wall {:.3?}, server CPU {cpu:.3?}, memory {} KiB", took.wall, (peak - idle) >> 10));
        if round == Round::Counts {
            self.crowd_wall.time(took.wall);
            self.crowd_cpu.time(cpu);
            self.crowd_floor.time(took.cpu / u32::try_from(machine::cores())?);
            self.crowd_memory.memory(peak - idle);
            self.crowd_idle.memory(idle);
        }
        Ok(())
    }

    fn pull(&mut self, round: Round, which: usize) -> anyhow::Result<()> {
        let (_, options, goal) = PULLS[which];
        let place = match goal {
            Goal::Disk => self.pulled.clone(),
            Goal::Memory => self.memory.path().join("pulled"),
        };
        remove(&place)?;
        fs::create_dir(&place)?;
        settle_disk();
        let before = self.server.cpu()?;
        let (took, _) = run_one(rsync(&[options]).arg(self.server.url()).arg(&place), LIMIT)?;
        let cpu = self.server.cpu()? - before;
        say(&format!("  wall {:.3?}, server CPU {cpu:.3?}", took.wall));
        if goal == Goal::Memory {
            remove(&place)?;
        }
        if round == Round::Counts {
            self.pulls[which].wall.time(took.wall);
            self.pulls[which].cpu.time(cpu);
        }
        Ok(())
    }

    fn round(&mut self, part: Part, round: Round, crowd: usize) -> anyhow::Result<()> {
        match part {
            Part::Noop => self.noop(round),
            Part::Crowd => self.crowd(round, crowd),
            Part::Pull(which) => self.pull(round, which),
        }
    }
}

#[derive(Clone, Copy)]
enum Part {
    Noop,
    Crowd,
    /// One of [`PULLS`].
    Pull(usize),
}

/// Every part, with the word that chooses it.
const PARTS: [(&str, Part); 6] = [
    ("noop", Part::Noop),
    ("crowd", Part::Crowd),
    ("pull", Part::Pull(0)),
    ("pull", Part::Pull(1)),
    ("memory-pull", Part::Pull(2)),
    ("memory-pull", Part::Pull(3)),
];

fn main() -> anyhow::Result<()> {
    let options = Options::read()?;
    let machine = machine::told()?;
    let stage = Stage::open("serve", options.files)?;
    say("starting both servers, and syncing a copy from each");
    let stock = Server::rsyncd(&stage.work, &stage.tree)?;
    let dir = init(&stage.work, "node")?;
    let node = Server::headwater(&dir)?;
    run_one(&mut import(&dir, &stage.tree), LIMIT)?;
    let mut sides = [Side::new("rsyncd", &stage, stock)?, Side::new("headwater", &stage, node)?];
    let chosen = |word: &str| options.only.as_deref().is_none_or(|only| only == word);
    ensure!(PARTS.iter().any(|(word, _)| chosen(word)), "--only knows noop, crowd, pull and memory-pull");
    for (word, part) in PARTS.into_iter().filter(|(word, _)| chosen(word)) {
        for number in 0..options.warm_up + options.rounds {
            let round = if number < options.warm_up { Round::WarmUp } else { Round::Counts };
            for side in &mut sides {
                say(&format!("{word}, round {number}: {}", side.name));
                side.round(part, round, options.crowd)?;
            }
            // The other one goes first next time.
            sides.reverse();
        }
        sides.sort_by_key(|side| side.name != "rsyncd");
    }
    print(&sides, &machine, &options)
}

fn print([stock, ours]: &[Side; 2], machine: &str, options: &Options) -> anyhow::Result<()> {
    let mut table = Table::default();
    let crowd = |what: &str| format!("{} at once, {what}", options.crowd);
    let mut row = |what: &str, stock: &Numbers, ours: &Numbers, target| {
        if !ours.is_empty() {
            table.row(what, Some(stock), ours, target);
        }
    };
    row("no-op, wall", &stock.noop_wall, &ours.noop_wall, Target::Times(1.0));
    row("no-op, server CPU", &stock.noop_cpu, &ours.noop_cpu, Target::Times(0.05));
    row(&crowd("wall"), &stock.crowd_wall, &ours.crowd_wall, Target::Times(0.7));
    row(&crowd("floor"), &stock.crowd_floor, &ours.crowd_floor, Target::None);
    row(&crowd("server CPU"), &stock.crowd_cpu, &ours.crowd_cpu, Target::Times(0.05));
    row(&crowd("memory"), &stock.crowd_memory, &ours.crowd_memory, Target::Times(0.1));
    row("memory before they came", &stock.crowd_idle, &ours.crowd_idle, Target::None);
    for ((what, options, _), (stock, ours)) in PULLS.iter().zip(stock.pulls.iter().zip(&ours.pulls)) {
        row(&format!("{what}, wall"), &stock.wall, &ours.wall, Target::Times(1.0));
        let target = if *options == "-a" { Target::Times(1.0 / 3.0) } else { Target::None };
        row(&format!("{what}, server CPU"), &stock.cpu, &ours.cpu, target);
    }
    let sample = format!("{} files, {} rounds", options.files, options.rounds);
    let notes = "No-op: Portage's options, nothing to transfer. Floor: the processor time of the clients themselves, over\n\
                 all cores; no server can be faster. Memory: the largest sum of PSS above idle.";
    table.print(&sample, machine, notes)
}
