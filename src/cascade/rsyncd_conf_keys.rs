//! Every setting of rsyncd.conf(5), and what becomes of those that need no thought.
//!
//! Most settings of a daemon that walks a file system for each client mean nothing where a client only sees a snapshot. Each
//! says why in a sentence, so that who switches learns it from the report and not from an outage.
//! Deliberately absent: settings that something here answers to; they are named, and `rsyncd_conf_module` and
//! `rsyncd_conf_node` take them.

use super::mistake::nearest;
use super::rsyncd_conf_report::Verdict::{self, NoMeaning, Refused, Taken};

/// What becomes of a setting.
#[derive(Copy, Clone, Debug)]
pub(super) enum Fate {
    /// It is taken over, or refused, by its value.
    Read,
    /// The same whatever its value is.
    Always(Verdict, &'static str),
    /// By yes and no.
    Switch { yes: (Verdict, &'static str), no: (Verdict, &'static str) },
}

/// Where a setting may stand.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// Before the modules only.
    Global,
    /// In a module, or before the modules as their default.
    Module,
}

/// A setting of rsyncd.
#[derive(Copy, Clone, Debug)]
pub(super) struct Key {
    /// As it is compared: without blanks.
    pub(super) key: &'static str,
    pub(super) reach: Reach,
    pub(super) fate: Fate,
}

const fn node(key: &'static str) -> Key {
    Key { key, reach: Reach::Global, fate: Fate::Read }
}

const fn module(key: &'static str) -> Key {
    Key { key, reach: Reach::Module, fate: Fate::Read }
}

const fn nothing(key: &'static str, reach: Reach, why: &'static str) -> Key {
    Key { key, reach, fate: Fate::Always(NoMeaning, why) }
}

const fn refused(key: &'static str, why: &'static str) -> Key {
    Key { key, reach: Reach::Module, fate: Fate::Always(Refused, why) }
}

const fn switch(key: &'static str, yes: (Verdict, &'static str), no: (Verdict, &'static str)) -> Key {
    Key { key, reach: Reach::Module, fate: Fate::Switch { yes, no } }
}

const PROCESS: &str = "headwater is one process under a service manager, which knows its number";
const SERVICE: &str = "start headwater as the user that it is to run as: User= and Group= of its service";
const PRISON: &str = "a client's path never meets the file system: only what was imported can be asked for";
const LINKS: &str = "symlinks are served as they were imported, and nobody can upload one";
const OWNERS: &str =
    "owners are not read from the disk: every entry is root's, or who `owner` and `group` of the module name";
const LOG: &str = "the log goes to standard error, where a service manager takes it";
const SOCKET: &str = "it has no effect that a client could notice; sockets are set up by headwater itself";
const RECEIVE: &str = "nothing is ever received from a client";
const HOOK: &str = "no command is run for a client: if it counted them, use transfer_log";

/// All of them, as the manual of rsync 3.5 has them.
const KEYS: &[Key] = &[
    node("motdfile"),
    nothing("pidfile", Reach::Global, PROCESS),
    node("port"),
    node("address"),
    nothing("socketoptions", Reach::Global, SOCKET),
    nothing("listenbacklog", Reach::Global, SOCKET),
    nothing("daemonuid", Reach::Global, SERVICE),
    nothing("daemongid", Reach::Global, SERVICE),
    node("daemonchroot"),
    node("proxyprotocol"),
    node("proxyprotocolhosts"),
    module("comment"),
    module("path"),
    nothing("usechroot", Reach::Module, PRISON),
    nothing("nameconverter", Reach::Module, OWNERS),
    nothing("numericids", Reach::Module, OWNERS),
    nothing("mungesymlinks", Reach::Module, LINKS),
    nothing("insecurelinks", Reach::Module, LINKS),
    refused("charset", "names are served as they are: a client that asks for --iconv is refused"),
    module("maxconnections"),
    module("logfile"),
    nothing("syslogfacility", Reach::Module, LOG),
    nothing("syslogtag", Reach::Module, LOG),
    nothing(
        "maxverbosity",
        Reach::Module,
        "what a client asks to be told is told to the client, and never goes into the log",
    ),
    nothing("lockfile", Reach::Module, "connections are counted in the process itself"),
    switch(
        "readonly",
        (NoMeaning, "every module is read only"),
        (Refused, "nobody can upload: a client that tries is refused"),
    ),
    module("writeonly"),
    nothing("opennoatime", Reach::Module, "files are read by `headwater import`, never for a client"),
    module("list"),
    module("uid"),
    nothing("gid", Reach::Module, "no file is opened for a client, as with uid"),
    nothing("fakesuper", Reach::Module, RECEIVE),
    module("filter"),
    module("exclude"),
    module("include"),
    module("excludefrom"),
    module("includefrom"),
    nothing("incomingchmod", Reach::Module, RECEIVE),
    refused("outgoingchmod", "modes are served as they were imported: change them in the directory that is imported"),
    module("authusers"),
    module("secretsfile"),
    module("authdigest"),
    switch(
        "strictmodes",
        (Taken, "always so: a secrets file that others can read is refused"),
        (Refused, "a secrets file that others can read is always refused: `chmod 600` it"),
    ),
    module("hostsallow"),
    module("hostsdeny"),
    nothing("reverselookup", Reach::Module, "no client's name is looked up: its address stands where the name would"),
    module("forwardlookup"),
    nothing("ignoreerrors", Reach::Module, "a list is whole, or it is not published"),
    switch(
        "ignorenonreadable",
        (
            Refused,
            "an import reads everything or stops: take what is not to be served out of the directory, and hide it until then",
        ),
        (NoMeaning, "an import reads everything or stops"),
    ),
    module("transferlogging"),
    module("logformat"),
    module("timeout"),
    refused(
        "refuseoptions",
        "options cannot be refused by name; those that could change a module or lead out of it always are",
    ),
    nothing("dontcompress", Reach::Module, "a client gets the compression that it asks for"),
    module("earlyexec"),
    module("pre-xferexec"),
    refused("post-xferexec", HOOK),
    nothing("tempdir", Reach::Module, RECEIVE),
];

/// Numbers and yes or no: a module has for ever what stood before it. A text that it has none of is looked for at the end.
const FIXED: [&str; 19] = [
    "usechroot",
    "numericids",
    "mungesymlinks",
    "insecurelinks",
    "maxconnections",
    "syslogfacility",
    "maxverbosity",
    "readonly",
    "writeonly",
    "opennoatime",
    "list",
    "fakesuper",
    "strictmodes",
    "reverselookup",
    "forwardlookup",
    "ignoreerrors",
    "ignorenonreadable",
    "transferlogging",
    "timeout",
];

/// Whether a default that stands behind a module holds for it, if it has none of its own.
pub(super) fn reaches_back(key: &str) -> bool {
    !FIXED.contains(&key)
}

/// The setting of that name, which is lower-case and without blanks.
pub(super) fn known(key: &str) -> Option<&'static str> {
    KEYS.iter().map(|known| known.key).find(|known| *known == key)
}

/// All about it.
pub(super) fn about(key: &str) -> Option<&'static Key> {
    KEYS.iter().find(|known| known.key == key)
}

/// The setting that `name` was probably meant to be.
pub(super) fn meant(name: &str) -> Option<String> {
    nearest(&name.replace(' ', "").to_ascii_lowercase(), KEYS.iter().map(|known| known.key))
}

/// What rsyncd takes for yes and for no.
pub(super) fn boolean(value: &str) -> Option<bool> {
    let is = |words: [&str; 3]| words.iter().any(|word| word.eq_ignore_ascii_case(value));
    match () {
        () if is(["yes", "true", "1"]) => Some(true),
        () if is(["no", "false", "0"]) => Some(false),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_setting_stands_once_and_as_it_is_compared() {
        let names: BTreeSet<&str> = KEYS.iter().map(|known| known.key).collect();
        assert_eq!(names.len(), KEYS.len());
        let plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert_eq!(names.iter().copied().filter(|name| !plain(name)).collect::<Vec<_>>(), Vec::<&str>::new());
        assert_eq!(FIXED.iter().filter(|fixed| !names.contains(*fixed)).collect::<Vec<_>>(), Vec::<&&str>::new());
    }

    #[test]
    fn yes_and_no_have_three_words_each() {
        for (value, expected) in
            [("yes", Some(true)), ("TRUE", Some(true)), ("1", Some(true)), ("No", Some(false)), ("0", Some(false))]
        {
            assert_eq!(boolean(value), expected, "{value}");
        }
        assert_eq!((boolean("on"), boolean(""), boolean("yes please")), (None, None, None));
    }

    #[test]
    fn a_slip_is_guessed() {
        assert_eq!(meant("host allow").as_deref(), Some("hostsallow"));
        assert_eq!(meant("Exlude").as_deref(), Some("exclude"));
        assert_eq!(meant("something else entirely"), None);
    }
}
