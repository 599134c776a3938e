//! Where clients write to: a file system in memory if it has the room, so that the disk does not set the pace.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::ensure;

use super::stage::{Stage, remove};

/// A file system in memory, on most machines.
const MEMORY: &str = "/dev/shm";

/// A directory that does not exist yet, and goes with the program.
pub(crate) struct Copies(pub(crate) PathBuf);

impl Copies {
    /// One with so many bytes of room.
    pub(crate) fn with_room(stage: &Stage, needed: u64) -> anyhow::Result<Copies> {
        let room = |path: &Path| rustix::fs::statvfs(path).map_or(0, |found| found.f_bavail * found.f_frsize);
        let memory = Path::new(MEMORY);
        let root = if room(memory) >= needed && free_memory()? >= needed { memory } else { stage.work.as_path() };
        ensure!(room(root) >= needed, "{} needs {} MiB of room", root.display(), needed >> 20);
        Ok(Copies(root.join(format!("headwater-bench-{}", std::process::id()))))
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        // What stays lies in memory until somebody removes it; there is nobody to tell.
        let _ = remove(&self.0);
    }
}

/// What the kernel could give without writing anything out.
fn free_memory() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap_or_default();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or_default();
    Ok(kib << 10)
}
