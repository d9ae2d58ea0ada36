//! What a connection keeps for whoever uses one of its streams.

use std::task::{Context, Poll, Waker};

use super::broken::Broken;
use crate::buffers::Pending;

/// What has come on a stream, and who waits for more.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    /// What was not read yet: the heads of a response, then the body.
    pub unread: Pending,
    /// How much of that, at the front, is a head: it took no window.
    pub head: usize,
    /// Trailers that followed the body, as a section of HTTP/1.1.
    pub trailers: Option<Vec<u8>>,
    /// Nothing more is to come.
    pub is_whole: bool,
    /// The stream is over.
    pub broken: Option<Broken>,
    task: Option<Waker>,
    reads: bool,
    writes: bool,
    /// It waits with others for what they have in common.
    is_queued: bool,
}

impl Mailbox {
    /// Registers for what comes.
    pub fn await_bytes(&mut self, cx: &Context<'_>) {
        self.reads = true;
        self.register(cx);
    }

    /// Registers for room: in the window of the stream or, where that is `shared`, for all. Whether it has to be put in the
    /// queue for that.
    pub fn await_room(&mut self, cx: &Context<'_>, shared: bool) -> bool {
        self.writes = true;
        self.register(cx);
        shared && !std::mem::replace(&mut self.is_queued, true)
    }

    /// Registers for the end of the stream before its time.
    pub fn poll_broken(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.broken.is_some() {
            return Poll::Ready(());
        }
        self.register(cx);
        Poll::Pending
    }

    pub fn wake_reader(&mut self) {
        if std::mem::take(&mut self.reads) {
            self.wake();
        }
    }

    /// Wakes who waits for a window; not those who would not have room even then.
    pub fn wake_writer_for_window(&mut self) {
        if !self.is_queued {
            self.wake_writer();
        }
    }

    /// It is the turn of this one. Whether somebody waits.
    pub fn wake_queued(&mut self) -> bool {
        self.is_queued = false;
        let waits = self.writes;
        self.wake_writer();
        waits
    }

    /// The stream is over, if it was not before.
    pub fn break_off(&mut self, how: Broken) {
        self.broken.get_or_insert(how);
        (self.reads, self.writes) = (false, false);
        self.wake();
    }

    /// So many bytes were read. How many of them took window.
    pub fn note_used(&mut self, count: usize) -> usize {
        let of_head = self.head.min(count);
        self.head -= of_head;
        count - of_head
    }

    fn wake_writer(&mut self) {
        if std::mem::take(&mut self.writes) {
            self.wake();
        }
    }

    fn register(&mut self, cx: &Context<'_>) {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
        }
    }

    fn wake(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }
}
