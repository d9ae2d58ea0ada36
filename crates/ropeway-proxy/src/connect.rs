//! Opening a connection to a server.
//!
//! A server with several addresses is tried as RFC 8305 (Happy Eyeballs) says: the next address starts when the one
//! before has failed, or has not answered within 250 ms, and the first to connect wins.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ropeway_core::end::EndReason;
use tokio::net::{TcpSocket, TcpStream, UnixStream};

use crate::deadline::DeadlineSlot;
use crate::link::{Io, Link};
use crate::upstream::Endpoint;

/// RFC 8305, section 5: the recommended delay between attempts.
const ATTEMPT_DELAY_MS: u64 = 250;

type Attempt = Pin<Box<dyn Future<Output = io::Result<Io>>>>;

/// A connection that is being opened: to the first of a server's addresses that answers.
pub(crate) struct Race {
    endpoints: Arc<Vec<Endpoint>>,
    started: usize,
    running: Vec<Attempt>,
    next_at: u64,
    give_up_at: u64,
    last_failure: EndReason,
}

impl Race {
    /// Nothing is opened before the first poll.
    pub fn new(endpoints: Arc<Vec<Endpoint>>, slot: &DeadlineSlot, timeout_ms: u64) -> Self {
        Self {
            endpoints,
            started: 0,
            running: Vec::with_capacity(1),
            next_at: 0,
            give_up_at: slot.after(timeout_ms),
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
            if let Some(io) = self.poll_running(cx) {
                return Poll::Ready(Ok(Link::new(io)));
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
                    self.running.push(Box::pin(open(endpoint.clone())));
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

    fn poll_running(&mut self, cx: &mut Context<'_>) -> Option<Io> {
        let mut winner = None;
        let last_failure = &mut self.last_failure;
        self.running.retain_mut(|attempt| {
            if winner.is_some() {
                return true;
            }
            match attempt.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(Ok(io)) => {
                    winner = Some(io);
                    false
                }
                Poll::Ready(Err(error)) => {
                    *last_failure = reason(&error);
                    false
                }
            }
        });
        winner
    }
}

impl fmt::Debug for Race {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Race")
            .field("endpoints", &self.endpoints)
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}

async fn open(endpoint: Endpoint) -> io::Result<Io> {
    match endpoint {
        Endpoint::Tcp(address) => {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.set_nodelay(true)?;
            let stream: TcpStream = socket.connect(address).await?;
            Ok(Io::Tcp(stream))
        }
        Endpoint::Unix(path) => UnixStream::connect(path).await.map(Io::Unix),
    }
}

fn reason(error: &io::Error) -> EndReason {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED | Errno::NOENT) => EndReason::ConnectRefused,
        Some(Errno::TIMEDOUT) => EndReason::ConnectTimeout,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::ADDRNOTAVAIL) => {
            EndReason::LocalResources
        }
        _ => EndReason::ConnectFailed,
    }
}
