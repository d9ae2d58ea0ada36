//! What an operator is told of requests and connections of HTTP/2 that are refused before there is an exchange.

use ropeway_e2e::h2::frame::{Frame, PREFACE, code::*, data, headers, ping, reset, settings};
use ropeway_e2e::h2::rules::{expect_going_on, expect_refused, holding_origin};
use ropeway_e2e::h2::{Block, Connection};
use ropeway_e2e::{Lab, Running, eventually};
use serde_json::Value;

fn running(format: &str, limits: &str) -> Running {
    let http2 = format!("http2 = {{ prior_knowledge = true{limits} }}");
    let log = format!("[log.access]\nformat = \"{format}\"\noutput = \"@dir/access.log\"\n");
    let config = ropeway_e2e::lab::file(&http2, "", "") + &log;
    Lab::new().config(&config).workers(1).origin(holding_origin()).start()
}

fn lines(lab: &Running, count: usize) -> Vec<String> {
    eventually(&format!("{count} lines"), || {
        let text = std::fs::read_to_string(lab.file("access.log")).unwrap_or_default();
        let whole = text.lines().count() >= count && text.ends_with('\n');
        whole.then(|| text.lines().map(str::to_owned).collect())
    })
}

/// The records of a connection that sends `frames` on stream 1 and then a good request, which has the last one.
#[track_caller]
fn records_of(limits: &str, frames: &[Frame]) -> Vec<Value> {
    let lab = running("json", limits);
    let mut connection = Connection::open(&lab.client().from("127.0.0.7"));
    connection.new_stream();
    connection.send(frames);
    while !connection.exchange(1).is_over() && connection.step() {}
    expect_going_on(&mut connection);
    let records: Vec<Value> = lines(&lab, 2).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ends = |reason: &str| {
        lab.admin().metric("ropeway_listener_request_ends_total", &[("listener", "web"), ("reason", reason)])
    };
    let counted = ["bad_request", "head_too_large"].map(ends).iter().sum::<f64>();
    assert_eq!(counted, 1.0, "{records:?}");
    records
}

#[track_caller]
fn expect_record(records: &[Value], status: u16, reason: &str) {
    let [refused, good] = records else { panic!("one for each: {records:?}") };
    for (key, value) in [
        ("client", "127.0.0.7"),
        ("protocol", "HTTP/2.0"),
        ("listener", "web"),
        ("reason", reason),
        ("stage", "receive"),
    ] {
        assert_eq!(refused[key], value, "{key} of {refused}");
    }
    assert_eq!(refused["status"], status);
    for key in ["method", "path", "route", "server"] {
        assert_eq!(refused[key], Value::Null, "{key} of {refused}");
    }
    assert_eq!((&good["path"], &good["status"]), (&"/after".into(), &200.into()));
}

#[test]
fn a_head_that_is_too_large_has_a_record() {
    let long = headers(1, Block::get("/hostile").field("x", "v".repeat(2_000)));
    for ends in [true, false] {
        let frame = if ends { long.clone().end() } else { long.clone() };
        expect_record(&records_of(", max_header_list = \"1KiB\"", &[frame]), 431, "head_too_large");
    }
}

/// RFC 9113 section 8.1.1; the last ones are found by us, the others by what reads the frames.
#[test]
fn a_malformed_request_has_a_record() {
    for block in [
        Block::get("/hostile").field("connection", "close"),
        Block::get("hostile path"),
        Block::of(&[(":method", "GET"), (":path", "/hostile"), (":authority", "example.com")]),
        Block::get("/hostile#a"),
        Block::get("/hostile").field("x", " padded"),
        Block::extended_connect("telepathy", "/hostile"),
    ] {
        expect_record(&records_of("", &[headers(1, block).end()]), 400, "bad_request");
    }
    let body = [headers(1, Block::post("/hostile").field("upgrade", "x")), data(1, *b"body").end()];
    expect_record(&records_of("", &body), 400, "bad_request");
}

/// It does not matter who gives it up first.
#[test]
fn a_malformed_request_that_its_client_resets_has_a_record_and_counts() {
    let lab = running("json", ", max_resets_per_minute = 10");
    let mut connection = Connection::open(&lab.client().from("127.0.0.7"));
    for _ in 0..12 {
        let stream = connection.new_stream();
        let malformed = headers(stream, Block::get("/hostile").field("te", "gzip")).end();
        let _ = connection.try_send(&[malformed, reset(stream, CANCEL)]);
    }
    connection.expect_goaway(&[ENHANCE_YOUR_CALM]);
    let record: Value = serde_json::from_str(&lines(&lab, 10)[0]).unwrap();
    assert_eq!((&record["reason"], &record["status"]), (&"bad_request".into(), &400.into()));
}

/// RFC 9113 section 8.1.1.
#[test]
fn a_body_of_another_length_than_announced_is_the_clients_fault() {
    let lab = running("json", "");
    let mut connection = Connection::open(&lab.client());
    let head = headers(1, Block::post("/held").field("content-length", "9"));
    connection.new_stream();
    connection.send(&[head, data(1, *b"body").end()]);
    connection.expect_reset(1, &[PROTOCOL_ERROR]);
    let record: Value = serde_json::from_str(&lines(&lab, 1)[0]).unwrap();
    assert_eq!(record["reason"], "bad_request_body", "{record}");
}

#[test]
fn a_bomb_has_a_record() {
    let bomb = Block::get("/hostile").inserted("cookie", "v".repeat(1_000)).newest(30);
    expect_record(&records_of("", &[headers(1, bomb).end()]), 431, "head_too_large");
}

#[test]
fn the_combined_format_has_them_too() {
    let lab = running("combined", "");
    let mut connection = Connection::open(&lab.client().from("127.0.0.7"));
    let stream = connection.start(Block::get("/hostile").field("connection", "close"));
    expect_refused(&mut connection, stream);
    let line = lines(&lab, 1).remove(0);
    assert!(line.starts_with("127.0.0.7 - - [") && line.contains("] \"- - HTTP/2.0\" 400 0 "), "{line}");
}

/// RFC 9113 section 8.7: such a stream can be tried again as if it had never been.
#[test]
fn a_stream_beyond_the_limit_has_none() {
    let lab = running("json", ", max_concurrent_streams = 1");
    let mut connection = Connection::open(&lab.client());
    let held = connection.start(Block::get("/held"));
    lab.origin(1).wait_for_requests(1);
    let refused = connection.start(Block::get("/hostile"));
    connection.expect_reset(refused, &[REFUSED_STREAM]);
    connection.send(&[reset(held, CANCEL)]);
    let reasons: Vec<Value> = lines(&lab, 1)
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["reason"].clone())
        .collect();
    assert_eq!(reasons, ["client_closed"]);
}

#[test]
fn a_request_that_became_malformed_has_one_record() {
    let lab = running("json", "");
    let mut connection = Connection::open(&lab.client());
    let trailers = headers(1, Block::of(&[("connection", "close")])).end();
    connection.send(&[headers(1, Block::post("/held")), trailers]);
    connection.new_stream();
    connection.expect_reset(1, &[PROTOCOL_ERROR]);
    expect_going_on(&mut connection);
    let lines = lines(&lab, 2);
    assert!(lines.len() == 2 && lines[1].contains("/after"), "{lines:?}");
}

#[test]
fn requests_of_a_connection_that_ends_at_once_are_not_called_malformed() {
    let lab = running("json", "");
    let mut connection = lab.connect();
    connection.send(PREFACE).send(settings(&[]).bytes());
    lab.proxy.while_stopped(|| {
        for stream in [1, 3, 5] {
            let frames = [headers(stream, Block::get("/held")).end(), reset(stream, CANCEL)];
            connection.send(frames.map(|frame| frame.bytes()).concat());
        }
        let _ = connection.half_close();
    });
    for line in lines(&lab, 3) {
        let record: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&record["reason"], &record["status"]),
            (&"client_closed".into(), &499.into()),
            "{record}"
        );
    }
}

/// The message about a client that was ended, and how many there are.
#[track_caller]
fn expect_complaint(lab: &Running, why: &str) {
    let said = || lab.proxy.lines().into_iter().filter(|line| line.contains("ended the HTTP/2 connection"));
    let line = eventually("a complaint", || said().next());
    assert!(line.contains("127.0.0.7") && line.contains("listener web") && line.contains(why), "{line}");
    assert_eq!(said().count(), 1);
}

#[test]
fn the_log_names_a_client_that_floods_and_why() {
    let lab = running("json", "");
    for _ in 0..3 {
        let mut connection = Connection::open(&lab.client().from("127.0.0.7"));
        let _ = connection.try_send(&vec![ping(*b"flooding"); 3_000]);
        connection.expect_goaway(&[ENHANCE_YOUR_CALM]);
    }
    expect_complaint(&lab, "frames that carry nothing");
}

#[test]
fn the_log_names_a_client_that_resets_and_why() {
    let lab = running("json", ", max_resets_per_minute = 10");
    let mut connection = Connection::open(&lab.client().from("127.0.0.7"));
    for _ in 0..12 {
        let stream = connection.new_stream();
        let _ = connection.try_send(&[headers(stream, Block::get("/held")).end(), reset(stream, CANCEL)]);
    }
    connection.expect_goaway(&[ENHANCE_YOUR_CALM]);
    expect_complaint(&lab, "streams that are reset");
}

#[test]
fn the_log_names_a_client_whose_fields_are_far_too_long() {
    let lab = running("json", ", max_header_list = \"1KiB\"");
    let mut connection = Connection::open(&lab.client().from("127.0.0.7"));
    let _ = connection.start(Block::get("/hostile").inserted("x", "v".repeat(1_000)).newest(100));
    connection.expect_goaway(&[ENHANCE_YOUR_CALM]);
    expect_complaint(&lab, "excessive load");
}

/// Whoever finds the error, and whatever comes after it.
#[test]
fn connections_that_end_over_an_error_are_counted_by_its_code() {
    let lab = running("json", "");
    let count = |code| {
        lab.admin().metric("ropeway_listener_http2_errors_total", &[("listener", "web"), ("code", code)])
    };
    for (frames, code, name) in [
        (vec![ping(*b"flooding"); 3_000], ENHANCE_YOUR_CALM, "ENHANCE_YOUR_CALM"),
        (vec![data(0, *b"of no stream")], PROTOCOL_ERROR, "PROTOCOL_ERROR"),
        (vec![data(1, *b"idle")], PROTOCOL_ERROR, "PROTOCOL_ERROR"),
        (
            vec![headers(1, b"\xff\xff\xff\xff\xff\xff".to_vec()).end()],
            COMPRESSION_ERROR,
            "COMPRESSION_ERROR",
        ),
    ] {
        let before = count(name);
        let mut connection = Connection::open(&lab.client());
        let _ = connection.try_send(&frames);
        connection.expect_goaway(&[code]);
        eventually(name, || (count(name) == before + 1.0).then_some(()));
    }
    let mut sound = Connection::open(&lab.client());
    let stream = sound.start(Block::get("/"));
    let _ = sound.response(stream);
    drop(sound);
    assert_eq!(lab.admin().metric("ropeway_listener_http2_errors_total", &[]), 4.0);
}
