//! A password exchange: what a client answered to a challenge, and whether a password explains it (protocol 2.5).
//!
//! The answer is the base64 form of digest(password, challenge), so the daemon needs the password itself. The driver
//! makes the challenge, since nothing here has a source of random numbers, and knows the passwords; a [`Login`] only
//! compares, in a time that does not depend on how much of the answer is right. Any line makes a `Login`: a malformed
//! one proves nothing, so that it is refused like a wrong password.
//! Invariant: neither password nor answer shows in debug output. Absent on purpose: users and their rights.

use std::fmt;
use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use md5::{Digest as _, Md5};
use ring::digest;

use super::greeting::PasswordDigest;

/// Longest line of user and answer in bytes without its end: ample (protocol 2).
pub(super) const LOGIN_LIMIT: usize = 4_096;

/// Who a client says it is, and its proof.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name as sent, possibly of no bytes at all; a client without one says `nobody`.
    pub user: Vec<u8>,
    answer: Vec<u8>,
    challenge: String,
    digest: PasswordDigest,
}

impl Login {
    /// Reads the line that answered a challenge, given without its end.
    pub(super) fn parse(line: &[u8], challenge: String, digest: PasswordDigest) -> Self {
        let mut words = line.splitn(2, |&byte| byte == b' ');
        let user = words.next().unwrap_or_default().to_vec();
        let answer = words.next().unwrap_or_default().to_vec();
        Self { user, answer, challenge, digest }
    }

    /// Whether the client knows `password`. Takes the same time for every answer of the same length.
    #[must_use]
    pub fn proves(&self, password: &[u8]) -> bool {
        let right = answer(self.digest, password, self.challenge.as_bytes());
        // The length of a right answer is no secret.
        right.len() == self.answer.len() && are_same(right.as_bytes(), &self.answer)
    }

    /// The digest that both sides use.
    #[must_use]
    pub fn digest(&self) -> PasswordDigest {
        self.digest
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.escape_ascii().to_string();
        f.debug_struct("Login").field("user", &user).field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// What a client that knows the password answers.
fn answer(kind: PasswordDigest, password: &[u8], challenge: &[u8]) -> String {
    let with = |algorithm| {
        let mut state = digest::Context::new(algorithm);
        state.update(password);
        state.update(challenge);
        STANDARD_NO_PAD.encode(state.finish())
    };
    match kind {
        PasswordDigest::Sha512 => with(&digest::SHA512),
        PasswordDigest::Sha256 => with(&digest::SHA256),
        PasswordDigest::Sha1 => with(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        PasswordDigest::Md5 => {
            STANDARD_NO_PAD.encode(Md5::new_with_prefix(password).chain_update(challenge).finalize())
        }
    }
}

/// Looks at every byte before it says anything.
fn are_same(a: &[u8], b: &[u8]) -> bool {
    a.iter().zip(b).fold(0, |different, (a, b)| black_box(different | (a ^ b))) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use PasswordDigest::{Md5, Sha1, Sha256, Sha512};

    /// The table of protocol 2.5.
    const ROWS: [(PasswordDigest, &str); 4] = [
        (Md5, "4MjPlO7/MWGbpag4vCfFgA"),
        (Sha1, "aqQoKxz9L7rQ95tkppxQ6STRYsY"),
        (Sha256, "RRFwkTltf+qpgBl4PHT/jYbxKI7fjvgxBAVdR5rx7Qw"),
        (Sha512, "5qSuke5Xnt6b556sf1fnqmLd/cAgLywo0n9sbPvjSp5cLNx0m9LlHuuOrxqkqEFx6+p7cZ8kYxe7pdJa43g+Sw"),
    ];

    const CHALLENGE: &str = "F7KyVcvmCZCoFvBPxkqe2g";

    fn login(line: &str, digest: PasswordDigest) -> Login {
        Login::parse(line.as_bytes(), CHALLENGE.to_owned(), digest)
    }

    #[test]
    fn the_answers_of_the_protocol_document_prove_their_password_and_no_other() {
        for (digest, answer) in ROWS {
            let login = login(&format!("joe {answer}"), digest);
            assert_eq!((&login.user[..], login.proves(b"s3cret")), (&b"joe"[..], true), "{digest:?}");
            for wrong in [&b"s3cre"[..], b"s3crets", b"", b"S3cret"] {
                assert!(!login.proves(wrong), "{digest:?}");
            }
        }
    }

    #[test]
    fn an_answer_proves_nothing_unless_every_byte_is_right() {
        for (digest, answer) in ROWS {
            for at in 0..answer.len() {
                let mut changed = answer.as_bytes().to_vec();
                changed[at] ^= 1;
                let line = [b"joe ", &changed[..]].concat();
                let login = Login::parse(&line, CHALLENGE.to_owned(), digest);
                assert!(!login.proves(b"s3cret"), "{digest:?} {at}");
                let cut = login_of(&answer[..at], digest);
                assert!(!cut.proves(b"s3cret"), "{digest:?} {at}");
            }
            for line in ["", " ", "joe", "joe ", &format!("joe {answer}="), &format!("joe  {answer}"), answer] {
                assert!(!login(line, digest).proves(b"s3cret"), "{line}");
            }
        }
    }

    fn login_of(answer: &str, digest: PasswordDigest) -> Login {
        login(&format!("joe {answer}"), digest)
    }

    #[test]
    fn debug_output_shows_no_answer() {
        let shown = format!("{:?}", login("joe\x1b 4MjPlO7/MWGbpag4vCfFgA", Md5));
        assert_eq!(shown, "Login { user: \"joe\\\\x1b\", digest: Md5, .. }");
    }
}
