//! What the HTTP/1 codec and the forwarding fields cost, in nanoseconds per message.
//!
//! Run with `cargo bench -p ropeway-core --bench http1`. Prints the median of many rounds; a measurement, not a test.

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use ropeway_core::forwarding::{Arrival, ForwardingPolicy};
use ropeway_core::http1::{
    BodyDecoder, BodyFraming, BodyLimits, HeadLimits, HeadScan, RequestHead, ResponseHead,
};

const REQUEST: &[u8] = b"GET /assets/img/logo.png?version=20240501 HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0\r\n\
    Accept: image/avif,image/webp,*/*\r\n\
    Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Connection: keep-alive\r\n\
    Referer: https://shop.example.com/catalogue/summer?page=2\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: nginx/1.27.0\r\n\
    Date: Wed, 01 May 2024 10:00:00 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Content-Length: 128\r\n\
    Connection: keep-alive\r\n\
    ETag: \"6631f5a0-80\"\r\n\r\n";

const ROUNDS: usize = 1001;
/// So few that a round is much shorter than a time slice: on a busy machine most rounds are then undisturbed.
const CALLS: u32 = 1_000;

fn main() {
    request_costs();
    response_costs();
    forwarding_costs();
    chunked_costs();
}

/// Prints the median over all rounds of the time of one call.
fn measure(what: &str, mut call: impl FnMut()) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..CALLS).for_each(|_| call());
            start.elapsed().as_nanos() as f64 / f64::from(CALLS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("{what:<44} {:>8.1} ns", rounds.get(ROUNDS / 2).copied().unwrap_or_default());
}

fn request_costs() {
    let limits = HeadLimits::default();
    let mut head = RequestHead::new();
    let mut out = Vec::with_capacity(4096);
    println!("request, 8 fields, {} bytes", REQUEST.len());
    measure("  scan for its end", || {
        let _ = black_box(HeadScan::new().is_complete(black_box(REQUEST)));
    });
    measure("  parse", || {
        let _ = black_box(head.parse(black_box(REQUEST), &limits));
    });
    measure("  strip", || black_box(&mut head).strip_hop_by_hop());
    measure("  serialise", || {
        out.clear();
        black_box(&head).write_request_line(&mut out);
        head.head.write_fields(&mut out);
        black_box(&out);
    });
    measure("  parse + strip + serialise", || {
        let _ = black_box(head.parse(black_box(REQUEST), &limits));
        head.strip_hop_by_hop();
        out.clear();
        head.write_request_line(&mut out);
        head.head.write_fields(&mut out);
        black_box(&out);
    });
}

fn response_costs() {
    let limits = HeadLimits::default();
    let mut head = ResponseHead::new();
    let mut out = Vec::with_capacity(4096);
    println!("response, 6 fields, {} bytes", RESPONSE.len());
    measure("  parse", || {
        let _ = black_box(head.parse(black_box(RESPONSE), &limits));
    });
    measure("  parse + strip + serialise", || {
        let _ = black_box(head.parse(black_box(RESPONSE), &limits));
        head.strip_hop_by_hop();
        out.clear();
        head.write_status_line(&mut out);
        head.head.write_fields(&mut out);
        black_box(&out);
    });
}

fn forwarding_costs() {
    let policy = ForwardingPolicy::default();
    let arrival =
        Arrival { peer: IpAddr::from([203, 0, 113, 7]), peer_port: 50_123, local_port: 8080, https: false };
    let mut head = RequestHead::new();
    let mut out = Vec::with_capacity(4096);
    let _ = head.parse(REQUEST, &HeadLimits::default());
    println!("forwarding fields, defaults");
    measure("  strip", || policy.strip(black_box(&mut head), &arrival));
    measure("  write", || {
        out.clear();
        policy.write(&mut out, black_box(&head), &arrival);
        black_box(&out);
    });
}

fn chunked_costs() {
    let mut body = Vec::new();
    for _ in 0..16 {
        body.extend_from_slice(b"400\r\n");
        body.extend_from_slice(&[b'x'; 0x400]);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    println!("chunked body, 16 chunks of 1 KiB");
    measure("  decode", || {
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked, &BodyLimits::default());
        let mut rest = black_box(&body[..]);
        while let Ok(decoded) = decoder.decode(rest)
            && !decoded.end
        {
            black_box(decoded.data);
            rest = rest.get(decoded.consumed..).unwrap_or_default();
        }
    });
}
