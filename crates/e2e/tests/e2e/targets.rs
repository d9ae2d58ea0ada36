//! Request targets and Host (RFC 9112 section 3.2).

use ropeway_e2e::{Lab, Running};

fn status_of(lab: &Running, request: &str) -> u16 {
    let mut connection = lab.connect();
    connection.send(request);
    connection.receive().status
}

#[test]
fn an_absolute_target_becomes_an_origin_target_with_its_own_host() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send("GET http://Shop.example.com:8080/a/b?c=d HTTP/1.1\r\nHost: other.example\r\n\r\n");
    let _ = connection.receive().expect(200);
    let request = lab.origin(1).only_request();
    assert_eq!(request.target, "/a/b?c=d");
    assert_eq!(
        request.field("host").map(|host| host.to_ascii_lowercase()).as_deref(),
        Some("shop.example.com:8080")
    );
}

#[test]
fn an_absolute_target_without_a_path_becomes_a_slash() {
    let lab = Lab::new().origins(1).start();
    assert_eq!(status_of(&lab, "GET http://example.com HTTP/1.1\r\nHost: example.com\r\n\r\n"), 200);
    assert_eq!(status_of(&lab, "GET http://example.com?q HTTP/1.1\r\nHost: example.com\r\n\r\n"), 200);
    lab.expect_origin_saw_only(&["/", "/?q"]);
}

#[test]
fn a_target_is_forwarded_byte_for_byte() {
    let lab = Lab::new().origins(1).start();
    let targets =
        ["/a//b;c=d/%2F%41%7e?x=%00&y=[]|^`{}\"<>", "/?", "/%E2%82%AC", "//double", "/:@!$&'()*+,;="];
    for target in targets {
        assert_eq!(lab.client().get(target).status, 200, "{target}");
    }
    lab.expect_origin_saw_only(&targets);
}

#[test]
fn options_may_ask_the_server_itself() {
    let lab = Lab::new().origins(1).start();
    assert_eq!(status_of(&lab, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_eq!(status_of(&lab, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    lab.expect_origin_saw_only(&["*"]);
}

/// RFC 9110 section 7.6.2.
#[test]
fn max_forwards_is_counted_down_and_ends_here_at_zero() {
    let lab = Lab::new().origins(1).start();
    let ask = |method: &str, left: &str| {
        let client = lab.client().field("Max-Forwards", left).field("X-Case", &format!("{method} {left}"));
        client.request(method, "/", "").status
    };
    assert_eq!((ask("OPTIONS", "0"), ask("TRACE", "0")), (200, 501));
    let passed = [("OPTIONS", "3", "2"), ("TRACE", "1", "0"), ("GET", "0", "0"), ("OPTIONS", "+1", "+1")];
    for (method, left, told) in passed {
        assert_eq!(ask(method, left), 200, "{method} {left}");
        let seen = lab.origin(1).requests().pop().unwrap();
        assert_eq!(seen.field("x-case"), Some(format!("{method} {left}")));
        assert_eq!(seen.field("max-forwards").as_deref(), Some(told), "{method} {left}");
    }
    assert_eq!(lab.origin(1).count(), passed.len());
}

#[test]
fn host_must_be_there_once_and_be_a_host() {
    let lab = Lab::new().origins(1).start();
    for fields in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host: a b\r\n",
        "Host: a,b\r\n",
        "Host: a/b\r\n",
        "Host: user@a\r\n",
        "Host: a:port\r\n",
        "Host: a:99999\r\n",
        "Host: [::1\r\n",
        "Host: a\\b\r\n",
        "Host: http://a\r\n",
        "Host: a?b\r\n",
        "Host: a#b\r\n",
    ] {
        assert_eq!(status_of(&lab, &format!("GET / HTTP/1.1\r\n{fields}\r\n")), 400, "{fields:?}");
    }
    lab.expect_origin_saw_only(&[]);
}

#[test]
fn host_is_kept_as_it_came() {
    let lab = Lab::new().origins(1).start();
    for host in
        ["Example.COM", "example.com:80", "[::1]:8080", "10.0.0.1", "under_score.example", "example.com."]
    {
        let _ = lab.client().host(host).get("/").expect(200);
        assert_eq!(lab.origin(1).requests().last().unwrap().field("host").as_deref(), Some(host));
    }
}

#[test]
fn other_targets_are_refused() {
    let lab = Lab::new().origins(1).start();
    for target in
        ["http://user@example.com/", "http:///", "ftp://example.com/", "example.com", "/a#b", "", "/a b"]
    {
        assert_eq!(
            status_of(&lab, &format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n\r\n")),
            400,
            "{target:?}"
        );
    }
    lab.expect_origin_saw_only(&[]);
}

#[test]
fn connect_is_not_for_a_reverse_proxy() {
    let lab = Lab::new().origins(1).start();
    assert_eq!(status_of(&lab, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"), 501);
    lab.expect_origin_saw_only(&[]);
}

#[test]
fn other_versions_are_refused() {
    let lab = Lab::new().origins(1).start();
    assert_eq!(status_of(&lab, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
    assert_eq!(status_of(&lab, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"), 505);
    assert_eq!(status_of(&lab, "GET / http/1.1\r\nHost: a\r\n\r\n"), 400);
    assert_eq!(status_of(&lab, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), 400);
    assert_eq!(status_of(&lab, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") / 100, 5);
    lab.expect_origin_saw_only(&[]);
}

#[test]
fn any_method_is_forwarded() {
    let lab = Lab::new().origins(1).start();
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "get", "X-Custom!"] {
        let _ = lab.client().request(method, "/", "").expect(200);
        assert_eq!(lab.origin(1).requests().last().unwrap().method, method);
    }
}

#[test]
fn heads_beyond_the_limits_are_refused() {
    let lab = Lab::new().origins(1).start();
    let long = "a".repeat(17 * 1024);
    assert_eq!(status_of(&lab, &format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")), 414);
    let many: String = (0..200).map(|n| format!("X-{n}: v\r\n")).collect();
    assert_eq!(status_of(&lab, &format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")), 431);
    let large = "v".repeat(70 * 1024);
    assert_eq!(status_of(&lab, &format!("GET / HTTP/1.1\r\nHost: a\r\nX: {large}\r\n\r\n")), 431);
    lab.expect_origin_saw_only(&[]);
}
