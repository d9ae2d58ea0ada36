//! HTTP/2 in ordinary use: what goes in at one end comes out at the other.

use std::net::Shutdown;

use ropeway_e2e::h2::frame::{code::*, data, headers, kind, reset, setting};
use ropeway_e2e::h2::rules::{expect_going_on, lab};
use ropeway_e2e::h2::{Block, Connection};
use ropeway_e2e::lab::file;
use ropeway_e2e::{Gate, Origin, Running, eventually, reply};
use rustix::process::Signal;

const HTTP2: &str = "http2 = { prior_knowledge = true }";

fn connected(origin: Origin) -> (Running, Connection) {
    let lab = lab(origin).start();
    let connection = Connection::open(&lab.client());
    (lab, connection)
}

/// Answers with the body it was sent.
fn echo() -> Origin {
    Origin::answering(|request| reply(200, &[], &request.text()))
}

#[test]
fn get_and_its_response() {
    let origin =
        Origin::answering(|_| reply(203, &[("X-Case", "Kept As Is"), ("Set-Cookie", "a=1")], "hello"));
    let (lab, mut connection) = connected(origin);
    let response = connection.get("/a?b=c").expect(203).expect_body("hello");
    assert_eq!(response.field("x-case").as_deref(), Some("Kept As Is"));
    assert_eq!(response.field("content-length").as_deref(), Some("5"));
    assert_eq!(response.field("set-cookie").as_deref(), Some("a=1"));
    assert_eq!(lab.origin(1).only_request().target, "/a?b=c");
}

#[test]
fn set_cookie_fields_stay_apart() {
    let origin = Origin::answering(|_| reply(200, &[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], ""));
    let (_lab, mut connection) = connected(origin);
    let response = connection.get("/").expect(200);
    let cookies = response.fields.iter().filter(|(name, _)| name == "set-cookie").count();
    assert_eq!(cookies, 2, "{:?}", response.fields);
}

#[test]
fn connection_fields_of_the_origin_end_at_the_proxy() {
    let fields = [("Keep-Alive", "timeout=5"), ("Connection", "keep-alive, x-private"), ("X-Private", "1")];
    let (_lab, mut connection) = connected(Origin::answering(move |_| reply(200, &fields, "x")));
    // The harness itself refuses connection-specific fields.
    assert_eq!(connection.get("/").expect(200).field("x-private"), None);
}

#[test]
fn small_bodies_both_ways() {
    let (_lab, mut connection) = connected(echo());
    let _ = connection.request(Block::post("/"), b"there and back").expect(200).expect_body("there and back");
}

#[test]
fn a_body_of_known_length_keeps_it() {
    let (lab, mut connection) = connected(echo());
    let _ = connection.request(Block::post("/").field("content-length", "4"), b"four").expect(200);
    let request = lab.origin(1).only_request();
    assert_eq!(request.field("content-length").as_deref(), Some("4"));
    assert_eq!(request.field("transfer-encoding"), None);
}

#[test]
fn a_body_of_unknown_length_is_chunked() {
    let (lab, mut connection) = connected(echo());
    let _ = connection.request(Block::post("/"), b"four").expect(200);
    let request = lab.origin(1).only_request();
    assert_eq!(request.field("transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!(request.field("content-length"), None);
}

#[test]
fn large_bodies_both_ways() {
    let (_lab, mut connection) = connected(echo());
    let body: String = (0..8_000_000_u32).map(|n| char::from(b'a' + (n % 25) as u8)).collect();
    let response = connection.request(Block::post("/"), body.as_bytes()).expect(200);
    assert!(response.text() == body, "{} bytes of {}", response.body.data.len(), body.len());
}

#[test]
fn a_chunked_response_loses_its_chunks() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n";
    let (_lab, mut connection) = connected(Origin::answering(move |_| answer.into()));
    let _ = connection.get("/").expect(200).expect_body("onetwo");
}

#[test]
fn a_response_that_ends_with_the_connection_is_whole() {
    let (_lab, mut connection) = connected(Origin::scripted(|peer| {
        let _ = peer.request();
        peer.send("HTTP/1.1 200 OK\r\n\r\nto the end");
    }));
    let _ = connection.get("/").expect(200).expect_body("to the end");
}

#[test]
fn trailers_of_a_request_arrive() {
    let (lab, mut connection) = connected(echo());
    let stream =
        connection.start_with_body(Block::post("/").field("te", "trailers").field("trailer", "x-sum"));
    connection.send(&[data(stream, *b"body"), headers(stream, Block::of(&[("x-sum", "42")])).end()]);
    let _ = connection.response(stream).expect(200).expect_body("body");
    assert_eq!(lab.origin(1).only_request().body.trailers, [("x-sum".to_owned(), "42".to_owned())]);
}

#[test]
fn trailers_of_a_response_arrive() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n";
    let (_lab, mut connection) = connected(Origin::answering(move |_| answer.into()));
    let stream = connection.start(Block::get("/").field("te", "trailers"));
    let response = connection.response(stream).expect(200).expect_body("body");
    assert_eq!(response.body.trailers, [("x-sum".to_owned(), "42".to_owned())]);
}

#[test]
fn interim_responses_arrive_before_the_final_one() {
    let (_lab, mut connection) = connected(Origin::scripted(|peer| {
        while let Some(request) = peer.request() {
            peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
            peer.send("HTTP/1.1 102 Processing\r\n\r\n");
            peer.answer(&request, &reply(200, &[], "done"));
        }
    }));
    let stream = connection.start(Block::get("/"));
    let _ = connection.response(stream).expect(200).expect_body("done");
    let interim = &connection.exchange(stream).interim;
    assert_eq!(interim.iter().map(|response| response.status).collect::<Vec<_>>(), [103, 102]);
    assert_eq!(interim[0].field("link").as_deref(), Some("</a.css>; rel=preload"));
}

#[test]
fn an_expectation_is_answered_before_the_body() {
    let (_lab, mut connection) = connected(Origin::scripted(|peer| {
        let Some(mut request) = peer.request_head() else { return };
        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        let _ = request.read_body(&mut peer.wire);
        peer.send(reply(200, &[], &request.text()));
    }));
    let block = Block::post("/").field("expect", "100-continue").field("content-length", "4");
    let stream = connection.start_with_body(block);
    connection.until("100", |connection| {
        connection.exchange(stream).interim.first().map(|response| assert_eq!(response.status, 100))
    });
    connection.send(&[data(stream, *b"body").end()]);
    let _ = connection.response(stream).expect(200).expect_body("body");
}

#[test]
fn head_has_a_length_and_no_body() {
    let (_lab, mut connection) = connected(Origin::saying("twelve bytes"));
    let stream = connection.start(Block::request("HEAD", "/"));
    let exchange = connection.outcome(stream);
    let response = exchange.response.unwrap();
    assert_eq!(response.field("content-length").as_deref(), Some("12"));
    assert_eq!(response.text(), "");
    expect_answer(&mut connection, "twelve bytes");
}

#[test]
fn responses_without_a_body() {
    for status in ["204 No Content", "304 Not Modified"] {
        let answer = format!("HTTP/1.1 {status}\r\nETag: \"x\"\r\n\r\n");
        let (_lab, mut connection) = connected(Origin::answering(move |_| answer.clone().into()));
        let response = connection.get("/").expect_body("");
        assert_eq!(response.status.to_string(), status[..3]);
        assert_eq!(response.field("etag").as_deref(), Some("\"x\""));
        expect_going_on_with(&mut connection, response.status);
    }
}

fn expect_going_on_with(connection: &mut Connection, status: u16) {
    connection.round_trip();
    let _ = connection.get("/").expect(status);
}

fn expect_answer(connection: &mut Connection, body: &str) {
    let _ = connection.get("/").expect(200).expect_body(body);
}

#[test]
fn a_hundred_streams_at_once_each_get_their_own() {
    let (lab, mut connection) = connected(Origin::answering(|request| reply(200, &[], &request.target)));
    let streams: Vec<(u32, String)> = (0..100)
        .map(|number| {
            let path = format!("/number/{number}");
            (connection.start(Block::get(&path)), path)
        })
        .collect();
    for (stream, path) in streams.iter().rev() {
        let _ = connection.response(*stream).expect(200).expect_body(path);
    }
    assert_eq!(lab.origin(1).count(), 100);
}

#[test]
fn uploads_at_once_do_not_mix() {
    let (_lab, mut connection) = connected(echo());
    let streams: Vec<u32> = (0..20).map(|_| connection.start_with_body(Block::post("/"))).collect();
    for round in 0..10 {
        for stream in &streams {
            connection.send_body(*stream, format!("[{stream} {round}]").as_bytes());
        }
    }
    for stream in streams {
        connection.finish(stream);
        let expected: String = (0..10).map(|round| format!("[{stream} {round}]")).collect();
        let _ = connection.response(stream).expect(200).expect_body(&expected);
    }
}

#[test]
fn a_late_response_does_not_hold_up_an_early_one() {
    let gate = Gate::new();
    let door = gate.clone();
    let (_lab, mut connection) = connected(Origin::answering(move |request| {
        if request.target == "/late" {
            door.wait();
        }
        reply(200, &[], &request.target)
    }));
    let late = connection.start(Block::get("/late"));
    let _ = connection.get("/early").expect_body("/early");
    assert!(!connection.exchange(late).is_over());
    gate.open();
    let _ = connection.response(late).expect_body("/late");
}

#[test]
fn an_error_of_the_proxy_is_a_response_on_one_stream() {
    let mut lab = lab(Origin::saying("1")).start();
    lab.origin_mut(1).stop();
    let mut connection = Connection::open(&lab.client());
    assert!(matches!(connection.get("/").status, 502 | 503));
    lab.origin_mut(1).start();
    connection.round_trip();
    assert_eq!(connection.goaways, []);
}

/// RFC 9113 section 8.1: the origin's broken response is visible as such.
#[test]
fn a_truncated_response_is_a_reset() {
    let (_lab, mut connection) = connected(Origin::scripted(|peer| {
        while let Some(request) = peer.request() {
            if request.target == "/cut" {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
                return;
            }
            peer.answer(&request, &reply(200, &[], "ok"));
        }
    }));
    let stream = connection.start(Block::get("/cut"));
    let exchange = connection.outcome(stream);
    assert!(!exchange.ended && exchange.reset.is_some(), "{exchange:?}");
    expect_going_on(&mut connection);
}

/// RFC 9113 section 8.1: an answer that comes before the body is whole ends the upload without harm.
#[test]
fn an_early_answer_stops_the_upload() {
    let (_lab, mut connection) = connected(Origin::scripted(|peer| {
        let Some(request) = peer.request_head() else { return };
        if request.target != "/early" {
            peer.send(reply(200, &[], "ok"));
            return;
        }
        peer.send(reply(413, &[("Connection", "close")], "too large"));
        let _ = peer.wire.stream().shutdown(Shutdown::Write);
        let _ = peer.wait_for_end();
    }));
    let stream = connection.start_with_body(Block::post("/early"));
    connection.send(&[data(stream, vec![0; 1_000])]);
    connection.until("the whole answer", |connection| connection.exchange(stream).ended.then_some(()));
    let exchange = connection.exchange(stream);
    let response = exchange.response.clone().unwrap().expect(413).expect_body("too large");
    assert_eq!(response.field("connection"), None);
    connection.round_trip();
    assert!(
        connection.exchange(stream).reset.is_none_or(|code| code == NO_ERROR),
        "{:?}",
        connection.exchange(stream)
    );
    let _ = connection.try_send(&[reset(stream, CANCEL)]);
    expect_going_on(&mut connection);
}

#[test]
fn a_reset_by_the_client_aborts_the_work_of_the_origin() {
    let (lab, mut connection) = connected(ropeway_e2e::h2::rules::holding_origin());
    let stream = connection.start(Block::get("/held"));
    lab.origin(1).wait_for_requests(1);
    connection.send(&[reset(stream, CANCEL)]);
    eventually("the origin is told", || (lab.origin(1).open_connections() == 0).then_some(()));
    expect_going_on(&mut connection);
}

#[test]
fn a_reset_inside_of_a_body_aborts_the_request_at_the_origin() {
    let (lab, mut connection) = connected(ropeway_e2e::h2::rules::holding_origin());
    let stream = connection.start_with_body(Block::post("/hostile"));
    connection.send_body(stream, &[b'x'; 10_000]);
    eventually("the body is under way", || lab.origin(1).saw(b"xxxx").then_some(()));
    connection.send(&[reset(stream, CANCEL)]);
    eventually("the origin is told", || (lab.origin(1).open_connections() == 0).then_some(()));
    assert_eq!(lab.origin(1).count(), 0, "an aborted request became a whole one");
    expect_going_on(&mut connection);
}

#[test]
fn a_client_that_disappears_aborts_the_work_of_the_origin() {
    let (lab, mut connection) = connected(ropeway_e2e::h2::rules::holding_origin());
    for _ in 0..10 {
        let _ = connection.start(Block::get("/held"));
    }
    lab.origin(1).wait_for_requests(10);
    drop(connection);
    eventually("the origin is told", || (lab.origin(1).open_connections() == 0).then_some(()));
}

#[test]
fn sigterm_finishes_what_is_under_way_and_says_goaway() {
    let gate = Gate::new();
    let door = gate.clone();
    let (mut lab, mut connection) = connected(Origin::answering(move |request| {
        door.wait();
        reply(200, &[], &request.text())
    }));
    let download = connection.start(Block::get("/"));
    let upload = connection.start_with_body(Block::post("/"));
    lab.origin(1).wait_for_requests(1);
    lab.proxy.signal(Signal::TERM);
    connection.until("GOAWAY", |connection| (!connection.goaways.is_empty()).then_some(()));
    assert!(connection.goaways.iter().all(|goaway| goaway.code == NO_ERROR), "{:?}", connection.goaways);
    assert!(connection.goaways.iter().all(|goaway| goaway.last_stream >= upload), "{:?}", connection.goaways);
    connection.send(&[data(upload, *b"still taken").end()]);
    gate.open();
    let _ = connection.response(download).expect(200);
    let _ = connection.response(upload).expect(200).expect_body("still taken");
    connection.expect_goaway(&[NO_ERROR]);
    assert!(lab.proxy.wait().success());
}

/// RFC 9113 section 6.8: a request that crosses the GOAWAY is served, or is known not to have been.
#[test]
fn no_request_is_lost_in_a_drain() {
    let (mut lab, mut connection) = connected(Origin::saying("1"));
    let _ = connection.get("/").expect(200);
    lab.proxy.signal(Signal::TERM);
    let mut streams = Vec::new();
    while connection.goaways.is_empty() {
        let stream = connection.new_stream();
        if !connection.try_send(&[headers(stream, Block::get("/")).end()]) {
            break;
        }
        streams.push(stream);
        if !connection.step() {
            break;
        }
    }
    let _ = connection.expect_end();
    let last = connection.goaways.last().expect("GOAWAY").last_stream;
    for stream in streams.into_iter().filter(|stream| *stream <= last) {
        let exchange = connection.exchange(stream);
        let answered = exchange.ended && exchange.response.as_ref().is_some_and(|found| found.status == 200);
        assert!(answered || exchange.reset == Some(REFUSED_STREAM), "stream {stream}: {exchange:?}");
    }
    assert!(lab.proxy.wait().success());
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let (mut lab, mut connection) = connected(Origin::saying("1"));
    let _ = connection.get("/").expect(200);
    lab.proxy.signal(Signal::TERM);
    connection.expect_goaway(&[NO_ERROR]);
    assert!(lab.proxy.wait().success());
}

#[test]
fn an_idle_connection_is_closed_with_goaway() {
    let lab =
        lab(Origin::saying("1")).with(&format!("{HTTP2}\ntimeout = {{ idle = \"200ms\" }}"), "", "").start();
    let mut connection = Connection::open(&lab.client());
    let _ = connection.get("/").expect(200);
    connection.expect_goaway(&[NO_ERROR]);
}

#[test]
fn a_connection_that_never_asks_is_closed() {
    let timeouts = "timeout = { head = \"200ms\", idle = \"200ms\" }";
    let lab = lab(Origin::saying("1")).with(&format!("{HTTP2}\n{timeouts}"), "", "").start();
    let mut connection = Connection::open(&lab.client());
    connection.expect_goaway(&[NO_ERROR]);
}

#[test]
fn a_preface_that_does_not_come_is_not_waited_for() {
    let timeouts = "timeout = { head = \"200ms\", idle = \"200ms\" }";
    let lab = lab(Origin::saying("1")).with(&format!("{HTTP2}\n{timeouts}"), "", "").start();
    for sent in [&b"PRI * HT"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut connection = Connection::silent(&lab.client());
        connection.send_bytes(sent);
        connection.wire.drain();
    }
}

#[test]
fn a_client_that_does_not_answer_pings_is_given_up() {
    let settings =
        "http2 = { prior_knowledge = true, keep_alive_interval = \"1s\", keep_alive_timeout = \"1s\" }";
    let lab = lab(ropeway_e2e::h2::rules::holding_origin()).with(settings, "", "").start();
    let mut connection = Connection::open(&lab.client());
    let _ = connection.start(Block::get("/held"));
    connection.answers = false;
    let _ = connection.expect_end();
    eventually("the origin is told", || (lab.origin(1).open_connections() == 0).then_some(()));
}

/// The PING waits behind what the client has not read yet, and is not answered for long.
#[test]
fn a_slow_download_is_not_taken_for_silence() {
    let settings =
        "http2 = { prior_knowledge = true, keep_alive_interval = \"1s\", keep_alive_timeout = \"3s\" }";
    let size = 8 << 20;
    let lab =
        lab(Origin::answering(move |_| reply(200, &[], &"x".repeat(size)))).with(settings, "", "").start();
    let mut slow = Connection::open(&lab.client().receive_buffer(4096));
    slow.gives_credit = false;
    let stream = slow.start(Block::get("/"));
    let _ = slow.response_head(stream);
    // A client that is asked whether it is there tells how time passes.
    let mut clock = Connection::open(&lab.client());
    for beat in 1..=6 {
        clock.until("the next PING", |clock| {
            (clock.seen.get(&kind::PING).copied().unwrap_or_default() >= beat).then_some(())
        });
        let before = slow.exchange(stream).received();
        slow.until("a little more", |slow| (slow.exchange(stream).received() > before).then_some(()));
    }
    let _ = slow.response(stream).expect(200).expect_body(&"x".repeat(size));
}

#[test]
fn a_reload_keeps_the_connection_and_takes_the_new_routes() {
    let lab = lab(Origin::saying("1"))
        .origin(Origin::saying("2"))
        .config(&file(HTTP2, "", "").replace("@all", "\"@1\""));
    let lab = lab.start();
    let mut connection = Connection::open(&lab.client());
    expect_answer(&mut connection, "1");
    lab.reload(&file(HTTP2, "", "").replace("@all", "\"@2\""));
    expect_answer(&mut connection, "2");
    assert_eq!(connection.goaways, []);
}

#[test]
fn a_reload_does_not_disturb_streams_under_way() {
    let gate = Gate::new();
    let door = gate.clone();
    let (lab, mut connection) = connected(Origin::answering(move |_| {
        door.wait();
        reply(200, &[], "late")
    }));
    let stream = connection.start(Block::get("/"));
    lab.origin(1).wait_for_requests(1);
    lab.reload(&file(HTTP2, "name = \"other\"", ""));
    gate.open();
    let _ = connection.response(stream).expect(200).expect_body("late");
    assert_eq!(connection.goaways, []);
}

#[test]
fn large_fields_both_ways() {
    let value = "v".repeat(20_000);
    let returned = value.clone();
    let (lab, mut connection) =
        connected(Origin::answering(move |_| reply(200, &[("X-Large", &returned)], "ok")));
    let first = Vec::from(Block::get("/").field("x-large", &value));
    let stream = connection.new_stream();
    let (head, rest) = first.split_at(16_000);
    connection.send(&[
        ropeway_e2e::h2::frame::open_headers(stream, head).end(),
        ropeway_e2e::h2::frame::continuation(stream, rest),
    ]);
    let response = connection.response(stream).expect(200);
    assert_eq!(response.field("x-large").as_deref(), Some(value.as_str()));
    assert_eq!(lab.origin(1).only_request().field("x-large").as_deref(), Some(value.as_str()));
}

#[test]
fn too_many_fields_are_431() {
    let (lab, mut connection) = connected(Origin::saying("1"));
    assert_ne!(connection.peer_setting(setting::MAX_HEADER_LIST_SIZE), u32::MAX, "the limit is announced");
    let block =
        (0..200).fold(Block::get("/hostile"), |block, number| block.field(format!("x-{number}"), "v"));
    let stream = connection.start(block);
    let _ = connection.response(stream).expect(431);
    let _ = connection.get("/").expect(200);
    lab.expect_origin_saw_only(&["/"]);
}
