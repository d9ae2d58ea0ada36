//! Whether clients show certificates, and whose.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use ropeway_config::Located;
use ropeway_config::schema::{ClientAuth, ClientAuthMode, FilePath};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::at_once::{all, both};
use super::distinguished_name;
use super::file::{self, FileProblem};
use super::revocation_list::{self, RevocationList};

/// How the clients of one profile are verified.
#[derive(Debug)]
pub(super) struct ClientVerification {
    /// `None` asks nobody.
    pub verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Hash of everything that decides it: a ticket of a client that was verified differently is worth nothing.
    pub identity: [u8; 32],
    /// The lists that it depends on.
    pub lists: Vec<RevocationList>,
}

/// Reads authorities and lists of revoked certificates. Whatever is missing, empty or malformed is an error: clients
/// are never accepted because nobody could say who they should be.
pub(super) fn load(
    config: &ClientAuth,
    provider: &Arc<CryptoProvider>,
) -> Result<ClientVerification, Vec<FileProblem>> {
    let mut hash = Context::new(&SHA256);
    hash.update(config.mode.as_str().as_bytes());
    let (verifier, lists) = match config.mode {
        ClientAuthMode::Off => (None, Vec::new()),
        mode => {
            let (verifier, lists) = verifier(config, mode, provider, &mut hash)?;
            (Some(verifier), lists)
        }
    };
    let mut identity = [0; 32];
    identity.copy_from_slice(hash.finish().as_ref());
    Ok(ClientVerification { verifier, identity, lists })
}

/// Who verifies clients, and the lists that it depends on.
type Verifier = (Arc<dyn ClientCertVerifier>, Vec<RevocationList>);

fn verifier(
    config: &ClientAuth,
    mode: ClientAuthMode,
    provider: &Arc<CryptoProvider>,
    hash: &mut Context,
) -> Result<Verifier, Vec<FileProblem>> {
    let Some(ca) = config.ca.as_ref().map(Located::resolved) else {
        let why = "clients are asked for certificates of no authority";
        return Err(vec![FileProblem::new(Path::new("ca"), why)]);
    };
    let roots = authorities(&ca, hash).map_err(|problem| vec![problem]);
    let read = |file: &Located<FilePath>| revocation_list::read(&file.resolved());
    let lists = all(config.crl.iter().map(|file| read(file).map_err(|problem| vec![problem])));
    let (roots, lists) = both(roots, lists)?;
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .enforce_revocation_expiration();
    let (lists, known): (Vec<_>, Vec<_>) = lists.into_iter().flatten().unzip();
    every_authority_has_a_list(&ca, &known)?;
    lists.iter().for_each(|list| hash.update(list.as_ref()));
    builder = builder.with_crls(lists);
    if mode == ClientAuthMode::Optional {
        builder = builder.allow_unauthenticated();
    }
    // All files have been looked at one by one; what is left to be wrong is what a list has in it.
    let culprit = config.crl.first().map_or(ca, Located::resolved);
    let verifier = builder.build().map_err(|error| vec![FileProblem::new(&culprit, error)])?;
    Ok((verifier, known))
}

/// Where there are lists at all, clients of an authority without one would all be refused.
fn every_authority_has_a_list(ca: &Path, lists: &[RevocationList]) -> Result<(), Vec<FileProblem>> {
    if lists.is_empty() {
        return Ok(());
    }
    let authorities = file::certificates(ca).map_err(|problem| vec![problem])?;
    let has_list = |certificate: &CertificateDer<'_>| {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Ok(()) };
        let subject = parsed.subject();
        if lists.iter().any(|list| *list.issuer == *subject.as_raw()) {
            return Ok(());
        }
        let name = distinguished_name::text(subject);
        let why = format!("no list of `crl` is from the authority {name}: all its clients would be refused");
        Err(vec![FileProblem::new(ca, why)])
    };
    all(authorities.iter().map(has_list)).map(|_| ())
}

/// The files that are read.
pub(super) fn files(config: &ClientAuth) -> Vec<PathBuf> {
    config.ca.iter().chain(&config.crl).map(Located::resolved).collect()
}

/// The authorities in a file, at least one.
pub(crate) fn roots_in(path: &Path) -> Result<RootCertStore, FileProblem> {
    authorities(path, &mut Context::new(&SHA256))
}

/// The same, which take part in a hash.
fn authorities(path: &Path, hash: &mut Context) -> Result<RootCertStore, FileProblem> {
    let mut roots = RootCertStore::empty();
    for certificate in file::certificates(path)? {
        hash.update(&certificate);
        roots.add(certificate).map_err(|error| FileProblem::new(path, error))?;
    }
    Ok(roots)
}
