//! Large files: stock clients against `rsync --daemon` and against a node that serves the same directory.
//!
//! One client takes a file of 1 GiB; then twenty at once take one of a quarter of that, so that all copies fit into memory:
//! they are written to a file system that is there if it has the room (`/dev/shm`), and to the disk otherwise. Measured
//! are the clients' wall time and the server's processor time with all its children. What one copy took is compared byte
//! by byte.
//!
//!     cargo bench --bench large              5 rounds: some minutes
//!     cargo bench --bench large -- --quick   shows that it works, in seconds

#[allow(dead_code, reason = "each program uses its part")]
mod measure;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use measure::clients::{Took, rsync, run_all, run_one};
use measure::copies::Copies;
use measure::machine;
use measure::options::Options;
use measure::server::{Server, import, init_files};
use measure::stage::{Stage, remove, say, settle_disk};
use measure::table::{Numbers, Table, Target};

/// Longest time for one client, and for a crowd of them.
const LIMIT: Duration = Duration::from_secs(900);

/// Each client of a crowd takes the whole file over so many.
const SHARE: u64 = 4;

/// One of the two, with what was measured.
struct Side {
    name: &'static str,
    server: Server,
    one: Measured,
    crowd: Measured,
}

struct Measured {
    wall: Numbers,
    cpu: Numbers,
    clients: Numbers,
}

impl Measured {
    fn new() -> Measured {
        Measured { wall: Numbers::seconds(), cpu: Numbers::seconds(), clients: Numbers::seconds() }
    }
}

impl Side {
    fn new(name: &'static str, server: Server) -> Side {
        Side { name, server, one: Measured::new(), crowd: Measured::new() }
    }

    /// So many clients take `file` at once; what it took, and the server's processor time.
    fn take(&self, file: &str, clients: usize, copies: &Path) -> anyhow::Result<(Took, Duration)> {
        let mut commands = Vec::new();
        for number in 0..clients {
            let target = copies.join(number.to_string());
            remove(&target)?;
            fs::create_dir_all(&target)?;
            let mut command = rsync(&["-a", "--whole-file"]);
            command.arg(format!("{}{file}", self.server.url())).arg(&target);
            commands.push(command);
        }
        settle_disk();
        let before = self.server.cpu()?;
        let (took, _) = run_all(&mut commands, LIMIT, &mut || Ok(()))?;
        Ok((took, self.server.cpu()? - before))
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::read()?;
    let machine = machine::told()?;
    let stage = Stage::bare("large")?;
    let source = stage.work.join("source");
    fs::create_dir(&source)?;
    say("writing two large files, and starting both servers");
    noise(&source.join("one"), options.large)?;
    noise(&source.join("crowd"), options.large / SHARE)?;
    let stock = Server::rsyncd(&stage.work, &source)?;
    let dir = init_files(&stage.work, "node")?;
    let node = Server::headwater(&dir)?;
    run_one(&mut import(&dir, &source), LIMIT)?;
    let together = options.large / SHARE * u64::try_from(options.large_crowd)?;
    let copies = Copies::with_room(&stage, options.large.max(together) / 4 * 5)?;
    let mut sides = [Side::new("rsyncd", stock), Side::new("headwater", node)];
    for (file, clients) in [("one", 1), ("crowd", options.large_crowd)] {
        for number in 0..options.warm_up + options.rounds {
            for side in &mut sides {
                let (took, cpu) = side.take(file, clients, &copies.0)?;
                say(&format!("{file}, round {number}: {}, wall {:.3?}, server CPU {cpu:.3?}", side.name, took.wall));
                let measured = if clients == 1 { &mut side.one } else { &mut side.crowd };
                if number >= options.warm_up {
                    measured.wall.time(took.wall);
                    measured.cpu.time(cpu);
                    measured.clients.time(took.cpu);
                }
                run_one(Command::new("cmp").arg(source.join(file)).arg(copies.0.join("0").join(file)), LIMIT)?;
            }
            // The other one goes first next time.
            sides.reverse();
        }
        sides.sort_by_key(|side| side.name != "rsyncd");
        remove(&copies.0)?;
    }
    print(&sides, &machine, &options, &copies.0)
}

fn print([stock, ours]: &[Side; 2], machine: &str, options: &Options, copies: &Path) -> anyhow::Result<()> {
    let mut table = Table::default();
    let crowd = |what: &str| format!("{} at once, {what}", options.large_crowd);
    table.row("one client, wall", Some(&stock.one.wall), &ours.one.wall, Target::Times(1.0));
    table.row("one client, server CPU", Some(&stock.one.cpu), &ours.one.cpu, Target::Times(0.5));
    table.row("one client, its own CPU", Some(&stock.one.clients), &ours.one.clients, Target::None);
    table.row(&crowd("wall"), Some(&stock.crowd.wall), &ours.crowd.wall, Target::Times(1.0));
    table.row(&crowd("server CPU"), Some(&stock.crowd.cpu), &ours.crowd.cpu, Target::Times(0.5));
    table.row(&crowd("their CPU"), Some(&stock.crowd.clients), &ours.crowd.clients, Target::None);
    let mib = |bytes: u64| bytes >> 20;
    let sample = format!(
        "a file of {} MiB, and one of {} MiB for each of {} clients; {} rounds",
        mib(options.large),
        mib(options.large / SHARE),
        options.large_crowd,
        options.rounds
    );
    let notes = format!(
        "Stock clients with -a --whole-file write to {}. Throughput is the same bytes over the wall time.",
        copies.display()
    );
    table.print(&sample, machine, &notes)
}

/// Writes bytes that no compressor and no file system makes smaller (splitmix64).
fn noise(path: &Path, length: u64) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut state = length;
    for _ in 0..length / 8 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        out.write_all(&(mixed ^ (mixed >> 31)).to_le_bytes())?;
    }
    out.flush()?;
    Ok(())
}
