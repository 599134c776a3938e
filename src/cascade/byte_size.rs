//! A number of bytes as people write it, with a binary unit: `"64MiB"`.
//!
//! Decimal units are refused rather than guessed at: who writes `MB` may mean either. What is printed can be read again.
//! Deliberately absent: bounds. What a size may be depends on what it is for.

use std::fmt;
use std::str::FromStr;

/// A number of bytes.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ByteSize(u64);

/// The units of a size, largest first.
const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl ByteSize {
    /// A size of so many bytes.
    pub const fn new(bytes: u64) -> Self {
        ByteSize(bytes)
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim();
        let Ok(number) = number.parse::<u64>() else {
            return Err(format!("{text:?} is no size: write a whole number and a unit, such as \"64MiB\""));
        };
        let factor = match unit {
            "" => return Err(format!("{text:?} has no unit: write such as \"{number}MiB\"")),
            _ => UNITS.iter().find(|(name, _)| *name == unit),
        };
        let Some((_, factor)) = factor else {
            return Err(format!("{unit:?} is no unit of size: use B, KiB, MiB, GiB or TiB"));
        };
        match number.checked_mul(*factor) {
            Some(bytes) => Ok(ByteSize(bytes)),
            None => Err(format!("{text:?} is more than can be counted")),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, factor): &&(&str, u64)| self.0.is_multiple_of(*factor);
        match UNITS.iter().find(whole) {
            Some((name, factor)) if self.0 > 0 => write!(f, "{}{name}", self.0 / factor),
            _ => write!(f, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Ok` is how the size prints, `Err` the whole message.
    fn check(text: &str, expected: Result<&str, &str>) {
        let found = text.parse::<ByteSize>().map(|size| size.to_string());
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{text:?}");
    }

    #[test]
    fn a_size_needs_a_whole_number_and_a_binary_unit() {
        check("64MiB", Ok("64MiB"));
        check("1024 KiB", Ok("1MiB"));
        check("1536MiB", Ok("1536MiB"));
        check("0B", Ok("0B"));
        check("64", Err("\"64\" has no unit: write such as \"64MiB\""));
        check("5MB", Err("\"MB\" is no unit of size: use B, KiB, MiB, GiB or TiB"));
        check("MB", Err("\"MB\" is no size: write a whole number and a unit, such as \"64MiB\""));
        check("99999999TiB", Err("\"99999999TiB\" is more than can be counted"));
    }
}
