//! Whether the other end of a quiet connection is still there (RFC 9113, section 6.7).

use std::task::{Context, Poll};

use h2::{Ping, PingPong};

/// Sends a PING after a while, and expects its answer.
pub(super) struct Liveness {
    pings: PingPong,
    interval_ms: u64,
    timeout_ms: u64,
    /// When the next PING is sent, or the answer to the last one must have come.
    due_ms: u64,
    is_waiting: bool,
}

impl Liveness {
    pub fn new(pings: PingPong, interval_ms: u64, timeout_ms: u64, now_ms: u64) -> Self {
        Self { pings, interval_ms, timeout_ms, due_ms: now_ms.saturating_add(interval_ms), is_waiting: false }
    }

    /// When to look again.
    pub fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// Sends a PING when it is time. `false` when the last one was not answered.
    pub fn poll(&mut self, cx: &mut Context<'_>, now_ms: u64) -> bool {
        if self.is_waiting && matches!(self.pings.poll_pong(cx), Poll::Ready(Ok(_))) {
            self.is_waiting = false;
            self.due_ms = now_ms.saturating_add(self.interval_ms);
        }
        if now_ms < self.due_ms {
            return true;
        }
        if self.is_waiting || self.pings.send_ping(Ping::opaque()).is_err() {
            return false;
        }
        self.is_waiting = true;
        self.due_ms = now_ms.saturating_add(self.timeout_ms);
        true
    }
}
