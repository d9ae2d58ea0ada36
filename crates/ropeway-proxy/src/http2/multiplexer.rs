//! The connections of one worker to one server that carry many requests at a time.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use ropeway_core::end::EndReason;
use tokio::sync::watch;

use super::Stream;
use super::client::{Multiplexed, greet};
use crate::complaint::Complaint;
use crate::deadline::DeadlineSlot;
use crate::link::Link;
use crate::opening::{Connecting, Destination, Opened, poll_until};
use crate::upstream::Quota;
use crate::worker::Worker;

/// The connections, and the one that is being opened.
#[derive(Debug, Default)]
pub(crate) struct Multiplexer {
    connections: RefCell<Vec<Multiplexed>>,
    opening: RefCell<Option<Outcome>>,
    is_closed: Cell<bool>,
    /// Nobody else finds it: its connection is over with the first request.
    is_for_one: bool,
}

/// How the opening of a connection ends, for all who wait for it.
type Outcome = watch::Receiver<Option<Result<(), EndReason>>>;

impl Multiplexer {
    /// One for a request that is to share its connection with no other.
    pub fn for_one() -> Self {
        Self { is_for_one: true, ..Self::default() }
    }

    /// A stream on a connection that stands and leads to where the server is now.
    pub fn stream(&self, now_ms: u64, moves: u64, quota: Quota) -> Option<Stream> {
        self.connections.borrow().iter().find_map(|connection| connection.stream(now_ms, moves, quota))
    }

    /// A stream on the connection that is being opened, or on a new one. It goes on being opened when nobody waits for it
    /// any more, or clients who are less patient than that takes would never get one.
    ///
    /// # Errors
    ///
    /// The connection could not be opened, whoever began to.
    pub async fn open_stream(
        self: Rc<Self>,
        worker: Rc<Worker>,
        destination: Destination,
    ) -> Result<Opened, EndReason> {
        while let Some(mut outcome) = self.under_way() {
            let end = outcome.wait_for(Option::is_some).await.map_or(None, |end| *end);
            end.unwrap_or(Err(EndReason::Internal))?;
            let (now_ms, moves) = (worker.deadlines.now_ms(), destination.live.moves());
            if let Some(stream) = self.stream(now_ms, moves, destination.quota) {
                return Ok(Opened::Shared(stream));
            }
        }
        let (end, outcome) = watch::channel(None);
        *self.opening.borrow_mut() = Some(outcome);
        // The first stream is for who has it opened, so that nobody opens more than one, however few streams one allows.
        let first = tokio::task::spawn_local(async move {
            let first = self.open(&worker, destination).await;
            end.send_replace(Some(first.as_ref().map(drop).map_err(|reason| *reason)));
            first
        });
        first.await.unwrap_or(Err(EndReason::Internal)).map(|stream| Opened::New(Link::of_stream(stream)))
    }

    /// Lets go of what has ended, was idle for too long, or leads to where the server no longer is.
    pub fn sweep(&self, now_ms: u64, idle_ms: u64, moves: u64) {
        self.connections.borrow_mut().retain(|connection| connection.is_usable(now_ms, idle_ms, moves));
    }

    /// Lets go of all, and keeps none from now on; requests that are under way go on.
    pub fn close(&self) {
        self.is_closed.set(true);
        self.connections.borrow_mut().clear();
    }

    /// The opening that has not ended: somebody can still tell of its end.
    fn under_way(&self) -> Option<Outcome> {
        self.opening.borrow().clone().filter(|outcome| outcome.has_changed().is_ok())
    }

    /// Opens a connection, and keeps it.
    async fn open(&self, worker: &Rc<Worker>, destination: Destination) -> Result<Stream, EndReason> {
        let slot = worker.deadlines.slot();
        poll_fn(|cx| {
            slot.register(cx.waker());
            Poll::Ready(())
        })
        .await;
        let (moves, quota) = (destination.live.moves(), destination.quota);
        let connection = connect(worker, &slot, destination, moves, self.is_for_one).await?;
        let first =
            connection.stream(worker.deadlines.now_ms(), moves, quota).ok_or(EndReason::ConnectFailed)?;
        if !self.is_closed.get() {
            let connections = &mut *self.connections.borrow_mut();
            connections.retain(|connection| connection.is_in_service(moves));
            connections.push(connection);
        }
        Ok(first)
    }
}

async fn connect(
    worker: &Rc<Worker>,
    slot: &DeadlineSlot,
    destination: Destination,
    moves: u64,
    is_for_one: bool,
) -> Result<Multiplexed, EndReason> {
    let authority = &destination.authority;
    let prepare_ms = destination.prepare_ms();
    let mut connecting = Connecting::new(destination.clone(), worker, slot);
    let link = poll_fn(|cx| connecting.poll(cx, worker, slot)).await?;
    let mut greeted = pin!(async {
        greet(worker, link, &destination, moves, is_for_one).await.map_err(|error| {
            // This kind is that of TLS.
            if error.kind() == io::ErrorKind::InvalidData {
                let details = format_args!("TLS handshake with {authority} failed: {error}");
                destination.complain(worker, Complaint::ServerTls, details);
                return EndReason::ServerTls;
            }
            let details = format_args!("{authority} does not speak HTTP/2: {error}");
            destination.complain(worker, Complaint::ServerHttp2, details);
            EndReason::ConnectFailed
        })
    });
    let due = slot.after(prepare_ms);
    poll_fn(|cx| poll_until(due, cx, slot, greeted.as_mut())).await
}
