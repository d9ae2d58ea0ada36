//! HTTP/2: what a request may look like (RFC 9113 section 8), judged at the origin too.

use ropeway_e2e::h2::Block;
use ropeway_e2e::h2::Connection;
use ropeway_e2e::h2::frame::{code::*, data, headers, reset};
use ropeway_e2e::h2::rules::{holding_origin, lab, malformed, served, stream_error};
use ropeway_e2e::{Request, http2_rules};

/// A request without a body whose fields are given one by one.
fn fields(fields: &[(&str, &str)]) -> ropeway_e2e::h2::Frame {
    headers(1, Block::of(fields)).end()
}

/// GET `/hostile` with one more field.
fn with(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> ropeway_e2e::h2::Frame {
    headers(1, Block::get("/hostile").field(name, value)).end()
}

/// GET with another path.
fn path(path: &str) -> ropeway_e2e::h2::Frame {
    headers(1, Block::get(path)).end()
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/hostile");
const AUTHORITY: (&str, &str) = (":authority", "example.com");

http2_rules! {
    /// RFC 9113 section 8.1: a second field block is the trailers, and ends the stream.
    second_headers_without_end_stream: [
        headers(1, Block::post("/hostile")), headers(1, Block::of(&[("x", "y")])),
    ] => malformed();

    /// RFC 9113 section 8.1: after trailers nothing may come.
    data_after_trailers: [
        headers(1, Block::post("/held")), headers(1, Block::of(&[("x", "y")])).end(), data(1, *b"x"),
    ] => ropeway_e2e::h2::rules::either_error(1, &[STREAM_CLOSED]);

    /// RFC 9113 section 8.1: trailers without a body.
    trailers_without_a_body: [
        headers(1, Block::post("/")), headers(1, Block::of(&[("x-checksum", "1")])).end(),
    ] => served(1);

    /// RFC 9113 section 8.1: a pseudo-header field in trailers.
    pseudo_header_in_trailers: [
        headers(1, Block::post("/hostile")), data(1, *b"x"), headers(1, Block::of(&[METHOD])).end(),
    ] => stream_error(1, &[PROTOCOL_ERROR]);

    /// RFC 9113 section 8.2.2 holds for trailers too.
    connection_field_in_trailers: [
        headers(1, Block::post("/hostile")), data(1, *b"x"), headers(1, Block::of(&[("connection", "close")])).end(),
    ] => stream_error(1, &[PROTOCOL_ERROR]);

    /// RFC 9113 section 8.2: names are in lower case.
    uppercase_field_name: [with("X-Upper", "1")] => malformed();

    /// RFC 9113 section 8.2: in trailers too.
    uppercase_trailer_name: [
        headers(1, Block::post("/hostile")), data(1, *b"x"), headers(1, Block::of(&[("X-Upper", "1")])).end(),
    ] => stream_error(1, &[PROTOCOL_ERROR]);

    /// RFC 9113 section 8.2.1.
    empty_field_name: [with("", "1")] => malformed();

    /// RFC 9113 section 8.2.1.
    space_in_a_field_name: [with("x y", "1")] => malformed();

    /// RFC 9113 section 8.2.1.
    colon_in_a_field_name: [with("x:y", "1")] => malformed();

    /// RFC 9113 section 8.2.1: a colon at the end would become `x:: 1` in HTTP/1.
    colon_after_a_field_name: [with("x:", "1")] => malformed();

    /// RFC 9113 section 8.2.1: characters below 0x21.
    line_feed_in_a_field_name: [with("x\ny", "1")] => malformed();

    /// RFC 9113 section 8.2.1.
    nul_in_a_field_name: [with("x\0y", "1")] => malformed();

    /// RFC 9113 section 8.2.1: characters above 0x7e.
    delete_in_a_field_name: [with("x\x7fy", "1")] => malformed();

    /// RFC 9113 section 8.2.1.
    high_byte_in_a_field_name: [with([b'x', 0xe4], "1")] => malformed();

    /// RFC 9110 section 5.1: a name is a token.
    parenthesis_in_a_field_name: [with("x(y)", "1")] => malformed();

    /// RFC 9113 section 8.2.1.
    nul_in_a_field_value: [with("x", "a\0b")] => malformed();

    /// RFC 9113 section 8.2.1.
    line_feed_in_a_field_value: [with("x", "a\nSmuggled: 1")] => malformed();

    /// RFC 9113 section 8.2.1.
    carriage_return_in_a_field_value: [with("x", "a\rb")] => malformed();

    /// RFC 9113 section 8.2.1.
    line_ending_in_a_field_value: [with("x", "a\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")] => malformed();

    /// RFC 9113 section 8.2.1.
    space_before_a_field_value: [with("x", " a")] => malformed();

    /// RFC 9113 section 8.2.1.
    tab_after_a_field_value: [with("x", "a\t")] => malformed();

    /// RFC 9113 section 8.2.1.
    line_ending_in_a_trailer_value: [
        headers(1, Block::post("/hostile")), data(1, *b"x"),
        headers(1, Block::of(&[("x", "a\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")])).end(),
    ] => stream_error(1, &[PROTOCOL_ERROR]);

    /// RFC 9113 section 8.2.1: bytes above 0x7f are allowed in a value.
    high_byte_in_a_field_value: [headers(1, Block::get("/").field("x", [0xe4])).end()] => served(1);

    /// RFC 9113 section 8.2.1: so is an empty value.
    empty_field_value: [headers(1, Block::get("/").field("x", "")).end()] => served(1);

    /// RFC 9113 section 8.2.2.
    connection_field: [with("connection", "close")] => malformed();

    /// RFC 9113 section 8.2.2.
    keep_alive_field: [with("keep-alive", "timeout=5")] => malformed();

    /// RFC 9113 section 8.2.2.
    proxy_connection_field: [with("proxy-connection", "keep-alive")] => malformed();

    /// RFC 9113 section 8.2.2.
    transfer_encoding_field: [
        headers(1, Block::post("/hostile").field("transfer-encoding", "chunked")), data(1, *b"0\r\n\r\n").end(),
    ] => malformed();

    /// RFC 9113 section 8.2.2.
    upgrade_field: [with("upgrade", "websocket")] => malformed();

    /// RFC 9113 section 8.2.2: TE may say `trailers` and nothing else.
    te_other_than_trailers: [with("te", "trailers, deflate")] => malformed();

    /// RFC 9113 section 8.2.2.
    te_gzip: [with("te", "gzip")] => malformed();

    /// RFC 9113 section 8.2.2.
    te_trailers: [headers(1, Block::get("/").field("te", "trailers")).end()] => served(1);

    /// RFC 9113 section 8.3: unknown pseudo-header fields.
    unknown_pseudo_header: [with(":unknown", "1")] => malformed();

    /// RFC 9113 section 8.3: pseudo-header fields of responses.
    status_in_a_request: [
        fields(&[(":status", "200"), METHOD, SCHEME, PATH, AUTHORITY]),
    ] => malformed();

    /// RFC 9113 section 8.3: they come first.
    pseudo_header_after_a_field: [fields(&[METHOD, SCHEME, PATH, ("x", "y"), AUTHORITY])] => malformed();

    /// RFC 9113 section 8.3.1.
    no_method: [fields(&[SCHEME, PATH, AUTHORITY])] => malformed();

    /// RFC 9113 section 8.3.1.
    no_scheme: [fields(&[METHOD, PATH, AUTHORITY])] => malformed();

    /// RFC 9113 section 8.3.1.
    no_path: [fields(&[METHOD, SCHEME, AUTHORITY])] => malformed();

    /// RFC 9113 section 8.3.1.
    no_field_at_all: [headers(1, []).end()] => malformed();

    /// RFC 9113 section 8.3.1: http needs an authority, there or in Host (RFC 9110 section 4.2.1).
    no_authority: [fields(&[METHOD, SCHEME, PATH])] => malformed();

    /// RFC 9113 section 8.3.1: Host may stand for it.
    host_instead_of_authority: [
        fields(&[METHOD, SCHEME, (":path", "/"), ("host", "example.com")]),
    ] => served(1);

    /// RFC 9113 section 8.3.1: but it may not contradict.
    host_that_contradicts_the_authority: [with("host", "other.example")] => malformed();

    /// RFC 9110 section 7.2: several Host fields.
    two_hosts: [
        fields(&[METHOD, SCHEME, PATH, ("host", "example.com"), ("host", "other.example")]),
    ] => malformed();

    /// RFC 9113 section 8.3.1.
    empty_path: [path("")] => malformed();

    /// RFC 9113 section 8.3.1.
    empty_method: [headers(1, Block::request("", "/hostile")).end()] => malformed();

    /// RFC 9113 section 8.3.1.
    empty_scheme: [fields(&[METHOD, (":scheme", ""), PATH, AUTHORITY])] => malformed();

    /// RFC 9113 section 8.3.1.
    empty_authority: [fields(&[METHOD, SCHEME, PATH, (":authority", "")])] => malformed();

    /// RFC 9113 section 8.3.
    two_methods: [fields(&[METHOD, METHOD, SCHEME, PATH, AUTHORITY])] => malformed();

    /// RFC 9113 section 8.3.
    two_schemes: [fields(&[METHOD, SCHEME, SCHEME, PATH, AUTHORITY])] => malformed();

    /// RFC 9113 section 8.3.
    two_paths: [fields(&[METHOD, SCHEME, PATH, PATH, AUTHORITY])] => malformed();

    /// RFC 9113 section 8.3.
    two_authorities: [fields(&[METHOD, SCHEME, PATH, AUTHORITY, AUTHORITY])] => malformed();

    /// RFC 9113 section 8.3.1: a path begins with a slash.
    path_without_slash: [path("hostile")] => malformed();

    /// RFC 9113 section 8.3.1: a target has no fragment.
    fragment_in_a_path: [path("/hostile#a")] => malformed();

    /// RFC 9113 section 8.3.1, where later requests refer to it.
    fragment_in_a_path_of_the_table: [
        headers(1, Block::of(&[METHOD, SCHEME, AUTHORITY]).inserted(":path", "/hostile#a")).end(),
        headers(3, Block::of(&[METHOD, SCHEME, AUTHORITY]).newest(1)).end(),
    ] => ropeway_e2e::h2::rules::Outcome::Malformed(3);

    /// RFC 9113 section 8.3.1: the asterisk is for OPTIONS.
    asterisk_with_get: [path("*")] => malformed();

    /// RFC 9113 section 8.3.1.
    asterisk_with_options: [headers(1, Block::request("OPTIONS", "*")).end()] => served(1);

    /// RFC 9113 section 8.3.1 and 10.3: what would split a request line.
    space_in_a_path: [path("/hostile HTTP/1.1")] => malformed();

    /// RFC 9113 section 10.3.
    line_ending_in_a_path: [path("/hostile HTTP/1.1\r\nx: y")] => malformed();

    /// RFC 9113 section 10.3.
    nul_in_a_path: [path("/hostile\0")] => malformed();

    /// RFC 9113 section 10.3.
    space_in_a_method: [headers(1, Block::request("GET /", "/hostile")).end()] => malformed();

    /// RFC 9113 section 10.3.
    line_ending_in_a_method: [headers(1, Block::request("GET\r\n", "/hostile")).end()] => malformed();

    /// RFC 9113 section 8.3.1: no userinfo.
    userinfo_in_the_authority: [fields(&[METHOD, SCHEME, PATH, (":authority", "user@example.com")])] => malformed();

    /// RFC 9113 section 10.3.
    line_ending_in_the_authority: [
        fields(&[METHOD, SCHEME, PATH, (":authority", "example.com\r\nx: y")]),
    ] => malformed();

    /// RFC 9113 section 10.3.
    slash_in_the_authority: [fields(&[METHOD, SCHEME, PATH, (":authority", "example.com/x")])] => malformed();

    /// RFC 9113 section 10.3.
    line_ending_in_the_scheme: [fields(&[METHOD, (":scheme", "http\r\n"), PATH, AUTHORITY])] => malformed();

    /// RFC 9113 section 8.5: CONNECT has an authority.
    connect_without_authority: [fields(&[(":method", "CONNECT")])] => malformed();

    /// RFC 9113 section 8.5: and neither scheme nor path.
    connect_with_scheme_and_path: [fields(&[(":method", "CONNECT"), SCHEME, PATH, AUTHORITY])] => malformed();

    /// RFC 8441 section 4: `:protocol` is for CONNECT.
    protocol_with_get: [fields(&[METHOD, (":protocol", "websocket"), SCHEME, PATH, AUTHORITY])] => malformed();

    /// RFC 8441 section 4: then scheme and path are wanted.
    extended_connect_without_path: [
        fields(&[(":method", "CONNECT"), (":protocol", "websocket"), SCHEME, AUTHORITY]),
    ] => malformed();

    /// RFC 9113 section 8.1.1: a body shorter than announced; a request without DATA.
    content_length_without_a_body: [
        headers(1, Block::post("/hostile").field("content-length", "1")).end(),
    ] => malformed();

    /// RFC 9113 section 8.1.1.
    body_shorter_than_announced: [
        headers(1, Block::post("/hostile").field("content-length", "5")), data(1, *b"four").end(),
    ] => stream_error(1, &[PROTOCOL_ERROR]);

    /// RFC 9113 section 8.1.1.
    body_longer_than_announced: [
        headers(1, Block::post("/hostile").field("content-length", "1")), data(1, *b"four").end(),
    ] => stream_error(1, &[PROTOCOL_ERROR]);

    /// RFC 9113 section 8.1.1: the sum of all DATA counts.
    bodies_longer_than_announced: [
        headers(1, Block::post("/hostile").field("content-length", "5")), data(1, *b"four"), data(1, *b"four").end(),
    ] => stream_error(1, &[PROTOCOL_ERROR]);

    /// RFC 9113 section 8.1.1: shorter, and trailers instead of END_STREAM in DATA.
    body_shorter_than_announced_with_trailers: [
        headers(1, Block::post("/hostile").field("content-length", "5")), data(1, *b"four"),
        headers(1, Block::of(&[("x", "y")])).end(),
    ] => stream_error(1, &[PROTOCOL_ERROR]);

    /// RFC 9113 section 8.1.1.
    two_content_lengths: [
        headers(1, Block::post("/hostile").field("content-length", "4").field("content-length", "5")),
        data(1, *b"four").end(),
    ] => malformed();

    /// RFC 9110 section 8.6.
    content_length_that_is_no_number: [
        headers(1, Block::post("/hostile").field("content-length", "+4")), data(1, *b"four").end(),
    ] => malformed();

    /// RFC 9110 section 8.6.
    content_length_beyond_64_bits: [
        headers(1, Block::post("/hostile").field("content-length", "18446744073709551620")), data(1, *b"four").end(),
    ] => malformed();

    /// RFC 9113 section 8.1.1: padding is no content.
    content_length_does_not_count_padding: [
        headers(1, Block::post("/").field("content-length", "4")), data(1, *b"four").padded(9).end(),
    ] => served(1);

    /// RFC 9113 section 8.1.1.
    content_length_that_fits: [
        headers(1, Block::post("/").field("content-length", "4")), data(1, *b"fo"), data(1, []), data(1, *b"ur").end(),
    ] => served(1);

    /// RFC 9113 section 8.1: a request that is given up is no request.
    a_body_that_is_given_up: [
        headers(1, Block::post("/hostile").field("content-length", "5")), data(1, *b"four"), reset(1, CANCEL),
    ] => ropeway_e2e::h2::rules::ignored();
}

/// What the origin gets of a request by HTTP/2.
fn at_the_origin(block: Block) -> Request {
    let lab = lab(holding_origin()).start();
    let mut connection = Connection::open(&lab.client());
    let stream = connection.start(block);
    let _ = connection.response(stream).expect(200);
    lab.origin(1).only_request()
}

/// RFC 9113 section 8.2.3.
#[test]
fn cookies_in_crumbs_become_one_field() {
    let block =
        Block::get("/").field("cookie", "a=1").field("x", "y").field("cookie", "b=2").field("cookie", "c=3");
    let request = at_the_origin(block);
    let cookies: Vec<_> =
        request.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie")).collect();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    assert_eq!(cookies[0].1, "a=1; b=2; c=3");
}

/// RFC 9113 section 8.3.1: the authority becomes Host, and no pseudo-header field remains.
#[test]
fn a_request_becomes_a_good_one_of_http1() {
    let request =
        at_the_origin(Block::request("PATCH", "/a/b?c=%20d").field("x-multi", "1").field("x-multi", "2"));
    assert_eq!(request.method, "PATCH");
    assert_eq!(request.target, "/a/b?c=%20d");
    assert_eq!(request.version, "HTTP/1.1");
    assert_eq!(request.field("host").as_deref(), Some("example.com"));
    assert_eq!(request.field("x-multi").as_deref(), Some("1, 2"));
    assert!(request.fields.iter().all(|(name, _)| !name.starts_with(':')), "{:?}", request.fields);
}

/// RFC 9110 section 7.6.3.
#[test]
fn via_says_that_it_was_http2() {
    assert_eq!(at_the_origin(Block::get("/")).field("via").as_deref(), Some("2 ropeway"));
}

/// RFC 9113 section 8.3.1: an authority and the same Host are one.
#[test]
fn host_that_repeats_the_authority_is_sent_once() {
    let request = at_the_origin(Block::get("/").field("host", "example.com"));
    let hosts = request.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host")).count();
    assert_eq!(hosts, 1, "{:?}", request.fields);
}

/// RFC 9110 section 8.6: GET without a body does not get one.
#[test]
fn a_request_without_a_body_has_no_framing() {
    let request = at_the_origin(Block::get("/"));
    assert_eq!(request.field("transfer-encoding"), None);
    assert_eq!(request.field("content-length"), None);
}

/// RFC 9218 section 5: the priority is for the server as well.
#[test]
fn the_priority_is_passed_on() {
    let request = at_the_origin(Block::get("/").field("priority", "u=1, i"));
    assert_eq!(request.field("priority").as_deref(), Some("u=1, i"));
}
