//! The three extensions that we read.

use std::ops::Range;

use super::error::ClientHelloError;
use super::server_name::ServerName;
use crate::wire::WireReader;

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const HOST_NAME: u8 = 0;

/// What the extensions say. Ranges are within the body of the message; empty ones stand for no extension.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub server_name: Option<ServerName>,
    pub alpn: Range<usize>,
    pub versions: Range<usize>,
}

impl Extensions {
    /// Reads the block of extensions, which is the end of a body of `body_len` bytes. Extensions that it does not know
    /// are stepped over, and may be there twice: TLS itself will tell.
    pub(super) fn read(body_len: usize, block: &[u8]) -> Result<Self, ClientHelloError> {
        let (mut found, mut seen) = (Self::default(), Seen::default());
        let mut reader = WireReader::new(block);
        while !reader.is_empty() {
            let extension = reader.u16().zip(reader.vector16());
            let (kind, data) = extension.ok_or(malformed("an extension that ends beyond its message"))?;
            // Every list that we keep is the end of its extension.
            let end = body_len - reader.len();
            match kind {
                SERVER_NAME => {
                    once(&mut seen.server_name)?;
                    found.server_name = read_server_name(data)?;
                }
                ALPN => {
                    once(&mut seen.alpn)?;
                    found.alpn = end - check_alpn(data)?..end;
                }
                SUPPORTED_VERSIONS => {
                    once(&mut seen.versions)?;
                    found.versions = end - check_versions(data)?..end;
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

#[derive(Default)]
struct Seen {
    server_name: bool,
    alpn: bool,
    versions: bool,
}

/// Two extensions of one type are an error (RFC 8446 4.2): two readers could heed different ones.
fn once(seen: &mut bool) -> Result<(), ClientHelloError> {
    if std::mem::replace(seen, true) { Err(malformed("an extension that is there twice")) } else { Ok(()) }
}

/// The host name in a list of names, of which each type may be there once (RFC 6066 3).
fn read_server_name(data: &[u8]) -> Result<Option<ServerName>, ClientHelloError> {
    const FAULT: ClientHelloError = malformed("a malformed server_name extension");
    let mut names = WireReader::new(whole_vector16(data).ok_or(FAULT)?);
    let mut host = None;
    while !names.is_empty() {
        let (kind, name) = names.u8().zip(names.vector16()).ok_or(FAULT)?;
        if kind == HOST_NAME && host.replace(name).is_some() {
            return Err(malformed("two host names in the server_name extension"));
        }
    }
    host.map_or(Ok(None), ServerName::read)
}

/// Checks a list of application protocols (RFC 7301 3.1); tells its length in bytes.
fn check_alpn(data: &[u8]) -> Result<usize, ClientHelloError> {
    const FAULT: ClientHelloError = malformed("a malformed list of application protocols");
    let list = whole_vector16(data).ok_or(FAULT)?;
    let mut protocols = WireReader::new(list);
    while !protocols.is_empty() {
        let protocol = protocols.vector8().ok_or(FAULT)?;
        if protocol.is_empty() {
            return Err(FAULT);
        }
    }
    Ok(list.len())
}

/// Checks a list of versions (RFC 8446 4.2.1); tells its length in bytes.
fn check_versions(data: &[u8]) -> Result<usize, ClientHelloError> {
    let mut reader = WireReader::new(data);
    let list = reader.vector8().filter(|list| reader.is_empty() && !list.is_empty() && list.len() % 2 == 0);
    list.map(<[u8]>::len).ok_or(malformed("a malformed list of versions"))
}

/// The content of a vector that is not empty and is all there is.
fn whole_vector16(data: &[u8]) -> Option<&[u8]> {
    let mut reader = WireReader::new(data);
    reader.vector16().filter(|vector| reader.is_empty() && !vector.is_empty())
}

const fn malformed(detail: &'static str) -> ClientHelloError {
    ClientHelloError::Malformed(detail)
}
