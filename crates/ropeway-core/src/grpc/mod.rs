//! What a proxy must know of gRPC: which requests are calls, how long they may take, how they ended, and how to end one
//! (the gRPC project's `PROTOCOL-HTTP2.md` and `http-grpc-status-mapping.md`).
//!
//! A call's status comes in trailers behind a response of 200, so the status of HTTP says little about it. An answer of
//! our own must be in that form too: a client library that gets anything else can only guess.

mod content_type;
mod message;
mod status;
mod timeout;
mod web;

pub use content_type::{GrpcContentType, GrpcFlavour};
pub use message::write_message;
pub use status::GrpcStatus;
pub use timeout::{read_timeout, write_timeout};
pub use web::{GrpcWebDecoder, GrpcWebEncoder, GrpcWebError};
