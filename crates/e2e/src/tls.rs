//! TLS as tests need it: an authority with certificates of every kind, and both sides of a connection.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertificateSigningRequestParams,
    CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RevokedCertParams,
    RsaKeySize, SanType, SerialNumber, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::client::Client;
use crate::lab::{Lab, Running};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Certificates are good for this long, beginning a day ago. Browsers and scanners dislike longer ones.
const LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// An authority that signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate (PEM).
    pub cert: String,
    /// The private key (PEM).
    pub key: String,
    serial: SerialNumber,
}

impl Authority {
    /// A new authority, believed by nobody yet.
    ///
    /// # Panics
    /// When no key can be made; so do all functions here.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::self_signed(of_authority(name), key).unwrap() }
    }

    /// An authority that this one has certified.
    #[must_use]
    pub fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::signed_by(of_authority(name), key, &self.issuer).unwrap() }
    }

    /// Its own certificate (PEM).
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The hash of its public key, as a pin.
    #[must_use]
    pub fn pin(&self) -> String {
        pin(self.issuer.der())
    }

    /// A certificate for hosts, with a key on P-256.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.sign(&parameters(names, names[0], now() - DAY, LIFE), &KeyPair::generate().unwrap())
    }

    /// A certificate for hosts, with an RSA key of 2048 bits.
    #[must_use]
    pub fn issue_rsa(&self, names: &[&str]) -> Identity {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        self.sign(&parameters(names, names[0], now() - DAY, LIFE), &key)
    }

    /// A certificate for hosts that was good until yesterday.
    #[must_use]
    pub fn issue_expired(&self, names: &[&str]) -> Identity {
        let params = parameters(names, names[0], now() - 10 * DAY, 9 * DAY);
        self.sign(&params, &KeyPair::generate().unwrap())
    }

    /// A certificate for hosts that is good for `left`, at the end of its whole `life`.
    #[must_use]
    pub fn issue_ending(&self, names: &[&str], life: Duration, left: Duration) -> Identity {
        let params = parameters(names, names[0], now() + left - life, life);
        self.sign(&params, &KeyPair::generate().unwrap())
    }

    /// A certificate for a client.
    #[must_use]
    pub fn issue_client(&self, name: &str) -> Identity {
        let params = parameters(&[&format!("{name}.clients.example")], name, now() - DAY, LIFE);
        self.sign(&params, &KeyPair::generate().unwrap())
    }

    /// The list of certificates that this authority takes back (PEM).
    #[must_use]
    pub fn revoke(&self, identities: &[&Identity]) -> String {
        let yesterday = date_time_ymd(1970, 1, 1) + (now() - DAY);
        let revoked = identities.iter().map(|identity| RevokedCertParams {
            serial_number: identity.serial.clone(),
            revocation_time: yesterday,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: yesterday,
            next_update: yesterday + LIFE,
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// A certificate for who has made this request (PKCS #10), with the names that it asks for.
    #[must_use]
    pub fn issue_requested(&self, request: &[u8]) -> (Vec<String>, String) {
        let request = CertificateSigningRequestDer::from(request);
        let mut request = CertificateSigningRequestParams::from_der(&request).unwrap();
        let names = request.params.subject_alt_names.iter().map(|name| match name {
            SanType::DnsName(name) => name.to_string(),
            other => format!("{other:?}"),
        });
        let names: Vec<String> = names.collect();
        let own: Vec<&str> = names.iter().map(String::as_str).collect();
        request.params = parameters(&own, &names[0], now() - DAY, LIFE);
        (names, request.signed_by(&self.issuer).unwrap().pem())
    }

    fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Identity {
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        let serial = params.serial_number.clone().unwrap();
        Identity { cert: certificate.pem(), key: key.serialize_pem(), serial }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }
}

impl Identity {
    /// The hash of its public key, as a pin.
    #[must_use]
    pub fn pin(&self) -> String {
        pin(&self.der())
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.cert.as_bytes()).map(Result::unwrap).collect()
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }

    /// With the certificate of its authority behind its own.
    #[must_use]
    pub fn with_chain(mut self, authority: &Authority) -> Self {
        self.cert += &authority.pem();
        self
    }

    /// The certificate itself, as it goes over the wire.
    #[must_use]
    pub fn der(&self) -> CertificateDer<'static> {
        self.chain().remove(0)
    }
}

impl Lab {
    /// Puts a certificate and its key beside the configuration, as `NAME.pem` and `NAME.key`.
    #[must_use]
    pub fn identity(self, name: &str, identity: &Identity) -> Self {
        self.file(&format!("{name}.pem"), &identity.cert).file(&format!("{name}.key"), &identity.key)
    }
}

impl Running {
    /// Puts another certificate with its key into the place of one, key first, each file in one step.
    pub fn replace_identity(&self, name: &str, identity: &Identity) {
        self.replace_file(&format!("{name}.key"), &identity.key);
        self.replace_file(&format!("{name}.pem"), &identity.cert);
    }
}

/// The certificate that a client is shown that asks for `name`.
///
/// # Panics
/// When it is not content with it.
#[must_use]
pub fn certificate_shown(client: &Client, config: &Arc<ClientConfig>, name: &str) -> CertificateDer<'static> {
    let connection = client.clone().tls(config, name).connect();
    connection.wire.session().peer_certificates().unwrap()[0].clone()
}

/// The side that connects.
#[derive(Clone, Debug)]
pub struct ClientSide {
    roots: Arc<RootCertStore>,
    versions: Vec<&'static SupportedProtocolVersion>,
    alpn: Vec<Vec<u8>>,
    identity: Option<Identity>,
    max_fragment: Option<usize>,
}

impl ClientSide {
    /// A client that believes one authority, and speaks HTTP/1.1 over every version of TLS there is.
    #[must_use]
    pub fn trusting(authority: &Authority) -> Self {
        Self {
            roots: authority.roots(),
            versions: rustls::ALL_VERSIONS.to_vec(),
            alpn: vec![b"http/1.1".to_vec()],
            identity: None,
            max_fragment: None,
        }
    }

    /// Speaks one version of TLS.
    #[must_use]
    pub fn version(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    /// Offers other protocols above TLS.
    #[must_use]
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Shows a certificate when it is asked for one.
    #[must_use]
    pub fn identity(mut self, identity: &Identity) -> Self {
        self.identity = Some(identity.clone());
        self
    }

    /// Sends records of at most this many bytes, at least 32.
    #[must_use]
    pub fn max_fragment(mut self, bytes: usize) -> Self {
        self.max_fragment = Some(bytes);
        self
    }

    /// The configuration. Connections of one configuration resume each other's sessions.
    ///
    /// # Panics
    /// When the parts do not fit together.
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(self.roots.clone());
        let mut config = match &self.identity {
            Some(identity) => {
                builder.with_client_auth_cert(identity.chain(), identity.private_key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config.max_fragment_size = self.max_fragment;
        Arc::new(config)
    }
}

/// The side that listens.
#[derive(Clone, Debug)]
pub struct ServerSide {
    identity: Identity,
    versions: Vec<&'static SupportedProtocolVersion>,
    alpn: Vec<Vec<u8>>,
    clients: Option<Arc<RootCertStore>>,
}

impl ServerSide {
    /// A server with a certificate, that speaks HTTP/1.1.
    #[must_use]
    pub fn new(identity: &Identity) -> Self {
        Self {
            identity: identity.clone(),
            versions: rustls::ALL_VERSIONS.to_vec(),
            alpn: vec![b"http/1.1".to_vec()],
            clients: None,
        }
    }

    /// Speaks one version of TLS.
    #[must_use]
    pub fn version(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    /// Agrees on other protocols above TLS.
    #[must_use]
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Requires certificates of an authority from clients.
    #[must_use]
    pub fn clients_of(mut self, authority: &Authority) -> Self {
        self.clients = Some(authority.roots());
        self
    }

    /// The configuration; tickets are given out by `rustls`' own ticketer.
    ///
    /// # Panics
    /// When the parts do not fit together.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        let builder =
            ServerConfig::builder_with_provider(provider()).with_protocol_versions(&self.versions).unwrap();
        let builder = match &self.clients {
            Some(roots) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(roots.clone(), provider()).build().unwrap(),
            ),
            None => builder.with_no_client_auth(),
        };
        let mut config =
            builder.with_single_cert(self.identity.chain(), self.identity.private_key()).unwrap();
        config.alpn_protocols.clone_from(&self.alpn);
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
        Arc::new(config)
    }
}

/// RFC 7469 section 2.4.
fn pin(certificate: &CertificateDer<'_>) -> String {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).unwrap();
    format!("sha256/{}", BASE64.encode(digest(&SHA256, certificate.public_key().raw)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn parameters(names: &[&str], common_name: &str, from: Duration, life: Duration) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(1970, 1, 1) + from;
    params.not_after = date_time_ymd(1970, 1, 1) + from + life;
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(serial());
    params
}

fn of_authority(name: &str) -> CertificateParams {
    let mut params = parameters(&[], name, now() - DAY, LIFE);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Unlike every other one, also of other processes: programs remember certificates by issuer and serial number.
fn serial() -> SerialNumber {
    let key = KeyPair::generate().unwrap();
    let mut bytes = key.public_key_raw()[1..17].to_vec();
    bytes[0] = bytes[0] & 0x7f | 1;
    SerialNumber::from_slice(&bytes)
}

/// Since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}
