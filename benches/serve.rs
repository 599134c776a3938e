//! Serving: stock clients against `rsync --daemon` and against a node, on the same tree.
//!
//! Each server has a copy of its own to be compared with, because the node's tree has a timestamp of its own. The 50
//! clients of a crowd share it: they only read it. Measured are the clients' wall time, the server's processor time with
//! all its children, and the server's memory above what it took before they came.
//!
//!     cargo bench --bench serve              150,000 files, 5 rounds: half an hour
//!     cargo bench --bench serve -- --quick   shows that it works, in seconds

#[allow(dead_code, reason = "each program uses its part")]
mod measure;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;

use measure::clients::{PORTAGE, rsync, run_all, run_one};
use measure::machine;
use measure::options::Options;
use measure::server::{Server, import, init};
use measure::stage::{Stage, remove, say, settle_disk};
use measure::table::{Numbers, Table, Target};

/// Longest time for one client, and for a crowd of them.
const LIMIT: Duration = Duration::from_secs(900);

/// Syncs that one reading of the processor time covers: its grain is 10 ms, and one sync of a node takes about as much.
const BATCH: u32 = 4;

/// One of the two, with what was measured.
struct Side {
    name: &'static str,
    server: Server,
    /// Where its clients keep what they synced.
    copy: PathBuf,
    /// Where a client pulls everything to.
    pulled: PathBuf,
    noop_wall: Numbers,
    noop_cpu: Numbers,
    crowd_wall: Numbers,
    crowd_cpu: Numbers,
    crowd_floor: Numbers,
    crowd_memory: Numbers,
    crowd_idle: Numbers,
    pull: Pull,
    pull_z: Pull,
}

struct Pull {
    wall: Numbers,
    cpu: Numbers,
}

/// Whether a round counts.
#[derive(Clone, Copy, PartialEq)]
enum Round {
    WarmUp,
    Counts,
}

impl Pull {
    fn new() -> Pull {
        Pull { wall: Numbers::seconds(), cpu: Numbers::seconds() }
    }
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
            pull: Pull::new(),
            pull_z: Pull::new(),
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

    fn pull(&mut self, round: Round, options: &'static str) -> anyhow::Result<()> {
        remove(&self.pulled)?;
        fs::create_dir(&self.pulled)?;
        settle_disk();
        let before = self.server.cpu()?;
        let (took, _) = run_one(rsync(&[options]).arg(self.server.url()).arg(&self.pulled), LIMIT)?;
        let cpu = self.server.cpu()? - before;
        say(&format!("  wall {:.3?}, server CPU {cpu:.3?}", took.wall));
        let numbers = if options == "-az" { &mut self.pull_z } else { &mut self.pull };
        if round == Round::Counts {
            numbers.wall.time(took.wall);
            numbers.cpu.time(cpu);
        }
        Ok(())
    }

    fn round(&mut self, part: Part, round: Round, options: Options) -> anyhow::Result<()> {
        match part {
            Part::Noop => self.noop(round),
            Part::Crowd => self.crowd(round, options.crowd),
            Part::Pull => self.pull(round, "-a"),
            Part::PullZ => self.pull(round, "-az"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Noop,
    Crowd,
    Pull,
    PullZ,
}

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
    for part in [Part::Noop, Part::Crowd, Part::Pull, Part::PullZ] {
        for number in 0..options.warm_up + options.rounds {
            let round = if number < options.warm_up { Round::WarmUp } else { Round::Counts };
            for side in &mut sides {
                say(&format!("{part:?}, round {number}: {}", side.name));
                side.round(part, round, options)?;
            }
            // The other one goes first next time.
            sides.reverse();
        }
        sides.sort_by_key(|side| side.name != "rsyncd");
    }
    print(&sides, &machine, options)
}

fn print([stock, ours]: &[Side; 2], machine: &str, options: Options) -> anyhow::Result<()> {
    let mut table = Table::default();
    let crowd = |what: &str| format!("{} at once, {what}", options.crowd);
    table.row("no-op, wall", Some(&stock.noop_wall), &ours.noop_wall, Target::Times(1.0));
    table.row("no-op, server CPU", Some(&stock.noop_cpu), &ours.noop_cpu, Target::Times(0.05));
    table.row(&crowd("wall"), Some(&stock.crowd_wall), &ours.crowd_wall, Target::Times(0.7));
    table.row(&crowd("floor"), Some(&stock.crowd_floor), &ours.crowd_floor, Target::None);
    table.row(&crowd("server CPU"), Some(&stock.crowd_cpu), &ours.crowd_cpu, Target::Times(0.05));
    table.row(&crowd("memory"), Some(&stock.crowd_memory), &ours.crowd_memory, Target::Times(0.1));
    table.row("memory before they came", Some(&stock.crowd_idle), &ours.crowd_idle, Target::None);
    table.row("full pull, wall", Some(&stock.pull.wall), &ours.pull.wall, Target::Times(1.0));
    table.row("full pull, server CPU", Some(&stock.pull.cpu), &ours.pull.cpu, Target::Times(1.0 / 3.0));
    table.row("full pull -z, wall", Some(&stock.pull_z.wall), &ours.pull_z.wall, Target::Times(1.0));
    table.row("full pull -z, server CPU", Some(&stock.pull_z.cpu), &ours.pull_z.cpu, Target::None);
    let sample = format!("{} files, {} rounds", options.files, options.rounds);
    let notes = "No-op: Portage's options, nothing to transfer. Floor: the processor time of the clients themselves, over\n\
                 all cores; no server can be faster. Memory: the largest sum of PSS above idle.";
    table.print(&sample, machine, notes)
}
