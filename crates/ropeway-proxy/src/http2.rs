//! HTTP/2 (RFC 9113), as a thin layer under the exchange.
//!
//! `ropeway_core::http2` speaks the protocol. Heads cross the border between it and the exchange as HTTP/1.1 text, so that one
//! strict parser and one writer decide what is a valid message, whichever way it came or goes; bodies cross it as bare
//! bytes, whose end the stream marks. A stream is one more kind of [`crate::link::Link`], and everything above links is
//! the same for both protocols.

mod broken;
pub(crate) mod client;
mod liveness;
mod mailbox;
pub(crate) mod multiplexer;
mod runners;
pub(crate) mod server;
mod stream;
mod transport;

pub(crate) use self::broken::Broken;
pub(crate) use self::runners::Runners;
pub(crate) use self::stream::{Stream, untranslatable};
