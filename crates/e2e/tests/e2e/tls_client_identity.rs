//! Who a client is by its certificate: told to servers and to the access log, never by the client itself.

use aws_lc_rs::digest::{SHA256, digest};
use ropeway_e2e::h2::{Block, Connection};
use ropeway_e2e::openssl::s_client;
use ropeway_e2e::tls::{Authority, Identity};
use ropeway_e2e::tls_site::{HOST, Site, TLS};
use ropeway_e2e::{Lab, Output, Program, Request, Running, eventually, lab};
use serde_json::Value;

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

const FIELDS: [&str; 3] = ["x-client-cert-subject", "x-client-cert-san", "x-client-cert-fingerprint"];

/// A host that asks clients for certificates, and the authority of these.
struct Club {
    site: Site,
    clients: Authority,
}

impl Club {
    fn new() -> Self {
        Self { site: Site::new(), clients: Authority::new("Clients' CA") }
    }

    /// With more settings of `client_auth`.
    fn lab(&self, mode: &str, more: &str) -> Lab {
        let asks = format!("client_auth = {{ mode = \"{mode}\", ca = \"clients.pem\"{more} }}");
        let tls = TLS.replace(" }\n", &format!(", identity_headers = true, {asks} }}\n"));
        let log = "[log.access]\nformat = \"json\"\noutput = \"@dir/access.log\"\n";
        self.site
            .lab_with("")
            .config(&(lab::file(&tls, "", "") + log))
            .file("clients.pem", &self.clients.pem())
            .origins(1)
    }
}

/// Puts a client's certificate where `s_client` and curl find it.
fn give(lab: &Running, name: &str, identity: &Identity) {
    std::fs::write(lab.file(&format!("{name}.pem")), &identity.cert).unwrap();
    std::fs::write(lab.file(&format!("{name}.key")), &identity.key).unwrap();
}

/// Options of `s_client`.
fn shows(name: &str) -> String {
    format!("-cert @dir/{name}.pem -key @dir/{name}.key")
}

/// A request that claims to be somebody else, in every spelling and every place.
fn forged_request() -> String {
    let spellings = ["X-Client-Cert-Subject", "x-client-cert-san", "X_CLIENT_CERT_FINGERPRINT"];
    let claims: String = spellings.iter().map(|name| format!("{name}: forged\r\n")).collect();
    format!(
        "POST /forged HTTP/1.1\r\nHost: {HOST}\r\n{claims}{claims}\
         Connection: close, X-Client-Cert-Subject, X-Client-Cert-SAN, X-Client-Cert-Fingerprint\r\n\
         Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n{claims}\r\n"
    )
}

/// Asserts who the server was told that the client is, and that nobody else was named to it.
#[track_caller]
fn expect_identity(request: &Request, identity: Option<(&str, &Identity)>) {
    let told: Vec<(String, String)> = request
        .fields
        .iter()
        .chain(&request.body.trailers)
        .map(|(name, value)| (name.to_ascii_lowercase().replace('_', "-"), value.clone()))
        .filter(|(name, _)| name.starts_with("x-client-cert"))
        .collect();
    let expected = identity.map(|(name, identity)| {
        let fingerprint: String =
            digest(&SHA256, &identity.der()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        [format!("CN={name}"), format!("DNS:{name}.clients.example"), fingerprint]
    });
    let expected = expected.into_iter().flatten();
    let expected: Vec<(String, String)> = FIELDS.into_iter().map(str::to_owned).zip(expected).collect();
    assert_eq!(told, expected);
}

/// The records of the access log, of which there are so many.
fn records(lab: &Running, count: usize) -> Vec<Value> {
    eventually("the access log", || {
        let text = std::fs::read_to_string(lab.file("access.log")).unwrap_or_default();
        let records: Vec<Value> = text.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
        (records.len() >= count).then_some(records)
    })
}

#[test]
fn servers_and_the_log_are_told_who_a_client_is_and_never_by_itself() {
    let club = Club::new();
    let alice = club.clients.issue_client("alice");
    for version in VERSIONS {
        let lab = club.lab("required", "").start();
        give(&lab, "alice", &alice);
        let options = format!("{version} {}", shows("alice"));
        let _ = s_client(&lab, HOST, &options).input(forged_request()).run().expect_text("HTTP/1.1 200 ");
        expect_identity(&lab.origin(1).only_request(), Some(("alice", &alice)));
        assert!(!lab.origin(1).saw(b"forged\r\n"), "a claim of the client arrived");
        assert_eq!(records(&lab, 1)[0]["client_subject"], "CN=alice");
    }
}

#[test]
fn a_resumed_session_is_still_the_one_of_its_client() {
    let club = Club::new();
    let alice = club.clients.issue_client("alice");
    for version in VERSIONS {
        let lab = club.lab("required", "").start();
        give(&lab, "alice", &alice);
        let first = format!("{version} -sess_out @dir/ticket {}", shows("alice"));
        let _ = s_client(&lab, HOST, &first).run().expect_text("New, ").expect_text("HTTP/1.1 200 ");
        // The certificate is not shown again: the ticket says who it was.
        let second = format!("{version} -sess_in @dir/ticket");
        let _ = s_client(&lab, HOST, &second).run().expect_text("Reused, ").expect_text("HTTP/1.1 200 ");
        for request in lab.origin(1).wait_for_requests(2) {
            expect_identity(&request, Some(("alice", &alice)));
        }
        assert_eq!(records(&lab, 2)[1]["client_subject"], "CN=alice");
    }
}

#[test]
fn a_client_without_a_certificate_is_nobody_whatever_it_claims() {
    let lab = Club::new().lab("optional", "").start();
    for (number, version) in VERSIONS.into_iter().enumerate() {
        let _ = s_client(&lab, HOST, version).input(forged_request()).run().expect_text("HTTP/1.1 200 ");
        expect_identity(&lab.origin(1).wait_for_requests(number + 1)[number], None);
        assert_eq!(records(&lab, number + 1)[number].get("client_subject"), None);
    }
    assert!(!lab.origin(1).saw(b"forged\r\n"), "a claim of the client arrived");
}

/// A server cannot tell by which listener a request came: what it trusts from one must not pass by another.
#[test]
fn threat_32_a_listener_without_certificates_lets_nobody_claim_an_identity_either() {
    let plain = "[listener.plain]\nbind = \"127.0.0.1:0\"\nhttp2 = { prior_knowledge = true }\n";
    let club = Club::new();
    let tls = TLS.replace(
        " }\n",
        ", identity_headers = true, client_auth = { mode = \"optional\", ca = \"clients.pem\" } }\n",
    );
    let lab = club
        .site
        .lab_with("")
        .config(&(lab::file(&tls, "", "") + plain))
        .file("clients.pem", &club.clients.pem())
        .origins(1)
        .start();
    let answer = lab.client_of("plain").converse(forged_request().as_bytes());
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    expect_identity(&lab.origin(1).wait_for_requests(1)[0], None);
    let claim = Block::get("/").field("x-client-cert-subject", "forged").field("x_client_cert_san", "forged");
    let mut connection = Connection::open(&lab.client_of("plain"));
    let stream = connection.start(claim);
    let _ = connection.response(stream).expect(200);
    expect_identity(&lab.origin(1).wait_for_requests(2)[1], None);
    assert!(!lab.origin(1).saw(b"forged\r\n"), "a claim of the client arrived");
}

/// Where no listener tells who a client is, the names mean nothing.
#[test]
fn without_identity_headers_the_fields_are_like_any_other() {
    let lab = Lab::new().origins(1).start();
    let _ = lab.client().field("X-Client-Cert-Subject", "CN=bob").get("/").expect(200);
    assert_eq!(lab.origin(1).only_request().field("x-client-cert-subject").as_deref(), Some("CN=bob"));
}

/// A request by curl, with HTTP/2, that claims to be somebody else.
fn curl(lab: &Running, arguments: &[&str]) -> Output {
    let port = lab.proxy.address("web").port();
    let directory = lab.file("").to_string_lossy().into_owned();
    Program::new("curl --silent --show-error --http2 --cacert")
        .argument(lab.file("ca.pem"))
        .args(["--write-out", " %{http_version}", "--resolve", &format!("{HOST}:{port}:127.0.0.1")])
        .args(["--header", "X-Client-Cert-Subject: forged", "--header", "x_client_cert_san: forged"])
        .args(arguments.iter().map(|argument| argument.replace("@dir", &directory)))
        .argument(format!("https://{HOST}:{port}/"))
        .run()
}

#[test]
fn the_same_is_true_with_http2() {
    let club = Club::new();
    let alice = club.clients.issue_client("alice");
    let lab = club.lab("optional", "").start();
    give(&lab, "alice", &alice);
    let shown = ["--cert", "@dir/alice.pem", "--key", "@dir/alice.key"];
    assert_eq!(curl(&lab, &shown).expect_success().text(), "1 2");
    assert_eq!(curl(&lab, &[]).expect_success().text(), "1 2");
    let requests = lab.origin(1).wait_for_requests(2);
    expect_identity(&requests[0], Some(("alice", &alice)));
    expect_identity(&requests[1], None);
    let records = records(&lab, 2);
    assert_eq!((&records[0]["client_subject"], records[1].get("client_subject")), (&"CN=alice".into(), None));
    assert_eq!(records[0]["protocol"], "HTTP/2.0");
}

#[test]
fn one_that_was_revoked_is_refused_and_its_tickets_are_void() {
    let club = Club::new();
    let (alice, mallory) = (club.clients.issue_client("alice"), club.clients.issue_client("mallory"));
    for version in VERSIONS {
        let lab = club
            .lab("required", ", crl = \"revoked.crl\"")
            .file("revoked.crl", &club.clients.revoke(&[]))
            .start();
        give(&lab, "alice", &alice);
        give(&lab, "mallory", &mallory);
        let visit = |name: &str, ticket: &str| {
            s_client(&lab, HOST, &format!("{version} {ticket} {}", shows(name))).run()
        };
        let _ = visit("mallory", "-sess_out @dir/ticket").expect_text("HTTP/1.1 200 ");
        let _ = visit("mallory", "-sess_in @dir/ticket").expect_text("Reused, ");
        std::fs::write(lab.file("revoked.crl"), club.clients.revoke(&[&mallory])).unwrap();
        let _ = lab.admin().post("/api/reload", "{}").expect(200);
        for ticket in ["", "-sess_in @dir/ticket"] {
            let refused = visit("mallory", ticket).expect_no_text("HTTP/1.1 200 ").expect_no_text("Reused, ");
            assert!(refused.err.contains("certificate revoked"), "{}", refused.err);
        }
        let _ = visit("alice", "").expect_text("HTTP/1.1 200 ");
        assert_eq!(lab.origin(1).count(), 3, "nothing of the refused arrived");
    }
}

#[test]
fn a_list_that_changes_by_itself_counts_without_a_reload() {
    let club = Club::new();
    let mallory = club.clients.issue_client("mallory");
    let lab = club
        .lab("required", ", crl = \"revoked.crl\"")
        .file("revoked.crl", &club.clients.revoke(&[]))
        .start();
    give(&lab, "mallory", &mallory);
    let visit = || s_client(&lab, HOST, &shows("mallory")).run();
    let _ = visit().expect_text("HTTP/1.1 200 ");
    std::fs::write(lab.file("revoked.crl"), club.clients.revoke(&[&mallory])).unwrap();
    eventually("the revoked client is refused", || visit().err.contains("certificate revoked").then_some(()));
}

#[test]
fn a_stranger_and_a_client_without_a_certificate_are_refused_where_one_is_required() {
    let club = Club::new();
    let lab = club.lab("required", "").start();
    give(&lab, "stranger", &Authority::new("Another CA").issue_client("alice"));
    for version in VERSIONS {
        let stranger = s_client(&lab, HOST, &format!("{version} {}", shows("stranger"))).run();
        let nobody = s_client(&lab, HOST, version).run();
        for refused in [stranger, nobody] {
            let refused = refused.expect_no_text("HTTP/1.1 ");
            assert!(refused.err.contains("alert"), "{}", refused.err);
        }
    }
    assert_eq!(lab.origin(1).connections(), 0);
}
