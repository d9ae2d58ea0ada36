//! Proofs that a host is ours, answered by the data plane while an order needs them.

use std::sync::Arc;

use instant_acme::KeyAuthorization;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use ropeway_proxy::challenges::{ALPN, Challenges};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::error::OrderError;

/// A challenge that is answered until this is dropped.
#[derive(Debug)]
pub(super) struct Answer {
    challenges: Arc<Challenges>,
    what: Answered,
}

#[derive(Debug)]
enum Answered {
    Token(String),
    Host(String),
}

impl Answer {
    /// HTTP-01 (RFC 8555 section 8.3).
    pub(super) fn http(challenges: &Arc<Challenges>, token: &str, key: &KeyAuthorization) -> Self {
        challenges.add_http(token, key.as_str());
        Self { challenges: Arc::clone(challenges), what: Answered::Token(token.to_owned()) }
    }

    /// TLS-ALPN-01 (RFC 8737).
    pub(super) fn tls(
        challenges: &Arc<Challenges>,
        host: &str,
        key: &KeyAuthorization,
    ) -> Result<Self, OrderError> {
        let config = server_config(host, key.digest().as_ref()).map_err(OrderError::refused)?;
        challenges.add_tls(host, &config);
        Ok(Self { challenges: Arc::clone(challenges), what: Answered::Host(host.to_owned()) })
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        match &self.what {
            Answered::Token(token) => self.challenges.remove_http(token),
            Answered::Host(host) => self.challenges.remove_tls(host),
        }
    }
}

/// RFC 8737 section 3: a certificate that names the host alone, with the digest of the key authorization in a critical
/// extension.
fn server_config(host: &str, digest: &[u8]) -> Result<Arc<ServerConfig>, Box<dyn std::error::Error>> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new([host.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let secret = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let signing = provider.key_provider.load_private_key(secret)?;
    // Not `with_single_cert`: it does not know the extension, which it must not pass over because that is critical.
    let shown = SingleCertAndKey::from(CertifiedKey::new(vec![certificate.der().clone()], signing));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Nobody comes back on such a connection.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
