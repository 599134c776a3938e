//! What several test programs need: a directory that goes away, the program under test as a user types it, and a node that
//! ends with its test.
//!
//! Everything is run in the directory of a [`Place`], with an environment of its own, so a line of a test reads as one types
//! it. Nothing sleeps: a node is waited for by what it says, for a limited time.
#![allow(dead_code, reason = "each test program uses its part of it")]

pub(crate) mod relay;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The program under test.
pub(crate) const HEADWATER: &str = env!("CARGO_BIN_EXE_headwater");

/// Nothing here takes a tenth of this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The publisher's own file.
pub(crate) const STAMP: &str = "metadata/timestamp.chk";

/// A directory for one test, removed with it.
pub(crate) struct Place {
    root: TempDir,
}

impl Place {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { root: tempfile::Builder::new().prefix("headwater-test-").tempdir().unwrap() }
    }

    /// One with a node in `node`, its admin key beside it.
    pub(crate) fn with_node() -> Self {
        let place = Self::new();
        place.ok("init --dir node --admin-key admin.key");
        place
    }

    /// A path in it.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(path)
    }

    /// Writes a file, and the directories that hold it.
    pub(crate) fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Reads a file as text.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    /// Replaces a part of a file that must be there.
    pub(crate) fn edit(&self, path: &str, old: &str, new: &str) {
        let text = self.read(path);
        assert!(text.contains(old), "{path} has no {old:?}:\n{text}");
        self.write(path, text.replace(old, new));
    }

    /// A command in this directory, ended if it does not end, without the developer's habits.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("timeout");
        command.arg(PATIENCE.as_secs().to_string()).arg(program).current_dir(self.root.path()).stdin(Stdio::null());
        command.env_clear().env("PATH", search_path()).env("LC_ALL", "C").env("TZ", "UTC");
        command.env("HOME", self.root.path()).env("TMPDIR", self.root.path());
        command
    }

    /// What `headwater LINE` says, with more in its environment.
    pub(crate) fn says_with(&self, line: &str, environment: &[(&str, &str)]) -> Said {
        let mut command = self.command(HEADWATER);
        command.args(line.split_whitespace()).envs(environment.iter().copied());
        Said::of(line, command.output())
    }

    /// What `headwater LINE` says.
    pub(crate) fn says(&self, line: &str) -> Said {
        self.says_with(line, &[])
    }

    /// The output of `headwater LINE`, which must succeed.
    pub(crate) fn ok(&self, line: &str) -> String {
        self.says(line).expect(0).out
    }

    /// The JSON object that `headwater LINE --json` prints.
    pub(crate) fn json(&self, line: &str) -> Value {
        let out = self.ok(&format!("{line} --json"));
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("headwater {line} --json: {error}:\n{out}"))
    }

    /// What `headwater LINE` says to one who may not read everything: the super-user loses that power for it.
    pub(crate) fn says_without_power(&self, line: &str) -> Said {
        let mut command = match self.is_of_super_user() {
            true => self.command("setpriv"),
            false => self.command("env"),
        };
        if self.is_of_super_user() {
            command.arg("--bounding-set=-dac_override,-dac_read_search");
        }
        Said::of(line, command.arg(HEADWATER).args(line.split_whitespace()).output())
    }

    fn is_of_super_user(&self) -> bool {
        fs::metadata(self.root.path()).unwrap().uid() == 0
    }

    /// What stock rsync says to `LINE`.
    pub(crate) fn rsync(&self, line: &str) -> Said {
        Said::of(line, self.command("rsync").args(line.split_whitespace()).output())
    }

    /// Starts the node in `node` on a free port, and waits until it serves.
    pub(crate) fn run(&self) -> Node {
        self.run_with("run --dir node --listen-rsync 127.0.0.1:0", &[])
    }

    /// Starts a node with a line and an environment of its own.
    pub(crate) fn run_with(&self, line: &str, environment: &[(&str, &str)]) -> Node {
        let mut command = Command::new(HEADWATER);
        command.args(line.split_whitespace()).env_clear().envs(environment.iter().copied()).stdin(Stdio::null());
        self.start(command)
    }

    /// Starts a node with a command that becomes one, and waits until it serves.
    pub(crate) fn start(&self, mut command: Command) -> Node {
        command.current_dir(self.root.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (say, heard) = channel();
        // Reads to the end, so that the node never waits for us.
        spawn(move || log.lines().map_while(Result::ok).for_each(|line| drop(say.send(line))));
        let mut node = Node { child, heard, port: 0 };
        let line = node.hear("serving");
        node.port = line.rsplit_once(']').and_then(|(start, _)| start.rsplit(':').next()?.parse().ok()).unwrap();
        node
    }
}

/// The search path of the developer, since that is where rsync and Python are.
pub(crate) fn search_path() -> OsString {
    variable("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
}

/// A variable of the environment of `cargo test`.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::vars_os().find(|(found, _)| found == name).map(|(_, value)| value)
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    line: String,
    /// The exit code; 124 where it had to be ended.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Said {
    /// A finished command.
    pub(crate) fn of(line: &str, output: std::io::Result<Output>) -> Self {
        let output = output.unwrap_or_else(|error| panic!("start {line}: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        Self { line: line.to_owned(), code, out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Everything that was said.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// It must have ended so.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}:\n{}{}", self.line, self.out, self.err);
        self
    }

    /// It must have said all of these, wherever.
    #[track_caller]
    pub(crate) fn has(self, parts: &[&str]) -> Self {
        let all = self.all();
        for part in parts {
            assert!(all.contains(part), "{}: no {part:?} in:\n{all}", self.line);
        }
        self
    }
}

/// A node that runs; it is killed where the test does not end it.
pub(crate) struct Node {
    child: Child,
    heard: Receiver<String>,
    /// Where it serves rsync clients, on 127.0.0.1.
    pub(crate) port: u16,
}

impl Drop for Node {
    fn drop(&mut self) {
        // One that has ended already is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    /// What is served under this name: a module, or a path in one.
    pub(crate) fn url(&self, module: &str) -> String {
        format!("rsync://127.0.0.1:{}/{module}", self.port)
    }

    /// Waits for a log line with these words, and gives it.
    #[track_caller]
    pub(crate) fn hear(&self, words: &str) -> String {
        let (until, mut before) = (Instant::now() + PATIENCE, Vec::new());
        while let Ok(line) = self.heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if line.contains(words) {
                return line;
            }
            before.push(line);
        }
        panic!("the node did not say {words:?}, but:\n{}", before.join("\n"));
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Tells it to stop, and gives its exit code once it has.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        // Its log ends with it, so this waits for its end, and not longer than that may take.
        let until = Instant::now() + PATIENCE;
        while self.heard.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
        self.child.try_wait().unwrap().or_else(|| Instant::now().lt(&until).then(|| self.child.wait().unwrap()))?.code()
    }
}

/// Every entry below a directory with what a copy must keep, as text: kind, mode, time, and content or target. The stamp is
/// left out, since it is the publisher's, and the times of directories, since Portage leaves them out.
pub(crate) fn facts(root: &Path) -> BTreeMap<OsString, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let seen = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().as_os_str().to_owned();
        let time = format!("{}.{:09}", seen.mtime(), seen.mtime_nsec());
        let mode = seen.mode() & 0o7777;
        let kind = seen.file_type();
        let fact = if kind.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            format!("directory {mode:o}")
        } else if kind.is_symlink() {
            format!("symlink {time} to {:?}", fs::read_link(&path).unwrap())
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap();
            let names = if seen.nlink() > 1 { format!(", {} names", seen.nlink()) } else { String::new() };
            format!("file {mode:o} {time}{names}: {}", bytes.escape_ascii())
        } else {
            format!("special, a FIFO: {}", kind.is_fifo())
        };
        found.insert(name, fact);
    }
    found.remove(OsStr::from_bytes(STAMP.as_bytes()));
    found
}

/// Two trees must be the same but for the stamp.
#[track_caller]
pub(crate) fn same(expected: &BTreeMap<OsString, String>, found: &BTreeMap<OsString, String>) {
    let names = expected.keys().chain(found.keys());
    let differ = names.filter(|name| expected.get(*name) != found.get(*name));
    let lines: Vec<String> =
        differ.map(|name| format!("{name:?}: {:?}, but {:?}", expected.get(name), found.get(name))).take(10).collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}
