//! Version 1: one line of text (section 2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::error::ProxyProtocolError;
use super::{Command, Endpoints, Header, Progress, Tlvs, Version};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// The longest line, with its CRLF.
const MAX_LINE: usize = 107;

/// Reads a header that begins with the signature, as far as it goes.
pub(super) fn parse(input: &[u8]) -> Result<Progress<'_>, ProxyProtocolError> {
    let start = input.get(..MAX_LINE).unwrap_or(input);
    let Some(end) = memchr::memchr2(b'\r', b'\n', start) else {
        let too_long = start.len() == MAX_LINE;
        return if too_long { Err(ProxyProtocolError::TooLong) } else { Ok(Progress::Partial) };
    };
    let (line, ending) = start.split_at_checked(end).unwrap_or((start, b""));
    match ending {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if start.len() < MAX_LINE => return Ok(Progress::Partial),
        [b'\r'] => return Err(ProxyProtocolError::TooLong),
        _ => return Err(malformed("a PROXY line that does not end in CRLF")),
    }
    let endpoints = read_line(line)?;
    Ok(Progress::Complete(Header {
        consumed: end + 2,
        version: Version::V1,
        command: Command::Proxy,
        endpoints,
        tlvs: Tlvs::default(),
    }))
}

fn read_line(line: &[u8]) -> Result<Endpoints<'static>, ProxyProtocolError> {
    let mut words = line.split(|&byte| byte == b' ').skip(1);
    let family = words.next().unwrap_or_default();
    let read_address: fn(&str) -> Option<IpAddr> = match family {
        // What follows is to be ignored.
        b"UNKNOWN" => return Ok(Endpoints::OfConnection),
        b"TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        b"TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return Err(malformed("an unknown family in a PROXY line")),
    };
    let mut address = || {
        let text = words.next().and_then(|word| std::str::from_utf8(word).ok());
        text.and_then(read_address).ok_or(malformed("an invalid address in a PROXY line"))
    };
    let (source, destination) = (address()?, address()?);
    let mut port = || words.next().and_then(read_port).ok_or(malformed("an invalid port in a PROXY line"));
    let (source_port, destination_port) = (port()?, port()?);
    if words.next().is_some() {
        return Err(malformed("more in a PROXY line than addresses and ports"));
    }
    Ok(Endpoints::Tcp {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}

/// A port in decimal digits, without leading zeros.
fn read_port(word: &[u8]) -> Option<u16> {
    match word {
        [b'0'] => Some(0),
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(word).ok()?.parse().ok()
        }
        _ => None,
    }
}

const fn malformed(detail: &'static str) -> ProxyProtocolError {
    ProxyProtocolError::Malformed(detail)
}
