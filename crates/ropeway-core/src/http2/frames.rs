//! Where frames begin and end in a stream of bytes (RFC 9113, section 4.1).

pub(super) const HEADER_LEN: usize = 9;
/// The highest number of a stream, and the largest window.
pub(super) const MOST: u32 = 0x7fff_ffff;

pub(super) const DATA: u8 = 0x0;
pub(super) const HEADERS: u8 = 0x1;
pub(super) const PRIORITY: u8 = 0x2;
pub(super) const RST_STREAM: u8 = 0x3;
pub(super) const SETTINGS: u8 = 0x4;
pub(super) const PUSH_PROMISE: u8 = 0x5;
pub(super) const PING: u8 = 0x6;
pub(super) const GOAWAY: u8 = 0x7;
pub(super) const WINDOW_UPDATE: u8 = 0x8;
pub(super) const CONTINUATION: u8 = 0x9;
/// RFC 9218, section 7.1.
pub(super) const PRIORITY_UPDATE: u8 = 0x10;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const WITH_PRIORITY: u8 = 0x20;

/// Where the flags are in the header of a frame.
pub(super) const FLAGS_AT: usize = 4;

/// The header of a frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frame {
    pub len: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Frame {
    pub const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn read([l0, l1, l2, kind, flags, s0, s1, s2, s3]: [u8; HEADER_LEN]) -> Self {
        let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        Self { len, kind, flags, stream: u32::from_be_bytes([s0, s1, s2, s3]) & MOST }
    }

    /// Appends the header. No frame of ours is longer than 24 bits can say.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes());
    }

    pub fn bytes(self) -> [u8; HEADER_LEN] {
        let [_, l0, l1, l2] = u32::try_from(self.len).unwrap_or_default().to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [l0, l1, l2, self.kind, self.flags, s0, s1, s2, s3]
    }
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
    #[inline]
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
        if self.held == 0
            && let Some((header, rest)) = bytes.split_first_chunk()
        {
            *bytes = rest;
            return Some(self.begin(*header));
        }
        let (now, later) = bytes.split_at(bytes.len().min(HEADER_LEN - self.held));
        let end = self.held + now.len();
        self.header.get_mut(self.held..end)?.copy_from_slice(now);
        (*bytes, self.held) = (later, end);
        if end < HEADER_LEN {
            return None;
        }
        self.held = 0;
        Some(self.begin(self.header))
    }

    fn begin(&mut self, header: [u8; HEADER_LEN]) -> Frame {
        let frame = Frame::read(header);
        self.left = Some(frame.len);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_same_in_pieces_of_any_length() {
        let mut bytes = Vec::new();
        for (kind, payload) in [(HEADERS, &b"block"[..]), (SETTINGS, b""), (DATA, b"some data")] {
            Frame { len: payload.len(), kind, flags: END_STREAM, stream: 3 }.write(&mut bytes);
            bytes.extend_from_slice(payload);
        }
        for size in 1..=bytes.len() {
            let (mut frames, mut seen) = (Frames::default(), Vec::new());
            for mut piece in bytes.chunks(size) {
                while let Some(piece) = frames.next(&mut piece) {
                    match piece {
                        Piece::Header(frame) => {
                            assert!(frame.has(END_STREAM) && frame.stream == 3);
                            seen.push((frame.kind, Vec::new()));
                        }
                        Piece::Payload { bytes, .. } => seen.last_mut().unwrap().1.extend_from_slice(bytes),
                    }
                }
            }
            let expected = [(HEADERS, b"block".to_vec()), (SETTINGS, vec![]), (DATA, b"some data".to_vec())];
            assert_eq!(seen, expected, "{size}");
            assert!(!frames.is_within_header());
        }
    }
}
