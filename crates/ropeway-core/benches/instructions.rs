//! One piece of the request path at a time, for counting its instructions.
//!
//! `instructions CASE CALLS` prepares the case and calls it so many times. The difference between two numbers of
//! calls, under an instruction counter, is the exact cost of the calls between: `cargo xtask budgets` does that and
//! compares with what is allowed. Without arguments it lists the cases.

use std::hint::black_box;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use ropeway_core::balance::{Candidate, Live, PeakEwma, Pick, PickTable, Policy, Rng, WEIGHT_UNIT, hash_key};
use ropeway_core::forwarding::{Arrival, ForwardingPolicy};
use ropeway_core::http1::{HeadLimits, RequestHead, ResponseHead};
use ropeway_core::http2::{Connection, Event, Limits, Manner, Scratch, Side};
use ropeway_core::route::{HostMatch, PathMatch, RouteInput, RouteMatch, RouteTable};

const REQUEST: &[u8] = b"GET /service-00000/items/4711?page=2 HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: origin\r\n\
    Date: Tue, 01 Sep 2026 10:00:00 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Content-Length: 128\r\n\
    Connection: keep-alive\r\n\r\n";

/// A name, and what prepares the case and calls it so many times.
type Case = (&'static str, fn(u32));

const CASES: [Case; 9] = [
    ("parse_request", parse_request),
    ("serialise_request", serialise_request),
    ("parse_response", parse_response),
    ("serialise_response", serialise_response),
    ("http2_exchange", http2_exchange),
    ("route_1", |calls| route(1, calls)),
    ("route_10000", |calls| route(10_000, calls)),
    ("pick_round_robin", |calls| pick(&Policy::RoundRobin, calls)),
    ("pick_power_of_two", |calls| pick(&Policy::PowerOfTwo, calls)),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| !one.starts_with('-')).collect();
    let [name, calls] = &arguments[..] else {
        CASES.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let case = CASES.iter().find(|(known, _)| known == name);
    let (Some((_, run)), Ok(calls)) = (case, calls.parse()) else {
        eprintln!("usage: instructions CASE CALLS");
        return ExitCode::from(2);
    };
    run(calls);
    ExitCode::SUCCESS
}

fn parse_request(calls: u32) {
    let (mut head, limits) = (RequestHead::new(), HeadLimits::default());
    for _ in 0..calls {
        black_box(head.parse(black_box(REQUEST), &limits).is_ok());
    }
}

/// A request from text to frames and back, and its response likewise, with a short body: both ends of a connection.
fn http2_exchange(calls: u32) {
    let limits = Limits {
        streams: 100,
        header_list: 64 * 1024,
        stream_window: 64 * 1024,
        connection_window: 1024 * 1024,
        max_frame: 16 * 1024,
    };
    let mut client = Connection::<()>::new(Side::Client { https: true }, limits);
    let mut server = Connection::<()>::new(Side::Server { most_resets: 100 }, limits);
    let mut scratch = Scratch::default();
    for _ in 0..calls {
        let Ok((stream, _)) = client.request(black_box(REQUEST), ()) else { return };
        client.end(stream);
        hear(&mut server, &mut client, &mut scratch);
        black_box(server.respond(stream, black_box(RESPONSE), Manner::Plain).is_ok());
        black_box(server.send(stream, &[b'x'; 128]).is_ok());
        server.end(stream);
        hear(&mut client, &mut server, &mut scratch);
        black_box((client.release(stream, 0), server.release(stream, 0)));
    }
}

/// What one says the other hears.
fn hear(to: &mut Connection<()>, from: &mut Connection<()>, scratch: &mut Scratch) {
    let mut input = from.output();
    while let Ok(Some(event)) = to.receive(&mut input, scratch) {
        if let Event::Data { stream, bytes, .. } = event {
            to.give_back(stream, bytes.len());
        }
    }
    from.clear_output();
}

/// From the parsed head to the bytes for the server, forwarding fields included.
fn serialise_request(calls: u32) {
    let (mut head, policy) = (RequestHead::new(), ForwardingPolicy::default());
    let arrival =
        Arrival { peer: IpAddr::from([203, 0, 113, 7]), peer_port: 50_123, local_port: 80, https: false };
    let mut out = Vec::with_capacity(4096);
    black_box(head.parse(REQUEST, &HeadLimits::default()).is_ok());
    for _ in 0..calls {
        out.clear();
        head.strip_hop_by_hop();
        policy.strip(&mut head, &arrival);
        black_box(&head).write_request_line(&mut out);
        head.head.write_fields(&mut out);
        policy.write(&mut out, &head, &arrival);
        black_box(&out);
    }
}

fn parse_response(calls: u32) {
    let (mut head, limits) = (ResponseHead::new(), HeadLimits::default());
    for _ in 0..calls {
        black_box(head.parse(black_box(RESPONSE), &limits).is_ok());
    }
}

fn serialise_response(calls: u32) {
    let mut head = ResponseHead::new();
    let mut out = Vec::with_capacity(4096);
    black_box(head.parse(RESPONSE, &HeadLimits::default()).is_ok());
    for _ in 0..calls {
        out.clear();
        head.strip_hop_by_hop();
        black_box(&head).write_status_line(&mut out);
        head.head.write_fields(&mut out);
        black_box(&out);
    }
}

struct Target;

impl RouteInput for Target {
    fn host(&self) -> &[u8] {
        b"shop.example.com"
    }

    fn path(&self) -> &[u8] {
        b"/service-00000/items/4711"
    }
}

fn route(routes: u32, calls: u32) {
    let path = |n| PathMatch::Prefix(format!("/service-{n:05}").into_bytes().into());
    let routes: Vec<_> = (0..routes).map(|n| RouteMatch { host: HostMatch::Any, path: path(n) }).collect();
    let table = RouteTable::build(&routes);
    for _ in 0..calls {
        black_box(table.find(black_box(&Target)));
    }
}

/// Three servers, none of which is busy.
struct Upstream {
    cursor: AtomicU64,
}

impl Live for Upstream {
    fn next_cursor(&self) -> u64 {
        self.cursor.fetch_add(1, Ordering::Relaxed)
    }

    fn in_flight(&self, server: u32) -> u32 {
        server
    }

    fn total_in_flight(&self) -> Option<u64> {
        Some(3)
    }

    fn latency(&self, _: u32) -> Option<&PeakEwma> {
        None
    }

    fn has_capacity(&self, _: u32) -> bool {
        true
    }
}

fn pick(policy: &Policy, calls: u32) {
    let identity = |n: u32| hash_key(format!("10.0.0.{n}:80").as_bytes());
    let candidates: Vec<_> =
        (0..3).map(|index| Candidate { index, weight: WEIGHT_UNIT, identity: identity(index) }).collect();
    let table = PickTable::build(policy, &candidates);
    let upstream = Upstream { cursor: AtomicU64::new(0) };
    let mut random = Rng::new(1);
    for _ in 0..calls {
        let request = Pick { hash: 1, random: &mut random, exclude: &[], now_us: 2_000_000 };
        black_box(table.pick(&upstream, request));
    }
}
