//! Requests that clients send by HTTP/2.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use ropeway_core::end::{EndReason, Stage};
use ropeway_core::http1::Progress;

use super::liveness::Liveness;
use super::stream::{Kind, Stream};
use super::text;
use super::transport::Transport;
use crate::connection::{Client, refused};
use crate::exchange::{self, End, Exchange};
use crate::link::Link;
use crate::snapshot::Http2Limits;
use crate::worker::Worker;

/// The nonce of a WebSocket handshake that we make of an extended CONNECT. It proves nothing (RFC 6455, section 10.3),
/// and nobody sees its answer.
const WEBSOCKET_KEY: &str = "cm9wZXdheSBoMiBzdHJlYW0=";
const MINUTE_MS: u64 = 60_000;
/// Streams that a client may have reset and that wait to be noticed.
const MAX_PENDING_RESETS: usize = 32;
/// Bytes of the dynamic table of a client's field blocks, by default (RFC 7541, section 4.2).
const TABLE_SIZE: usize = 4096;
/// How much longer than the block that it came in a head may be beside that: a byte can stand for 60 of the static table,
/// Huffman codes for less than twice themselves.
const EXPANSION: usize = 16;
/// Bytes of responses that wait for a stream to be written.
const SEND_BUFFER: usize = 64 * 1024;

/// What the streams of one connection have done.
#[derive(Debug, Default)]
struct Tally {
    open: Cell<u32>,
    /// Streams that were reset since the minute began.
    resets: Cell<u32>,
    /// The coarse time at which the last stream ended.
    quiet_since_ms: Cell<u64>,
}

/// Serves a connection until it is closed.
pub(crate) async fn serve(worker: Rc<Worker>, mut client: Client, limits: Http2Limits) {
    let due = client.slot.after(client.listener.timeouts.head_ms);
    client.local = client.local.or_else(|| client.link.local_address());
    let link = std::mem::replace(&mut client.link, Link::of_stream(Stream::closed()));
    let transport = Transport::from_client(link, Rc::clone(&worker));
    let mut handshake = std::pin::pin!(builder(&limits).handshake(transport.clone()));
    let greeted = poll_fn(|cx| match handshake.as_mut().poll(cx) {
        Poll::Pending if client.slot.has_passed(due) || worker.must_abort() => Poll::Ready(None),
        Poll::Pending => {
            client.slot.arm(due);
            Poll::Pending
        }
        Poll::Ready(greeted) => Poll::Ready(greeted.ok()),
    });
    let Some(mut connection) = greeted.await else { return };
    if let Some(counters) = client.counters(&worker) {
        counters.http2.bump();
    }
    let now_ms = client.slot.now_ms();
    let liveness = limits.keep_alive_interval_ms.and_then(|interval_ms| {
        let (pings, timeout_ms) = (connection.ping_pong()?, limits.keep_alive_timeout_ms);
        Some(Liveness::new(pings, transport.clone(), interval_ms, timeout_ms, now_ms))
    });
    let mut served = Served {
        connection,
        transport,
        liveness,
        tally: Rc::default(),
        minute_ends_ms: client.slot.after(MINUTE_MS),
        limits,
        is_closing: false,
    };
    served.tally.quiet_since_ms.set(now_ms);
    poll_fn(|cx| served.poll(cx, &worker, &mut client)).await;
}

fn builder(limits: &Http2Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.max_concurrent_streams)
        .initial_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_frame_size(limits.max_frame)
        .max_header_list_size(limits.max_header_list)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_concurrent_reset_streams(limits.max_concurrent_streams as usize)
        .max_local_error_reset_streams(Some(limits.max_resets_per_minute as usize))
        .max_send_buffer_size(SEND_BUFFER)
        .enable_connect_protocol();
    builder
}

/// A connection and its rules.
struct Served {
    connection: Connection<Transport, Bytes>,
    transport: Transport,
    tally: Rc<Tally>,
    liveness: Option<Liveness>,
    minute_ends_ms: u64,
    limits: Http2Limits,
    is_closing: bool,
}

impl Served {
    fn poll(&mut self, cx: &mut Context<'_>, worker: &Rc<Worker>, client: &mut Client) -> Poll<()> {
        loop {
            self.enforce(worker, client);
            if worker.must_abort() {
                return Poll::Ready(());
            }
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(worker, client, request, respond),
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(client = %client.arrival.peer, %error, "HTTP/2 connection failed");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return self.wait(worker, client),
            }
        }
    }

    /// Ends what goes on for too long or does too much.
    fn enforce(&mut self, worker: &Worker, client: &Client) {
        if self.tally.resets.get() > self.limits.max_resets_per_minute {
            self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        }
        if client.slot.has_passed(self.minute_ends_ms) {
            self.minute_ends_ms = client.slot.after(MINUTE_MS);
            self.tally.resets.set(0);
        }
        if !self.is_closing && !client.may_continue(worker) {
            self.is_closing = true;
            self.connection.graceful_shutdown();
        }
    }

    fn wait(&mut self, worker: &Worker, client: &Client) -> Poll<()> {
        if self.liveness.as_mut().is_some_and(|peer| !peer.is_alive(client.slot.now_ms())) {
            return Poll::Ready(());
        }
        let ping_at = self.liveness.as_ref().map_or(u64::MAX, Liveness::due_ms);
        let mut due = self.minute_ends_ms.min(ping_at);
        if self.tally.open.get() == 0 {
            let idle_at = self.tally.quiet_since_ms.get().saturating_add(client.listener.timeouts.idle_ms);
            let idle_at = worker.idle_close_at().map_or(idle_at, |close_at| idle_at.min(close_at));
            if client.slot.has_passed(idle_at) {
                if self.is_closing {
                    return Poll::Ready(());
                }
                self.is_closing = true;
                self.connection.graceful_shutdown();
            }
            due = due.min(idle_at.max(client.slot.now_ms()));
        }
        client.slot.arm(due);
        Poll::Pending
    }

    fn begin(
        &self,
        worker: &Rc<Worker>,
        client: &mut Client,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts, ());
        let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
        let kind = if protocol.is_some() { Kind::Tunnel } else { Kind::Request };
        let mut head = Vec::with_capacity(512);
        if text::write_request(&request, protocol, WEBSOCKET_KEY, &mut head).is_err() {
            respond.send_reset(Reason::PROTOCOL_ERROR);
            return;
        }
        let has_body = !body.is_end_stream() && kind == Kind::Request;
        let block = self.transport.take_block_len(body.stream_id().as_u32());
        if is_bomb(head.len(), block) {
            // Without an answer, which a client that opens no window would leave with us.
            respond.send_reset(Reason::ENHANCE_YOUR_CALM);
            client.count_end(EndReason::HeadTooLarge);
            self.tally.resets.set(self.tally.resets.get() + 1);
            return;
        }
        let link = Link::of_stream(Stream::from_client(body, respond, kind));
        let stream = client.for_stream(worker, link);
        let tally = Rc::clone(&self.tally);
        tally.open.set(tally.open.get() + 1);
        tokio::task::spawn_local(run(Rc::clone(worker), stream, head, has_body, Running(tally)));
    }
}

/// Whether a field block says far more than its own bytes and all that the dynamic table can hold. A block that does refers
/// to the same entry many times.
fn is_bomb(head: usize, block: Option<usize>) -> bool {
    block.is_some_and(|block| head > TABLE_SIZE + EXPANSION * block)
}

/// One stream's exchange.
async fn run(worker: Rc<Worker>, mut client: Client, head: Vec<u8>, has_body: bool, running: Running) {
    let mut exchange = receive(&worker, &mut client, &head, has_body);
    drop(head);
    poll_fn(|cx| {
        client.slot.register(cx.waker());
        Poll::Ready(())
    })
    .await;
    poll_fn(|cx| exchange::poll(cx, &worker, &mut client, &mut exchange)).await;
    if matches!(exchange.end.reason, EndReason::ClientClosed) {
        running.0.resets.set(running.0.resets.get() + 1);
    }
    running.0.quiet_since_ms.set(client.slot.now_ms());
    worker.give_exchange(exchange);
    client.link.clear(&worker.buffers);
}

/// The exchange of a request whose head has arrived.
fn receive(worker: &Worker, client: &mut Client, head: &[u8], has_body: bool) -> Box<Exchange> {
    let mut exchange = client.begin_exchange(worker, head.len());
    match exchange.request.parse(head, &client.listener.head_limits) {
        Ok(Progress::Complete { .. }) => {
            exchange.request.came_by_stream(has_body);
            exchange.client_ip = client.listener.forwarding.client_ip(&exchange.request, &client.arrival);
            exchange
        }
        Ok(Progress::Partial) => refused(exchange, End::new(EndReason::BadRequest, Stage::Receive)),
        Err(error) => {
            let end = End::new(error.reason(), Stage::Receive).with_detail(error.detail());
            refused(exchange, end)
        }
    }
}

/// A stream that is counted as open.
struct Running(Rc<Tally>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
    }
}
