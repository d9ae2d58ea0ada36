//! `Expect: 100-continue` and the other interim responses (RFC 9110 sections 10.1.1 and 15.2).

use ropeway_e2e::{Lab, Origin, eventually, reply};

/// Reads a head, says `100`, reads the body, and answers with it.
fn continues() -> Origin {
    Origin::scripted(|peer| {
        while let Some(mut request) = peer.request_head() {
            if request.field("expect").is_some() {
                peer.send("HTTP/1.1 100 Continue\r\n\r\n");
            }
            if request.read_body(&mut peer.wire).is_err() {
                return;
            }
            peer.send(reply(200, &[], &request.text()));
        }
    })
}

#[test]
fn a_client_that_waits_for_100_gets_exactly_one() {
    let lab = Lab::new().origin(continues()).start();
    let mut connection = lab.connect();
    for body in ["first", "again"] {
        connection.send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            body.len()
        ));
        let _ = connection.receive_head().expect(100);
        connection.send(body);
        let _ = connection.receive().expect(200).expect_body(body);
        assert!(connection.interim.is_empty(), "a second 100: {:?}", connection.interim);
    }
}

#[test]
fn a_client_that_does_not_wait_for_100_is_served_too() {
    let lab = Lab::new().origin(continues()).start();
    let mut connection = lab.connect();
    for _ in 0..3 {
        connection
            .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n\r\nbody");
        let _ = connection.receive().expect(200).expect_body("body");
        assert!(connection.interim.len() <= 1);
    }
}

#[test]
fn an_origin_that_refuses_instead_of_continuing_is_heard() {
    let lab = Lab::new()
        .origin(Origin::scripted(|peer| {
            while let Some(request) = peer.request_head() {
                let status = if request.field("expect").is_some() { 403 } else { 200 };
                peer.send(reply(status, &[], "no"));
            }
        }))
        .start();
    let mut connection = lab.connect();
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n");
    let response = connection.receive();
    assert!(connection.interim.is_empty() && response.status == 403, "{response:?}");
    assert!(!lab.origin(1).saw(b"\0"), "no byte of the body was made up");
    let _ = lab.client().get("/after").expect(200);
}

#[test]
fn an_unknown_expectation_fails() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: miracles\r\n\r\nx");
    let _ = connection.receive().expect(417);
    lab.expect_origin_saw_only(&[]);
}

#[test]
fn every_interim_response_is_passed_on_with_its_fields() {
    let lab = Lab::new()
        .origin(Origin::answering(|_| {
            let mut out = b"HTTP/1.1 102 Processing\r\n\r\n".to_vec();
            out.extend(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
            out.extend(b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n");
            out.extend(reply(200, &[], "final"));
            out
        }))
        .start();
    let mut connection = lab.connect();
    for _ in 0..2 {
        let _ = connection.get("/").expect(200).expect_body("final");
        let seen: Vec<_> =
            connection.interim.iter().map(|interim| (interim.status, interim.field("link"))).collect();
        assert_eq!(
            seen,
            [
                (102, None),
                (103, Some("</a.css>; rel=preload".into())),
                (103, Some("</b.css>; rel=preload".into()))
            ]
        );
    }
}

#[test]
fn an_interim_response_does_not_wait_for_the_final_one() {
    let lab = Lab::new()
        .origin(Origin::scripted(|peer| {
            let _ = peer.request();
            peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
            let _ = peer.wait_for_end();
        }))
        .start();
    let mut connection = lab.connect();
    connection.send_get("/");
    let _ = connection.receive_head().expect(103);
}

#[test]
fn an_http_1_0_client_gets_no_interim_response() {
    let lab = Lab::new()
        .origin(Origin::answering(|_| {
            let mut out = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n".to_vec();
            out.extend(reply(200, &[], "final"));
            out
        }))
        .start();
    let bytes = lab.client().converse(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert!(bytes.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&bytes));
}

#[test]
fn the_body_waits_for_the_origin_when_the_client_waits_for_100() {
    let lab = Lab::new().origin(continues()).start();
    let mut connection = lab.connect();
    connection
        .send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
    eventually("the origin is asked", || (lab.origin(1).count() == 1).then_some(()));
    let _ = connection.receive_head().expect(100);
    connection.send("2\r\nok\r\n0\r\n\r\n");
    let _ = connection.receive().expect(200).expect_body("ok");
}
