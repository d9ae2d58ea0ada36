//! Finding the end of a head that arrives in pieces.

use super::error::MalformedLine;

/// A resumable search for the empty line that ends a head.
///
/// Reading a head again from its start on every arriving byte would cost the square of its length. This search looks
/// at each byte once, and refuses bytes that can stand in no head as soon as they arrive: a CR without LF, an LF
/// without CR, a NUL (RFC 9112 2.2). Empty lines before the start line are passed over.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScan {
    scanned: usize,
    line_start: usize,
    started: bool,
}

impl HeadScan {
    /// A search at the first byte of a message.
    #[must_use]
    pub const fn new() -> Self {
        Self { scanned: 0, line_start: 0, started: false }
    }

    /// Whether `input` holds a whole head. Every call passes all bytes of the message so far, from its first one.
    ///
    /// # Errors
    /// A bare CR, a bare LF, or a NUL.
    pub fn is_complete(&mut self, input: &[u8]) -> Result<bool, MalformedLine> {
        while let Some(offset) = memchr::memchr3(b'\r', b'\n', 0, rest(input, self.scanned)) {
            let at = self.scanned + offset;
            match rest(input, at) {
                [b'\r', b'\n', ..] => {
                    if self.end_line(at) {
                        return Ok(true);
                    }
                }
                [b'\r'] => {
                    self.scanned = at;
                    return Ok(false);
                }
                [b'\r', ..] => return Err(MalformedLine("a CR without LF")),
                [b'\n', ..] => return Err(MalformedLine("an LF without CR")),
                _ => return Err(MalformedLine("a NUL")),
            }
        }
        self.scanned = input.len().max(self.scanned);
        Ok(false)
    }

    /// How many bytes were looked at: once complete, the length of the head.
    #[must_use]
    pub const fn scanned(&self) -> usize {
        self.scanned
    }

    /// Notes the line end at `at`; true when it was the empty line after the head.
    fn end_line(&mut self, at: usize) -> bool {
        let empty = at == self.line_start;
        self.scanned = at + 2;
        self.line_start = self.scanned;
        self.started |= !empty;
        empty && self.started
    }
}

fn rest(input: &[u8], from: usize) -> &[u8] {
    input.get(from..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_complete_at_its_empty_line_and_not_before() {
        let head = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut scan = HeadScan::new();
        for end in 0..head.len() {
            assert_eq!(scan.is_complete(&head[..end]), Ok(false), "at {end}");
        }
        assert_eq!(scan.is_complete(head), Ok(true));
        assert_eq!(scan.scanned(), head.len());
    }

    #[test]
    fn bytes_after_the_head_are_not_looked_at() {
        let mut scan = HeadScan::new();
        assert_eq!(scan.is_complete(b"GET / HTTP/1.1\r\n\r\nbody\n\0"), Ok(true));
        assert_eq!(scan.scanned(), 18);
    }

    /// RFC 9112 2.2: bare CR and bare LF.
    #[test]
    fn bare_line_ends_and_nul_are_refused_at_once() {
        for input in [&b"GET / HTTP/1.1\n"[..], b"GET / HT\rX", b"GET /\0", b"\n", b"\r\r", b"\0"] {
            assert!(HeadScan::new().is_complete(input).is_err(), "{input:?}");
        }
    }
}
