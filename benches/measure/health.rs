//! How a node is over time: memory, open files, threads, its store; and whether that grows.
//!
//! A node fills its caches and pools first, so the first quarter of a run is only told. The last quarter is held against
//! the second one, median against median.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use anyhow::Context;
use headwater::store::{Kept, Reader};

use super::machine;
use super::server::Server;

/// How often somebody looks whether it has.
const LOOK: Duration = Duration::from_millis(200);

/// Longest time that a node takes to put away what clients left.
const SETTLE: Duration = Duration::from_secs(60);

/// Of a shorter run nobody can say that something grew: all kept generations have to be there in its second quarter.
const JUDGED: Duration = Duration::from_secs(300);

/// What may come on top of the second quarter's median in the last one's: a tenth, and so many bytes.
const GRANTED: u64 = 8_000_000;

/// A look at a node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Health {
    /// Proportional share, in bytes.
    pub(crate) memory: u64,
    /// Open files, but for those of the pools.
    pub(crate) files: u64,
    /// Open files of the pools.
    pub(crate) pooled: u64,
    pub(crate) threads: u64,
    /// What the data directory takes on the disk, in bytes.
    pub(crate) store: u64,
    /// Kept, of all channels' first.
    pub(crate) generations: u64,
}

/// What it is called, and what it is.
type Row = (&'static str, fn(&Health) -> u64, Unit);

/// What is looked at, in the order of the table.
const ROWS: [Row; 6] = [
    ("memory (PSS)", |health| health.memory, Unit::Bytes),
    ("open files", |health| health.files, Unit::Count),
    ("open in pools", |health| health.pooled, Unit::Count),
    ("threads", |health| health.threads, Unit::Count),
    ("store on disk", |health| health.store, Unit::Bytes),
    ("generations kept", |health| health.generations, Unit::Count),
];

#[derive(Clone, Copy)]
enum Unit {
    Bytes,
    Count,
}

impl Unit {
    fn told(self, number: u64) -> String {
        match self {
            Unit::Bytes => format!("{}.{} MB", number / 1_000_000, number / 100_000 % 10),
            Unit::Count => number.to_string(),
        }
    }
}

/// Looks at a node.
pub(crate) fn health(server: &Server, dir: &Path) -> anyhow::Result<Health> {
    let open = server.open_files()?;
    Ok(Health {
        memory: server.pss()?,
        files: u64::try_from(open.others)?,
        pooled: u64::try_from(open.pooled)?,
        threads: u64::try_from(server.threads()?)?,
        store: on_disk(dir)?,
        generations: u64::try_from(generations(dir)?)?,
    })
}

/// The same once it has put away what the last client left, also open files beyond `files`, if it ever does.
pub(crate) fn idle_health(server: &Server, dir: &Path, files: Option<u64>) -> anyhow::Result<Health> {
    let start = Instant::now();
    server.settled_pss()?;
    loop {
        let health = health(server, dir)?;
        if files.is_none_or(|files| health.files <= files) || start.elapsed() > SETTLE {
            return Ok(health);
        }
        park_timeout(LOOK);
    }
}

/// How many files a node's pools may have open beyond those of an earlier look: eight readers of the database with two files
/// each, and two pipes with two ends for each core.
pub(crate) fn pools_may_grow() -> u64 {
    8 * 2 + 2 * 2 * machine::cores() as u64
}

/// How many generations of its first channel a node keeps.
pub(crate) fn generations(dir: &Path) -> anyhow::Result<usize> {
    let reader = Reader::open(dir)?;
    let head = reader.heads()?.into_iter().next().context("nothing is published")?;
    Ok(reader.history(&head.channel)?.iter().filter(|publication| publication.kept == Kept::Yes).count())
}

/// How many large contents a node has.
pub(crate) fn large_files(dir: &Path) -> anyhow::Result<usize> {
    let mut count = 0;
    files_below(&dir.join("large"), &mut |_| count += 1)?;
    Ok(count)
}

/// What all files of a directory take on the disk, in bytes.
pub(crate) fn on_disk(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    files_below(directory, &mut |found| bytes += found.blocks() * 512)?;
    Ok(bytes)
}

fn files_below(root: &Path, found: &mut dyn FnMut(&fs::Metadata)) -> anyhow::Result<()> {
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            // A file may go while somebody looks.
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if metadata.is_dir() {
                open.push(path);
            } else {
                found(&metadata);
            }
        }
    }
    Ok(())
}

/// All looks of a run.
pub(crate) struct Course {
    length: Duration,
    looks: Vec<Health>,
}

impl Course {
    /// Of a run of such a length.
    pub(crate) fn of(length: Duration) -> Course {
        Course { length, looks: Vec::new() }
    }

    /// One more.
    pub(crate) fn take(&mut self, health: Health) {
        self.looks.push(health);
    }

    /// The last one, in words.
    pub(crate) fn last_told(&self) -> String {
        let last = self.looks.last().copied().unwrap_or_default();
        let told = ROWS.map(|(what, value, unit)| format!("{what} {}", unit.told(value(&last))));
        told.join(", ")
    }

    fn quarter(&self, number: usize) -> &[Health] {
        let at = |number: usize| self.looks.len() * number / 4;
        self.looks.get(at(number)..at(number + 1)).unwrap_or_default()
    }

    /// Whether the last quarter has no more of something, in bytes, than is granted on top of the second one.
    pub(crate) fn flat(&self, value: fn(&Health) -> u64) -> Result<String, String> {
        let (second, last) = (median(self.quarter(1), value), median(self.quarter(3), value));
        let limit = second + second / 10 + GRANTED;
        let [second, last, most] = [second, last, limit].map(|bytes| Unit::Bytes.told(bytes));
        let told = format!("last quarter {last}, second quarter {second}, at most {most}");
        if self.length < JUDGED {
            return Ok(format!("{told} (too short to be judged)"));
        }
        if median(self.quarter(3), value) <= limit { Ok(told) } else { Err(told) }
    }

    /// The table: a row for each thing that was looked at.
    pub(crate) fn print(&self, out: &mut dyn Write, before: &Health, after: &Health) -> anyhow::Result<()> {
        let heads = ["no client yet", "1st quarter", "2nd quarter", "last quarter", "most", "all gone"];
        let cells = |cells: [String; 6]| cells.map(|cell| format!("{cell:>14}")).concat();
        writeln!(out, "{:<18}{}", "", cells(heads.map(str::to_owned)))?;
        for (what, value, unit) in ROWS {
            let numbers = [
                value(before),
                median(self.quarter(0), value),
                median(self.quarter(1), value),
                median(self.quarter(3), value),
                self.looks.iter().map(value).max().unwrap_or_default(),
                value(after),
            ];
            writeln!(out, "{what:<18}{}", cells(numbers.map(|number| unit.told(number))))?;
        }
        writeln!(out, "\nQuarters: medians of {} looks.", self.looks.len())?;
        Ok(())
    }
}

fn median(looks: &[Health], value: fn(&Health) -> u64) -> u64 {
    let mut values: Vec<u64> = looks.iter().map(value).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
