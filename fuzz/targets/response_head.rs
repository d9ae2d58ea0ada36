//! Any bytes as a response head: as for requests, for the methods that change how a response is framed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ropeway_core::http1::{
    BodyFraming, HeadLimits, Method, Progress, ResponseHead, TRANSFER_ENCODING_CHUNKED,
};
use ropeway_fuzz::reference::{self, Body};

const METHODS: [(Method, &str); 3] =
    [(Method::Get, "GET"), (Method::Head, "HEAD"), (Method::Connect, "CONNECT")];

fuzz_target!(|input: &[u8]| {
    let (mut head, limits) = (ResponseHead::new(), HeadLimits::default());
    let Ok(Progress::Complete { consumed }) = head.parse(input, &limits) else { return };
    let mut again = ResponseHead::new();
    assert_eq!(again.parse(&input[..consumed - 1], &limits), Ok(Progress::Partial));
    assert_eq!(again.parse(&input[..consumed], &limits), Ok(Progress::Complete { consumed }));

    head.strip_hop_by_hop();
    let framings = METHODS.map(|(method, name)| head.framing_for(method).map(|framing| (name, framing)));
    for (name, framing) in framings.into_iter().flatten() {
        forwarded_is_one_response(&head, name, framing);
    }
});

fn forwarded_is_one_response(head: &ResponseHead, method: &str, framing: BodyFraming) {
    let sent = forward(head, framing);
    let seen =
        reference::Head::read(&sent).unwrap_or_else(|rule| panic!("{rule} in {}", sent.escape_ascii()));
    assert_eq!(seen.len, sent.len(), "more than one response in {}", sent.escape_ascii());
    assert_eq!(seen.start[0], b"HTTP/1.1");
    assert_eq!(seen.start[1], head.status().to_string().as_bytes());
    assert_eq!(seen.start[2], head.reason());
    let body = match framing {
        BodyFraming::None => Body::None,
        BodyFraming::Length(length) => Body::Length(length),
        BodyFraming::Chunked | BodyFraming::UntilClose => Body::Chunked,
        BodyFraming::Stream => panic!("HTTP/1 has no streams"),
    };
    assert_eq!(seen.response_body(method), Ok(body), "{method} {}", sent.escape_ascii());
}

/// The head as it is sent to an HTTP/1.1 client; a body of unknown length goes there in chunks.
fn forward(head: &ResponseHead, framing: BodyFraming) -> Vec<u8> {
    let mut out = Vec::new();
    head.write_status_line(&mut out);
    head.head.write_fields(&mut out);
    if matches!(framing, BodyFraming::Chunked | BodyFraming::UntilClose) {
        out.extend_from_slice(TRANSFER_ENCODING_CHUNKED);
    }
    out.extend_from_slice(b"\r\n");
    out
}
