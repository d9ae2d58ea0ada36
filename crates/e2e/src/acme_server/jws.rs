//! Signed requests (RFC 8555 section 6, RFC 7515).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

/// A key on P-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    x: String,
    y: String,
}

/// A request, before its signature was checked.
#[derive(Debug)]
pub(super) struct Signed {
    pub header: Value,
    pub payload: Vec<u8>,
    signed: String,
    signature: Vec<u8>,
}

impl PublicKey {
    /// RFC 7517, for keys of ES256.
    pub(super) fn from_jwk(jwk: &Value) -> Option<Self> {
        let part = |name: &str| jwk[name].as_str().map(str::to_owned);
        let fits = jwk["kty"] == "EC" && jwk["crv"] == "P-256";
        fits.then_some(Self { x: part("x")?, y: part("y")? })
    }

    /// RFC 7638: what key authorizations end with.
    pub(super) fn thumbprint(&self) -> String {
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, self.x, self.y);
        encode(digest(&SHA256, canonical.as_bytes()).as_ref())
    }

    fn point(&self) -> Option<Vec<u8>> {
        let (x, y) = (decode(&self.x)?, decode(&self.y)?);
        Some([&[4][..], &x, &y].concat())
    }
}

impl Signed {
    /// The flattened JSON form, which is the only one that is allowed.
    pub(super) fn parse(body: &Value) -> Option<Self> {
        let part = |name: &str| body[name].as_str();
        let (protected, payload) = (part("protected")?, part("payload")?);
        Some(Self {
            header: serde_json::from_slice(&decode(protected)?).ok()?,
            payload: decode(payload)?,
            signed: format!("{protected}.{payload}"),
            signature: decode(part("signature")?)?,
        })
    }

    /// Whether `key` has signed it (RFC 7518 section 3.4).
    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        let Some(point) = key.point() else { return false };
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        self.header["alg"] == "ES256" && key.verify(self.signed.as_bytes(), &self.signature).is_ok()
    }

    /// Whether who has the secret of an external account has made it (RFC 7518 section 3.2).
    pub(super) fn is_made_with(&self, secret: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        self.header["alg"] == "HS256" && hmac::verify(&key, self.signed.as_bytes(), &self.signature).is_ok()
    }
}

pub(super) fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}
