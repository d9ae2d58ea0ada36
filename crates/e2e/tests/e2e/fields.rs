//! Fields: order, case and value are kept; what belongs to one hop stays there (RFC 9110 section 7.6.1).

use ropeway_e2e::{Lab, Origin, Request, reply};

/// Fields that the proxy adds to a request.
const OWN: [&str; 9] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-real-ip",
    "via",
    "x-request-id",
    "forwarded",
    "connection",
];

#[test]
fn order_case_and_value_of_request_fields_are_kept() {
    let lab = Lab::new().origins(1).start();
    let fields = [
        "X-zZ: 1",
        "hOsT: example.com",
        "ACCEPT: */*",
        "x-zz: 2",
        "Cookie: a=b; c=d",
        "X-Empty: ",
        "a: b",
        "User-Agent: x  y",
        "X-zZ: 3",
    ];
    let mut connection = lab.connect();
    connection.send(format!("GET / HTTP/1.1\r\n{}\r\n\r\n", fields.join("\r\n")));
    let _ = connection.receive().expect(200);
    assert_eq!(lab.origin(1).only_request().fields_without(&OWN), fields);
}

#[test]
fn order_case_and_value_of_response_fields_are_kept() {
    let lab = Lab::new()
        .origin(Origin::answering(|_| {
            concat!(
                "HTTP/1.1 200 Fine Indeed\r\nSERVER: me\r\nset-COOKIE: a=1\r\nX-b: 2\r\nSet-Cookie: c=3\r\n",
                "dAte: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 0\r\nX-a: 4\r\n\r\n"
            )
            .into()
        }))
        .start();
    let response = lab.client().get("/");
    assert_eq!(response.reason, "Fine Indeed");
    let own = ["via", "connection", "keep-alive"];
    let kept: Vec<String> = response
        .fields
        .iter()
        .filter(|(name, _)| !own.contains(&name.to_ascii_lowercase().as_str()))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    assert_eq!(
        kept,
        [
            "SERVER: me",
            "set-COOKIE: a=1",
            "X-b: 2",
            "Set-Cookie: c=3",
            "dAte: Thu, 01 Jan 2026 00:00:00 GMT",
            "Content-Length: 0",
            "X-a: 4"
        ]
    );
}

#[test]
fn bytes_beyond_ascii_in_values_are_kept() {
    let lab = Lab::new()
        .origin(Origin::answering(|_| {
            b"HTTP/1.1 200 OK\r\nX-Latin: caf\xe9 \xff\r\nContent-Length: 0\r\n\r\n".to_vec()
        }))
        .start();
    let mut connection = lab.connect();
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Raw: \x80\xfe\xc3\xa9\ttab\r\n\r\n");
    let response = connection.receive().expect(200);
    assert!(lab.origin(1).saw(b"X-Raw: \x80\xfe\xc3\xa9\ttab\r\n"));
    let head = response.head;
    assert!(ropeway_e2e::wire::find(&head, b"X-Latin: caf\xe9 \xff\r\n").is_some());
}

#[test]
fn fields_of_one_hop_do_not_reach_the_origin() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send(concat!(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Secret , x-other\r\nX-Secret: 1\r\nX-SECRET: 2\r\n",
        "X-Other: 3\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nX-Stays: 4\r\n\r\n",
    ));
    let _ = connection.receive().expect(200);
    let request = lab.origin(1).only_request();
    for name in ["x-secret", "x-other", "keep-alive", "proxy-connection"] {
        assert_eq!(request.field(name), None, "{name}");
    }
    assert_eq!(request.field("x-stays").as_deref(), Some("4"));
    let connection = request.field("connection").unwrap_or_default().to_ascii_lowercase();
    assert!(!connection.contains("x-secret") && !connection.contains("x-other"), "{connection}");
}

#[test]
fn connection_cannot_take_away_what_the_message_needs() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send(concat!(
        "POST / HTTP/1.1\r\nHost: needed.example\r\nConnection: Host, Content-Length, close\r\n",
        "Content-Length: 3\r\n\r\nabc",
    ));
    let response = connection.receive();
    if response.status == 200 {
        let request = lab.origin(1).only_request();
        assert_eq!(request.field("host").as_deref(), Some("needed.example"));
        assert_eq!(request.text(), "abc");
    } else {
        let _ = response.expect(400);
        lab.expect_origin_saw_only(&[]);
    }
}

#[test]
fn fields_of_one_hop_do_not_reach_the_client() {
    let lab = Lab::new()
        .origin(Origin::answering(|_: &Request| {
            reply(
                200,
                &[
                    ("Connection", "X-Internal"),
                    ("X-Internal", "secret"),
                    ("Keep-Alive", "timeout=5, max=100"),
                    ("Proxy-Connection", "x"),
                    ("X-Stays", "yes"),
                ],
                "",
            )
        }))
        .start();
    let response = lab.client().get("/").expect(200);
    assert_eq!(response.field("x-internal"), None);
    assert_eq!(response.field("proxy-connection"), None);
    assert_ne!(response.field("keep-alive").as_deref(), Some("timeout=5, max=100"));
    assert_eq!(response.field("x-stays").as_deref(), Some("yes"));
}

#[test]
fn a_route_can_edit_fields() {
    let headers = r#"headers = { request = { set = { "X-Env" = "prod" }, add = { "X-Tag" = "2" }, remove = ["x-debug"] }, response = { set = { "X-Frame-Options" = "DENY" }, remove = ["Server"] } }"#;
    let lab = Lab::new()
        .origin(Origin::answering(|_| {
            reply(200, &[("Server", "secret/1.0"), ("X-Frame-Options", "ALLOW")], "")
        }))
        .with("", headers, "")
        .start();
    let client = lab.client().field("X-Env", "dev").field("X-Tag", "1").field("X-Debug", "on");
    let response = client.get("/").expect(200);
    let request = lab.origin(1).only_request();
    assert_eq!(request.field("x-env").as_deref(), Some("prod"));
    assert_eq!(request.field("x-tag").as_deref(), Some("1, 2"));
    assert_eq!(request.field("x-debug"), None);
    assert_eq!(response.field("server"), None);
    assert_eq!(response.field("x-frame-options").as_deref(), Some("DENY"));
}
