//! Growth: what a node's work costs with ten and forty times as many files.
//!
//! For each size a new node takes a sample in, a stock client pulls all of it and syncs again with nothing to do, ten files
//! are changed and published, and the node is started again. Nothing may grow faster than the number of files; a fourth
//! more is granted to a noisy machine.
//!
//!     cargo bench --bench growth              15,000, 150,000 and 600,000 files, 5 rounds: more than an hour
//!     cargo bench --bench growth -- --rounds 2
//!     cargo bench --bench growth -- --quick   shows that it works, in seconds

#[allow(dead_code, reason = "each program uses its part")]
mod measure;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::park_timeout;
use std::time::Duration;

use anyhow::{Context, ensure};

use measure::clients::{PORTAGE, rsync, run_one};
use measure::machine;
use measure::options::Options;
use measure::server::{Server, import, init};
use measure::stage::{Stage, remove, say, settle_disk};
use measure::table::Numbers;

/// Longest time for one command.
const LIMIT: Duration = Duration::from_secs(1800);

/// Syncs that one reading of the processor time covers: its grain is 10 ms.
const BATCH: u32 = 4;

/// Files that are changed for a publication.
const CHANGED: usize = 10;

/// How long a node that was left alone may tidy up before its memory is read.
const IDLE: Duration = Duration::from_secs(1);

/// What may come on top of the growth of the sample.
const GRANTED: f64 = 1.25;

/// What grows, in the order of the table.
const ROWS: [(&str, Unit); 9] = [
    ("first import", Unit::Time),
    ("import, nothing new", Unit::Time),
    ("publish, ten files changed", Unit::Time),
    ("full pull, wall", Unit::Time),
    ("full pull, server CPU", Unit::Time),
    ("no-op, wall", Unit::Time),
    ("no-op, server CPU", Unit::Time),
    ("start, to the first answer", Unit::Time),
    ("idle memory", Unit::Memory),
];

#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Time,
    Memory,
}

/// What was measured with one size.
struct Column {
    files: u64,
    rows: Vec<Numbers>,
}

impl Column {
    fn new(files: u64) -> Column {
        let numbers = |(_, unit)| if unit == Unit::Time { Numbers::seconds() } else { Numbers::bytes() };
        Column { files, rows: ROWS.map(numbers).into() }
    }

    fn take(&mut self, seen: &[Seen; ROWS.len()]) {
        for (row, seen) in self.rows.iter_mut().zip(seen) {
            match seen {
                Seen::Time(time) => row.time(*time),
                Seen::Memory(bytes) => row.memory(*bytes),
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Seen {
    Time(Duration),
    Memory(u64),
}

fn main() -> anyhow::Result<()> {
    let options = Options::read()?;
    let machine = machine::told()?;
    let stage = Stage::bare("growth")?;
    let mut columns = Vec::new();
    for files in options.growth {
        let sample = stage.sample(files)?;
        let mut column = Column::new(files);
        for number in 0..options.rounds {
            say(&format!("{files} files, round {number}"));
            let seen = round(&stage, &sample)?;
            for ((what, _), seen) in ROWS.iter().zip(&seen) {
                say(&format!("  {what}: {seen:.3?}"));
            }
            column.take(&seen);
        }
        columns.push(column);
    }
    print(&columns, &machine, options)
}

/// Everything once, with one size.
fn round(stage: &Stage, sample: &Path) -> anyhow::Result<[Seen; ROWS.len()]> {
    let (tree, copy, node) = (stage.work.join("tree"), stage.work.join("copy"), stage.work.join("node"));
    for path in [&tree, &copy, &node] {
        remove(path)?;
    }
    // Links: files are replaced in here, never written, so the sample stays as it was made.
    run_one(Command::new("cp").args(["-al", "--"]).args([sample, tree.as_path()]), LIMIT)?;
    let dir = init(&stage.work, "node")?;
    let server = Server::headwater(&dir)?;
    settle_disk();
    let first = publish(&dir, &tree, "Published")?;
    settle_disk();
    let nothing = publish(&dir, &tree, "Nothing new")?;
    let mut pull = rsync(&["-a"]);
    pull.arg(server.url()).arg(&copy);
    let before = server.cpu()?;
    let (pulled, _) = run_one(&mut pull, LIMIT)?;
    let pull_cpu = server.cpu()? - before;
    settle_disk();
    let (noop, noop_cpu) = noop(&server, &copy)?;
    change(&tree)?;
    settle_disk();
    let changed = publish(&dir, &tree, "Published")?;
    drop(server);
    let server = Server::headwater(&dir)?;
    park_timeout(IDLE);
    Ok([
        Seen::Time(first),
        Seen::Time(nothing),
        Seen::Time(changed),
        Seen::Time(pulled.wall),
        Seen::Time(pull_cpu),
        Seen::Time(noop),
        Seen::Time(noop_cpu),
        Seen::Time(server.start),
        Seen::Memory(server.pss()?),
    ])
}

fn publish(dir: &Path, tree: &Path, expected: &str) -> anyhow::Result<Duration> {
    let (took, output) = run_one(&mut import(dir, tree), LIMIT)?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(told.starts_with(expected), "expected {expected:?}: {told}");
    Ok(took.wall)
}

/// A client with Portage's options that has everything; its wall time, and the server's processor time for it.
fn noop(server: &Server, copy: &Path) -> anyhow::Result<(Duration, Duration)> {
    let before = server.cpu()?;
    let mut wall = Duration::ZERO;
    for _ in 0..BATCH {
        let (took, output) = run_one(rsync(PORTAGE).arg(server.url()).arg(copy), LIMIT)?;
        let told = String::from_utf8_lossy(&output.stdout);
        ensure!(told.contains("files transferred: 0\n"), "something was transferred: {told}");
        wall += took.wall;
    }
    Ok((wall / BATCH, (server.cpu()? - before) / BATCH))
}

/// Puts longer files in the place of some.
fn change(tree: &Path) -> anyhow::Result<()> {
    let mut found = Vec::new();
    let mut open = vec![tree.to_owned()];
    while let (Some(directory), true) = (open.pop(), found.len() < CHANGED) {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if entry.path().extension().is_some_and(|extension| extension == "ebuild") {
                found.push(entry.path());
            }
        }
    }
    ensure!(found.len() >= CHANGED, "the sample has too few ebuilds");
    for path in found.iter().take(CHANGED) {
        let new = PathBuf::from(format!("{}.new", path.display()));
        let mut text = fs::read(path)?;
        writeln!(text, "# changed")?;
        fs::write(&new, text)?;
        fs::rename(&new, path).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn print(columns: &[Column], machine: &str, options: Options) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\n{machine}{} rounds, medians; behind each number how much it grew for each time more files\n",
        options.rounds
    )?;
    let heads: String = columns.iter().map(|column| format!("{:>22}", format!("{} files", column.files))).collect();
    writeln!(out, "{:<28}{heads}", "")?;
    let mut beyond = Vec::new();
    for (at, (what, unit)) in ROWS.into_iter().enumerate() {
        let mut line = format!("{what:<28}");
        let mut before: Option<(f64, f64)> = None;
        for column in columns {
            let value = column.rows.get(at).context("a row is missing")?.median();
            // The sizes are far below 2^32.
            let files = f64::from(u32::try_from(column.files)?);
            let shown =
                if unit == Unit::Time { format!("{:.1} ms", value * 1e3) } else { format!("{:.1} MB", value / 1e6) };
            let growth = before.map(|(was, had)| value / was / (files / had)).filter(|growth| growth.is_finite());
            if growth.is_some_and(|growth| growth > GRANTED) {
                beyond.push(what);
            }
            let growth = growth.map_or_else(String::new, |growth| format!("{growth:.2}"));
            line += &format!("{shown:>16}{growth:>6}");
            before = Some((value, files));
        }
        writeln!(out, "{line}")?;
    }
    match beyond.as_slice() {
        [] => writeln!(out, "\nNothing grew faster than the number of files.")?,
        beyond => writeln!(out, "\nFASTER than the number of files: {}.", beyond.join(", "))?,
    }
    Ok(())
}
