//! Responses that the proxy makes itself, and what it adds to those of servers.

use ropeway_e2e::{Lab, Origin, h2, reply};
use serde_json::Value;

#[test]
fn an_error_is_one_plain_sentence() {
    let mut lab = Lab::new().origins(1).start();
    lab.origin_mut(1).stop();
    let response = lab.client().get("/").expect(502);
    assert!(response.field("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    assert!(response.text().contains("The server refused the connection."), "{}", response.text());
    assert!(response.field("date").is_some());
}

#[test]
fn an_error_is_json_for_those_who_prefer_it() {
    let mut lab = Lab::new().origins(1).start();
    lab.origin_mut(1).stop();
    let response = lab.client().field("Accept", "application/json").get("/").expect(502);
    assert_eq!(response.field("content-type").as_deref(), Some("application/json"));
    let body: Value = serde_json::from_str(&response.text()).unwrap();
    assert_eq!(body["status"], 502);
    assert_eq!(body["reason"], "connect_refused");
    assert!(body["message"].is_string());
    assert_eq!(body["request_id"].as_str(), response.field("x-request-id").as_deref());
    let response = lab.client().field("Accept", "text/html, application/json;q=0.5").get("/").expect(502);
    assert!(response.field("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
}

#[test]
fn the_kind_of_an_error_is_chosen_by_quality_values() {
    let mut lab = Lab::new().origins(1).start();
    lab.origin_mut(1).stop();
    let kind = |accept: &str| lab.client().field("Accept", accept).get("/").expect(502).field("content-type");
    for accept in ["text/html;q=0.1, application/json", "*/*;q=0.1, application/json;q=0.2"] {
        assert_eq!(kind(accept).as_deref(), Some("application/json"), "{accept}");
    }
    for accept in
        ["application/json;q=0, text/plain", "application/json;q=0", "application/json;q=0.5, text/*"]
    {
        assert!(kind(accept).is_some_and(|kind| kind.starts_with("text/plain")), "{accept}");
    }
}

#[test]
fn a_request_that_is_refused_for_its_head_is_told_so_as_it_likes_if_all_of_that_was_understood() {
    let lab = Lab::new().origins(1).start();
    let refused = |line: &str, field: &str, status: u16| {
        let mut connection = lab.connect();
        connection.send(format!("{line} HTTP/1.1\r\nAccept: application/json\r\n{field}\r\n\r\n"));
        connection.receive().expect(status).field("content-type")
    };
    for (line, field, status) in [
        ("GET /", "X-No-Host: a", 400),
        ("GET /a/../b", "Host: a", 400),
        ("GET /", "Host: a\r\nExpect: miracles", 417),
        ("GET /", "Host: a\r\nTransfer-Encoding: gzip", 501),
    ] {
        assert_eq!(refused(line, field, status).as_deref(), Some("application/json"), "{line} {field}");
    }
    let long = format!("GET /{}", "x".repeat(20_000));
    assert!(refused(&long, "Host: a", 414).is_some_and(|kind| kind.starts_with("text/plain")));
}

#[test]
fn an_error_repeats_nothing_that_the_client_sent() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send(
        "GET /<script>alert(1)</script> HTTP/1.1\r\nHost: <script>\r\nAccept: application/json\r\n\r\n",
    );
    let response = connection.receive().expect(400);
    assert!(!response.text().contains("script"), "{}", response.text());
    assert!(!String::from_utf8_lossy(&response.head).contains("script"));
}

#[test]
fn an_error_to_head_has_no_body() {
    let mut lab = Lab::new().origins(1).start();
    lab.origin_mut(1).stop();
    let mut connection = lab.connect();
    connection.send_request("HEAD", "/", "");
    let _ = connection.receive_for("HEAD").expect(502);
    connection.send_request("HEAD", "/", "");
    let _ = connection.receive_for("HEAD").expect(502);
}

#[test]
fn an_error_does_not_cost_the_connection_when_the_request_was_whole() {
    let mut lab = Lab::new().origins(1).with("", "", "passive = false").start();
    lab.origin_mut(1).stop();
    let mut connection = lab.connect();
    let _ = connection.get("/").expect(502);
    lab.origin_mut(1).start();
    let _ = connection.get("/").expect(200);
}

#[test]
fn the_server_that_answered_can_be_named_in_a_field() {
    let lab = Lab::new()
        .config(
            "[listener.web]\nbind = \"127.0.0.1:0\"\nserver_name_header = \"X-Served-By\"\n[[route]]\nupstream = \"app\"\n\
             [upstream.app]\nservers = [{ address = \"@1\", name = \"left\" }, { address = \"@2\", name = \"right\" }]\n",
        )
        .origin(Origin::answering(|_| reply(200, &[("X-Served-By", "forged")], "")))
        .origins(1)
        .start();
    let names: Vec<_> =
        (0..4).map(|_| lab.client().get("/").field("x-served-by").unwrap_or_default()).collect();
    assert!(
        names.iter().any(|name| name.ends_with("left")) && names.iter().any(|name| name.ends_with("right")),
        "{names:?}"
    );

    let lab = Lab::new().origins(1).start();
    assert_eq!(lab.client().get("/").field("x-served-by"), None, "off by default");
}

#[test]
fn via_is_added_to_responses() {
    let lab = Lab::new().origins(1).start();
    assert_eq!(lab.client().get("/").field("via").as_deref(), Some("1.1 ropeway"));
    let lab = Lab::new().origins(1).with("forwarding = { via = false }", "", "").start();
    assert_eq!(lab.client().get("/").field("via"), None);
}

/// RFC 9110 section 9.3.2. A body would be malformed by HTTP/2, and end more than this exchange.
#[test]
fn a_malformed_request_for_a_head_is_answered_by_a_head() {
    let lab = Lab::new().origins(1).with("http2 = { prior_knowledge = true }", "", "").start();
    let mut http1 = lab.connect();
    http1.send("HEAD /../x HTTP/1.1\r\nHost: a\r\n\r\n");
    let _ = http1.receive_for("HEAD").expect(400);
    http1.expect_gone();
    let mut http2 = h2::Connection::open(&lab.client());
    let stream = http2.start(h2::Block::request("HEAD", "/../x"));
    let _ = http2.response(stream).expect(400).expect_body("");
    let _ = http2.get("/").expect(200);
}
