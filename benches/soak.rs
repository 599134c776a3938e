//! Soak: a node that publishes again and again and sweeps what is old, while stock clients come and go in every manner.
//!
//! Twenty clients loop: with Portage's options and without, from nothing and as updates, with every compression, cut in
//! the middle and begun again, slow by `--bwlimit`, and held up for a while. After each sync a client's copy must be one
//! publication, whole, and none that was old when the sync began. Every ten seconds something is published, and the node
//! is looked at: memory, open files, threads, what the store takes, kept generations. It keeps 8, of whatever age.
//!
//! The run fails where a copy was torn, a client failed, memory or store grew, a generation stayed that should have gone,
//! or files stayed open after the last client: they are counted with no client there, before and after. The node's pools
//! (readers of the database, pipes for large files) may be fuller then, up to their limits, and are counted apart.
//!
//!     cargo bench --bench soak                     30 minutes
//!     cargo bench --bench soak -- --minutes 2
//!     cargo bench --bench soak -- --read-every 3   contents are compared after each third sync, names and times always
//!     cargo bench --bench soak -- --quick          shows that it works, in seconds

#[allow(dead_code, reason = "each program uses its part")]
mod measure;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{PoisonError, RwLock};
use std::thread::{self, park_timeout};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::Signal;

use measure::clients::{PORTAGE, rsync, run_all, run_one};
use measure::copies::Copies;
use measure::health::{Course, Health, health, idle_health, large_files, on_disk, pools_may_grow};
use measure::ledger::{Ledger, Look, Whole};
use measure::machine;
use measure::options::{Options, Soak};
use measure::server::{Server, headwater, import, init, keep_only};
use measure::source::{Dice, FIRST, Source};
use measure::stage::{Stage, remove, say};
use measure::tally::{HABITS, Habit, Outcome, Report, Tally};
use measure::visit::Visit;

/// Generations that the node keeps.
const KEEP: usize = 8;

/// Longest time for one client, beyond what it was slowed down by.
const LIMIT: Duration = Duration::from_secs(300);

/// Longest time that a client is slowed down: eight generations come and go meanwhile.
const SLOW: Duration = Duration::from_secs(120);

/// Room that a file of the sample takes in a client's copy, at most and on average: a page, and its entry.
const FILE_ROOM: u64 = 6 << 10;

/// How often a node is looked at, at least.
const LOOKS: u32 = 60;

/// How often it is told how things are.
const NEWS: Duration = Duration::from_secs(60);

/// What clients and publisher share.
struct Shared<'a> {
    soak: &'a Soak,
    server: &'a Server,
    copies: &'a Path,
    stage: &'a Stage,
    /// Bytes of a copy, about: what the store takes for one.
    size: u64,
    ledger: RwLock<Ledger>,
    /// The last publication that was begun, and the last that must be served to whoever comes now.
    begun: AtomicU64,
    served: AtomicU64,
    end: Instant,
    /// Something broke: nobody goes on.
    broken: AtomicBool,
}

impl Shared<'_> {
    fn goes_on(&self) -> bool {
        Instant::now() < self.end && !self.broken.load(Ordering::Relaxed)
    }

    fn check(&self, copy: &Path, look: Look) -> anyhow::Result<Whole> {
        self.ledger.read().unwrap_or_else(PoisonError::into_inner).check(copy, look)
    }

    /// How long a client may be slowed down.
    fn slow(&self) -> Duration {
        (self.soak.length / 4).min(SLOW)
    }
}

/// One of those that loop.
struct Client<'a> {
    number: usize,
    shared: &'a Shared<'a>,
    copy: PathBuf,
    dice: Dice,
    cuts: usize,
}

impl Client<'_> {
    /// Rounds until the end.
    fn run(mut self, reports: &Sender<Report>) {
        let whole: u64 = HABITS.iter().map(|(_, _, times)| times).sum();
        for round in 0.. {
            if !self.shared.goes_on() {
                return;
            }
            let mut die = self.dice.below(whole);
            let chosen = HABITS.iter().find(|(_, _, times)| {
                let here = die < *times;
                die = die.saturating_sub(*times);
                here
            });
            let habit = chosen.map_or(Habit::Update, |(habit, _, _)| *habit);
            let look = if round % self.shared.soak.read_every == 0 { Look::Inside } else { Look::Outside };
            self.cuts = 0;
            let outcome = self.round(habit, look);
            if reports.send(Report { habit, outcome, cuts: self.cuts }).is_err() {
                return;
            }
        }
    }

    fn round(&mut self, habit: Habit, look: Look) -> Outcome {
        let served = self.shared.served.load(Ordering::SeqCst);
        if let Err(error) = self.sync(habit) {
            return Outcome::Failed(format!("client {}: {error:#}", self.number));
        }
        let began = self.shared.begun.load(Ordering::SeqCst);
        match self.shared.check(&self.copy, look) {
            Ok(whole) if whole.publication < served => {
                Outcome::Torn(format!("client {}: got {} when {served} was served", self.number, whole.publication))
            }
            Ok(whole) => Outcome::Whole(whole, began.saturating_sub(whole.publication)),
            Err(error) => Outcome::Torn(format!("client {}: {error:#}", self.number)),
        }
    }

    fn sync(&mut self, habit: Habit) -> anyhow::Result<()> {
        let (slow, plain) = (self.shared.slow(), ["-a", "--delete"].as_slice());
        if habit != Habit::Update && (habit != Habit::Packed || self.dice.below(2) == 0) {
            remove(&self.copy)?;
        }
        match habit {
            Habit::Update => self.visit(PORTAGE)?.finish(LIMIT),
            Habit::Fresh if self.dice.below(2) == 0 => self.visit(PORTAGE)?.finish(LIMIT),
            Habit::Fresh => self.visit(plain)?.finish(LIMIT),
            Habit::Packed => {
                let kinds = ["--zc=zstd", "--zc=lz4", "--zc=zlibx", "--zc=zlib"];
                let kind = kinds.get(usize::try_from(self.dice.below(4))?).context("there are four")?;
                self.visit(&["-az", kind, "--delete"])?.finish(LIMIT)
            }
            Habit::Cut => {
                for signal in [Signal::KILL, Signal::TERM] {
                    let mut visit = self.visit(PORTAGE)?;
                    let moment = self.dice.between(Duration::from_millis(10), Duration::from_millis(2_000));
                    visit.wait(moment)?;
                    self.cuts += usize::from(visit.cut(signal)?);
                }
                self.visit(PORTAGE)?.finish(LIMIT)
            }
            Habit::Limited => {
                let seconds = self.dice.between(slow / 8, slow).as_secs().max(1);
                let limit = format!("--bwlimit={}", (self.shared.size / 1024 / seconds).max(1));
                self.visit(&["-a", "--delete", &limit])?.finish(LIMIT + slow * 2)
            }
            Habit::HeldUp => {
                let mut visit = self.visit(plain)?;
                for _ in 0..2 {
                    visit.wait(self.dice.between(Duration::from_millis(10), Duration::from_millis(500)))?;
                    visit.signal(Signal::STOP);
                    // Twice as long is less than `limits.handshake`: it may not have said what it wants.
                    park_timeout(self.dice.between(slow / 16, slow / 5));
                    visit.signal(Signal::CONT);
                }
                visit.finish(LIMIT)
            }
        }
    }

    fn visit(&self, options: &[&str]) -> anyhow::Result<Visit> {
        let mut command = sync(self.shared.server, options, &self.copy);
        Visit::start(&mut command, &self.shared.stage.work.join(format!("client-{}.err", self.number)))
    }
}

fn sync(server: &Server, options: &[&str], copy: &Path) -> Command {
    let mut command = rsync(options);
    command.arg(server.url()).arg(copy);
    command
}

/// Publishes until the end; how long each took.
fn publish(shared: &Shared<'_>, source: &Source, dir: &Path) -> anyhow::Result<Vec<Duration>> {
    let (mut took, mut next) = (Vec::new(), Instant::now());
    for publication in FIRST + 1.. {
        next += shared.soak.pace;
        while shared.goes_on() && Instant::now() < next {
            park_timeout(next.saturating_duration_since(Instant::now()).min(Duration::from_millis(500)));
        }
        if !shared.goes_on() {
            break;
        }
        let changes = source.change(publication)?;
        shared.ledger.write().unwrap_or_else(PoisonError::into_inner).publish(publication, changes);
        shared.begun.store(publication, Ordering::SeqCst);
        took.push(import_one(dir, &source.tree)?);
        shared.served.store(publication, Ordering::SeqCst);
    }
    Ok(took)
}

fn import_one(dir: &Path, tree: &Path) -> anyhow::Result<Duration> {
    let (took, output) = run_one(&mut import(dir, tree), LIMIT)?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(told.starts_with("Published"), "nothing was published: {told}");
    Ok(took.wall)
}

/// Takes what clients report and looks at the node, until all clients have ended.
fn watch(shared: &Shared<'_>, dir: &Path, reports: &Receiver<Report>, tally: &mut Tally) -> anyhow::Result<Course> {
    let mut course = Course::of(shared.soak.length);
    let pace = shared.soak.pace.min(shared.soak.length / LOOKS);
    let mut next = Instant::now() + pace;
    let mut news = Instant::now() + NEWS;
    loop {
        match reports.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(report) => tally.take(report),
            Err(RecvTimeoutError::Disconnected) => return Ok(course),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if Instant::now() < next {
            continue;
        }
        next += pace;
        // What comes after the end is the last of the slow ones.
        if shared.goes_on() {
            course.take(health(shared.server, dir)?);
        }
        if Instant::now() >= news {
            news += NEWS;
            say(&format!(
                "{} publications, {} rounds, {} torn, {} failed; {}",
                shared.served.load(Ordering::SeqCst),
                tally.all(),
                tally.torn.len(),
                tally.failed.len(),
                course.last_told()
            ));
        }
    }
}

/// All clients at once, each of which must get the publication that is served.
fn crowd(shared: &Shared<'_>, options: &[&str]) -> anyhow::Result<()> {
    let copy = |number: usize| shared.copies.join(number.to_string());
    let clients = 0..shared.soak.clients;
    let mut commands: Vec<Command> =
        clients.clone().map(|number| sync(shared.server, options, &copy(number))).collect();
    run_all(&mut commands, LIMIT, &mut || Ok(()))?;
    for number in clients {
        let whole = shared.check(&copy(number), Look::Inside)?;
        let served = shared.served.load(Ordering::SeqCst);
        ensure!(whole.publication == served, "client {number} got {}, and {served} is served", whole.publication);
    }
    Ok(())
}

fn main() -> anyhow::Result<ExitCode> {
    let soak = &Options::read()?.soak;
    let machine = machine::told()?;
    let stage = Stage::open("soak", soak.files)?;
    let (source, ledger) = Source::of(&stage.tree, stage.work.join("source"))?;
    let size = soak.files * FILE_ROOM;
    let copies = Copies::with_room(&stage, size * u64::try_from(soak.clients)?)?;
    std::fs::create_dir(&copies.0)?;
    let dir = init(&stage.work, "node")?;
    keep_only(&dir, KEEP)?;
    let server = Server::headwater(&dir)?;
    import_one(&dir, &source.tree)?;
    let mut shared = Shared {
        soak,
        server: &server,
        copies: &copies.0,
        stage: &stage,
        size: on_disk(&dir)?,
        ledger: RwLock::new(ledger),
        begun: AtomicU64::new(FIRST),
        served: AtomicU64::new(FIRST),
        end: Instant::now(),
        broken: AtomicBool::new(false),
    };
    say(&format!("{} files, {} clients: a first crowd", soak.files, soak.clients));
    crowd(&shared, &["-a", "--delete"])?;
    crowd(&shared, PORTAGE)?;
    let before = idle_health(&server, &dir, None)?;
    say(&format!("{} s, a publication every {} s", soak.length.as_secs(), soak.pace.as_secs()));
    shared.end = Instant::now() + soak.length;
    let mut tally = Tally::default();
    let (course, published) = course(&shared, &source, &dir, &mut tally)?;
    let last = crowd(&shared, PORTAGE);
    run_one(&mut headwater(&dir, "sweep"), LIMIT)?;
    let after = idle_health(&server, &dir, Some(before.files))?;
    let told = Told { before, after, course, published, tally, large: large_files(&dir)?, last };
    told.print(&machine, soak)
}

/// Everybody at work, until the end.
fn course(
    shared: &Shared<'_>,
    source: &Source,
    dir: &Path,
    tally: &mut Tally,
) -> anyhow::Result<(Course, Vec<Duration>)> {
    let (sender, reports) = channel();
    thread::scope(|scope| {
        for number in 0..shared.soak.clients {
            let (copy, dice) = (shared.copies.join(number.to_string()), Dice(u64::try_from(number)?));
            let (client, sender) = (Client { number, shared, copy, dice, cuts: 0 }, sender.clone());
            scope.spawn(move || client.run(&sender));
        }
        drop(sender);
        let stop = |_: &anyhow::Error| shared.broken.store(true, Ordering::Relaxed);
        let publisher = scope.spawn(move || publish(shared, source, dir).inspect_err(stop));
        let course = watch(shared, dir, &reports, tally).inspect_err(stop)?;
        let published = publisher.join().map_err(|_| anyhow::anyhow!("the publisher failed"))??;
        Ok((course, published))
    })
}

/// All there is to tell.
struct Told {
    before: Health,
    after: Health,
    course: Course,
    published: Vec<Duration>,
    tally: Tally,
    large: usize,
    last: anyhow::Result<()>,
}

impl Told {
    fn print(&self, machine: &str, soak: &Soak) -> anyhow::Result<ExitCode> {
        let Told { tally, published, .. } = self;
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "\n{machine}{} files, {} clients, {} s, a publication every {} s\n",
            soak.files,
            soak.clients,
            soak.length.as_secs(),
            soak.pace.as_secs()
        )?;
        self.course.print(&mut out, &self.before, &self.after)?;
        writeln!(out, "\n{} rounds, each with a check:", tally.all())?;
        for (habit, what, _) in HABITS {
            writeln!(out, "{:>8}  {what}", tally.rounds.get(&habit).copied().unwrap_or_default())?;
        }
        let mut sorted = published.clone();
        sorted.sort_unstable();
        writeln!(
            out,
            "{} clients were cut on purpose; during the longest sync {} publications began.\n\
             {} publications after the first, median {:.2?}, longest {:.2?}.\n",
            tally.cuts,
            tally.most_passed,
            published.len(),
            sorted.get(sorted.len() / 2).copied().unwrap_or_default(),
            sorted.last().copied().unwrap_or_default(),
        )?;
        let mut failed = 0;
        for (what, verdict) in self.verdicts() {
            match verdict {
                Ok(told) => writeln!(out, "ok      {what}: {told}")?,
                Err(told) => {
                    failed += 1;
                    writeln!(out, "FAILED  {what}: {told}")?;
                }
            }
        }
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn verdicts(&self) -> Vec<(&'static str, Result<String, String>)> {
        let Told { before, after, course, tally, .. } = self;
        let said = |met: bool, told: String| if met { Ok(told) } else { Err(told) };
        let first =
            |list: &[String]| list.first().map_or_else(|| "0".to_owned(), |one| format!("{}: {one}", list.len()));
        let missing = HABITS.iter().find(|(habit, _, _)| !tally.rounds.contains_key(habit));
        let kept = KEEP.min(self.published.len() + 1);
        vec![
            ("torn trees", said(tally.torn.is_empty(), first(&tally.torn))),
            ("failed clients", said(tally.failed.is_empty(), first(&tally.failed))),
            ("every habit seen", said(missing.is_none(), missing.map_or("yes", |(_, what, _)| *what).to_owned())),
            (
                "all have the last publication",
                self.last.as_ref().map(|()| "yes".to_owned()).map_err(|error| format!("{error:#}")),
            ),
            ("memory flat", course.flat(|health| health.memory)),
            ("store flat", course.flat(|health| health.store)),
            (
                "open files with no client, before and after",
                said(before.files == after.files, format!("{} and {}", before.files, after.files)),
            ),
            (
                "open in pools, before and after",
                said(
                    after.pooled <= before.pooled + pools_may_grow(),
                    format!("{} and {}, at most {} more", before.pooled, after.pooled, pools_may_grow()),
                ),
            ),
            ("generations left", said(after.generations == kept as u64, after.generations.to_string())),
            ("large contents left", said(self.large == kept, self.large.to_string())),
        ]
    }
}
