//! The set of addresses whose forwarding fields are believed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// A set of networks, compiled so that asking costs a binary search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Disjoint ranges in ascending order, first and last address included.
    v4: Vec<(Ipv4Addr, Ipv4Addr)>,
    v6: Vec<(Ipv6Addr, Ipv6Addr)>,
}

impl TrustedProxies {
    /// The set of all addresses of these networks, which may overlap. IPv6 networks of IPv4-mapped addresses hold no
    /// address, because such addresses count as IPv4.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let networks: Vec<IpNet> = networks.into_iter().collect();
        let mut set = Self::default();
        for network in IpNet::aggregate(&networks) {
            match network {
                IpNet::V4(network) => set.v4.push((network.network(), network.broadcast())),
                IpNet::V6(network) => set.v6.push((network.network(), network.broadcast())),
            }
        }
        set.v4.sort_unstable();
        set.v6.sort_unstable();
        set
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether this address is in the set. An IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => in_ranges(&self.v4, address),
            IpAddr::V6(address) => in_ranges(&self.v6, address),
        }
    }
}

fn in_ranges<A: Ord + Copy>(ranges: &[(A, A)], address: A) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after.checked_sub(1).and_then(|index| ranges.get(index)).is_some_and(|(_, last)| address <= *last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(networks: &[&str]) -> TrustedProxies {
        TrustedProxies::new(networks.iter().map(|network| network.parse().unwrap()))
    }

    #[test]
    fn membership_is_that_of_the_networks() {
        let set = set(&[
            "10.0.0.0/8",
            "192.168.1.0/24",
            "192.168.1.128/25",
            "10.1.0.0/16",
            "2001:db8::/32",
            "::1/128",
        ]);
        for inside in
            ["10.0.0.0", "10.255.255.255", "192.168.1.200", "2001:db8:ffff::1", "::1", "::ffff:10.1.2.3"]
        {
            assert!(set.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.0", "192.168.2.0", "2001:db9::", "::2", "::ffff:11.0.0.1"] {
            assert!(!set.contains(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn an_empty_set_trusts_nobody() {
        assert!(!set(&[]).contains("127.0.0.1".parse().unwrap()));
        assert!(set(&["0.0.0.0/0"]).contains("255.255.255.255".parse().unwrap()));
    }
}
