//! The place on the disk where everything happens: `target/bench`.
//!
//! The sample is made once and kept; remove `target/bench` to have it made anew. All else lies in a directory of its own
//! and goes with the program. A lock keeps two programs from measuring each other.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};

use super::clients::run_one;

/// Longest time in which a sample of any sensible size is made.
const SAMPLE: Duration = Duration::from_secs(600);

/// Where a bench program works.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The sample tree; without a sample, where everything is.
    pub(crate) tree: PathBuf,
    /// Empty at the start, gone at the end.
    pub(crate) work: PathBuf,
    root: PathBuf,
    _lock: File,
}

impl Stage {
    /// Takes the place, with a sample of so many files.
    pub(crate) fn open(name: &str, files: u64) -> anyhow::Result<Stage> {
        let mut stage = Stage::bare(name)?;
        stage.tree = stage.sample(files)?;
        Ok(stage)
    }

    /// Takes the place, without a sample.
    pub(crate) fn bare(name: &str) -> anyhow::Result<Stage> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("there is no target directory")?;
        let root = target.join("bench");
        fs::create_dir_all(&root)?;
        let lock = File::create(root.join("lock"))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("another bench program runs in {}: they would measure each other", root.display());
        }
        let work = root.join(format!("work-{name}"));
        remove(&work)?;
        fs::create_dir(&work)?;
        Ok(Stage { tree: work.clone(), work, root, _lock: lock })
    }

    /// A tree of so many files, made if it is not there from another time.
    pub(crate) fn sample(&self, files: u64) -> anyhow::Result<PathBuf> {
        let sample = self.root.join(format!("sample-{files}"));
        if !sample.exists() {
            say(&format!("making a sample of {files} files"));
            let unfinished = self.root.join("sample-unfinished");
            remove(&unfinished)?;
            let mut make = Command::new(env!("CARGO_BIN_EXE_headwater"));
            run_one(make.arg("sample").arg(&unfinished).args(["--files", &files.to_string()]), SAMPLE)?;
            fs::rename(&unfinished, &sample)?;
        }
        Ok(sample.join("gentoo"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What stays is removed by the next run.
        let _ = remove(&self.work);
    }
}

/// Removes a directory, if it is there.
pub(crate) fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Has everything written to the disk, so that nothing of before is written during what is measured next.
pub(crate) fn settle_disk() {
    rustix::fs::sync();
}

/// Tells what is going on, to standard error.
pub(crate) fn say(text: &str) {
    // Who has closed standard error does not want to know.
    let _ = writeln!(std::io::stderr(), "{text}");
}
