//! Talks to the admin listener of a running process.

mod http;
mod signals;
mod table;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

pub use signals::{signal_reload, signal_stop};
pub use table::status_table;

/// How long an answer may take that is made from memory.
const READING: Duration = Duration::from_secs(2);
/// How long it may take to make a change: a reload reads files and waits for first checks.
const CHANGING: Duration = Duration::from_secs(10);

/// The admin listener of a process.
#[derive(Clone, Copy, Debug)]
pub struct AdminClient {
    address: SocketAddr,
}

/// Why the admin listener did not do as it was asked.
#[derive(Debug)]
pub enum ClientError {
    /// It could not be asked.
    Unreachable {
        /// Where it was looked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody listens there, and says nothing.
    Silent {
        /// Where it was asked.
        address: SocketAddr,
        /// How long it was waited for.
        waited: Duration,
    },
    /// What answered does not seem to be an admin listener.
    Unintelligible {
        /// Where it was asked.
        address: SocketAddr,
    },
    /// It declined, for this reason.
    Refused {
        /// The status of the answer.
        status: u16,
        /// The reason, possibly in several lines.
        reason: String,
    },
}

impl fmt::Display for ClientError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { address, source } => write!(
                out,
                "no admin listener answers at {address}: {source}\n\
                 Is ropeway running? Name another address with --admin."
            ),
            Self::Silent { address, waited } => write!(
                out,
                "what listens at {address} does not answer within {waited:?}; it may not be the admin listener of \
                 ropeway\nName another address with --admin."
            ),
            Self::Unintelligible { address } => {
                write!(out, "what answers at {address} is not the admin listener of ropeway")
            }
            Self::Refused { reason, .. } => out.write_str(reason),
        }
    }
}

impl std::error::Error for ClientError {}

impl AdminClient {
    /// Asks at `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// The state of everything, as `docs/admin-api.md` describes it.
    ///
    /// # Errors
    /// When the listener does not answer.
    pub fn status(&self) -> Result<Value, ClientError> {
        self.ask("GET", "/status", None)
    }

    /// Reads the configuration again. Returns what changed, in words.
    ///
    /// # Errors
    /// When the listener does not answer, or the configuration is refused; then nothing changed.
    pub fn reload(&self) -> Result<String, ClientError> {
        let answer = self.ask("POST", "/api/reload", Some(&json!({})))?;
        let mut told = vec![answer["summary"].as_str().unwrap_or_default().to_owned()];
        told.extend(texts(&answer["needs_restart"]).map(|key| format!("`{key}` counts from the next start")));
        let warnings = answer["warnings"].as_array().into_iter().flatten();
        told.extend(
            warnings.filter_map(|warning| Some(format!("warning: {}", warning["message"].as_str()?))),
        );
        Ok(told.join("\n"))
    }

    /// Lets the process finish what it has, and end.
    ///
    /// # Errors
    /// When the listener does not answer.
    pub fn drain(&self) -> Result<(), ClientError> {
        self.ask("POST", "/api/drain", Some(&json!({}))).map(drop)
    }

    /// Sets the state of a server: `ready`, `drain` or `disabled`.
    ///
    /// # Errors
    /// When the listener does not answer, or knows no such server.
    pub fn set_server_state(&self, upstream: &str, server: &str, state: &str) -> Result<(), ClientError> {
        let path = format!("/api/upstreams/{}/servers/{}", encoded(upstream), encoded(server));
        self.ask("POST", &path, Some(&json!({ "state": state }))).map(drop)
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        let address = self.address;
        let body = body.map(Value::to_string);
        let patience = if body.is_some() { CHANGING } else { READING };
        let answer = http::ask(address, method, path, body.as_deref(), patience)
            .map_err(|source| match http::is_silence(&source) {
                true => ClientError::Silent { address, waited: patience },
                false => ClientError::Unreachable { address, source },
            })?
            .ok_or(ClientError::Unintelligible { address })?;
        let value: Value =
            serde_json::from_slice(&answer.body).map_err(|_| ClientError::Unintelligible { address })?;
        match answer.status {
            200..300 => Ok(value),
            status => Err(ClientError::Refused { status, reason: reason(&value) }),
        }
    }
}

fn reason(answer: &Value) -> String {
    let text = answer["detail"].as_str().or_else(|| answer["error"].as_str());
    text.unwrap_or("the admin listener declined and gave no reason").to_owned()
}

/// The texts of a list.
fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// A path segment (RFC 3986, section 3.3).
fn encoded(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                out.push(byte as char);
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_one_path_segment() {
        assert_eq!(encoded("127.0.0.1:8001"), "127.0.0.1:8001");
        assert_eq!(encoded("unix:/run/app.sock"), "unix:%2Frun%2Fapp.sock");
        assert_eq!(encoded("a b?é"), "a%20b%3F%C3%A9");
    }

    #[test]
    fn the_most_detailed_reason_is_shown() {
        assert_eq!(reason(&json!({ "error": "short", "detail": "long" })), "long");
        assert_eq!(reason(&json!({ "error": "short" })), "short");
        assert!(reason(&json!([])).contains("no reason"));
    }
}
