//! Why an attempt at one server failed, and what that means for the next.

use std::io;

use ropeway_core::end::{EndReason, Stage};
use ropeway_core::health::FailureKind;
use ropeway_core::retry::Symptom;

use super::state::{End, Exchange};
use crate::connection::Client;
use crate::http2::{self, Broken};
use crate::relay::PumpError;

/// What a peer did that ends a stream.
const RULES: &str = "against the rules of HTTP/2";

/// A failed attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub end: End,
    pub symptom: Symptom,
    /// No byte of the request reached the server.
    pub unsent: bool,
    /// The connection turned out to be closed before a byte of the response, as an idle one may be.
    pub stale: bool,
    /// What it says about the health of the server.
    pub kind: Option<FailureKind>,
    /// The retry that follows was taken out of the budget already.
    pub granted: bool,
}

impl Failure {
    const fn new(end: End, kind: Option<FailureKind>) -> Self {
        let symptom = Symptom::Ended { reason: end.reason, stage: end.stage };
        Self { end, symptom, unsent: false, stale: false, kind, granted: false }
    }

    /// Whether the server says that it has not looked at the request.
    pub const fn is_refused(&self) -> bool {
        self.unsent && self.stale && self.kind.is_none()
    }

    /// Nothing that a server did.
    pub const fn local(reason: EndReason, stage: Stage) -> Self {
        Self::new(End::new(reason, stage), None)
    }

    /// An end that was known before.
    pub const fn known(end: End) -> Self {
        Self::new(end, None)
    }

    /// The connection to the server could not be opened.
    pub const fn connect(reason: EndReason) -> Self {
        let kind = match reason {
            EndReason::ConnectTimeout
            | EndReason::ConnectRefused
            | EndReason::ConnectFailed
            | EndReason::ServerTls => Some(FailureKind::Connect),
            _ => None,
        };
        Self { unsent: true, ..Self::new(End::new(reason, Stage::Connect), kind) }
    }

    /// The first write to the server failed: nothing was sent.
    pub const fn unsent() -> Self {
        let end = End::new(EndReason::ServerReset, Stage::Send);
        Self { unsent: true, stale: true, ..Self::new(end, Some(FailureKind::Reset)) }
    }

    /// The same, with what the write said: a server of HTTP/2 cannot be sent all that one of HTTP/1.1 is, and the request is
    /// at fault then.
    pub fn of_first_write(error: &io::Error) -> Self {
        match http2::untranslatable(error) {
            Some(what) => Self::known(End::new(EndReason::BadRequest, Stage::Send).with_detail(what)),
            None => Self::unsent(),
        }
    }

    /// The server's stream ended or broke before a final response head was complete.
    pub const fn of_server(reason: EndReason, exchange: &Exchange, partial: bool) -> Self {
        let detail = if partial { "inside the head of its response" } else { "" };
        let end = End::new(reason, Stage::Send).with_detail(detail);
        let stale = !partial && exchange.informational == 0;
        // What there is to fear from a request says nothing of the server, or clients could have it taken out.
        let kind = if exchange.alone { None } else { Some(FailureKind::Reset) };
        Self { stale, ..Self::new(end, kind) }
    }

    /// The same, of a stream that broke, with what the error says. `heard` is whether the server ever said anything on this
    /// connection: if not, an alert is its answer to our handshake, which TLS 1.3 completes before that (RFC 8446, section 2).
    pub fn of_broken_server(error: &io::Error, exchange: &Exchange, partial: bool, heard: bool) -> Self {
        let failure = Self::of_server(EndReason::ServerReset, exchange, partial);
        match Broken::of(error) {
            Broken::Refused => Self { unsent: true, stale: true, kind: None, ..failure },
            // The connection is there, and has answered, if by no response.
            Broken::Reset(reason) => Self { end: failure.end.with_reset(reason), stale: false, ..failure },
            // Not what a server of HTTP/1.1 gets for it: the error may be that of another stream, and hit this one as well.
            Broken::Malformed => {
                let end = End::new(EndReason::BadResponse, Stage::Send).with_detail(RULES);
                Self { end, stale: false, ..failure }
            }
            Broken::Alert if !heard => Self::connect(EndReason::ServerTls),
            Broken::Alert | Broken::Lost => failure,
        }
    }

    /// The server sent something that is not a response.
    pub const fn bad_response(reason: EndReason, detail: &'static str) -> Self {
        Self::new(End::new(reason, Stage::Send).with_detail(detail), Some(FailureKind::Reset))
    }

    /// A server that says 408 (Request Timeout) and closes as it gives up an idle connection, just as a request is on its
    /// way: it has not read the request (RFC 9110, section 15.5.9).
    pub const fn crossed_408() -> Self {
        Self { unsent: true, stale: true, ..Self::new(End::new(EndReason::ServerClosed, Stage::Send), None) }
    }

    /// An answer that is given up for a try on another server, which policy and budget allow.
    pub const fn answered(symptom: Symptom) -> Self {
        let end = End::new(EndReason::Completed, Stage::Send);
        Self { symptom, granted: true, ..Self::new(end, Some(FailureKind::ServerError)) }
    }

    /// A time-out of the server.
    pub const fn late_server(reason: EndReason, stage: Stage) -> Self {
        Self::new(End::new(reason, stage), Some(FailureKind::Timeout))
    }

    /// The client is gone.
    pub fn client_gone(client: &mut Client, stage: Stage) -> Self {
        let gone = Self::local(EndReason::ClientClosed, stage);
        client.link.why_gone().map_or(gone, |error| Self::of_client(&PumpError::Source(error), stage))
    }

    /// The request body broke.
    pub fn of_client(error: &PumpError, stage: Stage) -> Self {
        let end = |reason| End::new(reason, stage);
        let end = match error {
            PumpError::Malformed(error) => end(error.request_reason()).with_detail(error.detail()),
            PumpError::SourceEnded => end(EndReason::RequestTruncated),
            PumpError::TooLarge => end(EndReason::BodyTooLarge),
            PumpError::Source(error) if Broken::of(error) == Broken::Malformed => {
                end(EndReason::BadRequestBody).with_detail(RULES)
            }
            PumpError::Source(_) | PumpError::Sink(_) => end(EndReason::ClientClosed),
        };
        Self::new(end, None)
    }

    /// The response broke while it was passed on.
    pub fn while_relaying(error: &PumpError) -> Self {
        let end = |reason| End::new(reason, Stage::Relay);
        match error {
            PumpError::Malformed(error) => {
                let end = end(error.response_reason()).with_detail(error.detail());
                Self::new(end, Some(FailureKind::Reset))
            }
            PumpError::Source(error) => {
                let end = match Broken::of(error) {
                    Broken::Reset(reason) => end(EndReason::ResponseTruncated).with_reset(reason),
                    Broken::Malformed => end(EndReason::BadResponseBody).with_detail(RULES),
                    Broken::Refused | Broken::Lost | Broken::Alert => end(EndReason::ResponseTruncated),
                };
                Self::new(end, Some(FailureKind::Reset))
            }
            PumpError::SourceEnded | PumpError::TooLarge => {
                Self::new(end(EndReason::ResponseTruncated), Some(FailureKind::Reset))
            }
            PumpError::Sink(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                Self::new(end(EndReason::LocalResources), None)
            }
            PumpError::Sink(_) => Self::new(end(EndReason::ClientClosed), None),
        }
    }
}
