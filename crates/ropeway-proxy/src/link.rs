//! One connection's socket, with the bytes that wait on either side of it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ropeway_core::http1::Head;
use ropeway_core::http2::Code;

use crate::buffers::{BufferPool, Pending};
use crate::connect::give_up_after;
use crate::http2::Stream;
use crate::sys::pipe::Pipe;
use crate::sys::send_room::{send_room, unacknowledged};
use crate::sys::socket::Socket;
use crate::tls::Session;

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

/// A connection, or a stream that is as good as one, and its queues.
#[derive(Debug)]
pub(crate) struct Link {
    transport: Transport,
    /// Bytes that were read and not used yet.
    pub inbox: Pending,
    /// Bytes, encrypted where that is to be, that were to be written and did not fit.
    pub outbox: Pending,
    /// Bytes read since the connection opened.
    pub received: u64,
    /// Bytes handed to [`Self::send`] since the connection opened.
    pub sent: u64,
}

/// What carries the bytes.
#[derive(Debug)]
enum Transport {
    /// A socket, and on a secured connection the session that encrypts and decrypts.
    Socket(Socket, Option<Box<Session>>),
    /// A stream of an HTTP/2 connection.
    Stream(Box<Stream>),
}

impl Link {
    pub fn new(socket: Socket) -> Self {
        Self::over(Transport::Socket(socket, None))
    }

    pub fn of_stream(stream: Stream) -> Self {
        Self::over(Transport::Stream(Box::new(stream)))
    }

    fn over(transport: Transport) -> Self {
        Self { transport, inbox: Pending::default(), outbox: Pending::default(), received: 0, sent: 0 }
    }

    /// From now on all bytes are encrypted; the handshake comes first.
    pub fn secure(&mut self, session: Session) {
        if let Transport::Socket(_, slot) = &mut self.transport {
            *slot = Some(Box::new(session));
        }
    }

    /// The TLS session, where there is one.
    pub fn session(&self) -> Option<&Session> {
        match &self.transport {
            Transport::Socket(_, session) => session.as_deref(),
            Transport::Stream(_) => None,
        }
    }

    /// Whether the link is a stream, which carries one exchange and marks the ends of bodies itself.
    #[inline]
    pub fn is_stream(&self) -> bool {
        matches!(self.transport, Transport::Stream(_))
    }

    /// Goes on with the handshake until it is complete. Ready at once on a connection that is not secured.
    ///
    /// # Errors
    ///
    /// See [`Session::poll_handshake`].
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Socket(socket, Some(session)) => session.poll_handshake(cx, socket),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Reads once. `Ok(0)` is the end of the stream.
    #[inline]
    pub fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let waits = !self.outbox.is_empty();
        let poll = match &mut self.transport {
            Transport::Socket(socket, None) => socket.poll_read(cx, into),
            Transport::Socket(socket, Some(session)) => session.poll_read(cx, socket, into, waits),
            Transport::Stream(stream) => stream.poll_read(cx, into),
        };
        let count = ready!(poll)?;
        self.received += count as u64;
        Poll::Ready(Ok(count))
    }

    /// Writes `head`, then `body`. What the peer does not take now waits in the outbox; the caller stops
    /// producing until [`Self::poll_flush`] has emptied it.
    #[inline]
    pub fn send(
        &mut self,
        cx: &mut Context<'_>,
        head: &[u8],
        body: &[u8],
        pool: &BufferPool,
    ) -> io::Result<()> {
        let outbox = &mut self.outbox;
        let sent = match &mut self.transport {
            Transport::Socket(socket, None) => {
                write([head, body], outbox, pool, |head, body| socket.poll_write(cx, head, body))
            }
            Transport::Socket(socket, Some(session)) => session
                .encrypt([head, body], |records| {
                    write([records, &[]], outbox, pool, |head, body| socket.poll_write(cx, head, body))
                })
                .flatten(),
            Transport::Stream(stream) => {
                write([head, body], outbox, pool, |head, body| stream.poll_write(cx, head, body))
            }
        };
        if sent.is_ok() {
            self.sent += (head.len() + body.len()) as u64;
        }
        sent
    }

    /// Whether bytes can go from this link to another by way of a pipe: between sockets, unless they have to be decrypted
    /// or encrypted.
    pub fn can_splice_to(&self, to: &Self) -> bool {
        let is_plain = |link: &Self| matches!(link.transport, Transport::Socket(_, None));
        is_plain(self) && is_plain(to)
    }

    /// Moves bytes into a pipe that is empty, at most `most`. 0 where there are none now, for whatever reason: a read finds
    /// out. Only where [`Self::can_splice_to`] allows it.
    pub fn fill(&mut self, pipe: &Pipe, most: usize) -> io::Result<usize> {
        let count = match &mut self.transport {
            Transport::Socket(socket, None) => socket.fill(pipe, most)?,
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        self.received += count as u64;
        Ok(count)
    }

    /// Like [`Self::send`], of the `count` bytes in a pipe. It is empty afterwards, unless there was an error: what waits
    /// in the outbox is copied there through `space`.
    pub fn send_from(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &Pipe,
        count: usize,
        space: &mut [u8],
        pool: &BufferPool,
    ) -> io::Result<()> {
        let Transport::Socket(socket, None) = &mut self.transport else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        self.sent += count as u64;
        let mut left = count;
        while left > 0 {
            match socket.poll_drain(cx, pipe, left) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => left = left.saturating_sub(written?),
            }
        }
        while left > 0 {
            let copied = pipe.read(space)?;
            self.outbox.append(space.get(..copied).unwrap_or_default(), pool);
            left = left.saturating_sub(copied);
        }
        Ok(())
    }

    /// Says that the end of the stream follows at once on what is sent next. Their last bytes leave together.
    pub fn close_next(&mut self) {
        if let Transport::Socket(socket, _) = &mut self.transport {
            socket.close_next();
        }
    }

    /// Says that nothing follows what was sent so far but these trailers. Only a stream marks that; elsewhere the body
    /// did it.
    #[inline]
    pub fn finish(&mut self, trailers: Option<&Head>) {
        if let Transport::Stream(stream) = &mut self.transport {
            stream.finish(trailers, self.outbox.is_empty());
        }
    }

    /// The trailers that came by other means than the bytes that were read, as a section of HTTP/1.1.
    pub fn take_trailers(&mut self) -> Option<Vec<u8>> {
        match &mut self.transport {
            Transport::Socket(..) => None,
            Transport::Stream(stream) => stream.take_trailers(),
        }
    }

    /// Whether the next read is known to find the end. Only a stream can tell.
    #[inline]
    pub fn is_at_end(&self) -> bool {
        match &self.transport {
            Transport::Socket(..) => false,
            Transport::Stream(stream) => stream.is_at_end(),
        }
    }

    /// Writes what waits.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>, pool: &BufferPool) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            let waiting = std::mem::take(&mut self.outbox);
            let poll = match &mut self.transport {
                Transport::Socket(socket, _) => socket.poll_write(cx, waiting.as_slice(), &[]),
                Transport::Stream(stream) => stream.poll_write(cx, waiting.as_slice(), &[]),
            };
            self.outbox = waiting;
            match ready!(poll)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.outbox.consume(count, pool),
            }
        }
        if let Transport::Stream(stream) = &mut self.transport {
            stream.flush();
        }
        Poll::Ready(Ok(()))
    }

    /// Our own address on a TCP connection.
    pub fn local_address(&self) -> Option<SocketAddr> {
        let Transport::Socket(socket, _) = &self.transport else { return None };
        rustix::net::getsockname(socket.as_fd()).ok()?.try_into().ok()
    }

    /// About how many bytes the peer takes at once. A socket that cannot be asked takes little.
    pub fn send_room(&self) -> usize {
        match &self.transport {
            Transport::Socket(socket, _) => send_room(socket.as_fd()).unwrap_or_default(),
            Transport::Stream(stream) => stream.room(),
        }
    }

    /// About how many of the bytes sent have reached the peer: those that its TCP has acknowledged. Asks the kernel.
    pub fn delivered(&self) -> u64 {
        let queued = match &self.transport {
            Transport::Socket(socket, _) => unacknowledged(socket.as_fd()).unwrap_or_default(),
            Transport::Stream(_) => 0,
        };
        self.sent.saturating_sub((self.outbox.len() + queued) as u64)
    }

    /// The same of the connection that a stream is on, as long as that is what the stream waits for; 0 otherwise.
    pub fn delivered_beneath(&self) -> u64 {
        match &self.transport {
            Transport::Socket(..) => 0,
            Transport::Stream(stream) => stream.delivered_beneath(),
        }
    }

    /// Has the kernel look whether the peer is still there, and give the connection up that shows no sign of it for so long.
    pub fn give_up_after(&self, silence: Duration) {
        if let Transport::Socket(socket, _) = &self.transport {
            // A Unix socket has no network to lose its peer in.
            let _ = give_up_after(socket.as_fd(), silence);
        }
    }

    /// The peer of a stream was waited for in vain, which says something of its connection, too.
    pub fn note_timeout(&self) {
        if let Transport::Stream(stream) = &self.transport {
            stream.note_timeout();
        }
    }

    /// Registers for a sign of life from a peer that is not expected to send, and says what it was.
    pub fn poll_noise(&mut self, cx: &mut Context<'_>) -> Poll<Noise> {
        let socket = match &mut self.transport {
            Transport::Socket(socket, _) => socket,
            Transport::Stream(stream) => return stream.poll_reset(cx).map(|()| Noise::Gone),
        };
        let Ok(flags) = ready!(socket.poll_readable(cx)) else { return Poll::Ready(Noise::Gone) };
        Poll::Ready(if flags.is_write_closed() {
            Noise::Gone
        } else if flags.is_read_closed() {
            Noise::HalfClosed
        } else {
            Noise::Data
        })
    }

    /// Why a peer is gone, where that is known: only of a stream, which may have been ended for what it did.
    pub fn why_gone(&mut self) -> Option<io::Error> {
        match &mut self.transport {
            Transport::Socket(..) => None,
            Transport::Stream(stream) => stream.why_gone(),
        }
    }

    /// Most bytes that can be read without another from the peer; on a secured connection those of the records that are
    /// here, which hold less. Asks the kernel.
    pub fn left_to_read(&self) -> u64 {
        let Transport::Socket(socket, session) = &self.transport else { return u64::MAX };
        let held = self.inbox.len() + session.as_ref().map_or(0, |session| session.held());
        // One that cannot be asked may have anything.
        let in_socket = rustix::io::ioctl_fionread(socket.as_fd()).unwrap_or(u64::MAX);
        in_socket.saturating_add(held as u64)
    }

    /// Whether an idle connection may be used: nothing arrived on it, no end of stream either. Reads the
    /// readiness that the event loop keeps; no system call.
    pub fn is_quiet(&self) -> bool {
        let Transport::Socket(socket, session) = &self.transport else { return false };
        let silent = session.as_ref().is_none_or(|session| session.held() == 0);
        silent && self.inbox.is_empty() && socket.is_quiet()
    }

    /// Makes [`Self::is_quiet`] true where all was read that has come. Asks the kernel, unless it is true already.
    pub fn settle(&self) {
        if let Transport::Socket(socket, _) = &self.transport {
            socket.settle();
        }
    }

    /// Whether the event loop would tell of a peer that goes away.
    #[inline]
    pub fn is_watched(&self) -> bool {
        match &self.transport {
            Transport::Socket(socket, _) => socket.is_watched(),
            Transport::Stream(_) => true,
        }
    }

    /// Tells a peer on a secured connection that nothing follows, as far as the socket takes it.
    pub fn announce_end(&mut self, cx: &mut Context<'_>) {
        if let Transport::Socket(socket, Some(session)) = &mut self.transport
            && self.outbox.is_empty()
        {
            socket.close_next();
            // A peer that is gone need not be told.
            session.close(|alert| drop(socket.poll_write(cx, alert, &[])));
        }
    }

    /// Sends the end of the stream; the other direction stays open.
    pub fn shutdown_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.announce_end(cx);
        match &mut self.transport {
            Transport::Socket(socket, _) => {
                rustix::net::shutdown(socket.as_fd(), rustix::net::Shutdown::Write).map_err(io::Error::from)
            }
            Transport::Stream(stream) => {
                stream.finish(None, true);
                Ok(())
            }
        }
    }

    /// Makes the close that follows a reset, so that the peer sees that its data is incomplete.
    pub fn reset_on_close(&mut self) {
        match &mut self.transport {
            Transport::Socket(socket, _) => {
                // A socket that cannot be told closes in the ordinary way.
                let _ = rustix::net::sockopt::set_socket_linger(socket.as_fd(), Some(Duration::ZERO));
            }
            Transport::Stream(stream) => stream.reset(Code::INTERNAL),
        }
    }

    /// Gives the memory of both queues back.
    pub fn clear(&mut self, pool: &BufferPool) {
        self.inbox.clear(pool);
        self.outbox.clear(pool);
    }
}

/// Writes what is taken now, and keeps the rest for later.
#[inline]
fn write(
    [head, body]: [&[u8]; 2],
    outbox: &mut Pending,
    pool: &BufferPool,
    poll_write: impl FnOnce(&[u8], &[u8]) -> Poll<io::Result<usize>>,
) -> io::Result<()> {
    let mut written = 0;
    if outbox.is_empty() {
        written = match poll_write(head, body) {
            Poll::Ready(result) => result?,
            Poll::Pending => 0,
        };
    }
    outbox.append(head.get(written..).unwrap_or_default(), pool);
    outbox.append(body.get(written.saturating_sub(head.len())..).unwrap_or_default(), pool);
    Ok(())
}
