//! A connection as the `h2` crate reads and writes it.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use ropeway_core::end::EndReason;
use ropeway_core::http2::{Code, EmptyData, Guard, Opening};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffers::Pending;
use crate::http2::Stream;
use crate::link::Link;
use crate::worker::Worker;

/// Bytes of frames that are sent at once, however many they are. What is longer is not copied first.
const BATCH: usize = 16 * 1024;

/// A link that carries HTTP/2 frames; those of a turn of the connection are gathered until [`Self::send`]. A clone is the
/// same one: the crate keeps what it reads and writes to itself.
#[derive(Clone)]
pub(super) struct Transport(Rc<RefCell<Carrier>>);

struct Carrier {
    link: Link,
    worker: Rc<Worker>,
    /// Judges what a client sends.
    guard: Option<Guard>,
    /// What arrives to no purpose.
    empty_data: EmptyData,
    /// Frames that were written in this turn of the connection.
    batch: Pending,
    /// Closing is all that ends it.
    ends_by_reset: bool,
}

impl Transport {
    /// To a server. The connection may end by a reset: when all of a response has come, nothing is lost by that.
    pub fn to_server(mut link: Link, worker: Rc<Worker>, ends_by_reset: bool) -> Self {
        if ends_by_reset {
            link.reset_on_close();
        }
        Self::new(link, worker, None, ends_by_reset)
    }

    /// From a client, who is judged.
    pub fn from_client(link: Link, worker: Rc<Worker>, guard: Guard) -> Self {
        Self::new(link, worker, Some(guard), false)
    }

    fn new(link: Link, worker: Rc<Worker>, guard: Option<Guard>, ends_by_reset: bool) -> Self {
        let empty_data = if guard.is_some() { EmptyData::of_client() } else { EmptyData::of_server() };
        let batch = Pending::default();
        Self(Rc::new(RefCell::new(Carrier { link, worker, guard, empty_data, batch, ends_by_reset })))
    }

    /// Bytes that the peer has sent.
    pub fn received(&self) -> u64 {
        self.0.borrow().link.received
    }

    /// Lets somebody look at the link.
    pub fn with_link<R>(&self, look: impl FnOnce(&Link) -> R) -> R {
        look(&self.0.borrow().link)
    }

    /// How a client's stream was opened that is served from now on.
    pub fn take_opening(&self, stream: u32) -> Opening {
        self.0.borrow_mut().guard.as_mut().map(|guard| guard.take(stream)).unwrap_or_default()
    }

    /// Why the crate has refused a request, each once. To be asked when no stream is left to be served, or when the
    /// connection `is_over`.
    pub fn take_refused(&self, is_over: bool) -> Option<EndReason> {
        self.0.borrow_mut().guard.as_mut()?.take_refused(is_over)
    }

    /// Notes that a client has given a stream up.
    pub fn note_reset(&self) {
        if let Some(guard) = &mut self.0.borrow_mut().guard {
            guard.note_reset();
        }
    }

    /// Why a client's connection has to end, if it has to. Nothing more is heard from it then.
    pub fn verdict(&self) -> Option<Code> {
        self.0.borrow().guard.as_ref().and_then(Guard::verdict)
    }

    /// The code of the error that a client was told that its connection ends over.
    pub fn told(&self) -> Option<u32> {
        self.0.borrow().guard.as_ref().and_then(Guard::told)
    }

    /// What a client does too much of, if that is the verdict.
    pub fn excess(&self) -> Option<&'static str> {
        self.0.borrow().guard.as_ref().and_then(Guard::excess)
    }

    /// The coarse time since which a client is sending the header of a frame, or a field block.
    pub fn unfinished_since_ms(&self) -> Option<u64> {
        self.0.borrow().guard.as_ref().and_then(Guard::unfinished_since_ms)
    }

    /// Sends what was written, as far as the client takes it. To be called at the end of each turn of the connection.
    ///
    /// # Errors
    ///
    /// Those of the link.
    pub fn send(&self, cx: &mut Context<'_>) -> io::Result<()> {
        self.0.borrow_mut().send_batch(cx, &[])
    }

    /// The link, once the connection is over.
    pub fn take_link(&self) -> Link {
        std::mem::replace(&mut self.0.borrow_mut().link, Link::of_stream(Stream::closed()))
    }
}

impl Carrier {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let Self { link, worker, .. } = self;
        if link.inbox.is_empty() {
            // By way of the worker's memory, since what is read into has to hold something, and this here does not yet.
            let input = &mut worker.scratch.borrow_mut().input;
            let room = buffer.remaining().min(input.len());
            let count = ready!(link.poll_read(cx, input.get_mut(..room).unwrap_or_default()))?;
            buffer.put_slice(input.get(..count).unwrap_or_default());
        } else {
            let count = link.inbox.len().min(buffer.remaining());
            buffer.put_slice(link.inbox.as_slice().get(..count).unwrap_or_default());
            link.inbox.consume(count, &worker.buffers);
        }
        let arrived = buffer.filled_mut().get_mut(before..).unwrap_or_default();
        if self.is_bearable(arrived) {
            self.empty_data.hide(arrived);
            return Poll::Ready(Ok(()));
        }
        // Whoever polls the connection asks for the verdict after that.
        buffer.set_filled(before);
        Poll::Pending
    }

    /// Looks at what has arrived.
    fn is_bearable(&mut self, bytes: &[u8]) -> bool {
        let Some(guard) = &mut self.guard else { return true };
        guard.set_time(self.worker.deadlines.now_ms());
        guard.inspect(bytes).is_ok()
    }

    /// Takes frames, as soon as those before are out of the way.
    fn poll_write(&mut self, cx: &mut Context<'_>, head: &[u8], body: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.link.poll_flush(cx, &self.worker.buffers))?;
        let corrected = self.follow(head);
        self.follow(body);
        for part in [corrected.as_deref().unwrap_or(head), body] {
            if self.batch.len() + part.len() > BATCH {
                self.send_batch(cx, part)?;
            } else {
                self.batch.append(part, &self.worker.buffers);
            }
        }
        Poll::Ready(Ok(head.len() + body.len()))
    }

    /// Shows the guard what a client is sent. Gives what has to be sent instead: the crate calls a field block that it cannot
    /// decode a protocol error. It is a compression error (RFC 9113, section 4.3), and the frame that ends the connection
    /// says so.
    fn follow(&mut self, frames: &[u8]) -> Option<Vec<u8>> {
        let at = self.guard.as_mut()?.note_sent(frames)?;
        let mut corrected = frames.to_vec();
        corrected.get_mut(at..at + 4)?.copy_from_slice(&(Code::Compression as u32).to_be_bytes());
        Some(corrected)
    }

    /// Sends what was gathered, then `rest`.
    fn send_batch(&mut self, cx: &mut Context<'_>, rest: &[u8]) -> io::Result<()> {
        let Self { link, worker, batch, .. } = self;
        if !batch.is_empty() || !rest.is_empty() {
            link.send(cx, batch.as_slice(), rest, &worker.buffers)?;
            batch.clear(&worker.buffers);
        }
        Ok(())
    }

    /// The crate asks for it after each frame of some length, so that what is gathered stays.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_flush(cx, &self.worker.buffers)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send_batch(cx, &[])?;
        ready!(self.link.poll_flush(cx, &self.worker.buffers))?;
        Poll::Ready(if self.ends_by_reset { Ok(()) } else { self.link.shutdown_write(cx) })
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_write(cx, bytes, &[])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The crate has two parts at most: what it has gathered, and the payload of a frame behind that.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let part = |at: usize| parts.get(at).map(|part| &**part).unwrap_or_default();
        self.0.borrow_mut().poll_write(cx, part(0), part(1))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_shutdown(cx)
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.link.clear(&self.worker.buffers);
        self.batch.clear(&self.worker.buffers);
    }
}
