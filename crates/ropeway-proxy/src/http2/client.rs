//! Connections to servers that speak HTTP/2.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::Reason;
use h2::client::{Builder, SendRequest};

use super::stream::Stream;
use super::transport::Transport;
use crate::link::Link;
use crate::worker::Worker;

/// Bytes of a response that may be under way on one stream.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes that may be under way on all streams of a connection: the most there is. A smaller window would fill with responses
/// that clients do not read, and stop the responses to others; each of those is held back by the window of its stream.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Bytes of a decompressed field section.
const MAX_HEADER_LIST: u32 = 64 * 1024;
/// Bytes of a request body that wait for a stream to be written.
const SEND_BUFFER: usize = 64 * 1024;

/// A connection that carries many requests at a time.
#[derive(Clone)]
pub(crate) struct Multiplexed {
    requests: SendRequest<Bytes>,
    https: bool,
    /// Streams that are open.
    active: Rc<Cell<u32>>,
    /// The task that moves its frames has not ended.
    is_alive: Rc<Cell<bool>>,
    /// The coarse time at which it last began a request.
    used_ms: Rc<Cell<u64>>,
}

/// Begins HTTP/2 on a connection, up to the settings of the server; a task of its own moves the frames from then on.
///
/// # Errors
///
/// Those of the `h2` crate, and `PROTOCOL_ERROR` for an end before there were settings.
pub(crate) async fn greet(worker: &Rc<Worker>, link: Link, https: bool) -> Result<Multiplexed, h2::Error> {
    let transport = Transport::to_server(link, Rc::clone(worker));
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST)
        .initial_max_send_streams(0)
        .max_send_buffer_size(SEND_BUFFER);
    let (requests, mut connection) = builder.handshake(transport).await?;
    // How many streams the server takes is known from then on (RFC 9113, section 3.4). Guesses would be refused.
    poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(end) => Poll::Ready(end.and(Err(Reason::PROTOCOL_ERROR.into()))),
        Poll::Pending if requests.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    let is_alive = Rc::new(Cell::new(true));
    let flag = Rc::clone(&is_alive);
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "HTTP/2 connection to a server ended");
        }
        flag.set(false);
    });
    let used_ms = Rc::new(Cell::new(worker.deadlines.now_ms()));
    Ok(Multiplexed { requests, https, active: Rc::default(), is_alive, used_ms })
}

impl Multiplexed {
    /// A stream for one request, if the server allows one more now.
    pub fn stream(&self, now_ms: u64) -> Option<Stream> {
        let room = (self.active.get() as usize) < self.requests.current_max_send_streams();
        let mut requests = self.requests.clone();
        let mut cx = Context::from_waker(Waker::noop());
        if !room || !self.is_alive.get() || !matches!(requests.poll_ready(&mut cx), Poll::Ready(Ok(()))) {
            return None;
        }
        self.used_ms.set(now_ms);
        Some(Stream::to_server(requests, self.https, Lease::new(&self.active)))
    }

    /// Whether it is worth keeping.
    pub fn is_usable(&self, now_ms: u64, idle_ms: u64) -> bool {
        if self.active.get() > 0 {
            self.used_ms.set(now_ms);
        }
        let mut requests = self.requests.clone();
        let mut cx = Context::from_waker(Waker::noop());
        self.is_alive.get()
            && !matches!(requests.poll_ready(&mut cx), Poll::Ready(Err(_)))
            && now_ms.saturating_sub(self.used_ms.get()) < idle_ms
    }
}

/// One of the streams that a server allows at a time.
#[derive(Debug)]
pub(crate) struct Lease(Rc<Cell<u32>>);

impl Lease {
    fn new(active: &Rc<Cell<u32>>) -> Self {
        active.set(active.get() + 1);
        Self(Rc::clone(active))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl fmt::Debug for Multiplexed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multiplexed").field("is_alive", &self.is_alive).finish_non_exhaustive()
    }
}

/// Whether the server says that it has not looked at the request, which can then be sent elsewhere (RFC 9113, section
/// 8.7).
pub(crate) fn was_refused(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<h2::Error>());
    error.is_some_and(|error| {
        // Streams that a GOAWAY does not leave out end with the connection instead, whatever its reason is.
        error.reason() == Some(Reason::REFUSED_STREAM) || (error.is_go_away() && error.is_remote())
    })
}
