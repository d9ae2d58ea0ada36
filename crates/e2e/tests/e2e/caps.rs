//! Caps on connections and requests: at a cap the answer is fast and counted.

use std::io::{Read, Write};

use ropeway_e2e::{Connection, Gate, Lab, Origin, Running, reply};

use crate::threats_tls::connect;

fn hold(lab: &Running, count: usize) -> Vec<Connection> {
    let held: Vec<Connection> = (0..count)
        .map(|_| {
            let mut connection = lab.connect();
            let _ = connection.get("/").expect(200);
            connection
        })
        .collect();
    assert_eq!(held.len(), count);
    held
}

fn expect_refusal(connection: &mut Connection) {
    connection.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = connection.receive().expect(503);
    assert!(response.says_close());
    assert!(response.field("retry-after").is_some());
    connection.expect_gone();
}

#[test]
fn a_listener_refuses_connections_beyond_its_cap_and_recovers() {
    let lab = Lab::new().origins(1).with("limits = { connections = 4 }", "", "").start();
    let held = hold(&lab, 4);
    expect_refusal(&mut lab.connect());
    assert!(lab.admin().metric("ropeway_listener_refused_total", &[("listener", "web")]) >= 1.0);
    drop(held);
    ropeway_e2e::eventually("there is room again", || {
        lab.connect().try_get("/").is_ok_and(|response| response.status == 200).then_some(())
    });
}

/// Waits until somebody who comes is served, and returns the connection.
fn get_in(connect: impl Fn() -> Connection) -> Connection {
    ropeway_e2e::eventually("an idle connection makes room", || {
        let mut connection = connect();
        connection.try_get("/").is_ok_and(|response| response.status == 200).then_some(connection)
    })
}

fn made_room(lab: &Running) -> f64 {
    lab.admin().metric("ropeway_listener_made_room_total", &[("listener", "web")])
}

#[test]
fn idle_connections_make_room_for_newcomers() {
    let settings = "limits = { connections = 4 }\ntimeout = { idle = \"10m\" }";
    let lab = Lab::new().origins(1).with(settings, "", "").start();
    let held = hold(&lab, 4);
    assert_eq!(made_room(&lab), 0.0);
    let _in = get_in(|| lab.connect());
    assert!(made_room(&lab) >= 1.0);
    drop(held);
}

#[test]
fn connections_on_which_nothing_ever_came_make_room_too() {
    for protocols in ["", "http2 = { prior_knowledge = true }\n"] {
        let listener = format!("{protocols}timeout = {{ head = \"10m\" }}");
        let config = ropeway_e2e::lab::file(&listener, "", "") + "[limits]\nconnections = 3\n";
        let lab = Lab::new().origins(1).config(&config).start();
        let _silent: Vec<Connection> = (0..3).map(|_| lab.connect()).collect();
        let _in = get_in(|| lab.connect());
    }
}

#[test]
fn no_more_idle_connections_are_closed_than_are_too_many() {
    let settings = "limits = { connections = 32 }\ntimeout = { idle = \"10m\" }";
    let lab = Lab::new().origins(1).with(settings, "", "").workers(1).start();
    let mut held = hold(&lab, 31);
    ropeway_e2e::eventually("one makes room", || (made_room(&lab) == 1.0).then_some(()));
    let served = held.iter_mut().filter_map(|connection| connection.try_get("/").ok()).count();
    assert_eq!((served, made_room(&lab)), (30, 1.0));
}

#[test]
fn idle_connections_of_http2_make_room_too() {
    let settings =
        "http2 = { prior_knowledge = true }\nlimits = { connections = 2 }\ntimeout = { idle = \"10m\" }";
    let lab = Lab::new().origins(1).with(settings, "", "").start();
    let no_settings = b"\0\0\0\x04\0\0\0\0\0";
    let _idle = [(); 2].map(|()| {
        let mut idle = connect(&lab);
        idle.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &no_settings[..]].concat()).unwrap();
        assert_eq!(idle.read(&mut [0; 1]).unwrap(), 1, "the settings of the other side");
        idle
    });
    let _in = get_in(|| lab.connect());
    assert!(made_room(&lab) >= 1.0);
}

#[test]
fn one_that_is_busy_keeps_its_place() {
    let gate = Gate::new();
    let door = gate.clone();
    let origin = Origin::answering(move |request| {
        if request.target == "/slow" {
            door.wait();
        }
        reply(200, &[], "done")
    });
    let settings = "limits = { connections = 2 }\ntimeout = { idle = \"10m\" }";
    let lab = Lab::new().origin(origin).with(settings, "", "").start();
    let mut busy = lab.connect();
    busy.send_get("/slow");
    lab.origin(1).wait_for_requests(1);
    let _idle = hold(&lab, 1);
    let _in = get_in(|| lab.connect());
    gate.open();
    let _ = busy.receive().expect(200);
}

#[test]
fn one_client_address_cannot_take_all_connections() {
    let lab = Lab::new().origins(1).with("limits = { connections_per_client = 2 }", "", "").start();
    let _held = hold(&lab, 2);
    expect_refusal(&mut lab.connect());
    let _ = lab.client().from("127.0.0.2").get("/").expect(200);
}

#[test]
fn the_process_has_a_cap_too() {
    let config = ropeway_e2e::lab::file("", "", "") + "[limits]\nconnections = 3\n";
    let lab = Lab::new().origins(1).config(&config).start();
    let _held = hold(&lab, 3);
    expect_refusal(&mut lab.connect());
    let _ = lab.admin().get("/healthz").expect(200);
}

#[test]
fn requests_in_flight_are_capped() {
    let gate = Gate::new();
    let door = gate.clone();
    let config = ropeway_e2e::lab::file("", "", "") + "[limits]\nrequests = 2\n";
    let lab = Lab::new()
        .origin(Origin::answering(move |_| {
            door.wait();
            reply(200, &[], "done")
        }))
        .config(&config)
        .workers(2)
        .start();
    let mut held: Vec<Connection> = (0..2).map(|_| lab.connect()).collect();
    for connection in &mut held {
        connection.send_get("/");
    }
    lab.origin(1).wait_for_requests(2);
    let mut refused = lab.connect();
    let response = refused.get("/").expect(503);
    assert!(response.text().contains("requests in flight"), "{}", response.text());
    gate.open();
    for connection in &mut held {
        let _ = connection.receive().expect(200).expect_body("done");
    }
    let _ = lab.client().get("/").expect(200);
}
