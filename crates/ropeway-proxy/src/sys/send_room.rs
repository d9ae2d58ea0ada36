//! What is in a socket's send buffer, and how much more it takes.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::os::fd::BorrowedFd;

use rustix::io::Result;
use rustix::ioctl::{Getter, Opcode, ioctl};
use rustix::net::sockopt::socket_send_buffer_size;

/// `SIOCOUTQ` of Linux (tcp(7), unix(7)): bytes in the send buffer, sent and not acknowledged ones included.
const SIOCOUTQ: Opcode = 0x5411;

/// About how many bytes a write would take now.
///
/// # Errors
///
/// Those of getsockopt(2) and ioctl(2); none for an open socket.
pub(crate) fn send_room(socket: BorrowedFd<'_>) -> Result<usize> {
    Ok(socket_send_buffer_size(socket)?.saturating_sub(unacknowledged(socket)?))
}

/// Bytes that were written and that the peer has not acknowledged yet.
///
/// # Errors
///
/// Those of ioctl(2); none for an open socket.
pub(crate) fn unacknowledged(socket: BorrowedFd<'_>) -> Result<usize> {
    // SAFETY: SIOCOUTQ stores one C int, and takes no argument besides.
    let queued: c_int = unsafe { ioctl(socket, Getter::<SIOCOUTQ, c_int>::new()) }?;
    Ok(usize::try_from(queued).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn room_shrinks_with_what_nobody_reads() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_receiver, _) = listener.accept().unwrap();
        sender.set_nonblocking(true).unwrap();
        assert!(send_room(sender.as_fd()).unwrap() > 0);
        while sender.write(&[0; 65_536]).is_ok() {}
        let size = socket_send_buffer_size(sender.as_fd()).unwrap();
        assert!(send_room(sender.as_fd()).unwrap() < size / 2);
        assert!(unacknowledged(sender.as_fd()).unwrap() > size / 2);
    }
}
