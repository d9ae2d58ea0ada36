//! Certificates for trying things out: an authority of one's own, and what it signs.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

use crate::whole_file::{self, PRIVATE, PUBLIC};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a certificate is always good for.
const ALWAYS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

const CA_SUBJECT: &str = "Ropeway development authority";

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevCertificates {
    /// The certificate of the authority, to be trusted.
    pub authority: PathBuf,
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// What it is good for.
    pub names: Vec<String>,
    /// Whether the authority was made just now. Otherwise it was there, and whoever trusts it trusts the new certificate.
    pub new_authority: bool,
}

/// Writes a certificate for `names`, `localhost` and its addresses into `directory`, signed by the authority that is
/// there. Makes one if there is none. The certificate is good for a year.
///
/// # Errors
/// When a name is none, or a file cannot be read or written.
pub fn create(directory: &Path, names: &[String]) -> io::Result<DevCertificates> {
    if let Some(bad) = names.iter().find(|name| !is_name(name)) {
        let why = format!("`{bad}` is neither the name of a host nor an address");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    fs::create_dir_all(directory)?;
    let made = DevCertificates {
        authority: directory.join("ca.pem"),
        certificate: directory.join("localhost.pem"),
        key: directory.join("localhost.key"),
        names: all_names(names),
        new_authority: !directory.join("ca.key").exists(),
    };
    let (authority, authority_key) = authority(directory, made.new_authority)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
    let certificate = leaf(&made.names)?
        .signed_by(&key, &Issuer::new(authority, authority_key))
        .map_err(io::Error::other)?;
    whole_file::write(&made.key, key.serialize_pem().as_bytes(), PRIVATE)?;
    whole_file::write(&made.certificate, certificate.pem().as_bytes(), PUBLIC)?;
    Ok(made)
}

/// A certificate takes any text for a name, and then it is good for nothing.
fn is_name(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || ropeway_config::is_host_name(text.strip_prefix("*.").unwrap_or(text))
}

fn all_names(extra: &[String]) -> Vec<String> {
    let mut names: Vec<String> = ALWAYS.map(str::to_owned).into();
    for name in extra.iter().map(|name| name.to_ascii_lowercase()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The authority with its key: those that are there, or new ones.
fn authority(directory: &Path, new: bool) -> io::Result<(CertificateParams, KeyPair)> {
    let (pem, key_pem) = (directory.join("ca.pem"), directory.join("ca.key"));
    let params = authority_params()?;
    let key = if new { new_authority_key(&key_pem)? } else { authority_key(&key_pem)? };
    // It may be missing beside a key that is there. With the same key and name it is the same authority.
    if new || !pem.exists() {
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        whole_file::write(&pem, certificate.pem().as_bytes(), PUBLIC)?;
    }
    Ok((params, key))
}

fn new_authority_key(path: &Path) -> io::Result<KeyPair> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
    whole_file::write(path, key.serialize_pem().as_bytes(), PRIVATE)?;
    Ok(key)
}

fn authority_key(path: &Path) -> io::Result<KeyPair> {
    let key = KeyPair::from_pem(&fs::read_to_string(path)?);
    key.map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

/// The same each time, so that what is signed later names the authority that was made before.
fn authority_params() -> io::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
    params.distinguished_name = subject(CA_SUBJECT);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + 3650 * DAY).into();
    Ok(params)
}

fn leaf(names: &[String]) -> io::Result<CertificateParams> {
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name = subject("Ropeway development certificate");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + 364 * DAY).into();
    Ok(params)
}

fn subject(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;
    use crate::log::test_directory::TestDirectory;

    fn verify(made: &DevCertificates, name: &str) -> Result<(), rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&made.authority).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let shown = CertificateDer::from_pem_file(&made.certificate).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&shown, &[], &name, &[], UnixTime::now()).map(|_| ())
    }

    #[test]
    fn the_authority_stays_and_signs_what_is_asked_for_later() {
        let directory = TestDirectory::new();
        let first = create(directory.path(), &[]).unwrap();
        let authority = fs::read(&first.authority).unwrap();
        assert!(first.new_authority);
        for name in ["localhost", "127.0.0.1", "::1"] {
            verify(&first, name).unwrap();
        }
        assert!(verify(&first, "app.test").is_err());
        let second = create(directory.path(), &["App.test".to_owned(), "localhost".to_owned()]).unwrap();
        assert!(!second.new_authority && fs::read(&second.authority).unwrap() == authority);
        assert_eq!(second.names, ["localhost", "127.0.0.1", "::1", "app.test"]);
        for name in ["localhost", "app.test"] {
            verify(&second, name).unwrap();
        }
        for bad in ["https://app.test", "app.test:8443", "a b", "", "*.*.test"] {
            let error = create(directory.path(), &[bad.to_owned()]).unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{bad}` is neither")), "{error}");
        }
        create(directory.path(), &["*.app.test".to_owned(), "10.0.0.1".to_owned()]).unwrap();
        for key in ["ca.key", "localhost.key"] {
            let mode = fs::metadata(directory.path().join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
    }

    #[test]
    fn what_an_interrupted_run_left_is_made_whole() {
        let directory = TestDirectory::new();
        let first = create(directory.path(), &[]).unwrap();
        fs::remove_file(&first.authority).unwrap();
        let second = create(directory.path(), &[]).unwrap();
        assert!(!second.new_authority);
        verify(&second, "localhost").unwrap();
    }
}
