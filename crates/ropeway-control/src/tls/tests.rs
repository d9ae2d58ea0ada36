use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};

use super::*;
use crate::fixture;
use crate::log::test_directory::TestDirectory;

/// Writes `NAME.pem` and `NAME.key` for these hosts.
fn write_pair(directory: &TestDirectory, name: &str, hosts: &[&str]) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let cert = CertificateParams::new(hosts).unwrap().self_signed(&key).unwrap();
    std::fs::write(directory.path().join(format!("{name}.pem")), cert.pem()).unwrap();
    std::fs::write(directory.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

/// A listener whose `tls` table holds `keys`, with `DIR` for the directory.
fn config(directory: &TestDirectory, keys: &str) -> Config {
    let keys = keys.replace("DIR", &directory.path().display().to_string());
    fixture::config(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[listener.web.tls]\n{keys}\n[[route]]\nupstream = \"app\"\n\
         [upstream.app]\nservers = [\"127.0.0.1:8001\"]\n"
    ))
}

fn complaint(directory: &TestDirectory, keys: &str) -> String {
    let errors = build(&config(directory, keys)).unwrap_err();
    errors.iter().map(|error| format!("{}: {}\n", error.place.line(), error.message)).collect()
}

#[test]
fn a_listener_with_a_certificate_is_compiled() {
    let directory = TestDirectory::new();
    write_pair(&directory, "site", &["a.example"]);
    let built =
        build(&config(&directory, "certificates = [{ cert = \"DIR/site.pem\", key = \"DIR/site.key\" }]"));
    let listener = Arc::clone(&built.unwrap().listeners["web"]);
    let [profile] = &listener.profiles[..] else { panic!("one profile") };
    assert_eq!(profile.config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    assert!(!profile.asks_clients && profile.names.is_empty());
    assert_eq!((listener.handshake_ms, listener.max_handshakes), (10_000, 64));
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let directory = TestDirectory::new();
    write_pair(&directory, "one", &["a.example"]);
    write_pair(&directory, "two", &["a.example"]);
    let keys = "certificates = [{ cert = \"DIR/one.pem\", key = \"DIR/two.key\" }]";
    let complaint = complaint(&directory, keys);
    assert!(
        complaint.starts_with("4: ") && complaint.contains("two.key: this is not the private key"),
        "{complaint}"
    );
}
