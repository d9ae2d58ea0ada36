//! HTTP/2 with every frame under control: what a correct client does, and what a hostile one does.
//!
//! [`Connection`] is a client that reads like a sentence; [`frame`] and [`hpack`] write any frame and any field block,
//! wrong ones included. What the server sends is judged as it arrives: a frame that RFC 9113 forbids fails the test.
//! [`rules`] turns rows of frames and outcomes into tests.

pub mod connection;
pub mod exchange;
pub mod frame;
pub mod hpack;
pub mod rules;
pub mod window;

pub use connection::{Connection, End};
pub use exchange::Exchange;
pub use frame::Frame;
pub use hpack::Block;
