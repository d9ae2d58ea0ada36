//! One host with an ECDSA and an RSA certificate: every client of `openssl s_client` is shown the one that it can verify.

use ropeway_e2e::openssl::s_client;
use ropeway_e2e::tls::{Authority, Identity};
use ropeway_e2e::tls_site::HOST;
use ropeway_e2e::{Lab, Running};

/// The host, whose certificates are listed in the given order.
fn start(authority: &Authority, order: [(&str, &Identity); 2]) -> Running {
    let pairs = order.map(|(name, _)| format!("{{ cert = \"{name}.pem\", key = \"{name}.key\" }}"));
    let lab = Lab::new()
        .with(&format!("tls = {{ certificates = [{}] }}\n", pairs.join(", ")), "", "")
        .file("ca.pem", &authority.pem())
        .origins(1);
    order.into_iter().fold(lab, |lab, (name, identity)| lab.identity(name, identity)).start()
}

const RSA_SIGNATURES: &str = "-sigalgs RSA-PSS+SHA256:RSA+SHA256";
const ECDSA_SIGNATURES: &str = "-sigalgs ECDSA+SHA256";

#[test]
fn a_client_is_shown_the_certificate_that_it_can_verify() {
    let authority = Authority::new("Test CA");
    let (ecdsa, rsa) = (authority.issue(&[HOST]), authority.issue_rsa(&[HOST]));
    for order in [[("ecdsa", &ecdsa), ("rsa", &rsa)], [("rsa", &rsa), ("ecdsa", &ecdsa)]] {
        let lab = start(&authority, order);
        for (options, expected) in [
            ("-tls1_2", &ecdsa),
            ("-tls1_3", &ecdsa),
            ("-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256", &rsa),
            ("-tls1_2 -cipher ECDHE-RSA-CHACHA20-POLY1305", &rsa),
            ("-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384", &ecdsa),
            ("-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256", &ecdsa),
            (&format!("-tls1_2 {RSA_SIGNATURES}"), &rsa),
            (&format!("-tls1_2 {ECDSA_SIGNATURES}"), &ecdsa),
            (&format!("-tls1_3 {RSA_SIGNATURES}"), &rsa),
            (&format!("-tls1_3 {ECDSA_SIGNATURES}"), &ecdsa),
        ] {
            let output = s_client(&lab, HOST, options).run();
            assert!(
                output.text().contains(expected.cert.trim()),
                "{options}: {}\n{}",
                output.text(),
                output.err
            );
            let _ = output.expect_text("HTTP/1.1 200 ");
        }
    }
}

#[test]
fn a_client_that_has_nothing_in_common_with_us_is_refused_with_an_alert() {
    let authority = Authority::new("Test CA");
    let (ecdsa, rsa) = (authority.issue(&[HOST]), authority.issue_rsa(&[HOST]));
    let lab = start(&authority, [("ecdsa", &ecdsa), ("rsa", &rsa)]);
    for options in ["-tls1_2 -cipher AES128-GCM-SHA256", "-tls1_3 -sigalgs ed25519", "-tls1_2 -groups X448"] {
        let output = s_client(&lab, HOST, options).run().expect_no_text("HTTP/1.1");
        assert!(output.err.contains("alert handshake failure"), "{options}: {}", output.err);
    }
    let _ = s_client(&lab, HOST, "").run().expect_text("HTTP/1.1 200 ");
    assert_eq!(lab.origin(1).count(), 1);
}
