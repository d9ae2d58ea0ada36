use super::*;

fn parse(input: impl AsRef<[u8]>) -> Result<RequestHead, RequestError> {
    let input = input.as_ref();
    let mut head = RequestHead::new();
    match head.parse(input, &HeadLimits::default())? {
        Progress::Complete { consumed } => assert_eq!(consumed, input.len(), "the whole input is one head"),
        Progress::Partial => panic!("a partial head: {:?}", String::from_utf8_lossy(input)),
    }
    Ok(head)
}

fn with_fields(fields: &str) -> Result<RequestHead, RequestError> {
    parse(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

fn sent_on(head: &mut RequestHead) -> String {
    let mut out = Vec::new();
    head.strip_hop_by_hop();
    head.write_request_line(&mut out);
    head.head.write_fields(&mut out);
    String::from_utf8(out).unwrap()
}

#[track_caller]
fn assert_malformed(input: impl AsRef<[u8]>) {
    let input = input.as_ref();
    let mut head = RequestHead::new();
    let result = head.parse(input, &HeadLimits::default());
    assert!(
        matches!(result, Err(RequestError::Malformed(_))),
        "{result:?}: {:?}",
        String::from_utf8_lossy(input)
    );
}

#[test]
fn a_request_is_understood() {
    let head =
        parse("POST /a/b?c=d HTTP/1.1\r\nHost: Shop.Example.:8080\r\nContent-Length: 42\r\n\r\n").unwrap();
    assert_eq!((head.method(), head.method_bytes()), (Method::Post, &b"POST"[..]));
    assert_eq!(
        (head.target(), head.path(), head.query()),
        (&b"/a/b?c=d"[..], &b"/a/b"[..], Some(&b"c=d"[..]))
    );
    assert_eq!((head.host(), head.port()), (&b"shop.example"[..], Some(8080)));
    assert_eq!(head.authority(), b"Shop.Example.:8080");
    assert_eq!((head.version(), head.framing()), (Version::Http11, BodyFraming::Length(42)));
    assert!(head.keep_alive() && !head.expects_continue() && !head.accepts_trailers());
    assert!(head.head.bytes().ends_with(b"42\r\n\r\n"));
}

#[test]
fn order_and_case_are_kept_and_odd_whitespace_is_made_canonical() {
    let mut head = with_fields("x-B:1\r\nX-a: \t2 \t\r\nEmpty:\r\nEmpty2: \r\nCOOKIE: c=\u{e4}\r\n").unwrap();
    let expected =
        "GET / HTTP/1.1\r\nHost: a\r\nx-B: 1\r\nX-a: 2\r\nEmpty: \r\nEmpty2: \r\nCOOKIE: c=\u{e4}\r\n";
    assert_eq!(sent_on(&mut head), expected);
}

/// RFC 9112 2.2: empty lines before the request line are skipped, and count as consumed.
#[test]
fn leading_empty_lines_are_skipped() {
    let head = parse("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(head.method_bytes(), b"GET");
    assert!(head.head.bytes().starts_with(b"GET"));
    for input in ["\nGET / HTTP/1.1\r\n", "\r\n\nGET", "\rG", "\r\r\n"] {
        assert_malformed(input);
    }
}

/// RFC 9112 2.2: a bare LF, a bare CR, or a NUL, wherever it stands.
#[test]
fn lines_end_in_crlf_only() {
    let valid = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nE:\r\n\r\n";
    parse(valid).unwrap();
    for (at, _) in valid.match_indices("\r\n") {
        assert_malformed(format!("{}\n{}", &valid[..at], &valid[at + 2..]));
        // Padded, so that there is a byte to judge after the CR.
        assert_malformed(format!("{}\r{}x", &valid[..at], &valid[at + 2..]));
        assert_malformed(format!("{}\0{}", &valid[..at], &valid[at..]));
        assert_malformed(format!("{}\r{}", &valid[..at], &valid[at..]));
    }
}

/// RFC 9112 3: exactly one space on either side of the target, and a token as method.
#[test]
fn the_request_line_has_one_form() {
    for line in [
        " GET / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /",
        "GET",
        "G(T / HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1.1x",
        "GET / HTTP/1",
        "GET / HTTP/11",
        "GET / HTTP/1.x",
        "GET / HTTPS/1.1",
        "GET HTTP/1.1",
        "/ HTTP/1.1",
    ] {
        assert_malformed(format!("{line}\r\nHost: a\r\n\r\n"));
    }
    // Other tokens are methods, too.
    assert_eq!(parse("G!T / HTTP/1.1\r\nHost: a\r\n\r\n").map(|head| head.method()), Ok(Method::Other));
}

/// RFC 9112 2.3, RFC 9110 15.6.6.
#[test]
fn other_versions_are_told_from_nonsense() {
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.1"] {
        let input = format!("GET / {version}\r\nHost: a\r\n\r\n");
        assert_eq!(parse(input).map(|_| ()), Err(RequestError::VersionNotSupported), "{version}");
    }
    assert_eq!(parse("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").map(|_| ()), Err(RequestError::VersionNotSupported));
    assert_eq!(RequestHead::new().parse(b"GET / HTTP/2", &HeadLimits::default()), Ok(Progress::Partial));
}

/// RFC 9110 5.6.2 and 5.1: exactly the token characters may stand in a name.
#[test]
fn names_are_tokens() {
    for byte in 0..=u8::MAX {
        let mut input = b"GET / HTTP/1.1\r\nHost: a\r\nX".to_vec();
        input.push(byte);
        input.extend_from_slice(b"Y: z\r\n\r\n");
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        // A colon ends the name sooner.
        assert_eq!(parse(&input).is_ok(), token || byte == b':', "{byte:#x}");
    }
    assert_malformed("GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n");
    assert_malformed("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n");
}

/// RFC 9112 5.1: no whitespace between name and colon.
#[test]
fn a_space_before_the_colon_is_refused() {
    assert_malformed("GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n");
    assert_malformed("GET / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 5\r\n\r\n");
}

/// RFC 9112 5.2, and 2.2 for whitespace before the first field.
#[test]
fn folded_lines_are_refused() {
    assert_malformed("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n");
    assert_malformed("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n");
    assert_malformed("GET / HTTP/1.1\r\n Host: a\r\n\r\n");
}

/// RFC 9110 5.5: visible characters, space, tab and obs-text; no other control character.
#[test]
fn values_hold_no_control_characters() {
    for byte in 0..=u8::MAX {
        let mut input = b"GET / HTTP/1.1\r\nHost: a\r\nX: y".to_vec();
        input.push(byte);
        input.extend_from_slice(b"z\r\n\r\n");
        let allowed = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        assert_eq!(parse(&input).is_ok(), allowed, "{byte:#x}");
    }
}

/// RFC 9112 6.3: Content-Length once, with one value.
#[test]
fn only_one_plain_content_length_is_accepted() {
    assert_eq!(with_fields("Content-Length: 0\r\n").map(|head| head.framing()), Ok(BodyFraming::Length(0)));
    for fields in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nX: y\r\ncontent-length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length:\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -0\r\n",
        "Content-Length: 0x10\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length: 18446744073709551617\r\n",
        "Content-Length: 5;\r\n",
    ] {
        let result = with_fields(fields).map(|_| ());
        assert!(matches!(result, Err(RequestError::BadFraming(_))), "{result:?}: {fields:?}");
    }
}

/// RFC 9112 6.1 and 6.3: exactly `chunked`, alone, and not in HTTP/1.0.
#[test]
fn only_chunked_alone_is_accepted() {
    for fields in ["Transfer-Encoding: chunked\r\n", "transfer-encoding:ChunKed\t\r\n"] {
        assert_eq!(with_fields(fields).map(|head| head.framing()), Ok(BodyFraming::Chunked));
    }
    for fields in [
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let result = with_fields(fields).map(|_| ());
        assert!(matches!(result, Err(RequestError::BadFraming(_))), "{result:?}: {fields:?}");
    }
    for fields in [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
    ] {
        assert_eq!(
            with_fields(fields).map(|_| ()),
            Err(RequestError::UnsupportedTransferCoding),
            "{fields:?}"
        );
    }
    let old = parse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").map(|_| ());
    assert!(matches!(old, Err(RequestError::BadFraming(_))), "{old:?}");
}

/// RFC 9112 3.2.
#[test]
fn http_1_1_has_exactly_one_valid_host() {
    for fields in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nX: y\r\nhost: b\r\n",
        "Host:\r\n",
        "Host: a, b\r\n",
        "Host: a b\r\n",
        "Host: u@a\r\n",
        "Host: a:x\r\n",
    ] {
        for target in ["/", "http://b/"] {
            let result = parse(format!("GET {target} HTTP/1.1\r\n{fields}\r\n")).map(|_| ());
            assert!(matches!(result, Err(RequestError::BadHost(_))), "{result:?}: {fields:?}");
        }
    }
    let old = parse("GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!((old.host(), old.authority(), old.port()), (&b""[..], &b""[..], None));
}

/// RFC 9112 3.2.2: the authority of the target replaces Host, here and at the server.
#[test]
fn an_absolute_target_replaces_host() {
    let mut head = parse("GET http://B.example:81?q HTTP/1.1\r\nX: 1\r\nHost: a\r\nY: 2\r\n\r\n").unwrap();
    assert_eq!(
        (head.host(), head.port(), head.authority()),
        (&b"b.example"[..], Some(81), &b"B.example:81"[..])
    );
    assert_eq!((head.path(), head.query()), (&b"/"[..], Some(&b"q"[..])));
    assert_eq!(sent_on(&mut head), "GET /?q HTTP/1.1\r\nX: 1\r\nHost: B.example:81\r\nY: 2\r\n");
    for target in ["http:///x", "http://", "http://:80/", "http://a b/", "http://[::1/"] {
        assert!(parse(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).is_err(), "{target}");
    }
}

/// RFC 9112 3.2.4.
#[test]
fn options_for_the_whole_server_stays_so() {
    let mut asterisk = parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!((asterisk.path(), asterisk.target_form()), (&b"*"[..], TargetForm::Asterisk));
    assert!(sent_on(&mut asterisk).starts_with("OPTIONS * HTTP/1.1\r\n"));
    let mut absolute = parse("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(absolute.path(), b"*");
    assert_eq!(sent_on(&mut absolute), "OPTIONS * HTTP/1.1\r\nHost: b\r\n");
    let mut slash = parse("OPTIONS http://b/ HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(sent_on(&mut slash).starts_with("OPTIONS / HTTP/1.1\r\n"));
}

/// RFC 9112 3.2.3.
#[test]
fn connect_has_an_authority() {
    let head = parse("CONNECT b.example:443 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!((head.method(), head.target_form()), (Method::Connect, TargetForm::Authority));
    assert_eq!((head.host(), head.port(), head.path()), (&b"b.example"[..], Some(443), &b""[..]));
}

/// What is routed is what is sent, byte for byte.
#[test]
fn paths_pass_untouched_or_not_at_all() {
    for path in ["//a//b", "/a;b=c/d", "/%2f%2F", "/%c3%a4", "/a%00", "/~!$&'()*+,=:@[]{}|^`\"<>", "/?/../\\"]
    {
        let mut head = parse(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).unwrap();
        assert!(sent_on(&mut head).starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{path}");
    }
    assert_eq!(
        parse("GET /a/%2e%2e/b HTTP/1.1\r\nHost: a\r\n\r\n").map(|_| ()),
        Err(RequestError::AmbiguousPath)
    );
}

/// RFC 9112 9.3.
#[test]
fn persistence_follows_version_and_connection() {
    let keep = |version: &str, fields: &str| {
        parse(format!("GET / {version}\r\nHost: a\r\n{fields}\r\n")).unwrap().keep_alive()
    };
    assert!(keep("HTTP/1.1", ""));
    assert!(!keep("HTTP/1.1", "Connection: x, CLOSE\r\n"));
    assert!(!keep("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
    assert!(!keep("HTTP/1.0", ""));
    assert!(keep("HTTP/1.0", "Connection: Keep-Alive\r\n"));
    assert!(!keep("HTTP/1.0", "Connection: keep-alive, close\r\n"));
}

/// RFC 9110 7.6.1.
#[test]
fn fields_for_this_connection_go_no_further() {
    let mut head = with_fields(
        "Connection: X-Custom, keep-alive,,x-forwarded-for, Host, Content-Length\r\nKeep-Alive: 5\r\nContent-Length: 0\r\nx-custom: 1\r\n\
         Proxy-Connection: y\r\nTE: trailers;q=1\r\nX-CUSTOM: 2\r\nX-Forwarded-For: 1.2.3.4\r\nUpgrade: z\r\nProxy-Authorization: p\r\nLast: l\r\n",
    )
    .unwrap();
    assert_eq!(
        sent_on(&mut head),
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nProxy-Authorization: p\r\nLast: l\r\n"
    );
    assert!(head.accepts_trailers() && head.keep_alive());
    assert_eq!(head.head.len(), 4);
}

#[test]
fn connection_options_are_bounded() {
    let options: String = (0..40).map(|number| format!("x{number},")).collect();
    assert!(matches!(with_fields(&format!("Connection: {options}\r\n")), Err(RequestError::Malformed(_))));
}

/// RFC 9110 7.8.
#[test]
fn an_upgrade_needs_all_its_conditions() {
    let upgrade = |input: &str| parse(input).unwrap().upgrade().map(<[u8]>::to_vec);
    let ask = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(upgrade(&format!("GET / HTTP/1.1\r\nHost: a\r\n{ask}")), Some(b"websocket".to_vec()));
    for input in [
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade:\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.0\r\nHost: a\r\n{ask}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n{ask}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{ask}"),
        format!("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n{ask}"),
    ] {
        assert_eq!(upgrade(&input), None, "{input:?}");
    }
    let mut head = parse(format!("GET / HTTP/1.1\r\nHost: a\r\n{ask}")).unwrap();
    head.strip_hop_by_hop();
    assert_eq!(head.upgrade(), Some(&b"websocket"[..]));
}

/// RFC 9110 10.1.1.
#[test]
fn only_100_continue_can_be_expected() {
    assert!(with_fields("Expect: 100-Continue\r\n").unwrap().expects_continue());
    for fields in [
        "Expect: 200-ok\r\n",
        "Expect:\r\n",
        "Expect: 100-continue\r\nExpect: 100-continue\r\n",
        "Expect: 100-continue, x\r\n",
    ] {
        assert_eq!(with_fields(fields).map(|_| ()), Err(RequestError::UnsupportedExpectation), "{fields:?}");
    }
    let mut old = parse("POST / HTTP/1.0\r\nExpect: 100-continue\r\nX: y\r\n\r\n").unwrap();
    assert!(!old.expects_continue());
    assert_eq!(sent_on(&mut old), "POST / HTTP/1.1\r\nX: y\r\n");
}

#[test]
fn limits_hold_exactly() {
    let input = b"GET /12345 HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    let parse = |limits: HeadLimits| RequestHead::new().parse(input, &limits);
    let fine = HeadLimits { head_bytes: input.len(), fields: 2, target_bytes: 6 };
    assert_eq!(parse(fine), Ok(Progress::Complete { consumed: input.len() }));
    assert_eq!(parse(HeadLimits { fields: 1, ..fine }), Err(RequestError::HeadTooLarge));
    assert_eq!(parse(HeadLimits { target_bytes: 5, ..fine }), Err(RequestError::TargetTooLong));
    assert_eq!(parse(HeadLimits { head_bytes: input.len() - 1, ..fine }), Err(RequestError::HeadTooLarge));
    assert_eq!(parse(HeadLimits { head_bytes: 10, ..fine }), Err(RequestError::TargetTooLong));
    assert_eq!(
        parse(HeadLimits { fields: 100_000, ..fine }),
        Ok(Progress::Complete { consumed: input.len() })
    );
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(MAX_FIELDS));
    let result =
        RequestHead::new().parse(many.as_bytes(), &HeadLimits { fields: 1000, ..HeadLimits::default() });
    assert_eq!(result, Err(RequestError::HeadTooLarge));
    let empty_lines = "\r\n".repeat(50);
    let result = RequestHead::new().parse(empty_lines.as_bytes(), &HeadLimits { head_bytes: 100, ..fine });
    assert_eq!(result, Err(RequestError::HeadTooLarge));
}

#[test]
fn the_largest_number_of_fields_keeps_every_field_apart() {
    let mut head =
        with_fields(&(1..MAX_FIELDS).map(|n| format!("X-{n}: {n}\r\n")).collect::<String>()).unwrap();
    head.head.remove_named(b"x-127");
    head.head.remove_named(b"x-64");
    assert_eq!(
        (head.head.len(), head.head.find(b"x-127"), head.head.find(b"X-126")),
        (126, None, Some(&b"126"[..]))
    );
    let written = sent_on(&mut head);
    assert!(!written.contains("X-64:") && written.contains("X-63: 63\r\nX-65: 65\r\n"));
}

#[test]
fn lookups_see_what_was_not_removed() {
    let mut head = with_fields("Via: 1\r\nX: y\r\nvia: 2\r\n").unwrap().head;
    assert_eq!(head.get(Known::Via), Some(&b"1"[..]));
    assert_eq!(head.get_all(Known::Via).collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!((head.find(b"x"), head.get(Known::Cookie), head.len()), (Some(&b"y"[..]), None, 4));
    head.remove(Known::Via);
    assert_eq!((head.get(Known::Via), head.get_all(Known::Via).count(), head.len()), (None, 0, 2));
    assert_eq!(head.fields().map(|field| field.name).collect::<Vec<_>>(), [&b"Host"[..], b"X"]);
}
