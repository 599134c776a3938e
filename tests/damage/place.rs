//! A temporary directory with a data directory, a source and the copies that clients make.

use std::fs::{self, Permissions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;
use tempfile::TempDir;

use super::edition::{self, Lines, Size};
use super::wait;

/// The program under test.
const HEADWATER: &str = env!("CARGO_BIN_EXE_headwater");

/// The one module, by the name that the recorded sessions ask for.
pub(crate) const MODULE: &str = "vec";

/// One tree, on one node.
const TOPOLOGY: &str = r#"
federation = "damage"

[[repository]]
name = "tree"
kind = "tree"

[[channel]]
name = "tree/full"

[[module]]
name = "vec"
channel = "tree/full"

[[node]]
name = "gw"
site = "here"
role = "gateway"
"#;

/// Only the newest generation is kept, so that every publication but the first one sweeps.
const CONFIG: &str = r#"
name = "gw"
drain = "30s"
[listen]
rsync = "127.0.0.1:0"
[keep]
generations = 1
hours = 0
most = 1
[limits]
"#;

/// Everything of one scenario. It is removed when this is dropped.
pub(crate) struct Place {
    copies: AtomicUsize,
    /// The data directory, as the test sees it.
    pub(crate) data: PathBuf,
    /// The process in whose namespaces the program runs, and the data directory as it is seen there.
    elsewhere: Option<(u32, PathBuf)>,
    root: TempDir,
}

/// What a node has when a scenario begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Start {
    /// It was made, and nothing was published.
    Empty,
    /// Edition 1 of a small tree is generation 1.
    Published,
}

impl Place {
    /// A place with a node of its own.
    pub(crate) fn new(start: Start) -> Self {
        let place = Self::bare();
        write(template(start), &place.data);
        place
    }

    /// A place without a node.
    fn bare() -> Self {
        let root = tempfile::Builder::new().prefix("headwater-damage-").tempdir().unwrap();
        Self { copies: AtomicUsize::new(0), data: root.path().join("data"), elsewhere: None, root }
    }

    /// Makes the node in the data directory.
    pub(crate) fn init(&self) {
        let key = self.root.path().join("admin.key");
        self.must(&["init", "--admin-key", key.to_str().unwrap()]);
        fs::write(self.data.join("topology.toml"), TOPOLOGY).unwrap();
        fs::write(self.data.join("headwater.toml"), CONFIG).unwrap();
    }

    /// Puts the data directory to `path` in the mount namespace of `process`; the program runs there from now on.
    pub(crate) fn move_data(&mut self, process: u32, path: &Path) {
        let seen = PathBuf::from(format!("/proc/{process}/root")).join(path.strip_prefix("/").unwrap());
        write(&read(&self.data), &seen);
        self.data = seen;
        self.elsewhere = Some((process, path.to_owned()));
    }

    /// Adds lines to the table of limits.
    pub(crate) fn limit(&self, lines: &str) {
        fs::write(self.data.join("headwater.toml"), format!("{CONFIG}{lines}\n")).unwrap();
    }

    /// The directory that is imported, as edition `number`.
    pub(crate) fn source(&self, size: Size, number: u64) -> (PathBuf, Lines) {
        let source = self.root.path().join("source");
        edition::plant(&source, size, number);
        let lines = edition::lines(&source);
        (source, lines)
    }

    /// A directory that is not there yet.
    pub(crate) fn fresh(&self) -> PathBuf {
        self.root.path().join(format!("copy-{}", self.copies.fetch_add(1, Ordering::Relaxed)))
    }

    /// The program with these arguments and no environment but this.
    pub(crate) fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = match &self.elsewhere {
            None => Command::new(HEADWATER),
            Some((process, _)) => {
                let mut command = Command::new("nsenter");
                command.args([
                    "--user",
                    "--preserve-credentials",
                    "--mount",
                    "--target",
                    &process.to_string(),
                    HEADWATER,
                ]);
                command
            }
        };
        let data = self.elsewhere.as_ref().map_or(&self.data, |(_, data)| data);
        command.args(arguments).arg("--dir").arg(data).env_clear().envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a command.
    pub(crate) fn start(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Child {
        self.command(arguments, environment).spawn().unwrap()
    }

    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        wait::output(self.start(arguments, environment), &format!("headwater {arguments:?}"))
    }

    /// Runs a command that must succeed, and gives what it says.
    #[track_caller]
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments, &[]);
        assert!(output.status.success(), "headwater {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Imports `source`; gives the generation that was published, if there was something new.
    #[track_caller]
    pub(crate) fn import(&self, source: &Path) -> Option<u64> {
        let said = self.must(&["import", "--json", "--repository", "tree", source.to_str().unwrap()]);
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        report["published"][0]["generation"].as_u64()
    }

    /// The node's database, for a look or for damage.
    pub(crate) fn database(&self) -> Connection {
        let database = Connection::open(self.data.join("headwater.db")).unwrap();
        database.busy_timeout(wait::PATIENCE).unwrap();
        database
    }
}

/// The files of a directory: path, permissions, bytes.
type Files = Vec<(PathBuf, Permissions, Vec<u8>)>;

/// A data directory, made once for all scenarios.
fn template(start: Start) -> &'static Files {
    static EMPTY: OnceLock<Files> = OnceLock::new();
    static PUBLISHED: OnceLock<Files> = OnceLock::new();
    match start {
        Start::Empty => EMPTY.get_or_init(|| {
            let place = Place::bare();
            place.init();
            read(&place.data)
        }),
        Start::Published => PUBLISHED.get_or_init(|| {
            let place = Place::new(Start::Empty);
            let (source, _) = place.source(Size::Small, 1);
            assert_eq!(place.import(&source), Some(1));
            read(&place.data)
        }),
    }
}

fn read(root: &Path) -> Files {
    let (mut files, mut open) = (Files::new(), vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::metadata(&path).unwrap();
            if metadata.is_dir() {
                open.push(path);
            } else {
                let inside = path.strip_prefix(root).unwrap().to_owned();
                files.push((inside, metadata.permissions(), fs::read(&path).unwrap()));
            }
        }
    }
    files
}

fn write(files: &Files, root: &Path) {
    for (inside, permissions, bytes) in files {
        let path = root.join(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, permissions.clone()).unwrap();
    }
}
