//! Whether clients show certificates, and whose.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use ropeway_config::Located;
use ropeway_config::schema::{ClientAuth, ClientAuthMode, FilePath};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::at_once::{all, both};
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

fn verifier(
    config: &ClientAuth,
    mode: ClientAuthMode,
    provider: &Arc<CryptoProvider>,
    hash: &mut Context,
) -> Result<(Arc<dyn ClientCertVerifier>, Vec<RevocationList>), Vec<FileProblem>> {
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
    let mut known = Vec::new();
    for (lists, facts) in lists {
        lists.iter().for_each(|list| hash.update(list.as_ref()));
        known.extend(facts);
        builder = builder.with_crls(lists);
    }
    if mode == ClientAuthMode::Optional {
        builder = builder.allow_unauthenticated();
    }
    // All files have been looked at one by one; what is left to be wrong is what a list has in it.
    let culprit = config.crl.first().map_or(ca, Located::resolved);
    let verifier = builder.build().map_err(|error| vec![FileProblem::new(&culprit, error)])?;
    Ok((verifier, known))
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
