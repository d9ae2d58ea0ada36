//! TLS towards servers: who is believed, and who is not.

use ropeway_e2e::h2::Listener;
use ropeway_e2e::lab::file;
use ropeway_e2e::program::Server;
use ropeway_e2e::tls::{Authority, Identity, ServerSide};
use ropeway_e2e::{Lab, Origin, Program, Running, eventually, reply};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

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

#[test]
fn a_reload_that_changes_nothing_about_servers_keeps_their_connections() {
    let authority = Authority::new("Test CA");
    let server = ServerSide::new(&authority.issue(&[HOST]));
    let tls = format!("tls = {{ ca = \"ca.pem\", {NAME} }}\nkeep_alive = {{ idle = \"1m\" }}");
    let config = |listener: &str| file(listener, "", &tls);
    let lab =
        Lab::new().origin(answering(&server)).file("ca.pem", &authority.pem()).config(&config("")).start();
    let _ = lab.client().get("/").expect(200);
    lab.reload(&config("server_name_header = \"x-served-by\""));
    let answer = lab.client().get("/").expect(200);
    assert!(answer.field("x-served-by").is_some(), "by the new configuration");
    assert_eq!(lab.origin(1).connections(), 1);
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
    expect_refused(&lab);
    eventually("a warning that says why", || {
        let told =
            |line: &String| line.contains("TLS handshake with") && line.contains("CertificateRequired");
        lab.proxy.lines().iter().any(told).then_some(())
    });
}

#[test]
fn a_server_of_http2_that_asks_in_vain_for_a_certificate_has_refused_the_handshake() {
    let authority = Authority::new("Test CA");
    let server = ServerSide::new(&authority.issue(&[HOST])).alpn(&["h2"]).clients_of(&authority);
    let tls = format!("tls = {{ ca = \"ca.pem\", {NAME} }}\nprotocol = \"h2\"");
    let lab = Lab::new().origin(answering(&server)).file("ca.pem", &authority.pem()).with("", "", &tls);
    expect_refused(&lab.start());
}

#[test]
fn a_server_that_does_not_go_on_with_its_handshake_is_told_from_one_that_is_not_there() {
    for protocol in ["http1", "h2"] {
        let silent = Listener::new();
        let tls = "tls = { verify = false, handshake_timeout = \"200ms\" }";
        let upstream = format!("{tls}\nprotocol = \"{protocol}\"\nretry = {{ attempts = 0 }}");
        let config = file("", "", &upstream).replace("@all", &format!("\"{}\"", silent.address()));
        let lab = Lab::new().config(&config).start();
        let mut client = lab.connect();
        client.send_get("/");
        let _held = silent.tcp();
        let response = client.receive().expect(502);
        assert!(response.text().contains("TLS handshake with the server failed"), "{}", response.text());
    }
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

/// Servers whose keys are known.
mod pins {
    use super::*;

    fn pinned(server: &Identity, ca: &Authority, verify: &str, pins: &[&str]) -> Running {
        let pins: Vec<String> = pins.iter().map(|pin| format!("\"{pin}\"")).collect();
        let tls = format!("{verify}, {NAME}, pins = [{}]", pins.join(", "));
        reached(answering(&ServerSide::new(server)), ca, None, &tls)
    }

    const VERIFIED: &str = "ca = \"ca.pem\"";
    const UNVERIFIED: &str = "verify = false";

    #[test]
    fn a_server_with_one_of_the_keys_is_believed() {
        let authority = Authority::new("Test CA");
        let (server, old) = (authority.issue(&[HOST]), authority.issue(&[HOST]));
        let rsa = authority.issue_rsa(&[HOST]);
        for (server, pins) in [
            (&server, vec![server.pin()]),
            (&server, vec![old.pin(), server.pin()]),
            (&rsa, vec![rsa.pin(), server.pin()]),
        ] {
            let pins: Vec<&str> = pins.iter().map(String::as_str).collect();
            let lab = pinned(server, &authority, VERIFIED, &pins);
            let _ = lab.client().get("/a").expect(200).expect_body("1");
        }
    }

    /// Anybody can send the certificate of an authority along.
    #[test]
    fn a_server_with_another_key_gets_no_request() {
        let authority = Authority::new("Test CA");
        let (server, other) = (authority.issue(&[HOST]), authority.issue(&[HOST]));
        for (verify, pin) in [(VERIFIED, other.pin()), (VERIFIED, authority.pin()), (UNVERIFIED, other.pin())]
        {
            expect_refused(&pinned(&server, &authority, verify, &[&pin]));
        }
    }

    /// A pin takes nothing away from what is verified otherwise.
    #[test]
    fn a_pinned_server_must_be_certified_too() {
        let authority = Authority::new("Test CA");
        let stranger = Authority::new("Stranger").issue(&[HOST]);
        expect_refused(&pinned(&stranger, &authority, VERIFIED, &[&stranger.pin()]));
        let other = authority.issue(&["other.example"]);
        expect_refused(&pinned(&other, &authority, VERIFIED, &[&other.pin()]));
    }

    #[test]
    fn without_verification_the_key_is_all_that_counts() {
        let stranger = Authority::new("Stranger").issue_expired(&["other.example"]);
        let lab = pinned(&stranger, &Authority::new("Test CA"), UNVERIFIED, &[&stranger.pin()]);
        let _ = lab.client().get("/a").expect(200).expect_body("1");
    }

    #[test]
    fn operators_are_told_of_a_key_that_is_not_pinned() {
        let authority = Authority::new("Test CA");
        let (server, other) = (authority.issue(&[HOST]), authority.issue(&[HOST]));
        let tls = format!("tls = {{ ca = \"ca.pem\", {NAME}, pins = [\"{}\"] }}", other.pin());
        let config = file("", "", &tls) + "[log.access]\nformat = \"json\"\noutput = \"@dir/access.log\"\n";
        let lab = Lab::new()
            .origin(answering(&ServerSide::new(&server)))
            .file("ca.pem", &authority.pem())
            .config(&config)
            .start();
        expect_refused(&lab);
        let record = eventually("a record", || {
            let text = std::fs::read_to_string(lab.file("access.log")).unwrap_or_default();
            serde_json::from_str::<serde_json::Value>(text.lines().next()?).ok()
        });
        assert_eq!(record["reason"], "server_tls_failed", "{record}");
        eventually("a warning that names the server and the reason", || {
            let server = lab.origin(1).address().to_string();
            let lines = lab.proxy.lines();
            let told =
                |line: &String| line.contains(&server) && line.contains("its key is not among the pins");
            lines.iter().any(told).then_some(())
        });
    }

    /// What the documentation tells to type.
    #[test]
    fn openssl_computes_the_same_hash() {
        let authority = Authority::new("Test CA");
        let server = authority.issue(&[HOST]);
        let command = "openssl x509 -pubkey -noout | openssl pkey -pubin -outform der \
                       | openssl dgst -sha256 -binary | base64";
        let output = Program::new("sh -c").argument(command).input(&server.cert).run().expect_success();
        assert_eq!(format!("sha256/{}", output.text().trim()), server.pin());
    }
}

/// A handshake that goes on with an earlier session costs a server little.
mod sessions {
    use super::*;

    const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

    /// Says whether its session was resumed, and closes.
    fn telling(server: &ServerSide) -> Origin {
        let origin = Origin::scripted(|peer| {
            let kind = format!("{:?}", peer.wire.session().handshake_kind().unwrap());
            if let Some(request) = peer.request() {
                peer.answer(&request, &reply(200, &[("Connection", "close")], &kind));
                peer.wire.half_close();
            }
        });
        origin.with_tls(server.config())
    }

    #[test]
    fn a_second_connection_resumes_the_session_of_the_first() {
        let authority = Authority::new("Test CA");
        for version in VERSIONS {
            let server = telling(&ServerSide::new(&authority.issue(&[HOST])).version(version));
            let lab = reached(server, &authority, None, &format!("ca = \"ca.pem\", {NAME}"));
            assert_eq!(lab.answers(4), ["Full", "Resumed", "Resumed", "Resumed"], "{version:?}");
        }
    }

    #[test]
    fn openssl_finds_its_sessions_resumed() {
        let authority = Authority::new("Test CA");
        let identity = authority.issue(&[HOST]);
        for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
            let server = Server::openssl(
                &[("server.pem", &identity.cert), ("server.key", &identity.key)],
                &format!("-cert @dir/server.pem -key @dir/server.key {option}"),
            );
            let tls = format!("tls = {{ ca = \"ca.pem\", {NAME} }}");
            let config = file("", "", &tls).replace("@all", &format!("\"{}\"", server.address()));
            let lab = Lab::new().config(&config).file("ca.pem", &authority.pem()).start();
            for kind in ["New", "Reused", "Reused"] {
                let page = lab.client().get("/").expect(200).text();
                assert!(page.contains(&format!("{kind}, {version}")), "not {kind}: {page}");
            }
        }
    }

    /// A session is as good as the handshake that began it: who asks for more than that one did begins anew.
    #[test]
    fn a_session_is_no_way_around_the_rules_of_another_upstream() {
        let authority = Authority::new("Test CA");
        let (server, other) = (authority.issue(&[HOST]), authority.issue(&[HOST]));
        let config = |pin: &str| {
            format!(
                "[listener.web]\nbind = \"127.0.0.1:0\"\n\
                 [[route]]\nmatch = {{ path = \"/strict\" }}\nupstream = \"strict\"\n\
                 [[route]]\nupstream = \"lax\"\n\
                 [upstream.lax]\nservers = [@all]\ntls = {{ ca = \"ca.pem\", {NAME} }}\n\
                 [upstream.strict]\nservers = [@all]\ntls = {{ ca = \"ca.pem\", {NAME}, pins = [\"{pin}\"] }}\n"
            )
        };
        let lab = Lab::new()
            .origin(telling(&ServerSide::new(&server)))
            .file("ca.pem", &authority.pem())
            .config(&config(&other.pin()))
            .start();
        assert_eq!(lab.answers(2), ["Full", "Resumed"]);
        let _ = lab.client().get("/strict").expect(502);

        lab.reload(&config(&server.pin()));
        let answers: Vec<_> = (0..2).map(|_| lab.client().get("/strict").expect(200).text()).collect();
        assert_eq!(answers, ["Full", "Resumed"]);
        lab.reload(&config(&other.pin()));
        let _ = lab.client().get("/strict").expect(502);
    }
}

/// What is agreed on by ALPN (RFC 7301), and who is asked for by SNI (RFC 6066 section 3).
mod agreed {
    use super::*;

    const BOTH: [&str; 2] = ["h2", "http/1.1"];

    fn authority_and_server() -> (Authority, ServerSide) {
        let authority = Authority::new("Test CA");
        let server = ServerSide::new(&authority.issue(&[HOST]));
        (authority, server)
    }

    fn known() -> String {
        format!("ca = \"ca.pem\", {NAME}")
    }

    #[test]
    fn http1_is_spoken_unless_the_upstream_says_otherwise() {
        let (authority, server) = authority_and_server();
        for (offered, agreed) in
            [(&BOTH[..], Some("http/1.1")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
        {
            let origin = Origin::scripted(move |peer| {
                let session = peer.wire.session();
                let rustls::Connection::Server(server) = session else { return };
                let agreed = session.alpn_protocol().map(String::from_utf8_lossy);
                let seen = format!("{:?} {:?}", agreed.as_deref(), server.server_name());
                while let Some(request) = peer.request() {
                    peer.answer(&request, &reply(200, &[], &seen));
                }
            });
            let origin = origin.with_tls(server.clone().alpn(offered).config());
            let lab = reached(origin, &authority, None, &known());
            let seen = format!("{agreed:?} {:?}", Some(HOST));
            assert_eq!(lab.answers(2), [seen.clone(), seen], "{offered:?}");
        }
    }

    #[test]
    fn http2_is_spoken_where_the_server_agrees() {
        let (authority, server) = authority_and_server();
        for offered in [&BOTH[..], &["h2"]] {
            let listener = Listener::new().with_tls(server.clone().alpn(offered).config());
            let lab = http2(&listener.address().to_string(), &authority);
            let mut client = lab.connect();
            client.send_request("POST", "/a", "body");
            let mut connection = listener.accept(&[]);
            let (stream, request) = connection.next_request();
            assert_eq!(connection.exchange(stream).scheme, "https");
            assert_eq!(request.text(), "body");
            connection.answer(stream, "answer");
            let _ = client.receive().expect(200).expect_body("answer");
        }
    }

    /// It would be asked in a language that it does not know.
    #[test]
    fn a_server_that_does_not_agree_on_http2_gets_no_request() {
        let (authority, server) = authority_and_server();
        for offered in [&["http/1.1"][..], &[]] {
            let origin = answering(&server.clone().alpn(offered));
            let lab = http2(&origin.address().to_string(), &authority);
            let response = lab.client().get("/").expect(502);
            assert!(response.text().contains("TLS handshake with the server failed"), "{}", response.text());
            assert_eq!(origin.bytes().concat(), b"", "{offered:?}");
        }
    }

    fn http2(server: &str, authority: &Authority) -> Running {
        let upstream = format!("protocol = \"h2\"\ntls = {{ {} }}", known());
        let config = file("", "", &upstream).replace("@all", &format!("\"{server}\""));
        Lab::new().config(&config).file("ca.pem", &authority.pem()).start()
    }

    /// Where the end of the connection is the end of the response, somebody on the way could make it end.
    #[test]
    fn an_end_that_tls_does_not_announce_is_no_end_of_a_response() {
        let (authority, server) = authority_and_server();
        let origin = Origin::scripted(|peer| {
            let Some(request) = peer.request() else { return };
            peer.send("HTTP/1.1 200 OK\r\n\r\nto the end");
            if request.target == "/announced" {
                peer.wire.send_close_notify();
            }
        });
        let lab = reached(origin.with_tls(server.config()), &authority, None, &known());
        let _ = lab.client().get("/announced").expect(200).expect_body("to the end");
        let broken = lab.connect().try_get("/cut").expect_err("half a response");
        assert_eq!(broken.response.map(|partly| partly.status), Some(200));
    }
}
