//! Whoever starts the node, and wants to hear of it: sockets that are handed over, readiness, life signs.
//!
//! The two small protocols of systemd, which others speak as well: listening sockets come as descriptors (`LISTEN_FDS`),
//! news go as datagrams to `NOTIFY_SOCKET`. The environment is read once, into a value, so a test brings its own. Nobody
//! there to hear is no error, and a full socket never holds the node up. Deliberately absent: stored descriptors, and
//! sockets for anything but rsync.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

use super::error::NodeError;

/// Most sockets that are taken over; a unit has a few.
const MOST_SOCKETS: usize = 64;

/// Life signs are not sent more often, whatever is expected.
const QUICKEST: Duration = Duration::from_millis(10);

/// What the environment says of whoever started us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supervisor {
    /// Where it listens: a path, or a name after an `@`.
    notify: Option<String>,
    /// It expects a life sign within this time.
    watchdog: Option<Duration>,
    sockets: HandedOver,
}

/// Whether sockets were handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HandedOver {
    #[default]
    No,
    Yes,
}

impl Supervisor {
    /// What this process was told.
    pub fn of_process() -> Supervisor {
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        Supervisor::of(std::env::vars_os().map(|(name, value)| (text(name), text(value))), std::process::id())
    }

    /// What variables say to the process of that number. Those that are meant for another one say nothing.
    fn of(variables: impl Iterator<Item = (String, String)>, process: u32) -> Supervisor {
        let (mut found, mut watchdog_is_ours, mut sockets_are_ours) = (Supervisor::default(), true, false);
        for (name, value) in variables {
            let is_ours = value.parse() == Ok(process);
            match name.as_str() {
                "NOTIFY_SOCKET" if value.starts_with(['/', '@']) => found.notify = Some(value),
                "WATCHDOG_USEC" => {
                    found.watchdog = value.parse().ok().filter(|micros| *micros > 0).map(Duration::from_micros);
                }
                "WATCHDOG_PID" => watchdog_is_ours = is_ours,
                "LISTEN_PID" => sockets_are_ours = is_ours,
                "LISTEN_FDS" if value.parse::<usize>().is_ok_and(|count| count > 0) => found.sockets = HandedOver::Yes,
                _ => {}
            }
        }
        if !watchdog_is_ours {
            found.watchdog = None;
        }
        if !sockets_are_ours {
            found.sockets = HandedOver::No;
        }
        found
    }

    /// The sockets that were handed over, each of which listens for TCP connections; `None`: there are none.
    pub(super) fn sockets(&self) -> Result<Option<Vec<TcpListener>>, NodeError> {
        if self.sockets == HandedOver::No {
            return Ok(None);
        }
        let mut handed = ListenFd::from_env();
        if handed.len() > MOST_SOCKETS {
            return Err(wrong(handed.len(), format!("there are more than {MOST_SOCKETS}")));
        }
        let mut listeners = Vec::new();
        for at in 0..handed.len() {
            let listener = handed.take_tcp_listener(at).map_err(|error| wrong(at, error.to_string()))?;
            let Some(listener) = listener else { continue };
            match socket_acceptconn(&listener) {
                Ok(true) => listeners.push(listener),
                Ok(false) => return Err(wrong(at, "it does not listen".to_owned())),
                Err(error) => return Err(wrong(at, error.to_string())),
            }
        }
        Ok(Some(listeners).filter(|listeners| !listeners.is_empty()))
    }

    /// The way for news to it.
    pub(super) fn notifier(&self) -> Notifier {
        let open = |name: &String| {
            let to = match name.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name)?,
                None => SocketAddr::from_pathname(name)?,
            };
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            Ok::<_, std::io::Error>((socket, to))
        };
        let way = self.notify.as_ref().and_then(|name| {
            open(name)
                .inspect_err(|error| tracing::warn!(name, %error, "NOTIFY_SOCKET cannot be used; nobody is told"))
                .ok()
        });
        // Twice in the time in which it is expected, as its own documentation advises.
        Notifier { way, life_signs: self.watchdog.map(|within| (within / 2).max(QUICKEST)) }
    }
}

fn wrong(at: usize, why: String) -> NodeError {
    NodeError::Socket { at, why }
}

/// Tells whoever started the node how it is.
#[derive(Debug, Default)]
pub(super) struct Notifier {
    way: Option<(UnixDatagram, SocketAddr)>,
    /// How often a life sign is due, if anybody waits for one.
    life_signs: Option<Duration>,
}

impl Notifier {
    /// How often [`Notifier::alive`] is expected.
    pub(super) fn life_signs(&self) -> Option<Duration> {
        self.life_signs.filter(|_| self.way.is_some())
    }

    /// The node serves.
    pub(super) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// It takes changed configuration in; [`Notifier::ready`] follows.
    pub(super) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// It has begun to stop.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping: running transfers may finish");
    }

    /// What it does, for people.
    pub(super) fn status(&self, status: &str) {
        self.send(&format!("STATUS={status}"));
    }

    /// It lives.
    pub(super) fn alive(&self, status: &str) {
        self.send(&format!("WATCHDOG=1\nSTATUS={status}"));
    }

    fn send(&self, text: &str) {
        if let Some((socket, to)) = &self.way
            && let Err(error) = socket.send_to_addr(text.as_bytes(), to)
        {
            tracing::debug!(%error, text, "tell whoever started the node");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(variables: &[(&str, &str)]) -> Supervisor {
        Supervisor::of(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())), 42)
    }

    #[test]
    fn what_is_meant_for_another_process_says_nothing() {
        let (yes, second) = (HandedOver::Yes, Some(Duration::from_secs(1)));
        assert_eq!(told(&[]), Supervisor::default());
        assert_eq!(told(&[("LISTEN_FDS", "2"), ("LISTEN_PID", "42")]).sockets, yes);
        assert_eq!(told(&[("LISTEN_FDS", "2"), ("LISTEN_PID", "43")]).sockets, HandedOver::No);
        assert_eq!(told(&[("LISTEN_FDS", "2")]).sockets, HandedOver::No);
        assert_eq!(told(&[("LISTEN_FDS", "0"), ("LISTEN_PID", "42")]).sockets, HandedOver::No);
        assert_eq!(told(&[("WATCHDOG_USEC", "1000000")]).watchdog, second);
        assert_eq!(told(&[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "42")]).watchdog, second);
        assert_eq!(told(&[("WATCHDOG_PID", "43"), ("WATCHDOG_USEC", "1000000")]).watchdog, None);
        assert_eq!(told(&[("WATCHDOG_USEC", "0")]).watchdog, None);
        assert_eq!(told(&[("NOTIFY_SOCKET", "vsock:2:1234")]).notify, None);
    }

    #[test]
    fn news_arrive_at_a_path_and_at_an_abstract_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let abstract_name = format!("headwater-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).expect("a name");
        for (name, heard) in [
            (path.to_string_lossy().into_owned(), UnixDatagram::bind(&path).expect("a socket")),
            (format!("@{abstract_name}"), UnixDatagram::bind_addr(&address).expect("a socket")),
        ] {
            let notifier = told(&[("NOTIFY_SOCKET", &name), ("WATCHDOG_USEC", "3000000")]).notifier();
            assert_eq!(notifier.life_signs(), Some(Duration::from_millis(1500)));
            notifier.ready("serving");
            notifier.alive("still serving");
            notifier.reloading();
            notifier.stopping();
            let next = || {
                let mut buffer = [0; 200];
                let length = heard.recv(&mut buffer).expect("news");
                String::from_utf8_lossy(&buffer[..length]).into_owned()
            };
            assert_eq!(next(), "READY=1\nSTATUS=serving");
            assert_eq!(next(), "WATCHDOG=1\nSTATUS=still serving");
            let reloading = next();
            let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("a time");
            assert!(micros.parse::<u64>().is_ok_and(|micros| micros > 0), "{reloading}");
            assert!(next().starts_with("STOPPING=1\n"));
        }
    }

    #[test]
    fn nobody_to_tell_is_no_error() {
        Supervisor::default().notifier().ready("serving");
        told(&[("NOTIFY_SOCKET", "/nowhere/notify")]).notifier().ready("serving");
        assert_eq!(Supervisor::default().sockets().expect("none").map(|found| found.len()), None);
    }
}
