//! Threats 1 to 13: messages whose end can be read in two ways.
//!
//! The judge is the origin: of a refused message it sees nothing, and whatever it sees is exactly one request.

use ropeway_e2e::{Lab, Origin, Running, eventually, reply};

/// A request that follows the hostile bytes on the same connection. It must never become a request of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n";

/// Sends `head` and `rest` in one write, and once more apart, and expects one refusal, the end of the connection,
/// and an untouched origin.
#[track_caller]
fn expect_refused(lab: &Running, bytes: &[u8], statuses: &[u16]) {
    let shown = String::from_utf8_lossy(bytes).into_owned();
    let mut connection = lab.connect();
    connection.try_send([bytes, SMUGGLED.as_bytes()].concat());
    let response = connection.receive();
    assert!(statuses.contains(&response.status), "{} for {shown:?}", response.status);
    assert!(response.says_close(), "{shown:?}");
    connection.expect_gone();
}

#[track_caller]
fn expect_all_refused(requests: &[String], statuses: &[u16]) {
    let lab = Lab::new().origins(1).start();
    for request in requests {
        expect_refused(&lab, request.as_bytes(), statuses);
    }
    lab.expect_origin_saw_only(&[]);
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n{body}")
}

#[test]
fn threat_01_content_length_with_transfer_encoding() {
    expect_all_refused(
        &[
            post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG"),
            post("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", "0\r\n\r\nG"),
            post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            post("transfer-encoding: chunked\r\nCONTENT-LENGTH: 5\r\n", "0\r\n\r\n"),
        ],
        &[400],
    );
}

#[test]
fn threat_02_content_length_that_is_not_one_number() {
    let values = [
        "",
        " ",
        "+5",
        "-5",
        "0x10",
        "5,5",
        "5, 5",
        "5 5",
        "5;",
        "5.0",
        "1e1",
        "\u{0665}",
        "9223372036854775808",
        "18446744073709551616",
        "18446744073709551621",
        "99999999999999999999999999",
    ];
    let mut requests: Vec<String> =
        values.iter().map(|value| post(&format!("Content-Length: {value}\r\n"), "hello")).collect();
    requests.push(post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"));
    requests.push(post("Content-Length: 5\r\nX: y\r\ncontent-length: 0\r\n", "hello"));
    requests.push(post("Content-Length: \r\nContent-Length: 5\r\n", "hello"));
    expect_all_refused(&requests, &[400]);
}

#[test]
fn threat_03_transfer_encoding_that_is_not_one_final_chunked() {
    let values = [
        "",
        ",chunked",
        "chunked,",
        "chunked, chunked",
        "chunked,chunked",
        "identity",
        "identity, chunked",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked;q=1",
        "chunked; x",
        "\"chunked\"",
        "xchunked",
        "chunkedx",
        "chunked\u{b}",
        "\u{b}chunked",
        "chunked\u{c}",
        "chun ked",
        "c\u{212a}unked",
    ];
    let mut requests: Vec<String> =
        values.iter().map(|value| post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n")).collect();
    requests.push(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"));
    requests.push(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"));
    requests.push(post("Transfer-Encoding: chunked\0\r\n", "0\r\n\r\n"));
    requests.push(post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"));
    requests.push(post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"));
    expect_all_refused(&requests, &[400, 501]);
}

/// Sends a chunked body that is malformed: the answer is 400, or the truncation of a request that had begun; the
/// origin never sees a whole request, and never one byte of what follows.
fn expect_chunks_refused(bodies: &[&[u8]]) {
    for body in bodies {
        let lab = Lab::new().origins(1).start();
        let shown = String::from_utf8_lossy(body).into_owned();
        let mut connection = lab.connect();
        let head = post("Transfer-Encoding: chunked\r\n", "").into_bytes();
        connection.try_send([&head, *body, SMUGGLED.as_bytes()].concat());
        let response = connection.receive();
        assert_eq!(response.status, 400, "{shown:?}");
        assert!(response.says_close(), "{shown:?}");
        connection.expect_gone();
        let _ = lab.client().get("/sentinel").expect(200);
        let targets: Vec<String> =
            lab.origin(1).requests().into_iter().map(|request| request.target).collect();
        assert_eq!(targets, ["/sentinel"], "{shown:?}");
        assert!(!lab.origin(1).saw(b"smuggled"), "{shown:?}");
    }
}

#[test]
fn threat_04_chunk_lines_that_are_not_plain() {
    expect_chunks_refused(&[
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5_\r\nhello\r\n0\r\n\r\n",
        b"0_5\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"5\t\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b";x\r\nhello\r\n0\r\n\r\n",
        b"g\r\nhello\r\n0\r\n\r\n",
        b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
        b"5;\0\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\r\n0\n\n",
        b"5\r\nhello\r\n0\r\n\n",
        b"5\r\nhello\r\n0\r\nT: v\n\r\n",
    ]);
}

#[test]
fn threat_05_chunk_extensions_and_trailers_beyond_a_small_cap() {
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(10_000));
    let trailer = format!("5\r\nhello\r\n0\r\nX: {}\r\n\r\n", "a".repeat(100_000));
    let trailers = format!("5\r\nhello\r\n0\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    expect_chunks_refused(&[extension.as_bytes(), trailer.as_bytes(), trailers.as_bytes()]);
}

#[test]
fn threat_05_endless_chunk_lines_and_trailers_take_no_memory() {
    for endless in ["5;", "0\r\nX: "] {
        let lab = Lab::new().origins(1).start();
        let before = lab.proxy.resident_kib();
        let mut connection = lab.connect();
        connection.send(post("Transfer-Encoding: chunked\r\n", endless));
        let piece = "a".repeat(64 * 1024);
        let mut sent = 0;
        while sent < 64 << 20 && connection.try_send(&piece) {
            sent += piece.len();
        }
        assert!(lab.proxy.resident_kib() < before + 8 * 1024, "memory grew with what the client sent");
        assert!(sent < 64 << 20, "the proxy goes on reading");
        lab.client().get("/sentinel").expect(200);
    }
}

#[test]
fn threat_05_extensions_and_forbidden_trailers_are_not_forwarded() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send(post(
        "Transfer-Encoding: chunked\r\n",
        concat!(
            "5;ext=secret\r\nhello\r\n0;last=secret\r\nX-Fine: 1\r\nContent-Length: 99\r\n",
            "Transfer-Encoding: chunked\r\nHost: evil\r\nAuthorization: secret\r\nConnection: X-Fine\r\n\r\n"
        ),
    ));
    let status = connection.receive().status;
    assert!([200, 400].contains(&status), "{status}");
    assert!(!lab.origin(1).saw(b"secret"));
    for request in lab.origin(1).requests() {
        let names: Vec<&str> = request.body.trailers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["X-Fine"]);
    }
}

#[test]
fn threat_06_http_1_0_with_chunks_or_a_body_without_length() {
    let lab = Lab::new().origins(1).start();
    for request in [
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n",
    ] {
        expect_refused(&lab, request.as_bytes(), &[400, 501]);
    }
    lab.expect_origin_saw_only(&[]);
    // Without any length there is no body (RFC 9112 section 6.3): what follows is no part of the message, and on
    // this connection, which ends after the answer, it is no request either.
    let mut connection = lab.connect();
    connection.send(format!("POST /unframed HTTP/1.0\r\nHost: a\r\n\r\nbody{SMUGGLED}"));
    let response = connection.receive();
    assert!([200, 400, 411].contains(&response.status), "{}", response.status);
    connection.expect_gone();
    assert!(!lab.origin(1).saw(b"smuggled") && !lab.origin(1).saw(b"body"));
}

#[test]
fn threat_07_names_spaces_folds_and_line_endings() {
    let heads = [
        ": value\r\n",
        "Bad Name: v\r\n",
        "Bad\tName: v\r\n",
        "Name : v\r\n",
        "Name\t: v\r\n",
        "N\u{e9}: v\r\n",
        "N(x): v\r\n",
        "N\"x: v\r\n",
        "NoColon\r\n",
        " Leading: v\r\n",
        "X: v\r\n folded\r\n",
        "X: v\r\n\tfolded\r\n",
        "X: v\nY: w\r\n",
        "X: v\rY: w\r\n",
        "X: v\r\r\n",
        "X: v\n\r\n",
    ];
    let mut requests: Vec<String> =
        heads.iter().map(|fields| format!("GET / HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")).collect();
    requests.push("GET / HTTP/1.1\r\n Host: example.com\r\n\r\n".into());
    requests.push("GET / HTTP/1.1\nHost: example.com\n\n".into());
    requests.push("GET / HTTP/1.1\r\nHost: example.com\n\n".into());
    requests.push("GET / HTTP/1.1\r\nHost: example.com\r\n\n".into());
    requests.push("GET  / HTTP/1.1\r\nHost: example.com\r\n\r\n".into());
    requests.push("GET\t/ HTTP/1.1\r\nHost: example.com\r\n\r\n".into());
    requests.push("GET /\u{b}HTTP/1.1\r\nHost: example.com\r\n\r\n".into());
    requests.push("G(T / HTTP/1.1\r\nHost: example.com\r\n\r\n".into());
    requests.push(" GET / HTTP/1.1\r\nHost: example.com\r\n\r\n".into());
    expect_all_refused(&requests, &[400]);
    let oversized = format!("GET / HTTP/1.1\r\nHost: a\r\n{}: v\r\n\r\n", "n".repeat(70_000));
    expect_all_refused(&[oversized], &[400, 431]);
}

#[test]
fn threat_08_nul_and_line_breaks_in_values() {
    let lab = Lab::new().origins(1).start();
    for value in [&b"a\0b"[..], b"\0", b"a\rb", b"a\nb", b"a\x01b", b"a\x7fb", b"a\x0bb"] {
        let request = [b"GET / HTTP/1.1\r\nHost: example.com\r\nX: ", value, b"\r\n\r\n"].concat();
        expect_refused(&lab, &request, &[400]);
    }
    for target in [&b"/a\0b"[..], b"/a\x01", b"/a\x7f", b"/\xff", b"/\xc3\xa9"] {
        let request = [b"GET ", target, b" HTTP/1.1\r\nHost: example.com\r\n\r\n"].concat();
        expect_refused(&lab, &request, &[400]);
    }
    lab.expect_origin_saw_only(&[]);
}

#[test]
fn threat_09_leftovers_of_a_refused_body_never_become_a_request() {
    let lab = Lab::new()
        .origins(1)
        .with(
            "timeout = { body_idle = \"300ms\" }",
            "match = { path = \"/known\" }\nlimits = { body = \"10\" }",
            "",
        )
        .start();
    let inner = SMUGGLED.replace("/smuggled", "/known/smuggled");
    let length = inner.len() + 20;
    for (head, status) in [
        // No route: the answer comes before the body.
        (format!("POST /unknown HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"), 404),
        // Too large.
        (format!("POST /known HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"), 413),
        // Refused for its method, or for want of a route.
        (format!("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: {length}\r\n\r\n"), 404),
        // Refused for its expectation.
        (format!("POST /known HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: {length}\r\n\r\n"), 417),
    ] {
        let mut connection = lab.connect();
        connection.send(&head);
        let response = connection.receive();
        assert!([status, 400, 501].contains(&response.status), "{} for {head:?}", response.status);
        // The body comes after the answer, and what it holds looks like a request.
        connection.try_send(&inner);
        match connection.try_receive("GET") {
            Ok(second) => panic!("the body was read as a request: {} {}", second.status, second.text()),
            Err(broken) => assert!(broken.response.is_none(), "{broken:?}"),
        }
    }
    let mut connection = lab.connect();
    connection.send("POST /known HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
    let _ = connection.receive().expect(408);
    connection.try_send(&inner);
    connection.expect_gone();
    let _ = lab.client().get("/known/sentinel").expect(200);
    assert!(!lab.origin(1).saw(b"smuggled"));
}

#[test]
fn threat_09_a_drained_body_leaves_the_connection_in_step() {
    let lab = Lab::new().origins(1).with("", "match = { path = \"/known\" }", "").start();
    let mut connection = lab.connect();
    let inner = SMUGGLED.replace("/smuggled", "/known/smuggled");
    connection
        .send(format!("POST /unknown HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{inner}", inner.len()));
    let response = connection.receive().expect(404);
    if response.says_close() {
        connection.expect_gone();
    } else {
        let _ = connection.get("/known/next").expect(200);
    }
    assert!(!lab.origin(1).saw(b"smuggled"));
}

#[test]
fn threat_10_upgrade_with_a_request_behind_it_is_no_tunnel_before_101() {
    let lab = Lab::new()
        .origin(Origin::answering(|request| reply(200, &[], &format!("answer to {}", request.target))))
        .with("", "match = { path = \"/public\" }", "")
        .start();
    let mut connection = lab.connect();
    connection.send(concat!(
        "GET /public HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET /private HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n"
    ));
    let _ = connection.receive().expect(200).expect_body("answer to /public");
    match connection.try_receive("GET") {
        Ok(second) => assert_eq!(second.status, 404, "the second request is routed like any other"),
        Err(broken) => assert!(broken.response.is_none(), "{broken:?}"),
    }
    assert!(!lab.origin(1).saw(b"private"), "bytes behind an Upgrade reached the origin without a 101");
}

#[test]
fn threat_10_bytes_behind_an_upgrade_wait_for_101() {
    let gate = ropeway_e2e::Gate::new();
    let door = gate.clone();
    let lab = Lab::new()
        .origin(Origin::scripted(move |peer| {
            let _ = peer.request();
            door.wait();
            peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
            let _ = peer.wait_for_end();
        }))
        .start();
    let mut connection = lab.connect();
    connection
        .send("GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nearly bytes");
    lab.origin(1).wait_for_requests(1);
    // Another exchange through the same worker: whatever would be sent early has been sent by now.
    let _ = lab.admin().get("/healthz").expect(200);
    assert!(!lab.origin(1).saw(b"early"), "bytes were forwarded before the 101");
    gate.open();
    let _ = connection.receive_head().expect(101);
    eventually("the bytes arrive after the 101", || lab.origin(1).saw(b"early bytes").then_some(()));
}

#[test]
fn threat_11_connect_payload_goes_nowhere() {
    let lab = Lab::new().origins(1).start();
    expect_refused(
        &lab,
        b"CONNECT origin:80 HTTP/1.1\r\nHost: origin:80\r\n\r\nGET /payload HTTP/1.1\r\n\r\n",
        &[501, 400, 405],
    );
    lab.expect_origin_saw_only(&[]);
}

#[test]
fn threat_12_h2c_is_not_forwarded() {
    let lab = Lab::new().origins(1).start();
    for upgrade in ["h2c", "H2C", "websocket, h2c", "h2c, websocket"] {
        let mut connection = lab.connect();
        connection.send(format!(
            "GET /h2c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
        ));
        let response = connection.receive();
        assert!([200, 400].contains(&response.status), "{upgrade}: {}", response.status);
    }
    for request in lab.origin(1).requests() {
        let upgrade = request.field("upgrade").unwrap_or_default().to_ascii_lowercase();
        assert!(!upgrade.contains("h2c"), "{upgrade}");
        assert_eq!(request.field("http2-settings"), None);
    }
    // The preface of HTTP/2 with prior knowledge is no HTTP/1 request.
    let mut connection = lab.connect();
    connection.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(connection.receive().status >= 400);
    connection.expect_gone();
    assert!(!lab.origin(1).saw(b"PRI"));
}

#[test]
fn threat_13_expect_variants_never_desynchronise() {
    // The origin answers at once, and reads the body only where it said 100.
    let lab = Lab::new()
        .origin(Origin::scripted(|peer| {
            while let Some(mut request) = peer.request_head() {
                match request.target.as_str() {
                    "/early" => {
                        peer.send(reply(401, &[], "early"));
                        return;
                    }
                    "/continue" if request.field("expect").is_some() => {
                        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
                    }
                    _ => {}
                }
                if request.read_body(&mut peer.wire).is_err() {
                    return;
                }
                peer.send(reply(200, &[], &format!("{} {}", request.target, request.body.data.len())));
            }
        }))
        .start();
    let inner = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for expect in [
        "100-continue",
        "100-Continue",
        "100-continue, 100-continue",
        "100-continue\r\nExpect: 100-continue",
        "y 100-continue",
        "",
        "200-ok",
    ] {
        for target in ["/early", "/continue", "/plain"] {
            let mut connection = lab.connect();
            connection.send(format!(
                "POST {target} HTTP/1.1\r\nHost: a\r\nExpect: {expect}\r\nContent-Length: {}\r\n\r\n{inner}GET /next HTTP/1.1\r\nHost: a\r\n\r\n",
                inner.len()
            ));
            let first = connection.receive();
            assert!([200, 400, 401, 417].contains(&first.status), "{expect} {target}: {}", first.status);
            match connection.try_receive("GET") {
                Ok(next) => next.expect(200).expect_body("/next 0"),
                Err(broken) => {
                    assert!(broken.response.is_none(), "{broken:?}");
                    continue;
                }
            };
        }
    }
    let smuggled = lab.origin(1).requests().iter().filter(|request| request.target == "/smuggled").count();
    assert_eq!(smuggled, 0);
}

#[test]
fn threat_13_expect_on_a_get_without_a_body_is_harmless() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send(
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let _ = connection.receive().expect(200);
    let _ = connection.receive().expect(200);
    lab.expect_origin_saw_only(&["/", "/next"]);
}
