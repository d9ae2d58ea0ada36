//! One HTTP check: a request on a connection of its own, and a look at the response.

use ropeway_core::health::{Expectation, Mismatch};
use ropeway_core::http1::{BodyDecoder, BodyLimits, HeadLimits, Method, Progress, ResponseHead};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::connection::Connection;
use super::http2::{self, MOST_BODY};

/// How many informational responses may come before the final one.
const MOST_INFORMATIONAL: usize = 8;

/// What is sent, and what is expected back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// The method, such as `GET` or `HEAD`.
    pub method: String,
    /// The request target in origin-form.
    pub path: String,
    /// The Host field; `None` sends the server's address.
    pub host: Option<String>,
    /// Further fields.
    pub headers: Vec<(String, String)>,
    /// The response that passes.
    pub expected: Expectation,
}

impl HttpCheck {
    /// Sends the request by HTTP/1.1 and judges the response. Answers what was seen; the error says in words what is
    /// wrong.
    pub(super) async fn run<S>(&self, stream: &mut S, authority: &str) -> Result<String, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let request = self.request(authority);
        stream.write_all(&request).await.map_err(|error| format!("sending the request: {error}"))?;
        let mut response = Response::new(stream);
        response.read_final_head().await?;
        let status = response.head.status();
        let body = if self.needs_body_of(status) {
            response.read_body(self.known_method()).await?
        } else {
            Vec::new()
        };
        self.judge(status, &body)
    }

    /// As [`Self::run`], by HTTP/2.
    pub(super) async fn run_http2(
        &self,
        connection: &mut Connection,
        authority: &str,
    ) -> Result<String, String> {
        let host = host_or(self.host.as_deref(), authority);
        let target = (self.method.as_str(), self.path.as_str());
        let request = http2::request(connection, host, target, &self.headers).body(());
        let request = request.map_err(|error| http2::not_sendable(&error))?;
        let is_whole = |status| self.needs_body_of(status);
        let answer = http2::exchange(&mut connection.io, request, None, is_whole).await?;
        self.judge(answer.status, &answer.body)
    }

    fn judge(&self, status: u16, body: &[u8]) -> Result<String, String> {
        self.expected.judge(status, body).map_err(|mismatch| self.explain(mismatch))?;
        Ok(format!("status {status}"))
    }

    fn needs_body_of(&self, status: u16) -> bool {
        self.expected.needs_body() && self.expected.statuses.contains(status)
    }

    fn explain(&self, mismatch: Mismatch) -> String {
        match mismatch {
            Mismatch::Status(status) => format!("status {status}, expected {}", self.expected.statuses),
            Mismatch::Body => mismatch.to_string(),
        }
    }

    /// Only whether a response has a body depends on the method, and only for HEAD.
    fn known_method(&self) -> Method {
        if self.method == "HEAD" { Method::Head } else { Method::Get }
    }

    fn request(&self, authority: &str) -> Vec<u8> {
        let host = host_or(self.host.as_deref(), authority);
        let mut request = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.has("user-agent") {
            request.push_str("User-Agent: ropeway-check\r\n");
        }
        request.push_str("Connection: close\r\n\r\n");
        request.into_bytes()
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
    }
}

/// What a request is for: the configured host, else the server's address. A Unix socket has none that a request could
/// carry.
pub(super) fn host_or<'a>(configured: Option<&'a str>, authority: &'a str) -> &'a str {
    let of_server = if authority.starts_with("unix:") { "localhost" } else { authority };
    configured.unwrap_or(of_server)
}

/// A response as it comes in.
struct Response<'a, S> {
    stream: &'a mut S,
    /// Bytes that were received and not understood yet.
    received: Vec<u8>,
    head: ResponseHead,
}

impl<'a, S: AsyncRead + Unpin> Response<'a, S> {
    fn new(stream: &'a mut S) -> Self {
        Self { stream, received: Vec::with_capacity(4 * 1024), head: ResponseHead::new() }
    }

    async fn read_final_head(&mut self) -> Result<(), String> {
        for _ in 0..=MOST_INFORMATIONAL {
            self.read_head().await?;
            if !self.head.is_informational() {
                return Ok(());
            }
        }
        Err("too many informational responses".to_owned())
    }

    async fn read_head(&mut self) -> Result<(), String> {
        let limits = HeadLimits::default();
        loop {
            self.head.clear();
            let progress = self.head.parse(&self.received, &limits);
            match progress.map_err(|error| format!("malformed response: {}", error.detail()))? {
                Progress::Complete { consumed } => {
                    self.received.drain(..consumed);
                    return Ok(());
                }
                Progress::Partial if self.receive().await? == 0 => {
                    return Err("the connection was closed before the response".to_owned());
                }
                Progress::Partial => {}
            }
        }
    }

    /// Reads the body, or as much of it as is searched.
    async fn read_body(&mut self, method: Method) -> Result<Vec<u8>, String> {
        let malformed = |detail: &str| format!("malformed response: {detail}");
        let framing = self.head.framing_for(method).map_err(|error| malformed(error.detail()))?;
        let mut decoder = BodyDecoder::new(framing, &BodyLimits::default());
        let mut body = Vec::new();
        while !decoder.is_done() && body.len() < MOST_BODY {
            let decoded = decoder.decode(&self.received).map_err(|error| malformed(error.detail()))?;
            body.extend_from_slice(decoded.data);
            let (consumed, starved) = (decoded.consumed, decoded.data.is_empty() && !decoded.end);
            self.received.drain(..consumed);
            if starved && self.receive().await? == 0 {
                decoder.finish_at_eof().map_err(|error| malformed(error.detail()))?;
            }
        }
        body.truncate(MOST_BODY);
        Ok(body)
    }

    async fn receive(&mut self) -> Result<usize, String> {
        let read = self.stream.read_buf(&mut self.received).await;
        read.map_err(|error| format!("reading the response: {error}"))
    }
}
