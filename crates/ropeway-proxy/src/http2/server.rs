//! Requests that clients send by HTTP/2.

use std::fmt::Display;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use ropeway_core::end::{EndReason, Stage};
use ropeway_core::http1::Progress;
use ropeway_core::http2::{Connection, Limits, Side};

use super::broken::Broken;
use super::liveness::Liveness;
use super::stream::{Kind, Stream};
use super::transport::{Arrived, Gone, Transport};
use crate::complaint::Complaint;
use crate::connection::{Client, Farewell, refused};
use crate::exchange::{self, After, Call, End, Exchange};
use crate::link::Link;
use crate::snapshot::Http2Limits;
use crate::starts::Lane;
use crate::uptake::Uptake;
use crate::worker::Worker;

/// Serves a connection until it is to be closed, and says how.
pub(crate) async fn serve(worker: &Rc<Worker>, client: &mut Client, limits: Http2Limits) -> After {
    client.local = client.local.or_else(|| client.link.local_address());
    let link = std::mem::replace(&mut client.link, Link::of_stream(Stream::closed()));
    let side = Side::Server { most_resets: limits.max_resets_per_minute };
    let connection = Connection::new(side, announced(&limits));
    let now_ms = client.slot.now_ms();
    let transport = Transport::from_client(link, Rc::clone(worker), connection);
    let liveness = limits.keep_alive_interval_ms.map(|interval_ms| {
        Liveness::new(transport.clone(), interval_ms, limits.keep_alive_timeout_ms, now_ms)
    });
    let mut served = Served {
        transport,
        lane: Rc::default(),
        liveness,
        greet_by: client.slot.after(client.listener.timeouts.head_ms),
        is_greeted: false,
        quiet_since_ms: None,
        ending: None,
    };
    let after = poll_fn(|cx| served.poll(cx, worker, client)).await;
    served.lane.give_up();
    served.transport.break_off(Broken::Lost);
    let told = served.transport.with(|connection| connection.told());
    if let (Some(code), Some(counters)) = (told, client.counters(worker)) {
        counters.http2_errors.bump(code);
    }
    client.link = served.transport.take_link();
    after
}

/// What clients are told that they may do.
fn announced(limits: &Http2Limits) -> Limits {
    Limits {
        streams: limits.max_concurrent_streams,
        header_list: limits.max_header_list,
        stream_window: limits.stream_window,
        connection_window: limits.connection_window,
        max_frame: limits.max_frame,
    }
}

/// A connection and its rules.
struct Served {
    transport: Transport,
    /// Where its requests wait to begin.
    lane: Rc<Lane>,
    liveness: Option<Liveness>,
    /// When the client has to have said that it speaks HTTP/2, and whether it has.
    greet_by: u64,
    is_greeted: bool,
    /// The coarse time since which there is no stream.
    quiet_since_ms: Option<u64>,
    /// The connection is to end.
    ending: Option<Ending>,
}

/// The end of a connection, of which its client was told.
struct Ending {
    /// When its client is told which stream is the last one, if it has not shown before that it knows of the end.
    last_word_at: u64,
    /// The wait for the client to take what it has not been sent yet, beyond these bytes.
    uptake: Option<(Uptake, u64)>,
    /// The wait for what is behind that: a word of the client's, or that it takes what the kernel still has.
    farewell: Option<Farewell>,
}

impl Served {
    fn poll(&mut self, cx: &mut Context<'_>, worker: &Rc<Worker>, client: &mut Client) -> Poll<After> {
        let Self { transport, lane, .. } = self;
        let received = transport.poll_receive(cx, |arrived| match arrived {
            Arrived::Request { stream, head, ends, is_tunnel } => {
                let kind = if is_tunnel { Kind::Tunnel } else { Kind::Request };
                let stream = Stream::from_client(transport.clone(), stream, kind);
                begin(worker, client, lane, stream, head, !ends && !is_tunnel);
            }
            Arrived::Refused(reason, bytes) => note_refused(worker, client, reason, bytes),
        });
        match received {
            Poll::Ready(Gone::Link(_)) if !self.is_greeted => return Poll::Ready(After::Close),
            Poll::Ready(Gone::Link(_)) => return Poll::Ready(After::Linger),
            Poll::Ready(Gone::Fatal(fatal)) => {
                let (peer, code) = (client.arrival.peer, fatal.code.name());
                tracing::debug!(client = %peer, code, "HTTP/2 connection failed");
                if let Some(excess) = fatal.excess {
                    complain(worker, client, &excess);
                }
            }
            Poll::Pending => {}
        }
        if !self.is_greeted && !self.greet(worker, client) {
            return self.wait_for_greeting(cx, worker, client);
        }
        self.try_end(worker, client);
        self.say_last_word(client);
        self.wait(cx, worker, client)
    }

    /// Whether the client has begun to speak.
    fn greet(&mut self, worker: &Worker, client: &Client) -> bool {
        self.is_greeted = self.transport.with(|connection| connection.is_greeted());
        if let Some(counters) = client.counters(worker).filter(|_| self.is_greeted) {
            counters.http2.bump();
        }
        self.is_greeted
    }

    fn wait_for_greeting(&mut self, cx: &mut Context<'_>, worker: &Worker, client: &Client) -> Poll<After> {
        let due = client.idle_due(self.greet_by, client.listener.timeouts.head_ms);
        let is_over = self.transport.with(|connection| connection.is_over());
        let is_sent = self.transport.send(cx).is_ok();
        if client.slot.has_passed(due) || worker.must_abort() || is_over || !is_sent {
            return Poll::Ready(After::Close);
        }
        client.slot.arm(due);
        Poll::Pending
    }

    /// Begins to end what went on for long enough.
    fn try_end(&mut self, worker: &Worker, client: &Client) {
        let now_ms = client.slot.now_ms();
        self.quiet_since_ms = match self.quiet_since_ms {
            _ if self.transport.with(|connection| connection.has_streams()) => None,
            since_ms => Some(since_ms.unwrap_or(now_ms)),
        };
        if worker.must_abort() && self.quiet_since_ms.is_some() {
            // Each request was given up by itself, and its client told so.
            self.transport.break_off(Broken::Lost);
        }
        let is_over = self.transport.with(Connection::try_end);
        if !is_over && self.head_due(client).is_some_and(|due| client.slot.has_passed(due)) {
            client.count_end(EndReason::HeadTimeout);
            self.transport.break_off(Broken::Lost);
        } else if !is_over
            && self.ending.is_none()
            && (!client.may_continue(worker) || self.was_idle_for_long(client))
        {
            self.transport.with(Connection::shut_down);
        } else if !is_over || self.ending.is_some() {
            return;
        }
        self.ending = Some(Ending::new(client));
    }

    /// Tells a client that has been silent about the end for long enough which stream is the last one.
    fn say_last_word(&self, client: &Client) {
        if self.ending.as_ref().is_some_and(|ending| client.slot.has_passed(ending.last_word_at)) {
            self.transport.with(|connection| {
                connection.take_no_more();
                connection.try_end();
            });
        }
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
        let since_ms = self.transport.with(|connection| connection.unfinished_since_ms())?;
        Some(since_ms.saturating_add(client.listener.timeouts.head_ms))
    }

    fn wait(&mut self, cx: &mut Context<'_>, worker: &Worker, client: &Client) -> Poll<After> {
        let is_alive = self.liveness.as_mut().is_none_or(|peer| peer.is_alive(client.slot.now_ms()));
        if !is_alive || self.transport.send(cx).is_err() {
            return Poll::Ready(After::Close);
        }
        let is_over = self.transport.with(|connection| connection.is_over());
        if is_over && self.transport.has_sent_all() {
            return Poll::Ready(After::Linger);
        }
        let end = match &mut self.ending {
            None => self.idle_at(client),
            Some(ending) if !is_over && self.quiet_since_ms.is_none() => ending.await_streams(client),
            Some(ending) => {
                let is_whole = self.transport.with(|connection| !connection.is_broken_off());
                let is_patient = is_whole && !self.transport.has_sent_all() && !worker.must_abort();
                let await_end = if is_patient { Ending::await_uptake } else { Ending::await_farewell };
                let due = self.transport.with_link(|link| await_end(ending, client, link));
                if due.is_none() {
                    return Poll::Ready(After::Linger);
                }
                due
            }
        };
        let ping_at = self.liveness.as_ref().map(Liveness::due_ms);
        let head_at = self.head_due(client).filter(|_| !is_over);
        client.slot.arm([end, ping_at, head_at].into_iter().flatten().min().unwrap_or(u64::MAX));
        Poll::Pending
    }
}

impl Ending {
    fn new(client: &Client) -> Self {
        let last_word_at = client.slot.after(client.listener.timeouts.linger_ms);
        Self { last_word_at, uptake: None, farewell: None }
    }

    /// Streams are under way, which have deadlines of their own. When to look again, if at all.
    fn await_streams(&mut self, client: &Client) -> Option<u64> {
        (self.uptake, self.farewell) = (None, None);
        Some(self.last_word_at).filter(|due| !client.slot.has_passed(*due))
    }

    /// The client has as long to take the rest as for a response. When to look again; `None` if it has had time enough.
    fn await_uptake(&mut self, client: &Client, link: &Link) -> Option<u64> {
        self.farewell = None;
        let now_ms = client.slot.now_ms();
        let begin = || (Uptake::beginning(now_ms), link.delivered());
        let (uptake, delivered_before) = self.uptake.get_or_insert_with(begin);
        client.uptake_due(uptake, link, *delivered_before)
    }

    /// The same when all was sent, or when the rest is not worth the wait.
    fn await_farewell(&mut self, client: &Client, link: &Link) -> Option<u64> {
        self.uptake = None;
        let farewell = self.farewell.get_or_insert_with(|| Farewell::new(client, link));
        (!farewell.is_over(client, link)).then(|| farewell.due_ms())
    }
}

/// Begins to serve a request.
fn begin(
    worker: &Rc<Worker>,
    client: &mut Client,
    lane: &Rc<Lane>,
    stream: Stream,
    head: &[u8],
    has_body: bool,
) {
    let mut link = Link::of_stream(stream);
    link.received = head.len() as u64;
    let mut client = client.for_stream(worker, link);
    let exchange = receive(worker, &mut client, head, has_body);
    worker.runners.serve(worker, (Box::new(Serving { client, lane: Rc::clone(lane) }), exchange));
}

/// Counts and logs a request that gets no exchange.
fn note_refused(worker: &Rc<Worker>, client: &mut Client, reason: EndReason, bytes: usize) {
    let mut link = Link::of_stream(Stream::closed());
    link.received = bytes as u64;
    let mut stream = client.for_stream(worker, link);
    let mut exchange = stream.begin_exchange(worker, bytes, None);
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
    lane: Rc<Lane>,
}

impl Serving {
    /// Serves it from the beginning to the end.
    pub async fn run(&mut self, worker: &Rc<Worker>, mut exchange: Box<Exchange>) {
        let Self { client, lane } = self;
        poll_fn(|cx| {
            client.slot.register(cx.waker());
            Poll::Ready(())
        })
        .await;
        if worker.wait_to_begin(lane, |cx| client.link.poll_noise(cx).is_ready()).await {
            poll_fn(|cx| exchange::poll(cx, worker, client, &mut exchange)).await;
        } else {
            exchange::note_gone(worker, client, &mut exchange);
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
            exchange.call = content_type(head).and_then(Call::of_type);
            refused(exchange, end)
        }
    }
}

/// The media type that a head of our own writing names.
fn content_type(text: &[u8]) -> Option<&[u8]> {
    text.split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"content-type: "))?
        .strip_suffix(b"\r")
}
