//! What is sent.

use super::receiving::FAREWELL_PING;
use super::{Connection, Farewell, Fatal, KEPT, Sender, Side, write_goaway, write_number};
use crate::http1::FieldRef;
use crate::http2::Code;
use crate::http2::compose::{self, Manner, Untranslatable};
use crate::http2::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, FLAGS_AT, Frame, HEADER_LEN, HEADERS, MOST, PING,
    RST_STREAM, WINDOW_UPDATE,
};
use crate::http2::hpack::Encoder;
use crate::http2::stream::{Closed, Progress, Stream};

/// Bytes of output beyond which bodies have to wait until it is sent.
const ENOUGH: usize = 64 * 1024;
/// Bytes of a body in one frame. Every peer takes as many, and the frames of other streams need not wait longer.
const FRAGMENT: usize = 16 * 1024;

/// What a PING says that asks whether the peer is there.
const ARE_YOU_THERE: [u8; 8] = *b"peer up?";

impl<T> Connection<T> {
    /// What is to be sent.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.sender.out
    }

    /// All of the output was sent.
    pub fn clear_output(&mut self) {
        self.sender.before += self.sender.out.len() as u64;
        self.sender.out.clear();
        if self.streams.is_empty() {
            self.sender.out.shrink_to(KEPT);
        }
    }

    /// Sends the head of a response, or an interim one; says whether it is the final one.
    ///
    /// # Errors
    ///
    /// `None` if the stream is over; otherwise what cannot be put in this form.
    pub fn respond(&mut self, id: u32, text: &[u8], manner: Manner) -> Result<bool, Option<Untranslatable>> {
        let sending = self.streams.get(id).filter(|stream| !stream.is_over).map(|stream| stream.sending);
        if sending != Some(Progress::Head) {
            return Err(None);
        }
        let write = |encoder: &mut Encoder, out: &mut Vec<u8>| compose::response(text, manner, encoder, out);
        let (flags, status) =
            self.sender.headers(id, 0, self.peer.max_frame as usize, write).map_err(Some)?;
        let is_final = !matches!(status, [b'1', ..]);
        if is_final {
            self.note_begun(id, flags);
        }
        Ok(is_final)
    }

    /// Opens a stream with the head of a request; says which, and whether that announces trailers.
    ///
    /// # Errors
    ///
    /// `None` if the connection takes no more streams; otherwise what cannot be put in this form.
    pub fn request(&mut self, text: &[u8], user: T) -> Result<(u32, bool), Option<Untranslatable>> {
        let Side::Client { https } = self.side else { return Err(None) };
        if !self.takes_streams() {
            return Err(None);
        }
        let id = if self.last == 0 { 1 } else { self.last + 2 };
        let scheme: &[u8] = if https { b"https" } else { b"http" };
        let write = |encoder: &mut Encoder, out: &mut Vec<u8>| compose::request(text, scheme, encoder, out);
        let (flags, known) = self.sender.headers(id, 0, self.peer.max_frame as usize, write).map_err(Some)?;
        self.last = id;
        let mut stream = Stream::new(user, self.stream_window(), self.peer.window);
        stream.has_no_content = known.is_head;
        self.streams.insert(id, stream);
        self.note_begun(id, flags);
        Ok((id, known.announces_trailers))
    }

    /// How many bytes of a body are taken now.
    #[must_use]
    pub fn room(&self, id: u32) -> usize {
        let window = self.streams.get(id).map_or(0, |stream| stream.outflow.room());
        self.shared_room().min(window)
    }

    /// The same as far as it concerns all streams.
    #[must_use]
    pub fn shared_room(&self) -> usize {
        ENOUGH.saturating_sub(self.sender.out.len()).min(self.sender.outflow.room())
    }

    /// Sends the beginning of `bytes`, as much as there is room for; says how much.
    ///
    /// # Errors
    ///
    /// The stream is over.
    pub fn send(&mut self, id: u32, bytes: &[u8]) -> Result<usize, Closed> {
        let room = self.room(id);
        let Some(stream) = self.streams.get_mut(id) else { return Err(Closed) };
        if stream.is_over || stream.sending != Progress::Body {
            return Err(Closed);
        }
        let (now, _) = bytes.split_at(room.min(bytes.len()));
        for fragment in now.chunks(FRAGMENT) {
            let flags = self.sender.frame(DATA, 0, id, fragment);
            stream.last_flags = Some(flags);
        }
        stream.outflow.take(now.len());
        self.sender.outflow.take(now.len());
        if let Some(calm) = self.calm.as_mut().filter(|_| !now.is_empty()) {
            calm.note_sent(now.len());
        }
        Ok(now.len())
    }

    /// Ends our side of a stream.
    pub fn end(&mut self, id: u32) {
        let flags = self.streams.update(id, |stream| {
            let may = !stream.is_over && stream.sending == Progress::Body;
            stream.sending = if may { Progress::End } else { stream.sending };
            may.then_some(stream.last_flags)
        });
        if let Some(Some(flags)) = flags
            && !self.sender.add_flag(flags, END_STREAM)
        {
            let _ = self.sender.frame(DATA, END_STREAM, id, &[]);
        }
    }

    /// Ends our side of a stream with trailers.
    pub fn end_with<'a>(&mut self, id: u32, section: impl Iterator<Item = FieldRef<'a>>) {
        let is_open = |stream: &&Stream<T>| !stream.is_over && stream.sending == Progress::Body;
        if self.streams.get(id).filter(is_open).is_none() {
            return;
        }
        let is_request = !self.is_server();
        let write = |encoder: &mut Encoder, out: &mut Vec<u8>| {
            compose::trailers(section, is_request, encoder, out);
            Ok::<(), Untranslatable>(())
        };
        let _ = self.sender.headers(id, END_STREAM, self.peer.max_frame as usize, write);
        let _ = self.streams.update(id, |stream| stream.sending = Progress::End);
    }

    /// Gives a stream up.
    pub fn reset(&mut self, id: u32, code: Code) {
        if self.streams.get(id).is_some_and(Stream::is_open) {
            let _ = self.streams.update(id, |stream| stream.is_over = true);
            // A reset of our own will is nothing that the peer has to answer for.
            self.sender.reset(id, code);
        }
    }

    /// Its user lets go of a stream, of which so many bytes were not used. Whether it was given up by that.
    pub fn release(&mut self, id: u32, unused: usize) -> bool {
        let Some(stream) = self.streams.get(id) else { return false };
        let is_given_up = stream.is_open();
        if is_given_up && self.told.is_none() {
            // A complete response does not depend on the rest of the request (RFC 9113, section 8.1).
            let is_answered = self.is_server() && stream.sending == Progress::End;
            self.sender.reset(id, if is_answered { Code::NO_ERROR } else { Code::CANCEL });
        }
        let _ = self.streams.remove(id);
        self.give_back(0, unused);
        is_given_up
    }

    /// So many bytes of a body were used, and may come again.
    pub fn give_back(&mut self, id: u32, bytes: usize) {
        let Self { streams, receiver, sender, .. } = self;
        if bytes == 0 || self.told.is_some() {
            return;
        }
        if let Some(increment) = receiver.inflow.give_back(bytes) {
            write_number(WINDOW_UPDATE, 0, increment, &mut sender.out);
        }
        let Some(stream) = streams.get_mut(id) else { return };
        if stream.is_over || stream.receiving == Progress::End {
            return;
        }
        if let Some(increment) = stream.inflow.give_back(bytes) {
            write_number(WINDOW_UPDATE, id, increment, &mut sender.out);
        }
    }

    /// Asks the peer for a sign of life.
    pub fn ping(&mut self) {
        let _ = self.sender.frame(PING, 0, 0, &ARE_YOU_THERE);
    }

    /// Begins to end the connection: the client is told to open no more streams, and those that it has opened before it knew
    /// are served.
    pub fn shut_down(&mut self) {
        if self.farewell == Farewell::None && self.told.is_none() {
            self.farewell = Farewell::Announced;
            write_goaway(MOST, Code::NO_ERROR, &mut self.sender.out);
            let _ = self.sender.frame(PING, 0, 0, &FAREWELL_PING);
        }
    }

    /// A client that was told of the end is told which stream is the last one, be it that it has shown to know, or that it has
    /// had time enough. It can open others on another connection (RFC 9113, section 6.8).
    pub fn take_no_more(&mut self) {
        if self.farewell == Farewell::Announced && self.told.is_none() {
            self.farewell = Farewell::Said;
            write_goaway(self.last_taken, Code::NO_ERROR, &mut self.sender.out);
        }
    }

    /// Ends the connection if nothing is left to come. Whether it is over.
    pub fn try_end(&mut self) -> bool {
        let is_done = self.is_left || self.farewell == Farewell::Said;
        if self.told.is_none() && is_done && self.streams.is_empty() {
            if self.farewell != Farewell::Said {
                write_goaway(self.last_taken, Code::NO_ERROR, &mut self.sender.out);
            }
            self.told = Some(Code::NO_ERROR);
        }
        self.told.is_some()
    }

    /// Ends the connection at once.
    pub fn abort(&mut self, code: Code) {
        if self.told.is_none() {
            write_goaway(self.last_taken, code, &mut self.sender.out);
            self.told = Some(code);
        }
        self.is_broken_off = true;
        self.streams.end_all();
    }

    /// Resets a stream over what the peer has sent, which counts.
    pub(super) fn write_reset(&mut self, id: u32, code: Code) -> Result<(), Fatal> {
        self.sender.reset(id, code);
        if let Some(calm) = self.calm.as_mut().filter(|_| code.is_provoked()) {
            calm.note_reset();
            calm.judge_resets()?;
        }
        Ok(())
    }

    /// Answers with a status alone.
    pub(super) fn write_status(&mut self, id: u32, status: &[u8; 3]) {
        let write = |encoder: &mut Encoder, out: &mut Vec<u8>| {
            encoder.begin(out);
            encoder.status(status, out);
            Ok::<(), Untranslatable>(())
        };
        let _ = self.sender.headers(id, END_STREAM, self.peer.max_frame as usize, write);
    }

    /// The final head is sent.
    fn note_begun(&mut self, id: u32, flags: u64) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.sending = Progress::Body;
            stream.last_flags = Some(flags);
        }
        if let Some(calm) = &mut self.calm {
            calm.note_sent(0);
        }
    }
}

impl Sender {
    /// Writes a frame; says where its flags are.
    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> u64 {
        let at = self.before + (self.out.len() + FLAGS_AT) as u64;
        self.out.reserve(HEADER_LEN + payload.len());
        Frame { len: payload.len(), kind, flags, stream }.write(&mut self.out);
        self.out.extend_from_slice(payload);
        at
    }

    fn reset(&mut self, stream: u32, code: Code) {
        write_number(RST_STREAM, stream, code.0, &mut self.out);
    }

    /// Adds a flag to a frame that has not left. Whether it has not.
    fn add_flag(&mut self, at: Option<u64>, flag: u8) -> bool {
        let place = at.and_then(|at| usize::try_from(at.checked_sub(self.before)?).ok());
        match place.and_then(|place| self.out.get_mut(place)) {
            Some(flags) => {
                *flags |= flag;
                true
            }
            None => false,
        }
    }

    /// Writes a field block in as many frames as it takes; says where the flags of the first one are.
    fn headers<R, E>(
        &mut self,
        stream: u32,
        flags: u8,
        most: usize,
        write: impl FnOnce(&mut Encoder, &mut Vec<u8>) -> Result<R, E>,
    ) -> Result<(u64, R), E> {
        let begin = self.out.len();
        self.out.extend_from_slice(&[0; HEADER_LEN]);
        let written = write(&mut self.encoder, &mut self.out);
        let written = written.inspect_err(|_| self.out.truncate(begin))?;
        let len = self.out.len().saturating_sub(begin + HEADER_LEN);
        if len <= most {
            let header = Frame { len, kind: HEADERS, flags: flags | END_HEADERS, stream }.bytes();
            if let Some(space) = self.out.get_mut(begin..begin + HEADER_LEN) {
                space.copy_from_slice(&header);
            }
        } else {
            let block = self.out.split_off(begin + HEADER_LEN);
            self.out.truncate(begin);
            let mut pieces = block.chunks(most).peekable();
            let mut frame = (HEADERS, flags);
            while let Some(piece) = pieces.next() {
                let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
                let _ = self.frame(frame.0, frame.1 | end, stream, piece);
                frame = (CONTINUATION, 0);
            }
        }
        Ok((self.before + (begin + FLAGS_AT) as u64, written))
    }
}
