//! Long bodies that nobody has to look at stay in the kernel.

use std::io::{self, ErrorKind};
use std::task::{Context, Poll, ready};

use super::{MUCH, Pump, PumpError, appetite_for};
use crate::buffers::{PIECE_READ, Scratch};
use crate::link::Link;
use crate::worker::Worker;

/// Whether the kernel, or who confines us, does not let sockets be spliced: that says nothing of the connection.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied)
}

impl Pump {
    /// Whether the next bytes can be moved without being looked at, and are so many that it is worth while.
    pub(super) fn splices(&self, from: &Link, to: &Link) -> bool {
        self.appetite > PIECE_READ
            && self.verbatim
            && self.kept.is_none()
            && self.decoder.opaque() >= PIECE_READ as u64
            && from.can_splice_to(to)
    }

    /// Moves bytes from socket to socket, of which none can belong to the next message; how many it was.
    pub(super) fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &mut Link,
        to: &mut Link,
    ) -> Poll<Result<usize, PumpError>> {
        let mut scratch = worker.scratch.borrow_mut();
        let Scratch { input, output, pipe, .. } = &mut *scratch;
        let Some(open) = pipe.get() else {
            drop(scratch);
            return self.poll_copy(cx, worker, from, to);
        };
        let most = usize::try_from(self.decoder.opaque()).unwrap_or(usize::MAX).min(self.appetite);
        let count = match ready!(from.poll_fill(cx, open, most)) {
            Err(error) if is_refusal(&error) => {
                pipe.forgo();
                drop(scratch);
                return self.poll_copy(cx, worker, from, to);
            }
            filled => filled.map_err(PumpError::Source)?,
        };
        if count == 0 {
            output.clear();
            self.pass_end(cx, worker, from, to, output)?;
            return Poll::Ready(Ok(0));
        }
        self.begun = true;
        self.decoder.skip(count as u64);
        self.done = self.decoder.is_done();
        if self.done {
            from.settle();
        }
        let sent = self
            .count(count)
            .and_then(|()| to.send_from(cx, open, count, input, &worker.buffers).map_err(PumpError::Sink));
        if sent.is_err() {
            pipe.discard();
        }
        sent?;
        self.finish(to)?;
        if count >= MUCH {
            self.appetite = appetite_for(to);
        }
        Poll::Ready(Ok(count))
    }
}
