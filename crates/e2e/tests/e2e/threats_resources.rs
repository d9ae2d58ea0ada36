//! Threats 45 to 57: slow and greedy clients, hostile origins, time, and the death of a part.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use ropeway_e2e::h2;
use ropeway_e2e::trace::Trace;
use ropeway_e2e::{Connection, Gate, Lab, Load, Origin, Running, SlowReaders, eventually, reply};
use rustix::process::Signal;

/// Asks on a connection of its own and fails unless it is served.
fn expect_served(lab: &Running) {
    let _ = lab.client().get("/healthy").expect(200);
}

#[test]
fn threat_45_slow_heads_and_bodies_are_ended_and_others_are_served_meanwhile() {
    let settings =
        "timeout = { head = \"500ms\", body_idle = \"1m\", min_rate = 100000, min_rate_grace = \"500ms\" }";
    let lab = Lab::new().origins(1).with(settings, "", "").start();
    let mut slow: Vec<Connection> = (0..200).map(|_| lab.connect()).collect();
    for (index, connection) in slow.iter_mut().enumerate() {
        connection.send(match index % 2 {
            0 => "GET / HTTP/1.1\r\nHost: a\r\nX-",
            _ => "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx",
        });
    }
    while !slow.is_empty() {
        expect_served(&lab);
        slow.retain_mut(|connection| {
            connection.try_send("x");
            connection.wire.fill_within(Duration::from_millis(1)).is_err()
        });
    }
    eventually("all are gone", || {
        (lab.admin().metric("ropeway_listener_connections", &[("listener", "web")]) == 0.0).then_some(())
    });
    assert!(lab.origin(1).requests().iter().all(|request| request.target == "/healthy"));
}

#[test]
fn threat_45_slow_readers_are_ended_and_others_are_served_meanwhile() {
    let lab = Lab::new()
        .origin(Origin::answering(|request| match request.target.as_str() {
            "/large" => reply(200, &[], &"x".repeat(20 << 20)),
            _ => reply(200, &[], "ok"),
        }))
        .with("timeout = { send_idle = \"1m\", min_rate = 1000000, min_rate_grace = \"500ms\" }", "", "")
        .start();
    let mut slow: Vec<Connection> = (0..10)
        .map(|_| {
            let mut connection = lab.client().receive_buffer(4096).connect();
            connection.send_get("/large");
            connection
        })
        .collect();
    eventually("all slow readers are given up", || {
        expect_served(&lab);
        for connection in &mut slow {
            // A little progress each time, so that it is the rate that counts.
            let mut few = [0; 16];
            let _ = std::io::Read::read(&mut connection.wire.stream(), &mut few);
        }
        let ends = lab.admin().status()["routes"][0]["ends"]["client_too_slow"].as_u64().unwrap_or(0);
        (ends >= 10).then_some(())
    });
}

#[test]
fn threat_46_out_of_descriptors_accept_backs_off_and_recovers() {
    // So few that not even the least number of connections fits.
    let needed = Lab::new().origins(1).start().proxy.descriptors();
    let few = u32::try_from(needed + 8).unwrap();
    let patient = "timeout = { head = \"10m\", idle = \"10m\" }";
    let lab = Lab::new().origins(1).with(patient, "", "").descriptors(few).start();
    let client = lab.client();
    let worker = worker_thread(&lab);
    let mut held: Vec<Connection> = (0..16).map_while(|_| client.try_connect().ok()).collect();
    let trace = Trace::attach(worker, &["-e", "trace=accept4,accept"]);
    let calls = trace.wait_until("accept fails several times", |calls| {
        calls.iter().filter(|call| call.text.contains("EMFILE")).count() >= 4
    });
    drop(trace);
    let failures: Vec<f64> =
        calls.iter().filter(|call| call.text.contains("EMFILE")).map(|call| call.at).collect();
    // Pauses only grow on a busy machine, so that a lower bound holds on any.
    let spans = failures.windows(2).map(|pair| pair[1] - pair[0]);
    let pauses = spans.filter(|span| *span > 0.005).count();
    assert!(pauses >= 2, "accept is tried again and again without a pause: {failures:?}");
    held.clear();
    eventually("it recovers", || {
        client.try_connect().ok()?.try_get("/").ok().filter(|response| response.status == 200)
    });
    assert!(lab.admin().metric("ropeway_accept_errors_total", &[]) >= 4.0);
    assert!(lab.proxy.lines().len() < 50, "the log is flooded: {} lines", lab.proxy.lines().len());
}

#[test]
fn threat_46_at_the_cap_the_answer_is_fast_and_the_admin_port_works() {
    for configured in ["", "[limits]\nconnections = 100000\n"] {
        let lab = Lab::new()
            .origins(1)
            .config(&(ropeway_e2e::lab::file("", "", "") + configured))
            .descriptors(200)
            .start();
        let client = lab.client();
        let most = lab.admin().status()["connections"]["max"].as_u64().unwrap();
        assert!(most > 0 && most < 200, "more than there are descriptors: {most}");
        let mut held = Vec::new();
        let mut refused = 0;
        for _ in 0..220 {
            let mut connection = client.connect();
            match connection.try_get("/") {
                Ok(response) if response.status == 200 => held.push(connection),
                Ok(response) => {
                    assert_eq!(response.status, 503);
                    refused += 1;
                }
                Err(broken) => panic!("neither served nor refused: {broken:?}"),
            }
        }
        assert!(refused > 0 && !held.is_empty(), "{refused} refused, {} served", held.len());
        let _ = lab.admin().get("/healthz").expect(200);
        drop(held);
        eventually("it recovers", || {
            client.connect().try_get("/").ok().filter(|response| response.status == 200)
        });
    }
}

/// A connection of HTTP/2 can ask for more connections to servers than there are descriptors.
#[test]
fn threat_46_many_streams_leave_descriptors_for_the_operator_and_for_new_clients() {
    // Also where there are hardly any.
    for (descriptors, least_served) in [(600, 200), (160, 40)] {
        expect_room_beside_streams(descriptors, least_served);
    }
}

fn expect_room_beside_streams(descriptors: u32, least_served: usize) {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::answering(move |_| {
        held.wait();
        reply(200, &[], "ok")
    });
    ropeway_e2e::descriptors::allow(2_000);
    let lab = Lab::new()
        .origin(origin)
        .with("http2 = { prior_knowledge = true }", "", "")
        .descriptors(descriptors)
        .start();
    let mut clients: Vec<_> = (0..6).map(|_| h2::Connection::open(&lab.client())).collect();
    let streams: Vec<Vec<u32>> = clients
        .iter_mut()
        .map(|client| (0..100).map(|_| client.start(h2::Block::get("/"))).collect())
        .collect();
    eventually("more than fit are refused", || {
        let refused = lab.admin().metric("ropeway_request_ends_total", &[("reason", "local_resources")]);
        (refused > 0.0).then_some(())
    });
    let _ = lab.admin().get("/healthz").expect(200);
    // It is accepted, and finds a descriptor if one has just become free.
    let mut late = lab.connect();
    let _ = late.send_get("/");
    gate.open();
    let mut statuses = vec![late.receive().status];
    for (client, streams) in clients.iter_mut().zip(streams) {
        statuses.extend(streams.into_iter().map(|stream| client.response(stream).status));
    }
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    assert!(served >= least_served, "only {served} of {} are served", statuses.len());
    let _ = lab.client().get("/").expect(200);
}

/// The thread that accepts: the one that a trace of a request shows is found by its name.
fn worker_thread(lab: &Running) -> u32 {
    let threads = lab.proxy.threads();
    let found = threads.iter().find(|(_, name)| name.starts_with("ropeway-w"));
    found.unwrap_or_else(|| panic!("no worker among {threads:?}")).0
}

/// Length of the response that nobody has the patience for.
const GIBIBYTE: usize = 1 << 30;
/// Bytes that an origin sends in one write.
const PIECE: usize = 16 * 1024;

/// Streams a GiB to who asks for `/endless`, and counts what it tries to send.
fn streaming(sent: &Arc<AtomicUsize>) -> Origin {
    let sent = sent.clone();
    Origin::scripted(move |peer| {
        // What its own kernel holds for it is not the question here.
        rustix::net::sockopt::set_socket_send_buffer_size(peer.wire.stream(), PIECE).unwrap();
        let Some(request) = peer.request() else { return };
        if request.target != "/endless" {
            peer.send(reply(200, &[("Connection", "close")], "ok"));
            return;
        }
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {GIBIBYTE}\r\n\r\n"));
        let mut pieces = 0..GIBIBYTE / PIECE;
        while pieces.next().is_some() {
            sent.fetch_add(PIECE, SeqCst);
            if !peer.send([0; PIECE]) {
                return;
            }
        }
    })
}

#[test]
fn threat_48_a_gibibyte_for_a_thousand_readers_of_a_byte_a_second() {
    const READERS: usize = 1_000;
    ropeway_e2e::descriptors::allow(4 * READERS as u64);
    let sent = Arc::new(AtomicUsize::new(0));
    // Threat 45 is about the end of such readers; here they are endured, however slow the machine is.
    let endured = "timeout = { send_idle = \"10m\", min_rate_grace = \"10m\" }";
    let lab = Lab::new().origin(streaming(&sent)).with(endured, "", "").start();
    expect_served(&lab);
    let before = lab.proxy.resident_kib();
    let client = lab.client().receive_buffer(4096).segments(1400);
    let readers: Vec<Connection> = (0..READERS)
        .map(|_| {
            let mut connection = client.connect();
            connection.send_get("/endless");
            let _ = connection.receive_head().expect(200);
            connection
        })
        .collect();
    let readers = SlowReaders::start(readers);
    eventually("each has read five bytes", || {
        expect_served(&lab);
        (readers.bytes_each() >= 5).then_some(())
    });
    assert_eq!(readers.lost(), 0, "of {READERS} readers");
    // The socket buffers of both sides of the proxy, and the one read that it keeps.
    let taken = sent.load(SeqCst);
    assert!(taken < READERS << 20, "{taken} bytes were taken from the origin for {READERS} slow readers");
    // A read takes at most 64 KiB while something waits to be written; a buffer may be twice what is in it.
    let grown = lab.proxy.most_resident_kib().saturating_sub(before);
    assert!(grown < READERS as u64 * 128, "{grown} KiB for {READERS} slow readers");
}

/// What a client gets from an origin that sends `bytes` for every request and then closes.
fn from_hostile_origin(
    bytes: Vec<u8>,
) -> (Running, Result<ropeway_e2e::Response, ropeway_e2e::message::Broken>) {
    let lab = Lab::new()
        .origin(Origin::scripted(move |peer| {
            while let Some(request) = peer.request() {
                if request.target == "/sentinel" {
                    peer.send(reply(200, &[], "fine"));
                } else {
                    peer.send(&bytes);
                }
            }
        }))
        .with(
            "",
            "timeout = { response = \"5s\", stream_idle = \"500ms\" }",
            "passive = false\nretry = { attempts = 0 }",
        )
        .start();
    let result = lab.connect().try_get("/");
    (lab, result)
}

#[test]
fn threat_49_malformed_responses_are_502_and_their_connection_is_not_reused() {
    let head = |rest: &str| format!("HTTP/1.1 200 OK\r\n{rest}\r\nsecret").into_bytes();
    let flood = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(20_000);
    for bytes in [
        head("Split\r\n: v\r\n"),
        head("Name : v\r\n"),
        head("X: a\r\n folded\r\n"),
        head("X: a\0b\r\n"),
        head("X: a\rb\r\n"),
        head(": v\r\n"),
        head("Content-Length: 6\r\nContent-Length: 7\r\n"),
        head("Content-Length: 6, 6\r\n"),
        head("Content-Length: -1\r\n"),
        head("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n"),
        head("Transfer-Encoding: gzip\r\n"),
        head("Transfer-Encoding: chunked, chunked\r\n"),
        head(&format!("X: {}\r\n", "a".repeat(200_000))),
        head(&"X: y\r\n".repeat(5_000)),
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n".to_vec(),
        b"HTTP/2 200 OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 20 OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 2000 OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 abc OK\r\n\r\n".to_vec(),
        b"ICY 200 OK\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        flood.into_bytes(),
    ] {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        let (lab, result) = from_hostile_origin(bytes);
        let response = result.unwrap_or_else(|broken| panic!("{shown:?}: {broken:?}"));
        assert_eq!(response.status, 502, "{shown:?}");
        assert!(!response.text().contains("secret"), "{shown:?}");
        let _ = lab.client().get("/sentinel").expect(200).expect_body("fine");
        let connections: Vec<usize> =
            lab.origin(1).requests().iter().map(|request| request.connection).collect();
        assert_eq!(connections, [0, 1], "{shown:?}: the connection was used again");
    }
}

#[test]
fn threat_49_bad_chunks_are_a_visible_truncation_and_their_connection_is_not_reused() {
    for chunks in [
        "5\r\nhello\r\nxyz\r\n",
        "5\r\nhelloworld\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nBad Trailer: x\r\n\r\n",
        "5\nhello\n0\n\n",
        "ffffffffffffffffff\r\nhello",
        "5\r\nhello\r\nfffffffffffffff0\r\nrest",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").into_bytes();
        let (lab, result) = from_hostile_origin(bytes);
        match result {
            Ok(response) => assert_eq!(response.status, 502, "{chunks:?} became a whole response"),
            Err(broken) => {
                assert!(broken.error.kind() != std::io::ErrorKind::WouldBlock, "{chunks:?} is left hanging");
            }
        }
        let _ = lab.client().get("/sentinel").expect(200).expect_body("fine");
        let connections: Vec<usize> =
            lab.origin(1).requests().iter().map(|request| request.connection).collect();
        assert_eq!(connections, [0, 1], "{chunks:?}: the connection was used again");
    }
}

#[test]
fn threat_49_a_body_that_is_malformed_at_once_is_502() {
    for chunks in ["ZZ\r\n", "-5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\nXX\r\n"] {
        let bytes = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").into_bytes();
        let (_lab, result) = from_hostile_origin(bytes);
        let response = result.unwrap_or_else(|broken| panic!("{chunks:?}: {broken:?}"));
        assert_eq!(response.status, 502, "{chunks:?}");
    }
}

/// Sends `poison` behind the response to `/first`: in the same write, or once `wanted` is open; tells when it did.
fn poisons(wanted: Option<Gate>, poisoned: &Gate) -> Origin {
    let poisoned = poisoned.clone();
    Origin::scripted(move |peer| {
        while let Some(request) = peer.request() {
            let mut answer = reply(200, &[], &request.target);
            if request.target != "/first" {
                peer.send(answer);
                continue;
            }
            if let Some(wanted) = &wanted {
                peer.send(std::mem::take(&mut answer));
                wanted.wait();
            }
            answer.extend(reply(200, &[], "poison"));
            peer.send(answer);
            poisoned.open();
        }
    })
}

#[test]
fn threat_49_more_than_was_announced_is_not_the_next_response() {
    for apart in [false, true] {
        let (later, poisoned) = (Gate::new(), Gate::new());
        let lab = Lab::new().origin(poisons(apart.then(|| later.clone()), &poisoned)).start();
        let mut connection = lab.connect();
        let _ = connection.get("/first").expect(200).expect_body("/first");
        later.open();
        poisoned.wait();
        for path in ["/second", "/third"] {
            let _ = connection.get(path).expect(200).expect_body(path);
        }
        assert_eq!(lab.origin(1).connections(), 2, "the connection with more in it is given up");
    }
}

#[test]
fn threat_49_a_body_after_204_and_304_is_not_the_next_response() {
    for head in ["HTTP/1.1 204 No Content\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\n"] {
        let lab = Lab::new()
            .origin(Origin::scripted(move |peer| {
                while let Some(request) = peer.request() {
                    if request.target == "/first" {
                        peer.send(format!("{head}\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"));
                    } else {
                        peer.send(reply(200, &[], &request.target));
                    }
                }
            }))
            .start();
        let mut connection = lab.connect();
        assert!([204, 304].contains(&connection.get("/first").status));
        let _ = connection.get("/second").expect(200).expect_body("/second");
    }
}

#[test]
fn threat_50_silence_is_504_and_an_early_end_is_visible() {
    let lab = Lab::new()
        .origin(Origin::scripted(|peer| {
            let Some(request) = peer.request() else { return };
            match request.target.as_str() {
                "/length" => {
                    let _ = peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
                }
                "/chunked" => {
                    let _ = peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n");
                }
                "/head" => {
                    let _ = peer.send("HTTP/1.1 200 OK\r\nContent-Le");
                }
                "/nothing" => {}
                _ => {
                    let _ = peer.wait_for_end();
                }
            }
        }))
        .with("", "timeout = { response = \"300ms\" }", "passive = false\nretry = { attempts = 0 }")
        .start();
    let _ = lab.client().get("/silent").expect(504);
    let _ = lab.client().get("/nothing").expect(502);
    let _ = lab.client().get("/head").expect(502);
    for path in ["/length", "/chunked"] {
        let broken = lab.connect().try_get(path).expect_err("a whole response");
        let response = broken.response.expect("the head is passed on");
        assert_eq!(response.status, 200);
        assert!(b"only this".starts_with(&response.body.data[..]), "nothing was made up");
    }
    let mut old = lab.connect();
    old.send("GET /chunked HTTP/1.0\r\nHost: a\r\n\r\n");
    let ended = old.wire.to_end();
    assert!(ended.is_err(), "an HTTP/1.0 client can only see a truncation by a reset: {ended:?}");
}

#[test]
fn threat_50_an_early_answer_is_relayed_and_the_upload_stopped() {
    let lab = Lab::new()
        .origin(
            Origin::scripted(|peer| {
                let Some(request) = peer.request_head() else { return };
                peer.send(reply(if request.method == "POST" { 401 } else { 200 }, &[], "early"));
                if request.method == "POST" {
                    let _ = peer.wire.stream().shutdown(std::net::Shutdown::Write);
                }
            })
            .with_receive_buffer(16 * 1024),
        )
        .start();
    let mut connection = lab.connect();
    connection.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut stream = connection.wire.stream().try_clone().unwrap();
    let uploading = std::thread::spawn(move || {
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(65_536));
        (0..4_000).take_while(|_| std::io::Write::write_all(&mut stream, chunk.as_bytes()).is_ok()).count()
    });
    let _ = connection.receive().expect(401).expect_body("early");
    connection.expect_gone();
    assert!(uploading.join().unwrap() < 4_000, "the whole upload was taken");
    expect_served(&lab);
}

#[test]
fn threat_51_post_never_twice_and_no_retry_after_a_byte() {
    let posts = Arc::new(AtomicUsize::new(0));
    let origins: Vec<Origin> = (0..3)
        .map(|kind| {
            let posts = posts.clone();
            Origin::scripted(move |peer| {
                while let Some(request) = peer.request() {
                    if request.method != "POST" {
                        peer.send(reply(200, &[], "ok"));
                        continue;
                    }
                    posts.fetch_add(1, SeqCst);
                    match kind {
                        0 => peer.reset(),
                        1 => {
                            let _ = peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
                        }
                        _ => {}
                    }
                    return;
                }
            })
        })
        .collect();
    let lab = origins.into_iter().fold(Lab::new(), Lab::origin);
    let lab = lab.with("", "", "passive = false\nretry = { attempts = 3 }").start();
    const SENT: usize = 30;
    for number in 0..SENT {
        let mut connection = lab.connect();
        // Sometimes over a connection that served before, at whichever server it is, sometimes over a new one.
        for _ in 0..if number % 2 == 0 { 3 } else { 0 } {
            let _ = connection.get("/").expect(200);
        }
        connection.send_request("POST", "/pay", "money");
        let _ = connection.try_receive("POST");
    }
    assert_eq!(posts.load(SeqCst), SENT);
}

#[test]
fn threat_52_tunnels_half_close_and_end_at_their_time_out() {
    let lab = Lab::new()
        .origin(Origin::scripted(|peer| {
            let _ = peer.request();
            peer.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            );
            let heard = peer.wait_for_end().unwrap_or_default();
            peer.send(format!("heard {} bytes", heard.len()));
        }))
        .with("", "timeout = { tunnel_idle = \"500ms\" }", "")
        .start();
    let open = || {
        let mut connection = lab.connect();
        connection.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        let _ = connection.receive_head().expect(101);
        connection
    };
    let mut first = open();
    first.send("12345").half_close();
    assert_eq!(first.rest(), b"heard 5 bytes", "each direction ends by itself");
    let mut second = open();
    second.send("x");
    let _ = second.wire.to_end();
    eventually("both ends are closed", || (lab.origin(1).open_connections() == 0).then_some(()));
    eventually("it is told why", || {
        lab.admin().status()["routes"][0]["ends"]["tunnel_timeout"].as_u64().filter(|count| *count >= 1)
    });
}

/// Answers for the wall clock with an offset that stands in a file; the other clocks stay as they are.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static volatile long *offset(void) {
    static volatile long *mapped;
    if (!mapped) {
        int file = open(getenv("CLOCK_OFFSET_FILE"), O_RDONLY);
        mapped = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    }
    return mapped;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += *offset();
    return result;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec time;
    int result = clock_gettime(CLOCK_REALTIME, &time);
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return result;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"#;

/// A wall clock that can be moved while a process looks at it.
struct WallClock {
    directory: ropeway_e2e::tempdir::TempDir,
}

impl WallClock {
    fn new() -> Self {
        let directory = ropeway_e2e::tempdir::TempDir::new();
        std::fs::write(directory.file("clock.c"), CLOCK).unwrap();
        std::fs::write(directory.file("offset"), 0_i64.to_ne_bytes()).unwrap();
        let mut compiler = std::process::Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(directory.file("clock.so"))
            .arg(directory.file("clock.c"));
        let built = compiler.output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Self { directory }
    }

    fn apply(&self, lab: Lab) -> Lab {
        lab.environment("LD_PRELOAD", &self.directory.file("clock.so").to_string_lossy())
            .environment("CLOCK_OFFSET_FILE", &self.directory.file("offset").to_string_lossy())
    }

    fn move_by_days(&self, days: i64) {
        let file = std::fs::OpenOptions::new().write(true).open(self.directory.file("offset")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &(days * 86_400).to_ne_bytes(), 0).unwrap();
    }
}

#[test]
fn threat_54_a_clock_that_moves_by_400_days_expires_nothing() {
    let clock = WallClock::new();
    let gate = Gate::new();
    let door = gate.clone();
    let log = "[log.access]\nformat = \"json\"\noutput = \"@dir/access.log\"\n";
    let lab = clock
        .apply(Lab::new())
        .origin(Origin::answering(move |request| {
            if request.target == "/slow" {
                door.wait();
            }
            reply(200, &[], "ok")
        }))
        .config(
            &(ropeway_e2e::lab::file(
                "",
                "",
                "keep_alive = { idle = \"5m\" }\nhealth = { type = \"http\", path = \"/check\" }",
            ) + log),
        )
        .start();
    let checks =
        |lab: &Running| lab.origin(1).requests().iter().filter(|request| request.target == "/check").count();
    let mut idle = lab.connect();
    let _ = idle.get("/").expect(200);
    let mut waiting = lab.connect();
    waiting.send_get("/slow");
    let mut head = lab.connect();
    head.send("GET /head HTTP/1.1\r\nHo");
    eventually("the slow request arrives", || lab.origin(1).saw(b"/slow").then_some(()));
    let connections = lab.origin(1).connections();
    let checks_before = checks(&lab);
    for days in [400, -400, 0] {
        clock.move_by_days(days);
        for _ in 0..20 {
            let _ = lab.client().get("/").expect(200);
        }
        // A worker looks at its deadlines ten times a second: let it look at the new time.
        let since = lab.admin().status()["uptime_seconds"].as_f64().unwrap();
        eventually("a few ticks", || {
            let uptime = lab.admin().status()["uptime_seconds"].as_f64().unwrap();
            assert!((0.0..60.0).contains(&(uptime - since)), "the uptime follows the wall clock");
            (uptime - since > 0.5).then_some(())
        });
        let _ = idle.get("/").expect(200);
        assert!(checks(&lab) <= checks_before + 3, "checks came all at once");
    }
    assert!(lab.origin(1).connections() <= connections + 4, "idle connections of the pool expired");
    gate.open();
    let _ = waiting.receive().expect(200);
    head.send("st: a\r\n\r\n");
    let _ = head.receive().expect(200);
    // The clock did move as far as the process can see.
    eventually("a record from the future", || {
        let text = std::fs::read_to_string(lab.file("access.log")).unwrap_or_default();
        let years: std::collections::BTreeSet<String> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter_map(|record| Some(record["time"].as_str()?.get(..7)?.to_owned()))
            .collect();
        (years.len() >= 3).then_some(())
    });
}

#[test]
fn threat_57_the_death_of_a_worker_is_survived() {
    let lab = Lab::new().origins(1).workers(2).start();
    let workers: Vec<u32> = lab
        .proxy
        .threads()
        .into_iter()
        .filter(|(_, name)| name.starts_with("ropeway-w"))
        .map(|(thread, _)| thread)
        .collect();
    assert_eq!(workers.len(), 2, "{:?}", lab.proxy.threads());
    let load = Load::start(&lab.client(), 4);
    load.run_for(100);
    // The event loop of one worker is told that its epoll descriptor is bad: nothing it can go on from.
    let trace =
        Trace::attach(workers[0], &["-e", "inject=epoll_wait,epoll_pwait,epoll_pwait2:error=EBADF:when=1"]);
    trace.wait_until("the worker is told", |calls| calls.iter().any(|call| call.text.contains("INJECTED")));
    let _ = trace.detach();
    load.run_for(100);
    let report = load.stop();
    assert!(report.failures.len() <= 4, "more than the connections of that worker: {:?}", report.failures);
    eventually("it is told", || lab.proxy.transcript().contains("panicked").then_some(()));
    eventually("there are two workers again", || {
        let count = lab.proxy.threads().iter().filter(|(_, name)| name.starts_with("ropeway-w")).count();
        (count == 2).then_some(())
    });
    for _ in 0..100 {
        expect_served(&lab);
    }
    lab.proxy.signal(Signal::TERM);
}
