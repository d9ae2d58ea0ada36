//! Clients share the connections of HTTP/2 to a server, and none of them can have one ended for the others.

use ropeway_e2e::h2::frame::{code::*, data, flag, goaway, headers, open_continuation, open_headers, reset};
use ropeway_e2e::h2::{Block, Call, Connection, Listener};
use ropeway_e2e::lab::file;
use ropeway_e2e::{Lab, Running};

use crate::http2_servers::{WIDE, asks, met, met_with};

/// A request that is under way on a connection, and who waits for its answer.
struct Held {
    client: ropeway_e2e::Connection,
    stream: u32,
}

fn hold(lab: &Running, shared: &mut Connection<Call>) -> Held {
    let client = asks(&lab.client(), "POST", "/held", "body");
    let (stream, request) = shared.next_request();
    assert_eq!(request.target, "/held");
    Held { client, stream }
}

impl Held {
    /// It is answered on the connection that it went to.
    #[track_caller]
    fn finish(mut self, shared: &mut Connection<Call>) {
        shared.answer(self.stream, "all is well");
        let _ = self.client.receive().expect(200).expect_body("all is well");
    }
}

/// The next request goes to the connection that was there before.
#[track_caller]
fn expect_shared(lab: &Running, shared: &mut Connection<Call>) {
    let held = hold(lab, shared);
    held.finish(shared);
}

/// It is the fault of one resource, and every client could ask for it.
#[test]
fn a_response_with_far_too_many_fields_ends_no_connection() {
    let (lab, _server, mut shared) = met(&WIDE);
    let held = hold(&lab, &mut shared);
    let mut client = asks(&lab.client(), "POST", "/large", "body");
    let (stream, _) = shared.next_request();
    let block =
        (0..200).fold(Block::response("200"), |block, n| block.field(format!("x-{n}"), "v".repeat(1_000)));
    let block = Vec::from(block);
    let (first, rest) = block.split_at(16_000);
    shared.send(&[open_headers(stream, first)]);
    let mut pieces = rest.chunks(16_000).peekable();
    while let Some(piece) = pieces.next() {
        let frame = open_continuation(stream, piece);
        shared.send(&[if pieces.peek().is_none() { frame.flagged(flag::END_HEADERS) } else { frame }]);
    }
    let _ = client.receive().expect(502);
    held.finish(&mut shared);
    expect_shared(&lab, &mut shared);
}

/// Its threads may not agree on who has the last word.
#[test]
fn what_a_server_says_after_the_end_of_a_response_is_ignored() {
    let (lab, _server, mut shared) = met(&WIDE);
    let held = hold(&lab, &mut shared);
    for last in [None, Some(INTERNAL_ERROR)] {
        let mut client = asks(&lab.client(), "POST", "/twice", "body");
        let (stream, _) = shared.next_request();
        match last {
            None => shared.answer(stream, "answer"),
            Some(code) => shared.send(&[reset(stream, code)]),
        }
        let late = headers(stream, Block::response("500"));
        shared.send(&[late, data(stream, *b"late").end()]);
        let _ = client.receive().expect(if last.is_none() { 200 } else { 502 });
    }
    held.finish(&mut shared);
    expect_shared(&lab, &mut shared);
}

/// Some peers send an empty frame to flush, and mean nothing by it.
#[test]
fn empty_frames_of_a_body_do_not_use_up_a_connection() {
    let (lab, _server, mut shared) = met(&WIDE);
    let mut clients = Connection::open(&lab.client());
    for _ in 0..150 {
        let ours = clients.start_with_body(Block::post("/"));
        clients.send(&[data(ours, []), data(ours, *b"body").end()]);
        let (theirs, request) = shared.next_request();
        assert_eq!(request.text(), "body");
        shared.begin(theirs, Block::response("200"));
        shared.send(&[data(theirs, []), data(theirs, *b"answer").end()]);
        assert_eq!(clients.response(ours).body.data, b"answer");
    }
}

/// Ports of ours that wait for a minute until they may be used again (RFC 9293, section 3.3.2).
fn waiting_ports(server: &Listener) -> usize {
    let port = format!(":{:04X}", server.address().port());
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let fields = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|fields| fields[2].ends_with(&port) && fields[3] == TIME_WAIT).count()
}

const TIME_WAIT: &str = "06";

/// nginx ends the connection over a field of more than 8 KiB, and over fields of more than 32 KiB.
mod large_heads {
    use super::*;

    #[test]
    fn a_large_head_ends_no_connection_but_its_own() {
        let (lab, server, mut shared) = met(&WIDE);
        let held = hold(&lab, &mut shared);
        let one = lab.client().field("X-Large", &"l".repeat(9_000));
        let many = (0..40).fold(lab.client(), |client, n| client.field(&format!("X-{n}"), &"m".repeat(200)));
        let target = format!("/{}", "t".repeat(9_000));
        let clients = [(one, "/one"), (many, "/many"), (lab.client(), target.as_str())];
        for (client, target) in clients {
            let mut client = asks(&client, "POST", target, "body");
            let mut own = server.accept(&WIDE);
            let (stream, request) = own.next_request();
            assert_eq!((request.target.as_str(), request.text().as_str()), (target, "body"));
            own.send(&[goaway(stream, ENHANCE_YOUR_CALM)]);
            drop(own);
            let _ = client.receive().expect(502);
        }
        held.finish(&mut shared);
        expect_shared(&lab, &mut shared);
        assert!(!server.drop_waiting());
    }

    #[test]
    fn a_large_head_is_served_and_its_connection_used_for_nothing_else() {
        let (lab, server, mut shared) = met(&WIDE);
        // The port may have been another server's a moment ago.
        let before = waiting_ports(&server);
        let large = "l".repeat(20_000);
        let mut client = asks(&lab.client().field("X-Large", &large), "POST", "/large", "body");
        let mut own = server.accept(&WIDE);
        let (stream, request) = own.next_request();
        assert_eq!(request.field("x-large"), Some(large));
        expect_shared(&lab, &mut shared);
        own.answer(stream, "served");
        let _ = client.receive().expect(200).expect_body("served");
        own.expect_end();
        assert_eq!(own.calls(), 1);
        drop(own);
        assert!(waiting_ports(&server) <= before);
    }

    #[test]
    fn a_head_of_some_kilobytes_shares_the_connection() {
        let (lab, server, mut shared) = met(&WIDE);
        let mut client = asks(&lab.client().field("Cookie", &"c".repeat(7_000)), "GET", "/", "");
        let (stream, _) = shared.next_request();
        shared.answer(stream, "served");
        let _ = client.receive().expect(200).expect_body("served");
        assert!(!server.drop_waiting());
    }

    /// Or clients could have any server taken out.
    #[test]
    fn what_comes_of_a_large_head_says_nothing_of_the_server() {
        let servers = [Listener::new(), Listener::new()];
        let addresses = servers.each_ref().map(|server| format!("\"{}\"", server.address()));
        let config = file("", "", "protocol = \"h2\"\npassive = { resets = 1, eject = \"5m\" }");
        let lab = Lab::new().config(&config.replace("@all", &addresses.join(", "))).start();
        let large = lab.client().field("X-Large", &"l".repeat(9_000));
        let mut clients: Vec<_> = servers.iter().map(|_| asks(&large, "POST", "/", "body")).collect();
        for server in &servers {
            let mut own = server.accept(&WIDE);
            let (stream, _) = own.next_request();
            own.send(&[goaway(stream, ENHANCE_YOUR_CALM)]);
        }
        clients.iter_mut().for_each(|client| drop(client.receive().expect(502)));
        for number in 1..=servers.len() {
            assert_eq!(lab.admin().server("app", number)["state"], "up");
        }
    }
}

/// nginx ends the connection over trailers of a request.
mod trailers {
    use super::*;

    const CHUNKED: &str = "POST /sum HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";
    const BODY: &str = "4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n";

    #[test]
    fn announced_trailers_travel_on_a_connection_of_their_own() {
        let (lab, server, mut shared) = met(&WIDE);
        let held = hold(&lab, &mut shared);
        let mut http1 = lab.connect();
        http1.send(format!("{CHUNKED}Trailer: X-Sum\r\n\r\n{BODY}"));
        let mut http2 = Connection::open(&lab.client());
        let mut own = server.accept(&WIDE);
        let (stream, request) = own.next_request();
        assert_eq!(request.text(), "body");
        assert_eq!(request.field("trailer").as_deref(), Some("X-Sum"));
        assert_eq!(request.body.trailers, [("x-sum".to_owned(), "42".to_owned())]);
        own.answer(stream, "served");
        let _ = http1.receive().expect(200).expect_body("served");

        let ours = http2.start_with_body(Block::post("/sum").field("trailer", "x-sum"));
        http2.send(&[data(ours, *b"body"), headers(ours, Block::of(&[("x-sum", "43")])).end()]);
        let mut own = server.accept(&WIDE);
        let (stream, request) = own.next_request();
        assert_eq!(request.body.trailers, [("x-sum".to_owned(), "43".to_owned())]);
        own.send(&[goaway(stream, PROTOCOL_ERROR)]);
        drop(own);
        let _ = http2.response(ours).expect(502);
        held.finish(&mut shared);
        expect_shared(&lab, &mut shared);
    }

    /// RFC 9110 section 6.5.1: whoever passes a message on may leave its trailers out.
    #[test]
    fn trailers_that_were_not_announced_are_left_out() {
        let (lab, server, mut shared) = met(&WIDE);
        let mut http2 = Connection::open(&lab.client());
        for kind in ["text/plain", "application/grpc"] {
            let mut http1 = lab.connect();
            http1.send(format!("{CHUNKED}Content-Type: {kind}\r\n\r\n{BODY}"));
            let (stream, request) = shared.next_request();
            assert_eq!((request.text().as_str(), request.body.trailers.as_slice()), ("body", &[][..]));
            shared.answer(stream, "served");
            let _ = http1.receive().expect(200).expect_body("served");

            let ours = http2.start_with_body(Block::post("/sum").field("content-type", kind));
            http2.send(&[data(ours, *b"body"), headers(ours, Block::of(&[("x-sum", "42")])).end()]);
            let (stream, request) = shared.next_request();
            assert_eq!((request.text().as_str(), request.body.trailers.as_slice()), ("body", &[][..]));
            shared.answer(stream, "served");
            let _ = http2.response(ours).expect(200).expect_body("served");
        }
        assert!(!server.drop_waiting());
    }

    #[test]
    fn servers_that_are_known_to_take_them_are_sent_all() {
        let (lab, server, mut shared) = met_with(&WIDE, "request_trailers = \"all\"");
        let mut http2 = Connection::open(&lab.client());
        for announced in ["", "Trailer: X-Sum\r\n"] {
            let mut http1 = lab.connect();
            http1.send(format!("{CHUNKED}{announced}\r\n{BODY}"));
            let (stream, request) = shared.next_request();
            assert_eq!(request.body.trailers, [("x-sum".to_owned(), "42".to_owned())]);
            shared.answer(stream, "served");
            let _ = http1.receive().expect(200).expect_body("served");
        }
        let ours = http2.start_with_body(Block::post("/sum"));
        http2.send(&[data(ours, *b"body"), headers(ours, Block::of(&[("x-sum", "43")])).end()]);
        let (stream, request) = shared.next_request();
        assert_eq!(request.body.trailers, [("x-sum".to_owned(), "43".to_owned())]);
        shared.answer(stream, "served");
        let _ = http2.response(ours).expect(200).expect_body("served");
        assert!(!server.drop_waiting(), "one connection carries them all");
    }

    /// What belongs to the connection of a client is not sent on, and has announced nothing to the server.
    #[test]
    fn an_announcement_for_the_connection_is_none() {
        let (lab, _server, mut shared) = met(&WIDE);
        let mut client = lab.connect();
        client.send(format!("{CHUNKED}Connection: Trailer\r\nTrailer: X-Sum\r\n\r\n{BODY}"));
        let (stream, request) = shared.next_request();
        assert_eq!((request.field("trailer"), request.body.trailers.as_slice()), (None, &[][..]));
        shared.answer(stream, "served");
        let _ = client.receive().expect(200);
    }
}

/// Servers count the streams that are reset, and end connections with too many: Ropeway at 200 a minute.
mod resets {
    use super::*;

    /// Resets that a connection outlives.
    const MOST: u32 = 64;

    fn abort(http2: &mut Connection, shared: &mut Connection<Call>) {
        let ours = http2.start(Block::get("/aborted"));
        let (stream, _) = shared.next_request();
        http2.send(&[reset(ours, CANCEL)]);
        shared.until("a reset", |shared| shared.exchange(stream).reset);
    }

    #[test]
    fn a_connection_with_many_resets_takes_no_more_requests() {
        let (lab, server, mut shared) = met(&WIDE);
        let held = hold(&lab, &mut shared);
        let mut http2 = Connection::open(&lab.client());
        for _ in 1..MOST {
            abort(&mut http2, &mut shared);
        }
        expect_shared(&lab, &mut shared);
        abort(&mut http2, &mut shared);
        let mut client = asks(&lab.client(), "POST", "/next", "body");
        let mut fresh = server.accept(&WIDE);
        let (stream, _) = fresh.next_request();
        fresh.answer(stream, "by the new one");
        let _ = client.receive().expect(200).expect_body("by the new one");
        held.finish(&mut shared);
        shared.expect_end();
    }

    /// What the server resets itself, and what ends as it should, is not held against the connection.
    #[test]
    fn only_resets_of_this_side_count() {
        let (lab, server, mut shared) = met(&WIDE);
        let mut client = lab.connect();
        for number in 0..2 * MOST {
            client.send_request("POST", "/", "body");
            let (stream, _) = shared.next_request();
            if number % 2 == 0 {
                shared.send(&[reset(stream, INTERNAL_ERROR)]);
                let _ = client.receive().expect(502);
            } else {
                shared.answer(stream, "served");
                let _ = client.receive().expect(200).expect_body("served");
            }
        }
        expect_shared(&lab, &mut shared);
        assert!(!server.drop_waiting());
    }
}
