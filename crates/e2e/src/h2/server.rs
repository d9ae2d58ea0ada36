//! A server's end of an HTTP/2 connection, played by the test itself.
//!
//! No thread is behind it: the kernel takes connections in, and the test looks at them when their turn has come. Clients of
//! the harness send without waiting, so one thread can play both ends of the proxy, step by step.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use rustls::ServerConfig;

use crate::h2::call::Call;
use crate::h2::connection::Connection;
use crate::h2::frame::{self, PREFACE};
use crate::h2::hpack::Block;
use crate::message::Request;
use crate::wait::eventually;
use crate::wire::Wire;

/// A server that speaks HTTP/2: with prior knowledge, or over TLS.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<Arc<ServerConfig>>,
}

impl Listener {
    /// Listens on a port that the kernel chooses.
    ///
    /// # Panics
    /// When the kernel has none.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a server is always written out in a test")]
    pub fn new() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// Takes connections from a socket.
    ///
    /// # Panics
    /// When the kernel does not let it be asked without waiting.
    #[must_use]
    pub fn on(socket: TcpListener) -> Self {
        socket.set_nonblocking(true).unwrap();
        Self { socket, tls: None }
    }

    /// Puts TLS over every connection.
    #[must_use]
    pub fn with_tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Waits for the next connection; on it nothing was said yet.
    ///
    /// # Panics
    /// When none comes.
    #[track_caller]
    #[must_use]
    pub fn tcp(&self) -> Wire {
        Wire::new(eventually("a connection to the server", || self.socket.accept().ok()).0)
    }

    /// As [`Self::tcp`], with TLS where it belongs.
    ///
    /// # Panics
    /// Also when the handshake fails.
    #[track_caller]
    #[must_use]
    pub fn wire(&self) -> Wire {
        self.secured(self.tcp())
    }

    /// Waits for the next connection and exchanges SETTINGS.
    ///
    /// # Panics
    /// When none comes, or it does not begin with HTTP/2.
    #[track_caller]
    #[must_use]
    pub fn accept(&self, settings: &[(u16, u32)]) -> Connection<Call> {
        self.greet(self.tcp(), settings)
    }

    /// Completes the handshake of TLS on a connection, where there is one, and exchanges SETTINGS.
    ///
    /// # Panics
    /// When it does not begin with HTTP/2.
    #[track_caller]
    #[must_use]
    pub fn greet(&self, wire: Wire, settings: &[(u16, u32)]) -> Connection<Call> {
        let mut wire = self.secured(wire);
        let preface = wire.exactly(PREFACE.len()).expect("the preface of HTTP/2");
        assert_eq!(preface, PREFACE, "{}", preface.escape_ascii());
        let mut connection = Connection::over(wire);
        connection.send(&[frame::settings(settings)]);
        connection.until("the SETTINGS of the proxy and its acknowledgement", |connection| {
            (connection.settings_acks == 1 && connection.has_settings()).then_some(())
        });
        connection
    }

    fn secured(&self, mut wire: Wire) -> Wire {
        if let Some(config) = &self.tls {
            wire.secure_as_server(config.clone()).expect("a TLS handshake");
        }
        wire
    }

    /// Whether a connection waits to be accepted. It is gone after that.
    #[must_use]
    pub fn drop_waiting(&self) -> bool {
        self.socket.accept().is_ok()
    }
}

impl Connection<Call> {
    /// Waits for the head of a request that was not given before, and gives its stream.
    ///
    /// # Panics
    /// When the connection ends before.
    #[track_caller]
    pub fn next_call(&mut self) -> u32 {
        self.until("a request", Self::try_next_call)
    }

    /// The stream of a request that was not given before, if the head of one has been read.
    pub fn try_next_call(&mut self) -> Option<u32> {
        let (stream, call) = self.streams.iter_mut().find(|(_, call)| !call.given && call.has_head())?;
        call.given = true;
        Some(*stream)
    }

    /// Waits for the rest of a request.
    ///
    /// # Panics
    /// When it is reset, or the connection ends before.
    #[track_caller]
    pub fn whole(&mut self, stream: u32) -> Request {
        let call = self.outcome(stream);
        assert!(call.ended, "{call:?}");
        call.request
    }

    /// As [`Self::next_call`], with the whole request.
    #[track_caller]
    pub fn next_request(&mut self) -> (u32, Request) {
        let stream = self.next_call();
        (stream, self.whole(stream))
    }

    /// How many requests have begun until now.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.streams.len()
    }

    /// Sends a response with 200 and a body.
    #[track_caller]
    pub fn answer(&mut self, stream: u32, body: &str) {
        self.begin(stream, Block::response("200"));
        self.send_body(stream, body.as_bytes());
        self.finish(stream);
    }

    /// Sends the head of a response, more to come.
    #[track_caller]
    pub fn begin(&mut self, stream: u32, block: Block) {
        self.send(&[frame::headers(stream, block)]);
    }
}
