//! The text phase of a connection, from the daemon's side: greetings, the request line, the daemon's answers.
//!
//! Both sides greet at once, so nothing here waits for anything: [`GREETING`] is a constant, and the peer's line
//! decides the protocol alone. Invariant: a [`Protocol`] is 30, 31 or 32; whatever else a peer wants ends with an
//! `@ERROR` line. Deliberately absent: the message of the day (plain bytes of whoever has them), access rules,
//! and the answer to a challenge.

use super::quote::quote;

/// The daemon's first line, with its end (protocol 2.1). md4 is not offered.
pub const GREETING: &[u8] = b"@RSYNCD: 32.0 sha512 sha256 sha1 md5\n";

/// The answer to a module that may be used: arguments follow (protocol 2.6).
pub const OK_LINE: &[u8] = b"@RSYNCD: OK\n";

/// The end of a module listing (protocol 2.4).
pub const EXIT_LINE: &[u8] = b"@RSYNCD: EXIT\n";

/// The answer to [`RequestLine::BadEarlyInput`] (protocol 2.3).
pub const BAD_EARLY_INPUT: &[u8] = b"@ERROR: invalid early_input length\n";

/// Longest greeting in bytes without its end: ample (protocol 2).
pub const GREETING_LIMIT: usize = 4_096;

/// Longest request line in bytes without its end; stock closes without a word above it (protocol 2.3).
pub const REQUEST_LIMIT: usize = 1_022;

/// Most bytes that may follow `#early_input=` (protocol 2.3).
const EARLY_INPUT_LIMIT: usize = 5_120;

const MARK: &[u8] = b"@RSYNCD: ";

/// A protocol version that can be agreed on. 31 and 32 are the same on the wire (protocol 0.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Protocol {
    /// Stock 3.0: no nanoseconds, no exit codes on the wire.
    V30,
    /// Stock 3.1 to 3.2.
    V31,
    /// Builds with the security fixes of 2024; what we offer.
    V32,
}

/// A digest for passwords, as named in greetings, strongest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PasswordDigest {
    /// `sha512`
    Sha512,
    /// `sha256`
    Sha256,
    /// `sha1`
    Sha1,
    /// `md5`
    Md5,
}

impl PasswordDigest {
    /// All digests, strongest first, as in [`GREETING`].
    pub const ALL: [Self; 4] = [Self::Sha512, Self::Sha256, Self::Sha1, Self::Md5];

    /// The name in greetings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha512 => "sha512",
            Self::Sha256 => "sha256",
            Self::Sha1 => "sha1",
            Self::Md5 => "md5",
        }
    }

    /// Those that are no weaker than this one, strongest first.
    pub fn at_least(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |digest| *digest <= self)
    }

    fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|digest| digest.name().as_bytes() == name)
    }
}

/// What a client's greeting settles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerGreeting {
    /// The version that both sides speak from here on.
    pub protocol: Protocol,
    /// The client's digests that are known here, each once, in its order. Clients before 3.2.7 name none and mean md5.
    pub digests: Vec<PasswordDigest>,
}

/// Why a greeting was refused. The text is the whole line that the client gets, without its end (protocol 2.1).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GreetingError {
    /// Not `@RSYNCD: ` and a number.
    #[error("@ERROR: protocol startup error")]
    NotAGreeting,
    /// A version without `.sub`.
    #[error("@ERROR: your client omitted the subprotocol value: {0}")]
    NoSubprotocol(String),
    /// Version 32 or above without digest names.
    #[error("@ERROR: your client omitted the digest name list: {0}")]
    NoDigests(String),
    /// Agreement would fall below 30.
    #[error("@ERROR: protocol {0} is too old")]
    TooOld(u32),
}

/// Reads a client's greeting, given without its line end, and settles the protocol (protocol 2.1).
///
/// # Errors
/// Each way in which a greeting can be bad has its own line for the client.
pub fn parse_greeting(line: &[u8]) -> Result<PeerGreeting, GreetingError> {
    let rest = line.strip_prefix(MARK).ok_or(GreetingError::NotAGreeting)?;
    let (major, rest) = leading_number(rest).ok_or(GreetingError::NotAGreeting)?;
    let sub = rest.strip_prefix(b".").and_then(leading_number);
    let Some((sub, rest)) = sub else {
        return Err(match major {
            30.. => GreetingError::NoSubprotocol(quote(line)),
            old => GreetingError::TooOld(old),
        });
    };
    let mut names = rest.split(u8::is_ascii_whitespace).filter(|name| !name.is_empty()).peekable();
    if major >= 32 && names.peek().is_none() {
        return Err(GreetingError::NoDigests(quote(line)));
    }
    let protocol = settle(major, sub)?;
    let mut digests = Vec::new();
    if names.peek().is_none() {
        digests.push(PasswordDigest::Md5);
    }
    for digest in names.filter_map(PasswordDigest::from_name) {
        if !digests.contains(&digest) {
            digests.push(digest);
        }
    }
    Ok(PeerGreeting { protocol, digests })
}

/// The smaller major, one less where a pre-release is involved. Ours is 32.0.
fn settle(major: u32, sub: u32) -> Result<Protocol, GreetingError> {
    let settled = match (major, sub) {
        (33.., _) => 32,
        (_, 0) => major,
        (_, _) => major.saturating_sub(1),
    };
    match settled {
        32 => Ok(Protocol::V32),
        31 => Ok(Protocol::V31),
        30 => Ok(Protocol::V30),
        old => Err(GreetingError::TooOld(old)),
    }
}

/// The decimal number that `text` starts with, at most nine digits of it, and what follows.
fn leading_number(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(digits)?;
    if !(1..=9).contains(&digits) {
        return None;
    }
    let value = number.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    Some((value, rest))
}

/// What a client asks for after the greetings (protocol 2.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RequestLine {
    /// The list of modules.
    List,
    /// So many raw bytes follow, 1 to 5,120, to be dropped; then comes another request line.
    EarlyInput(usize),
    /// An early input of an impossible length: answer [`BAD_EARLY_INPUT`] and close.
    BadEarlyInput,
    /// Another line that starts with `#`: answer [`unknown_command_line`] and close.
    Unknown(Vec<u8>),
    /// The name of a module, not looked at yet.
    Module(Vec<u8>),
}

/// Reads a request line, given without its line end.
#[must_use]
pub fn parse_request(line: &[u8]) -> RequestLine {
    match line {
        b"" | b"#list" => RequestLine::List,
        [b'#', ..] => match line.strip_prefix(b"#early_input=") {
            Some(length) => early_input(length),
            None => RequestLine::Unknown(line.to_vec()),
        },
        name => RequestLine::Module(name.to_vec()),
    }
}

fn early_input(length: &[u8]) -> RequestLine {
    match leading_number(length).map(|(count, rest)| (usize::try_from(count), rest)) {
        Some((Ok(count @ 1..=EARLY_INPUT_LIMIT), b"")) => RequestLine::EarlyInput(count),
        _ => RequestLine::BadEarlyInput,
    }
}

/// The answer to [`RequestLine::Unknown`], with its line end.
#[must_use]
pub fn unknown_command_line(line: &[u8]) -> Vec<u8> {
    format!("@ERROR: Unknown command '{}'\n", quote(line)).into_bytes()
}

/// Asks for a password (protocol 2.5). The challenge holds no line end.
#[must_use]
pub fn challenge_line(challenge: &str) -> Vec<u8> {
    format!("@RSYNCD: AUTHREQD {challenge}\n").into_bytes()
}

/// The line for a client whose first digest that we know is weaker than `weakest`, or that has none (protocol 2.5).
#[must_use]
pub fn no_digest_line(weakest: PasswordDigest) -> Vec<u8> {
    let names: Vec<&str> = weakest.at_least().map(PasswordDigest::name).collect();
    let names = names.join(" ");
    format!("@ERROR: your client does not support one of our daemon-auth checksums: {names}\n").into_bytes()
}

/// One line of a module listing, with its end: the name padded to 15 columns, a tab, the comment (protocol 2.4).
#[must_use]
pub fn module_list_line(name: &[u8], comment: &[u8]) -> Vec<u8> {
    let padding = b" ".repeat(15_usize.saturating_sub(name.len()));
    [name, &padding, b"\t", comment, b"\n"].concat()
}

/// Why the text phase ended at a line. The connection is closed without an answer (protocol 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LineError {
    /// The line is longer than its limit, in bytes.
    #[error("line of more than {0} bytes")]
    TooLong(usize),
    /// There is a zero byte in it.
    #[error("line with a zero byte")]
    ZeroByte,
}

/// Splits the text phase into lines.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// A splitter at the start of a line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes off the front of `input`, up to and including the next line end, and gives the line without it
    /// and without any carriage return. `None`: the line is not complete, all of `input` was taken.
    ///
    /// # Errors
    /// A zero byte, or a line (carriage returns included) of more than `limit` bytes.
    pub fn next(&mut self, input: &mut &[u8], limit: usize) -> Result<Option<Vec<u8>>, LineError> {
        let end = input.iter().position(|&byte| byte == b'\n');
        let (piece, rest) = input.split_at(end.unwrap_or(input.len()));
        if self.partial.len().saturating_add(piece.len()) > limit {
            return Err(LineError::TooLong(limit));
        }
        if piece.contains(&0) {
            return Err(LineError::ZeroByte);
        }
        self.partial.extend_from_slice(piece);
        *input = rest.get(1..).unwrap_or_default();
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.partial);
        line.retain(|&byte| byte != b'\r');
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<(Protocol, &[PasswordDigest]), &str>) {
        let found = parse_greeting(line.as_bytes());
        match (found, expected) {
            (Ok(found), Ok((protocol, digests))) => {
                assert_eq!((found.protocol, found.digests.as_slice()), (protocol, digests), "{line}");
            }
            (Err(found), Err(text)) => assert_eq!(found.to_string(), text, "{line}"),
            (found, _) => panic!("{line}: {found:?}"),
        }
    }

    #[test]
    fn every_stock_greeting_is_understood() {
        use PasswordDigest::{Md5, Sha1, Sha256, Sha512};
        let all = [Sha512, Sha256, Sha1, Md5];
        check("@RSYNCD: 31.0", Ok((Protocol::V31, &[Md5])));
        check("@RSYNCD: 30.0", Ok((Protocol::V30, &[Md5])));
        check("@RSYNCD: 31.0 sha512 sha256 sha1 md5 md4", Ok((Protocol::V31, &all)));
        check("@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4", Ok((Protocol::V32, &all)));
        check("@RSYNCD: 32.0  md4 sha1 sha1", Ok((Protocol::V32, &[Sha1])));
    }

    #[test]
    fn the_smaller_version_wins_and_a_pre_release_costs_one() {
        check("@RSYNCD: 99.7 md5", Ok((Protocol::V32, &[PasswordDigest::Md5])));
        check("@RSYNCD: 32.5 md5", Ok((Protocol::V31, &[PasswordDigest::Md5])));
        check("@RSYNCD: 31.14 md5", Ok((Protocol::V30, &[PasswordDigest::Md5])));
        check("@RSYNCD: 30.1", Err("@ERROR: protocol 29 is too old"));
    }

    #[test]
    fn a_bad_greeting_gets_the_line_of_its_fault() {
        let startup = "@ERROR: protocol startup error";
        for line in ["", "GET / HTTP/1.1", "@RSYNCD:", "@RSYNCD: x", "@RSYNCD: 99999999999.0 md5"] {
            check(line, Err(startup));
        }
        check("@RSYNCD: 31", Err("@ERROR: your client omitted the subprotocol value: @RSYNCD: 31"));
        check("@RSYNCD: 32.0 ", Err("@ERROR: your client omitted the digest name list: @RSYNCD: 32.0 "));
        check("@RSYNCD: 29", Err("@ERROR: protocol 29 is too old"));
        check("@RSYNCD: 29.0", Err("@ERROR: protocol 29 is too old"));
    }

    #[test]
    fn our_own_greeting_is_one_that_we_accept() {
        let line = GREETING.strip_suffix(b"\n").unwrap();
        assert_eq!(parse_greeting(line).unwrap().protocol, Protocol::V32);
    }

    #[test]
    fn digests_have_an_order_and_the_greeting_names_them_in_it() {
        let names = PasswordDigest::ALL.map(PasswordDigest::name).join(" ");
        assert_eq!(GREETING, format!("@RSYNCD: 32.0 {names}\n").as_bytes());
        assert!(PasswordDigest::Md5.at_least().eq(PasswordDigest::ALL));
        let line = b"@ERROR: your client does not support one of our daemon-auth checksums: sha512 sha256\n";
        assert_eq!(no_digest_line(PasswordDigest::Sha256), line);
    }

    #[test]
    fn request_lines_are_told_apart() {
        let rows: [(&[u8], RequestLine); 11] = [
            (b"", RequestLine::List),
            (b"#list", RequestLine::List),
            (b"#early_input=1", RequestLine::EarlyInput(1)),
            (b"#early_input=5120", RequestLine::EarlyInput(5120)),
            (b"#early_input=0", RequestLine::BadEarlyInput),
            (b"#early_input=5121", RequestLine::BadEarlyInput),
            (b"#early_input=99999999999999999999", RequestLine::BadEarlyInput),
            (b"#early_input=1x", RequestLine::BadEarlyInput),
            (b"#lists", RequestLine::Unknown(b"#lists".to_vec())),
            (b"gentoo-portage", RequestLine::Module(b"gentoo-portage".to_vec())),
            (b"mod/", RequestLine::Module(b"mod/".to_vec())),
        ];
        for (line, expected) in rows {
            assert_eq!(parse_request(line), expected);
        }
        assert_eq!(unknown_command_line(b"#\x07"), b"@ERROR: Unknown command '#\\x07'\n");
    }

    #[test]
    fn a_module_line_has_its_columns() {
        assert_eq!(module_list_line(b"vec", b"a tree"), b"vec            \ta tree\n");
        assert_eq!(module_list_line(b"a-rather-long-name", b""), b"a-rather-long-name\t\n");
    }

    #[test]
    fn lines_may_come_in_any_pieces_and_lose_their_carriage_returns() {
        let bytes = b"@RSYNCD: 31.0\r\n#list\nrest";
        for step in 1..bytes.len() {
            let mut lines = Lines::new();
            let mut found = Vec::new();
            for mut piece in bytes.chunks(step) {
                while let Some(line) = lines.next(&mut piece, GREETING_LIMIT).unwrap() {
                    found.push(line);
                }
            }
            assert_eq!(found, [&b"@RSYNCD: 31.0"[..], b"#list"], "step {step}");
            assert_eq!(lines.partial, b"rest");
        }
    }

    #[test]
    fn what_follows_a_line_is_left_to_the_next_reader() {
        let mut input: &[u8] = b"mod\n--server\0";
        assert_eq!(Lines::new().next(&mut input, REQUEST_LIMIT), Ok(Some(b"mod".to_vec())));
        assert_eq!(input, b"--server\0");
    }

    #[test]
    fn overlong_lines_and_zero_bytes_end_the_session() {
        let longest = [vec![b'm'; REQUEST_LIMIT], vec![b'\n']].concat();
        assert!(Lines::new().next(&mut longest.as_slice(), REQUEST_LIMIT).unwrap().is_some());
        let flood = vec![b'm'; REQUEST_LIMIT + 1];
        for step in [1, 1000, 2000] {
            let mut lines = Lines::new();
            let last = flood.chunks(step).map(|mut piece| lines.next(&mut piece, REQUEST_LIMIT)).last();
            assert_eq!(last, Some(Err(LineError::TooLong(REQUEST_LIMIT))));
        }
        assert_eq!(Lines::new().next(&mut &b"a\0b\n"[..], 10), Err(LineError::ZeroByte));
    }
}
