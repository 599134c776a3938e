//! The lines of a Manifest (GLEP 74), written as upstream writes them.
//!
//! One entry a line, single spaces, BLAKE2B then SHA512 in lower-case hex, which is what
//! `manifest-hashes` of ::gentoo asks for. Paths are escaped as GLEP 74 demands, so a line is
//! always one line with a fixed number of fields. Absent on purpose: reading Manifests, order of
//! lines, compression and signatures; who writes a whole Manifest does those.

use std::fmt::Write as _;

use crate::portage::stamp;
use crate::tree::ContentId;

/// What kind of file an entry speaks of (GLEP 74, "file types").
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Tag {
    /// A file below `files/` of a package; the path is relative to that folder.
    Aux,
    /// A regular file.
    Data,
    /// A source file, by name, not part of the tree.
    Dist,
    /// An ebuild of a package.
    Ebuild,
    /// Another Manifest.
    Manifest,
    /// A regular file, in the tag that older tools expect in a package.
    Misc,
}

impl Tag {
    /// The word at the start of the line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aux => "AUX",
            Self::Data => "DATA",
            Self::Dist => "DIST",
            Self::Ebuild => "EBUILD",
            Self::Manifest => "MANIFEST",
            Self::Misc => "MISC",
        }
    }
}

/// What a Manifest says of some bytes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Digests {
    /// Their number.
    pub size: u64,
    /// Their BLAKE2b-512, which is their content id.
    pub blake2b: ContentId,
    /// Their SHA-512.
    pub sha512: [u8; 64],
}

impl Digests {
    /// Takes both digests.
    pub fn of(bytes: &[u8]) -> Self {
        Self::with(bytes, ContentId::of(bytes))
    }

    /// Takes both digests of many contents; faster than one by one when they are small.
    pub fn of_many(contents: &[&[u8]]) -> Vec<Self> {
        let ids = ContentId::of_many(contents);
        contents.iter().zip(ids).map(|(bytes, id)| Self::with(bytes, id)).collect()
    }

    fn with(bytes: &[u8], blake2b: ContentId) -> Self {
        let mut sha512 = [0; 64];
        let digest = ring::digest::digest(&ring::digest::SHA512, bytes);
        for (to, from) in sha512.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self { size: bytes.len() as u64, blake2b, sha512 }
    }
}

/// One entry with size and digests, with its newline.
pub fn entry_line(tag: Tag, path: &str, digests: &Digests) -> String {
    let mut line = String::with_capacity(path.len() + 310);
    line.push_str(tag.as_str());
    line.push(' ');
    push_escaped(&mut line, path);
    // Writing to a String cannot fail.
    let _ = write!(line, " {} BLAKE2B ", digests.size);
    push_hex(&mut line, digests.blake2b.as_bytes());
    line.push_str(" SHA512 ");
    push_hex(&mut line, &digests.sha512);
    line.push('\n');
    line
}

/// An `IGNORE` line with its newline: the path and all below it is nobody's business.
pub fn ignore_line(path: &str) -> String {
    let mut line = String::from("IGNORE ");
    push_escaped(&mut line, path);
    line.push('\n');
    line
}

/// The `TIMESTAMP` line with its newline; seconds since 1970.
pub fn timestamp_line(epoch: i64) -> String {
    format!("TIMESTAMP {}\n", stamp::print_iso(epoch))
}

/// GLEP 74, "path and filename encoding": control characters, whitespace and the backslash.
fn push_escaped(out: &mut String, path: &str) {
    for c in path.chars() {
        let n = u32::from(c);
        // Writing to a String cannot fail.
        let _ = match n {
            _ if c != '\\' && !c.is_control() && !c.is_whitespace() => {
                out.push(c);
                Ok(())
            }
            0..=0x7f => write!(out, "\\x{n:02X}"),
            0x80..=0xffff => write!(out, "\\u{n:04X}"),
            _ => write!(out, "\\U{n:08X}"),
        };
    }
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_line_that_gemato_writes() {
        let line = entry_line(Tag::Misc, "metadata.xml", &Digests::of(b""));
        assert_eq!(
            line,
            "MISC metadata.xml 0 \
             BLAKE2B 786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419\
             d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce \
             SHA512 cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
             47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e\n"
        );
    }

    #[test]
    fn escapes_what_would_break_a_line() {
        for (path, escaped) in [
            ("a/b-1.0.ebuild", "a/b-1.0.ebuild"),
            ("a b", "a\\x20b"),
            ("a\nb", "a\\x0Ab"),
            ("a\\b", "a\\x5Cb"),
            ("a\u{7f}b", "a\\x7Fb"),
            ("a\u{85}b", "a\\u0085b"),
            ("a\u{2003}b", "a\\u2003b"),
            ("grün", "grün"),
        ] {
            assert_eq!(ignore_line(path), format!("IGNORE {escaped}\n"));
        }
    }

    #[test]
    fn stamps_in_utc() {
        assert_eq!(timestamp_line(1_593_596_306), "TIMESTAMP 2020-07-01T09:38:26Z\n");
    }
}
