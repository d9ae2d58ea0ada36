//! Requests that clients send by HTTP/2.

use std::fmt::Display;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request};
use ropeway_core::end::{EndReason, Stage};
use ropeway_core::http1::Progress;
use ropeway_core::http2::Guard;
use ropeway_core::priority::Priority;

use super::liveness::Liveness;
use super::stream::{Kind, Stream};
use super::text;
use super::transport::Transport;
use crate::complaint::Complaint;
use crate::connection::{Client, Farewell, refused};
use crate::exchange::{self, After, Call, End, Exchange};
use crate::link::Link;
use crate::snapshot::Http2Limits;
use crate::starts::Lane;
use crate::worker::Worker;

/// The nonce of a WebSocket handshake that we make of an extended CONNECT. It proves nothing (RFC 6455, section 10.3),
/// and nobody sees its answer.
const WEBSOCKET_KEY: &str = "cm9wZXdheSBoMiBzdHJlYW0=";
/// Streams that the crate may reset in the life of a connection because of what a client does. How many in a minute is for
/// [`Guard`] to count; but it does not see those that a client who reads nothing lets pile up.
const MOST_ERRORS: usize = 10_000;
/// Bytes of the dynamic table of a client's field blocks, by default (RFC 7541, section 4.2).
const TABLE_SIZE: usize = 4096;
/// How much longer than the block that it came in a head may be beside that: a byte can stand for 60 of the static table,
/// Huffman codes for less than twice themselves.
const EXPANSION: usize = 16;
/// Bytes by which the frames of request bodies that wait to be taken may be shorter than 256, all together. A window of
/// 64 KiB in messages of 39 bytes takes a twelfth of it.
const SMALL_FRAMES: usize = 4 * 1024 * 1024;
/// Bytes of responses that wait for a stream to be written.
const SEND_BUFFER: usize = 64 * 1024;

/// Serves a connection until it is to be closed, and says how.
pub(crate) async fn serve(worker: &Rc<Worker>, client: &mut Client, limits: Http2Limits) -> After {
    let due = client.slot.after(client.listener.timeouts.head_ms);
    client.local = client.local.or_else(|| client.link.local_address());
    let link = std::mem::replace(&mut client.link, Link::of_stream(Stream::closed()));
    let guard = Guard::new(limits.max_resets_per_minute);
    let transport = Transport::from_client(link, Rc::clone(worker), guard);
    let mut handshake = std::pin::pin!(builder(&limits).handshake(transport.clone()));
    let greeted = poll_fn(|cx| match handshake.as_mut().poll(cx) {
        Poll::Pending => {
            let due = client.idle_due(due, client.listener.timeouts.head_ms);
            if client.slot.has_passed(due) || worker.must_abort() || transport.send(cx).is_err() {
                return Poll::Ready(None);
            }
            client.slot.arm(due);
            Poll::Pending
        }
        Poll::Ready(greeted) => Poll::Ready(greeted.ok()),
    });
    let Some(mut connection) = greeted.await else { return After::Close };
    if let Some(counters) = client.counters(worker) {
        counters.http2.bump();
    }
    let liveness = limits.keep_alive_interval_ms.and_then(|interval_ms| {
        let (pings, timeout_ms) = (connection.ping_pong()?, limits.keep_alive_timeout_ms);
        Some(Liveness::new(pings, transport.clone(), interval_ms, timeout_ms, client.slot.now_ms()))
    });
    let mut served = Served {
        connection,
        transport,
        lane: Rc::default(),
        liveness,
        quiet_since_ms: None,
        farewell: None,
        is_condemned: false,
    };
    let after = poll_fn(|cx| served.poll(cx, worker, client)).await;
    served.lane.give_up();
    if let (Some(code), Some(counters)) = (served.transport.told(), client.counters(worker)) {
        counters.http2_errors.bump(code);
    }
    client.link = served.transport.take_link();
    after
}

fn builder(limits: &Http2Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.max_concurrent_streams)
        .initial_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_frame_size(limits.max_frame)
        .max_header_list_size(limits.max_header_list)
        .max_pending_accept_reset_streams(limits.max_concurrent_streams as usize)
        .max_concurrent_reset_streams(limits.max_concurrent_streams as usize)
        .data_frame_budget(SMALL_FRAMES)
        .max_local_error_reset_streams(Some(MOST_ERRORS))
        .max_send_buffer_size(SEND_BUFFER)
        .enable_connect_protocol();
    builder
}

/// A connection and its rules.
struct Served {
    connection: Connection<Transport, Bytes>,
    transport: Transport,
    /// Where its requests wait to begin.
    lane: Rc<Lane>,
    liveness: Option<Liveness>,
    /// The coarse time since which there is no stream.
    quiet_since_ms: Option<u64>,
    /// The client was told that no further streams are taken.
    farewell: Option<Farewell>,
    /// The client was told that nothing further is taken.
    is_condemned: bool,
}

impl Served {
    fn poll(&mut self, cx: &mut Context<'_>, worker: &Rc<Worker>, client: &mut Client) -> Poll<After> {
        loop {
            let accepted = self.connection.poll_accept(cx);
            if !matches!(accepted, Poll::Ready(Some(Ok(_)))) {
                while let Some(reason) = self.transport.take_refused(accepted.is_ready()) {
                    note_refused(worker, client, reason);
                }
            }
            match accepted {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(worker, client, request, respond),
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(client = %client.arrival.peer, %error, "HTTP/2 connection failed");
                    if error.is_library() && error.reason() == Some(Reason::ENHANCE_YOUR_CALM) {
                        complain(worker, client, &error);
                    }
                    return Poll::Ready(After::Linger);
                }
                Poll::Ready(None) => return Poll::Ready(After::Linger),
                Poll::Pending if self.must_end(worker, client) => {}
                Poll::Pending => return self.wait(cx, worker, client),
            }
        }
    }

    /// Begins to end what went on for long enough, or does too much. Whether the client has to be told so now.
    fn must_end(&mut self, worker: &Worker, client: &Client) -> bool {
        let now_ms = client.slot.now_ms();
        let quiet_since_ms = match self.quiet_since_ms {
            _ if self.connection.has_streams() => None,
            since_ms => Some(since_ms.unwrap_or(now_ms)),
        };
        self.quiet_since_ms = quiet_since_ms;
        if let Some(code) = self.transport.verdict().filter(|_| !self.is_condemned) {
            self.is_condemned = true;
            if let Some(excess) = self.transport.excess() {
                complain(worker, client, &format_args!("too many {excess}"));
            }
            self.connection.abrupt_shutdown(Reason::from(code as u32));
        } else if !self.is_condemned && self.head_due(client).is_some_and(|due| client.slot.has_passed(due)) {
            self.is_condemned = true;
            client.count_end(EndReason::HeadTimeout);
            self.connection.abrupt_shutdown(Reason::NO_ERROR);
        } else if self.farewell.is_none() && (!client.may_continue(worker) || self.was_idle_for_long(client))
        {
            self.connection.graceful_shutdown();
        } else {
            return false;
        }
        self.farewell = Some(self.transport.with_link(|link| Farewell::new(client, link)));
        true
    }

    /// When the connection has had no stream for too long.
    fn idle_at(&self, client: &Client) -> Option<u64> {
        Some(client.idle_due(self.idle_at_latest(client)?, client.listener.timeouts.idle_ms))
    }

    fn idle_at_latest(&self, client: &Client) -> Option<u64> {
        Some(self.quiet_since_ms?.saturating_add(client.listener.timeouts.idle_ms))
    }

    fn was_idle_for_long(&self, client: &Client) -> bool {
        let was_idle = self.idle_at(client).is_some_and(|due| client.slot.has_passed(due));
        if was_idle && let Some(latest) = self.idle_at_latest(client) {
            client.count_made_room(latest);
        }
        was_idle
    }

    /// When a field block, or the header of a frame, has to be complete.
    fn head_due(&self, client: &Client) -> Option<u64> {
        Some(self.transport.unfinished_since_ms()?.saturating_add(client.listener.timeouts.head_ms))
    }

    fn wait(&mut self, cx: &mut Context<'_>, worker: &Worker, client: &Client) -> Poll<After> {
        let is_alive = self.liveness.as_mut().is_none_or(|peer| peer.is_alive(client.slot.now_ms()));
        if !is_alive || self.transport.send(cx).is_err() {
            return Poll::Ready(After::Close);
        }
        // Each request is given up by itself, and its client told so.
        let is_told = || self.transport.with_link(|link| link.outbox.is_empty());
        if worker.must_abort() && self.quiet_since_ms.is_some() && is_told() {
            return Poll::Ready(After::Linger);
        }
        let end = match &mut self.farewell {
            // Streams that are under way have deadlines of their own.
            Some(_) if self.quiet_since_ms.is_none() => None,
            Some(farewell) => {
                if self.transport.with_link(|link| farewell.is_over(client, link)) {
                    return Poll::Ready(After::Linger);
                }
                Some(farewell.due_ms())
            }
            None => self.idle_at(client),
        };
        let ping_at = self.liveness.as_ref().map(Liveness::due_ms);
        let head_at = self.head_due(client).filter(|_| !self.is_condemned);
        client.slot.arm([end, ping_at, head_at].into_iter().flatten().min().unwrap_or(u64::MAX));
        Poll::Pending
    }

    fn begin(
        &self,
        worker: &Rc<Worker>,
        client: &mut Client,
        mut request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) {
        let opening = self.transport.take_opening(request.body().stream_id().as_u32());
        if let Some(priority) = opening.priority {
            set_priority(request.headers_mut(), priority);
        }
        let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
        let kind = if protocol.is_some() { Kind::Tunnel } else { Kind::Request };
        let head = &mut worker.scratch.borrow_mut().output;
        head.clear();
        let is_malformed = opening.block.is_some_and(|block| block.has_fragment);
        if is_malformed || text::write_request(&request, protocol, WEBSOCKET_KEY, head).is_err() {
            respond.send_reset(Reason::PROTOCOL_ERROR);
            note_refused(worker, client, EndReason::BadRequest);
            return;
        }
        if opening.block.is_some_and(|block| is_bomb(head.len(), block.len)) {
            // Without an answer, which a client that opens no window would leave with us.
            respond.send_reset(Reason::ENHANCE_YOUR_CALM);
            note_refused(worker, client, EndReason::HeadTooLarge);
            return;
        }
        let body = request.into_body();
        let has_body = !body.is_end_stream() && kind == Kind::Request;
        let mut link = Link::of_stream(Stream::from_client(body, respond, kind, self.transport.clone()));
        link.received = head.len() as u64;
        let mut stream = client.for_stream(worker, link);
        let exchange = receive(worker, &mut stream, head, has_body);
        let serving =
            Serving { client: stream, transport: self.transport.clone(), lane: Rc::clone(&self.lane) };
        worker.runners.serve(worker, (Box::new(serving), exchange));
    }
}

/// Whether a field block says far more than its own bytes and all that the dynamic table can hold. A block that does refers
/// to the same entry many times.
fn is_bomb(head: usize, block: usize) -> bool {
    head > TABLE_SIZE + EXPANSION * block
}

/// What a frame says counts instead of the field (RFC 9218, section 7).
fn set_priority(fields: &mut HeaderMap, priority: Priority) {
    let mut value = Vec::new();
    priority.write(&mut value);
    fields.remove("priority");
    if !value.is_empty()
        && let Ok(value) = HeaderValue::try_from(value)
    {
        fields.insert("priority", value);
    }
}

/// Counts and logs a request that gets no exchange.
fn note_refused(worker: &Rc<Worker>, client: &mut Client, reason: EndReason) {
    let mut stream = client.for_stream(worker, Link::of_stream(Stream::closed()));
    let mut exchange = stream.begin_exchange(worker, 0, None);
    exchange::note_refused(worker, &mut stream, &mut exchange, End::new(reason, Stage::Receive));
    worker.give_exchange(exchange);
}

/// Tells the operator of a client that does too much.
fn complain(worker: &Worker, client: &Client, why: &dyn Display) {
    let (peer, listener) = (client.arrival.peer, &client.listener.name);
    let details = format_args!("ended the HTTP/2 connection of {peer} on listener {listener}: {why}");
    worker.complain(Complaint::ClientHttp2, details);
}

/// A stream whose request is served.
pub(super) struct Serving {
    client: Client,
    transport: Transport,
    lane: Rc<Lane>,
}

impl Serving {
    /// Serves it from the beginning to the end.
    pub async fn run(&mut self, worker: &Rc<Worker>, mut exchange: Box<Exchange>) {
        let Self { client, transport, lane } = self;
        poll_fn(|cx| {
            client.slot.register(cx.waker());
            Poll::Ready(())
        })
        .await;
        if worker.wait_to_begin(lane, |cx| client.link.poll_noise(cx).is_ready()).await {
            poll_fn(|cx| exchange::poll(cx, worker, client, &mut exchange)).await;
        } else {
            poll_fn(|cx| {
                exchange::note_gone(cx, worker, client, &mut exchange);
                Poll::Ready(())
            })
            .await;
        }
        if matches!(exchange.end.reason, EndReason::ClientClosed) {
            transport.note_reset();
        }
        worker.give_exchange(exchange);
        client.link.clear(&worker.buffers);
    }
}

/// The exchange of a request whose head has arrived.
fn receive(worker: &Worker, client: &mut Client, head: &[u8], has_body: bool) -> Box<Exchange> {
    let mut exchange = client.begin_exchange(worker, head.len(), None);
    let parsed = exchange.request.parse(head, &client.listener.head_limits);
    exchange.client_ip = client.listener.forwarding.client_ip(&exchange.request, &client.arrival);
    match parsed {
        Ok(Progress::Complete { .. }) => {
            exchange.request.came_by_stream(has_body);
            exchange
        }
        Ok(Progress::Partial) => refused(exchange, End::new(EndReason::BadRequest, Stage::Receive)),
        Err(error) => {
            let end = End::new(error.reason(), Stage::Receive).with_detail(error.detail());
            exchange.call = text::content_type(head).and_then(Call::of_type);
            refused(exchange, end)
        }
    }
}
