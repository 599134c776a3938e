//! The hostile clients as seen by the bench: a child process that says when it has begun, and at the end what it was told.
//!
//! It goes on for as long as this holds its standard input open, and never survives this.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

use super::child::{HOSTILE, Job, READY};

/// Longest time until ten thousand connections are open, or until all clients of a kind have ended.
const PATIENCE: Duration = Duration::from_secs(300);

/// Hostile clients that are at work.
pub(crate) struct Hostile {
    child: Child,
    input: Option<ChildStdin>,
    said: Receiver<String>,
}

impl Hostile {
    /// Starts them, and waits until they have begun.
    pub(crate) fn start(job: &Job, address: SocketAddr) -> anyhow::Result<Hostile> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(HOSTILE).arg(address.to_string()).args(job.words());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (sender, said) = channel();
        let output = BufReader::new(child.stdout.take().context("a child has no output")?);
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let input = child.stdin.take();
        let hostile = Hostile { child, input, said };
        match hostile.said.recv_timeout(PATIENCE) {
            Ok(line) if line == READY => Ok(hostile),
            Ok(line) => bail!("the hostile clients failed: {line}"),
            Err(_) => bail!("the hostile clients did not begin"),
        }
    }

    /// Ends them; gives what they have to say.
    pub(crate) fn end(mut self) -> anyhow::Result<Vec<String>> {
        self.input = None;
        let mut told = Vec::new();
        while let Ok(line) = self.said.recv_timeout(PATIENCE) {
            told.push(line);
        }
        if !self.child.wait()?.success() {
            bail!("the hostile clients failed");
        }
        Ok(told)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
