//! Who may use a module: `hosts_allow` and `hosts_deny`, with the precedence that rsyncd has.
//!
//! Allow is asked first and a match decides; then deny; an address that neither names may connect,
//! unless there is an allow list and no deny list. Only addresses and networks: names are not looked
//! up, so a slow or lying name server cannot open or block a module.

use std::net::IpAddr;

use ipnet::IpNet;

/// The two lists of one module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRules {
    /// Networks that may connect.
    pub allow: Vec<IpNet>,
    /// Networks that may not.
    pub deny: Vec<IpNet>,
}

impl HostRules {
    /// Whether `address` may use the module. An IPv4 address that arrives over IPv6 counts as IPv4.
    pub fn admit(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let names = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
        if names(&self.allow) {
            return true;
        }
        if names(&self.deny) {
            return false;
        }
        self.allow.is_empty() || !self.deny.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allow: &[&str], deny: &[&str], address: &str, expected: bool) {
        let nets = |texts: &[&str]| texts.iter().map(|t| t.parse().expect("a network")).collect();
        let rules = HostRules { allow: nets(allow), deny: nets(deny) };
        let address = address.parse().expect("an address");
        assert_eq!(rules.admit(address), expected, "allow {allow:?} deny {deny:?} {address}");
    }

    #[test]
    fn the_lists_decide_as_rsyncd_does() {
        let ten = "10.0.0.0/8";
        let all4 = "0.0.0.0/0";
        check(&[], &[], "192.0.2.1", true);
        check(&[ten], &[], "10.1.2.3", true);
        check(&[ten], &[], "192.0.2.1", false);
        check(&[], &[ten], "10.1.2.3", false);
        check(&[], &[ten], "192.0.2.1", true);
        check(&[ten], &[all4], "10.1.2.3", true);
        check(&[ten], &[all4], "192.0.2.1", false);
        check(&[ten], &["192.0.2.0/24"], "198.51.100.1", true);
        check(&[ten], &[], "::ffff:10.1.2.3", true);
        check(&["2001:db8::/32"], &[], "2001:db8::1", true);
    }
}
