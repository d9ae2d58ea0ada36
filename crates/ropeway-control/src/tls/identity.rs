//! What a client's certificate says of the client.

use aws_lc_rs::digest::{SHA256, digest};
use ropeway_proxy::tls::ClientIdentity;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::hexadecimal;
use super::distinguished_name::{self, escaped};

/// Reads subject, alternative names and fingerprint. `None` for what is no certificate, which the verifier would have refused.
pub(super) fn identify(certificate: &CertificateDer<'_>) -> Option<ClientIdentity> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|extension| &extension.value.general_names).filter_map(name_of);
    Some(ClientIdentity {
        subject: distinguished_name::text(parsed.subject()),
        names: names.collect::<Vec<_>>().join(", "),
        fingerprint: hexadecimal(digest(&SHA256, certificate).as_ref()),
    })
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(format!("DNS:{}", value(name))),
        GeneralName::URI(uri) => Some(format!("URI:{}", value(uri))),
        GeneralName::RFC822Name(address) => Some(format!("email:{}", value(address))),
        GeneralName::IPAddress(bytes) => {
            let ip = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let ip = ip.or_else(|_| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from));
            ip.ok().map(|ip| format!("IP:{ip}"))
        }
        _ => None,
    }
}

/// An authority may have signed anything: what could pass for another name, or cannot stand in a field, is written in
/// digits.
fn value(name: &str) -> String {
    escaped(name, |_, octet| octet.is_ascii_graphic() && !matches!(octet, b',' | b'\\'))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_certificate_says_who_shows_it() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "alice\r\nX-Admin: 1");
        let uri = "spiffe://example/a\\b, DNS:admin.example".try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(uri));
        let certificate = params.self_signed(&key).unwrap();
        let identity = identify(certificate.der()).unwrap();
        assert_eq!(identity.subject, "CN=alice\\0D\\0AX-Admin: 1");
        let names = "DNS:client.example, URI:spiffe://example/a\\5Cb\\2C\\20DNS:admin.example";
        assert_eq!(identity.names, names);
        assert_eq!(identity.fingerprint.len(), 64);
    }
}
