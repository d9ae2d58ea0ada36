//! Rules of RFC 9113 that the `h2` crate does not check, or answers with another code than the one that is due.
//!
//! Looks at the frames of a client as they arrive, before the crate does. It reads the header of each frame, the values of
//! SETTINGS, and the field blocks of trailers; everything else passes by untouched.

use std::collections::HashSet;

use h2::Reason;

use super::field_block;

/// What a client's connection begins with; the guard begins behind it.
const PREFACE_LEN: usize = 24;
const HEADER_LEN: usize = 9;
/// Streams that a client may leave half open, closed ones that we gave up among them.
const MOST_OPEN: usize = 4096;
/// Bytes of a field block that are looked at.
const MOST_BLOCK: usize = 64 * 1024;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const PRIORITY: u8 = 0x2;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const WITH_PRIORITY: u8 = 0x20;

const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_WINDOW: u32 = 0x7fff_ffff;

/// What a client's frames have led to so far.
#[derive(Debug)]
pub(super) struct Guard {
    /// Bytes that pass by: of the preface, or of a payload that is not looked at.
    skip: usize,
    header: Vec<u8>,
    frame: Frame,
    /// The payload, of frames that are looked at.
    payload: Vec<u8>,
    wanted: usize,
    greeted: bool,
    /// The highest stream that the client has opened.
    last: u32,
    /// Streams on which the client may still send.
    open: HashSet<u32>,
    /// The field block that is arriving, or arrived last.
    block: Vec<u8>,
    is_trailers: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Guard {
    pub fn new() -> Self {
        Self {
            skip: PREFACE_LEN,
            header: Vec::with_capacity(HEADER_LEN),
            frame: Frame::default(),
            payload: Vec::new(),
            wanted: 0,
            greeted: false,
            last: 0,
            open: HashSet::new(),
            block: Vec::new(),
            is_trailers: false,
        }
    }

    /// The highest stream that the client has opened.
    pub fn last_stream(&self) -> u32 {
        self.last
    }

    /// Whether the last field block cannot be decoded, which the crate calls a protocol error.
    pub fn last_block_is_broken(&self) -> bool {
        field_block::is_broken(&self.block)
    }

    /// Looks at bytes that have arrived.
    ///
    /// # Errors
    ///
    /// The code of the connection error that they are.
    pub fn inspect(&mut self, mut bytes: &[u8]) -> Result<(), Reason> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let count = self.skip.min(bytes.len());
                self.skip -= count;
                bytes = bytes.get(count..).unwrap_or_default();
            } else if self.wanted > 0 {
                bytes = take(bytes, self.wanted, &mut self.payload);
                if self.payload.len() == self.wanted {
                    self.wanted = 0;
                    self.judge_payload()?;
                }
            } else {
                bytes = take(bytes, HEADER_LEN, &mut self.header);
                if self.header.len() == HEADER_LEN {
                    self.judge_header()?;
                }
            }
        }
        Ok(())
    }

    fn judge_header(&mut self) -> Result<(), Reason> {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *self.header.as_slice() else { return Ok(()) };
        self.header.clear();
        let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & MAX_WINDOW;
        self.frame = Frame { kind, flags, stream };
        if !self.greeted && (kind != SETTINGS || flags & ACK != 0) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        self.greeted = true;
        check_length(kind, flags, len)?;
        self.follow_stream()?;
        let looked_at = match kind {
            SETTINGS => len > 0,
            HEADERS | CONTINUATION => self.block.len() + len <= MOST_BLOCK,
            _ => false,
        };
        self.payload.clear();
        (self.skip, self.wanted) = if looked_at { (0, len) } else { (len, 0) };
        Ok(())
    }

    /// Keeps track of who may still send (RFC 9113, section 5.1).
    fn follow_stream(&mut self) -> Result<(), Reason> {
        let Frame { kind, flags, stream } = self.frame;
        let opens = kind == HEADERS && stream > self.last;
        match kind {
            HEADERS if opens => {
                self.last = stream;
                self.open.insert(stream);
                if self.open.len() > MOST_OPEN {
                    return Err(Reason::ENHANCE_YOUR_CALM);
                }
            }
            DATA | HEADERS if stream != 0 && stream <= self.last && !self.open.contains(&stream) => {
                return Err(Reason::STREAM_CLOSED);
            }
            RST_STREAM => drop(self.open.remove(&stream)),
            _ => {}
        }
        if kind == HEADERS {
            self.is_trailers = !opens;
            self.block.clear();
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            self.open.remove(&stream);
        }
        Ok(())
    }

    fn judge_payload(&mut self) -> Result<(), Reason> {
        match self.frame.kind {
            SETTINGS => check_settings(&self.payload),
            HEADERS | CONTINUATION => {
                self.block.extend_from_slice(fragment(self.frame, &self.payload));
                let ended = self.frame.flags & END_HEADERS != 0;
                if ended && self.is_trailers && field_block::has_pseudo_field(&self.block) {
                    return Err(Reason::PROTOCOL_ERROR);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Moves bytes to `into` until it has `most`; returns what is left.
fn take<'a>(bytes: &'a [u8], most: usize, into: &mut Vec<u8>) -> &'a [u8] {
    let count = most.saturating_sub(into.len()).min(bytes.len());
    let (now, later) = bytes.split_at(count);
    into.extend_from_slice(now);
    later
}

/// RFC 9113, sections 6.3 to 6.9: frames of a fixed length.
fn check_length(kind: u8, flags: u8, len: usize) -> Result<(), Reason> {
    let right = match kind {
        PRIORITY => len == 5,
        RST_STREAM | WINDOW_UPDATE => len == 4,
        SETTINGS if flags & ACK != 0 => len == 0,
        SETTINGS => len.is_multiple_of(6),
        PING => len == 8,
        GOAWAY => len >= 8,
        _ => true,
    };
    if right { Ok(()) } else { Err(Reason::FRAME_SIZE_ERROR) }
}

/// RFC 9113, section 6.5.2.
fn check_settings(payload: &[u8]) -> Result<(), Reason> {
    for setting in payload.chunks_exact(6) {
        let [i0, i1, v0, v1, v2, v3] = *setting else { continue };
        let value = u32::from_be_bytes([v0, v1, v2, v3]);
        if u16::from_be_bytes([i0, i1]) == INITIAL_WINDOW_SIZE && value > MAX_WINDOW {
            return Err(Reason::FLOW_CONTROL_ERROR);
        }
    }
    Ok(())
}

/// The part of a HEADERS or CONTINUATION frame that belongs to the field block.
fn fragment(frame: Frame, payload: &[u8]) -> &[u8] {
    if frame.kind != HEADERS {
        return payload;
    }
    let (padding, rest) = match payload.split_first() {
        Some((padding, rest)) if frame.flags & PADDED != 0 => (usize::from(*padding), rest),
        _ => (0, payload),
    };
    let begin = if frame.flags & WITH_PRIORITY != 0 { 5 } else { 0 };
    rest.get(begin..rest.len().saturating_sub(padding)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = vec![len[1], len[2], len[3], kind, flags];
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn judge(frames: &[Vec<u8>]) -> Result<(), Reason> {
        let bytes = [vec![0; PREFACE_LEN], frames.concat()].concat();
        let mut whole = Guard::new();
        let result = whole.inspect(&bytes);
        let mut piecemeal = Guard::new();
        assert_eq!(bytes.chunks(1).try_for_each(|byte| piecemeal.inspect(byte)), result);
        result
    }

    #[test]
    fn the_first_frame_is_settings() {
        assert_eq!(judge(&[frame(SETTINGS, 0, 0, &[])]), Ok(()));
        assert_eq!(judge(&[frame(SETTINGS, ACK, 0, &[])]), Err(Reason::PROTOCOL_ERROR));
        assert_eq!(judge(&[frame(PING, 0, 0, &[0; 8])]), Err(Reason::PROTOCOL_ERROR));
    }

    #[test]
    fn nothing_follows_the_end_of_a_stream() {
        let settings = frame(SETTINGS, 0, 0, &[]);
        let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x82]);
        let data = frame(DATA, 0, 1, b"x");
        assert_eq!(judge(&[settings.clone(), request.clone(), data.clone()]), Err(Reason::STREAM_CLOSED));
        let open = frame(HEADERS, END_HEADERS, 1, &[0x82]);
        assert_eq!(judge(&[settings.clone(), open.clone(), data.clone()]), Ok(()));
        let reset = frame(RST_STREAM, 0, 1, &[0; 4]);
        assert_eq!(judge(&[settings, open, reset, data]), Err(Reason::STREAM_CLOSED));
    }

    #[test]
    fn trailers_have_no_pseudo_fields() {
        let settings = frame(SETTINGS, 0, 0, &[]);
        let open = frame(HEADERS, END_HEADERS, 1, &[0x82]);
        let trailers = |block| frame(HEADERS, END_HEADERS | END_STREAM, 1, block);
        assert_eq!(judge(&[settings.clone(), open.clone(), trailers(b"\x00\x01x\x01y")]), Ok(()));
        for block in [&b"\x82"[..], b"\x00\x05:path\x01/", b"\x04\x01/"] {
            let frames = [settings.clone(), open.clone(), trailers(block)];
            assert_eq!(judge(&frames), Err(Reason::PROTOCOL_ERROR), "{block:?}");
        }
    }

    #[test]
    fn lengths_and_windows_have_their_own_codes() {
        let settings = frame(SETTINGS, 0, 0, &[]);
        for (kind, len) in
            [(PING, 7), (RST_STREAM, 3), (WINDOW_UPDATE, 5), (GOAWAY, 7), (PRIORITY, 4), (SETTINGS, 5)]
        {
            let wrong = frame(kind, 0, 1, &vec![0; len]);
            assert_eq!(judge(&[settings.clone(), wrong]), Err(Reason::FRAME_SIZE_ERROR), "{kind}");
        }
        let window = frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]);
        assert_eq!(judge(&[settings, window]), Err(Reason::FLOW_CONTROL_ERROR));
    }
}
