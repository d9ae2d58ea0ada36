//! Opening a connection to a server.
//!
//! A server with several addresses is tried as RFC 8305 (Happy Eyeballs) says: the next address starts when the one
//! before has failed, or has not answered within 250 ms, and the first to connect wins.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use ropeway_core::end::EndReason;
use tokio::net::{TcpSocket, TcpStream, UnixStream};

use crate::deadline::DeadlineSlot;
use crate::link::{Io, Link};
use crate::upstream::Endpoint;

/// RFC 8305, section 5: the recommended delay between attempts.
const ATTEMPT_DELAY_MS: u64 = 250;

type Attempt = Pin<Box<dyn Future<Output = io::Result<Io>>>>;

/// Opens a connection to the first of `endpoints` that answers.
///
/// # Errors
///
/// The reason of the last failure, [`EndReason::ConnectTimeout`] when `timeout_ms` passed, and
/// [`EndReason::ServerUnresolved`] when there is no address.
pub(crate) async fn connect(
    endpoints: &[Endpoint],
    slot: &DeadlineSlot,
    timeout_ms: u64,
) -> Result<Link, EndReason> {
    let mut race = Race {
        waiting: endpoints.iter(),
        running: Vec::with_capacity(1),
        next_at: 0,
        give_up_at: slot.after(timeout_ms),
        last_failure: EndReason::ServerUnresolved,
    };
    poll_fn(|cx| race.poll(cx, slot)).await.map(Link::new)
}

struct Race<'a> {
    waiting: std::slice::Iter<'a, Endpoint>,
    running: Vec<Attempt>,
    next_at: u64,
    give_up_at: u64,
    last_failure: EndReason,
}

impl Race<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, slot: &DeadlineSlot) -> Poll<Result<Io, EndReason>> {
        loop {
            if let Some(io) = self.poll_running(cx) {
                return Poll::Ready(Ok(io));
            }
            if slot.has_passed(self.give_up_at) {
                return Poll::Ready(Err(EndReason::ConnectTimeout));
            }
            if !self.running.is_empty() && !slot.has_passed(self.next_at) {
                slot.arm(self.give_up_at.min(self.next_at));
                return Poll::Pending;
            }
            match self.waiting.next() {
                Some(endpoint) => {
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
