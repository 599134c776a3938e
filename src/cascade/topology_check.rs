//! The rules between the sections of a topology.
//!
//! Names are unique, references lead somewhere, one node is the gateway, and every other node hangs below it: a
//! secondary's first parent is the gateway, a tertiary's a secondary or a tertiary, and no way up goes in a circle.
//! Deliberately absent: what a single value may be; reading has seen to that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::mistake::nearest;
use super::toml_read::{Placed, Reading};
use super::topology::{Node, Role};
use super::topology_read::{Draft, PlacedNode, Reference};
use crate::names::NodeName;

/// Most tiers below the gateway: far more than a fleet needs, few enough to walk for every node.
const MAX_TIERS: usize = 16;

/// Adds a mistake for each rule that `draft` breaks.
pub(super) fn check(reading: &mut Reading<'_>, draft: &Draft) {
    unique(reading, "repository", &draft.names.repositories);
    unique(reading, "channel", &draft.names.channels);
    unique(reading, "module", &draft.names.modules);
    unique(reading, "node", &draft.names.nodes);
    references(reading, draft);
    one_gateway(reading, draft);
    parents(reading, draft);
}

fn unique<T: Ord + Display>(reading: &mut Reading<'_>, kind: &str, names: &[Placed<T>]) {
    let mut seen = BTreeSet::new();
    for Placed { value, place } in names {
        if !seen.insert(value) {
            reading.mistake(place, format!("there is another {kind} named {value}"));
        }
    }
}

/// A kind of names, for [`references`].
struct Known<'d>(&'static str, BTreeSet<&'d str>);

impl Known<'_> {
    fn look_up<T>(&self, reading: &mut Reading<'_>, reference: &Placed<T>, name: &str) {
        let Self(kind, names) = self;
        if !names.contains(name) {
            let hint = nearest(name, names.iter().copied());
            reading.mistake_with_hint(&reference.place, format!("there is no {kind} named {name}"), hint);
        }
    }
}

fn references(reading: &mut Reading<'_>, draft: &Draft) {
    let names = &draft.names;
    let repositories = Known("repository", names.repositories.iter().map(|name| name.value.as_str()).collect());
    let channels = Known("channel", names.channels.iter().map(|name| name.value.as_str()).collect());
    let nodes = Known("node", names.nodes.iter().map(|name| name.value.as_str()).collect());
    for reference in &draft.references {
        match &reference.value {
            Reference::Repository(name) => repositories.look_up(reading, reference, name.as_str()),
            Reference::Channel(name) => channels.look_up(reading, reference, name.as_str()),
            Reference::Node(name) => nodes.look_up(reading, reference, name.as_str()),
        }
    }
}

fn one_gateway(reading: &mut Reading<'_>, draft: &Draft) {
    let mut gateways = draft.nodes.iter().filter(|placed| placed.node.role == Role::Gateway);
    match gateways.next() {
        Some(first) => {
            for other in gateways {
                let text = format!("{} is the gateway already; a federation has one", first.node.name);
                reading.mistake(&other.role, text);
            }
        }
        // A node that could not be read may be the one.
        None if draft.nodes.len() == draft.node_sections => {
            let place = draft.nodes.first().map(|placed| placed.role.clone());
            let place = place.unwrap_or(super::toml_read::Place { at: 0, key: "node".to_owned() });
            reading.mistake(&place, "no node is the gateway; one must have `role = \"gateway\"`");
        }
        None => {}
    }
}

fn parents(reading: &mut Reading<'_>, draft: &Draft) {
    let nodes: BTreeMap<&NodeName, &Node> =
        draft.nodes.iter().map(|placed| (&placed.node.name, &placed.node)).collect();
    for placed in &draft.nodes {
        let node = &placed.node;
        let first = node.parents.first();
        match (node.role, first.and_then(|name| nodes.get(name))) {
            (Role::Gateway, _) if first.is_some() => {
                reading.mistake(&placed.parents, "the gateway has no parents; it fetches from upstreams");
            }
            (Role::Secondary | Role::Tertiary, _) if first.is_none() => {
                reading.mistake(&placed.role, format!("a {} needs `parents = [...]`", node.role));
            }
            (Role::Secondary, Some(parent)) if parent.role != Role::Gateway => {
                let text =
                    format!("the first parent of a secondary is the gateway, but {} is a {}", parent.name, parent.role);
                reading.mistake(&placed.parents, text);
            }
            (Role::Tertiary, Some(parent)) if parent.role == Role::Gateway => {
                reading.mistake(&placed.parents, "a node whose first parent is the gateway is a secondary");
            }
            _ => reaches_the_top(reading, placed, &nodes),
        }
        if let Some(twice) = twice(&node.parents) {
            reading.mistake(&placed.parents, format!("{twice} stands twice among the parents"));
        }
    }
}

/// Follows the first parents upwards; who goes in a circle would never get anything.
fn reaches_the_top(reading: &mut Reading<'_>, placed: &PlacedNode, nodes: &BTreeMap<&NodeName, &Node>) {
    let start = &placed.node.name;
    if placed.node.parents.contains(start) {
        reading.mistake(&placed.parents, format!("{start} cannot be its own parent"));
        return;
    }
    let mut at = placed.node.parents.first();
    for _ in 0..MAX_TIERS {
        let above = at.and_then(|name| nodes.get(name)).filter(|node| node.role != Role::Gateway);
        match above {
            Some(node) => at = node.parents.first(),
            None => return,
        }
    }
    let text = format!("its first parents do not lead to the gateway in {MAX_TIERS} steps; do they go in a circle?");
    reading.mistake(&placed.parents, text);
}

fn twice(names: &[NodeName]) -> Option<&NodeName> {
    let mut seen = BTreeSet::new();
    names.iter().find(|name| !seen.insert(*name))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::cascade::{HostPattern, Nodes, RepositoryKind, Role, Topology, Upstream, Verify};

    const WHOLE: &str = r#"federation = "example"

[[repository]]
name = "gentoo"
kind = "tree"                      # tree | files
upstreams = ["rsync://mirror.example/gentoo-portage"]
# a comment
verify = "off"
min_interval = "24h"

[[repository]]
name = "docs"
kind = "files"

[[channel]]
name = "gentoo/full"

[[channel]]
name = "docs/full"

[[module]]
name = "gentoo-portage"
channel = "gentoo/full"
path = "metadata/news"
comment = "Gentoo tree"
list = false
hosts_allow = ["10.1.2.3/8", "::ffff:192.0.2.1"]
hosts_deny = ["*"]
max_connections = 20
timeout = 300
motd = "hello\n"
transfer_log = false
nodes = ["gw", "far"]

[[module]]
name = "docs"
channel = "docs/full"

[[node]]
name = "gw"
site = "berlin"
role = "gateway"
parents = []
control = "gw.example:8730"
rsync = "[2001:db8::1]:873"

[[node]]
name = "near"
site = "berlin"
role = "secondary"
parents = ["gw"]
carries = ["gentoo/full"]

[[node]]
name = "far"
site = "oslo"
role = "tertiary"
parents = ["near", "gw"]
"#;

    fn parse(text: &str) -> Topology {
        match Topology::parse(text) {
            Ok(topology) => topology,
            Err(mistakes) => panic!("{mistakes:#?}"),
        }
    }

    /// The mistakes of `WHOLE` with one text in it replaced.
    fn check(from: &str, to: &str, expected: &[&str]) {
        let text = WHOLE.replacen(from, to, 1);
        assert!(WHOLE.contains(from), "{from}");
        let mistakes = Topology::parse(&text).expect_err(to);
        let shown: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected, "{from} -> {to}");
    }

    #[test]
    fn a_topology_is_read_with_everything_in_it() {
        let topology = parse(WHOLE);
        assert_eq!(topology.federation.as_str(), "example");
        let gentoo = topology.repository(&"gentoo".parse().unwrap()).unwrap();
        assert_eq!(gentoo.kind, RepositoryKind::Tree);
        assert_eq!(gentoo.upstreams, [Upstream::Rsync("rsync://mirror.example/gentoo-portage".into())]);
        assert_eq!((gentoo.keys.as_deref(), gentoo.verify), (None, Verify::Off));
        assert_eq!(gentoo.min_interval, Some(Duration::from_secs(86_400)));
        let module = &topology.modules[0];
        assert_eq!(module.path.to_string(), "metadata/news");
        assert_eq!((module.list, module.transfer_log, module.max_connections), (false, false, Some(20)));
        assert_eq!((module.timeout, module.motd.as_str()), (Some(Duration::from_secs(300)), "hello\n"));
        let nets = |nets: &[HostPattern]| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(nets(&module.hosts_allow), "10.0.0.0/8 192.0.2.1/32");
        assert_eq!(nets(&module.hosts_deny), "0.0.0.0/0 ::/0");
        assert_eq!(module.nodes, Nodes::Only(vec!["gw".parse().unwrap(), "far".parse().unwrap()]));
        let gateway = topology.gateway().unwrap();
        assert_eq!((gateway.name.as_str(), gateway.control.as_ref().unwrap().port), ("gw", 8730));
        assert_eq!(gateway.rsync.as_ref().unwrap().to_string(), "[2001:db8::1]:873");
        assert_eq!(gateway.carries.len(), 2);
        assert_eq!(topology.nodes[2].parents.len(), 2);
        assert_eq!(topology.nodes[2].role, Role::Tertiary);
    }

    #[test]
    fn verification_that_this_version_cannot_do_is_not_taken_for_done() {
        let why = "this version of headwater does not verify signatures; leave it out, or write verify = \"off\"";
        check("verify = \"off\"", "verify = \"required\"", &[&format!("8:10, repository[1].verify: {why}")]);
        check("verify = \"off\"", "keys = \"gentoo.asc\"", &[&format!("8:8, repository[1].keys: {why}")]);
    }

    #[test]
    fn what_is_not_written_has_its_default() {
        let topology = parse(WHOLE);
        let docs = topology.repository(&"docs".parse().unwrap()).unwrap();
        assert_eq!((docs.verify, docs.min_interval, docs.upstreams.len()), (Verify::Off, None, 0));
        assert_eq!(docs.leave_out, ["lost+found"]);
        assert!(docs.leave_out_anywhere.is_empty());
        let tree = &topology.repositories[0];
        let in_root = [".tmp-unverified-download-quarantine", "distfiles", "local", "lost+found", "packages"];
        assert_eq!(tree.leave_out, in_root);
        assert_eq!(tree.leave_out_anywhere, ["CVS", "RCS", "SCCS", ".bzr", ".git", ".hg", ".svn"]);
        let kept = parse(&WHOLE.replacen("kind = \"tree\"", "kind = \"tree\"\nleave_out_anywhere = [\".git\"]", 1));
        assert_eq!(kept.repositories[0].leave_out_anywhere, [".git"]);
        assert_eq!(kept.repositories[0].leave_out, in_root);
        let module = &topology.modules[1];
        assert!(module.path.as_path().is_root() && module.list && module.transfer_log && module.comment.is_empty());
        assert_eq!((module.max_connections, module.timeout, &module.nodes), (None, None, &Nodes::All));
        assert!(module.hosts_allow.is_empty() && module.hosts_deny.is_empty());
    }

    #[test]
    fn the_smallest_topology_that_is_shipped_is_sound() {
        let topology = parse(include_str!("../../topology/single.toml"));
        let gateway = topology.gateway().unwrap();
        let module = topology.modules_on(gateway).next().unwrap();
        assert_eq!((module.name.as_str(), module.channel.as_str()), ("gentoo-portage", "gentoo/full"));
    }

    #[test]
    fn a_node_serves_the_modules_that_name_it_and_whose_channel_it_carries() {
        let topology = parse(WHOLE);
        let served = |name: &str| -> Vec<&str> {
            let node = topology.node(&name.parse().unwrap()).unwrap();
            topology.modules_on(node).map(|module| module.name.as_str()).collect()
        };
        assert_eq!(served("gw"), ["gentoo-portage", "docs"]);
        assert_eq!(served("near"), [""; 0]);
        assert_eq!(served("far"), ["gentoo-portage", "docs"]);
    }

    #[test]
    fn a_key_that_does_not_exist_is_named_with_the_nearest_one() {
        check("comment =", "coment =", &["25:1, module[1].coment: no such key; did you mean `comment`?"]);
        check("site = \"oslo\"", "site = \"oslo\"\nzzz = 1", &["57:1, node[3].zzz: no such key"]);
        check(
            "[[channel]]",
            "[[chanel]]",
            &[
                "15:3, chanel: no such key; did you mean `channel`?",
                "23:11, module[1].channel: there is no channel named gentoo/full",
                "52:12, node[2].carries[1]: there is no channel named gentoo/full",
            ],
        );
        check(
            "name = \"docs\"\nkind",
            "kind",
            &[
                "11:1, repository[2].name: this key is missing; write `name = \"gentoo\"`",
                "18:8, channel[2].name: there is no repository named docs",
            ],
        );
        check(
            "federation =",
            "federatoin =",
            &[
                "1:1, federation: this key is missing; write `federation = \"example\"`",
                "1:1, federatoin: no such key; did you mean `federation`?",
            ],
        );
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_with_its_place() {
        let tree = "5:8, repository[1].kind: \"tre\" is none of tree, files, distfiles; did you mean `tree`?";
        check("kind = \"tree\"", "kind = \"tre\"", &[tree]);
        let later = "5:8, repository[1].kind: distfiles are not in this version of headwater; use tree or files";
        check("kind = \"tree\"", "kind = \"distfiles\"", &[later]);
        check("list = false", "list = \"no\"", &["26:8, module[1].list: true or false belongs here"]);
        check(
            "connections = 20",
            "connections = -1",
            &["29:19, module[1].max_connections: a number from 0 to 1000000 belongs here"],
        );
        check(
            "\"24h\"",
            "\"soon\"",
            &[
                "9:16, repository[1].min_interval: a duration of at most 1year 18h belongs here, as in \"30s\" or \"2h\"",
            ],
        );
        check(
            "\"metadata/news\"",
            "\"../x\"",
            &[
                "24:8, module[1].path: the path `../x` has a component `.` or `..`; write a directory inside the channel, as in \"metadata\"",
            ],
        );
        check(
            "[\"10.1.2.3/8\", ",
            "[\"10.1.2.3/8\", \"localhost\", ",
            &[
                "27:30, module[1].hosts_allow[2]: \"localhost\" is a host name, and names are looked up only with lookup = true; write its address",
            ],
        );
        check(
            "\"Gentoo tree\"",
            "\"two\\nlines\"",
            &["25:11, module[1].comment: one line of at most 500 bytes belongs here"],
        );
        check("\"Gentoo tree\"", "7", &["25:11, module[1].comment: a text in quotes belongs here"]);
        check(
            "[\"gw\", \"far\"]",
            "\"gw\"",
            &["33:9, module[1].nodes: a list of texts belongs here, as in [\"one\", \"two\"]"],
        );
        check("[\"gw\", \"far\"]", "[\"gw\", 7]", &["33:16, module[1].nodes[2]: a text in quotes belongs here"]);
        check(
            "[\"gw\", \"far\"]",
            "[\"gw\", \"*\"]",
            &["33:16, module[1].nodes[2]: \"*\" means all nodes and stands alone"],
        );
        check(
            "kind = \"files\"",
            "kind = \"files\"\nleave_out = [\"a/b\"]",
            &["14:14, repository[2].leave_out[1]: \"a/b\" is no name; write it without a slash"],
        );
        check("[[module]]\nname = \"docs\"", "[module.x]\nname = \"docs\"", &["35:9, module[1].x: no such key"]);
    }

    #[test]
    fn names_are_unique_and_references_lead_somewhere() {
        check(
            "name = \"docs\"\nkind",
            "name = \"gentoo\"\nkind",
            &[
                "12:8, repository[2].name: there is another repository named gentoo",
                "19:8, channel[2].name: there is no repository named docs",
            ],
        );
        check(
            "name = \"docs\"\nchannel",
            "name = \"gentoo-portage\"\nchannel",
            &["36:8, module[2].name: there is another module named gentoo-portage"],
        );
        check(
            "channel = \"gentoo/full\"",
            "channel = \"gentoo/ful\"",
            &["23:11, module[1].channel: there is no channel named gentoo/ful; did you mean `gentoo/full`?"],
        );
        check("\"far\"]", "\"fra\"]", &["33:16, module[1].nodes[2]: there is no node named fra; did you mean `far`?"]);
        check(
            "name = \"far\"",
            "name = \"near\"",
            &[
                "33:16, module[1].nodes[2]: there is no node named far",
                "55:8, node[3].name: there is another node named near",
                "58:12, node[3].parents[1]: near cannot be its own parent",
            ],
        );
    }

    #[test]
    fn one_node_is_the_gateway_and_all_others_hang_below_it() {
        check(
            "role = \"secondary\"\nparents = [\"gw\"]",
            "role = \"gateway\"",
            &[
                "50:8, node[2].role: gw is the gateway already; a federation has one",
                "57:12, node[3].parents[1]: a node whose first parent is the gateway is a secondary",
            ],
        );
        check(
            "role = \"gateway\"\nparents = []",
            "role = \"secondary\"\nparents = [\"far\"]",
            &[
                "42:8, node[1].role: no node is the gateway; one must have `role = \"gateway\"`",
                "43:12, node[1].parents[1]: the first parent of a secondary is the gateway, but far is a tertiary",
                "51:12, node[2].parents[1]: the first parent of a secondary is the gateway, but gw is a secondary",
                "58:12, node[3].parents[1]: its first parents do not lead to the gateway in 16 steps; do they go in a circle?",
            ],
        );
        check(
            "parents = []",
            "parents = [\"near\"]",
            &["43:12, node[1].parents[1]: the gateway has no parents; it fetches from upstreams"],
        );
        check("parents = [\"gw\"]", "parents = []", &["50:8, node[2].role: a secondary needs `parents = [...]`"]);
        check(
            "[\"near\", \"gw\"]",
            "[\"gw\"]",
            &["58:12, node[3].parents[1]: a node whose first parent is the gateway is a secondary"],
        );
        check(
            "[\"near\", \"gw\"]",
            "[\"near\", \"gw\", \"near\"]",
            &["58:12, node[3].parents[1]: near stands twice among the parents"],
        );
    }

    #[test]
    fn a_text_that_is_no_toml_is_named_with_its_place() {
        let mistakes = Topology::parse("federation = \"x\"\nname = \n").unwrap_err();
        assert_eq!((mistakes.len(), mistakes[0].line, mistakes[0].key.as_str()), (1, 2, ""));
        assert!(mistakes[0].to_string().starts_with("2:8: this is no TOML: "), "{}", mistakes[0]);
        assert_eq!(Topology::parse(&"#".repeat(2 << 20)).unwrap_err().len(), 1);
    }

    #[test]
    fn all_mistakes_come_at_once_in_order_and_no_more_than_anybody_reads() {
        let text = WHOLE.replace("parents", "parent").replace("kind", "knid");
        let mistakes = Topology::parse(&text).unwrap_err();
        let lines: Vec<usize> = mistakes.iter().map(|mistake| mistake.line).collect();
        assert_eq!(lines, [3, 5, 11, 13, 43, 50, 51, 57, 58]);
        let many = "[[node]]\n".repeat(1_000);
        assert_eq!(Topology::parse(&many).unwrap_err().len(), crate::cascade::MAX_MISTAKES);
    }
}
