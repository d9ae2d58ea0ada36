//! Rules of HTTP/2 (RFC 9113) that can be judged without a connection.

mod field_block;
mod frames;
mod guard;
mod huffman;
mod waiting;

pub use frames::EmptyData;
pub use guard::{Code, Guard};
pub use waiting::{Block, Opening};
