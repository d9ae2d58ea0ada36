//! Request heads (RFC 9112 3).

use std::mem::MaybeUninit;

use super::authority::Authority;
use super::connection::ConnectionOptions;
use super::error::{RequestError, lexer_detail};
use super::framing::{self, BodyFraming};
use super::grammar::{is_ows, list_elements};
use super::head::{Head, Span};
use super::known::Known;
use super::limits::{HeadLimits, MAX_FIELDS, Progress};
use super::method::{Method, Version};
use super::target::{Target, TargetForm};

/// A request head: what was received, what it means, and how it is sent on.
///
/// Meant to be used again for every request of a worker: once its memory has grown to the size of the traffic,
/// reading and writing allocate nothing.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// The fields, and the bytes that everything below points into.
    pub head: Head,
    method: Method,
    method_name: Span,
    target: Span,
    target_parts: Target,
    version: Version,
    authority: Span,
    host: Span,
    port: Option<u16>,
    framing: BodyFraming,
    connection: ConnectionOptions,
    expects_continue: bool,
    accepts_trailers: bool,
    by_stream: bool,
}

impl RequestHead {
    /// An empty head. Allocates nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the request, but keeps the memory.
    pub fn clear(&mut self) {
        let mut head = std::mem::take(&mut self.head);
        head.clear();
        *self = Self { head, ..Self::default() };
    }

    /// Reads a head from the start of `input`. Empty lines before it are skipped (RFC 9112 2.2).
    ///
    /// A partial head is refused as soon as it cannot become a valid one by its grammar; rules on fields are judged
    /// once it is complete. Use [`HeadScan`](super::HeadScan) while a head trickles in, so that it is read once.
    /// After an error, [`method_bytes`](Self::method_bytes) and [`target`](Self::target) hold what was understood, for
    /// the log, and [`head`](Self::head) the fields, if all of them were; nothing else has a meaning.
    ///
    /// # Errors
    /// Why the request is refused. The connection cannot be used any further, since where the next request would
    /// start is not known.
    pub fn parse(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Progress, RequestError> {
        self.clear();
        let input = input.get(..limits.head_bytes).unwrap_or(input);
        let skipped = empty_lines(input);
        let rest = input.get(skipped..).unwrap_or_default();
        match rest {
            [] | [b'\r'] => return incomplete(input, rest, limits),
            [b'\r' | b'\n', ..] => return Err(RequestError::Malformed("a line that does not end in CRLF")),
            _ => {}
        }
        let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let room = room.get_mut(..limits.fields.min(MAX_FIELDS)).unwrap_or_default();
        let mut lexed = httparse::Request::new(&mut []);
        match lexed.parse_with_uninit_headers(rest, room) {
            Ok(httparse::Status::Complete(len)) => {
                self.accept(rest.get(..len).unwrap_or_default(), &lexed, limits)?;
                Ok(Progress::Complete { consumed: skipped + len })
            }
            Ok(httparse::Status::Partial) => incomplete(input, rest, limits),
            Err(httparse::Error::Version) => self.judge_version(input, rest, limits),
            Err(httparse::Error::TooManyHeaders) => Err(RequestError::HeadTooLarge),
            Err(error) => Err(RequestError::Malformed(lexer_detail(error))),
        }
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The method as received.
    #[must_use]
    pub fn method_bytes(&self) -> &[u8] {
        self.method_name.of(self.head.arena())
    }

    /// The request target as received.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.target.of(self.head.arena())
    }

    /// The form of the request target.
    #[must_use]
    pub const fn target_form(&self) -> TargetForm {
        self.target_parts.form
    }

    /// The path as received, without the query: just what the server will get. `/` when an absolute-form target has
    /// none, `*` for the asterisk form (and for OPTIONS of an absolute form with neither path nor query, RFC 9112
    /// 3.2.4), empty for the authority form.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        if !self.target_parts.path.is_empty() {
            return self.target_parts.path.of(self.head.arena());
        }
        match self.target_parts.form {
            TargetForm::Absolute if self.method == Method::Options && self.target_parts.query.is_none() => {
                b"*"
            }
            TargetForm::Absolute => b"/",
            TargetForm::Origin | TargetForm::Asterisk | TargetForm::Authority => b"",
        }
    }

    /// The query without its question mark; `None` when there is no question mark.
    #[must_use]
    pub fn query(&self) -> Option<&[u8]> {
        self.target_parts.query.map(|query| query.of(self.head.arena()))
    }

    /// The host for routing: lower case, without port and trailing dot, brackets of an IPv6 address included. Empty
    /// when an HTTP/1.0 request names none.
    #[must_use]
    pub fn host(&self) -> &[u8] {
        self.host.of(self.head.arena())
    }

    /// The authority as received: of the target when that has one, else of the Host field, which
    /// [`Head::write_fields`] then writes with this value. Empty when an HTTP/1.0 request names none; whoever sends a
    /// request without a Host field on must add one (RFC 9112 3.2).
    #[must_use]
    pub fn authority(&self) -> &[u8] {
        self.authority.of(self.head.arena())
    }

    /// The port of the authority.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The version of the request.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// How the end of the body is found; never [`BodyFraming::UntilClose`].
    #[must_use]
    pub const fn framing(&self) -> BodyFraming {
        self.framing
    }

    /// Says that the request came by a stream of HTTP/2; `has_body` that a body follows, whose end the stream marks.
    pub fn came_by_stream(&mut self, has_body: bool) {
        self.by_stream = true;
        if has_body {
            self.framing = BodyFraming::Stream;
        }
    }

    /// The version that the request was received with, as Via names it (RFC 9110 7.6.3).
    #[must_use]
    pub const fn received_version(&self) -> &'static str {
        if self.by_stream { "2" } else { self.version.number() }
    }

    /// The announced length of the body.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        match framing::declared(&self.head, self.version) {
            Ok(Some(BodyFraming::Length(length))) => Some(length),
            _ => None,
        }
    }

    /// Whether the client lets the connection carry another request (RFC 9112 9.3).
    #[must_use]
    pub const fn keep_alive(&self) -> bool {
        self.connection.is_persistent(self.version)
    }

    /// Whether the client waits for 100 (Continue) before it sends the body (RFC 9110 10.1.1).
    #[must_use]
    pub const fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Whether the client reads trailers (RFC 9110 10.1.4).
    #[must_use]
    pub const fn accepts_trailers(&self) -> bool {
        self.accepts_trailers
    }

    /// The protocols that the client would like to change to (RFC 9110 7.8), as received; they can still be read once
    /// the field was stripped. `None` unless Connection lists `upgrade`, there is exactly one Upgrade field, the
    /// version is HTTP/1.1, and the request has no body. Any protocol is told, `h2c` included: which ones may pass is
    /// for the caller to decide.
    #[must_use]
    pub fn upgrade(&self) -> Option<&[u8]> {
        let usable = self.connection.upgrade
            && self.version == Version::Http11
            && matches!(self.framing, BodyFraming::None)
            && !self.head.is_repeated(Known::Upgrade);
        let value = self.head.first_value(Known::Upgrade).filter(|value| usable && !value.is_empty())?;
        Some(value.of(self.head.arena()))
    }

    /// Removes what is meant for this connection only: Connection and every field that it names (apart from Host and
    /// Content-Length), Keep-Alive, Proxy-Connection, TE, Transfer-Encoding and Upgrade (RFC 9110 7.6.1). What was read
    /// from them stays known. Whoever sends the request on adds its own.
    pub fn strip_hop_by_hop(&mut self) {
        self.head.remove_hop_by_hop();
    }

    /// Appends the request line for the server: method, target in origin form with path and query byte for byte as
    /// received, `HTTP/1.1`, CRLF (RFC 9112 3.2.1).
    pub fn write_request_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.method_bytes());
        out.push(b' ');
        match self.target_parts.form {
            TargetForm::Origin | TargetForm::Asterisk | TargetForm::Authority => {
                out.extend_from_slice(self.target());
            }
            TargetForm::Absolute => {
                out.extend_from_slice(self.path());
                if let Some(query) = self.query() {
                    out.push(b'?');
                    out.extend_from_slice(query);
                }
            }
        }
        out.extend_from_slice(b" HTTP/1.1\r\n");
    }

    /// Judges a head whose grammar the lexer found complete.
    fn accept(
        &mut self,
        received: &[u8],
        lexed: &httparse::Request<'_, '_>,
        limits: &HeadLimits,
    ) -> Result<(), RequestError> {
        let method = lexed.method.unwrap_or_default().as_bytes();
        let target_start = method.len() + 1;
        let target_end = target_start + lexed.path.unwrap_or_default().len();
        let line_end = target_end + " HTTP/1.x".len();
        self.method = Method::from_bytes(method);
        self.method_name = Span::new(0, method.len());
        self.target = Span::new(target_start, target_end);
        self.version = Version::from_minor(lexed.version);
        if target_end - target_start > limits.target_bytes {
            return Err(RequestError::TargetTooLong);
        }
        if received.get(line_end..line_end + 2) != Some(b"\r\n") {
            return Err(RequestError::Malformed("a line that does not end in CRLF"));
        }
        self.head.take(received, line_end + 2, lexed.headers).map_err(RequestError::Malformed)?;
        self.target_parts = Target::parse(received, self.target, self.method)?;
        self.interpret_fields()
    }

    fn interpret_fields(&mut self) -> Result<(), RequestError> {
        self.read_host()?;
        self.framing = framing::declared(&self.head, self.version)?.unwrap_or_default();
        self.connection = ConnectionOptions::read(&mut self.head).map_err(RequestError::Malformed)?;
        self.accepts_trailers = self.head.get_all(Known::Te).flat_map(list_elements).any(names_trailers);
        self.read_expectation()
    }

    /// RFC 9112 3.2: exactly one valid Host in HTTP/1.1; the authority of the target takes its place.
    fn read_host(&mut self) -> Result<(), RequestError> {
        let field = self.head.first_value(Known::Host);
        if self.head.is_repeated(Known::Host) {
            return Err(RequestError::BadHost("more than one Host"));
        }
        if field.is_none() && self.version == Version::Http11 {
            return Err(RequestError::BadHost("no Host"));
        }
        if let Some(field) = field {
            self.take_authority(field)?;
        }
        if matches!(self.target_parts.form, TargetForm::Absolute | TargetForm::Authority) {
            self.take_authority(self.target_parts.authority)?;
            if field.is_some_and(|field| field.of(self.head.arena()) != self.authority()) {
                self.head.replace_value(Known::Host, self.authority);
            }
        }
        Ok(())
    }

    fn take_authority(&mut self, span: Span) -> Result<(), RequestError> {
        let parsed = Authority::parse(span.of(self.head.arena())).map_err(RequestError::BadHost)?;
        let start = span.start as usize;
        let host = Span::new(start, start + parsed.host_len);
        self.host = if parsed.upper_case { self.head.append_lower_case(host) } else { host };
        self.authority = span;
        self.port = parsed.port;
        Ok(())
    }

    /// RFC 9110 10.1.1: one that is not 100-continue may be answered with 417. HTTP/1.0 has no expectations, so that
    /// of such a client must be ignored, and not come alive when we send the request on as HTTP/1.1.
    fn read_expectation(&mut self) -> Result<(), RequestError> {
        let Some(value) = self.head.get(Known::Expect) else { return Ok(()) };
        if self.version == Version::Http10 {
            self.head.remove(Known::Expect);
            return Ok(());
        }
        if self.head.is_repeated(Known::Expect) || !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(RequestError::UnsupportedExpectation);
        }
        self.expects_continue = true;
        Ok(())
    }

    /// Tells a version that we do not speak from one that nobody does, and from one that has not fully arrived.
    #[cold]
    fn judge_version(
        &self,
        input: &[u8],
        rest: &[u8],
        limits: &HeadLimits,
    ) -> Result<Progress, RequestError> {
        const PATTERN: &[u8; 8] = b"HTTP/9.9";
        let version = rest.splitn(3, |&byte| byte == b' ').nth(2).unwrap_or_default();
        let fits = |(&byte, &wanted): (&u8, &u8)| match wanted {
            b'9' => byte.is_ascii_digit(),
            _ => byte == wanted,
        };
        if !version.iter().zip(PATTERN).all(fits) {
            return Err(RequestError::Malformed("a malformed version"));
        }
        if version.len() < PATTERN.len() {
            return incomplete(input, rest, limits);
        }
        Err(RequestError::VersionNotSupported)
    }
}

/// More input is needed, unless the limit is reached already.
fn incomplete(input: &[u8], rest: &[u8], limits: &HeadLimits) -> Result<Progress, RequestError> {
    if input.len() < limits.head_bytes {
        return Ok(Progress::Partial);
    }
    let in_start_line = !rest.is_empty() && memchr::memchr(b'\n', rest).is_none();
    Err(if in_start_line { RequestError::TargetTooLong } else { RequestError::HeadTooLarge })
}

/// How many bytes of empty lines the input starts with.
fn empty_lines(input: &[u8]) -> usize {
    let mut rest = input;
    while let Some(after) = rest.strip_prefix(b"\r\n") {
        rest = after;
    }
    input.len() - rest.len()
}

/// Whether an element of TE is `trailers`; parameters have no meaning there.
fn names_trailers(element: &[u8]) -> bool {
    let name = element.split(|&byte| byte == b';' || is_ows(byte)).next();
    name.is_some_and(|name| name.eq_ignore_ascii_case(b"trailers"))
}

#[cfg(test)]
mod tests;
