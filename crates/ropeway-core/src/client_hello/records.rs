//! Records and the handshake message inside them (RFC 8446 5.1).

use std::borrow::Cow;

use super::error::ClientHelloError;
use crate::wire::WireReader;

/// The most records that one ClientHello may be spread over. A sender that splits its messages at 512 bytes, the
/// least that peers agree on (RFC 6066 4), needs 33 for 16 KiB.
pub const MAX_RECORDS: usize = 64;

const RECORD_HEADER: usize = 5;
const MESSAGE_HEADER: usize = 4;
const CONTENT_HANDSHAKE: u8 = 22;
const TYPE_CLIENT_HELLO: u8 = 1;
const MAX_FRAGMENT: usize = 1 << 14;

/// The one message that we look for.
pub(super) enum Handshake<'a> {
    Partial,
    Complete {
        /// The message without its header, in one piece.
        body: Cow<'a, [u8]>,
        /// Bytes of the input up to the end of the last record.
        consumed: usize,
    },
}

/// Finds the message, of at most `limit` bytes with its header, at the start of the input.
pub(super) fn gather(input: &[u8], limit: usize) -> Result<Handshake<'_>, ClientHelloError> {
    recognise(input)?;
    let mut message = Message { fragments: [&[]; MAX_RECORDS], arrived: 0 };
    let mut records = WireReader::new(input);
    for index in 0..MAX_RECORDS {
        let Some(record) = Record::read(&mut records)? else { return Ok(Handshake::Partial) };
        message.take(index, record.fragment);
        let expected = message.expected(limit)?.unwrap_or(usize::MAX);
        // Keys may change behind a ClientHello, and no record may span that (RFC 8446 5.1).
        if message.arrived + record.missing > expected {
            return Err(ClientHelloError::Malformed("bytes behind the ClientHello in its record"));
        }
        if message.arrived == expected {
            return Ok(message.complete(input.len() - records.len()));
        }
        if record.missing > 0 {
            return Ok(Handshake::Partial);
        }
    }
    Err(ClientHelloError::TooLarge)
}

/// Tells by the first bytes whether this is TLS at all.
fn recognise(input: &[u8]) -> Result<(), ClientHelloError> {
    match input {
        [] | [CONTENT_HANDSHAKE] | [CONTENT_HANDSHAKE, 3, ..] => Ok(()),
        [first, ..] if first.is_ascii_alphabetic() => Err(ClientHelloError::PlainHttp),
        _ => Err(ClientHelloError::NotTls),
    }
}

/// As much of one record as has arrived.
struct Record<'a> {
    fragment: &'a [u8],
    /// Bytes of it that have not arrived.
    missing: usize,
}

impl<'a> Record<'a> {
    /// Reads a record; `None` when its header has not arrived.
    fn read(input: &mut WireReader<'a>) -> Result<Option<Self>, ClientHelloError> {
        // An unexpected record is refused by its first byte: the rest may never come.
        if input.rest().first().is_some_and(|&content| content != CONTENT_HANDSHAKE) {
            return Err(ClientHelloError::Malformed("another record inside the ClientHello"));
        }
        let Some([_, major, _, high, low]) = input.array::<RECORD_HEADER>() else { return Ok(None) };
        let len = usize::from(u16::from_be_bytes([high, low]));
        if major != 3 {
            return Err(ClientHelloError::Malformed("a record version that is not of TLS"));
        }
        if len == 0 || len > MAX_FRAGMENT {
            return Err(ClientHelloError::Malformed("a record that is empty or too long"));
        }
        let arrived = len.min(input.len());
        let fragment = input.take(arrived).unwrap_or_default();
        Ok(Some(Self { fragment, missing: len - arrived }))
    }
}

/// As much of the message as has arrived.
struct Message<'a> {
    fragments: [&'a [u8]; MAX_RECORDS],
    arrived: usize,
}

impl<'a> Message<'a> {
    fn take(&mut self, index: usize, fragment: &'a [u8]) {
        if let Some(slot) = self.fragments.get_mut(index) {
            *slot = fragment;
            self.arrived += fragment.len();
        }
    }

    /// The length of the message with its header; `None` when its header has not arrived.
    fn expected(&self, limit: usize) -> Result<Option<usize>, ClientHelloError> {
        let mut header = [0; MESSAGE_HEADER];
        let arrived = self.fragments.iter().copied().flatten();
        header.iter_mut().zip(arrived).for_each(|(slot, byte)| *slot = *byte);
        let [kind, high, middle, low] = header;
        if self.arrived > 0 && kind != TYPE_CLIENT_HELLO {
            return Err(ClientHelloError::Malformed("a handshake message other than ClientHello"));
        }
        if self.arrived < MESSAGE_HEADER {
            return Ok(None);
        }
        let len = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        let len = len + MESSAGE_HEADER;
        if len > limit { Err(ClientHelloError::TooLarge) } else { Ok(Some(len)) }
    }

    fn complete(&self, consumed: usize) -> Handshake<'a> {
        let body = match self.fragments {
            [only, [], ..] => Cow::Borrowed(only.get(MESSAGE_HEADER..).unwrap_or_default()),
            _ => Cow::Owned(self.fragments.iter().copied().flatten().skip(MESSAGE_HEADER).copied().collect()),
        };
        Handshake::Complete { body, consumed }
    }
}
