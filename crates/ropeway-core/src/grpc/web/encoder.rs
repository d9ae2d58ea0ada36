//! Bodies that go to a client.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::GrpcFlavour;

/// The first byte of the frame that holds the trailers.
const TRAILERS: u8 = 0x80;

/// Turns the body and the trailers of a gRPC response into the body of a gRPC-Web response. Holds nothing back: what
/// is pushed can be sent at once, so a client sees each message of a stream when it is there.
#[derive(Clone, Copy, Debug)]
pub struct GrpcWebEncoder {
    text: bool,
}

impl GrpcWebEncoder {
    /// An encoder for a call of this flavour.
    #[must_use]
    pub const fn new(flavour: GrpcFlavour) -> Self {
        Self { text: matches!(flavour, GrpcFlavour::WebText) }
    }

    /// Appends a piece of the body. In base64 each piece is padded to its end, which the protocol allows wherever a
    /// server flushes.
    pub fn push(&self, piece: &[u8], out: &mut Vec<u8>) {
        if !self.text {
            out.extend_from_slice(piece);
            return;
        }
        let start = out.len();
        out.resize(start + piece.len().div_ceil(3) * 4, 0);
        let encoded = STANDARD.encode_slice(piece, out.get_mut(start..).unwrap_or_default());
        out.truncate(start + encoded.unwrap_or(0));
    }

    /// Appends the trailers as the last frame: one line for each, names in lower case. A field with a control character
    /// in it could pass for several and is left out; no reader of HTTP hands one on.
    pub fn finish<'a>(&self, trailers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>, out: &mut Vec<u8>) {
        let mut lines = Vec::new();
        for (name, value) in trailers {
            if is_line(name) && is_line(value) {
                lines.extend(name.iter().map(u8::to_ascii_lowercase));
                lines.extend_from_slice(b": ");
                lines.extend_from_slice(value);
                lines.extend_from_slice(b"\r\n");
            }
        }
        // Trailers are limited to far less than 4 GiB where they are read.
        let len = u32::try_from(lines.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut frame = Vec::with_capacity(5 + lines.len());
        frame.push(TRAILERS);
        frame.extend_from_slice(&len);
        frame.extend_from_slice(&lines);
        self.push(&frame, out);
    }
}

fn is_line(bytes: &[u8]) -> bool {
    !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}
