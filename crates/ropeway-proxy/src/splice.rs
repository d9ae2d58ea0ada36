//! Moving a body from socket to socket inside the kernel, through a pipe (splice(2)).
//!
//! The bytes are never copied into this process. It pays for bodies of some length; below that the two calls per piece
//! cost more than the copy.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// A body with at least this many bytes left is spliced.
pub(crate) const SPLICED_FROM: u64 = 64 * 1024;
/// Bytes that a pipe holds. The kernel lets a user without privileges have 64 MiB in all pipes together before it hands
/// out tiny ones.
pub(crate) const PIPE_SIZE: usize = 256 * 1024;
/// Pipes of one worker at one time; each costs two descriptors. Further bodies are copied.
const MOST_PIPES: usize = 32;

/// A pipe on its way between two sockets.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub read: OwnedFd,
    pub write: OwnedFd,
    /// Bytes in it.
    pub held: usize,
    open: Rc<Cell<usize>>,
}

/// The pipes of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    free: RefCell<Vec<Pipe>>,
    /// Pipes that are open, in use or free.
    open: Rc<Cell<usize>>,
}

impl Pipes {
    /// An empty pipe, unless there are too many or the system has none to give.
    pub fn take(&self) -> Option<Pipe> {
        if let Some(pipe) = self.free.borrow_mut().pop() {
            return Some(pipe);
        }
        if self.open.get() >= MOST_PIPES {
            return None;
        }
        Pipe::open(&self.open).ok()
    }

    /// Takes a pipe back. One that still holds bytes, of an exchange that broke, is closed.
    pub fn give(&self, pipe: Pipe) {
        if pipe.held == 0 {
            self.free.borrow_mut().push(pipe);
        }
    }

    /// Closes the pipes that are not in use.
    pub fn trim(&self) {
        self.free.borrow_mut().clear();
    }
}

impl Pipe {
    fn open(count: &Rc<Cell<usize>>) -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A pipe that stays at its default size works as well, in smaller steps.
        let _ = fcntl_setpipe_size(&write, PIPE_SIZE);
        count.set(count.get() + 1);
        Ok(Self { read, write, held: 0, open: Rc::clone(count) })
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.open.set(self.open.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_bounded_and_those_that_broke_make_room() {
        let pipes = Pipes::default();
        let mut taken: Vec<Pipe> = std::iter::from_fn(|| pipes.take()).take(MOST_PIPES + 1).collect();
        assert_eq!(taken.len(), MOST_PIPES);
        assert!(pipes.take().is_none());
        let mut broken = taken.pop().unwrap();
        broken.held = 1;
        pipes.give(broken);
        let fresh = pipes.take().unwrap();
        assert_eq!(fresh.held, 0, "what was left in a pipe never reaches another body");
        pipes.give(fresh);
        taken.clear();
        assert!(pipes.take().is_some());
    }
}
