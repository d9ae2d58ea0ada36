//! How long a body is (RFC 9112 6).

use super::grammar::{is_token, list_elements, trim_ows};
use super::head::Head;
use super::known::Known;
use super::method::Version;

/// The largest Content-Length: what a signed 64-bit counter holds, so that no reader's arithmetic overflows.
const MAX_LENGTH: u64 = i64::MAX as u64;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is no body.
    #[default]
    None,
    /// Exactly so many bytes.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
    /// Everything until the connection closes. Responses only.
    UntilClose,
    /// Everything until the end of the stream, which the protocol below marks (RFC 9113, section 8.1). Trailers may
    /// follow.
    Stream,
}

/// Why the length of a body is not known for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FramingFault {
    Ambiguous(&'static str),
    UnsupportedCoding,
}

impl BodyFraming {
    /// How to send a body on by HTTP/1.1, of which `length` bytes were announced.
    #[must_use]
    pub const fn for_http1(self, length: Option<u64>) -> Self {
        match (self, length) {
            (Self::Stream, Some(length)) => Self::Length(length),
            (Self::Stream, None) => Self::Chunked,
            (same, _) => same,
        }
    }

    /// How to send a body on by a protocol that marks its end itself.
    #[must_use]
    pub const fn for_stream(self) -> Self {
        match self {
            Self::None => Self::None,
            _ => Self::Stream,
        }
    }
}

/// What the framing fields of a message say, if there are any.
///
/// A message has at most one of Content-Length and Transfer-Encoding, once, with one value. RFC 9112 6.3 lets
/// recipients repair more than that; two recipients that repair differently are a request smuggling hole.
pub(super) fn declared(head: &Head, version: Version) -> Result<Option<BodyFraming>, FramingFault> {
    match (head.get(Known::ContentLength), head.get(Known::TransferEncoding)) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(FramingFault::Ambiguous("Content-Length together with Transfer-Encoding")),
        (Some(value), None) => content_length(head, value).map(|length| Some(BodyFraming::Length(length))),
        (None, Some(value)) => transfer_encoding(head, value, version).map(|()| Some(BodyFraming::Chunked)),
    }
}

fn content_length(head: &Head, value: &[u8]) -> Result<u64, FramingFault> {
    if head.is_repeated(Known::ContentLength) {
        return Err(FramingFault::Ambiguous("more than one Content-Length"));
    }
    parse_length(value).ok_or(FramingFault::Ambiguous("a Content-Length that is not a number"))
}

/// 1*DIGIT up to 2^63-1.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    let mut length = 0_u64;
    for &byte in value {
        if !byte.is_ascii_digit() {
            return None;
        }
        length = length.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
    }
    (length <= MAX_LENGTH).then_some(length)
}

fn transfer_encoding(head: &Head, value: &[u8], version: Version) -> Result<(), FramingFault> {
    if version == Version::Http10 {
        return Err(FramingFault::Ambiguous("Transfer-Encoding in HTTP/1.0"));
    }
    if head.is_repeated(Known::TransferEncoding) {
        return Err(FramingFault::Ambiguous("more than one Transfer-Encoding"));
    }
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    Err(other_coding(value))
}

/// Tells a coding that we do not have from one that nobody can read. Chunked must come last, and once.
fn other_coding(value: &[u8]) -> FramingFault {
    let name = |element| trim_ows(before(element, b';'));
    let codings: Vec<&[u8]> = list_elements(value).map(name).collect();
    let chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let elements = value.split(|&byte| byte == b',').count();
    let well_formed = elements == codings.len() && codings.iter().all(|coding| is_token(coding));
    let chunked_before_the_end = codings.iter().rev().skip(1).any(chunked);
    let only_chunked = codings.iter().all(chunked);
    if well_formed && !chunked_before_the_end && !only_chunked {
        FramingFault::UnsupportedCoding
    } else {
        FramingFault::Ambiguous("a malformed Transfer-Encoding")
    }
}

/// The bytes before the first separator.
fn before(bytes: &[u8], separator: u8) -> &[u8] {
    bytes.split(|&byte| byte == separator).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9110 8.6: Content-Length is 1*DIGIT.
    #[test]
    fn lengths_are_plain_decimal_numbers() {
        assert_eq!(parse_length(b"0"), Some(0));
        assert_eq!(parse_length(b"0042"), Some(42));
        assert_eq!(parse_length(b"9223372036854775807"), Some(MAX_LENGTH));
        for value in [
            &b""[..],
            b"+5",
            b"-5",
            b"0x10",
            b"5,5",
            b"5, 5",
            b"5 5",
            b"1_000",
            b"5;a",
            b"\xd9\xa5",
            b"9223372036854775808",
            b"18446744073709551616",
            b"00000000000000000005",
        ] {
            assert_eq!(parse_length(value), None, "{value:?}");
        }
    }

    /// RFC 9112 6.1.
    #[test]
    fn codings_that_we_lack_are_told_from_nonsense() {
        for value in [&b"gzip"[..], b"gzip, chunked", b"identity", b"x;q=1", b"deflate,gzip"] {
            assert_eq!(other_coding(value), FramingFault::UnsupportedCoding, "{value:?}");
        }
        for value in [
            &b""[..],
            b"chunked, chunked",
            b",chunked",
            b"chunked,",
            b"chunked, gzip",
            b"chunked;a=b",
            b"\x0bchunked",
            b"chun ked",
            b"\"chunked\"",
            b"gzip,,chunked",
        ] {
            assert!(matches!(other_coding(value), FramingFault::Ambiguous(_)), "{value:?}");
        }
    }
}
