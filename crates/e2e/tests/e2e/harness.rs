//! The harness against itself: a judge that lets everything pass is none.

use ropeway_e2e::{Client, Origin, Request, eventually, reply};

/// The requests that an origin makes of bytes that a client sends it directly.
fn received(bytes: &str) -> (Vec<Request>, usize) {
    let origin = Origin::saying("x");
    let mut connection = Client::new(origin.address()).connect();
    connection.send(bytes).half_close();
    let _ = connection.wire.to_end();
    (origin.requests(), origin.bytes().iter().map(Vec::len).sum())
}

#[test]
fn client_and_origin_understand_each_other() {
    let origin = Origin::answering(|request| reply(200, &[("X-Method", &request.method)], &request.text()));
    let client = Client::new(origin.address()).host("h").field("X-One", "1");
    let response = client.request("POST", "/p?q", "body").expect(200).expect_body("body");
    assert_eq!(response.field("x-method").as_deref(), Some("POST"));
    let request = origin.only_request();
    assert_eq!((request.target.as_str(), request.field("host").as_deref()), ("/p?q", Some("h")));
    let mut connection = client.connect();
    connection.send_request("HEAD", "/", "");
    let _ = connection.receive_for("HEAD").expect(200);
    let _ = connection.get("/").expect(200);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn chunks_extensions_and_trailers_are_seen_as_they_are() {
    let (requests, _) =
        received("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\nT: v\r\n\r\n");
    assert_eq!(requests[0].text(), "abc");
    assert_eq!(requests[0].body.chunk_lines, ["3;e=1", "0"]);
    assert_eq!(requests[0].body.trailers, [("T".to_owned(), "v".to_owned())]);
}

#[test]
fn the_judge_refuses_what_can_be_read_in_two_ways() {
    for bytes in [
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
        "GET / HTTP/1.1\r\nA : b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.2\r\n\r\n",
    ] {
        let (requests, length) = received(bytes);
        assert!(requests.is_empty(), "{bytes:?}: {requests:?}");
        assert_eq!(length, bytes.len(), "all of it is on record");
    }
}

#[test]
fn a_truncated_response_is_no_response() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nContent-",
        "",
    ] {
        let origin = Origin::scripted(move |peer| {
            let _ = peer.request();
            peer.send(bytes);
        });
        assert!(Client::new(origin.address()).connect().try_get("/").is_err(), "{bytes:?}");
    }
}

#[test]
fn a_stopped_origin_refuses_and_a_started_one_is_at_the_same_address() {
    let mut origin = Origin::saying("x");
    let client = Client::new(origin.address());
    let mut connection = client.connect();
    let _ = connection.get("/").expect(200);
    origin.stop();
    assert!(connection.try_get("/").is_err());
    assert!(client.try_connect().is_err());
    assert_eq!(origin.open_connections(), 0);
    origin.start();
    let _ = client.get("/").expect(200);
}

#[test]
fn a_reset_and_an_end_look_different() {
    let origin = Origin::scripted(|peer| {
        let request = peer.request();
        if request.is_some_and(|request| request.target == "/reset") {
            peer.reset();
        }
    });
    let client = Client::new(origin.address());
    let mut ended = client.connect();
    ended.send_get("/end").expect_end();
    let mut reset = client.connect();
    reset.send_get("/reset");
    assert!(reset.wire.to_end().is_err());
    eventually("both are closed", || (origin.open_connections() == 0).then_some(()));
}
