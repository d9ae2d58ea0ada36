//! How long an exchange waits, and for whom.

use std::task::{Context, Poll};

use ropeway_core::end::{EndReason, Stage};

use super::Step;
use super::failure::Failure;
use super::response::{self, Next};
use super::state::Exchange;
use crate::connection::Client;
use crate::deadline::TICK_MS;
use crate::pool::ServerLink;
use crate::relay::Late;
use crate::snapshot::Route;
use crate::uptake::Patience;
use crate::worker::Worker;

/// Waits for the connection to the server, which has its own deadlines, as long as there is somebody to answer.
pub(super) fn for_connection(cx: &mut Context<'_>, client: &mut Client) -> Poll<Result<Step, Failure>> {
    if response::client_has_left(cx, client) {
        return Poll::Ready(Err(Failure::client_gone(client, Stage::Connect)));
    }
    client.look_meanwhile();
    Poll::Pending
}

/// Starts the clock of the response: the request is on its way.
pub(super) fn begin_response(worker: &Worker, route: &Route, exchange: &mut Exchange) {
    let now_ms = worker.deadlines.now_ms();
    exchange.times.sent = worker.shared.clock.now_us();
    exchange.times.respond_by_ms = now_ms.saturating_add(route.timeouts.response_ms).saturating_add(TICK_MS);
}

/// Waits for the response head, or for the rest of the request to be sent.
pub(super) fn for_response(
    worker: &Worker,
    client: &Client,
    exchange: &mut Exchange,
    server: &ServerLink,
) -> Poll<Result<Next, Failure>> {
    if worker.must_abort() {
        return Poll::Ready(Err(Failure::local(EndReason::Shutdown, Stage::Send)));
    }
    let (from, to) = (from_client(client), to_server(exchange));
    let uploading = !exchange.upload_is_over(&server.link);
    let mut due = if uploading { exchange.upload.deadline(from, to) } else { None };
    if is_due(client, due, Late::Sink) {
        exchange.upload.look(client.slot.now_ms(), &server.link, 0);
        due = exchange.upload.deadline(from, to);
    }
    let due_ms = match due {
        Some((at, _)) => at,
        None if uploading => u64::MAX,
        None => exchange.times.respond_by_ms,
    };
    if !client.slot.has_passed(due_ms) {
        client.wait_until(due_ms);
        return Poll::Pending;
    }
    Poll::Ready(Err(match due {
        Some((_, Late::Source)) => Failure::local(EndReason::BodyTimeout, Stage::Send),
        Some((_, Late::Sink)) => Failure::late_server(EndReason::SendTimeout, Stage::Send),
        None => Failure::late_server(EndReason::ResponseTimeout, Stage::Send),
    }))
}

/// Waits for the next piece of the response, or for the client to read the last one.
pub(super) fn for_relay(
    worker: &Worker,
    client: &Client,
    exchange: &mut Exchange,
) -> Poll<Result<Step, Failure>> {
    if worker.must_abort() {
        return Poll::Ready(Err(Failure::local(EndReason::Shutdown, Stage::Relay)));
    }
    let (from, to) = (to_server(exchange), client.patience());
    let mut due = exchange.download.deadline(from, to);
    if is_due(client, due, Late::Sink) {
        exchange.download.look(client.slot.now_ms(), &client.link, exchange.sent_before);
        due = exchange.download.deadline(from, to);
    }
    let Some((due, late)) = due else { return Poll::Pending };
    if !client.slot.has_passed(due) {
        client.wait_until(due);
        return Poll::Pending;
    }
    Poll::Ready(Err(match late {
        Late::Source => Failure::late_server(EndReason::StreamTimeout, Stage::Relay),
        Late::Sink => Failure::local(EndReason::ClientTooSlow, Stage::Relay),
    }))
}

/// Whether a deadline has come, and is one of this end.
fn is_due(client: &Client, deadline: Option<(u64, Late)>, end: Late) -> bool {
    deadline.is_some_and(|(at, late)| late == end && client.slot.has_passed(at))
}

fn from_client(client: &Client) -> Patience {
    let timeouts = &client.listener.timeouts;
    Patience { idle_ms: timeouts.body_idle_ms, min_rate: timeouts.min_rate }
}

/// Servers are ours, and may be slow as long as they are not silent.
fn to_server(exchange: &Exchange) -> Patience {
    Patience { idle_ms: exchange.stream_idle_ms, min_rate: None }
}
