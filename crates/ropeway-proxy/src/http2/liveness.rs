//! Whether the other end of a silent connection is still there (RFC 9113, section 6.7).

use ropeway_core::http2::Connection;

use super::transport::Transport;
use crate::link::Link;

/// Sends a PING after a silence, and expects to hear something then.
///
/// What the peer sends shows that it is there, whatever it is. So does that it takes what it is sent: the PING may have to
/// wait behind megabytes that a slow reader has not come to, and is answered when it is read.
pub(super) struct Liveness {
    transport: Transport,
    interval_ms: u64,
    timeout_ms: u64,
    /// Bytes received until the silence began.
    received: u64,
    /// How much of what was sent had reached the peer when the wait for an answer began.
    asked_at: Option<u64>,
    /// When the silence is too long, or the wait for an answer.
    due_ms: u64,
}

impl Liveness {
    /// For a connection that has just been opened over `transport`.
    pub fn new(transport: Transport, interval_ms: u64, timeout_ms: u64, now_ms: u64) -> Self {
        let due_ms = now_ms.saturating_add(interval_ms);
        Self { received: transport.received(), transport, interval_ms, timeout_ms, asked_at: None, due_ms }
    }

    /// When to look again at the latest.
    pub fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// To be called whenever the connection may have moved, and when it is due; sends a PING when it is time. `false` when
    /// the peer must be taken for gone.
    pub fn is_alive(&mut self, now_ms: u64) -> bool {
        let received = self.transport.received();
        if received != self.received {
            self.received = received;
            self.asked_at = None;
            self.due_ms = now_ms.saturating_add(self.interval_ms);
        }
        if now_ms < self.due_ms {
            return true;
        }
        let delivered = self.transport.with_link(Link::delivered);
        match self.asked_at {
            Some(before) if delivered <= before => return false,
            Some(_) => {}
            None => self.transport.with(Connection::ping),
        }
        self.asked_at = Some(delivered);
        self.due_ms = now_ms.saturating_add(self.timeout_ms);
        true
    }
}
