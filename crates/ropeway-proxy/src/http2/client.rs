//! Connections to servers that speak HTTP/2.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ropeway_core::http2::{Connection, Limits, Side};

use super::stream::Stream;
use super::transport::{Gone, Transport};
use crate::link::Link;
use crate::opening::Destination;
use crate::upstream::Quota;
use crate::worker::Worker;

/// Bytes of a response that may be under way on one stream.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes that may be under way on all streams of a connection: the most there is. A smaller window would fill with responses
/// that clients do not read, and stop the responses to others; each of those is held back by the window of its stream.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Bytes of a decompressed field section.
const MAX_HEADER_LIST: u32 = 64 * 1024;
/// Bytes of the largest frame that servers may send.
const MAX_FRAME: u32 = 16 * 1024;

/// How long the kernel waits for a sign of life of the server's. PING could ask for one as well, but common servers of gRPC
/// take a few of them within five minutes for an attack.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// Streams of a connection that are reset before it takes no more requests. Servers count what clients give up, and end
/// the connection with all that is on it when it becomes too much: Ropeway itself at 200 a minute, which these and the 128
/// streams that may be under way do not come to.
const MOST_RESETS: u32 = 64;

/// A connection that carries many requests at a time.
pub(crate) struct Multiplexed {
    transport: Transport,
    /// [`ServerLive::moves`](crate::upstream::ServerLive) when it was opened.
    moves: u64,
    state: Rc<State>,
}

/// What is known of a connection by all who use it.
#[derive(Debug, Default)]
struct State {
    /// Streams that are open.
    active: Cell<u32>,
    /// It has ended, or may lead nowhere by now: it takes no more requests.
    is_over: Cell<bool>,
    /// Requests that it has carried.
    carried: Cell<u64>,
    /// Streams that were reset by this side.
    resets: Cell<u32>,
    /// Bytes that the server has sent.
    heard: Cell<u64>,
    /// The coarse time at which it last had a request.
    used_ms: Cell<u64>,
}

impl State {
    /// Whether there are no requests on it, nor will be.
    fn is_spent(&self) -> bool {
        self.is_over.get() && self.active.get() == 0
    }
}

/// Begins HTTP/2 on a connection, up to the settings of the server; a task of its own moves the frames from then on. One
/// that is for one request ends without ceremony: an orderly end would keep a port of ours for a minute.
///
/// # Errors
///
/// Those of the link, and what the server did that is against the rules.
pub(crate) async fn greet(
    worker: &Rc<Worker>,
    link: Link,
    destination: &Destination,
    moves: u64,
    is_for_one: bool,
) -> io::Result<Multiplexed> {
    link.give_up_after(LONGEST_SILENCE);
    let limits = Limits {
        streams: 0,
        header_list: MAX_HEADER_LIST,
        stream_window: STREAM_WINDOW,
        connection_window: CONNECTION_WINDOW,
        max_frame: MAX_FRAME,
    };
    let connection = Connection::new(Side::Client { https: destination.tls.is_some() }, limits);
    let transport = Transport::to_server(link, Rc::clone(worker), connection, is_for_one);
    // How many streams the server takes is known from then on (RFC 9113, section 3.4). Guesses would be refused.
    poll_fn(|cx| match poll_turn(cx, &transport) {
        Poll::Ready(error) => Poll::Ready(Err(error)),
        Poll::Pending if transport.with(|connection| connection.most_streams()) > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    let state = Rc::new(State::default());
    state.heard.set(transport.received());
    state.used_ms.set(worker.deadlines.now_ms());
    let multiplexed = Multiplexed { transport: transport.clone(), moves, state: Rc::clone(&state) };
    let (live, worker) = (Arc::clone(&destination.live), worker.index);
    tokio::task::spawn_local(async move {
        live.counters.of(worker).inspect(|counters| counters.multiplexed_in.bump());
        let end = poll_fn(|cx| {
            let poll = poll_turn(cx, &transport);
            state.heard.set(transport.received());
            match poll {
                // Nobody is left who could want a stream.
                Poll::Pending if transport.count() == 1 || state.is_spent() => transport.poll_close(cx),
                poll => poll.map(Err),
            }
        });
        if let Err(error) = end.await {
            tracing::debug!(%error, "HTTP/2 connection to a server ended");
        }
        state.is_over.set(true);
        live.counters.of(worker).inspect(|counters| counters.multiplexed_out.bump());
    });
    Ok(multiplexed)
}

/// Moves frames in both directions, until the connection is over for this reason.
fn poll_turn(cx: &mut Context<'_>, transport: &Transport) -> Poll<io::Error> {
    let received = transport.poll_receive(cx, |_| {});
    // What is wrong with the link is found by the next turn, too.
    let sent = transport.send(cx);
    Poll::Ready(match ready!(received) {
        Gone::Link(error) => error,
        Gone::Fatal(fatal) => sent.err().unwrap_or_else(|| io::Error::other(fatal.code.name())),
    })
}

impl Multiplexed {
    /// A stream for one request, if it leads to where the server is now, and both sides allow one more.
    pub fn stream(&self, now_ms: u64, moves: u64, quota: Quota) -> Option<Stream> {
        let (most, takes_more) =
            self.transport.with(|connection| (connection.most_streams(), connection.takes_streams()));
        let has_room = (self.state.active.get() as usize) < most.min(quota.streams);
        if !has_room || !takes_more || !self.is_in_service(moves) {
            return None;
        }
        self.state.used_ms.set(now_ms);
        let carried = self.state.carried.get() + 1;
        self.state.carried.set(carried);
        self.state.is_over.set(quota.requests != 0 && carried >= quota.requests);
        Some(Stream::to_server(self.transport.clone(), quota.all_trailers, Lease::new(&self.state)))
    }

    /// Whether it is worth keeping.
    pub fn is_usable(&self, now_ms: u64, idle_ms: u64, moves: u64) -> bool {
        if self.state.active.get() > 0 {
            self.state.used_ms.set(now_ms);
        }
        self.is_in_service(moves)
            && self.transport.with(|connection| connection.takes_streams())
            && now_ms.saturating_sub(self.state.used_ms.get()) < idle_ms
    }

    /// Whether it takes requests, and leads to where the server is now.
    pub fn is_in_service(&self, moves: u64) -> bool {
        !self.state.is_over.get() && self.moves == moves
    }
}

/// One of the streams that a server allows at a time.
#[derive(Debug)]
pub(crate) struct Lease {
    connection: Rc<State>,
    /// [`State::heard`] when something last came on the stream.
    heard: u64,
}

impl Lease {
    fn new(connection: &Rc<State>) -> Self {
        connection.active.set(connection.active.get() + 1);
        Self { connection: Rc::clone(connection), heard: connection.heard.get() }
    }

    /// Something came on the stream.
    pub fn note_read(&mut self) {
        self.heard = self.connection.heard.get();
    }

    /// The stream was waited for in vain. If nothing came on any other either, the server may be gone, and no further
    /// request is sent there; those that are under way wait for as long as they may.
    pub fn note_timeout(&self) {
        if self.connection.heard.get() == self.heard {
            self.connection.is_over.set(true);
        }
    }

    /// The stream is reset by this side. The server may hold that against all that are on the connection.
    pub fn note_reset(&self) {
        let resets = self.connection.resets.get() + 1;
        self.connection.resets.set(resets);
        if resets >= MOST_RESETS {
            self.connection.is_over.set(true);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.connection.active.set(self.connection.active.get().saturating_sub(1));
    }
}

impl Drop for Multiplexed {
    fn drop(&mut self) {
        // The connection may end now, if no stream is left.
        self.transport.wake();
    }
}

impl fmt::Debug for Multiplexed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multiplexed").field("state", &self.state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_given_up_if_nothing_came_on_any_stream() {
        let connection = Rc::<State>::default();
        let (mut first, second) = (Lease::new(&connection), Lease::new(&connection));
        connection.heard.set(100);
        first.note_read();
        second.note_timeout();
        assert!(!connection.is_over.get(), "something came, on the other one");
        first.note_timeout();
        assert!(connection.is_over.get());
    }
}
