//! Rules that implementations often leave out, or answer with another code than the one that is due.
//!
//! Looks at the frames of a client as they arrive, before an implementation of the protocol does. It reads the header of
//! each frame, the values of SETTINGS, and field blocks; everything else passes by untouched.

use std::collections::{HashSet, VecDeque};

use super::field_block;

/// What a client's connection begins with; the guard begins behind it.
const PREFACE_LEN: usize = 24;
const HEADER_LEN: usize = 9;
/// Streams that a client may leave half open, closed ones that we gave up among them.
const MOST_OPEN: usize = 4096;
/// Frames that ask for work and carry nothing, which a client may send at once; what it earns beside them is below.
const CALM: u32 = 2_000;
/// Such frames that each second, each frame that carries something, and each KiB that the client is sent, allow.
const CALM_PER_SECOND: u32 = 20;
const CALM_PER_FRAME: u32 = 4;
const CALM_PER_KIB: u32 = 1;
/// Field blocks whose lengths are remembered until somebody asks for them.
const MOST_BLOCKS: usize = 1024;
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

/// Why a connection has to end (RFC 9113 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
    /// PROTOCOL_ERROR.
    Protocol = 0x1,
    /// FLOW_CONTROL_ERROR.
    FlowControl = 0x3,
    /// STREAM_CLOSED.
    StreamClosed = 0x5,
    /// FRAME_SIZE_ERROR.
    FrameSize = 0x6,
    /// COMPRESSION_ERROR.
    Compression = 0x9,
    /// ENHANCE_YOUR_CALM.
    EnhanceYourCalm = 0xb,
}

/// What a client's frames have led to so far.
#[derive(Debug)]
pub struct Guard {
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
    /// Bytes of the field blocks that opened streams.
    blocks: VecDeque<(u32, usize)>,
    /// Frames that carry nothing which the client may still send.
    calm: u32,
    /// Bytes sent that have not earned the client anything yet.
    unpaid: usize,
    second: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Default for Guard {
    fn default() -> Self {
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
            blocks: VecDeque::new(),
            calm: CALM,
            unpaid: 0,
            second: 0,
        }
    }
}

impl Guard {
    /// At the first byte of a connection, its preface.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The highest stream that the client has opened.
    #[must_use]
    pub const fn last_stream(&self) -> u32 {
        self.last
    }

    /// Whether the field block that arrived last is one that cannot be decoded, when a decoder has refused it; what can
    /// be decoded may still have a bad name or value in it.
    #[must_use]
    pub fn last_block_is_broken(&self) -> bool {
        field_block::is_broken(&self.block)
    }

    /// Bytes of the field block that opened a stream. To be asked once.
    pub fn take_block_len(&mut self, stream: u32) -> Option<usize> {
        let at = self.blocks.iter().position(|(id, _)| *id == stream)?;
        self.blocks.remove(at).map(|(_, len)| len)
    }

    /// Notes that the client was sent bytes, which it may have something to say about.
    pub fn note_sent(&mut self, bytes: usize) {
        self.unpaid += bytes;
        let kib = self.unpaid / 1024;
        self.unpaid %= 1024;
        self.earn(u32::try_from(kib).unwrap_or(CALM).saturating_mul(CALM_PER_KIB));
    }

    /// Moves time on.
    pub fn set_time(&mut self, now_ms: u64) {
        let second = now_ms / 1_000;
        let passed = u32::try_from(second.saturating_sub(self.second)).unwrap_or(CALM);
        self.second = second;
        self.earn(passed.saturating_mul(CALM_PER_SECOND));
    }

    fn earn(&mut self, frames: u32) {
        self.calm = self.calm.saturating_add(frames).min(CALM);
    }

    /// Looks at bytes that have arrived.
    ///
    /// # Errors
    /// The code of the connection error that they are.
    pub fn inspect(&mut self, mut bytes: &[u8]) -> Result<(), Code> {
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

    fn judge_header(&mut self) -> Result<(), Code> {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *self.header.as_slice() else { return Ok(()) };
        self.header.clear();
        let len = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & MAX_WINDOW;
        self.frame = Frame { kind, flags, stream };
        if !self.greeted && (kind != SETTINGS || flags & ACK != 0) {
            return Err(Code::Protocol);
        }
        self.greeted = true;
        check_length(kind, flags, len)?;
        self.count(len)?;
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

    /// Frames that carry nothing may not be many (RFC 9113, section 10.5).
    fn count(&mut self, len: usize) -> Result<(), Code> {
        let Frame { kind, stream, .. } = self.frame;
        match kind {
            DATA if len > 0 => self.earn(CALM_PER_FRAME),
            HEADERS if stream > self.last => self.earn(CALM_PER_FRAME),
            HEADERS | CONTINUATION => {}
            _ => self.calm = self.calm.checked_sub(1).ok_or(Code::EnhanceYourCalm)?,
        }
        Ok(())
    }

    /// Keeps track of who may still send (RFC 9113, section 5.1).
    fn follow_stream(&mut self) -> Result<(), Code> {
        let Frame { kind, flags, stream } = self.frame;
        let opens = kind == HEADERS && stream > self.last;
        match kind {
            HEADERS if opens => {
                self.last = stream;
                self.open.insert(stream);
                if self.open.len() > MOST_OPEN {
                    return Err(Code::EnhanceYourCalm);
                }
            }
            DATA | HEADERS if stream != 0 && stream <= self.last && !self.open.contains(&stream) => {
                return Err(Code::StreamClosed);
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

    fn judge_payload(&mut self) -> Result<(), Code> {
        match self.frame.kind {
            SETTINGS => check_settings(&self.payload),
            HEADERS | CONTINUATION => {
                self.block.extend_from_slice(fragment(self.frame, &self.payload));
                let ended = self.frame.flags & END_HEADERS != 0;
                if ended && !self.is_trailers {
                    if self.blocks.len() >= MOST_BLOCKS {
                        self.blocks.pop_front();
                    }
                    self.blocks.push_back((self.last, self.block.len()));
                }
                if ended && self.is_trailers && field_block::has_pseudo_field(&self.block) {
                    return Err(Code::Protocol);
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
fn check_length(kind: u8, flags: u8, len: usize) -> Result<(), Code> {
    let right = match kind {
        PRIORITY => len == 5,
        RST_STREAM | WINDOW_UPDATE => len == 4,
        SETTINGS if flags & ACK != 0 => len == 0,
        SETTINGS => len.is_multiple_of(6),
        PING => len == 8,
        GOAWAY => len >= 8,
        _ => true,
    };
    if right { Ok(()) } else { Err(Code::FrameSize) }
}

/// RFC 9113, section 6.5.2.
fn check_settings(payload: &[u8]) -> Result<(), Code> {
    for setting in payload.chunks_exact(6) {
        let [i0, i1, v0, v1, v2, v3] = *setting else { continue };
        let value = u32::from_be_bytes([v0, v1, v2, v3]);
        if u16::from_be_bytes([i0, i1]) == INITIAL_WINDOW_SIZE && value > MAX_WINDOW {
            return Err(Code::FlowControl);
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

    fn judge(frames: &[Vec<u8>]) -> Result<(), Code> {
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
        assert_eq!(judge(&[frame(SETTINGS, ACK, 0, &[])]), Err(Code::Protocol));
        assert_eq!(judge(&[frame(PING, 0, 0, &[0; 8])]), Err(Code::Protocol));
    }

    #[test]
    fn nothing_follows_the_end_of_a_stream() {
        let settings = frame(SETTINGS, 0, 0, &[]);
        let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x82]);
        let data = frame(DATA, 0, 1, b"x");
        assert_eq!(judge(&[settings.clone(), request.clone(), data.clone()]), Err(Code::StreamClosed));
        let open = frame(HEADERS, END_HEADERS, 1, &[0x82]);
        assert_eq!(judge(&[settings.clone(), open.clone(), data.clone()]), Ok(()));
        let reset = frame(RST_STREAM, 0, 1, &[0; 4]);
        assert_eq!(judge(&[settings, open, reset, data]), Err(Code::StreamClosed));
    }

    #[test]
    fn a_client_that_only_chatters_is_ended() {
        let settings = frame(SETTINGS, 0, 0, &[]);
        let mut guard = Guard::new();
        let begin = [vec![0; PREFACE_LEN], settings].concat();
        assert_eq!(guard.inspect(&begin), Ok(()));
        let ping = frame(PING, 0, 0, &[0; 8]);
        let chatter = |guard: &mut Guard| (0..).find(|_| guard.inspect(&ping).is_err()).unwrap();
        assert_eq!(chatter(&mut guard), CALM - 1);
        let mut guard = Guard::new();
        assert_eq!(guard.inspect(&begin), Ok(()));
        assert_eq!((0..CALM / 2).try_for_each(|_| guard.inspect(&ping)), Ok(()));
        guard.set_time(3_600_000);
        guard.note_sent(1 << 20);
        assert_eq!(chatter(&mut guard), CALM, "no more is saved up");
    }

    #[test]
    fn trailers_have_no_pseudo_fields() {
        let settings = frame(SETTINGS, 0, 0, &[]);
        let open = frame(HEADERS, END_HEADERS, 1, &[0x82]);
        let trailers = |block| frame(HEADERS, END_HEADERS | END_STREAM, 1, block);
        assert_eq!(judge(&[settings.clone(), open.clone(), trailers(b"\x00\x01x\x01y")]), Ok(()));
        for block in [&b"\x82"[..], b"\x00\x05:path\x01/", b"\x04\x01/"] {
            let frames = [settings.clone(), open.clone(), trailers(block)];
            assert_eq!(judge(&frames), Err(Code::Protocol), "{block:?}");
        }
    }

    #[test]
    fn lengths_and_windows_have_their_own_codes() {
        let settings = frame(SETTINGS, 0, 0, &[]);
        for (kind, len) in
            [(PING, 7), (RST_STREAM, 3), (WINDOW_UPDATE, 5), (GOAWAY, 7), (PRIORITY, 4), (SETTINGS, 5)]
        {
            let wrong = frame(kind, 0, 1, &vec![0; len]);
            assert_eq!(judge(&[settings.clone(), wrong]), Err(Code::FrameSize), "{kind}");
        }
        let window = frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]);
        assert_eq!(judge(&[settings, window]), Err(Code::FlowControl));
    }
}
