//! What clients are shown for a host whose certificate has been ordered and is not there yet.

use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::certificate::{Certificate, Origin};
use super::file::FileProblem;

/// The subject, for whoever looks at it and wonders.
const SUBJECT: &str = "Ropeway placeholder: a certificate has been ordered";

/// A certificate of our own for `hosts` that no client accepts, in place of what will be in `file`. A connection is
/// refused by the client then, which is better than a process that does not start.
pub(super) fn make(
    file: &Path,
    hosts: &[String],
    provider: &CryptoProvider,
) -> Result<Certificate, FileProblem> {
    tracing::warn!(
        hosts = hosts.join(", "),
        "no certificate yet: clients are shown a placeholder that none of them accepts"
    );
    let problem = |error: rcgen::Error| FileProblem::new(file, error);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(problem)?;
    let mut params = CertificateParams::new(hosts).map_err(problem)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, SUBJECT);
    let certificate = params.self_signed(&key).map_err(problem)?;
    let secret = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let made = Certificate::of(vec![certificate.der().clone()], secret, (file, file), provider)?;
    Ok(Certificate { origin: Origin::Placeholder, ..made })
}
