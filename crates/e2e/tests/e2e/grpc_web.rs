//! gRPC-Web: requests as browsers send them, in front of a server that only knows gRPC.

use ropeway_e2e::grpc::{Server, framed};
use ropeway_e2e::h2::frame::headers;
use ropeway_e2e::h2::{Block, Connection, Listener};
use ropeway_e2e::{Client, Lab, Response, Running};

fn lab(server: &Server, route: &str) -> Running {
    before(&server.address().to_string(), route)
}

fn before(server: &str, route: &str) -> Running {
    let config = format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\nhttp2 = {{ prior_knowledge = true }}\n\
         [[route]]\nname = \"all\"\nupstream = \"app\"\n{route}\n\
         [upstream.app]\nservers = [\"{server}\"]\nprotocol = \"h2\"\n"
    );
    Lab::new().config(&config).start()
}

/// Calls by HTTP/1.1, as browsers without TLS do.
fn call(lab: &Running, content_type: &str, method: &str, body: &[u8]) -> Response {
    call_as(&lab.client(), content_type, method, body)
}

fn call_as(client: &Client, content_type: &str, method: &str, body: &[u8]) -> Response {
    let client = client.clone().field("Content-Type", content_type).field("X-Grpc-Web", "1");
    client.request("POST", &format!("/lab.Lab/{method}"), std::str::from_utf8(body).unwrap())
}

/// The frame that takes the place of trailers.
fn trailers(lines: &str) -> Vec<u8> {
    let length = u32::try_from(lines.len()).unwrap().to_be_bytes();
    [&[0x80], &length[..], lines.as_bytes()].concat()
}

const OK: &str = "grpc-status: 0\r\ngrpc-message: \r\n";

#[test]
fn a_call_is_translated_and_its_trailers_come_in_the_body() {
    let server = Server::start();
    let lab = lab(&server, "grpc_web = true");
    let response = call(&lab, "application/grpc-web+proto", "Echo", &framed("hello")).expect(200);
    assert_eq!(response.field("content-type").as_deref(), Some("application/grpc-web"));
    assert_eq!(response.field("grpc-status"), None);
    assert_eq!(response.body.data, [framed("hello"), trailers(OK)].concat(), "{response:?}");
    assert!(response.body.trailers.is_empty(), "they were not sent twice: {response:?}");
}

#[test]
fn base64_is_translated_both_ways() {
    let server = Server::start();
    let lab = lab(&server, "grpc_web = true");
    let response = call(&lab, "application/grpc-web-text", "Echo", b"AAAAAAVoZWxsbw==").expect(200);
    assert_eq!(response.field("content-type").as_deref(), Some("application/grpc-web-text"));
    assert_eq!(response.text(), "AAAAAAVoZWxsbw==gAAAACBncnBjLXN0YXR1czogMA0KZ3JwYy1tZXNzYWdlOiANCg==");
}

#[test]
fn many_messages_come_one_by_one() {
    let server = Server::start();
    let lab = lab(&server, "grpc_web = true");
    let response = call(&lab, "application/grpc-web", "Count", &framed("3")).expect(200);
    let messages = [framed("0"), framed("1"), framed("2"), trailers(OK)].concat();
    assert_eq!(response.body.data, messages);
}

#[test]
fn an_error_comes_in_the_head() {
    let server = Server::start();
    let lab = lab(&server, "grpc_web = true");
    let wish = framed(r#"{"code": 5, "message": "not here"}"#);
    let response = call(&lab, "application/grpc-web+proto", "Fail", &wish).expect(200);
    assert_eq!(response.field("content-type").as_deref(), Some("application/grpc-web"));
    assert_eq!(response.field("grpc-status").as_deref(), Some("5"));
    assert_eq!(response.field("grpc-message").as_deref(), Some("not here"));
    assert!(response.body.data.is_empty(), "{response:?}");
}

/// The length is that of the content before it was translated.
#[test]
fn a_length_that_the_server_announces_is_not_passed_on() {
    let server = Listener::new();
    let lab = before(&server.address().to_string(), "grpc_web = true");
    let client = lab.client();
    let answers = std::thread::spawn(move || {
        ["0", "10"].map(|_| call_as(&client, "application/grpc-web", "Echo", &framed("hello")))
    });
    let mut connection = server.accept(&[]);
    let head = |length| {
        Block::response("200").field("content-type", "application/grpc").field("content-length", length)
    };
    let (stream, _) = connection.next_request();
    connection.begin(stream, head("0").field("grpc-status", "5"));
    connection.finish(stream);
    let (stream, _) = connection.next_request();
    connection.begin(stream, head("10"));
    connection.send_body(stream, &framed("hello"));
    connection.send(&[headers(stream, Block::of(&[("grpc-status", "0")])).end()]);
    let [refused, served] = answers.join().unwrap();
    assert_eq!(refused.expect(200).field("grpc-status").as_deref(), Some("5"));
    assert_eq!(served.expect(200).body.data, [framed("hello"), trailers("grpc-status: 0\r\n")].concat());
}

#[test]
fn errors_of_our_own_are_those_of_grpc_web() {
    let mut server = Server::start();
    let lab = lab(&server, "grpc_web = true");
    server.kill();
    let response = call(&lab, "application/grpc-web-text", "Echo", b"AAAAAAA=").expect(200);
    assert_eq!(response.field("content-type").as_deref(), Some("application/grpc-web-text"));
    assert_eq!(response.field("grpc-status").as_deref(), Some("14"));
    assert_eq!(response.field("grpc-message").as_deref(), Some("The server refused the connection."));
}

#[test]
fn what_is_no_base64_is_refused() {
    let server = Server::start();
    let lab = lab(&server, "grpc_web = true");
    for body in [&b"AAAA*AVo"[..], b"AAAAAAVoZWxsb"] {
        let response = call(&lab, "application/grpc-web-text", "Echo", body).expect(200);
        assert_eq!(response.field("grpc-status").as_deref(), Some("13"), "{response:?}");
    }
}

#[test]
fn a_call_by_http2_is_translated_too() {
    let server = Server::start();
    let lab = lab(&server, "grpc_web = true");
    let mut connection = Connection::open(&lab.client());
    let head = Block::post("/lab.Lab/Echo").field("content-type", "application/grpc-web");
    let response = connection.request(head, &framed("hello"));
    assert_eq!(response.body.data, [framed("hello"), trailers(OK)].concat());
    assert!(response.body.trailers.is_empty(), "{response:?}");
}

#[test]
fn calls_of_grpc_itself_pass_as_they_are() {
    let server = Server::start();
    let lab = lab(&server, "grpc_web = true");
    let mut connection = Connection::open(&lab.client());
    let head = Block::post("/lab.Lab/Echo").field("content-type", "application/grpc").field("te", "trailers");
    let response = connection.request(head, &framed("hello"));
    assert_eq!(response.body.data, framed("hello"));
    assert_eq!(response.body.trailers.first(), Some(&("grpc-status".to_owned(), "0".to_owned())));
}

#[test]
fn statuses_inside_bodies_are_counted() {
    let server = Server::start();
    let lab = lab(&server, "grpc_web = true");
    let _ = call(&lab, "application/grpc-web", "Echo", &framed("hello")).expect(200);
    let _ = call(&lab, "application/grpc-web", "Unheard", &framed("")).expect(200);
    for code in ["0", "12"] {
        let labels = [("route", "all"), ("grpc_status", code)];
        ropeway_e2e::eventually(&format!("status {code} is counted"), || {
            (lab.admin().metric("ropeway_grpc_requests_total", &labels) == 1.0).then_some(())
        });
    }
}

#[test]
fn nothing_is_translated_unless_the_route_says_so() {
    let server = Server::start();
    let lab = lab(&server, "");
    let response = call(&lab, "application/grpc-web", "Echo", &framed("hello"));
    assert_ne!(response.body.data, [framed("hello"), trailers(OK)].concat());
}

/// Its bytes were looked at by then, which must not pass for bytes that are done with.
#[test]
fn threat_09_a_body_that_cannot_be_translated_never_becomes_a_request() {
    let server = Server::start();
    let lab = lab(&server, "grpc_web = true");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n";
    for body in [smuggled.to_owned(), format!("AAAA{smuggled}"), format!("!!!!{smuggled}")] {
        let mut connection = lab.connect();
        connection.send(format!(
            "POST /lab.Lab/Echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web-text\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(connection.receive().expect(200).field("grpc-status").as_deref(), Some("13"));
        connection.expect_gone();
    }
}
