//! Uploads that wait for their server: what the client does meanwhile, and how long it may take.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use ropeway_e2e::h2::frame::{code::*, data, headers, reset, setting, window_update};
use ropeway_e2e::h2::{self, Block, Call, Listener};
use ropeway_e2e::lab::file;
use ropeway_e2e::tls_site::{Site, TLS};
use ropeway_e2e::{Client, Connection, Lab, Origin, Running, eventually};

/// What a client sends before its server stops to read, and what it sends then: less than its system takes in.
const FIRST: usize = 10;
const SECOND: usize = 30_000;

/// A proxy whose only server has room for five bytes of each body.
struct Stall {
    lab: Running,
    server: h2::Connection<Call>,
}

impl Stall {
    fn new(
        lab: Lab,
        [listener, route]: [&str; 2],
        connect: impl FnOnce(&Running) -> Client,
    ) -> (Self, Client) {
        let server = Listener::new();
        let config = file(listener, route, "protocol = \"h2\"\npassive = false");
        let lab = lab.config(&to(&config, server.address())).start();
        let client = connect(&lab);
        // The settings of a connection to a server are known by its second request.
        let mut first = client.connect();
        first.send_get("/first");
        let mut server = server.accept(&[(setting::INITIAL_WINDOW_SIZE, 5)]);
        server.gives_credit = false;
        let (stream, _) = server.next_request();
        server.send(&[headers(stream, Block::response("204")).end()]);
        let _ = first.receive().expect(204);
        (Self { lab, server }, client)
    }

    fn plain() -> (Self, Client) {
        Self::new(Lab::new(), [""; 2], Running::client)
    }

    /// A request whose upload waits, while more of it is in the proxy's socket than was read.
    fn upload(&mut self, client: &Client, framing: &str) -> (Connection, u32) {
        let mut connection = client.connect();
        connection.send(format!("POST / HTTP/1.1\r\nHost: shop.example\r\n{framing}\r\n\r\n"));
        let stream = self.server.next_call();
        connection.send([b'x'; FIRST]);
        self.expect_stalled(stream);
        connection.send([b'x'; SECOND]);
        // The proxy has seen them by the time that another request is answered.
        self.pass(client);
        (connection, stream)
    }

    fn expect_stalled(&mut self, stream: u32) {
        let server = &mut self.server;
        server.until("what there is room for", |server| {
            (server.exchange(stream).received() == 5).then_some(())
        });
    }

    fn pass(&mut self, client: &Client) {
        let mut connection = client.connect();
        connection.send_get("/other");
        let (stream, _) = self.server.next_request();
        self.server.send(&[headers(stream, Block::response("204")).end()]);
        let _ = connection.receive().expect(204);
    }

    /// Waits until the request is given up for this reason.
    fn expect_given_up(&mut self, stream: u32, reason: &str) {
        wait_for_end(&self.lab, reason);
        self.server.expect_reset(stream, &[CANCEL]);
    }
}

const H2C: &str = "http2 = { prior_knowledge = true }";

/// A file that names the address of its only server.
fn to(config: &str, server: SocketAddr) -> String {
    config.replace("@all", &format!("\"{server}\""))
}

fn ends(lab: &Running, reason: &str) -> u64 {
    lab.admin().status()["routes"][0]["ends"][reason].as_u64().unwrap_or(0)
}

fn uptime(lab: &Running) -> f64 {
    lab.admin().status()["uptime_seconds"].as_f64().unwrap()
}

fn wait_for_end(lab: &Running, reason: &str) {
    eventually(reason, || (ends(lab, reason) == 1).then_some(()));
}

fn length(bytes: usize) -> String {
    format!("Content-Length: {bytes}")
}

#[test]
fn a_client_that_resets_is_noticed() {
    let (mut stall, client) = Stall::plain();
    let (connection, stream) = stall.upload(&client, &length(1_000_000));
    connection.wire.reset();
    stall.expect_given_up(stream, "client_closed");
}

/// Even when all of its request has arrived.
#[test]
fn a_client_that_resets_after_its_last_byte_is_noticed() {
    let (mut stall, client) = Stall::plain();
    let (mut connection, stream) = stall.upload(&client, &length(FIRST + SECOND));
    connection.half_close();
    stall.pass(&client);
    connection.wire.reset();
    stall.expect_given_up(stream, "client_closed");
}

#[test]
fn a_client_that_closes_inside_of_its_body_is_noticed() {
    let (mut stall, client) = Stall::plain();
    let (connection, stream) = stall.upload(&client, &length(FIRST + SECOND + 1));
    drop(connection);
    stall.expect_given_up(stream, "request_truncated");
}

#[test]
fn a_client_that_closes_inside_of_its_body_is_noticed_by_tls() {
    let site = Site::new();
    let lab = Lab::new().identity("site", &site.identity);
    let (mut stall, client) = Stall::new(lab, [TLS, ""], |lab| site.client(lab));
    let (mut connection, stream) = stall.upload(&client, &length(1_000_000));
    connection.half_close();
    stall.expect_given_up(stream, "request_truncated");
}

/// Of a body in chunks only what was read says how much follows.
#[test]
fn a_client_that_closes_before_its_last_chunk_is_noticed() {
    let (mut stall, client) = Stall::plain();
    let mut connection = client.connect();
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let stream = stall.server.next_call();
    connection.send("a\r\n0123456789\r\n");
    stall.expect_stalled(stream);
    drop(connection);
    stall.expect_given_up(stream, "request_truncated");
}

#[test]
fn a_client_that_has_sent_everything_may_close_its_side() {
    let site = Site::new();
    let lab = Lab::new().identity("site", &site.identity);
    let mut stalls = [Stall::plain(), Stall::new(lab, [TLS, ""], |lab| site.client(lab))];
    let uploads = stalls.each_mut().map(|(stall, client)| {
        let (mut connection, stream) = stall.upload(client, &length(FIRST + SECOND));
        connection.half_close();
        (connection, stream)
    });
    several_looks(&stalls[1].0.lab);
    for ((stall, _), (mut connection, stream)) in stalls.iter_mut().zip(uploads) {
        stall.server.send(&[window_update(stream, 1_000_000)]);
        assert_eq!(stall.server.whole(stream).body.data.len(), FIRST + SECOND);
        stall.server.answer(stream, "done");
        let _ = connection.receive().expect(200).expect_body("done");
    }
}

fn several_looks(lab: &Running) {
    let begun = uptime(lab);
    eventually("several looks at the client", || (uptime(lab) - begun > 5.0).then_some(()));
}

#[test]
fn with_abort_on_close_a_client_that_closes_its_side_is_gone() {
    let (mut stall, client) = Stall::new(Lab::new(), ["abort_on_close = true", ""], Running::client);
    let (mut connection, stream) = stall.upload(&client, &length(FIRST + SECOND));
    connection.half_close();
    stall.expect_given_up(stream, "client_closed");
}

/// The response has begun, so that it is this that is waited for.
#[test]
fn a_client_that_resets_between_both_bodies_is_noticed() {
    let (mut stall, client) = Stall::plain();
    let (mut connection, stream) = stall.upload(&client, &length(1_000_000));
    stall.server.begin(stream, Block::response("200"));
    let _ = connection.receive_head().expect(200);
    connection.wire.reset();
    stall.expect_given_up(stream, "client_closed");
}

/// A client that has its answer need not send on.
#[test]
fn a_client_that_closes_its_side_inside_of_its_body_gets_a_response_that_has_begun() {
    let (mut stall, client) = Stall::plain();
    let (mut connection, stream) = stall.upload(&client, &length(1_000_000));
    stall.server.begin(stream, Block::response("200"));
    let _ = connection.receive_head().expect(200);
    connection.half_close();
    several_looks(&stall.lab);
    stall.server.send(&[data(stream, *b"the rest").end()]);
    let rest = String::from_utf8_lossy(&connection.rest()).into_owned();
    assert!(rest.contains("the rest"), "{rest}");
    assert_eq!(ends(&stall.lab, "completed"), 3);
}

/// An upload by HTTP/2 that the server does not take: the client's connection, its stream there, and that at the server.
fn upload_by_http2(stall: &mut Stall, client: &Client) -> (h2::Connection, u32, u32) {
    let mut connection = h2::Connection::open(client);
    let ours = connection.start_with_body(Block::post("/"));
    let stream = stall.server.next_call();
    connection.send_body(ours, &[b'x'; FIRST]);
    stall.expect_stalled(stream);
    connection.send_body(ours, &[b'x'; SECOND]);
    connection.round_trip();
    (connection, ours, stream)
}

#[test]
fn a_client_of_http2_that_resets_is_noticed() {
    let (mut stall, client) = Stall::new(Lab::new(), [H2C, ""], Running::client);
    let (mut connection, ours, stream) = upload_by_http2(&mut stall, &client);
    connection.send(&[reset(ours, CANCEL)]);
    stall.expect_given_up(stream, "client_closed");
}

#[test]
fn a_client_of_http2_that_leaves_is_noticed() {
    let (mut stall, client) = Stall::new(Lab::new(), [H2C, ""], Running::client);
    let (connection, _, stream) = upload_by_http2(&mut stall, &client);
    drop(connection);
    stall.expect_given_up(stream, "client_closed");
}

/// The system of a server that does not read still takes in megabytes.
#[test]
fn a_client_that_resets_is_noticed_while_a_server_of_http1_does_not_read() {
    let server = narrow();
    let lab = Lab::new().config(&to(&file("", "", ""), server.address())).start();
    let mut connection = lab.connect();
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    let mut server = server.tcp();
    fill(&lab, &connection);
    connection.wire.reset();
    wait_for_end(&lab, "client_closed");
    server.drain();
}

/// A server whose system takes in little for it.
fn narrow() -> Listener {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 64 * 1024).unwrap();
    Listener::on(socket)
}

/// Sends until nobody has taken a byte for a second.
fn fill(lab: &Running, connection: &Connection) {
    let mut since = uptime(lab);
    eventually("nobody takes more", || {
        if push(connection) > 0 {
            since = uptime(lab);
        }
        (uptime(lab) - since > 1.0).then_some(())
    });
}

/// Sends as much as is taken at once.
fn push(connection: &Connection) -> usize {
    let mut stream = connection.wire.stream();
    stream.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while let Ok(count) = stream.write(&[b'x'; 64 * 1024]) {
        sent += count;
    }
    sent
}

/// What waits to be read is the next request here, and not the body of this one.
#[test]
fn a_client_that_resets_behind_a_request_too_many_is_noticed() {
    let lab = Lab::new()
        .origin(Origin::scripted(|peer| {
            let _ = peer.request();
            let _ = peer.wait_for_end();
        }))
        .start();
    let mut connection = lab.connect();
    connection.send_get("/");
    lab.origin(1).wait_for_requests(1);
    connection.send_get("/next");
    several_looks(&lab);
    connection.wire.reset();
    wait_for_end(&lab, "client_closed");
}

/// A socket becomes writable once a third of its buffer is free, and that may take a slow server longer than it may be
/// idle.
#[test]
fn a_server_that_reads_slowly_is_not_taken_for_an_idle_one() {
    let server = narrow();
    let lab = Lab::new()
        .config(&to(&file("", "timeout = { stream_idle = \"1500ms\" }", ""), server.address()))
        .start();
    let mut connection = lab.connect();
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    let server = server.tcp();
    let (begun, mut received) = (uptime(&lab), 0);
    eventually("several idle times pass", || {
        push(&connection);
        while received < (200_000.0 * (uptime(&lab) - begun)) as usize {
            let count = server.stream().read(&mut [0; 2_000]).unwrap();
            assert!(count > 0, "the request is cut off");
            received += count;
        }
        (uptime(&lab) - begun > 6.0).then_some(())
    });
    assert_eq!(lab.admin().status()["routes"][0]["ends"], serde_json::json!({}));
}

#[test]
fn a_server_that_reads_nothing_is_given_up() {
    let server = narrow();
    let lab = Lab::new()
        .config(&to(&file("", "timeout = { stream_idle = \"300ms\" }", ""), server.address()))
        .start();
    let mut connection = lab.connect();
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    let mut server = server.tcp();
    eventually("the server is given up", || {
        push(&connection);
        (ends(&lab, "send_timeout") == 1).then_some(())
    });
    connection.wire.stream().set_nonblocking(false).unwrap();
    let _ = connection.receive().expect(504);
    server.drain();
}

/// Its window is what it reads by.
#[test]
fn a_server_of_http2_that_reads_slowly_is_not_taken_for_an_idle_one() {
    let route = "timeout = { stream_idle = \"1500ms\" }";
    let (mut stall, client) = Stall::new(Lab::new(), ["", route], Running::client);
    let (mut connection, stream) = stall.upload(&client, &length(FIRST + SECOND));
    let begun = uptime(&stall.lab);
    for halves in 1..=10 {
        eventually("half a second", || (uptime(&stall.lab) - begun > f64::from(halves) / 2.0).then_some(()));
        stall.server.send(&[window_update(stream, 1)]);
    }
    stall.server.send(&[window_update(stream, 1_000_000)]);
    assert_eq!(stall.server.whole(stream).body.data.len(), FIRST + SECOND);
    stall.server.answer(stream, "done");
    let _ = connection.receive().expect(200).expect_body("done");
}

#[test]
fn a_server_of_http2_that_reads_nothing_is_given_up() {
    let (mut stall, client) =
        Stall::new(Lab::new(), ["", "timeout = { stream_idle = \"1s\" }"], Running::client);
    let (mut connection, stream) = stall.upload(&client, &length(FIRST + SECOND));
    let _ = connection.receive().expect(504);
    stall.expect_given_up(stream, "send_timeout");
}
