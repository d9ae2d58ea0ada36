//! HTTP/2: how a connection begins, and what every frame has in common (RFC 9113 sections 3.4, 4, 5.5 and 7).

use ropeway_e2e::h2::connection::{Connection, End};
use ropeway_e2e::h2::frame::{
    LEAST_MAX_FRAME, PREFACE, code::*, continuation, data, flag, frame, goaway, headers, kind,
    open_continuation, open_headers, ping, priority, reset, setting, settings, settings_ack, window_update,
};
use ropeway_e2e::h2::rules::{
    connection_error, either_error, expect_going_on, holding_origin, ignored, lab, served,
};
use ropeway_e2e::h2::{Block, Frame};
use ropeway_e2e::{Running, http2_rules};

/// A type of frame that nobody has given a meaning to.
const UNKNOWN: u8 = 0xfa;

fn running() -> Running {
    lab(holding_origin()).start()
}

/// Sends bytes instead of a good beginning, and expects that the connection ends without an answer in HTTP/2 other
/// than GOAWAY.
#[track_caller]
fn expect_no_http2(bytes: &[u8]) {
    let lab = running();
    let mut connection = lab.connect();
    connection.try_send(bytes);
    connection.half_close();
    connection.wire.drain();
    let _ = lab.client().get("/sentinel").expect(200);
    lab.expect_origin_saw_only(&[]);
}

#[test]
fn the_server_begins_with_its_settings() {
    let lab = running();
    let mut connection = Connection::silent(&lab.client());
    connection.send_bytes(PREFACE);
    connection.send(&[settings(&[])]);
    assert!(connection.step());
    assert!(connection.has_settings(), "{}", connection.summary());
}

#[test]
fn requests_may_come_before_the_settings_of_the_server() {
    let lab = running();
    let mut connection = Connection::silent(&lab.client());
    connection.send_bytes(PREFACE);
    connection.send(&[settings(&[]), headers(1, Block::get("/early")).end()]);
    let _ = connection.response(1).expect(200).expect_body("ok");
}

#[test]
fn a_preface_in_many_pieces_is_one() {
    let lab = running();
    let mut connection = Connection::silent(&lab.client());
    for byte in PREFACE {
        connection.send_bytes(&[*byte]);
    }
    connection.send(&[settings(&[])]);
    let _ = connection.get("/").expect(200);
}

#[test]
fn http1_is_served_on_the_same_port() {
    let lab = running();
    let _ = lab.client().get("/").expect(200).expect_body("ok");
    let _ = lab.client().request("POST", "/", "PRI * HTTP/2.0").expect(200);
    let _ = Connection::open(&lab.client()).get("/").expect(200).expect_body("ok");
}

#[test]
fn a_preface_that_breaks_off_is_no_request() {
    expect_no_http2(&PREFACE[..PREFACE.len() - 3]);
}

#[test]
fn a_preface_with_another_second_half_is_no_request() {
    expect_no_http2(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n\0\0\0\x04\0\0\0\0\0");
}

#[test]
fn a_preface_of_another_version_is_no_request() {
    expect_no_http2(b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
}

#[test]
fn a_preface_without_settings_is_a_connection_error() {
    let lab = running();
    let mut connection = Connection::silent(&lab.client());
    connection.send_bytes(PREFACE);
    connection.send(&[headers(1, Block::get("/hostile")).end()]);
    connection.expect_goaway(&[PROTOCOL_ERROR]);
    lab.expect_origin_saw_only(&[]);
}

#[test]
fn an_acknowledgement_is_no_first_settings() {
    let lab = running();
    let mut connection = Connection::silent(&lab.client());
    connection.send_bytes(PREFACE);
    connection.send(&[settings_ack(), headers(1, Block::get("/hostile")).end()]);
    connection.expect_goaway(&[PROTOCOL_ERROR]);
    lab.expect_origin_saw_only(&[]);
}

#[test]
fn http2_is_not_taken_where_it_is_not_enabled() {
    let lab = ropeway_e2e::Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.try_send([PREFACE, &settings(&[]).bytes()].concat());
    let response = connection.receive();
    assert!(matches!(response.status, 400 | 505), "{}", response.status);
    connection.expect_gone();
    lab.expect_origin_saw_only(&[]);
}

#[test]
fn a_frame_that_breaks_off_ends_quietly() {
    let lab = running();
    let mut connection = Connection::open(&lab.client());
    connection.send_bytes(&headers(1, Block::get("/hostile")).end().bytes()[..12]);
    connection.wire.half_close();
    assert_eq!(connection.expect_end(), End::Close);
    lab.expect_origin_saw_only(&[]);
}

http2_rules! {
    /// RFC 9113 section 4.1: frames of unknown types are ignored.
    unknown_frame_type: [frame(UNKNOWN, 0, 0, *b"what?"), frame(UNKNOWN, 0xff, 0, [])] => ignored();

    /// RFC 9113 section 5.5.
    unknown_frame_type_on_a_stream:
        [headers(1, Block::post("/")), frame(UNKNOWN, 0xff, 1, *b"what?"), data(1, *b"x").end()] => served(1);

    /// RFC 9113 section 4.1: flags that mean nothing are ignored.
    undefined_flags_on_ping: [ping(*b"whatever").flagged(0xfe)] => ignored();

    /// RFC 9113 section 4.1.
    undefined_flags_on_headers:
        [headers(1, Block::get("/")).flagged(flag::END_STREAM | 0x02 | 0x10 | 0x40 | 0x80)] => served(1);

    /// RFC 9113 section 4.1.
    undefined_flags_on_data:
        [headers(1, Block::post("/")), data(1, *b"x").flagged(flag::END_STREAM | 0x02 | 0x04 | 0x80)] => served(1);

    /// RFC 9113 section 4.1: the reserved bit is ignored.
    reserved_bit_on_ping: [ping(*b"whatever").on(1 << 31)] => ignored();

    /// RFC 9113 section 4.1.
    reserved_bit_on_headers: [
        headers(1, Block::get("/held")).end(), headers((1 << 31) | 3, Block::get("/")).end(),
    ] => served(3);

    /// RFC 9113 section 6.9: the reserved bit of the increment is ignored too.
    reserved_bit_of_a_window_increment: [
        settings(&[(setting::INITIAL_WINDOW_SIZE, 100)]), headers(1, Block::get("/held")).end(),
        window_update(1, (1 << 31) | 1),
    ] => ignored();

    /// RFC 9113 section 4.2: 2^14 bytes are always taken.
    largest_data_frame:
        [headers(1, Block::post("/")), data(1, vec![0; LEAST_MAX_FRAME]).end()] => served(1);

    /// RFC 9113 section 4.2: a larger frame than SETTINGS_MAX_FRAME_SIZE.
    too_large_data_frame: [
        headers(1, Block::post("/hostile")), data(1, vec![0; LEAST_MAX_FRAME + 1]).end(),
    ] => either_error(1, &[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 4.2: a field block changes the state of the connection.
    too_large_headers_frame: [
        headers(1, Block::get("/hostile").field("x", vec![b'a'; LEAST_MAX_FRAME])).end(),
    ] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 4.2.
    too_large_continuation_frame: [
        open_headers(1, Block::get("/hostile")).end(),
        continuation(1, Block::of(&[("x", &"a".repeat(LEAST_MAX_FRAME))])),
    ] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 4.2.
    too_large_settings_frame: [
        settings(&vec![(UNKNOWN.into(), 1); LEAST_MAX_FRAME / 6 + 1]),
    ] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 4.2: the length alone is enough, the payload need not come.
    a_frame_that_claims_16_megabytes: [
        frame(kind::DATA, 0, 1, []).claiming(0x00ff_ffff),
    ] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 4.2.
    an_unknown_frame_that_is_too_large: [
        frame(UNKNOWN, 0, 0, vec![0; LEAST_MAX_FRAME + 1]),
    ] => connection_error(&[FRAME_SIZE_ERROR]);

    /// RFC 9113 section 4.3: a block that cannot be decoded.
    undecodable_field_block: [
        headers(1, Block::get("/hostile").bytes([0x00])).end(),
    ] => connection_error(&[COMPRESSION_ERROR]);

    /// RFC 9113 section 4.3: the same in trailers.
    undecodable_trailers: [
        headers(1, Block::post("/hostile")), data(1, *b"x"), headers(1, Block::new().indexed(0)).end(),
    ] => connection_error(&[COMPRESSION_ERROR]);

    /// RFC 9113 section 4.3: blocks are contiguous.
    priority_inside_a_field_block: [
        open_headers(1, Block::get("/hostile")).end(), priority(1, 0, 16), continuation(1, []),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 4.3.
    headers_inside_a_field_block: [
        open_headers(1, Block::get("/hostile")).end(), headers(3, Block::get("/hostile")).end(),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 4.3.
    ping_inside_a_field_block: [
        open_headers(1, Block::get("/hostile")).end(), ping(*b"whatever"), continuation(1, []),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 4.3: the block of a stream that was reset changes the tables all the same.
    a_block_for_a_stream_that_was_reset_is_decoded: [
        headers(1, Block::post("/held")), reset(1, CANCEL),
        headers(3, Block::post("/").inserted("x", "kept")), reset(3, CANCEL),
        headers(5, Block::get("/").newest(1)).end(),
    ] => served(5);

    /// RFC 9113 section 5.5: unknown frames may not interrupt a field block.
    unknown_frame_inside_a_field_block: [
        open_headers(1, Block::get("/hostile")).end(), frame(UNKNOWN, 0, 1, []), continuation(1, []),
    ] => connection_error(&[PROTOCOL_ERROR]);

    /// RFC 9113 section 6.5.2: unknown settings are ignored.
    unknown_setting: [settings(&[(0xfafa, u32::MAX), (0, 0)])] => ignored();

    /// RFC 9113 section 7: unknown error codes trigger nothing special.
    unknown_error_code_in_rst_stream: [headers(1, Block::post("/held")), reset(1, 0xfafa)] => ignored();

    /// RFC 7541 section 6.1: place 0 does not exist.
    hpack_index_zero: [
        headers(1, Block::get("/hostile").indexed(0)).end(),
    ] => connection_error(&[COMPRESSION_ERROR]);

    /// RFC 7541 section 2.3.3: a place beyond the dynamic table.
    hpack_index_beyond_the_tables: [
        headers(1, Block::get("/hostile").indexed(70)).end(),
    ] => connection_error(&[COMPRESSION_ERROR]);

    /// RFC 7541 section 2.3.3: a name beyond the dynamic table.
    hpack_name_index_beyond_the_tables: [
        headers(1, Block::get("/hostile").named_by(70, "x")).end(),
    ] => connection_error(&[COMPRESSION_ERROR]);

    /// RFC 7541 section 5.1: integers have a limit.
    hpack_integer_without_end: [
        headers(1, Block::get("/hostile").bytes([0xff; 20])).end(),
    ] => connection_error(&[COMPRESSION_ERROR]);

    /// RFC 7541 section 5.2: a string longer than its block.
    hpack_string_beyond_the_block: [
        headers(1, Block::get("/hostile").bytes([0x00, 0x01, b'x', 0x7f, 0xff, 0x01])).end(),
    ] => connection_error(&[COMPRESSION_ERROR]);

    /// RFC 7541 section 5.2: `x` in Huffman, then the symbol that ends a string.
    hpack_huffman_end_of_string: [
        headers(1, Block::get("/hostile").bytes([0x00, 0x01, b'x', 0x84, 0xff, 0xff, 0xff, 0xff])).end(),
    ] => connection_error(&[COMPRESSION_ERROR]);

    /// RFC 7541 section 5.2: `a` (00011) padded with zeros.
    hpack_huffman_padded_with_zeros: [
        headers(1, Block::get("/hostile").bytes([0x00, 0x01, b'x', 0x81, 0b0001_1000])).end(),
    ] => connection_error(&[COMPRESSION_ERROR]);

    /// RFC 7541 section 5.2: `a` padded with more than seven bits.
    hpack_huffman_padded_too_much: [
        headers(1, Block::get("/hostile").bytes([0x00, 0x01, b'x', 0x82, 0b0001_1111, 0xff])).end(),
    ] => connection_error(&[COMPRESSION_ERROR]);

    /// RFC 7541 section 5.2: the same done well.
    hpack_huffman: [
        headers(1, Block::get("/").bytes([0x00, 0x01, b'x', 0x81, 0b0001_1111])).end(),
    ] => served(1);

    /// RFC 7541 section 4.2: a change of size may not stand at the end of a block.
    hpack_table_size_after_a_field: [
        headers(1, Block::get("/hostile").table_size(0)).end(),
    ] => connection_error(&[COMPRESSION_ERROR]);

    /// RFC 7541 section 6.3: nor exceed what was allowed.
    hpack_table_size_beyond_the_limit: [
        headers(1, Block::new().table_size(1 << 20).bytes(Vec::from(Block::get("/hostile")))).end(),
    ] => connection_error(&[COMPRESSION_ERROR]);

    /// RFC 7541 section 4.2: a table of size 0 is allowed, and may grow again.
    hpack_table_size_at_the_beginning: [
        headers(1, Block::new().table_size(0).table_size(4096).bytes(Vec::from(Block::get("/")))).end(),
    ] => served(1);

    /// RFC 7541 section 4.3: what a smaller table evicted cannot be named.
    hpack_evicted_field: [
        headers(1, Block::get("/").inserted("x", "gone")).end(),
        headers(3, Block::new().table_size(0).bytes(Vec::from(Block::get("/hostile"))).newest(1)).end(),
    ] => connection_error(&[COMPRESSION_ERROR]);

    /// RFC 7541 section 4.4: a field larger than the table empties it, which is no error.
    hpack_field_larger_than_the_table: [
        headers(1, Block::get("/").inserted("x", "a".repeat(5_000))).end(),
    ] => served(1);

    /// RFC 7541 appendix A and section 6: every representation.
    hpack_all_representations: [
        headers(1, Block::new()
            .indexed(2).indexed(6).named_by(4, "/").named_by(1, "example.com")
            .inserted("a", "1").never_indexed("b", "2").field("c", "3").newest(1)).end(),
    ] => served(1);

    /// RFC 9113 section 6.10: a block in one-byte pieces would be a flood; in a few it is fine.
    a_block_in_pieces: [
        open_headers(1, Block::get("/")).end(),
        open_continuation(1, Block::of(&[("a", "1")])),
        continuation(1, Block::of(&[("b", "2")])),
    ] => served(1);

    /// RFC 9113 section 4.3: a piece may end anywhere, even inside of a field.
    a_block_cut_inside_of_a_field: [
        open_headers(1, Vec::from(Block::get("/"))[..9].to_vec()).end(),
        continuation(1, Vec::from(Block::get("/"))[9..].to_vec()),
    ] => served(1);

    /// RFC 9113 section 4.3: HEADERS without any byte may begin a block.
    a_block_that_begins_empty: [
        open_headers(1, []).end(), continuation(1, Block::get("/")),
    ] => served(1);
}

#[test]
fn an_unknown_error_code_in_goaway_ends_quietly() {
    let lab = running();
    let mut connection = Connection::open(&lab.client());
    let _ = connection.get("/").expect(200);
    connection.send(&[goaway(0, 0xfafa)]);
    connection.wire.half_close();
    assert_eq!(connection.expect_end(), End::Close);
}

#[test]
fn the_dynamic_table_is_kept_between_requests() {
    let lab = running();
    let mut connection = Connection::open(&lab.client());
    let first = connection.start(Block::get("/a").inserted("x-kept", "one").inserted("x-kept", "two"));
    let _ = connection.response(first).expect(200);
    let second = connection.start(Block::get("/b").indexed(63).indexed(62));
    let _ = connection.response(second).expect(200);
    for request in lab.origin(1).requests() {
        assert_eq!(request.field("x-kept").as_deref(), Some("one, two"));
    }
    assert_eq!(lab.origin(1).count(), 2);
}

#[test]
fn a_smaller_table_asked_for_by_us_is_respected() {
    let lab = running();
    let mut connection = Connection::open_with(&lab.client(), &[(setting::HEADER_TABLE_SIZE, 0)]);
    for _ in 0..3 {
        let _ = connection.get("/").expect(200);
    }
    expect_going_on(&mut connection);
}

#[test]
fn a_huge_frame_that_was_claimed_is_not_waited_for() {
    let lab = running();
    let mut connection = Connection::open(&lab.client());
    let claimed: Frame = data(1, vec![0; 100]).claiming(1 << 20);
    connection.send(&[headers(1, Block::post("/hostile")), claimed]);
    connection.expect_goaway(&[FRAME_SIZE_ERROR]);
}
