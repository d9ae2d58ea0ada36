//! HTTP/2 flow control, both ways and end to end (RFC 9113 sections 5.2 and 6.9).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use ropeway_e2e::h2::frame::{code::*, data, reset, setting, settings, window_update};
use ropeway_e2e::h2::rules::{expect_going_on, holding_origin, lab};
use ropeway_e2e::h2::{Block, Call, Connection, Listener};
use ropeway_e2e::lab::file;
use ropeway_e2e::{Gate, Lab, Origin, Running, eventually, reply};

/// An origin that answers `/N` with N bytes of which each tells its place.
fn sized() -> Origin {
    Origin::answering(|request| {
        let size = request.target[1..].parse().unwrap_or(2);
        reply(200, &[], &pattern(size))
    })
}

fn pattern(size: usize) -> String {
    (0..size).map(|place| char::from(b'a' + (place % 23) as u8)).collect()
}

/// Opens a connection that gives no credit of its own accord.
fn thrifty(lab: &Running, window: u32) -> Connection {
    let mut connection = Connection::open_with(&lab.client(), &[(setting::INITIAL_WINDOW_SIZE, window)]);
    connection.gives_credit = false;
    connection
}

/// Waits until a stream has received exactly `bytes`, and asserts that there it stays.
#[track_caller]
fn expect_stalled(connection: &mut Connection, stream: u32, bytes: usize) {
    connection.until("the window is used", |connection| {
        (connection.exchange(stream).received() >= bytes).then_some(())
    });
    for _ in 0..3 {
        connection.round_trip();
    }
    assert_eq!(connection.exchange(stream).received(), bytes);
}

#[test]
fn not_a_byte_comes_through_a_window_of_zero() {
    let lab = lab(sized()).start();
    let mut connection = thrifty(&lab, 0);
    let stream = connection.start(Block::get("/5"));
    let _ = connection.response_head(stream).expect(200);
    expect_stalled(&mut connection, stream, 0);
    connection.send(&[window_update(stream, 1)]);
    expect_stalled(&mut connection, stream, 1);
    connection.send(&[window_update(stream, 4)]);
    let _ = connection.response(stream).expect_body("abcde");
}

/// RFC 9113 section 6.9: DATA without payload needs no window, nor do HEADERS.
#[test]
fn an_empty_response_needs_no_window() {
    let lab = lab(sized()).start();
    let mut connection = thrifty(&lab, 0);
    let stream = connection.start(Block::get("/0"));
    let _ = connection.response(stream).expect(200).expect_body("");
}

/// RFC 9113 section 6.9.2: a new initial window holds for streams under way.
#[test]
fn a_larger_initial_window_sets_streams_going() {
    let lab = lab(sized()).start();
    let mut connection = thrifty(&lab, 0);
    let stream = connection.start(Block::get("/300"));
    let _ = connection.response_head(stream);
    connection.send(&[settings(&[(setting::INITIAL_WINDOW_SIZE, 100)])]);
    expect_stalled(&mut connection, stream, 100);
    connection.send(&[settings(&[(setting::INITIAL_WINDOW_SIZE, 1_000)])]);
    let _ = connection.response(stream).expect_body(&pattern(300));
}

/// RFC 9113 section 6.9.2: a window may become negative, and then has to be filled first.
#[test]
fn a_negative_window_is_filled_before_anything_is_sent() {
    let lab = lab(sized()).start();
    let mut connection = thrifty(&lab, 200);
    let stream = connection.start(Block::get("/1000"));
    expect_stalled(&mut connection, stream, 200);
    connection.send(&[settings(&[(setting::INITIAL_WINDOW_SIZE, 50)])]);
    connection.send(&[window_update(stream, 150)]);
    expect_stalled(&mut connection, stream, 200);
    connection.send(&[window_update(stream, 10)]);
    expect_stalled(&mut connection, stream, 210);
    connection.send(&[window_update(stream, 10_000)]);
    let _ = connection.response(stream).expect_body(&pattern(1000));
}

/// RFC 9113 section 6.9.1: the window of the connection holds for all streams together.
#[test]
fn the_window_of_the_connection_is_shared() {
    let lab = lab(sized()).start();
    let mut connection = thrifty(&lab, 1 << 20);
    let streams = [connection.start(Block::get("/50000")), connection.start(Block::get("/50000"))];
    let received = |connection: &Connection| -> usize {
        streams.iter().map(|stream| connection.exchange(*stream).received()).sum()
    };
    connection.until("the window is used", |connection| (received(connection) >= 65_535).then_some(()));
    connection.round_trip();
    assert_eq!(received(&connection), 65_535);
    connection.send(&[window_update(0, 100_000)]);
    for stream in streams {
        let _ = connection.response(stream).expect_body(&pattern(50_000));
    }
}

/// RFC 9113 section 6.9.1: SETTINGS do not change the window of the connection.
#[test]
fn settings_leave_the_window_of_the_connection() {
    let lab = lab(sized()).start();
    let mut connection = thrifty(&lab, 1 << 20);
    connection.send(&[settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 24)])]);
    let stream = connection.start(Block::get("/200000"));
    expect_stalled(&mut connection, stream, 65_535);
}

/// RFC 9113 section 5.2.2: one stream that nobody reads does not stop the others.
#[test]
fn a_stream_that_stands_still_does_not_stop_others() {
    let lab = lab(sized()).start();
    let mut connection = Connection::open_with(&lab.client(), &[(setting::INITIAL_WINDOW_SIZE, 100)]);
    connection.send(&[window_update(0, 1 << 24)]);
    connection.gives_credit = false;
    let still = connection.start(Block::get("/1000000"));
    expect_stalled(&mut connection, still, 100);
    for _ in 0..50 {
        let _ = connection.get("/90").expect_body(&pattern(90));
    }
    assert_eq!(connection.exchange(still).received(), 100);
}

/// More than the connection holds and the client takes at a time, on many streams: each has its turn.
#[test]
fn large_downloads_at_once_share_the_connection() {
    let lab = lab(sized()).start();
    let mut connection = thrifty(&lab, 0);
    let streams: Vec<u32> = (0..20).map(|_| connection.start(Block::get("/1000000"))).collect();
    for stream in &streams {
        let _ = connection.response_head(*stream).expect(200);
    }
    connection.send(&[window_update(0, 1 << 30), settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 30)])]);
    connection.until("one is over", |connection| {
        streams.iter().any(|stream| connection.exchange(*stream).is_over()).then_some(())
    });
    let received: Vec<usize> = streams.iter().map(|stream| connection.exchange(*stream).received()).collect();
    assert!(received.iter().all(|bytes| *bytes > 500_000), "{received:?}");
    for stream in streams {
        let _ = connection.response(stream).expect(200).expect_body(&pattern(1_000_000));
    }
}

/// Trailers need no window, so that more of them can wait than the connection has room for. What is sent meanwhile is heard
/// when they are read.
#[test]
fn a_client_that_lets_trailers_pile_up_is_heard_again() {
    let tail = format!("0\r\nX-Tail: {}\r\n\r\n", "t".repeat(7_000));
    let origin = Origin::scripted(move |peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nTrailer: x-tail\r\nTransfer-Encoding: chunked\r\n\r\n");
            peer.send(&tail);
        }
    });
    // No PING is to wake it.
    let listener = "http2 = { prior_knowledge = true, keep_alive_interval = \"5m\" }";
    let lab = lab(origin).with(listener, "", "").start();
    let mut connection = Connection::open(&lab.client().receive_buffer(4096));
    let mut streams = Vec::new();
    for wave in 1..=15 {
        streams.extend((0..60).map(|_| connection.start(Block::get("/"))));
        // Those of the last waves are not even read.
        let mut looks = 0..100;
        while lab.origin(1).requests().len() < wave * 60 && looks.next().is_some() {
            let _ = lab.admin().status();
        }
    }
    for stream in streams {
        // Some of those that were read late are more than may be open at a time.
        let outcome = connection.outcome(stream);
        assert!(outcome.response.is_some() || outcome.reset == Some(REFUSED_STREAM), "{outcome:?}");
    }
    connection.round_trip();
}

/// A reader of nothing holds back the origin.
#[test]
fn a_slow_reader_holds_back_the_origin() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let origin = Origin::scripted(move |peer| {
        while let Some(request) = peer.request() {
            if request.target != "/endless" {
                peer.send(reply(200, &[], "ok"));
                continue;
            }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
            while peer.send([0; 65_536]) {
                counter.fetch_add(65_536, SeqCst);
            }
            return;
        }
    });
    let lab = lab(origin).start();
    let mut connection = thrifty(&lab, 1_000);
    let before = lab.proxy.resident_kib();
    let stream = connection.start(Block::get("/endless"));
    expect_stalled(&mut connection, stream, 1_000);
    let mut last = usize::MAX;
    eventually("the origin is held back", || {
        for _ in 0..50 {
            let _ = connection.get("/other").expect(200);
        }
        let now = sent.load(SeqCst);
        let still = now == last;
        last = now;
        still.then_some(())
    });
    let grown = lab.proxy.resident_kib().saturating_sub(before);
    assert!(grown < 4_096, "{grown} KiB for one reader of nothing");
    connection.send(&[reset(stream, CANCEL)]);
    eventually("the origin is told", || {
        let _ = connection.get("/other");
        (lab.origin(1).open_connections() <= 1).then_some(())
    });
}

/// An origin that does not read holds back the client: its window is not opened again.
#[test]
fn an_origin_that_does_not_read_holds_back_the_client() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::scripted(move |peer| {
        let Some(mut request) = peer.request_head() else { return };
        if request.target == "/slow" {
            door.wait();
        }
        let _ = request.read_body(&mut peer.wire);
        peer.send(reply(200, &[("Connection", "close")], &request.body.data.len().to_string()));
    })
    .with_receive_buffer(4096);
    let lab = lab(origin).start();
    let mut connection = Connection::open(&lab.client());
    let stream = connection.start_with_body(Block::post("/slow"));
    let mut sent = 0_usize;
    lab.origin(1).wait_for_requests(1);
    // Whatever the windows and the kernel take; then it stands still while other streams are served.
    let mut still = 0;
    while still < 20 {
        let left = usize::try_from(connection.may_send(stream)).unwrap_or(0).min(16_384);
        if left > 0 {
            connection.send(&[data(stream, vec![b'x'; left])]);
            sent += left;
            still = 0;
        } else {
            still += 1;
        }
        connection.round_trip();
        assert!(sent < 32 << 20, "nobody holds back the client");
    }
    let _ = connection.request(Block::post("/other"), b"small").expect(200).expect_body("5");
    gate.open();
    connection.send_body(stream, &[b'y'; 100_000]);
    connection.finish(stream);
    let _ = connection.response(stream).expect(200).expect_body(&(sent + 100_000).to_string());
}

/// A proxy before a server that takes no body at all, and uploads on one connection of a client.
struct Stuck {
    lab: Running,
    _server: Connection<Call>,
    connection: Connection,
    uploads: Vec<u32>,
}

impl Stuck {
    fn new(uploads: usize) -> Self {
        let server = Listener::new();
        let routes = format!(
            "[[route]]\nmatch = {{ path = \"/stuck\" }}\nupstream = \"stuck\"\n\
             [upstream.stuck]\nservers = [\"{}\"]\nprotocol = \"h2\"\n",
            server.address()
        );
        let config = file("http2 = { prior_knowledge = true }", "", "") + &routes;
        let lab = Lab::new().origin(holding_origin()).config(&config).start();
        let mut connection = Connection::open(&lab.client());
        let uploads: Vec<u32> =
            (0..uploads).map(|_| connection.start_with_body(Block::post("/stuck"))).collect();
        let mut server = server.accept(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
        for _ in &uploads {
            let _ = server.next_call();
        }
        Self { lab, _server: server, connection, uploads }
    }

    /// Sends pieces on all uploads until their windows stay closed.
    fn fill(&mut self, piece: usize) {
        let mut still = 0;
        while still < 20 {
            still += 1;
            for stream in &self.uploads {
                while self.connection.may_send(*stream) >= piece as i64 {
                    self.connection.send(&[data(*stream, vec![b'x'; piece])]);
                    still = 0;
                }
            }
            self.connection.round_trip();
        }
    }
}

/// RFC 9113 section 5.2.2: uploads that a server does not take do not stop uploads to others.
#[test]
fn uploads_that_stand_still_do_not_stop_others() {
    let mut stuck = Stuck::new(40);
    stuck.fill(8_192);
    let _ = stuck.connection.request(Block::post("/"), &[b'y'; 100_000]).expect(200);
    assert_eq!(stuck.lab.origin(1).only_request().body.data.len(), 100_000);
}

/// Messages of a few bytes that wait are many frames, and still no attack.
#[test]
fn uploads_of_small_messages_may_stand_still() {
    let mut stuck = Stuck::new(4);
    stuck.fill(39);
    expect_going_on(&mut stuck.connection);
}

/// RFC 9113 section 6.9.1: more than the window of a stream allows.
#[test]
fn data_beyond_the_window_of_a_stream_is_an_error() {
    let lab = lab(holding_origin())
        .with("http2 = { prior_knowledge = true, stream_window = \"1KiB\" }", "", "")
        .start();
    let mut connection = Connection::open(&lab.client());
    assert_eq!(connection.peer_setting(setting::INITIAL_WINDOW_SIZE), 1024);
    let stream = connection.start_with_body(Block::post("/hostile"));
    connection.send(&[data(stream, vec![0; 2048]).end()]);
    while connection.exchange(stream).reset.is_none() && connection.step() {}
    match connection.exchange(stream).reset {
        Some(code) => assert_eq!(code, FLOW_CONTROL_ERROR),
        None => connection.expect_goaway(&[FLOW_CONTROL_ERROR]),
    }
    assert_eq!(lab.origin(1).count(), 0);
}

/// RFC 9113 section 6.9.1: more than the window of the connection allows.
#[test]
fn data_beyond_the_window_of_the_connection_is_an_error() {
    let server = Listener::new();
    let http2 =
        "http2 = { prior_knowledge = true, stream_window = \"64KiB\", connection_window = \"64KiB\" }";
    let config = file(http2, "", "protocol = \"h2\"").replace("@all", &format!("\"{}\"", server.address()));
    let lab = Lab::new().config(&config).start();
    let mut connection = Connection::open(&lab.client());
    let streams: Vec<u32> = (0..8).map(|_| connection.start_with_body(Block::post("/held"))).collect();
    // Or the proxy could hand on what comes, and open the window again in time.
    let mut server = server.accept(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    for _ in &streams {
        let _ = server.next_call();
    }
    for stream in streams {
        for _ in 0..4 {
            if !connection.try_send(&[data(stream, vec![0; 16_000])]) {
                break;
            }
        }
    }
    connection.expect_goaway(&[FLOW_CONTROL_ERROR]);
}

/// RFC 9113 section 6.9: padding counts, or a client could send more than was allowed.
#[test]
fn padding_is_charged_and_given_back() {
    let lab = lab(holding_origin()).start();
    let mut connection = Connection::open(&lab.client());
    let stream = connection.start_with_body(Block::post("/"));
    for _ in 0..2_000 {
        connection
            .until("the window opens again", |connection| (connection.may_send(stream) >= 256).then_some(()));
        connection.send(&[data(stream, *b"x").padded(250)]);
    }
    connection.finish(stream);
    let _ = connection.response(stream).expect(200);
    assert_eq!(lab.origin(1).only_request().body.data.len(), 2_000);
}

/// RFC 9113 section 6.9: what came for a stream that is gone is given back to the connection.
#[test]
fn a_body_that_nobody_wants_does_not_use_up_the_connection() {
    let lab = lab(holding_origin()).start();
    let mut connection = Connection::open(&lab.client());
    for _ in 0..100 {
        let stream = connection.start_with_body(Block::post("/held"));
        connection.send_body(stream, &[0; 30_000]);
        connection.send(&[reset(stream, CANCEL)]);
    }
    let body = vec![b'x'; 300_000];
    let _ = connection.request(Block::post("/"), &body).expect(200);
    expect_going_on(&mut connection);
}

/// What waits is the connection, until a third of a buffer of megabytes is free. No stream of it is idle in the meantime.
#[test]
fn a_client_that_reads_slowly_is_not_taken_for_an_idle_one() {
    let endless = Origin::scripted(|peer| {
        let _ = peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while peer.send([0; 65_536]) {}
    });
    let timeouts = "timeout = { send_idle = \"1500ms\" }";
    let lab = lab(endless).with(&format!("http2 = {{ prior_knowledge = true }}\n{timeouts}"), "", "").start();
    let mut connection = Connection::open(&lab.client().receive_buffer(65_536));
    let _ = connection.start(Block::get("/"));
    let uptime = || lab.admin().status()["uptime_seconds"].as_f64().unwrap();
    let begun = uptime();
    eventually("several idle times pass", || {
        let mut some = [0; 2_000];
        let count = std::io::Read::read(&mut connection.wire.stream(), &mut some).unwrap();
        assert!(count > 0, "the connection is closed");
        (uptime() - begun > 5.0).then_some(())
    });
    assert_eq!(lab.origin(1).open_connections(), 1, "the client is given up: {}", lab.admin().status());
}

/// A proxy that has nothing to answer from but itself, and a client that has room for nothing.
fn refusing(send_idle: &str) -> (Running, Connection, u32) {
    let listener =
        format!("http2 = {{ prior_knowledge = true }}\ntimeout = {{ send_idle = \"{send_idle}\" }}");
    let lab = Lab::new().origins(1).with(&listener, "match = { path = \"/app\" }", "").start();
    let mut connection = thrifty(&lab, 0);
    let stream = connection.start(Block::get("/none"));
    let _ = connection.response_head(stream).expect(404);
    (lab, connection, stream)
}

#[test]
fn a_client_that_reads_our_own_answer_slowly_is_not_taken_for_an_idle_one() {
    let (lab, mut connection, stream) = refusing("1500ms");
    let uptime = || lab.admin().status()["uptime_seconds"].as_f64().unwrap();
    let begun = uptime();
    for halves in 1..=10 {
        eventually("half a second", || (uptime() - begun > f64::from(halves) / 2.0).then_some(()));
        connection.send(&[window_update(stream, 1)]);
    }
    connection.send(&[window_update(stream, 65_535)]);
    let _ = connection.response(stream).expect(404);
}

#[test]
fn a_client_that_reads_nothing_of_our_own_answer_is_given_up() {
    let (lab, mut connection, stream) = refusing("300ms");
    connection.expect_reset(stream, &[CANCEL, INTERNAL_ERROR]);
    let ends = [("reason", "no_route")];
    assert_eq!(lab.admin().metric("ropeway_listener_request_ends_total", &ends), 1.0);
    assert_eq!(lab.admin().metric("ropeway_requests_active", &[]), 0.0);
}
