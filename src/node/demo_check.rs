//! What `demo --check` asks stock rsync to do, and how it judges what came of it.
//!
//! Each check says what it found. A tree counts as right when every file, directory and symlink has the
//! content, mode and time of the source; only `metadata/timestamp.chk` is the publisher's own.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use super::demo::{DemoEvent, Stage, publish, told};
use super::error::{NodeError, file};

/// What Portage gives to rsync (its `PORTAGE_RSYNC_OPTS`).
const PORTAGE: &str = "--recursive --links --safe-links --perms --times --omit-dir-times --compress --force --whole-file \
    --delete --stats --human-readable --timeout=180 --exclude=/distfiles --exclude=/local --exclude=/packages --exclude=/.git";

/// The publisher's own file.
const STAMP: &str = "metadata/timestamp.chk";

/// How many clients come at once.
const CROWD: usize = 8;

type Show<'a> = &'a mut (dyn FnMut(DemoEvent) + Send);

/// Runs all checks; an error if one failed.
pub(super) async fn check(stage: &Stage, address: SocketAddr, module: &str, show: Show<'_>) -> Result<(), NodeError> {
    let client = Client { url: format!("rsync://{address}/{module}/"), list: format!("rsync://{address}/"), stage };
    let copy = client.target("copy");
    let mut failed = 0;
    let mut judge = |what: &str, outcome: Result<String, String>| {
        failed += usize::from(outcome.is_err());
        show(DemoEvent::Checked { what: what.to_owned(), outcome });
    };
    judge("the module list", client.lists(module));
    judge("an unknown module is refused in rsyncd's words", client.unknown());
    judge("rsync -a gets the whole tree", client.pull("-a --delete", &copy).and_then(|_| client.same(&copy)));
    judge("a second rsync -a transfers nothing", client.pull("-a --delete --stats", &copy).and_then(|o| idle(&o)));
    judge("rsync -ac agrees on every checksum", client.pull("-ac --delete --stats", &copy).and_then(|o| idle(&o)));
    let portage = client.target("portage");
    judge(
        "rsync with Portage's options gets the whole tree",
        client.pull(PORTAGE, &portage).and_then(|_| client.same(&portage)),
    );
    judge(&format!("{CROWD} clients at once"), client.crowd());
    stage.write_sample(1)?;
    let published = publish(&stage.data, &stage.tree()).await;
    judge("a changed tree becomes a new generation", published.map(|report| told(&report)).map_err(|e| e.to_string()));
    judge(
        "rsync with Portage's options follows it",
        client.pull(PORTAGE, &portage).and_then(|_| client.same(&portage)),
    );
    judge(
        "rsync -az --no-whole-file follows it by delta",
        client.pull("-az --delete --no-whole-file", &copy).and_then(|_| client.same(&copy)),
    );
    let again = publish(&stage.data, &stage.tree()).await;
    judge(
        "importing the same again publishes nothing",
        again.map(|report| told(&report)).map_err(|e| e.to_string()).and_then(nothing_new),
    );
    if failed == 0 { Ok(()) } else { Err(NodeError::Check(format!("{failed} checks failed"))) }
}

fn nothing_new(told: String) -> Result<String, String> {
    if told == "nothing new" { Ok(told) } else { Err(told) }
}

struct Client<'a> {
    url: String,
    list: String,
    stage: &'a Stage,
}

fn run(arguments: &[&str]) -> Result<Output, String> {
    Command::new("rsync")
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| format!("start rsync: {error}; install it, as with `apt install rsync`"))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// No file was transferred.
fn idle(output: &Output) -> Result<String, String> {
    let text = text(output);
    let line = text.lines().find(|line| line.contains("files transferred:")).unwrap_or_default();
    if line.ends_with(": 0") { Ok(line.to_owned()) } else { Err(format!("expected none, got {line:?}")) }
}

impl Client<'_> {
    fn target(&self, name: &str) -> PathBuf {
        self.stage.root.join("clients").join(name)
    }

    fn lists(&self, module: &str) -> Result<String, String> {
        let output = text(&run(&[&self.list])?);
        let line = output.lines().find(|line| line.starts_with(module));
        line.map(str::to_owned).ok_or_else(|| format!("{module} is not in {output:?}"))
    }

    fn unknown(&self) -> Result<String, String> {
        let output = run(&[&format!("{}no-such-module/", self.list)])?;
        let text = text(&output);
        let said = text.lines().find(|line| line.contains("Unknown module 'no-such-module'"));
        match (output.status.code(), said) {
            (Some(5), Some(line)) => Ok(line.to_owned()),
            (code, _) => Err(format!("exit code {code:?}: {text}")),
        }
    }

    fn pull(&self, options: &str, target: &Path) -> Result<Output, String> {
        fs::create_dir_all(target).map_err(|error| format!("make {}: {error}", target.display()))?;
        let mut arguments: Vec<&str> = options.split_whitespace().collect();
        let target = target.to_string_lossy();
        arguments.extend([self.url.as_str(), &target]);
        let output = run(&arguments)?;
        if output.status.success() { Ok(output) } else { Err(format!("{}: {}", output.status, text(&output))) }
    }

    fn same(&self, copy: &Path) -> Result<String, String> {
        let (ours, theirs) = (facts(&self.stage.tree()), facts(copy));
        let (ours, theirs) = (ours.map_err(|e| e.to_string())?, theirs.map_err(|e| e.to_string())?);
        let differs = ours.keys().chain(theirs.keys()).find(|path| ours.get(*path) != theirs.get(*path));
        match differs {
            Some(path) => Err(format!("{path} differs: {:?} and {:?}", ours.get(path), theirs.get(path))),
            None => Ok(format!("{} entries, each with content, mode and time", ours.len())),
        }
    }

    fn crowd(&self) -> Result<String, String> {
        let names: Vec<PathBuf> = (0..CROWD).map(|number| self.target(&format!("crowd-{number}"))).collect();
        thread::scope(|scope| {
            let pulls: Vec<_> = names
                .iter()
                .map(|target| scope.spawn(|| self.pull("-a", target).and_then(|_| self.same(target))))
                .collect();
            pulls.into_iter().try_for_each(|pull| match pull.join() {
                Ok(result) => result.map(|_| ()),
                Err(_) => Err("a client's thread failed".to_owned()),
            })
        })?;
        Ok("each got the whole tree".to_owned())
    }
}

/// What can be seen of one entry. Times of directories are Portage's to leave out.
#[derive(PartialEq, Eq, Debug)]
struct Fact {
    mode: u32,
    time: Option<i64>,
    size: u64,
    content: Vec<u8>,
}

fn facts(root: &Path) -> Result<BTreeMap<String, Fact>, NodeError> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).map_err(file("read", &directory))? {
            let path = entry.map_err(file("read", &directory))?.path();
            let seen = fs::symlink_metadata(&path).map_err(file("look at", &path))?;
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            if name == STAMP {
                continue;
            }
            let (time, size, content) = if seen.is_dir() {
                open.push(path);
                (None, 0, Vec::new())
            } else if seen.is_symlink() {
                let target = fs::read_link(&path).map_err(file("read", &path))?;
                (None, seen.len(), target.to_string_lossy().into_owned().into_bytes())
            } else {
                (Some(seen.mtime()), seen.len(), fs::read(&path).map_err(file("read", &path))?)
            };
            found.insert(name, Fact { mode: seen.mode(), time, size, content });
        }
    }
    Ok(found)
}
