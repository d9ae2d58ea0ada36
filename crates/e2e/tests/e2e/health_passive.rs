//! Passive health: failures of live traffic take a server out for a while, and never too many of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use ropeway_e2e::tls::{Authority, ServerSide};
use ropeway_e2e::{Lab, Origin, eventually, reply};

fn passive(settings: &str) -> Lab {
    Lab::new().with("", "", &format!("passive = {{ {settings} }}"))
}

/// Answers 500 while the flag is set.
fn faulty(name: &'static str, flag: &Arc<AtomicBool>) -> Origin {
    let flag = flag.clone();
    Origin::answering(
        move |_| if flag.load(SeqCst) { reply(500, &[], "oops") } else { reply(200, &[], name) },
    )
}

#[test]
fn a_refusing_server_costs_no_request_and_is_ejected() {
    let mut lab = passive("connect_failures = 3, eject = \"5m\"").origins(3).start();
    lab.origin_mut(2).stop();
    let answers = lab.answers(30);
    assert!(answers.iter().all(|answer| answer != "2"));
    lab.wait_for_state("app", 2, "ejected");
    let retries = lab.admin().metric("ropeway_upstream_retries_total", &[]);
    assert!(retries >= 3.0, "{retries} retries");
}

/// Nothing was sent to it either.
#[test]
fn a_server_whose_handshake_fails_costs_no_request_and_is_ejected() {
    const HOST: &str = "app.lab.example";
    let (known, stranger) = (Authority::new("Test CA"), Authority::new("Stranger"));
    let origin = |name: &str, authority: &Authority| {
        Origin::saying(name).with_tls(ServerSide::new(&authority.issue(&[HOST])).config())
    };
    let tls = format!("tls = {{ ca = \"ca.pem\", server_name = \"{HOST}\" }}");
    let lab = Lab::new()
        .origin(origin("1", &known))
        .origin(origin("2", &stranger))
        .file("ca.pem", &known.pem())
        .with("", "", &format!("passive = {{ connect_failures = 3, eject = \"5m\" }}\n{tls}"))
        .start();
    for _ in 0..10 {
        let _ = lab.client().request("POST", "/", "body").expect(200).expect_body("1");
    }
    lab.wait_for_state("app", 2, "ejected");
}

#[test]
fn an_ejected_server_returns_after_its_time() {
    let mut lab = passive("connect_failures = 2, eject = \"200ms\"").origins(2).start();
    lab.origin_mut(1).stop();
    let mut seen = false;
    eventually("it is ejected", || {
        let _ = lab.answers(4);
        let history = lab.admin().server("app", 1)["history"].to_string();
        seen |= history.contains("ejected");
        seen.then_some(())
    });
    lab.origin_mut(1).start();
    eventually("it has traffic again", || lab.answers(2).contains(&"1".to_owned()).then_some(()));
}

#[test]
fn errors_of_the_server_eject_when_configured() {
    let flag = Arc::new(AtomicBool::new(true));
    let lab = passive("status_5xx = 3, eject = \"5m\"")
        .origin(faulty("recovered", &flag))
        .origin(Origin::saying("good"))
        .start();
    let client = lab.client();
    eventually("it is ejected", || {
        let _ = client.get("/");
        (lab.admin().server("app", 1)["state"] == "ejected").then_some(())
    });
    assert_eq!(lab.origin(1).count(), 3);
    flag.store(false, SeqCst);
    assert_eq!(lab.answers(6), ["good"; 6], "its time is not over");
}

#[test]
fn a_success_in_between_ends_the_streak() {
    let lab = Lab::new()
        .origin(Origin::answering(|request| match request.target.as_str() {
            "/bad" => reply(500, &[], "bad"),
            _ => reply(200, &[], "good"),
        }))
        .origins(1)
        .with("", "", "passive = { status_5xx = 3, eject = \"5m\" }\nbalance = { type = \"hash\", key = \"header:X-Server\" }")
        .start();
    let key = (0..50)
        .map(|key| key.to_string())
        .find(|key| lab.client().field("X-Server", key).get("/").text() == "good")
        .unwrap();
    let client = lab.client().field("X-Server", &key);
    for _ in 0..10 {
        let _ = client.get("/bad").expect(500);
        let _ = client.get("/bad").expect(500);
        let _ = client.get("/").expect(200).expect_body("good");
    }
    assert_eq!(lab.admin().server("app", 1)["state"], "up");
    for _ in 0..3 {
        let _ = client.get("/bad");
    }
    lab.wait_for_state("app", 1, "ejected");
}

#[test]
fn never_more_than_half_of_the_servers_are_ejected() {
    let flags: Vec<_> = (0..4).map(|_| Arc::new(AtomicBool::new(true))).collect();
    let lab = passive("status_5xx = 1, eject = \"5m\"")
        .origin(faulty("1", &flags[0]))
        .origin(faulty("2", &flags[1]))
        .origin(faulty("3", &flags[2]))
        .origin(faulty("4", &flags[3]))
        .start();
    for _ in 0..40 {
        let _ = lab.client().get("/").expect(500);
    }
    let servers = lab.admin().upstream("app")["servers"].as_array().cloned().unwrap();
    let ejected = servers.iter().filter(|server| server["state"] == "ejected").count();
    assert_eq!(ejected, 2, "{servers:?}");
}

#[test]
fn the_only_server_is_never_ejected() {
    let flag = Arc::new(AtomicBool::new(true));
    let lab = passive("status_5xx = 1").origin(faulty("1", &flag)).start();
    for _ in 0..10 {
        let _ = lab.client().get("/").expect(500);
    }
    flag.store(false, SeqCst);
    let _ = lab.client().get("/").expect(200);
}

#[test]
fn passive_health_can_be_switched_off() {
    let flag = Arc::new(AtomicBool::new(true));
    let lab = Lab::new().origin(faulty("1", &flag)).origins(1).with("", "", "passive = false").start();
    for _ in 0..40 {
        let _ = lab.client().get("/");
    }
    assert_eq!(lab.admin().server("app", 1)["state"], "up");
    assert_eq!(lab.origin(1).count(), 20);
}

#[test]
fn ejection_survives_a_reload() {
    let mut lab = passive("connect_failures = 2, eject = \"5m\"").origins(3).start();
    lab.origin_mut(2).stop();
    let _ = lab.answers(12);
    lab.wait_for_state("app", 2, "ejected");
    lab.reload(&ropeway_e2e::lab::file(
        "",
        "name = \"other\"",
        "passive = { connect_failures = 2, eject = \"5m\" }",
    ));
    assert_eq!(lab.admin().server("app", 2)["state"], "ejected");
}
