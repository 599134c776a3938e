//! Reading and writing the lines of canonical texts.
//!
//! A text is lines that end in LF; a field is what stands between two blanks. Every form has one spelling: numbers have
//! no leading zeros and no plus sign, minus zero does not exist, hex is lower case. Each refusal names its line.
//! Deliberately absent: what the lines mean.

use super::digest::put_hex;
use super::error::{TextError, Wrong};
use super::escape::shown;

/// Takes a text apart, line by line, and knows where it is.
pub(super) struct LineReader<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> LineReader<'a> {
    /// Stands before the first line of `text`, which may have at most `most` bytes.
    pub(super) fn new(text: &'a [u8], most: usize) -> Result<Self, TextError> {
        if text.len() > most {
            return Err(TextError { line: 1, wrong: Wrong::TooLong(most) });
        }
        Ok(Self { rest: text, line: 0 })
    }

    /// An error in the line that was read last.
    pub(super) fn error(&self, wrong: impl Into<Wrong>) -> TextError {
        TextError { line: self.line.max(1), wrong: wrong.into() }
    }

    pub(super) fn expected(&self, expected: &'static str, found: &[u8]) -> TextError {
        self.error(Wrong::Expected { expected, found: shown(found) })
    }

    /// The next line without its LF; `None` at the end of the text.
    pub(super) fn next_line(&mut self) -> Result<Option<&'a [u8]>, TextError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.line += 1;
        let end = self.rest.iter().position(|&byte| byte == b'\n').ok_or_else(|| self.error(Wrong::Ends))?;
        let (line, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        Ok(Some(line))
    }

    /// The next line, which must be there.
    pub(super) fn line(&mut self) -> Result<&'a [u8], TextError> {
        match self.next_line()? {
            Some(line) => Ok(line),
            None => {
                self.line += 1;
                Err(self.error(Wrong::Ends))
            }
        }
    }

    /// The next line, which must be exactly `title`.
    pub(super) fn title(&mut self, title: &'static str) -> Result<(), TextError> {
        let line = self.line()?;
        if line == title.as_bytes() { Ok(()) } else { Err(self.expected(title, line)) }
    }

    /// What stands behind `key` and a blank in the next line.
    pub(super) fn field(&mut self, key: &'static str) -> Result<&'a [u8], TextError> {
        let line = self.line()?;
        line.strip_prefix(key.as_bytes())
            .and_then(|rest| rest.strip_prefix(b" "))
            .ok_or_else(|| self.expected(key, line))
    }

    /// The next line's number behind `key`, within `least` and `most`.
    pub(super) fn number(&mut self, key: &'static str, least: u64, most: u64) -> Result<u64, TextError> {
        let field = self.field(key)?;
        let number = decimal(field).ok_or_else(|| self.expected("a decimal number", field))?;
        self.bounded(key, number, least, most)
    }

    /// `number`, if it lies within `least` and `most`.
    pub(super) fn bounded(&self, what: &'static str, number: u64, least: u64, most: u64) -> Result<u64, TextError> {
        if (least..=most).contains(&number) {
            Ok(number)
        } else {
            Err(self.error(Wrong::Bounds { what, found: number, least, most }))
        }
    }

    /// The next `length` bytes, which a line feed must follow; it is taken, too.
    pub(super) fn bytes(&mut self, length: u64) -> Result<&'a [u8], TextError> {
        self.line += 1;
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let (bytes, rest) = split.ok_or_else(|| self.error(Wrong::Ends))?;
        self.line += bytes.iter().filter(|&&byte| byte == b'\n').count();
        self.rest = rest.strip_prefix(b"\n").ok_or_else(|| self.expected("a line feed", rest))?;
        Ok(bytes)
    }

    /// Makes sure that nothing follows.
    pub(super) fn end(mut self) -> Result<(), TextError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        self.line += 1;
        Err(self.error(Wrong::More))
    }
}

/// Takes one field off the front of `line`; the blank behind it must be there and is dropped.
pub(super) fn take_field<'a>(line: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = line.iter().position(|&byte| byte == b' ')?;
    let (field, rest) = line.split_at(end);
    *line = &rest[1..];
    Some(field)
}

/// A decimal number without leading zeros.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    match text {
        [] => None,
        [b'0'] => Some(0),
        [b'0', ..] => None,
        digits => digits.iter().try_fold(0u64, |number, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            number.checked_mul(10)?.checked_add(digit)
        }),
    }
}

/// A signed decimal number; there is no `+` and no `-0`.
pub(super) fn signed_decimal(text: &[u8]) -> Option<i64> {
    match text.strip_prefix(b"-") {
        None => i64::try_from(decimal(text)?).ok(),
        Some(digits) => {
            let number = decimal(digits).filter(|&number| number != 0)?;
            0i64.checked_sub_unsigned(number)
        }
    }
}

/// Appends `number` in decimal.
pub(super) fn put_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = digit(number % 10);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends `number` in decimal, with `-` if it is negative.
pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    put_decimal(out, number.unsigned_abs());
}

/// The ASCII digit of a number below 10.
pub(super) fn digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or(0)
}

/// Appends a line of a key and a hex value.
pub(super) fn put_hex_line(out: &mut Vec<u8>, key: &str, bytes: &[u8]) {
    out.extend_from_slice(key.as_bytes());
    out.push(b' ');
    put_hex(out, bytes);
    out.push(b'\n');
}

/// Appends a line of a key and a plain value.
pub(super) fn put_line(out: &mut Vec<u8>, key: &str, value: impl std::fmt::Display) {
    out.extend_from_slice(format!("{key} {value}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for number in [0, 7, 10, 1_203, u64::MAX] {
            let mut text = Vec::new();
            put_decimal(&mut text, number);
            assert_eq!(text, number.to_string().as_bytes());
            assert_eq!(decimal(&text), Some(number));
        }
        for number in [0, 5, -5, i64::MIN, i64::MAX] {
            let mut text = Vec::new();
            put_signed(&mut text, number);
            assert_eq!(text, number.to_string().as_bytes());
            assert_eq!(signed_decimal(&text), Some(number));
        }
        for bad in ["", "00", "01", "+1", "-1", "1 ", "0x1", "18446744073709551616"] {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad:?}");
        }
        for bad in ["", "-", "-0", "-01", "--1", "9223372036854775808", "-9223372036854775809"] {
            assert_eq!(signed_decimal(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn errors_name_the_line_that_they_are_in() {
        let mut lines = LineReader::new(b"one 1\n\nab\nc\n\ntwo", 100).unwrap();
        assert_eq!(lines.number("one", 0, 9), Ok(1));
        assert_eq!(lines.bytes(4).unwrap_err().line, 4);
        let mut lines = LineReader::new(b"one 1\na\nbc\ntwo x\nend", 100).unwrap();
        assert_eq!(lines.field("one"), Ok(&b"1"[..]));
        assert_eq!(lines.bytes(4), Ok(&b"a\nbc"[..]));
        assert_eq!(lines.number("two", 0, 9).unwrap_err().line, 4);
        assert_eq!(lines.line().unwrap_err(), TextError { line: 5, wrong: Wrong::Ends });
        assert!(LineReader::new(b"12345", 4).is_err());
    }
}
