//! Rules that implementations often leave out, or answer with another code than the one that is due.
//!
//! Looks at the frames of a client as they arrive, before an implementation of the protocol does. It reads the header of
//! each frame, the values of SETTINGS and PRIORITY_UPDATE, and field blocks; everything else passes by untouched.

use std::collections::HashSet;

use super::field_block::{self, Fragment};
use super::frames::{
    CONTINUATION, DATA, Frame, Frames, GOAWAY, HEADERS, PING, PRIORITY, PRIORITY_UPDATE, Piece, RST_STREAM,
    SETTINGS, WINDOW_UPDATE,
};
use super::waiting::{Block, Opening, Waiting};
use crate::end::EndReason;
use crate::priority::Priority;

/// What a client's connection begins with; the guard begins behind it.
pub(super) const PREFACE_LEN: usize = 24;
/// Streams that a client may leave half open and that are told from closed ones.
const MOST_OPEN: usize = 4096;
/// Frames that ask for work and carry nothing, which a client may send at once; what it earns beside them is below.
const CALM: u32 = 2_000;
/// Such frames that each second, and each frame that carries something, allow. A client that is sent DATA may well answer
/// with two WINDOW_UPDATEs and a PING.
const CALM_PER_SECOND: u32 = 20;
const CALM_PER_FRAME: u32 = 4;
/// Such frames that each KiB of DATA that the client is sent allows besides.
const CALM_PER_KIB: u32 = 1;
const MINUTE_MS: u64 = 60_000;
/// Bytes of a field block that are looked at, or of a PRIORITY_UPDATE.
const MOST_BLOCK: usize = 64 * 1024;
/// Bytes of memory that are kept from one looked at payload to the next.
const KEPT: usize = 1024;

pub(super) const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const WITH_PRIORITY: u8 = 0x20;

const INITIAL_WINDOW_SIZE: u16 = 0x4;
pub(super) const MAX_WINDOW: u32 = 0x7fff_ffff;

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

/// Codes of a reset that the client was the reason of: PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR,
/// REFUSED_STREAM and ENHANCE_YOUR_CALM.
const PROVOKED: [u32; 6] = [0x1, 0x3, 0x5, 0x6, REFUSED_STREAM, 0xb];
const REFUSED_STREAM: u32 = 0x7;

/// What a client's frames have led to so far.
#[derive(Debug)]
pub struct Guard {
    /// Bytes of the preface that are to come.
    preface: usize,
    incoming: Frames,
    frame: Frame,
    /// The payload of SETTINGS or PRIORITY_UPDATE, or the field block that is arriving or arrived last.
    payload: Vec<u8>,
    is_looked_at: bool,
    greeted: bool,
    /// The highest stream that the client has opened.
    last: u32,
    /// Streams on which the client may still send.
    open: HashSet<u32>,
    /// Streams up to this one are not known any more.
    forgotten: u32,
    is_trailers: bool,
    waiting: Waiting,
    outgoing: Frames,
    sent: Frame,
    /// The code of the error that the client was told of in a GOAWAY frame; 0 is none.
    told: u32,
    /// Frames that carry nothing which the client may still send.
    calm: u32,
    second: u64,
    /// Streams that were reset in this minute, by the client or because of it, and how many may be.
    resets: u32,
    most_resets: u32,
    minute: u64,
    now_ms: u64,
    unfinished_since_ms: Option<u64>,
    verdict: Option<Code>,
}

impl Guard {
    /// At the first byte of a connection, its preface. More than so many streams may not be reset in a minute.
    #[must_use]
    pub fn new(most_resets: u32) -> Self {
        Self {
            preface: PREFACE_LEN,
            incoming: Frames::default(),
            frame: Frame::default(),
            payload: Vec::new(),
            is_looked_at: false,
            greeted: false,
            last: 0,
            open: HashSet::new(),
            forgotten: 0,
            is_trailers: false,
            waiting: Waiting::default(),
            outgoing: Frames::default(),
            sent: Frame::default(),
            told: 0,
            calm: CALM,
            second: 0,
            resets: 0,
            most_resets,
            minute: 0,
            now_ms: 0,
            unfinished_since_ms: None,
            verdict: None,
        }
    }

    /// The code of the error that the client was told that its connection ends over.
    #[must_use]
    pub fn told(&self) -> Option<u32> {
        Some(self.told).filter(|code| *code != 0)
    }

    /// Why the connection has to end, if it has to.
    #[must_use]
    pub fn verdict(&self) -> Option<Code> {
        self.verdict.or(self.resets_too_much().then_some(Code::EnhanceYourCalm))
    }

    /// What there is too much of, if that is why the connection has to end.
    #[must_use]
    pub fn excess(&self) -> Option<&'static str> {
        match self.verdict {
            Some(Code::EnhanceYourCalm) => Some("frames that carry nothing"),
            None if self.resets_too_much() => Some("streams that are reset"),
            _ => None,
        }
    }

    /// The time since which the header of a frame, or a field block, is arriving. Until it is complete no stream can wait
    /// for what is missing, and none can go on.
    #[must_use]
    pub fn unfinished_since_ms(&self) -> Option<u64> {
        self.unfinished_since_ms
    }

    /// Takes what is known of a stream that is served from now on.
    pub fn take(&mut self, stream: u32) -> Opening {
        self.waiting.take(stream).unwrap_or_default()
    }

    /// Why a stream was refused that nobody has taken: [`EndReason::HeadTooLarge`] if it was answered,
    /// [`EndReason::BadRequest`] if it was reset, by whichever side; but [`EndReason::ClientClosed`] if the client has reset it
    /// and the connection `is_over`, which keeps good ones from being taken, too. Tells of each once; to be asked when no
    /// stream is left to be taken.
    pub fn take_refused(&mut self, is_over: bool) -> Option<EndReason> {
        let refused = self.waiting.take_refused()?;
        if refused.is_abandoned {
            self.note_reset();
        }
        Some(if refused.is_abandoned && is_over { EndReason::ClientClosed } else { refused.reason })
    }

    /// Moves time on.
    pub fn set_time(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        let second = now_ms / 1_000;
        let passed = u32::try_from(second.saturating_sub(self.second)).unwrap_or(CALM);
        self.second = second;
        self.earn(passed.saturating_mul(CALM_PER_SECOND));
        let minute = now_ms / MINUTE_MS;
        if minute != self.minute {
            (self.minute, self.resets) = (minute, 0);
        }
    }

    /// Notes that the client has reset a stream that was not over.
    pub fn note_reset(&mut self) {
        self.resets = self.resets.saturating_add(1);
    }

    /// Follows frames that the client is sent, which it may have something to say about. Tells where in `bytes` the code of
    /// a GOAWAY frame is that says PROTOCOL_ERROR and means COMPRESSION_ERROR: a decoder has refused the last field block.
    pub fn note_sent(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut wrong = None;
        let mut rest = bytes;
        while let Some(piece) = self.outgoing.next(&mut rest) {
            match piece {
                Piece::Header(frame) => {
                    self.sent = frame;
                    if matches!(frame.kind, DATA | HEADERS) {
                        let kib = u32::try_from(frame.len / 1024).unwrap_or(CALM);
                        self.earn(CALM_PER_FRAME + kib * CALM_PER_KIB);
                    }
                    if frame.kind == HEADERS {
                        self.waiting.refuse(frame.stream, Some(EndReason::HeadTooLarge));
                    }
                }
                // Frames that are so short are never sent in pieces.
                Piece::Payload { bytes: payload, .. } => match (self.sent.kind, payload) {
                    (RST_STREAM, [c0, c1, c2, c3]) => {
                        let code = u32::from_be_bytes([*c0, *c1, *c2, *c3]);
                        self.resets = self.resets.saturating_add(u32::from(PROVOKED.contains(&code)));
                        let is_malformed = code != REFUSED_STREAM;
                        self.waiting.refuse(self.sent.stream, is_malformed.then_some(EndReason::BadRequest));
                    }
                    (GOAWAY, [_, _, _, _, 0, 0, 0, 1, ..]) if self.last_block_is_broken() => {
                        self.told = Code::Compression as u32;
                        wrong = Some(bytes.len() - rest.len() - payload.len() + 4);
                    }
                    (GOAWAY, [_, _, _, _, c0, c1, c2, c3, ..]) => {
                        self.told = u32::from_be_bytes([*c0, *c1, *c2, *c3]);
                    }
                    _ => {}
                },
            }
        }
        wrong
    }

    /// Looks at bytes that have arrived.
    ///
    /// # Errors
    /// The code of the connection error that they are, which is the verdict from then on.
    pub fn inspect(&mut self, bytes: &[u8]) -> Result<(), Code> {
        let (_, mut frames) = bytes.split_at(self.preface.min(bytes.len()));
        self.preface -= bytes.len() - frames.len();
        let result = self.judge(&mut frames);
        let is_unfinished = self.incoming.is_within_header() || self.is_within_block();
        self.unfinished_since_ms = is_unfinished.then_some(self.unfinished_since_ms.unwrap_or(self.now_ms));
        self.verdict = self.verdict.or(result.err());
        result
    }

    fn judge(&mut self, frames: &mut &[u8]) -> Result<(), Code> {
        while let Some(piece) = self.incoming.next(frames) {
            match piece {
                Piece::Header(frame) => self.judge_header(frame)?,
                Piece::Payload { bytes, ends } if self.is_looked_at => {
                    self.payload.extend_from_slice(bytes);
                    if ends {
                        self.judge_payload()?;
                    }
                }
                Piece::Payload { .. } => {}
            }
        }
        Ok(())
    }

    fn judge_header(&mut self, frame: Frame) -> Result<(), Code> {
        let Frame { len, kind, flags, stream } = frame;
        self.frame = frame;
        if kind != CONTINUATION {
            self.unfinished_since_ms = None;
        }
        if !self.greeted && (kind != SETTINGS || flags & ACK != 0) {
            return Err(Code::Protocol);
        }
        self.greeted = true;
        check_length(kind, flags, len)?;
        if kind == PRIORITY_UPDATE && stream != 0 {
            return Err(Code::Protocol);
        }
        self.count()?;
        self.follow_stream()?;
        if kind != CONTINUATION {
            self.payload.clear();
            self.payload.shrink_to(KEPT);
        }
        self.is_looked_at = match kind {
            SETTINGS => true,
            HEADERS | CONTINUATION | PRIORITY_UPDATE => self.payload.len() + len <= MOST_BLOCK,
            _ => false,
        };
        Ok(())
    }

    /// Frames that carry nothing may not be many (RFC 9113, section 10.5).
    fn count(&mut self) -> Result<(), Code> {
        let Frame { len, kind, stream, .. } = self.frame;
        match kind {
            DATA if len > 0 => self.earn(CALM_PER_FRAME),
            HEADERS if stream > self.last => self.earn(CALM_PER_FRAME),
            HEADERS | CONTINUATION => {}
            _ => self.calm = self.calm.checked_sub(1).ok_or(Code::EnhanceYourCalm)?,
        }
        Ok(())
    }

    fn earn(&mut self, frames: u32) {
        self.calm = self.calm.saturating_add(frames).min(CALM);
    }

    /// Keeps track of who may still send (RFC 9113, section 5.1).
    fn follow_stream(&mut self) -> Result<(), Code> {
        let Frame { len, kind, flags, stream } = self.frame;
        let opens = kind == HEADERS && stream > self.last;
        match kind {
            // A client's own streams have odd numbers (section 5.1.1).
            HEADERS if opens && stream.is_multiple_of(2) => return Err(Code::Protocol),
            // The stream is idle. Of other frames on idle streams the implementation behind us gets to know.
            DATA if len == 0 && stream > self.last => return Err(Code::Protocol),
            HEADERS if opens => self.open(stream),
            DATA | HEADERS
                if (self.forgotten + 1..=self.last).contains(&stream) && !self.open.contains(&stream) =>
            {
                return Err(Code::StreamClosed);
            }
            RST_STREAM => {
                self.open.remove(&stream);
                self.waiting.abandon(stream);
            }
            _ => {}
        }
        if kind == HEADERS {
            self.is_trailers = !opens;
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            self.open.remove(&stream);
        }
        Ok(())
    }

    /// A stream that we have ended may stay half open for ever, as its client sees it: when there are too many, all are
    /// left to the implementation behind us.
    fn open(&mut self, stream: u32) {
        if self.open.len() >= MOST_OPEN {
            self.open.clear();
            self.forgotten = self.last;
        }
        self.last = stream;
        self.open.insert(stream);
        self.waiting.open(stream);
    }

    fn judge_payload(&mut self) -> Result<(), Code> {
        let Frame { kind, flags, .. } = self.frame;
        match kind {
            SETTINGS => return check_settings(&self.payload),
            PRIORITY_UPDATE => return self.update_priority(),
            HEADERS => trim(flags, &mut self.payload),
            _ => {}
        }
        if flags & END_HEADERS == 0 {
            return Ok(());
        }
        if self.is_trailers {
            return if field_block::has_pseudo_field(&self.payload) { Err(Code::Protocol) } else { Ok(()) };
        }
        let fragment = field_block::fragment(&self.payload);
        let block = Block { len: self.payload.len(), has_fragment: fragment != Fragment::None };
        self.waiting.set_block(self.last, block);
        // Nobody would see it in the blocks that refer to it.
        if fragment == Fragment::Kept { Err(Code::Protocol) } else { Ok(()) }
    }

    /// RFC 9218, section 7.1. Streams with even numbers would be ours to open, which nobody does.
    fn update_priority(&mut self) -> Result<(), Code> {
        let (stream, value) = self.payload.split_first_chunk().ok_or(Code::FrameSize)?;
        let stream = u32::from_be_bytes(*stream) & MAX_WINDOW;
        if stream.is_multiple_of(2) {
            return Err(Code::Protocol);
        }
        self.waiting.set_priority(stream, Priority::parse(value), self.last);
        Ok(())
    }

    const fn resets_too_much(&self) -> bool {
        self.resets > self.most_resets
    }

    fn is_within_block(&self) -> bool {
        let is_block = matches!(self.frame.kind, HEADERS | CONTINUATION);
        is_block && (self.frame.flags & END_HEADERS == 0 || self.incoming.is_within_payload())
    }

    /// Whether a field block was the last thing to arrive and cannot be decoded, when a decoder has refused it; what can be
    /// decoded may still have a bad name or value in it.
    fn last_block_is_broken(&self) -> bool {
        matches!(self.frame.kind, HEADERS | CONTINUATION) && field_block::is_broken(&self.payload)
    }
}

/// RFC 9113, sections 6.3 to 6.9, and RFC 9218, section 7.1: frames of a fixed or least length.
fn check_length(kind: u8, flags: u8, len: usize) -> Result<(), Code> {
    let right = match kind {
        PRIORITY => len == 5,
        RST_STREAM | WINDOW_UPDATE => len == 4,
        SETTINGS if flags & ACK != 0 => len == 0,
        SETTINGS => len.is_multiple_of(6),
        PING => len == 8,
        GOAWAY => len >= 8,
        PRIORITY_UPDATE => len >= 4,
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

/// Leaves the part of a HEADERS frame that belongs to the field block (RFC 9113, section 6.2).
fn trim(flags: u8, payload: &mut Vec<u8>) {
    let is_padded = flags & PADDED != 0;
    let padding = payload.first().filter(|_| is_padded).map_or(0, |padding| usize::from(*padding));
    let before = usize::from(is_padded) + if flags & WITH_PRIORITY != 0 { 5 } else { 0 };
    payload.truncate(payload.len().saturating_sub(padding));
    payload.drain(..before.min(payload.len()));
}

#[cfg(test)]
mod tests;
