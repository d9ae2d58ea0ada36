//! What it means that a stream broke.

use std::error::Error;
use std::fmt;
use std::io;

use ropeway_core::http2::Code;

/// How it broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The server says that it has not looked at the request, which can then be sent elsewhere (RFC 9113, section 8.7).
    Refused,
    /// The peer gave the stream up, for this reason.
    Reset(Code),
    /// What the peer sent, here or on another stream of the connection, breaks the rules of HTTP/2.
    Malformed,
    /// The server refused to go on with TLS.
    Alert,
    /// The connection is gone.
    Lost,
}

impl Broken {
    /// What an error of reading says, on a connection of HTTP/1.1 as well.
    pub fn of(error: &io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(broken) = inner.and_then(|error| error.downcast_ref()) {
            return *broken;
        }
        match inner.and_then(|error| error.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::AlertReceived(_)) => Self::Alert,
            _ => Self::Lost,
        }
    }

    /// Whether the peer has ended the stream, so that it is none of the connection any more.
    pub fn is_by_peer(self) -> bool {
        matches!(self, Self::Refused | Self::Reset(_))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("the stream was refused"),
            Self::Reset(code) => write!(f, "the stream was reset: {}", code.name()),
            Self::Malformed => f.write_str("against the rules of HTTP/2"),
            Self::Alert => f.write_str("the peer refused to go on with TLS"),
            Self::Lost => f.write_str("the connection is gone"),
        }
    }
}

impl Error for Broken {}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        let kind = match broken {
            Broken::Refused | Broken::Reset(_) | Broken::Malformed => io::ErrorKind::ConnectionReset,
            Broken::Alert | Broken::Lost => io::ErrorKind::ConnectionAborted,
        };
        Self::new(kind, broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: impl Into<Box<dyn Error + Send + Sync>>) -> Broken {
        Broken::of(&io::Error::other(error))
    }

    #[test]
    fn an_alert_is_told_from_a_connection_that_is_lost() {
        let alert = || rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        assert_eq!(of(alert()), Broken::Alert);
        assert_eq!(of(rustls::Error::DecryptError), Broken::Lost);
        assert_eq!(Broken::of(&io::ErrorKind::ConnectionReset.into()), Broken::Lost);
        assert_eq!(Broken::of(&Broken::Refused.into()), Broken::Refused);
    }
}
