//! Writing bodies (RFC 9112 6 and 7).

use super::framing::BodyFraming;
use super::head::{FieldRef, Head};
use super::trailers;

/// What follows the data of every chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The field that announces a chunked body. Content-Length needs no such line: it is sent on as it came.
pub const TRANSFER_ENCODING_CHUNKED: &[u8] = b"Transfer-Encoding: chunked\r\n";

/// Frames body data for sending.
#[derive(Clone, Copy, Debug)]
pub struct BodyEncoder {
    framing: BodyFraming,
}

impl BodyEncoder {
    /// For a body that is framed in this way.
    #[must_use]
    pub const fn new(framing: BodyFraming) -> Self {
        Self { framing }
    }

    /// The framing; for [`BodyFraming::Length`] with the number of bytes that are still to come.
    #[must_use]
    pub const fn framing(&self) -> BodyFraming {
        self.framing
    }

    /// Appends a run of data, as one chunk where the body is chunked. No data appends nothing, since an empty chunk
    /// would end the body. Data beyond a declared length is dropped: it would be read as the next message.
    pub fn write_data(&mut self, data: &[u8], out: &mut Vec<u8>) {
        match &mut self.framing {
            BodyFraming::None => {}
            BodyFraming::UntilClose | BodyFraming::Stream => out.extend_from_slice(data),
            BodyFraming::Length(left) => {
                let allowed = data.get(..usize::try_from(*left).unwrap_or(usize::MAX)).unwrap_or(data);
                *left -= allowed.len() as u64;
                out.extend_from_slice(allowed);
            }
            BodyFraming::Chunked if data.is_empty() => {}
            BodyFraming::Chunked => {
                Self::write_chunk_head(data.len(), out);
                out.extend_from_slice(data);
                out.extend_from_slice(CHUNK_END);
            }
        }
    }

    /// Appends the line before a chunk of `len` bytes, for callers that send the data from where it lies and
    /// [`CHUNK_END`] after it. `len` must not be 0.
    pub fn write_chunk_head(len: usize, out: &mut Vec<u8>) {
        debug_assert!(len > 0, "an empty chunk ends the body");
        let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
        for index in (0..digits).rev() {
            let digit = len >> (4 * index) & 0xf;
            out.push(b"0123456789abcdef".get(digit).copied().unwrap_or(b'0'));
        }
        out.extend_from_slice(CHUNK_END);
    }

    /// Appends what ends the body: for a chunked one the last chunk, and the trailers that may be sent on (RFC 9110
    /// 6.5.1); for others nothing.
    pub fn write_end(&mut self, trailers: Option<&Head>, out: &mut Vec<u8>) {
        if self.framing != BodyFraming::Chunked {
            return;
        }
        out.extend_from_slice(b"0\r\n");
        for field in trailers.into_iter().flat_map(permitted_trailers) {
            out.extend_from_slice(field.name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(field.value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(CHUNK_END);
    }
}

/// The fields of a trailer section that may be sent on (RFC 9110 6.5.1).
pub fn permitted_trailers(section: &Head) -> impl Iterator<Item = FieldRef<'_>> {
    section.fields().filter(|field| trailers::is_permitted(*field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{BodyDecoder, BodyLimits};

    fn encode(framing: BodyFraming, runs: &[&[u8]]) -> Vec<u8> {
        let mut encoder = BodyEncoder::new(framing);
        let mut out = Vec::new();
        runs.iter().for_each(|run| encoder.write_data(run, &mut out));
        encoder.write_end(None, &mut out);
        out
    }

    #[test]
    fn each_framing_writes_what_its_reader_expects() {
        assert_eq!(encode(BodyFraming::None, &[b"x"]), b"");
        assert_eq!(encode(BodyFraming::UntilClose, &[b"ab", b"c"]), b"abc");
        assert_eq!(encode(BodyFraming::Length(3), &[b"ab", b"c"]), b"abc");
        assert_eq!(
            encode(BodyFraming::Chunked, &[b"ab", b"", b"0123456789abcdef"]),
            b"2\r\nab\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
        );
    }

    #[test]
    fn nothing_is_written_beyond_a_declared_length() {
        assert_eq!(encode(BodyFraming::Length(3), &[b"ab", b"cGET /", b"x"]), b"abc");
    }

    /// RFC 9110 6.5.1.
    #[test]
    fn trailers_that_would_act_as_head_fields_are_dropped() {
        let section = b"0\r\nGrpc-Status: 0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: evil\r\nauthorization: x\r\n\
            X_Forwarded_For: 1.1.1.1\r\nX_Client-Cert_Subject: CN=x\r\nIf-Match: x\r\nSet-Cookie: a\r\nConnection: close\r\nMax-Forwards: 1\r\nCache-Control: x\r\nX-Client-Cert: 2\r\nX-Sum:1\r\n\r\n";
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked, &BodyLimits::default());
        assert!(decoder.decode(section).unwrap().end);
        let mut out = Vec::new();
        BodyEncoder::new(BodyFraming::Chunked).write_end(decoder.trailers(), &mut out);
        assert_eq!(out, b"0\r\nGrpc-Status: 0\r\nX-Client-Cert: 2\r\nX-Sum: 1\r\n\r\n");
    }
}
