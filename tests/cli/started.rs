//! A node that something else starts: sockets that it is handed, and what it says of itself.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::rig::{HEADWATER, PATIENCE, Place, search_path};

/// A shell that hands its standard input on as the first socket, and becomes the node.
fn handing_over(socket: OwnedFd, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new("sh");
    let line = format!("export LISTEN_PID=$$ LISTEN_FDS=1; exec {HEADWATER} run --dir node 3<&0 </dev/null");
    command.args(["-c", &line]).env_clear().env("PATH", search_path()).envs(environment.iter().copied());
    command.stdin(Stdio::from(socket));
    command
}

#[test]
fn a_socket_that_is_handed_over_is_served_in_place_of_the_configured_ones() {
    let place = Place::with_node();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Whoever comes before the node waits in the socket.
    let early =
        place.command("rsync").arg(format!("rsync://127.0.0.1:{port}/")).stdout(Stdio::piped()).spawn().unwrap();
    let node = place.start(handing_over(listener.into(), &[("HEADWATER_LISTEN_RSYNC", "192.0.2.1:873")]));
    assert_eq!(node.port, port);
    let said = early.wait_with_output().unwrap();
    assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains("gentoo-portage"), "{said:?}");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn what_cannot_be_served_on_is_refused_at_the_start() {
    let place = Place::with_node();
    let datagrams = UnixDatagram::bind(place.at("wrong")).unwrap();
    let output = handing_over(datagrams.into(), &[]).current_dir(place.at("")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("LISTEN_FDS"), "{said}");
}

#[test]
fn who_started_it_hears_when_it_serves_reloads_lives_and_stops() {
    let place = Place::with_node();
    let heard = UnixDatagram::bind(place.at("notify")).unwrap();
    heard.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = |words: &str| {
        let mut buffer = [0; 1000];
        // Signs of life come between all others, and what it does, too.
        loop {
            let length = heard.recv(&mut buffer).unwrap_or_else(|error| panic!("waiting for {words}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.starts_with(words) {
                return text;
            }
            let is_aside = text.starts_with("WATCHDOG=1") || text.starts_with("STATUS=");
            assert!(is_aside, "{text:?} in place of {words:?}");
        }
    };
    let socket = place.at("notify");
    let environment = [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "200000")];
    let node = place.run_with("run --dir node --listen-rsync 127.0.0.1:0", &environment);
    let ready = next("READY=1");
    assert!(ready.contains(&format!("serving on 127.0.0.1:{}; modules: 1;", node.port)), "{ready}");
    next("WATCHDOG=1");
    node.signal(Signal::HUP);
    assert!(next("RELOADING=1").contains("MONOTONIC_USEC="));
    next("READY=1");
    node.signal(Signal::TERM);
    next("STOPPING=1");
    assert_eq!(node.stop(), Some(0));
}
