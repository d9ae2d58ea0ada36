//! Bodies that come from a client.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::GrpcFlavour;

/// Bytes of base64 that stand for up to three.
const QUANTUM: usize = 4;

/// Turns the body of a gRPC-Web request into that of a gRPC request, in pieces of any size. Holds at most three bytes.
#[derive(Clone, Debug)]
pub struct GrpcWebDecoder {
    text: bool,
    held: [u8; QUANTUM],
    held_len: usize,
}

impl GrpcWebDecoder {
    /// A decoder for a call of this flavour. Only [`GrpcFlavour::WebText`] changes anything.
    #[must_use]
    pub const fn new(flavour: GrpcFlavour) -> Self {
        Self { text: matches!(flavour, GrpcFlavour::WebText), held: [0; QUANTUM], held_len: 0 }
    }

    /// Takes in a piece of the body and appends what it stands for: never more bytes than it has, and three of the last
    /// piece. Padding may come anywhere, for clients put encoded pieces one behind the other.
    ///
    /// # Errors
    /// When the body is not canonical base64 (RFC 4648 3.5, 4). The decoder is of no use from then on.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), GrpcWebError> {
        if !self.text {
            out.extend_from_slice(piece);
            return Ok(());
        }
        let rest = self.fill(piece);
        if self.held_len == QUANTUM {
            self.held_len = 0;
            decode(&self.held, out)?;
        }
        let whole = rest.len() - rest.len() % QUANTUM;
        let (quanta, odd) = rest.split_at_checked(whole).unwrap_or((rest, b""));
        decode_padded(quanta, out)?;
        self.fill(odd);
        Ok(())
    }

    /// Checks that the body may end here.
    ///
    /// # Errors
    /// When bytes of a quantum are missing.
    pub const fn finish(&self) -> Result<(), GrpcWebError> {
        if self.held_len == 0 { Ok(()) } else { Err(GrpcWebError::Truncated) }
    }

    /// Adds to a quantum that has begun; a piece without one begun is left alone unless it is less than a quantum.
    fn fill<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        if self.held_len == 0 && piece.len() >= QUANTUM {
            return piece;
        }
        let missing = (QUANTUM - self.held_len).min(piece.len());
        let (taken, rest) = piece.split_at_checked(missing).unwrap_or((piece, b""));
        let places = self.held.iter_mut().skip(self.held_len);
        places.zip(taken).for_each(|(place, byte)| *place = *byte);
        self.held_len += taken.len();
        rest
    }
}

/// Decodes whole quanta, any of which may be padded.
fn decode_padded(mut quanta: &[u8], out: &mut Vec<u8>) -> Result<(), GrpcWebError> {
    while !quanta.is_empty() {
        let end = memchr::memchr(b'=', quanta).map_or(quanta.len(), |at| at / QUANTUM * QUANTUM + QUANTUM);
        let (run, rest) = quanta.split_at_checked(end).unwrap_or((quanta, b""));
        decode(run, out)?;
        quanta = rest;
    }
    Ok(())
}

/// Decodes whole quanta, of which only the last may be padded.
fn decode(quanta: &[u8], out: &mut Vec<u8>) -> Result<(), GrpcWebError> {
    let start = out.len();
    out.resize(start + quanta.len() / QUANTUM * 3, 0);
    let decoded = STANDARD.decode_slice(quanta, out.get_mut(start..).unwrap_or_default());
    out.truncate(start + decoded.as_ref().copied().unwrap_or(0));
    decoded.map(|_| ()).map_err(|_| GrpcWebError::NotBase64)
}

/// Why the body of a gRPC-Web request was refused. The culprit is always the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrpcWebError {
    /// The body should be base64, and is not.
    NotBase64,
    /// The body ends within four characters that belong together.
    Truncated,
}

impl GrpcWebError {
    /// What was wrong, in a few words.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::NotBase64 => "a gRPC-Web body that is not base64",
            Self::Truncated => "a gRPC-Web body that ends within a quantum of base64",
        }
    }
}
