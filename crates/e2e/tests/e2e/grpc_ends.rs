//! How calls end that their server does not end as gRPC wants: every frame of both ends is the test's own.

use ropeway_e2e::grpc::framed;
use ropeway_e2e::h2::frame::{code::*, data, headers, reset};
use ropeway_e2e::h2::{Block, Call, Connection, Listener};
use ropeway_e2e::lab::file;
use ropeway_e2e::{Lab, Response, Running, eventually};
use serde_json::Value;

const LOG: &str = "[log.access]\nformat = \"json\"\noutput = \"@dir/access.log\"\n";

/// A proxy that speaks HTTP/2 in both directions, its only server after one request, and a client.
fn between() -> (Running, Connection<Call>, Connection) {
    let server = Listener::new();
    let config = file("http2 = { prior_knowledge = true }", "", "protocol = \"h2\"\npassive = false") + LOG;
    let config = config.replace("@all", &format!("\"{}\"", server.address()));
    let lab = Lab::new().config(&config).start();
    let mut client = Connection::open(&lab.client());
    let first = client.start(Block::get("/first"));
    let mut connection = server.accept(&[]);
    let (stream, _) = connection.next_request();
    connection.answer(stream, "first");
    let _ = client.response(first).expect(200).expect_body("first");
    (lab, connection, client)
}

fn call(path: &str) -> Block {
    Block::post(path).field("content-type", "application/grpc").field("te", "trailers")
}

/// Begins a call that the server answers with one message, more to come.
fn half(server: &mut Connection<Call>, client: &mut Connection) -> (u32, u32) {
    let ours = client.start_with_body(call("/lab.Lab/Chat"));
    let theirs = server.next_call();
    server.begin(theirs, Block::response("200").field("content-type", "application/grpc"));
    server.send(&[data(theirs, framed("on"))]);
    client
        .until("a message", |client| (client.exchange(ours).received() == framed("on").len()).then_some(()));
    (ours, theirs)
}

/// The status that a client is told, in the head or behind the messages.
#[track_caller]
fn status(response: &Response) -> String {
    let behind = response.body.trailers.iter().find(|(name, _)| name == "grpc-status");
    let behind = behind.map(|(_, value)| value.clone());
    response.field("grpc-status").or(behind).unwrap_or_else(|| panic!("no status: {response:?}"))
}

/// The last record of so many.
fn record(lab: &Running, count: usize) -> Value {
    eventually(&format!("{count} records"), || {
        let text = std::fs::read_to_string(lab.file("access.log")).unwrap_or_default();
        let line = text.lines().nth(count - 1)?;
        serde_json::from_str(line).ok()
    })
}

/// What the specification of gRPC makes of the codes.
const RESETS: [(u32, &str); 4] =
    [(CANCEL, "1"), (ENHANCE_YOUR_CALM, "8"), (INTERNAL_ERROR, "13"), (PROTOCOL_ERROR, "13")];

#[test]
fn a_call_that_its_server_resets_has_the_status_of_the_code() {
    let (lab, mut server, mut client) = between();
    for (count, (code, expected)) in (2..).zip(RESETS) {
        let ours = client.start(call("/lab.Lab/Echo"));
        let theirs = server.next_call();
        server.send(&[reset(theirs, code)]);
        let response = client.response(ours);
        assert_eq!(status(&response), expected, "{response:?}");
        let record = record(&lab, count);
        assert_eq!(record["grpc_status"].to_string(), expected);
        assert_eq!(record["reason"], "server_reset");
    }
}

#[test]
fn a_call_that_its_server_resets_between_messages_has_the_status_of_the_code() {
    let (_lab, mut server, mut client) = between();
    for (code, expected) in RESETS {
        let (ours, theirs) = half(&mut server, &mut client);
        server.send(&[reset(theirs, code)]);
        let response = client.response(ours);
        assert_eq!(response.body.data, framed("on"));
        assert_eq!(status(&response), expected, "{response:?}");
    }
}

#[test]
fn trailers_that_break_the_rules_are_an_internal_error() {
    let (lab, mut server, mut client) = between();
    let (ours, theirs) = half(&mut server, &mut client);
    server.send(&[headers(theirs, Block::of(&[("grpc-status", "0"), ("X-Upper", "1")])).end()]);
    let response = client.response(ours);
    assert_eq!(status(&response), "13", "{response:?}");
    assert_eq!(record(&lab, 2)["reason"], "bad_response_body");
}

#[test]
fn a_call_that_is_given_up_between_messages_is_recorded_as_such() {
    let (lab, mut server, mut client) = between();
    let (ours, theirs) = half(&mut server, &mut client);
    client.send(&[reset(ours, CANCEL)]);
    server.expect_reset(theirs, &[CANCEL, INTERNAL_ERROR]);
    let record = record(&lab, 2);
    assert_eq!((&record["reason"], &record["stage"]), (&"client_closed".into(), &"relay".into()));
}

#[test]
fn a_deadline_that_nobody_can_read_is_refused() {
    let (lab, mut server, mut client) = between();
    for (count, malformed) in (2..).zip(["abc", "1", "S", "123456789S", "1s"]) {
        let ours = client.start(call("/lab.Lab/Echo").field("grpc-timeout", malformed));
        assert_eq!(status(&client.response(ours)), "13", "{malformed}");
        let record = record(&lab, count);
        assert_eq!((&record["reason"], &record["stage"]), (&"bad_request".into(), &"admit".into()));
    }
    server.round_trip();
    assert_eq!(server.calls(), 1, "none of them came through");
}

#[test]
fn a_call_whose_head_is_refused_is_told_in_the_words_of_grpc() {
    let (lab, _server, mut client) = between();
    let many = (0..130).fold(call("/lab.Lab/Echo"), |block, n| block.field(format!("x-{n}"), "1"));
    for (count, (block, expected)) in (2..).zip([(many, "8"), (call("/lab.Lab/../Echo"), "13")]) {
        let ours = client.start(block);
        let response = client.response(ours).expect(200);
        assert_eq!(response.field("content-type").as_deref(), Some("application/grpc"));
        assert_eq!(status(&response), expected, "{response:?}");
        let record = record(&lab, count);
        assert_eq!(
            (record["grpc_status"].to_string().as_str(), &record["stage"]),
            (expected, &"receive".into())
        );
    }
    let _ = client.get("/a/../b").expect(400);
}
