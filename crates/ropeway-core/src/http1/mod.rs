//! HTTP/1: what bytes mean, and which bytes we send (RFC 9112).
//!
//! One rule governs this module: a message that two readers could understand in two ways is refused. What we accept
//! is written again from what we understood, so the next reader cannot see another message than we did.
//!
//! - [`RequestHead`] and [`ResponseHead`] read a head into one arena, judge it, and write it again;
//! - [`BodyDecoder`] and [`BodyEncoder`] do the same for bodies, without holding any of their bytes;
//! - [`HeadScan`] tells cheaply whether a head that trickles in is complete.
//!
//! Everything is incremental, holds no buffer of its own beyond the head, and allocates nothing once its vectors
//! have grown to the size of the traffic.

mod accept;
mod authority;
mod connection;
mod decoder;
mod encoder;
mod error;
mod framing;
mod grammar;
mod head;
mod head_scan;
mod known;
mod limits;
mod method;
mod reason;
mod request;
mod response;
mod target;
mod trailers;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod strict_reader;

pub use accept::prefers_json;
pub use decoder::{BodyDecoder, Decoded};
pub use encoder::{BodyEncoder, CHUNK_END, TRANSFER_ENCODING_CHUNKED, permitted_trailers};
pub use error::{BodyError, MalformedLine, RequestError, ResponseError};
pub use framing::BodyFraming;
pub(crate) use grammar::{trim_ows, write_decimal};
pub use head::{FieldRef, Head};
pub use head_scan::HeadScan;
pub use known::Known;
pub use limits::{BodyLimits, HeadLimits, MAX_FIELDS, Progress};
pub use method::{Method, Version};
pub use reason::reason_phrase;
pub use request::RequestHead;
pub use response::ResponseHead;
pub use target::TargetForm;
