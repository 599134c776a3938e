//! The short signed texts: the head of a channel, and the term of a gateway.
//!
//! Each starts with a line that names its kind, so that none can pass for another, and ends with
//! `signature <128 hex digits>` over everything before that line. Parsing is strict, so the value gives back exactly
//! the bytes that were signed. A term is signed by the admin key, a head by the term's gateway key; (term, generation)
//! orders heads.
//! Deliberately absent: checking the signature. A parsed value proves its form and nothing else.

use std::fmt;

use super::digest::{CaId, FederationId, PublicKey, Signature, SnapshotId, put_hex};
use super::error::{TextError, WordError, Wrong};
use super::lines::{LineReader, put_hex_line, put_line, signed_decimal};
use super::word::{MAX_WORD_BYTES, Word};

/// Longest text of a head or a term, in bytes; the longest that can be is about half of it.
pub const MAX_SIGNED_BYTES: usize = 4096;

/// Largest generation, term number and version: databases count in signed 64 bits.
pub(super) const MAX_NUMBER: u64 = i64::MAX.unsigned_abs();

const SIGNATURE_LINE_BYTES: usize = "signature ".len() + 128 + 1;

const HEAD_TITLE: &str = "headwater head 1";
const TERM_TITLE: &str = "headwater term 1";

/// What a channel is now: the text that a gateway signs with each publication.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The federation that the channel belongs to.
    pub federation: FederationId,
    /// The channel, as in `gentoo/full`.
    pub channel: Word,
    /// The number of the publication, from 1.
    pub generation: u64,
    /// What was published.
    pub snapshot: SnapshotId,
    /// The gateway's term, from 1.
    pub term: u64,
    /// When it was published, in seconds since 1970.
    pub time: i64,
}

impl Head {
    /// The text that is signed.
    pub fn body(&self) -> Vec<u8> {
        let mut out = titled(HEAD_TITLE, &self.federation);
        put_line(&mut out, "channel", &self.channel);
        put_line(&mut out, "generation", self.generation);
        put_hex_line(&mut out, "snapshot", self.snapshot.as_bytes());
        put_line(&mut out, "term", self.term);
        put_line(&mut out, "time", self.time);
        out
    }

    /// The whole text, with its signature.
    pub fn signed(&self, signature: Signature) -> Vec<u8> {
        with_signature(self.body(), &signature)
    }

    /// Reads a whole text. The signature is not checked.
    pub fn parse(text: &[u8]) -> Result<(Self, Signature), TextError> {
        let (mut lines, signature) = split_signature(text, MAX_SIGNED_BYTES)?;
        let federation = read_title(&mut lines, HEAD_TITLE)?;
        let channel = word(&mut lines, "channel")?;
        let generation = lines.number("generation", 1, MAX_NUMBER)?;
        let field = lines.field("snapshot")?;
        let snapshot = SnapshotId::from_hex(field).map_err(|error| lines.error(error))?;
        let term = lines.number("term", 1, MAX_NUMBER)?;
        let time = time(&mut lines, "time")?;
        lines.end()?;
        Ok((Self { federation, channel, generation, snapshot, term, time }, signature))
    }
}

/// Who is gateway: the reign of one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Term {
    /// The federation.
    pub federation: FederationId,
    /// Its number, from 1; the highest one is obeyed.
    pub number: u64,
    /// The number of the term before it; none for the first. Less than its own.
    pub previous: Option<u64>,
    /// The gateway.
    pub node: Word,
    /// The key that signs the heads and documents of this term.
    pub key: PublicKey,
    /// The gateway's certificate authority, if it has one.
    pub ca: Option<CaId>,
    /// When the term began, in seconds since 1970.
    pub time: i64,
    /// Why it began.
    pub reason: Reason,
}

impl Term {
    /// The text that is signed.
    pub fn body(&self) -> Vec<u8> {
        let mut out = titled(TERM_TITLE, &self.federation);
        put_line(&mut out, "number", self.number);
        put_optional(&mut out, "previous", self.previous);
        put_line(&mut out, "node", &self.node);
        put_hex_line(&mut out, "key", self.key.as_bytes());
        put_optional(&mut out, "ca", self.ca);
        put_line(&mut out, "time", self.time);
        put_line(&mut out, "reason", &self.reason);
        out
    }

    /// The whole text, with its signature.
    pub fn signed(&self, signature: Signature) -> Vec<u8> {
        with_signature(self.body(), &signature)
    }

    /// Reads a whole text. The signature is not checked.
    pub fn parse(text: &[u8]) -> Result<(Self, Signature), TextError> {
        let (mut lines, signature) = split_signature(text, MAX_SIGNED_BYTES)?;
        let federation = read_title(&mut lines, TERM_TITLE)?;
        let number = lines.number("number", 1, MAX_NUMBER)?;
        let previous = match lines.field("previous")? {
            NONE => None,
            field => {
                let found = super::lines::decimal(field).ok_or_else(|| lines.expected("a number or none", field))?;
                Some(lines.bounded("previous", found, 1, number - 1)?)
            }
        };
        let node = word(&mut lines, "node")?;
        let field = lines.field("key")?;
        let key = PublicKey::from_hex(field).map_err(|error| lines.error(error))?;
        let field = lines.field("ca")?;
        let ca = optional_ca(field).map_err(|wrong| lines.error(wrong))?;
        let time = time(&mut lines, "time")?;
        let field = lines.field("reason")?;
        let reason = Reason::from_bytes(field).map_err(|error| lines.error(error))?;
        lines.end()?;
        Ok((Self { federation, number, previous, node, key, ca, time, reason }, signature))
    }
}

/// A line of plain words: 1 to 255 bytes of UTF-8 without control characters, no blank at either end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Reason(Box<str>);

impl Reason {
    /// Checks the rule.
    pub fn new(text: &str) -> Result<Self, WordError> {
        let good = !text.is_empty()
            && text.len() <= MAX_WORD_BYTES
            && text.trim() == text
            && !text.chars().any(char::is_control);
        if good { Ok(Self(text.into())) } else { Err(WordError::line(text.as_bytes())) }
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, WordError> {
        std::str::from_utf8(bytes).map_err(|_| WordError::line(bytes)).and_then(Self::new)
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a value that is not there is written.
pub(super) const NONE: &[u8] = b"none";

pub(super) fn titled(title: &str, federation: &FederationId) -> Vec<u8> {
    let mut out = format!("{title}\n").into_bytes();
    put_hex_line(&mut out, "federation", federation.as_bytes());
    out
}

pub(super) fn read_title(lines: &mut LineReader<'_>, title: &'static str) -> Result<FederationId, TextError> {
    lines.title(title)?;
    let field = lines.field("federation")?;
    FederationId::from_hex(field).map_err(|error| lines.error(error))
}

fn put_optional(out: &mut Vec<u8>, key: &str, value: Option<impl fmt::Display>) {
    match value {
        Some(value) => put_line(out, key, value),
        None => put_line(out, key, "none"),
    }
}

pub(super) fn optional_ca(field: &[u8]) -> Result<Option<CaId>, Wrong> {
    if field == NONE { Ok(None) } else { Ok(Some(CaId::from_hex(field)?)) }
}

pub(super) fn word(lines: &mut LineReader<'_>, key: &'static str) -> Result<Word, TextError> {
    let field = lines.field(key)?;
    Word::from_bytes(field).map_err(|error| lines.error(error))
}

fn time(lines: &mut LineReader<'_>, key: &'static str) -> Result<i64, TextError> {
    let field = lines.field(key)?;
    signed_decimal(field).ok_or_else(|| lines.expected("a time in seconds", field))
}

pub(super) fn with_signature(mut body: Vec<u8>, signature: &Signature) -> Vec<u8> {
    body.extend_from_slice(b"signature ");
    put_hex(&mut body, signature.as_bytes());
    body.push(b'\n');
    body
}

/// Takes the last line off a signed text, which may have at most `most` bytes.
pub(super) fn split_signature(text: &[u8], most: usize) -> Result<(LineReader<'_>, Signature), TextError> {
    let whole = LineReader::new(text, most)?;
    let at_line = |wrong: Wrong| TextError { line: text.iter().filter(|&&byte| byte == b'\n').count().max(1), wrong };
    let (body, last) = text
        .len()
        .checked_sub(SIGNATURE_LINE_BYTES)
        .map(|at| text.split_at(at))
        .filter(|(body, _)| body.ends_with(b"\n"))
        .ok_or_else(|| at_line(Wrong::Ends))?;
    let digits = last
        .strip_prefix(b"signature ")
        .and_then(|rest| rest.strip_suffix(b"\n"))
        .ok_or_else(|| at_line(whole.expected("a last line with the signature", last).wrong))?;
    let signature = Signature::from_hex(digits).map_err(|error| at_line(error.into()))?;
    Ok((LineReader::new(body, most)?, signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn federation() -> FederationId {
        FederationId::of(&PublicKey::from_bytes([7; 32]))
    }

    fn head() -> Head {
        Head {
            federation: federation(),
            channel: Word::new("gentoo/full").unwrap(),
            generation: 42,
            snapshot: SnapshotId::from_bytes([1; 64]),
            term: 1,
            time: -1,
        }
    }

    fn term() -> Term {
        Term {
            federation: federation(),
            number: 3,
            previous: Some(2),
            node: Word::new("gw").unwrap(),
            key: PublicKey::from_bytes([9; 32]),
            ca: Some(CaId::from_bytes([5; 32])),
            time: 1_783_123_201,
            reason: Reason::new("the disk of the old gateway died").unwrap(),
        }
    }

    const SIGNATURE: Signature = Signature::from_bytes([0xab; 64]);

    #[test]
    fn the_texts_look_as_the_format_says() {
        let fed = federation();
        let expected = format!(
            "headwater head 1\nfederation {fed}\nchannel gentoo/full\ngeneration 42\nsnapshot {}\nterm 1\ntime -1\n\
             signature {}\n",
            "01".repeat(64),
            "ab".repeat(64)
        );
        assert_eq!(head().signed(SIGNATURE), expected.as_bytes());
        let first = Term { number: 1, previous: None, ca: None, ..term() };
        let expected = format!(
            "headwater term 1\nfederation {fed}\nnumber 1\nprevious none\nnode gw\nkey {}\nca none\n\
             time 1783123201\nreason the disk of the old gateway died\n",
            "09".repeat(32)
        );
        assert_eq!(first.body(), expected.as_bytes());
        assert_eq!(Term::parse(&first.signed(SIGNATURE)), Ok((first, SIGNATURE)));
    }

    #[test]
    fn a_text_comes_back_as_its_value() {
        assert_eq!(Head::parse(&head().signed(SIGNATURE)), Ok((head(), SIGNATURE)));
        assert_eq!(Term::parse(&term().signed(SIGNATURE)), Ok((term(), SIGNATURE)));
    }

    #[test]
    fn no_kind_passes_for_another() {
        assert_eq!(Head::parse(&term().signed(SIGNATURE)).unwrap_err().line, 1);
        assert_eq!(Term::parse(&head().signed(SIGNATURE)).unwrap_err().line, 1);
    }

    #[test]
    fn one_byte_more_less_or_other_is_refused_or_another_value() {
        for (text, again) in [
            (head().signed(SIGNATURE), (|t| Head::parse(t).ok().map(|(v, s)| v.signed(s))) as fn(&[u8]) -> _),
            (term().signed(SIGNATURE), |t| Term::parse(t).ok().map(|(v, s)| v.signed(s))),
        ] {
            for at in 0..text.len() {
                for byte in *b"0a \n-\x00\xff" {
                    let mut other = text.clone();
                    other[at] = byte;
                    assert!(again(&other).is_none_or(|written: Vec<u8>| written == other));
                    other.insert(at, byte);
                    assert!(again(&other).is_none_or(|written| written == other));
                }
                let mut other = text.clone();
                other.remove(at);
                assert!(again(&other).is_none_or(|written| written == other));
                assert_eq!(again(&text[..at]), None);
            }
            assert_eq!(again(&[&text[..], b"\n"].concat()), None);
        }
    }

    #[test]
    fn numbers_out_of_bounds_are_refused_at_their_line() {
        let check = |line: usize, text: Vec<u8>| assert_eq!(Head::parse(&text).unwrap_err().line, line);
        check(4, Head { generation: 0, ..head() }.signed(SIGNATURE));
        check(4, Head { generation: u64::MAX, ..head() }.signed(SIGNATURE));
        check(6, Head { term: 0, ..head() }.signed(SIGNATURE));
        let late = Term { previous: Some(3), ..term() };
        assert_eq!(Term::parse(&late.signed(SIGNATURE)).unwrap_err().line, 4);
        let first = Term { number: 1, previous: Some(1), ..term() };
        assert_eq!(Term::parse(&first.signed(SIGNATURE)).unwrap_err().line, 4);
    }

    #[test]
    fn a_reason_is_one_line() {
        assert!(Reason::new("Übergabe nach Plan").is_ok());
        for bad in ["", " a", "a ", "a\nb", "a\u{7f}", "a\u{85}b", &"x".repeat(256)] {
            assert!(Reason::new(bad).is_err(), "{bad:?}");
        }
    }
}
