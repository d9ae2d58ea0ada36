//! Hashes of what a request is balanced by.

use std::net::IpAddr;

use xxhash_rust::xxh3::xxh3_64;

/// The hash of a key or of a server's name: XXH3, 64 bits, seed 0. The same for every process, machine and version,
/// so that several proxies send the same key to the same server, and a restart moves no key.
#[must_use]
pub fn hash_key(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The hash of a client's address, without its port. An IPv4 address mapped into IPv6 (RFC 4291 section 2.5.5.2) has
/// the hash of the IPv4 address, so that the kind of listener does not matter.
#[must_use]
pub fn hash_ip(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => xxh3_64(&address.octets()),
        IpAddr::V6(address) => xxh3_64(&address.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_stay_what_they_are() {
        assert_eq!(hash_key(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(hash_ip("10.0.0.1".parse().unwrap()), hash_key(&[10, 0, 0, 1]));
        assert_eq!(
            hash_ip("::1".parse().unwrap()),
            hash_key(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
        );
    }

    #[test]
    fn a_mapped_address_is_the_same_client() {
        assert_eq!(hash_ip("::ffff:192.0.2.7".parse().unwrap()), hash_ip("192.0.2.7".parse().unwrap()));
        assert_ne!(hash_ip("192.0.2.8".parse().unwrap()), hash_ip("192.0.2.7".parse().unwrap()));
    }
}
