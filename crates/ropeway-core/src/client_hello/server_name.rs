//! The name in the server_name extension (RFC 6066 3).

use std::fmt;
use std::net::IpAddr;

use super::error::ClientHelloError;

/// The longest DNS name in text, without a trailing dot (RFC 1035 3.1).
const MAX_NAME: usize = 253;

/// The longest label of a DNS name (RFC 1035 2.3.4).
const MAX_LABEL: usize = 63;

/// A DNS name in lower case, without a trailing dot: labels of letters, digits, `-` and `_`. Allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServerName {
    bytes: [u8; MAX_NAME],
    len: u8,
}

impl ServerName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let name = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(name).unwrap_or_default()
    }

    /// Reads a name. An address is no name (RFC 6066 3), but there are clients that send one: it counts as none.
    pub(super) fn read(name: &[u8]) -> Result<Option<Self>, ClientHelloError> {
        if is_address(name) {
            return Ok(None);
        }
        if name.len() > MAX_NAME {
            return Err(ClientHelloError::BadServerName("a server name longer than a name can be"));
        }
        name.split(|&byte| byte == b'.').try_for_each(check_label)?;
        let mut bytes = [0; MAX_NAME];
        bytes.iter_mut().zip(name).for_each(|(slot, byte)| *slot = byte.to_ascii_lowercase());
        // At most 253, as checked above.
        Ok(Some(Self { bytes, len: name.len() as u8 }))
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

fn is_address(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| name.parse::<IpAddr>().is_ok())
}

fn check_label(label: &[u8]) -> Result<(), ClientHelloError> {
    let fault = match label {
        [] => "an empty label in the server name",
        _ if label.len() > MAX_LABEL => "a label of the server name longer than 63 bytes",
        [b'-', ..] | [.., b'-'] => "a label of the server name with a hyphen at its end",
        _ if !label
            .iter()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_')) =>
        {
            "an invalid character in the server name"
        }
        _ => return Ok(()),
    };
    Err(ClientHelloError::BadServerName(fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8]) -> Result<Option<String>, ClientHelloError> {
        ServerName::read(bytes).map(|name| name.map(|name| name.as_str().to_owned()))
    }

    #[test]
    fn names_are_in_lower_case() {
        assert_eq!(name(b"WWW.Example.com"), Ok(Some("www.example.com".into())));
        assert_eq!(name(b"localhost"), Ok(Some("localhost".into())));
        assert_eq!(name(b"a_b.xn--bcher-kva.example"), Ok(Some("a_b.xn--bcher-kva.example".into())));
    }

    #[test]
    fn addresses_are_no_names() {
        assert_eq!(name(b"192.0.2.1"), Ok(None));
        assert_eq!(name(b"2001:db8::1"), Ok(None));
    }

    #[test]
    fn the_longest_name_fits() {
        let label = "a".repeat(63);
        let longest = [label.as_str(), &label, &label, &"b".repeat(61)].join(".");
        assert_eq!(name(longest.as_bytes()), Ok(Some(longest.clone())));
        assert!(name(format!("{longest}b").as_bytes()).is_err());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = [b'a'; 64];
        let cases: &[&[u8]] = &[
            b"",
            b".",
            b"a.",
            b".a",
            b"a..b",
            b"a b",
            b"a:443",
            b"*.a",
            b"a/b",
            b"a\0b",
            b"-a",
            b"a-.b",
            b"\xc3\xa4",
            &long,
        ];
        for case in cases {
            assert!(matches!(name(case), Err(ClientHelloError::BadServerName(_))), "{}", case.escape_ascii());
        }
    }
}
