//! The federation document: topology, members and key files in one versioned, signed text.
//!
//! The topology stands in it as the admin wrote it, comments and all, so what was applied can be read back. Members and
//! files are in order of their names, each once: one value has one text. Three parts are counted or measured before
//! they come, and each is bounded.
//! Deliberately absent: what the topology says, and checking the signature (by the term's gateway key).

use std::collections::BTreeMap;

use super::digest::{CaId, FederationId, PublicKey, Signature};
use super::error::{TextError, Wrong};
use super::escape::shown;
use super::lines::{LineReader, decimal, put_line, signed_decimal, take_field};
use super::signed::{MAX_NUMBER, NONE, optional_ca, read_title, split_signature, titled, with_signature};
use super::word::Word;

/// Largest topology in bytes: some 5,000 nodes.
pub const MAX_TOPOLOGY_BYTES: usize = 1 << 20;

/// Most members, the revoked ones included.
pub const MAX_MEMBERS: usize = 10_000;

/// Most files.
pub const MAX_DOCUMENT_FILES: usize = 100;

/// Largest file in bytes: Gentoo's release keys take some 60 KB.
pub const MAX_DOCUMENT_FILE_BYTES: usize = 1 << 20;

/// Longest text in bytes: room for all members and a large topology, and for some 35 MiB of files together.
pub const MAX_DOCUMENT_BYTES: usize = 40 << 20;

const TITLE: &str = "headwater document 1";

/// All that the nodes of a federation agree on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    /// The federation.
    pub federation: FederationId,
    /// Counts up by one with each change, from 1.
    pub version: u64,
    /// The term of the gateway that signs it.
    pub term: u64,
    /// The topology's TOML, at most [`MAX_TOPOLOGY_BYTES`].
    pub topology: Vec<u8>,
    /// Who belongs to the federation, by node name; at most [`MAX_MEMBERS`].
    pub members: BTreeMap<Word, Member>,
    /// Files that the topology names (OpenPGP keys), by a name without `/`; at most [`MAX_DOCUMENT_FILES`] of at most
    /// [`MAX_DOCUMENT_FILE_BYTES`].
    pub files: BTreeMap<Word, Vec<u8>>,
}

/// A node that belongs, or belonged, to the federation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The key that names it on control connections.
    pub key: PublicKey,
    /// Its own certificate authority, if it is a standby that has one.
    pub ca: Option<CaId>,
    /// When it joined, in seconds since 1970.
    pub joined: i64,
    /// When it was put out, in seconds since 1970; none while it belongs.
    pub revoked: Option<i64>,
}

impl Document {
    /// The text that is signed.
    pub fn body(&self) -> Vec<u8> {
        let mut out = titled(TITLE, &self.federation);
        put_line(&mut out, "version", self.version);
        put_line(&mut out, "term", self.term);
        put_line(&mut out, "topology", self.topology.len());
        put_bytes(&mut out, &self.topology);
        put_line(&mut out, "members", self.members.len());
        for (name, member) in &self.members {
            put_member(&mut out, name, member);
        }
        put_line(&mut out, "files", self.files.len());
        for (name, bytes) in &self.files {
            put_line(&mut out, "file", format_args!("{} {name}", bytes.len()));
            put_bytes(&mut out, bytes);
        }
        out
    }

    /// The whole text, with its signature.
    pub fn signed(&self, signature: Signature) -> Vec<u8> {
        with_signature(self.body(), &signature)
    }

    /// Reads a whole text. The signature is not checked.
    pub fn parse(text: &[u8]) -> Result<(Self, Signature), TextError> {
        let (mut lines, signature) = split_signature(text, MAX_DOCUMENT_BYTES)?;
        let federation = read_title(&mut lines, TITLE)?;
        let version = lines.number("version", 1, MAX_NUMBER)?;
        let term = lines.number("term", 1, MAX_NUMBER)?;
        let length = lines.number("topology", 0, bound(MAX_TOPOLOGY_BYTES))?;
        let topology = lines.bytes(length)?.to_vec();
        let members = read_members(&mut lines)?;
        let files = read_files(&mut lines)?;
        lines.end()?;
        Ok((Self { federation, version, term, topology, members, files }, signature))
    }
}

/// A bound in memory as a number in a text.
fn bound(most: usize) -> u64 {
    u64::try_from(most).unwrap_or(u64::MAX)
}

/// Appends bytes that were announced, and a line feed, so that the next line starts one.
fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.push(b'\n');
}

/// `member NAME KEY CA JOINED REVOKED`, with `none` for what is not there.
fn put_member(out: &mut Vec<u8>, name: &Word, member: &Member) {
    let none = || "none".to_owned();
    let ca = member.ca.map_or_else(none, |ca| ca.to_string());
    let revoked = member.revoked.map_or_else(none, |time| time.to_string());
    put_line(out, "member", format_args!("{name} {} {ca} {} {revoked}", member.key, member.joined));
}

fn read_members(lines: &mut LineReader<'_>) -> Result<BTreeMap<Word, Member>, TextError> {
    let count = lines.number("members", 0, bound(MAX_MEMBERS))?;
    let mut members = BTreeMap::new();
    for _ in 0..count {
        let line = lines.field("member")?;
        let (name, member) = read_member(line).map_err(|wrong| lines.error(wrong))?;
        in_order(lines, &members, &name)?;
        members.insert(name, member);
    }
    Ok(members)
}

fn read_member(line: &[u8]) -> Result<(Word, Member), Wrong> {
    let mut rest = line;
    let mut field = || {
        take_field(&mut rest)
            .ok_or_else(|| Wrong::Expected { expected: "member NAME KEY CA JOINED REVOKED", found: shown(line) })
    };
    let name = Word::from_bytes(field()?)?;
    let key = PublicKey::from_hex(field()?)?;
    let ca = optional_ca(field()?)?;
    let joined = time(field()?)?;
    let revoked = if rest == NONE { None } else { Some(time(rest)?) };
    Ok((name, Member { key, ca, joined, revoked }))
}

fn time(field: &[u8]) -> Result<i64, Wrong> {
    signed_decimal(field).ok_or_else(|| Wrong::Expected { expected: "a time in seconds", found: shown(field) })
}

fn read_files(lines: &mut LineReader<'_>) -> Result<BTreeMap<Word, Vec<u8>>, TextError> {
    let count = lines.number("files", 0, bound(MAX_DOCUMENT_FILES))?;
    let mut files = BTreeMap::new();
    for _ in 0..count {
        let line = lines.field("file")?;
        let mut name = line;
        let length = take_field(&mut name).and_then(decimal).ok_or_else(|| lines.expected("file SIZE NAME", line))?;
        let length = lines.bounded("file", length, 0, bound(MAX_DOCUMENT_FILE_BYTES))?;
        if name.contains(&b'/') {
            return Err(lines.expected("a file name without a slash", name));
        }
        let name = Word::from_bytes(name).map_err(|error| lines.error(error))?;
        in_order(lines, &files, &name)?;
        files.insert(name, lines.bytes(length)?.to_vec());
    }
    Ok(files)
}

fn in_order<V>(lines: &LineReader<'_>, before: &BTreeMap<Word, V>, name: &Word) -> Result<(), TextError> {
    match before.last_key_value() {
        Some((last, _)) if last >= name => Err(lines.error(Wrong::NameOrder(shown(name.as_str().as_bytes())))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: Signature = Signature::from_bytes([0xcd; 64]);

    fn member(revoked: Option<i64>) -> Member {
        Member {
            key: PublicKey::from_bytes([3; 32]),
            ca: revoked.map(|_| CaId::from_bytes([4; 32])),
            joined: 5,
            revoked,
        }
    }

    fn document() -> Document {
        let word = |text| Word::new(text).unwrap();
        Document {
            federation: FederationId::from_bytes([1; 64]),
            version: 12,
            term: 1,
            topology: b"federation = \"x\" # no line feed at the end\n\nfiles 0".to_vec(),
            members: BTreeMap::from([(word("gw"), member(None)), (word("old"), member(Some(-7)))]),
            files: BTreeMap::from([(word("a.asc"), b"\n\nsignature \xff\n".to_vec()), (word("b"), vec![])]),
        }
    }

    #[test]
    fn a_document_comes_back_as_it_was_written() {
        let empty = Document { topology: vec![], members: BTreeMap::new(), files: BTreeMap::new(), ..document() };
        for document in [document(), empty] {
            assert_eq!(Document::parse(&document.signed(SIGNATURE)), Ok((document, SIGNATURE)));
        }
    }

    #[test]
    fn one_text_means_one_document() {
        let text = document().signed(SIGNATURE);
        for at in 0..text.len() {
            for byte in *b"01a \n\xff" {
                let mut other = text.clone();
                other[at] = byte;
                if let Ok((document, signature)) = Document::parse(&other) {
                    assert_eq!(document.signed(signature), other);
                }
                other.insert(at, byte);
                if let Ok((document, signature)) = Document::parse(&other) {
                    assert_eq!(document.signed(signature), other);
                }
            }
            assert!(Document::parse(&text[..at]).is_err());
        }
    }

    #[test]
    fn names_that_are_out_of_order_or_twice_or_paths_are_refused() {
        let text = String::from_utf8_lossy(&document().signed(SIGNATURE)).replace('\u{fffd}', "x");
        let check = |from: &str, to: &str, line: usize| {
            let changed = text.replace(from, to);
            assert_ne!(changed, text);
            assert_eq!(Document::parse(changed.as_bytes()).map_err(|error| error.line), Err(line), "{changed}");
        };
        check("member old ", "member gw ", 11);
        check("member gw ", "member zz ", 11);
        check("file 0 b", "file 0 a.asc", 18);
        check("file 0 b", "file 0 c/b", 18);
        check("file 0 b", "file 1048577 b", 18);
        check("members 2", "members 10001", 9);
        check("topology 51", "topology 1048577", 5);
    }
}
