//! A keep-alive request allocates nothing once the worker is warm.
//!
//! The whole process is counted: the client and the origins of this test allocate nothing themselves while they are
//! measured, so whatever is counted is the worker's.

mod lab;

use std::alloc::System;
use std::net::TcpStream;

use ropeway_proxy::access_log::{LogFormat, LogTarget};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello world\n";
const REQUEST: &[u8] = b"GET /some/path?with=query HTTP/1.1\r\nHost: shop.example.com\r\n\
    User-Agent: test/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nCookie: a=b; c=d\r\n\r\n";

const WARM_UP: usize = 400;
const MEASURED: usize = 2_000;

#[test]
fn a_keep_alive_request_allocates_nothing() {
    let origins = [lab::origin(RESPONSE), lab::origin(RESPONSE), lab::origin(RESPONSE)];
    let (runtime, address) =
        lab::start(&origins, Some(LogTarget { destination: 0, format: LogFormat::Json }));
    let records = runtime.log_batches().unwrap();
    // Reads the log as a writer would: what it takes is given back at once.
    std::thread::spawn(move || while records.recv(std::time::Duration::from_secs(1)).is_ok() {});
    let mut stream = TcpStream::connect(address).unwrap();
    let length = response_length(&mut stream);
    for _ in 0..WARM_UP {
        lab::ask(&mut stream, REQUEST, length);
    }
    let region = Region::new(ALLOCATOR);
    for _ in 0..MEASURED {
        lab::ask(&mut stream, REQUEST, length);
    }
    let change = region.change();
    assert_eq!(change.allocations + change.reallocations, 0, "{change:?} for {MEASURED} requests");
}

/// The length of a response as the proxy sends it: all servers have names of the same length.
fn response_length(stream: &mut TcpStream) -> usize {
    use std::io::{Read, Write};
    stream.write_all(REQUEST).unwrap();
    let mut response = Vec::new();
    let mut byte = [0];
    while !response.ends_with(b"hello world\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1);
        response.push(byte[0]);
    }
    response.len()
}
