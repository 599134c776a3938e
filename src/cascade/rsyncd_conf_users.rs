//! Users in an `rsyncd.conf`: those who log in, and the one as whom rsyncd reads.
//!
//! A node has one file of passwords, and reads as one user. The invariant: no password opens a module that it did not open
//! before, and what rsyncd could not read is at least spoken of.
//! Deliberately absent: the passwords. Whether two files agree is not looked at.

use std::collections::BTreeSet;

use super::rsyncd_conf::Conf;
use super::rsyncd_conf_module::TakenModule;
use super::rsyncd_conf_report::Report;
use super::rsyncd_conf_words::quoted;

/// As whom rsyncd reads, if root started it and nothing else is said.
const NOBODY: &str = "nobody";

/// The line of the first file of passwords. Whoever had another one, or none, is closed: a name may be in both files with two
/// passwords, and a pattern would let the users of one file into the modules of the other.
pub(super) fn secrets(modules: &mut [TakenModule], report: &mut Report<'_>) -> Option<String> {
    let first = modules.iter().find_map(|module| module.secrets.as_ref()).map(|(_, file)| file.clone())?;
    for module in modules {
        match (&module.secrets, module.users) {
            (Some((at, file)), _) if *file == first => {
                report.taken(*at, "secrets, in headwater.toml: lines USER:PASSWORD are the same, @GROUP: is not known");
            }
            (Some((at, file)), _) => {
                let why = format!(
                    "a node has one secrets file, and it is {first}, so the module is closed: write the users of {file} \
                     into it, under names that no other module lets in, then let the module's hosts in"
                );
                report.refused(*at, why);
                module.close("its passwords are in another file than those of the modules before it");
            }
            (None, Some(at)) => {
                report.refused(at, "without a secrets file nobody could log in: the module is closed");
                module.close("it had no file of passwords, so nobody could log in");
            }
            (None, None) => {}
        }
    }
    Some(format!("secrets = {}", quoted(&first)))
}

/// The users as whom rsyncd read what is imported now, but for root.
pub(super) fn readers(conf: &Conf, modules: &[TakenModule], report: &mut Report<'_>) -> Vec<String> {
    let mut readers = BTreeSet::new();
    let mut unsaid = Vec::new();
    for module in modules {
        let scope = conf.modules.get(module.number).map(|section| &section.scope);
        match scope.and_then(|scope| conf.value(scope, "uid")).filter(|(_, user)| !user.is_empty()) {
            Some((at, "root" | "0")) => {
                report.no_meaning(at, "no file is opened for a client; an import reads as whoever runs the node");
            }
            Some((at, user)) => {
                report.refused(at, as_whom(user));
                readers.insert(user.to_owned());
            }
            None => {
                unsaid.push(module.number);
                readers.insert(NOBODY.to_owned());
            }
        }
    }
    if let Some((&first, others)) = unsaid.split_first() {
        let more = match others.len() {
            0 => String::new(),
            others => format!(", as with {others} more"),
        };
        let why = format!("it has no `uid`{more}: rsyncd reads as {NOBODY}, if root started it; {}", as_whom(NOBODY));
        report.of_module(first, why);
    }
    readers.into_iter().collect()
}

fn as_whom(user: &str) -> String {
    format!(
        "what {user} may not read was not served, but will be once it is imported: run the node, or an import without one, \
         as {user} or as a user who may read no more"
    )
}
