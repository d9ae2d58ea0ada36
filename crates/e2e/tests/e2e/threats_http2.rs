//! Threats 14 to 20: what HTTP/2 lets a client do to a proxy and to the origin behind it, with default settings.

use ropeway_e2e::h2::frame::{
    self, Frame, code::*, data, flag, headers, open_continuation, open_headers, ping, priority, reset,
    setting, settings, settings_ack, window_update,
};
use ropeway_e2e::h2::rules::{expect_going_on, expect_refused, holding_origin, lab};
use ropeway_e2e::h2::{Block, Connection};
use ropeway_e2e::{Gate, Lab, Origin, Running, eventually, reply};

fn running() -> Running {
    lab(holding_origin()).start()
}

/// How many rounds a flood has before the test says that nothing stops it.
const ROUNDS: u32 = 2_000;

/// Sends what `round` makes again and again until the proxy closes, and expects that it says why.
#[track_caller]
fn expect_calmed(connection: &mut Connection, codes: &[u32], mut round: impl FnMut(u32) -> Vec<Frame>) {
    for number in 0..ROUNDS {
        if !connection.try_send(&round(number)) {
            break;
        }
        // Read as a client does that only pretends to be slow, so that neither side blocks.
        while connection.wire.fill_within(std::time::Duration::from_micros(1)).is_ok_and(|count| count > 0) {}
        if frames_pending(connection, frame::kind::GOAWAY) {
            break;
        }
        assert!(number + 1 < ROUNDS, "nothing stops it: {ROUNDS} rounds");
    }
    connection.expect_goaway(codes);
}

/// Whether a whole frame of a kind is among what was received and not yet read.
fn frames_pending(connection: &Connection, kind: u8) -> bool {
    let mut rest = connection.wire.pending();
    while rest.len() >= 9 {
        let length = usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
        if rest[3] == kind {
            return true;
        }
        let Some(next) = rest.get(9 + length..) else { return false };
        rest = next;
    }
    false
}

/// What an attack may leave behind. Memory comes in pages of 2 MiB, for each thread.
const MOST_GROWN_KIB: u64 = 16 * 1024;

/// The proxy serves others, and its memory has not grown by much.
#[track_caller]
fn expect_unharmed(lab: &Running, before_kib: u64) {
    let _ = lab.client().get("/sentinel").expect(200);
    let grown = lab.proxy.resident_kib().saturating_sub(before_kib);
    assert!(grown <= MOST_GROWN_KIB, "{grown} KiB more than before");
}

#[test]
fn threat_14_a_body_that_differs_from_its_length_is_reset_and_its_server_connection_not_reused() {
    for (length, pieces) in [("5", &["four"][..]), ("3", &["four"]), ("10", &["four", "four"]), ("0", &["x"])]
    {
        let lab = running();
        let mut connection = Connection::open(&lab.client());
        let stream = connection.start_with_body(Block::post("/hostile").field("content-length", length));
        for piece in pieces {
            connection.try_send(&[data(stream, *piece)]);
        }
        connection.try_send(&[data(stream, []).end()]);
        let exchange = connection.outcome(stream);
        let status = exchange.response.map(|response| response.status);
        assert!(status.is_none_or(|status| status / 100 == 4), "{length}: {status:?}");
        let _ = connection.get("/after").expect(200);
        let requests = lab.origin(1).requests();
        let after = requests.iter().find(|request| request.target == "/after").unwrap();
        let hostile: Vec<usize> = lab
            .origin(1)
            .bytes()
            .iter()
            .enumerate()
            .filter(|(_, bytes)| bytes.starts_with(b"POST /hostile"))
            .map(|(number, _)| number)
            .collect();
        assert!(!hostile.contains(&after.connection), "{length}: the connection was used again");
        if length != "0" && length != "3" {
            assert!(requests.iter().all(|request| request.target != "/hostile"), "{length}: became whole");
        }
    }
}

#[test]
fn threat_14_a_response_that_is_too_short_is_reset() {
    let lab = lab(Origin::scripted(|peer| {
        while let Some(request) = peer.request() {
            if request.target == "/short" {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour");
                return;
            }
            peer.answer(&request, &reply(200, &[], "ok"));
        }
    }))
    .start();
    let mut connection = Connection::open(&lab.client());
    let stream = connection.start(Block::get("/short"));
    assert!(connection.outcome(stream).reset.is_some());
    expect_going_on(&mut connection);
}

#[test]
fn threat_15_fields_of_http1_do_not_reach_an_http1_origin() {
    let lab = running();
    let fields: [(&[u8], &[u8]); 14] = [
        (b"connection", b"close"),
        (b"connection", b"x-forwarded-for"),
        (b"keep-alive", b"1"),
        (b"proxy-connection", b"close"),
        (b"transfer-encoding", b"chunked"),
        (b"transfer-encoding", b"identity"),
        (b"upgrade", b"h2c"),
        (b"te", b"chunked"),
        (b"x", b"a\r\nTransfer-Encoding: chunked"),
        (b"x\r\nTransfer-Encoding", b"chunked"),
        (b"transfer-encoding:chunked\r\nx", b"y"),
        (b"Transfer-Encoding", b"chunked"),
        (b"x y", b"z"),
        (b":path", b"/other"),
    ];
    for (name, value) in fields {
        // A connection each: what becomes of the connection is judged elsewhere.
        let mut connection = Connection::open(&lab.client());
        let block = Block::post("/hostile").field(name, value);
        connection.send(&[headers(1, block), data(1, *b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n").end()]);
        let shown = String::from_utf8_lossy(name).into_owned();
        while !connection.exchange(1).is_over() && connection.step() {}
        let exchange = connection.exchange(1);
        let status = exchange.response.as_ref().map(|response| response.status);
        assert!(status.is_none_or(|status| status / 100 == 4), "{shown}: {status:?}");
        assert!(status.is_some() || exchange.reset.is_some() || !connection.goaways.is_empty(), "{shown}");
    }
    lab.expect_origin_saw_only(&[]);
}

#[test]
fn threat_15_bad_pseudo_headers_do_not_reach_an_http1_origin() {
    let lab = running();
    let good =
        [(":method", "GET"), (":scheme", "http"), (":path", "/hostile"), (":authority", "example.com")];
    let bad_values = [
        (0, "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\nGET"),
        (0, "GET\tx"),
        (1, "http\r\n"),
        (2, "/ HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled"),
        (2, "hostile"),
        (2, ""),
        (2, "http://other.example/hostile"),
        (2, "/hostile\u{b}x"),
        (3, "example.com\r\nX: y"),
        (3, "example.com other"),
        (3, "a@example.com"),
        (3, "example.com/x?"),
    ];
    for (place, value) in bad_values {
        let mut fields = good;
        fields[place].1 = value;
        let mut connection = Connection::open(&lab.client());
        connection.send(&[headers(1, Block::of(&fields)).end()]);
        while !connection.exchange(1).is_over() && connection.step() {}
        let status = connection.exchange(1).response.as_ref().map(|response| response.status);
        assert!(status.is_none_or(|status| status / 100 == 4), "{value:?}: {status:?}");
    }
    for missing in 0..good.len() {
        let mut fields = good.to_vec();
        fields.remove(missing);
        let mut connection = Connection::open(&lab.client());
        connection.send(&[headers(1, Block::of(&fields)).end()]);
        expect_refused(&mut connection, 1);
    }
    lab.expect_origin_saw_only(&[]);
}

#[test]
fn threat_16_rapid_reset_ends_at_a_cap_and_the_work_of_the_origin_is_bounded() {
    let lab = running();
    let before = lab.proxy.resident_kib();
    let mut connection = Connection::open(&lab.client());
    expect_calmed(&mut connection, &[ENHANCE_YOUR_CALM], |number| {
        let stream = number * 2 + 1;
        vec![headers(stream, Block::get("/held")).end(), reset(stream, CANCEL)]
    });
    eventually("the origin is told", || (lab.origin(1).open_connections() == 0).then_some(()));
    let worked = lab.origin(1).count();
    assert!(worked <= 1_000, "{worked} requests reached the origin");
    expect_unharmed(&lab, before);
}

#[test]
fn threat_16_rapid_reset_of_uploads() {
    let lab = running();
    let mut connection = Connection::open(&lab.client());
    expect_calmed(&mut connection, &[ENHANCE_YOUR_CALM], |number| {
        let stream = number * 2 + 1;
        vec![headers(stream, Block::post("/held")), data(stream, *b"some"), reset(stream, CANCEL)]
    });
    eventually("the origin is told", || (lab.origin(1).open_connections() == 0).then_some(()));
}

/// A browser that leaves a page resets a few dozen streams, and nobody should mind.
#[test]
fn threat_16_a_few_resets_are_ordinary() {
    let lab = running();
    let mut connection = Connection::open(&lab.client());
    for _ in 0..50 {
        let stream = connection.start(Block::get("/held"));
        connection.round_trip();
        connection.send(&[reset(stream, CANCEL)]);
    }
    expect_going_on(&mut connection);
    // All at once, before anybody looks at the first of them.
    let given_up = |stream| [headers(stream, Block::get("/held")).end(), reset(stream, CANCEL)];
    let streams: Vec<u32> = (0..100).map(|_| connection.new_stream()).collect();
    connection.send(&streams.into_iter().flat_map(given_up).collect::<Vec<_>>());
    expect_going_on(&mut connection);
}

/// A frame on a stream that makes the server reset it.
type Provocation = fn(u32) -> Frame;

#[test]
fn threat_17_streams_that_the_server_is_made_to_reset_count_too() {
    let provocations: [(&str, Provocation); 3] = [
        ("a window of nothing", |stream| window_update(stream, 0)),
        ("a window beyond the limit", |stream| window_update(stream, frame::LARGEST_WINDOW)),
        ("DATA after the end", |stream| data(stream, *b"x")),
    ];
    for (name, provocation) in provocations {
        let lab = running();
        let mut connection = Connection::open(&lab.client());
        expect_calmed(&mut connection, &[ENHANCE_YOUR_CALM, PROTOCOL_ERROR, STREAM_CLOSED], |number| {
            let stream = number * 2 + 1;
            vec![headers(stream, Block::get("/held")).end(), provocation(stream)]
        });
        eventually("the origin is told", || (lab.origin(1).open_connections() == 0).then_some(()));
        let worked = lab.origin(1).count();
        assert!(worked <= 1_000, "{name}: {worked} requests reached the origin");
    }
}

/// Malformed requests make the proxy reset streams as well.
#[test]
fn threat_17_malformed_requests_without_end_are_an_attack() {
    let lab = running();
    let mut connection = Connection::open(&lab.client());
    expect_calmed(&mut connection, &[ENHANCE_YOUR_CALM], |number| {
        vec![headers(number * 2 + 1, Block::get("/hostile").field("connection", "x")).end()]
    });
    lab.expect_origin_saw_only(&[]);
}

#[test]
fn threat_18_a_field_block_without_end_is_closed_after_a_few_frames() {
    for piece in [Block::new().field("x", "y".repeat(1_000)), Block::new(), Block::new().field("a", "b")] {
        let lab = running();
        let before = lab.proxy.resident_kib();
        let mut connection = Connection::open(&lab.client());
        connection.send(&[open_headers(1, Block::get("/hostile")).end()]);
        expect_calmed(&mut connection, &[ENHANCE_YOUR_CALM, COMPRESSION_ERROR, PROTOCOL_ERROR], |_| {
            vec![open_continuation(1, piece.clone())]
        });
        expect_unharmed(&lab, before);
        assert!(lab.origin(1).requests().iter().all(|request| request.target == "/sentinel"));
    }
}

#[track_caller]
fn expect_flood_calmed(prelude: &[Frame], flood: &Frame) {
    let lab = running();
    let before = lab.proxy.resident_kib();
    let mut connection = Connection::open(&lab.client());
    connection.send(prelude);
    let hundred = vec![flood.clone(); 100];
    expect_calmed(&mut connection, &[ENHANCE_YOUR_CALM], |_| hundred.clone());
    expect_unharmed(&lab, before);
}

#[test]
fn threat_19_settings_flood() {
    expect_flood_calmed(&[], &settings(&[]));
}

#[test]
fn threat_19_settings_flood_with_values() {
    expect_flood_calmed(&[], &settings(&[(setting::INITIAL_WINDOW_SIZE, 1); 100]));
}

#[test]
fn threat_19_settings_acknowledgement_flood() {
    let lab = running();
    let mut connection = Connection::open(&lab.client());
    let acks = vec![settings_ack(); 100];
    expect_calmed(&mut connection, &[ENHANCE_YOUR_CALM, PROTOCOL_ERROR], |_| acks.clone());
}

#[test]
fn threat_19_ping_flood() {
    expect_flood_calmed(&[], &ping(*b"flooding"));
}

#[test]
fn threat_19_ping_acknowledgement_flood() {
    expect_flood_calmed(&[], &ping(*b"flooding").flagged(flag::ACK));
}

#[test]
fn threat_19_empty_data_flood() {
    expect_flood_calmed(&[headers(1, Block::post("/held"))], &data(1, []));
}

#[test]
fn threat_19_padded_data_flood() {
    expect_flood_calmed(&[headers(1, Block::post("/held"))], &data(1, []).padded(0));
}

#[test]
fn threat_19_window_update_flood() {
    let prelude = [settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]), headers(1, Block::get("/held")).end()];
    expect_flood_calmed(&prelude, &window_update(1, 1));
}

#[test]
fn threat_19_priority_flood() {
    expect_flood_calmed(&[], &priority(1, 3, 7));
}

#[test]
fn threat_19_rst_stream_flood() {
    let prelude = [headers(1, Block::get("/held")).end(), reset(1, CANCEL)];
    expect_flood_calmed(&prelude, &reset(1, CANCEL));
}

#[test]
fn threat_19_unknown_frame_flood() {
    expect_flood_calmed(&[], &frame::frame(0xfa, 0, 0, []));
}

/// A client that never reads and makes the proxy answer: the answers do not pile up without end.
#[test]
fn threat_19_a_client_that_does_not_read_its_pongs() {
    let lab = running();
    let before = lab.proxy.resident_kib();
    let mut connection = Connection::open(&lab.client().receive_buffer(4096));
    connection.wire.stream().set_write_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    let many: Vec<Frame> = vec![ping(*b"flooding"); 1_000];
    // Either the proxy stops reading, or it closes.
    let mut rounds = 0;
    while rounds < 2_000 && connection.try_send(&many) {
        rounds += 1;
    }
    assert!(rounds < 2_000, "34 MB of PING and nobody minds");
    expect_unharmed(&lab, before);
}

/// An ordinary upload in small pieces, an ordinary chat with many PINGs: no attack.
#[test]
fn threat_19_busy_is_not_hostile() {
    let lab = running();
    let mut connection = Connection::open(&lab.client());
    let stream = connection.start_with_body(Block::post("/"));
    for number in 0..2_000 {
        connection.send_body(stream, b"small piece");
        if number % 20 == 0 {
            connection.round_trip();
        }
    }
    connection.finish(stream);
    let _ = connection.response(stream).expect(200);
    for _ in 0..200 {
        let _ = connection.get("/").expect(200);
    }
    assert_eq!(connection.goaways, []);
}

/// A call that streams messages, and a client that answers each with windows and a PING, as those of gRPC do.
#[test]
fn threat_19_a_stream_of_small_messages_is_no_flood() {
    let (next, due) = std::sync::mpsc::channel();
    let due = std::sync::Mutex::new(due);
    let lab = lab(Origin::scripted(move |peer| {
        if peer.request().is_none() {
            return;
        }
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while due.lock().unwrap().recv().is_ok() {
            peer.send("5\r\nhello\r\n");
        }
        peer.send("0\r\n\r\n");
    }))
    .start();
    // Dropped before the origin, which waits for it.
    let next = next;
    let mut connection = Connection::open(&lab.client());
    let stream = connection.start(Block::get("/"));
    let messages = 1_500;
    for number in 1..=messages {
        next.send(()).unwrap();
        connection.until("the next message", |connection| {
            (connection.exchange(stream).received() >= number * 5).then_some(())
        });
        connection.send(&[ping(*b"how fast")]);
    }
    drop(next);
    let _ = connection.response(stream).expect(200).expect_body(&"hello".repeat(messages));
    assert_eq!(connection.goaways, []);
}

/// The field that a bomb is made of, and then one byte for each further one.
fn bomb(name: &str, value_length: usize, times: usize) -> Block {
    Block::get("/hostile").inserted(name, "v".repeat(value_length)).newest(times)
}

/// Frames for a block of any length.
fn framed(stream: u32, block: Block) -> Vec<Frame> {
    let bytes = Vec::from(block);
    let mut pieces = bytes.chunks(frame::LEAST_MAX_FRAME);
    let first = open_headers(stream, pieces.next().unwrap_or_default()).end();
    let mut frames = vec![first];
    frames.extend(pieces.map(|piece| open_continuation(stream, piece)));
    let last = frames.pop().expect("there is a first").flagged(flag::END_HEADERS);
    frames.push(last);
    frames
}

#[test]
fn threat_20_thousands_of_one_byte_cookies_are_refused() {
    let lab = running();
    for (name, length, times) in
        [("cookie", 0, 16_000), ("cookie", 1, 4_000), ("x", 0, 200), ("x", 3_900, 100)]
    {
        let mut connection = Connection::open(&lab.client());
        connection.send(&framed(1, bomb(name, length, times)));
        while !connection.exchange(1).is_over() && connection.step() {}
        let exchange = connection.exchange(1);
        let status = exchange.response.as_ref().map(|response| response.status);
        let refused = status == Some(431) || exchange.reset.is_some() || !connection.goaways.is_empty();
        assert!(
            refused && status.is_none_or(|status| status == 431),
            "{name} {length} {times}: {exchange:?}"
        );
    }
    lab.expect_origin_saw_only(&[]);
}

/// Opens connections that each begin with `first` and go on with `rest` on many streams, and never let a response out;
/// gives the bytes sent.
fn bombard(lab: &Running, connections: &mut Vec<Connection>, count: usize, bomb: &Bomb) -> u64 {
    let mut sent = 0;
    for _ in 0..count {
        let closed_window = [(setting::INITIAL_WINDOW_SIZE, 0)];
        let mut connection = Connection::open_with(&lab.client(), &closed_window);
        for number in 0..100 {
            let block = if number == 0 { &bomb.first } else { &bomb.rest };
            let frames = framed(number * 2 + 1, block.clone());
            sent += frame::bytes_of(&frames).len() as u64;
            if !connection.try_send(&frames) {
                break;
            }
        }
        connections.push(connection);
    }
    for connection in connections {
        // Until everything was read, or the connection is closed.
        let before = connection.pongs.len();
        let _ = connection.try_send(&[ping(*b"all read")]);
        while connection.pongs.len() == before && connection.step() {}
    }
    sent
}

/// The field blocks of a connection that attacks.
struct Bomb {
    first: Block,
    rest: Block,
}

/// How much the memory of a fresh proxy grows under a bombardment, and how many bytes were sent.
fn growth(bomb: &Bomb) -> (u64, u64) {
    let lab = running();
    let mut warm = Vec::new();
    let _ = bombard(&lab, &mut warm, 2, bomb);
    drop(warm);
    let before = lab.proxy.resident_kib();
    let mut connections = Vec::new();
    let sent = bombard(&lab, &mut connections, 20, bomb);
    (lab.proxy.resident_kib().saturating_sub(before) * 1024, sent)
}

/// What as many harmless connections and streams cost is not the bomb's.
#[track_caller]
fn expect_ten_bytes_for_one(bomb: &Bomb) {
    let harmless = Bomb { first: Block::get("/held"), rest: Block::get("/held") };
    let (usual, _) = growth(&harmless);
    let (grown, sent) = growth(bomb);
    let more = grown.saturating_sub(usual);
    let times = more as f64 / sent as f64;
    eprintln!(
        "{sent} bytes sent, {more} bytes of memory more than for harmless streams ({usual}): {times:.1} x"
    );
    assert!(more <= sent * 10, "{times:.1} x");
}

#[test]
fn threat_20_a_header_bomb_costs_at_most_ten_times_its_size() {
    let block = bomb("cookie", 0, 4_000);
    expect_ten_bytes_for_one(&Bomb { first: block.clone(), rest: block });
}

#[test]
fn threat_20_a_bomb_below_the_limits_costs_at_most_ten_times_its_size() {
    let block = Block::get("/held").field("x-padding", "p".repeat(600)).inserted("cookie", "v").newest(100);
    expect_ten_bytes_for_one(&Bomb { first: block.clone(), rest: block });
}

/// The value is sent once for each connection: all else are references of one byte.
#[test]
fn threat_20_large_fields_by_reference_cost_at_most_ten_times_their_size() {
    let first = Block::get("/held").inserted("x", "v".repeat(3_900)).newest(12);
    expect_ten_bytes_for_one(&Bomb { first, rest: Block::get("/held").newest(12) });
}

/// A stall timer that inbound data cannot refresh: the responses stay, and the client goes on talking.
#[test]
fn threat_20_a_client_that_lets_nothing_out_is_given_up_though_it_talks() {
    let settings = "http2 = { prior_knowledge = true }\ntimeout = { send_idle = \"500ms\", idle = \"1m\", body_idle = \"1m\" }";
    let lab = Lab::new()
        .origin(Origin::answering(|_| reply(200, &[], &"x".repeat(1_000_000))))
        .with(settings, "", "")
        .start();
    let mut connection = Connection::open_with(&lab.client(), &[(setting::INITIAL_WINDOW_SIZE, 0)]);
    connection.gives_credit = false;
    let streams: Vec<u32> = (0..10).map(|_| connection.start(Block::get("/large"))).collect();
    let over = |connection: &Connection| streams.iter().all(|stream| connection.exchange(*stream).is_over());
    // Talks all the time: PINGs, and windows of streams that do not matter.
    let begun = std::time::Instant::now();
    while !over(&connection) && begun.elapsed() < ropeway_e2e::wait::PATIENCE {
        if !connection.try_send(&[ping(*b"chatting"), priority(9_999, 0, 1)]) {
            // Closed: what the proxy had to say before is still there to be read.
            while connection.step() {}
        }
        if !connection.step() {
            break;
        }
    }
    let ended = connection.streams_over();
    assert!(over(&connection) || connection.has_ended(), "{ended} of {} were given up", streams.len());
    eventually("nothing is kept", || (lab.origin(1).open_connections() == 0).then_some(()));
}

/// The same with a window that opens by one byte again and again: progress, but no rate.
#[test]
fn threat_20_a_client_that_takes_a_byte_at_a_time_is_given_up() {
    let settings = "http2 = { prior_knowledge = true }\n\
                    timeout = { send_idle = \"1m\", min_rate = 100000, min_rate_grace = \"500ms\" }";
    let lab = Lab::new()
        .origin(Origin::answering(|_| reply(200, &[], &"x".repeat(1_000_000))))
        .with(settings, "", "")
        .start();
    let mut connection = Connection::open_with(&lab.client(), &[(setting::INITIAL_WINDOW_SIZE, 0)]);
    connection.gives_credit = false;
    let stream = connection.start(Block::get("/large"));
    let begun = std::time::Instant::now();
    while !connection.exchange(stream).is_over() && begun.elapsed() < ropeway_e2e::wait::PATIENCE {
        if !connection.try_send(&[window_update(stream, 1), ping(*b"chatting")]) {
            // Closed: what the proxy had to say before is still there to be read.
            while connection.step() {}
        }
        if !connection.step() {
            break;
        }
    }
    assert!(connection.exchange(stream).is_over() || connection.has_ended(), "{}", connection.summary());
}

/// What a stream holds is freed when it ends, not when its connection does.
#[test]
fn threat_20_memory_comes_back_while_the_connection_stays() {
    let gate = Gate::new();
    let door = gate.clone();
    let lab = lab(Origin::answering(move |request| {
        if request.target == "/held" {
            door.wait();
        }
        reply(200, &[], "ok")
    }))
    .start();
    let mut connection = Connection::open(&lab.client());
    let round = |connection: &mut Connection| {
        for _ in 0..200 {
            let stream = connection.start(Block::get("/").field("x", "v".repeat(15_000)));
            let _ = connection.response(stream).expect(200);
        }
        lab.proxy.resident_kib()
    };
    let first = round(&mut connection);
    for _ in 0..5 {
        let _ = round(&mut connection);
    }
    let last = round(&mut connection);
    gate.open();
    assert!(last <= first + 4 * 1024, "{first} KiB became {last} KiB");
}
