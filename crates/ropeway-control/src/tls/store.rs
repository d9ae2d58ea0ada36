//! The certificates of one profile: found by name, exchanged when their files change.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::at_once::all;
use super::certificate::{self, Certificate, Origin};
use super::file::{self, FileProblem};
use super::placeholder;

/// Where certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CertificateSource {
    /// A chain and its key, which may be in the same file.
    Pair { cert: PathBuf, key: PathBuf },
    /// A directory of such pairs.
    Directory(PathBuf),
    /// A certificate with its key that is ordered for these hosts, and may not be there yet.
    Ordered { file: PathBuf, hosts: Vec<String> },
}

/// Certificates by name. Connections that are being opened take them from here; those that are open have theirs.
#[derive(Debug)]
pub(super) struct CertificateStore {
    sources: Vec<CertificateSource>,
    provider: Arc<CryptoProvider>,
    table: ArcSwap<CertificateTable>,
}

/// Certificates as they were at one moment.
#[derive(Debug, Default)]
pub(super) struct CertificateTable {
    all: Vec<Arc<Certificate>>,
    exact: HashMap<Box<str>, Vec<Arc<Certificate>>>,
    /// By the name below which the wildcard stands.
    wildcard: HashMap<Box<str>, Vec<Arc<Certificate>>>,
    default: Vec<Arc<Certificate>>,
    /// What is wrong with the file of a certificate that was ordered, and stayed in service for it.
    stale: Vec<FileProblem>,
}

impl CertificateStore {
    /// Reads everything. `provider` has the suites that are offered. A certificate that was ordered is taken from those
    /// `in_service` if its file is gone or broken: nobody but the proxy itself could mend it.
    pub(super) fn load(
        sources: Vec<CertificateSource>,
        provider: Arc<CryptoProvider>,
        in_service: &[Arc<Certificate>],
    ) -> Result<Self, Vec<FileProblem>> {
        let table = CertificateTable::load(&sources, &provider, in_service)?;
        for problem in &table.stale {
            tracing::error!("a certificate that was ordered cannot be read, the one before stays: {problem}");
        }
        Ok(Self { sources, provider, table: ArcSwap::from_pointee(table) })
    }

    /// Reads everything again. If any of it is bad, nothing changes.
    pub(super) fn reload(&self) -> Result<(), Vec<FileProblem>> {
        let table = CertificateTable::load(&self.sources, &self.provider, &self.certificates())?;
        if !table.stale.is_empty() {
            return Err(table.stale);
        }
        self.table.store(Arc::new(table));
        Ok(())
    }

    /// The certificates in use.
    pub(super) fn certificates(&self) -> Vec<Arc<Certificate>> {
        self.table.load().all.clone()
    }

    /// The files and directories that would be read now.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        files(&self.sources)
    }
}

/// The files and directories that these sources are.
pub(super) fn files(sources: &[CertificateSource]) -> Vec<PathBuf> {
    let of_source = |source: &CertificateSource| match source {
        CertificateSource::Pair { cert, key } => vec![cert.clone(), key.clone()],
        CertificateSource::Directory(directory) => {
            let pairs = pairs_in(directory).unwrap_or_default();
            let files = pairs.into_iter().flat_map(|(cert, key)| [cert, key]);
            std::iter::once(directory.clone()).chain(files).collect()
        }
        CertificateSource::Ordered { file, .. } => vec![file.clone()],
    };
    sources.iter().flat_map(of_source).collect()
}

impl ResolvesServerCert for CertificateStore {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.table.load();
        let candidates = table.find(hello.server_name());
        let suited = candidates.iter().find(|one| one.suits(&hello, &self.provider.cipher_suites));
        suited.or(candidates.first()).map(|certificate| Arc::clone(&certificate.key))
    }
}

impl CertificateTable {
    fn load(
        sources: &[CertificateSource],
        provider: &CryptoProvider,
        in_service: &[Arc<Certificate>],
    ) -> Result<Self, Vec<FileProblem>> {
        let mut stale = Vec::new();
        let read = all(sources.iter().map(|source| match source {
            CertificateSource::Pair { cert, key } => Ok(vec![pair((cert, key), provider)?]),
            CertificateSource::Directory(directory) => {
                let pairs = pairs_in(directory)?.into_iter().filter(|(cert, _)| !is_of_authority(cert));
                all(pairs.map(|(cert, key)| pair((&cert, &key), provider)))
            }
            CertificateSource::Ordered { file, hosts } => {
                let (certificate, problems) = ordered(file, hosts, provider, in_service)?;
                stale.extend(problems);
                Ok(vec![certificate])
            }
        }));
        let all = read?.concat();
        match sources.first() {
            Some(CertificateSource::Directory(directory)) if all.is_empty() => {
                let why = "there is no certificate in it (`NAME.pem` or `NAME.crt`)";
                Err(vec![FileProblem::new(directory, why)])
            }
            _ => Self { stale, ..Self::of(all) }.usable(provider),
        }
    }

    /// For each name there is a certificate that goes with a suite, or the name is of no use.
    fn usable(self, provider: &CryptoProvider) -> Result<Self, Vec<FileProblem>> {
        let signs = |one: &Arc<Certificate>| provider.cipher_suites.iter().any(|suite| one.signs(suite));
        let lists = self.exact.values().chain(self.wildcard.values()).chain([&self.default]);
        let useless = lists.filter(|list| !list.iter().any(signs)).filter_map(|list| list.first());
        let problems = useless.map(|one| {
            let kind = one.facts.key_kind;
            let why = format!("none of the suites that are offered goes with a key of the kind {kind}");
            Err(vec![FileProblem::new(&one.facts.source, why)])
        });
        all(problems).map(|_: Vec<()>| self)
    }

    fn of(all: Vec<Arc<Certificate>>) -> Self {
        let mut table = Self::default();
        for certificate in &all {
            for name in &certificate.facts.names {
                let (map, key) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut table.wildcard, parent),
                    None => (&mut table.exact, &**name),
                };
                map.entry(key.into()).or_default().push(Arc::clone(certificate));
            }
        }
        // Of several for a name, the one that costs least comes first; of those alike, the first of the file.
        let lists = table.exact.values_mut().chain(table.wildcard.values_mut());
        lists.for_each(|list| list.sort_by_key(|certificate| certificate.cost()));
        let first = all.first();
        let first_name = first.and_then(|certificate| certificate.facts.names.first());
        table.default = match first_name {
            Some(name) => table.find_named(name).map(<[_]>::to_vec).unwrap_or_default(),
            None => first.cloned().into_iter().collect(),
        };
        table.all = all;
        table
    }

    fn find(&self, name: Option<&str>) -> &[Arc<Certificate>] {
        name.and_then(|name| self.find_named(name)).unwrap_or(&self.default)
    }

    /// RFC 6125 section 6.4.3: a wildcard stands for one label.
    fn find_named(&self, name: &str) -> Option<&[Arc<Certificate>]> {
        let name = name.to_ascii_lowercase();
        let below = || name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        self.exact.get(name.as_str()).or_else(below).map(Vec::as_slice)
    }
}

/// Beside certificates of hosts there may be those of who signed them.
fn is_of_authority(cert: &Path) -> bool {
    file::certificates(cert)
        .is_ok_and(|chain| chain.first().is_some_and(|first| certificate::is_of_authority(first)))
}

fn pair(
    (cert, key): (&Path, &Path),
    provider: &CryptoProvider,
) -> Result<Arc<Certificate>, Vec<FileProblem>> {
    Certificate::load(cert, key, provider).map(Arc::new)
}

/// The certificate in `file`. While there is none that could be used, the one that is in service, with what is wrong; or a
/// placeholder.
fn ordered(
    file: &Path,
    hosts: &[String],
    provider: &CryptoProvider,
    in_service: &[Arc<Certificate>],
) -> Result<(Arc<Certificate>, Vec<FileProblem>), Vec<FileProblem>> {
    let problems = match Certificate::load(file, file, provider) {
        Ok(read) => return Ok((Arc::new(Certificate { origin: Origin::Ordered, ..read }), Vec::new())),
        Err(problems) => problems,
    };
    if let Some(before) =
        in_service.iter().find(|one| one.facts.source == file && one.origin == Origin::Ordered)
    {
        return Ok((Arc::clone(before), problems));
    }
    if file.exists() {
        let problems = FileProblem::line(&problems);
        tracing::error!("a certificate that was ordered cannot be used: {problems}");
    }
    let placeholder = placeholder::make(file, hosts, provider).map_err(|problem| vec![problem])?;
    Ok((Arc::new(placeholder), Vec::new()))
}

/// The certificates in a directory with their keys, by name.
fn pairs_in(directory: &Path) -> Result<Vec<(PathBuf, PathBuf)>, Vec<FileProblem>> {
    let problem = |why: std::io::Error| vec![FileProblem::new(directory, why)];
    let mut pairs = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(problem)? {
        let cert = entry.map_err(problem)?.path();
        let hidden = cert.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let extension = cert.extension().and_then(|extension| extension.to_str());
        if !hidden && matches!(extension, Some("pem" | "crt")) {
            let key = cert.with_extension("key");
            let key = if key.exists() { key } else { cert.clone() };
            pairs.push((cert, key));
        }
    }
    pairs.sort();
    Ok(pairs)
}
