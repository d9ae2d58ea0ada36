//! What an exchange leaves behind: counters, the health of its server, and a line in the log.

use ropeway_core::end::Stage;
use ropeway_core::health::FailureKind;
use ropeway_core::http1::{BodyFraming, Head, Known, Version};
use ropeway_core::priority::Priority;

use super::After;
use super::failure::Failure;
use super::state::Exchange;
use super::{grpc, request_id};
use crate::access_log::Record;
use crate::connection::Client;
use crate::counters::ServerCounters;
use crate::pool::ServerLink;
use crate::snapshot::Route;
use crate::upstream::Upstream;
use crate::worker::{View, Worker};

/// Counts an attempt that the server answered.
pub(super) fn attempt_answered(worker: &Worker, upstream: &Upstream, index: u32, exchange: &Exchange) {
    let Some(server) = upstream.servers.get(index as usize) else { return };
    if let Some(counters) = server.live.counters.of(worker.index) {
        counters.classes.bump(exchange.status);
        counters.ends.bump(exchange.end.reason);
        if let Some(us) = exchange.times.first_byte_took {
            counters.first_byte.observe(us);
        }
    }
    if let Some(us) = exchange.times.first_byte_took.filter(|_| upstream.needs.latency) {
        server.live.latency().observe(us, worker.shared.clock.now_us());
    }
    let counts_5xx = upstream.settings.passive.is_some_and(|config| config.consecutive_5xx.is_some());
    let is_error = exchange.status >= 500 || grpc::is_server_error(exchange);
    if is_error && counts_5xx {
        upstream.report_failure(index, FailureKind::ServerError, worker.deadlines.now_ms());
    } else {
        upstream.report_success(index);
    }
}

/// Counts an attempt that failed.
pub(super) fn attempt_failed(
    counters: &ServerCounters,
    upstream: &Upstream,
    index: u32,
    failure: &Failure,
    now_ms: u64,
) {
    counters.classes.bump(0);
    counters.ends.bump(failure.end.reason);
    if let Some(kind) = failure.kind {
        upstream.report_failure(index, kind, now_ms);
    }
}

/// Counts the bytes that an attempt moved.
pub(super) fn bytes(counters: &ServerCounters, server: &ServerLink) {
    let (received, sent) = server.moved();
    counters.bytes_in.add(received);
    counters.bytes_out.add(sent);
}

/// Counts and logs a finished exchange.
pub(super) fn finished(worker: &Worker, client: &mut Client, exchange: &Exchange, view: &View, after: After) {
    let total_us = worker.shared.clock.now_us().saturating_sub(exchange.times.started);
    let is_ahead = !client.link.is_stream() && (after == After::Keep || is_all_read(exchange));
    let ahead = if is_ahead { client.link.inbox.len() } else { 0 };
    let bytes_in = client.link.received.saturating_sub(exchange.received_before + ahead as u64);
    // What still waits never leaves.
    let left = exchange.sent_before.saturating_add(client.link.outbox.len() as u64);
    let bytes_out = client.link.sent.saturating_sub(left);
    let route = exchange.route(view);
    let grpc_status = exchange.call.as_ref().and_then(|call| call.status);
    match route.and_then(|route| route.counters.of(worker.index)) {
        Some(counters) => {
            counters.classes.bump(exchange.status);
            counters.ends.bump(exchange.end.reason);
            if let Some(status) = grpc_status {
                counters.grpc.bump(status);
            }
            counters.total.observe(total_us);
            counters.bytes_in.add(bytes_in);
            counters.bytes_out.add(bytes_out);
        }
        None => {
            if let Some(counters) = client.counters(worker) {
                counters.ends.bump(exchange.end.reason);
            }
        }
    }
    client.end_request();
    log(worker, client, exchange, view, route, [total_us, bytes_in, bytes_out]);
}

/// Whether nothing of what waits belongs to the request, even if there will not be another one.
fn is_all_read(exchange: &Exchange) -> bool {
    match exchange.end.stage {
        // Where it ends is not known.
        Stage::Receive => false,
        Stage::Route | Stage::Admit => {
            matches!(exchange.request.framing(), BodyFraming::None | BodyFraming::Length(0))
        }
        _ => exchange.upload.is_done() && exchange.tunnel.is_none(),
    }
}

fn log(
    worker: &Worker,
    client: &Client,
    exchange: &Exchange,
    view: &View,
    route: Option<&Route>,
    [total_us, bytes_in, bytes_out]: [u64; 3],
) {
    // That of the configuration that is in service now, which may be younger than the exchange.
    let (Some(target), Some(counters)) = (worker.log_target(), worker.counters()) else { return };
    let request = &exchange.request;
    let id = exchange.id.hex();
    let (upstream, server) = exchange.asked(view).unzip();
    let record = Record {
        client: exchange.client_ip,
        method: request.method_bytes(),
        host: request.host(),
        target: request.target(),
        version: match request.version() {
            _ if client.link.is_stream() => "HTTP/2.0",
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        },
        client_subject: client.identity.as_ref().map_or("", |identity| &identity.subject),
        tls: client.tls.map_or("", |identity| identity.version),
        status: exchange.status,
        grpc_status: exchange.call.as_ref().and_then(|call| call.status),
        bytes_in,
        bytes_out,
        listener: &client.listener.name,
        route: route.map_or("", |route| &route.name),
        upstream: upstream.map_or("", |upstream| &upstream.name),
        server: server.map_or("", |server| &server.name),
        attempts: u32::try_from(exchange.tried.as_slice().len()).unwrap_or(u32::MAX),
        total_us,
        connect_us: exchange.times.connect_took,
        first_byte_us: exchange.times.first_byte_took,
        reason: exchange.end.reason,
        stage: exchange.end.stage,
        request_id: request_id::given(client, &request.head).unwrap_or(&id),
        referer: request.head.get(Known::Referer).unwrap_or_default(),
        user_agent: request.head.get(Known::UserAgent).unwrap_or_default(),
        priority: priority(&request.head),
    };
    worker.log.borrow_mut().record(target, &record, counters);
}

/// What the client wishes; nothing if that is what holds without a wish.
fn priority(request: &Head) -> Option<Priority> {
    let wish = request.get_all(Known::Priority).fold(Priority::default(), Priority::updated);
    (wish != Priority::default()).then_some(wish)
}
