//! Field blocks of messages that were composed as HTTP/1.1 text.

use std::error::Error;
use std::fmt;

use memchr::{memchr, memchr_iter};

use super::hpack::{Encoder, Keeping};
use crate::http1::{FieldRef, Known};

/// Names up to this length are put in lower case without memory of their own.
const SHORT_NAME: usize = 64;

/// A head that HTTP/2 has no form for. None that was composed by the rules is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untranslatable(pub &'static str);

impl fmt::Display for Untranslatable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Untranslatable {}

/// What there is to know of a request that was composed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// Its response has no content, whatever it announces.
    pub is_head: bool,
    /// It says that there will be trailers.
    pub announces_trailers: bool,
}

/// What a response is, besides its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it says.
    Plain,
    /// The answer to an extended CONNECT: 200 says that there is a tunnel (RFC 8441, section 5), and nothing else may look
    /// like that.
    ToTunnel,
}

/// Writes the field block of a response; says which status it has.
pub(super) fn response(
    text: &[u8],
    manner: Manner,
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
) -> Result<[u8; 3], Untranslatable> {
    let mut lines = lines(text);
    let line = lines.next().unwrap_or_default();
    let status = line.get(9..).and_then(<[u8]>::first_chunk::<3>).ok_or(Untranslatable("no status"))?;
    let status = match (manner, status) {
        (Manner::ToTunnel, b"101") => b"200",
        (Manner::ToTunnel, [b'2', ..]) => b"502",
        (_, status) => status,
    };
    encoder.begin(out);
    encoder.status(status, out);
    let hides = if manner == Manner::ToTunnel { &b"sec-websocket-accept"[..] } else { b"" };
    fields(lines, |name, known, value| {
        if !name.eq_ignore_ascii_case(hides) {
            let keeping = if known == Known::SetCookie { Keeping::Never } else { Keeping::Adaptive };
            field(name, known, value, keeping, encoder, out);
        }
    });
    Ok(*status)
}

/// Writes the field block of a request.
pub(super) fn request(
    text: &[u8],
    scheme: &[u8],
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
) -> Result<Request, Untranslatable> {
    let mut lines = lines(text);
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(Untranslatable("no request line"));
    };
    let host = lines.clone().find_map(|line| {
        let (name, value) = split(line);
        name.eq_ignore_ascii_case(b"host").then_some(value)
    });
    let host = host.ok_or(Untranslatable("no Host"))?;
    if !is_carried(target) {
        return Err(Untranslatable("a request target that HTTP/2 cannot carry"));
    }
    encoder.begin(out);
    encoder.field(b":method", method, Keeping::Adaptive, out);
    encoder.field(b":scheme", scheme, Keeping::Adaptive, out);
    encoder.field(b":authority", host, Keeping::Adaptive, out);
    encoder.field(b":path", target, Keeping::Never, out);
    let mut known_of = Request { is_head: method == b"HEAD", announces_trailers: false };
    fields(lines, |name, known, value| {
        known_of.announces_trailers |= known == Known::Trailer;
        if known != Known::Host {
            field(name, known, value, keeping_of(name, known, value), encoder, out);
        }
    });
    Ok(known_of)
}

/// Whether servers of HTTP/2 take a target. RFC 9113, section 8.3.1, takes it from RFC 3986, and HTTP/1.1 is sent more than
/// that by many; so some servers are as tolerant as this, and reset a stream over anything else, for which they are not to
/// be blamed.
fn is_carried(target: &[u8]) -> bool {
    let path = memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at_checked(path).unwrap_or_default();
    // Without a way out, many bytes are looked at at once.
    let has = |part: &[u8], other: u8| {
        let is_wrong =
            |byte: u8| byte <= b' ' || byte == 0x7f || matches!(byte, b'<' | b'>') || byte == other;
        part.iter().fold(false, |found, byte| found | is_wrong(*byte))
    };
    !has(path, b'`') && !has(query, b'"') && (target.is_ascii() || std::str::from_utf8(target).is_ok())
}

/// Writes the field block of trailers.
pub(super) fn trailers<'a>(
    section: impl Iterator<Item = FieldRef<'a>>,
    is_request: bool,
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
) {
    encoder.begin(out);
    for FieldRef { name, value, known } in section {
        let keeping = if is_request { keeping_of(name, known, value) } else { Keeping::Adaptive };
        field(name, known, value, keeping, encoder, out);
    }
}

/// Fields of requests that may be in the tables of a connection to a server. What a client said otherwise is in no table of
/// a connection that it shares with others: by those it could find out what the others say (RFC 7541, section 7.1), and what
/// a server makes of an entry is the same for all who refer to it. What is known to all tells nobody anything.
fn keeping_of(name: &[u8], known: Known, value: &[u8]) -> Keeping {
    let is_everybodys = match known {
        Known::Te => value == b"trailers",
        Known::ContentType => matches!(value, b"application/grpc" | b"application/grpc+proto"),
        Known::XForwardedProto => matches!(value, b"http" | b"https"),
        Known::Other if name.starts_with(b"grpc-") => match name {
            b"grpc-encoding" => matches!(value, b"identity" | b"gzip"),
            b"grpc-accept-encoding" => matches!(value, b"gzip" | b"identity, deflate, gzip"),
            _ => false,
        },
        _ => false,
    };
    if is_everybodys { Keeping::Adaptive } else { Keeping::Never }
}

/// Hands on the fields that are not of HTTP/1.1 alone (RFC 9113, section 8.2.2).
#[inline]
fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>, mut take: impl FnMut(&'a [u8], Known, &'a [u8])) {
    let mut has_length = false;
    for line in lines {
        let (name, value) = split(line);
        let known = Known::from_name(name);
        match known {
            Known::Connection | Known::TransferEncoding | Known::Upgrade => continue,
            Known::KeepAlive | Known::ProxyConnection => continue,
            Known::Other if name.eq_ignore_ascii_case(b"http2-settings") => continue,
            Known::ContentLength if std::mem::replace(&mut has_length, true) => continue,
            _ => {}
        }
        take(name, known, value);
    }
}

/// Writes one field, its name in lower case.
#[inline]
fn field(
    name: &[u8],
    known: Known,
    value: &[u8],
    keeping: Keeping,
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
) {
    if known.name().len() == name.len() && !name.contains(&b'_') {
        return encoder.field(known.name(), value, keeping, out);
    }
    if !name.iter().any(u8::is_ascii_uppercase) {
        return encoder.field(name, value, keeping, out);
    }
    let mut space = [0; SHORT_NAME];
    match space.get_mut(..name.len()) {
        Some(lower) => {
            lower.copy_from_slice(name);
            lower.make_ascii_lowercase();
            encoder.field(lower, value, keeping, out);
        }
        None => encoder.field(&name.to_ascii_lowercase(), value, keeping, out),
    }
}

fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = memchr(b':', line).unwrap_or(line.len());
    let (name, value) = line.split_at_checked(colon).unwrap_or_default();
    (name, value.get(1..).unwrap_or_default().trim_ascii())
}

/// The lines of a head up to the empty one.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let mut start = 0;
    let lines = memchr_iter(b'\n', text).map(move |end| {
        let line = text.get(start..end).unwrap_or_default();
        start = end + 1;
        line.strip_suffix(b"\r").unwrap_or(line)
    });
    lines.take_while(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http2::hpack::Decoder;

    fn decoded(block: &[u8]) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut fields = Vec::new();
        Decoder::new(4096).decode(block, |field| fields.push((text(field.name), text(field.value)))).unwrap();
        fields
    }

    fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn response_of(text: &str, manner: Manner) -> Vec<(String, String)> {
        let mut out = Vec::new();
        response(text.as_bytes(), manner, &mut Encoder::new(true), &mut out).unwrap();
        decoded(&out)
    }

    #[test]
    fn fields_of_http1_are_left_out() {
        let text = "HTTP/1.1 200 OK\r\nConnection: close\r\nServer: a\r\nContent-Length: 1\r\nKeep-Alive: x\r\n\
            HTTP2-Settings: x\r\ncontent-length: 1\r\nProxy-Connection: x\r\nTransfer-Encoding: x\r\nUpgrade: x\r\n\r\n";
        let fields = response_of(text, Manner::Plain);
        assert_eq!(fields, pairs(&[(":status", "200"), ("server", "a"), ("content-length", "1")]));
    }

    #[test]
    fn a_name_with_underscores_stays_as_it_is() {
        let long = format!("X-{}", "Long".repeat(20));
        let text = format!("HTTP/1.1 200 OK\r\nX_Real_IP: a\r\nX-Real-IP: b\r\n{long}: c\r\n\r\n");
        let fields = response_of(&text, Manner::Plain);
        let long = long.to_lowercase();
        let expected = [(":status", "200"), ("x_real_ip", "a"), ("x-real-ip", "b"), (&long, "c")];
        assert_eq!(fields, pairs(&expected));
    }

    #[test]
    fn only_a_switch_is_a_tunnel() {
        let text =
            |status| format!("HTTP/1.1 {status} X\r\nSec-WebSocket-Accept: x\r\nupgrade: websocket\r\n\r\n");
        for (status, told) in [("101", "200"), ("200", "502"), ("404", "404")] {
            assert_eq!(response_of(&text(status), Manner::ToTunnel), pairs(&[(":status", told)]));
        }
    }

    #[test]
    fn a_request_begins_with_its_pseudo_header_fields() {
        let text = b"POST /a HTTP/1.1\r\nContent-Type: application/grpc\r\nHost: a:1\r\nTE: trailers\r\nX-Key: s\r\n\r\n";
        let (mut encoder, mut out) = (Encoder::new(false), Vec::new());
        assert_eq!(request(text, b"https", &mut encoder, &mut out), Ok(Request::default()));
        let expected = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "a:1"),
            (":path", "/a"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("x-key", "s"),
        ];
        assert_eq!(decoded(&out), pairs(&expected));
        let head = b"HEAD /a HTTP/1.1\r\nHost: a\r\nTrailer: x\r\n\r\n";
        let expected = Request { is_head: true, announces_trailers: true };
        assert_eq!(request(head, b"http", &mut encoder, &mut out), Ok(expected));
        assert!(request(b"GET /a HTTP/1.1\r\n\r\n", b"http", &mut encoder, &mut out).is_err());
        for target in ["/<", "/`", "/?<", "/?\"", "/\u{7f}"] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(request(text.as_bytes(), b"http", &mut encoder, &mut out).is_err(), "{target}");
        }
    }

    #[test]
    fn what_a_client_said_is_in_no_table() {
        let text = b"POST /secret HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\nx-key: hidden\r\n\
            content-length: 7\r\n\r\n";
        let mut encoder = Encoder::new(false);
        let mut blocks = [(); 4].map(|()| {
            let mut out = Vec::new();
            request(text, b"http", &mut encoder, &mut out).unwrap();
            out
        });
        let last = blocks.last_mut().unwrap();
        let says = |word: &[u8]| last.windows(word.len()).any(|window| window == word);
        assert!(says(b"/secret") && says(b"hidden") && !says(b"application/grpc"));
    }
}
