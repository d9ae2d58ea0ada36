//! How connections of HTTP/2 clients end: nothing that was promised is lost (RFC 9113 section 6.8).

use ropeway_e2e::h2::frame::{Frame, code::*, goaway, ping, reset};
use ropeway_e2e::h2::rules::{holding_origin, lab};
use ropeway_e2e::h2::{Block, Connection};
use ropeway_e2e::lab::file;
use ropeway_e2e::{Gate, Lab, Origin, Running, eventually, reply};
use rustix::process::Signal;

const HTTP2: &str = "http2 = { prior_knowledge = true }";
const LOG: &str = "[log.access]\nformat = \"json\"\noutput = \"@dir/access.log\"\n";

/// An origin that answers `/N` with N bytes.
fn sized() -> Origin {
    Origin::answering(|request| reply(200, &[], &body(&request.target)))
}

fn body(target: &str) -> String {
    "x".repeat(target[1..].parse().unwrap_or(2))
}

/// Waits until the proxy says that it takes no further streams.
#[track_caller]
fn expect_farewell(connection: &mut Connection) {
    connection.until("GOAWAY", |connection| (!connection.goaways.is_empty()).then_some(()));
}

/// A client that is told to leave, and does not even say that it has heard it.
fn deaf(lab: &Running) -> Connection {
    let mut connection = Connection::open(&lab.client());
    connection.answers = false;
    connection
}

/// A client that does not read, and more responses for it than the kernel takes.
fn overwhelmed(lab: &Running) -> (Connection, Vec<u32>) {
    let mut connection = Connection::open(&lab.client().receive_buffer(65_536).segments(1400));
    connection.gives_credit = false;
    let streams: Vec<u32> = (0..100).map(|_| connection.start(Block::get("/60000"))).collect();
    lab.origin(1).wait_for_requests(streams.len());
    (connection, streams)
}

#[test]
fn a_drain_waits_for_what_a_client_has_not_read() {
    let mut lab = lab(sized()).start();
    let (mut slow, streams) = overwhelmed(&lab);
    // Its end is due later than that of the first would be.
    let mut last = deaf(&lab);
    lab.proxy.signal(Signal::TERM);
    let _ = last.expect_end();
    for stream in streams {
        let _ = slow.response(stream).expect(200).expect_body(&body("/60000"));
    }
    slow.expect_goaway(&[NO_ERROR]);
    assert!(lab.proxy.wait().success());
}

#[test]
fn whoever_still_waits_when_the_drain_is_over_is_told_so() {
    let config = file(HTTP2, "", "") + "[shutdown]\ndrain_timeout = \"300ms\"\n" + LOG;
    let mut lab = Lab::new().origin(holding_origin()).config(&config).start();
    let mut connection = Connection::open(&lab.client());
    let request = connection.start(Block::get("/held"));
    let call = Block::post("/held").field("content-type", "application/grpc").field("te", "trailers");
    let call = connection.start(call);
    lab.origin(1).wait_for_requests(2);
    lab.proxy.signal(Signal::TERM);
    let _ = connection.response(request).expect(503);
    let response = connection.response(call).expect(200);
    assert_eq!(response.field("grpc-status").as_deref(), Some("14"), "UNAVAILABLE");
    connection.expect_goaway(&[NO_ERROR]);
    let _ = lab.proxy.wait();
    let log = std::fs::read_to_string(lab.file("access.log")).unwrap();
    assert_eq!(log.matches("\"reason\":\"shutdown\"").count(), 2, "{log}");
}

/// What the client says while it reads must not reset the connection that it reads from.
#[test]
fn the_last_response_of_a_connection_arrives_whole_at_a_client_that_talks() {
    let lab = lab(sized()).with(&format!("{HTTP2}\nkeep_alive_requests = 1"), "", "").start();
    let mut connection = Connection::open(&lab.client().receive_buffer(4096));
    let stream = connection.start(Block::get("/3000000"));
    let _ = connection.response(stream).expect(200).expect_body(&body("/3000000"));
    connection.expect_goaway(&[NO_ERROR]);
}

#[test]
fn a_request_that_crosses_the_end_of_an_idle_connection_is_served() {
    let lab = lab(sized()).with(&format!("{HTTP2}\ntimeout = {{ idle = \"200ms\" }}"), "", "").start();
    let mut connection = deaf(&lab);
    expect_farewell(&mut connection);
    // One that comes later is told later.
    expect_farewell(&mut deaf(&lab));
    let _ = connection.get("/5").expect(200).expect_body("xxxxx");
}

#[test]
fn a_client_that_does_not_leave_is_left() {
    let lab = lab(sized())
        .with(&format!("{HTTP2}\ntimeout = {{ idle = \"200ms\", linger = \"200ms\" }}"), "", "")
        .start();
    let mut connection = deaf(&lab);
    connection.expect_goaway(&[NO_ERROR]);
}

/// It has been answered, only that the answer has not left.
#[test]
fn a_response_waits_for_a_client_that_pauses() {
    let web = format!("{HTTP2}\ntimeout = {{ idle = \"200ms\", linger = \"200ms\" }}");
    let lab = Lab::new().origin(sized()).config(&(file(&web, "", "") + LOG)).start();
    let (mut slow, streams) = overwhelmed(&lab);
    let last = slow.start(Block::of(&[
        (":method", "HEAD"),
        (":scheme", "http"),
        (":path", "/7"),
        (":authority", "lab.example"),
    ]));
    let log = || std::fs::read_to_string(lab.file("access.log")).unwrap_or_default();
    eventually("it is answered", || log().contains("HEAD").then_some(()));
    let resets: Vec<Frame> = streams.into_iter().map(|stream| reset(stream, CANCEL)).collect();
    slow.send(&resets);
    slow.send(&[goaway(0, NO_ERROR)]);
    // Its end is due later than that of the first would be.
    deaf(&lab).expect_goaway(&[NO_ERROR]);
    assert_eq!(slow.response(last).expect(200).field("content-length").as_deref(), Some("7"));
    slow.expect_goaway(&[NO_ERROR]);
}

#[test]
fn a_client_that_takes_nothing_at_the_end_is_left() {
    let lab = lab(sized()).with(&format!("{HTTP2}\ntimeout = {{ send_idle = \"300ms\" }}"), "", "").start();
    let (mut slow, _) = overwhelmed(&lab);
    slow.send(&[goaway(0, NO_ERROR)]);
    let open = || lab.admin().metric("ropeway_listener_connections", &[("listener", "web")]);
    eventually("the connection is closed", || (open() == 0.0).then_some(()));
}

/// Requests that came before it knew which is the last one are served.
#[test]
fn a_client_that_does_not_answer_is_told_which_request_is_the_last_one() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::answering(move |request| {
        door.wait();
        reply(200, &[], &body(&request.target))
    });
    let web = format!("{HTTP2}\nkeep_alive_requests = 1\ntimeout = {{ linger = \"200ms\" }}");
    let lab = lab(origin).with(&web, "", "").start();
    let mut connection = deaf(&lab);
    let streams = [(); 2].map(|()| connection.start(Block::get("/5")));
    connection.until("the second GOAWAY", |connection| (connection.goaways.len() == 2).then_some(()));
    let lasts: Vec<u32> = connection.goaways.iter().map(|goaway| goaway.last_stream).collect();
    assert_eq!(lasts, [0x7fff_ffff, streams[1]]);
    let ignored = connection.start(Block::get("/5"));
    gate.open();
    for stream in streams {
        let _ = connection.response(stream).expect(200).expect_body("xxxxx");
    }
    connection.expect_goaway(&[NO_ERROR]);
    assert!(connection.exchange(ignored).response.is_none());
}

/// A frame that breaks a rule wherever it comes.
fn wrong() -> Frame {
    ping(*b"too long").with_payload(*b"much too long")
}

/// A frame is half sent at that moment.
#[test]
fn why_a_connection_ends_is_said_behind_the_frame_under_way() {
    let lab = lab(sized()).start();
    let (mut connection, _) = overwhelmed(&lab);
    connection.send(&[wrong()]);
    connection.expect_goaway(&[FRAME_SIZE_ERROR]);
}

/// Nobody reads, so that nothing can be said.
#[test]
fn a_condemned_client_that_does_not_read_is_left() {
    let lab = lab(sized()).with(&format!("{HTTP2}\ntimeout = {{ linger = \"200ms\" }}"), "", "").start();
    let (mut connection, _) = overwhelmed(&lab);
    connection.send(&[wrong()]);
    let open = || lab.admin().metric("ropeway_listener_connections", &[("listener", "web")]);
    eventually("the connection is closed", || (open() == 0.0).then_some(()));
}
