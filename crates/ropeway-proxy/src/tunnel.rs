//! Bytes in both directions, after a protocol switch.

use std::task::{Context, Poll};

use ropeway_core::end::EndReason;

use crate::buffers::{PER_VISIT, PIECE_READ};
use crate::connection::Client;
use crate::deadline::TICK_MS;
use crate::link::{Link, Noise};
use crate::worker::{Worker, come_back};

/// A tunnel between a client and a server.
#[derive(Debug)]
pub(crate) struct Tunnel {
    idle_ms: u64,
    last_byte_ms: u64,
    to_server: Direction,
    to_client: Direction,
}

/// One direction; it ends on its own, so that a half-closed connection keeps working in the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Direction {
    #[default]
    Open,
    /// The source ended; what is left is being written.
    Ending,
    Closed,
}

impl Tunnel {
    pub fn new(idle_ms: u64, now_ms: u64) -> Self {
        Self { idle_ms, last_byte_ms: now_ms, to_server: Direction::Open, to_client: Direction::Open }
    }

    /// Passes bytes on until both directions have ended, one end breaks, or nothing moves for too long.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        client: &mut Client,
        server: &mut Link,
    ) -> Poll<EndReason> {
        let now_ms = worker.deadlines.now_ms();
        let before = client.link.received + server.received;
        let up = self.to_server.poll(cx, worker, &mut client.link, server);
        let down = self.to_client.poll(cx, worker, server, &mut client.link);
        if up.is_err() || down.is_err() {
            return Poll::Ready(EndReason::TunnelClosed);
        }
        if self.to_server == Direction::Closed && self.to_client == Direction::Closed {
            return Poll::Ready(EndReason::TunnelClosed);
        }
        if self.leaves_client_unread(server) && client.poll_noise(cx) == Poll::Ready(Noise::Gone) {
            return Poll::Ready(EndReason::TunnelClosed);
        }
        if client.link.received + server.received != before {
            self.last_byte_ms = now_ms;
        }
        let due = self.last_byte_ms.saturating_add(self.idle_ms).saturating_add(TICK_MS);
        if client.slot.has_passed(due) {
            return Poll::Ready(EndReason::TunnelTimeout);
        }
        if worker.must_abort() {
            return Poll::Ready(EndReason::Shutdown);
        }
        client.wait_until(due);
        Poll::Pending
    }

    /// Whether nothing is read from the client now, and it can be seen that it is gone: once both sides of its connection
    /// have ended in order, that looks the same.
    fn leaves_client_unread(&self, server: &Link) -> bool {
        let unread = self.to_server != Direction::Open || !server.outbox.is_empty();
        unread && self.to_client != Direction::Closed
    }
}

/// One end of the tunnel broke.
struct Broken;

impl Direction {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &mut Link,
        to: &mut Link,
    ) -> Result<(), Broken> {
        let mut passed = 0;
        while *self != Self::Closed {
            match to.poll_flush(cx, &worker.buffers) {
                Poll::Pending => return Ok(()),
                Poll::Ready(flushed) => flushed.map_err(|_| Broken)?,
            }
            if *self == Self::Ending {
                *self = Self::Closed;
                // A socket that is closed already needs no end of stream.
                let _ = to.shutdown_write(cx);
                return Ok(());
            }
            if !from.inbox.is_empty() {
                let sent = to.send(cx, &[], from.inbox.as_slice(), &worker.buffers);
                from.inbox.clear(&worker.buffers);
                sent.map_err(|_| Broken)?;
                continue;
            }
            if passed >= PER_VISIT {
                come_back(cx);
                return Ok(());
            }
            let scratch = &mut *worker.scratch.borrow_mut();
            let space = scratch.input.get_mut(..PIECE_READ).unwrap_or_default();
            let count = match from.poll_read(cx, space) {
                Poll::Pending => return Ok(()),
                Poll::Ready(read) => read.map_err(|_| Broken)?,
            };
            passed += count;
            if count == 0 {
                *self = Self::Ending;
                continue;
            }
            let bytes = scratch.input.get(..count).unwrap_or_default();
            to.send(cx, &[], bytes, &worker.buffers).map_err(|_| Broken)?;
        }
        Ok(())
    }
}
