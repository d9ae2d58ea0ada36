//! What field blocks come to: requests, responses and trailers.

use super::receiving::Heard;
use super::{Connection, Event, Farewell, Fatal, TABLE_SIZE};
use crate::end::EndReason;
use crate::http2::frames::{END_HEADERS, END_STREAM, PADDED, WITH_PRIORITY};
use crate::http2::message::{Facts, Outcome, Part, Reading};
use crate::http2::stream::{Progress, Stream};
use crate::http2::{Code, Scratch};
use crate::priority::Priority;

/// Frames that a field block may come in, besides one for each of its 4 KiB.
const MOST_PIECES: usize = 16;
const PIECE: usize = 4096;
/// How long a field block may be, and still be answered: Huffman codes of rare characters are longer than these, and a list
/// that is too long is to be told so.
const BLOCK_SLACK: usize = 16 * 1024;
const LARGER_CODED: usize = 2;
/// How many times longer than allowed a list may be: then it is no mistake, and the connection ends.
const FAR_TOO_LARGE: usize = 64;
/// How much longer than the block that it came in a head may be beside what the dynamic table can hold: a byte can stand for
/// 60 of the static table, Huffman codes for less than twice themselves. A block that comes to more refers to the same entry
/// many times.
const EXPANSION: usize = 16;

/// A field block of which more is to come.
#[derive(Debug)]
pub(super) struct Block {
    pub stream: u32,
    ends: bool,
    pieces: usize,
    bytes: Vec<u8>,
}

impl<T: Default> Connection<T> {
    /// Takes the payload of a HEADERS frame.
    pub(super) fn take_headers(&mut self, payload: &[u8], scratch: &mut Scratch) -> Heard<'static> {
        let frame = self.receiver.frame;
        let (stream, ends) = (frame.stream, frame.has(END_STREAM));
        let fragment = trim(frame.flags, payload)?;
        if frame.has(END_HEADERS) {
            return self.take_block(stream, ends, fragment, scratch);
        }
        self.receiver.block = Some(Block { stream, ends, pieces: 0, bytes: fragment.to_vec() });
        Ok(None)
    }

    pub(super) fn continue_block(&mut self, payload: &[u8], scratch: &mut Scratch) -> Heard<'static> {
        let Some(block) = &mut self.receiver.block else { return Err(Code::PROTOCOL.into()) };
        block.bytes.extend_from_slice(payload);
        if !self.receiver.frame.has(END_HEADERS) {
            return Ok(None);
        }
        match self.receiver.block.take() {
            Some(Block { stream, ends, bytes, .. }) => self.take_block(stream, ends, &bytes, scratch),
            None => Ok(None),
        }
    }

    /// Takes a whole field block.
    fn take_block(&mut self, id: u32, ends: bool, block: &[u8], scratch: &mut Scratch) -> Heard<'static> {
        if self.is_server() && id > self.last {
            return self.take_request(id, ends, block, scratch);
        }
        let goes_on = |stream: &&Stream<T>| !stream.is_over && stream.receiving != Progress::End;
        let receiving = self.streams.get(id).filter(goes_on).map(|stream| stream.receiving);
        let part = match receiving {
            Some(Progress::Head) if !self.is_server() => Part::Response,
            _ => Part::Trailers,
        };
        let outcome = self.read(part, block, None, scratch)?;
        if receiving.is_none() {
            if ends {
                self.streams.note_end(id);
            }
            return Ok(None);
        }
        let event = match outcome {
            Outcome::Good(facts) if part == Part::Response => self.take_response(id, ends, facts),
            Outcome::Good(_) if ends => self.take_trailers(id),
            _ => None,
        };
        match event {
            Some(event) => Ok(Some(event)),
            None => self.reset_for(id, Code::PROTOCOL).map(Some),
        }
    }

    fn take_request(&mut self, id: u32, ends: bool, block: &[u8], scratch: &mut Scratch) -> Heard<'static> {
        self.streams.note_gap(self.last, id);
        self.last = id;
        let priority = self.announced.take(id);
        let outcome = self.read(Part::Request, block, priority, scratch)?;
        if self.farewell == Farewell::Said {
            self.streams.linger(id);
            return Ok(None);
        }
        self.last_taken = id;
        if !ends {
            // Until it has a user.
            self.streams.linger(id);
        }
        if self.streams.open_count() >= self.limits.streams as usize {
            self.write_reset(id, Code::REFUSED_STREAM)?;
            return Ok(None);
        }
        match outcome {
            Outcome::Good(_) if scratch.text().len() > TABLE_SIZE as usize + EXPANSION * block.len() => {
                // Without an answer, which a client that opens no window would leave with us.
                self.write_reset(id, Code::ENHANCE_YOUR_CALM)?;
                Ok(Some(Event::Refused { reason: EndReason::HeadTooLarge, bytes: block.len() }))
            }
            Outcome::Good(facts) if ends && facts.length.is_some_and(|length| length > 0) => {
                self.refuse(id, block)
            }
            Outcome::Good(facts) => {
                self.open(id, ends, facts);
                Ok(Some(Event::Head { stream: id, ends, is_tunnel: facts.is_tunnel }))
            }
            Outcome::Malformed => self.refuse(id, block),
            Outcome::TooLarge(times) if times >= FAR_TOO_LARGE => {
                let excess = Some("fields that are far too long: excessive load");
                Err(Fatal { code: Code::ENHANCE_YOUR_CALM, excess })
            }
            Outcome::TooLarge(_) => {
                self.write_status(id, b"431");
                if !ends {
                    self.write_reset(id, Code::NO_ERROR)?;
                }
                Ok(Some(Event::Refused { reason: EndReason::HeadTooLarge, bytes: block.len() }))
            }
        }
    }

    fn open(&mut self, id: u32, ends: bool, facts: Facts) {
        self.streams.note_end(id);
        let mut stream = Stream::new(T::default(), self.stream_window(), self.peer.window);
        stream.receiving = if ends { Progress::End } else { Progress::Body };
        stream.length_left = facts.length;
        self.streams.insert(id, stream);
    }

    fn refuse(&mut self, id: u32, block: &[u8]) -> Heard<'static> {
        self.write_reset(id, Code::PROTOCOL)?;
        Ok(Some(Event::Refused { reason: EndReason::BadRequest, bytes: block.len() }))
    }

    /// Takes the head of a response. `None` if there is something wrong with it.
    fn take_response(&mut self, id: u32, ends: bool, facts: Facts) -> Option<Event<'static>> {
        let is_interim = facts.status < 200;
        let is_right = self.streams.update(id, |stream| {
            if is_interim {
                return !ends;
            }
            let has_content = !(stream.has_no_content || matches!(facts.status, 204 | 304));
            stream.length_left = if has_content { facts.length } else { Some(0) };
            stream.receiving = if ends { Progress::End } else { Progress::Body };
            !ends || stream.length_left.is_none_or(|length| length == 0)
        })?;
        is_right.then_some(Event::Head { stream: id, ends, is_tunnel: false })
    }

    fn take_trailers(&mut self, id: u32) -> Option<Event<'static>> {
        let is_right = self.streams.update(id, |stream| {
            stream.receiving = Progress::End;
            stream.length_left.is_none_or(|left| left == 0)
        })?;
        is_right.then_some(Event::Trailers { stream: id })
    }

    fn read(
        &mut self,
        part: Part,
        block: &[u8],
        priority: Option<Priority>,
        scratch: &mut Scratch,
    ) -> Result<Outcome, Fatal> {
        let mut reading = Reading::new(scratch, part, self.most_fields(), priority);
        let decoded = self.receiver.decoder.decode(block, |field| reading.take(&field));
        decoded.map_err(|_| Code::COMPRESSION)?;
        Ok(reading.end())
    }

    pub(super) fn count_piece(&mut self, len: usize) -> Result<(), Fatal> {
        let most = self.most_fields() as usize * LARGER_CODED + BLOCK_SLACK;
        let Some(block) = &mut self.receiver.block else { return Err(Code::PROTOCOL.into()) };
        block.pieces += 1;
        if block.pieces > MOST_PIECES + most / PIECE || block.bytes.len() + len > most {
            let excess = "a field block without end: excessive load";
            return Err(Fatal { code: Code::ENHANCE_YOUR_CALM, excess: Some(excess) });
        }
        Ok(())
    }
}

/// The part of a HEADERS frame that belongs to the field block (RFC 9113, section 6.2).
fn trim(flags: u8, payload: &[u8]) -> Result<&[u8], Code> {
    let (mut rest, mut padding) = (payload, 0);
    if flags & PADDED != 0 {
        let (length, behind) = rest.split_first().ok_or(Code::FRAME_SIZE)?;
        (rest, padding) = (behind, usize::from(*length));
    }
    if flags & WITH_PRIORITY != 0 {
        (_, rest) = rest.split_at_checked(5).ok_or(Code::FRAME_SIZE)?;
    }
    let len = rest.len().checked_sub(padding).ok_or(Code::PROTOCOL)?;
    Ok(rest.get(..len).unwrap_or_default())
}
