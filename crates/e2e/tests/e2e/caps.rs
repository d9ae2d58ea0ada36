//! Caps on connections and requests: at a cap the answer is fast and counted.

use ropeway_e2e::{Connection, Gate, Lab, Origin, Running, reply};

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
