use super::*;

fn parse(input: impl AsRef<[u8]>) -> Result<ResponseHead, ResponseError> {
    let input = input.as_ref();
    let mut head = ResponseHead::new();
    match head.parse(input, &HeadLimits::default())? {
        Progress::Complete { consumed } => assert_eq!(consumed, input.len(), "the whole input is one head"),
        Progress::Partial => panic!("a partial head: {:?}", String::from_utf8_lossy(input)),
    }
    Ok(head)
}

fn framing(status: &str, fields: &str, method: Method) -> Result<BodyFraming, ResponseError> {
    parse(format!("HTTP/1.1 {status}\r\n{fields}\r\n"))?.framing_for(method)
}

fn sent_on(head: &mut ResponseHead) -> String {
    let mut out = Vec::new();
    head.strip_hop_by_hop();
    head.write_status_line(&mut out);
    head.head.write_fields(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_response_is_understood_and_sent_on_as_http_1_1() {
    let mut head = parse("HTTP/1.0 404 Not  Found\r\nConnection: Keep-Alive, x-y\r\nX-Y: 1\r\nETag: \"a\"\r\nKeep-Alive: max=9, timeout=5\r\n\r\n").unwrap();
    assert_eq!((head.status(), head.reason(), head.version()), (404, &b"Not  Found"[..], Version::Http10));
    assert!(head.keep_alive() && !head.is_informational());
    assert_eq!(sent_on(&mut head), "HTTP/1.1 404 Not  Found\r\nETag: \"a\"\r\n");
    assert_eq!(head.keep_alive_timeout(), Some(5));
}

/// RFC 9112 4: the reason phrase may be empty, and servers leave out the space before it.
#[test]
fn reasons_are_optional_and_may_hold_obs_text() {
    for line in ["HTTP/1.1 200 ", "HTTP/1.1 200"] {
        let mut head = parse(format!("{line}\r\n\r\n")).unwrap();
        assert_eq!((head.status(), head.reason()), (200, &b""[..]));
        assert_eq!(sent_on(&mut head), "HTTP/1.1 200 \r\n");
    }
    assert_eq!(parse(b"HTTP/1.1 200 \xe4\t!\r\n\r\n").unwrap().reason(), b"\xe4\t!");
}

/// RFC 9112 2.2, 4 and 5.
#[test]
fn malformed_heads_are_refused() {
    for input in [
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n\n",
        "HTTP/1.1 200\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 200\tOK\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
        "HTTP/1.1 +20 OK\r\n\r\n",
    ] {
        let result = parse(input).map(|_| ());
        assert!(matches!(result, Err(ResponseError::Malformed(_))), "{result:?}: {input:?}");
    }
    for input in ["HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n"] {
        assert!(parse(input).is_err(), "{input:?}");
    }
}

/// RFC 9112 6.3, items 1 and 2.
#[test]
fn some_responses_never_have_a_body() {
    for fields in ["", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        for status in ["100 Continue", "101 Switching", "103 Hints", "204 None", "304 Not Modified"] {
            assert_eq!(framing(status, fields, Method::Get), Ok(BodyFraming::None), "{status} {fields}");
        }
        assert_eq!(framing("200 OK", fields, Method::Head), Ok(BodyFraming::None));
        assert_eq!(framing("200 OK", fields, Method::Connect), Ok(BodyFraming::None));
    }
}

/// RFC 9112 6.3, items 3 to 8.
#[test]
fn other_responses_have_the_body_that_they_declare() {
    assert_eq!(framing("200 OK", "Content-Length: 5\r\n", Method::Get), Ok(BodyFraming::Length(5)));
    assert_eq!(framing("200 OK", "Transfer-Encoding: Chunked\r\n", Method::Get), Ok(BodyFraming::Chunked));
    assert_eq!(framing("200 OK", "", Method::Get), Ok(BodyFraming::UntilClose));
    assert_eq!(framing("407 No", "Content-Length: 5\r\n", Method::Connect), Ok(BodyFraming::Length(5)));
    let old = parse("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    assert!(old.framing_for(Method::Get).is_err());
    for fields in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
    ] {
        for method in [Method::Get, Method::Head] {
            assert!(framing("200 OK", fields, method).is_err(), "{fields}");
        }
    }
}

#[test]
fn content_may_be_announced_where_there_is_none() {
    for (field, announces) in [
        ("Content-Length: 5", true),
        ("Transfer-Encoding: chunked", true),
        ("Content-Length: 0", false),
        ("X-Length: 5", false),
    ] {
        let head = parse(format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n")).unwrap();
        assert_eq!(head.framing_for(Method::Head), Ok(BodyFraming::None));
        assert_eq!(head.announces_content(), announces, "{field}");
    }
}

/// RFC 9110 8.6: Content-Length goes with neither 1xx nor 204; with 304 and HEAD it has a meaning.
#[test]
fn lengths_of_bodies_that_never_come_are_not_sent_on() {
    let mut none = parse("HTTP/1.1 204 No\r\nContent-Length: 5\r\nA: b\r\n\r\n").unwrap();
    assert_eq!(sent_on(&mut none), "HTTP/1.1 204 No\r\nA: b\r\n");
    let mut cached = parse("HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n").unwrap();
    assert_eq!(sent_on(&mut cached), "HTTP/1.1 304 Not\r\nContent-Length: 5\r\n");
}

/// RFC 9110 15.2.2.
#[test]
fn only_101_changes_the_protocol() {
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(parse(format!("HTTP/1.1 101 S\r\n{fields}\r\n")).unwrap().upgrade(), Some(&b"websocket"[..]));
    assert_eq!(parse(format!("HTTP/1.1 200 S\r\n{fields}\r\n")).unwrap().upgrade(), None);
    assert_eq!(parse("HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n").unwrap().upgrade(), None);
}

#[test]
fn keep_alive_timeouts_are_plain_seconds() {
    let timeout = |value: &str| {
        parse(format!("HTTP/1.1 200 OK\r\nKeep-Alive: {value}\r\n\r\n")).unwrap().keep_alive_timeout()
    };
    assert_eq!(timeout("timeout=15, max=100"), Some(15));
    assert_eq!(timeout("max=3,Timeout = 7"), Some(7));
    for value in [
        "",
        "timeout",
        "timeout=",
        "timeout=x",
        "timeout=-1",
        "timeout=99999999999",
        "timeouts=5",
        "timeout=1 2",
        "max=5",
    ] {
        assert_eq!(timeout(value), None, "{value}");
    }
}

#[test]
fn limits_hold_exactly() {
    let input = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    let parse = |limits: HeadLimits| ResponseHead::new().parse(input, &limits);
    let fine = HeadLimits { head_bytes: input.len(), fields: 1, target_bytes: 0 };
    assert_eq!(parse(fine), Ok(Progress::Complete { consumed: input.len() }));
    assert_eq!(parse(HeadLimits { fields: 0, ..fine }), Err(ResponseError::HeadTooLarge));
    assert_eq!(parse(HeadLimits { head_bytes: input.len() - 1, ..fine }), Err(ResponseError::HeadTooLarge));
}
