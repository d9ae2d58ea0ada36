//! Requests that come together begin a few at a time, and none waits for the end of another.

use ropeway_e2e::h2::frame::headers;
use ropeway_e2e::h2::{self, Block, Listener};
use ropeway_e2e::lab::file;
use ropeway_e2e::{Connection, Gate, Lab, Origin, Running, eventually, reply};

use crate::http2_servers::WIDE;

/// One worker, in front of a server that answers nothing on `/held` until the gate is open.
fn lab(listener: &str) -> (Running, Gate) {
    let gate = Gate::new();
    let closed = gate.clone();
    let origin = Origin::answering(move |request| {
        if request.target == "/held" {
            closed.wait();
        }
        reply(200, &[], "here")
    });
    (Lab::new().origin(origin).with(listener, "", "").workers(1).start(), gate)
}

fn held(lab: &Running) -> f64 {
    lab.admin().metric("ropeway_requests_held_total", &[])
}

fn ask_all(clients: &mut [Connection]) {
    for client in clients {
        let _ = client.send_get("/held");
    }
}

/// Asks on so many streams at once.
fn ask_on_streams(client: &mut h2::Connection, count: usize) -> Vec<u32> {
    let streams: Vec<u32> = (0..count).map(|_| client.new_stream()).collect();
    let requests: Vec<_> = streams.iter().map(|stream| headers(*stream, Block::get("/held")).end()).collect();
    client.send(&requests);
    streams
}

#[test]
fn requests_that_come_together_all_begin_before_the_first_is_answered() {
    let (lab, gate) = lab("");
    let mut clients: Vec<_> = (0..100).map(|_| lab.connect()).collect();
    for client in &mut clients {
        let _ = client.get("/").expect(200);
    }
    assert_eq!(held(&lab), 0.0, "nobody waits for a worker that is not busy");
    lab.proxy.while_stopped(|| ask_all(&mut clients));
    let _ = lab.origin(1).wait_for_requests(200);
    gate.open();
    for client in &mut clients {
        let _ = client.receive().expect(200);
    }
    assert!(held(&lab) > 0.0);
    assert_eq!(lab.admin().status()["requests_held"], held(&lab));
}

#[test]
fn connections_that_come_together_all_begin() {
    let (lab, gate) = lab("");
    let (client, mut clients) = (lab.client(), Vec::new());
    lab.proxy.while_stopped(|| {
        clients.extend((0..100).map(|_| client.connect()));
        ask_all(&mut clients);
    });
    let _ = lab.origin(1).wait_for_requests(100);
    gate.open();
    for client in &mut clients {
        let _ = client.receive().expect(200);
    }
    assert!(held(&lab) > 0.0);
}

#[test]
fn streams_that_come_together_all_begin_before_the_first_is_answered() {
    let (lab, gate) = lab("http2 = { prior_knowledge = true }");
    let mut client = h2::Connection::open(&lab.client());
    let streams = ask_on_streams(&mut client, 80);
    let _ = lab.origin(1).wait_for_requests(80);
    gate.open();
    for stream in streams {
        assert_eq!(client.response(stream).status, 200);
    }
    assert!(held(&lab) > 0.0);
}

/// What many streams of one connection have to say is cheapest together.
#[test]
fn streams_to_a_server_of_http2_begin_all_at_once() {
    let server = Listener::new();
    let config = file("http2 = { prior_knowledge = true }", "", "protocol = \"h2\"")
        .replace("@all", &format!("\"{}\"", server.address()));
    let lab = Lab::new().config(&config).workers(1).start();
    let mut client = h2::Connection::open(&lab.client());
    let first = client.start(Block::get("/first"));
    let mut server = server.accept(&WIDE);
    let (stream, _) = server.next_request();
    server.answer(stream, "");
    assert_eq!(client.response(first).status, 200);
    let streams = ask_on_streams(&mut client, 80);
    for _ in &streams {
        let (stream, _) = server.next_request();
        server.answer(stream, "");
    }
    for stream in streams {
        assert_eq!(client.response(stream).status, 200);
    }
    assert_eq!(held(&lab), 0.0);
}

/// Whether they wait, are on their way to the server, or are with it.
#[test]
fn streams_of_clients_that_are_gone_leave_nothing_behind() {
    let (lab, gate) = lab("http2 = { prior_knowledge = true }");
    let mut clients: Vec<_> = (0..20).map(|_| h2::Connection::open(&lab.client())).collect();
    lab.proxy.while_stopped(|| {
        for client in &mut clients {
            ask_on_streams(client, 100);
        }
    });
    eventually("requests wait", || (held(&lab) > 0.0).then_some(()));
    drop(clients);
    let admin = lab.admin();
    eventually("no request is left", || (admin.metric("ropeway_requests_active", &[]) == 0.0).then_some(()));
    let gone = |name| admin.metric(name, &[("reason", "client_closed")]);
    let (waited, begun) = (gone("ropeway_listener_request_ends_total"), gone("ropeway_request_ends_total"));
    assert_eq!(waited + begun, admin.metric("ropeway_listener_requests_total", &[]));
    gate.open();
}
