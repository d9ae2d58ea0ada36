//! How many handshakes are under way, and what becomes of the others.

use std::io::{Read, Write};
use std::net::TcpStream;

use ropeway_e2e::Running;
use ropeway_e2e::tls_site::{Site, TLS};

use crate::threats_tls::{client_hello, connect, connect_to};

/// A client that says what it wants, and does nothing more.
fn begin(site: &Site, lab: &Running) -> TcpStream {
    let mut socket = connect(lab);
    socket.write_all(&client_hello(site)).unwrap();
    socket
}

/// Waits until the proxy has begun to answer.
#[track_caller]
fn expect_answer(mut socket: &TcpStream) {
    assert_eq!(socket.read(&mut [0; 1]).unwrap(), 1, "no end, but a handshake");
}

fn with(settings: &str) -> String {
    TLS.replace(" }\n", &format!(", {settings} }}\n"))
}

#[test]
fn clients_that_do_not_go_on_with_their_handshakes_hold_up_nobody_else() {
    let site = Site::new();
    let lab = site.lab_with(&with("handshake_timeout = \"5m\"")).origins(1).start();
    let stalled: Vec<TcpStream> = (0..300).map(|_| begin(&site, &lab)).collect();
    stalled.iter().for_each(expect_answer);
    let _ = site.client(&lab).get("/").expect(200);
    let _ = site.http2_client(&lab).try_connect().expect("a handshake");
}

#[test]
fn newcomers_get_the_places_of_handshakes_that_do_not_go_on() {
    let site = Site::new();
    let lab = site.lab_with(&with("handshake_timeout = \"5m\", max_handshakes = 4")).origins(1).start();
    let mut established = site.client(&lab).connect();
    let begun: Vec<TcpStream> = (0..4).map(|_| begin(&site, &lab)).collect();
    begun.iter().for_each(expect_answer);
    let newcomer = begin(&site, &lab);
    let _ = established.get("/").expect(200);
    expect_answer(&newcomer);
    let displaced = [("reason", "tls_handshake_displaced")];
    assert_eq!(lab.admin().metric("ropeway_listener_request_ends_total", &displaced), 1.0);
    let mut oldest = &begun[0];
    oldest.read_to_end(&mut Vec::new()).expect("the one that was there for longest is closed");
    drop(newcomer);
    drop(begun);
    let _ = site.client(&lab).get("/").expect(200);
}

#[test]
fn handshakes_at_one_listener_take_no_places_of_another() {
    let site = Site::new();
    let other = format!("[listener.other]\nbind = \"127.0.0.1:0\"\n{}", with("handshake_timeout = \"5m\""));
    let config = ropeway_e2e::lab::file(&with("max_handshakes = 1"), "", "") + &other;
    let lab = site.lab("").config(&config).origins(1).start();
    let stalled = [(); 8].map(|()| {
        let mut socket = connect_to(&lab, "other");
        socket.write_all(&client_hello(&site)).unwrap();
        expect_answer(&socket);
        socket
    });
    let _ = site.client(&lab).get("/").expect(200);
    let displaced = [("reason", "tls_handshake_displaced")];
    assert_eq!(lab.admin().metric("ropeway_listener_request_ends_total", &displaced), 0.0);
    drop(stalled);
}

#[test]
fn handshakes_that_do_not_go_on_make_room_near_the_cap_on_connections() {
    let site = Site::new();
    let config = ropeway_e2e::lab::file(&with("handshake_timeout = \"5m\""), "", "");
    let lab = site.lab("").config(&(config + "[limits]\nconnections = 3\n")).origins(1).start();
    let stalled: Vec<TcpStream> = (0..3).map(|_| begin(&site, &lab)).collect();
    stalled.iter().for_each(expect_answer);
    ropeway_e2e::eventually("a newcomer gets in", || site.client(&lab).try_connect().ok());
    drop(stalled);
    ropeway_e2e::eventually("all are gone", || {
        (lab.admin().status()["connections"]["open"] == 0).then_some(())
    });
    let _silent = [(); 3].map(|()| connect(&lab));
    ropeway_e2e::eventually("a newcomer gets in", || site.client(&lab).try_connect().ok());
}

#[test]
fn a_place_is_free_again_when_the_time_of_its_handshake_is_up() {
    let site = Site::new();
    let lab = site.lab_with(&with("handshake_timeout = \"1s\", max_handshakes = 1")).origins(1).start();
    for _ in 0..3 {
        let mut stalled = begin(&site, &lab);
        expect_answer(&stalled);
        let mut rest = Vec::new();
        stalled.read_to_end(&mut rest).expect("an orderly end");
        let _ = site.client(&lab).get("/").expect(200);
    }
}
