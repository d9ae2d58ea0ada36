//! `ropeway cert dev`: certificates to try things out, believed by those who believe their authority.

use std::os::unix::fs::PermissionsExt;

use ropeway_e2e::tempdir::TempDir;
use ropeway_e2e::{Lab, Output, Program, Running, binary, eventually};

/// Makes a certificate in a directory.
fn make(directory: &TempDir, names: &[&str]) -> Output {
    Program::new(&binary::ropeway().to_string_lossy())
        .args(["cert", "dev", "--dir"])
        .argument(directory.path())
        .args(names)
        .run()
        .expect_success()
}

fn serve(directory: &TempDir) -> Running {
    let file = |name: &str| directory.file(name).display().to_string();
    let pair = format!("{{ cert = \"{}\", key = \"{}\" }}", file("localhost.pem"), file("localhost.key"));
    Lab::new().with(&format!("tls = {{ certificates = [{pair}] }}\n"), "", "").origins(1).start()
}

/// What curl gets from a host of the listener when it believes only this authority.
fn curl(directory: &TempDir, lab: &Running, host: &str) -> Output {
    let port = lab.proxy.address("web").port();
    Program::new("curl --silent --show-error --http2 --cacert")
        .argument(directory.file("ca.pem"))
        .args(["--write-out", " by %{http_version}", "--resolve", &format!("{host}:{port}:127.0.0.1")])
        .argument(format!("https://{host}:{port}/"))
        .run()
}

#[test]
fn curl_believes_the_certificate_for_its_names_and_no_others() {
    let directory = TempDir::new();
    let _ = make(&directory, &["app.test", "*.app.test"])
        .expect_text("localhost.pem")
        .expect_text("made just now");
    let lab = serve(&directory);
    for host in ["localhost", "127.0.0.1", "app.test", "deep.app.test"] {
        assert_eq!(curl(&directory, &lab, host).expect_success().text(), "1 by 2", "{host}");
    }
    let refused = curl(&directory, &lab, "other.test");
    assert!(refused.err.contains("certificate"), "{}", refused.err);
    assert_eq!(lab.origin(1).count(), 4);
}

#[test]
fn another_certificate_is_signed_by_the_authority_that_is_there_and_taken_into_service() {
    let directory = TempDir::new();
    let _ = make(&directory, &[]);
    let lab = serve(&directory);
    let authority = std::fs::read(directory.file("ca.pem")).unwrap();
    let _ = make(&directory, &["other.test"]).expect_text("the one that was there");
    assert!(authority == std::fs::read(directory.file("ca.pem")).unwrap(), "it had to be believed again");
    eventually("the other certificate is in service", || {
        let output = curl(&directory, &lab, "other.test");
        (output.text() == "1 by 2").then_some(())
    });
}

#[test]
fn keys_are_for_their_owner_and_openssl_has_no_complaint() {
    let directory = TempDir::new();
    let _ = make(&directory, &[]);
    for name in ["ca.key", "localhost.key"] {
        let mode = std::fs::metadata(directory.file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let _ = Program::new("openssl verify -x509_strict -purpose sslserver -verify_hostname localhost -CAfile")
        .argument(directory.file("ca.pem"))
        .argument(directory.file("localhost.pem"))
        .run()
        .expect_success();
}
