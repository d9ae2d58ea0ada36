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

/// A link that carries HTTP/2 frames.
pub(super) struct Transport {
    link: Link,
    worker: Rc<Worker>,
    /// Judges what a client sends.
    guard: Option<Rc<RefCell<Guard>>>,
}

/// What a GOAWAY frame without more to say begins with: its length, type, flags and stream (RFC 9113, section 6.8).
const GOAWAY: [u8; 9] = [0, 0, 8, 7, 0, 0, 0, 0, 0];

impl Transport {
    /// To a server.
    pub fn to_server(link: Link, worker: Rc<Worker>) -> Self {
        Self { link, worker, guard: None }
    }

    /// From a client, who is judged.
    pub fn from_client(link: Link, worker: Rc<Worker>, guard: Rc<RefCell<Guard>>) -> Self {
        Self { link, worker, guard: Some(guard) }
    }

    /// Looks at what has arrived. A client that breaks a rule is told so, and heard no further.
    fn judge(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        let Some(guard) = &self.guard else { return Ok(()) };
        let mut guard = guard.borrow_mut();
        guard.set_time(self.worker.deadlines.now_ms());
        let Err(code) = guard.inspect(bytes) else { return Ok(()) };
        let (last, code) = (guard.last_stream().to_be_bytes(), code as u32);
        let frame = [&GOAWAY[..], &last, &code.to_be_bytes()].concat();
        self.link.send(cx, &frame, &[], &self.worker.buffers)?;
        Err(io::Error::new(io::ErrorKind::InvalidData, h2::Error::from(h2::Reason::from(code))))
    }

    /// The crate calls a field block that it cannot decode a protocol error. It is a compression error (RFC 9113, section
    /// 4.3), and the frame that ends the connection says so.
    fn correct(&self, frames: &[u8]) -> Option<Vec<u8>> {
        let mut guard = self.guard.as_ref()?.borrow_mut();
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
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let Self { link, worker, .. } = this;
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
        Poll::Ready(this.judge(cx, buffer.filled().get(before..).unwrap_or_default()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.link.poll_flush(cx, &this.worker.buffers))?;
        let corrected = this.correct(bytes);
        this.link.send(cx, corrected.as_deref().unwrap_or(bytes), &[], &this.worker.buffers)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { link, worker, .. } = self.get_mut();
        link.poll_flush(cx, &worker.buffers)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { link, worker, .. } = self.get_mut();
        ready!(link.poll_flush(cx, &worker.buffers))?;
        Poll::Ready(link.shutdown_write(cx))
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.link.clear(&self.worker.buffers);
    }
}
