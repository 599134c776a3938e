//! The two servers on ports of 127.0.0.1, and the stock client against each.
//!
//! headwater runs as one node: two trees are imported before it starts, and what it serves is checked against them entry
//! by entry while the stock daemon's copies are pulled from it (they need the node's own `metadata/timestamp.chk`). The stock
//! daemon runs as inetd would run it, one process a connection with the socket as its standard input: so its port is free
//! for certain and none outlives its client. Dropping the stage ends the node and removes every file.
//! Deliberately absent: sleeping. Everything is waited for by reading what it says, and for a limited time.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::spawn;

use super::case::{Before, CLIENT_FILES, Case, Feature, Way};
use super::judge::Outcome;
use super::rig::{Node, PATIENCE, Place};
use super::{settings, tree};

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
    // Clients run on many threads, and none of them talks to it.
    _node: Mutex<Node>,
    headwater: u16,
    stock: u16,
    /// A second in which the run had begun.
    started: i64,
    directories: AtomicUsize,
    // Dropped after the node has ended.
    place: Place,
}

impl Stage {
    /// Makes the trees and starts both servers, with modules for the features that are there.
    pub(crate) fn set(has: impl Fn(Feature) -> bool) -> Self {
        let version = Command::new("rsync").arg("--version").output();
        assert!(
            version.is_ok_and(|v| v.status.success()),
            "rsync is not on PATH: install it, as with `apt install rsync`"
        );
        let place = Place::with_node();
        fs::create_dir_all(place.at("sources/odd")).unwrap();
        tree::plant_oddities(&place.at("sources/odd"));
        tree::plant_repository(&place.at("sources/gentoo"));
        place.write("node/topology.toml", settings::topology(&has));
        place.write("node/motd", MOTD);
        place.edit("node/headwater.toml", "# motd = \"\"\n", &settings::node_toml(&has));
        for secrets in ["node/secrets", "secrets"] {
            write_secret(&place.at(secrets), settings::SECRETS);
        }
        for repository in ["odd", "gentoo"] {
            place.ok(&format!("import sources/{repository} --repository {repository} --dir node"));
        }
        let node = place.run();
        let stock = start_stock(&place.at(""), &settings::rsyncd_conf(&has));
        let started = fs::metadata(place.at("secrets")).unwrap().mtime();
        let headwater = node.port;
        let stage =
            Self { _node: Mutex::new(node), headwater, stock, started, directories: AtomicUsize::new(0), place };
        ["odd", "gentoo"].iter().for_each(|module| stage.mirror(module));
        stage
    }

    /// Pulls a module of ours into what the stock daemon serves, and compares it with its source.
    fn mirror(&self, module: &str) {
        let target = self.place.at("served").join(module);
        fs::create_dir_all(&target).unwrap();
        let url = format!("rsync://127.0.0.1:{}/{module}/", self.headwater);
        let output = self.rsync(&self.place.at("")).args(["-aH", "--no-motd", &url]).arg(&target).output().unwrap();
        assert!(output.status.success(), "pull {module}: {output:?}");
        // The stamp is the publisher's; writing it there moves the times of its directory.
        let without_stamp = |root: &Path| {
            let mut lines = tree::lines(root, self.started);
            lines.retain(|line| !line.starts_with(STAMP) && !line.starts_with("metadata directory "));
            lines
        };
        let source = self.place.at("sources").join(module);
        let (wanted, found) = (without_stamp(&source), without_stamp(&target));
        assert_eq!(wanted.len(), found.len(), "{module}: {found:#?}");
        wanted.iter().zip(&found).for_each(|(wanted, found)| assert_eq!(wanted, found, "{module}"));
    }

    fn port(&self, server: Server) -> u16 {
        match server {
            Server::Stock => self.stock,
            Server::Headwater => self.headwater,
        }
    }

    /// Runs a case against one server, in a directory of its own.
    pub(crate) fn outcome(&self, server: Server, case: &Case) -> Result<Outcome, String> {
        let number = self.directories.fetch_add(1, Ordering::Relaxed);
        let place = self.place.at(format!("client-{number}"));
        let target = place.join(TARGET);
        fs::create_dir(&place).unwrap();
        for (name, text) in CLIENT_FILES {
            write_secret(&place.join(name), text);
        }
        tree::prepare(case.before, &self.place.at("served"), &target);
        if case.way == Way::Push {
            tree::prepare(Before::CopyOf("odd/plain"), &self.place.at("served"), &place.join("own"));
        }
        let port = self.port(server);
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

    /// The lines of a listing, which must succeed.
    pub(crate) fn listed(&self, server: Server, options: &[String], path: &str) -> Result<BTreeSet<String>, String> {
        let url = format!("rsync://127.0.0.1:{}/{path}", self.port(server));
        let output = self.rsync(&self.place.at("")).args(["--list-only", "--no-motd"]).args(options).arg(url).output();
        let output = output.unwrap();
        // What a rule hides of an argument is missing, and that is an answer as well.
        if !matches!(output.status.code(), Some(0 | 23)) {
            return Err(format!("{server:?}: {options:?} {path}: {output:?}"));
        }
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    /// How many bytes a pull of one file takes.
    pub(crate) fn received(&self, server: Server, options: &[&str], path: &str) -> u64 {
        const START: &str = "Total bytes received: ";
        let number = self.directories.fetch_add(1, Ordering::Relaxed);
        let url = format!("rsync://127.0.0.1:{}/{path}", self.port(server));
        let mut client = self.rsync(&self.place.at(""));
        let output = client.args(["--stats", "--no-motd"]).args(options).args([url, format!("copy-{number}")]).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        let bytes = text.lines().find_map(|line| line.strip_prefix(START));
        bytes.unwrap_or_else(|| panic!("{server:?}: {options:?}: {text}")).replace(',', "").parse().unwrap()
    }

    fn client(&self, port: u16, case: &Case, place: &Path) -> Output {
        let mut command = self.rsync(place);
        command.args(words(case.args));
        // The list of modules has no path.
        let paths = if case.paths.is_empty() { vec![String::new()] } else { words(case.paths) };
        let user = if case.user.is_empty() { String::new() } else { format!("{}@", case.user) };
        let urls = paths.iter().map(|path| {
            let url = [format!("rsync://{user}127.0.0.1:{port}/").into_bytes(), unescaped(path)].concat();
            OsString::from_vec(url)
        });
        match case.way {
            Way::Pull(to) => command.args(urls).arg(to),
            Way::List => command.args(urls),
            Way::Push => command.arg("own/").args(urls),
        };
        command.output().unwrap()
    }

    /// A stock client in `directory`.
    fn rsync(&self, directory: &Path) -> Command {
        let mut command = self.place.command("rsync");
        command.current_dir(directory).env("HOME", directory);
        command
    }
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

/// A file that only its owner reads: both programs look at that.
fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Listens for the stock daemon and gives its port.
fn start_stock(root: &Path, modules: &str) -> u16 {
    let config: PathBuf = root.join("rsyncd.conf");
    fs::write(root.join("motd"), MOTD).unwrap();
    // Root's daemon would become nobody, who may not read what only its owner may; nobody else's may ask for that.
    let owner = if fs::metadata(root).unwrap().uid() == 0 { "uid = 0\ngid = 0\n" } else { "" };
    let text = modules.replace("ROOT", root.to_str().unwrap().trim_end_matches('/'));
    fs::write(&config, format!("{owner}{text}")).unwrap();
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
