//! WebSocket over HTTP/2: extended CONNECT (RFC 8441) here, `Upgrade` at the origin.

use ropeway_e2e::h2::frame::{code::*, data, reset, setting};
use ropeway_e2e::h2::rules::{expect_going_on, lab};
use ropeway_e2e::h2::{Block, Connection};
use ropeway_e2e::{Origin, Peer, Running, eventually, reply};
use tungstenite::handshake::derive_accept_key;

/// Accepts WebSocket and sends back every byte; says `bye` when the client has finished.
fn echoes() -> Origin {
    Origin::scripted(|peer: &mut Peer| {
        let Some(request) = peer.request() else { return };
        if request.field("upgrade").is_none() {
            peer.answer(&request, &reply(200, &[], "ok"));
            return;
        }
        let accept = derive_accept_key(request.field("sec-websocket-key").unwrap_or_default().as_bytes());
        peer.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
        ));
        loop {
            let pending = peer.wire.pending().to_vec();
            let _ = peer.wire.exactly(pending.len());
            peer.send(pending);
            if !matches!(peer.wire.fill(), Ok(1..)) {
                peer.send("bye");
                return;
            }
        }
    })
}

fn connected(origin: Origin) -> (Running, Connection) {
    let lab = lab(origin).start();
    let connection = Connection::open(&lab.client());
    (lab, connection)
}

fn open(connection: &mut Connection) -> u32 {
    let block = Block::extended_connect("websocket", "/chat").field("sec-websocket-protocol", "chat");
    let stream = connection.start_with_body(block);
    let response = connection.response_head(stream).expect(200);
    assert_eq!(response.field("sec-websocket-protocol").as_deref(), Some("chat"));
    assert_eq!(response.field("sec-websocket-accept"), None, "RFC 8441 section 5");
    stream
}

#[track_caller]
fn expect_echo(connection: &mut Connection, stream: u32, total: &[u8]) {
    connection.until("the echo", |connection| {
        (connection.exchange(stream).received() >= total.len()).then_some(())
    });
    assert!(connection.exchange(stream).response.as_ref().unwrap().body.data == total, "another echo");
}

#[test]
fn the_server_says_that_it_can() {
    let (_lab, connection) = connected(echoes());
    assert_eq!(connection.peer_setting(setting::ENABLE_CONNECT_PROTOCOL), 1);
}

#[test]
fn bytes_pass_both_ways() {
    let (lab, mut connection) = connected(echoes());
    let stream = open(&mut connection);
    connection.send(&[data(stream, *b"\x81\x03one")]);
    expect_echo(&mut connection, stream, b"\x81\x03one");
    connection.send(&[data(stream, *b"\x82\x01\0")]);
    expect_echo(&mut connection, stream, b"\x81\x03one\x82\x01\0");
    let request = lab.origin(1).only_request();
    assert_eq!(request.method, "GET");
    assert_eq!(request.target, "/chat");
    assert_eq!(request.field("upgrade").as_deref(), Some("websocket"));
    assert_eq!(request.field("sec-websocket-version").as_deref(), Some("13"));
    assert!(request.field("sec-websocket-key").is_some());
    assert_eq!(request.field("transfer-encoding"), None);
}

/// RFC 8441 section 5: what is 101 in HTTP/1.1 is 200 here.
#[test]
fn a_tunnel_is_counted_as_what_its_client_was_told() {
    let (lab, mut connection) = connected(echoes());
    let stream = open(&mut connection);
    connection.send(&[data(stream, *b"x").end()]);
    let _ = connection.response(stream).expect_body("xbye");
    let of = |class: &str| lab.admin().metric("ropeway_requests_total", &[("class", class)]);
    eventually("the tunnel is counted", || (of("2xx") >= 1.0).then_some(()));
    assert_eq!(of("1xx"), 0.0);
}

#[test]
fn requests_and_tunnels_share_a_connection() {
    let (_lab, mut connection) = connected(echoes());
    let stream = open(&mut connection);
    for number in 1..=20 {
        connection.send(&[data(stream, *b"x")]);
        let _ = connection.get("/plain").expect(200).expect_body("ok");
        expect_echo(&mut connection, stream, &vec![b'x'; number]);
    }
}

#[test]
fn many_bytes_pass_both_ways() {
    let (_lab, mut connection) = connected(echoes());
    let stream = open(&mut connection);
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    connection.send_body(stream, &bytes);
    expect_echo(&mut connection, stream, &bytes);
}

/// RFC 8441 section 5: END_STREAM is the FIN of TCP.
#[test]
fn a_client_may_finish_first_and_still_hear_the_end() {
    let (_lab, mut connection) = connected(echoes());
    let stream = open(&mut connection);
    connection.send(&[data(stream, *b"last words").end()]);
    let _ = connection.response(stream).expect_body("last wordsbye");
    expect_going_on(&mut connection);
}

/// RFC 8441 section 5: RST_STREAM with CANCEL is the RST of TCP.
#[test]
fn a_reset_ends_the_tunnel_at_the_origin() {
    let (lab, mut connection) = connected(echoes());
    let stream = open(&mut connection);
    connection.send(&[reset(stream, CANCEL)]);
    eventually("the origin is told", || (lab.origin(1).open_connections() == 0).then_some(()));
    expect_going_on(&mut connection);
}

#[test]
fn an_origin_that_refuses_is_heard() {
    let (_lab, mut connection) = connected(Origin::answering(|_| reply(403, &[], "no")));
    let stream = connection.start_with_body(Block::extended_connect("websocket", "/chat"));
    let _ = connection.response(stream).expect(403).expect_body("no");
    connection.round_trip();
}

/// A 200 of an origin that did not switch is no tunnel: bytes of a client must not become a request there.
#[test]
fn an_origin_that_does_not_switch_gets_no_tunnel() {
    let (lab, mut connection) = connected(Origin::saying("not a socket"));
    let stream = connection.start_with_body(Block::extended_connect("websocket", "/chat"));
    connection.send(&[data(stream, *b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")]);
    let exchange = connection.outcome(stream);
    let status = exchange.response.map(|response| response.status);
    assert!(status.is_none_or(|status| status / 100 != 2), "a tunnel to nowhere: {status:?}");
    let _ = connection.get("/after").expect(200);
    assert!(!lab.origin(1).saw(b"/smuggled"));
}

#[test]
fn another_protocol_is_not_a_websocket() {
    let (lab, mut connection) = connected(echoes());
    let stream = connection.start_with_body(Block::extended_connect("connect-udp", "/chat"));
    let exchange = connection.outcome(stream);
    let status = exchange.response.map(|response| response.status);
    assert!(status.is_none_or(|status| status >= 400), "{status:?}");
    assert!(
        lab.origin(1)
            .requests()
            .iter()
            .all(|request| request.field("upgrade").as_deref() != Some("websocket"))
    );
}
