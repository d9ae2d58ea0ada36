//! Looking whether a host belongs to who says so.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, Stream};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{ProofState, Shared};

/// The challenges that are offered.
pub(super) const KINDS: [&str; 2] = ["http-01", "tls-alpn-01"];

const ALPN: &[u8] = b"acme-tls/1";

/// id-pe-acmeIdentifier (RFC 8737 section 6.1).
const ACME_IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";

const TIMEOUT: Duration = Duration::from_secs(10);

/// Looks, and writes down what it saw.
pub(super) fn run(shared: &Shared, number: usize, kind: &'static str, name: &str, token: &str, key: &str) {
    let hold = shared.books().hold.clone();
    if let Some(gate) = hold {
        gate.wait();
    }
    let (http_at, tls_at) = {
        let books = shared.books();
        (books.http_at, books.tls_at)
    };
    let nowhere = || io::Error::other("the host has no address");
    let seen = match kind {
        "http-01" => http_at.ok_or_else(nowhere).and_then(|at| http_01(at, name, token, key)),
        _ => tls_at.ok_or_else(nowhere).and_then(|at| tls_alpn_01(at, name, key)),
    };
    shared.books().proofs[number].state = match seen {
        Ok(()) => ProofState::Valid(kind),
        Err(why) => ProofState::Invalid(kind, why.to_string()),
    };
}

/// RFC 8555 section 8.3.
fn http_01(at: SocketAddr, name: &str, token: &str, key: &str) -> io::Result<()> {
    let mut stream = connect(at)?;
    let path = format!("/.well-known/acme-challenge/{token}");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
    if !head.starts_with("HTTP/1.1 200 ") || body.trim_end() != key {
        return Err(io::Error::other(format!("the answer to {path} is {response:?}")));
    }
    Ok(())
}

/// RFC 8737 section 3.
fn tls_alpn_01(at: SocketAddr, name: &str, key: &str) -> io::Result<()> {
    let mut stream = connect(at)?;
    let shown = Arc::new(Shown::default());
    let server = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let mut tls = ClientConnection::new(config(&shown), server).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    if tls.alpn_protocol() != Some(ALPN) {
        return Err(io::Error::other("the protocol is not acme-tls/1"));
    }
    let certificate = shown.0.lock().unwrap().take().unwrap_or_default();
    check_certificate(&certificate, name, digest(&SHA256, key.as_bytes()).as_ref())?;
    // Nothing else happens on such a connection, and its end is announced.
    let mut rest = Vec::new();
    Stream::new(&mut tls, &mut stream).read_to_end(&mut rest)?;
    if rest.is_empty() { Ok(()) } else { Err(io::Error::other("the server sent something")) }
}

fn check_certificate(der: &[u8], name: &str, digest: &[u8]) -> io::Result<()> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(io::Error::other)?;
    let names = certificate.subject_alternative_name().map_err(io::Error::other)?;
    let names = names.map(|names| names.value.general_names.clone()).unwrap_or_default();
    if names != [GeneralName::DNSName(name)] {
        return Err(io::Error::other(format!("the certificate is for {names:?}")));
    }
    let proof = certificate.extensions().iter().find(|one| one.oid.to_id_string() == ACME_IDENTIFIER);
    // An OCTET STRING of 32 bytes.
    let wanted = [&[4, 32], digest].concat();
    match proof {
        Some(proof) if proof.critical && proof.value == wanted => Ok(()),
        other => Err(io::Error::other(format!("the proof in the certificate is {other:?}"))),
    }
}

fn connect(at: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&at, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn config(shown: &Arc<Shown>) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()));
    let mut config = builder
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("versions of the provider")
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(shown) as _)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Arc::new(config)
}

/// Takes note of the certificate, which nobody vouches for; it is judged afterwards.
#[derive(Debug, Default)]
struct Shown(Mutex<Option<Vec<u8>>>);

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.0.lock().unwrap() = Some(certificate.to_vec());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let _ = (message, certificate, signed);
        Err(Error::General("TLS 1.2 was not offered".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // By the key alone: a library for ordinary certificates refuses one with an extension that it does not know.
        let malformed = |_| Error::General("the certificate is malformed".into());
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(malformed)?;
        let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
        verify_tls13_signature_with_raw_key(message, &key, signed, &algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

fn algorithms() -> rustls::crypto::WebPkiSupportedAlgorithms {
    let CryptoProvider { signature_verification_algorithms, .. } = provider::default_provider();
    signature_verification_algorithms
}
