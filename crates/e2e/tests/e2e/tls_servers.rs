//! TLS towards servers: who is believed, and who is not.

use ropeway_e2e::tls::{Authority, Identity, ServerSide};
use ropeway_e2e::{Lab, Origin, Running, reply};

const HOST: &str = "app.lab.example";
const NAME: &str = "server_name = \"app.lab.example\"";

fn answering(server: &ServerSide) -> Origin {
    Origin::answering(|_| reply(200, &[], "1")).with_tls(server.config())
}

/// One server behind TLS, reached with these settings; `ca.pem`, and `client.pem` and `client.key`, are beside the file.
fn reached(server: Origin, authority: &Authority, client: Option<&Identity>, tls: &str) -> Running {
    let mut lab = Lab::new().origin(server).file("ca.pem", &authority.pem());
    if let Some(client) = client {
        lab = lab.identity("client", client);
    }
    lab.with("", "", &format!("tls = {{ {tls} }}")).start()
}

#[track_caller]
fn expect_refused(lab: &Running) {
    let response = lab.client().get("/a");
    assert_eq!(response.status, 502, "{}", response.text());
    assert!(response.text().contains("TLS handshake with the server failed"), "{}", response.text());
    assert_eq!(lab.origin(1).requests().len(), 0, "it got no request");
}

#[test]
fn a_server_of_a_known_authority_is_believed() {
    let authority = Authority::new("Test CA");
    for identity in
        [authority.issue(&[HOST]), authority.issue_rsa(&[HOST]), authority.issue(&["*.lab.example"])]
    {
        let server = answering(&ServerSide::new(&identity));
        let lab = reached(server, &authority, None, &format!("ca = \"ca.pem\", {NAME}"));
        for _ in 0..3 {
            let _ = lab.client().get("/a").expect(200).expect_body("1");
        }
    }
}

/// Verification is on unless it is switched off.
#[test]
fn a_server_that_cannot_be_verified_gets_no_request() {
    let authority = Authority::new("Test CA");
    let stranger = Authority::new("Stranger");
    let cases = [
        (authority.issue(&[HOST]), NAME.to_owned()),
        (stranger.issue(&[HOST]), format!("ca = \"ca.pem\", {NAME}")),
        (authority.issue(&["other.example"]), format!("ca = \"ca.pem\", {NAME}")),
        (authority.issue(&["a.b.example"]), "ca = \"ca.pem\", server_name = \"b.example\"".to_owned()),
        (authority.issue_expired(&[HOST]), format!("ca = \"ca.pem\", {NAME}")),
        (authority.issue(&[HOST]), "ca = \"ca.pem\"".to_owned()),
    ];
    for (identity, tls) in cases {
        expect_refused(&reached(answering(&ServerSide::new(&identity)), &authority, None, &tls));
    }
}

#[test]
fn without_verification_anybody_is_believed() {
    let authority = Authority::new("Test CA");
    let identity = authority.issue_expired(&["other.example"]);
    let lab = reached(answering(&ServerSide::new(&identity)), &authority, None, "verify = false");
    let _ = lab.client().get("/a").expect(200).expect_body("1");
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_ours() {
    let authority = Authority::new("Test CA");
    let server = || answering(&ServerSide::new(&authority.issue(&[HOST])).clients_of(&authority));
    let known = format!("ca = \"ca.pem\", {NAME}");
    let shown = format!("{known}, client = {{ cert = \"client.pem\", key = \"client.key\" }}");
    let client = authority.issue_client("proxy");
    let lab = reached(server(), &authority, Some(&client), &shown);
    let _ = lab.client().get("/a").expect(200).expect_body("1");
    let lab = reached(server(), &authority, None, &known);
    assert_eq!(lab.client().get("/a").status, 502);
    assert_eq!(lab.origin(1).requests().len(), 0);
}

#[test]
fn bodies_of_any_size_pass() {
    let authority = Authority::new("Test CA");
    let server = Origin::answering(|request| {
        let body = String::from_utf8_lossy(&request.body.data).into_owned();
        reply(200, &[], &body)
    });
    let server = server.with_tls(ServerSide::new(&authority.issue(&[HOST])).config());
    let lab = reached(server, &authority, None, &format!("ca = \"ca.pem\", {NAME}"));
    for size in [0, 1, 16_384, 16_385, 3_000_000] {
        let body = "x".repeat(size);
        let response = lab.client().request("POST", "/echo", &body).expect(200);
        assert!(response.text() == body, "{size}");
    }
}
