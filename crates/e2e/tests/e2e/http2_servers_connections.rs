//! Connections of HTTP/2 to servers: how they are opened for many requests at a time, and when they are given up.

use ropeway_e2e::h2::Listener;
use ropeway_e2e::lab::file;
use ropeway_e2e::tls::{Authority, ServerSide};
use ropeway_e2e::{Connection, Lab, Running, eventually};

const HOST: &str = "app.lab.example";

/// A server that speaks HTTP/2 over TLS, and a proxy that waits for it as long as the test does.
fn patient() -> (Running, Listener) {
    let authority = Authority::new("Test CA");
    let identity = ServerSide::new(&authority.issue(&[HOST]));
    let server = Listener::new().with_tls(identity.alpn(&["h2"]).config());
    let tls = format!("tls = {{ ca = \"ca.pem\", server_name = \"{HOST}\", handshake_timeout = \"5m\" }}");
    let config = file("", "", &format!("protocol = \"h2\"\npassive = false\n{tls}"));
    let config = config.replace("@all", &format!("\"{}\"", server.address()));
    (Lab::new().file("ca.pem", &authority.pem()).config(&config).start(), server)
}

fn until_in_flight(lab: &Running, requests: f64) {
    eventually("so many requests are in flight", || {
        (lab.admin().metric("ropeway_upstream_in_flight", &[]) == requests).then_some(())
    });
}

/// Those who give up before the connection stands would otherwise each begin anew, and nobody ever get one.
#[test]
fn a_connection_goes_on_being_opened_when_nobody_waits_any_more() {
    let (lab, server) = patient();
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

/// Or each of them would find out for itself, one after the other.
#[test]
fn a_connection_that_fails_to_open_fails_for_all_who_wait() {
    let (lab, server) = patient();
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
    let server = Listener::new();
    let config = file("", "", "protocol = \"h2\"\npassive = false\ntimeout = { connect = \"200ms\" }");
    let lab = Lab::new().config(&config.replace("@all", &format!("\"{}\"", server.address()))).start();
    let mut client = lab.connect();
    client.send_request("POST", "/", "body");
    let _silent = server.tcp();
    let refused = client.receive().expect(504);
    assert!(refused.text().contains("did not accept the connection in time"), "{}", refused.text());
}
