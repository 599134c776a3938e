//! How many files and sockets this process may have open at once.
//!
//! Most systems start a process with a limit of 1,024, which programs that call `select` need, and let it raise that to a
//! much higher one by itself. This one does, so that the limit of connections is the one that holds. Where even that is
//! too low, the log says so at the start and not in the middle of the night. Deliberately absent: doing without them,
//! which is the serving side's.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a connection takes at most: its socket, a large file, and the socket once more while a burst is sent.
const OF_A_CONNECTION: u64 = 3;

/// What a node takes beside: its store, its doors, pipes for large files, its own connections, a command's file.
const OF_THE_NODE: u64 = 128;

/// Raises the limit as far as the process may by itself.
pub(super) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::debug!(%error, "raise the limit of open files");
    }
}

/// Says it if so many connections could need more than there is.
pub(super) fn warn_if_few(connections: u32) {
    if let Some((limit, needed)) = lacking(connections, getrlimit(Resource::Nofile).current) {
        tracing::warn!(
            limit,
            needed,
            connections,
            "limits.connections needs more open files than the system allows; raise the limit (LimitNOFILE=, ulimit -Hn) \
             or lower limits.connections"
        );
    }
}

/// The limit and what is needed, if that is more. `None`: there is no limit.
fn lacking(connections: u32, limit: Option<u64>) -> Option<(u64, u64)> {
    let needed = u64::from(connections) * OF_A_CONNECTION + OF_THE_NODE;
    limit.filter(|limit| *limit < needed).map(|limit| (limit, needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_too_low_if_all_connections_could_need_more() {
        let rows = [
            (500, Some(1_024), Some((1_024, 1_628))),
            (500, Some(1_628), None),
            (500, Some(524_288), None),
            (100_000, Some(524_288), None),
            (200_000, Some(524_288), Some((524_288, 600_128))),
            (u32::MAX, None, None),
        ];
        for (connections, limit, expected) in rows {
            assert_eq!(lacking(connections, limit), expected, "{connections} {limit:?}");
        }
    }
}
