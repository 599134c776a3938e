//! A node that runs, what it says of itself, and its end: whoever drops it kills it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::spawn;

use rustix::process::Signal;
use serde_json::Value;

use super::place::Place;
use super::wait;

pub(crate) struct Node<'p> {
    pub(crate) place: &'p Place,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    pub(crate) port: u16,
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        // One that has ended already is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port in the line that says where a node serves.
fn port(line: &str) -> Option<u16> {
    let (_, addresses) = line.split_once(": serving rsync=[")?;
    Some(addresses.split(']').next()?.parse::<SocketAddr>().ok()?.port())
}

impl<'p> Node<'p> {
    /// Starts a node, and comes back when it serves.
    #[track_caller]
    pub(crate) fn start(place: &'p Place) -> Self {
        Self::start_with(place, &[])
    }

    /// As [`Node::start`], with something in the environment.
    #[track_caller]
    pub(crate) fn start_with(place: &'p Place, environment: &[(&str, &str)]) -> Self {
        Self::try_start(place, environment).unwrap_or_else(|ended| panic!("the node has ended: {ended:?}"))
    }

    /// Starts a node; gives how it ended and what it said if it does not come to serve.
    #[track_caller]
    pub(crate) fn try_start(place: &'p Place, environment: &[(&str, &str)]) -> Result<Self, (Option<i32>, String)> {
        let mut child = place.start(&["run"], environment);
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let keep = log.clone();
        // Reads to the end, so that the node never waits for us.
        let reading = spawn(move || lines.map_while(Result::ok).for_each(|line| keep.lock().unwrap().push(line)));
        let mut node = Self { place, child, log, port: 0 };
        let ended = wait::until("the node serves", || {
            let ended = node.child.try_wait().unwrap();
            node.said(": serving ").map(|()| None).or(ended.map(Some))
        });
        if let Some(ended) = ended {
            reading.join().unwrap();
            return Err((ended.code(), node.log().join("\n")));
        }
        node.port = node.log().iter().find_map(|line| port(line)).expect("it says where it serves");
        Ok(node)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Whether a line with this text was logged.
    pub(crate) fn said(&self, text: &str) -> Option<()> {
        self.log.lock().unwrap().iter().any(|line| line.contains(text)).then_some(())
    }

    /// What `status` says.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        let status: Value = serde_json::from_str(&self.place.must(&["status", "--json"])).unwrap();
        assert_eq!(status["running"], true, "the node itself answers");
        status
    }

    /// The generation that new clients get.
    pub(crate) fn generation(&self) -> Option<u64> {
        self.status()["channels"][0]["generation"].as_u64()
    }

    /// What is wrong, by its own account. That the machine's disk is nearly full is not the node's trouble.
    pub(crate) fn alarms(&self) -> Vec<String> {
        let status = self.status();
        let warnings = status["warnings"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned());
        warnings.filter(|line| !line.contains("are free for the data directory")).collect()
    }

    /// Waits until no connection is open.
    pub(crate) fn rests(&self) {
        wait::until("no connection is open", || (self.status()["connections"] == 0).then_some(()));
    }

    /// Connects as a client would.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.set_read_timeout(Some(wait::PATIENCE)).unwrap();
        stream.set_write_timeout(Some(wait::PATIENCE)).unwrap();
        stream
    }

    /// Its resident memory, in MiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(Path::new("/proc").join(self.id().to_string()).join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
    }

    pub(crate) fn signal(&self, signal: Signal) {
        wait::signal(self.id(), signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> ExitStatus {
        wait::until("the node ends", || self.child.try_wait().unwrap())
    }

    /// Nothing went wrong on the node's side, whatever clients did.
    #[track_caller]
    pub(crate) fn is_unharmed(&self) {
        let log = self.log();
        let bad: Vec<&String> =
            log.iter().filter(|line| line.contains(" ERROR headwater") || line.contains("panicked")).collect();
        assert!(bad.is_empty(), "the node's log: {bad:#?}");
    }
}
