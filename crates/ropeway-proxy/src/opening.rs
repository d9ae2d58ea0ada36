//! A connection to a server, from the first SYN until a request can be sent on it.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ropeway_core::end::EndReason;

use crate::complaint::Complaint;
use crate::connect::Race;
use crate::deadline::DeadlineSlot;
use crate::http2::client::{Multiplexed, greet};
use crate::link::Link;
use crate::tls::{Session, UpstreamTls};
use crate::upstream::{Server, Upstream};
use crate::worker::Worker;

/// What a connection turned out to be.
#[derive(Debug)]
pub(crate) enum Opened {
    /// One request at a time.
    Link(Link),
    /// Many streams.
    Multiplexed(Multiplexed),
}

/// A connection that is being opened.
pub(crate) struct Opening {
    race: Race,
    /// What follows once the connection stands, where something does.
    rest: Option<Rest>,
}

type Rest = Pin<Box<dyn Future<Output = Result<Opened, EndReason>>>>;

impl Opening {
    /// Nothing is opened before the first poll.
    pub fn new(upstream: &Upstream, server: &Server, slot: &DeadlineSlot) -> Self {
        Self {
            race: Race::new(server.live.endpoints(), slot, upstream.settings.connect_timeout_ms),
            rest: None,
        }
    }

    /// The connection, once requests can be sent on it. `preamble` is what every connection to the server begins with.
    ///
    /// # Errors
    ///
    /// Those of [`Race::poll`], and [`EndReason::ServerTls`].
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Rc<Worker>,
        slot: &DeadlineSlot,
        (upstream, server): (&Upstream, &Server),
        preamble: impl FnOnce() -> Vec<u8>,
    ) -> Poll<Result<Opened, EndReason>> {
        if self.rest.is_none() {
            let link = ready!(self.race.poll(cx, slot))?;
            if upstream.settings.tls.is_none()
                && !upstream.settings.http2
                && upstream.settings.proxy_protocol.is_none()
            {
                return Poll::Ready(Ok(Opened::Link(link)));
            }
            let plan = Plan {
                worker: Rc::clone(worker),
                preamble: preamble(),
                tls: upstream.settings.tls.clone(),
                http2: upstream.settings.http2,
                time: Duration::from_millis(handshake_ms(upstream)),
                authority: Arc::clone(&server.authority),
            };
            self.rest = Some(Box::pin(plan.carry_out(link)));
        }
        self.rest.as_mut().map_or(Poll::Pending, |rest| rest.as_mut().poll(cx))
    }
}

fn handshake_ms(upstream: &Upstream) -> u64 {
    upstream.settings.tls.as_ref().map_or(upstream.settings.connect_timeout_ms, |tls| tls.handshake_ms)
}

/// What is to be done on a connection that stands.
struct Plan {
    worker: Rc<Worker>,
    preamble: Vec<u8>,
    tls: Option<Arc<UpstreamTls>>,
    http2: bool,
    time: Duration,
    authority: Arc<str>,
}

impl Plan {
    async fn carry_out(self, link: Link) -> Result<Opened, EndReason> {
        let time = self.time;
        tokio::time::timeout(time, self.run(link)).await.map_err(|_| EndReason::ConnectTimeout)?
    }

    async fn run(self, mut link: Link) -> Result<Opened, EndReason> {
        let worker = &self.worker;
        if !self.preamble.is_empty() {
            let sent = poll_fn(|cx| Poll::Ready(link.send(cx, &self.preamble, &[], &worker.buffers)));
            sent.await.map_err(|_| EndReason::ConnectFailed)?;
            let flushed = poll_fn(|cx| link.poll_flush(cx, &worker.buffers)).await;
            flushed.map_err(|_| EndReason::ConnectFailed)?;
        }
        if let Some(tls) = &self.tls {
            self.secure(&mut link, tls).await.map_err(|error| {
                let details = format_args!("TLS handshake with {} failed: {error}", self.authority);
                worker.complain(Complaint::ServerTls, details);
                EndReason::ServerTls
            })?;
        }
        if !self.http2 {
            return Ok(Opened::Link(link));
        }
        let https = self.tls.is_some();
        greet(worker, link, https).await.map(Opened::Multiplexed).map_err(|error| {
            let details = format_args!("{} does not speak HTTP/2: {error}", self.authority);
            worker.complain(Complaint::ServerHttp2, details);
            EndReason::ConnectFailed
        })
    }

    async fn secure(&self, link: &mut Link, tls: &UpstreamTls) -> io::Result<()> {
        let name = tls.name_for(&self.authority).map_err(io::Error::other)?;
        let buffers = Rc::clone(&self.worker.wire_buffers);
        link.secure(Session::connect(Arc::clone(&tls.config), name, buffers).map_err(io::Error::other)?);
        poll_fn(|cx| link.poll_handshake(cx)).await?;
        let agreed = link.session().and_then(|session| session.state().alpn_protocol());
        if self.http2 && agreed != Some(b"h2") {
            return Err(io::Error::other("the server did not agree on HTTP/2 by ALPN"));
        }
        Ok(())
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("race", &self.race).finish_non_exhaustive()
    }
}
