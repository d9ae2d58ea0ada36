//! Files of certificates, keys and lists: read whole, with bounds, and with messages that name the file.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// More than any chain, key or list of authorities; a list of revoked certificates can be long.
const LARGEST_FILE: u64 = 64 << 20;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileProblem {
    path: PathBuf,
    why: String,
}

impl FileProblem {
    pub(super) fn new(path: &Path, why: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), why: why.to_string() }
    }

    /// In one line.
    pub(crate) fn line(problems: &[Self]) -> String {
        problems.iter().map(Self::to_string).collect::<Vec<_>>().join("; ")
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.path.display(), self.why)
    }
}

/// The whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileProblem> {
    let problem = |why: std::io::Error| FileProblem::new(path, why);
    // A pipe would be waited for until somebody writes into it.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(problem)?;
    if !file.metadata().map_err(problem)?.is_file() {
        return Err(FileProblem::new(path, "not a file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(problem)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(FileProblem::new(path, format!("larger than {LARGEST_FILE} bytes")));
    }
    Ok(bytes)
}

/// The certificates in a file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileProblem> {
    let bytes = read(path)?;
    certificates_in(&bytes, path)
}

/// The certificates in what `path` held, at least one.
pub(super) fn certificates_in(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, FileProblem> {
    let sections: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match sections {
        Ok(certificates) if certificates.is_empty() => {
            Err(FileProblem::new(path, "there is no certificate in it (PEM, `-----BEGIN CERTIFICATE-----`)"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(FileProblem::new(path, error)),
    }
}

/// The private key in a file.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, FileProblem> {
    let bytes = read(path)?;
    private_key_in(&bytes, path)
}

/// The private key in what `path` held.
pub(super) fn private_key_in(pem: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, FileProblem> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        // The traditional form has fields where a parser expects base64.
        _ if is_encrypted(pem) => {
            FileProblem::new(path, "the private key is encrypted; decrypt it with `openssl pkey`")
        }
        rustls::pki_types::pem::Error::NoItemsFound => {
            FileProblem::new(path, "there is no private key in it (PEM, `-----BEGIN PRIVATE KEY-----`)")
        }
        error => FileProblem::new(path, error),
    })
}

fn is_encrypted(pem: &[u8]) -> bool {
    pem.windows(9).any(|word| word == b"ENCRYPTED")
}

/// The lists of revoked certificates in a file, at least one.
pub(super) fn revocations(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, FileProblem> {
    let bytes = read(path)?;
    // ASN.1 SEQUENCE: the binary form, which authorities publish.
    if bytes.first() == Some(&0x30) {
        return Ok(vec![CertificateRevocationListDer::from(bytes)]);
    }
    let sections: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    match sections {
        Ok(lists) if lists.is_empty() => Err(FileProblem::new(
            path,
            "there is no list of revoked certificates in it (`-----BEGIN X509 CRL-----`)",
        )),
        Ok(lists) => Ok(lists),
        Err(error) => Err(FileProblem::new(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;
    use crate::log::test_directory::TestDirectory;

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let directory = TestDirectory::new();
        let path = directory.path().join("site.pem");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        assert_eq!(read(&path).unwrap_err(), FileProblem::new(&path, "not a file"));
    }

    #[test]
    fn a_key_that_is_encrypted_is_known_in_both_forms() {
        let path = Path::new("site.key");
        let modern = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let traditional = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
                           DEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        for pem in [modern, traditional] {
            let why = private_key_in(pem.as_bytes(), path).unwrap_err().to_string();
            assert_eq!(why, "site.key: the private key is encrypted; decrypt it with `openssl pkey`");
        }
    }
}
