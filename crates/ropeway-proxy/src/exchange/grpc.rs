//! What gRPC adds to an exchange: a status behind the status, a deadline over all of it, and errors in its own form.

use std::time::Duration;

use ropeway_core::end::{EndReason, Stage};
use ropeway_core::grpc::{
    GrpcContentType, GrpcFlavour, GrpcStatus, read_timeout, write_message, write_timeout,
};
use ropeway_core::http1::{BodyDecoder, BodyFraming, Head, Known, RequestHead, ResponseHead};

use super::Step;
use super::failure::Failure;
use super::state::{End, Exchange};
use crate::connection::Client;
use crate::grpc_web::Translation;
use crate::snapshot::Route;
use crate::worker::Worker;

/// The field, and the trailer, that says how a call ended.
const STATUS: &[u8] = b"grpc-status";
/// The field that says how long a call may take.
const TIMEOUT: &[u8] = b"grpc-timeout";

/// A call.
#[derive(Debug)]
pub(crate) struct Call {
    /// What the client speaks.
    pub flavour: GrpcFlavour,
    /// How it ended, once that is known.
    pub status: Option<GrpcStatus>,
    /// How long all of it may take, where the server is to be told.
    timeout: Option<Duration>,
    /// The Content-Type that the server is told, where gRPC-Web is translated for it.
    pub translated_type: Option<Vec<u8>>,
}

impl Call {
    /// The call that a request is, if it is one.
    pub fn of(request: &RequestHead) -> Option<Self> {
        Self::of_type(request.head.get(Known::ContentType)?)
    }

    /// The call that a request with this Content-Type is.
    pub fn of_type(content_type: &[u8]) -> Option<Self> {
        let flavour = GrpcContentType::parse(content_type)?.flavour;
        Some(Self { flavour, status: None, timeout: None, translated_type: None })
    }
}

/// Starts the clock of a call: all of it has to be over by the time that the client gives it. Makes a call of gRPC-Web
/// one of gRPC, where the route wants that.
///
/// # Errors
///
/// The time that the client gives is malformed.
pub(super) fn begin(client: &Client, exchange: &mut Exchange, route: &Route) -> Result<(), Failure> {
    let Some(call) = &mut exchange.call else { return Ok(()) };
    let head = &mut exchange.request.head;
    call.timeout = shortest_timeout(head)?;
    if let Some(timeout) = call.timeout {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        client.slot.limit(client.slot.after(timeout_ms));
    }
    if call.flavour != GrpcFlavour::Grpc && route.grpc_web && exchange.to_stream {
        call.translated_type = take_content_type(head, GrpcFlavour::Grpc);
    }
    Ok(())
}

/// The time that a call may take; of several, whichever a server goes by, the call has no more than the shortest.
fn shortest_timeout(head: &Head) -> Result<Option<Duration>, Failure> {
    let malformed = End::new(EndReason::BadRequest, Stage::Admit).with_detail("a malformed grpc-timeout");
    let mut fields = head.fields().filter(|field| field.name.eq_ignore_ascii_case(TIMEOUT));
    fields.try_fold(None, |shortest: Option<Duration>, field| {
        let timeout = read_timeout(field.value).ok_or(Failure::known(malformed))?;
        Ok(Some(shortest.map_or(timeout, |shortest| shortest.min(timeout))))
    })
}

/// Takes the time out of the head, since it is less for every further attempt. Where the route has removed it, the server
/// is told nothing.
pub(super) fn take_timeout(exchange: &mut Exchange) {
    let Some(call) = &mut exchange.call else { return };
    let head = &mut exchange.request.head;
    call.timeout = call.timeout.filter(|_| head.find(TIMEOUT).is_some());
    head.remove_named(TIMEOUT);
}

/// Tells the server how much of the time is left.
pub(super) fn write_time_left(out: &mut Vec<u8>, worker: &Worker, exchange: &Exchange) {
    let Some(timeout) = exchange.call.as_ref().and_then(|call| call.timeout) else { return };
    let passed = worker.shared.clock.now_us().saturating_sub(exchange.times.started);
    out.extend_from_slice(b"grpc-timeout: ");
    write_timeout(timeout.saturating_sub(Duration::from_micros(passed)), out);
    out.extend_from_slice(b"\r\n");
}

/// What translates the body of a request.
pub(super) fn request_translation(call: Option<&Call>) -> Option<Translation> {
    let call = call.filter(|call| call.translated_type.is_some())?;
    Some(Translation::to_server(call.flavour))
}

/// What translates the body of an answer to a call, with the Content-Type that the client is told.
pub(super) fn response_translation(call: Option<&Call>, head: &mut Head) -> Option<(Translation, Vec<u8>)> {
    let call = call.filter(|call| call.translated_type.is_some())?;
    let content_type = take_content_type(head, call.flavour)?;
    Some((Translation::to_client(call.flavour), content_type))
}

/// Takes out what does not hold in another form, and returns the Content-Type in that. What is not of gRPC stays.
fn take_content_type(head: &mut Head, flavour: GrpcFlavour) -> Option<Vec<u8>> {
    let content_type = GrpcContentType::parse(head.get(Known::ContentType)?)?;
    let mut translated = Vec::new();
    content_type.in_flavour(flavour).write(&mut translated);
    head.remove(Known::ContentType);
    head.remove(Known::ContentLength);
    Some(translated)
}

/// The failure of a call that takes longer than its client wants to wait.
pub(super) fn overdue(client: &Client, step: Step) -> Option<Failure> {
    if !client.slot.is_beyond_limit() {
        return None;
    }
    let stage = match step {
        Step::Pick => Stage::Pick,
        Step::Connect => Stage::Connect,
        Step::Send | Step::Respond => Stage::Send,
        Step::Relay => Stage::Relay,
        _ => return None,
    };
    Some(Failure::local(EndReason::DeadlineExceeded, stage))
}

/// Notes the status of a response that is no more than its head. What is no answer of gRPC has the status that clients
/// make of it.
pub(super) fn note_head(exchange: &mut Exchange, response: &ResponseHead) {
    let Some(call) = &mut exchange.call else { return };
    let content_type = response.head.get(Known::ContentType);
    let is_answer = response.status() == 200 && content_type.and_then(GrpcContentType::parse).is_some();
    let otherwise = (!is_answer).then(|| GrpcStatus::from_http(response.status()));
    call.status = status_in(&response.head).or(otherwise);
}

/// Notes the status behind a response that was passed on whole. A client that is told none takes it for an unknown one.
pub(super) fn note_trailers(exchange: &mut Exchange) {
    let Some(call) = &mut exchange.call else { return };
    let trailers = exchange.download.trailers();
    // Those of gRPC-Web are inside the body, which is only read where it is translated.
    let is_read = call.flavour == GrpcFlavour::Grpc || exchange.download.is_translated();
    if call.status.is_none() && is_read {
        call.status = trailers.and_then(status_in).or(Some(GrpcStatus::Unknown));
    }
}

/// Notes the status with which we end a call ourselves.
pub(super) fn note_end(exchange: &mut Exchange, end: End) {
    if let Some(call) = &mut exchange.call {
        call.status = Some(end.reset.map_or(GrpcStatus::from_end(end.reason), GrpcStatus::from_reset));
    }
}

/// Whether the server says that it cannot serve the call now, and nothing else.
pub(super) fn is_unavailable(exchange: &Exchange, head: &Head) -> bool {
    exchange.call.is_some() && exchange.head_is_all && status_in(head) == Some(GrpcStatus::Unavailable)
}

/// Whether the status of a call is for its server what a status from 500 on is for others. Those that a client brings
/// about by what it asks for, an unknown method or too short a deadline, are not.
pub(super) fn is_server_error(exchange: &Exchange) -> bool {
    let status = exchange.call.as_ref().and_then(|call| call.status);
    matches!(
        status,
        Some(GrpcStatus::Unknown | GrpcStatus::Internal | GrpcStatus::Unavailable | GrpcStatus::DataLoss)
    )
}

/// Ends a call whose response has begun with trailers that say why, if that is possible.
pub(super) fn end_with_trailers(client: &mut Client, exchange: &Exchange) -> bool {
    let Some(call) = exchange.call.as_ref().filter(|call| call.flavour == GrpcFlavour::Grpc) else {
        return false;
    };
    let mut section = Vec::new();
    write_status(&mut section, call, exchange.end.reason, exchange.end.detail);
    section.extend_from_slice(b"\r\n");
    let mut decoder = BodyDecoder::new(BodyFraming::Stream, &client.listener.body_limits);
    let tells = client.link.is_stream() && decoder.end_with_trailers(&section).is_ok();
    if tells {
        client.link.finish(decoder.trailers());
    }
    tells
}

/// Appends the fields that tell a client how its call ended.
pub(crate) fn write_status(out: &mut Vec<u8>, call: &Call, reason: EndReason, detail: &str) {
    let status = call.status.unwrap_or(GrpcStatus::Unknown);
    out.extend_from_slice(b"grpc-status: ");
    out.extend_from_slice(itoa::Buffer::new().format(status.code()).as_bytes());
    out.extend_from_slice(b"\r\ngrpc-message: ");
    write_message(reason.cause(), out);
    if !detail.is_empty() {
        write_message(&format!(" ({detail})"), out);
    }
    out.extend_from_slice(b"\r\n");
}

fn status_in(head: &Head) -> Option<GrpcStatus> {
    head.find(STATUS).map(GrpcStatus::parse)
}
