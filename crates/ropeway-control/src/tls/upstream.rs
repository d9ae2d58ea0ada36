//! TLS towards the servers of an upstream, from its configuration.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256, digest};
use ropeway_config::schema::{self, Protocol, SpkiPin, TlsPolicy};
use ropeway_config::{Diagnostic, Located, Place};
use ropeway_proxy::tls::UpstreamTls;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};

use super::Builder;
use super::at_once::{add, all, both};
use super::certificate::Certificate;
use super::client_auth::roots_in;
use super::file::{self, FileProblem};
use super::listener::complain;
use super::policy::Offer;
use super::watch::Signature;

/// Everything that decides how the servers of an upstream are reached by TLS.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MadeFrom {
    settings: schema::UpstreamTls,
    protocol: Protocol,
    /// A hash of the authorities, and of what the proxy shows.
    contents: [u8; 32],
}

impl Builder<'_> {
    /// TLS towards the servers of an upstream, or what is wrong with its files. If nothing about it has changed, it is the
    /// very same as before: connections and sessions that were opened with it stay in use.
    pub(super) fn upstream(&mut self, upstream: &schema::Upstream) -> Option<(MadeFrom, Arc<UpstreamTls>)> {
        let tls = upstream.tls.as_ref().filter(|tls| tls.enabled)?;
        self.files.extend(Signature::of(files(tls).map(Located::resolved)));
        let built = self.same_or_new(upstream, tls);
        built.map_err(|complaints| add(&mut self.complaints, complaints)).ok()
    }

    fn same_or_new(
        &mut self,
        upstream: &schema::Upstream,
        tls: &schema::UpstreamTls,
    ) -> Result<(MadeFrom, Arc<UpstreamTls>), Vec<Diagnostic>> {
        let made_from = self.contents(tls, &upstream.name.place).map(|contents| MadeFrom {
            settings: tls.clone(),
            protocol: upstream.protocol,
            contents,
        });
        let same = made_from.as_ref().ok().and_then(|from| self.live.upstream(&upstream.name.value, from));
        // Reads everything again: what could not be read is told by it with all else that is wrong.
        let tls = same.map_or_else(|| self.try_upstream(upstream, tls).map(Arc::new), Ok);
        both(made_from, tls)
    }

    /// Read before everything is made from it, so that no change in between is overlooked.
    fn contents(&mut self, tls: &schema::UpstreamTls, place: &Place) -> Result<[u8; 32], Vec<Diagnostic>> {
        let mut hash = Context::new(&SHA256);
        let read = |file: &Located<schema::FilePath>| {
            file::read(&file.resolved()).map_err(|problem| vec![complain(&problem, &file.place)])
        };
        for bytes in all(files(tls).map(read))? {
            hash.update(digest(&SHA256, &bytes).as_ref());
        }
        if tls.verify && tls.ca.is_none() {
            hash.update(&self.system_roots(place)?.1);
        }
        let mut contents = [0; 32];
        contents.copy_from_slice(hash.finish().as_ref());
        Ok(contents)
    }

    fn try_upstream(
        &mut self,
        upstream: &schema::Upstream,
        tls: &schema::UpstreamTls,
    ) -> Result<UpstreamTls, Vec<Diagnostic>> {
        let place = &upstream.name.place;
        let wrong = |error: Error| vec![Diagnostic::error("bad-tls", place, error.to_string())];
        let offer = Offer::new(TlsPolicy::Intermediate, None, None, None);
        let provider = offer.provider();
        let verifier = self.verifier(tls, &provider, place);
        let shown = tls.client.as_ref().map(|client| shown(client, &provider)).transpose();
        let (verifier, shown) = both(verifier, shown)?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&offer.protocol_versions())
            .map_err(wrong)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certificate.key)))
            }
        };
        config.alpn_protocols = match upstream.protocol {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 => vec![b"h2".to_vec()],
        };
        Ok(UpstreamTls {
            config: Arc::new(config),
            server_name: tls.server_name.as_ref().map(server_name).transpose()?,
            handshake_ms: u64::try_from(tls.handshake_timeout.as_millis()).unwrap_or(u64::MAX),
        })
    }

    fn verifier(
        &mut self,
        tls: &schema::UpstreamTls,
        provider: &Arc<CryptoProvider>,
        place: &Place,
    ) -> Result<ServerVerifier, Vec<Diagnostic>> {
        let chains = match (tls.verify, &tls.ca) {
            (false, _) => None,
            (true, Some(ca)) => {
                let roots =
                    roots_in(&ca.resolved()).map_err(|problem| vec![complain(&problem, &ca.place)])?;
                Some(Arc::new(roots))
            }
            (true, None) => Some(self.system_roots(place)?.0),
        };
        let chains = chains.map(|roots| {
            let builder = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
            builder.build().map_err(|error| vec![Diagnostic::error("bad-tls", place, error.to_string())])
        });
        Ok(ServerVerifier {
            chains: chains.transpose()?,
            pins: tls.pins.clone(),
            provider: Arc::clone(provider),
        })
    }

    /// With a hash. Read once, however many upstreams use them.
    fn system_roots(&mut self, place: &Place) -> Result<(Arc<RootCertStore>, [u8; 32]), Vec<Diagnostic>> {
        if let Some(known) = &self.system_roots {
            return Ok(known.clone());
        }
        let found = rustls_native_certs::load_native_certs();
        let mut hash = Context::new(&SHA256);
        found.certs.iter().for_each(|certificate| hash.update(certificate));
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let complaint =
                Diagnostic::error("no-authorities", place, "the system has no certificates of authorities");
            return Err(vec![complaint.help(
                "install the package `ca-certificates`, or name a file: `tls = { ca = \"ca.pem\" }`",
            )]);
        }
        let mut contents = [0; 32];
        contents.copy_from_slice(hash.finish().as_ref());
        let known = (Arc::new(roots), contents);
        self.system_roots = Some(known.clone());
        Ok(known)
    }
}

/// The files that are read.
fn files(tls: &schema::UpstreamTls) -> impl Iterator<Item = &Located<schema::FilePath>> {
    let client = tls.client.as_ref();
    let key = client.and_then(|client| client.key.as_ref());
    tls.ca.iter().chain(client.map(|client| &client.cert)).chain(key)
}

/// What the proxy shows to servers.
fn shown(
    client: &schema::ClientCertificate,
    provider: &CryptoProvider,
) -> Result<Certificate, Vec<Diagnostic>> {
    let key = client.key.as_ref().unwrap_or(&client.cert);
    let (cert_file, key_file) = (client.cert.resolved(), key.resolved());
    Certificate::load(&cert_file, &key_file, provider).map_err(|problems| {
        let is_of_key = |problem: &FileProblem| problem.path() == key_file && cert_file != key_file;
        let at = |problem: &FileProblem| {
            if is_of_key(problem) { &key.place } else { &client.cert.place }
        };
        problems.iter().map(|problem| complain(problem, at(problem))).collect()
    })
}

fn server_name(name: &Located<schema::TlsName>) -> Result<ServerName<'static>, Vec<Diagnostic>> {
    ServerName::try_from(name.as_str().to_owned())
        .map_err(|error| vec![Diagnostic::error("bad-value", &name.place, format!("`server_name`: {error}"))])
}

/// The server may be who it says it is, but has none of the keys that are expected.
#[derive(Debug)]
struct NotPinned;

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its key is not among the pins")
    }
}

impl std::error::Error for NotPinned {}

/// Verifies chains, keys, or both. That the server has the key is verified always.
#[derive(Debug)]
struct ServerVerifier {
    /// `None` accepts every chain.
    chains: Option<Arc<WebPkiServerVerifier>>,
    /// With any, the server's own key must be among them. Other certificates that it sends prove nothing: anybody can
    /// send them along.
    pins: Vec<SpkiPin>,
    provider: Arc<CryptoProvider>,
}

impl ServerVerifier {
    fn check_pins(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        if self.pins.is_empty() {
            return Ok(());
        }
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let hash = digest(&SHA256, &key);
        let known = self.pins.iter().any(|pin| pin.bytes() == hash.as_ref());
        if known { Ok(()) } else { Err(Error::Other(OtherError(Arc::new(NotPinned)))) }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check_pins(end_entity)?;
        match &self.chains {
            Some(chains) => {
                chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
