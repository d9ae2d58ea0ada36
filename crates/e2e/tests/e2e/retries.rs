//! Retries, their budget, and the replay of requests that met a connection which was already dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use ropeway_e2e::{Lab, Origin, reply};

/// Reads a request and closes without an answer.
fn closes() -> Origin {
    Origin::scripted(|peer| {
        let _ = peer.request();
    })
}

/// Reads a request and resets without an answer.
fn resets() -> Origin {
    Origin::scripted(|peer| {
        let _ = peer.request();
        peer.reset();
    })
}

#[test]
fn a_refused_connection_is_tried_elsewhere_even_for_post() {
    let mut lab = Lab::new().origins(2).with("", "", "passive = false").start();
    lab.origin_mut(1).stop();
    for _ in 0..6 {
        let _ = lab.client().request("POST", "/", "body").expect(200).expect_body("2");
    }
    assert_eq!(lab.origin(2).count(), 6);
}

#[test]
fn an_idempotent_request_that_got_no_answer_is_tried_elsewhere() {
    for broken in [closes(), resets()] {
        let lab =
            Lab::new().origin(broken).origin(Origin::saying("2")).with("", "", "passive = false").start();
        for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
            for _ in 0..2 {
                let _ = lab.client().request(method, "/", "").expect(200).expect_body("2");
            }
        }
        assert_eq!(lab.origin(1).count(), 4);
    }
}

#[test]
fn post_is_never_sent_twice() {
    let lab = Lab::new().origin(closes()).origin(resets()).with("", "", "passive = false").start();
    for _ in 0..4 {
        let _ = lab.client().request("POST", "/", "pay").expect(502);
    }
    assert_eq!(lab.origin(1).count() + lab.origin(2).count(), 4);
}

#[test]
fn one_retry_and_no_more() {
    let lab =
        Lab::new().origin(closes()).origin(closes()).origin(closes()).with("", "", "passive = false").start();
    let _ = lab.client().get("/").expect(502);
    let attempts: usize = (1..=3).map(|number| lab.origin(number).count()).sum();
    assert_eq!(attempts, 2);
    assert!((1..=3).all(|number| lab.origin(number).count() <= 1), "a retry goes to another server");
}

#[test]
fn retries_can_be_switched_off() {
    let lab = Lab::new().origin(closes()).with("", "", "passive = false\nretry = { attempts = 0 }").start();
    let _ = lab.client().get("/").expect(502);
    assert_eq!(lab.origin(1).count(), 1);
}

#[test]
fn a_status_is_retried_when_configured() {
    let bad = || Origin::answering(|_| reply(503, &[], "overloaded"));
    let lab = Lab::new().origin(bad()).origin(Origin::saying("2")).with("", "", "passive = false").start();
    let statuses: Vec<u16> = (0..4).map(|_| lab.client().get("/").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 2, "not by default: {statuses:?}");

    let lab = Lab::new()
        .origin(bad())
        .origin(Origin::saying("2"))
        .with("", "", "passive = false\nretry = { on = [\"connect\", \"503\"] }")
        .start();
    for _ in 0..6 {
        let _ = lab.client().get("/").expect(200).expect_body("2");
    }
    let _ = lab.client().request("POST", "/", "x");
    assert!(lab.origin(1).requests().iter().filter(|request| request.method == "POST").count() <= 1);
}

#[test]
fn without_a_retry_left_the_answer_of_the_server_is_passed_on() {
    let lab = Lab::new()
        .with("", "", "passive = false\nretry = { on = [\"503\"], budget = 0 }")
        .origin(Origin::answering(|_| reply(503, &[], "overloaded")))
        .origin(Origin::saying("good"))
        .start();
    let mut connection = lab.connect();
    let answers: Vec<String> = (0..400)
        .map(|_| {
            let response = connection.get("/");
            format!("{} {}", response.status, response.text())
        })
        .collect();
    assert!(answers.iter().all(|answer| ["200 good", "503 overloaded"].contains(&answer.as_str())));
    let passed_on = answers.iter().filter(|answer| answer.starts_with("503")).count();
    assert_eq!(lab.admin().metric("ropeway_retry_budget_exhausted_total", &[]), passed_on as f64);
}

#[test]
fn the_budget_bounds_retries_in_an_outage() {
    let lab = Lab::new()
        .origin(closes())
        .origin(closes())
        .with("", "", "passive = false\nretry = { attempts = 1, budget = 20 }")
        .start();
    let requests = 3_000;
    let mut connection = lab.connect();
    for _ in 0..requests {
        let response = connection.get("/").expect(502);
        if response.says_close() {
            connection = lab.connect();
        }
    }
    let attempts = lab.origin(1).count() + lab.origin(2).count();
    let retries = attempts - requests;
    let seconds = lab.admin().status()["uptime_seconds"].as_f64().unwrap();
    // 20 % of the requests, and a floor of ten a second with ten seconds of it saved up.
    let most = requests as f64 * 0.2 + (seconds + 12.0) * 10.0;
    assert!((retries as f64) < most, "{retries} retries of {requests} requests in {seconds} s");
    assert!(retries > 0);
    assert!(lab.admin().metric("ropeway_retry_budget_exhausted_total", &[]) > 0.0);
}

#[test]
fn an_idle_connection_that_the_origin_closed_never_costs_a_request() {
    let lab = Lab::new().origins(1).with("", "", "keep_alive = { idle = \"1m\" }").start();
    for round in 0..30 {
        let method = if round % 2 == 0 { "GET" } else { "POST" };
        let _ = lab.client().request(method, "/", "").expect(200);
        lab.origin(1).close_connections();
    }
    assert_eq!(lab.origin(1).count(), 30);
}

#[test]
fn a_request_that_met_a_dead_reused_connection_is_replayed() {
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    let lab = Lab::new()
        .origin(Origin::scripted(move |peer| {
            // One answer, and the end as soon as a second request arrives: what a server does that closes idle
            // connections just then.
            if let Some(request) = peer.request() {
                count.fetch_add(1, SeqCst);
                peer.answer(&request, &reply(200, &[], "once"));
                let _ = peer.wire.fill();
            }
        }))
        .with("", "", "passive = false")
        .start();
    let mut connection = lab.connect();
    for _ in 0..10 {
        let _ = connection.get("/").expect(200).expect_body("once");
    }
    assert_eq!(served.load(SeqCst), 10);
    assert!(lab.admin().metric("ropeway_upstream_replays_total", &[]) >= 9.0);
}

#[test]
fn a_post_that_met_a_dead_reused_connection_is_not_sent_twice() {
    let lab = Lab::new()
        .origin(Origin::scripted(|peer| {
            if let Some(request) = peer.request() {
                peer.answer(&request, &reply(200, &[], "once"));
                let _ = peer.request();
            }
        }))
        .with("", "", "passive = false")
        .start();
    let mut connection = lab.connect();
    let _ = connection.get("/").expect(200);
    connection.send_request("POST", "/pay", "money");
    let _ = connection.receive();
    let payments = lab.origin(1).requests().iter().filter(|request| request.method == "POST").count();
    assert_eq!(payments, 1);
}

/// Servers such as Apache and HAProxy say 408 when they give up an idle connection. One that crosses a request on its
/// way is no answer to it.
#[test]
fn a_408_of_a_server_that_gives_up_an_idle_connection_is_no_answer() {
    let gives_up = Origin::scripted(|peer| {
        let Some(first) = peer.request() else { return };
        if first.target == "/again" {
            peer.send(reply(200, &[("Connection", "close")], "answered"));
            return;
        }
        peer.send(reply(200, &[], "first"));
        let _ = peer.request();
        peer.send(reply(408, &[("Connection", "close")], "too late"));
    });
    let lab = Lab::new().origin(gives_up).start();
    for method in ["GET", "POST"] {
        let mut connection = lab.connect();
        let _ = connection.get("/first").expect(200).expect_body("first");
        connection.send_request(method, "/again", "");
        let _ = connection.receive().expect(200).expect_body("answered");
    }
}

#[test]
fn nothing_is_retried_once_a_byte_of_the_answer_is_out() {
    let lab = Lab::new()
        .origin(Origin::scripted(|peer| {
            let _ = peer.request();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        }))
        .origin(Origin::saying("whole"))
        .with("", "", "passive = false")
        .start();
    let broken = (0..2).filter(|_| lab.connect().try_get("/").is_err()).count();
    assert_eq!(broken, 1, "the truncation is visible");
    assert_eq!(lab.origin(2).count(), 1);
}
