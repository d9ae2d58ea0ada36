//! Opening a connection to a server.
//!
//! A server with several addresses is tried as RFC 8305 (Happy Eyeballs) says: the next address starts when the one
//! before has failed, or has not answered within 250 ms, and the first to connect wins.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ropeway_core::end::EndReason;
use rustix::io::Errno;
use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_nodelay, set_tcp_user_timeout,
    socket_error,
};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::deadline::DeadlineSlot;
use crate::link::Link;
use crate::sys::socket::Socket;
use crate::upstream::Endpoint;

/// RFC 8305, section 5: the recommended delay between attempts.
const ATTEMPT_DELAY_MS: u64 = 250;

/// A connection that is being opened: to the first of a server's addresses that answers.
#[derive(Debug)]
pub(crate) struct Race {
    endpoints: Arc<Vec<Endpoint>>,
    started: usize,
    running: Vec<Socket>,
    next_at: u64,
    give_up_at: u64,
    /// How many descriptors the process may have open for this connection to be one of them.
    descriptors: u32,
    last_failure: EndReason,
}

impl Race {
    /// Nothing is opened before the first poll.
    pub fn new(
        endpoints: Arc<Vec<Endpoint>>,
        slot: &DeadlineSlot,
        timeout_ms: u64,
        descriptors: u32,
    ) -> Self {
        Self {
            endpoints,
            started: 0,
            running: Vec::with_capacity(1),
            next_at: 0,
            give_up_at: slot.after(timeout_ms),
            descriptors,
            last_failure: EndReason::ServerUnresolved,
        }
    }

    /// The connection, once one is open.
    ///
    /// # Errors
    ///
    /// The reason of the last failure, [`EndReason::ConnectTimeout`] when the time is over, and
    /// [`EndReason::ServerUnresolved`] when there is no address.
    pub fn poll(&mut self, cx: &mut Context<'_>, slot: &DeadlineSlot) -> Poll<Result<Link, EndReason>> {
        loop {
            if let Some(socket) = self.poll_running(cx) {
                return Poll::Ready(Ok(Link::new(socket)));
            }
            if slot.has_passed(self.give_up_at) {
                return Poll::Ready(Err(EndReason::ConnectTimeout));
            }
            if !self.running.is_empty() && !slot.has_passed(self.next_at) {
                slot.arm(self.give_up_at.min(self.next_at));
                return Poll::Pending;
            }
            match self.endpoints.get(self.started) {
                Some(endpoint) => {
                    self.started += 1;
                    match open(endpoint, self.descriptors) {
                        Ok(socket) => self.running.push(socket),
                        Err(error) => self.last_failure = reason(&error),
                    }
                    self.next_at = slot.after(ATTEMPT_DELAY_MS);
                }
                None if self.running.is_empty() => return Poll::Ready(Err(self.last_failure)),
                None => {
                    self.next_at = self.give_up_at;
                    slot.arm(self.give_up_at);
                    return Poll::Pending;
                }
            }
        }
    }

    fn poll_running(&mut self, cx: &mut Context<'_>) -> Option<Socket> {
        let mut index = 0;
        while let Some(socket) = self.running.get_mut(index) {
            match poll_connected(cx, socket) {
                Poll::Pending => index += 1,
                Poll::Ready(Ok(())) => return Some(self.running.swap_remove(index)),
                Poll::Ready(Err(error)) => {
                    self.last_failure = reason(&error);
                    self.running.remove(index);
                }
            }
        }
        None
    }
}

/// A connection that is being opened.
fn open(endpoint: &Endpoint, descriptors: u32) -> io::Result<Socket> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (fd, connected) = match endpoint {
        Endpoint::Tcp(address) => {
            let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let fd = unless_scarce(socket_with(family, SocketType::STREAM, flags, None)?, descriptors)?;
            set_tcp_nodelay(&fd, true)?;
            let connected = connect(&fd, address);
            (fd, connected)
        }
        Endpoint::Unix(path) => {
            let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            let fd = unless_scarce(fd, descriptors)?;
            let connected = connect(&fd, &SocketAddrUnix::new(&**path)?);
            (fd, connected)
        }
    };
    match connected {
        Ok(()) | Err(Errno::INPROGRESS) => Socket::watched(fd),
        Err(error) => Err(error.into()),
    }
}

/// Gives a descriptor back that others need more. The kernel hands out the lowest free number, so that about as many are
/// open as the number says.
fn unless_scarce(fd: OwnedFd, descriptors: u32) -> io::Result<OwnedFd> {
    let is_scarce = u32::try_from(fd.as_raw_fd()).is_ok_and(|number| number >= descriptors);
    if is_scarce { Err(Errno::MFILE.into()) } else { Ok(fd) }
}

/// Has the kernel end a TCP connection whose peer shows no sign of life for so long: it is asked for one after a third of
/// that, and twice more.
///
/// # Errors
///
/// Those of setsockopt(2): the socket is of another kind.
pub(crate) fn give_up_after(socket: BorrowedFd<'_>, silence: Duration) -> io::Result<()> {
    let silence_ms = u32::try_from(silence.as_millis()).unwrap_or(u32::MAX);
    set_tcp_user_timeout(socket, silence_ms)?;
    set_tcp_keepidle(socket, silence / 3)?;
    set_tcp_keepintvl(socket, silence / 3)?;
    set_socket_keepalive(socket, true)?;
    Ok(())
}

/// Waits for a connection that [`open`] has begun.
fn poll_connected(cx: &mut Context<'_>, socket: &mut Socket) -> Poll<io::Result<()>> {
    ready!(socket.poll_writable(cx))?;
    Poll::Ready(socket_error(socket.as_fd()).and_then(|error| error).map_err(io::Error::from))
}

fn reason(error: &io::Error) -> EndReason {
    match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED | Errno::NOENT) => EndReason::ConnectRefused,
        Some(Errno::TIMEDOUT) => EndReason::ConnectTimeout,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::ADDRNOTAVAIL) => {
            EndReason::LocalResources
        }
        _ => EndReason::ConnectFailed,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use rustix::net::sockopt::{socket_keepalive, tcp_keepidle, tcp_keepintvl, tcp_user_timeout};

    use super::*;

    #[test]
    fn a_silent_peer_is_asked_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        give_up_after(tcp.as_fd(), Duration::from_secs(30)).unwrap();
        assert!(socket_keepalive(&tcp).unwrap());
        assert_eq!(tcp_keepidle(&tcp).unwrap() + 2 * tcp_keepintvl(&tcp).unwrap(), Duration::from_secs(30));
        assert_eq!(tcp_user_timeout(&tcp).unwrap(), 30_000);
        let (unix, _) = UnixStream::pair().unwrap();
        assert!(give_up_after(unix.as_fd(), Duration::from_secs(30)).is_err());
    }
}
