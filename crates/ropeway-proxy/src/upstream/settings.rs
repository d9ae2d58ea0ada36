//! The configured part of an upstream.

use std::sync::Arc;

use ropeway_core::balance::{Policy, SlowStart};
use ropeway_core::health::PassiveConfig;
use ropeway_core::retry::RetryPolicy;

use crate::tls::UpstreamTls;

/// How the servers of an upstream are chosen, reached and judged.
#[derive(Debug)]
pub struct UpstreamSettings {
    /// How a server is chosen.
    pub policy: Policy,
    /// What is hashed, for the policies that hash.
    pub hash_key: HashKey,
    /// How long a connection may take to open.
    pub connect_timeout_ms: u64,
    /// Idle connections.
    pub keep_alive: KeepAlive,
    /// Most requests at the same time on a connection of HTTP/2.
    pub max_streams: usize,
    /// What is tried again.
    pub retry: RetryPolicy,
    /// How many retries there may be.
    pub retry_budget: BudgetRules,
    /// When failures of live traffic take a server out; `None` never.
    pub passive: Option<PassiveConfig>,
    /// Percentage of usable servers under which all are used; 0 means only when none is usable.
    pub panic_threshold: u32,
    /// How the share of a server that came back grows.
    pub slow_start: Option<SlowStart>,
    /// Whether a server must pass a check before its first request.
    pub checked: bool,
    /// TLS towards the servers; `None` speaks in the clear.
    pub tls: Option<Arc<UpstreamTls>>,
    /// Whether the servers are spoken to by HTTP/2: agreed by ALPN over TLS, known before without.
    pub http2: bool,
    /// Whether servers of HTTP/2 are sent trailers that were not announced, too, on connections that are shared.
    pub all_trailers: bool,
    /// The PROXY header that each connection begins with; `None` sends none.
    pub proxy_protocol: Option<ProxyProtocolVersion>,
}

impl UpstreamSettings {
    /// Whether connections are opened in the same way. TLS that was built anew is not known to be the same.
    #[must_use]
    pub fn connects_like(&self, other: &Self) -> bool {
        let same_tls = match (&self.tls, &other.tls) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
            _ => false,
        };
        same_tls && self.http2 == other.http2 && self.proxy_protocol == other.proxy_protocol
    }

    /// Whether a connection may carry the requests of several clients: not when it began with the name of one.
    #[must_use]
    pub const fn is_shareable(&self) -> bool {
        self.proxy_protocol.is_none()
    }

    /// What a connection may carry that several requests share.
    pub(crate) const fn quota(&self) -> Quota {
        let requests = self.keep_alive.max_requests;
        Quota { streams: self.max_streams, requests, all_trailers: self.all_trailers }
    }
}

/// What one connection to a server of HTTP/2 may carry, whatever the server allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    /// Requests at the same time.
    pub streams: usize,
    /// Requests altogether; 0 is unlimited.
    pub requests: u64,
    /// Whether trailers need not be announced.
    pub all_trailers: bool,
}

/// The form of a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocolVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// What a hashing policy hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    SourceIp,
    /// The path without the query.
    Path,
    /// The request target.
    Uri,
    /// A request field, by name; requests without it fall back to the client's address.
    Header(Box<[u8]>),
    /// A cookie, by name; requests without it fall back to the client's address.
    Cookie(Box<[u8]>),
}

/// How many retries a worker may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetRules {
    /// Retries per hundred requests.
    pub percent: u32,
    /// Retries per second that are allowed beside.
    pub floor_per_second: u32,
}

/// Rules of the pools of idle connections.
#[derive(Clone, Copy, Debug)]
pub struct KeepAlive {
    /// How long a connection may stay idle, until the server names a time of its own.
    pub idle_ms: u64,
    /// Whether a server's `Keep-Alive: timeout=N` is believed.
    pub learn: bool,
    /// Most idle connections per worker and server; 0 closes after every request.
    pub max_idle: usize,
    /// Requests after which a connection is closed; 0 is unlimited.
    pub max_requests: u64,
}
