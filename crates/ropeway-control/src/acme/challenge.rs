//! Proofs that a host is ours, answered by the data plane while an order needs them.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use ropeway_proxy::challenges::{ALPN, Challenges};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs as provider;
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
    Host(String, Arc<ServerConfig>),
}

/// The word for each kind of challenge in a file.
const HTTP: &str = "http-01";
const TLS: &str = "tls-alpn-01";

impl Answer {
    /// HTTP-01 (RFC 8555 section 8.3).
    pub(super) fn http(challenges: &Arc<Challenges>, token: &str, key_authorization: &str) -> Self {
        challenges.add_http(token, key_authorization);
        Self { challenges: Arc::clone(challenges), what: Answered::Token(token.to_owned()) }
    }

    /// TLS-ALPN-01 (RFC 8737).
    pub(super) fn tls(
        challenges: &Arc<Challenges>,
        host: &str,
        key_authorization: &str,
    ) -> Result<Self, OrderError> {
        let digest = digest(&SHA256, key_authorization.as_bytes());
        let config = server_config(host, digest.as_ref()).map_err(OrderError::refused)?;
        challenges.add_tls(host, &config);
        Ok(Self { challenges: Arc::clone(challenges), what: Answered::Host(host.to_owned(), config) })
    }

    /// What another process needs to know to give the same answer.
    pub(super) fn describe(&self, key_authorization: &str) -> String {
        match &self.what {
            Answered::Token(token) => format!("{HTTP} {token} {key_authorization}\n"),
            Answered::Host(host, _) => format!("{TLS} {host} {key_authorization}\n"),
        }
    }

    /// The answer that another process has described.
    pub(super) fn parse(challenges: &Arc<Challenges>, text: &str) -> Result<Self, OrderError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            [HTTP, token, key] => Ok(Self::http(challenges, token, key)),
            [TLS, host, key] => Self::tls(challenges, host, key),
            _ => Err(OrderError::Storage("it is malformed".to_owned())),
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        match &self.what {
            Answered::Token(token) => self.challenges.remove_http(token),
            Answered::Host(host, config) => self.challenges.remove_tls(host, config),
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
    let own = Arc::new(provider::default_provider());
    let secret = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let signing = own.key_provider.load_private_key(secret)?;
    // Not `with_single_cert`: it does not know the extension, which it must not pass over because that is critical.
    let shown = SingleCertAndKey::from(CertifiedKey::new(vec![certificate.der().clone()], signing));
    let mut config = ServerConfig::builder_with_provider(own)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Nobody comes back on such a connection.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_one_order_leaves_the_answers_of_the_next_alone() {
        let challenges = Arc::default();
        let old = Answer::tls(&challenges, "a.example", "old.thumbprint").unwrap();
        let _new = Answer::tls(&challenges, "a.example", "new.thumbprint").unwrap();
        drop(old);
        assert_eq!(format!("{challenges:?}"), "Challenges { http: 0, tls: 1 }");
    }

    #[test]
    fn another_process_gives_the_same_answer() {
        let (one, other) = (Arc::new(Challenges::default()), Arc::new(Challenges::default()));
        let http = Answer::http(&one, "token", "token.thumbprint").describe("token.thumbprint");
        let tls = Answer::tls(&one, "a.example", "token.thumbprint").unwrap().describe("token.thumbprint");
        let answers = [http, tls].map(|text| Answer::parse(&other, &text).unwrap());
        assert_eq!(format!("{other:?}"), "Challenges { http: 1, tls: 1 }");
        drop(answers);
        assert_eq!(
            format!("{one:?} {other:?}"),
            "Challenges { http: 0, tls: 0 } Challenges { http: 0, tls: 0 }"
        );
        for bad in ["", "http-01 token", "dns-01 token key", "http-01 a b c"] {
            assert!(Answer::parse(&other, bad).is_err(), "{bad}");
        }
    }
}
