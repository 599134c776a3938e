//! Where a configuration comes from: defaults, `headwater.toml`, `HEADWATER_*`, flags; later layers win.
//!
//! [`Sources`] can be loaded again at any time, which is what a reload does; a load either gives a whole [`Config`] or every
//! mistake at once. The environment enters the program here and nowhere else, as a value, so a test never touches the real one.
//!
//! Deliberately absent: what a value may be; `config_check` and `config_meaning` know.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::config::{Config, FILE};
use super::config_check::{self, Mistake};
use super::config_meaning::meaning;
use crate::fault::Fault;

/// What every variable of ours starts with.
pub const PREFIX: &str = "HEADWATER_";
/// The variable that stands for `--dir`; with [`FAILPOINT_VARIABLE`] the only name with our prefix that is no key.
pub const DIR_VARIABLE: &str = "HEADWATER_DIR";
/// The variable with which a test names the place where the program is to die. A release build knows it as little as any other
/// unknown name.
pub const FAILPOINT_VARIABLE: &str = "HEADWATER_FAILPOINT";
/// A configuration is some KiB; a file beyond this is something else.
const MOST_FILE_BYTES: u64 = 1 << 20;

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The data directory holds no `headwater.toml`.
    #[error("{} is missing: there is no node in this directory", file.display())]
    Missing {
        /// Where it would be.
        file: PathBuf,
    },
    /// The file cannot be read.
    #[error("read {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What is written cannot be meant. Every mistake that there is.
    #[error("the configuration has {}:\n{}", count(mistakes), lines(mistakes))]
    Wrong {
        /// In the order of the layers and lines.
        mistakes: Vec<Mistake>,
    },
}

impl ConfigError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            ConfigError::Missing { .. } | ConfigError::Wrong { .. } => Fault::Operator,
            ConfigError::Unreadable { .. } => Fault::Local,
        }
    }

    /// What to do about it.
    pub fn todo(&self) -> &'static str {
        match self {
            ConfigError::Missing { .. } => {
                "make a node with `headwater init --dir DIR`, or name another directory with --dir"
            }
            ConfigError::Unreadable { .. } => "run the command as the user who owns the file",
            ConfigError::Wrong { .. } => "correct what is named above, then try again",
        }
    }
}

fn count(mistakes: &[Mistake]) -> String {
    match mistakes.len() {
        1 => "a mistake".to_owned(),
        number => format!("{number} mistakes"),
    }
}

fn lines(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes.iter().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

/// The variables of the environment that are ours, read once when the program starts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// Reads the variables whose names start with [`PREFIX`]; bytes that are no UTF-8 become `U+FFFD` and are then refused by their key.
    pub fn of_process() -> Environment {
        Environment::of(std::env::vars_os().map(|(name, value)| {
            let value = value.to_string_lossy().into_owned();
            (name.to_string_lossy().into_owned(), value)
        }))
    }

    /// The variables among these that are ours.
    pub fn of(all: impl IntoIterator<Item = (String, String)>) -> Environment {
        let ours = all.into_iter().filter(|(name, _)| name.starts_with(PREFIX));
        let mut ours: Vec<_> = ours.collect();
        ours.sort();
        Environment(ours)
    }

    /// What stands for `--dir`, if it is set to something.
    pub fn dir(&self) -> Option<&Path> {
        let dir = self.0.iter().find(|(name, _)| name == DIR_VARIABLE);
        dir.map(|(_, value)| Path::new(value.as_str())).filter(|path| !path.as_os_str().is_empty())
    }

    /// The failpoint that is to be armed, if a test names one; never in a release build.
    pub fn failpoint(&self) -> Option<&str> {
        let named = self.0.iter().find(|(name, _)| is_failpoint(name));
        named.map(|(_, value)| value.as_str())
    }

    /// The variables that stand for keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        let keys = self.0.iter().filter(|(name, _)| name != DIR_VARIABLE && !is_failpoint(name));
        keys.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn is_failpoint(name: &str) -> bool {
    cfg!(debug_assertions) && name == FAILPOINT_VARIABLE
}

/// Where a node's configuration comes from; can be loaded as often as one likes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sources {
    /// The data directory.
    pub dir: PathBuf,
    /// `HEADWATER_*`.
    pub environment: Environment,
    /// Keys and values from the command line, as text: `("listen.rsync", "127.0.0.1:1873")`. The flag of a key is its name with
    /// `-` for `.` and `_`.
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// Reads the file and puts all layers together.
    ///
    /// # Errors
    /// If the file is missing or unreadable, or if anything in any layer is wrong: then all of it.
    pub fn load(&self) -> Result<Config, ConfigError> {
        self.resolve(&self.text()?)
    }

    /// As [`Sources::load`], from the file's text.
    ///
    /// # Errors
    /// If anything in any layer is wrong.
    pub fn resolve(&self, text: &str) -> Result<Config, ConfigError> {
        match self.judge(text) {
            (Some(config), mistakes) if mistakes.is_empty() => Ok(config),
            (_, mistakes) => Err(ConfigError::Wrong { mistakes }),
        }
    }

    /// What is wrong, and what the sound rest means, for who goes on to check that.
    pub(super) fn judge(&self, text: &str) -> (Option<Config>, Vec<Mistake>) {
        let mut settled = config_check::settle(text, &self.environment, &self.flags);
        let config = meaning(&self.dir, &mut settled);
        settled.mistakes.sort();
        (config, settled.mistakes)
    }

    /// The file's text.
    pub(super) fn text(&self) -> Result<String, ConfigError> {
        read(&self.dir.join(FILE))
    }
}

fn read(file: &Path) -> Result<String, ConfigError> {
    use std::io::Read;
    let unreadable = |source| ConfigError::Unreadable { file: file.to_path_buf(), source };
    let open = std::fs::File::open(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ConfigError::Missing { file: file.to_path_buf() },
        _ => unreadable(error),
    })?;
    let mut text = String::new();
    // One byte more than is allowed is refused as such.
    let read = open.take(MOST_FILE_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    match u64::try_from(read) {
        Ok(read) if read <= MOST_FILE_BYTES => Ok(text),
        _ => Err(unreadable(std::io::Error::other(format!("it has more than {MOST_FILE_BYTES} bytes")))),
    }
}
