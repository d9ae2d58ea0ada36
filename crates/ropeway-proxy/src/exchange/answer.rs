//! The end of an exchange, as the client sees it.

use std::task::{Context, Poll};

use ropeway_core::end::{EndReason, Stage};
use ropeway_core::http1::{Method, prefers_json};

use super::state::Exchange;
use super::{After, Step, grpc, request_id};
use crate::connection::Client;
use crate::local_response::{self, Manner};
use crate::uptake::Uptake;
use crate::worker::Worker;

/// What becomes of the connection after a response that was passed on whole.
pub(super) fn after_response(exchange: &Exchange) -> After {
    if exchange.end.reason != EndReason::Completed {
        return After::Close;
    }
    let upload_over = exchange.upload.is_done() && !exchange.upload_broken;
    match (exchange.keep_client, upload_over) {
        (true, true) => After::Keep,
        (false, true) if !exchange.request.keep_alive() => After::Part,
        _ => After::Linger,
    }
}

/// Ends the exchange, as [`Exchange::end`] says, without a response of the server: with one of our own, or, when a response
/// was begun, in a way that shows that it is incomplete. Returns what follows: to write out the response, or nothing.
pub(super) fn failed(
    cx: &mut Context<'_>,
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
) -> Step {
    let end = exchange.end;
    client.slot.unlimit();
    grpc::note_end(exchange, end);
    exchange.answer = Uptake::beginning(client.slot.now_ms());
    let nobody_listens = end.reason.status() == 499;
    if exchange.committed {
        let told = !nobody_listens && grpc::end_with_trailers(client, exchange);
        return if told { Step::Answer } else { Step::Finish(cut_off(client, exchange)) };
    }
    if nobody_listens {
        exchange.status = 499;
        return Step::Finish(After::Close);
    }
    exchange.status = if exchange.call.is_some() { 200 } else { end.reason.status() };
    exchange.keep_client = keeps_connection(worker, client, exchange);
    let (request, id) = (&exchange.request, exchange.id.hex());
    let id = request_id::given(client, &request.head).unwrap_or(&id);
    // Of a head that is malformed no more is believed than that its sender does not expect a body, and what kind it reads.
    let known = (end.stage > Stage::Receive || request.method() == Method::Head).then_some(request);
    let mut response = Vec::new();
    let detail = exchange.challenge.as_deref().unwrap_or(end.detail);
    let (why, close) = ((end.reason, detail), !exchange.keep_client);
    match exchange.call.as_ref() {
        Some(call) => local_response::write_grpc(&mut response, why, call, id, client, close),
        None => local_response::write(
            &mut response,
            why,
            known,
            id,
            &client.listener,
            Manner { json: prefers_json(&request.head), https: client.arrival.https, close },
        ),
    }
    if close {
        client.link.close_next();
    }
    let sent = client.link.send(cx, &response, &[], &worker.buffers);
    client.link.finish(None);
    if sent.is_ok() { Step::Answer } else { Step::Finish(After::Close) }
}

/// Writes out a response of our own.
pub(super) fn flush(
    cx: &mut Context<'_>,
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
) -> Poll<After> {
    match client.link.poll_flush(cx, &worker.buffers) {
        Poll::Ready(Ok(())) if exchange.keep_client => Poll::Ready(After::Keep),
        Poll::Ready(Ok(())) => Poll::Ready(After::Linger),
        Poll::Ready(Err(_)) => Poll::Ready(After::Close),
        Poll::Pending if worker.must_abort() => Poll::Ready(After::Close),
        Poll::Pending => wait_for_client(client, exchange),
    }
}

fn wait_for_client(client: &Client, exchange: &mut Exchange) -> Poll<After> {
    let Some(due) = client.uptake_due(&mut exchange.answer, &client.link, exchange.sent_before) else {
        return Poll::Ready(After::Close);
    };
    client.slot.arm(due);
    Poll::Pending
}

/// The client must see that the response is incomplete: the connection ends before the length that was promised, or,
/// where the end of the connection would pass for the end of the body, with a reset.
fn cut_off(client: &mut Client, exchange: &Exchange) -> After {
    if client.link.is_stream() || !exchange.download.marks_its_end() {
        client.link.reset_on_close();
    }
    After::Close
}

/// Whether the next request can be found: the body of this one is read, or all of it is here to be skipped.
fn keeps_connection(worker: &Worker, client: &mut Client, exchange: &mut Exchange) -> bool {
    if client.link.is_stream() {
        return true;
    }
    if !exchange.keep_client || !exchange.request.keep_alive() || !client.may_continue(worker) {
        return false;
    }
    // What follows a CONNECT may be the payload of a client that did not wait for the answer: never a request.
    if exchange.request.method() == Method::Connect {
        return false;
    }
    if exchange.end.stage <= Stage::Admit {
        let framing = exchange.request.framing();
        exchange.upload = crate::relay::Pump::new(framing, framing, &client.listener.body_limits);
    }
    if !exchange.upload.is_done() && !exchange.upload.has_failed() && !client.link.inbox.is_empty() {
        let mut skipped = Vec::new();
        match exchange.upload.encode(client.link.inbox.as_slice(), &mut skipped) {
            Ok(used) => client.link.inbox.consume(used, &worker.buffers),
            Err(_) => return false,
        }
    }
    exchange.upload.is_done() && !exchange.upload_broken
}
