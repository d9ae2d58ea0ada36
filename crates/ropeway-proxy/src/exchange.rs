//! The life of a request: receive, route, admit, pick, connect, send, relay, finish.
//!
//! This file is the order of events, and the only place that branches between them. Receiving is the connection's
//! business ([`crate::connection`]), since it ends before there is a request; everything after it is here, whatever
//! protocol the request came by. Every exchange ends with one [`EndReason`] at one [`Stage`], in
//! [`Exchange::end`]; status, log, metrics and the retry decision all derive from it.

mod answer;
mod failure;
mod report;
mod request;
mod response;
mod state;
mod wait;

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use ropeway_core::balance::{Pick, hash_ip, hash_key};
use ropeway_core::end::{EndReason, Stage};
use ropeway_core::http1::{Known, RequestHead};
use ropeway_core::retry::Failure as RetryQuestion;
use ropeway_core::route::RouteInput;

use self::failure::Failure;
use self::response::{Next, Passage};
pub(crate) use self::state::{End, Exchange};
use self::state::{MAX_ATTEMPTS, Target};
use crate::admission::count_up;
use crate::connect::connect;
use crate::connection::Client;
use crate::pool::ServerLink;
use crate::relay::Pump;
use crate::snapshot::Route;
use crate::tunnel::Tunnel;
use crate::upstream::{Elsewhere, HashKey, Server, Upstream};
use crate::worker::{UpstreamView, View, Worker};

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It carries the next request.
    Keep,
    /// It is closed; the client is done with it.
    Close,
    /// It is closed once the client has had time to read the response.
    Linger,
}

/// Runs one exchange whose request head was received.
pub(crate) async fn run(worker: &Rc<Worker>, client: &mut Client, exchange: &mut Exchange) -> After {
    let view = worker.view();
    exchange.view = Some(Rc::clone(&view));
    let outcome = serve(worker, &view, client, exchange).await;
    exchange.release_target();
    let after = match outcome {
        Ok(end) => {
            exchange.end = end;
            answer::after_response(exchange)
        }
        Err(end) => answer::failed(worker, client, exchange, end).await,
    };
    client.link.inbox.consume(exchange.held, &worker.buffers);
    report::finished(worker, client, exchange, &view);
    after
}

/// Answers a request whose head was refused.
pub(crate) async fn refuse(
    worker: &Rc<Worker>,
    client: &mut Client,
    exchange: &mut Exchange,
    end: End,
) -> After {
    let view = worker.view();
    exchange.keep_client = false;
    exchange.client_ip = client.arrival.peer;
    let after = answer::failed(worker, client, exchange, end).await;
    report::finished(worker, client, exchange, &view);
    after
}

async fn serve(
    worker: &Rc<Worker>,
    view: &View,
    client: &mut Client,
    exchange: &mut Exchange,
) -> Result<End, End> {
    let route = find_route(view, exchange)?;
    let _permit = admit(worker, view, client, exchange, route)?;
    let (upstream, share) = view.upstream(route).ok_or(End::new(EndReason::NoServer, Stage::Pick))?;
    share.budget.borrow_mut().deposit(worker.deadlines.now_ms());
    let mut last: Option<End> = None;
    loop {
        let index = pick(worker, upstream, exchange).map_err(|end| last.unwrap_or(end))?;
        exchange.aim_at(view, Target { upstream: route.upstream, server: index });
        match attempt(worker, upstream, share, client, exchange, route, index).await {
            Ok(end) => return Ok(end),
            Err(failure) if may_retry(worker, upstream, share, exchange, &failure) => {
                last = (failure.end.reason != EndReason::Completed).then_some(failure.end).or(last);
                exchange.retries += 1;
                exchange.restart(&client.listener.body_limits);
            }
            Err(failure) => return Err(failure.end),
        }
    }
}

fn find_route<'a>(view: &'a View, exchange: &mut Exchange) -> Result<&'a Route, End> {
    let index = view.snapshot.table.find(&Input(&exchange.request)).map(|index| index as usize);
    exchange.route = index;
    index.and_then(|index| view.snapshot.routes.get(index)).ok_or(End::new(EndReason::NoRoute, Stage::Route))
}

fn admit<'a>(
    worker: &'a Worker,
    view: &View,
    client: &Client,
    exchange: &mut Exchange,
    route: &Route,
) -> Result<Option<Permit<'a>>, End> {
    let permit = match view.snapshot.max_requests {
        Some(most) if !count_up(&worker.shared.active, most) => {
            return Err(End::new(EndReason::RequestLimit, Stage::Admit));
        }
        Some(_) => Some(Permit(&worker.shared.active)),
        None => None,
    };
    request::check(&exchange.request, route)?;
    request::prepare(exchange, client, route);
    exchange.stream_idle_ms = route.timeouts.stream_idle_ms;
    let framing = exchange.request.framing();
    exchange.upload = Pump::new(framing, framing, &client.listener.body_limits);
    Ok(permit)
}

fn pick(worker: &Worker, upstream: &Upstream, exchange: &Exchange) -> Result<u32, End> {
    let tried = exchange.tried.as_slice();
    let choice = upstream.choice();
    let hash = if upstream.needs.hash { hash_of(upstream, exchange) } else { 0 };
    let now_us = if upstream.needs.latency { worker.shared.clock.now_us() } else { 0 };
    let mut random = worker.random.borrow_mut();
    let wish = Pick { hash, random: &mut random, exclude: tried, now_us };
    let picked = match tried.len() {
        0 => choice.table.pick(upstream, wish),
        1..MAX_ATTEMPTS => choice.table.pick(&Elsewhere::new(upstream), wish),
        _ => None,
    };
    picked.ok_or_else(|| {
        let reason = if !choice.table.is_empty() {
            EndReason::ServersFull
        } else if upstream.is_unresolved() {
            EndReason::ServerUnresolved
        } else {
            EndReason::NoServer
        };
        End::new(reason, Stage::Pick)
    })
}

/// Asks one server; on a connection that was idle first, and once more on a new one if the idle one was closed.
async fn attempt(
    worker: &Rc<Worker>,
    upstream: &Upstream,
    share: &UpstreamView,
    client: &mut Client,
    exchange: &mut Exchange,
    route: &Route,
    index: u32,
) -> Result<End, Failure> {
    let no_server = Failure::connect(EndReason::ConnectFailed);
    let server = upstream.servers.get(index as usize).ok_or(no_server)?;
    let pool = share.pools.get(index as usize).ok_or(no_server)?;
    let counters = server.live.counters.of(worker.index).ok_or(no_server)?;
    let passage = Passage { worker, route, upstream, server };
    if exchange.retries > 0 {
        counters.retries.bump();
    }
    let mut reuse = true;
    let result = loop {
        let idle =
            if reuse { pool.take(&upstream.keep_alive, counters, worker.deadlines.now_ms()) } else { None };
        let mut link = match idle {
            Some(link) => {
                counters.reused.bump();
                link
            }
            None => match Box::pin(open(worker, upstream, server, client, exchange)).await {
                Ok(link) => link,
                Err(failure) => break Err(failure),
            },
        };
        let before = (link.link.received, link.link.sent);
        let result = converse(&passage, client, exchange, &mut link).await;
        report::bytes(counters, &link, before);
        match result {
            Ok(end) => {
                if exchange.keep_server && exchange.download.is_done() && link.is_clean() {
                    link.served += 1;
                    if let Some(seconds) = exchange.learned_idle_s {
                        pool.learn(&upstream.keep_alive, seconds);
                    }
                    pool.put(link, &upstream.keep_alive, counters, worker.deadlines.now_ms());
                }
                break Ok(end);
            }
            Err(failure) if link.served > 0 && may_replay(exchange, &failure) => {
                counters.replayed.bump();
                exchange.restart(&client.listener.body_limits);
                reuse = false;
            }
            Err(failure) => break Err(failure),
        }
    };
    match &result {
        Ok(end) => report::attempt_answered(worker, upstream, index, exchange, *end),
        Err(failure) => report::attempt_failed(worker, upstream, index, failure),
    }
    result
}

async fn open(
    worker: &Worker,
    upstream: &Upstream,
    server: &Server,
    client: &Client,
    exchange: &mut Exchange,
) -> Result<ServerLink, Failure> {
    let started_us = worker.shared.clock.now_us();
    let endpoints = server.live.endpoints();
    let link =
        connect(&endpoints, &client.slot, upstream.connect_timeout_ms).await.map_err(Failure::connect)?;
    let took_us = worker.shared.clock.now_us().saturating_sub(started_us);
    exchange.times.connect_took = Some(took_us);
    if let Some(counters) = server.live.counters.of(worker.index) {
        counters.connects.bump();
        counters.connect.observe(took_us);
    }
    Ok(ServerLink { link, served: 0 })
}

/// Sends the request, waits for the response, and passes it on.
async fn converse(
    passage: &Passage<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
    server: &mut ServerLink,
) -> Result<End, Failure> {
    let (mut sent, mut more_needed) = (false, false);
    let next = poll_fn(|cx| {
        if !sent {
            sent = true;
            send(cx, passage, client, exchange, server)?;
        }
        response::poll(cx, passage, client, exchange, server, &mut more_needed)
    })
    .await?;
    if next == Next::Tunnel {
        let worker = passage.worker;
        let tunnel = Tunnel::new(passage.route.timeouts.tunnel_idle_ms, worker.deadlines.now_ms());
        let reason = Box::pin(tunnel.run(worker, client, &mut server.link)).await;
        return Ok(End::new(reason, Stage::Finish));
    }
    if !exchange.download.is_done() || !client.link.outbox.is_empty() {
        poll_fn(|cx| relay(cx, passage.worker, client, exchange, server)).await?;
    }
    Ok(End::new(EndReason::Completed, Stage::Finish))
}

/// Writes the request head, with as much of the body as arrived along with it.
fn send(
    cx: &mut Context<'_>,
    passage: &Passage<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
    server: &mut ServerLink,
) -> Result<(), Failure> {
    let worker = passage.worker;
    let output = &mut worker.scratch.borrow_mut().output;
    output.clear();
    request::compose(output, exchange, client, passage.route, passage.server);
    if !exchange.upload.is_done() && !client.link.inbox.is_empty() {
        let encoded = exchange.upload.encode(client.link.inbox.as_slice(), output);
        let used = encoded.map_err(|error| Failure::of_client(&error))?;
        if passage.route.max_body.is_some_and(|most| exchange.upload.moved > most) {
            return Err(Failure::body_too_large());
        }
        if exchange.upload.is_done() {
            exchange.held = used;
        } else {
            client.link.inbox.consume(used, &worker.buffers);
        }
    }
    if server.link.send(cx, output, &[], &worker.buffers).is_err() {
        return Err(Failure::unsent());
    }
    response::begin(worker, passage.route, exchange);
    Ok(())
}

/// Moves the response, and whatever is left of the request.
fn relay(
    cx: &mut Context<'_>,
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    server: &mut ServerLink,
) -> Poll<Result<(), Failure>> {
    if !exchange.upload.is_done() && !exchange.upload_broken {
        let upload = exchange.upload.poll(cx, worker, &mut client.link, &mut server.link);
        exchange.upload_broken = matches!(upload, Poll::Ready(Err(_)));
    }
    match exchange.download.poll(cx, worker, &mut server.link, &mut client.link) {
        Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
        Poll::Ready(Err(error)) => return Poll::Ready(Err(Failure::while_relaying(&error))),
        Poll::Pending => {}
    }
    if exchange.upload.is_done() && response::client_is_gone(cx, client) {
        return Poll::Ready(Err(Failure::client_gone()));
    }
    wait::for_relay(worker, client, exchange)
}

fn may_replay(exchange: &Exchange, failure: &Failure) -> bool {
    let safe = failure.unsent || exchange.request.method().is_idempotent();
    failure.stale && safe && exchange.is_replayable()
}

fn may_retry(
    worker: &Worker,
    upstream: &Upstream,
    share: &UpstreamView,
    exchange: &Exchange,
    failure: &Failure,
) -> bool {
    let question = RetryQuestion {
        symptom: failure.symptom,
        unsent: failure.unsent,
        method_idempotent: exchange.request.method().is_idempotent(),
        committed: exchange.committed,
        body_replayable: exchange.is_replayable(),
    };
    if !upstream.retry.may_retry(&question, exchange.retries) {
        return false;
    }
    let within_budget = share.budget.borrow_mut().withdraw(worker.deadlines.now_ms());
    if !within_budget && let Some(counters) = worker.counters() {
        counters.retry_budget_exhausted.bump();
    }
    within_budget
}

fn hash_of(upstream: &Upstream, exchange: &Exchange) -> u64 {
    let request = &exchange.request;
    let key = match &upstream.hash_key {
        HashKey::SourceIp => None,
        HashKey::Path => Some(request.path()),
        HashKey::Uri => Some(request.target()),
        HashKey::Header(name) => request.head.find(name),
        HashKey::Cookie(name) => request.head.get(Known::Cookie).and_then(|field| cookie(field, name)),
    };
    key.map_or_else(|| hash_ip(exchange.client_ip), hash_key)
}

/// The value of a cookie (RFC 6265, section 4.2.1).
fn cookie<'a>(field: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    field
        .split(|byte| *byte == b';')
        .find_map(|pair| pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"="))
}

/// The right to have one more request in flight.
struct Permit<'a>(&'a AtomicU32);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What the route table reads of a request.
struct Input<'a>(&'a RequestHead);

impl RouteInput for Input<'_> {
    fn host(&self) -> &[u8] {
        self.0.host()
    }

    fn path(&self) -> &[u8] {
        self.0.path()
    }
}

#[cfg(test)]
mod tests {
    use super::cookie;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        assert_eq!(cookie(b"a=1; session=x; b=2", b"session"), Some(&b"x"[..]));
        assert_eq!(cookie(b"mysession=1", b"session"), None);
        assert_eq!(cookie(b"session2=1", b"session"), None);
    }
}
