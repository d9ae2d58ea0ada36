//! One stream of an HTTP/2 connection, read and written like a connection of its own.

use std::fmt;
use std::io;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};

use memchr::memmem;
use ropeway_core::http1::{Head, permitted_trailers};
use ropeway_core::http2::{Code, Manner, Untranslatable};

use super::client::Lease;
use super::mailbox::Mailbox;
use super::transport::Transport;
use crate::link::Link;

static END_OF_HEAD: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\r\n\r\n"));

/// A stream. What is written to it first is the text of a head, then the body; reading a response begins with the text
/// of its head, too.
pub(crate) struct Stream {
    /// The connection; none of a stream on which nothing can be read or written.
    transport: Option<Transport>,
    /// Its number; 0 before it was opened.
    id: u32,
    kind: Kind,
    /// The final head was written.
    has_head: bool,
    /// Whether trailers are sent: to some servers only those that the head has announced.
    sends_trailers: bool,
    /// What is to follow once everything before it has been written.
    ending: Option<Ending>,
    lease: Option<Lease>,
}

/// What the heads that are written have to be told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A client's stream.
    Request,
    /// A client's stream that asked for a tunnel.
    Tunnel,
    /// A stream to a server.
    ToServer,
}

/// How our side ends.
enum Ending {
    Plain,
    Trailers(Box<Head>),
}

impl Stream {
    /// A client's stream, whose request head was read already.
    pub(super) fn from_client(transport: Transport, id: u32, kind: Kind) -> Self {
        Self::new(Some(transport), id, kind, true)
    }

    /// A stream to a server, to be opened by what is written first.
    pub(super) fn to_server(transport: Transport, all_trailers: bool, lease: Lease) -> Self {
        let mut stream = Self::new(Some(transport), 0, Kind::ToServer, all_trailers);
        stream.lease = Some(lease);
        stream
    }

    /// A stream on which nothing can be read or written.
    pub fn closed() -> Self {
        Self::new(None, 0, Kind::Request, false)
    }

    fn new(transport: Option<Transport>, id: u32, kind: Kind, sends_trailers: bool) -> Self {
        Self { transport, id, kind, has_head: false, sends_trailers, ending: None, lease: None }
    }

    /// Reads once. `Ok(0)` is the end of the stream.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(Transport(carrier)) = &self.transport else { return Poll::Ready(Ok(0)) };
        let read = ready!(carrier.borrow_mut().poll_read(cx, self.id, into));
        match read {
            Ok(count) => {
                if let Some(lease) = self.lease.as_mut().filter(|_| count > 0) {
                    lease.note_read();
                }
                Poll::Ready(Ok(count))
            }
            Err(how) => Poll::Ready(Err(self.broken(how))),
        }
    }

    /// Whether everything was read, and no trailers follow.
    pub fn is_at_end(&self) -> bool {
        self.mailbox(|mailbox| mailbox.is_whole && mailbox.unread.is_empty() && mailbox.trailers.is_none())
            .unwrap_or(true)
    }

    /// Trailers, once the end was read: field lines, and an empty one.
    pub fn take_trailers(&mut self) -> Option<Vec<u8>> {
        self.mailbox(|mailbox| mailbox.trailers.take())?
    }

    /// Takes a head, and as much of `head` behind it and of `body` as the peer has room for.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, head: &[u8], body: &[u8]) -> Poll<io::Result<usize>> {
        let mut taken = 0;
        let mut head = head;
        while !self.has_head && !head.is_empty() {
            let end = END_OF_HEAD.find(head).map(|at| at + END_OF_HEAD.needle().len());
            let (text, rest) =
                end.and_then(|end| head.split_at_checked(end)).ok_or_else(|| refused(INCOMPLETE))?;
            self.take_head(text)?;
            taken += text.len();
            head = rest;
        }
        let Some(Transport(carrier)) = &self.transport else { return Poll::Ready(Err(closed())) };
        for part in [head, body] {
            if part.is_empty() {
                continue;
            }
            match carrier.borrow_mut().poll_write(cx, self.id, part) {
                Poll::Ready(count) => {
                    let count = count?;
                    taken += count;
                    if count < part.len() {
                        break;
                    }
                }
                Poll::Pending if taken == 0 => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(taken))
    }

    /// Ends our side if it was to be ended once everything was written.
    pub fn flush(&mut self) {
        if let (Some(ending), Some(Transport(carrier))) = (self.ending.take(), &self.transport) {
            let carrier = &mut *carrier.borrow_mut();
            match ending {
                Ending::Plain => carrier.connection.end(self.id),
                Ending::Trailers(head) => carrier.connection.end_with(self.id, permitted_trailers(&head)),
            }
            carrier.stir();
        }
    }

    /// Ends our side: at once, or, when something has to be written before, with the next [`Self::flush`].
    pub fn finish(&mut self, trailers: Option<&Head>, everything_written: bool) {
        let trailers =
            trailers.filter(|head| self.sends_trailers && permitted_trailers(head).next().is_some());
        if !everything_written {
            self.ending =
                Some(trailers.map_or(Ending::Plain, |head| Ending::Trailers(Box::new(head.clone()))));
            return;
        }
        let Some(Transport(carrier)) = &self.transport else { return };
        let carrier = &mut *carrier.borrow_mut();
        match trailers {
            Some(head) => carrier.connection.end_with(self.id, permitted_trailers(head)),
            None => carrier.connection.end(self.id),
        }
        carrier.stir();
    }

    /// Gives the stream up, and tells the peer why.
    pub fn reset(&mut self, code: Code) {
        if let Some(Transport(carrier)) = &self.transport {
            let carrier = &mut *carrier.borrow_mut();
            carrier.connection.reset(self.id, code);
            carrier.stir();
        }
    }

    /// Registers for the peer giving up the stream. Ready once it has.
    pub fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.mailbox(|mailbox| mailbox.poll_broken(cx)).unwrap_or(Poll::Pending)
    }

    /// Why the stream of a peer that is gone broke. What it sent before is of no use any more, and is dropped.
    pub fn why_gone(&mut self) -> Option<io::Error> {
        let how = self.mailbox(|mailbox| mailbox.broken.filter(|_| !mailbox.is_whole))??;
        if let Some(Transport(carrier)) = &self.transport {
            carrier.borrow_mut().drop_unread(self.id);
        }
        Some(self.broken(how))
    }

    /// The peer was waited for in vain.
    pub fn note_timeout(&self) {
        if let Some(lease) = &self.lease {
            lease.note_timeout();
        }
    }

    /// About how many bytes the peer takes now.
    pub fn room(&self) -> usize {
        self.transport.as_ref().map_or(0, |transport| transport.with(|connection| connection.room(self.id)))
    }

    /// How much a client has taken of all that is on its connection, if more of that waits to be sent.
    pub fn delivered_beneath(&self) -> u64 {
        let delivered = |link: &Link| if link.outbox.is_empty() { 0 } else { link.delivered() };
        let carrier = self.transport.as_ref().filter(|_| self.kind != Kind::ToServer);
        carrier.map_or(0, |carrier| carrier.with_link(delivered))
    }

    fn mailbox<R>(&self, look: impl FnOnce(&mut Mailbox) -> R) -> Option<R> {
        let Transport(carrier) = self.transport.as_ref()?;
        carrier.borrow_mut().connection.user(self.id).map(look)
    }

    fn take_head(&mut self, text: &[u8]) -> io::Result<()> {
        let Some(Transport(carrier)) = &self.transport else { return Err(closed()) };
        let carrier = &mut *carrier.borrow_mut();
        let connection = &mut carrier.connection;
        let taken = match self.kind {
            Kind::Request => connection.respond(self.id, text, Manner::Plain),
            Kind::Tunnel => connection.respond(self.id, text, Manner::ToTunnel),
            Kind::ToServer => connection.request(text, Mailbox::default()).map(|(id, announces_trailers)| {
                self.id = id;
                // Some servers end the connection over trailers, so it has to be known beforehand that there may be some:
                // a request with this field shares its connection with no other.
                self.sends_trailers |= announces_trailers;
                true
            }),
        };
        self.has_head = taken.map_err(|what| what.map_or_else(closed, refused))?;
        carrier.stir();
        Ok(())
    }

    /// What reading came to. What the peer has given up is no stream of the connection any more.
    fn broken(&mut self, how: super::Broken) -> io::Error {
        if how.is_by_peer() {
            self.lease = None;
        }
        how.into()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Some(Transport(carrier)) = &self.transport else { return };
        let is_given_up = carrier.borrow_mut().release(self.id);
        if let Some(lease) = self.lease.as_ref().filter(|_| is_given_up) {
            lease.note_reset();
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn closed() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

fn refused(what: Untranslatable) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// What it is in a head that was to be written that cannot be put in the form of HTTP/2.
pub(crate) fn untranslatable(error: &io::Error) -> Option<&'static str> {
    error.get_ref()?.downcast_ref().map(|what: &Untranslatable| what.0)
}

const INCOMPLETE: Untranslatable = Untranslatable("a head that is not complete");
