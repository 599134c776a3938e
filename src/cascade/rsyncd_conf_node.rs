//! What an `rsyncd.conf` says about the daemon itself, as lines for `headwater.toml`.
//!
//! Only what differs from the defaults is written, so the lines can be pasted over those that `headwater init` left commented.
//! A node has one transfer log; where modules had their own, the line says what to do.
//! Deliberately absent: limits. rsyncd has none for the whole daemon.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::rsyncd_conf::Conf;
use super::rsyncd_conf_module::TakenModule;
use super::rsyncd_conf_report::Report;
use super::rsyncd_conf_users::secrets;
use super::rsyncd_conf_words::{Host, list, quoted, words};

/// The port of rsync daemons, which needs no line.
const PORT: u16 = 873;

/// The form of a line of rsyncd's transfer log, unless told otherwise; ours is the same.
const DEFAULT_FORMAT: &str = "%o %h [%a] %m (%u) %f %l";

/// Where transfers are logged, in the data directory, if rsyncd gave them to syslog.
const TRANSFER_LOG: &str = "transfer.log";

/// Lines for `headwater.toml`.
pub(super) struct NodeText {
    pub(super) text: String,
    /// Whether any transfer is logged.
    pub(super) transfers: bool,
    /// The form of the lines of modules that have none of their own.
    pub(super) format: String,
}

/// Writes them.
pub(super) fn node_text(conf: &Conf, modules: &mut [TakenModule], report: &mut Report<'_>) -> NodeText {
    let mut lines = Vec::new();
    if let Some((at, file)) = global(conf, "motdfile") {
        report.taken(at, "motd, in headwater.toml");
        lines.push(format!("motd = {}", quoted(file)));
    }
    let transfers = modules.iter().any(|module| module.logs);
    lines.extend(transfer_log(modules, report));
    let format = default_format(conf, modules).unwrap_or_else(|| DEFAULT_FORMAT.to_owned());
    if format != DEFAULT_FORMAT {
        lines.push(format!("transfer_format = {}", quoted(&format)));
    }
    lines.extend(secrets(modules, report));
    lines.extend(proxy(conf, report));
    if let Some(listen) = listen(conf, report) {
        lines.push(String::new());
        lines.push("# in [listen]:".to_owned());
        lines.push(format!("rsync = {}", quoted(&listen)));
    }
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    NodeText { text: text.trim_start_matches('\n').to_owned(), transfers, format }
}

/// A value that stands before the modules; none if it is empty.
fn global<'c>(conf: &'c Conf, key: &str) -> Option<(usize, &'c str)> {
    conf.value(&conf.globals, key).filter(|(_, value)| !value.is_empty())
}

fn transfer_log(modules: &[TakenModule], report: &mut Report<'_>) -> Option<String> {
    let logging = |module: &&TakenModule| module.logs;
    for (at, _) in modules.iter().filter(|module| !module.logs).filter_map(|module| module.log_file.as_ref()) {
        report.no_meaning(*at, "the log goes to standard error, and transfers were not logged");
    }
    let files: BTreeSet<&str> = modules
        .iter()
        .filter(logging)
        .filter_map(|module| module.log_file.as_ref())
        .map(|(_, file)| file.as_str())
        .collect();
    let first = modules.iter().find(logging)?;
    let file = first.log_file.as_ref().map_or(TRANSFER_LOG, |(_, file)| file.as_str());
    for (at, own) in modules.iter().filter(logging).filter_map(|module| module.log_file.as_ref()) {
        match files.len() {
            1 => report.taken(*at, "transfer_log, in headwater.toml: transfers only; all else goes to standard error"),
            _ => report.refused(
                *at,
                format!("a node has one transfer log, and it is {file}, not {own}: %m says which module"),
            ),
        }
    }
    Some(format!("transfer_log = {}", quoted(file)))
}

/// The form of log lines before the modules, if a module that logs has it.
fn default_format(conf: &Conf, modules: &[TakenModule]) -> Option<String> {
    let (at, _) = global(conf, "logformat")?;
    let mut used = modules.iter().filter(|module| module.logs).filter_map(|module| module.log_format.as_ref());
    used.find(|(place, _)| *place == at).map(|(_, format)| format.clone())
}

fn proxy(conf: &Conf, report: &mut Report<'_>) -> Option<String> {
    let hosts = global(conf, "proxyprotocolhosts");
    let asked = global(conf, "proxyprotocol").map(|(at, value)| (at, report.boolean(at, value)));
    let Some((at, Some(true))) = asked else {
        if let Some((at, _)) = asked {
            report.no_meaning(at, "nobody may speak it whom `proxy` does not name");
        }
        if let Some((at, _)) = hosts {
            report.no_meaning(at, "proxy protocol is off");
        }
        return None;
    };
    let Some((place, value)) = hosts else {
        report.refused(at, "write `proxy = [...]` in headwater.toml: whoever speaks it may claim any address, so its senders are named");
        return None;
    };
    let (mut taken, mut lost) = (Vec::new(), Vec::new());
    for word in words(value) {
        match Host::read(word) {
            Ok(Host::Network(net)) => taken.push(net),
            Ok(Host::Name(name)) => lost.push(format!("{name} is a name: write its address")),
            Err(why) => lost.push(why),
        }
    }
    report.taken(at, "proxy, in headwater.toml");
    match lost.is_empty() {
        true => report.taken(place, "proxy, in headwater.toml"),
        false => report.refused(place, format!("proxy, but {}", lost.join("; "))),
    }
    Some(format!("proxy = {}", list(&taken)))
}

/// Where to listen, if it is not where headwater does anyway.
fn listen(conf: &Conf, report: &mut Report<'_>) -> Option<String> {
    let port = global(conf, "port").and_then(|(at, value)| match value.parse::<u16>() {
        Ok(port) if port > 0 => {
            report.taken(at, if port == PORT { "the default" } else { "listen.rsync, in headwater.toml" });
            Some(port)
        }
        _ => {
            report.refused(at, format!("{value:?} is no port"));
            None
        }
    });
    let port = port.unwrap_or(PORT);
    let Some((at, value)) = global(conf, "address") else {
        return (port != PORT).then(|| format!("[::]:{port}"));
    };
    match value.parse::<IpAddr>() {
        Ok(address) => {
            report.taken(at, "listen.rsync, in headwater.toml");
            Some(std::net::SocketAddr::new(address, port).to_string())
        }
        Err(_) => {
            report.refused(at, "write an address into listen.rsync: until then only this machine is listened to");
            Some(format!("127.0.0.1:{port}"))
        }
    }
}
