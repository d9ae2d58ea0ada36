//! What a scanner of TLS servers says, measured by the recommendations of Mozilla.

use ropeway_e2e::python::Environment;
use ropeway_e2e::tls::Authority;
use ropeway_e2e::tls_site::{HOST, Site, TLS};
use ropeway_e2e::{Lab, Program, Running};
use serde_json::{Value, json};

/// What the scanner found.
struct Scan(Value);

/// Scans the host, and judges it by one of the configurations that Mozilla recommends.
fn scan(lab: &Running, configuration: &str) -> Scan {
    let output = Program::of(&Environment::SSLYZE.program("tls_scan.py"))
        .args([&lab.proxy.address("web").to_string(), HOST, configuration])
        .argument(lab.file("ca.pem"))
        .run()
        .expect_success();
    Scan(serde_json::from_slice(&output.out).unwrap())
}

impl Scan {
    /// Asserts what the scanner complains of.
    #[track_caller]
    fn expect_complaints(&self, expected: &[&str]) {
        let complaints = self.0["complaints"].as_object().unwrap();
        assert_eq!(complaints.keys().collect::<Vec<_>>(), expected, "{complaints:?}");
    }

    /// Asserts what is true of every policy.
    fn expect_nothing_old(&self) {
        for version in ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"] {
            self.expect_suites(version, &[]);
        }
        self.expect_suites("tls_1_3", &SUITES_OF_TLS13);
        assert_eq!(self.0["groups"], json!(["X25519", "secp256r1", "secp384r1"]));
        assert_eq!(self.0["early_data"], false);
    }

    #[track_caller]
    fn expect_suites(&self, version: &str, suites: &[&str]) {
        assert_eq!(self.0["suites"][version], json!(suites), "{version}");
    }
}

const SUITES_OF_TLS13: [&str; 3] =
    ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

const SUITES_OF_TLS12: [&str; 6] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// A host with a certificate of each kind, signed by an authority below the one that is known.
fn host_with_both_kinds(settings: &str) -> Lab {
    let root = Authority::new("Root CA");
    let below = root.below("Issuing CA");
    let tls = format!(
        "tls = {{ certificates = [{{ cert = \"ecdsa.pem\", key = \"ecdsa.key\" }}, \
         {{ cert = \"rsa.pem\", key = \"rsa.key\" }}]{settings} }}\n"
    );
    Lab::new()
        .with(&tls, "", "")
        .identity("ecdsa", &below.issue(&[HOST]).with_chain(&below))
        .identity("rsa", &below.issue_rsa(&[HOST]).with_chain(&below))
        .file("ca.pem", &root.pem())
        .origins(1)
}

#[test]
fn a_listener_without_settings_conforms_to_intermediate() {
    let lab = host_with_both_kinds("").start();
    let scan = scan(&lab, "intermediate");
    scan.expect_complaints(&[]);
    scan.expect_nothing_old();
    scan.expect_suites("tls_1_2", &SUITES_OF_TLS12);
    assert_eq!(
        scan.0["chains"],
        json!([2, 2]),
        "a certificate of each kind, with what leads to the authority"
    );
}

#[test]
fn the_policy_modern_conforms_to_modern() {
    let site = Site::new();
    let lab = site.lab_with(&TLS.replace(" }\n", ", policy = \"modern\" }\n")).origins(1).start();
    let scan = scan(&lab, "modern");
    scan.expect_complaints(&[]);
    scan.expect_nothing_old();
    scan.expect_suites("tls_1_2", &[]);
}

#[test]
fn the_policy_compatible_offers_nothing_beyond_intermediate_to_this_scanner() {
    let site = Site::new();
    let lab = site.lab_with(&TLS.replace(" }\n", ", policy = \"compatible\" }\n")).origins(1).start();
    let scan = scan(&lab, "intermediate");
    scan.expect_complaints(&[]);
    scan.expect_nothing_old();
    scan.expect_suites("tls_1_2", &SUITES_OF_TLS12[..3]);
}

#[test]
fn the_scanner_would_complain() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    scan(&lab, "modern").expect_complaints(&["ciphers", "tls_versions"]);
    std::fs::write(lab.file("ca.pem"), Authority::new("Another CA").pem()).unwrap();
    scan(&lab, "intermediate").expect_complaints(&["certificate_path_validation"]);
}
