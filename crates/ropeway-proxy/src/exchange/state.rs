//! The state of one exchange, from the first byte of the request to the last of the response.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;

use ropeway_core::end::{EndReason, Stage};
use ropeway_core::http1::{BodyFraming, BodyLimits, HeadScan, RequestHead};
use ropeway_core::http2::Code;

use super::{Call, Permit, Step, grpc};
use crate::access_log::RequestId;
use crate::connection::Client;
use crate::link::Link;
use crate::opening::Opening;
use crate::pool::ServerLink;
use crate::relay::Pump;
use crate::snapshot::Route;
use crate::tunnel::Tunnel;
use crate::upstream::{Server, Upstream};
use crate::uptake::Uptake;
use crate::worker::{View, Worker};

/// Most servers that one request is tried on.
pub(crate) const MAX_ATTEMPTS: usize = 8;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub reason: EndReason,
    pub stage: Stage,
    /// More about a malformed message, or a reset; empty otherwise.
    pub detail: &'static str,
    /// The code with which the server gave its stream up.
    pub reset: Option<u32>,
}

impl End {
    pub const fn new(reason: EndReason, stage: Stage) -> Self {
        Self { reason, stage, detail: "", reset: None }
    }

    pub const fn with_detail(self, detail: &'static str) -> Self {
        Self { detail, ..self }
    }

    pub fn with_reset(self, code: Code) -> Self {
        Self { detail: code.name(), reset: Some(code.0), ..self }
    }
}

/// One request and what became of it. Lives in a box that is used again for later requests, so that a connection
/// without a request owns none of it.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub request: RequestHead,
    /// Resumes the search for the end of a head that arrives in pieces.
    pub scan: HeadScan,
    pub id: RequestId,
    pub client_ip: IpAddr,
    /// The snapshot that the whole exchange uses.
    pub view: Option<Rc<View>>,
    pub route: Option<usize>,
    /// The whole answer, for an authority that looks whether a host is ours.
    pub challenge: Option<Arc<str>>,
    /// What happens next.
    pub step: Step,
    pub target: Option<Target>,
    /// The connection to the server, while there is one.
    pub server: Option<Box<ServerLink>>,
    /// The connection to the server, while it is being opened.
    pub opening: Option<Box<Opening>>,
    pub tunnel: Option<Box<Tunnel>>,
    /// How the tunnel ended.
    pub tunnel_end: Option<EndReason>,
    /// The right to be in flight, where that is limited.
    pub permit: Option<Permit>,
    /// [`crate::upstream::ServerLive::moves`] when the connection began to be opened.
    pub moves: u64,
    /// Largest request body, from the route.
    pub max_body: Option<u64>,
    /// Whether an idle connection may be used: not after one turned out to be closed.
    pub reuse: bool,
    /// The last failure that was retried.
    pub last_end: Option<End>,
    /// The response head has begun to arrive, and is not complete.
    pub more_needed: bool,
    /// Nothing follows the response head that was read last.
    pub head_is_all: bool,
    /// Servers tried so far, this one included.
    pub tried: Tried,
    pub retries: u8,
    pub upload: Pump,
    pub download: Pump,
    /// How a response of our own is taken.
    pub answer: Uptake,
    /// Whether the server is asked by a stream.
    pub to_stream: bool,
    /// Whether nothing else may be on the connection to that server.
    pub alone: bool,
    /// Bytes of the body that wait in the client's inbox and were sent from there, so that they can be sent again.
    pub held: usize,
    pub wants_upgrade: bool,
    /// What the next recipient is told of how often the request may be sent on.
    pub forwards_left: Option<u64>,
    /// The call of gRPC that the request is.
    pub call: Option<Call>,
    /// Whether the client's connection may serve another request.
    pub keep_client: bool,
    /// Whether the server's connection may serve another request.
    pub keep_server: bool,
    /// A byte of a final response was sent.
    pub committed: bool,
    pub informational: u8,
    /// Seconds that the server says it keeps the connection idle.
    pub learned_idle_s: Option<u32>,
    /// The server's side refused the upload; its response may still come.
    pub upload_broken: bool,
    pub status: u16,
    pub end: End,
    pub times: Times,
    /// How long the server may be silent, from the route.
    pub stream_idle_ms: u64,
    /// Counters of the client's link when the exchange began.
    pub received_before: u64,
    pub sent_before: u64,
}

/// Moments in microseconds of the process's clock; 0 when they have not come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub started: u64,
    pub connecting_since: u64,
    pub connect_took: Option<u64>,
    pub sent: u64,
    pub first_byte_took: Option<u64>,
    /// When the response must have begun, in milliseconds of the coarse clock.
    pub respond_by_ms: u64,
}

/// The server that is being asked. While this is set the server counts the request as in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub upstream: usize,
    pub server: u32,
}

/// The servers that were tried.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried {
    servers: [u32; MAX_ATTEMPTS],
    count: usize,
}

impl Tried {
    pub fn as_slice(&self) -> &[u32] {
        self.servers.get(..self.count).unwrap_or_default()
    }

    pub fn push(&mut self, server: u32) {
        if let Some(slot) = self.servers.get_mut(self.count) {
            *slot = server;
            self.count += 1;
        }
    }
}

impl Default for Exchange {
    fn default() -> Self {
        let limits = BodyLimits::default();
        Self {
            request: RequestHead::new(),
            scan: HeadScan::new(),
            id: RequestId::default(),
            client_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            view: None,
            route: None,
            challenge: None,
            step: Step::Route,
            target: None,
            server: None,
            opening: None,
            tunnel: None,
            tunnel_end: None,
            permit: None,
            moves: 0,
            max_body: None,
            reuse: true,
            last_end: None,
            more_needed: false,
            head_is_all: false,
            tried: Tried::default(),
            retries: 0,
            upload: Pump::new(BodyFraming::None, BodyFraming::None, &limits),
            download: Pump::new(BodyFraming::None, BodyFraming::None, &limits),
            answer: Uptake::new(),
            to_stream: false,
            alone: false,
            held: 0,
            wants_upgrade: false,
            forwards_left: None,
            call: None,
            keep_client: true,
            keep_server: true,
            committed: false,
            informational: 0,
            learned_idle_s: None,
            upload_broken: false,
            status: 0,
            end: End::new(EndReason::Internal, Stage::Receive),
            times: Times::default(),
            stream_idle_ms: 0,
            received_before: 0,
            sent_before: 0,
        }
    }
}

impl Exchange {
    /// Makes the exchange ready for another request; keeps its memory. In place, since this is part of every request.
    pub fn reset(&mut self) {
        self.release_target();
        // Taken apart, so that a field that is added cannot be forgotten here.
        let Self {
            request,
            scan,
            id: _,
            client_ip: _,
            view,
            route,
            challenge,
            step,
            target: _,
            server,
            opening,
            tunnel,
            tunnel_end,
            permit,
            moves: _,
            max_body,
            reuse,
            last_end,
            more_needed,
            head_is_all: _,
            tried,
            retries,
            upload: _,
            download: _,
            answer: _,
            to_stream: _,
            alone: _,
            held,
            wants_upgrade,
            forwards_left: _,
            call,
            keep_client,
            keep_server,
            committed,
            informational,
            learned_idle_s,
            upload_broken,
            status,
            end: _,
            times,
            stream_idle_ms: _,
            received_before: _,
            sent_before: _,
        } = self;
        request.clear();
        *scan = HeadScan::new();
        (*step, *view, *route, *challenge) = (Step::Route, None, None, None);
        (*opening, *server, *tunnel, *permit, *last_end) = (None, None, None, None, None);
        (*max_body, *call) = (None, None);
        (*reuse, *more_needed, *tunnel_end) = (true, false, None);
        tried.count = 0;
        (*retries, *informational, *status, *held) = (0, 0, 0, 0);
        (*wants_upgrade, *committed, *upload_broken) = (false, false, false);
        (*keep_client, *keep_server) = (true, true);
        *learned_idle_s = None;
        *times = Times::default();
    }

    /// The route that was chosen.
    pub fn route<'a>(&self, view: &'a View) -> Option<&'a Route> {
        view.snapshot.routes.get(self.route?)
    }

    /// The server that is being asked, or was asked last.
    pub fn asked<'a>(&self, view: &'a View) -> Option<(&'a Upstream, &'a Server)> {
        let route = self.route(view)?;
        let upstream = view.snapshot.upstreams.get(route.upstream)?;
        let server = upstream.servers.get(*self.tried.as_slice().last()? as usize)?;
        Some((upstream, server))
    }

    /// Whether the request can be sent once more: no byte of its body is gone.
    pub fn is_replayable(&self) -> bool {
        self.held > 0 || self.upload.can_begin_again()
    }

    /// Makes ready to send the body, from its beginning.
    pub fn begin_upload(&mut self, limits: &BodyLimits) {
        let source = self.request.framing();
        let translation = grpc::request_translation(self.call.as_ref());
        let sink = match self.to_stream {
            true => source.for_stream(),
            false if translation.is_some() => source.for_stream().for_http1(None),
            false => source.for_http1(self.request.content_length()),
        };
        let upload = Pump::new(source, sink, limits).limited_to(self.max_body).translated_by(translation);
        // A server of HTTP/2 may refuse what it has not looked at, however much of it was sent.
        self.upload = upload.keeping(self.to_stream);
    }

    /// Whether nothing of the body is left to send to the server: all of it was written, or no more can be.
    #[inline]
    pub fn upload_is_over(&self, server: &Link) -> bool {
        self.upload_broken || (self.upload.is_done() && server.outbox.is_empty())
    }

    /// Whether nothing is read from the client now, so that it has to be looked whether it is still there.
    #[inline]
    pub fn leaves_client_unread(&self, server: &Link) -> bool {
        self.upload_is_over(server) || self.upload.waits_for_sink()
    }

    /// Forgets what an attempt left behind, for the next one.
    pub fn restart(&mut self, worker: &Worker, client: &mut Client) {
        client.link.inbox.prepend(self.upload.take_kept(), &worker.buffers);
        self.begin_upload(&client.listener.body_limits);
        self.held = 0;
        self.upload_broken = false;
        self.informational = 0;
        self.learned_idle_s = None;
        self.scan = HeadScan::new();
        self.more_needed = false;
        self.times.first_byte_took = None;
    }

    /// Counts the request as in flight at a server.
    pub fn aim_at(&mut self, view: &View, target: Target) {
        self.release_target();
        self.tried.push(target.server);
        self.target = Some(target);
        if let Some((upstream, server)) = target.find(view) {
            if let Some(counters) = server.live.counters.of(view.worker) {
                counters.started.bump();
                if self.retries > 0 {
                    counters.retries.bump();
                }
            }
            if upstream.counts_in_flight(server) {
                server.live.begin_request();
            }
        }
    }

    /// The server is done with the request.
    pub fn release_target(&mut self) {
        let (Some(target), Some(view)) = (self.target.take(), self.view.as_ref()) else { return };
        if let Some((upstream, server)) = target.find(view) {
            if let Some(counters) = server.live.counters.of(view.worker) {
                counters.ended.bump();
            }
            if upstream.counts_in_flight(server) {
                server.live.end_request();
            }
        }
    }
}

impl Target {
    fn find(self, view: &View) -> Option<(&Upstream, &Server)> {
        let upstream = view.snapshot.upstreams.get(self.upstream)?;
        Some((upstream, upstream.servers.get(self.server as usize)?))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.release_target();
    }
}
