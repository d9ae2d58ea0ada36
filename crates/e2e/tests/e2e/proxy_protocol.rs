//! PROXY headers: who a client is behind a balancer that passes TCP on, and whom servers are told about. Threat 35.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use ropeway_e2e::{Lab, Running, eventually};

const TRUSTING: &str = "proxy_protocol = { trusted = [\"127.0.0.0/8\"], timeout = \"500ms\" }";
const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn trusting() -> Running {
    Lab::new().origins(1).with(TRUSTING, "", "").start()
}

/// A header of version 2 for a connection from 192.0.2.7:1000 to 198.51.100.1:443, with `rest` behind the addresses and a
/// length that is wrong by `error`.
fn version_2(rest: &[u8], error: u16) -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 198, 51, 100, 1, 0x03, 0xe8, 0x01, 0xbb];
    let len = u16::try_from(addresses.len() + rest.len()).unwrap() + error;
    [SIGNATURE, &[0x21, 0x11], &len.to_be_bytes(), &addresses, rest].concat()
}

fn ask(lab: &Running, header: &[u8]) -> String {
    let answer = lab.client().converse(&[header, GET].concat());
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_trusted_peer_says_who_the_client_is() {
    let lab = trusting();
    let alpn = [0x01, 0, 2, b'h', b'2'];
    let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 1000 443\r\n".to_vec();
    for header in [line, version_2(&[], 0), version_2(&alpn, 0)] {
        let answer = ask(&lab, &header);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let request = lab.origin(1).requests().pop().unwrap();
        assert_eq!(
            request.field("x-forwarded-for").as_deref(),
            Some("192.0.2.7"),
            "{}",
            header.escape_ascii()
        );
        assert_eq!(request.field("x-forwarded-port").as_deref(), Some("443"));
    }
}

/// A check of the balancer's own.
#[test]
fn a_header_that_speaks_for_nobody_leaves_the_peer_as_it_is() {
    let lab = trusting();
    for header in [&b"PROXY UNKNOWN\r\n"[..], &[SIGNATURE, &[0x20, 0, 0, 0]].concat()] {
        assert!(ask(&lab, header).starts_with("HTTP/1.1 200"));
        let request = lab.origin(1).requests().pop().unwrap();
        assert_eq!(request.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    }
}

#[test]
fn threat_35_a_header_that_is_wrong_or_missing_closes_the_connection() {
    let lab = trusting();
    let long = [b"PROXY TCP4 192.0.2.7 ".as_slice(), &[b'1'; 120], b"\r\n"].concat();
    let wrong_checksum = version_2(&[0x03, 0, 4, 1, 2, 3, 4], 0);
    let beyond_the_end = version_2(&[0x01, 0, 9, b'h'], 0);
    let headers = [
        Vec::new(),
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1000\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.999 198.51.100.1 1000 443\r\n".to_vec(),
        b"proxy TCP4 192.0.2.7 198.51.100.1 1000 443\r\n".to_vec(),
        long,
        wrong_checksum,
        beyond_the_end,
        [SIGNATURE, &[0x31, 0x11, 0, 0]].concat(),
    ];
    for header in headers {
        assert_eq!(ask(&lab, &header), "", "{}", header.escape_ascii());
    }
    assert_eq!(lab.origin(1).requests().len(), 0);
}

/// The header takes in more than itself: what follows is no request any more.
#[test]
fn threat_35_a_length_that_is_too_large_takes_no_request_along() {
    let lab = trusting();
    assert_eq!(ask(&lab, &version_2(&[], 20)), "");
    assert_eq!(lab.origin(1).requests().len(), 0);
}

#[test]
fn threat_35_a_header_that_does_not_come_ends_with_its_time() {
    let lab = trusting();
    let mut connection = lab.connect();
    connection.send(b"PROXY TCP4 192.0.2.7");
    connection.expect_gone();
    let said = "sent no good PROXY header on listener web: it did not come in time";
    eventually("the log says so", || lab.proxy.transcript().contains(said).then_some(()));
}

#[test]
fn threat_35_a_header_from_somebody_else_is_no_request() {
    let strangers = "proxy_protocol = { trusted = [\"192.0.2.0/24\"] }";
    for listener in ["", strangers] {
        let lab = Lab::new().origins(1).with(listener, "", "").start();
        for header in [b"PROXY TCP4 192.0.2.7 198.51.100.1 1000 443\r\n".to_vec(), version_2(&[], 0)] {
            let answer = ask(&lab, &header);
            assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        }
        lab.expect_origin_saw_only(&[]);
        assert!(ask(&lab, b"").starts_with("HTTP/1.1 200"), "without one it is a client like any other");
    }
}

/// Each request has a connection of its own, which begins with the client's name.
#[test]
fn a_server_is_told_who_the_client_is() {
    for (version, expected) in [("v1", &b"PROXY TCP4 127.0.0.1 127.0.0.1 "[..]), ("v2", SIGNATURE)] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = format!(
            "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\nupstream = \"app\"\n\
             [upstream.app]\nservers = [\"{}\"]\nproxy_protocol = \"{version}\"\n",
            server.local_addr().unwrap()
        );
        let lab = Lab::new().config(&config).start();
        let serving = std::thread::spawn(move || {
            let connections = server.incoming().take(2).map(Result::unwrap);
            connections.map(|connection| answer_once(&connection)).collect::<Vec<_>>()
        });
        let mut client = lab.connect();
        for _ in 0..2 {
            let _ = client.get("/a").expect(200);
        }
        for received in serving.join().unwrap() {
            assert!(received.starts_with(expected), "{version}: {}", received.escape_ascii());
            assert!(received.windows(6).any(|window| window == b"GET /a"));
        }
    }
}

/// What a balancer in front of us has said goes on, and what the client's TLS has shown is added.
#[test]
fn a_server_is_told_by_which_names_the_client_came() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\nproxy_protocol = {{ trusted = [\"127.0.0.1\"] }}\n\
         [[route]]\nupstream = \"app\"\n\
         [upstream.app]\nservers = [\"{}\"]\nproxy_protocol = \"v2\"\n",
        server.local_addr().unwrap()
    );
    let lab = Lab::new().config(&config).start();
    let serving = std::thread::spawn(move || answer_once(&server.accept().unwrap().0));
    let vector = |kind: u8, value: &[u8]| [&[kind, 0, u8::try_from(value.len()).unwrap()], value].concat();
    let authority = vector(0x02, b"shop.example");
    let unique_id = vector(0x05, b"balancer 7");
    // Encrypted, without a certificate of the client, of a version that is not told.
    let encrypted = vector(0x20, &[0x01, 0, 0, 0, 1]);
    let mut client = lab.connect();
    client.send(version_2(&[&authority[..], &encrypted, &unique_id].concat(), 0));
    let _ = client.get("/a").expect(200);
    let received = serving.join().unwrap();
    assert!(received.starts_with(&version_2(&[], 0)[..14]), "{}", received.escape_ascii());
    for vector in [authority, encrypted, unique_id, vector(0x01, b"http/1.1")] {
        let is_there = received.windows(vector.len()).any(|window| window == vector);
        assert!(is_there, "{} in {}", vector.escape_ascii(), received.escape_ascii());
    }
}

/// Reads up to the end of a request head, answers it, and gives what was read.
fn answer_once(mut connection: &std::net::TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(connection);
    let mut received = Vec::new();
    let is_head = |bytes: &[u8]| bytes.windows(4).any(|w| w == b"GET ") && bytes.ends_with(b"\r\n\r\n");
    while !is_head(&received) && reader.read_until(b'\n', &mut received).unwrap() > 0 {}
    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    received
}
