//! How text from a peer is repeated in an answer or a log line: escaped and shortened.
//!
//! Everything that quotes a peer goes through here, so that no control byte and no flood reaches a terminal or a
//! log (protocol 14.1). Deliberately absent: quotation marks around it; the sentence that quotes sets them.

/// Most bytes of a peer's text that are repeated.
const MOST: usize = 100;

/// `text` with everything but printable ASCII escaped, cut after 100 bytes and then ending in `...`.
#[must_use]
pub(super) fn quote(text: &[u8]) -> String {
    match text.get(..MOST) {
        Some(start) if text.len() > MOST => format!("{}...", start.escape_ascii()),
        _ => text.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn control_bytes_are_escaped_and_floods_cut() {
        assert_eq!(quote(b"--foo=a b"), "--foo=a b");
        assert_eq!(quote(b"a\x1b[2J\n\xff"), "a\\x1b[2J\\n\\xff");
        assert_eq!(quote(&[b'x'; 100]), "x".repeat(100));
        assert_eq!(quote(&[b'x'; 101]), format!("{}...", "x".repeat(100)));
    }
}
