//! The response on its way to the client.

use std::task::{Context, Poll};

use ropeway_core::end::{EndReason, Stage};
use ropeway_core::http1::{
    BodyFraming, HeadLimits, Known, Progress, ResponseHead, TRANSFER_ENCODING_CHUNKED, Version,
};
use ropeway_core::retry::{Failure as RetryQuestion, Symptom};

use super::failure::Failure;
use super::grpc;
use super::request::{remove, write_field};
use super::state::Exchange;
use super::{wait, withdraw};
use crate::buffers::{BufferPool, PIECE_READ, Scratch};
use crate::complaint::Complaint;
use crate::connection::Client;
use crate::link::Noise;
use crate::local_response;
use crate::pool::ServerLink;
use crate::relay::{Pump, PumpError};
use crate::snapshot::Route;
use crate::upstream::{Server, Upstream};
use crate::worker::{UpstreamView, Worker};

/// Informational responses that one exchange may bring.
const MAX_INFORMATIONAL: u8 = 16;

/// What follows a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The body, until both pumps are done.
    Relay,
    /// Bytes in both directions.
    Tunnel,
}

/// The places that a response passes through.
pub(super) struct Passage<'a> {
    pub worker: &'a Worker,
    pub route: &'a Route,
    pub upstream: &'a Upstream,
    pub share: &'a UpstreamView,
    pub server: &'a Server,
    /// The connection had answered a request before.
    pub reused: bool,
    /// The server answers by a stream.
    pub from_stream: bool,
}

/// Sends what is left of the request and waits for the final response head, which is passed on together with
/// whatever part of the body came along.
pub(super) fn poll(
    cx: &mut Context<'_>,
    passage: &Passage<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
    server: &mut ServerLink,
) -> Poll<Result<Next, Failure>> {
    let worker = passage.worker;
    poll_upload(cx, worker, passage.route, client, exchange, server)?;
    loop {
        let scratch = &mut *worker.scratch.borrow_mut();
        if exchange.more_needed || server.link.inbox.is_empty() {
            let space = scratch.input.get_mut(..PIECE_READ).unwrap_or_default();
            let count = match server.link.poll_read(cx, space) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => {
                    let partial = !server.link.inbox.is_empty();
                    return Poll::Ready(Err(Failure::of_server(EndReason::ServerClosed, exchange, partial)));
                }
                Poll::Ready(Ok(count)) => count,
                Poll::Ready(Err(error)) => {
                    let (partial, heard) = (!server.link.inbox.is_empty(), server.link.received > 0);
                    let failure = Failure::of_broken_server(&error, exchange, partial, heard);
                    if failure.end.reason == EndReason::ServerTls {
                        let authority = &passage.server.authority;
                        let details = format_args!("TLS handshake with {authority} failed: {error}");
                        let (upstream, live) = (&passage.upstream.name, &passage.server.live);
                        worker.complain_of(upstream, live, Complaint::ServerTls, details);
                    }
                    return Poll::Ready(Err(failure));
                }
            };
            exchange.head_is_all = server.link.is_at_end();
            let input = scratch.input.get(..count).unwrap_or_default();
            if exchange.more_needed {
                server.link.inbox.append(input, &worker.buffers);
            } else {
                let head = &mut scratch.response;
                let look = take_head(cx, passage, client, exchange, head, input, &mut scratch.output)?;
                server.link.inbox.append(input.get(look.used..).unwrap_or_default(), &worker.buffers);
                exchange.more_needed = look.more_needed;
                if let Some(next) = look.next {
                    return Poll::Ready(Ok(next));
                }
                continue;
            }
        }
        let look = from_inbox(cx, passage, client, exchange, server, scratch)?;
        exchange.more_needed = look.more_needed;
        if let Some(next) = look.next {
            return Poll::Ready(Ok(next));
        }
    }
    poll_client(cx, worker, client, exchange, server)?;
    wait::for_response(worker, client, exchange, server)
}

/// What a look at the server's bytes gave.
struct Look {
    used: usize,
    more_needed: bool,
    next: Option<Next>,
}

impl Look {
    const PARTIAL: Self = Self { used: 0, more_needed: true, next: None };
}

fn from_inbox(
    cx: &mut Context<'_>,
    passage: &Passage<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
    server: &mut ServerLink,
    scratch: &mut Scratch,
) -> Result<Look, Failure> {
    match exchange.scan.is_complete(server.link.inbox.as_slice()) {
        Ok(true) => {}
        Ok(false) if server.link.inbox.len() <= HeadLimits::default().head_bytes => return Ok(Look::PARTIAL),
        Ok(false) => return Err(Failure::bad_response(EndReason::ResponseHeadTooLarge, "")),
        Err(error) => return Err(Failure::bad_response(EndReason::BadResponse, error.detail())),
    }
    exchange.scan = ropeway_core::http1::HeadScan::new();
    let waiting = std::mem::take(&mut server.link.inbox);
    let head = &mut scratch.response;
    let look = take_head(cx, passage, client, exchange, head, waiting.as_slice(), &mut scratch.output);
    server.link.inbox = waiting;
    let look = look?;
    server.link.inbox.consume(look.used, &passage.worker.buffers);
    Ok(look)
}

/// Reads one head off the front of `input`, and passes it on.
fn take_head(
    cx: &mut Context<'_>,
    passage: &Passage<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
    head: &mut ResponseHead,
    input: &[u8],
    output: &mut Vec<u8>,
) -> Result<Look, Failure> {
    let consumed = match head.parse(input, &HeadLimits::default()) {
        Ok(Progress::Complete { consumed }) => consumed,
        Ok(Progress::Partial) => return Ok(Look::PARTIAL),
        Err(error) => return Err(Failure::bad_response(error.reason(), error.detail())),
    };
    if passage.from_stream {
        head.came_by_stream();
    }
    output.clear();
    if head.status() == 101 {
        return switch_protocols(cx, passage, client, exchange, head, output).map(|next| Look {
            used: consumed,
            more_needed: false,
            next: Some(next),
        });
    }
    if head.is_informational() {
        inform(cx, passage, client, exchange, head, output)?;
        return Ok(Look { used: consumed, more_needed: false, next: None });
    }
    let body = input.get(consumed..).unwrap_or_default();
    let used = pass_on(cx, passage, client, exchange, head, body, output)?;
    Ok(Look { used: consumed + used, more_needed: false, next: Some(Next::Relay) })
}

fn inform(
    cx: &mut Context<'_>,
    passage: &Passage<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
    head: &mut ResponseHead,
    output: &mut Vec<u8>,
) -> Result<(), Failure> {
    exchange.informational += 1;
    if exchange.informational > MAX_INFORMATIONAL {
        return Err(Failure::bad_response(
            EndReason::ResponseHeadTooLarge,
            "too many informational responses",
        ));
    }
    // RFC 9110, section 15.2: clients of HTTP/1.0 do not know them.
    if exchange.request.version() == Version::Http10 {
        return Ok(());
    }
    head.strip_hop_by_hop();
    head.write_status_line(output);
    head.head.write_fields(output);
    output.extend_from_slice(b"\r\n");
    send(cx, client, output, &passage.worker.buffers)
}

fn switch_protocols(
    cx: &mut Context<'_>,
    passage: &Passage<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
    head: &mut ResponseHead,
    output: &mut Vec<u8>,
) -> Result<Next, Failure> {
    let Some(protocol) = head.upgrade().filter(|_| exchange.wants_upgrade).map(<[u8]>::to_vec) else {
        return Err(Failure::bad_response(
            EndReason::BadResponse,
            "a switch of protocols that was not asked for",
        ));
    };
    note_head(passage, exchange, head);
    if client.link.is_stream() {
        // What a client of HTTP/2 is told instead (RFC 8441, section 5).
        exchange.status = 200;
    }
    exchange.upload.take_kept();
    head.strip_hop_by_hop();
    edit(passage, client, head, output);
    write_field(output, b"Connection", b"upgrade");
    write_field(output, b"Upgrade", &protocol);
    output.extend_from_slice(b"\r\n");
    exchange.keep_client = false;
    exchange.keep_server = false;
    send(cx, client, output, &passage.worker.buffers)?;
    Ok(Next::Tunnel)
}

/// Passes a final response head on, with what is there of its body. Returns how much of the body was used.
fn pass_on(
    cx: &mut Context<'_>,
    passage: &Passage<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
    head: &mut ResponseHead,
    body: &[u8],
    output: &mut Vec<u8>,
) -> Result<usize, Failure> {
    if passage.reused && head.status() == 408 && !head.keep_alive() && exchange.is_replayable() {
        return Err(Failure::crossed_408());
    }
    if let Some(symptom) = worth_retrying(passage, exchange, head) {
        return Err(Failure::answered(symptom));
    }
    let method = exchange.request.method();
    let source =
        head.framing_for(method).map_err(|error| Failure::bad_response(error.reason(), error.detail()))?;
    // A head that was all on one stream is all on the next: gRPC tells its two kinds of responses apart by that.
    let head_is_all = exchange.head_is_all && body.is_empty() && client.link.is_stream();
    let source = match passage.from_stream {
        true if head_is_all => BodyFraming::None,
        true => source.for_stream(),
        false => source,
    };
    let modern = exchange.request.version() == Version::Http11;
    note_head(passage, exchange, head);
    let translation = grpc::response_translation(exchange.call.as_ref(), &mut head.head);
    // What is translated has another length.
    let sink = match &translation {
        Some(_) => sink_for(source.for_stream(), client, None, modern),
        None => sink_for(source, client, head.content_length(), modern),
    };
    let whole_request_sent = exchange.upload.is_done() && !exchange.upload_broken;
    exchange.keep_server = whole_request_sent && head.keep_alive() && leaves_nothing_behind(head, source);
    exchange.keep_client = whole_request_sent
        && client.may_continue(passage.worker)
        && exchange.request.keep_alive()
        && sink != BodyFraming::UntilClose;
    let wanted = wanted_protocols(head);
    head.strip_hop_by_hop();
    edit(passage, client, head, output);
    if let Some((_, content_type)) = &translation {
        write_field(output, b"Content-Type", content_type);
    }
    if sink == BodyFraming::Chunked {
        output.extend_from_slice(TRANSFER_ENCODING_CHUNKED);
    }
    if let Some(protocols) = &wanted {
        write_field(output, b"Upgrade", protocols);
        write_field(output, b"Connection", b"upgrade");
    }
    if !client.link.is_stream() {
        output.extend_from_slice(persistence(exchange.keep_client, modern));
    }
    output.extend_from_slice(b"\r\n");
    let translation = translation.map(|(translation, _)| translation);
    let closes = whole_request_sent && !exchange.keep_client;
    exchange.download = Pump::new(source, sink, &client.listener.body_limits)
        .followed_by_close(closes)
        .translated_by(translation);
    if closes && exchange.download.is_done() {
        client.link.close_next();
    }
    send_first(cx, client, exchange, body, output, &passage.worker.buffers)
}

/// Sends a response head that was serialised, and what is there of its body. Returns how much of the body was used.
fn send_first(
    cx: &mut Context<'_>,
    client: &mut Client,
    exchange: &mut Exchange,
    body: &[u8],
    output: &mut Vec<u8>,
    buffers: &BufferPool,
) -> Result<usize, Failure> {
    if exchange.download.is_done() {
        exchange.committed = true;
        send(cx, client, output, buffers)?;
        exchange.download.finish(&mut client.link);
        return Ok(0);
    }
    let sent = exchange.download.forward(cx, body, output, &mut client.link, buffers);
    // A body that is malformed from its first piece on is found out before anything is sent.
    exchange.committed = !matches!(sent, Err(PumpError::Malformed(_)));
    sent.map_err(|error| Failure::while_relaying(&error))
}

/// Whether the next bytes on the connection are those of another response. Not all servers leave out what they announce to
/// HEAD, and it may come when somebody else waits for a response.
fn leaves_nothing_behind(head: &ResponseHead, framing: BodyFraming) -> bool {
    match framing {
        BodyFraming::None => !head.announces_content(),
        BodyFraming::UntilClose => false,
        BodyFraming::Length(_) | BodyFraming::Chunked | BodyFraming::Stream => true,
    }
}

/// What a client of HTTP/1 has to be told of whether its connection is kept (RFC 9112, section 9.3).
fn persistence(is_kept: bool, modern: bool) -> &'static [u8] {
    match (is_kept, modern) {
        (false, _) => b"Connection: close\r\n",
        (true, false) => b"Connection: keep-alive\r\n",
        (true, true) => b"",
    }
}

/// RFC 9110, section 15.5.22: 426 names the protocols that the server wants.
fn wanted_protocols(head: &ResponseHead) -> Option<Vec<u8>> {
    head.head.get(Known::Upgrade).filter(|_| head.status() == 426).map(<[u8]>::to_vec)
}

/// How the body is framed for the client.
fn sink_for(source: BodyFraming, client: &Client, length: Option<u64>, modern: bool) -> BodyFraming {
    if client.link.is_stream() {
        return source.for_stream();
    }
    match source.for_http1(length) {
        BodyFraming::Chunked if !modern => BodyFraming::UntilClose,
        BodyFraming::UntilClose if modern => BodyFraming::Chunked,
        same => same,
    }
}

/// What the policy tries on another server, if the response is that.
fn worth_retrying(passage: &Passage<'_>, exchange: &Exchange, head: &ResponseHead) -> Option<Symptom> {
    let symptom = match head.status() {
        status @ 502..=504 => Symptom::Status(status),
        200 if grpc::is_unavailable(exchange, &head.head) => Symptom::GrpcUnavailable,
        _ => return None,
    };
    let question = RetryQuestion {
        symptom,
        unsent: false,
        method_idempotent: exchange.request.method().is_idempotent(),
        committed: false,
        body_replayable: exchange.is_replayable(),
    };
    let others = passage.upstream.choice().table.len() > exchange.tried.as_slice().len();
    let may_retry = others && passage.upstream.settings.retry.may_retry(&question, exchange.retries);
    // Without one, the answer is better than none.
    (may_retry && withdraw(passage.worker, passage.share)).then_some(symptom)
}

fn note_head(passage: &Passage<'_>, exchange: &mut Exchange, head: &ResponseHead) {
    exchange.status = head.status();
    grpc::note_head(exchange, head);
    let now_us = passage.worker.shared.clock.now_us();
    exchange.times.first_byte_took = Some(now_us.saturating_sub(exchange.times.sent));
    if let Some(seconds) = head.keep_alive_timeout() {
        exchange.learned_idle_s = Some(seconds);
    }
}

/// Writes the status line and the fields, with the edits of the route and of the listener.
fn edit(passage: &Passage<'_>, client: &Client, head: &mut ResponseHead, output: &mut Vec<u8>) {
    let edits = &passage.route.response_edits;
    remove(&mut head.head, edits);
    if let Some(name) = &client.listener.server_name_field {
        head.head.remove_named(name);
    }
    let hsts = client.listener.hsts.as_ref().filter(|_| client.arrival.https);
    if hsts.is_some() {
        // RFC 6797, section 8.1: of several, clients believe the first one.
        head.head.remove_named(b"strict-transport-security");
    }
    head.write_status_line(output);
    head.head.write_fields(output);
    client.listener.forwarding.write_response_via(output, head);
    if head.head.get(Known::Date).is_none() && !head.is_informational() {
        // RFC 9110, section 6.6.1: a recipient with a clock adds what is missing.
        local_response::write_date(output);
    }
    if let Some(line) = hsts {
        output.extend_from_slice(line);
    }
    if let Some(name) = &client.listener.server_name_field {
        write_field(output, name, passage.server.name.as_bytes());
    }
    output.extend_from_slice(&edits.append);
}

fn send(
    cx: &mut Context<'_>,
    client: &mut Client,
    output: &[u8],
    buffers: &BufferPool,
) -> Result<(), Failure> {
    let sent = client.link.send(cx, output, &[], buffers);
    sent.map_err(|error| Failure::while_relaying(&PumpError::Sink(error)))
}

/// Moves the request body. A server that stops reading may still have answered, so that is not yet a failure.
fn poll_upload(
    cx: &mut Context<'_>,
    worker: &Worker,
    route: &Route,
    client: &mut Client,
    exchange: &mut Exchange,
    server: &mut ServerLink,
) -> Result<(), Failure> {
    if exchange.upload_is_over(&server.link) {
        return Ok(());
    }
    match exchange.upload.poll(cx, worker, &mut client.link, &mut server.link) {
        Poll::Ready(Ok(())) => wait::begin_response(worker, route, exchange),
        Poll::Ready(Err(PumpError::Sink(_))) => {
            server.link.outbox.clear(&worker.buffers);
            exchange.upload_broken = true;
        }
        Poll::Ready(Err(error)) => return Err(Failure::of_client(&error, Stage::Send)),
        Poll::Pending => {}
    }
    Ok(())
}

/// Whether a client that nobody reads from has closed its connection in both directions.
pub(super) fn client_is_gone(cx: &mut Context<'_>, client: &mut Client) -> bool {
    matches!(client.poll_noise(cx), Poll::Ready(Noise::Gone))
}

/// Whether a client that nobody reads from has closed its connection, in both directions where that makes a difference.
pub(super) fn client_has_left(cx: &mut Context<'_>, client: &mut Client) -> bool {
    match client.poll_noise(cx) {
        Poll::Ready(Noise::Gone) => true,
        Poll::Ready(Noise::HalfClosed) => client.listener.abort_on_close,
        _ => false,
    }
}

/// Notices a client that went away while the server works, or does not take the request.
fn poll_client(
    cx: &mut Context<'_>,
    worker: &Worker,
    client: &mut Client,
    exchange: &Exchange,
    server: &ServerLink,
) -> Result<(), Failure> {
    if !exchange.leaves_client_unread(&server.link) {
        return Ok(());
    }
    let uploading = !exchange.upload_is_over(&server.link);
    if let Poll::Ready(flushed) = client.link.poll_flush(cx, &worker.buffers) {
        flushed.map_err(|error| Failure::while_relaying(&PumpError::Sink(error)))?;
    }
    match client.poll_noise(cx) {
        Poll::Ready(Noise::Gone) => Err(Failure::client_gone(client, Stage::Send)),
        Poll::Ready(Noise::HalfClosed) if client.listener.abort_on_close => {
            Err(Failure::client_gone(client, Stage::Send))
        }
        Poll::Ready(Noise::HalfClosed) if uploading && exchange.upload.lacks_more_than(&client.link) => {
            Err(Failure::of_client(&PumpError::SourceEnded, Stage::Send))
        }
        _ => Ok(()),
    }
}
