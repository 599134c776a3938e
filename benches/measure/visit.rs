//! A stock client that is cut, or held up, on its way: alone in a process group, because rsync is two processes.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

/// How often somebody looks whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Longest time that its processes take to end after a signal.
const ENDING: Duration = Duration::from_secs(10);

/// What it leaves of its messages, at most.
const TOLD: usize = 2_000;

/// A client that runs; it ends with this.
pub(crate) struct Visit {
    child: Child,
    group: Pid,
    errors: PathBuf,
}

impl Visit {
    /// Starts it; what it says goes to `errors`.
    pub(crate) fn start(command: &mut Command, errors: &Path) -> anyhow::Result<Visit> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(errors)?).process_group(0);
        let child = command.spawn().context("start a client")?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a client has no number")?;
        Ok(Visit { child, group, errors: errors.to_owned() })
    }

    /// Waits until it has ended, for so long; `None`: it runs on.
    pub(crate) fn wait(&mut self, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            match self.child.try_wait()? {
                None if start.elapsed() < limit => park_timeout(LOOK),
                ended => return Ok(ended),
            }
        }
    }

    /// Waits until it has ended, and well.
    pub(crate) fn finish(mut self, limit: Duration) -> anyhow::Result<()> {
        match self.wait(limit)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => {
                let told = fs::read(&self.errors)?;
                bail!("{status}: {}", String::from_utf8_lossy(told.get(..TOLD).unwrap_or(&told)))
            }
            None => bail!("not done after {} s", limit.as_secs()),
        }
    }

    /// Gives all of it a signal. It may have ended.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.group, signal);
    }

    /// Cuts it; nothing writes to its copy any more. Whether there was something to cut.
    pub(crate) fn cut(mut self, signal: Signal) -> anyhow::Result<bool> {
        if self.child.try_wait()?.is_some() {
            return Ok(false);
        }
        self.signal(signal);
        ensure!(self.wait(ENDING)?.is_some(), "a client did not end when it was cut");
        let start = Instant::now();
        while test_kill_process_group(self.group).is_ok() {
            ensure!(start.elapsed() < ENDING, "a client that was cut has left a process");
            park_timeout(LOOK);
        }
        Ok(true)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}
