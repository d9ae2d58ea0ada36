//! A connection to a server, from the first SYN until a request can be sent on it.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ropeway_core::end::EndReason;

use crate::complaint::Complaint;
use crate::connect::Race;
use crate::deadline::DeadlineSlot;
use crate::http2::Stream;
use crate::http2::multiplexer::Multiplexer;
use crate::link::Link;
use crate::tls::{Session, UpstreamTls};
use crate::upstream::{Quota, Server, ServerLive, Upstream};
use crate::worker::Worker;

/// Where connections lead, and what they begin with.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub live: Arc<ServerLive>,
    pub upstream: Arc<str>,
    pub authority: Arc<str>,
    pub tls: Option<Arc<UpstreamTls>>,
    pub quota: Quota,
    http2: bool,
    connect_ms: u64,
    /// The PROXY header, where there is one.
    preamble: Vec<u8>,
}

impl Destination {
    pub fn new(upstream: &Upstream, server: &Server, preamble: Vec<u8>) -> Self {
        let settings = &upstream.settings;
        Self {
            live: Arc::clone(&server.live),
            upstream: Arc::clone(&upstream.name),
            authority: Arc::clone(&server.authority),
            tls: settings.tls.clone(),
            quota: settings.quota(),
            http2: settings.http2,
            connect_ms: settings.connect_timeout_ms,
            preamble,
        }
    }

    /// How long what follows TCP may take before HTTP, and again the greeting of HTTP/2.
    pub fn prepare_ms(&self) -> u64 {
        self.tls.as_ref().map_or(self.connect_ms, |tls| tls.handshake_ms)
    }

    /// Does what comes before the first request on a connection that stands.
    async fn prepare(self, worker: Rc<Worker>, mut link: Link) -> Result<Link, EndReason> {
        if !self.preamble.is_empty() {
            let sent = poll_fn(|cx| Poll::Ready(link.send(cx, &self.preamble, &[], &worker.buffers)));
            sent.await.map_err(|_| EndReason::ConnectFailed)?;
            let flushed = poll_fn(|cx| link.poll_flush(cx, &worker.buffers)).await;
            flushed.map_err(|_| EndReason::ConnectFailed)?;
        }
        if let Some(tls) = &self.tls {
            self.secure(&worker, &mut link, tls).await.map_err(|error| {
                let details = format_args!("TLS handshake with {} failed: {error}", self.authority);
                self.complain(&worker, Complaint::ServerTls, details);
                EndReason::ServerTls
            })?;
        }
        Ok(link)
    }

    /// The reason for a wait that is over: a connection stands, so a server that was waited for owes its handshake.
    fn too_late(&self, reason: EndReason, worker: &Worker) -> EndReason {
        if reason != EndReason::ConnectTimeout || self.tls.is_none() {
            return reason;
        }
        let details = format_args!("TLS handshake with {} failed: not complete in time", self.authority);
        self.complain(worker, Complaint::ServerTls, details);
        EndReason::ServerTls
    }

    /// Tells the operator of what is wrong there.
    pub fn complain(&self, worker: &Worker, what: Complaint, details: fmt::Arguments<'_>) {
        worker.complain_of(&self.upstream, &self.live, what, details);
    }

    async fn secure(&self, worker: &Worker, link: &mut Link, tls: &UpstreamTls) -> io::Result<()> {
        let name = tls.name_for(&self.authority).map_err(io::Error::other)?;
        let buffers = Rc::clone(&worker.wire_buffers);
        link.secure(Session::connect(Arc::clone(&tls.config), name, buffers).map_err(io::Error::other)?);
        poll_fn(|cx| link.poll_handshake(cx)).await?;
        let agreed = link.session().and_then(|session| session.state().alpn_protocol());
        if self.http2 && agreed != Some(b"h2") {
            return Err(io::Error::other("the server did not agree on HTTP/2 by ALPN"));
        }
        Ok(())
    }
}

fn race(destination: &Destination, worker: &Worker, slot: &DeadlineSlot) -> Race {
    let most = worker.view().snapshot.server_descriptors;
    let clients = worker.shared.connections.open();
    let descriptors = most.map_or(u32::MAX, |most| most.saturating_add(clients));
    Race::new(destination.live.endpoints(), slot, destination.connect_ms, descriptors)
}

/// A connection that is being opened, up to the point where HTTP begins.
pub(crate) struct Connecting {
    destination: Destination,
    began_us: u64,
    race: Race,
    /// What follows once the connection stands, where something does, and until when.
    rest: Option<(Waited<Link>, u64)>,
}

type Waited<T> = Pin<Box<dyn Future<Output = Result<T, EndReason>>>>;

impl Connecting {
    /// Nothing is opened before the first poll.
    pub fn new(destination: Destination, worker: &Worker, slot: &DeadlineSlot) -> Self {
        let race = race(&destination, worker, slot);
        Self { destination, began_us: worker.shared.clock.now_us(), race, rest: None }
    }

    /// The connection, which is counted.
    ///
    /// # Errors
    ///
    /// Those of [`Race::poll`], and [`EndReason::ServerTls`].
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Rc<Worker>,
        slot: &DeadlineSlot,
    ) -> Poll<Result<Link, EndReason>> {
        if self.rest.is_none() {
            let mut raced = ready!(self.race.poll(cx, slot));
            if matches!(raced, Err(EndReason::LocalResources)) && worker.view().close_idle() {
                self.race = race(&self.destination, worker, slot);
                raced = ready!(self.race.poll(cx, slot));
            }
            let link = raced?;
            if self.destination.tls.is_none() && self.destination.preamble.is_empty() {
                self.count(worker);
                return Poll::Ready(Ok(link));
            }
            let rest = self.destination.clone().prepare(Rc::clone(worker), link);
            self.rest = Some((Box::pin(rest), slot.after(self.destination.prepare_ms())));
        }
        let Some((rest, due)) = &mut self.rest else { return Poll::Pending };
        let link = ready!(poll_until(*due, cx, slot, rest.as_mut()));
        let link = link.map_err(|reason| self.destination.too_late(reason, worker))?;
        self.count(worker);
        Poll::Ready(Ok(link))
    }

    fn count(&self, worker: &Worker) {
        if let Some(counters) = self.destination.live.counters.of(worker.index) {
            counters.connects.bump();
            counters.connect.observe(worker.shared.clock.now_us().saturating_sub(self.began_us));
        }
    }
}

/// What an exchange gets to send its request on.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A connection, or the first stream on one, that was opened for it.
    New(Link),
    /// A stream on a connection that was opened for another.
    Shared(Stream),
}

/// What an exchange waits for that found no open connection to its server.
pub(crate) enum Opening {
    /// A connection of its own.
    Connection(Connecting),
    /// A stream on a connection of HTTP/2, which others wait for, too; and until when it waits.
    Stream(Waited<Opened>, u64),
}

impl Opening {
    /// A connection of its own.
    pub fn connection(destination: Destination, worker: &Worker, slot: &DeadlineSlot) -> Self {
        Self::Connection(Connecting::new(destination, worker, slot))
    }

    /// A stream on a connection of `multiplexer`.
    pub fn stream(
        multiplexer: Rc<Multiplexer>,
        destination: Destination,
        worker: &Rc<Worker>,
        slot: &DeadlineSlot,
    ) -> Self {
        let due = slot.after(destination.connect_ms.saturating_add(2 * destination.prepare_ms()));
        Self::Stream(Box::pin(multiplexer.open_stream(Rc::clone(worker), destination)), due)
    }

    /// What came of it.
    ///
    /// # Errors
    ///
    /// Those of [`Connecting::poll`].
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Rc<Worker>,
        slot: &DeadlineSlot,
    ) -> Poll<Result<Opened, EndReason>> {
        match self {
            Self::Connection(connecting) => connecting.poll(cx, worker, slot).map_ok(Opened::New),
            Self::Stream(stream, due) => poll_until(*due, cx, slot, stream.as_mut()),
        }
    }
}

/// Polls what must be over by `due`.
pub(crate) fn poll_until<T, F>(
    due: u64,
    cx: &mut Context<'_>,
    slot: &DeadlineSlot,
    future: Pin<&mut F>,
) -> Poll<Result<T, EndReason>>
where
    F: Future<Output = Result<T, EndReason>> + ?Sized,
{
    let poll = future.poll(cx);
    if poll.is_pending() {
        if slot.has_passed(due) {
            return Poll::Ready(Err(EndReason::ConnectTimeout));
        }
        slot.arm(due);
    }
    poll
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}
