//! The request on its way to the server.

use std::sync::Arc;
use std::task::{Context, Poll};

use ropeway_core::end::{EndReason, Stage};
use ropeway_core::http1::{BodyFraming, FieldRef, Known, Method, RequestHead, TRANSFER_ENCODING_CHUNKED};

use super::failure::Failure;
use super::state::Exchange;
use super::{grpc, request_id};
use crate::buffers::HEAD_READ;
use crate::connection::Client;
use crate::relay::PumpError;
use crate::snapshot::{FieldEdits, HostRewrite, Route};
use crate::tls::IDENTITY_FIELDS;
use crate::upstream::Server;
use crate::worker::{View, Worker};

/// What an authority is answered that looks whether this host is ours, and asks in the clear (RFC 8555 section 8.3).
#[inline]
pub(super) fn challenge(view: &View, client: &Client, request: &RequestHead) -> Option<Arc<str>> {
    let asks = matches!(request.method(), Method::Get | Method::Head) && !client.arrival.https;
    if asks { view.snapshot.challenges.http(request.path()) } else { None }
}

/// Checks that the request came the way that its host wants.
pub(super) fn check_arrival(client: &Client, request: &RequestHead) -> Result<(), Failure> {
    let refuse = |reason| Err(Failure::local(reason, Stage::Route));
    if client.listener.redirect_https && !client.arrival.https {
        // A client of HTTP/1.0 may name no host; then there is nowhere to send it.
        let named = !request.host().is_empty();
        return refuse(if named { EndReason::RedirectedToHttps } else { EndReason::BadHost });
    }
    let (Some(tls), Some(identity)) = (&client.listener.tls, client.tls) else { return Ok(()) };
    if tls.profiles.misdirects(identity.profile, request.host()) {
        return refuse(EndReason::Misdirected);
    }
    Ok(())
}

/// Checks what can be refused before a server is chosen.
pub(super) fn check(request: &RequestHead, route: &Route) -> Result<(), Failure> {
    let refuse = |reason| Err(Failure::local(reason, Stage::Admit));
    if request.method() == Method::Connect {
        return refuse(EndReason::MethodNotSupported);
    }
    match (max_forwards(request), request.method()) {
        (Some(0), Method::Trace) => return refuse(EndReason::MethodNotSupported),
        (Some(0), _) => return refuse(EndReason::LastRecipient),
        _ => {}
    }
    match (request.framing(), route.max_body) {
        (BodyFraming::Length(length), Some(most)) if length > most => refuse(EndReason::BodyTooLarge),
        _ => Ok(()),
    }
}

/// Takes out of the head what the server must not see. Done once; [`compose`] can then be repeated.
pub(super) fn prepare(view: &View, exchange: &mut Exchange, client: &Client, route: &Route) {
    let listener = &client.listener;
    let request = &mut exchange.request;
    exchange.wants_upgrade =
        !exchange.to_stream && request.upgrade().is_some_and(|protocols| !names_h2c(protocols));
    request.strip_hop_by_hop();
    listener.forwarding.strip(request, &client.arrival);
    if let Some(name) = &listener.request_id {
        let is_given = request_id::given(client, &request.head).is_some();
        request.head.remove_like(name, is_given);
    }
    if view.snapshot.identity_fields || listener.writes_identity() {
        let forged = request.head.fields().filter(|field| names_identity(field.name));
        let forged: Vec<Vec<u8>> = forged.map(|field| field.name.to_vec()).collect();
        for name in &forged {
            request.head.remove_named(name);
        }
    }
    if route.host != HostRewrite::Keep {
        request.head.remove(Known::Host);
    }
    remove(&mut request.head, &route.request_edits);
    exchange.forwards_left = max_forwards(request).map(|most| most.saturating_sub(1));
    if exchange.forwards_left.is_some() {
        request.head.remove_named(MAX_FORWARDS);
    }
    grpc::take_timeout(exchange);
}

const MAX_FORWARDS: &[u8] = b"Max-Forwards";

/// How often a request may be sent on, which it may say for two methods (RFC 9110, section 7.6.2).
fn max_forwards(request: &RequestHead) -> Option<u64> {
    if !matches!(request.method(), Method::Options | Method::Trace) {
        return None;
    }
    let digits = std::str::from_utf8(request.head.find(MAX_FORWARDS)?).ok()?;
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The largest head, by [`charge`], that shares a connection of HTTP/2. Beyond its limits nginx ends the connection
/// with all that is on it: by default 8 KiB for a field, 32 KiB for all of them. What we append to a field takes less than
/// is charged for those that every request has.
const LARGEST_SHARED: usize = 8 * 1024;

/// Whether there are servers of HTTP/2 that end the connection over such a request, and not only its stream: for its size,
/// or as nginx does for trailers, which have to be announced for that, unless these are said to take all trailers.
pub(super) fn risks_connection(request: &RequestHead, client: &Client, all_trailers: bool) -> bool {
    let announces = request.head.get(Known::Trailer).is_some() && request.framing() != BodyFraming::None;
    if announces && !all_trailers {
        return true;
    }
    let identity = client.identity.as_ref().filter(|_| client.listener.writes_identity());
    let fields = request.head.len() + 1;
    let at_most = request.head.bytes().len() + charge(b"", b"") * fields;
    if identity.is_none() && at_most <= LARGEST_SHARED {
        return false;
    }
    let theirs = request.head.fields().map(|FieldRef { name, value, .. }| charge(name, value));
    let ours = identity.into_iter().flat_map(|identity| identity.fields());
    let ours = ours.map(|(name, value)| charge(name, value.as_bytes()));
    let size = charge(b":path", request.target()) + theirs.chain(ours).sum::<usize>();
    size > LARGEST_SHARED
}

/// How large a server may find a field (RFC 9113, section 6.5.2).
fn charge(name: &[u8], value: &[u8]) -> usize {
    32 + name.len() + value.len()
}

/// Writes the request head for `server`.
pub(super) fn compose(
    out: &mut Vec<u8>,
    worker: &Worker,
    exchange: &Exchange,
    client: &Client,
    route: &Route,
    server: &Server,
) {
    let request = &exchange.request;
    let listener = &client.listener;
    request.write_request_line(out);
    write_host(out, request, route, server);
    request.head.write_fields(out);
    listener.forwarding.write(out, request, &client.arrival);
    if let Some(name) = &listener.request_id
        && request.head.find(name).is_none()
    {
        write_field(out, name, &exchange.id.hex());
    }
    if let Some(identity) = client.identity.as_ref().filter(|_| listener.writes_identity()) {
        for (name, value) in identity.fields() {
            write_field(out, name, value.as_bytes());
        }
    }
    if let Some(left) = exchange.forwards_left {
        write_field(out, MAX_FORWARDS, itoa::Buffer::new().format(left).as_bytes());
    }
    grpc::write_time_left(out, worker, exchange);
    let translated_type = exchange.call.as_ref().and_then(|call| call.translated_type.as_ref());
    if let Some(content_type) = translated_type {
        write_field(out, b"Content-Type", content_type);
    }
    if request.accepts_trailers() || translated_type.is_some() {
        out.extend_from_slice(b"TE: trailers\r\n");
    }
    if exchange.upload.sink() == BodyFraming::Chunked {
        out.extend_from_slice(TRANSFER_ENCODING_CHUNKED);
    }
    match (exchange.wants_upgrade, request.accepts_trailers()) {
        (true, _) => {
            write_field(out, b"Connection", b"upgrade");
            write_field(out, b"Upgrade", request.upgrade().unwrap_or_default());
        }
        (false, true) => write_field(out, b"Connection", b"TE"),
        (false, false) => {}
    }
    out.extend_from_slice(&route.request_edits.append);
    out.extend_from_slice(b"\r\n");
}

/// Reads what has arrived of a body by a stream, which does not come along with the head. Returns whether that is all.
pub(super) fn fetch_body(
    cx: &mut Context<'_>,
    worker: &Worker,
    client: &mut Client,
    exchange: &Exchange,
) -> Result<bool, Failure> {
    if !client.link.is_stream() || exchange.upload.is_done() {
        return Ok(false);
    }
    let input = &mut worker.scratch.borrow_mut().input;
    while !client.link.is_at_end() && client.link.inbox.len() < HEAD_READ {
        let space = input.get_mut(..HEAD_READ).unwrap_or_default();
        match client.link.poll_read(cx, space) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(0)) => break,
            Poll::Ready(Ok(count)) => {
                client.link.inbox.append(input.get(..count).unwrap_or_default(), &worker.buffers);
            }
            Poll::Ready(Err(error)) => {
                return Err(Failure::of_client(&PumpError::Source(error), Stage::Send));
            }
        }
    }
    // Trailers are left to the pump, which also finds the end before them.
    Ok(client.link.is_at_end())
}

/// Whether a name is one of our fields of identity, in any spelling that a server may take for it.
fn names_identity(name: &[u8]) -> bool {
    let dash = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    let same = |ours: &&[u8]| ours.iter().map(u8::to_ascii_lowercase).eq(name.iter().map(dash));
    IDENTITY_FIELDS.iter().any(same)
}

/// Adds what has arrived of the body. If that is all of it, it also stays where it is, in case it has to be sent
/// again; `whole` says so of a body by a stream.
pub(super) fn add_body(
    out: &mut Vec<u8>,
    worker: &Worker,
    client: &mut Client,
    exchange: &mut Exchange,
    whole: bool,
) -> Result<(), Failure> {
    if exchange.upload.is_done() || (client.link.inbox.is_empty() && !whole) {
        return Ok(());
    }
    let encoded = exchange.upload.encode(client.link.inbox.as_slice(), out);
    let used = encoded.map_err(|error| Failure::of_client(&error, Stage::Send))?;
    if whole {
        exchange.upload.end_of_stream(None, out).map_err(|error| Failure::of_client(&error, Stage::Send))?;
    }
    if exchange.upload.is_done() {
        exchange.held = used;
    } else {
        exchange.upload.note_taken(client.link.inbox.as_slice().get(..used).unwrap_or_default());
        client.link.inbox.consume(used, &worker.buffers);
    }
    Ok(())
}

/// Takes out the fields that an edit names.
pub(super) fn remove(head: &mut ropeway_core::http1::Head, edits: &FieldEdits) {
    for name in &edits.remove {
        head.remove_named(name);
    }
}

/// Appends one field line.
pub(crate) fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes Host when the client's own field is not sent on as it is.
fn write_host(out: &mut Vec<u8>, request: &RequestHead, route: &Route, server: &Server) {
    let host = match &route.host {
        HostRewrite::Keep if request.head.get(Known::Host).is_some() => return,
        // A client of HTTP/1.0 need not send the field; HTTP/1.1 requires it (RFC 9112, section 3.2).
        HostRewrite::Keep if !request.authority().is_empty() => request.authority(),
        HostRewrite::Keep | HostRewrite::Server => server.host_field().as_bytes(),
        HostRewrite::Literal(host) => host,
    };
    write_field(out, b"Host", host);
}

/// Whether a list of protocols asks for cleartext HTTP/2, which would tunnel requests past every rule.
fn names_h2c(protocols: &[u8]) -> bool {
    protocols.split(|byte| *byte == b',').any(|name| name.trim_ascii().eq_ignore_ascii_case(b"h2c"))
}

#[cfg(test)]
mod tests {
    use super::names_identity;

    #[test]
    fn fields_of_identity_are_known_in_every_spelling() {
        for name in ["X-Client-Cert-Subject", "x_client_cert_subject", "X-CLIENT_Cert-SAN"] {
            assert!(names_identity(name.as_bytes()), "{name}");
        }
        assert!(!names_identity(b"X-Client-Cert"));
        assert!(!names_identity(b"X-Client-Cert-Subject2"));
    }
}
