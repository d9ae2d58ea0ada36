//! How a call ended: the `grpc-status` trailer.

use crate::end::EndReason;

const STREAM_CLOSED: u32 = 0x5;
const REFUSED_STREAM: u32 = 0x7;
const CANCEL: u32 = 0x8;
const ENHANCE_YOUR_CALM: u32 = 0xb;
const INADEQUATE_SECURITY: u32 = 0xc;

macro_rules! statuses {
    ($($(#[$doc:meta])* $variant:ident, $code:literal, $name:literal;)*) => {
        /// The status of a call.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum GrpcStatus { $($(#[$doc])* $variant = $code,)* }

        impl GrpcStatus {
            /// Every status, by code: `ALL[status as usize] == status`.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name used in the specification, logs and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

statuses! {
    /// The call succeeded.
    Ok, 0, "OK";
    /// The caller gave up.
    Cancelled, 1, "CANCELLED";
    /// Anything that has no better name.
    Unknown, 2, "UNKNOWN";
    /// The caller asked for something that makes no sense.
    InvalidArgument, 3, "INVALID_ARGUMENT";
    /// The call took longer than it may.
    DeadlineExceeded, 4, "DEADLINE_EXCEEDED";
    /// What was asked for is not there.
    NotFound, 5, "NOT_FOUND";
    /// What should be made is there.
    AlreadyExists, 6, "ALREADY_EXISTS";
    /// The caller may not do this.
    PermissionDenied, 7, "PERMISSION_DENIED";
    /// A limit is reached.
    ResourceExhausted, 8, "RESOURCE_EXHAUSTED";
    /// Something else must come first.
    FailedPrecondition, 9, "FAILED_PRECONDITION";
    /// Another call came between.
    Aborted, 10, "ABORTED";
    /// The call went beyond the end.
    OutOfRange, 11, "OUT_OF_RANGE";
    /// There is no such method here.
    Unimplemented, 12, "UNIMPLEMENTED";
    /// A rule of the protocol is broken, or the server is.
    Internal, 13, "INTERNAL";
    /// The service is not there now; the call may be tried again.
    Unavailable, 14, "UNAVAILABLE";
    /// Data is lost for good.
    DataLoss, 15, "DATA_LOSS";
    /// The caller did not say who it is.
    Unauthenticated, 16, "UNAUTHENTICATED";
}

impl GrpcStatus {
    /// The number on the wire, 0 to 16.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The status with this number; `None` when there is none.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        usize::try_from(code).ok().and_then(|index| Self::ALL.get(index).copied())
    }

    /// Reads the value of a `grpc-status` field. Anything that names no status counts as [`Unknown`](Self::Unknown), as
    /// it does for clients.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        let digits =
            std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|text| text.parse().ok()).and_then(Self::from_code).unwrap_or(Self::Unknown)
    }

    /// What the status of an HTTP response without `grpc-status` means.
    #[must_use]
    pub const fn from_http(status: u16) -> Self {
        match status {
            400 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502 | 503 | 504 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// The status with which we end a call. [`Ok`](Self::Ok) stands for whatever the server itself said.
    ///
    /// It follows the status of HTTP that the reason has, except where that says less than we know. What a client
    /// library would call an error of the protocol is [`Internal`](Self::Internal); `InvalidArgument` belongs to
    /// applications.
    #[must_use]
    pub const fn from_end(reason: EndReason) -> Self {
        match reason {
            EndReason::RequestTruncated => Self::Cancelled,
            EndReason::RequestLimit
            | EndReason::ConnectionLimit
            | EndReason::ServersFull
            | EndReason::LocalResources
            | EndReason::ResponseHeadTooLarge => Self::ResourceExhausted,
            EndReason::RedirectedToHttps => Self::FailedPrecondition,
            EndReason::MethodNotSupported => Self::Unimplemented,
            EndReason::BadResponse | EndReason::BadResponseBody => Self::Internal,
            // No server has seen the call: it may be tried again.
            EndReason::ConnectTimeout => Self::Unavailable,
            _ => Self::from_own_http(reason.status()),
        }
    }

    /// What the code means with which a server resets a stream (RFC 9113, section 7).
    #[must_use]
    pub const fn from_reset(code: u32) -> Self {
        match code {
            REFUSED_STREAM => Self::Unavailable,
            CANCEL => Self::Cancelled,
            ENHANCE_YOUR_CALM => Self::ResourceExhausted,
            INADEQUATE_SECURITY => Self::PermissionDenied,
            STREAM_CLOSED => Self::Unknown,
            _ => Self::Internal,
        }
    }

    /// What a status means in a response that we make ourselves. We know more of it than
    /// [`from_http`](Self::from_http) can of a stranger's.
    const fn from_own_http(status: u16) -> Self {
        match status {
            0 => Self::Ok,
            408 | 504 => Self::DeadlineExceeded,
            413 | 414 | 429 | 431 => Self::ResourceExhausted,
            417 | 500 | 501 | 505 => Self::Internal,
            421 => Self::Unavailable,
            499 => Self::Cancelled,
            _ => Self::from_http(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_index_themselves() {
        for (index, status) in GrpcStatus::ALL.iter().enumerate() {
            assert_eq!(usize::from(status.code()), index);
            assert_eq!(GrpcStatus::parse(index.to_string().as_bytes()), *status);
        }
        assert_eq!(GrpcStatus::ALL.len(), 17);
        assert_eq!(GrpcStatus::from_code(17), None);
    }

    #[test]
    fn what_names_no_status_is_unknown() {
        for value in [&b""[..], b"17", b"-1", b"+1", b" 0", b"OK", b"4294967296", b"\xff"] {
            assert_eq!(GrpcStatus::parse(value), GrpcStatus::Unknown, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn http_statuses_mean_what_the_specification_says() {
        let cases = [(400, 13), (401, 16), (403, 7), (404, 12), (429, 14), (502, 14), (503, 14), (504, 14)];
        for (http, code) in cases {
            assert_eq!(GrpcStatus::from_http(http).code(), code, "{http}");
        }
        for http in [200, 302, 408, 413, 500, 501] {
            assert_eq!(GrpcStatus::from_http(http), GrpcStatus::Unknown, "{http}");
        }
    }

    /// A call that fails here never looks like one that succeeded, and what goes wrong always has a name.
    #[test]
    fn only_what_the_server_answered_is_ok() {
        for &reason in EndReason::ALL {
            let status = GrpcStatus::from_end(reason);
            assert_eq!(status == GrpcStatus::Ok, reason.status() == 0, "{}", reason.name());
            assert!(status != GrpcStatus::Unknown || reason.status() < 400, "{}", reason.name());
        }
    }

    #[test]
    fn only_a_refused_stream_may_be_tried_again() {
        let cases =
            [(0x0, 13), (0x1, 13), (0x2, 13), (0x5, 2), (0x7, 14), (0x8, 1), (0xb, 8), (0xc, 7), (99, 13)];
        for (code, status) in cases {
            assert_eq!(GrpcStatus::from_reset(code).code(), status, "{code:#x}");
        }
    }

    #[test]
    fn ends_have_the_status_that_clients_act_upon() {
        let cases = [
            (EndReason::NoRoute, GrpcStatus::Unimplemented),
            (EndReason::NoServer, GrpcStatus::Unavailable),
            (EndReason::ConnectRefused, GrpcStatus::Unavailable),
            (EndReason::ConnectTimeout, GrpcStatus::Unavailable),
            (EndReason::ServerReset, GrpcStatus::Unavailable),
            (EndReason::Shutdown, GrpcStatus::Unavailable),
            (EndReason::ResponseTimeout, GrpcStatus::DeadlineExceeded),
            (EndReason::BodyTimeout, GrpcStatus::DeadlineExceeded),
            (EndReason::RequestLimit, GrpcStatus::ResourceExhausted),
            (EndReason::BodyTooLarge, GrpcStatus::ResourceExhausted),
            (EndReason::HeadTooLarge, GrpcStatus::ResourceExhausted),
            (EndReason::BadRequest, GrpcStatus::Internal),
            (EndReason::BadResponse, GrpcStatus::Internal),
            (EndReason::Internal, GrpcStatus::Internal),
            (EndReason::ClientClosed, GrpcStatus::Cancelled),
            (EndReason::MethodNotSupported, GrpcStatus::Unimplemented),
        ];
        for (reason, status) in cases {
            assert_eq!(GrpcStatus::from_end(reason), status, "{}", reason.name());
        }
    }
}
