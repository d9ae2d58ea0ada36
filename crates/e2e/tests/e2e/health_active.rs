//! Active checks: servers are asked before traffic, go when they fail, and come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::SeqCst};

use ropeway_e2e::{Lab, Origin, eventually, reply};

const QUICK: &str = "interval = \"100ms\", timeout = \"80ms\", fall = 2, rise = 2";

fn health(settings: &str) -> Lab {
    Lab::new().with("", "", &format!("health = {{ {settings}, {QUICK} }}\npassive = false"))
}

/// Answers `/health` with a status that a test can change, and everything else with its name.
fn checked(name: &'static str, status: &Arc<AtomicU16>) -> Origin {
    let status = status.clone();
    Origin::answering(move |request| match request.target.as_str() {
        "/health" => reply(status.load(SeqCst), &[], "state: fine"),
        _ => reply(200, &[], name),
    })
}

#[test]
fn a_server_that_fails_its_check_leaves_and_returns() {
    let status = Arc::new(AtomicU16::new(200));
    let lab = health("type = \"http\", path = \"/health\"")
        .origin(checked("1", &status))
        .origin(checked("2", &Arc::new(AtomicU16::new(204))))
        .start();
    assert_eq!(lab.answers(4), ["1", "2", "1", "2"]);
    status.store(500, SeqCst);
    lab.wait_for_state("app", 1, "down");
    assert_eq!(lab.answers(3), ["2", "2", "2"]);
    status.store(200, SeqCst);
    lab.wait_for_state("app", 1, "up");
    let answers = lab.answers(4);
    assert_ne!(answers[0], answers[1], "{answers:?}");

    let server = lab.admin().server("app", 1);
    let history = server["history"].as_array().unwrap();
    assert!(history.len() >= 2, "{server}");
    assert_eq!(server["last_check"]["ok"], true, "{server}");
}

#[test]
fn a_server_that_is_down_from_the_start_never_gets_a_request() {
    let lab = health("type = \"http\", path = \"/health\"")
        .origin(checked("1", &Arc::new(AtomicU16::new(503))))
        .origin(checked("2", &Arc::new(AtomicU16::new(200))))
        .start();
    assert_eq!(lab.answers(6), ["2"; 6]);
    assert!(lab.origin(1).requests().iter().all(|request| request.target == "/health"));
}

#[test]
fn a_check_is_a_request_as_it_was_configured() {
    let settings = "type = \"http\", path = \"/ready?deep=1\", method = \"HEAD\", host = \"check.example\", headers = { \"X-Check\" = \"yes\" }";
    let lab = health(settings).origins(1).start();
    let request = lab.origin(1).wait_for_requests(1).remove(0);
    assert_eq!((request.method.as_str(), request.target.as_str()), ("HEAD", "/ready?deep=1"));
    assert_eq!(request.field("host").as_deref(), Some("check.example"));
    assert_eq!(request.field("x-check").as_deref(), Some("yes"));
}

#[test]
fn status_and_body_must_be_as_expected() {
    for (settings, state) in [
        ("status = \"200-299\"", "up"),
        ("status = \"204,301\"", "down"),
        ("body = \"fine\"", "up"),
        ("body = \"excellent\"", "down"),
    ] {
        let lab = health(&format!("type = \"http\", path = \"/health\", {settings}"))
            .origin(checked("1", &Arc::new(AtomicU16::new(200))))
            .start();
        lab.wait_for_state("app", 1, state);
        assert_eq!(lab.admin().server("app", 1)["state"], state, "{settings}");
    }
}

#[test]
fn a_tcp_check_only_connects() {
    let mut lab = health("type = \"tcp\"").origins(2).start();
    lab.wait_for_state("app", 1, "up");
    lab.origin_mut(1).stop();
    lab.wait_for_state("app", 1, "down");
    assert_eq!(lab.answers(3), ["2", "2", "2"]);
    lab.origin_mut(1).start();
    lab.wait_for_state("app", 1, "up");
    assert_eq!(lab.origin(1).count(), 0, "a connect sends nothing");
}

#[test]
fn a_check_may_ask_another_port() {
    let watcher = Origin::answering(|_| reply(503, &[], "down says the watcher"));
    let lab = health(&format!("type = \"http\", port = {}", watcher.address().port())).origins(1).start();
    lab.wait_for_state("app", 1, "down");
    assert_eq!(lab.origin(1).connections(), 0);
    let _ = lab.client().get("/");
}

#[test]
fn a_server_that_accepts_and_never_answers_is_down() {
    let silent = Arc::new(AtomicBool::new(false));
    let flag = silent.clone();
    let lab = health("type = \"http\"")
        .origin(Origin::scripted(move |peer| {
            while peer.request().is_some() {
                if flag.load(SeqCst) {
                    let _ = peer.wait_for_end();
                    return;
                }
                peer.send(reply(200, &[], "1"));
            }
        }))
        .start();
    lab.wait_for_state("app", 1, "up");
    silent.store(true, SeqCst);
    lab.wait_for_state("app", 1, "down");
    assert!(
        lab.admin().server("app", 1)["last_check"]["detail"]
            .as_str()
            .is_some_and(|detail| !detail.is_empty())
    );
}

#[test]
fn checks_and_their_state_survive_a_reload() {
    let status = Arc::new(AtomicU16::new(500));
    let lab = health("type = \"http\", path = \"/health\"")
        .origin(checked("1", &status))
        .origin(checked("2", &Arc::new(AtomicU16::new(200))))
        .start();
    lab.wait_for_state("app", 1, "down");
    let upstream = format!("health = {{ type = \"http\", path = \"/health\", {QUICK} }}\npassive = false");
    lab.reload(&ropeway_e2e::lab::file("", "name = \"renamed\"", &upstream));
    assert_eq!(lab.admin().server("app", 1)["state"], "down");
    assert_eq!(lab.answers(3), ["2", "2", "2"]);
    status.store(200, SeqCst);
    lab.wait_for_state("app", 1, "up");
}

#[test]
fn a_name_that_does_not_resolve_never_blocks_the_start() {
    let lab = Lab::new()
        .config(
            "[listener.web]\nbind = \"127.0.0.1:0\"\n[[route]]\nupstream = \"app\"\n[upstream.app]\n\
             servers = [\"@1\", \"does-not-exist.invalid:80\"]\n[dns]\nservers = [\"127.0.0.1:1\"]\ntimeout = \"100ms\"\n",
        )
        .origins(1)
        .start();
    assert_eq!(lab.answers(4), ["1"; 4]);
    eventually("it is shown as unresolved", || {
        (lab.admin().server("app", 2)["state"] == "unresolved").then_some(())
    });
}

/// With too few good servers all are used, but a request that failed on a bad one is not tried on another bad one.
#[test]
fn in_a_panic_a_retry_goes_to_a_good_server() {
    let mut lab = Lab::new()
        .origins(4)
        .with(
            "",
            "",
            "panic_threshold = 60\npassive = false\n\
             health = { type = \"tcp\", interval = \"200ms\", timeout = \"100ms\", fall = 1, rise = 1 }",
        )
        .start();
    for number in [1, 2] {
        lab.origin_mut(number).stop();
        lab.wait_for_state("app", number, "down");
    }
    for _ in 0..16 {
        let _ = lab.client().get("/").expect(200);
    }
    let attempts = lab.admin().metric("ropeway_upstream_retries_total", &[]);
    assert!(attempts >= 1.0, "the bad servers were never picked first: this is no panic");
}
