//! Who may use a module: `hosts_allow` and `hosts_deny`, with the precedence that rsyncd has.
//!
//! Allow is asked first and a match decides; then deny; an address that neither names may connect,
//! unless there is an allow list and no deny list. A host name stands for the addresses that it has when a client
//! comes; who the client's address claims to be is never asked, because the client's own name server answers that. A
//! name that cannot be resolved allows nobody and denies everybody: neither a slow nor a silent name server opens a module.

use std::net::IpAddr;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::lookup::Names;

/// Clients of one IPv4 network that count together.
const NETWORK_V4: u8 = 24;
/// Clients of one IPv6 network that count together: what one customer gets at least.
const NETWORK_V6: u8 = 64;

/// One item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// An address or a network.
    Network(IpNet),
    /// A host name, for the addresses that it has at the moment.
    Name(String),
}

impl From<IpNet> for HostPattern {
    fn from(network: IpNet) -> HostPattern {
        HostPattern::Network(network)
    }
}

/// The two lists of one module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRules {
    /// Who may connect.
    pub allow: Vec<HostPattern>,
    /// Who may not.
    pub deny: Vec<HostPattern>,
}

/// What a name that cannot be resolved counts as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unresolved {
    Match,
    NoMatch,
}

impl HostRules {
    /// Whether `address` may use the module. An IPv4 address that arrives over IPv6 counts as IPv4. Names are only
    /// looked up where networks leave it open.
    pub(crate) async fn admit(&self, address: IpAddr, names: &Names) -> bool {
        let address = address.to_canonical();
        if fits(&self.allow, address, names, Unresolved::NoMatch).await {
            return true;
        }
        if fits(&self.deny, address, names, Unresolved::Match).await {
            return false;
        }
        self.allow.is_empty() || !self.deny.is_empty()
    }
}

async fn fits(list: &[HostPattern], address: IpAddr, names: &Names, unresolved: Unresolved) -> bool {
    let in_network = |pattern: &HostPattern| matches!(pattern, HostPattern::Network(net) if net.contains(&address));
    if list.iter().any(in_network) {
        return true;
    }
    // All at once: one after the other, silent name servers would cost a client seconds for each name.
    let asked = list.iter().filter_map(|pattern| match pattern {
        HostPattern::Name(name) => Some(async move {
            match names.addresses(name).await {
                Some(found) => found.contains(&address),
                None => unresolved == Unresolved::Match,
            }
        }),
        HostPattern::Network(_) => None,
    });
    asked.collect::<FuturesUnordered<_>>().any(|fits| async move { fits }).await
}

/// The network of a client whose connections count together: /24 or /64.
pub(crate) fn network_of(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(v4) => Ipv4Net::new(v4, NETWORK_V4).map_or(IpAddr::V4(v4).into(), |net| net.trunc().into()),
        IpAddr::V6(v6) => Ipv6Net::new(v6, NETWORK_V6).map_or(IpAddr::V6(v6).into(), |net| net.trunc().into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What the name server of these tests knows.
    fn names() -> Names {
        let known = [("good.example", "10.1.2.3"), ("six.example", "2001:db8::1")];
        Names::fixed(BTreeMap::from(
            known.map(|(name, address)| (name.to_owned(), vec![address.parse().expect("an address")])),
        ))
    }

    async fn check(allow: &[&str], deny: &[&str], address: &str, expected: bool) {
        let pattern = |text: &&str| match text.parse::<IpNet>() {
            Ok(net) => HostPattern::Network(net),
            Err(_) => HostPattern::Name((*text).to_owned()),
        };
        let list = |texts: &[&str]| texts.iter().map(pattern).collect();
        let rules = HostRules { allow: list(allow), deny: list(deny) };
        let address = address.parse().expect("an address");
        assert_eq!(rules.admit(address, &names()).await, expected, "allow {allow:?} deny {deny:?} {address}");
    }

    #[tokio::test]
    async fn the_lists_decide_as_rsyncd_does() {
        let ten = "10.0.0.0/8";
        let all4 = "0.0.0.0/0";
        check(&[], &[], "192.0.2.1", true).await;
        check(&[ten], &[], "10.1.2.3", true).await;
        check(&[ten], &[], "192.0.2.1", false).await;
        check(&[], &[ten], "10.1.2.3", false).await;
        check(&[], &[ten], "192.0.2.1", true).await;
        check(&[ten], &[all4], "10.1.2.3", true).await;
        check(&[ten], &[all4], "192.0.2.1", false).await;
        check(&[ten], &["192.0.2.0/24"], "198.51.100.1", true).await;
        check(&[ten], &[], "::ffff:10.1.2.3", true).await;
        check(&["2001:db8::/32"], &[], "2001:db8::1", true).await;
    }

    #[tokio::test]
    async fn a_name_is_its_addresses_and_one_without_any_opens_nothing() {
        check(&["good.example"], &[], "10.1.2.3", true).await;
        check(&["good.example"], &[], "10.1.2.4", false).await;
        check(&["six.example"], &["::/0"], "2001:db8::1", true).await;
        check(&[], &["good.example"], "10.1.2.3", false).await;
        check(&[], &["good.example"], "10.1.2.4", true).await;
        // A name server that does not answer.
        check(&["gone.example"], &[], "10.1.2.3", false).await;
        check(&[], &["gone.example"], "10.1.2.3", false).await;
        check(&["10.0.0.0/8"], &["gone.example"], "10.1.2.3", true).await;
    }

    #[test]
    fn neighbours_count_as_one_network() {
        let network = |text: &str| network_of(text.parse().expect("an address")).to_string();
        assert_eq!(network("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(network("::ffff:192.0.2.77"), "192.0.2.0/24");
        assert_eq!(network("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
    }
}
