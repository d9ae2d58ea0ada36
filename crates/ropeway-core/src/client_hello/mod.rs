//! The first message of a TLS client (RFC 8446 4.1.2, RFC 5246 7.4.1.2), read without any cryptography.
//!
//! It tells where a connection wants to go before anybody answers it: the server name (RFC 6066 3), the application
//! protocols (RFC 7301 3.1) and the versions of TLS that the client offers (RFC 8446 4.2.1). It also tells when a
//! client does not speak TLS at all, so that it can be told so.
//!
//! The message may come in several records, and those in any number of pieces. [`ClientHello::parse`] is called again
//! with the same bytes and more until it is complete. Each call looks at no more than the headers of at most
//! [`MAX_RECORDS`] records until then, so that a message which trickles in byte by byte costs no more than one that
//! does not.

mod error;
mod extensions;
mod records;
mod server_name;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

pub use error::ClientHelloError;
pub use records::MAX_RECORDS;
pub use server_name::ServerName;

use crate::wire::WireReader;
use extensions::Extensions;
use records::{Handshake, gather};

/// The most bytes that a ClientHello may have unless the caller says otherwise: 16 KiB.
///
/// The grammar allows about 128 KiB. What clients send is below 2 KiB with a post-quantum key share, and a few KiB
/// more when a session ticket with a chain of client certificates is offered; 16 KiB is what one record can carry
/// (RFC 8446 5.1).
pub const DEFAULT_LIMIT: usize = 16 * 1024;

/// How far the reading of a ClientHello came.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives for one call; a box would cost each connection an allocation"
)]
pub enum Progress<'a> {
    /// The message has not ended yet: call again with the same bytes and more.
    Partial,
    /// The message is complete.
    Complete(ClientHello<'a>),
}

/// What a client offers in its first message. Borrows from the input, unless the message came in several records.
#[derive(Clone, Debug)]
pub struct ClientHello<'a> {
    consumed: usize,
    body: Cow<'a, [u8]>,
    legacy_version: u16,
    server_name: Option<ServerName>,
    alpn: Range<usize>,
    versions: Range<usize>,
}

impl<'a> ClientHello<'a> {
    /// Reads a ClientHello from the first bytes of a connection. `limit` is the most bytes that the message may have,
    /// its header of four bytes included, and the headers of records not; [`DEFAULT_LIMIT`] suits.
    ///
    /// # Errors
    /// [`ClientHelloError::PlainHttp`] and [`ClientHelloError::NotTls`] as soon as the first byte says so, the others
    /// as soon as they are certain. An error is final: more bytes do not mend it.
    pub fn parse(input: &'a [u8], limit: usize) -> Result<Progress<'a>, ClientHelloError> {
        match gather(input, limit)? {
            Handshake::Partial => Ok(Progress::Partial),
            Handshake::Complete { body, consumed } => Self::read(body, consumed).map(Progress::Complete),
        }
    }

    /// Bytes of the input that belong to the message, up to the end of its last record.
    #[must_use]
    pub const fn consumed(&self) -> usize {
        self.consumed
    }

    /// The DNS name that the client asks for; `None` when it names none, or gives an address, which is no name
    /// (RFC 6066 3).
    #[must_use]
    pub const fn server_name(&self) -> Option<&ServerName> {
        self.server_name.as_ref()
    }

    /// The application protocols that the client offers, in its order of preference: `h2`, `http/1.1`, `acme-tls/1`
    /// and so on. No entry is empty.
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        let mut list = WireReader::new(self.body.get(self.alpn.clone()).unwrap_or_default());
        std::iter::from_fn(move || list.vector8())
    }

    /// The versions that the client offers, in its order of preference: 0x0304 is TLS 1.3, 0x0303 is TLS 1.2. Values
    /// that stand for no version are among them (RFC 8701). A client without the extension offers
    /// [`legacy_version`](Self::legacy_version), and with it, all before it.
    pub fn versions(&self) -> impl Iterator<Item = u16> {
        let listed = self.body.get(self.versions.clone()).unwrap_or_default();
        let legacy = listed.is_empty().then_some(self.legacy_version);
        let mut list = WireReader::new(listed);
        std::iter::from_fn(move || list.u16()).chain(legacy)
    }

    /// The version in the fixed part of the message. TLS 1.3 has 0x0303 here (RFC 8446 4.1.2).
    #[must_use]
    pub const fn legacy_version(&self) -> u16 {
        self.legacy_version
    }

    fn read(body: Cow<'a, [u8]>, consumed: usize) -> Result<Self, ClientHelloError> {
        let (legacy_version, extensions) = read_body(&body)?;
        let Extensions { server_name, alpn, versions } = extensions;
        Ok(Self { consumed, body, legacy_version, server_name, alpn, versions })
    }
}

/// The version and the extensions of a message without its header.
fn read_body(body: &[u8]) -> Result<(u16, Extensions), ClientHelloError> {
    let mut reader = WireReader::new(body);
    let version = reader.u16().ok_or(TOO_SHORT)?;
    let _random = reader.take(32).ok_or(TOO_SHORT)?;
    let session_id = reader.vector8().ok_or(TOO_SHORT)?;
    let suites = reader.vector16().ok_or(TOO_SHORT)?;
    let compression = reader.vector8().ok_or(TOO_SHORT)?;
    if version >> 8 != 3 {
        return Err(ClientHelloError::Malformed("a version that is not of TLS"));
    }
    if session_id.len() > 32 {
        return Err(ClientHelloError::Malformed("a session id of more than 32 bytes"));
    }
    if suites.is_empty() || suites.len() % 2 != 0 {
        return Err(ClientHelloError::Malformed("a malformed list of cipher suites"));
    }
    if compression.is_empty() {
        return Err(ClientHelloError::Malformed("no compression method"));
    }
    // TLS 1.2 knows a ClientHello that ends here (RFC 5246 7.4.1.2).
    if reader.is_empty() {
        return Ok((version, Extensions::default()));
    }
    let block = reader.vector16().ok_or(TOO_SHORT)?;
    if !reader.is_empty() {
        return Err(ClientHelloError::Malformed("bytes behind the extensions"));
    }
    Ok((version, Extensions::read(body.len(), block)?))
}

const TOO_SHORT: ClientHelloError = ClientHelloError::Malformed("a field that ends beyond its message");
