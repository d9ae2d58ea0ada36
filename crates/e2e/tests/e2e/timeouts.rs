//! Time-outs of every phase, configured short; the defaults are the same code with larger numbers.

use std::io::{ErrorKind, Read, Write};

use ropeway_e2e::h2::frame::{code::NO_ERROR, headers, open_headers};
use ropeway_e2e::h2::{Block, Connection};
use ropeway_e2e::origin::Port;
use ropeway_e2e::{Lab, Origin, reply};

#[test]
fn a_head_that_does_not_end_is_408() {
    let lab = Lab::new().origins(1).with("timeout = { head = \"200ms\" }", "", "").start();
    let mut connection = lab.connect();
    connection.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    let response = connection.receive().expect(408);
    assert!(response.says_close());
    connection.expect_end();
    lab.expect_origin_saw_only(&[]);
}

#[test]
fn a_head_that_trickles_is_no_longer_allowed_than_one_that_stands_still() {
    let lab = Lab::new().origins(1).with("timeout = { head = \"300ms\" }", "", "").start();
    let mut connection = lab.connect();
    connection.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    // Each byte follows a moment in which the proxy was given the chance to answer.
    while connection.wire.fill_within(std::time::Duration::from_millis(20)).is_err() {
        if !connection.try_send("x") {
            break;
        }
    }
    let _ = connection.receive().expect(408);
    lab.expect_origin_saw_only(&[]);
}

/// A frame that is not complete, or a field block without its end, stops the whole connection.
#[test]
fn a_head_by_http2_that_does_not_end_ends_the_connection() {
    let settings = "http2 = { prior_knowledge = true }\ntimeout = { head = \"300ms\" }";
    for bytes in [open_headers(3, Block::get("/")).bytes(), headers(3, Block::get("/")).bytes()[..5].to_vec()]
    {
        let lab = Lab::new().origins(1).with(settings, "", "").start();
        let mut connection = Connection::open(&lab.client());
        let _ = connection.get("/").expect(200);
        connection.send_bytes(&bytes);
        connection.expect_goaway(&[NO_ERROR]);
        let late = [("reason", "head_timeout")];
        assert_eq!(lab.admin().metric("ropeway_listener_request_ends_total", &late), 1.0);
    }
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let lab = Lab::new().origins(1).with("timeout = { idle = \"200ms\", head = \"200ms\" }", "", "").start();
    let mut connection = lab.connect();
    let _ = connection.get("/").expect(200);
    connection.expect_end();
}

#[test]
fn a_body_that_stands_still_is_408() {
    let lab = Lab::new().origins(1).with("timeout = { body_idle = \"200ms\" }", "", "").start();
    let mut connection = lab.connect();
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    let _ = connection.receive().expect(408);
    connection.expect_gone();
    assert_eq!(lab.origin(1).count(), 0, "the origin never has a whole request");
    let _ = lab.client().get("/after").expect(200);
}

#[test]
fn a_body_below_the_minimum_rate_is_408() {
    let settings = "timeout = { body_idle = \"1m\", min_rate = 100000, min_rate_grace = \"300ms\" }";
    let lab = Lab::new().origins(1).with(settings, "", "").start();
    let mut connection = lab.connect();
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    while connection.wire.fill_within(std::time::Duration::from_millis(10)).is_err() {
        if !connection.try_send("x") {
            break;
        }
    }
    let _ = connection.receive().expect(408);
}

#[test]
fn an_origin_that_does_not_answer_is_504() {
    let lab = Lab::new()
        .origin(Origin::scripted(|peer| {
            let _ = peer.request();
            let _ = peer.wait_for_end();
        }))
        .with("", "timeout = { response = \"200ms\" }", "passive = false")
        .start();
    let mut connection = lab.connect();
    let response = connection.get("/").expect(504);
    assert!(response.text().contains("did not respond in time"), "{}", response.text());
    assert_eq!(lab.origin(1).count(), 1, "a request that may still be worked on is not repeated");
    ropeway_e2e::eventually("the connection to the origin is given up", || {
        (lab.origin(1).open_connections() == 0).then_some(())
    });
}

#[test]
fn a_response_that_stands_still_is_visibly_cut_off() {
    for head in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let lab = Lab::new()
            .origin(Origin::scripted(move |peer| {
                let _ = peer.request();
                peer.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello\r\n"));
                let _ = peer.wait_for_end();
            }))
            .with("", "timeout = { stream_idle = \"200ms\" }", "")
            .start();
        let broken = lab.connect().try_get("/").expect_err("a whole response");
        assert_eq!(broken.response.unwrap().status, 200);
    }
}

#[test]
fn a_server_that_does_not_accept_is_504() {
    // A listener with a full queue that nobody takes connections from: further ones get no answer at all.
    let port = Port::reserve();
    let listener =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::sockopt::set_socket_reuseaddr(&listener, true).unwrap();
    rustix::net::bind(&listener, &port.address).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let fillers: Vec<_> = (0..4)
        .map(|_| {
            let socket = rustix::net::socket_with(
                rustix::net::AddressFamily::INET,
                rustix::net::SocketType::STREAM,
                rustix::net::SocketFlags::NONBLOCK,
                None,
            )
            .unwrap();
            let _ = rustix::net::connect(&socket, &port.address);
            socket
        })
        .collect();
    let config = ropeway_e2e::lab::file("", "", "timeout = { connect = \"200ms\" }\npassive = false");
    let lab = Lab::new().config(&config.replace("@all", &format!("\"{}\"", port.address))).start();
    let response = lab.client().get("/").expect(504);
    assert!(response.text().contains("did not accept"), "{}", response.text());
    drop(fillers);
}

#[test]
fn a_server_that_does_not_accept_costs_no_request_when_there_is_another() {
    let port = Port::reserve();
    let listener =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::sockopt::set_socket_reuseaddr(&listener, true).unwrap();
    rustix::net::bind(&listener, &port.address).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let fillers: Vec<_> = (0..4)
        .map(|_| {
            let flags = rustix::net::SocketFlags::NONBLOCK;
            let family = rustix::net::AddressFamily::INET;
            let socket =
                rustix::net::socket_with(family, rustix::net::SocketType::STREAM, flags, None).unwrap();
            let _ = rustix::net::connect(&socket, &port.address);
            socket
        })
        .collect();
    let config = ropeway_e2e::lab::file("", "", "timeout = { connect = \"200ms\" }");
    let servers = format!("\"{}\", \"@1\"", port.address);
    let lab = Lab::new().config(&config.replace("@all", &servers)).origins(1).start();
    assert_eq!(lab.answers(4), ["1"; 4]);
    drop(fillers);
}

#[test]
fn a_client_that_reads_nothing_is_given_up() {
    let lab = Lab::new().origin(endless()).with("timeout = { send_idle = \"300ms\" }", "", "").start();
    let mut connection = lab.client().receive_buffer(4096).connect();
    connection.send_get("/");
    ropeway_e2e::eventually("the origin is released", || {
        (lab.origin(1).count() == 1 && lab.origin(1).open_connections() == 0).then_some(())
    });
    assert!(connection.try_receive("GET").is_err(), "the response cannot be whole");
}

/// The clock of deadlines is coarse: it must err to the side of the client. A busy machine only makes it later.
#[test]
fn a_body_is_waited_for_no_less_than_its_time() {
    let lab = Lab::new().origins(1).with("timeout = { body_idle = \"200ms\" }", "", "").start();
    for _ in 0..5 {
        let mut connection = lab.client().connect();
        let begun = std::time::Instant::now();
        connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
        let _ = connection.receive().expect(408);
        let waited = begun.elapsed();
        assert!(waited >= std::time::Duration::from_millis(200), "given up after {waited:?}");
    }
}

/// A socket becomes writable once a third of its buffer is free, and that may take a slow reader longer than it may be
/// idle.
#[test]
fn a_client_that_reads_slowly_is_not_taken_for_an_idle_one() {
    let lab = Lab::new()
        .origin(endless())
        .with("timeout = { send_idle = \"1500ms\", min_rate = 1000, min_rate_grace = \"500ms\" }", "", "")
        .start();
    let mut connection = lab.client().receive_buffer(65_536).connect();
    connection.send_get("/");
    let uptime = || lab.admin().status()["uptime_seconds"].as_f64().unwrap();
    let begun = uptime();
    ropeway_e2e::eventually("several idle times pass", || {
        let mut some = [0; 2_000];
        let count = std::io::Read::read(&mut connection.wire.stream(), &mut some).unwrap();
        assert!(count > 0, "the response is cut off");
        (uptime() - begun > 5.0).then_some(())
    });
    assert_eq!(lab.origin(1).open_connections(), 1, "the client is given up: {}", lab.admin().status());
}

/// Asks again and again for what is answered by the proxy itself, as far as it takes the requests.
struct Asking {
    connection: ropeway_e2e::Connection,
    requests: Vec<u8>,
    sent: usize,
    received: usize,
}

impl Asking {
    fn new(lab: &ropeway_e2e::Running) -> Self {
        let connection = lab.client().receive_buffer(65_536).connect();
        connection.wire.stream().set_nonblocking(true).unwrap();
        let requests = b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000);
        Self { connection, requests, sent: 0, received: 0 }
    }

    fn push(&mut self) {
        while let Ok(count) = self.connection.wire.stream().write(&self.requests[self.sent..]) {
            self.sent = (self.sent + count) % self.requests.len();
        }
    }

    /// Reads until so many bytes have come altogether.
    fn pull(&mut self, most: usize) {
        while self.received < most {
            match self.connection.wire.stream().read(&mut vec![0; most - self.received]) {
                Ok(0) => panic!("the connection is closed"),
                Ok(count) => self.received += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the connection is gone: {error}"),
            }
        }
    }
}

#[test]
fn a_client_that_reads_our_own_answers_slowly_is_not_taken_for_an_idle_one() {
    let timeouts = "timeout = { send_idle = \"1500ms\" }";
    let lab = Lab::new().origins(1).with(timeouts, "match = { path = \"/app\" }", "").start();
    let mut asking = Asking::new(&lab);
    let uptime = || lab.admin().status()["uptime_seconds"].as_f64().unwrap();
    let begun = uptime();
    ropeway_e2e::eventually("several idle times pass", || {
        asking.push();
        asking.pull((200_000.0 * (uptime() - begun)) as usize);
        (uptime() - begun > 6.0).then_some(())
    });
    assert_eq!(connections(&lab), 1.0, "the client is given up");
}

#[test]
fn a_client_that_reads_none_of_our_own_answers_is_given_up() {
    let timeouts = "timeout = { send_idle = \"300ms\" }";
    let lab = Lab::new().origins(1).with(timeouts, "match = { path = \"/app\" }", "").start();
    let mut asking = Asking::new(&lab);
    let requests = || lab.admin().metric("ropeway_listener_requests_total", &[]);
    ropeway_e2e::eventually("the client is given up", || {
        asking.push();
        (requests() > 0.0 && connections(&lab) == 0.0).then_some(())
    });
    // Why there is no other answer is what the end says, be it read or not.
    let ends = |reason| lab.admin().metric("ropeway_listener_request_ends_total", &[("reason", reason)]);
    assert_eq!(ends("no_route"), requests());
}

fn connections(lab: &ropeway_e2e::Running) -> f64 {
    lab.admin().metric("ropeway_listener_connections", &[("listener", "web")])
}

/// What waits in the buffers of the proxy's system was not taken by anybody.
#[test]
fn the_rate_of_a_client_is_that_of_what_it_took() {
    let lab = Lab::new()
        .origin(endless())
        .with("timeout = { send_idle = \"10m\", min_rate = 20000, min_rate_grace = \"500ms\" }", "", "")
        .start();
    let mut connection = lab.client().receive_buffer(4096).connect();
    connection.send_get("/");
    ropeway_e2e::eventually("the origin is released", || {
        (lab.origin(1).count() == 1 && lab.origin(1).open_connections() == 0).then_some(())
    });
    assert!(connection.try_receive("GET").is_err(), "the response cannot be whole");
}

/// An origin with more to say than any buffer holds.
fn endless() -> Origin {
    Origin::scripted(|peer| {
        let _ = peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while peer.send([0; 65_536]) {}
    })
}

#[test]
fn idle_connections_to_the_origin_are_closed_after_their_time() {
    let lab = Lab::new().origins(1).with("", "", "keep_alive = { idle = \"200ms\" }").start();
    let _ = lab.client().get("/").expect(200);
    ropeway_e2e::eventually("the idle connection is closed", || {
        (lab.origin(1).open_connections() == 0).then_some(())
    });
    let _ = lab.client().get("/").expect(200);
    assert_eq!(lab.origin(1).connections(), 2);
}

#[test]
fn the_idle_time_of_the_origin_is_learned() {
    let lab = Lab::new()
        .origin(Origin::answering(|_| reply(200, &[("Keep-Alive", "timeout=1000")], "")))
        .with("", "", "keep_alive = { idle = \"100ms\" }")
        .start();
    let _ = lab.client().get("/").expect(200);
    // The sweep that closes what was idle too long closes a connection to another server meanwhile: this one stays.
    let other = Lab::new().origins(1).with("", "", "keep_alive = { idle = \"100ms\" }").start();
    let _ = other.client().get("/").expect(200);
    ropeway_e2e::eventually("a sweep", || (other.origin(1).open_connections() == 0).then_some(()));
    ropeway_e2e::eventually("a sweep of the first lab", || {
        let uptime = lab.admin().status()["uptime_seconds"].as_f64().unwrap_or_default();
        (uptime > 2.0).then_some(())
    });
    let _ = lab.client().get("/").expect(200);
    assert_eq!(lab.origin(1).connections(), 1);
}
