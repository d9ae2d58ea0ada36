//! One gRPC check: `grpc.health.v1.Health/Check`, as the gRPC health checking protocol has it.
//!
//! Its two messages are small enough to be written and read by hand:
//!
//! ```text
//! HealthCheckRequest  { string service = 1; }        0a LENGTH BYTES     nothing at all for ""
//! HealthCheckResponse { ServingStatus status = 1; }  08 STATUS           nothing at all for 0
//! ```
//!
//! Each travels behind five bytes: whether it is compressed (0), and its length in 32 bits, the highest first.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};

use super::connection::Connection;
use super::http::host_or;
use super::http2::{self, Answer};

/// The method that is called.
const METHOD: &str = "/grpc.health.v1.Health/Check";

/// The length of what stands before a message.
const PREFIX: usize = 5;

/// The number of the field `status` and its wire type, a varint.
const STATUS_TAG: u64 = 1 << 3;

/// `SERVING` of `ServingStatus`.
const SERVING: u64 = 1;

/// Which service is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcCheck {
    /// Its name; empty for the server as a whole.
    pub service: String,
    /// The `:authority`; `None` sends the server's address.
    pub host: Option<String>,
    /// Metadata.
    pub headers: Vec<(String, String)>,
}

impl GrpcCheck {
    /// Asks, and judges the answer. The server is told that it has to come within `limit`. The error says in words what
    /// is wrong.
    pub(super) async fn run(
        &self,
        connection: &mut Connection,
        authority: &str,
        limit: Duration,
    ) -> Result<String, String> {
        let host = host_or(self.host.as_deref(), authority);
        let request = http2::request(connection, host, ("POST", METHOD), &self.headers)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .header("grpc-timeout", format!("{}m", limit.as_millis()))
            .body(())
            .map_err(|error| http2::not_sendable(&error))?;
        let message = Some(request_message(&self.service));
        let answer = http2::exchange(&mut connection.io, request, message, |_| true).await?;
        judge(&answer).map(|()| "SERVING".to_owned())
    }
}

/// A HealthCheckRequest with its prefix.
fn request_message(service: &str) -> Bytes {
    let mut message = Vec::with_capacity(service.len() + 4);
    if !service.is_empty() {
        message.push(0x0a);
        put_varint(service.len() as u64, &mut message);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = Vec::with_capacity(PREFIX + message.len());
    framed.push(0);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&message);
    framed.into()
}

fn judge(answer: &Answer) -> Result<(), String> {
    if answer.status != 200 {
        return Err(format!("status {}, expected 200", answer.status));
    }
    // A response without messages may have everything in its head.
    let status = grpc_status(&answer.trailers).or_else(|| grpc_status(&answer.fields));
    match status {
        None => return Err("the response has no grpc-status".to_owned()),
        Some("0") => {}
        Some(code) => return Err(format!("grpc-status {code}{}", name_of_code(code))),
    }
    match serving_status(&answer.body) {
        Some(SERVING) => Ok(()),
        Some(status) => Err(name_of_status(status)),
        None => Err("malformed response: not a HealthCheckResponse".to_owned()),
    }
}

fn grpc_status(fields: &HeaderMap) -> Option<&str> {
    fields.get("grpc-status")?.to_str().ok()
}

/// The status in a HealthCheckResponse with its prefix; `None` if it is none.
fn serving_status(body: &[u8]) -> Option<u64> {
    let (prefix, message) = body.split_at_checked(PREFIX)?;
    let length = u32::from_be_bytes(prefix.get(1..)?.try_into().ok()?);
    if prefix.first() != Some(&0) || usize::try_from(length).ok() != Some(message.len()) {
        return None;
    }
    let mut rest = message;
    let mut status = 0;
    while !rest.is_empty() {
        let tag = take_varint(&mut rest)?;
        if tag == STATUS_TAG {
            status = take_varint(&mut rest)?;
        } else {
            skip_field(tag, &mut rest)?;
        }
    }
    Some(status)
}

/// Passes over a field of a later version of the message.
fn skip_field(tag: u64, rest: &mut &[u8]) -> Option<()> {
    let length = match tag & 7 {
        0 => return take_varint(rest).map(drop),
        1 => 8,
        2 => usize::try_from(take_varint(rest)?).ok()?,
        5 => 4,
        _ => return None,
    };
    *rest = rest.get(length..)?;
    Some(())
}

/// Seven bits to a byte, the lowest first; the highest bit says that another byte follows.
fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn name_of_status(status: u64) -> String {
    match status {
        0 => "UNKNOWN, expected SERVING".to_owned(),
        2 => "NOT_SERVING".to_owned(),
        3 => "SERVICE_UNKNOWN".to_owned(),
        other => format!("serving status {other}, expected SERVING"),
    }
}

/// What the codes mean that a health service has reason to answer.
fn name_of_code(code: &str) -> &'static str {
    match code {
        "4" => " (DEADLINE_EXCEEDED)",
        "5" => " (NOT_FOUND): the server does not know the service",
        "7" => " (PERMISSION_DENIED)",
        "12" => " (UNIMPLEMENTED): the server has no health service",
        "13" => " (INTERNAL)",
        "14" => " (UNAVAILABLE)",
        "16" => " (UNAUTHENTICATED)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_names_the_service() {
        assert_eq!(request_message(""), &[0, 0, 0, 0, 0][..]);
        assert_eq!(request_message("ab"), &[0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b'][..]);
        let long = request_message(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 0x2f, 0x0a, 0xac, 0x02], "300 is ac 02 as a varint");
    }

    #[test]
    fn the_status_is_read_whatever_stands_beside_it() {
        let framed = |message: &[u8]| [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()], message].concat();
        let read = |message: &[u8]| serving_status(&framed(message));
        assert_eq!(read(&[0x08, 1]), Some(1));
        assert_eq!(read(&[0x08, 2]), Some(2));
        assert_eq!(read(&[]), Some(0), "absent is 0");
        assert_eq!(read(&[0x12, 2, 9, 9, 0x08, 1]), Some(1), "bytes in between");
        assert_eq!(read(&[0x18, 0x96, 0x01, 0x08, 1]), Some(1), "a varint in between");
        assert_eq!(
            read(&[0x21, 1, 2, 3, 4, 5, 6, 7, 8, 0x2d, 1, 2, 3, 4, 0x08, 1]),
            Some(1),
            "fixed lengths"
        );
        assert_eq!(read(&[0x08, 2, 0x08, 1]), Some(1), "the last one counts");
    }

    #[test]
    fn what_is_no_response_is_refused() {
        for body in [
            &[][..],
            &[0, 0, 0, 0],
            &[1, 0, 0, 0, 2, 0x08, 1],
            &[0, 0, 0, 0, 3, 0x08, 1],
            &[0, 0, 0, 0, 1, 0x08, 1],
            &[0, 0, 0, 0, 1, 0x08],
            &[0, 0, 0, 0, 2, 0x08, 0x80],
            &[0, 0, 0, 0, 2, 0x12, 9],
            &[0, 0, 0, 0, 1, 0x0b],
            &[0, 0, 0, 0, 12, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ] {
            assert_eq!(serving_status(body), None, "{body:x?}");
        }
    }
}
