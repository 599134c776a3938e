//! The kinds of value in a configuration: sizes, durations and addresses.
//!
//! Each reads what a person writes (`"64MiB"`, `"30s"`, `"[::]:873"`), prints it the same way, and says in one sentence what is
//! wrong and what to write instead. They are our own because such sentences are the whole point of them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes, written with a binary unit: `"64MiB"`.
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

/// A length of time, written with units: `"30s"`, `"1h 30m"`.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Span(Duration);

impl Span {
    /// A span of so many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Span(Duration::from_secs(seconds))
    }

    /// The span as the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = humantime::parse_duration(text);
        span.map(Span).map_err(|_| format!("{text:?} is no duration: write such as \"30s\" or \"2h\""))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// Where to listen: a list of addresses, or `"off"`, which is the empty list. The port may be left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Addresses(Vec<(IpAddr, Option<u16>)>);

/// The word for "nowhere".
const OFF: &str = "off";

impl Addresses {
    /// Nowhere.
    pub const OFF: Addresses = Addresses(Vec::new());

    /// Every address of the machine, IPv6 and IPv4, with the port left out.
    pub fn everywhere() -> Addresses {
        Addresses(vec![(Ipv6Addr::UNSPECIFIED.into(), None)])
    }

    /// The addresses, with `port` where none was written.
    pub fn with_port(&self, port: u16) -> Vec<SocketAddr> {
        let complete = |(address, own): &(IpAddr, Option<u16>)| (*address, own.unwrap_or(port));
        self.0.iter().map(|pair| complete(pair).into()).collect()
    }

    fn collect<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let texts: Vec<&str> = texts.into_iter().map(str::trim).collect();
        match texts.as_slice() {
            [] => Err("an empty list is no address: write \"off\" to listen nowhere".to_owned()),
            [only] if *only == OFF => Ok(Addresses::OFF),
            all => all.iter().map(|text| address(text)).collect::<Result<_, _>>().map(Addresses),
        }
    }
}

fn address(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    if let Ok(whole) = SocketAddr::from_str(text) {
        return Ok((whole.ip(), Some(whole.port())));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match IpAddr::from_str(bare.unwrap_or(text)) {
        Ok(address) => Ok((address, None)),
        Err(_) if text == OFF => Err("\"off\" stands alone: it cannot be in a list".to_owned()),
        Err(_) => Err(format!(
            "{text:?} is no address: write an IP address with a port, such as \"127.0.0.1:1873\" or \"[::]:873\", or \"off\""
        )),
    }
}

impl FromStr for Addresses {
    type Err = String;

    /// Reads addresses with commas between them, as the environment and the command line give them.
    fn from_str(text: &str) -> Result<Self, String> {
        Addresses::collect(text.split(','))
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(OFF);
        }
        for (at, (address, port)) in self.0.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            match port {
                Some(port) => write!(f, "{comma}{}", SocketAddr::new(*address, *port))?,
                None => write!(f, "{comma}{address}")?,
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextOrList;
        impl<'de> Visitor<'de> for TextOrList {
            type Value = Addresses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address in quotes, a list of them, or \"off\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Addresses, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Addresses, A::Error> {
                let mut texts: Vec<String> = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Addresses::collect(texts.iter().map(String::as_str)).map_err(de::Error::custom)
            }
        }
        from.deserialize_any(TextOrList)
    }
}

/// Reads a value through its `FromStr` and prints it through its `Display`.
macro_rules! as_text {
    ($($kind:ty => $expected:literal),*) => { $(
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $kind;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$kind, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                from.deserialize_any(Text)
            }
        }
    )* };
}

as_text! {
    ByteSize => "a size in quotes, such as \"64MiB\"",
    Span => "a duration in quotes, such as \"30s\""
}

macro_rules! printed {
    ($($kind:ty),*) => { $(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    )* };
}

printed!(ByteSize, Span, Addresses);

#[cfg(test)]
mod tests {
    use super::*;

    /// `Ok` is how the value prints, `Err` the whole message.
    fn check<T>(text: &str, expected: Result<&str, &str>)
    where
        T: FromStr<Err = String> + fmt::Display,
    {
        let found = text.parse::<T>().map(|value| value.to_string());
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn a_size_needs_a_whole_number_and_a_binary_unit() {
        check::<ByteSize>("64MiB", Ok("64MiB"));
        check::<ByteSize>("1024 KiB", Ok("1MiB"));
        check::<ByteSize>("1536MiB", Ok("1536MiB"));
        check::<ByteSize>("0B", Ok("0B"));
        check::<ByteSize>("64", Err("\"64\" has no unit: write such as \"64MiB\""));
        check::<ByteSize>("5MB", Err("\"MB\" is no unit of size: use B, KiB, MiB, GiB or TiB"));
        check::<ByteSize>("MB", Err("\"MB\" is no size: write a whole number and a unit, such as \"64MiB\""));
        check::<ByteSize>("99999999TiB", Err("\"99999999TiB\" is more than can be counted"));
    }

    #[test]
    fn a_span_is_a_number_with_a_unit_of_time() {
        check::<Span>("30s", Ok("30s"));
        check::<Span>("90m", Ok("1h 30m"));
        check::<Span>("soon", Err("\"soon\" is no duration: write such as \"30s\" or \"2h\""));
        check::<Span>("30", Err("\"30\" is no duration: write such as \"30s\" or \"2h\""));
    }

    #[test]
    fn an_address_may_leave_out_its_port() {
        check::<Addresses>("off", Ok("off"));
        check::<Addresses>("[::]:873", Ok("[::]:873"));
        check::<Addresses>("127.0.0.1, [::1]", Ok("127.0.0.1, ::1"));
        check::<Addresses>("off,::1", Err("\"off\" stands alone: it cannot be in a list"));
        check::<Addresses>(
            "localhost:873",
            Err(
                "\"localhost:873\" is no address: write an IP address with a port, such as \"127.0.0.1:1873\" or \"[::]:873\", or \"off\"",
            ),
        );
        let two: Addresses = "127.0.0.1:1873,::1".parse().unwrap();
        let with_port: Vec<String> = two.with_port(873).iter().map(ToString::to_string).collect();
        assert_eq!(with_port, ["127.0.0.1:1873", "[::1]:873"]);
    }
}
