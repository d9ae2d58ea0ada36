//! Passing a body on, from one connection to another.

mod splicing;

use std::io;
use std::task::{Context, Poll, ready};

use ropeway_core::grpc::GrpcWebError;
use ropeway_core::http1::{BodyDecoder, BodyEncoder, BodyError, BodyFraming, BodyLimits, Head};

use crate::buffers::{BODY_READ, BufferPool, HEAD_READ, PER_VISIT, PIECE_READ, Scratch};
use crate::deadline::TICK_MS;
use crate::grpc_web::Translation;
use crate::link::Link;
use crate::uptake::{Patience, Uptake};
use crate::worker::{Worker, come_back};

/// Content up to this many bytes is copied behind the head, because one plain write costs less than a gathering one.
const COPIED: usize = 4 * 1024;
/// Who has sent so much at once has more: what fills a read, less a head that may have come before it.
const MUCH: usize = PIECE_READ - HEAD_READ;
/// Most bytes of a body that are kept, to be sent once more if the server turns out not to have looked at them.
const MOST_KEPT: usize = 64 * 1024;

/// One direction of an exchange: decodes the framing of its source, encodes the framing of its sink, and holds
/// back the source while the sink does not keep up.
#[derive(Debug)]
pub(crate) struct Pump {
    decoder: BodyDecoder,
    encoder: BodyEncoder,
    /// Both framings carry the bare bytes, so that they can go from socket to socket without a copy in between.
    verbatim: bool,
    /// What becomes of the content in between; only of gRPC-Web.
    translation: Option<Box<Translation>>,
    done: bool,
    /// Its sink is closed as soon as it is done.
    last: bool,
    /// Nobody knows any more where in the source the body is.
    failed: bool,
    /// Bytes were taken from the source.
    begun: bool,
    /// All of them, where they are kept and as long as they are not too many.
    kept: Option<Vec<u8>>,
    /// Bytes of content passed on.
    pub moved: u64,
    /// Bytes of content that may still come.
    room: u64,
    /// Bytes to be read by the next call.
    appetite: usize,
    waiting: Waiting,
    source_since_ms: u64,
    source_waited_ms: u64,
    uptake: Uptake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Nothing,
    Source,
    Sink,
}

/// Which end failed, and how.
#[derive(Debug)]
pub(crate) enum PumpError {
    /// Reading failed.
    Source(io::Error),
    /// The stream ended inside the body.
    SourceEnded,
    /// The content is longer than allowed.
    TooLarge,
    /// The framing of the body is malformed.
    Malformed(BodyError),
    /// Writing failed.
    Sink(io::Error),
}

/// The side whose time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    Source,
    Sink,
}

/// A source that fills its reads is read in larger ones, as far as the sink takes them: what it leaves would have to be
/// kept, and slow readers may be many.
fn appetite_for(sink: &Link) -> usize {
    if sink.outbox.is_empty() { sink.send_room().clamp(PIECE_READ, BODY_READ) } else { PIECE_READ }
}

fn untranslatable(error: GrpcWebError) -> PumpError {
    PumpError::Malformed(BodyError::Malformed(error.detail()))
}

impl Pump {
    pub fn new(source: BodyFraming, sink: BodyFraming, limits: &BodyLimits) -> Self {
        let verbatim = !matches!(source, BodyFraming::Chunked) && !matches!(sink, BodyFraming::Chunked);
        Self {
            decoder: BodyDecoder::new(source, limits),
            encoder: BodyEncoder::new(sink),
            verbatim,
            translation: None,
            done: matches!(source, BodyFraming::None | BodyFraming::Length(0)),
            last: false,
            failed: false,
            begun: false,
            kept: None,
            moved: 0,
            room: u64::MAX,
            appetite: PIECE_READ,
            waiting: Waiting::Nothing,
            source_since_ms: 0,
            source_waited_ms: 0,
            uptake: Uptake::new(),
        }
    }

    /// Refuses content beyond `most` bytes, before any of the piece that goes beyond it is passed on.
    pub fn limited_to(self, most: Option<u64>) -> Self {
        Self { room: most.unwrap_or(u64::MAX), ..self }
    }

    /// Keeps what is taken from the source, so that the body can be sent once more.
    pub fn keeping(self, keeps: bool) -> Self {
        Self { kept: keeps.then(Vec::new), ..self }
    }

    /// Says whether the sink is closed as soon as the body is over.
    pub fn followed_by_close(self, last: bool) -> Self {
        Self { last, ..self }
    }

    /// Changes the content on its way.
    pub fn translated_by(self, translation: Option<Translation>) -> Self {
        let verbatim = self.verbatim && translation.is_none();
        Self { verbatim, translation: translation.map(Box::new), ..self }
    }

    /// Whether the content is changed on its way.
    pub fn is_translated(&self) -> bool {
        self.translation.is_some()
    }

    /// Whether the last byte was taken from the source; it may still wait in the sink's outbox.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.done && !self.failed
    }

    /// Whether nothing is read from the source because the sink does not keep up.
    #[inline]
    pub fn waits_for_sink(&self) -> bool {
        self.waiting == Waiting::Sink
    }

    /// Whether more of the body is to come than a source that has ended can still have. Asks the kernel.
    pub fn lacks_more_than(&self, source: &Link) -> bool {
        // Chunks tell no length, but there is no end without another byte.
        !self.done && self.decoder.remaining().unwrap_or(1) > source.left_to_read()
    }

    /// Whether an error has come up. What follows the body in its source cannot be found then, not even by asking for the
    /// rest of it: some of that was decoded and is still there.
    #[inline]
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether the body can be sent once more from its beginning.
    pub fn can_begin_again(&self) -> bool {
        !self.begun || self.kept.is_some()
    }

    /// What was taken from the source, as it came, to be put back; none of it is kept any longer.
    pub fn take_kept(&mut self) -> Vec<u8> {
        self.kept.take().unwrap_or_default()
    }

    /// Notes what was taken from the source.
    pub fn note_taken(&mut self, bytes: &[u8]) {
        self.begun |= !bytes.is_empty();
        self.kept = self.kept.take().filter(|kept| kept.len() + bytes.len() <= MOST_KEPT);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
    }

    /// How the body is framed on its way out.
    pub fn sink(&self) -> BodyFraming {
        self.encoder.framing()
    }

    /// What came behind the body, once it is over.
    pub fn trailers(&self) -> Option<&Head> {
        self.decoder.trailers()
    }

    /// Whether the sink can tell a complete body from one that was cut off.
    pub fn marks_its_end(&self) -> bool {
        self.encoder.framing() != BodyFraming::UntilClose
    }

    /// Moves bytes until one end has to be waited for, or others, or the body is over and written out.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &mut Link,
        to: &mut Link,
    ) -> Poll<Result<(), PumpError>> {
        let poll = self.poll_moving(cx, worker, from, to);
        self.failed |= matches!(poll, Poll::Ready(Err(_)));
        poll
    }

    fn poll_moving(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &mut Link,
        to: &mut Link,
    ) -> Poll<Result<(), PumpError>> {
        let mut passed = 0;
        loop {
            // Where the end is known to come next, it goes along with the last piece.
            if self.done || !from.is_at_end() || !to.outbox.is_empty() {
                match to.poll_flush(cx, &worker.buffers) {
                    Poll::Pending => return self.wait(Waiting::Sink, worker),
                    Poll::Ready(flushed) => flushed.map_err(PumpError::Sink)?,
                }
            }
            if self.done {
                self.settle(worker);
                return Poll::Ready(Ok(()));
            }
            if !from.inbox.is_empty() {
                self.pass_waiting(cx, worker, from, to)?;
                continue;
            }
            if passed >= PER_VISIT {
                come_back(cx);
                return self.wait(Waiting::Nothing, worker);
            }
            let most = self.appetite.min(PER_VISIT.saturating_sub(passed));
            let count = match self.splice(cx, worker, from, to, most)? {
                0 => match self.poll_copy(cx, worker, from, to, most)? {
                    Poll::Pending => return self.wait(Waiting::Source, worker),
                    Poll::Ready(count) => count,
                },
                count => count,
            };
            passed += count;
            self.settle(worker);
        }
    }

    /// Passes on what was read before.
    fn pass_waiting(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &mut Link,
        to: &mut Link,
    ) -> Result<(), PumpError> {
        let output = &mut worker.scratch.borrow_mut().output;
        output.clear();
        let waiting = std::mem::take(&mut from.inbox);
        let used = self.forward(cx, waiting.as_slice(), output, to, &worker.buffers);
        from.inbox = waiting;
        let used = used?;
        self.note_taken(from.inbox.as_slice().get(..used).unwrap_or_default());
        from.inbox.consume(used, &worker.buffers);
        Ok(())
    }

    /// Reads once, at most `most` bytes, and passes that on; how many bytes it was.
    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &mut Link,
        to: &mut Link,
        most: usize,
    ) -> Poll<Result<usize, PumpError>> {
        let Scratch { input, output, .. } = &mut *worker.scratch.borrow_mut();
        output.clear();
        let space = input.get_mut(..most).unwrap_or_default();
        let count = ready!(from.poll_read(cx, space)).map_err(PumpError::Source)?;
        if count == 0 {
            self.pass_end(cx, worker, from, to, output)?;
            return Poll::Ready(Ok(0));
        }
        let input = input.get(..count).unwrap_or_default();
        let used = self.forward(cx, input, output, to, &worker.buffers);
        let (taken, left) = input.split_at_checked(*used.as_ref().unwrap_or(&0)).unwrap_or((input, &[]));
        self.note_taken(taken);
        from.inbox.append(left, &worker.buffers);
        used?;
        Poll::Ready(Ok(count))
    }

    /// Ends the body where its source has ended.
    fn pass_end(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        from: &mut Link,
        to: &mut Link,
        output: &mut Vec<u8>,
    ) -> Result<(), PumpError> {
        let trailers = from.take_trailers();
        self.kept = self.kept.take().filter(|_| trailers.is_none());
        self.end_of_stream(trailers.as_deref(), output)?;
        self.send(cx, output, &[], to, &worker.buffers)?;
        self.finish(to);
        Ok(())
    }

    /// Takes what belongs to the body off the front of `input` and sends it, after whatever `output` holds.
    /// Returns how many bytes were used; the rest belongs to the next message.
    pub fn forward(
        &mut self,
        cx: &mut Context<'_>,
        input: &[u8],
        output: &mut Vec<u8>,
        to: &mut Link,
        pool: &BufferPool,
    ) -> Result<usize, PumpError> {
        let used = self.pass(cx, input, output, to, pool);
        self.failed |= used.is_err();
        used
    }

    fn pass(
        &mut self,
        cx: &mut Context<'_>,
        input: &[u8],
        output: &mut Vec<u8>,
        to: &mut Link,
        pool: &BufferPool,
    ) -> Result<usize, PumpError> {
        if self.verbatim && !self.done {
            let decoded = self.decoder.decode(input).map_err(PumpError::Malformed)?;
            self.done = decoded.end;
            self.count(decoded.data.len())?;
            let mut data = decoded.data;
            if !output.is_empty() && data.len() <= COPIED {
                output.extend_from_slice(std::mem::take(&mut data));
            }
            self.send(cx, output, data, to, pool)?;
            self.finish(to);
            if input.len() >= MUCH {
                self.appetite = appetite_for(to);
            }
            return Ok(decoded.consumed);
        }
        let used = self.encode(input, output)?;
        if !output.is_empty() {
            self.send(cx, output, &[], to, pool)?;
        }
        self.finish(to);
        Ok(used)
    }

    /// Sends bytes of the body, the last ones if it is done.
    fn send(
        &self,
        cx: &mut Context<'_>,
        head: &[u8],
        body: &[u8],
        to: &mut Link,
        pool: &BufferPool,
    ) -> Result<(), PumpError> {
        if self.done && self.last {
            to.close_next();
        }
        to.send(cx, head, body, pool).map_err(PumpError::Sink)
    }

    /// Lets the sink mark the end of the body, once there is one.
    pub fn finish(&self, to: &mut Link) {
        if self.done {
            // A translation has put them into the content.
            to.finish(self.decoder.trailers().filter(|_| self.translation.is_none()));
        }
    }

    /// Like [`Self::forward`], but only appends to `output`.
    pub fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, PumpError> {
        let used = self.try_encode(input, output);
        self.failed |= used.is_err();
        used
    }

    fn try_encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize, PumpError> {
        let mut used = 0;
        while !self.done {
            let rest = input.get(used..).unwrap_or_default();
            let decoded = self.decoder.decode(rest).map_err(PumpError::Malformed)?;
            used += decoded.consumed;
            if !decoded.data.is_empty() {
                self.count(decoded.data.len())?;
                self.write_data(decoded.data, output)?;
            }
            self.done = decoded.end;
            let idle = decoded.consumed == 0 && decoded.data.is_empty();
            if !self.done && (used >= input.len() || idle) {
                return Ok(used);
            }
            if self.done {
                self.write_end(output)?;
            }
        }
        Ok(used)
    }

    /// When the pump has waited too long, and for which end; `None` while it does not wait. Of a sink that is only so if
    /// [`Self::look`] does not know better.
    pub fn deadline(&self, source: Patience, sink: Patience) -> Option<(u64, Late)> {
        match self.waiting {
            Waiting::Nothing => None,
            Waiting::Source => Some((self.source_due_ms(source), Late::Source)),
            Waiting::Sink => Some((self.uptake.due_ms(sink), Late::Sink)),
        }
    }

    fn source_due_ms(&self, patience: Patience) -> u64 {
        let since_ms = self.source_since_ms;
        let idle_at = since_ms.saturating_add(patience.idle_ms);
        let rate_at = patience
            .min_rate
            .map_or(u64::MAX, |rate| rate.deadline_ms(since_ms, self.moved, self.source_waited_ms));
        idle_at.min(rate_at).saturating_add(TICK_MS)
    }

    /// Looks what the sink has taken, of that which was sent after the first `sent_before` bytes. Asks the kernel.
    pub fn look(&mut self, now_ms: u64, sink: &Link, sent_before: u64) {
        if self.waiting == Waiting::Sink {
            self.uptake.look(now_ms, sink, sent_before);
        }
    }

    fn count(&mut self, len: usize) -> Result<(), PumpError> {
        let len = len as u64;
        self.room = self.room.checked_sub(len).ok_or(PumpError::TooLarge)?;
        self.moved += len;
        Ok(())
    }

    /// Ends the body of a stream, with the trailers that came behind it.
    pub fn end_of_stream(&mut self, trailers: Option<&[u8]>, output: &mut Vec<u8>) -> Result<(), PumpError> {
        match trailers {
            Some(trailers) => self.decoder.end_with_trailers(trailers).map_err(PumpError::Malformed)?,
            None => self.decoder.finish_at_eof().map_err(|_| PumpError::SourceEnded)?,
        }
        self.done = true;
        self.write_end(output)
    }

    fn write_data(&mut self, data: &[u8], output: &mut Vec<u8>) -> Result<(), PumpError> {
        match &mut self.translation {
            None => self.encoder.write_data(data, output),
            Some(translation) => {
                let translated = translation.take(data).map_err(untranslatable)?;
                self.encoder.write_data(translated, output);
            }
        }
        Ok(())
    }

    fn write_end(&mut self, output: &mut Vec<u8>) -> Result<(), PumpError> {
        match &mut self.translation {
            None => self.encoder.write_end(self.decoder.trailers(), output),
            Some(translation) => {
                let rest = translation.end(self.decoder.trailers()).map_err(untranslatable)?;
                self.encoder.write_data(rest, output);
                self.encoder.write_end(None, output);
            }
        }
        Ok(())
    }

    fn wait(&mut self, end: Waiting, worker: &Worker) -> Poll<Result<(), PumpError>> {
        if self.waiting != end {
            self.settle(worker);
            self.waiting = end;
            let now_ms = worker.deadlines.now_ms();
            match end {
                Waiting::Nothing => {}
                Waiting::Source => self.source_since_ms = now_ms,
                Waiting::Sink => self.uptake.begin(now_ms),
            }
        }
        Poll::Pending
    }

    /// Adds the wait that is over to what its end has cost so far.
    fn settle(&mut self, worker: &Worker) {
        let now_ms = worker.deadlines.now_ms();
        match std::mem::replace(&mut self.waiting, Waiting::Nothing) {
            Waiting::Nothing => {}
            Waiting::Source => self.source_waited_ms += now_ms.saturating_sub(self.source_since_ms),
            Waiting::Sink => self.uptake.end(now_ms),
        }
    }
}
