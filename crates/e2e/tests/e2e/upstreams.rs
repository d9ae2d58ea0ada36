//! How servers are reached: names and their changes, several addresses, Unix sockets, and the connections kept to them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use ropeway_e2e::h2::Listener;
use ropeway_e2e::origin::Port;
use ropeway_e2e::{Lab, Load, Origin, eventually, lab, reply};
use serde_json::json;

/// A name server that answers every question for an IPv4 address with what it was told last, to be kept for 1 s.
struct NameServer {
    address: SocketAddr,
    answer: Arc<Mutex<Vec<Ipv4Addr>>>,
}

impl NameServer {
    fn start(answer: &[Ipv4Addr]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(answer.to_vec()));
        let shared = answer.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question) {
                let _ = socket.send_to(&answer_to(&question[..length], &shared.lock().unwrap()), from);
            }
        });
        Self { address, answer }
    }

    fn say(&self, answer: &[Ipv4Addr]) {
        *self.answer.lock().unwrap() = answer.to_vec();
    }
}

/// RFC 1035 section 4: the header, the question again, and one A record per address.
fn answer_to(question: &[u8], addresses: &[Ipv4Addr]) -> Vec<u8> {
    let name_end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap();
    let question_end = name_end + 5;
    let is_a = question[name_end + 1..name_end + 3] == [0, 1];
    let addresses = if is_a { addresses } else { &[] };
    let status = if addresses.is_empty() && is_a { 3 } else { 0 };
    let mut out = question[..2].to_vec();
    out.extend([0x81, 0x80 | status, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0]);
    out.extend(&question[12..question_end]);
    for address in addresses {
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        out.extend(address.octets());
    }
    out
}

const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Two origins on the same port of two addresses, and the port.
fn neighbours() -> (Origin, Origin, u16) {
    let (first, second) = eventually("a port that is free at both addresses", || {
        let first = Port::reserve();
        let second = Port::reserve_at(SocketAddr::from((SECOND, first.address.port()))).ok()?;
        Some((first, second))
    });
    let port = first.address.port();
    (Origin::saying_at(first, "first"), Origin::saying_at(second, "second"), port)
}

fn by_name(port: u16, names: &NameServer) -> String {
    lab::SMALLEST.replace("@all", &format!("\"backend.test:{port}\""))
        + &format!("[dns]\nservers = [\"{}\"]\ninterval = \"1s\"\n", names.address)
}

#[test]
fn a_name_is_resolved_again_and_its_change_followed_without_a_failed_request() {
    let (first, second, port) = neighbours();
    let names = NameServer::start(&[FIRST]);
    let lab = Lab::new().config(&by_name(port, &names)).origin(first).origin(second).start();
    eventually("the name is resolved", || {
        lab.client().connect().try_get("/").ok().filter(|response| response.status == 200)
    });
    let load = Load::start(&lab.client(), 2);
    load.run_for(20);
    names.say(&[SECOND]);
    eventually("the second address is asked", || (lab.origin(2).count() > 20).then_some(()));
    load.stop().expect_no_failure();
    let _ = lab.client().get("/").expect(200).expect_body("second");
}

/// A connection that many requests share is never idle for long, and must be left for the new address all the same.
#[test]
fn a_connection_of_http2_is_left_when_its_name_has_another_address() {
    let (first, second) = eventually("a port that is free at both addresses", || {
        let first = TcpListener::bind((FIRST, 0)).unwrap();
        let second = TcpListener::bind((SECOND, first.local_addr().unwrap().port())).ok()?;
        Some((Listener::on(first), Listener::on(second)))
    });
    let names = NameServer::start(&[FIRST]);
    let config = by_name(first.address().port(), &names);
    let config = config.replace("[upstream.app]", "[upstream.app]\nprotocol = \"h2\"");
    let lab = Lab::new().config(&config).start();
    let until_it_is_at = |server: &Listener| {
        eventually("the name is resolved", || {
            let known = &lab.admin().server("app", 1)["endpoints"];
            (*known == json!([server.address().to_string()])).then_some(())
        });
    };
    until_it_is_at(&first);
    let mut held = lab.connect();
    held.send_get("/held");
    let mut old = first.accept(&[]);
    let (before, _) = old.next_request();
    names.say(&[SECOND]);
    until_it_is_at(&second);
    let mut client = lab.connect();
    client.send_get("/");
    let mut new = second.accept(&[]);
    let (after, _) = new.next_request();
    new.answer(after, "by the new one");
    let _ = client.receive().expect(200).expect_body("by the new one");
    old.answer(before, "by the old one");
    let _ = held.receive().expect(200).expect_body("by the old one");
    old.expect_end();
}

#[test]
fn a_name_server_that_fails_keeps_what_is_known() {
    let (first, second, port) = neighbours();
    let names = NameServer::start(&[FIRST]);
    let lab = Lab::new().config(&by_name(port, &names)).origin(first).origin(second).start();
    eventually("the name is resolved", || {
        lab.client().connect().try_get("/").ok().filter(|response| response.status == 200)
    });
    names.say(&[]);
    // Long enough that the record has expired and the name was asked for again.
    let begun = lab.admin().status()["uptime_seconds"].as_f64().unwrap();
    eventually("three seconds of requests", || {
        let _ = lab.client().get("/").expect(200).expect_body("first");
        (lab.admin().status()["uptime_seconds"].as_f64().unwrap() - begun > 3.0).then_some(())
    });
}

#[test]
fn a_name_that_resolves_later_comes_into_service() {
    let (first, second, port) = neighbours();
    let names = NameServer::start(&[]);
    let lab = Lab::new().config(&by_name(port, &names)).origin(first).origin(second).start();
    let response = lab.client().get("/").expect(503);
    assert!(response.field("retry-after").is_some());
    names.say(&[FIRST]);
    eventually("it is resolved", || {
        lab.client().connect().try_get("/").ok().filter(|response| response.status == 200)
    });
}

#[test]
fn of_several_addresses_one_that_works_is_enough() {
    let (mut first, second, port) = neighbours();
    first.stop();
    let names = NameServer::start(&[FIRST, SECOND]);
    let lab = Lab::new().config(&by_name(port, &names)).origin(first).origin(second).start();
    eventually("the name is resolved", || {
        (lab.admin().server("app", 1)["state"] != "unresolved").then_some(())
    });
    for _ in 0..10 {
        let response = lab.client().field("Connection", "close").request("POST", "/", "body").expect(200);
        assert_eq!(response.text(), "second");
    }
}

#[test]
fn a_server_can_be_a_unix_socket() {
    let directory = ropeway_e2e::tempdir::TempDir::new();
    let path = directory.file("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|length| length > 0) {
                    let _ = stream.write_all(&reply(200, &[], "over a path"));
                }
            });
        }
    });
    let lab =
        Lab::new().config(&lab::SMALLEST.replace("@all", &format!("\"unix:{}\"", path.display()))).start();
    for _ in 0..3 {
        let _ = lab.client().get("/").expect(200).expect_body("over a path");
    }
    assert_eq!(lab.admin().metric("ropeway_upstream_connections_opened_total", &[]), 1.0);
}

#[test]
fn a_connection_is_given_up_after_so_many_requests() {
    let lab = Lab::new().origins(1).with("", "", "keep_alive = { max_requests = 3 }").start();
    let _ = lab.answers(9);
    assert_eq!(lab.origin(1).connections(), 3);
}

#[test]
fn connections_need_not_be_kept() {
    let lab = Lab::new().origins(1).with("", "", "keep_alive = { max_idle = 0 }").start();
    let _ = lab.answers(5);
    assert_eq!(lab.origin(1).connections(), 5);
    eventually("none is left open", || (lab.origin(1).open_connections() == 0).then_some(()));
}

#[test]
fn no_more_connections_are_kept_than_allowed() {
    let gate = ropeway_e2e::Gate::new();
    let door = gate.clone();
    let lab = Lab::new()
        .origin(Origin::answering(move |_| {
            door.wait();
            reply(200, &[], "")
        }))
        .with("", "", "keep_alive = { max_idle = 2, idle = \"1m\" }")
        .start();
    let mut waiting: Vec<_> = (0..6).map(|_| lab.connect()).collect();
    for connection in &mut waiting {
        connection.send_get("/");
    }
    lab.origin(1).wait_for_requests(6);
    gate.open();
    for connection in &mut waiting {
        let _ = connection.receive().expect(200);
    }
    eventually("two are left", || (lab.origin(1).open_connections() == 2).then_some(()));
    assert_eq!(lab.admin().metric("ropeway_upstream_idle_connections", &[]), 2.0);
}
