//! Any bytes as a request head: reading never panics and does not depend on how the bytes arrive, and what we would
//! send on is, to an independent strict reader, exactly one request with the meaning that we saw.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use ropeway_core::forwarding::{Arrival, ForwardingPolicy};
use ropeway_core::http1::{
    BodyFraming, HeadLimits, HeadScan, Known, Progress, RequestHead, TRANSFER_ENCODING_CHUNKED,
};
use ropeway_fuzz::reference::{self, Body};

const ARRIVAL: Arrival = Arrival {
    peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    peer_port: 40_000,
    local_port: 80,
    https: false,
};

/// Fields that end at this hop, whoever sent them.
const HOP_BY_HOP: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "te", "upgrade"];

fuzz_target!(|input: &[u8]| {
    let mut head = RequestHead::new();
    let Ok(Progress::Complete { consumed }) = head.parse(input, &HeadLimits::default()) else { return };
    arrival_makes_no_difference(&input[..consumed]);
    forwarded_is_one_request(&mut head);
});

fn arrival_makes_no_difference(received: &[u8]) {
    let (last, limits) = (received.len() - 1, HeadLimits::default());
    let mut head = RequestHead::new();
    assert_eq!(head.parse(&received[..last], &limits), Ok(Progress::Partial));
    assert_eq!(head.parse(received, &limits), Ok(Progress::Complete { consumed: received.len() }));

    let mut scan = HeadScan::new();
    for end in 1..received.len() {
        assert_eq!(scan.is_complete(&received[..end]), Ok(false));
    }
    assert_eq!(scan.is_complete(received), Ok(true));
}

fn forwarded_is_one_request(head: &mut RequestHead) {
    let sent = forward(head);
    let seen =
        reference::Head::read(&sent).unwrap_or_else(|rule| panic!("{rule} in {}", sent.escape_ascii()));
    assert_eq!(seen.len, sent.len(), "more than one request in {}", sent.escape_ascii());
    assert_eq!(seen.start[0], head.method_bytes());
    assert_eq!(seen.start[1], target_for_the_server(head));
    assert_eq!(seen.start[2], b"HTTP/1.1");
    assert_eq!(seen.values("host"), [head.authority()]);
    assert_eq!(seen.values("x-forwarded-for"), [b"192.0.2.1"]);
    for name in HOP_BY_HOP {
        assert!(seen.values(name).is_empty(), "{name} in {}", sent.escape_ascii());
    }
    let body = match head.framing() {
        BodyFraming::None => Body::None,
        BodyFraming::Length(length) => Body::Length(length),
        BodyFraming::Chunked => Body::Chunked,
        BodyFraming::UntilClose => panic!("a request cannot end with its connection"),
        BodyFraming::Stream => panic!("HTTP/1 has no streams"),
    };
    assert_eq!(seen.request_body(), Ok(body));
}

/// The head as it is sent to a server.
fn forward(head: &mut RequestHead) -> Vec<u8> {
    let policy = ForwardingPolicy::default();
    let mut out = Vec::new();
    head.strip_hop_by_hop();
    policy.strip(head, &ARRIVAL);
    head.head.remove(Known::Host);
    head.write_request_line(&mut out);
    out.extend_from_slice(b"Host: ");
    out.extend_from_slice(head.authority());
    out.extend_from_slice(b"\r\n");
    head.head.write_fields(&mut out);
    policy.write(&mut out, head, &ARRIVAL);
    if head.framing() == BodyFraming::Chunked {
        out.extend_from_slice(TRANSFER_ENCODING_CHUNKED);
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// The target as received, or path and query of one that names scheme and authority.
fn target_for_the_server(head: &RequestHead) -> Vec<u8> {
    let target = head.target();
    if target.starts_with(b"/") || !target.windows(3).any(|window| window == b"://") {
        return target.to_vec();
    }
    let query = head.query().map(|query| [b"?", query].concat()).unwrap_or_default();
    [head.path(), &query].concat()
}
