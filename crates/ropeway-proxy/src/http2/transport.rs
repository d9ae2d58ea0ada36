//! A connection as the `h2` crate reads and writes it.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::link::Link;
use crate::worker::Worker;

/// A link that carries HTTP/2 frames.
pub(super) struct Transport {
    link: Link,
    worker: Rc<Worker>,
}

impl Transport {
    pub fn new(link: Link, worker: Rc<Worker>) -> Self {
        Self { link, worker }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { link, worker } = self.get_mut();
        if !link.inbox.is_empty() {
            let count = link.inbox.len().min(buffer.remaining());
            buffer.put_slice(link.inbox.as_slice().get(..count).unwrap_or_default());
            link.inbox.consume(count, &worker.buffers);
            return Poll::Ready(Ok(()));
        }
        let count = ready!(link.poll_read(cx, buffer.initialize_unfilled()))?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { link, worker } = self.get_mut();
        ready!(link.poll_flush(cx, &worker.buffers))?;
        link.send(cx, bytes, &[], &worker.buffers)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { link, worker } = self.get_mut();
        link.poll_flush(cx, &worker.buffers)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { link, worker } = self.get_mut();
        ready!(link.poll_flush(cx, &worker.buffers))?;
        Poll::Ready(link.shutdown_write(cx))
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.link.clear(&self.worker.buffers);
    }
}
