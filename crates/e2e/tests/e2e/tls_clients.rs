//! HTTP/1.1 over TLS, with clients of which every record is under control.

use std::io::{self, Write};
use std::net::TcpStream;

use ropeway_e2e::tls::ClientSide;
use ropeway_e2e::tls_site::{HOST, Site};
use ropeway_e2e::wire::Wire;
use ropeway_e2e::{Gate, Lab, Load, Origin, reply};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, ProtocolVersion, StreamOwned};

/// Bytes of which no two places look alike for long.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn both_versions_of_tls_carry_requests() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    for (version, agreed) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let config = ClientSide::trusting(&site.authority).version(version).config();
        let mut connection = lab.client().tls(&config, HOST).connect();
        let _ = connection.get("/").expect(200).expect_body("1");
        let session = connection.wire.session();
        assert_eq!(session.protocol_version(), Some(agreed));
        assert_eq!(session.alpn_protocol(), Some(b"http/1.1".as_slice()));
    }
}

#[test]
fn servers_are_told_that_the_client_came_by_https() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    let _ = site.client(&lab).get("/").expect(200);
    let request = lab.origin(1).only_request();
    assert_eq!(request.field("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(request.field("x-forwarded-host").as_deref(), Some(HOST));
    assert_eq!(request.field("host").as_deref(), Some(HOST));
}

#[test]
fn fifty_megabytes_go_each_way_unharmed() {
    let site = Site::new();
    let body = noise(50_000_000);
    let lab = site
        .lab("")
        .origin(Origin::answering(|request| {
            let mut answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.data.len())
                    .into_bytes();
            answer.extend_from_slice(&request.body.data);
            answer
        }))
        .start();
    let mut connection = site.client(&lab).connect();
    connection.send(format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n", body.len()));
    connection.send(&body);
    let response = connection.receive().expect(200);
    assert!(response.body.data == body, "{} bytes of another kind came back", response.body.data.len());
    assert!(lab.origin(1).only_request().body.data == body, "the origin received other bytes");
}

#[test]
fn many_small_requests_share_a_connection() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    let mut connection = site.client(&lab).connect();
    for _ in 0..2000 {
        let _ = connection.get("/").expect(200).expect_body("1");
    }
    assert_eq!(lab.origin(1).connections(), 1);
    assert_eq!(lab.admin().metric("ropeway_listener_tls_handshakes_total", &[]), 1.0);
}

#[test]
fn pipelined_requests_in_one_record_are_answered_in_order() {
    let site = Site::new();
    let lab = site.lab("").origin(Origin::answering(|request| reply(200, &[], &request.target))).start();
    let mut connection = site.client(&lab).connect();
    let requests: String =
        (0..100).map(|number| format!("GET /{number} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).collect();
    assert!(requests.len() < 16_384, "one record holds them all");
    connection.send(requests);
    for number in 0..100 {
        let _ = connection.receive().expect(200).expect_body(&format!("/{number}"));
    }
}

#[test]
fn pipelined_requests_in_hundreds_of_records_are_answered_in_order() {
    let site = Site::new();
    let lab = site.lab("").origin(Origin::answering(|request| reply(200, &[], &request.target))).start();
    for version in [&TLS12, &TLS13] {
        let config = ClientSide::trusting(&site.authority).version(version).max_fragment(32).config();
        let mut connection = lab.client().tls(&config, HOST).connect();
        let requests: String =
            (0..200).map(|number| format!("GET /{number} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).collect();
        connection.send(requests);
        for number in 0..200 {
            let _ = connection.receive().expect(200).expect_body(&format!("/{number}"));
        }
    }
}

#[test]
fn requests_may_come_along_with_the_end_of_the_handshake() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    for version in [&TLS12, &TLS13] {
        let config = ClientSide::trusting(&site.authority).version(version).config();
        let mut session = ClientConnection::new(config, HOST.try_into().unwrap()).unwrap();
        // Before the handshake is over, the session keeps them.
        for _ in 0..100 {
            write!(session.writer(), "GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n").unwrap();
        }
        write!(session.writer(), "GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").unwrap();
        let stream = TcpStream::connect(lab.proxy.address("web")).unwrap();
        stream.set_read_timeout(Some(ropeway_e2e::wait::PATIENCE)).unwrap();
        let mut answers = String::new();
        io::Read::read_to_string(&mut StreamOwned::new(session, Corked::new(stream)), &mut answers).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 101, "{version:?}");
    }
}

/// Sends what was written when an answer is waited for, in one piece.
struct Corked {
    stream: TcpStream,
    written: Vec<u8>,
}

impl Corked {
    fn new(stream: TcpStream) -> Self {
        Self { stream, written: Vec::new() }
    }
}

impl Write for Corked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Read for Corked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.write_all(&std::mem::take(&mut self.written))?;
        self.stream.read(into)
    }
}

#[test]
fn one_request_may_come_in_a_record_for_every_few_bytes() {
    let site = Site::new();
    for version in [&TLS12, &TLS13] {
        let lab = site.lab("").origins(1).start();
        let config = ClientSide::trusting(&site.authority).version(version).max_fragment(32).config();
        let mut connection = lab.client().tls(&config, HOST).field("X-Long", &"y".repeat(5000)).connect();
        connection.send_request("POST", "/pieces", &"z".repeat(5000));
        let _ = connection.receive().expect(200);
        let request = lab.origin(1).only_request();
        assert_eq!(request.field("x-long").map(|value| value.len()), Some(5000));
        assert_eq!(request.text(), "z".repeat(5000));
    }
}

#[test]
fn one_byte_for_each_record_and_each_segment() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    let mut connection = site.client(&lab).connect();
    for byte in format!("GET /bytes HTTP/1.1\r\nHost: {HOST}\r\n\r\n").bytes() {
        connection.send([byte]);
    }
    let _ = connection.receive().expect(200);
    assert_eq!(lab.origin(1).only_request().target, "/bytes");
}

/// Lets the ciphertext of a connection through a byte at a time.
struct Dribble(TcpStream);

impl Write for Dribble {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl io::Read for Dribble {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(7);
        self.0.read(&mut into[..most])
    }
}

#[test]
fn handshake_and_records_may_be_torn_apart_at_every_byte() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    for version in [&TLS12, &TLS13] {
        let config = ClientSide::trusting(&site.authority).version(version).config();
        let stream = TcpStream::connect(lab.proxy.address("web")).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(ropeway_e2e::wait::PATIENCE)).unwrap();
        let session = ClientConnection::new(config, HOST.try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(session, Dribble(stream));
        write!(stream, "GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n1"), "{answer}");
    }
}

#[test]
fn the_proxy_announces_the_end_of_a_connection() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    for version in [&TLS12, &TLS13] {
        let config = ClientSide::trusting(&site.authority).version(version).config();
        let mut connection = lab.client().tls(&config, HOST).field("Connection", "close").connect();
        let _ = connection.get("/").expect(200);
        // An end without close_notify would be an error of the harness.
        connection.expect_end();
    }
}

#[test]
fn an_idle_connection_ends_with_close_notify() {
    let site = Site::new();
    let lab = site.lab("timeout = { idle = \"50ms\" }\n").origins(1).start();
    let mut connection = site.client(&lab).connect();
    let _ = connection.get("/").expect(200);
    connection.expect_end();
}

#[test]
fn a_client_that_announced_its_end_still_gets_its_answer() {
    for connection_field in ["", "Connection: close\r\n"] {
        let site = Site::new();
        let gate = Gate::new();
        let door = gate.clone();
        let lab = site
            .lab("")
            .origin(Origin::answering(move |_| {
                door.wait();
                reply(200, &[], "late")
            }))
            .start();
        let mut connection = site.client(&lab).connect();
        connection.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{connection_field}\r\n"));
        lab.origin(1).wait_for_requests(1);
        connection.wire.send_close_notify();
        gate.open();
        let _ = connection.receive().expect(200).expect_body("late");
        connection.expect_end();
    }
}

/// A client that is told to speak HTTP/1.0 may ask for nothing else.
#[test]
fn a_client_that_asks_for_http_1_0_is_served() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    let config = ClientSide::trusting(&site.authority).alpn(&["http/1.0"]).config();
    let mut connection = lab.client().tls(&config, HOST).connect();
    connection.send(format!("GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n"));
    let _ = connection.receive().expect(200).expect_body("1");
}

#[test]
fn a_client_that_ends_its_sending_side_still_gets_its_answer() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    let mut connection = site.client(&lab).connect();
    connection.send_get("/").half_close();
    let _ = connection.receive().expect(200).expect_body("1");
    connection.expect_end();
}

#[test]
fn a_body_that_is_cut_off_is_never_taken_for_whole() {
    let site = Site::new();
    let lab = site.lab("").origin(Origin::scripted(|peer| {
        let _ = peer.request_head();
        let _ = peer.wait_for_end();
    }));
    let lab = lab.start();
    let mut connection = site.client(&lab).connect();
    connection
        .send(format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"));
    lab.origin(1).wait_for_requests(1);
    // The end of the stream without close_notify: anybody on the way could have made it.
    connection.wire.stream().shutdown(std::net::Shutdown::Write).unwrap();
    ropeway_e2e::eventually("the origin's connection ends", || {
        (lab.origin(1).open_connections() == 0).then_some(())
    });
    assert!(!lab.origin(1).saw(b"\r\n0\r\n"), "the body was completed");
}

#[test]
fn a_response_until_the_end_is_distinguishable_from_one_cut_off() {
    let site = Site::new();
    let lab = site
        .lab("")
        .origin(Origin::scripted(|peer| {
            let Some(request) = peer.request() else { return };
            if request.target == "/whole" {
                peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwhole");
            } else {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
            }
        }))
        .start();
    let whole = site.client(&lab).get("/whole").expect(200);
    assert_eq!(whole.text(), "whole");
    let mut connection = site.client(&lab).connect();
    connection.send_get("/half");
    let broken = connection.try_receive("GET").expect_err("a body of 100 bytes of which 4 came");
    assert_eq!(broken.response.map(|response| response.text()).as_deref(), Some("half"));
}

#[test]
fn plain_http_is_told_so() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    let mut connection = lab.connect();
    let response = connection.get("/").expect(400);
    assert!(response.text().contains("HTTPS"), "{}", response.text());
    connection.expect_end();
    assert_eq!(lab.origin(1).connections(), 0);
    let _ = site.client(&lab).get("/").expect(200);
}

#[test]
fn http_is_redirected_to_https() {
    let lab = Lab::new().with("redirect_https = true\n", "", "").origins(1).start();
    for (host, location) in [
        ("shop.example", "https://shop.example/a/b?c=d&e"),
        ("shop.example:8080", "https://shop.example/a/b?c=d&e"),
        ("[::1]:8080", "https://[::1]/a/b?c=d&e"),
    ] {
        let response = lab.client().host(host).get("/a/b?c=d&e").expect(308);
        assert_eq!(response.field("location").as_deref(), Some(location));
    }
    let _ = lab.client().request("POST", "/form", "a=b").expect(308);
    assert_eq!(lab.origin(1).connections(), 0);
}

/// An address that nobody can go to is worse than none.
#[test]
fn what_names_no_address_is_not_redirected_to_one() {
    let lab = Lab::new().with("redirect_https = true\n", "", "").origins(1).start();
    let star = lab.client().host("shop.example").request("OPTIONS", "*", "").expect(308);
    assert_eq!(star.field("location").as_deref(), Some("https://shop.example"));
    let mut connection = lab.connect();
    connection.send("GET / HTTP/1.0\r\n\r\n");
    let nameless = connection.receive().expect(400);
    assert_eq!(nameless.field("location"), None);
}

#[test]
fn hsts_is_on_every_response_over_tls() {
    let site = Site::new();
    let lab = site
        .lab("hsts = \"365d\"\n")
        .origin(Origin::answering(|_| reply(200, &[("Strict-Transport-Security", "max-age=1")], "")))
        .start();
    let expected = Some("max-age=31536000".to_owned());
    assert_eq!(site.client(&lab).get("/").expect(200).field("strict-transport-security"), expected);
    let response = site.client(&lab).host("a b").get("/").expect(400);
    assert_eq!(response.field("strict-transport-security"), expected, "on our own responses too");
}

#[test]
fn hsts_says_all_that_was_asked_for() {
    let site = Site::new();
    let lab = site
        .lab("hsts = { max_age = \"30d\", include_subdomains = true, preload = true }\n")
        .origins(1)
        .start();
    let value = site.client(&lab).get("/").expect(200).field("strict-transport-security");
    assert_eq!(value.as_deref(), Some("max-age=2592000; includeSubDomains; preload"));
}

#[test]
fn sessions_are_resumed_in_both_versions() {
    let site = Site::new();
    for version in [&TLS12, &TLS13] {
        let lab = site.lab("").origins(1).start();
        let client = lab.client().tls(&ClientSide::trusting(&site.authority).version(version).config(), HOST);
        for visit in 0..3 {
            let mut connection = client.connect();
            let _ = connection.get("/").expect(200);
            let resumed = connection.wire.session().handshake_kind() == Some(rustls::HandshakeKind::Resumed);
            assert_eq!(resumed, visit > 0, "{version:?}, visit {visit}");
        }
        assert_eq!(lab.admin().metric("ropeway_listener_tls_resumed_total", &[]), 2.0);
    }
}

#[test]
fn load_over_tls_loses_nothing() {
    let site = Site::new();
    let lab = site.lab("").workers(2).origins(3).start();
    let load = Load::start(&site.client(&lab), 8);
    load.run_for(2000);
    let report = load.stop();
    report.expect_no_failure();
    assert_eq!(report.bodies.len(), 3);
}

#[test]
fn a_tunnel_ends_with_close_notify() {
    let site = Site::new();
    let lab = site
        .lab("")
        .origin(Origin::scripted(|peer| {
            let _ = peer.request_head();
            peer.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello",
            );
        }))
        .start();
    let mut connection = site.client(&lab).connect();
    connection
        .send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"));
    let _ = connection.receive_head().expect(101);
    assert_eq!(connection.rest(), b"hello");
}

#[test]
fn nobody_is_held_up_by_a_client_that_says_nothing() {
    let site = Site::new();
    let lab = site.lab("").origins(1).start();
    let address = lab.proxy.address("web");
    let silent: Vec<Wire> = (0..100).map(|_| Wire::new(TcpStream::connect(address).unwrap())).collect();
    let _ = site.client(&lab).get("/").expect(200);
    drop(silent);
}
