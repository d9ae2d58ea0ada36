//! The budget of system calls for a lone request on connections that are kept alive.

use ropeway_e2e::h2::frame::kind;
use ropeway_e2e::h2::rules::lab;
use ropeway_e2e::trace::{Call, Trace};
use ropeway_e2e::{Connection, Lab, Origin, Request, h2, reply};

const REQUESTS: usize = 200;
/// Bytes of a body that is passed on in many pieces.
const MUCH: usize = 32 * 1024 * 1024;

const READS: [&str; 5] = ["read", "readv", "recvfrom", "recvmsg", "recvmmsg"];
/// Into a pipe and out of it again.
const SPLICE: &str = "splice";
const WRITES: [&str; 5] = ["write", "writev", "sendto", "sendmsg", "sendfile"];
const WAITS: [&str; 3] = ["epoll_wait", "epoll_pwait", "epoll_pwait2"];

fn count(calls: &[Call], names: &[&str]) -> usize {
    calls.iter().filter(|call| names.contains(&call.name.as_str())).count()
}

#[test]
fn a_lone_request_takes_two_reads_two_writes_and_two_waits() {
    let lab = Lab::new().origins(1).start();
    let mut connection = lab.connect();
    for _ in 0..50 {
        let _ = connection.get("/").expect(200);
    }
    let worker = busiest_thread(&lab, &mut connection);
    let trace = Trace::attach(worker, &["-e", "trace=network,desc,read,write"]);
    let before = trace.calls().len();
    for _ in 0..REQUESTS {
        let _ = connection.get("/").expect(200);
    }
    let calls = trace.detach().split_off(before);
    let names = calls.iter().fold(std::collections::BTreeMap::<&str, usize>::new(), |mut counts, call| {
        *counts.entry(&call.name).or_default() += 1;
        counts
    });
    println!("{REQUESTS} requests: {names:?}");
    // A tick ten times a second adds waits, and a write of its own now and then. Nothing else may come with requests.
    let seconds = calls.last().map_or(0.0, |last| last.at) - calls.first().map_or(0.0, |first| first.at);
    let ticks = 20 + (seconds * 20.0) as usize;
    assert!(count(&calls, &READS) >= 2 * REQUESTS, "the trace missed something: {names:?}");
    assert!(count(&calls, &READS) <= 2 * REQUESTS + ticks, "reads: {names:?}");
    assert!(count(&calls, &WRITES) >= 2 * REQUESTS, "the trace missed something: {names:?}");
    assert!(count(&calls, &WRITES) <= 2 * REQUESTS + ticks, "writes: {names:?}");
    assert!(count(&calls, &WAITS) <= 2 * REQUESTS + 2 * ticks, "waits: {names:?}");
    let all = count(&calls, &READS) + count(&calls, &WRITES) + count(&calls, &WAITS);
    assert!(calls.len() - all <= ticks, "other calls: {names:?}");
}

/// Frames of HTTP/2 leave with their headers, and short ones together.
#[test]
fn frames_take_no_more_writes_than_their_bytes_ask_for() {
    let size = |target: &str| target[1..].parse().unwrap_or(2);
    let origin = Origin::answering(move |request| reply(200, &[], &"x".repeat(size(&request.target))));
    let lab = lab(origin).start();
    let worker = busiest_thread(&lab, &mut lab.connect());
    let mut connection = h2::Connection::open(&lab.client());
    let trace = Trace::attach(worker, &["-e", "trace=network,desc,read,write"]);
    let before = trace.calls().len();
    let _ = connection.get("/1000000").expect(200);
    let frames = connection.seen[&kind::DATA];
    let calls = trace.detach().split_off(before);
    let writes = count(&calls, &WRITES);
    assert!((10..=frames + 30).contains(&writes), "{writes} writes for {frames} frames");
}

/// Bytes that a call took from where they came; half of them for one that is made twice.
fn moved(call: &Call) -> usize {
    let share = match call.name.as_str() {
        SPLICE => 2,
        name if READS.contains(&name) => 1,
        _ => return 0,
    };
    let result = call.text.rsplit(" = ").next().unwrap_or_default();
    result.trim().parse().unwrap_or(0) / share
}

/// What came last may wait for the end of the connection only where that follows at once.
fn expect_the_end_with_the_last_bytes(origin: Origin, request: &str) {
    let lab = Lab::new().origin(origin).workers(1).start();
    let worker = busiest_thread(&lab, &mut lab.connect());
    let trace = Trace::attach(worker, &["-e", "trace=network,desc,read,write"]);
    let before = trace.calls().len();
    for _ in 0..3 {
        let mut connection = lab.connect();
        connection.send(request);
        let _ = connection.receive();
        connection.expect_end();
    }
    let calls = trace.detach().split_off(before);
    let last = |call: &&Call| call.text.contains("MSG_MORE");
    assert_eq!(calls.iter().filter(last).count(), 3, "one write for each response");
    let mut held = false;
    for call in calls {
        assert!(!held || !WAITS.contains(&call.name.as_str()), "bytes are held back: {call:?}");
        held = (held || last(&&call)) && call.name != "shutdown";
    }
    assert!(!held);
}

#[test]
fn the_last_bytes_of_a_response_leave_with_the_end_of_its_connection() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let origin = Origin::answering(move |_| response.into());
        expect_the_end_with_the_last_bytes(origin, request);
    }
}

#[test]
fn the_last_bytes_of_an_error_leave_with_the_end_of_its_connection() {
    let malformed = "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    expect_the_end_with_the_last_bytes(Origin::saying("x"), malformed);
}

/// What nobody has to look at stays in the kernel.
#[test]
fn a_long_body_is_not_copied() {
    let lab = Lab::new().origin(Origin::answering(much)).workers(1).start();
    let mut connection = lab.connect();
    let worker = busiest_thread(&lab, &mut connection);
    let trace = Trace::attach(worker, &["-e", "trace=network,desc,read,write"]);
    let before = trace.calls().len();
    let _ = connection.get("/much").expect(200);
    connection.send_request("POST", "/", &"x".repeat(MUCH));
    let _ = connection.receive().expect(200);
    let calls = trace.detach().split_off(before);
    let spliced: usize = calls.iter().filter(|call| call.name == SPLICE).map(moved).sum();
    assert!(spliced >= 2 * MUCH * 9 / 10, "{spliced} bytes of {}", 2 * MUCH);
}

#[test]
fn where_nothing_may_be_spliced_bodies_are_copied() {
    let lab = Lab::new().origin(Origin::answering(much)).workers(1).start();
    let mut connection = lab.connect();
    let worker = busiest_thread(&lab, &mut connection);
    let trace = Trace::attach(worker, &["-e", "trace=splice", "-e", "inject=splice:error=EPERM"]);
    for _ in 0..2 {
        assert_eq!(connection.get("/much").expect(200).body.data.len(), MUCH);
    }
    assert_eq!(trace.detach().len(), 1, "it is tried once");
    assert_eq!(lab.origin(1).connections(), 1);
}

/// However much one connection has to say, the event loop looks after others in between.
fn expect_others_to_have_their_turn(origin: Origin, act: impl FnOnce(&mut Connection)) {
    let lab = Lab::new().origin(origin).workers(1).start();
    let mut connection = lab.connect();
    let worker = busiest_thread(&lab, &mut connection);
    let trace = Trace::attach(worker, &["-e", "trace=network,desc,read,write"]);
    let before = trace.calls().len();
    act(&mut connection);
    let calls = trace.detach().split_off(before);
    let (mut all, mut most, mut since_wait) = (0, 0, 0);
    for call in calls {
        if WAITS.contains(&call.name.as_str()) {
            since_wait = 0;
        } else {
            since_wait += moved(&call);
            all += moved(&call);
            most = most.max(since_wait);
        }
    }
    assert!(all >= MUCH, "the trace missed something: {all}");
    // Read and written are 256 KiB of a body, and before that what came with a head.
    assert!(most <= 2 * (256 + 16) * 1024, "{most} bytes without a look at others");
}

fn much(request: &Request) -> Vec<u8> {
    reply(200, &[], &"x".repeat(if request.target == "/much" { MUCH } else { 1 }))
}

#[test]
fn a_large_response_lets_others_have_their_turn() {
    expect_others_to_have_their_turn(Origin::answering(much), |connection| {
        let _ = connection.get("/much").expect(200);
    });
}

#[test]
fn a_large_request_lets_others_have_their_turn() {
    expect_others_to_have_their_turn(Origin::answering(much), |connection| {
        connection.send_request("POST", "/", &"x".repeat(MUCH));
        let _ = connection.receive().expect(200);
    });
}

#[test]
fn a_busy_tunnel_lets_others_have_their_turn() {
    let origin = Origin::scripted(|peer| {
        while let Some(request) = peer.request() {
            if request.target != "/much" {
                peer.answer(&request, &reply(200, &[], ""));
                continue;
            }
            peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: much\r\n\r\n");
            peer.send(vec![b'x'; MUCH]);
            return;
        }
    });
    expect_others_to_have_their_turn(origin, |connection| {
        connection.send("GET /much HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: much\r\n\r\n");
        let _ = connection.receive_head().expect(101);
        assert_eq!(connection.rest().len(), MUCH);
    });
}

/// The thread whose context switches grow with requests is the worker.
fn busiest_thread(lab: &ropeway_e2e::Running, connection: &mut Connection) -> u32 {
    let switches = |thread: u32| -> u64 {
        let path = format!("/proc/{}/task/{thread}/status", lab.proxy.id());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    };
    let threads: Vec<u32> = lab.proxy.threads().into_iter().map(|(thread, _)| thread).collect();
    let before: Vec<u64> = threads.iter().map(|thread| switches(*thread)).collect();
    for _ in 0..100 {
        let _ = connection.get("/").expect(200);
    }
    let grown = threads.iter().zip(before).map(|(thread, before)| (switches(*thread) - before, *thread));
    grown.max().expect("a process has threads").1
}
