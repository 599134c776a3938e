//! The same modules in the words of both servers.
//!
//! Modules whose settings a version does not have yet stand in parts of their own: a topology with a key that nobody knows
//! is refused as a whole.

use super::case::Feature;
use super::generated;

/// The passwords of who may log in. One is for a user whose module nobody may enter.
pub(crate) const SECRETS: &str = "alice:sesame\n# a comment\nbob:sesame\nmirror-7:sesame\n";

/// An `rsyncd.conf` with the same modules, in which `ROOT` stands for a directory.
pub(crate) fn rsyncd_conf(has: impl Fn(Feature) -> bool) -> String {
    let mut text = RSYNCD.to_owned();
    for (module, path, settings, (feature, _)) in modules() {
        if feature.is_none_or(&has) {
            text.push_str(&format!("\n[{module}]\npath = ROOT/served/{path}\n{settings}"));
        }
    }
    text
}

/// A topology with the modules of features that are there.
pub(crate) fn topology(has: impl Fn(Feature) -> bool) -> String {
    let mut text = TOPOLOGY.to_owned();
    for (module, path, _, (feature, keys)) in modules() {
        if feature.is_none_or(&has) {
            let (repository, inner) = path.split_once('/').unwrap_or((path, ""));
            text.push_str(&format!(
                "\n[[module]]\nname = \"{module}\"\nchannel = \"{repository}/full\"\npath = \"{inner}\"\n{keys}"
            ));
        }
    }
    text
}

/// Lines that `headwater.toml` begins with.
pub(crate) fn node_toml(has: impl Fn(Feature) -> bool) -> String {
    let secrets = if has(Feature::Logins) { "secrets = \"secrets\"\n" } else { "" };
    format!("motd = \"motd\"\n{secrets}")
}

/// A module: its name, the path that it serves, rsyncd's settings, and ours with what they need.
type Module = (String, &'static str, String, (Option<Feature>, String));

fn modules() -> Vec<Module> {
    let fixed = FIXED.iter().map(|&(name, path, settings, feature, keys)| {
        (name.to_owned(), path, settings.to_owned(), (feature, keys.to_owned()))
    });
    let generated = generated::modules()
        .into_iter()
        .map(|module| (module.name, "odd/generated", module.settings, (Some(Feature::ModuleFilters), module.keys)));
    fixed.chain(generated).collect()
}

type Fixed = (&'static str, &'static str, &'static str, Option<Feature>, &'static str);

const FIXED: &[Fixed] = &[
    ("odd", "odd", "comment = Oddities of all kinds\n", None, "comment = \"Oddities of all kinds\"\n"),
    ("gentoo", "gentoo", "comment = Gentoo ebuild repository\n", None, "comment = \"Gentoo ebuild repository\"\n"),
    ("a-module-with-a-long-name", "odd/plain", "", None, ""),
    ("inner", "odd/filter", "comment = A part of it\n", None, "comment = \"A part of it\"\n"),
    ("void", "odd/empty", "", None, ""),
    ("hidden", "odd/plain", "list = no\n", None, "list = false\n"),
    ("denied", "odd/plain", "hosts deny = 127.0.0.0/8\n", None, "hosts_deny = [\"127.0.0.0/8\"]\n"),
    (
        "hidden-and-denied",
        "odd/plain",
        "list = no\nhosts deny = *\n",
        None,
        "list = false\nhosts_deny = [\"0.0.0.0/0\"]\n",
    ),
    (
        "allowed",
        "odd/plain",
        "hosts allow = 127.0.0.1\nhosts deny = *\n",
        None,
        "hosts_allow = [\"127.0.0.1\"]\nhosts_deny = [\"0.0.0.0/0\"]\n",
    ),
    ("one-place", "odd/plain", "max connections = 1\nlock file = ROOT/one-place.lock\n", None, "max_connections = 1\n"),
    (
        "place-taken",
        "odd/plain",
        "max connections = 1\nlock file = ROOT/place-taken.lock\n",
        None,
        "max_connections = 1\n",
    ),
    (
        "other-place-taken",
        "odd/plain",
        "max connections = 1\nlock file = ROOT/other-place-taken.lock\n",
        None,
        "max_connections = 1\n",
    ),
    ("letters", "odd/names", "list = no\n", None, "list = false\n"),
    ("joined", "odd/hard", "list = no\n", None, "list = false\n"),
    ("linked", "odd/follow", "list = no\n", None, "list = false\n"),
    ("with-timeout", "odd/plain", "timeout = 33\n", None, "timeout = \"33s\"\n"),
    ("guarded", "odd/plain", GUARDED, Some(Feature::Logins), GUARDED_HERE),
    ("guarded-big", "odd/big", GUARDED, Some(Feature::Logins), GUARDED_HERE),
    (
        "guarded-and-hidden",
        "odd/plain",
        "list = no\nauth users = alice\nsecrets file = ROOT/secrets\n",
        Some(Feature::Logins),
        "list = false\nauth_users = [\"alice\"]\n",
    ),
    (
        "guarded-and-denied",
        "odd/plain",
        "hosts deny = *\nauth users = alice\nsecrets file = ROOT/secrets\n",
        Some(Feature::Logins),
        "hosts_deny = [\"*\"]\nauth_users = [\"alice\"]\n",
    ),
    (
        "strong",
        "odd/plain",
        "auth digest = sha512\nauth users = alice\nsecrets file = ROOT/secrets\n",
        Some(Feature::Logins),
        "auth_digest = \"sha512\"\nauth_users = [\"alice\"]\n",
    ),
    (
        "veiled",
        "odd/filter",
        "filter = - *.bak\ninclude = keep.o\nexclude = *.o /build/*** /src/secret/*** core /build\n",
        Some(Feature::ModuleFilters),
        "filter = [\"- *.bak\"]\ninclude = [\"keep.o\"]\nexclude = [\"*.o\", \"/build/***\", \"/src/secret/***\", \"core\", \"/build\"]\n",
    ),
    (
        "veiled-links",
        "odd/follow",
        "list = no\nexclude = /to-dir/ /file\n",
        Some(Feature::ModuleFilters),
        "list = false\nexclude = [\"/to-dir/\", \"/file\"]\n",
    ),
];

const GUARDED: &str = "auth users = alice, bob:deny mirror-*\nsecrets file = ROOT/secrets\n";
const GUARDED_HERE: &str = "auth_users = [\"alice\", \"bob:deny\", \"mirror-*\"]\n";

const RSYNCD: &str = "\
use chroot = no
munge symlinks = no
reverse lookup = no
motd file = ROOT/motd
log file = ROOT/rsyncd.log
";

const TOPOLOGY: &str = r#"
federation = "compliance"

[[repository]]
name = "odd"
kind = "tree"
verify = "off"

[[repository]]
name = "gentoo"
kind = "tree"
verify = "off"

[[channel]]
name = "odd/full"

[[channel]]
name = "gentoo/full"

[[node]]
name = "gw"
site = "here"
role = "gateway"
"#;
