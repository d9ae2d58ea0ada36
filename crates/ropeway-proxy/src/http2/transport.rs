//! A connection that carries streams: the link beneath it, the protocol, and who waits for what.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use ropeway_core::end::EndReason;
use ropeway_core::http2::{Code, Connection, Event, Fatal, ResetBy, Scratch as Heads};

use super::broken::Broken;
use super::mailbox::Mailbox;
use crate::buffers::{BufferPool, PER_VISIT, PIECE_READ, Scratch};
use crate::http2::Stream;
use crate::link::Link;
use crate::worker::{Worker, come_back};

/// Bytes that may wait for a peer which does not read, before nothing more is read from it either.
const MOST_WAITING: usize = 256 * 1024;

/// A connection with its streams. A clone is the same one: the task that moves the frames has one, and so has each stream.
#[derive(Clone)]
pub(super) struct Transport(pub(super) Rc<RefCell<Carrier>>);

/// What all of them share.
pub(super) struct Carrier {
    pub link: Link,
    pub worker: Rc<Worker>,
    pub connection: Connection<Mailbox>,
    /// The task that moves the frames, which has to be woken when there is something to send.
    task: Waker,
    is_woken: bool,
    /// Nothing is read until more of what waits was sent.
    is_held_back: bool,
    /// Streams that wait until others have sent what they have, in the order in which they came.
    queue: VecDeque<u32>,
    /// The one whose turn it is; 0 is none.
    served: u32,
    /// The peer is a client.
    is_client: bool,
    /// Closing is all that ends it.
    ends_by_reset: bool,
}

/// What a client asks for.
pub(super) enum Arrived<'a> {
    /// A request.
    Request { stream: u32, head: &'a [u8], ends: bool, is_tunnel: bool },
    /// One that nobody has to answer any more, of so many bytes.
    Refused(EndReason, usize),
}

impl Transport {
    /// To a server. The connection may end by a reset: when all of a response has come, nothing is lost by that.
    pub fn to_server(
        mut link: Link,
        worker: Rc<Worker>,
        connection: Connection<Mailbox>,
        ends_by_reset: bool,
    ) -> Self {
        if ends_by_reset {
            link.reset_on_close();
        }
        Self::new(link, worker, connection, [false, ends_by_reset])
    }

    /// From a client.
    pub fn from_client(link: Link, worker: Rc<Worker>, connection: Connection<Mailbox>) -> Self {
        Self::new(link, worker, connection, [true, false])
    }

    fn new(
        link: Link,
        worker: Rc<Worker>,
        connection: Connection<Mailbox>,
        [is_client, ends_by_reset]: [bool; 2],
    ) -> Self {
        let carrier = Carrier {
            link,
            worker,
            connection,
            task: Waker::noop().clone(),
            is_woken: false,
            is_held_back: false,
            queue: VecDeque::new(),
            served: 0,
            is_client,
            ends_by_reset,
        };
        Self(Rc::new(RefCell::new(carrier)))
    }

    /// How many have it.
    pub fn count(&self) -> usize {
        Rc::strong_count(&self.0)
    }

    /// Has the task that moves the frames look.
    pub fn wake(&self) {
        self.0.borrow_mut().wake();
    }

    /// Bytes that the peer has sent.
    pub fn received(&self) -> u64 {
        self.0.borrow().link.received
    }

    /// Lets somebody look at the link.
    pub fn with_link<R>(&self, look: impl FnOnce(&Link) -> R) -> R {
        look(&self.0.borrow().link)
    }

    /// Lets somebody at the protocol.
    pub fn with<R>(&self, act: impl FnOnce(&mut Connection<Mailbox>) -> R) -> R {
        act(&mut self.0.borrow_mut().connection)
    }

    /// Takes what has arrived, and hands on what a client asks for, which must not touch the connection. Ready when nothing
    /// more is to come.
    pub fn poll_receive(&self, cx: &mut Context<'_>, hand_on: impl FnMut(Arrived<'_>)) -> Poll<Gone> {
        let carrier = &mut *self.0.borrow_mut();
        carrier.begin_turn(cx);
        let worker = Rc::clone(&carrier.worker);
        let Scratch { input, heads, .. } = &mut *worker.scratch.borrow_mut();
        carrier.poll_receive(cx, input, heads, hand_on)
    }

    /// Sends what there is, as far as the peer takes it. To be called at the end of each turn of the connection.
    ///
    /// # Errors
    ///
    /// Those of the link.
    pub fn send(&self, cx: &mut Context<'_>) -> io::Result<()> {
        self.0.borrow_mut().send(cx)
    }

    /// Whether all that there was to say was sent.
    pub fn has_sent_all(&self) -> bool {
        let carrier = self.0.borrow();
        carrier.connection.output().is_empty() && carrier.link.outbox.is_empty()
    }

    /// Ends the connection to a server in the way that is due.
    pub fn poll_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let carrier = &mut *self.0.borrow_mut();
        carrier.connection.abort(Code::NO_ERROR);
        carrier.send(cx)?;
        if !carrier.link.outbox.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(if carrier.ends_by_reset { Ok(()) } else { carrier.link.shutdown_write(cx) })
    }

    /// Nothing more comes or goes on its streams.
    pub fn break_off(&self, how: Broken) {
        self.0.borrow_mut().break_off(how);
    }

    /// The link, once the connection is over.
    pub fn take_link(&self) -> Link {
        std::mem::replace(&mut self.0.borrow_mut().link, Link::of_stream(Stream::closed()))
    }
}

/// Why nothing more comes.
#[derive(Debug)]
pub(super) enum Gone {
    /// The peer has broken the rules.
    Fatal(Fatal),
    /// The link is at its end, or broke.
    Link(io::Error),
}

impl Carrier {
    fn begin_turn(&mut self, cx: &Context<'_>) {
        self.is_woken = false;
        if !self.task.will_wake(cx.waker()) {
            self.task = cx.waker().clone();
        }
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        input: &mut [u8],
        heads: &mut Heads,
        mut hand_on: impl FnMut(Arrived<'_>),
    ) -> Poll<Gone> {
        self.connection.set_time(self.worker.deadlines.now_ms());
        if !self.link.inbox.is_empty() {
            let inbox = std::mem::take(&mut self.link.inbox);
            let taken = self.take(inbox.as_slice(), heads, &mut hand_on);
            self.link.inbox = inbox;
            self.link.inbox.clear(&self.worker.buffers);
            if let Err(fatal) = taken {
                return Poll::Ready(Gone::Fatal(fatal));
            }
        }
        let mut passed = 0;
        loop {
            if self.connection.is_over() {
                return Poll::Pending;
            }
            self.is_held_back = self.has_enough();
            if self.is_held_back {
                self.connection.excuse();
                return Poll::Pending;
            }
            if passed >= PER_VISIT {
                come_back(cx);
                return Poll::Pending;
            }
            let space = input.get_mut(..PIECE_READ).unwrap_or_default();
            let error = match ready!(self.link.poll_read(cx, space)) {
                Ok(0) => io::ErrorKind::UnexpectedEof.into(),
                Err(error) => error,
                Ok(count) => {
                    if let Err(fatal) = self.take(input.get(..count).unwrap_or_default(), heads, &mut hand_on)
                    {
                        return Poll::Ready(Gone::Fatal(fatal));
                    }
                    passed += count;
                    continue;
                }
            };
            self.break_off(Broken::of(&error));
            return Poll::Ready(Gone::Link(error));
        }
    }

    /// Takes bytes of the peer.
    fn take(
        &mut self,
        bytes: &[u8],
        heads: &mut Heads,
        hand_on: &mut impl FnMut(Arrived<'_>),
    ) -> Result<(), Fatal> {
        let mut rest = bytes;
        loop {
            match self.connection.receive(&mut rest, heads) {
                Ok(None) => return Ok(()),
                Ok(Some(Event::Head { stream, ends, is_tunnel })) if self.is_client => {
                    self.mailbox(stream, |mailbox, _| mailbox.is_whole = ends);
                    hand_on(Arrived::Request { stream, head: heads.text(), ends, is_tunnel });
                }
                Ok(Some(Event::Refused { reason, bytes })) => hand_on(Arrived::Refused(reason, bytes)),
                Ok(Some(event)) => self.deliver(event, heads.text()),
                Err(fatal) => {
                    // What is too much says nothing of any request.
                    let how = if fatal.excess.is_some() { Broken::Lost } else { Broken::Malformed };
                    self.break_off(how);
                    return Err(fatal);
                }
            }
        }
    }

    /// Puts what has come where who it is for finds it.
    fn deliver(&mut self, event: Event<'_>, text: &[u8]) {
        match event {
            Event::Head { stream, ends, .. } => self.mailbox(stream, |mailbox, pool| {
                mailbox.unread.append(text, pool);
                mailbox.head += text.len();
                mailbox.is_whole = ends;
                mailbox.wake_reader();
            }),
            Event::Data { stream, bytes, ends } => self.mailbox(stream, |mailbox, pool| {
                mailbox.unread.append(bytes, pool);
                mailbox.is_whole = ends;
                mailbox.wake_reader();
            }),
            Event::Trailers { stream } => self.mailbox(stream, |mailbox, _| {
                mailbox.trailers = Some(text.to_vec());
                mailbox.is_whole = true;
                mailbox.wake_reader();
            }),
            Event::Reset { stream, by } => {
                let how = match by {
                    ResetBy::Us => Broken::Malformed,
                    ResetBy::Peer(Code::REFUSED_STREAM) => Broken::Refused,
                    ResetBy::Peer(code) => Broken::Reset(code),
                };
                self.mailbox(stream, |mailbox, _| mailbox.break_off(how));
            }
            Event::Leaves { last } => {
                let beyond = self.connection.users().filter(|(stream, _)| *stream > last);
                beyond.for_each(|(_, mailbox)| mailbox.break_off(Broken::Refused));
            }
            Event::Settings => {
                self.connection.users().for_each(|(_, mailbox)| mailbox.wake_writer_for_window());
            }
            Event::Room { stream: 0 } => self.wake_next(),
            Event::Room { stream } => self.mailbox(stream, |mailbox, _| mailbox.wake_writer_for_window()),
            Event::Refused { .. } => {}
        }
    }

    fn mailbox(&mut self, stream: u32, act: impl FnOnce(&mut Mailbox, &BufferPool)) {
        if let Some(mailbox) = self.connection.user(stream) {
            act(mailbox, &self.worker.buffers);
        }
    }

    fn send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.served = 0;
        while let Poll::Ready(flushed) = self.link.poll_flush(cx, &self.worker.buffers) {
            flushed?;
            if self.connection.output().is_empty() {
                self.wake_next();
                break;
            }
            self.link.send(cx, self.connection.output(), &[], &self.worker.buffers)?;
            self.connection.clear_output();
        }
        if self.is_held_back && !self.has_enough() {
            self.wake();
        }
        Ok(())
    }

    /// Whether the peer has left so much unread that it is not heard before it goes on.
    fn has_enough(&self) -> bool {
        self.connection.output().len() > MOST_WAITING
    }

    /// Has the task look if there is something to send.
    pub fn stir(&mut self) {
        if !self.connection.output().is_empty() {
            self.wake();
        }
    }

    pub fn wake(&mut self) {
        if !std::mem::replace(&mut self.is_woken, true) {
            self.task.wake_by_ref();
        }
    }

    /// Lets the first of those go on who wait until there is room for all. When it has had its turn the connection has
    /// another one, and with that the next of them. Whoever else comes meanwhile has to wait, or a stream that is woken for
    /// something else, such as what its server sends, would be served again and again.
    fn wake_next(&mut self) {
        while self.served == 0
            && self.connection.shared_room() > 0
            && let Some(stream) = self.queue.pop_front()
        {
            if self.connection.user(stream).is_some_and(Mailbox::wake_queued) {
                self.served = stream;
                self.wake();
            }
        }
    }

    /// Takes as much of a body as there is room for.
    pub fn poll_write(&mut self, cx: &Context<'_>, stream: u32, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let has_turn = self.served == stream || (self.served == 0 && self.queue.is_empty());
        let Ok(count) = self.connection.send(stream, if has_turn { bytes } else { &[] }) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        self.stir();
        if count > 0 || bytes.is_empty() {
            self.served = if self.served == stream { 0 } else { self.served };
            return Poll::Ready(Ok(count));
        }
        let is_shared = !has_turn || self.connection.shared_room() == 0;
        let Some(mailbox) = self.connection.user(stream) else { return Poll::Pending };
        if mailbox.await_room(cx, is_shared) {
            self.queue.push_back(stream);
        }
        Poll::Pending
    }

    /// Reads what has come on a stream.
    pub fn poll_read(
        &mut self,
        cx: &Context<'_>,
        stream: u32,
        into: &mut [u8],
    ) -> Poll<Result<usize, Broken>> {
        let Some(mailbox) = self.connection.user(stream) else { return Poll::Ready(Ok(0)) };
        if mailbox.unread.is_empty() {
            if mailbox.is_whole {
                return Poll::Ready(Ok(0));
            }
            if let Some(how) = mailbox.broken {
                return Poll::Ready(Err(how));
            }
            mailbox.await_bytes(cx);
            return Poll::Pending;
        }
        let count = mailbox.unread.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), mailbox.unread.as_slice().get(..count)) {
            to.copy_from_slice(from);
        }
        mailbox.unread.consume(count, &self.worker.buffers);
        let content = mailbox.note_used(count);
        if content > 0 {
            self.connection.give_back(stream, content);
            self.stir();
        }
        Poll::Ready(Ok(count))
    }

    /// Drops what has come on a stream and nobody has read.
    pub fn drop_unread(&mut self, stream: u32) {
        let Some(mailbox) = self.connection.user(stream) else { return };
        let count = mailbox.unread.len();
        mailbox.unread.clear(&self.worker.buffers);
        let content = mailbox.note_used(count);
        self.connection.give_back(stream, content);
        self.stir();
    }

    /// Lets go of a stream. Whether it was given up by that.
    pub fn release(&mut self, stream: u32) -> bool {
        let unused = match self.connection.user(stream) {
            Some(mailbox) => {
                let count = mailbox.unread.len();
                mailbox.unread.clear(&self.worker.buffers);
                mailbox.note_used(count)
            }
            None => 0,
        };
        let is_given_up = self.connection.release(stream, unused);
        if self.connection.has_streams() {
            self.stir();
        } else {
            // It is idle from now on, or may end.
            self.wake();
        }
        is_given_up
    }

    fn break_off(&mut self, how: Broken) {
        self.connection.abort(Code::NO_ERROR);
        self.connection.users().for_each(|(_, mailbox)| mailbox.break_off(how));
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.link.clear(&self.worker.buffers);
    }
}
