//! One certificate with its key, checked to belong together, and what is known about it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, SignatureAlgorithm, SupportedCipherSuite};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::at_once::both;
use super::file::{self, FileProblem};

/// A certificate that can be shown.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The chain and the key.
    pub key: Arc<CertifiedKey>,
    /// What is known about it.
    pub facts: CertificateFacts,
    /// Who looks after it.
    pub origin: Origin,
}

/// Who looks after a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The operator, who puts files there.
    File,
    /// The proxy, which orders it.
    Ordered,
    /// Nobody: it is one of our own that no client accepts, until the one that was ordered is there.
    Placeholder,
}

/// What an operator may want to know about a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The DNS names that it is for, in lower case; wildcards begin with `*.`.
    pub names: Vec<Box<str>>,
    /// From when it is good.
    pub not_before: SystemTime,
    /// Until when it is good.
    pub not_after: SystemTime,
    /// The number that its authority gave it, in hexadecimal.
    pub serial: String,
    /// SHA-256 of the whole certificate, in hexadecimal.
    pub fingerprint: String,
    /// The file that it was read from.
    pub source: PathBuf,
    /// `ecdsa`, `ed25519` or `rsa`.
    pub key_kind: &'static str,
}

/// Where a moment lies in the life of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validity {
    NotYet,
    Good,
    Over,
}

impl CertificateFacts {
    /// How it is at `now`.
    pub(super) fn validity(&self, now: SystemTime) -> Validity {
        if now < self.not_before {
            Validity::NotYet
        } else if now > self.not_after {
            Validity::Over
        } else {
            Validity::Good
        }
    }

    /// What to call it in a message or a label: its first name, or where it is from.
    #[must_use]
    pub fn title(&self) -> String {
        self.names.first().map_or_else(|| self.source.display().to_string(), ToString::to_string)
    }
}

impl Certificate {
    /// The chain in `cert` with the key in `key`, which may be the same file.
    pub(crate) fn load(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<Self, Vec<FileProblem>> {
        let chain = file::certificates(cert).map_err(|problem| vec![problem]);
        let secret = file::private_key(key).map_err(|problem| vec![problem]);
        let (chain, secret) = both(chain, secret)?;
        Self::of(chain, secret, (cert, key), provider).map_err(|problem| vec![problem])
    }

    /// The chain and the key in `pem`, for what will be in `file`.
    pub(crate) fn in_pem(pem: &[u8], file: &Path, provider: &CryptoProvider) -> Result<Self, FileProblem> {
        let (chain, secret) = (file::certificates_in(pem, file)?, file::private_key_in(pem, file)?);
        Self::of(chain, secret, (file, file), provider)
    }

    /// A chain with its key, which are from these files.
    pub(super) fn of(
        chain: Vec<CertificateDer<'static>>,
        secret: PrivateKeyDer<'static>,
        (cert, key): (&Path, &Path),
        provider: &CryptoProvider,
    ) -> Result<Self, FileProblem> {
        let signing = provider
            .key_provider
            .load_private_key(secret)
            .map_err(|error| FileProblem::new(key, format!("the private key cannot be used: {error}")))?;
        let facts = facts(&chain, cert, signing.algorithm())?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                let why = format!("this is not the private key of the certificate in {}", cert.display());
                return Err(FileProblem::new(key, why));
            }
            Err(error) => return Err(FileProblem::new(cert, error)),
        }
        Ok(Self { key: Arc::new(certified), facts, origin: Origin::File })
    }

    /// Whether this client can verify a signature of the key, with a suite of `offered` that both have.
    pub(super) fn suits(&self, hello: &ClientHello<'_>, offered: &[SupportedCipherSuite]) -> bool {
        let mut mutual = offered.iter().filter(|suite| hello.cipher_suites().contains(&suite.suite()));
        self.key.key.choose_scheme(hello.signature_schemes()).is_some()
            && mutual.any(|suite| self.signs(suite))
    }

    /// Whether the key is of the kind that a suite takes.
    pub(super) fn signs(&self, suite: &SupportedCipherSuite) -> bool {
        match suite {
            SupportedCipherSuite::Tls13(_) => true,
            SupportedCipherSuite::Tls12(suite) => self.key.key.choose_scheme(suite.sign).is_some(),
        }
    }

    /// Cheaper signatures first.
    pub(super) fn cost(&self) -> u8 {
        match self.key.key.algorithm() {
            SignatureAlgorithm::ECDSA => 0,
            SignatureAlgorithm::ED25519 => 1,
            _ => 2,
        }
    }
}

/// Whether a certificate is that of an authority, and of no host.
pub(super) fn is_of_authority(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    parsed.is_ca() && matches!(parsed.subject_alternative_name(), Ok(None))
}

fn facts(
    chain: &[CertificateDer<'_>],
    path: &Path,
    algorithm: SignatureAlgorithm,
) -> Result<CertificateFacts, FileProblem> {
    let der = chain.first().map(AsRef::as_ref).unwrap_or_default();
    let (_, parsed) = X509Certificate::from_der(der)
        .map_err(|error| FileProblem::new(path, format!("the certificate is malformed: {error}")))?;
    Ok(CertificateFacts {
        names: names(&parsed),
        not_before: moment(parsed.validity().not_before.timestamp()),
        not_after: moment(parsed.validity().not_after.timestamp()),
        serial: hexadecimal(parsed.raw_serial()),
        fingerprint: hexadecimal(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der).as_ref()),
        source: path.to_owned(),
        key_kind: match algorithm {
            SignatureAlgorithm::ECDSA => "ecdsa",
            SignatureAlgorithm::ED25519 => "ed25519",
            SignatureAlgorithm::RSA => "rsa",
            _ => "other",
        },
    })
}

/// RFC 6125 section 6.4.4: the subject's common name is no name of a host.
fn names(certificate: &X509Certificate<'_>) -> Vec<Box<str>> {
    let alternatives =
        certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        });
    let dns = alternatives.flatten().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.trim_end_matches('.').to_ascii_lowercase().into()),
        _ => None,
    });
    dns.collect()
}

pub(super) fn moment(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let moment = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    moment.unwrap_or(SystemTime::UNIX_EPOCH)
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
