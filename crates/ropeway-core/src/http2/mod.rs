//! HTTP/2 (RFC 9113) without a socket: bytes in, events out, and bytes to be sent.

mod announced;
mod calm;
mod code;
mod compose;
mod connection;
mod flow;
mod frames;
mod hpack;
mod message;
mod settings;
mod stream;

pub use code::Code;
pub use compose::{Manner, Untranslatable};
pub use connection::{Connection, Event, Fatal, ResetBy, Side};
pub use message::Scratch;
pub use settings::Limits;
pub use stream::Closed;
