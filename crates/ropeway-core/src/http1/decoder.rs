//! Reading bodies (RFC 9112 6 and 7).

use super::error::BodyError;
use super::framing::BodyFraming;
use super::grammar::is_tchar;
use super::head::Head;
use super::limits::{BodyLimits, HeadLimits, MAX_FIELDS};
use super::trailers::Trailers;

/// The largest chunk, for the same reason as the largest Content-Length.
const MAX_CHUNK: u64 = i64::MAX as u64;
/// The most digits of a chunk size, leading zeros included.
const MAX_SIZE_DIGITS: u8 = 16;
/// Kept as a constant rather than as the first error, because thousands of connections hold a decoder.
const REFUSED_BEFORE: BodyError = BodyError::Malformed("a body that was refused before");

/// What one call of [`BodyDecoder::decode`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Bytes of the input that are dealt with, `data` included.
    pub consumed: usize,
    /// A run of body data within the input; may be empty.
    pub data: &'a [u8],
    /// Whether the body has ended.
    pub end: bool,
}

/// Finds body data in the bytes of a connection. Holds none of it, and knows only where it is in the body.
///
/// ```text
/// Length ── all bytes read ──────────────────────────────────────► Done
/// UntilClose ── connection closed ───────────────────────────────► Done
/// SizeStart ─► Size ─► [extensions] ─► SizeLf ─► Data ─► DataCr ─► DataLf ─┐
///     ▲                                  │ size 0                          │
///     └──────────────────────────────────┼─────────────────────────────────┘
///                                        └─► TrailerStart ─► EndLf ───────► Done
///                                                 └──► Trailers ──────────► Done
/// ```
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    /// Bytes left of the body or chunk; while a chunk size is read, the size so far.
    remaining: u64,
    trailers: Option<Box<Trailers>>,
    max_trailer_bytes: u32,
    /// Bytes of the current chunk line.
    line: u16,
    max_line: u16,
    state: State,
    max_trailer_fields: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length,
    UntilClose,
    SizeStart,
    Size,
    ExtensionStart,
    ExtensionName,
    ExtensionValueStart,
    ExtensionToken,
    ExtensionQuoted,
    ExtensionEscape,
    ExtensionQuotedEnd,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    EndLf,
    Trailers,
    Done,
    Refused,
}

impl BodyDecoder {
    /// At the first byte of a body.
    #[must_use]
    pub fn new(framing: BodyFraming, limits: &BodyLimits) -> Self {
        let (state, remaining) = match framing {
            BodyFraming::None | BodyFraming::Length(0) => (State::Done, 0),
            BodyFraming::Length(length) => (State::Length, length),
            BodyFraming::Chunked => (State::SizeStart, 0),
            BodyFraming::UntilClose | BodyFraming::Stream => (State::UntilClose, 0),
        };
        Self {
            remaining,
            trailers: None,
            max_trailer_bytes: u32::try_from(limits.trailer_bytes).unwrap_or(u32::MAX),
            line: 0,
            max_line: u16::try_from(limits.chunk_line).unwrap_or(u16::MAX),
            state,
            max_trailer_fields: u8::try_from(limits.trailer_fields.min(MAX_FIELDS)).unwrap_or(u8::MAX),
        }
    }

    /// Finds the next run of data in `input`. Call again with what was not consumed, until `end`; when everything
    /// was consumed without an end, more input is needed. After the end nothing is consumed.
    ///
    /// # Errors
    /// The body is malformed or its framing too large. Every later call fails, too, and where the next
    /// message would start is not known.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Decoded<'a>, BodyError> {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            match self.state {
                State::Done => return Ok(Decoded { consumed: at, data: b"", end: true }),
                State::Refused => return Err(REFUSED_BEFORE),
                _ if rest.is_empty() => return Ok(Decoded { consumed: at, data: b"", end: false }),
                State::UntilClose => return Ok(Decoded { consumed: input.len(), data: rest, end: false }),
                State::Length | State::Data => return Ok(self.take_data(rest, at)),
                State::Trailers => {
                    let (bytes, fields) = (self.max_trailer_bytes as usize, self.max_trailer_fields.into());
                    at += self.take_trailers(rest, bytes, fields)?;
                }
                _ => at += self.take_framing(rest)?,
            }
        }
    }

    /// Ends the body of a stream with the trailers that came by other means: field lines, and the empty line. They came
    /// as heads do, and may be as large as those may be by default.
    ///
    /// # Errors
    /// The trailers are malformed or too large.
    pub fn end_with_trailers(&mut self, section: &[u8]) -> Result<(), BodyError> {
        self.finish_at_eof()?;
        let HeadLimits { head_bytes, fields, .. } = HeadLimits::default();
        self.take_trailers(section, head_bytes, fields).map(|_| ())
    }

    /// How many of the bytes that come next are data whatever they are, and nothing but data.
    #[must_use]
    pub fn opaque(&self) -> u64 {
        match self.state {
            State::Length => self.remaining,
            State::UntilClose => u64::MAX,
            _ => 0,
        }
    }

    /// Notes that data was passed on without being looked at: `count` bytes, of which no more than [`Self::opaque`] count.
    pub fn skip(&mut self, count: u64) {
        if self.state == State::Length {
            self.remaining = self.remaining.saturating_sub(count);
            if self.remaining == 0 {
                self.state = State::Done;
            }
        }
    }

    /// Whether the body has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Tells that the connection was closed by the sender.
    ///
    /// # Errors
    /// [`BodyError::Truncated`] unless the body was complete, or is one that ends this way; another error when the
    /// body was refused before.
    pub fn finish_at_eof(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Refused => Err(REFUSED_BEFORE),
            _ => Err(self.refuse(BodyError::Truncated)),
        }
    }

    /// Bytes left of a body whose length was declared, 0 for every body that has ended; `None` where nobody knows.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length => Some(self.remaining),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// The trailers, once the body has ended and any came.
    #[must_use]
    pub fn trailers(&self) -> Option<&Head> {
        self.trailers.as_deref().filter(|_| self.is_done()).map(Trailers::head)
    }

    fn take_data<'a>(&mut self, rest: &'a [u8], before: usize) -> Decoded<'a> {
        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let data = rest.get(..wanted).unwrap_or(rest);
        self.remaining -= data.len() as u64;
        if self.remaining == 0 {
            self.state = if self.state == State::Length { State::Done } else { State::DataCr };
        }
        Decoded { consumed: before + data.len(), data, end: self.is_done() }
    }

    fn take_trailers(
        &mut self,
        rest: &[u8],
        max_bytes: usize,
        max_fields: usize,
    ) -> Result<usize, BodyError> {
        let trailers = self.trailers.get_or_insert_default();
        match trailers.take(rest, max_bytes, max_fields) {
            Ok((consumed, complete)) => {
                if complete {
                    self.state = State::Done;
                }
                Ok(consumed)
            }
            Err(error) => Err(self.refuse(error)),
        }
    }

    /// Steps over bytes that are neither data nor trailers.
    fn take_framing(&mut self, rest: &[u8]) -> Result<usize, BodyError> {
        for (at, &byte) in rest.iter().enumerate() {
            match self.step(byte) {
                // The first byte of the trailers is left for them.
                Ok(State::Trailers) => {
                    self.state = State::Trailers;
                    return Ok(at);
                }
                Ok(state) => self.state = state,
                Err(error) => return Err(self.refuse(error)),
            }
            if matches!(self.state, State::Data | State::Done) {
                return Ok(at + 1);
            }
        }
        Ok(rest.len())
    }

    /// The state after one byte of framing.
    fn step(&mut self, byte: u8) -> Result<State, BodyError> {
        match (self.state, byte) {
            (State::SizeStart, _) => self.first_digit(byte),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::SizeStart),
            (State::DataCr | State::DataLf, _) => {
                Err(BodyError::Malformed("chunk data not followed by CRLF"))
            }
            (State::SizeLf, b'\n') if self.remaining == 0 => Ok(State::TrailerStart),
            (State::SizeLf, b'\n') => Ok(State::Data),
            (State::SizeLf, _) => Err(BodyError::Malformed("a CR without LF in a chunk line")),
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart, _) => Ok(State::Trailers),
            (State::EndLf, b'\n') => Ok(State::Done),
            (State::EndLf, _) => Err(BodyError::Malformed("a CR without LF after the last chunk")),
            _ => self.step_in_line(byte),
        }
    }

    fn first_digit(&mut self, byte: u8) -> Result<State, BodyError> {
        let digit = hex_digit(byte).ok_or(BodyError::Malformed("a chunk size that is not hexadecimal"))?;
        self.remaining = digit;
        self.line = 1;
        Ok(State::Size)
    }

    /// The rest of a chunk line, up to its CR. Extensions have no meaning to us, but what they hide must not be read
    /// as something else by anyone, so their grammar is checked (RFC 9112 7.1.1). Whitespace, which the grammar calls
    /// bad, is refused.
    fn step_in_line(&mut self, byte: u8) -> Result<State, BodyError> {
        use State::{
            ExtensionEscape, ExtensionName, ExtensionQuoted, ExtensionQuotedEnd, ExtensionStart,
            ExtensionToken, ExtensionValueStart, Size, SizeLf,
        };
        let ends_here = matches!(self.state, Size | ExtensionName | ExtensionToken | ExtensionQuotedEnd);
        if byte == b'\r' && ends_here {
            return Ok(SizeLf);
        }
        self.line = self.line.saturating_add(1);
        if self.line > self.max_line {
            return Err(BodyError::ChunkLineTooLong);
        }
        match (self.state, byte) {
            (_, b';') if ends_here => Ok(ExtensionStart),
            (Size, _) => self.next_digit(byte),
            (ExtensionName, b'=') => Ok(ExtensionValueStart),
            (ExtensionStart | ExtensionName, _) if is_tchar(byte) => Ok(ExtensionName),
            (ExtensionValueStart, b'"') => Ok(ExtensionQuoted),
            (ExtensionValueStart | ExtensionToken, _) if is_tchar(byte) => Ok(ExtensionToken),
            (ExtensionQuoted, b'"') => Ok(ExtensionQuotedEnd),
            (ExtensionQuoted, b'\\') => Ok(ExtensionEscape),
            (ExtensionQuoted | ExtensionEscape, _) if is_quotable(byte) => Ok(ExtensionQuoted),
            _ => Err(BodyError::Malformed("a malformed chunk extension")),
        }
    }

    fn next_digit(&mut self, byte: u8) -> Result<State, BodyError> {
        let digit = hex_digit(byte).ok_or(BodyError::Malformed("a chunk size that is not hexadecimal"))?;
        let too_large = self.line > u16::from(MAX_SIZE_DIGITS) || self.remaining > MAX_CHUNK >> 4;
        if too_large {
            return Err(BodyError::Malformed("a chunk size beyond 2^63-1"));
        }
        self.remaining = self.remaining << 4 | digit;
        Ok(State::Size)
    }

    fn refuse(&mut self, error: BodyError) -> BodyError {
        self.state = State::Refused;
        error
    }
}

fn hex_digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

/// Whether a byte may stand in a quoted string, escaped or not; the two that need an escape are dealt with before.
const fn is_quotable(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

#[cfg(test)]
mod tests;
