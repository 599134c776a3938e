//! The two files that `headwater init` writes for people to read and change: `headwater.toml` and `topology.toml`.
//!
//! Both are documentation first. Every key of `headwater.toml` stands there with its default, commented out; a test takes the
//! comments away and finds exactly the defaults, so the file cannot grow old beside the program. The topology is the
//! smallest one that works: the example in the folder `topology/`, under the operator's names.

use super::config::{Addresses, FILE};
use crate::names::{FederationName, NodeName};

/// The name of the topology file that `init` writes beside [`FILE`].
pub(super) const TOPOLOGY_FILE: &str = "topology.toml";

/// The text of `headwater.toml` for a new node.
///
/// With `rsync` given the node listens there; without, the line stays a comment and the default holds.
pub(super) fn headwater_toml(name: &NodeName, rsync: Option<&Addresses>) -> String {
    let listen = match rsync {
        Some(addresses) => format!("rsync = \"{addresses}\"",),
        None => "# rsync = \"::\"".to_owned(),
    };
    NODE_TEXT
        .replace("{file}", FILE)
        .replace("{topology}", TOPOLOGY_FILE)
        .replace("{name}", name.as_str())
        .replace("{rsync}", &listen)
}

/// The text of `topology.toml` for a new federation of one node.
pub(super) fn topology_toml(federation: &FederationName, node: &NodeName) -> String {
    let body = TOPOLOGY_TEXT.split_once("\n\n").map_or(TOPOLOGY_TEXT, |(_, body)| body);
    let body = body.replace("\"example\"", &format!("\"{federation}\""));
    format!("{TOPOLOGY_HEAD}{}", body.replace("\"gw\"", &format!("\"{node}\"")))
}

const NODE_TEXT: &str = r##"# {file}: where this node listens, and how much it may use.
# What is served, and to whom, is written in {topology}.
#
# A line that starts with "# key =" shows the default: take the "# " away to change it.
# A running node takes changes in with `headwater reload`; name, drain, log.format and
# [listen] wait for a restart.
# Every key can be set in the environment too: limits.per_client is HEADWATER_LIMITS_PER_CLIENT.
# What is set there goes before this file, and a flag of `headwater run` goes before both.

# The name of this node in {topology}.
name = "{name}"

# Files. Relative paths start at the data directory; "" for none.
# A text that greets every rsync client:
# motd = ""
# The log of transfers, a line a file, and the form of its lines in rsyncd's letters, or "json":
# transfer_log = ""
# transfer_format = "%o %h [%a] %m (%u) %f %l"
# Passwords for modules with auth_users: lines of user:password, which nobody else may read (chmod 600).
# secrets = ""

# Load balancers that name their clients in the PROXY protocol (v1, v2): ["10.0.0.7", "10.1.0.0/16"]; or "off".
# They must speak it, and nobody else may.
# proxy = "off"

# When the node is told to stop, transfers may still go on for so long.
# drain = "30s"

[listen]
# IP addresses, with or without a port: "0.0.0.0", "[::1]:1873", ["10.0.0.1", "10.1.0.1:1873"]; or "off".
# rsync clients. Without a port it is 873, for which a node needs root or CAP_NET_BIND_SERVICE.
{rsync}

# Other nodes and HTTP clients: these doors come with a later version.
# control = "off"
# http = "off"

[limits]
# rsync connections at a time: all together, from one address, and from one network (/24, /64 in IPv6; 0: as many as come).
# connections = 500
# per_client = 100
# per_network = 0

# Memory for encoded file lists. One is kept for each set of options that clients use,
# so that the next client costs next to nothing; a Gentoo tree takes about 5 MiB a list.
# memory = "256MiB"

# A connection on which nothing moves for so long is closed.
# idle = "10m"

# A client that has not said what it wants after so long is sent away.
# handshake = "1m"

# Bytes that wait for the network: on one connection; and on all together, which may be half of it, with what clients
# have sent and is not done.
# buffer = "1MiB"
# buffers = "256MiB"

# What one client may send: arguments, filter rules, names (--files-from); and what its wildcards may match.
# arguments = 16000
# rules = 8192
# names = 262144
# matches = 100000

# Lines a second in the log because of one client; further ones are counted.
# log_lines = 10

[log]
# "text" for people, "json" for machines. Logs go to standard error.
# format = "text"

# error, warn, info, debug or trace; for one part of the program too: "info,headwater::serve=debug".
# filter = "info"

[keep]
# Generations of each channel that stay on disk: the last so many,
# and everything of the last so many hours, but never more than "most".
# A generation that a client is reading stays in any case.
# generations = 8
# hours = 48
# most = 64

[scrub]
# Stored contents are read again and checked in the background, so many bytes a second: "10MiB"; or "off".
# rate = "off"
"##;

/// The example of the smallest topology. Its first lines explain the example, so they are left out.
const TOPOLOGY_TEXT: &str = include_str!("../../topology/single.toml");

const TOPOLOGY_HEAD: &str = r#"# The topology: which repositories there are, which channels they have, and who serves them.
# The smallest one is a repository, a channel, a module and a node. After a change: `headwater reload`.

"#;

#[cfg(test)]
mod tests {
    use super::super::config::{Config, Environment, Sources};
    use super::super::words::WORDS;
    use super::*;
    use crate::cascade::Topology;

    fn read(text: &str) -> Config {
        let sources = Sources { dir: "/d".into(), environment: Environment::default(), flags: Vec::new() };
        sources.resolve(text).unwrap()
    }

    fn uncommented(text: &str) -> String {
        let keys = text.lines().map(|line| match line.strip_prefix("# ") {
            Some(key) if key.split_once(" = ").is_some_and(|(key, _)| is_key(key)) => key,
            _ => line,
        });
        keys.collect::<Vec<_>>().join("\n")
    }

    fn is_key(text: &str) -> bool {
        text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    }

    #[test]
    fn the_commented_lines_are_all_keys_with_their_defaults() {
        let text = headwater_toml(&"gw".parse().unwrap(), None);
        let shown = uncommented(&text);
        let plain = read("name = \"gw\"");
        assert_eq!(read(&shown), plain);
        assert_eq!(read(&text), plain);
        let document = toml_edit::ImDocument::parse(shown.as_str()).unwrap();
        for key in plain.keys() {
            let item = key.split('.').try_fold(document.as_item(), |item, part| item.get(part));
            assert!(item.is_some(), "{key} is not in the text");
        }
    }

    #[test]
    fn an_address_that_init_was_given_is_written() {
        let address: Addresses = "127.0.0.1:1873".parse().unwrap();
        let text = headwater_toml(&"gw".parse().unwrap(), Some(&address));
        assert_eq!(read(&text).listen.rsync, ["127.0.0.1:1873".parse().unwrap()]);
    }

    #[test]
    fn the_commented_keys_of_the_first_topology_are_keys() {
        let text = topology_toml(&"alps".parse().unwrap(), &"peak".parse().unwrap());
        let shown = uncommented(&text);
        assert!(shown.lines().any(|line| line.starts_with("auth_users = ")), "{shown}");
        let topology = Topology::parse_with(&shown, WORDS).unwrap();
        assert_eq!(topology.modules[0].auth_users.len(), 2);
    }

    #[test]
    fn the_example_of_a_mirror_is_sound() {
        let topology = Topology::parse_with(include_str!("../../topology/mirror.toml"), WORDS).unwrap();
        let modules: Vec<&str> = topology.modules.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(modules, ["gentoo-portage", "gentoo-releases", "staging"]);
        assert!(topology.modules.iter().all(|module| module.max_connections.is_some()));
    }

    #[test]
    fn the_first_topology_names_its_federation_and_its_node() {
        let text = topology_toml(&"alps".parse().unwrap(), &"peak".parse().unwrap());
        let topology = Topology::parse(&text).unwrap();
        assert_eq!(topology.federation.as_str(), "alps");
        let node = topology.gateway().unwrap();
        assert_eq!(node.name.as_str(), "peak");
        let modules: Vec<&str> = topology.modules_on(node).map(|module| module.name.as_str()).collect();
        assert_eq!(modules, ["gentoo-portage"]);
    }
}
