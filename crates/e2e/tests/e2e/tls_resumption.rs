//! Sessions that go on after a restart and at a sibling process, shown by `openssl s_client`.

use ropeway_e2e::openssl::s_client;
use ropeway_e2e::tls_site::{HOST, Site, TLS};
use ropeway_e2e::{Lab, Output, Running};

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

const SECRET: &str = "# made by `openssl rand -base64 32`\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";

/// A host whose keys for tickets are in a file.
fn with_shared_keys(site: &Site) -> Lab {
    let tls = TLS.replace(" }\n", ", tickets = { keys = \"tickets.key\" } }\n");
    site.lab_with(&tls).file("tickets.key", SECRET).origins(1)
}

/// A visit by one version of TLS that keeps its last ticket, and is answered.
fn first_visit(lab: &Running, version: &str) {
    let options = format!("{version} -sess_out @dir/ticket{version}");
    let _ = s_client(lab, HOST, &options).run().expect_text("New, ").expect_text("HTTP/1.1 200 ");
}

/// A visit with the ticket of the first one, which is answered whatever becomes of the ticket.
fn next_visit(lab: &Running, version: &str) -> Output {
    let options = format!("{version} -sess_in @dir/ticket{version}");
    s_client(lab, HOST, &options).run().expect_text("HTTP/1.1 200 ")
}

#[test]
fn a_restart_with_shared_keys_goes_on_with_every_session() {
    let mut lab = with_shared_keys(&Site::new()).start();
    for version in VERSIONS {
        first_visit(&lab, version);
        let _ = next_visit(&lab, version).expect_text("Reused, ");
    }
    lab.restart();
    for version in VERSIONS {
        let _ = next_visit(&lab, version).expect_text("Reused, ").expect_no_text("New, ");
    }
    assert_eq!(lab.admin().metric("ropeway_listener_tls_resumed_total", &[]), 2.0);
}

#[test]
fn a_restart_without_shared_keys_begins_every_session_anew() {
    let mut lab = Site::new().lab("").origins(1).start();
    for version in VERSIONS {
        first_visit(&lab, version);
        let _ = next_visit(&lab, version).expect_text("Reused, ");
    }
    lab.restart();
    for version in VERSIONS {
        let _ = next_visit(&lab, version).expect_text("New, ").expect_no_text("Reused, ");
    }
    assert_eq!(lab.admin().metric("ropeway_listener_tls_resumed_total", &[]), 0.0);
}

#[test]
fn a_sibling_process_with_the_same_keys_goes_on_with_every_session() {
    let site = Site::new();
    let (one, other) = (with_shared_keys(&site).start(), with_shared_keys(&site).start());
    for version in VERSIONS {
        first_visit(&one, version);
        let ticket = format!("ticket{version}");
        std::fs::copy(one.file(&ticket), other.file(&ticket)).unwrap();
        let _ = next_visit(&other, version).expect_text("Reused, ");
    }
}

#[test]
fn other_keys_in_the_file_end_every_session_and_no_connection_fails() {
    let mut lab = with_shared_keys(&Site::new()).start();
    for version in VERSIONS {
        first_visit(&lab, version);
    }
    std::fs::write(lab.file("tickets.key"), "ab".repeat(32)).unwrap();
    lab.restart();
    for version in VERSIONS {
        let _ = next_visit(&lab, version).expect_text("New, ").expect_no_text("Reused, ");
    }
}

#[test]
fn keys_that_went_to_the_second_place_still_go_on_with_their_sessions() {
    let mut lab = with_shared_keys(&Site::new()).start();
    for version in VERSIONS {
        first_visit(&lab, version);
    }
    std::fs::write(lab.file("tickets.key"), "ab".repeat(32) + "\n" + SECRET).unwrap();
    lab.restart();
    for version in VERSIONS {
        let _ = next_visit(&lab, version).expect_text("Reused, ");
    }
}
