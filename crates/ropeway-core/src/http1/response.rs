//! Response heads (RFC 9112 4).

use std::mem::MaybeUninit;

use super::connection::ConnectionOptions;
use super::error::{ResponseError, lexer_detail};
use super::framing::{self, BodyFraming, FramingFault};
use super::grammar::{list_elements, trim_ows, write_decimal};
use super::head::{Head, Span};
use super::known::Known;
use super::limits::{HeadLimits, MAX_FIELDS, Progress};
use super::method::{Method, Version};

/// What the framing fields say, or what is wrong with them.
type Declared = Result<Option<BodyFraming>, FramingFault>;

/// A response head: what was received, what it means, and how it is sent on.
///
/// Meant to be used again for every response of a worker, like [`RequestHead`](super::RequestHead).
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The fields, and the bytes that everything below points into.
    pub head: Head,
    status: u16,
    reason: Span,
    version: Version,
    connection: ConnectionOptions,
    declared: Declared,
    by_stream: bool,
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self::new()
    }
}

impl ResponseHead {
    /// An empty head. Allocates nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            head: Head::new(),
            status: 0,
            reason: Span { start: 0, end: 0 },
            version: Version::Http11,
            connection: ConnectionOptions { close: false, keep_alive: false, upgrade: false },
            declared: Ok(None),
            by_stream: false,
        }
    }

    /// Forgets the response, but keeps the memory.
    pub fn clear(&mut self) {
        let mut head = std::mem::take(&mut self.head);
        head.clear();
        *self = Self { head, ..Self::default() };
    }

    /// Reads a head from the start of `input`. Nothing may come before it.
    ///
    /// A partial head is refused as soon as it cannot become a valid one by its grammar. The framing is judged by
    /// [`framing_for`](Self::framing_for). After an error nothing of this head has a meaning.
    ///
    /// # Errors
    /// Why the response is refused. The connection cannot be used any further.
    pub fn parse(&mut self, input: &[u8], limits: &HeadLimits) -> Result<Progress, ResponseError> {
        self.clear();
        let input = input.get(..limits.head_bytes).unwrap_or(input);
        // The lexer would skip empty lines; before a response nothing is allowed (RFC 9112 2.2 is for requests).
        if input.first().is_some_and(|&byte| byte != b'H') {
            return Err(ResponseError::Malformed("a response that does not start with HTTP/"));
        }
        let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let room = room.get_mut(..limits.fields.min(MAX_FIELDS)).unwrap_or_default();
        let mut lexed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut lexed, input, room) {
            Ok(httparse::Status::Complete(consumed)) => {
                self.accept(input.get(..consumed).unwrap_or_default(), &lexed)?;
                Ok(Progress::Complete { consumed })
            }
            Ok(httparse::Status::Partial) if input.len() < limits.head_bytes => Ok(Progress::Partial),
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                Err(ResponseError::HeadTooLarge)
            }
            Err(httparse::Error::Version) => Err(ResponseError::VersionNotSupported),
            Err(error) => Err(ResponseError::Malformed(lexer_detail(error))),
        }
    }

    /// The status code, 100 to 999.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase as received; may be empty.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        self.reason.of(self.head.arena())
    }

    /// The version of the response.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Whether another response to the same request follows: 1xx, 101 included (RFC 9110 15.2).
    #[must_use]
    pub const fn is_informational(&self) -> bool {
        self.status < 200
    }

    /// How the end of the body is found, for a response to a request with this method (RFC 9112 6.3).
    ///
    /// [`BodyFraming::None`] for HEAD, 1xx, 204, 304, and for 2xx to CONNECT (where a tunnel follows).
    ///
    /// # Errors
    /// The framing fields contradict each other or themselves, even where there is no body: a server that writes them
    /// so is one of whose next response we cannot find the start.
    pub fn framing_for(&self, request_method: Method) -> Result<BodyFraming, ResponseError> {
        let declared = self.declared?;
        let tunnel = matches!(request_method, Method::Connect) && self.status / 100 == 2;
        if matches!(request_method, Method::Head) || self.never_has_a_body() || self.status == 304 || tunnel {
            return Ok(BodyFraming::None);
        }
        Ok(declared.unwrap_or(BodyFraming::UntilClose))
    }

    /// Says that the response came by a stream of HTTP/2.
    pub fn came_by_stream(&mut self) {
        self.by_stream = true;
    }

    /// The version that the response was received with, as Via names it (RFC 9110 7.6.3).
    #[must_use]
    pub const fn received_version(&self) -> &'static str {
        if self.by_stream { "2" } else { self.version.number() }
    }

    /// The announced length of the body.
    #[must_use]
    pub const fn content_length(&self) -> Option<u64> {
        match self.declared {
            Ok(Some(BodyFraming::Length(length))) => Some(length),
            _ => None,
        }
    }

    /// Whether the fields announce content. A response without a body that does so (to HEAD, or 304) may be followed by it all
    /// the same, which nothing tells from the next response then.
    #[must_use]
    pub const fn announces_content(&self) -> bool {
        !matches!(self.declared, Ok(None | Some(BodyFraming::Length(0))))
    }

    /// Whether the server lets the connection carry another request (RFC 9112 9.3), as far as the fields tell; a
    /// body that ends with the connection rules it out, too.
    #[must_use]
    pub const fn keep_alive(&self) -> bool {
        self.connection.is_persistent(self.version)
    }

    /// How long the server says that it keeps the idle connection, in seconds: `Keep-Alive: timeout=N`.
    #[must_use]
    pub fn keep_alive_timeout(&self) -> Option<u32> {
        let value = self.head.first_value(Known::KeepAlive)?.of(self.head.arena());
        list_elements(value).find_map(timeout_parameter)
    }

    /// The protocol that the server changes to, in a 101 response (RFC 9110 15.2.2); it can still be read once the
    /// field was stripped.
    #[must_use]
    pub fn upgrade(&self) -> Option<&[u8]> {
        let value = self.head.first_value(Known::Upgrade)?.of(self.head.arena());
        (self.status == 101 && self.connection.upgrade && !value.is_empty()).then_some(value)
    }

    /// Removes what is meant for this connection only, as for requests; and Content-Length where a response never has
    /// a body (1xx and 204, RFC 9110 8.6).
    pub fn strip_hop_by_hop(&mut self) {
        self.head.remove_hop_by_hop();
        if self.never_has_a_body() {
            self.head.remove(Known::ContentLength);
        }
    }

    /// Appends the status line with our own version: `HTTP/1.1`, status, reason as received, CRLF.
    pub fn write_status_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        write_decimal(u64::from(self.status), out);
        out.push(b' ');
        out.extend_from_slice(self.reason());
        out.extend_from_slice(b"\r\n");
    }

    /// Judges a head whose grammar the lexer found complete.
    fn accept(&mut self, received: &[u8], lexed: &httparse::Response<'_, '_>) -> Result<(), ResponseError> {
        self.status = lexed.code.unwrap_or_default();
        self.version = Version::from_minor(lexed.version);
        if self.status < 100 {
            return Err(ResponseError::Malformed("a status below 100"));
        }
        let line_end = memchr::memchr(b'\n', received).unwrap_or_default();
        let line = received.get(..line_end).and_then(|line| line.strip_suffix(b"\r"));
        let line = line.ok_or(ResponseError::Malformed("a line that does not end in CRLF"))?;
        // The space before an absent reason is missing in some servers' responses; no reader mistakes it.
        self.reason = Span::new("HTTP/1.1 200 ".len().min(line.len()), line.len());
        self.head.take(received, line_end + 1, lexed.headers).map_err(ResponseError::Malformed)?;
        self.declared = framing::declared(&self.head, self.version);
        self.connection = ConnectionOptions::read(&mut self.head).map_err(ResponseError::Malformed)?;
        Ok(())
    }

    const fn never_has_a_body(&self) -> bool {
        self.status < 200 || self.status == 204
    }
}

/// The seconds in `timeout=N`.
fn timeout_parameter(parameter: &[u8]) -> Option<u32> {
    let equals = memchr::memchr(b'=', parameter)?;
    let (name, value) = parameter.split_at_checked(equals)?;
    if !trim_ows(name).eq_ignore_ascii_case(b"timeout") {
        return None;
    }
    let digits = trim_ows(value.strip_prefix(b"=")?);
    let plain = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}

#[cfg(test)]
mod tests;
