//! HTTP/2 with every frame under control: what a correct peer does, and what a hostile one does.
//!
//! [`Connection`] is one end of a connection that reads like a sentence: a client's, or, accepted by a [`Listener`], a
//! server's. [`frame`] and [`hpack`] write any frame and any field block, wrong ones included. What the proxy sends is judged
//! as it arrives: a frame that RFC 9113 forbids fails the test. [`rules`] turns rows of frames and outcomes into tests.

pub mod call;
pub mod client;
pub mod connection;
pub mod exchange;
pub mod frame;
pub mod hpack;
pub mod rules;
pub mod server;
pub mod window;

pub use call::Call;
pub use connection::{Connection, End};
pub use exchange::Exchange;
pub use frame::Frame;
pub use hpack::Block;
pub use server::Listener;
