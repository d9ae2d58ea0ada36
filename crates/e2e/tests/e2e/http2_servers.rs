//! HTTP/2 towards servers, every frame of which the test sends: what one connection carries, and how it ends.

use ropeway_e2e::h2::frame::{
    Frame, LARGEST_WINDOW, code::*, data, goaway, headers, reset, setting, window_update,
};
use ropeway_e2e::h2::{Block, Call, Connection, Listener};
use ropeway_e2e::lab::file;
use ropeway_e2e::trace::Trace;
use ropeway_e2e::{Client, Lab, Request, Running, eventually};

/// A server that keeps no response waiting.
pub const WIDE: [(u16, u32); 1] = [(setting::INITIAL_WINDOW_SIZE, LARGEST_WINDOW)];

const BOTH: &str = "http2 = { prior_knowledge = true }";

/// A proxy that speaks HTTP/2 to the servers, and takes both versions from clients.
fn before(servers: &[&Listener]) -> Running {
    before_with(servers, "")
}

fn before_with(servers: &[&Listener], upstream: &str) -> Running {
    let servers: Vec<String> = servers.iter().map(|server| format!("\"{}\"", server.address())).collect();
    let upstream = format!("protocol = \"h2\"\npassive = false\n{upstream}");
    let config = file(BOTH, "", &upstream).replace("@all", &servers.join(", "));
    Lab::new().config(&config).start()
}

/// A proxy, and the connection to its only server after a first request, so that the proxy knows the settings.
pub fn met(settings: &[(u16, u32)]) -> (Running, Listener, Connection<Call>) {
    met_with(settings, "")
}

/// The same, with settings of the upstream.
pub fn met_with(settings: &[(u16, u32)], upstream: &str) -> (Running, Listener, Connection<Call>) {
    let server = Listener::new();
    let lab = before_with(&[&server], upstream);
    let mut client = lab.connect();
    client.send_get("/first");
    let mut connection = server.accept(settings);
    let (stream, _) = connection.next_request();
    connection.answer(stream, "first");
    let _ = client.receive().expect(200).expect_body("first");
    (lab, server, connection)
}

/// A request on a connection of its own whose answer is not awaited yet.
pub fn asks(client: &Client, method: &str, path: &str, body: &str) -> ropeway_e2e::Connection {
    let mut connection = client.connect();
    connection.send_request(method, path, body);
    connection
}

mod requests {
    use super::*;

    #[test]
    fn a_request_of_http1_arrives_translated() {
        let (lab, _server, mut connection) = met(&WIDE);
        let client = lab.client().host("shop.example").field("X-Case", "Kept As Is").field("Keep-Alive", "5");
        let mut client = asks(&client, "POST", "/a?b=c", "body");
        let stream = connection.next_call();
        let request = connection.whole(stream);
        let Call { scheme, authority, .. } = connection.exchange(stream);
        assert_eq!((scheme.as_str(), authority.as_str()), ("http", "shop.example"));
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/a?b=c"));
        assert_eq!(request.text(), "body");
        assert_eq!(request.field("content-length").as_deref(), Some("4"));
        assert_eq!(request.field("x-case").as_deref(), Some("Kept As Is"));
        assert_eq!(request.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
        assert_eq!(request.field("host"), None);
        connection.begin(stream, Block::response("203").field("x-answer", "Kept Too"));
        connection.finish(stream);
        let response = client.receive().expect(203).expect_body("");
        assert_eq!(response.field("x-answer").as_deref(), Some("Kept Too"));
        assert_eq!(response.reason, "Non-Authoritative Information");
    }

    #[test]
    fn one_connection_carries_many_at_a_time_in_any_order() {
        let (lab, server, mut connection) = met(&WIDE);
        let mut clients: Vec<_> =
            (0..20).map(|number| asks(&lab.client(), "GET", &format!("/{number}"), "")).collect();
        let mut calls: Vec<_> = (0..20).map(|_| connection.next_request()).collect();
        calls.reverse();
        for (stream, request) in calls {
            connection.answer(stream, &request.target);
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let _ = client.receive().expect(200).expect_body(&format!("/{number}"));
        }
        assert!(!server.drop_waiting(), "there was no need for another connection");
    }

    #[test]
    fn trailers_pass_in_both_directions() {
        let (lab, server, _) = met(&WIDE);
        let mut http1 = lab.connect();
        http1.send("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Sum\r\n");
        http1.send("Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n");
        let mut connection = server.accept(&WIDE);
        let (stream, request) = connection.next_request();
        assert_eq!(request.text(), "body");
        assert_eq!(request.body.trailers, [("x-sum".to_owned(), "42".to_owned())]);
        let answer = [data(stream, *b"there"), headers(stream, Block::of(&[("x-sum", "43")])).end()];
        connection.begin(stream, Block::response("200"));
        connection.send(&answer);
        let response = http1.receive().expect(200).expect_body("there");
        let sums: Vec<&str> = response.body.trailers.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(sums, ["43"]);

        let mut http2 = Connection::open(&lab.client());
        let ours = http2.start_with_body(Block::post("/").field("te", "trailers").field("trailer", "x-sum"));
        http2.send(&[data(ours, *b"body"), headers(ours, Block::of(&[("x-sum", "44")])).end()]);
        let mut connection = server.accept(&WIDE);
        let (stream, request) = connection.next_request();
        assert_eq!(request.body.trailers, [("x-sum".to_owned(), "44".to_owned())]);
        connection.begin(stream, Block::response("200"));
        connection.send(&[headers(stream, Block::of(&[("x-sum", "45")])).end()]);
        let response = http2.response(ours).expect(200).expect_body("");
        assert_eq!(response.body.trailers, [("x-sum".to_owned(), "45".to_owned())]);
    }

    /// Those of gRPC carry details of errors, and are as large as heads.
    #[test]
    fn large_trailers_pass_in_both_directions() {
        let (lab, server, _) = met(&WIDE);
        let large = || (0..60).fold(Block::new(), |block, _| block.field("x-detail", "d".repeat(200)));
        let mut client = Connection::open(&lab.client());
        let head = Block::post("/").field("te", "trailers").field("trailer", "x-detail");
        let ours = client.start_with_body(head);
        client.send(&[headers(ours, large()).end()]);
        let mut connection = server.accept(&WIDE);
        let (stream, request) = connection.next_request();
        assert_eq!(request.body.trailers.len(), 60);
        connection.begin(stream, Block::response("200"));
        connection.send(&[headers(stream, large()).end()]);
        assert_eq!(client.response(ours).expect(200).body.trailers.len(), 60);
    }

    #[test]
    fn interim_responses_pass() {
        let (lab, _server, mut connection) = met(&WIDE);
        let hint = || Block::response("103").field("link", "</a.css>");
        let mut http1 = asks(&lab.client(), "GET", "/", "");
        let (stream, _) = connection.next_request();
        connection.send(&[headers(stream, hint())]);
        connection.answer(stream, "page");
        let _ = http1.receive().expect(200).expect_body("page");
        let seen: Vec<_> = http1.interim.iter().map(|seen| (seen.status, seen.field("link"))).collect();
        assert_eq!(seen, [(103, Some("</a.css>".to_owned()))]);

        let mut http2 = Connection::open(&lab.client());
        let ours = http2.start(Block::get("/"));
        let (stream, _) = connection.next_request();
        connection.send(&[headers(stream, hint())]);
        http2.until("the hint, before there is an answer", |http2| {
            http2.exchange(ours).interim.first().filter(|seen| seen.status == 103).map(drop)
        });
        connection.answer(stream, "page");
        let _ = http2.response(ours).expect(200).expect_body("page");
    }

    /// RFC 9110 section 10.1.1.
    #[test]
    fn a_client_that_waits_for_100_is_told_by_the_server() {
        let (lab, _server, mut connection) = met(&WIDE);
        let mut client = lab.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
        let stream = connection.next_call();
        assert_eq!(connection.exchange(stream).request.field("expect").as_deref(), Some("100-continue"));
        connection.send(&[headers(stream, Block::response("100"))]);
        let head = client.wire.until(b"\r\n\r\n").unwrap().unwrap();
        assert!(head.starts_with(b"HTTP/1.1 100 "), "{}", head.escape_ascii());
        client.send("body");
        assert_eq!(connection.whole(stream).text(), "body");
        connection.answer(stream, "thanks");
        let _ = client.receive().expect(200).expect_body("thanks");
    }
}

/// RFC 9113 section 8.3.1 takes `:path` from RFC 3986, whose characters HTTP/1.1 is sent more than by many.
mod targets {
    use super::*;

    #[test]
    fn a_target_that_http2_cannot_carry_is_the_fault_of_its_client() {
        let servers = [Listener::new(), Listener::new()];
        let config = file("", "", "protocol = \"h2\"\npassive = { resets = 1, eject = \"5m\" }");
        let addresses: Vec<String> =
            servers.iter().map(|server| format!("\"{}\"", server.address())).collect();
        let lab = Lab::new().config(&config.replace("@all", &addresses.join(", "))).start();
        let mut clients: Vec<_> = (0..2).map(|_| asks(&lab.client(), "GET", "/good?a=b", "")).collect();
        let mut connections: Vec<_> = servers.iter().map(|server| server.accept(&WIDE)).collect();
        for connection in &mut connections {
            let (stream, _) = connection.next_request();
            connection.answer(stream, "good");
        }
        clients.iter_mut().for_each(|client| drop(client.receive().expect(200)));
        for target in ["/a?q=\"b\"", "/a?q=<b>", "/<a>", "/a`b"] {
            let refused = lab.client().get(target).expect(400);
            assert!(refused.text().contains("target that HTTP/2 cannot carry"), "{}", refused.text());
        }
        for (server, connection) in connections.iter_mut().enumerate() {
            connection.round_trip();
            assert_eq!(connection.calls(), 1, "{}", connection.summary());
            assert_eq!(lab.admin().server("app", server + 1)["state"], "up");
        }
    }

    /// As they came, where they can be carried.
    #[test]
    fn other_targets_pass_byte_for_byte() {
        let (lab, _server, mut connection) = met(&WIDE);
        for target in
            ["/a//b;c=d/%2F%41%7e?x=%00&y=[]|^`{}", "/?", "/%E2%82%AC", "//double", "/:@!$&'()*+,;="]
        {
            let mut client = asks(&lab.client(), "GET", target, "");
            let (stream, request) = connection.next_request();
            assert_eq!(request.target, target);
            connection.answer(stream, "found");
            let _ = client.receive().expect(200);
        }
    }
}

/// RFC 9113 section 8.7: what the server says it has not looked at may be sent again, whatever the method.
mod refusals {
    use super::*;

    #[test]
    fn a_refused_stream_is_tried_again_even_for_post() {
        let (lab, _server, mut connection) = met(&WIDE);
        for method in ["GET", "POST"] {
            let mut client = asks(&lab.client(), method, "/again", "body");
            let refused = connection.next_call();
            connection.send(&[reset(refused, REFUSED_STREAM)]);
            let (stream, request) = connection.next_request();
            assert_eq!((request.method.as_str(), request.text().as_str()), (method, "body"));
            connection.answer(stream, "at last");
            let _ = client.receive().expect(200).expect_body("at last");
        }
    }

    #[test]
    fn the_first_request_of_a_connection_is_tried_again_once() {
        for method in ["GET", "POST"] {
            let server = Listener::new();
            let lab = before(&[&server]);
            let mut client = asks(&lab.client(), method, "/first", "body");
            let mut connection = server.accept(&WIDE);
            let refused = connection.next_call();
            connection.send(&[reset(refused, REFUSED_STREAM)]);
            let (stream, request) = connection.next_request();
            assert_eq!((request.method.as_str(), request.text().as_str()), (method, "body"));
            connection.send(&[reset(stream, REFUSED_STREAM)]);
            let _ = client.receive().expect(502);
            connection.round_trip();
            assert_eq!(connection.try_next_call(), None);
        }
    }

    /// It has looked at it, on a connection that is as good as before: what then is policy.
    #[test]
    fn a_request_that_its_server_gives_up_is_not_sent_to_it_again() {
        let (lab, _server, mut connection) = met_with(&WIDE, "retry = { attempts = 0 }");
        let malformed = |stream| headers(stream, Block::of(&[("x", "no status")])).end();
        let ways: [fn(u32) -> Frame; 2] = [|stream| reset(stream, ENHANCE_YOUR_CALM), malformed];
        for way in ways {
            let mut client = asks(&lab.client(), "GET", "/once", "");
            let (stream, _) = connection.next_request();
            connection.send(&[way(stream)]);
            let _ = client.receive().expect(502);
            connection.round_trip();
            assert_eq!(connection.try_next_call(), None);
        }
    }

    /// The client's time runs from its first word. A server that is asked later has less of it.
    #[test]
    fn every_attempt_at_a_call_tells_how_much_time_is_left() {
        let (lab, _server, mut connection) = met(&WIDE);
        let caller = lab.client().field("Content-Type", "application/grpc").field("grpc-timeout", "1M");
        let mut client = asks(&caller, "POST", "/lab.Lab/Echo", "");
        let refused = connection.next_call();
        let told = micros(&connection.whole(refused));
        assert!(told < 60_000_000, "{told}");
        connection.send(&[reset(refused, REFUSED_STREAM)]);
        let (stream, request) = connection.next_request();
        assert!(micros(&request) < told, "{told}");
        connection.answer(stream, "");
        let _ = client.receive().expect(200);
    }

    /// A minute fits into eight digits of microseconds.
    fn micros(request: &Request) -> u64 {
        let timeout = request.field("grpc-timeout").unwrap();
        timeout.strip_suffix('u').unwrap().parse().unwrap()
    }

    #[test]
    fn what_was_sent_of_a_body_is_sent_again() {
        let (lab, _server, mut connection) = met(&WIDE);
        let body = "0123456789".repeat(4_000);
        let (first, rest) = body.split_at(30_000);
        let refuse = |connection: &mut Connection<Call>| {
            let stream = connection.next_call();
            connection.until("a part of the body", |connection| {
                (connection.exchange(stream).received() == first.len()).then_some(())
            });
            connection.send(&[reset(stream, REFUSED_STREAM)]);
        };
        let heads = [format!("Content-Length: {}", body.len()), "Transfer-Encoding: chunked".to_owned()];
        for (number, head) in heads.iter().enumerate() {
            let framed = |part: &str| match number {
                0 => part.to_owned(),
                _ => format!("{:x}\r\n{part}\r\n", part.len()),
            };
            let mut client = lab.connect();
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n")).send(framed(first));
            refuse(&mut connection);
            client.send(framed(rest)).send(if number == 0 { "" } else { "0\r\n\r\n" });
            let (stream, request) = connection.next_request();
            assert_eq!(request.text(), body);
            connection.answer(stream, "at last");
            let _ = client.receive().expect(200).expect_body("at last");
        }
        let mut client = ropeway_e2e::h2::Connection::open(&lab.client());
        let ours = client.start_with_body(Block::post("/"));
        client.send_body(ours, first.as_bytes());
        refuse(&mut connection);
        client.send_body(ours, rest.as_bytes());
        client.finish(ours);
        let (stream, request) = connection.next_request();
        assert_eq!(request.text(), body);
        connection.answer(stream, "at last");
        let _ = client.response(ours).expect(200).expect_body("at last");
    }

    /// What was sent of a body and is not kept cannot be sent again: never would a server get the rest alone.
    #[test]
    fn a_request_of_whose_body_a_part_is_gone_is_not_tried_again() {
        let (lab, server, mut connection) = met(&WIDE);
        let mut client = lab.connect();
        let (length, part) = (200_000, "x".repeat(100_000));
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
        let stream = connection.next_call();
        client.send(&part);
        connection.until("a part of the body", |connection| {
            (connection.exchange(stream).received() == part.len()).then_some(())
        });
        connection.send(&[reset(stream, REFUSED_STREAM)]);
        client.send("other");
        let _ = client.receive().expect(502);
        connection.round_trip();
        assert_eq!(connection.try_next_call(), None);
        assert!(!server.drop_waiting());
    }

    #[test]
    fn a_server_that_goes_on_refusing_is_left_for_another() {
        let (refusing, serving) = (Listener::new(), Listener::new());
        let lab = before(&[&refusing, &serving]);
        let mut client = asks(&lab.client(), "POST", "/pay", "money");
        let mut connection = refusing.accept(&WIDE);
        let served = std::thread::spawn(move || {
            let mut connection = serving.accept(&WIDE);
            let (stream, request) = connection.next_request();
            connection.answer(stream, "paid");
            request.text()
        });
        refuse_until(&mut connection, || served.is_finished());
        let _ = client.receive().expect(200).expect_body("paid");
        assert_eq!(served.join().unwrap(), "money");
        assert!(connection.calls() <= 2, "{}", connection.summary());
    }

    /// Or a server that is overloaded would get the more to do, the more it refuses.
    #[test]
    fn the_only_server_is_not_asked_for_ever() {
        let (lab, _server, mut connection) = met(&WIDE);
        for (method, why) in [("POST", REFUSED_STREAM), ("GET", REFUSED_STREAM), ("GET", INTERNAL_ERROR)] {
            let client = lab.client();
            let before = connection.calls();
            let answer = std::thread::spawn(move || client.request(method, "/", "body").status);
            while !answer.is_finished() {
                reset_what_came(&mut connection, why);
            }
            assert_eq!(answer.join().unwrap(), 502);
            let tries = connection.calls() - before;
            assert!((1..=3).contains(&tries), "{method}: {tries} tries");
        }
    }

    /// Resets every request until something has come about.
    fn refuse_until(connection: &mut Connection<Call>, over: impl Fn() -> bool) {
        while !over() {
            reset_what_came(connection, REFUSED_STREAM);
        }
    }

    /// A PING goes along, so that there is always something to wait for.
    fn reset_what_came(connection: &mut Connection<Call>, why: u32) {
        connection.round_trip();
        while let Some(stream) = connection.try_next_call() {
            connection.send(&[reset(stream, why)]);
        }
    }
}

/// RFC 9113 section 6.8.
mod goaways {
    use super::*;

    #[test]
    fn streams_beyond_the_last_one_are_tried_again_and_the_others_finish() {
        let (lab, server, mut old) = met(&WIDE);
        let mut early = asks(&lab.client(), "POST", "/early", "1");
        let (first, _) = old.next_request();
        let mut late = asks(&lab.client(), "POST", "/late", "2");
        let (second, _) = old.next_request();
        assert!(second > first);
        old.send(&[goaway(first, NO_ERROR)]);
        let mut new = server.accept(&WIDE);
        let (stream, request) = new.next_request();
        assert_eq!((request.target.as_str(), request.text().as_str()), ("/late", "2"));
        new.answer(stream, "by the new one");
        let _ = late.receive().expect(200).expect_body("by the new one");
        old.answer(first, "by the old one");
        let _ = early.receive().expect(200).expect_body("by the old one");
    }

    /// What servers say that are about to be restarted: first that nothing new should come, then what the last one was.
    #[test]
    fn a_server_that_leaves_in_two_steps_costs_no_request() {
        let (lab, server, mut old) = met(&WIDE);
        let mut held = asks(&lab.client(), "POST", "/held", "1");
        let (first, _) = old.next_request();
        old.send(&[goaway(LARGEST_WINDOW, NO_ERROR)]);
        old.round_trip();
        let mut next = asks(&lab.client(), "POST", "/next", "2");
        let mut new = server.accept(&WIDE);
        let (stream, request) = new.next_request();
        assert_eq!(request.target, "/next");
        new.answer(stream, "2");
        let _ = next.receive().expect(200).expect_body("2");
        old.send(&[goaway(first, NO_ERROR)]);
        old.answer(first, "1");
        let _ = held.receive().expect(200).expect_body("1");
    }

    #[test]
    fn an_idle_connection_that_is_given_up_costs_no_request() {
        let (lab, server, mut connection) = met(&WIDE);
        for round in 0..5 {
            match round % 2 {
                0 => {
                    connection.send(&[goaway(1, NO_ERROR)]);
                    connection.expect_end();
                }
                _ => drop(connection),
            }
            let mut client = asks(&lab.client(), "POST", "/", "body");
            connection = server.accept(&WIDE);
            let (stream, _) = connection.next_request();
            connection.answer(stream, "served");
            let _ = client.receive().expect(200).expect_body("served");
        }
    }

    /// The server may have acted upon it: only the client can know whether that may happen twice.
    #[test]
    fn a_post_at_or_below_the_last_stream_is_not_sent_again() {
        for why in [NO_ERROR, INTERNAL_ERROR, ENHANCE_YOUR_CALM] {
            let (lab, server, mut connection) = met(&WIDE);
            let mut client = asks(&lab.client(), "POST", "/pay", "money");
            let (stream, _) = connection.next_request();
            connection.send(&[goaway(stream, why)]);
            drop(connection);
            let _ = client.receive().expect(502);
            assert!(!server.drop_waiting(), "GOAWAY {why}: it is sent again");
        }
    }

    /// The streams beyond are untouched whatever the reason is.
    #[test]
    fn a_post_beyond_the_last_stream_is_sent_again_whatever_the_reason() {
        for why in [NO_ERROR, INTERNAL_ERROR, ENHANCE_YOUR_CALM] {
            let (lab, server, mut connection) = met(&WIDE);
            let mut client = asks(&lab.client(), "POST", "/pay", "money");
            let (stream, _) = connection.next_request();
            connection.send(&[goaway(stream - 2, why)]);
            drop(connection);
            let mut connection = server.accept(&WIDE);
            let (stream, request) = connection.next_request();
            assert_eq!(request.text(), "money");
            connection.answer(stream, "paid");
            let _ = client.receive().expect(200).expect_body("paid");
        }
    }

    #[test]
    fn a_get_that_was_not_answered_is_sent_again() {
        let (lab, server, mut connection) = met(&WIDE);
        let mut client = asks(&lab.client(), "GET", "/", "");
        let _ = connection.next_request();
        drop(connection);
        let mut connection = server.accept(&WIDE);
        let (stream, _) = connection.next_request();
        connection.answer(stream, "again");
        let _ = client.receive().expect(200).expect_body("again");
    }
}

mod broken_off {
    use super::*;

    /// Sends half of a response, and gives the request up by a reset of its stream, or of the connection.
    fn half(connection: &mut Connection<Call>, head: Block) -> u32 {
        let (stream, _) = connection.next_request();
        connection.begin(stream, head);
        connection.send(&[data(stream, *b"half")]);
        stream
    }

    fn heads() -> [Block; 2] {
        [Block::response("200").field("content-length", "8"), Block::response("200")]
    }

    #[test]
    fn a_response_that_is_reset_looks_incomplete_to_http1() {
        let (lab, _server, mut connection) = met(&WIDE);
        for why in [CANCEL, INTERNAL_ERROR, NO_ERROR] {
            for head in heads() {
                let mut client = asks(&lab.client(), "GET", "/", "");
                let stream = half(&mut connection, head);
                connection.send(&[reset(stream, why)]);
                let broken = client.try_receive("GET").expect_err("half a response");
                let partly = broken.response.expect("its head came");
                assert_eq!(partly.status, 200);
                assert!(matches!(partly.text().as_str(), "" | "half"), "{}", partly.text());
            }
        }
        let mut client = asks(&lab.client(), "GET", "/", "");
        let (stream, _) = connection.next_request();
        connection.answer(stream, "the connection goes on");
        let _ = client.receive().expect(200).expect_body("the connection goes on");
    }

    #[test]
    fn a_response_that_is_reset_is_reset_for_http2() {
        let (lab, _server, mut connection) = met(&WIDE);
        let mut client = Connection::open(&lab.client());
        for why in [CANCEL, INTERNAL_ERROR, NO_ERROR] {
            for head in heads() {
                let ours = client.start(Block::get("/"));
                let stream = half(&mut connection, head);
                connection.send(&[reset(stream, why)]);
                let exchange = client.outcome(ours);
                assert!(exchange.reset.is_some() && !exchange.ended, "{exchange:?}");
            }
        }
        let ours = client.start(Block::get("/"));
        let (stream, _) = connection.next_request();
        connection.answer(stream, "the connection goes on");
        let _ = client.response(ours).expect(200).expect_body("the connection goes on");
    }

    #[test]
    fn a_connection_that_ends_breaks_all_responses_on_it() {
        let (lab, _server, mut connection) = met(&WIDE);
        let mut http1 = asks(&lab.client(), "GET", "/", "");
        let _ = half(&mut connection, Block::response("200"));
        let mut http2 = Connection::open(&lab.client());
        let ours = http2.start(Block::get("/"));
        let _ = half(&mut connection, Block::response("200"));
        drop(connection);
        assert!(http1.try_receive("GET").is_err());
        assert!(!http2.outcome(ours).ended);
    }

    #[test]
    fn a_client_that_gives_up_an_upload_gives_up_the_stream() {
        let (lab, _server, mut connection) = met(&WIDE);
        let mut http2 = Connection::open(&lab.client());
        let ours = http2.start_with_body(Block::post("/"));
        http2.send_body(ours, b"a piece");
        let stream = connection.next_call();
        connection
            .until("the piece", |connection| (connection.exchange(stream).received() == 7).then_some(()));
        http2.send(&[reset(ours, CANCEL)]);
        connection.expect_reset(stream, &[CANCEL, INTERNAL_ERROR]);

        let mut http1 = lab.connect();
        http1.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\na piece");
        let stream = connection.next_call();
        drop(http1);
        connection.expect_reset(stream, &[CANCEL, INTERNAL_ERROR]);
        assert_eq!(connection.goaways, [], "the connection goes on");
    }

    #[test]
    fn a_client_that_does_not_wait_gives_up_the_stream() {
        let (lab, _server, mut connection) = met(&WIDE);
        let mut http2 = Connection::open(&lab.client());
        let ours = http2.start(Block::get("/"));
        let (stream, _) = connection.next_request();
        http2.send(&[reset(ours, CANCEL)]);
        connection.until("a reset", |connection| connection.exchange(stream).reset);

        let http1 = asks(&lab.client(), "GET", "/", "");
        let (stream, _) = connection.next_request();
        // An orderly end could be that of what it sends alone.
        http1.wire.reset();
        connection.until("a reset", |connection| connection.exchange(stream).reset);
    }

    /// RFC 9113 section 8.1.1.
    #[test]
    fn a_body_of_another_length_than_announced_is_not_passed_off_as_whole() {
        for body in ["four", "more than ten bytes"] {
            let (lab, _server, mut connection) = met(&WIDE);
            let mut client = asks(&lab.client(), "POST", "/", "");
            let (stream, _) = connection.next_request();
            connection.begin(stream, Block::response("200").field("content-length", "10"));
            connection.send(&[data(stream, body).end()]);
            match client.try_receive("POST") {
                Ok(response) => assert_eq!(response.status, 502, "{}", response.text()),
                Err(broken) => assert!(broken.response.is_none_or(|partly| partly.body.data.len() < 10)),
            }
        }
    }

    /// A field that would end the head of a response of HTTP/1.1 ends the request instead.
    #[test]
    fn what_would_split_a_response_is_no_response() {
        for (name, value) in [
            ("x-a", "1\r\nx-split: 1"),
            ("x-a", "1\n\nHTTP/1.1 200"),
            ("x-a\r\nx-split", "1"),
            ("X-Upper", "1"),
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
        ] {
            let (lab, _server, mut connection) = met(&WIDE);
            let mut client = asks(&lab.client(), "POST", "/", "");
            let (stream, _) = connection.next_request();
            let _ = connection.try_send(&[
                headers(stream, Block::response("200").field(name, value)),
                data(stream, *b"split").end(),
            ]);
            let response = client.receive();
            let clean = response.field("x-split").is_none() && response.field("x-a").is_none();
            assert!(clean && response.field("transfer-encoding").is_none(), "{name}: {:?}", response.fields);
            assert!(matches!(response.status, 200 | 502), "{name}: {}", response.status);
            assert!(client.wire.pending().is_empty());
        }
    }

    #[test]
    fn what_is_no_response_is_told_as_that() {
        for (name, value) in [("X-Upper", "1"), ("connection", "close"), ("x-a", "1\n2")] {
            let (lab, _server, mut connection) = met(&WIDE);
            let mut client = asks(&lab.client(), "POST", "/", "");
            let (stream, _) = connection.next_request();
            connection.begin(stream, Block::response("200").field(name, value));
            let response = client.receive().expect(502);
            assert!(response.text().contains("response is malformed"), "{name}: {}", response.text());
        }
    }

    #[test]
    fn a_server_that_speaks_another_protocol_is_a_bad_gateway() {
        let server = Listener::new();
        let lab = before(&[&server]);
        let mut client = asks(&lab.client(), "GET", "/", "");
        let mut wire = server.wire();
        wire.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").unwrap();
        drop(wire);
        let answered = std::thread::spawn(move || client.receive().status);
        eventually("an answer", || {
            let _ = server.drop_waiting();
            answered.is_finished().then_some(())
        });
        assert_eq!(answered.join().unwrap(), 502);
    }
}

mod limits {
    use super::*;

    #[test]
    fn more_requests_than_a_connection_may_carry_get_another_one() {
        let (lab, server, mut first) = met(&[(setting::MAX_CONCURRENT_STREAMS, 2)]);
        let mut clients: Vec<_> =
            (0..5).map(|number| asks(&lab.client(), "GET", &format!("/{number}"), "")).collect();
        let settings = [(setting::MAX_CONCURRENT_STREAMS, 5)];
        let mut second = server.accept(&settings);
        let on_first: Vec<_> = (0..2).map(|_| first.next_request()).collect();
        let on_second: Vec<_> = (0..3).map(|_| second.next_request()).collect();
        first.round_trip();
        assert_eq!(first.calls(), 1 + 2, "{}", first.summary());
        for (stream, request) in on_first {
            first.answer(stream, &request.target);
        }
        for (stream, request) in on_second {
            second.answer(stream, &request.target);
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let _ = client.receive().expect(200).expect_body(&format!("/{number}"));
        }
        assert!(!server.drop_waiting(), "two are enough");
    }

    /// What a server allows is known before the first request goes out, so that a burst makes it refuse none.
    #[test]
    fn a_burst_on_a_cold_start_keeps_to_what_the_server_allows() {
        let server = Listener::new();
        let lab = before(&[&server]);
        let mut clients: Vec<_> =
            (0..12).map(|number| asks(&lab.client(), "POST", &format!("/{number}"), "body")).collect();
        let mut connections = Vec::new();
        for _ in 0..3 {
            let mut connection = server.accept(&[(setting::MAX_CONCURRENT_STREAMS, 4)]);
            let calls: Vec<_> = (0..4).map(|_| connection.next_request()).collect();
            connection.round_trip();
            assert_eq!(connection.calls(), 4, "{}", connection.summary());
            connections.push((connection, calls));
        }
        for (mut connection, calls) in connections {
            for (stream, _) in calls {
                connection.answer(stream, "served");
            }
        }
        for client in &mut clients {
            let _ = client.receive().expect(200).expect_body("served");
        }
    }

    /// RFC 9113 section 5.2: the harness fails the test at the first byte beyond a window.
    #[test]
    fn an_upload_takes_no_more_than_the_window_of_its_stream() {
        let (lab, _server, mut connection) = met(&[(setting::INITIAL_WINDOW_SIZE, 10)]);
        connection.gives_credit = false;
        let body = "0123456789".repeat(10);
        let mut client = asks(&lab.client(), "POST", "/", &body);
        let stream = connection.next_call();
        for window in 1..10 {
            connection.until("the window is full", |connection| {
                (connection.exchange(stream).received() == window * 10).then_some(())
            });
            connection.round_trip();
            assert_eq!(connection.exchange(stream).received(), window * 10);
            connection.send(&[window_update(stream, 10)]);
        }
        assert_eq!(connection.whole(stream).text(), body);
        connection.answer(stream, "all of it");
        let _ = client.receive().expect(200).expect_body("all of it");
    }

    /// Otherwise a short request takes two writes of ours and two reads of the server.
    #[test]
    fn a_short_body_goes_out_with_its_head() {
        let (lab, _server, mut connection) = met(&WIDE);
        let threads = lab.proxy.threads();
        let worker = threads.iter().find(|(_, name)| name.starts_with("ropeway-w")).expect("a worker").0;
        let trace = Trace::attach(worker, &["-e", "trace=sendto,sendmsg"]);
        let mut client = asks(&lab.client(), "POST", "/", &"x".repeat(1000));
        let stream = connection.next_call();
        assert_eq!(connection.whole(stream).body.data.len(), 1000);
        connection.answer(stream, "thanks");
        let _ = client.receive().expect(200).expect_body("thanks");
        let calls = trace.detach();
        let sent =
            |call: &str| call.rsplit(" = ").next().and_then(|count| count.trim().parse::<usize>().ok());
        let long = calls.iter().filter_map(|call| sent(&call.text)).filter(|count| *count >= 1000);
        // The head and the two frames' headers take more than 30 bytes.
        assert!(long.clone().count() == 1 && long.max() > Some(1030), "{calls:?}");
    }

    /// What has gone out with the head counts like the rest.
    #[test]
    fn a_body_that_begins_with_its_head_keeps_to_the_window() {
        for window in [0, 1, 10_000, 16_384, 20_000] {
            let (lab, _server, mut connection) = met(&[(setting::INITIAL_WINDOW_SIZE, window)]);
            connection.gives_credit = false;
            let mut client = asks(&lab.client(), "POST", "/", &"x".repeat(50_000));
            let stream = connection.next_call();
            let received = |connection: &Connection<Call>| connection.exchange(stream).received();
            connection.until("the window is used up", |connection| {
                (received(connection) == window as usize).then_some(())
            });
            connection.round_trip();
            assert_eq!(received(&connection), window as usize);
            connection.send(&[window_update(stream, 50_000)]);
            assert_eq!(connection.whole(stream).body.data.len(), 50_000);
            connection.answer(stream, "thanks");
            let _ = client.receive().expect(200).expect_body("thanks");
        }
    }

    #[test]
    fn uploads_share_the_window_of_the_connection() {
        let (lab, _server, mut connection) = met(&WIDE);
        connection.gives_credit = false;
        let body = "x".repeat(50_000);
        let mut clients: Vec<_> = (0..3).map(|_| asks(&lab.client(), "POST", "/", &body)).collect();
        let streams: Vec<u32> = (0..3).map(|_| connection.next_call()).collect();
        let received = |connection: &Connection<Call>| -> usize {
            streams.iter().map(|stream| connection.exchange(*stream).received()).sum()
        };
        connection.until("the window is full", |connection| (received(connection) == 65_535).then_some(()));
        connection.round_trip();
        assert_eq!(received(&connection), 65_535);
        connection.send(&[window_update(0, 150_000)]);
        for stream in &streams {
            assert_eq!(connection.whole(*stream).body.data.len(), 50_000);
            connection.answer(*stream, "taken");
        }
        clients.iter_mut().for_each(|client| drop(client.receive().expect(200).expect_body("taken")));
    }

    /// A window that shrinks below nothing (RFC 9113 section 6.9.2).
    #[test]
    fn a_window_that_the_server_takes_back_is_kept_to() {
        let (lab, _server, mut connection) = met(&[(setting::INITIAL_WINDOW_SIZE, 20_000)]);
        connection.gives_credit = false;
        let mut client = lab.connect();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n");
        client.send("x".repeat(15_000));
        let stream = connection.next_call();
        connection.until("the first half", |connection| {
            (connection.exchange(stream).received() == 15_000).then_some(())
        });
        let acknowledged = connection.settings_acks;
        connection.send(&[ropeway_e2e::h2::frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 10_000)])]);
        connection.until("the new window is acknowledged", |connection| {
            (connection.settings_acks > acknowledged).then_some(())
        });
        client.send("x".repeat(15_000));
        connection.round_trip();
        assert_eq!(connection.exchange(stream).received(), 15_000);
        connection.send(&[window_update(stream, 20_000)]);
        assert_eq!(connection.whole(stream).body.data.len(), 30_000);
        connection.answer(stream, "all of it");
        let _ = client.receive().expect(200).expect_body("all of it");
    }

    /// The crate that speaks HTTP/2 keeps each piece by itself, at a price, and ends a connection with too many of them.
    #[test]
    fn small_pieces_wait_for_a_server_that_does_not_read() {
        let (lab, _server, mut connection) = met(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
        let mut client = Connection::open(&lab.client());
        let streams: Vec<u32> = (0..8).map(|_| client.start_with_body(Block::post("/"))).collect();
        let body = small_pieces();
        for ours in &streams {
            let frames: Vec<_> = body.iter().map(|piece| data(*ours, piece.as_str())).collect();
            frames.chunks(100).for_each(|frames| assert!(client.try_send(frames), "the connection is ended"));
            client.finish(*ours);
            client.round_trip();
        }
        assert_eq!(client.goaways, []);
        for _ in &streams {
            let stream = connection.next_call();
            connection.send(&[window_update(stream, 100_000)]);
            assert!(connection.whole(stream).text() == body.concat());
            connection.answer(stream, "");
        }
        streams.iter().for_each(|ours| drop(client.response(*ours).expect(200)));
    }

    #[test]
    fn small_pieces_wait_for_a_client_that_does_not_read() {
        let (lab, _server, mut connection) = met(&WIDE);
        let mut client = Connection::open_with(&lab.client(), &[(setting::INITIAL_WINDOW_SIZE, 0)]);
        let ours = client.start(Block::get("/"));
        let (stream, _) = connection.next_request();
        connection.begin(stream, Block::response("200"));
        let body = small_pieces();
        let frames: Vec<_> = body.iter().map(|piece| data(stream, piece.as_str())).collect();
        frames.chunks(100).for_each(|frames| connection.send(frames));
        connection.send(&[headers(stream, Block::of(&[("x-sum", "42")])).end()]);
        connection.round_trip();
        client.send(&[window_update(ours, 100_000)]);
        let response = client.response(ours).expect(200).expect_body(&body.concat());
        assert_eq!(response.body.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    }

    /// As many as a window of 64 KiB holds.
    fn small_pieces() -> Vec<String> {
        (0..1_600).map(|number| format!("the piece {number:029}")).collect()
    }

    /// Or one client that does not read would have the proxy take in whatever a server has to say.
    #[test]
    fn a_client_that_does_not_read_holds_the_server_back() {
        let (lab, _server, mut connection) = met(&WIDE);
        let mut client = lab.client().receive_buffer(16 * 1024).connect();
        client.send_get("/large");
        let (stream, _) = connection.next_request();
        let size = 30_000_000;
        connection.begin(stream, Block::response("200").field("content-length", size.to_string()));
        let sent = fill(&mut connection, stream, size);
        assert!(sent < size / 2, "{sent} bytes were taken of a response that nobody reads");
        let reading = std::thread::spawn(move || client.receive().body.data.len());
        connection.send_body(stream, &vec![b'x'; size - sent]);
        connection.finish(stream);
        assert_eq!(reading.join().unwrap(), size);
    }

    /// All streams share the window of their connection, but nobody's waits for that of others.
    #[test]
    fn clients_that_do_not_read_hold_back_nobody_else() {
        let (lab, _server, mut connection) = met(&WIDE);
        let slow = lab.client().receive_buffer(16 * 1024);
        let mut clients = Vec::new();
        for _ in 0..40 {
            clients.push(asks(&slow, "GET", "/large", ""));
            let (stream, _) = connection.next_request();
            connection.begin(stream, Block::response("200"));
            let _ = fill(&mut connection, stream, 30_000_000);
        }
        let mut quick = asks(&lab.client(), "GET", "/small", "");
        let (stream, _) = connection.next_request();
        connection.round_trip();
        assert!(connection.may_send(stream) > 0, "the slow ones hold all of the window");
        connection.answer(stream, "small");
        let _ = quick.receive().expect(200).expect_body("small");
    }

    /// Sends until the proxy takes no more; gives how much that was.
    fn fill(connection: &mut Connection<Call>, stream: u32, most: usize) -> usize {
        let mut sent = 0;
        let mut quiet = 0;
        while quiet < 3 && sent < most {
            let room = usize::try_from(connection.may_send(stream)).unwrap_or(0).min(most - sent);
            if room == 0 {
                // What it has read by now it has also given back, unless nobody takes it.
                quiet += 1;
                connection.round_trip();
                continue;
            }
            quiet = 0;
            connection.send_body(stream, &vec![b'x'; room]);
            sent += room;
        }
        sent
    }
}
