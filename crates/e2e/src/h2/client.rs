//! A client's end of an HTTP/2 connection.

use crate::client::Client;
use crate::h2::connection::Connection;
use crate::h2::exchange::Exchange;
use crate::h2::frame::{self, LARGEST_WINDOW, PREFACE, setting};
use crate::h2::hpack::Block;
use crate::message::Response;

impl Connection<Exchange> {
    /// Connects, with windows that never get in the way, and exchanges SETTINGS.
    ///
    /// # Panics
    /// When the server does not speak HTTP/2.
    #[track_caller]
    #[must_use]
    pub fn open(client: &Client) -> Self {
        let settings = [(setting::ENABLE_PUSH, 0), (setting::INITIAL_WINDOW_SIZE, LARGEST_WINDOW)];
        let mut connection = Self::open_with(client, &settings);
        connection.send(&[frame::window_update(0, LARGEST_WINDOW - 65_535)]);
        connection
    }

    /// Connects with settings of the test's choice and exchanges SETTINGS.
    ///
    /// # Panics
    /// When the server does not speak HTTP/2.
    #[track_caller]
    #[must_use]
    pub fn open_with(client: &Client, settings: &[(u16, u32)]) -> Self {
        let mut connection = Self::silent(client);
        connection.send_bytes(PREFACE);
        connection.send(&[frame::settings(settings)]);
        connection.until("the server's SETTINGS and its acknowledgement", |connection| {
            (connection.settings_acks == 1 && connection.has_settings()).then_some(())
        });
        connection
    }

    /// Connects and sends nothing.
    ///
    /// # Panics
    /// When the connection is refused.
    #[track_caller]
    #[must_use]
    pub fn silent(client: &Client) -> Self {
        Self::over(client.connect().wire)
    }

    /// A stream that was never used; each call gives another.
    pub fn new_stream(&mut self) -> u32 {
        self.next_stream += 2;
        self.next_stream - 2
    }

    /// Sends a request without a body on a new stream.
    #[track_caller]
    pub fn start(&mut self, block: Block) -> u32 {
        let stream = self.new_stream();
        self.send(&[frame::headers(stream, block).end()]);
        stream
    }

    /// Sends the head of a request whose body is to come.
    #[track_caller]
    pub fn start_with_body(&mut self, block: Block) -> u32 {
        let stream = self.new_stream();
        self.send(&[frame::headers(stream, block)]);
        stream
    }

    /// GET, and its whole response.
    #[track_caller]
    #[must_use]
    pub fn get(&mut self, path: &str) -> Response {
        let stream = self.start(Block::get(path));
        self.response(stream)
    }

    /// A request with a body, and its whole response.
    #[track_caller]
    #[must_use]
    pub fn request(&mut self, block: Block, body: &[u8]) -> Response {
        let stream = self.start_with_body(block);
        self.send_body(stream, body);
        self.finish(stream);
        self.response(stream)
    }

    /// The whole response on a stream.
    ///
    /// # Panics
    /// When the stream is reset or the connection ends before.
    #[track_caller]
    pub fn response(&mut self, stream: u32) -> Response {
        let exchange = self.outcome(stream);
        assert_eq!(exchange.reset.filter(|_| !exchange.ended), None, "{exchange:?}");
        exchange.response.expect("a stream that ended has a response")
    }

    /// The head of the final response on a stream; more of it may be to come.
    ///
    /// # Panics
    /// When the stream is reset or the connection ends before.
    #[track_caller]
    pub fn response_head(&mut self, stream: u32) -> Response {
        self.until("a response head", |connection| {
            let exchange = connection.exchange(stream);
            assert_eq!(exchange.reset, None, "{exchange:?}");
            exchange.response.clone()
        })
    }
}
