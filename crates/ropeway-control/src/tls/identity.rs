//! What a client's certificate says of the client.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use ropeway_proxy::tls::ClientIdentity;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Reads subject, alternative names and fingerprint. `None` for what is no certificate, which the verifier would have refused.
pub(super) fn identify(certificate: &CertificateDer<'_>) -> Option<ClientIdentity> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|extension| &extension.value.general_names).filter_map(name_of);
    let mut fingerprint = String::with_capacity(64);
    for byte in digest(&SHA256, certificate).as_ref() {
        // Writing into a string does not fail.
        let _ = write!(fingerprint, "{byte:02x}");
    }
    Some(ClientIdentity {
        subject: printable(&parsed.subject().to_string()),
        names: printable(&names.collect::<Vec<_>>().join(", ")),
        fingerprint,
    })
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(format!("DNS:{name}")),
        GeneralName::URI(uri) => Some(format!("URI:{uri}")),
        GeneralName::RFC822Name(address) => Some(format!("email:{address}")),
        GeneralName::IPAddress(bytes) => {
            let ip = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let ip = ip.or_else(|_| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from));
            ip.ok().map(|ip| format!("IP:{ip}"))
        }
        _ => None,
    }
}

/// What can stand in a field of HTTP: an authority may have signed anything.
fn printable(text: &str) -> String {
    let safe = |character: char| character == ' ' || character.is_ascii_graphic();
    text.chars().map(|character| if safe(character) { character } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_certificate_says_who_shows_it() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "al\u{e9}\r\nX-Admin: 1");
        params.subject_alt_names.push(SanType::URI("spiffe://example/api".try_into().unwrap()));
        let certificate = params.self_signed(&key).unwrap();
        let identity = identify(certificate.der()).unwrap();
        assert!(identity.subject.contains("al???X-Admin: 1"), "{}", identity.subject);
        assert_eq!(identity.names, "DNS:client.example, URI:spiffe://example/api");
        assert_eq!(identity.fingerprint.len(), 64);
    }
}
