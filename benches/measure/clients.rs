//! Running commands, one or many at once, each with an end.

use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::proc;

/// What Portage gives to rsync (its `PORTAGE_RSYNC_OPTS`).
pub(crate) const PORTAGE: &[&str] = &[
    "--recursive",
    "--links",
    "--safe-links",
    "--perms",
    "--times",
    "--omit-dir-times",
    "--compress",
    "--force",
    "--whole-file",
    "--delete",
    "--stats",
    "--human-readable",
    "--timeout=180",
    "--exclude=/distfiles",
    "--exclude=/local",
    "--exclude=/packages",
    "--exclude=/.git",
];

/// How often somebody looks while commands run.
const LOOK: Duration = Duration::from_millis(200);

/// What running some commands took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    /// From the first start to the last end.
    pub(crate) wall: Duration,
    /// Processor time of the commands themselves.
    pub(crate) cpu: Duration,
}

/// A stock client.
pub(crate) fn rsync(arguments: &[&str]) -> Command {
    let mut command = Command::new("rsync");
    command.args(arguments).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C");
    command
}

/// Runs a command to its end, which must be a good one.
pub(crate) fn run_one(command: &mut Command, limit: Duration) -> anyhow::Result<(Took, Output)> {
    let (took, mut outputs) = run_all(std::slice::from_mut(command), limit, &mut || Ok(()))?;
    Ok((took, outputs.pop().context("a command has no output")?))
}

/// Runs commands at once, until all have ended well, and lets `look` look from time to time.
pub(crate) fn run_all(
    commands: &mut [Command],
    limit: Duration,
    look: &mut dyn FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<(Took, Vec<Output>)> {
    let places = commands.len();
    run_queue(commands, places, limit, &mut |_| look())
}

/// Runs commands, so many at a time, until all have ended well; lets `look` look from time to time, and whenever one has
/// ended, and tells it how many have.
pub(crate) fn run_queue(
    commands: &mut [Command],
    places: usize,
    limit: Duration,
    look: &mut dyn FnMut(usize) -> anyhow::Result<()>,
) -> anyhow::Result<(Took, Vec<Output>)> {
    let (before, start) = (proc::reaped()?, Instant::now());
    let mut running = Running::default();
    let (sender, ended) = channel();
    let mut waiting = commands.iter_mut();
    let mut begin = |running: &mut Running| -> anyhow::Result<()> {
        let Some(command) = waiting.next() else { return Ok(()) };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("start {}", command.get_program().display()))?;
        running.0.push(child.id());
        let sender = sender.clone();
        thread::spawn(move || wait(child, &sender));
        Ok(())
    };
    for _ in 0..places {
        begin(&mut running)?;
    }
    let mut outputs = Vec::new();
    while !running.0.is_empty() {
        if start.elapsed() > limit {
            bail!("not done after {} s", limit.as_secs());
        }
        match ended.recv_timeout(LOOK) {
            Ok((pid, output)) => {
                running.0.retain(|running| *running != pid);
                let output = output?;
                if !output.status.success() {
                    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
                    bail!("a command failed, {}: {out}{err}", output.status);
                }
                outputs.push(output);
                begin(&mut running)?;
                look(outputs.len())?;
            }
            Err(RecvTimeoutError::Timeout) => look(outputs.len())?,
            Err(RecvTimeoutError::Disconnected) => bail!("nobody waits for the commands"),
        }
    }
    Ok((Took { wall: start.elapsed(), cpu: proc::reaped()?.saturating_sub(before) }, outputs))
}

fn wait(child: Child, sender: &std::sync::mpsc::Sender<(u32, std::io::Result<Output>)>) {
    let pid = child.id();
    // Nobody listens any more after a failure.
    let _ = sender.send((pid, child.wait_with_output()));
}

/// Commands that run; they end with this.
#[derive(Default)]
struct Running(Vec<u32>);

impl Drop for Running {
    fn drop(&mut self) {
        for pid in &self.0 {
            signal(*pid, Signal::KILL);
        }
    }
}

/// Sends a signal to a process that this program started and has not reaped.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended.
        let _ = kill_process(pid, signal);
    }
}
