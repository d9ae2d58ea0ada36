//! The life of a request: receive, route, admit, pick, connect, send, relay, finish.
//!
//! This file is the order of events, and the only place that branches between them. Receiving is the connection's
//! business ([`crate::connection`]), since it ends before there is a request; everything after it is here, whatever
//! protocol the request came by. Every exchange ends with one [`EndReason`] at one [`Stage`], in
//! [`Exchange::end`]; status, log, metrics and the retry decision all derive from it.

mod answer;
mod failure;
mod grpc;
mod report;
mod request;
mod request_id;
mod response;
mod state;
mod wait;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use ropeway_core::balance::{Pick, PickTable, hash_ip, hash_key};
use ropeway_core::end::{EndReason, Stage};
use ropeway_core::health::FailureKind;
use ropeway_core::http1::{Known, Method, RequestHead};
use ropeway_core::retry::Failure as RetryQuestion;
use ropeway_core::route::RouteInput;

use self::failure::Failure;
pub(crate) use self::grpc::{Call, write_status};
pub(crate) use self::request::write_field;
use self::response::{Next, Passage};
pub(crate) use self::state::{End, Exchange};
use self::state::{MAX_ATTEMPTS, Target};
use crate::admission::count_up;
use crate::connection::Client;
use crate::counters::ServerCounters;
use crate::http2::multiplexer::Multiplexer;
use crate::opening::{Destination, Opened, Opening};
use crate::pool::{Pool, ServerLink};
use crate::proxy_header;
use crate::relay::PumpError;
use crate::snapshot::Route;
use crate::tunnel::Tunnel;
use crate::upstream::{Elsewhere, HashKey, Server, Upstream};
use crate::worker::{Shared, UpstreamView, View, Worker};

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It carries the next request.
    Keep,
    /// It is closed; the client is done with it.
    Close,
    /// It is closed as the client has asked for.
    Part,
    /// It is closed once the client has had time to read the response.
    Linger,
}

/// What an exchange does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Find the route.
    Route,
    /// Apply limits, and take out of the request what the server must not see.
    Admit,
    /// Choose a server.
    Pick,
    /// Take an idle connection to it, or open one.
    Connect,
    /// Send the request.
    Send,
    /// Send what is left of the body, and wait for the head of the response.
    Respond,
    /// Pass on the body of the response.
    Relay,
    /// Pass on bytes in both directions.
    Tunnel,
    /// The request was answered by the server.
    Settle,
    /// The request was refused or failed, as [`Exchange::end`] says.
    Refuse,
    /// Write out a response of our own.
    Answer,
    /// Count and log.
    Finish(After),
}

/// Takes an exchange from step to step, for as long as nothing has to be waited for. To be called again until it
/// says what becomes of the client's connection.
pub(crate) fn poll(
    cx: &mut Context<'_>,
    worker: &Rc<Worker>,
    client: &mut Client,
    exchange: &mut Exchange,
) -> Poll<After> {
    let view = Rc::clone(exchange.view.get_or_insert_with(|| worker.view()));
    loop {
        if let Some(failure) = grpc::overdue(client, exchange.step) {
            exchange.step = after_failure(worker, &view, client, exchange, &failure);
            continue;
        }
        let result = match exchange.step {
            Step::Route => find_route(&view, client, exchange),
            Step::Admit => admit(worker, &view, client, exchange),
            Step::Pick => pick(worker, &view, exchange),
            Step::Connect => ready!(connect(cx, worker, &view, client, exchange)),
            Step::Send => send(cx, worker, &view, client, exchange),
            Step::Respond => ready!(respond(cx, worker, &view, client, exchange)),
            Step::Relay => ready!(relay(cx, worker, client, exchange)),
            Step::Tunnel => Ok(ready!(tunnel(cx, worker, client, exchange))),
            Step::Settle => Ok(settle(worker, &view, exchange)),
            Step::Refuse => Ok(answer::failed(cx, worker, client, exchange)),
            Step::Answer => Ok(Step::Finish(ready!(answer::flush(cx, worker, client, exchange)))),
            Step::Finish(after) => {
                finish(worker, &view, client, exchange, after);
                return Poll::Ready(after);
            }
        };
        exchange.step = match result {
            Ok(step) => step,
            Err(failure) => after_failure(worker, &view, client, exchange, &failure),
        };
    }
}

fn find_route(view: &View, client: &Client, exchange: &mut Exchange) -> Result<Step, Failure> {
    exchange.challenge = request::challenge(view, client, &exchange.request);
    if exchange.challenge.is_some() {
        return Err(Failure::local(EndReason::ChallengeAnswered, Stage::Route));
    }
    exchange.call = Call::of(&exchange.request);
    request::check_arrival(client, &exchange.request)?;
    let index = view.snapshot.table.find(&Input(&exchange.request)).map(|index| index as usize);
    exchange.route = index;
    match exchange.route(view) {
        Some(_) => Ok(Step::Admit),
        None => Err(Failure::local(EndReason::NoRoute, Stage::Route)),
    }
}

fn admit(worker: &Worker, view: &View, client: &Client, exchange: &mut Exchange) -> Result<Step, Failure> {
    let route = exchange.route(view).ok_or(Failure::local(EndReason::NoRoute, Stage::Route))?;
    if let Some(most) = view.snapshot.max_requests {
        let full = Failure::local(EndReason::RequestLimit, Stage::Admit);
        exchange.permit = Some(Permit::take(&worker.shared, most).ok_or(full)?);
    }
    request::check(&exchange.request, route)?;
    exchange.stream_idle_ms = route.timeouts.stream_idle_ms;
    exchange.max_body = route.max_body;
    let mut all_trailers = false;
    if let Some((upstream, share)) = view.upstream(route) {
        exchange.to_stream = upstream.settings.http2;
        all_trailers = upstream.settings.all_trailers;
        share.budget.borrow_mut().deposit(worker.deadlines.now_ms());
    }
    grpc::begin(client, exchange, route)?;
    request::prepare(view, exchange, client, route);
    exchange.alone = exchange.to_stream && request::risks_connection(&exchange.request, client, all_trailers);
    exchange.begin_upload(&client.listener.body_limits);
    Ok(Step::Pick)
}

fn pick(worker: &Worker, view: &View, exchange: &mut Exchange) -> Result<Step, Failure> {
    let nobody = |reason| Failure::local(reason, Stage::Pick);
    let route = exchange.route(view).ok_or(nobody(EndReason::NoServer))?;
    let (upstream, _) = view.upstream(route).ok_or(nobody(EndReason::NoServer))?;
    let tried = exchange.tried.as_slice();
    let choice = upstream.choice();
    let hash = if upstream.needs.hash { hash_of(upstream, exchange) } else { 0 };
    let now_us = if upstream.needs.latency { worker.shared.clock.now_us() } else { 0 };
    let mut random = worker.random.borrow_mut();
    let mut among = |table: &PickTable, good_only| {
        let wish = Pick { hash, random: &mut random, exclude: tried, now_us };
        match tried {
            [] => table.pick(upstream, wish),
            _ => table.pick(&Elsewhere::new(upstream, good_only), wish),
        }
    };
    let reserve = choice.reserve.as_ref();
    let picked = match tried.len() {
        0 => among(&choice.table, false).or_else(|| among(reserve?, false)),
        1..MAX_ATTEMPTS => {
            let good = among(&choice.table, true).or_else(|| among(reserve?, true));
            good.or_else(|| among(&choice.table, false))
        }
        _ => None,
    };
    let Some(server) = picked else {
        // Of a request that failed somewhere, that failure is what there is to tell.
        return Err(exchange.last_end.map_or_else(|| nobody(upstream.why_none(&choice)), Failure::known));
    };
    exchange.aim_at(view, Target { upstream: route.upstream, server });
    exchange.reuse = true;
    Ok(Step::Connect)
}

fn connect(
    cx: &mut Context<'_>,
    worker: &Rc<Worker>,
    view: &View,
    client: &mut Client,
    exchange: &mut Exchange,
) -> Poll<Result<Step, Failure>> {
    let Some(asked) = Asked::find(worker, view, exchange) else {
        return Poll::Ready(Err(Failure::connect(EndReason::ConnectFailed)));
    };
    let Asked { server, counters, .. } = asked;
    if worker.must_abort() {
        return Poll::Ready(Err(Failure::local(EndReason::Shutdown, Stage::Connect)));
    }
    let opening = match exchange.opening.as_mut() {
        Some(opening) => opening,
        None => {
            if let Some(link) = take_open(worker, &asked, exchange) {
                counters.reused.bump();
                exchange.server = Some(link);
                return Poll::Ready(Ok(Step::Send));
            }
            exchange.moves = server.live.moves();
            exchange.times.connecting_since = worker.shared.clock.now_us();
            let opening = begin_opening(worker, &asked, client, exchange.alone);
            exchange.opening.insert(Box::new(opening))
        }
    };
    let Poll::Ready(opened) = opening.poll(cx, worker, &client.slot) else {
        return wait::for_connection(cx, client);
    };
    exchange.opening = None;
    let link = match opened.map_err(Failure::connect)? {
        Opened::New(link) => ServerLink::new(link, exchange.moves),
        Opened::Shared(stream) => {
            counters.reused.bump();
            ServerLink::on_multiplexed(stream, exchange.moves, exchange.reuse)
        }
    };
    let took_us = worker.shared.clock.now_us().saturating_sub(exchange.times.connecting_since);
    exchange.times.connect_took = Some(took_us);
    exchange.server = Some(Box::new(link));
    Poll::Ready(Ok(Step::Send))
}

/// A connection to the server that is open already.
fn take_open(worker: &Worker, asked: &Asked<'_>, exchange: &Exchange) -> Option<Box<ServerLink>> {
    let Asked { upstream, server, pool, .. } = asked;
    let now_ms = worker.deadlines.now_ms();
    if exchange.alone || !upstream.settings.is_shareable() {
        return None;
    }
    if upstream.settings.http2 {
        let moves = server.live.moves();
        let stream = pool.multiplexer.stream(now_ms, moves, upstream.settings.quota())?;
        worker.starts.uncount();
        return Some(Box::new(ServerLink::on_multiplexed(stream, moves, exchange.reuse)));
    }
    let idle =
        exchange.reuse.then(|| pool.take(&upstream.settings.keep_alive, &server.live, worker.index, now_ms));
    idle.flatten()
}

fn begin_opening(worker: &Rc<Worker>, asked: &Asked<'_>, client: &Client, alone: bool) -> Opening {
    let Asked { upstream, server, pool, .. } = asked;
    let preamble = proxy_header::write(client, upstream.settings.proxy_protocol);
    let destination = Destination::new(upstream, server, preamble);
    if !upstream.settings.http2 {
        return Opening::connection(destination, worker, &client.slot);
    }
    // What is not to be shared is kept where nobody finds it.
    let shared = !alone && upstream.settings.is_shareable();
    let multiplexer = if shared { Rc::clone(&pool.multiplexer) } else { Rc::new(Multiplexer::for_one()) };
    Opening::stream(multiplexer, destination, worker, &client.slot)
}

/// Writes the request head, with as much of the body as arrived along with it.
fn send(
    cx: &mut Context<'_>,
    worker: &Worker,
    view: &View,
    client: &mut Client,
    exchange: &mut Exchange,
) -> Result<Step, Failure> {
    let asked = Asked::find(worker, view, exchange).ok_or(Failure::unsent())?;
    let whole = request::fetch_body(cx, worker, client, exchange)?;
    let output = &mut worker.scratch.borrow_mut().output;
    output.clear();
    request::compose(output, worker, exchange, client, asked.route, asked.server);
    request::add_body(output, worker, client, exchange, whole)?;
    let link = exchange.server.as_mut().ok_or(Failure::unsent())?;
    link.begin_attempt();
    let sent = link.link.send(cx, output, &[], &worker.buffers);
    sent.map_err(|error| Failure::of_first_write(&error))?;
    exchange.upload.finish(&mut link.link);
    wait::begin_response(worker, asked.route, exchange);
    Ok(Step::Respond)
}

fn respond(
    cx: &mut Context<'_>,
    worker: &Worker,
    view: &View,
    client: &mut Client,
    exchange: &mut Exchange,
) -> Poll<Result<Step, Failure>> {
    let (Some(asked), Some(mut link)) = (Asked::find(worker, view, exchange), exchange.server.take()) else {
        return Poll::Ready(Err(Failure::unsent()));
    };
    let Asked { route, upstream, share, server, .. } = asked;
    let (reused, from_stream) = (link.served > 0, link.link.is_stream());
    let passage = Passage { worker, route, upstream, share, server, reused, from_stream };
    let next = response::poll(cx, &passage, client, exchange, &mut link);
    exchange.server = Some(link);
    let next = ready!(next)?;
    Poll::Ready(Ok(match next {
        Next::Tunnel => {
            let idle_ms = asked.route.timeouts.tunnel_idle_ms;
            exchange.tunnel = Some(Box::new(Tunnel::new(idle_ms, worker.deadlines.now_ms())));
            Step::Tunnel
        }
        Next::Relay if exchange.download.is_done() && client.link.outbox.is_empty() => Step::Settle,
        Next::Relay => Step::Relay,
    }))
}

fn relay(
    cx: &mut Context<'_>,
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
) -> Poll<Result<Step, Failure>> {
    let Some(mut server) = exchange.server.take() else { return Poll::Ready(Ok(Step::Settle)) };
    let next = move_bodies(cx, worker, client, exchange, &mut server);
    exchange.server = Some(server);
    if next? { Poll::Ready(Ok(Step::Settle)) } else { wait::for_relay(worker, client, exchange) }
}

/// Moves the response, and whatever is left of the request. Whether the response is over.
fn move_bodies(
    cx: &mut Context<'_>,
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    server: &mut ServerLink,
) -> Result<bool, Failure> {
    if !exchange.upload_is_over(&server.link) {
        match exchange.upload.poll(cx, worker, &mut client.link, &mut server.link) {
            // A server that has answered need not read on, and a client that has its answer need not send on.
            Poll::Ready(Err(PumpError::Sink(_) | PumpError::SourceEnded)) => exchange.upload_broken = true,
            Poll::Ready(Err(error)) => return Err(Failure::of_client(&error, Stage::Relay)),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
    }
    match exchange.download.poll(cx, worker, &mut server.link, &mut client.link) {
        Poll::Ready(Ok(())) => return Ok(true),
        Poll::Ready(Err(error)) => return Err(Failure::while_relaying(&error)),
        Poll::Pending => {}
    }
    if exchange.leaves_client_unread(&server.link) && response::client_is_gone(cx, client) {
        return Err(Failure::client_gone(client, Stage::Relay));
    }
    Ok(false)
}

fn tunnel(cx: &mut Context<'_>, worker: &Worker, client: &mut Client, exchange: &mut Exchange) -> Poll<Step> {
    let (Some(tunnel), Some(server)) = (exchange.tunnel.as_mut(), exchange.server.as_mut()) else {
        return Poll::Ready(Step::Settle);
    };
    let reason = ready!(tunnel.poll(cx, worker, client, &mut server.link));
    exchange.tunnel_end = Some(reason);
    Poll::Ready(Step::Settle)
}

/// The server has answered: its connection goes back into the pool, if it is in order.
fn settle(worker: &Worker, view: &View, exchange: &mut Exchange) -> Step {
    let reason = exchange.tunnel_end.unwrap_or(EndReason::Completed);
    exchange.end = End::new(reason, Stage::Finish);
    grpc::note_trailers(exchange);
    if let (Some(asked), Some(mut link)) = (Asked::find(worker, view, exchange), exchange.server.take()) {
        report::bytes(asked.counters, &link);
        report::attempt_answered(worker, asked.upstream, asked.index, exchange);
        let shareable = asked.upstream.settings.is_shareable();
        let in_order = exchange.keep_server && exchange.download.is_done() && link.is_reusable();
        if in_order && shareable {
            link.served += 1;
            link.link.settle();
            if let Some(seconds) = exchange.learned_idle_s {
                asked.pool.learn(&asked.upstream.settings.keep_alive, seconds);
            }
            asked.pool.put(
                link,
                &asked.upstream.settings.keep_alive,
                asked.counters,
                worker.deadlines.now_ms(),
            );
        } else if in_order || is_spent(exchange, &link) {
            link.discard();
        }
    }
    exchange.release_target();
    Step::Finish(answer::after_response(exchange))
}

/// Whether the connection ends with a response that has no content, and nobody wants what may follow it.
fn is_spent(exchange: &Exchange, server: &ServerLink) -> bool {
    let no_content = exchange.request.method() == Method::Head || exchange.status == 304;
    no_content && exchange.tunnel.is_none() && !exchange.keep_server && !server.link.is_stream()
}

/// The way on after a failure: the same server on a new connection, another server, or a refusal.
fn after_failure(
    worker: &Worker,
    view: &View,
    client: &mut Client,
    exchange: &mut Exchange,
    failure: &Failure,
) -> Step {
    let link = exchange.server.take();
    exchange.opening = None;
    let Some(asked) = Asked::find(worker, view, exchange) else {
        exchange.end = failure.end;
        return Step::Refuse;
    };
    if let Some(link) = link {
        report::bytes(asked.counters, &link);
        if failure.kind == Some(FailureKind::Timeout) {
            link.link.note_timeout();
        }
        // One that is new is not stale, but may be at its limits.
        let may_be_stale = link.served > 0 || (failure.is_refused() && exchange.reuse);
        if may_be_stale && may_replay(exchange, failure) {
            asked.counters.replayed.bump();
            exchange.restart(worker, client);
            exchange.reuse = false;
            return Step::Connect;
        }
    }
    report::attempt_failed(asked.counters, asked.upstream, asked.index, failure, worker.deadlines.now_ms());
    exchange.release_target();
    if !may_retry(worker, &asked, exchange, failure) {
        exchange.end = failure.end;
        return Step::Refuse;
    }
    // A status that is tried again is an answer, and nothing to tell if there is no other.
    exchange.last_end =
        (failure.end.reason != EndReason::Completed).then_some(failure.end).or(exchange.last_end);
    exchange.retries += 1;
    exchange.restart(worker, client);
    Step::Pick
}

fn finish(worker: &Worker, view: &View, client: &mut Client, exchange: &mut Exchange, after: After) {
    exchange.permit = None;
    client.slot.unlimit();
    client.link.inbox.consume(exchange.held, &worker.buffers);
    report::finished(worker, client, exchange, view, after);
}

/// Counts and logs a request that was refused elsewhere.
pub(crate) fn note_refused(worker: &Worker, client: &mut Client, exchange: &mut Exchange, end: End) {
    (exchange.end, exchange.status) = (end, end.reason.status());
    report::finished(worker, client, exchange, &worker.view(), After::Close);
}

/// Counts and logs a request that has not begun, and does not, since its client is gone.
pub(crate) fn note_gone(worker: &Worker, client: &mut Client, exchange: &mut Exchange) {
    let end = match exchange.step {
        Step::Refuse => exchange.end,
        _ => Failure::client_gone(client, Stage::Admit).end,
    };
    note_refused(worker, client, exchange, end);
}

fn may_replay(exchange: &Exchange, failure: &Failure) -> bool {
    let safe = failure.unsent || exchange.request.method().is_idempotent();
    failure.stale && safe && exchange.is_replayable()
}

fn may_retry(worker: &Worker, asked: &Asked<'_>, exchange: &Exchange, failure: &Failure) -> bool {
    let question = RetryQuestion {
        symptom: failure.symptom,
        unsent: failure.unsent,
        method_idempotent: exchange.request.method().is_idempotent(),
        committed: exchange.committed,
        body_replayable: exchange.is_replayable(),
    };
    if !asked.upstream.settings.retry.may_retry(&question, exchange.retries) {
        return false;
    }
    failure.granted || withdraw(worker, asked.share)
}

/// Takes one retry out of the budget, if that has any left.
fn withdraw(worker: &Worker, share: &UpstreamView) -> bool {
    let within_budget = share.budget.borrow_mut().withdraw(worker.deadlines.now_ms());
    if !within_budget && let Some(counters) = worker.counters() {
        counters.retry_budget_exhausted.bump();
    }
    within_budget
}

fn hash_of(upstream: &Upstream, exchange: &Exchange) -> u64 {
    let request = &exchange.request;
    let key = match &upstream.settings.hash_key {
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

/// The right to have one more request in flight; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Shared>);

impl Permit {
    fn take(shared: &Arc<Shared>, most: u32) -> Option<Self> {
        count_up(&shared.active, most).then(|| Self(Arc::clone(shared)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

/// The server that an exchange asks, with everything that belongs to it.
struct Asked<'a> {
    route: &'a Route,
    upstream: &'a Upstream,
    share: &'a UpstreamView,
    index: u32,
    server: &'a Server,
    pool: &'a Pool,
    counters: &'a ServerCounters,
}

impl<'a> Asked<'a> {
    fn find(worker: &Worker, view: &'a View, exchange: &Exchange) -> Option<Self> {
        let route = exchange.route(view)?;
        let index = exchange.target?.server;
        let (upstream, share) = view.upstream(route)?;
        let server = upstream.servers.get(index as usize)?;
        let pool = share.pools.get(index as usize)?;
        let counters = server.live.counters.of(worker.index)?;
        Some(Self { route, upstream, share, index, server, pool, counters })
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
