//! The stock client.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::edition::{self, Lines};
use super::node::Node;
use super::place::MODULE;
use super::wait;

/// rsync without the developer's habits; it gives up by itself when nothing moves.
pub(crate) fn rsync(port: u16, options: &[&str], target: Option<&Path>) -> Child {
    let path = std::env::vars_os().find(|(name, _)| name == "PATH").map(|(_, path)| path).unwrap_or_default();
    let mut command = Command::new("rsync");
    command.env_clear().env("PATH", path).env("LC_ALL", "C").args(["--contimeout=20", "--timeout=30"]).args(options);
    command.arg(format!("rsync://127.0.0.1:{port}/{MODULE}/")).args(target);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("rsync is on PATH: install it, as with `apt install rsync`")
}

/// Begins to pull everything into a new directory.
pub(crate) fn begin(port: u16, target: &Path) -> Child {
    rsync(port, &["-a", "--delete"], Some(target))
}

/// What the client said.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Waits for a client that must have got everything, and gives what it has.
#[track_caller]
pub(crate) fn whole(client: Child, target: &Path) -> Lines {
    let output = wait::output(client, "rsync");
    assert!(output.status.success(), "{output:?}");
    edition::lines(target)
}

/// Pulls everything into a new directory.
#[track_caller]
pub(crate) fn pull(node: &Node<'_>) -> Lines {
    let target = node.place.fresh();
    whole(begin(node.port, &target), &target)
}
