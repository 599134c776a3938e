//! The values that only a module has: who may use it, who has to log in, what it hides, whose its entries seem to be.
//!
//! The words are rsyncd's, so that an admin can carry them over; what would mean something else here than there is refused
//! with the reason, never taken for something near.
//! Deliberately absent: whether a filter rule is one. Its language belongs to the protocol, and is judged by who serves.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;

use super::values;

/// Longest name of a user, in bytes: names stand in log lines and in a secrets file for people.
const MAX_USER_BYTES: usize = 128;

/// Longest name of an owner or group, in bytes: what the protocol can say is 255, what systems allow is 32.
const MAX_OWNER_BYTES: usize = 64;

/// One word of `hosts_allow` or `hosts_deny`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum HostPattern {
    /// A network, canonical.
    Network(IpNet),
    /// A host name, to be resolved to addresses whenever a client comes.
    Name(String),
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(net) => net.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// What one written word of a host list stands for; two networks for `*`.
pub(super) struct HostWord(pub(super) Vec<HostPattern>);

impl FromStr for HostWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(nets) = values::networks(text) {
            return Ok(Self(nets.into_iter().map(HostPattern::Network).collect()));
        }
        if values::is_host(text) && !is_numeric(text) {
            return Ok(Self(vec![HostPattern::Name(text.to_owned())]));
        }
        if text.contains(['*', '?', '[']) {
            return Err(format!(
                "{text:?} is a pattern of names: whose name a client has, only its own name server could say; write networks"
            ));
        }
        Err(format!("{text:?} is no address and no network, as in \"10.0.0.0/8\" or \"2001:db8::1\""))
    }
}

/// Whether the last label is a number: then an address was meant, and mistyped.
fn is_numeric(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    last.bytes().all(|byte| byte.is_ascii_digit())
}

/// What a user may do who has proven who he is.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Grant {
    /// Pull.
    Read,
    /// Nothing.
    Deny,
}

/// One word of `auth_users`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AuthUser {
    /// A name, or a pattern of names with `*`, `?` and `[...]`.
    pub pattern: String,
    /// What such a user may do.
    pub grant: Grant,
}

impl AuthUser {
    /// Whether it stands for several names.
    pub fn is_pattern(&self) -> bool {
        self.pattern.contains(['*', '?', '['])
    }
}

impl FromStr for AuthUser {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (pattern, option) = text.split_once(':').unwrap_or((text, "ro"));
        if pattern.starts_with('@') {
            return Err(format!(
                "{text:?} is a group of the system, which logins here have nothing to do with: name the users, or a pattern such as \"mirror-*\""
            ));
        }
        let plain = |c: char| !c.is_control() && !c.is_whitespace();
        if pattern.is_empty() || pattern.len() > MAX_USER_BYTES || !pattern.chars().all(plain) {
            return Err(format!(
                "{text:?} is no user: write a name without blanks, of at most {MAX_USER_BYTES} bytes, or \"NAME:deny\""
            ));
        }
        if pattern.rsplit_once('[').is_some_and(|(_, class)| !class.contains(']')) {
            return Err(format!("{text:?} fits nobody: its `[` has no `]`"));
        }
        let grant = match option {
            "ro" => Grant::Read,
            "deny" => Grant::Deny,
            "rw" => return Err(format!("nobody can write to a module: write \"{pattern}\" or \"{pattern}:ro\"")),
            other => return Err(format!("{other:?} is none of ro, deny, which may stand behind a user")),
        };
        Ok(Self { pattern: pattern.to_owned(), grant })
    }
}

/// A digest with which a client proves that it knows a password, weakest first.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LoginDigest {
    /// MD5: all that older clients have.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl LoginDigest {
    /// As they are written.
    pub(super) const WORDS: [(&'static str, Self); 4] =
        [("md5", Self::Md5), ("sha1", Self::Sha1), ("sha256", Self::Sha256), ("sha512", Self::Sha512)];
}

/// Which key a filter rule was written under.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum FilterKind {
    /// `include`: a pattern.
    Include,
    /// `exclude`: a pattern.
    Exclude,
    /// `filter`: a rule.
    Rule,
}

/// One rule of a module's own filter list.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FilterRule {
    /// Which key it was written under.
    pub kind: FilterKind,
    /// As it was written.
    pub text: String,
}

impl FilterRule {
    /// The rule as rsync's protocol has it (6.1). As in rsyncd's lists, a pattern may bring its own `- ` or `+ `, and a lone
    /// `!` forgets what came before.
    pub fn rule(&self) -> String {
        let own = self.text == "!" || self.text.starts_with("- ") || self.text.starts_with("+ ");
        match self.kind {
            FilterKind::Include if !own => format!("+ {}", self.text),
            FilterKind::Exclude if !own => format!("- {}", self.text),
            _ => self.text.clone(),
        }
    }
}

/// Whose a module's entries are said to be; a client that keeps owners goes by the names, or by the numbers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ownership {
    /// The user's number.
    pub uid: u32,
    /// The user's name.
    pub user: String,
    /// The group's number.
    pub gid: u32,
    /// The group's name.
    pub group: String,
}

/// Root's.
impl Default for Ownership {
    fn default() -> Self {
        Self { uid: 0, user: "root".to_owned(), gid: 0, group: "root".to_owned() }
    }
}

/// The name of an owner or a group.
pub(super) struct OwnerName(pub(super) String);

impl FromStr for OwnerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b':' | b'/' | b',');
        match !text.is_empty() && text.len() <= MAX_OWNER_BYTES && text.bytes().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("{text:?} is no name of a user or group, as in \"portage\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_a_network_or_a_name() {
        let shown = |text: &str| {
            let word = text.parse::<HostWord>().map_err(|why| format!("!{why}"));
            word.map_or_else(|why| why, |word| word.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(shown("10.1.2.3/8"), "10.0.0.0/8");
        assert_eq!(shown("*"), "0.0.0.0/0 ::/0");
        for name in ["mirror.example", "localhost", "a-1.b_c.", "1and1.example"] {
            assert_eq!(shown(name), name);
            assert!(matches!(name.parse::<HostWord>().unwrap().0[0], HostPattern::Name(_)), "{name}");
        }
        for mistyped in ["10.0.0", "10.0.0.256", "10.0.0.0/33", "7", "", "-a.example", "a..b", "@netgroup", "a b"] {
            assert!(shown(mistyped).contains("is no address and no network"), "{mistyped}: {}", shown(mistyped));
        }
        for pattern in ["*.example", "host?.example", "h[12]"] {
            assert!(shown(pattern).contains("is a pattern of names"), "{pattern}: {}", shown(pattern));
        }
    }

    #[test]
    fn a_user_may_be_a_pattern_and_may_be_denied() {
        let read = |pattern: &str, grant| Ok(AuthUser { pattern: pattern.to_owned(), grant });
        assert_eq!("alice".parse(), read("alice", Grant::Read));
        assert_eq!("alice:ro".parse(), read("alice", Grant::Read));
        assert_eq!("mirror-*:deny".parse(), read("mirror-*", Grant::Deny));
        assert_eq!("mirror-[12]".parse(), read("mirror-[12]", Grant::Read));
        assert!("mirror-*".parse::<AuthUser>().unwrap().is_pattern());
        assert!(!"alice".parse::<AuthUser>().unwrap().is_pattern());
        for (wrong, part) in [
            ("", "is no user"),
            (":deny", "is no user"),
            ("al ice", "is no user"),
            ("@staff", "is a group of the system"),
            ("@staff:deny", "is a group of the system"),
            ("mirror-[12:deny", "its `[` has no `]`"),
            ("alice:rw", "nobody can write"),
            ("alice:no", "none of ro, deny"),
            ("alice:ro:deny", "none of ro, deny"),
        ] {
            let why = wrong.parse::<AuthUser>().unwrap_err();
            assert!(why.contains(part), "{wrong}: {why}");
        }
    }

    #[test]
    fn a_pattern_becomes_a_rule_and_a_rule_stays_one() {
        for (kind, text, expected) in [
            (FilterKind::Exclude, "*.o", "- *.o"),
            (FilterKind::Exclude, "/a b/", "- /a b/"),
            (FilterKind::Exclude, "+ keep", "+ keep"),
            (FilterKind::Exclude, "-x", "- -x"),
            (FilterKind::Exclude, "!", "!"),
            (FilterKind::Include, "keep", "+ keep"),
            (FilterKind::Include, "- no", "- no"),
            (FilterKind::Rule, "H,! */", "H,! */"),
        ] {
            let rule = FilterRule { kind, text: text.to_owned() };
            assert_eq!(rule.rule(), expected);
        }
    }

    #[test]
    fn digests_are_ordered_by_their_strength() {
        assert!(LoginDigest::WORDS.is_sorted_by_key(|(_, digest)| *digest));
    }
}
