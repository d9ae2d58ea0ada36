//! Messages as HTTP/1.1 text: what a field block says (RFC 9113, section 8), for the one strict parser there is.

use super::hpack::Field;
use crate::http1::{Known, reason_phrase};
use crate::priority::Priority;

/// The nonce of a WebSocket handshake that we make of an extended CONNECT. It proves nothing (RFC 6455, section 10.3),
/// and nobody sees its answer.
const WEBSOCKET_FIELDS: &[u8] = b"Connection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: cm9wZXdheSBoMiBzdHJlYW0=\r\n";
/// The protocol of an extended CONNECT that HTTP/1.1 has a handshake for (RFC 8441).
const WEBSOCKET: &[u8] = b"websocket";
/// Bytes that are kept for the next message.
const KEPT: usize = 64 * 1024;

/// Memory in which heads are put together, one at a time. Connections of one thread share it.
#[derive(Debug, Default)]
pub struct Scratch {
    text: Vec<u8>,
    /// The values of pseudo-header fields, until the first line can be written.
    pseudo: Vec<u8>,
    /// Cookies, which come in any number of fields and leave in one (RFC 9113, section 8.2.3).
    cookies: Vec<u8>,
}

impl Scratch {
    /// The head, or the section of trailers, that was read last.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    fn clear(&mut self) {
        for part in [&mut self.text, &mut self.pseudo, &mut self.cookies] {
            part.clear();
            part.shrink_to(KEPT);
        }
    }
}

/// What a block is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Request,
    Response,
    Trailers,
}

/// What a block came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The text is complete.
    Good(Facts),
    /// RFC 9113, section 8.1.1.
    Malformed,
    /// It is longer than allowed, by this factor.
    TooLarge(usize),
}

/// What there is to know of a message besides its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The status of a response.
    pub status: u16,
    /// What content-length says.
    pub length: Option<u64>,
    /// The request is for a tunnel.
    pub is_tunnel: bool,
}

/// A message that is being read, field by field.
pub(super) struct Reading<'s> {
    scratch: &'s mut Scratch,
    part: Part,
    facts: Facts,
    pseudo: Pseudo,
    /// The first line is written.
    has_begun: bool,
    has_host: bool,
    is_malformed: bool,
    size: usize,
    most: usize,
    /// What counts instead of the field, if anything was said (RFC 9218, section 7).
    priority: Option<Priority>,
}

/// Where the values of pseudo-header fields lie.
#[derive(Clone, Copy, Debug, Default)]
struct Pseudo {
    method: Span,
    scheme: Span,
    authority: Span,
    path: Span,
    protocol: Span,
    status: Span,
}

/// A part of [`Scratch::pseudo`]; 0 to 0 is none.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: usize,
    end: usize,
    is_given: bool,
}

impl Span {
    fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start..self.end).unwrap_or_default()
    }
}

impl<'s> Reading<'s> {
    /// With a list of fields of at most `most` bytes, 32 charged for each.
    pub fn new(scratch: &'s mut Scratch, part: Part, most: u32, priority: Option<Priority>) -> Self {
        scratch.clear();
        Self {
            scratch,
            part,
            facts: Facts::default(),
            pseudo: Pseudo::default(),
            has_begun: part == Part::Trailers,
            has_host: false,
            is_malformed: false,
            size: 0,
            most: most as usize,
            priority,
        }
    }

    /// Takes the next field.
    #[inline]
    pub fn take(&mut self, field: &Field<'_>) {
        self.size += field.name.len() + field.value.len() + 32;
        if self.size > self.most || self.is_malformed {
            return;
        }
        self.is_malformed = !field.is_valid
            || match field.name {
                [b':', name @ ..] => self.take_pseudo(name, field.value).is_none(),
                _ => self.take_ordinary(field).is_none(),
            };
    }

    /// The text is in the scratch memory then.
    pub fn end(mut self) -> Outcome {
        if self.size > self.most {
            return Outcome::TooLarge(self.size / self.most.max(1));
        }
        if self.is_malformed || self.complete().is_none() {
            return Outcome::Malformed;
        }
        Outcome::Good(self.facts)
    }

    fn take_pseudo(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        if self.has_begun {
            return None;
        }
        let span = match (self.part, name) {
            (Part::Request, b"method") => &mut self.pseudo.method,
            (Part::Request, b"scheme") => &mut self.pseudo.scheme,
            (Part::Request, b"authority") => &mut self.pseudo.authority,
            (Part::Request, b"path") => &mut self.pseudo.path,
            (Part::Request, b"protocol") => &mut self.pseudo.protocol,
            (Part::Response, b"status") => &mut self.pseudo.status,
            _ => return None,
        };
        if span.is_given {
            return None;
        }
        let start = self.scratch.pseudo.len();
        self.scratch.pseudo.extend_from_slice(value);
        *span = Span { start, end: self.scratch.pseudo.len(), is_given: true };
        Some(())
    }

    fn take_ordinary(&mut self, field: &Field<'_>) -> Option<()> {
        if !self.has_begun {
            self.begin()?;
        }
        let Field { name, value, known, .. } = *field;
        match known {
            // RFC 9113, section 8.2.2.
            Known::Connection | Known::TransferEncoding | Known::Upgrade => return None,
            Known::KeepAlive | Known::ProxyConnection => return None,
            Known::Te if !value.eq_ignore_ascii_case(b"trailers") => return None,
            Known::Host if self.part == Part::Request => return self.take_host(value),
            Known::Cookie if self.part == Part::Request => {
                self.take_cookie(value);
                return Some(());
            }
            Known::Priority if self.priority.is_some() => return Some(()),
            // What follows is no content (RFC 9113, section 8.5).
            Known::ContentLength if self.facts.is_tunnel => return None,
            Known::ContentLength => self.take_length(value)?,
            _ => {}
        }
        self.write_field(name, value);
        Some(())
    }

    /// RFC 9113, section 8.3.1: a Host field says the same as `:authority`, or takes its place.
    fn take_host(&mut self, value: &[u8]) -> Option<()> {
        let authority = self.pseudo.authority.of(&self.scratch.pseudo);
        if std::mem::replace(&mut self.has_host, true) {
            return None;
        }
        if authority.is_empty() {
            self.write_field(b"Host", value);
            return Some(());
        }
        value.eq_ignore_ascii_case(authority).then_some(())
    }

    fn take_cookie(&mut self, value: &[u8]) {
        let cookies = &mut self.scratch.cookies;
        cookies.extend_from_slice(if cookies.is_empty() { b"cookie: " } else { b"; " });
        cookies.extend_from_slice(value);
    }

    /// RFC 9110, section 8.6.
    fn take_length(&mut self, value: &[u8]) -> Option<()> {
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let length = std::str::from_utf8(value).ok().filter(|_| is_number)?.parse().ok()?;
        if self.facts.length.is_some_and(|before| before != length) {
            return None;
        }
        self.facts.length = Some(length);
        Some(())
    }

    /// Writes the first line.
    fn begin(&mut self) -> Option<()> {
        self.has_begun = true;
        match self.part {
            Part::Request => self.begin_request(),
            Part::Response => self.begin_response(),
            Part::Trailers => Some(()),
        }
    }

    /// RFC 9113, sections 8.3.1 and 8.5, and RFC 8441, section 4.
    fn begin_request(&mut self) -> Option<()> {
        let Pseudo { method, scheme, authority, path, protocol, .. } = self.pseudo;
        let Scratch { text, pseudo, .. } = &mut *self.scratch;
        let (name, scheme_name, target) = (method.of(pseudo), scheme.of(pseudo), path.of(pseudo));
        let host = authority.of(pseudo);
        let is_connect = name == b"CONNECT";
        let is_plain_connect = is_connect && !protocol.is_given;
        let (name, target) = if is_plain_connect {
            (!scheme.is_given && !path.is_given && !host.is_empty()).then_some((name, host))?
        } else if protocol.is_given {
            let is_websocket = is_connect && protocol.of(pseudo) == WEBSOCKET && !host.is_empty();
            is_websocket.then_some((&b"GET"[..], target))?
        } else {
            (name, target)
        };
        let is_good = is_token(name) && is_target(target) && (is_plain_connect || is_scheme(scheme_name));
        let is_path = matches!(target, [b'/', ..] | b"*");
        if !is_good || !(is_path || is_plain_connect) || host.contains(&b' ') {
            return None;
        }
        for part in [name, b" ", target, b" HTTP/1.1\r\n"] {
            text.extend_from_slice(part);
        }
        if !host.is_empty() {
            for part in [b"Host: ", host, b"\r\n"] {
                text.extend_from_slice(part);
            }
        }
        self.facts.is_tunnel = protocol.is_given;
        Some(())
    }

    /// RFC 9113, section 8.3.2.
    fn begin_response(&mut self) -> Option<()> {
        let digits = self.pseudo.status.of(&self.scratch.pseudo);
        let [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] = digits else { return None };
        let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        // There is nothing to switch to (RFC 9113, section 8.6).
        if status == 101 {
            return None;
        }
        self.facts.status = status;
        // HTTP/2 has no phrase, and HTTP/1.1 may do without, but some clients cannot (RFC 9112, section 4).
        for part in [b"HTTP/1.1 ", digits, b" ", reason_phrase(status).as_bytes(), b"\r\n"] {
            self.scratch.text.extend_from_slice(part);
        }
        Some(())
    }

    /// Writes what can only be written at the end.
    fn complete(&mut self) -> Option<()> {
        if !self.has_begun {
            self.begin()?;
        }
        let Scratch { text, cookies, .. } = &mut *self.scratch;
        if !cookies.is_empty() {
            text.extend_from_slice(cookies);
            text.extend_from_slice(b"\r\n");
        }
        if self.facts.is_tunnel {
            text.extend_from_slice(WEBSOCKET_FIELDS);
        }
        if let Some(priority) = self.priority.filter(|priority| *priority != Priority::default()) {
            text.extend_from_slice(b"priority: ");
            priority.write(text);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"\r\n");
        Some(())
    }

    #[inline]
    fn write_field(&mut self, name: &[u8], value: &[u8]) {
        let text = &mut self.scratch.text;
        text.reserve(name.len() + value.len() + 4);
        text.extend_from_slice(name);
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_part)
}

/// What a request line can carry. A fragment is no part of a target (RFC 9113, section 8.3.1).
fn is_target(bytes: &[u8]) -> bool {
    // Without a way out, many bytes are looked at at once.
    let is_wrong = |byte: u8| byte <= b' ' || byte == 0x7f || byte == b'#';
    !bytes.is_empty() && !bytes.iter().fold(false, |found, byte| found | is_wrong(*byte))
}

/// RFC 3986, section 3.1.
fn is_scheme(bytes: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes.iter().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(part: Part, priority: Option<Priority>, fields: &[(&str, &str)]) -> Result<String, Outcome> {
        let mut scratch = Scratch::default();
        let mut reading = Reading::new(&mut scratch, part, 4096, priority);
        for (name, value) in fields {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            reading.take(&Field { name, value, known: Known::from_name(name), is_valid: true });
        }
        match reading.end() {
            Outcome::Good(_) => Ok(String::from_utf8(scratch.text).unwrap()),
            other => Err(other),
        }
    }

    const GET: [(&str, &str); 4] =
        [(":method", "GET"), (":scheme", "https"), (":path", "/a?b"), (":authority", "a.example")];

    fn request(more: &[(&str, &str)]) -> Result<String, Outcome> {
        read(Part::Request, None, &[&GET, more].concat())
    }

    #[test]
    fn a_request_becomes_text() {
        let text = request(&[("host", "A.example"), ("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]);
        let expected = "GET /a?b HTTP/1.1\r\nHost: a.example\r\nx: y\r\ncookie: a=1; b=2\r\n\r\n";
        assert_eq!(text.unwrap(), expected);
    }

    #[test]
    fn a_host_may_stand_for_the_authority_once() {
        let host = ("host", "b.example");
        let text = read(Part::Request, None, &[&GET[..3], &[host]].concat()).unwrap();
        assert_eq!(text, "GET /a?b HTTP/1.1\r\nHost: b.example\r\n\r\n");
        assert!(read(Part::Request, None, &[&GET[..3], &[host, host]].concat()).is_err());
        assert!(request(&[host]).is_err(), "it contradicts");
    }

    #[test]
    fn what_a_frame_said_of_priority_counts_instead_of_the_field() {
        let fields = [&GET[..], &[("priority", "u=7")]].concat();
        let urgent = Some(Priority { urgency: 1, incremental: true });
        let text = read(Part::Request, urgent, &fields).unwrap();
        assert_eq!(text, "GET /a?b HTTP/1.1\r\nHost: a.example\r\npriority: u=1, i\r\n\r\n");
        let text = read(Part::Request, Some(Priority::default()), &fields).unwrap();
        assert_eq!(text, "GET /a?b HTTP/1.1\r\nHost: a.example\r\n\r\n");
    }

    #[test]
    fn an_extended_connect_becomes_a_handshake() {
        let fields = [&GET[1..], &[(":method", "CONNECT"), (":protocol", "websocket")]].concat();
        let text = read(Part::Request, None, &fields).unwrap();
        assert!(
            text.starts_with("GET /a?b HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\n"),
            "{text}"
        );
        let other = [&GET[1..], &[(":method", "CONNECT"), (":protocol", "telepathy")]].concat();
        assert!(read(Part::Request, None, &other).is_err());
        assert!(read(Part::Request, None, &[&fields[..], &[("content-length", "1")]].concat()).is_err());
        let plain = [(":method", "CONNECT"), (":authority", "a:1")];
        assert_eq!(read(Part::Request, None, &plain).unwrap(), "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    }

    #[test]
    fn malformed_requests_are_found() {
        for field in
            [("connection", "x"), ("te", "gzip"), (":method", "GET"), (":x", ""), ("content-length", "+1")]
        {
            assert_eq!(request(&[field]), Err(Outcome::Malformed), "{field:?}");
        }
        for (at, value) in [(0, ""), (0, "G T"), (1, ""), (1, "ht tp"), (2, ""), (2, "/ x"), (2, "/#a")] {
            let mut fields = GET;
            fields[at].1 = value;
            assert_eq!(read(Part::Request, None, &fields), Err(Outcome::Malformed), "{fields:?}");
        }
        for missing in 0..3 {
            let mut fields = GET.to_vec();
            fields.remove(missing);
            assert_eq!(read(Part::Request, None, &fields), Err(Outcome::Malformed), "{fields:?}");
        }
        assert_eq!(request(&[("content-length", "1"), ("content-length", "2")]), Err(Outcome::Malformed));
    }

    #[test]
    fn a_list_has_a_limit() {
        let long = "v".repeat(5_000);
        assert_eq!(request(&[("x", &long)]), Err(Outcome::TooLarge(1)));
        assert_eq!(request(&[("x", &long), ("connection", "x"), ("x", &long)]), Err(Outcome::TooLarge(2)));
    }

    #[test]
    fn a_response_has_the_usual_phrase() {
        let text = |status: &str| read(Part::Response, None, &[(":status", status), ("server", "x")]);
        assert_eq!(text("200").unwrap(), "HTTP/1.1 200 OK\r\nserver: x\r\n\r\n");
        assert_eq!(text("404").unwrap(), "HTTP/1.1 404 Not Found\r\nserver: x\r\n\r\n");
        assert_eq!(text("299").unwrap(), "HTTP/1.1 299 \r\nserver: x\r\n\r\n");
        for status in ["101", "20", "2000", "099", "2x0", "", "99999999", "\u{ff}\u{ff}\u{ff}"] {
            assert_eq!(text(status), Err(Outcome::Malformed), "{status}");
        }
        assert!(read(Part::Response, None, &[("server", "x")]).is_err());
    }

    #[test]
    fn trailers_are_fields_alone() {
        assert_eq!(read(Part::Trailers, None, &[("x", "y")]).unwrap(), "x: y\r\n\r\n");
        for name in [":status", "connection"] {
            assert!(read(Part::Trailers, None, &[(name, "200")]).is_err(), "{name}");
        }
    }
}
