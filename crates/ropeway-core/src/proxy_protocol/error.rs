//! Why a header was refused.

/// Why a connection has no acceptable PROXY header, or why one cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocolError {
    /// The first bytes are not those of a header of either version.
    NoHeader,
    /// The header is longer than the limit, or a line of version 1 longer than 107 bytes.
    TooLong,
    /// A rule of the specification is broken.
    Malformed(&'static str),
    /// The checksum does not match (section 2.2.3).
    BadChecksum,
}

impl ProxyProtocolError {
    /// What was wrong, in a few words.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::NoHeader => "no PROXY header",
            Self::TooLong => "a PROXY header beyond the limit",
            Self::Malformed(detail) => detail,
            Self::BadChecksum => "a PROXY header whose checksum does not match",
        }
    }
}
