//! A real gRPC client and server: those of Python, driven by the tests.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::process::Process;
use crate::python::Environment;
use crate::tempdir::TempDir;

/// A server, and everything that it says about the calls it holds. Its methods are described in `grpc_server.py`.
#[derive(Debug)]
pub struct Server {
    process: Process,
    address: SocketAddr,
}

/// A call to be made.
#[derive(Clone, Debug)]
pub struct Call(Value);

/// What came of a call, as an application sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The messages that were received.
    pub messages: Vec<String>,
    /// The status code.
    pub code: u64,
    /// The message of the status.
    pub details: String,
    /// The metadata before the messages. Values of `-bin` fields in hexadecimal.
    pub initial: Vec<(String, String)>,
    /// The metadata behind the messages, without the status.
    pub trailing: Vec<(String, String)>,
}

impl Server {
    /// A server without TLS.
    #[must_use]
    pub fn start() -> Self {
        Self::started_with(&[])
    }

    /// A server with TLS.
    #[must_use]
    pub fn start_tls(certificate: &Path, key: &Path) -> Self {
        Self::started_with(&[certificate, key])
    }

    fn started_with(arguments: &[&Path]) -> Self {
        let mut process = Process::start(Environment::GRPC.program("grpc_server.py").args(arguments));
        let address = process.wait_for_line("the gRPC server listens", |line| {
            line.strip_prefix("listening on ")?.parse().ok()
        });
        Self { process, address }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it says something about a call.
    pub fn wait_until_it_says(&mut self, line: &str) {
        self.process.wait_for_line(line, |said| (said == line).then_some(()));
    }

    /// Ends it in the midst of everything.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

impl Call {
    /// One message there, one back.
    #[must_use]
    pub fn unary(method: &str, message: &str) -> Self {
        Self::new("unary", method, &[message])
    }

    /// Many messages there, one back.
    #[must_use]
    pub fn client_stream(method: &str, messages: &[&str]) -> Self {
        Self::new("client stream", method, messages)
    }

    /// One message there, many back.
    #[must_use]
    pub fn server_stream(method: &str, message: &str) -> Self {
        Self::new("server stream", method, &[message])
    }

    /// Many messages in both directions.
    #[must_use]
    pub fn both_streams(method: &str, messages: &[&str]) -> Self {
        Self::new("both streams", method, messages)
    }

    fn new(kind: &str, method: &str, messages: &[&str]) -> Self {
        Self(json!({ "kind": kind, "method": method, "messages": messages, "metadata": [] }))
    }

    /// Sends a field; the value of one that ends in `-bin` in hexadecimal.
    #[must_use]
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        if let Some(fields) = self.0["metadata"].as_array_mut() {
            fields.push(json!([key, value]));
        }
        self
    }

    /// Gives the call so much time.
    #[must_use]
    pub fn timeout(mut self, seconds: f64) -> Self {
        self.0["timeout"] = json!(seconds);
        self
    }

    /// Gives the call up after so many responses.
    #[must_use]
    pub fn cancel_after(mut self, responses: usize) -> Self {
        self.0["cancel_after"] = json!(responses);
        self
    }

    /// Makes the call.
    #[must_use]
    pub fn make(self, address: SocketAddr) -> Outcome {
        make_all(address, &[self], None).remove(0)
    }

    /// Makes the call over TLS, to `localhost`, which has to show a certificate of this authority.
    #[must_use]
    pub fn make_secured(self, address: SocketAddr, authority: &Path) -> Outcome {
        make_all(address, &[self], Some(authority)).remove(0)
    }
}

/// A message as it is framed.
///
/// # Panics
/// When it has more than 4 GiB.
#[must_use]
pub fn framed(message: &str) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message.as_bytes()].concat()
}

/// Makes calls at the same time, on one connection.
///
/// # Panics
/// When the client itself fails, with what it printed.
#[must_use]
pub fn make_all(address: SocketAddr, calls: &[Call], authority: Option<&Path>) -> Vec<Outcome> {
    start(address, calls, authority).outcomes()
}

/// A client with calls under way.
#[derive(Debug)]
pub struct Client {
    process: Process,
    _calls: TempDir,
}

/// Begins calls at the same time, on one connection, and does not wait for them.
///
/// # Panics
/// When they cannot be written into a file.
#[must_use]
pub fn start(address: SocketAddr, calls: &[Call], authority: Option<&Path>) -> Client {
    let directory = TempDir::new();
    let list = directory.file("calls.json");
    std::fs::write(&list, Value::Array(calls.iter().map(|call| call.0.clone()).collect()).to_string())
        .unwrap();
    let mut command = Environment::GRPC.program("grpc_client.py");
    let host = if authority.is_some() { "localhost".to_owned() } else { address.ip().to_string() };
    command.arg(format!("{host}:{}", address.port())).arg(list).args(authority);
    Client { process: Process::start(&mut command), _calls: directory }
}

impl Client {
    /// Waits until a message has arrived.
    pub fn wait_until_received(&mut self, message: &str) {
        let line = format!("received {message}");
        self.process.wait_for_line(&line, |said| (said == line).then_some(()));
    }

    /// What came of the calls, in their order.
    ///
    /// # Panics
    /// When the client itself fails, with what it printed.
    #[must_use]
    pub fn outcomes(mut self) -> Vec<Outcome> {
        let outcomes: Vec<Value> =
            self.process.wait_for_line("the outcome of gRPC calls", |line| serde_json::from_str(line).ok());
        outcomes.iter().map(Outcome::of).collect()
    }
}

impl Outcome {
    fn of(value: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pairs = |value: &Value| {
            let pairs = value.as_array().into_iter().flatten();
            pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
        };
        Self {
            messages: value["messages"].as_array().into_iter().flatten().map(text).collect(),
            code: value["code"].as_u64().unwrap_or_else(|| panic!("no status in {value}")),
            details: text(&value["details"]),
            initial: pairs(&value["initial"]),
            trailing: pairs(&value["trailing"]),
        }
    }

    /// Asserts the status and the messages of a call that succeeded.
    #[track_caller]
    pub fn expect(&self, messages: &[&str]) -> &Self {
        assert_eq!((self.code, self.details.as_str()), (0, ""), "{self:?}");
        assert_eq!(self.messages, messages);
        self
    }

    /// Asserts the status of a call that failed.
    #[track_caller]
    pub fn expect_code(&self, code: u64) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}
