//! The small values of a topology that are written as text: addresses, networks, upstreams, durations.
//!
//! Each has one `FromStr` with a sentence for what it refuses. Networks are made canonical when they are read: host bits
//! are cut off, and an IPv4 network in IPv6 clothes becomes IPv4, as the addresses of clients do.
//! Deliberately absent: what only a module has; that is in `module_values.rs`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Longest host name, in bytes (RFC 1035).
const MAX_HOST_BYTES: usize = 253;

/// How many leading bits an IPv4 address in IPv6 clothes has in front (RFC 4291, 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// Where a node is reached: host and port.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Endpoint {
    /// A name or an address; an IPv6 address without brackets.
    pub host: String,
    /// 1 to 65,535.
    pub port: u16,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no HOST:PORT, as in \"gw.example:873\" or \"[2001:db8::1]:873\"");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let plain = !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => {
                address.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
                address
            }
            None if is_host(host) => host,
            None => return Err(wrong()),
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

pub(super) fn is_host(text: &str) -> bool {
    let good = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= MAX_HOST_BYTES && text.strip_suffix('.').unwrap_or(text).split('.').all(good)
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Where a gateway takes a repository from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Upstream {
    /// `rsync://HOST[:PORT]/MODULE[/PATH]`, as written.
    Rsync(String),
    /// An absolute directory of the gateway.
    Directory(String),
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no upstream; write rsync://HOST/MODULE or an absolute directory");
        if text.chars().any(char::is_control) {
            return Err(wrong());
        }
        if text.starts_with('/') {
            return Ok(Self::Directory(text.to_owned()));
        }
        let (place, module) = text.strip_prefix("rsync://").and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
        let with_port = |place: &str| place.parse::<Endpoint>().is_ok();
        let reachable = with_port(place) || with_port(&format!("{place}:873"));
        if !reachable || module.is_empty() || module.starts_with('/') {
            return Err(wrong());
        }
        Ok(Self::Rsync(text.to_owned()))
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsync(text) | Self::Directory(text) => f.write_str(text),
        }
    }
}

/// The networks that one word stands for, canonical: two for `*`, which is both families. `None`: it is no address.
pub fn networks(text: &str) -> Option<Vec<IpNet>> {
    match text {
        "*" => Some(vec![Ipv4Net::default().into(), Ipv6Net::default().into()]),
        _ => Some(vec![canonical(network(text)?)]),
    }
}

/// An address, or an address with a prefix length or a netmask behind a slash.
fn network(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.into());
    }
    if let Ok(net) = text.parse::<IpNet>() {
        return Some(net);
    }
    let (address, mask) = text.split_once('/')?;
    IpNet::with_netmask(address.parse().ok()?, mask.parse().ok()?).ok()
}

fn canonical(net: IpNet) -> IpNet {
    let net = net.trunc();
    let IpNet::V6(six) = net else {
        return net;
    };
    let four = six.addr().to_ipv4_mapped().zip(six.prefix_len().checked_sub(MAPPED_BITS));
    four.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(net, IpNet::V4)
}

/// A duration as people write it, as in `24h` or `1h 30m`; `0` needs no unit.
pub(super) fn duration(text: &str) -> Option<Duration> {
    if text == "0" { Some(Duration::ZERO) } else { humantime::parse_duration(text).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_host_and_port() {
        for good in ["gw.example:873", "[2001:db8::1]:8730", "10.0.0.1:1", "a_b-c.:65535"] {
            assert_eq!(good.parse::<Endpoint>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "gw",
            "gw:",
            ":873",
            "gw:0",
            "gw:0873",
            "gw:65536",
            "gw:+1",
            "g w:1",
            "2001:db8::1:873",
            "a..b:1",
            "-a:1",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_is_canonical() {
        let check = |text: &str, expected: &str| {
            let nets: Vec<String> = networks(text).unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(nets.join(" "), expected, "{text}");
        };
        check("10.1.2.3", "10.1.2.3/32");
        check("10.1.2.3/8", "10.0.0.0/8");
        check("10.1.2.3/255.255.0.0", "10.1.0.0/16");
        check("2001:db8::1", "2001:db8::1/128");
        check("2001:db8::1/32", "2001:db8::/32");
        check("::ffff:10.1.2.3", "10.1.2.3/32");
        check("::ffff:10.1.2.3/104", "10.0.0.0/8");
        check("::ffff:0:0/96", "0.0.0.0/0");
        check("::/0", "::/0");
        check("*", "0.0.0.0/0 ::/0");
        for bad in ["", "localhost", "10.0.0.0/33", "10.0.0", "10.0.0.0/255.0.255.0", "10.0.0.0/", "*.example"] {
            assert_eq!(networks(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_upstream_is_a_url_or_a_directory() {
        for good in ["rsync://mirror.example/gentoo-portage", "rsync://[::1]:8873/m/sub", "/var/db/repos/gentoo"] {
            assert_eq!(good.parse::<Upstream>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "gentoo",
            "rsync://",
            "rsync://h",
            "rsync://h/",
            "rsync:///m",
            "rsync://h:x/m",
            "http://h/m",
            "h::m",
            "/a\n",
        ] {
            assert!(bad.parse::<Upstream>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_duration_has_a_unit_unless_it_is_nothing() {
        assert_eq!(duration("24h"), Some(Duration::from_secs(86_400)));
        assert_eq!(duration("1h 30m"), Some(Duration::from_secs(5_400)));
        assert_eq!(duration("0"), Some(Duration::ZERO));
        for bad in ["", "24", "soon", "-1h", "1x"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
