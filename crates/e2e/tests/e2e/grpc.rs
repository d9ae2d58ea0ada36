//! gRPC with a real client and a real server.

use ropeway_e2e::grpc::{self, Call, Server, framed};
use ropeway_e2e::h2::Block;
use ropeway_e2e::h2::connection::Connection;
use ropeway_e2e::h2::frame::{data, kind};
use ropeway_e2e::tempdir::TempDir;
use ropeway_e2e::tls::Authority;
use ropeway_e2e::{Lab, Running, eventually};
use serde_json::Value;

const DEADLINE_EXCEEDED: u64 = 4;
const NOT_FOUND: u64 = 5;
const UNIMPLEMENTED: u64 = 12;
const UNAVAILABLE: u64 = 14;

/// The proxy in front of a gRPC server, with more lines in the route and the upstream.
fn lab(server: &Server, route: &str, upstream: &str) -> Running {
    Lab::new().config(&config(&[server], route, upstream)).start()
}

fn config(servers: &[&Server], route: &str, upstream: &str) -> String {
    let addresses: Vec<String> = servers.iter().map(|server| format!("\"{}\"", server.address())).collect();
    format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\nhttp2 = {{ prior_knowledge = true }}\n\
         [[route]]\nname = \"all\"\nupstream = \"app\"\n{route}\n\
         [upstream.app]\nservers = [{}]\nprotocol = \"h2\"\n{upstream}\n\
         [log.access]\nformat = \"json\"\noutput = \"@dir/access.log\"\n",
        addresses.join(", ")
    )
}

#[test]
fn every_kind_of_call_comes_through() {
    let server = Server::start();
    let lab = lab(&server, "", "");
    let address = lab.proxy.address("web");
    let calls = [
        Call::unary("Echo", "hello"),
        Call::client_stream("Collect", &["a", "b", "c"]),
        Call::server_stream("Count", "4"),
        Call::both_streams("Chat", &["a", "b", "c"]),
    ];
    let outcomes = grpc::make_all(address, &calls, None);
    outcomes[0].expect(&["hello"]);
    outcomes[1].expect(&["a+b+c"]);
    outcomes[2].expect(&["0", "1", "2", "3"]);
    outcomes[3].expect(&["re: a", "re: b", "re: c"]);
}

#[test]
fn nothing_is_too_small_or_too_large() {
    let server = Server::start();
    let lab = lab(&server, "", "");
    let large = "~".repeat(100_000);
    let address = lab.proxy.address("web");
    let calls = [
        Call::unary("Echo", ""),
        Call::unary("Echo", &large),
        Call::client_stream("Collect", &[]),
        Call::both_streams("Chat", &[&large, "", &large]),
        Call::server_stream("Count", "10000"),
    ];
    let outcomes = grpc::make_all(address, &calls, None);
    outcomes[0].expect(&[""]);
    outcomes[1].expect(&[&large]);
    outcomes[2].expect(&[""]);
    let reply = format!("re: {large}");
    outcomes[3].expect(&[&reply, "re: ", &reply]);
    assert_eq!((outcomes[4].code, outcomes[4].messages.len()), (0, 10_000));
}

#[test]
fn metadata_goes_both_ways() {
    let server = Server::start();
    let lab = lab(&server, "", "");
    let call = Call::unary("Echo", "hello")
        .metadata("x-text", "one, two")
        .metadata("x-raw-bin", "00ff80")
        .metadata("y-text", "behind")
        .metadata("y-raw-bin", "fe");
    let outcome = call.make(lab.proxy.address("web"));
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    outcome.expect(&["hello"]);
    for expected in [pair("x-text", "one, two"), pair("x-raw-bin", "00ff80")] {
        assert!(outcome.initial.contains(&expected), "{expected:?} in {outcome:?}");
    }
    assert_eq!(outcome.trailing, [pair("y-text", "behind"), pair("y-raw-bin", "fe")]);
}

/// Servers remember with a field of a connection what they made of it, errors included, and clients share connections.
#[test]
fn what_one_client_says_wrong_is_not_held_against_another() {
    let server = Server::start();
    let lab = lab(&server, "", "");
    let mut connection = Connection::open(&lab.client());
    for (name, wrong) in [("x-raw-bin", "!!!*"), ("grpc-encoding", "junk")] {
        let stream = connection.start_with_body(call("/lab.Lab/Echo").field(name, wrong));
        connection.send(&[data(stream, framed("wrong")).end()]);
        let _ = connection.response(stream);
    }
    let call = Call::unary("Echo", "hello").metadata("x-raw-bin", "00ff80");
    let _ = call.make(lab.proxy.address("web")).expect(&["hello"]);
}

#[test]
fn an_error_of_the_server_arrives_with_its_message_and_details() {
    let server = Server::start();
    let lab = lab(&server, "", "");
    let wish = r#"{"code": 5, "message": "no such thing: naïve\n100%", "details": "08051203616263"}"#;
    let outcome = Call::unary("Fail", wish).make(lab.proxy.address("web"));
    outcome.expect_code(NOT_FOUND);
    assert_eq!(outcome.details, "no such thing: naïve\n100%");
    let details = ("grpc-status-details-bin".to_owned(), "08051203616263".to_owned());
    assert!(outcome.trailing.contains(&details), "{outcome:?}");
}

#[test]
fn an_unknown_method_is_told_by_the_server() {
    let server = Server::start();
    let lab = lab(&server, "", "");
    let outcome = Call::unary("Unheard", "").make(lab.proxy.address("web"));
    outcome.expect_code(UNIMPLEMENTED);
    assert_eq!(outcome.details, "Method not found!", "these are the words of the server");
}

#[test]
fn fifty_calls_share_a_connection() {
    let server = Server::start();
    let lab = lab(&server, "", "");
    let texts: Vec<String> = (0..50).map(|number| format!("message {number}")).collect();
    let calls: Vec<Call> = texts.iter().map(|text| Call::both_streams("Chat", &[text, text])).collect();
    let outcomes = grpc::make_all(lab.proxy.address("web"), &calls, None);
    for (text, outcome) in texts.iter().zip(&outcomes) {
        let reply = format!("re: {text}");
        outcome.expect(&[&reply, &reply]);
    }
    assert_eq!(outcomes.len(), 50);
    assert_eq!(lab.admin().metric("ropeway_listener_accepted_total", &[("listener", "web")]), 1.0);
}

#[test]
fn a_call_that_is_given_up_is_given_up_at_the_server() {
    let mut server = Server::start();
    let lab = lab(&server, "", "");
    let outcome = Call::server_stream("Hold", "it").cancel_after(1).make(lab.proxy.address("web"));
    assert_eq!(outcome.messages, ["it"]);
    server.wait_until_it_says("given up it");
}

#[test]
fn a_call_that_no_route_matches_is_told_in_the_words_of_grpc() {
    let server = Server::start();
    let lab = lab(&server, "match = { path = \"/other.Service/\" }", "");
    let outcome = Call::unary("Echo", "hello").make(lab.proxy.address("web"));
    outcome.expect_code(UNIMPLEMENTED);
    assert_eq!(outcome.details, "No route matches this host and path.");
}

#[test]
fn a_call_without_a_server_is_unavailable() {
    let mut server = Server::start();
    let lab = lab(&server, "", "");
    server.kill();
    let outcome = Call::both_streams("Chat", &["hello"]).make(lab.proxy.address("web"));
    outcome.expect_code(UNAVAILABLE);
    assert_eq!(outcome.details, "The server refused the connection.");
}

#[test]
fn an_answer_of_our_own_is_a_head_and_nothing_else() {
    let server = Server::start();
    let lab = lab(&server, "match = { path = \"/other.Service/\" }", "");
    let mut connection = Connection::open(&lab.client());
    let stream = connection.start(call("/lab.Lab/Echo"));
    let response = connection.response(stream);
    assert_eq!(response.status, 200);
    assert_eq!(response.field("content-type").as_deref(), Some("application/grpc"));
    assert_eq!(response.field("grpc-status").as_deref(), Some("12"));
    assert_eq!(response.field("content-length"), None);
    assert!(response.body.data.is_empty() && response.body.trailers.is_empty(), "{response:?}");
    assert_eq!(connection.seen.get(&kind::DATA), None, "not even an empty frame of DATA");
}

#[test]
fn a_server_that_dies_in_the_midst_of_a_stream_is_told_in_trailers() {
    let mut server = Server::start();
    let lab = lab(&server, "", "");
    let calls = [Call::server_stream("Hold", "on")];
    let mut client = grpc::start(lab.proxy.address("web"), &calls, None);
    client.wait_until_received("on");
    server.kill();
    let outcome = client.outcomes().remove(0);
    outcome.expect_code(UNAVAILABLE);
    assert_eq!(outcome.messages, ["on"]);
    assert_eq!(outcome.details, "The server closed the connection inside the response.");
}

#[test]
fn a_deadline_holds_for_the_server_too() {
    let mut server = Server::start();
    let lab = lab(&server, "", "");
    let call = Call::server_stream("Hold", "silently").timeout(0.3);
    call.make(lab.proxy.address("web")).expect_code(DEADLINE_EXCEEDED);
    server.wait_until_it_says("given up silently");
}

/// Hides from the server how much time there is, so that only the proxy can watch it.
const TIMELESS: &str = "headers = { request = { remove = [\"grpc-timeout\"] } }";

#[test]
fn a_call_that_takes_too_long_ends_before_its_first_message() {
    let mut server = Server::start();
    let lab = lab(&server, TIMELESS, "");
    let mut connection = Connection::open(&lab.client());
    let stream = connection.start_with_body(call("/lab.Lab/Hold").field("grpc-timeout", "200m"));
    connection.send(&[data(stream, framed("silently"))]);
    let response = connection.response(stream);
    assert_eq!(response.field("grpc-status").as_deref(), Some("4"), "{response:?}");
    server.wait_until_it_says("given up silently");
    let record = record(&lab);
    assert_eq!((&record["reason"], &record["grpc_status"]), (&"deadline_exceeded".into(), &4.into()));
}

#[test]
fn a_call_that_takes_too_long_ends_between_its_messages() {
    let mut server = Server::start();
    let lab = lab(&server, TIMELESS, "");
    let mut connection = Connection::open(&lab.client());
    let stream = connection.start_with_body(call("/lab.Lab/Hold").field("grpc-timeout", "500m"));
    connection.send(&[data(stream, framed("on")).end()]);
    let response = connection.response(stream);
    assert_eq!(response.body.data, framed("on"));
    let status = response.body.trailers.iter().find(|(name, _)| name == "grpc-status");
    assert_eq!(status.map(|(_, value)| value.as_str()), Some("4"), "{response:?}");
    server.wait_until_it_says("given up on");
}

#[test]
fn the_time_of_a_route_holds_for_calls() {
    let server = Server::start();
    let lab = lab(&server, "timeout = { response = \"200ms\" }", "");
    let outcome = Call::server_stream("Hold", "silently").make(lab.proxy.address("web"));
    outcome.expect_code(DEADLINE_EXCEEDED);
    assert_eq!(outcome.details, "The server did not respond in time.");
}

#[test]
fn the_status_of_every_call_is_recorded_and_counted() {
    let server = Server::start();
    let lab = lab(&server, "", "");
    let address = lab.proxy.address("web");
    let _ = Call::unary("Echo", "hello").make(address).expect(&["hello"]);
    let _ = Call::unary("Fail", r#"{"code": 5}"#).make(address).expect_code(NOT_FOUND);
    let _ = Call::unary("Unheard", "").make(address).expect_code(UNIMPLEMENTED);
    for (code, status) in [("0", 0), ("5", 5), ("12", 12)] {
        let labels = [("route", "all"), ("grpc_status", code)];
        eventually(&format!("status {code} is counted"), || {
            (lab.admin().metric("ropeway_grpc_requests_total", &labels) == 1.0).then_some(())
        });
        assert!(records(&lab, 3).iter().any(|record| record["grpc_status"] == status), "{status}");
    }
    assert_eq!(lab.admin().metric("ropeway_grpc_requests_total", &[]), 3.0);
}

#[test]
fn a_request_that_is_no_call_has_no_status_of_grpc() {
    let server = Server::start();
    let lab = lab(&server, "match = { path = \"/other.Service/\" }", "");
    let _ = lab.client().get("/").expect(404);
    assert_eq!(record(&lab).get("grpc_status"), None);
    assert_eq!(lab.admin().metric("ropeway_grpc_requests_total", &[]), 0.0);
}

#[test]
fn a_server_of_failing_calls_is_ejected() {
    let (good, bad) = (Server::start(), Server::start());
    let settings = "passive = { status_5xx = 3, eject = \"5m\" }\nretry = { attempts = 0 }";
    let lab = Lab::new().config(&config(&[&bad, &good], "", settings)).start();
    let fail = || Call::unary("FailHere", &bad.address().to_string());
    let outcomes = grpc::make_all(lab.proxy.address("web"), &vec![fail(); 6], None);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.code == UNAVAILABLE).count(), 3);
    lab.wait_for_state("app", 1, "ejected");
    let _ = fail().make(lab.proxy.address("web")).expect(&[&good.address().to_string()]);
}

#[test]
fn a_server_is_not_blamed_for_what_its_clients_ask() {
    let servers = [Server::start(), Server::start()];
    let settings = "passive = { status_5xx = 1, eject = \"5m\" }";
    let lab = Lab::new().config(&config(&[&servers[0], &servers[1]], "", settings)).start();
    let calls = [
        Call::unary("Unheard", ""),
        Call::unary("Unheard", ""),
        Call::unary("Fail", r#"{"code": 5}"#),
        Call::unary("Fail", r#"{"code": 4}"#),
    ];
    let outcomes = grpc::make_all(lab.proxy.address("web"), &calls, None);
    assert!(outcomes.iter().all(|outcome| outcome.code > 0), "{outcomes:?}");
    for number in 1..=2 {
        assert_eq!(lab.admin().server("app", number)["state"], "up");
    }
}

#[test]
fn a_call_to_an_unavailable_server_goes_to_another_one_on_request() {
    let (good, bad) = (Server::start(), Server::start());
    let call = || Call::unary("FailHere", &bad.address().to_string());
    let settings = "retry = { on = [\"grpc-unavailable\"] }";
    let lab = Lab::new().config(&config(&[&bad, &good], "", settings)).start();
    for _ in 0..2 {
        let _ = call().make(lab.proxy.address("web")).expect(&[&good.address().to_string()]);
    }
    assert_eq!(lab.admin().metric("ropeway_upstream_retries_total", &[]), 1.0);

    let lab = Lab::new().config(&config(&[&bad, &good], "", "")).start();
    let outcomes: Vec<u64> = (0..2).map(|_| call().make(lab.proxy.address("web")).code).collect();
    assert!(outcomes.contains(&UNAVAILABLE), "nobody asked for it: {outcomes:?}");
}

#[test]
fn without_a_retry_left_the_status_of_the_server_is_told() {
    let (good, bad) = (Server::start(), Server::start());
    let settings = "passive = false\nretry = { on = [\"grpc-unavailable\"], budget = 0 }";
    let lab = Lab::new().config(&config(&[&bad, &good], "", settings)).start();
    let call = Call::unary("FailHere", &bad.address().to_string());
    let outcomes = grpc::make_all(lab.proxy.address("web"), &vec![call; 300], None);
    let (told, answered): (Vec<_>, Vec<_>) = outcomes.iter().partition(|outcome| outcome.code != 0);
    for outcome in &told {
        assert_eq!((outcome.code, outcome.details.as_str()), (UNAVAILABLE, "not here"));
    }
    for outcome in &answered {
        let _ = outcome.expect(&[&good.address().to_string()]);
    }
    assert_eq!(lab.admin().metric("ropeway_retry_budget_exhausted_total", &[]), told.len() as f64);
}

#[test]
fn calls_over_tls_reach_servers_with_and_without() {
    let authority = Authority::new("Test CA");
    let identity = authority.issue(&["localhost"]);
    let directory = TempDir::new();
    let write = |name: &str, text: &str| {
        let path = directory.file(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let ca = write("ca.pem", &authority.pem());
    let (cert, key) = (write("site.pem", &identity.cert), write("site.key", &identity.key));
    let listener = format!(
        "tls = {{ certificates = [{{ cert = \"{}\", key = \"{}\" }}] }}",
        cert.display(),
        key.display()
    );
    let plain = Server::start();
    let secured = Server::start_tls(&cert, &key);
    let tls = format!("tls = {{ ca = \"{}\", server_name = \"localhost\" }}", ca.display());
    for (server, upstream) in [(&plain, ""), (&secured, tls.as_str())] {
        let config = config(&[server], "", upstream).replace("http2 = { prior_knowledge = true }", &listener);
        let lab = Lab::new().config(&config).start();
        let calls = [Call::unary("Echo", "hello"), Call::both_streams("Chat", &["a", "b"])];
        let outcomes = grpc::make_all(lab.proxy.address("web"), &calls, Some(&ca));
        outcomes[0].expect(&["hello"]);
        outcomes[1].expect(&["re: a", "re: b"]);
    }
}

/// The head of a call.
fn call(path: &str) -> Block {
    Block::post(path).field("content-type", "application/grpc").field("te", "trailers")
}

fn records(lab: &Running, count: usize) -> Vec<Value> {
    eventually(&format!("{count} records"), || {
        let text = std::fs::read_to_string(lab.file("access.log")).unwrap_or_default();
        let records: Vec<Value> = text.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
        (records.len() >= count).then_some(records)
    })
}

fn record(lab: &Running) -> Value {
    records(lab, 1).remove(0)
}
