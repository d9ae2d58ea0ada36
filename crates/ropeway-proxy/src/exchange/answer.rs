//! The end of an exchange, as the client sees it.

use std::future::poll_fn;
use std::task::Poll;

use ropeway_core::end::{EndReason, Stage};
use ropeway_core::http1::Method;

use super::After;
use super::state::{End, Exchange};
use crate::connection::Client;
use crate::local_response;
use crate::worker::Worker;

/// What becomes of the connection after a response that was passed on whole.
pub(super) fn after_response(exchange: &Exchange) -> After {
    if exchange.end.reason != EndReason::Completed {
        return After::Close;
    }
    let upload_over = exchange.upload.is_done() && !exchange.upload_broken;
    match (exchange.keep_client, upload_over) {
        (true, true) => After::Keep,
        // The client asked for the close, so it sends nothing that a reset could overtake.
        (false, true) if !exchange.request.keep_alive() => After::Close,
        _ => After::Linger,
    }
}

/// Answers with a response of our own, or makes the failure visible when a response was begun.
pub(super) async fn failed(worker: &Worker, client: &mut Client, exchange: &mut Exchange, end: End) -> After {
    exchange.end = end;
    if exchange.committed {
        return cut_off(client, exchange);
    }
    exchange.status = end.reason.status();
    if exchange.status == 499 {
        return After::Close;
    }
    let keep = keeps_connection(worker, client, exchange);
    let (request, id) = (&exchange.request, &exchange.id);
    let known = (end.stage > Stage::Receive).then_some(request);
    let mut response = Vec::new();
    local_response::write(&mut response, end.reason, end.detail, known, id, !keep);
    match (flush(worker, client, &response).await, keep) {
        (true, true) => After::Keep,
        (true, false) => After::Linger,
        (false, _) => After::Close,
    }
}

/// The client must see that the response is incomplete: the connection ends before the length that was promised, or,
/// where the end of the connection would pass for the end of the body, with a reset.
fn cut_off(client: &Client, exchange: &Exchange) -> After {
    if !exchange.download.marks_its_end() {
        client.link.reset_on_close();
    }
    After::Close
}

/// Whether the next request can be found: the body of this one is read, or all of it is here to be skipped.
fn keeps_connection(worker: &Worker, client: &mut Client, exchange: &mut Exchange) -> bool {
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
    if !exchange.upload.is_done() && !client.link.inbox.is_empty() {
        let mut skipped = Vec::new();
        match exchange.upload.encode(client.link.inbox.as_slice(), &mut skipped) {
            Ok(used) => client.link.inbox.consume(used, &worker.buffers),
            Err(_) => return false,
        }
    }
    exchange.upload.is_done() && !exchange.upload_broken
}

/// Sends a response of our own. Returns whether the client took it.
async fn flush(worker: &Worker, client: &mut Client, response: &[u8]) -> bool {
    let due = client.slot.after(client.listener.timeouts.send_idle_ms);
    let mut unsent = true;
    poll_fn(|cx| {
        if std::mem::take(&mut unsent) && client.link.send(cx, response, &[], &worker.buffers).is_err() {
            return Poll::Ready(false);
        }
        match client.link.poll_flush(cx, &worker.buffers) {
            Poll::Ready(flushed) => Poll::Ready(flushed.is_ok()),
            Poll::Pending if client.slot.has_passed(due) || worker.must_abort() => Poll::Ready(false),
            Poll::Pending => {
                client.slot.arm(due);
                Poll::Pending
            }
        }
    })
    .await
}
