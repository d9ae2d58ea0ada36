//! One connection's socket, with the bytes that wait on either side of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use crate::buffers::{BufferPool, Pending};
use crate::sys::send_room::send_room;
use crate::sys::socket::Socket;

/// What a peer that should be silent did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noise {
    /// It sent bytes, which are left in the socket.
    Data,
    /// It closed its sending side.
    HalfClosed,
    /// The connection is gone in both directions.
    Gone,
}

/// A socket and its queues.
#[derive(Debug)]
pub(crate) struct Link {
    socket: Socket,
    /// Bytes that were read and not used yet.
    pub inbox: Pending,
    /// Bytes that were to be written and did not fit.
    pub outbox: Pending,
    /// Bytes read since the connection opened.
    pub received: u64,
    /// Bytes handed to [`Self::send`] since the connection opened.
    pub sent: u64,
}

impl Link {
    pub fn new(socket: Socket) -> Self {
        Self { socket, inbox: Pending::default(), outbox: Pending::default(), received: 0, sent: 0 }
    }

    /// Reads once. `Ok(0)` is the end of the stream.
    #[inline]
    pub fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let count = ready!(self.socket.poll_read(cx, into))?;
        self.received += count as u64;
        Poll::Ready(Ok(count))
    }

    /// Writes `head`, then `body`. What the socket does not take now waits in the outbox; the caller stops
    /// producing until [`Self::poll_flush`] has emptied it.
    #[inline]
    pub fn send(
        &mut self,
        cx: &mut Context<'_>,
        head: &[u8],
        body: &[u8],
        pool: &BufferPool,
    ) -> io::Result<()> {
        let mut written = 0;
        self.sent += (head.len() + body.len()) as u64;
        if self.outbox.is_empty() {
            written = match self.socket.poll_write(cx, head, body) {
                Poll::Ready(result) => result?,
                Poll::Pending => 0,
            };
        }
        self.outbox.append(head.get(written..).unwrap_or_default(), pool);
        self.outbox.append(body.get(written.saturating_sub(head.len())..).unwrap_or_default(), pool);
        Ok(())
    }

    /// Writes what waits.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>, pool: &BufferPool) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            let waiting = std::mem::take(&mut self.outbox);
            let poll = self.socket.poll_write(cx, waiting.as_slice(), &[]);
            self.outbox = waiting;
            match ready!(poll)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.outbox.consume(count, pool),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// About how many bytes the socket takes at once. A socket that cannot be asked takes little.
    pub fn send_room(&self) -> usize {
        send_room(self.as_fd()).unwrap_or_default()
    }

    /// Registers for a sign of life from a peer that is not expected to send, and says what it was.
    pub fn poll_noise(&mut self, cx: &mut Context<'_>) -> Poll<Noise> {
        let Ok(flags) = ready!(self.socket.poll_readable(cx)) else { return Poll::Ready(Noise::Gone) };
        Poll::Ready(if flags.is_write_closed() {
            Noise::Gone
        } else if flags.is_read_closed() {
            Noise::HalfClosed
        } else {
            Noise::Data
        })
    }

    /// Whether an idle connection may be used: nothing arrived on it, no end of stream either. Reads the
    /// readiness that the event loop keeps; no system call.
    pub fn is_quiet(&self) -> bool {
        self.inbox.is_empty() && self.socket.is_quiet()
    }

    /// Whether the event loop would tell of a peer that goes away.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.socket.is_watched()
    }

    /// Sends the end of the stream; the other direction stays open.
    pub fn shutdown_write(&self) -> io::Result<()> {
        rustix::net::shutdown(self.as_fd(), rustix::net::Shutdown::Write).map_err(io::Error::from)
    }

    /// Makes the close that follows a reset, so that the peer sees that its data is incomplete.
    pub fn reset_on_close(&self) {
        // A socket that cannot be told closes in the ordinary way.
        let _ = rustix::net::sockopt::set_socket_linger(self.as_fd(), Some(std::time::Duration::ZERO));
    }

    /// Gives the memory of both queues back.
    pub fn clear(&mut self, pool: &BufferPool) {
        self.inbox.clear(pool);
        self.outbox.clear(pool);
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
