//! A non-blocking stream socket, and the moment at which the event loop learns of it.
//!
//! The first read and the writes that follow it are tried before anything is registered. A client that sends one
//! request and is answered at once never costs the event loop a thing; every other connection is registered the first
//! time that it has to be waited for, or is read from again.

#![allow(unsafe_code)]

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, acceptfrom_with, recv, send, sendmsg,
};
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

use super::pipe::Pipe;

/// A connected socket, or one that is being connected.
#[derive(Debug)]
pub(crate) struct Socket {
    /// The registration with the event loop. Before the descriptor, so that it ends before the descriptor is closed.
    watch: Option<AsyncFd<RawFd>>,
    fd: OwnedFd,
    was_read: bool,
    closes_next: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

/// Whether to try again at once or to wait for the next event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    Something,
}

impl Socket {
    /// `fd` must be non-blocking.
    pub fn new(fd: OwnedFd) -> Self {
        Self { watch: None, fd, was_read: false, closes_next: false }
    }

    /// A socket that the event loop knows from the beginning. `fd` must be non-blocking.
    ///
    /// # Errors
    ///
    /// Those of epoll_ctl(2).
    pub fn watched(fd: OwnedFd) -> io::Result<Self> {
        let mut socket = Self::new(fd);
        socket.watch()?;
        Ok(socket)
    }

    /// Whether the event loop knows the socket.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    /// Reads once. `Ok(0)` is the end of the stream.
    #[inline]
    pub fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let most = into.len();
        self.poll_io(cx, Direction::Read, |fd| {
            let (count, _) = recv(fd, &mut *into, RecvFlags::empty())?;
            Ok((count, Left::after(count, most)))
        })
    }

    /// Once what is written from now on is written, the stream ends, and that at once. So the last bytes can wait for the
    /// end and leave in one segment with it.
    pub fn close_next(&mut self) {
        self.closes_next = true;
    }

    /// Writes once, `head` before `body`.
    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, head: &[u8], body: &[u8]) -> Poll<io::Result<usize>> {
        let most = head.len() + body.len();
        let flags =
            if self.closes_next { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
        self.poll_io(cx, Direction::Write, |fd| {
            let count = match (head, body) {
                (bytes, []) | ([], bytes) => send(fd, bytes, flags),
                (head, body) => {
                    let parts = [IoSlice::new(head), IoSlice::new(body)];
                    sendmsg(fd, &parts, &mut SendAncillaryBuffer::default(), flags)
                }
            }?;
            Ok((count, Left::after(count, most)))
        })
    }

    /// Moves bytes into a pipe that is empty, at most `most`. 0 where there are none now, for whatever reason: a read finds
    /// out.
    pub fn fill(&self, pipe: &Pipe, most: usize) -> io::Result<usize> {
        match retry_on_intr(|| pipe.fill(self.fd.as_fd(), most)) {
            Err(Errno::AGAIN) => Ok(0),
            filled => Ok(filled?),
        }
    }

    /// Writes once what is in a pipe, at most `most` bytes.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, pipe: &Pipe, most: usize) -> Poll<io::Result<usize>> {
        self.poll_io(cx, Direction::Write, |fd| {
            let count = pipe.drain(fd, most)?;
            Ok((count, Left::after(count, most)))
        })
    }

    /// Accepts a connection, on a socket that listens. The connection's own socket is non-blocking.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(OwnedFd, SocketAddr)>> {
        self.poll_io(cx, Direction::Read, |fd| {
            let (stream, peer) = acceptfrom_with(fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
            let peer = peer.ok_or(Errno::CONNABORTED)?;
            Ok(((stream, peer.try_into()?), Left::to_read(fd)))
        })
    }

    /// Registers for the moment at which the socket can be written; for one that is being connected, the moment at which
    /// that has succeeded or failed.
    pub fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let guard = ready!(self.watch()?.poll_write_ready(cx))?;
        drop(guard);
        Poll::Ready(Ok(()))
    }

    /// Registers for the moment at which the socket can be read, and says what made it so.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        let watch = self.watch()?;
        drop(ready!(watch.poll_read_ready(cx))?);
        // The guard above tells of reading only; that the peer is gone shows on the writing side.
        let mut noop = Context::from_waker(std::task::Waker::noop());
        let both = std::pin::pin!(watch.ready(Interest::READABLE | Interest::WRITABLE)).poll(&mut noop);
        Poll::Ready(match both {
            Poll::Ready(guard) => Ok(guard?.ready()),
            Poll::Pending => Ok(Ready::EMPTY),
        })
    }

    /// Whether the event loop has not heard from the peer since the last read. No system call.
    pub fn is_quiet(&self) -> bool {
        self.watch.as_ref().is_none_or(|watch| watch.try_io(Interest::READABLE, |_| Ok(())).is_err())
    }

    /// Asks the kernel whether the peer has said more than was read, where that is not known.
    pub fn settle(&self) {
        let Some(watch) = &self.watch else { return };
        // The event loop forgets that there was something once an operation would block.
        let _ = watch.try_io(Interest::READABLE, |_| match Left::to_read(self.fd.as_fd()) {
            Left::Nothing => Err(io::Error::from(io::ErrorKind::WouldBlock)),
            Left::Something => Ok(()),
        });
    }

    /// Tries `operation` whenever the socket is ready for it.
    #[inline]
    fn poll_io<R>(
        &mut self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut operation: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<(R, Left)>,
    ) -> Poll<io::Result<R>> {
        if self.watch.is_none() && self.may_try(direction) {
            match retry_on_intr(|| operation(self.fd.as_fd())) {
                Err(Errno::AGAIN) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
                Ok((result, _)) => return Poll::Ready(Ok(result)),
            }
        }
        self.watch()?;
        let Some(watch) = &self.watch else { return Poll::Pending };
        if direction == Direction::Write
            && let Some(result) = try_write(watch, || retry_on_intr(|| operation(self.fd.as_fd())))
        {
            return Poll::Ready(result);
        }
        loop {
            let ready = match direction {
                Direction::Read => watch.poll_read_ready(cx),
                Direction::Write => watch.poll_write_ready(cx),
            };
            let mut guard = ready!(ready)?;
            match retry_on_intr(|| operation(self.fd.as_fd())) {
                Ok((result, left)) => {
                    if left == Left::Nothing {
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(result));
                }
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Whether to try without the event loop: reading once, so that a peer that always has more to say waits its turn.
    fn may_try(&mut self, direction: Direction) -> bool {
        direction == Direction::Write || !std::mem::replace(&mut self.was_read, true)
    }

    fn watch(&mut self) -> io::Result<&AsyncFd<RawFd>> {
        match &mut self.watch {
            Some(watch) => Ok(watch),
            none => {
                // SAFETY: the descriptor stays open, and the same, for as long as it is registered: nothing replaces `fd`,
                // and `watch`, declared before it, is dropped before it.
                let watch = unsafe { AsyncFd::register(self.fd.as_raw_fd()) };
                Ok(none.insert(watch.map_err(|error| error.into_parts().1)?))
            }
        }
    }
}

/// Writes, as most writes can, without a waker and without counting as work that a task does: reading does that. Nothing
/// when it has to be waited for.
#[inline]
fn try_write<R>(
    watch: &AsyncFd<RawFd>,
    operation: impl FnOnce() -> rustix::io::Result<(R, Left)>,
) -> Option<io::Result<R>> {
    let mut outcome = None;
    // Whatever would block next makes the event loop forget that the socket was ready.
    let would_block = || Err(io::Error::from(io::ErrorKind::WouldBlock));
    let _ = watch.try_io(Interest::WRITABLE, |_| match operation() {
        Ok((result, left)) => {
            outcome = Some(Ok(result));
            if left == Left::Nothing { would_block() } else { Ok(()) }
        }
        Err(Errno::AGAIN) => would_block(),
        Err(error) => {
            outcome = Some(Err(error.into()));
            Ok(())
        }
    });
    outcome
}

impl Left {
    /// A call that moved less than it was asked to has met the end of what there is (epoll(7), question 9).
    const fn after(count: usize, most: usize) -> Self {
        if count > 0 && count < most { Self::Nothing } else { Self::Something }
    }

    /// Whether a call would find anything: bytes, their end, or connections to accept. Asking costs a quarter of an
    /// accept4(2) in vain, which makes a socket and a file before it looks.
    fn to_read(fd: BorrowedFd<'_>) -> Self {
        let mut ask = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        let nobody = poll(&mut ask, Some(&Timespec::default())) == Ok(0);
        if nobody { Self::Nothing } else { Self::Something }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
