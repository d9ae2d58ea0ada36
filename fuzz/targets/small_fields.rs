//! Any bytes as the value of a small field: a call's type, time-out, status and message, and a priority. Reading never
//! panics, and what was understood can be written and means the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_core::grpc::{
    GrpcContentType, GrpcFlavour, GrpcStatus, read_timeout, write_message, write_timeout,
};
use ropeway_core::priority::Priority;

fuzz_target!(|value: &[u8]| {
    content_type(value);
    timeout(value);
    message(value);
    priority(value);
    let status = GrpcStatus::parse(value);
    assert_eq!(GrpcStatus::parse(status.code().to_string().as_bytes()), status);
});

fn content_type(value: &[u8]) {
    let Some(read) = GrpcContentType::parse(value) else { return };
    for flavour in [GrpcFlavour::Grpc, GrpcFlavour::Web, GrpcFlavour::WebText] {
        let (expected, mut out) = (read.in_flavour(flavour), Vec::new());
        expected.write(&mut out);
        assert_eq!(GrpcContentType::parse(&out), Some(expected), "{}", out.escape_ascii());
    }
}

fn timeout(value: &[u8]) {
    let Some(read) = read_timeout(value) else { return };
    let mut out = Vec::new();
    write_timeout(read, &mut out);
    // Eight digits of any unit fit into eight digits of the smallest unit with room, or are rounded up to them.
    let again = read_timeout(&out).expect("what was written");
    assert!(again >= read && again - read <= read / 1_000_000 + std::time::Duration::from_nanos(1));
}

fn message(value: &[u8]) {
    let mut out = Vec::new();
    write_message(&String::from_utf8_lossy(value), &mut out);
    assert!(out.iter().all(|byte| (b' '..=b'~').contains(byte)));
}

fn priority(value: &[u8]) {
    let (read, mut out) = (Priority::parse(value), Vec::new());
    assert!(read.urgency <= 7);
    read.write(&mut out);
    assert_eq!(Priority::parse(&out), read);
    // Two field lines are one with a comma between them (RFC 9110 5.3), unless a string is left open.
    if !value.contains(&b'"') {
        assert_eq!(read.updated(b"u=1"), Priority::parse(&[value, b", u=1"].concat()));
    }
}
