//! Heads between the types of the `h2` crate and HTTP/1.1 text.

use std::error::Error;
use std::fmt;
use std::io;

use bytes::Bytes;
use http::header::{self, COOKIE, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use memchr::{memchr, memchr_iter};
use ropeway_core::http1::{FieldRef, Head, Known, permitted_trailers};

/// A message that cannot be put in the other form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Untranslatable(pub &'static str);

impl fmt::Display for Untranslatable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Untranslatable {}

/// What it is in a head that was to be written that cannot be put in the other form.
pub(crate) fn untranslatable(error: &io::Error) -> Option<&'static str> {
    error.get_ref()?.downcast_ref().map(|what: &Untranslatable| what.0)
}

/// What [`charge`] takes for a byte at most.
pub(crate) const MOST_CHARGED: usize = 4;

/// How large servers may find a field: 32 bytes, as in RFC 9113, section 6.5.2, and what it says. Some go by what arrives,
/// and the `h2` crate writes all text in the codes of RFC 7541, appendix B, of which those of rare characters are long.
pub(crate) fn charge(name: &[u8], value: &[u8]) -> usize {
    let bytes = name.iter().chain(value);
    let written = bytes.map(|byte| match byte {
        b'!' | b'"' | b'#' | b'$' | b'\'' | b'(' | b')' | b'+' | b'<' | b'>' | b'?' | b'@' => 2,
        b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' | b'~' => 2,
        b'\t' | b'\\' => 3,
        b' '..=b'~' => 1,
        _ => MOST_CHARGED,
    });
    32 + written.sum::<usize>()
}

/// The protocol of an extended CONNECT that HTTP/1.1 has a handshake for (RFC 8441).
const WEBSOCKET: &str = "websocket";
/// Bytes that most heads fit in.
const HEAD_CAPACITY: usize = 512;
/// Fields that there is room for at first: as many as a head of this length has, at [`FIELD`] bytes each, but not more
/// than this, since there may be many requests.
const FIRST_FIELDS: usize = 24;
/// Bytes of a short field.
const FIELD: usize = 32;

/// Writes a request as HTTP/1.1. An extended CONNECT becomes the handshake of RFC 6455, with `key` as its nonce.
///
/// # Errors
///
/// The request names two hosts, or a protocol that HTTP/1.1 has no handshake for.
pub(super) fn write_request<T>(
    request: &Request<T>,
    protocol: Option<&str>,
    key: &str,
    out: &mut Vec<u8>,
) -> Result<(), Untranslatable> {
    let uri = request.uri();
    let authority = uri.authority().map(Authority::as_str).unwrap_or_default();
    let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
    let tunnel = request.method() == Method::CONNECT && protocol.is_none();
    // Without an authority the `h2` crate keeps no scheme either.
    if !authority.is_empty() && !tunnel && uri.scheme_str().is_none_or(str::is_empty) {
        return Err(Untranslatable("an empty :scheme"));
    }
    if request.headers().values().any(is_padded) {
        return Err(Untranslatable("a field value that begins or ends with a space"));
    }
    let (method, target) = match protocol {
        Some(_) => ("GET", path),
        None if tunnel => ("CONNECT", authority),
        None => (request.method().as_str(), path),
    };
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    write_host(request.headers(), authority, out)?;
    write_fields(request.headers(), out);
    match protocol {
        None => {}
        Some(WEBSOCKET) => {
            out.extend_from_slice(b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ");
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Some(_) => return Err(Untranslatable("an extended CONNECT for another protocol than websocket")),
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// A response as HTTP/1.1.
pub(super) fn response(response: &Response<()>) -> Bytes {
    let mut out = Vec::with_capacity(HEAD_CAPACITY);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(response.status().as_str().as_bytes());
    out.push(b' ');
    // HTTP/2 has none, and HTTP/1.1 may do without, but some clients cannot (RFC 9112, section 4).
    out.extend_from_slice(response.status().canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in response.headers() {
        write_field(name.as_str(), value.as_bytes(), &mut out);
    }
    out.extend_from_slice(b"\r\n");
    out.into()
}

/// Trailers as a section of HTTP/1.1.
pub(super) fn trailers(trailers: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in trailers {
        write_field(name.as_str(), value.as_bytes(), &mut out);
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Reads a request that we have written ourselves.
///
/// # Errors
///
/// The target or the authority is one that the `http` crate does not take.
pub(super) fn read_request(text: &[u8], https: bool) -> Result<Request<()>, Untranslatable> {
    let text = Bytes::copy_from_slice(text);
    let mut lines = lines(&text);
    let line = lines.next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request::new(());
    *request.headers_mut() = room_for_fields(&text);
    *request.version_mut() = Version::HTTP_2;
    *request.method_mut() =
        Method::from_bytes(method).map_err(|_| Untranslatable("a method that HTTP/2 cannot carry"))?;
    read_fields(lines, &text, request.headers_mut())?;
    keep_out_of_tables(request.headers_mut());
    let host = request.headers_mut().remove(HOST).ok_or(Untranslatable("no Host"))?;
    let authority = Authority::try_from(host.as_bytes())
        .map_err(|_| Untranslatable("a Host that HTTP/2 cannot carry"))?;
    let path = PathAndQuery::try_from(target)
        .map_err(|_| Untranslatable("a request target that HTTP/2 cannot carry"))?;
    let scheme = if https { Scheme::HTTPS } else { Scheme::HTTP };
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
    *request.uri_mut() = uri.map_err(|_| Untranslatable("a request target that HTTP/2 cannot carry"))?;
    Ok(request)
}

/// Reads a response that we have written ourselves.
///
/// # Errors
///
/// Only if it is none.
pub(super) fn read_response(text: &[u8]) -> Result<Response<()>, Untranslatable> {
    let text = Bytes::copy_from_slice(text);
    let mut lines = lines(&text);
    let line = lines.next().unwrap_or_default();
    let status = line.get(9..12).unwrap_or_default();
    let mut response = Response::new(());
    *response.headers_mut() = room_for_fields(&text);
    *response.status_mut() = StatusCode::from_bytes(status).map_err(|_| Untranslatable("a status"))?;
    *response.version_mut() = Version::HTTP_2;
    read_fields(lines, &text, response.headers_mut())?;
    Ok(response)
}

/// A map that the fields of a head of this length fit in, if they are short: growing one costs as much as filling it.
fn room_for_fields(text: &[u8]) -> HeaderMap {
    HeaderMap::with_capacity(FIRST_FIELDS.min(text.len() / FIELD))
}

/// Fields that most requests have. What is known to all tells nobody anything, and breaks no server.
const EVERYBODYS: [(&str, &[u8]); 9] = [
    ("te", b"trailers"),
    ("content-type", b"application/grpc"),
    ("content-type", b"application/grpc+proto"),
    ("grpc-encoding", b"identity"),
    ("grpc-encoding", b"gzip"),
    ("grpc-accept-encoding", b"gzip"),
    ("grpc-accept-encoding", b"identity, deflate, gzip"),
    ("x-forwarded-proto", b"http"),
    ("x-forwarded-proto", b"https"),
];

/// Marks what a client said, so that it is in no table of a connection that it shares with others: by those, it could
/// find out what the others say (RFC 7541, section 7.1), and what a server makes of an entry is the same for all who refer
/// to it. What was never to be indexed stays so.
pub(super) fn keep_out_of_tables(fields: &mut HeaderMap) {
    for (name, value) in fields {
        let is_everybodys = EVERYBODYS.contains(&(name.as_str(), value.as_bytes()));
        value.set_sensitive(!is_everybodys);
    }
}

/// The trailers that may be sent on.
pub(super) fn header_map(section: &Head) -> HeaderMap {
    let pair = |field: FieldRef<'_>| {
        let name = HeaderName::from_bytes(field.name).ok()?;
        Some((name, HeaderValue::from_bytes(field.value).ok()?))
    };
    permitted_trailers(section).filter_map(pair).collect()
}

/// RFC 9113, section 8.2.1.
fn is_padded(value: &HeaderValue) -> bool {
    let ends = [value.as_bytes().first(), value.as_bytes().last()];
    ends.into_iter().flatten().any(|byte| matches!(byte, b' ' | b'\t'))
}

/// RFC 9113, section 8.3.1: a Host field says the same as `:authority`, or takes its place.
fn write_host(headers: &HeaderMap, authority: &str, out: &mut Vec<u8>) -> Result<(), Untranslatable> {
    let mut fields = headers.get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(Untranslatable("more than one Host"));
    }
    let host = match field.map(HeaderValue::as_bytes) {
        Some(field) if authority.is_empty() => field,
        Some(field) if !field.eq_ignore_ascii_case(authority.as_bytes()) => {
            return Err(Untranslatable("a Host that differs from :authority"));
        }
        _ => authority.as_bytes(),
    };
    if !host.is_empty() {
        write_field("Host", host, out);
    }
    Ok(())
}

/// Writes the fields of a request; cookies as one field (RFC 9113, section 8.2.3).
fn write_fields(headers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in headers {
        if name != HOST && name != COOKIE {
            write_field(name.as_str(), value.as_bytes(), out);
        }
    }
    let mut cookies = headers.get_all(COOKIE).iter();
    if let Some(first) = cookies.next() {
        out.extend_from_slice(b"cookie: ");
        out.extend_from_slice(first.as_bytes());
        for cookie in cookies {
            out.extend_from_slice(b"; ");
            out.extend_from_slice(cookie.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn write_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The media type that a head of our own writing names.
pub(super) fn content_type(text: &[u8]) -> Option<&[u8]> {
    lines(text).find_map(|line| line.strip_prefix(b"content-type: "))
}

/// The lines of a head up to the empty one.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    let lines = memchr_iter(b'\n', text).map(move |end| {
        let line = text.get(start..end).unwrap_or_default();
        start = end + 1;
        line.strip_suffix(b"\r").unwrap_or(line)
    });
    lines.take_while(|line| !line.is_empty())
}

/// Reads field lines of `text`, without those that only HTTP/1.1 has (RFC 9113, section 8.2.2). The values share the
/// memory of the text.
fn read_fields<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    text: &Bytes,
    headers: &mut HeaderMap,
) -> Result<(), Untranslatable> {
    let mut has_length = false;
    for line in lines {
        let colon = memchr(b':', line).unwrap_or(line.len());
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        let known = Known::from_name(name);
        match known {
            Known::Connection | Known::TransferEncoding | Known::Upgrade => continue,
            Known::KeepAlive | Known::ProxyConnection => continue,
            Known::Other if name.eq_ignore_ascii_case(b"http2-settings") => continue,
            Known::ContentLength if std::mem::replace(&mut has_length, true) => continue,
            _ => {}
        }
        let name = match common_name(known, name) {
            Some(name) => name,
            None => HeaderName::from_bytes(name).map_err(|_| Untranslatable("a field name"))?,
        };
        let value = text.slice_ref(value.get(1..).unwrap_or_default().trim_ascii());
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| Untranslatable("a field value"))?;
        headers.append(name, value);
    }
    Ok(())
}

/// The name of a field that many messages have, so that it need not be looked at byte by byte, nor kept in memory. Of those
/// in which underscores mean the same, the common spelling only.
fn common_name(known: Known, spelt: &[u8]) -> Option<HeaderName> {
    Some(match known {
        Known::Accept => header::ACCEPT,
        Known::AcceptEncoding => header::ACCEPT_ENCODING,
        Known::CacheControl => header::CACHE_CONTROL,
        Known::ContentEncoding => header::CONTENT_ENCODING,
        Known::ContentLength => header::CONTENT_LENGTH,
        Known::ContentType => header::CONTENT_TYPE,
        Known::Cookie => header::COOKIE,
        Known::Date => header::DATE,
        Known::Expires => header::EXPIRES,
        Known::Host => header::HOST,
        Known::Referer => header::REFERER,
        Known::Server => header::SERVER,
        Known::SetCookie => header::SET_COOKIE,
        Known::Te => header::TE,
        Known::UserAgent => header::USER_AGENT,
        Known::Vary => header::VARY,
        Known::Via => header::VIA,
        _ if spelt.contains(&b'_') => return None,
        Known::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        Known::XForwardedHost => HeaderName::from_static("x-forwarded-host"),
        Known::XForwardedPort => HeaderName::from_static("x-forwarded-port"),
        Known::XForwardedProto => HeaderName::from_static("x-forwarded-proto"),
        Known::XRealIp => HeaderName::from_static("x-real-ip"),
        Known::XRequestId => HeaderName::from_static("x-request-id"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_said_is_in_no_table() {
        let text = b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\nte: trailers\r\n\
            grpc-timeout: 1S\r\nx-key: secret\r\n\r\n";
        let request = read_request(text, false).unwrap();
        let marked = |name: &str| request.headers().get(name).unwrap().is_sensitive();
        for name in ["grpc-timeout", "x-key"] {
            assert!(marked(name), "{name}");
        }
        for name in ["content-type", "te"] {
            assert!(!marked(name), "{name}");
        }
        let other = b"POST /a HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc; of=mine\r\n\r\n";
        assert!(read_request(other, false).unwrap().headers()["content-type"].is_sensitive());
    }

    #[test]
    fn common_names_are_what_they_stand_for() {
        for &known in Known::ALL {
            let name = common_name(known, known.name());
            assert!(name.is_none_or(|name| name.as_str().as_bytes() == known.name()), "{known:?}");
        }
    }

    #[test]
    fn a_name_with_underscores_stays_as_it_is() {
        let response = read_response(b"HTTP/1.1 200 OK\r\nX_Real_IP: a\r\nX-Real-IP: b\r\n\r\n").unwrap();
        let value = |name: &str| response.headers().get(name).map(HeaderValue::as_bytes);
        assert_eq!(value("x_real_ip"), Some(&b"a"[..]));
        assert_eq!(value("x-real-ip"), Some(&b"b"[..]));
    }

    #[test]
    fn fields_of_http1_are_left_out() {
        let text = b"HTTP/1.1 200 OK\r\nConnection: close\r\nserver: a\r\nContent-Length: 1\r\nKeep-Alive: x\r\n\
            HTTP2-Settings: x\r\ncontent-length: 1\r\nProxy-Connection: x\r\nTransfer-Encoding: x\r\nUpgrade: x\r\n\r\n";
        let response = read_response(text).unwrap();
        let names: Vec<&str> = response.headers().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["server", "content-length"]);
    }

    #[test]
    fn a_response_has_the_usual_phrase() {
        let text = |status: u16| {
            let mut head = Response::new(());
            *head.status_mut() = StatusCode::from_u16(status).unwrap();
            String::from_utf8(response(&head).to_vec()).unwrap()
        };
        assert_eq!(text(200), "HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(text(404), "HTTP/1.1 404 Not Found\r\n\r\n");
        assert_eq!(text(299), "HTTP/1.1 299 \r\n\r\n");
    }
}
