//! Host names and ports (RFC 9110 4.2, RFC 9112 3.2, RFC 3986 3.2).

use std::net::Ipv6Addr;

/// The longest host name that DNS can carry, with its trailing dot.
const MAX_HOST: usize = 254;

/// The parts of `host[:port]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    /// Bytes of the host, from the start, without a trailing dot. Brackets of an IPv6 address are included.
    pub host_len: usize,
    /// Whether the host has letters in upper case.
    pub upper_case: bool,
    /// The port; `None` when there is none, or an empty one.
    pub port: Option<u16>,
}

impl Authority {
    /// Reads `host[:port]`. Stricter than RFC 3986: a host is an IPv6 address in brackets, or labels of letters,
    /// digits, `-`, `_` and `~` between single dots. Percent-encoding and the sub-delimiters, which no name in DNS has,
    /// are refused.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let (host, port) = match bytes {
            [] => return Err("an empty host"),
            [b'[', ..] => split_literal(bytes)?,
            _ => split_name(bytes)?,
        };
        if host.is_empty() {
            return Err("an empty host");
        }
        Ok(Self {
            host_len: host.len(),
            upper_case: host.iter().any(u8::is_ascii_uppercase),
            port: parse_port(port)?,
        })
    }
}

/// The host in brackets, and what follows it.
fn split_literal(bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let close = memchr::memchr(b']', bytes).ok_or("an unclosed bracket in the host")?;
    let (host, port) = bytes.split_at_checked(close + 1).unwrap_or((bytes, b""));
    let address = host.get(1..close).and_then(|inner| std::str::from_utf8(inner).ok());
    match address.map(str::parse::<Ipv6Addr>) {
        Some(Ok(_)) => Ok((host, port)),
        _ => Err("an invalid IPv6 address in the host"),
    }
}

/// The host name without its trailing dot, and what follows it.
fn split_name(bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let end = memchr::memchr(b':', bytes).unwrap_or(bytes.len());
    let (host, port) = bytes.split_at_checked(end).unwrap_or((bytes, b""));
    if host.len() > MAX_HOST {
        return Err("a host longer than a name can be");
    }
    let mut before = b'.';
    for &byte in host {
        match byte {
            b'.' if before == b'.' => return Err("an empty label in the host"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => before = byte,
            _ => return Err("an invalid character in the host"),
        }
    }
    Ok((host.strip_suffix(b".").unwrap_or(host), port))
}

/// The number in `:port`; nothing for no or an empty port.
fn parse_port(bytes: &[u8]) -> Result<Option<u16>, &'static str> {
    let digits = match bytes {
        [] | [b':'] => return Ok(None),
        [b':', digits @ ..] => digits,
        _ => return Err("an invalid character after the host"),
    };
    if digits.len() > 5 {
        return Err("an invalid port");
    }
    let mut port = 0_u32;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return Err("an invalid port");
        }
        port = port * 10 + u32::from(digit - b'0');
    }
    u16::try_from(port).map(Some).map_err(|_| "an invalid port")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(bytes: &[u8]) -> Result<(&[u8], Option<u16>), &'static str> {
        Authority::parse(bytes).map(|authority| (&bytes[..authority.host_len], authority.port))
    }

    #[test]
    fn hosts_and_ports_are_told_apart() {
        assert_eq!(host(b"example.com"), Ok((&b"example.com"[..], None)));
        assert_eq!(host(b"example.com:"), Ok((&b"example.com"[..], None)));
        assert_eq!(host(b"example.com.:8080"), Ok((&b"example.com"[..], Some(8080))));
        assert_eq!(host(b"under_score.example"), Ok((&b"under_score.example"[..], None)));
        assert_eq!(host(b"[::1]:443"), Ok((&b"[::1]"[..], Some(443))));
        assert_eq!(host(b"[2001:db8::A]"), Ok((&b"[2001:db8::A]"[..], None)));
        assert_eq!(host(b"127.0.0.1:0"), Ok((&b"127.0.0.1"[..], Some(0))));
    }

    /// RFC 9112 3.2: an invalid Host is answered with 400.
    #[test]
    fn what_is_no_host_is_refused() {
        let long = [b'a'; 255];
        let cases: &[&[u8]] = &[
            b"",
            b":80",
            b".",
            b".a",
            b"a..b",
            b"a b",
            b"a,b",
            b"a/b",
            b"a@b",
            b"u:p@h",
            b"a%20b",
            b"a:b",
            b"a:99999",
            b"a:655360",
            b"a:-1",
            b"a:+1",
            b"a:80:80",
            b"::1",
            b"[::1",
            b"[::1]x",
            b"[::1]]",
            b"[]",
            b"[fe80::1%eth0]",
            b"[v1.x]",
            b"[127.0.0.1]",
            b"a\\b",
            b"a*b",
            b"a\"b",
            b"\xe4.example",
            &long,
        ];
        for case in cases {
            assert!(Authority::parse(case).is_err(), "{:?}", String::from_utf8_lossy(case));
        }
    }
}
