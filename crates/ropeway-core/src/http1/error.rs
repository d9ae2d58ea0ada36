//! Why a message was refused.

use super::framing::FramingFault;
use crate::end::EndReason;

/// A line that is not one: a bare CR, a bare LF or a NUL inside a head (RFC 9112 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedLine(pub(super) &'static str);

impl MalformedLine {
    /// What was wrong, in a few words.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        self.0
    }
}

/// Why a request head was refused. The culprit is always the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The grammar of RFC 9112 is not met.
    Malformed(&'static str),
    /// Host is missing, doubled or no host name (RFC 9112 3.2).
    BadHost(&'static str),
    /// The path has a dot segment or a backslash, which servers read in different ways.
    AmbiguousPath,
    /// Content-Length and Transfer-Encoding do not tell one length (RFC 9112 6).
    BadFraming(&'static str),
    /// Transfer-Encoding names something other than `chunked` (RFC 9112 6.1).
    UnsupportedTransferCoding,
    /// Expect names something other than `100-continue` (RFC 9110 10.1.1).
    UnsupportedExpectation,
    /// The target is longer than [`HeadLimits::target_bytes`](super::HeadLimits::target_bytes).
    TargetTooLong,
    /// The head has more bytes or fields than allowed.
    HeadTooLarge,
    /// The version is HTTP/x.y, but neither 1.0 nor 1.1.
    VersionNotSupported,
}

impl RequestError {
    /// How the exchange ends.
    #[must_use]
    pub const fn reason(self) -> EndReason {
        match self {
            Self::Malformed(_) => EndReason::BadRequest,
            Self::BadHost(_) => EndReason::BadHost,
            Self::AmbiguousPath => EndReason::AmbiguousPath,
            Self::BadFraming(_) => EndReason::BadFraming,
            Self::UnsupportedTransferCoding => EndReason::UnsupportedTransferCoding,
            Self::UnsupportedExpectation => EndReason::ExpectationFailed,
            Self::TargetTooLong => EndReason::TargetTooLong,
            Self::HeadTooLarge => EndReason::HeadTooLarge,
            Self::VersionNotSupported => EndReason::VersionNotSupported,
        }
    }

    /// What was wrong, in a few words.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Malformed(detail) | Self::BadHost(detail) | Self::BadFraming(detail) => detail,
            Self::AmbiguousPath => "a dot segment or a backslash in the path",
            Self::UnsupportedTransferCoding => "a transfer coding other than chunked",
            Self::UnsupportedExpectation => "an expectation other than 100-continue",
            Self::TargetTooLong => "a request target beyond the limit",
            Self::HeadTooLarge => "a head beyond the limit",
            Self::VersionNotSupported => "a version other than HTTP/1.0 and HTTP/1.1",
        }
    }
}

impl From<MalformedLine> for RequestError {
    fn from(line: MalformedLine) -> Self {
        Self::Malformed(line.0)
    }
}

impl From<FramingFault> for RequestError {
    fn from(fault: FramingFault) -> Self {
        match fault {
            FramingFault::Ambiguous(detail) => Self::BadFraming(detail),
            FramingFault::UnsupportedCoding => Self::UnsupportedTransferCoding,
        }
    }
}

/// Why a response head was refused. The culprit is always the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseError {
    /// The grammar of RFC 9112 is not met.
    Malformed(&'static str),
    /// Content-Length and Transfer-Encoding do not tell one length (RFC 9112 6).
    BadFraming(&'static str),
    /// Transfer-Encoding names something other than `chunked` (RFC 9112 6.1).
    UnsupportedTransferCoding,
    /// The head has more bytes or fields than allowed.
    HeadTooLarge,
    /// The version is neither HTTP/1.0 nor HTTP/1.1.
    VersionNotSupported,
}

impl ResponseError {
    /// How the exchange ends.
    #[must_use]
    pub const fn reason(self) -> EndReason {
        match self {
            Self::HeadTooLarge => EndReason::ResponseHeadTooLarge,
            Self::Malformed(_)
            | Self::BadFraming(_)
            | Self::UnsupportedTransferCoding
            | Self::VersionNotSupported => EndReason::BadResponse,
        }
    }

    /// What was wrong, in a few words.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Malformed(detail) | Self::BadFraming(detail) => detail,
            Self::UnsupportedTransferCoding => "a transfer coding other than chunked",
            Self::HeadTooLarge => "a head beyond the limit",
            Self::VersionNotSupported => "a version other than HTTP/1.0 and HTTP/1.1",
        }
    }
}

impl From<MalformedLine> for ResponseError {
    fn from(line: MalformedLine) -> Self {
        Self::Malformed(line.0)
    }
}

impl From<FramingFault> for ResponseError {
    fn from(fault: FramingFault) -> Self {
        match fault {
            FramingFault::Ambiguous(detail) => Self::BadFraming(detail),
            FramingFault::UnsupportedCoding => Self::UnsupportedTransferCoding,
        }
    }
}

/// Why a body was refused. Who is at fault depends on which way it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// A chunk line or the end of a chunk breaks the grammar (RFC 9112 7.1).
    Malformed(&'static str),
    /// A chunk line is longer than [`BodyLimits::chunk_line`](super::BodyLimits::chunk_line).
    ChunkLineTooLong,
    /// The trailer section has more bytes or fields than allowed.
    TrailersTooLarge,
    /// The connection closed before the body was complete.
    Truncated,
}

impl BodyError {
    /// How the exchange ends when this was a request body.
    #[must_use]
    pub const fn request_reason(self) -> EndReason {
        match self {
            Self::Truncated => EndReason::RequestTruncated,
            Self::Malformed(_) | Self::ChunkLineTooLong | Self::TrailersTooLarge => EndReason::BadRequestBody,
        }
    }

    /// How the exchange ends when this was a response body.
    #[must_use]
    pub const fn response_reason(self) -> EndReason {
        match self {
            Self::Truncated => EndReason::ResponseTruncated,
            Self::Malformed(_) | Self::ChunkLineTooLong | Self::TrailersTooLarge => {
                EndReason::BadResponseBody
            }
        }
    }

    /// What was wrong, in a few words.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Malformed(detail) => detail,
            Self::ChunkLineTooLong => "a chunk line beyond the limit",
            Self::TrailersTooLarge => "a trailer section beyond the limit",
            Self::Truncated => "the connection closed inside the body",
        }
    }
}

/// What the lexer's complaint means for whoever reads the log.
pub(super) const fn lexer_detail(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "a field name that is empty, not a token, or followed by a space",
        httparse::Error::HeaderValue => "a control character in a field value",
        httparse::Error::NewLine => "a line that does not end in CRLF",
        httparse::Error::Status => "a malformed status line",
        httparse::Error::Token => "a malformed method or target",
        httparse::Error::TooManyHeaders => "more fields than allowed",
        httparse::Error::Version => "a malformed version",
    }
}
