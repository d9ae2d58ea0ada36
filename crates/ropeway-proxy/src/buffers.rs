//! Memory of a worker that its connections share.
//!
//! A connection that waits owns no buffer. Reads go into one scratch area per worker; what cannot be used or
//! written at once is copied into a [`Pending`], whose memory comes from, and returns to, the worker's pool.

use std::cell::{Cell, RefCell};

use ropeway_core::http1::ResponseHead;
use ropeway_core::http2::Scratch as Heads;

use crate::sys::pipe::Pipe;

/// Most bytes moved by one call while a body is passed on. Measured with bodies of 1 MiB against 64 KiB: less than half
/// the CPU; 1 MiB is no better.
pub(crate) const BODY_READ: usize = 256 * 1024;
/// Bytes read by one call at the beginning of a body, and in tunnels: what a slow reader leaves of it has to be kept.
pub(crate) const PIECE_READ: usize = 64 * 1024;
/// After so many bytes of a body or a tunnel it is for others to go on.
pub(crate) const PER_VISIT: usize = 256 * 1024;
/// Bytes read by one call while a head is expected.
pub(crate) const HEAD_READ: usize = 16 * 1024;

const POOLED_BUFFERS: usize = 256;
const POOLED_CAPACITY: usize = BODY_READ + HEAD_READ;
const FIRST_CAPACITY: usize = 1024;

/// Areas that are used within one step and hold nothing between steps.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// Where sockets are read into.
    pub input: Box<[u8]>,
    /// Where heads and chunked bodies are serialised.
    pub output: Vec<u8>,
    /// Where response heads are parsed.
    pub response: ResponseHead,
    /// Where heads of HTTP/2 are put together.
    pub heads: Heads,
    /// What bodies go through that nobody has to look at.
    pub pipe: SparePipe,
}

impl Scratch {
    pub fn new() -> Self {
        Self {
            input: vec![0; BODY_READ].into_boxed_slice(),
            output: Vec::with_capacity(BODY_READ),
            response: ResponseHead::new(),
            heads: Heads::default(),
            pipe: SparePipe::default(),
        }
    }
}

/// A pipe that is empty between uses, opened by the first.
#[derive(Debug, Default)]
pub(crate) struct SparePipe {
    pipe: Option<Pipe>,
    forgone: bool,
}

impl SparePipe {
    /// The pipe; none while descriptors are short.
    pub fn get(&mut self) -> Option<&Pipe> {
        if self.pipe.is_none() && !self.forgone {
            self.pipe = Pipe::open(BODY_READ).ok();
        }
        self.pipe.as_ref()
    }

    /// Closes it, with what is in it.
    pub fn discard(&mut self) {
        self.pipe = None;
    }

    /// Does without from now on.
    pub fn forgo(&mut self) {
        self.discard();
        self.forgone = true;
    }
}

/// Buffers that are free for the next connection that needs one.
#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    free: RefCell<Vec<Vec<u8>>>,
    /// The fewest buffers that were free since the last trim: so many are not needed.
    spare: Cell<usize>,
}

impl BufferPool {
    fn take(&self) -> Vec<u8> {
        let mut free = self.free.borrow_mut();
        let buffer = free.pop();
        self.spare.set(self.spare.get().min(free.len()));
        buffer.unwrap_or_else(|| Vec::with_capacity(FIRST_CAPACITY))
    }

    /// Frees half of the buffers that nobody needed since the last call.
    pub fn trim(&self) {
        let mut free = self.free.borrow_mut();
        let keep = free.len() - (self.spare.get() / 2).min(free.len());
        free.truncate(keep);
        self.spare.set(keep);
    }

    fn give(&self, mut buffer: Vec<u8>) {
        let mut free = self.free.borrow_mut();
        if free.len() < POOLED_BUFFERS && (1..=POOLED_CAPACITY).contains(&buffer.capacity()) {
            buffer.clear();
            free.push(buffer);
        }
    }
}

/// Bytes that wait, first in, first out. Owns memory only while there are any.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    start: usize,
}

impl Pending {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start >= self.bytes.len()
    }

    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, bytes: &[u8], pool: &BufferPool) {
        if bytes.is_empty() {
            return;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = pool.take();
        }
        if self.start > 0 && self.bytes.len() + bytes.len() > self.bytes.capacity() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds bytes in front of those that wait.
    pub fn prepend(&mut self, bytes: Vec<u8>, pool: &BufferPool) {
        if !bytes.is_empty() {
            let behind = std::mem::replace(self, Self { bytes, start: 0 });
            self.bytes.extend_from_slice(behind.as_slice());
            pool.give(behind.bytes);
        }
    }

    /// Takes `count` bytes off the front.
    #[inline]
    pub fn consume(&mut self, count: usize, pool: &BufferPool) {
        self.start = self.start.saturating_add(count).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.clear(pool);
        }
    }

    /// Drops all bytes and returns the memory.
    #[inline]
    pub fn clear(&mut self, pool: &BufferPool) {
        self.start = 0;
        if self.bytes.capacity() > 0 {
            pool.give(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        let pool = BufferPool::default();
        let mut pending = Pending::default();
        pending.append(b"abc", &pool);
        pending.consume(1, &pool);
        pending.append(&[b'x'; FIRST_CAPACITY], &pool);
        assert_eq!(pending.as_slice().get(..3), Some(&b"bcx"[..]));
        assert_eq!(pending.len(), FIRST_CAPACITY + 2);
        pending.consume(FIRST_CAPACITY + 2, &pool);
        assert!(pending.is_empty());
        assert_eq!(pending.bytes.capacity(), 0, "an empty queue owns no memory");
        assert_eq!(pool.free.borrow().len(), 1, "its memory is free for others");
    }
}
