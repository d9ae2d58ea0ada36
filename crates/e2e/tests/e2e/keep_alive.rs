//! Persistent connections on both sides, pipelining, and HTTP/1.0 (RFC 9112 section 9).

use ropeway_e2e::{Gate, Lab, Origin, Request, reply};

fn echo_target() -> Origin {
    Origin::answering(|request: &Request| reply(200, &[], &request.target))
}

#[test]
fn one_connection_serves_many_requests_over_one_connection_to_the_origin() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    for _ in 0..20 {
        let response = connection.get("/").expect(200).expect_body("1");
        assert!(!response.says_close());
    }
    assert_eq!(lab.origin(1).connections(), 1);
}

#[test]
fn clients_one_after_the_other_share_an_idle_connection_to_the_origin() {
    let lab = Lab::new().origins(1).start();
    assert_eq!(lab.answers(10).len(), 10);
    assert_eq!(lab.origin(1).connections(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let lab = Lab::new().origin(echo_target()).start();
    let mut connection = lab.connect();
    let many: String = (0..50).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    connection.send(many);
    for n in 0..50 {
        let _ = connection.receive().expect(200).expect_body(&format!("/{n}"));
    }
}

#[test]
fn pipelined_requests_with_bodies_stay_apart() {
    let lab = Lab::new().origin(Origin::answering(|request| reply(200, &[], &request.text()))).start();
    let mut connection = lab.connect();
    connection.send(concat!(
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst",
        "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsecond\r\n0\r\n\r\n",
        "GET /c HTTP/1.1\r\nHost: a\r\n\r\n",
    ));
    let _ = connection.receive().expect(200).expect_body("first");
    let _ = connection.receive().expect(200).expect_body("second");
    let _ = connection.receive().expect(200).expect_body("");
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let lab = Lab::new().origin(Origin::answering(|request| reply(200, &[], &request.text()))).start();
    let mut connection = lab.connect();
    for byte in b"POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n" {
        connection.send([*byte]);
    }
    let _ = connection.receive().expect(200).expect_body("abc");
    assert_eq!(lab.origin(1).only_request().target, "/slow");
}

#[test]
fn a_response_may_come_byte_by_byte() {
    let lab = Lab::new()
        .origin(Origin::scripted(|peer| {
            while peer.request().is_some() {
                for byte in
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                {
                    peer.send([*byte]);
                }
            }
        }))
        .start();
    let mut connection = lab.connect();
    for _ in 0..3 {
        let _ = connection.get("/").expect(200).expect_body("abc");
    }
}

#[test]
fn a_client_that_asks_for_close_gets_it() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(connection.receive().expect(200).says_close());
    connection.expect_end();
    assert_eq!(lab.answers(1), ["1"]);
    assert_eq!(lab.origin(1).connections(), 1, "the connection to the origin is not the client's to close");
}

/// Closing a socket in which something is unread resets the connection, and the response may be lost.
#[test]
fn a_client_that_asks_for_close_and_says_more_gets_its_response() {
    for (version, field) in [("1.1", "Connection: close\r\n"), ("1.0", "")] {
        for length in [5, 100_000, 3_000_000] {
            let gate = Gate::new();
            let door = gate.clone();
            let origin = Origin::answering(move |_| {
                door.wait();
                reply(200, &[], &"x".repeat(length))
            });
            let lab = Lab::new().origin(origin).start();
            let mut connection = lab.connect();
            let request = format!("POST / HTTP/{version}\r\nHost: a\r\nContent-Length: 3\r\n{field}\r\nabc");
            connection.send(request);
            lab.origin(1).wait_for_requests(1);
            connection.send("\r\nGET /more HTTP/1.1\r\nHost: a\r\n\r\n");
            gate.open();
            assert_eq!(connection.receive().expect(200).body.data.len(), length);
            connection.expect_end();
            assert_eq!(lab.origin(1).count(), 1, "nothing follows what was said to be the last");
        }
    }
}

#[test]
fn an_origin_that_says_close_is_believed() {
    let lab = Lab::new().origin(Origin::answering(|_| reply(200, &[("Connection", "close")], "x"))).start();
    let mut connection = lab.connect();
    for _ in 0..3 {
        let response = connection.get("/").expect(200).expect_body("x");
        assert!(!response.says_close(), "the client's connection stays");
    }
    assert_eq!(lab.origin(1).connections(), 3);
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let _ = connection.receive().expect(200);
    connection.send("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let _ = connection.receive().expect(200);
    lab.expect_origin_saw_only(&["/", "/"]);
}

#[test]
fn an_http_1_0_client_is_answered_and_its_connection_closed() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send("GET /old HTTP/1.0\r\nHost: a\r\n\r\n");
    let _ = connection.receive().expect(200).expect_body("1");
    connection.expect_end();
    assert_eq!(lab.origin(1).only_request().version, "HTTP/1.1");
}

/// It may come late, and would be taken for the response to whoever asks next.
#[test]
fn content_behind_a_response_that_only_announces_it_reaches_nobody() {
    let lab = Lab::new()
        .origin(Origin::scripted(|peer| {
            let mut owed: &[u8] = b"";
            while let Some(request) = peer.request() {
                peer.send(owed);
                owed = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
                peer.send(match request.target.as_str() {
                    "/length" => b"HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n".to_vec(),
                    "/chunks" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
                    "/unchanged" => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n".to_vec(),
                    _ => reply(200, &[("Connection", "close")], "genuine"),
                });
            }
        }))
        .start();
    for (method, path, status) in
        [("HEAD", "/length", 200), ("HEAD", "/chunks", 200), ("GET", "/unchanged", 304)]
    {
        let mut connection = lab.connect();
        connection.send_request(method, path, "");
        let _ = connection.receive_for(method).expect(status);
        let _ = connection.get("/").expect(200).expect_body("genuine");
    }
}

#[test]
fn a_connection_is_kept_after_head_that_announces_nothing() {
    let answer = |_: &Request| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    let lab = Lab::new().origin(Origin::answering(answer)).start();
    let mut connection = lab.connect();
    for _ in 0..3 {
        connection.send_request("HEAD", "/", "");
        let _ = connection.receive_for("HEAD").expect(200);
    }
    assert_eq!(lab.origin(1).connections(), 1);
}

#[test]
fn an_http_1_0_client_may_ask_for_keep_alive() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    for _ in 0..3 {
        connection.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        let response = connection.receive().expect(200);
        assert_eq!(
            response.field("connection").map(|value| value.to_ascii_lowercase()).as_deref(),
            Some("keep-alive")
        );
    }
}

#[test]
fn an_http_1_0_client_never_sees_chunks() {
    let lab = Lab::new()
        .origin(Origin::answering(|_| {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
                .to_vec()
        }))
        .start();
    let mut connection = lab.connect();
    connection.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    let response = connection.receive().expect(200).expect_body("hello world");
    assert_eq!(response.field("transfer-encoding"), None);
}

#[test]
fn an_http_1_0_client_without_host_is_served() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send("GET / HTTP/1.0\r\n\r\n");
    let _ = connection.receive().expect(200);
    let hosts = lab
        .origin(1)
        .only_request()
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
        .count();
    assert_eq!(hosts, 1, "an HTTP/1.1 request needs a Host");
}

/// RFC 9112, section 3.2.2: the authority of the target takes the place of Host.
#[test]
fn an_http_1_0_client_that_names_the_host_in_its_target_reaches_that_host() {
    let lab = Lab::new().origins(1).start();
    let _ = lab.client().converse(b"GET http://shop.example:81/path?q HTTP/1.0\r\n\r\n");
    let request = lab.origin(1).only_request();
    let hosts = request.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host"));
    assert_eq!(hosts.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["shop.example:81"]);
    assert_eq!(request.target, "/path?q");
}

#[test]
fn an_http_1_0_origin_that_ends_its_body_by_closing_does_not_cost_the_client_its_connection() {
    let lab = Lab::new()
        .origin(Origin::scripted(|peer| {
            let _ = peer.request();
            peer.send("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end");
        }))
        .start();
    let mut connection = lab.connect();
    for _ in 0..3 {
        let response = connection.get("/").expect(200).expect_body("until the end");
        assert_eq!(response.version, "HTTP/1.1");
        assert_eq!(response.field("transfer-encoding").as_deref(), Some("chunked"));
    }
}

#[test]
fn an_http_1_0_origin_is_not_kept_alive_unless_it_says_so() {
    let lab = Lab::new()
        .origin(Origin::answering(|request| match request.target.as_str() {
            "/keep" => b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nk".to_vec(),
            _ => b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nc".to_vec(),
        }))
        .start();
    let mut connection = lab.connect();
    let _ = connection.get("/keep").expect(200).expect_body("k");
    let _ = connection.get("/").expect(200).expect_body("c");
    assert_eq!(lab.origin(1).connections(), 1);
    let _ = connection.get("/").expect(200).expect_body("c");
    assert_eq!(lab.origin(1).connections(), 2);
}

#[test]
fn a_client_that_ends_its_sending_side_still_gets_its_answer() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send_get("/").half_close();
    let _ = connection.receive().expect(200).expect_body("1");
    connection.expect_end();
}

#[test]
fn the_number_of_requests_on_a_connection_can_be_limited() {
    let lab = Lab::new().origins(1).with("keep_alive_requests = 3", "", "").start();
    let mut connection = lab.connect();
    assert!(!connection.get("/").expect(200).says_close());
    assert!(!connection.get("/").expect(200).says_close());
    assert!(connection.get("/").expect(200).says_close());
    connection.expect_end();
}
