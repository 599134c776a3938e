//! `headwater config check`: reads all that a start reads, starts nothing, and says everything that is wrong at once.
//!
//! A start stops at the first file that it cannot use, and some files (the message of the day) do not stop it at all. Here one
//! bad file does not hide the next: each is read as far as it goes, and what depends on a sound one is looked at if there is
//! one. Nothing is written, no lock is taken, so a node may run meanwhile.
//! Deliberately absent: what only a start can know, such as whether an address is free.

use std::fmt;
use std::path::{Path, PathBuf};

use super::config::{Config, FILE, Mistake, Place, Sources};
use super::config_text::TOPOLOGY_FILE;
use super::error::NodeError;
use super::modules;
use super::publisher::{NOT_GATEWAY, read_topology};
use super::secrets;
use crate::cascade::{Grant, Module, Node, Role, Topology};
use crate::identity::Identity;
use crate::serve::Secrets;
use crate::store::Reader;

/// Something that an inspection found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The file, `environment`, or `command line`.
    pub place: String,
    /// Line and column, both from 1, where there are any.
    pub at: Option<(usize, usize)>,
    /// The key with its sections, the variable or the flag; may be empty.
    pub key: String,
    /// What is wrong, and what to do.
    pub text: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

/// `PLACE:LINE:COLUMN, KEY: TEXT; did you mean HINT?`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        if !self.key.is_empty() {
            write!(f, ", {}", self.key)?;
        }
        write!(f, ": {}", self.text)?;
        match &self.hint {
            Some(hint) => write!(f, "; did you mean `{hint}`?"),
            None => Ok(()),
        }
    }
}

/// What is to be inspected.
#[derive(Clone, Debug)]
pub struct InspectOrder {
    /// The data directory, and the layers around its file.
    pub sources: Sources,
    /// A topology to be read instead of the data directory's. With it the directory need not be there.
    pub topology: Option<PathBuf>,
}

/// What came out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inspection {
    /// The files that were read, in order.
    pub read: Vec<PathBuf>,
    /// What keeps a node from doing what is written.
    pub mistakes: Vec<Finding>,
    /// What is probably not meant.
    pub warnings: Vec<Finding>,
}

/// Inspects.
///
/// # Errors
/// There is nothing to inspect: no node in the directory and no topology named; or `headwater.toml` cannot be read.
pub fn inspect(order: &InspectOrder) -> Result<Inspection, NodeError> {
    let dir = &order.sources.dir;
    let mut found = Inspection::default();
    let bare = order.topology.is_some() && !dir.join(FILE).exists();
    let config = if bare { None } else { found.config(&order.sources)? };
    let path = order.topology.clone().unwrap_or_else(|| dir.join(TOPOLOGY_FILE));
    let topology = found.topology(&path);
    let secrets = config.as_ref().and_then(|config| found.files(config, secrets::user_of(dir)));
    if let Some(topology) = &topology {
        found.repositories(&path, topology);
        if let Some(config) = &config {
            found.node(&path, topology, config, secrets.as_deref());
        }
    }
    if !bare {
        found.store(dir);
    }
    Ok(found)
}

impl Inspection {
    fn wrong(&mut self, place: &Path, key: &str, text: impl Into<String>) {
        self.mistakes.push(finding(place, key, text));
    }

    fn warn(&mut self, place: &Path, key: &str, text: impl Into<String>) {
        self.warnings.push(finding(place, key, text));
    }

    fn config(&mut self, sources: &Sources) -> Result<Option<Config>, NodeError> {
        let file = sources.dir.join(FILE);
        let (config, mistakes) = sources.judge(&sources.text()?);
        self.mistakes.extend(mistakes.into_iter().map(|mistake| of_config(&file, mistake)));
        self.read.push(file);
        Ok(config)
    }

    fn topology(&mut self, path: &Path) -> Option<Topology> {
        self.read.push(path.to_owned());
        match read_topology(path) {
            Ok(topology) => return Some(topology),
            Err(NodeError::Topology { mistakes, .. }) => {
                self.mistakes.extend(mistakes.into_iter().map(|mistake| Finding {
                    at: Some((mistake.line, mistake.column)),
                    hint: mistake.hint,
                    ..finding(path, &mistake.key, mistake.text)
                }));
            }
            Err(NodeError::File { source, .. }) => self.wrong(path, "", format!("it cannot be read: {source}")),
            Err(other) => self.wrong(path, "", told(&other)),
        }
        None
    }

    /// What `headwater.toml` names, as a node of this user finds it.
    fn files(&mut self, config: &Config, user: u32) -> Option<std::sync::Arc<Secrets>> {
        if let Some(path) = &config.motd {
            self.read.push(path.clone());
            match modules::read_motd(path) {
                Ok(text) if text.len() >= modules::MAX_MOTD => {
                    self.warn(path, "", format!("only its first {} bytes are sent", modules::MAX_MOTD));
                }
                Ok(_) => {}
                Err(error) => self.wrong(path, "motd", format!("it cannot be read, so clients get none: {error}")),
            }
        }
        if let Some(directory) = config.transfer_log.as_deref().and_then(Path::parent)
            && !directory.is_dir()
        {
            self.wrong(directory, "transfer_log", "there is no such directory, so nothing would be logged: make it");
        }
        let path = config.secrets.as_deref()?;
        self.read.push(path.to_owned());
        match secrets::read_for(user, path) {
            Ok(secrets) => Some(secrets),
            Err(flaws) => {
                self.mistakes.extend(flaws.into_iter().map(|flaw| Finding {
                    at: flaw.line.map(|line| (line, 1)),
                    ..finding(path, "secrets", flaw.text)
                }));
                None
            }
        }
    }

    fn repositories(&mut self, path: &Path, topology: &Topology) {
        for (at, repository) in topology.repositories.iter().enumerate() {
            if topology.channels_of(&repository.name).next().is_none() {
                let text = format!("it has no [[channel]], so nothing can be imported: add {}/full", repository.name);
                self.warn(path, &format!("repository[{}]", at + 1), text);
            }
        }
    }

    /// What the topology asks of this node.
    fn node(&mut self, path: &Path, topology: &Topology, config: &Config, secrets: Option<&Secrets>) {
        let Some(node) = topology.node(&config.name) else {
            let text = format!("node {} of {FILE} is not there", config.name);
            return self.wrong(path, "node", text);
        };
        if node.role != Role::Gateway {
            self.wrong(path, "node", format!("node {} {NOT_GATEWAY}, and this version runs no other", node.name));
        }
        if topology.modules_on(node).next().is_none() {
            self.warn(path, "module", format!("node {} serves no module", node.name));
        }
        self.logins(path, topology, node, config, secrets);
    }

    fn logins(&mut self, path: &Path, topology: &Topology, node: &Node, config: &Config, secrets: Option<&Secrets>) {
        let lets_in = |module: &&Module| module.auth_users.iter().any(|user| user.grant == Grant::Read);
        for module in topology.modules_on(node).filter(lets_in) {
            let at = topology.modules.iter().position(|other| other.name == module.name).unwrap_or_default();
            let key = format!("module[{}].auth_users", at + 1);
            let Some(file) = &config.secrets else {
                let text = format!(
                    "module {} asks for a login: name the file of passwords as `secrets` in {FILE}",
                    module.name
                );
                self.wrong(path, &key, text);
                continue;
            };
            let Some(secrets) = secrets else { continue };
            let plain = module.auth_users.iter().filter(|user| user.grant == Grant::Read && !user.is_pattern());
            for user in plain.filter(|user| secrets.password_of(user.pattern.as_bytes()).is_none()) {
                let text = format!("{} is not in {}, so nobody can log in as that user", user.pattern, file.display());
                self.warn(path, &key, text);
            }
        }
    }

    /// Keys and store.
    fn store(&mut self, dir: &Path) {
        if let Err(error) = Identity::open(dir) {
            self.wrong(&dir.join("identity"), "", error.to_string());
        }
        if let Err(error) = Reader::open(dir) {
            self.wrong(dir, "", told(&error));
        }
    }
}

fn finding(place: &Path, key: &str, text: impl Into<String>) -> Finding {
    Finding { place: place.display().to_string(), at: None, key: key.to_owned(), text: text.into(), hint: None }
}

fn of_config(file: &Path, mistake: Mistake) -> Finding {
    match mistake.place {
        Place::File { at } => Finding { at, ..finding(file, &mistake.key, mistake.why) },
        Place::Environment { name } => finding(Path::new("environment"), &name, mistake.why),
        Place::Flag { name } => finding(Path::new("command line"), &name, mistake.why),
    }
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let why = cause.to_string();
        if !text.ends_with(&why) {
            text = format!("{text}: {why}");
        }
        next = cause.source();
    }
    text
}
