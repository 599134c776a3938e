//! Processor time and memory of a process and its children, as the kernel counts them.
//!
//! Processor time has a grain of 10 ms, so what is shorter is measured over several runs. A child's time counts from the
//! moment that its parent has reaped it: readings are taken when no child is left.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// One tick of the times in `/proc/PID/stat`: USER_HZ is 100 on every architecture that this runs on.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of a process and of its children that were reaped.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let [own_user, own_system, child_user, child_system] = ticks(&fs::read_to_string(format!("/proc/{pid}/stat"))?)?;
    Ok(TICK * (own_user + own_system + child_user + child_system))
}

/// Processor time of this program's own children that were reaped: the clients, while the servers run.
pub(crate) fn reaped() -> anyhow::Result<Duration> {
    let [_, _, user, system] = ticks(&fs::read_to_string("/proc/self/stat")?)?;
    Ok(TICK * (user + system))
}

/// Fields 14 to 17: utime, stime, cutime, cstime. The name, field 2, may contain anything but ends with the last bracket.
fn ticks(stat: &str) -> anyhow::Result<[u32; 4]> {
    let (_, rest) = stat.rsplit_once(')').context("/proc/PID/stat has no name")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let times = fields.get(11..15).context("/proc/PID/stat is short")?;
    let mut found = [0; 4];
    for (place, field) in found.iter_mut().zip(times) {
        *place = field.parse()?;
    }
    Ok(found)
}

/// The children of a process, of all its threads, also those that ended and were not reaped.
pub(crate) fn children(pid: u32) -> anyhow::Result<Vec<u32>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that ended since has no children.
        let Ok(text) = fs::read_to_string(task?.path().join("children")) else { continue };
        for word in text.split_ascii_whitespace() {
            found.push(word.parse()?);
        }
    }
    Ok(found)
}

/// The files that a process has open.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OpenFiles {
    /// Of what a node opens where it first needs one more and then keeps, up to a limit: database files and pipes.
    pub(crate) pooled: usize,
    /// All others: sockets, contents, and what was open at the start.
    pub(crate) others: usize,
}

/// The files that a process has open.
pub(crate) fn open_files(pid: u32) -> anyhow::Result<OpenFiles> {
    let mut open = OpenFiles::default();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // It may be closed since.
        let Ok(target) = fs::read_link(entry?.path()) else { continue };
        let target = target.to_string_lossy();
        match target.starts_with("pipe:") || target.contains("headwater.db") {
            true => open.pooled += 1,
            false => open.others += 1,
        }
    }
    Ok(open)
}

/// How many threads a process has.
pub(crate) fn threads(pid: u32) -> anyhow::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/task"))?.count())
}

/// Proportional share of memory, in bytes, of a process and all below it.
pub(crate) fn pss(pid: u32) -> anyhow::Result<u64> {
    let mut sum = pss_of(pid).with_context(|| format!("read the memory of process {pid}"))?;
    let mut open = children(pid)?;
    while let Some(child) = open.pop() {
        // A child may end while it is looked at.
        let (Ok(bytes), Ok(below)) = (pss_of(child), children(child)) else { continue };
        sum += bytes;
        open.extend(below);
    }
    Ok(sum)
}

fn pss_of(pid: u32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("there is no Pss line")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib << 10)
}
