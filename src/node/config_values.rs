//! The kinds of value in a configuration: sizes, rates, durations, addresses and networks.
//!
//! Each reads what a person writes (`"64MiB"`, `"30s"`, `"[::]:873"`), prints it the same way, and says in one sentence what is
//! wrong and what to write instead. They are our own because such sentences are the whole point of them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use crate::cascade::ByteSize;
use crate::cascade::networks;

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

/// Networks: a list of them, or `"off"`, which is the empty list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// None.
    pub const OFF: Networks = Networks(Vec::new());

    /// The networks, canonical.
    pub fn nets(&self) -> &[IpNet] {
        &self.0
    }

    fn collect<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let texts: Vec<&str> = texts.into_iter().map(str::trim).collect();
        if texts.is_empty() || texts == [OFF] {
            return Ok(Networks::OFF);
        }
        let mut found = Vec::with_capacity(texts.len());
        for text in texts {
            let nets = networks(text).ok_or_else(|| {
                format!("{text:?} is no network: write such as \"10.0.0.0/8\", \"2001:db8::1\" or \"off\"")
            })?;
            found.extend(nets);
        }
        Ok(Networks(found))
    }
}

impl FromStr for Networks {
    type Err = String;

    /// Reads networks with commas between them, as the environment gives them.
    fn from_str(text: &str) -> Result<Self, String> {
        Networks::collect(text.split(','))
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.is_empty() {
            true => f.write_str(OFF),
            false => {
                let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(", "))
            }
        }
    }
}

/// Bytes a second, written as a size, or `"off"`.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Rate(pub Option<ByteSize>);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == OFF { Ok(Rate(None)) } else { text.parse().map(|size| Rate(Some(size))) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(size) => size.fmt(f),
            None => f.write_str(OFF),
        }
    }
}

/// Reads a value from a text, or from a list of texts.
macro_rules! as_text_or_list {
    ($($kind:ty => $expected:literal),*) => { $(
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct TextOrList;
                impl<'de> Visitor<'de> for TextOrList {
                    type Value = $kind;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$kind, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<$kind, A::Error> {
                        let mut texts: Vec<String> = Vec::new();
                        while let Some(text) = list.next_element()? {
                            texts.push(text);
                        }
                        <$kind>::collect(texts.iter().map(String::as_str)).map_err(de::Error::custom)
                    }
                }
                from.deserialize_any(TextOrList)
            }
        }
    )* };
}

as_text_or_list! {
    Addresses => "an address in quotes, a list of them, or \"off\"",
    Networks => "a network in quotes, a list of them, or \"off\""
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
    Rate => "a size in quotes, such as \"64MiB\", or \"off\"",
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

printed!(ByteSize, Rate, Span, Addresses, Networks);

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
    fn a_rate_is_a_size_or_off() {
        check::<Rate>("10MiB", Ok("10MiB"));
        check::<Rate>("off", Ok("off"));
        check::<Rate>("10", Err("\"10\" has no unit: write such as \"10MiB\""));
    }

    #[test]
    fn networks_are_canonical_and_may_be_none() {
        check::<Networks>("off", Ok("off"));
        check::<Networks>("10.1.2.3/8, 2001:db8::1", Ok("10.0.0.0/8, 2001:db8::1/128"));
        check::<Networks>(
            "off,10.0.0.1",
            Err("\"off\" is no network: write such as \"10.0.0.0/8\", \"2001:db8::1\" or \"off\""),
        );
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
