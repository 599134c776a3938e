//! A clock that was set back: publications go on with rising generations and timestamps, and clients follow.
//!
//! The program is given another clock by the loader (`LD_PRELOAD`), from a few lines of C.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use headwater::portage::stamp;

use super::edition::{Lines, STAMP, Size, same};
use super::node::Node;
use super::place::{Place, Start};
use super::{client, wait};

/// The real time less `CLOCK_BACK` seconds.
const CLOCK: &str = "
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    const char *back = getenv(\"CLOCK_BACK\");
    if (!failed && clock == CLOCK_REALTIME && back) now->tv_sec -= atoll(back);
    return failed;
}
";

/// Builds the clock.
fn clock(place: &Place) -> PathBuf {
    let library = place.fresh();
    let source = library.with_extension("c");
    fs::write(&source, CLOCK).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).output();
    let built = built.expect("cc is on PATH: install it, as with `apt install gcc`");
    assert!(built.status.success(), "{built:?}");
    library
}

/// Seconds since 1970, by the real clock.
#[expect(clippy::disallowed_methods, reason = "the time that is real is what the others are compared with")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// What a client gets, and the timestamp that comes with it.
#[track_caller]
fn pull(node: &Node<'_>) -> (Lines, i64) {
    let target = node.place.fresh();
    let lines = client::whole(client::begin(node.port, &target), &target);
    (lines, stamp::parse_chk(&fs::read(target.join(STAMP)).unwrap()).unwrap())
}

const HOUR: i64 = 3600;

#[test]
fn a_clock_that_was_set_back_holds_no_publication_up_and_clients_follow() {
    // To 1970 goes a machine whose battery is empty.
    wait::at_once(&[HOUR, 40 * 24 * HOUR, now() - 1000], |back| {
        let what = format!("{back} s back");
        let place = Place::new(Start::Published);
        let library = clock(&place);
        let back = back.to_string();
        let environment = [("LD_PRELOAD", library.to_str().unwrap()), ("CLOCK_BACK", back.as_str())];
        let (_, first) = place.source(Size::Small, 1);
        let node = Node::start_with(&place, &environment);
        let (lines, mut last) = pull(&node);
        same(&lines, &first, &what);
        assert!(last > now() - HOUR / 2, "{what}: published by the real clock, at {last}");
        let said = |alarm: &String| alarm.contains("after what this machine's clock says: set the clock right");
        assert!(node.alarms().iter().any(said), "{what}: {:?}", node.alarms());
        // By the node, by a command of its own, and by a node that has the real time again.
        let mut check = |node: &Node<'_>, number: u64, lines: &Lines| {
            assert_eq!(node.generation(), Some(number), "{what}");
            let (got, stamp) = pull(node);
            same(&got, lines, &what);
            assert!(stamp > last, "{what}: generation {number} has {stamp} after {last}");
            last = stamp;
        };
        let (source, second) = place.source(Size::Small, 2);
        assert_eq!(place.import(&source), Some(2), "{what}");
        check(&node, 2, &second);
        node.is_unharmed();
        drop(node);
        let (source, third) = place.source(Size::Small, 3);
        let order = ["import", "--repository", "tree", source.to_str().unwrap()];
        let output = place.run(&order, &environment);
        assert!(output.status.success(), "{what}: {output:?}");
        let node = Node::start(&place);
        check(&node, 3, &third);
        let (source, fourth) = place.source(Size::Small, 4);
        assert_eq!(place.import(&source), Some(4), "{what}");
        check(&node, 4, &fourth);
        assert!(node.alarms().is_empty(), "{what}: {:?}", node.alarms());
    });
}

#[test]
fn a_source_that_is_far_ahead_of_the_clock_is_refused_until_one_of_them_is_mended() {
    let place = Place::new(Start::Published);
    let library = clock(&place);
    let back = (40 * 24 * HOUR).to_string();
    let (_, first) = place.source(Size::Small, 1);
    let (source, _) = place.source(Size::Small, 2);
    stamped(&source, now());
    let node = Node::start_with(&place, &[("LD_PRELOAD", library.to_str().unwrap()), ("CLOCK_BACK", &back)]);
    let output = place.run(&["import", "--repository", "tree", source.to_str().unwrap()], &[]);
    let said = client::text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("960 h ahead of this machine's clock") && said.contains("Set the clock right"), "{said}");
    assert_eq!(node.generation(), Some(1));
    let (lines, before) = pull(&node);
    same(&lines, &first, "what was published");
    drop(node);
    // A source whose own clock goes before is followed, and one that falls back does not lead back.
    let node = Node::start(&place);
    let mut last = before;
    for (number, stamp) in [(2, now() + 20 * HOUR), (3, now() - HOUR)] {
        let (source, _) = place.source(Size::Small, number);
        stamped(&source, stamp);
        assert_eq!(place.import(&source), Some(number));
        let stamp = pull(&node).1;
        assert!(stamp > last, "generation {number} has {stamp} after {last}");
        last = stamp;
    }
}

/// Gives a source a timestamp of its own.
fn stamped(source: &Path, seconds: i64) {
    let path = source.join(STAMP);
    fs::write(&path, stamp::print_chk(seconds)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap());
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}
