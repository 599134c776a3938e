//! A directory that changes before each publication, in every way that a torn copy could show.
//!
//! Files of the sample get a line with the number of the publication, of the same length each time; one large file is all
//! new; some files come, and go again some publications later with their directory; one entry is in turn a file, a
//! directory and a link. All that changed has the publication's time. Files are replaced, never written: the sample that
//! they are links to stays as it was made.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};

use super::clients::run_one;
use super::ledger::{Fact, Ledger, MARK};

/// Longest time for the copy of a sample.
const LIMIT: Duration = Duration::from_secs(300);

/// The first publication.
pub(crate) const FIRST: u64 = 1;

/// The time of publication 0, later than all times of a sample: 2026-06-01.
const BEGINNING: u64 = 1_780_272_000;

/// What is not of the sample.
const OURS: &str = "app-soak";

/// Larger than what a node keeps in its database.
const LARGE: u64 = 3 << 19;

/// Of so many files one is changed.
const SHARE: usize = 100;

/// New files of a publication.
const ADDED: u64 = 5;

/// For how many publications they stay.
const STAY: u64 = 3;

/// The directory, and what is changed in it.
pub(crate) struct Source {
    pub(crate) tree: PathBuf,
    sample: PathBuf,
    files: Vec<PathBuf>,
}

type Changes = Vec<(PathBuf, Option<Fact>)>;

impl Source {
    /// A copy of the sample, ready for the first publication.
    pub(crate) fn of(sample: &Path, tree: PathBuf) -> anyhow::Result<(Source, Ledger)> {
        run_one(Command::new("cp").args(["-al", "--"]).args([sample, tree.as_path()]), LIMIT)?;
        let mut files = Vec::new();
        let mut open = vec![tree.clone()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    open.push(entry.path());
                } else if entry.path().extension().is_some_and(|extension| extension == "ebuild") {
                    files.push(entry.path().strip_prefix(&tree)?.to_owned());
                }
            }
        }
        files.sort();
        ensure!(!files.is_empty(), "the sample has no ebuilds");
        let source = Source { tree, sample: sample.to_owned(), files };
        fs::create_dir(source.tree.join(OURS))?;
        source.change(FIRST)?;
        let ledger = Ledger::of(&source.tree, FIRST)?;
        Ok((source, ledger))
    }

    /// Makes the next publication of it.
    pub(crate) fn change(&self, publication: u64) -> anyhow::Result<Changes> {
        let mut changes = Vec::new();
        let line = format!("# publication {publication:08}\n");
        self.put(Path::new(MARK), &[format!("{publication:08}\n").as_bytes()], publication, &mut changes)?;
        self.put(&Path::new(OURS).join("large"), &[&noise(publication)], publication, &mut changes)?;
        // Others each time, and now and then the same as before.
        let from = usize::try_from(publication)? % SHARE;
        for path in self.files.iter().skip(from).step_by(SHARE).chain(self.files.iter().take(SHARE / 4)) {
            let original = fs::read(self.sample.join(path))?;
            self.put(path, &[&original, line.as_bytes()], publication, &mut changes)?;
        }
        self.add(publication, &line, &mut changes)?;
        self.turn(publication, &line, &mut changes)?;
        Ok(changes)
    }

    /// Files that come, and those that have been there long enough.
    fn add(&self, publication: u64, line: &str, changes: &mut Changes) -> anyhow::Result<()> {
        let of = |publication: u64| Path::new(OURS).join(format!("of-{publication}"));
        let names = || (0..ADDED).map(|number| format!("file-{number}"));
        self.directory(&of(publication), changes)?;
        for name in names() {
            self.put(&of(publication).join(&name), &[name.as_bytes(), line.as_bytes()], publication, changes)?;
        }
        let Some(old) = publication.checked_sub(STAY).filter(|old| *old >= FIRST).map(of) else { return Ok(()) };
        fs::remove_dir_all(self.tree.join(&old))?;
        changes.extend(names().map(|name| (old.join(name), None)));
        changes.push((old, None));
        Ok(())
    }

    /// One name, which is something else each time.
    fn turn(&self, publication: u64, line: &str, changes: &mut Changes) -> anyhow::Result<()> {
        let name = Path::new(OURS).join("turn");
        let (path, inside) = (self.tree.join(&name), name.join("inside"));
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {
                fs::remove_dir_all(&path)?;
                changes.push((inside.clone(), None));
            }
            Ok(_) => fs::remove_file(&path)?,
            Err(_) => {}
        }
        match publication % 3 {
            0 => self.put(&name, &[line.as_bytes()], publication, changes)?,
            1 => {
                self.directory(&name, changes)?;
                self.put(&inside, &[line.as_bytes()], publication, changes)?;
            }
            _ => {
                symlink(format!("of-{publication}/file-0"), &path)?;
                changes.push((name, Some(Fact::of(&path)?)));
            }
        }
        Ok(())
    }

    fn directory(&self, name: &Path, changes: &mut Changes) -> anyhow::Result<()> {
        let path = self.tree.join(name);
        fs::create_dir(&path)?;
        changes.push((name.to_owned(), Some(Fact::of(&path)?)));
        Ok(())
    }

    /// Puts a new file in the place of an old one, if there is one.
    fn put(&self, name: &Path, parts: &[&[u8]], publication: u64, changes: &mut Changes) -> anyhow::Result<()> {
        let path = self.tree.join(name);
        let new = PathBuf::from(format!("{}.new", path.display()));
        let mut out = BufWriter::new(File::create(&new)?);
        for part in parts {
            out.write_all(part)?;
        }
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(BEGINNING + publication);
        out.into_inner()?.set_modified(time)?;
        fs::rename(&new, &path).with_context(|| path.display().to_string())?;
        changes.push((name.to_owned(), Some(Fact::of(&path)?)));
        Ok(())
    }
}

/// The large file of a publication, which no compressor makes smaller.
fn noise(publication: u64) -> Vec<u8> {
    let mut dice = Dice(publication);
    (0..LARGE / 8).flat_map(|_| dice.roll().to_le_bytes()).collect()
}

/// Numbers that look like chance, the same in every run (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// Any number.
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One below a limit.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit.max(1)
    }

    /// A time within bounds.
    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_millis()).unwrap_or(u64::MAX);
        least + Duration::from_millis(self.below(span))
    }
}
