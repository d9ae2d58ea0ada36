//! Forwarding fields: who the client is, as the origin is told (RFC 7239 and its forerunners).

use ropeway_e2e::{Lab, Request, Running};

fn ask(lab: &Running, source: &str, fields: &str) -> Request {
    let mut connection = lab.client().from(source).connect();
    connection.send(format!("GET / HTTP/1.1\r\nHost: shop.example:8080\r\n{fields}\r\n"));
    let _ = connection.receive().expect(200);
    lab.origin(1).requests().pop().unwrap()
}

#[test]
fn the_origin_learns_who_asked_and_how() {
    let lab = Lab::new().origins(1).start();
    let port = lab.proxy.address("web").port().to_string();
    let request = ask(&lab, "127.0.0.9", "");
    assert_eq!(request.field("x-forwarded-for").as_deref(), Some("127.0.0.9"));
    assert_eq!(request.field("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(request.field("x-forwarded-host").as_deref(), Some("shop.example:8080"));
    assert_eq!(request.field("x-forwarded-port"), Some(port));
    assert_eq!(request.field("x-real-ip").as_deref(), Some("127.0.0.9"));
    assert_eq!(request.field("via").as_deref(), Some("1.1 ropeway"));
    assert_eq!(request.field("forwarded"), None, "off by default");
    assert_eq!(request.field("host").as_deref(), Some("shop.example:8080"), "kept by default");
}

#[test]
fn what_a_stranger_claims_is_overwritten() {
    let lab = Lab::new().origins(1).start();
    let claims = "X-Forwarded-For: 1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nForwarded: for=1.2.3.4\r\n";
    let request = ask(&lab, "127.0.0.9", claims);
    assert_eq!(request.field("x-forwarded-for").as_deref(), Some("127.0.0.9"));
    assert_eq!(request.field("x-real-ip").as_deref(), Some("127.0.0.9"));
    assert_eq!(request.field("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(request.field("x-forwarded-host").as_deref(), Some("shop.example:8080"));
    assert_eq!(request.field("forwarded"), None);
}

#[test]
fn a_trusted_proxy_is_believed_and_its_chain_continued() {
    let lab = Lab::new().origins(1).with("trusted_proxies = [\"127.0.0.9\", \"10.0.0.0/8\"]", "", "").start();
    let claims = "X-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.1.2.3\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n";
    let request = ask(&lab, "127.0.0.9", claims);
    assert_eq!(
        request.field("x-forwarded-for").as_deref(),
        Some("6.6.6.6, 203.0.113.7, 10.1.2.3, 127.0.0.9")
    );
    assert_eq!(
        request.field("x-real-ip").as_deref(),
        Some("203.0.113.7"),
        "the last address that is no proxy"
    );
    assert_eq!(request.field("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(request.field("x-forwarded-host").as_deref(), Some("shop.example"));

    let request = ask(&lab, "127.0.0.8", claims);
    assert_eq!(request.field("x-forwarded-for").as_deref(), Some("127.0.0.8"), "another peer is a stranger");
}

#[test]
fn every_field_can_be_switched() {
    let off = "forwarding = { x_forwarded = false, x_real_ip = false, via = false, request_id = false }";
    let lab = Lab::new().origins(1).with(off, "", "").start();
    let request = ask(&lab, "127.0.0.9", "");
    assert_eq!(request.fields, [("Host".to_owned(), "shop.example:8080".to_owned())]);

    let on = "forwarding = { forwarded = true, via = \"edge-7\", request_id = \"X-Trace\" }";
    let lab = Lab::new().origins(1).with(on, "", "").start();
    let request = ask(&lab, "127.0.0.9", "");
    let forwarded = request.field("forwarded").unwrap_or_default();
    for part in ["for=127.0.0.9", "proto=http", "host=\"shop.example:8080\""] {
        assert!(forwarded.contains(part), "{forwarded}");
    }
    assert_eq!(request.field("via").as_deref(), Some("1.1 edge-7"));
    assert!(request.field("x-trace").is_some_and(|id| !id.is_empty()));
}

#[test]
fn via_names_every_proxy_on_the_way() {
    let lab = Lab::new().origins(1).start();
    let request = ask(&lab, "127.0.0.1", "Via: 1.0 first\r\n");
    assert_eq!(request.field("via").as_deref(), Some("1.0 first, 1.1 ropeway"));
}

#[test]
fn every_request_has_an_id_of_its_own() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    for _ in 0..50 {
        let _ = connection.get("/").expect(200);
    }
    let ids: std::collections::HashSet<_> =
        lab.origin(1).requests().iter().filter_map(|request| request.field("x-request-id")).collect();
    assert_eq!(ids.len(), 50);
}

#[test]
fn host_can_be_that_of_the_server() {
    let lab = Lab::new().origins(1).with("", "host = \"upstream\"", "").start();
    let request = ask(&lab, "127.0.0.1", "");
    assert_eq!(request.field("host"), Some(lab.origin(1).address().to_string()));
    assert_eq!(request.field("x-forwarded-host").as_deref(), Some("shop.example:8080"));
}
