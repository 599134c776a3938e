//! How raw bytes of paths and symlink targets stand in a text.
//!
//! Exactly these bytes become `\xhh`: 00 to 1f, 7f, `\`, every byte that is no part of valid UTF-8, and in a target
//! the blank, which ends the field there. Reading is strict by construction: what was decoded is encoded again and
//! must give the same text, so a byte string has one spelling only.
//! Deliberately absent: any leniency, and any other escape.

use std::borrow::Cow;

use super::digest::{hex_pair, nibble};

/// Whether the blank is escaped: it ends a field in the middle of a line, and is plain in the last one.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Blank {
    /// In a PATH.
    Plain,
    /// In a TARGET.
    Escaped,
}

impl Blank {
    fn is_special(self, byte: u8) -> bool {
        byte < 0x20 || byte == 0x7f || byte == b'\\' || (byte == b' ' && self == Self::Escaped)
    }

    fn is_plain_ascii(self, bytes: &[u8]) -> bool {
        bytes.iter().fold(true, |plain, &byte| plain & (byte < 0x80 && !self.is_special(byte)))
    }
}

fn put_hex_escape(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(b"\\x");
    out.extend_from_slice(&hex_pair(byte));
}

/// Appends `bytes` as they stand in a text.
pub(super) fn put_escaped(out: &mut Vec<u8>, bytes: &[u8], blank: Blank) {
    if blank.is_plain_ascii(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        for &byte in chunk.valid().as_bytes() {
            if blank.is_special(byte) { put_hex_escape(out, byte) } else { out.push(byte) }
        }
        for &byte in chunk.invalid() {
            put_hex_escape(out, byte);
        }
    }
}

/// The bytes that `text` stands for; `None` if it is not the one spelling of any bytes.
pub(super) fn unescape(text: &[u8], blank: Blank) -> Option<Cow<'_, [u8]>> {
    if blank.is_plain_ascii(text) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&[x, high, low], after) = rest.split_first_chunk::<3>()?;
        if x != b'x' {
            return None;
        }
        bytes.push((nibble(high)? << 4) | nibble(low)?);
        rest = after;
    }
    let mut again = Vec::with_capacity(text.len());
    put_escaped(&mut again, &bytes, blank);
    (again == text).then_some(Cow::Owned(bytes))
}

/// `bytes` for a message: escaped as in a text, in backticks, shortened to some 80 characters.
pub(super) fn shown(bytes: &[u8]) -> String {
    let short = bytes.get(..80).unwrap_or(bytes);
    let mut text = Vec::with_capacity(short.len() + 8);
    put_escaped(&mut text, short, Blank::Plain);
    let mark = if short.len() < bytes.len() { "…" } else { "" };
    format!("`{}{mark}`", String::from_utf8_lossy(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], blank: Blank, text: &str) {
        let mut out = Vec::new();
        put_escaped(&mut out, bytes, blank);
        assert_eq!(String::from_utf8(out).unwrap(), text);
        assert_eq!(unescape(text.as_bytes(), blank).as_deref(), Some(bytes), "{text}");
    }

    #[test]
    fn exactly_the_named_bytes_are_escaped() {
        check(b"plain-1.ebuild", Blank::Escaped, "plain-1.ebuild");
        check(b"a b", Blank::Plain, "a b");
        check(b"a b", Blank::Escaped, r"a\x20b");
        check(b"\x00\x1f\x7f\\~", Blank::Plain, r"\x00\x1f\x7f\x5c~");
        check("é\u{80}".as_bytes(), Blank::Plain, "é\u{80}");
        check(b"\xff\xc3", Blank::Plain, r"\xff\xc3");
        check(b"\xe2\x82x", Blank::Plain, r"\xe2\x82x");
        check(b"\xed\xa0\x80", Blank::Plain, r"\xed\xa0\x80");
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for text in [r"\x41", r"\x5C", r"\xFF", r"\n", r"\\", r"\x2", r"\x", r"\", r"\x20", r"\xc3\xa9", "\x7f", "\n"] {
            assert_eq!(unescape(text.as_bytes(), Blank::Plain), None, "{text:?}");
        }
        for raw in [&b"\xff"[..], b"\xc3\\xa9", b"a\xe2\x82"] {
            assert_eq!(unescape(raw, Blank::Plain), None, "{raw:?}");
        }
        assert_eq!(unescape(b"a b", Blank::Escaped), None);
    }

    #[test]
    fn a_message_quotes_a_long_text_in_part() {
        assert_eq!(shown(b"a\nb"), r"`a\x0ab`");
        assert_eq!(shown(&[b'x'; 200]).chars().count(), 83);
    }
}
