//! The two servers on ports of 127.0.0.1, and the stock client against each.
//!
//! headwater runs as one node: three trees are imported before it starts, and what it serves is checked against them entry
//! by entry while the stock daemon's copies are pulled from it (they need the node's own `metadata/timestamp.chk`). The stock
//! daemon runs as inetd would run it, one process a connection with the socket as its standard input: so its port is free
//! for certain and none outlives its client. Dropping the stage ends the node and removes every file.
//! Deliberately absent: sleeping. Everything is waited for by reading what it says, and for a limited time.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::spawn;
use std::time::Duration;

use tempfile::TempDir;

use super::cases::{Before, Case, Way};
use super::judge::Outcome;
use super::tree;

/// The program under test.
const HEADWATER: &str = env!("CARGO_BIN_EXE_headwater");

/// Nothing here takes a tenth of this.
const PATIENCE: Duration = Duration::from_secs(60);

/// The name of a destination in a client's directory.
const TARGET: &str = "dst";

/// Printed to every client by both servers.
const MOTD: &str = "Welcome.\n  Two lines of news.\n";

/// The publisher's own file.
const STAMP: &str = "metadata/timestamp.chk";

/// Who answers a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Server {
    Stock,
    Headwater,
}

/// Both servers, ready.
pub(crate) struct Stage {
    _node: Node,
    headwater: u16,
    stock: u16,
    /// A second in which the run had begun.
    started: i64,
    directories: AtomicUsize,
    // Dropped after the node has ended.
    root: TempDir,
}

/// A running node, which ends with its owner.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // One that has ended already is what we want.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stage {
    /// Makes the trees and starts both servers.
    pub(crate) fn set() -> Self {
        let version = Command::new("rsync").arg("--version").output();
        assert!(
            version.is_ok_and(|v| v.status.success()),
            "rsync is not on PATH: install it, as with `apt install rsync`"
        );
        let root = tempfile::Builder::new().prefix("headwater-compliance-").tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("sources/odd")).unwrap();
        tree::plant_oddities(&at("sources/odd"));
        tree::plant_repository(&at("sources/gentoo"));
        headwater(&["init", "--admin-key", text(&at("admin.key")), "--dir", text(&at("node"))]);
        write(&at("node/topology.toml"), TOPOLOGY);
        write(&at("node/motd"), MOTD);
        let toml = fs::read_to_string(at("node/headwater.toml")).unwrap();
        write(&at("node/headwater.toml"), &toml.replace("# motd = \"\"", "motd = \"motd\""));
        for repository in ["odd", "gentoo"] {
            let source = at("sources").join(repository);
            headwater(&["import", "--repository", repository, text(&source), "--dir", text(&at("node"))]);
        }
        let (node, headwater) = start_node(&at("node"));
        let stock = start_stock(root.path());
        let started = fs::metadata(root.path()).unwrap().mtime();
        let stage = Self { _node: node, headwater, stock, started, directories: AtomicUsize::new(0), root };
        ["odd", "gentoo"].iter().for_each(|module| stage.mirror(module));
        stage
    }

    /// Pulls a module of ours into what the stock daemon serves, and compares it with its source.
    fn mirror(&self, module: &str) {
        let target = self.root.path().join("served").join(module);
        fs::create_dir_all(&target).unwrap();
        let url = format!("rsync://127.0.0.1:{}/{module}/", self.headwater);
        let output = client(self.root.path()).args(["-aH", "--no-motd", &url]).arg(&target).output().unwrap();
        assert!(output.status.success(), "pull {module}: {output:?}");
        // The stamp is the publisher's; writing it there moves the times of its directory.
        let without_stamp = |root: &Path| {
            let mut lines = tree::lines(root, self.started);
            lines.retain(|line| !line.starts_with(STAMP) && !line.starts_with("metadata directory "));
            lines
        };
        let source = self.root.path().join("sources").join(module);
        let (wanted, found) = (without_stamp(&source), without_stamp(&target));
        assert_eq!(wanted.len(), found.len(), "{module}: {found:#?}");
        wanted.iter().zip(&found).for_each(|(wanted, found)| assert_eq!(wanted, found, "{module}"));
    }

    /// Runs a case against one server, in a directory of its own.
    pub(crate) fn outcome(&self, server: Server, case: &Case) -> Result<Outcome, String> {
        let number = self.directories.fetch_add(1, Ordering::Relaxed);
        let place = self.root.path().join(format!("client-{number}"));
        let target = place.join(TARGET);
        fs::create_dir(&place).unwrap();
        write(&place.join("names"), "a\nsub/c\n");
        tree::prepare(case.before, &self.root.path().join("served"), &target);
        if case.way == Way::Push {
            tree::prepare(Before::CopyOf("odd/plain"), &self.root.path().join("served"), &place.join("own"));
        }
        let port = match server {
            Server::Stock => self.stock,
            Server::Headwater => self.headwater,
        };
        let held = case.held.map(|module| hold(port, module)).transpose()?;
        let output = self.client(port, case, &place);
        drop(held);
        if output.status.code() == Some(124) {
            return Err(format!("{server:?}: the client did not end within {} s: {output:?}", PATIENCE.as_secs()));
        }
        let outcome = Outcome::new(&output, port, &place, tree::lines(&target, self.started));
        // What cannot be removed now goes with the stage.
        let _ = fs::remove_dir_all(&place);
        Ok(outcome)
    }

    fn client(&self, port: u16, case: &Case, place: &Path) -> Output {
        let mut command = client(place);
        command.args(words(case.args));
        // The list of modules has no path.
        let paths = if case.paths.is_empty() { vec![String::new()] } else { words(case.paths) };
        let urls = paths.iter().map(|path| {
            let url = [format!("rsync://127.0.0.1:{port}/").into_bytes(), unescaped(path)].concat();
            OsString::from_vec(url)
        });
        match case.way {
            Way::Pull(to) => command.args(urls).arg(to),
            Way::List => command.args(urls),
            Way::Push => command.arg("own/").args(urls),
        };
        command.output().unwrap()
    }
}

/// A stock client in `place`, without the developer's habits; it is ended if it does not end.
fn client(place: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string()).arg("rsync").current_dir(place).stdin(Stdio::null());
    let path = std::env::vars_os().find(|(name, _)| name == "PATH").map(|(_, path)| path).unwrap_or_default();
    command.env_clear().env("PATH", path).env("LC_ALL", "C").env("TZ", "UTC").env("HOME", place);
    command
}

/// Words parted by blanks, in which `␣` is a blank.
fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(|word| word.replace('␣', " ")).collect()
}

/// `%` and two hex digits stand for a byte.
fn unescaped(path: &str) -> Vec<u8> {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

/// A connection that has a place in `module` until it is dropped.
fn hold(port: u16, module: &str) -> Result<TcpStream, String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "@RSYNCD: 31.0 md5\n{module}\n").unwrap();
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let last = lines.map_while(Result::ok).find(|line| line.starts_with("@RSYNCD: OK") || line.starts_with("@ERROR"));
    match last {
        Some(line) if line.starts_with("@RSYNCD") => Ok(stream),
        refused => Err(format!("no place to hold in {module} on port {port}: {refused:?}")),
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs a command of the program, which must succeed.
fn headwater(arguments: &[&str]) -> String {
    let output = Command::new(HEADWATER).args(arguments).output().unwrap();
    assert!(output.status.success(), "headwater {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Starts the node and gives its port, once it serves.
fn start_node(dir: &Path) -> (Node, u16) {
    let mut command = Command::new(HEADWATER);
    command.args(["run", "--listen-rsync", "127.0.0.1:0", "--dir", text(dir)]);
    let mut node = Node(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let log = BufReader::new(node.0.stderr.take().unwrap());
    let (say, heard) = channel();
    // Reads to the end, so that the node never waits for us.
    spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            if line.contains(": serving ") {
                let _ = say.send(line);
            }
        }
    });
    assert!(heard.recv_timeout(PATIENCE).is_ok(), "the node does not serve: {:?}", node.0.try_wait());
    let status = headwater(&["status", "--json", "--dir", text(dir)]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let address = status["listeners"][0]["address"].as_str().unwrap_or_default().to_owned();
    (node, address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap())
}

/// Listens for the stock daemon and gives its port.
fn start_stock(root: &Path) -> u16 {
    let config: PathBuf = root.join("rsyncd.conf");
    write(&root.join("motd"), MOTD);
    // Root's daemon would become nobody, who may not read what only its owner may; nobody else's may ask for that.
    let owner = if fs::metadata(root).unwrap().uid() == 0 { "uid = 0\ngid = 0\n" } else { "" };
    write(&config, &format!("{owner}{}", RSYNCD.replace("ROOT", text(root))));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    // Ends with the process; each daemon ends with its client.
    spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut daemon = Command::new("rsync");
            daemon.arg("--daemon").arg("--config").arg(&config).stdin(OwnedFd::from(stream));
            let mut daemon = daemon.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            spawn(move || daemon.wait());
        }
    });
    port
}

/// The stock daemon's side of `TOPOLOGY`.
const RSYNCD: &str = "\
use chroot = no
munge symlinks = no
reverse lookup = no
motd file = ROOT/motd
log file = ROOT/rsyncd.log

[odd]
path = ROOT/served/odd
comment = Oddities of all kinds

[gentoo]
path = ROOT/served/gentoo
comment = Gentoo ebuild repository

[a-module-with-a-long-name]
path = ROOT/served/odd/plain

[inner]
path = ROOT/served/odd/filter
comment = A part of it

[void]
path = ROOT/served/odd/empty

[hidden]
path = ROOT/served/odd/plain
list = no

[denied]
path = ROOT/served/odd/plain
hosts deny = 127.0.0.0/8

[hidden-and-denied]
path = ROOT/served/odd/plain
list = no
hosts deny = *

[allowed]
path = ROOT/served/odd/plain
hosts allow = 127.0.0.1
hosts deny = *

[one-place]
path = ROOT/served/odd/plain
max connections = 1
lock file = ROOT/one-place.lock

[place-taken]
path = ROOT/served/odd/plain
max connections = 1
lock file = ROOT/place-taken.lock

[other-place-taken]
path = ROOT/served/odd/plain
max connections = 1
lock file = ROOT/other-place-taken.lock

[with-timeout]
path = ROOT/served/odd/plain
timeout = 33
";

/// What the node serves.
const TOPOLOGY: &str = r#"
federation = "compliance"

[[repository]]
name = "odd"
kind = "tree"
verify = "off"

[[repository]]
name = "gentoo"
kind = "tree"
verify = "off"

[[channel]]
name = "odd/full"

[[channel]]
name = "gentoo/full"

[[module]]
name = "odd"
channel = "odd/full"
comment = "Oddities of all kinds"

[[module]]
name = "gentoo"
channel = "gentoo/full"
comment = "Gentoo ebuild repository"

[[module]]
name = "a-module-with-a-long-name"
channel = "odd/full"
path = "plain"

[[module]]
name = "inner"
channel = "odd/full"
path = "filter"
comment = "A part of it"

[[module]]
name = "void"
channel = "odd/full"
path = "empty"

[[module]]
name = "hidden"
channel = "odd/full"
path = "plain"
list = false

[[module]]
name = "denied"
channel = "odd/full"
path = "plain"
hosts_deny = ["127.0.0.0/8"]

[[module]]
name = "hidden-and-denied"
channel = "odd/full"
path = "plain"
list = false
hosts_deny = ["0.0.0.0/0"]

[[module]]
name = "allowed"
channel = "odd/full"
path = "plain"
hosts_allow = ["127.0.0.1"]
hosts_deny = ["0.0.0.0/0"]

[[module]]
name = "one-place"
channel = "odd/full"
path = "plain"
max_connections = 1

[[module]]
name = "place-taken"
channel = "odd/full"
path = "plain"
max_connections = 1

[[module]]
name = "other-place-taken"
channel = "odd/full"
path = "plain"
max_connections = 1

[[module]]
name = "with-timeout"
channel = "odd/full"
path = "plain"
timeout = "33s"

[[node]]
name = "gw"
site = "here"
role = "gateway"
"#;
