//! How much of a message we are ready to read.

/// The most fields that any head may have, whatever the configuration says.
pub const MAX_FIELDS: usize = 128;

/// Limits on a request or response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the head, from the first byte of the start line (and any empty lines before it) to its empty line.
    /// Default 64 KiB.
    pub head_bytes: usize,
    /// Fields; at most [`MAX_FIELDS`], larger values count as that. Default 128.
    pub fields: usize,
    /// Bytes of a request target. Default 16 KiB.
    pub target_bytes: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { head_bytes: 64 * 1024, fields: MAX_FIELDS, target_bytes: 16 * 1024 }
    }
}

/// Limits on the framing of a chunked body. The data itself is bounded by whoever reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Bytes of one chunk line, extensions included, without its CRLF. Default 256.
    pub chunk_line: usize,
    /// Bytes of the trailer section, its empty line included. Default 8 KiB.
    pub trailer_bytes: usize,
    /// Fields of the trailer section; at most [`MAX_FIELDS`]. Default 32.
    pub trailer_fields: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { chunk_line: 256, trailer_bytes: 8 * 1024, trailer_fields: 32 }
    }
}

/// How far the reading of a head came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The head has not ended yet: call again with the same bytes and more.
    Partial,
    /// The head is complete.
    Complete {
        /// Bytes of the input that belong to the head, empty lines before it included.
        consumed: usize,
    },
}
