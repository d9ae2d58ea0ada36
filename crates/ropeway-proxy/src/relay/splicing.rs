//! Long bodies that nobody has to look at stay in the kernel.

use std::io::{self, ErrorKind};
use std::task::Context;

use super::{MUCH, Pump, PumpError, appetite_for};
use crate::buffers::{PIECE_READ, Scratch};
use crate::link::Link;
use crate::worker::Worker;

/// Whether the kernel, or who confines us, does not let sockets be spliced: that says nothing of the connection.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied)
}

impl Pump {
    /// Moves bytes from socket to socket, at most `most`, of which none can belong to the next message. 0 where they had
    /// better be read: because there are too few or none, and at the end of the stream, which looks the same as a mark that
    /// out-of-band data has left.
    pub(super) fn splice(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &mut Link,
        to: &mut Link,
        most: usize,
    ) -> Result<usize, PumpError> {
        if !self.splices(from, to) {
            return Ok(0);
        }
        let Scratch { input, pipe, .. } = &mut *worker.scratch.borrow_mut();
        let Some(open) = pipe.get() else { return Ok(0) };
        let most = usize::try_from(self.decoder.opaque()).unwrap_or(usize::MAX).min(most);
        let count = match from.fill(open, most) {
            Err(error) if is_refusal(&error) => {
                pipe.forgo();
                return Ok(0);
            }
            filled => filled.map_err(PumpError::Source)?,
        };
        if count == 0 {
            return Ok(0);
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
        self.finish(to);
        if count >= MUCH {
            self.appetite = appetite_for(to);
        }
        Ok(count)
    }

    /// Whether the next bytes can be moved without being looked at, and seem to be so many that it is worth while.
    fn splices(&self, from: &Link, to: &Link) -> bool {
        self.appetite > PIECE_READ
            && self.verbatim
            && self.kept.is_none()
            && self.decoder.opaque() >= PIECE_READ as u64
            && from.can_splice_to(to)
            && !from.is_quiet()
    }
}
