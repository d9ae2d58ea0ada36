//! `Upgrade`: a tunnel of bytes after 101, and only then (RFC 9110 section 7.8).

use std::io::Write;
use std::net::Shutdown;

use ropeway_e2e::h2::Listener;
use ropeway_e2e::lab::file;
use ropeway_e2e::wire::Wire;
use ropeway_e2e::{Connection, Lab, Origin, Peer, Running, eventually, reply};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

/// Switches protocols and sends back what comes, until the client has finished; then says `bye`.
fn echoes() -> Origin {
    Origin::scripted(|peer: &mut Peer| {
        let _ = peer.request();
        peer.send(SWITCH);
        loop {
            let pending = peer.wire.pending().to_vec();
            let _ = peer.wire.exactly(pending.len());
            peer.send(pending);
            if !matches!(peer.wire.fill(), Ok(1..)) {
                peer.send("bye");
                return;
            }
        }
    })
}

fn upgraded(connection: &mut Connection) {
    connection.send(UPGRADE);
    let response = connection.receive_head().expect(101);
    assert_eq!(response.field("upgrade").as_deref(), Some("echo"));
    assert!(response.field("connection").is_some_and(|value| value.to_ascii_lowercase().contains("upgrade")));
}

#[test]
fn bytes_pass_both_ways_after_101() {
    let lab = Lab::new().origin(echoes()).start();
    let mut connection = lab.connect();
    upgraded(&mut connection);
    for message in [&b"\x00\x01\x02"[..], b"GET / HTTP/1.1\r\n\r\n", b"\xff"] {
        connection.send(message);
        assert_eq!(connection.wire.exactly(message.len()).unwrap(), message);
    }
    let request = lab.origin(1).only_request();
    assert_eq!(request.field("upgrade").as_deref(), Some("echo"));
    assert!(request.field("connection").is_some_and(|value| value.to_ascii_lowercase().contains("upgrade")));
}

#[test]
fn a_client_may_finish_first_and_still_hear_the_end() {
    let lab = Lab::new().origin(echoes()).start();
    let mut connection = lab.connect();
    upgraded(&mut connection);
    connection.send("last words").half_close();
    assert_eq!(connection.rest(), b"last wordsbye");
}

#[test]
fn an_origin_may_finish_first_and_still_hear_the_end() {
    let lab = Lab::new()
        .origin(Origin::scripted(|peer| {
            let _ = peer.request();
            peer.send(SWITCH);
            peer.send("done");
            let _ = peer.wire.stream().shutdown(Shutdown::Write);
            let _ = peer.wait_for_end();
        }))
        .start();
    let mut connection = lab.connect();
    upgraded(&mut connection);
    assert_eq!(connection.rest(), b"done");
    connection.send("heard").half_close();
    ropeway_e2e::eventually("the origin hears the end", || lab.origin(1).saw(b"heard").then_some(()));
    ropeway_e2e::eventually("the tunnel closes", || (lab.origin(1).open_connections() == 0).then_some(()));
}

#[test]
fn many_bytes_pass_both_ways_at_once() {
    let lab = Lab::new().origin(echoes()).start();
    let mut connection = lab.connect();
    upgraded(&mut connection);
    let bytes: Vec<u8> = (0..4_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut sender = connection.wire.stream().try_clone().unwrap();
    let sent = bytes.clone();
    let sending = std::thread::spawn(move || {
        std::io::Write::write_all(&mut sender, &sent).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let echoed = connection.rest();
    sending.join().unwrap();
    assert_eq!(echoed.len(), bytes.len() + 3);
    assert!(echoed.starts_with(&bytes), "bytes changed on their way");
}

#[test]
fn an_origin_that_does_not_switch_answers_as_usual() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send(UPGRADE);
    let _ = connection.receive().expect(200).expect_body("1");
    let _ = connection.get("/next").expect(200).expect_body("1");
    lab.expect_origin_saw_only(&["/chat", "/next"]);
}

#[test]
fn a_switch_that_nobody_asked_for_is_refused() {
    let lab = Lab::new().origin(Origin::answering(|_| SWITCH.into())).start();
    let _ = lab.client().get("/").expect(502);
}

#[test]
fn upgrade_without_connection_is_not_an_upgrade() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    connection.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n\r\n");
    let _ = connection.receive().expect(200);
    assert_eq!(lab.origin(1).only_request().field("upgrade"), None);
}

#[test]
fn an_idle_tunnel_ends_at_its_time_out() {
    let lab = Lab::new().origin(echoes()).with("", "timeout = { tunnel_idle = \"300ms\" }", "").start();
    let mut connection = lab.connect();
    upgraded(&mut connection);
    connection.send("x");
    assert_eq!(connection.wire.exactly(1).unwrap(), b"x");
    connection.expect_gone();
    ropeway_e2e::eventually("the origin's side closes too", || {
        (lab.origin(1).open_connections() == 0).then_some(())
    });
}

#[test]
fn a_tunnel_ends_when_its_origin_dies() {
    let mut lab = Lab::new().origin(echoes()).start();
    let mut connection = lab.connect();
    upgraded(&mut connection);
    lab.origin_mut(1).stop();
    connection.expect_gone();
}

/// A tunnel whose server does and reads what the test does and reads.
fn by_hand() -> (Running, Connection, Wire) {
    let listener = Listener::new();
    let config = file("", "", "").replace("@all", &format!("\"{}\"", listener.address()));
    let lab = Lab::new().config(&config).start();
    let mut connection = lab.connect();
    connection.send(UPGRADE);
    let mut server = listener.tcp();
    let _ = server.until(b"\r\n\r\n").unwrap();
    server.send(SWITCH.as_bytes()).unwrap();
    let _ = connection.receive_head().expect(101);
    (lab, connection, server)
}

/// Sends until nobody has taken a byte for a second, and says how many were taken.
fn fill(lab: &Running, connection: &Connection) -> usize {
    let (mut sent, mut since) = (0, uptime(lab));
    connection.wire.stream().set_nonblocking(true).unwrap();
    eventually("nobody takes more", || {
        while let Ok(count) = connection.wire.stream().write(&[b'x'; 65_536]) {
            (sent, since) = (sent + count, uptime(lab));
        }
        (uptime(lab) - since > 1.0).then_some(sent)
    })
}

fn uptime(lab: &Running) -> f64 {
    lab.admin().status()["uptime_seconds"].as_f64().unwrap()
}

fn expect_closed(lab: &Running) {
    eventually("the tunnel closes", || {
        (lab.admin().metric("ropeway_listener_connections", &[("listener", "web")]) == 0.0).then_some(())
    });
}

/// What the client has sent last is left in its socket then, and its reset behind it.
#[test]
fn a_tunnel_ends_when_its_client_resets_while_its_origin_does_not_read() {
    let (lab, connection, mut server) = by_hand();
    let _ = fill(&lab, &connection);
    connection.wire.reset();
    expect_closed(&lab);
    server.drain();
}

/// The end of its side was passed on long before.
#[test]
fn a_tunnel_ends_when_its_client_resets_after_it_has_finished() {
    let (lab, mut connection, mut server) = by_hand();
    connection.half_close();
    assert_eq!(server.to_end().unwrap(), b"");
    server.send(b"heard").unwrap();
    assert_eq!(connection.wire.exactly(5).unwrap(), b"heard");
    connection.wire.reset();
    expect_closed(&lab);
}

/// Both sides of the client's connection have ended then, and some of what it has sent is still under way.
#[test]
fn an_origin_that_finishes_first_and_reads_late_still_hears_everything() {
    let (lab, mut connection, mut server) = by_hand();
    server.half_close();
    assert_eq!(connection.rest(), b"");
    let sent = fill(&lab, &connection);
    connection.half_close();
    let mut heard = 0;
    eventually("the end reaches the proxy", || {
        heard += server.exactly(65_536).unwrap().len();
        is_end_acknowledged(&connection).then_some(())
    });
    let begun = uptime(&lab);
    eventually("several looks at the client", || (uptime(&lab) - begun > 5.0).then_some(()));
    assert!(heard < sent, "nothing is under way any more");
    assert_eq!(heard + server.to_end().unwrap().len(), sent);
    expect_closed(&lab);
}

/// Whether the peer's system has taken in the end of a connection whose other side has ended before: it is none any more
/// then.
fn is_end_acknowledged(connection: &Connection) -> bool {
    connection.wire.stream().peer_addr().is_err()
}

#[test]
fn a_refused_upgrade_with_a_body_keeps_its_framing() {
    let lab = Lab::new().origin(Origin::answering(|_| reply(426, &[("Upgrade", "other")], "no"))).start();
    let mut connection = lab.connect();
    connection.send(UPGRADE);
    let response = connection.receive().expect(426).expect_body("no");
    assert!(!response.says_close());
    let _ = connection.get("/").expect(426);
}

#[test]
fn a_demand_to_upgrade_names_the_protocols() {
    let demand = reply(426, &[("Upgrade", "websocket"), ("Connection", "upgrade")], "upgrade, please");
    let lab = Lab::new()
        .origin(Origin::scripted(move |peer| {
            while peer.request().is_some() {
                peer.send(demand.clone());
            }
        }))
        .start();
    let response = lab.client().get("/").expect(426);
    assert_eq!(response.field("upgrade").as_deref(), Some("websocket"));
    assert!(response.field("connection").is_some_and(|value| value.to_ascii_lowercase().contains("upgrade")));
}
