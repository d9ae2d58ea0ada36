//! The PROXY protocol, versions 1 and 2: who is at the other end of a connection that a proxy passes on.
//!
//! The sections named here are those of the specification that HAProxy publishes as `proxy-protocol.txt`. A header is
//! believed word for word, so it must come from a trusted peer and be beyond doubt: what breaks a rule is refused, and
//! the connection with it (section 2.1). What follows a header is not looked at; it is the connection itself.

mod announcement;
mod checksum;
mod error;
mod ssl;
#[cfg(test)]
mod tests;
mod text;
mod tlv;
mod v1;
mod v2;

use std::net::SocketAddr;

pub use announcement::{Announcement, TlsAnnouncement};
pub use error::ProxyProtocolError;
pub use ssl::Ssl;
pub use tlv::{Tlv, Tlvs, kind};

/// The most bytes that a header of version 2 may have unless the caller says otherwise: 4 KiB. The specification means
/// headers to fit into 536 bytes (section 2), but the grammar allows 64 KiB. Those of version 1 have 107 at most.
pub const DEFAULT_LIMIT: usize = 4096;

/// How far the reading of a header came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// The header has not ended yet: call again with the same bytes and more.
    Partial,
    /// The header is complete.
    Complete(Header<'a>),
}

/// A header that was read and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    consumed: usize,
    version: Version,
    command: Command,
    endpoints: Endpoints<'a>,
    tlvs: Tlvs<'a>,
}

/// The version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One line of text.
    V1,
    /// Binary, with room for more than addresses.
    V2,
}

/// On whose behalf the connection was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The sender's own: a health check.
    Local,
    /// Somebody else's.
    Proxy,
}

/// The two ends of the connection that is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoints<'a> {
    /// The ends of the connection itself: nothing else is known, or nothing that we can use (LOCAL, UNKNOWN, UNSPEC,
    /// and datagrams).
    OfConnection,
    /// TCP over IPv4 or IPv6. Both addresses are of the same family.
    Tcp {
        /// The client.
        source: SocketAddr,
        /// Where the client connected to.
        destination: SocketAddr,
    },
    /// A stream between Unix sockets; 108 bytes at most. A path ends at its first NUL, which is not included; a name
    /// of the abstract kind begins with one.
    Unix {
        /// The client; often without a name.
        source: &'a [u8],
        /// Where the client connected to.
        destination: &'a [u8],
    },
}

impl<'a> Header<'a> {
    /// Reads a header of either version from the first bytes of a connection. One of version 2 may have `limit` bytes;
    /// [`DEFAULT_LIMIT`] suits.
    ///
    /// # Errors
    /// As soon as it is certain; it is final, more bytes do not mend it.
    pub fn parse(input: &'a [u8], limit: usize) -> Result<Progress<'a>, ProxyProtocolError> {
        if is_start(input, v2::SIGNATURE) {
            return v2::parse(input, limit);
        }
        if is_start(input, v1::SIGNATURE) {
            return v1::parse(input);
        }
        Err(ProxyProtocolError::NoHeader)
    }

    /// Bytes of the input that belong to the header.
    #[must_use]
    pub const fn consumed(&self) -> usize {
        self.consumed
    }

    /// The version of the protocol.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// On whose behalf the connection was opened.
    #[must_use]
    pub const fn command(&self) -> Command {
        self.command
    }

    /// The two ends of the connection that is passed on.
    #[must_use]
    pub const fn endpoints(&self) -> Endpoints<'a> {
        self.endpoints
    }

    /// Everything else that the sender said, known or not, as it was received and in that order. LOCAL says nothing.
    #[must_use]
    pub const fn tlvs(&self) -> Tlvs<'a> {
        self.tlvs
    }

    /// The application protocol of the connection (section 2.2.1): `h2`, `http/1.1`.
    #[must_use]
    pub fn alpn(&self) -> Option<&'a [u8]> {
        self.tlvs.value_of(kind::ALPN)
    }

    /// The name that the client asked for, as a rule in SNI (section 2.2.2). UTF-8 without control characters, but not
    /// checked to be a host.
    #[must_use]
    pub fn authority(&self) -> Option<&'a str> {
        self.tlvs.text_of(kind::AUTHORITY)
    }

    /// What identifies the connection across proxies (section 2.2.5): at most 128 bytes of any value.
    #[must_use]
    pub fn unique_id(&self) -> Option<&'a [u8]> {
        self.tlvs.value_of(kind::UNIQUE_ID)
    }

    /// The encryption between the client and the sender (section 2.2.6).
    #[must_use]
    pub fn ssl(&self) -> Option<Ssl<'a>> {
        self.tlvs.value_of(kind::SSL).and_then(|value| Ssl::read(value).ok())
    }

    /// The network namespace (section 2.2.7). ASCII without control characters.
    #[must_use]
    pub fn netns(&self) -> Option<&'a str> {
        self.tlvs.text_of(kind::NETNS)
    }

    /// Whether the header had a checksum (section 2.2.3). It was right: a wrong one is an error.
    #[must_use]
    pub fn has_checksum(&self) -> bool {
        self.tlvs.value_of(kind::CRC32C).is_some()
    }
}

/// Whether the input begins with the signature, as far as both go.
fn is_start(input: &[u8], signature: &[u8]) -> bool {
    input.iter().zip(signature).all(|(byte, expected)| byte == expected)
}
