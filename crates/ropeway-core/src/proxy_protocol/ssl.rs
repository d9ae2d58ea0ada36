//! What a sender says of the encryption between the client and itself (section 2.2.6).

use super::error::ProxyProtocolError;
use super::text;
use super::tlv::{Tlv, Tlvs, kind};
use crate::wire::WireReader;

pub(super) const CLIENT_SSL: u8 = 0x01;
pub(super) const CLIENT_CERT_CONN: u8 = 0x02;
pub(super) const CLIENT_CERT_SESS: u8 = 0x04;

/// The encryption between the client and the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ssl<'a> {
    client: u8,
    verify: u32,
    tlvs: Tlvs<'a>,
}

impl<'a> Ssl<'a> {
    pub(super) fn read(value: &'a [u8]) -> Result<Self, ProxyProtocolError> {
        let mut reader = WireReader::new(value);
        let fixed = reader.u8().zip(reader.array());
        let (client, verify) =
            fixed.ok_or(ProxyProtocolError::Malformed("an SSL part of a PROXY header that is too short"))?;
        let tlvs = Tlvs::read_with(reader.rest(), check)?;
        Ok(Self { client, verify: u32::from_be_bytes(verify), tlvs })
    }

    /// Whether the client's connection is encrypted.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.client & CLIENT_SSL != 0
    }

    /// Whether the client presented a certificate on this connection.
    #[must_use]
    pub const fn certificate_on_connection(&self) -> bool {
        self.client & CLIENT_CERT_CONN != 0
    }

    /// Whether the client presented a certificate in the session that this connection resumed.
    #[must_use]
    pub const fn certificate_in_session(&self) -> bool {
        self.client & CLIENT_CERT_SESS != 0
    }

    /// Whether the client presented a certificate, then or now, and it was verified. The field of the format alone
    /// does not tell: senders leave it 0 when there is no certificate at all.
    #[must_use]
    pub const fn certificate_is_verified(&self) -> bool {
        self.verify == 0 && self.client & (CLIENT_CERT_CONN | CLIENT_CERT_SESS) != 0
    }

    /// The version of TLS, such as `TLSv1.3`.
    #[must_use]
    pub fn version(&self) -> Option<&'a str> {
        self.tlvs.text_of(kind::SSL_VERSION)
    }

    /// The common name of the client's certificate.
    #[must_use]
    pub fn common_name(&self) -> Option<&'a str> {
        self.tlvs.text_of(kind::SSL_CN)
    }

    /// The cipher, such as `TLS_AES_128_GCM_SHA256`.
    #[must_use]
    pub fn cipher(&self) -> Option<&'a str> {
        self.tlvs.text_of(kind::SSL_CIPHER)
    }

    /// The signature algorithm of the sender's certificate, such as `SHA256`.
    #[must_use]
    pub fn signature_algorithm(&self) -> Option<&'a str> {
        self.tlvs.text_of(kind::SSL_SIG_ALG)
    }

    /// The key algorithm of the sender's certificate, such as `RSA2048`.
    #[must_use]
    pub fn key_algorithm(&self) -> Option<&'a str> {
        self.tlvs.text_of(kind::SSL_KEY_ALG)
    }

    /// Every vector of this part, known or not.
    #[must_use]
    pub const fn tlvs(&self) -> Tlvs<'a> {
        self.tlvs
    }
}

fn check(tlv: Tlv<'_>) -> Result<(), ProxyProtocolError> {
    let sound = match tlv.kind {
        kind::SSL_VERSION | kind::SSL_CIPHER | kind::SSL_SIG_ALG | kind::SSL_KEY_ALG => {
            text::is_ascii(tlv.value)
        }
        kind::SSL_CN => text::read(tlv.value).is_some(),
        _ => true,
    };
    if sound {
        Ok(())
    } else {
        Err(ProxyProtocolError::Malformed("an SSL part of a PROXY header that is no text"))
    }
}
