use super::*;
use crate::http1::Known;

/// All data of a chunked body that must be complete, and how many bytes it took.
fn decode(input: &[u8]) -> Result<(Vec<u8>, usize), BodyError> {
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked, &BodyLimits::default());
    decode_with(&mut decoder, input)
}

fn decode_with(decoder: &mut BodyDecoder, input: &[u8]) -> Result<(Vec<u8>, usize), BodyError> {
    let (mut data, mut consumed) = (Vec::new(), 0);
    loop {
        let decoded = decoder.decode(&input[consumed..])?;
        data.extend_from_slice(decoded.data);
        consumed += decoded.consumed;
        if decoded.end {
            return Ok((data, consumed));
        }
        assert!(!decoded.data.is_empty(), "incomplete: {:?}", String::from_utf8_lossy(input));
    }
}

#[track_caller]
fn assert_malformed(input: &[u8]) {
    let result = decode(input);
    assert!(
        matches!(result, Err(BodyError::Malformed(_))),
        "{result:?}: {:?}",
        String::from_utf8_lossy(input)
    );
}

/// Thousands of connections hold one.
#[test]
fn the_state_is_small() {
    assert!(size_of::<BodyDecoder>() <= 32, "{}", size_of::<BodyDecoder>());
}

#[test]
fn a_declared_length_ends_exactly() {
    let mut decoder = BodyDecoder::new(BodyFraming::Length(5), &BodyLimits::default());
    assert_eq!(decoder.remaining(), Some(5));
    assert_eq!(decoder.decode(b"hel"), Ok(Decoded { consumed: 3, data: b"hel", end: false }));
    assert_eq!(decoder.remaining(), Some(2));
    assert_eq!(decoder.decode(b"lo, next"), Ok(Decoded { consumed: 2, data: b"lo", end: true }));
    assert_eq!(decoder.decode(b", next"), Ok(Decoded { consumed: 0, data: b"", end: true }));
    assert!(decoder.is_done() && decoder.remaining() == Some(0));
}

/// What is passed on unseen counts like what was seen, and none of the next message is among it.
#[test]
fn only_bytes_that_must_be_data_are_opaque() {
    let limits = BodyLimits::default();
    let mut length = BodyDecoder::new(BodyFraming::Length(10), &limits);
    let _ = length.decode(b"hel").unwrap();
    assert_eq!(length.opaque(), 7);
    length.skip(5);
    assert_eq!((length.opaque(), length.is_done()), (2, false));
    assert_eq!(length.decode(b"lo, next"), Ok(Decoded { consumed: 2, data: b"lo", end: true }));
    assert_eq!(length.opaque(), 0);
    let mut skipped = BodyDecoder::new(BodyFraming::Length(10), &limits);
    skipped.skip(10);
    assert!(skipped.is_done());
    let mut until_close = BodyDecoder::new(BodyFraming::UntilClose, &limits);
    until_close.skip(u64::MAX);
    assert_eq!((until_close.opaque(), until_close.is_done()), (u64::MAX, false));
    for framing in [BodyFraming::None, BodyFraming::Chunked] {
        let mut decoder = BodyDecoder::new(framing, &limits);
        assert_eq!(decoder.opaque(), 0);
        let _ = decoder.decode(b"5\r\nhe");
        assert_eq!(decoder.opaque(), 0, "chunks are framing, too");
    }
}

#[test]
fn no_body_is_done_at_once() {
    for framing in [BodyFraming::None, BodyFraming::Length(0)] {
        let mut decoder = BodyDecoder::new(framing, &BodyLimits::default());
        assert!(decoder.is_done());
        assert_eq!(decoder.decode(b"next"), Ok(Decoded { consumed: 0, data: b"", end: true }));
        assert_eq!(decoder.finish_at_eof(), Ok(()));
    }
}

/// RFC 9112 8: what a closed connection means.
#[test]
fn only_a_body_without_length_ends_with_the_connection() {
    let mut until_close = BodyDecoder::new(BodyFraming::UntilClose, &BodyLimits::default());
    assert_eq!(until_close.decode(b"abc"), Ok(Decoded { consumed: 3, data: b"abc", end: false }));
    assert_eq!(until_close.finish_at_eof(), Ok(()));
    assert!(until_close.is_done());
    let mut length = BodyDecoder::new(BodyFraming::Length(5), &BodyLimits::default());
    assert_eq!(length.finish_at_eof(), Err(BodyError::Truncated));
    for input in [&b""[..], b"5", b"5\r\nhel", b"5\r\nhello\r\n", b"0\r\n", b"0\r\nT: x\r\n", b"0\r\n\r"] {
        let mut chunked = BodyDecoder::new(BodyFraming::Chunked, &BodyLimits::default());
        let mut rest = input;
        while !rest.is_empty() {
            let consumed = chunked.decode(rest).unwrap().consumed;
            rest = &rest[consumed..];
        }
        assert_eq!(chunked.finish_at_eof(), Err(BodyError::Truncated), "{input:?}");
    }
}

/// RFC 9112 7.1.
#[test]
fn chunks_are_joined_and_what_follows_is_left() {
    let input = b"5\r\nhello\r\n00a\r\n, world...\r\nA\r\n0123456789\r\n000\r\n\r\nGET /";
    assert_eq!(decode(input), Ok((b"hello, world...0123456789".to_vec(), input.len() - 5)));
}

/// RFC 9112 7.1: 1*HEXDIG.
#[test]
fn chunk_sizes_are_plain_hexadecimal() {
    for input in [
        &b"+5\r\nhello\r\n0\r\n\r\n"[..],
        b"-5\r\n",
        b"0x5\r\n",
        b"5_0\r\n",
        b" 5\r\n",
        b"5 \r\n",
        b"5\t\r\n",
        b"\r\n",
        b";a\r\n",
        b"g\r\n",
        b"5h\r\n",
        b"8000000000000000\r\n",
        b"10000000000000000\r\n",
        b"ffffffffffffffff\r\n",
        b"00000000000000005\r\n",
        b"5\x0b\r\n",
        b"5\0\r\n",
    ] {
        assert_malformed(input);
    }
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked, &BodyLimits::default());
    assert_eq!(decoder.decode(b"7fffffffffffffff\r\nx").map(|decoded| decoded.data), Ok(&b"x"[..]));
    assert_eq!(decode(b"0000000000000001\r\nx\r\n0\r\n\r\n").map(|(data, _)| data), Ok(b"x".to_vec()));
}

/// RFC 9112 2.2 and 7.1: CRLF exactly, in every place.
#[test]
fn chunk_lines_end_in_crlf_only() {
    let valid = b"5;a=\"b\"\r\nhello\r\n0\r\n\r\n";
    decode(valid).unwrap();
    for at in (0..valid.len()).filter(|&at| valid[at] == b'\r') {
        let with = |end: &[u8]| [&valid[..at], end, &valid[at + 2..]].concat();
        assert_malformed(&with(b"\n\n"));
        // Padded, so that there is a byte to judge after the CR.
        assert_malformed(&[&with(b"\rx")[..], b"\n\r\n\r\n"].concat());
        assert_malformed(&with(b"x\n"));
    }
    assert_malformed(b"5\r\nhello!\r\n0\r\n\r\n");
    assert_malformed(b"5\r\nhell\r\n0\r\n\r\n");
}

/// RFC 9112 7.1.1.
#[test]
fn extensions_are_checked_and_dropped() {
    for extension in [";a", ";a=b", ";a=\"\"", ";a=\"q;\\\"\\\\ \t\u{e4}\";b;c=d"] {
        let input = format!("1{extension}\r\nx\r\n0{extension}\r\n\r\n");
        assert_eq!(decode(input.as_bytes()), Ok((b"x".to_vec(), input.len())), "{extension}");
    }
    for extension in [
        ";",
        ";;a",
        ";=b",
        ";a=",
        ";a=;b",
        ";a==b",
        ";a=\"b",
        ";a=\"b\"c",
        ";a=b\"c\"",
        "; a",
        ";a ",
        " ;a",
        ";a = b",
        ";a=\"\n\"",
        ";a=\"\0\"",
        ";a=\"\\\n\"",
        ";a\n",
        ";a(b",
        ";a=b,c",
        ";a=\u{e4}",
        ";a=\"\u{7f}\"",
    ] {
        assert_malformed(format!("1{extension}\r\nx\r\n0\r\n\r\n").as_bytes());
    }
}

#[test]
fn chunk_lines_are_bounded() {
    let limits = BodyLimits { chunk_line: 8, ..BodyLimits::default() };
    let decode = |input: &[u8]| decode_with(&mut BodyDecoder::new(BodyFraming::Chunked, &limits), input);
    assert_eq!(decode(b"1;abcdef\r\nx\r\n0;abcdef\r\n\r\n").map(|(data, _)| data), Ok(b"x".to_vec()));
    assert_eq!(decode(b"1;abcdefg\r\nx\r\n"), Err(BodyError::ChunkLineTooLong));
    assert_eq!(decode(b"1;a=\"    \"\r\nx\r\n"), Err(BodyError::ChunkLineTooLong));
}

/// RFC 9112 7.1.2.
#[test]
fn trailers_are_read_like_the_fields_of_a_head() {
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked, &BodyLimits::default());
    let input = b"1\r\nx\r\n0\r\nGrpc-Status: 0\r\nX-B:\t c \r\n\r\nnext";
    assert_eq!(decode_with(&mut decoder, input), Ok((b"x".to_vec(), input.len() - 4)));
    let trailers = decoder.trailers().unwrap();
    assert_eq!(
        (trailers.len(), trailers.find(b"grpc-status"), trailers.find(b"x-b")),
        (2, Some(&b"0"[..]), Some(&b"c"[..]))
    );
    assert_eq!(trailers.get(Known::Host), None);
    for trailer in [
        "A : b\r\n",
        " A: b\r\n",
        "A: b\r\n c\r\n",
        ": b\r\n",
        "A: \0\r\n",
        "A: b\n",
        "A\r\n",
        "\n",
        "A: b\rc\r\n",
    ] {
        assert_malformed(format!("0\r\n{trailer}\r\n").as_bytes());
    }
}

#[test]
fn without_trailers_there_are_none() {
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked, &BodyLimits::default());
    decode_with(&mut decoder, b"0\r\n\r\n").unwrap();
    assert!(decoder.trailers().is_none());
}

#[test]
fn trailers_are_bounded() {
    let limits = BodyLimits { trailer_bytes: 16, trailer_fields: 2, ..BodyLimits::default() };
    let decode = |input: &[u8]| decode_with(&mut BodyDecoder::new(BodyFraming::Chunked, &limits), input);
    assert!(decode(b"0\r\nA: b\r\nA: bcd\r\n\r\n").is_ok());
    assert_eq!(decode(b"0\r\nA: b\r\nA: bcde\r\n\r\n"), Err(BodyError::TrailersTooLarge));
    assert_eq!(decode(b"0\r\nA: 0123456789012345678"), Err(BodyError::TrailersTooLarge));
    assert_eq!(decode(b"0\r\nA:\r\nA:\r\nA:\r\n\r\n"), Err(BodyError::TrailersTooLarge));
}

#[test]
fn the_trailers_of_a_stream_have_the_limits_of_heads() {
    let limits = BodyLimits { trailer_bytes: 16, trailer_fields: 2, ..BodyLimits::default() };
    let end_with = |section: String| {
        let mut decoder = BodyDecoder::new(BodyFraming::Stream, &limits);
        decoder.end_with_trailers(section.as_bytes()).map(|()| decoder.trailers().unwrap().fields().count())
    };
    let section = |fields: usize, size: usize| format!("a: {}\r\n", "b".repeat(size)).repeat(fields) + "\r\n";
    assert_eq!(end_with(section(128, 400)), Ok(128));
    assert_eq!(end_with(section(1, 60_000)), Ok(1));
    assert_eq!(end_with(section(129, 1)), Err(BodyError::TrailersTooLarge));
    assert_eq!(end_with(section(1, 70_000)), Err(BodyError::TrailersTooLarge));
}

#[test]
fn a_refused_body_stays_refused() {
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked, &BodyLimits::default());
    decoder.decode(b"x").unwrap_err();
    assert!(decoder.decode(b"5\r\nhello\r\n0\r\n\r\n").is_err());
    assert!(decoder.finish_at_eof().is_err());
    assert!(!decoder.is_done());
}
