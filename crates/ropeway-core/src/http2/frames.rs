//! Where frames begin and end in a stream of bytes (RFC 9113, section 4.1).

use super::guard::MAX_WINDOW;

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
