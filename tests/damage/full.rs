//! A disk without room: what does not fit is refused with numbers, what was published is served on.
//!
//! The disk is a small tmpfs in a mount namespace of its own, which ends with the process that holds it; the program runs
//! in there, the test looks at it through `/proc/PID/root`. Where the system permits no such namespace, the tests say so and end; they do
//! not take any other failure for that.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use super::client;
use super::edition::{self, LARGE, Size, noise, same};
use super::node::Node;
use super::place::{Place, Start};
use super::{bad, wait};

/// A small file system.
struct Disk {
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
    fn new(mebibytes: u32) -> Option<Self> {
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

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = File::create(self.path.join("filler")).unwrap();
        let piece = vec![0; 64 << 10];
        while file.write_all(&piece).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.path.join("filler")).unwrap();
    }
}

/// A node whose data directory is on that disk, with edition 1 published.
fn place_on(disk: &Disk) -> (Place, edition::Lines) {
    let mut place = Place::new(Start::Empty);
    place.move_data(disk.holder.id(), Path::new("/mnt/data"));
    let (source, tree) = place.source(Size::Small, 1);
    assert_eq!(place.import(&source), Some(1));
    (place, tree)
}

#[test]
fn an_import_that_does_not_fit_is_refused_with_numbers_before_it_begins() {
    let Some(disk) = Disk::new(144) else { return };
    let (place, tree) = place_on(&disk);
    let node = Node::start(&place);
    let (source, _) = place.source(Size::Heavy, 2);
    let output = place.run(&["import", "--repository", "tree", source.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = client::text(&output);
    assert!(said.contains(" bytes free, but ") && said.contains(" are missing"), "{said}");
    assert_eq!(node.generation(), Some(1));
    same(&client::pull(&node), &tree, "what was published");
    for at in 0..8 {
        fs::remove_file(source.join(format!("bulk-{at}.bin"))).unwrap();
    }
    let (source, smaller) = place.source(Size::Small, 2);
    assert_eq!(place.import(&source), Some(2), "a smaller one fits");
    same(&client::pull(&node), &smaller, "the smaller one");
}

#[test]
fn a_disk_that_fills_up_during_an_import_ends_it_and_nothing_else() {
    let Some(disk) = Disk::new(240) else { return };
    let (place, tree) = place_on(&disk);
    let (source, _) = place.source(Size::Small, 2);
    fs::write(source.join("a-great-one.bin"), noise(9, 72 << 20)).unwrap();
    let order = ["import", "--repository", "tree", source.to_str().unwrap()];
    let import = place.start(&order, &[]);
    let large = place.data.join("large");
    let half = || {
        let names = fs::read_dir(&large).unwrap().map(|entry| entry.unwrap());
        let mut open = names.filter(|entry| entry.file_name().to_str().unwrap().starts_with("incoming-"));
        open.any(|entry| entry.metadata().is_ok_and(|now| now.len() > 4 << 20)).then_some(())
    };
    wait::until("the import writes the great one", half);
    wait::signal(import.id(), Signal::STOP);
    disk.fill();
    wait::signal(import.id(), Signal::CONT);
    let output = wait::output(import, "the import");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = client::text(&output);
    assert!(said.contains("o space left on device") || said.contains("disk is full"), "{said}");

    // The disk is still full, and what is there is served.
    let node = Node::start(&place);
    same(&client::pull(&node), &tree, "what was published, from a full disk");
    let output = place.run(&order, &[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(node.generation(), Some(1));

    disk.empty();
    let whole = edition::lines(&source);
    assert_eq!(place.import(&source), Some(2), "there is room again");
    same(&client::pull(&node), &whole, "the great one");
}

#[test]
fn a_bad_content_on_a_full_disk_is_refused_and_mended_when_there_is_room() {
    let Some(disk) = Disk::new(160) else { return };
    let (place, tree) = place_on(&disk);
    let (source, _) = place.source(Size::Small, 1);
    bad::damage(&place, LARGE, &tree, bad::Damage::Flipped);
    let node = Node::start(&place);
    disk.fill();
    let target = place.fresh();
    let output = wait::output(client::begin(node.port, &target), "rsync");
    assert_eq!(output.status.code(), Some(23), "{output:?}");
    let mut others = tree.clone();
    others.remove(LARGE);
    same(&edition::lines(&target), &others, "from a full disk");
    disk.empty();
    // It may not have been set aside while there was no room; the next client brings it up again.
    wait::until("status names the content", || {
        let output = wait::output(client::begin(node.port, &place.fresh()), "rsync");
        assert_eq!(output.status.code(), Some(23), "{output:?}");
        node.alarms().iter().any(|alarm| alarm.contains(LARGE)).then_some(())
    });
    assert_eq!(place.import(&source), Some(2));
    same(&client::pull(&node), &tree, "mended");
}
