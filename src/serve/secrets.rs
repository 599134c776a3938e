//! Who may log in to a module, and with which password: user patterns and the text of a secrets file.
//!
//! Pure text; the node reads the file and checks its mode. The first pattern that fits a user decides alone, as with
//! rsyncd. A user that nothing knows is checked against a password of no one, so the answer takes as long and reads the
//! same, whatever was wrong; only our own log tells the causes apart.
//! Deliberately absent: groups of the system (`@group`), and writing rights: nothing here is written.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::wire::greeting::PasswordDigest;
use crate::wire::wild::wild_match;

/// Most users of one secrets file; more is a slip of the file's name.
const MAX_USERS: usize = 100_000;

/// Longest line of a secrets file in bytes: a client cannot type more.
const MAX_LINE: usize = 4_096;

/// What a pattern's users get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// They may read, if the password is right.
    Read,
    /// They may not, whatever the password.
    Deny,
}

/// One rule: which users, and what they get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthUser {
    /// A name, or a pattern with `*`, `?` and `[...]`.
    pub pattern: String,
    /// What they get.
    pub grant: Grant,
}

/// What a module asks of its clients before it serves them.
#[derive(Clone, Debug)]
pub struct Auth {
    /// The rules; the first one that fits decides.
    pub users: Vec<AuthUser>,
    /// The passwords.
    pub secrets: Arc<Secrets>,
    /// The weakest digest with which a client may prove itself.
    pub weakest: PasswordDigest,
}

/// Why a login was refused: for our log only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// No rule of the module fits the user.
    NoRule,
    /// A rule says so.
    Denied,
    /// The secrets file has no such user.
    NoSecret,
    /// The response does not belong to the password.
    WrongPassword,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Denial::NoRule => "no rule of auth_users fits the user",
            Denial::Denied => "auth_users denies the user",
            Denial::NoSecret => "the secrets file has no such user",
            Denial::WrongPassword => "wrong password",
        })
    }
}

impl Auth {
    /// Whether `user` may use the module. `proves` says whether the client's response belongs to a password; it is
    /// asked exactly once, whatever the user.
    pub(crate) fn check(&self, user: &[u8], proves: impl FnOnce(&[u8]) -> bool) -> Result<(), Denial> {
        let rule = self.users.iter().find(|rule| wild_match(rule.pattern.as_bytes(), user));
        let secret = self.secrets.password_of(user);
        let proven = proves(secret.unwrap_or_default());
        match (rule.map(|rule| rule.grant), secret) {
            (None, _) => Err(Denial::NoRule),
            (Some(Grant::Deny), _) => Err(Denial::Denied),
            (Some(Grant::Read), None) => Err(Denial::NoSecret),
            (Some(Grant::Read), Some(_)) if proven => Ok(()),
            (Some(Grant::Read), Some(_)) => Err(Denial::WrongPassword),
        }
    }
}

/// The passwords of a secrets file. Printing it shows no password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<Box<[u8]>, Box<[u8]>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets of {} users", self.0.len())
    }
}

/// What is wrong in a secrets file. The text never holds what the file says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct SecretsMistake {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

impl Secrets {
    /// Reads lines of `user:password`; empty ones and those that start with `#` say nothing. The password is all that
    /// follows the first colon.
    ///
    /// # Errors
    /// Every line that cannot be meant.
    pub fn parse(text: &[u8]) -> Result<Secrets, Vec<SecretsMistake>> {
        let (mut found, mut mistakes) = (BTreeMap::new(), Vec::new());
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            match entry(line) {
                Err(what) => mistakes.push(SecretsMistake { line: at + 1, what }),
                Ok((user, _)) if found.contains_key(user) => {
                    mistakes.push(SecretsMistake { line: at + 1, what: "this user is there already" });
                }
                Ok(_) if found.len() >= MAX_USERS => {
                    mistakes.push(SecretsMistake { line: at + 1, what: "too many users" });
                    break;
                }
                Ok((user, password)) => {
                    found.insert(user.into(), password.into());
                }
            }
        }
        if mistakes.is_empty() { Ok(Secrets(found)) } else { Err(mistakes) }
    }

    /// The password of a user.
    pub fn password_of(&self, user: &[u8]) -> Option<&[u8]> {
        self.0.get(user).map(|password| &**password)
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no user, so that nobody can log in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One line taken apart.
fn entry(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    if line.len() > MAX_LINE {
        return Err("the line is too long");
    }
    let colon = line.iter().position(|byte| *byte == b':').ok_or("no colon: write user:password")?;
    let (user, password) = (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default());
    match (user, password) {
        ([], _) => Err("no user before the colon"),
        ([b'@', ..], _) => Err("groups are not known here: name users"),
        (_, []) => Err("no password after the colon"),
        _ if user.iter().any(u8::is_ascii_whitespace) => Err("a blank in the user's name: no client can send it"),
        _ => Ok((user, password)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(text: &str) -> Secrets {
        Secrets::parse(text.as_bytes()).expect("secrets")
    }

    #[test]
    fn a_line_is_a_user_and_a_password_that_may_hold_anything() {
        let found = secrets("# backup\n\nalice:s3cret\r\nbob: with:colon and blank\n");
        assert_eq!(found.password_of(b"alice"), Some(b"s3cret".as_slice()));
        assert_eq!(found.password_of(b"bob"), Some(b" with:colon and blank".as_slice()));
        assert_eq!((found.password_of(b"carol"), found.len()), (None, 2));
        assert_eq!(format!("{found:?}"), "Secrets of 2 users", "no password is ever printed");
    }

    #[test]
    fn every_line_that_cannot_be_meant_is_named_without_what_it_says() {
        let mistakes = Secrets::parse(b"alice\n:x\nbob:\n@wheel:x\na b:c\nok:1\nok:2\n").expect_err("mistakes");
        let lines: Vec<usize> = mistakes.iter().map(|mistake| mistake.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5, 7]);
        assert_eq!(mistakes[0].to_string(), "line 1: no colon: write user:password");
    }

    fn check(rules: &[(&str, Grant)], user: &str, given: &str, expected: Result<(), Denial>) {
        let users = rules.iter().map(|(pattern, grant)| AuthUser { pattern: (*pattern).to_owned(), grant: *grant });
        let secrets = Arc::new(secrets("alice:one\nbackup:two"));
        let auth = Auth { users: users.collect(), secrets, weakest: PasswordDigest::Md5 };
        let mut asked = 0;
        let result = auth.check(user.as_bytes(), |password| {
            asked += 1;
            password == given.as_bytes()
        });
        assert_eq!((result, asked), (expected, 1), "{rules:?} {user} {given}");
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        use Grant::{Deny, Read};
        check(&[("alice", Read)], "alice", "one", Ok(()));
        check(&[("alice", Read)], "alice", "two", Err(Denial::WrongPassword));
        check(&[("a*", Read)], "alice", "one", Ok(()));
        check(&[("[ab]*", Read)], "backup", "two", Ok(()));
        check(&[("alice", Read)], "backup", "two", Err(Denial::NoRule));
        check(&[("backup", Deny), ("*", Read)], "backup", "two", Err(Denial::Denied));
        check(&[("*", Read), ("backup", Deny)], "backup", "two", Ok(()));
        check(&[("*", Read)], "mallory", "", Err(Denial::NoSecret));
    }
}
