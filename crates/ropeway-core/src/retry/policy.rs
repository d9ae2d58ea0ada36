//! Which failures may be retried.

use crate::end::{EndReason, Stage};

/// When an attempt is repeated on a different server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many attempts may follow the first; 0 turns retries off. Default 1.
    pub attempts: u8,
    /// The failures that are worth another attempt.
    pub on: RetryOn,
    /// Whether a request that a server may have seen is repeated only if its method is idempotent (RFC 9110,
    /// 9.2.2). Default true; false risks that a request takes effect twice.
    pub idempotent_only: bool,
}

/// The kinds of failure that are worth another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOn {
    /// The connection could not be opened: refused, timed out, no TLS, or no address. Default true.
    pub connect_failure: bool,
    /// The server closed or reset the connection before a response head. Default true.
    pub reset_before_response: bool,
    /// The server did not read the request, or did not answer it, in time. Default false: the client has waited
    /// for long already.
    pub timeout: bool,
    /// The server answered 502. Default false.
    pub status_502: bool,
    /// The server answered 503. Default false.
    pub status_503: bool,
    /// The server answered 504. Default false.
    pub status_504: bool,
    /// A server of gRPC answered nothing but UNAVAILABLE. Calls are POST requests, of which nobody but the operator
    /// knows whether they may be repeated: whoever switches this on says so, and they are. Default false.
    pub grpc_unavailable: bool,
}

/// An attempt that failed, as far as the decision needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub symptom: Symptom,
    /// No byte of the request reached the server.
    pub unsent: bool,
    /// The method of the request is idempotent (RFC 9110, 9.2.2).
    pub method_idempotent: bool,
    /// A byte of the final response was passed on to the client.
    pub committed: bool,
    /// The request body can be sent again from its first byte: there is none, none of it was consumed yet, or all
    /// of what was consumed is still held.
    pub body_replayable: bool,
}

/// What went wrong in an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symptom {
    /// The attempt ended without a response.
    Ended {
        /// Why.
        reason: EndReason,
        /// Where.
        stage: Stage,
    },
    /// The server answered with this status, and nothing of the answer was passed on yet.
    Status(u16),
    /// A call of gRPC was answered with the status UNAVAILABLE and nothing else, and nothing was passed on yet.
    GrpcUnavailable,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 1, on: RetryOn::default(), idempotent_only: true }
    }
}

impl Default for RetryOn {
    fn default() -> Self {
        Self {
            connect_failure: true,
            reset_before_response: true,
            timeout: false,
            status_502: false,
            status_503: false,
            status_504: false,
            grpc_unavailable: false,
        }
    }
}

impl RetryPolicy {
    /// Whether another attempt may follow a failed one. `retries_made` counts the attempts after the first that
    /// were made already, so it is 0 when the first attempt failed.
    #[must_use]
    pub const fn may_retry(&self, failure: &Failure, retries_made: u8) -> bool {
        retries_made < self.attempts && self.is_safe(failure) && self.on.includes(failure.symptom)
    }

    const fn is_safe(&self, failure: &Failure) -> bool {
        let consented = matches!(failure.symptom, Symptom::GrpcUnavailable) && self.on.grpc_unavailable;
        let harmless = failure.unsent || failure.method_idempotent || !self.idempotent_only || consented;
        harmless && failure.body_replayable && !failure.committed
    }
}

impl RetryOn {
    /// Whether a failure of this kind is worth another attempt, leaving aside whether one would be safe.
    #[must_use]
    pub const fn includes(&self, symptom: Symptom) -> bool {
        match symptom {
            Symptom::Ended { reason, stage } => is_before_response(stage) && self.includes_reason(reason),
            Symptom::Status(502) => self.status_502,
            Symptom::Status(503) => self.status_503,
            Symptom::Status(504) => self.status_504,
            Symptom::Status(_) => false,
            Symptom::GrpcUnavailable => self.grpc_unavailable,
        }
    }

    /// Failures that another server would repeat are not here: those of the client, of the configuration, and of
    /// our own machine.
    const fn includes_reason(&self, reason: EndReason) -> bool {
        match reason {
            EndReason::ServerUnresolved
            | EndReason::ConnectRefused
            | EndReason::ConnectFailed
            | EndReason::ConnectTimeout
            | EndReason::ServerTls => self.connect_failure,
            EndReason::ServerClosed | EndReason::ServerReset => self.reset_before_response,
            EndReason::SendTimeout | EndReason::ResponseTimeout => self.timeout,
            _ => false,
        }
    }
}

const fn is_before_response(stage: Stage) -> bool {
    !matches!(stage, Stage::Relay | Stage::Finish)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVERYTHING: RetryOn = RetryOn {
        connect_failure: true,
        reset_before_response: true,
        timeout: true,
        status_502: true,
        status_503: true,
        status_504: true,
        grpc_unavailable: true,
    };

    const fn ended(reason: EndReason, stage: Stage) -> Failure {
        Failure {
            symptom: Symptom::Ended { reason, stage },
            unsent: false,
            method_idempotent: true,
            committed: false,
            body_replayable: true,
        }
    }

    fn allows(failure: Failure) -> bool {
        RetryPolicy::default().may_retry(&failure, 0)
    }

    #[test]
    fn a_connection_that_could_not_be_opened_is_retried_for_any_method() {
        for reason in [EndReason::ConnectRefused, EndReason::ConnectTimeout, EndReason::ServerTls] {
            let get = ended(reason, Stage::Connect);
            assert!(allows(Failure { unsent: true, ..get }), "{reason:?}");
            assert!(allows(Failure { unsent: true, method_idempotent: false, ..get }), "{reason:?}");
        }
    }

    #[test]
    fn a_post_that_was_sent_is_not_repeated() {
        let get = ended(EndReason::ServerReset, Stage::Send);
        let post = Failure { method_idempotent: false, ..get };
        assert!(allows(get));
        assert!(!allows(post));
        let reckless = RetryPolicy { idempotent_only: false, ..RetryPolicy::default() };
        assert!(reckless.may_retry(&post, 0));
    }

    #[test]
    fn an_unavailable_call_is_repeated_on_request_and_only_before_anything_was_passed_on() {
        let call = Failure {
            symptom: Symptom::GrpcUnavailable,
            method_idempotent: false,
            ..ended(EndReason::Completed, Stage::Send)
        };
        assert!(!allows(call));
        let policy = RetryPolicy { on: EVERYTHING, ..RetryPolicy::default() };
        assert!(policy.may_retry(&call, 0));
        assert!(!policy.may_retry(&Failure { committed: true, ..call }, 0));
        assert!(!policy.may_retry(&Failure { body_replayable: false, ..call }, 0));
        assert!(!policy.may_retry(&Failure { symptom: Symptom::Status(503), ..call }, 0));
    }

    #[test]
    fn nothing_is_retried_after_a_committed_byte_or_with_a_lost_body() {
        let reset = ended(EndReason::ServerReset, Stage::Send);
        assert!(!allows(Failure { committed: true, ..reset }));
        assert!(!allows(Failure { body_replayable: false, ..reset }));
        assert!(!allows(ended(EndReason::ServerReset, Stage::Relay)));
    }

    #[test]
    fn attempts_are_counted() {
        let policy = RetryPolicy { attempts: 2, ..RetryPolicy::default() };
        let reset = ended(EndReason::ServerClosed, Stage::Send);
        let allowed: Vec<bool> = (0..4).map(|made| policy.may_retry(&reset, made)).collect();
        assert_eq!(allowed, [true, true, false, false]);
        assert!(!RetryPolicy { attempts: 0, ..policy }.may_retry(&reset, 0));
    }

    #[test]
    fn each_kind_has_its_switch() {
        let none = RetryOn { connect_failure: false, reset_before_response: false, ..RetryOn::default() };
        type Switch = fn(RetryOn) -> RetryOn;
        let cases: [(Symptom, Switch); 7] = [
            (ended(EndReason::ConnectTimeout, Stage::Connect).symptom, |on| RetryOn {
                connect_failure: true,
                ..on
            }),
            (ended(EndReason::ServerClosed, Stage::Send).symptom, |on| RetryOn {
                reset_before_response: true,
                ..on
            }),
            (ended(EndReason::ResponseTimeout, Stage::Send).symptom, |on| RetryOn { timeout: true, ..on }),
            (Symptom::Status(502), |on| RetryOn { status_502: true, ..on }),
            (Symptom::Status(503), |on| RetryOn { status_503: true, ..on }),
            (Symptom::Status(504), |on| RetryOn { status_504: true, ..on }),
            (Symptom::GrpcUnavailable, |on| RetryOn { grpc_unavailable: true, ..on }),
        ];
        for (index, (symptom, _)) in cases.iter().enumerate() {
            for (other, (_, switch)) in cases.iter().enumerate() {
                assert_eq!(switch(none).includes(*symptom), index == other, "{symptom:?}");
            }
        }
        assert!(!EVERYTHING.includes(Symptom::Status(500)));
    }

    #[test]
    fn only_failures_of_the_server_are_retried() {
        for &reason in EndReason::ALL {
            if EVERYTHING.includes(Symptom::Ended { reason, stage: Stage::Send }) {
                assert_eq!(reason.culprit(), crate::end::Culprit::Upstream, "{reason:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn an_unsafe_retry_is_never_allowed(
            reason in proptest::sample::select(EndReason::ALL),
            stage in proptest::sample::select(&Stage::ALL[..]),
            status in proptest::option::of(500_u16..510),
            unsent: bool, method_idempotent: bool, committed: bool, body_replayable: bool,
            attempts: u8, made: u8,
        ) {
            let symptom = status.map_or(Symptom::Ended { reason, stage }, Symptom::Status);
            let failure = Failure { symptom, unsent, method_idempotent, committed, body_replayable };
            let policy = RetryPolicy { attempts, on: EVERYTHING, idempotent_only: true };
            if policy.may_retry(&failure, made) {
                prop_assert!(!committed && body_replayable && (unsent || method_idempotent) && made < attempts);
            }
        }
    }
}
