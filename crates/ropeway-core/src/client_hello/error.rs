//! Why a ClientHello was refused.

/// Why the first bytes of a connection are no acceptable ClientHello. The culprit is always the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientHelloError {
    /// The first byte is a letter, as in a method of HTTP: a client that expects no encryption. It will understand an
    /// answer in plain HTTP/1.1.
    PlainHttp,
    /// Something else that is not TLS, the ClientHello of SSL 2.0 among it.
    NotTls,
    /// The message is longer than the limit, or is in more than [`MAX_RECORDS`](super::MAX_RECORDS) records.
    TooLarge,
    /// The grammar of RFC 8446 4.1.2 or of an extension is not met.
    Malformed(&'static str),
    /// The name in the server_name extension is no DNS name (RFC 6066 3).
    BadServerName(&'static str),
}

impl ClientHelloError {
    /// What was wrong, in a few words.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::PlainHttp => "plain HTTP where TLS is expected",
            Self::NotTls => "something other than TLS",
            Self::TooLarge => "a ClientHello beyond the limit",
            Self::Malformed(detail) | Self::BadServerName(detail) => detail,
        }
    }
}
