//! A small file system of a test's own, and a node on it.
//!
//! It is a tmpfs in a mount namespace of its own, which ends with the process that holds it; the program runs
//! in there, the test looks at it through `/proc/PID/root`. Where the system permits no such namespace, the tests say so and
//! end; they do not take any other failure for that.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::edition::{self, Size};
use super::place::{Place, Start};
use super::{client, wait};

/// A small file system.
pub(crate) struct Disk {
    holder: Child,
    path: PathBuf,
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The namespace and the file system end with it.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl Disk {
    /// A disk of so many MiB; `None` where that is not permitted.
    pub(crate) fn new(mebibytes: u32) -> Option<Self> {
        let script = format!("mount -t tmpfs -o size={mebibytes}m,mode=0700 none /mnt && echo ready && exec cat");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
        // Its input is ours: should we vanish, it ends.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = command.spawn().expect("unshare is on PATH");
        let mut said = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        if said == "ready\n" {
            let path = PathBuf::from(format!("/proc/{}/root/mnt", holder.id()));
            return Some(Self { holder, path });
        }
        let output = wait::output(holder, "unshare");
        let why = client::text(&output);
        let forbidden =
            ["Operation not permitted", "permission denied", "Permission denied", "No space left on device"];
        assert!(forbidden.iter().any(|words| why.contains(words)), "a small file system: {why}");
        // Past the harness, which shows nothing of tests that pass.
        let said = format!("skipped: this system permits no mount namespace: {why}\n");
        stderr().write_all(said.as_bytes()).unwrap();
        None
    }

    /// The process in whose namespaces it is.
    pub(crate) fn id(&self) -> u32 {
        self.holder.id()
    }

    /// Runs a shell's command where the disk is.
    #[track_caller]
    pub(crate) fn root_does(&self, what: &str) {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--preserve-credentials", "--mount", "--target", &self.holder.id().to_string()]);
        let output = command.args(["sh", "-ec", what]).output().unwrap();
        assert!(output.status.success(), "{what}: {output:?}");
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) {
        let mut file = File::create(self.path.join("filler")).unwrap();
        let piece = vec![0; 64 << 10];
        while file.write_all(&piece).is_ok() {}
    }

    /// Takes all the room but so many bytes.
    pub(crate) fn fill_but(&self, left: u64) {
        self.fill();
        let file = File::options().write(true).open(self.path.join("filler")).unwrap();
        file.set_len(file.metadata().unwrap().len() - left).unwrap();
    }

    pub(crate) fn empty(&self) {
        fs::remove_file(self.path.join("filler")).unwrap();
    }
}

/// A node whose data directory is on that disk, with edition 1 published.
pub(crate) fn place_on(disk: &Disk) -> (Place, edition::Lines) {
    let mut place = Place::new(Start::Empty);
    place.move_data(disk.id(), Path::new("/mnt/data"));
    let (source, tree) = place.source(Size::Small, 1);
    assert_eq!(place.import(&source), Some(1));
    (place, tree)
}
