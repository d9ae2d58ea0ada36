//! HTTP/2: what may come on a stream in which state (RFC 9113 section 5).

use ropeway_e2e::h2::Block;
use ropeway_e2e::h2::connection::Connection;
use ropeway_e2e::h2::frame::{
    code::*, continuation, data, headers, ping, priority, reset, setting, window_update,
};
use ropeway_e2e::h2::rules::{
    Step, connection_error, either_error, expect_going_on, holding_origin, ignored, lab, served, stream_error,
};
use ropeway_e2e::http2_rules;

http2_rules! {
    /// RFC 9113 section 5.1, idle: only HEADERS and PRIORITY.
    data_on_an_idle_stream: [data(1, *b"x")] => connection_error(&[PROTOCOL_ERROR, STREAM_CLOSED]);

    /// RFC 9113 section 5.1, idle.
    rst_stream_on_an_idle_stream: [reset(1, CANCEL)] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 5.1, idle.
    window_update_on_an_idle_stream: [window_update(1, 100)] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 5.1, idle.
    continuation_on_an_idle_stream: [
        continuation(1, Block::get("/hostile")),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 5.1, idle.
    priority_on_an_idle_stream: [priority(1, 0, 15), priority(7, 3, 0), headers(1, Block::get("/")).end()] => served(1);

    /// RFC 9113 section 5.1: all of a kind, from streams that the server would open.
    window_update_on_an_idle_stream_of_the_server: [window_update(2, 100)] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 5.1, half-closed (remote).
    data_on_a_half_closed_stream: [
        headers(1, Block::get("/held")).end(), data(1, *b"x"),
    ] => either_error(1, &[STREAM_CLOSED]);

    /// RFC 9113 section 5.1, half-closed (remote): an empty frame is a frame.
    empty_data_on_a_half_closed_stream: [
        headers(1, Block::get("/held")).end(), data(1, []).end(),
    ] => either_error(1, &[STREAM_CLOSED]);

    /// RFC 9113 section 5.1, half-closed (remote), after a body.
    data_after_the_end_of_a_body: [
        headers(1, Block::post("/held")), data(1, *b"x").end(), data(1, *b"y").end(),
    ] => either_error(1, &[STREAM_CLOSED]);

    /// RFC 9113 section 5.1, half-closed (remote).
    headers_on_a_half_closed_stream: [
        headers(1, Block::get("/held")).end(), headers(1, Block::get("/hostile")).end(),
    ] => either_error(1, &[STREAM_CLOSED]);

    /// RFC 9113 section 5.1, half-closed (remote).
    continuation_on_a_half_closed_stream: [
        headers(1, Block::get("/held")).end(), continuation(1, Block::of(&[("x", "y")])),
    ] => connection_error(&[PROTOCOL_ERROR, STREAM_CLOSED]);

    /// RFC 9113 section 5.1, half-closed (remote): these three are allowed.
    window_update_priority_and_reset_on_a_half_closed_stream: [
        headers(1, Block::get("/held")).end(), Step::Arrived("/held"),
        window_update(1, 100), priority(1, 0, 15), reset(1, CANCEL),
    ] => ignored();

    /// RFC 9113 section 5.1, closed by RST_STREAM of ours.
    data_after_reset: [
        headers(1, Block::post("/held")), reset(1, CANCEL), data(1, *b"x"),
    ] => either_error(1, &[STREAM_CLOSED]);

    /// RFC 9113 section 5.1, closed by RST_STREAM of ours.
    headers_after_reset: [
        headers(1, Block::post("/held")), reset(1, CANCEL), headers(1, Block::get("/hostile")).end(),
    ] => either_error(1, &[STREAM_CLOSED]);

    /// RFC 9113 section 5.1, closed by RST_STREAM of ours.
    continuation_after_reset: [
        headers(1, Block::post("/held")), reset(1, CANCEL), continuation(1, Block::of(&[("x", "y")])),
    ] => connection_error(&[PROTOCOL_ERROR, STREAM_CLOSED]);

    /// RFC 9113 section 5.1, closed by END_STREAM on both sides.
    data_on_a_closed_stream: [
        headers(1, Block::get("/")).end(), Step::Response(1), data(1, *b"x"),
    ] => either_error(1, &[STREAM_CLOSED]);

    /// RFC 9113 section 5.1, closed by END_STREAM on both sides.
    headers_on_a_closed_stream: [
        headers(1, Block::get("/")).end(), Step::Response(1), headers(1, Block::get("/hostile")).end(),
    ] => either_error(1, &[STREAM_CLOSED]);

    /// RFC 9113 section 5.1, closed by END_STREAM on both sides.
    continuation_on_a_closed_stream: [
        headers(1, Block::get("/")).end(), Step::Response(1), continuation(1, Block::of(&[("x", "y")])),
    ] => connection_error(&[PROTOCOL_ERROR, STREAM_CLOSED]);

    /// RFC 9113 section 5.1, closed: these may still be under way.
    window_update_priority_and_reset_on_a_closed_stream: [
        headers(1, Block::get("/")).end(), Step::Response(1),
        window_update(1, 100), priority(1, 0, 15), reset(1, NO_ERROR), priority(1, 0, 15),
    ] => ignored();

    /// RFC 9113 section 5.1, closed by RST_STREAM of the server: what was under way is ignored.
    frames_on_a_stream_that_the_server_reset: [
        headers(1, Block::post("/hostile").field("connection", "x")), Step::Reset(1),
        data(1, *b"under way"), window_update(1, 1), reset(1, CANCEL),
    ] => ignored();

    /// RFC 9113 section 5.1.1: clients use odd numbers.
    headers_on_an_even_stream: [headers(2, Block::get("/hostile")).end()] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 5.1.1: numbers only grow.
    headers_on_a_lower_stream: [
        headers(5, Block::get("/")).end(), headers(3, Block::get("/hostile")).end(),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 5.1: it is told from one that was passed over.
    headers_on_a_closed_stream_behind_a_gap: [
        headers(5, Block::get("/")).end(), Step::Response(5), headers(5, Block::get("/hostile")).end(),
    ] => connection_error(&[STREAM_CLOSED]);

    /// RFC 9113 section 5.1.1: the streams that were passed over are closed.
    data_on_a_stream_that_was_passed_over: [
        headers(5, Block::get("/")).end(), data(3, *b"x"),
    ] => either_error(3, &[PROTOCOL_ERROR, STREAM_CLOSED]);

    /// RFC 9113 section 5.1.1: gaps are allowed.
    streams_with_gaps: [
        headers(1, Block::get("/held")).end(), headers(1_001, Block::get("/")).end(),
    ] => served(1_001);

    /// RFC 9113 section 5.1.1: up to the last number there is.
    the_last_stream_there_is_may_be_reset: [
        headers(0x7fff_ffff, Block::get("/held")).end(), Step::Arrived("/held"), ping(*b"whatever"),
        reset(0x7fff_ffff, CANCEL), data(0x7fff_ffff, *b"x"),
    ] => either_error(0x7fff_ffff, &[STREAM_CLOSED]);

    /// RFC 9113 section 5.3.2: priorities mean nothing any more, but they are still read.
    headers_with_priority: [
        headers(1, Block::get("/")).prioritised(0, 255).end(),
        headers(3, Block::get("/")).prioritised((1 << 31) | 1, 0).end(),
    ] => served(3);

    /// RFC 9113 section 5.3.2: a dependency on a stream that nobody knows.
    headers_depending_on_an_unknown_stream: [headers(1, Block::get("/")).prioritised(99, 7).end()] => served(1);

    /// RFC 9113 section 5.4.1.
    a_connection_error_ends_all_streams: [
        headers(1, Block::get("/held")).end(), headers(3, Block::post("/held")), ping(*b"whatever").on(1),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 5.4.2: a stream error ends nothing else.
    a_stream_error_leaves_the_others: [
        headers(1, Block::post("/")), headers(3, Block::get("/hostile").field("connection", "x")).end(), Step::Reset(3),
        data(1, *b"x").end(),
    ] => served(1);

    /// RFC 9113 section 6.4 and 5.4.2: two resets of one stream.
    reset_twice: [headers(1, Block::post("/held")), reset(1, CANCEL), reset(1, CANCEL)] => ignored();

    /// RFC 9113 section 8.1.1 with 5.4.2.
    window_update_of_zero_ends_one_stream: [
        headers(1, Block::get("/held")).end(), headers(3, Block::get("/held")).end(), window_update(3, 0),
    ] => stream_error(3, &[PROTOCOL_ERROR]);
}

/// RFC 9113 section 5.3.1 has no rule for it any more, RFC 7540 had: a stream that depends on itself.
#[test]
fn a_stream_that_depends_on_itself_harms_only_itself() {
    let lab = lab(holding_origin()).start();
    let mut connection = Connection::open(&lab.client());
    connection.send(&[headers(1, Block::get("/")).prioritised(1, 15).end()]);
    let exchange = connection.outcome(1);
    assert!(exchange.response.is_some() || exchange.reset == Some(PROTOCOL_ERROR), "{exchange:?}");
    expect_going_on(&mut connection);
}

/// RFC 9113 section 5.1.2: more than the server allows are refused, and may be tried again.
#[test]
fn streams_beyond_the_limit_are_refused() {
    let lab = lab(holding_origin())
        .with("http2 = { prior_knowledge = true, max_concurrent_streams = 10 }", "", "")
        .start();
    let mut connection = Connection::open(&lab.client());
    assert_eq!(connection.peer_setting(setting::MAX_CONCURRENT_STREAMS), 10);
    let held: Vec<u32> = (0..10).map(|_| connection.start(Block::get("/held"))).collect();
    let refused = connection.start(Block::get("/hostile"));
    connection.expect_reset(refused, &[REFUSED_STREAM, PROTOCOL_ERROR]);
    connection.round_trip();
    assert!(held.iter().all(|stream| !connection.exchange(*stream).is_over()));
    connection.send(&[reset(held[0], CANCEL)]);
    expect_going_on(&mut connection);
    assert!(lab.origin(1).requests().iter().all(|request| request.target != "/hostile"));
}

/// RFC 9113 section 5.1.2: streams that are over do not count.
#[test]
fn a_thousand_streams_one_after_the_other() {
    let lab = lab(holding_origin())
        .with("http2 = { prior_knowledge = true, max_concurrent_streams = 1 }", "", "")
        .start();
    let mut connection = Connection::open(&lab.client());
    for _ in 0..1_000 {
        let _ = connection.get("/").expect(200);
    }
    assert_eq!(lab.origin(1).count(), 1_000);
}

/// RFC 9113 section 5.1.2: as many as were announced are served at the same time.
#[test]
fn as_many_streams_as_announced() {
    let lab = lab(holding_origin()).start();
    let mut connection = Connection::open(&lab.client());
    let most = connection.peer_setting(setting::MAX_CONCURRENT_STREAMS);
    assert!((100..=1_000).contains(&most), "RFC 9113 section 6.5.2 wants at least 100: {most}");
    let streams: Vec<u32> = (0..most).map(|_| connection.start(Block::get("/held"))).collect();
    lab.origin(1).wait_for_requests(streams.len());
    connection.round_trip();
    assert!(streams.iter().all(|stream| !connection.exchange(*stream).is_over()), "{}", connection.summary());
}
