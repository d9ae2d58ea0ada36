//! Version 2: binary (section 2.2).

use std::net::{IpAddr, SocketAddr};

use super::error::ProxyProtocolError;
use super::{Command, Endpoints, Header, Progress, Tlvs, Version, checksum, kind};
use crate::wire::WireReader;

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
pub(super) const VERSION_AND_LOCAL: u8 = 0x20;
pub(super) const VERSION_AND_PROXY: u8 = 0x21;
pub(super) const UNSPEC: u8 = 0x00;
pub(super) const TCP_OVER_IPV4: u8 = 0x11;
pub(super) const TCP_OVER_IPV6: u8 = 0x21;
pub(super) const UNIX_STREAM: u8 = 0x31;
/// Bytes of one address of a Unix socket.
pub(super) const UNIX_ADDRESS: usize = 108;

/// Reads a header that begins with the signature, as far as it goes.
pub(super) fn parse(input: &[u8], limit: usize) -> Result<Progress<'_>, ProxyProtocolError> {
    let mut reader = WireReader::new(input);
    let Some(_signature) = reader.take(SIGNATURE.len()) else { return Ok(Progress::Partial) };
    let Some(version_and_command) = reader.u8() else { return Ok(Progress::Partial) };
    let command = match version_and_command {
        VERSION_AND_LOCAL => Command::Local,
        VERSION_AND_PROXY => Command::Proxy,
        _ => return Err(malformed("an unknown version or command in a PROXY header")),
    };
    let Some((family, len)) = reader.u8().zip(reader.u16()) else { return Ok(Progress::Partial) };
    let consumed = input.len() - reader.len() + usize::from(len);
    if consumed > limit {
        return Err(ProxyProtocolError::TooLong);
    }
    let Some(header) = input.get(..consumed) else { return Ok(Progress::Partial) };
    let block = reader.take(usize::from(len)).unwrap_or_default();
    let (endpoints, tlvs) = match command {
        // The whole block is to be discarded, the family included.
        Command::Local => (Endpoints::OfConnection, Tlvs::default()),
        Command::Proxy => read_block(header, family, block)?,
    };
    Ok(Progress::Complete(Header { consumed, version: Version::V2, command, endpoints, tlvs }))
}

fn read_block<'a>(
    header: &[u8],
    family: u8,
    block: &'a [u8],
) -> Result<(Endpoints<'a>, Tlvs<'a>), ProxyProtocolError> {
    let mut reader = WireReader::new(block);
    let endpoints = read_addresses(family, &mut reader)?;
    let tlvs = Tlvs::read(reader.rest())?;
    check_sum(header, tlvs)?;
    Ok((endpoints, tlvs))
}

/// Reads the addresses. Families and transports that exist but are of no use to us are stepped over; those that do not
/// exist are refused.
fn read_addresses<'a>(family: u8, reader: &mut WireReader<'a>) -> Result<Endpoints<'a>, ProxyProtocolError> {
    const TOO_SHORT: ProxyProtocolError = malformed("a PROXY header too short for its addresses");
    let endpoints = match family >> 4 {
        0 => Endpoints::OfConnection,
        1 => read_inet::<4>(reader).ok_or(TOO_SHORT)?,
        2 => read_inet::<16>(reader).ok_or(TOO_SHORT)?,
        3 => read_unix(reader).ok_or(TOO_SHORT)?,
        _ => return Err(malformed("an unknown address family in a PROXY header")),
    };
    match family & 0xf {
        1 => Ok(endpoints),
        0 | 2 => Ok(Endpoints::OfConnection),
        _ => Err(malformed("an unknown transport in a PROXY header")),
    }
}

fn read_inet<const LEN: usize>(reader: &mut WireReader<'_>) -> Option<Endpoints<'static>>
where
    IpAddr: From<[u8; LEN]>,
{
    let (source, destination) = (reader.array::<LEN>()?, reader.array::<LEN>()?);
    let (source_port, destination_port) = (reader.u16()?, reader.u16()?);
    Some(Endpoints::Tcp {
        source: SocketAddr::new(source.into(), source_port),
        destination: SocketAddr::new(destination.into(), destination_port),
    })
}

fn read_unix<'a>(reader: &mut WireReader<'a>) -> Option<Endpoints<'a>> {
    let (source, destination) = (reader.take(UNIX_ADDRESS)?, reader.take(UNIX_ADDRESS)?);
    Some(Endpoints::Unix { source: unix_name(source), destination: unix_name(destination) })
}

/// The name without the padding. One of the abstract kind begins with NUL and may hold more of them, so only those at
/// its end are padding.
fn unix_name(address: &[u8]) -> &[u8] {
    let len = match address {
        [0, ..] => address.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1),
        _ => memchr::memchr(0, address).unwrap_or(address.len()),
    };
    address.get(..len).unwrap_or_default()
}

/// Checks the checksum if there is one. `tlvs` are the end of the header.
fn check_sum(header: &[u8], tlvs: Tlvs<'_>) -> Result<(), ProxyProtocolError> {
    let mut rest = tlvs;
    while let Some(tlv) = rest.next() {
        if tlv.kind != kind::CRC32C {
            continue;
        }
        let end = header.len() - rest.len_in_bytes();
        let before = header.get(..end - tlv.value.len()).unwrap_or_default();
        let after = header.get(end..).unwrap_or_default();
        if checksum::of_header(before, after) != tlv.value {
            return Err(ProxyProtocolError::BadChecksum);
        }
    }
    Ok(())
}

const fn malformed(detail: &'static str) -> ProxyProtocolError {
    ProxyProtocolError::Malformed(detail)
}
