//! Bodies in both directions: every framing, trailers, and streaming (RFC 9112 sections 6 and 7).

use ropeway_e2e::{Gate, Lab, Origin, eventually, reply};

/// Bytes in which no two places look alike.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + (state >> 24) as u8 % 26
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn head_has_the_length_and_no_body() {
    let lab = Lab::new().origin(Origin::saying("twelve bytes")).start();
    let mut connection = lab.connect();
    for _ in 0..3 {
        connection.send_request("HEAD", "/", "");
        let response = connection.receive_for("HEAD").expect(200);
        assert_eq!(response.field("content-length").as_deref(), Some("12"));
    }
    let _ = connection.get("/").expect(200).expect_body("twelve bytes");
}

#[test]
fn head_of_a_chunked_resource_has_no_body() {
    let lab = Lab::new()
        .origin(Origin::answering(|request| match request.method.as_str() {
            "HEAD" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
            _ => reply(200, &[], "body"),
        }))
        .start();
    let mut connection = lab.connect();
    connection.send_request("HEAD", "/", "");
    let _ = connection.receive_for("HEAD").expect(200);
    let _ = connection.get("/").expect(200).expect_body("body");
}

#[test]
fn no_content_and_not_modified_have_no_body() {
    let lab = Lab::new()
        .origin(Origin::answering(|request| match request.target.as_str() {
            "/204" => b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n".to_vec(),
            "/304" => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"e\"\r\n\r\n".to_vec(),
            _ => reply(200, &[], "body"),
        }))
        .start();
    let mut connection = lab.connect();
    let response = connection.get("/204").expect(204);
    assert_eq!(response.field("content-length"), None, "RFC 9110 section 8.6");
    assert_eq!(response.field("transfer-encoding"), None);
    let response = connection.get("/304").expect(304);
    assert_eq!(response.field("etag").as_deref(), Some("\"e\""));
    let _ = connection.get("/").expect(200).expect_body("body");
    assert_eq!(lab.origin(1).connections(), 2, "what 304 has announced may follow it");
}

#[test]
fn a_body_with_a_length_arrives_byte_for_byte() {
    let lab = Lab::new().origin(Origin::answering(|request| reply(200, &[], &request.text()))).start();
    let body = String::from_utf8(noise(3_000_001)).unwrap();
    let mut connection = lab.connect();
    let mut sender = connection.wire.stream().try_clone().unwrap();
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut sender, request.as_bytes()));
    let response = connection.receive().expect(200);
    sending.join().unwrap().unwrap();
    assert!(response.text() == body, "the body changed on its way");
    assert_eq!(lab.origin(1).only_request().field("content-length").as_deref(), Some("3000001"));
}

/// Long bodies go from socket to socket without being looked at.
mod long {
    use super::*;

    const LONG: usize = 1_500_003;

    fn announced(length: usize) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")
    }

    #[test]
    fn a_response_leaves_its_connection_for_the_next() {
        let body = String::from_utf8(noise(LONG)).unwrap();
        let lab = Lab::new().workers(1).origin(Origin::answering(move |_| reply(200, &[], &body))).start();
        let mut connection = lab.connect();
        for _ in 0..5 {
            assert!(connection.get("/").expect(200).body.data == noise(LONG), "the body changed on its way");
        }
        assert_eq!(lab.origin(1).connections(), 1);
    }

    /// A read that is filled to its last byte does not tell whether more has come.
    #[test]
    fn a_response_that_just_fills_a_read_does_so_too() {
        for filled in [64 * 1024, 128 * 1024] {
            let head = announced(if filled < 100_000 { 10_000 } else { 100_000 });
            let length = filled - head.len();
            let answer = [announced(length).into_bytes(), noise(length)].concat();
            assert_eq!(answer.len(), filled);
            let lab = Lab::new().workers(1).origin(Origin::answering(move |_| answer.clone())).start();
            let mut connection = lab.connect();
            for _ in 0..5 {
                assert!(
                    connection.get("/").expect(200).body.data == noise(length),
                    "the body changed on its way"
                );
            }
            assert_eq!(lab.origin(1).connections(), 1, "{filled} bytes");
        }
    }

    #[test]
    fn a_request_leaves_its_connection_for_the_next() {
        let lab = Lab::new().workers(1).origins(1).start();
        let mut connection = lab.connect();
        let body = String::from_utf8(noise(LONG)).unwrap();
        for _ in 0..5 {
            connection.send_request("POST", "/", &body);
            let _ = connection.receive().expect(200);
        }
        assert!(lab.origin(1).requests().iter().all(|request| request.body.data == noise(LONG)));
        assert_eq!(lab.origin(1).connections(), 1);
    }

    #[test]
    fn a_client_that_reads_slowly_misses_nothing() {
        let body = String::from_utf8(noise(LONG)).unwrap();
        let lab = Lab::new().origin(Origin::answering(move |_| reply(200, &[], &body))).start();
        let mut connection = lab.client().receive_buffer(8 * 1024).connect();
        connection.send_get("/");
        // Meanwhile all buffers in between fill up.
        let _ = lab.origin(1).wait_for_requests(1);
        assert!(connection.receive().expect(200).body.data == noise(LONG), "the body changed on its way");
    }

    #[test]
    fn what_follows_a_response_reaches_nobody() {
        let lab = Lab::new()
            .origin(Origin::scripted(|peer| {
                while let Some(request) = peer.request() {
                    let mut bytes = announced(LONG).into_bytes();
                    bytes.extend(noise(LONG));
                    bytes.extend(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsmuggle");
                    peer.answer(&request, &bytes);
                }
            }))
            .start();
        let mut connection = lab.connect();
        for _ in 0..3 {
            assert!(connection.get("/").expect(200).body.data == noise(LONG));
        }
        assert_eq!(lab.origin(1).connections(), 3, "a connection with more to say is not used again");
    }

    /// Out-of-band data is not content, and stops splice(2) as an end of the stream does.
    #[test]
    fn out_of_band_data_ends_nothing() {
        for announcement in [announced(LONG), "HTTP/1.1 200 OK\r\n\r\n".to_owned()] {
            let lab = Lab::new()
                .origin(Origin::scripted(move |peer| {
                    let _ = peer.request();
                    peer.send(&announcement);
                    peer.send(&noise(LONG)[..LONG / 2]);
                    let socket = socket2::SockRef::from(peer.wire.stream());
                    assert_eq!(socket.send_out_of_band(b"!").unwrap(), 1);
                    peer.send(&noise(LONG)[LONG / 2..]);
                }))
                .start();
            let mut connection = lab.connect();
            connection.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
            assert!(connection.receive().expect(200).body.data == noise(LONG));
        }
    }

    #[test]
    fn a_response_that_breaks_off_is_cut_off_for_the_client_too() {
        let lab = Lab::new()
            .origin(Origin::scripted(|peer| {
                let _ = peer.request();
                peer.send(announced(LONG));
                peer.send(noise(LONG - 1));
            }))
            .start();
        let mut connection = lab.connect();
        let _ = connection.send_get("/").receive_head();
        let rest = connection.rest();
        assert!(rest.len() < LONG, "{} bytes", rest.len());
    }
}

#[test]
fn a_chunked_body_arrives_byte_for_byte() {
    let lab = Lab::new().origin(Origin::answering(|request| reply(200, &[], &request.text()))).start();
    let body = noise(300_007);
    let mut request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for (index, chunk) in body.chunks(7_919).enumerate() {
        let line = if index % 2 == 0 {
            format!("{:x}\r\n", chunk.len())
        } else {
            format!("00{:X};a=b;c=\"d e\"\r\n", chunk.len())
        };
        request.extend(line.as_bytes());
        request.extend(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    let mut connection = lab.connect();
    connection.send(request);
    let response = connection.receive().expect(200);
    assert!(response.body.data == body, "the body changed on its way");
    let seen = lab.origin(1).only_request();
    assert_eq!(seen.field("transfer-encoding").as_deref(), Some("chunked"));
    assert!(seen.body.chunk_lines.iter().all(|line| !line.contains(';')), "extensions are not forwarded");
}

#[test]
fn trailers_of_a_request_are_forwarded() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send(concat!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
        "3\r\nabc\r\n0\r\nX-Sum: 900150983cd24fb0\r\n\r\n",
    ));
    let _ = connection.receive().expect(200);
    let request = lab.origin(1).only_request();
    assert_eq!(request.text(), "abc");
    assert_eq!(request.body.trailers, [("X-Sum".to_owned(), "900150983cd24fb0".to_owned())]);
}

#[test]
fn trailers_of_a_response_are_forwarded() {
    let lab = Lab::new()
        .origin(Origin::answering(|_| {
            concat!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
                "3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n"
            )
            .into()
        }))
        .start();
    let mut connection = lab.connect();
    connection.send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    let response = connection.receive().expect(200).expect_body("abc");
    let names: Vec<&str> = response.body.trailers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["X-Sum", "X-Other"]);
    let _ = connection.get("/").expect(200).expect_body("abc");
}

#[test]
fn a_response_that_ends_by_closing_is_whole_for_the_client() {
    let lab = Lab::new()
        .origin(Origin::scripted(|peer| {
            let _ = peer.request();
            peer.send("HTTP/1.1 200 OK\r\n\r\n");
            for piece in noise(1_000_000).chunks(100_000) {
                peer.send(piece);
            }
        }))
        .start();
    let mut connection = lab.connect();
    let response = connection.get("/").expect(200);
    assert!(response.body.data == noise(1_000_000));
    let _ = connection.get("/").expect(200);
}

#[test]
fn a_response_streams_while_the_origin_still_makes_it() {
    for connection_field in ["", "Connection: close\r\n"] {
        let gate = Gate::new();
        let door = gate.clone();
        let lab = Lab::new()
            .origin(Origin::scripted(move |peer| {
                let _ = peer.request();
                peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
                door.wait();
                peer.send("6\r\nsecond\r\n0\r\n\r\n");
            }))
            .start();
        let mut connection = lab.connect();
        connection.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{connection_field}\r\n"));
        let _ = connection.receive_head().expect(200);
        let first = connection.wire.until(b"first\r\n").unwrap();
        assert!(first.is_some(), "the first chunk comes while the second does not exist");
        gate.open();
        assert!(connection.wire.until(b"second\r\n0\r\n\r\n").unwrap().is_some());
    }
}

#[test]
fn a_request_streams_while_the_client_still_makes_it() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    eventually("the origin has the first chunk", || lab.origin(1).saw(b"first").then_some(()));
    connection.send("6\r\nsecond\r\n0\r\n\r\n");
    let _ = connection.receive().expect(200);
    assert_eq!(lab.origin(1).only_request().text(), "firstsecond");
}

#[test]
fn a_post_without_a_body_is_forwarded_as_such() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send("POST /zero HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    let _ = connection.receive().expect(200);
    connection.send("POST /none HTTP/1.1\r\nHost: a\r\n\r\n");
    let _ = connection.receive().expect(200);
    let requests = lab.origin(1).requests();
    assert_eq!(requests[0].field("content-length").as_deref(), Some("0"));
    assert_eq!(requests[1].field("transfer-encoding"), None);
    lab.expect_origin_saw_only(&["/zero", "/none"]);
}

#[test]
fn a_body_may_be_limited() {
    let lab = Lab::new().origins(1).with("", "limits = { body = \"10\" }", "").start();
    let _ = lab.client().request("POST", "/", "ten bytes!").expect(200);
    let mut connection = lab.connect();
    connection.send_request("POST", "/big", "eleven byte");
    let _ = connection.receive().expect(413);
    let head = "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = "6\r\nabcdef\r\n6\r\nghijkl\r\n0\r\n\r\n";
    let mut together = lab.connect();
    together.send(format!("{head}{body}"));
    let _ = together.receive().expect(413);
    lab.expect_origin_saw_only(&["/"]);
}

#[test]
fn a_body_that_grows_beyond_its_limit_never_becomes_whole() {
    let lab = Lab::new().origins(1).with("", "limits = { body = \"10\" }", "").start();
    let head = "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let first_chunks = || {
        let bytes = lab.origin(1).bytes().concat();
        bytes.windows(8).filter(|window| *window == b"abcdef\r\n").count()
    };
    for rest in ["6\r\nghijkl\r\n0\r\n\r\n", "6\r\nghijkl\r\n", "ffffff\r\nghijkl"] {
        let mut connection = lab.connect();
        let before = first_chunks();
        connection.send(format!("{head}6\r\nabcdef\r\n"));
        eventually("the origin has the first chunk", || (first_chunks() > before).then_some(()));
        connection.send(rest);
        if connection.receive().expect(413).says_close() {
            connection.expect_gone();
        } else {
            let _ = connection.get("/in-step").expect(200);
        }
    }
    let _ = lab.client().get("/after").expect(200);
    let requests = lab.origin(1).requests();
    assert!(
        requests.iter().all(|request| request.method == "GET"),
        "a request beyond the limit became whole"
    );
}
