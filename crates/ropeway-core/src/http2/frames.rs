//! Where frames begin and end in a stream of bytes (RFC 9113, section 4.1).

use super::guard::{END_STREAM, MAX_WINDOW, PREFACE_LEN};

const HEADER_LEN: usize = 9;

pub(super) const DATA: u8 = 0x0;
pub(super) const HEADERS: u8 = 0x1;
pub(super) const PRIORITY: u8 = 0x2;
pub(super) const RST_STREAM: u8 = 0x3;
pub(super) const SETTINGS: u8 = 0x4;
pub(super) const PING: u8 = 0x6;
pub(super) const GOAWAY: u8 = 0x7;
pub(super) const WINDOW_UPDATE: u8 = 0x8;
pub(super) const CONTINUATION: u8 = 0x9;
/// RFC 9218, section 7.1.
pub(super) const PRIORITY_UPDATE: u8 = 0x10;

/// The header of a frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frame {
    pub len: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

/// What follows in a stream of frames.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    Header(Frame),
    /// Of the payload of the last header; an empty one, too, has an end.
    Payload {
        bytes: &'a [u8],
        ends: bool,
    },
}

/// Tells frames apart that come in pieces of any length.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER_LEN],
    /// Bytes of a header that are here.
    held: usize,
    /// Bytes of a payload that are to come.
    left: Option<usize>,
}

impl Frames {
    /// Takes what is next off the front of `bytes`.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        let Some(left) = self.left else { return self.header(bytes).map(Piece::Header) };
        if bytes.is_empty() && left > 0 {
            return None;
        }
        let (now, later) = bytes.split_at(left.min(bytes.len()));
        *bytes = later;
        self.left = Some(left - now.len()).filter(|left| *left > 0);
        Some(Piece::Payload { bytes: now, ends: self.left.is_none() })
    }

    /// Whether a part of a header is here.
    pub const fn is_within_header(&self) -> bool {
        self.held > 0
    }

    /// Whether a part of a payload is to come.
    pub const fn is_within_payload(&self) -> bool {
        self.left.is_some()
    }

    fn header(&mut self, bytes: &mut &[u8]) -> Option<Frame> {
        let (now, later) = bytes.split_at(bytes.len().min(HEADER_LEN - self.held));
        let end = self.held + now.len();
        self.header.get_mut(self.held..end)?.copy_from_slice(now);
        (*bytes, self.held) = (later, end);
        if end < HEADER_LEN {
            return None;
        }
        self.held = 0;
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = self.header;
        let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        self.left = Some(len);
        Some(Frame { len, kind, flags, stream: u32::from_be_bytes([s0, s1, s2, s3]) & MAX_WINDOW })
    }
}

/// A kind of frame that nobody knows, which is ignored (RFC 9113, section 5.5).
const UNKNOWN: u8 = 0xff;
/// Where the kind is in the header of a frame, counted from the end.
const KIND_FROM_END: usize = 6;

/// Makes frames of DATA that carry nothing and end nothing frames that are ignored. Some peers send one to flush, and the
/// `h2` crate ends a connection at the hundredth, however long it has been there.
#[derive(Debug)]
pub struct EmptyData {
    preface: usize,
    frames: Frames,
}

impl EmptyData {
    /// At the first byte that a client sends, of its preface.
    #[must_use]
    pub fn of_client() -> Self {
        Self { preface: PREFACE_LEN, frames: Frames::default() }
    }

    /// At the first byte that a server sends.
    #[must_use]
    pub fn of_server() -> Self {
        Self { preface: 0, frames: Frames::default() }
    }

    /// Looks at bytes that have arrived. A frame whose header comes in two pieces stays as it is if the first has its kind.
    pub fn hide(&mut self, bytes: &mut [u8]) {
        let mut at = self.preface.min(bytes.len());
        self.preface -= at;
        while let Some(mut rest) = bytes.get(at..)
            && let Some(piece) = self.frames.next(&mut rest)
        {
            at = bytes.len() - rest.len();
            if let Piece::Header(Frame { len: 0, kind: DATA, flags, stream: 1.. }) = piece
                && flags & END_STREAM == 0
                && let Some(kind) = at.checked_sub(KIND_FROM_END).and_then(|at| bytes.get_mut(at))
            {
                *kind = UNKNOWN;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream], payload].concat()
    }

    #[test]
    fn only_data_without_a_purpose_is_hidden() {
        let kept = [
            frame(HEADERS, 0, 1, b"block"),
            frame(DATA, 0, 1, b"body"),
            frame(DATA, END_STREAM, 1, b""),
            frame(DATA, 0, 0, b""),
            frame(SETTINGS, 0, 0, b""),
        ];
        for kept in &kept {
            for size in 1..=30 {
                let arrived = [&kept[..], &frame(DATA, 0, 3, b""), kept, kept].concat();
                let expected = [&kept[..], &frame(UNKNOWN, 0, 3, b""), kept, kept].concat();
                let (mut filter, mut seen) = (EmptyData::of_server(), arrived.clone());
                seen.chunks_mut(size).for_each(|piece| filter.hide(piece));
                let kind_at = kept.len() + 3;
                let is_split = (kind_at + 1..kept.len() + HEADER_LEN).any(|at| at.is_multiple_of(size));
                assert_eq!(seen, if is_split { arrived } else { expected }, "{size}");
            }
        }
    }

    #[test]
    fn the_preface_of_a_client_is_no_frame() {
        let mut arrived = [&[0; PREFACE_LEN][..], &frame(DATA, 0, 1, b"")].concat();
        EmptyData::of_client().hide(&mut arrived);
        assert_eq!(arrived, [&[0; PREFACE_LEN][..], &frame(UNKNOWN, 0, 1, b"")].concat());
    }
}
