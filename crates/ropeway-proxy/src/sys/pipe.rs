//! A pipe, through which bytes go from socket to socket without a copy (splice(2)).

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::{Result, read};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// A pipe whose both ends are ours.
#[derive(Debug)]
pub(crate) struct Pipe {
    front: OwnedFd,
    back: OwnedFd,
}

impl Pipe {
    /// A pipe that takes about `size` bytes; fewer where the kernel does not allow so many (pipe(7)).
    ///
    /// # Errors
    ///
    /// Those of pipe(2).
    pub fn open(size: usize) -> Result<Self> {
        let (front, back) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A smaller one does the same in more calls.
        let _ = fcntl_setpipe_size(&back, size);
        Ok(Self { front, back })
    }

    /// Takes bytes from a socket, at most `most`. A pipe that is full answers like a socket that has none.
    ///
    /// # Errors
    ///
    /// Those of splice(2).
    pub fn fill(&self, from: BorrowedFd<'_>, most: usize) -> Result<usize> {
        splice(from, None, &self.back, None, most, SpliceFlags::NONBLOCK)
    }

    /// Gives bytes to a socket, at most `most`.
    ///
    /// # Errors
    ///
    /// Those of splice(2).
    pub fn drain(&self, to: BorrowedFd<'_>, most: usize) -> Result<usize> {
        splice(&self.front, None, to, None, most, SpliceFlags::NONBLOCK)
    }

    /// Copies bytes out.
    ///
    /// # Errors
    ///
    /// Those of read(2).
    pub fn read(&self, into: &mut [u8]) -> Result<usize> {
        read(&self.front, into)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn bytes_go_through_in_their_order_and_the_rest_can_be_copied_out() {
        let (mut peer, from) = UnixStream::pair().unwrap();
        let (to, mut other) = UnixStream::pair().unwrap();
        from.set_nonblocking(true).unwrap();
        let pipe = Pipe::open(256 * 1024).unwrap();
        assert_eq!(pipe.fill(from.as_fd(), 10), Err(Errno::AGAIN));
        peer.write_all(b"one two three").unwrap();
        assert_eq!(pipe.fill(from.as_fd(), 10), Ok(10));
        assert_eq!(pipe.drain(to.as_fd(), 4), Ok(4));
        let mut read = [0; 16];
        assert_eq!(other.read(&mut read).unwrap(), 4);
        assert_eq!(&read[..4], b"one ");
        assert_eq!(pipe.read(&mut read), Ok(6));
        assert_eq!(&read[..6], b"two th");
        assert_eq!(pipe.drain(to.as_fd(), 4), Err(Errno::AGAIN));
        drop(peer);
        assert_eq!(pipe.fill(from.as_fd(), 10), Ok(3));
        assert_eq!(pipe.read(&mut read), Ok(3));
        assert_eq!(pipe.fill(from.as_fd(), 10), Ok(0), "the end of the stream");
    }
}
