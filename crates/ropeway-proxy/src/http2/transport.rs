//! A connection as the `h2` crate reads and writes it.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use ropeway_core::http2::{Code, Guard};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::link::Link;
use crate::worker::Worker;

/// A link that carries HTTP/2 frames. A clone is the same one: the crate keeps what it reads and writes to itself.
#[derive(Clone)]
pub(super) struct Transport(Rc<RefCell<Carrier>>);

struct Carrier {
    link: Link,
    worker: Rc<Worker>,
    /// Judges what a client sends.
    guard: Option<Guard>,
}

/// What a GOAWAY frame without more to say begins with: its length, type, flags and stream (RFC 9113, section 6.8).
const GOAWAY: [u8; 9] = [0, 0, 8, 7, 0, 0, 0, 0, 0];

impl Transport {
    /// To a server.
    pub fn to_server(link: Link, worker: Rc<Worker>) -> Self {
        Self(Rc::new(RefCell::new(Carrier { link, worker, guard: None })))
    }

    /// From a client, who is judged.
    pub fn from_client(link: Link, worker: Rc<Worker>) -> Self {
        Self(Rc::new(RefCell::new(Carrier { link, worker, guard: Some(Guard::new()) })))
    }

    /// Bytes that the peer has sent.
    pub fn received(&self) -> u64 {
        self.0.borrow().link.received
    }

    /// About how many of the bytes that it was sent the peer has got. Asks the kernel.
    pub fn delivered(&self) -> u64 {
        self.0.borrow().link.delivered()
    }

    /// Bytes of the field block that opened a client's stream. To be asked once.
    pub fn take_block_len(&self, stream: u32) -> Option<usize> {
        self.0.borrow_mut().guard.as_mut()?.take_block_len(stream)
    }
}

impl Carrier {
    /// Looks at what has arrived. A client that breaks a rule is told so, and heard no further.
    fn judge(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        let Some(guard) = &mut self.guard else { return Ok(()) };
        guard.set_time(self.worker.deadlines.now_ms());
        let Err(code) = guard.inspect(bytes) else { return Ok(()) };
        let (last, code) = (guard.last_stream().to_be_bytes(), code as u32);
        let frame = [&GOAWAY[..], &last, &code.to_be_bytes()].concat();
        self.link.send(cx, &frame, &[], &self.worker.buffers)?;
        Err(io::Error::new(io::ErrorKind::InvalidData, h2::Error::from(h2::Reason::from(code))))
    }

    /// The crate calls a field block that it cannot decode a protocol error. It is a compression error (RFC 9113, section
    /// 4.3), and the frame that ends the connection says so.
    fn correct(&mut self, frames: &[u8]) -> Option<Vec<u8>> {
        let guard = self.guard.as_mut()?;
        guard.note_sent(frames.len());
        let at = frames.len().checked_sub(GOAWAY.len() + 8)?;
        let (head, code_at) = (frames.get(at..at + GOAWAY.len())?, frames.len() - 4);
        let wrong = (Code::Protocol as u32).to_be_bytes();
        if head != GOAWAY || frames.get(code_at..)? != wrong || !guard.last_block_is_broken() {
            return None;
        }
        let code = (Code::Compression as u32).to_be_bytes();
        Some([frames.get(..code_at)?, &code].concat())
    }

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
        Poll::Ready(self.judge(cx, buffer.filled().get(before..).unwrap_or_default()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let corrected = self.correct(bytes);
        self.link.send(cx, corrected.as_deref().unwrap_or(bytes), &[], &self.worker.buffers)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_flush(cx, &self.worker.buffers)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        Poll::Ready(self.link.shutdown_write(cx))
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
        self.0.borrow_mut().poll_write(cx, bytes)
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
    }
}
