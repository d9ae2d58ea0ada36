//! One stream of an HTTP/2 connection, read and written like a connection of its own.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{SEC_WEBSOCKET_ACCEPT, TRAILER};
use http::{HeaderMap, Request, Response, StatusCode};
use memchr::memmem;
use ropeway_core::http1::Head;

use super::client::Lease;
use super::text::{self, Untranslatable};
use super::transport::Transport;
use crate::link::Link;

/// Pieces of a body below this size are gathered, in bytes.
const SMALL: usize = 1024;
/// Bytes of what was gathered that are one piece again.
const PIECE: usize = 16 * 1024;
/// Bytes of a body that go out with the head, before it is known how many the peer has room for: a sixteenth of what every
/// peer has at first (RFC 9113, section 6.9.2). If it said meanwhile that it has less they wait in memory, and that some of
/// them are taken is not seen.
const WITH_HEAD: usize = 4 * 1024;

static END_OF_HEAD: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"\r\n\r\n"));

/// A stream. What is written to it first is the text of a head, then the body; reading a response begins with the text
/// of its head, too. What was written last is held back until it is known whether it is the end.
pub(crate) struct Stream {
    receiving: Receiving,
    sending: Sending,
    held: Held,
    /// What was received and not read yet.
    unread: Bytes,
    /// What follows it, see [`Self::gather`].
    gathered: BytesMut,
    /// Whether more is to be gathered.
    gathers: bool,
    /// Trailers that followed the body, as a section of HTTP/1.1.
    trailers: Option<Vec<u8>>,
    /// Whether trailers are sent: to some servers only those that the head has announced.
    sends_trailers: bool,
    /// What is to follow once everything before it has been written.
    ending: Option<HeaderMap>,
    kind: Kind,
    /// The connection of a client.
    carrier: Option<Transport>,
    lease: Option<Lease>,
}

/// What the heads that are written have to be told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A client's stream.
    Request,
    /// A client's stream that asked for a tunnel: 101 is 200 there (RFC 8441, section 5).
    Tunnel,
    /// A stream to a server, by this scheme.
    ToServer { https: bool },
}

enum Receiving {
    Head(ResponseFuture),
    Body(RecvStream),
    End,
}

enum Sending {
    Request(SendRequest<Bytes>),
    Response(SendResponse<Bytes>),
    Body(SendStream<Bytes>),
    Done,
}

/// What is to be sent next.
enum Held {
    Nothing,
    Request(Box<Request<()>>),
    Response(Box<Response<()>>),
    Data(Bytes),
}

impl Stream {
    /// A client's stream, whose request head was read already.
    pub(super) fn from_client(
        body: RecvStream,
        respond: SendResponse<Bytes>,
        kind: Kind,
        carrier: Transport,
    ) -> Self {
        let mut stream = Self::new(Receiving::Body(body), Sending::Response(respond), kind);
        stream.carrier = Some(carrier);
        stream
    }

    /// A stream to a server, to be opened by what is written first.
    pub fn to_server(requests: SendRequest<Bytes>, https: bool, all_trailers: bool, lease: Lease) -> Self {
        let mut stream = Self::new(Receiving::End, Sending::Request(requests), Kind::ToServer { https });
        stream.sends_trailers = all_trailers;
        stream.lease = Some(lease);
        stream
    }

    /// A stream on which nothing can be read or written.
    pub fn closed() -> Self {
        Self::new(Receiving::End, Sending::Done, Kind::Request)
    }

    fn new(receiving: Receiving, sending: Sending, kind: Kind) -> Self {
        Self {
            receiving,
            sending,
            held: Held::Nothing,
            unread: Bytes::new(),
            gathered: BytesMut::new(),
            gathers: true,
            trailers: None,
            sends_trailers: true,
            ending: None,
            kind,
            carrier: None,
            lease: None,
        }
    }

    /// Reads once. `Ok(0)` is the end of the stream.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        while self.unread.is_empty() {
            match &mut self.receiving {
                Receiving::Head(response) => match ready!(poll_head(cx, response)) {
                    Ok((head, body)) => {
                        self.unread = head;
                        if let Some(body) = body {
                            self.receiving = Receiving::Body(body);
                        }
                    }
                    Err(error) => return Poll::Ready(Err(self.broken(error))),
                },
                Receiving::Body(body) => match ready!(poll_piece(cx, body, &mut self.gathered)) {
                    Some(Ok(data)) => {
                        // The window that this piece took is free for the next one as soon as the piece is ours: one
                        // is all that a stream holds.
                        let _ = body.flow_control().release_capacity(data.len());
                        self.unread = data;
                        self.gathers = true;
                    }
                    Some(Err(error)) => return Poll::Ready(Err(self.broken(error))),
                    None => match ready!(body.poll_trailers(cx)) {
                        Ok(trailers) => {
                            self.trailers = trailers.map(|trailers| text::trailers(&trailers));
                            self.receiving = Receiving::End;
                        }
                        Err(error) => return Poll::Ready(Err(self.broken(error))),
                    },
                },
                Receiving::End => return Poll::Ready(Ok(0)),
            }
        }
        if let Some(lease) = &mut self.lease {
            lease.note_read();
        }
        let count = self.unread.len().min(into.len());
        if let Some(to) = into.get_mut(..count) {
            self.unread.copy_to_slice(to);
        }
        Poll::Ready(Ok(count))
    }

    /// Puts small pieces of the body together that nobody reads now: the `h2` crate keeps each by itself, which costs a few
    /// hundred bytes, and ends the connection when that becomes too much. Larger ones are better left where they are. What
    /// is gathered takes up the window until it is read.
    pub fn gather(&mut self, cx: &mut Context<'_>) {
        let Receiving::Body(body) = &mut self.receiving else { return };
        while self.gathers
            && let Poll::Ready(Some(Ok(data))) = body.poll_data(cx)
        {
            self.gathers = data.len() < SMALL;
            self.gathered.extend_from_slice(&data);
        }
    }

    /// Whether everything was read, and no trailers follow.
    pub fn is_at_end(&self) -> bool {
        let ended = match &self.receiving {
            Receiving::Head(_) => false,
            Receiving::Body(body) => self.gathered.is_empty() && body.is_end_stream(),
            Receiving::End => self.trailers.is_none(),
        };
        ended && self.unread.is_empty()
    }

    /// Trailers, once the end was read: field lines, and an empty one.
    pub fn take_trailers(&mut self) -> Option<Vec<u8>> {
        self.trailers.take()
    }

    /// Takes a head, and as much of `head` behind it and of `body` as the peer has room for.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, head: &[u8], body: &[u8]) -> Poll<io::Result<usize>> {
        let mut taken = 0;
        let mut head = head;
        while self.awaits_head() && !head.is_empty() {
            let end = END_OF_HEAD.find(head).map(|at| at + END_OF_HEAD.needle().len());
            let (text, rest) = end.and_then(|end| head.split_at_checked(end)).ok_or(UNTRANSLATABLE)?;
            self.take_head(text)?;
            taken += text.len();
            head = rest;
        }
        for part in [head, body] {
            if part.is_empty() {
                continue;
            }
            match self.poll_data(cx, part) {
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

    /// Sends what was held back.
    pub fn flush(&mut self) -> io::Result<()> {
        match self.ending.take() {
            Some(trailers) => self.release(Some(trailers)),
            None => self.release(None),
        }
    }

    /// Ends our side: at once, or, when something has to be written before, with the next [`Self::flush`].
    pub fn finish(&mut self, trailers: Option<&Head>, everything_written: bool) -> io::Result<()> {
        let trailers = trailers.filter(|_| self.sends_trailers);
        let mut trailers = trailers.map(text::header_map).unwrap_or_default();
        if matches!(self.kind, Kind::ToServer { .. }) {
            text::keep_out_of_tables(&mut trailers);
        }
        self.ending = Some(trailers);
        if everything_written { self.flush() } else { Ok(()) }
    }

    /// Gives the stream up, and tells the peer why.
    pub fn reset(&mut self, reason: Reason) {
        match &mut self.sending {
            Sending::Response(respond) => respond.send_reset(reason),
            Sending::Body(body) => body.send_reset(reason),
            Sending::Request(_) | Sending::Done => {}
        }
        self.sending = Sending::Done;
        self.held = Held::Nothing;
    }

    /// Registers for the peer giving up the stream. Ready once it has.
    pub fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sending {
            Sending::Response(respond) => respond.poll_reset(cx).map(drop),
            Sending::Body(body) => body.poll_reset(cx).map(drop),
            Sending::Request(_) | Sending::Done => Poll::Pending,
        }
    }

    /// Why the stream of a peer that is gone broke. What it sent before is of no use any more, and is dropped.
    pub fn why_gone(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        let Receiving::Body(body) = &mut self.receiving else { return None };
        loop {
            match body.poll_data(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Some(self.broken(error)),
                Poll::Ready(None) | Poll::Pending => return None,
            }
        }
    }

    /// The peer was waited for in vain.
    pub fn note_timeout(&self) {
        if let Some(lease) = &self.lease {
            lease.note_timeout();
        }
    }

    /// About how many bytes the peer takes now.
    pub fn room(&self) -> usize {
        match &self.sending {
            Sending::Body(body) => body.capacity(),
            _ => 0,
        }
    }

    /// How much a client has taken of all that is on its connection, if more of that waits to be sent.
    pub fn delivered_beneath(&self) -> u64 {
        let delivered = |link: &Link| if link.outbox.is_empty() { 0 } else { link.delivered() };
        self.carrier.as_ref().map_or(0, |carrier| carrier.with_link(delivered))
    }

    fn awaits_head(&self) -> bool {
        matches!(self.sending, Sending::Request(_) | Sending::Response(_))
            && matches!(self.held, Held::Nothing)
    }

    fn take_head(&mut self, text: &[u8]) -> io::Result<()> {
        if let Kind::ToServer { https } = self.kind {
            let request = text::read_request(text, https)?;
            // Some servers end the connection over trailers, so it has to be known beforehand that there may be some: a
            // request with this field shares its connection with no other.
            self.sends_trailers |= request.headers().contains_key(TRAILER);
            self.held = Held::Request(Box::new(request));
            return Ok(());
        }
        let mut response = text::read_response(text)?;
        if self.kind == Kind::Tunnel {
            as_answer_to_connect(&mut response);
        }
        match &mut self.sending {
            Sending::Response(respond) if response.status().is_informational() => {
                respond.send_informational(response).map_err(broken)
            }
            _ => {
                self.held = Held::Response(Box::new(response));
                Ok(())
            }
        }
    }

    /// Takes as much of `data` as the peer has room for.
    fn poll_data(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let opens = matches!(self.held, Held::Request(_));
        self.release(None)?;
        let Sending::Body(body) = &mut self.sending else { return Poll::Ready(Err(UNTRANSLATABLE.into())) };
        body.reserve_capacity(data.len());
        // A stream has no capacity before its head is written, which is after our turn.
        let mut room = if opens { WITH_HEAD } else { body.capacity() };
        while room == 0 {
            room = match ready!(body.poll_capacity(cx)) {
                Some(room) => room.map_err(broken)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let count = room.min(data.len());
        self.held = Held::Data(Bytes::copy_from_slice(data.get(..count).unwrap_or_default()));
        Poll::Ready(Ok(count))
    }

    /// Sends what is held back; with `ending`, as the last thing before these trailers, if there are any.
    fn release(&mut self, ending: Option<HeaderMap>) -> io::Result<()> {
        let last = ending.as_ref().is_some_and(HeaderMap::is_empty);
        match (std::mem::replace(&mut self.held, Held::Nothing), &mut self.sending) {
            (Held::Request(request), Sending::Request(requests)) => {
                let (response, body) = requests.send_request(*request, last).map_err(broken)?;
                self.receiving = Receiving::Head(response);
                self.sending = Sending::Body(body);
            }
            (Held::Response(response), Sending::Response(respond)) => {
                self.sending = Sending::Body(respond.send_response(*response, last).map_err(broken)?);
            }
            (Held::Data(data), Sending::Body(body)) => body.send_data(data, last).map_err(broken)?,
            (_, Sending::Body(body)) if last => body.send_data(Bytes::new(), true).map_err(broken)?,
            _ => {}
        }
        let Some(trailers) = ending else { return Ok(()) };
        if !last && let Sending::Body(body) = &mut self.sending {
            body.send_trailers(trailers).map_err(broken)?;
        }
        self.sending = Sending::Done;
        Ok(())
    }
}

impl Stream {
    /// What reading came to. What the peer has given up is no stream of the connection any more.
    fn broken(&mut self, error: h2::Error) -> io::Error {
        if error.is_remote() {
            self.lease = None;
        }
        broken(error)
    }

    /// Whether one of its sides goes on, which the `h2` crate ends by a reset when the stream is dropped.
    fn is_under_way(&mut self) -> bool {
        let receives = match &self.receiving {
            Receiving::Head(_) => true,
            Receiving::Body(body) => !body.is_end_stream(),
            Receiving::End => false,
        };
        let sends = matches!(self.sending, Sending::Body(_))
            && self.poll_reset(&mut Context::from_waker(Waker::noop())).is_pending();
        receives || sends
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.is_under_way()
            && let Some(lease) = &self.lease
        {
            lease.note_reset();
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// To an extended CONNECT 200 says that there is a tunnel (RFC 8441, section 5), and nothing else may look like that.
fn as_answer_to_connect(response: &mut Response<()>) {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
    } else if response.status().is_success() {
        *response.status_mut() = StatusCode::BAD_GATEWAY;
    }
}

/// The next piece of a body, what was gathered first.
fn poll_piece(
    cx: &mut Context<'_>,
    body: &mut RecvStream,
    gathered: &mut BytesMut,
) -> Poll<Option<Result<Bytes, h2::Error>>> {
    if gathered.is_empty() {
        return body.poll_data(cx);
    }
    let piece = gathered.split_to(gathered.len().min(PIECE)).freeze();
    if gathered.is_empty() {
        *gathered = BytesMut::new();
    }
    Poll::Ready(Some(Ok(piece)))
}

/// The next head of a response, as text; with the final one, its body.
fn poll_head(
    cx: &mut Context<'_>,
    response: &mut ResponseFuture,
) -> Poll<Result<(Bytes, Option<RecvStream>), h2::Error>> {
    if let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
        return Poll::Ready(Ok((text::response(&interim?), None)));
    }
    let (head, body) = ready!(Pin::new(response).poll(cx))?.into_parts();
    Poll::Ready(Ok((text::response(&Response::from_parts(head, ())), Some(body))))
}

fn broken(error: h2::Error) -> io::Error {
    let kind =
        if error.is_reset() { io::ErrorKind::ConnectionReset } else { io::ErrorKind::ConnectionAborted };
    io::Error::new(kind, error)
}

const UNTRANSLATABLE: Untranslatable = Untranslatable("a head that is not complete");

impl From<Untranslatable> for io::Error {
    fn from(what: Untranslatable) -> Self {
        Self::new(io::ErrorKind::InvalidInput, what)
    }
}
