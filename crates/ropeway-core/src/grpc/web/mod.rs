//! gRPC-Web, for clients that can neither see trailers nor speak HTTP/2 directly (the gRPC project's
//! `PROTOCOL-WEB.md`).
//!
//! Messages are framed as in gRPC itself and pass through as they are. What differs is that the trailers follow them in
//! the body, as a frame of their own, and that a client may ask for all of it in base64, both ways.

mod decoder;
mod encoder;
#[cfg(test)]
mod tests;

pub use decoder::{GrpcWebDecoder, GrpcWebError};
pub use encoder::GrpcWebEncoder;
