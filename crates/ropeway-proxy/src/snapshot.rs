//! Everything that configuration decides, as one immutable value.
//!
//! A request uses one snapshot from start to end. Live state hangs off it through `Arc`s that the next snapshot
//! takes over, so that a reload forgets nothing that was learned.

use std::net::SocketAddr;
use std::sync::Arc;

use ropeway_core::forwarding::{ForwardingPolicy, TrustedProxies};
use ropeway_core::http1::{BodyLimits, HeadLimits};
use ropeway_core::rate::MinRate;
use ropeway_core::route::RouteTable;

use crate::access_log::LogTarget;
use crate::challenges::Challenges;
use crate::counters::{ListenerCounters, PerWorker, RouteCounters};
use crate::tls::ListenerTls;
use crate::upstream::Upstream;

/// One compiled configuration.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts up with every snapshot that was put into service.
    pub generation: u64,
    /// Sockets to accept from.
    pub listeners: Vec<Arc<Listener>>,
    /// Finds the index into `routes` for a request.
    pub table: RouteTable,
    /// The routes, in file order.
    pub routes: Vec<Route>,
    /// The upstreams that routes refer to by index.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Most client connections of the whole process at one time.
    pub max_connections: u32,
    /// How many descriptors, beside one for each client, may be open for one more connection to a server; `None` is no
    /// limit. So that clients with many streams leave some for new clients, and for the operator.
    pub server_descriptors: Option<u32>,
    /// Most requests in flight in the whole process at one time; `None` is unlimited.
    pub max_requests: Option<u32>,
    /// The access log; `None` switches it off.
    pub access_log: Option<LogTarget>,
    /// What authorities are answered that look whether a host is ours.
    pub challenges: Arc<Challenges>,
    /// Whether any listener tells servers who a client is by its certificate: then none of them lets clients say so
    /// themselves, for a server cannot tell by which listener a request came.
    pub identity_fields: bool,
}

/// A set of addresses that share their settings.
#[derive(Debug)]
pub struct Listener {
    /// The name in the configuration.
    pub name: String,
    /// Addresses to listen on. Port 0 asks the kernel for one.
    pub addresses: Vec<SocketAddr>,
    /// Time-outs towards clients.
    pub timeouts: ClientTimeouts,
    /// Limits of request heads.
    pub head_limits: HeadLimits,
    /// Limits of chunk lines and trailers.
    pub body_limits: BodyLimits,
    /// Who is believed, and what servers are told about the client.
    pub forwarding: ForwardingPolicy,
    /// The field that carries the request id to the server; `None` sends none.
    pub request_id: Option<Box<[u8]>>,
    /// A response field that names the server that answered; `None` sends none.
    pub server_name_field: Option<Box<[u8]>>,
    /// Most connections of this listener; `None` is unlimited.
    pub max_connections: Option<u32>,
    /// Most connections of one client address on this listener; `None` is unlimited.
    pub max_connections_per_client: Option<u32>,
    /// Requests after which a connection is closed; `None` is unlimited.
    pub max_requests_per_connection: Option<u32>,
    /// Whether a client that closes its sending side aborts its exchange.
    pub abort_on_close: bool,
    /// TLS; `None` serves in the clear.
    pub tls: Option<Arc<ListenerTls>>,
    /// HTTP/2; `None` serves HTTP/1 only. Its ALPN name is offered by [`Listener::tls`] when this is given.
    pub http2: Option<Http2Limits>,
    /// Who begins a connection with a PROXY header; `None` expects it from nobody.
    pub proxy_protocol: Option<ProxyProtocolPolicy>,
    /// Whether every request is answered 308 with the same place over https.
    pub redirect_https: bool,
    /// A complete Strict-Transport-Security line, CRLF included, for responses over TLS (RFC 6797 section 6.1).
    pub hsts: Option<Box<[u8]>>,
    /// Counters and gauges that survive a reload.
    pub live: Arc<ListenerLive>,
}

impl Listener {
    /// Whether servers are told who a client is that has shown a certificate.
    #[must_use]
    pub fn writes_identity(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.identity_fields)
    }

    /// How many of its connections are too many.
    pub(crate) fn excess(&self) -> u32 {
        self.max_connections.map_or(0, |most| self.live.connections.excess(most))
    }
}

/// What a client may ask for by HTTP/2 (RFC 9113).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    /// Whether connections without TLS may begin with the HTTP/2 preface (RFC 9113 section 3.3).
    pub prior_knowledge: bool,
    /// Streams open at the same time on one connection: SETTINGS_MAX_CONCURRENT_STREAMS.
    pub max_concurrent_streams: u32,
    /// Bytes of a decompressed field section, 32 charged for each field: SETTINGS_MAX_HEADER_LIST_SIZE.
    pub max_header_list: u32,
    /// Bytes of a request body that may be under way on a stream: SETTINGS_INITIAL_WINDOW_SIZE.
    pub stream_window: u32,
    /// The same for all streams of a connection.
    pub connection_window: u32,
    /// Bytes of the largest frame: SETTINGS_MAX_FRAME_SIZE.
    pub max_frame: u32,
    /// Streams that may be reset in a minute, by the client or because of it, before the connection is closed with
    /// ENHANCE_YOUR_CALM.
    pub max_resets_per_minute: u32,
    /// Silence after which a PING is sent; `None` sends none.
    pub keep_alive_interval_ms: Option<u64>,
    /// How long its answer may take before the connection is closed.
    pub keep_alive_timeout_ms: u64,
}

/// Whose PROXY headers are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocolPolicy {
    /// Peers that must begin each connection with a PROXY header. Everybody else must not.
    pub trusted: TrustedProxies,
    /// From the start of the connection to the end of the header.
    pub timeout_ms: u64,
}

/// Time-outs towards clients. Resolution: 100 ms.
#[derive(Clone, Copy, Debug)]
pub struct ClientTimeouts {
    /// From the first byte of a request head to its last.
    pub head_ms: u64,
    /// Between requests.
    pub idle_ms: u64,
    /// Between two pieces of a request body.
    pub body_idle_ms: u64,
    /// Between two pieces of a response that the client reads.
    pub send_idle_ms: u64,
    /// Slowest transfer that is let live, in both directions.
    pub min_rate: Option<MinRate>,
    /// How long to read on after a response that closes the connection, so that the client sees it.
    pub linger_ms: u64,
}

/// What is known of a listener at run time.
#[derive(Debug)]
pub struct ListenerLive {
    /// Per-worker counters.
    pub counters: PerWorker<ListenerCounters>,
    /// Open connections, for the caps.
    pub connections: crate::admission::Capped,
    /// Connections per client address, for listeners with such a cap.
    pub per_client: crate::admission::PerClient,
}

impl ListenerLive {
    /// State of a listener that has seen no connection.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            counters: PerWorker::new(workers),
            connections: crate::admission::Capped::default(),
            per_client: crate::admission::PerClient::default(),
        }
    }
}

/// What happens to the requests that match.
#[derive(Debug)]
pub struct Route {
    /// The name in logs and metrics.
    pub name: Arc<str>,
    /// Index into [`Snapshot::upstreams`].
    pub upstream: usize,
    /// Time-outs of the exchange.
    pub timeouts: RouteTimeouts,
    /// Largest request body in bytes; `None` is unlimited.
    pub max_body: Option<u64>,
    /// Edits of the request head on its way to the server.
    pub request_edits: FieldEdits,
    /// Edits of the response head on its way to the client.
    pub response_edits: FieldEdits,
    /// Which Host the server is told.
    pub host: HostRewrite,
    /// Whether gRPC-Web is translated to gRPC.
    pub grpc_web: bool,
    /// Per-worker counters.
    pub counters: PerWorker<RouteCounters>,
}

/// Time-outs of one exchange. Resolution: 100 ms.
#[derive(Clone, Copy, Debug)]
pub struct RouteTimeouts {
    /// From the request sent to the final response head.
    pub response_ms: u64,
    /// Between two pieces of a response body, and for a server to read a piece of the request.
    pub stream_idle_ms: u64,
    /// Without a byte in either direction of a tunnel.
    pub tunnel_idle_ms: u64,
}

/// The Host field that the server receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRewrite {
    /// The client's own.
    Keep,
    /// The address of the server as configured.
    Server,
    /// A fixed value.
    Literal(Box<[u8]>),
}

/// Edits of a head, compiled: fields to take out, then lines to add.
#[derive(Clone, Debug, Default)]
pub struct FieldEdits {
    /// Names whose fields are taken out.
    pub remove: Vec<Box<[u8]>>,
    /// Complete lines, CRLF included, that are appended.
    pub append: Vec<u8>,
}

impl FieldEdits {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.append.is_empty()
    }
}
