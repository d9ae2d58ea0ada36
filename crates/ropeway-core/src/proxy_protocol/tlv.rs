//! Type-length-value vectors (section 2.2).

use super::error::ProxyProtocolError;
use super::ssl::Ssl;
use super::text;
use crate::wire::WireReader;

/// The registered types of vectors.
pub mod kind {
    /// The application protocol (section 2.2.1).
    pub const ALPN: u8 = 0x01;
    /// The name that the client asked for (section 2.2.2).
    pub const AUTHORITY: u8 = 0x02;
    /// The checksum (section 2.2.3).
    pub const CRC32C: u8 = 0x03;
    /// Padding (section 2.2.4).
    pub const NOOP: u8 = 0x04;
    /// What identifies the connection (section 2.2.5).
    pub const UNIQUE_ID: u8 = 0x05;
    /// The encryption (section 2.2.6), with vectors of its own: those below.
    pub const SSL: u8 = 0x20;
    /// In [`SSL`]: the version, such as `TLSv1.3`.
    pub const SSL_VERSION: u8 = 0x21;
    /// In [`SSL`]: the common name of the client's certificate.
    pub const SSL_CN: u8 = 0x22;
    /// In [`SSL`]: the cipher, such as `TLS_AES_128_GCM_SHA256`.
    pub const SSL_CIPHER: u8 = 0x23;
    /// In [`SSL`]: the signature algorithm of the sender's certificate, such as `SHA256`.
    pub const SSL_SIG_ALG: u8 = 0x24;
    /// In [`SSL`]: the key algorithm of the sender's certificate, such as `RSA2048`.
    pub const SSL_KEY_ALG: u8 = 0x25;
    /// The network namespace (section 2.2.7).
    pub const NETNS: u8 = 0x30;
}

/// The longest unique id, in bytes (section 2.2.5).
pub(super) const MAX_UNIQUE_ID: usize = 128;

/// One vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The type; see [`kind`].
    pub kind: u8,
    /// The value.
    pub value: &'a [u8],
}

/// Some vectors, in the order in which they were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tlvs<'a> {
    bytes: &'a [u8],
}

impl<'a> Tlvs<'a> {
    /// Takes the vectors of a header, if all of them are whole and those that we know are right.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ProxyProtocolError> {
        Self::read_with(bytes, check)
    }

    /// Takes vectors, if all of them are whole, `check` has nothing against any, and none that is registered is there
    /// twice: two readers could heed different ones.
    pub(super) fn read_with(
        bytes: &'a [u8],
        check: fn(Tlv<'_>) -> Result<(), ProxyProtocolError>,
    ) -> Result<Self, ProxyProtocolError> {
        let all = Self { bytes };
        let (mut rest, mut seen) = (all, 0_u64);
        for tlv in rest.by_ref() {
            let bit = 1_u64.checked_shl(u32::from(tlv.kind)).filter(|_| is_single(tlv.kind)).unwrap_or(0);
            if seen & bit != 0 {
                return Err(malformed("a TLV of a PROXY header that is there twice"));
            }
            seen |= bit;
            check(tlv)?;
        }
        if rest.bytes.is_empty() {
            Ok(all)
        } else {
            Err(malformed("a TLV that ends beyond its PROXY header"))
        }
    }

    /// The value of the vector of this type.
    pub(super) fn value_of(mut self, kind: u8) -> Option<&'a [u8]> {
        self.find(|tlv| tlv.kind == kind).map(|tlv| tlv.value)
    }

    pub(super) fn text_of(self, kind: u8) -> Option<&'a str> {
        self.value_of(kind).and_then(text::read)
    }

    pub(super) const fn len_in_bytes(self) -> usize {
        self.bytes.len()
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let mut reader = WireReader::new(self.bytes);
        let (kind, value) = (reader.u8()?, reader.vector16()?);
        self.bytes = reader.rest();
        Some(Tlv { kind, value })
    }
}

/// Whether vectors of this type may be there only once: those that mean one thing.
const fn is_single(kind: u8) -> bool {
    matches!(
        kind,
        kind::ALPN | kind::AUTHORITY | kind::CRC32C | kind::UNIQUE_ID | kind::SSL
            ..=kind::SSL_KEY_ALG | kind::NETNS
    )
}

fn check(tlv: Tlv<'_>) -> Result<(), ProxyProtocolError> {
    let fault = match tlv.kind {
        kind::ALPN if tlv.value.is_empty() => "an empty ALPN in a PROXY header",
        kind::AUTHORITY if text::read(tlv.value).is_none() => {
            "an authority in a PROXY header that is no text"
        }
        kind::CRC32C if tlv.value.len() != 4 => "a checksum in a PROXY header that has not 4 bytes",
        kind::UNIQUE_ID if tlv.value.len() > MAX_UNIQUE_ID => {
            "a unique id in a PROXY header of more than 128 bytes"
        }
        kind::SSL => return Ssl::read(tlv.value).map(|_| ()),
        kind::NETNS if !text::is_ascii(tlv.value) => "a namespace in a PROXY header that is not ASCII",
        _ => return Ok(()),
    };
    Err(malformed(fault))
}

const fn malformed(detail: &'static str) -> ProxyProtocolError {
    ProxyProtocolError::Malformed(detail)
}
