//! Field blocks as they are sent, in HPACK (RFC 7541).
//!
//! A [`Decoder`] reads what the peer sends and an [`Encoder`] writes what it gets; each holds one side's
//! table of a connection. Neither allocates for a field once its buffers have grown to the size of the
//! traffic, and an idle connection has no buffers.
//!
//! - `huffman` is the code of appendix B;
//! - `static_table` is the table of appendix A, found by place and by name;
//! - `table` is the dynamic table, the same for both directions.

mod decoder;
mod encoder;
mod huffman;
mod static_table;
mod table;

#[cfg(test)]
mod tests;

pub use decoder::{Broken, Decoder, Field};
pub use encoder::{Encoder, Keeping};
