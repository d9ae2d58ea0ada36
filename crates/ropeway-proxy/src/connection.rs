//! A client's connection: one request after the other.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ropeway_core::end::{EndReason, Stage};
use ropeway_core::forwarding::Arrival;
use ropeway_core::http1::{HeadScan, Progress};

use crate::admission::Admission;
use crate::buffers::HEAD_READ;
use crate::counters::ListenerCounters;
use crate::deadline::DeadlineSlot;
use crate::exchange::{self, After, End, Exchange, Step};
use crate::http2;
use crate::link::{Link, Noise};
use crate::proxy_header;
use crate::snapshot::{Http2Limits, Listener};
use crate::tls::{self, ClientIdentity, Secured};
use crate::uptake::{Patience, Uptake};
use crate::worker::Worker;

/// Bytes of a client that are read and dropped after the last response, before the connection is closed.
const LINGER_BYTES: usize = 16 * 1024 * 1024;
/// Between two looks at a client of which something is left unread.
const LOOK_MS: u64 = 2_000;

/// What is known of a client that came by TLS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    /// Index of the [`crate::tls::TlsProfile`] that its SNI led to.
    pub profile: usize,
    /// Version of TLS, as it is logged.
    pub version: &'static str,
}

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub link: Link,
    pub listener: Arc<Listener>,
    pub arrival: Arrival,
    pub slot: DeadlineSlot,
    /// What TLS has shown of the client.
    pub tls: Option<Identity>,
    /// Who the client is, by the certificate that it has shown.
    pub identity: Option<Rc<ClientIdentity>>,
    /// By which names the connection is known.
    pub names: Option<Rc<Names>>,
    /// Where the client connected to, once somebody has asked.
    pub local: Option<SocketAddr>,
    worker: Rc<Worker>,
    /// When to look next whether the client is still there, if the event loop does not tell of it: a request that is
    /// answered before the first time does not need it.
    look_at: u64,
    requests: u32,
    in_request: bool,
    opened: Rc<Opened>,
}

/// Names of a connection, which a server is told that wants to know who the client is.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// The host that the client asked for, by SNI or by what a balancer in front of us says.
    pub authority: Option<Box<str>>,
    /// What a balancer in front of us calls the connection.
    pub unique_id: Option<Box<[u8]>>,
}

/// A connection that is counted as open, for as long as it or one of its streams lives.
#[derive(Debug)]
struct Opened {
    listener: Arc<Listener>,
    worker: usize,
    _admission: Admission,
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(counters) = self.listener.live.counters.of(self.worker) {
            counters.closed.bump();
        }
    }
}

impl Client {
    /// A connection that was just accepted; counted as open until it is dropped.
    pub fn new(
        worker: &Rc<Worker>,
        link: Link,
        listener: Arc<Listener>,
        arrival: Arrival,
        admission: Admission,
    ) -> Self {
        if let Some(counters) = listener.live.counters.of(worker.index) {
            counters.accepted.bump();
        }
        let opened = Opened { listener: Arc::clone(&listener), worker: worker.index, _admission: admission };
        let slot = worker.deadlines.slot();
        Self {
            link,
            listener,
            arrival,
            tls: None,
            identity: None,
            names: None,
            local: None,
            look_at: slot.after(0),
            slot,
            worker: Rc::clone(worker),
            requests: 0,
            in_request: false,
            opened: Rc::new(opened),
        }
    }

    /// A stream of this connection.
    pub fn for_stream(&mut self, worker: &Rc<Worker>, link: Link) -> Self {
        self.requests = self.requests.saturating_add(1);
        Self {
            link,
            listener: Arc::clone(&self.listener),
            arrival: self.arrival,
            slot: worker.deadlines.slot(),
            tls: self.tls,
            identity: self.identity.clone(),
            names: self.names.clone(),
            local: self.local,
            look_at: 0,
            worker: Rc::clone(worker),
            requests: 0,
            in_request: false,
            opened: Rc::clone(&self.opened),
        }
    }

    /// The exchange of a request of which `arrived` bytes are here, since now if nothing else is known.
    pub fn begin_exchange(
        &mut self,
        worker: &Worker,
        arrived: usize,
        since_us: Option<u64>,
    ) -> Box<Exchange> {
        let mut exchange = worker.take_exchange();
        exchange.id = worker.next_request_id();
        exchange.client_ip = self.arrival.peer;
        exchange.times.started = since_us.unwrap_or_else(|| worker.shared.clock.now_us());
        exchange.received_before = self.link.received.saturating_sub(arrived as u64);
        exchange.sent_before = self.link.sent;
        self.begin_request();
        exchange
    }

    fn begin_request(&mut self) {
        self.requests = self.requests.saturating_add(1);
        self.in_request = true;
        if let Some(counters) = self.counters(&self.worker) {
            counters.requests.bump();
        }
        if let Some(counters) = self.worker.counters() {
            counters.requests_started.bump();
        }
    }

    /// The request is over, and counted as such.
    pub fn end_request(&mut self) {
        if std::mem::take(&mut self.in_request)
            && let Some(counters) = self.worker.counters()
        {
            counters.requests_ended.bump();
        }
    }

    /// What the client did while nobody reads what it sends; registers for it, once the client is waiting for long enough.
    pub fn poll_noise(&mut self, cx: &mut Context<'_>) -> Poll<Noise> {
        if !self.link.is_watched() && !self.slot.has_passed(self.look_at) {
            return Poll::Pending;
        }
        let noise = self.link.poll_noise(cx);
        // The event loop wakes nobody for what follows something that is left unread.
        self.look_at = if noise.is_ready() { self.slot.after(LOOK_MS) } else { u64::MAX };
        noise
    }

    /// Asks to be woken to look at the client, if the last [`Self::poll_noise`] asks for that, besides what was asked for.
    pub fn look_meanwhile(&self) {
        if !self.slot.has_passed(self.look_at) {
            self.slot.arm_earlier(self.look_at);
        }
    }

    /// Asks to be woken at `due`, or earlier to look at the client, if the last [`Self::poll_noise`] asks for that.
    pub fn wait_until(&self, due: u64) {
        let looks = !self.slot.has_passed(self.look_at);
        self.slot.arm(if looks { due.min(self.look_at) } else { due });
    }

    /// Reads more of what the client sends into the inbox. `false` when nothing follows.
    pub fn poll_more(&mut self, cx: &mut Context<'_>, worker: &Worker) -> Poll<bool> {
        let scratch = &mut *worker.scratch.borrow_mut();
        let space = scratch.input.get_mut(..HEAD_READ).unwrap_or_default();
        let count = ready!(self.link.poll_read(cx, space)).unwrap_or_default();
        self.link.inbox.append(scratch.input.get(..count).unwrap_or_default(), &worker.buffers);
        Poll::Ready(count > 0)
    }

    /// Counts how the connection ended, when that was before there was a request.
    pub fn count_end(&self, reason: EndReason) {
        if let Some(counters) = self.counters(&self.worker) {
            counters.ends.bump(reason);
        }
    }

    /// How long the client may take for what it is sent.
    pub fn patience(&self) -> Patience {
        let timeouts = &self.listener.timeouts;
        Patience { idle_ms: timeouts.send_idle_ms, min_rate: timeouts.min_rate }
    }

    /// When to look again whether the client takes what went over `link` after the first `sent_before` bytes; `None` when it
    /// was waited for long enough.
    pub fn uptake_due(&self, uptake: &mut Uptake, link: &Link, sent_before: u64) -> Option<u64> {
        let patience = self.patience();
        if self.slot.has_passed(uptake.due_ms(patience)) {
            uptake.look(self.slot.now_ms(), link, sent_before);
        }
        Some(uptake.due_ms(patience)).filter(|due| !self.slot.has_passed(*due))
    }

    /// When a client has been idle for too long: mostly at `due`, which is `idle_ms` from when that began, but earlier
    /// where others wait for its place, and during a drain.
    #[inline]
    pub fn idle_due(&self, due: u64, idle_ms: u64) -> u64 {
        let due = due.saturating_sub(idle_ms.saturating_sub(self.worker.idle_ms(&self.listener, idle_ms)));
        due.min(self.worker.idle_close_at().unwrap_or(u64::MAX))
    }

    /// Counts an idle client that makes room for others: before `due`.
    pub fn count_made_room(&self, due: u64) {
        if self.slot.has_passed(due) || self.worker.is_draining() {
            return;
        }
        self.worker.crowding.note_gone(1);
        if let Some(counters) = self.counters(&self.worker) {
            counters.made_room.bump();
        }
    }

    /// Whether another request may follow the current one.
    #[inline]
    pub fn may_continue(&self, worker: &Worker) -> bool {
        let spent = self.listener.max_requests_per_connection.is_some_and(|most| self.requests >= most);
        !spent && !worker.is_draining()
    }

    /// This worker's counters of the listener.
    #[inline]
    pub fn counters(&self, worker: &Worker) -> Option<&ListenerCounters> {
        self.listener.live.counters.of(worker.index)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end_request();
        if std::thread::panicking()
            && let Some(counters) = self.worker.counters()
        {
            counters.panics.bump();
        }
    }
}

/// Serves a connection until it is closed.
///
/// A block instead of an `async fn`, which would keep the space of its argument beside the variable made of it: this
/// future is most of the memory of an idle connection.
#[allow(clippy::manual_async_fn, reason = "see above")]
pub(crate) fn serve(worker: Rc<Worker>, mut client: Client) -> impl Future<Output = ()> {
    async move {
        poll_fn(|cx| {
            client.slot.register(cx.waker());
            Poll::Ready(())
        })
        .await;
        let plain = client.listener.proxy_protocol.is_none() && client.listener.tls.is_none();
        if !plain && !Box::pin(greet(&worker, &mut client)).await {
            client.link.clear(&worker.buffers);
            return;
        }
        let after = if let Some(limits) = client.listener.http2
            && poll_fn(|cx| poll_speaks_http2(cx, &worker, &mut client, &limits)).await
        {
            Box::pin(http2::server::serve(&worker, &mut client, limits)).await
        } else {
            serve_requests(&worker, &mut client).await
        };
        match after {
            After::Linger => linger(&worker, &mut client).await,
            After::Part => part(&worker, &mut client).await,
            After::Keep | After::Close => {}
        }
        poll_fn(|cx| {
            client.link.announce_end(cx);
            Poll::Ready(())
        })
        .await;
        client.link.clear(&worker.buffers);
    }
}

/// Serves one request after the other.
async fn serve_requests(worker: &Rc<Worker>, client: &mut Client) -> After {
    while let Some(mut exchange) = receive(worker, client).await {
        let after = poll_fn(|cx| exchange::poll(cx, worker, client, &mut exchange)).await;
        worker.give_exchange(exchange);
        if after != After::Keep {
            return after;
        }
    }
    After::Close
}

/// What comes before the first request: a PROXY header, and the TLS handshake. Whether the client got through it.
async fn greet(worker: &Rc<Worker>, client: &mut Client) -> bool {
    let listener = Arc::clone(&client.listener);
    if let Some(policy) = &listener.proxy_protocol
        && let Err(reason) = proxy_header::read(worker, client, policy).await
    {
        client.count_end(reason);
        return false;
    }
    match &listener.tls {
        Some(tls) => tls::secure(worker, client, tls).await == Secured::Yes,
        None => true,
    }
}

/// What every HTTP/2 connection of a client begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether the client speaks HTTP/2: by ALPN, or, where that is allowed without, by its first bytes.
fn poll_speaks_http2(
    cx: &mut Context<'_>,
    worker: &Worker,
    client: &mut Client,
    limits: &Http2Limits,
) -> Poll<bool> {
    if let Some(session) = client.link.session() {
        return Poll::Ready(session.state().alpn_protocol() == Some(b"h2"));
    }
    if !limits.prior_knowledge {
        return Poll::Ready(false);
    }
    // Nobody has looked yet, so this is the time since the connection was accepted.
    let head_ms = client.listener.timeouts.head_ms;
    let due = client.idle_due(client.look_at.saturating_add(head_ms), head_ms);
    loop {
        let inbox = client.link.inbox.as_slice();
        if !inbox.iter().zip(PREFACE).all(|(byte, wanted)| byte == wanted) || client.slot.has_passed(due) {
            return Poll::Ready(false);
        }
        if inbox.len() >= PREFACE.len() {
            return Poll::Ready(true);
        }
        match client.poll_more(cx, worker) {
            Poll::Ready(true) => {}
            Poll::Ready(false) => return Poll::Ready(false),
            Poll::Pending => {
                client.slot.arm(due);
                return Poll::Pending;
            }
        }
    }
}

/// The next request, to be routed or refused; `None` when the client left or was idle for too long.
async fn receive(worker: &Rc<Worker>, client: &mut Client) -> Option<Box<Exchange>> {
    let timeouts = &client.listener.timeouts;
    let patience_ms = if client.requests == 0 { timeouts.head_ms } else { timeouts.idle_ms };
    let due = client.slot.after(patience_ms);
    let mut state = Receiving { exchange: None, waits_since_us: None, patience_ms, due };
    poll_fn(|cx| state.poll(cx, worker, client)).await
}

/// The wait for a request head. Owns no exchange before the first byte.
struct Receiving {
    exchange: Option<Box<Exchange>>,
    /// When the worker was found too busy to begin.
    waits_since_us: Option<u64>,
    /// How long the client may take to begin, when there is room.
    patience_ms: u64,
    due: u64,
}

impl Receiving {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        client: &mut Client,
    ) -> Poll<Option<Box<Exchange>>> {
        if self.exchange.is_none() && !client.link.inbox.is_empty() {
            let waiting = std::mem::take(&mut client.link.inbox);
            let step = self.take(waiting.as_slice(), worker, client);
            client.link.inbox = waiting;
            if let Some((consumed, exchange)) = step {
                client.link.inbox.consume(consumed, &worker.buffers);
                return Poll::Ready(Some(exchange));
            }
        }
        let may_have_begun = !client.link.is_watched() || !client.link.is_quiet();
        if may_have_begun
            && self.exchange.is_none()
            && self.waits_since_us.is_none()
            && !worker.may_begin(cx, None)
        {
            self.waits_since_us = Some(worker.shared.clock.now_us());
            return Poll::Pending;
        }
        loop {
            let scratch = &mut *worker.scratch.borrow_mut();
            let space = scratch.input.get_mut(..HEAD_READ).unwrap_or_default();
            let count = match client.link.poll_read(cx, space) {
                Poll::Pending => return self.wait(worker, client),
                Poll::Ready(Ok(count)) if count > 0 => count,
                Poll::Ready(_) => return Poll::Ready(self.abandoned()),
            };
            let input = scratch.input.get(..count).unwrap_or_default();
            if client.link.inbox.is_empty() {
                if let Some((consumed, exchange)) = self.take(input, worker, client) {
                    client.link.inbox.append(input.get(consumed..).unwrap_or_default(), &worker.buffers);
                    return Poll::Ready(Some(exchange));
                }
                client.link.inbox.append(input, &worker.buffers);
                continue;
            }
            client.link.inbox.append(input, &worker.buffers);
            let waiting = std::mem::take(&mut client.link.inbox);
            let step = self.resume(waiting.as_slice(), worker, client);
            client.link.inbox = waiting;
            if let Some((consumed, exchange)) = step {
                client.link.inbox.consume(consumed, &worker.buffers);
                return Poll::Ready(Some(exchange));
            }
        }
    }

    /// Looks at a head that came in pieces: only parses it once its end is there.
    fn resume(
        &mut self,
        input: &[u8],
        worker: &Worker,
        client: &mut Client,
    ) -> Option<(usize, Box<Exchange>)> {
        let exchange = self.exchange.as_mut()?;
        let limit = client.listener.head_limits.head_bytes;
        match exchange.scan.is_complete(input) {
            Ok(false) if input.len() <= limit => None,
            _ => self.take(input, worker, client),
        }
    }

    /// Parses a head from the first bytes of a request.
    fn take(&mut self, input: &[u8], worker: &Worker, client: &mut Client) -> Option<(usize, Box<Exchange>)> {
        let mut exchange = match self.exchange.take() {
            Some(exchange) => exchange,
            None => self.begin(input.len(), worker, client),
        };
        match exchange.request.parse(input, &client.listener.head_limits) {
            Ok(Progress::Partial) => {
                self.exchange = Some(exchange);
                None
            }
            Ok(Progress::Complete { consumed }) => {
                exchange.scan = HeadScan::new();
                exchange.client_ip = client.listener.forwarding.client_ip(&exchange.request, &client.arrival);
                Some((consumed, exchange))
            }
            Err(error) => {
                let end = End::new(error.reason(), Stage::Receive).with_detail(error.detail());
                exchange.client_ip = client.listener.forwarding.client_ip(&exchange.request, &client.arrival);
                Some((0, refused(exchange, end)))
            }
        }
    }

    /// The first bytes of a request are here.
    fn begin(&mut self, arrived: usize, worker: &Worker, client: &mut Client) -> Box<Exchange> {
        let exchange = client.begin_exchange(worker, arrived, self.waits_since_us.take());
        self.due = client.slot.after(client.listener.timeouts.head_ms);
        exchange
    }

    fn wait(&mut self, worker: &Worker, client: &Client) -> Poll<Option<Box<Exchange>>> {
        let mut due = self.due;
        if self.exchange.is_none() {
            self.waits_since_us = None;
            due = client.idle_due(due, self.patience_ms);
            if client.slot.has_passed(due) {
                client.count_made_room(self.due);
            }
        }
        if !client.slot.has_passed(due) && !worker.must_abort() {
            client.slot.arm(due);
            return Poll::Pending;
        }
        let late = End::new(EndReason::HeadTimeout, Stage::Receive);
        Poll::Ready(self.exchange.take().map(|exchange| refused(exchange, late)))
    }

    /// The client closed its sending side, or the connection broke.
    fn abandoned(&mut self) -> Option<Box<Exchange>> {
        let gone = End::new(EndReason::ClientClosed, Stage::Receive);
        self.exchange.take().map(|exchange| refused(exchange, gone))
    }
}

/// A request that was not understood, or did not arrive: nothing can follow it.
pub(crate) fn refused(mut exchange: Box<Exchange>, end: End) -> Box<Exchange> {
    exchange.keep_client = false;
    (exchange.step, exchange.end) = (Step::Refuse, end);
    exchange
}

/// How long a client that is to be left may take: for as long as there is something for it to take, and it does.
#[derive(Debug)]
pub(crate) struct Farewell {
    due_ms: u64,
    delivered: u64,
}

impl Farewell {
    /// Asks the kernel; so does [`Self::is_over`] when it is due.
    pub fn new(client: &Client, link: &Link) -> Self {
        Self { due_ms: client.slot.after(client.listener.timeouts.linger_ms), delivered: link.delivered() }
    }

    /// When to look again.
    pub fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// Whether the client has had time enough.
    pub fn is_over(&mut self, client: &Client, link: &Link) -> bool {
        if !client.slot.has_passed(self.due_ms) {
            return false;
        }
        let before = self.delivered;
        *self = Self::new(client, link);
        self.delivered <= before || self.delivered == link.sent
    }
}

/// Closes at once if the client has said nothing since its last request, as one that asked for the close should. Otherwise
/// the close would be a reset.
async fn part(worker: &Worker, client: &mut Client) {
    if poll_fn(|cx| Poll::Ready(client.link.shutdown_write(cx))).await.is_ok()
        && client.link.left_to_read() > 0
    {
        hear_out(worker, client).await;
    }
}

/// Closes in a way that lets the client read the response: our side ends first, and what the client still sends is
/// dropped for a while. Closing with unread bytes would send a reset, which can destroy the response on its way.
pub(crate) async fn linger(worker: &Worker, client: &mut Client) {
    if poll_fn(|cx| Poll::Ready(client.link.shutdown_write(cx))).await.is_err() {
        return;
    }
    hear_out(worker, client).await;
}

/// Drops what the client still sends.
async fn hear_out(worker: &Worker, client: &mut Client) {
    let mut farewell = Farewell::new(client, &client.link);
    let mut budget = LINGER_BYTES;
    poll_fn(|cx| {
        loop {
            let scratch = &mut *worker.scratch.borrow_mut();
            match client.link.poll_read(cx, &mut scratch.input) {
                Poll::Ready(Ok(count)) if count > 0 && count <= budget => budget -= count,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if worker.must_abort() => return Poll::Ready(()),
                Poll::Pending if farewell.is_over(client, &client.link) => return Poll::Ready(()),
                Poll::Pending => {
                    client.slot.arm(farewell.due_ms());
                    return Poll::Pending;
                }
            }
        }
    })
    .await;
}
