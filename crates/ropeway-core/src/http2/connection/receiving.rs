//! What the peer's frames mean.

use super::{Connection, Event, Farewell, Fatal, Receiver, ResetBy};
use crate::http2::calm::Calm;
use crate::http2::frames::{
    ACK, CONTINUATION, DATA, END_STREAM, Frame, GOAWAY, HEADERS, MOST, PADDED, PING, PRIORITY,
    PRIORITY_UPDATE, PUSH_PROMISE, Piece, RST_STREAM, SETTINGS, WINDOW_UPDATE,
};
use crate::http2::stream::{Progress, Standing};
use crate::http2::{Code, Scratch};
use crate::priority::Priority;

/// What every connection begins with on the side of the client (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Answers a PING that asks whether the client knows that the connection is to end.
pub(super) const FAREWELL_PING: [u8; 8] = *b"farewell";
/// Bytes of memory that are kept from one payload that came in pieces to the next.
const KEPT: usize = 1024;

/// What is left of the DATA frame that is arriving.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// Whom it is for; 0 is nobody.
    stream: u32,
    /// The length of its padding comes next.
    tells_padding: bool,
    /// Bytes that are no padding.
    left: usize,
}

pub(super) type Heard<'a> = Result<Option<Event<'a>>, Fatal>;

impl<T: Default> Connection<T> {
    /// Takes what is next off the front of `input`: all that leads to an event, or all of it.
    ///
    /// # Errors
    ///
    /// The connection has to end, as the output says; nothing more is heard from the peer.
    pub fn receive<'a>(&mut self, input: &mut &'a [u8], scratch: &mut Scratch) -> Heard<'a> {
        if self.told.is_some() {
            *input = &[];
            return Ok(None);
        }
        let heard = self.try_receive(input, scratch);
        if let Err(fatal) = heard {
            self.abort(fatal.code);
        }
        heard
    }

    fn try_receive<'a>(&mut self, input: &mut &'a [u8], scratch: &mut Scratch) -> Heard<'a> {
        self.take_preface(input)?;
        while let Some(piece) = self.receiver.frames.next(input) {
            let event = match piece {
                Piece::Header(frame) => self.begin_frame(frame)?,
                Piece::Payload { bytes, ends } => match self.receiver.frame.kind {
                    DATA => self.take_data(bytes, ends)?,
                    _ => self.take_piece(bytes, ends, scratch)?,
                },
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        let Receiver { frames, block, frame, now_ms, .. } = &self.receiver;
        let is_within = frames.is_within_header() || (frames.is_within_payload() && frame.kind != DATA);
        let is_unfinished = is_within || block.is_some();
        let since_ms = self.receiver.unfinished_since_ms.unwrap_or(*now_ms);
        self.receiver.unfinished_since_ms = is_unfinished.then_some(since_ms);
        Ok(None)
    }

    fn take_preface(&mut self, input: &mut &[u8]) -> Result<(), Fatal> {
        let wanted = PREFACE.get(self.receiver.preface..).unwrap_or_default();
        if wanted.is_empty() {
            return Ok(());
        }
        let (now, later) = input.split_at(wanted.len().min(input.len()));
        if !wanted.starts_with(now) {
            return Err(Code::PROTOCOL.into());
        }
        self.receiver.preface += now.len();
        *input = later;
        Ok(())
    }

    fn begin_frame(&mut self, frame: Frame) -> Heard<'static> {
        let Frame { len, kind, flags, stream } = frame;
        self.receiver.frame = frame;
        if len > self.limits.max_frame as usize {
            return Err(Code::FRAME_SIZE.into());
        }
        let continues = self.receiver.block.as_ref().map(|block| block.stream);
        if continues.is_some() != (kind == CONTINUATION) || continues.is_some_and(|block| block != stream) {
            return Err(Code::PROTOCOL.into());
        }
        if kind != CONTINUATION {
            self.receiver.unfinished_since_ms = None;
        }
        if !self.receiver.is_greeted && (kind != SETTINGS || flags & ACK != 0) {
            return Err(Code::PROTOCOL.into());
        }
        self.receiver.is_greeted = true;
        check_length(kind, flags, len)?;
        self.check_stream(frame)?;
        if let Some(calm) = &mut self.calm {
            count(calm, frame, stream > self.last)?;
        }
        match kind {
            DATA => self.begin_data(frame),
            HEADERS => self.check_headers(stream).map(|()| None),
            CONTINUATION => self.count_piece(len).map(|()| None),
            PUSH_PROMISE => Err(Code::PROTOCOL.into()),
            _ => Ok(None),
        }
    }

    /// What belongs to streams, and what to the connection (RFC 9113, section 6).
    fn check_stream(&self, frame: Frame) -> Result<(), Code> {
        let Frame { kind, stream, .. } = frame;
        let right = match kind {
            DATA | HEADERS | PRIORITY => stream != 0,
            RST_STREAM => stream != 0 && !self.is_idle(stream),
            WINDOW_UPDATE => stream == 0 || !self.is_idle(stream),
            SETTINGS | PING | GOAWAY => stream == 0,
            PRIORITY_UPDATE => stream == 0 && self.is_server(),
            _ => true,
        };
        if right { Ok(()) } else { Err(Code::PROTOCOL) }
    }

    /// RFC 9113, section 5.1: where HEADERS may come.
    fn check_headers(&self, stream: u32) -> Result<(), Fatal> {
        if self.is_idle(stream) {
            let opens = self.is_server() && !stream.is_multiple_of(2);
            return if opens { Ok(()) } else { Err(Code::PROTOCOL.into()) };
        }
        let standing = self.standing(stream);
        if standing.is_err() && self.streams.was_passed_over(stream) {
            return Err(Code::PROTOCOL.into());
        }
        standing.map(drop)
    }

    /// What may come on a stream that was opened at some time. What clients send after the end of one is an error of the
    /// connection (RFC 9113, section 5.1), which would be that of all who share one to a server: there it is ignored.
    fn standing(&self, stream: u32) -> Result<Standing, Fatal> {
        match self.streams.standing(stream) {
            Standing::Closed if self.is_server() => Err(Code::STREAM_CLOSED.into()),
            Standing::Closed => Ok(Standing::Ignored),
            other => Ok(other),
        }
    }

    fn begin_data(&mut self, frame: Frame) -> Heard<'static> {
        let Frame { len, stream, .. } = frame;
        if self.is_idle(stream) {
            return Err(Code::PROTOCOL.into());
        }
        let standing = self.standing(stream)?;
        if !self.receiver.inflow.arrive(len) {
            return Err(Code::FLOW_CONTROL.into());
        }
        let tells_padding = frame.has(PADDED);
        self.receiver.content = Content { stream, tells_padding, left: len };
        let Some(used) = self.streams.get_mut(stream).filter(|_| standing == Standing::Used) else {
            self.receiver.content.stream = 0;
            if frame.has(END_STREAM) {
                self.streams.note_end(stream);
            }
            self.give_back(0, len);
            return Ok(None);
        };
        if !used.inflow.arrive(len) {
            self.receiver.content.stream = 0;
            self.give_back(0, len);
            return self.reset_for(stream, Code::FLOW_CONTROL).map(Some);
        }
        Ok(None)
    }

    /// Takes a part of the payload of a DATA frame.
    fn take_data<'a>(&mut self, bytes: &'a [u8], ends: bool) -> Heard<'a> {
        let mut bytes = bytes;
        if std::mem::take(&mut self.receiver.content.tells_padding) {
            let Some((padding, rest)) = bytes.split_first() else { return Err(Code::FRAME_SIZE.into()) };
            let padding = usize::from(*padding);
            let content = &mut self.receiver.content;
            content.left = content.left.checked_sub(1 + padding).ok_or(Code::PROTOCOL)?;
            bytes = rest;
            let (stream, is_empty) = (content.stream, content.left == 0);
            if stream != 0 {
                self.give_back(stream, 1 + padding);
            }
            match &mut self.calm {
                Some(calm) if is_empty => calm.spend()?,
                Some(calm) => calm.note_worth(),
                None => {}
            }
        }
        let Receiver { content, frame, .. } = &mut self.receiver;
        let (bytes, _) = bytes.split_at(content.left.min(bytes.len()));
        content.left -= bytes.len();
        let (id, ends) = (content.stream, ends && frame.has(END_STREAM));
        if id == 0 {
            return Ok(None);
        }
        let is_right = self.streams.update(id, |stream| {
            if stream.is_over || stream.receiving == Progress::Head {
                return (!stream.is_over).then_some(false);
            }
            stream.receiving = if ends { Progress::End } else { Progress::Body };
            let Some(left) = &mut stream.length_left else { return Some(true) };
            *left = left.checked_sub(bytes.len() as u64).unwrap_or(u64::MAX);
            Some(*left != u64::MAX && (*left == 0 || !ends))
        });
        match is_right.flatten() {
            Some(true) if bytes.is_empty() && !ends => Ok(None),
            Some(true) => Ok(Some(Event::Data { stream: id, bytes, ends })),
            Some(false) => {
                self.receiver.content.stream = 0;
                self.give_back(0, bytes.len() + self.receiver.content.left);
                self.reset_for(id, Code::PROTOCOL).map(Some)
            }
            // Its user has let go of it, or given it up, in the middle of the frame.
            None => {
                self.give_back(0, bytes.len());
                Ok(None)
            }
        }
    }

    /// Takes a part of the payload of any other frame.
    fn take_piece(&mut self, bytes: &[u8], ends: bool, scratch: &mut Scratch) -> Heard<'static> {
        if ends && self.receiver.payload.is_empty() {
            return self.take_payload(bytes, scratch);
        }
        let is_known = matches!(self.receiver.frame.kind, DATA..=CONTINUATION | PRIORITY_UPDATE);
        if is_known {
            self.receiver.payload.extend_from_slice(bytes);
        }
        if !ends {
            return Ok(None);
        }
        let mut payload = std::mem::take(&mut self.receiver.payload);
        let heard = self.take_payload(&payload, scratch);
        payload.clear();
        payload.shrink_to(KEPT);
        self.receiver.payload = payload;
        heard
    }

    fn take_payload(&mut self, payload: &[u8], scratch: &mut Scratch) -> Heard<'static> {
        let Frame { kind, flags, stream, .. } = self.receiver.frame;
        match kind {
            HEADERS => self.take_headers(payload, scratch),
            CONTINUATION => self.continue_block(payload, scratch),
            SETTINGS if flags & ACK != 0 => self.note_known(),
            SETTINGS => self.take_settings(payload),
            PING => self.take_ping(payload),
            RST_STREAM => self.take_reset(stream, number(payload)),
            WINDOW_UPDATE => self.widen(stream, number(payload) & MOST),
            GOAWAY => Ok(self.take_goaway(number(payload) & MOST)),
            PRIORITY_UPDATE => self.take_priority(payload),
            _ => Ok(None),
        }
    }

    fn take_settings(&mut self, payload: &[u8]) -> Heard<'static> {
        let (before, from_server) = (self.peer.window, !self.is_server());
        let encoder = &mut self.sender.encoder;
        self.peer.update(payload, from_server, |size| encoder.limit_table(size))?;
        let change = i64::from(self.peer.window) - i64::from(before);
        let mut open = self.streams.iter_mut().filter(|(_, stream)| !stream.is_over);
        if change != 0 && !open.all(|(_, stream)| stream.outflow.widen(change)) {
            return Err(Code::FLOW_CONTROL.into());
        }
        Frame { len: 0, kind: SETTINGS, flags: ACK, stream: 0 }.write(&mut self.sender.out);
        Ok(Some(Event::Settings))
    }

    /// The peer knows our SETTINGS from now on.
    fn note_known(&mut self) -> Heard<'static> {
        if !std::mem::replace(&mut self.receiver.is_known, true) {
            let size = self.limits.stream_window;
            self.streams.iter_mut().for_each(|(_, stream)| stream.inflow.resize(size));
        }
        Ok(None)
    }

    fn take_ping(&mut self, payload: &[u8]) -> Heard<'static> {
        let is_answer = self.receiver.frame.has(ACK);
        if !is_answer {
            Frame { len: payload.len(), kind: PING, flags: ACK, stream: 0 }.write(&mut self.sender.out);
            self.sender.out.extend_from_slice(payload);
        } else if self.farewell == Farewell::Announced && payload == FAREWELL_PING {
            self.take_no_more();
        }
        Ok(None)
    }

    fn take_goaway(&mut self, last: u32) -> Option<Event<'static>> {
        self.is_left = true;
        if self.is_server() {
            return None;
        }
        let beyond: Vec<u32> = self.streams.iter_mut().map(|(id, _)| id).filter(|id| *id > last).collect();
        for id in beyond {
            let _ = self.streams.update(id, |stream| stream.is_over = true);
        }
        Some(Event::Leaves { last })
    }

    fn take_reset(&mut self, id: u32, code: u32) -> Heard<'static> {
        let Some(stream) = self.streams.get(id).filter(|stream| !stream.is_over) else {
            self.streams.note_end(id);
            return Ok(None);
        };
        let counts = stream.sending != Progress::End;
        let _ = self.streams.update(id, |stream| {
            stream.is_over = true;
            stream.receiving = Progress::End;
        });
        if let Some(calm) = self.calm.as_mut().filter(|_| counts) {
            calm.note_reset();
            calm.judge_resets()?;
        }
        Ok(Some(Event::Reset { stream: id, by: ResetBy::Peer(Code(code)) }))
    }

    /// RFC 9113, section 6.9.
    fn widen(&mut self, id: u32, increment: u32) -> Heard<'static> {
        if id == 0 {
            if increment == 0 {
                return Err(Code::PROTOCOL.into());
            }
            if !self.sender.outflow.widen(i64::from(increment)) {
                return Err(Code::FLOW_CONTROL.into());
            }
            return Ok(Some(Event::Room { stream: 0 }));
        }
        let Some(stream) = self.streams.get_mut(id).filter(|stream| !stream.is_over) else { return Ok(None) };
        if increment == 0 {
            return self.reset_for(id, Code::PROTOCOL).map(Some);
        }
        if !stream.outflow.widen(i64::from(increment)) {
            return self.reset_for(id, Code::FLOW_CONTROL).map(Some);
        }
        Ok(Some(Event::Room { stream: id }))
    }

    /// RFC 9218, section 7.1. Streams with even numbers would be ours to open, which nobody does.
    fn take_priority(&mut self, payload: &[u8]) -> Heard<'static> {
        let (_, value) = payload.split_first_chunk::<4>().ok_or(Code::FRAME_SIZE)?;
        let stream = number(payload) & MOST;
        if stream.is_multiple_of(2) {
            return Err(Code::PROTOCOL.into());
        }
        // For a stream that is served already it comes too late.
        if stream > self.last {
            self.announced.note(stream, Priority::parse(value));
        }
        Ok(None)
    }

    /// Ends a stream over what the peer has sent.
    pub(super) fn reset_for(&mut self, id: u32, code: Code) -> Result<Event<'static>, Fatal> {
        let _ = self.streams.update(id, |stream| stream.is_over = true);
        self.write_reset(id, code)?;
        Ok(Event::Reset { stream: id, by: ResetBy::Us })
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
    if right { Ok(()) } else { Err(Code::FRAME_SIZE) }
}

/// Frames that carry nothing may not be many (RFC 9113, section 10.5). Of one that is padded is not known yet what it carries.
fn count(calm: &mut Calm, frame: Frame, opens: bool) -> Result<(), Fatal> {
    match frame.kind {
        DATA if frame.has(PADDED) => {}
        DATA if frame.len > 0 => calm.note_worth(),
        HEADERS if opens => calm.note_worth(),
        HEADERS | CONTINUATION => {}
        _ => calm.spend()?,
    }
    Ok(())
}

/// The number at the front.
fn number(payload: &[u8]) -> u32 {
    payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}
