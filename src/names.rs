//! The validated words that people write: names of repositories, channels, nodes, sites, federations and modules,
//! the number of a generation, and the address `REPOSITORY[/CHANNEL][@GENERATION]`.
//!
//! A value of one of these types has passed its rule, so nobody further in asks again. All rules allow ASCII only
//! and no more than 64 characters; no word can be mistaken for a path (`.`, `..`), an option (`-x`), or an address
//! part (`@`, `~`).
//! Deliberately absent: what the names stand for. That is the topology's business.

use std::fmt;
use std::str::FromStr;

/// Longest word, in bytes: it fits a file name, a column of a table and a DNS label.
pub const MAX_NAME: usize = 64;

/// The largest generation: databases and the rsync protocol count in signed 64 bits.
pub const MAX_GENERATION: u64 = i64::MAX.unsigned_abs();

/// Why a text is no name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is no {kind} name: {rule}")]
pub struct NameError {
    /// What it was to be: "repository", "node", …
    pub kind: &'static str,
    /// What was found, escaped and shortened to 80 characters.
    pub text: String,
    /// The rule that it breaks, as a sentence.
    pub rule: &'static str,
}

impl NameError {
    fn new(kind: &'static str, text: &str, rule: &'static str) -> Self {
        Self { kind, text: text.chars().take(80).collect(), rule }
    }
}

/// True if `text` is one to 64 bytes, its first byte obeys `first` and all others obey `rest`.
fn is_word(text: &str, first: fn(u8) -> bool, rest: fn(u8) -> bool) -> bool {
    text.len() <= MAX_NAME
        && text.bytes().enumerate().all(|(at, byte)| if at == 0 { first(byte) } else { rest(byte) })
        && !text.is_empty()
}

fn starts_repository(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn in_repository(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn starts_channel(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn in_channel(byte: u8) -> bool {
    starts_channel(byte) || matches!(byte, b'.' | b'_' | b'-')
}

const REPOSITORY_RULE: &str = "letters, digits, `_` and `-`, not starting with `-`, at most 64 characters";
const CHANNEL_RULE: &str =
    "lower-case letters, digits, `.`, `_` and `-`, starting with a letter or digit, at most 64 characters";
const NAME_RULE: &str = "letters, digits, `.`, `_` and `-`, starting with a letter or digit, at most 64 characters";

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $first:expr, $rest:expr, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if is_word(text, $first, $rest) {
                    Ok(Self(text.into()))
                } else {
                    Err(NameError::new($kind, text, $rule))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of a repository, as in `gentoo`; the same rule as Gentoo's for `profiles/repo_name`.
    RepositoryName, "repository", starts_repository, in_repository, REPOSITORY_RULE
);
name!(
    /// The name of a node, as in `gw`.
    NodeName, "node", starts_name, in_name, NAME_RULE
);
name!(
    /// The name of a site, as in `berlin`.
    SiteName, "site", starts_name, in_name, NAME_RULE
);
name!(
    /// The name of a federation, as in `example`.
    FederationName, "federation", starts_name, in_name, NAME_RULE
);
name!(
    /// The name under which rsync clients see a channel, as in `gentoo-portage`. It holds neither `@` nor `~`,
    /// so `module@GENERATION` and `~SNAPSHOTID` cannot clash with it.
    ModuleName, "module", starts_name, in_name, NAME_RULE
);

name!(
    /// The name that a generation is kept under, as in `before-python-3.13`.
    KeepName, "kept generation's", starts_name, in_name, NAME_RULE
);

/// The full name of a channel, `REPOSITORY/CHANNEL`, as in `gentoo/full`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChannelName {
    repository: RepositoryName,
    whole: Box<str>,
}

impl ChannelName {
    /// The channel `channel` of `repository`. Fails if `channel` breaks the rule for channels.
    pub fn new(repository: RepositoryName, channel: &str) -> Result<Self, NameError> {
        check_channel(channel)?;
        let whole = format!("{repository}/{channel}").into();
        Ok(Self { repository, whole })
    }

    /// The repository that it is a channel of.
    pub fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// The word after the slash.
    pub fn channel(&self) -> &str {
        self.whole.split_once('/').map_or("", |(_, channel)| channel)
    }

    /// Both words with the slash.
    pub fn as_str(&self) -> &str {
        &self.whole
    }
}

fn check_channel(channel: &str) -> Result<(), NameError> {
    if is_word(channel, starts_channel, in_channel) {
        Ok(())
    } else {
        Err(NameError::new("channel", channel, CHANNEL_RULE))
    }
}

impl FromStr for ChannelName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let Some((repository, channel)) = text.split_once('/') else {
            return Err(NameError::new("channel", text, "write REPOSITORY/CHANNEL, as in gentoo/full"));
        };
        Self::new(repository.parse()?, channel)
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whole)
    }
}

/// The number of a publication of a channel. Counts from 1, up by one each time.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Generation(u64);

impl Generation {
    /// The first publication of a channel.
    pub const FIRST: Self = Self(1);

    /// `None` for 0 and for more than [`MAX_GENERATION`].
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 || number > MAX_GENERATION { None } else { Some(Self(number)) }
    }

    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after it. Stays at [`MAX_GENERATION`], which a publication a nanosecond reaches after 292 years.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 < MAX_GENERATION { Self(self.0 + 1) } else { self }
    }
}

impl FromStr for Generation {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        plain
            .then(|| text.parse().ok().and_then(Self::new))
            .flatten()
            .ok_or_else(|| NameError::new("generation", text, "a number from 1 on, without leading zeros"))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where content is, as people write it: `REPOSITORY[/CHANNEL][@GENERATION]`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    /// The repository.
    pub repository: RepositoryName,
    /// The channel's word; may be left out where the repository has one channel.
    pub channel: Option<String>,
    /// The generation; left out for the newest.
    pub generation: Option<Generation>,
}

impl FromStr for Address {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (place, generation) = match text.split_once('@') {
            Some((place, number)) => (place, Some(number.parse()?)),
            None => (text, None),
        };
        let (repository, channel) = match place.split_once('/') {
            Some((repository, channel)) => (repository, Some(channel)),
            None => (place, None),
        };
        let repository = repository.parse()?;
        if let Some(channel) = channel {
            check_channel(channel)?;
        }
        Ok(Self { repository, channel: channel.map(str::to_owned), generation })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.repository.as_str())?;
        if let Some(channel) = &self.channel {
            write!(f, "/{channel}")?;
        }
        if let Some(generation) = self.generation {
            write!(f, "@{generation}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr<Err = NameError> + fmt::Display>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(text.parse::<T>().unwrap().to_string(), *text);
        }
        let long = "x".repeat(MAX_NAME + 1);
        for text in bad.iter().copied().chain(["", " ", "a b", "a\n", "é", "-x", "a@", "~a", &long]) {
            assert!(text.parse::<T>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn each_word_obeys_its_rule() {
        check::<RepositoryName>(&["gentoo", "_x-1", "A", &"x".repeat(MAX_NAME)], &["a.b", ".", "a/b"]);
        check::<NodeName>(&["gw", "gw.example-1_2", "0"], &[".", "..", "_a", "a/b"]);
        check::<SiteName>(&["berlin"], &[".b", "a/b"]);
        check::<FederationName>(&["example"], &["_e", "a/b"]);
        check::<KeepName>(&["before-python-3.13", "1"], &["_e", "a/b", "@3"]);
        check::<ModuleName>(&["gentoo-portage"], &["gentoo@3", "~0123", "a/b"]);
        check::<ChannelName>(
            &["gentoo/full", "_a/0.x-y_z"],
            &["gentoo", "gentoo/", "/full", "gentoo/Full", "gentoo/.x", "a/b/c", "gentoo/full@1"],
        );
    }

    #[test]
    fn a_channel_knows_its_two_words() {
        let channel = ChannelName::new("gentoo".parse().unwrap(), "full").unwrap();
        assert_eq!(channel, "gentoo/full".parse().unwrap());
        assert_eq!((channel.repository().as_str(), channel.channel()), ("gentoo", "full"));
    }

    #[test]
    fn an_address_may_leave_parts_out() {
        for text in ["gentoo", "gentoo/full", "gentoo@7", "gentoo/full@42", "g/f@9223372036854775807"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["", "@1", "g@", "g@0", "g@01", "g@+1", "g@x", "g/f/x", "g/@1", "g@1@2", "g@9223372036854775808"] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_generation_counts_from_one() {
        assert_eq!(Generation::new(0), None);
        assert_eq!(Generation::FIRST.next().get(), 2);
        let last = Generation::new(MAX_GENERATION).unwrap();
        assert_eq!(last.next(), last);
        assert_eq!(Generation::new(MAX_GENERATION + 1), None);
    }

    #[test]
    fn an_error_names_kind_text_and_rule() {
        let error = "g w".parse::<NodeName>().unwrap_err().to_string();
        assert!(error.starts_with("\"g w\" is no node name: letters, digits"), "{error}");
    }
}
