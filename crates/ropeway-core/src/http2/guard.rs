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
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = vec![len[1], len[2], len[3], kind, flags];
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    const MOST_RESETS: u32 = 20;

    /// Behind the preface and SETTINGS.
    fn greeted() -> Guard {
        let mut guard = Guard::new(MOST_RESETS);
        let begin = [vec![0; PREFACE_LEN], frame(SETTINGS, 0, 0, &[])].concat();
        assert_eq!(guard.inspect(&begin), Ok(()));
        guard
    }

    fn judge(frames: &[Vec<u8>]) -> Result<(), Code> {
        let bytes = [vec![0; PREFACE_LEN], frames.concat()].concat();
        let mut whole = Guard::new(MOST_RESETS);
        let result = whole.inspect(&bytes);
        let mut piecemeal = Guard::new(MOST_RESETS);
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
    fn streams_that_were_given_up_by_us_are_no_crime_of_the_client() {
        let mut guard = greeted();
        let stream = |number: usize| u32::try_from(number * 2 + 1).unwrap();
        for number in 0..=MOST_OPEN {
            assert_eq!(guard.inspect(&frame(HEADERS, END_HEADERS, stream(number), &[0x82])), Ok(()));
        }
        let data = |number: usize| frame(DATA, END_STREAM, stream(number), b"x");
        assert_eq!(guard.inspect(&data(0)), Ok(()), "forgotten");
        assert_eq!(guard.inspect(&data(MOST_OPEN)), Ok(()));
        assert_eq!(guard.inspect(&data(MOST_OPEN)), Err(Code::StreamClosed), "not forgotten");
    }

    #[test]
    fn a_client_that_only_chatters_is_ended() {
        let ping = frame(PING, 0, 0, &[0; 8]);
        let chatter = |guard: &mut Guard| (0..).find(|_| guard.inspect(&ping).is_err()).unwrap();
        let mut guard = greeted();
        assert_eq!(chatter(&mut guard), CALM - 1);
        assert_eq!(guard.verdict(), Some(Code::EnhanceYourCalm));
        let mut guard = greeted();
        assert_eq!((0..CALM / 2).try_for_each(|_| guard.inspect(&ping)), Ok(()));
        guard.set_time(3_600_000);
        assert_eq!(guard.note_sent(&frame(DATA, 0, 1, b"x").repeat(CALM as usize)), None);
        assert_eq!(chatter(&mut guard), CALM, "no more is saved up");
    }

    #[test]
    fn each_message_that_a_client_is_sent_may_be_answered_by_windows_and_a_ping() {
        let mut guard = greeted();
        let message = frame(DATA, 0, 1, &[0; 30]);
        let answer = [
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
            frame(WINDOW_UPDATE, 0, 1, &[0; 4]),
            frame(PING, 0, 0, &[0; 8]),
        ];
        for piece in message.repeat(CALM as usize).chunks(1_000) {
            assert_eq!(guard.note_sent(piece), None);
            let answers = piece.len().div_ceil(message.len());
            assert_eq!((0..answers).try_for_each(|_| guard.inspect(&answer.concat())), Ok(()));
        }
    }

    #[test]
    fn answers_to_chatter_earn_nothing() {
        let (ping, pong) = (frame(PING, 0, 0, &[0; 8]), frame(PING, ACK, 0, &[0; 8]));
        let mut guard = greeted();
        let begun = (0..).find(|_| {
            let _ = guard.note_sent(&pong);
            guard.inspect(&ping).is_err()
        });
        assert_eq!(begun, Some(CALM - 1));
    }

    #[test]
    fn resets_are_counted_by_the_minute() {
        let mut guard = greeted();
        let code = |code: u8| frame(RST_STREAM, 0, 1, &[0, 0, 0, code]);
        for minute in 0..10 {
            guard.set_time(minute * MINUTE_MS);
            assert_eq!(guard.note_sent(&code(0x1).repeat(MOST_RESETS as usize - 1)), None);
            guard.note_reset();
            // Those are not for anything that the client has done.
            let blameless = [code(0x0), code(0x2), code(0x8)].concat();
            assert_eq!(guard.note_sent(&blameless.repeat(MOST_RESETS as usize)), None);
            assert_eq!(guard.verdict(), None, "minute {minute}");
        }
        let _ = guard.note_sent(&code(0x1));
        assert_eq!(guard.verdict(), Some(Code::EnhanceYourCalm));
    }

    #[test]
    fn only_a_goaway_is_corrected_and_only_after_a_block_that_cannot_be_decoded() {
        let broken = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0xff, 0xff, 0xff, 0xff]);
        let goaway = frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 1]);
        let look_alike = frame(DATA, 0, 1, &goaway);
        let mut guard = greeted();
        assert_eq!(guard.inspect(&broken), Ok(()));
        assert_eq!(guard.note_sent(&look_alike), None);
        assert_eq!(
            guard.note_sent(&[look_alike.clone(), goaway.clone()].concat()),
            Some(look_alike.len() + 13)
        );
        assert_eq!(guard.told(), Some(9));
        assert_eq!(guard.note_sent(&frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 2])), None);
        assert_eq!(guard.told(), Some(2));
        assert_eq!(guard.inspect(&frame(PING, 0, 0, &[0; 8])), Ok(()));
        assert_eq!(guard.note_sent(&goaway), None, "about something else");
    }

    #[test]
    fn an_idle_connection_keeps_little() {
        let mut guard = greeted();
        let long = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x82; 16_000]);
        assert_eq!(guard.inspect(&long), Ok(()));
        assert_eq!(guard.inspect(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &[0x82])), Ok(()));
        assert_eq!(guard.take(3).block.map(|block| block.len), Some(1));
        assert!(guard.payload.capacity() <= KEPT);
    }

    #[test]
    fn a_field_block_is_measured_without_padding_and_priority() {
        let mut guard = greeted();
        let flags = END_STREAM | PADDED | WITH_PRIORITY;
        let padded = [&[3, 0, 0, 0, 0, 7][..], &[0x82; 10], &[0; 3]].concat();
        let rest = frame(CONTINUATION, END_HEADERS, 1, &[0x82; 5]);
        assert_eq!(guard.inspect(&[frame(HEADERS, flags, 1, &padded), rest].concat()), Ok(()));
        assert_eq!(guard.take(1).block.map(|block| block.len), Some(15));
        assert_eq!(guard.take(1), Opening::default());
    }

    #[test]
    fn what_is_unfinished_is_so_from_its_first_byte_to_its_last() {
        let mut guard = greeted();
        let mut at = |now_ms, bytes: &[u8]| {
            guard.set_time(now_ms);
            guard.inspect(bytes).unwrap();
            guard.unfinished_since_ms()
        };
        let whole = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x82; 4]);
        assert_eq!(at(1, &whole), None);
        assert_eq!(at(2, &whole[..1]), Some(2));
        assert_eq!(at(3, &whole[1..5]), Some(2));
        let next = frame(HEADERS, 0, 3, &[0x82; 4]);
        let mut guard = greeted();
        let mut at = |now_ms, bytes: &[u8]| {
            guard.set_time(now_ms);
            guard.inspect(bytes).unwrap();
            guard.unfinished_since_ms()
        };
        assert_eq!(at(4, &next), Some(4));
        assert_eq!(at(5, &frame(CONTINUATION, 0, 3, &[0x82])), Some(4));
        let last = frame(CONTINUATION, END_HEADERS, 3, &[0x82; 4]);
        assert_eq!(at(6, &last[..11]), Some(4));
        assert_eq!(at(7, &last[11..]), None);
        assert_eq!(at(8, &frame(DATA, 0, 3, b"body")[..10]), None, "bodies have time-outs of their own");
    }

    fn update(stream: u32, value: &[u8]) -> Vec<u8> {
        frame(PRIORITY_UPDATE, 0, 0, &[&stream.to_be_bytes()[..], value].concat())
    }

    #[test]
    fn a_priority_is_heeded_until_its_stream_is_taken() {
        let mut guard = greeted();
        let request = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0x82]);
        let urgency = |opening: Opening| opening.priority.map(|priority| priority.urgency);
        let early = [update(1, b"u=6"), update(5, b"u=5"), update(3, b"u=1"), update(3, b"i")].concat();
        assert_eq!(guard.inspect(&early), Ok(()));
        assert_eq!(guard.inspect(&[request(3), request(7), update(7, b"u=7")].concat()), Ok(()));
        assert_eq!(guard.take(3).priority, Some(Priority { urgency: 3, incremental: true }), "the last one");
        assert_eq!(urgency(guard.take(7)), Some(7), "while it waits");
        assert_eq!(guard.inspect(&[update(7, b"u=0"), request(9)].concat()), Ok(()));
        assert_eq!(urgency(guard.take(7)), None);
        assert_eq!(guard.take(9).priority, None);
    }

    #[test]
    fn a_client_may_announce_some_priorities_and_no_more() {
        let mut guard = greeted();
        let stream = |number: u32| number * 2 + 1;
        for number in 0..100 {
            assert_eq!(guard.inspect(&update(stream(number), b"u=0")), Ok(()));
        }
        let heeded = (0..100).filter(|number| {
            assert_eq!(guard.inspect(&frame(HEADERS, END_HEADERS, stream(*number), &[0x82])), Ok(()));
            guard.take(stream(*number)).priority.is_some()
        });
        assert_eq!(heeded.collect::<Vec<_>>(), (36..100).collect::<Vec<_>>());
    }

    /// RFC 9218 7.1.
    #[test]
    fn a_priority_is_that_of_a_clients_stream_and_told_on_the_connection() {
        let settings = frame(SETTINGS, 0, 0, &[]);
        let wrong = |frame: Vec<u8>| judge(&[settings.clone(), frame]).unwrap_err();
        assert_eq!(wrong(frame(PRIORITY_UPDATE, 0, 1, &[0, 0, 0, 1])), Code::Protocol);
        assert_eq!(wrong(frame(PRIORITY_UPDATE, 0, 0, &[0, 0, 1])), Code::FrameSize);
        assert_eq!(wrong(update(0, b"u=1")), Code::Protocol);
        assert_eq!(wrong(update(2, b"u=1")), Code::Protocol);
        assert_eq!(judge(&[settings.clone(), update(1 << 31 | 1, b"?\0\xff")]), Ok(()));
        let many = update(1, b"u=1").repeat(CALM as usize + 1);
        assert_eq!(judge(&[settings, many]), Err(Code::EnhanceYourCalm));
    }

    #[test]
    fn what_was_refused_without_being_taken_is_told_once() {
        let mut guard = greeted();
        let request = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0x82]);
        assert_eq!(guard.inspect(&[1, 3, 5, 7].map(request).concat()), Ok(()));
        let reset = |stream, code| frame(RST_STREAM, 0, stream, &[0, 0, 0, code]);
        let answer = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x88]);
        let sent = [answer, reset(1, 1), reset(3, 1), reset(5, 1), reset(7, 7)].concat();
        assert_eq!(guard.note_sent(&sent), None);
        assert!(guard.take(3).block.is_some(), "served all the same");
        assert_eq!(guard.take_refused(false), Some(EndReason::HeadTooLarge));
        assert_eq!(guard.take_refused(false), Some(EndReason::BadRequest));
        assert_eq!(guard.take_refused(false), None);
        let long = frame(HEADERS, END_HEADERS | END_STREAM, 9, &[0x82; MOST_BLOCK + 1]);
        assert_eq!(guard.inspect(&long), Ok(()));
        assert_eq!(guard.note_sent(&frame(HEADERS, END_HEADERS | END_STREAM, 9, &[0x88])), None);
        assert_eq!(guard.take_refused(false), Some(EndReason::HeadTooLarge), "not looked at");
    }

    #[test]
    fn of_a_stream_that_was_reset_nothing_is_known_once_the_connection_is_over() {
        let mut guard = greeted();
        for stream in [1, 3] {
            let request = frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0x82]);
            assert_eq!(guard.inspect(&request), Ok(()));
            assert_eq!(guard.inspect(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])), Ok(()));
        }
        assert_eq!(guard.take_refused(false), Some(EndReason::BadRequest));
        assert_eq!(guard.take_refused(true), Some(EndReason::ClientClosed));
    }

    #[test]
    fn what_there_is_too_much_of_has_a_name() {
        let mut guard = greeted();
        assert_eq!(guard.excess(), None);
        (0..=MOST_RESETS).for_each(|_| guard.note_reset());
        assert_eq!(guard.excess(), Some("streams that are reset"));
        let _ = guard.inspect(&frame(PING, 0, 0, &[0; 8]).repeat(CALM as usize));
        assert_eq!(guard.excess(), Some("frames that carry nothing"));
        let mut guard = greeted();
        assert!(guard.inspect(&frame(PING, 0, 0, &[0; 7])).is_err());
        assert_eq!(guard.excess(), None);
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
