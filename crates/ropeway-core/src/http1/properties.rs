//! What holds for any bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::strict_reader::{Fields, StrictRequest, read_request};
use super::*;

/// The pieces that requests, and attacks on their readers, are made of.
const REQUEST_PIECES: &[&str] = &[
    "GET ",
    "POST ",
    "OPTIONS ",
    "CONNECT ",
    "/",
    "/a?b=c",
    "*",
    "http://Other.example:81/x?y",
    "h:443",
    "/%2e/",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    " HTTP/2.0\r\n",
    "Host: a.example\r\n",
    "Host: b\r\n",
    "host:A.Example.:80\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: +5\r\n",
    "content-length:0\r\n",
    "Content-Length: 5, 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "transfer-encoding:\tChunked \r\n",
    "Transfer_Encoding: chunked\r\n",
    "Connection: close, x-a, host, content-length\r\n",
    "Connection: upgrade\r\n",
    "Upgrade: websocket\r\n",
    "TE: trailers\r\n",
    "X-A: 1\r\n",
    "x-forwarded-for: 1.2.3.4, 5.6.7.8\r\n",
    "Expect: 100-continue\r\n",
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    ":",
    "hello",
    "5\r\nhello\r\n",
    "0\r\n",
    "0\r\n\r\n",
    "5;a=\"b\\\"\"\r\n",
    "T: x\r\n",
    "Content-Length : 5\r\n",
    " folded\r\n",
    "\u{e4}",
];

/// Bytes near enough to requests to get far into the reader.
fn request_like() -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec(prop::sample::select(REQUEST_PIECES), 0..14);
    let valid = (0..4_usize, pieces.clone(), 0..3_usize).prop_map(|(start, pieces, body)| {
        let start = [
            "GET / HTTP/1.1\r\n",
            "POST /p?q HTTP/1.1\r\n",
            "PUT http://T.example HTTP/1.1\r\n",
            "GET /o HTTP/1.0\r\n",
        ][start];
        let fields: String =
            pieces.into_iter().filter(|piece| piece.ends_with("\r\n") && piece.contains(": ")).collect();
        let body = ["", "hello", "5;x\r\nhello\r\n0\r\nT: x\r\nHost: evil\r\n\r\n"][body];
        format!("{start}Host: s.example\r\n{fields}\r\n{body}").into_bytes()
    });
    prop_oneof![
        2 => valid,
        2 => pieces.prop_map(|pieces| pieces.concat().into_bytes()),
        1 => vec(any::<u8>(), 0..200),
    ]
}

fn chunked_like() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] = &[
        "5\r\nhello\r\n",
        "0005\r\nworld\r\n",
        "1;a\r\nx\r\n",
        "1;a=b;c=\"d\\\"\";e\r\ny\r\n",
        "0\r\n",
        "\r\n",
        "T: 1\r\n",
        "0\r\n\r\n",
        "x",
        "\n",
        "\r",
        "-1",
        "10\r\n",
        "ffffffffffffffff\r\n",
        " ",
        "0\r\nT: 1\r\nU: 2\r\n\r\n",
    ];
    let pieces = vec(prop::sample::select(PIECES), 0..10);
    prop_oneof![4 => pieces.prop_map(|pieces| pieces.concat().into_bytes()), 1 => vec(any::<u8>(), 0..64)]
}

/// What a reader of a body found in the end.
#[derive(Debug, PartialEq, Eq)]
struct ReadBody {
    data: Vec<u8>,
    consumed: usize,
    end: Result<bool, BodyError>,
    trailers: Fields,
}

/// Reads a body of which ever more arrives: first the bytes before the first cut, then up to the second, and so on.
fn read_body(framing: BodyFraming, input: &[u8], cuts: &[usize]) -> ReadBody {
    let mut decoder = BodyDecoder::new(framing, &BodyLimits::default());
    let mut read = ReadBody { data: Vec::new(), consumed: 0, end: Ok(false), trailers: Vec::new() };
    let mut ends: Vec<usize> = cuts.iter().map(|&cut| cut.min(input.len())).collect();
    ends.sort_unstable();
    ends.push(input.len());
    for end in ends {
        loop {
            match decoder.decode(&input[read.consumed..end]) {
                Ok(decoded) => {
                    read.consumed += decoded.consumed;
                    read.data.extend_from_slice(decoded.data);
                    read.end = Ok(decoded.end);
                    if decoded.end || (decoded.data.is_empty() && read.consumed == end) {
                        break;
                    }
                }
                Err(error) => {
                    // How much was consumed before the error depends on the cuts, and means nothing.
                    return ReadBody { consumed: 0, end: Err(error), ..read };
                }
            }
        }
    }
    let fields = decoder.trailers().into_iter().flat_map(Head::fields);
    read.trailers = fields.map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
    read
}

/// What the data plane does with a request: everything but the sockets. The request as a strict reader sees it, and
/// the body as we saw it.
fn relay(input: &[u8]) -> Option<(StrictRequest, Vec<u8>)> {
    let mut request = RequestHead::new();
    let Ok(Progress::Complete { consumed }) = request.parse(input, &HeadLimits::default()) else {
        return None;
    };
    let mut body = Vec::new();
    let mut decoder = BodyDecoder::new(request.framing(), &BodyLimits::default());
    let mut encoder = BodyEncoder::new(request.framing());
    let mut out = relay_head(&mut request);
    let mut rest = &input[consumed..];
    loop {
        let decoded = decoder.decode(rest).ok()?;
        encoder.write_data(decoded.data, &mut out);
        body.extend_from_slice(decoded.data);
        rest = &rest[decoded.consumed..];
        if decoded.end {
            break;
        }
        if decoded.data.is_empty() {
            return None;
        }
    }
    encoder.write_end(decoder.trailers(), &mut out);
    let sent = String::from_utf8_lossy(&out).into_owned();
    let seen = read_request(&out).unwrap_or_else(|error| panic!("{error} in {sent:?}"));
    assert_eq!(seen.method, request.method_bytes());
    if request.target_form() != TargetForm::Authority {
        assert!(seen.target.starts_with(request.path()), "{sent:?}");
    }
    Some((seen, body))
}

fn relay_head(request: &mut RequestHead) -> Vec<u8> {
    let mut out = Vec::new();
    request.strip_hop_by_hop();
    request.write_request_line(&mut out);
    if request.head.get(Known::Host).is_none() {
        out.extend_from_slice(b"Host: fallback.example\r\n");
    }
    request.head.write_fields(&mut out);
    if request.framing() == BodyFraming::Chunked {
        out.extend_from_slice(TRANSFER_ENCODING_CHUNKED);
    }
    out.extend_from_slice(b"\r\n");
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever we send on is exactly one request to a strict reader, with the same body and nothing after it.
    #[test]
    fn what_is_sent_on_is_one_request(input in request_like()) {
        if let Some((seen, body)) = relay(&input) {
            prop_assert_eq!(&seen.body, &body);
            // Of the trailers that are sent, only this one may be sent on.
            prop_assert!(seen.trailers.iter().all(|(name, _)| name == b"T"));
            prop_assert!(seen.values("connection").is_empty());
        }
    }

    /// RFC 9112 says nothing about how bytes arrive, so it must not matter.
    #[test]
    fn a_request_head_reads_alike_in_pieces(input in request_like()) {
        let limits = HeadLimits::default();
        let mut whole = RequestHead::new();
        let expected = whole.parse(&input, &limits);
        let mut pieces = RequestHead::new();
        let early = (0..=input.len()).map(|end| pieces.parse(&input[..end], &limits)).find(|result| *result != Ok(Progress::Partial));
        match early {
            None => prop_assert_eq!(expected, Ok(Progress::Partial)),
            Some(result) => prop_assert_eq!(result, expected),
        }
    }

    /// Reading a head only once the scan found its end accepts and refuses the same requests.
    #[test]
    fn the_scan_agrees_with_the_reader(input in request_like()) {
        let whole = RequestHead::new().parse(&input, &HeadLimits::default());
        let mut scan = HeadScan::new();
        let scanned = (0..=input.len()).map(|end| scan.is_complete(&input[..end])).find(|result| *result != Ok(false));
        match (whole, scanned) {
            (Ok(Progress::Complete { consumed }), scanned) => {
                prop_assert_eq!(scanned, Some(Ok(true)));
                prop_assert_eq!(scan.scanned(), consumed);
            }
            (Ok(Progress::Partial), scanned) => prop_assert_ne!(scanned, Some(Ok(true))),
            (Err(_), _) => {}
        }
    }

    #[test]
    fn a_response_head_reads_alike_in_pieces(
        start in prop::sample::select(&["HTTP/1.1 200 OK\r\n", "HTTP/1.0 304 \r\n", "HTTP/1.1 204\r\n", "HTTP/1.1 99", "HTTP/2", ""][..]),
        rest in request_like(),
    ) {
        let input = [start.as_bytes(), &rest].concat();
        let limits = HeadLimits::default();
        let expected = ResponseHead::new().parse(&input, &limits);
        let mut pieces = ResponseHead::new();
        let early = (0..=input.len()).map(|end| pieces.parse(&input[..end], &limits)).find(|result| *result != Ok(Progress::Partial));
        prop_assert_eq!(early.unwrap_or(Ok(Progress::Partial)), expected);
    }

    #[test]
    fn a_chunked_body_reads_alike_in_pieces(input in chunked_like(), cuts in vec(0..80_usize, 0..8)) {
        let every_byte: Vec<usize> = (0..input.len()).collect();
        let whole = read_body(BodyFraming::Chunked, &input, &[]);
        prop_assert_eq!(&read_body(BodyFraming::Chunked, &input, &cuts), &whole);
        prop_assert_eq!(&read_body(BodyFraming::Chunked, &input, &every_byte), &whole);
    }

    #[test]
    fn what_is_encoded_is_decoded(
        runs in vec(vec(any::<u8>(), 0..600), 0..6),
        cuts in vec(0..4000_usize, 0..5),
        chunked in any::<bool>(),
        after in vec(any::<u8>(), 0..10),
    ) {
        let data = runs.concat();
        let framing = if chunked { BodyFraming::Chunked } else { BodyFraming::Length(data.len() as u64) };
        let mut encoder = BodyEncoder::new(framing);
        let mut encoded = Vec::new();
        runs.iter().for_each(|run| encoder.write_data(run, &mut encoded));
        encoder.write_end(None, &mut encoded);
        let length = encoded.len();
        encoded.extend_from_slice(&after);
        let read = read_body(framing, &encoded, &cuts);
        prop_assert_eq!(read.end, Ok(true));
        prop_assert_eq!(read.consumed, length);
        prop_assert_eq!(read.data, data);
    }

    /// A head that was written reads as what was written.
    #[test]
    fn a_written_head_reads_as_itself(input in request_like()) {
        let limits = HeadLimits::default();
        let mut first = RequestHead::new();
        let complete = matches!(first.parse(&input, &limits), Ok(Progress::Complete { .. }));
        // What the data plane adds is the business of the property on what is sent on.
        if !complete || first.head.get(Known::Host).is_none() || first.framing() == BodyFraming::Chunked {
            return Ok(());
        }
        first.strip_hop_by_hop();
        let mut out = Vec::new();
        first.write_request_line(&mut out);
        first.head.write_fields(&mut out);
        out.extend_from_slice(b"\r\n");
        let mut second = RequestHead::new();
        prop_assert_eq!(second.parse(&out, &limits), Ok(Progress::Complete { consumed: out.len() }));
        prop_assert!(first.head.fields().eq(second.head.fields()));
        prop_assert_eq!((first.path(), first.host(), first.framing()), (second.path(), second.host(), second.framing()));
    }

    /// A used head gives the same answers as a new one.
    #[test]
    fn nothing_is_left_of_an_earlier_request(before in request_like(), input in request_like()) {
        let limits = HeadLimits::default();
        let (mut new, mut used) = (RequestHead::new(), RequestHead::new());
        let _ = used.parse(&before, &limits);
        used.strip_hop_by_hop();
        prop_assert_eq!(used.parse(&input, &limits), new.parse(&input, &limits));
        prop_assert!(new.head.fields().eq(used.head.fields()));
        prop_assert_eq!((new.host(), new.target(), new.upgrade()), (used.host(), used.target(), used.upgrade()));
    }
}

/// The pieces must reach the code that they are meant for, or the properties above prove nothing.
#[test]
fn the_generator_reaches_accepted_requests() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = request_like();
    let accepted =
        (0..2000).filter(|_| relay(&strategy.new_tree(&mut runner).unwrap().current()).is_some()).count();
    assert!(accepted > 100, "{accepted} of 2000");
}
