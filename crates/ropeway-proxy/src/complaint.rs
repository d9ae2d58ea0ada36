//! What an operator is told of although it may happen many times a second: once in a while, each kind by itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How long nothing more is said of the same, in milliseconds.
const SILENCE_MS: u64 = 60_000;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// The handshake with a server failed.
    ServerTls,
    /// A server does not speak HTTP/2.
    ServerHttp2,
    /// A client does too much by HTTP/2.
    ClientHttp2,
    /// A load balancer in front sent no PROXY header, or a bad one.
    ProxyHeader,
}

/// Lets one complaint through, and then none for a while.
#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicU64);

impl Gate {
    /// Whether to complain now.
    pub(crate) fn opens(&self, now_ms: u64) -> bool {
        let until = self.0.load(Relaxed);
        // Of several workers that come at once, one gets through.
        until <= now_ms
            && self.0.compare_exchange(until, now_ms.saturating_add(SILENCE_MS), Relaxed, Relaxed).is_ok()
    }
}

/// A gate for each kind, so that one that is common does not hide another. Each server has its own, and so has each
/// worker for those that are of no server.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    server_tls: Gate,
    server_http2: Gate,
    client_http2: Gate,
    proxy_header: Gate,
}

impl Complaints {
    /// Whether to complain of `what` now.
    pub(crate) fn are_news(&self, what: Complaint, now_ms: u64) -> bool {
        let gate = match what {
            Complaint::ServerTls => &self.server_tls,
            Complaint::ServerHttp2 => &self.server_http2,
            Complaint::ClientHttp2 => &self.client_http2,
            Complaint::ProxyHeader => &self.proxy_header,
        };
        gate.opens(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_complaint_is_made_once_a_minute_and_hides_no_other() {
        let complaints = Complaints::default();
        let all =
            [Complaint::ServerTls, Complaint::ServerHttp2, Complaint::ClientHttp2, Complaint::ProxyHeader];
        let made = |now_ms| all.map(|what| complaints.are_news(what, now_ms));
        assert_eq!(made(0), [true; 4]);
        assert_eq!(made(59_999), [false; 4]);
        assert!(complaints.are_news(Complaint::ServerHttp2, 60_000));
        assert_eq!(made(60_001), [true, false, true, true]);
    }
}
