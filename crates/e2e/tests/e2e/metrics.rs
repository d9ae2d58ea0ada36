//! Metrics and status tell what happened.

use ropeway_e2e::h2::frame::code::PROTOCOL_ERROR;
use ropeway_e2e::h2::rules::lab;
use ropeway_e2e::h2::{Block, Connection};
use ropeway_e2e::{Lab, Origin, eventually};

use crate::http2_servers::{WIDE, met};

#[test]
fn requests_are_counted_by_route_server_and_class() {
    let lab =
        Lab::new().origins(2).with("", "name = \"all\"\nmatch = { path = \"/\" }", "").workers(2).start();
    let _ = lab.answers(10);
    let mut connection = lab.connect();
    connection.send("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    let _ = connection.receive().expect(400);
    let admin = lab.admin();
    eventually("all are counted", || {
        (admin.metric("ropeway_requests_total", &[("route", "all"), ("class", "2xx")]) >= 10.0).then_some(())
    });
    assert_eq!(admin.metric("ropeway_requests_total", &[("route", "all"), ("class", "2xx")]), 10.0);
    assert_eq!(
        admin.metric("ropeway_request_ends_total", &[("route", "all"), ("reason", "completed")]),
        10.0
    );
    assert_eq!(admin.metric("ropeway_listener_request_ends_total", &[("reason", "bad_host")]), 1.0);
    for number in 1..=2 {
        let server = lab.origin(number).address().to_string();
        let labels = [("upstream", "app"), ("server", server.as_str()), ("class", "2xx")];
        assert_eq!(admin.metric("ropeway_upstream_attempts_total", &labels), 5.0);
    }
}

#[test]
fn durations_are_histograms_that_add_up() {
    let lab = Lab::new().origins(1).with("", "name = \"all\"", "").start();
    let _ = lab.answers(7);
    let admin = lab.admin();
    for (name, count) in [
        ("ropeway_request_duration_seconds", 7.0),
        ("ropeway_upstream_first_byte_duration_seconds", 7.0),
        ("ropeway_upstream_connect_duration_seconds", 1.0),
    ] {
        eventually(name, || (admin.metric(&format!("{name}_count"), &[]) == count).then_some(()));
        assert_eq!(admin.metric(&format!("{name}_bucket"), &[("le", "+Inf")]), count);
        assert!(admin.metric(&format!("{name}_sum"), &[]) > 0.0);
    }
}

#[test]
fn reuse_of_connections_is_counted() {
    let lab = Lab::new().origins(1).start();
    let _ = lab.answers(5);
    let admin = lab.admin();
    assert_eq!(admin.metric("ropeway_upstream_connections_opened_total", &[]), 1.0);
    assert_eq!(admin.metric("ropeway_upstream_connections_reused_total", &[]), 4.0);
    assert_eq!(admin.metric("ropeway_upstream_idle_connections", &[]), 1.0);
}

#[test]
fn open_connections_of_http2_to_servers_are_counted_apart() {
    let (lab, _server, connection) = met(&WIDE);
    let admin = lab.admin();
    let shown = || admin.server("app", 1);
    assert_eq!((&shown()["http2_connections"], &shown()["idle_connections"]), (&1.into(), &0.into()));
    assert_eq!(admin.metric("ropeway_upstream_http2_connections", &[]), 1.0);
    drop(connection);
    eventually("it is closed", || (shown()["http2_connections"] == 0).then_some(()));
    assert_eq!(admin.metric("ropeway_upstream_http2_connections", &[]), 0.0);
}

#[test]
fn bytes_are_counted() {
    let lab = Lab::new().origins(1).with("", "name = \"all\"", "").start();
    let body = "x".repeat(10_000);
    let _ = lab.client().request("POST", "/", &body).expect(200);
    let admin = lab.admin();
    eventually("they are counted", || {
        let received = admin.metric("ropeway_request_received_bytes_total", &[("route", "all")]);
        (received > 10_000.0 && received < 10_500.0).then_some(())
    });
    assert!(admin.metric("ropeway_upstream_sent_bytes_total", &[]) > 10_000.0);
    assert!(admin.metric("ropeway_response_sent_bytes_total", &[("route", "all")]) > 1.0);
}

#[test]
fn labels_never_come_from_a_request() {
    let lab = Lab::new().origins(1).start();
    for n in 0..50 {
        let _ = lab
            .client()
            .host(&format!("h{n}.example"))
            .request(&format!("M{n}"), &format!("/p{n}"), "")
            .expect(200);
    }
    let page = lab.admin().get("/metrics").expect(200).text();
    assert!(!page.contains("h7.example") && !page.contains("/p7") && !page.contains("M7"), "{page}");
}

#[test]
fn a_thousand_routes_have_their_own_numbers_and_the_others_share_one() {
    let mut config =
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[upstream.app]\nservers = [\"@1\"]\n".to_owned();
    for n in 0..1_200 {
        config +=
            &format!("[[route]]\nname = \"r{n}\"\nupstream = \"app\"\nmatch = {{ path = \"/r{n}\" }}\n");
    }
    let lab = Lab::new().origins(1).config(&config).start();
    for n in [0, 999, 1_000, 1_199] {
        let _ = lab.client().get(&format!("/r{n}")).expect(200);
    }
    let admin = lab.admin();
    let metrics = admin.metrics();
    let routes: std::collections::HashSet<_> = metrics
        .iter()
        .flat_map(|s| s.labels.iter().filter(|(name, _)| name == "route").map(|(_, v)| v))
        .collect();
    assert!(routes.len() <= 1_001, "{}", routes.len());
    assert_eq!(
        ropeway_e2e::admin::sum(&metrics, "ropeway_requests_total", &[("route", "other"), ("class", "2xx")]),
        2.0
    );
}

#[test]
fn gauges_return_to_zero() {
    let lab = Lab::new().origins(1).workers(2).start();
    let _ = lab.answers(20);
    let admin = lab.admin();
    eventually("no connection is open", || {
        (admin.metric("ropeway_listener_connections", &[("listener", "web")]) == 0.0).then_some(())
    });
    assert_eq!(admin.metric("ropeway_requests_active", &[]), 0.0);
    assert_eq!(admin.metric("ropeway_upstream_in_flight", &[]), 0.0);
    assert_eq!(admin.metric("ropeway_panics_total", &[]), 0.0);
}

#[test]
fn status_shows_listeners_routes_and_servers() {
    let lab = Lab::new()
        .origins(2)
        .with("", "name = \"all\"\nmatch = { host = \"*.example.com\", path = \"/\" }", "")
        .start();
    let _ = lab.client().host("a.example.com").get("/").expect(200);
    let status = lab.admin().status();
    assert_eq!(status["listeners"][0]["name"], "web");
    assert_eq!(status["routes"][0]["name"], "all");
    assert_eq!(status["routes"][0]["upstream"], "app");
    assert_eq!(status["routes"][0]["host"], "*.example.com");
    assert_eq!(status["upstreams"][0]["balance"], "round_robin");
    assert_eq!(status["upstreams"][0]["servers"].as_array().unwrap().len(), 2);
    assert_eq!(status["workers"], 1);
    assert_eq!(status["draining"], false);
    assert!(status["version"].is_string() && status["loaded_at"].is_string());
}

/// What HTTP/1.1 has no words for is counted all the same.
#[test]
fn a_stream_that_is_refused_before_it_is_a_request_is_counted() {
    let lab = lab(Origin::saying("1")).start();
    let mut connection = Connection::open(&lab.client());
    let stream = connection.start_with_body(Block::extended_connect("telepathy", "/"));
    connection.expect_reset(stream, &[PROTOCOL_ERROR]);
    let name = "ropeway_listener_request_ends_total";
    assert_eq!(lab.admin().metric(name, &[("reason", "bad_request")]), 1.0);
}
