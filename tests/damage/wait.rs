//! Waiting: for a condition, and never for long.

use std::process::{Child, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::{scope, sleep, spawn};
use std::time::{Duration, Instant};

/// Nothing here takes a tenth of this on a machine that does nothing else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Asks until there is an answer. `what` says what did not happen, should it not.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "within {} s: {what}", PATIENCE.as_secs());
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "the one pause between two looks at a condition")]
fn pause() {
    sleep(Duration::from_millis(5));
}

/// Checks all cases, some at once: most of the time each of them waits for a disk or another process.
pub(crate) fn at_once<T: Sync>(cases: &[T], check: impl Fn(&T) + Sync) {
    const WORKERS: usize = 5;
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            check(case);
        }
    };
    // One that fails fails the scope.
    scope(|scope| (0..WORKERS).for_each(|_| drop(scope.spawn(work))));
}

/// What a process said and how it ended. One that does not end is killed, and that is a failure.
#[track_caller]
pub(crate) fn output(child: Child, what: &str) -> Output {
    let id = child.id();
    let (say, hear) = channel();
    spawn(move || say.send(child.wait_with_output()));
    match hear.recv_timeout(PATIENCE) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            signal(id, rustix::process::Signal::KILL);
            panic!("{what} did not end: {:?}", hear.recv());
        }
    }
}

/// Sends a signal to a process that we started and have not yet waited for.
pub(crate) fn signal(id: u32, signal: rustix::process::Signal) {
    let id = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    // One that has just ended needs no signal.
    let _ = rustix::process::kill_process(id, signal);
}
