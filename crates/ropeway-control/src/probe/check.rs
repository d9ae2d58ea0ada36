//! One check of one server.

use std::io;
use std::time::Duration;

use ropeway_core::health::ActiveConfig;
use ropeway_proxy::upstream::Endpoint;
use tokio::time::{Instant, timeout, timeout_at};

use super::http::HttpCheck;
use super::stream::Stream;

/// How the servers of an upstream are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is done.
    pub kind: CheckKind,
    /// The port to check instead of the server's own. Servers on Unix sockets have none, and are checked as they are.
    pub port: Option<u16>,
    /// How often, how long, and how many results in a row count.
    pub pace: ActiveConfig,
}

/// What a check does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// Opens a connection.
    Tcp,
    /// Opens a connection, sends a request and judges the response.
    Http(HttpCheck),
}

impl Check {
    /// Checks a server by its addresses, of which one has to pass, within the time-out. Answers what was seen; the
    /// error says in words why the check failed.
    pub(super) async fn run(&self, endpoints: &[Endpoint], authority: &str) -> Result<String, String> {
        let limit = Duration::from_millis(self.pace.timeout_ms);
        let deadline = Instant::now() + limit;
        let mut stream = match self.connect(endpoints, deadline).await {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(no_answer(limit)),
            Err(error) => return Err(describe(&error)),
        };
        match &self.kind {
            CheckKind::Tcp => Ok("connected".to_owned()),
            CheckKind::Http(http) => {
                let answer = timeout_at(deadline, http.run(&mut stream, authority)).await;
                answer.unwrap_or_else(|_| Err(no_answer(limit))).map(|status| format!("status {status}"))
            }
        }
    }

    /// Opens a connection to the first address that accepts one. Each gets an equal part of the time that is left, so
    /// that a silent one does not use up the time of the others.
    async fn connect(&self, endpoints: &[Endpoint], deadline: Instant) -> io::Result<Stream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
        for (index, endpoint) in endpoints.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let remaining = u32::try_from(endpoints.len() - index).unwrap_or(u32::MAX);
            match timeout(left / remaining, Stream::connect(endpoint, self.port)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }
}

fn no_answer(limit: Duration) -> String {
    format!("no answer within {limit:?}")
}

/// The words for a connection that failed, without the number that the system's own message ends with.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::NotFound => "no such address".to_owned(),
        io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
        _ => error.to_string(),
    }
}
