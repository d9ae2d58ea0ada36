//! One TLS connection on top of a socket, without a buffer of its own while it is idle.
//!
//! rustls works on bytes that we hand to it. What arrives is decrypted in an area that belongs to the worker; only an
//! incomplete record is kept, and only until it is complete. What leaves is encrypted into such an area, too, and what
//! the socket does not take waits in the link's outbox, as it does without TLS.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{ClientConfig, CommonState, ServerConfig};

use crate::sys::socket::Socket;

/// Most bytes of ciphertext read by one call: about four records.
const WIRE_READ: usize = 64 * 1024;
/// Most content of one record (RFC 8446, section 5.1).
const MAX_FRAGMENT: usize = 16 * 1024;
/// Bytes that encryption adds to a record with the suites that rustls has.
const USUAL_OVERHEAD: usize = 64;
/// Messages that rustls may have to say in a row. Only there so that no loop depends on it.
const MAX_UTTERANCES: usize = 32;

/// Areas of one worker that hold nothing between two calls.
#[derive(Debug, Default)]
pub(crate) struct WireBuffers {
    incoming: RefCell<Vec<u8>>,
    outgoing: RefCell<Vec<u8>>,
}

/// The TLS side of a link.
pub(crate) struct Session {
    peer: Peer,
    buffers: Rc<WireBuffers>,
    /// Ciphertext of a record that is not complete yet, or that nobody has asked for.
    waiting: Vec<u8>,
    /// Content that was decrypted and did not fit what was asked for.
    unread: Vec<u8>,
    /// Alerts and handshake messages, encrypted, that are to be sent.
    unsent: Vec<u8>,
    phase: Phase,
}

enum Peer {
    Client(Box<UnbufferedServerConnection>),
    Server(Box<UnbufferedClientConnection>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshake,
    Open,
    /// The peer has said that it sends no more.
    PeerClosed,
}

impl Session {
    /// The server's side of a connection, which begins with `hello`, read from the socket already.
    ///
    /// # Errors
    ///
    /// Those of rustls for a configuration that cannot be used.
    pub fn accept(
        config: Arc<ServerConfig>,
        hello: &[u8],
        buffers: Rc<WireBuffers>,
    ) -> Result<Self, rustls::Error> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self { waiting: hello.to_vec(), ..Self::new(Peer::Client(Box::new(connection)), buffers) })
    }

    /// The client's side of a connection.
    ///
    /// # Errors
    ///
    /// Those of rustls for a configuration that cannot be used.
    pub fn connect(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        buffers: Rc<WireBuffers>,
    ) -> Result<Self, rustls::Error> {
        let connection = UnbufferedClientConnection::new(config, name)?;
        Ok(Self::new(Peer::Server(Box::new(connection)), buffers))
    }

    fn new(peer: Peer, buffers: Rc<WireBuffers>) -> Self {
        let [waiting, unread, unsent] = [const { Vec::new() }; 3];
        Self { peer, buffers, waiting, unread, unsent, phase: Phase::Handshake }
    }

    /// What was agreed on, as far as the handshake has come.
    pub fn state(&self) -> &CommonState {
        self.peer.state()
    }

    /// How many bytes there are that a read would look at before it asks the socket, encrypted ones included.
    pub fn held(&self) -> usize {
        self.unread.len() + self.waiting.len()
    }

    /// Goes on with the handshake until it is complete.
    ///
    /// # Errors
    ///
    /// `InvalidData` with the error of rustls inside, after the peer was sent the alert; `UnexpectedEof` when the peer
    /// left.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>, socket: &mut Socket) -> Poll<io::Result<()>> {
        let mut arrived = 0;
        loop {
            let result = self.digest(arrived, &mut []);
            let sent = self.poll_unsent(cx, socket);
            result?;
            ready!(sent)?;
            if self.phase != Phase::Handshake {
                return Poll::Ready(Ok(()));
            }
            arrived = match ready!(self.poll_fill(cx, socket))? {
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                count => count,
            };
        }
    }

    /// Reads content. `Ok(0)` is the end that the peer has announced. What there is to say to it is written, unless
    /// something `waits` to be written before.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the stream ends without that announcement, so that nobody takes a part for the whole;
    /// `InvalidData` with the error of rustls inside.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut Socket,
        into: &mut [u8],
        waits: bool,
    ) -> Poll<io::Result<usize>> {
        if !self.unread.is_empty() {
            return Poll::Ready(Ok(self.take_unread(into)));
        }
        let mut count = if self.waiting.is_empty() { 0 } else { self.digest(0, into)? };
        while count == 0 && self.phase != Phase::PeerClosed {
            let arrived = match ready!(self.poll_fill(cx, socket))? {
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                arrived => arrived,
            };
            let result = self.digest(arrived, into);
            // What there is to say does not hold up what there is to hear.
            if !waits && let Poll::Ready(sent) = self.poll_unsent(cx, socket) {
                sent?;
            }
            count = result?;
        }
        Poll::Ready(Ok(count))
    }

    /// Encrypts `parts` one behind the other, and passes the records to `sink`.
    ///
    /// # Errors
    ///
    /// `InvalidData` when the session is broken, and those of `sink`.
    pub fn encrypt<R>(&mut self, parts: [&[u8]; 2], sink: impl FnOnce(&[u8]) -> R) -> io::Result<R> {
        let buffers = Rc::clone(&self.buffers);
        let out = &mut *buffers.outgoing.borrow_mut();
        out.clear();
        self.while_open(out, |traffic, out| {
            parts.iter().filter(|part| !part.is_empty()).try_for_each(|part| {
                let room = part.len() + (part.len() / MAX_FRAGMENT + 1) * USUAL_OVERHEAD;
                append(out, room, |room| traffic.content(part, room))
            })
        })?;
        Ok(sink(out))
    }

    /// Encrypts the announcement that nothing follows. Without one if the session is broken.
    pub fn close(&mut self, sink: impl FnOnce(&[u8])) {
        let buffers = Rc::clone(&self.buffers);
        let out = &mut *buffers.outgoing.borrow_mut();
        out.clear();
        let closed =
            self.while_open(out, |traffic, out| append(out, USUAL_OVERHEAD, |room| traffic.close(room)));
        if closed.is_ok() {
            sink(out);
        }
    }

    /// Reads from the socket, to behind what waits. Returns how much is there then, or 0 at the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>, socket: &mut Socket) -> Poll<io::Result<usize>> {
        let incoming = &mut *self.buffers.incoming.borrow_mut();
        if incoming.len() < WIRE_READ {
            incoming.resize(WIRE_READ, 0);
        }
        let held = self.waiting.len();
        if held + MAX_FRAGMENT > incoming.len() {
            incoming.resize(held + MAX_FRAGMENT, 0);
        }
        let count = ready!(socket.poll_read(cx, incoming.get_mut(held..).unwrap_or_default()))?;
        Poll::Ready(Ok(count))
    }

    /// Shows rustls what waits and the `arrived` bytes behind it. Content goes to `into`, and to `unread` when there
    /// is more; returns how much is in `into`.
    fn digest(&mut self, arrived: usize, into: &mut [u8]) -> io::Result<usize> {
        let buffers = Rc::clone(&self.buffers);
        let incoming = &mut *buffers.incoming.borrow_mut();
        let held = self.waiting.len();
        if incoming.len() < held {
            incoming.resize(held, 0);
        }
        if let Some(front) = incoming.get_mut(..held) {
            front.copy_from_slice(&self.waiting);
        }
        let bytes = incoming.get_mut(..held + arrived).unwrap_or_default();
        let mut content = Content { into, filled: 0, unread: &mut self.unread };
        let result = digest(&mut self.peer, bytes, &mut self.unsent, &mut content);
        let count = content.filled;
        let (used, seen) = match result {
            Ok(digested) => digested,
            Err(error) => {
                self.waiting = Vec::new();
                return Err(broken(error));
            }
        };
        match seen {
            Seen::Blocked => {}
            Seen::Open if self.phase == Phase::Handshake => self.phase = Phase::Open,
            Seen::Open => {}
            Seen::PeerClosed => self.phase = Phase::PeerClosed,
        }
        self.waiting.clear();
        match bytes.get(used..) {
            Some(rest) if !rest.is_empty() => self.waiting.extend_from_slice(rest),
            _ => self.waiting = Vec::new(),
        }
        Ok(count)
    }

    /// Gives `operation` the way to encrypt content, behind whatever rustls itself has to say. That comes only after rustls
    /// has seen what waits, which may be many records.
    fn while_open(
        &mut self,
        out: &mut Vec<u8>,
        mut operation: impl FnMut(&mut dyn Encrypter, &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        out.append(&mut self.unsent);
        let mut nowhere = Content { into: &mut [], filled: 0, unread: &mut self.unread };
        let (mut used, mut utterances) = (0, 0);
        let outcome = loop {
            let mut result = None;
            let mut open = |traffic: &mut dyn Encrypter, out: &mut Vec<u8>| {
                result = Some(operation(traffic, out));
            };
            let rest = self.waiting.get_mut(used..).unwrap_or_default();
            let step = self.peer.step(rest, out, &mut nowhere, &mut open);
            used += step.discard;
            utterances += usize::from(step.discard == 0);
            if let Some(result) = result {
                break result;
            }
            match step.next {
                Ok(Next::More) if utterances < MAX_UTTERANCES => {}
                Ok(Next::PeerClosed) if utterances < MAX_UTTERANCES => self.phase = Phase::PeerClosed,
                Ok(_) => break Err(io::ErrorKind::NotConnected.into()),
                Err(error) => break Err(broken(error)),
            }
        };
        self.waiting.drain(..used.min(self.waiting.len()));
        outcome
    }

    fn poll_unsent(&mut self, cx: &mut Context<'_>, socket: &mut Socket) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let count = ready!(socket.poll_write(cx, &self.unsent, &[]))?;
            self.unsent.drain(..count);
        }
        self.unsent = Vec::new();
        Poll::Ready(Ok(()))
    }

    fn take_unread(&mut self, into: &mut [u8]) -> usize {
        let count = self.unread.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), self.unread.get(..count)) {
            to.copy_from_slice(from);
        }
        self.unread.drain(..count);
        if self.unread.is_empty() {
            self.unread = Vec::new();
        }
        count
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("phase", &self.phase).finish_non_exhaustive()
    }
}

/// Where content goes.
struct Content<'a> {
    into: &'a mut [u8],
    filled: usize,
    unread: &'a mut Vec<u8>,
}

impl Content<'_> {
    /// One record more may not fit: it stays encrypted until it is asked for.
    fn is_full(&self) -> bool {
        (self.filled > 0 && self.into.len() - self.filled < MAX_FRAGMENT) || !self.unread.is_empty()
    }

    fn take(&mut self, bytes: &[u8]) {
        let room = self.into.get_mut(self.filled..).unwrap_or_default();
        let (now, later) = bytes.split_at(bytes.len().min(room.len()));
        if let Some(to) = room.get_mut(..now.len()) {
            to.copy_from_slice(now);
        }
        self.filled += now.len();
        self.unread.extend_from_slice(later);
    }
}

/// How far the session has come.
enum Seen {
    Blocked,
    Open,
    PeerClosed,
}

/// Shows `bytes` to rustls until it has seen them all, or there is no place for more content. Returns how many are done
/// with.
fn digest(
    peer: &mut Peer,
    bytes: &mut [u8],
    unsent: &mut Vec<u8>,
    content: &mut Content<'_>,
) -> Result<(usize, Seen), rustls::Error> {
    let mut used = 0;
    let mut closed = false;
    loop {
        if content.is_full() {
            return Ok((used, Seen::Open));
        }
        let rest = bytes.get_mut(used..).unwrap_or_default();
        let Step { discard, next } = peer.step(rest, unsent, content, &mut |_, _| {});
        used += discard;
        match next {
            Ok(Next::More) => {}
            Ok(Next::PeerClosed) => closed = true,
            Ok(Next::Blocked | Next::Open) if closed => return Ok((used, Seen::PeerClosed)),
            Ok(Next::Blocked) => return Ok((used, Seen::Blocked)),
            Ok(Next::Open) => return Ok((used, Seen::Open)),
            Err(error) => {
                say_why(peer, bytes.get_mut(used..).unwrap_or_default(), unsent);
                return Err(error);
            }
        }
    }
}

/// Fetches the alert that tells the peer what was wrong. It comes before any input is looked at: what is left of that
/// must not be judged a second time.
fn say_why(peer: &mut Peer, bytes: &mut [u8], unsent: &mut Vec<u8>) {
    let mut nowhere = Content { into: &mut [], filled: 0, unread: &mut Vec::new() };
    for _ in 0..MAX_UTTERANCES {
        if !peer.state().wants_write() {
            return;
        }
        let step = peer.step(bytes, unsent, &mut nowhere, &mut |_, _| {});
        if step.next.is_err() {
            return;
        }
    }
}

/// What rustls made of the bytes it was shown.
struct Step {
    /// Bytes at the front that are done with.
    discard: usize,
    next: Result<Next, rustls::Error>,
}

enum Next {
    /// There is more to do.
    More,
    /// There is nothing to do before more bytes arrive.
    Blocked,
    /// Content can be encrypted.
    Open,
    PeerClosed,
}

impl Peer {
    fn state(&self) -> &CommonState {
        match self {
            Self::Client(connection) => connection,
            Self::Server(connection) => connection,
        }
    }

    fn step(
        &mut self,
        bytes: &mut [u8],
        unsent: &mut Vec<u8>,
        content: &mut Content<'_>,
        open: &mut dyn FnMut(&mut dyn Encrypter, &mut Vec<u8>),
    ) -> Step {
        match self {
            Self::Client(connection) => {
                take_step(connection.process_tls_records(bytes), unsent, content, open)
            }
            Self::Server(connection) => {
                take_step(connection.process_tls_records(bytes), unsent, content, open)
            }
        }
    }
}

fn take_step<Side>(
    status: UnbufferedStatus<'_, '_, Side>,
    unsent: &mut Vec<u8>,
    content: &mut Content<'_>,
    open: &mut dyn FnMut(&mut dyn Encrypter, &mut Vec<u8>),
) -> Step {
    let UnbufferedStatus { mut discard, state } = status;
    let next = state.and_then(|state| match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record?;
                discard += record.discard;
                content.take(record.payload);
            }
            Ok(Next::More)
        }
        ConnectionState::EncodeTlsData(mut message) => {
            let encoded = append(unsent, USUAL_OVERHEAD, |room| {
                message.encode(room).map_err(|error| match error {
                    EncodeError::InsufficientSize(size) => Room::Needs(size.required_size),
                    EncodeError::AlreadyEncoded => Room::Broken,
                })
            });
            encoded.map(|()| Next::More).map_err(|error| rustls::Error::General(error.to_string()))
        }
        ConnectionState::TransmitTlsData(sent) => {
            sent.done();
            Ok(Next::More)
        }
        ConnectionState::WriteTraffic(mut traffic) => {
            open(&mut traffic, unsent);
            Ok(Next::Open)
        }
        ConnectionState::PeerClosed => Ok(Next::PeerClosed),
        // Early data is never accepted, so there is none to read (RFC 8446, section 4.2.10).
        _ => Ok(Next::Blocked),
    });
    Step { discard, next }
}

/// What [`WriteTraffic`] does, for either side.
trait Encrypter {
    fn content(&mut self, bytes: &[u8], room: &mut [u8]) -> Result<usize, Room>;
    fn close(&mut self, room: &mut [u8]) -> Result<usize, Room>;
}

impl<Side> Encrypter for WriteTraffic<'_, Side> {
    fn content(&mut self, bytes: &[u8], room: &mut [u8]) -> Result<usize, Room> {
        self.encrypt(bytes, room).map_err(Room::from)
    }

    fn close(&mut self, room: &mut [u8]) -> Result<usize, Room> {
        self.queue_close_notify(room).map_err(Room::from)
    }
}

/// Why something could not be written.
enum Room {
    /// It takes this many bytes.
    Needs(usize),
    Broken,
}

impl From<EncryptError> for Room {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(size) => Self::Needs(size.required_size),
            EncryptError::EncryptExhausted => Self::Broken,
        }
    }
}

/// Lets `write` write behind `out`, into `room` bytes or as many as it needs.
fn append(
    out: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Room>,
) -> io::Result<()> {
    let begin = out.len();
    let mut room = room;
    // Twice: the second time there is as much room as the first said.
    for _ in 0..2 {
        out.resize(begin + room, 0);
        match write(out.get_mut(begin..).unwrap_or_default()) {
            Ok(count) => {
                out.truncate(begin + count);
                return Ok(());
            }
            Err(Room::Needs(size)) => room = size,
            Err(Room::Broken) => break,
        }
    }
    out.truncate(begin);
    Err(io::ErrorKind::NotConnected.into())
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
