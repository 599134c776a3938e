//! Importing, publishing and starting: a node beside `rsync -a` and `rsync -an` of the same tree on the same disk.
//!
//! In each round a new node takes the tree in, takes it in again with nothing changed, and publishes it twice more after
//! some files were changed: once to be timed, and once to see when new connections get the new generation. Then it is
//! started again. Before that it publishes until it keeps eight generations, and its memory is read with nothing served, and
//! once more after a client that had everything. `rsync -a` copies and leaves the writing to the kernel; an import is durable when it is done.
//!
//!     cargo bench --bench import              150,000 files, 5 rounds: a quarter of an hour
//!     cargo bench --bench import -- --quick   shows that it works, in seconds

#[allow(dead_code, reason = "each program uses its part")]
mod measure;

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, park_timeout};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use headwater::store::Reader;

use measure::clients::{PORTAGE, rsync, run_one};
use measure::health::generations;
use measure::machine;
use measure::options::Options;
use measure::server::{MODULE, Server, import, init};
use measure::stage::{Stage, remove, say, settle_disk};
use measure::table::{Numbers, Table, Target};

/// Longest time for one command.
const LIMIT: Duration = Duration::from_secs(300);

/// How long a node that was left alone may tidy up before its memory is read.
const IDLE: Duration = Duration::from_secs(1);

/// Generations that a node keeps by default, at least.
const KEPT: usize = 8;

/// Between two looks at what is published: two watchers leave most of two cores to the node.
const PACE: Duration = Duration::from_millis(1);

struct Measured {
    copy: Numbers,
    first: Numbers,
    compare: Numbers,
    again: Numbers,
    change: Numbers,
    switch: Numbers,
    start: Numbers,
    first_client: Numbers,
    idle_started: Numbers,
    idle_imported: Numbers,
    idle_kept: Numbers,
    idle_served: Numbers,
}

fn main() -> anyhow::Result<()> {
    let options = Options::read()?;
    let machine = machine::told()?;
    let stage = Stage::open("import", options.files)?;
    // Files are changed in here; the sample stays as it was made.
    let source = stage.work.join("source");
    say("copying the sample");
    run_one(rsync(&["-a"]).arg(inside(&stage.tree)).arg(&source), LIMIT)?;
    let files = files_of(&source)?;
    let mut measured = Measured {
        copy: Numbers::seconds(),
        first: Numbers::seconds(),
        compare: Numbers::seconds(),
        again: Numbers::seconds(),
        change: Numbers::seconds(),
        switch: Numbers::seconds(),
        start: Numbers::seconds(),
        first_client: Numbers::seconds(),
        idle_started: Numbers::bytes(),
        idle_imported: Numbers::bytes(),
        idle_kept: Numbers::bytes(),
        idle_served: Numbers::bytes(),
    };
    for number in 0..options.warm_up + options.rounds {
        say(&format!("round {number}"));
        let mut round = Round { number, stage: &stage, source: &source, files: &files, changed: options.changed };
        let seen = round.run()?;
        say(&format!("  {seen:.3?}"));
        if number >= options.warm_up {
            measured.take(&seen);
        }
    }
    measured.print(&machine, options)
}

/// What one round has shown.
#[derive(Debug, Default)]
struct Seen {
    copy: Duration,
    first: Duration,
    compare: Duration,
    again: Duration,
    change: Duration,
    switch: Duration,
    start: Duration,
    first_client: Duration,
    idle_started: u64,
    idle_imported: u64,
    idle_kept: u64,
    idle_served: u64,
}

struct Round<'a> {
    number: usize,
    stage: &'a Stage,
    source: &'a Path,
    files: &'a [PathBuf],
    changed: usize,
}

impl Round<'_> {
    fn run(&mut self) -> anyhow::Result<Seen> {
        let mut seen = Seen::default();
        let copy = self.stage.work.join("copy");
        let node = self.stage.work.join("node");
        remove(&copy)?;
        remove(&node)?;
        let dir = init(&self.stage.work, "node")?;
        let server = Server::headwater(&dir)?;
        // Rsync and the node take turns in going first.
        let turns = if self.number.is_multiple_of(2) { [true, false] } else { [false, true] };
        for stock in turns {
            settle_disk();
            if stock {
                seen.copy = run_one(rsync(&["-a"]).arg(inside(self.source)).arg(&copy), LIMIT)?.0.wall;
            } else {
                seen.first = self.publish(&dir, "Published")?;
            }
        }
        settle_disk();
        for stock in turns {
            if stock {
                seen.compare = run_one(rsync(&["-an"]).arg(inside(self.source)).arg(&copy), LIMIT)?.0.wall;
            } else {
                seen.again = self.publish(&dir, "Nothing new")?;
            }
        }
        self.change("timed")?;
        settle_disk();
        seen.change = self.publish(&dir, "Published")?;
        self.change("watched")?;
        settle_disk();
        seen.switch = self.switch(&dir, server.address())?;
        seen.idle_imported = server.settled_pss()?;
        self.keep(&dir, &server, &mut seen)?;
        drop(server);
        self.start(&dir, &mut seen)?;
        Ok(seen)
    }

    /// Publishes until so many generations are kept as a node keeps by default, and reads the memory that this takes.
    fn keep(&self, dir: &Path, server: &Server, seen: &mut Seen) -> anyhow::Result<()> {
        while generations(dir)? < KEPT {
            self.change(&format!("kept {}", generations(dir)?))?;
            self.publish(dir, "Published")?;
        }
        seen.idle_kept = server.settled_pss()?;
        // A copy to which the node's own timestamp is all that is new.
        let copy = self.stage.work.join("copy");
        run_one(rsync(&["-a"]).arg(inside(self.source)).arg(&copy), LIMIT)?;
        let stamp = "metadata/timestamp.chk";
        run_one(rsync(&["-t"]).arg(format!("{}{stamp}", server.url())).arg(copy.join(stamp)), LIMIT)?;
        let (_, output) = run_one(rsync(PORTAGE).arg(server.url()).arg(&copy), LIMIT)?;
        let told = String::from_utf8_lossy(&output.stdout);
        ensure!(told.contains("files transferred: 0\n"), "something was transferred: {told}");
        seen.idle_served = server.settled_pss()?;
        Ok(())
    }

    fn publish(&self, dir: &Path, expected: &str) -> anyhow::Result<Duration> {
        let (took, output) = run_one(&mut import(dir, self.source), LIMIT)?;
        let told = String::from_utf8_lossy(&output.stdout);
        ensure!(told.starts_with(expected), "expected {expected:?}: {told}");
        Ok(took.wall)
    }

    /// Makes files longer, all over the tree; the first one is among them.
    fn change(&self, why: &str) -> anyhow::Result<()> {
        let step = (self.files.len() / self.changed).max(1);
        for path in self.files.iter().step_by(step).take(self.changed) {
            let mut open = OpenOptions::new().append(true).open(path).with_context(|| path.display().to_string())?;
            writeln!(open, "# round {}, {why}", self.number)?;
        }
        Ok(())
    }

    /// How long after the head has moved a new connection is served the new generation.
    ///
    /// One thread watches the head in the store, another one asks the node for a changed file again and again, while
    /// the import runs. The head moved after the last look that saw the old one; the new generation was served when the
    /// first connection got the new size of the file. What is told is the time between these two, which includes a
    /// whole connection and the pauses of both watchers, so the node itself was faster.
    fn switch(&self, dir: &Path, address: SocketAddr) -> anyhow::Result<Duration> {
        let path = self.files.first().context("the sample has no files")?.strip_prefix(self.source)?;
        let path = path.to_str().context("a sample's names are ASCII")?;
        let stop = AtomicBool::new(false);
        let reader = Reader::open(dir)?;
        let old_head = generation(&reader)?;
        let old_answer = ask(address, path)?;
        let (last_old, first_new) = thread::scope(|scope| {
            let stop = &stop;
            let head = scope.spawn(move || watch(stop, || Ok(generation(&reader)? == old_head)));
            let answer = scope.spawn(|| watch(stop, || Ok(ask(address, path)? == old_answer)));
            let published = self.publish(dir, "Published");
            // Whoever has not seen it when the command has long returned will not see it.
            if published.is_ok() {
                park_timeout(Duration::from_millis(500));
            }
            stop.store(true, Ordering::Relaxed);
            published?;
            let joined = |watcher: thread::ScopedJoinHandle<'_, _>| {
                watcher.join().map_err(|_| anyhow::anyhow!("a watcher failed"))
            };
            anyhow::Ok((joined(head)??, joined(answer)??))
        })?;
        Ok(first_new.1.saturating_duration_since(last_old.0))
    }

    fn start(&self, dir: &Path, seen: &mut Seen) -> anyhow::Result<()> {
        let start = Instant::now();
        let server = Server::headwater(dir)?;
        seen.start = server.start;
        let stamp = format!("{}metadata/timestamp.chk", server.url());
        run_one(rsync(&["-t"]).arg(stamp).arg(self.stage.work.join("stamp")), LIMIT)?;
        seen.first_client = start.elapsed();
        park_timeout(IDLE);
        seen.idle_started = server.pss()?;
        Ok(())
    }
}

/// The generation that the one channel shows.
fn generation(reader: &Reader) -> anyhow::Result<u64> {
    Ok(reader.heads()?.first().context("nothing is published")?.generation.get())
}

/// Looks until what is seen is no longer the old. The begin of the last look that saw the old, and the end of the first
/// that saw the new.
fn watch(stop: &AtomicBool, mut is_old: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<(Instant, Instant)> {
    let mut last_old = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let begin = Instant::now();
        if !is_old()? {
            return Ok((last_old, Instant::now()));
        }
        last_old = begin;
        park_timeout(PACE);
    }
    bail!("the new generation was never seen")
}

/// Asks for the list of one file, as a client of protocol 30 does, and gives the bytes of its size and time in it.
///
/// A stock client takes longer to start than a node to switch, so this speaks just enough of the protocol: greeting,
/// module, arguments, an empty list of filter rules. The answer has the file's name, and behind it (protocol 30) 3 bytes
/// of size and 4 or more of time.
fn ask(address: SocketAddr, path: &str) -> anyhow::Result<Vec<u8>> {
    const SIZE_AND_TIME: usize = 7;
    let name = path.rsplit('/').next().unwrap_or(path).as_bytes();
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(format!("@RSYNCD: 30.0\n{MODULE}\n").as_bytes())?;
    let mut seen = Vec::new();
    read_until(&mut stream, &mut seen, |seen| seen.windows(12).any(|window| window == b"@RSYNCD: OK\n").then_some(()))?;
    stream.write_all(format!("--server\0--sender\0-te.\0.\0{MODULE}/{path}\0\0").as_bytes())?;
    // One frame of data (7): four bytes of zero, the end of the rules.
    stream.write_all(&[4, 0, 0, 7, 0, 0, 0, 0])?;
    seen.clear();
    read_until(&mut stream, &mut seen, |seen| {
        let at = seen.windows(name.len()).position(|window| window == name)? + name.len();
        Some(seen.get(at..at + SIZE_AND_TIME)?.to_vec())
    })
}

fn read_until<T>(
    stream: &mut TcpStream,
    seen: &mut Vec<u8>,
    mut found: impl FnMut(&[u8]) -> Option<T>,
) -> anyhow::Result<T> {
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        seen.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if let Some(found) = found(seen) {
            return Ok(found);
        }
        ensure!(read > 0 && seen.len() < 1 << 16, "no answer of use: {}", String::from_utf8_lossy(seen));
    }
}

/// All regular files, sorted; the publisher's own timestamp is not among them.
fn files_of(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() && entry.file_name() != "timestamp.chk" {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The path as rsync takes it for what is inside.
fn inside(path: &Path) -> PathBuf {
    path.join("")
}

impl Measured {
    fn take(&mut self, seen: &Seen) {
        self.copy.time(seen.copy);
        self.first.time(seen.first);
        self.compare.time(seen.compare);
        self.again.time(seen.again);
        self.change.time(seen.change);
        self.switch.time(seen.switch);
        self.start.time(seen.start);
        self.first_client.time(seen.first_client);
        self.idle_started.memory(seen.idle_started);
        self.idle_imported.memory(seen.idle_imported);
        self.idle_kept.memory(seen.idle_kept);
        self.idle_served.memory(seen.idle_served);
    }

    fn print(&self, machine: &str, options: Options) -> anyhow::Result<()> {
        let mut table = Table::default();
        let changed = format!("{} files changed", options.changed);
        table.row("first import; rsync -a", Some(&self.copy), &self.first, Target::Times(0.5));
        table.row("nothing changed; rsync -an", Some(&self.compare), &self.again, Target::Times(1.0));
        table.row(&changed, None, &self.change, Target::Below(2.0));
        table.row("switch, after the head moved", None, &self.switch, Target::Below(0.05));
        table.row("start, to the first answer", None, &self.start, Target::Below(1.0));
        table.row("start, to the end of a client", None, &self.first_client, Target::Below(1.0));
        table.row("idle memory, started", None, &self.idle_started, Target::Below(100e6));
        table.row("idle memory, after imports", None, &self.idle_imported, Target::Below(100e6));
        let kept = format!("idle memory, {KEPT} generations kept");
        table.row(&kept, None, &self.idle_kept, Target::Below(150e6));
        table.row("the same, after a no-op client", None, &self.idle_served, Target::Below(150e6));
        let sample = format!("{} files, {} rounds", options.files, options.rounds);
        let notes = "Imports go through the running node. A client after the start fetches one file.\n\
                     Idle memory: PSS; a second after the start, and once it stands still after imports or a client.";
        table.print(&sample, machine, notes)
    }
}
