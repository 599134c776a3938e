//! What the numbers were measured with.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::Context;

/// How many cores there are.
pub(crate) fn cores() -> usize {
    available_parallelism().map_or(1, Into::into)
}

/// The machine, and both programs, in two lines.
pub(crate) fn told() -> anyhow::Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib: u64 = memory.split_ascii_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(format!(
        "{} cores, {}, {} GiB, Linux {}, load before {}\n{}; {}\n",
        cores(),
        model.trim_start_matches([' ', '\t', ':']),
        kib.div_ceil(1 << 20),
        kernel.trim(),
        load.split(' ').next().unwrap_or("unknown"),
        version("rsync")?,
        version(env!("CARGO_BIN_EXE_headwater"))?,
    ))
}

fn version(program: &str) -> anyhow::Result<String> {
    let output = Command::new(program).arg("--version").output().with_context(|| format!("start {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = text.lines().next().unwrap_or_default().split_ascii_whitespace().collect();
    let name = Path::new(words.first().unwrap_or(&program)).display().to_string();
    Ok(format!(
        "{name} {}",
        words.iter().skip(1).filter(|word| **word != "version").take(1).copied().collect::<String>()
    ))
}
