//! What it means that a stream to a server broke.

use std::io;

use h2::Reason;

use crate::counters::ByHttp2Code;

/// How it broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The server says that it has not looked at the request, which can then be sent elsewhere (RFC 9113, section 8.7).
    Refused,
    /// The server gave the stream up, for this reason.
    Reset(Reason),
    /// What the server sent, here or on another stream of the connection, breaks the rules of HTTP/2.
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
        if let Some(error) = inner.and_then(|error| error.downcast_ref::<h2::Error>()) {
            return Self::of_stream(error);
        }
        match inner.and_then(|error| error.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::AlertReceived(_)) => Self::Alert,
            _ => Self::Lost,
        }
    }

    fn of_stream(error: &h2::Error) -> Self {
        match error.reason() {
            // Streams that a GOAWAY does not leave out end with the connection instead, whatever its reason is.
            _ if error.is_go_away() && error.is_remote() => Self::Refused,
            Some(Reason::REFUSED_STREAM) => Self::Refused,
            Some(reason) if error.is_reset() && error.is_remote() => Self::Reset(reason),
            _ if error.is_library() => Self::Malformed,
            _ => Self::Lost,
        }
    }
}

/// The name of an error code (RFC 9113, section 7).
pub(crate) fn name_of(reason: Reason) -> &'static str {
    ByHttp2Code::NAMES.get(u32::from(reason) as usize).unwrap_or(&"an unknown error code")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Broken {
        Broken::of(&io::Error::other(error))
    }

    #[test]
    fn an_alert_is_told_from_a_connection_that_is_lost() {
        let alert = || rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        assert_eq!(of(alert()), Broken::Alert);
        assert_eq!(of(rustls::Error::DecryptError), Broken::Lost);
        assert_eq!(Broken::of(&io::ErrorKind::ConnectionReset.into()), Broken::Lost);
    }
}
