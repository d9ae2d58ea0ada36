//! Headers that we send.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::error::ProxyProtocolError;
use super::tlv::MAX_UNIQUE_ID;
use super::{Endpoints, checksum, kind, ssl, v2};

/// What we tell a server of the client behind a connection. The default tells nothing: a connection of our own.
#[derive(Clone, Copy, Debug)]
pub struct Announcement<'a> {
    /// The ends of the client's connection. [`Endpoints::OfConnection`] is sent as UNKNOWN in version 1 and as LOCAL in
    /// version 2, which has no room for anything else then. Addresses of two families are sent as IPv6. Default:
    /// `OfConnection`.
    pub endpoints: Endpoints<'a>,
    /// The application protocol. Version 2 only, as all that follows.
    pub alpn: Option<&'a [u8]>,
    /// The name that the client asked for.
    pub authority: Option<&'a str>,
    /// The encryption between the client and us.
    pub tls: Option<TlsAnnouncement<'a>>,
    /// What identifies the connection: at most 128 bytes.
    pub unique_id: Option<&'a [u8]>,
    /// Whether a checksum is added. Default: false.
    pub checksum: bool,
}

/// What we tell of the encryption between the client and us.
#[derive(Clone, Copy, Debug, Default)]
pub struct TlsAnnouncement<'a> {
    /// The version, such as `TLSv1.3`.
    pub version: Option<&'a str>,
    /// The cipher, such as `TLS_AES_128_GCM_SHA256`.
    pub cipher: Option<&'a str>,
    /// Whether the client presented a certificate, which means that it was verified: others end the connection.
    pub client_certificate: bool,
    /// Whether it was presented in an earlier connection of the same session, and not in this one.
    pub resumed: bool,
    /// The common name of the client's certificate.
    pub common_name: Option<&'a str>,
}

impl Default for Announcement<'_> {
    fn default() -> Self {
        Self {
            endpoints: Endpoints::OfConnection,
            alpn: None,
            authority: None,
            tls: None,
            unique_id: None,
            checksum: false,
        }
    }
}

impl Announcement<'_> {
    /// Appends a header of version 1 (section 2.1): one line of at most 107 bytes. Unix sockets have no place in it and
    /// become UNKNOWN.
    pub fn write_v1(&self, out: &mut Vec<u8>) {
        let written = match same_family(self.endpoints) {
            Endpoints::Tcp { source, destination } => write!(
                out,
                "PROXY {} {} {} {} {}\r\n",
                if source.is_ipv4() { "TCP4" } else { "TCP6" },
                source.ip(),
                destination.ip(),
                source.port(),
                destination.port(),
            ),
            Endpoints::OfConnection | Endpoints::Unix { .. } => out.write_all(b"PROXY UNKNOWN\r\n"),
        };
        debug_assert!(written.is_ok(), "a vector takes all bytes");
    }

    /// Appends a header of version 2 (section 2.2).
    ///
    /// # Errors
    /// When a value is longer than its place; nothing is appended then.
    pub fn write_v2(&self, out: &mut Vec<u8>) -> Result<(), ProxyProtocolError> {
        let start = out.len();
        let written = self.append_v2(out, start);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn append_v2(&self, out: &mut Vec<u8>, start: usize) -> Result<(), ProxyProtocolError> {
        out.extend_from_slice(v2::SIGNATURE);
        let endpoints = same_family(self.endpoints);
        let local = endpoints == Endpoints::OfConnection;
        out.push(if local { v2::VERSION_AND_LOCAL } else { v2::VERSION_AND_PROXY });
        let len_at = out.len() + 1;
        write_addresses(endpoints, out)?;
        if local {
            return Ok(());
        }
        self.write_tlvs(out)?;
        let sum_at = self.checksum.then_some(out.len() + 3);
        if self.checksum {
            write_tlv(kind::CRC32C, &[0; 4], out)?;
        }
        let len = u16::try_from(out.len() - len_at - 2).map_err(|_| ProxyProtocolError::TooLong)?;
        put(out, len_at, &len.to_be_bytes());
        if let Some(at) = sum_at {
            // It is the last vector, so nothing is behind it.
            let sum = checksum::of_header(out.get(start..at).unwrap_or_default(), &[]);
            put(out, at, &sum);
        }
        Ok(())
    }

    fn write_tlvs(&self, out: &mut Vec<u8>) -> Result<(), ProxyProtocolError> {
        if let Some(alpn) = self.alpn.filter(|alpn| !alpn.is_empty()) {
            write_tlv(kind::ALPN, alpn, out)?;
        }
        if let Some(authority) = self.authority {
            write_tlv(kind::AUTHORITY, authority.as_bytes(), out)?;
        }
        if let Some(tls) = &self.tls {
            tls.write(out)?;
        }
        if let Some(id) = self.unique_id {
            if id.len() > MAX_UNIQUE_ID {
                return Err(ProxyProtocolError::Malformed("a unique id of more than 128 bytes"));
            }
            write_tlv(kind::UNIQUE_ID, id, out)?;
        }
        Ok(())
    }
}

impl TlsAnnouncement<'_> {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), ProxyProtocolError> {
        let certificate = match (self.client_certificate, self.resumed) {
            (false, _) => 0,
            (true, false) => ssl::CLIENT_CERT_CONN | ssl::CLIENT_CERT_SESS,
            (true, true) => ssl::CLIENT_CERT_SESS,
        };
        let verify = u32::from(!self.client_certificate);
        let len_at = out.len() + 1;
        out.extend_from_slice(&[kind::SSL, 0, 0, ssl::CLIENT_SSL | certificate]);
        out.extend_from_slice(&verify.to_be_bytes());
        let texts = [
            (kind::SSL_VERSION, self.version),
            (kind::SSL_CIPHER, self.cipher),
            (kind::SSL_CN, self.common_name),
        ];
        for (kind, text) in texts {
            text.map_or(Ok(()), |text| write_tlv(kind, text.as_bytes(), out))?;
        }
        let len = u16::try_from(out.len() - len_at - 2).map_err(|_| ProxyProtocolError::TooLong)?;
        put(out, len_at, &len.to_be_bytes());
        Ok(())
    }
}

/// The same ends with addresses of one family: IPv4 when both can be, else IPv6.
fn same_family(endpoints: Endpoints<'_>) -> Endpoints<'_> {
    let Endpoints::Tcp { source, destination } = endpoints else { return endpoints };
    let (from, to) = match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V6(to)) => (from.to_ipv6_mapped().into(), to.into()),
        (IpAddr::V6(from), IpAddr::V4(to)) => (from.into(), to.to_ipv6_mapped().into()),
        same => same,
    };
    Endpoints::Tcp {
        source: SocketAddr::new(from, source.port()),
        destination: SocketAddr::new(to, destination.port()),
    }
}

/// Appends the family, room for the length, and the addresses.
fn write_addresses(endpoints: Endpoints<'_>, out: &mut Vec<u8>) -> Result<(), ProxyProtocolError> {
    match endpoints {
        Endpoints::OfConnection => out.extend_from_slice(&[v2::UNSPEC, 0, 0]),
        Endpoints::Tcp { source, destination } => {
            let family = if source.is_ipv4() { v2::TCP_OVER_IPV4 } else { v2::TCP_OVER_IPV6 };
            out.extend_from_slice(&[family, 0, 0]);
            write_ip(source.ip(), out);
            write_ip(destination.ip(), out);
            out.extend_from_slice(&source.port().to_be_bytes());
            out.extend_from_slice(&destination.port().to_be_bytes());
        }
        Endpoints::Unix { source, destination } => {
            out.extend_from_slice(&[v2::UNIX_STREAM, 0, 0]);
            write_unix(source, out)?;
            write_unix(destination, out)?;
        }
    }
    Ok(())
}

fn write_ip(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
    }
}

fn write_unix(name: &[u8], out: &mut Vec<u8>) -> Result<(), ProxyProtocolError> {
    let padding = v2::UNIX_ADDRESS.checked_sub(name.len()).ok_or(ProxyProtocolError::TooLong)?;
    out.extend_from_slice(name);
    out.resize(out.len() + padding, 0);
    Ok(())
}

fn write_tlv(kind: u8, value: &[u8], out: &mut Vec<u8>) -> Result<(), ProxyProtocolError> {
    let len = u16::try_from(value.len()).map_err(|_| ProxyProtocolError::TooLong)?;
    out.push(kind);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

/// Fills in what was left open.
fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    let open = out.iter_mut().skip(at);
    open.zip(bytes).for_each(|(slot, byte)| *slot = *byte);
}
