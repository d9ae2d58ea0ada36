//! Responses that the proxy makes itself.

use std::io::Write;
use std::time::SystemTime;

use httpdate::HttpDate;
use ropeway_core::end::EndReason;
use ropeway_core::http1::{RequestHead, reason_phrase};

use crate::connection::Client;
use crate::exchange::{Call, write_field, write_status};
use crate::snapshot::Listener;

/// How a response is given.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// Its body is JSON, and else plain text.
    pub json: bool,
    /// The client came by TLS.
    pub https: bool,
    /// The connection ends with it.
    pub close: bool,
}

/// Writes a complete response for an end into `out`.
///
/// The body is one sentence, as JSON or as plain text. The detail of
/// the end says more about a malformed request; it never repeats what the peer sent. For an authority that looks whether
/// a host is ours, it is the whole body.
pub(crate) fn write(
    out: &mut Vec<u8>,
    end: (EndReason, &str),
    request: Option<&RequestHead>,
    id: &[u8],
    listener: &Listener,
    Manner { json, https, close }: Manner,
) {
    let (reason, detail) = end;
    let body = body(reason, detail, id, json);
    let mut number = itoa::Buffer::new();
    let status = reason.status();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(number.format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    write_date(out);
    out.extend_from_slice(b"Content-Type: ");
    let kind: &[u8] = match (reason, json) {
        (EndReason::ChallengeAnswered, _) => b"application/octet-stream",
        (_, true) => b"application/json",
        (_, false) => b"text/plain; charset=utf-8",
    };
    out.extend_from_slice(kind);
    out.extend_from_slice(b"\r\nContent-Length: ");
    out.extend_from_slice(number.format(body.len()).as_bytes());
    out.extend_from_slice(b"\r\nCache-Control: no-store");
    if let Some(name) = &listener.request_id {
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(id);
    }
    if let Some(request) = request.filter(|_| reason == EndReason::RedirectedToHttps) {
        out.extend_from_slice(b"\r\nLocation: https://");
        out.extend_from_slice(request.host());
        // `*` is no path: the origin stands for it.
        out.extend_from_slice(Some(request.path()).filter(|path| *path != b"*").unwrap_or_default());
        if let Some(query) = request.query() {
            out.push(b'?');
            out.extend_from_slice(query);
        }
    }
    if let Some(line) = listener.hsts.as_deref().filter(|_| https).and_then(|line| line.strip_suffix(b"\r\n"))
    {
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(line);
    }
    if let Some(seconds) = retry_after(reason) {
        out.extend_from_slice(b"\r\nRetry-After: ");
        out.extend_from_slice(number.format(seconds).as_bytes());
    }
    if close {
        out.extend_from_slice(b"\r\nConnection: close");
    } else if request.is_some_and(|head| head.version() == ropeway_core::http1::Version::Http10) {
        out.extend_from_slice(b"\r\nConnection: keep-alive");
    }
    out.extend_from_slice(b"\r\n\r\n");
    let head_only = request.is_some_and(|head| head.method() == ropeway_core::http1::Method::Head);
    if !head_only {
        out.extend_from_slice(body.as_bytes());
    }
}

/// Writes a complete response for an end of a call: the status is in the head, and there is no body.
pub(crate) fn write_grpc(
    out: &mut Vec<u8>,
    (reason, detail): (EndReason, &str),
    call: &Call,
    id: &[u8],
    client: &Client,
    close: bool,
) {
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    write_date(out);
    write_field(out, b"Content-Type", call.flavour.media_type().as_bytes());
    write_status(out, call, reason, detail);
    if let Some(name) = &client.listener.request_id {
        write_field(out, name, id);
    }
    // Where the stream ends with the head, a length would be one field more.
    if !client.link.is_stream() {
        out.extend_from_slice(b"Content-Length: 0\r\n");
    }
    if close {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a Date field for now.
pub(crate) fn write_date(out: &mut Vec<u8>) {
    // Writing into a Vec does not fail.
    let _ = write!(out, "Date: {}\r\n", HttpDate::from(SystemTime::now()));
}

fn body(reason: EndReason, detail: &str, id: &[u8], json: bool) -> String {
    if reason == EndReason::ChallengeAnswered {
        return detail.to_owned();
    }
    let id = std::str::from_utf8(id).unwrap_or_default();
    let (status, name, cause) = (reason.status(), reason.name(), reason.cause());
    match (json, detail.is_empty()) {
        (true, true) => format!(
            "{{\"status\":{status},\"reason\":\"{name}\",\"message\":\"{cause}\",\"request_id\":\"{id}\"}}\n"
        ),
        (true, false) => format!(
            "{{\"status\":{status},\"reason\":\"{name}\",\"message\":\"{cause}\",\"detail\":\"{detail}\",\
             \"request_id\":\"{id}\"}}\n"
        ),
        (false, true) => format!("{status} {}: {cause}\nrequest {id}\n", reason_phrase(status)),
        (false, false) => {
            format!("{status} {}: {cause} ({detail})\nrequest {id}\n", reason_phrase(status))
        }
    }
}

/// Seconds after which trying again makes sense, for conditions that pass.
fn retry_after(reason: EndReason) -> Option<u32> {
    match reason {
        EndReason::RequestLimit
        | EndReason::ConnectionLimit
        | EndReason::ServersFull
        | EndReason::LocalResources
        | EndReason::Shutdown => Some(1),
        EndReason::NoServer | EndReason::ServerUnresolved => Some(5),
        _ => None,
    }
}
