//! HTTP/1 messages as a judge reads them: strictly, and independently of the proxy.

use std::io;

use crate::wire::{Body, Wire};

/// Fields in arrival order, with the case they came in.
pub type Fields = Vec<(String, String)>;

/// A request as an origin received it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The request target, byte for byte.
    pub target: String,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The fields.
    pub fields: Fields,
    /// The head as it came, with its last empty line.
    pub head: Vec<u8>,
    /// The body, without its framing.
    pub body: Body,
    /// On which connection it came, counted from 0.
    pub connection: usize,
}

/// A response as a client received it.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// The fields.
    pub fields: Fields,
    /// The head as it came, with its last empty line.
    pub head: Vec<u8>,
    /// The body, without its framing.
    pub body: Body,
}

impl Request {
    /// Reads one request: `None` when the connection ends before it begins.
    ///
    /// # Errors
    /// Those of the connection, `InvalidData` for anything malformed.
    pub fn read(wire: &mut Wire) -> io::Result<Option<Self>> {
        let Some(mut request) = Self::read_head(wire)? else { return Ok(None) };
        request.read_body(wire)?;
        Ok(Some(request))
    }

    /// Reads the head of a request and leaves its body.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_head(wire: &mut Wire) -> io::Result<Option<Self>> {
        let Some(head) = wire.until(b"\r\n\r\n")? else { return Ok(None) };
        let (line, fields) = split_head(&head)?;
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed(format!("request line {line:?}")));
        };
        check_version(version)?;
        Ok(Some(Self {
            method: method.into(),
            target: target.into(),
            version: version.into(),
            fields,
            head,
            body: Body::default(),
            connection: 0,
        }))
    }

    /// Reads the body that the head announced.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_body(&mut self, wire: &mut Wire) -> io::Result<()> {
        match framing(&self.fields)? {
            Framing::Chunked => wire.chunked(&mut self.body),
            Framing::Length(length) => read_length(wire, length, &mut self.body),
            Framing::Unspecified => Ok(()),
        }
    }

    /// The value of a field; several are joined with `, `.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        joined(&self.fields, name)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body.data).into_owned()
    }

    /// Fields without the given ones, in order, as `Name: value`.
    #[must_use]
    pub fn fields_without(&self, names: &[&str]) -> Vec<String> {
        let kept =
            self.fields.iter().filter(|(name, _)| !names.iter().any(|skip| skip.eq_ignore_ascii_case(name)));
        kept.map(|(name, value)| format!("{name}: {value}")).collect()
    }
}

impl Response {
    /// Reads the next final response to a request with `method`, and passes interim ones (1xx except 101) to `interim`.
    ///
    /// # Errors
    /// Those of the connection, `InvalidData` for anything malformed.
    pub fn read(wire: &mut Wire, method: &str, interim: &mut Vec<Self>) -> Result<Self, Broken> {
        loop {
            let mut response = Self::read_head(wire)?;
            if response.is_interim() {
                interim.push(response);
                continue;
            }
            return match response.read_body(wire, method) {
                Ok(()) => Ok(response),
                Err(error) => Err(Broken { response: Some(Box::new(response)), error }),
            };
        }
    }

    /// Reads one response head, interim or final.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_head(wire: &mut Wire) -> io::Result<Self> {
        let head = wire.until(b"\r\n\r\n")?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let (line, fields) = split_head(&head)?;
        let (version, rest) =
            line.split_once(' ').ok_or_else(|| malformed(format!("status line {line:?}")))?;
        check_version(version)?;
        let (code, reason) =
            rest.split_once(' ').ok_or_else(|| malformed(format!("status line {line:?}")))?;
        let status = code.parse().map_err(|_| malformed(format!("status line {line:?}")))?;
        Ok(Self {
            status,
            reason: reason.into(),
            version: version.into(),
            fields,
            head,
            body: Body::default(),
        })
    }

    fn is_interim(&self) -> bool {
        self.status / 100 == 1 && self.status != 101
    }

    fn read_body(&mut self, wire: &mut Wire, method: &str) -> io::Result<()> {
        if method == "HEAD" || matches!(self.status, 101 | 204 | 304) {
            return Ok(());
        }
        match framing(&self.fields)? {
            Framing::Chunked => wire.chunked(&mut self.body),
            Framing::Length(length) => read_length(wire, length, &mut self.body),
            Framing::Unspecified => {
                self.body.data = wire.to_end()?;
                Ok(())
            }
        }
    }

    /// Asserts the status.
    ///
    /// # Panics
    /// When it is another, with the whole response.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}{}", String::from_utf8_lossy(&self.head), self.text());
        self
    }

    /// Asserts the body.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn expect_body(self, body: &str) -> Self {
        assert_eq!(self.text(), body);
        self
    }

    /// The value of a field; several are joined with `, `.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        joined(&self.fields, name)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body.data).into_owned()
    }

    /// Whether the connection ends after this response, by the message alone.
    #[must_use]
    pub fn says_close(&self) -> bool {
        self.field("connection").is_some_and(|value| value.to_ascii_lowercase().contains("close"))
    }
}

/// A response that did not arrive whole.
#[derive(Debug)]
pub struct Broken {
    /// What arrived, when at least its head did.
    pub response: Option<Box<Response>>,
    /// How it broke off.
    pub error: io::Error,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self { response: None, error }
    }
}

enum Framing {
    Chunked,
    Length(usize),
    Unspecified,
}

/// RFC 9112 section 6.3 without any leniency: two ways to frame a body are an error.
fn framing(fields: &Fields) -> io::Result<Framing> {
    let lengths: Vec<&str> = values(fields, "content-length").collect();
    let codings: Vec<&str> = values(fields, "transfer-encoding").collect();
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(Framing::Unspecified),
        ([length], []) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|_| malformed(format!("Content-Length {length}")))
        }
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        other => Err(malformed(format!("ambiguous framing {other:?}"))),
    }
}

fn read_length(wire: &mut Wire, length: usize, body: &mut Body) -> io::Result<()> {
    while wire.pending().len() < length {
        if wire.fill()? == 0 {
            body.data = wire.exactly(wire.pending().len())?;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    body.data = wire.exactly(length)?;
    Ok(())
}

fn split_head(head: &[u8]) -> io::Result<(String, Fields)> {
    let end = crate::wire::find(head, b"\r\n").ok_or_else(|| malformed("no first line".into()))?;
    let line = String::from_utf8_lossy(&head[..end]).into_owned();
    let fields = parse_fields(&head[end + 2..]).map_err(malformed)?;
    Ok((line, fields))
}

/// Parses field lines up to the empty line.
///
/// # Errors
/// Says what is malformed (RFC 9112 section 5).
pub fn parse_fields(block: &[u8]) -> Result<Fields, String> {
    let mut fields = Vec::new();
    let block = block.strip_suffix(b"\r\n").ok_or("no empty line at the end")?;
    if block.is_empty() {
        return Ok(fields);
    }
    let block = block.strip_suffix(b"\r\n").ok_or("the last line does not end")?;
    for line in String::from_utf8_lossy(block).split("\r\n") {
        if line.contains(['\r', '\n', '\0']) {
            return Err(format!("control character in {line:?}"));
        }
        fields.push(parse_field(line)?);
    }
    Ok(fields)
}

fn parse_field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or_else(|| format!("no colon in {text:?}"))?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("field name {name:?}"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn check_version(version: &str) -> io::Result<()> {
    match version {
        "HTTP/1.1" | "HTTP/1.0" => Ok(()),
        other => Err(malformed(format!("version {other:?}"))),
    }
}

fn values<'a>(fields: &'a Fields, name: &'a str) -> impl Iterator<Item = &'a str> {
    fields.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn joined(fields: &Fields, name: &str) -> Option<String> {
    let found: Vec<&str> = values(fields, name).collect();
    (!found.is_empty()).then(|| found.join(", "))
}

fn malformed(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
