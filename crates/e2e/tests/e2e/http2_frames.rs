//! HTTP/2: what each type of frame may look like (RFC 9113 section 6).

use ropeway_e2e::h2::Block;
use ropeway_e2e::h2::connection::{Connection, End};
use ropeway_e2e::h2::frame::{
    LARGEST_WINDOW, code::*, continuation, data, flag, goaway, headers, open_continuation, open_headers,
    ping, priority, priority_fields, priority_update, push_promise, reset, setting, settings, settings_ack,
    window_update,
};
use ropeway_e2e::h2::rules::{
    connection_error, either_error, expect_going_on, holding_origin, ignored, lab, served, stream_error,
};
use ropeway_e2e::{Gate, Origin, http2_rules, reply};

http2_rules! {
    /// RFC 9113 section 6.1: DATA belongs to a stream.
    data_on_the_connection: [data(0, *b"x")] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 5.1: nor to one that is idle, were it empty.
    empty_data_on_an_idle_stream: [data(7, [])] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 5.1.1: the streams of clients have odd numbers, whatever is asked on them.
    malformed_headers_on_an_even_stream: [
        headers(2, Block::get("/hostile").field("te", "gzip")).end(),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.1: padding as long as the frame.
    data_with_too_much_padding: [
        headers(1, Block::post("/hostile")), data(1, [4, b'x', 0, 0]).flagged(flag::PADDED | flag::END_STREAM),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.1: padding far beyond the frame.
    data_with_padding_beyond_the_frame: [
        headers(1, Block::post("/hostile")), data(1, [255, b'x']).flagged(flag::PADDED | flag::END_STREAM),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.1: a padded frame has at least the byte that says how much.
    data_without_its_padding_length: [
        headers(1, Block::post("/hostile")), data(1, []).flagged(flag::PADDED | flag::END_STREAM),
    ] => connection_error(&[PROTOCOL_ERROR, FRAME_SIZE_ERROR]);

    /// RFC 9113 section 6.1.
    padded_data: [headers(1, Block::post("/")), data(1, *b"x").padded(200), data(1, []).padded(0).end()] => served(1);

    /// RFC 9113 section 6.1: nothing but padding.
    data_of_nothing_but_padding: [headers(1, Block::post("/")), data(1, []).padded(255).end()] => served(1);

    /// RFC 9113 section 6.2: HEADERS belong to a stream.
    headers_on_the_connection: [headers(0, Block::get("/hostile")).end()] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.2.
    headers_with_too_much_padding: [
        headers(1, [&[100][..], &Vec::from(Block::get("/"))].concat()).flagged(flag::PADDED | flag::END_STREAM),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.2: padding may not reach into the priority.
    headers_with_padding_over_the_priority: [
        headers(1, [&[3][..], &priority_fields(0, 1), &[0, 0]].concat())
            .flagged(flag::PADDED | flag::PRIORITY | flag::END_STREAM),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.2: no room for the priority that a flag announces.
    headers_without_their_priority: [
        headers(1, [0, 0, 0]).flagged(flag::PRIORITY | flag::END_STREAM),
    ] => connection_error(&[PROTOCOL_ERROR, FRAME_SIZE_ERROR]);

    /// RFC 9113 section 6.2.
    padded_headers: [headers(1, Block::get("/")).padded(200).end()] => served(1);

    /// RFC 9113 section 6.2.
    padded_headers_with_priority: [headers(1, Block::get("/")).prioritised(0, 9).padded(20).end()] => served(1);

    /// RFC 9113 section 6.3: PRIORITY belongs to a stream.
    priority_on_the_connection: [priority(0, 1, 15)] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.3.
    priority_with_four_bytes: [
        headers(1, Block::get("/held")).end(), priority(1, 0, 15).with_payload([0; 4]),
    ] => either_error(1, &[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 6.3.
    priority_with_six_bytes: [
        headers(1, Block::get("/held")).end(), priority(1, 0, 15).with_payload([0; 6]),
    ] => either_error(1, &[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 6.4: RST_STREAM belongs to a stream.
    rst_stream_on_the_connection: [reset(0, CANCEL)] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.4.
    rst_stream_with_three_bytes: [
        headers(1, Block::get("/held")).end(), reset(1, CANCEL).with_payload([0; 3]),
    ] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 6.4.
    rst_stream_with_five_bytes: [
        headers(1, Block::get("/held")).end(), reset(1, CANCEL).with_payload([0; 5]),
    ] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 6.5: SETTINGS belong to the connection.
    settings_on_a_stream: [settings(&[]).on(1)] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.5: an acknowledgement has no payload.
    settings_ack_with_payload: [settings_ack().with_payload([0; 6])] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 6.5: six bytes for each setting.
    settings_with_five_bytes: [settings(&[]).with_payload([0, 3, 0, 0, 0])] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 6.5.
    settings_with_seven_bytes: [
        settings(&[]).with_payload([0, 3, 0, 0, 0, 1, 0]),
    ] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 6.5.2: SETTINGS_ENABLE_PUSH is 0 or 1.
    enable_push_of_two: [settings(&[(setting::ENABLE_PUSH, 2)])] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.5.2.
    initial_window_of_two_gibibytes: [
        settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 31)]),
    ] => connection_error(&[FLOW_CONTROL_ERROR]);

    /// RFC 9113 section 6.5.2.
    initial_window_of_all_ones: [
        settings(&[(setting::INITIAL_WINDOW_SIZE, u32::MAX)]),
    ] => connection_error(&[FLOW_CONTROL_ERROR]);

    /// RFC 9113 section 6.5.2.
    max_frame_below_the_least: [
        settings(&[(setting::MAX_FRAME_SIZE, 16_383)]),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.5.2.
    max_frame_above_the_most: [settings(&[(setting::MAX_FRAME_SIZE, 1 << 24)])] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 8441 section 3.
    enable_connect_protocol_of_two: [
        settings(&[(setting::ENABLE_CONNECT_PROTOCOL, 2)]),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9218 section 2.1.
    no_old_priorities_of_two: [settings(&[(0x9, 2)])] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.5.2: the limits themselves are allowed.
    settings_at_their_limits: [
        settings(&[
            (setting::HEADER_TABLE_SIZE, u32::MAX), (setting::MAX_CONCURRENT_STREAMS, 0),
            (setting::INITIAL_WINDOW_SIZE, LARGEST_WINDOW), (setting::MAX_FRAME_SIZE, (1 << 24) - 1),
            (setting::MAX_HEADER_LIST_SIZE, u32::MAX), (setting::ENABLE_PUSH, 1),
        ]),
    ] => ignored();

    /// RFC 9113 section 6.5.3: values are taken in order, the last one holds.
    settings_given_twice: [
        settings(&[(setting::INITIAL_WINDOW_SIZE, 0), (setting::INITIAL_WINDOW_SIZE, 65_535)]),
        headers(1, Block::get("/")).end(),
    ] => served(1);

    /// RFC 9113 section 6.6 and 8.4: clients do not push.
    push_promise_from_a_client: [
        headers(1, Block::get("/held")).end(), push_promise(1, 2, Block::get("/hostile")),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.6 and 8.4: nor on a stream of nobody.
    push_promise_on_an_idle_stream: [push_promise(1, 2, Block::get("/hostile"))] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.7: PING belongs to the connection.
    ping_on_a_stream: [ping(*b"whatever").on(1)] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.7.
    ping_with_seven_bytes: [ping([0; 8]).with_payload([0; 7])] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 6.7.
    ping_with_nine_bytes: [ping([0; 8]).with_payload([0; 9])] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 6.8: GOAWAY belongs to the connection.
    goaway_on_a_stream: [goaway(0, NO_ERROR).on(1)] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.8: at least eight bytes.
    goaway_with_seven_bytes: [goaway(0, NO_ERROR).with_payload([0; 7])] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 6.9.
    window_update_of_zero_on_the_connection: [window_update(0, 0)] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.9.
    window_update_of_zero_on_a_stream: [
        headers(1, Block::get("/held")).end(), window_update(1, 0),
    ] => stream_error(1, &[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.9.
    window_update_with_three_bytes: [window_update(0, 1).with_payload([0; 3])] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 6.9.
    window_update_with_five_bytes_on_a_stream: [
        headers(1, Block::get("/held")).end(), window_update(1, 1).with_payload([0, 0, 0, 1, 0]),
    ] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 6.9.1: the window of the connection has a limit; the harness has filled it to the brim.
    connection_window_beyond_the_limit: [window_update(0, 1)] => connection_error(&[FLOW_CONTROL_ERROR]);

    /// RFC 9113 section 6.9.1: the window of a stream has the same; the harness has filled it to the brim.
    stream_window_beyond_the_limit: [
        headers(1, Block::get("/held")).end(), window_update(1, 1),
    ] => stream_error(1, &[FLOW_CONTROL_ERROR]);

    /// RFC 9113 section 6.9.2: a new initial window may not lift a stream beyond the limit.
    initial_window_that_lifts_a_stream_beyond_the_limit: [
        settings(&[(setting::INITIAL_WINDOW_SIZE, 10)]), headers(1, Block::get("/held")).end(),
        window_update(1, LARGEST_WINDOW - 10), settings(&[(setting::INITIAL_WINDOW_SIZE, 11)]),
    ] => connection_error(&[FLOW_CONTROL_ERROR]);

    /// RFC 9113 section 6.10.
    continuation_on_the_connection: [
        open_headers(1, Block::get("/hostile")).end(), continuation(0, []),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.10.
    continuation_on_another_stream: [
        open_headers(1, Block::get("/hostile")).end(), continuation(3, []),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.10: after END_HEADERS none may come.
    continuation_after_the_end_of_the_block: [
        headers(1, Block::post("/held")), continuation(1, Block::of(&[("x", "y")])),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.10.
    continuation_after_the_last_continuation: [
        open_headers(1, Block::post("/held")), continuation(1, []), continuation(1, Block::of(&[("x", "y")])),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.10.
    continuation_after_data: [
        headers(1, Block::post("/held")), data(1, *b"x"), continuation(1, Block::of(&[("x", "y")])),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.10.
    data_inside_a_field_block: [
        open_headers(1, Block::post("/hostile")), data(1, *b"x"), continuation(1, []),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.10.
    several_continuations: [
        open_headers(1, []).end(), open_continuation(1, Block::get("/")), open_continuation(1, []), continuation(1, []),
    ] => served(1);

    /// RFC 9113 section 6.4: a reset of an upload under way.
    rst_stream_inside_a_body: [
        headers(1, Block::post("/hostile")), data(1, *b"x"), reset(1, CANCEL),
    ] => ignored();

    /// RFC 9218 section 7.1: PRIORITY_UPDATE names a stream, on stream 0.
    priority_update_before_its_stream: [
        priority_update(1, "u=1, i"), headers(1, Block::get("/").field("priority", "u=5")).end(),
    ] => served(1);

    /// RFC 9218 section 7.1: the reserved bit has no meaning, and a value that cannot be read is ignored.
    priority_update_with_a_strange_value: [
        priority_update(1 << 31 | 1, "u=\"\0;"), headers(1, Block::get("/")).end(),
    ] => served(1);

    /// RFC 9218 section 7.1: when the stream is over it may still come.
    priority_update_after_its_stream: [
        headers(1, Block::get("/")).end(), priority_update(1, "u=1"), headers(3, Block::get("/")).end(),
    ] => served(3);

    /// RFC 9218 section 7.1.
    priority_update_on_a_stream: [
        headers(1, Block::get("/held")).end(), priority_update(1, "u=1").on(1),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9218 section 7.1.
    priority_update_for_the_connection: [priority_update(0, "u=1")] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9218 section 7.1: a push that nobody has promised.
    priority_update_for_a_push: [priority_update(2, "u=1")] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9218 section 7.1 and RFC 9113 section 4.2: too short to name a stream.
    priority_update_with_three_bytes: [
        priority_update(1, "").with_payload([0; 3]),
    ] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 6.10.
    priority_update_inside_a_field_block: [
        open_headers(1, Block::post("/hostile")), priority_update(1, "u=1"), continuation(1, []),
    ] => connection_error(&[PROTOCOL_ERROR]);
}

/// RFC 9113 section 6.5.3.
#[test]
fn settings_are_acknowledged_in_order_and_each_once() {
    let lab = lab(holding_origin()).start();
    let mut connection = Connection::open(&lab.client());
    for round in 0..20 {
        connection.send(&[settings(&[(setting::INITIAL_WINDOW_SIZE, 65_535 + round)])]);
    }
    connection.until("20 acknowledgements", |connection| (connection.settings_acks >= 21).then_some(()));
    expect_going_on(&mut connection);
    assert_eq!(connection.settings_acks, 21);
}

/// RFC 9113 section 6.7.
#[test]
fn a_ping_comes_back_with_its_payload() {
    let lab = lab(holding_origin()).start();
    let mut connection = Connection::open(&lab.client());
    connection.send(&[ping(*b"\0\x01\xfe\xff....")]);
    connection.round_trip();
    assert_eq!(connection.pongs[0], *b"\0\x01\xfe\xff....");
}

/// RFC 9113 section 6.7: an acknowledgement is not acknowledged.
#[test]
fn a_pong_is_not_answered() {
    let lab = lab(holding_origin()).start();
    let mut connection = Connection::open(&lab.client());
    connection.send(&[ping(*b"nobody's").flagged(flag::ACK)]);
    connection.round_trip();
    assert_eq!(connection.pongs, [*b"round  ."]);
}

/// RFC 9113 section 6.7: a PING is answered while streams are busy.
#[test]
fn a_ping_is_answered_while_requests_wait() {
    let lab = lab(holding_origin()).start();
    let mut connection = Connection::open(&lab.client());
    let held = connection.start(Block::get("/held"));
    lab.origin(1).wait_for_requests(1);
    connection.round_trip();
    assert!(!connection.exchange(held).is_over());
}

/// RFC 9113 section 6.8: the server names the last stream that it has acted upon.
#[test]
fn goaway_names_the_last_stream() {
    let lab = lab(holding_origin()).start();
    let mut connection = Connection::open(&lab.client());
    for _ in 0..3 {
        let _ = connection.get("/").expect(200);
    }
    connection.send(&[ping(*b"whatever").on(1)]);
    connection.expect_goaway(&[PROTOCOL_ERROR]);
    assert_eq!(connection.goaways.last().map(|goaway| goaway.last_stream), Some(5));
}

/// RFC 9113 section 6.8: a client that leaves gets what it has asked for, then the connection closes.
#[test]
fn a_client_that_goes_away_gets_its_answers() {
    let gate = Gate::new();
    let door = gate.clone();
    let lab = lab(Origin::answering(move |_| {
        door.wait();
        reply(200, &[], "late")
    }))
    .start();
    let mut connection = Connection::open(&lab.client());
    let stream = connection.start(Block::get("/"));
    let upload = connection.start_with_body(Block::post("/"));
    lab.origin(1).wait_for_requests(1);
    connection.send(&[goaway(0, NO_ERROR), data(upload, *b"whole").end()]);
    lab.origin(1).wait_for_requests(2);
    gate.open();
    let _ = connection.response(stream).expect(200).expect_body("late");
    let _ = connection.response(upload).expect(200).expect_body("late");
    connection.wire.half_close();
    assert_eq!(connection.expect_end(), End::Close);
}
