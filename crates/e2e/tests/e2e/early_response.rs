//! An origin that answers before it has read the request (RFC 9112 section 9.3).

use ropeway_e2e::{Connection, Lab, Origin, reply};

/// Answers after the head, and reads nothing of the body.
fn refuses_after_the_head(fields: &'static [(&'static str, &'static str)], stays: bool) -> Origin {
    Origin::scripted(move |peer| {
        while let Some(request) = peer.request_head() {
            peer.send(reply(if request.method == "POST" { 413 } else { 200 }, fields, "answer"));
            if request.method == "POST" {
                if stays {
                    let _ = peer.wait_for_end();
                }
                return;
            }
        }
    })
    .with_receive_buffer(16 * 1024)
}

/// Sends a body until the proxy refuses to take more or `most` bytes are gone.
fn upload(connection: &Connection, most: usize) -> std::thread::JoinHandle<usize> {
    let mut stream = connection.wire.stream().try_clone().unwrap();
    std::thread::spawn(move || {
        let piece = [b'x'; 64 * 1024];
        let mut sent = 0;
        while sent < most && std::io::Write::write_all(&mut stream, &piece).is_ok() {
            sent += piece.len();
        }
        sent
    })
}

const HUGE: usize = 200 << 20;

fn expect_the_answer_and_an_end_of_the_upload(origin: Origin) {
    let lab = Lab::new().origin(origin).start();
    let mut connection = lab.connect();
    connection.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {HUGE}\r\n\r\n"));
    let uploading = upload(&connection, HUGE);
    let response = connection.receive().expect(413).expect_body("answer");
    assert!(response.says_close(), "a client that is still sending must learn that the connection ends");
    connection.expect_gone();
    let sent = uploading.join().unwrap();
    assert!(sent < HUGE, "the whole upload was taken");
    let arrived: usize = lab.origin(1).bytes().iter().map(Vec::len).sum();
    assert!(arrived < HUGE / 2, "{arrived} bytes reached the origin");
    let _ = lab.client().get("/after").expect(200).expect_body("answer");
    assert_eq!(lab.origin(1).connections(), 2, "a connection with half a request is not used again");
}

#[test]
fn an_early_response_that_closes_is_relayed_and_stops_the_upload() {
    expect_the_answer_and_an_end_of_the_upload(refuses_after_the_head(&[("Connection", "close")], false));
}

#[test]
fn an_early_response_that_stays_open_is_relayed_and_stops_the_upload() {
    expect_the_answer_and_an_end_of_the_upload(refuses_after_the_head(&[], true));
}

#[test]
fn an_early_response_to_a_small_upload_leaves_nothing_behind() {
    let lab = Lab::new().origin(refuses_after_the_head(&[], true)).start();
    let mut connection = lab.connect();
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n");
    let _ = connection.receive().expect(413);
    connection.try_send("GET /smuggled HTTP/1.1\r\nHost: aaaaa\r\n\r\n");
    connection.expect_gone();
    lab.client().get("/after").expect(200).expect_body("answer");
    let targets: Vec<String> = lab.origin(1).requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/", "/after"]);
}
