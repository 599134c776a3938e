//! Whole `rsyncd.conf` texts, what is written for them, and what is said.

use std::fmt::Write;

use super::{Surroundings, Topology, Translation, Verdict};

/// A world in which `/trees/*` are ebuild repositories and one file of patterns can be read.
fn translate(text: &str) -> Translation {
    let around = Surroundings {
        federation: "home",
        node: "gw",
        is_tree: &|directory| directory.strip_prefix("/trees/").is_some_and(|name| !name.contains('/')),
        text_of: &|file| match file {
            "/etc/patterns" => Ok("# what nobody needs\n*.bak\n\n; and\n+ /keep\n".to_owned()),
            "/etc/beside.inc" => Ok("&merge acl.inc".to_owned()),
            "/etc/acl.inc" => Ok("hosts allow = 10.9.9.9\n".to_owned()),
            _ => Err("No such file".to_owned()),
        },
        files_of: &|from, path, ending| match path {
            "beside.inc" if from.is_none() => Ok(vec!["/etc/beside.inc".to_owned()]),
            "acl.inc" if from == Some("/etc/beside.inc") => Ok(vec!["/etc/acl.inc".to_owned()]),
            "/etc/rsyncd.d" => Ok(vec![format!("/etc/acl{ending}")]),
            _ => Ok(vec![path.to_owned()]),
        },
    };
    Translation::of_rsyncd_conf(text, &around).unwrap()
}

/// What is said: a line a finding.
fn said(translation: &Translation) -> String {
    let mut text = String::new();
    for finding in &translation.findings {
        let word = match finding.verdict {
            Verdict::Taken => "taken",
            Verdict::NoMeaning => "no meaning",
            Verdict::Refused => "refused",
        };
        let module = finding.module.as_deref().map_or(String::new(), |module| format!("{module}/"));
        let file = finding.file.as_deref().map_or(String::new(), |file| format!("{file}:"));
        writeln!(text, "{file}{} {module}{} | {word} | {}", finding.line, finding.text, finding.why).unwrap();
    }
    text
}

/// The lines of the modules of a topology, without what is the same everywhere.
fn modules(text: &str) -> String {
    let topology = translate(text).topology;
    let (_, modules) = topology.split_once("\n[[module]]\n").unwrap_or_default();
    modules.split_once("\n\n[[node]]").map_or(modules, |(modules, _)| modules).to_owned()
}

fn verdict_of(text: &str, line: usize) -> (Verdict, String) {
    let translation = translate(text);
    let finding = translation.findings.iter().find(|finding| finding.line == line);
    let finding = finding.unwrap_or_else(|| panic!("nothing is said of line {line}:\n{}", said(&translation)));
    (finding.verdict, finding.why.clone())
}

/// The gateway that Gentoo's handbook describes.
const CLASSIC: &str = "\
uid = nobody
gid = nobody
use chroot = yes
max connections = 20
pid file = /var/run/rsyncd.pid
motd file = /etc/rsync/rsyncd.motd
transfer logging = yes
log format = %t %a %m %f %b
syslog facility = local3
timeout = 300

[gentoo-portage]
#For replicating the Gentoo ebuild repository
path = /trees/gentoo
comment = Gentoo ebuild repository
exclude = /distfiles /packages
hosts allow = 192.168.0.0/24 10.0.0.0/8
";

#[test]
fn the_classic_gateway_becomes_a_topology_that_says_the_same() {
    let translation = translate(CLASSIC);
    assert_eq!(
        translation.topology,
        r#"federation = "home"

[[repository]]
name = "gentoo-portage"
kind = "tree"    # /trees/gentoo

[[channel]]
name = "gentoo-portage/full"

[[module]]
name = "gentoo-portage"
channel = "gentoo-portage/full"
comment = "Gentoo ebuild repository"
max_connections = 20
timeout = "300s"
exclude = ["/distfiles", "/packages"]
hosts_allow = ["192.168.0.0/24", "10.0.0.0/8"]

[[node]]
name = "gw"
site = "home"
role = "gateway"
"#
    );
    assert_eq!(
        translation.node,
        "motd = \"/etc/rsync/rsyncd.motd\"\ntransfer_log = \"transfer.log\"\ntransfer_format = \"%t %a %m %f %b\"\n"
    );
    let commands: Vec<String> = translation.sources.iter().map(super::Source::command).collect();
    assert_eq!(commands, ["headwater import /trees/gentoo --repository gentoo-portage"]);
    let words: Vec<&str> = "you no no taken no taken taken taken no taken taken taken taken taken".split(' ').collect();
    let found: Vec<Verdict> = translation.findings.iter().map(|finding| finding.verdict).collect();
    let verdict = |word: &&str| match *word {
        "no" => Verdict::NoMeaning,
        "you" => Verdict::Refused,
        _ => Verdict::Taken,
    };
    let expected: Vec<Verdict> = words.iter().map(verdict).collect();
    assert_eq!(found, expected, "{}", said(&translation));
}

#[test]
fn every_setting_of_a_module_has_its_line() {
    let check = |line: &str, expected: &str| {
        let found = modules(&format!("[m]\npath = /srv/m\n{line}\n"));
        let keys = found.strip_prefix("name = \"m\"\nchannel = \"m/full\"").unwrap_or(&found);
        assert_eq!(keys.trim_matches('\n'), expected, "{line}");
    };
    check("", "");
    check("comment = \"quoted\" \\o/", r#"comment = "\"quoted\" \\o/""#);
    check("list = no", "list = false");
    check("list = yes", "");
    check("max connections = 0", "");
    check("maxconnections = 7", "max_connections = 7");
    check("timeout = 600", "timeout = \"600s\"");
    check("timeout = soon", "");
    check("timeout = 99999", "timeout = \"86400s\"");
    check("max connections = 10 # ten", "max_connections = 10");
    check("hosts allow = ,", r#"hosts_deny = ["*"]"#);
    check("hosts allow = , ,\nhosts deny = 10.0.0.1", r#"hosts_deny = ["*"]"#);
    check("hosts deny = ,", "");
    check("exclude = 100% /a", r#"exclude = ["100%", "/a"]"#);
    check("post-xfer exec = /bin/false", "");
    check("pre-xfer exec =", "");
    check("filter = - /a  + /b", r#"filter = ["- /a", "+ /b"]"#);
    check("include = a\nexclude = *", "include = [\"a\"]\nexclude = [\"*\"]");
    check("exclude from = /etc/patterns\nexclude = x", r#"exclude = ["*.bak", "+ /keep", "x"]"#);
    check("hosts allow = 10.0.0.0/255.0.0.0, ::1", r#"hosts_allow = ["10.0.0.0/255.0.0.0", "::1"]"#);
    check("hosts deny = *", r#"hosts_deny = ["*"]"#);
    check("hosts allow = mirror.example", "hosts_allow = [\"mirror.example\"]\nlookup = true");
    check("auth users = alice, eve:deny bob:ro", r#"auth_users = ["alice", "eve:deny", "bob"]"#);
    check("auth users = alice\nauth digest = SHA256", "auth_users = [\"alice\"]\nauth_digest = \"sha256\"");
    check("auth digest = sha256", "");
}

#[test]
fn nobody_gets_in_whom_rsyncd_would_have_turned_away() {
    let check = |line: &str, expected: &str| {
        let text = format!("[m]\npath = /srv/m\n{line}\n");
        assert!(modules(&text).ends_with(expected), "{line}: {}", modules(&text));
        let (verdict, why) = verdict_of(&text, 3);
        assert_eq!(verdict, Verdict::Refused, "{line}: {why}");
    };
    check("hosts allow = *.example", r#"hosts_deny = ["*"]"#);
    check("hosts deny = bad.example @worse", "hosts_deny = [\"*\"]\nlookup = true");
    check(
        "hosts deny = fe80::1%eth0\nhosts allow = 10.0.0.1",
        "hosts_allow = [\"10.0.0.1\"]\n# All others, since not every word of rsyncd's lists could be carried over.\nhosts_deny = [\"*\"]",
    );
    check("hosts allow = a.example\nforward lookup = no", r#"hosts_deny = ["*"]"#);
    check("filter = merge /etc/rules\nhosts allow = 10.0.0.1", r#"hosts_deny = ["*"]"#);
    check("exclude from = /nowhere", r#"hosts_deny = ["*"]"#);
    for line in [
        "exclude = %HIDE%",
        "filter = - %HIDE%",
        "include = %KEEP%",
        "hosts deny = %HOSTS%",
        "hosts allow = %HOSTS%",
        "auth users = %USERS%",
        "auth users = bob\nsecrets file = /etc/%SECRETS%",
        "max connections = %MOST%",
        "early exec = /bin/true",
        "pre-xfer exec = /bin/true",
    ] {
        let text = format!("[m]\npath = /srv/m\n{line}\n");
        assert!(modules(&text).contains("\n# Closed: ") && modules(&text).ends_with(r#"hosts_deny = ["*"]"#), "{line}");
        let found = translate(&text).findings;
        assert!(found.iter().any(|finding| finding.why.contains("the module is closed")), "{line}: {found:?}");
    }
    check("list = %SEEN%", "list = false");
    check("auth users = @staff", r#"auth_users = ["*:deny"]"#);
    check("auth users = alice @guest:deny *", r#"auth_users = ["alice", "*:deny"]"#);
    check("auth users = alice:rw", r#"auth_users = ["alice"]"#);
    check("auth users = alice:maybe", r#"auth_users = ["*:deny"]"#);
    let closed = modules("[m]\npath = /srv/m\nfilter = merge /etc/rules\nhosts allow = 10.0.0.1\n");
    assert!(!closed.contains("hosts_allow"), "{closed}");
}

#[test]
fn what_restricts_a_module_may_stand_behind_it() {
    let check = |line: &str, expected: &str| {
        let found = modules(&format!("[m]\npath = /srv/m\n[global]\n{line}\n"));
        assert_eq!(found.strip_prefix("name = \"m\"\nchannel = \"m/full\"\n"), Some(expected), "{line}");
    };
    check("hosts deny = *", r#"hosts_deny = ["*"]"#);
    check("hosts allow = 10.0.0.1", r#"hosts_allow = ["10.0.0.1"]"#);
    check("auth users = bob\nsecrets file = /s", r#"auth_users = ["bob"]"#);
    check("exclude = /a", r#"exclude = ["/a"]"#);
}

#[test]
fn what_other_files_say_counts_and_what_cannot_be_read_closes() {
    const CLOSED: &str = "# Closed: lines are missing that may have turned clients away.\nhosts_deny = [\"*\"]";
    let check = |before: &str, behind: &str, expected: &str| {
        let found = modules(&format!("{before}\n[m]\npath = /srv/m\n{behind}\n"));
        assert_eq!(found.strip_prefix("name = \"m\"\nchannel = \"m/full\"\n"), Some(expected), "{before} {behind}");
    };
    let restricted = r#"hosts_allow = ["10.9.9.9"]"#;
    check("&merge /etc/acl.inc", "", restricted);
    check("&merge /etc/rsyncd.d", "", restricted);
    check("&merge beside.inc", "", restricted);
    check("", "&merge /etc/acl.inc", restricted);
    check("", "[global]\n&merge /etc/acl.inc", restricted);
    check("&include /etc/acl.inc", "list = no", "list = false");
    for lost in ["&merge /etc/none", "&include /etc/rsyncd.d", "&merge acl.inc", "&incl /etc/acl.inc", "[open", "[a/b]"]
    {
        check(lost, "", CLOSED);
        check("", lost, CLOSED);
    }
    let translation = translate("list = no\n[m]\npath = /m\n&merge /etc/acl.inc\nhosts allow = *\nuid = 0\n");
    assert_eq!(
        said(&translation),
        "1 list = no | taken | list = false\n3 m/path = /m | taken | to be imported from /m, as plain files\n\
         4 &merge /etc/acl.inc | taken | its lines are read in this place\n5 m/hosts allow = * | taken | hosts_allow\n\
         6 m/uid = 0 | no meaning | no file is opened for a client; an import reads as whoever runs the node\n\
         /etc/acl.inc:1 m/hosts allow = 10.9.9.9 | no meaning | line 5 takes its place\n"
    );
}

#[test]
fn what_was_not_for_downloads_is_left_out() {
    for line in [
        "write only = yes",
        "write only = perhaps",
        "max connections = -1",
        "max connections = -1  # off",
        "max connections = 4294967295",
        "path =",
        "path = /home/%USER%",
    ] {
        let text = format!("[m]\npath = /srv/m\n{line}\n");
        assert_eq!(modules(&text), "", "{line}");
        assert_eq!(verdict_of(&text, 1).0, Verdict::Refused, "{line}");
    }
    assert_eq!(modules("[two words]\npath = /srv/m"), "");
    assert!(verdict_of("[two words]\npath = /srv/m", 1).1.contains("no module name"));
    assert_eq!(modules("[m]\ncomment = no path"), "");
    let one = "[Data]\npath = /srv/a\nhosts allow = 10.0.0.1\n[da ta]\npath = /srv/b\n";
    assert_eq!(modules(one), "name = \"Data\"\nchannel = \"Data/full\"\nhosts_allow = [\"10.0.0.1\"]");
}

#[test]
fn a_directory_is_imported_once() {
    let text = "[all]\npath = /srv\n[part]\npath = /srv/pub/part/\n[again]\npath = /srv/.\n[lost]\npath = /srv/lost+found\n\
        [tree]\npath = /trees/a\n[distfiles]\npath = /trees/a/distfiles\n[news]\npath = /trees/a/metadata/news";
    let topology = translate(text).topology;
    let module = |name: &str| {
        let (_, rest) = topology.split_once(&format!("[[module]]\nname = \"{name}\"\n")).unwrap();
        rest.split_once("\n\n").unwrap().0.to_owned()
    };
    assert_eq!(module("all"), "channel = \"all/full\"");
    assert_eq!(module("part"), "channel = \"all/full\"\npath = \"pub/part\"");
    assert_eq!(module("again"), "channel = \"all/full\"");
    assert_eq!(module("lost"), "channel = \"lost/full\"");
    assert_eq!(module("tree"), "channel = \"tree/full\"");
    // No tree holds its distfiles.
    assert!(module("distfiles").starts_with("channel = "), "{topology}");
    assert_eq!(module("news"), "channel = \"tree/full\"\npath = \"metadata/news\"");
}

#[test]
fn a_node_has_one_log_and_one_secrets_file() {
    let text = "log file = /var/log/rsync.log\ntransfer logging = yes\n[a]\npath = /a\nauth users = x\nsecrets file = /etc/a\n\
        [b]\npath = /b\nauth users = x\nsecrets file = /etc/b\ntransfer logging = no\n[c]\npath = /c\nlog format = %f\n";
    let translation = translate(text);
    assert_eq!(translation.node, "transfer_log = \"/var/log/rsync.log\"\nsecrets = \"/etc/a\"\n");
    assert!(translation.topology.contains("transfer_log = false"), "{}", translation.topology);
    assert!(translation.topology.contains("log_format = \"%f\""), "{}", translation.topology);
    assert_eq!(verdict_of(text, 6).0, Verdict::Taken);
    assert_eq!(verdict_of(text, 10).0, Verdict::Refused);
    assert_eq!(verdict_of(text, 1).0, Verdict::Taken);
}

#[test]
fn a_password_opens_no_module_that_it_did_not_open() {
    let text = "[a]\npath = /a\nauth users = *\nsecrets file = /etc/a\n[b]\npath = /b\nauth users = x\nsecrets file = /etc/b\n\
        hosts allow = b.example\n[c]\npath = /c\nauth users = x\n[d]\npath = /d\nauth users = x\nsecrets file = /etc/a\n\
        [e]\npath = /e\n[f]\npath = /f\nauth users = x\nsecrets file = /etc/f\nearly exec = /bin/check\n";
    let topology = translate(text).topology;
    let check = |module: &str, expected: &str| {
        let (_, rest) = topology.split_once(&format!("channel = \"{module}/full\"\n")).unwrap();
        assert_eq!(rest.split_once("\n\n").unwrap().0, expected, "{module}");
    };
    let closed = |why: &str| format!("auth_users = [\"x\"]\n# Closed: {why}.\nhosts_deny = [\"*\"]");
    check("a", r#"auth_users = ["*"]"#);
    check("b", &closed("its passwords are in another file than those of the modules before it"));
    check("c", &closed("it had no file of passwords, so nobody could log in"));
    check("d", r#"auth_users = ["x"]"#);
    assert!(topology.contains("channel = \"e/full\"\n\n[[module]]"), "{topology}");
    let (_, both) = topology.split_once("channel = \"f/full\"\n").unwrap();
    assert_eq!(
        (both.matches("# Closed: ").count(), both.matches("hosts_deny = [\"*\"]").count()),
        (2, 1),
        "{topology}"
    );
    assert_eq!(verdict_of(text, 8).0, Verdict::Refused);
    assert_eq!(verdict_of(text, 12).0, Verdict::Refused);
}

#[test]
fn it_is_said_as_whom_to_read() {
    let check = |text: &str, readers: &[&str], line: usize, verdict: Verdict, part: &str| {
        assert_eq!(translate(text).readers, readers, "{text}");
        let (found, why) = verdict_of(text, line);
        assert!(found == verdict && why.contains(part), "{text}: {found:?} {why}");
    };
    check("[a]\npath = /a\n", &["nobody"], 1, Verdict::Refused, "it has no `uid`: rsyncd reads as nobody");
    check("[a]\npath = /a\n[b]\npath = /b\n", &["nobody"], 1, Verdict::Refused, "no `uid`, as with 1 more");
    check("uid =\n[a]\npath = /a\n", &["nobody"], 2, Verdict::Refused, "it has no `uid`");
    check("uid = ftp\n[a]\npath = /a\n", &["ftp"], 1, Verdict::Refused, "as ftp or as a user who may read no more");
    check("[a]\npath = /a\nuid = root\n", &[], 3, Verdict::NoMeaning, "whoever runs the node");
    check("uid = 0\n[a]\npath = /a\n[b]\npath = /b\nuid = ftp\n", &["ftp"], 6, Verdict::Refused, "ftp");
    check("[a]\nuid = ftp\n", &[], 2, Verdict::NoMeaning, "not taken over");
}

#[test]
fn the_daemon_listens_where_it_did() {
    let check = |text: &str, expected: &str| assert_eq!(translate(text).node, expected, "{text}");
    check("port = 873", "");
    check("port = 8730", "# in [listen]:\nrsync = \"[::]:8730\"\n");
    check("address = 192.0.2.1", "# in [listen]:\nrsync = \"192.0.2.1:873\"\n");
    check("address = ::1\nport = 8730", "# in [listen]:\nrsync = \"[::1]:8730\"\n");
    check("address = mirror.example", "# in [listen]:\nrsync = \"127.0.0.1:873\"\n");
    check("proxy protocol = yes\nproxy protocol hosts = 10.0.0.1 lb.example", "proxy = [\"10.0.0.1\"]\n");
    check("proxy protocol = yes", "");
    check("motd file = /m\naddress = ::1", "motd = \"/m\"\n\n# in [listen]:\nrsync = \"[::1]:873\"\n");
    assert_eq!(verdict_of("address = mirror.example", 1).0, Verdict::Refused);
    assert_eq!(verdict_of("proxy protocol = yes", 1).0, Verdict::Refused);
    assert_eq!(verdict_of("port = 0", 1).0, Verdict::Refused);
}

#[test]
fn every_line_is_answered() {
    use Verdict::{NoMeaning, Refused, Taken};
    let check = |text: &str, verdict: Verdict, part: &str| {
        let text = format!("[m]\npath = /srv/m\n{text}\n");
        let (found, why) = verdict_of(&text, 3);
        assert!(found == verdict && why.contains(part), "{text}: {found:?} {why}");
    };
    check("uid = nobody", Refused, "an import without one");
    check("read only = yes", NoMeaning, "read only");
    check("read only = no", Refused, "nobody can upload");
    check("read only = maybe", Refused, "neither yes nor no");
    check("strict modes = no", Refused, "chmod 600");
    check("strict modes = true", Taken, "always so");
    check("incoming chmod = a+r", NoMeaning, "ever received");
    check("outgoing chmod = a+r", Refused, "modes");
    check("pre-xfer exec = /bin/true", Refused, "the module is closed");
    check("post-xfer exec = /bin/true", Refused, "no command is run");
    check("max connections = many", Refused, "no limit, here as there");
    check("refuse options = checksum", Refused, "refused by name");
    check("charset =", NoMeaning, "says nothing");
    check("charset = latin1", Refused, "iconv");
    check("munge symlinks = yes", NoMeaning, "symlinks");
    check("pid file = /run/x", NoMeaning, "before the modules");
    check("host allow = 10.0.0.1", Refused, "`hostsallow` may be meant");
    check("list = yes\nlist = no", NoMeaning, "line 4 takes its place");
    check("&merge /etc/rsyncd.d", Taken, "in this place");
    check("&include /etc/rsyncd.d", Refused, "/etc/acl.conf cannot be read (No such file); every module is closed");
    check("&merge beside.inc", Refused, "from beside this file");
    check("&merge rsyncd.d", Refused, "rsyncd.d cannot be read");
    check("[open", Refused, "serves nobody");
    check("nonsense", Refused, "cannot read this line");
    check("hosts deny =", NoMeaning, "says nothing");
    let (found, _) = verdict_of("timeout = 5\n[m]\npath = /a\ntimeout = 6", 1);
    assert_eq!(found, NoMeaning);
}

#[test]
fn what_is_written_can_be_read() {
    let hard = "[a]\npath = /with 'quotes' and \"more\"/é\ncomment = tab\there\nhosts deny = 10.1.2.3/8 h.example\n\
        exclude = \\\\ [a-z]\\ \"x\"\nauth users = ,a b, c\nlog format = \"%f\"\ntransfer logging = 1\n";
    for text in [CLASSIC, hard, "", "[global]\n[x]"] {
        let topology = translate(text).topology;
        Topology::parse(&topology).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{topology}"));
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, cases: 128, ..Default::default() })]

    /// Any text is answered, and what is written for it can be read back.
    #[test]
    fn any_text_is_answered(
        lines in proptest::collection::vec(
            (proptest::sample::select(LINES), "[ -~\t\u{e9}]{0,20}"), 0..30
        )
    ) {
        let text: String = lines.iter().map(|(line, value)| format!("{}\n", line.replace('~', value))).collect();
        let topology = translate(&text).topology;
        let mistakes = Topology::parse(&topology).map(|_| ()).map_err(|mistakes| format!("{mistakes:?}\n{topology}"));
        proptest::prop_assert_eq!(mistakes, Ok(()));
    }
}

/// Lines in which `~` stands for anything.
const LINES: &[&str] = &[
    "[m]",
    "[n~]",
    "[global]",
    "path = /~",
    "path = /srv/~",
    "comment = ~",
    "hosts allow = ~",
    "hosts deny = 10.0.0.1 ~",
    "auth users = ~",
    "exclude = ~",
    "include = ~",
    "filter = - ~",
    "filter = ~",
    "timeout = ~",
    "max connections = ~",
    "log format = ~",
    "transfer logging = yes",
    "log file = ~",
    "secrets file = ~",
    "motd file = ~",
    "address = ~",
    "port = ~",
    "~",
    "~ = ~",
    "list = ~",
    "&~",
    "# ~ \\",
];
