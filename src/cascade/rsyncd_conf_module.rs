//! One `[module]` of an `rsyncd.conf` as the lines of a `[[module]]`.
//!
//! The invariant: nobody gets in whom rsyncd would have turned away, and nobody sees what it hid. Where a rule cannot be
//! carried over the module is closed, to all or to those that the rule was about, and the line says so.
//! Deliberately absent: channels. Which directory becomes which channel is seen only over all modules.

use super::module_values::AuthUser;
use super::rsyncd_conf::{Conf, Section};
use super::rsyncd_conf_report::{Report, Surroundings};
use super::rsyncd_conf_words::{
    Host, clean_path, lines_of_patterns, list, number, patterns, quoted, rules, variable, words,
};
use crate::names::ModuleName;

/// What a topology takes of each; the readers of topologies say the same and name the place.
const MAX_COMMENT_BYTES: usize = 500;
const MAX_CONNECTIONS: i32 = 1_000_000;
const MAX_TIMEOUT_SECONDS: i32 = 86_400;
const MAX_RULES: usize = 1_000;
const MAX_USERS: usize = 1_000;
const MAX_HOST_NAMES: usize = 64;
const MAX_FORMAT_BYTES: usize = 1_000;

/// Values that decide who comes and what they see, and so must be known.
const MUST_BE_KNOWN: [&str; 10] = [
    "maxconnections",
    "filter",
    "includefrom",
    "include",
    "excludefrom",
    "exclude",
    "authusers",
    "secretsfile",
    "hostsallow",
    "hostsdeny",
];

/// Commands whose answer turned clients away.
const GATES: [&str; 2] = ["earlyexec", "pre-xferexec"];

/// Why a module is closed.
const NOT_WHOLE: &str = "lines are missing that may have turned clients away";
const NOT_KNOWN: &str = "what restricted it stood in the environment of rsyncd, or a command knew";
const NOT_HIDDEN: &str = "rules are missing that hid something; see what is said of `filter` and its relatives";

/// A module that is taken over.
pub(super) struct TakenModule {
    pub(super) name: ModuleName,
    /// Where rsyncd had its files.
    pub(super) directory: String,
    /// The lines below `name` and `channel`.
    pub(super) keys: Vec<String>,
    /// Its place among the modules of the text.
    pub(super) number: usize,
    /// Where it says who may log in.
    pub(super) users: Option<usize>,
    /// The file with the passwords of its users.
    pub(super) secrets: Option<(usize, String)>,
    /// Whether its transfers were logged.
    pub(super) logs: bool,
    /// Where, if it said so itself.
    pub(super) log_file: Option<(usize, String)>,
    /// How its log lines look.
    pub(super) log_format: Option<(usize, String)>,
}

impl TakenModule {
    /// Lets nobody in, and says why, beside any other reason.
    pub(super) fn close(&mut self, why: &str) {
        self.keys.retain(|key| !["hosts_", "lookup"].iter().any(|start| key.starts_with(start)));
        close(&mut self.keys, why);
    }
}

fn close(keys: &mut Vec<String>, why: &str) {
    keys.push(format!("# Closed: {why}."));
    keys.push(format!("hosts_deny = {}", list(&["*"])));
}

/// Reads one module, and adds its lines one after the other.
pub(super) struct ModuleReading<'c, 'r> {
    conf: &'c Conf,
    section: &'c Section,
    report: &'r mut Report<'c>,
    around: &'r Surroundings<'r>,
    keys: Vec<String>,
    /// Why nobody may come, if so.
    closed: Option<&'static str>,
}

impl<'c, 'r> ModuleReading<'c, 'r> {
    /// The module at `number`, or none if it cannot be, or may not be, served.
    pub(super) fn take(
        conf: &'c Conf,
        number: usize,
        report: &'r mut Report<'c>,
        around: &'r Surroundings<'r>,
    ) -> Option<TakenModule> {
        let section = conf.modules.get(number)?;
        let name = match section.name.parse::<ModuleName>() {
            Ok(name) => name,
            Err(error) => {
                report.of_module(number, format!("left out: {error}"));
                return None;
            }
        };
        let mut reading =
            Self { conf, section, report, around, keys: Vec::new(), closed: conf.is_incomplete().then_some(NOT_WHOLE) };
        let Some(directory) = reading.directory() else {
            reading.report.of_module(number, "left out: it has no path that can be taken over".to_owned());
            return None;
        };
        if reading.is_shut() {
            reading.report.of_module(number, "left out: rsyncd let nobody download from it".to_owned());
            return None;
        }
        reading.unknown();
        reading.comment();
        reading.flag("list", true, "list");
        reading.number("maxconnections", "max_connections", MAX_CONNECTIONS, "");
        reading.number("timeout", "timeout", MAX_TIMEOUT_SECONDS, "s");
        reading.filters();
        let secrets = reading.logins();
        let users = reading.text("authusers").map(|(at, _)| at);
        reading.hosts();
        let logs = reading.logs();
        let log_file = reading.text("logfile").map(|(at, file)| (at, file.to_owned()));
        let log_format = reading.log_format();
        let keys = reading.keys;
        Some(TakenModule { name, directory, keys, number, users, secrets, logs, log_file, log_format })
    }

    /// The value in force; none if it is empty.
    fn text(&self, key: &str) -> Option<(usize, &'c str)> {
        self.conf.value(&self.section.scope, key).filter(|(_, value)| !value.is_empty())
    }

    fn put(&mut self, key: &str, value: &str) {
        self.keys.push(format!("{key} = {value}"));
    }

    fn yes(&mut self, key: &str, default: bool) -> bool {
        let found = self.text(key);
        found.and_then(|(at, value)| self.report.boolean(at, value)).unwrap_or(default)
    }

    /// A yes or no that is written only where it is not the default.
    fn flag(&mut self, key: &str, default: bool, ours: &str) {
        let Some((at, value)) = self.text(key) else { return };
        let is = self.yes(key, default) && variable(value).is_none();
        self.report.taken(at, format!("{ours} = {is}"));
        if is != default {
            self.put(ours, &is.to_string());
        }
    }

    fn directory(&mut self) -> Option<String> {
        let (at, path) = self.text("path")?;
        let above = self.conf.value(&self.conf.globals, "daemonchroot").filter(|(_, above)| !above.is_empty());
        let whole = above.map_or_else(|| path.to_owned(), |(_, above)| format!("{above}/{path}"));
        match clean_path(&whole) {
            Ok(directory) => {
                if let Some((at, _)) = above {
                    self.report.taken(at, "the paths of the modules begin with it");
                }
                let kind = if (self.around.is_tree)(&directory) { "an ebuild repository" } else { "plain files" };
                self.report.taken(at, format!("to be imported from {directory}, as {kind}"));
                Some(directory)
            }
            Err(why) => {
                self.report.refused(at, why);
                None
            }
        }
    }

    /// Whether nobody could download from it.
    fn is_shut(&mut self) -> bool {
        let mut shut = false;
        if let Some((at, value)) = self.text("writeonly") {
            // A word that cannot be read may have meant yes.
            match self.report.boolean(at, value) {
                Some(false) => self.report.no_meaning(at, "every module is for downloads"),
                _ => {
                    shut = true;
                    self.report.refused(at, "its module is left out: it was not for downloads");
                }
            }
        }
        if let Some((at, value)) = self.text("maxconnections")
            && number(value) < 0
        {
            shut = true;
            self.report.taken(at, "its module is left out, since a negative number switched it off");
        }
        shut
    }

    /// Closes the module where a command, or the environment, decided.
    fn unknown(&mut self) {
        for key in MUST_BE_KNOWN {
            let Some((at, value)) = self.text(key) else { continue };
            if let Some(name) = variable(value) {
                self.closed.get_or_insert(NOT_KNOWN);
                let why = "may stand for something in the environment of rsyncd: the module is closed until it is written out";
                self.report.refused(at, format!("%{name}% {why}"));
            }
        }
        for key in GATES {
            if let Some((at, _)) = self.text(key) {
                self.closed.get_or_insert(NOT_KNOWN);
                let why = "no command is run for a client, and this one could turn it away: the module is closed until \
                           hosts_deny or auth_users say the same";
                self.report.refused(at, why);
            }
        }
    }

    fn comment(&mut self) {
        let Some((at, comment)) = self.text("comment") else { return };
        let plain: String = comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let end =
            plain.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|&end| end <= MAX_COMMENT_BYTES).last();
        let short = plain.get(..end.unwrap_or(0)).unwrap_or_default();
        match short == comment {
            true => self.report.taken(at, "comment"),
            false => self
                .report
                .refused(at, format!("comment, without control characters and cut after {MAX_COMMENT_BYTES} bytes")),
        }
        self.put("comment", &quoted(short));
    }

    fn number(&mut self, key: &str, ours: &str, most: i32, unit: &str) {
        let Some((at, value)) = self.text(key) else { return };
        let found = number(value).min(most);
        if found <= 0 {
            return match value.parse::<i32>() {
                Ok(0) => self.report.no_meaning(at, "zero is no limit, here as there"),
                _ => self.report.refused(at, format!("{value:?} is no limit, here as there: {ours} was not written")),
            };
        }
        let value = if unit.is_empty() { found.to_string() } else { quoted(&format!("{found}{unit}")) };
        let each = if unit.is_empty() { ", counted for each module by itself" } else { "" };
        self.report.taken(at, format!("{ours} = {value}{each}"));
        self.put(ours, &value);
    }

    /// The rules of the module in rsyncd's order: `filter`, `include from`, `include`, `exclude from`, `exclude`.
    fn filters(&mut self) {
        if let Some((at, value)) = self.text("filter") {
            match rules(value) {
                Ok(rules) => self.put_rules("filter", vec![at], &rules),
                Err(why) => self.lose(at, &why),
            }
        }
        for (own, from) in [("include", "includefrom"), ("exclude", "excludefrom")] {
            let mut found = Vec::new();
            let mut places = Vec::new();
            if let Some((at, file)) = self.text(from) {
                match (self.around.text_of)(file) {
                    Ok(text) => {
                        found = lines_of_patterns(&text);
                        places.push(at);
                    }
                    Err(why) => self.lose(at, &format!("{file} cannot be read ({why})")),
                }
            }
            if let Some((at, value)) = self.text(own) {
                found.extend(patterns(value));
                places.push(at);
            }
            self.put_rules(own, places, &found);
        }
    }

    fn put_rules(&mut self, key: &str, places: Vec<usize>, rules: &[String]) {
        let bad = rules.len() > MAX_RULES || rules.iter().any(|rule| rule.chars().any(char::is_control));
        for at in places {
            match bad {
                true => self.lose(at, &format!("more than {MAX_RULES} rules, or one with a control character")),
                false => self.report.taken(at, key.to_owned()),
            }
        }
        if !rules.is_empty() && !bad {
            self.put(key, &list(rules));
        }
    }

    /// A rule that hid something is not carried over.
    fn lose(&mut self, at: usize, why: &str) {
        self.closed.get_or_insert(NOT_HIDDEN);
        self.report.refused(at, format!("{why}; the module is closed until its rules are complete"));
    }

    /// The users who may log in; gives the file with their passwords.
    fn logins(&mut self) -> Option<(usize, String)> {
        let Some((at, value)) = self.text("authusers") else {
            for key in ["secretsfile", "authdigest"] {
                if let Some((at, _)) = self.text(key) {
                    self.report.no_meaning(at, "without auth users nobody logs in");
                }
            }
            return None;
        };
        let mut users: Vec<String> = Vec::new();
        let mut lost = Vec::new();
        for word in words(value) {
            let (user, grant) = word.split_once(':').unwrap_or((word, "ro"));
            let plain = user.parse::<AuthUser>().is_ok();
            match grant {
                "ro" if plain => users.push(user.to_owned()),
                "deny" if plain => users.push(format!("{user}:deny")),
                "rw" if plain => {
                    lost.push(format!("{word} may read only"));
                    users.push(user.to_owned());
                }
                "ro" | "rw" => lost.push(format!("{word} is left out: it is a group, or no name that can log in here")),
                // Whoever it was to keep out might be let in by a later word.
                _ => {
                    lost.push(format!("{word} cannot be carried over: nobody is let in by what follows it"));
                    users.push("*:deny".to_owned());
                    break;
                }
            }
        }
        if users.is_empty() || users.len() > MAX_USERS {
            users.truncate(MAX_USERS - 1);
            users.push("*:deny".to_owned());
        }
        match lost.is_empty() {
            true => self.report.taken(at, "auth_users"),
            false => self.report.refused(at, format!("auth_users, but {}", lost.join("; "))),
        }
        self.put("auth_users", &list(&users));
        self.digest();
        let (at, file) = self.text("secretsfile")?;
        Some((at, file.to_owned()))
    }

    fn digest(&mut self) {
        let Some((at, digest)) = self.text("authdigest") else { return };
        match digest.to_ascii_lowercase().as_str() {
            "md4" => self.report.no_meaning(at, "md5 is the weakest that is ever taken"),
            known @ ("md5" | "sha1" | "sha256" | "sha512") => {
                self.report.taken(at, format!("auth_digest = {}", quoted(known)));
                self.put("auth_digest", &quoted(known));
            }
            _ => {
                self.report.refused(at, format!("{digest:?} is none of md5, sha1, sha256, sha512: sha512 was written"));
                self.put("auth_digest", &quoted("sha512"));
            }
        }
    }

    fn hosts(&mut self) {
        let forward = self.text("forwardlookup");
        let looks_up = self.yes("forwardlookup", true);
        let mut names = 0;
        let (mut lost, mut nobody) = (false, false);
        let lists = [("hostsallow", "hosts_allow"), ("hostsdeny", "hosts_deny")].map(|(key, ours)| {
            let mut taken = Vec::new();
            let mut left = Vec::new();
            let found = self.text(key);
            for word in found.map(|(_, value)| words(value)).unwrap_or_default() {
                match Host::read(word) {
                    Ok(Host::Network(_)) => taken.push(word),
                    Ok(Host::Name(_)) if looks_up && names < MAX_HOST_NAMES => {
                        names += 1;
                        taken.push(word);
                    }
                    Ok(Host::Name(_)) => {
                        left.push(format!("{word} is a name that is not looked up: write its networks"))
                    }
                    Err(why) => left.push(why),
                }
            }
            match found {
                Some((at, _)) if left.is_empty() && taken.is_empty() && ours == "hosts_allow" => {
                    self.report.taken(at, "it names nobody, and so turns everybody away");
                    nobody = true;
                }
                Some((at, _)) if left.is_empty() => self.report.taken(at, ours),
                Some((at, _)) => {
                    let why = format!("{}; whom hosts_allow does not name is turned away until then", left.join("; "));
                    self.report.refused(at, why);
                    lost = true;
                }
                None => {}
            }
            taken
        });
        if let Some((at, _)) = forward {
            match names > 0 {
                true => self.report.taken(at, "lookup = true, for the names in hosts_allow and hosts_deny"),
                false => self.report.no_meaning(at, "no name is to be looked up"),
            }
        }
        let [allow, deny] = lists;
        if let Some(why) = self.closed {
            return close(&mut self.keys, why);
        }
        if !allow.is_empty() {
            self.put("hosts_allow", &list(&allow));
        }
        if lost {
            self.keys.push("# All others, since not every word of rsyncd's lists could be carried over.".to_owned());
            self.put("hosts_deny", &list(&["*"]));
        } else if nobody {
            self.put("hosts_deny", &list(&["*"]));
        } else if !deny.is_empty() {
            self.put("hosts_deny", &list(&deny));
        }
        if names > 0 {
            self.put("lookup", "true");
        }
    }

    fn logs(&mut self) -> bool {
        let logs = self.yes("transferlogging", false);
        if let Some((at, _)) = self.text("transferlogging") {
            self.report.taken(at, if logs { "transfer_log, in headwater.toml" } else { "no line is written for it" });
        }
        logs
    }

    fn log_format(&mut self) -> Option<(usize, String)> {
        let (at, format) = self.text("logformat")?;
        if format.len() > MAX_FORMAT_BYTES || format.chars().any(char::is_control) {
            self.report.refused(at, "one line of at most 1,000 bytes belongs here");
            return None;
        }
        Some((at, format.to_owned()))
    }
}
