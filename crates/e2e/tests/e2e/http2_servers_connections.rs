//! Connections of HTTP/2 to servers: how they are opened for many requests at a time, and when they are given up.

use ropeway_e2e::h2::Listener;
use ropeway_e2e::lab::file;
use ropeway_e2e::tls::{Authority, ServerSide};
use ropeway_e2e::{Connection, Lab, Running, eventually};

const HOST: &str = "app.lab.example";

/// A server that speaks this over TLS, and a proxy that waits for it as long as the test does.
fn patient(protocol: &str) -> (Running, Listener) {
    let authority = Authority::new("Test CA");
    let identity = ServerSide::new(&authority.issue(&[HOST]));
    let server = Listener::new().with_tls(identity.alpn(&["h2"]).config());
    let tls = format!("tls = {{ ca = \"ca.pem\", server_name = \"{HOST}\", handshake_timeout = \"5m\" }}");
    let config = file("", "", &format!("protocol = \"{protocol}\"\npassive = false\n{tls}"));
    let config = config.replace("@all", &format!("\"{}\"", server.address()));
    (Lab::new().file("ca.pem", &authority.pem()).config(&config).start(), server)
}

/// A server of HTTP/2 without TLS, and a proxy that has more in the tables of its route and its upstream.
fn plain(route: &str, upstream: &str) -> (Running, Listener) {
    let server = Listener::new();
    let config = file("", route, &format!("protocol = \"h2\"\npassive = false\n{upstream}"));
    let config = config.replace("@all", &format!("\"{}\"", server.address()));
    (Lab::new().config(&config).start(), server)
}

fn until_in_flight(lab: &Running, requests: f64) {
    eventually("so many requests are in flight", || {
        (lab.admin().metric("ropeway_upstream_in_flight", &[]) == requests).then_some(())
    });
}

/// Those who give up before the connection stands would otherwise each begin anew, and nobody ever get one.
#[test]
fn a_connection_goes_on_being_opened_when_nobody_waits_any_more() {
    let (lab, server) = patient("h2");
    let hasty = lab.client().field("Content-Type", "application/grpc").field("grpc-timeout", "100m");
    let late = hasty.request("POST", "/", "");
    assert_eq!(late.field("grpc-status").as_deref(), Some("4"), "{:?}", late.fields);
    let wire = server.tcp();
    until_in_flight(&lab, 0.0);
    let late = hasty.request("POST", "/", "");
    assert_eq!(late.field("grpc-status").as_deref(), Some("4"), "one who joins the wait gives it up, too");
    let mut patient = lab.connect();
    patient.send_get("/patient");
    until_in_flight(&lab, 1.0);
    let mut connection = server.greet(wire, &[]);
    let (stream, request) = connection.next_request();
    assert_eq!(request.target, "/patient");
    connection.answer(stream, "served");
    let _ = patient.receive().expect(200).expect_body("served");
    assert!(!server.drop_waiting(), "there was no need for another connection");
}

#[test]
fn the_deadline_of_a_call_holds_for_a_handshake_with_the_server() {
    for protocol in ["http1", "h2"] {
        let (lab, server) = patient(protocol);
        let hasty = lab.client().field("Content-Type", "application/grpc").field("grpc-timeout", "100m");
        let late = hasty.request("POST", "/", "");
        assert_eq!(late.field("grpc-status").as_deref(), Some("4"), "{protocol}: {:?}", late.fields);
        let _ = server.tcp();
    }
}

/// Its request would be sent all the same once there is a connection, to this server or to another one.
#[test]
fn a_client_that_leaves_while_its_connection_is_opened_is_noticed() {
    for protocol in ["http1", "h2"] {
        let (lab, server) = patient(protocol);
        let mut client = lab.connect();
        client.send_get("/");
        let wire = server.tcp();
        until_in_flight(&lab, 1.0);
        client.wire.reset();
        eventually("it is noticed", || {
            let ends = lab.admin().metric("ropeway_request_ends_total", &[("reason", "client_closed")]);
            (ends == 1.0).then_some(())
        });
        until_in_flight(&lab, 0.0);
        drop(wire);
    }
}

/// Or each of them would find out for itself, one after the other.
#[test]
fn a_connection_that_fails_to_open_fails_for_all_who_wait() {
    let (lab, server) = patient("h2");
    let mut clients: Vec<Connection> = (0..5).map(|_| lab.connect()).collect();
    for client in &mut clients {
        client.send_get("/");
    }
    until_in_flight(&lab, 5.0);
    drop(server.tcp());
    for client in &mut clients {
        let _ = client.receive().expect(502);
    }
    assert!(!server.drop_waiting(), "one has tried for all");
}

/// A server that accepts a connection and says nothing is not one that requests can be sent to.
#[test]
fn a_connection_is_open_when_the_server_has_said_its_settings() {
    let (lab, server) = plain("", "timeout = { connect = \"200ms\" }");
    let mut client = lab.connect();
    client.send_request("POST", "/", "body");
    let _silent = server.tcp();
    let refused = client.receive().expect(504);
    assert!(refused.text().contains("did not accept the connection in time"), "{}", refused.text());
}

/// The server may be gone without a word. All that is asked would be lost until TCP gives up.
#[test]
fn a_connection_that_falls_silent_takes_no_more_requests() {
    let (lab, server) = plain("timeout = { response = \"200ms\" }", "");
    let mut client = lab.connect();
    client.send_get("/first");
    let mut silent = server.accept(&[]);
    let (stream, _) = silent.next_request();
    silent.answer(stream, "first");
    let _ = client.receive().expect(200).expect_body("first");
    let _ = lab.client().request("POST", "/lost", "body").expect(504);
    client.send_get("/next");
    let mut connection = server.accept(&[]);
    let (stream, request) = connection.next_request();
    assert_eq!(request.target, "/next");
    connection.answer(stream, "next");
    let _ = client.receive().expect(200).expect_body("next");
    // It learns of the request that was given up, and that it is not needed any more.
    silent.expect_end();
    assert_eq!(silent.calls(), 2, "{}", silent.summary());
}

/// Nobody would use it, and nobody look after it.
#[test]
fn a_connection_to_a_server_that_a_reload_has_removed_is_not_kept() {
    let (lab, server) = plain("", "");
    let mut client = lab.connect();
    client.send_get("/");
    let wire = server.tcp();
    lab.reload(&file("", "", "protocol = \"h2\"").replace("@all", "\"127.0.0.1:1\""));
    let mut connection = server.greet(wire, &[]);
    let (stream, _) = connection.next_request();
    connection.answer(stream, "the last one");
    let _ = client.receive().expect(200).expect_body("the last one");
    connection.expect_end();
}

/// An operator who knows better than the server what one connection of it can bear.
#[test]
fn a_connection_carries_as_many_streams_as_the_configuration_says() {
    let (lab, server) = plain("", "limits = { streams_per_connection = 1 }");
    let mut clients: Vec<Connection> = (0..3).map(|_| lab.connect()).collect();
    let mut connections = Vec::new();
    for client in &mut clients {
        client.send_get("/");
        let mut connection = server.accept(&[]);
        let (stream, _) = connection.next_request();
        connections.push((connection, stream));
    }
    for (client, (connection, stream)) in clients.iter_mut().zip(&mut connections) {
        connection.answer(*stream, "served");
        let _ = client.receive().expect(200).expect_body("served");
    }
    clients[0].send_get("/again");
    let (first, _) = &mut connections[0];
    let (stream, _) = first.next_request();
    first.answer(stream, "again");
    let _ = clients[0].receive().expect(200).expect_body("again");
    assert!(!server.drop_waiting(), "there was room on one that was open");
}

#[test]
fn a_connection_carries_as_many_requests_as_the_configuration_says() {
    let (lab, server) = plain("", "keep_alive = { max_requests = 2 }");
    let mut clients: Vec<Connection> = (0..2).map(|_| lab.connect()).collect();
    clients[0].send_get("/1");
    let mut spent = server.accept(&[]);
    let (first, _) = spent.next_request();
    clients[1].send_get("/2");
    let (second, _) = spent.next_request();
    spent.answer(second, "second");
    let _ = clients[1].receive().expect(200).expect_body("second");
    clients[1].send_get("/3");
    let mut fresh = server.accept(&[]);
    let (third, _) = fresh.next_request();
    fresh.answer(third, "third");
    let _ = clients[1].receive().expect(200).expect_body("third");
    // What was under way is not cut off by the end of its connection.
    spent.answer(first, "first");
    let _ = clients[0].receive().expect(200).expect_body("first");
    spent.expect_end();
}

/// The kernel looks whether a server is there that nothing is sent to: it runs the timer of keep-alive probes (proc(5)).
#[test]
fn a_server_that_is_waited_for_is_looked_after_by_the_kernel() {
    let (lab, server) = plain("", "");
    let mut client = lab.connect();
    client.send_get("/");
    let mut connection = server.accept(&[]);
    let (stream, _) = connection.next_request();
    let port = format!(":{:04X}", server.address().port());
    eventually("the timer runs", || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let fields = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut ours = fields.filter(|fields| fields[2].ends_with(&port) && fields[3] == ESTABLISHED);
        ours.any(|fields| fields[5].starts_with(KEEP_ALIVE_TIMER)).then_some(())
    });
    connection.answer(stream, "served");
    let _ = client.receive().expect(200).expect_body("served");
}

const ESTABLISHED: &str = "01";
const KEEP_ALIVE_TIMER: &str = "02:";
