//! From the text of a `[[module]]` section to its values.
//!
//! What a module hides, whom it lets in and how much it gives is all written here, so a mistake here is the one that opens
//! a door or closes it: what does not fit is named with its place, and keys that mean nothing without another are told so.
//! Deliberately absent: the languages of filter rules and log lines; [`Words`](super::toml_read::Words) judges them.

use std::time::Duration;

use super::byte_size::ByteSize;
use super::module_values::{
    AuthUser, FilterKind, FilterRule, HostPattern, HostWord, LoginDigest, OwnerName, Ownership,
};
use super::toml_read::{Placed, Reading, Section};
use super::topology::{Module, Nodes};
use super::topology_read::Draft;
use crate::names::{ChannelName, ModuleName, NodeName};
use crate::tree::{TreePath, TreePathBuf};

/// Longest comment of a module, in bytes: rsync's module list is lines for a terminal.
const MAX_COMMENT_BYTES: usize = 500;

/// Longest message of the day, in bytes: every client of the module gets it.
const MAX_MOTD_BYTES: usize = 16 << 10;

/// Longest form of a log line, in bytes: a line for people, or for a program that splits it.
const MAX_LOG_FORMAT_BYTES: usize = 1_000;

/// Most connections that a module may allow: more than a process may have files open.
const MAX_CONNECTIONS: u32 = 1_000_000;

/// Longest timeout: a connection that is silent for a day is dead.
const MAX_TIMEOUT: Duration = Duration::from_secs(86_400);

/// Host names in the two lists of a module together: each is asked of a name server while a client waits.
const MAX_HOST_NAMES: usize = 64;

/// Filter rules of a module: they are matched for every entry of every list.
const MAX_FILTERS: usize = 1_000;

/// Users, or patterns of users, of a module.
const MAX_AUTH_USERS: usize = 1_000;

/// Bytes a second that a limit may be: less is no service, more is a slip of the unit.
const RATES: (ByteSize, ByteSize) = (ByteSize::new(1 << 10), ByteSize::new(1 << 40));

/// Largest number of a user or group: the next one means "none" to the system.
const MAX_ID: u32 = u32::MAX - 1;

const KEYS: [&str; 25] = [
    "name",
    "channel",
    "path",
    "comment",
    "list",
    "hosts_allow",
    "hosts_deny",
    "lookup",
    "auth_users",
    "auth_digest",
    "exclude",
    "include",
    "filter",
    "owner",
    "owner_id",
    "group",
    "group_id",
    "max_connections",
    "timeout",
    "bwlimit",
    "bwlimit_total",
    "motd",
    "transfer_log",
    "log_format",
    "nodes",
];

/// Reads a module; adds its name and what it refers to to `draft`.
pub(super) fn read_module(reading: &mut Reading<'_>, section: &Section<'_>, draft: &mut Draft) -> Option<Module> {
    section.allow(reading, &KEYS, &[]);
    section.require(reading, "name", "\"gentoo-portage\"");
    section.require(reading, "channel", "\"gentoo/full\"");
    let name: Option<Placed<ModuleName>> = section.word(reading, "name");
    draft.names.modules.extend(name.clone());
    let channel: Option<Placed<ChannelName>> = section.word(reading, "channel");
    if let Some(channel) = &channel {
        draft.refer(channel);
    }
    let path = read_path(reading, section);
    let comment = read_line(reading, section, "comment", MAX_COMMENT_BYTES).unwrap_or_default();
    let list = section.flag(reading, "list", true);
    let (hosts_allow, hosts_deny) = read_hosts(reading, section);
    let (auth_users, auth_digest) = read_logins(reading, section);
    let filters = read_filters(reading, section);
    let ownership = read_ownership(reading, section);
    let max_connections = section.number(reading, "max_connections", 0..=MAX_CONNECTIONS);
    let timeout = section.duration(reading, "timeout", MAX_TIMEOUT);
    let bwlimit = read_rate(reading, section, "bwlimit");
    let bwlimit_total = read_rate(reading, section, "bwlimit_total");
    let motd = read_motd(reading, section);
    let transfer_log = section.flag(reading, "transfer_log", true);
    let log_format = read_log_format(reading, section);
    let nodes = read_nodes(reading, section, draft);
    Some(Module {
        name: name?.value,
        channel: channel?.value,
        path,
        comment,
        list,
        hosts_allow,
        hosts_deny,
        auth_users,
        auth_digest,
        filters,
        ownership,
        max_connections: max_connections.filter(|&most| most != 0),
        timeout: timeout.filter(|timeout| !timeout.is_zero()),
        bwlimit,
        bwlimit_total,
        motd,
        transfer_log,
        log_format,
        nodes,
    })
}

fn read_path(reading: &mut Reading<'_>, section: &Section<'_>) -> TreePathBuf {
    let path = section.text(reading, "path").filter(|path| !path.value.is_empty());
    let checked = path.map(|path| (TreePath::new(path.value.as_bytes()), path.place));
    match checked {
        Some((Ok(path), _)) => path.into(),
        Some((Err(error), place)) => {
            reading.mistake(&place, format!("{error}; write a directory inside the channel, as in \"metadata\""));
            TreePath::ROOT.into()
        }
        None => TreePath::ROOT.into(),
    }
}

fn read_line(reading: &mut Reading<'_>, section: &Section<'_>, key: &str, most: usize) -> Option<String> {
    let line = section.text(reading, key)?;
    if line.value.len() > most || line.value.chars().any(char::is_control) {
        reading.mistake(&line.place, format!("one line of at most {most} bytes belongs here"));
    }
    Some(line.value.to_owned())
}

fn read_motd(reading: &mut Reading<'_>, section: &Section<'_>) -> String {
    let Some(motd) = section.text(reading, "motd") else {
        return String::new();
    };
    if motd.value.len() > MAX_MOTD_BYTES || motd.value.contains('\0') {
        let text = format!("a text of at most {MAX_MOTD_BYTES} bytes belongs here");
        reading.mistake(&motd.place, text);
    }
    motd.value.to_owned()
}

/// Both lists. A name in them costs a look-up, so it has to be wished for.
fn read_hosts(reading: &mut Reading<'_>, section: &Section<'_>) -> (Vec<HostPattern>, Vec<HostPattern>) {
    let lookup = section.flag(reading, "lookup", false);
    let mut names = 0;
    let lists = ["hosts_allow", "hosts_deny"].map(|key| {
        let words = section.words::<HostWord>(reading, key).unwrap_or_default();
        for Placed { value, place } in &words {
            let Some(HostPattern::Name(name)) = value.0.first() else { continue };
            names += 1;
            if !lookup {
                let text = format!(
                    "{name:?} is a host name, and names are looked up only with lookup = true; write its address"
                );
                reading.mistake(place, text);
            } else if names == MAX_HOST_NAMES + 1 {
                reading.mistake(place, format!("a module has at most {MAX_HOST_NAMES} host names; write networks"));
            }
        }
        words.into_iter().flat_map(|word| word.value.0).collect::<Vec<_>>()
    });
    let [allow, deny] = lists;
    (allow, deny)
}

fn read_logins(reading: &mut Reading<'_>, section: &Section<'_>) -> (Vec<AuthUser>, Option<LoginDigest>) {
    let users: Vec<Placed<AuthUser>> = section.words(reading, "auth_users").unwrap_or_default();
    if let Some(over) = users.get(MAX_AUTH_USERS) {
        let text = format!("a module has at most {MAX_AUTH_USERS} users here; write patterns such as \"mirror-*\"");
        reading.mistake(&over.place, text);
    }
    let digest = section.choice(reading, "auth_digest", &LoginDigest::WORDS);
    if let Some(digest) = digest.as_ref().filter(|_| !section.has("auth_users")) {
        reading.mistake(&digest.place, "without auth_users nobody logs in; leave it out, or name them");
    }
    (users.into_iter().map(|user| user.value).collect(), digest.map(|digest| digest.value))
}

/// `filter`, then `include`, then `exclude`: the order in which rsyncd asks them.
fn read_filters(reading: &mut Reading<'_>, section: &Section<'_>) -> Vec<FilterRule> {
    let mut rules = Vec::new();
    let mut sound = true;
    let judge = reading.words.filters;
    for (key, kind) in
        [("filter", FilterKind::Rule), ("include", FilterKind::Include), ("exclude", FilterKind::Exclude)]
    {
        for Placed { value, place } in section.texts(reading, key).unwrap_or_default() {
            let rule = FilterRule { kind, text: value.to_owned() };
            let judged = match value.is_empty() {
                true => Err("an empty text is no rule; leave it out".to_owned()),
                false => judge(&[rule.rule()]),
            };
            if let Err(why) = judged {
                reading.mistake(&place, why);
                sound = false;
            }
            rules.push(rule);
            if rules.len() == MAX_FILTERS + 1 {
                reading.mistake(&place, format!("a module has at most {MAX_FILTERS} filter rules"));
                sound = false;
            }
        }
    }
    let all: Vec<String> = rules.iter().map(FilterRule::rule).collect();
    if sound && let Err(why) = judge(&all) {
        reading.mistake(&section.place, format!("its filter rules together: {why}"));
    }
    rules
}

/// Names and numbers go together: this text is read where nobody knows the users of another machine.
fn read_ownership(reading: &mut Reading<'_>, section: &Section<'_>) -> Ownership {
    let default = Ownership::default();
    let (uid, user) = read_owner(reading, section, ["owner", "owner_id"]).unwrap_or((default.uid, default.user));
    let (gid, group) = read_owner(reading, section, ["group", "group_id"]).unwrap_or((default.gid, default.group));
    Ownership { uid, user, gid, group }
}

fn read_owner(reading: &mut Reading<'_>, section: &Section<'_>, [name, id]: [&str; 2]) -> Option<(u32, String)> {
    let written = [name, id].map(|key| section.has(key));
    let word: Option<Placed<OwnerName>> = section.word(reading, name);
    let number = section.number(reading, id, 0..=MAX_ID);
    match written {
        [true, false] => section.require(reading, id, "250"),
        [false, true] => section.require(reading, name, "\"portage\""),
        [true, true] | [false, false] => {}
    }
    Some((number?, word?.value.0))
}

fn read_rate(reading: &mut Reading<'_>, section: &Section<'_>, key: &str) -> Option<u64> {
    let Placed { value, place } = section.word::<ByteSize>(reading, key)?;
    let (low, high) = RATES;
    if value < low || value > high {
        reading.mistake(&place, format!("{low} to {high} a second belong here"));
    }
    Some(value.bytes())
}

fn read_log_format(reading: &mut Reading<'_>, section: &Section<'_>) -> Option<String> {
    let place = section.text(reading, "log_format")?.place;
    let format = read_line(reading, section, "log_format", MAX_LOG_FORMAT_BYTES)?;
    if let Err(why) = (reading.words.log_format)(&format) {
        reading.mistake(&place, why);
    }
    Some(format)
}

fn read_nodes(reading: &mut Reading<'_>, section: &Section<'_>, draft: &mut Draft) -> Nodes {
    let Some(texts) = section.texts(reading, "nodes") else {
        return Nodes::All;
    };
    if let [only] = texts.as_slice()
        && only.value == "*"
    {
        return Nodes::All;
    }
    if let Some(star) = texts.iter().find(|text| text.value == "*") {
        reading.mistake(&star.place, "\"*\" means all nodes and stands alone");
        return Nodes::All;
    }
    let names: Vec<Placed<NodeName>> = texts.into_iter().filter_map(|text| reading.parsed(text)).collect();
    draft.refer_to_nodes(&names);
    Nodes::Only(names.into_iter().map(|name| name.value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cascade::{Grant, Topology, Words};

    const AROUND: &str = "federation = \"x\"\n[[repository]]\nname = \"r\"\nkind = \"files\"\n[[channel]]\n\
        name = \"r/full\"\n[[node]]\nname = \"gw\"\nsite = \"home\"\nrole = \"gateway\"\n[[module]]\nname = \"m\"\n\
        channel = \"r/full\"\n";

    /// The words of a filter language in which `?` stands for what cannot be read, and of a log language without `%z`.
    const WORDS: Words = Words {
        filters: |rules| match rules.iter().any(|rule| rule.contains('?')) || rules.len() > 3 {
            true => Err("no rule".to_owned()),
            false => Ok(()),
        },
        log_format: |format| if format.contains("%z") { Err("no escape %z".to_owned()) } else { Ok(()) },
    };

    /// A module with `keys`, from line 14 on.
    fn read(keys: &str) -> Result<Module, Vec<String>> {
        let topology = Topology::parse_with(&format!("{AROUND}{keys}\n"), WORDS);
        let topology = topology.map_err(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        Ok(topology.modules.into_iter().next().unwrap())
    }

    fn check(keys: &str, expected: &[&str]) {
        assert_eq!(read(keys).map(|_| ()), Err(expected.iter().map(|&line| line.to_owned()).collect()), "{keys}");
    }

    #[test]
    fn a_module_of_a_classic_mirror_is_read_with_everything_in_it() {
        let module = read(
            "hosts_allow = [\"10.0.0.0/8\", \"mirror.example\"]\nlookup = true\nauth_users = [\"eve:deny\", \"m-*\"]\n\
             auth_digest = \"sha256\"\nexclude = [\"/local/***\"]\ninclude = [\"keep\"]\nfilter = [\"-! */\"]\n\
             owner = \"portage\"\nowner_id = 250\ngroup = \"portage\"\ngroup_id = 250\nbwlimit = \"10MiB\"\n\
             bwlimit_total = \"1GiB\"\nlog_format = \"%o %f\"\n",
        )
        .unwrap();
        let hosts: Vec<String> = module.hosts_allow.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["10.0.0.0/8", "mirror.example"]);
        let users: Vec<(&str, Grant)> =
            module.auth_users.iter().map(|user| (user.pattern.as_str(), user.grant)).collect();
        assert_eq!(users, [("eve", Grant::Deny), ("m-*", Grant::Read)]);
        assert_eq!(module.auth_digest, Some(LoginDigest::Sha256));
        let rules: Vec<String> = module.filters.iter().map(FilterRule::rule).collect();
        assert_eq!(rules, ["-! */", "+ keep", "- /local/***"]);
        let owners = Ownership { uid: 250, user: "portage".into(), gid: 250, group: "portage".into() };
        assert_eq!(module.ownership, owners);
        assert_eq!((module.bwlimit, module.bwlimit_total), (Some(10 << 20), Some(1 << 30)));
        assert_eq!(module.log_format.as_deref(), Some("%o %f"));
    }

    #[test]
    fn a_module_that_says_nothing_lets_everybody_have_everything_as_root() {
        let module = read("").unwrap();
        assert!(module.auth_users.is_empty() && module.filters.is_empty() && module.hosts_allow.is_empty());
        assert_eq!((module.auth_digest, module.bwlimit, module.bwlimit_total), (None, None, None));
        assert_eq!((module.ownership.user.as_str(), module.ownership.gid, module.log_format), ("root", 0, None));
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_its_place() {
        check(
            "hosts_deny = [\"a.example\"]",
            &[
                "14:15, module[1].hosts_deny[1]: \"a.example\" is a host name, and names are looked up only with lookup = true; write its address",
            ],
        );
        check(
            "auth_users = [\"a\", \"@b\"]\nauth_digest = \"md4\"",
            &[
                "14:20, module[1].auth_users[2]: \"@b\" is a group of the system, which logins here have nothing to do with: name the users, or a pattern such as \"mirror-*\"",
                "15:15, module[1].auth_digest: \"md4\" is none of md5, sha1, sha256, sha512; did you mean `md5`?",
            ],
        );
        check(
            "auth_digest = \"md5\"",
            &["14:15, module[1].auth_digest: without auth_users nobody logs in; leave it out, or name them"],
        );
        check(
            "filter = [\"a?\", \"\"]\nexclude = [\"b\"]",
            &[
                "14:11, module[1].filter[1]: no rule",
                "14:17, module[1].filter[2]: an empty text is no rule; leave it out",
            ],
        );
        check("exclude = [\"a\", \"b\", \"c\", \"d\"]", &["11:1, module[1]: its filter rules together: no rule"]);
        check("owner = \"portage\"", &["11:1, module[1].owner_id: this key is missing; write `owner_id = 250`"]);
        check("group_id = 250", &["11:1, module[1].group: this key is missing; write `group = \"portage\"`"]);
        check(
            "owner = \"a b\"\nowner_id = -1",
            &[
                "14:9, module[1].owner: \"a b\" is no name of a user or group, as in \"portage\"",
                "15:12, module[1].owner_id: a number from 0 to 4294967294 belongs here",
            ],
        );
        check(
            "bwlimit = \"10MB\"\nbwlimit_total = \"1B\"",
            &[
                "14:11, module[1].bwlimit: \"MB\" is no unit of size: use B, KiB, MiB, GiB or TiB",
                "15:17, module[1].bwlimit_total: 1KiB to 1TiB a second belong here",
            ],
        );
        check("log_format = \"%z\"", &["14:14, module[1].log_format: no escape %z"]);
        check("log_fromat = \"\"", &["14:1, module[1].log_fromat: no such key; did you mean `log_format`?"]);
    }

    #[test]
    fn lists_have_an_end() {
        let list = |word: &str, many: usize| format!("{:?}", vec![word; many]);
        let last = |keys: &str| read(keys).unwrap_err().pop().unwrap();
        assert!(read(&format!("auth_users = {}", list("a", MAX_AUTH_USERS))).is_ok());
        assert!(last(&format!("auth_users = {}", list("a", MAX_AUTH_USERS + 1))).contains("at most 1000 users"));
        assert!(last(&format!("exclude = {}", list("a", MAX_FILTERS + 1))).contains("at most 1000 filter rules"));
        let hosts = format!("lookup = true\nhosts_allow = {}", list("a.example", MAX_HOST_NAMES + 1));
        assert!(last(&hosts).contains("at most 64 host names"));
    }
}
